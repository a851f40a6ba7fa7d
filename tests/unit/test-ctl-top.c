/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keys, events and answers of the daemon do to the state of top, and which picture that makes. The screen itself
 * is not drawn: tests/kernel/test-ctl does that, in a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/screen.c"

#include "ctl/field.h"
#include "ctl/graph.h"

struct fixture {
        struct options options;
        struct top top;
        int calls, events; /* the daemon's ends */
};

static void connect_pair(struct client *client, int *peer)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        *client = (struct client){ .fd = fds[0] };
        client->path = strdup("/socket");
        *peer = fds[1];
}

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));

        assert_non_null(fixture);
        fixture->top.options = &fixture->options;
        fixture->top.delay_usec = 1000000;
        fixture->top.sort[VIEW_CGROUPS] = 1;
        fixture->top.sort[VIEW_OBJECTS] = 4;
        connect_pair(&fixture->top.calls, &fixture->calls);
        connect_pair(&fixture->top.events, &fixture->events);
        LINES = FRAME_EXTRA_LINES + 3;
        COLS = 80;
        *state = fixture;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;

        top_leave_objects(&fixture->top);
        json_decref(fixture->top.cgroups);
        json_decref(fixture->top.root);
        free(fixture->top.glob);
        free(fixture->top.parents);
        history_deinit(&fixture->top.history);
        client_deinit(&fixture->top.calls);
        client_deinit(&fixture->top.events);
        close(fixture->calls);
        close(fixture->events);
        free(fixture);
        return 0;
}

/* Sends what the daemon answers, with single quotes; "|" stands for the NUL at the end of a message. */
static void answer(int peer, const char *text)
{
        size_t n = strlen(text);
        char *copy = strdup(text);

        assert_non_null(copy);
        for (size_t i = 0; i < n; i++)
                copy[i] = copy[i] == '|' ? '\0' : copy[i] == '\'' ? '"' : copy[i];
        assert_int_equal(write(peer, copy, n), n);
        free(copy);
}

/* What was asked, with "|" for the NUL at the end of a message, valid until the next call. */
static const char *asked(int peer)
{
        static char text[4096];
        ssize_t n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
                if (!text[i])
                        text[i] = '|';
        text[n] = '\0';
        return text;
}

#define ROOT \
        "{'parameters': {'cgroup': {'path': '/', 'bpf': {'allocated': 3072, 'charged': 2048, 'uncharged': 1024}}}}|"
#define CGROUP(path, id, allocated) "{'path': '" path "', 'id': " id ", 'bpf': {'allocated': " allocated "}}"

static void refresh_with(struct fixture *fixture, const char *cgroups)
{
        char text[2048];

        snprintf(text, sizeof(text), ROOT "{'parameters': {'cgroups': [%s]}}|", cgroups);
        answer(fixture->calls, text);
        assert_int_equal(top_refresh(&fixture->top), 0);
        assert_string_equal(asked(fixture->calls),
                        "{\"method\":\"io.bpfbudget.GetCgroup\",\"parameters\":{\"cgroup\":\"/\"}}|"
                        "{\"method\":\"io.bpfbudget.ListCgroups\",\"parameters\":{},\"more\":true}|");
}

/* The paths of the cgroups, or names of the objects, in their order. */
static const char *order(const struct top *top)
{
        static char text[256];

        *text = '\0';
        for (size_t i = 0; i < json_array_size(top_rows(top)); i++) {
                strcat(text, i ? " " : "");
                strcat(text, field_string(json_array_get(top_rows(top), i), top->object_cgroup ? "name" : "path"));
        }
        return text;
}

/* Whether a key wants to have everything asked for again. */
static bool press(struct fixture *fixture, int key)
{
        bool again = false;

        assert_int_equal(handle_key(&fixture->top, key, &again), 0);
        return again;
}

#define SIX                                                                                                \
        CGROUP("/a", "1", "900")                                                                           \
        "," CGROUP("/b", "2", "800") "," CGROUP("/c", "3", "700") "," CGROUP("/d", "4", "600") "," CGROUP( \
                        "/e", "5", "500") "," CGROUP("/f", "6", "400")

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static void test_moving(void **state)
{
        static const struct {
                int key;
                size_t selected;
        } steps[] = {
                { KEY_UP, 0 },
                { KEY_DOWN, 1 },
                { 'j', 2 },
                { 'k', 1 },
                { KEY_UP, 0 },
                { 'k', 0 },
                { KEY_NPAGE, 3 },
                { KEY_DOWN, 4 },
                { KEY_PPAGE, 1 },
                { KEY_PPAGE, 0 },
                { KEY_END, 5 },
                { KEY_DOWN, 5 },
                { KEY_NPAGE, 5 },
                { KEY_HOME, 0 },
                { 'G', 5 },
                { KEY_RESIZE, 5 },
                { 'g', 0 },
        };
        struct fixture *fixture = *state;

        refresh_with(fixture, SIX);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                /* What only moves asks for nothing. */
                assert_false(press(fixture, steps[i].key));
                assert_int_equal(fixture->top.selected[VIEW_CGROUPS], steps[i].selected);
        }
        /* A screen that has no room for rows has pages of one. */
        LINES = 2;
        press(fixture, KEY_NPAGE);
        assert_int_equal(fixture->top.selected[VIEW_CGROUPS], 1);
}

static void test_moving_in_nothing(void **state)
{
        struct fixture *fixture = *state;

        press(fixture, KEY_DOWN);
        press(fixture, KEY_END);
        press(fixture, KEY_UP);
        assert_int_equal(fixture->top.selected[VIEW_CGROUPS], 0);
        press(fixture, '\n');
        assert_int_equal(top_view(&fixture->top), VIEW_CGROUPS);
}

/* The selected row is on the screen, which moves no more than it has to. */
static void test_scrolling(void **state)
{
        static const struct {
                int key;
                size_t first;
        } steps[] = {
                { KEY_DOWN, 0 },
                { KEY_DOWN, 0 },
                { KEY_DOWN, 1 },
                { KEY_END, 3 },
                { KEY_UP, 3 },
                { KEY_UP, 3 },
                { KEY_UP, 2 },
                { KEY_HOME, 0 },
        };
        struct fixture *fixture = *state;

        refresh_with(fixture, SIX);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                press(fixture, steps[i].key);
                scroll_to_selected(&fixture->top);
                assert_int_equal(fixture->top.first[VIEW_CGROUPS], steps[i].first);
        }
        LINES = 2;
        press(fixture, KEY_DOWN);
        scroll_to_selected(&fixture->top);
        assert_int_equal(fixture->top.first[VIEW_CGROUPS], 1);
}

static void test_order_keys(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;

        assert_true(press(fixture, '>'));
        assert_int_equal(top->sort[VIEW_CGROUPS], 2);
        assert_true(press(fixture, KEY_RIGHT));
        assert_int_equal(top->sort[VIEW_CGROUPS], 3);
        assert_true(press(fixture, '<'));
        assert_true(press(fixture, KEY_LEFT));
        assert_int_equal(top->sort[VIEW_CGROUPS], 1);
        press(fixture, '<');
        assert_int_equal(top->sort[VIEW_CGROUPS], 0);
        /* Around the end; nothing can be ordered by the last minute. */
        press(fixture, '<');
        assert_int_equal(top->sort[VIEW_CGROUPS], 10);
        assert_string_equal(frame_column_title(VIEW_CGROUPS, 10), "MAX");
        press(fixture, '>');
        assert_int_equal(top->sort[VIEW_CGROUPS], 0);
        assert_int_equal(top->sort[VIEW_OBJECTS], 4);
        assert_true(press(fixture, 'i'));
        assert_true(top->reverse[VIEW_CGROUPS]);
        assert_false(top->reverse[VIEW_OBJECTS]);
        assert_true(press(fixture, 'i'));
        assert_false(top->reverse[VIEW_CGROUPS]);
        assert_true(press(fixture, 't'));
        assert_true(top->tree);
        assert_true(press(fixture, 't'));
        assert_false(top->tree);
}

static void test_delay_keys(void **state)
{
        struct fixture *fixture = *state;
        uint64_t *delay = &fixture->top.delay_usec;

        assert_true(press(fixture, '+'));
        assert_int_equal(*delay, 2000000);
        for (int i = 0; i < 4; i++)
                press(fixture, '+');
        assert_int_equal(*delay, 32000000);
        press(fixture, '+');
        assert_int_equal(*delay, 60000000);
        press(fixture, '+');
        assert_int_equal(*delay, 60000000);
        *delay = 400000;
        assert_true(press(fixture, '-'));
        assert_int_equal(*delay, 200000);
        press(fixture, '-');
        assert_int_equal(*delay, 100000);
        press(fixture, '-');
        assert_int_equal(*delay, 100000);
        *delay = 150000;
        press(fixture, '-');
        assert_int_equal(*delay, 100000);
}

static void test_other_keys(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;

        assert_true(press(fixture, ' '));
        assert_false(press(fixture, 'x'));
        assert_false(top->help);
        press(fixture, 'h');
        assert_true(top->help);
        /* A new size is no key; the next key only leaves the help. */
        press(fixture, KEY_RESIZE);
        assert_true(top->help);
        assert_false(press(fixture, 'q'));
        assert_false(top->help);
        assert_false(top->quit);
        press(fixture, '?');
        assert_true(top->help);
        press(fixture, 'x');
        press(fixture, 'q');
        assert_true(top->quit);
        top->quit = false;
        press(fixture, 'Q');
        assert_true(top->quit);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static void test_refresh(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;
        uint64_t values[HISTORY_SECONDS], before = now_usec();

        refresh_with(fixture, CGROUP("/a", "1", "5") "," CGROUP("/b", "2", "9") "," CGROUP("/c", "3", "7"));
        assert_string_equal(order(top), "/b /c /a");
        assert_int_equal(field_integer(top->root, "cgroup.bpf.allocated"), 3072);
        assert_true(top->shown_usec >= before && top->shown_usec <= now_usec());
        assert_null(top->parents);
        history_get(&top->history, 3, top->shown_usec / 1000000, values);
        assert_int_equal(values[HISTORY_SECONDS - 1], 7);
        assert_true(values[HISTORY_SECONDS - 2] == GRAPH_UNKNOWN);
        top->reverse[VIEW_CGROUPS] = true;
        refresh_with(fixture, CGROUP("/a", "1", "5") "," CGROUP("/b", "2", "9") "," CGROUP("/c", "3", "7"));
        assert_string_equal(order(top), "/a /c /b");
        /* Paths begin with the first, and upwards with the last. */
        top->sort[VIEW_CGROUPS] = 0;
        refresh_with(fixture, CGROUP("/b", "2", "9") "," CGROUP("/a", "1", "5") "," CGROUP("/c", "3", "7"));
        assert_string_equal(order(top), "/c /b /a");
        top->reverse[VIEW_CGROUPS] = false;
        refresh_with(fixture, CGROUP("/b", "2", "9") "," CGROUP("/a", "1", "5") "," CGROUP("/c", "3", "7"));
        assert_string_equal(order(top), "/a /b /c");
}

static void test_refresh_of_some(void **state)
{
        struct fixture *fixture = *state;

        fixture->top.glob = strdup("/x*");
        answer(fixture->calls, ROOT "{'parameters': {'cgroups': []}}|");
        assert_int_equal(top_refresh(&fixture->top), 0);
        assert_non_null(strstr(
                        asked(fixture->calls), "ListCgroups\",\"parameters\":{\"cgroup\":\"/x*\"},\"more\":true}"));
        assert_int_equal(json_array_size(top_rows(&fixture->top)), 0);
}

static void test_refresh_that_fails(void **state)
{
        struct fixture *fixture = *state;

        answer(fixture->calls, "{'error': 'io.bpfbudget.NotPermitted', 'parameters': {'reason': 'x'}}|");
        assert_int_equal(top_refresh(&fixture->top), -EPERM);
        answer(fixture->calls, ROOT "{'error': 'io.bpfbudget.ReplyTooLarge'}|");
        assert_int_equal(top_refresh(&fixture->top), -EMSGSIZE);
}

static void test_tree(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;
        static const ssize_t expected[] = { -1, -1, 1 };

        top->tree = true;
        refresh_with(fixture, CGROUP("/a", "1", "5") "," CGROUP("/a/b", "2", "4") "," CGROUP("/c", "3", "9"));
        assert_string_equal(order(top), "/c /a /a/b");
        assert_memory_equal(top->parents, expected, sizeof(expected));
        top->tree = false;
        refresh_with(fixture, CGROUP("/a", "1", "5") "," CGROUP("/a/b", "2", "8") "," CGROUP("/c", "3", "9"));
        assert_string_equal(order(top), "/c /a/b /a");
        assert_null(top->parents);
}

/* The selection stays on its cgroup when the order changes; at the top it stays at the top. */
static void test_selection(void **state)
{
        struct fixture *fixture = *state;
        size_t *selected = &fixture->top.selected[VIEW_CGROUPS];

        refresh_with(fixture, CGROUP("/a", "1", "9") "," CGROUP("/b", "2", "8") "," CGROUP("/c", "3", "7"));
        refresh_with(fixture, CGROUP("/a", "1", "1") "," CGROUP("/b", "2", "8") "," CGROUP("/c", "3", "7"));
        assert_int_equal(*selected, 0);
        press(fixture, KEY_DOWN);
        assert_string_equal(order(&fixture->top), "/b /c /a");
        refresh_with(fixture, CGROUP("/a", "1", "8") "," CGROUP("/b", "2", "9") "," CGROUP("/c", "3", "7"));
        assert_string_equal(order(&fixture->top), "/b /a /c");
        assert_int_equal(*selected, 2);
        refresh_with(fixture, CGROUP("/a", "1", "8") "," CGROUP("/b", "2", "9") "," CGROUP("/c", "3", "99"));
        assert_int_equal(*selected, 0);
        /* It has gone: near it. */
        press(fixture, KEY_END);
        assert_int_equal(*selected, 2);
        refresh_with(fixture, CGROUP("/b", "2", "9") "," CGROUP("/c", "3", "99"));
        assert_int_equal(*selected, 1);
        refresh_with(fixture, "");
        assert_int_equal(*selected, 0);
}

#define OBJECT(kind, id, name, allocated) \
        "{'kind': '" kind "', 'id': " id ", 'name': '" name "', 'type': 'hash', 'allocated': " allocated "}"

static void refresh_objects_with(struct fixture *fixture, const char *cgroups, const char *objects, const char *glob)
{
        char text[2048];

        snprintf(text, sizeof(text), ROOT "{'parameters': {'cgroups': [%s]}}|{'parameters': {'objects': [%s]}}|",
                        cgroups, objects);
        answer(fixture->calls, text);
        assert_int_equal(top_refresh(&fixture->top), 0);
        snprintf(text, sizeof(text),
                        "|{\"method\":\"io.bpfbudget.ListObjects\",\"parameters\":{\"cgroup\":\"%s\",\"holders\":true,"
                        "\"pins\":true,\"uses\":false},\"more\":true}|",
                        glob);
        if (!strstr(asked(fixture->calls), text))
                fail_msg("it did not ask %s", text);
}

static void test_objects(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;

        refresh_with(fixture, CGROUP("/a", "1", "9") "," CGROUP("/b", "2", "8"));
        press(fixture, KEY_DOWN);
        top->selected[VIEW_OBJECTS] = top->first[VIEW_OBJECTS] = 7;
        assert_true(press(fixture, KEY_ENTER));
        assert_int_equal(top_view(top), VIEW_OBJECTS);
        assert_string_equal(top->object_cgroup, "/b");
        assert_int_equal(top->selected[VIEW_OBJECTS], 0);
        assert_int_equal(top->first[VIEW_OBJECTS], 0);
        refresh_objects_with(fixture, CGROUP("/b", "2", "8"),
                        OBJECT("map", "5", "x", "1") "," OBJECT("program", "5", "y", "3") "," OBJECT(
                                        "map", "6", "z", "2"),
                        "/b/**");
        assert_string_equal(order(top), "y z x");
        /* Again in it nothing changes; orders and selections are its own. */
        press(fixture, '\r');
        assert_string_equal(top->object_cgroup, "/b");
        press(fixture, 'i');
        assert_true(top->reverse[VIEW_OBJECTS]);
        press(fixture, KEY_END);
        assert_int_equal(top->selected[VIEW_OBJECTS], 2);
        /* A map and a program may have the same id. */
        refresh_objects_with(fixture, CGROUP("/b", "2", "8"),
                        OBJECT("map", "5", "x", "1") "," OBJECT("program", "5", "y", "3") "," OBJECT(
                                        "map", "6", "z", "2"),
                        "/b/**");
        assert_string_equal(order(top), "x z y");
        assert_int_equal(top->selected[VIEW_OBJECTS], 0);
        press(fixture, KEY_END);
        refresh_objects_with(fixture, CGROUP("/b", "2", "8"),
                        OBJECT("map", "5", "x", "1") "," OBJECT("program", "5", "y", "3"), "/b/**");
        assert_string_equal(order(top), "x y");
        assert_int_equal(top->selected[VIEW_OBJECTS], 1);
        press(fixture, '<');
        assert_int_equal(top->sort[VIEW_OBJECTS], 3);
        top->sort[VIEW_OBJECTS] = 0;
        press(fixture, '<');
        assert_string_equal(frame_column_title(VIEW_OBJECTS, top->sort[VIEW_OBJECTS]), "HOLDERS AND PINS");
        assert_true(press(fixture, KEY_ESCAPE));
        assert_int_equal(top_view(top), VIEW_CGROUPS);
        assert_null(top->objects);
        press(fixture, '\n');
        assert_int_equal(top_view(top), VIEW_OBJECTS);
        press(fixture, KEY_BACKSPACE);
        assert_int_equal(top_view(top), VIEW_CGROUPS);
        press(fixture, '\n');
        press(fixture, 127);
        assert_int_equal(top_view(top), VIEW_CGROUPS);
}

/* What is special in a glob stands for itself in a path. */
static void test_globs_of_objects(void **state)
{
        struct fixture *fixture = *state;

        refresh_with(fixture, CGROUP("/a[*]?b", "1", "9"));
        press(fixture, '\n');
        refresh_objects_with(fixture, "", "", "/a[[][*]][?]b/**");
        press(fixture, KEY_ESCAPE);
        refresh_with(fixture, CGROUP("/", "1", "9"));
        press(fixture, '\n');
        refresh_objects_with(fixture, "", "", "**");
        press(fixture, KEY_ESCAPE);
        /* A cgroup whose path nobody knows has no objects to show. */
        refresh_with(fixture, "{'path': null, 'id': 5}");
        press(fixture, '\n');
        assert_int_equal(top_view(&fixture->top), VIEW_CGROUPS);
}

static void test_events(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;
        bool changed = false;

        /* The first reply only says that the subscription is there. */
        answer(fixture->events, "{'parameters': {'event': null}, 'continues': true}|");
        assert_int_equal(top_take_events(top, &changed), 0);
        assert_false(changed);
        answer(fixture->events,
                        "{'parameters': {'event': {'kind': 'x', 'cgroup': '/a', 'usage': 2048}}, 'continues': true}|"
                        "{'parameters': {'event': {'kind': 'y', 'cgroup': '/b', 'usage': 1024}}, 'continues': true}|");
        assert_int_equal(top_take_events(top, &changed), 0);
        assert_true(changed);
        assert_string_equal(top->message, "/b: y at 1.0K");
        fixture->options.bytes = true;
        answer(fixture->events,
                        "{'parameters': {'event': {'kind': 'x', 'cgroup': '/a', 'usage': 2048}}, 'continues': true}|");
        assert_int_equal(top_take_events(top, &changed), 0);
        assert_string_equal(top->message, "/a: x at 2048");
        shutdown(fixture->events, SHUT_RDWR);
        assert_int_equal(top_take_events(top, &changed), -ECONNRESET);
}

/* --- The loop ----------------------------------------------------------------------------------------------------- */

/* Standard input is @fd from now on. */
static void use_stdin(int fd)
{
        assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
        close(fd);
}

static void test_waiting(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;
        bool again = false;
        int fds[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        use_stdin(fds[0]);
        /* The interval has passed already. */
        top->shown_usec = now_usec() - top->delay_usec;
        assert_int_equal(wait_for_change(top, &again), 0);
        assert_true(again);
        /* An event, and the picture is not a moment old. */
        top->delay_usec = 3600ULL * 1000000;
        top->shown_usec = now_usec() - EVENT_INTERVAL_USEC;
        again = false;
        answer(fixture->events, "{'parameters': {'event': {'kind': 'x', 'cgroup': '/a'}}, 'continues': true}|");
        assert_int_equal(wait_for_change(top, &again), 0);
        assert_true(again);
        assert_string_equal(top->message, "/a: x at 0B");
        /* An event right behind a picture waits for the next one. A machine may be too slow to show it. */
        for (int i = 0; i < 100; i++) {
                again = false;
                top->shown_usec = now_usec();
                answer(fixture->events, "{'parameters': {'event': {'kind': 'y', 'cgroup': '/a'}}, 'continues': true}|");
                assert_int_equal(wait_for_change(top, &again), 0);
                if (now_usec() - top->shown_usec < EVENT_INTERVAL_USEC)
                        break;
        }
        assert_false(again);
        assert_string_equal(top->message, "/a: y at 0B");
        /* The connection ends. */
        shutdown(fixture->events, SHUT_RDWR);
        top->delay_usec = 3600ULL * 1000000;
        top->shown_usec = now_usec();
        assert_int_equal(wait_for_change(top, &again), -ECONNRESET);
        assert_false(top->quit);
        /* So does the terminal. */
        close(fds[1]);
        assert_int_equal(wait_for_change(top, &again), 0);
        assert_true(top->quit);
        if (saved >= 0)
                use_stdin(saved);
}

/* --- Pictures ----------------------------------------------------------------------------------------------------- */

static void assert_line(struct fixture *fixture, size_t height, size_t line, size_t skip, const char *expected)
{
        struct frame frame;

        assert_int_equal(top_frame(&fixture->top, 80, height, &frame), 0);
        assert_true(line < frame.count);
        assert_string_equal(frame.lines[line].text + skip, expected);
        frame_deinit(&frame);
}

#define STATE(path, id, state) "{'path': '" path "', 'id': " id ", 'budget': {'state': '" state "'}}"

static void test_titles(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;

        refresh_with(fixture, STATE("/a", "1", "high") "," STATE("/b", "2", "max") "," STATE("/c", "3", "ok"));
        assert_line(fixture, 10, 0, 8, "  3 cgroups, list by BPF, every 1.0 s");
        assert_line(fixture, 10, 1, 0, "BPF 3.0K, charged 2.0K, uncharged 1.0K; 2 over a limit");
        assert_line(fixture, 10, 9, 0, "q quit  Enter objects  t tree  <> order  i invert  +- delay  h help");
        fixture->options.bytes = true;
        assert_line(fixture, 10, 1, 0, "BPF 3072, charged 2048, uncharged 1024; 2 over a limit");
        top->tree = true;
        top->reverse[VIEW_CGROUPS] = true;
        top->sort[VIEW_CGROUPS] = 3;
        top->delay_usec = 2500000;
        assert_line(fixture, 10, 0, 8, "  3 cgroups, tree by UNCHARGED upwards, every 2.5 s");
        strcpy(top->message, "what happened");
        assert_line(fixture, 10, 2, 0, "what happened");
        top->reverse[VIEW_CGROUPS] = false;
        top->tree = false;
        top->sort[VIEW_CGROUPS] = 0;
        refresh_with(fixture, STATE("/a", "1", "high") "," STATE("/b", "2", "max"));
        press(fixture, '\n');
        refresh_objects_with(fixture, "", OBJECT("map", "5", "x", "1"), "/a/**");
        assert_line(fixture, 10, 0, 8, "  1 objects of /a, by BPF");
        assert_line(fixture, 10, 1, 0, "BPF 3072, charged 2048, uncharged 1024; 0 over a limit");
        assert_line(fixture, 10, 9, 0, "q quit  Esc cgroups  <> order  i invert  h help");
        top->reverse[VIEW_OBJECTS] = true;
        assert_line(fixture, 10, 0, 8, "  1 objects of /a, by BPF upwards");
        /* Of any width. */
        free(top->object_cgroup);
        top->object_cgroup = strdup("/a\x1b\xe2\x80\xae");
        strcpy(top->message, "m\x1b");
        for (size_t width = 0; width <= 80; width += 80) {
                struct frame frame;

                assert_int_equal(top_frame(top, width, 10, &frame), 0);
                assert_string_equal(frame.lines[0].text + 8, "  1 objects of /a??, by BPF upwards");
                assert_string_equal(frame.lines[2].text, "m?");
                frame_deinit(&frame);
        }
}

static void test_selected_line(void **state)
{
        struct fixture *fixture = *state;
        struct frame frame;

        refresh_with(fixture, SIX);
        press(fixture, KEY_END);
        scroll_to_selected(&fixture->top);
        assert_int_equal(top_frame(&fixture->top, 80, LINES, &frame), 0);
        assert_int_equal(frame.rows_shown, 3);
        assert_int_equal(frame.lines[4].look, LOOK_PLAIN);
        assert_int_equal(strncmp(frame.lines[4].text, "/d ", 3), 0);
        assert_int_equal(frame.lines[6].look, LOOK_SELECTED);
        frame_deinit(&frame);
        /* What is printed has no selection, and all rows. */
        fixture->top.selected[VIEW_CGROUPS] = fixture->top.first[VIEW_CGROUPS] = 0;
        assert_int_equal(top_frame(&fixture->top, 80, 0, &frame), 0);
        assert_int_equal(frame.rows_shown, 6);
        assert_int_equal(frame.count, 10);
        assert_int_equal(frame.lines[4].look, LOOK_PLAIN);
        frame_deinit(&frame);
}

static void test_attributes(void **state)
{
        struct fixture *fixture = *state;
        struct top *top = &fixture->top;

        assert_int_equal(attributes_of(top, LOOK_PLAIN), A_NORMAL);
        assert_int_equal(attributes_of(top, LOOK_TITLE), A_BOLD);
        assert_int_equal(attributes_of(top, LOOK_HEADER), A_REVERSE);
        assert_int_equal(attributes_of(top, LOOK_SELECTED), A_REVERSE | A_BOLD);
        assert_int_equal(attributes_of(top, LOOK_DIM), A_DIM);
        /* Without colours there is still a difference. */
        assert_int_equal(attributes_of(top, LOOK_HIGH), A_BOLD);
        assert_int_equal(attributes_of(top, LOOK_MAX), A_BOLD | A_UNDERLINE);
        top->colors = true;
        assert_int_equal(attributes_of(top, LOOK_HIGH), A_BOLD | COLOR_PAIR(COLOR_YELLOW));
        assert_int_equal(attributes_of(top, LOOK_MAX), A_BOLD | COLOR_PAIR(COLOR_RED));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_moving, setup, teardown),
                cmocka_unit_test_setup_teardown(test_moving_in_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_scrolling, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(test_delay_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(test_other_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refresh, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refresh_of_some, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refresh_that_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
                cmocka_unit_test_setup_teardown(test_selection, setup, teardown),
                cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_globs_of_objects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
                cmocka_unit_test_setup_teardown(test_titles, setup, teardown),
                cmocka_unit_test_setup_teardown(test_selected_line, setup, teardown),
                cmocka_unit_test_setup_teardown(test_attributes, setup, teardown),
        };

        if (!setlocale(LC_ALL, "C.UTF-8"))
                return 1;
        return cmocka_run_group_tests_name("ctl-top", tests, NULL, NULL);
}
