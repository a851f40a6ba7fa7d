/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "treemap.h"

#include <math.h>
#include <stdbool.h>

/* A run of consecutive values that share the shorter side of the remaining area. All values are areas. */
struct row {
        size_t count;
        double sum, smallest, largest;
};

static void add(struct row *row, double area)
{
        row->smallest = row->count ? fmin(row->smallest, area) : area;
        row->largest = fmax(row->largest, area);
        row->sum += area;
        row->count++;
}

/* The highest aspect ratio of the tiles of @row, if the row lies along @side. */
static double worst_ratio(const struct row *row, double side)
{
        double square = row->sum * row->sum, side2 = side * side;

        return fmax(side2 * row->largest / square, square / (side2 * row->smallest));
}

/* The longest row that begins with @values and whose last value does not worsen its highest aspect ratio. */
static struct row choose_row(const uint64_t *values, size_t count, double scale, double side)
{
        struct row row = {}, longer = {};

        for (size_t i = 0; i < count && values[i] > 0; i++) {
                add(&longer, values[i] * scale);
                if (i > 0 && worst_ratio(&longer, side) > worst_ratio(&row, side))
                        break;
                row = longer;
        }
        return row;
}

/* Places @row at the left or at the top of *@left, and removes its area from *@left. */
static void place_row(
                const struct row *row, const uint64_t *values, double scale, struct tile *left, struct tile *tiles)
{
        bool upright = left->width >= left->height;
        double side = upright ? left->height : left->width, depth = row->sum / side, at = 0;

        for (size_t i = 0; i < row->count; i++) {
                double length = values[i] * scale / depth;

                tiles[i] = upright ? (struct tile){ left->x, left->y + at, depth, length }
                                   : (struct tile){ left->x + at, left->y, length, depth };
                at += length;
        }
        if (upright) {
                left->x += depth;
                left->width = fmax(0, left->width - depth);
        } else {
                left->y += depth;
                left->height = fmax(0, left->height - depth);
        }
}

void treemap_layout(const uint64_t *values, size_t count, struct tile area, struct tile *tiles)
{
        double sum = 0, scale;

        for (size_t i = 0; i < count; i++) {
                sum += values[i];
                tiles[i] = (struct tile){ area.x, area.y, 0, 0 };
        }
        if (sum <= 0 || area.width <= 0 || area.height <= 0)
                return;
        scale = area.width * area.height / sum;
        for (size_t i = 0; i < count;) {
                struct row row = choose_row(values + i, count - i, scale, fmin(area.width, area.height));

                if (row.count == 0) {
                        i++;
                        continue;
                }
                place_row(&row, values + i, scale, &area, tiles + i);
                i += row.count;
        }
}
