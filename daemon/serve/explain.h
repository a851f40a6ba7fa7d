/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a cgroup by use: the kernel's own figures, with BPF as a separate share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "account/ledger.h"
#include "account/tree.h"
#include "kernel/cgroupfs.h"
#include "policy/config.h"

/*
 * In bytes. The figures are from memory.stat, including the subtree: on cgroup v1, from its total_ lines and the
 * counters of kernel memory. Figures that the hierarchy does not report are 0.
 */
struct memory {
        uint64_t current; /* BUDGET_INFINITY: not reported, as for the root of v2 */
        uint64_t max;     /* BUDGET_INFINITY: none */
        uint64_t anon;
        uint64_t file; /* with shmem */
        uint64_t shmem;
        uint64_t sockets;
        uint64_t kernel; /* all memory that is charged as kernel memory, including the members below */
        uint64_t page_tables, kernel_stack, slab, percpu, vmalloc;
        uint64_t bpf; /* of BPF objects, regardless of their holders; the caller sets it */
};

/* A line of the answer; io.bpfbudget(7) describes each. */
struct share {
        const char *name;
        uint64_t bytes;
        bool detail; /* also included in other shares */
};

#define SHARES_MAX 16

/* Reads the memory of the cgroup @id. Returns 0, or a negative errno if the hierarchy reports nothing for it. */
int memory_read(const struct cgroupfs *cgroupfs, uint64_t id, struct memory *memory);

/* Takes the lines of memory.stat, of hierarchy @version (1 or 2), into @memory. */
void memory_parse_stat(FILE *file, int version, struct memory *memory);

/* Splits @memory. Returns how many shares there are. */
size_t memory_split(const struct memory *memory, struct share shares[SHARES_MAX]);

/*
 * The summary of @cgroup, one sentence. @largest is the object in its subtree with the most uncharged bytes; NULL:
 * there is none. To be freed; NULL: no memory.
 */
char *explain_summary(const struct cgroup *cgroup, const struct memory *memory, const struct object *largest);
