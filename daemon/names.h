/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the daemon finds the names of workloads. */
#pragma once

#include <stdbool.h>

#include "account/monitor.h"
#include "account/workloads.h"

/*
 * Reads the names of @monitor's cgroups. Call it before looking for budgets, which may match by name. A daemon that is
 * not the @system's, because it has a configuration of its own, may belong to a test. Returns 0 or -ENOMEM.
 */
int start_workloads(struct workloads *workloads, struct monitor *monitor, bool system);
