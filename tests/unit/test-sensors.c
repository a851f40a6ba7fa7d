/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sensors (bpf/sensors.bpf.c) mark, queue and wake for, by the file itself, compiled for this machine: also
 * those whose hook takes BPF trampolines. On a real kernel: tests/kernel/test-monitor.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake-bpf.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
/* What the daemon sets before it loads the programs is read-only for them, and set by the tests. */
#define const
#include "bpf/percpu.h"
#include "bpf/sensors.bpf.c"
#undef const
#pragma GCC diagnostic pop

#define CPUS      3
#define ROOT      5
#define PAGE_SIZE 4096

/* The kernel's, as its headers have them. */
#define KTHREAD     0x00200000
#define WQ_WORKER   0x00000020
#define STACK_BYTES 16384
#define LOADED      1
#define UNLOADED    2

/* --- Cgroups and tasks -------------------------------------------------------------------------------------------- */

/* A memory cgroup as the kernel has it, with what of it leads to its id. */
struct fake_memcg {
        struct kernfs_node node;
        struct cgroup cgroup;
        struct mem_cgroup memcg;
        struct obj_cgroup objcg;
};

/* A task with its css_set, of which only the place of the memory controller is filled. */
struct fake_task {
        struct task_struct task;
        struct css_set *set;
        struct pt_regs regs;
};

#define BPF_SYSCALL   321
#define OTHER_SYSCALL 322

static void memcg_init(struct fake_memcg *fake, u64 id)
{
        fake->node.id = id;
        fake->cgroup.kn = &fake->node;
        fake->memcg.css.cgroup = &fake->cgroup;
        fake->objcg.memcg = &fake->memcg;
}

static struct fake_memcg own, active, other, objcgs;
static struct fake_task current, someone;

static void task_init(struct fake_task *fake, struct fake_memcg *memcg, u32 tgid)
{
        static u64 sets[2][1 + memory_cgrp_id];
        u64 *set = sets[fake == &current];

        memset(fake, 0, sizeof(*fake));
        set[memory_cgrp_id] = (u64) &memcg->memcg.css;
        fake->set = (void *) set;
        fake->task.cgroups = fake->set;
        fake->task.tgid = tgid;
        fake->regs.orig_ax = OTHER_SYSCALL;
        fake->task.stack = (void *) 0x7000000;
}

/* --- Helpers of BPF ----------------------------------------------------------------------------------------------- */

struct state_entry {
        u64 id;
        struct cgroup_state state;
};

static struct {
        struct state_entry states[8];
        size_t state_count, state_max;
        u64 rss_queue[8];
        size_t rss_count;
        bool rss_queue_full, ring_full;
        struct update queued[16];
        u64 flags[16];
        size_t queued_count;
        u64 waiting; /* bytes in the ring buffer */
        u64 flushed[FLUSH_MAX];
        u64 percpu[CPUS][8]; /* a piece of per-CPU memory, and the element of cpu_mark in it */
        struct rss_mark rss_marks[CPUS];
        u32 cpu;        /* that the handlers run on */
        size_t lookups; /* in the table of cgroups */
        u32 clean_at;   /* number of the pass when a cgroup was marked clean */
} fake;

bool fake_type_exists(const char *type)
{
        (void) type;
        return true;
}

static struct cgroup_state *find_state(u64 id)
{
        for (size_t i = 0; i < fake.state_count; i++)
                if (fake.states[i].id == id)
                        return &fake.states[i].state;
        return NULL;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
        if (map == &cgroups) {
                fake.lookups++;
                return find_state(*(const u64 *) key);
        }
        if (map == &rss_marks)
                return &fake.rss_marks[fake.cpu];
        assert_ptr_equal(map, &flushed);
        fake.clean_at = fake.rss_marks[0].passes;
        return *(const u32 *) key < FLUSH_MAX ? &fake.flushed[*(const u32 *) key] : NULL;
}

/* cpu_mark has its element at the end of the piece, by which percpu.h finds the rest. */
void *bpf_map_lookup_percpu_elem(void *map, const void *key, u32 cpu)
{
        (void) key;
        if (map == &rss_marks)
                return cpu < CPUS ? &fake.rss_marks[cpu] : NULL;
        assert_ptr_equal(map, &cpu_mark);
        return cpu < CPUS ? &fake.percpu[cpu][7] : NULL;
}

long bpf_map_update_elem(void *map, const void *key, const void *value, u64 flags)
{
        u64 id = *(const u64 *) key;
        struct cgroup_state *state = find_state(id);

        assert_ptr_equal(map, &cgroups);
        if (state && flags == BPF_NOEXIST)
                return -17;
        if (!state && fake.state_count == fake.state_max)
                return -7;
        if (!state) {
                fake.states[fake.state_count].id = id;
                state = &fake.states[fake.state_count++].state;
        }
        memcpy(state, value, sizeof(*state));
        return 0;
}

long bpf_map_push_elem(void *map, const void *value, u64 flags)
{
        assert_ptr_equal(map, &rss_updated);
        assert_int_equal(flags, 0);
        if (fake.rss_queue_full)
                return -7;
        fake.rss_queue[fake.rss_count++] = *(const u64 *) value;
        return 0;
}

long bpf_loop(u32 count, int (*function)(u32 index, void *context), void *context, u64 flags)
{
        assert_int_equal(flags, 0);
        assert_true(count > 0);
        for (u32 i = 0; i < count; i++)
                if (function(i, context) != 0)
                        return i + 1;
        return count;
}

struct task_struct *bpf_get_current_task_btf(void)
{
        return &current.task;
}

long bpf_task_pt_regs(struct task_struct *task)
{
        assert_ptr_equal(task, &current.task);
        return (long) &current.regs;
}

long bpf_get_current_comm(void *buffer, u32 size)
{
        memset(buffer, 0, size);
        strcpy(buffer, "loader");
        return 0;
}

u64 bpf_get_current_pid_tgid(void)
{
        return (u64) current.task.tgid << 32 | 99;
}

u64 bpf_ringbuf_query(void *map, u64 flags)
{
        assert_ptr_equal(map, &updates);
        assert_int_equal(flags, BPF_RB_AVAIL_DATA);
        return fake.waiting;
}

long bpf_ringbuf_output(void *map, void *data, u64 size, u64 flags)
{
        assert_ptr_equal(map, &updates);
        assert_int_equal(size, sizeof(struct update));
        if (fake.ring_full)
                return -11;
        memcpy(&fake.queued[fake.queued_count], data, size);
        fake.flags[fake.queued_count++] = flags;
        return 0;
}

/* --- Set up ------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
        (void) state;
        memset(&fake, 0, sizeof(fake));
        fake.state_max = 8;
        memcg_init(&own, 100);
        memcg_init(&active, 200);
        memcg_init(&other, 300);
        memcg_init(&objcgs, 400);
        task_init(&current, &own, 1000);
        task_init(&someone, &other, 2000);
        machine = (struct machine_settings){ .page_size = PAGE_SIZE, .possible_cpus = 2, .cpu_ids = CPUS };
        free_functions[0] = 0x5000;
        free_functions[1] = 0x6000;
        root_cgroup_id = ROOT;
        quiet_cgroup_id = 0;
        daemon_tgid = 77;
        dirty = rss_full = 0;
        sensor_counters = (struct sensor_counters){};
        return 0;
}

/* That one update is queued, and of what. */
static struct update *queued_one(u32 kind, u64 id)
{
        assert_int_equal(fake.queued_count, 1);
        assert_int_equal(fake.queued[0].kind, kind);
        assert_int_equal(fake.queued[0].id, id);
        return &fake.queued[0];
}

/* That @id has been marked for a charge, and nobody else. */
static void assert_charged(u64 id)
{
        assert_int_equal(queued_one(UPDATE_CGROUP_CHARGE, id)->address, 0);
        assert_int_equal(fake.state_count, 1);
        assert_int_equal(find_state(id)->updated, CGROUP_UPDATED_CHARGE);
        setup(NULL);
}

static void assert_nothing(void)
{
        assert_int_equal(fake.queued_count, 0);
        assert_int_equal(fake.state_count, 0);
        assert_int_equal(fake.rss_count, 0);
        assert_int_equal(dirty, 0);
        setup(NULL);
}

/* --- The queue ---------------------------------------------------------------------------------------------------- */

/* The first update wakes the daemon, those until it begins a flush do not. */
static void test_wake(void **state)
{
        (void) state;
        assert_true(queue_update(UPDATE_MAP_FREED, 0, 0x1234, false));
        assert_int_equal(queued_one(UPDATE_MAP_FREED, 0)->address, 0x1234);
        assert_int_equal(fake.flags[0], BPF_RB_FORCE_WAKEUP);
        assert_int_equal(dirty, 1);
        assert_int_equal(sensor_counters.wakeups, 1);
        assert_true(queue_update(UPDATE_MAP_FREED, 0, 0x1234, false));
        assert_int_equal(fake.flags[1], BPF_RB_NO_WAKEUP);
        assert_int_equal(sensor_counters.wakeups, 1);
        dirty = 0;
        assert_true(queue_update(UPDATE_MAP_FREED, 0, 0x1234, false));
        assert_int_equal(fake.flags[2], BPF_RB_FORCE_WAKEUP);
        assert_int_equal(sensor_counters.wakeups, 2);
        assert_int_equal(sensor_counters.overflow, 0);
}

/* A quiet one does not, unless the queue is half full. */
static void test_quiet(void **state)
{
        (void) state;
        fake.waiting = 65536 / 2;
        assert_true(queue_update(UPDATE_CGROUP_GONE, 5, 0, true));
        assert_int_equal(fake.flags[0], BPF_RB_NO_WAKEUP);
        assert_int_equal(dirty, 0);
        assert_int_equal(sensor_counters.wakeups, 0);
        fake.waiting++;
        assert_true(queue_update(UPDATE_CGROUP_GONE, 5, 0, true));
        assert_int_equal(fake.flags[1], BPF_RB_FORCE_WAKEUP);
        assert_int_equal(dirty, 1);
}

/* What does not fit into the queue is counted; whoever was to wake the daemon leaves that to the next. */
static void test_overflow(void **state)
{
        (void) state;
        fake.ring_full = true;
        assert_false(queue_update(UPDATE_MAP_FREED, 0, 1, false));
        assert_int_equal(sensor_counters.overflow, 1);
        assert_int_equal(dirty, 0);
        dirty = 1;
        assert_false(queue_update(UPDATE_MAP_FREED, 0, 1, false));
        assert_int_equal(sensor_counters.overflow, 2);
        assert_int_equal(dirty, 1);
        assert_int_equal(fake.queued_count, 0);
}

/* Who did it is whoever is inside bpf(2), and not the daemon or a kernel thread. */
static void test_who(void **state)
{
        static const struct {
                unsigned long syscall;
                u32 flags, tgid;
                bool known;
        } cases[] = {
                { BPF_SYSCALL, 0, 1000, true },
                { 357, 0, 1000, true }, /* i386 */
                { OTHER_SYSCALL, 0, 1000, false },
                { BPF_SYSCALL, KTHREAD, 1000, false },
                { BPF_SYSCALL, 0, 77, false },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct update *update;

                setup(NULL);
                current.regs.orig_ax = cases[i].syscall;
                current.task.flags = cases[i].flags;
                current.task.tgid = cases[i].tgid;
                queue_update(UPDATE_MAP_NEW, 5, 6, false);
                update = queued_one(UPDATE_MAP_NEW, 5);
                assert_int_equal(update->pid, cases[i].known ? cases[i].tgid : 0);
                assert_string_equal(update->comm, cases[i].known ? "loader" : "");
                assert_int_equal(update->cgroup_id, 0);
        }
        setup(NULL);
        queue_update(UPDATE_PROGRAM_NEW, 5, 6, false);
        assert_int_equal(queued_one(UPDATE_PROGRAM_NEW, 5)->cgroup_id, 100);
        assert_int_equal(queued_one(UPDATE_PROGRAM_NEW, 5)->parent_id, 0);
        setup(NULL);
        own.memcg.css.parent = &other.memcg.css;
        queue_update(UPDATE_PROGRAM_NEW, 5, 6, false);
        assert_int_equal(queued_one(UPDATE_PROGRAM_NEW, 5)->parent_id, 300);
        own.memcg.css.parent = NULL;
}

static void test_introduce(void **state)
{
        (void) state;
        current.task.tgid = 4321;
        introduce_daemon(NULL);
        assert_int_equal(daemon_tgid, 4321);
}

/* --- Charges ------------------------------------------------------------------------------------------------------ */

/* A cgroup is queued once until a flush takes it. */
static void test_mark_charge(void **state)
{
        (void) state;
        mark_charge(50);
        mark_charge(50);
        queued_one(UPDATE_CGROUP_CHARGE, 50);
        /* Queued for its RSS is something else. */
        find_state(50)->updated = CGROUP_UPDATED_RSS;
        mark_charge(50);
        assert_int_equal(fake.queued_count, 2);
        assert_int_equal(find_state(50)->updated, CGROUP_UPDATED_RSS | CGROUP_UPDATED_CHARGE);
}

static void test_mark_nobody(void **state)
{
        (void) state;
        mark_charge(0);
        assert_charged(ROOT);
}

/* What could not be queued is queued by the next charge. */
static void test_mark_charge_overflow(void **state)
{
        (void) state;
        fake.ring_full = true;
        find_state(50);
        mark_charge(50);
        assert_int_equal(find_state(50)->updated, 0);
        assert_int_equal(sensor_counters.overflow, 1);
        find_state(50)->updated = CGROUP_UPDATED_RSS;
        mark_charge(50);
        assert_int_equal(find_state(50)->updated, CGROUP_UPDATED_RSS);
        fake.ring_full = false;
        mark_charge(50);
        queued_one(UPDATE_CGROUP_CHARGE, 50);
}

/* Without an entry in the table it is queued each time. */
static void test_mark_charge_table_full(void **state)
{
        (void) state;
        fake.state_max = 0;
        mark_charge(50);
        mark_charge(50);
        assert_int_equal(fake.queued_count, 2);
        assert_int_equal(fake.queued[1].id, 50);
        assert_int_equal(fake.queued[1].address, 0);
        assert_int_equal(sensor_counters.wakeups, 1);
        setup(NULL);
        fake.state_max = 0;
        quiet_cgroup_id = 50;
        mark_charge(50);
        assert_int_equal(sensor_counters.wakeups, 0);
}

/* The daemon's own cgroup does not wake it. */
static void test_mark_quiet(void **state)
{
        (void) state;
        quiet_cgroup_id = 50;
        mark_charge(50);
        assert_int_equal(fake.flags[0], BPF_RB_NO_WAKEUP);
        mark_charge(51);
        assert_int_equal(fake.flags[1], BPF_RB_FORCE_WAKEUP);
}

/* Pages of kernel memory count when BPF may have taken them. */
static void test_memcg_state(void **state)
{
        struct worker worker = { .current_func = (void *) 0x5000 };
        struct kthread kthread = { .data = &worker };
        unsigned long long *stack = current.task.stack;

        (void) state;
        /* @ctx lies on the task's stack, unless in an interrupt. */
        current.regs.orig_ax = BPF_SYSCALL;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, 3);
        assert_charged(300);
        current.regs.orig_ax = BPF_SYSCALL;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, -2);
        assert_charged(300);
        current.regs.orig_ax = BPF_SYSCALL;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM + 1, 3);
        assert_nothing();
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, 3);
        assert_nothing();

        current.task.active_memcg = &active.memcg;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, 1);
        assert_charged(300);

        /* The last byte of the stack, and what is beyond its end and before its beginning. */
        mod_memcg_state((void *) ((char *) stack + STACK_BYTES - 1), &other.memcg, MEMCG_KMEM, 1);
        assert_nothing();
        mod_memcg_state((void *) ((char *) stack + STACK_BYTES), &other.memcg, MEMCG_KMEM, 1);
        assert_charged(300);
        mod_memcg_state((void *) ((char *) stack - 8), &other.memcg, MEMCG_KMEM, 1);
        assert_charged(300);
        mod_memcg_state((void *) ((char *) stack + STACK_BYTES), &other.memcg, MEMCG_KMEM, -1);
        assert_nothing();
        mod_memcg_state((void *) ((char *) stack + STACK_BYTES), &other.memcg, MEMCG_KMEM, 0);
        assert_nothing();

        /* A worker that frees. */
        current.task.flags = KTHREAD | WQ_WORKER;
        current.task.worker_private = &kthread;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, -1);
        assert_charged(300);
        current.task.flags = KTHREAD | WQ_WORKER;
        current.task.worker_private = &kthread;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, 1);
        assert_nothing();
        current.task.flags = KTHREAD | WQ_WORKER;
        current.task.worker_private = &kthread;
        mod_memcg_state(stack, &other.memcg, MEMCG_KMEM, 0);
        assert_nothing();
}

static void test_freeing(void **state)
{
        struct worker worker = {};
        struct kthread kthread = { .data = &worker };
        struct task_struct task = { .flags = KTHREAD | WQ_WORKER, .worker_private = &kthread };

        (void) state;
        assert_false(is_freeing(&task));
        worker.current_func = (void *) 0x5000;
        assert_true(is_freeing(&task));
        worker.current_func = (void *) 0x6000;
        assert_true(is_freeing(&task));
        worker.current_func = (void *) 0x7000;
        assert_false(is_freeing(&task));
        /* Their functions are not known. */
        free_functions[0] = 0;
        assert_true(is_freeing(&task));
        task.flags = KTHREAD;
        assert_false(is_freeing(&task));
        free_functions[0] = 0x5000;
        worker.current_func = (void *) 0x5000;
        assert_false(is_freeing(&task));
}

/* Per-CPU memory of BPF, on all CPUs; for whom BPF works is charged, else who is in bpf(2). */
static void test_percpu(void **state)
{
        unsigned long long *ctx = NULL;

        (void) state;
        percpu_alloc_percpu(ctx);
        assert_nothing();
        current.regs.orig_ax = BPF_SYSCALL;
        percpu_alloc_percpu(ctx);
        assert_charged(100);
        current.task.active_memcg = &active.memcg;
        percpu_alloc_percpu(ctx);
        assert_charged(200);
}

/* --- Functions (trampolines) -------------------------------------------------------------------------------------- */

/* A map's objcg is charged; before it has one the caller is, or whom BPF works for; later nobody. */
static void test_map_functions(void **state)
{
        struct bpf_map map = {};
        unsigned long long *ctx = NULL;

        (void) state;
        bpf_map_area_alloc(ctx);
        assert_charged(100);
        current.task.active_memcg = &active.memcg;
        bpf_map_area_alloc(ctx);
        assert_charged(200);

        bpf_map_kzalloc(ctx, &map);
        assert_charged(100);
        current.task.active_memcg = &active.memcg;
        bpf_map_kzalloc(ctx, &map);
        assert_charged(200);
        map.id = 5;
        bpf_map_kzalloc(ctx, &map);
        assert_charged(ROOT);
        map.objcg = &objcgs.objcg;
        bpf_map_kzalloc(ctx, &map);
        assert_charged(400);
        map.id = 0;
        bpf_map_kzalloc(ctx, &map);
        assert_charged(400);

        bpf_map_alloc_percpu(ctx, &map);
        assert_charged(400);
        bpf_map_kvcalloc(ctx, &map);
        assert_charged(400);
        bpf_map_kmalloc_nolock(ctx, &map);
        assert_charged(400);
        bpf_map_kmalloc_node(ctx, &map);
        assert_charged(400);
        bpf_map_alloc_pages(ctx, &map);
        assert_charged(400);
}

/* The work is within the cache whose objcg is charged. */
static void test_mem_refill(void **state)
{
        struct {
                u64 before;
                struct bpf_mem_cache cache;
        } percpu = { .cache = { .objcg = &objcgs.objcg } };

        (void) state;
        bpf_mem_refill(NULL, &percpu.cache.refill_work);
        assert_charged(400);
        percpu.cache.objcg = NULL;
        bpf_mem_refill(NULL, &percpu.cache.refill_work);
        assert_charged(ROOT);
}

/* A map is new when its maker alone holds it. */
static void test_objects(void **state)
{
        struct bpf_prog_aux aux = { .id = 9 };
        struct bpf_prog program = { .aux = &aux };
        struct bpf_map map = { .id = 8, .refcnt = { 2 } };

        (void) state;
        security_bpf_map(NULL, &map);
        assert_nothing();
        map.refcnt.counter = 1;
        security_bpf_map(NULL, &map);
        assert_int_equal(queued_one(UPDATE_MAP_NEW, 8)->address, (u64) &map);
        assert_int_equal(dirty, 1);
        setup(NULL);
        security_bpf_map_free(NULL, &map);
        assert_int_equal(queued_one(UPDATE_MAP_FREED, 0)->address, (u64) &map);
        assert_int_equal(dirty, 1);
        setup(NULL);
        perf_event_bpf_event(NULL, &program, LOADED);
        assert_int_equal(queued_one(UPDATE_PROGRAM_NEW, 9)->address, (u64) &program);
        assert_int_equal(dirty, 1);
        setup(NULL);
        perf_event_bpf_event(NULL, &program, UNLOADED);
        assert_int_equal(queued_one(UPDATE_PROGRAM_FREED, 9)->address, (u64) &program);
        assert_int_equal(dirty, 1);
        setup(NULL);
        perf_event_bpf_event(NULL, &program, 3);
        assert_nothing();
}

/* --- RSS and cgroups ---------------------------------------------------------------------------------------------- */

static void begin_all(void)
{
        for (u32 cpu = 0; cpu < CPUS; cpu++)
                begin_rss_pass(cpu, NULL);
}

/* It is the owner's of the address space, whoever runs. Nobody is woken. */
static void test_rss_stat(void **state)
{
        struct mm_struct mm = {};

        (void) state;
        rss_stat(NULL, &mm);
        assert_nothing();
        mm.owner = &someone.task;
        rss_stat(NULL, &mm);
        rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 1);
        assert_int_equal(fake.state_count, 1);
        assert_int_equal(fake.rss_queue[0], 300);
        assert_int_equal(find_state(300)->updated, CGROUP_UPDATED_RSS);
        assert_int_equal(fake.queued_count, 0);
        assert_int_equal(dirty, 0);
        assert_int_equal(rss_full, 0);
        /* Queued for a charge is something else. */
        find_state(300)->updated = CGROUP_UPDATED_CHARGE;
        begin_all();
        rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 2);
        assert_int_equal(find_state(300)->updated, CGROUP_UPDATED_RSS | CGROUP_UPDATED_CHARGE);
}

/* The common case ends with a comparison: each CPU marks a cgroup once until another one's turn, or the next pass. */
static void test_rss_marks(void **state)
{
        struct mm_struct mm = { .owner = &someone.task }, own_mm = { .owner = &current.task };
        size_t lookups;

        (void) state;
        rss_stat(NULL, &mm);
        lookups = fake.lookups;
        for (int i = 0; i < 100; i++)
                rss_stat(NULL, &mm);
        assert_int_equal(fake.lookups, lookups);
        /* Of another CPU, or another process, nothing is known. */
        fake.cpu = 1;
        rss_stat(NULL, &mm);
        assert_int_equal(fake.lookups, ++lookups);
        rss_stat(NULL, &own_mm);
        assert_int_equal(fake.rss_count, 2);
        assert_int_equal(fake.rss_queue[1], 100);
        lookups = fake.lookups;
        rss_stat(NULL, &mm);
        assert_int_equal(fake.lookups, ++lookups);
        /* What was marked before a pass begins says nothing after it. */
        find_state(300)->updated = 0;
        begin_all();
        for (fake.cpu = 0; fake.cpu < 2; fake.cpu++)
                rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 3);
        assert_int_equal(fake.rss_queue[2], 300);
}

/* The number of the pass comes round: what a CPU marked 65,536 passes ago is not taken for a mark of now. */
static void test_rss_marks_come_round(void **state)
{
        struct mm_struct mm = { .owner = &someone.task };

        (void) state;
        fake.rss_marks[0].passes = 7;
        rss_stat(NULL, &mm);
        find_state(300)->updated = 0;
        fake.rss_marks[0].passes = 0xffff;
        begin_all();
        assert_int_equal(fake.rss_marks[0].passes, 0x10000);
        fake.rss_marks[0].passes = 0x10007;
        rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 2);
}

/* What has no place in the table or the queue is found by a pass over all tasks; each time, and later on again. */
static void test_rss_full(void **state)
{
        struct mm_struct mm = { .owner = &someone.task };

        (void) state;
        fake.state_max = 0;
        for (int i = 0; i < 2; i++) {
                rss_stat(NULL, &mm);
                assert_int_equal(rss_full, 1);
                assert_int_equal(fake.rss_count, 0);
                rss_full = 0;
        }
        setup(NULL);
        fake.rss_queue_full = true;
        for (int i = 0; i < 2; i++) {
                rss_stat(NULL, &mm);
                assert_int_equal(rss_full, 1);
                rss_full = 0;
        }
        fake.rss_queue_full = false;
        rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 1);
        assert_int_equal(rss_full, 0);
}

static void test_tasks(void **state)
{
        (void) state;
        sched_process_fork(NULL, &current.task, &someone.task);
        assert_int_equal(fake.rss_count, 1);
        assert_int_equal(fake.rss_queue[0], 300);
        assert_int_equal(rss_full, 0);
        setup(NULL);
        sched_process_exec(NULL, &someone.task);
        assert_int_equal(fake.rss_count, 1);
        assert_int_equal(fake.rss_queue[0], 300);
        assert_int_equal(rss_full, 0);
        setup(NULL);
        sched_process_exit(NULL, &someone.task);
        assert_int_equal(fake.rss_count, 1);
        assert_int_equal(fake.rss_queue[0], 300);
        assert_int_equal(rss_full, 0);
        setup(NULL);
        cgroup_attach_task(NULL);
        assert_int_equal(rss_full, 1);
        assert_int_equal(fake.queued_count, 0);
}

/* The removal of a cgroup that is in the table is told of, and wakes nobody. */
static void test_rmdir(void **state)
{
        u64 id = 300;
        struct cgroup_state clean = {};

        (void) state;
        cgroup_rmdir(NULL, &other.cgroup);
        assert_nothing();
        bpf_map_update_elem(&cgroups, &id, &clean, BPF_ANY);
        cgroup_rmdir(NULL, &other.cgroup);
        assert_int_equal(queued_one(UPDATE_CGROUP_GONE, 300)->address, 0);
        assert_int_equal(dirty, 0);
}

/* --- Flush -------------------------------------------------------------------------------------------------------- */

/* A cgroup is clean of what it was taken for, and only of that. */
static void test_clean(void **state)
{
        struct flush_request request = { .count = 2, .taken = CGROUP_UPDATED_CHARGE, .epoch = 5 };
        struct mm_struct mm = { .owner = &someone.task };

        (void) state;
        mark_charge(300);
        rss_stat(NULL, &mm);
        mark_charge(50);
        fake.flushed[0] = 51; /* has no entry */
        fake.flushed[1] = 300;
        fake.flushed[2] = 50; /* is not in the request */
        clean_cgroups(&request);
        assert_int_equal(find_state(300)->updated, CGROUP_UPDATED_RSS);
        assert_int_equal(find_state(300)->rss_epoch, 0);
        assert_int_equal(find_state(50)->updated, CGROUP_UPDATED_CHARGE);
        assert_null(find_state(51));
        assert_int_equal(fake.queued_count, 2);
        assert_int_equal(fake.rss_marks[0].passes, 0);

        /* What comes now queues it again. */
        mark_charge(300);
        assert_int_equal(fake.queued_count, 3);
        assert_int_equal(fake.queued[2].id, 300);
        fake.flushed[0] = 300;
        request = (struct flush_request){ .count = 1, .taken = CGROUP_UPDATED_RSS, .epoch = 6 };
        clean_cgroups(&request);
        assert_int_equal(find_state(300)->updated, CGROUP_UPDATED_CHARGE);
        assert_int_equal(find_state(300)->rss_epoch, 6);
        /* The pass begins after that: a mark for it is not taken off again. */
        assert_int_equal(fake.clean_at, 0);
        for (u32 cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(fake.rss_marks[cpu].passes, 1);
        rss_stat(NULL, &mm);
        assert_int_equal(fake.rss_count, 2);
}

/* --- Per-CPU memory, and cgroups by pointer ----------------------------------------------------------------------- */

static void test_percpu_sum(void **state)
{
        struct bpf_array *array = (void *) &cpu_mark;
        /* Per-CPU addresses are those of CPU 0 less an arbitrary number. */
        u64 unit = 0x10000;
        s32 *narrow;
        s64 *wide;

        (void) state;
        array->pptrs[0] = (void *) ((u64) &fake.percpu[0][7] - unit);
        for (u32 i = 0; i < CPUS; i++)
                assert_int_equal(percpu_offset(i), unit + (u64) &fake.percpu[i] - (u64) &fake.percpu[0]);
        assert_int_equal(percpu_offset(CPUS), 0);
        for (u32 i = 0; i < CPUS; i++) {
                wide = (s64 *) &fake.percpu[i][0];
                narrow = (s32 *) &fake.percpu[i][1];
                *wide = (1LL << 40) * (i == 1 ? -10 : 3);
                narrow[0] = i == 1 ? -10 : 3;
                narrow[1] = 77;
        }
        assert_int_equal(percpu_sum((u64) &fake.percpu[0][0] - unit, sizeof(s64)), (1LL << 40) * -4);
        assert_int_equal(percpu_sum((u64) &fake.percpu[0][1] - unit, sizeof(s32)), -4);
        /* A number that a CPU does not have. */
        machine.cpu_ids = CPUS + 5;
        assert_int_equal(percpu_sum((u64) &fake.percpu[0][1] - unit, sizeof(s32)), -4);
}

static void test_cgroup_ids(void **state)
{
        struct task_struct none = {};

        (void) state;
        assert_int_equal(task_cgroup_id(&someone.task), 300);
        assert_int_equal(task_cgroup_id(&none), 0);
        assert_int_equal(css_cgroup_id(NULL), 0);
        assert_int_equal(css_cgroup_id(&other.memcg.css), 300);
        assert_int_equal(memcg_cgroup_id(NULL), 0);
        assert_int_equal(memcg_cgroup_id(&other.memcg), 300);
        assert_true(css_is_uncharged(&other.memcg.css));
        other.memcg.css.parent = &own.memcg.css;
        assert_false(css_is_uncharged(&other.memcg.css));
        other.memcg.css.parent = NULL;
        assert_int_equal(own_cgroup_id(), 100);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_wake),
                TEST(test_quiet),
                TEST(test_overflow),
                TEST(test_who),
                TEST(test_introduce),
                TEST(test_mark_charge),
                TEST(test_mark_nobody),
                TEST(test_mark_charge_overflow),
                TEST(test_mark_charge_table_full),
                TEST(test_mark_quiet),
                TEST(test_memcg_state),
                TEST(test_freeing),
                TEST(test_percpu),
                TEST(test_map_functions),
                TEST(test_mem_refill),
                TEST(test_objects),
                TEST(test_rss_stat),
                TEST(test_rss_marks),
                TEST(test_rss_marks_come_round),
                TEST(test_rss_full),
                TEST(test_tasks),
                TEST(test_rmdir),
                TEST(test_clean),
                TEST(test_percpu_sum),
                TEST(test_cgroup_ids),
        };

        return cmocka_run_group_tests_name("sensors", tests, NULL, NULL);
}
