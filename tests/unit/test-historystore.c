/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history on disk: what is written is found again, whatever happens to the file, the clock or the daemon. */
#include "history-fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "serve/historyshare.h"

/* --- What was ----------------------------------------------------------------------------------------------------- */

static void test_hours(void **state)
{
        struct history_store *store = open_store_in();
        const struct history_series *series;
        struct history_result *result;

        (void) state;
        write_one(store, "a.service", NOON, 5 * MIB, 3 * MIB);
        write_one(store, "a.service", NOON + 3, 8 * MIB, 2 * MIB);
        /* The same hour once more: the peak stays. */
        write_one(store, "a.service", NOON + 3, 4 * MIB, 4 * MIB);
        result = read_hours_of(store, NULL, NOON - 2, NOON + 4);
        assert_int_equal(result->series_count, 1);
        series = &result->series[0];
        assert_string_equal(series->cgroup, "/system.slice/x");
        assert_int_equal(series->first, NOON);
        assert_true(series->points[0] == HISTORY_UNKNOWN && series->points[1] == HISTORY_UNKNOWN);
        assert_int_equal(series->points[2], 5 * MIB);
        /* An hour without a row: what there was at the end of the one before. */
        assert_int_equal(series->points[3], 3 * MIB);
        assert_int_equal(series->points[4], 3 * MIB);
        assert_int_equal(series->points[5], 8 * MIB);
        assert_int_equal(series->points[6], 4 * MIB);
        assert_int_equal(series->peak, 8 * MIB);
        assert_int_equal(series->after, 4 * MIB);
        assert_int_equal(series->changes, 3);
        assert_int_equal(result->begin, NOON);
        assert_int_equal(result->covered, 5);
        history_result_free(result);
        history_store_close(store);
}

/* Growth is from what there was when the time began. */
static void test_before(void **state)
{
        struct history_store *store = open_store_in();
        struct history_batch *batch = batch_at(NOON, NOON);
        struct history_result *result;

        (void) state;
        add_hour_of(batch, add_workload(batch, "old.service", 7 * MIB), NOON, 7 * MIB, 7 * MIB);
        batch->series[0].initial = 7 * MIB;
        write_and_free(store, batch);
        write_one(store, "new.service", NOON + 2, MIB, MIB);
        write_one(store, "old.service", NOON + 5, 9 * MIB, 9 * MIB);
        result = read_hours_of(store, NULL, NOON + 1, NOON + 5);
        assert_int_equal(series_named(result, "old.service")->before, 7 * MIB);
        assert_int_equal(series_named(result, "old.service")->after, 9 * MIB);
        assert_int_equal(series_named(result, "new.service")->before, 0);
        assert_int_equal(series_named(result, "new.service")->after, MIB);
        history_result_free(result);
        /* Before the history began nothing had grown. */
        result = read_hours_of(store, NULL, NOON - 50, NOON + 5);
        assert_int_equal(series_named(result, "old.service")->before, 7 * MIB);
        history_result_free(result);
        history_store_close(store);
}

static void test_maps(void **state)
{
        struct history_store *store = open_store_in();
        struct history_batch *batch = batch_at(NOON, NOON);
        uint32_t a = add_workload(batch, "a.service", MIB), b = add_workload(batch, "b.service", MIB);
        struct history_result *result;

        (void) state;
        add_hour_of(batch, add_map_of(batch, a, "flows", MIB), NOON, MIB, MIB);
        add_hour_of(batch, add_map_of(batch, b, "flows", 2 * MIB), NOON, 2 * MIB, 2 * MIB);
        write_and_free(store, batch);
        result = read_hours_of(store, "b.*", NOON, NOON);
        assert_int_equal(result->series_count, 2);
        assert_string_equal(result->series[1].name, "flows");
        assert_int_equal(result->series[1].parent, result->series[0].id);
        assert_int_equal(result->series[1].peak, 2 * MIB);
        assert_null(result->series[1].points);
        history_result_free(result);
        history_store_close(store);
}

static void test_events(void **state)
{
        struct history_store *store = open_store_in();
        struct history_batch *batch = batch_at(NOON, NOON);
        struct history_result *result;

        (void) state;
        add_workload(batch, "a.service", 0);
        batch->events[0] = (struct history_event_note){ .kind = HISTORY_REFUSAL,
                .sec = batch->sec,
                .count = 3,
                .size = 77,
                .what = "Max",
                .comm = "loader",
                .object = "exactly15bytes_" };
        batch->events[1] = (struct history_event_note){
                .kind = HISTORY_STATE, .sec = batch->sec - 1, .count = 1, .what = "ok high"
        };
        batch->event_count = 2;
        write_and_free(store, batch);
        result = read_hours_of(store, NULL, NOON, NOON);
        assert_int_equal(result->event_count, 2);
        assert_string_equal(result->events[0].note.what, "ok high");
        assert_int_equal(result->events[1].series, result->series[0].id);
        assert_int_equal(result->events[1].note.count, 3);
        assert_int_equal(result->events[1].note.size, 77);
        assert_string_equal(result->events[1].note.object, "exactly15bytes_");
        history_result_free(result);
        history_store_close(store);
}

/* Bytes that are no UTF-8, quotes, markup, line ends, and as long as may be. */
static void test_names(void **state)
{
        static const char *const names[] = { "'; DROP TABLE series; --", "<script>alert(1)</script>", "\xff\xfe\n\t\"",
                "%s%n", "", "/a/b (deleted)" };
        struct history_store *store = open_store_in();
        char long_name[HISTORY_NAME_SIZE];
        struct history_result *result;

        (void) state;
        memset(long_name, 'x', sizeof(long_name));
        long_name[sizeof(long_name) - 1] = '\0';
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                write_one(store, names[i], NOON, (i + 1) * MIB, MIB);
        write_one(store, long_name, NOON, 99 * MIB, MIB);
        result = read_hours_of(store, NULL, NOON, NOON);
        assert_int_equal(result->series_count, sizeof(names) / sizeof(names[0]) + 1);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                assert_int_equal(series_named(result, names[i])->peak, (i + 1) * MIB);
        assert_int_equal(series_named(result, long_name)->peak, 99 * MIB);
        history_result_free(result);
        history_store_close(store);
}

/* --- Restarts ----------------------------------------------------------------------------------------------------- */

/* Hours in which no daemon ran are unknown; what is not there when the next one begins went meanwhile. */
static void test_restart(void **state)
{
        struct history_store *store = open_store_in();
        struct history_batch *batch;
        struct history_result *result;

        (void) state;
        write_one(store, "gone.service", NOON, 5 * MIB, 5 * MIB);
        write_one(store, "stays.service", NOON + 1, 6 * MIB, 6 * MIB);
        history_store_close(store);
        store = open_store_in();
        batch = batch_at(NOON + 4, NOON + 4);
        batch->first = true;
        add_hour_of(batch, add_workload(batch, "stays.service", 2 * MIB), NOON + 4, 2 * MIB, 2 * MIB);
        write_and_free(store, batch);
        result = read_hours_of(store, NULL, NOON, NOON + 5);
        assert_int_equal(result->covered, 4);
        assert_int_equal(series_named(result, "gone.service")->points[1], 5 * MIB);
        assert_true(series_named(result, "gone.service")->points[2] == HISTORY_UNKNOWN);
        assert_true(series_named(result, "gone.service")->points[3] == HISTORY_UNKNOWN);
        assert_int_equal(series_named(result, "gone.service")->points[5], 0);
        assert_int_equal(series_named(result, "gone.service")->peak, 5 * MIB);
        assert_int_equal(series_named(result, "gone.service")->after, 0);
        assert_int_equal(series_named(result, "stays.service")->points[5], 2 * MIB);
        assert_int_equal(series_named(result, "stays.service")->peak, 6 * MIB);
        history_result_free(result);
        history_store_close(store);
}

/* A daemon that is killed in the middle of a write has lost that batch, and nothing else. */
static void test_crash(void **state)
{
        struct history_store *store;
        struct history_result *result;
        int status;
        pid_t pid = fork();

        (void) state;
        if (pid == 0) {
                store = open_store_in();
                write_one(store, "a.service", NOON, MIB, MIB);
                for (uint64_t i = 1;; i++) {
                        write_one(store, "a.service", NOON + i % 100, i, i);
                        if (i == 500)
                                kill(getpid(), SIGKILL);
                }
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        store = open_store_in();
        result = read_hours_of(store, NULL, NOON, NOON + 99);
        assert_int_equal(result->series[0].points[0], MIB);
        assert_int_equal(result->series[0].points[99], 499);
        history_result_free(result);
        history_store_close(store);
        assert_int_equal(access(file_in("history.db.damaged"), F_OK), -1);
}

/* --- Clocks ------------------------------------------------------------------------------------------------------- */

/* Set back a day: the hours come once more, and no peak is lost, nor is any time less than none. */
static void test_clock_back(void **state)
{
        struct history_store *store = open_store_in();
        struct history_result *result;

        (void) state;
        for (uint64_t hour = NOON; hour < NOON + 30; hour++)
                write_one(store, "a.service", hour, hour - NOON + 1, hour - NOON + 1);
        for (uint64_t hour = NOON + 6; hour < NOON + 9; hour++)
                write_one(store, "a.service", hour, hour == NOON + 7 ? 1000 : 2, 2);
        result = read_hours_of(store, NULL, NOON, NOON + 8);
        assert_int_equal(result->series[0].points[5], 6);
        assert_int_equal(result->series[0].points[6], 7);
        assert_int_equal(result->series[0].points[7], 1000);
        assert_int_equal(result->series[0].after, 2);
        history_result_free(result);
        /* What is ahead of the clock is there when it comes to that. */
        result = read_hours_of(store, NULL, NOON, NOON + 29);
        assert_int_equal(result->series[0].points[29], 30);
        assert_int_equal(result->series[0].peak, 1000);
        history_result_free(result);
        result = read_hours_of(store, NULL, NOON + 8, NOON + 8);
        /* Of the hour that came once more there is what is of now. */
        assert_int_equal(result->series[0].peak, 2);
        history_result_free(result);
        /* A jump to where it was, in less time than these hours take: they are as they were. */
        write_one(store, "a.service", NOON + 28, 7, 7);
        result = read_hours_of(store, NULL, NOON, NOON + 28);
        assert_int_equal(result->series[0].points[20], 21);
        assert_int_equal(result->series[0].points[28], 29);
        history_result_free(result);
        /* A span that ends before it begins is an hour. */
        struct history_query query = { .since = NOON + 9, .until = NOON, .points = 5, .sec = NOON * 3600 };
        assert_int_equal(history_store_read(store, &query, &result), 0);
        assert_int_equal(result->query.points, 1);
        history_result_free(result);
        history_store_close(store);
}

/* What is older than eight days goes, with the workloads that had nothing since. */
static void test_old(void **state)
{
        struct history_store *store = open_store_in();
        struct history_result *result;

        (void) state;
        write_one(store, "dead.service", NOON, MIB, 0);
        write_one(store, "alive.service", NOON, MIB, MIB);
        for (uint64_t hour = NOON + 1; hour < NOON + HISTORY_HOURS + 3; hour++)
                write_one(store, "alive.service", hour, MIB, MIB);
        result = read_hours_of(store, NULL, NOON, NOON + HISTORY_HOURS + 2);
        assert_int_equal(result->series_count, 1);
        assert_string_equal(result->series[0].name, "alive.service");
        assert_int_equal(result->query.since, NOON + 2);
        history_result_free(result);
        history_store_close(store);
}

/* What does not change has no row but its first, which goes: it has had the same all the time. */
static void test_unchanged(void **state)
{
        struct history_store *store = open_store_in();
        struct history_batch *batch = batch_at(NOON, NOON);
        uint32_t workload = add_workload(batch, "still.service", 3 * MIB);
        const struct history_series *series;
        struct history_result *result;

        (void) state;
        add_hour_of(batch, workload, NOON, 4 * MIB, 2 * MIB);
        add_hour_of(batch, add_map_of(batch, workload, "table", MIB), NOON, MIB, MIB);
        write_and_free(store, batch);
        /* One that comes late, beside what is packed, and one that is not packed but for the next. */
        write_one(store, "busy.service", NOON + 1, MIB, MIB);
        write_one(store, "still.service", NOON, 3 * MIB, 3 * MIB);
        for (uint64_t hour = NOON + 2; hour < NOON + 2 * HISTORY_HOURS; hour++)
                write_one(store, "busy.service", hour, MIB, MIB);
        result = read_hours_of(store, NULL, NOON + HISTORY_HOURS, NOON + 2 * HISTORY_HOURS - 1);
        series = series_named(result, "still.service");
        assert_int_equal(series->before, 3 * MIB);
        assert_int_equal(series->after, 3 * MIB);
        assert_int_equal(series->peak, 3 * MIB);
        assert_int_equal(series->points[0], 3 * MIB);
        assert_int_equal(series->changes, 0);
        assert_int_equal(series_named(result, "table")->before, MIB);
        assert_int_equal(series_named(result, "busy.service")->before, MIB);
        history_result_free(result);
        history_store_close(store);
}

/* A clock that is years ahead for an hour takes a day of the history, not all of it. */
static void test_clock_ahead(void **state)
{
        struct history_store *store = open_store_in();
        struct history_result *result;

        (void) state;
        for (uint64_t hour = NOON; hour < NOON + 100; hour++)
                write_one(store, "a.service", hour, MIB, MIB);
        write_one(store, "a.service", NOON + 50000, MIB, MIB);
        write_one(store, "a.service", NOON + 100, MIB, MIB);
        result = read_hours_of(store, NULL, NOON + 30, NOON + 100);
        assert_int_equal(result->series[0].before, MIB);
        assert_int_equal(result->series[0].changes, 71);
        history_result_free(result);
        /* And what it wrote goes. */
        result = read_hours_of(store, NULL, NOON + 49990, NOON + 50001);
        assert_int_equal(result->series[0].changes, 0);
        history_result_free(result);
        history_store_close(store);
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

static void write_file(const char *name, const void *bytes, size_t size)
{
        FILE *file = fopen(file_in(name), "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        fclose(file);
}

/* Opens what is there, which is damaged: a new one begins, and the old one is kept beside it. */
static void expect_anew(const char *what)
{
        struct history_store *store;
        struct history_result *result;

        if (history_store_open(directory, &store) != 0)
                fail_msg("%s: it cannot be opened", what);
        write_one(store, "b.service", NOON, MIB, MIB);
        result = read_hours_of(store, NULL, NOON, NOON);
        if (result->series_count != 1 || strcmp(result->series[0].name, "b.service") != 0)
                fail_msg("%s: it is not new", what);
        history_result_free(result);
        history_store_close(store);
        if (unlink(file_in("history.db.damaged")) < 0)
                fail_msg("%s: it was not moved aside", what);
        unlink(file_in("history.db"));
}

static void test_damaged(void **state)
{
        char junk[8192];
        struct history_store *store;
        int fd;

        (void) state;
        memset(junk, 'j', sizeof(junk));
        write_file("history.db", junk, sizeof(junk));
        expect_anew("junk");
        write_file("history.db", "SQLite format 3", 16);
        expect_anew("a header that is cut off");
        store = open_store_in();
        for (int i = 0; i < 40; i++)
                write_one(store, "a.service", NOON + i, MIB, MIB);
        history_store_close(store);
        fd = open(file_in("history.db"), O_WRONLY | O_CLOEXEC);
        for (off_t at = 4096; at < 5 * 4096; at += 4096)
                assert_int_equal(pwrite(fd, junk, 4096, at), 4096);
        close(fd);
        expect_anew("pages that are overwritten");
        store = open_store_in();
        write_one(store, "a.service", NOON, MIB, MIB);
        history_store_close(store);
        assert_int_equal(truncate(file_in("history.db"), 8192), 0);
        expect_anew("a file that is cut off");
}

/* Bytes of the header that SQLite does not call damage, but for which it would never write again. */
static void test_damaged_header(void **state)
{
        static const struct {
                off_t at;
                char byte;
        } bytes[] = { { 18, '\xff' }, { 19, '\x80' }, { 47, '\x7f' }, { 63, '\0' } };
        struct history_store *store;

        (void) state;
        for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
                char what[32];
                int fd;

                store = open_store_in();
                write_one(store, "a.service", NOON, MIB, MIB);
                history_store_close(store);
                fd = open(file_in("history.db"), O_WRONLY | O_CLOEXEC);
                assert_int_equal(pwrite(fd, &bytes[i].byte, 1, bytes[i].at), 1);
                close(fd);
                snprintf(what, sizeof(what), "the byte %d", (int) bytes[i].at);
                expect_anew(what);
        }
}

/* Numbers that nobody wrote, in a file that is sound otherwise. */
static void test_damaged_numbers(void **state)
{
        static const char *const changes[] = { "UPDATE packed SET hour=hour-600000",
                "INSERT INTO peaks VALUES(-7,1,5,5,1,1)", "INSERT INTO mappeaks VALUES(-9223372036854775807,1,5,5,1,1)",
                "UPDATE series SET first=-9", "UPDATE sessions SET began=-9, ended=9223372036854775807",
                "UPDATE packed SET rows=x'00'", "INSERT INTO events VALUES(1,1764000000,1,-2,1,1,1,1,'a','b','c')" };
        struct history_query query = {
                .since = NOON - 1, .until = NOON + 2, .points = 4, .maps = true, .events = true
        };
        struct history_store *store;
        struct history_result *result;
        sqlite3 *db;

        (void) state;
        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                int r;

                store = open_store_in();
                for (uint64_t hour = NOON; hour < NOON + 3; hour++)
                        write_one(store, "a.service", hour, MIB, MIB);
                history_store_close(store);
                assert_int_equal(sqlite3_open(file_in("history.db"), &db), SQLITE_OK);
                assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_OK);
                sqlite3_close(db);
                store = open_store_in();
                r = history_store_read(store, &query, &result);
                if (r < 0 && r != -EBADMSG)
                        fail_msg("%s: it cannot be read: %s", changes[i], strerror(-r));
                for (size_t k = 0; r == 0 && k < result->event_count; k++)
                        assert_true(result->events[k].note.kind <= HISTORY_THROTTLE);
                if (r == 0)
                        history_result_free(result);
                history_store_close(store);
                assert_int_equal(unlink(file_in("history.db")), 0);
        }
}

/* SQLite's own, but not ours, or without a table. */
static void test_other_database(void **state)
{
        sqlite3 *db;

        (void) state;
        assert_int_equal(sqlite3_open(file_in("history.db"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE x(y)", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        expect_anew("another program's");
        history_store_close(open_store_in());
        assert_int_equal(sqlite3_open(file_in("history.db"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "DROP TABLE peaks", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        expect_anew("one without a table");
        history_store_close(open_store_in());
        assert_int_equal(sqlite3_open(file_in("history.db"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA application_id=4711", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        expect_anew("another program's with the same tables");
}

static void test_later_version(void **state)
{
        char before[65536], after[65536];
        struct history_store *store;
        sqlite3 *db;
        FILE *file;
        size_t n;

        (void) state;
        history_store_close(open_store_in());
        assert_int_equal(sqlite3_open(file_in("history.db"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        file = fopen(file_in("history.db"), "r");
        n = fread(before, 1, sizeof(before), file);
        fclose(file);
        assert_int_equal(history_store_open(directory, &store), -EPROTONOSUPPORT);
        file = fopen(file_in("history.db"), "r");
        assert_int_equal(fread(after, 1, sizeof(after), file), n);
        fclose(file);
        assert_memory_equal(before, after, n);
        assert_int_equal(access(file_in("history.db.damaged"), F_OK), -1);
}

/* One process at a time, as long as it lives. */
static void test_two(void **state)
{
        int ready[2], status;
        struct history_store *store;
        char c;
        pid_t pid;

        (void) state;
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                write_one(open_store_in(), "a.service", NOON, MIB, MIB);
                assert_int_equal(write(ready[1], "x", 1), 1);
                pause();
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        assert_int_equal(history_store_open(directory, &store), -EBUSY);
        assert_int_equal(access(file_in("history.db.damaged"), F_OK), -1);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        store = open_store_in();
        history_store_close(store);
        close(ready[0]);
        close(ready[1]);
}

/* A disk that takes nothing: the batch fails as a whole, and comes through when there is room again. */
static void test_no_room(void **state)
{
        struct history_store *store = open_store_in();
        struct rlimit none = { 4096, RLIM_INFINITY }, before;
        struct history_batch *batch = batch_at(NOON, NOON);
        struct history_result *result;

        (void) state;
        write_one(store, "a.service", NOON, MIB, MIB);
        for (int i = 0; i < 20; i++) {
                char name[32];

                snprintf(name, sizeof(name), "many-%d.service", i);
                add_hour_of(batch, add_workload(batch, name, MIB), NOON, MIB, MIB);
        }
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before);
        none.rlim_max = before.rlim_max;
        setrlimit(RLIMIT_FSIZE, &none);
        assert_true(history_store_write(store, batch) < 0);
        setrlimit(RLIMIT_FSIZE, &before);
        result = read_hours_of(store, NULL, NOON, NOON);
        assert_int_equal(result->series_count, 1);
        history_result_free(result);
        write_and_free(store, batch);
        result = read_hours_of(store, NULL, NOON, NOON);
        assert_int_equal(result->series_count, 21);
        history_result_free(result);
        history_store_close(store);
}

/* However much is written, the file has a bound, and the newest hours. */
static void test_bounded(void **state)
{
        struct history_store *store = open_store_in();
        struct history_result *result;

        (void) state;
        for (uint64_t hour = NOON; hour < NOON + 150; hour++) {
                struct history_batch *batch = batch_at(NOON, hour);
                char name[HISTORY_NAME_SIZE];

                batch->series = reallocarray(batch->series, 400, sizeof(*batch->series));
                batch->hours = reallocarray(batch->hours, 400, sizeof(*batch->hours));
                for (uint32_t i = 0; i < 400; i++) {
                        /* Each hour has others, of long names. */
                        snprintf(name, sizeof(name), "%0500u", (uint32_t) hour * 1000 + i);
                        batch->series[i] = (struct history_series_note){ .name = strdup(name), .level = 0 };
                        batch->hours[i] = (struct history_hour_note){ .series = i, .hour = hour, .peak = MIB };
                }
                batch->series_count = batch->hour_count = 400;
                write_and_free(store, batch);
                assert_true(history_store_size(store) <= HISTORY_BYTES_MAX + 2 * MIB);
        }
        result = read_hours_of(store, NULL, NOON + 149, NOON + 149);
        assert_true(result->series_count >= 400);
        history_result_free(result);
        history_store_close(store);
}

/* Writes a cgroup of the path @path with a map and an event, at @hour. */
static void write_cgroup(struct history_store *store, const char *path, uint64_t hour, uint64_t peak)
{
        struct history_batch *batch = batch_at(NOON, hour);

        batch->series[0] = (struct history_series_note){
                .kind = HISTORY_CGROUP, .name = strdup(path), .cgroup = strdup(path), .level = peak
        };
        batch->series[1] = (struct history_series_note){
                .kind = HISTORY_MAP + 1, .parent = 1, .name = strdup("m"), .level = peak
        };
        batch->hours[0] = (struct history_hour_note){ .series = 0, .hour = hour, .peak = peak, .last = peak };
        batch->hours[1] = (struct history_hour_note){ .series = 1, .hour = hour, .peak = peak, .last = peak };
        batch->events[0] = (struct history_event_note){ .kind = HISTORY_STATE, .sec = batch->sec, .count = 1 };
        batch->series_count = batch->hour_count = 2;
        batch->event_count = 1;
        write_and_free(store, batch);
}

/* Who makes names without end has a share of the history, however deep they are, and nobody else loses anything. */
static void test_share(void **state)
{
        struct history_store *store = open_store_in();
        struct history_result *result;
        char path[64];

        (void) state;
        for (unsigned int i = 0; i < 2 * HISTORY_SHARE_THIRD; i++) {
                snprintf(path, sizeof(path), "/t/a/b/p%u/x", i);
                write_cgroup(store, path, NOON, MIB);
        }
        write_cgroup(store, "/t/a/bb", NOON, MIB);
        write_cgroup(store, "/t/b/c/d", NOON, MIB);
        write_cgroup(store, "/u", NOON, MIB);
        result = read_hours_of(store, NULL, NOON, NOON);
        /* A workload and its map. */
        assert_int_equal(result->series_count, 2 * (HISTORY_SHARE_THIRD + 3));
        assert_int_equal(result->event_count, HISTORY_SHARE_THIRD + 3);
        series_named(result, "/t/a/bb");
        series_named(result, "/t/b/c/d");
        history_result_free(result);
        /* What is known goes on. */
        write_cgroup(store, "/t/a/b/p3/x", NOON + 1, 9 * MIB);
        result = read_hours_of(store, "/t/a/b/p3/x", NOON, NOON + 1);
        assert_int_equal(result->series[0].peak, 9 * MIB);
        history_result_free(result);
        /* The second level, by many of the third. */
        for (unsigned int i = 0; i < 2 * HISTORY_SHARE_SECOND; i++) {
                snprintf(path, sizeof(path), "/v/w/q%u/x", i);
                write_cgroup(store, path, NOON + 1, MIB);
        }
        result = read_hours_of(store, "/v/**", NOON + 1, NOON + 1);
        assert_int_equal(result->series_count, 2 * HISTORY_SHARE_SECOND);
        history_result_free(result);
        history_store_close(store);
}

static void test_no_directory(void **state)
{
        struct history_store *store;
        char path[128];

        (void) state;
        snprintf(path, sizeof(path), "%s/made", directory);
        assert_int_equal(history_store_open(path, &store), 0);
        history_store_close(store);
        assert_int_equal(history_store_open("/proc/none/there", &store), -ENOENT);
        /* Nobody has it followed to another file. */
        snprintf(path, sizeof(path), "%s/link", directory);
        assert_int_equal(mkdir(path, 0700), 0);
        write_file("other", "x", 1);
        snprintf(path, sizeof(path), "%s/link/history.db", directory);
        assert_int_equal(symlink("../other", path), 0);
        snprintf(path, sizeof(path), "%s/link", directory);
        assert_int_equal(history_store_open(path, &store), -ELOOP);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_hours),
                TEST(test_before),
                TEST(test_maps),
                TEST(test_events),
                TEST(test_names),
                TEST(test_restart),
                TEST(test_crash),
                TEST(test_clock_back),
                TEST(test_old),
                TEST(test_unchanged),
                TEST(test_clock_ahead),
                TEST(test_damaged),
                TEST(test_damaged_header),
                TEST(test_damaged_numbers),
                TEST(test_other_database),
                TEST(test_later_version),
                TEST(test_two),
                TEST(test_no_room),
                TEST(test_bounded),
                TEST(test_share),
                TEST(test_no_directory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
