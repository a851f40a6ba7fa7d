/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The RSS of cgroups against /proc's. Needs root and a memory controller. */
#include "harness.h"

#include <stdio.h>

#include "base/cleanup.h"

static int64_t proc_status(pid_t pid, const char *format)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        long long kib = -1;
        char line[256];

        assert_true(asprintf(&path, "/proc/%d/status", pid) > 0);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, format, &kib) == 1)
                        break;
        return kib * 1024;
}

static void assert_within_1_percent(int64_t ours, int64_t truth)
{
        assert_in_range(ours, truth - truth / 100, truth + truth / 100);
}

static void assert_rss(json_t *report, const struct test_cgroup *cgroup, const struct worker *workers, size_t n)
{
        json_t *entry = find_cgroup(report, cgroup->path);
        int64_t anon = 0, file = 0, shmem = 0;

        assert_non_null(entry);
        for (size_t i = 0; i < n; i++) {
                anon += proc_status(workers[i].pid, "RssAnon: %lld");
                file += proc_status(workers[i].pid, "RssFile: %lld");
                shmem += proc_status(workers[i].pid, "RssShmem: %lld");
        }
        assert_within_1_percent(number(entry, "rss", "anon"), anon);
        assert_within_1_percent(number(entry, "rss", "file"), file);
        assert_within_1_percent(number(entry, "rss", "shmem"), shmem);
        assert_int_equal(number(entry, NULL, "footprint"),
                        number(entry, "bpf", "allocated") + number(entry, "rss", "anon") +
                                        number(entry, "rss", "file") + number(entry, "rss", "shmem") +
                                        number(entry, "rss", "swap"));
}

static void test_rss(void **state)
{
        struct test_cgroup cgroup;
        struct worker workers[2];
        json_t *report;

        (void) state;
        cgroup_make(&cgroup, NULL, "rss");
        worker_start(&workers[0], &cgroup, touch_memory, NULL);
        worker_start(&workers[1], &cgroup, touch_memory, NULL);
        report = snapshot();
        assert_rss(report, &cgroup, workers, 2);
        assert_true(number(find_cgroup(report, cgroup.path), "rss", "anon") >= 2 * TOUCH_BYTES);
        json_decref(report);
        worker_end(&workers[0]);
        worker_end(&workers[1]);
        cgroup_remove(&cgroup);
}

/* The same from a daemon that goes on running: only updated cgroups are read again, and the sums hold. */
static void test_live_rss(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker workers[2];
        json_t *report;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "live-rss");
        for (size_t i = 0; i < 2; i++) {
                worker_start(&workers[i], &cgroup, touch_memory, NULL);
                report = live_report(&daemon);
                assert_rss(report, &cgroup, workers, i + 1);
                json_decref(report);
        }
        worker_end(&workers[0]);
        report = live_report(&daemon);
        assert_rss(report, &cgroup, workers + 1, 1);
        json_decref(report);
        worker_end(&workers[1]);
        report = live_report(&daemon);
        assert_int_equal(number(find_cgroup(report, cgroup.path), "rss", "anon"), 0);
        json_decref(report);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_rss),
                TEST(test_live_rss),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("rss", tests, NULL, NULL);
}
