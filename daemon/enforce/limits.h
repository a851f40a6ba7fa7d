/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which budget a cgroup has, and its limits in force: the budget's, lowered by the cgroup's owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"

/* Set by the owner of a cgroup to lower its budget. */
#define XATTR_HIGH "user.bpfbudget.high"
#define XATTR_MAX  "user.bpfbudget.max"

/*
 * The budget in @config of the cgroup @id at @path, which is complete, of who owns its directory, and of the @workload
 * whose own it is (NULL: none's); NULL: it has none.
 */
const struct budget *limits_find_budget(const struct config *config, const struct cgroupfs *cgroupfs, uint64_t id,
                const char *path, const struct workload *workload);

/*
 * Sets the limits of @cgroup's policy: those of @budget, lowered by what the owner asked the daemon for and by xattrs,
 * in which sizes may be in percent of @ram (bytes). xattrs change without notice, so this is done whenever usage
 * changed; nonsense in them is logged once and kept in the policy. Returns whether Max changed.
 */
bool limits_set(const struct cgroup *cgroup, const struct budget *budget, const struct cgroupfs *cgroupfs,
                uint64_t ram);
