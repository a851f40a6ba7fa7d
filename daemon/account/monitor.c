/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "account/fill.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

static int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        return name ? cgroupfs_lookup(context, id, name, parent_id) : cgroupfs_exists(context, id);
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

        /* The creation of an object is reported a moment after it is visible; a difference in size is one. */
        if (pass->audit && r == LEDGER_CHANGED && !(record->marks & OBJECT_GROWS))
                pass->monitor->statistics.drift++;
        return r < 0 ? r : 0;
}

/* @audit: what differs from what the hooks reported is counted. */
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
        monitor->fill_usec = now_usec();
        return 0;
}

/* --- Flush of what was updated ------------------------------------------------------------------------------------ */

static int note_charged(struct monitor *monitor, uint64_t id)
{
        uint64_t *ids = array_grow(monitor->charged_ids, monitor->charged_count, sizeof(*ids));

        if (!ids)
                return -ENOMEM;
        monitor->charged_ids = ids;
        ids[monitor->charged_count++] = id;
        return 0;
}

/*
 * Remembers the cause of a growth for the alerts of this flush. No memory is not an error here: an alert without the
 * cause is still useful.
 */
static void note_cause(struct monitor *monitor, uint64_t cgroup_id, const struct update *update)
{
        struct growth_cause *causes, *cause;

        if (update->pid == 0)
                return;
        causes = array_grow(monitor->causes, monitor->cause_count, sizeof(*causes));
        if (!causes)
                return;
        monitor->causes = causes;
        cause = &causes[monitor->cause_count++];
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

/* This flush has measured the new object, after its cgroup was clean: it need not do so again. */
static void note_measured(struct monitor *monitor, uint32_t kind, uint32_t id)
{
        struct object *object = ledger_find(&monitor->ledger, kind, id);

        if (object)
                object->new_in_flush = monitor->statistics.flushes;
}

/* Measures one object that a hook named. It may be gone again by now. */
static int measure_new(struct monitor *monitor, uint32_t kind, const struct update *update)
{
        struct object_record record = { .kind = kind, .id = update->id, .address = update->address };
        int r = kernel_measure(monitor->kernel, &record, 1);

        if (r < 0 || record.marks & OBJECT_GONE)
                return r;
        note_cause(monitor, record.cgroup_id ?: update->cgroup_id, update);
        /* The cgroup may be gone by now; the program still belongs to the budgets above it. */
        if (record.marks & OBJECT_UNATTRIBUTED && update->cgroup_id)
                r = tree_get_below(&monitor->tree, update->cgroup_id, update->parent_id);
        if (r < 0)
                return r;
        r = ledger_put_recorded(&monitor->ledger, &record, update->cgroup_id);
        if (r < 0)
                return r;
        monitor->filled |= record.marks & OBJECT_GROWS && record.entries > 0 && record.entries != ENTRIES_UNKNOWN;
        note_measured(monitor, kind, update->id);
        return note_creator(monitor, kind, update);
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

static int queue_object(struct monitor *monitor, const struct update *update)
{
        struct update *queue = array_grow(monitor->objects, monitor->object_count, sizeof(*queue));

        if (!queue)
                return -ENOMEM;
        monitor->objects = queue;
        queue[monitor->object_count++] = *update;
        return 0;
}

/* Enters what take_update() has queued, in its order. Returns 0 or the first error. */
static int enter_objects(struct monitor *monitor)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < monitor->object_count; i++) {
                const struct update *update = &monitor->objects[i];

                if (update->kind == UPDATE_MAP_NEW)
                        r = measure_new(monitor, OBJECT_MAP, update);
                else if (update->kind == UPDATE_PROGRAM_NEW)
                        r = measure_new(monitor, OBJECT_PROGRAM, update);
                else if (update->kind == UPDATE_MAP_FREED)
                        r = remove_freed(monitor, update->address);
                else
                        ledger_remove(&monitor->ledger, OBJECT_PROGRAM, update->id);
        }
        monitor->object_count = 0;
        return r;
}

/* Objects wait until the cgroups that are taken with them are clean: then one measurement of a new one is enough. */
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
                if (!cgroup || !cgroup->parent)
                        return 0;
                tree_check(&monitor->tree, cgroup);
                /* The removed cgroup was that of another hierarchy: the removal of ours must still be reported. */
                if (cgroup->exists)
                        kernel_watch_cgroup(monitor->kernel, cgroup->id);
                return 0;
        case UPDATE_MAP_NEW:
        case UPDATE_PROGRAM_NEW:
        case UPDATE_MAP_FREED:
        case UPDATE_PROGRAM_FREED:
                return queue_object(monitor, update);
        }
        return 0;
}

static int compare_ids(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* Whether @object is charged to one of the @n cgroups @ids, which are sorted; what is uncharged is the root's. */
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
 * Collects the objects that are to be measured again: the growing objects of the cgroups in charged_ids (@ids: the
 * same, sorted) that this flush has not measured yet, and all objects of cgroups that are gone, which the kernel hands
 * on to the parent a moment after the removal. Returns how many.
 */
static size_t collect_updated(const struct monitor *monitor, const uint64_t *ids, struct object_record *records)
{
        struct object *object, *next;
        size_t count = 0;

        for (object = monitor->ledger.growing; object; object = object->next)
                if (object->new_in_flush != monitor->statistics.flushes && !is_gone(object) &&
                                is_charged(object, ids, monitor->charged_count))
                        records[count++] = object->record;
        if (!monitor->tree.gone)
                return count;
        HASH_ITER (hh, monitor->ledger.by_key, object, next)
                if (is_gone(object))
                        records[count++] = object->record;
        return count;
}

/* Measures the @n objects @records, which are in the ledger, again. Returns 0 or a negative errno. */
static int measure(struct monitor *monitor, struct object_record *records, size_t n)
{
        int r = kernel_measure(monitor->kernel, records, n);

        for (size_t i = 0; r >= 0 && i < n; i++)
                /* The release of one that is gone is reported, or was: nothing to do. */
                if (!(records[i].marks & OBJECT_GONE))
                        r = ledger_put(&monitor->ledger, &records[i]);
        return r < 0 ? r : 0;
}

/* Measures the collected objects; *count: how many. */
static int measure_updated(struct monitor *monitor, size_t *count)
{
        _cleanup_free_ struct object_record *records = NULL;
        _cleanup_free_ uint64_t *ids = NULL;

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
        return measure(monitor, records, *count);
}

/* How long to wait after something that took @took: @share times as long, and @least at least. All in microseconds. */
static uint64_t rest_usec(uint64_t took, unsigned int share, uint64_t least)
{
        uint64_t rest = share * took;

        return rest > least ? rest : least;
}

/* Schedules a check for hooks that the kernel misses now, because nothing else reports them. */
static void expect_missed(struct monitor *monitor)
{
        if (!kernel_tells_objects(monitor->kernel) || monitor->missed_due_usec != UINT64_MAX)
                return;
        monitor->missed_due_usec = now_usec() + rest_usec(monitor->statistics.full_pass_usec, MONITOR_MISSED_SHARE,
                                                                MONITOR_MISSED_INTERVAL_USEC);
}

/*
 * Whether the kernel has missed hooks, and a full pass has to make up for them. A second one follows: a hook is ahead
 * of the allocation that it would have reported, which the first one may not have seen.
 */
static bool make_up_for_missed(struct monitor *monitor)
{
        uint64_t count;
        bool again = monitor->missed_again;

        if (now_usec() < monitor->missed_due_usec)
                return false;
        monitor->missed_due_usec = UINT64_MAX;
        count = kernel_missed(monitor->kernel);
        log_debug("The kernel has missed %llu hooks", (unsigned long long) count);
        monitor->missed_again = count != monitor->missed_seen;
        monitor->missed_seen = count;
        if (monitor->missed_again) {
                monitor->statistics.overflows++;
                expect_missed(monitor);
        }
        return monitor->missed_again || again;
}

/*
 * Takes the queued updates. A hook of a charge runs before the allocation, so objects that can grow in the cgroups of
 * one flush are measured again by the next one, which the caller has to schedule (monitor_wants_flush()). The same
 * applies to objects that the kernel hands on from removed cgroups. It does not apply to new objects: their hooks are
 * the last step of creation (security_bpf_map(), perf_event_bpf_event()), when all is there, and they are measured when
 * growth from then on is queued again. But one that has entries was growing before that. *full is set if only a full
 * pass finds what changed.
 */
static int take_updates(struct monitor *monitor, bool *full)
{
        struct sensor_counters counters;
        const uint64_t *fresh;
        size_t before, measured = 0;
        int n, r, s;
        bool grows;

        /* The cgroups of the last flush are measured again in this one; those of the flush before are done. */
        before = monitor->again ? monitor->charged_new : 0;
        if (before > 0)
                memmove(monitor->charged_ids, monitor->charged_ids + monitor->charged_count - before,
                                before * sizeof(uint64_t));
        monitor->charged_count = before;
        monitor->cause_count = 0;
        monitor->creator.pid = 0;
        monitor->filled = false;
        n = kernel_take_updates(monitor->kernel, take_update, monitor);
        fresh = monitor->charged_ids ? monitor->charged_ids + before : NULL;
        r = kernel_clean_cgroups(monitor->kernel, fresh, monitor->charged_count - before);
        s = enter_objects(monitor);
        if (n < 0 || r < 0 || s < 0)
                return n < 0 ? n : r < 0 ? r : s;
        monitor->holders_stale |= n > 0;
        monitor->charged_new = monitor->charged_count - before;
        counters = kernel_counters(monitor->kernel);
        if (counters.overflow != monitor->overflows_seen) {
                monitor->statistics.overflows += counters.overflow - monitor->overflows_seen;
                monitor->overflows_seen = counters.overflow;
                *full = true;
        }
        if (n > 0)
                expect_missed(monitor);
        if (make_up_for_missed(monitor))
                *full = true;
        if (!kernel_tells_objects(monitor->kernel) && monitor->charged_count > 0)
                *full = true;
        r = *full ? 0 : measure_updated(monitor, &measured);
        grows = *full || measured > 0 || monitor->filled;
        monitor->again = n > 0 && (monitor->tree.gone || (monitor->charged_new > 0 && grows));
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

static int add_holder(void *context, const void *data)
{
        const struct holder_record *record = data;
        struct monitor *monitor = context;
        struct cgroup *cgroup;
        int r = tree_get(&monitor->tree, record->cgroup_id, &cgroup);

        if (r == 0)
                ledger_add_holder(&monitor->ledger, record->kind, record->id, cgroup,
                                monitor->by_holder(monitor->by_holder_context, cgroup));
        return r;
}

/* The earliest time of the next pass over holders, which must not keep a host with many open files busy. */
static uint64_t holders_due_usec(const struct monitor *monitor)
{
        if (!monitor->by_holder || !monitor->holders_stale)
                return UINT64_MAX;
        return monitor->holders_usec +
               rest_usec(monitor->holders_took_usec, MONITOR_HOLDERS_SHARE, MONITOR_HOLDERS_INTERVAL_USEC);
}

/* Reads all holders, if that is due. If the pass fails, the attribution of objects does not change. */
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
        /* The feature will not become available later. */
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
        uint64_t due = holders_due_usec(monitor);

        due = MIN(due, MIN(monitor->missed_due_usec, rss_due_usec(&monitor->rss)));
        due = MIN(due, owners_due_usec(&monitor->owners));
        return MIN(due, removed_due_usec(&monitor->removed));
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
        uint64_t overflows = monitor->overflows_seen;
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
                removed_find(&monitor->tree, monitor->kernel);
                monitor->last_audit_usec = now_usec();
        }
        removed_flush(&monitor->removed, monitor->kernel, monitor->overflows_seen != overflows);
        monitor->holders_stale |= full || audit;
        read_holders(monitor);
        rss_rest(&monitor->rss);
        flush_tree(monitor);
        owners_flush(&monitor->owners, &monitor->ledger);
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

int monitor_refresh_rss(struct monitor *monitor)
{
        bool read;
        int r = rss_refresh(&monitor->rss, &read);

        monitor->statistics.rss_passes += read;

        if (r < 0 && r != -EOPNOTSUPP)
                log_error("The pass over all tasks failed: %s", strerror(-r));
        flush_tree(monitor);
        return r;
}

/* Whether the entries of @object come and go without a charge, so that no hook reports them: they are preallocated. */
static bool fills_unreported(const struct object *object)
{
        uint32_t percent;

        return !(object->record.marks & OBJECT_GROWS) && fill_of(&object->record, &percent);
}

/* Counts the entries of such maps again, unless that was done, here or by a full pass, a moment ago. */
static int refresh_fill(struct monitor *monitor)
{
        _cleanup_free_ struct object_record *records = NULL;
        struct object *object, *next;
        size_t count = 0;

        if (now_usec() - monitor->fill_usec < MONITOR_FILL_INTERVAL_USEC)
                return 0;
        records = calloc(monitor->ledger.count + 1, sizeof(*records));
        if (!records)
                return -ENOMEM;
        HASH_ITER (hh, monitor->ledger.by_key, object, next)
                if (fills_unreported(object))
                        records[count++] = object->record;
        monitor->fill_usec = now_usec();
        return measure(monitor, records, count);
}

int monitor_poll(struct monitor *monitor, bool rss)
{
        int r, s;

        /* Nothing reports when a process opens a pinned map, receives a descriptor from another, or ends. */
        monitor->holders_stale = true;
        r = flush(monitor, !monitor->complete || !kernel_tells_objects(monitor->kernel) ||
                                           !kernel_tells_growth(monitor->kernel));
        s = refresh_fill(monitor);
        if (s < 0)
                log_warning("The entries of preallocated maps cannot be counted: %s", strerror(-s));
        s = rss ? monitor_refresh_rss(monitor) : 0;
        /* The capabilities say that there is no RSS. */
        return r < 0 || s == -EOPNOTSUPP ? r : s;
}

int monitor_refresh(struct monitor *monitor)
{
        return monitor_poll(monitor, true);
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

int monitor_init(struct monitor *monitor, const struct kernel_options *options)
{
        int r;

        *monitor = (struct monitor){ .missed_due_usec = UINT64_MAX, .last_audit_usec = now_usec() };
        r = cgroupfs_init(&monitor->cgroupfs);
        if (r < 0 && error_is_passing(-r)) {
                /* The next start may succeed. Without the hierarchy, no budget applies. */
                log_error("The cgroup hierarchy cannot be used: %s", strerror(-r));
                return r;
        }
        if (r == -ENOENT)
                log_warning("No mounted cgroup hierarchy has the memory controller: objects are listed, but under no "
                            "cgroup");
        else if (r == 0 && monitor->cgroupfs.part)
                log_warning("%s shows a part of the cgroup hierarchy: cgroups outside of it are not visible from here, "
                            "and have no paths. Mount the whole hierarchy to see them",
                                monitor->cgroupfs.mount);
        else if (r < 0)
                log_warning("The cgroup hierarchy cannot be used (%s): cgroups have no paths", strerror(-r));
        r = tree_init(&monitor->tree, monitor->cgroupfs.root_id, lookup, &monitor->cgroupfs);
        if (r < 0) {
                log_error("Out of memory");
                return r;
        }
        ledger_init(&monitor->ledger, &monitor->tree);
        removed_init(&monitor->removed, &monitor->tree);
        r = kernel_open(options, &monitor->cgroupfs, &monitor->kernel);
        if (r < 0 || options->probe_only)
                return r;
        rss_init(&monitor->rss, &monitor->tree, monitor->kernel);
        return monitor_refresh(monitor);
}

void monitor_keep_owners(struct monitor *monitor, const char *file)
{
        owners_begin(&monitor->owners, &monitor->ledger, file);
}

void monitor_deinit(struct monitor *monitor)
{
        owners_end(&monitor->owners, &monitor->ledger);
        kernel_close(monitor->kernel);
        ledger_deinit(&monitor->ledger);
        tree_deinit(&monitor->tree);
        cgroupfs_deinit(&monitor->cgroupfs);
        free(monitor->charged_ids);
        free(monitor->causes);
        free(monitor->objects);
        *monitor = (struct monitor){};
}
