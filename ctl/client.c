/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "field.h"

int client_connect(struct client *client, const char *path)
{
        /* It also applies to connect(), in case a program listens, but never accepts. */
        static const struct timeval timeout = { .tv_sec = CLIENT_TIMEOUT_MSEC / 1000 };
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        *client = (struct client){ .fd = -1 };
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        client->path = strdup(path);
        if (!client->path)
                return -ENOMEM;
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0 || setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
                        connect(client->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        return 0;
}

void client_deinit(struct client *client)
{
        if (client->fd >= 0)
                close(client->fd);
        free(client->path);
        free(client->error);
        json_decref(client->error_parameters);
        free(client->buffer);
        *client = (struct client){ .fd = -1 };
}

static int send_all(int fd, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

                if (sent < 0 && errno == EINTR)
                        continue;
                if (sent < 0)
                        return errno == EPIPE ? -ECONNRESET : errno == EAGAIN ? -ETIMEDOUT : -errno;
                data += sent;
                n -= sent;
        }
        return 0;
}

int client_send(struct client *client, const char *method, json_t *parameters, bool more)
{
        json_t *call = json_pack("{ss so*}", "method", method, "parameters", parameters);
        _cleanup_free_ char *text = NULL;

        if (call && more && json_object_set_new(call, "more", json_true()) == 0)
                text = json_dumps(call, JSON_COMPACT);
        else if (call && !more)
                text = json_dumps(call, JSON_COMPACT);
        json_decref(call);
        return text ? send_all(client->fd, text, strlen(text) + 1) : -ENOMEM;
}

bool client_pending(const struct client *client)
{
        return client->end > client->start && memchr(client->buffer + client->start, '\0', client->end - client->start);
}

/* Makes room after the received bytes. */
static int make_room(struct client *client)
{
        size_t size;
        char *buffer;

        if (client->start > 0) {
                memmove(client->buffer, client->buffer + client->start, client->end - client->start);
                client->end -= client->start;
                client->start = 0;
        }
        if (client->end < client->size)
                return 0;
        size = client->size ? 2 * client->size : 64 * 1024;
        if (size > CLIENT_MESSAGE_MAX)
                return -EMSGSIZE;
        buffer = realloc(client->buffer, size);
        if (!buffer)
                return -ENOMEM;
        client->buffer = buffer;
        client->size = size;
        return 0;
}

static int receive_some(struct client *client, int timeout_msec)
{
        struct pollfd pollfd = { .fd = client->fd, .events = POLLIN };
        ssize_t n;
        int r;

        r = make_room(client);
        if (r < 0)
                return r;
        r = poll(&pollfd, 1, timeout_msec);
        if (r <= 0)
                return r < 0 ? -errno : -ETIMEDOUT;
        n = recv(client->fd, client->buffer + client->end, client->size - client->end, 0);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        client->end += n;
        return 0;
}

/* Keeps the error in @message, if it is one. Returns 0, CLIENT_ERROR or -ENOMEM. */
static int keep_error(struct client *client, const json_t *message)
{
        const char *name = json_string_value(json_object_get(message, "error"));

        if (!name)
                return 0;
        free(client->error);
        json_decref(client->error_parameters);
        client->error_parameters = json_incref(json_object_get(message, "parameters"));
        client->error = strdup(name);
        return client->error ? CLIENT_ERROR : -ENOMEM;
}

/* Milliseconds until @deadline (now_usec()) for poll(); @timeout_msec if that is negative: without end. */
static int left_msec(int timeout_msec, uint64_t deadline)
{
        uint64_t now = now_usec();

        return timeout_msec < 0 ? timeout_msec : now < deadline ? (int) ((deadline - now + 999) / 1000) : 0;
}

/* Waits until the next message is complete. The message is valid until the next call. Returns 0 or a negative errno. */
static int receive_message(struct client *client, int timeout_msec, struct slice *message)
{
        uint64_t deadline = now_usec() + timeout_msec * 1000LL;
        size_t scanned = 0;
        const char *end = NULL;
        int r;

        /* The deadline holds however small the pieces are in which the message arrives. */
        for (;;) {
                size_t there = client->end - client->start;

                if (there > scanned)
                        end = memchr(client->buffer + client->start + scanned, '\0', there - scanned);
                if (end)
                        break;
                scanned = there;
                r = receive_some(client, left_msec(timeout_msec, deadline));
                if (r < 0)
                        return r;
        }
        message->start = client->buffer + client->start;
        message->length = end - message->start;
        client->start += message->length + 1;
        return 0;
}

static int parse_message(struct client *client, struct slice text, json_t **reply, bool *continues)
{
        json_t *message = json_loadb(text.start, text.length, 0, NULL), *parameters;
        int r;

        if (!json_is_object(message)) {
                json_decref(message);
                return -EBADMSG;
        }
        r = keep_error(client, message);
        if (r == 0) {
                parameters = json_object_get(message, "parameters");
                *reply = parameters ? json_incref(parameters) : json_object();
                *continues = field_true(message, "continues");
        }
        json_decref(message);
        return r;
}

int client_receive(struct client *client, int timeout_msec, json_t **reply, bool *continues)
{
        struct slice message;
        int r;

        r = receive_message(client, timeout_msec, &message);
        return r < 0 ? r : parse_message(client, message, reply, continues);
}

/* The parameters of the next reply as text. Returns as client_receive(). */
static int receive_text(struct client *client, struct slice *parameters, bool *continues)
{
        struct slice message, value;
        json_t *reply;
        int r;

        r = receive_message(client, CLIENT_TIMEOUT_MSEC, &message);
        if (r < 0)
                return r;
        *continues = slice_member(message, "continues", &value) && slice_is(value, "true");
        if (!slice_member(message, "error", &value) && slice_member(message, "parameters", parameters))
                return 0;
        /* The reply is an error, or not valid. */
        r = parse_message(client, message, &reply, continues);
        if (r != 0)
                return r;
        json_decref(reply);
        return -EBADMSG;
}

/* The remaining size and time of an answer in several replies, so that it ends however many there are. */
struct rest {
        size_t bytes;
        uint64_t deadline;
};

static struct rest begin_answer(void)
{
        return (struct rest){ CLIENT_ANSWER_MAX, now_usec() + CLIENT_ANSWER_SEC * 1000000LL };
}

/* Counts @size bytes of a reply. Returns 0, or a negative errno if they exceed the limit. */
static int take_of_answer(struct rest *rest, size_t size)
{
        if (size >= rest->bytes)
                return -EMSGSIZE;
        rest->bytes -= size + 1;
        return now_usec() > rest->deadline ? -ETIMEDOUT : 0;
}

int client_call_text(
                struct client *client, const char *method, json_t *parameters, client_text_t callback, void *context)
{
        struct rest rest = begin_answer();
        bool continues = true;
        int r;

        r = client_send(client, method, parameters, true);
        while (r == 0 && continues) {
                struct slice text;

                r = receive_text(client, &text, &continues);
                if (r == 0)
                        r = take_of_answer(&rest, text.length);
                if (r == 0)
                        r = callback(context, text);
        }
        return r;
}

int client_call(struct client *client, const char *method, json_t *parameters, json_t **reply)
{
        bool continues;
        int r;

        r = client_send(client, method, parameters, false);
        return r < 0 ? r : client_receive(client, CLIENT_TIMEOUT_MSEC, reply, &continues);
}

int client_call_more(
                struct client *client, const char *method, json_t *parameters, client_reply_t callback, void *context)
{
        struct rest rest = begin_answer();
        bool continues = true;
        int r;

        r = client_send(client, method, parameters, true);
        while (r == 0 && continues) {
                struct slice message;
                json_t *reply;

                r = receive_message(client, CLIENT_TIMEOUT_MSEC, &message);
                if (r == 0)
                        r = take_of_answer(&rest, message.length);
                if (r == 0)
                        r = parse_message(client, message, &reply, &continues);
                if (r == 0) {
                        r = callback(context, reply);
                        json_decref(reply);
                }
        }
        return r;
}
