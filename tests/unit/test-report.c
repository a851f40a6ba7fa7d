/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/policy.h"
#include "daemon/report.h"

#include "fake-kernel.h"

static void test_format_size(void **state)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0B" },
                { 1023, "1023B" },
                { 1024, "1.0K" },
                { 1536, "1.5K" },
                { 1048575, "1.0M" },
                { 1048576, "1.0M" },
                { 5ULL << 30, "5.0G" },
                { 3ULL << 40, "3.0T" },
                { UINT64_MAX, "16.0E" },
        };
        char buffer[FORMAT_SIZE_MAX];

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_string_equal(format_size(buffer, cases[i].bytes), cases[i].text);
}

static void test_type_names(void **state)
{
        char buffer[FORMAT_SIZE_MAX];

        (void) state;
        assert_string_equal(object_type_name(&(struct object_record){ .kind = OBJECT_MAP, .type = 1 }, buffer), "hash");
        assert_string_equal(
                        object_type_name(&(struct object_record){ .kind = OBJECT_MAP, .type = 33 }, buffer), "arena");
        assert_string_equal(object_type_name(&(struct object_record){ .kind = OBJECT_MAP, .type = 999 }, buffer),
                        "type-999");
        assert_string_equal(object_type_name(&(struct object_record){ .kind = OBJECT_PROGRAM, .type = 1 }, buffer),
                        "socket_filter");
}

static void test_object_json(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a" };
        struct object object = {
                .record = { .kind = OBJECT_MAP,
                                .id = 5,
                                .type = 1,
                                .name = "fifteen_letters",
                                .allocated = 100,
                                .charged = 60,
                                .entries = ENTRIES_UNKNOWN,
                                .key_size = 4,
                                .attribution = ATTRIBUTION_CHARGED },
                .cgroup = &cgroup,
        };
        json_t *json = object_to_json(&object, NULL);

        (void) state;
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "kind")), "map");
        assert_string_equal(json_string_value(json_object_get(json, "name")), "fifteen_letters");
        assert_string_equal(json_string_value(json_object_get(json, "cgroup")), "/a");
        assert_int_equal(json_integer_value(json_object_get(json, "uncharged")), 40);
        assert_int_equal(json_integer_value(json_object_get(json, "keySize")), 4);
        assert_true(json_is_null(json_object_get(json, "entries")));
        assert_true(json_is_true(json_object_get(json, "exact")));
        json_decref(json);
}

static void test_origin_json(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a", .exists = true };
        struct creator creator = { 42, "loader", "" };
        struct object object = { .record = { .kind = OBJECT_MAP, .type = 1, .marks = OBJECT_OWN }, .cgroup = &cgroup };
        json_t *json = object_to_json(&object, NULL);

        (void) state;
        assert_string_equal(json_string_value(json_object_get(json, "owner")), "self");
        assert_true(json_is_null(json_object_get(json, "creator")));
        assert_true(json_is_false(json_object_get(json, "cgroupGone")));
        assert_true(json_is_null(json_object_get(json, "lastCgroup")));
        json_decref(json);

        object.creator = &creator;
        object.last_cgroup = (char *) "/a/b";
        json = object_to_json(&object, NULL);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "creator"), "pid")), 42);
        assert_true(json_is_null(json_object_get(json_object_get(json, "creator"), "buildId")));
        assert_true(json_is_true(json_object_get(json, "cgroupGone")));
        assert_string_equal(json_string_value(json_object_get(json, "lastCgroup")), "/a/b");
        json_decref(json);
}

/* Relations are in the JSON if they were asked for, empty where there is none. */
static void test_relations_json(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a" };
        struct object map = { .record = { .kind = OBJECT_MAP, .id = 5, .type = 1 }, .cgroup = &cgroup };
        struct object program = { .record = { .kind = OBJECT_PROGRAM, .id = 5, .type = 1 }, .cgroup = &cgroup };
        struct pin pin = { OBJECT_MAP, 5, (char *) "/pins/a" };
        struct holder holder = { .record = { .kind = OBJECT_MAP, .id = 5, .pid = 3, .comm = "sh" },
                .cgroup = &cgroup,
                .path = (char *) "/a" };
        struct use_record use = { 9, 5 };
        struct relations relations = { RELATION_HOLDERS | RELATION_PINS | RELATION_USES, &holder, &pin, &use, &use, 1,
                1, 1 };
        json_t *json = object_to_json(&map, &relations), *entry;

        (void) state;
        entry = json_array_get(json_object_get(json, "holders"), 0);
        assert_int_equal(json_integer_value(json_object_get(entry, "pid")), 3);
        assert_string_equal(json_string_value(json_object_get(entry, "cgroup")), "/a");
        assert_true(json_is_null(json_object_get(entry, "exe")));
        assert_true(json_is_null(json_object_get(entry, "buildId")));
        assert_string_equal(json_string_value(json_array_get(json_object_get(json, "pins"), 0)), "/pins/a");
        assert_int_equal(json_integer_value(json_array_get(json_object_get(json, "usedBy"), 0)), 9);
        assert_null(json_object_get(json, "maps"));
        json_decref(json);

        relations.asked = RELATION_PINS;
        json = object_to_json(&program, &relations);
        assert_int_equal(json_array_size(json_object_get(json, "pins")), 0);
        assert_true(json_is_array(json_object_get(json, "pins")));
        assert_null(json_object_get(json, "holders"));
        assert_null(json_object_get(json, "maps"));
        json_decref(json);
}

static void test_program_has_no_keys(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a" };
        struct object object = { .record = { .kind = OBJECT_PROGRAM, .id = 5, .type = 1, .entries = ENTRIES_UNKNOWN },
                .cgroup = &cgroup };
        json_t *json = object_to_json(&object, NULL);

        (void) state;
        assert_string_equal(json_string_value(json_object_get(json, "kind")), "program");
        assert_true(json_is_null(json_object_get(json, "keySize")));
        json_decref(json);
}

static void test_memlock_is_marked(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a" };
        struct object object = {
                .record = { .kind = OBJECT_MAP, .type = 99, .marks = OBJECT_UNKNOWN_TYPE | OBJECT_MEMLOCK },
                .cgroup = &cgroup
        };
        json_t *json = object_to_json(&object, NULL);

        (void) state;
        assert_true(json_is_false(json_object_get(json, "exact")));
        assert_string_equal(json_string_value(json_object_get(json, "source")), "memlock");
        json_decref(json);
}

/* cgroup names are any bytes but a slash. */
static void test_path_that_is_not_utf8(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/\xff\xfe" };
        json_t *json = cgroup_to_json(&cgroup);

        (void) state;
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "path")), "/?"
                                                                              "?");
        json_decref(json);
}

static void test_cgroup_json(void **state)
{
        struct cgroup cgroup = {
                .id = 7,
                .path = (char *) "/a",
                .exists = true,
                .self = { .allocated = 1, .rss = { [RSS_FILE] = 4096 } },
                .total = { .allocated = 10,
                                .charged = 4,
                                .maps = 7,
                                .programs = 2,
                                .jit = 1,
                                .map_count = 2,
                                .program_count = 1,
                                .rss = { [RSS_ANON] = 100, [RSS_SWAP] = 1000 } },
        };
        json_t *json = cgroup_to_json(&cgroup), *bpf;

        (void) state;
        bpf = json_object_get(json, "bpf");
        assert_int_equal(json_integer_value(json_object_get(bpf, "allocated")), 10);
        assert_int_equal(json_integer_value(json_object_get(bpf, "uncharged")), 6);
        assert_int_equal(json_integer_value(json_object_get(bpf, "objects")), 3);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "self"), "allocated")), 1);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "rss"), "anon")), 100);
        assert_int_equal(json_integer_value(json_object_get(json, "footprint")), 1110);
        json_decref(json);
}

static void test_budget_json(void **state)
{
        struct budget budget = { .name = (char *) "b",
                .file = (char *) "/b.budget",
                .maps_max = 5,
                .programs_max = BUDGET_INFINITY,
                .on_high = ACTION_THROTTLE,
                .on_max = ACTION_DENY,
                .attribution = BUDGET_HOLDER,
                .count = COUNT_CHARGED,
                .clear_percent = 90,
                .high = 50,
                .max = BUDGET_INFINITY };
        struct policy policy = { .budget = &budget,
                .high = 40,
                .max = BUDGET_INFINITY,
                .level = LEVEL_HIGH,
                .limit = LIMIT_HIGH,
                .events = { .high = 3, .throttled_usec = 7 } };
        struct cgroup cgroup = { .id = 7, .total = { .allocated = 100, .charged = 42 }, .policy = &policy };
        json_t *json = cgroup_to_json(&cgroup), *section = json_object_get(json, "budget");
        char *text;

        (void) state;
        text = json_dumps(section, JSON_COMPACT);
        assert_string_equal(text, "{\"name\":\"b\",\"state\":\"high\",\"limit\":\"High\",\"high\":40,\"max\":null,"
                                  "\"mapsMax\":5,\"programsMax\":null,\"footprintRatioHigh\":null,"
                                  "\"onHigh\":\"throttle\",\"onMax\":\"deny\",\"count\":\"charged\",\"usage\":42,"
                                  "\"events\":{\"high\":3,\"max\":0,\"denied\":0,\"throttled\":0,"
                                  "\"throttledUSec\":7}}");
        free(text);
        json_decref(json);
        json = budget_to_json(&budget, true, 2);
        text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, "{\"name\":\"b\",\"file\":\"/b.budget\",\"runtime\":true,\"high\":50,\"max\":null,"
                                  "\"mapsMax\":5,\"programsMax\":null,\"footprintRatioHigh\":null,"
                                  "\"onHigh\":\"throttle\",\"onMax\":\"deny\",\"attribution\":\"holder\","
                                  "\"count\":\"charged\",\"clearPercent\":90,\"cgroups\":2}");
        free(text);
        json_decref(json);
}

static void test_writer(void **state)
{
        struct writer writer = {};

        (void) state;
        for (int i = 0; i < 2; i++) {
                writer_reset(&writer);
                writer_open(&writer, '{');
                writer_key(&writer, "a");
                writer_open(&writer, '{');
                writer_close(&writer, '}');
                writer_key(&writer, "b");
                writer_open(&writer, '[');
                for (int k = 0; k < 2; k++) {
                        writer_element(&writer);
                        writer_open(&writer, '{');
                        writer_key(&writer, "c");
                        writer_boolean(&writer, k);
                        writer_close(&writer, '}');
                }
                writer_element(&writer);
                writer_integer(&writer, INT64_MIN);
                writer_element(&writer);
                writer_integer(&writer, 0);
                writer_element(&writer);
                writer_string(&writer, NULL);
                writer_element(&writer);
                writer_string(&writer, "\"\\\n\x1f \xc3\xa9");
                writer_element(&writer);
                writer_string(&writer, "\"\xff");
                writer_element(&writer);
                writer_json(&writer, json_pack("[i]", 5));
                writer_close(&writer, ']');
                writer_close(&writer, '}');
        }
        assert_int_equal(writer.error, 0);
        writer_raw(&writer, (char[]){ '!', '\0' });
        writer.text[writer.size - 1] = '\0';
        assert_string_equal(writer.text, "{\"a\":{},\"b\":[{\"c\":false},{\"c\":true},-9223372036854775808,0,null,"
                                         "\"\\\"\\\\\\u000a\\u001f \xc3\xa9\",\"\\\"?\",[5]]}");
        writer_json(&writer, NULL);
        assert_int_equal(writer.error, -ENOMEM);
        writer_deinit(&writer);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_format_size),
                cmocka_unit_test(test_type_names),
                cmocka_unit_test(test_object_json),
                cmocka_unit_test(test_origin_json),
                cmocka_unit_test(test_relations_json),
                cmocka_unit_test(test_program_has_no_keys),
                cmocka_unit_test(test_memlock_is_marked),
                cmocka_unit_test(test_path_that_is_not_utf8),
                cmocka_unit_test(test_cgroup_json),
                cmocka_unit_test(test_budget_json),
                cmocka_unit_test(test_writer),
        };

        return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
