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
        uid_t owner; /* the user whose files and cgroups are trusted: the daemon's */
        struct pod_names pods;
        struct container_names containers;
        struct unnamed *unnamed;    /* uthash: cgroups that wait for the name of a key */
        struct cgroup_ids pending;  /* to be looked for by workloads_resolve() */
        struct cgroup_ids resolved; /* workloads_take_resolved() */
};

/* Options that a short-lived program does not need: names that come later. */
struct workloads_options {
        struct tree *tree;
        const struct cgroupfs *cgroupfs;
        const char *root; /* prepended to all paths; "" except in tests. Must outlive it */
        bool follow;      /* names that come later are found, too */
};

/* Returns 0 or -ENOMEM. @workloads is to be given to workloads_deinit() in any case. */
int workloads_init(struct workloads *workloads, const struct workloads_options *options);
void workloads_deinit(struct workloads *workloads);

/* Becomes readable when workloads_resolve() is to be called; -1: never. */
int workloads_fd(const struct workloads *workloads);

/*
 * If @cgroup is a workload's own, gives the workload the names that are known, and schedules the search for the others;
 * until then the workload is pending. Reads no file. Returns 0 or -ENOMEM.
 */
int workloads_name(struct workloads *workloads, const struct cgroup *cgroup);

/* Whether workloads_resolve() has something to do although workloads_fd() is not readable. */
bool workloads_wants_resolve(const struct workloads *workloads);

/* Looks for the missing names, and processes the new ones. Returns 0 or -ENOMEM. */
int workloads_resolve(struct workloads *workloads);

/* The next cgroup that got a name, or is no longer pending, since it was last taken; NULL: there is none. */
struct cgroup *workloads_take_resolved(struct workloads *workloads);

/* @cgroup is about to be freed. */
void workloads_forget(struct workloads *workloads, const struct cgroup *cgroup);

/*
 * Names all workloads in the tree, and looks again for names that were not found before. The caller need not take the
 * resolved ones. Returns 0 or -ENOMEM.
 */
int workloads_name_all(struct workloads *workloads);

/* The same for @tree, once, for a program that ends soon. Returns 0 or -ENOMEM. */
int workloads_name_tree(struct tree *tree, const struct cgroupfs *cgroupfs);
