/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics over HTTP, at /metrics, by libevent's evhttp. Its clients are not trusted: they have separate limits, and
 * cannot keep the loop from its work.
 */
#pragma once

#include <stddef.h>

#include <event2/event.h>

#include "policy/address.h"
#include "serve/metrictext.h"
#include "serve/writer.h"

/* The maximum number of connections; for one more, the oldest is closed. */
#define METRICS_CLIENTS_MAX 32

/* The maximum size in bytes of the first line and all headers of a request, and of its body, which is ignored. */
#define METRICS_HEADERS_MAX (16 * 1024)
#define METRICS_BODY_MAX    (4 * 1024)

/*
 * A connection is closed when no data was transferred for the first of these times, and in any case after the second.
 */
#define METRICS_STALL_SEC    5
#define METRICS_DEADLINE_SEC 30

/*
 * The maximum size, in bytes, of unsent replies to all clients together. Beyond that, a request is answered with 503.
 */
#define METRICS_OUTPUT_MAX (64 * 1024 * 1024)

/*
 * The previous reply is sent again until its age is this many times the time that it took to generate, so that clients
 * cannot keep the daemon busy.
 */
#define METRICS_FRESH_SHARE 4

struct metrics_server;

struct metrics_server_options {
        struct event_base *base;
        /* Writes the metrics. Returns 0 or a negative errno. */
        int (*write)(void *context, enum metrics_format format, struct writer *writer);
        void *context;
        const char *group; /* that may use a unix socket, besides root; NULL: none */
};

/* Makes a server that does not listen yet. Returns 0 or -ENOMEM. metrics_server_free() takes NULL. */
int metrics_server_new(const struct metrics_server_options *options, struct metrics_server **ret);
void metrics_server_free(struct metrics_server *server);

/*
 * Listens at @address instead of the previous address; at none if its text is empty. Does nothing if the server already
 * listens there. Returns 0 or a negative errno, such as -EADDRINUSE: then the server still listens at the previous
 * address.
 */
int metrics_server_listen(struct metrics_server *server, const struct listen_address *address);

/* The text of the address that it listens at; "": none. */
const char *metrics_server_address(const struct metrics_server *server);

/* Connections. */
size_t metrics_server_clients(const struct metrics_server *server);
