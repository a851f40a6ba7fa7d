/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the tables of the gate up to date: the limits of cgroups whose budgets refuse (OnMax=deny), and the sizes of
 * objects as the ledger measures them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/monitor.h"
#include "enforce/gate.h"
#include "policy/config.h"

/*
 * Entries of the gate's table of objects, at least: 10,000 of a big host and room to grow. Where there are more at the
 * start, four times those.
 */
#define ADMISSION_OBJECTS_MIN 16384

/*
 * Called when a gate has been loaded, which takes a while, and is told of what is made from then on: flushes the
 * monitor and adopts new cgroups, so that what was made meanwhile is known before the gate enforces.
 */
typedef void (*admission_catch_up_t)(void *context);

struct admission {
        struct monitor *monitor;
        admission_catch_up_t catch_up;
        gate_event_t take_event;       /* the last ones of a gate that another one replaces */
        void *context;                 /* of both */
        struct gate *gate;             /* NULL: nothing is refused */
        int events_fd;                 /* polls readable when the gate has events, whichever it is; -1: never any */
        struct gate *previous;         /* while a fresh one is made: the one that refuses until then */
        struct gate_settlement *queue; /* what the next flush settles */
        size_t count;
        bool lost;                   /* the queue could not grow: the next flush settles all objects */
        int settle_error;            /* of the last flush, told */
        uint64_t unbooked;           /* told of so far */
        uint64_t missed;             /* told of so far */
        const struct config *config; /* of the last admission_start() */
        bool rebuild; /* the next flush makes a fresh gate: a table is nearly full, or a domain came in between */
        uint32_t domains_min, objects_min; /* entries that the tables are to have */
        uint64_t *retired;                 /* domains that are to be removed once nothing is booked in them */
        size_t retired_count;
};

/* Begins without a gate. @monitor, and @context of both functions, must outlive it. */
void admission_init(struct admission *admission, struct monitor *monitor, admission_catch_up_t catch_up,
                gate_event_t take_event, void *context);
/* Ends; the gate goes on by its pins. */
void admission_deinit(struct admission *admission);

/* Why OnMax=deny is not available on this kernel; NULL: it is. */
const char *admission_obstacle(const struct admission *admission);

/*
 * Puts the policies of all cgroups in the tree that refuse in force, and @config, which must outlive it, for cgroups
 * that will come: opens the gate if there is none, or makes a fresh one if domains have other parents than in the one
 * there is; settles all objects, and enforces. Returns 0 or a negative errno, logged: then nothing is refused, or with
 * FailMode=closed what a predecessor's gate refuses.
 */
int admission_start(struct admission *admission, const struct config *config);

/* Opens the gate: no budget refuses any more. */
void admission_stop(struct admission *admission);

/* After the policy of @cgroup was made or its limits changed. It has logged what failed. */
void admission_set(struct admission *admission, const struct cgroup *cgroup);
/* @cgroup is about to be freed. */
void admission_remove(struct admission *admission, const struct cgroup *cgroup);

/* Settles what the ledger told since the last time. */
void admission_flush(struct admission *admission);
/* Whether it has to be called again a flush interval later. */
bool admission_wants_flush(const struct admission *admission);
