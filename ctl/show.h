/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists as tables, trees or JSON on stdout, through the pager. Errors are logged. */
#pragma once

#include <jansson.h>

#include "options.h"
#include "table.h"

/* The budget in the package that applies to every service, and does not count as a budget of one's own. */
#define DEFAULT_BUDGET "90-default"

/* Writes @json on stdout as --json= says, not JSON_OFF. Returns 0 or a negative errno, logged. */
int show_json(const struct options *options, const json_t *json);

/* The same of the object that has the array @list under @key. */
int show_json_list(const struct options *options, const char *key, json_t *list);

/* Writes @rows, in the order that they have, as a table; @parents: see table.h. */
int show_table(const struct options *options, const struct column *columns, size_t n, const json_t *rows,
                const ssize_t *parents);

/* The same, after they were ordered as --sort= says. */
int show_rows(const struct options *options, const struct column *columns, size_t n, json_t *rows);
