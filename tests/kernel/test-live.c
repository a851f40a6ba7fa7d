/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A daemon that goes on running, and follows what changes. Needs root and a memory controller. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "account/monitor.h"
#include "base/cleanup.h"
#include "kernel/cgroupfs.h"
#include "kernel/kernel.h"

#define MIB (1024 * 1024)

/* What a running daemon knows of @cgroup; one that holds nothing may not be worth an entry. */
static int64_t live_allocated(struct live_daemon *daemon, const struct test_cgroup *cgroup)
{
        json_t *report = live_report(daemon), *entry = find_cgroup(report, cgroup->path);
        int64_t bytes = entry ? number(entry, "bpf", "allocated") : 0;

        json_decref(report);
        return bytes;
}

static void test_live_growth(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 3 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report;
        char told[64];
        bool by_growth, by_objects;

        (void) state;
        live_start(&daemon, NULL);
        report = live_report(&daemon);
        by_objects = has_capability(report, "function:security_bpf_map_free");
        by_growth = has_capability(report, "function:bpf_map_area_alloc") ||
                    has_capability(report, "tracepoint:mod_memcg_state");
        json_decref(report);
        cgroup_make(&cgroup, NULL, "live");
        snprintf(told, sizeof(told), "BPF memory changed in cgroup %llu\n", (unsigned long long) cgroup.id);
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        if (by_growth)
                free(live_wait_log(&daemon, told));
        report = live_report(&daemon);
        assert_in_range(number(find_cgroup(report, cgroup.path), "bpf", "maps"), 3 * MIB, 3 * MIB + 65536);
        json_decref(report);
        free(live_log(&daemon));
        worker_end(&worker);
        /* Freed after a grace period, by a worker: where no hook tells of maps it is the memory that is told of. */
        if (by_growth && !by_objects)
                free(live_wait_log(&daemon, told));
        for (int i = 0; i < 500 && live_allocated(&daemon, &cgroup) > 0; i++)
                sleep_msec(20);
        assert_int_equal(live_allocated(&daemon, &cgroup), 0);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

/* A map without pre-allocation, filled while the daemon watches. */
static void test_live_fill(void **state)
{
        static const struct map_case map = { "hash", BPF_MAP_TYPE_HASH, 8, 1000, 10000, BPF_F_NO_PREALLOC, .fill = 8000,
                .count = 1 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *object;
        bool found = false;
        size_t i;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "fill");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = live_report(&daemon);
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (strcmp(json_string_value(json_object_get(object, "cgroup")), cgroup.path) != 0)
                        continue;
                assert_int_equal(number(object, NULL, "entries"), 8000);
                assert_true(number(object, NULL, "allocated") >= 8000 * 1024);
                found = true;
        }
        assert_true(found);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

static void fault_forever(void *argument)
{
        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                char *page = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (page == MAP_FAILED)
                        _exit(1);
                memset(page, 1, MIB);
                munmap(page, MIB);
        }
}

/*
 * Page faults alone never wake it, nor does anything while no BPF object changes. Others on this machine may change
 * theirs meanwhile; that is logged with their cgroup, and a tenth of a second in which it happens does not count.
 */
static void test_idle(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup own, cgroup;
        struct worker worker;
        int quiet = 0, woken = 0, told = 0;
        char named[64];

        (void) state;
        cgroup_make(&own, NULL, "daemon");
        cgroup_make(&cgroup, NULL, "faults");
        snprintf(named, sizeof(named), "changed in cgroup %llu\n", (unsigned long long) cgroup.id);
        live_start(&daemon, &own);
        worker_start(&worker, &cgroup, fault_forever, NULL);
        sleep_msec(500);
        for (int i = 0; i < 400 && quiet < 20; i++) {
                _cleanup_free_ char *before = NULL, *log = NULL;
                long switches;

                /* What was told before this tenth is looked at once more in it, without a word. */
                free(live_log(&daemon));
                sleep_msec(3 * MONITOR_FLUSH_INTERVAL_USEC / 1000);
                before = live_log(&daemon);
                told += strstr(before, named) != NULL;
                if (*before)
                        continue;
                switches = live_switches(&daemon);
                sleep_msec(100);
                switches = live_switches(&daemon) - switches;
                log = live_log(&daemon);
                told += strstr(log, named) != NULL;
                if (*log)
                        continue;
                woken += switches != 0;
                quiet++;
        }
        print_message("# %d ms of page faults without a wake-up, told of %d times; RSS of the idle daemon: %ld KiB\n",
                        100 * (quiet - woken), told, live_rss(&daemon));
        /* The end of what went on before can be late on a busy machine; what wakes it again and again is more. */
        assert_in_range(woken, 0, 1);
        assert_true(quiet >= 10);
        /* What is told of the faults themselves is no excuse: now and then an interrupt allocates for the cgroup. */
        assert_in_range(told, 0, quiet / 2);
#if !HARNESS_ASAN
        assert_true(live_rss(&daemon) <= 8192);
#endif
        worker_end(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&own);
}

/* A removed cgroup does not linger in a daemon that goes on running. */
static void test_live_gone(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "gone");
        worker_start(&worker, &cgroup, touch_memory, NULL);
        report = live_report(&daemon);
        assert_true(json_is_true(json_object_get(find_cgroup(report, cgroup.path), "exists")));
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
        report = live_report(&daemon);
        if (find_cgroup(report, cgroup.path))
                assert_true(json_is_false(json_object_get(find_cgroup(report, cgroup.path), "exists")));
        json_decref(report);
        report = live_report(&daemon);
        assert_null(find_cgroup(report, cgroup.path));
        json_decref(report);
        assert_int_equal(live_end(&daemon), 0);
}

#define MAKERS    64
#define MAPS_EACH 40

static void make_many(void *argument)
{
        (void) argument;
        for (int i = 0; i < MAPS_EACH; i++)
                if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_many", 4, 4, 1, NULL) < 0)
                        _exit(1);
}

/*
 * A preemptible kernel leaves out a hook's program where another task was preempted in it on that CPU. What it would
 * have told of is known all the same, soon and without being asked for.
 */
static void test_live_missed(void **state)
{
        struct worker workers[MAKERS];
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        int64_t maps = 0;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "many");
        for (int i = 0; i < MAKERS; i++)
                worker_enter(&workers[i], &cgroup, make_many, NULL);
        for (int i = 0; i < MAKERS; i++)
                worker_go(&workers[i]);
        for (int i = 0; i < MAKERS; i++)
                worker_wait(&workers[i]);
        for (int i = 0; i < 2 && maps != MAKERS * MAPS_EACH; i++) {
                json_t *report;

                if (i > 0) /* twice as long as it may take under emulation, nobody asking meanwhile */
                        sleep_msec(12000);
                report = live_report(&daemon);
                maps = number(find_cgroup(report, cgroup.path), "bpf", "mapCount");
                json_decref(report);
        }
        assert_int_equal(maps, MAKERS * MAPS_EACH);
        for (int i = 0; i < MAKERS; i++)
                worker_end(&workers[i]);
        assert_int_equal(live_end(&daemon), 0);
}

/* The only object of the cgroup at @path. */
static json_t *object_of(json_t *report, const char *path)
{
        json_t *object, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *its_path = json_string_value(json_object_get(object, "cgroup"));

                if (its_path && strcmp(its_path, path) == 0)
                        found = object;
        }
        assert_non_null(found);
        return found;
}

/* A daemon that goes on running remembers where such a map was, and where there is a hook, who made it. */
static void test_live_reparented(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, leaf;
        struct live_daemon daemon;
        json_t *report, *object;
        struct worker worker;
        int64_t id;
        int fd;

        (void) state;
        cgroup_make(&top, NULL, "origin");
        cgroup_make(&leaf, &top, "leaf");
        live_start(&daemon, NULL);
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        report = live_report(&daemon);
        object = object_of(report, leaf.path);
        id = number(object, NULL, "id");
        assert_true(json_is_false(json_object_get(object, "cgroupGone")));
        if (has_capability(report, "function:security_bpf_map"))
                assert_int_equal(number(object, "creator", "pid"), worker.pid);
        else
                assert_true(json_is_null(json_object_get(object, "creator")));
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_end(&worker);
        cgroup_remove(&leaf);
        report = live_wait_object(&daemon, "map", id, "cgroup", top.path);
        object = find_object(report, "map", id);
        assert_true(json_is_true(json_object_get(object, "cgroupGone")));
        assert_string_equal(json_string_value(json_object_get(object, "lastCgroup")), leaf.path);
        json_decref(report);
        close(fd);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&top);
}

struct records {
        struct object_record *records;
        size_t count;
};

static int keep_record(void *context, const struct object_record *record)
{
        struct records *list = context;

        list->records = reallocarray(list->records, list->count + 1, sizeof(*record));
        assert_non_null(list->records);
        list->records[list->count++] = *record;
        return 0;
}

/* What a hook names is measured by its address: that gives the same as the iterators, and a freed object is noticed. */
static void test_measure_again(void **state)
{
        struct kernel_options options = { .sensors = true };
        struct object_record again[2] = {};
        struct records list = {};
        struct cgroupfs cgroupfs;
        struct kernel *kernel;
        uint32_t id;
        int fd;

        (void) state;
        fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "again", 4, MIB, 1, NULL);
        assert_true(fd >= 0);
        assert_int_equal(cgroupfs_init(&cgroupfs), 0);
        assert_int_equal(kernel_open(&options, &cgroupfs, &kernel), 0);
        assert_int_equal(kernel_read_objects(kernel, keep_record, &list), 0);
        for (size_t i = 0; i < list.count; i++)
                if (strcmp(list.records[i].name, "again") == 0)
                        again[0] = list.records[i];
        id = again[0].id;
        assert_int_not_equal(id, 0);
        again[1] = (struct object_record){ .kind = OBJECT_MAP, .id = id, .address = again[0].address };
        assert_int_equal(kernel_measure(kernel, &again[1], 1), 0);
        /* This process has it open. */
        assert_true(again[1].references >= 1);
        again[1].references = 0;
        assert_memory_equal(&again[0], &again[1], sizeof(again[0]));
        close(fd);
        /* It is freed after a grace period. */
        for (int i = 0; i < 500 && !(again[1].marks & OBJECT_GONE); i++) {
                sleep_msec(10);
                assert_int_equal(kernel_measure(kernel, &again[1], 1), 0);
        }
        assert_true(again[1].marks & OBJECT_GONE);
        free(list.records);
        kernel_close(kernel);
        cgroupfs_deinit(&cgroupfs);
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[7] = {};
        size_t n = 0;
        int r = harness_main();

        if (r != 0)
                return r;
        if (!harness_nobpf()) {
                /* They are about the charged cgroup, which there is none of with nobpf. */
                tests[n++] = TEST(test_live_growth);
                tests[n++] = TEST(test_live_fill);
                tests[n++] = TEST(test_live_reparented);
                tests[n++] = TEST(test_live_missed);
        }
        tests[n++] = TEST(test_idle);
        tests[n++] = TEST(test_live_gone);
        tests[n++] = TEST(test_measure_again);
        return _cmocka_run_group_tests("live", tests, n, NULL, NULL);
}
