/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units of systemd that have a cgroup, as systemd sees them: cg_path_get_unit(), src/basic/cgroup-util.c. The first
 * component below the slices is the unit. Cgroups below it belong to the unit, whatever their names are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The systemd unit of the cgroup @path: the first component below the slices that it begins with, and the last of these
 * if that is no unit. Without the "_" that systemd puts before names that the kernel claims; of *length bytes. NULL:
 * the path does not begin with a unit, and nothing in it is one.
 */
const char *path_unit(const char *path, size_t *length);

/* The same of the unit of a user's service manager, below user@UID.service. NULL: it is in none. */
const char *path_user_unit(const char *path, size_t *length);

/* How the name of a unit that has a cgroup ends, by @i; NULL: there are no more. */
const char *unit_suffix(size_t i);

/* That of slices, which have no instances. */
#define SLICE_SUFFIX ".slice"

/* For messages. */
#define UNIT_SUFFIXES ".service, .scope, .slice, .socket, .mount or .swap"

/* Whether @name, @length bytes, ends as one of a unit that has a cgroup does. */
bool is_unit(const char *name, size_t length);
