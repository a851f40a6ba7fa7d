/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keyed hashes of the paths of cgroups, as the gate makes them (bpf/pathhash.h). */
#pragma once

#include <stdint.h>

#include "bpf/pathhash.h"

/*
 * The hash of the cgroup @path with the key @seed, equal to the one that the gate computes when a cgroup is created.
 * Zeroes if @path is NULL (not known).
 */
struct path_hash hash_path(const uint64_t seed[2], const char *path);
