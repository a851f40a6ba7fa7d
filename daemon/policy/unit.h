/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The systemd units that have a cgroup, by the rules of systemd: cg_path_get_unit(), src/basic/cgroup-util.c. The first
 * component below the slices is the unit. Cgroups below it belong to the unit, whatever their names are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The name of the systemd unit of the cgroup @path, *length bytes: the first component below the slices at its
 * beginning, or the last of these slices if that component is not a unit. The "_" that systemd puts before names that
 * the kernel claims is omitted. NULL: the cgroup belongs to no unit.
 */
const char *path_unit(const char *path, size_t *length);

/* The same for a unit of a user's service manager, below user@UID.service. NULL: there is none. */
const char *path_user_unit(const char *path, size_t *length);

/* The @i-th suffix of units that have a cgroup; NULL: there are no more. */
const char *unit_suffix(size_t i);

/* The suffix of slices, which have no instances. */
#define SLICE_SUFFIX ".slice"

/* For messages. */
#define UNIT_SUFFIXES ".service, .scope, .slice, .socket, .mount or .swap"

/* Whether @name, @length bytes, has a suffix of units that have a cgroup. */
bool is_unit(const char *name, size_t length);
