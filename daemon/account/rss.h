/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The RSS of the cgroups' processes. Its sensors run on each page fault of the machine, so they are attached only while
 * somebody asks: a client, metrics, a budget with FootprintRatioHigh=. The first question after a rest reads all tasks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "kernel/kernel.h"

/* The sensors are detached this long after the last query. */
#define RSS_IDLE_USEC (5 * 60 * 1000000ULL)

/* Private to rss.c. */
struct rss {
        struct tree *tree;
        struct kernel *kernel;
        uint32_t epoch;
        bool complete;       /* all RSS was read, and later changes are in the queue */
        uint64_t asked_usec; /* CLOCK_MONOTONIC: the last time */
};

void rss_init(struct rss *rss, struct tree *tree, struct kernel *kernel);

/*
 * Brings the RSS of the tree up to date; tree_flush() then adds it up. *@read: whether a pass over tasks was needed.
 * Returns 0; -EOPNOTSUPP: this kernel does not report it; another negative errno.
 */
int rss_refresh(struct rss *rss, bool *read);

/* When rss_rest() is to be called: CLOCK_MONOTONIC; UINT64_MAX: not at present. */
uint64_t rss_due_usec(const struct rss *rss);

/* Detaches the sensors if there was no query for RSS_IDLE_USEC. */
void rss_rest(struct rss *rss);
