/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OrphansHigh=: checks from time to time how much memory orphans occupy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/monitor.h"
#include "policy/budget.h"
#include "policy/event.h"

/* Between two looks, at least; and so many times what the last one took, as it goes through all open files and pins. */
#define ORPHAN_WATCH_INTERVAL_USEC (60ULL * 1000 * 1000)
#define ORPHAN_WATCH_SHARE         100

/* Private to orphanwatch.c. */
struct orphan_watch {
        uint64_t due_usec; /* CLOCK_MONOTONIC */
        bool over;         /* OrphansHigh= */
};

/*
 * Looks if that is due at @now (CLOCK_MONOTONIC), and gives @sink an EVENT_ORPHANS when what is orphaned came over
 * OrphansHigh= of @settings, and when it is at most BUDGET_CLEAR_PERCENT of that again. @dry_run is passed on.
 */
void orphan_watch_flush(struct orphan_watch *watch, struct monitor *monitor, const struct settings *settings,
                uint64_t now, bool dry_run, budget_sink_t sink, void *context);

/* When it is to be called next: CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t orphan_watch_due_usec(const struct orphan_watch *watch, const struct settings *settings);

/* Whether @bytes are too many, where they @were before. */
bool orphan_watch_is_over(uint64_t bytes, uint64_t high, bool were);
