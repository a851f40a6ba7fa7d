/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a cgroup by use: the kernel's own figures, with the part of BPF as a share of its own. */
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
 * Bytes. On cgroup v2 of memory.stat, which includes the subtree; on v1 of the total_ lines there and of the counters
 * of kernel memory. What the hierarchy does not report is 0.
 */
struct memory {
        uint64_t current; /* BUDGET_INFINITY: not reported, as for the root of v2 */
        uint64_t max;     /* BUDGET_INFINITY: none */
        uint64_t anon;
        uint64_t file; /* with shmem */
        uint64_t shmem;
        uint64_t sockets;
        uint64_t kernel; /* all that is charged as kernel memory: what follows, and more */
        uint64_t page_tables, kernel_stack, slab, percpu, vmalloc;
        uint64_t bpf; /* for BPF objects, whoever holds them; the caller sets it */
};

/* A line of the answer; the interface says what each is. */
struct share {
        const char *name;
        uint64_t bytes;
        bool detail; /* in others, too */
};

#define SHARES_MAX 16

/* Reads the memory of the cgroup @id. Returns 0, or a negative errno if the hierarchy reports nothing for it. */
int memory_read(const struct cgroupfs *cgroupfs, uint64_t id, struct memory *memory);

/* Takes the lines of memory.stat, of hierarchy @version (1 or 2), into @memory. */
void memory_parse_stat(FILE *file, int version, struct memory *memory);

/* Splits @memory. Returns how many shares there are. */
size_t memory_split(const struct memory *memory, struct share shares[SHARES_MAX]);

/*
 * One sentence about @cgroup. @largest, of its subtree, has the most uncharged bytes; NULL: there are none. To be
 * freed; NULL: no memory.
 */
char *explain_summary(const struct cgroup *cgroup, const struct memory *memory, const struct object *largest);
