/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/workload-json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/unit.h"
#include "serve/jsontext.h"

/*
 * "NAMESPACE/POD", "NAMESPACE/POD/CONTAINER", "CONTAINER" or "MACHINE"; to be freed. NULL: the workload has no name, or
 * no memory.
 */
static char *make_name(const struct workload *workload)
{
        char *text;

        if (!workload_has_name(workload))
                return NULL;
        if (workload->kind == WORKLOAD_MACHINE)
                return strdup(workload->machine);
        if (workload->kind == WORKLOAD_POD)
                return strdup(workload->pod);
        return asprintf(&text, "%s%s%s", workload->pod ?: "", workload->pod ? "/" : "", workload->container) < 0 ? NULL
                                                                                                                 : text;
}

static json_t *string_or_none(const char *text)
{
        return text ? json_string(text) : NULL;
}

/* The namespace of "NAMESPACE/NAME"; NULL: there is none. */
static json_t *namespace_of(const char *pod)
{
        return pod ? json_stringn(pod, strchr(pod, '/') - pod) : NULL;
}

static json_t *name_of(const char *pod)
{
        return pod ? json_string(strchr(pod, '/') + 1) : NULL;
}

static json_t *unit_to_json(const struct cgroup *cgroup)
{
        _cleanup_free_ char *copy = NULL;
        size_t length;
        const char *unit = cgroup->path ? path_unit(cgroup->path, &length) : NULL;

        if (!unit)
                return NULL;
        copy = strndup(unit, length);
        return copy ? json_pack("{ss so so}", "kind", "unit", "name", text_to_json(copy), "unit", text_to_json(copy))
                    : NULL;
}

json_t *workload_to_json(const struct cgroup *cgroup)
{
        const struct cgroup *own = cgroup_of_workload(cgroup);
        const struct workload *workload = own ? own->workload : NULL;
        _cleanup_free_ char *name = workload ? make_name(workload) : NULL;

        if (!workload)
                return unit_to_json(cgroup);
        return json_pack("{ss so* so* so* so* so* so* so* so* so* so*}", "kind", workload_kind_name(workload->kind),
                        "name", string_or_none(name), "cgroup", text_to_json(own->path), "namespace",
                        namespace_of(workload->pod), "pod", name_of(workload->pod), "podUid",
                        string_or_none(workload->pod_uid), "qosClass", string_or_none(workload_qos_name(workload->qos)),
                        "container", string_or_none(workload->container), "containerId",
                        string_or_none(workload->container_id), "runtime", string_or_none(workload->runtime), "machine",
                        string_or_none(workload->machine));
}

char *cgroup_title(const struct cgroup *cgroup)
{
        const struct cgroup *own = cgroup_of_workload(cgroup);
        _cleanup_free_ char *name = own ? make_name(own->workload) : NULL;
        char *text;

        if (!cgroup->path)
                return NULL;
        /* An abbreviated path does not begin with the path of the workload. */
        if (!name || cgroup->abbreviated)
                return strdup(cgroup->path);
        return asprintf(&text, "%s%s", name, cgroup->path + strlen(own->path)) < 0 ? NULL : text;
}
