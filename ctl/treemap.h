/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A treemap: one rectangle for each value, with an area in proportion to it, as near to a square as it gets
 * ("Squarified Treemaps", Bruls, Huizing and van Wijk 2000). Pure logic.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tile {
        double x, y, width, height;
};

/* Divides @area among the @count @values, which should be in descending order. The tile of a value of 0 is empty. */
void treemap_layout(const uint64_t *values, size_t count, struct tile area, struct tile *tiles);
