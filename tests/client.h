/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The least that a varlink client is, for tests and benchmarks: it trusts the server to speak varlink. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct client {
        int fd;
        char *buffer;
        size_t start, end, room; /* what was received and not taken yet */
};

/* Connects to @path. Returns 0 or a negative errno. */
int client_connect(struct client *client, const char *path);
void client_close(struct client *client);

/* Sends the call @text, whole. Returns 0 or a negative errno. */
int client_send(struct client *client, const char *text);
/* The next reply, valid until the next call, and its *length; NULL: none came in @msec, or none will. */
const char *client_receive(struct client *client, int msec, size_t *length);
