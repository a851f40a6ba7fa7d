/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/objectsummary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether @a comes before @b, because it is larger, or of the same size and older. */
static bool is_before(const struct object *a, const struct object *b)
{
        if (a->record.allocated != b->record.allocated)
                return a->record.allocated > b->record.allocated;
        return a->record.id < b->record.id;
}

/* Adds @map to the @room largest maps so far, if it is one of them. */
static void add_map(struct object_summary *summary, const struct object *map, size_t room)
{
        size_t low = 0, high = summary->count;

        if (room == 0 || (summary->count == room && is_before(summary->largest[room - 1], map)))
                return;
        while (low < high) {
                size_t middle = (low + high) / 2;

                if (is_before(summary->largest[middle], map))
                        low = middle + 1;
                else
                        high = middle;
        }
        summary->count += summary->count < room;
        memmove(summary->largest + low + 1, summary->largest + low,
                        (summary->count - 1 - low) * sizeof(*summary->largest));
        summary->largest[low] = map;
}

int object_summary_init(struct object_summary *summary, const struct ledger *ledger, size_t maps_max)
{
        size_t room = maps_max < ledger->count ? maps_max : ledger->count;
        struct object *object, *next;

        *summary = (struct object_summary){};
        summary->largest = calloc(room + 1, sizeof(*summary->largest));
        if (!summary->largest)
                return -ENOMEM;
        HASH_ITER (hh, ledger->by_key, object, next) {
                const struct object_record *record = &object->record;

                if (object->last_cgroup || !object->cgroup->exists)
                        summary->orphaned += record->allocated;
                if (record->kind == OBJECT_MAP && record->entries != ENTRIES_UNKNOWN)
                        add_map(summary, object, room);
        }
        return 0;
}

void object_summary_deinit(struct object_summary *summary)
{
        free(summary->largest);
        *summary = (struct object_summary){};
}
