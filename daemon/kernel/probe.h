/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds out what the running kernel allows: looks up each hook in its BTF, and then loads an empty program to try it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <bpf/btf.h>

#include "bpf/records.h"
#include "kernel/capability.h"
#include "kernel/cgroupfs.h"

enum hook_kind {
        HOOK_ITERATOR,
        HOOK_SYSCALL,    /* a program that the daemon runs itself */
        HOOK_TRACEPOINT, /* tp_btf */
        HOOK_FUNCTION,   /* fentry: needs trampolines */
        HOOK_REFUSAL,    /* fmod_ret: may make the function fail */
        HOOK_LSM,        /* the same by the BPF LSM */
        HOOK_KINDS,
};

/* One BPF program of ours and the hook that it wants. */
struct hook {
        const char *name;    /* of the capability */
        const char *program; /* in the BPF object */
        enum hook_kind kind;
        const char *target; /* kernel function, tracepoint or iterator */
        const char *purpose;
        bool essential;
        bool sensor;   /* for a daemon that goes on running */
        bool relation; /* who holds and uses objects; loaded only on request */
};

enum {
        HOOK_MAPS,
        HOOK_PROGRAMS,
        HOOK_TASKS,
        HOOK_FILES,
        HOOK_USES,
        HOOK_MEASURE,
        HOOK_CLEAN,
        HOOK_INTRODUCE,
        HOOK_RSS_STAT,
        HOOK_FORK,
        HOOK_EXEC,
        HOOK_EXIT,
        HOOK_ATTACH_TASK,
        HOOK_RMDIR,
        HOOK_MOD_MEMCG_STATE,
        HOOK_PERCPU_ALLOC,
        HOOK_AREA_ALLOC,
        HOOK_MAP_ALLOC_PERCPU,
        HOOK_KVCALLOC,
        HOOK_KMALLOC_NODE,
        HOOK_KZALLOC,
        HOOK_KMALLOC_NOLOCK,
        HOOK_ALLOC_PAGES,
        HOOK_MEM_REFILL,
        HOOK_MAP_NEW,
        HOOK_MAP_FREE,
        HOOK_PROGRAM_EVENT,
        HOOKS,
};

extern const struct hook hooks[HOOKS];

/* Programs of the gate, which is loaded only if a budget refuses. */
enum {
        GATE_HOOK_MAP,
        GATE_HOOK_PROGRAM,
        GATE_HOOK_PROGRAM_LOADED,
        GATE_HOOK_UPDATE,
        GATE_HOOK_BATCH,
        GATE_HOOK_PAGES,
        GATE_HOOK_MAP_FREE,
        GATE_HOOK_PROGRAM_FREE,
        GATE_HOOK_MAP_DENIED,
        GATE_HOOK_PROGRAM_DENIED,
        GATE_HOOK_MKDIR,
        GATE_HOOK_RMDIR,
        GATE_HOOKS,
};

/* Where a program of the gate is attached on this kernel. */
struct gate_target {
        enum hook_kind kind;
        const char *target; /* as in struct hook; of HOOK_LSM without "bpf_lsm_" */
};

/* The capabilities that are not hooks follow those of the hooks, by the same index; those of the gate come first. */
enum {
        CAPABILITY_GATE = HOOKS,
        CAPABILITY_BTF = CAPABILITY_GATE + GATE_HOOKS,
        CAPABILITY_CGROUP,
        CAPABILITY_HANDLES,
        CAPABILITY_FREEZE,
        CAPABILITY_DELEGATED,
        CAPABILITY_PROCESSES,
        CAPABILITY_MEMLOCK,
        CAPABILITIES,
};

/* What user space finds out about this machine. */
struct machine {
        struct machine_settings settings;
        uint32_t memory_cgroups;                /* that exist now */
        uint32_t rss_member_index[RSS_MEMBERS]; /* the kernel's numbers */
        uint64_t free_functions[2];             /* addresses of the workers that free maps and programs; 0: not known */
        struct gate_target gate[GATE_HOOKS];    /* of those that are available */
        bool lsm_hooks;                         /* the kernel has those of the BPF LSM, which may not run */
        bool program_by_aux;                    /* the hook for programs has prog->aux as its argument: until 6.8 */
        uint32_t pages_argument;                /* which argument of bpf_map_alloc_pages() is the number of pages */
};

/*
 * Fills @table (CAPABILITIES entries) and @machine; @btf is that of the kernel, NULL: there is none. Returns 0; -EPERM:
 * the calling process may not use BPF at all; -EOPNOTSUPP: an essential capability is missing; another negative errno.
 */
int probe(const struct btf *btf, const struct cgroupfs *cgroupfs, struct capability *table, struct machine *machine);

/* Tests whether this process may load a tracing program, on any kernel. Returns 0 or a negative errno. */
int probe_bpf(void);

/* Whether a task can be preempted while it is in the kernel; also true if that is not known. */
bool probe_preemption(void);

/* Whether a BPF program can be run at the entry of the kernel's @function: kprobe.multi, which requires CONFIG_FPROBE.
 */
bool probe_entry(const char *function);

/* Notes that @capability cannot be used, and why. */
void capability_lost(struct capability *capability, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same, because the kernel refuses its program with @error, a negative errno. @reason: the verifier's message, or
 * "".
 */
void capability_refused(struct capability *capability, int error, const char *reason);
