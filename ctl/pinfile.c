/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pinfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <linux/openat2.h>

#include "account/relations.h"
#include "base/cleanup.h"

/* Opens the directory that @path is in. */
static int open_directory(const char *path)
{
        _cleanup_free_ char *directory = strndup(path, strrchr(path, '/') - path + 1);
        struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
        struct statfs fs;
        int fd;

        if (!directory)
                return -ENOMEM;
        fd = syscall(SYS_openat2, AT_FDCWD, directory, &how, sizeof(how));
        if (fd < 0)
                return -errno;
        if (fstatfs(fd, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
                return fd;
        close(fd);
        return -EXDEV;
}

/* Whether the file @name in @directory pins the object or link. Returns 0 or a negative errno. */
static int check(int directory, const char *name, uint32_t kind, uint32_t id)
{
        /* The heads of struct bpf_map_info, bpf_prog_info and bpf_link_info. */
        struct {
                uint32_t type, id;
        } info = {};
        uint32_t size = sizeof(info);
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;

        if (asprintf(&path, "/proc/self/fd/%d/%s", directory, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = bpf_obj_get(path);
        if (fd < 0)
                return -errno;
        if (relations_kind_of_fd(fd) != kind || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.id != id)
                return -ESTALE;
        return 0;
}

int pinfile_remove(const char *path, uint32_t kind, uint32_t id)
{
        const char *slash = strrchr(path, '/');
        _cleanup_close_ int directory = -1;
        int r;

        if (*path != '/' || !slash[1])
                return -EINVAL;
        directory = open_directory(path);
        if (directory < 0)
                return directory;
        r = check(directory, slash + 1, kind, id);
        if (r < 0)
                return r;
        return unlinkat(directory, slash + 1, 0) < 0 ? -errno : 0;
}
