/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists as tables, trees or JSON on stdout, through the pager. Errors are logged. */
#pragma once

#include <jansson.h>

#include "options.h"
#include "table.h"

/* The budget of the package, which applies to every service, and does not count as a cgroup's own budget. */
#define DEFAULT_BUDGET "90-default"

/* Writes @json to stdout in the format of --json=, which is not JSON_OFF. Returns 0 or a negative errno, logged. */
int show_json(const struct options *options, const json_t *json);

/* The same for an object that has the array @list as its member @key. */
int show_json_list(const struct options *options, const char *key, json_t *list);

/* Writes @rows, in the order that they have, as a table; @parents: see table.h. */
int show_table(const struct options *options, const struct column *columns, size_t n, const json_t *rows,
                const ssize_t *parents);

/* The same, after sorting the rows by --sort=. */
int show_rows(const struct options *options, const struct column *columns, size_t n, json_t *rows);
