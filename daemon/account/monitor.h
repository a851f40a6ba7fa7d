/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps ledger and tree up to date: by a flush of what the sensors have reported as updated, or by a full pass, at the
 * start and where the kernel reports nothing.
 */
#pragma once

#include <stdint.h>

#include "account/ledger.h"
#include "account/owners.h"
#include "account/removed.h"
#include "account/rss.h"
#include "account/tree.h"
#include "kernel/kernel.h"

/* Between two flushes: what changes meanwhile is taken together. */
#define MONITOR_FLUSH_INTERVAL_USEC (10 * 1000)

/* A flush after so long is a full pass instead, which audits what the hooks reported, and looks for removed cgroups. */
#define MONITOR_AUDIT_INTERVAL_USEC (300ULL * 1000 * 1000)
/*
 * So long after an update the monitor checks whether the kernel missed hooks; a full pass makes up for that. On a busy,
 * preemptible machine it misses hooks all the time: the passes take a part in this of the time at most.
 */
#define MONITOR_MISSED_INTERVAL_USEC (1ULL * 1000 * 1000)
#define MONITOR_MISSED_SHARE         20

/* No hook reports the entries of preallocated maps: for a query they are counted again if that was so long ago. */
#define MONITOR_FILL_INTERVAL_USEC (1ULL * 1000 * 1000)

/*
 * Between two passes over all open files, which take place for budgets with Attribution=holder: so long at least, and
 * so many times what the last one took.
 */
#define MONITOR_HOLDERS_INTERVAL_USEC (1ULL * 1000 * 1000)
#define MONITOR_HOLDERS_SHARE         50

/* Whether what processes of @cgroup hold is its own though others are charged for it. */
typedef bool (*monitor_by_holder_t)(void *context, const struct cgroup *cgroup);

struct monitor_statistics {
        uint64_t flushes;         /* of what was updated */
        uint64_t full_passes;     /* over all objects, at start, instead of a flush, or as audit */
        uint64_t full_pass_usec;  /* how long the last one took */
        uint64_t updates;         /* taken from the queue */
        uint64_t overflows;       /* of queue and tables, and hooks that were missed: each answered by a full pass */
        uint64_t drift;           /* objects that an audit found to differ from what the hooks reported */
        uint64_t updated_cgroups; /* summed over the flushes */
        uint64_t rss_passes;      /* over tasks */
};

/* Whose growth it was; pid 0 if that is not known. */
struct growth_cause {
        uint64_t cgroup_id;
        uint32_t pid;
        char comm[OBJECT_NAME_SIZE];
};

struct monitor {
        struct kernel *kernel;
        struct cgroupfs cgroupfs;
        struct tree tree;
        struct ledger ledger;
        struct monitor_statistics statistics;
        struct growth_cause *causes; /* who caused the growth that the last flush took, the latest last */
        size_t cause_count;

        /* Private to monitor.c. */
        uint64_t *charged_ids; /* cgroups taken from the queue in this flush */
        size_t charged_count, charged_new;
        struct update *objects; /* taken from the queue in this flush: new and freed ones */
        size_t object_count;
        bool filled;            /* a new object of this flush has entries: it grows already */
        struct creator creator; /* who made the last new object of this flush; pid 0: nobody yet */
        uint64_t overflows_seen, missed_seen;
        uint64_t fill_usec;       /* CLOCK_MONOTONIC: when the entries of preallocated maps were counted */
        uint64_t missed_due_usec; /* CLOCK_MONOTONIC: when to look for hooks that were missed; UINT64_MAX: never */
        bool missed_again;        /* a full pass made up for some, and another one is to follow */
        bool complete;            /* there was a full pass, and the last one did not fail */
        uint64_t last_audit_usec; /* CLOCK_MONOTONIC */
        struct removed removed;
        struct owners owners;
        struct rss rss;
        monitor_by_holder_t by_holder; /* NULL: none is */
        void *by_holder_context;
        uint64_t holders_usec;      /* CLOCK_MONOTONIC: when the last pass over holders ended */
        uint64_t holders_took_usec; /* how long it took */
        bool holders_stale;         /* there may be other holders since */
        bool again;                 /* the last flush took updates: the next one looks at the same cgroups once more */
};

/*
 * Opens the kernel side with @options and reads everything once (unless options->probe_only). Returns 0 or a negative
 * errno as kernel_open(); it has logged why. @monitor is to be given to monitor_deinit() in any case.
 */
int monitor_init(struct monitor *monitor, const struct kernel_options *options);
void monitor_deinit(struct monitor *monitor);

/* From now on the cgroups of objects whose cgroup is gone are kept in @file, as owners.h says. */
void monitor_keep_owners(struct monitor *monitor, const char *file);

/* Flushes what the charge paths updated. Returns 0 or a negative errno, logged; then the next one is a full pass. */
int monitor_flush(struct monitor *monitor);

/* Whether monitor_flush() has to be called again after MONITOR_FLUSH_INTERVAL_USEC though no sensor will wake the
 * caller. */
bool monitor_wants_flush(const struct monitor *monitor);

/*
 * Lets the next flush measure again what grows in the cgroup @cgroup_id, whatever the sensors tell. Returns 0 or
 * -ENOMEM.
 */
int monitor_look_again(struct monitor *monitor, uint64_t cgroup_id);

/* From the next flush on @by_holder is asked for each cgroup that holds something; NULL: no more. */
void monitor_set_by_holder(struct monitor *monitor, monitor_by_holder_t by_holder, void *context);

/* When monitor_flush() has to be called though nothing is updated: CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t monitor_due_usec(const struct monitor *monitor);

/* Brings everything up to date that no sensor reports; RSS only if @rss, as its sensors slow page faults down. Returns
 * as monitor_flush(). */
int monitor_poll(struct monitor *monitor, bool rss);

/* Brings everything up to date for a query, RSS as well. Returns as monitor_flush(). */
int monitor_refresh(struct monitor *monitor);

/* Brings only RSS up to date. Returns 0; -EOPNOTSUPP: this kernel does not tell; another negative errno, logged. */
int monitor_refresh_rss(struct monitor *monitor);
