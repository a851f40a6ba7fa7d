// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: refuses creation of maps, load of programs, and growth of maps by bpf(2), when a limit of the charged
 * cgroup or of one above would be passed. This file has its hooks, and the programs that the daemon runs. gatebooks.h
 * does the booking, gatedecisions.h decides.
 *
 * The hooks are those of the LSM or, if bpf is not among the LSMs, the functions that call them (fmod_ret); the daemon
 * selects them (daemon/enforce/gate.c). The tables are pinned, and remain in force without the daemon. Where fmod_ret
 * programs are not reliable, the fallback programs of gatefallback.h decide before the hooks.
 */
#include "kerneltypes.h"

#include <bpf/bpf_tracing.h>

#include "gatebooks.h"
#include "gatecgroups.h"
#include "gatedecisions.h"
#include "gatefallback.h"

char LICENSE[] SEC("license") = "GPL";

/* --- Creation ----------------------------------------------------------------------------------------------------- */

/* security_bpf_map_alloc() in 6.1, security_bpf_map_create() since 6.9; only the first argument is read, so it does not
 * matter which others follow. */
SEC("fmod_ret/security_bpf_map_create")
int BPF_PROG(gate_map, struct bpf_map *trusted)
{
        int decision = take_decision(false);

        if (decision == UNDECIDED)
                decision = decide_map(address_of(trusted));
        return decision < 0 ? -ENOMEM : 0;
}

SEC("fmod_ret/security_bpf_prog_load")
int BPF_PROG(gate_program, struct bpf_prog *trusted)
{
        int decision = take_decision(false);

        if (decision == UNDECIDED)
                decision = decide_program(address_of(trusted));
        return decision < 0 ? -ENOMEM : 0;
}

/* kernel/events/core.c, at the end of a load: what the program really takes replaces the estimate at once. */
SEC("fentry/perf_event_bpf_event")
int BPF_PROG(gate_program_loaded, struct bpf_prog *trusted, u32 event_type)
{
        u64 address = address_of(trusted), key;
        struct bpf_prog *prog = (void *) address;
        struct gate_entry_before before;
        struct gate_object *object;
        struct size size = {};

        if (event_type != PERF_BPF_EVENT_PROG_LOAD)
                return 0;
        key = (u64) BPF_CORE_READ(prog, aux);
        object = bpf_map_lookup_elem(&gate_objects, &key);
        if (!object)
                return 0;
        note_entry(object, &before);
        measure_program(address, &size);
        return settle_to(key, &size, &before);
}

/* --- Release ------------------------------------------------------------------------------------------------------ */

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

/* --- Before bpf(2) begins: growth, and maps that cannot fit ------------------------------------------------------- */

SEC("fmod_ret/security_bpf")
int BPF_PROG(gate_update, int cmd, union bpf_attr *trusted)
{
        int decision = take_decision(false);

        if (!is_growth(cmd))
                return 0;
        if (decision == UNDECIDED)
                decision = decide_command(cmd, address_of(trusted));
        return decision < 0 ? -ENOMEM : 0;
}

/*
 * kernel/bpf/syscall.c: where the kernel has found the map of BPF_MAP_UPDATE_BATCH. The batch can no longer be refused.
 * If this is not the map for which it was admitted, and the batch does not fit, its elements are booked and the process
 * is killed, which frees them.
 */
#define SIGKILL 9

SEC("fentry/generic_map_update_batch")
int BPF_PROG(gate_batch, struct bpf_map *trusted)
{
        u64 address = address_of(trusted);
        u32 count = take_misjudged(address);

        if (!count || admit_growth(address, count, 0) == 0)
                return 0;
        settle_map(address);
        if (admit_growth(address, count, GATE_KILLED_BATCH) < 0)
                bpf_send_signal(SIGKILL);
        return 0;
}

/* --- What cannot be refused --------------------------------------------------------------------------------------- */

/* Which argument of bpf_map_alloc_pages() is nr_pages; set by the daemon. */
const volatile __u32 pages_argument;

/* kernel/bpf/syscall.c, for kernel/bpf/arena.c: page faults and bpf_arena_alloc_pages(). */
SEC("fentry/bpf_map_alloc_pages")
int BPF_PROG(gate_pages, struct bpf_map *trusted)
{
        u64 pages = 0;

        if (bpf_get_func_arg(ctx, pages_argument, &pages) == 0)
                book_pages(address_of(trusted), pages);
        return 0;
}

/* --- The daemon's side -------------------------------------------------------------------------------------------- */

/* The number of new cgroups that were not reported to the daemon because the ring was full. */
__u64 cgroups_untold = 0;

/* The daemon adds what the path does not tell. */
__noinline int tell_new_cgroup(u64 id)
{
        struct gate_event event = { .kind = GATE_CGROUP_NEW, .cgroup_id = id };

        if (bpf_ringbuf_output(&gate_events, &event, sizeof(event), 0) < 0)
                __sync_fetch_and_add(&cgroups_untold, 1);
        return 0;
}

/* Before kernfs_activate() (kernel/cgroup/cgroup.c): nobody can open or enter the cgroup yet. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(gate_mkdir, struct cgroup *trusted)
{
        struct cgroup *cgroup = (void *) address_of(trusted);

        if (!is_memory_cgroup(cgroup))
                return 0;
        enter_cgroup((u64) cgroup);
        return tell_new_cgroup(BPF_CORE_READ(cgroup, kn, id));
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(gate_rmdir, struct cgroup *trusted)
{
        struct cgroup *cgroup = (void *) address_of(trusted);

        return is_memory_cgroup(cgroup) ? leave_cgroup(BPF_CORE_READ(cgroup, kn, id)) : 0;
}

/* The daemon runs this once, to tell the gate its thread group, and how to recognize the files of maps. */
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

/*
 * Enters an object that existed before the gate, or was created while the table was full. Returns 0 if it could not be
 * entered.
 */
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
        set_committed(&booking, settlement->allocated, settlement->ceiling);
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
        settlement->ceiling = size.ceiling;
        return 0;
}

/* Whether a cgroup is charged for the map at @address by now. */
static __always_inline bool map_is_charged(u64 address)
{
        struct bpf_map *map = (void *) address;
        struct obj_cgroup *objcg = BPF_CORE_READ(map, objcg);
        struct mem_cgroup *memcg = objcg ? BPF_CORE_READ(objcg, memcg) : NULL;

        return memcg && !css_is_uncharged(&memcg->css);
}

/*
 * Whether the daemon saw the map of @object while it was being made: it can be found by its id before its charged
 * cgroup is set (map_create(), kernel/bpf/syscall.c), and appears uncharged. It will be reported again; until then it
 * stays in the domain of its creator, even if its creation is complete when the daemon gets here.
 */
static __always_inline bool was_seen_early(const struct gate_object *object, const struct gate_settlement *settlement)
{
        return object->kind == OBJECT_MAP && !object->uncharged && settlement->measure == GATE_MEASURE_NOBODYS &&
               (!object->id || map_is_charged(settlement->address));
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
                /* The existing object counts, whatever the daemon says. */
                if (!is_there)
                        forget_object(key, settlement->id);
                return 0;
        }
        if (!is_there)
                return 0;
        note_entry(bpf_map_lookup_elem(&gate_objects, &key), &settlement->before);
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
                if (request->error == 0)
                        count_domain(1);
                return 0;
        }
        if (domain->parent != local.domain.parent) {
                request->error = -EEXIST;
                return 0;
        }
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                domain->max[i] = local.domain.max[i];
        domain->path = local.domain.path;
        domain->retired = local.domain.retired;
        return 0;
}

/* Resyncs the first count entries of settlements; run by the daemon, not attached. */
SEC("syscall")
int settle_objects(struct gate_settle_request *request)
{
        bpf_loop(request->count, settle_one, NULL, 0);
        return 0;
}
