/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon can do on this host: the level of accounting, alerts, throttle and refusal, the reason for each
 * restriction, and the literal remedy. The decision only; nothing is read here.
 */
#pragma once

#include <stddef.h>

#include "kernel/capability.h"
#include "kernel/host.h"

/* The values are exit statuses. */
enum readiness_level {
        READINESS_FULL,
        READINESS_PARTIAL,
        READINESS_NONE,
};

/* The facilities of the daemon. Without accounting it does not start, so the others are not available either. */
enum facility {
        FACILITY_ACCOUNTING,
        FACILITY_ALERTS,
        FACILITY_THROTTLE,
        FACILITY_REFUSAL,
        FACILITIES,
};

extern const char *const facility_names[FACILITIES];
extern const char *const readiness_level_names[];

/* The facts for the decision. */
struct readiness_facts {
        const struct host *host;
        const struct capability *capabilities; /* CAPABILITIES entries, as probe() and kernel_open() leave them */
        /*
         * Why a running daemon does not throttle, or refuse, although a budget requires it; NULL: it does, or no budget
         * requires it.
         */
        const char *throttle_obstacle, *refusal_obstacle;
};

/* Something that restricts facilities. */
struct finding {
        const char *name;                        /* for programs: "no-btf" */
        enum readiness_level levels[FACILITIES]; /* the level to which it restricts each */
        char reason[384];                        /* a sentence */
        char action[160]; /* what to do with the remedy, without a colon; "": no remedy is known */
        char remedy[320]; /* a command, or a line of an option, to be taken literally */
};

#define FINDINGS_MAX 64

struct readiness {
        enum readiness_level level; /* the lowest of all facilities */
        enum readiness_level levels[FACILITIES];
        struct finding findings[FINDINGS_MAX];
        size_t count;
};

/* Decides the levels. Root causes come first; mere consequences of one of them are not listed. */
void readiness_judge(const struct readiness_facts *facts, struct readiness *readiness);
