/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event of a budget. Whoever decides creates it, and passes it to the journal, subscribers and the history. The
 * event and everything that it points to are valid during the call only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "bpf/records.h"
#include "policy/policy.h"

enum event_kind {
        EVENT_STATE,    /* a cgroup's level changed */
        EVENT_REFUSAL,  /* a growth past Max was refused */
        EVENT_THROTTLE, /* a cgroup over High was paused */
        EVENT_FILL,     /* a map is nearly full, or is not any more */
        EVENT_ORPHANS,  /* what nobody holds is too much, or is not any more; @policy is NULL, @cgroup the root */
        EVENT_KINDS,
};

/* What is 0 or NULL is not known, or not of this kind. */
struct budget_event {
        enum event_kind kind;
        const struct cgroup *cgroup; /* where it happened */
        const struct policy *policy; /* whose limits were passed: of @cgroup, or of one above it */
        const struct cgroup *payer;  /* the cgroup that @policy is of */
        uint64_t usage;              /* bytes that the limits are about */
        bool dry_run;                /* it was not done, only decided */

        /* Who is to hear of it. An alert that the rate limit holds back comes later, for the journal alone. */
        bool publish;        /* subscribers, and the counters */
        bool alert;          /* the journal */
        bool quiet;          /* it is not one for the journal: none is missing there */
        uint32_t suppressed; /* alerts of this kind and cgroup that were not sent before this one */

        /* The process that caused it. */
        uint32_t pid;
        const char *comm;

        /* EVENT_STATE, EVENT_FILL (LEVEL_HIGH: over MapFillHigh=) */
        enum budget_level from, to;

        /* EVENT_STATE, EVENT_REFUSAL, EVENT_FILL: the limit that was passed, or would have been */
        enum budget_limit limit;

        /* EVENT_STATE: bytes since the last flush; EVENT_THROTTLE: bytes that it grew by */
        int64_t delta;

        /* EVENT_REFUSAL: what was to be made or to grow. kind is 0 if nothing is known of it. EVENT_FILL: the map. */
        struct object_record object;
        bool growth;                 /* elements of a map, not a new object */
        bool killed;                 /* which could not be refused: the process was killed instead */
        const struct cgroup *grower; /* of the process */
        uint64_t size;               /* bytes that it would have taken; 0: it is about a number of objects */
        uint64_t used, max;          /* of @limit, when it was refused: bytes, or a number of objects */

        /* EVENT_ORPHANS: @usage is bytes, @used how many objects that is, @max OrphansHigh=. */

        /* EVENT_THROTTLE */
        uint64_t pause_usec;
};

/* Takes an event; @context is the receiver's. */
typedef void (*budget_sink_t)(void *context, const struct budget_event *event);
