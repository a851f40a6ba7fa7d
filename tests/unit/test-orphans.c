/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which objects are orphans: tree and ledger are the real ones; what the kernel and bpffs say is a table. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "account/orphans.h"
#include "account/owners.h"
#include "base/clock.h"
#include "enforce/orphanwatch.h"

#define SECOND (1000ULL * 1000)

static struct monitor monitor;
static bool cgroup_is_there;

/* What a pass would find. */
static struct holder holders[8];
static struct pin pins[8];
static struct use_record uses[8];
static struct link links[4];
static size_t holder_count, pin_count, use_count, link_count;
static struct {
        uint32_t kind, id, references;
        bool gone;
} counts[16];
static size_t count_count;
static unsigned int passes;

int __wrap_relations_read_named(struct relations *relations, struct kernel *kernel, struct tree *tree,
                const struct cgroupfs *cgroupfs, uint32_t asked);
int __wrap_kernel_measure(struct kernel *kernel, struct object_record *records, size_t n);

static void *copy(const void *list, size_t count, size_t size)
{
        void *copied = calloc(count + 1, size);

        assert_non_null(copied);
        memcpy(copied, list, count * size);
        return copied;
}

int __wrap_relations_read_named(struct relations *relations, struct kernel *kernel, struct tree *tree,
                const struct cgroupfs *cgroupfs, uint32_t asked)
{
        (void) kernel;
        (void) tree;
        passes++;
        *relations = (struct relations){
                .asked = asked,
                .cgroupfs = cgroupfs,
                .holders = copy(holders, holder_count, sizeof(*holders)),
                .pins = copy(pins, pin_count, sizeof(*pins)),
                .uses = copy(uses, use_count, sizeof(*uses)),
                .used = copy(uses, use_count, sizeof(*uses)),
                .links = copy(links, link_count, sizeof(*links)),
                .holder_count = holder_count,
                .pin_count = pin_count,
                .use_count = use_count,
                .link_count = link_count,
        };
        for (size_t i = 0; i < pin_count; i++)
                relations->pins[i].path = strdup(pins[i].path);
        relations_sort(relations);
        return 0;
}

/* The kernel counts one reference to what no test says otherwise of. */
int __wrap_kernel_measure(struct kernel *kernel, struct object_record *records, size_t n)
{
        (void) kernel;
        for (size_t i = 0; i < n; i++) {
                records[i].references = 1;
                for (size_t k = 0; k < count_count; k++) {
                        if (counts[k].kind != records[i].kind || counts[k].id != records[i].id)
                                continue;
                        records[i].references = counts[k].references;
                        if (counts[k].gone)
                                records[i].marks |= OBJECT_GONE;
                }
        }
        return 0;
}

static int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) context;
        if (id == 11 && !cgroup_is_there)
                return -ESTALE;
        if (name && !(*name = strdup(id == 10 ? "a" : "b.service")))
                return -ENOMEM;
        *parent_id = id == 10 ? 1 : 10;
        return 0;
}

/* --- The scene ---------------------------------------------------------------------------------------------------- */

static void put(uint32_t kind, uint32_t id, uint64_t cgroup_id, uint32_t marks)
{
        struct object_record record = { .kind = kind,
                .id = id,
                .address = (uint64_t) kind << 32 | id,
                .identity = id,
                .cgroup_id = cgroup_id,
                .allocated = 100 * id,
                .entries = ENTRIES_UNKNOWN,
                .attribution = ATTRIBUTION_CHARGED,
                .marks = marks,
                .uid = 7 };

        assert_true(ledger_put(&monitor.ledger, &record) >= 0);
}

static void hold(uint32_t kind, uint32_t id, uint32_t target)
{
        holders[holder_count++] = (struct holder){ .record = { .kind = kind, .id = id, .pid = 1, .target = target } };
}

static void pin(uint32_t kind, uint32_t id, const char *path, uint64_t inode)
{
        pins[pin_count++] = (struct pin){ kind, id, (char *) path, 1, inode, false };
}

static void count_references(uint32_t kind, uint32_t id, uint32_t references)
{
        counts[count_count].kind = kind;
        counts[count_count].id = id;
        counts[count_count].gone = references == 0;
        counts[count_count++].references = references;
}

static void use(uint32_t program, uint32_t map)
{
        uses[use_count++] = (struct use_record){ program, map };
}

static int setup(void **state)
{
        (void) state;
        holder_count = pin_count = use_count = link_count = count_count = passes = 0;
        cgroup_is_there = true;
        monitor = (struct monitor){};
        if (tree_init(&monitor.tree, 1, lookup, NULL) < 0)
                return -1;
        ledger_init(&monitor.ledger, &monitor.tree);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        ledger_deinit(&monitor.ledger);
        tree_deinit(&monitor.tree);
        return 0;
}

/* "map:3 prog:1 ?map:2": orphans for certain, and those that may be none. */
static void expect(const char *expected)
{
        char text[256] = "";
        struct orphans orphans;
        uint64_t bytes = 0;

        assert_int_equal(orphans_find(&orphans, &monitor), 0);
        for (size_t i = 0; i < orphans.count; i++) {
                const struct orphan *orphan = &orphans.list[i];

                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s:%u", i ? " " : "",
                                orphan->certain ? "" : "?", orphan->kind == OBJECT_MAP ? "map" : "prog", orphan->id);
                bytes += orphan->certain ? 100 * orphan->id : 0;
        }
        assert_string_equal(text, expected);
        assert_true(orphans.bytes == bytes);
        orphans_deinit(&orphans);
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static void test_pinned(void **state)
{
        (void) state;
        put(OBJECT_MAP, 1, 10, 0);
        put(OBJECT_MAP, 2, 10, 0);
        put(OBJECT_MAP, 3, 10, 0);
        put(OBJECT_MAP, 4, 10, OBJECT_OWN);
        put(OBJECT_PROGRAM, 5, 10, 0);
        pin(OBJECT_MAP, 1, "/p/1", 1);
        pin(OBJECT_MAP, 2, "/p/2", 2);
        pin(OBJECT_MAP, 4, "/p/4", 4);
        pin(OBJECT_PROGRAM, 5, "/p/5", 5);
        hold(OBJECT_MAP, 2, 0);
        expect("prog:5 ?map:3 map:1");
}

/* What the kernel counts and nobody was seen to have: a socket, a descriptor on its way, a pin elsewhere. */
static void test_unseen_reference(void **state)
{
        (void) state;
        put(OBJECT_MAP, 1, 10, 0);
        pin(OBJECT_MAP, 1, "/p/1", 1);
        count_references(OBJECT_MAP, 1, 2);
        expect("?map:1");
        /* One file with two names, or seen through two mounts, has one. */
        pin(OBJECT_MAP, 1, "/q/1", 1);
        expect("?map:1");
        pins[1].inode = 2;
        expect("map:1");
}

static void test_gone_meanwhile(void **state)
{
        (void) state;
        put(OBJECT_MAP, 1, 10, 0);
        pin(OBJECT_MAP, 1, "/p/1", 1);
        count_references(OBJECT_MAP, 1, 0);
        expect("");
}

/* A map that a held program uses is in use; one that an orphan uses is an orphan, and one that a doubtful one uses is
 * not. */
static void test_used(void **state)
{
        (void) state;
        put(OBJECT_MAP, 1, 10, 0);
        put(OBJECT_PROGRAM, 9, 10, 0);
        use(9, 1);
        hold(OBJECT_PROGRAM, 9, 0);
        expect("");
        holder_count = 0;
        pin(OBJECT_PROGRAM, 9, "/p/9", 9);
        expect("prog:9 map:1");
        pin(OBJECT_MAP, 1, "/p/1", 1);
        count_references(OBJECT_MAP, 1, 2);
        expect("prog:9 map:1");
        count_references(OBJECT_PROGRAM, 9, 2);
        expect("?prog:9 ?map:1");
}

static void test_linked(void **state)
{
        (void) state;
        put(OBJECT_PROGRAM, 3, 10, 0);
        put(OBJECT_MAP, 2, 10, 0);
        put(OBJECT_PROGRAM, 1, 10, 0);
        use(3, 2);
        links[link_count++] = (struct link){ .id = 30, .type = 3, .program_id = 3, .references = 1 };
        pin(OBJECT_LINK, 30, "/p/link", 1);
        expect("prog:3 map:2 ?prog:1");
        /* XDP's has two. */
        count_references(OBJECT_PROGRAM, 3, 2);
        expect("?prog:3 ?map:2 ?prog:1");
        links[0].references = 2;
        expect("prog:3 map:2 ?prog:1");
        /* Whoever has the link open has the program. */
        hold(OBJECT_LINK, 30, 3);
        hold(OBJECT_LINK, 31, 1);
        expect("");
        holder_count = link_count = 0;
        hold(OBJECT_STRUCT_OPS_LINK, 32, 2);
        expect("?prog:3 ?prog:1");
}

static struct keeper given[4];
static size_t given_count;

static void give(void *context, const struct keeper *keeper)
{
        (void) context;
        assert_true(given_count < 4);
        given[given_count++] = *keeper;
}

static void test_keepers(void **state)
{
        struct orphans orphans;

        (void) state;
        put(OBJECT_PROGRAM, 3, 10, 0);
        put(OBJECT_MAP, 2, 10, 0);
        use(3, 2);
        links[link_count++] = (struct link){ .id = 30, .type = 3, .program_id = 3, .references = 1 };
        pin(OBJECT_LINK, 30, "/p/link", 1);
        pin(OBJECT_MAP, 2, "/p/map", 2);
        pin(OBJECT_MAP, 2, "/p/link (link)", 1);
        pins[2].by_link = true;
        assert_int_equal(orphans_find(&orphans, &monitor), 0);
        given_count = 0;
        orphans_keepers(&orphans.relations, OBJECT_MAP, 2, give, NULL);
        assert_int_equal(given_count, 2);
        assert_int_equal(given[0].kind, KEEPER_PIN);
        assert_string_equal(given[0].path, "/p/map");
        assert_int_equal(given[1].kind, KEEPER_PROGRAM);
        assert_int_equal(given[1].program_id, 3);
        given_count = 0;
        orphans_keepers(&orphans.relations, OBJECT_PROGRAM, 3, give, NULL);
        assert_int_equal(given_count, 1);
        assert_int_equal(given[0].kind, KEEPER_LINK);
        assert_string_equal(given[0].path, "/p/link");
        assert_int_equal(given[0].link->id, 30);
        orphans_deinit(&orphans);
}

/* The removal of the cgroup is the time, as soon as it is known; else when nobody was seen first. */
static void test_last_owner(void **state)
{
        const struct object *object;
        bool gone, exact;
        uint64_t seen;

        (void) state;
        put(OBJECT_MAP, 1, 11, 0);
        pin(OBJECT_MAP, 1, "/p/1", 1);
        object = ledger_find(&monitor.ledger, OBJECT_MAP, 1);
        hold(OBJECT_MAP, 1, 0);
        expect("");
        assert_int_equal(orphan_since_usec(object, &exact), 0);
        holder_count = 0;
        expect("map:1");
        seen = orphan_since_usec(object, &exact);
        assert_false(exact);
        assert_true(seen > 0);
        assert_string_equal(orphan_last_owner(object, &gone), "/a/b.service");
        assert_false(gone);
        expect("map:1");
        assert_true(orphan_since_usec(object, &exact) == seen);
        /* The kernel charges the parent. */
        cgroup_is_there = false;
        put(OBJECT_MAP, 1, 10, 0);
        expect("map:1");
        assert_true(orphan_since_usec(object, &exact) >= seen);
        assert_true(exact);
        assert_string_equal(orphan_last_owner(object, &gone), "/a/b.service");
        assert_true(gone);
        put(OBJECT_MAP, 2, 0, 0);
        assert_null(orphan_last_owner(ledger_find(&monitor.ledger, OBJECT_MAP, 2), &gone));
        assert_false(gone);
}

/* --- OrphansHigh= ------------------------------------------------------------------------------------------------- */

static struct budget_event events[4];
static size_t event_count;

static void take(void *context, const struct budget_event *event)
{
        (void) context;
        assert_true(event_count < 4);
        events[event_count++] = *event;
}

static void test_watch(void **state)
{
        struct settings settings = { .orphans_high = 1000 };
        struct orphan_watch watch = {};

        (void) state;
        event_count = 0;
        put(OBJECT_MAP, 10, 10, 0);
        pin(OBJECT_MAP, 10, "/p/10", 1);
        put(OBJECT_MAP, 11, 10, 0);
        /* What may be none does not count. */
        orphan_watch_flush(&watch, &monitor, &settings, 1, false, take, NULL);
        assert_int_equal(event_count, 0);
        assert_int_equal(passes, 1);
        orphan_watch_flush(&watch, &monitor, &settings, watch.due_usec - 1, false, take, NULL);
        assert_int_equal(passes, 1);
        assert_true(orphan_watch_due_usec(&watch, &settings) == watch.due_usec);
        pin(OBJECT_MAP, 11, "/p/11", 2);
        orphan_watch_flush(&watch, &monitor, &settings, watch.due_usec, true, take, NULL);
        assert_int_equal(event_count, 1);
        assert_int_equal(events[0].kind, EVENT_ORPHANS);
        assert_int_equal(events[0].usage, 2100);
        assert_int_equal(events[0].used, 2);
        assert_true(events[0].alert && events[0].dry_run && !events[0].quiet);
        orphan_watch_flush(&watch, &monitor, &settings, watch.due_usec, false, take, NULL);
        assert_int_equal(event_count, 1);
        settings.orphans_high = BUDGET_INFINITY;
        assert_true(orphan_watch_due_usec(&watch, &settings) == UINT64_MAX);
        orphan_watch_flush(&watch, &monitor, &settings, UINT64_MAX, false, take, NULL);
        assert_int_equal(passes, 3);
}

static void test_watch_hysteresis(void **state)
{
        (void) state;
        assert_false(orphan_watch_is_over(1000, 1000, false));
        assert_true(orphan_watch_is_over(1001, 1000, false));
        assert_true(orphan_watch_is_over(901, 1000, true));
        assert_false(orphan_watch_is_over(900, 1000, true));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static char owners_file[] = "/tmp/bpfbudget-owners-XXXXXX";

/* A daemon that begins with the maps 1 to 3, charged to what is left of their cgroups, the second with @marks; its own
 * file is the one before's. */
static void restart(struct owners *owners, uint32_t marks)
{
        owners_end(owners, &monitor.ledger);
        teardown(NULL);
        setup(NULL);
        cgroup_is_there = false;
        for (uint32_t id = 1; id <= 3; id++)
                put(OBJECT_MAP, id, 10, id == 2 ? marks : 0);
        owners_begin(owners, &monitor.ledger, owners_file);
}

static void expect_owner(uint32_t id, const char *expected, uint64_t usec)
{
        const struct object *object = ledger_find(&monitor.ledger, OBJECT_MAP, id);
        bool gone, exact;

        assert_string_equal(orphan_last_owner(object, &gone), expected);
        assert_int_equal(gone, usec > 0);
        assert_int_equal(orphan_since_usec(object, &exact), usec);
}

/* Whose cgroup went before the daemon was restarted has its owner still, whatever its name is. */
static void test_owners_kept(void **state)
{
        struct owners owners = {};
        struct object *object;
        struct stat st;
        uint64_t usec;
        FILE *file;
        int fd = mkstemp(owners_file);

        (void) state;
        assert_true(fd >= 0);
        close(fd);
        for (uint32_t id = 1; id <= 3; id++)
                put(OBJECT_MAP, id, 11, 0);
        owners_begin(&owners, &monitor.ledger, owners_file);
        assert_true(owners_due_usec(&owners) < UINT64_MAX);
        cgroup_is_there = false;
        put(OBJECT_MAP, 1, 10, 0);
        object = ledger_find(&monitor.ledger, OBJECT_MAP, 1);
        usec = object->gone_usec;
        assert_true(usec > 0);
        put(OBJECT_MAP, 3, 10, 0);
        object = ledger_find(&monitor.ledger, OBJECT_MAP, 3);
        free(object->last_cgroup);
        object->last_cgroup = strdup("/a/new\nline 1 \xff");
        object->gone_usec = 7;
        put(OBJECT_MAP, 9, 10, 0);
        owners_flush(&owners, &monitor.ledger);
        /* It is written once, and an idle daemon need not wake for it. */
        assert_true(owners_due_usec(&owners) == UINT64_MAX);
        assert_int_equal(stat(owners_file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        /* Changes that come soon after that wait. */
        owners_flush(&owners, &monitor.ledger);
        assert_true(owners_due_usec(&owners) > now_usec());
        for (int i = 0; i < 2; i++) {
                restart(&owners, 0);
                expect_owner(1, "/a/b.service", usec);
                expect_owner(3, "/a/new\nline 1 \xff", 7);
        }
        /* Of another boot it is nobody's. */
        file = fopen(owners_file, "r+e");
        assert_non_null(file);
        fputs("bpfbudget owners 1 x", file);
        fclose(file);
        owners = (struct owners){};
        restart(&owners, 0);
        expect_owner(1, "/a", 0);
        /* Of those that were charged to a living one, it is known by whom the kernel charges now. */
        teardown(NULL);
        setup(NULL);
        for (uint32_t id = 1; id <= 3; id++)
                put(OBJECT_MAP, id, 11, 0);
        restart(&owners, OBJECT_UNATTRIBUTED);
        assert_string_equal(ledger_find(&monitor.ledger, OBJECT_MAP, 1)->last_cgroup, "/a/b.service");
        assert_null(ledger_find(&monitor.ledger, OBJECT_MAP, 2)->last_cgroup);
        teardown(NULL);
        setup(NULL);
        for (uint32_t id = 1; id <= 3; id++)
                put(OBJECT_MAP, id, 10, 0);
        restart(&owners, 0);
        assert_null(ledger_find(&monitor.ledger, OBJECT_MAP, 1)->last_cgroup);
        owners_end(&owners, &monitor.ledger);
        unlink(owners_file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_pinned),
                TEST(test_unseen_reference),
                TEST(test_gone_meanwhile),
                TEST(test_used),
                TEST(test_linked),
                TEST(test_keepers),
                TEST(test_last_owner),
                TEST(test_owners_kept),
                TEST(test_watch),
                TEST(test_watch_hysteresis),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
