/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The events of budgets, and the limits that owners of cgroups lowered, across restarts of the daemon. They are stored
 * in a file, by the id of the cgroup; the events are mirrored in an xattr of the cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "kernel/cgroupfs.h"
#include "policy/policy.h"

/* The minimum time between two writes of the file; the xattrs of root's cgroups contain what happened since. */
#define EVENT_STORE_INTERVAL_USEC (1ULL * 1000 * 1000)

/* How often the entries that no policy has used since the start are checked for removed cgroups. */
#define EVENT_STORE_PRUNE_USEC (60ULL * 1000 * 1000)

/* Where events survive a restart. */
#define EVENT_STORE_FILE "/run/bpfbudget/events.json"

/* The events of a cgroup, written by the daemon. */
#define XATTR_EVENTS "user.bpfbudget.events"

/* What is kept of a cgroup. */
struct kept_events {
        uint64_t id;
        enum budget_level level;
        struct budget_events events;
        uint64_t lowered_high, lowered_max;
        struct policy_change held; /* this and the next are not in the file, but survive a reload */
        uint32_t suppressed;
        bool taken; /* a policy has or had it, so event_store_forget() will be called; else it is from the file of a
                       previous daemon */
        UT_hash_handle hh;
};

/* Private to eventstore.c except the name of its file. */
struct event_store {
        const struct cgroupfs *cgroupfs;
        const char *file; /* NULL: nothing survives a restart */
        bool dry_run;
        struct kept_events *kept; /* uthash */
        bool dirty;               /* it differs from the file */
        uint64_t saved_usec;      /* CLOCK_MONOTONIC: when the file was written */
        uint64_t pruned_usec;     /* when removed cgroups were last looked for */
};

/*
 * Reads @file if it exists (NULL: nothing is kept); damaged entries are logged. @dry_run: nothing is written. Returns 0
 * or -ENOMEM. @store is to be given to event_store_deinit() in any case; that function writes what is new.
 */
int event_store_init(struct event_store *store, const struct cgroupfs *cgroupfs, const char *file, bool dry_run);
void event_store_deinit(struct event_store *store);

/* Stores the state of @policy of the cgroup @id for event_store_restore(). Returns 0 or -ENOMEM. */
int event_store_keep(struct event_store *store, uint64_t id, const struct policy *policy);

/* Schedules a write of the file, after event_store_keep(). */
void event_store_save_later(struct event_store *store);

/* Stores the changed events of @cgroup's policy: in its xattr immediately, and in the file soon. */
void event_store_note(struct event_store *store, const struct cgroup *cgroup);

/*
 * Restores the state of @cgroup's new policy from the store, and from its xattr, which is newer than the file if a
 * daemon died.
 */
void event_store_restore(const struct event_store *store, const struct cgroup *cgroup);

/* Forgets the cgroup @id, which was removed; IDs are never reused. */
void event_store_forget(struct event_store *store, uint64_t id);

/* Writes the whole file if that is due. A failure is logged. */
void event_store_save(struct event_store *store);
/* When event_store_save() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: there is nothing to write. */
uint64_t event_store_due_usec(const struct event_store *store);
