// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sensors: tracepoints on rss_stat and on the paths that charge BPF memory. They say that something changed, in which
 * cgroup or which object; how much is measured from the objects themselves (snapshot.bpf.c). As in the kernel's rstat
 * the write side is cheap: mark the cgroup and queue its id once, until a flush takes it. Nothing is counted. Every
 * program here is optional: the daemon loads those whose hook the kernel has.
 */
#include "kerneltypes.h"

#include <bpf/bpf_tracing.h>

#include "cgroup.h"
#include "records.h"
#include "tables.h"

char LICENSE[] SEC("license") = "GPL";

/* Addresses of bpf_map_free_deferred() and bpf_prog_free_deferred(); 0: the kernel does not tell them. */
const volatile __u64 free_functions[2];

/* The root of the memory hierarchy, which has what is uncharged. */
const volatile __u64 root_cgroup_id;

/* The daemon's own cgroup if it is alone there: what the daemon causes itself does not wake it. 0: none. */
const volatile __u64 quiet_cgroup_id;

__u32 daemon_tgid;  /* what the daemon allocates in bpf(2) for its own reading is not news to it */
__u32 dirty;        /* the daemon was woken and has not begun a flush since */
__u32 cgroups_full; /* a cgroup has no entry in its table: its removal will not be reported */
__u32 rss_full;     /* tasks moved between cgroups: the next RSS pass visits all */
struct sensor_counters sensor_counters;

/* Ids of cgroups whose RSS changed. Each is queued once and the queue is as long as the table: it cannot overflow. */
struct {
        __uint(type, BPF_MAP_TYPE_QUEUE);
        __uint(max_entries, 1024);
        __type(value, u64);
} rss_updated SEC(".maps");

/* What a CPU marked last in rss_stat. All that most events read lies in one cache line of their own CPU. */
struct rss_mark {
        u64 mm;     /* and the pass: rss_mark() */
        u64 passes; /* over RSS that have begun: what was marked for one before says nothing any more */
};

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 1);
        __type(key, u32);
        __type(value, struct rss_mark);
} rss_marks SEC(".maps");

#define UPDATES_SIZE (64 * 1024)

/* What the charge paths saw: struct update. */
struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, UPDATES_SIZE);
} updates SEC(".maps");

/* Ids of the cgroups that a flush works on. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, FLUSH_MAX);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, u64);
} flushed SEC(".maps");

static __always_inline void count_overflow(void)
{
        __sync_fetch_and_add(&sensor_counters.overflow, 1);
}

/* Whether @task, and not the daemon, is inside bpf(2): the number of the system call that it entered. */
static __always_inline bool in_bpf_syscall(struct task_struct *task)
{
        struct pt_regs *regs;

        if (task->flags & PF_KTHREAD || (u32) task->tgid == daemon_tgid)
                return false;
        regs = (struct pt_regs *) bpf_task_pt_regs(task);
        return is_bpf_syscall(regs);
}

/* Queues one update; the first one after a flush began wakes the daemon, unless it is a @quiet one. */
static __always_inline bool queue_update(u32 kind, u64 id, u64 address, bool quiet)
{
        struct update update = { .kind = kind, .id = id, .address = address };
        struct task_struct *task = bpf_get_current_task_btf();
        u64 flags = BPF_RB_NO_WAKEUP;

        if (in_bpf_syscall(task)) {
                update.pid = task->tgid;
                bpf_get_current_comm(update.comm, sizeof(update.comm));
        }
        /* Its pages are charged to the cgroup of the task that loads it (__vmalloc() with GFP_KERNEL_ACCOUNT). */
        if (kind == UPDATE_PROGRAM_NEW) {
                update.cgroup_id = own_cgroup_id();
                update.parent_id = own_parent_id();
        }
        /* Quiet updates must not fill the queue without waking the daemon. */
        if (quiet && bpf_ringbuf_query(&updates, BPF_RB_AVAIL_DATA) > UPDATES_SIZE / 2)
                quiet = false;
        if (!quiet && !dirty && !__sync_lock_test_and_set(&dirty, 1)) {
                flags = BPF_RB_FORCE_WAKEUP;
                __sync_fetch_and_add(&sensor_counters.wakeups, 1);
        }
        if (bpf_ringbuf_output(&updates, &update, sizeof(update), flags) == 0)
                return true;
        /* The daemon was not woken: the next update has to try again. */
        if (flags == BPF_RB_FORCE_WAKEUP)
                dirty = 0;
        count_overflow();
        return false;
}

static __always_inline struct cgroup_state *cgroup_state(u64 id)
{
        struct cgroup_state *state = bpf_map_lookup_elem(&cgroups, &id);

        if (!state) {
                struct cgroup_state clean = {};

                bpf_map_update_elem(&cgroups, &id, &clean, BPF_NOEXIST);
                state = bpf_map_lookup_elem(&cgroups, &id);
                if (!state)
                        cgroups_full = 1;
        }
        return state;
}

/*
 * RSS changes all the time on a living host: it is only queued, and waits until somebody asks. Returns whether it is
 * queued now; if not, the next pass visits all tasks, and the next change has to be queued again.
 */
static __always_inline bool mark_rss(u64 id)
{
        struct cgroup_state *state = cgroup_state(id);

        if (!state) {
                rss_full = 1;
                return false;
        }
        if (state->updated & CGROUP_UPDATED_RSS ||
                        __sync_fetch_and_or(&state->updated, CGROUP_UPDATED_RSS) & CGROUP_UPDATED_RSS)
                return true;
        if (bpf_map_push_elem(&rss_updated, &id, 0) == 0)
                return true;
        __sync_fetch_and_and(&state->updated, ~CGROUP_UPDATED_RSS);
        rss_full = 1;
        return false;
}

/*
 * @mm and the pass of @mark, in one word, so that a task that is preempted between two stores leaves no mixture of two.
 * Of the address all but 16 bits remain, which are the same in all of the kernel's; the verifier allows no arithmetic
 * on it but the distance to another one.
 */
static __always_inline u64 rss_mark(const struct mm_struct *mm, const struct rss_mark *mark)
{
        u64 passes = *(const volatile u64 *) &mark->passes;

        return ((u64) mm - (u64) mark) << 16 | (passes & 0xffff);
}

/* Not inlined: a dozen programs have it. */
static __noinline void mark_charge(u64 id)
{
        struct cgroup_state *state;

        if (!id)
                id = root_cgroup_id;
        state = cgroup_state(id);
        if (!state) {
                /* The table is full: the entry has no flag that would hold it back, so it is queued each time. */
                queue_update(UPDATE_CGROUP_CHARGE, id, 0, id == quiet_cgroup_id);
                return;
        }
        if (state->updated & CGROUP_UPDATED_CHARGE ||
                        __sync_fetch_and_or(&state->updated, CGROUP_UPDATED_CHARGE) & CGROUP_UPDATED_CHARGE)
                return;
        if (!queue_update(UPDATE_CGROUP_CHARGE, id, 0, id == quiet_cgroup_id))
                __sync_fetch_and_and(&state->updated, ~CGROUP_UPDATED_CHARGE);
}

static __always_inline u64 objcg_cgroup_id(struct obj_cgroup *objcg)
{
        return objcg ? memcg_cgroup_id(BPF_CORE_READ(objcg, memcg)) : 0;
}

/* --- rss_stat ----------------------------------------------------------------------------------------------------- */

/*
 * include/trace/events/kmem.h. Only the mm is read: its owner is whose memory it is, as reclaim and khugepaged work on
 * other people's. While a process exits it has none; sched_process_exit tells. Nearly all events of a CPU are of the mm
 * that it has marked already, and end with a comparison. Another process or another cgroup comes to an mm of the same
 * address by one of the hooks below, which mark for themselves.
 */
SEC("tp_btf/rss_stat")
int BPF_PROG(rss_stat, struct mm_struct *mm)
{
        struct task_struct *owner;
        struct rss_mark *mark;
        u32 key = 0;
        u64 now;

        mark = bpf_map_lookup_elem(&rss_marks, &key);
        if (!mark)
                return 0;
        now = rss_mark(mm, mark);
        if (mark->mm == now)
                return 0;
        owner = mm->owner;
        if (owner && mark_rss(owner->cgroups->subsys[memory_subsys()]->cgroup->kn->id))
                mark->mm = now;
        return 0;
}

/* A child gets its cgroup after its mm was copied (kernel/fork.c), so rss_stat took it for the root's. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
        mark_rss(child->cgroups->subsys[memory_subsys()]->cgroup->kn->id);
        return 0;
}

/* The mm is a new one, and that of before is left. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task)
{
        mark_rss(task->cgroups->subsys[memory_subsys()]->cgroup->kn->id);
        return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
        mark_rss(task->cgroups->subsys[memory_subsys()]->cgroup->kn->id);
        return 0;
}

/* Where the task came from is not reported: rare enough for a pass over all tasks. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach_task)
{
        rss_full = 1;
        return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup)
{
        u64 id = cgroup->kn->id;

        /* Ids are unique within a hierarchy only; the daemon asks the memory hierarchy whether it is really gone. */
        if (bpf_map_lookup_elem(&cgroups, &id))
                queue_update(UPDATE_CGROUP_GONE, id, 0, true);
        return 0;
}

/* --- Charge paths: tracepoints ------------------------------------------------------------------------------------ */

/*
 * Whether the tracepoint with arguments @ctx is hit in an interrupt: they lie on the stack in use, and interrupts have
 * one of their own. BPF's allocator fills its caches there, on behalf of an object's creator and not of @task.
 */
static __always_inline bool in_interrupt(void *ctx, struct task_struct *task)
{
        return address_of(ctx) - (u64) task->stack >= THREAD_SIZE;
}

/* The cgroup that an allocation made now by BPF is charged to: the creator's if BPF set it, else that of the caller. */
static __always_inline u64 charging_cgroup_id(void)
{
        struct mem_cgroup *memcg = bpf_get_current_task_btf()->active_memcg;

        return memcg ? memcg_cgroup_id(memcg) : own_cgroup_id();
}

/* Whether @task is a worker that frees a map or a program; if their functions are not known, any worker may be. */
static __always_inline bool is_freeing(struct task_struct *task)
{
        struct kthread *kthread;
        struct worker *worker;
        u64 function;

        if (!(task->flags & PF_WQ_WORKER))
                return false;
        if (!free_functions[0])
                return true;
        kthread = task->worker_private;
        worker = BPF_CORE_READ(kthread, data);
        function = (u64) BPF_CORE_READ(worker, current_func);
        return function == free_functions[0] || function == free_functions[1];
}

/*
 * mm/memcontrol.c, since 6.15: pages charged to or taken off a memcg. Every kind of kernel memory passes here, so the
 * item comes first, then the question whether BPF may be at work: inside bpf(2), on behalf of an object
 * (set_active_memcg()), in the interrupt that fills a cache of elements, or in a worker that frees
 * (bpf_map_free_deferred(), bpf_prog_free_deferred()). A wrong yes costs a flush that finds nothing.
 */
SEC("tp_btf/mod_memcg_state")
int BPF_PROG(mod_memcg_state, struct mem_cgroup *memcg, int item, int pages)
{
        struct task_struct *task;
        bool bpf;

        if ((u64) item != bpf_core_enum_value(enum memcg_stat_item, MEMCG_KMEM))
                return 0;
        task = bpf_get_current_task_btf();
        bpf = (pages < 0 && is_freeing(task)) || (pages > 0 && in_interrupt(ctx, task)) || task->active_memcg ||
              in_bpf_syscall(task);
        if (bpf)
                mark_charge(memcg->css.cgroup->kn->id);
        return 0;
}

/* mm/percpu.c. The elements of pre-allocated per-CPU maps come this way and are uncharged (doc/ACCOUNTING.md).
 */
SEC("tp_btf/percpu_alloc_percpu")
int BPF_PROG(percpu_alloc_percpu)
{
        struct task_struct *task = bpf_get_current_task_btf();

        if (task->active_memcg || in_bpf_syscall(task))
                mark_charge(charging_cgroup_id());
        return 0;
}

/* --- Charge paths: functions (trampolines) ------------------------------------------------------------------------ */

/*
 * A map gets its objcg and its id after the allocations of its creation: until then the caller's cgroup is the one.
 * Later a map without objcg is uncharged.
 */
static __always_inline void mark_map(struct bpf_map *map)
{
        struct obj_cgroup *objcg = map->objcg;
        u64 id = objcg || map->id ? objcg_cgroup_id(objcg) : charging_cgroup_id();

        mark_charge(id);
}

SEC("fentry/bpf_map_area_alloc")
int BPF_PROG(bpf_map_area_alloc)
{
        mark_charge(charging_cgroup_id());
        return 0;
}

SEC("fentry/bpf_map_alloc_percpu")
int BPF_PROG(bpf_map_alloc_percpu, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

SEC("fentry/bpf_map_kvcalloc")
int BPF_PROG(bpf_map_kvcalloc, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

/* Local storage and others: elements by one or two more functions, by kernel version. */
SEC("fentry/bpf_map_kzalloc")
int BPF_PROG(bpf_map_kzalloc, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

/* In 6.18, not in 6.12. */
SEC("fentry/bpf_map_kmalloc_nolock")
int BPF_PROG(bpf_map_kmalloc_nolock, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

SEC("fentry/bpf_map_kmalloc_node")
int BPF_PROG(bpf_map_kmalloc_node, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

/* Arena pages, since 6.9. */
SEC("fentry/bpf_map_alloc_pages")
int BPF_PROG(bpf_map_alloc_pages, struct bpf_map *map)
{
        mark_map(map);
        return 0;
}

/* kernel/bpf/memalloc.c: the interrupt that fills a cache of elements, on behalf of the map's creator. */
SEC("fentry/bpf_mem_refill")
int BPF_PROG(bpf_mem_refill, struct irq_work *work)
{
        struct bpf_mem_cache *cache = (void *) address_of(work) -
                                      bpf_core_field_offset(struct bpf_mem_cache, refill_work);

        mark_charge(objcg_cgroup_id(BPF_CORE_READ(cache, objcg)));
        return 0;
}

/*
 * Creation and release. The functions that do it, bpf_map_new_fd() and bpf_map_free_id() and those of programs, are
 * inlined into their callers in Debian's kernels and so cannot be hooked; these are in other files and cannot be
 * inlined.
 */

/* The last step of creation, when the id is there; also of opening by id or by pin: then somebody else holds it, too.
 */
SEC("fentry/security_bpf_map")
int BPF_PROG(security_bpf_map, struct bpf_map *map)
{
        if (map->refcnt.counter == 1)
                queue_update(UPDATE_MAP_NEW, map->id, address_of(map), false);
        return 0;
}

/* From the worker that frees, after a grace period; the id is gone by then, the address tells. */
SEC("fentry/security_bpf_map_free")
int BPF_PROG(security_bpf_map_free, struct bpf_map *map)
{
        queue_update(UPDATE_MAP_FREED, 0, address_of(map), false);
        return 0;
}

/* kernel/events/core.c: at the end of load, and before the id is given back. */
SEC("fentry/perf_event_bpf_event")
int BPF_PROG(perf_event_bpf_event, struct bpf_prog *prog, u32 type)
{
        if (type == PERF_BPF_EVENT_PROG_LOAD)
                queue_update(UPDATE_PROGRAM_NEW, prog->aux->id, address_of(prog), false);
        else if (type == PERF_BPF_EVENT_PROG_UNLOAD)
                queue_update(UPDATE_PROGRAM_FREED, prog->aux->id, address_of(prog), false);
        return 0;
}

/* --- Flush -------------------------------------------------------------------------------------------------------- */

static int clean_one(u32 index, void *context)
{
        u64 *id = bpf_map_lookup_elem(&flushed, &index);
        struct flush_request *request = context;
        struct cgroup_state *state;

        if (!id)
                return 1;
        state = bpf_map_lookup_elem(&cgroups, id);
        if (state) {
                if (request->taken & CGROUP_UPDATED_RSS)
                        state->rss_epoch = request->epoch;
                __sync_fetch_and_and(&state->updated, ~request->taken);
        }
        return 0;
}

/* Begins another pass over RSS on a CPU. When the numbers come round, it forgets what it had 65,536 of them ago. */
static int begin_rss_pass(u32 cpu, void *unused)
{
        u32 key = 0;
        struct rss_mark *mark = bpf_map_lookup_percpu_elem(&rss_marks, &key, cpu);

        if (mark && (__sync_add_and_fetch(&mark->passes, 1) & 0xffff) == 0)
                mark->mm = 0;
        return 0;
}

/* The daemon runs this once: its thread group as the kernel numbers it, whatever PID namespace it is in. */
SEC("syscall")
int introduce_daemon(void *unused)
{
        daemon_tgid = bpf_get_current_pid_tgid() >> 32;
        return 0;
}

/*
 * Marks the cgroups in flushed[0..count) clean: those that the daemon took from a queue, and will measure. What happens
 * from here on queues them again.
 */
SEC("syscall")
int clean_cgroups(struct flush_request *request)
{
        struct flush_request local = *request;

        bpf_loop(local.count, clean_one, &local, 0);
        /* They are clean now, and nothing of them is read yet. */
        if (local.taken & CGROUP_UPDATED_RSS)
                bpf_loop(machine.cpu_ids, begin_rss_pass, NULL, 0);
        return 0;
}
