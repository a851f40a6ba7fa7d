/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events for those who subscribe: which, what they say, and what is lost. */
#include "api-fixture.h"

/* The next event at @fd, with *lost; NULL: nothing comes. */
static json_t *next_event(struct fixture *f, int fd, int64_t *lost)
{
        json_t *reply, *event;

        loop_turn(f->base);
        reply = receive(f, fd);
        if (!reply)
                return NULL;
        assert_true(json_is_true(json_object_get(reply, "continues")));
        event = json_incref(json_object_get(json_object_get(reply, "parameters"), "event"));
        *lost = number(json_object_get(reply, "parameters"), "lost");
        json_decref(reply);
        return event;
}

static void expect_event(struct fixture *f, int fd, const char *kind)
{
        int64_t lost = 0;
        json_t *event = next_event(f, fd, &lost);

        if (!kind)
                assert_null(event);
        else {
                assert_non_null(event);
                assert_string_equal(text(event, "kind"), kind);
                assert_int_equal(lost, 0);
        }
        json_decref(event);
}

/* A cgroup may come later, but not one that no path can be. */
static void test_subscribe_to_nothing(void **state)
{
        struct fixture *f = *state;
        int fd = subscribe(f, "'cgroup':'/later'");
        json_t *reply;

        close(fd);
        begin_stream(f, f->fd, "Subscribe", "'cgroup':'/[a'");
        reply = receive(f, f->fd);
        assert_string_equal(text(reply, "error"), "io.bpfbudget.InvalidName");
        json_decref(reply);
        begin_stream(f, f->fd, "Subscribe", "'cgroup':'a.slice'");
        reply = receive(f, f->fd);
        assert_string_equal(text(reply, "error"), "io.bpfbudget.NoSuchCgroup");
        assert_string_equal(text(json_object_get(reply, "parameters"), "cgroup"), "a.slice");
        json_decref(reply);
}

static void test_subscribe(void **state)
{
        static const char *const names[] = { "state", "refusal", "throttle", "fill", "orphans" };
        struct fixture *f = *state;
        int all = subscribe(f, ""), none = subscribe(f, "'kinds':[]"), null = subscribe(f, "'kinds':null");
        int two = subscribe(f, "'kinds':['throttle','state']"), there = subscribe(f, "'cgroup':'/a.slice/*'");
        int both = subscribe(f, "'cgroup':'/d','kinds':['refusal']"), anywhere = subscribe(f, "'cgroup':'**'");

        add_place(7, 1, "/nameless");
        world.places[world.place_count - 1].no_path = true;
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        put(f, OBJECT_MAP, 2, 6, "m", 1, 1);
        put(f, OBJECT_MAP, 3, 7, "m", 1, 1);
        for (enum event_kind kind = EVENT_STATE; kind < EVENT_KINDS; kind++) {
                send_event(f, kind, 3);
                expect_event(f, all, names[kind]);
                expect_event(f, null, names[kind]);
                expect_event(f, none, NULL);
                expect_event(f, two, kind == EVENT_REFUSAL || kind >= EVENT_FILL ? NULL : names[kind]);
                expect_event(f, there, names[kind]);
                expect_event(f, both, NULL);
                expect_event(f, anywhere, names[kind]);
                send_event(f, kind, 6);
                expect_event(f, all, names[kind]);
                expect_event(f, null, names[kind]);
                expect_event(f, two, kind == EVENT_REFUSAL || kind >= EVENT_FILL ? NULL : names[kind]);
                expect_event(f, there, NULL);
                expect_event(f, both, kind == EVENT_REFUSAL ? "refusal" : NULL);
                expect_event(f, anywhere, names[kind]);
        }
        /* A cgroup whose path is not known is matched by no glob. */
        send_event(f, EVENT_STATE, 7);
        expect_event(f, all, "state");
        expect_event(f, anywhere, NULL);
        refuse(f, "Subscribe", "org.varlink.service.ExpectedMore", "{}", "%s", "");
        /* One that leaves is told no more, the others are. */
        close(null);
        close(there);
        loop_turn(f->base);
        send_event(f, EVENT_STATE, 3);
        expect_event(f, all, "state");
        expect_event(f, two, "state");
        close(all);
        close(none);
        close(two);
        close(both);
        close(anywhere);
        loop_turn(f->base);
        send_event(f, EVENT_STATE, 3);
        api_event(NULL, NULL);
}

/* @event is sent to @fd as @expected, which it takes over. */
static void expect_json(struct fixture *f, int fd, const struct budget_event *event, json_t *expected)
{
        int64_t lost;
        json_t *json;

        api_event(f->api, event);
        json = next_event(f, fd, &lost);
        assert_non_null(expected);
        assert_true(json_equal(json, expected));
        json_decref(json);
        json_decref(expected);
}

/* What an event says, by kind. */
static void test_event(void **state)
{
        struct fixture *f = *state;
        int fd = subscribe(f, "");
        struct budget_event event;
        int64_t lost;
        json_t *json, *expected;

        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        f->budgets[0].high = 500;
        f->budgets[0].max = 1000;
        event = (struct budget_event){ .kind = EVENT_STATE,
                .cgroup = cgroup_of(f, 3),
                .policy = give_budget(f, 3, 0),
                .usage = 700,
                .pid = 11,
                .comm = "me",
                .from = LEVEL_OK,
                .to = LEVEL_HIGH,
                .limit = LIMIT_HIGH,
                .pause_usec = 9 };
        expected = json_pack("{ss ss si si si si ss ss ss si ss sn sn sn sn sn}", "kind", "state", "cgroup",
                        "/a.slice/b.service", "cgroupId", 3, "usage", 700, "high", 500, "max", 1000, "from", "ok", "to",
                        "high", "limit", "High", "pid", 11, "comm", "me", "objectKind", "objectType", "objectName",
                        "size", "pauseUSec");
        expect_json(f, fd, &event, expected);

        f->policies[0].max = BUDGET_INFINITY;
        event = (struct budget_event){ .kind = EVENT_REFUSAL,
                .cgroup = cgroup_of(f, 3),
                .policy = &f->policies[0],
                .usage = 701,
                .limit = LIMIT_MAX,
                .from = LEVEL_HIGH,
                .to = LEVEL_MAX,
                .size = 12,
                .object = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_HASH, .name = "0123456789abcdef" },
                .pause_usec = 9 };
        expected = json_pack("{ss ss si si si sn sn sn ss sn sn ss ss ss si sn}", "kind", "refusal", "cgroup",
                        "/a.slice/b.service", "cgroupId", 3, "usage", 701, "high", 500, "max", "from", "to", "limit",
                        "Max", "pid", "comm", "objectKind", "map", "objectType", "hash", "objectName",
                        "0123456789abcdef", "size", 12, "pauseUSec");
        expect_json(f, fd, &event, expected);

        event = (struct budget_event){ .kind = EVENT_REFUSAL,
                .cgroup = cgroup_of(f, 3),
                .object = { .kind = OBJECT_PROGRAM, .type = BPF_PROG_TYPE_KPROBE, .name = "p" } };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        assert_string_equal(text(json, "objectKind"), "program");
        assert_string_equal(text(json, "objectType"), "kprobe");
        assert_string_equal(text(json, "objectName"), "p");
        assert_true(json_is_null(json_object_get(json, "high")));
        assert_true(json_is_null(json_object_get(json, "max")));
        assert_true(json_is_null(json_object_get(json, "limit")));
        assert_true(json_is_null(json_object_get(json, "size")));
        json_decref(json);

        event = (struct budget_event){ .kind = EVENT_THROTTLE, .cgroup = cgroup_of(f, 3), .pause_usec = 0 };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        assert_string_equal(text(json, "kind"), "throttle");
        assert_int_equal(number(json, "pauseUSec"), 0);
        assert_true(json_is_null(json_object_get(json, "from")));
        json_decref(json);
        close(fd);
}

/* Who is too slow loses events, and is told how many: when there is room again, or with the next event. */
static void test_lost(void **state)
{
        struct fixture *f = *state;
        int fd = subscribe(f, "'kinds':['state']");
        int64_t got = 0, lost = 0, more, sent;
        json_t *event;

        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        /* Nothing is read meanwhile: a backlog of 256 KiB is full after less than 1,500, each of 200 to 400 bytes. */
        for (sent = 0; sent < 1500; sent++)
                send_event(f, EVENT_STATE, 3);
        /* One that it has not subscribed to is none that it has lost. */
        send_event(f, EVENT_REFUSAL, 3);
        while ((event = next_event(f, fd, &more))) {
                if (json_is_null(event)) {
                        assert_true(more > 0);
                        assert_int_equal(lost, 0);
                } else
                        assert_int_equal(more, 0);
                got += !json_is_null(event);
                lost += more;
                json_decref(event);
        }
        assert_int_equal(got + lost, sent);
        assert_true(lost > 0);
        assert_true(got > 500);
        /* It is told once. */
        send_event(f, EVENT_STATE, 3);
        expect_event(f, fd, "state");
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_subscribe),
                TEST(test_subscribe_to_nothing),
                TEST(test_event),
                TEST(test_lost),
        };

        return run_api_tests(tests);
}
