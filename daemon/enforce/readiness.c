/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/readiness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/capability.h>

const char *const facility_names[FACILITIES] = {
        [FACILITY_ACCOUNTING] = "accounting",
        [FACILITY_ALERTS] = "alerts",
        [FACILITY_THROTTLE] = "throttle",
        [FACILITY_REFUSAL] = "refusal",
};

const char *const readiness_level_names[] = {
        [READINESS_FULL] = "full",
        [READINESS_PARTIAL] = "partial",
        [READINESS_NONE] = "none",
};

/* --- Facts -------------------------------------------------------------------------------------------------------- */

static bool available(const struct readiness_facts *facts, size_t i)
{
        return facts->capabilities[i].available;
}

static bool gate_available(const struct readiness_facts *facts, size_t hook)
{
        return available(facts, CAPABILITY_GATE + hook);
}

/* Linux 5.8 gave some of CAP_SYS_ADMIN to CAP_BPF and CAP_PERFMON, which it goes on to imply. */
static bool may(const struct readiness_facts *facts, unsigned int capability)
{
        uint64_t own = facts->host->capabilities;

        return own >> capability & 1 ||
               ((capability == CAP_BPF || capability == CAP_PERFMON) && own >> CAP_SYS_ADMIN & 1);
}

static bool has_lsm(const char *list, const char *name)
{
        size_t length = strlen(name);

        for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
                if (strcspn(p, ",") == length && strncmp(p, name, length) == 0)
                        return true;
        return false;
}

/* --- Whether BPF is possible at all ------------------------------------------------------------------------------- */

static bool is_not_root(const struct readiness_facts *facts)
{
        return !facts->host->root && (!may(facts, CAP_BPF) || !may(facts, CAP_PERFMON));
}

static bool is_in_user_namespace(const struct readiness_facts *facts)
{
        return facts->host->user_namespace;
}

/* Capabilities are of this process, and worth something: it is root, or has the least of them. */
static bool is_privileged(const struct readiness_facts *facts)
{
        return !is_not_root(facts) && !is_in_user_namespace(facts);
}

static bool lacks(const struct readiness_facts *facts, unsigned int capability)
{
        return is_privileged(facts) && !may(facts, capability);
}

static bool lacks_bpf(const struct readiness_facts *facts)
{
        return lacks(facts, CAP_BPF);
}

static bool lacks_perfmon(const struct readiness_facts *facts)
{
        return lacks(facts, CAP_PERFMON);
}

static bool has_no_bpf(const struct readiness_facts *facts)
{
        return facts->host->bpf_error == -ENOSYS;
}

/* bpf(2) is refused though no capability is missing. */
static bool is_refused(const struct readiness_facts *facts)
{
        return is_privileged(facts) && may(facts, CAP_BPF) && may(facts, CAP_PERFMON) &&
               facts->host->bpf_error == -EPERM;
}

static bool is_filtered(const struct readiness_facts *facts)
{
        return is_refused(facts) && facts->host->seccomp;
}

static bool is_refused_unfiltered(const struct readiness_facts *facts)
{
        return is_refused(facts) && !facts->host->seccomp;
}

/* Whether programs can be loaded, as far as it depends on permissions: else the kernel is not to blame. */
static bool may_load(const struct readiness_facts *facts)
{
        return is_privileged(facts) && !lacks_bpf(facts) && !lacks_perfmon(facts) && !is_refused(facts) &&
               !has_no_bpf(facts);
}

static bool is_locked_down(const struct readiness_facts *facts)
{
        return facts->host->confidentiality;
}

static bool is_old(const struct readiness_facts *facts)
{
        return facts->host->version && facts->host->version < HOST_VERSION_MIN;
}

/* What every hook needs besides itself. */
static bool measures(const struct readiness_facts *facts)
{
        return available(facts, HOOK_MAPS);
}

static bool is_too_old(const struct readiness_facts *facts)
{
        return is_old(facts) && may_load(facts) && !measures(facts);
}

static bool is_rather_old(const struct readiness_facts *facts)
{
        return is_old(facts) && measures(facts);
}

static bool has_no_btf(const struct readiness_facts *facts)
{
        return !available(facts, CAPABILITY_BTF) && !is_old(facts);
}

/* Whatever it is, the kernel said it. */
static bool cannot_measure(const struct readiness_facts *facts)
{
        return !measures(facts) && may_load(facts) && !is_locked_down(facts) && !is_too_old(facts) &&
               !has_no_btf(facts);
}

/* --- Accounting --------------------------------------------------------------------------------------------------- */

static bool is_memory_disabled(const struct readiness_facts *facts)
{
        return facts->host->cgroup_version == 0 && facts->host->memory_disabled;
}

static bool is_not_mounted(const struct readiness_facts *facts)
{
        return facts->host->cgroup_version == 0 && !facts->host->memory_disabled;
}

static bool has_no_handles(const struct readiness_facts *facts)
{
        return facts->host->cgroup_version > 0 && !facts->host->cgroup_handles;
}

static bool lacks_dac_read_search(const struct readiness_facts *facts)
{
        return has_no_handles(facts) && lacks(facts, CAP_DAC_READ_SEARCH);
}

static bool has_handles_filtered(const struct readiness_facts *facts)
{
        return has_no_handles(facts) && is_privileged(facts) && may(facts, CAP_DAC_READ_SEARCH);
}

static bool is_part_of_namespace(const struct readiness_facts *facts)
{
        return facts->host->cgroup_part && facts->host->cgroup_namespace;
}

static bool is_part_of_mount(const struct readiness_facts *facts)
{
        return facts->host->cgroup_part && !facts->host->cgroup_namespace;
}

static bool is_in_pid_namespace(const struct readiness_facts *facts)
{
        return facts->host->pid_namespace;
}

static bool has_nobpf(const struct readiness_facts *facts)
{
        return facts->host->nobpf;
}

static bool lacks_ptrace(const struct readiness_facts *facts)
{
        return lacks(facts, CAP_SYS_PTRACE);
}

static bool lacks_programs(const struct readiness_facts *facts)
{
        return measures(facts) && !available(facts, HOOK_PROGRAMS);
}

static bool lacks_tasks(const struct readiness_facts *facts)
{
        return measures(facts) && !available(facts, HOOK_TASKS);
}

static bool lacks_files(const struct readiness_facts *facts)
{
        return measures(facts) && !(available(facts, HOOK_FILES) && available(facts, HOOK_USES));
}

/* --- Alerts ------------------------------------------------------------------------------------------------------- */

/* As kernel_tells_growth() has it. */
static bool is_polled(const struct readiness_facts *facts)
{
        static const size_t functions[] = { HOOK_MEM_REFILL, HOOK_MAP_NEW, HOOK_MAP_FREE, HOOK_PROGRAM_EVENT,
                HOOK_MEASURE };
        bool all = true;

        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
                all = all && available(facts, functions[i]);
        return measures(facts) && !all && !available(facts, HOOK_MOD_MEMCG_STATE);
}

/* What is missing is not an option of the kernel. */
static bool is_polled_by_refusal(const struct readiness_facts *facts)
{
        return is_polled(facts) && facts->capabilities[HOOK_MEM_REFILL].refused;
}

static bool is_polled_otherwise(const struct readiness_facts *facts)
{
        return is_polled(facts) && !is_polled_by_refusal(facts);
}

/* --- Throttle ----------------------------------------------------------------------------------------------------- */

static bool is_version_1(const struct readiness_facts *facts)
{
        return facts->host->freeze_error == -EOPNOTSUPP;
}

static bool is_read_only(const struct readiness_facts *facts)
{
        return facts->host->freeze_error == -EROFS;
}

static bool cannot_freeze(const struct readiness_facts *facts)
{
        return is_privileged(facts) && facts->host->freeze_error < 0 && facts->host->freeze_error != -EROFS &&
               facts->host->freeze_error != -EOPNOTSUPP && facts->host->cgroup_version == 2;
}

static bool has_unknown_cgroup(const struct readiness_facts *facts)
{
        return facts->host->cgroup_version == 2 && facts->host->freeze_error == 0 && !facts->host->own_cgroup;
}

static bool lacks_dac_override(const struct readiness_facts *facts)
{
        return lacks(facts, CAP_DAC_OVERRIDE);
}

static bool has_throttle_obstacle(const struct readiness_facts *facts)
{
        return facts->throttle_obstacle && available(facts, CAPABILITY_FREEZE) && !has_unknown_cgroup(facts);
}

/* --- Refusal ------------------------------------------------------------------------------------------------------ */

/* Without these the daemon does not load the gate: admission_obstacle(). */
static bool refuses(const struct readiness_facts *facts)
{
        return gate_available(facts, GATE_HOOK_MAP) && gate_available(facts, GATE_HOOK_MAP_FREE);
}

static bool cannot_refuse(const struct readiness_facts *facts)
{
        return measures(facts) && !refuses(facts);
}

/* The hook without which there is no gate. */
static const struct capability *missing_hook(const struct readiness_facts *facts)
{
        size_t hook = gate_available(facts, GATE_HOOK_MAP) ? GATE_HOOK_MAP_FREE : GATE_HOOK_MAP;

        return &facts->capabilities[CAPABILITY_GATE + hook];
}

/* arch/arm64/net/bpf_jit_comp.c has trampolines since 6.0, but ftrace has direct calls there since 6.4 only. */
static bool cannot_refuse_arm64(const struct readiness_facts *facts)
{
        return cannot_refuse(facts) && strcmp(facts->host->machine, "aarch64") == 0 &&
               facts->host->version < HOST_VERSION(6, 4) && !missing_hook(facts)->refused;
}

static bool cannot_refuse_by_refusal(const struct readiness_facts *facts)
{
        return cannot_refuse(facts) && missing_hook(facts)->refused;
}

static bool cannot_refuse_otherwise(const struct readiness_facts *facts)
{
        return cannot_refuse(facts) && !cannot_refuse_arm64(facts) && !cannot_refuse_by_refusal(facts);
}

static bool refuses_partly(const struct readiness_facts *facts)
{
        static const size_t wanted[] = { GATE_HOOK_PROGRAM, GATE_HOOK_PROGRAM_LOADED, GATE_HOOK_UPDATE, GATE_HOOK_BATCH,
                GATE_HOOK_PROGRAM_FREE, GATE_HOOK_MKDIR, GATE_HOOK_RMDIR };
        bool all = true;

        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
                all = all && gate_available(facts, wanted[i]);
        return refuses(facts) && !all;
}

static bool runs_lsm(const struct readiness_facts *facts)
{
        return has_lsm(facts->host->lsms, "bpf");
}

static bool skips_lsm(const struct readiness_facts *facts)
{
        return refuses(facts) && runs_lsm(facts) && facts->host->preemptible &&
               facts->host->version < HOST_VERSION_LSM_EXEMPT;
}

/* Programs of the gate are skipped at times, and what makes up for that does not always. */
static bool skips(const struct readiness_facts *facts)
{
        return refuses(facts) && !runs_lsm(facts) && facts->host->preemptible;
}

static bool skips_without_list(const struct readiness_facts *facts)
{
        return skips(facts) && !*facts->host->lsms;
}

static bool skips_without_lsm(const struct readiness_facts *facts)
{
        return skips(facts) && *facts->host->lsms && facts->host->lsm_hooks;
}

static bool skips_without_hooks(const struct readiness_facts *facts)
{
        return skips(facts) && *facts->host->lsms && !facts->host->lsm_hooks;
}

static bool skips_and_misses(const struct readiness_facts *facts)
{
        return skips(facts) && !facts->host->entry_probes;
}

static bool has_no_bpffs(const struct readiness_facts *facts)
{
        return !facts->host->bpffs;
}

static bool has_read_only_bpffs(const struct readiness_facts *facts)
{
        return facts->host->bpffs && facts->host->bpffs_read_only;
}

static bool has_refusal_obstacle(const struct readiness_facts *facts)
{
        return facts->refusal_obstacle && refuses(facts);
}

/* --- Details ------------------------------------------------------------------------------------------------------ */

static const char *release(const struct readiness_facts *facts)
{
        return facts->host->release;
}

static const char *lsms(const struct readiness_facts *facts)
{
        return facts->host->lsms;
}

static const char *cgroup_mount(const struct readiness_facts *facts)
{
        return facts->host->memory_on_v1 ? "mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory"
                                         : "mount -t cgroup2 cgroup2 /sys/fs/cgroup";
}

static const char *maps_reason(const struct readiness_facts *facts)
{
        return facts->capabilities[HOOK_MAPS].reason;
}

static const char *freeze_reason(const struct readiness_facts *facts)
{
        return facts->capabilities[CAPABILITY_FREEZE].reason;
}

static const char *refusal_reason(const struct readiness_facts *facts)
{
        return missing_hook(facts)->reason;
}

static const char *growth_reason(const struct readiness_facts *facts)
{
        return facts->capabilities[HOOK_MEM_REFILL].reason;
}

static const char *throttle_obstacle(const struct readiness_facts *facts)
{
        return facts->throttle_obstacle;
}

static const char *refusal_obstacle(const struct readiness_facts *facts)
{
        return facts->refusal_obstacle;
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

#define ALL(level)                         \
        {                                  \
                level, level, level, level \
        }
#define ACCOUNTING(level)                     \
        {                                     \
                [FACILITY_ACCOUNTING] = level \
        }
#define THROTTLE(level)                     \
        {                                   \
                [FACILITY_THROTTLE] = level \
        }
#define REFUSAL(level)                     \
        {                                  \
                [FACILITY_REFUSAL] = level \
        }

#define UNIT_OR_CONTAINER(name) \
        "Add to [Service] of the unit (systemctl edit bpfbudgetd), or start a container with --cap-add=" name
#define BOUNDING_SET(name) "CapabilityBoundingSet=CAP_" name
#define COMMAND_LINE       "Add to the kernel command line"
#define CONTAINER          "Start the container with"

/* Texts may have one %s, which is the detail. */
/* Where the kernel has trampolines, but does not let this process have any. */
#define REFUSED_ACTION \
        "No option is missing. See what forbids it, such as a seccomp filter, a security module or a hypervisor, in"
#define REFUSED_REMEDY "grep Seccomp: /proc/self/status; cat /sys/kernel/security/lsm; dmesg"

static const struct rule {
        const char *name;
        bool (*applies)(const struct readiness_facts *facts);
        enum readiness_level levels[FACILITIES];
        const char *reason, *action, *remedy;
        const char *(*detail)(const struct readiness_facts *facts);
} rules[] = {
        { "not-root", is_not_root, ALL(READINESS_NONE), "This process is not root, and lacks CAP_BPF or CAP_PERFMON.",
                        "Run as root", "sudo bpfbudgetctl doctor" },
        { "user-namespace", is_in_user_namespace, ALL(READINESS_NONE),
                        "This is a user namespace: its capabilities are not those of the host, which bpf(2) requires.",
                        "Start the container as root with", "--userns=host" },
        { "no-cap-bpf", lacks_bpf, ALL(READINESS_NONE), "CAP_BPF is missing: bpf(2) is refused.",
                        UNIT_OR_CONTAINER("BPF"), BOUNDING_SET("BPF") },
        { "no-cap-perfmon", lacks_perfmon, ALL(READINESS_NONE),
                        "CAP_PERFMON is missing: programs that trace are refused.", UNIT_OR_CONTAINER("PERFMON"),
                        BOUNDING_SET("PERFMON") },
        { "seccomp", is_filtered, ALL(READINESS_NONE),
                        "bpf(2) is refused in spite of CAP_BPF and CAP_PERFMON, by a seccomp filter.",
                        "Add SystemCallFilter=bpf to the unit, or start the container with",
                        "--security-opt=seccomp=unconfined" },
        { "bpf-refused", is_refused_unfiltered, ALL(READINESS_NONE),
                        "bpf(2) is refused in spite of CAP_BPF and CAP_PERFMON, as by a security module.",
                        "Look for who denies it", "journalctl -k -g 'denied|lockdown'" },
        { "no-bpf", has_no_bpf, ALL(READINESS_NONE), "This kernel has no bpf(2).", "Boot a kernel with",
                        "CONFIG_BPF_SYSCALL=y" },
        { "lockdown", is_locked_down, ALL(READINESS_NONE),
                        "lockdown=confidentiality: BPF programs must not read the kernel's memory, and nothing else "
                        "tells what BPF objects take.",
                        COMMAND_LINE, "lockdown=integrity" },
        { "kernel-too-old", is_too_old, ALL(READINESS_NONE),
                        "Linux %s is too old: it has no iterators that bpfbudgetd can use.", "Boot",
                        "Linux 6.1 or newer", release },
        { "kernel-old", is_rather_old, ALL(READINESS_PARTIAL), "Linux %s is older than what bpfbudgetd is tested on.",
                        "Boot", "Linux 6.1 or newer", release },
        { "no-btf", has_no_btf, ALL(READINESS_NONE), "This kernel has no BTF: there is no /sys/kernel/btf/vmlinux.",
                        "Boot a kernel with", "CONFIG_DEBUG_INFO_BTF=y" },
        { "no-iterator", cannot_measure, ALL(READINESS_NONE), "Maps cannot be listed: %s.", "Boot a kernel with",
                        "CONFIG_BPF_SYSCALL=y CONFIG_BPF_EVENTS=y CONFIG_DEBUG_INFO_BTF=y", maps_reason },
        { "memory-disabled", is_memory_disabled, { READINESS_PARTIAL, READINESS_NONE, READINESS_NONE, READINESS_NONE },
                        "The memory controller is disabled: objects are listed, but under no cgroup.",
                        "Remove cgroup_disable=memory from the kernel command line, and add to it",
                        "cgroup_enable=memory" },
        { "no-cgroup-mount", is_not_mounted, { READINESS_PARTIAL, READINESS_NONE, READINESS_NONE, READINESS_NONE },
                        "No mounted cgroup hierarchy has the memory controller: objects are listed, but under no "
                        "cgroup.",
                        "Run", "%s", cgroup_mount },
        { "no-cap-dac-read-search", lacks_dac_read_search,
                        { READINESS_PARTIAL, READINESS_NONE, READINESS_NONE, READINESS_NONE },
                        "CAP_DAC_READ_SEARCH is missing: cgroups have no paths, and no budget matches them.",
                        UNIT_OR_CONTAINER("DAC_READ_SEARCH"), BOUNDING_SET("DAC_READ_SEARCH") },
        { "no-cgroup-handles", has_handles_filtered,
                        { READINESS_PARTIAL, READINESS_NONE, READINESS_NONE, READINESS_NONE },
                        "open_by_handle_at(2) is refused in spite of CAP_DAC_READ_SEARCH: cgroups have no paths, and "
                        "no budget matches them.",
                        "Add SystemCallFilter=open_by_handle_at to the unit, or start the container with",
                        "--security-opt=seccomp=unconfined" },
        { "cgroup-namespace", is_part_of_namespace, ALL(READINESS_PARTIAL),
                        "A cgroup namespace hides the hierarchy: cgroups outside of it have no paths.", CONTAINER,
                        "--cgroupns=host --volume=/sys/fs/cgroup:/sys/fs/cgroup" },
        { "cgroup-subtree", is_part_of_mount, ALL(READINESS_PARTIAL),
                        "Only a subtree of the cgroup hierarchy is mounted: cgroups outside of it have no paths.",
                        CONTAINER, "--volume=/sys/fs/cgroup:/sys/fs/cgroup" },
        { "pid-namespace", is_in_pid_namespace, { READINESS_PARTIAL, READINESS_PARTIAL },
                        "This is a PID namespace: holders and RSS of processes outside of it are not seen.", CONTAINER,
                        "--pid=host" },
        { "nobpf", has_nobpf, ACCOUNTING(READINESS_PARTIAL),
                        "cgroup.memory=nobpf: BPF memory is charged to no cgroup, so MemoryMax= does not bound it, and "
                        "objects older than the daemon belong to their holders only.",
                        "Remove from the kernel command line", "cgroup.memory=nobpf" },
        { "no-programs", lacks_programs, ALL(READINESS_PARTIAL), "This kernel does not list programs: only maps count.",
                        "Boot", "Linux 6.1 or newer" },
        { "no-rss", lacks_tasks, { READINESS_PARTIAL, READINESS_PARTIAL },
                        "This kernel does not tell the RSS of cgroups: there is no footprint, and no "
                        "FootprintRatioHigh=.",
                        "Boot", "Linux 6.1 or newer" },
        { "no-relations", lacks_files, ACCOUNTING(READINESS_PARTIAL),
                        "This kernel does not tell who holds and uses objects.", "Boot", "Linux 6.1 or newer" },
        { "no-cap-sys-ptrace", lacks_ptrace, ACCOUNTING(READINESS_PARTIAL),
                        "CAP_SYS_PTRACE is missing: executables and build ids of other processes are not known.",
                        UNIT_OR_CONTAINER("SYS_PTRACE"), BOUNDING_SET("SYS_PTRACE") },
        { "polled-by-refusal", is_polled_by_refusal,
                        { [FACILITY_ALERTS] = READINESS_PARTIAL, [FACILITY_THROTTLE] = READINESS_PARTIAL },
                        "Growth is polled (PollSec=), and what comes between is seen late: %s.", REFUSED_ACTION,
                        REFUSED_REMEDY, growth_reason },
        { "polled", is_polled_otherwise,
                        { [FACILITY_ALERTS] = READINESS_PARTIAL, [FACILITY_THROTTLE] = READINESS_PARTIAL },
                        "No hook of this kernel tells of growth: it is polled (PollSec=), and what comes between is "
                        "seen late.",
                        "Boot Linux 6.15 or newer, or a kernel with",
                        "CONFIG_BPF_JIT=y CONFIG_FUNCTION_TRACER=y CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y" },
        { "cgroup-v1", is_version_1, THROTTLE(READINESS_NONE),
                        "The memory controller is on cgroup v1, and only v2 has cgroup.freeze.", COMMAND_LINE,
                        "systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all" },
        { "cgroup-read-only", is_read_only, THROTTLE(READINESS_NONE), "The cgroup hierarchy is mounted read-only.",
                        "Add ReadWritePaths=/sys/fs/cgroup to the unit, or run", "mount -o remount,rw /sys/fs/cgroup" },
        { "no-freezer", cannot_freeze, THROTTLE(READINESS_NONE), "Cgroups cannot be paused: %s.",
                        UNIT_OR_CONTAINER("DAC_OVERRIDE"), BOUNDING_SET("DAC_OVERRIDE"), freeze_reason },
        { "own-cgroup", has_unknown_cgroup, THROTTLE(READINESS_NONE),
                        "The cgroup of this process is not known: it could be paused, too.", CONTAINER,
                        "--cgroupns=host --volume=/sys/fs/cgroup:/sys/fs/cgroup" },
        { "no-cap-dac-override", lacks_dac_override, THROTTLE(READINESS_PARTIAL),
                        "CAP_DAC_OVERRIDE is missing: cgroups that belong to users cannot be paused.",
                        UNIT_OR_CONTAINER("DAC_OVERRIDE"), BOUNDING_SET("DAC_OVERRIDE") },
        { "throttle-obstacle", has_throttle_obstacle, THROTTLE(READINESS_NONE), "The daemon does not throttle: %s.", "",
                        "", throttle_obstacle },
        { "no-trampolines-arm64", cannot_refuse_arm64, REFUSAL(READINESS_NONE),
                        "Linux %s on arm64 has no BPF trampolines that can be attached.", "Boot", "Linux 6.4 or newer",
                        release },
        { "trampolines-refused", cannot_refuse_by_refusal, REFUSAL(READINESS_NONE), "Maps cannot be refused: %s.",
                        REFUSED_ACTION, REFUSED_REMEDY, refusal_reason },
        { "no-trampolines", cannot_refuse_otherwise, REFUSAL(READINESS_NONE), "Maps cannot be refused: %s.",
                        "Boot a kernel with",
                        "CONFIG_BPF_JIT=y CONFIG_FUNCTION_TRACER=y CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y "
                        "CONFIG_SECURITY=y",
                        refusal_reason },
        { "gate-incomplete", refuses_partly, REFUSAL(READINESS_PARTIAL),
                        "This kernel lacks some hooks of the gate: not all growth is refused.", "See which",
                        "bpfbudgetd --capabilities --json=pretty" },
        { "lsm-preempted", skips_lsm, REFUSAL(READINESS_PARTIAL),
                        "A kernel before 6.2 that is preemptible, or does not let this process see whether it is, "
                        "skips programs of the gate at times.",
                        "Boot Linux 6.2 or newer, or add to the kernel command line", "preempt=voluntary" },
        { "no-securityfs", skips_without_list, REFUSAL(READINESS_PARTIAL),
                        "securityfs is not mounted: whether bpf is among the security modules is not known, and "
                        "without it a preemptible kernel skips programs of the gate at times.",
                        "Run", "mount -t securityfs securityfs /sys/kernel/security" },
        { "no-lsm", skips_without_lsm, REFUSAL(READINESS_PARTIAL),
                        "bpf is not among the security modules that run: a preemptible kernel skips programs of the "
                        "gate at times.",
                        COMMAND_LINE, "lsm=%s,bpf", lsms },
        { "no-lsm-hooks", skips_without_hooks, REFUSAL(READINESS_PARTIAL),
                        "This kernel has no BPF LSM: it is preemptible, and skips programs of the gate at times.",
                        "Boot a kernel with", "CONFIG_BPF_LSM=y" },
        { "no-fprobe", skips_and_misses, REFUSAL(READINESS_PARTIAL),
                        "Nor can the gate be probed at the entry of functions, which makes up for most of what is "
                        "skipped.",
                        "Boot a kernel with", "CONFIG_FPROBE=y" },
        { "no-bpffs", has_no_bpffs, REFUSAL(READINESS_PARTIAL),
                        "No bpffs is mounted at " BPFFS
                        ": what the daemon refuses is not refused any more when it is dead.",
                        "Run", "mount -t bpf bpf " BPFFS },
        { "bpffs-read-only", has_read_only_bpffs, REFUSAL(READINESS_PARTIAL),
                        BPFFS " is mounted read-only: what the daemon refuses is not refused any more when it is dead.",
                        "Add ReadWritePaths=" BPFFS " to the unit, or run", "mount -o remount,rw " BPFFS },
        { "refusal-obstacle", has_refusal_obstacle, REFUSAL(READINESS_NONE), "The daemon does not refuse: %s.", "", "",
                        refusal_obstacle },
};

#define RULES (sizeof(rules) / sizeof(rules[0]))

/* --- Judgement ---------------------------------------------------------------------------------------------------- */

/* Copies @format with @detail in place of its %s. */
static void fill(char *text, size_t size, const char *format, const char *detail)
{
        const char *place = strstr(format, "%s");

        if (place)
                snprintf(text, size, "%.*s%s%s", (int) (place - format), format, detail, place + 2);
        else
                snprintf(text, size, "%s", format);
}

static void add_finding(struct readiness *readiness, const struct rule *rule, const char *detail)
{
        struct finding *finding = &readiness->findings[readiness->count++];

        finding->name = rule->name;
        memcpy(finding->levels, rule->levels, sizeof(finding->levels));
        fill(finding->reason, sizeof(finding->reason), rule->reason, detail);
        fill(finding->action, sizeof(finding->action), rule->action, detail);
        fill(finding->remedy, sizeof(finding->remedy), rule->remedy, detail);
        for (size_t i = 0; i < FACILITIES; i++)
                if (rule->levels[i] > readiness->levels[i])
                        readiness->levels[i] = rule->levels[i];
}

void readiness_judge(const struct readiness_facts *facts, struct readiness *readiness)
{
        _Static_assert(RULES <= FINDINGS_MAX, "a finding for each rule");

        *readiness = (struct readiness){};
        for (size_t i = 0; i < RULES; i++)
                if (rules[i].applies(facts))
                        add_finding(readiness, &rules[i], rules[i].detail ? rules[i].detail(facts) : "");
        for (size_t i = 0; i < FACILITIES; i++)
                if (readiness->levels[i] > readiness->level)
                        readiness->level = readiness->levels[i];
}
