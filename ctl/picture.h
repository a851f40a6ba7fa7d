/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pictures of a report, as SVG in HTML. */
#pragma once

#include <stdio.h>

#include "reportdata.h"

/*
 * The memory of cgroups: a tile for each of the largest ones, which contains tiles for its objects, and one tile for
 * all other cgroups. Returns 0 or -ENOMEM.
 */
int picture_treemap(FILE *stream, const struct report *report);

/* The peaks of the largest workloads as lines, with marks for events. */
void picture_lines(FILE *stream, const struct report *report);

/* Usage of budgets against their limits. Returns 0 or -ENOMEM. */
int picture_bars(FILE *stream, const struct report *report);

/* The color (markup.h) of the @i-th cgroup, or workload, of the report. */
uint64_t picture_cgroup_color(size_t i);
uint64_t picture_workload_color(const struct report *report, size_t i);
