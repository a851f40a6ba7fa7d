/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New cgroups, which the gate reports before they hold anything: those whose first object may be refused already are
 * put into the tree, so that they get their budget and the gate its limits. A cgroup cannot be found by its id until a
 * moment after it was reported, so it is looked for again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/monitor.h"
#include "policy/config.h"

/* Private to newcgroups.c. */
struct new_cgroups {
        struct monitor *monitor;
        const struct config *config;
        struct unfound_cgroup *unfound; /* made a moment ago, and not to be found yet */
        size_t unfound_count;
        uint64_t unreported; /* that the gate had no room to report, when all were visited last */
};

/* Both must outlive it. */
void new_cgroups_init(struct new_cgroups *new, struct monitor *monitor, const struct config *config);
void new_cgroups_deinit(struct new_cgroups *new);

/* The cgroup @id was made. */
void new_cgroups_take(struct new_cgroups *new, uint64_t id);

/* Visits all cgroups that there are. */
void new_cgroups_find_all(struct new_cgroups *new);

/*
 * Looks again for those that were not found. @unreported: how many the gate could not report so far; if there are more
 * than the last time, all are visited.
 */
void new_cgroups_flush(struct new_cgroups *new, uint64_t unreported);
/* Whether it has to be called again a flush interval later. */
bool new_cgroups_wants_flush(const struct new_cgroups *new);
