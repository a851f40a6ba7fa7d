/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hierarchy for the tests of pure logic: cgroup N has the parent and path that the table says. */
#pragma once

#include <errno.h>
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

static inline int fake_lookup(void *context, uint64_t id, char **path, uint64_t *parent_id)
{
        struct fake_hierarchy *hierarchy = context;

        hierarchy->lookups++;
        for (size_t i = 0; i < hierarchy->count; i++) {
                const struct fake_cgroup *cgroup = &hierarchy->cgroups[i];

                if (cgroup->id != id || cgroup->gone)
                        continue;
                *path = strdup(cgroup->path);
                *parent_id = cgroup->parent_id;
                return *path ? 0 : -ENOMEM;
        }
        return -ESTALE;
}
