/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups must not be paused, by their ids: the daemon's own, PID 1's, the journal's, what NeverThrottle=
 * matches, and all that are above these, as they would be frozen with them. What NeverThrottle= matches is looked for
 * in the whole hierarchy now and then, and never below a cgroup that is to be paused: its owner could make that take as
 * long as he likes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"

/* Between two walks of the hierarchy: so many times what the last one took, as it keeps the daemon from all else. */
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
        struct id_entry *never; /* what NeverThrottle= matches, and what is above it */
        uint64_t due_usec;      /* CLOCK_MONOTONIC: when to look for it again at the earliest; 0: at once */
};

/*
 * Finds the daemon's own cgroup in @cgroupfs, which must outlive it. Returns 0, -ENOMEM, or another negative errno:
 * that is not known. @protection is to be given to protection_deinit() in any case.
 */
int protection_init(struct protection *protection, const struct cgroupfs *cgroupfs);
void protection_deinit(struct protection *protection);

/* NeverThrottle= has changed: protection_refresh() is due. */
void protection_reload(struct protection *protection);

/*
 * Looks for what @never matches, if that is due at @now (CLOCK_MONOTONIC in microseconds). What fails is logged, and
 * what was known before stays.
 */
void protection_refresh(struct protection *protection, const struct patterns *never, uint64_t now);

/* Whether @cgroup itself must not be paused, or one above those that are always protected. */
bool protection_covers(const struct protection *protection, const struct cgroup *cgroup, const struct patterns *never);

/* Whether something below @cgroup matched NeverThrottle= at the last protection_refresh(), or @cgroup itself did. */
bool protection_is_above(const struct protection *protection, const struct cgroup *cgroup);
