/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historyshare.h"

#include <string.h>

#include "base/log.h"
#include "serve/historydb.h"
#include "serve/historyname.h"

static const uint64_t shares[] = { HISTORY_SHARE_FIRST, HISTORY_SHARE_SECOND, HISTORY_SHARE_THIRD };

/* Counts the cgroups whose path begins with the @length bytes of @path, which end in a slash. */
static int count_names(struct history_store *store, const char *path, size_t length, uint64_t *count)
{
        sqlite3_stmt *list = store->statements[COUNT_NAMES];
        char end[HISTORY_NAME_SIZE];
        int r;

        /* The end of the range of these names: "0" is the character after "/". */
        memcpy(end, path, length);
        end[length - 1] = '/' + 1;
        sqlite3_bind_int(list, 1, HISTORY_CGROUP);
        sqlite3_bind_text(list, 2, path, (int) length, SQLITE_STATIC);
        sqlite3_bind_text(list, 3, end, (int) length, SQLITE_STATIC);
        r = sqlite3_step(list);
        *count = r == SQLITE_ROW ? sqlite3_column_int64(list, 0) : 0;
        sqlite3_reset(list);
        return store_error(r);
}

/* Logged once for each opened database, because a single tenant can cause it. */
static void tell_full(struct history_store *store, const char *path, size_t length, uint64_t share)
{
        char prefix[HISTORY_NAME_SIZE];

        if (store->told_share)
                return;
        store->told_share = true;
        memcpy(prefix, path, length);
        prefix[length] = '\0';
        log_warning("The history has %llu cgroups below %s: new ones there are not in it", (unsigned long long) share,
                        prefix);
}

int history_has_share(struct history_store *store, uint32_t kind, const char *name, bool *has)
{
        const char *slash = name;
        int r = 0;

        *has = true;
        if (kind != HISTORY_CGROUP || *slash != '/')
                return 0;
        for (size_t i = 0; r == 0 && *has && i < sizeof(shares) / sizeof(shares[0]); i++) {
                uint64_t count;
                size_t length;

                slash = strchr(slash + 1, '/');
                if (!slash)
                        break;
                length = slash + 1 - name;
                r = count_names(store, name, length, &count);
                *has = r < 0 || count < shares[i];
                if (!*has)
                        tell_full(store, name, length, shares[i]);
        }
        return r;
}
