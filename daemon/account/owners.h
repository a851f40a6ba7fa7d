/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last owners of objects whose cgroup is gone, across restarts of the daemon. From then on, the kernel charges the
 * parent for these objects, and has no record of the cgroup; so the daemon stores its path in a file, until the machine
 * reboots.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "account/ledger.h"

/* In /run, so that the file exists until the machine reboots. */
#define OWNERS_FILE "/run/bpfbudget/owners"

/* The minimum time between two writes of the file. */
#define OWNERS_INTERVAL_USEC (5ULL * 1000 * 1000)

/*
 * The maximum number of objects in the file, and the maximum length of the path of a cgroup in bytes. Objects whose
 * cgroup is gone come first, the oldest of them at the beginning.
 */
#define OWNERS_MAX      16384
#define OWNERS_PATH_MAX 1024

/* Private to owners.c. */
struct owners {
        const char *file;    /* NULL: nothing is kept */
        uint64_t saved_usec; /* CLOCK_MONOTONIC: when the last check for changes was made */
        uint64_t hash;       /* of the file as it was written last */
        bool stale;          /* there was a flush since */
        bool failing;        /* which was logged */
};

/*
 * Adds to @ledger what @file, which need not exist, has about objects that still exist. From then on, @file is kept up
 * to date with @ledger. A file that is damaged, or from before the machine booted, is not read.
 */
void owners_begin(struct owners *owners, struct ledger *ledger, const char *file);

/* @ledger may have changed: writes the file if that is due. A failure is logged once. */
void owners_flush(struct owners *owners, const struct ledger *ledger);

/* When owners_flush() is to be called next: CLOCK_MONOTONIC; UINT64_MAX: there is nothing to write. */
uint64_t owners_due_usec(const struct owners *owners);

/*
 * Writes the file a last time, now also with the cgroups of all other objects, because they may be removed while no
 * daemon runs.
 */
void owners_end(struct owners *owners, const struct ledger *ledger);
