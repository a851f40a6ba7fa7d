/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/policy.h"

#define MIB (1024ULL * 1024)

static struct budget make_budget(uint64_t high, uint64_t max)
{
        return (struct budget){
                .high = high,
                .max = max,
                .maps_max = BUDGET_INFINITY,
                .programs_max = BUDGET_INFINITY,
                .clear_percent = 90,
        };
}

static struct policy make_policy(const struct budget *budget)
{
        struct policy policy = {};

        policy_set(&policy, budget, BUDGET_INFINITY, BUDGET_INFINITY);
        return policy;
}

static bool update(struct policy *policy, uint64_t bytes, struct policy_change *change)
{
        struct usage usage = { .allocated = bytes };

        return policy_update(policy, &usage, change);
}

static void test_at_the_limit_is_ok(void **state)
{
        struct budget budget = make_budget(64 * MIB, 128 * MIB);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_false(update(&policy, 64 * MIB, &change));
        assert_true(update(&policy, 64 * MIB + 1, &change));
        assert_int_equal(change.from, LEVEL_OK);
        assert_int_equal(change.to, LEVEL_HIGH);
        assert_int_equal(change.limit, LIMIT_HIGH);
}

static void test_hysteresis(void **state)
{
        struct budget budget = make_budget(100, BUDGET_INFINITY);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_true(update(&policy, 101, &change));
        /* Oscillates around High: nothing more is said. */
        for (int i = 0; i < 100; i++)
                assert_false(update(&policy, i % 2 ? 95 : 120, &change));
        assert_false(update(&policy, 91, &change));
        assert_true(update(&policy, 90, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(policy.events.high, 1);
        assert_true(update(&policy, 101, &change));
        assert_int_equal(policy.events.high, 2);
}

static void test_jump_over_both(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_true(update(&policy, 1000, &change));
        assert_int_equal(change.to, LEVEL_MAX);
        assert_int_equal(change.limit, LIMIT_MAX);
        assert_int_equal(policy.events.high, 1);
        assert_int_equal(policy.events.max, 1);
}

static void test_down_by_steps(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        update(&policy, 150, &change);
        update(&policy, 201, &change);
        assert_false(update(&policy, 190, &change));
        assert_true(update(&policy, 180, &change));
        assert_int_equal(change.from, LEVEL_MAX);
        assert_int_equal(change.to, LEVEL_HIGH);
        assert_true(update(&policy, 10, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(policy.events.high, 1);
        assert_int_equal(policy.events.max, 1);
}

static void test_owner_may_only_lower(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct policy policy = {};

        (void) state;
        policy_set(&policy, &budget, 1000, 1000);
        assert_int_equal(policy.high, 100);
        assert_int_equal(policy.max, 200);
        policy_set(&policy, &budget, 50, 150);
        assert_int_equal(policy.high, 50);
        assert_int_equal(policy.max, 150);
        /* A Max below High lowers it, too. */
        policy_set(&policy, &budget, BUDGET_INFINITY, 30);
        assert_int_equal(policy.high, 30);
        assert_int_equal(policy.max, 30);
}

static void test_max_alone(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, 200);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_int_equal(policy.high, BUDGET_INFINITY);
        assert_false(update(&policy, 200, &change));
        assert_true(update(&policy, 201, &change));
        assert_int_equal(change.to, LEVEL_MAX);
        assert_int_equal(policy.events.high, 0);
        assert_int_equal(policy.events.max, 1);
}

static void test_level_kept_by_new_limits(void **state)
{
        struct budget low = make_budget(100, BUDGET_INFINITY), high = make_budget(1000, BUDGET_INFINITY);
        struct policy policy = make_policy(&low);
        struct policy_change change;

        (void) state;
        update(&policy, 500, &change);
        policy_set(&policy, &high, BUDGET_INFINITY, BUDGET_INFINITY);
        assert_int_equal(policy.level, LEVEL_HIGH);
        assert_int_equal(policy.events.high, 1);
        assert_true(update(&policy, 500, &change));
        assert_int_equal(change.to, LEVEL_OK);
}

static void test_counts(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct usage usage = { .map_count = 11 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.maps_max = 10;
        policy = make_policy(&budget);
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.limit, LIMIT_MAPS);
        assert_int_equal(change.to, LEVEL_MAX);
        usage.map_count = 10;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
}

/* Each limit has its own hysteresis: who passed MapsMax= near High has not passed High. */
static void test_limits_are_apart(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct usage usage = { .allocated = 95, .map_count = 11 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.maps_max = 10;
        policy = make_policy(&budget);
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_MAX);
        assert_int_equal(policy.events.high, 0);
        usage.map_count = 10;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(change.limit, LIMIT_MAPS);
}

/* A successor does not tell again what its predecessor has told, and clears where that would have. */
static void test_resume(void **state)
{
        struct budget_events events = { .high = 7 };
        struct budget budget = make_budget(100, BUDGET_INFINITY);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        policy_resume(&policy, LEVEL_HIGH, &events);
        assert_false(update(&policy, 95, &change));
        assert_true(update(&policy, 90, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(policy.events.high, 7);
}

/* However many were sent: a higher level than was told is never kept back. */
static void test_higher_level_is_told(void **state)
{
        struct policy policy = {};
        uint32_t suppressed;

        (void) state;
        for (int i = 0; i < 10; i++)
                policy_may_alert(&policy, LEVEL_HIGH, 1000, 10000, 5, &suppressed);
        assert_true(policy_may_alert(&policy, LEVEL_MAX, 1001, 10000, 5, &suppressed));
        assert_int_equal(suppressed, 5);
        assert_false(policy_may_alert(&policy, LEVEL_MAX, 1002, 10000, 5, &suppressed));
}

static void test_footprint_ratio(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct usage usage = { .allocated = 26, .rss = { [RSS_ANON] = 50, [RSS_FILE] = 50 } };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.footprint_ratio_high = 25;
        policy = make_policy(&budget);
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.limit, LIMIT_FOOTPRINT_RATIO);
        assert_int_equal(change.to, LEVEL_HIGH);
        /* Without processes there is nothing to compare with. */
        usage.rss[RSS_ANON] = usage.rss[RSS_FILE] = 0;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
}

static void test_count_charged(void **state)
{
        struct budget budget = make_budget(100, BUDGET_INFINITY);
        struct usage usage = { .allocated = 1000, .charged = 100 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.count = COUNT_CHARGED;
        policy = make_policy(&budget);
        assert_false(policy_update(&policy, &usage, &change));
        usage.charged = 101;
        assert_true(policy_update(&policy, &usage, &change));
}

static void test_large_limits_do_not_overflow(void **state)
{
        struct budget budget = make_budget(UINT64_MAX - 1, BUDGET_INFINITY);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_false(update(&policy, UINT64_MAX - 1, &change));
        assert_true(update(&policy, UINT64_MAX, &change));
        assert_false(update(&policy, UINT64_MAX - 2, &change));
        assert_true(update(&policy, UINT64_MAX / 2, &change));
}

static void test_rate_limit(void **state)
{
        struct policy policy = {};
        uint32_t suppressed = 99;
        int sent = 0;

        (void) state;
        for (uint64_t i = 0; i < 20; i++)
                sent += policy_may_alert(&policy, LEVEL_HIGH, 1000 + i, 10000, 5, &suppressed);
        assert_int_equal(sent, 5);
        assert_int_equal(suppressed, 0);
        /* The next window's first alert says how many are missing. */
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 20000, 10000, 5, &suppressed));
        assert_int_equal(suppressed, 15);
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 20001, 10000, 5, &suppressed));
        assert_int_equal(suppressed, 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_at_the_limit_is_ok),
                cmocka_unit_test(test_hysteresis),
                cmocka_unit_test(test_jump_over_both),
                cmocka_unit_test(test_down_by_steps),
                cmocka_unit_test(test_owner_may_only_lower),
                cmocka_unit_test(test_max_alone),
                cmocka_unit_test(test_level_kept_by_new_limits),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_limits_are_apart),
                cmocka_unit_test(test_resume),
                cmocka_unit_test(test_higher_level_is_told),
                cmocka_unit_test(test_footprint_ratio),
                cmocka_unit_test(test_count_charged),
                cmocka_unit_test(test_large_limits_do_not_overflow),
                cmocka_unit_test(test_rate_limit),
        };

        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
