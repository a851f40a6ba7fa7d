/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists the unit files and drop-ins that systemd would read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct unit_file {
        char *unit;        /* "a.service", "a@.service", "a@b.service" */
        char *file;        /* path */
        const char *name;  /* of a drop-in, "50-local.conf"; NULL: it is the unit's own file */
        unsigned int rank; /* of its directory */
        bool mask, alias;  /* a link to /dev/null or empty; a link to another unit */
};

struct unit_files {
        struct unit_file *list;
        size_t count;
};

/*
 * Lists the files of units that have a cgroup, in the @count @directories below @root, ordered by unit: the unit's own
 * file first, then drop-ins by name. Of files of the same name, only the one in the first directory is listed. Masked
 * drop-ins are not listed. Returns 0 or -ENOMEM. @files is to be given to unit_files_deinit() in any case.
 */
int unit_files_list(struct unit_files *files, const char *root, const char *const *directories);
void unit_files_deinit(struct unit_files *files);
