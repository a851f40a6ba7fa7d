/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of the workloads in a tree, from files of the node (podnames.h, containernames.h): no API server and no
 * runtime is queried, and no network is used. workloads_resolve() does everything that reads a file, outside of
 * flushes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "account/containernames.h"
#include "account/podnames.h"
#include "account/tree.h"
#include "kernel/cgroupfs.h"

/* Ids of cgroups. */
struct cgroup_ids {
        uint64_t *list;
        size_t count;
};

/* Private to workloads.c. */
struct workloads {
        struct tree *tree;
        const struct cgroupfs *cgroupfs;
        uid_t owner; /* whose files and cgroups are trusted: the daemon's own user */
        struct pod_names pods;
        struct container_names containers;
        struct unnamed *unnamed;    /* uthash: whose cgroups wait for the name of a key */
        struct cgroup_ids pending;  /* to be looked for by workloads_resolve() */
        struct cgroup_ids resolved; /* workloads_take_resolved() */
};

/* What a program that ends soon does not need: names of what comes later. */
struct workloads_options {
        struct tree *tree;
        const struct cgroupfs *cgroupfs;
        const char *root; /* before all paths: "" but for tests. Must outlive it */
        bool follow;      /* what gets a name later is found, too */
};

/* Returns 0 or -ENOMEM. @workloads is to be given to workloads_deinit() in any case. */
int workloads_init(struct workloads *workloads, const struct workloads_options *options);
void workloads_deinit(struct workloads *workloads);

/* Polls readable when workloads_resolve() is to be called; -1: never. */
int workloads_fd(const struct workloads *workloads);

/*
 * Gives @cgroup's workload, if it is one's own, the names that are known, and sees to it that others are looked for:
 * until then the workload is pending. Reads no file. Returns 0 or -ENOMEM.
 */
int workloads_name(struct workloads *workloads, const struct cgroup *cgroup);

/* Whether there is something to do for workloads_resolve() without anything at workloads_fd(). */
bool workloads_wants_resolve(const struct workloads *workloads);

/* Looks for the names that are missing, and takes those that came. Returns 0 or -ENOMEM. */
int workloads_resolve(struct workloads *workloads);

/* The next cgroup that has got a name, or is not pending any more, since it was last taken; NULL: there is none. */
struct cgroup *workloads_take_resolved(struct workloads *workloads);

/* @cgroup is about to be freed. */
void workloads_forget(struct workloads *workloads, const struct cgroup *cgroup);

/*
 * Names all that is in the tree, and looks again for what was not found before; nobody has to take what is resolved.
 * Returns 0 or -ENOMEM.
 */
int workloads_name_all(struct workloads *workloads);

/* The same of @tree once, for a program that ends soon. Returns 0 or -ENOMEM. */
int workloads_name_tree(struct tree *tree, const struct cgroupfs *cgroupfs);
