/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports what the daemon can do on this host: readiness.h, applied to the facts of kernel/host.h. */
#pragma once

#include "account/monitor.h"
#include "enforce/readiness.h"

/*
 * Judges by the kernel side and the cgroup file system of @monitor, which may have been opened with probe_only. The
 * obstacles are those of struct readiness_facts, of a daemon that runs.
 */
void doctor_examine(const struct monitor *monitor, const char *throttle_obstacle, const char *refusal_obstacle,
                struct readiness *readiness);

/* The same without a daemon: opens the kernel side to probe it only. Returns 0 or a negative errno, logged. */
int doctor_examine_host(struct readiness *readiness);
