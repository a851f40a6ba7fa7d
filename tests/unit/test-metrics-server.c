/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics over HTTP: what is answered, and clients that mean no good. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <zlib.h>

#include "loop.h"
#include "serve/metricsbody.h"
#include "serve/metricsserver.h"

#define REPLY_MAX (4 * 1024 * 1024)

struct fixture {
        struct event_base *base;
        struct metrics_server *server;
        struct listen_address address;
        char directory[40], path[64];
        unsigned int writes;
        size_t padding; /* bytes of the text besides its first line */
        uint64_t cost_usec;
        int write_result;
        char *reply; /* the last one */
        size_t size;
};

static int write_text(void *context, enum metrics_format format, struct writer *writer)
{
        struct fixture *f = context;
        char line[64];

        f->writes++;
        loop_clock_usec += f->cost_usec;
        snprintf(line, sizeof(line), "format_%d 1\n", format);
        writer_raw(writer, line);
        for (size_t i = 0; i < f->padding; i++)
                writer_bytes(writer, i % 64 == 63 ? "\n" : "x", 1);
        return f->write_result;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct metrics_server_options options = { .write = write_text, .context = f };

        strcpy(f->directory, "/tmp/test-metrics-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        snprintf(f->path, sizeof(f->path), "%s/metrics", f->directory);
        f->base = options.base = event_base_new();
        assert_int_equal(metrics_server_new(&options, &f->server), 0);
        assert_int_equal(listen_address_parse(f->path, &f->address), 0);
        assert_int_equal(metrics_server_listen(f->server, &f->address), 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        metrics_server_free(f->server);
        event_base_free(f->base);
        /* All that was sent, or was not, is free. */
        assert_int_equal(metrics_bodies_size(), 0);
        assert_int_equal(rmdir(f->directory), 0);
        free(f->reply);
        free(f);
        return 0;
}

static int connect_to(struct fixture *f)
{
        int fd = socket(f->address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        if (connect(fd, (struct sockaddr *) &f->address.socket, f->address.length) == 0 || errno == EINPROGRESS)
                return fd;
        close(fd);
        return -1;
}

static void send_text(struct fixture *f, int fd, const char *text)
{
        (void) !send(fd, text, strlen(text), MSG_NOSIGNAL);
        loop_turn(f->base);
}

/* Takes what came at @fd until now. Returns whether the other end is closed. */
static bool receive(struct fixture *f, int fd)
{
        ssize_t n;

        f->reply = realloc(f->reply, REPLY_MAX + 1);
        f->size = 0;
        for (;;) {
                n = recv(fd, f->reply + f->size, REPLY_MAX - f->size, 0);
                if (n < 0 && errno == EAGAIN) {
                        loop_turn(f->base);
                        n = recv(fd, f->reply + f->size, REPLY_MAX - f->size, 0);
                }
                if (n <= 0)
                        break;
                f->size += n;
        }
        f->reply[f->size] = '\0';
        return n == 0 || errno != EAGAIN;
}

/* Sends a whole request and takes the reply, behind which the connection is closed. Returns the status. */
static int ask(struct fixture *f, const char *request)
{
        int fd = connect_to(f), status = 0;

        assert_true(fd >= 0);
        loop_turn(f->base);
        send_text(f, fd, request);
        assert_true(receive(f, fd));
        close(fd);
        loop_turn(f->base);
        sscanf(f->reply, "HTTP/1.%*d %d", &status);
        return status;
}

static const char *body_of(const struct fixture *f)
{
        const char *end = strstr(f->reply, "\r\n\r\n");

        assert_non_null(end);
        return end + 4;
}

static bool has_header(const struct fixture *f, const char *line)
{
        const char *found = strcasestr(f->reply, line);

        return found && found < body_of(f) && found[strlen(line)] == '\r';
}

#define GET "GET /metrics HTTP/1.1\r\nHost: a\r\n"

static void test_get(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(ask(f, GET "\r\n"), 200);
        assert_string_equal(body_of(f), "format_0 1\n");
        assert_true(has_header(f, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
        assert_true(has_header(f, "Content-Length: 11"));
        assert_true(has_header(f, "Connection: close"));
        assert_int_equal(ask(f, GET "Accept: application/openmetrics-text\r\n\r\n"), 200);
        assert_string_equal(body_of(f), "format_1 1\n");
        assert_true(has_header(f, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
        assert_int_equal(ask(f, "GET /metrics?x=y HTTP/1.0\r\n\r\n"), 200);
        assert_int_equal(metrics_server_clients(f->server), 0);
}

static void test_head(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(ask(f, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
        assert_string_equal(body_of(f), "");
        assert_true(has_header(f, "Content-Length: 11"));
        assert_int_equal(ask(f, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
        assert_string_equal(body_of(f), "");
}

static void test_gzip(void **state)
{
        struct fixture *f = *state;
        char text[4096] = "";
        z_stream stream = {};

        f->padding = 2000;
        assert_int_equal(ask(f, GET "Accept-Encoding: deflate, gzip\r\n\r\n"), 200);
        assert_true(has_header(f, "Content-Encoding: gzip"));
        assert_true(f->size < 600);
        stream.next_in = (Bytef *) body_of(f);
        stream.avail_in = f->reply + f->size - body_of(f);
        stream.next_out = (Bytef *) text;
        stream.avail_out = sizeof(text) - 1;
        assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, 2011);
        assert_memory_equal(text, "format_0 1\nxx", 13);
        inflateEnd(&stream);
        assert_int_equal(ask(f, GET "Accept-Encoding: gzip;q=0\r\n\r\n"), 200);
        assert_false(has_header(f, "Content-Encoding: gzip"));
}

/* Other methods and paths; what is no HTTP. */
static void test_wrong_requests(void **state)
{
        static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH" };
        struct fixture *f = *state;
        char request[256];
        int status;

        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
                snprintf(request, sizeof(request), "%s /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
                                methods[i]);
                assert_int_equal(ask(f, request), 405);
                assert_true(has_header(f, "Allow: GET, HEAD"));
        }
        assert_int_equal(ask(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
        assert_int_equal(ask(f, "GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
        assert_int_equal(ask(f, "GET /../metrics HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
        status = ask(f, "FOO /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(status >= 400);
        ask(f, "\x16\x03\x01\x02\r\n\r\n");
        assert_string_not_equal(f->reply, "format_0 1\n");
        assert_int_equal(f->writes, 0);
        assert_int_equal(ask(f, GET "\r\n"), 200);
}

/* Headers and bodies without an end take no memory without an end. */
static void test_huge_request(void **state)
{
        static char header[METRICS_HEADERS_MAX + 100], body[METRICS_BODY_MAX + 300];
        struct fixture *f = *state;

        strcpy(header, GET);
        memset(header + strlen(header), 'x', sizeof(header) - strlen(header) - 1);
        assert_int_not_equal(ask(f, header), 200);
        snprintf(body, 200, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
        assert_int_equal(ask(f, body), 413);
        snprintf(body, 200, "POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n");
        memset(body + strlen(body), 'x', sizeof(body) - strlen(body) - 1);
        assert_int_not_equal(ask(f, body), 200);
        assert_int_equal(metrics_server_clients(f->server), 0);
        assert_int_equal(ask(f, GET "\r\n"), 200);
}

/* A client that sends nothing more is closed, and one that sends a byte now and then is, too, at its deadline. */
static void test_slow_request(void **state)
{
        struct fixture *f = *state;
        int silent = connect_to(f), slow = connect_to(f);
        unsigned int sec;

        send_text(f, silent, GET);
        send_text(f, slow, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        assert_int_equal(metrics_server_clients(f->server), 2);
        for (sec = 0; sec < METRICS_STALL_SEC - 1; sec++)
                loop_sleep(f->base, 1000000);
        send_text(f, slow, "x");
        loop_sleep(f->base, 2000000);
        assert_int_equal(metrics_server_clients(f->server), 1);
        assert_true(receive(f, silent));
        for (sec += 2; sec < METRICS_DEADLINE_SEC - 2; sec += 2) {
                send_text(f, slow, "x");
                loop_sleep(f->base, 2000000);
        }
        assert_int_equal(metrics_server_clients(f->server), 1);
        send_text(f, slow, "x");
        loop_sleep(f->base, 4000000);
        loop_turn(f->base);
        assert_int_equal(metrics_server_clients(f->server), 0);
        assert_true(receive(f, slow));
        close(silent);
        close(slow);
}

static size_t count_descriptors(void)
{
        size_t count = 0;

        for (int fd = 0; fd < 4096; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

/* A thousand connections that say nothing: few are open at a time, and who asks is answered. */
static void test_many_connections(void **state)
{
        struct fixture *f = *state;
        size_t before = count_descriptors(), opened = 0;
        int fds[1000];

        for (size_t i = 0; i < 1000; i++) {
                fds[i] = connect_to(f);
                opened += fds[i] >= 0;
                assert_true(metrics_server_clients(f->server) <= METRICS_CLIENTS_MAX);
                if (i % 100 == 99) {
                        loop_turn(f->base);
                        assert_true(metrics_server_clients(f->server) <= METRICS_CLIENTS_MAX);
                        assert_true(count_descriptors() <= before + opened + METRICS_CLIENTS_MAX);
                        assert_int_equal(ask(f, GET "\r\n"), 200);
                }
        }
        for (size_t i = 0; i < 1000; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        loop_turn(f->base);
        assert_int_equal(metrics_server_clients(f->server), 0);
        assert_int_equal(count_descriptors(), before);
        assert_int_equal(ask(f, GET "\r\n"), 200);
}

/* What waits for clients that do not read is bounded, and one text for all of them. */
static void test_slow_readers(void **state)
{
        struct fixture *f = *state;
        int fds[16];

        f->padding = 3 * 1024 * 1024;
        for (size_t i = 0; i < 16; i++) {
                fds[i] = connect_to(f);
                assert_true(fds[i] >= 0);
                loop_turn(f->base);
                send_text(f, fds[i], GET "\r\n");
        }
        assert_true(metrics_bodies_size() < 2 * 4 * 1024 * 1024);
        for (size_t i = 0; i < 16; i++)
                close(fds[i]);
        loop_turn(f->base);
        assert_int_equal(metrics_server_clients(f->server), 0);
}

/* One that is not read at all ends at the deadline. */
static void test_stuck_reader(void **state)
{
        struct fixture *f = *state;
        int fd = connect_to(f);

        f->padding = 3 * 1024 * 1024;
        loop_turn(f->base);
        send_text(f, fd, GET "\r\n");
        assert_int_equal(metrics_server_clients(f->server), 1);
        loop_sleep(f->base, METRICS_DEADLINE_SEC * 1000000ULL + 1);
        loop_turn(f->base);
        assert_int_equal(metrics_server_clients(f->server), 0);
        close(fd);
}

/* The last text is sent again while it is young for what it costs, and not longer. */
static void test_fresh(void **state)
{
        struct fixture *f = *state;

        f->cost_usec = 1000;
        ask(f, GET "\r\n");
        ask(f, GET "\r\n");
        assert_int_equal(f->writes, 1);
        loop_clock_usec += METRICS_FRESH_SHARE * 1000;
        ask(f, GET "\r\n");
        assert_int_equal(f->writes, 2);
        /* Of each format. */
        ask(f, GET "Accept: application/openmetrics-text\r\n\r\n");
        assert_string_equal(body_of(f), "format_1 1\n");
        assert_int_equal(f->writes, 3);
}

/* Without memory for the text it says so. */
static void test_no_memory(void **state)
{
        struct fixture *f = *state;

        f->write_result = -ENOMEM;
        assert_int_equal(ask(f, GET "\r\n"), 503);
}

/* Where it listens changes with the configuration. */
static void test_listen(void **state)
{
        struct fixture *f = *state;
        struct listen_address other, none = {}, first = f->address;
        struct stat st, again;
        char path[64];
        int fd = connect_to(f);

        snprintf(path, sizeof(path), "%s/other", f->directory);
        assert_int_equal(listen_address_parse(path, &other), 0);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0660);
        loop_turn(f->base);
        /* The same: nothing happens to those who are connected. */
        assert_int_equal(metrics_server_listen(f->server, &f->address), 0);
        assert_int_equal(stat(f->path, &again), 0);
        assert_true(st.st_ino == again.st_ino);
        assert_int_equal(metrics_server_clients(f->server), 1);
        assert_int_equal(metrics_server_listen(f->server, &other), 0);
        assert_int_equal(stat(f->path, &st), -1);
        f->address = other;
        assert_int_equal(ask(f, GET "\r\n"), 200);
        assert_int_equal(metrics_server_listen(f->server, &none), 0);
        assert_int_equal(connect_to(f), -1);
        assert_int_equal(metrics_server_listen(f->server, &first), 0);
        f->address = first;
        assert_int_equal(ask(f, GET "\r\n"), 200);
        close(fd);
}

/* A request to @address is answered. */
static void assert_serves(struct fixture *f, const char *address)
{
        struct listen_address before = f->address;

        assert_int_equal(listen_address_parse(address, &f->address), 0);
        assert_int_equal(ask(f, GET "\r\n"), 200);
        f->address = before;
}

/* An address that somebody else has, or nobody can have: it listens where it did, and can be told again. */
static void test_listen_used(void **state)
{
        struct fixture *f = *state;
        struct metrics_server_options options = { .base = f->base, .write = write_text, .context = f };
        struct listen_address inet, missing;
        struct metrics_server *second;

        assert_int_equal(metrics_server_new(&options, &second), 0);
        assert_string_equal(metrics_server_address(second), "");
        assert_int_equal(metrics_server_listen(second, &f->address), -EADDRINUSE);
        assert_string_equal(metrics_server_address(second), "");
        assert_int_equal(ask(f, GET "\r\n"), 200);
        assert_int_equal(listen_address_parse("127.0.0.1:19845", &inet), 0);
        assert_int_equal(metrics_server_listen(second, &inet), 0);
        assert_int_equal(metrics_server_listen(f->server, &inet), -EADDRINUSE);
        assert_string_equal(metrics_server_address(f->server), f->path);
        assert_serves(f, f->path);
        assert_int_equal(listen_address_parse("/nonexistent/metrics", &missing), 0);
        assert_int_equal(metrics_server_listen(f->server, &missing), -ENOENT);
        assert_string_equal(metrics_server_address(f->server), f->path);
        assert_serves(f, f->path);
        metrics_server_free(second);
        assert_int_equal(metrics_server_listen(f->server, &inet), 0);
        assert_serves(f, "127.0.0.1:19845");
}

/* An address that is in use only because of the one before: 0.0.0.0 has the port of 127.0.0.1, too. */
static void test_listen_same_port(void **state)
{
        struct fixture *f = *state;
        struct metrics_server_options options = { .base = f->base, .write = write_text, .context = f };
        struct listen_address one, two, all;
        struct metrics_server *second;

        assert_int_equal(listen_address_parse("127.0.0.1:19846", &one), 0);
        assert_int_equal(listen_address_parse("127.0.0.2:19846", &two), 0);
        assert_int_equal(listen_address_parse("0.0.0.0:19846", &all), 0);
        assert_int_equal(metrics_server_listen(f->server, &all), 0);
        assert_int_equal(metrics_server_listen(f->server, &one), 0);
        assert_serves(f, "127.0.0.1:19846");
        /* Another server has a part of what is wanted: the one before is listened at again. */
        assert_int_equal(metrics_server_new(&options, &second), 0);
        assert_int_equal(metrics_server_listen(second, &two), 0);
        assert_int_equal(metrics_server_listen(f->server, &all), -EADDRINUSE);
        assert_serves(f, "127.0.0.1:19846");
        metrics_server_free(second);
}

/* [::] is for both families, as a node of any cluster needs it. */
static void test_listen_all(void **state)
{
        struct fixture *f = *state;
        struct listen_address all, ipv4;
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                skip();
        close(fd);
        assert_int_equal(listen_address_parse("0.0.0.0:19847", &ipv4), 0);
        assert_int_equal(listen_address_parse("[::]:19847", &all), 0);
        assert_int_equal(metrics_server_listen(f->server, &ipv4), 0);
        assert_int_equal(metrics_server_listen(f->server, &all), 0);
        assert_serves(f, "127.0.0.1:19847");
        assert_serves(f, "[::1]:19847");
}

/* It ends while clients are there: accepted just now, half served, and waiting. */
static void test_end(void **state)
{
        struct fixture *f = *state;
        int half, fd;

        f->padding = 3 * 1024 * 1024;
        half = connect_to(f);
        loop_turn(f->base);
        send_text(f, half, GET "\r\n");
        fd = connect_to(f);
        metrics_server_free(f->server);
        f->server = NULL;
        close(fd);
        close(half);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_get),
                TEST(test_head),
                TEST(test_gzip),
                TEST(test_wrong_requests),
                TEST(test_huge_request),
                TEST(test_slow_request),
                TEST(test_many_connections),
                TEST(test_slow_readers),
                TEST(test_stuck_reader),
                TEST(test_fresh),
                TEST(test_no_memory),
                TEST(test_listen),
                TEST(test_listen_used),
                TEST(test_listen_same_port),
                TEST(test_listen_all),
                TEST(test_end),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
