/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/tree.h"
#include "fake-cgroups.h"

struct fixture {
        struct fake_cgroup cgroups[4];
        struct fake_hierarchy hierarchy;
        struct tree tree;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        f->cgroups[0] = (struct fake_cgroup){ 1, 0, "/", false };
        f->cgroups[1] = (struct fake_cgroup){ 10, 1, "/a", false };
        f->cgroups[2] = (struct fake_cgroup){ 20, 10, "/a/b", false };
        f->cgroups[3] = (struct fake_cgroup){ 30, 10, "/a/c", false };
        f->hierarchy = (struct fake_hierarchy){ f->cgroups, 4, 0 };
        *state = f;
        return tree_init(&f->tree, 1, fake_lookup, &f->hierarchy);
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tree_deinit(&f->tree);
        free(f);
        return 0;
}

static struct cgroup *get(struct fixture *f, uint64_t id)
{
        struct cgroup *cgroup = NULL;

        assert_int_equal(tree_get(&f->tree, id, &cgroup), 0);
        return cgroup;
}

static void add(struct fixture *f, uint64_t id, int64_t allocated)
{
        struct usage change = { .allocated = allocated };

        tree_add(&f->tree, get(f, id), &change);
}

static void test_get_makes_ancestors(void **state)
{
        struct fixture *f = *state;
        struct cgroup *b = get(f, 20);

        assert_string_equal(b->path, "/a/b");
        assert_string_equal(b->parent->path, "/a");
        assert_ptr_equal(b->parent->parent, f->tree.root);
        assert_null(f->tree.root->parent);
        assert_int_equal(f->tree.count, 3);
}

static void test_get_looks_up_once(void **state)
{
        struct fixture *f = *state;
        struct cgroup *first = get(f, 20);
        unsigned int lookups = f->hierarchy.lookups;

        assert_ptr_equal(get(f, 20), first);
        assert_int_equal(f->hierarchy.lookups, lookups);
}

static void test_zero_is_root(void **state)
{
        struct fixture *f = *state;

        assert_ptr_equal(get(f, 0), f->tree.root);
        assert_ptr_equal(get(f, 1), f->tree.root);
}

static void test_unknown_is_gone(void **state)
{
        struct fixture *f = *state;
        struct cgroup *cgroup = get(f, 999);

        assert_false(cgroup->exists);
        assert_null(cgroup->path);
        assert_ptr_equal(cgroup->parent, f->tree.root);
}

static void test_totals_reach_the_root(void **state)
{
        struct fixture *f = *state;

        add(f, 20, 100);
        add(f, 30, 10);
        add(f, 10, 1);
        assert_int_equal(tree_flush(&f->tree), 3);
        assert_int_equal(get(f, 20)->total.allocated, 100);
        assert_int_equal(get(f, 30)->total.allocated, 10);
        assert_int_equal(get(f, 10)->total.allocated, 111);
        assert_int_equal(get(f, 10)->self.allocated, 1);
        assert_int_equal(f->tree.root->total.allocated, 111);
        assert_int_equal(f->tree.root->self.allocated, 0);
}

static void test_totals_fall(void **state)
{
        struct fixture *f = *state;

        add(f, 20, 100);
        tree_flush(&f->tree);
        add(f, 20, -60);
        tree_flush(&f->tree);
        assert_int_equal(get(f, 20)->total.allocated, 40);
        assert_int_equal(f->tree.root->total.allocated, 40);
}

static void test_nothing_updated_nothing_visited(void **state)
{
        struct fixture *f = *state;

        add(f, 20, 5);
        assert_int_equal(tree_flush(&f->tree), 1);
        assert_int_equal(tree_flush(&f->tree), 0);
        assert_int_equal(f->tree.root->total.allocated, 5);
}

static void test_queued_once(void **state)
{
        struct fixture *f = *state;

        add(f, 20, 1);
        add(f, 20, 2);
        add(f, 20, 3);
        assert_int_equal(tree_flush(&f->tree), 1);
        assert_int_equal(f->tree.root->total.allocated, 6);
}

static void test_rss_is_absolute(void **state)
{
        struct fixture *f = *state;
        uint64_t rss[RSS_MEMBERS] = { [RSS_ANON] = 4096, [RSS_SWAP] = 8192 };

        tree_set_rss(&f->tree, get(f, 20), rss);
        tree_set_rss(&f->tree, get(f, 20), rss);
        tree_flush(&f->tree);
        assert_int_equal(f->tree.root->total.rss[RSS_ANON], 4096);
        assert_int_equal(usage_footprint(&f->tree.root->total), 4096 + 8192);
        tree_set_rss(&f->tree, get(f, 20), rss);
        assert_int_equal(tree_flush(&f->tree), 0);
        rss[RSS_ANON] = 0;
        tree_set_rss(&f->tree, get(f, 20), rss);
        tree_flush(&f->tree);
        assert_int_equal(f->tree.root->total.rss[RSS_ANON], 0);
}

static void test_gone_keeps_path(void **state)
{
        struct fixture *f = *state;
        struct cgroup *b = get(f, 20);

        add(f, 20, 7);
        tree_flush(&f->tree);
        f->cgroups[2].gone = true;
        tree_check(&f->tree, b);
        assert_false(b->exists);
        assert_string_equal(b->path, "/a/b");
        tree_prune(&f->tree);
        assert_ptr_equal(tree_find(&f->tree, 20), b);
}

static void test_prune_forgets_empty_and_gone(void **state)
{
        struct fixture *f = *state;

        add(f, 20, 7);
        tree_flush(&f->tree);
        add(f, 20, -7);
        tree_flush(&f->tree);
        f->cgroups[1].gone = f->cgroups[2].gone = true;
        tree_check(&f->tree, get(f, 20));
        tree_check(&f->tree, get(f, 10));
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
        assert_null(tree_find(&f->tree, 10));
        assert_int_equal(f->tree.count, 1);
}

static void test_prune_keeps_what_exists(void **state)
{
        struct fixture *f = *state;

        get(f, 30);
        f->cgroups[1].gone = true;
        tree_check(&f->tree, get(f, 10));
        tree_prune(&f->tree);
        assert_non_null(tree_find(&f->tree, 30));
        assert_non_null(tree_find(&f->tree, 10));
}

/* Many changes in any order: totals equal the sum of what is below, as a naive sum says. */
static void test_random_against_naive_sum(void **state)
{
        static const uint64_t ids[] = { 1, 10, 20, 30 };
        struct fixture *f = *state;
        int64_t own[4] = {};

        srandom(1);
        for (int i = 0; i < 10000; i++) {
                size_t k = random() % 4;
                int64_t change = random() % 1000 - (own[k] > 500 ? 500 : 0);

                own[k] += change;
                add(f, ids[k], change);
                if (random() % 7 == 0)
                        tree_flush(&f->tree);
        }
        tree_flush(&f->tree);
        assert_int_equal(get(f, 20)->total.allocated, own[2]);
        assert_int_equal(get(f, 30)->total.allocated, own[3]);
        assert_int_equal(get(f, 10)->total.allocated, own[1] + own[2] + own[3]);
        assert_int_equal(f->tree.root->total.allocated, own[0] + own[1] + own[2] + own[3]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_get_makes_ancestors),
                TEST(test_get_looks_up_once),
                TEST(test_zero_is_root),
                TEST(test_unknown_is_gone),
                TEST(test_totals_reach_the_root),
                TEST(test_totals_fall),
                TEST(test_nothing_updated_nothing_visited),
                TEST(test_queued_once),
                TEST(test_rss_is_absolute),
                TEST(test_gone_keeps_path),
                TEST(test_prune_forgets_empty_and_gone),
                TEST(test_prune_keeps_what_exists),
                TEST(test_random_against_naive_sum),
        };

        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
