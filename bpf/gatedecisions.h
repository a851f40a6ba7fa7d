/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decisions of the gate: whether a map or a program may be created, and whether bpf(2) may insert elements into a
 * map.
 */
#pragma once

#include "createsize.h"
#include "elementsize.h"
#include "gatebooks.h"
#include "gatecgroups.h"

/* The kernel's 6.1 hook for programs has prog->aux as argument, later ones the program. Set by the daemon. */
const volatile bool program_by_aux;

/* A decision other than 0 (admit) and -ENOMEM (refuse): there is no limit, or there is no decision. */
#define UNDECIDED 1

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

/*
 * Whether the current process is exempt from all limits: PID 1, the daemon, and other processes in the daemon's cgroup.
 */
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
        /* If the ring is full, the report is lost, but the refusal is counted. */
        bpf_ringbuf_output(&gate_events, &event, sizeof(event), 0);
        return 0;
}

/* A request that cannot be booked is refused if there is a limit: a full table must not be a way past it. */
static __always_inline int fail(struct gate_settings *settings, bool exempt)
{
        __sync_fetch_and_add(&settings->unbooked, 1);
        return settings->enforcing && !exempt ? -ENOMEM : 0;
}

/*
 * Whether the limit of the cgroup of @css, or of one above, is missing from the table, so that it cannot be enforced:
 * its requests are refused until there is room.
 */
__noinline int is_incomplete(u64 css)
{
        struct gate_settings *settings = get_settings();

        if (!settings || !css || !settings->domains_missing || complete_domains(css) == 0)
                return 0;
        return fail(settings, is_exempt(settings)) < 0;
}

/*
 * A table that is nearly full is the problem of whoever fills it: if the domain @id has a quarter of the entries, it
 * gets no more until the daemon has made room or some entries are gone. The remaining entries are for the others.
 */
__noinline int has_its_share(u64 id)
{
        struct gate_domain *domain = bpf_map_lookup_elem(&gate_domains, &id);
        struct gate_settings *settings = get_settings();

        if (!settings || !domain || settings->objects < objects_max / 8 * 7)
                return 0;
        return domain->usage[GATE_MAPS] + domain->usage[GATE_PROGRAMS] >= objects_max / 4;
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
        u64 ceiling;
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
        set_committed(&booking, admission->allocated, admission->ceiling);
        booking.enforce = settings->enforcing && !exempt;
        if (booking.enforce && has_its_share(admission->domain))
                return fail(settings, exempt);
        if (book(admission->domain, &booking) < 0) {
                tell_refusal(&booking, admission->event, admission->type, (const char *) admission->name);
                return -ENOMEM;
        }
        if (enter_object(key, admission->domain, &booking, admission->kind, 0) == 0)
                return 0;
        unbook(admission->domain, &booking, booking.levels);
        return fail(settings, exempt);
}

/* Not part of gate_map(), whose stack frame would then be too large for 6.1 while a map is measured. */
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
        admission.ceiling = size->ceiling;
        admission.type = size->type;
        admission.name = (u64) &map->name;
        return admit_object(&admission);
}

/*
 * The map exists, with all allocations of its creation except the objcg. Returns 0 or -ENOMEM; UNDECIDED: there is no
 * limit.
 */
static __always_inline int decide_map(u64 address)
{
        struct cgroup_subsys_state *css = charged_css();
        struct size size = {};
        u64 domain;

        if (is_incomplete((u64) css))
                return -ENOMEM;
        domain = css ? find_domain((u64) css) : 0;
        if (!domain)
                return UNDECIDED;
        /*
         * Two gates decide while a new one takes over, and this entry is that of the other; or the release of an object
         * was missed.
         */
        forget_object(address, 0);
        measure_map(address, &size);
        if (css_is_uncharged(css))
                size.charged = 0;
        return admit_map(address, domain, &size) ? -ENOMEM : 0;
}

/*
 * Decides on a map of which only the attributes at @attr exist: refuses it if it certainly does not fit, before the
 * kernel allocates it. Otherwise the decision is made, and the map booked, when it exists. Returns -ENOMEM or
 * UNDECIDED.
 */
static __noinline int decide_create(u64 attr)
{
        struct booking booking = { .amount[GATE_MAPS] = 1, .enforce = 1 };
        struct gate_settings *settings = get_settings();
        struct object_record record = {};
        struct cgroup_subsys_state *css;
        u64 domain;

        if (!settings || !settings->enforcing || !create_is_large(attr))
                return UNDECIDED;
        create_bytes(attr, &record);
        css = record.allocated >= CREATE_LARGE ? charged_css() : NULL;
        domain = css ? find_domain((u64) css) : 0;
        if (!domain || is_exempt(settings))
                return UNDECIDED;
        booking.amount[GATE_ALLOCATED] = record.allocated;
        booking.amount[GATE_CHARGED] = css_is_uncharged(css) ? 0 : record.charged;
        if (would_refuse(domain, &booking) == 0)
                return UNDECIDED;
        tell_refusal(&booking, GATE_REFUSED_MAP, record.type,
                        (const char *) attr + __builtin_offsetof(struct create_attr, name));
        return -ENOMEM;
}

/*
 * Before the verifier runs, the final size of a program is not known. The estimate is the sum of its present size; of
 * 64 bytes for each instruction, for the JIT image (usually 5 to 8), line information (24) and rewritten instructions;
 * and of 8 KiB for what does not depend on its length. gate_program_loaded() replaces it. Until 6.8 the length is not
 * known either, only the pages.
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
        if (is_incomplete((u64) css))
                return -ENOMEM;
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
        admission.charged = css_is_uncharged(css) || machine.nobpf ? 0 : bytes;
        admission.allocated = bytes + insns * PROGRAM_BYTES_PER_INSN;
        admission.ceiling = admission.allocated;
        return admit_object(&admission) ? -ENOMEM : 0;
}

/*
 * Removes what is booked for a program. @address is the argument of the hook: the program, or its prog->aux, whose
 * address is the key.
 */
static __always_inline int forget_program(u64 address)
{
        struct bpf_prog *prog = (void *) address;

        return forget_object(program_by_aux ? address : (u64) BPF_CORE_READ(prog, aux), 0);
}

/* --- Growth by bpf(2) --------------------------------------------------------------------------------------------- */

/* The private data of the file behind @fd of the current process; 0: there is none. */
static __always_inline u64 private_of_fd(u32 fd)
{
        struct fdtable *fdt = bpf_get_current_task_btf()->files->fdt;
        struct file *file = NULL;

        if (fd >= fdt->max_fds)
                return 0;
        bpf_probe_read_kernel(&file, sizeof(file), &fdt->fd[fd]);
        return (u64) BPF_CORE_READ(file, private_data);
}

/* The map behind @fd of the current process, 0 if it is none. Called for each update of each map. */
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

/*
 * include/uapi/linux/bpf.h: where the number of elements and a map's descriptor are in union bpf_attr of
 * BPF_MAP_UPDATE_BATCH; for BPF_MAP_UPDATE_ELEM the latter comes first. No more is read than that, as the stack is
 * small.
 */
struct update_attr {
        u32 count, map_fd;
};
#define BATCH_OFFSET (4 * sizeof(u64)) /* in_batch, out_batch, keys, values */

/* Measures the map @address and resyncs its entry, so that replaced and deleted elements no longer count. */
__noinline int settle_map(u64 address)
{
        struct gate_entry_before before;
        struct size size = {};

        note_entry(bpf_map_lookup_elem(&gate_objects, &address), &before);
        measure_map(address, &size);
        return settle_to(address, &size, &before);
}

/*
 * A batch is on its way for longer than a moment: its window lasts a jiffy for so many elements (an element takes some
 * microseconds at most), up to some seconds.
 */
#define BATCH_PER_JIFFY 64
#define BATCH_JIFFIES   2500

static __always_inline u64 window_end(u64 now, u32 count)
{
        u64 jiffies = count / BATCH_PER_JIFFY;

        return now + (jiffies < BATCH_JIFFIES ? jiffies : BATCH_JIFFIES);
}

/*
 * Notes @bytes of @count elements that are booked in @domain with the entry @object. Returns whether the entry still
 * exists and is that of @key.
 */
static __always_inline bool note_admitted(struct gate_object *object, u64 key, u64 domain, s64 bytes, u32 count)
{
        u64 now = bpf_jiffies64(), grower = bpf_get_current_pid_tgid();
        bool noted = false, locked = lock(object);
        struct booking booking = {};

        if (object->key == key && object->domain == domain) {
                if (object->window < now) {
                        object->previous = object->window + 1 == now ? object->recent : 0;
                        object->recent = 0;
                        object->window = now;
                }
                if (window_end(now, count) > object->window)
                        object->window = window_end(now, count);
                if (object->grower != grower && object->grower)
                        object->mixed = object->window;
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
        u32 event;     /* enum gate_event_kind that reports a refusal; 0: it is not reported, because it is not final */
        u32 count;     /* of the elements */
        u32 unbounded; /* 1: the map has no ceiling that is booked already */
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
        booking.amount[GATE_COMMITTED] = growth->unbounded ? growth->bytes : 0;
        booking.slack = growth->slack;
        booking.enforce = growth->enforce;
        if (book(growth->domain, &booking) == 0)
                return 0;
        map = (void *) growth->map;
        if (growth->event) {
                BPF_CORE_READ_INTO(&booking.type, map, map_type);
                tell_refusal(&booking, growth->event, booking.type, (const char *) &map->name);
        }
        return -ENOMEM;
}

/* Books @growth of the map in its entry @object. Returns 0 or -ENOMEM. */
static __noinline int enter_growth(struct gate_object *object, struct growth *growth)
{
        u64 key = growth->map;

        if (book_growth(growth))
                return -ENOMEM;
        if (note_admitted(object, key, growth->domain, growth->bytes, growth->count))
                return 0;
        /* The entry was moved meanwhile, or is being removed: the next resync, if there is one, books the elements. */
        growth->bytes = -growth->bytes;
        growth->enforce = 0;
        book_growth(growth);
        return 0;
}

/*
 * Lets @count elements into the map at @address. @event: how a refusal is reported; 0: it is not final. With
 * GATE_KILLED_BATCH, the elements are booked even if they do not fit, because the kernel already inserts them. Returns
 * 0 or -ENOMEM.
 */
static __noinline int admit_growth(u64 address, u32 count, u32 event)
{
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &address);
        struct gate_settings *settings = get_settings();
        struct growth growth = { .map = address, .event = event, .count = count };

        if (!object || !settings)
                return 0;
        growth.bytes = growth_bytes(address, count, &growth.slack);
        growth.domain = object->domain;
        if (!growth.bytes || !growth.domain)
                return 0;
        growth.uncharged = object->uncharged;
        growth.unbounded = object->ceiling == CEILING_UNBOUNDED;
        growth.enforce = settings->enforcing && !is_exempt(settings);
        if (enter_growth(object, &growth) == 0)
                return 0;
        if (event == GATE_KILLED_BATCH) {
                growth.enforce = 0;
                enter_growth(object, &growth);
        }
        return -ENOMEM;
}

/*
 * Books @pages of the arena at @address that are being allocated, by a page fault or a BPF program: those cannot be
 * refused, but count against the next request that can.
 */
static __noinline int book_pages(u64 address, u64 pages)
{
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &address);
        struct growth growth = { .map = address, .bytes = pages * machine.page_size };

        if (!object || !object->domain)
                return 0;
        growth.domain = object->domain;
        growth.uncharged = object->uncharged;
        return enter_growth(object, &growth);
}

/* --- Batches ------------------------------------------------------------------------------------------------------ */

/* The map for which a thread's BPF_MAP_UPDATE_BATCH was admitted. */
struct judgement {
        u64 map; /* 0: there was none behind the descriptor */
        u32 count;
        u32 pending; /* the kernel has yet to find the map itself */
};

/*
 * In task storage, so that no thread can replace the entry of another. The kernel looks the descriptor up once more,
 * after the gate: another thread may have changed it meanwhile.
 */
struct {
        __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, struct judgement);
} judgements SEC(".maps");

static __always_inline void note_judgement(u64 map, u32 count)
{
        struct judgement *judgement = bpf_task_storage_get(
                        &judgements, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

        if (!judgement)
                return;
        judgement->map = map;
        judgement->count = count;
        judgement->pending = 1;
}

/*
 * The number of elements that are being inserted into the map at @address but were admitted for another map; 0: it is
 * the same map, or not known.
 */
static __always_inline u32 take_misjudged(u64 address)
{
        struct judgement *judgement = bpf_task_storage_get(&judgements, bpf_get_current_task_btf(), NULL, 0);

        if (!judgement || !judgement->pending)
                return 0;
        judgement->pending = 0;
        return judgement->map == address || !map_grows(address) ? 0 : judgement->count;
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */

/*
 * The map that BPF_MAP_UPDATE_ELEM or _BATCH inserts into, if that allocates anything; else 0. Elements that exist
 * already are counted as if they were new, until the next settlement.
 */
static __always_inline u64 updated_map(int cmd, u64 attr, const struct gate_settings *settings)
{
        struct update_attr update = { .count = 1 };
        u64 address;

        if (!settings || !settings->map_fops)
                return 0;
        if (cmd == BPF_MAP_UPDATE_ELEM)
                bpf_probe_read_kernel(&update.map_fd, sizeof(update.map_fd), (void *) attr);
        else
                bpf_probe_read_kernel(&update, sizeof(update), (void *) (attr + BATCH_OFFSET));
        address = map_of_fd(update.map_fd, settings->map_fops);
        if (cmd == BPF_MAP_UPDATE_BATCH)
                note_judgement(address, update.count);
        return address && map_grows(address) ? address : 0;
}

/* include/uapi/linux/bpf.h: where the program's descriptor is for BPF_PROG_ATTACH; for BPF_LINK_CREATE it is the first.
 */
struct attach_attr {
        u32 first, prog_fd;
};

/* MAX_BPF_CGROUP_STORAGE_TYPE */
#define STORAGES 2

/*
 * When a program is attached, possibly to a cgroup, each of its maps that store values with cgroups gets one more
 * element (kernel/bpf/cgroup.c, bpf_cgroup_storages_alloc()). Returns number @i of these maps; 0: there is none.
 * Whether the file is a program at all is not checked: what is read from another file is not the address of a map that
 * is booked.
 */
static __always_inline u64 attached_map(int cmd, u64 attr, u32 i)
{
        struct attach_attr attach = {};
        struct bpf_map *map = NULL;
        struct bpf_prog_aux *aux;
        struct bpf_prog *prog;

        bpf_probe_read_kernel(&attach, sizeof(attach), (void *) attr);
        prog = (void *) private_of_fd(cmd == BPF_PROG_ATTACH ? attach.prog_fd : attach.first);
        aux = BPF_CORE_READ(prog, aux);
        bpf_probe_read_kernel(&map, sizeof(map), &aux->cgroup_storage[i]);
        return (u64) map;
}

static __always_inline bool is_update(int cmd)
{
        return cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_UPDATE_BATCH;
}

/* Map @i that @cmd makes grow. Not inlined, for the sake of the caller's stack, which is below that of a measurement.
 */
static __noinline u64 growing_map(int cmd, u64 attr, u32 i)
{
        return is_update(cmd) ? updated_map(cmd, attr, get_settings()) : attached_map(cmd, attr, i);
}

/* By how many elements. */
static __noinline u32 growing_count(int cmd, u64 attr)
{
        struct update_attr update = { .count = 1 };

        if (cmd == BPF_MAP_UPDATE_BATCH)
                bpf_probe_read_kernel(&update, sizeof(update), (void *) (attr + BATCH_OFFSET));
        return update.count;
}

/* Elements that bpf(2) is to insert: @cmd, and its attributes at @attr. Returns as decide_map(). */
static __always_inline int decide_growth(int cmd, u64 attr)
{
        int decision = UNDECIDED;

        for (u32 i = 0; i < STORAGES; i++) {
                u64 map = growing_map(cmd, attr, i);
                u32 count;

                if (map) {
                        decision = 0;
                        count = growing_count(cmd, attr);
                        if (admit_growth(map, count, 0)) {
                                settle_map(map);
                                if (admit_growth(map, count, GATE_REFUSED_GROWTH))
                                        return -ENOMEM;
                        }
                }
                if (is_update(cmd))
                        break;
        }
        return decision;
}

/* The commands of bpf(2) that the gate looks at before they begin. */
static __always_inline bool is_growth(int cmd)
{
        return cmd == BPF_MAP_CREATE || cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_UPDATE_BATCH ||
               cmd == BPF_PROG_ATTACH || cmd == BPF_LINK_CREATE;
}

/* bpf(2) with one of these and the kernel's copy of its attributes at @attr. Returns as decide_map(). */
static __always_inline int decide_command(int cmd, u64 attr)
{
        return cmd == BPF_MAP_CREATE ? decide_create(attr) : decide_growth(cmd, attr);
}
