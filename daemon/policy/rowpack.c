/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rowpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define UNUSED UINT32_MAX

struct transition {
        uint8_t byte;
        uint32_t next;
};

struct packed_row {
        uint32_t state;
        uint32_t other; /* where the bytes without a transition lead */
        size_t first, count;
        bool idle;
};

/* Where most bytes lead, if it is where one of two does: controls and bytes that are no UTF-8 are seldom special. */
static uint32_t find_default(const uint32_t row[256])
{
        size_t low = 0, high = 0;

        for (int i = 0; i < 256; i++) {
                low += row[i] == row[1];
                high += row[i] == row[255];
        }
        return low >= high ? row[1] : row[255];
}

static int add_transition(struct rowpack *pack, uint8_t byte, uint32_t next)
{
        struct transition *transitions = array_grow(pack->transitions, pack->transition_count, sizeof(*transitions));

        if (!transitions)
                return -ENOMEM;
        pack->transitions = transitions;
        transitions[pack->transition_count++] = (struct transition){ byte, next };
        return 0;
}

int rowpack_add(struct rowpack *pack, const uint32_t row[256])
{
        struct packed_row packed = {
                .state = pack->count, .other = find_default(row), .first = pack->transition_count
        };
        struct packed_row *rows = array_grow(pack->rows, pack->count, sizeof(*rows));

        if (!rows)
                return -ENOMEM;
        pack->rows = rows;
        packed.idle = packed.other == packed.state;
        for (int byte = 0; byte < 256; byte++) {
                if (row[byte] == packed.other)
                        continue;
                if (add_transition(pack, byte, row[byte]) < 0)
                        return -ENOMEM;
                packed.count++;
                packed.idle &= byte == '/';
        }
        rows[pack->count++] = packed;
        return 0;
}

static int compare_rows(const void *a, const void *b)
{
        const struct packed_row *x = a, *y = b;

        return (x->count < y->count) - (x->count > y->count);
}

/* Whether all transitions of @row find room if it begins at @base. */
static bool fits(const struct rowpack *pack, const struct packed_row *row, const struct automaton_entry *entries,
                size_t base)
{
        for (size_t i = 0; i < row->count; i++)
                if (entries[base + pack->transitions[row->first + i].byte].owner != UNUSED)
                        return false;
        return true;
}

/*
 * Rows with more transitions first, each at the first place where it fits. A place that had no room for a row has none
 * for later ones with as many; those with fewer fill what is left, and begin anew. Returns the end, 0: there is no
 * room.
 */
static size_t place(struct rowpack *pack, struct automaton_entry *entries, size_t max)
{
        size_t origin = 2 * pack->count, end = origin, from = origin, last_count = 257;

        for (size_t r = 0; r < pack->count; r++) {
                struct packed_row *row = &pack->rows[r];
                size_t base;

                if (row->count < last_count && row->count <= 2)
                        from = origin;
                last_count = row->count;
                for (base = from; !fits(pack, row, entries, base); base++)
                        if (base + 512 >= max)
                                return 0;
                /* Bytes of one class are in few places: what was passed is nearly full. */
                from = base > from + 64 ? base - 64 : from;
                for (size_t i = 0; i < row->count; i++) {
                        const struct transition *t = &pack->transitions[row->first + i];

                        entries[base + t->byte] = (struct automaton_entry){ .owner = row->state, .next = t->next };
                }
                entries[row->state] = (struct automaton_entry){ .base = base | (row->idle ? AUTOMATON_IDLE : 0),
                        .next = row->other };
                end = base + 256 > end ? base + 256 : end;
        }
        return end;
}

int rowpack_finish(struct rowpack *pack, size_t max, struct automaton_entry **ret, size_t *count)
{
        size_t needed = 2 * pack->count + 512 + 2 * pack->transition_count + 256 * 256;
        struct automaton_entry *entries, *shrunk;

        max = needed < max ? needed : max;
        if (2 * pack->count + 1024 > max)
                return -E2BIG;
        entries = calloc(max, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        for (size_t i = 2 * pack->count; i < max; i++)
                entries[i].owner = UNUSED;
        qsort(pack->rows, pack->count, sizeof(*pack->rows), compare_rows);
        *count = place(pack, entries, max);
        if (*count == 0) {
                free(entries);
                return -E2BIG;
        }
        shrunk = reallocarray(entries, *count, sizeof(*entries));
        *ret = shrunk ?: entries;
        return 0;
}

void rowpack_deinit(struct rowpack *pack)
{
        free(pack->rows);
        free(pack->transitions);
        *pack = (struct rowpack){};
}
