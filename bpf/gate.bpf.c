// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: refuses creation of maps, load of programs, and growth of maps by bpf(2), when a limit of the charged
 * cgroup or of one above would be passed. Like page_counter_try_charge() (mm/page_counter.c) it books in all of them or
 * in none. Each object has an entry with what is booked for it; a settlement by the daemon replaces that by what the
 * object measures, so that an object never counts as nothing, and its release takes off just what was booked.
 *
 * Hooks are the LSM's, or the functions that call them (fmod_ret) where bpf is not among the LSMs; the daemon sets
 * which (daemon/enforce/gate.c). The tables are pinned and go on without the daemon.
 *
 * On a preemptible kernel an fmod_ret program is left out on a CPU where another task was preempted in it
 * (kernel/bpf/trampoline.c, __bpf_prog_enter_recur()). So a probe of the function's entry judges before it and leaves
 * the verdict to several programs that may refuse. A probe cannot be preempted, and is only left out where a task was
 * preempted in a bpf(2) that reads or changes elements; then the hook's own program judges.
 */
#include "kerneltypes.h"

#include <bpf/bpf_tracing.h>

#include "cgroup.h"
#include "gaterecords.h"
#include "objsize.h"

char LICENSE[] SEC("license") = "GPL";

/* Cgroups between a process and the root that are looked at, and domains above each other. */
#define LEVELS_MAX 64

/* How often a lock is tried; who holds it does a few stores. */
#define LOCK_TRIES 512

#define ENOMEM 12
#define EEXIST 17

/* The kernel's 6.1 hook for programs has prog->aux as argument, later ones the program. Set by the daemon. */
const volatile bool program_by_aux;

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1024);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, u64);
        __type(value, struct gate_domain);
} gate_domains SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 16384);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, u64);
        __type(value, struct gate_object);
} gate_objects SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, struct gate_settings);
} gate_settings SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 16 * 1024);
} gate_events SEC(".maps");

/* Not pinned: what a settlement works on. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, GATE_SETTLE_MAX);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, struct gate_settlement);
} settlements SEC(".maps");

static __always_inline struct gate_settings *get_settings(void)
{
        u32 key = 0;

        return bpf_map_lookup_elem(&gate_settings, &key);
}

/* --- Domains ------------------------------------------------------------------------------------------------------ */

/* The memory cgroup that what the running task allocates is charged to; NULL: there is none. */
static __always_inline struct cgroup_subsys_state *charged_css(void)
{
        struct mem_cgroup *memcg = bpf_get_current_task_btf()->active_memcg;

        if (memcg)
                return (void *) (address_of(memcg) + bpf_core_field_offset(struct mem_cgroup, css));
        return (void *) address_of(own_css());
}

/* The nearest domain at or above @css; 0: none. A global function: the verifier looks at it once. */
__noinline u64 find_domain(u64 css_address)
{
        struct cgroup_subsys_state *css = (void *) css_address;

        for (int i = 0; i < LEVELS_MAX && css; i++) {
                u64 id = css_cgroup_id(css);

                if (bpf_map_lookup_elem(&gate_domains, &id))
                        return id;
                css = BPF_CORE_READ(css, parent);
        }
        return 0;
}

/* What is to be booked, and the answer. */
struct booking {
        s64 amount[GATE_RESOURCES];
        u64 slack; /* bytes that must be free besides */
        u64 refused_by, usage, max;
        u32 resource; /* that refused */
        u32 enforce;
        u32 levels; /* that were booked */
        u32 reserved;
};

static __always_inline void set_objects(struct booking *booking, u32 kind, s64 objects)
{
        if (kind == OBJECT_MAP)
                booking->amount[GATE_MAPS] = objects;
        else
                booking->amount[GATE_PROGRAMS] = objects;
}

static __always_inline void add(struct gate_domain *domain, const struct booking *booking, s64 sign)
{
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                if (booking->amount[i])
                        __sync_fetch_and_add(&domain->usage[i], sign * booking->amount[i]);
}

/* Whether @domain, in which @booking is booked already, is over a limit by it. */
static __always_inline bool is_over(struct gate_domain *domain, struct booking *booking)
{
        for (int i = 0; i < GATE_RESOURCES; i++) {
                u64 usage = domain->usage[i], max = domain->max[i];
                u64 slack = i <= GATE_CHARGED ? booking->slack : 0;

                if (booking->amount[i] <= 0 || max == GATE_UNLIMITED || usage + slack <= max)
                        continue;
                booking->resource = i;
                booking->usage = usage - booking->amount[i];
                booking->max = max;
                return true;
        }
        return false;
}

/*
 * A way up through the domains, one bpf_loop() step each: a plain loop is verified once for each of its LEVELS_MAX
 * turns, and that in every program that books.
 */
struct ascent {
        struct booking *booking;
        u64 id;     /* the next domain; 0: there is none */
        s64 sign;   /* 1: book; -1: take off */
        s64 result; /* -ENOMEM: id refuses */
};

static int ascend(u32 level, struct ascent *ascent)
{
        struct booking *booking = ascent->booking;
        u64 id = ascent->id;
        struct gate_domain *domain = id ? bpf_map_lookup_elem(&gate_domains, &id) : NULL;

        if (!domain)
                return 1;
        add(domain, booking, ascent->sign);
        if (ascent->sign > 0) {
                booking->levels++;
                if (booking->enforce && is_over(domain, booking)) {
                        ascent->result = -ENOMEM;
                        return 1;
                }
        }
        ascent->id = domain->parent;
        return 0;
}

/* Takes @booking off the first @levels domains from @id on. */
__noinline int unbook(u64 id, struct booking *booking, u32 levels)
{
        struct ascent ascent = { .booking = booking, .id = id, .sign = -1 };

        if (booking)
                bpf_loop(levels, ascend, &ascent, 0);
        return 0;
}

/*
 * Books @booking in the domain @id and all above. Returns 0, or -ENOMEM if it enforces and one of them would be over;
 * then in none, with the domain in refused_by.
 */
__noinline int book(u64 id, struct booking *booking)
{
        struct ascent ascent = { .booking = booking, .id = id, .sign = 1 };

        if (!booking)
                return 0;
        booking->levels = 0;
        bpf_loop(LEVELS_MAX, ascend, &ascent, 0);
        if (ascent.result == 0)
                return 0;
        booking->refused_by = ascent.id;
        unbook(id, booking, booking->levels);
        return -ENOMEM;
}

/* A way up to a domain above. */
struct climb {
        u64 id;     /* where it is */
        u64 to;     /* where it ends */
        u32 levels; /* that are below that */
        u32 reserved;
};

static int climb(u32 level, struct climb *climb)
{
        u64 id = climb->id;
        struct gate_domain *domain = id && id != climb->to ? bpf_map_lookup_elem(&gate_domains, &id) : NULL;

        if (!domain)
                return 1;
        climb->levels++;
        climb->id = domain->parent;
        return 0;
}

/* How many domains there are from @id up to, and without, @above; 0: that is not above it. */
__noinline u32 levels_below(u64 id, u64 above)
{
        struct climb way = { .id = id, .to = above };

        bpf_loop(LEVELS_MAX, climb, &way, 0);
        return way.id == above ? way.levels : 0;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

/*
 * An entry's lock: 0 if nobody has it, else 1; 2 if its object went meanwhile, and whoever has the lock takes the entry
 * off. Who has it may be interrupted by the release of the object on its own CPU, which cannot wait.
 */
static int try_lock(u32 try, struct gate_object **object)
{
        return __sync_val_compare_and_swap(&(*object)->lock, 0, 1) == 0;
}

/* Returns whether the lock was had. Gives up after a while rather than never. */
__noinline int lock(struct gate_object *object)
{
        struct gate_object *context = object;

        if (!object)
                return 0;
        for (int i = 0; i < 4; i++)
                if (__sync_val_compare_and_swap(&object->lock, 0, 1) == 0)
                        return 1;
        return bpf_loop(LOCK_TRIES, try_lock, &context, 0) < LOCK_TRIES;
}

/* Takes the lock, or leaves the end of @object to who has it. Returns whether the lock was had. */
static __always_inline bool lock_or_leave(struct gate_object *object)
{
        for (int i = 0; i < 8; i++) {
                if (__sync_val_compare_and_swap(&object->lock, 0, 1) == 0)
                        return true;
                if (__sync_val_compare_and_swap(&object->lock, 1, 2) != 0)
                        return false;
        }
        return false;
}

/* Takes off the entry @object, whose lock the caller has, and what is booked for it. @booking: room for that. */
__noinline int take_off(struct gate_object *object, struct booking *booking)
{
        u64 domain, key;

        if (!object || !booking)
                return 0;
        key = object->key;
        domain = object->domain;
        object->domain = 0;
        *booking = (struct booking){};
        set_objects(booking, object->kind, -1);
        booking->amount[GATE_ALLOCATED] = -(object->allocated + object->admitted);
        booking->amount[GATE_CHARGED] = -(object->charged + (object->uncharged ? 0 : object->admitted));
        __sync_lock_test_and_set(&object->lock, 0);
        if (!domain)
                return 0; /* somebody else is at it */
        book(domain, booking);
        bpf_map_delete_elem(&gate_objects, &key);
        return 0;
}

/* Takes @object off if its release was left to the caller. @booking is room for that. */
static __always_inline void unlock(struct gate_object *object, struct booking *booking)
{
        if (__sync_val_compare_and_swap(&object->lock, 1, 0) != 1)
                take_off(object, booking);
}

/* Takes off the entry @key and what is booked for it. @id: only if it is that object's; 0: whatever it is. */
__noinline int forget_object(u64 key, u32 id)
{
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);
        struct booking booking = {};

        if (!object || object->key != key || (id && object->id != id) || !lock_or_leave(object))
                return 0;
        if (object->key == key && (!id || object->id == id))
                take_off(object, &booking);
        else
                unlock(object, &booking);
        return 0;
}

/*
 * Enters an object that @booking books in @domain already; @id is 0 while it is being made. Returns 0, or a negative
 * errno: then it is to be taken off. Not inlined, for the sake of the callers' stack.
 */
static __noinline int enter_object(u64 key, u64 domain, const struct booking *booking, u32 kind, u32 id)
{
        struct gate_object object = {
                .key = key,
                .domain = domain,
                .allocated = booking->amount[GATE_ALLOCATED],
                .charged = booking->amount[GATE_CHARGED],
                .kind = kind,
                .id = id,
                .uncharged = booking->amount[GATE_CHARGED] == 0,
        };

        return bpf_map_update_elem(&gate_objects, &key, &object, BPF_NOEXIST);
}

/*
 * What was admitted so lately that the measurement of now may not have it: what a thread was let in for is in the map
 * when the same thread comes again, so with one thread that is its last admission at most.
 */
static __always_inline s64 still_coming(const struct gate_object *object, u64 now)
{
        if (object->window + 1 < now)
                return 0;
        if (object->mixed + 1 < now)
                return object->grower == bpf_get_current_pid_tgid() ? 0 : object->last;
        return object->window == now ? object->recent + object->previous : object->recent;
}

/* The id of the object of @kind at @address now; another one if it is gone. */
static __always_inline u32 current_id(u64 address, u32 kind)
{
        struct bpf_prog *prog = (void *) address;
        struct bpf_map *map = (void *) address;

        return kind == OBJECT_MAP ? BPF_CORE_READ(map, id) : BPF_CORE_READ(prog, aux, id);
}

/*
 * Brings the entry @object of @to->key up to what @to says that it measures: in the new domain first, so that it is
 * never nowhere; takes it off if that is none. Without @to->id it stays in its domain, and uncharged if it was. Returns
 * whether it is to be settled again: something is kept on top of it, or somebody else has the lock.
 */
__noinline int settle_entry(struct gate_object *object, struct gate_settlement *to)
{
        s64 admitted, kept, charged, old_allocated, old_charged;
        struct booking booking = {};
        u64 domain;
        u32 below;

        if (!object || !to || !lock(object))
                return 1;
        /* The entry may be another one's by now, or the object gone, with its release yet to come. */
        if (object->key != to->key || !object->domain || (to->id && current_id(to->address, to->kind) != to->id)) {
                unlock(object, &booking);
                return 0;
        }
        domain = to->id ? to->domain : object->domain;
        if (!domain) {
                take_off(object, &booking);
                return 0;
        }
        charged = !to->id && object->uncharged ? 0 : to->charged;
        kept = still_coming(object, bpf_jiffies64());
        admitted = object->admitted;
        old_allocated = object->allocated + admitted;
        old_charged = object->charged + (object->uncharged ? 0 : admitted);
        booking.amount[GATE_ALLOCATED] = to->allocated + kept;
        booking.amount[GATE_CHARGED] = charged ? charged + kept : 0;
        if (object->domain == domain) {
                booking.amount[GATE_ALLOCATED] -= old_allocated;
                booking.amount[GATE_CHARGED] -= old_charged;
                book(domain, &booking);
        } else {
                below = levels_below(object->domain, domain);
                /* What is above both has it booked already, and is not to have it twice for a moment. */
                if (below) {
                        booking.amount[GATE_ALLOCATED] -= old_allocated;
                        booking.amount[GATE_CHARGED] -= old_charged;
                        book(domain, &booking);
                        set_objects(&booking, object->kind, 1);
                } else {
                        set_objects(&booking, object->kind, 1);
                        book(domain, &booking);
                }
                booking.amount[GATE_ALLOCATED] = old_allocated;
                booking.amount[GATE_CHARGED] = old_charged;
                unbook(object->domain, &booking, below ?: LEVELS_MAX);
                object->domain = domain;
        }
        object->allocated = to->allocated;
        object->charged = charged;
        __sync_fetch_and_add(&object->admitted, kept - admitted);
        object->uncharged = charged == 0;
        object->id = to->id ?: object->id;
        unlock(object, &booking);
        return kept != 0;
}

/* Bytes of one object. */
struct size {
        s64 allocated, charged;
        u32 type;
        u32 unknown; /* objsize.h does not know the type */
};

static __always_inline void set_size(struct size *size, const struct object_record *record)
{
        size->allocated = record->allocated;
        size->charged = record->charged;
        size->type = record->type;
        size->unknown = record->marks & OBJECT_UNKNOWN_TYPE;
}

/* Measures the map at @address. A global function: the verifier looks at it once a program, and its stack is its own.
 */
__noinline int measure_map(u64 address, struct size *size)
{
        struct bpf_map *map = (void *) address;
        struct object_record record = {};

        if (!size)
                return 0;
        record.type = BPF_CORE_READ(map, map_type);
        record.flags = BPF_CORE_READ(map, map_flags);
        record.key_size = BPF_CORE_READ(map, key_size);
        record.value_size = BPF_CORE_READ(map, value_size);
        record.max_entries = BPF_CORE_READ(map, max_entries);
        objsize_map(address, &record);
        set_size(size, &record);
        return 0;
}

/* Measures the program at @address, likewise. */
__noinline int measure_program(u64 address, struct size *size)
{
        struct object_record record = {};

        if (!size)
                return 0;
        objsize_program(address, &record);
        set_size(size, &record);
        return 0;
}

/* Settles the entry @key, if there is one, to @size. Not inlined, for the sake of the callers' stack. */
static __noinline int settle_to(u64 key, const struct size *size)
{
        struct gate_settlement to = { .key = key, .allocated = size->allocated, .charged = size->charged };
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);

        if (object)
                settle_entry(object, &to);
        return 0;
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

/* Whom the gate lets pass whatever the limits: PID 1 and the daemon, and what else is in its cgroup. */
static __always_inline bool is_exempt(const struct gate_settings *settings)
{
        u32 tgid = bpf_get_current_pid_tgid() >> 32;

        if (tgid == 1 || tgid == settings->daemon_tgid)
                return true;
        return settings->own_cgroup && own_cgroup_id() == settings->own_cgroup;
}

/* Not inlined, for the sake of the callers' stack. */
static __noinline int tell_refusal(const struct booking *booking, u32 kind, u32 type, const char *name)
{
        u64 refused_by = booking->refused_by;
        struct gate_domain *domain = bpf_map_lookup_elem(&gate_domains, &refused_by);
        struct gate_event event = {
                .kind = kind,
                .domain = booking->refused_by,
                .usage = booking->usage,
                .max = booking->max,
                .resource = booking->resource,
                .type = type,
                .pid = bpf_get_current_pid_tgid() >> 32,
        };

        if (domain)
                __sync_fetch_and_add(&domain->denied, 1);
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                if (i == booking->resource)
                        event.wanted = booking->amount[i];
        event.cgroup_id = own_cgroup_id();
        bpf_probe_read_kernel(event.name, sizeof(event.name), name);
        bpf_get_current_comm(event.comm, sizeof(event.comm));
        /* A full ring loses the story, not the count. */
        bpf_ringbuf_output(&gate_events, &event, sizeof(event), 0);
        return 0;
}

/* What cannot be booked is let in and counted, or refused, as FailMode= says. */
static __always_inline int fail(struct gate_settings *settings, bool exempt)
{
        __sync_fetch_and_add(&settings->unbooked, 1);
        return settings->enforcing && settings->fail_closed && !exempt ? -ENOMEM : 0;
}

/* --- Verdicts ----------------------------------------------------------------------------------------------------- */

/* Whether the probes are in use, and which of the gates with the same tables this is; set by the daemon. */
const volatile bool probed;
const volatile __u64 instance;

/* Beside 0 and -ENOMEM: nobody has judged. */
#define UNDECIDED 1

/*
 * What the probes have judged, by the lower bits of the thread's number: that number in the upper half, and how it was
 * judged. Of two threads that share a slot at a time one loses its verdict, and the hook's own program judges (growth
 * is booked twice then, until it is settled).
 */
#define VERDICTS         1024
#define VERDICT_ADMITTED 1
#define VERDICT_REFUSED  2
__u64 verdicts[VERDICTS] = {};

/* Refusals that nobody read: the kernel left out all programs that could have. */
__u64 unread = 0;

/*
 * Whether this gate's verdicts count. They do not while a predecessor has yet to refuse what it judged, nor once a
 * successor is there: its programs go one by one, and a verdict may be read long after nobody takes off old ones.
 */
static __always_inline bool is_in_force(void)
{
        struct gate_settings *settings = get_settings();

        return settings && settings->enforcing && settings->instance == instance;
}

static __always_inline void leave_verdict(int verdict)
{
        u64 thread = (u32) bpf_get_current_pid_tgid();

        if (verdict != UNDECIDED)
                *(volatile u64 *) &verdicts[thread % VERDICTS] = thread << 32 |
                                                                 (verdict < 0 ? VERDICT_REFUSED : VERDICT_ADMITTED);
}

/* Takes the verdict on what the running thread is doing. @refusal: only if it is one. */
static __always_inline int take_verdict(bool refusal)
{
        u64 thread = (u32) bpf_get_current_pid_tgid();
        u64 *slot = &verdicts[thread % VERDICTS], verdict = *(volatile u64 *) slot;

        if (!probed || verdict >> 32 != thread || (refusal && (u32) verdict != VERDICT_REFUSED))
                return UNDECIDED;
        __sync_val_compare_and_swap(slot, verdict, 0);
        if (!is_in_force())
                return UNDECIDED;
        return (u32) verdict == VERDICT_REFUSED ? -ENOMEM : 0;
}

/* --- Creation ----------------------------------------------------------------------------------------------------- */

struct admission {
        u64 key;
        u64 domain;
        u32 kind;  /* enum object_kind */
        u32 event; /* enum gate_event_kind */
        u32 type;
        u32 reserved;
        u64 name; /* its address */
        s64 allocated, charged;
};

__noinline int admit_object(struct admission *admission)
{
        struct gate_settings *settings = get_settings();
        struct booking booking = {};
        bool exempt;
        u64 key;

        if (!settings || !admission)
                return 0;
        exempt = is_exempt(settings);
        key = admission->key; /* 6.1 takes keys from the stack only */
        set_objects(&booking, admission->kind, 1);
        booking.amount[GATE_ALLOCATED] = admission->allocated;
        booking.amount[GATE_CHARGED] = admission->charged;
        booking.enforce = settings->enforcing && !exempt;
        if (book(admission->domain, &booking) < 0) {
                tell_refusal(&booking, admission->event, admission->type, (const char *) admission->name);
                return -ENOMEM;
        }
        if (enter_object(key, admission->domain, &booking, admission->kind, 0) == 0)
                return 0;
        unbook(admission->domain, &booking, booking.levels);
        return fail(settings, exempt);
}

/* Whether css belongs to the root, which is charged for nothing. */
static __always_inline bool css_is_root(struct cgroup_subsys_state *css)
{
        return !BPF_CORE_READ(css, parent);
}

/* Not within gate_map(): what stands on its stack while a map is measured is too much for 6.1. */
static __noinline int admit_map(u64 address, u64 domain, struct size *size)
{
        struct bpf_map *map = (void *) address;
        struct admission admission = {
                .kind = OBJECT_MAP,
                .event = GATE_REFUSED_MAP,
                .key = address,
                .domain = domain,
        };

        if (!size)
                return 0;
        if (size->unknown) {
                struct gate_settings *settings = get_settings();

                return settings ? fail(settings, is_exempt(settings)) : 0;
        }
        admission.allocated = size->allocated;
        admission.charged = size->charged;
        admission.type = size->type;
        admission.name = (u64) &map->name;
        return admit_object(&admission);
}

/*
 * The map is there, with all that it allocates at its creation, but for the objcg. Returns 0 or -ENOMEM; UNDECIDED:
 * there is no limit.
 */
static __always_inline int judge_map(u64 address)
{
        struct cgroup_subsys_state *css = charged_css();
        u64 domain = css ? find_domain((u64) css) : 0;
        struct size size = {};

        if (!domain)
                return UNDECIDED;
        /* While a new gate takes over, both judge, and this is the other one's; or the end of an object was missed. */
        forget_object(address, 0);
        measure_map(address, &size);
        if (css_is_root(css))
                size.charged = 0;
        return admit_map(address, domain, &size) ? -ENOMEM : 0;
}

/* security_bpf_map_alloc() in 6.1, security_bpf_map_create() since 6.9; only the first argument is read, so it does not
 * matter which others follow. */
SEC("fmod_ret/security_bpf_map_create")
int BPF_PROG(gate_map, struct bpf_map *trusted)
{
        int verdict = take_verdict(false);

        if (verdict == UNDECIDED)
                verdict = judge_map(address_of(trusted));
        return verdict < 0 ? -ENOMEM : 0;
}

SEC("kprobe.multi")
int gate_map_entered(struct pt_regs *regs)
{
        if (is_in_force())
                leave_verdict(judge_map(first_argument(regs)));
        return 0;
}

/*
 * A program before the verifier: what it takes in the end is not known. The estimate is what it takes now, 64 bytes an
 * instruction for the JIT image (5 to 8 as a rule), line information (24) and rewritten instructions, and 8 KiB for
 * what does not depend on its length; gate_program_loaded() replaces it. Until 6.8 the length is not known
 * either, only the pages.
 */
#define PROGRAM_BYTES_PER_INSN 64
#define PROGRAM_BYTES_FIXED    8192

/* @address: what the hook has as its argument. Returns as judge_map(). */
static __always_inline int judge_program(u64 address)
{
        struct cgroup_subsys_state *css = charged_css();
        struct admission admission = { .kind = OBJECT_PROGRAM, .event = GATE_REFUSED_PROGRAM };
        struct bpf_prog_aux___prog *aux;
        struct bpf_prog *prog;
        u64 insns, bytes;

        if (!css)
                return UNDECIDED;
        admission.domain = find_domain((u64) css);
        if (!admission.domain)
                return UNDECIDED;
        if (program_by_aux) {
                aux = (void *) address;
                prog = BPF_CORE_READ(aux, prog);
        } else {
                prog = (void *) address;
                aux = (void *) BPF_CORE_READ(prog, aux);
        }
        admission.key = (u64) aux;
        forget_object(admission.key, 0);
        admission.type = BPF_CORE_READ(prog, type);
        admission.name = (u64) &aux->name;
        bytes = (u64) BPF_CORE_READ(prog, pages) * machine.page_size;
        insns = BPF_CORE_READ(prog, len) ?: bytes / 8;
        bytes += bpf_core_type_size(struct bpf_prog_aux) + PROGRAM_BYTES_FIXED;
        admission.charged = css_is_root(css) || machine.nobpf ? 0 : bytes;
        admission.allocated = bytes + insns * PROGRAM_BYTES_PER_INSN;
        return admit_object(&admission) ? -ENOMEM : 0;
}

SEC("fmod_ret/security_bpf_prog_load")
int BPF_PROG(gate_program, struct bpf_prog *trusted)
{
        int verdict = take_verdict(false);

        if (verdict == UNDECIDED)
                verdict = judge_program(address_of(trusted));
        return verdict < 0 ? -ENOMEM : 0;
}

SEC("kprobe.multi")
int gate_program_entered(struct pt_regs *regs)
{
        if (is_in_force())
                leave_verdict(judge_program(first_argument(regs)));
        return 0;
}

/* kernel/events/core.c, at the end of a load: what the program really takes replaces the estimate at once. */
SEC("fentry/perf_event_bpf_event")
int BPF_PROG(gate_program_loaded, struct bpf_prog *trusted, u32 event_type)
{
        u64 address = address_of(trusted), key;
        struct bpf_prog *prog = (void *) address;
        struct size size = {};

        if (event_type != PERF_BPF_EVENT_PROG_LOAD)
                return 0;
        key = (u64) BPF_CORE_READ(prog, aux);
        if (!bpf_map_lookup_elem(&gate_objects, &key))
                return 0;
        measure_program(address, &size);
        return settle_to(key, &size);
}

/* What is booked by the address of @prog->aux, or by that itself: @address is what the hook has as its argument. */
static __always_inline int forget_program(u64 address)
{
        struct bpf_prog *prog = (void *) address;

        return forget_object(program_by_aux ? address : (u64) BPF_CORE_READ(prog, aux), 0);
}

/* Also the end of a creation that failed after the gate. In a worker, a moment before the memory is given back. */
SEC("fentry/security_bpf_map_free")
int BPF_PROG(gate_map_free, struct bpf_map *trusted)
{
        forget_object(address_of(trusted), 0);
        return 0;
}

SEC("fentry/security_bpf_prog_free")
int BPF_PROG(gate_program_free, struct bpf_prog *trusted)
{
        forget_program(address_of(trusted));
        return 0;
}

/* Another LSM may refuse what was booked, and then not all kernels call the hooks above. */
SEC("fexit/security_bpf_map_create")
int BPF_PROG(gate_map_denied, struct bpf_map *trusted)
{
        u64 result = 0;

        if (bpf_get_func_ret(ctx, &result) == 0 && (int) result != 0)
                forget_object(address_of(trusted), 0);
        return 0;
}

SEC("fexit/security_bpf_prog_load")
int BPF_PROG(gate_program_denied, struct bpf_prog *trusted)
{
        u64 result = 0;

        if (bpf_get_func_ret(ctx, &result) == 0 && (int) result != 0)
                forget_program(address_of(trusted));
        return 0;
}

SEC("kprobe.multi")
int gate_map_freed(struct pt_regs *regs)
{
        forget_object(first_argument(regs), 0);
        return 0;
}

SEC("kprobe.multi")
int gate_program_freed(struct pt_regs *regs)
{
        forget_program(first_argument(regs));
        return 0;
}

/* --- Growth by bpf(2) --------------------------------------------------------------------------------------------- */

/* The map behind @fd of the current process, 0 if it is none. Each update of each map comes by here. */
static __always_inline u64 map_of_fd(u32 fd, u64 map_fops)
{
        struct fdtable *fdt = bpf_get_current_task_btf()->files->fdt;
        struct file *file = NULL;

        if (fd >= fdt->max_fds)
                return 0;
        bpf_probe_read_kernel(&file, sizeof(file), &fdt->fd[fd]);
        if (!file || (u64) BPF_CORE_READ(file, f_op) != map_fops)
                return 0;
        return (u64) BPF_CORE_READ(file, private_data);
}

/* Whether the elements of the map at @address are allocated when they are inserted. */
static __always_inline bool map_grows(u64 address)
{
        struct bpf_map *map = (void *) address;

        return BPF_CORE_READ(map, map_flags) & BPF_F_NO_PREALLOC;
}

/*
 * How many elements of @size bytes BPF's allocator takes at once for the free list of a CPU, at most: 3/4 of what is
 * between its watermarks. Those are 32 and 96 elements, of more than 256 bytes 8 KiB and 24 KiB (kernel/bpf/memalloc.c,
 * init_refill_work()).
 */
static __always_inline u64 refill_count(u64 size)
{
        return size <= 256 ? 48 : (48 * 256 + size - 1) / size;
}

/*
 * What one more element of a map that grows takes at most; 0 if it costs next to nothing. @slack: what the free lists
 * may take with it.
 */
__noinline u64 element_bytes(u64 address, u64 *slack)
{
        struct bpf_map *map = (void *) address;
        struct object_record record = {};
        struct bpf_htab *htab = (void *) address;
        struct lpm_trie *trie = (void *) address;
        struct bpf_local_storage_map *storage = (void *) address;
        u64 size, first;

        if (!slack)
                return 0;
        record.type = BPF_CORE_READ(map, map_type);
        record.value_size = BPF_CORE_READ(map, value_size);
        switch (record.type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
                size = BPF_CORE_READ(htab, elem_size) + sizeof(u64);
                add_kmalloc(&record, size, 1, true);
                *slack = refill_count(size) * record.allocated;
                if (record.type != BPF_MAP_TYPE_PERCPU_HASH)
                        break;
                first = record.allocated;
                size = round_up_to(record.value_size, 8);
                add_kmalloc(&record, 2 * sizeof(u64), 1, true);
                add_percpu(&record, size, 1, true);
                *slack += refill_count(size) * (record.allocated - first);
                break;
        case BPF_MAP_TYPE_LPM_TRIE:
                size = bpf_core_type_size(struct lpm_trie_node) + BPF_CORE_READ(trie, data_size) + record.value_size +
                       sizeof(u64);
                add_kmalloc(&record, size, 1, true);
                *slack = refill_count(size) * record.allocated;
                record.allocated *= 2; /* a leaf and an intermediate node */
                break;
        case BPF_MAP_TYPE_SK_STORAGE:
        case BPF_MAP_TYPE_INODE_STORAGE:
        case BPF_MAP_TYPE_TASK_STORAGE:
        case MAP_TYPE_CGRP_STORAGE:
                size = BPF_CORE_READ(storage, elem_size) + sizeof(u64);
                add_kmalloc(&record, size, 1, true);
                *slack = refill_count(size) * record.allocated;
                first = record.allocated;
                size = bpf_core_type_size(struct bpf_local_storage) + sizeof(u64);
                add_kmalloc(&record, size, 1, true);
                *slack += refill_count(size) * (record.allocated - first);
                break;
        }
        return record.allocated;
}

/* include/uapi/linux/bpf.h: where a map's descriptor and the number of elements are in union bpf_attr. */
struct update_elem_attr {
        u32 map_fd;
};
struct update_batch_attr {
        u64 in_batch, out_batch, keys, values;
        u32 count, map_fd;
};

/* Measures the map @address and settles its entry, so that what was replaced or deleted counts no more. */
__noinline int settle_map(u64 address)
{
        struct size size = {};

        measure_map(address, &size);
        return settle_to(address, &size);
}

/* Notes @bytes that are booked in @domain with the entry @object. Returns whether it is still @key's, and there. */
static __always_inline bool note_admitted(struct gate_object *object, u64 key, u64 domain, s64 bytes)
{
        u64 now = bpf_jiffies64(), grower = bpf_get_current_pid_tgid();
        bool noted = false, locked = lock(object);
        struct booking booking = {};

        if (object->key == key && object->domain == domain) {
                if (object->window != now) {
                        object->previous = object->window + 1 == now ? object->recent : 0;
                        object->recent = 0;
                        object->window = now;
                }
                if (object->grower != grower && object->grower)
                        object->mixed = now;
                object->grower = grower;
                object->recent += bytes;
                object->last = bytes;
                __sync_fetch_and_add(&object->admitted, bytes);
                noted = true;
        }
        if (locked)
                unlock(object, &booking);
        return noted;
}

/* Elements that are to be inserted into a map. */
struct growth {
        u64 map; /* its address */
        u64 domain;
        u64 bytes;
        u64 slack;
        u32 uncharged;
        u32 enforce;
        u32 last; /* a refusal is final, and told */
        u32 reserved;
};

/* Books @growth. Returns 0 or -ENOMEM. */
__noinline int book_growth(struct growth *growth)
{
        struct booking booking = {};
        struct bpf_map *map;

        if (!growth)
                return 0;
        booking.amount[GATE_ALLOCATED] = growth->bytes;
        booking.amount[GATE_CHARGED] = growth->uncharged ? 0 : growth->bytes;
        booking.slack = growth->slack;
        booking.enforce = growth->enforce;
        if (book(growth->domain, &booking) == 0)
                return 0;
        map = (void *) growth->map;
        if (growth->last)
                tell_refusal(&booking, GATE_REFUSED_GROWTH, BPF_CORE_READ(map, map_type), (const char *) &map->name);
        return -ENOMEM;
}

/* Lets @count elements into the map at @address. @last: a refusal is final. Returns 0 or -ENOMEM. */
static __noinline int admit_growth(u64 address, u32 count, u32 last)
{
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &address);
        struct gate_settings *settings = get_settings();
        struct growth growth = { .map = address, .last = last };
        u64 element;

        if (!object || !settings)
                return 0;
        element = element_bytes(address, &growth.slack);
        growth.domain = object->domain;
        if (!element || !growth.domain)
                return 0;
        growth.bytes = element * count;
        growth.uncharged = object->uncharged;
        growth.enforce = settings->enforcing && !is_exempt(settings);
        if (book_growth(&growth))
                return -ENOMEM;
        if (note_admitted(object, address, growth.domain, growth.bytes))
                return 0;
        /* It was moved meanwhile, or is going: the next settlement or nobody has it. */
        growth.bytes = -growth.bytes;
        growth.enforce = 0;
        book_growth(&growth);
        return 0;
}

/*
 * Elements that bpf(2) is to insert: @cmd, and its attributes at @attr. Those that exist already are counted as if they
 * were new, until the next settlement. Returns as judge_map().
 */
static __always_inline int judge_update(int cmd, u64 attr)
{
        struct update_batch_attr batch = { .count = 1 };
        struct gate_settings *settings;
        u64 address;

        settings = get_settings();
        if (!settings || !settings->map_fops)
                return UNDECIDED;
        if (cmd == BPF_MAP_UPDATE_ELEM)
                bpf_probe_read_kernel(&batch.map_fd, sizeof(batch.map_fd), (void *) attr);
        else
                bpf_probe_read_kernel(&batch, sizeof(batch), (void *) attr);
        address = map_of_fd(batch.map_fd, settings->map_fops);
        if (!address || !map_grows(address))
                return UNDECIDED;
        if (admit_growth(address, batch.count, 0) == 0)
                return 0;
        settle_map(address);
        return admit_growth(address, batch.count, 1) ? -ENOMEM : 0;
}

static __always_inline bool is_update(int cmd)
{
        return cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_UPDATE_BATCH;
}

SEC("fmod_ret/security_bpf")
int BPF_PROG(gate_update, int cmd, union bpf_attr *trusted)
{
        int verdict = take_verdict(false);

        if (!is_update(cmd))
                return 0;
        if (verdict == UNDECIDED)
                verdict = judge_update(cmd, address_of(trusted));
        return verdict < 0 ? -ENOMEM : 0;
}

/* Each bpf(2) begins here, and ends what was left of the last one. */
SEC("kprobe.multi")
int gate_update_entered(struct pt_regs *regs)
{
        int cmd = first_argument(regs);

        if (take_verdict(false) < 0)
                __sync_fetch_and_add(&unread, 1);
        if (is_update(cmd) && is_in_force())
                leave_verdict(judge_update(cmd, second_argument(regs)));
        return 0;
}

/* --- Those that refuse besides ------------------------------------------------------------------------------------ */

/*
 * Each is left out on its own, while a task is preempted within its few instructions: one more makes a call that passes
 * all of them that much rarer. Maps are what is made by many at once.
 */
#define REFUSES(name, function)                              \
        SEC("fmod_ret/" function)                            \
        int name(void *context)                              \
        {                                                    \
                return take_verdict(true) < 0 ? -ENOMEM : 0; \
        }

REFUSES(gate_map_again1, "security_bpf_map_create")
REFUSES(gate_map_again2, "security_bpf_map_create")
REFUSES(gate_map_again3, "security_bpf_map_create")
REFUSES(gate_map_again4, "security_bpf_map_create")
REFUSES(gate_program_again, "security_bpf_prog_load")
REFUSES(gate_update_again1, "security_bpf")
REFUSES(gate_update_again2, "security_bpf")
/* The next in the same bpf(2): of a map and of a program that is to have a file descriptor. */
REFUSES(gate_map_given, "security_bpf_map")
REFUSES(gate_program_given, "security_bpf_prog")

/* --- The daemon's side -------------------------------------------------------------------------------------------- */

/* New cgroups that the daemon was not told of, as the ring was full. */
__u64 cgroups_untold = 0;

/* A cgroup without objects has to have its limits before it makes the first one. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(gate_mkdir, struct cgroup *cgroup)
{
        struct gate_event event = { .kind = GATE_CGROUP_NEW, .cgroup_id = cgroup->kn->id };

        if (bpf_ringbuf_output(&gate_events, &event, sizeof(event), 0) < 0)
                __sync_fetch_and_add(&cgroups_untold, 1);
        return 0;
}

/* The daemon runs this once: who it is, and what a map looks like among files. */
SEC("syscall")
int introduce_gate(struct gate_introduction *introduction)
{
        struct task_struct *task = (void *) bpf_get_current_task();
        struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;
        struct gate_settings *settings = get_settings();

        if (!settings)
                return 0;
        settings->daemon_tgid = bpf_get_current_pid_tgid() >> 32;
        bpf_probe_read_kernel(&file, sizeof(file), &files[introduction->map_fd]);
        if (file)
                settings->map_fops = (u64) BPF_CORE_READ(file, f_op);
        return 0;
}

/* It was there before the gate, or came while the table was full. Returns 0 if it could not be entered. */
static __noinline int enter_settled(struct gate_settlement *settlement)
{
        struct booking booking = {};
        u64 domain, key;

        if (!settlement)
                return 0;
        domain = settlement->domain;
        key = settlement->key;
        set_objects(&booking, settlement->kind, 1);
        booking.amount[GATE_ALLOCATED] = settlement->allocated;
        booking.amount[GATE_CHARGED] = settlement->charged;
        book(domain, &booking);
        if (enter_object(key, domain, &booking, settlement->kind, settlement->id) == 0)
                return 1;
        unbook(domain, &booking, booking.levels);
        return 0;
}

static __always_inline int measure_settled(struct gate_settlement *settlement)
{
        struct size size = {};

        if (!settlement || settlement->measure == GATE_AS_TOLD)
                return 0;
        if (settlement->kind == OBJECT_MAP)
                measure_map(settlement->address, &size);
        else
                measure_program(settlement->address, &size);
        settlement->allocated = size.allocated;
        settlement->charged = settlement->measure == GATE_MEASURE ? size.charged : 0;
        return 0;
}

/*
 * Whether the daemon saw the map of @object while it was being made: it can be found by its id before it has whom it is
 * charged to (map_create(), kernel/bpf/syscall.c), and looks like nobody's. It is told of again.
 */
static __always_inline bool was_seen_early(const struct gate_object *object, const struct gate_settlement *settlement)
{
        return object->kind == OBJECT_MAP && !object->id && !object->uncharged &&
               settlement->measure == GATE_MEASURE_NOBODYS;
}

static int settle_one(u32 index, void *unused)
{
        struct gate_settlement *settlement = bpf_map_lookup_elem(&settlements, &index);
        struct gate_object *object;
        bool is_there;
        u64 key;

        if (!settlement)
                return 1;
        settlement->again = 0;
        key = settlement->key;
        is_there = current_id(settlement->address, settlement->kind) == settlement->id;
        if (settlement->measure == GATE_FORGET) {
                /* Whatever the daemon was told: what is there counts. */
                if (!is_there)
                        forget_object(key, settlement->id);
                return 0;
        }
        if (!is_there)
                return 0;
        measure_settled(settlement);
        object = bpf_map_lookup_elem(&gate_objects, &key);
        if (!object && settlement->domain) {
                if (enter_settled(settlement))
                        return 0;
                object = bpf_map_lookup_elem(&gate_objects, &key);
        }
        if (object && !was_seen_early(object, settlement))
                settlement->again = settle_entry(object, settlement);
        return 0;
}

/* Sets the limits of one domain; run by the daemon, not attached. */
SEC("syscall")
int set_domain(struct gate_domain_request *request)
{
        struct gate_domain_request local = *request;
        struct gate_domain *domain = bpf_map_lookup_elem(&gate_domains, &local.id);

        request->error = 0;
        if (!domain) {
                request->error = bpf_map_update_elem(&gate_domains, &local.id, &local.domain, BPF_NOEXIST);
                return 0;
        }
        if (domain->parent != local.domain.parent) {
                request->error = -EEXIST;
                return 0;
        }
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                domain->max[i] = local.domain.max[i];
        return 0;
}

/* Settles the first count entries of settlements; run by the daemon, not attached. */
SEC("syscall")
int settle_objects(struct gate_settle_request *request)
{
        bpf_loop(request->count, settle_one, NULL, 0);
        return 0;
}
