/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's list of orphans, and the names of single orphans. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "options.h"
#include "table.h"

/*
 * Asks for the orphans that match @argument, a GLOB or UNIT (NULL: all). @all: also objects that are not certain to be
 * orphans. Returns 0 or a negative errno, logged. *list is a new reference.
 */
int orphans_ask(const struct options *options, const char *argument, bool all, json_t **list);

/* The rows of the table of orphans for @list, as a new array; NULL: no memory. */
json_t *orphans_rows(const json_t *list);

/* Sets the columns of that table, without the commands, which must not be cut. */
void orphans_columns(struct table *table);

/* "map:12" or "prog:7". Returns @buffer. */
#define ORPHAN_NAME_MAX 24
char *orphan_name(const json_t *orphan, char buffer[ORPHAN_NAME_MAX]);
