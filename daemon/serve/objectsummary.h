/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics of single objects: the largest maps, and objects that have outlived their cgroup. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "account/ledger.h"

struct object_summary {
        const struct object **largest; /* maps whose entries are known, largest first */
        size_t count;
        uint64_t orphaned; /* bytes of objects whose charged cgroup was removed */
};

/* Sums up @ledger, with @maps_max maps at most. Returns 0 or -ENOMEM. @summary is to be given to
 * object_summary_deinit() in any case; it is valid until @ledger changes. */
int object_summary_init(struct object_summary *summary, const struct ledger *ledger, size_t maps_max);
void object_summary_deinit(struct object_summary *summary);
