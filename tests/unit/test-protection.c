/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is never paused, by id, and how often the hierarchy is searched for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforce/protection.h"
#include "fail-alloc.h"
#include "fake-cgroupfs.h"

#define SECOND (1000ULL * 1000)
#define START  (500 * SECOND)

static struct fake_cgroup cgroups[] = {
        { 1, 0, "/", false },
        { 10, 1, "/init.scope", false },
        { 11, 10, "/init.scope/x", false },
        { 12, 1, "/init.scope2", false },
        { 20, 1, "/system.slice", false },
        { 21, 20, "/system.slice/bpfbudgetd.service", false },
        { 22, 20, "/system.slice/bpfbudgetd.service2", false },
        { 23, 20, "/system.slice/bpfbudgetd", false },
        { 24, 20, "/system.slice/systemd-journald.service", false },
        { 25, 20, "/system.slice/system-systemd\\x2djournald.slice", false },
        { 26, 25, "/system.slice/system-systemd\\x2djournald.slice/systemd-journald@a.service", false },
        { 30, 1, "/a", false },
        { 31, 30, "/a/agent.service", false },
        { 32, 31, "/a/agent.service/x", false },
        { 40, 1, "/b", false },
        { 41, 40, "/b/c", false },
        { 42, 41, "/b/c/d", false },
};

static struct fake_hierarchy hierarchy = { cgroups, sizeof(cgroups) / sizeof(cgroups[0]), 0 };
static struct cgroupfs fs = { .mount_fd = -1 };
static struct tree tree;
static struct protection protection;
static const struct patterns none;
static uint64_t clock_step, clock_now; /* each look at the clock takes so long */
static unsigned int logged;

uint64_t now_usec(void)
{
        return clock_now += clock_step;
}

void log_message(int priority, const char *format, ...)
{
        (void) priority;
        (void) format;
        logged++;
}

static void start(const char *own)
{
        fake_own = own;
        assert_int_equal(protection_init(&protection, &fs), 0);
}

static int setup(void **state)
{
        (void) state;
        fake_fs = &hierarchy;
        walks = logged = 0;
        fail_own = fail_walk = 0;
        clock_step = 0;
        for (size_t i = 0; i < hierarchy.count; i++)
                cgroups[i].gone = false;
        return tree_init(&tree, 1, fake_lookup, &hierarchy);
}

static int teardown(void **state)
{
        (void) state;
        protection_deinit(&protection);
        tree_deinit(&tree);
        return 0;
}

static const struct cgroup *get(const char *path)
{
        struct cgroup *cgroup;
        uint64_t id;

        assert_int_equal(cgroupfs_id(&fs, path, &id), 0);
        assert_int_equal(tree_get(&tree, id, &cgroup), 0);
        return cgroup;
}

static bool covers(const char *path, const struct patterns *never)
{
        return protection_covers(&protection, get(path), never);
}

static bool is_above(const char *path)
{
        return protection_is_above(&protection, get(path));
}

static void test_always(void **state)
{
        static char exact[] = "/a/agent.service", below[] = "/b/**";
        struct pattern list[] = { { .glob = exact }, { .glob = below } };
        struct patterns never = { list, 2 };

        (void) state;
        start("/system.slice/bpfbudgetd.service");
        assert_true(covers("/", &none));
        assert_true(covers("/init.scope", &none));
        assert_true(covers("/init.scope/x", &none));
        assert_true(covers("/system.slice", &none));
        assert_true(covers("/system.slice/bpfbudgetd.service", &none));
        assert_true(covers("/system.slice/systemd-journald.service", &none));
        assert_true(covers("/system.slice/system-systemd\\x2djournald.slice/systemd-journald@a.service", &none));
        assert_false(covers("/system.slice/bpfbudgetd.service2", &none));
        assert_false(covers("/system.slice/bpfbudgetd", &none));
        assert_false(covers("/init.scope2", &none));
        assert_false(covers("/a/agent.service", &none));

        assert_true(covers("/a/agent.service", &never));
        assert_false(covers("/a/agent.service/x", &never));
        assert_true(covers("/b/c/d", &never));
        assert_int_equal(walks, 0);
}

/* Wherever the daemon is, what is above it is protected, and nothing beside it. In the root only the root is. */
static void test_own(void **state)
{
        (void) state;
        start("/b/c/d");
        assert_true(covers("/b/c/d", &none) && covers("/b/c", &none) && covers("/b", &none));
        assert_false(covers("/a", &none));
        protection_deinit(&protection);
        start("/");
        assert_true(covers("/", &none));
        assert_false(covers("/a", &none) || covers("/b/c", &none));
        protection_deinit(&protection);
        fail_own = EXDEV;
        start("/a");
        assert_false(covers("/a", &none));
        fail_own = ENOENT;
        assert_int_equal(protection_init(&protection, &fs), -ENOENT);
}

/* A cgroup of the same path is another one, and the journal's is the one that is there now. */
static void test_by_id(void **state)
{
        const struct cgroup *journal;

        (void) state;
        start("/a");
        journal = get("/system.slice/systemd-journald.service");
        assert_true(protection_covers(&protection, journal, &none));
        cgroups[8].id = 99;
        assert_false(protection_covers(&protection, journal, &none));
        assert_true(covers("/system.slice/systemd-journald.service", &none));
        cgroups[8].id = 24;
}

/* What has no path may be what NeverThrottle= means. */
static void test_no_path(void **state)
{
        struct cgroup *cgroup;

        (void) state;
        start("/a");
        assert_int_equal(tree_get(&tree, 12345, &cgroup), 0);
        assert_null(cgroup->path);
        assert_true(protection_covers(&protection, cgroup, &none));
}

/* All that is above what matches is found, however deep that is, and nothing else. */
static void test_above(void **state)
{
        static char glob[] = "/b/c/d";
        struct pattern list[] = { { .glob = glob } };
        struct patterns never = { list, 1 };

        (void) state;
        start("/a");
        assert_false(is_above("/b"));
        protection_refresh(&protection, &never, START);
        assert_true(is_above("/b") && is_above("/b/c") && is_above("/b/c/d"));
        assert_false(is_above("/a") || is_above("/system.slice") || is_above("/a/agent.service"));
        /* It goes, or the settings change. */
        cgroups[16].gone = true;
        protection_refresh(&protection, &never, START + 1);
        assert_false(is_above("/b"));
        cgroups[16].gone = false;
        protection_refresh(&protection, &never, START + 2);
        assert_true(is_above("/b"));
        protection_reload(&protection);
        protection_refresh(&protection, &none, START + 2);
        assert_false(is_above("/b"));
        assert_int_equal(walks, 3);
}

/* A walk takes a twentieth of the time at most, and a change of the settings does not wait for it. */
static void test_how_often(void **state)
{
        static char glob[] = "/b/c/d", other[] = "/a";
        struct pattern list[] = { { .glob = glob } };
        struct patterns never = { list, 1 };

        (void) state;
        start("/a");
        clock_step = 1000;
        protection_refresh(&protection, &never, START);
        assert_int_equal(walks, 1);
        cgroups[16].gone = true;
        protection_refresh(&protection, &never, START + 19999);
        assert_int_equal(walks, 1);
        assert_true(is_above("/b"));
        protection_refresh(&protection, &never, START + 20000);
        assert_int_equal(walks, 2);
        assert_false(is_above("/b"));
        list[0].glob = other;
        protection_refresh(&protection, &never, START + 20001);
        assert_false(is_above("/a"));
        protection_reload(&protection);
        protection_refresh(&protection, &never, START + 20001);
        assert_true(is_above("/a"));
}

/* What was known stays when it cannot be found out. */
static void test_failures(void **state)
{
        static char glob[] = "/b/c/d";
        struct pattern list[] = { { .glob = glob } };
        struct patterns never = { list, 1 };

        (void) state;
        start("/a");
        protection_refresh(&protection, &never, START);
        fail_walk = EACCES;
        protection_refresh(&protection, &never, START + 1);
        assert_true(is_above("/b"));
        assert_int_equal(logged, 1);
        fail_walk = 0;
        for (unsigned int n = 1;; n++) {
                assert_true(n < 100);
                fail_at = n;
                logged = 0;
                protection_refresh(&protection, &never, START + 1 + n);
                assert_true(is_above("/b") && is_above("/b/c") && is_above("/b/c/d"));
                if (fail_at > 0)
                        break;
                assert_int_equal(logged, 1);
        }
        fail_at = 0;
        assert_int_equal(logged, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_always),
                TEST(test_own),
                TEST(test_by_id),
                TEST(test_no_path),
                TEST(test_above),
                TEST(test_how_often),
                TEST(test_failures),
        };

        return cmocka_run_group_tests_name("protection", tests, NULL, NULL);
}
