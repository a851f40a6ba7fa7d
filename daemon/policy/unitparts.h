/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a unit: its file and the drop-ins that systemd reads for it, of systemd.unit(5). "foo-bar@x.service" has
 * drop-ins in the directories of four names, each the base of the one before: foo-bar@x.service.d, foo-bar@.service.d,
 * foo-.service.d, service.d. Such a base stands for all instances of a template, for all units whose names begin with
 * it, or for all units of a type.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "policy/unitfiles.h"

/* Writes the next less specific name than @name. Returns false if there is none: @name is a type. */
bool unit_base(const char *name, char base[static NAME_MAX + 1]);

/* Whether @base is @name itself, or one of its bases, whose drop-ins it also has. */
bool unit_has_base(const char *name, const char *base);

/* A glob for the names of the units that @name is for: of one, of all instances, with a prefix, of a type. */
int unit_name_glob(const char *name, char **glob);

struct unit_parts {
        const struct unit_file **list; /* the unit's file first, then drop-ins by name; not owned by the list */
        size_t count;
};

/*
 * Lists the parts of @name among @files. Of several drop-ins with the same name, only the one that has precedence is
 * listed, or none if that is a mask. Returns 0 or -ENOMEM. @parts is to be given to unit_parts_deinit() in any case.
 */
int unit_parts_list(struct unit_parts *parts, const struct unit_files *files, const char *name);
void unit_parts_deinit(struct unit_parts *parts);
