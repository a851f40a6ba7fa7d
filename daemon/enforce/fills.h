/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MapFillHigh=: which maps are nearly full, as the last measurement has them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/monitor.h"
#include "policy/config.h"
#include "policy/event.h"

/* Between two looks at all maps, at least. */
#define FILLS_INTERVAL_USEC (1ULL * 1000 * 1000)

/* Private to fills.c. */
struct fills {
        uint64_t looked_usec; /* CLOCK_MONOTONIC; 0: never */
};

/* Whether any budget of @config has MapFillHigh=. No sensor reports insertions into maps that are preallocated. */
bool fills_wanted(const struct config *config);

/*
 * Looks at all maps, if any budget of @config wants that and FILLS_INTERVAL_USEC are over at @now (CLOCK_MONOTONIC),
 * and gives @sink each that came over MapFillHigh= of its cgroup's budget (or of the next one above that has it), once,
 * and each that fell below it again. @dry_run is passed on.
 */
void fills_flush(struct fills *fills, const struct monitor *monitor, const struct config *config, uint64_t now,
                bool dry_run, budget_sink_t sink, void *context);
