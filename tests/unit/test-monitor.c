/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a flush does with what the kernel tells, ledger and tree being real. The kernel is a table here, so that what
 * this one does not tell, or rarely, is tested all the same: hooks of objects, overflows, failures, and time. On the
 * real one: tests/kernel/test-monitor.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "account/monitor.h"
#include "base/clock.h"
#include "kernel/process.h"
#include "tests/unit/fake-cgroups.h"
#include "tests/unit/fake-log.h"

#define ROOT 1
/* As the kernel's, which has a generation in the upper half. */
#define A  0x100000010ULL
#define AA 0x300000011ULL /* below A */
#define B  0x200000020ULL

/* In microseconds; how often there is an audit is in numbers, as are the other intervals and shares. */
#define SECOND 1000000ULL
#define AUDIT  (300 * SECOND)

/* --- The kernel --------------------------------------------------------------------------------------------------- */

struct fake_object {
        struct object_record record;
        bool there;
};

static struct {
        struct fake_cgroup cgroups[8];
        struct fake_hierarchy hierarchy;
        uint64_t now_usec;

        bool tells_objects, tells_growth, dirty;
        struct fake_object objects[16];
        size_t object_count;
        uint64_t pass_usec; /* how long a pass over objects takes */
        struct update updates[200];
        size_t update_count;
        struct rss_record rss[16];
        size_t rss_count;
        uint64_t popped[8]; /* cgroups in the queue of RSS */
        size_t popped_count;
        bool rss_full, rss_watched;
        struct holder_record holders[8];
        size_t holder_count;
        uint64_t holders_usec;
        uint64_t missed_hooks;
        struct sensor_counters counters;
        int read_error, measure_error, take_error, clean_error, rss_error, holders_error; /* 0: it works */

        /* What was asked for. */
        unsigned int passes, rss_passes, holder_passes, build_ids, closed;
        uint32_t rss_epoch, pop_epoch;
        uint32_t measured[16]; /* ids */
        size_t measured_count;
        uint64_t cleaned[200];
        size_t cleaned_count, cleaned_when_measured;
        uint64_t forgotten[8];
        size_t forgotten_count;
        uint64_t watched[8];
        size_t watched_count;
        bool lost_cgroups, table_too_small;
        unsigned int checks;
} fake;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
        assert_true(clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME);
        ts->tv_sec = fake.now_usec / SECOND;
        ts->tv_nsec = fake.now_usec % SECOND * 1000;
        return 0;
}

char *read_build_id(uint32_t pid, char buffer[BUILD_ID_MAX])
{
        fake.build_ids++;
        snprintf(buffer, BUILD_ID_MAX, "build-%u", pid);
        return buffer;
}

static int cgroupfs_result;

int cgroupfs_init(struct cgroupfs *fs)
{
        *fs = (struct cgroupfs){ .mount_fd = -1, .root_id = ROOT };
        return cgroupfs_result;
}

void cgroupfs_deinit(struct cgroupfs *fs)
{
        (void) fs;
}

int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) fs;
        return fake_lookup(&fake.hierarchy, id, name, parent_id);
}

int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id)
{
        (void) fs;
        return fake_find(&fake.hierarchy, id) ? 0 : -ESTALE;
}

int kernel_open(const struct kernel_options *options, const struct cgroupfs *cgroupfs, struct kernel **kernel)
{
        (void) options;
        (void) cgroupfs;
        *kernel = (struct kernel *) &fake;
        fake.rss_watched = true;
        return 0;
}

void kernel_close(struct kernel *kernel)
{
        fake.closed += kernel != NULL;
}

bool kernel_tells_objects(const struct kernel *kernel)
{
        (void) kernel;
        return fake.tells_objects;
}

bool kernel_tells_growth(const struct kernel *kernel)
{
        (void) kernel;
        return fake.tells_growth;
}

bool kernel_is_dirty(const struct kernel *kernel)
{
        (void) kernel;
        return fake.dirty;
}

int kernel_read_objects(struct kernel *kernel, kernel_object_t callback, void *context)
{
        int r = fake.read_error;

        (void) kernel;
        fake.passes++;
        fake.now_usec += fake.pass_usec;
        for (size_t i = 0; r == 0 && i < fake.object_count; i++)
                if (fake.objects[i].there)
                        r = callback(context, &fake.objects[i].record);
        return r;
}

int kernel_measure(struct kernel *kernel, struct object_record *records, size_t n)
{
        (void) kernel;
        if (fake.measure_error < 0)
                return fake.measure_error;
        for (size_t i = 0; i < n; i++) {
                bool found = false;

                fake.cleaned_when_measured = fake.cleaned_count;
                fake.measured[fake.measured_count++] = records[i].id;
                for (size_t k = 0; k < fake.object_count; k++) {
                        const struct object_record *record = &fake.objects[k].record;

                        if (!fake.objects[k].there || record->kind != records[i].kind || record->id != records[i].id ||
                                        record->address != records[i].address)
                                continue;
                        records[i] = *record;
                        found = true;
                }
                if (!found)
                        records[i].marks = OBJECT_GONE;
        }
        return 0;
}

int kernel_read_rss(struct kernel *kernel, uint32_t epoch, kernel_record_t callback, void *context)
{
        int r = fake.rss_error;

        (void) kernel;
        fake.rss_passes++;
        fake.rss_epoch = epoch;
        for (size_t i = 0; r == 0 && i < fake.rss_count; i++) {
                bool asked = epoch == 0;

                for (size_t k = 0; k < fake.popped_count; k++)
                        asked |= fake.popped[k] == fake.rss[i].cgroup_id;
                if (asked)
                        r = callback(context, &fake.rss[i]);
        }
        fake.popped_count = 0;
        return r;
}

bool kernel_tells_rss(const struct kernel *kernel)
{
        (void) kernel;
        return fake.rss_watched;
}

void kernel_watch_rss(struct kernel *kernel, bool watch)
{
        (void) kernel;
        fake.rss_watched = watch && fake.rss_error == 0;
}

int kernel_pop_rss(struct kernel *kernel, uint32_t epoch, kernel_popped_t callback, void *context)
{
        (void) kernel;
        fake.pop_epoch = epoch;
        if (!fake.rss_watched)
                return -EAGAIN;
        for (size_t i = 0; i < fake.popped_count; i++)
                callback(context, fake.popped[i]);
        return fake.rss_full ? -EAGAIN : (int) fake.popped_count;
}

int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
{
        int r = fake.holders_error;

        (void) kernel;
        fake.holder_passes++;
        fake.now_usec += fake.holders_usec;
        for (size_t i = 0; r == 0 && i < fake.holder_count; i++)
                r = callback(context, &fake.holders[i]);
        return r;
}

int kernel_take_updates(struct kernel *kernel, kernel_update_t callback, void *context)
{
        int count = fake.update_count;

        (void) kernel;
        if (fake.take_error < 0)
                return fake.take_error;
        for (size_t i = 0; i < fake.update_count; i++) {
                int r = callback(context, &fake.updates[i]);

                if (r < 0)
                        return r;
        }
        fake.update_count = 0;
        return count;
}

int kernel_clean_cgroups(struct kernel *kernel, const uint64_t *ids, size_t n)
{
        (void) kernel;
        for (size_t i = 0; i < n; i++)
                fake.cleaned[fake.cleaned_count++] = ids[i];
        return fake.clean_error;
}

void kernel_forget_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        fake.forgotten[fake.forgotten_count++] = id;
}

void kernel_watch_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        fake.watched[fake.watched_count++ % 8] = id;
}

bool kernel_lost_cgroups(struct kernel *kernel)
{
        bool lost = fake.lost_cgroups;

        (void) kernel;
        fake.lost_cgroups = fake.table_too_small;
        return lost;
}

static bool was_forgotten(uint64_t id)
{
        for (size_t i = 0; i < fake.forgotten_count; i++)
                if (fake.forgotten[i] == id)
                        return true;
        return false;
}

/* The sensors know all cgroups of the hierarchy, until they have forgotten one. */
int kernel_forget_cgroups(struct kernel *kernel, bool (*gone)(void *context, uint64_t id), void *context)
{
        (void) kernel;
        fake.checks++;
        for (size_t i = 0; i < fake.hierarchy.count; i++)
                if (!was_forgotten(fake.cgroups[i].id) && gone(context, fake.cgroups[i].id))
                        fake.forgotten[fake.forgotten_count++] = fake.cgroups[i].id;
        return 0;
}

uint64_t kernel_missed(const struct kernel *kernel)
{
        (void) kernel;
        return fake.missed_hooks;
}

struct sensor_counters kernel_counters(const struct kernel *kernel)
{
        (void) kernel;
        return fake.counters;
}

/* --- Helpers ------------------------------------------------------------------------------------------------------ */

static struct monitor monitor;

/* A map or program in @cgroup_id, at an address of its own. */
static struct object_record *add(uint32_t kind, uint32_t id, uint64_t cgroup_id, uint64_t bytes, uint32_t marks)
{
        struct fake_object *object = &fake.objects[fake.object_count++];

        *object = (struct fake_object){
                .record = { .address = 0x1000 * (uint64_t) fake.object_count,
                                .cgroup_id = cgroup_id,
                                .allocated = bytes,
                                .allocated_min = bytes,
                                .charged = bytes,
                                .kind = kind,
                                .id = id,
                                .marks = marks,
                                .attribution = ATTRIBUTION_CHARGED },
                .there = true,
        };
        return &object->record;
}

static void drop(const struct object_record *record)
{
        ((struct fake_object *) record)->there = false;
}

static struct update *tell(uint32_t kind, uint64_t id)
{
        struct update *update = &fake.updates[fake.update_count++];

        *update = (struct update){ .kind = kind, .id = id };
        return update;
}

static struct update *tell_object(uint32_t kind, const struct object_record *record)
{
        struct update *update = tell(kind, record->id);

        update->address = record->address;
        return update;
}

static struct object *known(uint32_t kind, uint32_t id)
{
        return ledger_find(&monitor.ledger, kind, id);
}

static uint64_t allocated(uint64_t cgroup_id)
{
        struct cgroup *cgroup = tree_find(&monitor.tree, cgroup_id);

        return cgroup ? cgroup->total.allocated : 0;
}

/* Flushes. Returns how many full passes that took. */
static unsigned int flush(void)
{
        unsigned int before = fake.passes;

        fake.measured_count = 0;
        fake.cleaned_count = 0;
        assert_int_equal(monitor_flush(&monitor), 0);
        return fake.passes - before;
}

static int setup(void **state)
{
        static const struct fake_cgroup cgroups[] = {
                { A, ROOT, "/a", false },
                { AA, A, "/a/a", false },
                { B, ROOT, "/b", false },
        };

        (void) state;
        memset(&fake, 0, sizeof(fake));
        forget_log();
        memcpy(fake.cgroups, cgroups, sizeof(cgroups));
        fake.hierarchy = (struct fake_hierarchy){ fake.cgroups, 3, 0 };
        fake.now_usec = 1000 * SECOND;
        fake.tells_objects = fake.tells_growth = true;
        return 0;
}

static void start(void)
{
        const struct kernel_options options = { .sensors = true };

        memset(&monitor, 0xa5, sizeof(monitor));
        assert_int_equal(monitor_init(&monitor, &options), 0);
        assert_int_equal(monitor.last_audit_usec, fake.now_usec - fake.pass_usec);
}

/* Nothing but the rest of the sensors of RSS. */
static void assert_nothing_due(void)
{
        assert_int_equal(monitor_due_usec(&monitor), rss_due_usec(&monitor.rss));
}

static int teardown(void **state)
{
        (void) state;
        monitor_deinit(&monitor);
        assert_null(monitor.kernel);
        return 0;
}

/* --- Start -------------------------------------------------------------------------------------------------------- */

static void test_start(void **state)
{
        const struct kernel_options options = { .sensors = true }, probe_only = { .probe_only = true };

        (void) state;
        add(OBJECT_MAP, 1, A, 4096, 0);
        add(OBJECT_PROGRAM, 1, AA, 8192, 0);
        add(OBJECT_MAP, 2, 0, 100, 0);
        fake.rss[fake.rss_count++] = (struct rss_record){ A, { 1, 2, 3, 4 } };
        assert_int_equal(monitor_init(&monitor, &probe_only), 0);
        assert_int_equal(fake.passes, 0);
        monitor_deinit(&monitor);
        assert_int_equal(fake.closed, 1);

        assert_int_equal(monitor_init(&monitor, &options), 0);
        assert_int_equal(fake.passes, 1);
        assert_int_equal(fake.rss_passes, 1);
        assert_int_equal(monitor.statistics.flushes, 1);
        assert_int_equal(monitor.statistics.full_passes, 1);
        assert_int_equal(monitor.statistics.rss_passes, 1);
        assert_int_equal(monitor.statistics.overflows, 0);
        assert_int_equal(monitor.statistics.drift, 0);
        assert_int_equal(monitor.ledger.count, 3);
        assert_int_equal(allocated(A), 4096 + 8192);
        assert_int_equal(allocated(AA), 8192);
        assert_int_equal(allocated(ROOT), 4096 + 8192 + 100);
        assert_int_equal(tree_find(&monitor.tree, A)->total.rss[RSS_SWAP], 4 * sysconf(_SC_PAGESIZE));
        assert_false(monitor_wants_flush(&monitor));
        assert_nothing_due();
        assert_int_equal(count_logged("<3>") + count_logged("<4>"), 0);
        /* Nothing happened: no pass, nothing measured. */
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
        assert_int_equal(monitor.statistics.flushes, 2);
}

/* Without a hierarchy it goes on, with a warning. */
static void test_no_hierarchy(void **state)
{
        (void) state;
        cgroupfs_result = -ENOENT;
        start();
        cgroupfs_result = 0;
        assert_int_equal(count_logged("<4>"), 1);
        monitor_deinit(&monitor);
        cgroupfs_result = -EACCES;
        start();
        cgroupfs_result = 0;
        assert_int_equal(count_logged("<4>"), 2);
}

/* What will be there at the next start is no reason to go on without cgroups, and so without budgets. */
static void test_cgroups_fail_for_a_moment(void **state)
{
        struct kernel_options options = {};

        (void) state;
        cgroupfs_result = -EMFILE;
        assert_int_equal(monitor_init(&monitor, &options), -EMFILE);
        cgroupfs_result = 0;
        assert_int_equal(count_logged("<3>The cgroup hierarchy cannot be used: Too many open files"), 1);
}

static void test_clock(void **state)
{
        (void) state;
        start();
        fake.now_usec = 12 * SECOND + 345678;
        assert_int_equal(now_usec(), 12 * SECOND + 345678);
}

/* --- Objects that hooks tell of ----------------------------------------------------------------------------------- */

static void test_new_map(void **state)
{
        struct update *update;
        struct object *object;

        (void) state;
        start();
        update = tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 7, A, 4096, 0));
        update->pid = 42;
        memset(update->comm, 'x', sizeof(update->comm));
        assert_int_equal(flush(), 0);
        object = known(OBJECT_MAP, 7);
        assert_non_null(object);
        assert_int_equal(allocated(A), 4096);
        assert_int_equal(object->creator->pid, 42);
        assert_int_equal(strlen(object->creator->comm), sizeof(update->comm) - 1);
        assert_string_equal(object->creator->build_id, "build-42");
        assert_int_equal(monitor.cause_count, 1);
        assert_int_equal(monitor.causes[0].cgroup_id, A);
        assert_int_equal(monitor.causes[0].pid, 42);
        assert_int_equal(strlen(monitor.causes[0].comm), sizeof(monitor.causes[0].comm) - 1);
        assert_int_equal(monitor.statistics.updates, 1);
        assert_int_equal(monitor.statistics.updated_cgroups, 1);
        /* It is complete: no second flush. The causes are of one flush. */
        assert_false(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.cause_count, 0);
}

/*
 * What its creation charged is no reason for a second flush either, nor for a second measurement if it can grow: it is
 * measured when what it grows by from then on is queued again.
 */
static void test_new_map_charged(void **state)
{
        (void) state;
        start();
        tell(UPDATE_CGROUP_CHARGE, A);
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 7, A, 4096, 0));
        assert_int_equal(flush(), 0);
        assert_int_equal(allocated(A), 4096);
        assert_int_equal(fake.cleaned_count, 1);
        assert_false(monitor_wants_flush(&monitor));
        tell(UPDATE_CGROUP_CHARGE, A);
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 8, A, 4096, OBJECT_GROWS));
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 9, A, 4096, OBJECT_GROWS))->pid = 42;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 2);
        assert_int_equal(fake.measured[0], 8);
        assert_int_equal(fake.measured[1], 9);
        assert_int_equal(fake.cleaned_when_measured, 1);
        assert_int_equal(known(OBJECT_MAP, 9)->creator->pid, 42);
        assert_false(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
        /* Later it is one that grows like others. */
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 2);
        assert_true(monitor_wants_flush(&monitor));
}

/* It has entries when it is measured: it was growing before its cgroup was clean, and is measured by the next flush. */
static void test_new_map_filled(void **state)
{
        struct object_record *map;

        (void) state;
        start();
        tell(UPDATE_CGROUP_CHARGE, A);
        map = add(OBJECT_MAP, 8, A, 4096, OBJECT_GROWS);
        map->entries = 1;
        tell_object(UPDATE_MAP_NEW, map);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_true(monitor_wants_flush(&monitor));
        map->allocated = 8192;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(allocated(A), 8192);
        assert_false(monitor_wants_flush(&monitor));
        /* Not so where entries are not counted. */
        tell(UPDATE_CGROUP_CHARGE, B);
        map = add(OBJECT_MAP, 9, B, 4096, OBJECT_GROWS);
        map->entries = ENTRIES_UNKNOWN;
        tell_object(UPDATE_MAP_NEW, map);
        assert_int_equal(flush(), 0);
        assert_false(monitor_wants_flush(&monitor));
}

/* In the order of the queue: what was new and is freed is not entered once more. */
static void test_new_and_freed(void **state)
{
        struct object_record *program;

        (void) state;
        start();
        /* The kernel tells before the id is given back. */
        program = add(OBJECT_PROGRAM, 7, A, 4096, 0);
        tell_object(UPDATE_PROGRAM_NEW, program);
        tell_object(UPDATE_PROGRAM_FREED, program);
        assert_int_equal(flush(), 0);
        assert_null(known(OBJECT_PROGRAM, 7));
        assert_int_equal(allocated(A), 0);
}

/* Of whom no hook knows who it was: neither a creator nor a cause. */
static void test_unknown_creator(void **state)
{
        (void) state;
        start();
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 7, A, 4096, 0));
        assert_int_equal(flush(), 0);
        assert_null(known(OBJECT_MAP, 7)->creator);
        assert_int_equal(monitor.cause_count, 0);
        assert_int_equal(fake.build_ids, 0);
}

/* The build id is read once for all objects that a process makes in a flush, and for each process. */
static void test_build_id(void **state)
{
        static const uint32_t pids[] = { 5, 5, 6, 6 };

        (void) state;
        start();
        for (uint32_t i = 0; i < 4; i++) {
                struct update *update = tell_object(i % 2 ? UPDATE_PROGRAM_NEW : UPDATE_MAP_NEW,
                                add(i % 2 ? OBJECT_PROGRAM : OBJECT_MAP, 10 + i, A, 100, 0));

                update->pid = pids[i];
                snprintf(update->comm, sizeof(update->comm), "comm-%u", i);
        }
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.build_ids, 2);
        for (uint32_t i = 0; i < 4; i++) {
                struct object *object = known(i % 2 ? OBJECT_PROGRAM : OBJECT_MAP, 10 + i);
                char comm[16];

                snprintf(comm, sizeof(comm), "comm-%u", i);
                assert_int_equal(object->creator->pid, pids[i]);
                assert_string_equal(object->creator->comm, comm);
                assert_string_equal(object->creator->build_id, pids[i] == 5 ? "build-5" : "build-6");
                /* The latest last. */
                assert_int_equal(monitor.causes[i].pid, pids[i]);
        }
        assert_int_equal(monitor.cause_count, 4);
        /* A pid may be another process by the next flush. */
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 20, A, 100, 0))->pid = 6;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.build_ids, 3);
}

static void test_many_causes(void **state)
{
        (void) state;
        start();
        for (uint32_t i = 0; i < 200; i++)
                tell(UPDATE_CGROUP_CHARGE, 1000 + i)->pid = 1 + i;
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.cause_count, 200);
        for (uint32_t i = 0; i < 200; i++) {
                assert_int_equal(monitor.causes[i].cgroup_id, 1000 + i);
                assert_int_equal(monitor.causes[i].pid, 1 + i);
        }
}

/* Its pages do not tell whose it is: then its loader's cgroup counts, and is named as the cause. */
static void test_recorded_program(void **state)
{
        struct object_record *record;
        struct update *update;
        struct object *object;

        (void) state;
        start();
        record = add(OBJECT_PROGRAM, 7, 0, 4096, OBJECT_UNATTRIBUTED);
        record->attribution = ATTRIBUTION_NONE;
        update = tell_object(UPDATE_PROGRAM_NEW, record);
        update->cgroup_id = B;
        update->pid = 3;
        assert_int_equal(flush(), 0);
        object = known(OBJECT_PROGRAM, 7);
        assert_int_equal(object->charged->id, B);
        assert_int_equal(object->attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(monitor.causes[0].cgroup_id, B);
}

/* Its loader's cgroup is gone before it is measured: the one above it counts. */
static void test_recorded_program_of_the_removed(void **state)
{
        struct object_record *record;
        struct update *update;

        (void) state;
        start();
        record = add(OBJECT_PROGRAM, 7, 0, 4096, OBJECT_UNATTRIBUTED);
        record->attribution = ATTRIBUTION_NONE;
        update = tell_object(UPDATE_PROGRAM_NEW, record);
        update->cgroup_id = 7777;
        update->parent_id = B;
        update->pid = 3;
        assert_int_equal(flush(), 0);
        assert_int_equal(known(OBJECT_PROGRAM, 7)->charged->id, B);
        assert_int_equal(known(OBJECT_PROGRAM, 7)->attribution, ATTRIBUTION_RECORDED);
        assert_int_equal(allocated(B), 4096);
}

/* What is gone before it is measured is not entered, and no growth. */
static void test_new_and_gone(void **state)
{
        struct object_record *map, *program;

        (void) state;
        start();
        map = add(OBJECT_MAP, 7, A, 4096, 0);
        program = add(OBJECT_PROGRAM, 7, A, 4096, 0);
        tell_object(UPDATE_MAP_NEW, map)->pid = 3;
        tell_object(UPDATE_PROGRAM_NEW, program)->pid = 3;
        drop(map);
        drop(program);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.ledger.count, 0);
        assert_int_equal(monitor.cause_count, 0);
        assert_int_equal(allocated(ROOT), 0);
}

static void test_freed(void **state)
{
        struct object_record *map, *program;

        (void) state;
        map = add(OBJECT_MAP, 7, A, 4096, 0);
        program = add(OBJECT_PROGRAM, 7, A, 100, 0);
        start();
        assert_int_equal(monitor.ledger.count, 2);
        drop(map);
        /* The id of a map is not told when it is freed, its address is. */
        tell(UPDATE_MAP_FREED, 0)->address = map->address;
        assert_int_equal(flush(), 0);
        assert_null(known(OBJECT_MAP, 7));
        assert_non_null(known(OBJECT_PROGRAM, 7));
        assert_int_equal(allocated(A), 100);
        drop(program);
        tell_object(UPDATE_PROGRAM_FREED, program);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.ledger.count, 0);
        assert_int_equal(allocated(A), 0);
}

/* The memory of a freed map is used again before its release was taken from the queue: the new one stays. */
static void test_address_used_again(void **state)
{
        struct object_record *first, *second;

        (void) state;
        first = add(OBJECT_MAP, 7, A, 4096, 0);
        start();
        drop(first);
        second = add(OBJECT_MAP, 8, B, 100, 0);
        second->address = first->address;
        tell_object(UPDATE_MAP_NEW, second);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.ledger.count, 2);
        tell(UPDATE_MAP_FREED, 0)->address = first->address;
        assert_int_equal(flush(), 0);
        assert_null(known(OBJECT_MAP, 7));
        assert_non_null(known(OBJECT_MAP, 8));
        assert_int_equal(allocated(ROOT), 100);
}

static void test_unknown_update(void **state)
{
        (void) state;
        start();
        tell(UPDATE_KIND_MAX, 1);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.statistics.updates, 1);
}

/* --- Growth ------------------------------------------------------------------------------------------------------- */

/* What grows in the cgroups that were told of is measured, and nothing else; twice, as a hook may be ahead. */
static void test_charge(void **state)
{
        struct object_record *in_a, *in_aa, *in_b, *fixed, *nobodys;
        struct update *update;
        uint64_t before;

        (void) state;
        in_a = add(OBJECT_MAP, 1, A, 1000, OBJECT_GROWS);
        in_aa = add(OBJECT_MAP, 2, AA, 1000, OBJECT_GROWS);
        in_b = add(OBJECT_MAP, 3, B, 1000, OBJECT_GROWS);
        fixed = add(OBJECT_MAP, 4, A, 1000, 0);
        nobodys = add(OBJECT_MAP, 5, 0, 1000, OBJECT_GROWS);
        start();
        in_a->allocated = in_aa->allocated = in_b->allocated = fixed->allocated = nobodys->allocated = 5000;
        update = tell(UPDATE_CGROUP_CHARGE, B);
        update->pid = 9;
        strcpy(update->comm, "grower");
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 2);
        assert_int_equal(fake.measured[0] + fake.measured[1], 1 + 3);
        assert_int_equal(allocated(B), 5000);
        assert_int_equal(allocated(AA), 1000);
        assert_int_equal(allocated(A), 5000 + 1000 + 1000);
        assert_int_equal(monitor.cause_count, 1);
        assert_int_equal(monitor.causes[0].cgroup_id, B);
        assert_int_equal(monitor.causes[0].pid, 9);
        assert_string_equal(monitor.causes[0].comm, "grower");
        assert_true(monitor_wants_flush(&monitor));
        assert_int_equal(fake.cleaned_count, 2);

        /* Once more, together with what is new. What is marked clean is only that. */
        before = monitor.statistics.updated_cgroups;
        assert_int_equal(before, 4 + 2);
        in_b->allocated = 6000;
        tell(UPDATE_CGROUP_CHARGE, ROOT);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 3);
        assert_int_equal(allocated(B), 6000);
        assert_int_equal(allocated(ROOT), 6000 + 7000 + 5000);
        assert_int_equal(fake.cleaned_count, 1);
        assert_int_equal(fake.cleaned[0], ROOT);
        assert_true(monitor_wants_flush(&monitor));
        assert_int_equal(monitor.statistics.updated_cgroups, before + 2);
        /* Then only what came second. */
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(fake.measured[0], 5);
        assert_int_equal(fake.cleaned_count, 0);
        assert_false(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
}

/* Many cgroups in one flush, in no order. */
static void test_many_charges(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, OBJECT_GROWS);
        add(OBJECT_MAP, 2, B, 1000, OBJECT_GROWS);
        start();
        for (uint64_t i = 0; i < 150; i++)
                assert_int_equal(monitor_look_again(&monitor, 1000 - i), 0);
        assert_int_equal(monitor_look_again(&monitor, A), 0);
        for (uint64_t i = 0; i < 150; i++)
                assert_int_equal(monitor_look_again(&monitor, 2000 + i), 0);
        assert_int_equal(monitor_look_again(&monitor, B), 0);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 2);
}

static void test_look_again(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, OBJECT_GROWS);
        add(OBJECT_MAP, 2, B, 1000, OBJECT_GROWS);
        start();
        assert_int_equal(monitor_look_again(&monitor, A), 0);
        assert_true(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(fake.measured[0], 1);
        assert_int_equal(fake.cleaned_count, 0);
        assert_false(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
        /* Together with what the last flush took; what the one before took is done with. */
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor_look_again(&monitor, B), 0);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 2);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
        /* After what is done with. */
        assert_int_equal(monitor_look_again(&monitor, B), 0);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(fake.measured[0], 2);
}

/* What is gone when it is measured is not entered again, and not dropped: that is told, or found by a full pass. */
static void test_gone_while_measured(void **state)
{
        struct object_record *map;

        (void) state;
        map = add(OBJECT_MAP, 1, A, 1000, OBJECT_GROWS);
        start();
        drop(map);
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(known(OBJECT_MAP, 1)->record.marks, OBJECT_GROWS);
        assert_int_equal(allocated(A), 1000);
}

/* Whose hooks do not tell of objects: a full pass for each charge, and for nothing else. */
static void test_charge_without_hooks(void **state)
{
        (void) state;
        fake.tells_objects = false;
        start();
        add(OBJECT_MAP, 1, A, 1000, 0);
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 1000);
        assert_int_equal(fake.measured_count, 0);
        assert_int_equal(fake.cleaned_count, 1);
        /* As the hook may be ahead. */
        assert_true(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 1);
        assert_false(monitor_wants_flush(&monitor));
        assert_int_equal(flush(), 0);
        tell(UPDATE_CGROUP_GONE, B);
        assert_int_equal(flush(), 0);
        /* Neither does it look for hooks that were left out, nor audit what they told. */
        assert_nothing_due();
        fake.now_usec += AUDIT;
        assert_int_equal(flush(), 0);
        /* A query is a full pass. */
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.passes, 4);
        assert_int_equal(monitor.statistics.full_passes, 4);
}

static void test_wants_flush_while_dirty(void **state)
{
        (void) state;
        start();
        fake.dirty = true;
        assert_true(monitor_wants_flush(&monitor));
        fake.dirty = false;
        assert_false(monitor_wants_flush(&monitor));
}

/* --- Cgroups that go ---------------------------------------------------------------------------------------------- */

static void test_cgroup_gone(void **state)
{
        struct object_record *map, *other;

        (void) state;
        map = add(OBJECT_MAP, 1, AA, 1000, 0);
        other = add(OBJECT_MAP, 2, B, 1000, OBJECT_GROWS);
        start();
        /* The id is one of another hierarchy: ours is still there. Only the sensors' entry goes. */
        tell(UPDATE_CGROUP_GONE, AA);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.forgotten_count, 1);
        assert_int_equal(fake.forgotten[0], AA);
        assert_true(tree_find(&monitor.tree, AA)->exists);
        assert_int_equal(fake.measured_count, 0);
        /* And comes back, so that its own removal is reported. */
        assert_int_equal(fake.watched_count, 1);
        assert_int_equal(fake.watched[0], AA);

        fake.cgroups[1].gone = true;
        tell(UPDATE_CGROUP_GONE, AA);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.forgotten_count, 2);
        assert_false(tree_find(&monitor.tree, AA)->exists);
        /* All that is left in it is measured, flush by flush, until the kernel has handed it on to the parent. */
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(fake.measured[0], 1);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 1);
        map->cgroup_id = A;
        assert_int_equal(flush(), 0);
        assert_int_equal(known(OBJECT_MAP, 1)->charged->id, A);
        assert_string_equal(known(OBJECT_MAP, 1)->last_cgroup, "/a/a");
        assert_null(tree_find(&monitor.tree, AA));
        assert_int_equal(tree_find(&monitor.tree, A)->self.allocated, 1000);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.measured_count, 0);
        assert_int_equal(other->allocated, 1000);
        /* One that the tree has nothing of, and the root, which never goes. */
        tell(UPDATE_CGROUP_GONE, 12345);
        tell(UPDATE_CGROUP_GONE, ROOT);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.forgotten_count, 4);
        assert_true(monitor.tree.root->exists);
}

/* What the sensors have no room for is looked for: at once, and as long as there is none, from time to time. */
static void test_lost_cgroups(void **state)
{
        struct cgroup *cgroup;

        (void) state;
        start();
        assert_int_equal(monitor.tree.count, 1);
        /* Somebody asks for it, and it goes. */
        assert_int_equal(tree_get(&monitor.tree, AA, &cgroup), 0);
        fake.cgroups[1].gone = true;
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor.tree.count, 3);
        assert_int_equal(fake.checks, 0);
        fake.lost_cgroups = fake.table_too_small = true;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.checks, 1);
        assert_int_equal(fake.forgotten_count, 1);
        assert_null(tree_find(&monitor.tree, AA));
        /* Those that are there are watched again. */
        assert_int_equal(fake.watched[fake.watched_count - 1], A);
        assert_true(monitor_due_usec(&monitor) > fake.now_usec);
        assert_true(monitor_due_usec(&monitor) <= fake.now_usec + MONITOR_MISSED_INTERVAL_USEC);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.checks, 1);
        fake.now_usec = monitor_due_usec(&monitor);
        fake.table_too_small = false;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.checks, 2);
}

/* --- Full passes instead ------------------------------------------------------------------------------------------ */

/* Updates that the queue had no room for. */
static void test_overflow(void **state)
{
        (void) state;
        start();
        add(OBJECT_MAP, 1, A, 1000, 0);
        fake.counters.overflow = 3;
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 1000);
        assert_int_equal(monitor.statistics.overflows, 3);
        assert_int_equal(flush(), 0);
        fake.counters.overflow = 4;
        assert_int_equal(flush(), 1);
        assert_int_equal(monitor.statistics.overflows, 4);
        assert_int_equal(monitor.statistics.drift, 0);
}

/* Hooks that the kernel has left out are looked for a second after an update, and two passes make up for them. */
static void test_missed(void **state)
{
        uint64_t due;

        (void) state;
        start();
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        due = monitor_due_usec(&monitor);
        assert_int_equal(due, fake.now_usec + SECOND);
        /* Later updates do not put it off. */
        fake.now_usec += SECOND / 2;
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor_due_usec(&monitor), due);
        add(OBJECT_MAP, 1, A, 1000, 0);
        fake.missed_hooks = 2;
        fake.now_usec = due - 1;
        assert_int_equal(flush(), 0);
        assert_int_equal(allocated(A), 0);
        fake.now_usec = due;
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 1000);
        assert_int_equal(monitor.statistics.overflows, 1);
        assert_int_equal(monitor_due_usec(&monitor), due + SECOND);
        /* The second pass, though no more were left out. */
        add(OBJECT_MAP, 2, A, 1000, 0);
        fake.now_usec = monitor_due_usec(&monitor);
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 2000);
        assert_int_equal(monitor.statistics.overflows, 1);
        assert_nothing_due();
        fake.now_usec += 10 * SECOND;
        assert_int_equal(flush(), 0);
        /* The same number as before is none. */
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        fake.now_usec = monitor_due_usec(&monitor);
        assert_int_equal(flush(), 0);
        assert_nothing_due();
        assert_int_equal(monitor.statistics.overflows, 1);
}

/* Passes take a twentieth of the time at most. */
static void test_missed_share(void **state)
{
        (void) state;
        fake.pass_usec = 100 * 1000;
        start();
        assert_int_equal(monitor.statistics.full_pass_usec, 100 * 1000);
        tell(UPDATE_CGROUP_CHARGE, A);
        assert_int_equal(flush(), 0);
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec + 20 * 100 * 1000);
}

/* Every five minutes what the hooks told is compared with what there is. */
static void test_audit(void **state)
{
        struct object_record *map, *growing, *moved;

        (void) state;
        map = add(OBJECT_MAP, 1, A, 1000, 0);
        growing = add(OBJECT_MAP, 2, A, 1000, OBJECT_GROWS);
        add(OBJECT_MAP, 3, B, 1000, 0);
        moved = add(OBJECT_MAP, 4, A, 0, 0);
        start();
        map->allocated = 1500;
        moved->cgroup_id = B;
        growing->allocated = 1500;
        fake.now_usec += AUDIT - 1;
        assert_int_equal(flush(), 0);
        fake.now_usec += 1;
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 3000);
        /* What grows is not measured all the time. */
        assert_int_equal(monitor.statistics.drift, 2);
        assert_int_equal(flush(), 0);
        /* A cgroup that went unheard. */
        fake.cgroups[2].gone = true;
        fake.forgotten_count = 0;
        fake.now_usec += AUDIT;
        assert_int_equal(flush(), 1);
        assert_false(tree_find(&monitor.tree, B)->exists);
        assert_true(tree_find(&monitor.tree, A)->exists);
        assert_int_equal(fake.forgotten_count, 1);
        assert_int_equal(fake.forgotten[0], B);
        assert_int_equal(monitor.statistics.drift, 2);
        /* One that is known to be gone is not asked for again. */
        fake.now_usec += AUDIT;
        assert_int_equal(flush(), 1);
        assert_int_equal(fake.forgotten_count, 1);
        /* A pass that has another reason finds differences for that reason. */
        map->allocated = 2000;
        fake.counters.overflow++;
        fake.now_usec += AUDIT;
        assert_int_equal(flush(), 1);
        assert_int_equal(monitor.statistics.drift, 2);
        assert_int_equal(flush(), 0);
}

/* A full pass also finds what is gone. */
static void test_full_pass_removes(void **state)
{
        struct object_record *map;

        (void) state;
        map = add(OBJECT_MAP, 1, A, 1000, 0);
        start();
        drop(map);
        assert_int_equal(flush(), 0);
        assert_int_equal(allocated(A), 1000);
        fake.counters.overflow++;
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(A), 0);
        assert_int_equal(monitor.ledger.count, 0);
}

/* --- Failures ----------------------------------------------------------------------------------------------------- */

/* A pass that fails is made up for by the next flush; what was known stays known. */
static void test_failed_pass(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        start();
        fake.counters.overflow++;
        fake.read_error = -EIO;
        assert_int_equal(monitor_flush(&monitor), -EIO);
        assert_int_equal(count_logged("<3>"), 1);
        assert_int_equal(monitor.statistics.full_passes, 1);
        assert_int_equal(allocated(A), 1000);
        assert_int_equal(monitor_refresh(&monitor), -EIO);
        fake.read_error = 0;
        assert_int_equal(flush(), 1);
        assert_int_equal(monitor.statistics.full_passes, 2);
        assert_int_equal(flush(), 0);
}

/* A failed audit takes place again. */
static void test_failed_audit(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        start();
        fake.now_usec += AUDIT;
        fake.read_error = -EIO;
        assert_int_equal(monitor_flush(&monitor), -EIO);
        fake.read_error = 0;
        fake.cgroups[0].gone = true;
        assert_int_equal(flush(), 1);
        assert_false(tree_find(&monitor.tree, A)->exists);
}

static void test_failed_flush(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, OBJECT_GROWS);
        start();
        for (int i = 0; i < 3; i++) {
                fake.take_error = i == 0 ? -EIO : 0;
                fake.clean_error = i == 1 ? -EIO : 0;
                fake.measure_error = i == 2 ? -EIO : 0;
                add(OBJECT_MAP, 2 + i, B, 1000, 0);
                tell(UPDATE_CGROUP_CHARGE, A);
                /* Its objects are there, by the pass that replaces it. */
                assert_int_equal(flush(), 1);
                assert_int_equal(count_logged("<4>"), i + 1);
                assert_int_equal(allocated(B), 1000 * (i + 1));
                assert_false(monitor_wants_flush(&monitor));
                fake.take_error = fake.clean_error = fake.measure_error = 0;
                fake.update_count = 0;
                assert_int_equal(flush(), 0);
        }
        /* So it is with an object that cannot be measured when it is new, or when its memory was freed. */
        fake.measure_error = -EIO;
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 9, B, 1000, 0));
        assert_int_equal(flush(), 1);
        assert_int_equal(allocated(B), 4000);
        tell(UPDATE_MAP_FREED, 0)->address = fake.objects[0].record.address;
        assert_int_equal(flush(), 1);
}

/* --- Queries ------------------------------------------------------------------------------------------------------ */

/* Where hooks tell of everything a query takes what they told; else it looks for itself. */
static void test_refresh(void **state)
{
        (void) state;
        start();
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.passes, 1);
        tell_object(UPDATE_MAP_NEW, add(OBJECT_MAP, 1, A, 1000, 0));
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.passes, 1);
        assert_int_equal(allocated(A), 1000);
        fake.tells_growth = false;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.passes, 2);
        fake.tells_growth = true;
        fake.tells_objects = false;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.passes, 3);
}

/* How many entries a preallocated map has is reported by nobody: a query counts them, once a second. */
static void test_refresh_fill(void **state)
{
        struct object_record *hash, *grows, *array;

        (void) state;
        start();
        fake.measured_count = 0;
        hash = add(OBJECT_MAP, 1, A, 1000, 0);
        grows = add(OBJECT_MAP, 2, A, 1000, OBJECT_GROWS);
        array = add(OBJECT_MAP, 3, A, 1000, 0);
        hash->type = grows->type = BPF_MAP_TYPE_HASH;
        array->type = BPF_MAP_TYPE_ARRAY;
        hash->max_entries = grows->max_entries = array->max_entries = 100;
        tell_object(UPDATE_MAP_NEW, hash);
        tell_object(UPDATE_MAP_NEW, grows);
        tell_object(UPDATE_MAP_NEW, array);
        assert_int_equal(monitor_refresh(&monitor), 0);
        fake.update_count = 0;
        hash->entries = 90;
        fake.measured_count = 0;
        fake.now_usec += SECOND - 1;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.measured_count, 0);
        fake.now_usec += 1;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(fake.measured[0], 1);
        assert_int_equal(ledger_find(&monitor.ledger, OBJECT_MAP, 1)->record.entries, 90);
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.measured_count, 1);
        /* A flush that nobody has asked for does not count them. */
        fake.now_usec += SECOND;
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_int_equal(fake.measured_count, 1);
        /* A poll for them does without RSS. */
        fake.rss_passes = 0;
        fake.popped[fake.popped_count++] = A;
        assert_int_equal(monitor_poll(&monitor, false), 0);
        assert_int_equal(fake.measured_count, 2);
        assert_int_equal(fake.rss_passes, 0);
        /* It goes before that is told. */
        fake.now_usec += SECOND;
        fake.objects[0].there = false;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.measured_count, 3);
        assert_int_equal(fake.rss_passes, 1);
        fake.now_usec += SECOND;
        fake.measure_error = -EIO;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(count_logged("<4>"), 1);
}

/* --- RSS ---------------------------------------------------------------------------------------------------------- */

static uint64_t rss_of(uint64_t cgroup_id, enum rss_member member)
{
        struct cgroup *cgroup = tree_find(&monitor.tree, cgroup_id);

        return cgroup ? cgroup->total.rss[member] / sysconf(_SC_PAGESIZE) : 0;
}

static void put_rss(uint64_t cgroup_id, int64_t anon)
{
        fake.rss[fake.rss_count++] = (struct rss_record){ cgroup_id, { anon, 2 * anon, 3 * anon, 4 * anon } };
}

static void changed(uint64_t cgroup_id)
{
        fake.popped[fake.popped_count++] = cgroup_id;
}

static void test_rss(void **state)
{
        (void) state;
        /* Two processes in one cgroup; one in the cgroup above; one elsewhere. */
        put_rss(AA, 100);
        put_rss(AA, 10);
        put_rss(A, 1000);
        put_rss(B, 7);
        start();
        for (int i = 0; i < RSS_MEMBERS; i++) {
                assert_int_equal(rss_of(AA, i), 110 * (i + 1));
                assert_int_equal(rss_of(A, i), 1110 * (i + 1));
                assert_int_equal(rss_of(ROOT, i), 1117 * (i + 1));
        }
        assert_int_equal(fake.rss_epoch, 0);

        /* Nothing has changed: no pass over tasks. */
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_passes, 1);
        assert_int_equal(monitor.statistics.rss_passes, 1);

        /* Only what has changed is read, and replaces what there was. */
        fake.rss[0].pages[RSS_ANON] = 200;
        fake.rss[3].pages[RSS_ANON] = 8;
        changed(AA);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(rss_of(AA, RSS_ANON), 210);
        assert_int_equal(rss_of(A, RSS_ANON), 1210);
        assert_int_equal(rss_of(B, RSS_ANON), 7);
        assert_true(fake.rss_epoch != 0);
        assert_int_equal(fake.rss_epoch, fake.pop_epoch);
        assert_int_equal(monitor.statistics.rss_passes, 2);

        /* Its last process has ended. */
        fake.rss[3].cgroup_id = 0;
        fake.rss[3].pages[RSS_ANON] = 0;
        changed(B);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(rss_of(B, RSS_ANON), 0);
        assert_int_equal(rss_of(B, RSS_SWAP), 0);
        assert_int_equal(rss_of(ROOT, RSS_ANON), 1210);
}

/* A process that moves takes its RSS with it: the sensors do not tell from where, so all are read. */
static void test_rss_moves(void **state)
{
        (void) state;
        put_rss(A, 100);
        put_rss(B, 10);
        start();
        fake.rss[0].cgroup_id = B;
        fake.rss_full = true;
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_epoch, 0);
        assert_int_equal(rss_of(A, RSS_ANON), 0);
        assert_int_equal(rss_of(B, RSS_ANON), 110);
        assert_int_equal(rss_of(ROOT, RSS_ANON), 110);
        fake.rss_full = false;
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_passes, 2);
}

/* Each pass has a number of its own, and 0, which stands for all, is none. */
static void test_rss_epochs(void **state)
{
        uint32_t epoch;

        (void) state;
        put_rss(A, 100);
        start();
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        epoch = fake.rss_epoch;
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_epoch, epoch + 1);
        monitor.rss.epoch = UINT32_MAX;
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_epoch, 1);
        assert_int_equal(fake.pop_epoch, 1);
}

/* The sensors are there as long as somebody asks. What changed while they were not is read by the next question. */
static void test_rss_rest(void **state)
{
        (void) state;
        put_rss(A, 100);
        start();
        assert_true(fake.rss_watched);
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec + RSS_IDLE_USEC);
        fake.now_usec += RSS_IDLE_USEC - 1;
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_true(fake.rss_watched);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_passes, 1); /* nothing had changed */
        fake.now_usec += RSS_IDLE_USEC - 1;
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_true(fake.rss_watched);
        fake.now_usec++;
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec);
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_false(fake.rss_watched);
        assert_true(monitor_due_usec(&monitor) > fake.now_usec);

        fake.rss[0].pages[RSS_ANON] = 30; /* nobody tells */
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_true(fake.rss_watched);
        assert_int_equal(fake.rss_passes, 2);
        assert_int_equal(rss_of(A, RSS_ANON), 30);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_passes, 2);
}

/* A cgroup that has nothing gets no entry in the tree; one that has RSS does. */
static void test_rss_entries(void **state)
{
        size_t count;

        (void) state;
        start();
        count = monitor.tree.count;
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(monitor.tree.count, count);
        put_rss(A, 1);
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(monitor.tree.count, count + 1);
        assert_int_equal(rss_of(A, RSS_ANON), 1);
        /* Flushed right away, and a cgroup that is gone and empty is forgotten. */
        fake.cgroups[0].gone = true;
        tell(UPDATE_CGROUP_GONE, A);
        flush();
        fake.rss_count = 0;
        changed(A);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(monitor.tree.count, count);
}

static void test_rss_fails(void **state)
{
        (void) state;
        put_rss(A, 1);
        start();
        changed(A);
        fake.rss_error = -EIO;
        assert_int_equal(monitor_refresh_rss(&monitor), -EIO);
        assert_int_equal(count_logged("<3>"), 1);
        changed(A);
        assert_int_equal(monitor_refresh(&monitor), -EIO);
        /* What the passes that failed had taken is not lost, nor 0 until then. */
        assert_int_equal(tree_find(&monitor.tree, A)->total.rss[RSS_ANON], 1 * sysconf(_SC_PAGESIZE));
        put_rss(A, 2);
        fake.rss_error = 0;
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(fake.rss_epoch, 0);
        assert_int_equal(tree_find(&monitor.tree, A)->total.rss[RSS_ANON], 3 * sysconf(_SC_PAGESIZE));
}

/* A kernel that does not tell is no error of a refresh, and is not logged each time. */
static void test_no_rss(void **state)
{
        (void) state;
        fake.rss_error = -EOPNOTSUPP;
        start();
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(monitor_refresh_rss(&monitor), -EOPNOTSUPP);
        assert_int_equal(count_logged("<3>"), 0);
}

/* --- Holders ------------------------------------------------------------------------------------------------------ */

static bool is_b(void *context, const struct cgroup *cgroup)
{
        assert_ptr_equal(context, &fake);
        return cgroup->id == B;
}

static void hold(uint64_t cgroup_id, uint32_t id)
{
        fake.holders[fake.holder_count++] = (struct holder_record){
                .cgroup_id = cgroup_id, .kind = OBJECT_MAP, .id = id
        };
}

static void test_holders(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        add(OBJECT_MAP, 2, A, 500, 0);
        hold(B, 1);
        hold(AA, 2);
        start();
        assert_int_equal(fake.holder_passes, 0);
        assert_nothing_due();
        monitor_set_by_holder(&monitor, is_b, &fake);
        assert_true(monitor_due_usec(&monitor) <= fake.now_usec);
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.holder_passes, 1);
        assert_int_equal(allocated(B), 1000);
        assert_int_equal(allocated(A), 500);
        /* Nothing happens: no pass. */
        fake.now_usec += 10 * SECOND;
        assert_nothing_due();
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.holder_passes, 1);
        /* Something does: one, if the last was long enough ago. */
        fake.holders_usec = 100 * 1000;
        tell(UPDATE_CGROUP_CHARGE, A);
        fake.holders[0].cgroup_id = AA;
        assert_int_equal(flush(), 0);
        assert_int_equal(fake.holder_passes, 2);
        assert_int_equal(allocated(B), 0);
        /* Fifty times as long as it took. */
        tell(UPDATE_CGROUP_CHARGE, A);
        monitor.missed_due_usec = UINT64_MAX;
        fake.tells_objects = false;
        assert_int_equal(flush(), 1);
        assert_int_equal(fake.holder_passes, 2);
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec + 50 * 100 * 1000);
        fake.now_usec += 50 * 100 * 1000 - 1;
        flush();
        assert_int_equal(fake.holder_passes, 2);
        fake.now_usec += 1;
        flush();
        assert_int_equal(fake.holder_passes, 3);
        fake.holders_usec = 0;
        /* A query asks again, though nothing was told; a second after the last. */
        fake.now_usec += 50 * 100 * 1000;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.holder_passes, 4);
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.holder_passes, 4);
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec + SECOND);
}

/* The earlier of the two. */
static void test_due(void **state)
{
        (void) state;
        start();
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        tell(UPDATE_CGROUP_CHARGE, A);
        fake.now_usec += SECOND / 4;
        flush();
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec - SECOND / 4 + SECOND);
        fake.now_usec += 3 * SECOND / 4;
        flush();
        assert_int_equal(monitor_due_usec(&monitor), fake.now_usec - 3 * SECOND / 4 + SECOND);
}

/* No budget asks for holders any more: all is whose it is charged to again. */
static void test_holders_forgotten(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        hold(B, 1);
        start();
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        assert_int_equal(allocated(B), 1000);
        monitor_set_by_holder(&monitor, NULL, NULL);
        flush();
        assert_int_equal(fake.holder_passes, 1);
        assert_int_equal(allocated(B), 0);
        assert_int_equal(allocated(A), 1000);
        assert_nothing_due();
        /* Another one asks: at once. */
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        assert_int_equal(fake.holder_passes, 2);
        assert_int_equal(allocated(B), 1000);
}

/* The cgroup of the holder is removed: what it held is measured, and goes back. */
static void test_holder_gone(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        hold(B, 1);
        start();
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        assert_int_equal(allocated(B), 1000);
        fake.cgroups[2].gone = true;
        fake.holder_count = 0;
        tell(UPDATE_CGROUP_GONE, B);
        flush();
        assert_int_equal(fake.measured_count, 1);
        assert_int_equal(allocated(B), 0);
        assert_int_equal(allocated(A), 1000);
}

static void test_holders_fail(void **state)
{
        (void) state;
        add(OBJECT_MAP, 1, A, 1000, 0);
        hold(B, 1);
        start();
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        assert_int_equal(allocated(B), 1000);
        /* Whose they were they stay, and it is tried again. */
        fake.now_usec += 2 * SECOND;
        tell(UPDATE_CGROUP_CHARGE, A);
        fake.holders_error = -EIO;
        flush();
        assert_int_equal(fake.holder_passes, 2);
        assert_int_equal(count_logged("<4>"), 1);
        assert_int_equal(allocated(B), 1000);
        fake.now_usec += 2 * SECOND;
        fake.holders_error = -EOPNOTSUPP;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.holder_passes, 3);
        /* Where the kernel does not tell it is not tried again. */
        fake.now_usec += 2 * SECOND;
        assert_int_equal(monitor_refresh(&monitor), 0);
        assert_int_equal(fake.holder_passes, 3);
        assert_true(monitor_due_usec(&monitor) > fake.now_usec);
}

/* A full pass may find objects that nobody told of: their holders are to be found, too. */
static void test_holders_after_full_pass(void **state)
{
        (void) state;
        start();
        monitor_set_by_holder(&monitor, is_b, &fake);
        flush();
        add(OBJECT_MAP, 1, A, 1000, 0);
        hold(B, 1);
        fake.now_usec += 2 * SECOND;
        fake.counters.overflow++;
        flush();
        assert_int_equal(allocated(B), 1000);
        fake.now_usec += AUDIT;
        fake.holder_count = 0;
        flush();
        assert_int_equal(allocated(B), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_start),
                TEST(test_no_hierarchy),
                TEST(test_cgroups_fail_for_a_moment),
                TEST(test_clock),
                TEST(test_new_map),
                TEST(test_new_map_charged),
                TEST(test_new_map_filled),
                TEST(test_new_and_freed),
                TEST(test_unknown_creator),
                TEST(test_build_id),
                TEST(test_many_causes),
                TEST(test_recorded_program),
                TEST(test_recorded_program_of_the_removed),
                TEST(test_new_and_gone),
                TEST(test_freed),
                TEST(test_address_used_again),
                TEST(test_unknown_update),
                TEST(test_charge),
                TEST(test_many_charges),
                TEST(test_look_again),
                TEST(test_gone_while_measured),
                TEST(test_charge_without_hooks),
                TEST(test_wants_flush_while_dirty),
                TEST(test_cgroup_gone),
                TEST(test_lost_cgroups),
                TEST(test_overflow),
                TEST(test_missed),
                TEST(test_missed_share),
                TEST(test_audit),
                TEST(test_full_pass_removes),
                TEST(test_failed_pass),
                TEST(test_failed_audit),
                TEST(test_failed_flush),
                TEST(test_refresh),
                TEST(test_refresh_fill),
                TEST(test_rss),
                TEST(test_rss_moves),
                TEST(test_rss_epochs),
                TEST(test_rss_rest),
                TEST(test_rss_entries),
                TEST(test_rss_fails),
                TEST(test_no_rss),
                TEST(test_holders),
                TEST(test_due),
                TEST(test_holders_forgotten),
                TEST(test_holder_gone),
                TEST(test_holders_fail),
                TEST(test_holders_after_full_pass),
        };

        return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
