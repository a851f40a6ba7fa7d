/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

#include <stdlib.h>

/* Where the logs of pods and the state of runtimes are: tests, whose configuration is their own, have theirs, too. */
static const char *workloads_root(bool system)
{
        const char *root = system ? NULL : secure_getenv("BPFBUDGETD_TEST_ROOT");

        return root ?: "";
}

int start_workloads(struct workloads *workloads, struct monitor *monitor, bool system)
{
        struct workloads_options own = {
                .tree = &monitor->tree,
                .cgroupfs = &monitor->cgroupfs,
                .root = workloads_root(system),
                .follow = true,
        };
        int r = workloads_init(workloads, &own);

        return r < 0 ? r : workloads_name_all(workloads);
}
