/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of the configuration: the directories, which file overrides which, and reading a file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/source.h"

/* In bytes. Budget files that people write are far smaller; the limit bounds the cost of an arbitrary file. */
#define FILE_SIZE_MAX (1024 * 1024)

#define SETTINGS_FILE "bpfbudgetd.conf"
#define BUDGET_SUFFIX ".budget"

/*
 * Drop-ins of a file have the second suffix, in the directory named after the file with the first suffix; the same
 * applies to units.
 */
#define DROPIN_DIRECTORY_SUFFIX ".d"
#define DROPIN_SUFFIX           ".conf"

/* Whether @name ends in @suffix, and is more than that. */
bool has_suffix(const char *name, const char *suffix);

/*
 * Whether the file @name in the directory @directory (AT_FDCWD) is a link to /dev/null or an empty file: it only hides
 * files of the same name in directories of lower precedence.
 */
bool is_mask(int directory, const char *name);

struct entry {
        char *file;       /* path */
        const char *name; /* the part of it below the directory of the configuration */
        unsigned int rank;
};

struct listing {
        struct entry *list;
        size_t count, allocated;
};

void listing_deinit(struct listing *listing);
#define _cleanup_listing_ _cleanup_(listing_deinit)

/*
 * Lists the settings and budgets in *files and the drop-ins of both in *dropins: of all directories below @root, or
 * only of @directory if that is not NULL. What is wrong is reported; loader->error is -ENOMEM if there was no memory.
 */
void list_all(struct loader *loader, const char *root, const char *directory, struct listing *files,
                struct listing *dropins);

/* Orders the files by name, and keeps for each name only the file that has precedence, if that is not a mask. */
void listing_resolve(struct listing *listing);

/* Whether @entry, of all directories, is in that of the vendor. */
bool is_vendors(const struct entry *entry);

/* Whether @dropin is one of the file of settings or budgets @name. */
bool is_dropin_of(const struct entry *dropin, const char *name);

/* Warns of drop-ins of budgets that are not in @files, which must contain the masked ones, too. */
void warn_of_strays(struct loader *loader, const struct listing *files, const struct listing *dropins);

/* Reads @file into the loader's buffer. Returns its size in bytes, or a negative errno after reporting. */
ssize_t read_file(struct loader *loader, const char *file);
