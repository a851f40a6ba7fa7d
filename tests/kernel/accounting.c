/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes by kind of object: what the daemon says, what the kernel charges, and what the kernel itself says in fdinfo
 * ("memlock", which bpftool prints), as a table and as one test a row. Needs root and the memory controller.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "allocations.h"
#include "base/cleanup.h"
#include "objects.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What a row may be off: the larger one of the two. Linux 6.1 counts less, so less can be known. */
#define TOLERANCE_PERCENT     3.0
#define TOLERANCE_PERCENT_6_1 5.0
#define TOLERANCE_BYTES       512 /* of each object */
#define MIX_TOLERANCE_PERCENT 1.0
#define BOUNDED_TYPES_MAX     3

/*
 * A full map's ceiling is what it takes, and room for the free lists: of each of its allocators on each CPU 99 elements
 * of some 16 bytes more than an entry. A trie may have an intermediate node for each entry, a table of rhash be full by
 * 38 %, and a ring of a cpumap have 16384 slots.
 */
#define CEILING_FACTOR      1.02
#define CEILING_FACTOR_TREE 2.0
#define CEILING_ELEMENTS    99
#define CEILING_RING_BYTES  (16384 * 8)

/* Per-CPU memory is populated by pages of all CPUs and given back late; JIT images have a header and padding. */
#define PERCPU_SLACK  (2 << 20)
#define PERCPU_SMALL  768  /* of an object, on each CPU: caches, free lists, counters */
#define PROGRAM_SLACK 2304 /* 8 subprograms, 256 each; the vectors of the verifier */

/* Enough objects for what a process and the kernel's caches cost by themselves (some 16 KiB) not to matter. */
#define ROW_BYTES        (4 << 20)
#define PERCPU_ROW_BYTES (32 << 20)
#define OBJECTS_MIN      4
#define OBJECTS_MAX      300
/* Where one is right to the byte, these are only to show that all of them are summed up. */
#define EXACT_OBJECTS_MAX 60
#define FEW_OBJECTS       24 /* of kinds that are expensive to make */

/* Of the map that is made and closed before a row is measured. */
#define WARM_UP_ENTRIES 8

/* Rows that are measured at a time: the kernel's figures take seconds to settle. */
#define BATCH 45

/* How often the figures are looked at until they do not change any more. */
#define SETTLE_TRIES_MAX 5

/* Of the test that looks at one object of a row. */
#define EXACT_NAME "%s to the byte"

/* How many rows are measured again, if others got in the way. */
#define AGAIN_MAX 4

#define MIX_MAPS     300
#define MIX_PROGRAMS 60

#define CYCLES_SEC    400 /* at most */
#define CYCLES_KEPT   20  /* maps that are there all the time */
#define CYCLES_MAKERS 4   /* processes */

/* Of 4 GiB; in 7.2 made with every arena, and in none of the kernel's figures but PageTables. */
#define ARENA_TABLES (2050 * 4096)

/* Page tables of a mapping, and the mapping itself. */
#define ARENA_STRAY (2 * 4096 + 256)

/* Name of the objects that are measured; others only serve them. */
#define OBJECT "bb_test"

#define NP BPF_F_NO_PREALLOC

/* Bytes of struct bpf_array in 6.18, for arrays that just fit a size of the allocators. */
#define ARRAY_HEAD 312

static const struct map_kind map_kinds[] = {
        { "array small", BPF_MAP_TYPE_ARRAY, 4, 8, 10, .percent = 0 },
        { "array large", BPF_MAP_TYPE_ARRAY, 4, 64, 10000, .percent = 0 },
        { "array 1 entry", BPF_MAP_TYPE_ARRAY, 4, 4, 1, .percent = 0 },
        { "array mmapable", BPF_MAP_TYPE_ARRAY, 4, 64, 100, .flags = BPF_F_MMAPABLE },
        { "array 64K values", BPF_MAP_TYPE_ARRAY, 4, 65536, 10, .percent = 0 },
        { "percpu_array small", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 10, .percent = 0 },
        { "percpu_array large", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 256, 4000, .percent = 0 },
        { "prog_array", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 100, .percent = 0 },
        { "prog_array full", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 100, .percent = 100 },
        { "perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 100, .percent = 0 },
        { "perf_event_array full", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 100, .percent = 100, .unseen = 6400 },
        { "cgroup_array full", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 100, .percent = 100 },
        { "hash small", BPF_MAP_TYPE_HASH, 4, 8, 16, .percent = 0 },
        { "hash small full", BPF_MAP_TYPE_HASH, 4, 8, 16, .percent = 100 },
        { "hash large", BPF_MAP_TYPE_HASH, 4, 64, 10000, .percent = 0 },
        { "hash large half", BPF_MAP_TYPE_HASH, 4, 64, 10000, .percent = 50 },
        { "hash large full", BPF_MAP_TYPE_HASH, 16, 256, 2000, .percent = 100 },
        { "hash np small", BPF_MAP_TYPE_HASH, 4, 8, 16, .flags = NP },
        { "hash np small half", BPF_MAP_TYPE_HASH, 4, 8, 16, .flags = NP, .percent = 50 },
        { "hash np small full", BPF_MAP_TYPE_HASH, 4, 8, 16, .flags = NP, .percent = 100 },
        { "hash np large", BPF_MAP_TYPE_HASH, 4, 64, 10000, .flags = NP },
        { "hash np large half", BPF_MAP_TYPE_HASH, 4, 64, 10000, .flags = NP, .percent = 50 },
        { "hash np large full", BPF_MAP_TYPE_HASH, 4, 64, 10000, .flags = NP, .percent = 100 },
        { "hash np 5000 B full", BPF_MAP_TYPE_HASH, 16, 5000, 500, .flags = NP, .percent = 100 },
        { "percpu_hash small", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 16, .percent = 0 },
        { "percpu_hash large", BPF_MAP_TYPE_PERCPU_HASH, 4, 64, 10000, .percent = 50 },
        { "percpu_hash np small", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 16, .flags = NP },
        { "percpu_hash np small full", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 16, .flags = NP, .percent = 100 },
        { "percpu_hash np large half", BPF_MAP_TYPE_PERCPU_HASH, 4, 64, 10000, .flags = NP, .percent = 50 },
        { "percpu_hash np large full", BPF_MAP_TYPE_PERCPU_HASH, 4, 256, 2000, .flags = NP, .percent = 100 },
        { "lru_hash small full", BPF_MAP_TYPE_LRU_HASH, 4, 8, 16, .percent = 100 },
        { "lru_hash large half", BPF_MAP_TYPE_LRU_HASH, 4, 64, 10000, .percent = 50 },
        { "lru_hash no_common", BPF_MAP_TYPE_LRU_HASH, 4, 64, 10000, .flags = BPF_F_NO_COMMON_LRU, .percent = 50 },
        { "lru_percpu_hash small", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 16, .percent = 0 },
        { "lru_percpu_hash large", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 64, 10000, .percent = 100 },
        { "lpm_trie empty", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, .flags = NP },
        { "lpm_trie small full", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, .flags = NP, .percent = 100 },
        { "lpm_trie large half", BPF_MAP_TYPE_LPM_TRIE, 8, 64, 4000, .flags = NP, .percent = 50 },
        { "lpm_trie large full", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4000, .flags = NP, .percent = 100 },
        { "queue small", BPF_MAP_TYPE_QUEUE, 0, 8, 16, .percent = 0 },
        { "queue large half", BPF_MAP_TYPE_QUEUE, 0, 64, 10000, .percent = 50 },
        { "stack small", BPF_MAP_TYPE_STACK, 0, 8, 16, .percent = 0 },
        { "stack large full", BPF_MAP_TYPE_STACK, 0, 64, 5000, .percent = 100 },
        { "stack_trace small", BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 16, 16, .percent = 0 },
        { "stack_trace large", BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 127, 1000, .percent = 0 },
        { "bloom_filter small", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 16, .percent = 0 },
        { "bloom_filter large", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 100000, .percent = 50 },
        { "ringbuf 4K", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, .percent = 0 },
        { "ringbuf 1M", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 20, .percent = 0 },
        { "user_ringbuf 64K", BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 1 << 16, .percent = 0 },
        { "array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1000, .percent = 1, .inner_type = BPF_MAP_TYPE_ARRAY },
        { "hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 1000, .inner_type = BPF_MAP_TYPE_HASH },
        { "hash_of_maps np half", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 20, .flags = NP, .percent = 50,
                        .inner_type = BPF_MAP_TYPE_HASH },
        { "devmap half", BPF_MAP_TYPE_DEVMAP, 4, 8, 1000, .percent = 50 },
        { "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 1000, .percent = 0 },
        { "devmap_hash full", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 1000, .percent = 100 },
        { "cpumap", BPF_MAP_TYPE_CPUMAP, 4, 8, 2, .percent = 0 },
        { "cpumap full", BPF_MAP_TYPE_CPUMAP, 4, 8, 2, .percent = 100, .unseen = 2 * 2048 },
        { "sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 4, 1000, .percent = 0 },
        { "sockmap half", BPF_MAP_TYPE_SOCKMAP, 4, 4, 64, .percent = 50 },
        { "sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 4, 1000, .percent = 0 },
        { "sockhash half", BPF_MAP_TYPE_SOCKHASH, 4, 4, 1000, .percent = 50 },
        { "xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 1000, .percent = 0 },
        { "xskmap half", BPF_MAP_TYPE_XSKMAP, 4, 4, 100, .percent = 50 },
        { "reuseport_sockarray", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 1000, .percent = 0 },
        { "reuseport_sockarray full", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 64, .percent = 100 },
        { "cgroup_storage", BPF_MAP_TYPE_CGROUP_STORAGE, 16, 64, 0, .percent = 0 },
        { "percpu_cgroup_storage", BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 64, 0, .percent = 0 },
        { "sk_storage", BPF_MAP_TYPE_SK_STORAGE, 4, 64, 0, .flags = NP },
        { "sk_storage full", BPF_MAP_TYPE_SK_STORAGE, 4, 64, 0, .flags = NP, .percent = 100 },
        { "inode_storage full", BPF_MAP_TYPE_INODE_STORAGE, 4, 200, 0, .flags = NP, .percent = 100 },
        { "task_storage", BPF_MAP_TYPE_TASK_STORAGE, 4, 64, 0, .flags = NP },
        /* Each map is right to the byte, but the figure of a cgroup with the tasks in it grows by 30 pages besides. */
        { "task_storage full", BPF_MAP_TYPE_TASK_STORAGE, 4, 1000, 0, .flags = NP, .percent = 100, .stray = 512 },
        { "cgrp_storage full", MAP_TYPE_CGRP_STORAGE, 4, 1000, 0, .flags = NP, .percent = 100 },
        { "struct_ops", BPF_MAP_TYPE_STRUCT_OPS, 4, 0, 1, .unseen = 4096 },
        { "arena empty", MAP_TYPE_ARENA, 0, 0, 512, .flags = BPF_F_MMAPABLE, .unseen = ARENA_TABLES },
        { "arena half", MAP_TYPE_ARENA, 0, 0, 1024, .flags = BPF_F_MMAPABLE, .percent = 50, .unseen = ARENA_TABLES,
                        .stray = ARENA_STRAY },
        { "arena full", MAP_TYPE_ARENA, 0, 0, 512, .flags = BPF_F_MMAPABLE, .percent = 100, .unseen = ARENA_TABLES,
                        .stray = ARENA_STRAY },
        { "insn_array", MAP_TYPE_INSN_ARRAY, 4, 16, 100, .percent = 0 },
        { "rhash", MAP_TYPE_RHASH, 4, 64, 1000, .flags = NP, .unseen = 1 << 16 },
        { "rhash half", MAP_TYPE_RHASH, 4, 64, 1000, .flags = NP, .percent = 50, .unseen = 1 << 16 },
        { "rhash full", MAP_TYPE_RHASH, 4, 8, 2000, .flags = NP, .percent = 100, .unseen = 1 << 16 },
        { "array 20 KiB", BPF_MAP_TYPE_ARRAY, 4, 64, 320, .exact_only = true },
        { "array 8 KiB", BPF_MAP_TYPE_ARRAY, 4, 8, (8192 - ARRAY_HEAD) / 8, .exact_only = true },
        { "array 8 KiB and 8 B", BPF_MAP_TYPE_ARRAY, 4, 8, (8192 - ARRAY_HEAD) / 8 + 1, .exact_only = true },
        { "array speculation", BPF_MAP_TYPE_ARRAY, 4, 64, 1000, .exact_only = true, .unprivileged = true },
        { "array locked", BPF_MAP_TYPE_ARRAY, 4, 8, 10, .exact_only = true, .locked = true },
        { "percpu_array 12 B", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 100, .exact_only = true },
        { "percpu_array speculation", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1000, .exact_only = true, .unprivileged = true },
        { "hash locked", BPF_MAP_TYPE_HASH, 4, 8, 10, .exact_only = true, .locked = true },
        { "hash np 128 B", BPF_MAP_TYPE_HASH, 4, 128, 16, .flags = NP, .percent = 100, .exact_only = true },
        { "hash np 5000 wide", BPF_MAP_TYPE_HASH, 4, 8, 5000, .flags = NP, .percent = 10, .exact_only = true },
        { "hash large 12 B", BPF_MAP_TYPE_HASH, 4, 12, 10000, .exact_only = true },
        { "percpu_hash 12 B", BPF_MAP_TYPE_PERCPU_HASH, 4, 12, 100, .exact_only = true },
        { "percpu_hash np 12 B", BPF_MAP_TYPE_PERCPU_HASH, 4, 12, 20, .flags = NP, .percent = 100, .exact_only = true },
        { "lru_percpu_hash 12 B", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 12, 100, .exact_only = true },
        { "lpm_trie nested", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, .flags = NP, .percent = 100, .exact_only = true,
                        .nested = true },
        { "lpm_trie one", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1, .flags = NP, .percent = 100, .exact_only = true },
        { "queue wrapped", BPF_MAP_TYPE_QUEUE, 0, 8, 16, .percent = 100, .exact_only = true, .wrapped = true },
        { "queue full", BPF_MAP_TYPE_QUEUE, 0, 8, 16, .percent = 100, .exact_only = true },
        { "queue 1000 full", BPF_MAP_TYPE_QUEUE, 0, 1000, 16, .percent = 100, .exact_only = true },
        { "stack_trace 5000", BPF_MAP_TYPE_STACK_TRACE, 4, 8, 5000, .exact_only = true },
        { "hash_of_maps 145", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 145, .exact_only = true,
                        .inner_type = BPF_MAP_TYPE_HASH },
        { "hash_of_maps np full", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 20, .flags = NP, .percent = 100, .exact_only = true,
                        .inner_type = BPF_MAP_TYPE_ARRAY },
        { "devmap_hash 5000", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 5000, .percent = 1, .exact_only = true },
        { "ringbuf 16K", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 14, .exact_only = true },
        { "arena scattered", MAP_TYPE_ARENA, 0, 0, 1024, .flags = BPF_F_MMAPABLE, .percent = 25, .unseen = ARENA_TABLES,
                        .stray = ARENA_STRAY, .exact_only = true, .scattered = true },
};

static const struct program_kind program_kinds[] = {
        { "program small", 2, .subprograms = 0 },
        { "program large", 4000, .subprograms = 0 },
        { "program 20 maps", 400, .maps = 20 },
        { "program 8 subprograms", 200, .subprograms = 8 },
        { "program exceptions", 300, .feature = PROGRAM_EXCEPTIONS },
        { "program iterator", 2, .feature = PROGRAM_ITERATOR },
        { "program kfunc", 4, .feature = PROGRAM_KFUNC },
        { "program symbol", 4, .feature = PROGRAM_SYMBOL },
        { "program stack", 256, .feature = PROGRAM_STACK },
        { "program tail call", 6, .feature = PROGRAM_TAIL_CALL },
        { "program debug info", 200, .feature = PROGRAM_DEBUG_INFO },
};

#define PROGRAM_WITH_MAPS 2
/* The first ones, which need nothing but themselves. */
#define PLAIN_PROGRAMS 4

/*
 * Kernels whose figure for one object of a row must be what they allocated for it, to the byte. On others it was not
 * looked at yet.
 */
static const char *const exact_kernels[] = { "6.18." };

/* What the kernel allocated for the first object of a row, told by the process that made it. */
struct trace {
        struct allocations allocations;
        uint32_t id;
        uint32_t entries; /* that were inserted */
};

enum subject_kind {
        SUBJECT_MAPS,
        SUBJECT_PROGRAMS,
        SUBJECT_MIX,
        SUBJECT_CYCLES,
};

/* What one process in a cgroup of its own makes, and what is said about it. All figures are bytes of all its objects.
 */
struct subject {
        enum subject_kind kind;
        const char *name;
        const struct map_kind *map;
        const struct program_kind *program;
        uint32_t count; /* of objects */

        struct test_cgroup cgroup;
        pid_t pid;
        int control; /* socket to it */
        int status;  /* 0 or a negative errno: why there are no figures */

        int64_t kernel_before, percpu_before;
        int64_t truth;  /* charged, by the kernel */
        int64_t percpu; /* growth of Percpu: in /proc/meminfo */
        int64_t charged, allocated, allocated_min, jit, objects;
        int64_t ceiling, unbounded; /* the latter: objects without a ceiling */
        int64_t memlock;
        int64_t jited; /* code without headers, by the kernel */
        bool bounded;

        struct trace *trace; /* shared with the process; NULL where the kernel is not in exact_kernels */
        /* Of the object that it is about. */
        int64_t one_charged, one_allocated, one_allocated_min, one_jit, one_image, one_entries;
};

/* Maps of the test itself, see use_up_percpu(). */
#define USED_UP_MAPS_MAX 8
static int used_up[USED_UP_MAPS_MAX * BATCH];
static size_t used_up_count;

/* The kernel is one of exact_kernels. */
static bool exact;

/* Maps, programs, the mix. */
static struct subject rows[LENGTH(map_kinds) + LENGTH(program_kinds) + 1];
static size_t row_count;

/* --- The process -------------------------------------------------------------------------------------------------- */

/* The first of count file descriptors that take the objects: what a file costs is paid before anything is measured. */
#define FIRST_FD 256

static int reserve_fds(uint32_t count)
{
        struct rlimit limit = { FIRST_FD + count + 64, FIRST_FD + count + 64 };
        int fd;

        setrlimit(RLIMIT_NOFILE, &limit);
        /* A map and a program are anonymous files as these are. */
        fd = eventfd(0, EFD_CLOEXEC);
        for (uint32_t i = 0; i < count && fd >= 0; i++) {
                int other = eventfd(0, EFD_CLOEXEC);

                if (other < 0 || dup2(other, FIRST_FD + i) < 0)
                        return -errno;
                close(other);
        }
        return fd < 0 ? -errno : 0;
}

/* Puts the object @fd (or negative errno) in place of the file descriptor reserved for object @i. */
static int take_place(int fd, uint32_t i)
{
        if (fd < 0)
                return fd;
        if (dup2(fd, FIRST_FD + i) < 0)
                return -errno;
        close(fd);
        return 0;
}

/* Kinds that are filled without anything else, in turn, and with different numbers of entries. */
static int make_any_map(uint32_t i)
{
        static const size_t simple[] = { 0, 1, 3, 5, 12, 14, 17, 20, 24, 26, 30, 32, 33, 39, 40, 43, 45, 47 };
        const struct map_kind *kind = &map_kinds[simple[i % LENGTH(simple)]];
        bool fillable = kind->type != BPF_MAP_TYPE_STACK_TRACE && kind->type != BPF_MAP_TYPE_RINGBUF &&
                        kind->type != BPF_MAP_TYPE_BLOOM_FILTER;

        return map_make_filled(kind, fillable ? kind->max_entries * (i * 37 % 101) / 100 : 0);
}

static int make_mix(uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                uint32_t program = i - MIX_MAPS;
                int r = take_place(i < MIX_MAPS ? make_any_map(i)
                                                : program_make(&program_kinds[program % PLAIN_PROGRAMS], OBJECT),
                                i);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int64_t now_sec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec;
}

/* Makes and closes those from @first to before @end. Returns 0 or a negative errno. */
static int make_cycles_from(uint32_t first, uint32_t end)
{
        int64_t deadline = now_sec() + CYCLES_SEC;

        for (uint32_t i = first; i < end; i++) {
                int fd = i % 10 == 9 ? program_make(&program_kinds[i / 10 % PLAIN_PROGRAMS], OBJECT)
                                     : make_any_map(i * 7919);

                if (fd < 0)
                        return fd;
                close(fd);
                if (now_sec() > deadline)
                        return -ETIME;
        }
        return 0;
}

/* By several processes, as each object waits for the kernel's grace periods. */
static int make_cycles(void)
{
        uint32_t cycles = atoi(getenv("CYCLES") ?: "10000"), done = 0;
        int result = 0;

        for (uint32_t n = 0; n < CYCLES_MAKERS; n++) {
                pid_t pid = fork();

                if (pid < 0)
                        return -errno;
                if (pid == 0)
                        _exit(-make_cycles_from(cycles * n / CYCLES_MAKERS, cycles * (n + 1) / CYCLES_MAKERS));
        }
        for (uint32_t n = 0; n < CYCLES_MAKERS; n++) {
                int status;

                if (wait(&status) < 0)
                        return -errno;
                if (!WIFEXITED(status))
                        result = -ECHILD;
                else if (WEXITSTATUS(status) != 0)
                        result = -WEXITSTATUS(status);
                else
                        done += cycles * (n + 1) / CYCLES_MAKERS - cycles * n / CYCLES_MAKERS;
        }
        if (result == 0)
                printf("# %u objects created and destroyed\n", done);
        return result;
}

static uint32_t subject_id(const struct subject *subject, int fd)
{
        struct bpf_prog_info program = {};
        struct bpf_map_info map = {};
        uint32_t size = subject->map ? sizeof(map) : sizeof(program);

        bpf_obj_get_info_by_fd(fd, subject->map ? (void *) &map : (void *) &program, &size);
        return subject->map ? map.id : program.id;
}

static int make_object(const struct subject *subject)
{
        return subject->map ? map_make(subject->map) : program_make(subject->program, OBJECT);
}

/* The same, and what the kernel allocated for it. */
static int make_traced(const struct subject *subject)
{
        int fd = allocations_begin();

        if (fd < 0)
                return fd;
        fd = make_object(subject);
        allocations_end(&subject->trace->allocations);
        if (fd >= 0)
                subject->trace->id = subject_id(subject, fd);
        if (subject->map)
                subject->trace->entries = map_entries(subject->map);
        return fd;
}

static int make_objects(const struct subject *subject)
{
        int r = 0;

        if (subject->kind == SUBJECT_MIX)
                return make_mix(subject->count);
        if (subject->kind == SUBJECT_CYCLES)
                return make_cycles();
        for (uint32_t i = 0; i < subject->count && r == 0; i++)
                r = take_place(i == 0 && subject->trace ? make_traced(subject) : make_object(subject), i);
        return r;
}

/* Makes an object as those of @subject, for page tables of this process, and whether the kernel has such objects. */
static int warm_up(const struct subject *subject)
{
        int fd;

        if (!subject->map) {
                /* With the maps that programs use. */
                fd = program_make(subject->program ?: &program_kinds[PROGRAM_WITH_MAPS], OBJECT);
        } else if (map_is_preallocated_percpu(subject->map)) {
                /* What is freed stays in Percpu: */
                return 0;
        } else {
                /* Small, as it is taken down in the background. Filled, some hold themselves, or leave something. */
                struct map_kind small = *subject->map;
                bool empty = small.type == MAP_TYPE_ARENA || small.type == BPF_MAP_TYPE_XSKMAP ||
                             map_is_local_storage(&small);

                small.wrapped = false;
                if (small.max_entries > WARM_UP_ENTRIES)
                        small.max_entries = small.type == BPF_MAP_TYPE_RINGBUF ||
                                                                            small.type == BPF_MAP_TYPE_USER_RINGBUF
                                                            ? sysconf(_SC_PAGESIZE)
                                                            : WARM_UP_ENTRIES;
                fd = map_make_filled(&small, empty ? 0 : map_entries(&small));
        }
        if (fd >= 0)
                close(fd);
        return fd < 0 ? fd : 0;
}

/* Before anything is measured: everything that is not part of the objects. */
static int prepare(const struct subject *subject)
{
        int r = reserve_fds(subject->count);

        /* libbpf tries out the kernel with the first map. */
        if (r == 0)
                close(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_first", 4, 4, 1, NULL));
        if (r == 0 && subject->map)
                r = objects_prepare(subject->map, subject->cgroup.directory);
        if (r == 0)
                r = warm_up(subject);
        for (uint32_t i = 0; i < CYCLES_KEPT && r == 0 && subject->kind == SUBJECT_CYCLES; i++)
                r = take_place(make_any_map(i), i);
        return r;
}

static int join(const struct test_cgroup *cgroup)
{
        _cleanup_close_ int directory = open(cgroup->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int fd = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);

        return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

static void work(const struct subject *subject, int control)
{
        char byte;
        int r;

        r = join(&subject->cgroup);
        if (r == 0)
                r = prepare(subject);
        if (write(control, &r, sizeof(r)) != sizeof(r) || read(control, &byte, 1) != 1)
                _exit(0);
        r = make_objects(subject);
        if (write(control, &r, sizeof(r)) == sizeof(r))
                while (read(control, &byte, 1) > 0)
                        ;
        _exit(0);
}

static void read_status(struct subject *subject)
{
        if (read(subject->control, &subject->status, sizeof(int)) != sizeof(int))
                subject->status = -EPIPE;
}

/* Starts the process of @subject and waits until it is prepared. */
static void subject_start(struct subject *subject, size_t number)
{
        char name[32];
        int pair[2];

        snprintf(name, sizeof(name), "accounting-%zu", number);
        cgroup_make(&subject->cgroup, NULL, name);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        subject->pid = fork();
        assert_true(subject->pid >= 0);
        if (subject->pid == 0) {
                close(pair[0]);
                work(subject, pair[1]);
        }
        close(pair[1]);
        subject->control = pair[0];
        read_status(subject);
}

static void subject_go(struct subject *subject)
{
        char byte = 0;

        assert_int_equal(write(subject->control, &byte, 1), 1);
        read_status(subject);
}

static void subject_end(struct subject *subject)
{
        shutdown(subject->control, SHUT_RDWR);
        close(subject->control);
        waitpid(subject->pid, NULL, 0);
}

/* --- Figures ------------------------------------------------------------------------------------------------------ */

static int64_t percpu_bytes(void)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/meminfo", "re");
        long long kib = 0;
        char line[128];

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "Percpu: %lld kB", &kib) == 1)
                        break;
        return kib * 1024;
}

/* memlock of object @i, read from outside: what reading takes is charged to the reader. -1 if it is not there. */
static int64_t memlock(const struct subject *subject, uint32_t i)
{
        _cleanup_fclose_ FILE *file = NULL;
        long long bytes = -1;
        char path[64], line[128];

        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%u", subject->pid, FIRST_FD + i);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "memlock: %lld", &bytes) == 1)
                        break;
        return bytes;
}

/* Bytes of a program's exception table: 12 for each load that may fault (struct exception_table_entry on x86-64). */
static int64_t exception_bytes(const struct subject *subject)
{
        return subject->program && subject->program->feature == PROGRAM_EXCEPTIONS
                               ? 12LL * subject->program->instructions
                               : 0;
}

/* Bytes of JIT code of program @id by the kernel's own figure, in @lengths of its @count functions. */
static int64_t jited_bytes(uint32_t id, uint32_t *lengths, uint32_t *count)
{
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
        struct bpf_prog_info info = { .jited_func_lens = (uintptr_t) lengths, .nr_jited_func_lens = *count };
        uint32_t size = sizeof(info);

        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return 0;
        *count = info.nr_jited_func_lens;
        return info.jited_prog_len;
}

#define FUNCTIONS_MAX 16
#define JIT_CHUNK     64 /* kernel/bpf/core.c, BPF_PROG_CHUNK_SIZE */

/* Bytes of the JIT images: of each function code, exception table, header (8) and illegal instructions (16). */
static int64_t image_bytes(const struct subject *subject, uint32_t id)
{
        uint32_t lengths[FUNCTIONS_MAX] = {}, count = FUNCTIONS_MAX;
        int64_t bytes = 0;

        jited_bytes(id, lengths, &count);
        for (uint32_t i = 0; i < count && i < FUNCTIONS_MAX; i++)
                bytes += ((lengths[i] + 3LL) / 4 * 4 + exception_bytes(subject) + 8 + 16 + JIT_CHUNK - 1) / JIT_CHUNK *
                         JIT_CHUNK;
        return bytes;
}

static void take_traced(struct subject *subject, json_t *object)
{
        subject->one_allocated = number(object, NULL, "allocated");
        subject->one_allocated_min = number(object, NULL, "allocatedMin");
        subject->one_charged = number(object, NULL, "charged");
        subject->one_jit = number(object, NULL, "jit");
        subject->one_entries = -1;
        if (json_is_integer(json_object_get(object, "entries")))
                subject->one_entries = number(object, NULL, "entries");
        if (subject->program)
                subject->one_image = image_bytes(subject, subject->trace->id);
}

/* Sums what the daemon says of the objects in @subject's cgroup. */
static void take_report(struct subject *subject, json_t *report)
{
        json_t *object;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *path = json_string_value(json_object_get(object, "cgroup"));
                const char *name = json_string_value(json_object_get(object, "name"));

                if (!path || strcmp(path, subject->cgroup.path) != 0 || !name || strcmp(name, OBJECT) != 0)
                        continue;
                subject->objects++;
                subject->allocated += number(object, NULL, "allocated");
                subject->allocated_min += number(object, NULL, "allocatedMin");
                subject->charged += number(object, NULL, "charged");
                subject->jit += number(object, NULL, "jit");
                if (json_is_null(json_object_get(object, "ceiling")))
                        subject->unbounded++;
                else
                        subject->ceiling += number(object, NULL, "ceiling");
                subject->bounded |= json_is_false(json_object_get(object, "exact"));
                if (strcmp(json_string_value(json_object_get(object, "kind")), "program") == 0)
                        subject->jited += jited_bytes(number(object, NULL, "id"), NULL, &(uint32_t){ 0 }) +
                                          exception_bytes(subject);
                if (subject->trace && number(object, NULL, "id") == subject->trace->id)
                        take_traced(subject, object);
        }
}

/*
 * Per-CPU memory that was freed is kept for a while, and what is taken from there does not show in Percpu:. So the
 * caller holds maps of @kind until one of them shows with all its bytes.
 */
static void use_up_percpu(const struct map_kind *kind)
{
        int64_t bytes = (int64_t) kind->value_size * kind->max_entries * libbpf_num_possible_cpus(), before;

        for (int i = 0; i < USED_UP_MAPS_MAX; i++) {
                before = percpu_bytes();
                used_up[used_up_count] = map_make_filled(kind, 0);
                if (used_up[used_up_count] < 0)
                        return;
                used_up_count++;
                if (percpu_bytes() - before >= bytes)
                        return;
        }
}

static void release_percpu(void)
{
        while (used_up_count > 0)
                close(used_up[--used_up_count]);
}

/* Takes the figures before, as soon as what is still being freed is gone. */
static void settle_before(struct subject *batch, size_t n)
{
        bool changed = true;

        for (int tries = 0; changed && tries < SETTLE_TRIES_MAX; tries++) {
                settle();
                changed = false;
                for (size_t i = 0; i < n; i++) {
                        int64_t bytes = cgroup_kernel_bytes(&batch[i].cgroup);

                        changed |= bytes != batch[i].kernel_before;
                        batch[i].kernel_before = bytes;
                }
        }
}

static void add_memlock(struct subject *subject, int64_t bytes)
{
        if (bytes < 0)
                subject->status = -ENODATA;
        else
                subject->memlock += bytes;
}

static void measure(struct subject *batch, size_t n)
{
        json_t *report;

        for (size_t i = 0; i < n; i++)
                subject_start(&batch[i], &batch[i] - rows);
        settle_before(batch, n);
        for (size_t i = 0; i < n; i++) {
                if (batch[i].status < 0)
                        continue;
                if (batch[i].map && map_is_preallocated_percpu(batch[i].map))
                        use_up_percpu(batch[i].map);
                batch[i].percpu_before = percpu_bytes();
                subject_go(&batch[i]);
                batch[i].percpu = percpu_bytes() - batch[i].percpu_before;
                if (batch[i].percpu < 0)
                        batch[i].percpu = 0; /* others give theirs back */
        }
        settle();
        report = snapshot();
        for (size_t i = 0; i < n; i++) {
                batch[i].truth = cgroup_kernel_bytes(&batch[i].cgroup) - batch[i].kernel_before;
                take_report(&batch[i], report);
                for (uint32_t k = 0; k < batch[i].count && batch[i].status == 0; k++)
                        add_memlock(&batch[i], memlock(&batch[i], k));
        }
        json_decref(report);
        for (size_t i = 0; i < n; i++)
                subject_end(&batch[i]);
        release_percpu();
        harness_teardown(NULL);
}

/* --- Table -------------------------------------------------------------------------------------------------------- */

static double percent_off(int64_t ours, int64_t truth)
{
        return truth > 0 ? 100.0 * (ours - truth) / truth : 0.0;
}

/* What the daemon and bpftool mean by an object's memory: what is charged, and what nobody is charged for. */
static int64_t true_allocated(const struct subject *row)
{
        bool uncharged = row->map && map_is_preallocated_percpu(row->map);

        return row->truth + (uncharged ? row->percpu : 0) + row->jited;
}

static void print_row(const struct subject *row)
{
        uint32_t n = row->count;
        int64_t total = true_allocated(row);

        if (row->status < 0) {
                printf("# %-26s %s\n", row->name, strerror(-row->status));
                return;
        }
        printf("# %-26s %4u | %10lld %10lld %+7.2f%% | %10lld %10lld %+7.2f%% | %10lld %+8.2f%% | %10lld%s\n",
                        row->name, n, (long long) row->truth / n, (long long) row->charged / n,
                        percent_off(row->charged, row->truth), (long long) total / n, (long long) row->allocated / n,
                        percent_off(row->allocated, total), (long long) row->memlock / n,
                        percent_off(row->memlock, total), (long long) row->ceiling / n, row->bounded ? " bounds" : "");
}

static void print_table(void)
{
        struct utsname name;

        uname(&name);
        printf("# Linux %s, bytes of one object, mean of n\n", name.release);
        printf("# %-26s %4s | %10s %10s %8s | %10s %10s %8s | %10s %9s | %10s\n", "row", "n", "charged", "ours",
                        "error", "allocated", "ours", "error", "memlock", "error", "ceiling");
        for (size_t i = 0; i < row_count; i++)
                print_row(&rows[i]);
        fflush(stdout);
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static bool is_linux_6_1(void)
{
        struct utsname name;

        uname(&name);
        return strncmp(name.release, "6.1.", 4) == 0;
}

/* What a process takes by itself. AddressSanitizer's shadow of what it touches has page tables, which are charged, too.
 */
#if HARNESS_ASAN
#define PROCESS_PAGES 18
#else
#define PROCESS_PAGES 2
#endif

/*
 * Where one object is right to the byte, many may be off by what the kernel's figure is: in whole pages, one of which
 * each CPU takes in advance (mm/memcontrol.c, struct obj_stock_pcp). And by those that a process takes.
 */
static int64_t granularity(const struct subject *row)
{
        return (libbpf_num_possible_cpus() + PROCESS_PAGES) * sysconf(_SC_PAGESIZE) +
               (row->map ? (int64_t) row->map->stray * row->count : 0);
}

static int64_t tolerance(const struct subject *row, int64_t truth)
{
        double percent = is_linux_6_1() ? TOLERANCE_PERCENT_6_1 : TOLERANCE_PERCENT;
        int64_t relative, absolute = (int64_t) TOLERANCE_BYTES * row->count;

        if (exact)
                return granularity(row);
        if (row->kind == SUBJECT_MIX)
                return truth * MIX_TOLERANCE_PERCENT / 100;
        relative = truth * percent / 100;
        return relative > absolute ? relative : absolute;
}

static void check_close(const struct subject *row, const char *what, int64_t ours, int64_t truth)
{
        if (llabs(ours - truth) > tolerance(row, truth))
                fail_msg("%s: %s %lld, the kernel's figure is %lld (%+.2f %%)", row->name, what, (long long) ours,
                                (long long) truth, percent_off(ours, truth));
}

/* Truth between the bounds, and the upper one at most twice the truth. */
static void check_bounds(const struct subject *row)
{
        int64_t truth = true_allocated(row), slack = tolerance(row, truth);

        assert_in_range(truth, row->allocated_min > slack ? row->allocated_min - slack : 0, row->allocated + slack);
        assert_true(row->allocated <= 2 * truth + slack);
}

static bool has_uncharged_percpu(const struct subject *row)
{
        return row->map && map_is_preallocated_percpu(row->map);
}

/* What is in none of the kernel's figures. Entries of 64 bytes are larger where kmalloc() has no such class. */
static int64_t unseen(const struct map_kind *kind)
{
        bool larger = kind->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY &&
                      access("/sys/kernel/slab/kmalloc-128", F_OK) == 0 &&
                      access("/sys/kernel/slab/kmalloc-64", F_OK) < 0;

        return larger ? 2 * (int64_t) kind->unseen : kind->unseen;
}

/*
 * How far allocated may be above what is charged and the JIT code: per-CPU memory by the kernel's own figure, which
 * grows in chunks, the header and padding of JIT images, and what is in no figure. The bounds are in *low and *high;
 * returns whether our figure is within them.
 */
static bool allocated_is_right(const struct subject *row, int64_t *low, int64_t *high)
{
        int64_t slack = tolerance(row, true_allocated(row));

        *low = true_allocated(row) - slack;
        *high = row->truth + row->percpu + row->jited + slack;
        if (has_uncharged_percpu(row)) {
                *low -= PERCPU_SLACK;
                *high += PERCPU_SLACK;
        }
        *high += (int64_t) row->count * PERCPU_SMALL * libbpf_num_possible_cpus();
        *high += (int64_t) row->count * (row->map ? unseen(row->map) : PROGRAM_SLACK);
        return row->allocated >= *low && row->allocated <= *high;
}

static void check_allocated(const struct subject *row)
{
        int64_t low, high;

        if (!allocated_is_right(row, &low, &high))
                fail_msg("%s: allocated %lld, should be %lld to %lld", row->name, (long long) row->allocated,
                                (long long) low, (long long) high);
}

/* Bytes of one of what there is most of. */
static int64_t most_allocated(const struct allocations *allocations)
{
        const struct allocation_group *most = NULL;

        for (uint32_t i = 0; i < allocations->group_count; i++)
                if (!most || allocations->groups[i].count > most->count)
                        most = &allocations->groups[i];
        return most ? most->allocated : 0;
}

struct expected {
        int64_t allocated, allocated_min, charged;
};

/* What the daemon should say of the first object, without its JIT image. */
static struct expected expected(const struct subject *row)
{
        const struct allocations *truth = &row->trace->allocations;
        struct expected figures = { truth->allocated, truth->allocated, truth->charged };
        /* With n entries a trie has up to n - 1 nodes between them, as large as any, or none. */
        int64_t between = row->bounded ? (row->one_entries - 1) * most_allocated(truth) : 0;

        if (row->map && row->map->nested)
                figures.allocated += between, figures.charged += between;
        else
                figures.allocated_min -= between;
        return figures;
}

static bool is_exact(const struct subject *row)
{
        struct expected figures = expected(row);

        return row->one_allocated - row->one_jit == figures.allocated && row->one_charged == figures.charged;
}

/* Whether somebody else may have had a hand in the kernel's figures of @row. */
static bool is_disturbed(const struct subject *row)
{
        int64_t low, high;

        if (row->status < 0)
                return false;
        /* Percpu: is everybody's, and somebody may have given theirs back meanwhile. */
        if (has_uncharged_percpu(row) && !allocated_is_right(row, &low, &high))
                return true;
        if (row->trace && !(row->map && row->map->scattered) && !is_exact(row))
                return true;
        /* What was made and closed beforehand is freed in the background, and on a busy machine late. */
        return exact && !row->bounded && llabs(row->charged - row->truth) > tolerance(row, row->truth);
}

/* Rows that were disturbed are measured again, by themselves; not all of them where a formula is wrong. */
static void measure_disturbed(const struct subject *specifications)
{
        int left = AGAIN_MAX;

        for (size_t i = 0; i < row_count; i++)
                for (int tries = 0; tries < 3 && left > 0 && is_disturbed(&rows[i]); tries++, left--) {
                        printf("# %s is measured again\n", rows[i].name);
                        rows[i] = specifications[i];
                        measure(&rows[i], 1);
                }
}

/*
 * Not farther off than the kernel's own figure; both may be as good as exact. What nobody is charged for is compared
 * only where it is what most of the map is made of.
 */
static void check_memlock(const struct subject *row)
{
        bool percpu = has_uncharged_percpu(row);
        int64_t truth = percpu ? true_allocated(row) : row->truth;
        int64_t ours = llabs((percpu ? row->allocated : row->charged) - truth), theirs = llabs(row->memlock - truth);
        int64_t slack = (exact ? granularity(row) : truth / 100 + 64LL * row->count) + (percpu ? PERCPU_SLACK : 0);

        if (ours > theirs + slack)
                fail_msg("%s: %lld off, bpftool only %lld", row->name, (long long) ours, (long long) theirs);
}

/* Whether what it takes depends on what is in it. */
static bool grows(const struct map_kind *kind)
{
        switch ((int) kind->type) {
        case BPF_MAP_TYPE_PROG_ARRAY: /* what its programs have in common */
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_CPUMAP:
        case BPF_MAP_TYPE_SOCKHASH:
        case BPF_MAP_TYPE_XSKMAP:
        case BPF_MAP_TYPE_STRUCT_OPS:
        case MAP_TYPE_ARENA:
                return true;
        }
        return kind->flags & NP;
}

static bool has_ceiling(const struct map_kind *kind)
{
        return !map_is_local_storage(kind) && kind->type != BPF_MAP_TYPE_CGROUP_STORAGE &&
               kind->type != BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* Bytes that the ceiling of a full map of @kind may be above what it takes. */
static int64_t ceiling_slack(const struct map_kind *kind)
{
        int64_t cpus = libbpf_num_possible_cpus(), value = kind->value_size;

        if (kind->type == BPF_MAP_TYPE_CPUMAP)
                return cpus * CEILING_RING_BYTES;
        if (kind->type == BPF_MAP_TYPE_PERCPU_HASH)
                value *= cpus + 2;
        if (kind->type == BPF_MAP_TYPE_PROG_ARRAY || kind->type == BPF_MAP_TYPE_DEVMAP ||
                        kind->type == BPF_MAP_TYPE_DEVMAP_HASH)
                return 512;
        return kind->flags & NP ? cpus * CEILING_ELEMENTS * (2 * (value + kind->key_size) + 256) : 0;
}

/* No object is above its ceiling, a full one is near it, and what does not grow is at it. */
static void check_ceiling(const struct subject *row)
{
        const struct map_kind *kind = row->map;
        bool tree = kind && (kind->type == BPF_MAP_TYPE_LPM_TRIE || kind->type == MAP_TYPE_RHASH);

        if (kind && !has_ceiling(kind)) {
                assert_int_equal(row->unbounded, row->count);
                return;
        }
        assert_int_equal(row->unbounded, 0);
        if (row->ceiling < row->allocated)
                fail_msg("%s: %lld allocated, ceiling %lld", row->name, (long long) row->allocated,
                                (long long) row->ceiling);
        if (row->kind != SUBJECT_MIX && (!kind || !grows(kind)))
                assert_int_equal(row->ceiling, row->allocated);
        if (kind && kind->percent == 100 &&
                        row->ceiling > row->allocated * (tree ? CEILING_FACTOR_TREE : CEILING_FACTOR) +
                                                        ceiling_slack(kind) * row->count)
                fail_msg("%s: full %lld allocated, but ceiling %lld", row->name, (long long) row->allocated,
                                (long long) row->ceiling);
}

static bool same_shape(const struct map_kind *a, const struct map_kind *b)
{
        return a && b && a->type == b->type && a->flags == b->flags && a->key_size == b->key_size &&
               a->value_size == b->value_size && a->max_entries == b->max_entries && a->inner_type == b->inner_type &&
               a->unprivileged == b->unprivileged && a->locked == b->locked;
}

/* However full a map is, its ceiling is the same: what is booked when it is made holds. */
static void test_ceilings_stay(void **state)
{
        size_t pairs = 0;

        (void) state;
        for (size_t i = 0; i < row_count; i++)
                for (size_t k = i + 1; k < row_count; k++) {
                        const struct subject *a = &rows[i], *b = &rows[k];

                        if (!same_shape(a->map, b->map) || a->status < 0 || b->status < 0)
                                continue;
                        pairs++;
                        if (a->ceiling / a->count != b->ceiling / b->count)
                                fail_msg("%s: ceiling %lld; %s: %lld", a->name, (long long) a->ceiling / a->count,
                                                b->name, (long long) b->ceiling / b->count);
                }
        printf("# %zu pairs of rows of the same shape\n", pairs);
        assert_true(pairs > 0);
}

static void test_row(void **state)
{
        const struct subject *row = *state;

        if (row->status < 0)
                fail_msg("%s: %s", row->name, strerror(-row->status));
        assert_int_equal(row->objects, row->count);
        check_ceiling(row);
        if (row->bounded) {
                check_bounds(row);
                return;
        }
        check_close(row, "charged", row->charged, row->truth);
        check_allocated(row);
        check_memlock(row);
        assert_in_range(row->jit, row->jited, row->jited + (row->jited ? PROGRAM_SLACK * row->count : 0));
}

/* How many entries the daemon should say that a map of @row has; -1 where it does not say. */
static int64_t entries_of(const struct subject *row)
{
        const struct map_kind *kind = row->map;
        bool counted = kind->flags & NP || kind->type == BPF_MAP_TYPE_HASH || kind->type == BPF_MAP_TYPE_LRU_HASH ||
                       kind->type == BPF_MAP_TYPE_PERCPU_HASH || kind->type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
                       kind->type == BPF_MAP_TYPE_HASH_OF_MAPS || kind->type == BPF_MAP_TYPE_QUEUE ||
                       kind->type == BPF_MAP_TYPE_STACK || kind->type == BPF_MAP_TYPE_DEVMAP ||
                       kind->type == BPF_MAP_TYPE_DEVMAP_HASH || kind->type == BPF_MAP_TYPE_CPUMAP ||
                       kind->type == BPF_MAP_TYPE_SOCKHASH || kind->type == BPF_MAP_TYPE_XSKMAP ||
                       kind->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY || kind->type == BPF_MAP_TYPE_CGROUP_STORAGE ||
                       kind->type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE || kind->type == MAP_TYPE_ARENA;

        if (!counted)
                return -1;
        return row->trace->entries - (kind->wrapped ? WRAP_OUT - WRAP_IN : 0);
}

/* An LRU may have dropped some for others before it was full: each CPU takes 128 at a time (bpf_lru_list.c). */
static void check_entries(const struct subject *row)
{
        bool lru = row->map->type == BPF_MAP_TYPE_LRU_HASH || row->map->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
        int64_t entries = entries_of(row);

        if (!lru || row->map->percent < 100)
                assert_int_equal(row->one_entries, entries);
        else
                assert_in_range(row->one_entries, entries / 2, entries);
}

/* What the daemon says of one object is what the kernel allocated for it. JIT images are parts of packs. */
static void test_exact(void **state)
{
        const struct subject *row = *state;
        const struct allocations *truth = &row->trace->allocations;
        struct expected figures;

        if (row->status < 0)
                fail_msg("%s: %s", row->name, strerror(-row->status));
        assert_int_equal(truth->lost, 0);
        assert_true(truth->allocated > 0);
        figures = expected(row);
        if (!is_exact(row)) {
                allocations_print(truth);
                fail_msg("%s: allocated %lld without its JIT image, should be %lld; charged %lld, should be %lld",
                                row->name, (long long) (row->one_allocated - row->one_jit),
                                (long long) figures.allocated, (long long) row->one_charged,
                                (long long) figures.charged);
        }
        assert_int_equal(row->one_allocated_min - row->one_jit, figures.allocated_min);
        assert_int_equal(row->one_jit, row->one_image);
        if (row->map)
                check_entries(row);
}

/* The tree of free ranges has many nodes, which are not counted and come from the same places as the rest. */
static void test_scattered(void **state)
{
        const struct subject *row = *state;
        int64_t page = sysconf(_SC_PAGESIZE);

        if (row->status < 0)
                fail_msg("%s: %s", row->name, strerror(-row->status));
        assert_int_equal(row->one_entries, map_entries(row->map));
        assert_int_equal(row->one_allocated / page, map_entries(row->map));
        assert_int_equal(row->one_allocated_min, row->one_allocated);
}

static void test_bounded_types(void **state)
{
        uint64_t types = 0;

        (void) state;
        for (size_t i = 0; i < row_count; i++)
                if (rows[i].map && rows[i].bounded)
                        types |= 1ULL << rows[i].map->type;
        assert_true(__builtin_popcountll(types) <= BOUNDED_TYPES_MAX);
}

static void sum_cgroup(struct subject *subject, int64_t *allocated, int64_t *charged)
{
        json_t *report;

        settle();
        report = snapshot();
        *allocated = number(find_cgroup(report, subject->cgroup.path), "bpf", "allocated");
        *charged = number(find_cgroup(report, subject->cgroup.path), "bpf", "charged");
        json_decref(report);
}

static void test_cycles(void **state)
{
        struct subject subject = { .kind = SUBJECT_CYCLES, .name = "cycles", .count = CYCLES_KEPT };
        int64_t allocated[2], charged[2];

        (void) state;
        subject_start(&subject, row_count);
        assert_int_equal(subject.status, 0);
        sum_cgroup(&subject, &allocated[0], &charged[0]);
        assert_true(charged[0] > 0);
        subject_go(&subject);
        assert_int_equal(subject.status, 0);
        sum_cgroup(&subject, &allocated[1], &charged[1]);
        subject_end(&subject);
        assert_int_equal(allocated[0], allocated[1]);
        assert_int_equal(charged[0], charged[1]);
}

/* --- Main --------------------------------------------------------------------------------------------------------- */

/* Objects of a row, from a rough idea of the size of one. */
static uint32_t objects_for(uint64_t size, uint64_t bytes)
{
        uint64_t count = bytes / (size + 256), max = exact ? EXACT_OBJECTS_MAX : OBJECTS_MAX;

        return count < OBJECTS_MIN ? OBJECTS_MIN : count > max ? max : count;
}

static void add_traces(void)
{
        struct trace *traces;

        if (!exact || row_count == 0)
                return;
        assert_int_equal(allocations_init(), 0);
        traces = mmap(NULL, row_count * sizeof(*traces), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(traces, MAP_FAILED);
        for (size_t i = 0; i < row_count; i++)
                if (rows[i].map || rows[i].program)
                        rows[i].trace = &traces[i];
}

static void add_map_row(const struct map_kind *kind)
{
        uint64_t entry = kind->key_size + kind->value_size + 32ULL, entries = kind->max_entries;

        if (map_is_preallocated_percpu(kind))
                entry *= libbpf_num_possible_cpus();
        /* Few of them: see ARENA_TABLES, and a socket's storage has an upper limit (net.core.optmem_max). */
        if (kind->type == MAP_TYPE_ARENA)
                entry = ROW_BYTES / FEW_OBJECTS, entries = 1;
        if (kind->type == BPF_MAP_TYPE_SK_STORAGE && kind->percent)
                entry = ROW_BYTES / FEW_OBJECTS, entries = 1;
        if (kind->inner_type && kind->percent)
                entry = ROW_BYTES / entries / FEW_OBJECTS; /* each insertion waits for RCU */
        if (kind->type == BPF_MAP_TYPE_RINGBUF || kind->type == BPF_MAP_TYPE_USER_RINGBUF)
                entry = 1;
        /* One is enough. */
        if (kind->exact_only)
                entry = ROW_BYTES, entries = 1;
        rows[row_count++] = (struct subject){ .kind = SUBJECT_MAPS,
                .name = kind->name,
                .map = kind,
                .count = objects_for(
                                entry * entries, map_is_preallocated_percpu(kind) ? PERCPU_ROW_BYTES : ROW_BYTES) };
}

static bool is_exact_kernel(void)
{
        struct utsname name;

        uname(&name);
        for (size_t i = 0; i < LENGTH(exact_kernels); i++)
                if (strncmp(name.release, exact_kernels[i], strlen(exact_kernels[i])) == 0)
                        return true;
        return false;
}

/*
 * With their subprograms, and those of the mix, fewer than 500 programs: Linux 6.18 hangs when more than 1,024 are
 * freed at a time. Each is a work item of one CPU's queue "events", which runs so many; all wait for pack_mutex, and
 * who has it waits for another item of that queue (__purge_vmap_area_lazy()).
 */
static uint32_t programs_for(const struct program_kind *kind)
{
        uint64_t instructions = (uint64_t) kind->instructions * (kind->subprograms + 1);

        if (exact)
                return kind->feature != PROGRAM_PLAIN || kind->subprograms ? FEW_OBJECTS / 2 : FEW_OBJECTS;
        return objects_for(instructions * 8 + 8192, ROW_BYTES);
}

/* Compares the rows with each other: all of them. */
#define CEILINGS_STAY "ceilings stay"

/* Whether the tests of the row @name are to be run: of the others nothing is measured. */
static bool is_wanted(const char *name, const char *part)
{
        const char *filter = getenv("TEST_FILTER");
        char exactly[64];

        snprintf(exactly, sizeof(exactly), EXACT_NAME, name);
        return (!part || strstr(name, part)) &&
               (!filter || !*filter || fnmatch(filter, name, 0) == 0 || fnmatch(filter, exactly, 0) == 0 ||
                               fnmatch(filter, CEILINGS_STAY, 0) == 0);
}

static void add_rows(const char *filter)
{
        for (size_t i = 0; i < LENGTH(map_kinds); i++)
                if ((exact || !map_kinds[i].exact_only) && is_wanted(map_kinds[i].name, filter))
                        add_map_row(&map_kinds[i]);
        for (size_t i = 0; i < LENGTH(program_kinds); i++)
                if ((exact || program_kinds[i].feature == PROGRAM_PLAIN) && is_wanted(program_kinds[i].name, filter))
                        rows[row_count++] = (struct subject){ .kind = SUBJECT_PROGRAMS,
                                .name = program_kinds[i].name,
                                .program = &program_kinds[i],
                                .count = programs_for(&program_kinds[i]) };
        if (!filter && is_wanted("mix", NULL))
                rows[row_count++] = (struct subject){
                        .kind = SUBJECT_MIX, .name = "mix", .count = MIX_MAPS + MIX_PROGRAMS
                };
}

static int measure_all(void **state)
{
        (void) state;
        for (size_t i = 0; i < row_count; i += BATCH)
                measure(&rows[i], row_count - i < BATCH ? row_count - i : BATCH);
        print_table();
        return 0;
}

static int clean_up(void **state)
{
        return harness_teardown(state);
}

static size_t add_tests(struct CMUnitTest *tests, size_t n, struct subject *row)
{
        static char names[LENGTH(rows)][64];
        char *name = names[row - rows];

        tests[n++] = (struct CMUnitTest){ row->name, test_row, NULL, NULL, .initial_state = row };
        if (!row->trace)
                return n;
        snprintf(name, sizeof(names[0]), EXACT_NAME, row->name);
        tests[n++] = (struct CMUnitTest){ name, row->map && row->map->scattered ? test_scattered : test_exact, NULL,
                NULL, .initial_state = row };
        return n;
}

/* With an argument: only rows whose name contains it. */
int main(int argc, char *argv[])
{
        static struct subject specifications[LENGTH(rows)];
        struct CMUnitTest tests[2 * LENGTH(rows) + 3];
        size_t n = 0;

        alarm(900);
        if (geteuid() != 0 || harness_init() < 0) {
                printf("1..0 # SKIP %s\n",
                                geteuid() ? "root is needed" : "no mounted hierarchy has the memory controller");
                return getenv("CI") ? 1 : 77;
        }
        setlinebuf(stdout);
        exact = is_exact_kernel();
        add_rows(argc > 1 ? argv[1] : NULL);
        add_traces();
        /* All rows exist at the same time, and what this kernel does not have is no test. */
        memcpy(specifications, rows, sizeof(specifications));
        measure_all(NULL);
        measure_disturbed(specifications);
        for (size_t i = 0; i < row_count; i++)
                if (rows[i].status == -EOPNOTSUPP || rows[i].status == -EAFNOSUPPORT)
                        printf("# not on this kernel: %s\n", rows[i].name);
                else
                        n = add_tests(tests, n, &rows[i]);
        tests[n++] = (struct CMUnitTest){ "bounded types", test_bounded_types, NULL, NULL, NULL };
        if (argc < 2) {
                tests[n++] = (struct CMUnitTest){ CEILINGS_STAY, test_ceilings_stay, NULL, NULL, NULL };
                tests[n++] = (struct CMUnitTest){ "create and destroy", test_cycles, NULL, harness_teardown, NULL };
        }
        return _cmocka_run_group_tests("accounting", tests, n, NULL, clean_up);
}
