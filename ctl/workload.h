/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Workloads as arguments: pods, containers and machines by the names that tables show for them. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/*
 * Whether @name can only be the name of a workload, or of a cgroup below one: NAMESPACE/POD or NAMESPACE/POD/CONTAINER,
 * neither a path nor a unit.
 */
bool is_workload_name(const char *name);

/*
 * Finds the path of the cgroup of the workload @name in @cgroups, a list from ListCgroups. A @name without a slash can
 * be a pod or container in any namespace. *path is to be freed. Returns 0; -ENOENT: there is none; -ENOTUNIQ: there are
 * several, logged; -ENOMEM.
 */
int workload_find(const json_t *cgroups, const char *name, char **path);
