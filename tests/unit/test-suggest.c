/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which limits suit a workload: arithmetic. */
#include "history-fixture.h"

#include "serve/suggest.h"

#define HOURS 48

static struct history_series one;
static uint64_t points[HOURS];

/* A workload with @peak bytes in each of so many hours. */
static struct history_series *constant(uint64_t peak)
{
        for (size_t i = 0; i < HOURS; i++)
                points[i] = peak;
        one = (struct history_series){
                .points = points, .peak = peak, .facts = { .allocated = peak, .ceiling = peak, .largest = peak / 10 }
        };
        return &one;
}

static struct suggestion suggest_here(const struct history_series *series)
{
        return suggest(series, HOURS, 4, 4);
}

static void test_constant(void **state)
{
        struct suggestion made = suggest_here(constant(100 * MIB));

        (void) state;
        assert_int_equal(made.hours, HOURS);
        assert_int_equal(made.peak, 100 * MIB);
        assert_int_equal(made.p95, 100 * MIB);
        assert_in_range(made.high, 110 * MIB, 117 * MIB);
        assert_in_range(made.max, 125 * MIB, 134 * MIB);
        assert_int_equal(made.paused, 0);
        assert_int_equal(made.refused, 0);
}

/* The percentile would not let the hour come again in which it had most; the peak does. */
static void test_seldom(void **state)
{
        struct suggestion made;

        (void) state;
        constant(10 * MIB)->peak = 200 * MIB;
        points[7] = 200 * MIB;
        made = suggest_here(&one);
        assert_int_equal(made.p95, 10 * MIB);
        assert_true(made.high >= 200 * MIB);
        assert_int_equal(made.paused + made.refused, 0);
}

static void test_percentile(void **state)
{
        struct suggestion made;

        (void) state;
        constant(0);
        for (size_t i = 0; i < 20; i++)
                points[i] = (i + 1) * MIB;
        points[20] = HISTORY_UNKNOWN;
        one.peak = 20 * MIB;
        made = suggest_here(&one);
        /* Of the hours in which it had something. */
        assert_int_equal(made.hours, 20);
        assert_int_equal(made.p95, 19 * MIB);
}

/* Room for one more step above High=. */
static void test_step(void **state)
{
        struct suggestion made;

        (void) state;
        constant(100 * MIB)->step = 64 * MIB;
        one.facts.largest = 80 * MIB;
        made = suggest_here(&one);
        assert_int_equal(made.step, 64 * MIB);
        assert_true(made.max >= made.high + 64 * MIB);
        /* A start makes many maps at once: no step is larger than the largest of them. */
        one.step = 100 * MIB;
        one.facts.largest = 4 * MIB;
        assert_int_equal(suggest_here(&one).step, 4 * MIB);
        /* Nothing was seen to rise: its largest map may be replaced all the same. */
        one.step = 0;
        assert_int_equal(suggest_here(&one).step, 4 * MIB);
        one.facts.largest = 0;
        assert_int_equal(suggest_here(&one).step, 0);
        one.step = 5 * MIB;
        assert_int_equal(suggest_here(&one).step, 5 * MIB);
}

/* What it has may grow to its ceiling without anybody creating anything; without one there is nothing to go by. */
static void test_ceiling(void **state)
{
        struct suggestion made;

        (void) state;
        constant(10 * MIB)->facts.ceiling = 500 * MIB;
        made = suggest_here(&one);
        assert_int_equal(made.ceiling, 500 * MIB);
        assert_true(made.max >= 500 * MIB);
        assert_true(made.high < 20 * MIB);
        one.facts.unbounded = 1;
        made = suggest_here(&one);
        assert_true(made.ceiling == HISTORY_UNKNOWN);
        assert_true(made.max < 20 * MIB);
}

/* Three quarters are there once a CPU: twice as many CPUs take 1.75 times as much. */
static void test_cpus(void **state)
{
        struct suggestion made;

        (void) state;
        constant(64 * MIB)->facts.percpu = 48 * MIB;
        one.facts.largest = one.step = 0;
        made = suggest(&one, HOURS, 4, 8);
        assert_int_equal(made.peak, 64 * MIB);
        assert_int_equal(made.percpu, 48 * MIB);
        assert_int_equal(made.ceiling, 112 * MIB);
        assert_in_range(made.high, 123 * MIB, 131 * MIB);
        made = suggest(&one, HOURS, 4, 2);
        assert_int_equal(made.ceiling, 40 * MIB);
        assert_in_range(made.high, 44 * MIB, 47 * MIB);
        assert_int_equal(made.paused, 0);
}

/* Nothing is too little or too much. */
static void test_extremes(void **state)
{
        struct suggestion made = suggest_here(constant(0));

        (void) state;
        assert_int_equal(made.hours, 0);
        assert_int_equal(made.high, SUGGEST_HIGH_MIN);
        assert_true(made.max >= made.high);
        constant(UINT64_MAX - 1);
        one.step = one.facts.largest = one.facts.ceiling = one.facts.percpu = UINT64_MAX - 1;
        made = suggest(&one, HOURS, 1, 8192);
        assert_true(made.high > (1ULL << 50) && made.max >= made.high && made.max < 1ULL << 63);
}

static void test_round(void **state)
{
        (void) state;
        assert_int_equal(suggest_round(0), 0);
        assert_int_equal(suggest_round(1), 4096);
        for (uint64_t bytes = 200000; bytes < 1ULL << 45; bytes = bytes * 9 / 7) {
                assert_true(suggest_round(bytes) >= bytes);
                assert_true(suggest_round(bytes) - bytes <= bytes / 16);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_constant),
                cmocka_unit_test(test_seldom),
                cmocka_unit_test(test_percentile),
                cmocka_unit_test(test_step),
                cmocka_unit_test(test_ceiling),
                cmocka_unit_test(test_cpus),
                cmocka_unit_test(test_extremes),
                cmocka_unit_test(test_round),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
