/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/unixsocket.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Whether somebody listens at @address. */
static bool is_alive(const struct sockaddr_un *address)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && (connect(fd, (const struct sockaddr *) address, sizeof(*address)) == 0 || errno == EAGAIN);
}

static int set_address(struct sockaddr_un *address, const char *path, const char *suffix)
{
        int n;

        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        n = snprintf(address->sun_path, sizeof(address->sun_path), "%s%s", path, suffix);
        return n < (int) sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

/* Gives the socket @path to @group, if this group exists, and sets its permissions to @mode. */
static int let_in(const char *path, mode_t mode, const char *group)
{
        const struct group *entry = group ? getgrnam(group) : NULL;

        if (entry && chown(path, (uid_t) -1, entry->gr_gid) < 0)
                log_warning("%s cannot be given to group %s (%s): only root can connect", path, group, strerror(errno));
        return chmod(path, mode) < 0 ? -errno : 0;
}

/* Binds @fd to a name beside @path, and renames it to @path when its owner and mode are set. */
static int bind_socket(int fd, const char *path, mode_t mode, const char *group)
{
        struct sockaddr_un address;
        mode_t mask;
        int r = set_address(&address, path, ".new");

        if (r < 0)
                return r;
        unlink(address.sun_path);
        mask = umask(0777);
        r = bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        umask(mask);
        if (r < 0)
                return r;
        r = let_in(address.sun_path, mode, group);
        if (r == 0 && (listen(fd, SOMAXCONN) < 0 || rename(address.sun_path, path) < 0))
                r = -errno;
        if (r < 0)
                unlink(address.sun_path);
        return r;
}

/* Records @path as that of @socket, so that it is removed with the socket. */
static int own_path(struct unix_socket *socket, const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        socket->device = st.st_dev;
        socket->inode = st.st_ino;
        socket->path = strdup(path);
        return socket->path ? 0 : -ENOMEM;
}

int unix_socket_listen(struct unix_socket *unix_socket, const char *path, mode_t mode, const char *group)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        struct stat st;
        int r = set_address(&address, path, ""), ret;

        *unix_socket = (struct unix_socket){};
        if (r < 0)
                return r;
        if (is_alive(&address))
                return -EADDRINUSE;
        if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
                return -EEXIST;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = bind_socket(fd, path, mode, group);
        if (r < 0)
                return r;
        r = own_path(unix_socket, path);
        if (r < 0) {
                unlink(path);
                return r;
        }
        ret = fd;
        fd = -1;
        return ret;
}

void unix_socket_deinit(struct unix_socket *unix_socket)
{
        struct stat st;

        if (unix_socket->path && stat(unix_socket->path, &st) == 0 && st.st_dev == unix_socket->device &&
                        st.st_ino == unix_socket->inode)
                unlink(unix_socket->path);
        free(unix_socket->path);
        *unix_socket = (struct unix_socket){};
}
