/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pauses cgroups that grow while a budget with OnHigh=throttle, their own or of a cgroup above them, is over High=.
 * Only the cgroup that grew is frozen, not the whole subtree of the budget. throttle.c decides for how long, freezer.c
 * freezes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "enforce/freezer.h"
#include "enforce/protection.h"
#include "enforce/throttle.h"
#include "kernel/capability.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"

/* The state of a cgroup that grew over High. */
struct throttled {
        uint64_t id;
        struct throttle throttle;
        int error; /* of the last failure to freeze it, which was logged; 0: none */
        UT_hash_handle hh;
};

/* Private to enforce.c. */
struct enforce {
        const struct settings *settings;
        const struct tree *tree;
        const char *mount;
        struct protection protection;
        const char *obstacle;
        bool dry_run;
        struct freezer freezer;
        struct throttled *throttled; /* uthash */
};

/* A pause because of a growth. */
struct pause {
        struct cgroup *cgroup; /* that grew */
        struct cgroup *payer;  /* whose budget is over High; of several the one that is furthest over */
        uint64_t grown;        /* bytes */
        uint64_t usec;
        bool tell;           /* an alert is due */
        uint32_t suppressed; /* pauses of this cgroup that were not reported before this one */
};

/* A pause that has ended. */
struct thawed {
        struct cgroup *payer; /* NULL: it is gone, or has no budget any more */
        uint64_t usec;        /* that it has taken */
};

/*
 * Prepares to pause cgroups of @tree, whose paths are below @cgroupfs. @settings may change later. Frozen cgroups are
 * recorded in @file (NULL: nothing can be paused). @capability says whether cgroups can be frozen here. With @dry_run,
 * nothing is frozen. Returns 0 or -ENOMEM. @enforce is to be given to enforce_deinit() in any case, which thaws
 * nothing.
 */
int enforce_init(struct enforce *enforce, const struct settings *settings, const struct tree *tree,
                const struct cgroupfs *cgroupfs, const struct capability *capability, const char *file, bool dry_run);
void enforce_deinit(struct enforce *enforce);

/* Must be called when the settings have changed. */
void enforce_reload(struct enforce *enforce);

/* Why nothing can be paused here; NULL: it can. */
const char *enforce_obstacle(const struct enforce *enforce);

/*
 * @cgroup has grown by @grown bytes, and the usage of all budgets is up to date, at @now (CLOCK_MONOTONIC in
 * microseconds). Pauses it if that is due, counts the pause in the events of the budget, and returns true with *pause;
 * what failed is logged, once for each cgroup and cause.
 */
bool enforce_grown(struct enforce *enforce, struct cgroup *cgroup, uint64_t grown, uint64_t now, struct pause *pause);

/*
 * Makes those pauses due that have no reason any longer: the budget was raised or removed, it no longer throttles, or
 * usage has fallen below High.
 */
void enforce_review(struct enforce *enforce, uint64_t now);

/*
 * Thaws the next cgroup that is due at @now (@all: all are), and counts in the events of the budget how long it was
 * paused. Returns true with *thawed; false if there is none, or it cannot be thawed, which is logged and tried again.
 */
bool enforce_thaw(struct enforce *enforce, uint64_t now, bool all, struct thawed *thawed);

/*
 * A descriptor that becomes readable when somebody else froze or thawed a paused cgroup, and enforce_thaw() is to be
 * called; -1: there is none. It does not change.
 */
static inline int enforce_fd(const struct enforce *enforce)
{
        return enforce->freezer.watching ? enforce->freezer.inotify : -1;
}

/* When enforce_thaw() is to be called next (CLOCK_MONOTONIC in microseconds); UINT64_MAX: nothing is frozen. */
uint64_t enforce_next_usec(const struct enforce *enforce);

/* Forgets the cgroup @id, which was removed. */
void enforce_forget(struct enforce *enforce, uint64_t id);
