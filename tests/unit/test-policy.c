/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/policy.h"

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
        /* A ratio over nothing is over any limit, as long as there is something. */
        usage.rss[RSS_ANON] = usage.rss[RSS_FILE] = 0;
        assert_false(policy_update(&policy, &usage, &change));
        usage.allocated = 1;
        assert_false(policy_update(&policy, &usage, &change));
        usage.allocated = 0;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
        usage.allocated = 1;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.limit, LIMIT_FOOTPRINT_RATIO);
        usage.rss[RSS_SHMEM] = 100;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
}

/* Where RSS is not known, nothing is over a ratio of it; what is known counts. */
static void test_footprint_ratio_unknown(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct usage usage = { .allocated = 26 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.footprint_ratio_high = 25;
        policy = make_policy(&budget);
        policy.rss_unknown = true;
        assert_false(policy_update(&policy, &usage, &change));
        usage.rss[RSS_ANON] = 100;
        assert_true(policy_update(&policy, &usage, &change));
        usage.rss[RSS_ANON] = 0;
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

/* High and Max are about what the objects can grow to, whatever they have now. */
static void test_count_committed(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct usage usage = { .allocated = 1000, .charged = 1000, .committed = 100 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.count = COUNT_COMMITTED;
        policy = make_policy(&budget);
        assert_int_equal(policy_usage(&policy, &usage), 100);
        assert_false(policy_update(&policy, &usage, &change));
        usage.committed = 101;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_HIGH);
        usage.committed = 201;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.limit, LIMIT_MAX);
        usage.committed = 0;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
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

/* A number of maps says nothing of the programs', nor the other way round. */
static void test_programs(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct usage usage = { .map_count = 1000, .program_count = 5 };
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.programs_max = 5;
        policy = make_policy(&budget);
        assert_false(policy_update(&policy, &usage, &change));
        usage = (struct usage){ .program_count = 6 };
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.limit, LIMIT_PROGRAMS);
        assert_int_equal(change.from, LEVEL_OK);
        assert_int_equal(change.to, LEVEL_MAX);
        assert_int_equal(policy.events.max, 1);
        assert_int_equal(policy.events.high, 0);
        usage.program_count = 5;
        assert_true(policy_update(&policy, &usage, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(change.limit, LIMIT_PROGRAMS);
        budget.programs_max = BUDGET_INFINITY;
        budget.maps_max = 5;
        usage = (struct usage){ .map_count = 5, .program_count = 1000 };
        assert_false(policy_update(&policy, &usage, &change));
}

/* Of several limits of one level the first is named; of two levels one of the higher. */
static void test_which_limit(void **state)
{
        static const struct {
                uint64_t bytes, maps, programs, anon;
                enum budget_limit limit;
        } table[] = {
                { 201, 11, 6, 100, LIMIT_MAX },
                { 150, 11, 6, 100, LIMIT_MAPS },
                { 150, 10, 6, 100, LIMIT_PROGRAMS },
                { 150, 10, 5, 100, LIMIT_HIGH },
                { 100, 10, 5, 399, LIMIT_FOOTPRINT_RATIO },
                { 100, 10, 5, 400, LIMIT_NONE },
                { 50, 10, 6, 100, LIMIT_PROGRAMS },
        };
        struct budget budget = make_budget(100, 200);

        (void) state;
        budget.maps_max = 10;
        budget.programs_max = 5;
        budget.footprint_ratio_high = 25;
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                struct policy policy = make_policy(&budget);
                struct usage usage = { .allocated = table[i].bytes,
                        .map_count = table[i].maps,
                        .program_count = table[i].programs,
                        .rss = { [RSS_ANON] = table[i].anon } };
                struct policy_change change;

                policy_update(&policy, &usage, &change);
                assert_int_equal(policy.limit, table[i].limit);
        }
}

/* From max, the limit below may be the reason of what stays. */
static void test_limit_of_a_step_down(void **state)
{
        struct budget budget = make_budget(100, 200);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        update(&policy, 1000, &change);
        assert_true(update(&policy, 150, &change));
        assert_int_equal(change.from, LEVEL_MAX);
        assert_int_equal(change.to, LEVEL_HIGH);
        assert_int_equal(change.limit, LIMIT_HIGH);
        assert_int_equal(policy.limit, LIMIT_HIGH);
        assert_true(update(&policy, 201, &change));
        assert_int_equal(policy.events.high, 1);
        assert_int_equal(policy.events.max, 2);
        assert_true(update(&policy, 0, &change));
        assert_int_equal(change.from, LEVEL_MAX);
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(change.limit, LIMIT_MAX);
        assert_int_equal(policy.limit, LIMIT_NONE);
        assert_int_equal(policy.over, 0);
}

/* All resident memory is compared with, swap is not; and what is between the limit and ClearPercent= of it stays. */
static void test_footprint_ratio_of_what(void **state)
{
        static const enum rss_member members[] = { RSS_ANON, RSS_FILE, RSS_SHMEM };
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct policy_change change;

        (void) state;
        budget.footprint_ratio_high = 50;
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
                struct usage usage = { .allocated = 100, .rss = { [RSS_SWAP] = 1000000 } };
                struct policy policy = make_policy(&budget);

                usage.rss[members[i]] = 200;
                assert_false(policy_update(&policy, &usage, &change));
                usage.allocated = 101;
                assert_true(policy_update(&policy, &usage, &change));
                assert_int_equal(change.limit, LIMIT_FOOTPRINT_RATIO);
                assert_int_equal(policy.events.high, 1);
                usage.allocated = 91;
                assert_false(policy_update(&policy, &usage, &change));
                usage.allocated = 90;
                assert_true(policy_update(&policy, &usage, &change));
                assert_int_equal(change.to, LEVEL_OK);
                assert_int_equal(change.limit, LIMIT_FOOTPRINT_RATIO);
        }
}

/* Without FootprintRatioHigh= no ratio is too high; and it is that of the bytes that Count= says. */
static void test_footprint_ratio_unset(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY);
        struct usage usage = { .allocated = 1000, .charged = 10, .rss = { [RSS_ANON] = 20 } };
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        assert_false(policy_update(&policy, &usage, &change));
        budget.footprint_ratio_high = 50;
        budget.count = COUNT_CHARGED;
        assert_false(policy_update(&policy, &usage, &change));
        usage.charged = 11;
        assert_true(policy_update(&policy, &usage, &change));
}

/* A successor at max clears by steps, where its predecessor would have. */
static void test_resume_at_max(void **state)
{
        struct budget_events events = { 1, 2, 3, 4, 5 };
        struct budget budget = make_budget(100, 200);
        struct policy policy = make_policy(&budget);
        struct policy_change change;

        (void) state;
        policy_resume(&policy, LEVEL_MAX, &events);
        assert_int_equal(policy.level, LEVEL_MAX);
        assert_int_equal(policy.limit, LIMIT_MAX);
        assert_memory_equal(&policy.events, &events, sizeof(events));
        assert_false(update(&policy, 190, &change));
        assert_false(update(&policy, 181, &change));
        assert_true(update(&policy, 180, &change));
        assert_int_equal(change.to, LEVEL_HIGH);
        assert_false(update(&policy, 91, &change));
        assert_true(update(&policy, 90, &change));
        assert_int_equal(change.to, LEVEL_OK);
        assert_int_equal(change.limit, LIMIT_HIGH);
        assert_memory_equal(&policy.events, &events, sizeof(events));

        /* It may fall so far at once that only the step is left. */
        policy = make_policy(&budget);
        policy_resume(&policy, LEVEL_MAX, &events);
        assert_true(update(&policy, 95, &change));
        assert_int_equal(change.to, LEVEL_HIGH);
        assert_int_equal(change.limit, LIMIT_HIGH);

        /* One at ok or at high has passed no more than that. */
        policy = make_policy(&budget);
        policy_resume(&policy, LEVEL_OK, &events);
        assert_int_equal(policy.limit, LIMIT_NONE);
        assert_int_equal(policy.over, 0);
        assert_false(update(&policy, 95, &change));
        policy_resume(&policy, LEVEL_HIGH, &events);
        assert_int_equal(policy.limit, LIMIT_HIGH);
        assert_false(update(&policy, 195, &change));
        assert_true(update(&policy, 201, &change));
        assert_int_equal(policy.events.high, 1);
        assert_int_equal(policy.events.max, 3);
}

/* To the byte, also where the limit is no multiple of 100. */
static void test_clear_percent(void **state)
{
        struct budget budget = make_budget(1050, BUDGET_INFINITY);
        struct policy policy;
        struct policy_change change;

        (void) state;
        budget.clear_percent = 50;
        policy = make_policy(&budget);
        update(&policy, 1051, &change);
        assert_false(update(&policy, 526, &change));
        assert_true(update(&policy, 525, &change));
        budget.clear_percent = 100;
        assert_true(update(&policy, 1051, &change));
        assert_true(update(&policy, 1050, &change));
}

static void test_owner_sets_what_the_budget_does_not(void **state)
{
        struct budget budget = make_budget(BUDGET_INFINITY, BUDGET_INFINITY),
                      only_high = make_budget(80, BUDGET_INFINITY);
        struct policy policy = {};

        (void) state;
        policy_set(&policy, &budget, BUDGET_INFINITY, BUDGET_INFINITY);
        assert_int_equal(policy.high, BUDGET_INFINITY);
        assert_int_equal(policy.max, BUDGET_INFINITY);
        assert_ptr_equal(policy.budget, &budget);
        policy_set(&policy, &budget, 50, BUDGET_INFINITY);
        assert_int_equal(policy.high, 50);
        assert_int_equal(policy.max, BUDGET_INFINITY);
        policy_set(&policy, &budget, BUDGET_INFINITY, 70);
        assert_int_equal(policy.high, BUDGET_INFINITY);
        assert_int_equal(policy.max, 70);
        policy_set(&policy, &budget, 90, 70);
        assert_int_equal(policy.high, 70);
        policy_set(&policy, &only_high, BUDGET_INFINITY, 70);
        assert_int_equal(policy.high, 70);
        policy_set(&policy, &only_high, BUDGET_INFINITY, 100);
        assert_int_equal(policy.high, 80);
        assert_int_equal(policy.max, 100);
}

/* The window begins with its first alert and ends an interval later; each has its own burst and levels. */
static void test_windows(void **state)
{
        struct policy policy = {};
        uint32_t suppressed = 99;

        (void) state;
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 9000, 10000, 2, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 9001, 10000, 2, &suppressed));
        assert_false(policy_may_alert(&policy, LEVEL_HIGH, 10000, 10000, 2, &suppressed));
        assert_false(policy_may_alert(&policy, LEVEL_HIGH, 18999, 10000, 2, &suppressed));
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 19000, 10000, 2, &suppressed));
        assert_int_equal(suppressed, 2);
        assert_true(policy_may_alert(&policy, LEVEL_MAX, 19001, 10000, 2, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_false(policy_may_alert(&policy, LEVEL_MAX, 28999, 10000, 2, &suppressed));

        /* What was told in the window before is told again; a lower one that is told takes nothing back. */
        assert_true(policy_may_alert(&policy, LEVEL_MAX, 29000, 10000, 2, &suppressed));
        assert_int_equal(suppressed, 1);
        assert_true(policy_may_alert(&policy, LEVEL_OK, 29001, 10000, 2, &suppressed));
        assert_false(policy_may_alert(&policy, LEVEL_HIGH, 29002, 10000, 2, &suppressed));
        assert_false(policy_may_alert(&policy, LEVEL_MAX, 29003, 10000, 2, &suppressed));
        assert_true(policy_may_alert(&policy, LEVEL_OK, 39000, 10000, 1, &suppressed));
        assert_int_equal(suppressed, 2);
        assert_false(policy_may_alert(&policy, LEVEL_OK, 39001, 10000, 1, &suppressed));
        assert_true(policy_may_alert(&policy, LEVEL_HIGH, 39002, 10000, 1, &suppressed));
        assert_true(policy_may_alert(&policy, LEVEL_MAX, 39003, 10000, 1, &suppressed));
        assert_false(policy_may_alert(&policy, LEVEL_HIGH, 39004, 10000, 1, &suppressed));
}

static void test_names(void **state)
{
        static const char *const levels[] = { "ok", "high", "max" };
        static const char *const limits[] = { "none", "Max", "MapsMax", "ProgramsMax", "High", "FootprintRatioHigh" };

        (void) state;
        for (enum budget_level level = LEVEL_OK; level <= LEVEL_MAX; level++)
                assert_string_equal(budget_level_name(level), levels[level]);
        for (enum budget_limit limit = LIMIT_NONE; limit < LIMITS; limit++)
                assert_string_equal(budget_limit_name(limit), limits[limit]);
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
                cmocka_unit_test(test_footprint_ratio_unknown),
                cmocka_unit_test(test_count_charged),
                cmocka_unit_test(test_count_committed),
                cmocka_unit_test(test_large_limits_do_not_overflow),
                cmocka_unit_test(test_rate_limit),
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_which_limit),
                cmocka_unit_test(test_limit_of_a_step_down),
                cmocka_unit_test(test_footprint_ratio_of_what),
                cmocka_unit_test(test_footprint_ratio_unset),
                cmocka_unit_test(test_resume_at_max),
                cmocka_unit_test(test_clear_percent),
                cmocka_unit_test(test_owner_sets_what_the_budget_does_not),
                cmocka_unit_test(test_windows),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
