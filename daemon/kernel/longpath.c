/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/longpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* How much of @path the kernel takes at once: all, or up to a slash. 0: it has a name that no file has. */
static size_t piece_of(const char *path)
{
        size_t length = strnlen(path, PATH_MAX);
        const char *slash = length < PATH_MAX ? path + length : memrchr(path, '/', PATH_MAX);

        return slash ? slash - path : 0;
}

int open_long_path(int fd, const char *path, int flags)
{
        int at = openat(fd, *path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (at < 0)
                return -errno;
        path += strspn(path, "/");
        do {
                size_t length = piece_of(path);
                const char *rest = path + length + strspn(path + length, "/");
                int how = *rest ? O_PATH | O_DIRECTORY | O_NOFOLLOW : flags, next;
                char piece[PATH_MAX] = ".";

                if (*path)
                        memcpy(piece, path, length);
                piece[length > 0 ? length : 1] = '\0';
                next = *path && length == 0 ? -ENAMETOOLONG : openat(at, piece, how | O_CLOEXEC);
                if (next == -1)
                        next = -errno;
                close(at);
                at = next;
                path = rest;
        } while (at >= 0 && *path);
        return at;
}
