/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists without a daemon: a snapshot by the daemon's own code. Errors are logged. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/*
 * The cgroups that hold something and match @glob (NULL: all); the objects whose cgroup does, with @relations (enum
 * relation); the hooks of this kernel. *list is a new reference to an array as the daemon answers. @argument: what the
 * user asked for, NULL: nothing; that it is not there is an error. Return 0 or a negative errno.
 */
int direct_cgroups(const char *argument, const char *glob, json_t **list);
int direct_objects(const char *argument, const char *glob, uint32_t relations, json_t **list);
int direct_capabilities(json_t **list);

/* What can be done on this host, by what this process may do. *readiness is a new reference, as of GetReadiness. */
int direct_readiness(json_t **readiness);
