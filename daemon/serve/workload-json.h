/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The workload of a cgroup, as JSON and as text. */
#pragma once

#include <jansson.h>

#include "account/tree.h"

/*
 * The workload that @cgroup is, or is in: a pod, a container, a machine, or else the unit. NULL: it is none of them; or
 * there is no memory.
 */
json_t *workload_to_json(const struct cgroup *cgroup);

/*
 * What people call @cgroup: "kube-system/cilium-x7k/cilium-agent" with what is below the workload's own cgroup behind
 * it; its path if its workload has no name, or it is in none. To be freed; NULL: nothing is known of it, or no memory.
 */
char *cgroup_title(const struct cgroup *cgroup);
