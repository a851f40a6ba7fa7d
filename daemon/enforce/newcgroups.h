/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New cgroups, which the gate reports before they hold anything: those whose first object may have to be refused are
 * added to the tree, so that they get their budget, and the gate gets their limits. A cgroup can be found by its id
 * only a moment after it was reported, so the search is repeated.
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
        struct unfound_cgroup *unfound; /* created a moment ago, and not found yet */
        size_t unfound_count;
        uint64_t unreported; /* how many the gate had not reported when all were last visited */
};

/* Both must outlive it. */
void new_cgroups_init(struct new_cgroups *new, struct monitor *monitor, const struct config *config);
void new_cgroups_deinit(struct new_cgroups *new);

/* Processes the report that the cgroup @id was created. */
void new_cgroups_take(struct new_cgroups *new, uint64_t id);

/* Visits all cgroups that there are. */
void new_cgroups_find_all(struct new_cgroups *new);

/*
 * Looks again for those that were not found. @unreported: how many the gate could not report so far; if the number has
 * risen since the last call, all cgroups are visited.
 */
void new_cgroups_flush(struct new_cgroups *new, uint64_t unreported);
/* Whether it has to be called again a flush interval later. */
bool new_cgroups_wants_flush(const struct new_cgroups *new);
