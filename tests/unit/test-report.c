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

#include "base/size.h"
#include "policy/policy.h"
#include "serve/report.h"

#include "fake-cgroups.h"
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

/* As many digits as it takes that what is shown adds up to more than the limit. */
static void test_size_precision(void **state)
{
        static const struct {
                uint64_t used, wanted, limit;
                const char *text;
        } cases[] = {
                { 1 << 20, 1 << 19, 1258291, "1.0M 512.0K 1.2M" },
                { 0, 16777280, 16777216, "0B 16777280B 16777216B" },
                { 0, 16800000, 16777216, "0B 16.02M 16.00M" },
                { 0, 16780000, 16777216, "0B 16.003M 16.000M" },
                { 1048577, 0, 1048576, "1048577B 0B 1048576B" },
                { 1048576, 1, 1048576, "1.0M 1B 1.0M" },
                { 100000, 10000, 109999, "97.7K 9.8K 107.4K" },
                { 1 << 20, 209715, 1258290, "1048576B 209715B 1258290B" },
                { (uint64_t) INT64_MAX, 1, INT64_MAX, "9223372036854775807B 1B 9223372036854775807B" },
                /* They are not more. */
                { 1 << 20, 1 << 20, 4 << 20, "1.0M 1.0M 4.0M" },
                { 1 << 20, 0, 1 << 20, "1.0M 0B 1.0M" },
                { UINT64_MAX, UINT64_MAX, UINT64_MAX, "16.0E 16.0E 16.0E" },
        };
        char used[FORMAT_SIZE_MAX], wanted[FORMAT_SIZE_MAX], limit[FORMAT_SIZE_MAX], text[128];

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                unsigned int precision = size_precision(cases[i].used, cases[i].wanted, cases[i].limit);

                snprintf(text, sizeof(text), "%s %s %s", format_size_to(used, cases[i].used, precision),
                                format_size_to(wanted, cases[i].wanted, precision),
                                format_size_to(limit, cases[i].limit, precision));
                assert_string_equal(text, cases[i].text);
        }
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

        /* What was not looked at is not denied; what was seen is told all the same. */
        relations.pins_unseen = true;
        json = object_to_json(&program, &relations);
        assert_true(json_is_null(json_object_get(json, "pins")));
        json_decref(json);
        json = object_to_json(&map, &relations);
        assert_int_equal(json_array_size(json_object_get(json, "pins")), 1);
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
        policy.ignored[OWNER_MAX] = (char *) "a: \"\xff\"";
        json = cgroup_to_json(&cgroup);
        text = json_dumps(json_object_get(json_object_get(json, "budget"), "ignored"), JSON_COMPACT);
        assert_string_equal(text, "[\"a: \\\"?\\\"\"]");
        free(text);
        json_decref(json);
        budget.dropins = (char *[]){ (char *) "/b.budget.d/1.conf", (char *) "/b.budget.d/2.conf" };
        budget.dropin_count = 2;
        json = budget_to_json(&budget, true, 2);
        text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, "{\"name\":\"b\",\"file\":\"/b.budget\","
                                  "\"dropIns\":[\"/b.budget.d/1.conf\",\"/b.budget.d/2.conf\"],\"runtime\":true,"
                                  "\"high\":50,\"max\":null,"
                                  "\"mapsMax\":5,\"programsMax\":null,\"footprintRatioHigh\":null,\"mapFillHigh\":null,"
                                  "\"onHigh\":\"throttle\",\"onMax\":\"deny\",\"attribution\":\"holder\","
                                  "\"count\":\"charged\",\"unbounded\":\"refuse\",\"clearPercent\":90,\"cgroups\":2}");
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

static void assert_json(json_t *json, const char *expected)
{
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

        assert_non_null(text);
        assert_string_equal(text, expected);
        free(text);
        json_decref(json);
}

/* Each number stands where it belongs. */
static void test_object_in_full(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a", .exists = true };
        struct creator creator = { 42, "loader", "abcd" };
        struct object map = {
                .record = { .kind = OBJECT_MAP,
                                .id = 5,
                                .type = 2,
                                .name = "m",
                                .flags = 1,
                                .key_size = 4,
                                .value_size = 8,
                                .max_entries = 16,
                                .entries = 12,
                                .allocated = 100,
                                .allocated_min = 90,
                                .ceiling = 200,
                                .charged = 60,
                                .jit = 3,
                                .attribution = ATTRIBUTION_HOLDER },
                .cgroup = &cgroup,
                .creator = &creator,
        };
        struct object program = {
                .record = { .kind = OBJECT_PROGRAM,
                                .id = 6,
                                .type = 2,
                                .name = "p",
                                .entries = ENTRIES_UNKNOWN,
                                .flags = 1,
                                .key_size = 2,
                                .value_size = 3,
                                .max_entries = 4,
                                .allocated = 50,
                                .ceiling = CEILING_UNBOUNDED,
                                .charged = 50,
                                .marks = OBJECT_BOUNDED | OBJECT_OWN },
                .cgroup = &cgroup,
        };

        (void) state;
        assert_json(object_to_json(&map, NULL),
                        "{\"kind\":\"map\",\"id\":5,\"type\":\"array\",\"name\":\"m\",\"flags\":1,\"keySize\":4,"
                        "\"valueSize\":8,\"maxEntries\":16,\"entries\":12,\"full\":null,\"allocated\":100,"
                        "\"allocatedMin\":90,"
                        "\"ceiling\":200,\"charged\":60,\"uncharged\":40,\"jit\":3,\"exact\":true,\"source\":"
                        "\"structures\","
                        "\"cgroup\":\"/a\",\"cgroupId\":7,\"attribution\":\"holder\",\"owner\":\"other\",\"creator\":"
                        "{\"pid\":42,\"comm\":\"loader\",\"buildId\":\"abcd\"},\"cgroupGone\":false,"
                        "\"lastCgroup\":null}");
        /* The charged cgroup was removed: it is the last one. */
        cgroup.exists = false;
        assert_json(object_to_json(&program, NULL),
                        "{\"kind\":\"program\",\"id\":6,\"type\":\"kprobe\",\"name\":\"p\",\"flags\":null,"
                        "\"keySize\":null,\"valueSize\":null,\"maxEntries\":null,\"entries\":null,\"full\":null,"
                        "\"allocated\":50,"
                        "\"allocatedMin\":0,\"ceiling\":null,\"charged\":50,\"uncharged\":0,\"jit\":0,\"exact\":false,"
                        "\"source\":"
                        "\"structures\",\"cgroup\":\"/a\",\"cgroupId\":7,\"attribution\":\"none\",\"owner\":\"self\","
                        "\"creator\":null,\"cgroupGone\":true,\"lastCgroup\":\"/a\"}");
}

/* How full a map is, of a type that fills; unknown entries say nothing. */
static void test_fill(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a", .exists = true };
        struct object map = { .record = { .kind = OBJECT_MAP, .type = 1, .max_entries = 16, .entries = 12 },
                .cgroup = &cgroup };
        json_t *json = object_to_json(&map, NULL);

        (void) state;
        assert_int_equal(json_integer_value(json_object_get(json, "full")), 75);
        json_decref(json);
        map.record.entries = ENTRIES_UNKNOWN;
        json = object_to_json(&map, NULL);
        assert_true(json_is_null(json_object_get(json, "full")));
        json_decref(json);
}

static void test_names(void **state)
{
        static const struct {
                uint32_t kind, type;
                const char *name;
        } types[] = {
                { OBJECT_MAP, 32, "cgrp_storage" },
                { OBJECT_MAP, 33, "arena" },
                { OBJECT_MAP, 34, "insn_array" },
                { OBJECT_MAP, 35, "rhash" },
                { OBJECT_PROGRAM, 32, "netfilter" },
                { OBJECT_PROGRAM, 33, "type-33" },
        };
        static const char *const attributions[] = {
                [ATTRIBUTION_NONE] = "none",
                [ATTRIBUTION_CHARGED] = "charged",
                [ATTRIBUTION_MAPS] = "maps",
                [ATTRIBUTION_RECORDED] = "recorded",
                [ATTRIBUTION_HOLDER] = "holder",
        };
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a", .exists = true };
        char buffer[FORMAT_SIZE_MAX];

        (void) state;
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                assert_string_equal(object_type_name(&(struct object_record){ .kind = types[i].kind,
                                                                     .type = types[i].type },
                                                    buffer),
                                types[i].name);
        for (uint32_t i = 0; i < sizeof(attributions) / sizeof(attributions[0]); i++) {
                struct object object = { .record = { .kind = OBJECT_MAP, .type = 1, .attribution = i },
                        .cgroup = &cgroup };
                json_t *json = object_to_json(&object, NULL);

                assert_string_equal(json_string_value(json_object_get(json, "attribution")), attributions[i]);
                json_decref(json);
        }
}

/* Several holders, pins and maps of one, and those of another left out. */
static void test_relations_in_full(void **state)
{
        struct cgroup cgroup = { .id = 7, .path = (char *) "/a", .exists = true };
        struct object program = { .record = { .kind = OBJECT_PROGRAM, .id = 5, .type = 1 }, .cgroup = &cgroup };
        struct pin pins[] = { { OBJECT_PROGRAM, 5, (char *) "/p/a" }, { OBJECT_PROGRAM, 5, (char *) "/p/b" } };
        struct holder holders[] = {
                { .record = { .kind = OBJECT_PROGRAM, .id = 5, .pid = 3, .comm = "sh" },
                                .path = (char *) "/a",
                                .exe = (char *) "/bin/sh",
                                .build_id = "12" },
                { .record = { .kind = OBJECT_PROGRAM, .id = 5, .pid = 4, .comm = "sh" }, .path = NULL },
        };
        struct use_record by_program[] = { { 5, 8 }, { 5, 9 } }, by_map[] = { { 5, 8 }, { 5, 9 } };
        struct relations relations = { RELATION_HOLDERS | RELATION_PINS | RELATION_USES, holders, pins, by_program,
                by_map, 2, 2, 2 };
        json_t *json = object_to_json(&program, &relations);

        (void) state;
        assert_json(json_incref(json_object_get(json, "holders")),
                        "[{\"pid\":3,\"comm\":\"sh\",\"exe\":\"/bin/sh\",\"buildId\":\"12\",\"cgroup\":\"/a\"},"
                        "{\"pid\":4,\"comm\":\"sh\",\"exe\":null,\"buildId\":null,\"cgroup\":null}]");
        assert_json(json_incref(json_object_get(json, "pins")), "[\"/p/a\",\"/p/b\"]");
        assert_json(json_incref(json_object_get(json, "maps")), "[8,9]");
        assert_null(json_object_get(json, "usedBy"));
        json_decref(json);
        relations.asked = RELATION_HOLDERS;
        json = object_to_json(&program, &relations);
        assert_int_equal(json_array_size(json_object_get(json, "holders")), 2);
        assert_null(json_object_get(json, "pins"));
        assert_null(json_object_get(json, "maps"));
        json_decref(json);
        relations.asked = RELATION_USES;
        json = object_to_json(&program, &relations);
        assert_int_equal(json_array_size(json_object_get(json, "maps")), 2);
        assert_null(json_object_get(json, "pins"));
        assert_null(json_object_get(json, "holders"));
        json_decref(json);
}

static void test_cgroup_in_full(void **state)
{
        struct cgroup cgroup = {
                .id = 7,
                .path = (char *) "/a",
                .exists = true,
                .self = { .allocated = 21,
                                .charged = 20,
                                .maps = 19,
                                .programs = 18,
                                .jit = 17,
                                .map_count = 16,
                                .program_count = 15,
                                .committed = 41,
                                .unbounded_count = 42,
                                .rss = { [RSS_ANON] = 14, [RSS_FILE] = 13, [RSS_SHMEM] = 12, [RSS_SWAP] = 11 } },
                .total = { .allocated = 31,
                                .charged = 29,
                                .maps = 28,
                                .programs = 27,
                                .jit = 26,
                                .map_count = 25,
                                .program_count = 24,
                                .committed = 43,
                                .unbounded_count = 44,
                                .rss = { [RSS_ANON] = 1000,
                                                [RSS_FILE] = 2000,
                                                [RSS_SHMEM] = 4000,
                                                [RSS_SWAP] = 8000 } },
        };

        (void) state;
        assert_json(cgroup_to_json(&cgroup),
                        "{\"path\":\"/a\",\"id\":7,\"exists\":true,\"bpf\":{\"allocated\":31,\"charged\":29,"
                        "\"uncharged\":2,\"committed\":43,\"unboundedCount\":44,\"maps\":28,\"programs\":27,\"jit\":26,"
                        "\"objects\":49,\"mapCount\":25,"
                        "\"programCount\":24},\"self\":{\"allocated\":21,\"charged\":20,\"uncharged\":1,\"committed\":"
                        "41,\"unboundedCount\":42,\"maps\":19,"
                        "\"programs\":18,\"jit\":17,\"objects\":31,\"mapCount\":16,\"programCount\":15,\"rss\":{"
                        "\"anon\":"
                        "14,\"file\":13,\"shmem\":12,\"swap\":11}},\"rss\":{\"anon\":1000,\"file\":2000,\"shmem\":4000,"
                        "\"swap\":8000},\"footprint\":15031,\"budget\":null}");
}

static void assert_workload(const struct cgroup *cgroup, const char *expected)
{
        json_t *json = cgroup_to_json(cgroup), *workload = json_object_get(json, "workload");
        char *text = workload ? json_dumps(workload, JSON_COMPACT) : strdup("none");

        assert_non_null(json);
        assert_non_null(text);
        assert_string_equal(text, expected);
        free(text);
        json_decref(json);
}

/* A cgroup is of the workload that it is in; what is not known is missing. */
static void test_workload(void **state)
{
        struct workload workload = {
                .kind = WORKLOAD_CONTAINER,
                .qos = QOS_BURSTABLE,
                .runtime = "containerd",
                .pod_uid = (char *) "7cf1",
                .container_id = (char *) "0123",
                .pod = (char *) "kube-system/cilium",
                .container = (char *) "agent",
        };
        struct cgroup root = { .path = (char *) "/" },
                      unit = { .path = (char *) "/s.slice/a.service", .parent = &root },
                      own = { .path = (char *) "/p/c", .parent = &root, .workload = &workload },
                      below = { .path = (char *) "/p/c/init", .parent = &own };

        (void) state;
        assert_workload(&root, "none");
        assert_workload(&unit, "{\"kind\":\"unit\",\"name\":\"a.service\",\"unit\":\"a.service\"}");
        assert_workload(&below, "{\"kind\":\"container\",\"name\":\"kube-system/cilium/agent\",\"cgroup\":\"/p/c\","
                                "\"namespace\":\"kube-system\",\"pod\":\"cilium\",\"podUid\":\"7cf1\",\"qosClass\":"
                                "\"Burstable\",\"container\":\"agent\",\"containerId\":\"0123\",\"runtime\":"
                                "\"containerd\"}");
        workload = (struct workload){ .kind = WORKLOAD_POD, .pod_uid = (char *) "7cf1" };
        assert_workload(&own, "{\"kind\":\"pod\",\"cgroup\":\"/p/c\",\"podUid\":\"7cf1\"}");
        workload = (struct workload){ .kind = WORKLOAD_MACHINE, .machine = (char *) "web" };
        assert_workload(&own, "{\"kind\":\"machine\",\"name\":\"web\",\"cgroup\":\"/p/c\",\"machine\":\"web\"}");
}

/* The other words and numbers of a budget than those above. */
static void test_budget_in_full(void **state)
{
        struct budget budget = { .name = (char *) "b",
                .file = (char *) "/b.budget",
                .maps_max = BUDGET_INFINITY,
                .programs_max = 6,
                .footprint_ratio_high = 70,
                .on_high = ACTION_ALERT,
                .on_max = ACTION_ALERT,
                .attribution = BUDGET_CHARGED,
                .count = COUNT_ALLOCATED,
                .clear_percent = 80,
                .high = BUDGET_INFINITY,
                .max = 60 };
        struct policy policy = { .budget = &budget,
                .high = BUDGET_INFINITY,
                .max = 50,
                .level = LEVEL_OK,
                .limit = LIMIT_NONE,
                .events = { .high = 1, .max = 2, .denied = 3, .throttled = 4, .throttled_usec = 5 } };
        struct cgroup cgroup = { .id = 7, .total = { .allocated = 100, .charged = 42 }, .policy = &policy };
        json_t *json = cgroup_to_json(&cgroup);

        (void) state;
        assert_json(json_incref(json_object_get(json, "budget")),
                        "{\"name\":\"b\",\"state\":\"ok\",\"limit\":null,\"high\":null,\"max\":50,\"mapsMax\":null,"
                        "\"programsMax\":6,\"footprintRatioHigh\":70,\"onHigh\":\"alert\",\"onMax\":\"alert\","
                        "\"count\":\"allocated\",\"usage\":100,\"events\":{\"high\":1,\"max\":2,\"denied\":3,"
                        "\"throttled\":4,\"throttledUSec\":5}}");
        json_decref(json);
        assert_json(budget_to_json(&budget, false, 0),
                        "{\"name\":\"b\",\"file\":\"/"
                        "b.budget\",\"dropIns\":[],\"runtime\":false,\"high\":null,\"max\":60,\"mapsMax\":"
                        "null,\"programsMax\":6,\"footprintRatioHigh\":70,\"mapFillHigh\":null,\"onHigh\":\"alert\","
                        "\"onMax\":\"alert\","
                        "\"attribution\":\"charged\",\"count\":\"allocated\",\"unbounded\":\"refuse\",\"clearPercent\":"
                        "80,\"cgroups\":0}");
        assert_json(limit_to_json(0), "0");
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

/* A cgroup that is larger than its sibling, one that holds nothing, one that was removed, and one that is empty but for
 * its child. */
static struct fake_cgroup cgroups[] = {
        { 1, 0, "/", false },
        { 2, 1, "/small", false },
        { 3, 1, "/large", false },
        { 4, 3, "/large/child", false },
        { 5, 1, "/nothing", false },
        { 6, 1, "/gone", false },
};
static struct fake_hierarchy hierarchy = { cgroups, sizeof(cgroups) / sizeof(cgroups[0]), 0 };

static int setup_monitor(void **state)
{
        static const struct {
                uint32_t kind, id;
                uint64_t cgroup, allocated, charged;
        } objects[] = {
                { OBJECT_MAP, 1, 2, 1024, 512 },
                { OBJECT_MAP, 2, 4, 2048, 2048 },
                { OBJECT_PROGRAM, 3, 4, 2048, 0 },
                { OBJECT_MAP, 4, 6, 100, 100 },
        };
        static const uint64_t rss[RSS_MEMBERS] = {
                [RSS_ANON] = 1024, [RSS_FILE] = 2048, [RSS_SHMEM] = 4096, [RSS_SWAP] = 8192
        };
        struct monitor *monitor = calloc(1, sizeof(*monitor));
        struct cgroup *cgroup;

        cgroups[5].gone = false;
        assert_non_null(monitor);
        assert_int_equal(tree_init(&monitor->tree, 1, fake_lookup, &hierarchy), 0);
        ledger_init(&monitor->ledger, &monitor->tree);
        for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
                assert_int_equal(ledger_put(&monitor->ledger, &(struct object_record){ .kind = objects[i].kind,
                                                                              .id = objects[i].id,
                                                                              .type = 1,
                                                                              .cgroup_id = objects[i].cgroup,
                                                                              .allocated = objects[i].allocated,
                                                                              .charged = objects[i].charged }),
                                LEDGER_NEW);
        assert_int_equal(tree_get(&monitor->tree, 5, &cgroup), 0);
        assert_int_equal(tree_get(&monitor->tree, 2, &cgroup), 0);
        tree_set_rss(&monitor->tree, cgroup, rss);
        tree_flush(&monitor->tree);
        cgroups[5].gone = true;
        assert_int_equal(tree_get(&monitor->tree, 6, &cgroup), 0);
        tree_check(&monitor->tree, cgroup);
        assert_false(cgroup->exists);
        *state = monitor;
        return 0;
}

static int teardown_monitor(void **state)
{
        struct monitor *monitor = *state;

        ledger_deinit(&monitor->ledger);
        tree_deinit(&monitor->tree);
        free(monitor);
        return 0;
}

static char *report_text(const struct monitor *monitor, bool pretty)
{
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        assert_non_null(file);
        assert_int_equal(report(monitor, NULL, pretty, file), 0);
        assert_int_equal(fclose(file), 0);
        return text;
}

/* Of all cgroups, the largest first, a parent before its child; then objects the same way. */
static void test_report_json(void **state)
{
        static const char *const paths[] = { "/", "/large", "/large/child", "/small", "/gone", "/nothing" };
        static const json_int_t ids[] = { 2, 3, 1, 4 };
        struct monitor *monitor = *state;
        char *text = report_text(monitor, false), *pretty;
        json_t *json = json_loads(text, 0, NULL);

        assert_non_null(json);
        assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
        assert_int_equal(strncmp(text, "{\"cgroups\":[{\"path\":\"/\",", 24), 0);
        assert_int_equal(json_array_size(json_object_get(json, "cgroups")), 6);
        for (size_t i = 0; i < 6; i++)
                assert_string_equal(json_string_value(json_object_get(
                                                    json_array_get(json_object_get(json, "cgroups"), i), "path")),
                                paths[i]);
        assert_int_equal(json_array_size(json_object_get(json, "objects")), 4);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(json_integer_value(json_object_get(
                                                 json_array_get(json_object_get(json, "objects"), i), "id")),
                                ids[i]);
        assert_true(json_is_array(json_object_get(json, "capabilities")));
        assert_int_equal(json_object_size(json), 3);
        free(text);
        text = report_text(monitor, true);
        pretty = json_dumps(json, JSON_INDENT(8));
        assert_int_equal(strncmp(text, pretty, strlen(pretty)), 0);
        assert_string_equal(text + strlen(pretty), "\n");
        free(pretty);
        free(text);
        json_decref(json);
}

static void test_report_that_cannot_be_written(void **state)
{
        static const struct capability capability = { .name = "a", .available = true, .purpose = "b", .reason = "c" };
        FILE *file = fopen("/dev/full", "we");

        assert_non_null(file);
        for (int pretty = 0; pretty <= 1; pretty++) {
                assert_int_equal(report(*state, NULL, pretty, file), -EIO);
                assert_int_equal(report_capabilities(&capability, 1, pretty, file), -EIO);
        }
        fclose(file);
}

static char *capabilities_text(bool pretty)
{
        static const struct capability capabilities[] = {
                { .name = "fentry", .available = true, .purpose = "to tell", .reason = "" },
                { .name = "lsm", .available = false, .purpose = "to refuse", .reason = "not enabled" },
        };
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        assert_non_null(file);
        assert_int_equal(report_capabilities(capabilities, 2, pretty, file), 0);
        assert_int_equal(fclose(file), 0);
        return text;
}

static void test_capabilities(void **state)
{
        char *text = capabilities_text(false);

        (void) state;
        assert_string_equal(text, "{\"capabilities\":[{\"name\":\"fentry\",\"available\":true,\"purpose\":\"to tell\","
                                  "\"reason\":\"\"},{\"name\":\"lsm\",\"available\":false,\"purpose\":\"to refuse\","
                                  "\"reason\":\"not enabled\"}]}\n");
        free(text);
        text = capabilities_text(true);
        assert_true(strstr(text, "{\n        \"capabilities\": [\n                {\n") == text);
        free(text);
}

/* Among those of the same size a parent is first, then the path counts. */
static void test_order_of_cgroups(void **state)
{
        struct monitor *monitor = *state;
        struct cgroup **sorted, *child;
        static const uint64_t ids[] = { 1, 3, 4, 2, 6, 5 };

        (void) state;
        sorted = sort_cgroups(&monitor->tree);
        assert_non_null(sorted);
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(sorted[i]->id, ids[i]);
        free(sorted);
        /* Also where the path of the child is not known. */
        child = tree_find(&monitor->tree, 4);
        free(child->path);
        child->path = NULL;
        sorted = sort_cgroups(&monitor->tree);
        assert_non_null(sorted);
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(sorted[i]->id, ids[i]);
        free(sorted);
        /* 5 and 6 have nothing now, nor has 2. */
        assert_true(ledger_remove(&monitor->ledger, OBJECT_MAP, 1));
        assert_true(ledger_remove(&monitor->ledger, OBJECT_MAP, 4));
        tree_flush(&monitor->tree);
        sorted = sort_cgroups(&monitor->tree);
        assert_non_null(sorted);
        assert_string_equal(sorted[3]->path, "/gone");
        assert_string_equal(sorted[4]->path, "/nothing");
        assert_string_equal(sorted[5]->path, "/small");
        free(sorted);
}

/* More than its first room, in pieces of all sizes. */
static void test_long_text(void **state)
{
        struct writer writer = {};
        char piece[3001], *expected = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&expected, &size);

        (void) state;
        assert_non_null(stream);
        for (size_t length = 0; length < sizeof(piece); length += 7) {
                memset(piece, 'a' + length % 26, length);
                piece[length] = '\0';
                writer_raw(&writer, piece);
                fputs(piece, stream);
        }
        for (int i = 0; i < 2000; i++) {
                writer_key(&writer, "k");
                fprintf(stream, "%s\"k\":", i ? "," : ",");
        }
        fclose(stream);
        assert_int_equal(writer.error, 0);
        assert_int_equal(writer.size, size);
        assert_memory_equal(writer.text, expected, size);
        free(expected);
        writer_deinit(&writer);
        assert_null(writer.text);
}

/* What has to be escaped in JSON, and nothing else. */
static void test_escapes(void **state)
{
        static const struct {
                const char *text, *json;
        } cases[] = {
                { "", "\"\"" },
                { " !#~", "\" !#~\"" },
                { "\"", "\"\\\"\"" },
                { "\\", "\"\\\\\"" },
                { "\x01", "\"\\u0001\"" },
                { "\x1f", "\"\\u001f\"" },
                { "\x7f", "\"\x7f\"" },
                { "\xc3\xa9x", "\"\xc3\xa9x\"" },
                { "\xe6\xbc\xa2", "\"\xe6\xbc\xa2\"" },
                { "\xc3", "\"?\"" },
                { "a\x80z", "\"a?z\"" },
                { "a\n\xff", "\"a\\u000a?\"" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct writer writer = {};

                writer_string(&writer, cases[i].text);
                assert_int_equal(writer.error, 0);
                assert_int_equal(writer.size, strlen(cases[i].json));
                assert_memory_equal(writer.text, cases[i].json, writer.size);
                writer_deinit(&writer);
        }
}

static void test_integers(void **state)
{
        static const int64_t values[] = { 0, 1, 9, 10, -1, 1234567890, INT64_MAX, INT64_MIN };

        (void) state;
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
                struct writer writer = {};
                char expected[32];

                snprintf(expected, sizeof(expected), "%lld", (long long) values[i]);
                writer_integer(&writer, values[i]);
                assert_int_equal(writer.size, strlen(expected));
                assert_memory_equal(writer.text, expected, writer.size);
                writer_deinit(&writer);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_format_size),
                cmocka_unit_test(test_size_precision),
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
                cmocka_unit_test(test_object_in_full),
                cmocka_unit_test(test_fill),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_relations_in_full),
                cmocka_unit_test(test_cgroup_in_full),
                cmocka_unit_test(test_workload),
                cmocka_unit_test(test_budget_in_full),
                cmocka_unit_test_setup_teardown(test_report_json, setup_monitor, teardown_monitor),
                cmocka_unit_test_setup_teardown(test_report_that_cannot_be_written, setup_monitor, teardown_monitor),
                cmocka_unit_test(test_capabilities),
                cmocka_unit_test_setup_teardown(test_order_of_cgroups, setup_monitor, teardown_monitor),
                cmocka_unit_test(test_long_text),
                cmocka_unit_test(test_escapes),
                cmocka_unit_test(test_integers),
        };

        return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
