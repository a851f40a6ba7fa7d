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
        EVENT_ORPHANS,  /* orphans exceed OrphansHigh=, or no longer do; @policy is NULL, @cgroup the root */
        EVENT_KINDS,
};

/* Members that are 0 or NULL are not known, or do not apply to this kind. */
struct budget_event {
        enum event_kind kind;
        const struct cgroup *cgroup; /* where it happened */
        const struct policy *policy; /* whose limits were exceeded: that of @cgroup, or of one above it */
        const struct cgroup *payer;  /* the cgroup that has @policy */
        uint64_t usage;              /* bytes that are compared with the limits */
        bool dry_run;                /* it was not done, only decided */

        /* The receivers. An alert that the rate limit delays is sent later, to the journal only. */
        bool publish;        /* subscribers, and the counters */
        bool alert;          /* the journal */
        bool quiet;          /* it is not for the journal: no alert is suppressed */
        uint32_t suppressed; /* alerts of this kind and cgroup that were not sent before this one */

        /* The process that caused it. */
        uint32_t pid;
        const char *comm;

        /* EVENT_STATE, EVENT_FILL (LEVEL_HIGH: over MapFillHigh=) */
        enum budget_level from, to;

        /* EVENT_STATE, EVENT_REFUSAL, EVENT_FILL: the limit that was exceeded, or would have been */
        enum budget_limit limit;

        /* EVENT_STATE: bytes since the last flush; EVENT_THROTTLE: growth in bytes */
        int64_t delta;

        /*
         * EVENT_REFUSAL: the object that was to be created or to grow; kind is 0 if nothing is known about it.
         * EVENT_FILL: the map.
         */
        struct object_record object;
        bool growth;                 /* elements of a map, not a new object */
        bool killed;                 /* the growth could not be refused: the process was killed instead */
        const struct cgroup *grower; /* of the process */
        uint64_t size;               /* bytes that were requested; 0: @limit is a number of objects */
        uint64_t used, max;          /* of @limit at the time of the refusal: bytes, or a number of objects */

        /* EVENT_ORPHANS: @usage is in bytes, @used the number of orphans, @max OrphansHigh=. */

        /* EVENT_THROTTLE */
        uint64_t pause_usec;
};

/* Takes an event; @context is the receiver's. */
typedef void (*budget_sink_t)(void *context, const struct budget_event *event);
