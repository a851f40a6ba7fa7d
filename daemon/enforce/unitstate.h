/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager says of a unit. systemctl freeze writes nothing to the cgroup of a unit that is frozen
 * already (unit_cgroup_freezer_action(), src/core/cgroup.c): only the unit's FreezerState tells.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The manager's own socket, as systemctl uses it for root: it needs no message bus. */
#define MANAGER_ADDRESS   "unix:path=/run/systemd/private"
#define MANAGER_UNITS     "/org/freedesktop/systemd1/unit"
#define MANAGER_INTERFACE "org.freedesktop.systemd1"

/*
 * An answer takes a millisecond. A manager that gives none in the first time is not waited for any longer, and is not
 * asked for as long as the last one. Who has no loop to keep waiting, and comes when the manager has just noticed that
 * the daemon died, can wait for longer.
 */
#define UNIT_STATE_WAIT_USEC         (250ULL * 1000)
#define UNIT_STATE_RELEASE_WAIT_USEC (2ULL * 1000 * 1000)
#define UNIT_STATE_QUIET_USEC        (5ULL * 1000 * 1000)

/* All zeroes at first, or with another time to wait. */
struct unit_state {
        uint64_t quiet_until_usec; /* CLOCK_MONOTONIC */
        uint64_t wait_usec;        /* 0: UNIT_STATE_WAIT_USEC */
};

/*
 * Whether the service manager was told to freeze the unit whose own cgroup @path is, below the mount of cgroups.
 * false also if that is the cgroup of no unit, or there is no answer.
 */
bool unit_state_is_frozen(struct unit_state *state, const char *path);

/* The same of the manager at @address. */
bool unit_state_is_frozen_at(struct unit_state *state, const char *path, const char *address);
