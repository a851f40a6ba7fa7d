/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "account/ledger.h"
#include "fail-alloc.h"
#include "fake-cgroups.h"

struct fixture {
        struct fake_cgroup cgroups[3];
        struct fake_hierarchy hierarchy;
        struct tree tree;
        struct ledger ledger;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        f->cgroups[0] = (struct fake_cgroup){ 1, 0, "/", false };
        f->cgroups[1] = (struct fake_cgroup){ 10, 1, "/a", false };
        f->cgroups[2] = (struct fake_cgroup){ 20, 1, "/b", false };
        f->hierarchy = (struct fake_hierarchy){ f->cgroups, 3, 0 };
        *state = f;
        if (tree_init(&f->tree, 1, fake_lookup, &f->hierarchy) < 0)
                return -1;
        ledger_init(&f->ledger, &f->tree);
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        ledger_deinit(&f->ledger);
        tree_deinit(&f->tree);
        free(f);
        return 0;
}

static struct object_record map(uint32_t id, uint64_t cgroup_id, uint64_t allocated)
{
        return (struct object_record){ .kind = OBJECT_MAP,
                .id = id,
                .cgroup_id = cgroup_id,
                .allocated = allocated,
                .charged = cgroup_id ? allocated : 0 };
}

static int put(struct fixture *f, struct object_record record)
{
        return ledger_put(&f->ledger, &record);
}

static const struct usage *usage(struct fixture *f, uint64_t id)
{
        tree_flush(&f->tree);
        return &tree_find(&f->tree, id)->total;
}

static void test_new_object_is_booked(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(put(f, map(1, 10, 4096)), LEDGER_NEW);
        assert_int_equal(usage(f, 10)->allocated, 4096);
        assert_int_equal(usage(f, 10)->charged, 4096);
        assert_int_equal(usage(f, 10)->maps, 4096);
        assert_int_equal(usage(f, 10)->map_count, 1);
        assert_int_equal(usage(f, 0)->allocated, 4096);
}

static void test_twice_is_once(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_int_equal(put(f, map(1, 10, 4096)), LEDGER_SAME);
        assert_int_equal(usage(f, 0)->allocated, 4096);
        assert_int_equal(usage(f, 0)->map_count, 1);
        assert_int_equal(f->ledger.count, 1);
}

static void test_growth(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_int_equal(put(f, map(1, 10, 8192)), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->allocated, 8192);
        assert_int_equal(put(f, map(1, 10, 100)), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->allocated, 100);
}

static void test_owner_moves(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_int_equal(put(f, map(1, 20, 4096)), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->allocated, 0);
        assert_int_equal(usage(f, 20)->allocated, 4096);
        assert_int_equal(usage(f, 0)->allocated, 4096);
}

static void test_nobodys_is_the_roots(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 0, 4096));
        assert_ptr_equal(ledger_find(&f->ledger, OBJECT_MAP, 1)->cgroup, f->tree.root);
        assert_int_equal(usage(f, 0)->allocated, 4096);
        assert_int_equal(usage_uncharged(usage(f, 0)), 4096);
}

static void test_program_parts(void **state)
{
        struct fixture *f = *state;
        struct object_record program = {
                .kind = OBJECT_PROGRAM, .id = 1, .cgroup_id = 10, .allocated = 10000, .charged = 6000, .jit = 4000
        };

        put(f, program);
        assert_int_equal(usage(f, 10)->programs, 6000);
        assert_int_equal(usage(f, 10)->jit, 4000);
        assert_int_equal(usage(f, 10)->maps, 0);
        assert_int_equal(usage(f, 10)->program_count, 1);
        assert_int_equal(usage_uncharged(usage(f, 10)), 4000);
}

/* Hierarchical as the rest; what has no ceiling is counted, and in the sum with what it has. */
static void test_committed(void **state)
{
        struct fixture *f = *state;
        struct object_record record = map(1, 10, 100);

        record.ceiling = 1000;
        put(f, record);
        assert_int_equal(usage(f, 10)->committed, 1000);
        assert_int_equal(usage(f, 0)->committed, 1000);
        assert_int_equal(usage(f, 0)->unbounded_count, 0);
        /* A change of its own, though nothing was allocated. */
        record.ceiling = 1200;
        assert_int_equal(put(f, record), LEDGER_CHANGED);
        assert_int_equal(usage(f, 0)->committed, 1200);
        record = map(2, 10, 70);
        record.ceiling = CEILING_UNBOUNDED;
        put(f, record);
        assert_int_equal(usage(f, 0)->committed, 1270);
        assert_int_equal(usage(f, 0)->unbounded_count, 1);
        record.allocated = 90;
        assert_int_equal(put(f, record), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->committed, 1290);
        ledger_remove(&f->ledger, OBJECT_MAP, 2);
        assert_int_equal(usage(f, 0)->committed, 1200);
        assert_int_equal(usage(f, 0)->unbounded_count, 0);
        ledger_remove(&f->ledger, OBJECT_MAP, 1);
        assert_int_equal(usage(f, 0)->committed, 0);
}

static void test_kinds_are_apart(void **state)
{
        struct fixture *f = *state;
        struct object_record program = { .kind = OBJECT_PROGRAM, .id = 1, .allocated = 5 };

        put(f, map(1, 10, 7));
        put(f, program);
        assert_int_equal(f->ledger.count, 2);
        assert_int_equal(usage(f, 0)->allocated, 12);
        assert_int_equal(usage_objects(usage(f, 0)), 2);
}

/* The cgroup goes, the kernel charges the parent: the last path stays, also when the parent goes, too. */
static void test_reparented(void **state)
{
        struct fixture *f = *state;
        struct object *object;

        f->cgroups[2].parent_id = 10;
        f->cgroups[2].path = "/a/b";
        put(f, map(1, 20, 100));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        assert_null(object->last_cgroup);
        f->cgroups[2].gone = true;
        put(f, map(1, 10, 100));
        assert_string_equal(object->last_cgroup, "/a/b");
        assert_int_equal(tree_find(&f->tree, 20)->left, 100);
        assert_int_equal(tree_find(&f->tree, 10)->left, 0);
        f->cgroups[1].gone = true;
        put(f, map(1, 0, 100));
        assert_string_equal(object->last_cgroup, "/a/b");
        assert_int_equal(usage(f, 0)->allocated, 100);
}

/* Moved for another reason: the old cgroup is there. */
static void test_moved_is_not_reparented(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 20, 100));
        put(f, map(1, 10, 100));
        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1)->last_cgroup);
}

static void test_creator(void **state)
{
        struct creator creator = { 42, "loader", "abcd" };
        struct fixture *f = *state;
        struct object *object;

        put(f, map(1, 10, 1));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        assert_null(object->creator);
        assert_int_equal(ledger_set_creator(object, &creator), 0);
        put(f, map(1, 10, 2));
        assert_int_equal(object->creator->pid, 42);
        assert_string_equal(object->creator->comm, "loader");
        creator.pid = 43;
        assert_int_equal(ledger_set_creator(object, &creator), 0);
        assert_int_equal(object->creator->pid, 43);
}

static void test_remove(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_true(ledger_remove(&f->ledger, OBJECT_MAP, 1));
        assert_false(ledger_remove(&f->ledger, OBJECT_MAP, 1));
        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1));
        assert_int_equal(usage(f, 10)->allocated, 0);
        assert_int_equal(usage(f, 10)->map_count, 0);
}

/* Two at one address: a full pass saw the next map where one was whose release is still queued. */
static void test_by_address(void **state)
{
        struct object_record old = map(1, 10, 1), new = map(2, 20, 4), other = map(3, 20, 8);
        const struct object *object;
        struct fixture *f = *state;
        uint32_t ids = 0;

        old.address = new.address = 0xffff1000;
        other.address = 0xffff2000;
        put(f, old);
        put(f, new);
        put(f, other);
        assert_null(ledger_next_at(&f->ledger, 0xffff3000, NULL));
        object = ledger_next_at(&f->ledger, 0xffff1000, NULL);
        for (; object; object = ledger_next_at(&f->ledger, 0xffff1000, object))
                ids += 1U << object->record.id;
        assert_int_equal(ids, 1U << 1 | 1U << 2);
        assert_true(ledger_remove(&f->ledger, OBJECT_MAP, 1));
        object = ledger_next_at(&f->ledger, 0xffff1000, NULL);
        assert_int_equal(object->record.id, 2);
        assert_null(ledger_next_at(&f->ledger, 0xffff1000, object));
}

static void test_pass_takes_off_what_is_missing(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 1));
        put(f, map(2, 10, 2));
        put(f, map(3, 20, 4));
        ledger_begin_pass(&f->ledger);
        put(f, map(2, 10, 2));
        put(f, map(4, 20, 8));
        assert_int_equal(ledger_end_pass(&f->ledger), 2);
        assert_int_equal(usage(f, 0)->allocated, 10);
        assert_int_equal(f->ledger.count, 2);
}

static size_t growing(const struct ledger *ledger)
{
        size_t n = 0;

        for (struct object *object = ledger->growing; object; object = object->next)
                n++;
        return n;
}

static void test_growing_list(void **state)
{
        struct fixture *f = *state;
        struct object_record a = map(1, 10, 1), b = map(2, 10, 1);

        a.marks = b.marks = OBJECT_GROWS;
        put(f, a);
        put(f, b);
        put(f, map(3, 10, 1));
        assert_int_equal(growing(&f->ledger), 2);
        b.marks = 0;
        put(f, b);
        assert_int_equal(growing(&f->ledger), 1);
        ledger_remove(&f->ledger, OBJECT_MAP, 1);
        assert_int_equal(growing(&f->ledger), 0);
}

/* 10,000 cycles of random changes: usage is back at the start to the byte. */
static void test_cycles_leave_nothing(void **state)
{
        static const uint64_t owners[] = { 0, 10, 20 };
        struct fixture *f = *state;

        srandom(2);
        for (int i = 0; i < 10000; i++) {
                uint32_t id = random() % 100;

                if (random() % 3)
                        put(f, map(id, owners[random() % 3], random() % 100000));
                else
                        ledger_remove(&f->ledger, OBJECT_MAP, id);
                if (random() % 11 == 0)
                        tree_flush(&f->tree);
        }
        for (uint32_t id = 0; id < 100; id++)
                ledger_remove(&f->ledger, OBJECT_MAP, id);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(usage(f, owners[i])->allocated, 0);
                assert_int_equal(usage(f, owners[i])->charged, 0);
                assert_int_equal(usage(f, owners[i])->map_count, 0);
        }
        assert_int_equal(f->ledger.count, 0);
}

/* What the ledger says that @id has grown by since it was asked last. */
static uint64_t grown(struct fixture *f, uint64_t id)
{
        struct cgroup *cgroup;
        uint64_t bytes, sum = 0;

        while ((cgroup = tree_take_grown(&f->tree, &bytes)))
                if (cgroup->id == id)
                        sum += bytes;
        return sum;
}

static void test_growth_is_of_who_grew(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        put(f, map(2, 10, 1000));
        assert_int_equal(grown(f, 10), 5096);
        put(f, map(1, 10, 5000));
        put(f, map(1, 10, 5000));
        assert_int_equal(grown(f, 10), 904);
        put(f, map(1, 10, 3000));
        ledger_remove(&f->ledger, OBJECT_MAP, 2);
        assert_int_equal(grown(f, 10), 0);
        /* What comes from another cgroup has not grown. */
        put(f, map(1, 20, 9000));
        assert_int_equal(grown(f, 20), 0);
        put(f, map(1, 20, 9001));
        assert_int_equal(grown(f, 20), 1);
}

/* A cgroup that is freed leaves the list of those that grew, and the others stay in it. */
static void test_growth_of_gone(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 20, 1));
        put(f, map(2, 10, 2));
        put(f, map(3, 0, 3));
        ledger_remove(&f->ledger, OBJECT_MAP, 2);
        f->cgroups[1].gone = true;
        tree_check(&f->tree, tree_find(&f->tree, 10));
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 10));
        assert_int_equal(grown(f, 20), 1);
        assert_int_equal(grown(f, 1), 0);
}

/* --- What counts as a change ---------------------------------------------------------------------------------------
 */

/* Each part of an object's size alone is one, and is booked; what is no size is kept and is none. */
static void test_each_part_is_a_change(void **state)
{
        struct fixture *f = *state;
        struct object_record program = {
                .kind = OBJECT_PROGRAM, .id = 1, .cgroup_id = 10, .allocated = 100, .charged = 60, .jit = 40
        };
        struct object *object;

        put(f, program);
        program.charged = 61;
        assert_int_equal(put(f, program), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->charged, 61);
        program.jit = 42;
        assert_int_equal(put(f, program), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->jit, 42);
        assert_int_equal(usage(f, 10)->programs, 58);
        program.allocated = 103;
        assert_int_equal(put(f, program), LEDGER_CHANGED);
        assert_int_equal(usage(f, 10)->programs, 61);
        assert_int_equal(usage(f, 10)->maps, 0);
        assert_int_equal(usage(f, 10)->map_count, 0);
        program.entries = 7;
        program.attribution = ATTRIBUTION_CHARGED;
        assert_int_equal(put(f, program), LEDGER_SAME);
        object = ledger_find(&f->ledger, OBJECT_PROGRAM, 1);
        assert_int_equal(object->record.entries, 7);
        assert_int_equal(object->record.attribution, ATTRIBUTION_CHARGED);
        assert_int_equal(usage(f, 10)->programs, 61);
        ledger_remove(&f->ledger, OBJECT_PROGRAM, 1);
        assert_int_equal(usage(f, 10)->programs, 0);
        assert_int_equal(usage(f, 10)->jit, 0);
        assert_int_equal(usage(f, 10)->charged, 0);
        assert_int_equal(usage(f, 10)->program_count, 0);
}

/* What has changed since the last time, and where it is now. */
static void assert_changes(struct fixture *f, const char *expected)
{
        char text[256] = "";

        for (size_t i = 0; i < f->ledger.change_count; i++) {
                const struct object_change *change = &f->ledger.changes[i];
                const struct object *object = ledger_find(&f->ledger, change->kind, change->id);
                size_t n = strlen(text);

                snprintf(text + n, sizeof(text) - n, "%c%u:%llu@%llu ", change->gone ? '-' : '+', change->id,
                                (unsigned long long) change->allocated,
                                (unsigned long long) (object ? object->cgroup->id : 0));
        }
        assert_string_equal(text, expected);
        assert_false(f->ledger.changes_lost);
        ledger_keep_changes(&f->ledger, true);
}

static void test_changes(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 99));
        assert_changes(f, "");
        put(f, map(1, 10, 100));
        assert_changes(f, "+1:100@10 ");
        put(f, map(1, 10, 100));
        assert_changes(f, "");
        put(f, map(1, 10, 200));
        assert_changes(f, "+1:200@10 ");
        put(f, map(1, 20, 200));
        assert_changes(f, "+1:200@20 ");
        put(f, map(2, 10, 5));
        assert_changes(f, "+2:5@10 ");
        put(f, map(2, 10, 6));
        ledger_remove(&f->ledger, OBJECT_MAP, 2);
        assert_changes(f, "+2:6@0 -2:6@0 ");
        ledger_begin_pass(&f->ledger);
        ledger_end_pass(&f->ledger);
        assert_changes(f, "-1:200@0 ");
        put(f, map(3, 10, 5));
        ledger_keep_changes(&f->ledger, false);
        put(f, map(3, 10, 6));
        assert_changes(f, "");
}

/* More than there is room for at first. */
static void test_many_changes(void **state)
{
        struct fixture *f = *state;

        ledger_keep_changes(&f->ledger, true);
        for (uint32_t id = 1; id <= 200; id++)
                put(f, map(id, 10, id));
        assert_int_equal(f->ledger.change_count, 200);
        for (uint32_t id = 1; id <= 200; id++)
                assert_int_equal(f->ledger.changes[id - 1].id, id);
}

/* Passes follow each other: what a pass has seen is no news to the next. */
static void test_passes_follow(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 3; i++) {
                ledger_begin_pass(&f->ledger);
                put(f, map(1, 10, 1));
                put(f, map(2, 10, 1));
                assert_int_equal(ledger_end_pass(&f->ledger), 0);
                assert_int_equal(f->ledger.count, 2);
        }
        ledger_begin_pass(&f->ledger);
        put(f, map(2, 10, 1));
        assert_int_equal(ledger_end_pass(&f->ledger), 1);
        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1));
        assert_non_null(ledger_find(&f->ledger, OBJECT_MAP, 2));
}

/* What begins to grow later is in the list from then on, once. */
static void test_begins_to_grow(void **state)
{
        struct fixture *f = *state;
        struct object_record record = map(1, 10, 1);

        put(f, record);
        assert_int_equal(growing(&f->ledger), 0);
        record.marks = OBJECT_GROWS;
        put(f, record);
        put(f, record);
        assert_int_equal(growing(&f->ledger), 1);
        assert_ptr_equal(f->ledger.growing, ledger_find(&f->ledger, OBJECT_MAP, 1));
        ledger_begin_pass(&f->ledger);
        ledger_end_pass(&f->ledger);
        assert_null(f->ledger.growing);
}

/* Of a cgroup that nobody knew by its name there is no last path. */
static void test_reparented_from_unknown(void **state)
{
        struct fixture *f = *state;
        struct object *object;

        put(f, map(1, 999, 100));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        assert_int_equal(object->cgroup->id, 999);
        assert_int_equal(put(f, map(1, 20, 100)), LEDGER_CHANGED);
        assert_null(object->last_cgroup);
        f->cgroups[2].gone = true;
        put(f, map(1, 10, 100));
        assert_string_equal(object->last_cgroup, "/b");
}

/* What was nobody's and is charged to a cgroup now has not come from one that is gone: the root never is. */
static void test_root_never_goes(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 0, 100));
        f->cgroups[0].gone = true;
        assert_int_equal(put(f, map(1, 10, 100)), LEDGER_CHANGED);
        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1)->last_cgroup);
        assert_true(f->tree.root->exists);
        assert_null(f->tree.gone);
}

/* Whoever makes the next object at the same number is another. */
static void test_removed_is_forgotten(void **state)
{
        struct creator creator = { 42, "loader", "abcd" };
        struct fixture *f = *state;
        struct object_record record = map(1, 10, 1);

        record.address = 0xffff1000;
        put(f, record);
        ledger_set_creator(ledger_find(&f->ledger, OBJECT_MAP, 1), &creator);
        ledger_remove(&f->ledger, OBJECT_MAP, 1);
        assert_int_equal(f->ledger.count, 0);
        assert_null(ledger_next_at(&f->ledger, 0xffff1000, NULL));
        put(f, record);
        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1)->creator);
        assert_int_equal(f->ledger.count, 1);
}

/* --- Memory that runs out ------------------------------------------------------------------------------------------
 */

/* An object that finds no memory is not there at all: neither by its id, nor by its address, nor booked. */
static void test_no_memory(void **state)
{
        struct fixture *f = *state;
        struct object_record record = map(1, 10, 4096);
        int r = -ENOMEM;

        record.address = 0xffff1000;
        record.marks = OBJECT_GROWS;
        for (unsigned int n = 1; r < 0; n++) {
                assert_true(n < 100);
                fail_at = n;
                r = ledger_put(&f->ledger, &record);
                if (fail_at == 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_null(ledger_find(&f->ledger, OBJECT_MAP, 1));
                        assert_null(ledger_next_at(&f->ledger, 0xffff1000, NULL));
                        assert_null(f->ledger.growing);
                        assert_int_equal(f->ledger.count, 0);
                        assert_int_equal(usage(f, 0)->allocated, 0);
                }
                fail_at = 0;
        }
        assert_int_equal(r, LEDGER_NEW);
        assert_int_equal(f->ledger.count, 1);
        assert_int_equal(usage(f, 10)->allocated, 4096);
}

/* One that is there already stays as it was. */
static void test_no_memory_for_a_change(void **state)
{
        struct creator creator = { 42, "loader", "abcd" };
        struct fixture *f = *state;
        struct object *object;
        int r = -ENOMEM;

        put(f, map(1, 20, 100));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        fail_at = 1;
        assert_int_equal(ledger_set_creator(object, &creator), -ENOMEM);
        assert_null(object->creator);
        f->cgroups[2].gone = true;
        for (unsigned int n = 1; r < 0; n++) {
                assert_true(n < 100);
                fail_at = n;
                r = put(f, map(1, 10, 200));
                if (fail_at == 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_null(object->last_cgroup);
                        assert_int_equal(usage(f, 20)->allocated, 100);
                }
                fail_at = 0;
        }
        assert_int_equal(r, LEDGER_CHANGED);
        assert_string_equal(object->last_cgroup, "/b");
        assert_int_equal(usage(f, 10)->allocated, 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- Programs whose pages do not tell ------------------------------------------------------------------------------
 */

static struct object_record untold(uint32_t id, uint64_t cgroup_id)
{
        return (struct object_record){ .kind = OBJECT_PROGRAM,
                .id = id,
                .cgroup_id = cgroup_id,
                .allocated = 4096,
                .charged = 4096,
                .marks = OBJECT_UNATTRIBUTED,
                .attribution = cgroup_id ? ATTRIBUTION_MAPS : ATTRIBUTION_NONE };
}

static void test_recorded(void **state)
{
        struct fixture *f = *state;
        struct object_record record = untold(1, 20);
        struct object *object;

        assert_int_equal(ledger_put_recorded(&f->ledger, &record, 10), LEDGER_NEW);
        object = ledger_find(&f->ledger, OBJECT_PROGRAM, 1);
        assert_int_equal(object->record.attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(object->record.cgroup_id, 10);
        assert_int_equal(usage(f, 10)->charged, 4096);
        /* What is measured later tells no more than before. */
        assert_int_equal(ledger_put(&f->ledger, &record), LEDGER_SAME);
        assert_int_equal(object->record.attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(usage(f, 10)->charged, 4096);
        assert_int_equal(usage(f, 0)->allocated, 4096);
}

static void test_recorded_is_not_better_than_charged(void **state)
{
        struct fixture *f = *state;
        struct object_record record = untold(1, 20);

        record.marks = 0;
        record.attribution = ATTRIBUTION_CHARGED;
        ledger_put_recorded(&f->ledger, &record, 10);
        assert_int_equal(ledger_find(&f->ledger, OBJECT_PROGRAM, 1)->record.attribution, ATTRIBUTION_CHARGED);
        assert_int_equal(usage(f, 20)->charged, 4096);
}

static void test_not_recorded(void **state)
{
        struct fixture *f = *state;
        struct object_record maps = untold(1, 20), none = untold(2, 0), root = untold(3, 0);

        ledger_put(&f->ledger, &maps);
        ledger_put(&f->ledger, &none);
        ledger_put_recorded(&f->ledger, &root, 1);
        assert_int_equal(ledger_find(&f->ledger, OBJECT_PROGRAM, 1)->record.attribution, ATTRIBUTION_MAPS);
        assert_int_equal(usage(f, 20)->charged, 4096);
        for (uint32_t id = 2; id <= 3; id++) {
                struct object *object = ledger_find(&f->ledger, OBJECT_PROGRAM, id);

                assert_int_equal(object->record.attribution, ATTRIBUTION_NONE);
                assert_int_equal(object->record.cgroup_id, 0);
                assert_int_equal(object->record.charged, 0);
        }
        assert_int_equal(usage(f, 0)->charged, 4096);
        assert_int_equal(usage(f, 0)->allocated, 3 * 4096);
}

/* As the kernel hands on what is charged to a cgroup that goes. */
static void test_recorded_cgroup_goes(void **state)
{
        struct fixture *f = *state;
        struct object_record record = untold(1, 0);
        struct object *object;

        f->cgroups[2].parent_id = 10;
        f->cgroups[2].path = "/a/b";
        ledger_put_recorded(&f->ledger, &record, 20);
        f->cgroups[2].gone = true;
        tree_check(&f->tree, tree_find(&f->tree, 20));
        ledger_put(&f->ledger, &record);
        object = ledger_find(&f->ledger, OBJECT_PROGRAM, 1);
        assert_int_equal(object->record.cgroup_id, 10);
        assert_string_equal(object->last_cgroup, "/a/b");
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
        ledger_put(&f->ledger, &record);
        assert_int_equal(object->record.attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(usage(f, 10)->charged, 4096);
}

/* A loader's cgroup that is told later counts, and later than the maps; that of the root is none. */
static void test_recorded_later(void **state)
{
        struct fixture *f = *state;
        struct object_record record = untold(1, 20);
        struct object *object;

        ledger_put(&f->ledger, &record);
        assert_int_equal(usage(f, 20)->charged, 4096);
        assert_int_equal(ledger_put_recorded(&f->ledger, &record, 10), LEDGER_CHANGED);
        object = ledger_find(&f->ledger, OBJECT_PROGRAM, 1);
        assert_int_equal(object->record.attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(usage(f, 20)->charged, 0);
        assert_int_equal(usage(f, 10)->charged, 4096);
        assert_int_equal(ledger_put_recorded(&f->ledger, &record, 1), LEDGER_CHANGED);
        assert_int_equal(object->record.attribution, ATTRIBUTION_NONE);
        assert_int_equal(object->record.cgroup_id, 0);
        assert_int_equal(usage(f, 0)->charged, 0);
        assert_int_equal(usage(f, 0)->allocated, 4096);
}

/* Several ancestors may be gone: the next one above that is not. */
static void test_recorded_below_gone(void **state)
{
        struct fixture *f = *state;
        struct object_record record = untold(1, 0);
        struct cgroup *cgroup;

        f->cgroups[2].parent_id = 10;
        assert_int_equal(tree_get(&f->tree, 20, &cgroup), 0);
        f->cgroups[1].gone = f->cgroups[2].gone = true;
        tree_check(&f->tree, cgroup);
        tree_check(&f->tree, cgroup->parent);
        ledger_put_recorded(&f->ledger, &record, 20);
        assert_ptr_equal(ledger_find(&f->ledger, OBJECT_PROGRAM, 1)->cgroup, f->tree.root);
        assert_int_equal(ledger_find(&f->ledger, OBJECT_PROGRAM, 1)->record.attribution, ATTRIBUTION_NONE);
}

/* --- Holders ------------------------------------------------------------------------------------------------------ */

struct holding {
        uint64_t cgroup_id;
        bool by_holder;
};

/* One pass in which map 1 is held by these. */
static size_t hold(struct fixture *f, const struct holding *holdings, size_t n)
{
        ledger_begin_holders(&f->ledger);
        for (size_t i = 0; i < n; i++) {
                struct cgroup *cgroup;

                assert_int_equal(tree_get(&f->tree, holdings[i].cgroup_id, &cgroup), 0);
                ledger_add_holder(&f->ledger, OBJECT_MAP, 1, cgroup, holdings[i].by_holder);
        }
        return ledger_end_holders(&f->ledger);
}

#define HOLD(f, ...)                                     \
        hold(f, (const struct holding[]){ __VA_ARGS__ }, \
                        sizeof((const struct holding[]){ __VA_ARGS__ }) / sizeof(struct holding))

static uint64_t owner(struct fixture *f)
{
        return ledger_find(&f->ledger, OBJECT_MAP, 1)->cgroup->id;
}

static void test_holder_takes_over(void **state)
{
        struct fixture *f = *state;
        struct object *object;

        put(f, map(1, 10, 4096));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        /* Nobody has such a budget; then both hold it; then only the other. */
        assert_int_equal(HOLD(f, { 20, false }), 0);
        assert_int_equal(HOLD(f, { 10, false }, { 20, true }), 0);
        assert_int_equal(owner(f), 10);
        assert_int_equal(HOLD(f, { 20, true }), 1);
        assert_int_equal(owner(f), 20);
        assert_int_equal(object->record.attribution, ATTRIBUTION_HOLDER);
        assert_int_equal(usage(f, 10)->allocated, 0);
        assert_int_equal(usage(f, 20)->allocated, 4096);
        assert_int_equal(usage(f, 0)->allocated, 4096);
        /* It grows there, and stays there. */
        put(f, map(1, 10, 8192));
        assert_int_equal(object->record.attribution, ATTRIBUTION_HOLDER);
        assert_int_equal(usage(f, 20)->allocated, 8192);
        assert_int_equal(HOLD(f, { 20, true }), 0);
        /* The holder lets go. */
        ledger_begin_holders(&f->ledger);
        assert_int_equal(ledger_end_holders(&f->ledger), 1);
        assert_int_equal(owner(f), 10);
        assert_int_equal(object->record.attribution, ATTRIBUTION_NONE);
        assert_int_equal(usage(f, 10)->allocated, 8192);
        assert_int_equal(usage(f, 20)->allocated, 0);
}

static void test_holder_of_nobodys(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 0, 4096));
        assert_int_equal(HOLD(f, { 1, false }, { 20, true }), 1);
        assert_int_equal(owner(f), 20);
        assert_int_equal(ledger_forget_holders(&f->ledger), 1);
        assert_int_equal(owner(f), 1);
}

/* Of several it is the oldest one's, and stays with whom it is, in whatever order they come. */
static void test_several_holders(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 0, 4096));
        HOLD(f, { 20, true }, { 10, true });
        assert_int_equal(owner(f), 10);
        HOLD(f, { 20, true });
        assert_int_equal(owner(f), 20);
        HOLD(f, { 10, true }, { 20, true });
        assert_int_equal(owner(f), 20);
        HOLD(f, { 20, true }, { 10, true });
        assert_int_equal(owner(f), 20);
}

/* The charged cgroup goes while the holder has the map: where it was is known all the same. */
static void test_charged_cgroup_goes_while_held(void **state)
{
        struct fixture *f = *state;
        struct object *object;

        put(f, map(1, 10, 4096));
        object = ledger_find(&f->ledger, OBJECT_MAP, 1);
        HOLD(f, { 20, true });
        f->cgroups[1].gone = true;
        tree_check(&f->tree, tree_find(&f->tree, 10));
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        put(f, map(1, 1, 4096));
        assert_string_equal(object->last_cgroup, "/a");
        assert_int_equal(owner(f), 20);
        tree_flush(&f->tree);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 10));
        ledger_remove(&f->ledger, OBJECT_MAP, 1);
        assert_int_equal(usage(f, 0)->allocated, 0);
        assert_int_equal(tree_find(&f->tree, 0)->references, 0);
}

static void test_holders_cgroup_goes(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        HOLD(f, { 20, true });
        f->cgroups[2].gone = true;
        tree_check(&f->tree, tree_find(&f->tree, 20));
        put(f, map(1, 10, 4096));
        assert_int_equal(owner(f), 10);
        assert_int_equal(usage(f, 10)->allocated, 4096);
        tree_prune(&f->tree);
        assert_null(tree_find(&f->tree, 20));
        assert_int_equal(tree_find(&f->tree, 10)->references, 0);
}

/* The holder's budget says so no more, though it still holds it. */
static void test_holders_budget_goes(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_int_equal(HOLD(f, { 20, true }), 1);
        assert_int_equal(HOLD(f, { 20, false }), 1);
        assert_int_equal(owner(f), 10);
        assert_int_equal(tree_find(&f->tree, 10)->references, 0);
}

/* The charged cgroup takes it up again, in whatever order they come; then lets go. */
static void test_charged_cgroup_holds_again(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        assert_int_equal(HOLD(f, { 20, true }), 1);
        assert_int_equal(tree_find(&f->tree, 10)->references, 1);
        assert_int_equal(HOLD(f, { 20, true }, { 10, true }), 1);
        assert_int_equal(owner(f), 10);
        assert_int_equal(tree_find(&f->tree, 10)->references, 0);
        assert_int_equal(HOLD(f, { 20, true }), 1);
        assert_int_equal(owner(f), 20);
        /* Whoever takes an object over has not grown. One that is gone is held by nobody. */
        assert_int_equal(grown(f, 20), 0);
        assert_true(ledger_remove(&f->ledger, OBJECT_MAP, 1));
        assert_int_equal(tree_find(&f->tree, 10)->references, 0);
        assert_int_equal(usage(f, 20)->allocated, 0);
        ledger_begin_holders(&f->ledger);
        ledger_add_holder(&f->ledger, OBJECT_MAP, 1, tree_find(&f->tree, 20), true);
        assert_int_equal(ledger_end_holders(&f->ledger), 0);
}

/* A change of the charged cgroup while another holds it moves the reference, and nothing else. */
static void test_charged_cgroup_changes_while_held(void **state)
{
        struct fixture *f = *state;

        put(f, map(1, 10, 4096));
        put(f, map(2, 10, 1));
        HOLD(f, { 20, true });
        assert_int_equal(put(f, map(1, 1, 4096)), LEDGER_SAME);
        assert_int_equal(owner(f), 20);
        assert_int_equal(tree_find(&f->tree, 10)->references, 0);
        assert_int_equal(f->tree.root->references, 1);
        assert_int_equal(ledger_forget_holders(&f->ledger), 1);
        assert_int_equal(f->tree.root->references, 0);
        assert_ptr_equal(ledger_find(&f->ledger, OBJECT_MAP, 1)->cgroup, f->tree.root);
        assert_int_equal(usage(f, 10)->allocated, 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_new_object_is_booked),
                TEST(test_twice_is_once),
                TEST(test_growth),
                TEST(test_owner_moves),
                TEST(test_nobodys_is_the_roots),
                TEST(test_program_parts),
                TEST(test_committed),
                TEST(test_kinds_are_apart),
                TEST(test_reparented),
                TEST(test_moved_is_not_reparented),
                TEST(test_creator),
                TEST(test_remove),
                TEST(test_by_address),
                TEST(test_pass_takes_off_what_is_missing),
                TEST(test_growing_list),
                TEST(test_growth_is_of_who_grew),
                TEST(test_growth_of_gone),
                TEST(test_cycles_leave_nothing),
                TEST(test_recorded),
                TEST(test_recorded_is_not_better_than_charged),
                TEST(test_not_recorded),
                TEST(test_recorded_cgroup_goes),
                TEST(test_holder_takes_over),
                TEST(test_holder_of_nobodys),
                TEST(test_several_holders),
                TEST(test_charged_cgroup_goes_while_held),
                TEST(test_holders_cgroup_goes),
                TEST(test_each_part_is_a_change),
                TEST(test_changes),
                TEST(test_many_changes),
                TEST(test_passes_follow),
                TEST(test_begins_to_grow),
                TEST(test_reparented_from_unknown),
                TEST(test_root_never_goes),
                TEST(test_removed_is_forgotten),
                TEST(test_no_memory),
                TEST(test_no_memory_for_a_change),
                TEST(test_recorded_later),
                TEST(test_recorded_below_gone),
                TEST(test_holders_budget_goes),
                TEST(test_charged_cgroup_holds_again),
                TEST(test_charged_cgroup_changes_while_held),
        };

        return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
