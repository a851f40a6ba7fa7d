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
 * The title of @cgroup for people: "kube-system/cilium-x7k/cilium-agent" followed by the path below the workload's own
 * cgroup; or its path if it is in no workload with a name. To be freed; NULL: nothing is known of it, or no memory.
 */
char *cgroup_title(const struct cgroup *cgroup);
