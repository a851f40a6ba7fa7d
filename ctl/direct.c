/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "direct.h"

#include <errno.h>
#include <string.h>

#include "account/monitor.h"
#include "account/relations.h"
#include "base/cleanup.h"
#include "base/log.h"
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

/* Largest first, as the daemon answers. */
static int add_cgroups(json_t *list, const struct monitor *monitor, const char *glob)
{
        _cleanup_free_ struct cgroup **cgroups = sort_cgroups(&monitor->tree);
        int r = cgroups ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < monitor->tree.count; i++)
                if (matches(glob, cgroups[i]) && (usage_objects(&cgroups[i]->total) > 0 || !cgroups[i]->parent))
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

/* Gives *@list the @elements, or logs @r, which their making returned, and drops them. */
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

int direct_cgroups(const char *glob, json_t **list)
{
        struct kernel_options options = {};
        json_t *elements = json_array();
        struct monitor monitor;
        int r;

        r = monitor_init(&monitor, &options);
        if (r == 0)
                r = finish(elements ? add_cgroups(elements, &monitor, glob) : -ENOMEM, elements, list);
        else
                json_decref(elements);
        monitor_deinit(&monitor);
        return r;
}

int direct_objects(const char *glob, uint32_t asked, json_t **list)
{
        struct kernel_options options = { .relations = asked & (RELATION_HOLDERS | RELATION_USES) };
        struct relations relations = {};
        json_t *elements = json_array();
        struct monitor monitor;
        int r;

        r = monitor_init(&monitor, &options);
        if (r == 0)
                r = relations_read(&relations, monitor.kernel, &monitor.tree, asked);
        if (r == 0)
                r = finish(elements ? add_objects(elements, &monitor, &relations, glob) : -ENOMEM, elements, list);
        else
                json_decref(elements);
        relations_deinit(&relations);
        monitor_deinit(&monitor);
        return r;
}

int direct_capabilities(json_t **list)
{
        struct kernel_options options = { .probe_only = true };
        const struct capability *capabilities;
        json_t *elements = json_array();
        struct monitor monitor;
        size_t count;
        int r;

        r = monitor_init(&monitor, &options);
        if (r == 0) {
                capabilities = kernel_capabilities(monitor.kernel, &count);
                for (size_t i = 0; r == 0 && i < count; i++)
                        r = elements ? append(elements, capability_to_json(&capabilities[i])) : -ENOMEM;
        }
        monitor_deinit(&monitor);
        if (r < 0) {
                json_decref(elements);
                return r;
        }
        *list = elements;
        return 0;
}
