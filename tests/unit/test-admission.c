/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which limits and objects the gate is told of, and what is done when it says no. The gate is a table that records;
 * tree, ledger and policy are the real ones.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "enforce/admission.h"
#include "enforce/leftovers.h"
#include "policy/policy.h"

#include "fake-cgroups.h"
#include "fake-log.h"

#define MIB (1024ULL * 1024)

#define ROOT 1
#define A    10
#define AB   11
#define ABC  12
#define C    20

/* --- The gate ----------------------------------------------------------------------------------------------------- */

#define DOMAINS     8
#define SETTLED_MAX 8192

struct gate {
        struct gate_options options;
        bool closed, started;
        int events_fd;
};

static struct fakes {
        struct gate gates[8];
        unsigned int open_count, good_opens; /* so many work before open_error counts */
        int open_error, release_result;
        unsigned int releases;

        struct domain {
                uint64_t id, parent, max[GATE_RESOURCES], denied;
                bool busy;  /* something is booked in it */
                int error;  /* that setting it fails with, */
                bool fresh; /* only on a gate that is not */
                char path[64];
        } domains[DOMAINS];
        unsigned int sets, removes;
        bool removed_lives;

        struct gate_settlement settled[SETTLED_MAX]; /* by the last call */
        size_t settled_count;
        unsigned int settle_count;
        int settle_error;
        uint64_t again; /* key of what is to be settled again */

        uint64_t unbooked, missed;
        struct gate_fill fill;
        unsigned int carried;
        uint64_t left_key;
        struct gate_limits limits[8];
        size_t limits_count;
        struct capability capabilities[CAPABILITIES];
        size_t lost;
        char lost_reason[64];
        unsigned int catch_ups; /* and the cgroup that an object turns up in then; 0: none */
        uint64_t late;
        uint64_t denied_before; /* of A, by the gate before */
        unsigned int events_taken;
        uint64_t own;
        int own_error;
        const void *own_noted; /* the object whose maps and programs are the daemon's */
        uint32_t own_object;   /* the id of one of them */
        bool reallocarray_fails;
} fake;

static char fake_machine;
static struct automaton fake_automaton;

static struct domain *find_domain(uint64_t id)
{
        for (size_t i = 0; i < DOMAINS; i++)
                if (fake.domains[i].id == id)
                        return &fake.domains[i];
        return NULL;
}

static void add_domain(uint64_t id, bool busy)
{
        *find_domain(0) = (struct domain){ .id = id, .busy = busy };
}

int gate_open(const struct gate_options *options, struct gate **gate)
{
        if (fake.open_error < 0 && fake.open_count >= fake.good_opens)
                return fake.open_error;
        *gate = &fake.gates[fake.open_count++];
        **gate = (struct gate){ .options = *options, .events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        assert_true((*gate)->events_fd >= 0);
        return 0;
}

void gate_close(struct gate *gate)
{
        if (!gate)
                return;
        assert_false(gate->closed);
        gate->closed = true;
        close(gate->events_fd);
}

int gate_events_fd(const struct gate *gate)
{
        return gate->events_fd;
}

int gate_release(void)
{
        fake.releases++;
        return fake.release_result;
}

int gate_start(struct gate *gate)
{
        gate->started = true;
        return 0;
}

int gate_set_budgets(
                struct gate *gate, const struct automaton *automaton, const struct gate_limits *limits, size_t count)
{
        assert_false(gate->closed);
        assert_ptr_equal(automaton, &fake_automaton);
        if (automaton->count > gate->options.automaton_max || count > gate->options.budgets_max)
                return -E2BIG;
        memcpy(fake.limits, limits, count * sizeof(*limits));
        fake.limits_count = count;
        return 0;
}

int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain)
{
        assert_ptr_equal(gate, &fake.gates[fake.open_count - 2]);
        assert_false(gate->closed);
        *domain = (struct gate_domain){ .denied = fake.denied_before };
        return id == A ? 0 : -ENOENT;
}

static void take_event(void *context, const struct gate_event *event);

int gate_take_events(struct gate *gate, gate_event_t callback, void *context)
{
        assert_ptr_equal(gate, &fake.gates[fake.open_count - 2]);
        assert_false(gate->closed);
        assert_true(fake.gates[fake.open_count - 1].started);
        fake.events_taken++;
        callback(context, NULL);
        return 1;
}

void gate_read_fill(const struct gate *gate, struct gate_fill *fill)
{
        assert_false(gate->closed);
        *fill = fake.fill;
        fill->domains_max = gate->options.domains_max;
        fill->objects_max = gate->options.objects_max;
}

void gate_completed(struct gate *gate)
{
        assert_false(gate->closed);
        fake.fill.domains_missing = 0;
}

int leftovers_carry(const struct gate *old, struct gate *new)
{
        assert_false(old->closed);
        assert_false(new->closed);
        fake.carried++;
        return 0;
}

/* One object belongs to a removed cgroup. */
uint64_t leftovers_domain(const struct gate *old, uint64_t key)
{
        assert_false(old->closed);
        return key == fake.left_key ? 4712 : 0;
}

int gate_set_domain(struct gate *gate, uint64_t id, uint64_t parent, const char *path,
                const uint64_t max[GATE_RESOURCES], uint64_t denied)
{
        struct domain *domain = find_domain(id) ?: find_domain(0);

        assert_false(gate->closed);
        fake.sets++;
        if (domain->error < 0 && !(domain->fresh && gate->options.fresh))
                return domain->error;
        domain->id = id;
        domain->parent = parent;
        snprintf(domain->path, sizeof(domain->path), "%s", path ?: "(unknown)");
        memcpy(domain->max, max, sizeof(domain->max));
        domain->denied = denied;
        return 0;
}

int gate_remove_domain(struct gate *gate, uint64_t id, bool lives)
{
        struct domain *domain = find_domain(id);

        assert_false(gate->closed);
        fake.removes++;
        fake.removed_lives = lives;
        if (!domain)
                return 0;
        if (domain->busy)
                return -EBUSY;
        *domain = (struct domain){};
        return 0;
}

int gate_next_domain(const struct gate *gate, uint64_t *id)
{
        size_t i = 0;

        assert_false(gate->closed);
        if (*id != 0)
                while (fake.domains[i++].id != *id)
                        assert_true(i < DOMAINS);
        for (; i < DOMAINS; i++)
                if (fake.domains[i].id != 0) {
                        *id = fake.domains[i].id;
                        return 0;
                }
        return -ENOENT;
}

int gate_settle(struct gate *gate, struct gate_settlement *settlements, size_t n)
{
        assert_false(gate->closed);
        assert_true(n <= SETTLED_MAX);
        fake.settle_count++;
        if (fake.settle_error < 0)
                return fake.settle_error;
        for (size_t i = 0; i < n; i++)
                settlements[i].again = settlements[i].key == fake.again;
        if (n)
                memcpy(fake.settled, settlements, n * sizeof(*settlements));
        fake.settled_count = n;
        return 0;
}

uint64_t gate_unbooked(const struct gate *gate)
{
        assert_false(gate->closed);
        return fake.unbooked;
}

uint64_t gate_missed(const struct gate *gate)
{
        assert_false(gate->closed);
        return fake.missed;
}

/* --- Other neighbours --------------------------------------------------------------------------------------------- */

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return fake.reallocarray_fails ? NULL : __real_reallocarray(p, n, size);
}

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        (void) kernel;
        *count = CAPABILITIES;
        return fake.capabilities;
}

const struct machine *kernel_machine(const struct kernel *kernel)
{
        (void) kernel;
        return (const struct machine *) &fake_machine;
}

const struct bpf_object *gate_object(const struct gate *gate)
{
        return (const void *) gate;
}

int kernel_note_own(struct kernel *kernel, const struct bpf_object *object)
{
        (void) kernel;
        assert_non_null(object);
        fake.own_noted = object;
        return 0;
}

bool kernel_is_own(const struct kernel *kernel, const struct object_record *record)
{
        (void) kernel;
        return fake.own_noted && record->id == fake.own_object;
}

void kernel_capability_lost(struct kernel *kernel, size_t index, const char *reason)
{
        (void) kernel;
        fake.lost = index;
        snprintf(fake.lost_reason, sizeof(fake.lost_reason), "%s", reason);
}

int cgroupfs_own(const struct cgroupfs *fs, uint64_t *id, bool *alone)
{
        (void) fs;
        *id = fake.own;
        *alone = true;
        return fake.own_error;
}

/* @text was logged; what was is forgotten. */
static void take_logged(const char *text)
{
        assert_logged(text);
        forget_log();
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

static struct fake_cgroup cgroups[] = { { A, ROOT, "/a", false }, { AB, A, "/a/b", false },
        { ABC, AB, "/a/b/c", false }, { C, ROOT, "/c", false } };
static struct fake_hierarchy hierarchy;
static struct monitor monitor;
static struct admission admission;
static struct config config;
static struct budget budgets[4];
static struct budget deny, alert;
static struct policy policies[4];
static unsigned int policy_count;

static void put(uint64_t cgroup, uint32_t kind, uint32_t id, uint64_t allocated, uint64_t charged, uint32_t marks);

#define LATE 70

/* What was made while the gate was loaded is known from now on; nothing refuses it yet. */
static void catch_up(void *context)
{
        const struct admission *caller = context;

        assert_ptr_equal(caller, &admission);
        assert_ptr_equal(caller->gate, &fake.gates[fake.open_count - 1]);
        assert_false(caller->gate->started);
        fake.catch_ups++;
        if (fake.late)
                put(fake.late, OBJECT_MAP, LATE + fake.catch_ups, 1, 1, 0);
}

static int setup(void **state)
{
        (void) state;
        fake = (struct fakes){ .own = 99 };
        forget_log();
        fake.capabilities[CAPABILITY_GATE + GATE_HOOK_MAP].available = true;
        fake.capabilities[CAPABILITY_GATE + GATE_HOOK_MAP_FREE].available = true;
        for (size_t i = 0; i < 4; i++)
                cgroups[i].gone = false;
        hierarchy = (struct fake_hierarchy){ .cgroups = cgroups, .count = 4 };
        fake_automaton = (struct automaton){ .count = 100 };
        config = (struct config){ .automaton = &fake_automaton, .budgets = budgets };
        deny = (struct budget){ .on_max = ACTION_DENY, .maps_max = 30, .programs_max = 40 };
        alert = (struct budget){ .on_max = ACTION_ALERT };
        policy_count = 0;
        monitor = (struct monitor){ .cgroupfs = { .root_id = ROOT } };
        if (tree_init(&monitor.tree, ROOT, fake_lookup, &hierarchy) < 0)
                return -1;
        ledger_init(&monitor.ledger, &monitor.tree);
        admission_init(&admission, &monitor, catch_up, take_event, &admission);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        admission_deinit(&admission);
        ledger_deinit(&monitor.ledger);
        tree_deinit(&monitor.tree);
        return 0;
}

static struct cgroup *get(uint64_t id)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&monitor.tree, id, &cgroup), 0);
        return cgroup;
}

static struct cgroup *give(uint64_t id, const struct budget *budget, uint64_t max)
{
        struct cgroup *cgroup = get(id);

        assert_true(policy_count < 4);
        cgroup->policy = &policies[policy_count++];
        *cgroup->policy = (struct policy){ .budget = budget, .max = max, .high = 1, .events = { .denied = 50 + id } };
        return cgroup;
}

static void put(uint64_t cgroup, uint32_t kind, uint32_t id, uint64_t allocated, uint64_t charged, uint32_t marks)
{
        struct object_record record = {
                .kind = kind,
                .id = id,
                .address = id + 1000,
                .identity = id + 2000,
                .cgroup_id = cgroup,
                .allocated = allocated,
                .allocated_min = allocated,
                .ceiling = 5 * allocated,
                .charged = charged,
                .marks = marks,
        };

        assert_true(ledger_put(&monitor.ledger, &record) >= 0);
}

static void start(void)
{
        assert_int_equal(admission_start(&admission, &config), 0);
}

static void assert_domain(uint64_t id, uint64_t parent, uint64_t allocated, uint64_t charged)
{
        const struct domain *domain = find_domain(id);

        assert_non_null(domain);
        assert_int_equal(domain->parent, parent);
        assert_int_equal(domain->max[GATE_ALLOCATED], allocated);
        assert_int_equal(domain->max[GATE_CHARGED], charged);
        assert_int_equal(domain->max[GATE_MAPS], 30);
        assert_int_equal(domain->max[GATE_PROGRAMS], 40);
        assert_int_equal(domain->denied, 50 + id);
        assert_true(get(id)->policy->has_domain);
}

/* What was settled of the object @id. */
static const struct gate_settlement *settled(uint32_t id)
{
        for (size_t i = 0; i < fake.settled_count; i++)
                if (fake.settled[i].id == id)
                        return &fake.settled[i];
        fail_msg("%u was not settled", id);
        return NULL;
}

/* --- Domains ------------------------------------------------------------------------------------------------------ */

/* One for each cgroup that refuses, below the nearest that does. */
static void test_domains(void **state)
{
        struct budget charged = deny;

        (void) state;
        charged.count = COUNT_CHARGED;
        give(A, &deny, 5 * MIB);
        give(AB, &alert, MIB);
        give(ABC, &charged, 2 * MIB);
        get(C);
        start();
        assert_int_equal(fake.sets, 2);
        assert_domain(A, 0, 5 * MIB, GATE_UNLIMITED);
        assert_domain(ABC, A, GATE_UNLIMITED, 2 * MIB);
        assert_null(find_domain(AB));
        assert_string_equal(logged, "");
        assert_true(fake.gates[0].started);
        assert_false(fake.gates[0].closed);
}

/* An object that is made while a gate is loaded is booked before that enforces, the first gate and any other. */
static void test_late_object(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        fake.late = A;
        start();
        assert_int_equal(fake.catch_ups, 1);
        assert_int_equal(settled(LATE + 1)->domain, A);
        /* Nothing is loaded: what is made is told of. */
        start();
        assert_int_equal(fake.catch_ups, 1);
        admission.rebuild = true;
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 2);
        assert_int_equal(fake.catch_ups, 2);
        assert_int_equal(settled(LATE + 2)->domain, A);
        assert_true(fake.gates[1].started);
}

static void take_event(void *context, const struct gate_event *event)
{
        assert_ptr_equal(context, &admission);
        assert_null(event);
}

/* What a gate refuses while another one is loaded in its place is told, and counted. */
static void test_refused_meanwhile(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        give(C, &deny, MIB);
        start();
        assert_int_equal(fake.events_taken, 0);
        fake.denied_before = 500;
        for (size_t i = 0; i < DOMAINS; i++)
                fake.domains[i] = (struct domain){};
        admission.rebuild = true;
        admission_flush(&admission);
        assert_int_equal(fake.events_taken, 1);
        assert_true(fake.gates[0].closed);
        assert_int_equal(find_domain(A)->denied, 500);
        assert_int_equal(find_domain(C)->denied, 50 + C);
        /* The daemon's count is the higher one. */
        fake.denied_before = 5;
        for (size_t i = 0; i < DOMAINS; i++)
                fake.domains[i] = (struct domain){};
        admission.rebuild = true;
        admission_flush(&admission);
        assert_int_equal(find_domain(A)->denied, 50 + A);
}

static bool has_events(void)
{
        struct pollfd fd = { .fd = admission.events_fd, .events = POLLIN };

        return poll(&fd, 1, 0) == 1;
}

/* There is one descriptor for the events of all gates, one after another, though their own may have the same number. */
static void test_events_of_another_gate(void **state)
{
        int fd;

        (void) state;
        assert_int_equal(admission.events_fd, -1);
        give(A, &deny, MIB);
        start();
        fd = admission.events_fd;
        assert_false(has_events());
        assert_int_equal(eventfd_write(fake.gates[0].events_fd, 1), 0);
        assert_true(has_events());
        admission.rebuild = true;
        admission_flush(&admission);
        assert_int_equal(admission.events_fd, fd);
        assert_false(has_events());
        assert_int_equal(eventfd_write(fake.gates[1].events_fd, 1), 0);
        assert_true(has_events());
        admission_stop(&admission);
        assert_false(has_events());
}

static void assert_committed(uint64_t id, uint64_t committed, uint64_t unbounded)
{
        const struct domain *domain = find_domain(id);

        assert_non_null(domain);
        assert_int_equal(domain->max[GATE_COMMITTED], committed);
        assert_int_equal(domain->max[GATE_UNBOUNDED], unbounded);
}

/* Count=committed limits ceilings, and with Max= what has none unless that is allowed. */
static void test_committed(void **state)
{
        struct budget committed = deny, allowing;

        (void) state;
        committed.count = COUNT_COMMITTED;
        allowing = committed;
        allowing.unbounded = UNBOUNDED_ALLOW;
        give(A, &deny, 5 * MIB);
        give(AB, &committed, 2 * MIB);
        give(ABC, &allowing, MIB);
        give(C, &committed, BUDGET_INFINITY);
        start();
        assert_domain(AB, A, GATE_UNLIMITED, GATE_UNLIMITED);
        assert_committed(A, GATE_UNLIMITED, GATE_UNLIMITED);
        assert_committed(AB, 2 * MIB, 0);
        assert_committed(ABC, MIB, GATE_UNLIMITED);
        assert_committed(C, GATE_UNLIMITED, GATE_UNLIMITED);
}

static void test_gone_cgroup_has_none(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        cgroups[0].gone = true;
        tree_check(&monitor.tree, get(A));
        give(C, &deny, MIB);
        start();
        assert_null(find_domain(A));
        assert_non_null(find_domain(C));
        admission_set(&admission, get(A));
        assert_int_equal(fake.sets, 1);
}

/* Where there is no room, the next domain above has its objects. */
static void test_no_room(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        give(AB, &deny, MIB);
        give(ABC, &deny, MIB);
        fake.domains[3] = (struct domain){ .id = AB, .error = -E2BIG };
        put(AB, OBJECT_MAP, 1, 10, 10, 0);
        start();
        take_logged("<3>/a/b: its Max cannot be enforced: the table of budgeted cgroups is full\n");
        assert_false(get(AB)->policy->has_domain);
        assert_int_equal(settled(1)->domain, A);
        assert_domain(ABC, A, MIB, GATE_UNLIMITED);
        /* It is there later. */
        fake.domains[3].error = 0;
        admission_set(&admission, get(AB));
        assert_domain(AB, A, MIB, GATE_UNLIMITED);
        /* And not any more. */
        fake.domains[3].error = -EIO;
        admission_set(&admission, get(AB));
        take_logged("<3>/a/b: its Max cannot be enforced: Input/output error\n");
        assert_false(get(AB)->policy->has_domain);
}

static void test_set(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        admission_set(&admission, get(A));
        assert_int_equal(fake.sets, 0);
        start();
        get(A)->policy->max = 3 * MIB;
        admission_set(&admission, get(A));
        assert_domain(A, 0, 3 * MIB, GATE_UNLIMITED);
        give(C, &alert, MIB);
        admission_set(&admission, get(C));
        assert_int_equal(fake.sets, 2);
        /* Another parent: a start follows, and what is there stays until then. */
        find_domain(A)->error = -EEXIST;
        admission_set(&admission, get(A));
        assert_true(get(A)->policy->has_domain);
        assert_string_equal(logged, "");
}

/* Domains that have other parents by now need another gate. */
static void test_fresh_gate(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        give(C, &deny, MIB);
        fake.domains[0] = (struct domain){ .id = C, .error = -EEXIST, .fresh = true };
        start();
        assert_int_equal(fake.open_count, 2);
        assert_false(fake.gates[0].options.fresh);
        assert_true(fake.gates[0].closed);
        assert_false(fake.gates[0].started);
        assert_true(fake.gates[1].options.fresh);
        assert_true(fake.gates[1].started);
        assert_ptr_equal(admission.gate, &fake.gates[1]);
        assert_domain(C, 0, MIB, GATE_UNLIMITED);
        assert_domain(A, 0, MIB, GATE_UNLIMITED);
        assert_string_equal(logged, "");
}

/* Those of cgroups that are gone or refuse no more are taken out, wherever they stand in the table. */
static void test_prune(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        give(C, &alert, MIB);
        add_domain(4711, false);
        add_domain(C, false);
        add_domain(A, false);
        add_domain(4712, true);
        start();
        assert_null(find_domain(4711));
        assert_null(find_domain(C));
        assert_non_null(find_domain(A));
        assert_non_null(find_domain(4712));
        /* What is booked in one keeps it until that is gone, or was settled elsewhere. */
        assert_int_equal(fake.removes, 4);
        admission_flush(&admission);
        assert_non_null(find_domain(4712));
        find_domain(4712)->busy = false;
        admission_flush(&admission);
        assert_null(find_domain(4712));
        assert_int_equal(fake.removes, 6);
        admission_flush(&admission);
        assert_int_equal(fake.removes, 6);
}

static void test_removed_cgroups(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        give(C, &deny, MIB);
        admission_remove(&admission, get(A));
        assert_int_equal(fake.removes, 0);
        start();
        admission_remove(&admission, get(C));
        assert_null(find_domain(C));
        assert_true(fake.removed_lives);
        find_domain(A)->busy = true;
        admission_remove(&admission, get(A));
        /* What a removed cgroup leaves behind stays where it is booked. */
        get(A)->exists = false;
        admission_remove(&admission, get(A));
        assert_false(fake.removed_lives);
        get(A)->exists = true;
        assert_int_equal(admission.retired_count, 1);
        /* It refuses again meanwhile: it stays. */
        admission_flush(&admission);
        assert_int_equal(admission.retired_count, 0);
        assert_non_null(find_domain(A));
        /* It does not. */
        admission_remove(&admission, get(A));
        get(A)->policy = NULL;
        admission_flush(&admission);
        assert_int_equal(admission.retired_count, 1);
        assert_true(fake.removed_lives);
        get(A)->exists = false;
        admission_flush(&admission);
        assert_false(fake.removed_lives);
        find_domain(A)->busy = false;
        admission_flush(&admission);
        assert_int_equal(admission.retired_count, 0);
        assert_null(find_domain(A));
}

/* Of several that wait those that are still busy stay. */
static void test_several_wait(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        for (uint64_t id = 4711; id < 4715; id++)
                add_domain(id, true);
        start();
        assert_int_equal(admission.retired_count, 4);
        start(); /* each waits once */
        assert_int_equal(admission.retired_count, 4);
        find_domain(4711)->busy = find_domain(4713)->busy = false;
        admission_flush(&admission);
        assert_int_equal(admission.retired_count, 2);
        assert_null(find_domain(4711));
        assert_null(find_domain(4713));
        find_domain(4712)->busy = find_domain(4714)->busy = false;
        admission_flush(&admission);
        assert_null(find_domain(4712));
        assert_null(find_domain(4714));
}

static void test_retire_without_memory(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        find_domain(A)->busy = true;
        fake.reallocarray_fails = true;
        admission_remove(&admission, get(A));
        assert_int_equal(admission.retired_count, 0);
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

/* All there are at the start, and how much of each counts. */
static void test_settled_at_start(void **state)
{
        const struct gate_settlement *settlement;

        (void) state;
        give(A, &deny, MIB);
        put(AB, OBJECT_MAP, 1, 100, 60, 0);
        put(C, OBJECT_PROGRAM, 2, 100, 0, 0);
        put(A, OBJECT_MAP, 3, 100, 60, OBJECT_MEMLOCK);
        start();
        assert_int_equal(fake.settle_count, 1);
        assert_int_equal(fake.settled_count, 3);
        settlement = settled(1);
        assert_int_equal(settlement->key, 2001);
        assert_int_equal(settlement->address, 1001);
        assert_int_equal(settlement->domain, A);
        assert_int_equal(settlement->allocated, 100);
        assert_int_equal(settlement->charged, 60);
        assert_int_equal(settlement->ceiling, 500);
        assert_int_equal(settlement->kind, OBJECT_MAP);
        assert_int_equal(settlement->measure, GATE_MEASURE);
        settlement = settled(2);
        assert_int_equal(settlement->domain, 0);
        assert_int_equal(settlement->charged, 0);
        assert_int_equal(settlement->kind, OBJECT_PROGRAM);
        assert_int_equal(settlement->measure, GATE_MEASURE_NOBODYS);
        settlement = settled(3);
        assert_int_equal(settlement->domain, A);
        assert_int_equal(settlement->measure, GATE_AS_TOLD);
        assert_false(admission_wants_flush(&admission));
}

/* A new cgroup gets its budget after the flush that found its first object: the object is booked there all the same. */
static void test_settled_in_a_new_domain(void **state)
{
        struct cgroup *cgroup;

        (void) state;
        give(A, &deny, MIB);
        start();
        put(AB, OBJECT_MAP, 1, 100, 60, 0);
        put(C, OBJECT_MAP, 2, 100, 60, 0);
        cgroup = give(AB, &deny, MIB / 2);
        admission_set(&admission, cgroup);
        admission_flush(&admission);
        assert_int_equal(settled(1)->domain, AB);
        assert_int_equal(settled(2)->domain, 0);
        /* One that went before it was settled is only forgotten. */
        put(A, OBJECT_MAP, 3, 100, 60, 0);
        assert_true(ledger_remove(&monitor.ledger, OBJECT_MAP, 3));
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 2);
        assert_int_equal(fake.settled[0].domain, 0);
        assert_int_equal(fake.settled[1].measure, GATE_FORGET);
        assert_int_equal(fake.settled[1].domain, 0);
}

/* What the ledger tells since is settled with the next flush, once. */
static void test_settled_later(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        put(C, OBJECT_MAP, 1, 100, 60, 0);
        put(AB, OBJECT_MAP, 2, 100, 60, OBJECT_MEMLOCK);
        start();
        put(AB, OBJECT_MAP, 3, 100, 60, 0);
        assert_true(admission_wants_flush(&admission));
        assert_true(ledger_remove(&monitor.ledger, OBJECT_MAP, 2));
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 2);
        assert_int_equal(settled(3)->domain, A);
        assert_int_equal(settled(2)->domain, 0);
        assert_int_equal(settled(2)->measure, GATE_FORGET);
        assert_int_equal(settled(3)->held, 0);
        assert_false(admission_wants_flush(&admission));
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 0);
        /* It counts for who holds it. */
        ledger_begin_holders(&monitor.ledger);
        ledger_add_holder(&monitor.ledger, OBJECT_MAP, 1, get(A), true);
        assert_int_equal(ledger_end_holders(&monitor.ledger), 1);
        admission_flush(&admission);
        assert_int_equal(settled(1)->domain, A);
        assert_int_equal(settled(1)->held, 1);
}

/* What the gate wants to settle again stays in the queue, and only that. */
static void test_settled_again(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        for (uint32_t id = 1; id <= 100; id++)
                put(AB, OBJECT_MAP, id, 100, 60, 0);
        fake.again = 2050;
        start();
        assert_int_equal(fake.settled_count, 100);
        assert_true(admission_wants_flush(&admission));
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 1);
        assert_int_equal(settled(50)->key, 2050);
        fake.again = 0;
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 1);
        assert_false(admission_wants_flush(&admission));
}

/* What could not be queued is made up for: all are settled. */
static void test_queue_without_memory(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        fake.reallocarray_fails = true;
        put(AB, OBJECT_MAP, 1, 100, 60, 0);
        assert_true(admission_wants_flush(&admission));
        fake.reallocarray_fails = false;
        put(AB, OBJECT_MAP, 2, 100, 60, 0);
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 2);
        settled(1);
        settled(2);
        assert_false(admission_wants_flush(&admission));
}

/* It is logged once for each error, and tried again. */
static void test_settling_fails(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        put(AB, OBJECT_MAP, 1, 100, 60, 0);
        fake.settle_error = -EIO;
        admission_flush(&admission);
        take_logged("<4>The accounting of the gate cannot be updated: Input/output error\n");
        admission_flush(&admission);
        assert_string_equal(logged, "");
        assert_true(admission_wants_flush(&admission));
        fake.settle_error = -ENOMEM;
        admission_flush(&admission);
        take_logged("Cannot allocate memory");
        fake.settle_error = 0;
        admission_flush(&admission);
        assert_int_equal(fake.settled_count, 1);
        assert_string_equal(logged, "");
        fake.settle_error = -ENOMEM;
        admission_flush(&admission);
        take_logged("Cannot allocate memory");
}

/* --- What the gate could not do ----------------------------------------------------------------------------------- */

static void test_unbooked(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        fake.unbooked = 5; /* by a predecessor: told by it */
        start();
        assert_string_equal(logged, "");
        fake.unbooked = 8;
        admission_flush(&admission);
        take_logged("<4>3 maps and programs could not be booked");
        admission_flush(&admission);
        assert_string_equal(logged, "");
        fake.unbooked = 9;
        admission_flush(&admission);
        take_logged("<4>1 maps");
}

/* The first, and whenever they have doubled. */
static void test_missed(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        assert_string_equal(logged, "");
        fake.missed = 1;
        admission_flush(&admission);
        take_logged("<4>The kernel skipped the gate for up to 1 calls");
        fake.missed = 2;
        admission_flush(&admission);
        assert_string_equal(logged, "");
        fake.missed = 3;
        admission_flush(&admission);
        take_logged("up to 3 calls");
        fake.missed = 6;
        admission_flush(&admission);
        assert_string_equal(logged, "");
        /* Another gate counts from the beginning. */
        admission_stop(&admission);
        fake.missed = 1;
        start();
        take_logged("up to 1 calls");
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

static void test_options(void **state)
{
        const struct gate_options *options = &fake.gates[0].options;

        (void) state;
        give(A, &deny, MIB);
        start();
        assert_ptr_equal(options->machine, &fake_machine);
        assert_int_equal(options->own_cgroup, 99);
        assert_int_equal(options->domains_max, 1024);
        assert_int_equal(options->objects_max, 16384);
        assert_false(options->fresh);
}

static void test_options_of_settings(void **state)
{
        const struct gate_options *options = &fake.gates[0].options;

        (void) state;
        config.settings.cgroups_max = 77;
        fake.own = ROOT; /* all cgroups are below it: no exception is made */
        give(A, &deny, MIB);
        start();
        assert_int_equal(options->domains_max, 77);
        assert_int_equal(options->own_cgroup, 0);
}

static void test_own_cgroup_is_unknown(void **state)
{
        (void) state;
        fake.own_error = -ENOENT;
        give(A, &deny, MIB);
        start();
        assert_int_equal(fake.gates[0].options.own_cgroup, 0);
}

/* Tables have room for twice the cgroups and four times the objects that there are. */
static void test_tables_of_a_big_machine(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        for (uint32_t id = 1; id <= 4097; id++)
                put(C, OBJECT_MAP, id, 1, 1, 0);
        for (uint64_t id = 1000; monitor.tree.count < 513; id++)
                get(id);
        start();
        assert_int_equal(fake.gates[0].options.domains_max, 2048);
        assert_int_equal(fake.gates[0].options.objects_max, 32768);
}

static void test_largest_table(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        for (uint64_t id = 1000; monitor.tree.count < 65537; id++)
                get(id);
        start();
        assert_int_equal(fake.gates[0].options.domains_max, 131072 * 2);
}

/* What the gate is given for cgroups that will come: the limits of each budget, in order. */
static void test_budgets(void **state)
{
        (void) state;
        budgets[0] = deny;
        budgets[0].max = 5 * MIB;
        budgets[1] = (struct budget){ .max = 7, .maps_max = 3, .programs_max = 4, .count = COUNT_CHARGED };
        config.count = 2;
        start();
        assert_int_equal(fake.limits_count, 2);
        assert_int_equal(fake.limits[0].refuses, 1);
        assert_int_equal(fake.limits[0].max[GATE_ALLOCATED], 5 * MIB);
        assert_int_equal(fake.limits[0].max[GATE_CHARGED], GATE_UNLIMITED);
        assert_int_equal(fake.limits[1].refuses, 0);
        assert_int_equal(fake.limits[1].max[GATE_ALLOCATED], GATE_UNLIMITED);
        assert_int_equal(fake.limits[1].max[GATE_CHARGED], 7);
        assert_int_equal(fake.limits[1].max[GATE_MAPS], 3);
        assert_int_equal(fake.limits[1].max[GATE_PROGRAMS], 4);
        /* A larger automaton takes a gate with room for it, which takes the tables over. */
        fake_automaton.count = 100000;
        start();
        assert_int_equal(fake.open_count, 2);
        assert_false(fake.gates[1].options.fresh);
        assert_true(fake.gates[1].options.automaton_max >= 100000);
        assert_true(fake.gates[1].started);
}

/* Before a table is full, or when a cgroup has found no room, the gate is made anew with more. */
static void test_growing_tables(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        put(A, OBJECT_MAP, 1, 100, 60, 0);
        put(A, OBJECT_MAP, 2, 100, 60, 0);
        fake.left_key = 2001;
        start();
        assert_int_equal(settled(1)->domain, A);
        fake.fill.objects = 16384 / 2;
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 1);
        fake.fill.objects++;
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 2);
        assert_true(fake.gates[1].options.fresh);
        assert_int_equal(fake.gates[1].options.objects_max, 4 * 16384);
        assert_int_equal(fake.gates[1].options.domains_max, 1024);
        assert_true(fake.gates[1].started);
        assert_true(fake.gates[0].closed);
        /* What removed cgroups left behind is where it was. */
        assert_int_equal(fake.carried, 1);
        assert_int_equal(settled(1)->domain, 4712);
        assert_int_equal(settled(2)->domain, A);
        take_logged("rebuilt with room for 1024 budgeted cgroups and 65536 objects");
        fake.fill.domains = 1024 / 2;
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 2);
        fake.fill.domains++;
        admission_flush(&admission);
        assert_int_equal(fake.gates[2].options.domains_max, 4096);
        fake.fill.domains = 0;
        fake.fill.domains_missing = 1;
        admission_flush(&admission);
        assert_int_equal(fake.gates[3].options.domains_max, 4 * 4096);
        assert_int_equal(fake.fill.domains_missing, 0);
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 4);
}

/* A budget that came in between two levels, while the daemon runs: the next flush makes the gate anew. */
static void test_level_in_between(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        fake.domains[1] = (struct domain){ .id = C, .error = -EEXIST, .fresh = true };
        give(C, &deny, MIB);
        admission_set(&admission, get(C));
        assert_true(admission_wants_flush(&admission));
        admission_flush(&admission);
        assert_int_equal(fake.open_count, 2);
        assert_true(fake.gates[1].options.fresh);
        assert_false(admission_wants_flush(&admission));
}

/* A second start goes on with the gate that there is, and settles all anew. */
static void test_start_again(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        put(C, OBJECT_MAP, 1, 1, 1, 0);
        start();
        put(C, OBJECT_MAP, 2, 1, 1, 0);
        give(C, &deny, MIB);
        start();
        assert_int_equal(fake.open_count, 1);
        assert_int_equal(fake.settled_count, 2);
        assert_int_equal(settled(1)->domain, C);
        assert_non_null(find_domain(C));
}

static void test_start_fails(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        fake.open_error = -EIO;
        fake.release_result = 3;
        assert_int_equal(admission_start(&admission, &config), -EIO);
        assert_null(admission.gate);
        assert_int_equal(fake.lost, CAPABILITY_GATE + GATE_HOOK_MAP);
        assert_string_equal(fake.lost_reason, "Input/output error");
        assert_int_equal(fake.releases, 1);
        take_logged("<4>The gate of a predecessor is open now: nothing is refused (FailMode=open)\n");
        assert_false(monitor.ledger.keep_changes);
        admission_flush(&admission);
        assert_int_equal(fake.settle_count, 0);
        assert_false(admission_wants_flush(&admission));
        /* There was none. */
        fake.release_result = 0;
        assert_int_equal(admission_start(&admission, &config), -EIO);
        assert_string_equal(logged, "");
        /* Another daemon's stays. */
        fake.open_error = -EBUSY;
        fake.release_result = -EBUSY;
        assert_int_equal(admission_start(&admission, &config), -EBUSY);
        assert_string_equal(fake.lost_reason, "another bpfbudgetd has it");
        assert_string_equal(logged, "");
}

/* FailMode=closed: what a predecessor's gate refuses stays refused. */
static void test_start_fails_closed(void **state)
{
        (void) state;
        config.settings.fail_closed = true;
        fake.open_error = -EIO;
        fake.release_result = 3;
        give(A, &deny, MIB);
        assert_int_equal(admission_start(&admission, &config), -EIO);
        assert_int_equal(fake.releases, 0);
        assert_string_equal(logged, "");
}

/* A gate that is fresh and has a domain elsewhere all the same is not available. */
static void test_fresh_gate_fails(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        fake.domains[0] = (struct domain){ .id = A, .error = -EEXIST };
        assert_int_equal(admission_start(&admission, &config), -EEXIST);
        assert_int_equal(fake.open_count, 2);
        assert_true(fake.gates[1].closed);
        assert_false(fake.gates[1].started);
        assert_null(admission.gate);
}

static void test_fresh_gate_cannot_be_opened(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        fake.domains[0] = (struct domain){ .id = A, .error = -EEXIST, .fresh = true };
        fake.open_error = -EIO;
        fake.good_opens = 1;
        assert_int_equal(admission_start(&admission, &config), -EIO);
        assert_true(fake.gates[0].closed);
        assert_null(admission.gate);
        assert_string_equal(fake.lost_reason, "Input/output error");
        assert_int_equal(fake.sets, 1);
}

static void test_stop(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        add_domain(4711, true);
        put(A, OBJECT_MAP, 1, 1, 1, 0);
        fake.again = 2001;
        start();
        assert_true(monitor.ledger.keep_changes);
        admission_stop(&admission);
        assert_true(fake.gates[0].closed);
        assert_int_equal(fake.releases, 1);
        assert_false(monitor.ledger.keep_changes);
        assert_false(admission_wants_flush(&admission));
        assert_int_equal(admission.count, 0);
        assert_int_equal(admission.retired_count, 0);
        /* Without a gate it is released all the same: a predecessor may have left one. */
        admission_stop(&admission);
        assert_int_equal(fake.releases, 2);
}

/* The end of the daemon does not open the gate. */
static void test_end(void **state)
{
        (void) state;
        give(A, &deny, MIB);
        start();
        admission_deinit(&admission);
        assert_true(fake.gates[0].closed);
        assert_int_equal(fake.releases, 0);
        assert_false(monitor.ledger.keep_changes);
        assert_null(admission.monitor);
        admission_deinit(&admission);
}

static void test_obstacle(void **state)
{
        struct capability *map = &fake.capabilities[CAPABILITY_GATE + GATE_HOOK_MAP],
                          *map_free = &fake.capabilities[CAPABILITY_GATE + GATE_HOOK_MAP_FREE];

        (void) state;
        strcpy(map->reason, "no fmod_ret");
        strcpy(map_free->reason, "no fentry");
        assert_null(admission_obstacle(&admission));
        map_free->available = false;
        assert_string_equal(admission_obstacle(&admission), "no fentry");
        map->available = false;
        assert_string_equal(admission_obstacle(&admission), "no fmod_ret");
        map_free->available = true;
        assert_string_equal(admission_obstacle(&admission), "no fmod_ret");
}

/* The gate's maps and programs are the daemon's own, also those that it took over and that were listed before. */
static void test_objects_of_the_gate(void **state)
{
        (void) state;
        put(A, OBJECT_MAP, 5, 100, 100, 0);
        put(A, OBJECT_MAP, 6, 100, 100, 0);
        fake.own_object = 5;
        start();
        assert_ptr_equal(fake.own_noted, admission.gate);
        assert_true(ledger_find(&monitor.ledger, OBJECT_MAP, 5)->record.marks & OBJECT_OWN);
        assert_false(ledger_find(&monitor.ledger, OBJECT_MAP, 6)->record.marks & OBJECT_OWN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_objects_of_the_gate),
                TEST(test_domains),
                TEST(test_late_object),
                TEST(test_refused_meanwhile),
                TEST(test_events_of_another_gate),
                TEST(test_committed),
                TEST(test_gone_cgroup_has_none),
                TEST(test_no_room),
                TEST(test_set),
                TEST(test_fresh_gate),
                TEST(test_prune),
                TEST(test_removed_cgroups),
                TEST(test_several_wait),
                TEST(test_retire_without_memory),
                TEST(test_settled_at_start),
                TEST(test_settled_in_a_new_domain),
                TEST(test_settled_later),
                TEST(test_settled_again),
                TEST(test_queue_without_memory),
                TEST(test_settling_fails),
                TEST(test_unbooked),
                TEST(test_missed),
                TEST(test_options),
                TEST(test_options_of_settings),
                TEST(test_own_cgroup_is_unknown),
                TEST(test_tables_of_a_big_machine),
                TEST(test_largest_table),
                TEST(test_budgets),
                TEST(test_growing_tables),
                TEST(test_level_in_between),
                TEST(test_start_again),
                TEST(test_start_fails),
                TEST(test_start_fails_closed),
                TEST(test_fresh_gate_fails),
                TEST(test_fresh_gate_cannot_be_opened),
                TEST(test_stop),
                TEST(test_end),
                TEST(test_obstacle),
        };

        return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
