/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The figures of cgroups against the kernel's: sums, ancestors, what is uncharged, and cgroups that are gone. Needs
 * root and a memory controller. */
#include "harness.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"

#define MIB (1024 * 1024)

/* The elements of a pre-allocated per-CPU map are charged to nobody; the daemon must see them all the same. */
static void test_uncharged_percpu(void **state)
{
        static const struct map_case map = { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1024, 1000, .count = 10 };
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *entry;
        int64_t expected;

        (void) state;
        cgroup_make(&cgroup, NULL, "percpu");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = snapshot();
        entry = find_cgroup(report, cgroup.path);
        assert_non_null(entry);
        expected = 10LL * 1000 * 1024 * libbpf_num_possible_cpus();
        assert_in_range(number(entry, "bpf", "uncharged"), expected, expected + expected / 50);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

static void test_ancestors(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, middle, leaf;
        struct worker worker;
        json_t *after;
        int64_t own;

        (void) state;
        cgroup_make(&top, NULL, "top");
        cgroup_make(&middle, &top, "middle");
        cgroup_make(&leaf, &middle, "leaf");
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        after = snapshot();
        own = number(find_cgroup(after, leaf.path), "self", "allocated");
        assert_in_range(own, MIB, MIB + 16384);
        assert_int_equal(number(find_cgroup(after, leaf.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, middle.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, middle.path), "self", "allocated"), 0);
        assert_int_equal(number(find_cgroup(after, top.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, top.path), "self", "allocated"), 0);
        /* The root is the sum of all objects, so none is in it twice. */
        assert_int_equal(number(find_cgroup(after, "/"), "bpf", "allocated"), sum_objects(after, NULL));
        json_decref(after);
        worker_end(&worker);
        cgroup_remove(&leaf);
        cgroup_remove(&middle);
        cgroup_remove(&top);
}

/* The cgroup @id in @report, or NULL. A borrowed reference. */
static json_t *find_id(json_t *report, uint64_t id)
{
        json_t *cgroup;
        size_t i;

        json_array_foreach(json_object_get(report, "cgroups"), i, cgroup)
        {
                if ((uint64_t) number(cgroup, NULL, "id") == id)
                        return cgroup;
        }
        return NULL;
}

/* What is made in the last cgroup of a chain counts in each above it, whatever their names are and how many. */
static void check_chain(const char *name, size_t depth)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        static struct test_chain chain;
        struct worker worker;
        json_t *report, *last;
        int64_t own;

        chain_make(&chain, name, depth);
        worker_start(&worker, &chain.last, create_maps, (void *) &map);
        report = snapshot();
        last = find_id(report, chain.last.id);
        assert_non_null(last);
        own = number(last, "self", "allocated");
        assert_in_range(own, MIB, MIB + 16384);
        assert_true(json_is_true(json_object_get(last, "exists")));
        if (strlen(chain.path) < PATH_MAX)
                assert_string_equal(json_string_value(json_object_get(last, "path")), chain.path);
        else
                assert_non_null(json_string_value(json_object_get(last, "path")));
        for (size_t i = 0; i + 1 < depth; i++) {
                assert_int_equal(number(find_id(report, chain.ids[i]), "bpf", "allocated"), own);
                assert_int_equal(number(find_id(report, chain.ids[i]), "self", "allocated"), 0);
        }
        assert_int_equal(number(find_cgroup(report, chain.top.path), "bpf", "allocated"), own);
        json_decref(report);
        worker_end(&worker);
        chain_remove(&chain);
}

static void test_names(void **state)
{
        static const char *const names[] = { "x (deleted)", "..deleted", " (deleted) (deleted)", "\\x2f" };

        (void) state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                check_chain(names[i], 2);
}

static void test_depth(void **state)
{
        char longest[256];

        (void) state;
        memset(longest, 'x', 255);
        strcpy(longest + 245, " (deleted)");
        check_chain(longest, 17);
        check_chain("d", 600);
        check_chain("dd", 2000);
}

/* Booted with cgroup.memory=nobpf: objects are counted, and are nobody's. */
static void test_nobpf(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 3 };
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *object;
        size_t i, count = 0;

        (void) state;
        cgroup_make(&cgroup, NULL, "nobpf");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (strcmp(json_string_value(json_object_get(object, "name")), "bb_test") != 0)
                        continue;
                assert_in_range(number(object, NULL, "allocated"), MIB, MIB + 16384);
                assert_int_equal(number(object, NULL, "charged"), 0);
                assert_string_equal(json_string_value(json_object_get(object, "cgroup")), "/");
                count++;
        }
        assert_int_equal(count, 3);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

static void test_sums(void **state)
{
        json_t *report = snapshot(), *cgroup;
        int64_t self = 0, objects;
        size_t i;

        (void) state;
        json_array_foreach(json_object_get(report, "cgroups"), i, cgroup)
        {
                self += number(cgroup, "self", "allocated");
                assert_int_equal(number(cgroup, "self", "allocated"),
                                sum_objects(report, json_string_value(json_object_get(cgroup, "path"))));
        }
        objects = sum_objects(report, NULL);
        assert_true(objects > 0);
        assert_int_equal(self, objects);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "allocated"), objects);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "objects"),
                        json_array_size(json_object_get(report, "objects")));
        json_decref(report);
}

/* Its own maps are listed like everyone's. */
static void test_own_objects(void **state)
{
        _cleanup_close_ int other = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_other", 4, 4, 1, NULL);
        json_t *report = snapshot(), *object;
        bool map = false, program = false;
        size_t i;

        (void) state;
        assert_true(other >= 0);
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *name = json_string_value(json_object_get(object, "name"));
                const char *owner = json_string_value(json_object_get(object, "owner"));

                map |= strcmp(name, "cgroups") == 0 && strcmp(owner, "self") == 0;
                program |= strcmp(name, "snapshot_maps") == 0 && strcmp(owner, "self") == 0;
                if (strcmp(name, "bb_other") == 0)
                        assert_string_equal(owner, "other");
        }
        assert_true(map);
        assert_true(program);
        json_decref(report);
}

/* A map that outlives its cgroup: the kernel charges the parent from then on, and so do we. */
static void test_reparented(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, leaf, other;
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        struct worker worker;
        json_t *report, *object;
        uint32_t id = 0;
        size_t i;
        int fd = -1;

        (void) state;
        cgroup_make(&top, NULL, "parent");
        cgroup_make(&leaf, &top, "leaf");
        cgroup_make(&other, NULL, "other");
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i,
                        object) if (strcmp(json_string_value(json_object_get(object, "cgroup")), leaf.path) == 0)
                        id = number(object, NULL, "id");
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_end(&worker);
        cgroup_remove(&leaf);
        report = snapshot();
        assert_null(find_cgroup(report, leaf.path));
        assert_in_range(number(find_cgroup(report, top.path), "self", "allocated"), MIB, MIB + 16384);
        json_decref(report);
        close(fd);
        cgroup_remove(&other);
        cgroup_remove(&top);
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[8] = {};
        size_t n = 0;
        int r = harness_main();

        if (r != 0)
                return r;
        if (harness_nobpf())
                tests[n++] = TEST(test_nobpf);
        else {
                /* They are about the charged cgroup, which there is none of with nobpf. */
                tests[n++] = TEST(test_uncharged_percpu);
                tests[n++] = TEST(test_ancestors);
                tests[n++] = TEST(test_names);
                tests[n++] = TEST(test_depth);
                tests[n++] = TEST(test_reparented);
        }
        tests[n++] = TEST(test_sums);
        tests[n++] = TEST(test_own_objects);
        return _cmocka_run_group_tests("cgroups", tests, n, NULL, NULL);
}
