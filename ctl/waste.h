/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that could be saved by creating maps in another way, or by other boot options. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Smaller findings, in bytes, are not reported. */
#define WASTE_MIN (64 * 1024)

/* A preallocated map with fewer entries than this percentage of max_entries is nearly empty. */
#define WASTE_EMPTY_PERCENT 10

/*
 * Appends to the array @findings what @object (an Object of the interface) wastes, as {object, type, name, cgroup,
 * allocated, saved, reason, change}: a preallocated hash that is nearly empty, and per-CPU memory of CPUs that are
 * possible, but not online. Returns 0 or -ENOMEM.
 */
int waste_find(const json_t *object, uint32_t possible_cpus, uint32_t online_cpus, json_t *findings);

/* Returns the same for all @objects on this machine, largest first, as a new array; NULL: no memory. */
json_t *waste_of(const json_t *objects);
