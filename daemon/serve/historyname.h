/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name by which the history recognizes a workload after a restart of the workload or the machine: its unit; its
 * pod, without the suffix that the controller adds; its container or machine; else the path of its cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/tree.h"

/* The values are stored in the database: new ones must be added at the end. */
enum history_kind {
        HISTORY_UNIT,
        HISTORY_POD,       /* NAMESPACE/NAME */
        HISTORY_CONTAINER, /* NAMESPACE/NAME/CONTAINER, or NAME */
        HISTORY_MACHINE,
        HISTORY_CGROUP, /* a path */
        HISTORY_KINDS,
};

/* The maximum size of a name in bytes, with the NUL. A longer one is cut, and ends with its hash. */
#define HISTORY_NAME_SIZE 512

struct history_name {
        enum history_kind kind;
        bool outer; /* it only contains others: a slice, the root, a cgroup without objects of its own */
        char text[HISTORY_NAME_SIZE];
};

/*
 * The name of @cgroup. Returns false if it has none: a cgroup inside a unit or container is part of that, and a
 * workload that is pending has no name yet.
 */
bool history_name(const struct cgroup *cgroup, struct history_name *name);

/*
 * The length of the part of a pod's name (@length bytes) that all pods of its controller share: without the "-x7k2p"
 * that the API server generates (k8s.io/apimachinery, util/rand), the hash of a ReplicaSet, or the time of a CronJob.
 */
size_t history_pod_stem(const char *name, size_t length);

/* "unit", "pod", "container", "machine", "cgroup". */
const char *history_kind_name(enum history_kind kind);
