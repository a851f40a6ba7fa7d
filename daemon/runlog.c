/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runlog.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"

void log_capabilities(const struct kernel *kernel)
{
        size_t count, missing = 0;
        const struct capability *capabilities = kernel_capabilities(kernel, &count);

        for (size_t i = 0; i < count; i++)
                if (!capabilities[i].available) {
                        missing++;
                        /* The service could be given what the kernel would not refuse. */
                        log_message(capabilities[i].permission ? LOG_NOTICE : LOG_DEBUG, "%s is not available: %s (%s)",
                                        capabilities[i].name, capabilities[i].reason, capabilities[i].purpose);
                }
        if (missing)
                log_info("%zu of %zu capabilities are not available here; bpfbudgetd --capabilities lists them",
                                missing, count);
        if (!kernel_tells_growth(kernel))
                log_warning("No sensor reports growth on this kernel: it is polled (PollSec=) if there are budgets");
        else if (!kernel_tells_objects(kernel))
                log_info("No hook reports new maps and programs on this kernel: each flush is a full pass");
}

void log_statistics(const struct monitor *monitor)
{
        const struct monitor_statistics *s = &monitor->statistics;

        log_info("Wake-ups: %llu, flushes: %llu, updated cgroups: %llu, full passes: %llu (the last took %llu us), "
                 "overflows: %llu, drift: %llu",
                        (unsigned long long) kernel_counters(monitor->kernel).wakeups, (unsigned long long) s->flushes,
                        (unsigned long long) s->updated_cgroups, (unsigned long long) s->full_passes,
                        (unsigned long long) s->full_pass_usec, (unsigned long long) s->overflows,
                        (unsigned long long) s->drift);
}

/* libevent would write to stderr itself, and wait for whoever reads there. */
static void on_libevent_message(int severity, const char *message)
{
        log_message(severity >= EVENT_LOG_ERR        ? LOG_ERR
                        : severity == EVENT_LOG_WARN ? LOG_WARNING
                                                     : LOG_DEBUG,
                        "libevent: %s", message);
}

/* It would call exit() itself, without a word: what it has said is in the queue still. */
static void on_libevent_fatal(int error)
{
        (void) error;
        log_stop();
        _exit(EXIT_FAILURE);
}

void log_libevent(void)
{
        event_set_log_callback(on_libevent_message);
        event_set_fatal_callback(on_libevent_fatal);
}
