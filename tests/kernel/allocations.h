/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bpf(2) allocates in the calling thread, to the byte, by the kernel's own tracepoints: what kmalloc(), the
 * per-CPU allocator, vmalloc() and the page allocator gave and did not get back. Without what comes along with any
 * object: its file, its number, and what the allocators keep for themselves. Needs root; nothing is mounted.
 */
#pragma once

#include <stdint.h>

/* How many callers of the allocator are kept. */
#define ALLOCATION_CALLERS 6

enum allocation_kind {
        ALLOCATION_SLAB, /* by kmalloc(), which takes from the page allocator what is large */
        ALLOCATION_PERCPU,
        ALLOCATION_AREA, /* by vmalloc() */
        ALLOCATION_PAGE,
};

/* Allocations that are the same. */
struct allocation_group {
        enum allocation_kind kind;
        int64_t allocated, charged; /* bytes of one */
        uint64_t count;
        uint64_t callers[ALLOCATION_CALLERS]; /* addresses in the kernel, the nearest first */
};

#define ALLOCATION_GROUPS_MAX 64

/* No pointers: it may lie in memory that processes share. */
struct allocations {
        int64_t allocated; /* bytes, with the rounding of the allocators and the pointers to an objcg */
        int64_t charged;   /* the part that a memory cgroup is charged for, unless it is the root */
        uint64_t lost;     /* events that did not fit: the figures are worth nothing */
        struct allocation_group groups[ALLOCATION_GROUPS_MAX];
        uint32_t group_count;
};

/*
 * Reads what the events look like and where the functions of the kernel are: to be called once, before the thread that
 * is watched has begun. Returns 0, or -EOPNOTSUPP where the kernel has no such events.
 */
int allocations_init(void);

/* Begins to watch what bpf(2) allocates for the calling thread. Returns 0 or a negative errno. */
int allocations_begin(void);

/* Ends it and says what is left. */
void allocations_end(struct allocations *allocations);

/* Writes the groups to stdout as comments, with the names of the functions. */
void allocations_print(const struct allocations *allocations);
