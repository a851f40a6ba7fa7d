/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the budget of a cgroup, and its limits in force: those of the budget, lowered by the cgroup's owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"
#include "policy/policy.h"

/* Set by the owner of a cgroup to lower its budget. */
#define XATTR_HIGH "user.bpfbudget.high"
#define XATTR_MAX  "user.bpfbudget.max"

/*
 * The budget in @config for the cgroup @id, by its complete @path, by the owner of its directory, and by the @workload
 * whose own cgroup it is (NULL: of none); NULL: it has no budget.
 */
const struct budget *limits_find_budget(const struct config *config, const struct cgroupfs *cgroupfs, uint64_t id,
                const char *path, const struct workload *workload);

/*
 * Sets the limits of @cgroup's policy: those of @budget, lowered by the owner with SetBudget or by xattrs, in which
 * sizes may be in percent of @ram (bytes). xattrs change without notice, so this is called whenever usage changed.
 * Invalid xattrs are logged once, and noted in the policy. Returns whether Max changed.
 */
bool limits_set(const struct cgroup *cgroup, const struct budget *budget, const struct cgroupfs *cgroupfs,
                uint64_t ram);

/*
 * Logs that an xattr of @cgroup has no effect, if it has one: @cgroup has no budget that its owner could lower. Owners
 * may make many cgroups, so *warnings, zeroed at first, bounds this to a few a minute.
 */
void limits_warn_of_unused(
                struct warning_window *warnings, const struct cgroup *cgroup, const struct cgroupfs *cgroupfs);
