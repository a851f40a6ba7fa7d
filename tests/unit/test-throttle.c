/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enforce/freezer.h"
#include "enforce/throttle.h"

#define MIB    (1024ULL * 1024)
#define SECOND (1000ULL * 1000)
#define MAX    (2 * SECOND)

/* Any time; CLOCK_MONOTONIC does not begin at 0. */
#define START (12345 * SECOND + 678901)

/* --- The curve ---------------------------------------------------------------------------------------------------- */

/* The table above MEMCG_DELAY_SCALING_SHIFT in mm/memcontrol.c: High is 100 MiB, and a batch is charged. */
static void test_curve_is_memory_highs(void **state)
{
        static const struct {
                uint64_t usage, msec;
        } table[] = { { 100, 0 }, { 101, 6 }, { 102, 25 }, { 103, 57 }, { 104, 102 }, { 105, 159 }, { 106, 230 },
                { 110, 639 }, { 118, 2073 } };

        (void) state;
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                uint64_t delay = throttle_delay(throttle_overage(table[i].usage * MIB, 100 * MIB), THROTTLE_BATCH);

                assert_in_range(delay / 1000, table[i].msec, table[i].msec + 1);
        }
}

/* "Four N-sized allocations are throttled approximately the same as one 4N-sized allocation." */
static void test_growth_counts_by_its_size(void **state)
{
        uint64_t overage = throttle_overage(110 * MIB, 100 * MIB);
        uint64_t one = throttle_delay(overage, THROTTLE_BATCH), four = throttle_delay(overage, 4 * THROTTLE_BATCH);

        (void) state;
        assert_in_range(four, 4 * one, 4 * one + 3);
        assert_int_equal(throttle_delay(overage, 0), 0);
}

static void test_not_over_costs_nothing(void **state)
{
        (void) state;
        assert_int_equal(throttle_overage(0, 0), 0);
        assert_int_equal(throttle_overage(100, 100), 0);
        assert_int_equal(throttle_overage(99, 100), 0);
        assert_int_equal(throttle_overage(2 * MIB, MIB), THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_delay(0, UINT64_MAX), 0);
}

/* High=0 is a page, and the largest numbers there are saturate. */
static void test_extremes(void **state)
{
        (void) state;
        assert_int_equal(throttle_overage(4096, 0), THROTTLE_OVERAGE_ONE);
        assert_true(throttle_overage(UINT64_MAX, 0) >= throttle_overage(UINT64_MAX, 1));
        assert_true(throttle_overage(UINT64_MAX - 1, 4096) > THROTTLE_OVERAGE_ONE);
        assert_true(throttle_delay(UINT64_MAX, 4096) > 60 * SECOND);
        assert_true(throttle_delay(UINT64_MAX, UINT64_MAX) > 60 * SECOND);
}

/* What the manuals promise, and what the kernel's own numbers are. */
static void test_numbers(void **state)
{
        (void) state;
        assert_int_equal(THROTTLE_WINDOW_USEC, 10 * SECOND);
        assert_int_equal(THROTTLE_DUTY_USEC, 5 * SECOND);
        assert_int_equal(THROTTLE_MIN_USEC, 10000);
        assert_int_equal(THROTTLE_BATCH, 256 * 1024);
        assert_int_equal(THROTTLE_OVERAGE_ONE, 1 << 20);
        /* The whole window is remembered, and the slot that it has left by a part. */
        assert_int_equal((THROTTLE_SLOTS - 1) * THROTTLE_SLOT_USEC, 10 * SECOND);
}

/* To the microsecond: at 100 % over High a batch costs 64 s, and nothing overflows. */
static void test_exact(void **state)
{
        (void) state;
        assert_int_equal(throttle_overage(4097, 1), THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_overage(4096 + 4096, 4096), THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_overage(8193 + 8193, 8193), THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_overage(101, 100), THROTTLE_OVERAGE_ONE / 4096);
        assert_int_equal(throttle_overage(UINT64_MAX, 0), 1024 * THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_overage(UINT64_MAX, UINT64_MAX / 2), THROTTLE_OVERAGE_ONE);
        assert_int_equal(throttle_delay(THROTTLE_OVERAGE_ONE, THROTTLE_BATCH), 64 * SECOND);
        assert_int_equal(throttle_delay(THROTTLE_OVERAGE_ONE / 2, THROTTLE_BATCH), 16 * SECOND);
        assert_int_equal(throttle_delay(THROTTLE_OVERAGE_ONE, THROTTLE_BATCH / 4), 16 * SECOND);
        assert_int_equal(throttle_delay(UINT64_MAX, THROTTLE_BATCH), 64 * SECOND << 20);
        assert_int_equal(throttle_delay(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

/* --- Cap, debt and duty ------------------------------------------------------------------------------------------- */

/* Grows when nothing is paused, and pays at once. Returns the pause; *now is its end. */
static uint64_t grow(struct throttle *throttle, uint64_t overage, uint64_t grown, uint64_t *now, uint64_t max)
{
        uint64_t usec = throttle_grow(throttle, overage, grown, *now, max, false);

        *now += usec;
        if (usec)
                throttle_ended(throttle, *now, usec);
        return usec;
}

static void test_cap(void **state)
{
        struct throttle throttle = {};
        uint64_t now = START;

        (void) state;
        assert_int_equal(grow(&throttle, THROTTLE_OVERAGE_ONE, 100 * MIB, &now, MAX), MAX);
        assert_int_equal(grow(&throttle, THROTTLE_OVERAGE_ONE, 100 * MIB, &now, SECOND), SECOND);
        assert_int_equal(grow(&throttle, THROTTLE_OVERAGE_ONE, 100 * MIB, &now, 0), 0);
}

/* 4 KiB at 10 % are 10 ms, at 5 % 2.5 ms: four of them are worth a pause. */
static void test_small_growths_add_up(void **state)
{
        uint64_t overage = THROTTLE_OVERAGE_ONE / 20, now = START;
        struct throttle throttle = {};

        (void) state;
        for (int i = 0; i < 4; i++)
                assert_int_equal(grow(&throttle, overage, 4096, &now, MAX), 0);
        assert_in_range(grow(&throttle, overage, 4096, &now, MAX), 12000, 12600);
        assert_int_equal(grow(&throttle, overage, 4096, &now, MAX), 0);
}

/* What grows before the freezer has stopped it pays at its next growth, and no more than the cap. */
static void test_growth_while_paused_is_owed(void **state)
{
        struct throttle throttle = {};
        uint64_t now = START, one = throttle_delay(THROTTLE_OVERAGE_ONE / 10, THROTTLE_BATCH);

        (void) state;
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE / 10, THROTTLE_BATCH, now, MAX, true), 0);
        assert_int_equal(grow(&throttle, THROTTLE_OVERAGE_ONE / 10, THROTTLE_BATCH, &now, MAX), 2 * one);
        for (int i = 0; i < 100; i++)
                throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, 100 * MIB, now, MAX, true);
        assert_int_equal(grow(&throttle, THROTTLE_OVERAGE_ONE / 10, THROTTLE_BATCH, &now, MAX), MAX);
}

struct interval {
        uint64_t begin, end;
};

/* How much of the ten seconds before the end of the last of @n pauses is in pauses. A window that has most ends with
 * one. */
static uint64_t paused_before_end(const struct interval *pauses, size_t n)
{
        uint64_t start = pauses[n - 1].end - 10 * SECOND, sum = 0;

        for (; n > 0 && pauses[n - 1].end > start; n--)
                sum += pauses[n - 1].end - (pauses[n - 1].begin > start ? pauses[n - 1].begin : start);
        return sum;
}

/* Grows by @grown bytes for a minute, with @rest in between. Returns how long it was paused. */
static uint64_t grow_for_a_minute(uint64_t grown, uint64_t rest)
{
        static struct interval pauses[10000];
        struct throttle throttle = {};
        uint64_t now = START, total = 0;
        size_t n = 0;

        while (now < START + 60 * SECOND) {
                uint64_t usec = grow(&throttle, THROTTLE_OVERAGE_ONE / 8, grown, &now, MAX);

                if (usec) {
                        pauses[n++] = (struct interval){ now - usec, now };
                        assert_true(paused_before_end(pauses, n) <= 5 * SECOND);
                        assert_true(n < sizeof(pauses) / sizeof(pauses[0]));
                }
                total += usec;
                now += rest;
        }
        return total;
}

/* However it grows, of any ten seconds at most five are paused. */
static void test_duty_of_any_window(void **state)
{
        static const uint64_t rests[] = { 500, 1000, 7000, 130 * 1000, 900 * 1000, 1700 * 1000 };
        static const uint64_t growths[] = { 4096, 64 * 1024, MIB, 40 * MIB };

        (void) state;
        for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++)
                for (size_t k = 0; k < sizeof(growths) / sizeof(growths[0]); k++) {
                        uint64_t total = grow_for_a_minute(growths[k], rests[i]);

                        /* What grows all the time is slowed down as much as may be. */
                        if (rests[i] <= 7000 && growths[k] >= MIB)
                                assert_true(total > 25 * SECOND);
                }
}

/* A daemon that thaws late counts what it was. */
static void test_duty_counts_real_time(void **state)
{
        struct throttle throttle = {};

        (void) state;
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START, MAX, false), MAX);
        throttle_ended(&throttle, START + 7 * SECOND, 7 * SECOND);
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START + 7 * SECOND, MAX, false), 0);
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START + 11 * SECOND, MAX, false), 0);
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START + 18 * SECOND, MAX, false), MAX);
}

/* What is left of the duty at @now: who would have to pay for more than that gets it. */
static uint64_t duty_left(struct throttle throttle, uint64_t now)
{
        throttle.owed_usec = 0;
        return throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, 100 * MIB, now, 3600 * SECOND, false);
}

/* The beginning of a slot. */
#define SLOT_START (START - START % THROTTLE_SLOT_USEC)

/* A pause takes its part of each slot that it was in, and leaves the window with them. */
static void test_duty_by_slots(void **state)
{
        const uint64_t slot = THROTTLE_SLOT_USEC, window = THROTTLE_WINDOW_USEC, duty = THROTTLE_DUTY_USEC;
        struct throttle throttle = {};

        (void) state;
        assert_int_equal(duty_left(throttle, SLOT_START), duty);
        /* Of 800 ms, 100 are in the slot where it ends, 500 in the one before, 200 in the first. */
        throttle_ended(&throttle, SLOT_START + 100000, 800000);
        assert_int_equal(duty_left(throttle, SLOT_START + 100000), duty - 800000);
        assert_int_equal(duty_left(throttle, SLOT_START + window - 2 * slot + slot - 1), duty - 800000);
        assert_int_equal(duty_left(throttle, SLOT_START + window - slot), duty - 600000);
        assert_int_equal(duty_left(throttle, SLOT_START + window), duty - 100000);
        assert_int_equal(duty_left(throttle, SLOT_START + window + slot - 1), duty - 100000);
        assert_int_equal(duty_left(throttle, SLOT_START + window + slot), duty);
        assert_int_equal(duty_left(throttle, SLOT_START + 1000 * window), duty);

        /* Pauses of one slot add up. */
        throttle_ended(&throttle, SLOT_START + 300000, 50000);
        assert_int_equal(duty_left(throttle, SLOT_START + 300000), duty - 850000);
        /* One longer than all that is remembered is no more than the window. */
        throttle = (struct throttle){};
        throttle_ended(&throttle, SLOT_START + window, 1000 * window);
        for (size_t i = 0; i < THROTTLE_SLOTS; i++)
                assert_true(throttle.paused_usec[i] <= slot);
        assert_int_equal(duty_left(throttle, SLOT_START + window), 0);
        assert_int_equal(duty_left(throttle, SLOT_START + 2 * window + slot), duty);
}

/* The rest of the duty is a pause if it is worth one. What the duty cuts off is not owed. */
static void test_rest_of_the_duty(void **state)
{
        static const uint64_t rests[] = { 0, 1, THROTTLE_MIN_USEC - 1, THROTTLE_MIN_USEC, THROTTLE_MIN_USEC + 1,
                SECOND };

        (void) state;
        for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
                uint64_t now = START, expected = rests[i] < THROTTLE_MIN_USEC ? 0 : rests[i];
                struct throttle throttle = {};

                throttle_ended(&throttle, now, THROTTLE_DUTY_USEC - rests[i]);
                assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, now, MAX, false), expected);
                now += 20 * SECOND;
                assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE / 20, 4096, now, MAX, false), 0);
        }
}

/* A price of exactly the shortest pause is paid, one less is owed. */
static void test_shortest_pause(void **state)
{
        struct throttle throttle = {};

        (void) state;
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START, THROTTLE_MIN_USEC, false),
                        THROTTLE_MIN_USEC);
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE, MIB, START, THROTTLE_MIN_USEC - 1, false), 0);
        assert_int_equal(throttle.owed_usec, THROTTLE_MIN_USEC - 1);
        /* With what is owed, and no more than the cap. */
        assert_int_equal(throttle_grow(&throttle, THROTTLE_OVERAGE_ONE / 10, 4096, START, MAX, false),
                        THROTTLE_MIN_USEC - 1 + throttle_delay(THROTTLE_OVERAGE_ONE / 10, 4096));
        assert_int_equal(throttle.owed_usec, 0);
        assert_int_equal(throttle_grow(&throttle, 0, MIB, START, MAX, false), 0);
}

/* The first is told however soon after the machine's start. */
static void test_first_alert(void **state)
{
        struct throttle throttle = {};
        uint32_t suppressed = 99;

        (void) state;
        assert_true(throttle_may_alert(&throttle, 5, 60 * SECOND, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_false(throttle_may_alert(&throttle, 6, 60 * SECOND, &suppressed));
        assert_true(throttle_may_alert(&throttle, 60 * SECOND + 5, 60 * SECOND, &suppressed));
        assert_int_equal(suppressed, 1);
        assert_false(throttle_may_alert(&throttle, 120 * SECOND + 4, 60 * SECOND, &suppressed));
}

static void test_alert_once_in_a_while(void **state)
{
        struct throttle throttle = {};
        uint32_t suppressed = 99;

        (void) state;
        assert_true(throttle_may_alert(&throttle, START, 60 * SECOND, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_false(throttle_may_alert(&throttle, START + SECOND, 60 * SECOND, &suppressed));
        assert_false(throttle_may_alert(&throttle, START + 59 * SECOND, 60 * SECOND, &suppressed));
        assert_true(throttle_may_alert(&throttle, START + 60 * SECOND, 60 * SECOND, &suppressed));
        assert_int_equal(suppressed, 2);
        assert_true(throttle_may_alert(&throttle, START + 60 * SECOND, 0, &suppressed));
        assert_int_equal(suppressed, 0);
}

/* --- The record --------------------------------------------------------------------------------------------------- */

static void test_record_line(void **state)
{
        const char *directory = NULL;
        uint64_t id = 0;

        (void) state;
        assert_int_equal(freezer_parse("42 /sys/fs/cgroup/a b/c.service", &id, &directory), 0);
        assert_int_equal(id, 42);
        assert_string_equal(directory, "/sys/fs/cgroup/a b/c.service");
        assert_int_equal(freezer_parse("18446744073709551615 /a", &id, &directory), 0);
        assert_int_equal(id, UINT64_MAX);
}

static void test_record_line_damaged(void **state)
{
        static const char *const lines[] = { "", " ", "42", "42 ", "42 a", "/a", "0 /a", "-1 /a", "+1 /a", " 42 /a",
                "42\t/a", "0x2a /a", "18446744073709551616 /a", "42 /a/../b", "\x01\xff", "42  /a" };
        const char *directory;
        uint64_t id;

        (void) state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                assert_int_equal(freezer_parse(lines[i], &id, &directory), -EINVAL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_curve_is_memory_highs),
                cmocka_unit_test(test_growth_counts_by_its_size),
                cmocka_unit_test(test_not_over_costs_nothing),
                cmocka_unit_test(test_extremes),
                cmocka_unit_test(test_cap),
                cmocka_unit_test(test_small_growths_add_up),
                cmocka_unit_test(test_growth_while_paused_is_owed),
                cmocka_unit_test(test_duty_of_any_window),
                cmocka_unit_test(test_duty_counts_real_time),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_exact),
                cmocka_unit_test(test_duty_by_slots),
                cmocka_unit_test(test_rest_of_the_duty),
                cmocka_unit_test(test_shortest_pause),
                cmocka_unit_test(test_first_alert),
                cmocka_unit_test(test_alert_once_in_a_while),
                cmocka_unit_test(test_record_line),
                cmocka_unit_test(test_record_line_damaged),
        };

        return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
