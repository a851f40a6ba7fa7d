/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/relations.h"
#include "fake-cgroups.h"

/* What the kernel would tell. */
static struct holder_record *holder_records;
static const struct use_record *use_records;
static size_t holder_record_count, use_record_count;

int kernel_read_holders(struct kernel *kernel, kernel_holder_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        for (size_t i = 0; r == 0 && i < holder_record_count; i++)
                r = callback(context, &holder_records[i]);
        return r;
}

int kernel_read_uses(struct kernel *kernel, kernel_use_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        for (size_t i = 0; r == 0 && i < use_record_count; i++)
                r = callback(context, &use_records[i]);
        return r;
}

static struct fake_cgroup cgroups[] = { { 1, 0, "/", false }, { 10, 1, "/a", false } };
static struct fake_hierarchy hierarchy = { cgroups, 2, 0 };

static int setup(void **state)
{
        struct tree *tree = calloc(1, sizeof(*tree));

        *state = tree;
        return tree ? tree_init(tree, 1, fake_lookup, &hierarchy) : -1;
}

static int teardown(void **state)
{
        tree_deinit(*state);
        free(*state);
        return 0;
}

static void test_holders(void **state)
{
        /* No process has this number: it is above the kernel's limit. */
        const uint32_t ended = 1 << 23, self = getpid();
        struct holder_record records[] = {
                { .kind = OBJECT_MAP, .id = 7, .pid = ended, .cgroup_id = 10, .comm = "gone" },
                { .kind = OBJECT_PROGRAM, .id = 7, .pid = self, .comm = "me" },
                { .kind = OBJECT_MAP, .id = 7, .pid = self, .cgroup_id = 10, .comm = "me" },
                { .kind = OBJECT_MAP, .id = 7, .pid = self, .cgroup_id = 10, .comm = "me" },
        };
        struct relations relations;
        const struct holder *holders;
        size_t count;

        holder_records = records;
        holder_record_count = 4;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_HOLDERS), 0);
        holders = relations_holders(&relations, OBJECT_MAP, 7, &count);
        assert_int_equal(count, 2);
        assert_int_equal(holders[0].record.pid, self);
        assert_non_null(holders[0].exe);
        assert_string_equal(holders[0].cgroup->path, "/a");
        assert_int_equal(holders[1].record.pid, ended);
        assert_string_equal(holders[1].record.comm, "gone");
        assert_null(holders[1].exe);
        assert_string_equal(holders[1].build_id, "");
        holders = relations_holders(&relations, OBJECT_PROGRAM, 7, &count);
        assert_int_equal(count, 1);
        assert_string_equal(holders[0].cgroup->path, "/");
        assert_null(relations_holders(&relations, OBJECT_MAP, 8, &count));
        assert_int_equal(count, 0);
        relations_deinit(&relations);
}

static void test_uses(void **state)
{
        static const struct use_record records[] = { { 5, 2 }, { 4, 2 }, { 5, 1 }, { 5, 2 }, { 4, 3 } };
        const struct use_record *list;
        struct relations relations;
        size_t count;

        use_records = records;
        use_record_count = 5;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_USES), 0);
        list = relations_maps(&relations, 5, &count);
        assert_int_equal(count, 2);
        assert_int_equal(list[0].map_id, 1);
        assert_int_equal(list[1].map_id, 2);
        list = relations_programs(&relations, 2, &count);
        assert_int_equal(count, 2);
        assert_int_equal(list[0].program_id, 4);
        assert_int_equal(list[1].program_id, 5);
        assert_null(relations_programs(&relations, 9, &count));
        relations_deinit(&relations);
}

static void test_nothing_asked_for(void **state)
{
        struct relations relations;
        size_t count;

        assert_int_equal(relations_read(&relations, NULL, *state, 0), 0);
        assert_null(relations_holders(&relations, OBJECT_MAP, 1, &count));
        assert_null(relations_pins(&relations, OBJECT_MAP, 1, &count));
        relations_deinit(&relations);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_holders),
                TEST(test_uses),
                TEST(test_nothing_asked_for),
        };

        return cmocka_run_group_tests_name("relations", tests, NULL, NULL);
}
