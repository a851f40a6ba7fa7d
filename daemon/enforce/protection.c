/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/protection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* --- Sets of ids -------------------------------------------------------------------------------------------------- */

static bool has_id(const struct id_entry *set, uint64_t id)
{
        const struct id_entry *entry;

        HASH_FIND(hh, set, &id, sizeof(id), entry);
        return entry;
}

static int add_id(struct id_entry **set, uint64_t id)
{
        struct id_entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return -ENOMEM;
        entry->id = id;
        HASH_ADD(hh, *set, id, sizeof(entry->id), entry);
        if (HASH_ADDED(entry))
                return 0;
        free(entry);
        return -ENOMEM;
}

static void clear(struct id_entry **set)
{
        struct id_entry *entry, *next;

        HASH_ITER (hh, *set, entry, next) {
                HASH_DEL(*set, entry);
                free(entry);
        }
}

/* Adds the cgroup @id and all above it to @set. One that has gone meanwhile is above nothing. Returns 0 or -ENOMEM. */
static int add_with_ancestors(const struct cgroupfs *fs, struct id_entry **set, uint64_t id)
{
        while (id != 0 && !has_id(*set, id)) {
                int r = add_id(set, id);

                if (r < 0)
                        return r;
                r = cgroupfs_parent(fs, id, &id);
                if (r < 0)
                        return r == -ENOMEM ? r : 0;
        }
        return 0;
}

/* --- What is always protected ------------------------------------------------------------------------------------- */

/*
 * The cgroups of PID 1, and of the journal, for which every process that logs waits; @below: with all cgroups below.
 * They can be created again, so their ids are looked up each time.
 */
static const struct {
        const char *path;
        bool below;
} always[] = {
        { "/init.scope", true },
        { "/system.slice", false },
        { "/system.slice/systemd-journald.service", true },
        { "/system.slice/system-systemd\\x2djournald.slice", true },
};

static bool is_always_protected(const struct protection *protection, const struct cgroup *cgroup)
{
        for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
                const struct cgroup *up = cgroup;
                uint64_t id;

                if (cgroupfs_id(protection->cgroupfs, always[i].path, &id) < 0)
                        continue;
                while (always[i].below && up->parent && up->id != id)
                        up = up->parent;
                if (up->id == id)
                        return true;
        }
        return false;
}

bool protection_covers(const struct protection *protection, const struct cgroup *cgroup, const struct patterns *never)
{
        _cleanup_free_ char *path = NULL;

        if (!cgroup->parent || has_id(protection->own, cgroup->id) || is_always_protected(protection, cgroup))
                return true;
        /* What has no path may be one of those that NeverThrottle= means. */
        if (cgroup_full_path(cgroup, &path) < 0) {
                path = NULL;
                return true;
        }
        return patterns_match(never, path);
}

/* --- What NeverThrottle= matches ---------------------------------------------------------------------------------- */

struct search {
        const struct cgroupfs *cgroupfs;
        const struct patterns *never;
        struct id_entry *found;
};

static int add_if_matched(void *context, uint64_t id, const char *path)
{
        struct search *search = context;

        if (!patterns_match(search->never, path))
                return 0;
        return add_with_ancestors(search->cgroupfs, &search->found, id);
}

void protection_refresh(struct protection *protection, const struct patterns *never, uint64_t now)
{
        struct search search = { protection->cgroupfs, never, NULL };
        uint64_t start = now_usec();
        int r;

        if (now < protection->due_usec)
                return;
        r = never->count > 0 ? cgroupfs_walk(protection->cgroupfs, add_if_matched, &search) : 0;
        protection->due_usec = now + PROTECTION_SHARE * (now_usec() - start);
        if (r < 0) {
                log_warning("Not all cgroups could be visited (%s): NeverThrottle= may not be up to date",
                                strerror(-r));
                clear(&search.found);
                return;
        }
        clear(&protection->never);
        protection->never = search.found;
}

bool protection_is_above(const struct protection *protection, const struct cgroup *cgroup)
{
        return has_id(protection->never, cgroup->id);
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

void protection_reload(struct protection *protection)
{
        protection->due_usec = 0;
}

int protection_init(struct protection *protection, const struct cgroupfs *cgroupfs)
{
        uint64_t own;
        bool alone;
        int r;

        *protection = (struct protection){ .cgroupfs = cgroupfs };
        r = cgroupfs_own(cgroupfs, &own, &alone);
        /* Nothing that is mounted here is above it. */
        if (r == -EXDEV)
                return 0;
        return r < 0 ? r : add_with_ancestors(cgroupfs, &protection->own, own);
}

void protection_deinit(struct protection *protection)
{
        clear(&protection->own);
        clear(&protection->never);
}
