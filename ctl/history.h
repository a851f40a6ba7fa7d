/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last minute of each cgroup, a value a second, for sparklines. */
#pragma once

#include <stdint.h>

#include "base/uthash-nonfatal.h"

#define HISTORY_SECONDS 60

struct history_entry {
        uint64_t id;                      /* of the cgroup */
        uint64_t values[HISTORY_SECONDS]; /* bytes, by second modulo HISTORY_SECONDS; GRAPH_UNKNOWN: not known */
        uint64_t last_second;             /* the newest value's; CLOCK_MONOTONIC */
        UT_hash_handle hh;
};

struct history {
        struct history_entry *by_id; /* uthash */
};

void history_deinit(struct history *history);

/*
 * Records that the cgroup @id had @value bytes in the second @second, which must not be earlier than the last one
 * recorded. The seconds in between get the previous value. Returns 0 or -ENOMEM.
 */
int history_put(struct history *history, uint64_t id, uint64_t second, uint64_t value);

/* Returns the values of the minute that ends with @second, oldest first; GRAPH_UNKNOWN if a value is not known. */
void history_get(const struct history *history, uint64_t id, uint64_t second, uint64_t values[HISTORY_SECONDS]);

/* Removes the cgroups that have no value in the minute before @second. */
void history_prune(struct history *history, uint64_t second);
