/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elements with the highest scores of a long list, which is read once and not stored. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "splice.h"

struct largest {
        struct largest_entry {
                uint64_t score;
                json_t *row;
        } * entries; /* the highest first; equal ones in the order of the list */
        size_t count, max;
};

/* Returns 0 or -ENOMEM. Call largest_deinit() for @largest in any case. */
int largest_init(struct largest *largest, size_t max);
void largest_deinit(struct largest *largest);

/*
 * Keeps the JSON @element if its @score is one of the highest, and parses it only in this case. Returns 0, -EBADMSG or
 * -ENOMEM.
 */
int largest_take(struct largest *largest, uint64_t score, struct slice element);

/* The elements that were kept, as a new array, the highest first; NULL: no memory. */
json_t *largest_rows(const struct largest *largest);
