/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is paused for whose budget, for how long, and what is counted. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "enforce/enforce.h"
#include "fail-alloc.h"
#include "fake-cgroupfs.h"
#include "fake-freezer.h"
#include "policy/policy.h"

#define MIB    (1024ULL * 1024)
#define SECOND (1000ULL * 1000)
#define START  (12345 * SECOND)

/* A slice with two services in it, and one beside it. */
enum { SLICE, A, B, BESIDE, BOXES };

static const char *const paths[BOXES] = { "/x.slice", "/x.slice/a", "/x.slice/b", "/beside" };

struct fixture {
        char mount[64];
        char record[96];
        struct fake_cgroup cgroups[BOXES + 1];
        struct fake_hierarchy hierarchy;
        struct tree tree;
        struct cgroup *nodes[BOXES];
        struct budget budgets[BOXES];
        struct policy policies[BOXES];
        struct settings settings;
        struct enforce enforce;
};

static char *directory_of(const struct fixture *f, int box, char directory[128])
{
        snprintf(directory, 128, "%s%s", f->mount, paths[box]);
        return directory;
}

static void start(struct fixture *f, const char *record, bool dry_run)
{
        const struct cgroupfs cgroupfs = { .mount_fd = -1, .mount = f->mount, .version = 2 };
        const struct capability capability = { .available = true };

        assert_int_equal(enforce_init(&f->enforce, &f->settings, &f->tree, &cgroupfs, &capability, record, dry_run), 0);
}

/* Gives @box a budget of @high bytes. */
static void set_budget(struct fixture *f, int box, uint64_t high)
{
        f->budgets[box] = (struct budget){
                .high = high,
                .max = BUDGET_INFINITY,
                .maps_max = BUDGET_INFINITY,
                .programs_max = BUDGET_INFINITY,
                .on_high = ACTION_THROTTLE,
                .clear_percent = 90,
        };
        policy_set(&f->policies[box], &f->budgets[box], BUDGET_INFINITY, BUDGET_INFINITY);
        f->nodes[box]->policy = &f->policies[box];
}

static void add(struct fixture *f, int box, uint64_t bytes)
{
        const struct usage usage = { .allocated = bytes };

        tree_add(&f->tree, f->nodes[box], &usage);
        tree_flush(&f->tree);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        char directory[128];

        if (!f || fake_make(f->mount) < 0)
                return -1;
        snprintf(f->record, sizeof(f->record), "%s/frozen", f->mount);
        f->settings = (struct settings){ .throttle_max_usec = 2 * SECOND, .alert_interval_usec = 60 * SECOND };
        f->cgroups[BOXES] = (struct fake_cgroup){ 1, 0, "/", false };
        f->hierarchy = (struct fake_hierarchy){ f->cgroups, BOXES + 1, 0 };
        fake_fs = &f->hierarchy;
        fake_own = "/own";
        fail_own = 0;
        if (tree_init(&f->tree, 1, fake_lookup, &f->hierarchy) < 0)
                return -1;
        for (int i = 0; i < BOXES; i++) {
                uint64_t id = fake_cgroup(directory_of(f, i, directory));

                f->cgroups[i] = (struct fake_cgroup){ id, i == A || i == B ? f->cgroups[SLICE].id : 1, paths[i],
                        false };
                if (tree_get(&f->tree, id, &f->nodes[i]) < 0)
                        return -1;
        }
        start(f, f->record, false);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        int r;

        enforce_deinit(&f->enforce);
        tree_deinit(&f->tree);
        r = fake_remove(f->mount);
        free(f);
        return r;
}

static bool is_set(const struct fixture *f, int box)
{
        char directory[128];

        return fake_is_set(directory_of(f, box, directory));
}

static bool grow(struct fixture *f, int box, uint64_t now, struct pause *pause)
{
        *pause = (struct pause){};
        return enforce_grown(&f->enforce, f->nodes[box], MIB, now, pause);
}

static bool thaw(struct fixture *f, uint64_t now, struct thawed *thawed)
{
        return enforce_thaw(&f->enforce, now, false, thawed);
}

/* --- Whose budget --------------------------------------------------------------------------------------------------
 */

/* Of the cgroup and those above it the one that is furthest over High, and the nearest of those that are as far. */
static void test_payer(void **state)
{
        static const struct {
                uint64_t own, slice; /* MiB of High; a has 10 MiB, the slice 20 */
                int payer;
        } table[] = { { 5, 16, A }, { 9, 10, SLICE }, { 5, 10, A }, { 10, 16, SLICE }, { 20, 16, SLICE }, { 5, 20, A },
                { 10, 20, -1 }, { 11, 21, -1 } };
        struct fixture *f = *state;
        uint64_t now = START;

        add(f, A, 10 * MIB);
        add(f, B, 10 * MIB);
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++, now += 60 * SECOND) {
                struct thawed thawed;
                struct pause pause;

                set_budget(f, A, table[i].own * MIB);
                set_budget(f, SLICE, table[i].slice * MIB);
                assert_int_equal(grow(f, A, now, &pause), table[i].payer >= 0);
                assert_int_equal(is_set(f, A), table[i].payer >= 0);
                assert_false(is_set(f, SLICE) || is_set(f, B));
                if (table[i].payer < 0)
                        continue;
                assert_ptr_equal(pause.cgroup, f->nodes[A]);
                assert_ptr_equal(pause.payer, f->nodes[table[i].payer]);
                assert_int_equal(pause.grown, MIB);
                assert_int_equal(pause.usec, 2 * SECOND);
                assert_int_equal(f->policies[table[i].payer].events.throttled, 1);
                assert_true(thaw(f, now + 2 * SECOND, &thawed));
                assert_ptr_equal(thawed.payer, f->nodes[table[i].payer]);
                assert_int_equal(f->policies[table[i].payer].events.throttled_usec, 2 * SECOND);
                f->policies[A].events = f->policies[SLICE].events = (struct budget_events){};
        }
}

/* What Count= says is what is over High; an alert alone pauses nobody; nor does a budget beside it. */
static void test_which_budgets(void **state)
{
        const struct usage charged = { .charged = 2 };
        struct fixture *f = *state;
        struct pause pause;

        add(f, A, 20 * MIB);
        assert_false(grow(f, A, START, &pause));
        set_budget(f, B, 0);
        set_budget(f, BESIDE, 0);
        assert_false(grow(f, A, START, &pause));
        set_budget(f, SLICE, 10 * MIB);
        f->budgets[SLICE].count = COUNT_CHARGED;
        assert_false(grow(f, A, START, &pause));
        f->budgets[SLICE].count = COUNT_ALLOCATED;
        f->budgets[SLICE].on_high = ACTION_ALERT;
        assert_false(grow(f, A, START, &pause));
        assert_false(is_set(f, A));
        f->budgets[SLICE].on_high = ACTION_THROTTLE;
        f->budgets[SLICE].count = COUNT_CHARGED;
        tree_add(&f->tree, f->nodes[A], &charged);
        tree_flush(&f->tree);
        set_budget(f, SLICE, 1);
        assert_true(grow(f, A, START, &pause));
        assert_true(is_set(f, A));
}

/* --- How long ------------------------------------------------------------------------------------------------------
 */

/* The curve's price of what it grew by, at how far the budget is over. */
static void test_price(void **state)
{
        struct fixture *f = *state;
        struct pause pause;

        add(f, A, 102 * MIB);
        set_budget(f, A, 100 * MIB);
        assert_true(enforce_grown(&f->enforce, f->nodes[A], THROTTLE_BATCH, START, &pause));
        assert_int_equal(pause.usec, throttle_delay(throttle_overage(102 * MIB, 100 * MIB), THROTTLE_BATCH));
        assert_int_equal(pause.grown, THROTTLE_BATCH);
        assert_int_equal(enforce_next_usec(&f->enforce), START + pause.usec);
        /* While it is paused it owes. */
        assert_false(enforce_grown(&f->enforce, f->nodes[A], THROTTLE_BATCH, START + 1, &pause));
        assert_int_equal(f->policies[A].events.throttled, 1);
        assert_int_equal(enforce_next_usec(&f->enforce), START + pause.usec);
}

/* What grows and grows is paused half of the time, by what the pauses took in truth. */
static void test_half_of_the_time(void **state)
{
        struct fixture *f = *state;
        uint64_t now = START, paused = 0;
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        for (unsigned int i = 0; i < 3; i++) {
                assert_true(grow(f, A, now, &pause));
                assert_int_equal(pause.usec, i < 2 ? 2 * SECOND : SECOND - 200000);
                now += pause.usec + (i < 2 ? 100000 : 0);
                assert_true(thaw(f, now, &thawed));
                assert_ptr_equal(thawed.payer, f->nodes[A]);
                paused += thawed.usec;
        }
        assert_int_equal(paused, 5 * SECOND);
        assert_int_equal(f->policies[A].events.throttled, 3);
        assert_int_equal(f->policies[A].events.throttled_usec, 5 * SECOND);
        assert_false(grow(f, A, now, &pause));
        assert_false(grow(f, A, now + 4 * SECOND, &pause));
        assert_false(is_set(f, A));
        assert_true(grow(f, A, START + 21 * SECOND, &pause));
        assert_int_equal(pause.usec, 2 * SECOND);
}

/* Each cgroup has its own half, and its own alerts. */
static void test_each_its_own(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, SLICE, MIB);
        for (int i = 0; i < 3; i++) {
                assert_true(grow(f, A, START + 2 * i * SECOND, &pause));
                assert_int_equal(pause.tell, i == 0);
                assert_true(thaw(f, START + 2 * i * SECOND + pause.usec, &thawed));
        }
        assert_false(grow(f, A, START + 7 * SECOND, &pause));
        assert_true(grow(f, B, START + 7 * SECOND, &pause));
        assert_int_equal(pause.usec, 2 * SECOND);
        assert_true(pause.tell);
        assert_int_equal(pause.suppressed, 0);
        assert_true(grow(f, A, START + 60 * SECOND, &pause));
        assert_true(pause.tell);
        assert_int_equal(pause.suppressed, 2);
        assert_int_equal(f->policies[SLICE].events.throttled, 5);
}

/* Of one that is gone nothing is remembered: neither its half, nor that it was told. */
static void test_forget(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        enforce_forget(&f->enforce, f->nodes[A]->id);
        assert_true(grow(f, A, START, &pause));
        assert_true(enforce_thaw(&f->enforce, START + 100 * SECOND, true, &thawed));
        assert_false(grow(f, A, START + 100 * SECOND, &pause));
        enforce_forget(&f->enforce, f->nodes[A]->id);
        assert_true(grow(f, A, START + 100 * SECOND, &pause));
        assert_true(pause.tell);
        assert_int_equal(pause.suppressed, 0);
        /* Also while it is paused. */
        enforce_forget(&f->enforce, f->nodes[A]->id);
        assert_true(thaw(f, START + 102 * SECOND, &thawed));
        assert_false(is_set(f, A));
        assert_true(grow(f, A, START + 102 * SECOND, &pause));
        assert_int_equal(pause.usec, 2 * SECOND);
}

static void test_dry_run(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed;
        struct pause pause;

        enforce_deinit(&f->enforce);
        start(f, NULL, true);
        assert_null(enforce_obstacle(&f->enforce));
        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        /* What would have been paused counts for the half, and is in no events. */
        for (unsigned int i = 0; i < 3; i++) {
                assert_true(grow(f, A, START, &pause));
                assert_int_equal(pause.usec, i < 2 ? 2 * SECOND : SECOND);
                assert_ptr_equal(pause.payer, f->nodes[A]);
                assert_int_equal(pause.tell, i == 0);
        }
        assert_false(grow(f, A, START, &pause));
        assert_false(is_set(f, A));
        assert_int_equal(f->policies[A].events.throttled, 0);
        assert_int_equal(enforce_next_usec(&f->enforce), UINT64_MAX);
        assert_false(enforce_thaw(&f->enforce, UINT64_MAX, true, &thawed));
}

/* --- Who is not paused ---------------------------------------------------------------------------------------------
 */

static void test_protected(void **state)
{
        struct fixture *f = *state;
        char glob[] = "/x.slice/b";
        struct pattern list = { .glob = glob };
        struct pause pause;

        add(f, A, 100 * MIB);
        add(f, BESIDE, 100 * MIB);
        set_budget(f, SLICE, MIB);
        set_budget(f, BESIDE, MIB);
        /* The daemon's own, and what is above it. */
        enforce_deinit(&f->enforce);
        fake_own = "/x.slice/a";
        start(f, f->record, false);
        assert_false(grow(f, A, START, &pause));
        assert_false(grow(f, SLICE, START, &pause));
        assert_true(grow(f, BESIDE, START, &pause));
        enforce_deinit(&f->enforce);
        fake_own = "/beside";
        start(f, f->record, false);
        /* What is named, and what it is in: it would be frozen with it. */
        f->settings.never_throttle = (struct patterns){ &list, 1 };
        enforce_reload(&f->enforce);
        assert_false(grow(f, B, START, &pause));
        assert_int_equal(logged_count, 0);
        assert_false(grow(f, SLICE, START, &pause));
        assert_int_equal(logged_count, 1);
        assert_non_null(strstr(logged, "/x.slice is not paused"));
        assert_int_equal(f->policies[SLICE].events.throttled, 0);
        assert_true(grow(f, A, START, &pause));
        assert_false(is_set(f, SLICE) || is_set(f, B));
        assert_true(is_set(f, A));
        f->settings.never_throttle = (struct patterns){};
        assert_true(grow(f, SLICE, START + 10 * SECOND, &pause));
        assert_true(is_set(f, SLICE));
}

/* One that somebody else has frozen, or that is gone, is left alone, and is no failure. */
static void test_left_alone(void **state)
{
        struct fixture *f = *state;
        char directory[128];
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        directory_of(f, A, directory);
        fake_put(directory, "cgroup.freeze", "1\n");
        assert_false(grow(f, A, START, &pause));
        assert_int_equal(enforce_next_usec(&f->enforce), UINT64_MAX);
        assert_false(enforce_thaw(&f->enforce, UINT64_MAX, true, &thawed));
        assert_true(is_set(f, A));
        fake_put(directory, "cgroup.freeze", "0\n");
        f->nodes[A]->exists = false;
        assert_false(grow(f, A, START + 10 * SECOND, &pause));
        f->nodes[A]->exists = true;
        assert_int_equal(f->policies[A].events.throttled, 0);
        assert_int_equal(logged_count, 0);
        assert_true(grow(f, A, START + 10 * SECOND, &pause));
        assert_true(pause.tell);
        assert_int_equal(f->policies[A].events.throttled, 1);
}

/* What somebody else writes during a pause ends it, and stays. */
static void test_taken_over(void **state)
{
        struct fixture *f = *state;
        struct pollfd fd = { .events = POLLIN };
        char directory[128];
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        directory_of(f, A, directory);
        assert_true(grow(f, A, START, &pause));
        fd.fd = enforce_fd(&f->enforce);
        assert_true(fd.fd >= 0);
        assert_int_equal(poll(&fd, 1, 0), 0);
        assert_false(enforce_thaw(&f->enforce, START + 1000, false, &thawed));
        fake_put(directory, "cgroup.freeze", "1\n");
        assert_int_equal(poll(&fd, 1, 0), 1);
        assert_true(enforce_thaw(&f->enforce, START + 2000, false, &thawed));
        assert_int_equal(thawed.usec, 2000);
        assert_int_equal(poll(&fd, 1, 0), 0);
        assert_true(is_set(f, A));
        assert_int_equal(enforce_next_usec(&f->enforce), UINT64_MAX);
}

/* Each cause of a failure is told once, and again after it has worked. */
static void test_failures_are_told_once(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        fail_pwrite = EIO;
        assert_false(grow(f, A, START, &pause));
        assert_false(grow(f, A, START, &pause));
        assert_int_equal(logged_count, 1);
        assert_non_null(strstr(logged, "/x.slice/a cannot be paused"));
        fail_pwrite = EACCES;
        assert_false(grow(f, A, START, &pause));
        assert_int_equal(logged_count, 2);
        assert_int_equal(f->policies[A].events.throttled, 0);
        fail_pwrite = 0;
        assert_true(grow(f, A, START, &pause));
        assert_true(pause.tell);
        assert_int_equal(pause.suppressed, 0);
        assert_true(enforce_thaw(&f->enforce, START, true, &thawed));
        fail_pwrite = EACCES;
        assert_false(grow(f, A, START, &pause));
        assert_int_equal(logged_count, 3);
}

/* Who cannot be remembered is not paused. */
static void test_no_memory(void **state)
{
        struct fixture *f = *state;
        struct pause pause;
        bool paused = false;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        for (unsigned int n = 1; !paused; n++) {
                assert_true(n < 100);
                fail_at = n;
                paused = grow(f, A, START, &pause);
                assert_int_equal(paused, fail_at > 0);
                fail_at = 0;
                assert_int_equal(is_set(f, A), paused);
                assert_int_equal(f->policies[A].events.throttled, paused);
        }
}

/* --- Thawing -------------------------------------------------------------------------------------------------------
 */

/* Each in its time, the earliest first; at the end all at once. */
static void test_in_time(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed = {};
        struct pause pause;

        add(f, A, 100 * MIB);
        add(f, BESIDE, 100 * MIB);
        set_budget(f, SLICE, MIB);
        set_budget(f, BESIDE, MIB);
        assert_true(grow(f, A, START, &pause));
        assert_true(grow(f, B, START + 5, &pause));
        assert_true(grow(f, BESIDE, START + 7, &pause));
        assert_int_equal(enforce_next_usec(&f->enforce), START + 2 * SECOND);
        assert_false(thaw(f, START + 2 * SECOND - 1, &thawed));
        assert_true(thaw(f, START + 2 * SECOND, &thawed));
        assert_false(is_set(f, A));
        assert_ptr_equal(thawed.payer, f->nodes[SLICE]);
        assert_int_equal(thawed.usec, 2 * SECOND);
        assert_false(thaw(f, START + 2 * SECOND, &thawed));
        assert_int_equal(enforce_next_usec(&f->enforce), START + 2 * SECOND + 5);
        assert_true(is_set(f, B) && is_set(f, BESIDE));
        assert_true(enforce_thaw(&f->enforce, START + SECOND, true, &thawed));
        assert_int_equal(thawed.usec, SECOND - 5);
        assert_int_equal(f->policies[SLICE].events.throttled_usec, 3 * SECOND - 5);
        assert_true(enforce_thaw(&f->enforce, START + SECOND, true, &thawed));
        assert_ptr_equal(thawed.payer, f->nodes[BESIDE]);
        assert_false(is_set(f, B) || is_set(f, BESIDE));
        assert_false(enforce_thaw(&f->enforce, START + SECOND, true, &thawed));
        assert_int_equal(enforce_next_usec(&f->enforce), UINT64_MAX);
}

/* A payer that has no budget any more, or is gone, counts nothing. */
static void test_payer_goes(void **state)
{
        struct fixture *f = *state;
        struct thawed thawed;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, SLICE, MIB);
        assert_true(grow(f, A, START, &pause));
        f->nodes[SLICE]->policy = NULL;
        assert_true(thaw(f, START + 2 * SECOND, &thawed));
        assert_null(thawed.payer);
        assert_int_equal(thawed.usec, 2 * SECOND);
        f->nodes[SLICE]->policy = &f->policies[SLICE];
        assert_int_equal(f->policies[SLICE].events.throttled_usec, 0);
        assert_true(grow(f, A, START + 10 * SECOND, &pause));
        f->enforce.freezer.first->payer = 987654321;
        assert_true(thaw(f, START + 12 * SECOND, &thawed));
        assert_null(thawed.payer);
}

/* One that cannot be thawed is tried again soon, keeps nobody else waiting, and is told once for each cause. */
static void test_thawing_fails(void **state)
{
        struct fixture *f = *state;
        const uint64_t end = START + 2 * SECOND;
        struct thawed thawed;
        struct pause pause;
        uint64_t next;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        assert_true(grow(f, A, START, &pause));
        fail_pwrite = EIO;
        assert_false(thaw(f, end, &thawed));
        assert_int_equal(logged_count, 1);
        assert_non_null(strstr(logged, "cannot be thawed"));
        next = enforce_next_usec(&f->enforce);
        assert_in_range(next, end + 1, end + SECOND);
        assert_false(thaw(f, next - 1, &thawed));
        assert_int_equal(enforce_next_usec(&f->enforce), next);
        assert_false(thaw(f, next, &thawed));
        assert_int_equal(logged_count, 1);
        assert_false(enforce_thaw(&f->enforce, next, true, &thawed));
        assert_int_equal(logged_count, 1);
        fail_pwrite = EACCES;
        assert_false(enforce_thaw(&f->enforce, next, true, &thawed));
        assert_int_equal(logged_count, 2);
        assert_true(is_set(f, A));
        assert_int_equal(f->policies[A].events.throttled_usec, 0);
        fail_pwrite = 0;
        assert_true(thaw(f, end + 10 * SECOND, &thawed));
        assert_false(is_set(f, A));
        assert_int_equal(thawed.usec, 12 * SECOND);
        assert_int_equal(f->policies[A].events.throttled_usec, 12 * SECOND);
}

/* --- Pauses that lose their reason ---------------------------------------------------------------------------------
 */

enum reason { HIGH_RAISED, ONLY_ALERT, NO_BUDGET, NAMED, SHORTER, FELL, GONE, FREED, REASONS };

static void take_reason(struct fixture *f, enum reason reason, struct pattern *pattern)
{
        switch (reason) {
        case HIGH_RAISED:
                set_budget(f, A, 100 * MIB);
                break;
        case ONLY_ALERT:
                f->budgets[A].on_high = ACTION_ALERT;
                break;
        case NO_BUDGET:
                f->nodes[A]->policy = NULL;
                break;
        case NAMED:
                f->settings.never_throttle = (struct patterns){ pattern, 1 };
                break;
        case SHORTER:
                f->settings.throttle_max_usec = 2 * SECOND - 1;
                break;
        case FELL:
                add(f, A, -99 * MIB);
                break;
        case GONE:
                f->nodes[A]->exists = false;
                break;
        case FREED:
                f->enforce.freezer.first->id = 987654321;
                break;
        case REASONS:
                break;
        }
}

static void test_review(void **state)
{
        char glob[] = "/x.slice/a";
        struct pattern pattern = { .glob = glob };

        for (enum reason reason = 0; reason < REASONS; reason++) {
                struct fixture *f;
                struct thawed thawed;
                struct pause pause;

                assert_int_equal(setup(state), 0);
                f = *state;
                add(f, A, 100 * MIB);
                add(f, BESIDE, 100 * MIB);
                set_budget(f, A, MIB);
                set_budget(f, BESIDE, MIB);
                if (reason != SHORTER)
                        assert_true(grow(f, BESIDE, START + 1, &pause));
                assert_true(grow(f, A, START, &pause));
                enforce_review(&f->enforce, START + 1000);
                assert_int_equal(enforce_next_usec(&f->enforce), START + 2 * SECOND);
                take_reason(f, reason, &pattern);
                assert_false(thaw(f, START + 2000, &thawed));
                enforce_review(&f->enforce, START + 2000);
                assert_int_equal(enforce_next_usec(&f->enforce), START + 2000);
                assert_true(thaw(f, START + 2000, &thawed));
                assert_false(is_set(f, A));
                assert_int_equal(thawed.usec, 2000);
                /* The other one has kept its reason. */
                assert_false(thaw(f, START + 2000, &thawed));
                assert_int_equal(is_set(f, BESIDE), reason != SHORTER);
                teardown(state);
        }
}

/* What is due anyway keeps its time. */
static void test_review_of_what_is_due(void **state)
{
        struct fixture *f = *state;
        struct pause pause;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        assert_true(grow(f, A, START, &pause));
        f->nodes[A]->policy = NULL;
        enforce_review(&f->enforce, START + 3 * SECOND);
        assert_int_equal(enforce_next_usec(&f->enforce), START + 2 * SECOND);
}

/* --- Where nothing can be paused -----------------------------------------------------------------------------------
 */

static void assert_obstacle(struct fixture *f, const struct capability *capability, const char *record, bool dry_run,
                const char *obstacle)
{
        const struct cgroupfs cgroupfs = { .mount_fd = -1, .mount = f->mount, .version = 2 };
        struct pause pause;

        enforce_deinit(&f->enforce);
        assert_int_equal(enforce_init(&f->enforce, &f->settings, &f->tree, &cgroupfs, capability, record, dry_run), 0);
        assert_non_null(enforce_obstacle(&f->enforce));
        assert_non_null(strstr(enforce_obstacle(&f->enforce), obstacle));
        assert_false(grow(f, A, START, &pause));
        assert_false(is_set(f, A));
}

static void test_obstacles(void **state)
{
        const struct capability no = { .reason = "for a reason" }, yes = { .available = true };
        const struct cgroupfs cgroupfs = { .mount_fd = -1 };
        struct fixture *f = *state;

        add(f, A, 100 * MIB);
        set_budget(f, A, MIB);
        assert_obstacle(f, &no, f->record, false, "for a reason");
        assert_obstacle(f, &no, f->record, true, "for a reason");
        assert_obstacle(f, &yes, NULL, false, "--config");
        fail_own = ENOENT;
        assert_obstacle(f, &yes, f->record, false, "own cgroup");
        enforce_deinit(&f->enforce);
        fail_own = ENOMEM;
        assert_int_equal(enforce_init(&f->enforce, &f->settings, &f->tree, &cgroupfs, &yes, f->record, false), -ENOMEM);
        assert_null(f->enforce.obstacle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_payer),
                TEST(test_which_budgets),
                TEST(test_price),
                TEST(test_half_of_the_time),
                TEST(test_each_its_own),
                TEST(test_forget),
                TEST(test_dry_run),
                TEST(test_protected),
                TEST(test_left_alone),
                TEST(test_taken_over),
                TEST(test_failures_are_told_once),
                TEST(test_no_memory),
                TEST(test_in_time),
                TEST(test_payer_goes),
                TEST(test_thawing_fails),
                cmocka_unit_test(test_review),
                TEST(test_review_of_what_is_due),
                TEST(test_obstacles),
        };

        return cmocka_run_group_tests_name("enforce", tests, NULL, NULL);
}
