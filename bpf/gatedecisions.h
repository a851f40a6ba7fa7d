/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gate decides: whether a map or a program may be made, and whether bpf(2) may insert elements into a map.
 */
#pragma once

#include "gatebooks.h"

/* The kernel's 6.1 hook for programs has prog->aux as argument, later ones the program. Set by the daemon. */
const volatile bool program_by_aux;

/* Beside 0 (admit) and -ENOMEM (refuse): there is no limit, or nobody has decided. */
#define UNDECIDED 1

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
static __always_inline int decide_map(u64 address)
{
        struct cgroup_subsys_state *css = charged_css();
        u64 domain = css ? find_domain((u64) css) : 0;
        struct size size = {};

        if (!domain)
                return UNDECIDED;
        /* While a new gate takes over, both decide, and this is the other one's; or the end of an object was missed. */
        forget_object(address, 0);
        measure_map(address, &size);
        if (css_is_root(css))
                size.charged = 0;
        return admit_map(address, domain, &size) ? -ENOMEM : 0;
}

/*
 * A program before the verifier: what it takes in the end is not known. The estimate is what it takes now, 64 bytes an
 * instruction for the JIT image (5 to 8 as a rule), line information (24) and rewritten instructions, and 8 KiB for
 * what does not depend on its length; gate_program_loaded() replaces it. Until 6.8 the length is not known
 * either, only the pages.
 */
#define PROGRAM_BYTES_PER_INSN 64
#define PROGRAM_BYTES_FIXED    8192

/* @address: what the hook has as its argument. Returns as decide_map(). */
static __always_inline int decide_program(u64 address)
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

/* What is booked by the address of @prog->aux, or by that itself: @address is what the hook has as its argument. */
static __always_inline int forget_program(u64 address)
{
        struct bpf_prog *prog = (void *) address;

        return forget_object(program_by_aux ? address : (u64) BPF_CORE_READ(prog, aux), 0);
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
        struct bpf_rhtab *rhtab = (void *) address;
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
        case MAP_TYPE_RHASH:
                if (!bpf_core_type_exists(struct bpf_rhtab))
                        break;
                size = BPF_CORE_READ(rhtab, elem_size) + sizeof(u64);
                add_kmalloc(&record, size, 1, true);
                *slack = refill_count(size) * record.allocated;
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
 * were new, until the next settlement. Returns as decide_map().
 */
static __always_inline int decide_update(int cmd, u64 attr)
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
