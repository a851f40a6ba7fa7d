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
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <utlist.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/uthash-nonfatal.h"
#include "kernel/longpath.h"

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

/* Whether the mount at @directory is the cgroup v2 hierarchy with the memory controller in it. -EMFILE and the like: it
 * is not known. */
static int v2_has_memory(const char *directory)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char name[64];

        if (asprintf(&path, "%s/cgroup.controllers", directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        file = fopen(path, "re");
        if (!file)
                return error_is_passing(errno) ? -errno : 0;
        while (fscanf(file, "%63s", name) == 1)
                if (strcmp(name, "memory") == 0)
                        return 1;
        return 0;
}

/* Returns the version of the hierarchy if @mount is the one that memory is on, else 0 or a negative errno. */
static int memory_version(const struct mntent *mount)
{
        if (strcmp(mount->mnt_type, "cgroup") == 0)
                return hasmntopt(mount, "memory") ? 1 : 0;
        if (strcmp(mount->mnt_type, "cgroup2") == 0) {
                int r = v2_has_memory(mount->mnt_dir);

                return r > 0 ? 2 : r;
        }
        return 0;
}

/* The id of the root of every hierarchy (fs/kernfs/dir.c, kernfs_create_root()), and on 64-bit machines its inode
 * number. */
#define ROOT_ID 1

/* Whether the mount at @directory shows a subtree: of a bind mount, or of a cgroup namespace. */
static bool is_part(const char *directory)
{
        struct stat st;

        return stat(directory, &st) < 0 || st.st_ino != ROOT_ID;
}

/* Uses the mount @entry, of @version, instead of the previous one, if any. Returns 0 or -ENOMEM. */
static int take_mount(struct cgroupfs *fs, const struct mntent *entry, int version, bool part)
{
        char *mount = strdup(entry->mnt_dir);

        if (!mount)
                return -ENOMEM;
        free(fs->mount);
        fs->mount = mount;
        fs->version = version;
        fs->part = part;
        return 0;
}

static int find_mount(struct cgroupfs *fs)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        char buffer[PATH_MAX + 512];
        struct mntent entry;
        int r = 0;

        if (!mounts)
                return -errno;
        while (r == 0 && (!fs->mount || fs->part) && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
                int version = memory_version(&entry);
                bool part = version > 0 && is_part(entry.mnt_dir);

                if (version < 0)
                        r = version;
                else if (version > 0 && (!fs->mount || !part))
                        r = take_mount(fs, &entry, version, part);
        }
        endmntent(mounts);
        return r ?: fs->mount ? 0 : -ENOENT;
}

/* --- Name and parent ---------------------------------------------------------------------------------------------- */

/* The next directory in @directory, NULL at its end. */
static struct dirent *next_directory(DIR *directory)
{
        struct dirent *entry;

        while ((entry = readdir(directory)))
                if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        break;
        return entry;
}

/* Opens the directory @name relative to @fd to read what is in it. */
static DIR *open_directory(int fd, const char *name)
{
        int other = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *directory = other < 0 ? NULL : fdopendir(other);

        if (!directory && other >= 0)
                close(other);
        return directory;
}

/*
 * The other names that were read from a directory in a search for one. They are likely to be looked up, too, once each,
 * and reading the directory again for each of N cgroups would take time in proportion to N * N.
 */
struct directory_name {
        uint64_t id;
        UT_hash_handle hh;
        char name[];
};

struct directory_names {
        struct directory_name *by_id; /* uthash */
};

/* As many as there can be memory cgroups: MEM_CGROUP_ID_MAX, include/linux/memcontrol.h. */
#define NAMES_MAX (1 << 16)

static struct directory_name *find_name(const struct directory_names *names, uint64_t id)
{
        struct directory_name *found = NULL;

        if (names)
                HASH_FIND(hh, names->by_id, &id, sizeof(id), found);
        return found;
}

static void forget_name(struct directory_names *names, struct directory_name *name)
{
        HASH_DEL(names->by_id, name);
        free(name);
}

static void forget_names(struct directory_names *names)
{
        struct directory_name *name, *next;

        if (!names)
                return;
        HASH_ITER (hh, names->by_id, name, next)
                forget_name(names, name);
}

/* Without memory it is read again. */
static void keep_name(struct directory_names *names, uint64_t id, const char *text)
{
        size_t size = strlen(text) + 1;
        struct directory_name *name;

        if (!names || HASH_COUNT(names->by_id) >= NAMES_MAX || find_name(names, id))
                return;
        name = malloc(sizeof(*name) + size);
        if (!name)
                return;
        name->id = id;
        memcpy(name->name, text, size);
        HASH_ADD(hh, names->by_id, id, sizeof(name->id), name);
        if (!HASH_ADDED(name))
                free(name);
}

/* Reads the name of @id from the directory above @fd, and caches the others. */
static int read_names(struct directory_names *names, int fd, uint64_t id, char **name)
{
        _cleanup_closedir_ DIR *directory = open_directory(fd, "..");
        struct dirent *entry;
        int r = -ESTALE;

        if (!directory)
                return -errno;
        if (names && HASH_COUNT(names->by_id) >= NAMES_MAX)
                forget_names(names);
        while ((entry = next_directory(directory)))
                /* On 64-bit machines the inode number is the kernfs id (fs/kernfs/dir.c, kernfs_ino()). */
                if (entry->d_ino == id) {
                        *name = strdup(entry->d_name);
                        r = *name ? 0 : -ENOMEM;
                } else
                        keep_name(names, entry->d_ino, entry->d_name);
        return r;
}

/* The name that the directory above @fd has for @id. Returns 0, -ESTALE: none any more; or another negative errno. */
static int name_in_parent(struct directory_names *names, int fd, uint64_t id, char **name)
{
        struct directory_name *found = find_name(names, id);

        if (!found)
                return read_names(names, fd, id, name);
        *name = strdup(found->name);
        forget_name(names, found);
        return *name ? 0 : -ENOMEM;
}

/* The name of the cgroup @id, which is open as @fd. It is wrong if the cgroup was removed since it was opened. */
static int name_of(const struct cgroupfs *fs, int fd, uint64_t id, char **name)
{
        char link[64], target[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return errno == ENAMETOOLONG ? name_in_parent(fs->names, fd, id, name) : -errno;
        target[n] = '\0';
        *name = strdup(strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
        return *name ? 0 : -ENOMEM;
}

int cgroupfs_open(const struct cgroupfs *fs, uint64_t id)
{
        int fd;

        if (fs->mount_fd < 0)
                return -ENOENT;
        if (id == fs->root_id) {
                fd = openat(fs->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                return fd < 0 ? -errno : fd;
        }
        fd = open_by_id(fs->mount_fd, id);
        return fd == -ENOENT ? -ESTALE : fd;
}

int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id)
{
        int fd = cgroupfs_open(fs, id);

        if (fd < 0)
                return fd;
        close(fd);
        return 0;
}

/* Finds the parent of @fd, the cgroup @id. Returns as cgroupfs_lookup(). */
static int parent_of(const struct cgroupfs *fs, int fd, uint64_t id, uint64_t *parent_id)
{
        int r = id_at(fd, "..", parent_id);

        /* From outside of the visible part, no path leads up to its root (fs/namei.c, path_connected()). */
        if (r == -ENOENT)
                return fs->part ? -EXDEV : -ESTALE;
        if (r < 0)
                return r;
        if (*parent_id != id)
                return 0;
        /* The root of the hierarchy, where a cgroup is mounted: in a cgroup namespace. */
        *parent_id = fs->root_id;
        return -EXDEV;
}

int cgroupfs_parent(const struct cgroupfs *fs, uint64_t id, uint64_t *parent_id)
{
        _cleanup_close_ int fd = -1;

        *parent_id = 0;
        if (fs->mount_fd < 0)
                return -ENOENT;
        if (id == fs->root_id)
                return 0;
        fd = cgroupfs_open(fs, id);
        return fd < 0 ? fd : parent_of(fs, fd, id, parent_id);
}

int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **name, uint64_t *parent_id)
{
        _cleanup_free_ char *found = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        *parent_id = 0;
        if (fs->mount_fd < 0)
                return -ENOENT;
        if (id == fs->root_id) {
                *name = strdup("");
                return *name ? 0 : -ENOMEM;
        }
        fd = cgroupfs_open(fs, id);
        if (fd < 0)
                return fd;
        r = parent_of(fs, fd, id, parent_id);
        if (r < 0)
                return r;
        r = name_of(fs, fd, id, &found);
        if (r < 0) {
                found = NULL;
                return r;
        }
        r = cgroupfs_exists(fs, id);
        if (r < 0)
                return r;
        *name = found;
        found = NULL;
        return 0;
}

int cgroupfs_path(const struct cgroupfs *fs, uint64_t id, char **path)
{
        size_t size = PATH_MAX, length = 0; /* what there is of the path is the end of @text */
        _cleanup_free_ char *text = malloc(size);
        uint64_t parent_id;

        if (!text)
                return -ENOMEM;
        for (; id != fs->root_id; id = parent_id) {
                _cleanup_free_ char *name = NULL;
                int r = cgroupfs_lookup(fs, id, &name, &parent_id);
                size_t more;

                if (r < 0) {
                        name = NULL;
                        return r;
                }
                more = strlen(name) + 1;
                if (length + more > size) {
                        char *longer = malloc(2 * size);

                        if (!longer)
                                return -ENOMEM;
                        memcpy(longer + 2 * size - length, text + size - length, length);
                        free(text);
                        text = longer;
                        size *= 2;
                }
                length += more;
                text[size - length] = '/';
                memcpy(text + size - length + 1, name, more - 1);
        }
        *path = length == 0 ? strdup("/") : strndup(text + size - length, length);
        return *path ? 0 : -ENOMEM;
}

/* --- Paths -------------------------------------------------------------------------------------------------------- */

/* Opens what is at @path below the mount, whatever it is. */
static int open_path(const struct cgroupfs *fs, const char *path)
{
        return open_long_path(fs->mount_fd, path + strspn(path, "/"), O_PATH | O_NOFOLLOW);
}

int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id)
{
        _cleanup_close_ int fd = -1;

        if (fs->mount_fd < 0)
                return -ENOENT;
        fd = open_path(fs, path);
        return fd < 0 ? fd : id_at(fd, "", id);
}

/* --- All there are ------------------------------------------------------------------------------------------------ */

/* A cgroup that is to be visited. */
struct pending {
        struct pending *next;
        uint64_t id;
        size_t depth; /* 1: below the root */
        char name[];
};

/* A walk is in one directory at a time, however deep that is. */
struct walk {
        int fd; /* where it is */
        size_t depth;
        char *path; /* of that below the mount, "" for the root */
        size_t length, size;
        struct pending *pending; /* stack: what is in a directory comes before what is beside it */
};

/* Pushes the children of @walk's directory on the stack. Returns 0, also if it was removed; or a negative errno. */
static int push_children(struct walk *walk)
{
        _cleanup_closedir_ DIR *directory = open_directory(walk->fd, ".");
        struct dirent *entry;

        if (!directory)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;
        while ((entry = next_directory(directory))) {
                size_t size = strlen(entry->d_name) + 1;
                struct pending *child = malloc(sizeof(*child) + size);

                if (!child)
                        return -ENOMEM;
                child->id = entry->d_ino;
                child->depth = walk->depth + 1;
                memcpy(child->name, entry->d_name, size);
                LL_PREPEND(walk->pending, child);
        }
        return 0;
}

/* Goes to the directory @name, one @down or one up. */
static int change_directory(struct walk *walk, const char *name, bool down)
{
        int fd = openat(walk->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;
        close(walk->fd);
        walk->fd = fd;
        walk->depth += down ? 1 : -1;
        return 0;
}

static int go_up(struct walk *walk, size_t depth)
{
        int r = 0;

        while (r == 0 && walk->depth > depth) {
                r = change_directory(walk, "..", false);
                walk->length = (char *) memrchr(walk->path, '/', walk->length) - walk->path;
        }
        walk->path[walk->length] = '\0';
        return r;
}

/* Appends @name to the path of @walk. */
static int append_name(struct walk *walk, const char *name)
{
        size_t size = walk->length + strlen(name) + 2;

        if (size > walk->size) {
                char *path = realloc(walk->path, 2 * size);

                if (!path)
                        return -ENOMEM;
                walk->path = path;
                walk->size = 2 * size;
        }
        walk->path[walk->length] = '/';
        strcpy(walk->path + walk->length + 1, name);
        return 0;
}

/* Visits @child and enters it. */
static int visit(struct walk *walk, const struct pending *child, cgroupfs_walk_t callback, void *context)
{
        int r = go_up(walk, child->depth - 1);

        if (r == 0)
                r = append_name(walk, child->name);
        if (r == 0)
                r = callback(context, child->id, walk->path);
        if (r < 0)
                return r;
        r = change_directory(walk, child->name, true);
        if (r < 0) {
                walk->path[walk->length] = '\0';
                return r == -ENOENT || r == -ENODEV ? 0 : r;
        }
        walk->length += strlen(child->name) + 1;
        return push_children(walk);
}

int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context)
{
        struct walk walk = { .path = strdup(""), .size = 1 };
        struct pending *child;
        int r = 0;

        walk.fd = fs->mount_fd < 0 ? -1 : openat(fs->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!walk.path)
                r = -ENOMEM;
        else if (walk.fd < 0)
                r = fs->mount_fd < 0 ? -ENOENT : -errno;
        if (r == 0)
                r = push_children(&walk);
        while ((child = walk.pending)) {
                LL_DELETE(walk.pending, child);
                if (r == 0)
                        r = visit(&walk, child, callback, context);
                free(child);
        }
        if (walk.fd >= 0)
                close(walk.fd);
        free(walk.path);
        return r;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

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
        fs->names = calloc(1, sizeof(*fs->names));
        return fs->names ? 0 : -ENOMEM;
}

void cgroupfs_deinit(struct cgroupfs *fs)
{
        if (fs->mount_fd >= 0)
                close(fs->mount_fd);
        free(fs->mount);
        forget_names(fs->names);
        free(fs->names);
        *fs = (struct cgroupfs){ .mount_fd = -1 };
}

/* --- The caller's own --------------------------------------------------------------------------------------------- */

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

/* Whether @path is of what is outside of a cgroup namespace, and has no path in it (kernel/cgroup/cgroup.c). */
static bool is_outside(const char *path)
{
        return strcmp(path, "/..") == 0 || strncmp(path, "/../", 4) == 0;
}

int cgroupfs_may_freeze(const struct cgroupfs *fs)
{
        _cleanup_free_ char *own = NULL;
        _cleanup_close_ int fd = -1;
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
        /* The root has no such file. */
        if (strcmp(own, "/") == 0 || is_outside(own))
                return 0;
        fd = open_path(fs, own);
        if (fd < 0)
                return fd;
        return faccessat(fd, "cgroup.freeze", W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int cgroupfs_id_of(int fd, uint64_t *id)
{
        return id_at(fd, "", id);
}

struct own {
        const struct cgroupfs *fs;
        uint64_t id;
        bool alone;
};

/* Sets @own to the cgroup at @path. Returns whether the caller is in it, or a negative errno. */
static int read_processes(struct own *own, const char *path)
{
        _cleanup_close_ int fd = open_path(own->fs, path), procs = -1;
        _cleanup_fclose_ FILE *file = NULL;
        int pid, r;

        if (fd < 0)
                return fd;
        r = id_at(fd, "", &own->id);
        if (r < 0)
                return r;
        procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        file = procs < 0 ? NULL : fdopen(procs, "r");
        if (!file)
                return -errno;
        procs = -1;
        own->alone = true;
        while (fscanf(file, "%d", &pid) == 1)
                if (pid == getpid())
                        r = 1;
                else
                        own->alone = false;
        return r;
}

/* Returns -EEXIST, which ends the walk, at the caller's own cgroup. */
static int search_own(void *context, uint64_t id, const char *path)
{
        (void) id;
        return read_processes(context, path) > 0 ? -EEXIST : 0;
}

int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone)
{
        _cleanup_free_ char *path = NULL;
        struct own own = { .fs = fs };
        int r;

        if (fs->mount_fd < 0)
                return -ENOENT;
        r = cgroupfs_own_path(fs, &path);
        if (r == 0 && is_outside(path))
                r = -EXDEV;
        if (r < 0)
                return r;
        r = read_processes(&own, path);
        /* In a cgroup namespace the path does not begin at the root of the host's mount. */
        if (r == 0 || r == -ENOENT)
                r = cgroupfs_walk(fs, search_own, &own) ?: -EXDEV;
        if (r < 0 && r != -EEXIST)
                return r;
        *id = own.id;
        *alone = own.alone;
        return 0;
}
