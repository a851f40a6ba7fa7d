/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens to budgets, as it is told to whoever subscribes. */
#pragma once

#include <stdint.h>

#include "account/tree.h"
#include "bpf/records.h"
#include "policy/policy.h"

enum event_kind {
        EVENT_STATE,    /* a cgroup's level changed */
        EVENT_REFUSAL,  /* a growth past Max was refused */
        EVENT_THROTTLE, /* a cgroup over High was paused */
        EVENT_KINDS,
};

/* What is 0 or NULL is not known, or not of this kind. */
struct budget_event {
        enum event_kind kind;
        const struct cgroup *cgroup; /* where it happened */
        const struct policy *policy; /* whose limits were passed: of @cgroup, or of one above it */
        uint64_t usage;              /* bytes that the limits are about */

        /* The process that caused it. */
        uint32_t pid;
        const char *comm;

        /* EVENT_STATE */
        enum budget_level from, to;

        /* EVENT_STATE, EVENT_REFUSAL: the limit that was passed, or would have been */
        enum budget_limit limit;

        /* EVENT_REFUSAL: what was to be made or to grow. kind is 0 if nothing is known of it. */
        struct object_record object;
        uint64_t size; /* bytes that it would have taken; 0: it is about a number of objects */

        /* EVENT_THROTTLE */
        uint64_t pause_usec;
};
