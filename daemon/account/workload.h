/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The workload that a cgroup is: a pod of Kubernetes, a container or a machine. The kind and the ids follow from the
 * path of the cgroup; workloads.h finds the names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A pod's namespace is a DNS label, its name a DNS subdomain; Docker and Podman have no bound. Bytes with the NUL. */
#define WORKLOAD_NAME_SIZE 256

/* The length of a container's ID: SHA-256 in hexadecimal. */
#define CONTAINER_ID_LENGTH 64

/*
 * The size of a pod's UID, in bytes with the NUL: a UUID; for a static pod, an MD5 in hexadecimal, or what its manifest
 * says.
 */
#define POD_UID_SIZE 64

enum workload_kind {
        WORKLOAD_POD,
        WORKLOAD_CONTAINER, /* in a pod, or of Docker or Podman */
        WORKLOAD_MACHINE,   /* of systemd-nspawn or libvirt */
        WORKLOAD_KINDS,
};

enum workload_qos {
        QOS_NONE, /* no pod's */
        QOS_GUARANTEED,
        QOS_BURSTABLE,
        QOS_BEST_EFFORT,
        QOS_CLASSES,
};

/* Strings are NULL where there is none, or none is known. */
struct workload {
        enum workload_kind kind;
        enum workload_qos qos;
        const char *runtime; /* a constant: "containerd", "cri-o", "docker", "podman" */
        char *pod_uid;
        char *container_id;
        bool is_pod;  /* a pod's own cgroup, or that of one of its containers where the pod has none */
        bool nested;  /* in another container, or created by another user: no name on this host is for it */
        bool pending; /* it is not decided yet whether its name can be found */
        bool sought;  /* the name was looked for: if it is found later, that is reported */

        /* The name of a machine is also in its path; the others are set by workload_set_name(). */
        char *pod; /* NAMESPACE/NAME */
        char *container;
        char *machine;
};

/*
 * Sets *workload to the workload whose own cgroup is at @path (below the mount), or to NULL if that is not a workload's
 * own cgroup, but at most inside one. Recognizes the paths of kubelet (pkg/kubelet/cm/cgroup_manager_linux.go), runc,
 * crun and systemd-machined. Returns 0 or -ENOMEM.
 */
int workload_from_path(const char *path, struct workload **workload);

/* NULL is none. */
void workload_free(struct workload *workload);

/* Sets *name, a name in a workload, to a copy of @text. Returns 1: changed; 0: it was the same; -ENOMEM. */
int workload_set_name(char **name, const char *text);

/* Whether @length bytes of @text can be a namespace, a pod's name, its uid, a container's id or its name. */
bool is_pod_namespace(const char *text, size_t length);
bool is_pod_name(const char *text, size_t length);
bool is_pod_uid(const char *text, size_t length);
bool is_container_id(const char *text, size_t length);
bool is_container_name(const char *text, size_t length);

/* Whether @workload has a name to show in tables. */
bool workload_has_name(const struct workload *workload);

/* "pod", "container", "machine"; "Guaranteed", "Burstable", "BestEffort", NULL for none. */
const char *workload_kind_name(enum workload_kind kind);
const char *workload_qos_name(enum workload_qos qos);
