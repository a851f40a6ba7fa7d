/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroup file system of the memory controller: from a cgroup's id to its path and back, by file handle and without
 * scanning. An id is the kernfs id, as the kernel's struct kernfs_node has it.
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
        bool by_handle;   /* open_by_handle_at() works; it needs CAP_DAC_READ_SEARCH */
};

/*
 * Finds the mount that the memory controller is on, v1 first, as a controller is on one hierarchy only. Returns 0;
 * -ENOENT: memory is on no mounted hierarchy; another negative errno. @fs is to be given to cgroupfs_deinit() in any
 * case.
 */
int cgroupfs_init(struct cgroupfs *fs);
void cgroupfs_deinit(struct cgroupfs *fs);

/*
 * Looks up the cgroup @id. On success *path is its path below the mount ("/" for the root), to be freed by the caller,
 * and *parent_id its parent's id (0 for the root). Returns 0; -ESTALE: there is no such cgroup (any more);
 * -ENAMETOOLONG: its path is longer than PATH_MAX, and *parent_id is set all the same; -EPERM; -ENOMEM.
 */
int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **path, uint64_t *parent_id);

/* The id of the cgroup at @path, which begins with a slash. Returns 0, or a negative errno (-ENOENT: no such cgroup).
 */
int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id);

/* Where the cgroup at @path, or the file @path of one, is in the file system; to be freed. NULL if there is no mount,
 * or no memory. */
char *cgroupfs_file(const struct cgroupfs *fs, const char *path);

/* The id of the cgroup whose directory @fd is. Returns 0 or a negative errno (-EOPNOTSUPP: it is none). */
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
 * Visits all cgroups of the hierarchy, parents first, with id and path as cgroupfs_lookup() has them; the root is not
 * among them. A negative return of @callback ends it and is returned. Cgroups that come or go meanwhile may be missed.
 * Returns 0 or a negative errno.
 */
int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context);

/* The memory cgroup of the calling process: its id, and whether no other process is in it. Returns 0 or a negative
 * errno. */
int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone);
