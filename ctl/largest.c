/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "largest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int largest_init(struct largest *largest, size_t max)
{
        *largest = (struct largest){ .max = max, .entries = calloc(max + 1, sizeof(*largest->entries)) };
        return largest->entries ? 0 : -ENOMEM;
}

void largest_deinit(struct largest *largest)
{
        for (size_t i = 0; i < largest->count; i++)
                json_decref(largest->entries[i].row);
        free(largest->entries);
        *largest = (struct largest){};
}

int largest_take(struct largest *largest, uint64_t score, struct slice element)
{
        struct largest_entry *entries = largest->entries;
        size_t at = largest->count;
        json_error_t error;
        json_t *row;

        /* Long lists begin with the largest, so the position is near the end. */
        while (at > 0 && entries[at - 1].score < score)
                at--;
        if (at == largest->max)
                return 0;
        row = json_loadb(element.start, element.length, 0, &error);
        if (!row)
                return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
        /* The array has room for one more entry than are kept. */
        memmove(&entries[at + 1], &entries[at], (largest->count - at) * sizeof(*entries));
        entries[at] = (struct largest_entry){ score, row };
        if (++largest->count > largest->max)
                json_decref(entries[--largest->count].row);
        return 0;
}

json_t *largest_rows(const struct largest *largest)
{
        json_t *rows = json_array();

        for (size_t i = 0; rows && i < largest->count; i++)
                if (json_array_append(rows, largest->entries[i].row) < 0) {
                        json_decref(rows);
                        return NULL;
                }
        return rows;
}
