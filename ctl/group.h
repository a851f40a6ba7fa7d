/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects summed up by what they have in common: pure logic on the daemon's JSON. */
#pragma once

#include <stdint.h>

#include <jansson.h>

enum grouping {
        GROUP_NONE,
        GROUP_CGROUP,
        GROUP_TYPE,
        GROUP_NAME_PREFIX, /* of the name up to the first "_", "-" or "." */
        GROUP_PIN_DIR,     /* by the directory of a pin */
        GROUP_HOLDER,      /* by the name of a process that holds the object */
        GROUP_PROGRAM,     /* by a program that uses the map; a program is in its own group */
        GROUPINGS,
};

/* Returns the grouping of that name, or -EINVAL. */
int grouping_from_name(const char *name);

/* The names, for help and errors. */
#define GROUPING_NAMES "cgroup, type, name-prefix, pin-dir, holder, program"

/* The relations of the objects (enum relation) that the grouping requires. */
uint32_t grouping_relations(enum grouping grouping);

/*
 * The groups of the array @objects, largest first: an array of objects with group, objects, maps, programs, allocated,
 * charged, uncharged, and shared. An object with several pins, holders or programs counts in the group of each; shared
 * is the part of allocated that other groups contain, too. All sizes are bytes. A new reference; NULL: no memory.
 */
json_t *group_objects(const json_t *objects, enum grouping grouping);
