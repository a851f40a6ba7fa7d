/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/cgroupfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/* FILEID_KERNFS, include/linux/exportfs.h: a handle that is nothing but the 64-bit kernfs id. Since 5.5. */
#define HANDLE_KERNFS 0xfe

/* Opens the cgroup @id relative to @mount_fd. Returns a file descriptor or a negative errno. */
static int open_by_id(int mount_fd, uint64_t id)
{
        _Alignas(struct file_handle) unsigned char buffer[sizeof(struct file_handle) + sizeof(id)];
        struct file_handle *handle = (struct file_handle *) buffer;
        int fd;

        handle->handle_bytes = sizeof(id);
        handle->handle_type = HANDLE_KERNFS;
        memcpy(handle->f_handle, &id, sizeof(id));
        fd = open_by_handle_at(mount_fd, handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* The id of the directory @path relative to @fd; @fd itself if @path is empty. */
static int id_at(int fd, const char *path, uint64_t *id)
{
        _Alignas(struct file_handle) unsigned char buffer[sizeof(struct file_handle) + sizeof(*id)];
        struct file_handle *handle = (struct file_handle *) buffer;
        int mount_id;

        handle->handle_bytes = sizeof(*id);
        if (name_to_handle_at(fd, path, handle, &mount_id, *path ? 0 : AT_EMPTY_PATH) < 0)
                return -errno;
        if (handle->handle_type != HANDLE_KERNFS || handle->handle_bytes != sizeof(*id))
                return -EOPNOTSUPP;
        memcpy(id, handle->f_handle, sizeof(*id));
        return 0;
}

/* Whether the mount at @directory is the cgroup v2 hierarchy with the memory controller in it. */
static bool v2_has_memory(const char *directory)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char name[64];

        if (asprintf(&path, "%s/cgroup.controllers", directory) < 0)
                return false;
        file = fopen(path, "re");
        while (file && fscanf(file, "%63s", name) == 1)
                if (strcmp(name, "memory") == 0)
                        return true;
        return false;
}

/* Returns the version of the hierarchy if @mount is the one that memory is on, else 0. */
static int memory_version(const struct mntent *mount)
{
        if (strcmp(mount->mnt_type, "cgroup") == 0)
                return hasmntopt(mount, "memory") ? 1 : 0;
        if (strcmp(mount->mnt_type, "cgroup2") == 0)
                return v2_has_memory(mount->mnt_dir) ? 2 : 0;
        return 0;
}

static int find_mount(struct cgroupfs *fs)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        char buffer[PATH_MAX + 512];
        struct mntent entry;
        int r = -ENOENT;

        if (!mounts)
                return -errno;
        while (r == -ENOENT && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
                fs->version = memory_version(&entry);
                if (fs->version == 0)
                        continue;
                fs->mount = strdup(entry.mnt_dir);
                r = fs->mount ? 0 : -ENOMEM;
        }
        endmntent(mounts);
        return r;
}

int cgroupfs_init(struct cgroupfs *fs)
{
        int fd, r;

        *fs = (struct cgroupfs){ .mount_fd = -1 };
        r = find_mount(fs);
        if (r < 0)
                return r;
        fs->mount_fd = open(fs->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fs->mount_fd < 0)
                return -errno;
        r = id_at(fs->mount_fd, "", &fs->root_id);
        if (r < 0)
                return r;
        fd = open_by_id(fs->mount_fd, fs->root_id);
        fs->by_handle = fd >= 0;
        if (fd >= 0)
                close(fd);
        return 0;
}

void cgroupfs_deinit(struct cgroupfs *fs)
{
        if (fs->mount_fd >= 0)
                close(fs->mount_fd);
        free(fs->mount);
        *fs = (struct cgroupfs){ .mount_fd = -1 };
}

/* What the kernel appends to the path of what was removed since it was opened (fs/d_path.c). A cgroup may be named so.
 */
static bool ends_as_deleted(const char *path)
{
        static const char deleted[] = " (deleted)";
        size_t n = strlen(path);

        return n >= sizeof(deleted) - 1 && strcmp(path + n - (sizeof(deleted) - 1), deleted) == 0;
}

/* Where @fd, the cgroup @id, is below the mount; -ESTALE if it was removed since it was opened. */
static int path_of(const struct cgroupfs *fs, int fd, uint64_t id, char **path)
{
        char link[64], target[PATH_MAX];
        size_t prefix = strcmp(fs->mount, "/") == 0 ? 0 : strlen(fs->mount);
        uint64_t there;
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = '\0';
        if (strncmp(target, fs->mount, prefix) != 0)
                return -ESTALE;
        /* kernfs does not count the links of what was removed down to 0: what is at that path tells. */
        if (ends_as_deleted(target) && (cgroupfs_id(fs, target + prefix, &there) < 0 || there != id))
                return -ESTALE;
        *path = strdup(target[prefix] ? target + prefix : "/");
        return *path ? 0 : -ENOMEM;
}

int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **path, uint64_t *parent_id)
{
        _cleanup_close_ int fd = -1;
        int r;

        if (fs->mount_fd < 0)
                return -ENOENT;
        if (id == fs->root_id) {
                *path = strdup("/");
                *parent_id = 0;
                return *path ? 0 : -ENOMEM;
        }
        fd = open_by_id(fs->mount_fd, id);
        if (fd < 0)
                return fd == -ENOENT ? -ESTALE : fd;
        r = id_at(fd, "..", parent_id);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        return path_of(fs, fd, id, path);
}

char *cgroupfs_file(const struct cgroupfs *fs, const char *path)
{
        char *file;

        return fs->mount && asprintf(&file, "%s%s", fs->mount, path) >= 0 ? file : NULL;
}

int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id)
{
        if (fs->mount_fd < 0)
                return -ENOENT;
        while (*path == '/')
                path++;
        return id_at(fs->mount_fd, path, id);
}

/* Visits what is below the directory @fd, whose path below the mount is @path ("" for the root); takes @fd over. */
static int walk_directory(int fd, const char *path, cgroupfs_walk_t callback, void *context)
{
        DIR *directory = fdopendir(fd);
        struct dirent *entry;
        int r = 0;

        if (!directory) {
                close(fd);
                return -errno;
        }
        while (r == 0 && (entry = readdir(directory))) {
                _cleanup_free_ char *child = NULL;
                int child_fd;

                if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (asprintf(&child, "%s/%s", path, entry->d_name) < 0) {
                        child = NULL;
                        r = -ENOMEM;
                        break;
                }
                /* On 64-bit machines the inode number is the kernfs id (fs/kernfs/dir.c, kernfs_ino()). */
                r = callback(context, entry->d_ino, child);
                if (r < 0)
                        break;
                child_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (child_fd >= 0)
                        r = walk_directory(child_fd, child, callback, context);
                else if (errno != ENOENT && errno != ENODEV)
                        r = -errno;
        }
        closedir(directory);
        return r;
}

int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context)
{
        int fd;

        if (fs->mount_fd < 0)
                return -ENOENT;
        fd = openat(fs->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : walk_directory(fd, "", callback, context);
}

/* The calling process' path in the hierarchy of @fs: of the line "N:memory:/path" or "0::/path". */
int cgroupfs_own_path(const struct cgroupfs *fs, char **path)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        ssize_t n;

        if (!file)
                return -errno;
        while ((n = getline(&line, &size, file)) > 0) {
                char *controllers = strchr(line, ':'), *where = controllers ? strchr(controllers + 1, ':') : NULL;

                if (!where)
                        continue;
                line[n - 1] = *where++ = '\0';
                controllers++;
                if (fs->version == 1 ? !strstr(controllers, "memory") : *controllers != '\0')
                        continue;
                *path = strdup(where);
                return *path ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

int cgroupfs_may_freeze(const struct cgroupfs *fs)
{
        _cleanup_free_ char *own = NULL, *file = NULL;
        struct statvfs st;
        int r;

        if (fs->mount_fd < 0)
                return -ENOENT;
        if (fs->version != 2)
                return -EOPNOTSUPP;
        r = cgroupfs_own_path(fs, &own);
        if (r < 0)
                return r;
        if (fstatvfs(fs->mount_fd, &st) < 0)
                return -errno;
        if (st.f_flag & ST_RDONLY)
                return -EROFS;
        /* The root has no such file, and what is outside of a namespace has no path in it. */
        if (strcmp(own, "/") == 0 || strncmp(own, "/..", 3) == 0)
                return 0;
        if (asprintf(&file, "%s%s/cgroup.freeze", fs->mount, own) < 0) {
                file = NULL;
                return -ENOMEM;
        }
        return faccessat(AT_FDCWD, file, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int cgroupfs_id_of(int fd, uint64_t *id)
{
        return id_at(fd, "", id);
}

int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone)
{
        _cleanup_free_ char *path = NULL, *procs = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        int pid, r;

        r = cgroupfs_own_path(fs, &path);
        if (r < 0)
                return r;
        r = cgroupfs_id(fs, path, id);
        if (r < 0)
                return r;
        if (asprintf(&procs, "%s%s/cgroup.procs", fs->mount, path) < 0)
                return -ENOMEM;
        file = fopen(procs, "re");
        if (!file)
                return -errno;
        *alone = true;
        while (fscanf(file, "%d", &pid) == 1)
                if (pid != getpid())
                        *alone = false;
        return 0;
}
