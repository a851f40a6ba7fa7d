/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/log.h"

/* Calls of one client that are answered before others get their turn: one may take milliseconds. */
#define CALLS_AT_ONCE 4

/* With so many bytes of replies waiting, a client's next call waits, too. */
#define OUTPUT_ENOUGH (64 * 1024)

/* It is freed from the loop: whoever calls may have it in hand. */
static void drop(struct client *client)
{
        if (client->dead)
                return;
        client->dead = true;
        event_active(client->resume, EV_TIMEOUT, 0);
}

static void free_client(struct client *client)
{
        struct varlink_server *server = client->server;

        if (client->call.active)
                varlink_end_call(&client->call);
        DL_DELETE(server->clients, client);
        server->client_count--;
        bufferevent_free(client->connection);
        event_free(client->resume);
        free(client);
}

/* The time for the rest of a call runs while a part of it is there. */
static void set_half(struct client *client, bool half)
{
        static const struct timeval stall = { .tv_sec = VARLINK_STALL_SEC };

        if (client->half == half)
                return;
        client->half = half;
        bufferevent_set_timeouts(client->connection, half ? &stall : NULL, &stall);
}

/*
 * Finds the end of the next call. Returns its length without the NUL, 0 if it is not all there, -EMSGSIZE if it is too
 * long. An empty one is -EBADMSG.
 */
static ssize_t find_call(struct client *client, struct evbuffer *input)
{
        size_t length = evbuffer_get_length(input);
        struct evbuffer_ptr start, end;

        if (evbuffer_ptr_set(input, &start, client->scanned, EVBUFFER_PTR_SET) < 0)
                return 0;
        end = evbuffer_search(input, "", 1, &start);
        if (end.pos < 0) {
                client->scanned = length;
                return length >= VARLINK_MESSAGE_MAX ? -EMSGSIZE : 0;
        }
        client->scanned = 0;
        if (end.pos >= VARLINK_MESSAGE_MAX)
                return -EMSGSIZE;
        return end.pos > 0 ? end.pos : -EBADMSG;
}

/* Answers the next call of @client if it is there. Returns whether it was; a client in error is dropped. */
static bool serve_call(struct client *client)
{
        struct evbuffer *input = bufferevent_get_input(client->connection);
        ssize_t length = find_call(client, input);
        const unsigned char *text;
        int r;

        if (length == 0)
                return false;
        text = length > 0 ? evbuffer_pullup(input, length) : NULL;
        r = text ? varlink_answer(client, (const char *) text, length) : length < 0 ? (int) length : -ENOMEM;
        if (r < 0) {
                log_debug("A varlink client of user %u is disconnected: %s", (unsigned int) client->uid, strerror(-r));
                drop(client);
                return false;
        }
        evbuffer_drain(input, length + 1);
        return true;
}

/* What is left to do for a client that sends nothing more. */
static void finish(struct client *client)
{
        /* Nobody waits for what a stream without an end may bring. */
        bool endless = client->call.active && !client->call.stream->next;

        if (endless || (!client->call.active && evbuffer_get_length(client_output(client)) == 0))
                drop(client);
}

/* Lets the stream of @client reply once more if all was taken. Returns whether it has. */
static bool serve_stream(struct client *client)
{
        struct varlink_call *call = &client->call;
        int r;

        if (!call->stream->next) {
                /* The end of the client could not be noticed any more. */
                if (evbuffer_get_length(bufferevent_get_input(client->connection)) > VARLINK_MESSAGE_MAX)
                        drop(client);
                else if (call->stream->drained && evbuffer_get_length(client_output(client)) == 0)
                        call->stream->drained(call->state);
                return false;
        }
        if (evbuffer_get_length(client_output(client)) > 0)
                return false;
        r = call->stream->next(call->state, call);
        if (r < 0) {
                log_debug("A varlink stream has failed: %s", strerror(-r));
                drop(client);
        }
        return r == 0;
}

/* Goes on with @client in the next turn of the loop: what is made active is still of this one, before all others. */
static void serve_later(struct client *client)
{
        static const struct timeval at_once = {};

        if (event_add(client->resume, &at_once) < 0)
                drop(client);
}

/*
 * While as much is there as may be, and nothing is taken of it, @client is not read from: libevent would call again and
 * again (bufferevent_inbuf_wm_check()). A write to it fails once it has ended.
 */
static void set_reading(struct client *client)
{
        bool full = evbuffer_get_length(bufferevent_get_input(client->connection)) > VARLINK_MESSAGE_MAX;

        if (full)
                bufferevent_disable(client->connection, EV_READ);
        else if (!client->ended && !(bufferevent_get_enabled(client->connection) & EV_READ))
                bufferevent_enable(client->connection, EV_READ);
}

static void serve(struct client *client)
{
        bool progress = true;

        for (int i = 0; progress && !client->dead; i++) {
                if (i == CALLS_AT_ONCE) {
                        serve_later(client);
                        return;
                }
                if (client->call.active)
                        progress = serve_stream(client);
                else
                        progress = evbuffer_get_length(client_output(client)) <= OUTPUT_ENOUGH && serve_call(client);
        }
        if (client->dead)
                return;
        set_half(client, !client->call.active && client->scanned > 0);
        set_reading(client);
        if (client->ended)
                finish(client);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
        struct client *client = context;

        (void) fd;
        (void) what;
        if (client->dead)
                free_client(client);
        else
                serve(client);
}

static void on_io(struct bufferevent *connection, void *context)
{
        struct client *client = context;

        (void) connection;
        /* Not beside its turn. */
        if (!event_pending(client->resume, EV_TIMEOUT, NULL))
                serve(client);
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
        struct client *client = context;

        (void) connection;
        if (what & BEV_EVENT_EOF) {
                client->ended = true;
                serve(client);
        } else
                drop(client);
}

static size_t clients_of(const struct varlink_server *server, uid_t uid)
{
        const struct client *client;
        size_t count = 0;

        DL_FOREACH(server->clients, client)
        count += client->uid == uid;
        return count;
}

/* Sets up the events of @client for the connected socket @fd, which is @client's then. */
static int connect_client(struct client *client, int fd)
{
        static const struct timeval stall = { .tv_sec = VARLINK_STALL_SEC };
        struct event_base *base = client->server->base;

        client->resume = event_new(base, -1, 0, on_resume, client);
        if (!client->resume)
                return -ENOMEM;
        client->connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (!client->connection) {
                event_free(client->resume);
                return -ENOMEM;
        }
        bufferevent_setcb(client->connection, on_io, on_io, on_event, client);
        bufferevent_setwatermark(client->connection, EV_READ, 0, VARLINK_MESSAGE_MAX + 1);
        bufferevent_set_timeouts(client->connection, NULL, &stall);
        return 0;
}

/* As varlink_serve_fd(), but @fd stays the caller's on error. */
static int add_client(struct varlink_server *server, int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);
        struct client *client;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (server->client_count >= VARLINK_CLIENTS_MAX || clients_of(server, peer.uid) >= VARLINK_USER_CLIENTS_MAX)
                return -EUSERS;
        if (evutil_make_socket_nonblocking(fd) < 0)
                return -errno;
        client = calloc(1, sizeof(*client));
        if (!client)
                return -ENOMEM;
        client->server = server;
        client->uid = peer.uid;
        r = connect_client(client, fd);
        if (r < 0) {
                free(client);
                return r;
        }
        DL_APPEND(server->clients, client);
        server->client_count++;
        bufferevent_enable(client->connection, EV_READ | EV_WRITE);
        return 0;
}

int varlink_serve_fd(struct varlink_server *server, int fd)
{
        int r = add_client(server, fd);

        if (r < 0)
                close(fd);
        return r;
}

size_t varlink_clients(const struct varlink_server *server)
{
        return server->client_count;
}

int varlink_server_new(struct event_base *base, const struct varlink_info *info,
                const struct varlink_interface *interfaces, size_t count, void *context, struct varlink_server **ret)
{
        struct varlink_server *server = calloc(1, sizeof(*server));

        if (!server)
                return -ENOMEM;
        server->base = base;
        server->info = info;
        server->interfaces = interfaces;
        server->interface_count = count;
        server->context = context;
        *ret = server;
        return 0;
}

void varlink_server_free(struct varlink_server *server)
{
        struct client *client, *next;

        if (!server)
                return;
        DL_FOREACH_SAFE(server->clients, client, next)
        free_client(client);
        varlink_stop_listening(server);
        free(server);
}
