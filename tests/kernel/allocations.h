/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exact number of bytes that bpf(2) allocates in the calling thread, from the kernel's own tracepoints: what
 * kmalloc(), the per-CPU allocator, vmalloc() and the page allocator returned and was not freed. It excludes what every
 * object has: its file, its number, and what the allocators keep for themselves. Needs root; nothing is mounted.
 */
#pragma once

#include <stdint.h>

/* The number of callers of the allocator that are recorded. */
#define ALLOCATION_CALLERS 6

enum allocation_kind {
        ALLOCATION_SLAB, /* by kmalloc(), which allocates large sizes from the page allocator */
        ALLOCATION_PERCPU,
        ALLOCATION_AREA, /* by vmalloc() */
        ALLOCATION_PAGE,
};

/* A group of equal allocations. */
struct allocation_group {
        enum allocation_kind kind;
        int64_t allocated, charged; /* bytes of one allocation */
        uint64_t count;
        uint64_t callers[ALLOCATION_CALLERS]; /* addresses in the kernel, the nearest first */
};

#define ALLOCATION_GROUPS_MAX 64

/* It has no pointers, because it can be in memory that processes share. */
struct allocations {
        int64_t allocated; /* bytes, with the rounding of the allocators and the pointers to an objcg */
        int64_t charged;   /* the part that a memory cgroup is charged for, unless it is the root */
        uint64_t lost;     /* events that did not fit; if there are any, the figures are not valid */
        struct allocation_group groups[ALLOCATION_GROUPS_MAX];
        uint32_t group_count;
};

/*
 * Reads the format of the events and the addresses of the kernel's functions. Call it once, before the watched thread
 * starts. Returns 0, or -EOPNOTSUPP where the kernel has no such events.
 */
int allocations_init(void);

/* Begins to watch what bpf(2) allocates for the calling thread. Returns 0 or a negative errno. */
int allocations_begin(void);

/* Stops watching, and returns what was allocated and not freed. */
void allocations_end(struct allocations *allocations);

/* Writes the groups to stdout as comments, with the names of the functions. */
void allocations_print(const struct allocations *allocations);
