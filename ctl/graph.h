/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bars and sparklines made of characters. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The maximum width of a graph in columns; a column takes at most three bytes. */
#define GRAPH_WIDTH_MAX 120
#define GRAPH_SIZE_MAX  (3 * GRAPH_WIDTH_MAX + 1)

/* No mark in a bar. */
#define GRAPH_NO_MARK UINT64_MAX

/*
 * A bar for @value out of @full, in @width columns, with a "|" at @mark unless the bar covers it. The bar has a
 * resolution of an eighth of a column if @utf8, else it consists of "#". A value past @full fills the bar. Returns
 * @buffer.
 */
char *graph_bar(char buffer[GRAPH_SIZE_MAX], size_t width, uint64_t value, uint64_t full, uint64_t mark, bool utf8);

/*
 * Draws the @count @values, oldest first, in @width columns: each column shows the highest of its values on a scale
 * from 0 to the highest of all. A column without known values (GRAPH_UNKNOWN) is blank. The graph is ASCII unless
 * @utf8. Returns @buffer.
 */
#define GRAPH_UNKNOWN UINT64_MAX
char *graph_sparkline(char buffer[GRAPH_SIZE_MAX], size_t width, const uint64_t *values, size_t count, bool utf8);
