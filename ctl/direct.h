/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists without a daemon: a snapshot by the daemon's own code. Errors are logged. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/*
 * List the cgroups that hold something and match @glob (NULL: all); the objects in cgroups that match it, with
 * @relations (enum relation); the hooks of this kernel. *list is a new reference to an array as in the daemon's reply.
 * @argument: the argument of the user, NULL: none; a cgroup or unit that does not exist is an error. Return 0 or a
 * negative errno.
 */
int direct_cgroups(const char *argument, const char *glob, json_t **list);
int direct_objects(const char *argument, const char *glob, uint32_t relations, json_t **list);
int direct_capabilities(json_t **list);

/*
 * Examines what bpfbudgetd can do on this host, with the permissions of this process. *readiness is a new reference, as
 * of GetReadiness.
 */
int direct_readiness(json_t **readiness);
