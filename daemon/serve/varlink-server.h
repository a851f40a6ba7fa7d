/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the server of varlink.h: a server has sockets that it listens at (varlink-listen.c), and clients
 * (varlink-server.c: connections and their turns), each of which is a user's (varlink-user.c: what one user may take
 * of time, memory and connections) and has at most one call (varlink-call.c: messages, methods, replies).
 */
#pragma once

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "serve/varlink.h"

struct varlink_call {
        struct client *client;
        bool active; /* not completely answered */
        bool more, oneway;
        bool suspended;                      /* its stream has nothing to send yet */
        const struct varlink_stream *stream; /* NULL: none */
        void *state;
        size_t state_size; /* bytes that @state takes */
};

/* A user with connections, or whose use of CPU time still counts. */
struct user {
        uid_t uid;
        size_t clients;
        size_t held;            /* bytes, the sum of its clients' */
        uint64_t due_usec;      /* its next turn; see varlink-user.c */
        struct client *waiting; /* its clients that wait for a turn, in their order */
        struct user *next, *prev;
};

struct client {
        struct varlink_server *server;
        struct bufferevent *connection;
        struct user *user;
        size_t scanned; /* bytes of input in which there is no NUL */
        size_t held;    /* bytes of memory that were counted for it: received, unsent, state of a stream */
        bool half;      /* part of a call was received, and the time limit for the rest runs */
        bool ended;     /* the client sends nothing more */
        bool waiting;   /* for a turn */
        bool dead;      /* to be freed */
        struct varlink_call call;
        struct client *next, *prev;
        struct client *next_waiting, *prev_waiting;
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
        struct user *users;
        size_t user_count;
        struct event *turn;              /* serves waiting clients, and frees dead ones, from the loop */
        uint64_t due_usec;               /* of the next turn of all users but root, as in struct user */
        uint64_t root_usec, others_usec; /* when the last turn of root, and of another user, ended */
        size_t held;                     /* bytes, of all users but root */
};

static inline struct evbuffer *client_output(const struct client *client)
{
        return bufferevent_get_output(client->connection);
}

/*
 * Counts one more connection of the user @uid; user_leave() must be called when it ends. Returns 0; -EUSERS: this user,
 * or all users together, have the maximum; -ENOMEM.
 */
int user_join(struct varlink_server *server, uid_t uid, struct user **ret);
void user_leave(struct varlink_server *server, struct user *user);
void users_free(struct varlink_server *server);

/* Whether @user is root, for whom a share of everything is reserved. */
bool user_is_root(const struct user *user);

/* Appends @client to the clients of its user that wait for a turn, unless it already waits; and removes it. */
void user_wait(struct client *client);
void user_wait_no_more(struct client *client);

/* The user who has the next turn at @now (now_usec()): root (@root), or one of the others; NULL: nobody yet. */
struct user *user_next(struct varlink_server *server, bool root, uint64_t now);
/* When the next turn is due; UINT64_MAX: nobody waits. */
uint64_t users_due_usec(const struct varlink_server *server);
/* Notes that a turn of @user ended at @now, after @usec. */
void user_served(struct varlink_server *server, struct user *user, uint64_t now, uint64_t usec);
/* Whether a reply may be pushed to @user now; each push uses up some of the user's time. */
bool user_takes_push(struct varlink_server *server, struct user *user);

/*
 * Updates the memory that is counted for @client. If all clients together hold too much, the one that holds most is
 * disconnected.
 */
void client_count_held(struct client *client);

/* Disconnects @client. It is freed later from the loop, because the caller may still use it. */
void client_drop(struct client *client);

/* Parses @size bytes of @text, a call, and answers it. Returns 0, or a negative errno: the connection is to be closed.
 */
int varlink_answer(struct client *client, const char *text, size_t size);

/* Ends @call, without further replies, and its stream. */
void varlink_end_call(struct varlink_call *call);

/* Closes all sockets that @server listens at, and removes those that it made. */
void varlink_stop_listening(struct varlink_server *server);
