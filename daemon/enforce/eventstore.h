/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened to budgets, and what their owners asked for, over restarts of the daemon: kept in a file, by the id of
 * the cgroup, and mirrored in an xattr of the cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "kernel/cgroupfs.h"
#include "policy/policy.h"

/* The file is written at most so often; the xattrs of root's cgroups have what came since. */
#define EVENT_STORE_INTERVAL_USEC (1ULL * 1000 * 1000)

/* So often what nobody has asked for since the start is looked for whether its cgroup is gone. */
#define EVENT_STORE_PRUNE_USEC (60ULL * 1000 * 1000)

/* Where events survive a restart. */
#define EVENT_STORE_FILE "/run/bpfbudget/events.json"

/* What happened, written by the daemon. */
#define XATTR_EVENTS "user.bpfbudget.events"

/* What is kept of a cgroup. */
struct kept_events {
        uint64_t id;
        enum budget_level level;
        struct budget_events events;
        uint64_t lowered_high, lowered_max;
        struct policy_change held; /* this and the next are not in the file: a reload goes on with them */
        uint32_t suppressed;
        bool taken; /* a policy has it or had it: event_store_forget() comes. Else it is from a former daemon's file */
        UT_hash_handle hh;
};

/* Private to eventstore.c but for its file's name. */
struct event_store {
        const struct cgroupfs *cgroupfs;
        const char *file; /* NULL: nothing is kept over a restart */
        bool dry_run;
        struct kept_events *kept; /* uthash */
        bool dirty;               /* it differs from the file */
        uint64_t saved_usec;      /* CLOCK_MONOTONIC: when the file was written */
        uint64_t pruned_usec;     /* and when what is gone was looked for */
};

/*
 * Reads @file if it exists (NULL: nothing is kept); what is damaged in it is logged. @dry_run: nothing is written.
 * Returns 0 or -ENOMEM. @store is to be given to event_store_deinit() in any case, which writes what is new.
 */
int event_store_init(struct event_store *store, const struct cgroupfs *cgroupfs, const char *file, bool dry_run);
void event_store_deinit(struct event_store *store);

/* Keeps what there is of @policy of the cgroup @id, for event_store_restore(). Returns 0 or -ENOMEM. */
int event_store_keep(struct event_store *store, uint64_t id, const struct policy *policy);

/* What was kept is to be in the file. */
void event_store_save_later(struct event_store *store);

/* The events of @cgroup's policy have changed: they are kept, in its xattr at once, and in the file soon. */
void event_store_note(struct event_store *store, const struct cgroup *cgroup);

/*
 * Has @cgroup's new policy go on where it was, by what was kept, and by its xattr, which is ahead of the file when a
 * daemon died.
 */
void event_store_restore(const struct event_store *store, const struct cgroup *cgroup);

/* The cgroup @id was removed: ids never come back. */
void event_store_forget(struct event_store *store, uint64_t id);

/* Writes the file if it is due; it is all of it that is written. A failure is logged. */
void event_store_save(struct event_store *store);
/* When event_store_save() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: there is nothing to write. */
uint64_t event_store_due_usec(const struct event_store *store);
