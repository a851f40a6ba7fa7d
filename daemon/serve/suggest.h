/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Suggested limits for a workload, from its history: arithmetic only. All sizes are in bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "serve/historystore.h"

/* With less than a day, nobody has seen what the workload does at night. */
#define SUGGEST_HOURS_MIN 24

/* High= is so much above the peak, and Max= at least so much: in percent. */
#define SUGGEST_HIGH_MARGIN 10
#define SUGGEST_MAX_MARGIN  25

/* A lower limit would be passed by a single small map. */
#define SUGGEST_HIGH_MIN (256ULL * 1024)

struct suggestion {
        uint64_t high, max;
        uint64_t peak, p95;       /* of the hours that were seen, here */
        uint64_t step;            /* what Max= has room for above High=, there */
        uint64_t ceiling;         /* there; HISTORY_UNKNOWN: there is none */
        uint64_t percpu;          /* the part of peak that there is for each CPU, here */
        uint64_t hours;           /* in which it had something */
        uint64_t paused, refused; /* of these hours, those above High= and Max= */
};

/*
 * What suits @series, which has a point for each hour, on a machine with @there possible CPUs in place of the @here
 * that it was seen on. BPF memory moves in steps, so Max= is never nearer to High= than the largest of them: the
 * largest rise, but at most the largest map that there ever was, as a start makes many at once; nor below the ceiling
 * of what it has.
 */
struct suggestion suggest(const struct history_series *series, size_t points, uint32_t here, uint32_t there);

/* @bytes, at most 6 % more, as a number that people can read. */
uint64_t suggest_round(uint64_t bytes);
