/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries in the journal of the unit that is concerned: what happened, who did it, and what to do (by the catalog). */
#pragma once

#include <stdint.h>

#include "account/ledger.h"
#include "account/monitor.h"
#include "account/tree.h"
#include "bpf/gaterecords.h"
#include "bpf/records.h"
#include "policy/policy.h"

struct alert {
        const struct cgroup *cgroup;
        const struct policy *policy;
        struct policy_change change;
        uint64_t usage;                   /* bytes */
        int64_t delta;                    /* bytes since the last flush */
        const struct growth_cause *cause; /* NULL: not known */
        uint32_t suppressed;              /* alerts of this cgroup that were not sent before this one */
};

/* A pause of a cgroup that grew over High. */
struct throttle_alert {
        const struct cgroup *cgroup; /* that is paused */
        const struct cgroup *payer;  /* whose budget is over High: it, or one above it */
        uint64_t usage;              /* bytes of the latter */
        uint64_t grown;              /* bytes */
        uint64_t pause_usec;
        const struct growth_cause *cause; /* NULL: not known */
        uint32_t suppressed;              /* pauses of this cgroup that were not told before this one */
};

/* The largest objects of the subtree of @cgroup for an alert: how many are named. */
#define ALERT_TOP 3

/*
 * Sends @alert to the journal, with OBJECT_SYSTEMD_UNIT= so that journalctl -u shows it; to stderr where there is no
 * journal. @dry_run: says so in the text. Returns 0 or a negative errno.
 */
int alert_send(const struct alert *alert, const struct ledger *ledger, bool dry_run);

/* The same for a pause, in the journal of the unit that is paused. */
int alert_send_throttle(const struct throttle_alert *alert, bool dry_run);

/* A growth that the gate refused. */
struct refusal {
        const struct cgroup *cgroup; /* whose limit it was */
        const struct cgroup *grower; /* of the process; NULL: not known */
        const struct gate_event *event;
        uint32_t suppressed; /* as in struct alert */
};

/* Sends @refusal, to the journal of the unit that wanted to grow. Returns 0 or a negative errno. */
int alert_send_refusal(const struct refusal *refusal);
