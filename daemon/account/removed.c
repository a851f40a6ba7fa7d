/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/removed.h"

#include <errno.h>
#include <sys/param.h>

#include "base/clock.h"
#include "base/log.h"

/* Between two passes: so long at least, and so many times what the last one took. */
#define INTERVAL_USEC (1ULL * 1000 * 1000)
#define SHARE         10

static bool is_removed(void *context, uint64_t id)
{
        const struct tree *tree = context;
        uint64_t parent_id;

        return tree->lookup(tree->lookup_context, id, NULL, &parent_id) == -ESTALE;
}

void removed_find(struct tree *tree, struct kernel *kernel)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                if (cgroup->parent)
                        tree_check(tree, cgroup);
        if (kernel_forget_cgroups(kernel, is_removed, tree) < 0)
                log_warning("Out of memory: the sensors keep cgroups that are gone");
        HASH_ITER (hh, tree->by_id, cgroup, next)
                if (cgroup->parent && cgroup->exists)
                        kernel_watch_cgroup(kernel, cgroup->id);
}

void removed_flush(struct removed *removed, struct kernel *kernel, bool lost)
{
        uint64_t now = now_usec();

        lost |= kernel_lost_cgroups(kernel);
        if (lost && removed->due_usec == UINT64_MAX)
                removed->due_usec = MAX(now, removed->rest_usec);
        if (now < removed->due_usec)
                return;
        removed_find(removed->tree, kernel);
        removed->rest_usec = now_usec() + MAX(SHARE * (now_usec() - now), INTERVAL_USEC);
        /* The table may be too small for those that are there. */
        removed->due_usec = kernel_lost_cgroups(kernel) ? removed->rest_usec : UINT64_MAX;
}

uint64_t removed_due_usec(const struct removed *removed)
{
        return removed->due_usec;
}

void removed_init(struct removed *removed, struct tree *tree)
{
        *removed = (struct removed){ .tree = tree, .due_usec = UINT64_MAX };
}
