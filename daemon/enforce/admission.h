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
 * The minimum number of entries of the gate's table of objects: the 10,000 of a big host, and room to grow. If there
 * are more objects at the start, the table has four times their number.
 */
#define ADMISSION_OBJECTS_MIN 16384

/*
 * Called when a gate has been loaded, and from then on sees what is created. Loading takes a while, so this flushes the
 * monitor and adopts new cgroups: what was created meanwhile is then known before the gate enforces.
 */
typedef void (*admission_catch_up_t)(void *context);

struct admission {
        struct monitor *monitor;
        admission_catch_up_t catch_up;
        gate_event_t take_event;       /* also takes the last events of a gate that is replaced */
        void *context;                 /* of both */
        struct gate *gate;             /* NULL: nothing is refused */
        int events_fd;                 /* becomes readable when the current gate has events; -1: never */
        struct gate *previous;         /* while a fresh one is made: the one that refuses until then */
        struct gate_settlement *queue; /* what the next flush resyncs */
        size_t count;
        bool lost;                   /* the queue could not grow: the next flush resyncs all objects */
        int settle_error;            /* of the last flush, logged */
        uint64_t unbooked;           /* logged so far */
        uint64_t missed;             /* logged so far */
        const struct config *config; /* of the last admission_start() */
        bool rebuild; /* the next flush loads a fresh gate: a table is nearly full, or a domain was inserted between
                         others */
        uint32_t domains_min, objects_min; /* minimum entries of the tables */
        uint64_t *retired;                 /* domains that are to be removed once nothing is booked in them */
        size_t retired_count;
};

/* Begins without a gate. @monitor, and @context of both functions, must outlive it. */
void admission_init(struct admission *admission, struct monitor *monitor, admission_catch_up_t catch_up,
                gate_event_t take_event, void *context);
/* Frees @admission; the gate remains in force by its pins. */
void admission_deinit(struct admission *admission);

/* Why OnMax=deny is not available on this kernel; NULL: it is. */
const char *admission_obstacle(const struct admission *admission);

/*
 * Puts the policies that refuse in force, for all cgroups in the tree, and @config, which must outlive it, for new
 * cgroups: loads a gate if there is none, or a fresh one if domains have other parents now; resyncs all objects, and
 * enforces. Returns 0 or a negative errno, logged: then nothing is refused, except, with FailMode=closed, by a gate
 * that a previous daemon left.
 */
int admission_start(struct admission *admission, const struct config *config);

/* Opens the gate: no budget refuses any longer. */
void admission_stop(struct admission *admission);

/* Called after the policy of @cgroup was created or its limits changed. Failures are logged. */
void admission_set(struct admission *admission, const struct cgroup *cgroup);
/* @cgroup is about to be freed. */
void admission_remove(struct admission *admission, const struct cgroup *cgroup);

/* Resyncs the objects that changed in the ledger since the last call. */
void admission_flush(struct admission *admission);
/* Whether it has to be called again a flush interval later. */
bool admission_wants_flush(const struct admission *admission);
