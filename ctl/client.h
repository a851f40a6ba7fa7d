/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A synchronous varlink client: one connection, calls answered in order, JSON messages that end with NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "splice.h"

/* The maximum length of a message from the daemon: four times its limit for unsent replies. */
#define CLIENT_MESSAGE_MAX (16U << 20)

/*
 * The time limit for a complete reply, and for accepting a connection. Normally this takes milliseconds, but the daemon
 * may be stopped, or the machine overloaded.
 */
#define CLIENT_TIMEOUT_MSEC (45 * 1000)

/*
 * Limits of the size and the duration of an answer in several replies (other than events), so that this program ends,
 * whatever serves the socket. The answer for 100,000 objects with their holders has 60 MB.
 */
#define CLIENT_ANSWER_MAX (256U << 20)
#define CLIENT_ANSWER_SEC 600

struct client {
        int fd;
        char *path;  /* of the socket */
        char *error; /* name of the error, if the daemon's last reply was one */
        json_t *error_parameters;

        /* Private to client.c: bytes that were received but not processed yet are buffer[start, end). */
        char *buffer;
        size_t start, end, size;
};

/* A result of a call other than 0 and a negative errno: the daemon answered with the error client->error. */
#define CLIENT_ERROR 1

/*
 * Connects to the socket @path. Returns 0 or a negative errno (-ENOENT and -ECONNREFUSED: nobody listens; -EACCES).
 * Call client_deinit() for @client in any case.
 */
int client_connect(struct client *client, const char *path);
void client_deinit(struct client *client);

/*
 * Calls @method with @parameters, which it takes over (NULL: none). *reply is a new reference to the parameters of the
 * reply. Returns 0; CLIENT_ERROR; -ETIMEDOUT; -ECONNRESET: the daemon closed the connection; -EBADMSG: the reply is not
 * valid varlink; another negative errno.
 */
int client_call(struct client *client, const char *method, json_t *parameters, json_t **reply);

/* Called for each reply. Returns 0 to continue, or else the value that client_call_more() then returns. */
typedef int (*client_reply_t)(void *context, json_t *reply);

/* The same with "more": calls @callback for each reply up to the last one. */
int client_call_more(
                struct client *client, const char *method, json_t *parameters, client_reply_t callback, void *context);

/* Called for the parameters of each reply as text; the same contract. */
typedef int (*client_text_t)(void *context, struct slice parameters);

/* The same for long lists: replies are not parsed. */
int client_call_text(
                struct client *client, const char *method, json_t *parameters, client_text_t callback, void *context);

/* Sends the call without waiting; @more as above. Returns 0 or a negative errno. */
int client_send(struct client *client, const char *method, json_t *parameters, bool more);

/*
 * Waits at most @timeout_msec (-1: without end) for the next reply. *continues: more will follow. Returns as
 * client_call(); -EINTR: a signal came first.
 */
int client_receive(struct client *client, int timeout_msec, json_t **reply, bool *continues);

/* Whether a complete reply has already been received, so that client_receive() does not wait. */
bool client_pending(const struct client *client);
