/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/uthash-nonfatal.h"
#include "kernel/kmalloc.h"
#include "kernel/security.h"
#include "kernel/trampoline.h"
#include "kernel/verifierlog.h"

const struct hook hooks[HOOKS] = {
        [HOOK_MAPS] = { "iterator:bpf_map", "snapshot_maps", HOOK_ITERATOR, "bpf_map", "bytes of maps",
                        .essential = true },
        [HOOK_PROGRAMS] = { "iterator:bpf_prog", "snapshot_programs", HOOK_ITERATOR, "bpf_prog", "bytes of programs" },
        [HOOK_TASKS] = { "iterator:task", "snapshot_rss", HOOK_ITERATOR, "task", "RSS and footprint of cgroups" },
        [HOOK_FILES] = { "iterator:task_file", "snapshot_files", HOOK_ITERATOR, "task_file", "holders of objects",
                        .relation = true },
        [HOOK_USES] = { "iterator:uses", "snapshot_uses", HOOK_ITERATOR, "bpf_prog", "maps that programs use",
                        .relation = true },
        [HOOK_MEASURE] = { "syscall:measure", "measure_objects", HOOK_SYSCALL, NULL, "measuring single objects again",
                        .sensor = true },
        [HOOK_CLEAN] = { "syscall:clean", "clean_cgroups", HOOK_SYSCALL, NULL, "flushing updated cgroups only",
                        .sensor = true },
        [HOOK_INTRODUCE] = { "syscall:introduce", "introduce_daemon", HOOK_SYSCALL, NULL, "not waking up by itself",
                        .sensor = true },
        [HOOK_RSS_STAT] = { "tracepoint:rss_stat", "rss_stat", HOOK_TRACEPOINT, "rss_stat", "noticing RSS changes",
                        .sensor = true },
        [HOOK_FORK] = { "tracepoint:sched_process_fork", "sched_process_fork", HOOK_TRACEPOINT, "sched_process_fork",
                        "RSS of new processes", .sensor = true },
        [HOOK_EXEC] = { "tracepoint:sched_process_exec", "sched_process_exec", HOOK_TRACEPOINT, "sched_process_exec",
                        "RSS of programs that begin", .sensor = true },
        [HOOK_EXIT] = { "tracepoint:sched_process_exit", "sched_process_exit", HOOK_TRACEPOINT, "sched_process_exit",
                        "RSS of processes that end", .sensor = true },
        [HOOK_ATTACH_TASK] = { "tracepoint:cgroup_attach_task", "cgroup_attach_task", HOOK_TRACEPOINT,
                        "cgroup_attach_task", "RSS of processes that move", .sensor = true },
        [HOOK_RMDIR] = { "tracepoint:cgroup_rmdir", "cgroup_rmdir", HOOK_TRACEPOINT, "cgroup_rmdir",
                        "noticing removed cgroups", .sensor = true },
        [HOOK_MOD_MEMCG_STATE] = { "tracepoint:mod_memcg_state", "mod_memcg_state", HOOK_TRACEPOINT, "mod_memcg_state",
                        "noticing charges without trampolines (since 6.15)", .sensor = true },
        [HOOK_PERCPU_ALLOC] = { "tracepoint:percpu_alloc_percpu", "percpu_alloc_percpu", HOOK_TRACEPOINT,
                        "percpu_alloc_percpu", "noticing per-CPU memory that is uncharged", .sensor = true },
        [HOOK_AREA_ALLOC] = { "function:bpf_map_area_alloc", "bpf_map_area_alloc", HOOK_FUNCTION, "bpf_map_area_alloc",
                        "noticing map creation", .sensor = true },
        [HOOK_MAP_ALLOC_PERCPU] = { "function:bpf_map_alloc_percpu", "bpf_map_alloc_percpu", HOOK_FUNCTION,
                        "bpf_map_alloc_percpu", "noticing per-CPU elements", .sensor = true },
        [HOOK_KVCALLOC] = { "function:bpf_map_kvcalloc", "bpf_map_kvcalloc", HOOK_FUNCTION, "bpf_map_kvcalloc",
                        "noticing local storage tables", .sensor = true },
        [HOOK_KMALLOC_NODE] = { "function:bpf_map_kmalloc_node", "bpf_map_kmalloc_node", HOOK_FUNCTION,
                        "bpf_map_kmalloc_node", "noticing growth by single elements", .sensor = true },
        [HOOK_KZALLOC] = { "function:bpf_map_kzalloc", "bpf_map_kzalloc", HOOK_FUNCTION, "bpf_map_kzalloc",
                        "noticing growth of local storage", .sensor = true },
        [HOOK_KMALLOC_NOLOCK] = { "function:bpf_map_kmalloc_nolock", "bpf_map_kmalloc_nolock", HOOK_FUNCTION,
                        "bpf_map_kmalloc_nolock", "noticing growth of local storage (in 6.18)", .sensor = true },
        [HOOK_ALLOC_PAGES] = { "function:bpf_map_alloc_pages", "bpf_map_alloc_pages", HOOK_FUNCTION,
                        "bpf_map_alloc_pages", "noticing growth of arenas (since 6.9)", .sensor = true },
        [HOOK_MEM_REFILL] = { "function:bpf_mem_refill", "bpf_mem_refill", HOOK_FUNCTION, "bpf_mem_refill",
                        "noticing growth of hash tables and tries", .sensor = true },
        [HOOK_MAP_NEW] = { "function:security_bpf_map", "security_bpf_map", HOOK_FUNCTION, "security_bpf_map",
                        "knowing new maps without a full pass", .sensor = true },
        [HOOK_MAP_FREE] = { "function:security_bpf_map_free", "security_bpf_map_free", HOOK_FUNCTION,
                        "security_bpf_map_free", "knowing freed maps without a full pass", .sensor = true },
        [HOOK_PROGRAM_EVENT] = { "function:perf_event_bpf_event", "perf_event_bpf_event", HOOK_FUNCTION,
                        "perf_event_bpf_event", "knowing new and freed programs without a full pass", .sensor = true },
};

/* How a kind of hook is found in BTF and loaded. */
static const struct {
        enum bpf_prog_type type;
        enum bpf_attach_type attach;
        const char *btf_prefix;
        uint32_t btf_kind;
} kinds[] = {
        [HOOK_ITERATOR] = { BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_", BTF_KIND_FUNC },
        [HOOK_SYSCALL] = { BPF_PROG_TYPE_SYSCALL, 0, NULL, 0 },
        [HOOK_TRACEPOINT] = { BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_", BTF_KIND_TYPEDEF },
        [HOOK_FUNCTION] = { BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "", BTF_KIND_FUNC },
        [HOOK_REFUSAL] = { BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "", BTF_KIND_FUNC },
        [HOOK_LSM] = { BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_", BTF_KIND_FUNC },
};

/*
 * The gate's programs and what they may be attached to: the first of the two targets that the kernel has, the LSM's
 * hooks if bpf is among the LSMs, else the functions that call them. 6.9 gave them new names (1b67772e4e3f,
 * a2405eb5bf78).
 */
static const struct {
        const char *name, *purpose;
        enum hook_kind kind; /* without the LSM */
        const char *targets[2], *lsm[2];
} gate_hooks[GATE_HOOKS] = {
        [GATE_HOOK_MAP] = { "gate:map", "refusing maps past Max (OnMax=deny)", HOOK_REFUSAL,
                        { "security_bpf_map_create", "security_bpf_map_alloc" },
                        { "bpf_map_create", "bpf_map_alloc_security" } },
        [GATE_HOOK_PROGRAM] = { "gate:program", "refusing programs past Max (OnMax=deny)", HOOK_REFUSAL,
                        { "security_bpf_prog_load", "security_bpf_prog_alloc" },
                        { "bpf_prog_load", "bpf_prog_alloc_security" } },
        [GATE_HOOK_PROGRAM_LOADED] = { "gate:program_loaded", "what a program takes instead of an estimate",
                        HOOK_FUNCTION, { "perf_event_bpf_event" } },
        [GATE_HOOK_UPDATE] = { "gate:update", "refusing elements past Max (OnMax=deny)", HOOK_REFUSAL,
                        { "security_bpf" }, { "bpf" } },
        [GATE_HOOK_BATCH] = { "gate:batch", "elements that come in by an exchanged descriptor", HOOK_FUNCTION,
                        { "generic_map_update_batch" } },
        [GATE_HOOK_PAGES] = { "gate:pages", "booking pages of arenas at once (since 6.9)", HOOK_FUNCTION,
                        { "bpf_map_alloc_pages" } },
        [GATE_HOOK_MAP_FREE] = { "gate:map_free", "what the gate counts of maps", HOOK_FUNCTION,
                        { "security_bpf_map_free" }, { "bpf_map_free", "bpf_map_free_security" } },
        [GATE_HOOK_PROGRAM_FREE] = { "gate:program_free", "what the gate counts of programs", HOOK_FUNCTION,
                        { "security_bpf_prog_free" }, { "bpf_prog_free", "bpf_prog_free_security" } },
        [GATE_HOOK_MAP_DENIED] = { "gate:map_denied", "maps that another LSM refuses", HOOK_FUNCTION,
                        { "security_bpf_map_create", "security_bpf_map_alloc" } },
        [GATE_HOOK_PROGRAM_DENIED] = { "gate:program_denied", "programs that another LSM refuses", HOOK_FUNCTION,
                        { "security_bpf_prog_load", "security_bpf_prog_alloc" } },
        [GATE_HOOK_MKDIR] = { "gate:cgroup_mkdir", "limits of cgroups that are new", HOOK_TRACEPOINT,
                        { "cgroup_mkdir" } },
        [GATE_HOOK_RMDIR] = { "gate:cgroup_rmdir", "limits for what removed cgroups leave behind", HOOK_TRACEPOINT,
                        { "cgroup_rmdir" } },
};

/* Features that require a capability(7) of the process, and no kernel feature. */
static const struct permission {
        size_t index;
        unsigned int cap;
        const char *cap_name, *name, *purpose;
} permissions[] = {
        { CAPABILITY_DELEGATED, CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "cgroup:delegated",
                        "xattrs and the freezer of cgroups that belong to users" },
        { CAPABILITY_PROCESSES, CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "process:exe",
                        "executables and build ids of processes" },
        /* bpf_map_get_fd_by_id(), kernel/bpf/syscall.c */
        { CAPABILITY_MEMLOCK, CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "map:memlock",
                        "bytes of map types that this version does not know" },
};

void capability_lost(struct capability *capability, const char *format, ...)
{
        va_list ap;

        capability->available = false;
        va_start(ap, format);
        vsnprintf(capability->reason, sizeof(capability->reason), format, ap);
        va_end(ap);
}

void capability_refused(struct capability *capability, int error, const char *reason)
{
        capability_lost(capability, "the kernel refuses the program: %s%s%s", kernel_error(-error), *reason ? ": " : "",
                        reason);
}

/* Loads a program that only returns 0. Returns its file descriptor or a negative errno. */
static int load_return_0(enum bpf_prog_type type, const struct bpf_prog_load_opts *opts)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        return bpf_prog_load(type, "bpfbudget_probe", "GPL", return_0, sizeof(return_0) / sizeof(return_0[0]), opts);
}

int probe_bpf(void)
{
        _cleanup_close_ int fd = load_return_0(BPF_PROG_TYPE_KPROBE, NULL);

        return fd < 0 ? fd : 0;
}

/* Loads such a program of @kind. Returns 0, or a negative errno with what the verifier says in @reason. */
static int trial_load(enum hook_kind kind, int btf_id, char reason[static VERIFIER_REASON_MAX])
{
        char log[4096] = "";
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = kinds[kind].attach, .attach_btf_id = btf_id,
                        .prog_flags = kind == HOOK_SYSCALL ? BPF_F_SLEEPABLE : 0, .log_buf = log,
                        .log_size = sizeof(log));
        int fd = load_return_0(kinds[kind].type, &opts);

        verifier_reason(log, reason);
        if (fd < 0)
                return fd;
        close(fd);
        return 0;
}

/* kernel/sched/core.c: of preempt_dynamic_mode, which a kernel has whose preemption is chosen by preempt=. */
enum {
        PREEMPT_NONE,
        PREEMPT_VOLUNTARY,
};

/* Addresses of the kernel's symbols @names from /proc/kallsyms; 0: not known. It takes tens of milliseconds. */
static void find_symbols(const char *const names[], uint64_t addresses[], size_t n)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
        char line[512];
        size_t found = 0;

        while (file && found < n && fgets(line, sizeof(line), file)) {
                char *name = strrchr(line, ' ');

                if (!name)
                        continue;
                name[1 + strcspn(name + 1, "\n")] = '\0';
                for (size_t i = 0; i < n; i++)
                        if (strcmp(name + 1, names[i]) == 0) {
                                addresses[i] = strtoull(line, NULL, 16);
                                found++;
                        }
        }
}

/* The int at @address of the kernel, which is not negative, or a negative errno. */
static int read_kernel_int(uint64_t address)
{
        const struct bpf_insn instructions[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
                { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = sizeof(int) },
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_3, .imm = (uint32_t) address },
                { .imm = address >> 32 },
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
                { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = 1, .imm = 0 },
                { .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_10, .off = -8 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
        LIBBPF_OPTS(bpf_test_run_opts, run);
        _cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, NULL, "GPL", instructions,
                        sizeof(instructions) / sizeof(instructions[0]), &opts);
        int r = fd < 0 ? fd : bpf_prog_test_run_opts(fd, &run);

        return r < 0 ? r : (int) run.retval;
}

bool probe_preemption(void)
{
        static const char *const name[] = { "preempt_dynamic_mode" };
        uint64_t address = 0;
        struct utsname kernel;
        int mode;

        if (uname(&kernel) == 0 && !strstr(kernel.version, "PREEMPT"))
                return false;
        find_symbols(name, &address, 1);
        if (!address)
                return true;
        mode = read_kernel_int(address);
        return mode != PREEMPT_NONE && mode != PREEMPT_VOLUNTARY;
}

bool probe_entry(const char *function)
{
        LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = BPF_TRACE_KPROBE_MULTI);
        LIBBPF_OPTS(bpf_link_create_opts, create, .kprobe_multi = { .syms = &function, .cnt = 1 });
        _cleanup_close_ int program = load_return_0(BPF_PROG_TYPE_KPROBE, &load), link = -EBADF;

        if (program < 0)
                return false;
        link = bpf_link_create(program, 0, BPF_TRACE_KPROBE_MULTI, &create);
        return link >= 0;
}

/* The kernel's function that attaches a trampoline; only with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS. */
#define DIRECT_CALLS "register_ftrace_direct"

/* Of a target's name, with the 0 at its end. */
#define TARGET_NAME_SIZE 64

/* What a hook may be attached to: the name and kind of its type in the kernel's BTF, and the id or a negative errno. */
struct target {
        UT_hash_handle hh;
        char name[TARGET_NAME_SIZE];
        uint32_t btf_kind;
        int id;
};

/* All targets of all hooks by name, and what has been learned of them. */
struct targets {
        struct target room[HOOKS + 4 * GATE_HOOKS + 1];
        size_t count;
        struct target *by_name;
        bool tracepoint_tried;
        int tracepoint; /* 0: a program for one was loaded; or a negative errno */
        char tracepoint_reason[VERIFIER_REASON_MAX];
        bool trampoline_tried;
        int trampoline; /* 0: one can be attached; or a negative errno */
};

static void target_name(char name[static TARGET_NAME_SIZE], enum hook_kind kind, const char *target)
{
        snprintf(name, TARGET_NAME_SIZE, "%s%s", kinds[kind].btf_prefix, target);
}

/* Adds the target @name of hooks of @kind, if it is one and not yet there. */
static int add_target(struct targets *targets, enum hook_kind kind, const char *name)
{
        struct target *target = &targets->room[targets->count], *known;

        if (!name)
                return 0;
        *target = (struct target){ .btf_kind = kinds[kind].btf_kind, .id = -ENOENT };
        target_name(target->name, kind, name);
        HASH_FIND_STR(targets->by_name, target->name, known);
        if (known)
                return 0;
        HASH_ADD_STR(targets->by_name, name, target);
        if (!HASH_ADDED(target))
                return -ENOMEM;
        targets->count++;
        return 0;
}

static int add_targets(struct targets *targets)
{
        int r = add_target(targets, HOOK_FUNCTION, DIRECT_CALLS);

        for (size_t i = 0; r == 0 && i < HOOKS; i++)
                r = add_target(targets, hooks[i].kind, hooks[i].target);
        for (size_t i = 0; r == 0 && i < GATE_HOOKS; i++)
                for (size_t k = 0; r == 0 && k < 2; k++) {
                        r = add_target(targets, gate_hooks[i].kind, gate_hooks[i].targets[k]);
                        if (r == 0)
                                r = add_target(targets, HOOK_LSM, gate_hooks[i].lsm[k]);
                }
        return r;
}

/*
 * Finds all targets in one pass over the kernel's BTF: btf__find_by_name_kind() would visit its 100,000 types for each.
 * The caller clears targets->by_name.
 */
static int find_targets(const struct btf *btf, struct targets *targets)
{
        int r = add_targets(targets);

        for (uint32_t id = 1; r == 0 && id < btf__type_cnt(btf); id++) {
                const struct btf_type *type = btf__type_by_id(btf, id);
                struct target *target;
                const char *name;

                if (!btf_is_func(type) && !btf_is_typedef(type))
                        continue;
                name = btf__name_by_offset(btf, type->name_off);
                if (!name)
                        continue;
                HASH_FIND_STR(targets->by_name, name, target);
                if (target && target->id < 0 && target->btf_kind == btf_kind(type))
                        target->id = id;
        }
        return r;
}

/* The BTF id of @name for hooks of @kind, or a negative errno. */
static int find_target(const struct targets *targets, enum hook_kind kind, const char *name)
{
        char full[TARGET_NAME_SIZE];
        struct target *target;

        target_name(full, kind, name);
        HASH_FIND_STR(targets->by_name, full, target);
        return target ? target->id : -ENOENT;
}

/*
 * As trial_load(), but tries only one existing tracepoint for all, because their loads take the longest: each searches
 * the kernel's whole BTF (since 6.12.117 at the latest).
 */
static int trial(struct targets *known, enum hook_kind kind, int btf_id, char reason[static VERIFIER_REASON_MAX])
{
        if (kind != HOOK_TRACEPOINT)
                return trial_load(kind, btf_id, reason);
        if (!known->tracepoint_tried) {
                known->tracepoint_tried = true;
                known->tracepoint = trial_load(kind, btf_id, known->tracepoint_reason);
        }
        memcpy(reason, known->tracepoint_reason, VERIFIER_REASON_MAX);
        return known->tracepoint;
}

/* Whether a program that was loaded for the function @btf_id can be attached; tried once, where there is a doubt. */
static int try_attach(struct targets *known, int btf_id)
{
        if (find_target(known, HOOK_FUNCTION, DIRECT_CALLS) >= 0)
                return 0;
        if (!known->trampoline_tried)
                known->trampoline = trampoline_try(btf_id);
        known->trampoline_tried = true;
        return known->trampoline;
}

/* Tries to load a program of @kind for @btf_id, which may be an error. */
static void probe_kind(struct targets *known, enum hook_kind kind, int btf_id, struct capability *capability)
{
        bool function = kind == HOOK_FUNCTION || kind == HOOK_REFUSAL || kind == HOOK_LSM;
        char reason[VERIFIER_REASON_MAX];
        int r, attach;

        capability->available = true;
        if (btf_id < 0) {
                capability_lost(capability, "this kernel does not have it");
                return;
        }
        r = trial(known, kind, btf_id, reason);
        attach = r == 0 && function ? try_attach(known, btf_id) : r;
        capability->refused = function && trampoline_is_refused(attach);
        if (capability->refused)
                capability_lost(capability, "this kernel refuses trampolines (%s)", strerror(-attach));
        else if (r < 0)
                capability_refused(capability, r, reason);
        else if (function && attach < 0)
                capability_lost(capability,
                                "this kernel attaches nothing to functions (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)");
}

static void probe_hook(const struct hook *hook, struct targets *targets, struct capability *capability)
{
        probe_kind(targets, hook->kind, hook->target ? find_target(targets, hook->kind, hook->target) : 0, capability);
}

static bool has(uint64_t own, unsigned int cap)
{
        return own >> cap & 1;
}

/*
 * Whether this process may load BPF programs that trace: the least that every hook needs. CAP_SYS_ADMIN stands for both
 * capabilities (include/linux/capability.h, bpf_capable()). Returns NULL, or the reason why not.
 */
static const char *probe_permission(uint64_t own)
{
        bool bpf = has(own, CAP_BPF) || has(own, CAP_SYS_ADMIN);
        bool perfmon = has(own, CAP_PERFMON) || has(own, CAP_SYS_ADMIN);
        char reason[VERIFIER_REASON_MAX];

        if (!bpf)
                return perfmon ? "no permission: CAP_BPF is missing"
                               : "no permission: CAP_BPF and CAP_PERFMON are missing";
        if (!perfmon)
                return "no permission: CAP_PERFMON is missing";
        return trial_load(HOOK_SYSCALL, 0, reason) == -EPERM ? "no permission: bpf(2) is refused in spite of CAP_BPF"
                                                             : NULL;
}

static void probe_permissions(uint64_t own, struct capability *table)
{
        for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
                const struct permission *permission = &permissions[i];
                struct capability *capability = &table[permission->index];

                *capability = (struct capability){ permission->name, permission->purpose, .available = true };
                if (has(own, permission->cap))
                        continue;
                capability_lost(capability, "%s is missing", permission->cap_name);
                capability->permission = true;
        }
}

static void probe_gate(
                struct targets *known, size_t i, bool lsm, struct machine *machine, struct capability *capability)
{
        bool use_lsm = lsm && gate_hooks[i].lsm[0];
        enum hook_kind kind = use_lsm ? HOOK_LSM : gate_hooks[i].kind;
        const char *const *targets = use_lsm ? gate_hooks[i].lsm : gate_hooks[i].targets;
        int id = -ENOENT;

        for (size_t k = 0; k < 2 && id < 0 && targets[k]; k++) {
                id = find_target(known, kind, targets[k]);
                machine->gate[i] = (struct gate_target){ kind, targets[k] };
                if (i == GATE_HOOK_PROGRAM)
                        machine->program_by_aux = k == 1;
        }
        probe_kind(known, kind, id, capability);
        if (!capability->available)
                machine->gate[i].target = NULL;
}

/* The number of an enumerator in any of the kernel's enums, or -ENOENT. They are anonymous, so CO-RE cannot name them.
 */
static int find_enumerators(const struct btf *btf, const char *const names[], uint32_t values[], size_t n)
{
        for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
                const struct btf_type *type = btf__type_by_id(btf, id);
                const struct btf_enum *entry = btf_enum(type);
                size_t found = 0;

                if (!btf_is_enum(type) || btf_vlen(type) < n)
                        continue;
                for (int i = 0; i < btf_vlen(type); i++) {
                        const char *name = btf__name_by_offset(btf, entry[i].name_off);

                        for (size_t k = 0; k < n; k++)
                                if (strcmp(name, names[k]) == 0) {
                                        values[k] = entry[i].val;
                                        found++;
                                }
                        if (i == 0 && found == 0)
                                break;
                }
                if (found == n)
                        return 0;
        }
        return -ENOENT;
}

/* Which argument of the function @id is called @name, or -ENOENT. */
static int find_argument(const struct btf *btf, uint32_t id, const char *name)
{
        const struct btf_type *type = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);

        for (int i = 0; i < btf_vlen(type); i++)
                if (strcmp(btf__name_by_offset(btf, btf_params(type)[i].name_off), name) == 0)
                        return i;
        return -ENOENT;
}

/* The arguments of bpf_map_alloc_pages() changed after 6.12. */
static void probe_pages(
                const struct btf *btf, struct targets *known, struct machine *machine, struct capability *capability)
{
        int r;

        if (!capability->available)
                return;
        r = find_argument(btf, find_target(known, HOOK_FUNCTION, "bpf_map_alloc_pages"), "nr_pages");
        if (r >= 0) {
                machine->pages_argument = r;
                return;
        }
        capability_lost(capability, "this kernel's has other arguments");
        machine->gate[GATE_HOOK_PAGES].target = NULL;
}

/* The highest CPU number that may ever appear, plus one: the last number in the kernel's list. */
static uint32_t read_cpu_ids(uint32_t fallback)
{
        _cleanup_fclose_ FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
        unsigned int number, highest = 0;
        bool any = false;

        while (file && fscanf(file, "%u%*[-,]", &number) >= 1) {
                highest = number;
                any = true;
        }
        return any ? highest + 1 : fallback;
}

/* How many memory cgroups there are; 0 if nothing says. */
static uint32_t read_memory_cgroups(const struct cgroupfs *cgroupfs)
{
        _cleanup_free_ char *stat = NULL;
        _cleanup_fclose_ FILE *descendants = NULL;
        _cleanup_fclose_ FILE *file = fopen("/proc/cgroups", "re");
        unsigned int hierarchy, count;
        char line[128], name[64];

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%63s %u %u", name, &hierarchy, &count) == 3 && strcmp(name, "memory") == 0)
                        return count;
        /* Not there in 7.x without CONFIG_MEMCG_V1; cgroup v2 has a number of its own. */
        if (!cgroupfs->mount || asprintf(&stat, "%s/cgroup.stat", cgroupfs->mount) < 0)
                return 0;
        descendants = fopen(stat, "re");
        while (descendants && fgets(line, sizeof(line), descendants))
                if (sscanf(line, "nr_descendants %u", &count) == 1)
                        return count;
        return 0;
}

/*
 * Finds the addresses of the workers that free maps and programs. They are used only if mod_memcg_state replaces hooks
 * that require trampolines.
 */
static void read_free_functions(uint64_t addresses[2])
{
        static const char *const names[] = { "bpf_map_free_deferred", "bpf_prog_free_deferred" };

        find_symbols(names, addresses, 2);
}

static void read_machine(
                const struct btf *btf, const struct cgroupfs *cgroupfs, struct machine *machine, struct capability *rss)
{
        static const char *const members[RSS_MEMBERS] = {
                [RSS_ANON] = "MM_ANONPAGES",
                [RSS_FILE] = "MM_FILEPAGES",
                [RSS_SHMEM] = "MM_SHMEMPAGES",
                [RSS_SWAP] = "MM_SWAPENTS",
        };
        int cpus = libbpf_num_possible_cpus();

        *machine = (struct machine){
                .settings = {
                        .page_size = sysconf(_SC_PAGESIZE),
                        .possible_cpus = cpus > 0 ? cpus : sysconf(_SC_NPROCESSORS_CONF),
                        .nobpf = security_boot_option("cgroup.memory=", "nobpf"), /* since 6.3 (b6c1a8af5b1e) */
                        .kmalloc_min = kmalloc_smallest("/sys/kernel/slab"),
                },
                .memory_cgroups = read_memory_cgroups(cgroupfs),
        };
        machine->settings.cpu_ids = read_cpu_ids(machine->settings.possible_cpus);
        if (rss->available && find_enumerators(btf, members, machine->rss_member_index, RSS_MEMBERS) < 0)
                capability_lost(rss, "this kernel does not name the members of rss_stat");
}

static void probe_cgroup(const struct cgroupfs *cgroupfs, struct capability *table)
{
        table[CAPABILITY_CGROUP] = (struct capability){ "cgroup:memory", "paths of cgroups", .available = true };
        table[CAPABILITY_HANDLES] = (struct capability){ "cgroup:handles", "paths of cgroups", .available = true };
        if (cgroupfs->mount_fd < 0) {
                capability_lost(&table[CAPABILITY_CGROUP], "no mounted cgroup hierarchy has the memory controller");
                capability_lost(&table[CAPABILITY_HANDLES], "no mounted cgroup hierarchy has the memory controller");
        } else if (!cgroupfs->by_handle) {
                capability_lost(&table[CAPABILITY_HANDLES],
                                "open_by_handle_at() is refused: CAP_DAC_READ_SEARCH is missing");
                table[CAPABILITY_HANDLES].permission = true;
        }
}

static void probe_freezer(const struct cgroupfs *cgroupfs, struct capability *capability)
{
        int r = cgroupfs_may_freeze(cgroupfs);

        *capability = (struct capability){ "cgroup:freeze", "pauses over High (OnHigh=throttle)", .available = true };
        if (r == -ENOENT)
                capability_lost(capability, "no mounted cgroup hierarchy has the memory controller");
        else if (r == -EOPNOTSUPP)
                capability_lost(capability, "the memory controller is on cgroup v1, and only v2 has cgroup.freeze");
        else if (r == -EROFS)
                capability_lost(capability, "the cgroup hierarchy is mounted read-only");
        else if (r < 0)
                capability_lost(capability, "cgroup.freeze cannot be written: %s", strerror(-r));
}

int probe(const struct btf *btf, const struct cgroupfs *cgroupfs, struct capability *table, struct machine *machine)
{
        uint64_t own = security_own_capabilities();
        const char *denied = probe_permission(own), *obstacle = denied ?: security_obstacle();
        struct targets targets = { 0 };
        bool lsm = security_has_bpf();
        int missing = 0;

        table[CAPABILITY_BTF] = (struct capability){ "btf", "everything", .available = btf != NULL, .essential = true };
        if (!btf)
                capability_lost(&table[CAPABILITY_BTF],
                                "no kernel BTF in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
        probe_cgroup(cgroupfs, table);
        probe_permissions(own, table);
        probe_freezer(cgroupfs, &table[CAPABILITY_FREEZE]);
        if (!obstacle && btf && find_targets(btf, &targets) < 0) {
                HASH_CLEAR(hh, targets.by_name);
                return -ENOMEM;
        }
        for (size_t i = 0; i < HOOKS; i++) {
                table[i] = (struct capability){ hooks[i].name, hooks[i].purpose, .essential = hooks[i].essential };
                if (obstacle)
                        capability_lost(&table[i], "%s", obstacle);
                else if (!btf)
                        capability_lost(&table[i], "no kernel BTF");
                else
                        probe_hook(&hooks[i], &targets, &table[i]);
        }
        read_machine(btf, cgroupfs, machine, &table[HOOK_TASKS]);
        for (size_t i = 0; i < GATE_HOOKS; i++) {
                struct capability *capability = &table[CAPABILITY_GATE + i];

                *capability = (struct capability){ gate_hooks[i].name, gate_hooks[i].purpose };
                if (denied)
                        capability_lost(capability, "no permission: CAP_BPF and CAP_PERFMON are missing");
                else if (obstacle)
                        capability_lost(capability, "%s", obstacle);
                else if (!btf)
                        capability_lost(capability, "no kernel BTF");
                else
                        probe_gate(&targets, i, lsm, machine, capability);
        }
        machine->lsm_hooks = find_target(&targets, HOOK_LSM, "bpf") >= 0;
        probe_pages(btf, &targets, machine, &table[CAPABILITY_GATE + GATE_HOOK_PAGES]);
        if (table[HOOK_MOD_MEMCG_STATE].available && !table[HOOK_MEM_REFILL].available)
                read_free_functions(machine->free_functions);

        HASH_CLEAR(hh, targets.by_name);
        for (size_t i = 0; i < CAPABILITIES; i++)
                if (table[i].essential && !table[i].available)
                        missing = -EOPNOTSUPP;
        return denied ? -EPERM : missing;
}
