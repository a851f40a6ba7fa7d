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
 * Suggests limits for @series, which has a point for each hour, on a machine with @there possible CPUs; it was recorded
 * on one with @here. BPF memory grows in steps, so Max= is above High= by at least the largest step: the largest rise,
 * but at most the size of the largest map or program, because many are created at once at the start. Max= is also at
 * least the ceiling of the present objects.
 */
struct suggestion suggest(const struct history_series *series, size_t points, uint32_t here, uint32_t there);

/* @bytes, rounded up by at most 6 % to a number that is easy to read. */
uint64_t suggest_round(uint64_t bytes);
