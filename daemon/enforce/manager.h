/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Applies budgets: finds the budget of each new cgroup, lets policy.c decide when usage changed, and emits events. The
 * counts of events survive restarts: they are stored in a file, and mirrored in an xattr of the cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/monitor.h"
#include "account/workloads.h"
#include "enforce/admission.h"
#include "enforce/enforce.h"
#include "enforce/eventstore.h"
#include "enforce/fills.h"
#include "enforce/limits.h"
#include "enforce/newcgroups.h"
#include "enforce/orphanwatch.h"
#include "policy/config.h"
#include "policy/event.h"
#include "policy/policy.h"

/* The time between two measurements of objects that can shrink without notice, while a cgroup is over High. */
#define MANAGER_REMEASURE_INTERVAL_USEC (5ULL * 1000 * 1000)

/* Parameters of manager_init(). */
struct manager_options {
        struct monitor *monitor;     /* whose tree it watches */
        struct workloads *workloads; /* of that tree; NULL: workloads have no names */
        const char *state_file;      /* is read if it exists; NULL: events do not survive a restart */
        const char *frozen_file;     /* record of what is paused; NULL: nothing can be */
        uint64_t ram;                /* bytes, for values in percent */
        bool dry_run;                /* only decide; neither pause nor refuse */
        budget_sink_t sink;          /* receives all events */
        void *sink_context;
};

struct manager {
        struct monitor *monitor;
        struct workloads *workloads; /* NULL: workloads have no names */
        struct config config;
        bool dry_run;
        uint64_t ram;         /* bytes, for values in percent */
        size_t over_high;     /* cgroups that are not ok */
        const char *obstacle; /* why OnMax=deny is not in force though a budget asks for it; NULL: it is, or none does
                               */

        /* Private to manager.c. */
        budget_sink_t sink;
        void *sink_context;
        uint64_t held_due_usec;      /* when the first delayed alert is to be sent; UINT64_MAX: there is none */
        bool rss_asked, rss_unknown; /* in this manager_apply(): whether RSS was read, and whether that failed */
        uint64_t remeasured_usec;    /* when the cgroups over High were measured again */
        struct enforce enforce;
        struct admission admission;
        struct event_store events;
        struct fills fills;
        struct orphan_watch orphan_watch;
        struct new_cgroups new_cgroups;
        struct warning_window unused_warnings;
};

/*
 * Begins with @options, which are copied, and @config, which it takes over. Returns 0, -ENOMEM, or -EOPNOTSUPP:
 * Strict=yes, and a budget has OnMax=deny, which this kernel does not permit (logged). @manager is to be given to
 * manager_deinit() in any case, before the monitor ends.
 */
int manager_init(struct manager *manager, const struct manager_options *options, struct config *config);
void manager_deinit(struct manager *manager);

/* Why OnHigh=throttle is not in force; NULL: it is. */
static inline const char *manager_throttle_obstacle(const struct manager *manager)
{
        return enforce_obstacle(&manager->enforce);
}

/* Puts @config, which it takes over, in force instead. Levels and events of cgroups that still have a budget are kept.
 */
int manager_reload(struct manager *manager, struct config *config);

/* After a flush: evaluates the cgroups whose usage changed, pauses what grew over High, and emits what happened. */
void manager_apply(struct manager *manager);

/* Evaluates @cgroup though its usage did not change: its owner may have changed its xattrs. */
void manager_evaluate(struct manager *manager, struct cgroup *cgroup);

/* Gives the cgroups that came to the tree outside of a flush their budgets. */
void manager_adopt_added(struct manager *manager);

/*
 * After workloads_resolve(): gives the cgroups that got a name the budgets that match it. manager_apply() must follow.
 */
void manager_take_names(struct manager *manager);

/* When manager_prepare() and a flush are due although nothing is updated: CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t manager_due_usec(const struct manager *manager);

/*
 * Called before such a flush. No sensor reports when single elements that kmalloc() allocated are freed (tries, local
 * storage). The cgroups that are over High are therefore measured again from time to time, to find out when they no
 * longer are.
 */
void manager_prepare(struct manager *manager);

/* Whether any budget has Attribution=holder; holders change without notice. */
bool manager_needs_holders(const struct manager *manager);

/* When manager_thaw() is to be called next (CLOCK_MONOTONIC in microseconds); UINT64_MAX: nothing is paused. */
uint64_t manager_next_thaw_usec(const struct manager *manager);
/* Ends the pauses that are over. */
void manager_thaw(struct manager *manager);

/* Whether manager_apply() has to be called again after MONITOR_FLUSH_INTERVAL_USEC. */
bool manager_wants_flush(const struct manager *manager);

/* A file descriptor that becomes readable when the gate has something to report; -1 without a gate. */
int manager_gate_fd(const struct manager *manager);
/* Processes what the gate reports: refusals, and new cgroups. */
void manager_take_gate(struct manager *manager);

/*
 * Lowers the limits of @cgroup, which has a budget, to @high and @max (bytes; BUDGET_INFINITY: not) as its owner asks,
 * until the machine boots. Limits that are already lower do not change. manager_apply() must follow. Returns 0 or
 * -ENOMEM.
 */
int manager_lower(struct manager *manager, struct cgroup *cgroup, uint64_t high, uint64_t max);

/* Whether RSS is to be polled: for a budget that compares with it, or for metrics, which are what the last flush has.
 */
bool manager_needs_rss(const struct manager *manager);
