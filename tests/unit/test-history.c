/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is gathered of workloads: by which name, how peaks and steps come about, and that none is lost on the way to the
 * disk, which is a real one. The time of day is the test's.
 */
#include "history-fixture.h"

#include <event2/event.h>
#include <linux/bpf.h>
#include <sqlite3.h>

#include "account/ledger.h"
#include "base/wallclock.h"
#include "fake-cgroups.h"
#include "serve/history.h"

#define HOUR_USEC (3600 * 1000000ULL)

/* A test that waits longer has failed. */
#define WAIT_SEC 20

static uint64_t now;

uint64_t wall_usec(void)
{
        return now;
}

/* A write follows a change at once. */
uint64_t wall_wait_usec(uint64_t usec)
{
        return usec / 60000;
}

static struct fake_cgroup places[] = {
        { 1, 0, "/" },
        { 2, 1, "/system.slice" },
        { 3, 2, "/system.slice/a.service" },
        { 4, 3, "/system.slice/a.service/inner" },
        { 5, 2, "/system.slice/b.service" },
        { 6, 1, "/plain" },
        { 7, 6, "/plain/child" },
        { 8, 1, "/kubepods" },
        { 9, 8, "/kubepods/pod11111111-2222-3333-4444-555555555555" },
        { 10, 8, "/kubepods/pod11111111-2222-3333-4444-666666666666" },
};

static struct fake_hierarchy hierarchy = { places, sizeof(places) / sizeof(places[0]), 0 };
static struct tree tree;
static struct ledger ledger;
static struct event_base *base;
static struct history *history;
static uint32_t next_id;

static void start(void)
{
        struct history_options options = { base, &tree, &ledger, directory, 2 };

        assert_int_equal(history_new(&options, &history), 0);
}

static int setup(void **state)
{
        if (make_directory(state) < 0)
                return -1;
        now = NOON * HOUR_USEC;
        next_id = 0;
        base = event_base_new();
        assert_int_equal(tree_init(&tree, 1, fake_lookup, &hierarchy), 0);
        ledger_init(&ledger, &tree);
        start();
        return 0;
}

static int teardown(void **state)
{
        history_free(history, HISTORY_STOP_USEC);
        history = NULL;
        ledger_deinit(&ledger);
        tree_deinit(&tree);
        event_base_free(base);
        return remove_directory(state);
}

static struct cgroup *cgroup_of(uint64_t id)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&tree, id, &cgroup), 0);
        return cgroup;
}

static void flush(void)
{
        tree_flush(&tree);
        history_take(history);
}

/* A map of @bytes of the cgroup @id, its number @map or a new one. Returns the number. */
static uint32_t put(uint64_t id, uint32_t map, const char *name, uint64_t bytes)
{
        struct object_record record = { .kind = OBJECT_MAP,
                .type = BPF_MAP_TYPE_HASH,
                .id = map ?: next_id + 1,
                .address = 4096 * (map ?: next_id + 1),
                .cgroup_id = id,
                .allocated = bytes,
                .ceiling = bytes,
                .charged = bytes,
                .attribution = ATTRIBUTION_CHARGED };

        next_id += map == 0;
        strncpy(record.name, name, sizeof(record.name) - 1);
        assert_true(ledger_put(&ledger, &record) >= 0);
        flush();
        return record.id;
}

static void drop(uint32_t map)
{
        assert_true(ledger_remove(&ledger, OBJECT_MAP, map));
        flush();
}

/* --- Questions ---------------------------------------------------------------------------------------------------- */

static char said[4096];
static uint64_t said_points[2], said_largest; /* of the first */
static int answered;

/* "name=peak/after@changes,step name=..." in MiB, maps as "+name=after". */
static void on_answer(void *context, const struct history_result *result, int error)
{
        size_t n = 0;

        (void) context;
        answered = error < 0 ? error : 1;
        said[0] = '\0';
        for (size_t i = 0; result && i < result->series_count; i++) {
                const struct history_series *s = &result->series[i];

                if (i == 0)
                        said_largest = s->facts.largest;
                if (i == 0 && s->points)
                        memcpy(said_points, s->points, result->query.points * sizeof(*said_points));
                if (s->kind >= HISTORY_MAP)
                        n += snprintf(said + n, sizeof(said) - n, "%s+%s=%d", n ? " " : "", s->name,
                                        (int) (s->after / MIB));
                else if (!s->outer)
                        n += snprintf(said + n, sizeof(said) - n, "%s%s=%d/%d@%d,%d", n ? " " : "", s->name,
                                        (int) (s->peak / MIB), (int) (s->after / MIB), (int) s->changes,
                                        (int) (s->step / MIB));
        }
        for (size_t i = 0; result && i < result->event_count; i++)
                n += snprintf(said + n, sizeof(said) - n, " !%d*%d:%s", result->events[i].note.kind,
                                (int) result->events[i].note.count, result->events[i].note.what);
}

/* What the history has to say of @glob in this and the last hours. */
static const char *ask_since(const char *glob, uint64_t hours, bool maps)
{
        struct history_query query = { .glob = glob ? strdup(glob) : NULL,
                .since = now / HOUR_USEC - hours,
                .until = now / HOUR_USEC,
                .points = 2,
                .maps = maps,
                .events = true };
        struct history_question *question;
        time_t end = time(NULL) + WAIT_SEC;

        answered = 0;
        assert_int_equal(history_ask(history, &query, on_answer, NULL, &question), 0);
        while (!answered && time(NULL) < end)
                event_base_loop(base, EVLOOP_ONCE);
        assert_true(answered != 0);
        return said;
}

/* Until what was written says so, as a daemon that comes later would find it. */
static void expect_written(const char *glob, uint64_t hours, bool maps, const char *expected)
{
        history_free(history, HISTORY_STOP_USEC);
        history = NULL;
        while (tree_take_noted(&tree))
                ;
        ledger_deinit(&ledger);
        tree_deinit(&tree);
        assert_int_equal(tree_init(&tree, 1, fake_lookup, &hierarchy), 0);
        ledger_init(&ledger, &tree);
        start();
        assert_string_equal(ask_since(glob, hours, maps), expected);
}

/* Waits until nothing of @glob waits to be written. */
static void ask_written(const char *glob)
{
        time_t end = time(NULL) + WAIT_SEC;

        do {
                ask_since(glob, 0, false);
                assert_true(time(NULL) < end);
        } while (history->unwritten || history->in_flight);
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

static void expect_stem(const char *name, const char *expected)
{
        size_t n = history_pod_stem(name, strlen(name));

        if (n != strlen(expected) || strncmp(name, expected, n) != 0)
                fail_msg("%s: %.*s", name, (int) n, name);
}

static void test_pod_names(void **state)
{
        (void) state;
        expect_stem("cilium-x7k2p", "cilium");
        expect_stem("web-7d4b9c6f58-x7k2p", "web");
        expect_stem("web-front-5f8c9d7bb4-zz9zz", "web-front");
        expect_stem("backup-28467390-x7k2p", "backup");
        expect_stem("mysql-0", "mysql-0");
        expect_stem("kube-apiserver-node-1", "kube-apiserver-node-1");
        expect_stem("etcd", "etcd");
        expect_stem("-x7k2p", "-x7k2p");
        /* Vowels and 0, 1 and 3 are in no suffix that was made up. */
        expect_stem("my-proxy", "my-proxy");
        expect_stem("a-12345", "a-12345");
        expect_stem("web-7d4b9c6f58", "web-7d4b9c6f58");
        expect_stem("", "");
}

static void expect_name(const char *path, enum history_kind kind, const char *expected)
{
        struct cgroup parent = { .path = "/" }, cgroup = { .path = (char *) path, .parent = &parent };
        struct history_name name;
        bool known;

        cgroup.self.allocated = 1;
        known = history_name(&cgroup, &name);
        if (known != (expected != NULL) || (known && (name.kind != kind || strcmp(name.text, expected) != 0)))
                fail_msg("%s: %s", path, known ? name.text : "(none)");
}

static void test_names(void **state)
{
        char path[2048], other[2048];
        struct history_name first, second;
        struct cgroup parent = { .path = "/" }, cgroup = { .path = path, .parent = &parent };

        (void) state;
        expect_name("/system.slice/a.service", HISTORY_UNIT, "a.service");
        expect_name("/system.slice/a.service/x", HISTORY_UNIT, NULL);
        expect_name("/system.slice/a.service/x.service", HISTORY_UNIT, NULL);
        expect_name("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", HISTORY_UNIT, NULL);
        expect_name("/system.slice", HISTORY_UNIT, "system.slice");
        expect_name("/system.slice/plain", HISTORY_CGROUP, "/system.slice/plain");
        expect_name("/plain <b>/x", HISTORY_CGROUP, "/plain <b>/x");
        /* What does not fit differs all the same. */
        memset(path, 'p', sizeof(path));
        path[0] = '/';
        path[1000] = '\0';
        assert_true(history_name(&cgroup, &first));
        strcpy(other, path);
        other[999] = 'q';
        cgroup.path = other;
        assert_true(history_name(&cgroup, &second));
        assert_string_not_equal(first.text, second.text);
        assert_true(strlen(first.text) < HISTORY_NAME_SIZE);
}

/* --- What is gathered --------------------------------------------------------------------------------------------- */

static void test_peak(void **state)
{
        uint32_t map;

        (void) state;
        map = put(3, 0, "flows", 4 * MIB);
        put(3, map, "flows", 9 * MIB);
        put(3, map, "flows", 2 * MIB);
        put(4, 0, "inner", 3 * MIB);
        /* What is not written yet is there, too. */
        assert_string_equal(ask_since("a.service", 0, false), "a.service=9/5@4,5");
        expect_written("a.service", 0, true, "a.service=9/5@4,5 +flows=2 +inner=3");
}

/* What another daemon has seen already is not new, and what is there when it begins has not grown. */
static void test_begin(void **state)
{
        (void) state;
        put(5, 0, "flows", 4 * MIB);
        history_free(history, HISTORY_STOP_USEC);
        start();
        assert_string_equal(ask_since("b.service", 0, false), "b.service=4/4@1,4");
        now += HOUR_USEC;
        put(5, 0, "more", MIB);
        assert_string_equal(ask_since("b.service", 0, false), "b.service=5/5@1,1");
}

/* An hour begins with what there was, and the one before is written though it was over before. */
static void test_hours(void **state)
{
        uint32_t map = put(3, 0, "flows", 4 * MIB);

        (void) state;
        put(3, map, "flows", 8 * MIB);
        put(3, map, "flows", MIB);
        now += 2 * HOUR_USEC;
        put(3, map, "flows", 2 * MIB);
        expect_written("a.service", 2, false, "a.service=8/2@4,4");
        now += HOUR_USEC;
        assert_string_equal(ask_since("a.service", 1, false), "a.service=2/0@1,1");
}

/* What falls in an hour had more at its beginning. */
static void test_hour_begins(void **state)
{
        uint32_t map = put(3, 0, "flows", 8 * MIB);

        (void) state;
        now += HOUR_USEC;
        put(3, map, "flows", MIB);
        assert_string_equal(ask_since("a.service", 0, false), "a.service=8/1@1,0");
}

/* Set back a day: what comes is written for the hours that come once more. */
static void test_clock_back(void **state)
{
        uint32_t map = put(3, 0, "flows", 4 * MIB);

        (void) state;
        now -= 24 * HOUR_USEC;
        put(3, map, "flows", 7 * MIB);
        assert_string_equal(ask_since("a.service", 1, false), "a.service=7/7@1,3");
        now += 24 * HOUR_USEC;
        put(3, map, "flows", MIB);
        expect_written("a.service", 25, false, "a.service=7/1@3,4");
}

/* The peak of an hour is not that of those after it, nor of those before it to which the clock was set back. */
static void test_last_point(void **state)
{
        uint32_t map = put(3, 0, "flows", 9 * MIB);

        (void) state;
        put(3, map, "flows", MIB);
        now += HOUR_USEC;
        assert_string_equal(ask_since("a.service", 1, false), "a.service=9/1@2,9");
        assert_int_equal(said_points[0], 9 * MIB);
        assert_int_equal(said_points[1], MIB);
        now -= 24 * HOUR_USEC;
        assert_string_equal(ask_since("a.service", 1, false), "a.service=1/1@0,0");
        assert_int_equal(said_points[1], MIB);
}

/* A daemon whose clock was set back to before it began has run in the hours after that: they are not unknown. */
static void test_covered_again(void **state)
{
        (void) state;
        put(3, 0, "flows", MIB);
        ask_written("a.service");
        now -= 24 * HOUR_USEC;
        put(3, 0, "flows", MIB);
        ask_written("a.service");
        now += 2 * HOUR_USEC;
        ask_since("a.service", 1, false);
        assert_int_equal(said_points[0], 2 * MIB);
        assert_int_equal(said_points[1], 2 * MIB);
}

/* The clock runs through hours that were already: their peaks are not those of now, written or not. */
static void test_hours_again(void **state)
{
        uint32_t map = put(3, 0, "flows", MIB);

        (void) state;
        for (uint64_t i = 0; i < 3; i++) {
                put(3, map, "flows", 9 * MIB);
                put(3, map, "flows", MIB);
                ask_written("a.service");
                now += HOUR_USEC;
        }
        now -= 3 * HOUR_USEC;
        put(3, map, "flows", 2 * MIB);
        ask_written("a.service");
        now += HOUR_USEC;
        assert_string_equal(ask_since("a.service", 0, false), "a.service=2/2@0,0");
        put(3, map, "flows", 3 * MIB);
        ask_written("a.service");
        assert_string_equal(ask_since("a.service", 0, false), "a.service=3/3@1,1");
        expect_written("a.service", 0, false, "a.service=3/3@1,1");
}

/* What is below a unit counts in it; a cgroup of no unit has its own name, and one without objects is there for others.
 */
static void test_below(void **state)
{
        (void) state;
        put(7, 0, "x", 2 * MIB);
        assert_string_equal(ask_since(NULL, 0, false), "/plain/child=2/2@1,2");
        put(6, 0, "y", MIB);
        assert_string_equal(ask_since("/plain", 0, false), "/plain=3/3@2,2");
}

/* Who makes cgroups without end takes none of the room that units have. */
static void test_many_paths(void **state)
{
        const struct fake_hierarchy before = hierarchy;
        struct fake_cgroup *many = calloc(before.count + HISTORY_PATHS_MAX + 10, sizeof(*many));
        static char paths[HISTORY_PATHS_MAX + 10][24];

        (void) state;
        assert_non_null(many);
        memcpy(many, places, sizeof(places));
        hierarchy = (struct fake_hierarchy){ many, before.count, 0 };
        for (size_t i = 0; i < HISTORY_PATHS_MAX + 10; i++) {
                snprintf(paths[i], sizeof(paths[i]), "/plain/c%zu", i);
                many[hierarchy.count++] = (struct fake_cgroup){ 1000 + i, 6, paths[i] };
                put(1000 + i, 0, "x", MIB);
        }
        assert_int_equal(history->path_count, HISTORY_PATHS_MAX);
        put(3, 0, "x", 2 * MIB);
        assert_string_equal(ask_since("a.service", 0, false), "a.service=2/2@1,2");
        history_free(history, HISTORY_STOP_USEC);
        history = NULL;
        hierarchy = before;
        free(many);
}

static void name_pod(uint64_t id, const char *name)
{
        struct cgroup *cgroup = cgroup_of(id);

        if (!cgroup->workload)
                assert_int_equal(workload_from_path(cgroup->path, &cgroup->workload), 0);
        assert_non_null(cgroup->workload);
        cgroup->workload->pending = name == NULL;
        if (name)
                assert_int_equal(workload_set_name(&cgroup->workload->pod, name), 1);
}

/* Pods of one controller share a name, and the history has the larger one. One gets its name late. */
static void test_pods(void **state)
{
        (void) state;
        name_pod(9, "ns/agent-x7k2p");
        name_pod(10, NULL);
        put(9, 0, "m", 2 * MIB);
        put(10, 0, "m", 5 * MIB);
        assert_string_equal(ask_since("ns/*", 0, false), "ns/agent=2/2@1,2");
        name_pod(10, "ns/agent-zz9zz");
        history_take_names(history);
        assert_string_equal(ask_since("ns/*", 0, false), "ns/agent=5/5@2,3");
        drop(2);
        assert_string_equal(ask_since("ns/*", 0, false), "ns/agent=5/2@3,3");
        drop(1);
        expect_written("ns/agent", 0, true, "ns/agent=5/0@4,3 +m=0");
}

/* The largest maps, added up by name; what was written is what was there then. */
static void test_maps(void **state)
{
        (void) state;
        for (int i = 0; i < 6; i++)
                put(3, 0, "leak", MIB);
        put(3, 0, "large", 5 * MIB);
        put(3, 0, "small", MIB);
        put(3, 0, "smaller", MIB / 2);
        history_free(history, HISTORY_STOP_USEC);
        start();
        assert_string_equal(ask_since("a.service", 0, true), "a.service=12/12@9,5 +large=5 +leak=6 +small=1");
}

/* The largest map that it ever had, also when that is gone, and another daemon runs. */
static void test_largest(void **state)
{
        uint32_t map = put(3, 0, "step", 8 * MIB);

        (void) state;
        put(3, 0, "small", MIB);
        ask_written("a.service");
        drop(map);
        ask_written("a.service");
        assert_int_equal(said_largest, 8 * MIB);
        history_free(history, HISTORY_STOP_USEC);
        start();
        put(3, 0, "small", MIB);
        ask_written("a.service");
        assert_int_equal(said_largest, 8 * MIB);
        expect_written("a.service", 0, false, "a.service=9/2@4,8");
        assert_int_equal(said_largest, 8 * MIB);
}

static void note(enum event_kind kind, uint64_t id, enum budget_level to, bool dry_run)
{
        struct budget_event event = { .kind = kind,
                .cgroup = cgroup_of(id),
                .from = LEVEL_OK,
                .to = to,
                .limit = LIMIT_MAX,
                .comm = "loader",
                .publish = true,
                .dry_run = dry_run,
                .size = MIB };

        history_note_event(history, &event);
}

/* Events of a kind are one, also of a workload that has nothing yet; a refusal is no usage. */
static void test_events(void **state)
{
        (void) state;
        note(EVENT_REFUSAL, 3, LEVEL_OK, false);
        note(EVENT_REFUSAL, 4, LEVEL_OK, false);
        note(EVENT_STATE, 3, LEVEL_HIGH, false);
        note(EVENT_REFUSAL, 3, LEVEL_OK, true);
        note(EVENT_FILL, 3, LEVEL_HIGH, false);
        note(EVENT_ORPHANS, 3, LEVEL_HIGH, false);
        put(5, 0, "x", MIB);
        expect_written("a.service", 0, false, "a.service=0/0@0,0 !1*2:Max !0*1:ok high");
}

/* Changes in two hours of the cgroup 3, with @map, in batches that fail and come back. */
static void change_in_vain(uint32_t map)
{
        put(3, map, "flows", 9 * MIB);
        now += HOUR_USEC;
        put(3, map, "flows", MIB);
        note(EVENT_STATE, 3, LEVEL_HIGH, false);
        for (int i = 0; i < 20; i++) {
                event_base_loop(base, EVLOOP_NONBLOCK);
                usleep(1000);
        }
}

/* A disk that cannot be written: nothing is lost, and all is there when it can. */
static void test_disk_comes_back(void **state)
{
        char moved[128];
        uint32_t map;
        FILE *file;

        (void) state;
        history_free(history, HISTORY_STOP_USEC);
        /* In place of the directory there is a file. */
        snprintf(moved, sizeof(moved), "%s.moved", directory);
        assert_int_equal(rename(directory, moved), 0);
        file = fopen(directory, "w");
        fclose(file);
        start();
        map = put(3, 0, "flows", 4 * MIB);
        ask_since(NULL, 0, false);
        assert_int_equal(answered, -ENOTDIR);
        change_in_vain(map);
        unlink(directory);
        assert_int_equal(rename(moved, directory), 0);
        expect_written("a.service", 1, false, "a.service=9/1@3,5 !0*1:ok high");
}

/* Somebody reads the database while the daemon starts: what comes meanwhile is written when he has ended. */
static void test_reader_at_start(void **state)
{
        sqlite3 *reader;
        time_t end = time(NULL) + WAIT_SEC;
        uint32_t map;

        (void) state;
        put(5, 0, "flows", MIB);
        history_free(history, HISTORY_STOP_USEC);
        assert_int_equal(sqlite3_open(file_in(HISTORY_FILE), &reader), SQLITE_OK);
        assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM series", NULL, NULL, NULL), SQLITE_OK);
        start();
        map = put(3, 0, "flows", 4 * MIB);
        for (int i = 0; i < 3; i++) {
                ask_since(NULL, 0, false);
                assert_int_equal(answered, -EBUSY);
        }
        change_in_vain(map);
        sqlite3_close(reader);
        /* The same daemon, not the next one. */
        while (strcmp(ask_since("a.service", 1, false), "a.service=9/1@3,5 !0*1:ok high") != 0)
                assert_true(time(NULL) < end);
        expect_written("a.service", 1, false, "a.service=9/1@3,5 !0*1:ok high");
}

static void test_no_history(void **state)
{
        struct history_query query = { .glob = strdup("x") };
        struct history_question *question;

        (void) state;
        history_take(NULL);
        history_take_names(NULL);
        history_note_event(NULL, NULL);
        assert_int_equal(history_ask(NULL, &query, on_answer, NULL, &question), -ESHUTDOWN);
}

/* Who asks may go away before the answer comes. */
static void test_take_back(void **state)
{
        struct history_query query = { .until = NOON };
        struct history_question *question;

        (void) state;
        answered = 0;
        assert_int_equal(history_ask(history, &query, on_answer, NULL, &question), 0);
        history_take_back(question);
        ask_since(NULL, 0, false);
        assert_int_equal(answered, 1);
        assert_int_equal(history_ask(history, &query, on_answer, NULL, &question), 0);
        history_take_back(question);
}

#define TEST_HISTORY(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pod_names),
                cmocka_unit_test(test_names),
                TEST_HISTORY(test_peak),
                TEST_HISTORY(test_begin),
                TEST_HISTORY(test_hours),
                TEST_HISTORY(test_hour_begins),
                TEST_HISTORY(test_clock_back),
                TEST_HISTORY(test_last_point),
                TEST_HISTORY(test_hours_again),
                TEST_HISTORY(test_covered_again),
                TEST_HISTORY(test_below),
                TEST_HISTORY(test_many_paths),
                TEST_HISTORY(test_pods),
                TEST_HISTORY(test_maps),
                TEST_HISTORY(test_largest),
                TEST_HISTORY(test_events),
                TEST_HISTORY(test_disk_comes_back),
                TEST_HISTORY(test_reader_at_start),
                TEST_HISTORY(test_no_history),
                TEST_HISTORY(test_take_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
