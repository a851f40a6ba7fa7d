/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets in force: which limits a cgroup has, and its state ok → high → max and back, with hysteresis. Pure decisions:
 * nothing is read, sent or frozen here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "policy/config.h"

enum budget_level {
        LEVEL_OK,
        LEVEL_HIGH, /* over High= or FootprintRatioHigh= */
        LEVEL_MAX,  /* over Max=, MapsMax= or ProgramsMax= */
};

/* Counts of what happened in a cgroup since it has had a budget. They only grow, and survive restarts of the daemon. */
struct budget_events {
        uint64_t high;      /* times that High was passed */
        uint64_t max;       /* times that Max was passed */
        uint64_t denied;    /* growths refused */
        uint64_t throttled; /* pauses */
        uint64_t throttled_usec;
};

/* The limits of a budget. */
enum budget_limit {
        LIMIT_NONE,
        LIMIT_MAX,
        LIMIT_MAPS,
        LIMIT_PROGRAMS,
        LIMIT_HIGH,
        LIMIT_FOOTPRINT_RATIO,
        LIMITS,
        LIMIT_UNBOUNDED = LIMITS, /* not a limit of usage: the refusal of maps without a ceiling */
        LIMIT_MAP_FILL,           /* of single maps, not of a cgroup: enforce/fills.h */
        LIMIT_ORPHANS,            /* of all orphans: enforce/orphanwatch.h */
};

/* The answer of policy_update(). */
struct policy_change {
        enum budget_level from, to;
        enum budget_limit limit; /* that is exceeded now, or that was if to is LEVEL_OK */
};

/* The limits that a cgroup's owner may set by xattrs. */
enum owner_limit {
        OWNER_HIGH,
        OWNER_MAX,
        OWNER_LIMITS,
};

/* How many warnings were logged since when (CLOCK_MONOTONIC); zeroed at first. */
struct warning_window {
        uint64_t start_usec;
        unsigned int count;
};

/* The budget of one cgroup. */
struct policy {
        const struct budget *budget;
        uint64_t high, max; /* in force: the budget's, lowered by the cgroup's owner; BUDGET_INFINITY: none */
        uint64_t lowered_high, lowered_max; /* what the owner asked the daemon for; BUDGET_INFINITY: nothing */
        char *ignored[OWNER_LIMITS]; /* what is wrong with an xattr of the owner's, which is ignored; NULL: nothing */
        enum budget_level level;
        enum budget_limit limit; /* that is exceeded; of several, the first of the highest level */
        uint32_t over;           /* bit n: limit n was exceeded and is not clear again */
        struct budget_events events;
        uint64_t last_usage; /* bytes, at the last evaluation */
        bool refused;        /* the gate has refused since the last evaluation: read its count */
        bool has_domain;     /* the gate knows its limits */
        bool rss_unknown;    /* RSS was not read: 0 is not compared with limits */

        /* Rate limit of the alerts. */
        uint64_t window_start_usec;
        uint32_t sent, suppressed;
        enum budget_level reported; /* the highest one in this window */

        /* The same for alerts about maps that are nearly full. */
        uint64_t fills_start_usec;
        uint32_t fills, fills_suppressed;

        struct warning_window warnings; /* about ignored xattrs */
        struct policy_change held;      /* the last one that was not reported; none if from equals to */
};

/* Frees what @policy has of its own. */
void policy_deinit(struct policy *policy);

/*
 * Sets the limits in force: those of @budget, lowered to @own_high and @own_max (bytes; BUDGET_INFINITY: not set) if
 * those are lower. A Max below High lowers High with it. Level and events are kept.
 */
void policy_set(struct policy *policy, const struct budget *budget, uint64_t own_high, uint64_t own_max);

/* Continues at @level, at which a previous daemon left the cgroup. */
void policy_resume(struct policy *policy, enum budget_level level, const struct budget_events *events);

/* The part of @usage, in bytes, that is compared with @policy's limits. */
uint64_t policy_usage(const struct policy *policy, const struct usage *usage);

/*
 * Evaluates the cgroup's new usage. A level begins when a limit is exceeded, and ends when usage is at most
 * ClearPercent= of that limit (for numbers of objects: at most the limit). Counts events. Returns whether the level
 * changed, with *change.
 */
bool policy_update(struct policy *policy, const struct usage *usage, struct policy_change *change);

/*
 * Whether an alert may be sent now; at most @burst in @interval_usec. If so, *suppressed is the number of alerts that
 * were suppressed since the last one.
 */
bool policy_may_alert(struct policy *policy, enum budget_level level, uint64_t now_usec, uint64_t interval_usec,
                uint32_t burst, uint32_t *suppressed);

const char *budget_level_name(enum budget_level level);
const char *budget_limit_name(enum budget_limit limit);
