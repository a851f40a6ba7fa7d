/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often the limits of memory cgroups were reached, of a cgroup and of those above it. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "account/tree.h"
#include "kernel/cgroupfs.h"

/* Since the cgroup was made. */
struct memory_events {
        uint64_t max; /* its own memory.max was reached; on v1 memory.failcnt */
        uint64_t oom; /* and no memory could be reclaimed; on v1 not reported */
};

/* Takes the lines of memory.events(.local) into @events. */
void memory_events_parse(FILE *file, struct memory_events *events);

/* Of @cgroup and each above it that reports them, as an array, the nearest first; NULL: no memory. */
json_t *memory_events_to_json(const struct cgroupfs *cgroupfs, const struct cgroup *cgroup);
