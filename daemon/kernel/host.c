/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/host.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/namespace.h"
#include "kernel/security.h"

#define SECURITYFS "/sys/kernel/security"

static void read_kernel(struct host *host)
{
        struct utsname name;
        unsigned int major, minor;

        if (uname(&name) < 0)
                return;
        snprintf(host->release, sizeof(host->release), "%s", name.release);
        snprintf(host->machine, sizeof(host->machine), "%s", name.machine);
        if (sscanf(name.release, "%u.%u", &major, &minor) == 2)
                host->version = HOST_VERSION(major, minor);
}

/* Seccomp: of proc(5): 2 is a filter. */
static bool has_seccomp_filter(void)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
        char line[256];
        int mode;

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "Seccomp: %d", &mode) == 1)
                        return mode == 2;
        return false;
}

static void read_permissions(struct host *host)
{
        host->root = geteuid() == 0;
        host->capabilities = security_own_capabilities();
        host->seccomp = has_seccomp_filter();
        host->bpf_error = probe_bpf();
        host->user_namespace = in_other_namespace(NAMESPACE_USER);
        host->pid_namespace = in_other_namespace(NAMESPACE_PID);
        host->cgroup_namespace = in_other_namespace(NAMESPACE_CGROUP);
}

/* The memory controller's row of /proc/cgroups, which is not there in 7.x without CONFIG_MEMCG_V1. */
static void read_memory_controller(struct host *host)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/cgroups", "re");
        unsigned int hierarchy;
        char line[128], name[64];
        int enabled;

        host->memory_disabled = security_boot_option("cgroup_disable=", "memory");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%63s %u %*u %d", name, &hierarchy, &enabled) == 3 && strcmp(name, "memory") == 0) {
                        host->memory_disabled = !enabled;
                        host->memory_on_v1 = hierarchy != 0;
                        return;
                }
}

static void read_cgroups(struct host *host, const struct cgroupfs *cgroupfs)
{
        uint64_t own;
        bool alone;
        int r;

        read_memory_controller(host);
        host->cgroup_version = cgroupfs->mount_fd < 0 ? 0 : cgroupfs->version;
        host->cgroup_part = cgroupfs->part;
        host->cgroup_handles = cgroupfs->by_handle;
        host->freeze_error = cgroupfs_may_freeze(cgroupfs);
        /* A cgroup outside the mount is above nothing that is visible; in this case it is known well enough. */
        r = cgroupfs_own(cgroupfs, &own, &alone);
        host->own_cgroup = r == 0 || r == -EXDEV;
}

static bool is_mounted(const char *directory, unsigned int magic)
{
        struct statfs fs;

        return statfs(directory, &fs) == 0 && (unsigned int) fs.f_type == magic;
}

static void read_mounts(struct host *host)
{
        struct statvfs fs;

        host->bpffs = is_mounted(BPFFS, BPF_FS_MAGIC);
        host->bpffs_read_only = host->bpffs && statvfs(BPFFS, &fs) == 0 && (fs.f_flag & ST_RDONLY);
        host->securityfs = is_mounted(SECURITYFS, SECURITYFS_MAGIC);
        security_list(host->lsms, sizeof(host->lsms));
        host->confidentiality = security_obstacle();
}

/* This does not change while the kernel runs, and the test is expensive. */
static void read_preemption(struct host *host, const struct gate_target *gate)
{
        static enum { UNKNOWN, NO, YES } preemptible, entry_probes;

        if (!gate->target || (gate->kind == HOOK_LSM && host->version >= HOST_VERSION_LSM_EXEMPT))
                return;
        if (preemptible == UNKNOWN)
                preemptible = probe_preemption() ? YES : NO;
        if (entry_probes == UNKNOWN && gate->kind == HOOK_REFUSAL)
                entry_probes = probe_entry(gate->target) ? YES : NO;
        host->preemptible = preemptible == YES;
        host->entry_probes = entry_probes == YES;
}

void host_read(struct host *host, const struct cgroupfs *cgroupfs, const struct machine *machine)
{
        *host = (struct host){ .nobpf = machine->settings.nobpf, .lsm_hooks = machine->lsm_hooks };
        read_kernel(host);
        read_permissions(host);
        read_mounts(host);
        read_cgroups(host, cgroupfs);
        read_preemption(host, &machine->gate[GATE_HOOK_MAP]);
}
