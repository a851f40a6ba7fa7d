/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The protocol on socket pairs: a server with an interface for tests, driven in the same thread. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

#include "base/cleanup.h"
#include "base/log.h"
#include "loop.h"
#include "serve/varlink.h"

/* --- The interface ------------------------------------------------------------------------------------------------ */

struct demo {
        struct event_base *base;
        struct varlink_server *server;
        struct varlink_call *watcher; /* of the last Watch; NULL: it is over */
        struct varlink_call *later;   /* of the last Later */
        unsigned int streams, ended, drained;
        unsigned int calls; /* of Echo and Big */
};

static int echo(void *context, struct varlink_call *call, json_t *parameters)
{
        struct demo *demo = context;

        demo->calls++;
        return varlink_reply(call, json_incref(parameters), false);
}

/* An answer of so many bytes. */
static int big(void *context, struct varlink_call *call, json_t *parameters)
{
        size_t size = json_integer_value(json_object_get(parameters, "size"));
        _cleanup_free_ char *text = malloc(size + 1);
        struct demo *demo = context;
        int r;

        demo->calls++;
        assert_non_null(text);
        memset(text, 'x', size);
        text[size] = '\0';
        r = varlink_reply(call, json_pack("{ss}", "text", text), false);
        return r == -EMSGSIZE ? varlink_error(call, "test.demo.TooLarge", NULL) : r;
}

/* The same, given as text: an object of so many bytes. */
static int big_text(void *context, struct varlink_call *call, json_t *parameters)
{
        size_t size = json_integer_value(json_object_get(parameters, "size"));
        _cleanup_free_ char *text = malloc(size);
        int r;

        (void) context;
        assert_non_null(text);
        memset(text, ' ', size);
        text[0] = '{';
        text[size - 1] = '}';
        r = varlink_reply_text(call, text, size, false);
        return r == -EMSGSIZE ? varlink_error(call, "test.demo.TooLarge", NULL) : r;
}

/* What the method is told of its call. */
static int tell(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) context;
        (void) parameters;
        return varlink_reply(call,
                        json_pack("{sb sI}", "more", varlink_wants_more(call), "uid", (json_int_t) varlink_uid(call)),
                        false);
}

/* To this number Count cannot count. */
#define COUNT_FAILS 13

struct counter {
        struct demo *demo;
        int64_t now, to;
};

static int count_next(void *state, struct varlink_call *call)
{
        struct counter *counter = state;
        int64_t now = counter->now++;
        char text[64];

        if (counter->to == COUNT_FAILS)
                return -EIO;
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

/* Its answer comes later. */
static int later(void *context, struct varlink_call *call, json_t *parameters)
{
        struct demo *demo = context;
        int r = count(context, call, parameters);

        demo->later = call;
        varlink_suspend(call);
        return r;
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

/* Keeps the server busy for so many microseconds. */
static int work(void *context, struct varlink_call *call, json_t *parameters)
{
        struct demo *demo = context;

        demo->calls++;
        loop_clock_usec += json_integer_value(json_object_get(parameters, "size"));
        return varlink_reply(call, json_pack("{sI}", "uid", (json_int_t) varlink_uid(call)), false);
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
        { "Later", later, count_parameters },
        { "Watch", watch, .needs_more = true },
        { "Loose", watch },
        { "Text", big_text, big_parameters },
        { "Tell", tell },
        { "Work", work, big_parameters },
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
        loop_turn(demo->base);
}

/* With a @buffer of so many bytes for what the server sends. */
static int connect_with_buffer(struct demo *demo, int buffer)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
        assert_int_equal(varlink_serve_fd(demo->server, pair[1]), 0);
        assert_true(fcntl(pair[1], F_GETFL) & O_NONBLOCK);
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
        turn(demo);
        return pair[0];
}

static int connect_to(struct demo *demo)
{
        return connect_with_buffer(demo, 1 << 20);
}

/* What is not read stays with the server, as good as all of it. */
static int connect_narrow(struct demo *demo)
{
        return connect_with_buffer(demo, 1);
}

/* Sends all of it, however often the server must read meanwhile. Returns false if it has closed. */
static bool send_bytes(struct demo *demo, int fd, const char *bytes, size_t size)
{
        bool rested = false;

        while (size > 0) {
                ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        return false;
                if (n < 0 && rested)
                        fail_msg("the server leaves %zu bytes", size);
                rested = n < 0;
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

static char *receive(struct demo *demo, int fd, bool *closed)
{
        return loop_receive(demo->base, fd, closed);
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
        check_reply(*state, "{\"method\":\"org.varlink.service.GetInf\"}",
                        "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":"
                        "{\"method\":\"org.varlink.service.GetInf\"}}");
}

/* The protocol's own interface tells of itself as of any other. */
static void test_own_description(void **state)
{
        struct demo *demo = *state;
        int fd = connect_to(demo);
        char *text;
        json_t *reply;
        bool closed;

        send_call(demo, fd,
                        "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                        "{\"interface\":\"org.varlink.service\"}}");
        text = receive(demo, fd, &closed);
        assert_non_null(text);
        reply = json_loads(text, 0, NULL);
        free(text);
        assert_non_null(strstr(json_string_value(json_object_get(json_object_get(reply, "parameters"), "description")),
                        "\ninterface org.varlink.service\n"));
        json_decref(reply);
        close(fd);
}

/* Who calls, and whether several replies are welcome. */
static void test_tell(void **state)
{
        loop_peer = 4242;
        check_reply(*state, "{\"method\":\"test.demo.Tell\"}", "{\"parameters\":{\"more\":false,\"uid\":4242}}");
        loop_peer = 0;
        check_reply(*state, "{\"method\":\"test.demo.Tell\",\"more\":true}",
                        "{\"parameters\":{\"more\":true,\"uid\":0}}");
        loop_peer = (uid_t) -1;
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
        check_reply(*state,
                        "{\"method\":\"test.demo.Echo\",\"more\":null,\"oneway\":null,\"upgrade\":null,"
                        "\"com.example\":{\"more\":true},\"org.example.x\":null,\"parameters\":{\"text\":\"a\"}}",
                        "{\"parameters\":{\"text\":\"a\"}}");
        check_reply(*state, "{\"method\":\"test.demo.Count\",\"more\":null,\"parameters\":{\"to\":1}}",
                        "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
        check_reply(*state, "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":\"a\",\"com.example\":1}}",
                        INVALID("com.example"));
        check_reply(*state, "{\"method\":\"test.demo.Count\",\"parameters\":{\"to\":1}}",
                        "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
}

/* Of more and oneway only one can be meant: the method is not called. A stream that nobody listens to ends at once. */
static void test_oneway(void **state)
{
        struct demo *demo = *state;
        int fd = connect_to(demo);

        send_call(demo, fd,
                        "{\"method\":\"test.demo.Echo\",\"more\":true,\"oneway\":true,\"parameters\":{\"text\":\"a\"}"
                        "}");
        expect_silence(demo, fd);
        assert_int_equal(demo->calls, 0);
        send_call(demo, fd, "{\"method\":\"test.demo.Echo\",\"oneway\":true,\"parameters\":{\"text\":\"a\"}}");
        expect_silence(demo, fd);
        assert_int_equal(demo->calls, 1);
        send_call(demo, fd, "{\"method\":\"test.demo.Text\",\"oneway\":true,\"parameters\":{\"size\":2}}");
        expect_silence(demo, fd);
        send_call(demo, fd, "{\"method\":\"test.demo.Loose\",\"oneway\":true}");
        expect_silence(demo, fd);
        assert_int_equal(demo->streams, 1);
        assert_int_equal(demo->ended, 1);
        assert_null(demo->watcher);
        send_call(demo, fd, ECHO("\"text\":\"a\""));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        close(fd);
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

/* Whether @before, @count times @piece, and @after are excessive. */
static bool is_excessive(const char *before, const char *piece, size_t count, const char *after)
{
        size_t length = strlen(piece), size = 0;
        _cleanup_free_ char *text = malloc(strlen(before) + count * length + strlen(after) + 1);

        assert_non_null(text);
        size = (size_t) sprintf(text, "%s", before);
        for (size_t i = 0; i < count; i++, size += length)
                memcpy(text + size, piece, length);
        size += (size_t) sprintf(text + size, "%s", after);
        return varlink_is_excessive(text, size);
}

/* The bounds themselves, and what does not count. */
static void test_excessive_bounds(void **state)
{
        (void) state;
        assert_false(is_excessive("", "[", VARLINK_DEPTH_MAX, ""));
        assert_true(is_excessive("", "[", VARLINK_DEPTH_MAX + 1, ""));
        assert_false(is_excessive("", "{", VARLINK_DEPTH_MAX, ""));
        assert_true(is_excessive("", "{", VARLINK_DEPTH_MAX + 1, ""));
        /* What is closed is not deep any more, of either kind. */
        assert_false(is_excessive("", "[]", VARLINK_DEPTH_MAX + 1, ""));
        assert_false(is_excessive("", "{}", VARLINK_DEPTH_MAX + 1, ""));
        /* What was never opened does not make room. */
        assert_false(is_excessive("]", "[", VARLINK_DEPTH_MAX, ""));
        assert_true(is_excessive("]", "[", VARLINK_DEPTH_MAX + 1, ""));
        assert_false(is_excessive("[", "0,", VARLINK_VALUES_MAX - 1, ""));
        assert_true(is_excessive("[", "0,", VARLINK_VALUES_MAX, ""));
        assert_false(is_excessive("", "[]", VARLINK_VALUES_MAX, ""));
        assert_true(is_excessive("", "[]", VARLINK_VALUES_MAX + 1, ""));
        assert_false(is_excessive("", "{}", VARLINK_VALUES_MAX, ""));
        assert_true(is_excessive("", "{}", VARLINK_VALUES_MAX + 1, ""));
        /* A string is one value, whatever is in it; it ends at its quote. */
        assert_false(is_excessive("\"", ",", VARLINK_VALUES_MAX + 1, "\""));
        assert_false(is_excessive("\"\\\"", "[", VARLINK_DEPTH_MAX + 1, "\""));
        assert_true(is_excessive("\"\\\\\"", "[", VARLINK_DEPTH_MAX + 1, ""));
        assert_true(is_excessive("\"a\"", "[", VARLINK_DEPTH_MAX + 1, ""));
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

/* A long call in two pieces, and a shorter one with the second: it ends before the first piece of the long one did. */
static void test_long_then_short(void **state)
{
        static const char calls[] = ECHO("\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"") "\0" ECHO(
                        "\"text\":\"b\"");
        struct demo *demo = *state;
        int fd = connect_to(demo);

        assert_true(send_bytes(demo, fd, calls, 85));
        assert_true(send_bytes(demo, fd, calls + 85, sizeof(calls) - 85));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}");
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"b\"}}");
        close(fd);
}

/* What fails ends the connection: what is behind it in the buffer is not served. */
static void test_failed_in_pipeline(void **state)
{
        static const char calls[] = "{\"method\":\"test.demo.Fail\"}\0" ECHO("\"text\":\"a\"");
        static const char stream[] = "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":13}}";
        struct demo *demo = *state;

        check_close(demo, calls, sizeof(calls));
        assert_int_equal(demo->calls, 0);
        check_close(demo, stream, sizeof(stream));
        assert_int_equal(demo->ended, 1);
}

/*
 * One client's many calls do not hold up another's single one: in a turn of the loop each has a few of its calls
 * answered.
 */
static void test_fairness(void **state)
{
        static const char call[] = ECHO("\"text\":\"a\"");
        struct demo *demo = *state;
        char calls[100 * sizeof(call)];
        int greedy = connect_to(demo), modest = connect_to(demo), turns = 0;
        unsigned int before;
        bool closed;
        char *text = NULL;

        for (size_t i = 0; i < 100; i++)
                memcpy(calls + i * sizeof(call), call, sizeof(call));
        assert_int_equal(send(greedy, calls, sizeof(calls), 0), sizeof(calls));
        assert_int_equal(send(modest, call, sizeof(call), 0), sizeof(call));
        for (; !text && turns < 3; turns++) {
                before = demo->calls;
                event_base_loop(demo->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
                assert_in_range(demo->calls - before, 1, 5);
                text = receive(demo, modest, &closed);
        }
        assert_non_null(text);
        free(text);
        /* The rest follows, although nothing more comes of either. */
        turn(demo);
        assert_int_equal(demo->calls, 101);
        for (size_t i = 0; i < 100; i++)
                expect_reply(demo, greedy, "{\"parameters\":{\"text\":\"a\"}}");
        close(greedy);
        close(modest);
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
        int fd = connect_narrow(demo);
        bool closed;
        char *text;

        assert_int_equal(send(fd, calls, sizeof(calls) - 1, 0), sizeof(calls) - 1);
        shutdown(fd, SHUT_WR);
        expect_reply(demo, fd, "{\"parameters\":{\"n\":0},\"continues\":true}");
        expect_reply(demo, fd, "{\"parameters\":{\"last\":1}}");
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"xx\"}}");
        expect_close(demo, fd);

        /* However long they take. */
        fd = connect_narrow(demo);
        send_call(demo, fd, "{\"method\":\"test.demo.Text\",\"parameters\":{\"size\":1000000}}");
        shutdown(fd, SHUT_WR);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 1);
        text = receive(demo, fd, &closed);
        assert_non_null(text);
        assert_int_equal(strlen(text), strlen("{\"parameters\":}") + 1000000);
        free(text);
        expect_close(demo, fd);

        fd = connect_narrow(demo);
        assert_true(send_bytes(demo, fd, calls, 20));
        close(fd);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* A stream waits for its reader: nothing piles up. */
static void test_slow_stream(void **state)
{
        struct demo *demo = *state;
        int fd = connect_narrow(demo), n = 0;
        bool closed;
        char *text;

        send_call(demo, fd, "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":100000}}");
        turn(demo);
        while (n < 5000 && (text = receive(demo, fd, &closed))) {
                char expected[64];

                snprintf(expected, sizeof(expected), "{\"parameters\":{\"n\":%d},\"continues\":true}", n++);
                assert_string_equal(text, expected);
                free(text);
                event_base_loop(demo->base, EVLOOP_NONBLOCK);
        }
        assert_int_equal(n, 5000);
        assert_int_equal(demo->ended, 0);
        close(fd);
        turn(demo);
        assert_int_equal(demo->ended, 1);
        assert_int_equal(varlink_clients(demo->server), 0);
}

static void test_watch(void **state)
{
        struct demo *demo = *state;
        int fd = connect_narrow(demo), pushed = 0, received = 0;
        size_t size = 0, last = 0;
        bool closed;
        char *text;

        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        assert_non_null(demo->watcher);
        while (varlink_push(demo->watcher, json_pack("{si}", "n", pushed)) == 0) {
                size += last = snprintf(NULL, 0, "{\"parameters\":{\"n\":%d},\"continues\":true}", pushed) + 1;
                pushed++;
        }
        /* Its backlog is full, and was not before the last one. What was pushed until then comes. */
        assert_true(size >= VARLINK_BACKLOG_MAX);
        assert_true(size - last < VARLINK_BACKLOG_MAX);
        assert_int_equal(varlink_push(demo->watcher, json_object()), -ENOBUFS);
        demo->drained = 0;
        for (turn(demo); (text = receive(demo, fd, &closed)); turn(demo)) {
                char expected[64];

                snprintf(expected, sizeof(expected), "{\"parameters\":{\"n\":%d},\"continues\":true}", received++);
                assert_string_equal(text, expected);
                free(text);
                /* Not before it has taken all; the last bytes may wait in the socket. */
                if (received < pushed / 2)
                        assert_int_equal(demo->drained, 0);
        }
        assert_int_equal(received, pushed);
        assert_int_equal(demo->drained, 1);
        /* Then there is room again. */
        assert_int_equal(varlink_push(demo->watcher, json_object()), 0);
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        close(fd);
        turn(demo);
        assert_null(demo->watcher);

        /* Half closed: nobody would notice its end otherwise. */
        fd = connect_narrow(demo);
        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        shutdown(fd, SHUT_WR);
        expect_close(demo, fd);
        assert_null(demo->watcher);
}

/* Calls behind one that never ends are kept up to a message's size. */
static void test_watch_flooded(void **state)
{
        _cleanup_free_ char *block = malloc(VARLINK_MESSAGE_MAX);
        struct demo *demo = *state;
        int fd = connect_to(demo);

        assert_non_null(block);
        memset(block, 'x', VARLINK_MESSAGE_MAX);
        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        assert_true(send_bytes(demo, fd, block, VARLINK_MESSAGE_MAX));
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 1);
        assert_non_null(demo->watcher);
        send_bytes(demo, fd, block, 1);
        turn(demo);
        assert_null(demo->watcher);
        assert_int_equal(varlink_clients(demo->server), 0);
        close(fd);
}

/*
 * A client that sends on while it does not read: what is taken of it is bounded, and then the server rests instead of
 * looking at it again and again. When it reads, all is served.
 */
static void test_deaf(void **state)
{
        static const char start[] = "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":3000}}";
        struct demo *demo = *state;
        int fd = connect_narrow(demo), other;
        char expected[64], call[4096];
        size_t sent = 0;
        ssize_t n = 0;
        bool closed;

        memset(call, ' ', sizeof(call));
        memcpy(call, ECHO("\"text\":\"a\""), strlen(ECHO("\"text\":\"a\"")));
        call[sizeof(call) - 1] = '\0';
        send_call(demo, fd, start);
        while (sent < 4 * VARLINK_MESSAGE_MAX) {
                n = send(fd, call + sent % sizeof(call), sizeof(call) - sent % sizeof(call), MSG_NOSIGNAL);
                if (n < 0)
                        break;
                sent += n;
                turn(demo);
        }
        assert_in_range(sent, VARLINK_MESSAGE_MAX, 2 * VARLINK_MESSAGE_MAX);
        assert_int_equal(demo->calls, 0);
        /* Others are served. */
        other = connect_to(demo);
        send_call(demo, other, ECHO("\"text\":\"a\""));
        expect_reply(demo, other, "{\"parameters\":{\"text\":\"a\"}}");
        close(other);

        for (int i = 0; i < 3000; i++) {
                snprintf(expected, sizeof(expected), "{\"parameters\":{\"n\":%d},\"continues\":true}", i);
                expect_reply(demo, fd, expected);
        }
        expect_reply(demo, fd, "{\"parameters\":{\"last\":3000}}");
        for (size_t i = 0; i < sent / sizeof(call); i++)
                expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        assert_null(receive(demo, fd, &closed));
        /* It is read from again. */
        assert_true(send_bytes(demo, fd, call + sent % sizeof(call), sizeof(call) - sent % sizeof(call)));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        expect_silence(demo, fd);
        close(fd);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* It says nothing more, and is gone: that is noticed though nothing of it was read for long. */
static void test_deaf_ends(void **state)
{
        struct demo *demo = *state;
        int fd = connect_narrow(demo);
        char block[4096];

        memset(block, 'x', sizeof(block));
        send_call(demo, fd, "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":100000}}");
        while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
                turn(demo);
        close(fd);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
        assert_int_equal(demo->ended, 1);
}

/* The answer to @method, asked for @size bytes, has @length in all; 0: it is TooLarge. */
static void check_size(struct demo *demo, int fd, const char *method, size_t size, size_t length)
{
        _cleanup_free_ char *text = NULL;
        char call[128];
        bool closed;

        snprintf(call, sizeof(call), "{\"method\":\"test.demo.%s\",\"parameters\":{\"size\":%zu}}", method, size);
        send_call(demo, fd, call);
        text = receive(demo, fd, &closed);
        assert_non_null(text);
        if (length > 0)
                assert_int_equal(strlen(text), length);
        else
                assert_string_equal(text, "{\"error\":\"test.demo.TooLarge\",\"parameters\":{}}");
}

/* The largest reply there may be, and one byte more, made in both ways. */
static void test_large_reply(void **state)
{
        const size_t around = strlen("{\"parameters\":}"), empty = strlen("{\"text\":\"\"}");
        struct demo *demo = *state;
        int fd = connect_to(demo);

        check_size(demo, fd, "Big", VARLINK_OUTPUT_MAX - empty, VARLINK_OUTPUT_MAX + around);
        check_size(demo, fd, "Big", VARLINK_OUTPUT_MAX - empty + 1, 0);
        check_size(demo, fd, "Text", VARLINK_OUTPUT_MAX, VARLINK_OUTPUT_MAX + around);
        check_size(demo, fd, "Text", VARLINK_OUTPUT_MAX + 1, 0);
        /* Around what is tried at first. */
        for (size_t size = 4096 - 32; size < 4096 + 32; size++)
                check_size(demo, fd, "Big", size, size + empty + around);
        close(fd);
}

/* What waits already counts. */
static void test_large_behind(void **state)
{
        static const char *const methods[] = { "Big", "Text" };
        struct demo *demo = *state;

        for (size_t i = 0; i < 2; i++) {
                int fd = connect_narrow(demo);
                char call[128];

                send_call(demo, fd, "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":60000}}");
                snprintf(call, sizeof(call), "{\"method\":\"test.demo.%s\",\"parameters\":{\"size\":%d}}", methods[i],
                                VARLINK_OUTPUT_MAX - 50000);
                send_call(demo, fd, call);
                for (int n = 0; n < 2; n++) {
                        bool closed;
                        char *text = receive(demo, fd, &closed);

                        assert_non_null(text);
                        if (n > 0)
                                assert_string_equal(text, "{\"error\":\"test.demo.TooLarge\",\"parameters\":{}}");
                        free(text);
                }
                close(fd);
        }
}

/* Many calls with large answers, and nobody reads: only some are answered, and others are served meanwhile. */
static void test_stalled(void **state)
{
        static const char call[] = "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":30000}}";
        struct demo *demo = *state;
        int fd = connect_narrow(demo), other;
        bool closed;

        for (int i = 0; i < 200; i++)
                assert_int_equal(send(fd, call, sizeof(call), 0), sizeof(call));
        turn(demo);
        /* Two are less than the 64 KiB that may wait before the next one does, three are more. */
        assert_int_equal(demo->calls, 3);
        other = connect_narrow(demo);
        send_call(demo, other, ECHO("\"text\":\"a\""));
        expect_reply(demo, other, "{\"parameters\":{\"text\":\"a\"}}");
        close(other);
        for (int i = 0; i < 200; i++) {
                char *text = receive(demo, fd, &closed);

                assert_non_null(text);
                free(text);
                turn(demo);
                assert_true(demo->calls <= (unsigned int) i + 6);
        }
        assert_int_equal(demo->calls, 201);
        close(fd);
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

#define STALL_USEC (VARLINK_STALL_SEC * 1000000ULL)

/* Half a call has so much time and no more; a whole one, or nothing at all, has any. */
static void test_half_call_stalls(void **state)
{
        static const char call[] = ECHO("\"text\":\"a\"");
        struct demo *demo = *state;
        int fd = connect_to(demo);

        loop_sleep(demo->base, 10 * STALL_USEC);
        expect_silence(demo, fd);
        assert_true(send_bytes(demo, fd, call, 10));
        loop_sleep(demo->base, STALL_USEC - 1000);
        expect_silence(demo, fd);
        /* It is in time, and so is the next one an hour later. */
        assert_true(send_bytes(demo, fd, call + 10, sizeof(call) - 10));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        loop_sleep(demo->base, 60 * STALL_USEC);
        send_call(demo, fd, call);
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        /* Half a call behind a whole one. */
        assert_true(send_bytes(demo, fd, call, sizeof(call)));
        assert_true(send_bytes(demo, fd, call, 10));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        loop_sleep(demo->base, STALL_USEC - 1000);
        expect_silence(demo, fd);
        loop_sleep(demo->base, 2000);
        expect_close(demo, fd);
}

/* Behind a stream half a call may wait as long as the stream runs; its time begins then. */
static void test_half_call_behind_stream(void **state)
{
        struct demo *demo = *state;
        int fd = connect_to(demo);

        send_call(demo, fd, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        assert_true(send_bytes(demo, fd, "{", 1));
        loop_sleep(demo->base, 10 * STALL_USEC);
        assert_int_equal(varlink_push(demo->watcher, json_object()), 0);
        expect_reply(demo, fd, "{\"parameters\":{},\"continues\":true}");
        close(fd);
        turn(demo);

        fd = connect_to(demo);
        send_call(demo, fd, "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":0}}");
        assert_true(send_bytes(demo, fd, "{", 1));
        expect_reply(demo, fd, "{\"parameters\":{\"last\":0}}");
        loop_sleep(demo->base, STALL_USEC + 1000);
        expect_close(demo, fd);
}

/* Who takes nothing of a reply has so much time; who takes some of it, again. */
static void test_reader_stalls(void **state)
{
        static const char call[] = "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":1000000}}";
        struct demo *demo = *state;
        int slow = connect_narrow(demo), stalled = connect_narrow(demo);
        char some[4096];

        send_call(demo, slow, call);
        send_call(demo, stalled, call);
        for (int i = 0; i < 10; i++) {
                loop_sleep(demo->base, STALL_USEC - 1000);
                assert_int_equal(varlink_clients(demo->server), i == 0 ? 2 : 1);
                while (recv(slow, some, sizeof(some), 0) > 0)
                        ;
                assert_int_equal(errno, EAGAIN);
                turn(demo);
        }
        loop_sleep(demo->base, STALL_USEC + 1000);
        assert_int_equal(varlink_clients(demo->server), 0);
        /* What the kernel has is still to be read, and then it is over. */
        while (recv(stalled, some, sizeof(some), 0) > 0)
                ;
        assert_int_equal(recv(stalled, some, sizeof(some), 0), 0);
        close(stalled);
        close(slow);
}

/* A stream ends with its reader. */
static void test_stream_stalls(void **state)
{
        struct demo *demo = *state;
        int fd = connect_narrow(demo);

        send_call(demo, fd, "{\"method\":\"test.demo.Count\",\"more\":true,\"parameters\":{\"to\":1000000}}");
        loop_sleep(demo->base, STALL_USEC - 1000);
        assert_int_equal(varlink_clients(demo->server), 1);
        loop_sleep(demo->base, 2000);
        assert_int_equal(varlink_clients(demo->server), 0);
        assert_int_equal(demo->ended, 1);
        close(fd);
}

/* A call that waits for something else is left alone, and costs nothing, until it is resumed; others are served. */
static void test_suspended(void **state)
{
        struct demo *demo = *state;
        int fd = connect_narrow(demo), other = connect_narrow(demo);
        bool closed;

        send_call(demo, fd, "{\"method\":\"test.demo.Later\",\"parameters\":{\"to\":0}}");
        loop_sleep(demo->base, 10 * STALL_USEC);
        assert_null(receive(demo, fd, &closed));
        assert_false(closed);
        send_call(demo, other, "{\"method\":\"test.demo.Echo\",\"parameters\":{\"text\":\"a\"}}");
        expect_reply(demo, other, "{\"parameters\":{\"text\":\"a\"}}");
        varlink_resume(demo->later);
        expect_reply(demo, fd, "{\"parameters\":{\"last\":0}}");
        assert_int_equal(demo->ended, 1);
        /* The client may go meanwhile: then its stream ends when there is an answer, or with the connection. */
        send_call(demo, fd, "{\"method\":\"test.demo.Later\",\"parameters\":{\"to\":0}}");
        close(fd);
        loop_turn(demo->base);
        if (demo->ended == 1)
                varlink_resume(demo->later);
        loop_turn(demo->base);
        assert_int_equal(demo->ended, 2);
        assert_int_equal(varlink_clients(demo->server), 1);
        close(other);
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

/* One more is not served, and closed. */
static void expect_full(struct demo *demo)
{
        int pair[2];
        char byte;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(varlink_serve_fd(demo->server, pair[1]), -EUSERS);
        assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
        close(pair[0]);
}

/* So many of a user, and so many of all. */
static void test_limits(void **state)
{
        struct demo *demo = *state;
        struct rlimit limit;
        int fds[VARLINK_CLIENTS_MAX], pipes[2];

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        if (limit.rlim_cur < 4096) {
                limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        assert_int_equal(VARLINK_CLIENTS_MAX % VARLINK_USER_CLIENTS_MAX, 0);
        for (int i = 0; i < VARLINK_CLIENTS_MAX; i++) {
                loop_peer = 1000 + i / VARLINK_USER_CLIENTS_MAX;
                fds[i] = connect_to(demo);
                if (i % VARLINK_USER_CLIENTS_MAX == VARLINK_USER_CLIENTS_MAX - 1)
                        expect_full(demo);
        }
        assert_int_equal(varlink_clients(demo->server), VARLINK_CLIENTS_MAX);
        loop_peer = 2000;
        expect_full(demo);
        /* One that leaves makes room, for its user and for any. */
        close(fds[0]);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), VARLINK_CLIENTS_MAX - 1);
        loop_peer = 1001;
        expect_full(demo);
        loop_peer = 1000;
        fds[0] = connect_to(demo);
        loop_peer = 2000;
        expect_full(demo);
        for (int i = 0; i < VARLINK_CLIENTS_MAX; i++)
                close(fds[i]);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
        loop_peer = (uid_t) -1;

        /* Whose it is must be known. */
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(varlink_serve_fd(demo->server, pipes[1]), -ENOTSOCK);
        assert_int_equal(read(pipes[0], pipes, 1), 0);
        close(pipes[0]);
}

/* What is open when the server ends is closed. */
static void test_end(void **state)
{
        struct demo *demo = *state;
        int idle = connect_to(demo), watching = connect_to(demo);
        char byte;

        send_call(demo, watching, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, watching, "{\"parameters\":{},\"continues\":true}");
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(demo->ended, 1);
        /* libevent closes in the next turn. */
        turn(demo);
        assert_int_equal(recv(idle, &byte, 1, 0), 0);
        assert_int_equal(recv(watching, &byte, 1, 0), 0);
        close(idle);
        close(watching);
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

/* A directory for sockets, and in @path the name of one there. */
static void make_directory(char directory[32], char path[64])
{
        strcpy(directory, "/tmp/test-varlink-XXXXXX");
        assert_non_null(mkdtemp(directory));
        snprintf(path, 64, "%s/socket", directory);
}

static void expect_served(struct demo *demo, const char *path)
{
        int fd = connect_path(path);

        assert_true(fd >= 0);
        send_call(demo, fd, ECHO("\"text\":\"a\""));
        expect_reply(demo, fd, "{\"parameters\":{\"text\":\"a\"}}");
        close(fd);
        turn(demo);
}

static void test_listen(void **state)
{
        char directory[32], path[64], stale[72];
        struct demo *demo = *state, other = {};
        mode_t mask = umask(022);
        struct stat st;

        make_directory(directory, path);
        other.base = event_base_new();
        assert_int_equal(varlink_server_new(other.base, &demo_info, &demo_interface, 1, &other, &other.server), 0);

        /* A file that is no socket is not touched, nor is a link. */
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        assert_int_equal(varlink_listen(demo->server, path, 0660, "no-such-group"), -EEXIST);
        unlink(path);
        assert_int_equal(symlink("elsewhere", path), 0);
        assert_int_equal(varlink_listen(demo->server, path, 0660, NULL), -EEXIST);
        unlink(path);

        /* What a crash has left beside it is replaced. */
        snprintf(stale, sizeof(stale), "%s.new", path);
        close(open(stale, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        assert_int_equal(varlink_listen(demo->server, path, 0660, "no-such-group"), 0);
        assert_int_equal(access(stale, F_OK), -1);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        assert_int_equal(umask(mask), 022);
        expect_served(demo, path);
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
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFSOCK | 0600);
        expect_served(&other, path);
        varlink_server_free(other.server);
        event_base_free(other.base);
        assert_int_equal(rmdir(directory), 0);
}

/* One that is busy, so that its queue is full, is alive, too. */
static void test_listen_busy(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting;
        char directory[32];
        struct demo *demo = *state;

        make_directory(directory, address.sun_path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 0), 0);
        waiting = connect_path(address.sun_path);
        assert_true(waiting >= 0);
        assert_int_equal(connect_path(address.sun_path), -EAGAIN);
        assert_int_equal(varlink_listen(demo->server, address.sun_path, 0600, NULL), -EADDRINUSE);
        close(waiting);
        close(fd);
        unlink(address.sun_path);
        assert_int_equal(rmdir(directory), 0);
}

/* A successor listens there already: its socket is not taken away. */
static void test_successor(void **state)
{
        char directory[32], path[64], aside[64];
        struct demo *demo = *state, other = {};

        make_directory(directory, path);
        other.base = event_base_new();
        assert_int_equal(varlink_server_new(other.base, &demo_info, &demo_interface, 1, &other, &other.server), 0);
        assert_int_equal(varlink_listen(demo->server, path, 0600, NULL), 0);
        snprintf(aside, sizeof(aside), "%s/aside", directory);
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(varlink_listen(other.server, path, 0600, NULL), 0);
        varlink_server_free(demo->server);
        demo->server = NULL;
        expect_served(&other, path);
        varlink_server_free(other.server);
        event_base_free(other.base);
        assert_int_equal(unlink(aside), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* A path for which there is room just so, and one that is a byte too long; and places where nothing can be. */
static void test_listen_where(void **state)
{
        char directory[32], path[256], full[64];
        const size_t room = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1 - strlen(".new");
        struct demo *demo = *state;

        make_directory(directory, full);
        snprintf(path, sizeof(path), "%s/", directory);
        memset(path + strlen(path), 'x', sizeof(path) - strlen(path));
        path[room + 1] = '\0';
        assert_int_equal(varlink_listen(demo->server, path, 0600, NULL), -ENAMETOOLONG);
        path[room] = '\0';
        assert_int_equal(varlink_listen(demo->server, path, 0600, NULL), 0);
        expect_served(demo, path);
        snprintf(path, sizeof(path), "%s/none/socket", directory);
        assert_int_equal(varlink_listen(demo->server, path, 0600, NULL), -ENOENT);
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(rmdir(directory), 0);
}

/* The group gets the socket, if there is one of that name; only root can give it away. */
static void test_listen_group(void **state)
{
        char directory[32], path[64];
        struct demo *demo = *state;
        const struct group *group;
        struct stat st;

        setgrent();
        while ((group = getgrent()) && group->gr_gid == getgid())
                ;
        if (getuid() != 0 || !group)
                skip();
        make_directory(directory, path);
        assert_int_equal(varlink_listen(demo->server, path, 0660, group->gr_name), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, 0);
        assert_int_equal(st.st_gid, group->gr_gid);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        endgrent();
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(rmdir(directory), 0);
}

/* A socket that was passed is served, and stays in the file system. Connections are not inherited. */
static void test_listen_fd(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client, accepted;
        char directory[32];
        struct demo *demo = *state;

        make_directory(directory, address.sun_path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 5), 0);
        assert_int_equal(varlink_listen_fd(demo->server, -1), -EBADF);
        assert_int_equal(varlink_listen_fd(demo->server, fd), 0);
        client = connect_path(address.sun_path);
        assert_true(client >= 0);
        /* It gets the lowest number that is free. */
        accepted = dup(client);
        close(accepted);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 1);
        assert_int_equal(fcntl(accepted, F_GETFD), FD_CLOEXEC);
        assert_true(fcntl(accepted, F_GETFL) & O_NONBLOCK);
        close(client);
        expect_served(demo, address.sun_path);
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(connect_path(address.sun_path), -ECONNREFUSED);
        assert_int_equal(unlink(address.sun_path), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* Without a file descriptor for it a connection waits, and the server rests meanwhile. */
static void test_no_descriptors(void **state)
{
        char directory[32], path[64];
        struct demo *demo = *state;
        struct rlimit before, limit;
        int client, next;

        make_directory(directory, path);
        assert_int_equal(varlink_listen(demo->server, path, 0600, NULL), 0);
        client = connect_path(path);
        assert_true(client >= 0);
        next = dup(client);
        close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = (struct rlimit){ next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        turn(demo);
        loop_sleep(demo->base, 5000000);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(varlink_clients(demo->server), 0);
        loop_sleep(demo->base, 1000000);
        assert_int_equal(varlink_clients(demo->server), 1);
        close(client);
        expect_served(demo, path);
        varlink_server_free(demo->server);
        demo->server = NULL;
        assert_int_equal(rmdir(directory), 0);
}

/* --- Users -------------------------------------------------------------------------------------------------------- */

#define MALICE  4242 /* a user */
#define HONEST  4243 /* another one */
#define WORK    "{\"method\":\"test.demo.Work\",\"parameters\":{\"size\":%d}}"
#define WORK_OF "{\"parameters\":{\"uid\":%d}}"

static int connect_as(struct demo *demo, uid_t uid)
{
        int fd;

        loop_peer = uid;
        fd = connect_to(demo);
        loop_peer = (uid_t) -1;
        return fd;
}

/* One that leaves unread what comes. */
static int connect_narrow_as(struct demo *demo, uid_t uid)
{
        int fd;

        loop_peer = uid;
        fd = connect_narrow(demo);
        loop_peer = (uid_t) -1;
        return fd;
}

/* Sends @count calls that take @usec each, and gives the server no turn. */
static void send_work(int fd, int usec, int count)
{
        char call[128];

        snprintf(call, sizeof(call), WORK, usec);
        for (int i = 0; i < count; i++)
                assert_int_equal(send(fd, call, strlen(call) + 1, MSG_NOSIGNAL), strlen(call) + 1);
}

/* How many replies there are at @fd. */
static int count_replies(int fd)
{
        char text[65536];
        int count = 0;
        ssize_t n;

        while ((n = recv(fd, text, sizeof(text), 0)) > 0)
                for (ssize_t i = 0; i < n; i++)
                        count += text[i] == '\0';
        return count;
}

/* However many connections others have, root's get in, up to as many as anybody may have. */
static void test_root_gets_in(void **state)
{
        struct demo *demo = *state;
        int fds[VARLINK_CLIENTS_MAX], roots[VARLINK_USER_CLIENTS_MAX];

        for (int i = 0; i < VARLINK_CLIENTS_MAX; i++)
                fds[i] = connect_as(demo, 1000 + i / VARLINK_USER_CLIENTS_MAX);
        for (int i = 0; i < VARLINK_USER_CLIENTS_MAX; i++)
                roots[i] = connect_as(demo, 0);
        loop_peer = 0;
        expect_full(demo);
        loop_peer = 2000;
        expect_full(demo);
        loop_peer = (uid_t) -1;
        send_call(demo, roots[VARLINK_USER_CLIENTS_MAX - 1], ECHO("\"text\":\"a\""));
        expect_reply(demo, roots[VARLINK_USER_CLIENTS_MAX - 1], "{\"parameters\":{\"text\":\"a\"}}");
        for (int i = 0; i < VARLINK_USER_CLIENTS_MAX; i++)
                close(roots[i]);
        /* Root's leave no room for others. */
        turn(demo);
        loop_peer = 2000;
        expect_full(demo);
        loop_peer = (uid_t) -1;
        for (int i = 0; i < VARLINK_CLIENTS_MAX; i++)
                close(fds[i]);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* Users take turns, not connections: one of many does not wait for all of another one's. */
static void test_users_take_turns(void **state)
{
        struct demo *demo = *state;
        int many[40], one;

        for (int i = 0; i < 40; i++)
                many[i] = connect_as(demo, MALICE);
        one = connect_as(demo, HONEST);
        for (int i = 0; i < 40; i++)
                send_work(many[i], 0, 3);
        send_work(one, 0, 3);
        /* Four in a turn of the loop, two of them each one's, which are sent in the next. */
        for (int i = 0; i < 4; i++)
                event_base_loop(demo->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        assert_true(demo->calls <= 4 * 4);
        assert_int_equal(count_replies(one), 3);
        turn(demo);
        assert_int_equal(demo->calls, 123);
        for (int i = 0; i < 40; i++) {
                assert_int_equal(count_replies(many[i]), 3);
                close(many[i]);
        }
        close(one);
}

/* Who asks as fast as it can has a quarter of the time, all have half of it, and root what it wants. */
static void test_rate(void **state)
{
        struct demo *demo = *state;
        int greedy = connect_as(demo, MALICE), other = connect_as(demo, HONEST), root = connect_as(demo, 0);
        uint64_t start;
        int served;

        /* The share of a second at once, and the one that was begun. */
        send_work(greedy, 50000, 100);
        turn(demo);
        assert_in_range(demo->calls, 6, 8);
        send_work(other, 1000, 1);
        turn(demo);
        assert_int_equal(count_replies(other), 1);
        send_work(root, 1000, 20);
        turn(demo);
        assert_int_equal(count_replies(root), 20);

        demo->calls = 0;
        start = loop_clock_usec;
        while (loop_clock_usec - start < 10 * 1000 * 1000)
                loop_sleep(demo->base, 1000);
        assert_in_range(demo->calls * 50000, 10 * 1000 * 1000 / 4 - 100000, 10 * 1000 * 1000 / 4 + 100000);

        /* It is no use to come again, or with more connections. */
        close(greedy);
        turn(demo);
        loop_sleep(demo->base, 1000);
        demo->calls = 0;
        start = loop_clock_usec;
        for (int i = 0; i < 20; i++) {
                greedy = connect_as(demo, MALICE);
                send_work(greedy, 50000, 1);
                loop_sleep(demo->base, 50000);
                close(greedy);
        }
        served = demo->calls;
        assert_true(served * 50000ULL <= (loop_clock_usec - start) / 4 + 100000);

        loop_sleep(demo->base, 5 * 1000 * 1000);
        demo->calls = 0;
        start = loop_clock_usec;
        for (int i = 0; i < 10; i++) {
                greedy = connect_as(demo, MALICE + 10);
                send_work(greedy, 50000, 2);
                turn(demo);
                close(greedy);
                turn(demo);
        }
        assert_in_range(demo->calls, 5, 7 + (loop_clock_usec - start) / 4 / 50000);

        /* Nor as several users. */
        demo->calls = 0;
        start = loop_clock_usec;
        for (int i = 0; i < 8; i++)
                send_work(connect_as(demo, 5000 + i), 50000, 100);
        while (loop_clock_usec - start < 10 * 1000 * 1000)
                loop_sleep(demo->base, 1000);
        assert_in_range(demo->calls * 50000, 10 * 1000 * 1000 / 2 - 200000, 10 * 1000 * 1000 / 2 + 700000);
        send_work(root, 1000, 1);
        turn(demo);
        assert_int_equal(count_replies(root), 1);
        close(other);
        close(root);
}

/* Root asks one thing after the other: who has asked much does not come in between, unless it would be for long. */
static void test_root_at_once(void **state)
{
        struct demo *demo = *state;
        int greedy = connect_as(demo, MALICE), more = connect_as(demo, MALICE), root = connect_as(demo, 0);

        send_work(greedy, 1000, 200);
        send_work(more, 1000, 200);
        turn(demo);
        loop_sleep(demo->base, 100000);
        demo->calls = 0;
        for (int i = 0; i < 20; i++) {
                send_work(root, 100, 1);
                loop_sleep(demo->base, 2000);
                assert_int_equal(count_replies(root), 1);
        }
        assert_int_equal(demo->calls, 20);
        for (int i = 0; i < 200; i++) {
                send_work(root, 100, 1);
                loop_sleep(demo->base, 2000);
                assert_int_equal(count_replies(root), 1);
        }
        assert_in_range(demo->calls - 220, 3, 20);
        close(more);
        close(greedy);
        close(root);
}

static bool is_closed(int fd)
{
        char text[65536];
        ssize_t n;

        while ((n = recv(fd, text, sizeof(text), 0)) > 0)
                ;
        return n == 0 || errno == ECONNRESET;
}

/* What all leave unread is bounded: the user who leaves most pays for it, not one who leaves less, nor root. */
static void test_unread(void **state)
{
        static const char large[] = "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":1000000}}";
        static const char small[] = "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":500000}}";
        const int room = (VARLINK_HELD_MAX - 1000000) / 500000;
        struct demo *demo = *state;
        int many[40], one = connect_narrow_as(demo, HONEST), root = connect_narrow_as(demo, 0), closed = 0;

        send_call(demo, root, large);
        send_call(demo, one, large);
        for (int i = 0; i < 40; i++) {
                many[i] = connect_narrow_as(demo, MALICE);
                send_call(demo, many[i], small);
        }
        turn(demo);
        assert_in_range(varlink_clients(demo->server), 2 + room - 1, 2 + room + 1);
        assert_false(is_closed(one));
        assert_false(is_closed(root));
        for (int i = 0; i < 40; i++) {
                closed += is_closed(many[i]);
                close(many[i]);
        }
        assert_in_range(closed, 40 - room - 1, 40 - room + 1);
        close(one);
        close(root);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* The same for calls that do not end. */
static void test_half_calls(void **state)
{
        _cleanup_free_ char *half = malloc(1000000);
        struct demo *demo = *state;
        int many[40];

        assert_non_null(half);
        memset(half, 'x', 1000000);
        for (int i = 0; i < 40; i++) {
                many[i] = connect_narrow_as(demo, MALICE);
                send_bytes(demo, many[i], half, 1000000);
        }
        turn(demo);
        assert_in_range(varlink_clients(demo->server), 1, VARLINK_HELD_MAX / 1000000);
        for (int i = 0; i < 40; i++)
                close(many[i]);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* And for what is pushed: a subscriber that reads misses nothing. */
static void test_unread_pushed(void **state)
{
        struct demo *demo = *state;
        int fds[60], reader;
        struct varlink_call *watchers[60];

        for (int i = 0; i < 60; i++) {
                fds[i] = connect_narrow_as(demo, MALICE);
                send_call(demo, fds[i], "{\"method\":\"test.demo.Watch\",\"more\":true}");
                watchers[i] = demo->watcher;
        }
        reader = connect_narrow_as(demo, HONEST);
        send_call(demo, reader, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        expect_reply(demo, reader, "{\"parameters\":{},\"continues\":true}");
        /* None of them is asked after it was disconnected: that happens in the next turn. */
        for (int n = 0; n < 3000; n++, loop_clock_usec += 3000) {
                for (int i = 0; i < 60; i++)
                        varlink_push(watchers[i], json_pack("{ss}", "text",
                                                                  "0123456789012345678901234567890123456789"
                                                                  "0123456789012345678901234567890123456789"));
                if (n % 100 == 0)
                        assert_int_equal(varlink_push(demo->watcher, json_object()), 0);
        }
        turn(demo);
        assert_in_range(varlink_clients(demo->server), VARLINK_HELD_MAX / VARLINK_BACKLOG_MAX - 1,
                        VARLINK_HELD_MAX / VARLINK_BACKLOG_MAX + 2);
        assert_int_equal(count_replies(reader), 30);
        for (int i = 0; i < 60; i++)
                close(fds[i]);
        close(reader);
        turn(demo);
        assert_int_equal(varlink_clients(demo->server), 0);
}

/* Many subscribers take time, too: events are lost to a user who has many, and to nobody else. */
static void test_many_pushed(void **state)
{
        struct varlink_call *watchers[64], *watcher, *roots;
        struct demo *demo = *state;
        unsigned int pushed = 0;
        int fds[66];

        for (int i = 0; i < 66; i++) {
                fds[i] = connect_as(demo, i < 64 ? MALICE : i == 64 ? HONEST : 0);
                send_call(demo, fds[i], "{\"method\":\"test.demo.Watch\",\"more\":true}");
                *(i < 64 ? &watchers[i] : i == 64 ? &watcher : &roots) = demo->watcher;
        }
        /* A thousand events in a second. */
        for (int n = 0; n < 3000; n++, loop_sleep(demo->base, 1000)) {
                for (int i = 0; i < 64; i++) {
                        pushed += varlink_push(watchers[i], json_object()) == 0;
                        count_replies(fds[i]);
                }
                assert_int_equal(varlink_push(watcher, json_object()), 0);
                assert_int_equal(varlink_push(roots, json_object()), 0);
                count_replies(fds[64]);
                count_replies(fds[65]);
        }
        /* A quarter of three seconds and of the one before, at ten microseconds. */
        assert_in_range(pushed, 75000, 100000);
        for (int i = 0; i < 66; i++)
                close(fds[i]);
        turn(demo);
}

/* The state of a stream counts as well; one that is alone may have any. */
static void test_state(void **state)
{
        struct demo *demo = *state;
        int alone = connect_narrow_as(demo, MALICE), other;

        send_call(demo, alone, "{\"method\":\"test.demo.Watch\",\"more\":true}");
        varlink_stream_holds(demo->watcher, 2 * VARLINK_HELD_MAX);
        assert_int_equal(varlink_push(demo->watcher, json_object()), 0);
        turn(demo);
        assert_false(is_closed(alone));
        other = connect_narrow_as(demo, HONEST);
        send_call(demo, other, "{\"method\":\"test.demo.Big\",\"parameters\":{\"size\":100000}}");
        turn(demo);
        assert_true(is_closed(alone));
        assert_false(is_closed(other));
        close(alone);
        close(other);
}

/* Whoever connects on and on keeps neither the loop from the others, nor root behind thousands in the queue. */
static void test_many_connect(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[200], count = 0;
        struct demo *demo = *state;
        int other = connect_as(demo, 0);
        char directory[32], byte;

        make_directory(directory, address.sun_path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 4096), 0);
        assert_int_equal(varlink_listen_fd(demo->server, fd), 0);
        while (count < 200 && (fds[count] = connect_path(address.sun_path)) >= 0)
                count++;
        assert_int_equal(count, 65);
        send_work(other, 0, 1);
        loop_peer = MALICE;
        event_base_loop(demo->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        assert_int_equal(varlink_clients(demo->server), 64 + 1);
        assert_int_equal(recv(fds[count - 1], &byte, 1, MSG_PEEK), -1);
        event_base_loop(demo->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        assert_int_equal(count_replies(other), 1);
        turn(demo);
        loop_peer = (uid_t) -1;
        assert_true(is_closed(fds[count - 1]));
        while (count > 0)
                close(fds[--count]);
        close(other);
        turn(demo);
        unlink(address.sun_path);
        assert_int_equal(rmdir(directory), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_service),
                TEST(test_own_description),
                TEST(test_tell),
                TEST(test_unknown),
                TEST(test_parameters),
                TEST(test_members),
                TEST(test_oneway),
                TEST(test_garbage),
                TEST(test_excessive),
                TEST(test_excessive_bounds),
                TEST(test_length),
                TEST(test_pipeline),
                TEST(test_pieces),
                TEST(test_long_then_short),
                TEST(test_failed_in_pipeline),
                TEST(test_fairness),
                TEST(test_many_calls),
                TEST(test_half_closed),
                TEST(test_slow_stream),
                TEST(test_watch),
                TEST(test_watch_flooded),
                TEST(test_deaf),
                TEST(test_deaf_ends),
                TEST(test_large_reply),
                TEST(test_large_behind),
                TEST(test_stalled),
                TEST(test_half_call_stalls),
                TEST(test_half_call_behind_stream),
                TEST(test_reader_stalls),
                TEST(test_stream_stalls),
                TEST(test_suspended),
                TEST(test_limits),
                TEST(test_end),
                TEST(test_listen),
                TEST(test_listen_busy),
                TEST(test_successor),
                TEST(test_listen_where),
                TEST(test_listen_group),
                TEST(test_listen_fd),
                TEST(test_no_descriptors),
                TEST(test_root_gets_in),
                TEST(test_users_take_turns),
                TEST(test_rate),
                TEST(test_root_at_once),
                TEST(test_unread),
                TEST(test_half_calls),
                TEST(test_unread_pushed),
                TEST(test_many_pushed),
                TEST(test_state),
                TEST(test_many_connect),
        };

        signal(SIGPIPE, SIG_IGN);
        log_set_max_level(LOG_CRIT);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
