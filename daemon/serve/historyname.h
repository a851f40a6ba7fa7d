/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * By what name a workload is found again in the history when it has been restarted, or the machine: its unit, its pod
 * without what the controller adds to each one's name, its container or machine, else the path of its cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/tree.h"

/* They are in the database: a new one comes at the end. */
enum history_kind {
        HISTORY_UNIT,
        HISTORY_POD,       /* NAMESPACE/NAME */
        HISTORY_CONTAINER, /* NAMESPACE/NAME/CONTAINER, or NAME */
        HISTORY_MACHINE,
        HISTORY_CGROUP, /* a path */
        HISTORY_KINDS,
};

/* Bytes of a name at most, with the NUL: a longer one has its hash at the end. */
#define HISTORY_NAME_SIZE 512

struct history_name {
        enum history_kind kind;
        bool outer; /* it is there for others in it: a slice, the root, a cgroup without objects of its own */
        char text[HISTORY_NAME_SIZE];
};

/*
 * The name of @cgroup. Returns whether it has one: what is inside of a unit or a container is a part of that, and what
 * waits for its name (workload->pending) has none yet.
 */
bool history_name(const struct cgroup *cgroup, struct history_name *name);

/*
 * How many bytes of the name of a pod, @length bytes, its controller gave to all of its pods: without the "-x7k2p" that
 * the API server makes up (k8s.io/apimachinery, util/rand), nor the hash of a ReplicaSet or the time of a CronJob.
 */
size_t history_pod_stem(const char *name, size_t length);

/* "unit", "pod", "container", "machine", "cgroup". */
const char *history_kind_name(enum history_kind kind);
