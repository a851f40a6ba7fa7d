/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Include this before a BPF file, which is then compiled for this machine: the helpers are functions of the test, and
 * reads of kernel memory read the test's own memory, where small addresses are not mapped. This tests programs whose
 * hook the running kernel does not have. Whether the verifier accepts a program, and whether the hook works as
 * expected, is tested in tests/kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/types.h>

/* This replaces bpf/bpf_helpers.h, bpf/bpf_core_read.h and bpf/bpf_tracing.h of libbpf. */
#define __BPF_HELPERS__
#define __BPF_CORE_READ_H__
#define __BPF_TRACING_H__

#undef __TARGET_ARCH_x86
#define __TARGET_ARCH_x86

#define SEC(name)
#define __weak     __attribute__((weak))
#define __noinline __attribute__((noinline))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
/* A map has an address, and room for the part of the kernel's structure that programs read. */
#define __uint(name, value) \
        int(*name)[value];  \
        char room_of_##name[128]
#define __type(name, value) __typeof__(value) *name

#define BPF_PROG(name, args...) name(unsigned long long *ctx, ##args)

/* Types have the offsets that the compiler gives them. */
#define preserve_access_index
#define bpf_core_enum_value(type, value)   ((__u64) (value))
#define bpf_core_type_size(type)           sizeof(type)
#define bpf_core_type_exists(type)         fake_type_exists(#type)
#define bpf_core_field_offset(type, field) offsetof(type, field)
#define bpf_core_field_exists(...)         fake_type_exists(#__VA_ARGS__)

/* Nothing is mapped below this, as in the kernel. */
#define MAPPED_MIN 4096

static inline long bpf_probe_read_kernel(void *to, uint32_t size, const void *from)
{
        memset(to, 0, size);
        if ((uintptr_t) from < MAPPED_MIN)
                return -14; /* EFAULT */
        memcpy(to, from, size);
        return 0;
}

#define READ_1(from, a)                                                             \
        ({                                                                          \
                __typeof__((from)->a) read_value;                                   \
                bpf_probe_read_kernel(&read_value, sizeof(read_value), &(from)->a); \
                read_value;                                                         \
        })
#define READ_2(from, a, b)                                        \
        ({                                                        \
                __typeof__((from)->a) read_one = READ_1(from, a); \
                READ_1(read_one, b);                              \
        })
#define READ_3(from, a, b, c)                                     \
        ({                                                        \
                __typeof__((from)->a) read_two = READ_1(from, a); \
                READ_2(read_two, b, c);                           \
        })
#define READ_ANY(_1, _2, _3, name, ...) name
#define BPF_CORE_READ(from, args...)    READ_ANY(args, READ_3, READ_2, READ_1)(from, args)

/* Functions of the test. */
struct task_struct;
bool fake_type_exists(const char *type);
void *bpf_map_lookup_elem(void *map, const void *key);
void *bpf_map_lookup_percpu_elem(void *map, const void *key, __u32 cpu);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
long bpf_map_push_elem(void *map, const void *value, __u64 flags);
long bpf_loop(__u32 count, int (*function)(__u32 index, void *context), void *context, __u64 flags);
struct task_struct *bpf_get_current_task_btf(void);
long bpf_task_pt_regs(struct task_struct *task);
long bpf_get_current_comm(void *buffer, __u32 size);
__u64 bpf_get_current_pid_tgid(void);
__u64 bpf_ringbuf_query(void *map, __u64 flags);
long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags);
