/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "direct.h"

#include <errno.h>
#include <string.h>

#include "account/monitor.h"
#include "account/relations.h"
#include "account/workloads.h"
#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "enforce/doctor.h"
#include "policy/config.h"
#include "serve/report.h"

static int append(json_t *list, json_t *element)
{
        return json_array_append_new(list, element) < 0 ? -ENOMEM : 0;
}

static bool matches(const char *glob, const struct cgroup *cgroup)
{
        return !glob || (cgroup->path && glob_match(glob, cgroup->path));
}

/* Whether any cgroup of the hierarchy matches. */
static int find_match(void *context, uint64_t id, const char *path)
{
        (void) id;
        return glob_match(context, path) ? -EEXIST : 0;
}

/*
 * If *@list is empty because no cgroup has, or can have, the name @argument, frees it and returns a negative errno,
 * logged.
 */
static int check_empty(const struct monitor *monitor, const char *argument, const char *glob, json_t **list)
{
        const char *wrong = glob && json_array_size(*list) == 0 ? check_asked_glob(glob) : NULL;

        if (wrong) {
                json_decref(*list);
                log_error("%s %s", argument, wrong);
                return -EINVAL;
        }
        if (json_array_size(*list) > 0 || !argument || !ask_is_exact(argument) || strcmp(glob, "/") == 0 ||
                        cgroupfs_walk(&monitor->cgroupfs, find_match, (void *) glob) != 0)
                return 0;
        json_decref(*list);
        return ask_tell_missing(argument);
}

/* Largest first, as in the daemon's replies. */
static int add_cgroups(json_t *list, const struct monitor *monitor, const char *glob)
{
        _cleanup_free_ struct cgroup **cgroups = sort_cgroups(&monitor->tree);
        int r = cgroups ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < monitor->tree.count; i++)
                if (matches(glob, cgroups[i]) && (usage_footprint(&cgroups[i]->total) > 0 || !cgroups[i]->parent))
                        r = append(list, cgroup_to_json(cgroups[i]));
        return r;
}

static int add_objects(json_t *list, const struct monitor *monitor, const struct relations *relations, const char *glob)
{
        _cleanup_free_ struct object **objects = sort_objects(&monitor->ledger);
        int r = objects ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < monitor->ledger.count; i++)
                if (matches(glob, objects[i]->cgroup))
                        r = append(list, object_to_json(objects[i], relations));
        return r;
}

static int add_capabilities(json_t *list, const struct monitor *monitor)
{
        const struct capability *capabilities;
        size_t count;
        int r = 0;

        capabilities = kernel_capabilities(monitor->kernel, &count);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = append(list, capability_to_json(&capabilities[i]));
        return r;
}

/* Returns @elements in *@list, or, if creating them failed with @r, logs it and frees them. */
static int finish(int r, json_t *elements, json_t **list)
{
        if (r < 0) {
                log_error("The snapshot cannot be listed: %s", strerror(-r));
                json_decref(elements);
                return r;
        }
        *list = elements;
        return 0;
}

int direct_cgroups(const char *argument, const char *glob, json_t **list)
{
        _cleanup_(monitor_deinit) struct monitor monitor;
        struct kernel_options options = {};
        json_t *elements;
        int r = monitor_init(&monitor, &options);

        if (r == 0)
                r = workloads_name_tree(&monitor.tree, &monitor.cgroupfs);
        if (r < 0)
                return r;
        elements = json_array();
        r = finish(elements ? add_cgroups(elements, &monitor, glob) : -ENOMEM, elements, list);
        return r ?: check_empty(&monitor, argument, glob, list);
}

int direct_objects(const char *argument, const char *glob, uint32_t asked, json_t **list)
{
        struct kernel_options options = { .relations = asked & (RELATION_HOLDERS | RELATION_USES) };
        _cleanup_(monitor_deinit) struct monitor monitor;
        _cleanup_(relations_deinit) struct relations relations = {};
        json_t *elements;
        int r = monitor_init(&monitor, &options);

        if (r == 0)
                r = relations_read(&relations, monitor.kernel, &monitor.tree, asked);
        if (r < 0)
                return r;
        elements = json_array();
        r = finish(elements ? add_objects(elements, &monitor, &relations, glob) : -ENOMEM, elements, list);
        return r ?: check_empty(&monitor, argument, glob, list);
}

int direct_capabilities(json_t **list)
{
        struct kernel_options options = { .probe_only = true };
        _cleanup_(monitor_deinit) struct monitor monitor;
        json_t *elements;
        int r = monitor_init(&monitor, &options);

        if (r < 0)
                return r;
        elements = json_array();
        return finish(elements ? add_capabilities(elements, &monitor) : -ENOMEM, elements, list);
}

int direct_readiness(json_t **json)
{
        struct readiness readiness;
        int r = doctor_examine_host(&readiness);

        if (r < 0)
                return r;
        *json = readiness_to_json(&readiness);
        if (*json)
                return 0;
        log_error("Out of memory");
        return -ENOMEM;
}
