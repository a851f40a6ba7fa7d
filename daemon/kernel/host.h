/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The properties of this host, besides its hooks, that decide what the daemon can do: kernel, mounts, namespaces,
 * permissions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cgroupfs.h"
#include "kernel/probe.h"

/* Where bpffs is to be mounted: the gate is pinned in it. */
#define BPFFS "/sys/fs/bpf"

/* The oldest kernel that this version is made for; struct host has versions in this form. */
#define HOST_VERSION(major, minor) ((uint32_t) (major) << 16 | (minor))
#define HOST_VERSION_MIN           HOST_VERSION(6, 1)

/* From this version on, a preemptible kernel does not skip programs of the BPF LSM (bpf_prog_check_recur()). */
#define HOST_VERSION_LSM_EXEMPT HOST_VERSION(6, 2)

struct host {
        char release[65]; /* as uname -r prints it */
        char machine[65]; /* as uname -m */
        uint32_t version; /* HOST_VERSION(), 0: not known */

        /* Permissions. */
        bool root;             /* the effective user is root */
        uint64_t capabilities; /* effective ones, one bit each */
        bool seccomp;          /* a filter of system calls is in force */
        int bpf_error;         /* result of loading a tracing program: 0 or a negative errno */

        /* Namespaces that are not those of the host. */
        bool user_namespace, pid_namespace, cgroup_namespace;

        /* Security modules. */
        bool securityfs; /* is mounted */
        char lsms[256];  /* active ones, as securityfs lists them; "": not known */
        bool lsm_hooks;  /* the kernel has the hooks of the BPF LSM */
        bool confidentiality;

        /* Mounts. */
        bool bpffs, bpffs_read_only; /* at BPFFS */
        bool memory_disabled;        /* the memory controller was disabled at boot */
        bool memory_on_v1;           /* it is on a hierarchy of cgroup v1, mounted or not */
        int cgroup_version;          /* of the hierarchy that it is on; 0: it is on none that is mounted */
        bool cgroup_part;            /* only a part of that is visible */
        bool cgroup_handles;         /* cgroups can be opened by their id */
        int freeze_error;            /* as cgroupfs_may_freeze() returns */
        bool own_cgroup;             /* the cgroup of this process is known */
        bool nobpf;                  /* cgroup.memory=nobpf */

        /* Matters if programs of the gate are fmod_ret ones, or LSM ones before 6.2. */
        bool preemptible;
        bool entry_probes; /* CONFIG_FPROBE */
};

/*
 * Reads all of this; @machine is what probe() found. What cannot be read is treated as missing. This takes a
 * millisecond; the test whether the kernel is preemptible, where it is necessary, takes some tens of milliseconds once.
 */
void host_read(struct host *host, const struct cgroupfs *cgroupfs, const struct machine *machine);
