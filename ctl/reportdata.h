/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a report is made of: the largest of each kind, from the daemon or a snapshot, and sums of the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/utsname.h>

#include <jansson.h>

#include "options.h"

/* The maximum numbers of items in a report. */
#define REPORT_CGROUPS   40
#define REPORT_OBJECTS   256
#define REPORT_BUDGETS   20
#define REPORT_ORPHANS   20
#define REPORT_WORKLOADS 8
#define REPORT_EVENTS    40

/* The number of peaks of a workload: one for each hour that the history keeps. */
#define REPORT_POINTS (8 * 24)

enum report_mark {
        MARK_STATE,
        MARK_REFUSAL,
        MARK_THROTTLE,
        REPORT_MARKS,
};

/* Arrays have the largest first, events the latest. Sizes are bytes. */
struct report {
        const struct options *options;
        struct utsname host;
        uint64_t usec;                       /* when it was made, since 1970 */
        json_t *daemon, *statistics;         /* GetInfo, GetStatistics; NULL: --direct */
        json_t *facilities;                  /* of GetReadiness */
        json_t *root;                        /* the row of the root cgroup, with the sums of the machine */
        json_t *cgroups;                     /* rows, ordered by their usage without their subtree */
        uint64_t cgroup_count, cgroup_bytes; /* cgroups with BPF memory of their own; bytes of those in @cgroups */
        json_t *objects;                     /* rows */
        json_t *budgets;                     /* rows of cgroups, by usage in proportion to the limit */
        uint64_t budget_count, over_count;   /* number of cgroups with a budget of their own; number over a limit */
        json_t *orphans;                     /* rows: objects that are orphans for certain */
        uint64_t orphan_count, orphan_bytes; /* number and size of all such objects */
        uint64_t uncertain_count, uncertain_bytes;
        char *no_history; /* why there is no history; NULL: there is one, to which the following members refer */
        json_t *workloads, *events;                  /* rows */
        uint64_t workload_count, event_count;        /* total numbers; without workloads that only contain others */
        uint64_t since, until, begin, covered;       /* microseconds, as GetHistory answers */
        uint32_t marks[REPORT_MARKS][REPORT_POINTS]; /* events from @since to @until */
        size_t points;                               /* of each workload */
};

/* Asks for all of it. Returns 0 or a negative errno, logged. Call report_deinit() for @report in any case. */
int report_collect(struct report *report, const struct options *options);
void report_deinit(struct report *report);
