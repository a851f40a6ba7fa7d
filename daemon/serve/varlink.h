/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's side of varlink (https://varlink.org): calls and replies are JSON objects that end in a NUL byte, on
 * unix stream sockets. Serves any interface that it is given, and org.varlink.service, on a libevent loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>
#include <jansson.h>

/* Limits of one call, with its NUL. If it is longer, nested deeper, or has more values, the connection is closed. */
#define VARLINK_MESSAGE_MAX (1024 * 1024)
#define VARLINK_DEPTH_MAX   16
#define VARLINK_VALUES_MAX  10000

/*
 * The maximum number of connections, of all users except root, and of any one user; one more is closed immediately.
 * Those of root are additional.
 */
#define VARLINK_CLIENTS_MAX      256
#define VARLINK_USER_CLIENTS_MAX 64

/*
 * The maximum size of a reply, in bytes, and the number of unsent bytes (VARLINK_BACKLOG_MAX) from which on pushed
 * replies are lost.
 */
#define VARLINK_OUTPUT_MAX  (4 * 1024 * 1024)
#define VARLINK_BACKLOG_MAX (256 * 1024)

/*
 * Bytes that all clients together may hold: received, unsent, and state of streams; root's clients have the same amount
 * in addition. Beyond that the client that holds most, of the user who holds most, is disconnected, unless it is the
 * only one.
 */
#define VARLINK_HELD_MAX (8 * 1024 * 1024)

/* A client that does not complete a call, or does not read a reply, for this long is disconnected. */
#define VARLINK_STALL_SEC 60

struct varlink_server;
struct varlink_call;

enum varlink_type {
        VARLINK_BOOLEAN,
        VARLINK_INTEGER,
        VARLINK_SIZE, /* an integer that is not negative */
        VARLINK_STRING,
        VARLINK_WORD,  /* a string, one of a list */
        VARLINK_WORDS, /* an array of such strings */
};

struct varlink_parameter {
        const char *name;
        enum varlink_type type;
        bool optional;            /* may be null or missing */
        const char *const *words; /* ended by NULL */
};

/*
 * Answers @call. @parameters, an object, was checked against the method's table; members that are null are omitted. The
 * server owns it. Returns 0 if it has replied, or made a stream of the call; a negative errno closes the connection.
 */
typedef int (*varlink_handle_t)(void *context, struct varlink_call *call, json_t *parameters);

struct varlink_method {
        const char *name; /* without the interface */
        varlink_handle_t handle;
        const struct varlink_parameter *parameters; /* ended by one without a name; NULL: none */
        bool needs_more;                            /* without "more" it is an error */
};

struct varlink_interface {
        const char *name;
        const char *description;              /* in varlink's language */
        const struct varlink_method *methods; /* ended by one without a name */
};

/* What org.varlink.service.GetInfo says. */
struct varlink_info {
        const char *vendor, *product, *version, *url;
};

/*
 * Creates a server on @base for the @count @interfaces; @context is passed to the methods. All arguments must outlive
 * it. Returns 0 or -ENOMEM. varlink_server_free() closes all that was opened, and takes NULL.
 */
int varlink_server_new(struct event_base *base, const struct varlink_info *info,
                const struct varlink_interface *interfaces, size_t count, void *context, struct varlink_server **ret);
void varlink_server_free(struct varlink_server *server);

/*
 * Listens at @path, with @mode, for root and @group if there is such a group. An existing socket without a listener is
 * replaced. Returns 0; -EADDRINUSE: somebody listens there; another negative errno.
 */
int varlink_listen(struct varlink_server *server, const char *path, mode_t mode, const char *group);
/* Listens at @fd, which it takes over; from socket activation. Returns 0 or a negative errno. */
int varlink_listen_fd(struct varlink_server *server, int fd);
/* Serves the connected socket @fd, which it takes over. Returns 0; -EUSERS: too many clients; another negative errno.
 */
int varlink_serve_fd(struct varlink_server *server, int fd);

/* The number of connections. */
size_t varlink_clients(const struct varlink_server *server);

/* Whether the client accepts several replies. */
bool varlink_wants_more(const struct varlink_call *call);
/* The user at the other end, from SO_PEERCRED. */
uid_t varlink_uid(const struct varlink_call *call);

/*
 * Replies with @parameters, an object that it takes over (NULL: no memory). @continues: more replies follow, which only
 * a stream may say. Returns 0; -EMSGSIZE: it is larger than VARLINK_OUTPUT_MAX, and nothing was sent; -ENOMEM.
 */
int varlink_reply(struct varlink_call *call, json_t *parameters, bool continues);
/* The same with @size bytes of JSON @text, an object. */
int varlink_reply_text(struct varlink_call *call, const char *text, size_t size, bool continues);
/*
 * The same in pieces, for the next() of a stream: @text has the next @size bytes of the parameters, @which says whether
 * they are the first or the last ones. VARLINK_CONTINUES is set together with VARLINK_LAST. Returns as varlink_reply().
 */
enum { VARLINK_FIRST = 1, VARLINK_LAST = 2, VARLINK_CONTINUES = 4 };
int varlink_reply_piece(struct varlink_call *call, const char *text, size_t size, unsigned int which);
/* Replies with the error @name and its @parameters, taken over; NULL: none. Returns as varlink_reply(). */
int varlink_error(struct varlink_call *call, const char *name, json_t *parameters);
/* org.varlink.service.InvalidParameter */
int varlink_invalid_parameter(struct varlink_call *call, const char *parameter);

/* A call with several replies. */
struct varlink_stream {
        /*
         * Sends another reply, or the next piece of one. It is called when the client has read nearly all that was
         * sent, and again if it sent nothing. Other clients are served in between, so it should take at most a
         * millisecond. Returns 0 or a negative errno, which closes the connection. NULL: replies are pushed as they
         * come up, and the call ends with the connection.
         */
        int (*next)(void *state, struct varlink_call *call);
        /* Called when the client has read everything that was pushed; may be NULL. */
        void (*drained)(void *state);
        /* The call is over: @state may be freed. */
        void (*end)(void *state);
};

/* Makes a stream of @call; to be called by its method. @stream must outlive it. */
void varlink_make_stream(struct varlink_call *call, const struct varlink_stream *stream, void *state);

/* next() of the stream is not called before varlink_resume(), which is called from the loop, before the stream's end().
 */
void varlink_suspend(struct varlink_call *call);
void varlink_resume(struct varlink_call *call);

/* Its state takes @size bytes, which count for VARLINK_HELD_MAX. */
void varlink_stream_holds(struct varlink_call *call, size_t size);

/*
 * Sends a reply to a stream at any time, with "continues"; @parameters are taken over. Returns 0; -ENOBUFS: the client
 * is too slow, or its user has so many clients that it has used up its time; nothing was sent; another negative errno.
 */
int varlink_push(struct varlink_call *call, json_t *parameters);

/*
 * Whether the @size bytes of @text have brackets nested deeper than VARLINK_DEPTH_MAX, or more than VARLINK_VALUES_MAX
 * values; to be checked before parsing. Text that is not JSON may pass.
 */
bool varlink_is_excessive(const char *text, size_t size);
