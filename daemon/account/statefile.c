/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fileio.h"

static struct state_version version_of(const struct stat *status)
{
        return (struct state_version){
                .device = status->st_dev,
                .inode = status->st_ino,
                .size = status->st_size,
                .usec = (uint64_t) status->st_mtim.tv_sec * 1000000 + status->st_mtim.tv_nsec / 1000,
        };
}

int state_file_read(const char *path, uid_t owner, size_t max, struct state_version *version, json_t **json)
{
        /* O_NONBLOCK: a FIFO must not hang the daemon. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_free_ char *buffer = NULL;
        struct state_version found;
        struct stat status;
        ssize_t n;

        if (fd < 0 || fstat(fd, &status) < 0)
                return errno == ELOOP ? -EPERM : -errno;
        found = version_of(&status);
        if (memcmp(&found, version, sizeof(found)) == 0)
                return 0;
        *version = found;
        if (!S_ISREG(status.st_mode) || status.st_uid != owner)
                return -EPERM;
        if ((uint64_t) status.st_size > max)
                return -EFBIG;
        buffer = malloc(status.st_size + 1);
        if (!buffer)
                return -ENOMEM;
        n = read_all(fd, buffer, status.st_size);
        if (n < 0)
                return n;
        *json = json_loadb(buffer, n, 0, NULL);
        return *json ? 1 : -EBADMSG;
}
