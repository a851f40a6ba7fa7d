/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

static int lookup(void *context, uint64_t id, char **path, uint64_t *parent_id)
{
        return cgroupfs_lookup(context, id, path, parent_id);
}

/* --- Full pass ---------------------------------------------------------------------------------------------------- */

struct full_pass {
        struct monitor *monitor;
        bool audit;
};

static int put_object(void *context, const struct object_record *record)
{
        struct full_pass *pass = context;
        int r = ledger_put(&pass->monitor->ledger, record);

        /* The creation of an object is told a moment after it is visible; a difference in size is one. */
        if (pass->audit && r == LEDGER_CHANGED && !(record->marks & OBJECT_GROWS))
                pass->monitor->statistics.drift++;
        return r < 0 ? r : 0;
}

/* Removals that no hook told, or whose record was lost. */
static void check_cgroups(struct monitor *monitor)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, monitor->tree.by_id, cgroup, next) {
                if (!cgroup->parent || !cgroup->exists)
                        continue;
                tree_check(&monitor->tree, cgroup);
                if (!cgroup->exists)
                        kernel_forget_cgroup(monitor->kernel, cgroup->id);
        }
}

/* @audit: what differs from what the hooks told is counted. */
static int full_pass(struct monitor *monitor, bool audit)
{
        struct full_pass pass = { monitor, audit };
        uint64_t start = now_usec();
        int r;

        ledger_begin_pass(&monitor->ledger);
        r = kernel_read_objects(monitor->kernel, put_object, &pass);
        if (r < 0) {
                log_error("The pass over all BPF objects failed: %s", strerror(-r));
                monitor->complete = false;
                return r;
        }
        ledger_end_pass(&monitor->ledger);
        monitor->complete = true;
        monitor->statistics.full_passes++;
        monitor->statistics.full_pass_usec = now_usec() - start;
        return 0;
}

/* --- Flush of what was updated ------------------------------------------------------------------------------------ */

static int note_charged(struct monitor *monitor, uint64_t id)
{
        if (monitor->charged_count == monitor->charged_size) {
                size_t size = monitor->charged_size ? 2 * monitor->charged_size : 64;
                uint64_t *ids = reallocarray(monitor->charged_ids, size, sizeof(*ids));

                if (!ids)
                        return -ENOMEM;
                monitor->charged_ids = ids;
                monitor->charged_size = size;
        }
        monitor->charged_ids[monitor->charged_count++] = id;
        return 0;
}

/* Remembers who it was, for the alerts of this flush. Not worth an error: an alert without it is still one. */
static void note_cause(struct monitor *monitor, uint64_t cgroup_id, const struct update *update)
{
        struct growth_cause *cause;

        if (update->pid == 0)
                return;
        if (monitor->cause_count == monitor->cause_size) {
                size_t size = monitor->cause_size ? 2 * monitor->cause_size : 64;
                struct growth_cause *causes = reallocarray(monitor->causes, size, sizeof(*causes));

                if (!causes)
                        return;
                monitor->causes = causes;
                monitor->cause_size = size;
        }
        cause = &monitor->causes[monitor->cause_count++];
        *cause = (struct growth_cause){ .cgroup_id = cgroup_id, .pid = update->pid };
        memcpy(cause->comm, update->comm, sizeof(cause->comm));
        cause->comm[sizeof(cause->comm) - 1] = '\0';
}

/* Remembers who made the object @kind, @update->id. A loader makes many in one flush: its program is read once. */
static int note_creator(struct monitor *monitor, uint32_t kind, const struct update *update)
{
        struct object *object = ledger_find(&monitor->ledger, kind, update->id);
        struct creator *creator = &monitor->creator;

        if (update->pid == 0 || !object)
                return 0;
        if (creator->pid != update->pid) {
                creator->pid = update->pid;
                read_build_id(update->pid, creator->build_id);
        }
        memcpy(creator->comm, update->comm, sizeof(creator->comm));
        creator->comm[sizeof(creator->comm) - 1] = '\0';
        return ledger_set_creator(object, creator);
}

/* Measures one object that a hook named. It may be gone again by now. */
static int measure_new(struct monitor *monitor, uint32_t kind, const struct update *update)
{
        struct object_record record = { .kind = kind, .id = update->id, .address = update->address };
        int r = kernel_measure(monitor->kernel, &record, 1);

        if (r < 0 || record.marks & OBJECT_GONE)
                return r;
        note_cause(monitor, record.cgroup_id ?: update->cgroup_id, update);
        r = ledger_put_recorded(&monitor->ledger, &record, update->cgroup_id);
        return r < 0 ? r : note_creator(monitor, kind, update);
}

/*
 * A map at @address was freed. What is there now may be the next one, which a full pass has found before its creation
 * is taken from the queue: that one stays.
 */
static int remove_freed(struct monitor *monitor, uint64_t address)
{
        struct object *object = ledger_next_at(&monitor->ledger, address, NULL);

        while (object) {
                struct object_record record = object->record;
                int r = kernel_measure(monitor->kernel, &record, 1);

                if (r < 0)
                        return r;
                object = ledger_next_at(&monitor->ledger, address, object);
                if (record.marks & OBJECT_GONE)
                        ledger_remove(&monitor->ledger, record.kind, record.id);
        }
        return 0;
}

static int take_update(void *context, const struct update *update)
{
        struct monitor *monitor = context;
        struct cgroup *cgroup;

        monitor->statistics.updates++;
        switch (update->kind) {
        case UPDATE_CGROUP_CHARGE:
                log_debug("BPF memory changed in cgroup %llu", (unsigned long long) update->id);
                note_cause(monitor, update->id, update);
                return note_charged(monitor, update->id);
        case UPDATE_CGROUP_GONE:
                kernel_forget_cgroup(monitor->kernel, update->id);
                cgroup = tree_find(&monitor->tree, update->id);
                if (cgroup && cgroup->parent)
                        tree_check(&monitor->tree, cgroup);
                return 0;
        case UPDATE_MAP_NEW:
                return measure_new(monitor, OBJECT_MAP, update);
        case UPDATE_PROGRAM_NEW:
                return measure_new(monitor, OBJECT_PROGRAM, update);
        case UPDATE_MAP_FREED:
                return remove_freed(monitor, update->address);
        case UPDATE_PROGRAM_FREED:
                ledger_remove(&monitor->ledger, OBJECT_PROGRAM, update->id);
                return 0;
        }
        return 0;
}

static int compare_ids(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* Whether @object is charged to one of the @n cgroups @ids, which are sorted; nobody's is the root's. */
static bool is_charged(const struct object *object, const uint64_t *ids, size_t n)
{
        return bsearch(&object->charged->id, ids, n, sizeof(*ids), compare_ids);
}

/* Whether the cgroup of @object is, or its holder's. */
static bool is_gone(const struct object *object)
{
        return !object->charged->exists || !object->cgroup->exists;
}

/*
 * Collects what is to be measured again: the growing objects of the cgroups in charged_ids (@ids: the same, sorted),
 * and all objects of cgroups that are gone, which the kernel hands on to the parent a moment after the removal. Returns
 * how many.
 */
static size_t collect_updated(const struct monitor *monitor, const uint64_t *ids, struct object_record *records)
{
        struct object *object, *next;
        size_t count = 0;

        for (object = monitor->ledger.growing; object; object = object->next)
                if (!is_gone(object) && is_charged(object, ids, monitor->charged_count))
                        records[count++] = object->record;
        if (!monitor->tree.gone)
                return count;
        HASH_ITER (hh, monitor->ledger.by_key, object, next)
                if (is_gone(object))
                        records[count++] = object->record;
        return count;
}

/* @count: how many objects were measured. */
static int measure_updated(struct monitor *monitor, size_t *count)
{
        _cleanup_free_ struct object_record *records = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        int r;

        if (monitor->charged_count == 0 && !monitor->tree.gone)
                return 0;
        records = calloc(monitor->ledger.count, sizeof(*records));
        if (!records)
                return monitor->ledger.count ? -ENOMEM : 0;
        ids = reallocarray(NULL, monitor->charged_count + 1, sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        for (size_t i = 0; i < monitor->charged_count; i++)
                ids[i] = monitor->charged_ids[i];
        qsort(ids, monitor->charged_count, sizeof(*ids), compare_ids);
        *count = collect_updated(monitor, ids, records);
        r = kernel_measure(monitor->kernel, records, *count);
        if (r < 0)
                return r;
        for (size_t i = 0; i < *count; i++) {
                /* Its release is told, or was: nothing to do. */
                if (records[i].marks & OBJECT_GONE)
                        continue;
                r = ledger_put(&monitor->ledger, &records[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* How long to wait after something that took @took: @share times as long, and @least at least. All in microseconds. */
static uint64_t rest_usec(uint64_t took, unsigned int share, uint64_t least)
{
        uint64_t rest = share * took;

        return rest > least ? rest : least;
}

/* Sees to it that hooks which the kernel leaves out now are noticed: neither they nor anything else will tell. */
static void expect_left_out(struct monitor *monitor)
{
        if (!kernel_tells_objects(monitor->kernel) || monitor->left_out_due_usec != UINT64_MAX)
                return;
        monitor->left_out_due_usec = now_usec() + rest_usec(monitor->statistics.full_pass_usec, MONITOR_LEFT_OUT_SHARE,
                                                                  MONITOR_LEFT_OUT_INTERVAL_USEC);
}

/*
 * Whether the kernel has left out hooks, and a full pass has to make up for them. A second one follows: a hook is ahead
 * of the allocation that it would have told of, which the first one may not have seen.
 */
static bool make_up_for_left_out(struct monitor *monitor)
{
        uint64_t count;
        bool again = monitor->left_out_again;

        if (now_usec() < monitor->left_out_due_usec)
                return false;
        monitor->left_out_due_usec = UINT64_MAX;
        count = kernel_left_out(monitor->kernel);
        log_debug("The kernel has left out %llu hooks", (unsigned long long) count);
        monitor->left_out_again = count != monitor->left_out_seen;
        monitor->left_out_seen = count;
        if (monitor->left_out_again) {
                monitor->statistics.overflows++;
                expect_left_out(monitor);
        }
        return monitor->left_out_again || again;
}

/*
 * Takes what is queued. A hook of a charge is ahead of the allocation, so what can grow in the cgroups of one flush is
 * measured again by the next one, which the caller has to see to (monitor_wants_flush()); so is what the kernel hands
 * on from cgroups that are gone. Not so new objects: their hooks are the last step of creation (security_bpf_map(),
 * perf_event_bpf_event()), when all is there. *full is set if only a full pass finds what changed.
 */
static int take_updates(struct monitor *monitor, bool *full)
{
        struct sensor_counters counters;
        const uint64_t *fresh;
        size_t before, measured = 0;
        int n, r;

        /* Those of the last flush stay for this one, those of the flush before are done with. */
        before = monitor->again ? monitor->charged_new : 0;
        if (before > 0)
                memmove(monitor->charged_ids, monitor->charged_ids + monitor->charged_count - before,
                                before * sizeof(uint64_t));
        monitor->charged_count = before;
        monitor->cause_count = 0;
        monitor->creator.pid = 0;
        n = kernel_take_updates(monitor->kernel, take_update, monitor);
        fresh = monitor->charged_ids ? monitor->charged_ids + before : NULL;
        r = kernel_clean_cgroups(monitor->kernel, fresh, monitor->charged_count - before);
        if (n < 0 || r < 0)
                return n < 0 ? n : r;
        monitor->holders_stale |= n > 0;
        monitor->charged_new = monitor->charged_count - before;
        counters = kernel_counters(monitor->kernel);
        if (counters.overflow != monitor->overflows_seen) {
                monitor->statistics.overflows += counters.overflow - monitor->overflows_seen;
                monitor->overflows_seen = counters.overflow;
                *full = true;
        }
        if (n > 0)
                expect_left_out(monitor);
        if (make_up_for_left_out(monitor))
                *full = true;
        if (!kernel_tells_objects(monitor->kernel) && monitor->charged_count > 0)
                *full = true;
        r = *full ? 0 : measure_updated(monitor, &measured);
        monitor->again = n > 0 && (monitor->tree.gone || (monitor->charged_new > 0 && (*full || measured > 0)));
        return r;
}

int monitor_look_again(struct monitor *monitor, uint64_t cgroup_id)
{
        int r = note_charged(monitor, cgroup_id);

        if (r < 0)
                return r;
        /* As if the last flush had taken it from the queue. */
        monitor->charged_new = monitor->again ? monitor->charged_new + 1 : 1;
        monitor->again = true;
        return 0;
}

/* --- Holders ------------------------------------------------------------------------------------------------------ */

static int add_holder(void *context, const struct holder_record *record)
{
        struct monitor *monitor = context;
        struct cgroup *cgroup;
        int r = tree_get(&monitor->tree, record->cgroup_id, &cgroup);

        if (r == 0)
                ledger_add_holder(&monitor->ledger, record->kind, record->id, cgroup,
                                monitor->by_holder(monitor->by_holder_context, cgroup));
        return r;
}

/* When the next pass over holders may be: a host with many open files is not to be busy with that. */
static uint64_t holders_due_usec(const struct monitor *monitor)
{
        if (!monitor->by_holder || !monitor->holders_stale)
                return UINT64_MAX;
        return monitor->holders_usec +
               rest_usec(monitor->holders_took_usec, MONITOR_HOLDERS_SHARE, MONITOR_HOLDERS_INTERVAL_USEC);
}

/* Finds out who holds what, if it is time to. A pass that fails leaves objects whose they were. */
static void read_holders(struct monitor *monitor)
{
        uint64_t start = now_usec();
        int r;

        if (start < holders_due_usec(monitor))
                return;
        monitor->holders_stale = false;
        ledger_begin_holders(&monitor->ledger);
        r = kernel_read_holders(monitor->kernel, add_holder, monitor);
        if (r == 0)
                ledger_end_holders(&monitor->ledger);
        else
                log_warning("The pass over all open files failed (%s): Attribution=holder is not up to date",
                                strerror(-r));
        /* It will not be there later either. */
        if (r == -EOPNOTSUPP)
                monitor->by_holder = NULL;
        monitor->holders_usec = now_usec();
        monitor->holders_took_usec = monitor->holders_usec - start;
}

void monitor_set_by_holder(struct monitor *monitor, monitor_by_holder_t by_holder, void *context)
{
        if (monitor->by_holder && !by_holder)
                ledger_forget_holders(&monitor->ledger);
        monitor->by_holder = by_holder;
        monitor->by_holder_context = context;
        monitor->holders_stale = by_holder;
        monitor->holders_usec = 0;
}

uint64_t monitor_due_usec(const struct monitor *monitor)
{
        uint64_t holders_due = holders_due_usec(monitor);

        return holders_due < monitor->left_out_due_usec ? holders_due : monitor->left_out_due_usec;
}

/* --- Flush -------------------------------------------------------------------------------------------------------- */

static void flush_tree(struct monitor *monitor)
{
        monitor->statistics.updated_cgroups += tree_flush(&monitor->tree);
        tree_prune(&monitor->tree);
}

/* @full: take a full pass in any case. */
static int flush(struct monitor *monitor, bool full)
{
        bool audit = kernel_tells_objects(monitor->kernel) &&
                     now_usec() - monitor->last_audit_usec >= MONITOR_AUDIT_INTERVAL_USEC;
        int r;

        monitor->statistics.flushes++;
        r = take_updates(monitor, &full);
        if (r < 0) {
                log_warning("The flush failed (%s): a full pass replaces it", strerror(-r));
                full = true;
                monitor->again = false;
        }
        r = full || audit ? full_pass(monitor, audit && !full) : 0;
        if (r == 0 && audit) {
                check_cgroups(monitor);
                monitor->last_audit_usec = now_usec();
        }
        monitor->holders_stale |= full || audit;
        read_holders(monitor);
        flush_tree(monitor);
        return r;
}

bool monitor_wants_flush(const struct monitor *monitor)
{
        return monitor->again || kernel_is_dirty(monitor->kernel);
}

int monitor_flush(struct monitor *monitor)
{
        return flush(monitor, !monitor->complete);
}

/* --- RSS ---------------------------------------------------------------------------------------------------------- */

/* The sums of a pass over tasks, by cgroup; what had RSS and is not in it any more has none. */
struct rss_sum {
        uint64_t cgroup_id;
        uint64_t bytes[RSS_MEMBERS];
        UT_hash_handle hh;
};

struct rss_pass {
        struct rss_sum *sums; /* uthash */
        uint64_t page_size;
};

static int get_sum(struct rss_pass *pass, uint64_t id, struct rss_sum **ret)
{
        struct rss_sum *sum;

        HASH_FIND(hh, pass->sums, &id, sizeof(id), sum);
        if (!sum) {
                sum = calloc(1, sizeof(*sum));
                if (!sum)
                        return -ENOMEM;
                sum->cgroup_id = id;
                HASH_ADD(hh, pass->sums, cgroup_id, sizeof(sum->cgroup_id), sum);
                if (!HASH_ADDED(sum)) {
                        free(sum);
                        return -ENOMEM;
                }
        }
        *ret = sum;
        return 0;
}

static int add_rss(void *context, const struct rss_record *record)
{
        struct rss_pass *pass = context;
        struct rss_sum *sum;
        int r = get_sum(pass, record->cgroup_id, &sum);

        if (r < 0)
                return r;
        for (int i = 0; i < RSS_MEMBERS; i++)
                sum->bytes[i] += record->pages[i] * pass->page_size;
        return 0;
}

/* A cgroup whose RSS changed: it is in the pass, if with no process left. */
static void expect_rss(void *context, uint64_t cgroup_id)
{
        struct rss_sum *sum;

        get_sum(context, cgroup_id, &sum);
}

static int apply_rss(struct monitor *monitor, struct rss_pass *pass, bool all)
{
        static const uint64_t none[RSS_MEMBERS];
        struct rss_sum *sum, *next;
        int r = 0;

        if (all) {
                struct cgroup *cgroup, *next_cgroup;

                HASH_ITER (hh, monitor->tree.by_id, cgroup, next_cgroup)
                        tree_set_rss(&monitor->tree, cgroup, none);
        }
        HASH_ITER (hh, pass->sums, sum, next) {
                struct cgroup *cgroup = NULL;

                /* A new cgroup without RSS is not worth an entry. */
                if (r == 0 && (memcmp(sum->bytes, none, sizeof(none)) != 0 ||
                                              tree_find(&monitor->tree, sum->cgroup_id)))
                        r = tree_get(&monitor->tree, sum->cgroup_id, &cgroup);
                if (cgroup)
                        tree_set_rss(&monitor->tree, cgroup, sum->bytes);
                HASH_DEL(pass->sums, sum);
                free(sum);
        }
        return r;
}

static int refresh_rss(struct monitor *monitor)
{
        struct rss_pass pass = { .page_size = sysconf(_SC_PAGESIZE) };
        bool all;
        int r, s;

        if (++monitor->rss_epoch == 0)
                monitor->rss_epoch = 1;
        r = kernel_pop_rss(monitor->kernel, monitor->rss_epoch, expect_rss, &pass);
        /* What was there before the sensors is in no queue. */
        all = r < 0 || monitor->statistics.rss_passes == 0;
        if (r == 0 && !all)
                return 0;
        r = kernel_read_rss(monitor->kernel, all ? 0 : monitor->rss_epoch, add_rss, &pass);
        s = apply_rss(monitor, &pass, all);
        monitor->statistics.rss_passes++;
        return r < 0 ? r : s;
}

int monitor_refresh_rss(struct monitor *monitor)
{
        int r = refresh_rss(monitor);

        if (r < 0)
                log_error("The pass over all tasks failed: %s", strerror(-r));
        flush_tree(monitor);
        return r;
}

int monitor_refresh(struct monitor *monitor)
{
        int r, s;

        /* Nobody tells who opens a pinned map, gets a descriptor from another, or ends. */
        monitor->holders_stale = true;
        r = flush(monitor, !monitor->complete || !kernel_tells_objects(monitor->kernel) ||
                                           !kernel_tells_growth(monitor->kernel));
        s = monitor_refresh_rss(monitor);
        return r < 0 ? r : s;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

int monitor_init(struct monitor *monitor, const struct kernel_options *options)
{
        int r;

        *monitor = (struct monitor){ .left_out_due_usec = UINT64_MAX, .last_audit_usec = now_usec() };
        r = cgroupfs_init(&monitor->cgroupfs);
        if (r == -ENOENT)
                log_warning("No mounted cgroup hierarchy has the memory controller: objects are listed, but under no "
                            "cgroup");
        else if (r < 0)
                log_warning("The cgroup hierarchy cannot be used (%s): cgroups have no paths", strerror(-r));
        r = tree_init(&monitor->tree, monitor->cgroupfs.root_id, lookup, &monitor->cgroupfs);
        if (r < 0) {
                log_error("Out of memory");
                return r;
        }
        ledger_init(&monitor->ledger, &monitor->tree);
        r = kernel_open(options, &monitor->cgroupfs, &monitor->kernel);
        if (r < 0 || options->probe_only)
                return r;
        return monitor_refresh(monitor);
}

void monitor_deinit(struct monitor *monitor)
{
        kernel_close(monitor->kernel);
        ledger_deinit(&monitor->ledger);
        tree_deinit(&monitor->tree);
        cgroupfs_deinit(&monitor->cgroupfs);
        free(monitor->charged_ids);
        free(monitor->causes);
        *monitor = (struct monitor){};
}
