/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How full maps are, and which of them are reported: tree, ledger and policy are the real ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "account/fill.h"
#include "enforce/fills.h"

#define SECOND (1000ULL * 1000)
#define START  (12345 * SECOND)

static uint32_t full_of(uint32_t type, uint64_t entries, uint32_t max_entries)
{
        struct object_record map = { .kind = OBJECT_MAP, .type = type, .entries = entries, .max_entries = max_entries };
        uint32_t percent;

        return fill_of(&map, &percent) ? percent : UINT32_MAX;
}

static void test_percent(void **state)
{
        (void) state;
        assert_int_equal(full_of(BPF_MAP_TYPE_HASH, 0, 10), 0);
        assert_int_equal(full_of(BPF_MAP_TYPE_HASH, 9, 10), 90);
        assert_int_equal(full_of(BPF_MAP_TYPE_LRU_HASH, 999, 1000), 99);
        assert_int_equal(full_of(BPF_MAP_TYPE_LPM_TRIE, 1, 1), 100);
        assert_int_equal(full_of(BPF_MAP_TYPE_PERCPU_HASH, 12, 10), 100);
        assert_int_equal(full_of(BPF_MAP_TYPE_HASH, UINT32_MAX, UINT32_MAX), 100);
}

/* What the kernel does not report, and what says nothing. */
static void test_not_known(void **state)
{
        struct object_record program = { .kind = OBJECT_PROGRAM, .type = BPF_MAP_TYPE_HASH, .max_entries = 1 };
        uint32_t percent;

        (void) state;
        assert_int_equal(full_of(BPF_MAP_TYPE_HASH, ENTRIES_UNKNOWN, 10), UINT32_MAX);
        assert_int_equal(full_of(BPF_MAP_TYPE_HASH, (uint64_t) -3, 10), UINT32_MAX);
        assert_int_equal(full_of(BPF_MAP_TYPE_SK_STORAGE, 5, 0), UINT32_MAX);
        assert_int_equal(full_of(BPF_MAP_TYPE_ARRAY, 10, 10), UINT32_MAX);
        assert_int_equal(full_of(BPF_MAP_TYPE_QUEUE, 10, 10), UINT32_MAX);
        assert_int_equal(full_of(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4), UINT32_MAX);
        assert_false(fill_of(&program, &percent));
}

static void test_limits(void **state)
{
        struct object_record hash = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_HASH };
        struct object_record lru = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_LRU_HASH };
        struct object_record percpu = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_LRU_PERCPU_HASH };
        struct object_record array = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_ARRAY };

        (void) state;
        assert_true(fill_is_a_limit(&hash));
        assert_false(fill_is_a_limit(&lru));
        assert_false(fill_is_a_limit(&percpu));
        assert_false(fill_is_a_limit(&array));
}

/* High=50, ClearPercent=90: from 50 on, until it is at 45. */
static void test_hysteresis(void **state)
{
        (void) state;
        assert_false(fill_is_over(49, 50, 90, false));
        assert_true(fill_is_over(50, 50, 90, false));
        assert_true(fill_is_over(46, 50, 90, true));
        assert_false(fill_is_over(45, 50, 90, true));
        assert_false(fill_is_over(100, 0, 90, true));
        assert_false(fill_is_over(0, 1, 100, true));
}

/* --- In budgets --------------------------------------------------------------------------------------------------- */

static struct monitor monitor;
static struct config config;
static struct budget budget, none;
static struct policy policy, other;
static struct cgroup *a, *ab;
static struct budget_event events[8];
static size_t event_count;

static int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) context;
        if (name && !(*name = strdup(id == 10 ? "a" : "b")))
                return -ENOMEM;
        *parent_id = id == 10 ? 1 : 10;
        return 0;
}

static void take(void *context, const struct budget_event *event)
{
        (void) context;
        assert_true(event_count < 8);
        events[event_count++] = *event;
}

static void put(uint32_t id, uint32_t type, uint64_t entries)
{
        struct object_record record = { .kind = OBJECT_MAP,
                .id = id,
                .type = type,
                .address = id,
                .identity = id,
                .cgroup_id = 11,
                .entries = entries,
                .max_entries = 100,
                .attribution = ATTRIBUTION_CHARGED };

        assert_true(ledger_put(&monitor.ledger, &record) >= 0);
}

static size_t look(struct fills *fills, uint64_t now)
{
        event_count = 0;
        fills_flush(fills, &monitor, &config, now, false, take, NULL);
        return event_count;
}

static int setup(void **state)
{
        (void) state;
        budget = (struct budget){ .name = (char *) "b", .map_fill_high = 90, .clear_percent = 90 };
        none = (struct budget){ .name = (char *) "n", .clear_percent = 90 };
        policy = (struct policy){ .budget = &budget };
        other = (struct policy){ .budget = &none };
        config = (struct config){
                .budgets = &budget, .count = 1, .settings = { .alert_interval_usec = 60 * SECOND, .alert_burst = 2 }
        };
        if (tree_init(&monitor.tree, 1, lookup, NULL) < 0)
                return -1;
        ledger_init(&monitor.ledger, &monitor.tree);
        if (tree_get(&monitor.tree, 11, &ab) < 0)
                return -1;
        a = ab->parent;
        a->policy = &policy;
        ab->policy = &other;
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        ledger_deinit(&monitor.ledger);
        tree_deinit(&monitor.tree);
        return 0;
}

/* The budget of the cgroup has no such limit; that of the one above it does. */
static void test_once(void **state)
{
        struct fills fills = {};

        (void) state;
        put(1, BPF_MAP_TYPE_HASH, 89);
        put(2, BPF_MAP_TYPE_LRU_HASH, 100);
        put(3, BPF_MAP_TYPE_ARRAY, 100);
        assert_int_equal(look(&fills, START), 0);
        put(1, BPF_MAP_TYPE_HASH, 90);
        assert_int_equal(look(&fills, START + SECOND / 2), 0);
        assert_int_equal(look(&fills, START + SECOND), 1);
        assert_int_equal(events[0].kind, EVENT_FILL);
        assert_int_equal(events[0].object.id, 1);
        assert_ptr_equal(events[0].cgroup, ab);
        assert_ptr_equal(events[0].payer, a);
        assert_int_equal(events[0].to, LEVEL_HIGH);
        assert_true(events[0].alert && events[0].publish && !events[0].quiet);
        put(1, BPF_MAP_TYPE_HASH, 100);
        assert_int_equal(look(&fills, START + 2 * SECOND), 0);
        put(1, BPF_MAP_TYPE_HASH, 82);
        assert_int_equal(look(&fills, START + 3 * SECOND), 0);
        put(1, BPF_MAP_TYPE_HASH, 81);
        assert_int_equal(look(&fills, START + 4 * SECOND), 1);
        assert_int_equal(events[0].to, LEVEL_OK);
        assert_true(!events[0].alert && events[0].publish && events[0].quiet);
        put(1, BPF_MAP_TYPE_HASH, 95);
        assert_int_equal(look(&fills, START + 5 * SECOND), 1);
        assert_true(events[0].alert);
}

/* Who fills many maps does not fill the journal; what it lacks is counted. */
static void test_rate(void **state)
{
        struct fills fills = {};
        size_t alerts = 0;

        (void) state;
        for (uint32_t id = 1; id <= 5; id++)
                put(id, BPF_MAP_TYPE_HASH, 100);
        assert_int_equal(look(&fills, START), 5);
        for (size_t i = 0; i < 5; i++)
                alerts += events[i].alert;
        assert_int_equal(alerts, 2);
        put(6, BPF_MAP_TYPE_HASH, 100);
        assert_int_equal(look(&fills, START + 61 * SECOND), 1);
        assert_true(events[0].alert);
        assert_int_equal(events[0].suppressed, 3);
        assert_int_equal(policy.sent, 0);
}

static void test_off(void **state)
{
        struct fills fills = {};

        (void) state;
        put(1, BPF_MAP_TYPE_HASH, 100);
        budget.map_fill_high = 0;
        assert_false(fills_wanted(&config));
        assert_int_equal(look(&fills, START), 0);
        budget.map_fill_high = 90;
        a->policy = NULL;
        assert_int_equal(look(&fills, START), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_percent),
                cmocka_unit_test(test_not_known),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_hysteresis),
                cmocka_unit_test_setup_teardown(test_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
                cmocka_unit_test_setup_teardown(test_off, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
