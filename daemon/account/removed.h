/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds removed cgroups whose removal the sensors could not report because their queue or table was full, so that the
 * daemon stores nothing about cgroups that no longer exist.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/tree.h"
#include "kernel/kernel.h"

/* Private to removed.c. */
struct removed {
        struct tree *tree;
        uint64_t due_usec;  /* CLOCK_MONOTONIC: when to look for some; UINT64_MAX: none is missing */
        uint64_t rest_usec; /* how long to wait after the last search */
};

void removed_init(struct removed *removed, struct tree *tree);

/*
 * Looks for removed cgroups if the sensors have lost some since the last call, or if @lost; also from time to time, as
 * long as there are more cgroups than the table of the sensors has room for. tree_prune() then forgets those found.
 */
void removed_flush(struct removed *removed, struct kernel *kernel, bool lost);

/* Looks for removed cgroups unconditionally. The sensors forget them, too, and watch all other cgroups of the tree. */
void removed_find(struct tree *tree, struct kernel *kernel);

/* When removed_flush() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: only after an event. */
uint64_t removed_due_usec(const struct removed *removed);
