/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon can do on this host: the level of accounting, alerts, throttle and refusal, the reason for each
 * restriction, and the literal remedy. A pure decision.
 */
#pragma once

#include <stddef.h>

#include "kernel/capability.h"
#include "kernel/host.h"

/* Their numbers are exit statuses. */
enum readiness_level {
        READINESS_FULL,
        READINESS_PARTIAL,
        READINESS_NONE,
};

/* What it is that the daemon does. Without accounting it does not start, and there is nothing of the others either. */
enum facility {
        FACILITY_ACCOUNTING,
        FACILITY_ALERTS,
        FACILITY_THROTTLE,
        FACILITY_REFUSAL,
        FACILITIES,
};

extern const char *const facility_names[FACILITIES];
extern const char *const readiness_level_names[];

/* What the judgement is by. */
struct readiness_facts {
        const struct host *host;
        const struct capability *capabilities; /* CAPABILITIES entries, as probe() and kernel_open() leave them */
        /* Why a daemon that runs does not throttle, or refuse, though it is asked to; NULL: it does, or it is not. */
        const char *throttle_obstacle, *refusal_obstacle;
};

/* Something that takes away from facilities. */
struct finding {
        const char *name;                        /* for programs: "no-btf" */
        enum readiness_level levels[FACILITIES]; /* what it leaves of each */
        char reason[384];                        /* a sentence */
        char action[160]; /* what to do with the remedy, without a colon; "": nothing is known to help */
        char remedy[320]; /* a command, or a line of an option, to be taken literally */
};

#define FINDINGS_MAX 64

struct readiness {
        enum readiness_level level; /* the lowest of all facilities */
        enum readiness_level levels[FACILITIES];
        struct finding findings[FINDINGS_MAX];
        size_t count;
};

/* Judges. The deeper causes come first; what only follows from one of them is not listed. */
void readiness_judge(const struct readiness_facts *facts, struct readiness *readiness);
