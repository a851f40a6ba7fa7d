/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The books of the gate: its tables, and what is booked in domains and for objects. Like page_counter_try_charge()
 * (mm/page_counter.c) a booking is made in a domain and in all above it, or in none. Each object has an entry with
 * what is booked for it; a resync by the daemon replaces that with the measured size, so that an object always counts;
 * its release takes off exactly what is booked.
 */
#pragma once

#include "kerneltypes.h"

#include "cgroup.h"
#include "gaterecords.h"
#include "objsize.h"

/*
 * The maximum number of levels of a walk up. The kernel allows no hierarchy that deep (cgroup_mkdir() allocates memory
 * for each level).
 */
#define LEVELS_MAX (1 << 22)

/* How often taking a lock is tried. A holder keeps it for a few stores only. */
#define LOCK_TRIES 512

#define ENOMEM 12
#define EEXIST 17

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

/* Entries that gate_objects has room for. */
const volatile __u32 objects_max;

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

/* Not pinned: working storage of a resync. */
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

/* A way up from a cgroup to the nearest domain. */
struct search {
        u64 css; /* address */
        u64 id;  /* of the domain; 0: none */
};

static int search_level(u32 level, struct search *search)
{
        struct cgroup_subsys_state *css = (void *) search->css;
        u64 id = css_cgroup_id(css);

        if (!css)
                return 1;
        if (bpf_map_lookup_elem(&gate_domains, &id)) {
                search->id = id;
                return 1;
        }
        search->css = (u64) BPF_CORE_READ(css, parent);
        return 0;
}

/* The nearest domain at or above @css; 0: none. A global function: the verifier looks at it once. */
__noinline u64 find_domain(u64 css)
{
        struct search search = { .css = css };

        /* Most are found here, without the cost of a loop. */
        if (search_level(0, &search) == 0 && search_level(1, &search) == 0)
                bpf_loop(LEVELS_MAX, search_level, &search, 0);
        return search.id;
}

/* What is to be booked, and the answer. */
struct booking {
        s64 amount[GATE_RESOURCES];
        u64 slack; /* bytes that must be free in addition */
        u64 refused_by, usage, max;
        u32 resource; /* that refused */
        u32 enforce;
        u32 levels; /* that were booked */
        u32 type;   /* of the map, where it is not known otherwise; not used here */
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

static __always_inline bool is_bytes(int resource)
{
        return resource <= GATE_CHARGED || resource == GATE_COMMITTED;
}

/* The committed bytes of an object that occupies @allocated bytes. */
static __always_inline s64 committed_bytes(s64 allocated, u64 ceiling)
{
        return ceiling == CEILING_UNBOUNDED ? allocated : (s64) ceiling;
}

/* Whether @booking exceeds a limit of @domain. With @sign 0 it is not booked there yet, else it is. */
static __always_inline bool is_over(struct gate_domain *domain, struct booking *booking, s64 sign)
{
        for (int i = 0; i < GATE_RESOURCES; i++) {
                u64 usage = domain->usage[i] + (sign ? 0 : booking->amount[i]), max = domain->max[i];
                u64 slack = is_bytes(i) ? booking->slack : 0;

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
 * A walk up through the domains, one step of bpf_loop() for each. The verifier would check a plain loop LEVELS_MAX
 * times, in each program that books.
 */
struct ascent {
        struct booking *booking;
        u64 id;     /* the next domain; 0: there is none */
        s64 sign;   /* 1: book; -1: take off; 0: only look whether it fits */
        s64 result; /* -ENOMEM: id refuses */
};

static int ascend(u32 level, struct ascent *ascent)
{
        struct booking *booking = ascent->booking;
        u64 id = ascent->id;
        struct gate_domain *domain = id ? bpf_map_lookup_elem(&gate_domains, &id) : NULL;

        if (!domain)
                return 1;
        if (ascent->sign)
                add(domain, booking, ascent->sign);
        if (ascent->sign >= 0) {
                booking->levels++;
                if (booking->enforce && is_over(domain, booking, ascent->sign)) {
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
 * Books @booking in the domain @id and all above. Returns 0, or -ENOMEM if it enforces and one of them would exceed a
 * limit; in this case nothing is booked, and refused_by is that domain.
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

/* Returns what book() would return for @booking now. Nothing is booked. */
__noinline int would_refuse(u64 id, struct booking *booking)
{
        struct ascent ascent = { .booking = booking, .id = id };

        if (!booking)
                return 0;
        bpf_loop(LEVELS_MAX, ascend, &ascent, 0);
        booking->refused_by = ascent.id;
        return ascent.result;
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

/* The number of domains from @id up to, but excluding, @above; 0: @above is not above @id. */
__noinline u32 levels_below(u64 id, u64 above)
{
        struct climb way = { .id = id, .to = above };

        bpf_loop(LEVELS_MAX, climb, &way, 0);
        return way.id == above ? way.levels : 0;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

/*
 * The lock of an entry: 0 if it is free, 1 if it is taken, 2 if its object was released meanwhile; the holder of the
 * lock then removes the entry. The release of an object can interrupt a holder on the same CPU, and therefore cannot
 * wait.
 */
static int try_lock(u32 try, struct gate_object **object)
{
        return __sync_val_compare_and_swap(&(*object)->lock, 0, 1) == 0;
}

/* Returns whether the lock was taken. Gives up after LOCK_TRIES attempts. */
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

/*
 * Takes the lock; if another program holds it, leaves the removal of @object to that one. Returns whether the lock was
 * taken.
 */
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

static __always_inline void count_domain(s64 n)
{
        struct gate_settings *settings = get_settings();

        if (settings)
                __sync_fetch_and_add(&settings->domains, n);
}

static __always_inline void count_object(s64 n)
{
        struct gate_settings *settings = get_settings();

        if (settings)
                __sync_fetch_and_add(&settings->objects, n);
}

/* Removes the entry @object, whose lock the caller has, and unbooks what is booked for it. @booking: scratch memory. */
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
        booking->amount[GATE_COMMITTED] = -committed_bytes(object->allocated + object->admitted, object->ceiling);
        booking->amount[GATE_UNBOUNDED] = -(s64) (object->ceiling == CEILING_UNBOUNDED);
        __sync_lock_test_and_set(&object->lock, 0);
        if (!domain)
                return 0; /* another program is removing it */
        book(domain, booking);
        if (bpf_map_delete_elem(&gate_objects, &key) == 0)
                count_object(-1);
        return 0;
}

/* Releases the lock, and removes @object if that was left to the caller. @booking: scratch memory. */
static __always_inline void unlock(struct gate_object *object, struct booking *booking)
{
        if (__sync_val_compare_and_swap(&object->lock, 1, 0) != 1)
                take_off(object, booking);
}

/*
 * Removes the entry @key, and unbooks what is booked for it. If @id is not 0, only if the entry is that of the object
 * @id.
 */
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
 * Enters an object for which @booking is already booked in @domain; @id is 0 while the object is being created. Returns
 * 0, or a negative errno: then the caller has to unbook it. Not inlined, for the sake of the callers' stack.
 */
static __noinline int enter_object(u64 key, u64 domain, const struct booking *booking, u32 kind, u32 id)
{
        struct gate_object object = {
                .key = key,
                .domain = domain,
                .allocated = booking->amount[GATE_ALLOCATED],
                .charged = booking->amount[GATE_CHARGED],
                .ceiling = booking->amount[GATE_UNBOUNDED] ? CEILING_UNBOUNDED : booking->amount[GATE_COMMITTED],
                .kind = kind,
                .id = id,
                .uncharged = booking->amount[GATE_CHARGED] == 0,
        };

        long r = bpf_map_update_elem(&gate_objects, &key, &object, BPF_NOEXIST);

        if (r == 0)
                count_object(1);
        return r;
}

/*
 * Bytes that were admitted so recently that a measurement may not include them yet. When a thread makes its next call,
 * the elements of its previous call are in the map; with a single thread, this is therefore at most its last
 * admission.
 */
static __always_inline s64 still_coming(const struct gate_object *object, u64 now)
{
        if (object->window + 1 < now)
                return 0;
        if (object->mixed + 1 < now)
                return object->grower == bpf_get_current_pid_tgid() ? 0 : object->last;
        return object->window >= now ? object->recent + object->previous : object->recent;
}

/* Notes the values of the entry @object (NULL: there is none) before the object is measured. */
static __always_inline void note_entry(const struct gate_object *object, struct gate_entry_before *before)
{
        before->allocated = object ? object->allocated : 0;
        before->admitted = object ? object->admitted : 0;
        before->coming = object ? still_coming(object, bpf_jiffies64()) : 0;
}

/*
 * Bytes that stay booked in addition to a measurement: those that were not in the map yet when it began, and those
 * that were admitted since. Negative: another resync of the entry has ended meanwhile, perhaps with a later
 * measurement.
 */
static __always_inline s64 admitted_since(const struct gate_object *object, const struct gate_entry_before *before)
{
        s64 since = object->admitted - before->admitted;

        if (since < 0 || object->allocated != before->allocated)
                return -1;
        return since + before->coming;
}

/* The id of the object of @kind that is at @address now; it is another id if the object is gone. */
static __always_inline u32 current_id(u64 address, u32 kind)
{
        struct bpf_prog *prog = (void *) address;
        struct bpf_map *map = (void *) address;

        return kind == OBJECT_MAP ? BPF_CORE_READ(map, id) : BPF_CORE_READ(prog, aux, id);
}

/* Sets what is to be booked as committed for an object that occupies @allocated bytes and has this @ceiling. */
static __always_inline void set_committed(struct booking *booking, s64 allocated, u64 ceiling)
{
        booking->amount[GATE_COMMITTED] = committed_bytes(allocated, ceiling);
        booking->amount[GATE_UNBOUNDED] = ceiling == CEILING_UNBOUNDED;
}

/* Takes what is booked for @object, @allocated and @charged bytes, off @booking. */
static __always_inline void subtract_object(
                struct booking *booking, const struct gate_object *object, s64 allocated, s64 charged)
{
        booking->amount[GATE_ALLOCATED] -= allocated;
        booking->amount[GATE_CHARGED] -= charged;
        booking->amount[GATE_COMMITTED] -= committed_bytes(allocated, object->ceiling);
        booking->amount[GATE_UNBOUNDED] -= object->ceiling == CEILING_UNBOUNDED;
}

/*
 * Whether what is booked in the domain @id stays there although the daemon would move it to the domain @to above it.
 * The kernel moves a charge up only when it removes the cgroup, and what the cgroup leaves behind counts against the
 * next cgroup of its path. The daemon may know of the removal before gate_rmdir() runs. @held: the object is, or was,
 * attributed to its holder.
 */
__noinline int stays_behind(u64 id, u64 to, u32 held)
{
        struct gate_domain *domain = bpf_map_lookup_elem(&gate_domains, &id);

        if (!domain || (!domain->gone && (domain->retired || held)))
                return 0;
        return levels_below(id, to) > 0;
}

/*
 * Replaces what is booked in the entry @object of @to->key by the measured size in @to. It is booked in the new domain
 * first, so that it always counts somewhere; if there is no new domain, the entry is removed. Without @to->id it stays
 * in its domain, and remains uncharged if it was. Returns whether it has to be resynced again, because bytes stay
 * booked in addition to the measured size, or another program has the lock.
 */
__noinline int settle_entry(struct gate_object *object, struct gate_settlement *to)
{
        s64 admitted, kept, charged, old_allocated, old_charged;
        struct booking booking = {};
        u64 domain;
        u32 below;

        if (!object || !to || !lock(object))
                return 1;
        /*
         * By now the entry may be that of another object, or the object may be gone, and its release not be noticed
         * yet.
         */
        if (object->key != to->key || !object->domain || (to->id && current_id(to->address, to->kind) != to->id)) {
                unlock(object, &booking);
                return 0;
        }
        domain = to->id ? to->domain : object->domain;
        if (domain != object->domain && stays_behind(object->domain, domain, object->held | to->held))
                domain = object->domain;
        if (!domain) {
                take_off(object, &booking);
                return 0;
        }
        charged = !to->id && object->uncharged ? 0 : to->charged;
        kept = admitted_since(object, &to->before);
        if (kept < 0) {
                unlock(object, &booking);
                return 1;
        }
        admitted = object->admitted;
        old_allocated = object->allocated + admitted;
        old_charged = object->charged + (object->uncharged ? 0 : admitted);
        booking.amount[GATE_ALLOCATED] = to->allocated + kept;
        booking.amount[GATE_CHARGED] = charged ? charged + kept : 0;
        set_committed(&booking, to->allocated + kept, to->ceiling);
        if (object->domain == domain) {
                subtract_object(&booking, object, old_allocated, old_charged);
                book(domain, &booking);
        } else {
                below = levels_below(object->domain, domain);
                /* It is already booked above both, and must not be booked there twice, even for a moment. */
                if (below) {
                        subtract_object(&booking, object, old_allocated, old_charged);
                        book(domain, &booking);
                        set_objects(&booking, object->kind, 1);
                } else {
                        set_objects(&booking, object->kind, 1);
                        book(domain, &booking);
                }
                booking.amount[GATE_ALLOCATED] = old_allocated;
                booking.amount[GATE_CHARGED] = old_charged;
                set_committed(&booking, old_allocated, object->ceiling);
                unbook(object->domain, &booking, below ?: LEVELS_MAX);
                object->domain = domain;
        }
        object->allocated = to->allocated;
        object->charged = charged;
        object->ceiling = to->ceiling;
        __sync_fetch_and_add(&object->admitted, kept - admitted);
        object->uncharged = charged == 0;
        if (to->id) {
                object->id = to->id;
                object->held = to->held;
        }
        unlock(object, &booking);
        return kept != 0;
}

/* Bytes of one object. */
struct size {
        s64 allocated, charged;
        u64 ceiling;
        u32 type;
        u32 unknown; /* objsize.h does not know the type */
};

static __always_inline void set_size(struct size *size, const struct object_record *record)
{
        size->allocated = record->allocated;
        size->charged = record->charged;
        size->ceiling = record->ceiling;
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
        /*
         * Read in place: on 6.1, the stack has no room for a copy, because the frames of all callers add up to the
         * limit.
         */
        BPF_CORE_READ_INTO(&record.type, map, map_type);
        BPF_CORE_READ_INTO(&record.flags, map, map_flags);
        BPF_CORE_READ_INTO(&record.key_size, map, key_size);
        BPF_CORE_READ_INTO(&record.value_size, map, value_size);
        BPF_CORE_READ_INTO(&record.max_entries, map, max_entries);
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

/*
 * Resyncs the entry @key, if there is one, to @size; @before: the values of the entry before the measurement. Not
 * inlined, for the sake of the callers' stack.
 */
static __noinline int settle_to(u64 key, const struct size *size, const struct gate_entry_before *before)
{
        struct gate_settlement to = {
                .key = key, .allocated = size->allocated, .charged = size->charged, .ceiling = size->ceiling
        };
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);

        to.before = *before;
        if (object)
                settle_entry(object, &to);
        return 0;
}
