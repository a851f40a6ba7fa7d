/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/suggest.h"

#include <stdlib.h>
#include <sys/param.h>

#define PAGE_SIZE 4096ULL

/* More than any machine has, so that nothing overflows below. */
#define BYTES_MAX (1ULL << 48)

uint64_t suggest_round(uint64_t bytes)
{
        uint64_t unit = PAGE_SIZE;

        while (bytes / unit >= 32)
                unit *= 2;
        return (bytes + unit - 1) / unit * unit;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

/* Writes the hours with usage to @sorted, in order of size. Returns their number. */
static size_t sort_hours(const struct history_series *series, size_t points, uint64_t *sorted)
{
        size_t count = 0;

        for (size_t i = 0; i < points; i++)
                if (series->points[i] != HISTORY_UNKNOWN && series->points[i] > 0)
                        sorted[count++] = MIN(series->points[i], BYTES_MAX);
        qsort(sorted, count, sizeof(*sorted), compare);
        return count;
}

/* The part of @bytes that grows with the number of CPUs. */
static uint64_t percpu_part(const struct history_facts *facts, uint64_t bytes)
{
        if (facts->allocated == 0)
                return 0;
        return (uint64_t) ((double) bytes * MIN(facts->percpu, facts->allocated) / facts->allocated);
}

static uint64_t scale(const struct history_facts *facts, uint64_t bytes, uint32_t here, uint32_t there)
{
        uint64_t part = percpu_part(facts, bytes);

        return here == there || here == 0 ? bytes : bytes - part + (uint64_t) ((double) part * there / here);
}

/* The largest known step, at most the size of the largest object, because a start creates many objects at once. */
static uint64_t largest_step(const struct history_series *series)
{
        uint64_t largest = MIN(series->facts.largest, BYTES_MAX), step = MIN(series->step, BYTES_MAX);

        return step == 0 ? largest : largest == 0 ? step : MIN(step, largest);
}

static void set_limits(struct suggestion *suggestion, uint64_t peak)
{
        uint64_t max;

        suggestion->high = suggest_round(MAX(peak + peak * SUGGEST_HIGH_MARGIN / 100, SUGGEST_HIGH_MIN));
        max = MAX(peak + peak * SUGGEST_MAX_MARGIN / 100, suggestion->high + suggestion->step);
        if (suggestion->ceiling != HISTORY_UNKNOWN)
                max = MAX(max, suggestion->ceiling);
        suggestion->max = suggest_round(max);
}

struct suggestion suggest(const struct history_series *series, size_t points, uint32_t here, uint32_t there)
{
        const struct history_facts *facts = &series->facts;
        struct suggestion suggestion = { .peak = MIN(series->peak, BYTES_MAX), .ceiling = HISTORY_UNKNOWN };
        uint64_t *sorted = calloc(points + 1, sizeof(*sorted));

        if (sorted) {
                suggestion.hours = sort_hours(series, points, sorted);
                if (suggestion.hours > 0)
                        suggestion.p95 = sorted[(suggestion.hours * 95 + 99) / 100 - 1];
        }
        suggestion.percpu = percpu_part(facts, suggestion.peak);
        suggestion.step = scale(facts, largest_step(series), here, there);
        if (facts->unbounded == 0)
                suggestion.ceiling = scale(facts, MIN(facts->ceiling, BYTES_MAX), here, there);
        set_limits(&suggestion, scale(facts, suggestion.peak, here, there));
        for (size_t i = 0; sorted && i < suggestion.hours; i++) {
                suggestion.paused += scale(facts, sorted[i], here, there) > suggestion.high;
                suggestion.refused += scale(facts, sorted[i], here, there) > suggestion.max;
        }
        free(sorted);
        return suggestion;
}
