/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OrphansHigh=: checks from time to time how much memory orphans occupy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/monitor.h"
#include "policy/budget.h"
#include "policy/event.h"

/*
 * The minimum time between two checks, also as a multiple of the duration of the last one, because a check visits all
 * open files and pins.
 */
#define ORPHAN_WATCH_INTERVAL_USEC (60ULL * 1000 * 1000)
#define ORPHAN_WATCH_SHARE         100

/* Private to orphanwatch.c. */
struct orphan_watch {
        uint64_t due_usec; /* CLOCK_MONOTONIC */
        bool over;         /* OrphansHigh= */
};

/*
 * Checks orphans if that is due at @now (CLOCK_MONOTONIC). Sends @sink an EVENT_ORPHANS when their bytes exceed
 * OrphansHigh= of @settings, and when they have fallen to BUDGET_CLEAR_PERCENT of it. @dry_run is copied to the event.
 */
void orphan_watch_flush(struct orphan_watch *watch, struct monitor *monitor, const struct settings *settings,
                uint64_t now, bool dry_run, budget_sink_t sink, void *context);

/* When orphan_watch_flush() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t orphan_watch_due_usec(const struct orphan_watch *watch, const struct settings *settings);

/* Whether @bytes are over @high, if they @were over before. */
bool orphan_watch_is_over(uint64_t bytes, uint64_t high, bool were);
