/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroup file system of the memory controller: from a cgroup's id to its name and its parent, by file
 * handle. An id is the kernfs id, as the kernel's struct kernfs_node has it; a path is for people.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cgroupfs {
        int mount_fd;     /* -1: there is no such mount */
        char *mount;      /* mount point */
        int version;      /* of the hierarchy the memory controller is on: 2 or 1; 0: none */
        uint64_t root_id; /* id of the mount's root */
        bool part;        /* the mount shows a part of the hierarchy only; what is outside is not visible */
        bool by_handle;   /* open_by_handle_at() works; it needs CAP_DAC_READ_SEARCH */

        struct directory_names *names; /* private to cgroupfs.c; NULL: names are not cached */
};

/*
 * Finds the mount of the hierarchy that the memory controller is on, v1 first, because a controller is on one hierarchy
 * only. Of several mounts it takes one that shows the hierarchy from its root, else the first, which shows a part.
 * Returns 0; -ENOENT: memory is on no mounted hierarchy; another negative errno. @fs is to be given to
 * cgroupfs_deinit() in any case.
 */
int cgroupfs_init(struct cgroupfs *fs);
void cgroupfs_deinit(struct cgroupfs *fs);

/* Opens the directory of the cgroup @id. Returns a file descriptor; -ESTALE: there is no such cgroup (any more); -EPERM
 * or another negative errno. */
int cgroupfs_open(const struct cgroupfs *fs, uint64_t id);

/* Whether there is a cgroup @id: 0, or as cgroupfs_open() fails. */
int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id);

/* The id of the parent of the cgroup @id, 0 for the root. Returns as cgroupfs_lookup(), but is cheaper. */
int cgroupfs_parent(const struct cgroupfs *fs, uint64_t id, uint64_t *parent_id);

/*
 * Looks up the cgroup @id. On success *name is its name in its parent ("" for the root), to be freed by the caller, and
 * *parent_id its parent's id (0 for the root). Returns 0; -ESTALE: there is no such cgroup (any more); -EXDEV: it is
 * there, but not in the part of the hierarchy that the mount shows, so it has no name; -EPERM; -ENOMEM. For the root of
 * the hierarchy, if the mount does not show it, *parent_id is the root of the mount; if the parent is not known, it is
 * 0.
 */
int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **name, uint64_t *parent_id);

/*
 * The path of the cgroup @id below the mount ("/" for the root), of any length, to be freed. Returns 0 or a negative
 * errno as cgroupfs_lookup() does for this cgroup or for one above it.
 */
int cgroupfs_path(const struct cgroupfs *fs, uint64_t id, char **path);

/* The id of the cgroup at @path, which begins with a slash and may be longer than PATH_MAX. Returns 0, or a negative
 * errno (-ENOENT: no such cgroup). */
int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id);

/* The id of the cgroup whose directory @fd is. Returns 0 or a negative errno (-EOPNOTSUPP: it is not a cgroup). */
int cgroupfs_id_of(int fd, uint64_t *id);

/* The path of the memory cgroup of the calling process, to be freed. Returns 0 or a negative errno. */
int cgroupfs_own_path(const struct cgroupfs *fs, char **path);

/*
 * Whether cgroups of @fs may be frozen by cgroup.freeze, judged by the caller's own. Returns 0; -ENOENT: there is no
 * hierarchy; -EOPNOTSUPP: it is not cgroup v2, which alone has it; -EROFS, -EACCES or another negative errno.
 */
int cgroupfs_may_freeze(const struct cgroupfs *fs);

typedef int (*cgroupfs_walk_t)(void *context, uint64_t id, const char *path);

/*
 * Visits all cgroups of the hierarchy, parents first, with id and path, which is complete at any depth; the root is not
 * among them. A negative return of @callback ends it and is returned. Cgroups that come or go meanwhile may be missed.
 * At any depth, at most two directories are open at a time: the current one, and the next one while it moves there.
 * Returns 0 or a negative errno.
 */
int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context);

/*
 * The memory cgroup of the calling process: its id, and whether no other process is in it. Returns 0; -EXDEV: it is
 * outside the part that is mounted; or another negative errno.
 */
int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone);
