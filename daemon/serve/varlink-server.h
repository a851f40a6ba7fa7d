/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the server of varlink.h: a server has clients (varlink-server.c: connections, turns, limits), each of which
 * has at most one call (varlink-call.c: messages, methods, replies), and sockets that it listens at (varlink-listen.c).
 */
#pragma once

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "serve/varlink.h"

struct varlink_call {
        struct client *client;
        bool active; /* not answered to its end */
        bool more, oneway;
        const struct varlink_stream *stream; /* NULL: none */
        void *state;
};

struct client {
        struct varlink_server *server;
        struct bufferevent *connection;
        struct event *resume; /* comes to serve it, or to free it, from the loop */
        uid_t uid;
        size_t scanned; /* bytes of input in which there is no NUL */
        bool half;      /* a part of a call is there, and the time for the rest runs */
        bool ended;     /* nothing more will come */
        bool dead;      /* to be freed */
        struct varlink_call call;
        struct client *next, *prev;
};

struct varlink_server {
        struct event_base *base;
        const struct varlink_info *info;
        const struct varlink_interface *interfaces;
        size_t interface_count;
        void *context;
        struct listener *listeners;
        struct client *clients;
        size_t client_count;
};

static inline struct evbuffer *client_output(const struct client *client)
{
        return bufferevent_get_output(client->connection);
}

/* Parses @size bytes of @text, a call, and answers it. Returns 0, or a negative errno: the connection is to be closed.
 */
int varlink_answer(struct client *client, const char *text, size_t size);

/* Nothing more is replied to @call; its stream ends. */
void varlink_end_call(struct varlink_call *call);

/* Closes all sockets that @server listens at, and removes those that it made. */
void varlink_stop_listening(struct varlink_server *server);
