/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historystate.h"

#include <stdlib.h>

struct history_member *history_member(const struct history *history, uint64_t id)
{
        struct history_member *member;

        HASH_FIND(hh, history->members, &id, sizeof(id), member);
        return member;
}

void history_entry_drop(struct history *history, struct history_entry *entry)
{
        if (entry->members || entry->references || entry->dirty)
                return;
        HASH_DEL(history->entries, entry);
        history->entry_count--;
        history->path_count -= history_entry_is_path(entry);
        free(entry->cgroup);
        free(entry);
}
