/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "policy/policy.h"

char *limits_directory(const struct cgroupfs *cgroupfs, const struct cgroup *cgroup)
{
        return cgroup->path && cgroup->exists ? cgroupfs_file(cgroupfs, cgroup->path) : NULL;
}

/*
 * Reads the size in the xattr @name of the cgroup directory @directory. BUDGET_INFINITY if it is not set, or is no
 * size, which is logged if @complain.
 */
static uint64_t read_xattr(const char *directory, const char *name, uint64_t ram, bool complain)
{
        char text[64] = "";
        uint64_t bytes;
        ssize_t n = getxattr(directory, name, text, sizeof(text) - 1);

        if (n < 0 && errno != ERANGE)
                return BUDGET_INFINITY;
        text[n < 0 ? 0 : n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (n >= 0 && parse_bytes(text, ram, &bytes) == 0)
                return bytes;
        if (complain)
                log_warning("%s: %s: \"%s\" is not a size such as 64M, 25%% or infinity; it is ignored", directory,
                                name, n < 0 ? "(too long)" : text);
        return BUDGET_INFINITY;
}

static uint32_t owner_of(const char *directory)
{
        struct stat st;

        return directory && stat(directory, &st) == 0 ? st.st_uid : 0;
}

const struct budget *limits_find_budget(const struct config *config, const struct cgroupfs *cgroupfs, const char *path)
{
        _cleanup_free_ char *directory = path ? cgroupfs_file(cgroupfs, path) : NULL;
        struct match_subject subject = { .path = path, .uid = owner_of(directory) };

        if (!path)
                return NULL;
        return config_match(config, &subject);
}

bool limits_set(const struct cgroup *cgroup, const struct budget *budget, const struct cgroupfs *cgroupfs, uint64_t ram,
                bool complain)
{
        _cleanup_free_ char *directory = limits_directory(cgroupfs, cgroup);
        struct policy *policy = cgroup->policy;
        uint64_t high = policy->lowered_high, max = policy->lowered_max, before = policy->max;

        if (directory) {
                uint64_t own_high = read_xattr(directory, XATTR_HIGH, ram, complain);
                uint64_t own_max = read_xattr(directory, XATTR_MAX, ram, complain);

                high = MIN(high, own_high);
                max = MIN(max, own_max);
        }
        policy_set(policy, budget, high, max);
        return policy->max != before;
}
