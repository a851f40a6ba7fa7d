/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graph.h"

#include <math.h>
#include <string.h>

static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
static const char *const levels_utf8[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char *const levels_ascii[] = { "_", "_", ".", "-", "-", "=", "+", "#" };

#define LEVELS 8

/* @steps × @value ÷ @full, rounded to the nearest integer; at most @steps. Sizes are below 2^63. */
static size_t scale(uint64_t value, uint64_t full, size_t steps)
{
        if (value >= full)
                return steps;
        return lround((double) value / full * steps);
}

char *graph_bar(char buffer[GRAPH_SIZE_MAX], size_t width, uint64_t value, uint64_t full, uint64_t mark, bool utf8)
{
        size_t steps, at;
        char *end = buffer;

        if (width > GRAPH_WIDTH_MAX)
                width = GRAPH_WIDTH_MAX;
        steps = full ? scale(value, full, 8 * width) : 0;
        /* A value above 0 takes at least one step. */
        if (full && value && !steps)
                steps = 1;
        at = full && mark < full ? scale(mark, full, width) : GRAPH_WIDTH_MAX + 1;
        for (size_t i = 0; i < width; i++) {
                size_t filled = steps <= 8 * i ? 0 : steps - 8 * i;

                if (i == at && !filled)
                        *end++ = '|';
                else if (utf8)
                        end = stpcpy(end, eighths[filled > 8 ? 8 : filled]);
                else
                        *end++ = filled >= 4 || (filled && steps < 4) ? '#' : ' ';
        }
        *end = '\0';
        return buffer;
}

char *graph_sparkline(char buffer[GRAPH_SIZE_MAX], size_t width, const uint64_t *values, size_t count, bool utf8)
{
        const char *const *levels = utf8 ? levels_utf8 : levels_ascii;
        uint64_t highest = 0;
        char *end = buffer;

        if (width > GRAPH_WIDTH_MAX)
                width = GRAPH_WIDTH_MAX;
        for (size_t i = 0; i < count; i++)
                if (values[i] != GRAPH_UNKNOWN && values[i] > highest)
                        highest = values[i];
        for (size_t column = 0; column < width; column++) {
                size_t first = column * count / width, next = (column + 1) * count / width;
                uint64_t value = GRAPH_UNKNOWN;

                for (size_t i = first; i < next || i == first; i++)
                        if (i < count && values[i] != GRAPH_UNKNOWN && (value == GRAPH_UNKNOWN || values[i] > value))
                                value = values[i];
                if (value == GRAPH_UNKNOWN)
                        *end++ = ' ';
                else
                        end = stpcpy(end, levels[highest ? scale(value, highest, LEVELS - 1) : 0]);
        }
        *end = '\0';
        return buffer;
}
