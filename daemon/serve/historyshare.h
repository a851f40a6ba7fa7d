/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The share of a part of the cgroup hierarchy in the history: whoever owns a delegated cgroup can make any number of
 * names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct history_store;

/*
 * How many cgroups that are known by their path are kept below one cgroup of the first level, the second and the third.
 * Cgroups further down count as of the third, so that it does not help to make more parents.
 */
#define HISTORY_SHARE_FIRST  1024
#define HISTORY_SHARE_SECOND 256
#define HISTORY_SHARE_THIRD  64

/*
 * Whether there is room for a series of the @kind and @name that the database does not have yet. A name that is older
 * than the history has left it, and makes room. Returns 0 or a negative errno.
 */
int history_has_share(struct history_store *store, uint32_t kind, const char *name, bool *has);
