/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "account/tree.h"
#include "fail-alloc.h"
#include "fake-cgroups.h"
#include "policy/policy.h"

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

/* --- Sums ----------------------------------------------------------------------------------------------------------
 */

static void test_all_counters(void **state)
{
        struct usage usage = { 1, 2, 3, 4, 5, 6, 7, { 8, 9, 10, 11 } }, sum = usage;
        const struct usage twice = { 2, 4, 6, 8, 10, 12, 14, { 16, 18, 20, 22 } }, zero = {};

        (void) state;
        usage_add(&sum, &usage);
        assert_memory_equal(&sum, &twice, sizeof(sum));
        usage_subtract(&sum, &usage);
        assert_memory_equal(&sum, &usage, sizeof(sum));
        usage_subtract(&sum, &usage);
        assert_memory_equal(&sum, &zero, sizeof(sum));
        assert_int_equal(usage_footprint(&usage), 1 + 8 + 9 + 10 + 11);
        assert_int_equal(usage_objects(&usage), 6 + 7);
        usage.allocated = 10;
        assert_int_equal(usage_uncharged(&usage), 10 - 2);
}

/* Every counter is carried up, and back. */
static void test_all_counters_reach_the_root(void **state)
{
        const struct usage usage = { 1, 2, 3, 4, 5, 6, 7, { 8, 9, 10, 11 }, 12, 13 }, zero = {};
        struct fixture *f = *state;
        struct usage back = {};

        tree_add(&f->tree, get(f, 20), &usage);
        tree_flush(&f->tree);
        assert_memory_equal(&f->tree.root->total, &usage, sizeof(usage));
        usage_subtract(&back, &usage);
        tree_add(&f->tree, get(f, 20), &back);
        tree_flush(&f->tree);
        assert_memory_equal(&f->tree.root->total, &zero, sizeof(usage));
}

/* A change of one counter alone is a change. */
static void test_each_rss_is_a_change(void **state)
{
        struct fixture *f = *state;
        struct cgroup *b = get(f, 20);

        for (int i = 0; i < RSS_MEMBERS; i++) {
                uint64_t rss[RSS_MEMBERS] = {};

                rss[i] = 4096 + i;
                tree_set_rss(&f->tree, b, rss);
                assert_int_equal(tree_flush(&f->tree), 1);
                assert_memory_equal(f->tree.root->total.rss, rss, sizeof(rss));
        }
}

/* --- Where cgroups hang --------------------------------------------------------------------------------------------
 */

static void test_is_below(void **state)
{
        struct fixture *f = *state;
        struct cgroup *a = get(f, 10), *b = get(f, 20), *c = get(f, 30);

        assert_true(tree_is_below(b, b));
        assert_true(tree_is_below(b, a));
        assert_true(tree_is_below(b, f->tree.root));
        assert_false(tree_is_below(a, b));
        assert_false(tree_is_below(c, b));
        assert_false(tree_is_below(NULL, b));
}

/* A lookup that fails otherwise than by the cgroup's absence says nothing of whether it is there. */
static int denied_lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) id;
        (void) name;
        (void) parent_id;
        return *(int *) context;
}

static void test_not_permitted_is_not_gone(void **state)
{
        struct fixture *f = *state;
        struct cgroup *a = get(f, 10), *new;
        int error = -EPERM;

        f->tree.lookup = denied_lookup;
        f->tree.lookup_context = &error;
        new = get(f, 40);
        assert_true(new->exists);
        assert_null(new->path);
        assert_ptr_equal(new->parent, f->tree.root);
        tree_check(&f->tree, a);
        assert_true(a->exists);
        error = -ENOMEM;
        assert_int_equal(tree_get(&f->tree, 50, &new), -ENOMEM);
        assert_null(tree_find(&f->tree, 50));
        assert_int_equal(f->tree.count, 3);
}

/* One that is gone before anybody has seen it hangs where it was heard of; what is there says itself where it is. */
static void test_get_below(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(tree_get_below(&f->tree, 999, 20), 0);
        assert_false(get(f, 999)->exists);
        assert_ptr_equal(get(f, 999)->parent, get(f, 20));
        add(f, 999, 7);
        tree_flush(&f->tree);
        assert_int_equal(get(f, 10)->total.allocated, 7);
        assert_int_equal(tree_get_below(&f->tree, 30, 20), 0);
        assert_ptr_equal(get(f, 30)->parent, get(f, 10));
        assert_int_equal(tree_get_below(&f->tree, 1000, 0), 0);
        assert_ptr_equal(get(f, 1000)->parent, f->tree.root);
        /* Above it nothing is known either. */
        assert_int_equal(tree_get_below(&f->tree, 1001, 1002), 0);
        assert_ptr_equal(get(f, 1001)->parent, get(f, 1002));
        assert_ptr_equal(get(f, 1002)->parent, f->tree.root);
        assert_int_equal(tree_get_below(&f->tree, 1003, 1003), 0);
        assert_ptr_equal(get(f, 1003)->parent, f->tree.root);
}

/* What has no name, and what is below it, counts where it is. */
static int nameless_lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        if (id < 40)
                return fake_lookup(context, id, name, parent_id);
        *parent_id = id == 40 ? 20 : 40;
        if (id == 40)
                return -EXDEV;
        *name = strdup("x");
        return 0;
}

static void test_no_name_is_no_escape(void **state)
{
        struct fixture *f = *state;
        struct cgroup *cgroup;
        char *path;

        f->tree.lookup = nameless_lookup;
        cgroup = get(f, 50);
        assert_true(cgroup->exists);
        assert_string_equal(cgroup->name, "x");
        assert_null(cgroup->path);
        assert_int_equal(cgroup_full_path(cgroup, &path), -ENOENT);
        assert_true(tree_is_below(cgroup, tree_find(&f->tree, 20)));
        assert_int_equal(f->tree.count, 5);
        add(f, 50, 7);
        tree_flush(&f->tree);
        assert_int_equal(tree_find(&f->tree, 10)->total.allocated, 7);
}

/* Cgroup N, up to the context's, is below N + 1, and the last one below the root; each has a name of 255 bytes. */
static int deep_lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        static char longest[256];

        *parent_id = id == *(uint64_t *) context ? 1 : id + 1;
        if (!name)
                return 0;
        snprintf(longest, sizeof(longest), "%255llu", (unsigned long long) id);
        *name = strdup(longest);
        return *name ? 0 : -ENOMEM;
}

#define DEEP 20000

static void test_any_depth(void **state)
{
        struct fixture *f = *state;
        uint64_t last = 1000 + DEEP - 1, bytes = 0;
        struct cgroup *lowest;

        f->tree.lookup = deep_lookup;
        f->tree.lookup_context = &last;
        lowest = get(f, 1000);
        assert_int_equal(lowest->depth, DEEP);
        assert_int_equal(f->tree.count, DEEP + 1);
        add(f, 1000, 7);
        tree_flush(&f->tree);
        for (struct cgroup *cgroup = lowest; cgroup->parent; cgroup = cgroup->parent) {
                assert_int_equal(cgroup->total.allocated, 7);
                assert_true(cgroup->exists);
                bytes += strlen(cgroup->path);
        }
        assert_int_equal(f->tree.root->total.allocated, 7);
        /* What is kept of each path does not grow with its depth. */
        assert_in_range(bytes, 255 * DEEP, 1000 * DEEP);
        /* Ancestors first. */
        assert_ptr_equal(tree_take_added(&f->tree), f->tree.root);
        assert_int_equal(tree_take_added(&f->tree)->id, last);
}

/* Up to PATH_MAX a path is complete; a longer one has its beginning, the id and the name, and can be made complete. */
static void test_long_paths(void **state)
{
        char expected[20 * 256 + 1], shown[1024];
        struct fixture *f = *state;
        uint64_t last = 1019;
        char *path;

        f->tree.lookup = deep_lookup;
        f->tree.lookup_context = &last;
        get(f, 1000);
        *expected = '\0';
        for (uint64_t id = last; id >= 1000; id--) {
                struct cgroup *cgroup = tree_find(&f->tree, id);
                size_t before = strlen(expected);

                sprintf(expected + before, "/%255llu", (unsigned long long) id);
                assert_int_equal(cgroup_full_path(cgroup, &path), 0);
                assert_string_equal(path, expected);
                free(path);
                sprintf(shown, "%.256s/…(%llu)%s", expected, (unsigned long long) id, expected + before);
                assert_string_equal(cgroup->path, strlen(expected) < PATH_MAX ? expected : shown);
                assert_int_equal(cgroup->abbreviated, strlen(expected) < PATH_MAX ? 0 : 256);
        }
        assert_int_equal(tree_find(&f->tree, 1004)->abbreviated, 256);
        assert_int_equal(cgroup_full_path(f->tree.root, &path), 0);
        assert_string_equal(path, "/");
        free(path);
}

/* Cgroups 100 and 101 are below each other, and 102 below itself: no kernel says so, but a lookup ends. */
static int circular_lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) context;
        *parent_id = id == 102 ? 102 : 201 - id;
        *name = strdup("x");
        return *name ? 0 : -ENOMEM;
}

static void test_circle_ends(void **state)
{
        struct fixture *f = *state;

        f->tree.lookup = circular_lookup;
        assert_int_equal(get(f, 100)->parent->id, 101);
        assert_ptr_equal(get(f, 101)->parent, f->tree.root);
        assert_ptr_equal(get(f, 102)->parent, f->tree.root);
        assert_int_equal(f->tree.count, 4);
}

/* No name says anything about whether a cgroup is there, or where. */
static void test_any_name(void **state)
{
        static const char *const names[] = { "x (deleted)", " (deleted)", "..deleted", "...", "\\x2f", "a\nb",
                "\xff\xfe", "(unreachable)", "…(10)" };
        char paths[2][sizeof(names) / sizeof(names[0])][64];
        struct fake_cgroup cgroups[2 * sizeof(names) / sizeof(names[0])];
        struct fixture *f = *state;
        size_t count = sizeof(names) / sizeof(names[0]);

        f->hierarchy = (struct fake_hierarchy){ cgroups, 2 * count, 0 };
        for (size_t i = 0; i < count; i++) {
                snprintf(paths[0][i], sizeof(paths[0][i]), "/%s", names[i]);
                snprintf(paths[1][i], sizeof(paths[1][i]), "/%s/%s", names[i], names[i]);
                cgroups[2 * i] = (struct fake_cgroup){ 100 + 2 * i, 1, paths[0][i], false };
                cgroups[2 * i + 1] = (struct fake_cgroup){ 101 + 2 * i, 100 + 2 * i, paths[1][i], false };
        }
        for (size_t i = 0; i < count; i++) {
                struct cgroup *cgroup = get(f, 101 + 2 * i);

                assert_string_equal(cgroup->path, paths[1][i]);
                assert_ptr_equal(cgroup->parent, tree_find(&f->tree, 100 + 2 * i));
                tree_check(&f->tree, cgroup);
                assert_true(cgroup->exists && cgroup->parent->exists);
                add(f, cgroup->id, 3);
                tree_flush(&f->tree);
                assert_int_equal(cgroup->parent->total.allocated, 3);
        }
}

static void test_no_memory(void **state)
{
        struct fixture *f = *state;
        struct cgroup *cgroup = NULL;
        int r = -ENOMEM;

        for (unsigned int n = 1; r < 0; n++) {
                assert_true(n < 100);
                fail_at = n;
                r = tree_get(&f->tree, 20, &cgroup);
                if (fail_at == 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_null(tree_find(&f->tree, 20));
                }
                fail_at = 0;
        }
        assert_int_equal(r, 0);
        assert_int_equal(f->tree.count, 3);
        assert_int_equal(f->tree.root->children, 1);
}

static void test_no_memory_for_the_root(void **state)
{
        struct tree tree;
        int r = -ENOMEM;

        (void) state;
        for (unsigned int n = 1; r < 0; n++) {
                assert_true(n < 100);
                fail_at = n;
                r = tree_init(&tree, 1, fake_lookup, NULL);
                assert_int_equal(r, fail_at > 0 ? 0 : -ENOMEM);
                fail_at = 0;
                tree_deinit(&tree);
        }
}

/* --- Whose total has changed ---------------------------------------------------------------------------------------
 */

static struct policy any_policy;

static void test_policies_above_are_marked(void **state)
{
        struct fixture *f = *state;
        struct cgroup *a = get(f, 10), *b = get(f, 20), *c = get(f, 30), *first, *second;

        a->policy = b->policy = c->policy = &any_policy;
        add(f, 20, 1);
        assert_null(tree_take_changed(&f->tree));
        tree_flush(&f->tree);
        first = tree_take_changed(&f->tree);
        second = tree_take_changed(&f->tree);
        assert_true((first == a && second == b) || (first == b && second == a));
        assert_null(tree_take_changed(&f->tree));

        /* Of several changes each is given once, and again after it was taken. */
        b->policy = c->policy = NULL;
        for (int i = 0; i < 3; i++) {
                add(f, 20, 1);
                add(f, 30, 1);
                add(f, 10, 1);
                tree_flush(&f->tree);
                assert_ptr_equal(tree_take_changed(&f->tree), a);
                assert_null(tree_take_changed(&f->tree));
        }
        add(f, 20, 1);
        tree_flush(&f->tree);
        add(f, 30, 1);
        tree_flush(&f->tree);
        assert_ptr_equal(tree_take_changed(&f->tree), a);
        assert_null(tree_take_changed(&f->tree));
}

static void test_no_change_is_not_marked(void **state)
{
        struct fixture *f = *state;
        struct cgroup *b = get(f, 20);

        b->policy = &any_policy;
        add(f, 20, 5);
        add(f, 20, -5);
        assert_int_equal(tree_flush(&f->tree), 1);
        assert_null(tree_take_changed(&f->tree));
        tree_mark_changed(&f->tree, b);
        tree_mark_changed(&f->tree, b);
        assert_ptr_equal(tree_take_changed(&f->tree), b);
        assert_null(tree_take_changed(&f->tree));
}

/* --- Growth --------------------------------------------------------------------------------------------------------
 */

static void test_growth_is_summed_up(void **state)
{
        struct fixture *f = *state;
        struct cgroup *a = get(f, 10), *b = get(f, 20);
        uint64_t bytes = 99;

        assert_null(tree_take_grown(&f->tree, &bytes));
        tree_note_growth(&f->tree, a, 0);
        assert_null(tree_take_grown(&f->tree, &bytes));
        tree_note_growth(&f->tree, a, 1);
        tree_note_growth(&f->tree, b, 10);
        tree_note_growth(&f->tree, a, 2);
        tree_note_growth(&f->tree, b, 20);
        for (int i = 0; i < 2; i++) {
                struct cgroup *cgroup = tree_take_grown(&f->tree, &bytes);

                assert_true(cgroup == a || cgroup == b);
                assert_int_equal(bytes, cgroup == a ? 3 : 30);
        }
        assert_null(tree_take_grown(&f->tree, &bytes));
        tree_note_growth(&f->tree, a, 4);
        assert_ptr_equal(tree_take_grown(&f->tree, &bytes), a);
        assert_int_equal(bytes, 4);
}

/* One that is freed leaves the list of those that grew, wherever it stands in it. */
static void test_freed_has_not_grown(void **state)
{
        struct fixture *f = *state;
        static const uint64_t ids[] = { 10, 20, 30 };

        f->cgroups[2].parent_id = f->cgroups[3].parent_id = 1;
        for (size_t gone = 0; gone < 3; gone++) {
                struct cgroup *cgroup;
                uint64_t bytes, sum = 0;

                for (size_t i = 0; i < 3; i++) {
                        f->cgroups[i + 1].gone = false;
                        tree_note_growth(&f->tree, get(f, ids[i]), ids[i]);
                }
                f->cgroups[gone + 1].gone = true;
                tree_check(&f->tree, get(f, ids[gone]));
                tree_prune(&f->tree);
                assert_null(tree_find(&f->tree, ids[gone]));
                while ((cgroup = tree_take_grown(&f->tree, &bytes))) {
                        assert_int_equal(cgroup->id, bytes);
                        sum += bytes;
                }
                assert_int_equal(sum, 60 - ids[gone]);
        }
}

/* --- Cgroups that are gone -----------------------------------------------------------------------------------------
 */

static void check_gone(struct fixture *f, size_t index)
{
        f->cgroups[index].gone = true;
        tree_check(&f->tree, tree_find(&f->tree, f->cgroups[index].id));
}

/* Parents and children are freed in whatever order they went, also one that was noticed twice. */
static void test_prune_in_any_order(void **state)
{
        static const size_t orders[][4] = { { 1, 2, 3, 1 }, { 3, 2, 1, 3 }, { 2, 1, 3, 2 }, { 3, 1, 2, 1 } };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
                for (size_t k = 1; k < 4; k++)
                        f->cgroups[k].gone = false;
                get(f, 20);
                get(f, 30);
                assert_int_equal(f->tree.count, 4);
                for (size_t k = 0; k < 4; k++)
                        check_gone(f, orders[i][k]);
                tree_prune(&f->tree);
                assert_int_equal(f->tree.count, 1);
                assert_null(f->tree.gone);
                assert_int_equal(f->tree.root->children, 0);
        }
}

/* Who wants to know gets each cgroup whose total changed once, and it is there until then. */
static void test_noted(void **state)
{
        struct fixture *f = *state;
        struct cgroup *cgroup;
        size_t count = 0;

        tree_flush(&f->tree);
        add(f, 20, 5);
        tree_flush(&f->tree);
        assert_null(tree_take_noted(&f->tree));
        f->tree.notes = true;
        add(f, 20, 5);
        tree_flush(&f->tree);
        add(f, 20, -10);
        check_gone(f, 2);
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_non_null(tree_find(&f->tree, 20));
        while ((cgroup = tree_take_noted(&f->tree))) {
                assert_true(tree_is_below(tree_find(&f->tree, 20), cgroup));
                count++;
        }
        assert_int_equal(count, 1 + tree_find(&f->tree, 20)->depth);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
}

/* Each of these alone keeps a cgroup that is gone. */
static void test_prune_keeps_what_is_needed(void **state)
{
        struct fixture *f = *state;
        struct cgroup *b = get(f, 20);
        uint64_t rss[RSS_MEMBERS] = { [RSS_SWAP] = 1 };

        check_gone(f, 2);
        b->references = 1;
        tree_prune(&f->tree);
        assert_ptr_equal(tree_find(&f->tree, 20), b);
        b->references = 0;
        /* It is still queued: a change that was not carried up, and that comes to nothing. */
        add(f, 20, 5);
        add(f, 20, -5);
        tree_prune(&f->tree);
        assert_ptr_equal(tree_find(&f->tree, 20), b);
        tree_flush(&f->tree);
        tree_mark_changed(&f->tree, b);
        tree_prune(&f->tree);
        assert_ptr_equal(tree_find(&f->tree, 20), b);
        assert_ptr_equal(tree_take_changed(&f->tree), b);
        tree_set_rss(&f->tree, b, rss);
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_ptr_equal(tree_find(&f->tree, 20), b);
        rss[RSS_SWAP] = 0;
        tree_set_rss(&f->tree, b, rss);
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
        assert_int_equal(get(f, 10)->children, 0);
}

/* One that was gone before it was known is freed as well. */
static void test_prune_unknown(void **state)
{
        struct fixture *f = *state;

        get(f, 999);
        get(f, 20);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 999));
        assert_int_equal(f->tree.count, 3);
}

/* --- New and forgotten cgroups ------------------------------------------------------------------------------------ */

static void note(char *text, size_t size, char sign, const struct cgroup *cgroup)
{
        size_t n = strlen(text);

        snprintf(text + n, size - n, "%c%s ", sign, cgroup->path ?: "?");
}

static void assert_added(struct fixture *f, const char *expected)
{
        struct cgroup *cgroup;
        char text[256] = "";

        while ((cgroup = tree_take_added(&f->tree)))
                note(text, sizeof(text), cgroup->exists ? '+' : '!', cgroup);
        assert_string_equal(text, expected);
}

/* In either order. */
static void assert_forgotten(struct fixture *f, const char *expected, const char *other)
{
        struct cgroup *cgroup;
        char text[256] = "";

        while ((cgroup = tree_take_forgotten(&f->tree))) {
                assert_null(cgroup->parent);
                note(text, sizeof(text), '-', cgroup);
                cgroup_free(cgroup);
        }
        if (strcmp(text, other) != 0)
                assert_string_equal(text, expected);
}

/* Ancestors come first; each is given once. */
static void test_added(void **state)
{
        struct fixture *f = *state;

        assert_added(f, "+/ ");
        get(f, 20);
        assert_added(f, "+/a +/a/b ");
        get(f, 20);
        get(f, 999);
        assert_added(f, "!? ");
        assert_added(f, "");
}

/* What is forgotten can be looked at for the last time, also after others were; it is not new any more. */
static void test_forgotten(void **state)
{
        struct fixture *f = *state;

        get(f, 20);
        assert_added(f, "+/ +/a +/a/b ");
        get(f, 999);
        check_gone(f, 2);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
        assert_added(f, "");
        assert_forgotten(f, "-? -/a/b ", "-/a/b -? ");
        assert_forgotten(f, "", "");
        /* Some were not taken at the end. */
        get(f, 999);
        tree_prune(&f->tree);
        tree_deinit(&f->tree);
        assert_null(f->tree.root);
        assert_null(f->tree.forgotten);
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
                cmocka_unit_test(test_all_counters),
                TEST(test_all_counters_reach_the_root),
                TEST(test_each_rss_is_a_change),
                TEST(test_is_below),
                TEST(test_not_permitted_is_not_gone),
                TEST(test_get_below),
                TEST(test_no_name_is_no_escape),
                TEST(test_any_depth),
                TEST(test_long_paths),
                TEST(test_circle_ends),
                TEST(test_any_name),
                TEST(test_no_memory),
                cmocka_unit_test(test_no_memory_for_the_root),
                TEST(test_policies_above_are_marked),
                TEST(test_no_change_is_not_marked),
                TEST(test_growth_is_summed_up),
                TEST(test_freed_has_not_grown),
                TEST(test_prune_in_any_order),
                TEST(test_noted),
                TEST(test_prune_keeps_what_is_needed),
                TEST(test_prune_unknown),
                TEST(test_added),
                TEST(test_forgotten),
        };

        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
