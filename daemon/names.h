/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the daemon finds the names of workloads. */
#pragma once

#include <stdbool.h>

#include "account/monitor.h"
#include "account/workloads.h"

/*
 * Begins with what is known of the names of @monitor's cgroups. To be done before budgets are looked for, which may go
 * by names. What is not the @system's, as its configuration is not, may be a test's. Returns 0 or -ENOMEM.
 */
int start_workloads(struct workloads *workloads, struct monitor *monitor, bool system);
