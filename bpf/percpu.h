/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own per-CPU memory, on each CPU. */
#pragma once

#include "kerneltypes.h"
#include "maptypes.h"
#include "tables.h"

/* One per-CPU value, for its addresses only. */
struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 1);
        __type(key, u32);
        __type(value, u64);
} cpu_mark SEC(".maps") __weak;

/*
 * Distance of @cpu's copy of per-CPU memory from its per-CPU address; 0 if there is no such CPU. The kernel has no
 * helper for per-CPU memory of its own, and its per-CPU variables can be named only where CONFIG_KALLSYMS_ALL is on.
 * But a helper returns the address that an element of our map has on @cpu, and the map has the per-CPU address of this
 * element: the distance is the same for all per-CPU memory.
 */
static __always_inline u64 percpu_offset(u32 cpu)
{
        const void *map = &cpu_mark, *copy;
        u64 base = 0, address = 0;
        struct bpf_array *array;
        u32 key = 0;

        copy = bpf_map_lookup_percpu_elem(&cpu_mark, &key, cpu);
        if (!copy)
                return 0;
        /* The verifier allows no arithmetic with pointers to maps and elements, hence the detour through memory. */
        bpf_probe_read_kernel(&address, sizeof(address), &copy);
        bpf_probe_read_kernel(&array, sizeof(array), &map);
        bpf_probe_read_kernel(&base, sizeof(base), &array->pptrs);
        return address - base;
}

/*
 * Hides from the verifier what it knows about @value. It would follow a counter through every turn of a loop whose
 * result decides about a branch.
 */
static __always_inline u64 unknown(u64 value)
{
        u64 copy = 0;

        bpf_probe_read_kernel(&copy, sizeof(copy), &value);
        return copy;
}

struct percpu_sum {
        u64 address; /* per-CPU address of the number */
        u64 size;    /* 4 or 8 bytes, signed */
        s64 sum;
};

static int percpu_sum_cpu(u32 cpu, void *context)
{
        struct percpu_sum *sum = context;
        u64 offset = percpu_offset(cpu);
        s64 wide = 0;
        s32 narrow = 0;

        if (!offset)
                return 0;
        if (sum->size == sizeof(wide)) {
                bpf_probe_read_kernel(&wide, sizeof(wide), (void *) (sum->address + offset));
                sum->sum += wide;
        } else {
                bpf_probe_read_kernel(&narrow, sizeof(narrow), (void *) (sum->address + offset));
                sum->sum += narrow;
        }
        return 0;
}

/* Sum over all CPUs of the signed number of @size bytes at the per-CPU address @address. */
static __always_inline s64 percpu_sum(u64 address, u64 size)
{
        struct percpu_sum sum = { .address = address, .size = size };

        /* Never 0 times: kernels refuse a callback that the verifier finds to be dead code. */
        bpf_loop(machine.cpu_ids ?: 1, percpu_sum_cpu, &sum, 0);
        return unknown(sum.sum);
}
