/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernel/probe.h"

#define STATE_DIRECTORY "/var/lib/bpfbudget"

/* NULL: there is to be none. */
static const char *find_directory(bool system)
{
        const char *directory = secure_getenv("STATE_DIRECTORY");

        return directory && *directory == '/' ? directory : system ? STATE_DIRECTORY : NULL;
}

void record_start(struct history **history, struct event_base *base, struct monitor *monitor, bool system, bool wanted)
{
        struct history_options options = {
                .base = base,
                .tree = &monitor->tree,
                .ledger = &monitor->ledger,
                .directory = find_directory(system),
        };
        int r;

        if (wanted == (*history != NULL))
                return;
        if (!wanted) {
                history_free(*history, HISTORY_OFF_USEC);
                *history = NULL;
                return;
        }
        if (!options.directory)
                return;
        options.cpus = kernel_machine(monitor->kernel)->settings.possible_cpus;
        r = history_new(&options, history);
        if (r < 0) {
                log_error("There is no history: %s", strerror(-r));
                *history = NULL;
        }
}
