/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM_FIRST (256 * 1024)

int client_connect(struct client *client, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        *client = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        if (client->fd < 0)
                return -errno;
        client->buffer = malloc(ROOM_FIRST);
        client->room = ROOM_FIRST;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (client->buffer && connect(client->fd, (struct sockaddr *) &address, sizeof(address)) == 0)
                return 0;
        client_close(client);
        return errno ? -errno : -ENOMEM;
}

void client_close(struct client *client)
{
        int saved_errno = errno;

        close(client->fd);
        free(client->buffer);
        client->buffer = NULL;
        client->fd = -1;
        errno = saved_errno;
}

int client_send(struct client *client, const char *text)
{
        size_t size = strlen(text) + 1;

        while (size > 0) {
                ssize_t n = send(client->fd, text, size, MSG_NOSIGNAL);

                if (n < 0)
                        return -errno;
                text += n;
                size -= n;
        }
        return 0;
}

/* Makes room at the end for more. */
static bool make_room(struct client *client)
{
        char *buffer;

        if (client->start > 0) {
                memmove(client->buffer, client->buffer + client->start, client->end - client->start);
                client->end -= client->start;
                client->start = 0;
        }
        if (client->end < client->room)
                return true;
        buffer = realloc(client->buffer, 2 * client->room);
        if (!buffer)
                return false;
        client->buffer = buffer;
        client->room *= 2;
        return true;
}

const char *client_receive(struct client *client, int msec, size_t *length)
{
        struct pollfd ready = { .fd = client->fd, .events = POLLIN };
        size_t scanned = client->start;

        for (;;) {
                char *nul = memchr(client->buffer + scanned, '\0', client->end - scanned), *reply;
                ssize_t n;

                if (nul) {
                        reply = client->buffer + client->start;
                        *length = nul - reply;
                        client->start = nul + 1 - client->buffer;
                        return reply;
                }
                scanned = client->end - client->start;
                if (!make_room(client))
                        return NULL;
                /* As event loops do: a blocking recv() is also woken when the server takes the call from the socket. */
                if (poll(&ready, 1, msec) != 1)
                        return NULL;
                n = recv(client->fd, client->buffer + client->end, client->room - client->end, 0);
                if (n <= 0)
                        return NULL;
                client->end += n;
        }
}
