/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * The maximum number of calls or replies of streams that one turn of the loop serves for root's clients, and the same
 * for all others, and the time after which a turn ends earlier. Then other events are handled.
 */
#define CALLS_AT_ONCE 4
#define TURN_MAX_USEC 1000

/* With this number of unsent bytes of replies, the next call of the client waits. */
#define OUTPUT_ENOUGH (64 * 1024)

/* With at most this number of unsent bytes, a stream continues, so that they are sent together with its next reply. */
#define OUTPUT_LOW 2048

/* With this number of received bytes, the server does not read from a client that waits for its turn. */
#define INPUT_ENOUGH (64 * 1024)

/* Makes the loop serve waiting clients and free dead ones after it has handled all other events. */
static void wake(struct varlink_server *server)
{
        event_active(server->turn, EV_TIMEOUT, 0);
}

void client_drop(struct client *client)
{
        if (client->dead)
                return;
        client->dead = true;
        user_wait_no_more(client);
        wake(client->server);
}

static void free_client(struct client *client)
{
        struct varlink_server *server = client->server;

        if (client->call.active)
                varlink_end_call(&client->call);
        user_wait_no_more(client);
        client->dead = true;
        client_count_held(client);
        DL_DELETE(server->clients, client);
        user_leave(server, client->user);
        bufferevent_free(client->connection);
        free(client);
}

/* Starts the time limit for the rest of a call when a part of it has arrived, and ends it when the call is complete. */
static void set_half(struct client *client, bool half)
{
        static const struct timeval stall = { .tv_sec = VARLINK_STALL_SEC };

        if (client->half == half)
                return;
        client->half = half;
        bufferevent_set_timeouts(client->connection, half ? &stall : NULL, &stall);
}

/*
 * Finds the end of the next call. Returns its length without the NUL, 0 if it is not complete, -EMSGSIZE if it is too
 * long, -EBADMSG if it is empty.
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

/* Answers the next call of @client, which is complete. On error, drops the client. */
static void serve_call(struct client *client)
{
        struct evbuffer *input = bufferevent_get_input(client->connection);
        ssize_t length = find_call(client, input);
        const unsigned char *text;
        int r;

        text = length > 0 ? evbuffer_pullup(input, length) : NULL;
        r = text ? varlink_answer(client, (const char *) text, length) : length < 0 ? (int) length : -ENOMEM;
        if (r < 0) {
                log_debug("A varlink client of user %u is disconnected: %s", (unsigned int) client->user->uid,
                                strerror(-r));
                client_drop(client);
        } else
                evbuffer_drain(input, length + 1);
}

/* Lets the stream of @client, which has read nearly everything, reply once more. */
static void serve_stream(struct client *client)
{
        struct varlink_call *call = &client->call;
        int r = call->stream->next(call->state, call);

        if (r < 0) {
                log_debug("A varlink stream has failed: %s", strerror(-r));
                client_drop(client);
        }
}

/* Whether @client has a call without an end, to which replies are pushed. */
static bool is_endless(const struct client *client)
{
        return client->call.active && !client->call.stream->next;
}

/* Whether there is something to do for @client at its turn. */
static bool wants_turn(struct client *client)
{
        size_t unsent = evbuffer_get_length(client_output(client));

        if (client->call.active)
                return !is_endless(client) && !client->call.suspended && unsent <= OUTPUT_LOW;
        return unsent <= OUTPUT_ENOUGH && find_call(client, bufferevent_get_input(client->connection)) != 0;
}

static void update_endless(struct client *client)
{
        struct varlink_call *call = &client->call;

        /* Drop a client that has ended, or that has sent so much that its end could not be noticed. */
        if (client->ended || evbuffer_get_length(bufferevent_get_input(client->connection)) > VARLINK_MESSAGE_MAX)
                client_drop(client);
        else if (call->stream->drained && evbuffer_get_length(client_output(client)) == 0)
                call->stream->drained(call->state);
}

/*
 * Stops reading from @client while its input has the maximum size. libevent reads 16 KiB at a time
 * (MAX_SINGLE_READ_DEFAULT in bufferevent_ratelim.c). bufferevent_setwatermark() cannot be used for this, because it
 * crashes if there is no memory. If the client ends meanwhile, the next write to it fails.
 */
static void set_reading(struct client *client)
{
        size_t enough = client->waiting ? INPUT_ENOUGH : VARLINK_MESSAGE_MAX;
        bool full = evbuffer_get_length(bufferevent_get_input(client->connection)) > enough;

        if (full)
                bufferevent_disable(client->connection, EV_READ);
        else if (!client->ended && !(bufferevent_get_enabled(client->connection) & EV_READ))
                bufferevent_enable(client->connection, EV_READ);
}

/* Call this when @client has sent something, has read nearly everything, or its turn is over. */
static void update(struct client *client)
{
        if (client->dead)
                return;
        if (is_endless(client))
                update_endless(client);
        else if (wants_turn(client)) {
                user_wait(client);
                wake(client->server);
        }
        if (client->dead)
                return;
        set_half(client, !client->call.active && client->scanned > 0);
        set_reading(client);
        client_count_held(client);
        /* Drop a client that sends nothing more and has nothing left to do. */
        if (client->ended && !client->waiting && !client->call.active &&
                        evbuffer_get_length(client_output(client)) == 0)
                client_drop(client);
}

void varlink_suspend(struct varlink_call *call)
{
        call->suspended = true;
}

void varlink_resume(struct varlink_call *call)
{
        call->suspended = false;
        update(call->client);
}

static void on_io(struct bufferevent *connection, void *context)
{
        (void) connection;
        update(context);
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
        struct client *client = context;

        (void) connection;
        if (what & BEV_EVENT_EOF) {
                client->ended = true;
                update(client);
        } else
                client_drop(client);
}

/* --- Turns -------------------------------------------------------------------------------------------------------- */

/* Serves some of the waiting clients: those of root, or all others. */
static void serve_users(struct varlink_server *server, bool root)
{
        uint64_t start = now_usec(), now = start;

        for (int i = 0; i < CALLS_AT_ONCE && now - start < TURN_MAX_USEC; i++) {
                struct user *user = user_next(server, root, now);
                struct client *client = user ? user->waiting : NULL;
                uint64_t before = now;

                if (!client)
                        return;
                user_wait_no_more(client);
                if (client->call.active)
                        serve_stream(client);
                else
                        serve_call(client);
                update(client);
                now = now_usec();
                user_served(server, user, now, now - before);
        }
}

/* Makes the loop continue when the next client may be served, but not before it has handled all other events. */
static void set_turn(struct varlink_server *server)
{
        uint64_t due = users_due_usec(server), now = now_usec(), left = due > now ? due - now : 0;
        struct timeval wait = { .tv_sec = left / 1000000, .tv_usec = left % 1000000 };

        if (due != UINT64_MAX && event_add(server->turn, &wait) < 0)
                log_error("Out of memory: varlink clients have to wait");
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
        struct varlink_server *server = context;
        struct client *client, *next;

        (void) fd;
        (void) what;
        serve_users(server, true);
        serve_users(server, false);
        DL_FOREACH_SAFE(server->clients, client, next)
        if (client->dead)
                free_client(client);
        set_turn(server);
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

/* Sets up the events of @client for the connected socket @fd, which then belongs to @client. */
static int connect_client(struct client *client, int fd)
{
        static const struct timeval stall = { .tv_sec = VARLINK_STALL_SEC };
        struct event_base *base = client->server->base;

        client->connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (!client->connection)
                return -ENOMEM;
        bufferevent_setcb(client->connection, on_io, on_io, on_event, client);
        bufferevent_setwatermark(client->connection, EV_WRITE, OUTPUT_LOW, 0);
        bufferevent_set_timeouts(client->connection, NULL, &stall);
        return 0;
}

/* As add_client(), after @user was given one more connection. */
static int add_client_of(struct varlink_server *server, struct user *user, int fd)
{
        struct client *client = calloc(1, sizeof(*client));
        int r = -ENOMEM;

        if (client) {
                client->server = server;
                client->user = user;
                r = connect_client(client, fd);
        }
        if (r < 0) {
                free(client);
                return r;
        }
        DL_APPEND(server->clients, client);
        bufferevent_enable(client->connection, EV_READ | EV_WRITE);
        return 0;
}

/* As varlink_serve_fd(), but on error, @fd still belongs to the caller. */
static int add_client(struct varlink_server *server, int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);
        struct user *user;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || evutil_make_socket_nonblocking(fd) < 0)
                return -errno;
        r = user_join(server, peer.uid, &user);
        if (r < 0)
                return r;
        r = add_client_of(server, user, fd);
        if (r < 0)
                user_leave(server, user);
        return r;
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
        server->turn = event_new(base, -1, 0, on_turn, server);
        if (!server->turn) {
                free(server);
                return -ENOMEM;
        }
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
        users_free(server);
        event_free(server->turn);
        free(server);
}
