/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets and settings that are in force, and their defaults. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/glob.h"
#include "policy/values.h"

/* Default of ClearPercent=: a state ends when usage is at most this percentage of its limit, to avoid flapping. */
#define BUDGET_CLEAR_PERCENT 90

/* Default of PollSec=: an operator still considers this to be "now", and a pass over 10,000 maps takes only 4 ms. */
#define SETTINGS_POLL_USEC (5ULL * 1000 * 1000)

/*
 * Defaults of AlertIntervalSec= and AlertBurst=: ok → high → max and back are four alerts, so this permits two full
 * rounds a minute.
 */
#define SETTINGS_ALERT_INTERVAL_USEC (60ULL * 1000 * 1000)
#define SETTINGS_ALERT_BURST         8

/* Default of ThrottleMaxSec=: the longest pause of memory.high (MEMCG_MAX_HIGH_DELAY_JIFFIES, mm/memcontrol.c). */
#define SETTINGS_THROTTLE_MAX_USEC (2ULL * 1000 * 1000)

/* Default of MaxCgroups=: twice the number of existing memory cgroups, and some for each CPU (kernel.c). */
#define SETTINGS_CGROUPS_MAX 0

/* Default of FailMode=: stopping the service on purpose opens the gate; an outage is worse than a missed limit. */
#define SETTINGS_FAIL_CLOSED false

/* Default of Strict=: what the kernel cannot do is reported in the capability table, and the rest still works. */
#define SETTINGS_STRICT false

/* Default of History=: when somebody asks about last week, it is too late to begin recording. */
#define SETTINGS_HISTORY true

/* Defaults of MetricsCgroupsMax= and MetricsMapsMax=: a busy node has some hundred cgroups; each has 12 series. */
#define SETTINGS_METRICS_CGROUPS_MAX 500
#define SETTINGS_METRICS_MAPS_MAX    100

enum budget_action {
        ACTION_ALERT,    /* say it in the journal */
        ACTION_THROTTLE, /* OnHigh= */
        ACTION_DENY,     /* OnMax= */
};

enum budget_attribution {
        BUDGET_CHARGED, /* by the charged cgroup */
        BUDGET_HOLDER,  /* by the cgroup of the holder, if the charged one is gone or another */
};

enum budget_count {
        COUNT_ALLOCATED,
        COUNT_CHARGED,
        COUNT_COMMITTED, /* what the objects can grow to while nobody creates another one */
};

/* What OnMax=deny with Count=committed does with objects that can grow without a limit. */
enum budget_unbounded {
        UNBOUNDED_REFUSE,
        UNBOUNDED_ALLOW, /* they count with their current size */
};

/* One *.budget file. */
struct budget {
        char *name;     /* file name without .budget */
        char *file;     /* path it was read from */
        char **dropins; /* paths that were read after it, in this order */
        size_t dropin_count;

        /* [Match]: a key that is not set matches everything; at least one is. */
        struct patterns cgroups;    /* Cgroup= */
        struct patterns units;      /* Unit=: the unit's own cgroup, not those below it */
        struct patterns users;      /* User=: names or numbers, as given */
        uint32_t *uids;             /* of users, UINT32_MAX where there is no such user */
        struct patterns pods;       /* Pod=: NAMESPACE/NAME; the pod's own cgroup */
        struct patterns containers; /* Container=: the container's own cgroup */

        /* [Budget]; bytes unless said otherwise. */
        uint64_t high, max;              /* BUDGET_INFINITY: none */
        uint32_t footprint_ratio_high;   /* percent of RSS; 0: none */
        uint32_t map_fill_high;          /* percent of max_entries, of each map; 0: none */
        uint64_t maps_max, programs_max; /* how many; BUDGET_INFINITY: any */
        enum budget_action on_high, on_max;
        enum budget_attribution attribution;
        enum budget_count count;
        enum budget_unbounded unbounded;
        uint32_t clear_percent;
};

/* Frees what @budget has of its own. */
void budget_deinit(struct budget *budget);

/* Adds @file to those that @budget was read from. Returns 0 or -ENOMEM. */
int budget_add_file(struct budget *budget, const char *file);

/* Whether @budget matches by names of workloads, which the path of a cgroup does not determine. */
static inline bool budget_has_names(const struct budget *budget)
{
        return budget->pods.count > 0 || budget->containers.count > 0;
}

/* Whether the path alone does not determine if a cgroup has @budget. */
static inline bool budget_needs_more_than_path(const struct budget *budget)
{
        return budget->users.count > 0 || budget_has_names(budget);
}

/* bpfbudgetd.conf, section [Daemon]. */
struct settings {
        uint64_t poll_usec;           /* PollSec=: between passes if no sensor reports growth; 0: none */
        uint64_t alert_interval_usec; /* AlertIntervalSec=: at most AlertBurst= alerts a cgroup in this time */
        uint32_t alert_burst;
        uint64_t throttle_max_usec;           /* ThrottleMaxSec= */
        struct patterns never_throttle;       /* NeverThrottle= */
        uint32_t cgroups_max;                 /* MaxCgroups=: size of the tables in the kernel; 0: from the machine */
        bool fail_closed;                     /* FailMode=open|closed */
        bool strict;                          /* Strict=: refuse to start where OnMax=deny is not available */
        uint64_t orphans_high;                /* OrphansHigh=: bytes; BUDGET_INFINITY: not checked */
        bool history;                         /* History= */
        struct listen_address metrics_listen; /* MetricsListen= */
        uint32_t metrics_cgroups_max;         /* MetricsCgroupsMax=: of cgroups without a budget */
        uint32_t metrics_maps_max;            /* MetricsMapsMax= */
};

struct config {
        struct settings settings;
        struct budget *budgets; /* in their order: the first one that matches is a cgroup's */
        size_t count;
        struct automaton *automaton; /* of those that are not late; NULL: all are */
        uint64_t units_fingerprint;  /* of the sections in unit files: policy/unitbudgets.h */
        bool any_late;
        bool *late; /* by budget: matched one by one, as the automaton would be too large */
};
