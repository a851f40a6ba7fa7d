/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the journal is sent, field by field. */
#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "base/log.h"
#include "base/messages.h"
#include "kernel/process.h"
#include "serve/alert.h"

#include "fake-cgroups.h"
#include "fake-kernel.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)

#define ROOT    1
#define A       10
#define UNIT    11
#define SERVICE 77
#define C       20

/* They never change, so they are not those of base/messages.h. */
#define HIGH_ID      "c570d457cacf49c5a4e01e1985aa493e"
#define MAX_ID       "dda326b36cb048359238f145b8ae605e"
#define CLEAR_ID     "4969eae01ee449faa597c5903b2cf77d"
#define EASED_ID     "764750921aad4f78b76f82cdca417f52"
#define THROTTLED_ID "c6f7bec2685746d4987612749c1424c8"
#define DENIED_ID    "60e2a96862874c56857233fff960dd75"
#define FILL_ID      "8aba853496b54299b912cce5e30a5923"
#define ORPHANS_ID   "a7d694fdcb354c4996e120464a379382"

/* --- The journal -------------------------------------------------------------------------------------------------- */

static unsigned int entries, n;        /* that were sent, and fields of the last one */
static char sent[32][8192];            /* the latter */
static unsigned int failing_vasprintf; /* counted down; 0: none fails */
static char logged[8192];
static int logged_priority;

int __real_vasprintf(char **text, const char *format, va_list ap);
int __wrap_vasprintf(char **text, const char *format, va_list ap);
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list ap);

int __wrap_vasprintf(char **text, const char *format, va_list ap)
{
        if (failing_vasprintf > 0 && --failing_vasprintf == 0)
                return -1;
        return __real_vasprintf(text, format, ap);
}

/* With _FORTIFY_SOURCE. */
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list ap)
{
        (void) flag;
        return __wrap_vasprintf(text, format, ap);
}

/* Process 7 has one, others have not. */
char *read_build_id(uint32_t pid, char buffer[BUILD_ID_MAX])
{
        strcpy(buffer, pid == 7 ? "0123abcd" : "");
        return buffer;
}

char *read_exe(uint32_t pid)
{
        (void) pid;
        return NULL;
}

static void add_sent(const char *text, size_t length)
{
        assert_true(n < 32 && length < sizeof(sent[n]));
        memcpy(sent[n], text, length);
        sent[n][length] = '\0';
        assert_int_equal(strlen(sent[n]), length);
        n++;
}

/* The manual lists the text, with this id and this priority. */
static void assert_listed(const char *field, int priority, const char *text)
{
        static const struct {
                const char *id;
                int priority;
                const char *pattern;
        } listed[] = {
#define LISTED(message_id, severity, text_pattern) { message_id, severity, text_pattern },
                BPFBUDGET_MESSAGES(LISTED)
        };
        const char *dry = "(dry run) ";

        if (strncmp(text, dry, strlen(dry)) == 0)
                text += strlen(dry);
        for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
                if (strcmp(field, listed[i].id) == 0 && priority == listed[i].priority &&
                                fnmatch(listed[i].pattern, text, FNM_NOESCAPE) == 0)
                        return;
        fail_msg("daemon/messages.txt does not list, with %s and priority %d: %s", field, priority, text);
}

void log_entry(int priority, const char *text, struct iovec *fields, size_t count)
{
        char own[sizeof(sent[0])];

        entries++;
        n = 0;
        assert_true(strlen(text) + 1 < LOG_LINE_SIZE);
        add_sent(own, snprintf(own, sizeof(own), "MESSAGE=%s", text));
        add_sent(own, snprintf(own, sizeof(own), "PRIORITY=%d", priority));
        assert_memory_equal(fields[0].iov_base, "MESSAGE_ID=", strlen("MESSAGE_ID="));
        snprintf(own, sizeof(own), "%.*s", (int) fields[0].iov_len, (char *) fields[0].iov_base);
        assert_listed(own + strlen("MESSAGE_ID="), priority, text);
        for (size_t i = 0; i < count; i++) {
                add_sent(fields[i].iov_base, fields[i].iov_len);
                free(fields[i].iov_base);
        }
        free(fields);
}

void log_message(int priority, const char *format, ...)
{
        va_list ap;

        logged_priority = priority;
        va_start(ap, format);
        vsnprintf(logged, sizeof(logged), format, ap);
        va_end(ap);
}

/* The last entry has the field @name once, with @value. */
static void assert_field(const char *name, const char *value)
{
        size_t length = strlen(name);
        unsigned int count = 0;

        for (unsigned int i = 0; i < n; i++)
                if (strncmp(sent[i], name, length) == 0 && sent[i][length] == '=') {
                        assert_string_equal(sent[i] + length + 1, value);
                        count++;
                }
        if (count != 1)
                fail_msg("%s is there %u times", name, count);
}

static void assert_no_field(const char *name)
{
        size_t length = strlen(name);

        for (unsigned int i = 0; i < n; i++)
                assert_false(strncmp(sent[i], name, length) == 0 && sent[i][length] == '=');
}

/* --- What it is about --------------------------------------------------------------------------------------------- */

static struct fake_cgroup cgroups[] = { { A, ROOT, "/a", false }, { SERVICE, A, "/a/agent.service", false },
        { UNIT, SERVICE, "/a/agent.service/inner", false }, { C, ROOT, "/c", false } };
static struct fake_hierarchy hierarchy = { .cgroups = cgroups, .count = 4 };
static struct tree tree;
static struct ledger ledger;
static struct budget budget = { .name = (char *) "agents" };
static struct policy policy;

static int setup(void **state)
{
        (void) state;
        entries = n = failing_vasprintf = 0;
        logged[0] = '\0';
        logged_priority = -1;
        policy = (struct policy){ .budget = &budget,
                .high = MIB,
                .max = 2 * MIB,
                .events = { .denied = 71, .throttled = 72, .throttled_usec = 73 } };
        if (tree_init(&tree, ROOT, fake_lookup, &hierarchy) < 0)
                return -1;
        ledger_init(&ledger, &tree);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        ledger_deinit(&ledger);
        tree_deinit(&tree);
        return 0;
}

static struct cgroup *get(uint64_t id)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&tree, id, &cgroup), 0);
        cgroup->policy = &policy;
        return cgroup;
}

static void put(uint64_t cgroup, uint32_t kind, uint32_t id, const char *name, uint64_t allocated)
{
        struct object_record record = {
                .kind = kind,
                .id = id,
                .address = id,
                .cgroup_id = cgroup,
                .allocated = allocated,
                .allocated_min = allocated,
                .charged = 100 * MIB - allocated, /* another order */
        };

        memcpy(record.name, name, strnlen(name, sizeof(record.name)));
        assert_int_equal(ledger_put(&ledger, &record), LEDGER_NEW);
}

static struct budget_event a_change(enum budget_level from, enum budget_level to, enum budget_limit limit)
{
        return (struct budget_event){
                .kind = EVENT_STATE,
                .cgroup = get(A),
                .policy = &policy,
                .payer = get(A),
                .from = from,
                .to = to,
                .limit = limit,
                .usage = 3 * MIB,
                .delta = 5,
        };
}

/* --- Changes of level --------------------------------------------------------------------------------------------- */

static void test_each_change(void **state)
{
        static const struct {
                enum budget_level from, to;
                enum budget_limit limit;
                const char *id, *priority, *state, *name, *text;
        } cases[] = {
                { LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH, HIGH_ID, "4", "high", "High", "is over High of budget agents" },
                { LEVEL_OK, LEVEL_HIGH, LIMIT_FOOTPRINT_RATIO, HIGH_ID, "4", "high", "FootprintRatioHigh",
                                "is over FootprintRatioHigh of budget agents" },
                { LEVEL_OK, LEVEL_MAX, LIMIT_MAX, MAX_ID, "3", "max", "Max", "is over Max of budget agents" },
                { LEVEL_HIGH, LEVEL_MAX, LIMIT_MAPS, MAX_ID, "3", "max", "MapsMax",
                                "is over MapsMax of budget agents" },
                { LEVEL_HIGH, LEVEL_MAX, LIMIT_PROGRAMS, MAX_ID, "3", "max", "ProgramsMax",
                                "is over ProgramsMax of budget agents" },
                { LEVEL_MAX, LEVEL_HIGH, LIMIT_HIGH, EASED_ID, "5", "high", "High",
                                "is below Max but still over High of budget agents" },
                { LEVEL_MAX, LEVEL_OK, LIMIT_MAX, CLEAR_ID, "5", "ok", "Max", "is within the limits of budget agents" },
                { LEVEL_HIGH, LEVEL_OK, LIMIT_HIGH, CLEAR_ID, "5", "ok", "High",
                                "is within the limits of budget agents" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct budget_event alert = a_change(cases[i].from, cases[i].to, cases[i].limit);
                char text[256];

                assert_int_equal(alert_send(&alert, &ledger), 0);
                assert_int_equal(entries, i + 1);
                assert_field("MESSAGE_ID", cases[i].id);
                assert_field("PRIORITY", cases[i].priority);
                assert_field("BPFBUDGET_STATE", cases[i].state);
                assert_field("BPFBUDGET_LIMIT", cases[i].name);
                snprintf(text, sizeof(text), "/a: BPF memory %s: 3.0M (High 1.0M, Max 2.0M)", cases[i].text);
                assert_field("MESSAGE", text);
        }
        assert_string_equal(logged, "");
}

static void test_all_fields(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        (void) state;
        put(A, OBJECT_MAP, 1, "flows", MIB + MIB / 2);
        alert.cgroup = get(A);
        alert.delta = -6;
        alert.pid = 7;
        alert.comm = "fifteen_letters";
        alert.dry_run = true;
        alert.suppressed = 9;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "(dry run) /a: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M); "
                        "largest: map flows (1.5M); growth by fifteen_letters; 9 earlier messages were suppressed");
        assert_field("CGROUP", "/a");
        assert_no_field("OBJECT_SYSTEMD_UNIT");
        assert_field("BPFBUDGET_BUDGET", "agents");
        assert_field("BPFBUDGET_HIGH", "1048576");
        assert_field("BPFBUDGET_MAX", "2097152");
        assert_field("BPFBUDGET_USAGE", "3145728");
        assert_field("BPFBUDGET_DELTA", "-6");
        assert_field("BPFBUDGET_TOP", "map flows (1.5M)");
        assert_field("BPFBUDGET_SUPPRESSED", "9");
        assert_field("BPFBUDGET_PID", "7");
        assert_field("BPFBUDGET_COMM", "fifteen_letters");
        assert_field("BPFBUDGET_BUILD_ID", "0123abcd");
        assert_int_equal(n, 16);
}

/* The line is short enough to be read, with as many of the largest objects as fit; the field has all. */
static void test_line_that_fits(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        (void) state;
        put(A, OBJECT_MAP, 1, "fifteen_letters", 3 * MIB);
        put(A, OBJECT_MAP, 2, "15_letters_also", 2 * MIB);
        put(A, OBJECT_MAP, 3, "fifteen_again_x", MIB);
        alert.cgroup = get(A);
        alert.pid = 7;
        alert.comm = "fifteen_letters";
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "/a: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M); largest: map "
                        "fifteen_letters (3.0M), map 15_letters_also (2.0M), map fifteen_again_x (1.0M); growth by "
                        "fifteen_letters");
        alert.suppressed = 9;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "/a: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M); largest: map "
                        "fifteen_letters (3.0M), map 15_letters_also (2.0M); growth by fifteen_letters; 9 earlier "
                        "messages were suppressed");
        assert_field("BPFBUDGET_TOP",
                        "map fifteen_letters (3.0M), map 15_letters_also (2.0M), map fifteen_again_x (1.0M)");
}

/* People know a workload by its name, and journalctl finds it by that. */
static void test_workload(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);
        struct workload workload = {
                .kind = WORKLOAD_CONTAINER,
                .pod_uid = (char *) "7cf1",
                .container_id = (char *) "0123",
                .pod = (char *) "kube-system/cilium-x7k",
                .container = (char *) "cilium-agent",
        };
        struct cgroup *cgroup = get(A);

        (void) state;
        cgroup->workload = &workload;
        alert.cgroup = cgroup;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "kube-system/cilium-x7k/cilium-agent: BPF memory is over High of budget agents: 3.0M (High "
                        "1.0M, Max 2.0M)");
        assert_field("CGROUP", "/a");
        assert_field("BPFBUDGET_NAMESPACE", "kube-system");
        assert_field("BPFBUDGET_POD", "cilium-x7k");
        assert_field("BPFBUDGET_POD_UID", "7cf1");
        assert_field("BPFBUDGET_CONTAINER", "cilium-agent");
        assert_field("BPFBUDGET_CONTAINER_ID", "0123");
        assert_no_field("BPFBUDGET_MACHINE");
        workload = (struct workload){ .kind = WORKLOAD_MACHINE, .machine = (char *) "web" };
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("BPFBUDGET_MACHINE", "web");
        assert_no_field("BPFBUDGET_POD");
        workload = (struct workload){ .kind = WORKLOAD_POD, .pod_uid = (char *) "7cf1" };
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE", "/a: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M)");
        assert_no_field("BPFBUDGET_NAMESPACE");
        /* The message is plain text, whatever the name is; the field has its bytes. */
        workload = (struct workload){ .kind = WORKLOAD_MACHINE, .machine = (char *) "w\nb" };
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE", "w?b: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M)");
        assert_field("BPFBUDGET_MACHINE", "w\nb");
        cgroup->workload = NULL;
}

/* What is not known, and what is not set. */
static void test_nothing_known(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        (void) state;
        policy.high = policy.max = BUDGET_INFINITY;
        for (int i = 0; i < 2; i++) {
                alert.comm = i ? "agent" : NULL;
                assert_int_equal(alert_send(&alert, &ledger), 0);
                assert_field("MESSAGE",
                                "/a: BPF memory is over High of budget agents: 3.0M (High infinity, Max infinity)");
                assert_field("BPFBUDGET_HIGH", "infinity");
                assert_field("BPFBUDGET_MAX", "infinity");
                assert_field("BPFBUDGET_TOP", "none");
                assert_field("BPFBUDGET_SUPPRESSED", "0");
                assert_field("BPFBUDGET_PID", "unknown");
                assert_field("BPFBUDGET_COMM", "unknown");
                assert_no_field("BPFBUDGET_BUILD_ID");
                assert_int_equal(n, 15);
        }
        /* A process without a build id. */
        alert.pid = 8;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("BPFBUDGET_PID", "8");
        assert_no_field("BPFBUDGET_BUILD_ID");
}

/* Sends an alert about a cgroup of that path. */
static void send_about(const char *path)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);
        struct cgroup cgroup = { .id = C, .path = (char *) path, .policy = &policy };

        alert.cgroup = &cgroup;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("CGROUP", path);
}

static void test_unit(void **state)
{
        (void) state;
        send_about("/a.slice/agent.service/inner");
        assert_field("OBJECT_SYSTEMD_UNIT", "agent.service");
        assert_no_field("OBJECT_SYSTEMD_USER_UNIT");
        send_about("/user.slice/user-7.slice/user@7.service/app.slice/agent.service/inner");
        assert_field("OBJECT_SYSTEMD_UNIT", "user@7.service");
        assert_field("OBJECT_SYSTEMD_USER_UNIT", "agent.service");
}

/* Whoever has a cgroup below it has no say in which journal its entries are. */
static void test_forged_unit(void **state)
{
        (void) state;
        send_about("/x/user.slice/sshd.service");
        assert_no_field("OBJECT_SYSTEMD_UNIT");
        assert_no_field("OBJECT_SYSTEMD_USER_UNIT");
        send_about("/system.slice/docker-1.scope/system.slice/sshd.service");
        assert_field("OBJECT_SYSTEMD_UNIT", "docker-1.scope");
        send_about("/x/user@7.service/sshd.service");
        assert_no_field("OBJECT_SYSTEMD_USER_UNIT");
}

/* A path of any length hides nothing of what happened to its cgroup, in none of the messages; its end is shown. */
static void test_long_path(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);
        struct budget_event pause = { .kind = EVENT_THROTTLE, .policy = &policy, .usage = MIB + 1 };
        struct budget_event refusal = { .kind = EVENT_REFUSAL, .policy = &policy, .limit = LIMIT_MAX, .max = MIB };
        struct cgroup cgroup = { .id = C, .policy = &policy, .exists = true }, payer = { .id = A, .policy = &policy };
        static char path[4096], above[4096];
        const char *message = sent[0];

        (void) state;
        memset(path, 'x', sizeof(path));
        memcpy(path, "/first", 6);
        strcpy(path + sizeof(path) - 7, "/inner");
        memcpy(above, path, sizeof(path));
        memcpy(above + sizeof(path) - 7, "/outer", 6);
        cgroup.path = path;
        payer.path = above;
        alert.cgroup = pause.cgroup = refusal.grower = &cgroup;
        pause.payer = refusal.cgroup = &payer;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("CGROUP", path);
        assert_int_equal(strncmp(message, "MESSAGE=/firstxxx", 17), 0);
        assert_non_null(strstr(message, "xxx…xxx"));
        assert_non_null(strstr(
                        message, "xxx/inner: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M)"));
        assert_int_equal(alert_send(&pause, &ledger), 0);
        assert_field("CGROUP", path);
        assert_field("BPFBUDGET_CGROUP", above);
        assert_non_null(strstr(message, "xxx/inner grew by 0B of BPF memory over High of budget agents of /firstx"));
        assert_non_null(strstr(message, "xxx/outer: paused for 0 ms ("));
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("CGROUP", path);
        assert_non_null(strstr(message, "xxx/inner: (unknown) was refused the creation of map"));
        assert_non_null(strstr(message, "xxx/outer is 1.0M, 0B in use"));
        /* One that is gone, and what is above it. */
        alert.to = LEVEL_OK;
        cgroup.exists = false;
        cgroup.left = MIB;
        cgroup.parent = &payer;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_non_null(strstr(message, "xxx/inner, of budget agents, is gone; 1.0M of its BPF memory remain, in /f"));
        assert_non_null(strstr(message, "xxx/outer"));
        assert_field("CGROUP", path);
}

static void test_no_path(void **state)
{
        struct cgroup cgroup = { .id = C, .policy = &policy };
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        (void) state;
        alert.cgroup = &cgroup;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("CGROUP", "");
        assert_field("MESSAGE", "(unknown): BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M)");
}

static void send_and_check_top(const char *top)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("BPFBUDGET_TOP", top);
}

/* The three largest of the subtree, in falling order, in whatever order they came. */
static void test_largest_objects(void **state)
{
        (void) state;
        put(A, OBJECT_MAP, 1, "second", 20 * KIB);
        send_and_check_top("map second (20.0K)");
        put(UNIT, OBJECT_PROGRAM, 1, "first", 30 * KIB);
        send_and_check_top("program first (30.0K), map second (20.0K)");
        put(A, OBJECT_MAP, 3, "fourth", 5 * KIB);
        put(C, OBJECT_MAP, 4, "anothers", 100 * KIB);
        put(ROOT, OBJECT_MAP, 5, "above", 100 * KIB);
        send_and_check_top("program first (30.0K), map second (20.0K), map fourth (5.0K)");
        put(A, OBJECT_MAP, 6, "third", 10 * KIB);
        send_and_check_top("program first (30.0K), map second (20.0K), map third (10.0K)");
        put(A, OBJECT_MAP, 7, "sixteen_letters_", 40 * KIB);
        send_and_check_top("map sixteen_letters_ (40.0K), program first (30.0K), map second (20.0K)");
}

/* Of equal ones those that came first are named. */
static void test_equal_objects(void **state)
{
        (void) state;
        put(A, OBJECT_MAP, 1, "one", KIB);
        put(A, OBJECT_MAP, 2, "two", KIB);
        put(A, OBJECT_MAP, 3, "three", KIB);
        put(A, OBJECT_MAP, 4, "four", KIB);
        send_and_check_top("map one (1.0K), map two (1.0K), map three (1.0K)");
}

/* A cgroup that was removed is not within anything: what it left behind is named, and where. */
static void test_gone(void **state)
{
        struct budget_event alert = a_change(LEVEL_MAX, LEVEL_OK, LIMIT_MAX);
        struct cgroup *cgroup = get(A);

        (void) state;
        cgroup->exists = false;
        cgroup->left = 6 * MIB;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE", "/a, of budget agents, is gone; 6.0M of its BPF memory remain, in /");
        assert_field("BPFBUDGET_LEFT", "6291456");
        assert_field("MESSAGE_ID", CLEAR_ID);
        cgroup->left = 0;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE", "/a, of budget agents, is gone, and its BPF memory");
        assert_field("BPFBUDGET_LEFT", "0");
}

/* --- Without memory ----------------------------------------------------------------------------------------------- */

/* An entry that lacks a field is not sent. */
static void test_no_memory(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_HIGH);

        (void) state;
        for (unsigned int i = 1; i <= 13; i++) {
                failing_vasprintf = i;
                logged[0] = '\0';
                assert_int_equal(alert_send(&alert, &ledger), -ENOMEM);
                assert_int_equal(entries, 0);
                assert_string_equal(logged, "/a: BPF memory is over High of budget agents: 3.0M (High 1.0M, Max 2.0M)");
                assert_int_equal(logged_priority, LOG_WARNING);
        }
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void test_pause(void **state)
{
        struct budget_event alert = {
                .kind = EVENT_THROTTLE,
                .cgroup = get(UNIT),
                .policy = &policy,
                .payer = get(A),
                .usage = 3 * MIB,
                .dry_run = true,
                .suppressed = 6,
                .pid = 7,
                .comm = "agent",
                .delta = 4 * KIB,
                .pause_usec = 56789,
        };

        (void) state;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "(dry run) /a/agent.service/inner grew by 4.0K of BPF memory over High of budget agents of /a: "
                        "paused for 56 ms (3.0M in use, High 1.0M); growth by agent; 6 earlier pauses were not "
                        "reported");
        assert_field("MESSAGE_ID", THROTTLED_ID);
        assert_field("PRIORITY", "4");
        assert_field("CGROUP", "/a/agent.service/inner");
        assert_no_field("OBJECT_SYSTEMD_UNIT");
        assert_field("BPFBUDGET_CGROUP", "/a");
        assert_field("BPFBUDGET_BUDGET", "agents");
        assert_field("BPFBUDGET_HIGH", "1048576");
        assert_field("BPFBUDGET_USAGE", "3145728");
        assert_field("BPFBUDGET_DELTA", "4096");
        assert_field("BPFBUDGET_PAUSE_USEC", "56789");
        assert_field("BPFBUDGET_THROTTLED", "72");
        assert_field("BPFBUDGET_THROTTLED_USEC", "73");
        assert_field("BPFBUDGET_SUPPRESSED", "6");
        assert_field("BPFBUDGET_PID", "7");
        assert_field("BPFBUDGET_COMM", "agent");
        assert_field("BPFBUDGET_BUILD_ID", "0123abcd");
        assert_int_equal(n, 16);
}

/* By its own budget, and by nobody that is known. */
static void test_pause_by_own_budget(void **state)
{
        struct budget_event alert = {
                .kind = EVENT_THROTTLE,
                .cgroup = get(A),
                .policy = &policy,
                .payer = get(A),
                .usage = MIB,
                .delta = KIB,
                .pause_usec = 1000,
        };

        (void) state;
        policy.high = BUDGET_INFINITY;
        for (int i = 0; i < 2; i++) {
                alert.comm = i ? "agent" : NULL;
                assert_int_equal(alert_send(&alert, &ledger), 0);
                assert_field("MESSAGE",
                                "/a grew by 1.0K of BPF memory over High of budget agents: paused for 1 ms (1.0M in "
                                "use, High infinity)");
                assert_field("BPFBUDGET_HIGH", "infinity");
                assert_field("BPFBUDGET_SUPPRESSED", "0");
                assert_field("BPFBUDGET_PID", "unknown");
                assert_no_field("OBJECT_SYSTEMD_UNIT");
        }
        failing_vasprintf = 1;
        assert_int_equal(alert_send(&alert, &ledger), -ENOMEM);
        assert_int_equal(logged_priority, LOG_WARNING);
}

static void test_pause_without_paths(void **state)
{
        struct cgroup cgroup = { .id = C }, payer = { .id = A };
        struct budget_event alert = {
                .kind = EVENT_THROTTLE,
                .cgroup = &cgroup,
                .policy = &policy,
                .payer = &payer,
                .usage = MIB,
                .delta = KIB,
        };

        (void) state;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "(unknown) grew by 1.0K of BPF memory over High of budget agents of (unknown): paused for 0 ms "
                        "(1.0M in use, High 1.0M)");
        assert_field("CGROUP", "");
        assert_field("BPFBUDGET_CGROUP", "");
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

static struct budget_event a_refusal(void)
{
        return (struct budget_event){
                .kind = EVENT_REFUSAL,
                .cgroup = get(A),
                .policy = &policy,
                .payer = get(A),
                .pid = 7,
                .comm = "agent",
                .limit = LIMIT_MAX,
                .object = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_HASH, .name = "flows" },
                .size = 512 * KIB,
                .used = MIB,
                .max = MIB + MIB / 4,
        };
}

static void test_refusal(void **state)
{
        struct budget_event refusal = a_refusal();

        (void) state;
        refusal.grower = get(UNIT);
        refusal.suppressed = 6;
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("MESSAGE", "/a/agent.service/inner: agent was refused the creation of map flows (hash, 512.0K): "
                                "Max of budget agents of /a is 1.2M, 1.0M in use; 6 earlier messages were suppressed");
        assert_field("MESSAGE_ID", DENIED_ID);
        assert_field("PRIORITY", "3");
        assert_field("CGROUP", "/a/agent.service/inner");
        assert_no_field("OBJECT_SYSTEMD_UNIT");
        assert_field("BPFBUDGET_CGROUP", "/a");
        assert_field("BPFBUDGET_BUDGET", "agents");
        assert_field("BPFBUDGET_LIMIT", "Max");
        assert_field("BPFBUDGET_MAX", "1310720");
        assert_field("BPFBUDGET_USAGE", "1048576");
        assert_field("BPFBUDGET_WANTED", "524288");
        assert_field("BPFBUDGET_OBJECT", "flows");
        assert_field("BPFBUDGET_TYPE", "hash");
        assert_field("BPFBUDGET_DENIED", "71");
        assert_field("BPFBUDGET_SUPPRESSED", "6");
        assert_field("BPFBUDGET_PID", "7");
        assert_field("BPFBUDGET_COMM", "agent");
        assert_field("BPFBUDGET_BUILD_ID", "0123abcd");
        assert_int_equal(n, 17);
}

/* What was refused, and of what. */
static void test_refused_objects(void **state)
{
        static const struct {
                enum object_kind kind;
                bool growth;
                enum budget_limit resource;
                uint32_t type;
                const char *limit, *type_name, *text;
        } cases[] = {
                { OBJECT_MAP, false, LIMIT_MAX, BPF_MAP_TYPE_ARRAY, "Max", "array",
                                "creation of map flows (array, 512.0K): Max of budget agents is 1.2M, 1.0M in use" },
                { OBJECT_MAP, true, LIMIT_MAX, BPF_MAP_TYPE_HASH, "Max", "hash",
                                "growth of map flows (hash, 512.0K): Max of budget agents is 1.2M, 1.0M in use" },
                { OBJECT_MAP, false, LIMIT_MAPS, BPF_MAP_TYPE_HASH, "MapsMax", "hash",
                                "creation of map flows (hash, 1): MapsMax of budget agents is 1310720, 1048576 in "
                                "use" },
                { OBJECT_PROGRAM, false, LIMIT_PROGRAMS, BPF_PROG_TYPE_XDP, "ProgramsMax", "xdp",
                                "load of program flows (xdp, 1): ProgramsMax of budget agents is 1310720, 1048576 in "
                                "use" },
                { OBJECT_PROGRAM, false, LIMIT_MAX, BPF_PROG_TYPE_UNSPEC, "Max", "unspec",
                                "load of a program (512.0K): Max of budget agents is 1.2M, 1.0M in use" },
                { OBJECT_MAP, false, LIMIT_UNBOUNDED, BPF_MAP_TYPE_TASK_STORAGE, "Unbounded", "task_storage",
                                "creation of map flows (task_storage, no ceiling): budget agents counts ceilings, and "
                                "has Unbounded=refuse" },
                { OBJECT_MAP, false, LIMIT_MAX, BPF_MAP_TYPE_UNSPEC, "Max", "unspec",
                                "creation of map flows (unspec, 512.0K): Max of budget agents is 1.2M, 1.0M in use" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct budget_event refusal = a_refusal();
                char text[256];

                refusal.grower = get(A);
                refusal.object.kind = cases[i].kind;
                refusal.object.type = cases[i].type;
                refusal.growth = cases[i].growth;
                refusal.limit = cases[i].resource;
                assert_int_equal(alert_send(&refusal, &ledger), 0);
                snprintf(text, sizeof(text), "/a: agent was refused the %s", cases[i].text);
                assert_field("MESSAGE", text);
                assert_field("BPFBUDGET_LIMIT", cases[i].limit);
                assert_field("BPFBUDGET_TYPE", cases[i].type_name);
                assert_field("BPFBUDGET_SUPPRESSED", "0");
                assert_no_field("OBJECT_SYSTEMD_UNIT");
        }
}

/* What could not be refused, as it came by another map's descriptor. */
static void test_killed(void **state)
{
        struct budget_event refusal = a_refusal();

        (void) state;
        refusal.grower = get(A);
        refusal.growth = refusal.killed = true;
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("MESSAGE", "/a: agent was killed for replacing a map's descriptor during the growth of "
                                "map flows "
                                "(hash, 512.0K): Max of budget agents is 1.2M, 1.0M in use");
}

/* Figures that are rounded have as many digits as it takes that they add up to more than the limit. */
static void test_refusal_adds_up(void **state)
{
        struct budget_event refusal = a_refusal();

        (void) state;
        refusal.grower = get(A);
        refusal.used = 0;
        refusal.size = 16777280;
        refusal.max = 16777216;
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("MESSAGE", "/a: agent was refused the creation of map flows (hash, 16777280B): Max of budget "
                                "agents is 16777216B, 0B in use");
        refusal.size = 16800000;
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("MESSAGE", "/a: agent was refused the creation of map flows (hash, 16.02M): Max of budget agents "
                                "is 16.00M, 0B in use");
}

/* Who is gone is told of in the cgroup whose limit it was; names need not end with a zero. */
static void test_refusal_of_nobody(void **state)
{
        struct cgroup nameless = { .id = C };
        struct budget_event refusal = a_refusal();

        (void) state;
        memcpy(refusal.object.name, "sixteen_letters_", sizeof(refusal.object.name));
        refusal.pid = 0;
        for (int i = 0; i < 2; i++) {
                refusal.grower = i ? &nameless : NULL;
                assert_int_equal(alert_send(&refusal, &ledger), 0);
                assert_field("MESSAGE", "/a: agent was refused the creation of map sixteen_letters_ (hash, 512.0K): "
                                        "Max of budget agents is 1.2M, 1.0M in use");
                assert_field("CGROUP", "/a");
                assert_field("BPFBUDGET_OBJECT", "sixteen_letters_");
                assert_field("BPFBUDGET_PID", "unknown");
        }
        refusal.cgroup = &nameless;
        assert_int_equal(alert_send(&refusal, &ledger), 0);
        assert_field("CGROUP", "");
        assert_field("BPFBUDGET_CGROUP", "");
        failing_vasprintf = 1;
        assert_int_equal(alert_send(&refusal, &ledger), -ENOMEM);
        assert_int_equal(logged_priority, LOG_ERR);
}

/* --- Maps that fill, and orphans ---------------------------------------------------------------------------------- */

static void test_map_that_fills(void **state)
{
        struct budget_event alert = a_change(LEVEL_OK, LEVEL_HIGH, LIMIT_MAP_FILL);

        (void) state;
        budget.map_fill_high = 90;
        alert.kind = EVENT_FILL;
        alert.object = (struct object_record){
                .kind = OBJECT_MAP, .id = 12, .type = BPF_MAP_TYPE_HASH, .name = "flows"
        };
        alert.object.entries = 95;
        alert.object.max_entries = 100;
        alert.suppressed = 2;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE", "/a: map flows (hash, id 12) is nearly full: 95 of 100 entries, MapFillHigh of budget "
                                "agents is "
                                "90%; 2 earlier messages were suppressed");
        assert_field("PRIORITY", "4");
        assert_field("MESSAGE_ID", FILL_ID);
        assert_field("BPFBUDGET_OBJECT_ID", "12");
        assert_field("BPFBUDGET_ENTRIES", "95");
        assert_field("BPFBUDGET_HIGH", "90");
}

static void test_orphans(void **state)
{
        struct budget_event alert = { .kind = EVENT_ORPHANS, .usage = 3 * MIB, .used = 7, .max = MIB, .dry_run = true };

        (void) state;
        assert_int_equal(alert_send(&alert, &ledger), 0);
        assert_field("MESSAGE",
                        "(dry run) Orphans have 3.0M of BPF memory in 7 maps and programs, OrphansHigh is 1.0M; "
                        "\"bpfbudgetctl orphans\" lists them");
        assert_field("PRIORITY", "4");
        assert_field("MESSAGE_ID", ORPHANS_ID);
        assert_field("BPFBUDGET_OBJECTS", "7");
        assert_no_field("CGROUP");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_each_change),
                TEST(test_gone),
                TEST(test_all_fields),
                TEST(test_workload),
                TEST(test_nothing_known),
                TEST(test_unit),
                TEST(test_forged_unit),
                TEST(test_forged_unit),
                TEST(test_line_that_fits),
                TEST(test_long_path),
                TEST(test_no_path),
                TEST(test_largest_objects),
                TEST(test_equal_objects),
                TEST(test_no_memory),
                TEST(test_pause),
                TEST(test_pause_by_own_budget),
                TEST(test_pause_without_paths),
                TEST(test_refusal),
                TEST(test_refused_objects),
                TEST(test_killed),
                TEST(test_refusal_adds_up),
                TEST(test_refusal_of_nobody),
                TEST(test_map_that_fills),
                TEST(test_orphans),
        };

        return cmocka_run_group_tests_name("alert", tests, NULL, NULL);
}
