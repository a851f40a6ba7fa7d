/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which memory cgroup a thing belongs to, as the kernfs id that user space can turn into a path by file handle. The
 * same walk serves the memory controller on cgroup v2 and on v1: the id is the one of the hierarchy memory is mounted
 * on.
 */
#pragma once

#include "kerneltypes.h"

/*
 * An address as a number. The verifier follows a pointer that it trusts and refuses most arithmetic on it; every access
 * here is a checked bpf_probe_read_kernel() and needs no trust.
 */
static __always_inline u64 address_of(const void *pointer)
{
        const void *volatile copy = pointer;
        u64 address = 0;

        bpf_probe_read_kernel(&address, sizeof(address), (const void *) &copy);
        return address;
}

/* Index of the memory controller in the subsys arrays; it depends on the kernel's configuration. */
static __always_inline u32 memory_subsys(void)
{
        return bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
}

static __always_inline u64 css_cgroup_id(struct cgroup_subsys_state *css)
{
        return css ? BPF_CORE_READ(css, cgroup, kn, id) : 0;
}

static __always_inline u64 memcg_cgroup_id(struct mem_cgroup *memcg)
{
        return memcg ? BPF_CORE_READ(memcg, css.cgroup, kn, id) : 0;
}

/*
 * The root is never charged: the page_counter of the root does not count what obj_cgroup_charge() adds
 * (mm/memcontrol.c).
 */
static __always_inline bool css_is_uncharged(struct cgroup_subsys_state *css)
{
        return !BPF_CORE_READ(css, parent);
}

/* The memory cgroup that @task is a member of; 0 when there is none (no memory controller). */
static __always_inline u64 task_cgroup_id(struct task_struct *task)
{
        struct css_set *set = BPF_CORE_READ(task, cgroups);
        struct cgroup_subsys_state *css = NULL;

        if (!set)
                return 0;
        bpf_probe_read_kernel(&css, sizeof(css), &set->subsys[memory_subsys()]);
        return css_cgroup_id(css);
}

/*
 * The memory cgroup that the running task is a member of; NULL: there is none. Types that the verifier knows are read
 * directly, which takes a tenth of the time of bpf_probe_read_kernel().
 */
static __always_inline struct cgroup_subsys_state *own_css(void)
{
        return bpf_get_current_task_btf()->cgroups->subsys[memory_subsys()];
}

/* The id of that cgroup; 0: there is none, because reading through NULL returns 0. */
static __always_inline u64 own_cgroup_id(void)
{
        return own_css()->cgroup->kn->id;
}

/* The id of the memory cgroup above it; 0: there is none. */
static __always_inline u64 own_parent_id(void)
{
        struct cgroup_subsys_state *parent = own_css()->parent;

        return parent ? parent->cgroup->kn->id : 0;
}
