/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The latest refusals by OnMax=deny since the start of the daemon, for Explain. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "account/tree.h"
#include "policy/event.h"

/* How many are kept: what one looks for is recent, and each is in the journal, too. */
#define REFUSALS_KEPT 128

#define REFUSAL_NAME_SIZE 64

struct kept_refusal {
        uint64_t usec;                  /* CLOCK_REALTIME */
        uint64_t grower_id, payer_id;   /* kernfs ids: who was refused, and whose limit it was; 0: not known */
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
 * Those of processes in @cgroup's subtree of @tree, and where that is not known those of its own budget, the last one
 * first, as an array; NULL: no memory.
 */
json_t *refusal_log_to_json(const struct refusal_log *log, const struct tree *tree, const struct cgroup *cgroup);
