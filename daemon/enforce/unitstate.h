/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the service manager for the state of a unit. systemctl freeze does not write to the cgroup of a unit that is
 * already frozen (unit_cgroup_freezer_action(), src/core/cgroup.c): only the unit's FreezerState shows it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The manager's own socket, which systemctl uses for root; no message bus is necessary. */
#define MANAGER_ADDRESS   "unix:path=/run/systemd/private"
#define MANAGER_UNITS     "/org/freedesktop/systemd1/unit"
#define MANAGER_INTERFACE "org.freedesktop.systemd1"

/*
 * An answer takes a millisecond. If a manager does not answer within the first of these times, the daemon gives up, and
 * does not ask again during the last of them. The second one is for a process that has no event loop to run, and that
 * starts when the manager has just noticed that the daemon died.
 */
#define UNIT_STATE_WAIT_USEC         (250ULL * 1000)
#define UNIT_STATE_RELEASE_WAIT_USEC (2ULL * 1000 * 1000)
#define UNIT_STATE_QUIET_USEC        (5ULL * 1000 * 1000)

/* All zeroes initially, except for another wait_usec. */
struct unit_state {
        uint64_t quiet_until_usec; /* CLOCK_MONOTONIC */
        uint64_t wait_usec;        /* 0: UNIT_STATE_WAIT_USEC */
};

/*
 * Whether the service manager was told to freeze the unit whose own cgroup @path is, below the mount of cgroups. Also
 * false if no unit has that cgroup, or if there is no answer.
 */
bool unit_state_is_frozen(struct unit_state *state, const char *path);

/* The same for the manager at @address. */
bool unit_state_is_frozen_at(struct unit_state *state, const char *path, const char *address);
