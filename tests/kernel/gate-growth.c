/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate and what grows without being made anew: elements, arenas, batches; with Count=committed too.
 */
#include "gate-scene.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "bpf/gaterecords.h"
#include "bpf/newtypes.h"

/* --- Growth ------------------------------------------------------------------------------------------------------- */

static void fill_hash(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        char value[1024] = {};
        uint32_t key;
        int fd;

        (void) argument;
        fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_grows", 4, sizeof(value), 100000, &opts);
        note(fd);
        for (key = 0; key < 100000; key++)
                if (bpf_map_update_elem(fd, &key, value, BPF_ANY) < 0)
                        break;
        shared->last_error = errno;
        shared->elements = key;
        /* To write what is there goes on near the limit, though each is a new element for a moment. */
        for (uint32_t last = shared->elements - 1; last > shared->elements - 200; last--)
                bpf_map_delete_elem(fd, &last);
        for (key = 0; key < 20000; key++) {
                uint32_t old = key % 100;
                int tries = 0;

                /* The daemon, too, brings the books up to date; while that is on, they say what they said before. */
                for (; bpf_map_update_elem(fd, &old, value, BPF_ANY) < 0 && tries < 100; tries++)
                        sleep_msec(5);
                shared->delayed += tries > 0;
                shared->other_errors += tries == 100;
        }
}

/* A map that grows by bpf(2) stops at Max with ENOMEM; what was in it can be written again. */
static void test_growth(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        /* The buckets of the hash alone are 2 MiB. */
        scene_begin(&scene, "Max=8M");
        worker_start(&worker, &scene.cgroup, fill_hash, NULL);
        assert_int_equal(shared->last_error, ENOMEM);
        /* One is 2 KiB: the next size class of kmalloc() after 1 KiB and the head of an element. */
        assert_in_range(shared->elements, 2900, 3100);
        log = live_wait_log(&scene.daemon, "was refused the growth of map bb_grows (hash, ");
        bytes = cgroup_allocated(&scene.cgroup);
        assert_in_range(bytes, 7 * MIB, 8 * MIB);
        assert_int_equal(shared->other_errors, 0);
        assert_in_range(shared->delayed, 0, 20);
        worker_end(&worker);
        scene_end(&scene);
}

static void fill_batch(void *argument)
{
        enum { COUNT = 4096 };
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        static uint32_t keys[COUNT];
        static char values[COUNT][1024];
        uint32_t count = COUNT;
        int fd;

        (void) argument;
        fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_grows", 4, sizeof(values[0]), COUNT, &opts);
        note(fd);
        for (uint32_t i = 0; i < COUNT; i++)
                keys[i] = i;
        if (bpf_map_update_batch(fd, keys, values, &count, NULL) < 0)
                shared->last_error = errno;
        /* Nothing of what was refused is there. */
        shared->other_errors += bpf_map_get_next_key(fd, NULL, &keys[0]) == 0;
        count = 100;
        if (bpf_map_update_batch(fd, keys, values, &count, NULL) == 0)
                shared->elements = count;
}

/* A batch is let in as a whole or not at all. */
static void test_batch(void **state)
{
        struct scene scene;
        struct worker worker;

        (void) state;
        scene_begin(&scene, "Max=2M");
        worker_start(&worker, &scene.cgroup, fill_batch, NULL);
        assert_int_equal(shared->last_error, ENOMEM);
        assert_int_equal(shared->elements, 100);
        assert_int_equal(shared->other_errors, 0);
        worker_end(&worker);
        scene_end(&scene);
}

/* --- Count=committed ---------------------------------------------------------------------------------------------- */

#define ENTRIES     100000
#define INSERTIONS  1000000
#define ARENA_PAGES 512

/* A hash of 100,000 elements of 72 bytes, and 2 MiB of buckets. */
static int make_growing(uint32_t entries)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_grows", 4, 8, entries, &opts);

        note(fd);
        return fd;
}

/* A program that inserts a random key into the map @fd. */
static int load_inserter(int fd)
{
        struct bpf_insn insns[] = {
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
                { .code = BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_0, .off = -4 },
                { .code = BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, .off = -16 },
                { .code = BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, .imm = fd },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10 },
                { .code = BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, .imm = -4 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10 },
                { .code = BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, .imm = -16 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, .imm = BPF_ANY },
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_update_elem },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_inserts", "GPL", insns, sizeof(insns) / sizeof(insns[0]),
                        NULL);
}

static long count_keys(int fd)
{
        uint32_t key, *previous = NULL;
        long count = 0;

        for (; bpf_map_get_next_key(fd, previous, &key) == 0; previous = &key)
                count++;
        return count;
}

/* The map is let in once, and its twin refused; then it is filled where nobody is asked. */
static void insert_by_program(void *argument)
{
        char packet[64] = {};
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
                        .repeat = INSERTIONS / 10);
        int fd = make_growing(ENTRIES), program = load_inserter(fd);

        (void) argument;
        make_growing(ENTRIES);
        for (int i = 0; i < 10; i++)
                if (bpf_prog_test_run_opts(program, &opts) < 0)
                        shared->other_errors++;
        shared->elements = count_keys(fd);
}

/* What is booked as committed for @cgroup. */
static uint64_t booked_committed(const struct test_cgroup *cgroup)
{
        _cleanup_close_ int fd = bpf_obj_get(PINS "/gate_domains");
        struct gate_domain domain;

        assert_int_equal(bpf_map_lookup_elem(fd, &cgroup->id, &domain), 0);
        return domain.usage[GATE_COMMITTED];
}

/* A million insertions by a BPF program, of which the gate hears nothing: not a byte past Max. */
static void test_committed_program(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        scene_begin(&scene, "Max=16M\nCount=committed");
        worker_start(&worker, &scene.cgroup, insert_by_program, NULL);
        assert_int_equal(shared->admitted, 1);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->other_errors, 0);
        assert_int_equal(shared->elements, ENTRIES);
        bytes = cgroup_allocated(&scene.cgroup);
        print_message("# %d insertions by a program: %lld of %d bytes, %llu committed\n", INSERTIONS, (long long) bytes,
                        16 * MIB, (unsigned long long) booked_committed(&scene.cgroup));
        assert_in_range(bytes, ENTRIES * 72, 16 * MIB);
        assert_true((uint64_t) bytes <= booked_committed(&scene.cgroup));
        assert_true(booked_committed(&scene.cgroup) <= 16 * MIB);
        log = live_wait_log(&scene.daemon, "was refused the creation of map bb_grows (hash, ");
        worker_end(&worker);
        scene_end(&scene);
}

/* Arenas until one is refused, and each page of them. */
static void touch_arenas(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
        size_t page = sysconf(_SC_PAGESIZE);

        (void) argument;
        for (int i = 0; i < 30 && !shared->refused; i++) {
                int fd = bpf_map_create(MAP_TYPE_ARENA, "bb_arena", 0, 0, ARENA_PAGES, &opts);
                char *pages;

                note(fd);
                if (fd < 0)
                        break;
                pages = mmap(NULL, ARENA_PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                if (pages == MAP_FAILED) {
                        shared->other_errors++;
                        break;
                }
                for (size_t k = 0; k < ARENA_PAGES; k++)
                        pages[k * page] = 1;
        }
}

static void test_committed_arena(void **state)
{
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        scene_begin(&scene, "Max=24M\nCount=committed");
        worker_start(&worker, &scene.cgroup, touch_arenas, NULL);
        bytes = cgroup_allocated(&scene.cgroup);
        if (shared->admitted == 0 && shared->refused == 0) {
                print_message("# no arenas on this kernel: %s\n", strerror(shared->last_error));
        } else {
                print_message("# page faults in %d arenas: %lld of %d bytes\n", shared->admitted, (long long) bytes,
                                24 * MIB);
                assert_int_equal(shared->refused, 1);
                assert_int_equal(shared->other_errors, 0);
                assert_in_range(bytes, shared->admitted * 2 * MIB, 24 * MIB);
        }
        worker_end(&worker);
        scene_end(&scene);
}

#define RACE_FD    200
#define RACE_COUNT 20000
#define RACE_TRIES 50

/* In another process that has the same file descriptors: the number is one map's and the other's in turn. */
static int swap_descriptor(void *argument)
{
        const int *fds = argument;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                dup2(fds[0], RACE_FD);
                dup2(fds[1], RACE_FD);
        }
        return 0;
}

static void race_descriptor(void *argument)
{
        static uint32_t keys[RACE_COUNT];
        static uint64_t values[RACE_COUNT];
        static char stack[64 * KIB];
        bool grew = false;
        int fds[2] = { bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_array", 4, 8, RACE_COUNT, NULL),
                make_growing(RACE_COUNT) };
        pid_t pid;

        (void) argument;
        for (uint32_t i = 0; i < RACE_COUNT; i++)
                keys[i] = i;
        dup2(fds[0], RACE_FD);
        pid = clone(swap_descriptor, stack + sizeof(stack), CLONE_FILES | CLONE_VM | SIGCHLD, fds);
        for (int tries = 0; tries < RACE_TRIES || (!grew && tries < 20 * RACE_TRIES); tries++) {
                uint32_t count = RACE_COUNT, key;

                bpf_map_update_batch(RACE_FD, keys, values, &count, NULL);
                grew = bpf_map_get_next_key(fds[1], NULL, &key) == 0;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shared->elements = count_keys(fds[1]);
}

/* Whichever map is changed: what it can grow to is booked. */
static void test_committed_descriptor(void **state)
{
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        scene_begin(&scene, "Max=3M\nCount=committed");
        worker_start(&worker, &scene.cgroup, race_descriptor, NULL);
        assert_int_equal(shared->admitted, 1);
        bytes = cgroup_allocated(&scene.cgroup);
        print_message("# descriptor race: %ld elements, %lld of %d bytes\n", shared->elements, (long long) bytes,
                        3 * MIB);
        assert_true(shared->elements > 0);
        assert_true(bytes <= 3 * MIB);
        assert_true((uint64_t) bytes <= booked_committed(&scene.cgroup));
        worker_end(&worker);
        scene_end(&scene);
}

/* One that grows with attachments, which is without an end. */
static void make_unbounded(void *argument)
{
        (void) argument;
        note(bpf_map_create(BPF_MAP_TYPE_CGROUP_STORAGE, "bb_storage", 16, 64, 0, NULL));
        make_array(4);
}

static void test_unbounded(void **state)
{
        struct scene scene;
        struct worker worker;

        (void) state;
        for (int allow = 0; allow < 2; allow++) {
                memset(shared, 0, sizeof(*shared));
                scene_begin(&scene, allow ? "Max=1M\nCount=committed\nUnbounded=allow" : "Max=1M\nCount=committed");
                worker_start(&worker, &scene.cgroup, make_unbounded, NULL);
                assert_int_equal(shared->admitted, 1 + allow);
                assert_int_equal(shared->refused, 1 - allow);
                if (!allow)
                        free(live_wait_log(&scene.daemon, "was refused the creation of map bb_storage (cgroup_storage, "
                                                          "no ceiling): budget "
                                                          "test counts ceilings, and has Unbounded=refuse"));
                worker_end(&worker);
                scene_end(&scene);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                GATE_TEST(test_growth),
                GATE_TEST(test_batch),
                GATE_TEST(test_committed_program),
                GATE_TEST(test_committed_arena),
                GATE_TEST(test_committed_descriptor),
                GATE_TEST(test_unbounded),
        };

        return gate_main("gate-growth", tests, sizeof(tests) / sizeof(tests[0]));
}
