/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "enforce/leftovers.h"
#include "kernel/skeleton.h"
#include "policy/policy.h"

/* Domains for as many cgroups as are budgeted at the start, and for others, within these bounds. */
#define DOMAINS_MIN 1024
#define DOMAINS_MAX (1U << 20)
#define OBJECTS_MAX (1U << 23)

/* Room for automata of other configurations, which a reload may bring. */
#define AUTOMATON_MIN 4096
#define BUDGETS_MIN   64

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

/* What @budget allows, with @bytes as its Max. */
static void set_limits(uint64_t max[GATE_RESOURCES], const struct budget *budget, uint64_t bytes)
{
        static const enum gate_resource counted[] = {
                [COUNT_ALLOCATED] = GATE_ALLOCATED,
                [COUNT_CHARGED] = GATE_CHARGED,
                [COUNT_COMMITTED] = GATE_COMMITTED,
        };

        for (int i = 0; i < GATE_RESOURCES; i++)
                max[i] = GATE_UNLIMITED;
        max[GATE_MAPS] = budget->maps_max;
        max[GATE_PROGRAMS] = budget->programs_max;
        max[counted[budget->count]] = bytes;
        /* What grows without a limit would pass Max some day. */
        if (budget->count == COUNT_COMMITTED && budget->unbounded == UNBOUNDED_REFUSE && bytes != BUDGET_INFINITY)
                max[GATE_UNBOUNDED] = 0;
}

/* How often @cgroup was refused so far. The gate before this one has gone on refusing while this one was loaded. */
static uint64_t denied_so_far(const struct admission *admission, const struct cgroup *cgroup)
{
        struct gate_domain before;

        if (!admission->previous || gate_read_domain(admission->previous, cgroup->id, &before) < 0)
                return cgroup->policy->events.denied;
        return MAX(before.denied, cgroup->policy->events.denied);
}

static int set_domain(struct admission *admission, const struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        _cleanup_free_ char *path = NULL;
        uint64_t max[GATE_RESOURCES];
        int r = cgroup_full_path(cgroup, &path);

        if (r == -ENOMEM)
                return r;
        set_limits(max, policy->budget, policy->max);
        r = gate_set_domain(admission->gate, cgroup->id, domain_of(cgroup->parent), path, max,
                        denied_so_far(admission, cgroup));
        /* Without one its objects are booked in the next one above. */
        if (r != -EEXIST)
                policy->has_domain = r == 0;
        return r;
}

/* Gives the gate the budgets of cgroups that will come. Returns 0 or a negative errno. */
static int set_budgets(struct admission *admission)
{
        const struct config *config = admission->config;
        _cleanup_free_ struct gate_limits *limits = calloc(config->count + 1, sizeof(*limits));

        if (!limits)
                return -ENOMEM;
        for (size_t i = 0; i < config->count; i++) {
                uint64_t max[GATE_RESOURCES];

                set_limits(max, &config->budgets[i], config->budgets[i].max);
                memcpy(limits[i].max, max, sizeof(limits[i].max));
                limits[i].refuses = config->budgets[i].on_max == ACTION_DENY;
        }
        return gate_set_budgets(admission->gate, config->automaton, limits, config->count);
}

static void log_no_room(const struct cgroup *cgroup, int error)
{
        log_error("%s: its Max cannot be enforced: %s", cgroup->path ?: "a cgroup",
                        error == -E2BIG ? "the table of budgeted cgroups is full" : strerror(-error));
}

/*
 * Returns 0; -EEXIST: the gate has to be made anew; -E2BIG, if @may_grow: with a larger table. Other errors are a
 * single cgroup's, and logged.
 */
static int set_domains(struct admission *admission, bool may_grow)
{
        struct cgroup *cgroup, *next;

        /* Parents were added first, and come first. */
        HASH_ITER (hh, admission->monitor->tree.by_id, cgroup, next) {
                int r = refuses(cgroup) && cgroup->exists ? set_domain(admission, cgroup) : 0;

                if (r == -EEXIST || (r == -E2BIG && may_grow))
                        return r;
                if (r < 0)
                        log_no_room(cgroup, r);
        }
        return 0;
}

static bool lives(const struct cgroup *cgroup)
{
        return cgroup && cgroup->exists;
}

/*
 * Takes the domain @id, of @cgroup (NULL: it is gone), out, now or, as long as something is booked in it, with one of
 * the next flushes.
 */
static void retire(struct admission *admission, uint64_t id, const struct cgroup *cgroup)
{
        uint64_t *grown;

        if (gate_remove_domain(admission->gate, id, lives(cgroup)) == 0)
                return;
        for (size_t i = 0; i < admission->retired_count; i++)
                if (admission->retired[i] == id)
                        return;
        grown = array_grow(admission->retired, admission->retired_count, sizeof(*grown));
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

                if ((!cgroup || !refuses(cgroup)) && gate_remove_domain(admission->gate, id, lives(cgroup)) < 0)
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
                        retire(admission, doomed, cgroup);
        }
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static void queue(struct admission *admission, const struct object_change *change)
{
        struct gate_settlement *grown = array_grow(admission->queue, admission->count, sizeof(*grown));

        if (!grown) {
                admission->lost = true;
                return;
        }
        admission->queue = grown;
        grown[admission->count++] = (struct gate_settlement){
                .key = change->identity,
                .address = change->address,
                .allocated = change->allocated,
                .charged = change->charged,
                .ceiling = change->ceiling,
                .id = change->id,
                .kind = change->kind,
                .measure = change->gone                     ? GATE_FORGET
                           : change->marks & OBJECT_MEMLOCK ? GATE_AS_TOLD
                           : change->charged                ? GATE_MEASURE
                                                            : GATE_MEASURE_NOBODYS,
        };
}

/* What the ledger has learned since the last time. */
static void queue_changes(struct admission *admission)
{
        struct ledger *ledger = &admission->monitor->ledger;

        admission->lost |= ledger->changes_lost;
        for (size_t i = 0; i < ledger->change_count; i++)
                queue(admission, &ledger->changes[i]);
        ledger_keep_changes(ledger, true);
}

static void queue_all(struct admission *admission)
{
        struct object *object, *next;

        HASH_ITER (hh, admission->monitor->ledger.by_key, object, next) {
                struct object_change change = ledger_change_of(&object->record, false);

                queue(admission, &change);
        }
}

/* The domain of a removed cgroup that the gate before had the entry @key in; 0: none, or there was no gate before. */
static uint64_t left_in(const struct admission *admission, uint64_t key)
{
        return admission->previous ? leftovers_domain(admission->previous, key) : 0;
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

                if (!object || object->record.identity != settlement->key)
                        continue;
                settlement->domain = left_in(admission, settlement->key) ?: domain_of(object->cgroup);
                settlement->held = object->cgroup != object->charged;
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

static void log_unbooked(struct admission *admission)
{
        uint64_t unbooked = gate_unbooked(admission->gate);

        if (unbooked != admission->unbooked)
                log_warning("%llu maps and programs could not be booked by the gate (its tables were full, or their "
                            "type "
                            "is not known), and were refused where a limit is in force",
                                (unsigned long long) (unbooked - admission->unbooked));
        admission->unbooked = unbooked;
}

/* There may be many: the first, and whenever they have doubled. */
static void log_missed(struct admission *admission)
{
        uint64_t missed = gate_missed(admission->gate);

        if (missed <= 2 * admission->missed)
                return;
        log_warning("The kernel skipped the gate for up to %llu calls of bpf(2); their objects count against the "
                    "next request. To prevent it, add bpf to lsm= on the kernel command line",
                        (unsigned long long) missed);
        admission->missed = missed;
}

/* Has the gate made anew with larger tables long before they are full, which takes a while. */
static void check_fill(struct admission *admission)
{
        struct gate_fill fill;

        gate_read_fill(admission->gate, &fill);
        if (fill.objects > fill.objects_max / 2 && fill.objects_max < OBJECTS_MAX) {
                admission->objects_min = 4 * fill.objects_max;
                admission->rebuild = true;
        }
        if ((fill.domains > fill.domains_max / 2 || fill.domains_missing > 0) && fill.domains_max < DOMAINS_MAX) {
                admission->domains_min = 4 * fill.domains_max;
                admission->rebuild = true;
        }
}

static void flush(struct admission *admission)
{
        int r;

        queue_changes(admission);
        if (admission->lost) {
                admission->lost = false;
                admission->count = 0;
                queue_all(admission);
        }
        r = settle(admission);
        if (r < 0 && r != admission->settle_error)
                log_warning("The accounting of the gate cannot be updated: %s", strerror(-r));
        admission->settle_error = r;
        retire_again(admission);
        log_unbooked(admission);
        log_missed(admission);
}

bool admission_wants_flush(const struct admission *admission)
{
        const struct ledger *ledger = &admission->monitor->ledger;

        return admission->gate && (admission->rebuild || admission->count > 0 || admission->lost ||
                                                  ledger->change_count > 0 || ledger->changes_lost);
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

void admission_init(struct admission *admission, struct monitor *monitor, admission_catch_up_t catch_up,
                gate_event_t take_event, void *context)
{
        *admission = (struct admission){
                .monitor = monitor,
                .events_fd = -1,
                .catch_up = catch_up,
                .take_event = take_event,
                .context = context,
        };
}

static void close_gate(struct admission *admission)
{
        ledger_keep_changes(&admission->monitor->ledger, false);
        gate_close(admission->previous);
        gate_close(admission->gate);
        admission->previous = admission->gate = NULL;
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
        if (admission->events_fd >= 0)
                close(admission->events_fd);
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

static uint32_t domains_max(const struct admission *admission)
{
        uint32_t size = admission->config->settings.cgroups_max
                                        ?: skeleton_table_size(2 * admission->monitor->tree.count, DOMAINS_MIN,
                                                           DOMAINS_MAX);

        return MAX(size, admission->domains_min);
}

static uint32_t objects_max(const struct admission *admission)
{
        uint32_t size = skeleton_table_size(4 * admission->monitor->ledger.count, ADMISSION_OBJECTS_MIN, OBJECTS_MAX);

        return MAX(size, admission->objects_min);
}

/* The gate is a part of the daemon: what it takes is the daemon's, also the tables of a predecessor that it took over.
 */
static void note_own(const struct admission *admission)
{
        const struct monitor *monitor = admission->monitor;
        struct object *object, *next;
        int r = kernel_note_own(monitor->kernel, gate_object(admission->gate));

        if (r < 0)
                log_warning("The objects of the gate are listed as others': %s", strerror(-r));
        HASH_ITER (hh, monitor->ledger.by_key, object, next)
                if (kernel_is_own(monitor->kernel, &object->record))
                        object->record.marks |= OBJECT_OWN;
}

/* The descriptor of a gate that is closed leaves by itself. */
static int watch_events(struct admission *admission, struct gate *gate)
{
        struct epoll_event event = { .events = EPOLLIN };

        if (admission->events_fd < 0)
                admission->events_fd = epoll_create1(EPOLL_CLOEXEC);
        if (admission->events_fd < 0)
                return -errno;
        return epoll_ctl(admission->events_fd, EPOLL_CTL_ADD, gate_events_fd(gate), &event) < 0 ? -errno : 0;
}

static int open_gate(struct admission *admission, bool fresh)
{
        const struct automaton *automaton = admission->config->automaton;
        const struct monitor *monitor = admission->monitor;
        struct gate_options options = {
                .machine = kernel_machine(monitor->kernel),
                .domains_max = domains_max(admission),
                .objects_max = objects_max(admission),
                .automaton_max = skeleton_table_size(automaton->count, AUTOMATON_MIN, 2 * AUTOMATON_ENTRIES_MAX),
                .budgets_max = skeleton_table_size(admission->config->count, BUDGETS_MIN, 1U << 20),
                .fresh = fresh,
                .previous = admission->gate,
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
        r = watch_events(admission, gate);
        if (r < 0) {
                gate_close(gate);
                return r;
        }
        /* The one before, if any, keeps its pins, and so goes on until this one replaces them. */
        if (fresh && admission->gate && !admission->previous)
                admission->previous = admission->gate;
        else
                gate_close(admission->gate);
        admission->gate = gate;
        admission->unbooked = gate_unbooked(gate);
        admission->missed = 0;
        note_own(admission);
        admission->catch_up(admission->context);
        return 0;
}

/* Puts budgets and domains in force. Returns 0; -EEXIST: it takes a fresh gate; -E2BIG: one with more room. */
static int fill_gate(struct admission *admission, bool may_grow)
{
        int r = set_budgets(admission);

        if (r == 0) {
                r = set_domains(admission, may_grow);
                if (r == -E2BIG)
                        admission->domains_min = 4 * domains_max(admission);
        }
        if (r == 0)
                gate_completed(admission->gate);
        return r;
}

/* Opens a gate in place of the one that there is, if any, and fills it. */
static int replace_gate(struct admission *admission, bool fresh, bool may_grow)
{
        int r = open_gate(admission, fresh);

        return r < 0 ? r : fill_gate(admission, may_grow);
}

/* Opens the gate where there is none that will do, and fills it. @fresh: none will. */
static int make_gate(struct admission *admission, bool fresh)
{
        int r = admission->gate && !fresh ? fill_gate(admission, true) : replace_gate(admission, fresh, true);

        if (r == -E2BIG)
                r = replace_gate(admission, fresh, false);
        return r == -EEXIST ? replace_gate(admission, true, false) : r;
}

static int start(struct admission *admission, bool fresh)
{
        int r = make_gate(admission, fresh);

        if (r == 0 && admission->previous)
                r = leftovers_carry(admission->previous, admission->gate);
        admission->rebuild = false;
        if (r < 0) {
                kernel_capability_lost(admission->monitor->kernel, CAPABILITY_GATE + GATE_HOOK_MAP,
                                r == -EBUSY ? "another bpfbudgetd has it" : strerror(-r));
                close_gate(admission);
                /* What a predecessor has booked is not brought up to date any more. */
                if (!admission->config->settings.fail_closed && gate_release() > 0)
                        log_warning("The gate of a predecessor is open now: nothing is refused (FailMode=open)");
                return r;
        }
        ledger_keep_changes(&admission->monitor->ledger, true);
        admission->count = 0;
        queue_all(admission);
        /* First, so that what they have booked is settled in the domains above. */
        prune_domains(admission);
        flush(admission);
        gate_start(admission->gate);
        if (admission->previous)
                gate_take_events(admission->previous, admission->take_event, admission->context);
        gate_close(admission->previous);
        admission->previous = NULL;
        return 0;
}

int admission_start(struct admission *admission, const struct config *config)
{
        admission->config = config;
        return start(admission, false);
}

/* The one that there is refuses until the other does. */
static void rebuild(struct admission *admission)
{
        struct gate_fill fill;

        if (start(admission, true) < 0)
                return;
        gate_read_fill(admission->gate, &fill);
        log_info("The gate was rebuilt with room for %llu budgeted cgroups and %llu objects",
                        (unsigned long long) fill.domains_max, (unsigned long long) fill.objects_max);
}

void admission_flush(struct admission *admission)
{
        if (!admission->gate)
                return;
        check_fill(admission);
        if (admission->rebuild)
                rebuild(admission);
        else
                flush(admission);
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
        /* One below it was there first, or there is no room: the next flush, or admission_start(), makes a fresh gate.
         */
        if (r == -EEXIST || r == -E2BIG)
                admission->rebuild = true;
        else if (r < 0)
                log_no_room(cgroup, r);
}

void admission_remove(struct admission *admission, const struct cgroup *cgroup)
{
        if (admission->gate)
                retire(admission, cgroup->id, cgroup);
}
