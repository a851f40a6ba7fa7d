/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/newcgroups.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "enforce/limits.h"

/* How many flushes a new cgroup is looked for. */
#define LOOK_FOR_FLUSHES 20

/*
 * The kernel reports a cgroup before kernfs_activate() (kernel/cgroup/cgroup.c, cgroup_mkdir()), until when its id
 * leads nowhere. So does for ever that of another hierarchy's, or of one that is gone again.
 */
struct unfound_cgroup {
        uint64_t id;
        unsigned int flushes; /* left */
};

/* Whether the budget of the cgroup @id at @path may refuse. What only the name of its workload tells is not known yet.
 */
static int may_refuse(const struct new_cgroups *new, uint64_t id, const char *path)
{
        struct workload *workload = NULL;
        const struct budget *budget;
        int r = config_refuses_names(new->config) ? workload_from_path(path, &workload) : 0;

        if (r < 0)
                return r;
        if (workload) {
                workload_free(workload);
                return true;
        }
        budget = limits_find_budget(new->config, &new->monitor->cgroupfs, id, path, NULL);
        return budget && budget->on_max == ACTION_DENY;
}

/* Puts the cgroup @id into the tree if its budget may refuse. Returns 0 or -ENOMEM. */
static int add_if_refused(void *context, uint64_t id, const char *path)
{
        struct new_cgroups *new = context;
        struct cgroup *cgroup;
        int r;

        if (tree_find(&new->monitor->tree, id))
                return 0;
        r = may_refuse(new, id, path);
        if (r <= 0)
                return r;
        kernel_watch_cgroup(new->monitor->kernel, id);
        return tree_get(&new->monitor->tree, id, &cgroup);
}

/* Returns whether it was found. */
static bool find(struct new_cgroups *new, uint64_t id)
{
        _cleanup_free_ char *path = NULL;

        if (cgroupfs_path(&new->monitor->cgroupfs, id, &path) < 0) {
                path = NULL;
                return false;
        }
        if (add_if_refused(new, id, path) < 0)
                log_error("%s may exceed its Max until it has an object: out of memory", path);
        return true;
}

static void note_unfound(struct new_cgroups *new, uint64_t id)
{
        struct unfound_cgroup *grown = array_grow(new->unfound, new->unfound_count, sizeof(*grown));

        if (!grown) {
                log_error("Out of memory: a new cgroup may exceed its Max until it has an object");
                return;
        }
        new->unfound = grown;
        grown[new->unfound_count++] = (struct unfound_cgroup){ id, LOOK_FOR_FLUSHES };
}

void new_cgroups_take(struct new_cgroups *new, uint64_t id)
{
        if (!find(new, id))
                note_unfound(new, id);
}

void new_cgroups_find_all(struct new_cgroups *new)
{
        int r = cgroupfs_walk(&new->monitor->cgroupfs, add_if_refused, new);

        if (r < 0)
                log_warning("Not all cgroups could be visited (%s): new ones have no Max until they have an object",
                                strerror(-r));
}

void new_cgroups_flush(struct new_cgroups *new, uint64_t unreported)
{
        size_t kept = 0;

        for (size_t i = 0; i < new->unfound_count; i++) {
                struct unfound_cgroup cgroup = new->unfound[i];

                if (!find(new, cgroup.id) && --cgroup.flushes > 0)
                        new->unfound[kept++] = cgroup;
        }
        new->unfound_count = kept;
        if (unreported > new->unreported)
                new_cgroups_find_all(new);
        new->unreported = unreported;
}

bool new_cgroups_wants_flush(const struct new_cgroups *new)
{
        return new->unfound_count > 0;
}

void new_cgroups_init(struct new_cgroups *new, struct monitor *monitor, const struct config *config)
{
        *new = (struct new_cgroups){ .monitor = monitor, .config = config };
}

void new_cgroups_deinit(struct new_cgroups *new)
{
        free(new->unfound);
        *new = (struct new_cgroups){};
}
