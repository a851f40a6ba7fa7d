/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to cgroups that have a budget, from the usage that the ledger books to alerts, events, xattrs, and the
 * file that a restart reads. Tree, ledger, policy and configuration are the real ones.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "fake-neighbours.h"

#define KIB    1024ULL
#define MIB    (1024 * KIB)
#define RAM    (1024 * MIB)
#define SECOND (1000ULL * 1000)

/* Any time; CLOCK_MONOTONIC does not begin at 0. */
#define START (12345 * SECOND + 678901)

#define ROOT 1
#define A    10
#define AB   11
#define C    20
#define D    30

/* What is written in tests that do not say otherwise. */
#define BUDGET_A "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nMax=2M\n"
#define BUDGET_C "[Match]\nCgroup=/c\n[Budget]\nHigh=1M\nMax=2M\n"
#define DENY_A   "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nMax=2M\nOnMax=deny\n"

static struct fake_cgroup cgroups[8];

static struct monitor monitor;
static struct manager manager;
static int sink_context; /* any address: it is only handed on */
static char directory[64], state_file[128];

/* --- Start and end ------------------------------------------------------------------------------------------------ */

static void write_file(const char *name, const char *text)
{
        char path[128];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        assert_int_equal(unlink(path), 0);
}

static bool is_file(const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        return access(path, F_OK) == 0;
}

static void no_message(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        (void) context;
        (void) fatal;
        fail_msg("%s:%u: %s", file, line, message);
}

static void load(struct config *config)
{
        struct config_machine machine = { .ram = RAM };

        assert_int_equal(config_load(config, "", directory, &machine, no_message, NULL), 0);
}

/* In a start that runs out of memory: the allocation of manager_init() that fails. */
static unsigned int failing_calloc;

static int try_start(const char *file, bool dry_run)
{
        struct manager_options options = {
                .monitor = &monitor,
                .state_file = file,
                .frozen_file = "/frozen",
                .ram = RAM,
                .dry_run = dry_run,
                .sink = fake_sink,
                .sink_context = &sink_context,
        };
        struct config config;
        int r;

        load(&config);
        fake.callocs = failing_calloc;
        r = manager_init(&manager, &options, &config);
        assert_null(config.budgets);
        assert_int_equal(config.count, 0);
        fake.callocs = 0;
        return r;
}

static void start(void)
{
        assert_int_equal(try_start(state_file, false), 0);
}

static void restart(void)
{
        manager_deinit(&manager);
        start();
}

static void reload(void)
{
        struct config config;

        load(&config);
        assert_int_equal(manager_reload(&manager, &config), 0);
        assert_null(config.budgets);
}

static int setup(void **state)
{
        (void) state;
        failing_calloc = 0;
        fake = (struct fakes){ .now = START, .next_thaw_usec = UINT64_MAX };
        forget_log();
        memcpy(cgroups,
                        (struct fake_cgroup[]){ { ROOT, 0, "/", false }, { A, ROOT, "/a", false },
                                        { AB, A, "/a/b", false }, { C, ROOT, "/c", false }, { D, ROOT, "/d", true } },
                        5 * sizeof(cgroups[0]));
        fake.hierarchy = (struct fake_hierarchy){ .cgroups = cgroups, .count = 5 };
        strcpy(directory, "/tmp/test-manager-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(state_file, sizeof(state_file), "%s/events.json", directory);
        monitor = (struct monitor){ .cgroupfs = { .mount_fd = -1, .mount = (char *) FAKE_MOUNT, .root_id = ROOT } };
        if (tree_init(&monitor.tree, ROOT, fake_lookup, &fake.hierarchy) < 0)
                return -1;
        ledger_init(&monitor.ledger, &monitor.tree);
        write_file("10-a.budget", BUDGET_A);
        return 0;
}

static int teardown(void **state)
{
        DIR *d = opendir(directory);
        struct dirent *entry;

        (void) state;
        manager_deinit(&manager);
        ledger_deinit(&monitor.ledger);
        tree_deinit(&monitor.tree);
        while (d && (entry = readdir(d)))
                if (unlinkat(dirfd(d), entry->d_name, 0) < 0)
                        unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
        closedir(d);
        return rmdir(directory);
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

static struct cgroup *get(uint64_t id)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&monitor.tree, id, &cgroup), 0);
        return cgroup;
}

/* The manager follows the tree, without a flush. */
static void follow(void)
{
        assert_int_equal(fake.gate_event_count, 0);
        manager_take_gate(&manager);
}

static struct cgroup *get_known(uint64_t id)
{
        struct cgroup *cgroup = get(id);

        follow();
        return cgroup;
}

static struct policy *policy_of(uint64_t id)
{
        struct cgroup *cgroup = get(id);

        assert_non_null(cgroup->policy);
        return cgroup->policy;
}

/* The only object of the cgroup @id takes @bytes, half of them charged; 0: it is gone. */
static void use(uint64_t id, uint64_t bytes)
{
        struct object_record record = {
                .kind = OBJECT_MAP,
                .id = id,
                .address = id << 12,
                .identity = id << 12,
                .cgroup_id = id,
                .allocated = bytes,
                .allocated_min = bytes,
                .charged = bytes / 2,
                .attribution = ATTRIBUTION_CHARGED,
                .marks = OBJECT_GROWS,
                .name = "flows",
        };

        if (bytes)
                assert_true(ledger_put(&monitor.ledger, &record) >= 0);
        else
                assert_true(ledger_remove(&monitor.ledger, OBJECT_MAP, id));
}

static void flush(void)
{
        tree_flush(&monitor.tree);
        manager_apply(&manager);
}

static void use_and_flush(uint64_t id, uint64_t bytes)
{
        use(id, bytes);
        flush();
}

static void set_causes(struct growth_cause *causes, size_t count)
{
        monitor.causes = causes;
        monitor.cause_count = count;
}

/* Removes the cgroup @id, of cgroups[]. */
static void remove_cgroup(uint64_t id)
{
        for (size_t i = 0; i < fake.hierarchy.count; i++)
                if (cgroups[i].id == id)
                        cgroups[i].gone = true;
        tree_check(&monitor.tree, get(id));
}

/* What the file holds of cgroup @id. */
static void assert_saved(const char *id, const char *expected)
{
        json_t *file = json_load_file(state_file, 0, NULL), *json = json_loads(expected, 0, NULL);
        char *text;

        assert_non_null(file);
        assert_non_null(json);
        text = json_dumps(json_object_get(file, id) ?: json_null(), JSON_ENCODE_ANY);
        if (!json_equal(json_object_get(file, id), json))
                fail_msg("%s: %s, not %s", id, text, expected);
        free(text);
        json_decref(json);
        json_decref(file);
}

static void assert_not_saved(const char *id)
{
        json_t *file = json_load_file(state_file, 0, NULL);

        assert_non_null(file);
        assert_null(json_object_get(file, id));
        json_decref(file);
}

#define SAVED(level, high, max, denied, throttled, usec, lowered_high, lowered_max)                                  \
        "{\"level\":" #level ",\"high\":" #high ",\"max\":" #max ",\"denied\":" #denied ",\"throttled\":" #throttled \
        ",\"throttledUSec\":" #usec ",\"loweredHigh\":" #lowered_high ",\"loweredMax\":" #lowered_max "}"

/* --- Decisions ---------------------------------------------------------------------------------------------------- */

static void assert_alert(unsigned int n, uint64_t id, enum budget_level from, enum budget_level to,
                enum budget_limit limit, uint64_t usage, int64_t delta)
{
        const struct budget_event *alert = &fake.alerts[n];

        assert_true(n < fake.alert_count);
        assert_ptr_equal(alert->cgroup, get(id));
        assert_ptr_equal(alert->policy, policy_of(id));
        assert_ptr_equal(alert->payer, get(id));
        assert_int_equal(alert->from, from);
        assert_int_equal(alert->to, to);
        assert_int_equal(alert->limit, limit);
        assert_int_equal(alert->usage, usage);
        assert_int_equal(alert->delta, delta);
}

static void assert_state_event(unsigned int n, uint64_t id, enum budget_level from, enum budget_level to,
                enum budget_limit limit, uint64_t usage)
{
        const struct budget_event *event = &fake.events[n];

        assert_true(n < fake.event_count);
        assert_ptr_equal(fake.sink_context, &sink_context);
        assert_int_equal(event->kind, EVENT_STATE);
        assert_ptr_equal(event->cgroup, get(id));
        assert_ptr_equal(event->policy, policy_of(id));
        assert_int_equal(event->from, from);
        assert_int_equal(event->to, to);
        assert_int_equal(event->limit, limit);
        assert_int_equal(event->usage, usage);
}

static void test_levels_are_reported(void **state)
{
        (void) state;
        start();
        use_and_flush(A, MIB);
        assert_int_equal(fake.alert_count, 0);
        assert_int_equal(fake.event_count, 0);
        assert_int_equal(manager.over_high, 0);

        use_and_flush(A, MIB + 1);
        assert_int_equal(fake.alert_count, 1);
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, MIB + 1, 1);
        assert_state_event(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, MIB + 1);
        assert_false(fake.alerts[0].dry_run);
        assert_int_equal(fake.alerts[0].suppressed, 0);
        assert_int_equal(manager.over_high, 1);

        /* Nothing is said of what changes no level; the next delta counts from here. */
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(fake.alert_count, 1);
        use_and_flush(A, 3 * MIB);
        assert_alert(1, A, LEVEL_HIGH, LEVEL_MAX, LIMIT_MAX, 3 * MIB, MIB + MIB / 2);
        assert_state_event(1, A, LEVEL_HIGH, LEVEL_MAX, LIMIT_MAX, 3 * MIB);
        assert_int_equal(manager.over_high, 1);

        use_and_flush(A, MIB + MIB / 2);
        assert_alert(2, A, LEVEL_MAX, LEVEL_HIGH, LIMIT_HIGH, MIB + MIB / 2, -(int64_t) (MIB + MIB / 2));
        assert_int_equal(manager.over_high, 1);
        use_and_flush(A, 0);
        assert_alert(3, A, LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, 0, -(int64_t) (MIB + MIB / 2));
        assert_state_event(3, A, LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, 0);
        assert_int_equal(manager.over_high, 0);
        assert_int_equal(fake.alert_count, 4);
        assert_int_equal(fake.event_count, 4);
        assert_int_equal(policy_of(A)->events.high, 1);
        assert_int_equal(policy_of(A)->events.max, 1);
}

/* What is below a cgroup counts, what is beside it does not. */
static void test_subtree_counts(void **state)
{
        (void) state;
        start();
        use(A, MIB / 2 + 1);
        use(C, 100 * MIB);
        flush();
        assert_int_equal(fake.alert_count, 0);
        use_and_flush(AB, MIB / 2);
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, MIB + 1, MIB / 2);
        assert_null(get(AB)->policy);
        assert_null(get(C)->policy);
}

static void test_charged_bytes(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nCount=charged\n");
        start();
        use_and_flush(A, 2 * MIB);
        assert_int_equal(fake.alert_count, 0);
        use_and_flush(A, 4 * MIB);
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, 2 * MIB, MIB);
}

/* Several cgroups over High: each is counted once. */
static void test_count_over_high(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        start();
        use(A, 3 * MIB);
        use(C, 2 * MIB);
        flush();
        assert_int_equal(manager.over_high, 2);
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(manager.over_high, 2);
        use_and_flush(C, 0);
        assert_int_equal(manager.over_high, 1);
        use_and_flush(A, 0);
        assert_int_equal(manager.over_high, 0);
}

/* The latest growth below the cgroup is the cause; of less usage there is none. */
static void test_cause(void **state)
{
        struct growth_cause causes[] = { { AB, 7, "first" }, { A, 8, "earlier" }, { AB, 9, "agent" },
                { C, 10, "other" } };

        (void) state;
        start();
        get(AB);
        set_causes(causes, 4);
        use_and_flush(A, 3 * MIB);
        assert_int_not_equal(fake.alerts[0].pid, 0);
        assert_int_equal(fake.alerts[0].pid, 9);
        assert_string_equal(fake.alerts[0].comm, "agent");
        assert_int_equal(fake.events[0].pid, 9);
        assert_string_equal(fake.events[0].comm, "agent");
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(fake.alerts[1].pid, 0);
        assert_int_equal(fake.events[1].pid, 0);
        assert_null(fake.events[1].comm);
}

static void test_no_cause(void **state)
{
        struct growth_cause causes[] = { { C, 10, "other" } };

        (void) state;
        start();
        get(C);
        set_causes(causes, 1);
        use_and_flush(A, 3 * MIB);
        assert_int_equal(fake.alerts[0].pid, 0);
        assert_int_equal(fake.events[0].pid, 0);
}

/* The first cause of the list counts as well; one of a cgroup that is not known does not. */
static void test_first_cause(void **state)
{
        struct growth_cause causes[] = { { A, 6, "agent" }, { 4711, 7, "unknown" } };

        (void) state;
        start();
        set_causes(causes, 2);
        use_and_flush(A, 3 * MIB);
        assert_int_equal(fake.alerts[0].pid, 6);
}

/* --- The rate limit ----------------------------------------------------------------------------------------------- */

#define ONE_A_MINUTE "[Daemon]\nAlertBurst=1\nAlertIntervalSec=60\n"

/* What may not be told at once is told when the interval is over. */
static void test_held_alert(void **state)
{
        struct growth_cause causes[] = { { A, 6, "agent" } };

        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        start();
        use_and_flush(A, 2 * MIB);
        assert_int_equal(manager.held_due_usec, UINT64_MAX);
        fake.now += 20 * SECOND;
        use_and_flush(A, MIB / 2);
        assert_int_equal(fake.alert_count, 1);
        /* It holds only the alert back. */
        assert_state_event(1, A, LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, MIB / 2);
        assert_int_equal(manager.over_high, 0);
        assert_int_equal(manager_due_usec(&manager), START + 60 * SECOND);

        set_causes(causes, 1);
        fake.now = START + 60 * SECOND - 1;
        flush();
        assert_int_equal(fake.alert_count, 1);
        fake.now++;
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_alert(1, A, LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, MIB / 2, 0);
        assert_int_equal(fake.alerts[1].suppressed, 1);
        assert_int_equal(fake.alerts[1].pid, 0);
        /* Subscribers have heard of it already. */
        assert_int_equal(fake.event_count, 2);
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);

        /* It was told: not again. */
        fake.now += 60 * SECOND;
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_int_equal(fake.event_count, 2);
}

/* Of several changes that are held back the last is told, with its cause. */
static void test_last_of_the_held(void **state)
{
        struct growth_cause causes[] = { { A, 6, "agent" } };

        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        start();
        use_and_flush(A, 2 * MIB);
        use_and_flush(A, MIB / 2);
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(fake.alert_count, 1);
        set_causes(causes, 1);
        fake.now += 60 * SECOND;
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_alert(1, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, MIB + MIB / 2, 0);
        assert_int_equal(fake.alerts[1].suppressed, 2);
        assert_int_equal(fake.alerts[1].pid, 6);
}

/* A level that was not told in the interval yet is told at once, and what was held before it is not so any more. */
static void test_max_is_not_held(void **state)
{
        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        start();
        use_and_flush(A, 2 * MIB);
        use_and_flush(A, MIB / 2);
        use_and_flush(A, 3 * MIB);
        assert_int_equal(fake.alert_count, 2);
        assert_alert(1, A, LEVEL_OK, LEVEL_MAX, LIMIT_MAX, 3 * MIB, 2 * MIB + MIB / 2);
        assert_int_equal(fake.alerts[1].suppressed, 1);
        fake.now += 60 * SECOND;
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_int_equal(manager.held_due_usec, UINT64_MAX);
}

/* Each cgroup has its own interval: the daemon wakes for the first, and then for the next. */
static void test_held_of_two_cgroups(void **state)
{
        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        write_file("20-c.budget", BUDGET_C);
        start();
        use_and_flush(A, 2 * MIB);
        fake.now += 10 * SECOND;
        use_and_flush(C, 2 * MIB);
        use_and_flush(A, MIB / 2);
        use_and_flush(C, MIB / 2);
        assert_int_equal(fake.alert_count, 2);
        assert_int_equal(manager.held_due_usec, START + 60 * SECOND);
        fake.now = START + 60 * SECOND;
        flush();
        assert_int_equal(fake.alert_count, 3);
        assert_ptr_equal(fake.alerts[2].cgroup, get(A));
        assert_int_equal(manager.held_due_usec, START + 70 * SECOND);
        fake.now = START + 70 * SECOND - 1;
        flush();
        assert_int_equal(fake.alert_count, 3);
        fake.now++;
        flush();
        assert_int_equal(fake.alert_count, 4);
        assert_ptr_equal(fake.alerts[3].cgroup, get(C));
        assert_int_equal(fake.alerts[3].suppressed, 1);
        assert_int_equal(manager.held_due_usec, UINT64_MAX);
}

/* The later one of two that are held back does not move the time of the earlier one. */
static void test_held_keeps_the_earliest(void **state)
{
        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        write_file("20-c.budget", BUDGET_C);
        start();
        use_and_flush(A, 2 * MIB);
        use_and_flush(A, MIB / 2);
        fake.now += 10 * SECOND;
        use_and_flush(C, 2 * MIB);
        use_and_flush(C, MIB / 2);
        assert_int_equal(manager.held_due_usec, START + 60 * SECOND);
}

/* Nor does a reload leave the reader with a state that is not so any more. */
static void test_reload_with_a_held_alert(void **state)
{
        (void) state;
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        start();
        use_and_flush(A, 2 * MIB);
        use_and_flush(A, MIB / 2);
        assert_int_equal(fake.alert_count, 1);
        reload();
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_alert(1, A, LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, MIB / 2, 0);
        assert_int_equal(fake.alerts[1].suppressed, 1);
        assert_int_equal(manager.held_due_usec, UINT64_MAX);
        reload();
        flush();
        assert_int_equal(fake.alert_count, 2);
}

static void test_burst(void **state)
{
        (void) state;
        write_file("bpfbudgetd.conf", "[Daemon]\nAlertBurst=3\nAlertIntervalSec=60\n");
        start();
        for (int i = 0; i < 3; i++) {
                use_and_flush(A, 2 * MIB);
                use_and_flush(A, MIB / 2);
        }
        assert_int_equal(fake.alert_count, 3);
        assert_int_equal(fake.event_count, 6);
}

/* --- Limits of the owner ------------------------------------------------------------------------------------------ */

static void test_owner_lowers_by_xattr(void **state)
{
        (void) state;
        set_xattr("/a", XATTR_HIGH, "512K\n");
        set_xattr("/a", XATTR_MAX, "768K");
        get(A);
        start();
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_int_equal(policy_of(A)->max, 768 * KIB);
        assert_string_equal(logged, "");
        use_and_flush(A, 600 * KIB);
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, 600 * KIB, 600 * KIB);
        use_and_flush(A, 800 * KIB);
        assert_alert(1, A, LEVEL_HIGH, LEVEL_MAX, LIMIT_MAX, 800 * KIB, 200 * KIB);
}

static void test_owner_cannot_raise(void **state)
{
        (void) state;
        set_xattr("/a", XATTR_HIGH, "3M");
        set_xattr("/a", XATTR_MAX, "infinity");
        get(A);
        start();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
}

static void test_xattr_in_percent(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nMax=1G\n");
        set_xattr("/a", XATTR_MAX, "25%");
        get(A);
        start();
        assert_int_equal(policy_of(A)->max, RAM / 4);
        assert_int_equal(policy_of(A)->high, BUDGET_INFINITY);
}

/* Xattrs change without notice: they are read whenever usage changed. The gate hears of a new Max, and only of that. */
static void test_xattr_changes(void **state)
{
        (void) state;
        get(A);
        start();
        flush();
        assert_int_equal(fake.set_count, 1);
        assert_int_equal(fake.set[0].id, A);
        assert_int_equal(fake.set[0].max, 2 * MIB);
        use_and_flush(A, 700 * KIB);
        set_xattr("/a", XATTR_HIGH, "512K");
        use_and_flush(A, 700 * KIB + 1);
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_int_equal(fake.set_count, 1);
        set_xattr("/a", XATTR_MAX, "600K");
        use_and_flush(A, 700 * KIB + 2);
        assert_int_equal(policy_of(A)->max, 600 * KIB);
        assert_int_equal(policy_of(A)->level, LEVEL_MAX);
        assert_int_equal(fake.set_count, 2);
        assert_int_equal(fake.set[1].id, A);
        assert_int_equal(fake.set[1].max, 600 * KIB);
        set_xattr("/a", XATTR_HIGH, NULL);
        set_xattr("/a", XATTR_MAX, NULL);
        use_and_flush(A, 700 * KIB + 3);
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
        assert_int_equal(fake.set_count, 3);
}

/* Nonsense is logged once, and is no limit. */
static void test_xattr_nonsense(void **state)
{
        char text[100];

        (void) state;
        memset(text, '1', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        set_xattr("/a", XATTR_HIGH, "a lot");
        set_xattr("/a", XATTR_MAX, text);
        get(A);
        start();
        assert_string_equal(logged,
                        "<4>" FAKE_MOUNT "/a: user.bpfbudget.high: \"a lot\" is not a size such as 64M, 25% or "
                        "infinity; it is ignored\n"
                        "<4>" FAKE_MOUNT "/a: user.bpfbudget.max: \"(too long)\" is not a size such as 64M, 25% or "
                        "infinity; it is ignored\n");
        forget_log();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
        use_and_flush(A, 100 * KIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
        assert_string_equal(logged, "");
}

/* Each value that is wrong is logged once, also if it comes while the daemon runs, and kept for GetCgroup. */
static void test_xattr_wrong(void **state)
{
        static const struct {
                const char *text, *fault; /* NULL: none */
                uint64_t max;
        } cases[] = {
                { "1Mi", NULL, MIB },
                { "1KiB", NULL, KIB },
                { "max", NULL, 2 * MIB },
                { "infinity", NULL, 2 * MIB },
                { "1M\n", NULL, MIB },
                { " 64K", "\" 64K\" is not a size such as 64M, 25% or infinity", 2 * MIB },
                { "150%", "\"150%\" is too large", 2 * MIB },
                { "-1M", "\"-1M\" is negative", 2 * MIB },
                { "64MB", "\"64MB\" has a unit that may be a power of 1000 or of 1024", 2 * MIB },
                { "a\x1b[2J", "\"(not text)\" is not a size such as 64M, 25% or infinity", 2 * MIB },
                { "MAX", "\"MAX\" is not a size such as 64M, 25% or infinity", 2 * MIB },
                { "\xff", "\"(not text)\" is not a size such as 64M, 25% or infinity", 2 * MIB },
        };
        uint64_t bytes = KIB;

        (void) state;
        get(A);
        start();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char log[256] = "", *ignored;

                if (cases[i].fault)
                        snprintf(log, sizeof(log), "<4>" FAKE_MOUNT "/a: user.bpfbudget.max: %s; it is ignored\n",
                                        cases[i].fault);
                fake.now += 60 * SECOND;
                forget_log();
                set_xattr("/a", XATTR_MAX, cases[i].text);
                use_and_flush(A, bytes++);
                use_and_flush(A, bytes++);
                assert_string_equal(logged, log);
                assert_int_equal(policy_of(A)->max, cases[i].max);
                ignored = policy_of(A)->ignored[OWNER_MAX];
                assert_int_equal(!ignored, !cases[i].fault);
                if (ignored)
                        assert_string_equal(ignored + strlen("user.bpfbudget.max: "), cases[i].fault);
                assert_null(policy_of(A)->ignored[OWNER_HIGH]);
        }
        set_xattr("/a", XATTR_MAX, "1K");
        manager_evaluate(&manager, get(A));
        assert_int_equal(policy_of(A)->max, KIB);
        assert_null(policy_of(A)->ignored[OWNER_MAX]);
}

/* An owner who writes one nonsense after the other does not fill the journal. */
static void test_xattr_warnings_are_bounded(void **state)
{
        char text[16];

        (void) state;
        get(A);
        start();
        for (int i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "%dx", i);
                set_xattr("/a", XATTR_HIGH, text);
                manager_evaluate(&manager, get(A));
        }
        assert_int_equal(count_logged("; it is ignored"), 8);
        assert_non_null(strstr(policy_of(A)->ignored[OWNER_HIGH], "\"99x\""));
        fake.now += 60 * SECOND;
        set_xattr("/a", XATTR_HIGH, "x");
        manager_evaluate(&manager, get(A));
        assert_int_equal(count_logged("; it is ignored"), 9);
}

/* Where no budget applies there is nothing to lower, which is said of a few cgroups. */
static void test_unused_xattrs(void **state)
{
        (void) state;
        set_xattr("/a/b", XATTR_HIGH, "1M");
        set_xattr("/c", XATTR_MAX, "1M");
        get(C);
        get(AB);
        start();
        assert_null(get(C)->policy);
        assert_int_equal(count_logged(XATTR_MAX " has no effect, as no budget applies to this cgroup"), 1);
        assert_int_equal(count_logged("/c: " XATTR_MAX), 1);
        assert_int_equal(count_logged("/a/b: " XATTR_HIGH " has no effect"), 1);
        for (int i = 0; i < 10; i++)
                reload();
        assert_int_equal(count_logged("has no effect"), 8);
        fake.now += 60 * SECOND;
        forget_log();
        reload();
        assert_int_equal(count_logged("has no effect"), 2);
        set_xattr("/c", XATTR_MAX, NULL);
        forget_log();
        reload();
        assert_int_equal(count_logged("has no effect"), 1);
}

/* What just fits, what just does not, and nothing at all. */
static void test_xattr_sizes(void **state)
{
        char text[65] = "512K\n";

        (void) state;
        memset(text + 5, 'x', 58);
        assert_int_equal(strlen(text), 63);
        set_xattr("/a", XATTR_HIGH, text);
        get(A);
        start();
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_string_equal(logged, "");
        text[63] = 'x';
        set_xattr("/a", XATTR_HIGH, text);
        restart();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(count_logged("\"(too long)\" is not a size"), 1);
        forget_log();
        set_xattr("/a", XATTR_HIGH, "");
        restart();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(count_logged("user.bpfbudget.high: \"\" is not a size"), 1);
}

#define RATIO_A "[Match]\nCgroup=/a\n[Budget]\nFootprintRatioHigh=50%\n"

/* A process has come since RSS was read. */
static void read_rss_of_a(struct monitor *of)
{
        const uint64_t rss[RSS_MEMBERS] = { [RSS_ANON] = 4 * MIB };

        tree_set_rss(&of->tree, get(A), rss);
        tree_flush(&of->tree);
}

/* An RSS of 0 is read again before it counts, once a flush; what cannot be read does not count. */
static void test_ratio_over_nothing(void **state)
{
        (void) state;
        write_file("10-a.budget", RATIO_A);
        get(A);
        start();
        flush();
        assert_int_equal(fake.rss_reads, 0);
        fake.rss_error = -EIO;
        use_and_flush(A, MIB);
        assert_int_equal(fake.rss_reads, 1);
        assert_int_equal(policy_of(A)->level, LEVEL_OK);
        fake.rss_error = 0;
        fake.rss_read = read_rss_of_a;
        use_and_flush(A, MIB + 1);
        assert_int_equal(fake.rss_reads, 2);
        assert_int_equal(policy_of(A)->level, LEVEL_OK);
        use_and_flush(A, MIB + 2);
        assert_int_equal(fake.rss_reads, 2);
        fake.rss_read = NULL;
        tree_set_rss(&monitor.tree, get(A), (const uint64_t[RSS_MEMBERS]){ 0 });
        flush();
        assert_int_equal(fake.rss_reads, 3);
        assert_int_equal(policy_of(A)->level, LEVEL_HIGH);
        assert_int_equal(policy_of(A)->limit, LIMIT_FOOTPRINT_RATIO);
}

/* Of a cgroup that is gone nothing is read or written: another one may have its path now. */
static void test_xattrs_of_a_gone_cgroup(void **state)
{
        (void) state;
        start();
        use_and_flush(A, MIB / 2);
        remove_cgroup(A);
        cgroups[4] = (struct fake_cgroup){ D, ROOT, "/a", false };
        set_xattr("/a", XATTR_MAX, "1K");
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
        assert_int_equal(policy_of(A)->level, LEVEL_HIGH);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "");
        assert_int_equal(fake.xattr_writes, 0);
}

/* What the owner asked the daemon for holds from the next flush on, after a reload, and after a restart. */
static void test_lowered_limits(void **state)
{
        (void) state;
        get(A);
        start();
        use_and_flush(A, 700 * KIB);
        assert_int_equal(manager_lower(&manager, get(A), 512 * KIB, 600 * KIB), 0);
        manager_apply(&manager);
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_int_equal(policy_of(A)->max, 600 * KIB);
        assert_int_equal(policy_of(A)->level, LEVEL_MAX);
        assert_int_equal(fake.set[fake.set_count - 1].max, 600 * KIB);

        reload();
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_int_equal(policy_of(A)->max, 600 * KIB);
        assert_int_equal(policy_of(A)->lowered_high, 512 * KIB);
        assert_int_equal(policy_of(A)->lowered_max, 600 * KIB);

        restart();
        assert_saved("10", SAVED(2, 1, 1, 0, 0, 0, 524288, 614400));
        assert_int_equal(policy_of(A)->high, 512 * KIB);
        assert_int_equal(policy_of(A)->max, 600 * KIB);
        assert_int_equal(policy_of(A)->lowered_high, 512 * KIB);
        assert_int_equal(policy_of(A)->lowered_max, 600 * KIB);
}

/* Also where only one of the two is lowered, and where no level changes. */
static void test_lowered_max_alone(void **state)
{
        (void) state;
        get(A);
        start();
        flush();
        assert_false(is_file("events.json"));
        fake.now += SECOND;
        assert_int_equal(manager_lower(&manager, get(A), BUDGET_INFINITY, 1536 * KIB), 0);
        flush();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 1536 * KIB);
        assert_saved("10", SAVED(0, 0, 0, 0, 0, 0, -1, 1572864));
        restart();
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 1536 * KIB);
        assert_int_equal(policy_of(A)->lowered_high, BUDGET_INFINITY);
}

/* The lower one of xattr and method counts. */
static void test_lowered_and_xattr(void **state)
{
        (void) state;
        get(A);
        set_xattr("/a", XATTR_HIGH, "100K");
        set_xattr("/a", XATTR_MAX, "900K");
        start();
        assert_int_equal(manager_lower(&manager, get(A), 200 * KIB, 800 * KIB), 0);
        flush();
        assert_int_equal(policy_of(A)->high, 100 * KIB);
        assert_int_equal(policy_of(A)->max, 800 * KIB);
}

static void test_lowering_without_memory(void **state)
{
        (void) state;
        get(A);
        start();
        flush();
        fake.callocs = 1;
        assert_int_equal(manager_lower(&manager, get(A), KIB, KIB), -ENOMEM);
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);
}

/* --- Which budget ------------------------------------------------------------------------------------------------- */

static void test_budget_of_a_new_cgroup(void **state)
{
        (void) state;
        start();
        assert_int_equal(fake.set_count, 0);
        get_known(A);
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
        assert_int_equal(fake.set_count, 1);
        assert_int_equal(fake.set[0].id, A);
        assert_null(get_known(C)->policy);
        assert_int_equal(fake.set_count, 1);
}

/* The gate hears of a Max of 0 as of any other. */
static void test_max_of_nothing(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nMax=0\nOnMax=deny\n");
        start();
        get_known(A);
        assert_int_equal(fake.set_count, 1);
        assert_int_equal(fake.set[0].id, A);
        assert_int_equal(fake.set[0].max, 0);
}

/* User= goes by the owner of the directory. */
static void test_budget_by_owner(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nUser=12321\n[Budget]\nHigh=1M\n");
        fake.directories[0] = (struct fake_directory){ "/c", 12321, 0755 };
        start();
        assert_null(get_known(A)->policy);
        assert_non_null(get_known(C)->policy);
}

static void test_user_root(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nUser=0\n[Budget]\nHigh=1M\n");
        fake.directories[0] = (struct fake_directory){ "/c", 12321, 0755 };
        start();
        assert_non_null(get_known(A)->policy);
        assert_null(get_known(C)->policy);
}

/* A cgroup whose path is not known matches nothing. */
static void test_no_path(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=!/b\n[Budget]\nHigh=1M\n");
        start();
        assert_non_null(get_known(A)->policy);
        assert_null(get_known(4711)->policy);
}

static void test_budget_without_memory(void **state)
{
        struct cgroup *cgroup;

        (void) state;
        start();
        fake.callocs = 2; /* the first one is the cgroup */
        assert_int_equal(tree_get(&monitor.tree, A, &cgroup), 0);
        follow();
        assert_null(cgroup->policy);
        assert_string_equal(logged, "<3>/a is without its budget: out of memory\n");
        manager_deinit(&manager);
        failing_calloc = 1;
        assert_int_equal(try_start(NULL, false), -ENOMEM);
}

/* --- Events over restarts ----------------------------------------------------------------------------------------- */

static void test_events_on_the_cgroup(void **state)
{
        (void) state;
        get(A);
        start();
        use_and_flush(A, 2 * MIB);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 1 max 0 denied 0 throttled 0 throttledUSec 0");
        policy_of(A)->events.denied = 3;
        policy_of(A)->events.throttled = 4;
        policy_of(A)->events.throttled_usec = 5;
        use_and_flush(A, 3 * MIB);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 1 max 1 denied 3 throttled 4 throttledUSec 5");
        use_and_flush(A, 0);
        use_and_flush(A, 2 * MIB);
        assert_string_equal(
                        get_xattr("/a", "user.bpfbudget.events"), "high 2 max 1 denied 3 throttled 4 throttledUSec 5");
}

static void test_dry_run_writes_nothing(void **state)
{
        (void) state;
        get(A);
        assert_int_equal(try_start(state_file, true), 0);
        use_and_flush(A, 2 * MIB);
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, 2 * MIB, 2 * MIB);
        assert_true(fake.alerts[0].dry_run);
        assert_int_equal(fake.event_count, 1);
        assert_int_equal(fake.xattr_writes, 0);
        assert_false(is_file("events.json"));
        assert_int_equal(manager_due_usec(&manager), MANAGER_REMEASURE_INTERVAL_USEC);
        manager_deinit(&manager);
        assert_false(is_file("events.json"));
}

/* A restart changes nothing: level, with its hysteresis, and events go on, and nothing is told twice. */
static void test_restart(void **state)
{
        (void) state;
        start();
        use_and_flush(A, 3 * MIB);
        policy_of(A)->events.denied = 3;
        policy_of(A)->events.throttled = 4;
        policy_of(A)->events.throttled_usec = 5;
        use_and_flush(A, MIB + MIB / 2);
        assert_int_equal(fake.alert_count, 2);
        manager_deinit(&manager);
        set_xattr("/a", XATTR_EVENTS, NULL);
        assert_saved("10", SAVED(1, 1, 1, 3, 4, 5, -1, -1));
        assert_false(is_file("events.json.new"));
        assert_null(get(A)->policy);

        use(A, MIB - 1); /* more than 90 % */
        start();
        assert_int_equal(manager.over_high, 1);
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_int_equal(policy_of(A)->level, LEVEL_HIGH);
        assert_int_equal(policy_of(A)->events.high, 1);
        assert_int_equal(policy_of(A)->events.max, 1);
        assert_int_equal(policy_of(A)->events.denied, 3);
        assert_int_equal(policy_of(A)->events.throttled, 4);
        assert_int_equal(policy_of(A)->events.throttled_usec, 5);
        use_and_flush(A, MIB / 2);
        assert_int_equal(fake.alert_count, 3);
        assert_int_equal(manager.over_high, 0);
        use_and_flush(A, 2 * MIB);
        assert_int_equal(policy_of(A)->events.high, 2);
}

/* Cgroups that get their policy later have what was kept of them, too. */
static void test_restart_of_a_later_cgroup(void **state)
{
        (void) state;
        write_file("events.json", "{\"10\": " SAVED(2, 7, 6, 5, 4, 3, 2048, 1024) "}");
        start();
        assert_int_equal(manager.over_high, 0);
        get_known(A);
        assert_int_equal(manager.over_high, 1);
        assert_int_equal(policy_of(A)->level, LEVEL_MAX);
        assert_int_equal(policy_of(A)->events.high, 7);
        assert_int_equal(policy_of(A)->events.max, 6);
        assert_int_equal(policy_of(A)->events.denied, 5);
        assert_int_equal(policy_of(A)->events.throttled, 4);
        assert_int_equal(policy_of(A)->events.throttled_usec, 3);
        assert_int_equal(policy_of(A)->lowered_high, 2048);
        assert_int_equal(policy_of(A)->lowered_max, 1024);
        assert_int_equal(policy_of(A)->high, 1024);
        assert_int_equal(policy_of(A)->max, 1024);
}

/* What the file has of a cgroup that went while no daemon ran is dropped; of one that has no policy yet it stays. */
static void test_file_of_what_is_gone(void **state)
{
        (void) state;
        write_file("events.json", "{\"10\": " SAVED(2, 7, 6, 5, 4, 3, 2048, 1024) ",\"987654\": " SAVED(
                                                  2, 7, 6, 5, 4, 3, 2048, 1024) "}");
        start();
        assert_int_equal(HASH_COUNT(manager.events.kept), 2);
        fake.now += EVENT_STORE_PRUNE_USEC;
        event_store_save_later(&manager.events);
        event_store_save(&manager.events);
        assert_int_equal(HASH_COUNT(manager.events.kept), 1);
        assert_int_equal(manager.events.kept->id, A);
        get_known(A);
        assert_int_equal(policy_of(A)->events.high, 7);
}

/* A file that an older version wrote: nothing was lowered. */
static void test_file_without_lowered_limits(void **state)
{
        (void) state;
        write_file("events.json",
                        "{\"10\":{\"level\":1,\"high\":2,\"max\":0,\"denied\":0,\"throttled\":0,\"throttledUSec\":0}}");
        get(A);
        start();
        assert_string_equal(logged, "");
        assert_int_equal(policy_of(A)->level, LEVEL_HIGH);
        assert_int_equal(policy_of(A)->high, MIB);
        assert_int_equal(policy_of(A)->max, 2 * MIB);
}

static void test_damaged_files(void **state)
{
        (void) state;
        get(A);
        start(); /* without one nothing is logged */
        assert_string_equal(logged, "");
        manager_deinit(&manager);
        write_file("events.json", "[ 1 ]");
        start();
        assert_int_equal(count_logged("events.json: it holds no JSON object"), 1);
        assert_int_equal(count_logged("\n"), 1);
        manager_deinit(&manager);
        forget_log();
        write_file("events.json", "{\n\"10\"");
        start();
        assert_int_equal(count_logged("events.json:2: "), 1);
        assert_int_equal(count_logged("\n"), 1);
        assert_int_equal(policy_of(A)->level, LEVEL_OK);
}

static void test_several_entries(void **state)
{
        (void) state;
        write_file("events.json",
                        "{\"20\": " SAVED(1, 8, 0, 0, 0, 0, -1, -1) ", \"10\": " SAVED(2, 7, 6, 5, 4, 3, -1, -1) "}");
        write_file("20-c.budget", BUDGET_C);
        get(A);
        get(C);
        start();
        assert_int_equal(policy_of(A)->events.high, 7);
        assert_int_equal(policy_of(C)->events.high, 8);
        assert_int_equal(manager.over_high, 2);
}

static void test_damaged_entries(void **state)
{
        (void) state;
        write_file("events.json",
                        "{\"11\": 3, \"12\": " SAVED(3, 0, 0, 0, 0, 0, -1, -1) ", \"13\": " SAVED(-1, 0, 0, 0, 0, 0, -1,
                                        -1) ", \"20\": {\"level\": 1}, \"10\": " SAVED(2, 1, 1, 0, 0, 0, -1, -1) "}");
        write_file("20-c.budget", BUDGET_C);
        get(A);
        get(C);
        start();
        assert_int_equal(count_logged("events.json: 4 entries are damaged"), 1);
        assert_int_equal(policy_of(A)->level, LEVEL_MAX);
        assert_int_equal(policy_of(C)->level, LEVEL_OK);
        assert_int_equal(manager.over_high, 1);
}

static void test_loading_without_memory(void **state)
{
        (void) state;
        write_file("events.json",
                        "{\"10\": " SAVED(2, 7, 6, 5, 4, 3, 2, 1) ", \"20\": " SAVED(2, 7, 6, 5, 4, 3, 2, 1) "}");
        failing_calloc = 1;
        assert_int_equal(try_start(state_file, false), -ENOMEM);
}

/* What happened after the file was written last is in the xattr. */
static void test_xattr_has_what_came_since(void **state)
{
        static const struct {
                const char *file, *xattr;
                enum budget_level level;
                struct budget_events events;
        } cases[] = {
                { NULL, "high 3 max 2 denied 4 throttled 5 throttledUSec 6", LEVEL_MAX, { 3, 2, 4, 5, 6 } },
                { NULL, "high 3 max 0 denied 0 throttled 0 throttledUSec 0", LEVEL_HIGH, { 3, 0, 0, 0, 0 } },
                { NULL, "high 0 max 0 denied 4 throttled 0 throttledUSec 0", LEVEL_OK, { 0, 0, 4, 0, 0 } },
                { SAVED(2, 1, 1, 0, 0, 0, -1, -1), "high 2 max 1 denied 0 throttled 0 throttledUSec 0", LEVEL_MAX,
                                { 2, 1, 0, 0, 0 } },
                { SAVED(1, 1, 0, 0, 0, 0, -1, -1), "high 2 max 1 denied 0 throttled 0 throttledUSec 0", LEVEL_MAX,
                                { 2, 1, 0, 0, 0 } },
                { SAVED(0, 3, 2, 0, 0, 0, -1, -1), "high 3 max 2 denied 0 throttled 0 throttledUSec 0", LEVEL_OK,
                                { 3, 2, 0, 0, 0 } },
                { SAVED(0, 9, 8, 7, 6, 5, -1, -1), "high 4 max 3 denied 2 throttled 1 throttledUSec 0", LEVEL_OK,
                                { 9, 8, 7, 6, 5 } },
                { NULL, "high 3 max 2 denied 4 throttled 5", LEVEL_OK, {} },
                { NULL, "nonsense", LEVEL_OK, {} },
        };

        (void) state;
        get(A);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[256] = "{}";

                if (cases[i].file)
                        snprintf(text, sizeof(text), "{\"10\": %s}", cases[i].file);
                write_file("events.json", text);
                set_xattr("/a", XATTR_EVENTS, cases[i].xattr);
                start();
                assert_int_equal(policy_of(A)->level, cases[i].level);
                assert_int_equal(manager.over_high, cases[i].level != LEVEL_OK);
                assert_memory_equal(&policy_of(A)->events, &cases[i].events, sizeof(cases[i].events));
                manager_deinit(&manager);
        }
}

/* An owner could forge it, and with --config nothing goes on from before. */
static void test_xattr_of_others_is_ignored(void **state)
{
        static const struct {
                uint32_t uid, mode;
                bool without_file;
        } cases[] = { { 12321, 0755, false }, { 0, 0775, false }, { 0, 0757, false }, { 0, 0755, true } };

        (void) state;
        get(A);
        set_xattr("/a", XATTR_EVENTS, "high 3 max 2 denied 4 throttled 5 throttledUSec 6");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                fake.directories[0] = (struct fake_directory){ "/a", cases[i].uid, cases[i].mode };
                assert_int_equal(try_start(cases[i].without_file ? NULL : state_file, false), 0);
                assert_int_equal(policy_of(A)->level, LEVEL_OK);
                assert_int_equal(policy_of(A)->events.high, 0);
                manager_deinit(&manager);
        }
        fake.directories[0].mode = 0755;
        start();
        assert_int_equal(policy_of(A)->events.high, 3);
}

/* A limit that was passed right before a crash is not counted and told again. */
static void test_crash_after_a_level(void **state)
{
        (void) state;
        use(A, 2 * MIB);
        set_xattr("/a", XATTR_EVENTS, "high 1 max 0 denied 0 throttled 0 throttledUSec 0");
        start();
        flush();
        assert_int_equal(fake.alert_count, 0);
        assert_int_equal(policy_of(A)->events.high, 1);
}

/* The file is written at most once a second; the daemon wakes for what is left. */
static void test_when_the_file_is_written(void **state)
{
        (void) state;
        start();
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);
        use_and_flush(A, 2 * MIB);
        assert_saved("10", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
        fake.now += 10;
        use_and_flush(A, 3 * MIB);
        assert_saved("10", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
        manager_prepare(&manager);
        assert_int_equal(manager_due_usec(&manager), START + SECOND);
        fake.now = START + SECOND - 1;
        flush();
        assert_saved("10", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
        fake.now++;
        flush();
        assert_saved("10", SAVED(2, 1, 1, 0, 0, 0, -1, -1));

        /* Nothing new: nothing is written. */
        remove_file("events.json");
        fake.now += 10 * SECOND;
        flush();
        manager_thaw(&manager);
        assert_false(is_file("events.json"));
        use_and_flush(A, 0);
        assert_saved("10", SAVED(0, 1, 1, 0, 0, 0, -1, -1));
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);
}

/* A thaw writes it as well, and the end writes it at once. */
static void test_file_after_thaw_and_end(void **state)
{
        (void) state;
        start();
        use_and_flush(A, 2 * MIB);
        use_and_flush(A, 3 * MIB);
        fake.now += SECOND;
        manager_thaw(&manager);
        assert_saved("10", SAVED(2, 1, 1, 0, 0, 0, -1, -1));
        use_and_flush(A, 0);
        assert_saved("10", SAVED(2, 1, 1, 0, 0, 0, -1, -1));
        manager_deinit(&manager);
        assert_saved("10", SAVED(0, 1, 1, 0, 0, 0, -1, -1));
}

static void test_file_cannot_be_written(void **state)
{
        (void) state;
        snprintf(state_file, sizeof(state_file), "%s/none/events.json", directory);
        start();
        use_and_flush(A, 2 * MIB);
        assert_int_equal(count_logged("none/events.json cannot be written (No such file or directory)"), 1);
        /* Not again before there is something new. */
        fake.now += 10 * SECOND;
        flush();
        assert_int_equal(count_logged("cannot be written"), 1);
        use_and_flush(A, 3 * MIB);
        assert_int_equal(count_logged("cannot be written"), 2);
}

/* What cannot take its place is not left beside it. */
static void test_file_cannot_be_replaced(void **state)
{
        (void) state;
        assert_int_equal(mkdir(state_file, 0700), 0);
        start();
        forget_log();
        use_and_flush(A, 2 * MIB);
        assert_int_equal(count_logged("events.json cannot be written (Is a directory)"), 1);
        assert_false(is_file("events.json.new"));
}

static void test_no_file(void **state)
{
        (void) state;
        get(A);
        assert_int_equal(try_start(NULL, false), 0);
        use_and_flush(A, 2 * MIB);
        assert_int_equal(manager_due_usec(&manager), MANAGER_REMEASURE_INTERVAL_USEC);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 1 max 0 denied 0 throttled 0 throttledUSec 0");
        assert_string_equal(logged, "");
}

/* --- Cgroups and budgets that go ---------------------------------------------------------------------------------- */

/* Nothing is kept of a cgroup that is gone. */
static void test_gone_cgroup(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        start();
        get(AB);
        use(A, 2 * MIB);
        use(C, 2 * MIB);
        flush();
        assert_int_equal(manager.over_high, 2);
        assert_saved("20", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
        remove_cgroup(C);
        remove_cgroup(AB);
        /* It counts as long as its objects do, without one more change of its level. */
        use(C, 0);
        tree_flush(&monitor.tree);
        while (tree_take_changed(&monitor.tree))
                ;
        fake.now += SECOND;
        tree_prune(&monitor.tree);
        assert_null(tree_find(&monitor.tree, C));
        assert_null(tree_find(&monitor.tree, AB));
        follow();
        assert_int_equal(manager.over_high, 1);
        assert_int_equal(fake.remove_count, 1);
        assert_int_equal(fake.removed[0], C);
        assert_int_equal(fake.forget_count, 2);
        assert_int_equal(fake.forgotten[0] + fake.forgotten[1], C + AB);
        manager_prepare(&manager);
        assert_int_equal(manager_due_usec(&manager), START + SECOND);
        flush();
        assert_not_saved("20");
        assert_saved("10", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
}

/* One of which nothing was kept changes nothing in the file. */
static void test_gone_cgroup_without_events(void **state)
{
        (void) state;
        start();
        get(A);
        flush();
        remove_cgroup(A);
        tree_prune(&monitor.tree);
        assert_null(tree_find(&monitor.tree, A));
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);
}

/* A cgroup that is there still may only be forgotten by the tree: what was kept of it stays in the file. */
static void test_forgotten_cgroup(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        start();
        use_and_flush(A, 2 * MIB);
        /* As if it had been looked up in vain for a moment. */
        use(A, 0);
        remove_cgroup(A);
        tree_flush(&monitor.tree);
        while (tree_take_changed(&monitor.tree))
                ;
        tree_prune(&monitor.tree);
        assert_non_null(monitor.tree.forgotten);
        monitor.tree.forgotten->exists = true;
        flush();
        assert_null(tree_find(&monitor.tree, A));
        assert_int_equal(manager.over_high, 0);
        fake.now += SECOND;
        use_and_flush(C, 2 * MIB);
        assert_saved("20", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
        assert_saved("10", SAVED(1, 1, 0, 0, 0, 0, -1, -1));
}

/* A budget that goes takes its cgroups out of those over High; when it comes back they go on where they were. */
static void test_budget_goes(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        start();
        use(A, 2 * MIB);
        use(C, 3 * MIB);
        flush();
        assert_int_equal(manager.over_high, 2);
        policy_of(C)->events.throttled = 5;
        remove_file("20-c.budget");
        reload();
        assert_int_equal(manager.over_high, 1);
        assert_null(get(C)->policy);
        flush();
        assert_int_equal(manager.over_high, 1);
        remove_file("10-a.budget");
        use(A, 3 * MIB); /* it was about to be looked at */
        tree_flush(&monitor.tree);
        reload();
        assert_int_equal(manager.over_high, 0);
        fake.now += 100 * SECOND;
        flush();
        assert_int_equal(fake.alert_count, 2);
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);

        write_file("20-c.budget", BUDGET_C);
        reload();
        assert_int_equal(manager.over_high, 1);
        assert_int_equal(policy_of(C)->level, LEVEL_MAX);
        assert_int_equal(policy_of(C)->events.high, 1);
        assert_int_equal(policy_of(C)->events.max, 1);
        assert_int_equal(policy_of(C)->events.throttled, 5);
        flush();
        assert_int_equal(fake.alert_count, 2);
}

/* A reload looks at all cgroups by the new limits, and tells the gate of them. */
static void test_reload_with_other_limits(void **state)
{
        (void) state;
        start();
        use_and_flush(A, MIB / 2);
        assert_int_equal(fake.alert_count, 0);
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=100K\nMax=4M\n");
        reload();
        assert_int_equal(fake.enforce_reloads, 1);
        assert_int_equal(fake.set[fake.set_count - 1].max, 4 * MIB);
        flush();
        assert_alert(0, A, LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, MIB / 2, MIB / 2);
}

static void test_reload_without_memory(void **state)
{
        struct config config;

        (void) state;
        start();
        get_known(A);
        load(&config);
        fake.callocs = 1; /* what is kept of the cgroup */
        assert_int_equal(manager_reload(&manager, &config), -ENOMEM);
        assert_non_null(config.budgets);
        assert_int_equal(manager_reload(&manager, &config), 0);
        load(&config);
        fake.callocs = 1; /* its policy */
        assert_int_equal(manager_reload(&manager, &config), -ENOMEM);
        assert_null(config.budgets);
}

/* After the end nothing of it is left in the tree. */
static void test_end(void **state)
{
        (void) state;
        start();
        get(A);
        use_and_flush(A, 2 * MIB);
        manager_deinit(&manager);
        assert_null(get(A)->policy);
        assert_null(monitor.tree.forgotten);
        assert_null(fake.by_holder);
        assert_true(fake.enforce_ended);
        assert_true(fake.thawed_all);
        assert_int_equal(fake.end_count, 1);
        assert_null(manager.monitor);
        manager_deinit(&manager);
        assert_int_equal(fake.end_count, 1);
}

/* --- What shrinks without notice ---------------------------------------------------------------------------------- */

/* While a cgroup is over High, what grows in it is measured again every five seconds. */
static void test_look_again(void **state)
{
        (void) state;
        start();
        use(A, MIB / 2);
        use(AB, MIB / 4);
        use(C, MIB);
        flush();
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 0);
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);

        use_and_flush(AB, MIB);
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 2);
        assert_int_equal(fake.looked_again[0] + fake.looked_again[1], A + AB);
        assert_int_equal(manager_due_usec(&manager), START + 5 * SECOND);
        fake.now += 5 * SECOND - 1;
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 2);
        fake.now++;
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 4);
        assert_int_equal(manager_due_usec(&manager), START + 10 * SECOND);
        fake.look_again_error = -ENOMEM;
        fake.now += 5 * SECOND;
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 5);
}

/* Of an object that a holder has it is the charged cgroup that is looked at. */
static void test_look_again_where_it_is_charged(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nAttribution=holder\n");
        start();
        use(C, 2 * MIB);
        ledger_begin_holders(&monitor.ledger);
        ledger_add_holder(&monitor.ledger, OBJECT_MAP, C, get(A), true);
        assert_int_equal(ledger_end_holders(&monitor.ledger), 1);
        flush();
        assert_int_equal(policy_of(A)->level, LEVEL_HIGH);
        manager_prepare(&manager);
        assert_int_equal(fake.look_again_count, 1);
        assert_int_equal(fake.looked_again[0], C);
}

static void test_holders(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        start();
        assert_false(manager_needs_holders(&manager));
        assert_null(fake.by_holder);
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nHigh=1M\nAttribution=holder\n");
        write_file("30-ab.budget", "[Match]\nCgroup=/a/b\n[Budget]\nHigh=1M\n");
        reload();
        assert_true(manager_needs_holders(&manager));
        assert_non_null(fake.by_holder);
        assert_ptr_equal(fake.by_holder_context, &manager);
        assert_false(fake.by_holder(fake.by_holder_context, get(AB)));
        assert_false(fake.by_holder(fake.by_holder_context, get(ROOT)));
        /* Also of one that is new in this flush. */
        assert_null(get(C)->policy);
        assert_true(fake.by_holder(fake.by_holder_context, get(C)));
        write_file("10-a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nAttribution=holder\n");
        remove_file("20-c.budget");
        reload();
        assert_true(fake.by_holder(fake.by_holder_context, get(AB)));
        assert_false(fake.by_holder(fake.by_holder_context, get(C)));
        write_file("10-a.budget", BUDGET_A);
        reload();
        assert_null(fake.by_holder);
}

static void test_needs_rss(void **state)
{
        (void) state;
        start();
        assert_false(manager_needs_rss(&manager));
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nFootprintRatioHigh=50%\n");
        reload();
        assert_true(manager_needs_rss(&manager));
        /* Metrics are what the last flush has. */
        remove_file("20-c.budget");
        reload();
        assert_false(manager_needs_rss(&manager));
        write_file("bpfbudgetd.conf", "[Daemon]\nMetricsListen=/m\n");
        reload();
        assert_true(manager_needs_rss(&manager));
        /* How full maps are is told without RSS. */
        write_file("bpfbudgetd.conf", "[Daemon]\n");
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nMapFillHigh=90%\n");
        reload();
        assert_false(manager_needs_rss(&manager));
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void pause_for(uint64_t id, uint64_t payer, uint64_t grown, uint64_t usec, bool tell, uint32_t suppressed)
{
        for (size_t i = 0; i < sizeof(fake.pauses) / sizeof(fake.pauses[0]); i++)
                if (!fake.pauses[i].cgroup) {
                        fake.pauses[i] = (struct pause){ get(id), get(payer), grown, usec, tell, suppressed };
                        return;
                }
}

static void test_pause(void **state)
{
        struct growth_cause causes[] = { { AB, 7, "agent" }, { C, 8, "other" } };

        (void) state;
        start();
        assert_int_equal(fake.grown_count, 0);
        pause_for(AB, A, 123, 45678, true, 9);
        get(C);
        set_causes(causes, 2);
        use(C, 5);
        use(A, 7);
        use_and_flush(AB, 3 * MIB);
        /* All growth is looked at, by the levels of this flush. */
        assert_int_equal(fake.grown_count, 3);
        assert_int_equal(fake.grown[0].id, AB);
        assert_int_equal(fake.grown[0].grown, 3 * MIB);
        assert_int_equal(fake.grown[0].now, START);
        assert_int_equal(fake.grown[0].level, LEVEL_MAX);
        assert_int_equal(fake.grown[1].id, A);
        assert_int_equal(fake.grown[2].id, C);

        assert_int_equal(fake.throttle_count, 1);
        assert_ptr_equal(fake.throttles[0].cgroup, get(AB));
        assert_ptr_equal(fake.throttles[0].payer, get(A));
        assert_int_equal(fake.throttles[0].usage, 3 * MIB + 7);
        assert_int_equal(fake.throttles[0].delta, 123);
        assert_int_equal(fake.throttles[0].pause_usec, 45678);
        assert_int_equal(fake.throttles[0].pid, 7);
        assert_string_equal(fake.throttles[0].comm, "agent");
        assert_int_equal(fake.throttles[0].suppressed, 9);
        assert_false(fake.throttles[0].dry_run);
        assert_string_equal(logged, "");

        assert_int_equal(fake.event_count, 2);
        assert_int_equal(fake.events[1].kind, EVENT_THROTTLE);
        assert_ptr_equal(fake.events[1].cgroup, get(AB));
        assert_ptr_equal(fake.events[1].policy, policy_of(A));
        assert_int_equal(fake.events[1].usage, 3 * MIB + 7);
        assert_int_equal(fake.events[1].pid, 7);
        assert_string_equal(fake.events[1].comm, "agent");
        assert_int_equal(fake.events[1].pause_usec, 45678);
        assert_ptr_equal(fake.sink_context, &sink_context);

        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 1 max 1 denied 0 throttled 1 throttledUSec 0");
        assert_saved("10", SAVED(2, 1, 1, 0, 1, 0, -1, -1));
        assert_int_equal(fake.reviewed, START);
        assert_true(fake.reviewed_before_thaw);
        assert_false(fake.thawed_all);
}

/* It goes on after a cgroup whose growth costs nothing, and without an alert that is not due. */
static void test_pause_without_alert(void **state)
{
        (void) state;
        start();
        get(C);
        pause_for(AB, A, 123, 45678, false, 0);
        use(AB, 2 * MIB);
        use(C, 5);
        flush();
        assert_int_equal(fake.grown[0].id, C);
        assert_int_equal(fake.throttle_count, 0);
        assert_int_equal(fake.event_count, 2);
        assert_int_equal(fake.events[1].kind, EVENT_THROTTLE);
        assert_int_equal(fake.events[1].pid, 0);
        assert_null(fake.events[1].comm);
}

static void test_pause_in_a_dry_run(void **state)
{
        (void) state;
        assert_int_equal(try_start(state_file, true), 0);
        assert_true(fake.enforce_dry_run);
        pause_for(A, A, 123, 45678, true, 0);
        use_and_flush(A, 2 * MIB);
        assert_int_equal(fake.throttle_count, 1);
        assert_true(fake.throttles[0].dry_run);
        assert_int_equal(fake.throttles[0].pid, 0);
        assert_int_equal(fake.event_count, 1);
        assert_int_equal(fake.events[0].kind, EVENT_STATE);
}

/* What was there at the start has grown before. */
static void test_no_pause_for_what_was_there(void **state)
{
        (void) state;
        use(A, 3 * MIB);
        use(C, 3 * MIB);
        start();
        assert_false(fake.grown_before);
        flush();
        assert_int_equal(fake.grown_count, 0);
        assert_ptr_equal(fake.enforce_settings, &manager.config.settings);
        assert_string_equal(fake.frozen_file, "/frozen");
        assert_ptr_equal(fake.enforce_capability, &fake.capabilities[CAPABILITY_FREEZE]);
        assert_false(fake.enforce_dry_run);
}

static void test_no_start_without_enforce(void **state)
{
        (void) state;
        fake.enforce_init_error = -ENOMEM;
        assert_int_equal(try_start(state_file, false), -ENOMEM);
}

static void test_thaw(void **state)
{
        (void) state;
        write_file("20-c.budget", BUDGET_C);
        get(A);
        get(C);
        start();
        flush();
        fake.thaws[0] = (struct thawed){ get(A), 300 };
        fake.thaws[1] = (struct thawed){ NULL, 400 };
        fake.thaws[2] = (struct thawed){ get(C), 500 };
        fake.thaw_count = 3;
        fake.now += 77;
        manager_thaw(&manager);
        assert_int_equal(fake.thaw_count, 0);
        assert_false(fake.thawed_all);
        assert_int_equal(fake.thawed_usec, START + 77);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 0 max 0 denied 0 throttled 0 throttledUSec 300");
        assert_string_equal(get_xattr("/c", XATTR_EVENTS), "high 0 max 0 denied 0 throttled 0 throttledUSec 500");
        assert_saved("10", SAVED(0, 0, 0, 0, 0, 300, -1, -1));
        assert_saved("20", SAVED(0, 0, 0, 0, 0, 500, -1, -1));
}

/* A flush thaws as well, and so does the end, which thaws everything. */
static void test_thaw_with_flush_and_end(void **state)
{
        (void) state;
        get(A);
        start();
        fake.thaws[0] = (struct thawed){ get(A), 300 };
        fake.thaw_count = 1;
        flush();
        assert_saved("10", SAVED(0, 0, 0, 0, 0, 300, -1, -1));
        fake.thaw_count = 1;
        manager_deinit(&manager);
        assert_true(fake.thawed_all);
        assert_saved("10", SAVED(0, 0, 0, 0, 0, 600, -1, -1));
}

static void test_next_thaw(void **state)
{
        (void) state;
        start();
        assert_int_equal(manager_next_thaw_usec(&manager), UINT64_MAX);
        fake.next_thaw_usec = 99;
        assert_int_equal(manager_next_thaw_usec(&manager), 99);
}

/* One warning, and only if a budget wants it. */
static void test_throttle_obstacle(void **state)
{
        (void) state;
        fake.enforce_obstacle = "no freezer";
        start();
        assert_string_equal(logged, "");
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nHigh=1M\nOnHigh=throttle\n");
        write_file("30-d.budget", "[Match]\nCgroup=/d\n[Budget]\nHigh=1M\nOnHigh=throttle\n");
        reload();
        assert_int_equal(count_logged("20-c.budget: OnHigh=throttle is not available (no freezer)"), 1);
        assert_int_equal(count_logged("\n"), 1);
        forget_log();
        restart();
        assert_int_equal(count_logged("OnHigh=throttle is not available"), 1);
        forget_log();
        fake.enforce_obstacle = NULL;
        reload();
        assert_string_equal(logged, "");
}

/* --- The gate ----------------------------------------------------------------------------------------------------- */

static void test_no_gate_without_deny(void **state)
{
        (void) state;
        start();
        assert_int_equal(fake.start_count, 0);
        assert_int_equal(fake.stop_count, 1);
        assert_null(manager.obstacle);
        assert_int_equal(manager_gate_fd(&manager), -1);
        fake.gate_event_count = 1;
        manager_take_gate(&manager);
        assert_int_equal(fake.gate_event_count, 1);
        assert_false(manager_wants_flush(&manager));
}

static void test_gate_opens_and_closes(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        start();
        assert_int_equal(fake.start_count, 1);
        assert_int_equal(fake.stop_count, 0);
        assert_null(manager.obstacle);
        assert_int_equal(manager_gate_fd(&manager), 77);
        assert_int_equal(fake.flush_count, 0);
        get(A);
        use(A, 5);
        flush();
        assert_int_equal(fake.flush_count, 1);
        assert_true(fake.flushed_before_changes);
        fake.admission_wants_flush = true;
        assert_true(manager_wants_flush(&manager));
        write_file("10-a.budget", BUDGET_A);
        reload();
        assert_int_equal(fake.stop_count, 1);
        assert_int_equal(manager_gate_fd(&manager), -1);
}

/* The second budget counts as well. */
static void test_any_budget_may_refuse(void **state)
{
        (void) state;
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        assert_int_equal(fake.start_count, 1);
}

static void test_gate_obstacle(void **state)
{
        (void) state;
        fake.obstacle = "no fmod_ret";
        write_file("20-c.budget", "[Match]\nCgroup=/c\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        assert_int_equal(fake.start_count, 0);
        assert_string_equal(manager.obstacle, "no fmod_ret");
        assert_int_equal(count_logged("20-c.budget: OnMax=deny is not available (no fmod_ret)"), 1);
        assert_int_equal(fake.walks, 0);
        forget_log();
        remove_file("20-c.budget");
        reload();
        assert_null(manager.obstacle);
        assert_string_equal(logged, "");
}

/* Strict=yes is about the start only. */
static void test_strict(void **state)
{
        (void) state;
        fake.obstacle = "no fmod_ret";
        write_file("10-a.budget", DENY_A);
        write_file("bpfbudgetd.conf", "[Daemon]\nStrict=yes\n");
        assert_int_equal(try_start(state_file, false), -EOPNOTSUPP);
        assert_int_equal(count_logged("<3>Strict=yes: the daemon does not run, because OnMax=deny is not available\n"),
                        1);
        manager_deinit(&manager);
        write_file("10-a.budget", BUDGET_A);
        start();
        forget_log();
        write_file("10-a.budget", DENY_A);
        reload();
        assert_string_equal(manager.obstacle, "no fmod_ret");
        assert_int_equal(count_logged("Strict"), 0);
}

static void test_gate_cannot_be_started(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        fake.start_error = -EIO;
        fake.obstacle_after = "another bpfbudgetd has it";
        start();
        assert_string_equal(manager.obstacle, "another bpfbudgetd has it");
        manager_deinit(&manager);
        fake.start_count = 0;
        fake.obstacle_after = NULL;
        start();
        assert_string_equal(manager.obstacle, "the gate cannot be loaded");
        assert_int_equal(count_logged("is not available (the gate cannot be loaded)"), 1);
        assert_int_equal(manager_gate_fd(&manager), -1);
}

static void test_no_gate_in_a_dry_run(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        assert_int_equal(try_start(state_file, true), 0);
        assert_int_equal(fake.start_count, 0);
        assert_int_equal(fake.stop_count, 0);
        assert_int_equal(fake.walks, 0);
}

/* Cgroups whose first object may be refused are known before; others are not. */
static void test_empty_cgroups_are_expected(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        write_file("20-c.budget", BUDGET_C);
        write_file("30-d.budget", "[Match]\nCgroup=/d\n[Budget]\nMax=1M\nOnMax=deny\n");
        get(A);
        start();
        /* Before the gate is loaded, and when it is. */
        assert_int_equal(fake.walks, 2);
        assert_int_equal(fake.flushes, 2);
        assert_int_equal(fake.watch_count, 0);
        assert_null(tree_find(&monitor.tree, C));
        assert_null(tree_find(&monitor.tree, D));
        /* The gate could not tell of some: all are looked at once more. */
        cgroups[4].gone = false;
        flush();
        assert_int_equal(fake.walks, 2);
        fake.untold = 1;
        flush();
        assert_int_equal(fake.walks, 3);
        assert_non_null(tree_find(&monitor.tree, D));
        assert_non_null(get(D)->policy);
        assert_int_equal(fake.watch_count, 1);
        assert_int_equal(fake.watched[0], D);
        flush();
        assert_int_equal(fake.walks, 3);
        fake.untold = 2;
        fake.walk_error = -EIO;
        flush();
        assert_int_equal(count_logged("Not all cgroups could be visited (Input/output error)"), 1);
}

static void make_cgroup_event(uint64_t id)
{
        fake.gate_events[0] = (struct gate_event){ .kind = GATE_CGROUP_NEW, .cgroup_id = id };
        fake.gate_event_count = 1;
        manager_take_gate(&manager);
        assert_int_equal(fake.gate_event_count, 0);
}

static void test_new_cgroup(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/d\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        cgroups[4].gone = false;
        make_cgroup_event(D);
        assert_non_null(tree_find(&monitor.tree, D));
        assert_int_equal(fake.watch_count, 1);
        assert_int_equal(fake.watched[0], D);
        /* Its limits are in force at once. */
        assert_int_equal(fake.set_count, 1);
        assert_int_equal(fake.set[0].id, D);
        assert_false(manager_wants_flush(&manager));
        make_cgroup_event(D);
        assert_int_equal(fake.watch_count, 1);
        make_cgroup_event(C);
        assert_null(tree_find(&monitor.tree, C));
        assert_int_equal(fake.watch_count, 1);
}

/* One that cannot be found yet is looked for with the next flushes, for a while. */
static void test_new_cgroup_is_found_later(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/d\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        make_cgroup_event(4711);
        make_cgroup_event(D);
        assert_true(manager_wants_flush(&manager));
        flush();
        assert_null(tree_find(&monitor.tree, D));
        cgroups[4].gone = false;
        flush();
        assert_non_null(tree_find(&monitor.tree, D));
        assert_int_equal(fake.watch_count, 1);
        for (int i = 2; i < 19; i++) {
                flush();
                assert_true(manager_wants_flush(&manager));
        }
        flush();
        assert_false(manager_wants_flush(&manager));
}

/* More than there is room for at first. */
static void test_many_new_cgroups(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/d\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        for (uint64_t id = 1000; id < 1100; id++)
                make_cgroup_event(id);
        make_cgroup_event(D);
        assert_int_equal(manager.new_cgroups.unfound_count, 101);
        cgroups[4].gone = false;
        flush();
        assert_non_null(tree_find(&monitor.tree, D));
        assert_int_equal(manager.new_cgroups.unfound_count, 100);
}

static void test_new_cgroup_without_memory(void **state)
{
        (void) state;
        write_file("10-a.budget", "[Match]\nCgroup=/d\n[Budget]\nMax=1M\nOnMax=deny\n");
        start();
        fake.reallocarray_fails = true;
        make_cgroup_event(D);
        assert_false(manager_wants_flush(&manager));
        assert_int_equal(count_logged("Out of memory: a new cgroup may exceed its Max"), 1);
        cgroups[4].gone = false;
        fake.callocs = 1;
        make_cgroup_event(D);
        assert_int_equal(count_logged("/d may exceed its Max until it has an object: out of memory"), 1);
        assert_false(manager_wants_flush(&manager));
}

/* The gate's count goes on without the daemon. */
static void test_denied_at_start(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        get(A);
        fake.domains[0].id = A;
        fake.domains[0].denied = 7;
        start();
        assert_int_equal(policy_of(A)->events.denied, 7);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 0 max 0 denied 7 throttled 0 throttledUSec 0");
        flush();
        assert_saved("10", SAVED(0, 0, 0, 7, 0, 0, -1, -1));
}

static struct gate_event a_refusal(void)
{
        return (struct gate_event){
                .domain = A,
                .cgroup_id = AB,
                .wanted = 111,
                .usage = 222,
                .max = 333,
                .kind = GATE_REFUSED_MAP,
                .resource = GATE_ALLOCATED,
                .type = 9,
                .pid = 44,
                .name = "flows_with_name", /* and no more */
                .comm = "agent",
        };
}

static void refuse(struct gate_event event)
{
        fake.gate_events[0] = event;
        fake.gate_event_count = 1;
        manager_take_gate(&manager);
}

static void test_refusal(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        get(A);
        start();
        flush();
        fake.domains[0].id = A;
        fake.domains[0].denied = 1;
        refuse(a_refusal());

        assert_int_equal(fake.event_count, 1);
        assert_ptr_equal(fake.sink_context, &sink_context);
        assert_int_equal(fake.events[0].kind, EVENT_REFUSAL);
        assert_ptr_equal(fake.events[0].cgroup, get(A));
        assert_ptr_equal(fake.events[0].policy, policy_of(A));
        assert_int_equal(fake.events[0].usage, 222);
        assert_int_equal(fake.events[0].limit, LIMIT_MAX);
        assert_int_equal(fake.events[0].pid, 44);
        assert_string_equal(fake.events[0].comm, "agent");
        assert_int_equal(fake.events[0].object.kind, OBJECT_MAP);
        assert_int_equal(fake.events[0].object.type, 9);
        assert_string_equal(fake.events[0].object.name, "flows_with_name");
        assert_int_equal(fake.events[0].size, 111);

        assert_int_equal(fake.refusal_count, 1);
        assert_ptr_equal(fake.refusals[0].cgroup, get(A));
        /* It had nothing before, and is watched from now on. */
        assert_ptr_equal(fake.refusals[0].grower, get(AB));
        assert_int_equal(fake.watch_count, 1);
        assert_int_equal(fake.watched[0], AB);
        assert_false(fake.refusals[0].growth);
        assert_int_equal(fake.refusals[0].used, 222);
        assert_int_equal(fake.refusals[0].max, 333);
        assert_int_equal(fake.emitted, 1);
        assert_int_equal(fake.refusals[0].suppressed, 0);
        /* The alert has the count with this one. */
        assert_int_equal(policy_of(A)->events.denied, 1);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 0 max 0 denied 1 throttled 0 throttledUSec 0");
        assert_int_equal(fake.domain_reads, 2);
        flush();
        assert_int_equal(fake.domain_reads, 2);
        assert_string_equal(logged, "");
        refuse(a_refusal());
        assert_ptr_equal(fake.refusals[1].grower, get(AB));
        assert_int_equal(fake.watch_count, 1);
}

/* Each resource is a limit; what is about a number has no size, and the usage of now. */
static void test_refused_resources(void **state)
{
        static const struct {
                enum gate_resource resource;
                enum gate_event_kind kind;
                enum budget_limit limit;
                enum object_kind object;
                uint64_t usage, size;
        } cases[] = {
                { GATE_ALLOCATED, GATE_REFUSED_GROWTH, LIMIT_MAX, OBJECT_MAP, 222, 111 },
                { GATE_ALLOCATED, GATE_KILLED_BATCH, LIMIT_MAX, OBJECT_MAP, 222, 111 },
                { GATE_CHARGED, GATE_REFUSED_PROGRAM, LIMIT_MAX, OBJECT_PROGRAM, 222, 111 },
                { GATE_MAPS, GATE_REFUSED_MAP, LIMIT_MAPS, OBJECT_MAP, 500, 0 },
                { GATE_PROGRAMS, GATE_REFUSED_PROGRAM, LIMIT_PROGRAMS, OBJECT_PROGRAM, 500, 0 },
                { GATE_COMMITTED, GATE_REFUSED_MAP, LIMIT_MAX, OBJECT_MAP, 222, 111 },
                { GATE_UNBOUNDED, GATE_REFUSED_MAP, LIMIT_UNBOUNDED, OBJECT_MAP, 500, 0 },
        };

        (void) state;
        write_file("10-a.budget", DENY_A);
        start();
        use_and_flush(A, 500);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct gate_event event = a_refusal();

                event.resource = cases[i].resource;
                event.kind = cases[i].kind;
                refuse(event);
                assert_int_equal(fake.event_count, i + 1);
                assert_int_equal(fake.events[i].limit, cases[i].limit);
                assert_int_equal(fake.events[i].object.kind, cases[i].object);
                assert_int_equal(fake.events[i].usage, cases[i].usage);
                assert_int_equal(fake.events[i].size, cases[i].size);
                assert_int_equal(fake.events[i].growth,
                                cases[i].kind == GATE_REFUSED_GROWTH || cases[i].kind == GATE_KILLED_BATCH);
                assert_int_equal(fake.events[i].killed, cases[i].kind == GATE_KILLED_BATCH);
                assert_int_equal(fake.events[i].used, 222);
        }
}

/* A loader that tries again and again: alerts are limited, events for subscribers are not, and the count is read. */
static void test_refusals_are_limited(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        write_file("bpfbudgetd.conf", ONE_A_MINUTE);
        get(A);
        start();
        flush();
        fake.domains[0].id = A;
        for (int i = 1; i <= 5; i++) {
                fake.domains[0].denied = i;
                refuse(a_refusal());
        }
        assert_int_equal(fake.refusal_count, 1);
        assert_int_equal(fake.event_count, 5);
        assert_int_equal(policy_of(A)->events.denied, 1);
        flush();
        assert_int_equal(policy_of(A)->events.denied, 5);
        assert_string_equal(get_xattr("/a", XATTR_EVENTS), "high 0 max 0 denied 5 throttled 0 throttledUSec 0");
        /* It is not read before there is another one. */
        fake.domains[0].denied = 6;
        use_and_flush(A, 1);
        assert_int_equal(policy_of(A)->events.denied, 5);
        fake.now += 60 * SECOND;
        refuse(a_refusal());
        assert_int_equal(fake.refusal_count, 2);
        assert_int_equal(fake.refusals[1].suppressed, 4);
}

/* The count only grows. */
static void test_denied_does_not_fall(void **state)
{
        (void) state;
        write_file("10-a.budget", DENY_A);
        write_file("events.json", "{\"10\": " SAVED(0, 0, 0, 9, 0, 0, -1, -1) "}");
        get(A);
        fake.domains[0].id = A;
        fake.domains[0].denied = 3;
        start();
        flush();
        assert_int_equal(policy_of(A)->events.denied, 9);
        fake.domains[0].denied = 9;
        restart();
        flush();
        assert_int_equal(policy_of(A)->events.denied, 9);
        assert_int_equal(fake.xattr_writes, 0);
        assert_int_equal(manager_due_usec(&manager), UINT64_MAX);
}

static void test_refusals_of_nobody(void **state)
{
        struct gate_event event = a_refusal();

        (void) state;
        write_file("10-a.budget", DENY_A);
        get(A);
        get(C);
        start();
        event.resource = GATE_RESOURCES;
        refuse(event);
        event.resource = GATE_MAPS;
        event.domain = C;
        refuse(event);
        event.domain = 4711;
        refuse(event);
        assert_int_equal(fake.event_count, 0);
        assert_int_equal(fake.refusal_count, 0);
}

static void test_refusal_in_a_gone_cgroup(void **state)
{
        struct gate_event event = a_refusal();

        (void) state;
        write_file("10-a.budget", DENY_A);
        get(A);
        start();
        event.cgroup_id = 4711;
        refuse(event);
        assert_int_equal(fake.refusal_count, 1);
        assert_null(fake.refusals[0].grower);
        assert_int_equal(fake.watch_count, 0);
}

/* A record that this version does not know says nothing; names need not end with a zero. */
static void test_unknown_refusals(void **state)
{
        struct gate_event event = a_refusal();

        (void) state;
        write_file("10-a.budget", DENY_A);
        get(A);
        start();
        event.kind = GATE_REFUSED_MAP - 1;
        refuse(event);
        event.kind = GATE_KILLED_BATCH + 1;
        refuse(event);
        event.kind = GATE_REFUSED_MAP;
        event.resource = GATE_RESOURCES;
        refuse(event);
        assert_int_equal(fake.emitted, 0);
        event.resource = GATE_PROGRAMS;
        memcpy(event.comm, "sixteen_letters_", sizeof(event.comm));
        refuse(event);
        assert_int_equal(fake.refusal_count, 1);
        assert_string_equal(fake.refusals[0].comm, "sixteen_letters_");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_levels_are_reported),
                TEST(test_subtree_counts),
                TEST(test_charged_bytes),
                TEST(test_count_over_high),
                TEST(test_cause),
                TEST(test_no_cause),
                TEST(test_first_cause),
                TEST(test_held_alert),
                TEST(test_last_of_the_held),
                TEST(test_max_is_not_held),
                TEST(test_held_of_two_cgroups),
                TEST(test_held_keeps_the_earliest),
                TEST(test_reload_with_a_held_alert),
                TEST(test_burst),
                TEST(test_owner_lowers_by_xattr),
                TEST(test_owner_cannot_raise),
                TEST(test_xattr_in_percent),
                TEST(test_xattr_changes),
                TEST(test_xattr_nonsense),
                TEST(test_xattr_wrong),
                TEST(test_xattr_warnings_are_bounded),
                TEST(test_unused_xattrs),
                TEST(test_xattr_sizes),
                TEST(test_ratio_over_nothing),
                TEST(test_xattrs_of_a_gone_cgroup),
                TEST(test_lowered_limits),
                TEST(test_lowered_max_alone),
                TEST(test_lowered_and_xattr),
                TEST(test_lowering_without_memory),
                TEST(test_budget_of_a_new_cgroup),
                TEST(test_max_of_nothing),
                TEST(test_budget_by_owner),
                TEST(test_user_root),
                TEST(test_no_path),
                TEST(test_budget_without_memory),
                TEST(test_events_on_the_cgroup),
                TEST(test_dry_run_writes_nothing),
                TEST(test_restart),
                TEST(test_restart_of_a_later_cgroup),
                TEST(test_file_of_what_is_gone),
                TEST(test_file_without_lowered_limits),
                TEST(test_damaged_files),
                TEST(test_several_entries),
                TEST(test_damaged_entries),
                TEST(test_loading_without_memory),
                TEST(test_xattr_has_what_came_since),
                TEST(test_xattr_of_others_is_ignored),
                TEST(test_crash_after_a_level),
                TEST(test_when_the_file_is_written),
                TEST(test_file_after_thaw_and_end),
                TEST(test_file_cannot_be_written),
                TEST(test_file_cannot_be_replaced),
                TEST(test_no_file),
                TEST(test_gone_cgroup),
                TEST(test_gone_cgroup_without_events),
                TEST(test_forgotten_cgroup),
                TEST(test_budget_goes),
                TEST(test_reload_with_other_limits),
                TEST(test_reload_without_memory),
                TEST(test_end),
                TEST(test_look_again),
                TEST(test_look_again_where_it_is_charged),
                TEST(test_holders),
                TEST(test_needs_rss),
                TEST(test_pause),
                TEST(test_pause_without_alert),
                TEST(test_pause_in_a_dry_run),
                TEST(test_no_pause_for_what_was_there),
                TEST(test_no_start_without_enforce),
                TEST(test_thaw),
                TEST(test_thaw_with_flush_and_end),
                TEST(test_next_thaw),
                TEST(test_throttle_obstacle),
                TEST(test_no_gate_without_deny),
                TEST(test_gate_opens_and_closes),
                TEST(test_any_budget_may_refuse),
                TEST(test_gate_obstacle),
                TEST(test_strict),
                TEST(test_gate_cannot_be_started),
                TEST(test_no_gate_in_a_dry_run),
                TEST(test_empty_cgroups_are_expected),
                TEST(test_new_cgroup),
                TEST(test_new_cgroup_is_found_later),
                TEST(test_many_new_cgroups),
                TEST(test_new_cgroup_without_memory),
                TEST(test_denied_at_start),
                TEST(test_refusal),
                TEST(test_refused_resources),
                TEST(test_refusals_are_limited),
                TEST(test_denied_does_not_fall),
                TEST(test_refusals_of_nobody),
                TEST(test_refusal_in_a_gone_cgroup),
                TEST(test_unknown_refusals),
        };

        return cmocka_run_group_tests_name("manager", tests, NULL, NULL);
}
