/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics as text: what is in them, that their sums are right, their bounds, and that they parse whatever names there
 * are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "metrics-parser.h"
#include "serve/accept.h"
#include "serve/cgrouplabels.h"
#include "serve/metrics.h"
#include "serve/metricseries.h"

#define NAMES_MAX 12000

struct fixture {
        struct monitor monitor;
        struct manager manager;
        struct budget budget;
        struct policy policies[4];
        uint64_t dropped[ALERT_DROPS];
        const char *names[NAMES_MAX]; /* of cgroup N; NULL: it is gone */
        uint64_t parents[NAMES_MAX];
        struct parsed *parsed;
        struct writer writer;
};

static int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        struct fixture *f = context;

        if (id >= NAMES_MAX || !f->names[id])
                return -ESTALE;
        if (name) {
                *name = strdup(f->names[id]);
                *parent_id = f->parents[id];
        }
        return 0;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->names[1] = "";
        assert_int_equal(tree_init(&f->monitor.tree, 1, lookup, f), 0);
        ledger_init(&f->monitor.ledger, &f->monitor.tree);
        f->monitor.complete = true;
        f->manager.monitor = &f->monitor;
        f->manager.config.settings.metrics_cgroups_max = 1000;
        f->manager.config.settings.metrics_maps_max = 100;
        f->budget = (struct budget){ .name = "b",
                .high = 1000,
                .max = BUDGET_INFINITY,
                .maps_max = BUDGET_INFINITY,
                .programs_max = BUDGET_INFINITY,
                .clear_percent = 90 };
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        if (f->parsed)
                parsed_free(f->parsed);
        writer_deinit(&f->writer);
        ledger_deinit(&f->monitor.ledger);
        tree_deinit(&f->monitor.tree);
        free(f);
        return 0;
}

static struct cgroup *make_cgroup(struct fixture *f, uint64_t id, uint64_t parent_id, const char *name)
{
        struct cgroup *cgroup;

        f->names[id] = name;
        f->parents[id] = parent_id;
        assert_int_equal(tree_get(&f->monitor.tree, id, &cgroup), 0);
        return cgroup;
}

static void put(struct fixture *f, uint32_t kind, uint32_t id, uint64_t cgroup_id, uint64_t allocated, uint64_t charged,
                uint64_t jit)
{
        struct object_record record = {
                .address = (uint64_t) kind << 40 | (uint64_t) id << 8,
                .cgroup_id = cgroup_id,
                .allocated = allocated,
                .ceiling = 2 * allocated,
                .charged = charged,
                .jit = jit,
                .entries = id,
                .max_entries = 10 * id,
                .kind = kind,
                .id = id,
                .type = kind == OBJECT_MAP ? BPF_MAP_TYPE_HASH : BPF_PROG_TYPE_KPROBE,
                .attribution = ATTRIBUTION_CHARGED,
                .name = "m",
        };

        record.identity = record.address;
        assert_int_equal(ledger_put(&f->monitor.ledger, &record), LEDGER_NEW);
        tree_flush(&f->monitor.tree);
}

static void give_budget(struct fixture *f, struct cgroup *cgroup, size_t n)
{
        f->policies[n].lowered_high = f->policies[n].lowered_max = BUDGET_INFINITY;
        policy_set(&f->policies[n], &f->budget, BUDGET_INFINITY, BUDGET_INFINITY);
        cgroup->policy = &f->policies[n];
}

static const struct parsed *render(struct fixture *f, enum metrics_format format)
{
        struct metrics_source source = { &f->monitor, &f->manager, f->dropped };

        if (f->parsed)
                parsed_free(f->parsed);
        writer_reset(&f->writer);
        assert_int_equal(metrics_write(&f->writer, &source, format), 0);
        f->parsed = parse_metrics(f->writer.text, f->writer.size, format == METRICS_OPENMETRICS);
        return f->parsed;
}

/* --- What is in them ---------------------------------------------------------------------------------------------- */

/* A cgroup's own bytes by kind and by whether they are charged, its objects and its RSS. */
static void test_cgroup(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;
        struct cgroup *cgroup;

        make_cgroup(f, 2, 1, "a.slice");
        cgroup = make_cgroup(f, 3, 2, "b.service");
        put(f, OBJECT_MAP, 1, 3, 1000, 600, 0);
        put(f, OBJECT_PROGRAM, 2, 3, 100, 30, 60);
        tree_set_rss(&f->monitor.tree, cgroup, (uint64_t[]){ 1, 2, 3, 4 });
        tree_flush(&f->monitor.tree);
        p = render(f, METRICS_OPENMETRICS);
#define B "{cgroup=\"/a.slice/b.service\",unit=\"b.service\""
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes" B ",kind=\"maps\",charged=\"true\"}") == 600);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes" B ",kind=\"maps\",charged=\"false\"}") == 400);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes" B ",kind=\"programs\",charged=\"true\"}") == 30);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes" B ",kind=\"programs\",charged=\"false\"}") == 10);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes" B ",kind=\"jit\",charged=\"false\"}") == 60);
        assert_true(parsed_value(p, "bpfbudget_cgroup_committed_bytes" B "}") == 2200);
        assert_true(parsed_value(p, "bpfbudget_cgroup_objects" B ",kind=\"maps\"}") == 1);
        assert_true(parsed_value(p, "bpfbudget_cgroup_objects" B ",kind=\"programs\"}") == 1);
        assert_true(parsed_value(p, "bpfbudget_cgroup_rss_bytes" B ",type=\"anon\"}") == 1);
        assert_true(parsed_value(p, "bpfbudget_cgroup_rss_bytes" B ",type=\"swap\"}") == 4);
        /* Nothing counts twice: what is below is not the slice's own, so it has no series. */
        assert_true(parsed_sum(p, "bpfbudget_cgroup_bytes") == 1100);
        assert_true(parsed_sum(p, "bpfbudget_cgroup_rss_bytes") == 10);
        assert_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/a.slice\",unit=\"a.slice\"}"));
        assert_non_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/\"}"));
        /* Without a budget there are none of these. */
        assert_true(parsed_sum(p, "bpfbudget_budget_usage_bytes") == 0);
}

/* Usage where a budget is has what is below in it; a limit that is none has no sample; one state is 1. */
static void test_budget(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;

        give_budget(f, make_cgroup(f, 2, 1, "a.slice"), 0);
        make_cgroup(f, 3, 2, "b.service");
        put(f, OBJECT_MAP, 1, 3, 1500, 600, 0);
        f->policies[0].level = LEVEL_HIGH;
        f->policies[0].events = (struct budget_events){ 1, 2, 3, 4, 5000006 };
        p = render(f, METRICS_OPENMETRICS);
#define A "{cgroup=\"/a.slice\",unit=\"a.slice\""
        assert_true(parsed_value(p, "bpfbudget_budget_usage_bytes" A "}") == 1500);
        assert_true(parsed_value(p, "bpfbudget_cgroup_committed_bytes" A "}") == 0);
        assert_true(parsed_value(p, "bpfbudget_budget_limit_bytes" A ",limit=\"high\"}") == 1000);
        assert_null(parsed_find(p, "bpfbudget_budget_limit_bytes" A ",limit=\"max\"}"));
        assert_true(parsed_value(p, "bpfbudget_budget_state" A ",state=\"ok\"}") == 0);
        assert_true(parsed_value(p, "bpfbudget_budget_state" A ",state=\"high\"}") == 1);
        assert_true(parsed_value(p, "bpfbudget_budget_state" A ",state=\"max\"}") == 0);
        assert_true(parsed_value(p, "bpfbudget_events_total" A ",event=\"high\"}") == 1);
        assert_true(parsed_value(p, "bpfbudget_events_total" A ",event=\"max\"}") == 2);
        assert_true(parsed_value(p, "bpfbudget_events_total" A ",event=\"denied\"}") == 3);
        assert_true(parsed_value(p, "bpfbudget_events_total" A ",event=\"throttled\"}") == 4);
        assert_true(parsed_value(p, "bpfbudget_throttled_seconds_total" A "}") == 5.000006);
}

/* The daemon itself. */
static void test_daemon(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;

        f->monitor.statistics = (struct monitor_statistics){
                .flushes = 1, .full_passes = 2, .overflows = 3, .drift = 4
        };
        f->dropped[ALERT_DROP_RATE_LIMIT] = 5;
        f->dropped[ALERT_DROP_JOURNAL] = 6;
        for (enum metrics_format format = 0; format < METRICS_FORMATS; format++) {
                p = render(f, format);
                assert_true(parsed_value(p, "bpfbudget_flushes_total") == 1);
                assert_true(parsed_value(p, "bpfbudget_full_passes_total") == 2);
                assert_true(parsed_value(p, "bpfbudget_overflows_total") == 3);
                assert_true(parsed_value(p, "bpfbudget_drift_total") == 4);
                assert_true(parsed_value(p, "bpfbudget_dropped_alerts_total{reason=\"rate_limit\"}") == 5);
                assert_true(parsed_value(p, "bpfbudget_dropped_alerts_total{reason=\"journal\"}") == 6);
                assert_true(parsed_value(p, "bpfbudget_ready") == 1);
                assert_true(parsed_value(p, "bpfbudget_deny_unavailable") == 0);
                assert_true(parsed_sum(p, "bpfbudget_build_info") == 1);
        }
        f->monitor.complete = false;
        f->manager.obstacle = "none";
        p = render(f, METRICS_OPENMETRICS);
        assert_true(parsed_value(p, "bpfbudget_ready") == 0);
        assert_true(parsed_value(p, "bpfbudget_deny_unavailable") == 1);
}

/* The two formats have the same samples. */
static void test_formats(void **state)
{
        struct fixture *f = *state;
        struct parsed *openmetrics;

        give_budget(f, make_cgroup(f, 2, 1, "a"), 0);
        put(f, OBJECT_MAP, 1, 2, 1500, 600, 0);
        render(f, METRICS_OPENMETRICS);
        openmetrics = f->parsed;
        f->parsed = NULL;
        render(f, METRICS_PROMETHEUS);
        assert_int_equal(openmetrics->count, f->parsed->count);
        for (size_t i = 0; i < openmetrics->count; i++)
                assert_true(parsed_value(f->parsed, openmetrics->samples[i].identity) == openmetrics->samples[i].value);
        parsed_free(openmetrics);
}

/* The largest maps, as many as are wanted, and not those whose entries nobody knows. */
static void test_maps(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;

        make_cgroup(f, 2, 1, "a");
        for (uint32_t id = 1; id <= 20; id++)
                put(f, id % 10 == 0 ? OBJECT_PROGRAM : OBJECT_MAP, id, 2, id * 7 % 20 * 100 + 100, 100, 0);
        ledger_find(&f->monitor.ledger, OBJECT_MAP, 17)->record.entries = ENTRIES_UNKNOWN; /* the largest one */
        f->manager.config.settings.metrics_maps_max = 3;
        p = render(f, METRICS_OPENMETRICS);
        /* id * 7 % 20 is 18, 17 and 16 for these. */
        assert_true(parsed_value(p, "bpfbudget_map_entries{cgroup=\"/a\",map=\"m\",map_id=\"14\",map_type=\"hash\"}") ==
                        14);
        assert_true(parsed_value(p, "bpfbudget_map_max_entries{cgroup=\"/"
                                    "a\",map=\"m\",map_id=\"11\",map_type=\"hash\"}") == 110);
        assert_true(parsed_sum(p, "bpfbudget_map_entries") == 14 + 11 + 8);
        f->manager.config.settings.metrics_maps_max = 0;
        assert_true(parsed_sum(render(f, METRICS_OPENMETRICS), "bpfbudget_map_entries") == 0);
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

/* The largest have series of their own, and those with a budget; the rest is summed up: the sum is right. */
static void test_rest(void **state)
{
        static const char *const names[] = { "c0", "c1", "c2", "c3", "c4", "c5" };
        struct fixture *f = *state;
        const struct parsed *p;

        f->manager.config.settings.metrics_cgroups_max = 2;
        for (uint64_t i = 0; i < 6; i++) {
                struct cgroup *cgroup = make_cgroup(f, 10 + i, 1, names[i]);

                put(f, OBJECT_MAP, 1 + i, 10 + i, 100 << i, 0, 0);
                if (i == 0)
                        give_budget(f, cgroup, 0);
        }
        p = render(f, METRICS_OPENMETRICS);
        assert_true(parsed_sum(p, "bpfbudget_cgroup_bytes") == 6300);
        assert_non_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/c0\"}"));
        assert_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/c3\"}"));
        assert_non_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/c4\"}"));
        assert_non_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/c5\"}"));
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes{cgroup=\"(rest)\",kind=\"maps\",charged=\"false\"}") ==
                        1400);
        assert_true(parsed_value(p, "bpfbudget_rest_cgroups") == 3);
        f->manager.config.settings.metrics_cgroups_max = 5;
        p = render(f, METRICS_OPENMETRICS);
        assert_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"(rest)\"}"));
        assert_true(parsed_sum(p, "bpfbudget_cgroup_bytes") == 6300);
}

/* The series of a removed cgroup end; what it has left goes on counting. */
static void test_removed(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;
        struct cgroup *cgroup = make_cgroup(f, 2, 1, "a");

        give_budget(f, cgroup, 0);
        put(f, OBJECT_MAP, 1, 2, 1500, 600, 0);
        f->names[2] = NULL;
        tree_check(&f->monitor.tree, cgroup);
        p = render(f, METRICS_OPENMETRICS);
        assert_null(parsed_find(p, "bpfbudget_cgroup_committed_bytes{cgroup=\"/a\"}"));
        assert_true(parsed_sum(p, "bpfbudget_events_total") == 0);
        assert_true(parsed_sum(p, "bpfbudget_budget_usage_bytes") == 0);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes{cgroup=\"(removed)\",kind=\"maps\",charged=\"true\"}") ==
                        600);
        assert_true(parsed_value(p, "bpfbudget_orphan_bytes") == 1500);
        assert_non_null(parsed_find(
                        p, "bpfbudget_map_entries{cgroup=\"(removed)\",map=\"m\",map_id=\"1\",map_type=\"hash\"}"));
}

/* Two cgroups of one path: nobody has reported yet that the older one is gone. The newer one has the series. */
static void test_replaced(void **state)
{
        struct fixture *f = *state;
        const struct parsed *p;

        make_cgroup(f, 2, 1, "a");
        make_cgroup(f, 3, 1, "a");
        put(f, OBJECT_MAP, 1, 2, 100, 0, 0);
        put(f, OBJECT_MAP, 2, 3, 10, 0, 0);
        p = render(f, METRICS_OPENMETRICS);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes{cgroup=\"/a\",kind=\"maps\",charged=\"false\"}") == 10);
        assert_true(parsed_value(p, "bpfbudget_cgroup_bytes{cgroup=\"(removed)\",kind=\"maps\",charged=\"false\"}") ==
                        100);
}

/* Long names, and any number of cgroups that are always shown, make no text without a bound. */
static void test_label_bound(void **state)
{
        static char name[250];
        struct fixture *f = *state;
        struct metric_selection selection;

        memset(name, '"', sizeof(name) - 1);
        for (uint64_t i = 2; i < NAMES_MAX; i++)
                give_budget(f, make_cgroup(f, i, 1, name), 0);
        assert_int_equal(metric_selection_init(&selection, &f->monitor.tree, 10), 0);
        assert_true(selection.labels.size <= METRICS_LABELS_MAX);
        assert_true(selection.rest_count > 0);
        metric_selection_deinit(&selection);
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

/* Whatever a name is, the text parses, and the label has it; different names stay different. */
static void test_names(void **state)
{
        static const struct {
                const char *name, *label;
        } names[] = {
                { "quote\"", "/quote\"" },
                { "back\\slash", "/back\\slash" },
                { "back\\n", "/back\\n" },
                { "end\\", "/end\\" },
                { "new\nline", "/new\nline" },
                { "tab\tand\rreturn", "/tab\tand\rreturn" },
                { "braces{},=", "/braces{},=" },
                { "\xc3\xa9t\xc3\xa9", "/\xc3\xa9t\xc3\xa9" },
                { "bad\xff", "/bad\xef\xbf\xbd"
                             "ff" },
                { "bad\xfe", "/bad\xef\xbf\xbd"
                             "fe" },
                { "cut\xe2\x82", "/cut\xef\xbf\xbd"
                                 "e2\xef\xbf\xbd"
                                 "82" },
                { "surrogate\xed\xa0\x80", "/surrogate\xef\xbf\xbd"
                                           "ed\xef\xbf\xbd"
                                           "a0\xef\xbf\xbd"
                                           "80" },
                /* What stands for a byte above is not taken for one. */
                { "bad\xef\xbf\xbd"
                  "ff",
                                "/bad\xef\xbf\xbd"
                                "ef\xef\xbf\xbd"
                                "bf\xef\xbf\xbd"
                                "bdff" },
                { "(rest)", "/(rest)" },
        };
        const size_t count = sizeof(names) / sizeof(names[0]);
        struct fixture *f = *state;

        for (size_t i = 0; i < count; i++) {
                make_cgroup(f, 10 + i, 1, names[i].name);
                put(f, OBJECT_MAP, 1 + i, 10 + i, 1 << i, 0, 0);
        }
        for (enum metrics_format format = 0; format < METRICS_FORMATS; format++) {
                const struct parsed *p = render(f, format);

                for (size_t i = 0; i < count; i++) {
                        size_t found = 0;

                        for (size_t n = 0; n < p->count; n++)
                                found += strcmp(p->samples[n].name, "bpfbudget_cgroup_committed_bytes") == 0 &&
                                         strcmp(parsed_label(&p->samples[n], "cgroup"), names[i].label) == 0 &&
                                         p->samples[n].value == 2 << i;
                        if (found != 1)
                                fail_msg("%s: %zu samples", names[i].name, found);
                }
        }
}

/* A path that is not known, or not in full, has the id beside it. */
static void test_unknown_path(void **state)
{
        struct fixture *f = *state;
        struct cgroup cgroup = { .id = 7 };
        char path[2000] = "/";

        labels_write(&f->writer, &(struct cgroup_labels){ .cgroup = NULL, .cgroup_id = 7 });
        writer_bytes(&f->writer, "", 1);
        assert_string_equal(f->writer.text, "cgroup=\"(unknown)\",cgroup_id=\"7\"");
        assert_int_equal(labels_of_cgroup(&cgroup).cgroup_id, 7);
        cgroup.path = path;
        assert_int_equal(labels_of_cgroup(&cgroup).cgroup_id, 0);
        cgroup.abbreviated = 1;
        assert_int_equal(labels_of_cgroup(&cgroup).cgroup_id, 7);
        cgroup.abbreviated = 0;
        memset(path + 1, 'x', sizeof(path) - 2);
        assert_int_equal(labels_of_cgroup(&cgroup).cgroup_id, 7);
        writer_reset(&f->writer);
        label_write(&f->writer, true, "cgroup", path, strlen(path));
        assert_true(f->writer.size < LABEL_VALUE_MAX + 20);
}

/* A workload's labels, each if there is one. */
static void test_workload_labels(void **state)
{
        struct fixture *f = *state;

        labels_write(&f->writer, &(struct cgroup_labels){ .cgroup = "/k",
                                                 .namespace = "n/p",
                                                 .namespace_length = 1,
                                                 .pod = "p\"",
                                                 .container = "c" });
        writer_bytes(&f->writer, "", 1);
        assert_string_equal(f->writer.text, "cgroup=\"/k\",namespace=\"n\",pod=\"p\\\"\",container=\"c\"");
}

static void assert_labels(struct fixture *f, const struct cgroup *cgroup, const char *expected)
{
        struct cgroup_labels labels = labels_of_cgroup(cgroup);

        writer_reset(&f->writer);
        labels_write(&f->writer, &labels);
        writer_bytes(&f->writer, "", 1);
        assert_string_equal(f->writer.text, expected);
}

/* A cgroup has the names of the workload that it is, or is in, as far as they are known. */
static void test_names_of_workloads(void **state)
{
        struct workload pod = { .kind = WORKLOAD_POD, .is_pod = true, .pod = (char *) "kube-system/cilium-x7k" },
                        container = { .kind = WORKLOAD_CONTAINER };
        struct cgroup outer = { .id = 2, .path = (char *) "/p", .workload = &pod },
                      inner = { .id = 3, .path = (char *) "/p/c", .workload = &container, .parent = &outer },
                      below = { .id = 4, .path = (char *) "/p/c/d", .parent = &inner };
        struct fixture *f = *state;

        assert_labels(f, &outer, "cgroup=\"/p\",namespace=\"kube-system\",pod=\"cilium-x7k\"");
        assert_labels(f, &below, "cgroup=\"/p/c/d\"");
        container.container = (char *) "agent";
        assert_labels(f, &below, "cgroup=\"/p/c/d\",container=\"agent\"");
        container.pod = pod.pod;
        assert_labels(f, &below, "cgroup=\"/p/c/d\",namespace=\"kube-system\",pod=\"cilium-x7k\",container=\"agent\"");
}

/* --- What clients take -------------------------------------------------------------------------------------------- */

static void test_accept(void **state)
{
        static const struct {
                const char *accept;
                enum metrics_format format;
        } formats[] = {
                { NULL, METRICS_PROMETHEUS },
                { "", METRICS_PROMETHEUS },
                { "*/*", METRICS_PROMETHEUS },
                { "text/html", METRICS_PROMETHEUS },
                { "application/openmetrics-text", METRICS_OPENMETRICS },
                { "Application/OpenMetrics-Text; version=1.0.0", METRICS_OPENMETRICS },
                { "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                                METRICS_OPENMETRICS },
                { "application/openmetrics-text;q=0.2, text/plain;q=0.3", METRICS_PROMETHEUS },
                { "text/plain , application/openmetrics-text ; q=0.9", METRICS_PROMETHEUS },
                { "text/plain;q=0.5,application/openmetrics-text;q=0.5", METRICS_OPENMETRICS },
                { "application/openmetrics-text;q=0", METRICS_PROMETHEUS },
                { "application/openmetrics-text;q=nonsense", METRICS_PROMETHEUS },
                { "application/openmetrics-texts", METRICS_PROMETHEUS },
                { ",;q=,;;,", METRICS_PROMETHEUS },
        };
        static const struct {
                const char *accept;
                bool gzip;
        } encodings[] = {
                { NULL, false },
                { "", false },
                { "gzip", true },
                { "deflate, GZIP;q=0.1, br", true },
                { "gzip;q=0", false },
                { "gzip; q=0.000", false },
                { "*", true },
                { "*;q=0", false },
                { "*, gzip;q=0", false },
                { "identity", false },
                { "gzipped", false },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
                if (accept_format(formats[i].accept) != formats[i].format)
                        fail_msg("%s", formats[i].accept);
        for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
                if (accept_gzip(encodings[i].accept) != encodings[i].gzip)
                        fail_msg("%s", encodings[i].accept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_cgroup),
                TEST(test_budget),
                TEST(test_daemon),
                TEST(test_formats),
                TEST(test_maps),
                TEST(test_rest),
                TEST(test_removed),
                TEST(test_replaced),
                TEST(test_label_bound),
                TEST(test_names),
                TEST(test_unknown_path),
                TEST(test_workload_labels),
                TEST(test_names_of_workloads),
                TEST(test_accept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
