/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists the unit files and drop-ins that systemd would read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unit_file {
        char *unit;        /* "a.service", "a@.service", "a@b.service"; of drop-ins also "a-.service", "service" */
        char *file;        /* path */
        const char *name;  /* of a drop-in, "50-local.conf"; NULL: it is the unit's own file */
        unsigned int rank; /* of its directory */
        bool mask, alias;  /* a link to /dev/null or empty; a link to another unit */
        char *target;      /* of an alias: the other unit */
        uint64_t section;  /* for the reader of the file: what it found; 0 at first */
};

struct unit_files {
        struct unit_file *list;
        size_t count;
        size_t *aliases; /* places in the list */
        size_t alias_count;
};

/*
 * Lists the files in @directories (ended by NULL) below @root, of units that have a cgroup: by unit, the unit's own
 * file first, then drop-ins by their names. Of several with the same name, only that in the first directory is listed.
 * Returns 0 or -ENOMEM. @files is to be given to unit_files_deinit() in any case.
 */
int unit_files_list(struct unit_files *files, const char *root, const char *const *directories);
void unit_files_deinit(struct unit_files *files);

/* The place of the first file of @unit in @files; files->count: there is none. */
size_t unit_files_find(const struct unit_files *files, const char *unit);

/* Whether @file is a link of an instance to its template: the instance has the file of the template, and is no alias.
 */
bool unit_is_linked_instance(const struct unit_file *file);
