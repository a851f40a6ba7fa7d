/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uthash, but an addition that finds no memory is an answer instead of exit(). */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Whether HASH_ADD of @element took place: uthash clears the table pointer of what it could not add. */
#define HASH_ADDED(element) ((element)->hh.tbl != NULL)

/*
 * Sets @element to the element of @table whose member @key is @value. If there is none, adds one in which everything
 * else is zero. NULL: no memory.
 */
#define HASH_GET(table, key, value, element)                               \
        do {                                                               \
                HASH_FIND(hh, table, &(value), sizeof(value), element);    \
                if (element)                                               \
                        break;                                             \
                (element) = calloc(1, sizeof(*(element)));                 \
                if (!(element))                                            \
                        break;                                             \
                (element)->key = (value);                                  \
                HASH_ADD(hh, table, key, sizeof((element)->key), element); \
                if (!HASH_ADDED(element)) {                                \
                        free(element);                                     \
                        (element) = NULL;                                  \
                }                                                          \
        } while (0)
