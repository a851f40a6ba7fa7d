/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The share of a part of the cgroup hierarchy in the history: whoever owns a delegated cgroup can make any number of
 * names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct history_store;

/*
 * The maximum number of cgroups that are recorded by their path below one cgroup of the first, second and third level.
 * Deeper cgroups count for the third level, so that more levels do not give more room.
 */
#define HISTORY_SHARE_FIRST  1024
#define HISTORY_SHARE_SECOND 256
#define HISTORY_SHARE_THIRD  64

/*
 * Whether there is room for a series of the @kind and @name that the database does not have yet. A name that has not
 * been used for as long as the history reaches no longer counts. Returns 0 or a negative errno.
 */
int history_has_share(struct history_store *store, uint32_t kind, const char *name, bool *has);
