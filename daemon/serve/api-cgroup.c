/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-methods.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "serve/report.h"

static int no_such_cgroup(struct varlink_call *call, const char *path)
{
        return api_error(call, "io.bpfbudget.NoSuchCgroup", "cgroup", path);
}

bool is_cgroup_path(const char *path)
{
        if (*path != '/' || strlen(path) >= PATH_MAX)
                return false;
        if (path[1] == '\0')
                return true;
        while (*path) {
                size_t length = strcspn(++path, "/");

                if (length == 0 || (length <= 2 && strncmp(path, "..", length) == 0))
                        return false;
                path += length;
        }
        return true;
}

/* One that is gone, but still charged, has no id that could be looked up. */
static struct cgroup *find_gone(const struct tree *tree, const char *path)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                if (!cgroup->exists && cgroup->path && strcmp(cgroup->path, path) == 0)
                        return cgroup;
        return NULL;
}

/* The cgroup at @path, whether it holds anything or not. Returns 0, -ENOENT or -ENOMEM. */
static int find_cgroup(struct api *api, const char *path, struct cgroup **ret)
{
        struct monitor *monitor = api->options.monitor;
        _cleanup_free_ char *found = NULL;
        uint64_t id, parent_id;

        if (cgroupfs_id(&monitor->cgroupfs, path, &id) < 0) {
                *ret = find_gone(&monitor->tree, path);
                return *ret ? 0 : -ENOENT;
        }
        *ret = tree_find(&monitor->tree, id);
        if (*ret)
                return 0;
        /* A file such as /memory.stat has an id, too. */
        if (cgroupfs_lookup(&monitor->cgroupfs, id, &found, &parent_id) < 0) {
                found = NULL;
                return -ENOENT;
        }
        /* No object of it would report its removal. */
        kernel_watch_cgroup(monitor->kernel, id);
        if (tree_get(&monitor->tree, id, ret) < 0)
                return -ENOMEM;
        manager_adopt_added(api->options.manager);
        return 0;
}

int api_take_cgroup(struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup)
{
        const char *path = parameter_string(parameters, "cgroup");
        int r;

        if (!is_cgroup_path(path))
                return varlink_invalid_parameter(call, "cgroup") ?: API_ANSWERED;
        r = find_cgroup(api, path, cgroup);
        return r == -ENOENT ? no_such_cgroup(call, path) ?: API_ANSWERED : r;
}

int api_get_cgroup(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        struct cgroup *cgroup;
        int r;

        api_refresh_if_old(api);
        r = api_take_cgroup(api, call, parameters, &cgroup);
        if (r != 0)
                return error_only(r);
        return varlink_reply(call, json_pack("{so}", "cgroup", cgroup_to_json(cgroup)), false);
}

const struct varlink_parameter cgroup_parameter[] = { { "cgroup", VARLINK_STRING }, {} };
