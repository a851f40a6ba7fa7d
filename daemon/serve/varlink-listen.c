/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/log.h"
#include "serve/unixsocket.h"

/*
 * The number of connections that are accepted in one turn of the loop, so that a client that connects again and again
 * does not keep the loop from serving others.
 */
#define ACCEPTS_AT_ONCE 64

/*
 * The number of connections that can wait to be accepted, also on a passed socket. It is small, because connections
 * that will be closed wait there as well, and thousands of them would delay root.
 */
#define BACKLOG 64

/* How long no connection is accepted after there was no file descriptor for one. */
#define LISTEN_PAUSE_SEC 1

/* A listening socket. */
struct listener {
        struct varlink_server *server;
        int fd;
        struct event *readable; /* a connection can be accepted */
        struct event *pause;    /* ends a pause */
        struct unix_socket socket;
        struct listener *next;
};

/* Without a file descriptor, for example, the connection stays in the queue, and would wake the daemon again. */
static void pause_listener(struct listener *listener)
{
        static const struct timeval pause = { .tv_sec = LISTEN_PAUSE_SEC };

        log_warning("Varlink connections cannot be accepted: %s", strerror(errno));
        if (event_add(listener->pause, &pause) == 0)
                event_del(listener->readable);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
        struct listener *listener = context;

        (void) fd;
        (void) what;
        event_add(listener->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
        struct listener *listener = context;

        (void) what;
        for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

                if (client < 0) {
                        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                                pause_listener(listener);
                        return;
                }
                r = varlink_serve_fd(listener->server, client);
                if (r < 0)
                        log_debug("A varlink client is turned away: %s", strerror(-r));
        }
}

static void free_listener(struct listener *listener)
{
        if (listener->readable)
                event_free(listener->readable);
        if (listener->pause)
                event_free(listener->pause);
        unix_socket_deinit(&listener->socket);
        if (listener->fd >= 0)
                close(listener->fd);
        free(listener);
}

/* Sets up the events of @listener for the listening socket @fd. Only on success does @fd belong to @listener. */
static int watch(struct listener *listener, int fd)
{
        struct event_base *base = listener->server->base;

        if (evutil_make_socket_nonblocking(fd) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        listener->pause = evtimer_new(base, on_pause_end, listener);
        if (!listener->pause)
                return -ENOMEM;
        listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, listener);
        if (!listener->readable || event_add(listener->readable, NULL) < 0)
                return -ENOMEM;
        listener->fd = fd;
        return 0;
}

/*
 * Accepts connections at the listening socket @fd, which it takes over. *ret, if @ret is not NULL, belongs to the
 * server.
 */
static int add_listener(struct varlink_server *server, int fd, struct listener **ret)
{
        struct listener *listener = calloc(1, sizeof(*listener));
        int r = -ENOMEM;

        if (listener) {
                listener->server = server;
                listener->fd = -1;
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

int varlink_listen(struct varlink_server *server, const char *path, mode_t mode, const char *group)
{
        struct unix_socket socket;
        struct listener *listener;
        int fd = unix_socket_listen(&socket, path, mode, group), r;

        if (fd < 0)
                return fd;
        r = add_listener(server, fd, &listener);
        if (r == 0)
                listener->socket = socket;
        else
                unix_socket_deinit(&socket);
        return r;
}

void varlink_stop_listening(struct varlink_server *server)
{
        struct listener *listener, *next;

        LL_FOREACH_SAFE(server->listeners, listener, next)
        free_listener(listener);
}
