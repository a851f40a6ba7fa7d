/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/listener.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/log.h"

/* How long new connections are left alone when there is no file descriptor for them. */
#define LISTEN_PAUSE_SEC 1

/* A socket that is listened at. */
struct listener {
        struct varlink_server *server;
        struct evconnlistener *events;
        struct event *pause; /* ends a pause */
        char *path;          /* to be removed in the end; NULL: not ours */
        dev_t device;        /* what @path was when it was made */
        ino_t inode;
        struct listener *next;
};

static void on_accept(
                struct evconnlistener *events, evutil_socket_t fd, struct sockaddr *address, int length, void *context)
{
        struct listener *listener = context;
        int r;

        (void) events;
        (void) address;
        (void) length;
        r = varlink_serve_fd(listener->server, fd);
        if (r < 0)
                log_debug("A varlink client is turned away: %s", strerror(-r));
}

/* No file descriptor is left, say: the connection stays in the queue and would wake us again at once. */
static void on_accept_error(struct evconnlistener *events, void *context)
{
        static const struct timeval pause = { .tv_sec = LISTEN_PAUSE_SEC };
        struct listener *listener = context;

        log_warning("Varlink connections cannot be accepted: %s", strerror(errno));
        if (event_add(listener->pause, &pause) == 0)
                evconnlistener_disable(events);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
        struct listener *listener = context;

        (void) fd;
        (void) what;
        evconnlistener_enable(listener->events);
}

static void free_listener(struct listener *listener)
{
        struct stat st;

        if (listener->events)
                evconnlistener_free(listener->events);
        if (listener->pause)
                event_free(listener->pause);
        /* Not a successor's. */
        if (listener->path && stat(listener->path, &st) == 0 && st.st_dev == listener->device &&
                        st.st_ino == listener->inode)
                unlink(listener->path);
        free(listener->path);
        free(listener);
}

/* Sets up the events of @listener for @fd, which listen() was called for. On success alone @fd is @listener's. */
static int watch(struct listener *listener, int fd)
{
        struct event_base *base = listener->server->base;

        if (evutil_make_socket_nonblocking(fd) < 0)
                return -errno;
        listener->pause = evtimer_new(base, on_pause_end, listener);
        if (!listener->pause)
                return -ENOMEM;
        listener->events = evconnlistener_new(
                        base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
        if (!listener->events)
                return -ENOMEM;
        evconnlistener_set_error_cb(listener->events, on_accept_error);
        return 0;
}

/* Listens at @fd, which it takes over, and which listen() was called for. *ret, if it is not NULL, is the server's. */
static int add_listener(struct varlink_server *server, int fd, struct listener **ret)
{
        struct listener *listener = calloc(1, sizeof(*listener));
        int r = -ENOMEM;

        if (listener) {
                listener->server = server;
                r = watch(listener, fd);
        }
        if (r < 0) {
                if (listener)
                        free_listener(listener);
                close(fd);
                return r;
        }
        LL_PREPEND(server->listeners, listener);
        if (ret)
                *ret = listener;
        return 0;
}

int varlink_listen_fd(struct varlink_server *server, int fd)
{
        return add_listener(server, fd, NULL);
}

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

/* Gives the socket @path to @group, if there is such a group, and lets it in by @mode. */
static int let_in(const char *path, mode_t mode, const char *group)
{
        const struct group *entry = group ? getgrnam(group) : NULL;

        if (entry && chown(path, (uid_t) -1, entry->gr_gid) < 0)
                log_warning("%s cannot be given to group %s (%s): only root gets in", path, group, strerror(errno));
        return chmod(path, mode) < 0 ? -errno : 0;
}

/* Binds @fd beside @path, and puts it there when it is as it should be. */
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

/* Makes the socket @path @listener's, to be removed with it. On error @listener is freed. */
static int own_path(struct listener *listener, const char *path)
{
        struct stat st;
        int r = stat(path, &st) < 0 ? -errno : 0;

        if (r == 0) {
                listener->device = st.st_dev;
                listener->inode = st.st_ino;
                listener->path = strdup(path);
                r = listener->path ? 0 : -ENOMEM;
        }
        if (r < 0) {
                LL_DELETE(listener->server->listeners, listener);
                free_listener(listener);
        }
        return r;
}

int varlink_listen(struct varlink_server *server, const char *path, mode_t mode, const char *group)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        struct listener *listener;
        struct stat st;
        int r = set_address(&address, path, "");

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
        r = add_listener(server, fd, &listener);
        fd = -1;
        if (r == 0)
                r = own_path(listener, path);
        if (r < 0)
                unlink(path);
        return r;
}

void varlink_stop_listening(struct varlink_server *server)
{
        struct listener *listener, *next;

        LL_FOREACH_SAFE(server->listeners, listener, next)
        free_listener(listener);
}
