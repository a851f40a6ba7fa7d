/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: what the kernel tells, any bytes of it, to the monitor with a real ledger and tree, and to what
 * makes events of the gate's records. The input is a stream: each double of the kernel takes from it how many records
 * it has, and the records; then the monitor flushes and refreshes until it is at its end. However wrong they are, sums
 * stay sums: the root's are those of all objects.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/monitor.h"
#include "base/log.h"
#include "enforce/refusal.h"
#include "kernel/process.h"
#include "tests/unit/fake-cgroups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOT 1

static struct fake_cgroup cgroups[] = {
        { 2, ROOT, "/a", false },
        { 3, 2, "/a/a", false },
        { 4, ROOT, "/b", true },
        { 5, 4, "/b/c", false },
};
static struct fake_hierarchy hierarchy = { cgroups, sizeof(cgroups) / sizeof(cgroups[0]), 0 };

static struct {
        const uint8_t *data;
        size_t size;
} stream;

/* --- The kernel --------------------------------------------------------------------------------------------------- */

/* Takes @size bytes; what the stream does not have any more is 0. */
static void take(void *to, size_t size)
{
        size_t n = size < stream.size ? size : stream.size;

        memset(to, 0, size);
        if (n > 0)
                memcpy(to, stream.data, n);
        stream.data += n;
        stream.size -= n;
}

static uint8_t take_byte(void)
{
        uint8_t byte;

        take(&byte, 1);
        return byte;
}

/* One in two is a small number, as are those of what is there. */
static uint64_t narrow(uint64_t number)
{
        return number & 1 ? number : number >> 1 & 7;
}

/* What the BPF side has checked: bounds and kinds. All else is what it found in memory that may have been freed. */
static struct object_record take_object(void)
{
        struct object_record record;

        take(&record, sizeof(record));
        record.kind = record.kind % 2 ? OBJECT_MAP : OBJECT_PROGRAM;
        record.id = narrow(record.id);
        record.cgroup_id = narrow(record.cgroup_id);
        record.address = narrow(record.address);
        record.allocated %= 1ULL << 42;
        record.charged %= 1ULL << 42;
        record.allocated_min %= 1ULL << 42;
        record.jit %= 1ULL << 42;
        if (record.ceiling != CEILING_UNBOUNDED)
                record.ceiling %= CEILING_MAX;
        return record;
}

int kernel_open(const struct kernel_options *options, const struct cgroupfs *cgroupfs, struct kernel **kernel)
{
        (void) options;
        (void) cgroupfs;
        *kernel = (struct kernel *) &stream;
        return 0;
}

void kernel_close(struct kernel *kernel)
{
        (void) kernel;
}

bool kernel_tells_objects(const struct kernel *kernel)
{
        (void) kernel;
        return take_byte() % 2;
}

bool kernel_tells_growth(const struct kernel *kernel)
{
        (void) kernel;
        return take_byte() % 2;
}

bool kernel_is_dirty(const struct kernel *kernel)
{
        (void) kernel;
        return take_byte() % 2;
}

int kernel_read_objects(struct kernel *kernel, kernel_object_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        for (size_t n = take_byte() % 8; r == 0 && n > 0; n--) {
                struct object_record record = take_object();

                r = callback(context, &record);
        }
        return r;
}

int kernel_measure(struct kernel *kernel, struct object_record *records, size_t n)
{
        (void) kernel;
        for (size_t i = 0; i < n; i++) {
                struct object_record record = take_object();

                record.kind = records[i].kind;
                record.id = records[i].id;
                record.address = records[i].address;
                records[i] = record;
        }
        return take_byte() == 'e' ? -EIO : 0;
}

int kernel_read_rss(struct kernel *kernel, uint32_t epoch, kernel_record_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        (void) epoch;
        for (size_t n = take_byte() % 4; r == 0 && n > 0; n--) {
                struct rss_record record;

                take(&record, sizeof(record));
                record.cgroup_id = narrow(record.cgroup_id);
                r = callback(context, &record);
        }
        return r;
}

bool kernel_tells_rss(const struct kernel *kernel)
{
        (void) kernel;
        return take_byte() % 2;
}

void kernel_watch_rss(struct kernel *kernel, bool watch)
{
        (void) kernel;
        (void) watch;
}

int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        for (int i = take_byte() % 4; r == 0 && i > 0; i--) {
                struct use_record record;

                take(&record, sizeof(record));
                r = callback(context, &record);
        }
        return r;
}

int kernel_pop_rss(struct kernel *kernel, uint32_t epoch, kernel_popped_t callback, void *context)
{
        int count = take_byte() % 4;

        (void) kernel;
        (void) epoch;
        for (int i = 0; i < count; i++)
                callback(context, take_byte());
        return take_byte() == 'e' ? -EAGAIN : count;
}

int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
{
        int r = 0;

        (void) kernel;
        for (size_t n = take_byte() % 4; r == 0 && n > 0; n--) {
                struct holder_record record;

                take(&record, sizeof(record));
                record.cgroup_id = narrow(record.cgroup_id);
                record.id = narrow(record.id);
                r = callback(context, &record);
        }
        return r;
}

int kernel_take_updates(struct kernel *kernel, kernel_update_t callback, void *context)
{
        int count = take_byte() % 16;

        (void) kernel;
        for (int i = 0; i < count; i++) {
                struct update update;
                int r;

                take(&update, sizeof(update));
                update.kind = narrow(update.kind);
                update.id = narrow(update.id);
                update.address = narrow(update.address);
                r = callback(context, &update);
                if (r < 0)
                        return r;
        }
        return count;
}

int kernel_clean_cgroups(struct kernel *kernel, const uint64_t *ids, size_t n)
{
        (void) kernel;
        (void) ids;
        (void) n;
        return 0;
}

void kernel_forget_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        (void) id;
}

void kernel_watch_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        (void) id;
}

bool kernel_lost_cgroups(struct kernel *kernel)
{
        (void) kernel;
        return take_byte() == 'l';
}

int kernel_forget_cgroups(struct kernel *kernel, bool (*gone)(void *context, uint64_t id), void *context)
{
        (void) kernel;
        gone(context, take_byte());
        return 0;
}

uint64_t kernel_missed(const struct kernel *kernel)
{
        (void) kernel;
        return take_byte();
}

struct sensor_counters kernel_counters(const struct kernel *kernel)
{
        (void) kernel;
        return (struct sensor_counters){ take_byte(), take_byte() };
}

/* --- Its neighbours ----------------------------------------------------------------------------------------------- */

char *read_build_id(uint32_t pid, char buffer[BUILD_ID_MAX])
{
        snprintf(buffer, BUILD_ID_MAX, "%u", pid);
        return buffer;
}

int cgroupfs_init(struct cgroupfs *fs)
{
        *fs = (struct cgroupfs){ .mount_fd = -1, .root_id = ROOT };
        return 0;
}

void cgroupfs_deinit(struct cgroupfs *fs)
{
        (void) fs;
}

int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) fs;
        return fake_lookup(&hierarchy, id, name, parent_id);
}

int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id)
{
        (void) fs;
        return fake_find(&hierarchy, id) ? 0 : -ESTALE;
}

/* --- Checks ------------------------------------------------------------------------------------------------------- */

static void check_sums(const struct monitor *monitor)
{
        uint64_t allocated = 0;
        size_t count = 0;

        for (const struct object *object = monitor->ledger.by_key; object; object = object->hh.next) {
                allocated += object->record.allocated;
                count++;
        }
        if (allocated != monitor->tree.root->total.allocated || count != monitor->ledger.count ||
                        count != usage_objects(&monitor->tree.root->total))
                abort();
}

static void make_refusal(struct monitor *monitor)
{
        char comm[OBJECT_NAME_SIZE + 1];
        struct gate_event refused;
        struct budget budget = {};
        struct policy policy = { .budget = &budget };
        struct cgroup *cgroup = tree_find(&monitor->tree, ROOT);
        struct budget_event event;

        take(&refused, sizeof(refused));
        refused.kind = narrow(refused.kind);
        refused.resource = narrow(refused.resource);
        if (!is_refusal(&refused))
                return;
        cgroup->policy = &policy;
        event = refusal_event(cgroup, &refused, comm);
        cgroup->policy = NULL;
        if (strlen(event.comm) > OBJECT_NAME_SIZE)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct kernel_options options = {};
        struct monitor monitor;

        log_set_max_level(-1);
        stream.data = data;
        stream.size = size;
        monitor_init(&monitor, &options);
        for (int i = 0; i < 64 && stream.size > 0; i++) {
                if (take_byte() % 4)
                        monitor_flush(&monitor);
                else
                        monitor_refresh(&monitor);
                check_sums(&monitor);
                make_refusal(&monitor);
        }
        monitor_deinit(&monitor);
        return 0;
}
