/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of Kubernetes pods and their containers, from the names of the kubelet's logs
 * (pkg/kubelet/kuberuntime/helpers.go, legacy.go): the directories /var/log/pods/NAMESPACE_POD_UID and the links
 * /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log. inotify reports what comes and goes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A node has hundreds of pods; the rest of a directory that has more is ignored. */
#define POD_NAMES_MAX 65536

/* Whose names they are. */
enum pod_names_place {
        PLACE_PODS,
        PLACE_CONTAINERS,
        POD_NAMES_PLACES,
};

struct pod_name {
        const char *pod;       /* NAMESPACE/NAME */
        const char *container; /* NULL: it is the pod's */
};

/* @key, the uid of a pod or the id of a container, has a name since. */
typedef void (*pod_names_found_t)(void *context, const char *key);

/* Private to podnames.c but for fd. */
struct pod_names {
        int fd; /* polls readable when pod_names_take() has something to do; -1: there is none */
        const char *root;
        uid_t owner;
        int parent_watch; /* of /var/log, or above, while there is no directory of one of the places; -1: none */
        struct log_place {
                int watch;                 /* -1: there is no such directory */
                struct log_entry *entries; /* uthash */
        } places[POD_NAMES_PLACES];
        unsigned int warned; /* bits of what was logged already */
};

/*
 * Reads what there is. @root, which must outlive it, is before all paths: "" but for tests. What does not belong to
 * @owner, or is not named as the kubelet does it, is ignored. @follow: from now on what comes and goes is found, too.
 * Returns 0 or -ENOMEM. @names is to be given to pod_names_deinit() in any case.
 */
int pod_names_init(struct pod_names *names, const char *root, uid_t owner, bool follow);
void pod_names_deinit(struct pod_names *names);

/* Takes what has come and gone since. Returns 0 or -ENOMEM; then some names are not known. */
int pod_names_take(struct pod_names *names, pod_names_found_t found, void *context);

/* Finds the name of @key in @place. Returns whether there is one. */
bool pod_names_find(const struct pod_names *names, enum pod_names_place place, const char *key, struct pod_name *name);
