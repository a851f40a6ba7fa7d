/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edit distance between a name that a user wrote and one that exists, for "did you mean". */
#pragma once

#include <stdbool.h>

/* No key, section or unit suffix is longer, in bytes; the names that users write may be. */
#define NAME_MAX_COMPARED 31

/*
 * How many letters must be inserted, deleted, replaced or swapped with the next to make @a into @b (optimal string
 * alignment), ignoring case. @b is not longer than NAME_MAX_COMPARED.
 */
unsigned int edit_distance(const char *a, const char *b);

/* Whether a name at @distance from @valid is probably a misspelling of it. */
bool is_near(unsigned int distance, const char *valid);
