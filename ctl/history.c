/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <errno.h>
#include <stdlib.h>

#include "graph.h"

static struct history_entry *find(const struct history *history, uint64_t id)
{
        struct history_entry *entry;

        HASH_FIND(hh, history->by_id, &id, sizeof(id), entry);
        return entry;
}

static struct history_entry *add(struct history *history, uint64_t id, uint64_t second)
{
        struct history_entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return NULL;
        entry->id = id;
        entry->last_second = second;
        for (size_t i = 0; i < HISTORY_SECONDS; i++)
                entry->values[i] = GRAPH_UNKNOWN;
        HASH_ADD(hh, history->by_id, id, sizeof(entry->id), entry);
        if (!HASH_ADDED(entry)) {
                free(entry);
                return NULL;
        }
        return entry;
}

static void drop(struct history *history, struct history_entry *entry)
{
        HASH_DELETE(hh, history->by_id, entry);
        free(entry);
}

void history_deinit(struct history *history)
{
        struct history_entry *entry, *next;

        HASH_ITER (hh, history->by_id, entry, next)
                drop(history, entry);
}

int history_put(struct history *history, uint64_t id, uint64_t second, uint64_t value)
{
        struct history_entry *entry = find(history, id) ?: add(history, id, second);
        uint64_t before;

        if (!entry)
                return -ENOMEM;
        before = entry->values[entry->last_second % HISTORY_SECONDS];
        if (second - entry->last_second > HISTORY_SECONDS)
                entry->last_second = second - HISTORY_SECONDS;
        while (++entry->last_second < second)
                entry->values[entry->last_second % HISTORY_SECONDS] = before;
        entry->last_second = second;
        entry->values[second % HISTORY_SECONDS] = value;
        return 0;
}

void history_get(const struct history *history, uint64_t id, uint64_t second, uint64_t values[HISTORY_SECONDS])
{
        const struct history_entry *entry = find(history, id);

        for (size_t i = 0; i < HISTORY_SECONDS; i++) {
                uint64_t at = second + 1 + i - HISTORY_SECONDS;

                values[i] = entry && at <= entry->last_second && entry->last_second - at < HISTORY_SECONDS
                                            ? entry->values[at % HISTORY_SECONDS]
                                            : GRAPH_UNKNOWN;
        }
}

void history_prune(struct history *history, uint64_t second)
{
        struct history_entry *entry, *next;

        HASH_ITER (hh, history->by_id, entry, next)
                if (second - entry->last_second >= HISTORY_SECONDS)
                        drop(history, entry);
}
