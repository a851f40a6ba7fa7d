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

/* The time between two flushes; changes within it are flushed together. */
#define MONITOR_FLUSH_INTERVAL_USEC (10 * 1000)

/*
 * After this time, a flush is a full pass instead, which checks what the hooks reported, and looks for removed cgroups.
 */
#define MONITOR_AUDIT_INTERVAL_USEC (300ULL * 1000 * 1000)
/*
 * This long after an update, the monitor checks whether the kernel missed hooks; if so, a full pass follows. A busy,
 * preemptible machine misses hooks all the time, so the passes take at most a bounded share of the time.
 */
#define MONITOR_MISSED_INTERVAL_USEC (1ULL * 1000 * 1000)
#define MONITOR_MISSED_SHARE         20

/* No hook reports the entries of preallocated maps. A query counts them again if the last count is older than this. */
#define MONITOR_FILL_INTERVAL_USEC (1ULL * 1000 * 1000)

/*
 * The minimum time between two passes over all open files, for budgets with Attribution=holder, also as a multiple of
 * the duration of the last pass.
 */
#define MONITOR_HOLDERS_INTERVAL_USEC (1ULL * 1000 * 1000)
#define MONITOR_HOLDERS_SHARE         50

/* Whether objects that processes of @cgroup hold belong to it although other cgroups are charged for them. */
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

/* The process that caused a growth; pid 0 if it is not known. */
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
        uint64_t missed_due_usec; /* CLOCK_MONOTONIC: when to check for missed hooks; UINT64_MAX: never */
        bool missed_again;        /* a full pass followed missed hooks, and another one is due */
        bool complete;            /* the last full pass succeeded; false before the first one */
        uint64_t last_audit_usec; /* CLOCK_MONOTONIC */
        struct removed removed;
        struct owners owners;
        struct rss rss;
        monitor_by_holder_t by_holder; /* NULL: none is */
        void *by_holder_context;
        uint64_t holders_usec;      /* CLOCK_MONOTONIC: when the last pass over holders ended */
        uint64_t holders_took_usec; /* how long it took */
        bool holders_stale;         /* the holders may have changed since */
        bool again;                 /* the last flush took updates: the next one looks at the same cgroups once more */
};

/*
 * Opens the kernel side with @options and reads everything once (unless options->probe_only). Returns 0 or a negative
 * errno as kernel_open(); it has logged why. @monitor is to be given to monitor_deinit() in any case.
 */
int monitor_init(struct monitor *monitor, const struct kernel_options *options);
void monitor_deinit(struct monitor *monitor);

/* From now on the last owners of objects whose cgroup is gone are stored in @file (owners.h). */
void monitor_keep_owners(struct monitor *monitor, const char *file);

/* Flushes what the charge paths updated. Returns 0 or a negative errno, logged; then the next one is a full pass. */
int monitor_flush(struct monitor *monitor);

/* Whether monitor_flush() has to be called again after MONITOR_FLUSH_INTERVAL_USEC though no sensor will wake the
 * caller. */
bool monitor_wants_flush(const struct monitor *monitor);

/*
 * Makes the next flush measure the objects that grow in the cgroup @cgroup_id again, whatever the sensors report.
 * Returns 0 or -ENOMEM.
 */
int monitor_look_again(struct monitor *monitor, uint64_t cgroup_id);

/* From the next flush on, @by_holder is called for each cgroup that holds something; NULL: no longer. */
void monitor_set_by_holder(struct monitor *monitor, monitor_by_holder_t by_holder, void *context);

/* When monitor_flush() has to be called though nothing is updated: CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t monitor_due_usec(const struct monitor *monitor);

/* Brings everything up to date that no sensor reports; RSS only if @rss, as its sensors slow page faults down. Returns
 * as monitor_flush(). */
int monitor_poll(struct monitor *monitor, bool rss);

/* Brings everything up to date for a query, RSS as well. Returns as monitor_flush(). */
int monitor_refresh(struct monitor *monitor);

/*
 * Brings only RSS up to date. Returns 0; -EOPNOTSUPP: this kernel does not report it; another negative errno, logged.
 */
int monitor_refresh_rss(struct monitor *monitor);
