/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/metricsserver.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/accept.h"
#include "serve/metricsbody.h"
#include "serve/unixsocket.h"

/* How long new connections are left alone when there is no file descriptor for them. */
#define LISTEN_PAUSE_SEC 1

/* The maximum number of bytes of one write. With libevent's default of 16 KiB, each would take a turn of the loop. */
#define WRITE_MAX (1024 * 1024)

/* A connection. It belongs to evhttp, which reports its end. */
struct metrics_client {
        struct metrics_server *server;
        struct bufferevent *bufferevent;
        struct evhttp_connection *connection; /* NULL: evhttp has only just accepted it */
        struct event *event;                  /* fires when it is accepted, and at its deadline */
        bool closing;
        struct metrics_client *next, *prev;
};

/* The last reply in one format. */
struct last_reply {
        struct metrics_body *body; /* NULL: nothing yet */
        uint64_t usec, cost_usec;  /* time of its generation (CLOCK_MONOTONIC); duration of the generation */
};

/* Where a server listens. */
struct endpoint {
        struct evhttp_bound_socket *bound; /* NULL: nowhere */
        struct evconnlistener *listener;   /* of @bound */
        struct listen_address address;
        struct unix_socket unix_socket;
};

struct metrics_server {
        struct metrics_server_options options;
        struct evhttp *http;
        struct endpoint endpoint;
        struct event *pause;            /* ends a pause of the listener */
        struct metrics_client *clients; /* list, oldest first */
        size_t client_count;
        struct last_reply last[METRICS_FORMATS];
        struct writer spare; /* memory for the next text */
};

/* --- Connections -------------------------------------------------------------------------------------------------- */

/* evhttp notices the end of the connection, and frees it. */
static void shut(struct metrics_client *client)
{
        client->closing = true;
        shutdown(bufferevent_getfd(client->bufferevent), SHUT_RDWR);
}

/* Frees @client, and accepts connections again, because there is room for another one. */
static void client_free(struct metrics_client *client)
{
        struct metrics_server *server = client->server;

        DL_DELETE(server->clients, client);
        server->client_count--;
        if (server->endpoint.listener && !event_pending(server->pause, EV_TIMEOUT, NULL))
                evconnlistener_enable(server->endpoint.listener);
        if (!client->connection)
                bufferevent_decref(client->bufferevent);
        event_free(client->event);
        free(client);
}

static void on_client_end(struct evhttp_connection *connection, void *context)
{
        (void) connection;
        client_free(context);
}

/*
 * Asks evhttp to report when the connection of @client ends. libevent 2.1 does not pass a connection on before it has a
 * request, but gives it to the callbacks of its bufferevent, which has none any more after bufferevent_free().
 */
static void attach(struct metrics_client *client)
{
        static const struct timeval deadline = { .tv_sec = METRICS_DEADLINE_SEC };
        void *connection = NULL;

        bufferevent_getcb(client->bufferevent, NULL, NULL, NULL, &connection);
        if (!connection || event_add(client->event, &deadline) < 0) {
                shut(client);
                client_free(client);
                return;
        }
        client->connection = connection;
        bufferevent_decref(client->bufferevent);
        evhttp_connection_set_closecb(connection, on_client_end, client);
}

static void on_client_event(evutil_socket_t fd, short what, void *context)
{
        struct metrics_client *client = context;

        (void) fd;
        (void) what;
        if (client->connection)
                shut(client);
        else
                attach(client);
}

/* Whether no request of @client is unanswered, and no reply is on its way to it. */
static bool is_silent(const struct metrics_client *client)
{
        char byte;

        return evbuffer_get_length(bufferevent_get_input(client->bufferevent)) == 0 &&
               evbuffer_get_length(bufferevent_get_output(client->bufferevent)) == 0 &&
               recv(bufferevent_getfd(client->bufferevent), &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/*
 * Makes room: ends the oldest silent connection, or else the oldest one. Until it has ended, no connection is accepted.
 * However many clients connect without a request, they cannot end a connection that has one.
 */
static void end_oldest(struct metrics_server *server)
{
        struct metrics_client *client, *end = NULL;

        evconnlistener_disable(server->endpoint.listener);
        DL_FOREACH(server->clients, client)
        {
                /* The new connection has no descriptor yet. */
                if (client->closing || bufferevent_getfd(client->bufferevent) < 0)
                        continue;
                if (is_silent(client)) {
                        end = client;
                        break;
                }
                end = end ?: client;
        }
        if (end)
                shut(end);
}

/*
 * evhttp has accepted a connection. If this returns NULL (no memory), evhttp creates a bufferevent of its own, which
 * the server does not know.
 */
static struct bufferevent *on_accept(struct event_base *base, void *context)
{
        struct metrics_server *server = context;
        struct bufferevent *bufferevent = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        struct metrics_client *client = bufferevent ? calloc(1, sizeof(*client)) : NULL;

        if (!client)
                return bufferevent;
        bufferevent_set_max_single_write(bufferevent, WRITE_MAX);
        client->server = server;
        client->bufferevent = bufferevent;
        client->event = evtimer_new(base, on_client_event, client);
        if (!client->event) {
                free(client);
                return bufferevent;
        }
        bufferevent_incref(bufferevent);
        event_active(client->event, 0, 0);
        DL_APPEND(server->clients, client);
        if (++server->client_count >= METRICS_CLIENTS_MAX)
                end_oldest(server);
        return bufferevent;
}

/* --- Requests ----------------------------------------------------------------------------------------------------- */

/* Makes the text in the spare writer the last reply, if the text has changed. Returns 0 or -ENOMEM. */
static int keep_text(struct metrics_server *server, struct last_reply *last)
{
        struct metrics_body *body, *before = last->body;

        if (before && metrics_body_is(before, &server->spare))
                return 0;
        body = metrics_body_new(&server->spare);
        if (!body)
                return -ENOMEM;
        last->body = body;
        metrics_body_reuse(before, &server->spare);
        return 0;
}

/* The metrics in @format, to be unreferenced; NULL: no memory. */
static struct metrics_body *make_body(struct metrics_server *server, enum metrics_format format)
{
        struct last_reply *last = &server->last[format];
        uint64_t start = now_usec();
        int r;

        if (last->body && start - last->usec < METRICS_FRESH_SHARE * last->cost_usec)
                return metrics_body_ref(last->body);
        writer_reset(&server->spare);
        r = server->options.write(server->options.context, format, &server->spare);
        if (r < 0 || keep_text(server, last) < 0)
                return NULL;
        last->usec = now_usec();
        last->cost_usec = last->usec - start;
        return metrics_body_ref(last->body);
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
        evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

/* Replies with @code and the line @text, which contains nothing of the request. */
static void reply_error(struct evhttp_request *request, int code, const char *text)
{
        struct evbuffer *buffer = evbuffer_new();

        add_header(request, "Content-Type", "text/plain; charset=utf-8");
        if (buffer && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
                evbuffer_add_printf(buffer, "%s\n", text);
        evhttp_send_reply(request, code, NULL, buffer);
        if (buffer)
                evbuffer_free(buffer);
}

static void reply_metrics(struct metrics_server *server, struct evhttp_request *request)
{
        static const char *const types[] = {
                [METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
                [METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        };
        const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
        enum metrics_format format = accept_format(evhttp_find_header(headers, "Accept"));
        bool gzip = accept_gzip(evhttp_find_header(headers, "Accept-Encoding"));
        struct metrics_body *body = make_body(server, format);
        struct evbuffer *buffer = evbuffer_new();
        char length[24];

        if (!body || !buffer || metrics_body_add(body, gzip, buffer) < 0)
                reply_error(request, HTTP_SERVUNAVAIL, "Out of memory");
        else {
                add_header(request, "Content-Type", types[format]);
                add_header(request, "Vary", "Accept, Accept-Encoding");
                if (gzip)
                        add_header(request, "Content-Encoding", "gzip");
                snprintf(length, sizeof(length), "%zu", evbuffer_get_length(buffer));
                add_header(request, "Content-Length", length);
                if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
                        evbuffer_drain(buffer, evbuffer_get_length(buffer));
                evhttp_send_reply(request, HTTP_OK, "OK", buffer);
        }
        if (buffer)
                evbuffer_free(buffer);
        metrics_body_unref(body);
}

static void on_request(struct evhttp_request *request, void *context)
{
        enum evhttp_cmd_type command = evhttp_request_get_command(request);
        const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
        struct metrics_server *server = context;

        /* Connections are not kept alive, so none lasts longer than its deadline. */
        add_header(request, "Connection", "close");
        if (!path || strcmp(path, "/metrics") != 0)
                reply_error(request, HTTP_NOTFOUND, "Not found: the metrics are at /metrics");
        else if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
                add_header(request, "Allow", "GET, HEAD");
                reply_error(request, HTTP_BADMETHOD, "Method not allowed");
        } else if (metrics_bodies_size() > METRICS_OUTPUT_MAX)
                reply_error(request, HTTP_SERVUNAVAIL, "Too many replies wait to be read");
        else
                reply_metrics(server, request);
}

/* --- Listening ---------------------------------------------------------------------------------------------------- */

/* Without a file descriptor, for example, the connection stays in the queue, and would wake the daemon again. */
static void on_accept_error(struct evconnlistener *events, void *context)
{
        static const struct timeval pause = { .tv_sec = LISTEN_PAUSE_SEC };
        struct metrics_server *server = context;

        log_warning("Connections for metrics cannot be accepted: %s", strerror(errno));
        if (event_add(server->pause, &pause) == 0)
                evconnlistener_disable(events);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
        struct metrics_server *server = context;

        (void) fd;
        (void) what;
        if (server->endpoint.listener && server->client_count < METRICS_CLIENTS_MAX)
                evconnlistener_enable(server->endpoint.listener);
}

/* Returns a socket that listens at @address, which is not a path, or a negative errno. [::] includes IPv4. */
static int listen_inet(const struct listen_address *address)
{
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &address->socket;
        const struct sockaddr *socket_address = (const struct sockaddr *) &address->socket;
        _cleanup_close_ int fd = socket(socket_address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1, only, ret;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        only = !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
        if (in6->sin6_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
                return -errno;
        if (bind(fd, socket_address, address->length) < 0 || listen(fd, METRICS_CLIENTS_MAX) < 0)
                return -errno;
        ret = fd;
        fd = -1;
        return ret;
}

/* Serves connections to the socket @fd, which it takes over, for @endpoint. */
static int serve(struct metrics_server *server, struct endpoint *endpoint, int fd)
{
        struct evconnlistener *listener = evconnlistener_new(
                        server->options.base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        endpoint->bound = evhttp_bind_listener(server->http, listener);
        if (!endpoint->bound) {
                evconnlistener_free(listener);
                return -ENOMEM;
        }
        evconnlistener_set_error_cb(listener, on_accept_error);
        endpoint->listener = listener;
        return 0;
}

static void endpoint_close(struct metrics_server *server, struct endpoint *endpoint)
{
        if (endpoint->bound)
                evhttp_del_accept_socket(server->http, endpoint->bound);
        unix_socket_deinit(&endpoint->unix_socket);
        *endpoint = (struct endpoint){};
}

/* Listens at @address. Returns 0 or a negative errno; then @endpoint is closed. */
static int endpoint_open(struct metrics_server *server, struct endpoint *endpoint, const struct listen_address *address)
{
        int fd, r;

        *endpoint = (struct endpoint){};
        fd = address->socket.ss_family == AF_UNIX
                             ? unix_socket_listen(&endpoint->unix_socket, address->text, 0660, server->options.group)
                             : listen_inet(address);
        r = fd < 0 ? fd : serve(server, endpoint, fd);
        if (r == 0)
                endpoint->address = *address;
        else
                endpoint_close(server, endpoint);
        return r;
}

/*
 * Listens at @address, which may be in use only because the server itself has its port at another address: 127.0.0.1
 * and 0.0.0.0, say. Only in this case is the old endpoint closed before the new one is open. Returns 0 or a negative
 * errno; on error, the server listens at its old address again, unless another program has taken it meanwhile.
 */
static int take_over_port(struct metrics_server *server, const struct listen_address *address)
{
        struct listen_address before = server->endpoint.address;
        int r;

        endpoint_close(server, &server->endpoint);
        r = endpoint_open(server, &server->endpoint, address);
        if (r < 0)
                endpoint_open(server, &server->endpoint, &before);
        return r;
}

int metrics_server_listen(struct metrics_server *server, const struct listen_address *address)
{
        struct endpoint next = {};
        int r;

        if (strcmp(server->endpoint.address.text, address->text) == 0)
                return 0;
        r = *address->text ? endpoint_open(server, &next, address) : 0;
        if (r == -EADDRINUSE && listen_address_same_port(&server->endpoint.address, address))
                return take_over_port(server, address);
        if (r < 0)
                return r;
        endpoint_close(server, &server->endpoint);
        server->endpoint = next;
        return 0;
}

const char *metrics_server_address(const struct metrics_server *server)
{
        return server->endpoint.address.text;
}

int metrics_server_new(const struct metrics_server_options *options, struct metrics_server **ret)
{
        static const uint16_t methods = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                        EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT |
                                        EVHTTP_REQ_PATCH;
        struct metrics_server *server = calloc(1, sizeof(*server));

        if (!server)
                return -ENOMEM;
        server->options = *options;
        server->http = evhttp_new(options->base);
        server->pause = evtimer_new(options->base, on_pause_end, server);
        if (!server->http || !server->pause) {
                metrics_server_free(server);
                return -ENOMEM;
        }
        evhttp_set_max_headers_size(server->http, METRICS_HEADERS_MAX);
        evhttp_set_max_body_size(server->http, METRICS_BODY_MAX);
        evhttp_set_timeout(server->http, METRICS_STALL_SEC);
        evhttp_set_allowed_methods(server->http, methods);
        evhttp_set_bevcb(server->http, on_accept, server);
        evhttp_set_gencb(server->http, on_request, server);
        *ret = server;
        return 0;
}

void metrics_server_free(struct metrics_server *server)
{
        if (!server)
                return;
        endpoint_close(server, &server->endpoint);
        if (server->http)
                evhttp_free(server->http);
        while (server->clients)
                client_free(server->clients);
        if (server->pause)
                event_free(server->pause);
        for (size_t i = 0; i < METRICS_FORMATS; i++)
                metrics_body_unref(server->last[i].body);
        writer_deinit(&server->spare);
        free(server);
}

size_t metrics_server_clients(const struct metrics_server *server)
{
        return server->client_count;
}
