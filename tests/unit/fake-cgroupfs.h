/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces the functions of cgroupfs.h that protection.c calls, for the hierarchy that the test has put into fake_fs.
 * To be included by one file of a program, which is linked without cgroupfs.c.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake-cgroups.h"
#include "kernel/cgroupfs.h"

static struct fake_hierarchy *fake_fs;

/* The cgroup of the caller, and the errno with which the query for it and a walk fail; 0: they succeed. */
static const char *fake_own = "/own";
static int fail_own, fail_walk;
static unsigned int walks;

int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id)
{
        (void) fs;
        for (size_t i = 0; i < fake_fs->count; i++)
                if (!fake_fs->cgroups[i].gone && strcmp(fake_fs->cgroups[i].path, path) == 0) {
                        *id = fake_fs->cgroups[i].id;
                        return 0;
                }
        return -ENOENT;
}

int cgroupfs_parent(const struct cgroupfs *fs, uint64_t id, uint64_t *parent_id)
{
        const struct fake_cgroup *cgroup = fake_find(fake_fs, id);

        (void) fs;
        *parent_id = cgroup ? cgroup->parent_id : 0;
        return cgroup ? 0 : -ESTALE;
}

int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone)
{
        *alone = false;
        if (fail_own)
                return -fail_own;
        if (cgroupfs_id(fs, fake_own, id) < 0)
                *id = UINT64_MAX;
        return 0;
}

int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context)
{
        int r = -fail_walk;

        (void) fs;
        walks++;
        for (size_t i = 0; i < fake_fs->count && r == 0; i++)
                if (!fake_fs->cgroups[i].gone && fake_fs->cgroups[i].parent_id != 0)
                        r = callback(context, fake_fs->cgroups[i].id, fake_fs->cgroups[i].path);
        return r;
}
