/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The protocol on socket pairs: a server with an interface for tests, driven in the same thread. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/cleanup.h"
#include "daemon/varlink.h"

/* --- The interface ------------------------------------------------------------------------------------------------ */

struct demo {
        struct event_base *base;
        struct varlink_server *server;
        struct varlink_call *watcher; /* of the last Watch; NULL: it is over */
        unsigned int streams, ended, drained;
};

static int echo(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) context;
        return varlink_reply(call, json_incref(parameters), false);
}

/* An answer of so many bytes. */
static int big(void *context, struct varlink_call *call, json_t *parameters)
{
        size_t size = json_integer_value(json_object_get(parameters, "size"));
        _cleanup_free_ char *text = malloc(size + 1);
        int r;

        (void) context;
        assert_non_null(text);
        memset(text, 'x', size);
        text[size] = '\0';
        r = varlink_reply(call, json_pack("{ss}", "text", text), false);
        return r == -EMSGSIZE ? varlink_error(call, "test.demo.TooLarge", NULL) : r;
}

struct counter {
        struct demo *demo;
        int64_t now, to;
};

static int count_next(void *state, struct varlink_call *call)
{
        struct counter *counter = state;
        int64_t now = counter->now++;
        char text[64];

        if (now == counter->to)
                return varlink_reply(call, json_pack("{sI}", "last", (json_int_t) now), false);
        snprintf(text, sizeof(text), "{\"n\":%lld}", (long long) now);
        return varlink_reply_text(call, text, strlen(text), true);
}

static void count_end(void *state)
{
        struct counter *counter = state;

        counter->demo->ended++;
        free(counter);
}

static int count(void *context, struct varlink_call *call, json_t *parameters)
{
        static const struct varlink_stream stream = { .next = count_next, .end = count_end };
        struct counter *counter = calloc(1, sizeof(*counter));

        assert_non_null(counter);
        counter->demo = context;
        counter->to = json_integer_value(json_object_get(parameters, "to"));
        counter->demo->streams++;
        varlink_make_stream(call, &stream, counter);
        return 0;
}

static void watch_end(void *state)
{
        struct demo *demo = state;

        demo->watcher = NULL;
        demo->ended++;
}

static void watch_drained(void *state)
{
        struct demo *demo = state;

        demo->drained++;
}

static int watch(void *context, struct varlink_call *call, json_t *parameters)
{
        static const struct varlink_stream stream = { .drained = watch_drained, .end = watch_end };
        struct demo *demo = context;

        (void) parameters;
        demo->watcher = call;
        demo->streams++;
        varlink_make_stream(call, &stream, demo);
        return varlink_push(call, json_object());
}

static int fail_call(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) context;
        (void) call;
        (void) parameters;
        return -ENOMEM;
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
static const struct varlink_parameter big_parameters[] = { { "size", VARLINK_SIZE }, {} };
static const struct varlink_parameter count_parameters[] = { { "to", VARLINK_SIZE }, {} };
static const struct varlink_method demo_methods[] = {
        { "Echo", echo, echo_parameters },
        { "Big", big, big_parameters },
        { "Count", count, count_parameters, .needs_more = true },
        { "Watch", watch, .needs_more = true },
        { "Fail", fail_call },
        {},
};
static const struct varlink_interface demo_interface = { "test.demo", "interface test.demo\n", demo_methods };
static const struct varlink_info demo_info = { "V", "P", "1", "U" };

static int setup(void **state)
{
        struct demo *demo = calloc(1, sizeof(*demo));

        demo->base = event_base_new();
        *state = demo;
        return varlink_server_new(demo->base, &demo_info, &demo_interface, 1, demo, &demo->server);
}

static int teardown(void **state)
{
        struct demo *demo = *state;

        varlink_server_free(demo->server);
        event_base_free(demo->base);
        /* Whatever a test did, each stream is ended once. */
        assert_int_equal(demo->streams, demo->ended);
        free(demo);
        return 0;
}

/* --- The client --------------------------------------------------------------------------------------------------- */

/* Lets the server do all that it can without waiting. */
static void turn(struct demo *demo)
{
        for (int i = 0; i < 50; i++)
                event_base_loop(demo->base, EVLOOP_NONBLOCK);
}

static int connect_to(struct demo *demo)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(varlink_serve_fd(demo->server, pair[1]), 0);
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
        return pair[0];
}

/* Sends all of it, however often the server must read meanwhile. Returns false if it has closed. */
static bool send_bytes(struct demo *demo, int fd, const char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        return false;
                if (n > 0) {
                        bytes += n;
                        size -= n;
                }
                turn(demo);
        }
        return true;
}

/* Sends @text as one call. */
static void send_call(struct demo *demo, int fd, const char *text)
{
        assert_true(send_bytes(demo, fd, text, strlen(text) + 1));
}

/* The next reply as text, to be freed; NULL: there is none now. *closed says whether none will come. */
static char *receive(struct demo *demo, int fd, bool *closed)
{
        size_t size = 0, room = VARLINK_OUTPUT_MAX + 4096;
        char *text = malloc(room);
        ssize_t n;

        assert_non_null(text);
        *closed = false;
        for (;;) {
                n = recv(fd, text + size, 1, 0);
                if (n < 0 && size > 0 && errno == EAGAIN) {
                        turn(demo);
                        continue;
                }
                if (n <= 0)
                        break;
                if (text[size++] == '\0')
                        return text;
                assert_true(size < room);
        }
        *closed = n == 0 || errno != EAGAIN;
        assert_int_equal(size, 0);
        free(text);
        return NULL;
}

static void expect_reply(struct demo *demo, int fd, const char *reply)
{
        _cleanup_free_ char *text = NULL;
        bool closed;

        turn(demo);
        text = receive(demo, fd, &closed);
        assert_non_null(text);
        assert_string_equal(text, reply);
}

/* Nothing comes, and the connection stays. */
static void expect_silence(struct demo *demo, int fd)
{
        bool closed;

        turn(demo);
        assert_null(receive(demo, fd, &closed));
        assert_false(closed);
}

static void expect_close(struct demo *demo, int fd)
{
        bool closed;

        turn(demo);
        assert_null(receive(demo, fd, &closed));
        assert_true(closed);
        close(fd);
        assert_int_equal(varlink_clients(demo->server), 0);
}

static void check_reply(struct demo *demo, const char *call, const char *reply)
{
        int fd = connect_to(demo);

        send_call(demo, fd, call);
        expect_reply(demo, fd, reply);
        expect_silence(demo, fd);
        close(fd);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* The @size bytes are no call: the connection is closed without a word. */
static void check_close(struct demo *demo, const char *bytes, size_t size)
{
        int fd = connect_to(demo);

        send_bytes(demo, fd, bytes, size);
        expect_close(demo, fd);
}

#define INVALID(parameter) \
        "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"" parameter "\"}}"
#define ECHO(parameters) "{\"method\":\"test.demo.Echo\",\"parameters\":{" parameters "}}"

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static void test_service(void **state)
{
        check_reply(*state, "{\"method\":\"org.varlink.service.GetInfo\"}",
                        "{\"parameters\":{\"vendor\":\"V\",\"product\":\"P\",\"version\":\"1\",\"url\":\"U\","
                        "\"interfaces\":[\"org.varlink.service\",\"test.demo\"]}}");
        check_reply(*state,
                        "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                        "{\"interface\":\"test.demo\"}}",
                        "{\"parameters\":{\"description\":\"interface test.demo\\n\"}}");
        check_reply(*state,
                        "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                        "{\"interface\":\"test.demon\"}}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":"
                        "{\"interface\":\"test.demon\"}}");
        check_reply(*state, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}", INVALID("interface"));
}

static void test_unknown(void **state)
{
        check_reply(*state, "{\"method\":\"test.demo.Ech\"}",
                        "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":"
                        "{\"method\":\"test.demo.Ech\"}}");
        check_reply(*state, "{\"method\":\"test.dem.Echo\"}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":"
                        "{\"interface\":\"test.dem\"}}");
        check_reply(*state, "{\"method\":\"Echo\"}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":"
                        "{\"interface\":\"Echo\"}}");
        check_reply(*state, "{\"method\":\"\"}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"\"}}");
}

static void test_parameters(void **state)
{
        check_reply(*state, ECHO("\"text\":\"a\""), "{\"parameters\":{\"text\":\"a\"}}");
        check_reply(*state,
                        ECHO("\"text\":\"\",\"number\":-5,\"size\":0,\"flag\":true,\"word\":\"red\","
                             "\"words\":[\"green\",\"red\"]"),
                        "{\"parameters\":{\"text\":\"\",\"number\":-5,\"size\":0,\"flag\":true,\"word\":\"red\","
                        "\"words\":[\"green\",\"red\"]}}");
        /* What is null is as good as missing, where it may be. */
        check_reply(*state, ECHO("\"text\":\"a\",\"number\":null"), "{\"parameters\":{\"text\":\"a\"}}");
        check_reply(*state, ECHO("\"text\":null"), INVALID("text"));
        check_reply(*state, ECHO(""), INVALID("text"));
        check_reply(*state, ECHO("\"text\":\"a\",\"txet\":1"), INVALID("txet"));
        check_reply(*state, ECHO("\"text\":5"), INVALID("text"));
        check_reply(*state, ECHO("\"text\":\"a\",\"number\":1.5"), INVALID("number"));
        check_reply(*state, ECHO("\"text\":\"a\",\"number\":\"1\""), INVALID("number"));
        check_reply(*state, ECHO("\"text\":\"a\",\"number\":1e3"), INVALID("number"));
        check_reply(*state, ECHO("\"text\":\"a\",\"size\":-1"), INVALID("size"));
        check_reply(*state, ECHO("\"text\":\"a\",\"flag\":1"), INVALID("flag"));
        check_reply(*state, ECHO("\"text\":\"a\",\"word\":\"blue\""), INVALID("word"));
        check_reply(*state, ECHO("\"text\":\"a\",\"words\":\"red\""), INVALID("words"));
        check_reply(*state, ECHO("\"text\":\"a\",\"words\":{}"), INVALID("words"));
        check_reply(*state, ECHO("\"text\":\"a\",\"words\":[\"red\",\"blue\"]"), INVALID("words"));
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"parameters\":[]}", INVALID("parameters"));
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"parameters\":null}", INVALID("text"));
}

static void test_members(void **state)
{
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"more\":1}", INVALID("more"));
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"oneway\":\"no\"}", INVALID("oneway"));
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"upgrade\":true}", INVALID("upgrade"));
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"morre\":true}", INVALID("morre"));
        check_reply(*state,
                        "{\"method\":\"test.demo.Echo\",\"more\":false,\"oneway\":false,\"upgrade\":false,"
                        "\"parameters\":{\"text\":\"a\"}}",
                        "{\"parameters\":{\"text\":\"a\"}}");
        check_reply(*state, "{\"method\":\"test.demo.Count\",\"parameters\":{\"to\":1}}",
                        "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
}

/* What cannot be a call at all. */
static void test_garbage(void **state)
{
        static const char *const garbage[] = {
                "x",
                "{",
                "[]",
                "5",
                "null",
                "\"method\"",
                "{}",
                "{\"method\":5}",
                "{\"method\":null}",
                "{\"parameters\":{}}",
                "{\"method\":\"test.demo.Echo\"} x",
                "{\"method\":\"test.demo.Echo\"}{}",
                "{\"method\":\"test.demo.Echo\",\"method\":\"test.demo.Echo\"}",
                ECHO("\"text\":\"a\",\"text\":\"a\""),
                ECHO("\"text\":\"\xff\""),
                ECHO("\"text\":\"\xc0\x80\""),
                ECHO("\"text\":\"\xed\xa0\x80\""),
                ECHO("\"text\":\"\\u0000\""),
                ECHO("\"text\":\"\\ud800\""),
                ECHO("\"text\":\"a\nb\""),
                ECHO("\"text\":\"a\",\"number\":9223372036854775808"),
                ECHO("\"text\":\"a\",\"number\":1e999"),
                ECHO("\"text\":\"a\",\"number\":0x10"),
                ECHO("\"text\":\"a\",\"number\":01"),
                ECHO("\"text\":\"a\",\"number\":NaN"),
                ECHO("\"text\":\"a\","),
        };

        for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
                check_close(*state, garbage[i], strlen(garbage[i]) + 1);
        check_close(*state, "\0", 1);
        check_close(*state, "\0\0\0", 3);
        /* A handler that fails. */
        check_close(*state, "{\"method\":\"test.demo.Fail\"}", sizeof("{\"method\":\"test.demo.Fail\"}"));
}

static void test_excessive(void **state)
{
        _cleanup_free_ char *text = malloc(VARLINK_MESSAGE_MAX + 2);
        size_t length;

        assert_non_null(text);
        /* The call and its parameters are two levels. */
        strcpy(text, "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":");
        length = strlen(text);
        memset(text + length, '[', VARLINK_DEPTH_MAX - 2);
        memset(text + length + VARLINK_DEPTH_MAX - 2, ']', VARLINK_DEPTH_MAX - 2);
        strcpy(text + length + 2 * (VARLINK_DEPTH_MAX - 2), "}}");
        check_reply(*state, text, INVALID("text"));
        memset(text + length, '[', VARLINK_DEPTH_MAX - 1);
        memset(text + length + VARLINK_DEPTH_MAX - 1, ']', VARLINK_DEPTH_MAX - 1);
        strcpy(text + length + 2 * (VARLINK_DEPTH_MAX - 1), "}}");
        check_close(*state, text, strlen(text) + 1);
        /* As deep as it gets, never closed. */
        memset(text, '[', VARLINK_MESSAGE_MAX);
        check_close(*state, text, VARLINK_MESSAGE_MAX);
        text[VARLINK_MESSAGE_MAX - 1] = '\0';
        check_close(*state, text, VARLINK_MESSAGE_MAX);
        /* Brackets in strings are none. */
        check_reply(*state, ECHO("\"text\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[{{{{{{\",\"number\":1.5"),
                        INVALID("number"));
        /* A long list: it would take a hundred times its size. */
        text[0] = '[';
        for (size_t i = 1; i < VARLINK_MESSAGE_MAX - 2; i += 2)
                memcpy(text + i, "0,", 2);
        memcpy(text + VARLINK_MESSAGE_MAX - 3, "0]", 3);
        assert_true(varlink_is_excessive(text, strlen(text)));
        check_close(*state, text, strlen(text) + 1);
}

/* The largest call that is taken, and one byte more; with and without its end. */
static void test_length(void **state)
{
        static const char head[] = "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":\"";
        _cleanup_free_ char *text = malloc(VARLINK_MESSAGE_MAX + 2), *reply = NULL;
        struct demo *demo = *state;
        size_t length = VARLINK_MESSAGE_MAX - 1;
        bool closed;
        int fd;

        assert_non_null(text);
        memset(text, 'x', VARLINK_MESSAGE_MAX + 1);
        memcpy(text, head, strlen(head));
        memcpy(text + length - 3, "\"}}", 4);
        fd = connect_to(demo);
        send_call(demo, fd, text);
        turn(demo);
        reply = receive(demo, fd, &closed);
        assert_non_null(reply);
        assert_int_equal(strlen(reply), length - strlen(head) + strlen("{\"parameters\":{\"text\":\""));
        close(fd);
        turn(demo);

        memset(text + length - 3, 'x', 3);
        memcpy(text + length - 2, "\"}}", 4);
        check_close(demo, text, length + 2);
        memset(text, 'x', VARLINK_MESSAGE_MAX + 1);
        check_close(demo, text, VARLINK_MESSAGE_MAX);
}

static void test_pipeline(void **state)
{
        static const char calls[] =
                        "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":\"1\"}}\0"
                        "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":\"never\"},\"oneway\":true}\0"
                        "{\"method\":\"test.demo.None\",\"oneway\":true}\0"
                        "{\"method\":\"test.demo.Count\",\"oneway\":true,\"parameters\":{\"to\":1}}\0"
                        "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":2}}\0"
                        "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":3}}\0"
                        "{\"method\":\"test.demo.None\"}";
        struct demo *demo = *state;
        int fd = connect_to(demo);

        assert_true(send_bytes(demo, fd, calls, sizeof(calls)));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"1\"}}");
        expect_reply(demo, fd, "{\"parameters\":{\"n\":0},\"continues\":true}");
        expect_reply(demo, fd, "{\"parameters\":{\"n\":1},\"continues\":true}");
        expect_reply(demo, fd, "{\"parameters\":{\"last\":2}}");
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"xxx\"}}");
        expect_reply(demo, fd,
                        "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":"
                        "{\"method\":\"test.demo.None\"}}");
        expect_silence(demo, fd);
        close(fd);
}

/* Byte by byte, and several calls in one write. */
static void test_pieces(void **state)
{
        static const char call[] = ECHO("\"text\":\"a\"");
        struct demo *demo = *state;
        int fd = connect_to(demo);

        for (size_t i = 0; i + 1 < sizeof(call); i++) {
                assert_true(send_bytes(demo, fd, call + i, 1));
                expect_silence(demo, fd);
        }
        assert_true(send_bytes(demo, fd, "", 1));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        close(fd);
}

/* More calls than are answered at once, all in the buffer. */
static void test_many_calls(void **state)
{
        static const char call[] = ECHO("\"text\":\"a\"");
        struct demo *demo = *state;
        char calls[100 * sizeof(call)];
        int fd = connect_to(demo);

        for (size_t i = 0; i < 100; i++)
                memcpy(calls + i * sizeof(call), call, sizeof(call));
        assert_true(send_bytes(demo, fd, calls, sizeof(calls)));
        for (size_t i = 0; i < 100; i++)
                expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        expect_silence(demo, fd);
        close(fd);
}

/* Who sends no more still gets all answers; half a call at the end is none. */
static void test_half_closed(void **state)
{
        static const char calls[] = "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":1}}\0"
                                    "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":2}}\0{\"method";
        struct demo *demo = *state;
        int fd = connect_to(demo);

        assert_int_equal(send(fd, calls, sizeof(calls) - 1, 0), sizeof(calls) - 1);
        shutdown(fd, SHUT_WR);
        expect_reply(demo, fd, "{\"parameters\":{\"n\":0},\"continues\":true}");
        expect_reply(demo, fd, "{\"parameters\":{\"last\":1}}");
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"xx\"}}");
        expect_close(demo, fd);

        fd = connect_to(demo);
        assert_true(send_bytes(demo, fd, calls, 20));
        close(fd);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* A stream waits for its reader: nothing piles up. */
static void test_slow_stream(void **state)
{
        struct demo *demo = *state;
        int size = 1, fd = connect_to(demo), n = 0;
        bool closed;
        char *text;

        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        send_call(demo, fd, "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":100000}}");
        turn(demo);
        while (n < 20000 && (text = receive(demo, fd, &closed))) {
                char expected[64];

                snprintf(expected, sizeof(expected), "{\"parameters\":{\"n\":%d},\"continues\":true}", n++);
                assert_string_equal(text, expected);
                free(text);
                event_base_loop(demo->base, EVLOOP_NONBLOCK);
        }
        assert_int_equal(n, 20000);
        assert_int_equal(demo->ended, 0);
        close(fd);
        turn(demo);
        assert_int_equal(demo->ended, 1);
        assert_int_equal(varlink_clients(demo->server), 0);
}

static void test_watch(void **state)
{
        struct demo *demo = *state;
        int fd = connect_to(demo), pushed = 0, received = 0;
        bool closed;
        char *text;

        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        assert_non_null(demo->watcher);
        while (varlink_push(demo->watcher, json_pack("{si}", "n", pushed)) == 0)
                pushed++;
        /* Its backlog is full. What was pushed until then comes, and then there is room again. */
        assert_int_equal(varlink_push(demo->watcher, json_object()), -ENOBUFS);
        assert_true(pushed > 1000);
        for (turn(demo); (text = receive(demo, fd, &closed)); turn(demo)) {
                received++;
                free(text);
        }
        assert_int_equal(received, pushed);
        assert_true(demo->drained > 0);
        assert_int_equal(varlink_push(demo->watcher, json_object()), 0);
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        close(fd);
        turn(demo);
        assert_null(demo->watcher);

        /* Half closed: nobody would notice its end otherwise. */
        fd = connect_to(demo);
        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        shutdown(fd, SHUT_WR);
        expect_close(demo, fd);
        assert_null(demo->watcher);
}

/* Calls behind one that never ends are kept up to a message's size. */
static void test_watch_flooded(void **state)
{
        struct demo *demo = *state;
        char block[4096];
        int fd = connect_to(demo);

        memset(block, 'x', sizeof(block));
        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        for (size_t sent = 0; sent <= VARLINK_MESSAGE_MAX; sent += sizeof(block))
                if (!send_bytes(demo, fd, block, sizeof(block)))
                        break;
        turn(demo);
        assert_null(demo->watcher);
        assert_int_equal(varlink_clients(demo->server), 0);
        close(fd);
}

static void test_large_reply(void **state)
{
        struct demo *demo = *state;
        int fd = connect_to(demo);
        char *text, call[128];
        bool closed;

        snprintf(call, sizeof(call), "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":%d}}",
                        VARLINK_OUTPUT_MAX - 100);
        send_call(demo, fd, call);
        turn(demo);
        text = receive(demo, fd, &closed);
        assert_non_null(text);
        assert_int_equal(strlen(text), strlen("{\"parameters\":{\"text\":\"\"}}") + VARLINK_OUTPUT_MAX - 100);
        free(text);
        snprintf(call, sizeof(call), "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":%d}}", VARLINK_OUTPUT_MAX);
        send_call(demo, fd, call);
        expect_reply(demo, fd, "{\"error\":\"test.demo.TooLarge\",\"parameters\":{}}");
        close(fd);
}

/* Many calls with large answers, and nobody reads: only some are answered, and others are served meanwhile. */
static void test_stalled(void **state)
{
        static const char call[] = "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":100000}}";
        struct demo *demo = *state;
        int fd = connect_to(demo), other;
        size_t before, after;

        before = mallinfo2().uordblks + mallinfo2().hblkhd;
        for (int i = 0; i < 200; i++)
                assert_int_equal(send(fd, call, sizeof(call), 0), sizeof(call));
        turn(demo);
        after = mallinfo2().uordblks + mallinfo2().hblkhd;
        assert_true(after < before + 1024 * 1024);
        other = connect_to(demo);
        send_call(demo, other, ECHO("\"text\":\"a\""));
        expect_reply(demo, other, "{\"parameters\":{\"text\":\"a\"}}");
        close(other);
        close(fd);
}

static void test_limits(void **state)
{
        struct demo *demo = *state;
        struct rlimit limit = { 4096, 4096 };
        int fds[VARLINK_USER_CLIENTS_MAX], pair[2];

        setrlimit(RLIMIT_NOFILE, &limit);
        for (int i = 0; i < VARLINK_USER_CLIENTS_MAX; i++)
                fds[i] = connect_to(demo);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(varlink_serve_fd(demo->server, pair[1]), -EUSERS);
        assert_int_equal(read(pair[0], fds, 0), 0);
        close(pair[0]);
        assert_int_equal(varlink_clients(demo->server), VARLINK_USER_CLIENTS_MAX);
        /* One that leaves makes room. */
        close(fds[0]);
        turn(demo);
        fds[0] = connect_to(demo);
        for (int i = 0; i < VARLINK_USER_CLIENTS_MAX; i++)
                close(fds[i]);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

static int connect_path(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strcpy(address.sun_path, path);
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0)
                return fd;
        close(fd);
        return -errno;
}

static void test_listen(void **state)
{
        char directory[] = "/tmp/test-varlink-XXXXXX", path[64], stale[64];
        struct demo *demo = *state, other = {};
        struct stat st;
        int fd;

        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/socket", directory);
        other.base = event_base_new();
        assert_int_equal(varlink_server_new(other.base, &demo_info, &demo_interface, 1, &other, &other.server), 0);

        /* A file that is no socket is not touched. */
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        assert_int_equal(varlink_listen(demo->server, path, 0660, "no-such-group"), -EEXIST);
        unlink(path);

        assert_int_equal(varlink_listen(demo->server, path, 0660, "no-such-group"), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        fd = connect_path(path);
        assert_true(fd >= 0);
        turn(demo);
        send_call(demo, fd, ECHO("\"text\":\"a\""));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        close(fd);
        /* It is not taken from who listens there, and replaced when nobody does. */
        assert_int_equal(varlink_listen(other.server, path, 0600, NULL), -EADDRINUSE);
        turn(demo);
        snprintf(stale, sizeof(stale), "%s/stale", directory);
        assert_int_equal(link(path, stale), 0);
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(rename(stale, path), 0);
        assert_int_equal(connect_path(path), -ECONNREFUSED);
        assert_int_equal(varlink_listen(other.server, path, 0600, NULL), 0);
        fd = connect_path(path);
        assert_true(fd >= 0);
        close(fd);
        varlink_server_free(other.server);
        event_base_free(other.base);
        assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_service, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
                cmocka_unit_test_setup_teardown(test_members, setup, teardown),
                cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
                cmocka_unit_test_setup_teardown(test_excessive, setup, teardown),
                cmocka_unit_test_setup_teardown(test_length, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pipeline, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_calls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_slow_stream, setup, teardown),
                cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
                cmocka_unit_test_setup_teardown(test_watch_flooded, setup, teardown),
                cmocka_unit_test_setup_teardown(test_large_reply, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stalled, setup, teardown),
                cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
                cmocka_unit_test_setup_teardown(test_listen, setup, teardown),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
