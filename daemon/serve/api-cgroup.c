/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-methods.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "policy/glob.h"
#include "serve/report.h"

static int no_such_cgroup(struct varlink_call *call, const char *path)
{
        return api_error(call, "io.bpfbudget.NoSuchCgroup", "cgroup", path);
}

int api_check_path(struct varlink_call *call, const char *path)
{
        const char *wrong = check_path(path);

        return wrong ? api_invalid_name(call, path, wrong) ?: API_ANSWERED : 0;
}

/*
 * A cgroup that was removed, but is still charged, or one whose path is abbreviated: the hierarchy has nothing at
 * @path.
 */
static struct cgroup *find_shown(const struct tree *tree, const char *path)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                if ((!cgroup->exists || cgroup->abbreviated) && cgroup->path && strcmp(cgroup->path, path) == 0)
                        return cgroup;
        return NULL;
}

/* The cgroup at @path, even if it has no objects. Returns 0, -ENOENT or -ENOMEM. */
static int find_cgroup(struct api *api, const char *path, struct cgroup **ret)
{
        struct monitor *monitor = api->options.monitor;
        uint64_t id;

        if (cgroupfs_id(&monitor->cgroupfs, path, &id) < 0) {
                *ret = find_shown(&monitor->tree, path);
                return *ret ? 0 : -ENOENT;
        }
        *ret = tree_find(&monitor->tree, id);
        if (*ret)
                return 0;
        /* A file such as /memory.stat has an id, too. */
        if (cgroupfs_exists(&monitor->cgroupfs, id) < 0)
                return -ENOENT;
        /* Watch it, because without objects nothing reports its removal. */
        kernel_watch_cgroup(monitor->kernel, id);
        if (tree_get(&monitor->tree, id, ret) < 0)
                return -ENOMEM;
        manager_adopt_added(api->options.manager);
        return 0;
}

int api_take_cgroup(struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup)
{
        const char *path = parameter_cgroup(parameters);
        int r = api_check_path(call, path);

        if (r != 0)
                return r;
        r = find_cgroup(api, path, cgroup);
        return r == -ENOENT ? no_such_cgroup(call, path) ?: API_ANSWERED : r;
}

/* Whether @glob has wildcards. */
static bool is_pattern(const char *glob)
{
        return strpbrk(glob, "*?[");
}

static bool is_known(struct api *api, const char *path)
{
        const struct monitor *monitor = api->options.monitor;
        uint64_t id;

        return !check_path(path) &&
               (cgroupfs_id(&monitor->cgroupfs, path, &id) == 0 || find_shown(&monitor->tree, path));
}

int api_check_form(struct api *api, struct varlink_call *call, const char *glob)
{
        const char *wrong = glob ? check_asked_glob(glob) : NULL;

        if (glob && *glob != '/' && *glob != '*')
                return no_such_cgroup(call, glob) ?: API_ANSWERED;
        /* The name of a cgroup may contain a bracket, so it is looked up first. */
        return wrong && !is_known(api, glob) ? api_invalid_name(call, glob, wrong) ?: API_ANSWERED : 0;
}

int api_check_glob(struct api *api, struct varlink_call *call, const json_t *parameters)
{
        const char *glob = parameter_cgroup(parameters);
        int r = api_check_form(api, call, glob);

        if (r != 0 || !glob || is_pattern(glob) || is_known(api, glob))
                return r;
        return no_such_cgroup(call, glob) ?: API_ANSWERED;
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
        manager_evaluate(api->options.manager, cgroup);
        return varlink_reply(call, json_pack("{so}", "cgroup", cgroup_to_json(cgroup)), false);
}

const struct varlink_parameter cgroup_parameter[] = { { "cgroup", VARLINK_STRING }, {} };
