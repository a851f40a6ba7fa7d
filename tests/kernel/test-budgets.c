/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets: alerts, their rate limit, reloading, what owners lower, holders. Needs root and a memory controller. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"

#define MIB (1024 * 1024)

/* The map with the highest id: ids are given in turn. */
static uint32_t newest_map(void)
{
        uint32_t id = 0, next;

        for (next = 0; bpf_map_get_next_id(next, &next) == 0;)
                id = next;
        return id;
}

static unsigned int count_of(const char *text, const char *part)
{
        unsigned int n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}

/* Makes three maps of 1 MiB, then drops and makes one again, several times. */
static void oscillate(void *argument)
{
        int fds[3] = {};

        (void) argument;
        for (int i = 0; i < 20; i++) {
                if (i >= 3)
                        close(fds[0]);
                fds[i % 3 && i < 3 ? i : 0] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "swing", 4, MIB, 1, NULL);
                sleep_msec(20);
        }
}

/* Whether the kernel counts the entries of preallocated maps: since 6.6. 6.1.192 has the member that is for it, and
 * leaves it NULL. */
static bool map_counts_elements(void)
{
        struct btf *btf = btf__load_vmlinux_btf();
        bool found = btf && btf__find_by_name_kind(btf, "bpf_map_sum_elem_count", BTF_KIND_FUNC) > 0;

        btf__free(btf);
        return found;
}

/* A cgroup with the budget test, a daemon that has it, and a worker in the cgroup. */
struct fixture {
        struct test_cgroup cgroup;
        struct live_daemon daemon;
        struct worker worker;
        char config[64];
};

/* Makes the cgroup @name with a budget of @keys. */
static void make(struct fixture *f, const char *name, const char *keys)
{
        cgroup_make(&f->cgroup, NULL, name);
        config_make(f->config);
        config_write_budget(f->config, "test.budget", &f->cgroup, keys);
}

static void start(struct fixture *f, void (*create)(void *argument), void *argument)
{
        live_start_with(&f->daemon, NULL, f->config);
        worker_start(&f->worker, &f->cgroup, create, argument);
}

static void end(struct fixture *f)
{
        worker_end(&f->worker);
        assert_int_equal(live_end(&f->daemon), 0);
        cgroup_remove(&f->cgroup);
}

static const struct map_case two_mib = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };

/* One alert over High, none while usage oscillates above the clear mark, one below it. */
static void test_budget_alerts(void **state)
{
        _cleanup_free_ char *over = NULL, *within = NULL;
        struct fixture f;

        (void) state;
        /* 3 MiB are over it; 2 MiB are above the clear mark. */
        make(&f, "budget", "High=2500K\nClearPercent=50");
        start(&f, oscillate, NULL);
        over = live_wait_log(&f.daemon, "is over High of budget test");
        worker_end(&f.worker);
        within = live_wait_log(&f.daemon, "is within the limits of budget test");
        assert_int_equal(count_of(over, "is over High") + count_of(within, "is over High"), 1);
        assert_int_equal(count_of(over, "is within") + count_of(within, "is within"), 1);
        assert_non_null(strstr(over, f.cgroup.path));
        assert_non_null(strstr(over, "largest: map swing (1.0M)"));
        assert_int_equal(live_end(&f.daemon), 0);
        cgroup_remove(&f.cgroup);
}

/* Parent and child have one each: a jump in the child passes both, High and Max. */
static void test_budget_hierarchy(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 4 * MIB, 1, .count = 1 };
        struct test_cgroup parent, child;
        struct live_daemon daemon;
        struct worker worker;
        char config[64], *log;

        (void) state;
        cgroup_make(&parent, NULL, "budget-parent");
        cgroup_make(&child, &parent, "child");
        config_make(config);
        config_write_budget(config, "parent.budget", &parent, "High=1M");
        config_write_budget(config, "child.budget", &child, "High=1M\nMax=2M");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &child, create_maps, (void *) &map);
        log = live_wait_log(&daemon, "is over High of budget parent");
        if (!strstr(log, "is over Max of budget child")) {
                free(log);
                log = live_wait_log(&daemon, "is over Max of budget child");
        }
        free(log);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&child);
        cgroup_remove(&parent);
}

/* The owner of a cgroup may lower its budget by an xattr, and nothing else. */
static void test_budget_xattr(void **state)
{
        struct fixture f;
        char *log;

        (void) state;
        make(&f, "xattr", "High=100M");
        assert_int_equal(setxattr(f.cgroup.directory, "user.bpfbudget.high", "1M", 2, 0), 0);
        assert_int_equal(setxattr(f.cgroup.directory, "user.bpfbudget.max", "nonsense", 8, 0), 0);
        start(&f, create_maps, (void *) &two_mib);
        log = live_wait_log(&f.daemon, "is over High of budget test");
        assert_non_null(strstr(log, "(High 1.0M, Max infinity)"));
        assert_int_equal(count_of(log, "user.bpfbudget.max: \"nonsense\" is not a size"), 1);
        free(log);
        end(&f);
}

/* A reload with an error changes nothing; one without takes the new limits. */
static void test_budget_reload(void **state)
{
        struct fixture f;
        char *log;

        (void) state;
        make(&f, "reload", "High=100M");
        start(&f, create_maps, (void *) &two_mib);
        config_write_budget(f.config, "test.budget", &f.cgroup, "Hihg=1M");
        assert_int_equal(kill(f.daemon.pid, SIGHUP), 0);
        log = live_wait_log(&f.daemon, "the configuration in force is kept");
        assert_non_null(strstr(log, "test.budget:4: "));
        assert_non_null(strstr(log, "High="));
        free(log);
        config_write_budget(f.config, "test.budget", &f.cgroup, "High=1M");
        assert_int_equal(kill(f.daemon.pid, SIGHUP), 0);
        free(live_wait_log(&f.daemon, "is over High of budget test"));
        end(&f);
}

/* Fills a trie, and empties it when the daemon has had the time to see it full. */
static void fill_and_empty(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "bb_trie", 8, 8, 100000, &opts);
        struct {
                uint32_t bits, prefix;
        } key = { .bits = 32 };
        uint64_t value = 0;

        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (key.prefix = 0; key.prefix < 30000; key.prefix++)
                if (bpf_map_update_elem(fd, &key, &value, 0) < 0)
                        _exit(1);
        sleep_msec(1000);
        for (key.prefix = 0; key.prefix < 30000; key.prefix++)
                if (bpf_map_delete_elem(fd, &key) < 0)
                        _exit(1);
        for (;;)
                pause();
}

/* No hook reports that single elements are freed: it is found out all the same, long before the audit. */
static void test_budget_shrinks(void **state)
{
        struct fixture f;

        (void) state;
        make(&f, "shrinks", "High=1M");
        start(&f, fill_and_empty, NULL);
        free(live_wait_log(&f.daemon, "is over High of budget test"));
        free(live_wait_log(&f.daemon, "is within the limits of budget test"));
        end(&f);
}

/* Makes a map, and drops it as soon as the daemon has seen it. */
static void make_and_drop(void *argument)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_brief", 4, 2 * MIB, 1, NULL);

        (void) argument;
        sleep_msec(300);
        close(fd);
}

/* An alert that the rate limit holds back is logged when that allows it, though nothing happens any more. */
static void test_budget_held_back(void **state)
{
        struct fixture f;
        char *log;

        (void) state;
        make(&f, "held-back", "High=1M");
        config_write(f.config, "bpfbudgetd.conf", "[Daemon]\nAlertIntervalSec=3\nAlertBurst=1\n");
        start(&f, make_and_drop, NULL);
        free(live_wait_log(&f.daemon, "is over High of budget test"));
        log = live_wait_log(&f.daemon, "is within the limits of budget test");
        assert_non_null(strstr(log, "; 1 earlier messages were suppressed"));
        free(log);
        end(&f);
}

/* A preallocated hash, whose insertions no sensor reports, and an LRU map of the same size: both become full. */
static void fill_two(void *argument)
{
        int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_table", 4, 8, 100, NULL);
        int lru = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "bb_lru", 4, 8, 100, NULL);
        uint64_t value = 0;

        (void) argument;
        sleep_msec(300);
        for (uint32_t key = 0; key < 200; key++) {
                bpf_map_update_elem(hash, &key, &value, 0);
                bpf_map_update_elem(lru, &key, &value, 0);
        }
}

/* It is reported once, and LRU maps are not. */
static void test_budget_fill(void **state)
{
        struct fixture f;
        char *log;

        (void) state;
        make(&f, "fill", "MapFillHigh=90%");
        config_write(f.config, "bpfbudgetd.conf", "[Daemon]\nPollSec=100ms\n");
        start(&f, fill_two, NULL);
        log = live_wait_log(&f.daemon, "is nearly full: ");
        assert_non_null(strstr(log, ": map bb_table (hash, id "));
        assert_non_null(strstr(log, " is nearly full: 100 of 100 entries, MapFillHigh of budget test is 90%"));
        assert_null(strstr(log, "bb_lru"));
        free(log);
        end(&f);
}

/* With --dry-run it is logged, and nothing is written. */
static void test_dry_run(void **state)
{
        struct fixture f;
        char text[64];

        (void) state;
        make(&f, "dry", "High=1M");
        live_start_dry(&f.daemon, f.config);
        worker_start(&f.worker, &f.cgroup, create_maps, (void *) &two_mib);
        free(live_wait_log(&f.daemon, "(dry run) /"));
        assert_int_equal(live_end(&f.daemon), 0);
        assert_int_equal(getxattr(f.cgroup.directory, "user.bpfbudget.events", text, sizeof(text)), -1);
        assert_int_equal(errno, ENODATA);
        /* Without it, it is there: the cgroup can have such a thing. */
        live_start_with(&f.daemon, NULL, f.config);
        assert_int_equal(live_end(&f.daemon), 0);
        assert_true(getxattr(f.cgroup.directory, "user.bpfbudget.events", text, sizeof(text)) > 0);
        worker_end(&f.worker);
        cgroup_remove(&f.cgroup);
}

/*
 * A budget with Attribution=holder: a map that another cgroup is charged for is the holder's as soon as that cgroup
 * does not hold it itself, and goes back when the holder lets go of it.
 */
static void test_budget_holder(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };
        const char *charged = harness_nobpf() ? "none" : "charged";
        struct test_cgroup maker, holder;
        struct worker making, holding;
        struct live_daemon daemon;
        json_t *report, *object;
        char config[64];
        uint32_t id;
        int fd;

        (void) state;
        cgroup_make(&maker, NULL, "maker");
        cgroup_make(&holder, NULL, "holder");
        config_make(config);
        config_write_budget(config, "test.budget", &holder, "High=1M\nAttribution=holder");
        config_write(config, "bpfbudgetd.conf", "[Daemon]\nPollSec=1\n");
        live_start_with(&daemon, NULL, config);
        worker_start(&making, &maker, create_maps, (void *) &map);
        id = newest_map();
        report = live_wait_object(&daemon, "map", id, "attribution", charged);
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_start(&holding, &holder, hold_map, &id);
        if (!harness_nobpf()) {
                /* Both hold it: it stays where it is charged, through several passes over holders. */
                sleep_msec(2500);
                report = live_wait_object(&daemon, "map", id, "attribution", charged);
                assert_string_equal(json_string_value(json_object_get(find_object(report, "map", id), "cgroup")),
                                maker.path);
                json_decref(report);
        }
        worker_end(&making);
        free(live_wait_log(&daemon, "is over High of budget test"));
        report = live_wait_object(&daemon, "map", id, "attribution", "holder");
        object = find_object(report, "map", id);
        assert_string_equal(json_string_value(json_object_get(object, "cgroup")), holder.path);
        assert_int_equal(number(find_cgroup(report, holder.path), "self", "allocated"),
                        number(object, NULL, "allocated"));
        json_decref(report);
        worker_end(&holding);
        free(live_wait_log(&daemon, "is within the limits of budget test"));
        report = live_wait_object(&daemon, "map", id, "attribution", charged);
        json_decref(report);
        close(fd);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&maker);
        cgroup_remove(&holder);
}

/* --check-config says what is wrong, and its exit status. */
static void test_check_config(void **state)
{
        _cleanup_free_ char *good = NULL, *bad = NULL;
        char config[64];
        int status;

        (void) state;
        config_make(config);
        config_write(config, "a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\n");
        good = daemon_errors(&status, "--check-config", config, NULL);
        assert_int_equal(status, 0);
        assert_one_line(good, "1 budgets, 0 warnings");
        config_write(config, "b.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=2M\nMax=1M\n");
        bad = daemon_errors(&status, "--check-config", config, NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(bad, "b.budget:"));
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[10] = {};
        size_t n = 0;
        int r = harness_main();

        if (r != 0)
                return r;
        if (!harness_nobpf()) {
                /* They are about the charged cgroup, which there is none of with nobpf. */
                tests[n++] = TEST(test_budget_alerts);
                tests[n++] = TEST(test_budget_hierarchy);
                tests[n++] = TEST(test_budget_xattr);
                tests[n++] = TEST(test_budget_reload);
                tests[n++] = TEST(test_budget_shrinks);
                tests[n++] = TEST(test_budget_held_back);
                tests[n++] = TEST(test_dry_run);
                if (map_counts_elements())
                        tests[n++] = TEST(test_budget_fill);
        }
        tests[n++] = TEST(test_budget_holder);
        tests[n++] = TEST(test_check_config);
        return _cmocka_run_group_tests("budgets", tests, n, NULL, NULL);
}
