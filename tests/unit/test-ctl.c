/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What bpfbudgetctl computes: fields, groups, graphs, texts, the last minute, budgets as they are typed, pictures of
 * top. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/relation.h"
#include "ctl/assignment.h"
#include "ctl/eventtext.h"
#include "ctl/field.h"
#include "ctl/frame.h"
#include "ctl/graph.h"
#include "ctl/group.h"
#include "ctl/history.h"
#include "ctl/splice.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "ctl/waste.h"
#include "ctl/when.h"
#include "ctl/why.h"

/* JSON as it is written in a test: with single quotes. */
static json_t *parse(const char *text)
{
        char *copy = strdup(text);
        json_t *json;

        assert_non_null(copy);
        for (char *c = copy; *c; c++)
                if (*c == '\'')
                        *c = '"';
        json = json_loads(copy, 0, NULL);
        free(copy);
        assert_non_null(json);
        return json;
}

/* The texts at @path of all rows, separated by spaces. */
static void assert_order(const json_t *rows, const char *path, const char *expected)
{
        char order[512] = "";

        for (size_t i = 0; i < json_array_size(rows); i++) {
                strcat(order, i ? " " : "");
                strcat(order, field_string(json_array_get(rows, i), path));
        }
        assert_string_equal(order, expected);
}

/* --- Fields ------------------------------------------------------------------------------------------------------- */

static void test_field_values(void **state)
{
        json_t *json = parse("{'a': {'b': 5, 'c': null, 'n': -3}, 'd': 'x', 'e': true, 'f': 7}");

        (void) state;
        assert_int_equal(field_integer(json, "a.b"), 5);
        assert_int_equal(field_integer(json, "a.b+f"), 12);
        assert_int_equal(field_integer(json, "a.c+f"), 7);
        assert_int_equal(field_integer(json, "a.n"), 0);
        assert_null(field_get(json, "a.c"));
        assert_null(field_get(json, "a.x.y"));
        assert_string_equal(field_string(json, "d"), "x");
        assert_string_equal(field_string(json, "a"), "");
        assert_true(field_true(json, "e"));
        assert_false(field_true(json, "d"));
        json_decref(json);
}

static void test_field_sort(void **state)
{
        json_t *rows = parse("[{'n': 'a', 's': 2}, {'n': 'b', 's': 9}, {'n': 'c'}, {'n': 'd', 's': 2}]");

        (void) state;
        assert_int_equal(field_sort(rows, "s", true), 0);
        assert_order(rows, "n", "b a d c");
        assert_int_equal(field_sort(rows, "s", false), 0);
        assert_order(rows, "n", "c a d b");
        assert_int_equal(field_sort(rows, "n", true), 0);
        assert_order(rows, "n", "d c b a");
        json_decref(rows);
}

/* --- Parts of text ------------------------------------------------------------------------------------------------ */

/* The text of @key in @json, "" if there is none. */
static const char *member(const char *json, const char *key)
{
        static char text[256];
        struct slice value;

        if (!slice_member((struct slice){ json, strlen(json) }, key, &value))
                return "";
        memcpy(text, value.start, value.length);
        text[value.length] = '\0';
        return text;
}

static void test_slices(void **state)
{
        static const char json[] = "{ \"a\" : 1 ,\"b\":{\"c\":[1,\"}]\\\"\",{}]},\"d\":\"x,\\\\\",\"c\":true}";
        static const char *const wrong[] = { "", "[]", "{", "{}", "{\"a\"}", "{\"a\":", "{\"a\":}",
                "{\"b\":[1,\"a\":2}", "{\"b\":\"\\\",\"a\":1}", "\"a\"", "{\"b\":1 \"a\":2}" };
        struct slice elements;

        (void) state;
        assert_string_equal(member(json, "a"), "1");
        assert_string_equal(member(json, "b"), "{\"c\":[1,\"}]\\\"\",{}]}");
        assert_string_equal(member(json, "c"), "true");
        assert_string_equal(member(json, "d"), "\"x,\\\\\"");
        assert_string_equal(member(json, "e"), "");
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                assert_string_equal(member(wrong[i], "a"), "");

        assert_true(slice_elements((struct slice){ "[ 1, 2 ]", 8 }, &elements));
        assert_true(slice_is(elements, "1, 2"));
        assert_true(slice_elements((struct slice){ "[ ]", 3 }, &elements));
        assert_int_equal(elements.length, 0);
        assert_false(slice_elements((struct slice){ "{}", 2 }, &elements));
        assert_false(slice_elements((struct slice){ "[", 1 }, &elements));
}

/* --- Groups ------------------------------------------------------------------------------------------------------- */

#define OBJECTS                                                                                              \
        "[{'kind': 'map', 'id': 1, 'type': 'hash', 'name': 'cilium_ct', 'cgroup': '/a', 'allocated': 100, "  \
        "'charged': 90, 'uncharged': 10, 'holders': [{'comm': 'x', 'pid': 1}, {'comm': 'x', 'pid': 2}], "    \
        "'pins': ['/bpf/tc/ct', '/bpf/tc/ct2'], 'usedBy': [7, 8]},"                                          \
        "{'kind': 'map', 'id': 2, 'type': 'array', 'name': '.rodata', 'cgroup': '/b', 'allocated': 10, "     \
        "'charged': 10, 'uncharged': 0, 'holders': [{'comm': 'x', 'pid': 1}, {'comm': 'y', 'pid': 3}], "     \
        "'pins': ['/bpf/tc/r', '/bpf/r'], 'usedBy': []},"                                                    \
        "{'kind': 'program', 'id': 7, 'type': 'hash', 'name': 'cilium-lb', 'cgroup': null, 'allocated': 1, " \
        "'charged': 0, 'uncharged': 1, 'holders': [], 'pins': [], 'maps': [1]}]"

static json_t *find_group(const json_t *groups, const char *label)
{
        for (size_t i = 0; i < json_array_size(groups); i++)
                if (strcmp(field_string(json_array_get(groups, i), "group"), label) == 0)
                        return json_array_get(groups, i);
        fail_msg("there is no group %s", label);
        return NULL;
}

static void assert_group(const json_t *groups, const char *label, uint64_t maps, uint64_t programs, uint64_t allocated,
                uint64_t shared)
{
        json_t *group = find_group(groups, label);

        assert_int_equal(field_integer(group, "maps"), maps);
        assert_int_equal(field_integer(group, "programs"), programs);
        assert_int_equal(field_integer(group, "objects"), maps + programs);
        assert_int_equal(field_integer(group, "allocated"), allocated);
        assert_int_equal(field_integer(group, "shared"), shared);
}

static json_t *group(enum grouping grouping)
{
        json_t *objects = parse(OBJECTS), *groups = group_objects(objects, grouping);

        assert_non_null(groups);
        json_decref(objects);
        return groups;
}

static void test_group_by_what_each_has(void **state)
{
        json_t *groups = group(GROUP_CGROUP);

        (void) state;
        assert_order(groups, "group", "/a /b (unknown)");
        assert_int_equal(field_integer(find_group(groups, "/a"), "charged"), 90);
        assert_int_equal(field_integer(find_group(groups, "/a"), "uncharged"), 10);
        json_decref(groups);

        /* A map's type and a program's of the same name are two. */
        groups = group(GROUP_TYPE);
        assert_int_equal(json_array_size(groups), 3);
        assert_group(groups, "map hash", 1, 0, 100, 0);
        assert_group(groups, "program hash", 0, 1, 1, 0);
        json_decref(groups);

        groups = group(GROUP_NAME_PREFIX);
        assert_group(groups, "cilium", 1, 1, 101, 0);
        assert_group(groups, ".rodata", 1, 0, 10, 0);
        json_decref(groups);
}

static void test_group_by_relations(void **state)
{
        json_t *groups = group(GROUP_PIN_DIR);

        (void) state;
        /* Two pins in one directory count once; in two directories in both, and that is said. */
        assert_group(groups, "/bpf/tc", 2, 0, 110, 10);
        assert_group(groups, "/bpf", 1, 0, 10, 10);
        assert_group(groups, "(no pin seen)", 0, 1, 1, 0);
        json_decref(groups);

        groups = group(GROUP_HOLDER);
        assert_group(groups, "x", 2, 0, 110, 10);
        assert_group(groups, "y", 1, 0, 10, 10);
        assert_group(groups, "(no holder)", 0, 1, 1, 0);
        json_decref(groups);

        groups = group(GROUP_PROGRAM);
        assert_group(groups, "7 cilium-lb", 1, 1, 101, 100);
        assert_group(groups, "8", 1, 0, 100, 100);
        assert_group(groups, "(no program)", 1, 0, 10, 0);
        json_decref(groups);
}

static void test_grouping_names(void **state)
{
        (void) state;
        assert_int_equal(grouping_from_name("pin-dir"), GROUP_PIN_DIR);
        assert_int_equal(grouping_from_name("cgroups"), -EINVAL);
        assert_int_equal(grouping_from_name(""), -EINVAL);
        assert_int_equal(grouping_relations(GROUP_HOLDER), RELATION_HOLDERS);
        assert_int_equal(grouping_relations(GROUP_NONE), 0);
}

/* --- Graphs ------------------------------------------------------------------------------------------------------- */

static void test_bar(void **state)
{
        char bar[GRAPH_SIZE_MAX];

        (void) state;
        assert_string_equal(graph_bar(bar, 4, 0, 100, GRAPH_NO_MARK, true), "    ");
        assert_string_equal(graph_bar(bar, 4, 50, 100, GRAPH_NO_MARK, true), "██  ");
        assert_string_equal(graph_bar(bar, 4, 53, 100, GRAPH_NO_MARK, true), "██▏ ");
        assert_string_equal(graph_bar(bar, 4, 200, 100, GRAPH_NO_MARK, true), "████");
        /* Something is seen, however little. */
        assert_string_equal(graph_bar(bar, 4, 1, 1000000, GRAPH_NO_MARK, true), "▏   ");
        assert_string_equal(graph_bar(bar, 4, 1, 1000000, GRAPH_NO_MARK, false), "#   ");
        assert_string_equal(graph_bar(bar, 4, 50, 100, GRAPH_NO_MARK, false), "##  ");
        /* The mark is there until the bar has come to it. */
        assert_string_equal(graph_bar(bar, 8, 25, 100, 50, true), "██  |   ");
        assert_string_equal(graph_bar(bar, 8, 75, 100, 50, true), "██████  ");
        assert_string_equal(graph_bar(bar, 8, 25, 100, 100, true), "██      ");
        /* Nothing to compare with. */
        assert_string_equal(graph_bar(bar, 3, 25, 0, 0, true), "   ");
        assert_int_equal(strlen(graph_bar(bar, 1000, 9, 9, GRAPH_NO_MARK, true)), GRAPH_SIZE_MAX - 1);
        /* Sizes near the largest do not overflow. */
        assert_string_equal(graph_bar(bar, 4, INT64_MAX / 2, INT64_MAX, GRAPH_NO_MARK, true), "██  ");
}

static void test_sparkline(void **state)
{
        static const uint64_t values[] = { GRAPH_UNKNOWN, GRAPH_UNKNOWN, 0, 7, 3, 1 };
        char line[GRAPH_SIZE_MAX];

        (void) state;
        assert_string_equal(graph_sparkline(line, 6, values, 6, true), "  ▁█▄▂");
        /* The highest of two values. */
        assert_string_equal(graph_sparkline(line, 3, values, 6, true), " █▄");
        /* More columns than values. */
        assert_string_equal(graph_sparkline(line, 4, values + 2, 2, true), "▁▁██");
        assert_string_equal(graph_sparkline(line, 6, values, 6, false), "  _#-_");
        assert_string_equal(graph_sparkline(line, 2, values, 2, true), "  ");
        /* All the same, and not 0: at the top. */
        assert_string_equal(graph_sparkline(line, 1, values + 3, 1, true), "█");
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

static void assert_ellipsized(const char *text, size_t width, const char *expected)
{
        char *cut = text_ellipsize(text, width);

        assert_non_null(cut);
        assert_string_equal(cut, expected);
        assert_true(text_width(cut) <= width);
        free(cut);
}

static void test_ellipsize(void **state)
{
        (void) state;
        assert_ellipsized("abcdefghij", 10, "abcdefghij");
        assert_ellipsized("abcdefghij", 7, "abcd…ij");
        assert_ellipsized("abcdefghij", 1, "…");
        assert_ellipsized("abcdefghij", 0, "");
        assert_ellipsized("", 5, "");
        assert_ellipsized("a\x1b[31mb\n", 20, "a?[31mb?");
        assert_ellipsized("a\xff\xfe", 20, "a??");
        /* Directions, joiners, separators of lines: they have no width, and one is seen. */
        assert_ellipsized("a\xe2\x80\xaegpj\xe2\x81\xa6\xe2\x80\x8b\xe2\x80\xa8\xef\xbb\xbf", 20, "a?gpj????");
        assert_int_equal(text_width("a\xe2\x80\xae"), 2);
        /* Two columns each. */
        assert_int_equal(text_width("漢字"), 4);
        assert_ellipsized("漢字漢字", 5, "漢…");
        assert_ellipsized("äöüäöü", 4, "äö…ü");
}

static void test_format_bytes(void **state)
{
        char buffer[FORMAT_BYTES_MAX];

        (void) state;
        assert_string_equal(format_bytes(buffer, 1536, false), "1.5K");
        assert_string_equal(format_bytes(buffer, 1536, true), "1536");
        assert_string_equal(format_bytes(buffer, UINT64_MAX, true), "18446744073709551615");
}

/* --- The last minute ---------------------------------------------------------------------------------------------- */

static void test_history(void **state)
{
        struct history history = {};
        uint64_t values[HISTORY_SECONDS];

        (void) state;
        assert_int_equal(history_put(&history, 1, 1000, 5), 0);
        assert_int_equal(history_put(&history, 1, 1000, 6), 0);
        /* What was not looked at meanwhile is taken as it was. */
        assert_int_equal(history_put(&history, 1, 1003, 9), 0);
        history_get(&history, 1, 1003, values);
        assert_true(values[55] == GRAPH_UNKNOWN);
        assert_int_equal(values[56], 6);
        assert_int_equal(values[57], 6);
        assert_int_equal(values[58], 6);
        assert_int_equal(values[59], 9);
        /* Later nothing is known of the last seconds. */
        history_get(&history, 1, 1005, values);
        assert_true(values[59] == GRAPH_UNKNOWN);
        assert_int_equal(values[57], 9);
        history_get(&history, 2, 1003, values);
        assert_true(values[59] == GRAPH_UNKNOWN);
        /* After a long time. */
        assert_int_equal(history_put(&history, 1, 5000, 1), 0);
        history_get(&history, 1, 5000, values);
        assert_int_equal(values[0], 9);
        assert_int_equal(values[59], 1);
        history_prune(&history, 5059);
        assert_non_null(history.by_id);
        history_prune(&history, 5060);
        assert_null(history.by_id);
        history_deinit(&history);
}

/* --- Budgets as they are typed ------------------------------------------------------------------------------------ */

static void assert_wrong(const char *text, const char *reason)
{
        json_t *parameters = json_object();
        char told[ASSIGNMENT_REASON_MAX] = "";

        assert_int_equal(assignment_parse(text, 1000, parameters, told), -EINVAL);
        assert_non_null(strstr(told, reason));
        assert_int_equal(json_object_size(parameters), 0);
        json_decref(parameters);
}

static void test_assignments(void **state)
{
        static const char *const right[] = { "High=64M", "max=50%", "MapsMax=10", "ProgramsMax=infinity",
                "FootprintRatioHigh=20%", "OnHigh=throttle", "OnMax=deny", "Count=committed", "Unbounded=allow",
                "ClearPercent=80" };
        char reason[ASSIGNMENT_REASON_MAX];
        json_t *parameters = json_object(), *expected;

        (void) state;
        for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
                assert_int_equal(assignment_parse(right[i], 1000, parameters, reason), 0);
        expected = parse("{'high': 67108864, 'max': 500, 'mapsMax': 10, 'programsMax': null, 'footprintRatioHigh': 20, "
                         "'onHigh': 'throttle', 'onMax': 'deny', 'count': 'committed', 'unbounded': 'allow', "
                         "'clearPercent': 80}");
        assert_true(json_equal(parameters, expected));
        assert_int_equal(assignment_parse("High=", 1000, parameters, reason), 0);
        assert_null(field_get(parameters, "high"));
        json_decref(parameters);
        json_decref(expected);

        assert_wrong("High", "not KEY=VALUE");
        assert_wrong("Hihg=1M", "unknown key");
        assert_wrong("=1M", "unknown key");
        assert_wrong("High=1Q", "not a size");
        assert_wrong("High=64MB", "its unit may be a power of 1000 or of 1024; write 64M or 64MiB");
        assert_wrong("High=-1", "negative");
        assert_wrong("High=101%", "too large");
        assert_wrong("MapsMax=1M", "not a number");
        assert_wrong("MapsMax=-1", "not a number");
        assert_wrong("MapsMax=99999999999999999999", "not a number");
        assert_wrong("ClearPercent=x", "not a percentage");
        assert_wrong("OnMax=throttle", "alert or deny");
}

/* --- Trees -------------------------------------------------------------------------------------------------------- */

static void test_tree(void **state)
{
        json_t *rows = parse("[{'path': '/', 'exists': true}, {'path': '/a', 'exists': true}, "
                             "{'path': '/b/c/d', 'exists': true}, {'path': '/a/y', 'exists': true}, "
                             "{'path': '/ab', 'exists': true}, {'path': '/a/y/z', 'exists': false}, "
                             "{'path': null, 'exists': false}]");
        ssize_t *parents, expected[] = { -1, 0, 1, 2, 0, 0, -1 };

        (void) state;
        assert_int_equal(table_make_tree(rows, &parents), 0);
        assert_order(rows, "path", "/ /a /a/y /a/y/z /b/c/d /ab ");
        assert_memory_equal(parents, expected, sizeof(expected));
        assert_string_equal(tree_label(json_array_get(rows, 2), json_array_get(rows, 1)), "y");
        assert_string_equal(tree_label(json_array_get(rows, 4), json_array_get(rows, 0)), "b/c/d");
        assert_string_equal(tree_label(json_array_get(rows, 0), NULL), "/");
        assert_string_equal(tree_label(json_array_get(rows, 6), NULL), "(unknown)");
        free(parents);
        json_decref(rows);
}

static void assert_label(const char *row, const char *text, const char *expected)
{
        json_t *json = parse(row);
        char *label = cgroup_label(json, text);

        assert_non_null(label);
        assert_string_equal(label, expected);
        free(label);
        json_decref(json);
}

/* The name of a workload is in place of its cgroup's path; below it, in a tree, the rest is enough. */
static void test_workload_label(void **state)
{
#define WORKLOAD "'workload': {'kind': 'pod', 'name': 'a/b', 'cgroup': '/k/pod1'}"
        (void) state;
        assert_label("{'path': '/k/pod1', " WORKLOAD "}", "/k/pod1", "a/b");
        assert_label("{'path': '/k/pod1', " WORKLOAD "}", "pod1", "a/b");
        assert_label("{'path': '/k/pod1/c/d', " WORKLOAD "}", "/k/pod1/c/d", "a/b/c/d");
        assert_label("{'path': '/k/pod1/c/d', " WORKLOAD "}", "d", "d");
        assert_label("{'path': '/k/pod1', 'workload': {'kind': 'pod', 'cgroup': '/k/pod1'}}", "/k/pod1", "/k/pod1");
        assert_label("{'path': '/s/a.service', 'workload': {'kind': 'unit', 'name': 'a.service'}}", "/s/a.service",
                        "/s/a.service");
        assert_label("{'path': '/a/…(7)/b', " WORKLOAD "}", "/a/…(7)/b", "/a/…(7)/b");
        assert_label("{'path': null}", "(unknown)", "(unknown)");
}

/* CPU time in seconds that it takes to make a tree of @n cgroups, a root with slices of 100 each, and to print it. */
static double time_tree(size_t n)
{
        static const struct column columns[] = {
                { "CGROUP", "path", CELL_CGROUP, true },
                { "ALLOCATED", "allocated", CELL_SIZE },
        };
        json_t *rows = json_array();
        struct table table = { .columns = columns, .column_count = 2, .rows = rows, .legend = true };
        clock_t start;
        ssize_t *parents;
        char *text, path[64] = "/";
        size_t size, lines = 0;
        FILE *file = open_memstream(&text, &size);

        assert_non_null(file);
        for (size_t i = 0; i < n; i++) {
                json_array_append_new(rows, json_pack("{ss sb si}", "path", path, "exists", 1, "allocated", 1));
                snprintf(path, sizeof(path), i % 100 ? "/%zu.slice/%zu.service" : "/%zu.slice", i / 100, i);
        }
        start = clock();
        assert_int_equal(table_make_tree(rows, &parents), 0);
        table.parents = parents;
        assert_int_equal(table_print(&table, file), 0);
        start = clock() - start;
        fclose(file);
        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        assert_int_equal(lines, n + 1);
        free(text);
        free(parents);
        json_decref(rows);
        return (double) start / CLOCKS_PER_SEC;
}

/* Ten times as many cgroups take ten times as long, not a hundred times. */
static void test_large_tree(void **state)
{
        double small = time_tree(1000), large = time_tree(10000);

        (void) state;
        if (large > 40 * small + 0.1)
                fail_msg("1,000 cgroups take %.3f s, 10,000 %.3f s", small, large);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static void test_event_text(void **state)
{
        char text[EVENT_TEXT_MAX];
        json_t *event = parse("{'kind': 'state', 'cgroup': '/a', 'usage': 2048, 'high': 1024, 'max': null, "
                              "'from': 'ok', 'to': 'high', 'pid': 7, 'comm': 'x\\u001b'}");

        (void) state;
        assert_string_equal(event_text(event, false, text), "/a: ok -> high (2.0K), High 1.0K, Max none by x?[7]");
        json_decref(event);
        event = parse("{'kind': 'refusal', 'cgroup': null, 'usage': 2048, 'max': 3000, 'objectKind': 'map', "
                      "'objectType': 'hash', 'objectName': 'm', 'size': 1024, 'pid': null}");
        assert_string_equal(event_text(event, true, text), "(unknown): refused map hash m of 1024 at 2048, Max 3000");
        json_decref(event);
        event = parse("{'kind': 'refusal', 'cgroup': '/\\u009b1m\u00e4', 'usage': 2048, 'max': null, 'objectKind': "
                      "'map', "
                      "'objectType': 'hash', 'objectName': 'm', 'limit': 'MapsMax', 'pid': null}");
        assert_string_equal(event_text(event, true, text), "/??1m\u00e4: refused map hash m at 2048, MapsMax");
        json_decref(event);
        event = parse("{'kind': 'state', 'cgroup': '/a', 'usage': 2048, 'high': null, 'max': null, "
                      "'from': 'ok', 'to': 'max', 'limit': 'MapsMax'}");
        assert_string_equal(event_text(event, false, text), "/a: ok -> max (2.0K, MapsMax), High none, Max none");
        json_decref(event);
        event = parse("{'kind': 'throttle', 'cgroup': '/a', 'usage': 2048, 'high': 1024, 'pauseUSec': 1500}");
        assert_string_equal(event_text(event, false, text), "/a: throttled for 1.5 ms at 2.0K, High 1.0K");
        json_decref(event);
        /* As many digits as it takes to see what is over what. */
        event = parse("{'kind': 'refusal', 'cgroup': '/a', 'usage': 0, 'max': 16777216, 'objectKind': 'map', "
                      "'objectType': 'hash', 'objectName': 'm', 'size': 16800000, 'pid': null}");
        assert_string_equal(event_text(event, false, text), "/a: refused map hash m of 16.02M at 0B, Max 16.00M");
        json_decref(event);
        event = parse("{'kind': 'state', 'cgroup': '/a', 'usage': 1048577, 'high': 1048576, 'max': 2097152, 'from': "
                      "'ok', 'to': 'high'}");
        assert_string_equal(event_text(event, false, text), "/a: ok -> high (1048577B), High 1048576B, Max 2097152B");
        json_decref(event);
        event = parse("{'kind': 'throttle', 'cgroup': '/a', 'usage': 1052000, 'high': 1048576, 'pauseUSec': 1500}");
        assert_string_equal(event_text(event, false, text), "/a: throttled for 1.5 ms at 1.003M, High 1.000M");
        json_decref(event);
}

/* --- Pictures ----------------------------------------------------------------------------------------------------- */

#define CGROUPS                                                                                              \
        "[{'path': '/', 'id': 1, 'exists': true, 'bpf': {'allocated': 4096, 'uncharged': 0, 'objects': 3}, " \
        "'budget': null},"                                                                                   \
        "{'path': '/system.slice/a-very-long-name-indeed.service', 'id': 2, 'exists': true, "                \
        "'bpf': {'allocated': 2048, 'uncharged': 1024, 'objects': 2}, "                                      \
        "'budget': {'state': 'high', 'usage': 2048, 'high': 1024, 'max': 4096}}]"

/* Every line fits the screen, there are as many as the screen has, and the columns of a budget are where they belong.
 */
static void assert_fits(size_t width, size_t height)
{
        json_t *rows = parse(CGROUPS);
        struct frame frame;
        struct frame_input input = {
                .view = VIEW_CGROUPS,
                .rows = rows,
                .width = width,
                .height = height,
                .selected = 0,
                .utf8 = true,
                .title = "title",
                .keys = "q quit",
        };

        assert_int_equal(frame_make(&frame, &input), 0);
        assert_int_equal(frame.count, height);
        for (size_t i = 0; i < frame.count; i++)
                assert_true(text_width(frame.lines[i].text) <= width);
        assert_int_equal(frame.lines[0].look, LOOK_TITLE);
        assert_int_equal(frame.lines[3].look, LOOK_HEADER);
        assert_int_equal(frame.lines[4].look, LOOK_SELECTED);
        assert_int_equal(frame.lines[5].look, LOOK_HIGH);
        assert_non_null(strstr(frame.lines[3].text, "CGROUP"));
        assert_non_null(strstr(frame.lines[5].text, "[█████"));
        assert_string_equal(frame.lines[height - 1].text, "q quit");
        frame_deinit(&frame);
        json_decref(rows);
}

static void test_frame_fits(void **state)
{
        (void) state;
        assert_fits(80, 24);
        assert_fits(200, 50);
        assert_fits(120, 10);
}

/* On a screen of any width, sizes in bytes too, the last column is whole and the path has eight columns at least. */
static void test_frame_widths(void **state)
{
        json_t *rows = parse(CGROUPS);

        (void) state;
        for (size_t width = 75; width < 300; width++)
                for (int exact = 0; exact < 2; exact++) {
                        struct frame frame;
                        struct frame_input input = {
                                .view = VIEW_CGROUPS, .rows = rows, .width = width, .selected = -1, .exact = exact
                        };
                        const char *header;

                        assert_int_equal(frame_make(&frame, &input), 0);
                        header = frame.lines[3].text;
                        assert_string_equal(header + strlen(header) - strlen("LAST MINUTE"), "LAST MINUTE");
                        assert_int_equal(strncmp(header, "CGROUP   ", 9), 0);
                        assert_null(strstr(header, "…"));
                        assert_non_null(strstr(frame.lines[4].text, exact ? " 4096 " : " 4.0K "));
                        frame_deinit(&frame);
                }
        json_decref(rows);
}

/* Which columns there are, by the width of the screen: wider ones, as bytes are, leave room for fewer. */
static void test_frame_columns(void **state)
{
        static const struct {
                size_t width;
                bool exact;
                const char *columns;
        } cases[] = {
                { 80, false, "CGROUP BPF UNCHARGED OBJ STATE BUDGET LAST MINUTE" },
                { 99, false, "CGROUP BPF UNCHARGED OBJ STATE BUDGET LAST MINUTE" },
                { 100, false, "CGROUP BPF CHARGED UNCHARGED OBJ STATE BUDGET LAST MINUTE" },
                { 110, false, "CGROUP BPF CHARGED UNCHARGED OBJ RSS STATE BUDGET LAST MINUTE" },
                { 120, false, "CGROUP BPF CHARGED UNCHARGED OBJ RSS FOOTPRINT STATE BUDGET LAST MINUTE" },
                { 149, false, "CGROUP BPF CHARGED UNCHARGED OBJ RSS FOOTPRINT STATE BUDGET LAST MINUTE" },
                { 150, false, "CGROUP BPF CHARGED UNCHARGED OBJ RSS FOOTPRINT STATE BUDGET HIGH MAX LAST MINUTE" },
                { 109, true, "CGROUP BPF UNCHARGED OBJ STATE BUDGET LAST MINUTE" },
                { 110, true, "CGROUP BPF CHARGED UNCHARGED OBJ STATE BUDGET LAST MINUTE" },
                { 150, true, "CGROUP BPF CHARGED UNCHARGED OBJ RSS FOOTPRINT STATE BUDGET LAST MINUTE" },
                { 200, true, "CGROUP BPF CHARGED UNCHARGED OBJ RSS FOOTPRINT STATE BUDGET HIGH MAX LAST MINUTE" },
        };
        json_t *rows = parse(CGROUPS);

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct frame frame;
                struct frame_input input = { .view = VIEW_CGROUPS,
                        .rows = rows,
                        .width = cases[i].width,
                        .selected = -1,
                        .exact = cases[i].exact };
                char titles[256] = "", *saved, *header;

                assert_int_equal(frame_make(&frame, &input), 0);
                header = strdup(frame.lines[3].text);
                for (char *word = strtok_r(header, " ", &saved); word; word = strtok_r(NULL, " ", &saved)) {
                        strcat(titles, *titles ? " " : "");
                        strcat(titles, word);
                }
                assert_string_equal(titles, cases[i].columns);
                free(header);
                frame_deinit(&frame);
        }
        json_decref(rows);
}

static void test_frame_is_cut(void **state)
{
        json_t *rows = parse(CGROUPS);
        struct frame frame;
        struct frame_input input = { .view = VIEW_CGROUPS,
                .rows = rows,
                .width = 80,
                .height = 6,
                .first = 1,
                .selected = 1,
                .title = "",
                .keys = "" };

        (void) state;
        /* One row is left, the second. */
        assert_int_equal(frame_make(&frame, &input), 0);
        assert_int_equal(frame.rows_shown, 1);
        assert_non_null(strstr(frame.lines[4].text, "service"));
        /* Half of Max, in ASCII. */
        assert_non_null(strstr(frame.lines[4].text, "[#####     ]"));
        frame_deinit(&frame);

        /* For print: all rows, and nothing of a path is cut. */
        input.width = input.height = input.first = 0;
        input.keys = NULL;
        assert_int_equal(frame_make(&frame, &input), 0);
        assert_int_equal(frame.rows_shown, 2);
        assert_non_null(strstr(frame.lines[5].text, "/system.slice/a-very-long-name-indeed.service"));
        frame_deinit(&frame);
        json_decref(rows);
}

/* --- The ends of each --------------------------------------------------------------------------------------------- */

static void test_field_order(void **state)
{
        /* Each is less than the next: missing, numbers, texts, lists by their length. */
        json_t *rows = parse("[{'n': '0'}, {'n': '1', 's': null}, {'n': '2', 's': false}, {'n': '3', 's': true}]"),
               *more;
        char key[80];

        (void) state;
        assert_int_equal(field_compare(json_array_get(rows, 0), json_array_get(rows, 1), "s"), 0);
        assert_true(field_compare(json_array_get(rows, 1), json_array_get(rows, 2), "s") < 0);
        assert_true(field_compare(json_array_get(rows, 2), json_array_get(rows, 3), "s") < 0);
        assert_true(field_compare(json_array_get(rows, 3), json_array_get(rows, 2), "s") > 0);
        json_decref(rows);
        rows = parse("[{'n': 'a', 's': [1, 2]}, {'n': 'b', 's': 'x'}, {'n': 'c', 's': [7]}, {'n': 'd', 's': 9}, "
                     "{'n': 'e'}, {'n': 'f', 's': 'w'}]");
        assert_int_equal(field_sort(rows, "s", false), 0);
        assert_order(rows, "n", "e d f b c a");
        assert_int_equal(field_sort(rows, "s", true), 0);
        assert_order(rows, "n", "a c b f d e");
        json_decref(rows);
        /* A sum as well. */
        rows = parse("[{'n': 'a', 'x': 1, 'y': 9}, {'n': 'b', 'x': 3, 'y': 1}, {'n': 'c', 'x': 4, 'y': 4}]");
        assert_int_equal(field_sort(rows, "x+y", true), 0);
        assert_order(rows, "n", "a c b");
        json_decref(rows);
        /* More digits than an int has. */
        rows = parse("[{'n': 'a', 's': 4294967297}, {'n': 'b', 's': 2}, {'n': 'c', 's': 9000000000000000000}]");
        assert_int_equal(field_sort(rows, "s", true), 0);
        assert_order(rows, "n", "c a b");
        json_decref(rows);
        /* Keys are short. */
        memset(key, 'k', sizeof(key));
        key[63] = '\0';
        more = json_pack("{si}", key, 5);
        assert_int_equal(field_integer(more, key), 5);
        key[63] = 'k';
        key[64] = '\0';
        json_object_set_new(more, key, json_integer(6));
        assert_int_equal(field_integer(more, key), 0);
        json_decref(more);
        rows = json_array();
        assert_int_equal(field_sort(rows, "s", false), 0);
        json_decref(rows);
}

static void test_group_labels(void **state)
{
        json_t *objects = parse(
                        "[{'kind': 'map', 'id': 1, 'type': 'hash', 'name': '', 'allocated': 5, 'pins': ['/x'], "
                        "'usedBy': [4]}, {'kind': 'program', 'id': 4, 'type': 'xdp', 'name': '', 'allocated': 3, "
                        "'pins': ['relative']}, {'kind': 'map', 'id': 4, 'name': '__a-b', 'allocated': 2, "
                        "'usedBy': [9]}, {'kind': 'map', 'id': 5, 'name': '_._', 'allocated': 1}]");
        json_t *groups = group_objects(objects, GROUP_NAME_PREFIX);

        (void) state;
        assert_order(groups, "group", "(no name) __a _._");
        assert_group(groups, "(no name)", 1, 1, 8, 0);
        json_decref(groups);
        groups = group_objects(objects, GROUP_PIN_DIR);
        assert_order(groups, "group", "/x relative (no pin seen)");
        json_decref(groups);
        /* A program without a name is its id; a map of that id is no program. */
        groups = group_objects(objects, GROUP_PROGRAM);
        assert_order(groups, "group", "4 9 (no program)");
        assert_group(groups, "4", 1, 1, 8, 0);
        assert_group(groups, "9", 1, 0, 2, 0);
        json_decref(groups);
        json_decref(objects);
        for (int i = GROUP_CGROUP; i < GROUPINGS; i++) {
                static const uint32_t relations[] = { [GROUP_PIN_DIR] = RELATION_PINS,
                        [GROUP_HOLDER] = RELATION_HOLDERS,
                        [GROUP_PROGRAM] = RELATION_USES };

                assert_int_equal(grouping_relations(i), relations[i]);
        }
}

static void test_graph_steps(void **state)
{
        static const uint64_t rise[] = { 0, 1, 2, 3, 4, 5, 6, 7 }, zero[] = { 0, 0 };
        char line[GRAPH_SIZE_MAX];

        (void) state;
        assert_string_equal(graph_sparkline(line, 8, rise, 8, true), "▁▂▃▄▅▆▇█");
        assert_string_equal(graph_sparkline(line, 8, rise, 8, false), "__.--=+#");
        assert_string_equal(graph_sparkline(line, 2, zero, 2, true), "▁▁");
        assert_int_equal(strlen(graph_sparkline(line, 1000, rise + 7, 1, true)), GRAPH_SIZE_MAX - 1);
        /* Each eighth of a column, and half a column in ASCII. */
        assert_string_equal(graph_bar(line, 1, 1, 8, GRAPH_NO_MARK, true), "▏");
        assert_string_equal(graph_bar(line, 1, 4, 8, GRAPH_NO_MARK, true), "▌");
        assert_string_equal(graph_bar(line, 1, 7, 8, GRAPH_NO_MARK, true), "▉");
        assert_string_equal(graph_bar(line, 2, 11, 16, GRAPH_NO_MARK, false), "# ");
        assert_string_equal(graph_bar(line, 2, 12, 16, GRAPH_NO_MARK, false), "##");
        /* A bar that has come into the column of the mark hides it. */
        assert_string_equal(graph_bar(line, 4, 50, 100, 50, false), "##| ");
        assert_string_equal(graph_bar(line, 4, 53, 100, 50, true), "██▏ ");
        assert_string_equal(graph_bar(line, 4, 0, 100, 0, true), "|   ");
}

static void test_ellipsis(void **state)
{
        (void) state;
        assert_ellipsized("abcdefghij", 9, "abcdef…ij");
        assert_ellipsized("abcdefghij", 4, "ab…j");
        assert_ellipsized("abcdefghij", 3, "ab…");
        assert_ellipsized("abcdefghij", 2, "a…");
        assert_ellipsized("ab", 1, "…");
        assert_ellipsized("\x7f\t", 9, "??");
        /* A combining character takes no column. */
        assert_int_equal(text_width("e\xcc\x81"), 1);
        assert_ellipsized("e\xcc\x81", 1, "e\xcc\x81");
        /* Half a character at the end of a text. */
        assert_ellipsized("ab\xe6\xbc", 9, "ab??");
}

static void test_history_gaps(void **state)
{
        struct history history = {};
        uint64_t values[HISTORY_SECONDS];

        (void) state;
        assert_int_equal(history_put(&history, 1, 1000, 5), 0);
        assert_int_equal(history_put(&history, 1, 1060, 7), 0);
        history_get(&history, 1, 1060, values);
        /* The second 1000 is out of the minute, those behind it had its value. */
        assert_int_equal(values[0], 5);
        assert_int_equal(values[58], 5);
        assert_int_equal(values[59], 7);
        history_get(&history, 1, 1119, values);
        assert_int_equal(values[0], 7);
        assert_true(values[1] == GRAPH_UNKNOWN);
        history_get(&history, 1, 1120, values);
        assert_true(values[0] == GRAPH_UNKNOWN);
        /* Each has its own, and only who is silent is forgotten. */
        assert_int_equal(history_put(&history, 2, 1100, 9), 0);
        history_get(&history, 2, 1100, values);
        assert_true(values[58] == GRAPH_UNKNOWN);
        assert_int_equal(values[59], 9);
        history_prune(&history, 1120);
        history_get(&history, 2, 1120, values);
        assert_int_equal(values[39], 9);
        history_get(&history, 1, 1100, values);
        assert_true(values[59] == GRAPH_UNKNOWN);
        history_deinit(&history);
}

static void test_assignment_ends(void **state)
{
        char reason[ASSIGNMENT_REASON_MAX];
        json_t *parameters = json_object(), *expected;

        (void) state;
        assert_int_equal(assignment_parse("high=infinity", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("MAX=0", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("mapsmax=9223372036854775807", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("ClearPercent=", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("OnHigh=", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("OnMax=alert", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("Count=allocated", 1000, parameters, reason), 0);
        assert_int_equal(assignment_parse("FootprintRatioHigh=200", 1000, parameters, reason), 0);
        expected = parse("{'high': null, 'max': 0, 'mapsMax': 9223372036854775807, 'clearPercent': null, 'onHigh': "
                         "null, "
                         "'onMax': 'alert', 'count': 'allocated', 'footprintRatioHigh': 200}");
        assert_true(json_equal(parameters, expected));
        /* The last one counts. */
        assert_int_equal(assignment_parse("Max=5", 1000, parameters, reason), 0);
        assert_int_equal(field_integer(parameters, "max"), 5);
        json_decref(parameters);
        json_decref(expected);
        assert_wrong("MapsMax=9223372036854775808", "not a number");
        assert_wrong("MapsMax=10%", "not a number");
        assert_wrong("MapsMax=+1", "not a number");
        assert_wrong("ClearPercent=5%%", "not a percentage");
        assert_wrong("ClearPercent=infinity", "not a percentage");
        assert_wrong("OnHigh=Alert", "alert or throttle");
        assert_wrong("Count=both", "allocated, charged or committed");
        assert_wrong("Unbounded=no", "refuse or allow");
        assert_wrong("Hig=1", "unknown key");
        assert_wrong("Highs=1", "unknown key");
        parameters = json_object();
        assert_int_equal(assignment_parse("High=10%", 0, parameters, reason), -EINVAL);
        assert_string_equal(reason, "the size of the RAM is not known");
        json_decref(parameters);
}

static void assert_color(const char *text, const char *color)
{
        json_t *event = parse(text);

        assert_string_equal(event_color(event), color);
        json_decref(event);
}

static void test_event_colors(void **state)
{
        char text[EVENT_TEXT_MAX];
        json_t *event;

        (void) state;
        assert_color("{'kind': 'refusal'}", "\033[1;31m");
        assert_color("{'kind': 'state', 'from': 'high', 'to': 'max'}", "\033[1;31m");
        assert_color("{'kind': 'state', 'from': 'max', 'to': 'high'}", "\033[1;33m");
        assert_color("{'kind': 'throttle'}", "\033[1;33m");
        assert_color("{'kind': 'state', 'from': 'high', 'to': 'ok'}", "");
        /* No character of a name controls anything. */
        event = parse("{'kind': 'new', 'cgroup': '/\\u0001\\u001f\\u007f\\u0080\\u009f\\u00a0 ~', 'usage': 5}");
        assert_string_equal(event_text(event, false, text), "/???????\u00a0 ~: new at 5B");
        json_decref(event);
        event = parse("{'kind': 'state', 'cgroup': '/a', 'usage': 2048, 'high': 1, 'max': 2, 'from': 'ok', 'to': "
                      "'max', "
                      "'limit': 'Max'}");
        assert_string_equal(event_text(event, true, text), "/a: ok -> max (2048), High 1, Max 2");
        json_decref(event);
        event = parse("{'kind': 'throttle', 'cgroup': '/a', 'usage': 2048, 'high': null, 'pauseUSec': 12345, 'pid': 3, "
                      "'comm': 'c'}");
        assert_string_equal(event_text(event, true, text), "/a: throttled for 12.3 ms at 2048, High none by c[3]");
        json_decref(event);
}

/* One line of a picture, without the time. */
static void assert_row(const struct frame_input *input, size_t line, enum frame_look look, const char *expected)
{
        struct frame frame;

        assert_int_equal(frame_make(&frame, input), 0);
        assert_true(line < frame.count);
        assert_string_equal(frame.lines[line].text, expected);
        assert_int_equal(frame.lines[line].look, look);
        frame_deinit(&frame);
}

static void test_frame_rows(void **state)
{
        json_t *rows = parse(
                        "[{'path': '/a', 'id': 1, 'exists': true, 'bpf': {'allocated': 1, 'uncharged': 2, 'objects': "
                        "3}, 'budget': {'state': 'max', 'usage': 5, 'high': null, 'max': 10}},"
                        "{'path': '/a/b', 'id': 2, 'exists': false, 'bpf': {'allocated': 4, 'uncharged': 5, "
                        "'objects': 6}, 'budget': {'state': 'max', 'usage': 5, 'high': 10, 'max': null}},"
                        "{'path': null, 'id': 3, 'bpf': {}, 'budget': {'state': 'ok', 'usage': 5, 'high': null, "
                        "'max': null}}]");
        ssize_t parents[] = { -1, 0, -1 };
        struct history history = {};
        struct frame_input input = { .view = VIEW_CGROUPS, .rows = rows, .width = 80, .selected = -1 };

        (void) state;
        assert_row(&input, 0, LOOK_TITLE, "");
        assert_row(&input, 3, LOOK_HEADER,
                        "CGROUP                      BPF UNCHARGED    OBJ STATE BUDGET       LAST MINUTE");
        assert_row(&input, 4, LOOK_MAX, "/a                           1B        2B      3 max   [#####     ]");
        assert_row(&input, 5, LOOK_DIM, "/a/b (gone)                  4B        5B      6 max   [#####     ]");
        assert_row(&input, 6, LOOK_PLAIN, "(unknown)                     -         -      - ok");
        input.parents = parents;
        input.exact = true;
        assert_row(&input, 5, LOOK_DIM, "  b (gone)                4             5      6 max   [#####     ]");
        input.selected = 1;
        assert_row(&input, 5, LOOK_SELECTED, "  b (gone)                4             5      6 max   [#####     ]");
        input.exact = false;
        assert_int_equal(history_put(&history, 2, 100, 7), 0);
        input.history = &history;
        input.second = 100;
        assert_row(&input, 5, LOOK_SELECTED,
                        "  b (gone)                   4B        5B      6 max   [#####     ]            #");
        history_deinit(&history);
        json_decref(rows);
}

static void test_frame_objects(void **state)
{
        json_t *rows = parse(
                        "[{'kind': 'map', 'id': 5, 'type': 'hash', 'name': 'm', 'allocated': 1024, 'charged': 512, "
                        "'uncharged': 512, 'entries': 3, 'maxEntries': 4, 'holders': [{'comm': 'a', 'pid': 1}, "
                        "{'comm': 'b', 'pid': 2}], 'pins': ['/p', '/q']},"
                        "{'kind': 'program', 'id': 6, 'type': 'xdp', 'name': 'a_name_of_sixteen', 'allocated': 0, "
                        "'charged': 0, 'uncharged': 0, 'entries': null, 'maxEntries': null, 'holders': [], 'pins': "
                        "['/r']}]");
        struct frame_input input = { .view = VIEW_OBJECTS, .rows = rows, .width = 120, .selected = -1 };

        (void) state;
        assert_row(&input, 3, LOOK_HEADER,
                        "KIND         ID TYPE                   NAME                 BPF  CHARGED UNCHARGED   ENTRIES  "
                        " "
                        "    MAX HOLDERS AND PINS");
        assert_row(&input, 4, LOOK_PLAIN,
                        "map           5 hash                   m                   1.0K     512B      512B         3  "
                        " "
                        "      4 a[1] b[2] /p /q");
        assert_row(&input, 5, LOOK_PLAIN,
                        "program       6 xdp                    a_name_of_…teen       0B       0B        0B         -  "
                        " "
                        "      - /r");
        input.utf8 = true;
        input.width = 100;
        assert_row(&input, 3, LOOK_HEADER,
                        "KIND         ID TYPE           NAME                 BPF  CHARGED UNCHARGED HOLDERS AND PINS");
        input.width = 80;
        assert_row(&input, 5, LOOK_PLAIN, "      6 xdp            a_name_of_…teen       0B        0B /r");
        /* An id is whole, however many objects there have been. */
        json_object_set_new(json_array_get(rows, 0), "id", json_integer(4294967295));
        assert_row(&input, 5, LOOK_PLAIN, "         6 xdp            a_name_of_…teen       0B        0B /r");
        assert_row(&input, 4, LOOK_PLAIN,
                        "4294967295 hash           m                   1.0K      512B a[1] b[2] /p /q");
        json_decref(rows);
}

/* What @object, in JSON, wastes where 8 CPUs are possible and 2 online: "SAVED CHANGE" of each, to be freed. */
static char *waste(const char *object)
{
        json_t *json = parse(object), *findings = json_array();
        char *text = calloc(1, 512);

        assert_non_null(text);
        assert_int_equal(waste_find(json, 8, 2, findings), 0);
        for (size_t i = 0; i < json_array_size(findings); i++)
                snprintf(text + strlen(text), 512 - strlen(text), "%s%lld %s", i ? "; " : "",
                                (long long) field_integer(json_array_get(findings, i), "saved"),
                                field_string(json_array_get(findings, i), "change"));
        json_decref(findings);
        json_decref(json);
        return text;
}

#define assert_waste(object, expected)                \
        do {                                          \
                char *found = waste(object);          \
                                                      \
                assert_string_equal(found, expected); \
                free(found);                          \
        } while (0)

#define HASH "'kind': 'map', 'id': 5, 'type': 'hash', 'keySize': 4, 'valueSize': 8, 'allocated': 10000000"

static void test_waste(void **state)
{
        (void) state;
        /* 64 bytes an element; room for twice of what there is. */
        assert_waste("{" HASH ", 'flags': 0, 'maxEntries': 10000, 'entries': 100}",
                        "623616 create it with BPF_F_NO_PREALLOC, or with max_entries=256");
        assert_waste("{" HASH ", 'flags': 1, 'maxEntries': 10000, 'entries': 100}", "");
        assert_waste("{" HASH ", 'flags': 0, 'maxEntries': 10000, 'entries': 1000}", "");
        assert_waste("{" HASH ", 'flags': 0, 'maxEntries': 10000, 'entries': null}", "");
        assert_waste("{" HASH ", 'flags': 0, 'maxEntries': 1000, 'entries': 1}", "");
        assert_waste("{'kind': 'map', 'type': 'percpu_array', 'valueSize': 1020, 'allocated': 8192000, 'flags': 0, "
                     "'maxEntries': 1000, 'entries': null}",
                        "6144000 boot with possible_cpus=2");
        assert_waste("{'kind': 'map', 'type': 'percpu_hash', 'keySize': 4, 'valueSize': 1024, 'allocated': 90000000, "
                     "'flags': 1, 'maxEntries': 10000, 'entries': 100}",
                        "614400 boot with possible_cpus=2");
        assert_waste("{'kind': 'map', 'type': 'lru_hash', 'keySize': 4, 'valueSize': 1024, 'allocated': 90000000, "
                     "'flags': 0, 'maxEntries': 10000, 'entries': 1}",
                        "");
        assert_waste("{'kind': 'program', 'type': 'xdp', 'allocated': 90000000}", "");
}

/* Tuesday, 2026-12-01 06:30:00 UTC */
#define TUESDAY 1796106600ULL

static void expect_when(const char *text, uint64_t expected)
{
        uint64_t usec = 0;

        if (when_parse(text, TUESDAY * 1000000, &usec) != 0 || usec != expected * 1000000)
                fail_msg("%s: %llu", text, (unsigned long long) usec / 1000000);
}

static void test_when(void **state)
{
        static const char *const wrong[] = { "", "someday", "-", "3d", "-3x", "2 ago", "ago", " ago", "2026-13-01",
                "2026-02-31", "24:61", "@", "@x", "2026-12-01 06:30x", "-99999999999999999999d",
                "a very long text that is no moment of any kind, and goes on and on" };
        uint64_t midnight = TUESDAY - 6 * 3600 - 1800, usec;

        (void) state;
        setenv("TZ", "UTC", 1);
        tzset();
        expect_when("now", TUESDAY);
        expect_when("@17", 17);
        expect_when("-3d", TUESDAY - 3 * 86400);
        expect_when("2h ago", TUESDAY - 7200);
        expect_when("1h 30min ago", TUESDAY - 5400);
        expect_when("-1h30m", TUESDAY - 5400);
        expect_when("-2 weeks", TUESDAY - 14 * 86400);
        expect_when("today", midnight);
        expect_when("Yesterday", midnight - 86400);
        expect_when("tuesday", midnight);
        expect_when("mon", midnight - 86400);
        expect_when("Wednesday", midnight - 6 * 86400);
        expect_when("2026-12-01", midnight);
        expect_when("2026-11-30 10:00", midnight - 86400 + 36000);
        expect_when("2026-11-30T10:00:05", midnight - 86400 + 36005);
        expect_when("04:00", midnight + 4 * 3600);
        /* Before 1970 there was nothing. */
        expect_when("-9000w", 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                if (when_parse(wrong[i], TUESDAY * 1000000, &usec) != -EINVAL)
                        fail_msg("'%s' is a moment", wrong[i]);
        setenv("TZ", "Europe/Berlin", 1);
        tzset();
        expect_when("2026-12-01 05:00Z", midnight + 5 * 3600);
        expect_when("2026-12-01 05:00 UTC", midnight + 5 * 3600);
        setenv("TZ", "UTC-1", 1);
        tzset();
        expect_when("2026-12-01 05:00", midnight + 4 * 3600);
        expect_when("today", midnight - 3600);
        unsetenv("TZ");
        tzset();
}

static void expect_conclusion(const char *answer, const char *expected)
{
        json_t *json = parse(answer);
        char *text = why_conclusion(json);

        assert_non_null(text);
        assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
        free(text);
        json_decref(json);
}

#define REFUSALS "'refusals': [{'limit': 'Max', 'budget': 'b'}, {'limit': 'MapsMax', 'budget': 'c'}]"
#define REACHED  "'memoryEvents': [{'cgroup': '/a/b', 'max': 0, 'oom': 0}, {'cgroup': '/a', 'max': 3, 'oom': 0}]"
#define SINCE    "'refusalsSince': 1796083200000000,"
#define CALM     "'memoryEvents': [{'cgroup': '/a', 'max': 0, 'oom': 0}]"

static void test_why(void **state)
{
        (void) state;
        setenv("TZ", "UTC", 1);
        tzset();
        expect_conclusion("{" REFUSALS "," SINCE CALM "}",
                        "Max of budget b refused (ENOMEM) at the times above; an ENOMEM at "
                        "another time since 2026-12-01 00:00:00 was from the kernel's allocators");
        expect_conclusion("{" REFUSALS "," SINCE REACHED "}",
                        "Max of budget b refused (ENOMEM) at the times above; an ENOMEM "
                        "at another time since 2026-12-01 00:00:00 may be from memory.max of /a or");
        expect_conclusion("{'refusals': []," SINCE REACHED "}",
                        "No budget refused anything since 2026-12-01 00:00:00. An ENOMEM after that is most likely "
                        "from memory.max of /a,");
        expect_conclusion("{'refusals': []," SINCE CALM "}",
                        "Neither a budget nor memory.max refused anything since 2026-12-01 00:00:00: an ENOMEM after "
                        "that was from the kernel's allocators");
        expect_conclusion("{'refusals': []," CALM "}",
                        "Neither a budget nor memory.max refused anything since the start of the daemon: an ENOMEM");
}

static void test_why_process(void **state)
{
        char v1[] = "5:cpu,memory:/m\n4:memorystuff:/n\n0::/u\n", v2[] = "0::/u/x.service\n", none[] = "";
        char hybrid[] = "3:cpu:/c\n0::/u\n";

        (void) state;
        assert_string_equal(why_memory_cgroup(v1), "/m");
        assert_string_equal(why_memory_cgroup(v2), "/u/x.service");
        assert_string_equal(why_memory_cgroup(hybrid), "/u");
        assert_null(why_memory_cgroup(none));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_field_values),
                cmocka_unit_test(test_field_sort),
                cmocka_unit_test(test_slices),
                cmocka_unit_test(test_group_by_what_each_has),
                cmocka_unit_test(test_group_by_relations),
                cmocka_unit_test(test_grouping_names),
                cmocka_unit_test(test_bar),
                cmocka_unit_test(test_sparkline),
                cmocka_unit_test(test_ellipsize),
                cmocka_unit_test(test_format_bytes),
                cmocka_unit_test(test_history),
                cmocka_unit_test(test_assignments),
                cmocka_unit_test(test_tree),
                cmocka_unit_test(test_workload_label),
                cmocka_unit_test(test_large_tree),
                cmocka_unit_test(test_event_text),
                cmocka_unit_test(test_frame_fits),
                cmocka_unit_test(test_frame_widths),
                cmocka_unit_test(test_frame_columns),
                cmocka_unit_test(test_frame_is_cut),
                cmocka_unit_test(test_field_order),
                cmocka_unit_test(test_group_labels),
                cmocka_unit_test(test_graph_steps),
                cmocka_unit_test(test_ellipsis),
                cmocka_unit_test(test_history_gaps),
                cmocka_unit_test(test_assignment_ends),
                cmocka_unit_test(test_event_colors),
                cmocka_unit_test(test_frame_rows),
                cmocka_unit_test(test_frame_objects),
                cmocka_unit_test(test_waste),
                cmocka_unit_test(test_when),
                cmocka_unit_test(test_why),
                cmocka_unit_test(test_why_process),
        };

        /* Part of every libc; the texts are UTF-8. */
        if (!setlocale(LC_ALL, "C.UTF-8"))
                return 1;
        return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
