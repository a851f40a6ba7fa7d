/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The latest refusals by OnMax=deny since the start of the daemon, for Explain. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "account/tree.h"
#include "policy/event.h"

/* The number of refusals that are kept. The recent ones are of interest, and all are in the journal, too. */
#define REFUSALS_KEPT 128

#define REFUSAL_NAME_SIZE 64

struct kept_refusal {
        uint64_t usec;                  /* CLOCK_REALTIME */
        uint64_t grower_id, payer_id;   /* kernfs ids: of the refused process, and of the limit; 0: not known */
        char budget[REFUSAL_NAME_SIZE]; /* cut where it is longer */
        enum budget_limit limit;
        struct object_record object;
        uint32_t pid;
        char comm[OBJECT_NAME_SIZE + 1];
        uint64_t size, used, max;
};

struct refusal_log {
        struct kept_refusal list[REFUSALS_KEPT]; /* a ring */
        size_t count;                            /* how many there were; the last one is at count - 1 */
        uint64_t begin_usec;                     /* CLOCK_REALTIME: when the daemon began */
};

/* Keeps @event, which is an EVENT_REFUSAL. */
void refusal_log_add(struct refusal_log *log, const struct budget_event *event);

/* Since when all refusals are kept, CLOCK_REALTIME: the ring may have lost those before. */
uint64_t refusal_log_since_usec(const struct refusal_log *log);

/*
 * The refusals of processes in @cgroup's subtree of @tree, or, if the process's cgroup is not known, those by its own
 * budget, as an array, latest first; NULL: no memory.
 */
json_t *refusal_log_to_json(const struct refusal_log *log, const struct tree *tree, const struct cgroup *cgroup);
