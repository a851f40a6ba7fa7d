/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The varlink client against a peer that says what it is told, in the pieces that it is told. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/client.h"
#include "ctl/field.h"

struct pair {
        struct client client;
        int peer;
};

static int setup(void **state)
{
        struct pair *pair = calloc(1, sizeof(*pair));
        int fds[2];

        if (!pair || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -1;
        pair->client.fd = fds[0];
        pair->peer = fds[1];
        *state = pair;
        return 0;
}

static int teardown(void **state)
{
        struct pair *pair = *state;

        client_deinit(&pair->client);
        if (pair->peer >= 0)
                close(pair->peer);
        free(pair);
        return 0;
}

/* Sends what the daemon answers; "|" stands for the NUL at the end of a message. */
static void answer(struct pair *pair, const char *text)
{
        char *copy = strdup(text);
        size_t n = strlen(text);

        assert_non_null(copy);
        for (size_t i = 0; i < n; i++)
                copy[i] = copy[i] == '|' ? '\0' : copy[i] == '\'' ? '"' : copy[i];
        assert_int_equal(write(pair->peer, copy, n), n);
        free(copy);
}

static void hang_up(struct pair *pair)
{
        close(pair->peer);
        pair->peer = -1;
}

static void test_call(void **state)
{
        struct pair *pair = *state;
        char sent[256] = "";
        json_t *reply;

        answer(pair, "{'parameters': {'x': 5}}|");
        assert_int_equal(client_call(&pair->client, "a.b.C", json_pack("{si}", "y", 1), &reply), 0);
        assert_int_equal(field_integer(reply, "x"), 5);
        json_decref(reply);
        assert_true(read(pair->peer, sent, sizeof(sent)) > 0);
        assert_string_equal(sent, "{\"method\":\"a.b.C\",\"parameters\":{\"y\":1}}");

        /* An answer without parameters is an empty one. */
        answer(pair, "{}|");
        assert_int_equal(client_call(&pair->client, "a.b.C", NULL, &reply), 0);
        assert_int_equal(json_object_size(reply), 0);
        json_decref(reply);
        assert_true(read(pair->peer, sent, sizeof(sent)) > 0);
        assert_string_equal(sent, "{\"method\":\"a.b.C\"}");
}

static void test_pieces(void **state)
{
        struct pair *pair = *state;
        bool continues;
        json_t *reply;

        /* Half a message is none, two in one piece are two. */
        answer(pair, "{'parameters': {'x");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -ETIMEDOUT);
        answer(pair, "': 1}, 'continues': true}|{'parameters': {'x': 2}}|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        assert_true(continues);
        assert_int_equal(field_integer(reply, "x"), 1);
        json_decref(reply);
        assert_true(client_pending(&pair->client));
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        assert_false(continues);
        assert_int_equal(field_integer(reply, "x"), 2);
        json_decref(reply);
        assert_false(client_pending(&pair->client));
}

static int add_up(void *context, json_t *reply)
{
        *(uint64_t *) context += field_integer(reply, "x");
        return 0;
}

static int stop(void *context, json_t *reply)
{
        (void) context;
        (void) reply;
        return -ECANCELED;
}

static void test_more(void **state)
{
        struct pair *pair = *state;
        char sent[256] = "";
        uint64_t sum = 0;

        answer(pair, "{'parameters': {'x': 1}, 'continues': true}|{'parameters': {'x': 2}, 'continues': true}|"
                     "{'parameters': {'x': 4}}|");
        assert_int_equal(client_call_more(&pair->client, "a.b.C", NULL, add_up, &sum), 0);
        assert_int_equal(sum, 7);
        assert_true(read(pair->peer, sent, sizeof(sent)) > 0);
        assert_string_equal(sent, "{\"method\":\"a.b.C\",\"more\":true}");

        answer(pair, "{'parameters': {}, 'continues': true}|");
        assert_int_equal(client_call_more(&pair->client, "a.b.C", NULL, stop, NULL), -ECANCELED);
}

static int join(void *context, struct slice parameters)
{
        strncat(context, parameters.start, parameters.length);
        return 0;
}

static void test_text(void **state)
{
        struct pair *pair = *state;
        char text[256] = "";

        answer(pair, "{'parameters': {'x': [1]}, 'continues': true}|{'continues':false,'parameters':{'x':[]}}|");
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, join, text), 0);
        assert_string_equal(text, "{\"x\": [1]}{\"x\":[]}");

        answer(pair, "{'parameters': {'why': 5}, 'error': 'a.b.Wrong'}|");
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, join, text), CLIENT_ERROR);
        assert_string_equal(pair->client.error, "a.b.Wrong");
        assert_int_equal(field_integer(pair->client.error_parameters, "why"), 5);
        answer(pair, "{'para|{}|");
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, join, text), -EBADMSG);
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, join, text), -EBADMSG);
}

static void test_errors(void **state)
{
        struct pair *pair = *state;
        uint64_t sum = 0;
        json_t *reply;

        answer(pair, "{'error': 'a.b.Wrong', 'parameters': {'why': 'x'}}|");
        assert_int_equal(client_call(&pair->client, "a.b.C", NULL, &reply), CLIENT_ERROR);
        assert_string_equal(pair->client.error, "a.b.Wrong");
        assert_string_equal(field_string(pair->client.error_parameters, "why"), "x");

        /* In the middle of a stream, and without parameters. */
        answer(pair, "{'parameters': {'x': 1}, 'continues': true}|{'error': 'a.b.Late'}|");
        assert_int_equal(client_call_more(&pair->client, "a.b.C", NULL, add_up, &sum), CLIENT_ERROR);
        assert_int_equal(sum, 1);
        assert_string_equal(pair->client.error, "a.b.Late");
        assert_null(pair->client.error_parameters);
}

static void test_nonsense(void **state)
{
        struct pair *pair = *state;
        bool continues;
        json_t *reply;

        answer(pair, "hello|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        answer(pair, "[1]|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        answer(pair, "{'param");
        hang_up(pair);
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -ECONNRESET);
        assert_int_equal(client_call(&pair->client, "a.b.C", NULL, &reply), -ECONNRESET);
}

/* A message without end is not kept for ever. */
static void test_endless(void **state)
{
        static char data[1 << 16];
        struct pair *pair = *state;
        bool continues;
        json_t *reply;
        int r = -ETIMEDOUT;
        size_t sent;

        memset(data, 'x', sizeof(data));
        for (sent = 0; r == -ETIMEDOUT && sent <= 2 * CLIENT_MESSAGE_MAX; sent += sizeof(data)) {
                assert_int_equal(write(pair->peer, data, sizeof(data)), sizeof(data));
                r = client_receive(&pair->client, 0, &reply, &continues);
        }
        assert_int_equal(r, -EMSGSIZE);
        /* 16 MB, and what was in the socket. */
        assert_in_range(sent, 16 << 20, (16 << 20) + 2 * sizeof(data));
}

static unsigned int replies;

static int count_text(void *context, struct slice text)
{
        (void) context;
        (void) text;
        replies++;
        return 0;
}

/* A server that answers without end, 1 MiB at a time; it dies with its client. */
static pid_t flood(struct pair *pair)
{
        static const char start[] = "{\"parameters\":{\"x\":\"", end[] = "\"},\"continues\":true}";
        pid_t pid = fork();
        char *text;

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        close(pair->client.fd);
        text = malloc(1 << 20);
        memset(text, 'x', 1 << 20);
        memcpy(text, start, strlen(start));
        memcpy(text + (1 << 20) - sizeof(end), end, sizeof(end));
        for (;;)
                for (size_t n = 0; n < 1 << 20;) {
                        ssize_t sent = send(pair->peer, text + n, (1 << 20) - n, MSG_NOSIGNAL);

                        if (sent <= 0)
                                _exit(0);
                        n += sent;
                }
}

/* Nor is an answer in replies without end. */
static void test_endless_answer(void **state)
{
        struct pair *pair = *state;
        pid_t pid = flood(pair);

        replies = 0;
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, count_text, NULL), -EMSGSIZE);
        assert_in_range(replies, 256, 257);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A reply that comes byte by byte has no longer than one that does not come at all. */
static void test_trickle(void **state)
{
        struct timespec start, end;
        struct pair *pair = *state;
        bool continues;
        json_t *reply;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                close(pair->client.fd);
                while (send(pair->peer, " ", 1, MSG_NOSIGNAL) == 1)
                        usleep(50000);
                _exit(0);
        }
        clock_gettime(CLOCK_MONOTONIC, &start);
        assert_int_equal(client_receive(&pair->client, 300, &reply, &continues), -ETIMEDOUT);
        clock_gettime(CLOCK_MONOTONIC, &end);
        assert_in_range(end.tv_sec - start.tv_sec, 0, 30);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Nothing between two NULs, brackets without end, a NUL in a string. */
static void test_evil(void **state)
{
        static char deep[100000];
        struct pair *pair = *state;
        bool continues;
        json_t *reply;

        answer(pair, "||");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        memset(deep, '[', sizeof(deep) - 1);
        deep[sizeof(deep) - 2] = '|';
        deep[0] = '{';
        memcpy(deep, "{'parameters':", 14);
        answer(pair, deep);
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        answer(pair, deep);
        assert_int_equal(client_call_text(&pair->client, "a.b.C", NULL, count_text, NULL), -EBADMSG);
        answer(pair, "{'parameters': {'x': 'a\\u0000b'}}|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -EBADMSG);
        answer(pair, "{'parameters': 5}|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        json_decref(reply);
}

/* A long one is, whatever the pieces that it comes in, and what is behind it is not lost. */
static void test_long_message(void **state)
{
        static char data[1 << 16];
        struct pair *pair = *state;
        bool continues;
        json_t *reply;

        memset(data, 'x', sizeof(data));
        answer(pair, "{'parameters': {'x': '");
        for (int i = 0; i < 9 << 4; i++) {
                assert_int_equal(write(pair->peer, data, sizeof(data)), sizeof(data));
                assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -ETIMEDOUT);
        }
        answer(pair, "'}, 'continues': true}|{'parameters': {'y': 7}}|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        assert_true(continues);
        assert_int_equal(strlen(field_string(reply, "x")), 9 << 20);
        json_decref(reply);
        /* It lies behind: room for it is made by moving it. */
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        assert_int_equal(field_integer(reply, "y"), 7);
        json_decref(reply);
        answer(pair, "{'parameters': {'y': 8");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), -ETIMEDOUT);
        answer(pair, "9}}|");
        assert_int_equal(client_receive(&pair->client, 0, &reply, &continues), 0);
        assert_int_equal(field_integer(reply, "y"), 89);
        json_decref(reply);
}

static void test_connect(void **state)
{
        struct client client;
        char path[200];

        (void) state;
        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        assert_int_equal(client_connect(&client, path), -ENAMETOOLONG);
        client_deinit(&client);
        /* One byte less is a path. */
        path[108] = '\0';
        assert_int_equal(client_connect(&client, path), -ENAMETOOLONG);
        client_deinit(&client);
        path[107] = '\0';
        assert_int_equal(client_connect(&client, path), -ENOENT);
        client_deinit(&client);
        assert_int_equal(client_connect(&client, "/nonexistent/socket"), -ENOENT);
        assert_string_equal(client.path, "/nonexistent/socket");
        client_deinit(&client);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_call, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
                cmocka_unit_test_setup_teardown(test_more, setup, teardown),
                cmocka_unit_test_setup_teardown(test_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
                cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
                cmocka_unit_test_setup_teardown(test_endless_answer, setup, teardown),
                cmocka_unit_test_setup_teardown(test_trickle, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evil, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_message, setup, teardown),
                cmocka_unit_test(test_connect),
        };

        return cmocka_run_group_tests_name("ctl-client", tests, NULL, NULL);
}
