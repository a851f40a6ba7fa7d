/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MapFillHigh=: finds the maps that are nearly full, by their last measurement. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/monitor.h"
#include "policy/config.h"
#include "policy/event.h"

/* The minimum time between two checks of all maps. */
#define FILLS_INTERVAL_USEC (1ULL * 1000 * 1000)

/* Private to fills.c. */
struct fills {
        uint64_t looked_usec; /* CLOCK_MONOTONIC; 0: never */
};

/* Whether any budget of @config has MapFillHigh=. No sensor reports insertions into maps that are preallocated. */
bool fills_wanted(const struct config *config);

/*
 * Checks all maps, if any budget of @config has MapFillHigh= and FILLS_INTERVAL_USEC have passed at @now
 * (CLOCK_MONOTONIC). Calls @sink once for each map that exceeded MapFillHigh= of its cgroup's budget (or of the next
 * one above that has it), and for each that fell below it again. @dry_run is copied to the events.
 */
void fills_flush(struct fills *fills, const struct monitor *monitor, const struct config *config, uint64_t now,
                bool dry_run, budget_sink_t sink, void *context);
