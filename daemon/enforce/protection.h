/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups must not be paused, by their ids: the daemon's own, PID 1's, the journal's, what NeverThrottle=
 * matches, and all cgroups above these, because freezing one of those freezes them, too. Matches of NeverThrottle= are
 * looked for in the whole hierarchy from time to time, and not when a cgroup is about to be paused: its owner could
 * make a search below it take arbitrarily long.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"

/*
 * The time between two walks of the hierarchy, as a multiple of the duration of the last one, because the daemon does
 * nothing else meanwhile.
 */
#define PROTECTION_SHARE 20

/* A set of ids. */
struct id_entry {
        uint64_t id;
        UT_hash_handle hh;
};

/* Private to protection.c. */
struct protection {
        const struct cgroupfs *cgroupfs;
        struct id_entry *own;   /* the daemon's cgroup and those above it */
        struct id_entry *never; /* matches of NeverThrottle=, and the cgroups above them */
        uint64_t due_usec;      /* CLOCK_MONOTONIC: the earliest time of the next search; 0: at once */
};

/*
 * Finds the daemon's own cgroup in @cgroupfs, which must outlive it. Returns 0, -ENOMEM, or another negative errno: the
 * daemon's own cgroup is not known. @protection is to be given to protection_deinit() in any case.
 */
int protection_init(struct protection *protection, const struct cgroupfs *cgroupfs);
void protection_deinit(struct protection *protection);

/* Makes protection_refresh() due, because NeverThrottle= has changed. */
void protection_reload(struct protection *protection);

/*
 * Looks for matches of @never, if that is due at @now (CLOCK_MONOTONIC in microseconds). A failure is logged; the
 * previous result then remains valid.
 */
void protection_refresh(struct protection *protection, const struct patterns *never, uint64_t now);

/* Whether @cgroup itself must not be paused, or is above a cgroup that is always protected. */
bool protection_covers(const struct protection *protection, const struct cgroup *cgroup, const struct patterns *never);

/* Whether something below @cgroup matched NeverThrottle= at the last protection_refresh(), or @cgroup itself did. */
bool protection_is_above(const struct protection *protection, const struct cgroup *cgroup);
