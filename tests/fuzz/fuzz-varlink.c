/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: sends its input to a server, in two pieces, and reads all that comes. Whatever is sent, each reply
 * is one JSON object and a NUL, calls before a bad one are answered, and nothing is left of the client in the end.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz-varlink.c daemon/serve/varlink-*.c
 *         daemon/base/log.c daemon/base/clock.c
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct varlink_server *server;
static size_t streams;

static int echo(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) context;
        return varlink_reply(call, json_incref(parameters), false);
}

static int count_next(void *state, struct varlink_call *call)
{
        size_t *left = state;

        if (*left == 0)
                return varlink_reply(call, json_object(), false);
        (*left)--;
        return varlink_reply_text(call, "{}", 2, true);
}

static void stream_end(void *state)
{
        free(state);
        streams--;
}

static int count(void *context, struct varlink_call *call, json_t *parameters)
{
        static const struct varlink_stream counting = { .next = count_next, .end = stream_end };
        static const struct varlink_stream watching = { .end = stream_end };
        json_t *number = json_object_get(parameters, "size");
        size_t *left = malloc(sizeof(*left));

        (void) context;
        if (!left)
                abort();
        *left = json_integer_value(number) % 100;
        streams++;
        varlink_make_stream(call, number ? &counting : &watching, left);
        return number ? 0 : varlink_push(call, json_object());
}

static const char *const colours[] = { "red", "green", NULL };
static const struct varlink_parameter echo_parameters[] = {
        { "text", VARLINK_STRING },
        { "number", VARLINK_INTEGER, .optional = true },
        { "size", VARLINK_SIZE, .optional = true },
        { "flag", VARLINK_BOOLEAN, .optional = true },
        { "word", VARLINK_WORD, .optional = true, .words = colours },
        { "words", VARLINK_WORDS, .optional = true, .words = colours },
        {},
};
static const struct varlink_parameter count_parameters[] = { { "size", VARLINK_SIZE }, {} };
static const struct varlink_method methods[] = {
        { "Echo", echo, echo_parameters },
        { "Count", count, count_parameters, .needs_more = true },
        { "Watch", count, .needs_more = true },
        {},
};
static const struct varlink_interface interface = { "fuzz", "interface fuzz\n", methods };
static const struct varlink_info info = { "", "", "", "" };

static void start(void)
{
        signal(SIGPIPE, SIG_IGN);
        base = event_base_new();
        if (!base || varlink_server_new(base, &info, &interface, 1, NULL, &server) < 0)
                abort();
}

/* What came of the current input and is not a whole reply yet. */
static char text[VARLINK_OUTPUT_MAX + 4096];
static size_t text_size;

/* Checks the replies in @size bytes of text; what follows the last NUL is not all there yet. Returns how much was. */
static size_t check_replies(size_t size)
{
        size_t done = 0;
        const char *end;

        while ((end = memchr(text + done, '\0', size - done))) {
                json_t *reply = json_loadb(text + done, end - (text + done), JSON_REJECT_DUPLICATES, NULL);

                if (!json_is_object(json_object_get(reply, "parameters")))
                        abort();
                json_decref(reply);
                done = end + 1 - text;
        }
        return done;
}

static void turn(int fd)
{
        ssize_t n;

        for (int i = 0; i < 20; i++) {
                size_t done;

                event_base_loop(base, EVLOOP_NONBLOCK);
                n = read(fd, text + text_size, sizeof(text) - text_size);
                if (n <= 0)
                        continue;
                text_size += n;
                done = check_replies(text_size);
                text_size -= done;
                memmove(text, text + done, text_size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t first = size ? data[size / 2] % size : 0;
        int pair[2];

        if (!base)
                start();
        text_size = 0;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
                        varlink_serve_fd(server, pair[1]) < 0)
                abort();
        if (send(pair[0], data, first, MSG_NOSIGNAL) == (ssize_t) first) {
                turn(pair[0]);
                if (send(pair[0], data + first, size - first, MSG_NOSIGNAL) >= 0)
                        turn(pair[0]);
        }
        close(pair[0]);
        for (int i = 0; i < 20 && varlink_clients(server) > 0; i++)
                event_base_loop(base, EVLOOP_NONBLOCK);
        if (varlink_clients(server) > 0 || streams > 0)
                abort();
        return 0;
}
