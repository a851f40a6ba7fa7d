/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel types that every BPF file here reads: cgroups, tasks, memory, the heads of maps and programs. Written by
 * hand with the fields that are used and nothing else; CO-RE finds their offsets in the running kernel's BTF.
 * A name with ___suffix is an older or newer shape of the same type. The insides of the map types are in maptypes.h.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#ifndef NULL
#define NULL ((void *) 0)
#endif

#define CORE __attribute__((preserve_access_index))

typedef struct {
        int counter;
} CORE atomic_t;

typedef struct {
        s64 counter;
} CORE atomic64_t;

struct percpu_counter {
        s64 count;
        s32 *counters;
} CORE;

/* include/linux/kernfs.h */
struct kernfs_node {
        u64 id;
        const char *name;
} CORE;

/* The value is the running kernel's: bpf_core_enum_value(). */
enum cgroup_subsys_id {
        memory_cgrp_id = 4,
};

struct cgroup;

struct cgroup_subsys_state {
        struct cgroup *cgroup;
        struct cgroup_subsys_state *parent;
        unsigned int flags;
} CORE;

/* Flags of it, include/linux/cgroup-defs.h; of an enum without a name, which BTF cannot be asked for. */
#define CSS_ONLINE (1 << 1)
#define CSS_DYING  (1 << 4)

struct cgroup_root;

struct cgroup {
        struct cgroup_subsys_state self;
        int level;
        struct kernfs_node *kn;
        struct cgroup_subsys_state *subsys[1]; /* CGROUP_SUBSYS_COUNT of them */
        struct cgroup_root *root;
        struct cgroup *ancestors[1]; /* level + 1 of them */
} CORE;

struct css_set {
        struct cgroup_subsys_state *subsys[1]; /* CGROUP_SUBSYS_COUNT of them */
} CORE;

struct mem_cgroup {
        struct cgroup_subsys_state css;
} CORE;

struct obj_cgroup {
        struct mem_cgroup *memcg;
} CORE;

struct mm_struct {
        struct task_struct *owner;
        struct percpu_counter rss_stat[1]; /* NR_MM_COUNTERS of them; since 6.2 (f1a7941243c1) */
} CORE;

struct mm_rss_stat___before62 {
        atomic64_t count[1];
} CORE;

struct mm_struct___before62 {
        struct mm_rss_stat___before62 rss_stat;
} CORE;

struct file_operations;

/* include/linux/dcache.h */
struct qstr {
        const unsigned char *name;
} CORE;

struct dentry {
        struct qstr d_name;
} CORE;

struct path {
        struct dentry *dentry;
} CORE;

/* include/linux/fs.h */
struct file {
        const struct file_operations *f_op;
        struct inode *f_inode;
        struct path f_path;
        void *private_data;
} CORE;

/* include/linux/fdtable.h */
struct fdtable {
        unsigned int max_fds;
        struct file **fd;
} CORE;

struct files_struct {
        struct fdtable *fdt;
} CORE;

struct task_struct {
        void *stack;
        unsigned int flags;
        int pid;
        int tgid;
        struct mm_struct *mm;
        char comm[16];
        struct files_struct *files;
        struct css_set *cgroups;
        struct mem_cgroup *active_memcg;
        void *worker_private;
} CORE;

/* kernel/kthread.c */
struct kthread {
        void *data;
} CORE;

/* kernel/workqueue_internal.h */
struct worker {
        void *current_func;
} CORE;

/* include/linux/sched.h */
#define PF_WQ_WORKER 0x00000020
#define PF_KTHREAD   0x00200000

/* Of x86-64 and arm64 with 4 KiB pages; KASAN kernels have more. arch/ARCH/include/asm/{page_64_types,memory}.h */
#define THREAD_SIZE 16384

/* include/linux/memcontrol.h; the value is the running kernel's. */
enum memcg_stat_item {
        MEMCG_KMEM = 47,
};

/* The user's registers, as far as they tell the system call, or those at the entry of a function with its arguments. */
struct pt_regs {
#if defined(__TARGET_ARCH_x86)
        unsigned long di, si;
        unsigned long orig_ax;
#elif defined(__TARGET_ARCH_arm64)
        u64 regs[31];
        s32 syscallno;
#endif
} CORE;

static __always_inline u64 first_argument(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
        return BPF_CORE_READ(regs, di);
#elif defined(__TARGET_ARCH_arm64)
        return BPF_CORE_READ(regs, regs[0]);
#endif
}

static __always_inline u64 second_argument(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
        return BPF_CORE_READ(regs, si);
#elif defined(__TARGET_ARCH_arm64)
        return BPF_CORE_READ(regs, regs[1]);
#endif
}

static __always_inline bool is_bpf_syscall(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
        return regs->orig_ax == 321 || regs->orig_ax == 357; /* x86-64 and i386 */
#elif defined(__TARGET_ARCH_arm64)
        return regs->syscallno == 280 || regs->syscallno == 386; /* arm64 and arm */
#endif
}

struct btf;
struct bpf_map_ops;
struct btf_record;

/* include/linux/bpf.h */
struct bpf_map {
        const struct bpf_map_ops *ops;
        struct bpf_map *inner_map_meta;
        enum bpf_map_type map_type;
        u32 key_size;
        u32 value_size;
        u32 max_entries;
        u64 map_extra;
        u32 map_flags;
        u32 id;
        int numa_node;
        struct btf *btf;
        struct obj_cgroup *objcg;
        char name[16];
        atomic64_t refcnt;
        s64 *elem_count; /* per CPU */
} CORE;

/* include/linux/uidgid_types.h, include/linux/sched/user.h */
typedef struct {
        u32 val;
} CORE kuid_t;

struct user_struct {
        kuid_t uid;
} CORE;

struct bpf_prog_aux {
        struct user_struct *user;
        atomic64_t refcnt;
        u32 used_map_cnt;
        u32 used_btf_cnt;
        u32 id;
        u32 func_cnt;
        u32 real_func_cnt;
        struct bpf_prog **func;
        struct bpf_map **used_maps;
        struct bpf_map *cgroup_storage[2]; /* MAX_BPF_CGROUP_STORAGE_TYPE */
        char name[16];
} CORE;

struct bpf_prog_aux___prog {
        struct bpf_prog *prog;
        char name[16];
} CORE;

struct bpf_prog {
        u16 pages;
        enum bpf_prog_type type;
        u32 len;
        u32 jited_len;
        struct bpf_prog_aux *aux;
} CORE;

struct bpf_link {
        u32 id;
        enum bpf_link_type type;
        struct bpf_prog *prog;
} CORE;

/* kernel/bpf/bpf_struct_ops.c */
struct bpf_struct_ops_link {
        struct bpf_link link;
        struct bpf_map *map;
} CORE;

/* include/uapi/linux/perf_event.h */
#define PERF_BPF_EVENT_PROG_LOAD   1
#define PERF_BPF_EVENT_PROG_UNLOAD 2

/* kernel/bpf/memalloc.c */
struct irq_work {
        int placeholder___unused;
} CORE;

struct bpf_mem_cache {
        struct irq_work refill_work;
        struct obj_cgroup *objcg;
        int unit_size;
        int free_cnt;
        int high_watermark;
} CORE;

/* Contexts of the iterators. include/linux/bpf.h, kernel/bpf/{map,prog,task}_iter.c */
struct seq_file;

struct bpf_iter_meta {
        struct seq_file *seq;
        u64 session_id;
        u64 seq_num;
} CORE;

struct bpf_iter__bpf_map {
        struct bpf_iter_meta *meta;
        struct bpf_map *map;
} CORE;

struct bpf_iter__bpf_prog {
        struct bpf_iter_meta *meta;
        struct bpf_prog *prog;
} CORE;

struct bpf_iter__task {
        struct bpf_iter_meta *meta;
        struct task_struct *task;
} CORE;

struct bpf_iter__task_file {
        struct bpf_iter_meta *meta;
        struct task_struct *task;
        u32 fd;
        struct file *file;
} CORE;
