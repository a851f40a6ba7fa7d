/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The API of the running daemon, asked over its socket, against objects that were made for it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "harness.h"
#include "tests/client.h"

#define TIMEOUT_MSEC 60000

/* Any user but root. */
#define OWNER_UID 4242

static const struct map_case array_map = {
        .type = BPF_MAP_TYPE_ARRAY,
        .key_size = 4,
        .value_size = 1024,
        .max_entries = 1024,
        .count = 1,
};

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static void connect_to(struct client *client, const struct live_daemon *daemon)
{
        int r = client_connect(client, daemon->socket);

        if (r < 0)
                fail_msg("%s: %s", daemon->socket, strerror(-r));
}

/* The next reply, parsed. */
static json_t *receive(struct client *client)
{
        json_error_t error;
        size_t length;
        const char *text = client_receive(client, TIMEOUT_MSEC, &length);
        json_t *reply;

        if (!text)
                fail_msg("no reply came");
        reply = json_loadb(text, length, 0, &error);
        if (!reply)
                fail_msg("not JSON at %d: %s", error.position, error.text);
        return reply;
}

static void send_call(struct client *client, const char *method, json_t *parameters, bool more)
{
        json_t *call = json_pack("{ss+ so* sb}", "method", strchr(method, '.') ? "" : "io.bpfbudget.", method,
                        "parameters", parameters, "more", more);
        _cleanup_free_ char *text = json_dumps(call, 0);

        assert_non_null(text);
        assert_int_equal(client_send(client, text), 0);
        json_decref(call);
}

/* The parameters of the reply, which is no error. @parameters are taken over. */
static json_t *call(struct client *client, const char *method, json_t *parameters)
{
        json_t *reply, *answer;

        send_call(client, method, parameters, false);
        reply = receive(client);
        if (json_object_get(reply, "error"))
                fail_msg("%s: %s", method, json_dumps(reply, 0));
        answer = json_incref(json_object_get(reply, "parameters"));
        json_decref(reply);
        return answer;
}

static void call_done(struct client *client, const char *method, json_t *parameters)
{
        json_decref(call(client, method, parameters));
}

/* The call is answered with @error; what is in @expected, taken over, is in its parameters. */
static void call_fails(
                struct client *client, const char *method, json_t *parameters, const char *error, json_t *expected)
{
        json_t *reply, *value;
        const char *key, *name;

        send_call(client, method, parameters, false);
        reply = receive(client);
        name = json_string_value(json_object_get(reply, "error"));
        if (!name || strcmp(name, error) != 0)
                fail_msg("%s: not %s but %s", method, error, json_dumps(reply, 0));
        json_object_foreach(expected, key, value)
        {
                if (!json_equal(value, json_object_get(json_object_get(reply, "parameters"), key)))
                        fail_msg("%s: %s: %s", method, key, json_dumps(reply, 0));
        }
        json_decref(expected);
        json_decref(reply);
}

static json_t *get_cgroup(struct client *client, const char *path)
{
        json_t *answer = call(client, "GetCgroup", json_pack("{ss}", "cgroup", path));
        json_t *cgroup = json_incref(json_object_get(answer, "cgroup"));

        json_decref(answer);
        return cgroup;
}

/* What the next reply of a stream has in @name; *more: another one follows. */
static json_t *take_reply(struct client *client, const char *name, int *more)
{
        json_t *reply = receive(client), *elements;

        assert_null(json_object_get(reply, "error"));
        *more = json_is_true(json_object_get(reply, "continues"));
        elements = json_incref(json_object_get(json_object_get(reply, "parameters"), name));
        json_decref(reply);
        return elements;
}

/* Appends what all replies of the stream have in @name to one array. */
static json_t *collect(struct client *client, const char *method, json_t *parameters, const char *name, int *replies)
{
        json_t *all = json_array(), *some;
        int more = 1;

        send_call(client, method, parameters, true);
        for (*replies = 0; more; ++*replies) {
                some = take_reply(client, name, &more);
                json_array_extend(all, some);
                json_decref(some);
        }
        return all;
}

static const char *text_of(json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

struct fixture {
        struct live_daemon daemon;
        struct client client;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64];
};

/* A daemon, and a cgroup with one map. */
static void begin(struct fixture *f, const struct map_case *map)
{
        config_make(f->config);
        live_start_with(&f->daemon, NULL, f->config);
        connect_to(&f->client, &f->daemon);
        cgroup_make(&f->cgroup, NULL, "varlink");
        worker_start(&f->worker, &f->cgroup, create_maps, (void *) map);
        call_done(&f->client, "Flush", NULL);
}

static void end(struct fixture *f)
{
        worker_end(&f->worker);
        client_close(&f->client);
        assert_int_equal(live_end(&f->daemon), 0);
        cgroup_remove(&f->cgroup);
}

/* Over varlink comes what the daemon reports otherwise. */
static void test_get_cgroup(void **state)
{
        struct fixture f;
        json_t *cgroup, *report, *expected, *answer;

        (void) state;
        begin(&f, &array_map);
        cgroup = get_cgroup(&f.client, f.cgroup.path);
        report = live_report(&f.daemon);
        expected = find_cgroup(report, f.cgroup.path);
        assert_non_null(expected);
        assert_true(json_equal(json_object_get(cgroup, "bpf"), json_object_get(expected, "bpf")));
        assert_true(number(cgroup, "bpf", "maps") > 1024 * 1024);
        assert_int_equal(number(cgroup, NULL, "id"), f.cgroup.id);
        assert_true(json_is_null(json_object_get(cgroup, "budget")));
        json_decref(report);
        json_decref(cgroup);

        answer = call(&f.client, "ListCgroups",
                        json_pack("{ss si}", "cgroup", "/bpfbudget-test-*-varlink", "minimum", 1));
        assert_int_equal(json_array_size(json_object_get(answer, "cgroups")), 1);
        json_decref(answer);
        answer = call(&f.client, "ListCgroups", json_pack("{ss}", "state", "ok"));
        assert_int_equal(json_array_size(json_object_get(answer, "cgroups")), 0);
        json_decref(answer);
        end(&f);
}

/* One that holds nothing is there all the same; what is no cgroup is not, and makes none. */
static void test_which_cgroups(void **state)
{
        static const char *const none[] = { "/memory.stat", "/no-such-cgroup", "/no/such" };
        static const char *const invalid[] = { "", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/../b", "/../etc" };
        struct test_cgroup empty;
        struct fixture f;
        json_t *cgroup;

        (void) state;
        begin(&f, &array_map);
        cgroup_make(&empty, NULL, "empty");
        cgroup = get_cgroup(&f.client, empty.path);
        assert_int_equal(number(cgroup, NULL, "id"), empty.id);
        assert_int_equal(number(cgroup, "bpf", "allocated"), 0);
        assert_true(json_is_true(json_object_get(cgroup, "exists")));
        json_decref(cgroup);
        cgroup_remove(&empty);
        call_fails(&f.client, "GetCgroup", json_pack("{ss}", "cgroup", empty.path), "io.bpfbudget.NoSuchCgroup", NULL);
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
                call_fails(&f.client, "GetCgroup", json_pack("{ss}", "cgroup", none[i]), "io.bpfbudget.NoSuchCgroup",
                                json_pack("{ss}", "cgroup", none[i]));
        for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
                call_fails(&f.client, "GetCgroup", json_pack("{ss}", "cgroup", invalid[i]), "io.bpfbudget.InvalidName",
                                NULL);
        end(&f);
}

static void test_list_objects(void **state)
{
        struct map_case maps = array_map;
        struct fixture f;
        json_t *answer, *objects, *object, *holder;

        (void) state;
        maps.count = 3;
        begin(&f, &maps);
        answer = call(&f.client, "ListObjects",
                        json_pack("{ss ss ss ss si sb sb sb}", "cgroup", f.cgroup.path, "kind", "map", "type", "array",
                                        "name", "bb_*", "minimum", 1024 * 1024, "holders", true, "pins", true, "uses",
                                        true));
        objects = json_object_get(answer, "objects");
        assert_int_equal(json_array_size(objects), 3);
        object = json_array_get(objects, 0);
        assert_string_equal(text_of(object, "name"), "bb_test");
        assert_int_equal(number(object, NULL, "maxEntries"), 1024);
        assert_int_equal(json_array_size(json_object_get(object, "holders")), 1);
        holder = json_array_get(json_object_get(object, "holders"), 0);
        assert_int_equal(number(holder, NULL, "pid"), f.worker.pid);
        assert_string_equal(text_of(holder, "cgroup"), f.cgroup.path);
        assert_int_equal(json_array_size(json_object_get(object, "pins")), 0);
        assert_int_equal(json_array_size(json_object_get(object, "usedBy")), 0);
        json_decref(answer);

        /* Not asked for, not there; and filters that nothing passes. */
        answer = call(&f.client, "ListObjects", json_pack("{ss}", "cgroup", f.cgroup.path));
        object = json_array_get(json_object_get(answer, "objects"), 0);
        assert_null(json_object_get(object, "holders"));
        json_decref(answer);
        for (int i = 0; i < 4; i++) {
                static const char *const keys[][2] = { { "kind", "program" }, { "type", "hash" }, { "name", "bb" } };
                json_t *parameters = json_pack("{ss}", "cgroup", f.cgroup.path);

                if (i == 3)
                        json_object_set_new(parameters, "minimum", json_integer(1 << 30));
                else
                        json_object_set_new(parameters, keys[i][0], json_string(keys[i][1]));
                answer = call(&f.client, "ListObjects", parameters);
                assert_int_equal(json_array_size(json_object_get(answer, "objects")), 0);
                json_decref(answer);
        }
        end(&f);
}

/* How many of @objects are of the cgroup at @path. */
static size_t count_objects_of(json_t *objects, const char *path)
{
        size_t i, count = 0;
        json_t *object;

        json_array_foreach(objects, i, object)
        {
                count += strcmp(text_of(object, "cgroup"), path) == 0;
        }
        return count;
}

/* Ends the worker and waits until the daemon knows that its objects are gone; @client is another connection. */
static void end_worker(struct fixture *f, struct client *client)
{
        size_t left = 1;

        worker_end(&f->worker);
        while (left > 0) {
                json_t *cgroup;

                call_done(client, "Flush", NULL);
                cgroup = get_cgroup(client, f->cgroup.path);
                left = number(cgroup, "bpf", "objects");
                json_decref(cgroup);
        }
}

/* Too many for one reply, in a stream; those that go meanwhile are left out, and nothing else is. */
static void test_many_objects(void **state)
{
        struct map_case maps = {
                .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 256, .max_entries = 1, .count = 12000
        };
        /* Smaller, and so the last ones of the list. */
        struct map_case small = {
                .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1, .count = 10
        };
        char glob[sizeof(((struct test_cgroup *) NULL)->path) + 1];
        struct test_cgroup cgroup;
        struct worker worker;
        struct client other;
        struct fixture f;
        json_t *objects, *rest;
        int replies;

        (void) state;
        begin(&f, &maps);
        cgroup_make(&cgroup, NULL, "varlink-small");
        worker_start(&worker, &cgroup, create_maps, &small);
        call_fails(&f.client, "ListObjects", json_pack("{ss}", "cgroup", f.cgroup.path), "io.bpfbudget.ReplyTooLarge",
                        NULL);
        snprintf(glob, sizeof(glob), "%s*", f.cgroup.path);
        call_done(&f.client, "Flush", NULL);
        objects = collect(&f.client, "ListObjects", json_pack("{ss}", "cgroup", glob), "objects", &replies);
        assert_int_equal(json_array_size(objects), maps.count + small.count);
        assert_int_equal(count_objects_of(objects, cgroup.path), small.count);
        assert_true(replies > 20);
        json_decref(objects);

        /* The first reply is made before they go; the last ones, for which there is no room, after. */
        connect_to(&other, &f.daemon);
        send_call(&f.client, "ListObjects", json_pack("{ss}", "cgroup", glob), true);
        objects = take_reply(&f.client, "objects", &replies);
        assert_in_range(json_array_size(objects), 1, maps.count / 10);
        assert_int_equal(replies, 1);
        end_worker(&f, &other);
        for (; replies > 0; json_decref(rest)) {
                rest = take_reply(&f.client, "objects", &replies);
                json_array_extend(objects, rest);
        }
        assert_true(json_array_size(objects) < maps.count / 2);
        assert_int_equal(count_objects_of(objects, cgroup.path), small.count);
        json_decref(objects);
        client_close(&other);
        worker_end(&worker);
        cgroup_remove(&cgroup);
        worker_start(&f.worker, &f.cgroup, create_maps, (void *) &array_map);
        end(&f);
}

static void create_percpu(void *argument)
{
        const struct map_case map = {
                .type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 1024, .max_entries = 4096, .count = 1
        };

        (void) argument;
        create_maps((void *) &map);
}

/* What is charged to nobody is named, with who holds it. On v2 a cgroup has processes or children. */
static void test_explain(void **state)
{
        struct test_cgroup top, charged, percpu;
        struct worker workers[2];
        struct fixture f;
        json_t *answer, *object, *share;
        size_t i;
        int64_t sum = 0;

        (void) state;
        begin(&f, &array_map);
        cgroup_make(&top, NULL, "explain");
        cgroup_make(&charged, &top, "charged");
        cgroup_make(&percpu, &top, "percpu");
        worker_start(&workers[0], &charged, create_maps, (void *) &array_map);
        worker_start(&workers[1], &percpu, create_percpu, NULL);
        call_done(&f.client, "Flush", NULL);
        answer = call(&f.client, "Explain", json_pack("{ss}", "cgroup", top.path));
        assert_true(number(answer, NULL, "bpfCharged") >= 1024 * 1024);
        assert_true(number(answer, NULL, "bpfUncharged") >= 4096 * 1024);
        assert_true(number(answer, NULL, "memoryCurrent") >= 1024 * 1024);
        assert_true(json_is_null(json_object_get(answer, "memoryMax")));
        object = json_array_get(json_object_get(answer, "objects"), 0);
        assert_string_equal(text_of(object, "type"), "percpu_array");
        object = json_array_get(json_object_get(object, "holders"), 0);
        assert_int_equal(number(object, NULL, "pid"), workers[1].pid);
        assert_string_equal(text_of(object, "cgroup"), percpu.path);
        assert_non_null(strstr(text_of(answer, "verdict"), "map bb_test (percpu_array)"));
        assert_non_null(strstr(text_of(answer, "verdict"), "is uncharged"));
        json_array_foreach(json_object_get(answer, "shares"), i, share)
        {
                if (strcmp(text_of(share, "name"), "bpf") == 0)
                        assert_int_equal(number(share, NULL, "bytes"), number(answer, NULL, "bpfCharged"));
                if (!json_is_true(json_object_get(share, "detail")))
                        sum += number(share, NULL, "bytes");
        }
        assert_true(sum > 1024 * 1024);
        json_decref(answer);
        call_fails(&f.client, "Explain", NULL, "org.varlink.service.InvalidParameter",
                        json_pack("{ss}", "parameter", "cgroup"));
        call_fails(&f.client, "Explain", json_pack("{ss ss}", "cgroup", "/", "unit", "a"),
                        "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "unit"));
        call_fails(&f.client, "Explain", json_pack("{ss}", "unit", "no-such-unit"), "io.bpfbudget.NoSuchUnit", NULL);
        for (i = 0; i < 2; i++)
                worker_end(&workers[i]);
        cgroup_remove(&percpu);
        cgroup_remove(&charged);
        cgroup_remove(&top);
        end(&f);
}

static json_t *next_event(struct client *client)
{
        json_t *reply = receive(client), *event;

        assert_true(json_is_true(json_object_get(reply, "continues")));
        event = json_incref(json_object_get(json_object_get(reply, "parameters"), "event"));
        json_decref(reply);
        return event;
}

/* The reply that comes before all events. */
static void expect_start(struct client *client)
{
        json_t *event = next_event(client);

        assert_true(json_is_null(event));
        json_decref(event);
}

/* A budget at run time: in force at once, told to whoever subscribed, and gone again. */
static void test_budget(void **state)
{
        struct client subscriber, elsewhere;
        struct fixture f;
        json_t *cgroup, *answer, *budget, *event;
        size_t length;

        (void) state;
        begin(&f, &array_map);
        connect_to(&subscriber, &f.daemon);
        send_call(&subscriber, "Subscribe", json_pack("{ss s[s]}", "cgroup", f.cgroup.path, "kinds", "state"), true);
        expect_start(&subscriber);
        connect_to(&elsewhere, &f.daemon);
        send_call(&elsewhere, "Subscribe", json_pack("{ss}", "cgroup", "/elsewhere"), true);
        expect_start(&elsewhere);

        call_done(&f.client, "SetBudget",
                        json_pack("{ss si si si ss}", "cgroup", f.cgroup.path, "high", 500000, "max", 100000000,
                                        "mapsMax", 5, "count", "charged"));
        event = next_event(&subscriber);
        assert_string_equal(text_of(event, "kind"), "state");
        assert_string_equal(text_of(event, "cgroup"), f.cgroup.path);
        assert_string_equal(text_of(event, "from"), "ok");
        assert_string_equal(text_of(event, "to"), "high");
        assert_string_equal(text_of(event, "limit"), "High");
        assert_int_equal(number(event, NULL, "high"), 500000);
        assert_true(number(event, NULL, "usage") > 1024 * 1024);
        json_decref(event);

        cgroup = get_cgroup(&f.client, f.cgroup.path);
        budget = json_object_get(cgroup, "budget");
        assert_string_equal(text_of(budget, "state"), "high");
        assert_string_equal(text_of(budget, "count"), "charged");
        assert_int_equal(number(budget, NULL, "mapsMax"), 5);
        assert_int_equal(number(budget, "events", "high"), 1);
        json_decref(cgroup);
        answer = call(&f.client, "ListBudgets", NULL);
        budget = json_array_get(json_object_get(answer, "budgets"), 0);
        assert_true(json_is_true(json_object_get(budget, "runtime")));
        assert_int_equal(number(budget, NULL, "cgroups"), 1);
        json_decref(answer);
        answer = call(&f.client, "ListCgroups", json_pack("{ss}", "state", "high"));
        assert_int_equal(json_array_size(json_object_get(answer, "cgroups")), 1);
        json_decref(answer);

        /* Another one replaces it. */
        call_done(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", f.cgroup.path, "max", 1000));
        event = next_event(&subscriber);
        assert_string_equal(text_of(event, "to"), "max");
        json_decref(event);
        call_done(&f.client, "UnsetBudget", json_pack("{ss}", "cgroup", f.cgroup.path));
        cgroup = get_cgroup(&f.client, f.cgroup.path);
        assert_true(json_is_null(json_object_get(cgroup, "budget")));
        json_decref(cgroup);
        call_fails(&f.client, "UnsetBudget", json_pack("{ss}", "cgroup", f.cgroup.path), "io.bpfbudget.NoSuchBudget",
                        json_pack("{ss}", "cgroup", f.cgroup.path));
        /* Nothing of it came to who asked for another cgroup. */
        assert_null(client_receive(&elsewhere, 100, &length));
        client_close(&subscriber);
        client_close(&elsewhere);
        end(&f);
}

/* Who does not read loses events, and is told of each: with the next event, or when it has caught up. */
static void test_slow_subscriber(void **state)
{
        struct client subscriber;
        struct fixture f;
        json_int_t told = 0, lost = 0;
        int sent = 0, small = 1;

        (void) state;
        begin(&f, &array_map);
        connect_to(&subscriber, &f.daemon);
        setsockopt(subscriber.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        send_call(&subscriber, "Subscribe", json_pack("{ss}", "cgroup", f.cgroup.path), true);
        expect_start(&subscriber);
        /* Over Max and back: an event each. A backlog of 256 KiB and the kernel's buffer are full before the end, and
         * the end comes before who has not read for a minute is let go, on a busy machine, too. */
        for (; sent < 1200; sent++) {
                json_int_t max = sent % 2 ? 1 << 30 : 1;

                call_done(&f.client, "SetBudget", json_pack("{ss sI}", "cgroup", f.cgroup.path, "max", max));
                /* The pipe of its log is not endless. */
                free(live_log(&f.daemon));
        }
        while (told + lost < sent) {
                json_t *reply = receive(&subscriber), *parameters = json_object_get(reply, "parameters");

                told += !json_is_null(json_object_get(parameters, "event"));
                lost += number(parameters, NULL, "lost");
                json_decref(reply);
        }
        assert_int_equal(told + lost, sent);
        assert_true(lost > 0);
        assert_true(told > 500);
        client_close(&subscriber);
        end(&f);
}

static void test_invalid_budget(void **state)
{
        static const struct {
                const char *field;
                json_int_t value;
        } wrong[] = {
                { "high", -1 },
                { "max", INT64_MIN },
                { "mapsMax", 1LL << 32 },
                { "programsMax", -5 },
                { "footprintRatioHigh", 0 },
                { "footprintRatioHigh", 1000001 },
                { "clearPercent", 0 },
                { "clearPercent", 101 },
        };
        struct fixture f;
        json_t *answer;

        (void) state;
        begin(&f, &array_map);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                call_fails(&f.client, "SetBudget",
                                json_pack("{ss sI}", "cgroup", f.cgroup.path, wrong[i].field, wrong[i].value),
                                "io.bpfbudget.InvalidBudget", json_pack("{ss}", "field", wrong[i].field));
        call_fails(&f.client, "SetBudget", json_pack("{ss si si}", "cgroup", f.cgroup.path, "high", 2, "max", 1),
                        "io.bpfbudget.InvalidBudget", json_pack("{ss}", "field", "high"));
        call_fails(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", "/no-such-cgroup", "high", 2),
                        "io.bpfbudget.NoSuchCgroup", NULL);
        call_fails(&f.client, "SetBudget", json_pack("{ss ss}", "cgroup", f.cgroup.path, "onMax", "throttle"),
                        "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "onMax"));
        answer = call(&f.client, "ListBudgets", NULL);
        assert_int_equal(json_array_size(json_object_get(answer, "budgets")), 0);
        json_decref(answer);
        end(&f);
}

/* With an error in another file nothing changes, neither in force nor on disk. */
static void test_invalid_configuration(void **state)
{
        _cleanup_free_ char *file = NULL;
        struct fixture f;
        json_t *cgroup, *reply;
        const char *text;

        (void) state;
        begin(&f, &array_map);
        call_done(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", f.cgroup.path, "max", 7000));
        config_write(f.config, "bad.budget", "[Match]\nCgroup=/x\n[Budget]\nMax=lots\n");
        send_call(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", f.cgroup.path, "max", 8000), false);
        reply = receive(&f.client);
        assert_string_equal(text_of(reply, "error"), "io.bpfbudget.InvalidConfiguration");
        text = json_string_value(json_array_get(json_object_get(json_object_get(reply, "parameters"), "errors"), 0));
        assert_non_null(text);
        assert_non_null(strstr(text, "bad.budget:4: Max=lots"));
        json_decref(reply);
        call_fails(&f.client, "UnsetBudget", json_pack("{ss}", "cgroup", f.cgroup.path),
                        "io.bpfbudget.InvalidConfiguration", NULL);
        call_fails(&f.client, "Reload", NULL, "io.bpfbudget.InvalidConfiguration", NULL);
        assert_true(asprintf(&file, "%s/bad.budget", f.config) > 0);
        unlink(file);
        call_done(&f.client, "Reload", NULL);
        cgroup = get_cgroup(&f.client, f.cgroup.path);
        assert_int_equal(number(json_object_get(cgroup, "budget"), NULL, "max"), 7000);
        json_decref(cgroup);
        end(&f);
}

/* The socket is root's and the group's: its mode is what keeps others out. */
static void let_all_in(const struct fixture *f)
{
        assert_int_equal(chmod(f->daemon.socket, 0666), 0);
        assert_int_equal(chmod(f->config, 0711), 0);
}

/* In a child: what fails there ends it, instead of going on with the next test. */
static void be_user(uid_t uid)
{
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
                _exit(1);
}

/* Runs @body as another user; what fails there fails here. */
static void as_user(uid_t uid, const struct fixture *f, void (*body)(struct client *client, const struct fixture *f))
{
        int status;
        pid_t pid;

        let_all_in(f);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct client client;

                be_user(uid);
                connect_to(&client, &f->daemon);
                body(&client, f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void be_a_stranger(struct client *client, const struct fixture *f)
{
        json_decref(get_cgroup(client, f->cgroup.path));
        call_done(client, "Flush", NULL);
        call_fails(client, "Reload", NULL, "io.bpfbudget.NotPermitted", NULL);
        call_fails(client, "SetBudget", json_pack("{ss si}", "cgroup", f->cgroup.path, "max", 1),
                        "io.bpfbudget.NotPermitted", NULL);
        call_fails(client, "UnsetBudget", json_pack("{ss}", "cgroup", f->cgroup.path), "io.bpfbudget.NotPermitted",
                        NULL);
}

static void be_the_owner(struct client *client, const struct fixture *f)
{
        json_t *cgroup, *budget;

        call_fails(client, "SetBudget", json_pack("{ss si}", "cgroup", f->cgroup.path, "max", 70001),
                        "io.bpfbudget.NotPermitted", NULL);
        call_fails(client, "SetBudget", json_pack("{ss si si}", "cgroup", f->cgroup.path, "max", 1000, "mapsMax", 1),
                        "io.bpfbudget.NotPermitted", NULL);
        call_fails(client, "SetBudget", json_pack("{ss si}", "cgroup", "/", "max", 1), "io.bpfbudget.NotPermitted",
                        NULL);
        call_done(client, "SetBudget", json_pack("{ss si si}", "cgroup", f->cgroup.path, "high", 500, "max", 60000));
        cgroup = get_cgroup(client, f->cgroup.path);
        budget = json_object_get(cgroup, "budget");
        assert_int_equal(number(budget, NULL, "max"), 60000);
        assert_int_equal(number(budget, NULL, "high"), 500);
        json_decref(cgroup);
}

static void be_the_owner_again(struct client *client, const struct fixture *f)
{
        json_t *cgroup;

        call_done(client, "UnsetBudget", json_pack("{ss}", "cgroup", f->cgroup.path));
        cgroup = get_cgroup(client, f->cgroup.path);
        assert_int_equal(number(json_object_get(cgroup, "budget"), NULL, "max"), 50000);
        assert_true(json_is_null(json_object_get(json_object_get(cgroup, "budget"), "high")));
        json_decref(cgroup);
}

static void test_users(void **state)
{
        struct fixture f;
        struct stat st;
        json_t *cgroup;

        (void) state;
        begin(&f, &array_map);
        assert_int_equal(stat(f.daemon.socket, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(st.st_uid, 0);
        as_user(OWNER_UID, &f, be_a_stranger);
        assert_int_equal(chown(f.cgroup.directory, OWNER_UID, OWNER_UID), 0);
        call_done(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", f.cgroup.path, "max", 70000));
        as_user(OWNER_UID, &f, be_the_owner);
        /* Root's own limits may become lower than the owner's, and hold then; the owner's stay over a reload. */
        call_done(&f.client, "SetBudget", json_pack("{ss si}", "cgroup", f.cgroup.path, "max", 50000));
        cgroup = get_cgroup(&f.client, f.cgroup.path);
        assert_int_equal(number(json_object_get(cgroup, "budget"), NULL, "max"), 50000);
        assert_int_equal(number(json_object_get(cgroup, "budget"), NULL, "high"), 500);
        json_decref(cgroup);
        as_user(OWNER_UID, &f, be_the_owner_again);
        end(&f);
}

/* Has @count connections, and a closed one if that is all a user may have; tells @ready and waits to be killed. */
static void have_connections(const struct fixture *f, size_t count, int ready)
{
        struct client clients[64], one_more;
        size_t length;

        for (size_t i = 0; i < count; i++) {
                connect_to(&clients[i], &f->daemon);
                json_decref(get_cgroup(&clients[i], "/"));
        }
        if (count == 64) {
                connect_to(&one_more, &f->daemon);
                assert_null(client_receive(&one_more, TIMEOUT_MSEC, &length));
        }
        assert_int_equal(write(ready, "", 1), 1);
        for (;;)
                pause();
}

/* A stranger's connection is closed: there are as many as there may be. */
static void be_one_too_many(struct client *client, const struct fixture *f)
{
        size_t length;

        (void) f;
        assert_null(client_receive(client, TIMEOUT_MSEC, &length));
}

/*
 * As many connections as there may be, and as a user may have: one more is closed, and the others are served. There is
 * always room for root.
 */
static void test_client_limits(void **state)
{
        struct client one_more;
        struct fixture f;
        pid_t users[4];
        size_t length;
        json_t *answer;
        int status, ready[2];
        char byte;

        (void) state;
        begin(&f, &array_map);
        let_all_in(&f);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        for (size_t i = 0; i < 4; i++) {
                users[i] = fork();
                assert_true(users[i] >= 0);
                if (users[i] == 0) {
                        be_user(OWNER_UID + i);
                        have_connections(&f, 64, ready[1]);
                }
        }
        close(ready[1]);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(read(ready[0], &byte, 1), 1);
        answer = call(&f.client, "GetStatistics", NULL);
        assert_int_equal(number(json_object_get(answer, "statistics"), NULL, "clients"), 257);
        json_decref(answer);
        as_user(OWNER_UID + 4, &f, be_one_too_many);
        connect_to(&one_more, &f.daemon);
        json_decref(get_cgroup(&one_more, "/"));
        client_close(&one_more);
        for (size_t i = 0; i < 4; i++) {
                kill(users[i], SIGKILL);
                assert_int_equal(waitpid(users[i], &status, 0), users[i]);
        }
        close(ready[0]);
        /* There is room again. */
        do {
                answer = call(&f.client, "GetStatistics", NULL);
                length = number(json_object_get(answer, "statistics"), NULL, "clients");
                json_decref(answer);
        } while (length > 1);
        connect_to(&one_more, &f.daemon);
        json_decref(get_cgroup(&one_more, "/"));
        client_close(&one_more);
        end(&f);
}

static void test_daemon_itself(void **state)
{
        struct fixture f;
        json_t *answer, *statistics;

        (void) state;
        begin(&f, &array_map);
        answer = call(&f.client, "GetStatistics", NULL);
        statistics = json_object_get(answer, "statistics");
        assert_true(number(statistics, NULL, "flushes") > 0);
        assert_true(number(statistics, NULL, "objects") > 0);
        assert_int_equal(number(statistics, NULL, "clients"), 1);
        assert_int_equal(number(statistics, NULL, "overHigh"), 0);
        json_decref(answer);
        answer = call(&f.client, "GetCapabilities", NULL);
        assert_true(json_array_size(json_object_get(answer, "capabilities")) > 10);
        json_decref(answer);
        send_call(&f.client, "Subscribe", NULL, false);
        answer = receive(&f.client);
        assert_string_equal(text_of(answer, "error"), "org.varlink.service.ExpectedMore");
        json_decref(answer);
        end(&f);
}

static uint64_t monotonic_usec(void)
{
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/*
 * A query knows the map that was made just before it, also while the answer before is fresh otherwise (10 ms). It may
 * be four times as old as it takes to bring it up to date, which is at most what Flush takes: so long the test waits.
 */
static void test_up_to_date(void **state)
{
        struct fixture f;
        int within = 0;

        (void) state;
        begin(&f, &array_map);
        for (int i = 0; i < 20; i++) {
                struct test_cgroup cgroup;
                struct worker worker;
                uint64_t start, fresh;
                json_t *seen;

                cgroup_make(&cgroup, NULL, "fresh");
                worker_enter(&worker, &cgroup, create_maps, (void *) &array_map);
                start = monotonic_usec();
                call_done(&f.client, "Flush", NULL);
                fresh = monotonic_usec();
                worker_go(&worker);
                worker_wait(&worker);
                while (monotonic_usec() < fresh + 4 * (fresh - start))
                        usleep(100);
                within += monotonic_usec() - start < 10000;
                seen = get_cgroup(&f.client, cgroup.path);
                assert_true(number(seen, "bpf", "allocated") > 1024 * 1024);
                json_decref(seen);
                worker_end(&worker);
                cgroup_remove(&cgroup);
        }
        print_message("# %d of 20 queries came within 10 ms\n", within);
        end(&f);
}

/* The next message to the service manager's socket @fd; "": none came in @msec. */
static const char *next_message(int fd, int msec)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        static char message[4096];
        ssize_t n = 0;

        if (poll(&ready, 1, msec) == 1)
                n = recv(fd, message, sizeof(message) - 1, 0);
        assert_true(n >= 0);
        message[n] = '\0';
        return message;
}

/* Waits for a message that begins with @text, and is not surprised by STATUS= and WATCHDOG= before. */
static void expect_message(int fd, const char *text)
{
        const char *message;

        do {
                message = next_message(fd, TIMEOUT_MSEC);
                if (!*message)
                        fail_msg("the service manager is not told %s", text);
        } while (strncmp(message, text, strlen(text)) != 0 &&
                        (strncmp(message, "STATUS=", 7) == 0 || strcmp(message, "WATCHDOG=1") == 0));
        if (strncmp(message, text, strlen(text)) != 0)
                fail_msg("the service manager is told %s instead of %s", message, text);
}

/* What the service manager is told, and that the watchdog is fed in time while nothing happens. */
static void test_notify(void **state)
{
        static const uint64_t watchdog_usec = 2000000;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct live_daemon daemon;
        char config[64], text[32];
        const char *message;

        (void) state;
        config_make(config);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", config);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        snprintf(text, sizeof(text), "%llu", (unsigned long long) watchdog_usec);
        setenv("WATCHDOG_USEC", text, 1);
        live_start_with(&daemon, NULL, config);
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");

        message = next_message(fd, TIMEOUT_MSEC);
        if (strncmp(message, "STATUS=", 7) != 0 || !strstr(message, " of BPF memory, 0 over High"))
                fail_msg("the service manager is told %s", message);
        expect_message(fd, "READY=1");
        for (int i = 0; i < 2; i++) {
                uint64_t start = monotonic_usec(), waited = 0;

                do {
                        message = next_message(fd, (watchdog_usec - waited) / 1000);
                        waited = monotonic_usec() - start;
                } while (strncmp(message, "STATUS=", 7) == 0 && waited < watchdog_usec);
                assert_string_equal(message, "WATCHDOG=1");
        }
        assert_int_equal(kill(daemon.pid, SIGHUP), 0);
        expect_message(fd, "RELOADING=1\nMONOTONIC_USEC=");
        expect_message(fd, "READY=1");
        assert_int_equal(kill(daemon.pid, SIGTERM), 0);
        expect_message(fd, "STOPPING=1");
        assert_int_equal(live_reap(&daemon), 0);
        close(fd);
        unlink(address.sun_path);
}

/* Pins are found sixteen directories deep in a bpffs, and no deeper. */
static void test_pins(void **state)
{
        char mount_point[] = "/tmp/bpfbudget-test-XXXXXX", path[256];
        json_t *answer, *expected = json_array(), *object, *pins = NULL;
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        struct fixture f;
        size_t i;
        int fd;

        (void) state;
        begin(&f, &array_map);
        fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_pinned", 4, 8, 1, NULL);
        assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
        assert_non_null(mkdtemp(mount_point));
        assert_int_equal(mount("bpf", mount_point, "bpf", 0, NULL), 0);
        strcpy(path, mount_point);
        for (int depth = 0; depth <= 17; depth++) {
                size_t length = strlen(path);

                if (depth == 0 || depth >= 16) {
                        strcat(path, "/pinned");
                        bpf_obj_pin(fd, path);
                        /* By path: those in "d" come before "pinned". */
                        if (depth <= 16)
                                json_array_insert_new(expected, 0, json_string(path));
                        path[length] = '\0';
                }
                strcat(path, "/d");
                mkdir(path, 0700);
        }
        call_done(&f.client, "Flush", NULL);
        answer = call(&f.client, "ListObjects", json_pack("{ss sb}", "name", "bb_pinned", "pins", true));
        /* Not to be left behind by what fails. */
        assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
        rmdir(mount_point);
        close(fd);
        json_array_foreach(json_object_get(answer, "objects"), i, object)
        {
                if (number(object, NULL, "id") == info.id)
                        pins = json_object_get(object, "pins");
        }
        assert_true(json_equal(pins, expected));
        json_decref(expected);
        json_decref(answer);
        free(live_wait_log(&f.daemon, "deeper than 16 directories: not searched for pins"));
        end(&f);
}

/* How often the sensors have woken the daemon, and what they told it. */
static int64_t sensors_told(struct client *client)
{
        json_t *answer = call(client, "GetStatistics", NULL), *statistics = json_object_get(answer, "statistics");
        int64_t sum = number(statistics, NULL, "wakeups") + number(statistics, NULL, "updates") +
                      number(statistics, NULL, "flushes");

        json_decref(answer);
        return sum;
}

/* Who only listens costs no wake-up. Intervals in which sensors told of what others do are not looked at. */
static void test_idle_subscriber(void **state)
{
        struct live_daemon daemon;
        struct client clients[10];
        struct test_cgroup own;
        int quiet = 0;

        (void) state;
        cgroup_make(&own, NULL, "idle");
        live_start(&daemon, &own);
        for (size_t i = 1; i < 10; i++) {
                connect_to(&clients[i], &daemon);
                send_call(&clients[i], "Subscribe", NULL, true);
                expect_start(&clients[i]);
        }
        connect_to(&clients[0], &daemon);
        for (int i = 0; i < 200 && quiet < 20; i++) {
                int64_t before = sensors_told(&clients[0]);
                long switches;

                free(live_log(&daemon));
                /* It has to lie down after the answer. */
                sleep_msec(20);
                switches = live_switches(&daemon);
                sleep_msec(100);
                switches = live_switches(&daemon) - switches;
                if (sensors_told(&clients[0]) != before)
                        continue;
                assert_int_equal(switches, 0);
                quiet++;
        }
        assert_true(quiet > 0);
        for (size_t i = 0; i < 10; i++)
                client_close(&clients[i]);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&own);
}

/* Clients that send nonsense, stall, or go away: the daemon's memory stays where it is, and others are served. */
static void test_hostile_clients(void **state)
{
        _cleanup_free_ char *long_text = malloc(1 << 20);
        static const char *const texts[] = {
                "{",
                "x",
                "{\"method\":\"io.bpfbudget.GetCgroup\",\"parameters\":{\"cgroup\":5}}",
                "{\"method\":\"io.bpfbudget.ListObjects\",\"more\":true}",
                "{\"method\":\"io.bpfbudget.ListObjects\",\"parameters\":{\"holders\":true}}",
                "{\"method\":\"io.bpfbudget.Subscribe\",\"more\":true}",
                "{\"method\":\"io.bpfbudget.Explain\",\"parameters\":{\"cgroup\":\"/\"}}",
        };
        struct map_case maps = {
                .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1, .count = 2000
        };
        struct fixture f;
        long before = 0, after;

        (void) state;
        assert_non_null(long_text);
        memset(long_text, '[', (1 << 20) - 1);
        long_text[(1 << 20) - 1] = '\0';
        begin(&f, &maps);
        for (int round = 0; round < 60; round++) {
                struct client clients[8];

                for (size_t i = 0; i < 8; i++) {
                        connect_to(&clients[i], &f.daemon);
                        /* Never read; some half sent. */
                        if (i == 7)
                                client_send(&clients[i], long_text);
                        else if (round % 2)
                                client_send(&clients[i], texts[i]);
                        else
                                assert_true(write(clients[i].fd, texts[i], strlen(texts[i])) >= 0);
                }
                json_decref(get_cgroup(&f.client, f.cgroup.path));
                for (size_t i = 0; i < 8; i++)
                        client_close(&clients[i]);
                if (round == 10)
                        before = live_rss(&f.daemon);
        }
        json_decref(get_cgroup(&f.client, f.cgroup.path));
        after = live_rss(&f.daemon);
        print_message("# RSS after 88 and after 480 such clients: %ld and %ld KiB\n", before, after);
#if !HARNESS_ASAN
        assert_true(after < before + 1024);
#endif
        end(&f);
}

int main(void)
{
        struct CMUnitTest tests[24] = {};
        int r = harness_main();
        size_t n = 0;

        if (r > 0)
                return r;
#define TEST(function) \
        ((struct CMUnitTest){ .name = #function, .test_func = function, .teardown_func = harness_teardown })
        tests[n++] = TEST(test_daemon_itself);
        tests[n++] = TEST(test_which_cgroups);
        tests[n++] = TEST(test_invalid_budget);
        tests[n++] = TEST(test_idle_subscriber);
        tests[n++] = TEST(test_notify);
        tests[n++] = TEST(test_pins);
        /* Nobody's is whose the objects are otherwise. */
        if (!harness_nobpf()) {
                tests[n++] = TEST(test_get_cgroup);
                tests[n++] = TEST(test_list_objects);
                tests[n++] = TEST(test_many_objects);
                tests[n++] = TEST(test_explain);
                tests[n++] = TEST(test_budget);
                tests[n++] = TEST(test_slow_subscriber);
                tests[n++] = TEST(test_invalid_configuration);
                tests[n++] = TEST(test_users);
                tests[n++] = TEST(test_client_limits);
                tests[n++] = TEST(test_up_to_date);
                tests[n++] = TEST(test_hostile_clients);
        }
        return _cmocka_run_group_tests("varlink", tests, n, NULL, NULL);
}
