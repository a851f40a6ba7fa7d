/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Calls of one client that are answered before others get their turn: one may take milliseconds. */
#define CALLS_AT_ONCE 4

/* With so many bytes of replies waiting, a client's next call waits, too. */
#define OUTPUT_ENOUGH (64 * 1024)

/* Room for the first attempt to write a reply. */
#define REPLY_SIZE_GUESS 4096

/* How long new connections are left alone when there is no file descriptor for them. */
#define LISTEN_PAUSE_SEC 1

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

static void serve(struct client *client);

/* --- Replies ------------------------------------------------------------------------------------------------------ */

static struct evbuffer *output_of(const struct client *client)
{
        return bufferevent_get_output(client->connection);
}

/* It is freed from the loop: whoever calls may have it in hand. */
static void drop(struct client *client)
{
        if (client->dead)
                return;
        client->dead = true;
        event_active(client->resume, EV_TIMEOUT, 0);
}

static void end_call(struct varlink_call *call)
{
        const struct varlink_stream *stream = call->stream;

        call->active = false;
        call->stream = NULL;
        if (stream && stream->end)
                stream->end(call->state);
}

/* Makes room for @size bytes at the end of @output and returns where, in one piece. */
static char *reserve(struct evbuffer *output, size_t size, struct evbuffer_iovec *room)
{
        if (evbuffer_reserve_space(output, size, room, 1) != 1 || room->iov_len < size)
                return NULL;
        return room->iov_base;
}

/* What is around the parameters of a reply. */
static const char reply_start[] = "{\"parameters\":", reply_end[] = "}", reply_continues[] = ",\"continues\":true}";

static bool is_too_large(const struct client *client, size_t size)
{
        return evbuffer_get_length(output_of(client)) + size > VARLINK_OUTPUT_MAX;
}

int varlink_reply_text(struct varlink_call *call, const char *text, size_t size, bool continues)
{
        const char *end = continues ? reply_continues : reply_end;
        size_t start_size = sizeof(reply_start) - 1, end_size = strlen(end) + 1;
        struct client *client = call->client;
        struct evbuffer_iovec room;
        char *at;

        if (!call->oneway && !client->dead) {
                if (is_too_large(client, size))
                        return -EMSGSIZE;
                at = reserve(output_of(client), start_size + size + end_size, &room);
                if (!at)
                        return -ENOMEM;
                at = mempcpy(at, reply_start, start_size);
                at = mempcpy(at, text, size);
                at = mempcpy(at, end, end_size);
                room.iov_len = start_size + size + end_size;
                if (evbuffer_commit_space(output_of(client), &room, 1) < 0)
                        return -ENOMEM;
        }
        if (!continues)
                end_call(call);
        return 0;
}

/*
 * Writes @json and @tail (with its NUL) behind @head straight into the client's output: most replies fit at the first
 * attempt.
 */
static int write_json(struct client *client, const char *head, const json_t *json, const char *tail)
{
        size_t head_size = strlen(head), tail_size = strlen(tail) + 1, size = REPLY_SIZE_GUESS;
        struct evbuffer *output = output_of(client);
        struct evbuffer_iovec room;
        char *at;

        for (;;) {
                size_t needed;

                at = reserve(output, head_size + size + tail_size, &room);
                if (!at)
                        return -ENOMEM;
                needed = json_dumpb(json, at + head_size, size, JSON_COMPACT);
                if (needed == 0)
                        return -ENOMEM;
                if (is_too_large(client, needed))
                        return -EMSGSIZE;
                if (needed <= size) {
                        size = needed;
                        break;
                }
                size = needed;
        }
        memcpy(at, head, head_size);
        memcpy(at + head_size + size, tail, tail_size);
        room.iov_len = head_size + size + tail_size;
        return evbuffer_commit_space(output, &room, 1) < 0 ? -ENOMEM : 0;
}

int varlink_reply(struct varlink_call *call, json_t *parameters, bool continues)
{
        struct client *client = call->client;
        int r = 0;

        if (!parameters)
                return -ENOMEM;
        if (!call->oneway && !client->dead)
                r = write_json(client, reply_start, parameters, continues ? reply_continues : reply_end);
        json_decref(parameters);
        if (r == 0 && !continues)
                end_call(call);
        return r;
}

int varlink_error(struct varlink_call *call, const char *name, json_t *parameters)
{
        struct client *client = call->client;
        json_t *reply;
        int r = 0;

        reply = json_pack("{ss so}", "error", name, "parameters", parameters ?: json_object());
        if (!reply)
                return -ENOMEM;
        if (!call->oneway && !client->dead)
                r = write_json(client, "", reply, "");
        json_decref(reply);
        if (r == 0)
                end_call(call);
        return r;
}

int varlink_invalid_parameter(struct varlink_call *call, const char *parameter)
{
        return varlink_error(call, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", parameter));
}

bool varlink_wants_more(const struct varlink_call *call)
{
        return call->more;
}

uid_t varlink_uid(const struct varlink_call *call)
{
        return call->client->uid;
}

void varlink_make_stream(struct varlink_call *call, const struct varlink_stream *stream, void *state)
{
        call->stream = stream;
        call->state = state;
}

int varlink_push(struct varlink_call *call, json_t *parameters)
{
        if (evbuffer_get_length(output_of(call->client)) >= VARLINK_BACKLOG_MAX) {
                json_decref(parameters);
                return -ENOBUFS;
        }
        return varlink_reply(call, parameters, true);
}

/* --- org.varlink.service ------------------------------------------------------------------------------------------ */

static const char service_description[] = "# What every varlink service answers.\n"
                                          "interface org.varlink.service\n"
                                          "\n"
                                          "# Who the service is, and which interfaces it has.\n"
                                          "method GetInfo() -> (\n"
                                          "        vendor: string,\n"
                                          "        product: string,\n"
                                          "        version: string,\n"
                                          "        url: string,\n"
                                          "        interfaces: []string\n"
                                          ")\n"
                                          "\n"
                                          "# The description of an interface in this language.\n"
                                          "method GetInterfaceDescription(interface: string) -> (description: string)\n"
                                          "\n"
                                          "error InterfaceNotFound(interface: string)\n"
                                          "error MethodNotFound(method: string)\n"
                                          "error MethodNotImplemented(method: string)\n"
                                          "error InvalidParameter(parameter: string)\n"
                                          "error PermissionDenied()\n"
                                          "error ExpectedMore()\n";

static int get_info(void *context, struct varlink_call *call, json_t *parameters);
static int get_interface_description(void *context, struct varlink_call *call, json_t *parameters);

static const struct varlink_parameter interface_parameter[] = { { "interface", VARLINK_STRING }, {} };
static const struct varlink_method service_methods[] = {
        { "GetInfo", get_info },
        { "GetInterfaceDescription", get_interface_description, interface_parameter },
        {},
};
static const struct varlink_interface service_interface = {
        "org.varlink.service",
        service_description,
        service_methods,
};

/* @length bytes of @name. */
static const struct varlink_interface *find_interface(
                const struct varlink_server *server, const char *name, size_t length)
{
        if (strlen(service_interface.name) == length && memcmp(service_interface.name, name, length) == 0)
                return &service_interface;
        for (size_t i = 0; i < server->interface_count; i++)
                if (strlen(server->interfaces[i].name) == length &&
                                memcmp(server->interfaces[i].name, name, length) == 0)
                        return &server->interfaces[i];
        return NULL;
}

static int get_info(void *context, struct varlink_call *call, json_t *parameters)
{
        const struct varlink_server *server = call->client->server;
        const struct varlink_info *info = server->info;
        json_t *interfaces = json_pack("[s]", service_interface.name);

        (void) context;
        (void) parameters;
        for (size_t i = 0; interfaces && i < server->interface_count; i++)
                if (json_array_append_new(interfaces, json_string(server->interfaces[i].name)) < 0) {
                        json_decref(interfaces);
                        return -ENOMEM;
                }
        return varlink_reply(call,
                        json_pack("{ss ss ss ss so}", "vendor", info->vendor, "product", info->product, "version",
                                        info->version, "url", info->url, "interfaces", interfaces),
                        false);
}

static int interface_not_found(struct varlink_call *call, const char *name, size_t length)
{
        return varlink_error(
                        call, "org.varlink.service.InterfaceNotFound", json_pack("{ss%}", "interface", name, length));
}

static int get_interface_description(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *name = json_string_value(json_object_get(parameters, "interface"));
        const struct varlink_interface *interface = find_interface(call->client->server, name, strlen(name));

        (void) context;
        if (!interface)
                return interface_not_found(call, name, strlen(name));
        return varlink_reply(call, json_pack("{ss}", "description", interface->description), false);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

bool varlink_is_excessive(const char *text, size_t size)
{
        size_t depth = 0, values = 0;
        bool string = false;

        for (size_t i = 0; i < size; i++) {
                char c = text[i];

                if (string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                string = false;
                        continue;
                }
                if (c == '"')
                        string = true;
                else if (c == '{' || c == '[') {
                        if (++depth > VARLINK_DEPTH_MAX || ++values > VARLINK_VALUES_MAX)
                                return true;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
                else if (c == ',' && ++values > VARLINK_VALUES_MAX)
                        return true;
        }
        return false;
}

static bool is_word(const json_t *value, const char *const *words)
{
        if (!json_is_string(value))
                return false;
        for (; *words; words++)
                if (strcmp(*words, json_string_value(value)) == 0)
                        return true;
        return false;
}

static bool fits(const json_t *value, const struct varlink_parameter *parameter)
{
        switch (parameter->type) {
        case VARLINK_BOOLEAN:
                return json_is_boolean(value);
        case VARLINK_INTEGER:
                return json_is_integer(value);
        case VARLINK_SIZE:
                return json_is_integer(value) && json_integer_value(value) >= 0;
        case VARLINK_STRING:
                return json_is_string(value);
        case VARLINK_WORD:
                return is_word(value, parameter->words);
        case VARLINK_WORDS:
                for (size_t i = 0; i < json_array_size(value); i++)
                        if (!is_word(json_array_get(value, i), parameter->words))
                                return false;
                return json_is_array(value);
        }
        return false;
}

static const struct varlink_parameter *find_parameter(const struct varlink_method *method, const char *name)
{
        for (const struct varlink_parameter *p = method->parameters; p && p->name; p++)
                if (strcmp(p->name, name) == 0)
                        return p;
        return NULL;
}

/* Takes what is null out of @parameters. Returns the name of one that the method does not take, NULL if all is well. */
static const char *check_parameters(const struct varlink_method *method, json_t *parameters)
{
        const char *name;
        json_t *value;
        void *next;

        json_object_foreach_safe(parameters, next, name, value)
        {
                const struct varlink_parameter *parameter = find_parameter(method, name);

                if (!parameter)
                        return name;
                if (json_is_null(value) && parameter->optional)
                        json_object_del(parameters, name);
                else if (!fits(value, parameter))
                        return parameter->name;
        }
        for (const struct varlink_parameter *p = method->parameters; p && p->name; p++)
                if (!p->optional && !json_object_get(parameters, p->name))
                        return p->name;
        return NULL;
}

static int dispatch(struct varlink_call *call, const char *name, json_t *parameters)
{
        const struct varlink_server *server = call->client->server;
        const char *dot = strrchr(name, '.'), *wrong;
        const struct varlink_interface *interface;
        const struct varlink_method *method;

        interface = dot ? find_interface(server, name, dot - name) : NULL;
        if (!interface)
                return interface_not_found(call, name, dot ? (size_t) (dot - name) : strlen(name));
        for (method = interface->methods; method->name; method++)
                if (strcmp(method->name, dot + 1) == 0)
                        break;
        if (!method->name)
                return varlink_error(call, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", name));
        wrong = check_parameters(method, parameters);
        if (wrong)
                return varlink_invalid_parameter(call, wrong);
        if (method->needs_more && !call->more)
                return varlink_error(call, "org.varlink.service.ExpectedMore", NULL);
        return method->handle(server->context, call, parameters);
}

/* Sets *flag from the member @value of a call. */
static bool take_flag(const json_t *value, bool *flag)
{
        *flag = json_is_true(value);
        return json_is_boolean(value);
}

/*
 * Reads the members of the call @json but for its method. Returns the name of one that is wrong, NULL if all is well.
 * *parameters is a borrowed reference, NULL if there are none.
 */
static const char *read_members(struct varlink_call *call, json_t *json, json_t **parameters)
{
        const char *key, *wrong = NULL;
        json_t *value;

        *parameters = NULL;
        json_object_foreach(json, key, value)
        {
                bool upgrade = false, good = false;

                if (strcmp(key, "method") == 0)
                        good = true;
                else if (strcmp(key, "parameters") == 0) {
                        *parameters = json_is_null(value) ? NULL : value;
                        good = json_is_object(value) || json_is_null(value);
                } else if (strcmp(key, "more") == 0)
                        good = take_flag(value, &call->more);
                else if (strcmp(key, "oneway") == 0)
                        good = take_flag(value, &call->oneway);
                else if (strcmp(key, "upgrade") == 0)
                        /* No method here leaves the protocol. */
                        good = take_flag(value, &upgrade) && !upgrade;
                if (!good)
                        wrong = key;
        }
        return wrong ?: call->more && call->oneway ? "more" : NULL;
}

/* Answers the call @json. Returns 0, or a negative errno if the connection is to be closed. */
static int answer(struct client *client, json_t *json)
{
        const char *method = json_string_value(json_object_get(json, "method")), *wrong;
        struct varlink_call *call = &client->call;
        json_t *parameters, *none = NULL;
        int r;

        if (!json_is_object(json) || !method)
                return -EBADMSG;
        *call = (struct varlink_call){ .client = client, .active = true };
        wrong = read_members(call, json, &parameters);
        if (!parameters)
                parameters = none = json_object();
        if (!parameters)
                return -ENOMEM;
        r = wrong ? varlink_invalid_parameter(call, wrong) : dispatch(call, method, parameters);
        json_decref(none);
        if (r == 0 && call->active && call->oneway)
                /* A stream that nobody listens to. */
                end_call(call);
        return r;
}

/* Parses @size bytes of @text and answers. */
static int answer_text(struct client *client, const char *text, size_t size)
{
        json_error_t error;
        json_t *json;
        int r;

        if (varlink_is_excessive(text, size))
                return -EBADMSG;
        json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        if (!json)
                return -EBADMSG;
        r = answer(client, json);
        json_decref(json);
        return r;
}

/* --- Clients ------------------------------------------------------------------------------------------------------ */

static void free_client(struct client *client)
{
        struct varlink_server *server = client->server;

        if (client->call.active)
                end_call(&client->call);
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
        r = text ? answer_text(client, (const char *) text, length) : length < 0 ? (int) length : -ENOMEM;
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

        if (endless || (!client->call.active && evbuffer_get_length(output_of(client)) == 0))
                drop(client);
}

/* Lets the stream of @client reply once more if all was taken. Returns whether it has. */
static bool serve_stream(struct client *client)
{
        struct varlink_call *call = &client->call;
        int r;

        if (!call->stream->next) {
                /* It cannot be told any more when the client ends. */
                if (evbuffer_get_length(bufferevent_get_input(client->connection)) > VARLINK_MESSAGE_MAX)
                        drop(client);
                else if (call->stream->drained && evbuffer_get_length(output_of(client)) == 0)
                        call->stream->drained(call->state);
                return false;
        }
        if (evbuffer_get_length(output_of(client)) > 0)
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
 * again (bufferevent_inbuf_wm_check()). What is written to it tells of its end.
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
                        progress = evbuffer_get_length(output_of(client)) <= OUTPUT_ENOUGH && serve_call(client);
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

/* --- Listening ---------------------------------------------------------------------------------------------------- */

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

/* Listens at @fd, which it takes over, and which listen() was called for. *ret, if it is not NULL, is the server's. */
static int add_listener(struct varlink_server *server, int fd, struct listener **ret)
{
        struct listener *listener = calloc(1, sizeof(*listener));

        if (listener) {
                listener->server = server;
                listener->pause = evtimer_new(server->base, on_pause_end, listener);
        }
        if (!listener || !listener->pause || evutil_make_socket_nonblocking(fd) < 0) {
                if (listener)
                        free_listener(listener);
                close(fd);
                return -ENOMEM;
        }
        listener->events = evconnlistener_new(
                        server->base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
        if (!listener->events) {
                free_listener(listener);
                close(fd);
                return -ENOMEM;
        }
        evconnlistener_set_error_cb(listener->events, on_accept_error);
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
        if (r < 0)
                return r;
        listener->path = strdup(path);
        if (!listener->path || stat(path, &st) < 0)
                return listener->path ? -errno : -ENOMEM;
        listener->device = st.st_dev;
        listener->inode = st.st_ino;
        return 0;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

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
        struct client *client, *next_client;
        struct listener *listener, *next;

        if (!server)
                return;
        DL_FOREACH_SAFE(server->clients, client, next_client)
        free_client(client);
        LL_FOREACH_SAFE(server->listeners, listener, next)
        free_listener(listener);
        free(server);
}
