/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables and settings that more than one BPF file uses; they are weak so that the linker makes one of each. The daemon
 * sizes the tables from the machine.
 */
#pragma once

#include "kerneltypes.h"
#include "records.h"

/*
 * Which cgroups are queued, by kernfs id. Allocated beforehand: an element that is allocated in the middle of a page
 * fault would be a growth of BPF memory of its own and wake the daemon.
 */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1024);
        __type(key, u64);
        __type(value, struct cgroup_state);
} cgroups __weak SEC(".maps");

/* What the machine is like. */
const volatile struct machine_settings machine __weak = {};

/* The running kernel's numbers of the members of rss_stat, by enum rss_member. */
const volatile __u32 rss_member_index[RSS_MEMBERS] __weak;
