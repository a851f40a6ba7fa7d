/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports what the daemon can do on this host: readiness.h, applied to the facts of kernel/host.h. */
#pragma once

#include "account/monitor.h"
#include "enforce/readiness.h"

/*
 * Examines the host with the kernel side and the cgroup file system of @monitor, which may have been opened with
 * probe_only. The obstacles are those of a running daemon, as in struct readiness_facts.
 */
void doctor_examine(const struct monitor *monitor, const char *throttle_obstacle, const char *refusal_obstacle,
                struct readiness *readiness);

/* The same without a daemon: opens the kernel side only to probe it. Returns 0 or a negative errno, logged. */
int doctor_examine_host(struct readiness *readiness);
