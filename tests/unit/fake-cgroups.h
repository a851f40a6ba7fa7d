/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hierarchy for the tests of pure logic: cgroup N has the parent and path that the table says. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct fake_cgroup {
        uint64_t id, parent_id;
        const char *path;
        bool gone;
};

struct fake_hierarchy {
        struct fake_cgroup *cgroups;
        size_t count;
        unsigned int lookups;
};

/* The cgroup @id if it has not been removed, or NULL. */
static inline const struct fake_cgroup *fake_find(const struct fake_hierarchy *hierarchy, uint64_t id)
{
        for (size_t i = 0; i < hierarchy->count; i++)
                if (hierarchy->cgroups[i].id == id && !hierarchy->cgroups[i].gone)
                        return &hierarchy->cgroups[i];
        return NULL;
}

/* As cgroupfs_lookup(): the name is the last component of the path. */
static inline int fake_lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        struct fake_hierarchy *hierarchy = context;
        const struct fake_cgroup *cgroup = fake_find(hierarchy, id);

        hierarchy->lookups++;
        if (!cgroup)
                return -ESTALE;
        *parent_id = cgroup->parent_id;
        if (!name)
                return 0;
        *name = strdup(strrchr(cgroup->path, '/') + 1);
        return *name ? 0 : -ENOMEM;
}
