/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

static char *failure_path(const char *socket)
{
        char *path;

        return asprintf(&path, "%s" FAILURE_SUFFIX, socket) < 0 ? NULL : path;
}

void failure_remove(const char *socket)
{
        _cleanup_free_ char *path = failure_path(socket);

        if (path)
                unlink(path);
}

void failure_leave(const char *socket, const char *reason)
{
        _cleanup_free_ char *path = failure_path(socket);
        _cleanup_close_ int fd = -1;
        size_t size = strnlen(reason, FAILURE_MAX - 1);

        if (!path)
                return;
        /* Do not write to a file, or through a link, of another user. */
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, reason, size) != (ssize_t) size || fchmod(fd, 0644) < 0)
                log_debug("%s cannot be written: %s", path, strerror(errno));
}

/*
 * Anybody who can write to the directory of the socket could have created the file, so it must belong to root or to the
 * caller.
 */
static bool is_believed(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid());
}

char *failure_read(const char *socket)
{
        _cleanup_free_ char *path = failure_path(socket), *reason = calloc(1, FAILURE_MAX);
        _cleanup_close_ int fd = -1;
        char *text;

        if (!path || !reason)
                return NULL;
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || !is_believed(fd) || read(fd, reason, FAILURE_MAX - 1) <= 0)
                return NULL;
        reason[strcspn(reason, "\n")] = '\0';
        text = reason;
        reason = NULL;
        return text;
}
