/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/workloads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/workload.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/uthash-nonfatal.h"

struct unnamed {
        char key[CONTAINER_ID_LENGTH + 1]; /* uid of a pod, or id of a container */
        struct cgroup_ids cgroups;
        UT_hash_handle hh;
};

static int ids_add(struct cgroup_ids *ids, uint64_t id)
{
        uint64_t *list = array_grow(ids->list, ids->count, sizeof(*list));

        if (!list)
                return -ENOMEM;
        ids->list = list;
        list[ids->count++] = id;
        return 0;
}

static void ids_remove(struct cgroup_ids *ids, uint64_t id)
{
        size_t kept = 0;

        for (size_t i = 0; i < ids->count; i++)
                if (ids->list[i] != id)
                        ids->list[kept++] = ids->list[i];
        ids->count = kept;
}

static void ids_deinit(struct cgroup_ids *ids)
{
        free(ids->list);
        *ids = (struct cgroup_ids){};
}

/* --- Who waits for a name ------------------------------------------------------------------------------------------
 */

static struct unnamed *find_unnamed(const struct workloads *workloads, const char *key)
{
        struct unnamed *unnamed;

        HASH_FIND_STR(workloads->unnamed, key, unnamed);
        return unnamed;
}

static void free_unnamed(struct workloads *workloads, struct unnamed *unnamed)
{
        HASH_DEL(workloads->unnamed, unnamed);
        ids_deinit(&unnamed->cgroups);
        free(unnamed);
}

static bool waits(const struct unnamed *unnamed, uint64_t id)
{
        for (size_t i = 0; i < unnamed->cgroups.count; i++)
                if (unnamed->cgroups.list[i] == id)
                        return true;
        return false;
}

/* Has the cgroup @id wait for the name of @key. Returns 0 or -ENOMEM. */
static int wait_for(struct workloads *workloads, const char *key, uint64_t id)
{
        struct unnamed *unnamed = find_unnamed(workloads, key);

        if (!unnamed) {
                unnamed = calloc(1, sizeof(*unnamed));
                if (!unnamed)
                        return -ENOMEM;
                strcpy(unnamed->key, key);
                HASH_ADD_STR(workloads->unnamed, key, unnamed);
                if (!HASH_ADDED(unnamed)) {
                        free(unnamed);
                        return -ENOMEM;
                }
        }
        return waits(unnamed, id) ? 0 : ids_add(&unnamed->cgroups, id);
}

static void wait_no_more(struct workloads *workloads, const char *key, uint64_t id)
{
        struct unnamed *unnamed = key ? find_unnamed(workloads, key) : NULL;

        if (!unnamed)
                return;
        ids_remove(&unnamed->cgroups, id);
        if (unnamed->cgroups.count == 0)
                free_unnamed(workloads, unnamed);
}

void workloads_forget(struct workloads *workloads, const struct cgroup *cgroup)
{
        const struct workload *workload = cgroup->workload;

        if (!workload)
                return;
        wait_no_more(workloads, workload->pod_uid, cgroup->id);
        wait_no_more(workloads, workload->container_id, cgroup->id);
}

/* --- Names ---------------------------------------------------------------------------------------------------------
 */

/*
 * Whether only the daemon's own user, root, could make a cgroup in @parent: another one who has a cgroup may call those
 * in it as he likes, and have the name of a pod that way.
 */
static bool is_trusted(const struct workloads *workloads, const struct cgroup *parent)
{
        _cleanup_close_ int fd = parent ? cgroupfs_open(workloads->cgroupfs, parent->id) : -ENOENT;
        struct stat status;

        return fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == workloads->owner;
}

/* The names that pods' logs have for @workload. Returns 1: it has another name since; 0; or -ENOMEM. */
static int name_by_logs(struct workloads *workloads, struct workload *workload)
{
        struct pod_name name;
        int r = 0, s = 0;

        if (!workload->pod_uid)
                return 0;
        if (pod_names_find(&workloads->pods, PLACE_PODS, workload->pod_uid, &name))
                r = workload_set_name(&workload->pod, name.pod);
        /* A link says whose container it is, too: only that of the pod's own is taken. */
        if (r >= 0 && workload->container_id && workload->pod &&
                        pod_names_find(&workloads->pods, PLACE_CONTAINERS, workload->container_id, &name) &&
                        strcmp(name.pod, workload->pod) == 0)
                s = workload_set_name(&workload->container, name.container);
        return r < 0 ? r : s < 0 ? s : r || s;
}

/* Whether it makes sense to look for names of @workload, or for others than it has. */
static bool is_unnamed(const struct workload *workload)
{
        if (workload->nested || workload->kind == WORKLOAD_MACHINE)
                return false;
        return (workload->pod_uid && !workload->pod) || (workload->container_id && !workload->container);
}

/* The same by what the runtime keeps; pods' containers have the names of their logs. */
static int name_by_runtime(struct workloads *workloads, struct workload *workload)
{
        _cleanup_free_ char *name = NULL;
        int r;

        if (workload->pod_uid || !workload->container_id || workload->container)
                return 0;
        r = container_names_find(&workloads->containers, workload->runtime, workload->container_id, &name);
        return r <= 0 ? r : workload_set_name(&workload->container, name);
}

static int wait_for_names(struct workloads *workloads, const struct cgroup *cgroup)
{
        const struct workload *workload = cgroup->workload;
        int r = 0;

        if (workload->pod_uid && !workload->pod)
                r = wait_for(workloads, workload->pod_uid, cgroup->id);
        if (r == 0 && workload->container_id && !workload->container)
                r = wait_for(workloads, workload->container_id, cgroup->id);
        return r;
}

int workloads_name(struct workloads *workloads, const struct cgroup *cgroup)
{
        struct workload *workload = cgroup->workload;
        int r;

        if (!workload || workload->pending || workload->sought || !is_unnamed(workload))
                return 0;
        if (!is_trusted(workloads, cgroup->parent)) {
                workload->nested = true;
                return 0;
        }
        r = name_by_logs(workloads, workload);
        if (r < 0 || !is_unnamed(workload))
                return r < 0 ? r : 0;
        r = ids_add(&workloads->pending, cgroup->id);
        workload->pending = r == 0;
        return r;
}

/* Looks for the names of @cgroup, which is pending no longer, whatever fails. */
static int resolve(struct workloads *workloads, struct cgroup *cgroup)
{
        struct workload *workload = cgroup->workload;
        int r = name_by_logs(workloads, workload), s;

        if (r >= 0)
                r = name_by_runtime(workloads, workload);
        if (r >= 0 && is_unnamed(workload))
                r = wait_for_names(workloads, cgroup);
        workload->pending = false;
        workload->sought = true;
        s = ids_add(&workloads->resolved, cgroup->id);
        return r < 0 ? r : s;
}

/* @key has a name now. */
static void take_name(void *context, const char *key)
{
        struct workloads *workloads = context;
        struct unnamed *unnamed = find_unnamed(workloads, key);

        for (size_t i = 0; unnamed && i < unnamed->cgroups.count; i++) {
                struct cgroup *cgroup = tree_find(workloads->tree, unnamed->cgroups.list[i]);

                if (cgroup && cgroup->workload && !cgroup->workload->pending &&
                                ids_add(&workloads->pending, cgroup->id) == 0)
                        cgroup->workload->pending = true;
        }
        if (unnamed)
                free_unnamed(workloads, unnamed);
}

bool workloads_wants_resolve(const struct workloads *workloads)
{
        return workloads->pending.count > 0;
}

int workloads_resolve(struct workloads *workloads)
{
        int r = pod_names_take(&workloads->pods, take_name, workloads);

        for (size_t i = 0; i < workloads->pending.count; i++) {
                struct cgroup *cgroup = tree_find(workloads->tree, workloads->pending.list[i]);
                int s = cgroup && cgroup->workload && cgroup->workload->pending ? resolve(workloads, cgroup) : 0;

                r = r < 0 ? r : s;
        }
        workloads->pending.count = 0;
        return r;
}

struct cgroup *workloads_take_resolved(struct workloads *workloads)
{
        struct cgroup_ids *resolved = &workloads->resolved;

        while (resolved->count > 0) {
                struct cgroup *cgroup = tree_find(workloads->tree, resolved->list[--resolved->count]);

                if (cgroup)
                        return cgroup;
        }
        return NULL;
}

int workloads_name_all(struct workloads *workloads)
{
        struct cgroup *cgroup, *next;
        int r = 0;

        HASH_ITER (hh, workloads->tree->by_id, cgroup, next) {
                if (cgroup->workload)
                        cgroup->workload->sought = false;
                r = workloads_name(workloads, cgroup);
                if (r < 0)
                        return r;
        }
        r = workloads_resolve(workloads);
        workloads->resolved.count = 0;
        return r;
}

int workloads_fd(const struct workloads *workloads)
{
        return workloads->pods.fd;
}

int workloads_init(struct workloads *workloads, const struct workloads_options *options)
{
        *workloads = (struct workloads){
                .tree = options->tree,
                .cgroupfs = options->cgroupfs,
                .owner = geteuid(),
        };
        container_names_init(&workloads->containers, options->root, workloads->owner);
        return pod_names_init(&workloads->pods, options->root, workloads->owner, options->follow);
}

void workloads_deinit(struct workloads *workloads)
{
        struct unnamed *unnamed, *next;

        if (!workloads->tree)
                return;
        HASH_ITER (hh, workloads->unnamed, unnamed, next)
                free_unnamed(workloads, unnamed);
        ids_deinit(&workloads->pending);
        ids_deinit(&workloads->resolved);
        container_names_deinit(&workloads->containers);
        pod_names_deinit(&workloads->pods);
        *workloads = (struct workloads){};
}

int workloads_name_tree(struct tree *tree, const struct cgroupfs *cgroupfs)
{
        struct workloads_options options = { .tree = tree, .cgroupfs = cgroupfs, .root = "" };
        struct workloads workloads;
        int r = workloads_init(&workloads, &options);

        if (r == 0)
                r = workloads_name_all(&workloads);
        workloads_deinit(&workloads);
        return r;
}
