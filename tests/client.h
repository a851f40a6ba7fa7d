/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A minimal varlink client for tests and benchmarks. It trusts the server to speak varlink. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct client {
        int fd;
        char *buffer;
        size_t start, end, room; /* bytes that were received but not processed yet */
};

/* Connects to @path. Returns 0 or a negative errno. */
int client_connect(struct client *client, const char *path);
void client_close(struct client *client);

/* Sends all of the call @text. Returns 0 or a negative errno. */
int client_send(struct client *client, const char *text);
/*
 * The next reply, valid until the next call, and its *length; NULL: none arrived in @msec, or the connection was
 * closed.
 */
const char *client_receive(struct client *client, int msec, size_t *length);
