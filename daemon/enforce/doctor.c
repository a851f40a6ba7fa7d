/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/doctor.h"

#include "base/cleanup.h"
#include "base/log.h"

void doctor_examine(const struct monitor *monitor, const char *throttle_obstacle, const char *refusal_obstacle,
                struct readiness *readiness)
{
        struct readiness_facts facts = {
                .throttle_obstacle = throttle_obstacle,
                .refusal_obstacle = refusal_obstacle,
        };
        struct host host;
        size_t count;

        facts.capabilities = kernel_capabilities(monitor->kernel, &count);
        host_read(&host, &monitor->cgroupfs, kernel_machine(monitor->kernel));
        facts.host = &host;
        readiness_judge(&facts, readiness);
}

int doctor_examine_host(struct readiness *readiness)
{
        struct kernel_options options = { .probe_only = true };
        _cleanup_(monitor_deinit) struct monitor monitor;
        int priority = log_max_level(), r;

        /* What the start of a daemon would warn of is in the findings. */
        log_set_max_level(priority < LOG_ERR ? priority : LOG_ERR);
        r = monitor_init(&monitor, &options);
        log_set_max_level(priority);
        if (r == 0)
                doctor_examine(&monitor, NULL, NULL, readiness);
        return r;
}
