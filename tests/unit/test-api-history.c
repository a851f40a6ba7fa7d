/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A long history as the answer of GetHistory: in several replies to who takes them, else in one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/api-methods.h"
#include "serve/varlink.h"

/* What a call answers, in place of the client that it does not have. */
static json_t *replies;

static int take_reply(const char *text, size_t size, bool continues)
{
        json_t *reply = json_loadb(text, size, 0, NULL);

        assert_non_null(reply);
        json_object_set_new(reply, "size", json_integer((json_int_t) size));
        json_object_set_new(reply, "continues", json_boolean(continues));
        json_array_append_new(replies, reply);
        return 0;
}

static char refused[128];

static int take_error(const char *name, const char *value)
{
        snprintf(refused, sizeof(refused), "%s %s", name, value);
        return 0;
}

#define api_error(call, error, key, value)              take_error(error, value)
#define varlink_reply_text(call, text, size, continues) take_reply(text, size, continues)
#define varlink_stream_holds(call, size)                ((void) (size))
#define varlink_resume(call)                            ((void) 0)
#include "serve/api-history.c"

#define WORKLOADS 3000
#define EVENTS    4000

static void make_result(struct history_result *result)
{
        *result = (struct history_result){
                .series = calloc(WORKLOADS, sizeof(*result->series)),
                .events = calloc(EVENTS, sizeof(*result->events)),
                .series_count = WORKLOADS,
                .event_count = EVENTS,
                .begin = 5,
        };
        assert_non_null(result->series);
        assert_non_null(result->events);
        for (size_t i = 0; i < WORKLOADS; i++) {
                struct history_series *series = &result->series[i];

                series->id = i + 1;
                assert_true(asprintf(&series->name, "w%zu", i) > 0);
        }
        for (size_t i = 0; i < EVENTS; i++) {
                result->events[i].series = 1 + i % WORKLOADS;
                result->events[i].note.sec = i;
        }
}

static void free_result(struct history_result *result)
{
        for (size_t i = 0; i < result->series_count; i++)
                free(result->series[i].name);
        free(result->series);
        free(result->events);
}

/* Answers with @result, to a client that takes several replies or not. */
static void answer(const struct history_result *result, bool many)
{
        struct waiting *waiting = calloc(1, sizeof(*waiting));

        assert_non_null(waiting);
        *waiting = (struct waiting){ .write = write_history, .many = many };
        replies = json_array();
        on_answer(waiting, result, 0);
        do
                assert_int_equal(reply(waiting, NULL), 0);
        while (json_is_true(json_object_get(json_array_get(replies, json_array_size(replies) - 1), "continues")));
        assert_int_equal(waiting->reply, waiting->reply_count);
        waiting_free(waiting);
}

/* All replies together have each workload and each event once, in order. */
static void assert_complete(void)
{
        size_t workload = 0, event = 0, i, k;
        json_t *part, *element;

        json_array_foreach(replies, i, part)
        {
                assert_int_equal(json_integer_value(json_object_get(part, "beginUSec")), 5 * 3600000000);
                json_array_foreach(json_object_get(part, "workloads"), k, element)
                {
                        char name[16];

                        snprintf(name, sizeof(name), "w%zu", workload++);
                        assert_string_equal(json_string_value(json_object_get(element, "name")), name);
                }
                json_array_foreach(json_object_get(part, "events"), k, element)
                {
                        assert_int_equal(json_integer_value(json_object_get(element, "usec")), event * 1000000);
                        event++;
                }
        }
        assert_int_equal(workload, WORKLOADS);
        assert_int_equal(event, EVENTS);
}

static void test_several_replies(void **state)
{
        struct history_result result;
        json_t *part;
        size_t i;

        (void) state;
        make_result(&result);
        answer(&result, true);
        assert_true(json_array_size(replies) > 3);
        json_array_foreach(replies, i, part)
        {
                assert_true(json_integer_value(json_object_get(part, "size")) < REPLY_SIZE + 1024);
        }
        assert_complete();
        json_decref(replies);
        free_result(&result);
}

static void test_one_reply(void **state)
{
        struct history_result result;

        (void) state;
        make_result(&result);
        answer(&result, false);
        assert_int_equal(json_array_size(replies), 1);
        assert_complete();
        json_decref(replies);
        free_result(&result);
}

/* Nothing of a name is an error, of a glob or of all it is not. */
static void test_unknown(void **state)
{
        static const struct {
                const char *glob, *error;
        } cases[] = {
                { "a.service", "io.bpfbudget.NoSuchWorkload a.service" },
                { "a*", "" },
                { NULL, "" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct history_result result = { .query.glob = (char *) cases[i].glob };
                struct waiting *waiting = calloc(1, sizeof(*waiting));

                assert_non_null(waiting);
                waiting->write = write_history;
                replies = json_array();
                *refused = '\0';
                on_answer(waiting, &result, 0);
                assert_int_equal(reply(waiting, NULL), 0);
                assert_string_equal(refused, cases[i].error);
                assert_int_equal(json_array_size(replies), *refused ? 0 : 1);
                json_decref(replies);
                waiting_free(waiting);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_several_replies),
                cmocka_unit_test(test_one_reply),
                cmocka_unit_test(test_unknown),
        };

        return cmocka_run_group_tests_name("api-history", tests, NULL, NULL);
}
