/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of the configuration: which directories, which file overrides which, and what is in one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/source.h"

/* No budget file that people write is near it; it bounds what somebody else's file costs the daemon. Bytes. */
#define FILE_SIZE_MAX (1024 * 1024)

#define SETTINGS_FILE "bpfbudgetd.conf"
#define BUDGET_SUFFIX ".budget"

struct entry {
        char *file;       /* path */
        const char *name; /* its last component */
        unsigned int rank;
};

struct listing {
        struct entry *list;
        size_t count, allocated;
};

void listing_deinit(struct listing *listing);
#define _cleanup_listing_ _cleanup_(listing_deinit)

/*
 * Lists the settings and budgets in *files and the drop-ins of settings in *dropins: of all directories below @root, or
 * only of @directory if that is not NULL. what is wrong is reported; loader->error is -ENOMEM if there was no memory.
 */
void list_all(struct loader *loader, const char *root, const char *directory, struct listing *files,
                struct listing *dropins);

/* Orders by name and leaves of each name the file that has precedence, if that is not a mask. */
void listing_resolve(struct listing *listing);

/* Reads @file into the loader's buffer. Returns its size in bytes, or a negative errno after reporting. */
ssize_t read_file(struct loader *loader, const char *file);
