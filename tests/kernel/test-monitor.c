/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sensors, the kernel side and the monitor on the running kernel, without the daemon around them: what is looked at
 * is what the hooks told, and no query, which may be a pass over all objects, makes up for one that is lost. This
 * process is the daemon; what happens, happens in others.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "account/monitor.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/kernel.h"
#include "kernel/probe.h"

#define MIB          (1024 * 1024)
#define TIMEOUT_MSEC 60000

/* --- Updates ------------------------------------------------------------------------------------------------------ */

static struct cgroupfs cgroupfs;
static struct kernel *kernel;

/* All updates that were taken since the last clear_updates(). */
static struct {
        struct update updates[8192];
        size_t count;
} seen;

static int keep_update(void *context, const struct update *update)
{
        (void) context;
        if (seen.count < sizeof(seen.updates) / sizeof(seen.updates[0]))
                seen.updates[seen.count++] = *update;
        return 0;
}

static void take(void)
{
        assert_true(kernel_take_updates(kernel, keep_update, NULL) >= 0);
}

static const struct update *find_update(uint32_t kind, uint64_t id)
{
        for (size_t i = 0; i < seen.count; i++)
                if (seen.updates[i].kind == kind && (id == 0 || seen.updates[i].id == id))
                        return &seen.updates[i];
        return NULL;
}

/* Takes what wakes this process until there is one of @kind about @id (0: any). */
static const struct update *wait_update(uint32_t kind, uint64_t id)
{
        struct pollfd ready = { .fd = kernel_updates_fd(kernel), .events = POLLIN };
        uint64_t end = now_usec() + TIMEOUT_MSEC * 1000ULL;
        const struct update *update;

        take();
        while (!(update = find_update(kind, id))) {
                if (now_usec() >= end)
                        fail_msg("no update of kind %u about %llu", kind, (unsigned long long) id);
                poll(&ready, 1, kernel_is_dirty(kernel) ? 10 : TIMEOUT_MSEC);
                take();
        }
        return update;
}

static void ignore_popped(void *context, uint64_t cgroup_id)
{
        (void) context;
        (void) cgroup_id;
}

/* Takes all there is and has @cgroup told of again. */
static void clear_updates(const struct test_cgroup *cgroup)
{
        take();
        assert_int_equal(kernel_clean_cgroups(kernel, &cgroup->id, 1), 0);
        seen.count = 0;
}

/* Most tests share one kernel side, the monitor's: to load it takes a while. */
static struct monitor monitor;

static void start_monitor(void)
{
        const struct kernel_options options = { .sensors = true, .relations = true };

        if (!monitor.kernel)
                assert_int_equal(monitor_init(&monitor, &options), 0);
        kernel = monitor.kernel;
        seen.count = 0;
}

/* One of its own. */
static void open_kernel(const struct kernel_options *options)
{
        assert_ptr_equal(kernel, NULL);
        assert_int_equal(kernel_open(options, &cgroupfs, &kernel), 0);
        seen.count = 0;
}

static int teardown(void **state)
{
        if (kernel != monitor.kernel)
                kernel_close(kernel);
        kernel = NULL;
        return harness_teardown(state);
}

/* --- What a worker does, one step for each byte that it is sent ----------------------------------------------------
 */

struct steps {
        void (*step[4])(void);
        int turn[2], done[2]; /* pipes */
};

static struct steps steps;

static void steps_init(void (*first)(void), void (*second)(void), void (*third)(void))
{
        steps = (struct steps){ .step = { first, second, third } };
        assert_int_equal(pipe2(steps.turn, O_CLOEXEC), 0);
        assert_int_equal(pipe2(steps.done, O_CLOEXEC), 0);
}

static void steps_deinit(void)
{
        for (size_t i = 0; i < 2; i++) {
                close(steps.turn[i]);
                close(steps.done[i]);
        }
}

/* For a worker. The process that it leaves behind goes on with the steps, and ends with the test. */
static void take_steps(void *argument)
{
        char byte = 0;

        (void) argument;
        for (size_t i = 0; i < 4 && steps.step[i]; i++) {
                if (read(steps.turn[0], &byte, 1) != 1)
                        _exit(1);
                steps.step[i]();
                if (write(steps.done[1], &byte, 1) != 1)
                        _exit(1);
        }
}

static void next_step(void)
{
        struct pollfd done = { .fd = steps.done[0], .events = POLLIN };
        char byte = 0;

        assert_int_equal(write(steps.turn[1], &byte, 1), 1);
        if (poll(&done, 1, TIMEOUT_MSEC) != 1)
                fail_msg("the process in the cgroup has not taken its step");
        assert_int_equal(read(steps.done[0], &byte, 1), 1);
}

static void start_steps(struct worker *worker, const struct test_cgroup *cgroup)
{
        worker_enter(worker, cgroup, take_steps, NULL);
        worker_go(worker);
}

static void end_steps(struct worker *worker)
{
        worker_wait(worker);
        worker_end(worker);
        steps_deinit();
}

static int step_map = -1;

static void make_array(void)
{
        if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_array", 4, MIB, 1, NULL) < 0)
                _exit(1);
}

static void make_hash(void)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

        step_map = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_hash", 4, 4000, 10000, &opts);
        if (step_map < 0)
                _exit(1);
}

static void fill_hash(void)
{
        static char value[4000];

        for (uint32_t i = 0; i < 500; i++)
                if (bpf_map_update_elem(step_map, &i, value, BPF_ANY) < 0)
                        _exit(1);
}

static void drop_map(void)
{
        close(step_map);
}

static void make_percpu(void)
{
        step_map = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bb_percpu", 4, 1024, 1000, NULL);
        if (step_map < 0)
                _exit(1);
}

static void load_program(void)
{
        static const struct bpf_insn code[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        step_map = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_program", "GPL", code, 2, NULL);
        if (step_map < 0)
                _exit(1);
}

static void do_nothing(void)
{
}

/* --- Hooks -------------------------------------------------------------------------------------------------------- */

static void assert_told_by(const struct update *update, const struct worker *worker)
{
        assert_int_equal(update->pid, worker->pid);
        assert_string_equal(update->comm, "test-monitor");
}

/* Each growth is told, of the cgroup that it is in and of who did it, again after each flush, and the release too. */
static void test_growth(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "growth");
        steps_init(make_hash, fill_hash, drop_map);
        start_steps(&worker, &cgroup);
        clear_updates(&cgroup);
        next_step();
        if (kernel_tells_objects(kernel))
                assert_told_by(wait_update(UPDATE_MAP_NEW, 0), &worker);
        assert_told_by(wait_update(UPDATE_CGROUP_CHARGE, cgroup.id), &worker);

        clear_updates(&cgroup);
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);

        clear_updates(&cgroup);
        next_step();
        if (kernel_tells_objects(kernel))
                wait_update(UPDATE_MAP_FREED, 0);
        else
                wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* Per-CPU memory, which no cgroup is charged for, is told of as the root's: the map has no objcg yet. */
static void test_uncharged(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "uncharged");
        steps_init(make_percpu, NULL, NULL);
        start_steps(&worker, &cgroup);
        take();
        assert_int_equal(kernel_clean_cgroups(kernel, &cgroupfs.root_id, 1), 0);
        seen.count = 0;
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroupfs.root_id);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

static void test_program(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "program");
        steps_init(load_program, drop_map, NULL);
        start_steps(&worker, &cgroup);
        clear_updates(&cgroup);
        next_step();
        if (kernel_tells_objects(kernel)) {
                const struct update *update = wait_update(UPDATE_PROGRAM_NEW, 0);

                assert_told_by(update, &worker);
                assert_int_equal(update->cgroup_id, cgroup.id);
        } else
                assert_told_by(wait_update(UPDATE_CGROUP_CHARGE, cgroup.id), &worker);
        clear_updates(&cgroup);
        next_step();
        wait_update(kernel_tells_objects(kernel) ? UPDATE_PROGRAM_FREED : UPDATE_CGROUP_CHARGE,
                        kernel_tells_objects(kernel) ? 0 : cgroup.id);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* What this process does in bpf(2) is its own reading, and no news. */
static void test_own_news(void **state)
{
        struct test_cgroup cgroup, own;
        char *origin = cgroup_own_path();
        struct worker worker;
        int fd;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "news");
        /* Where nobody else is news. */
        cgroup_make(&own, NULL, "own");
        cgroup_enter(own.path);
        steps_init(make_array, NULL, NULL);
        start_steps(&worker, &cgroup);
        clear_updates(&cgroup);
        fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_own", 4, MIB, 1, NULL);
        assert_true(fd >= 0);
        close(fd);
        cgroup_enter(origin);
        free(origin);
        /* What comes after it is there, so it would be as well. */
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        for (size_t i = 0; i < seen.count; i++)
                assert_int_not_equal(seen.updates[i].pid, getpid());
        end_steps(&worker);
        cgroup_remove(&cgroup);
        cgroup_remove(&own);
}

/* One wake-up until the updates are taken, however many there are; then the next one. */
static void test_wake_up(void **state)
{
        struct pollfd ready;
        struct test_cgroup cgroup, second;
        struct worker workers[2];
        uint64_t wakeups;

        (void) state;
        start_monitor();
        ready = (struct pollfd){ .fd = kernel_updates_fd(kernel), .events = POLLIN };
        cgroup_make(&cgroup, NULL, "wake");
        cgroup_make(&second, NULL, "wake-second");
        steps_init(make_array, make_array, NULL);
        start_steps(&workers[0], &cgroup);
        start_steps(&workers[1], &second);
        clear_updates(&cgroup);
        clear_updates(&second);
        /* Others may do something meanwhile, but not all the time. */
        for (int i = 0; i < 100 && kernel_is_dirty(kernel); i++) {
                sleep_msec(10);
                take();
        }
        assert_false(kernel_is_dirty(kernel));
        wakeups = kernel_counters(kernel).wakeups;
        for (size_t i = 0; i < 4; i++)
                next_step();
        /* The other end of a pipe is not ours: both workers took two steps each, or one all four. */
        assert_int_equal(poll(&ready, 1, TIMEOUT_MSEC), 1);
        assert_true(kernel_is_dirty(kernel));
        assert_int_equal(kernel_counters(kernel).wakeups, wakeups + 1);
        take();
        assert_non_null(find_update(UPDATE_CGROUP_CHARGE, cgroup.id) ?: find_update(UPDATE_CGROUP_CHARGE, second.id));
        assert_int_equal(kernel_counters(kernel).overflow, 0);
        worker_wait(&workers[0]);
        worker_wait(&workers[1]);
        worker_end(&workers[0]);
        worker_end(&workers[1]);
        steps_deinit();
        cgroup_remove(&cgroup);
        cgroup_remove(&second);
}

static void fault(void)
{
        for (int i = 0; i < 200; i++) {
                char *page = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (page == MAP_FAILED)
                        _exit(1);
                memset(page, 1, MIB);
                munmap(page, MIB);
        }
}

/* Of three times many page faults: after how many the daemon was told of the cgroup. */
static size_t count_told(const struct test_cgroup *cgroup)
{
        struct worker worker;
        size_t told = 0;

        steps_init(fault, fault, fault);
        start_steps(&worker, cgroup);
        for (size_t i = 0; i < 3; i++) {
                clear_updates(cgroup);
                next_step();
                take();
                told += find_update(UPDATE_CGROUP_CHARGE, cgroup->id) != NULL;
        }
        end_steps(&worker);
        return told;
}

/*
 * Page faults tell nobody anything until somebody asks. Memory of the kernel that is allocated for the cgroup
 * meanwhile, in an interrupt, may be BPF's: so once in a few times they may, on a busy machine more often.
 */
static void test_page_faults(void **state)
{
        struct test_cgroup cgroup;
        size_t told = 3;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "faults");
        for (size_t i = 0; i < 5 && told == 3; i++)
                told = count_told(&cgroup);
        assert_in_range(told, 0, 2);
        cgroup_remove(&cgroup);
}

/* --- Tables ------------------------------------------------------------------------------------------------------- */

struct search {
        const char *name;
        uint32_t id;
};

static int find_own(void *context, const struct object_record *record)
{
        struct search *search = context;

        if (record->kind == OBJECT_MAP && record->marks & OBJECT_OWN && strcmp(record->name, search->name) == 0)
                search->id = record->id;
        return 0;
}

/* Our own table @name. */
static int open_table(const char *name, struct bpf_map_info *info)
{
        struct search search = { name, 0 };
        uint32_t size = sizeof(*info);
        int fd;

        assert_int_equal(kernel_read_objects(kernel, find_own, &search), 0);
        assert_int_not_equal(search.id, 0);
        fd = bpf_map_get_fd_by_id(search.id);
        assert_true(fd >= 0);
        memset(info, 0, sizeof(*info));
        assert_int_equal(bpf_obj_get_info_by_fd(fd, info, &size), 0);
        return fd;
}

static uint32_t table_size(const char *name)
{
        struct bpf_map_info info;

        close(open_table(name, &info));
        return info.max_entries;
}

static bool has_entry(const char *name, uint64_t id)
{
        struct bpf_map_info info;
        _cleanup_close_ int fd = open_table(name, &info);
        struct cgroup_state value;

        return bpf_map_lookup_elem(fd, &id, &value) == 0;
}

static void test_table_sizes(void **state)
{
        static const char *const names[] = { "cgroups", "rss_updated" };
        const struct kernel_options small = { .sensors = true, .cgroups_max = 300 };
        uint32_t least = 1024;

        (void) state;
        while (least < 512U * get_nprocs() && least < 65536)
                least *= 2;
        start_monitor();
        for (size_t i = 0; i < 2; i++) {
                assert_true(table_size(names[i]) >= least);
                assert_int_equal(table_size(names[i]) & (table_size(names[i]) - 1), 0);
        }
        kernel = NULL;
        open_kernel(&small);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(table_size(names[i]), 300);
}

/* The removal of a cgroup in which something happened is told, and its entries do not stay. */
static void test_removed(void **state)
{
        struct test_cgroup cgroup, other;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "removed");
        cgroup_make(&other, NULL, "stays");
        steps_init(make_array, NULL, NULL);
        start_steps(&worker, &cgroup);
        kernel_watch_cgroup(kernel, other.id);
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        assert_true(has_entry("cgroups", cgroup.id));
        end_steps(&worker);
        cgroup_remove(&cgroup);
        wait_update(UPDATE_CGROUP_GONE, cgroup.id);
        /* What was its map's may be given back a moment later. */
        for (int i = 0; i < 100; i++) {
                kernel_forget_cgroup(kernel, cgroup.id);
                if (!has_entry("cgroups", cgroup.id))
                        break;
                sleep_msec(10);
        }
        kernel_forget_cgroup(kernel, cgroup.id);
        assert_false(has_entry("cgroups", cgroup.id));
        assert_true(has_entry("cgroups", other.id));
        cgroup_remove(&other);
}

/* Of one in which nothing happened it is told when that was asked for, and only then. */
static void test_watched(void **state)
{
        struct test_cgroup watched, unwatched;

        (void) state;
        start_monitor();
        cgroup_make(&watched, NULL, "watched");
        cgroup_make(&unwatched, NULL, "unwatched");
        kernel_watch_cgroup(kernel, watched.id);
        cgroup_remove(&unwatched);
        cgroup_remove(&watched);
        wait_update(UPDATE_CGROUP_GONE, watched.id);
        assert_null(find_update(UPDATE_CGROUP_GONE, unwatched.id));
        assert_null(find_update(UPDATE_CGROUP_CHARGE, watched.id));
}

/* To watch a cgroup in which something has happened meanwhile changes nothing: it stays queued, once. */
static void test_watched_late(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        size_t count = 0;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "late");
        steps_init(make_hash, fill_hash, NULL);
        start_steps(&worker, &cgroup);
        clear_updates(&cgroup);
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        kernel_watch_cgroup(kernel, cgroup.id);
        next_step();
        take();
        for (size_t i = 0; i < seen.count; i++)
                count += seen.updates[i].kind == UPDATE_CGROUP_CHARGE && seen.updates[i].id == cgroup.id;
        assert_int_equal(count, 1);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

static void make_large(void)
{
        /* 4,096 pages, each of which is told where no function of BPF can be hooked. */
        if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_large", 4, 16 * MIB, 1, NULL) < 0)
                _exit(1);
}

/* With tables that are too small it is told all the same, each time; what the queue has no room for is counted. */
static void test_full_tables(void **state)
{
        struct test_cgroup cgroup;
        const struct kernel_options smallest = { .sensors = true, .cgroups_max = 1 };
        struct worker worker;
        uint64_t overflow;

        (void) state;
        open_kernel(&smallest);
        cgroup_make(&cgroup, NULL, "full");
        steps_init(make_hash, make_large, make_hash);
        start_steps(&worker, &cgroup);
        take();
        /* The table may have room for ours, as it is the next one; not for both. */
        kernel_watch_cgroup(kernel, 1);
        assert_false(has_entry("cgroups", cgroup.id) && has_entry("cgroups", 1));
        kernel_forget_cgroup(kernel, cgroup.id);
        kernel_watch_cgroup(kernel, 1);
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        seen.count = 0;
        overflow = kernel_counters(kernel).overflow;
        next_step();
        if (!kernel_tells_objects(kernel))
                assert_true(kernel_counters(kernel).overflow > overflow);
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        seen.count = 0;
        next_step();
        wait_update(UPDATE_CGROUP_CHARGE, cgroup.id);
        /* Whose RSS has changed cannot be told either: all are to be read. */
        if (kernel_tells_rss(kernel)) {
                assert_int_equal(kernel_pop_rss(kernel, 1, ignore_popped, NULL), -EAGAIN);
        }
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* --- RSS, by the kernel side -------------------------------------------------------------------------------------- */

#define RSS_BYTES (16 * MIB)
/* What a process has besides; AddressSanitizer's memory is a part of that. */
#if HARNESS_ASAN
#define OWN_RSS (256 * MIB)
#else
#define OWN_RSS (4 * MIB)
#endif

static char *touched;

static void touch(void)
{
        touched = mmap(NULL, RSS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (touched == MAP_FAILED)
                _exit(1);
        memset(touched, 1, RSS_BYTES);
}

static void release_half(void)
{
        munmap(touched + RSS_BYTES / 2, RSS_BYTES / 2);
}

static void *wait_forever(void *argument)
{
        (void) argument;
        for (;;)
                pause();
        return NULL;
}

static void touch_with_threads(void)
{
        touch();
        for (int i = 0; i < 5; i++) {
                pthread_t thread;

                if (pthread_create(&thread, NULL, wait_forever, NULL) != 0)
                        _exit(1);
        }
}

struct rss_seen {
        uint64_t id;
        size_t ours, others;
        int64_t anon;
};

static int keep_rss(void *context, const void *data)
{
        const struct rss_record *record = data;
        struct rss_seen *rss = context;

        if (record->cgroup_id == rss->id) {
                rss->ours++;
                rss->anon += record->pages[RSS_ANON] * sysconf(_SC_PAGESIZE);
        } else
                rss->others++;
        return 0;
}

struct popped {
        uint64_t id;
        size_t count;
};

static void keep_popped(void *context, uint64_t cgroup_id)
{
        struct popped *popped = context;

        popped->count += cgroup_id == popped->id;
}

/* Pops, and reads what was popped. Returns whether @id was, or the kernel side says that all have to be read. */
static bool pop_and_read(uint32_t epoch, struct rss_seen *rss)
{
        struct popped popped = { .id = rss->id };
        int r = kernel_pop_rss(kernel, epoch, keep_popped, &popped);

        assert_true(r >= 0 || r == -EAGAIN);
        assert_true(popped.count <= 1);
        *rss = (struct rss_seen){ .id = rss->id };
        assert_int_equal(kernel_read_rss(kernel, epoch, keep_rss, rss), 0);
        return popped.count == 1;
}

/* Only of cgroups whose RSS changed, and those that are popped with other epochs are not read. */
static void test_rss_by_cgroup(void **state)
{
        struct test_cgroup cgroup;
        struct rss_seen rss = {}, all = {};
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-epoch");
        rss.id = all.id = cgroup.id;
        steps_init(touch, release_half, do_nothing);
        start_steps(&worker, &cgroup);
        /* It has moved, so that this pass has all. */
        assert_int_equal(kernel_pop_rss(kernel, 100, ignore_popped, NULL), -EAGAIN);
        next_step();
        assert_true(pop_and_read(1, &rss));
        assert_int_equal(rss.ours, 1);
        assert_in_range(rss.anon, RSS_BYTES, RSS_BYTES + OWN_RSS);
        next_step();
        assert_true(pop_and_read(2, &rss));
        assert_int_equal(rss.ours, 1);
        assert_in_range(rss.anon, RSS_BYTES / 2, RSS_BYTES / 2 + OWN_RSS);
        /* Nothing of it was popped with this one. */
        rss = (struct rss_seen){ .id = cgroup.id };
        assert_int_equal(kernel_read_rss(kernel, 3, keep_rss, &rss), 0);
        assert_int_equal(rss.ours + rss.others, 0);
        assert_int_equal(kernel_read_rss(kernel, 0, keep_rss, &all), 0);
        assert_int_equal(all.ours, 1);
        assert_true(all.others > 0);
        next_step();
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* The resident pages of @pid, as the kernel prints them. */
static int64_t resident(pid_t pid)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char line[256];
        long long kib;

        assert_true(asprintf(&path, "/proc/%d/status", pid) > 0);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "VmRSS: %lld", &kib) == 1)
                        return kib * 1024 / sysconf(_SC_PAGESIZE);
        fail_msg("%s has no VmRSS", path);
        return 0;
}

struct exact {
        uint32_t pid;
        int64_t pages;
};

static int keep_exact(void *context, const void *data)
{
        const struct rss_record *record = data;
        struct exact *exact = context;

        if (record->pid == exact->pid)
                exact->pages += record->pages[RSS_ANON] + record->pages[RSS_FILE] + record->pages[RSS_SHMEM];
        return 0;
}

/* To the page, though each CPU counts on its own. */
static void test_rss_exact(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        bool same = false;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-exact");
        steps_init(touch, do_nothing, NULL);
        start_steps(&worker, &cgroup);
        next_step();
        /* Until it waits for its next step. */
        for (int i = 0; i < 100 && !same; i++) {
                struct exact exact = { .pid = worker.pid };

                assert_int_equal(kernel_read_rss(kernel, 0, keep_exact, &exact), 0);
                same = exact.pages == resident(worker.pid);
                if (!same)
                        sleep_msec(10);
        }
        assert_true(same);
        next_step();
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* What test_rss_race and its worker tell each other. */
static struct race {
        int round, done; /* numbers of rounds */
        int stop;
} * race;

static void wait_round(int *round, int wanted)
{
        /* A processor each, but for those of a busy machine. */
        for (int i = 0; __atomic_load_n(round, __ATOMIC_ACQUIRE) < wanted; i++)
                if (__atomic_load_n(&race->stop, __ATOMIC_RELAXED))
                        return;
                else if (i > 10000)
                        sched_yield();
}

/* A page a round, that it takes and gives back: the latter is told at once on each kernel (add_mm_rss_vec()). */
static void change_in_rounds(void)
{
        char *page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED)
                _exit(1);
        for (int i = 1; !__atomic_load_n(&race->stop, __ATOMIC_RELAXED); i++) {
                wait_round(&race->round, i);
                /* At another moment of the pass each time. */
                for (volatile int delay = i * 31 % 5000; delay > 0; delay--)
                        ;
                *(volatile char *) page = 1;
                madvise(page, getpagesize(), MADV_DONTNEED);
                __atomic_store_n(&race->done, i, __ATOMIC_RELEASE);
        }
}

static bool is_popped(uint32_t epoch, uint64_t id)
{
        struct popped popped = { .id = id };
        int r = kernel_pop_rss(kernel, epoch, keep_popped, &popped);

        assert_true(r >= 0 || r == -EAGAIN);
        return r == -EAGAIN || popped.count > 0;
}

/*
 * A change beside the beginning of a pass leaves nothing behind by which one after it is taken for told already: that
 * one is in the next pass. RACE_ROUNDS= says how often.
 */
static void test_rss_race(void **state)
{
        const char *rounds = getenv("RACE_ROUNDS");
        struct test_cgroup cgroup;
        struct worker worker;
        uint32_t epoch = 1;
        int lost = 0, n = rounds ? atoi(rounds) : 2000;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-race");
        race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(race, MAP_FAILED);
        steps_init(change_in_rounds, NULL, NULL);
        start_steps(&worker, &cgroup);
        assert_int_equal(write(steps.turn[1], "", 1), 1);
        for (int i = 0; i < n; i++) {
                __atomic_store_n(&race->round, 2 * i + 1, __ATOMIC_RELEASE);
                is_popped(epoch++, cgroup.id);
                wait_round(&race->done, 2 * i + 1);
                __atomic_store_n(&race->round, 2 * i + 2, __ATOMIC_RELEASE);
                wait_round(&race->done, 2 * i + 2);
                lost += !is_popped(epoch++, cgroup.id);
        }
        __atomic_store_n(&race->stop, 1, __ATOMIC_RELAXED);
        print_message("# %d changes after one beside a pass: %d lost\n", n, lost);
        assert_int_equal(lost, 0);
        end_steps(&worker);
        cgroup_remove(&cgroup);
        munmap(race, sizeof(*race));
}

/* Most are idle most of the time: one in which nothing happens is popped once. */
static void test_rss_once(void **state)
{
        struct test_cgroup cgroup;
        struct rss_seen rss = {};
        struct worker worker;
        int r;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-once");
        rss.id = cgroup.id;
        steps_init(touch, do_nothing, NULL);
        start_steps(&worker, &cgroup);
        assert_int_equal(kernel_pop_rss(kernel, 300, ignore_popped, NULL), -EAGAIN);
        next_step();
        assert_true(pop_and_read(1, &rss));
        /* The worker waits in read() since; what its last instructions touched may come late, but comes to an end. */
        for (uint32_t i = 2; pop_and_read(i, &rss); i++)
                assert_true(i < 100);
        next_step();
        end_steps(&worker);
        /* Its end is told. */
        assert_true(pop_and_read(200, &rss));
        assert_int_equal(rss.ours, 0);
        /* The queue is empty or others', and nobody moves. */
        r = kernel_pop_rss(kernel, 201, keep_popped, &(struct popped){});
        assert_true(r >= 0 || r == -EAGAIN);
        cgroup_remove(&cgroup);
}

/* --- The monitor -------------------------------------------------------------------------------------------------- */

static uint64_t usage_of(const struct test_cgroup *cgroup)
{
        struct cgroup *entry = tree_find(&monitor.tree, cgroup->id);

        return entry ? entry->total.allocated : 0;
}

static uint64_t anon_of(const struct test_cgroup *cgroup)
{
        struct cgroup *entry = tree_find(&monitor.tree, cgroup->id);

        return entry ? entry->self.rss[RSS_ANON] : 0;
}

/* Flushes as the daemon does, when it is woken or wants to, until @cgroup takes @least to @most bytes. */
static void flush_until(const struct test_cgroup *cgroup, uint64_t least, uint64_t most)
{
        struct pollfd ready = { .fd = kernel_updates_fd(monitor.kernel), .events = POLLIN };
        uint64_t end = now_usec() + TIMEOUT_MSEC * 1000ULL;

        while (usage_of(cgroup) < least || usage_of(cgroup) > most) {
                uint64_t now = now_usec(), due = monitor_due_usec(&monitor);

                if (now >= end)
                        fail_msg("%s takes %llu", cgroup->path, (unsigned long long) usage_of(cgroup));
                if (monitor_wants_flush(&monitor) || due <= now)
                        poll(&ready, 1, MONITOR_FLUSH_INTERVAL_USEC / 1000);
                else
                        poll(&ready, 1, MIN((due - now) / 1000 + 1, TIMEOUT_MSEC));
                assert_int_equal(monitor_flush(&monitor), 0);
        }
}

/* A map that is made, filled and dropped is seen by flushes alone. */
static void test_flush(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        uint64_t overflows;
        bool caused = false;

        (void) state;
        start_monitor();
        overflows = monitor.statistics.overflows;
        cgroup_make(&cgroup, NULL, "flush");
        steps_init(make_hash, fill_hash, drop_map);
        start_steps(&worker, &cgroup);
        next_step();
        assert_int_equal(monitor_flush(&monitor), 0);
        for (size_t i = 0; i < monitor.cause_count; i++)
                caused |= monitor.causes[i].cgroup_id == cgroup.id && monitor.causes[i].pid == (uint32_t) worker.pid;
        assert_true(caused);
        flush_until(&cgroup, 4096, 1 * MIB);
        next_step();
        flush_until(&cgroup, 500 * 4000, 500 * 4096 + 2 * MIB);
        next_step();
        flush_until(&cgroup, 0, 4096);
        end_steps(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(monitor.statistics.overflows, overflows);
}

/* Whether a cgroup that is removed leaves the tree and the tables of the sensors with the next flush. */
static bool leaves(void)
{
        struct test_cgroup cgroup;
        struct worker worker;

        cgroup_make(&cgroup, NULL, "flush-removed");
        steps_init(make_hash, drop_map, NULL);
        start_steps(&worker, &cgroup);
        next_step();
        flush_until(&cgroup, 4096, MIB);
        assert_true(has_entry("cgroups", cgroup.id));
        next_step();
        flush_until(&cgroup, 0, 0);
        end_steps(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_null(tree_find(&monitor.tree, cgroup.id));
        return !has_entry("cgroups", cgroup.id);
}

/* The map named bb_array that was made last. */
static int open_array(void)
{
        struct bpf_map_info info = {};
        uint32_t id = 0, found = 0;

        while (bpf_map_get_next_id(id, &id) == 0) {
                _cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
                uint32_t size = sizeof(info);

                if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, "bb_array") == 0)
                        found = id;
        }
        return bpf_map_get_fd_by_id(found);
}

/*
 * What outlives its cgroup counts above it also in the moment when that is gone, is still charged for it, and was never
 * heard of: its parent is gone as well.
 */
static void test_removed_unseen(void **state)
{
        struct test_cgroup top, middle, leaf;
        struct worker worker;

        (void) state;
        start_monitor();
        for (int i = 0; i < 20; i++) {
                _cleanup_close_ int fd = -1;

                cgroup_make(&top, NULL, "top");
                cgroup_make(&middle, &top, "middle");
                cgroup_make(&leaf, &middle, "leaf");
                steps_init(make_array, NULL, NULL);
                start_steps(&worker, &leaf);
                next_step();
                fd = open_array();
                assert_true(fd >= 0);
                end_steps(&worker);
                cgroup_remove(&leaf);
                cgroup_remove(&middle);
                assert_int_equal(monitor_refresh(&monitor), 0);
                assert_in_range(usage_of(&top), MIB, MIB + 16384);
                close(fd);
                fd = -1;
                cgroup_remove(&top);
        }
}

/* Memory of the map that is given back just after that brings the entries back: not each time. */
static void test_flush_removed(void **state)
{
        bool left = false;

        (void) state;
        start_monitor();
        for (int i = 0; i < 5 && !left; i++)
                left = leaves();
        assert_true(left);
}

/* Threads share one address space. */
static void test_rss_threads(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-threads");
        steps_init(touch_with_threads, release_half, NULL);
        start_steps(&worker, &cgroup);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), RSS_BYTES, RSS_BYTES + OWN_RSS);
        /* The next time is no sum of both. */
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), RSS_BYTES / 2, RSS_BYTES / 2 + OWN_RSS);
        end_steps(&worker);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(anon_of(&cgroup), 0);
        cgroup_remove(&cgroup);
}

/* Nobody asks for a while: no page fault pays for it. Whoever asks then has what happened meanwhile, and what follows.
 */
static void test_rss_rest(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        uint64_t due, passes;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-rest");
        steps_init(touch, release_half, touch);
        start_steps(&worker, &cgroup);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), RSS_BYTES, RSS_BYTES + OWN_RSS);
        assert_true(kernel_tells_rss(kernel));
        due = monitor.rss.asked_usec + RSS_IDLE_USEC;
        assert_true(monitor_due_usec(&monitor) <= due);
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_true(kernel_tells_rss(kernel));

        monitor.rss.asked_usec -= RSS_IDLE_USEC;
        assert_true(monitor_due_usec(&monitor) <= now_usec());
        assert_int_equal(monitor_flush(&monitor), 0);
        assert_false(kernel_tells_rss(kernel));
        assert_int_equal(rss_due_usec(&monitor.rss), UINT64_MAX);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_true(kernel_tells_rss(kernel));
        assert_in_range(anon_of(&cgroup), RSS_BYTES / 2, RSS_BYTES / 2 + OWN_RSS);
        passes = monitor.statistics.rss_passes;
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), RSS_BYTES / 2 + RSS_BYTES, RSS_BYTES / 2 + RSS_BYTES + OWN_RSS);
        assert_int_equal(monitor.statistics.rss_passes, passes + 1);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

static void move(const struct worker *worker, const struct test_cgroup *cgroup)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;

        assert_true(asprintf(&path, "%s/cgroup.procs", cgroup->directory) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fprintf(file, "%d\n", worker->pid) > 0);
        assert_int_equal(fflush(file), 0);
}

/* A process that moves takes its RSS with it, though it touches nothing. */
static void test_rss_moves(void **state)
{
        struct test_cgroup from, to;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&from, NULL, "rss-from");
        cgroup_make(&to, NULL, "rss-to");
        steps_init(touch, do_nothing, NULL);
        start_steps(&worker, &from);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_true(anon_of(&from) >= RSS_BYTES);
        assert_int_equal(anon_of(&to), 0);
        move(&worker, &to);
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_int_equal(anon_of(&from), 0);
        assert_in_range(anon_of(&to), RSS_BYTES, RSS_BYTES + OWN_RSS);
        next_step();
        end_steps(&worker);
        cgroup_remove(&from);
        cgroup_remove(&to);
}

/* Its child has the same pages, and an address space of its own; it ends with its parent. */
static void fork_child(void)
{
        int ready[2];
        char byte = 0;

        if (pipe(ready) < 0)
                _exit(1);
        if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (write(ready[1], &byte, 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        if (read(ready[0], &byte, 1) != 1)
                _exit(1);
}

/* One that moves has all tasks read once, and not for ever. */
static void test_rss_full_once(void **state)
{
        struct test_cgroup from, to;
        struct worker worker;
        int r;

        (void) state;
        start_monitor();
        cgroup_make(&from, NULL, "full-from");
        cgroup_make(&to, NULL, "full-to");
        steps_init(do_nothing, NULL, NULL);
        start_steps(&worker, &from);
        move(&worker, &to);
        assert_int_equal(kernel_pop_rss(kernel, 1, ignore_popped, NULL), -EAGAIN);
        /* Others may move meanwhile. */
        for (uint32_t i = 2; (r = kernel_pop_rss(kernel, i, ignore_popped, NULL)) == -EAGAIN && i < 500; i++)
                sleep_msec(10);
        assert_true(r >= 0);
        next_step();
        end_steps(&worker);
        cgroup_remove(&from);
        cgroup_remove(&to);
}

static void test_rss_fork(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;

        (void) state;
        start_monitor();
        cgroup_make(&cgroup, NULL, "rss-fork");
        steps_init(touch, fork_child, NULL);
        start_steps(&worker, &cgroup);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), RSS_BYTES, RSS_BYTES + OWN_RSS);
        next_step();
        assert_int_equal(monitor_refresh_rss(&monitor), 0);
        assert_in_range(anon_of(&cgroup), 2 * RSS_BYTES, 2 * RSS_BYTES + 2 * OWN_RSS);
        end_steps(&worker);
        cgroup_remove(&cgroup);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static int stop_at_first(void *context, const struct object_record *record)
{
        (void) record;
        (*(unsigned int *) context)++;
        return -EXDEV;
}

struct both {
        size_t maps, programs, own_maps, own_programs;
};

static int count_object(void *context, const struct object_record *record)
{
        struct both *both = context;

        if (record->kind == OBJECT_MAP) {
                both->maps++;
                both->own_maps += (record->marks & OBJECT_OWN) != 0;
                assert_true(record->identity == record->address);
        } else {
                both->programs++;
                both->own_programs += (record->marks & OBJECT_OWN) != 0;
                assert_int_equal(record->kind, OBJECT_PROGRAM);
                /* struct bpf_prog may move, its aux stays. */
                assert_true(record->identity != record->address && record->identity >> 63);
        }
        assert_int_not_equal(record->id, 0);
        return 0;
}

static void test_read_objects(void **state)
{
        struct both both = {};
        unsigned int calls = 0;

        (void) state;
        start_monitor();
        assert_int_equal(kernel_read_objects(kernel, count_object, &both), 0);
        assert_true(both.own_maps >= 5);
        assert_true(both.own_programs >= 5);
        assert_int_equal(kernel_read_objects(kernel, stop_at_first, &calls), -EXDEV);
        assert_int_equal(calls, 1);
}

struct list {
        struct object_record records[400];
        size_t count;
        const char *name;
};

static int keep_named(void *context, const struct object_record *record)
{
        struct list *list = context;

        if (strcmp(record->name, list->name) == 0 && list->count < 400)
                list->records[list->count++] = *record;
        return 0;
}

/* More than one run of the program measures; by the address they are the same as by the iterator, and own is own. */
static void test_measure_many(void **state)
{
        static struct list list = { .name = "bb_measured" }, again;
        static int fds[REREAD_MAX * 2 + 3];
        size_t n = sizeof(fds) / sizeof(fds[0]);
        uint32_t gone_id;
        bool gone = false;

        (void) state;
        start_monitor();
        for (size_t i = 0; i < n; i++) {
                fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_measured", 4, 8 + 8 * i, 10, NULL);
                assert_true(fds[i] >= 0);
        }
        assert_int_equal(kernel_read_objects(kernel, keep_named, &list), 0);
        assert_int_equal(list.count, n);
        list.name = "snapshot_rss";
        assert_int_equal(kernel_read_objects(kernel, keep_named, &list), 0);
        list.name = "cgroups";
        assert_int_equal(kernel_read_objects(kernel, keep_named, &list), 0);
        assert_true(list.count >= n + 2);
        again.count = list.count;
        for (size_t i = 0; i < list.count; i++)
                again.records[i] = (struct object_record){
                        .kind = list.records[i].kind, .id = list.records[i].id, .address = list.records[i].address
                };
        assert_int_equal(kernel_measure(kernel, again.records, again.count), 0);
        for (size_t i = 0; i < list.count; i++) {
                /* Only this one tells them: a snapshot holds the object itself. */
                assert_true(again.records[i].references >= 1);
                assert_int_equal(list.records[i].references, 0);
                again.records[i].references = 0;
                assert_memory_equal(&again.records[i], &list.records[i], sizeof(list.records[i]));
        }
        /* One that is not at the address that it is asked at. */
        gone_id = list.records[n - 1].id;
        again.records[n - 1] = (struct object_record){
                .kind = OBJECT_MAP, .id = gone_id + 1, .address = list.records[n - 1].address
        };
        assert_int_equal(kernel_measure(kernel, again.records, again.count), 0);
        for (size_t i = 0; i < list.count; i++)
                if (again.records[i].marks & OBJECT_GONE) {
                        assert_int_equal(i, n - 1);
                        gone = true;
                }
        assert_true(gone);
        for (size_t i = 0; i < n; i++)
                close(fds[i]);
}

/* What a record says of a map and of a program, beside their size. */
static void test_record_fields(void **state)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        static struct list maps = { .name = "bb_fields" }, programs = { .name = "bb_program" };
        int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_fields", 8, 24, 77, &opts);
        const struct object_record *record = maps.records;
        struct bpf_map_info map = {};
        struct bpf_prog_info program = {};
        uint32_t size = sizeof(map);

        (void) state;
        start_monitor();
        assert_true(fd >= 0);
        load_program();
        assert_int_equal(kernel_read_objects(kernel, keep_named, &maps), 0);
        assert_int_equal(maps.count, 1);
        assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &size), 0);
        assert_int_equal(record->kind, OBJECT_MAP);
        assert_int_equal(record->id, map.id);
        assert_int_equal(record->type, BPF_MAP_TYPE_HASH);
        assert_int_equal(record->flags, BPF_F_NO_PREALLOC);
        assert_int_equal(record->key_size, 8);
        assert_int_equal(record->value_size, 24);
        assert_int_equal(record->max_entries, 77);
        assert_int_equal(record->entries, 0);
        assert_int_equal(record->jit, 0);
        assert_int_equal(record->marks & ~OBJECT_BOUNDED, OBJECT_GROWS);
        assert_true(record->address >> 63);

        record = programs.records;
        size = sizeof(program);
        assert_int_equal(kernel_read_objects(kernel, keep_named, &programs), 0);
        assert_int_equal(programs.count, 1);
        assert_int_equal(bpf_obj_get_info_by_fd(step_map, &program, &size), 0);
        assert_int_equal(record->kind, OBJECT_PROGRAM);
        assert_int_equal(record->id, program.id);
        assert_int_equal(record->type, BPF_PROG_TYPE_SOCKET_FILTER);
        assert_true(record->entries == ENTRIES_UNKNOWN);
        assert_int_equal(record->jit > 0, program.jited_prog_len > 0);
        assert_true(record->allocated > record->jit);
        assert_int_equal(record->flags | record->key_size | record->value_size | record->max_entries, 0);
        close(step_map);
        close(fd);
}

/* More cgroups than one run of the program takes: each is told of again. */
static void test_clean_many(void **state)
{
        static uint64_t ids[2 * FLUSH_MAX + 20];
        struct test_cgroup cgroups[3];
        struct worker worker;

        (void) state;
        start_monitor();
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
                ids[i] = 0xff00000000000000ULL + i;
        for (size_t i = 0; i < 3; i++) {
                char name[16];

                snprintf(name, sizeof(name), "clean-%zu", i);
                cgroup_make(&cgroups[i], NULL, name);
                ids[i * FLUSH_MAX + 10] = cgroups[i].id;
        }
        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < 3; i++) {
                        steps_init(make_array, NULL, NULL);
                        start_steps(&worker, &cgroups[i]);
                        next_step();
                        wait_update(UPDATE_CGROUP_CHARGE, cgroups[i].id);
                        end_steps(&worker);
                }
                take();
                assert_int_equal(kernel_clean_cgroups(kernel, ids, sizeof(ids) / sizeof(ids[0])), 0);
                seen.count = 0;
        }
        for (size_t i = 0; i < 3; i++)
                cgroup_remove(&cgroups[i]);
}

static int no_record(void *context, const void *record)
{
        (void) context;
        (void) record;
        return 0;
}

/* --- A kernel that refuses one program -----------------------------------------------------------------------------
 */

static const char *refused; /* the program that is refused next; NULL: none */
static unsigned int loads;

int __real_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton);
int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton);

/* The program gets another iterator's target, whose arguments it does not find. */
int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton)
{
        struct bpf_program *program;

        loads++;
        if (!refused)
                return __real_bpf_object__load_skeleton(skeleton);
        program = bpf_object__find_program_by_name(*skeleton->obj, refused);
        refused = NULL;
        /* Before the verifier, of no program. */
        if (!program)
                return -EACCES;
        assert_int_equal(bpf_program__set_attach_target(program, 0, "cgroup"), 0);
        return __real_bpf_object__load_skeleton(skeleton);
}

/* In spite of the trial: it does without that one, and says so. */
static void test_refused_program(void **state)
{
        const struct kernel_options options = { .relations = true };
        const struct capability *table;
        struct both both = {};
        size_t count;

        (void) state;
        refused = "snapshot_files";
        loads = 0;
        open_kernel(&options);
        assert_int_equal(loads, 2);
        table = kernel_capabilities(kernel, &count);
        assert_false(table[HOOK_FILES].available);
        /* kernel/bpf/verifier.c, check_ctx_access() */
        assert_non_null(strstr(table[HOOK_FILES].reason,
                        "the kernel refuses the program: Permission denied: invalid bpf_context access"));
        assert_true(table[HOOK_USES].available);
        assert_int_equal(kernel_read_holders(kernel, no_record, NULL), -EOPNOTSUPP);
        assert_int_equal(kernel_read_uses(kernel, no_record, NULL), 0);
        assert_int_equal(kernel_read_objects(kernel, count_object, &both), 0);
}

/* One that nothing can be done without, or a refusal of no program, is an error. */
static void test_refused_for_good(void **state)
{
        const struct kernel_options options = {};
        struct kernel *failed = NULL;

        (void) state;
        refused = "snapshot_maps";
        loads = 0;
        assert_int_equal(kernel_open(&options, &cgroupfs, &failed), -EOPNOTSUPP);
        assert_int_equal(loads, 2);
        assert_null(failed);
        refused = "none";
        loads = 0;
        assert_int_equal(kernel_open(&options, &cgroupfs, &failed), -EACCES);
        assert_int_equal(loads, 1);
        assert_null(failed);
}

/* For one snapshot there are neither sensors nor their tables, and what was not asked for is not read. */
static void test_without_sensors(void **state)
{
        const struct kernel_options options = {};
        struct both both = {};
        struct popped popped = {};

        (void) state;
        open_kernel(&options);
        assert_int_equal(kernel_updates_fd(kernel), -1);
        assert_int_equal(kernel_take_updates(kernel, keep_update, NULL), 0);
        assert_false(kernel_is_dirty(kernel));
        assert_int_equal(kernel_counters(kernel).wakeups, 0);
        assert_int_equal(kernel_pop_rss(kernel, 1, keep_popped, &popped), -EAGAIN);
        assert_false(kernel_tells_growth(kernel));
        assert_false(kernel_tells_objects(kernel));
        assert_false(kernel_tells_rss(kernel));
        assert_int_equal(kernel_read_holders(kernel, no_record, NULL), -EOPNOTSUPP);
        assert_int_equal(kernel_read_uses(kernel, no_record, NULL), -EOPNOTSUPP);
        assert_int_equal(table_size("cgroups"), 1);
        assert_int_equal(kernel_read_objects(kernel, count_object, &both), 0);
        assert_true(both.own_programs > 0 && both.own_programs < 8);
        kernel_watch_cgroup(kernel, 1);
        kernel_forget_cgroup(kernel, 1);
        kernel_close(kernel);
        start_monitor();
        assert_int_equal(kernel_read_holders(kernel, no_record, NULL), 0);
        assert_int_equal(kernel_read_uses(kernel, no_record, NULL), 0);
}

static void test_capability_table(void **state)
{
        const struct capability *table;
        size_t count;

        (void) state;
        start_monitor();
        table = kernel_capabilities(kernel, &count);
        assert_int_equal(count, CAPABILITIES);
        for (size_t i = 0; i < count; i++) {
                assert_non_null(table[i].name);
                assert_non_null(table[i].purpose);
                assert_int_equal(table[i].available, *table[i].reason == '\0');
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(table[i].name, table[k].name);
        }
        assert_true(table[HOOK_MAPS].available);
        assert_true(table[HOOK_MAPS].essential);
        assert_false(table[HOOK_TASKS].essential);
        kernel_capability_lost(kernel, HOOK_TASKS, "for a reason");
        assert_false(table[HOOK_TASKS].available);
        assert_string_equal(table[HOOK_TASKS].reason, "for a reason");
        assert_int_equal(kernel_machine(kernel)->settings.page_size, sysconf(_SC_PAGESIZE));
        assert_int_equal(kernel_machine(kernel)->settings.possible_cpus, libbpf_num_possible_cpus());
        assert_true(kernel_machine(kernel)->settings.cpu_ids >= kernel_machine(kernel)->settings.possible_cpus);
        assert_int_equal(kernel_machine(kernel)->settings.nobpf, harness_nobpf());
        assert_true(kernel_machine(kernel)->memory_cgroups > 0);
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, teardown))

int main(void)
{
        struct CMUnitTest tests[40] = {};
        size_t n = 0;
        int r;

        r = harness_main();
        if (r != 0)
                return r;
        /* With nobpf no cgroup is charged, and nothing tells of growth in one. */
        if (!harness_nobpf()) {
                tests[n++] = TEST(test_growth);
                tests[n++] = TEST(test_uncharged);
                tests[n++] = TEST(test_program);
                tests[n++] = TEST(test_own_news);
                tests[n++] = TEST(test_wake_up);
                tests[n++] = TEST(test_page_faults);
                tests[n++] = TEST(test_removed);
                tests[n++] = TEST(test_watched_late);
                tests[n++] = TEST(test_full_tables);
                tests[n++] = TEST(test_clean_many);
                tests[n++] = TEST(test_flush);
                tests[n++] = TEST(test_flush_removed);
                tests[n++] = TEST(test_removed_unseen);
        }
        tests[n++] = TEST(test_table_sizes);
        tests[n++] = TEST(test_watched);
        tests[n++] = TEST(test_rss_by_cgroup);
        tests[n++] = TEST(test_rss_exact);
        tests[n++] = TEST(test_rss_race);
        tests[n++] = TEST(test_rss_once);
        tests[n++] = TEST(test_rss_threads);
        tests[n++] = TEST(test_rss_rest);
        tests[n++] = TEST(test_rss_moves);
        tests[n++] = TEST(test_rss_full_once);
        tests[n++] = TEST(test_rss_fork);
        tests[n++] = TEST(test_read_objects);
        tests[n++] = TEST(test_measure_many);
        tests[n++] = TEST(test_record_fields);
        tests[n++] = TEST(test_refused_program);
        tests[n++] = TEST(test_refused_for_good);
        tests[n++] = TEST(test_without_sensors);
        tests[n++] = TEST(test_capability_table);
        if (cgroupfs_init(&cgroupfs) < 0)
                return 1;
        r = _cmocka_run_group_tests("monitor", tests, n, NULL, NULL);
        if (monitor.kernel)
                monitor_deinit(&monitor);
        cgroupfs_deinit(&cgroupfs);
        return r;
}
