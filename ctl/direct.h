/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists without a daemon: a snapshot by the daemon's own code. Errors are logged. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/*
 * The cgroups that hold something and match @glob (NULL: all); the objects whose cgroup does, with @relations (enum
 * relation); the hooks of this kernel. *list is a new reference to an array as the daemon answers. Return 0 or a
 * negative errno.
 */
int direct_cgroups(const char *glob, json_t **list);
int direct_objects(const char *glob, uint32_t relations, json_t **list);
int direct_capabilities(json_t **list);
