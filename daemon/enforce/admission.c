/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernel/skeleton.h"
#include "policy/policy.h"

/* Domains for as many cgroups as are budgeted at the start, and for others, within these bounds. */
#define DOMAINS_MIN 1024
#define DOMAINS_MAX 65536

/* --- Domains ------------------------------------------------------------------------------------------------------ */

static bool refuses(const struct cgroup *cgroup)
{
        return cgroup->policy && cgroup->policy->budget->on_max == ACTION_DENY;
}

/* The nearest cgroup with a domain, at @cgroup or above; 0: none. */
static uint64_t domain_of(const struct cgroup *cgroup)
{
        for (; cgroup; cgroup = cgroup->parent)
                if (refuses(cgroup) && cgroup->policy->has_domain)
                        return cgroup->id;
        return 0;
}

static int set_domain(struct admission *admission, const struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        uint64_t max[GATE_RESOURCES] = {
                [GATE_ALLOCATED] = GATE_UNLIMITED,
                [GATE_CHARGED] = GATE_UNLIMITED,
                [GATE_MAPS] = policy->budget->maps_max,
                [GATE_PROGRAMS] = policy->budget->programs_max,
        };
        int r;

        max[policy->budget->count == COUNT_CHARGED ? GATE_CHARGED : GATE_ALLOCATED] = policy->max;
        r = gate_set_domain(admission->gate, cgroup->id, domain_of(cgroup->parent), max, policy->events.denied);
        /* Without one its objects are booked in the next one above. */
        if (r != -EEXIST)
                policy->has_domain = r == 0;
        return r;
}

static void log_no_room(const struct cgroup *cgroup, int error)
{
        log_error("%s: its Max cannot be enforced: %s", cgroup->path ?: "a cgroup",
                        error == -E2BIG ? "the table of budgeted cgroups is full; raise MaxCgroups="
                                        : strerror(-error));
}

/* Returns 0, or -EEXIST if the gate has to be made anew; other errors are a single cgroup's, and logged. */
static int set_domains(struct admission *admission)
{
        struct cgroup *cgroup, *next;

        /* Parents were added first, and come first. */
        HASH_ITER (hh, admission->monitor->tree.by_id, cgroup, next) {
                int r = refuses(cgroup) && cgroup->exists ? set_domain(admission, cgroup) : 0;

                if (r == -EEXIST)
                        return r;
                if (r < 0)
                        log_no_room(cgroup, r);
        }
        return 0;
}

/* Takes the domain @id out, now or, as long as something is booked in it, with one of the next flushes. */
static void retire(struct admission *admission, uint64_t id)
{
        uint64_t *grown;

        if (gate_remove_domain(admission->gate, id) == 0)
                return;
        for (size_t i = 0; i < admission->retired_count; i++)
                if (admission->retired[i] == id)
                        return;
        grown = reallocarray(admission->retired, admission->retired_count + 1, sizeof(*grown));
        if (!grown)
                return; /* it stays, without limits, until the next start or reload */
        admission->retired = grown;
        admission->retired[admission->retired_count++] = id;
}

static void retire_again(struct admission *admission)
{
        size_t kept = 0;

        for (size_t i = 0; i < admission->retired_count; i++) {
                uint64_t id = admission->retired[i];
                const struct cgroup *cgroup = tree_find(&admission->monitor->tree, id);

                if ((!cgroup || !refuses(cgroup)) && gate_remove_domain(admission->gate, id) < 0)
                        admission->retired[kept++] = id;
        }
        admission->retired_count = kept;
}

/* Takes domains out whose budget is gone, or whose cgroup is. */
static void prune_domains(struct admission *admission)
{
        uint64_t id = 0, doomed;

        if (gate_next_domain(admission->gate, &id) < 0)
                return;
        for (bool more = true; more;) {
                struct cgroup *cgroup = tree_find(&admission->monitor->tree, id);

                doomed = cgroup && refuses(cgroup) ? 0 : id;
                more = gate_next_domain(admission->gate, &id) == 0;
                if (doomed)
                        retire(admission, doomed);
        }
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static void queue(struct admission *admission, const struct object_record *record, bool gone)
{
        if (admission->count == admission->size) {
                size_t size = admission->size ? 2 * admission->size : 64;
                struct gate_settlement *grown = reallocarray(admission->queue, size, sizeof(*grown));

                if (!grown) {
                        admission->lost = true;
                        return;
                }
                admission->queue = grown;
                admission->size = size;
        }
        admission->queue[admission->count++] = (struct gate_settlement){
                .key = record->identity,
                .address = record->address,
                .allocated = record->allocated,
                .charged = record->charged,
                .id = record->id,
                .kind = record->kind,
                .measure = gone                             ? GATE_FORGET
                           : record->marks & OBJECT_MEMLOCK ? GATE_AS_TOLD
                           : record->charged                ? GATE_MEASURE
                                                            : GATE_MEASURE_NOBODYS,
        };
}

/* What the ledger has learned since the last time. */
static void queue_changes(struct admission *admission)
{
        struct ledger *ledger = &admission->monitor->ledger;

        admission->lost |= ledger->changes_lost;
        for (size_t i = 0; i < ledger->change_count; i++)
                queue(admission, &ledger->changes[i].record, ledger->changes[i].gone);
        ledger_keep_changes(ledger, true);
}

static void queue_all(struct admission *admission)
{
        struct object *object, *next;

        HASH_ITER (hh, admission->monitor->ledger.by_key, object, next)
                queue(admission, &object->record, false);
}

/*
 * Sets the domains that the queue is booked in: those of now, as a new cgroup may have got its budget since its object
 * was queued. What is being forgotten, or is off the ledger again, has none.
 */
static void set_queue_domains(struct admission *admission)
{
        for (size_t i = 0; i < admission->count; i++) {
                struct gate_settlement *settlement = &admission->queue[i];
                const struct object *object = settlement->measure == GATE_FORGET
                                                              ? NULL
                                                              : ledger_find(&admission->monitor->ledger,
                                                                                settlement->kind, settlement->id);

                if (object && object->record.identity == settlement->key)
                        settlement->domain = domain_of(object->cgroup);
        }
}

/* Settles the queue, and keeps what has to be settled again. Returns 0 or a negative errno. */
static int settle(struct admission *admission)
{
        size_t kept = 0;
        int r;

        set_queue_domains(admission);
        r = gate_settle(admission->gate, admission->queue, admission->count);
        if (r < 0)
                return r;
        for (size_t i = 0; i < admission->count; i++)
                if (admission->queue[i].again)
                        admission->queue[kept++] = admission->queue[i];
        admission->count = kept;
        return 0;
}

void admission_flush(struct admission *admission)
{
        uint64_t unbooked, missed;
        int r;

        if (!admission->gate)
                return;
        queue_changes(admission);
        if (admission->lost) {
                admission->lost = false;
                admission->count = 0;
                queue_all(admission);
        }
        r = settle(admission);
        if (r < 0 && r != admission->settle_error)
                log_warning("What the gate has booked cannot be brought up to date: %s", strerror(-r));
        admission->settle_error = r;
        retire_again(admission);
        unbooked = gate_unbooked(admission->gate);
        if (unbooked != admission->unbooked)
                log_warning("%llu maps and programs could not be booked by the gate (too many, or of a type that is "
                            "not "
                            "known), and were treated as FailMode= says",
                                (unsigned long long) (unbooked - admission->unbooked));
        admission->unbooked = unbooked;
        missed = gate_missed(admission->gate);
        /* There may be many: the first, and whenever they have doubled. */
        if (missed > 2 * admission->missed) {
                log_warning("The kernel let up to %llu calls of bpf(2) by without asking the gate: on a preemptible "
                            "kernel that takes bpf in lsm= on the kernel command line, or CONFIG_FPROBE. What they "
                            "made counts against the next",
                                (unsigned long long) missed);
                admission->missed = missed;
        }
}

bool admission_wants_flush(const struct admission *admission)
{
        const struct ledger *ledger = &admission->monitor->ledger;

        return admission->gate &&
               (admission->count > 0 || admission->lost || ledger->change_count > 0 || ledger->changes_lost);
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

void admission_init(struct admission *admission, struct monitor *monitor)
{
        *admission = (struct admission){ .monitor = monitor };
}

static void close_gate(struct admission *admission)
{
        ledger_keep_changes(&admission->monitor->ledger, false);
        gate_close(admission->gate);
        admission->gate = NULL;
        admission->count = 0;
        admission->retired_count = 0;
}

void admission_deinit(struct admission *admission)
{
        if (!admission->monitor)
                return;
        close_gate(admission);
        free(admission->queue);
        free(admission->retired);
        *admission = (struct admission){};
}

const char *admission_obstacle(const struct admission *admission)
{
        size_t count;
        const struct capability *capabilities = kernel_capabilities(admission->monitor->kernel, &count);

        if (!capabilities[CAPABILITY_GATE + GATE_HOOK_MAP].available)
                return capabilities[CAPABILITY_GATE + GATE_HOOK_MAP].reason;
        if (!capabilities[CAPABILITY_GATE + GATE_HOOK_MAP_FREE].available)
                return capabilities[CAPABILITY_GATE + GATE_HOOK_MAP_FREE].reason;
        return NULL;
}

static int open_gate(struct admission *admission, const struct settings *settings, bool fresh)
{
        const struct monitor *monitor = admission->monitor;
        struct gate_options options = {
                .machine = kernel_machine(monitor->kernel),
                .domains_max = settings->cgroups_max
                                               ?: skeleton_table_size(
                                                                  2 * monitor->tree.count, DOMAINS_MIN, DOMAINS_MAX),
                .objects_max = skeleton_table_size(4 * monitor->ledger.count, ADMISSION_OBJECTS_MIN, 1U << 20),
                .fail_closed = settings->fail_closed,
                .fresh = fresh,
        };
        struct gate *gate;
        uint64_t own;
        bool alone;
        int r;

        if (cgroupfs_own(&monitor->cgroupfs, &own, &alone) == 0 && own != monitor->cgroupfs.root_id)
                options.own_cgroup = own;
        r = gate_open(&options, &gate);
        if (r < 0)
                return r;
        /* The one before, if any, keeps its pins, and so goes on until this one replaces them. */
        gate_close(admission->gate);
        admission->gate = gate;
        admission->unbooked = gate_unbooked(gate);
        admission->missed = 0;
        return 0;
}

int admission_start(struct admission *admission, const struct settings *settings)
{
        int r = 0;

        if (!admission->gate)
                r = open_gate(admission, settings, false);
        if (r == 0 && set_domains(admission) == -EEXIST) {
                r = open_gate(admission, settings, true);
                if (r == 0)
                        r = set_domains(admission);
        }
        if (r < 0) {
                kernel_capability_lost(admission->monitor->kernel, CAPABILITY_GATE + GATE_HOOK_MAP,
                                r == -EBUSY ? "another bpfbudgetd has it" : strerror(-r));
                close_gate(admission);
                /* What a predecessor has booked is not brought up to date any more. */
                if (!settings->fail_closed && gate_release() > 0)
                        log_warning("The gate of a predecessor is open now: nothing is refused (FailMode=open)");
                return r;
        }
        ledger_keep_changes(&admission->monitor->ledger, true);
        admission->count = 0;
        queue_all(admission);
        admission_flush(admission);
        prune_domains(admission);
        gate_start(admission->gate);
        return 0;
}

void admission_stop(struct admission *admission)
{
        close_gate(admission);
        gate_release();
}

void admission_set(struct admission *admission, const struct cgroup *cgroup)
{
        int r;

        if (!admission->gate || !refuses(cgroup) || !cgroup->exists)
                return;
        r = set_domain(admission, cgroup);
        /* -EEXIST: while a new configuration is put in force; admission_start() follows. */
        if (r < 0 && r != -EEXIST)
                log_no_room(cgroup, r);
}

void admission_remove(struct admission *admission, const struct cgroup *cgroup)
{
        if (admission->gate)
                retire(admission, cgroup->id);
}
