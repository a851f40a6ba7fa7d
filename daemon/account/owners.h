/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose objects were whose cgroup is gone, over restarts of the daemon. The kernel charges the parent for them from
 * then on, and has no record of the cgroup; so they are kept in a file, for as long as the machine runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/ledger.h"

/* Below what lives until the machine boots. */
#define OWNERS_FILE "/run/bpfbudget/owners"

/* The file is written at most so often. */
#define OWNERS_INTERVAL_USEC (5ULL * 1000 * 1000)

/* What is kept: so many objects, the oldest first of those whose cgroup is gone, whose cgroups have paths of at most so
 * many bytes. */
#define OWNERS_MAX      16384
#define OWNERS_PATH_MAX 1024

/* Private to owners.c. */
struct owners {
        const char *file;    /* NULL: nothing is kept */
        uint64_t saved_usec; /* CLOCK_MONOTONIC: when it was looked at last whether there is something new */
        uint64_t hash;       /* of the file as it was written last */
        bool stale;          /* there was a flush since */
        bool failing;        /* which was logged */
};

/*
 * From now on @file, which need not exist, has what @ledger has; what it has of objects that are still there goes to
 * @ledger first. A file that is damaged, or from before the machine booted, is not read.
 */
void owners_begin(struct owners *owners, struct ledger *ledger, const char *file);

/* @ledger may have changed: writes the file if that is due. A failure is logged once. */
void owners_flush(struct owners *owners, const struct ledger *ledger);

/* When owners_flush() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: there is nothing to write. */
uint64_t owners_due_usec(const struct owners *owners);

/* Writes what is left, and whose the other objects are: a cgroup may go while no daemon runs. */
void owners_end(struct owners *owners, const struct ledger *ledger);
