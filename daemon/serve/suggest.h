/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Suggested limits for a workload, from its history: arithmetic only. All sizes are in bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "serve/historystore.h"

/* A shorter history does not show what the workload does at night. */
#define SUGGEST_HOURS_MIN 24

/* The margin of High=, and the minimum margin of Max=, above the peak, in percent. */
#define SUGGEST_HIGH_MARGIN 10
#define SUGGEST_MAX_MARGIN  25

/* The minimum of a suggested limit: a single small map would exceed a lower one. */
#define SUGGEST_HIGH_MIN (256ULL * 1024)

struct suggestion {
        uint64_t high, max;
        uint64_t peak, p95;       /* of the recorded hours, here */
        uint64_t step;            /* the room of Max= above High=, there */
        uint64_t ceiling;         /* there; HISTORY_UNKNOWN: there is none */
        uint64_t percpu;          /* the part of peak that exists for each CPU, here */
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

/* @bytes, rounded up by at most 6 % to a number that is easy to read. */
uint64_t suggest_round(uint64_t bytes);
