/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of Kubernetes pods and their containers, from the names of the kubelet's logs
 * (pkg/kubelet/kuberuntime/helpers.go, legacy.go): the directories /var/log/pods/NAMESPACE_POD_UID and the links
 * /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log. inotify reports new and removed ones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A node has hundreds of pods; entries beyond this number are ignored. */
#define POD_NAMES_MAX 65536

/* Whether names are those of pods or of containers. */
enum pod_names_place {
        PLACE_PODS,
        PLACE_CONTAINERS,
        POD_NAMES_PLACES,
};

struct pod_name {
        const char *pod;       /* NAMESPACE/NAME */
        const char *container; /* NULL: it is the name of the pod */
};

/* @key, the uid of a pod or the id of a container, now has a name. */
typedef void (*pod_names_found_t)(void *context, const char *key);

/* Private to podnames.c but for fd. */
struct pod_names {
        int fd; /* becomes readable when pod_names_take() has something to do; -1: there is none */
        const char *root;
        uid_t owner;
        int parent_watch; /* of /var/log or above, while one of the directories is missing; -1: none */
        struct log_place {
                int watch;                 /* -1: there is no such directory */
                struct log_entry *entries; /* uthash */
        } places[POD_NAMES_PLACES];
        unsigned int warned; /* bits of what was logged already */
};

/*
 * Reads the names that exist. @root, which must outlive @names, is prepended to all paths; it is "" except in tests.
 * Files that do not belong to @owner, or whose names do not have the kubelet's form, are ignored. @follow: also watches
 * for later additions and removals. Returns 0 or -ENOMEM. @names is to be given to pod_names_deinit() in any case.
 */
int pod_names_init(struct pod_names *names, const char *root, uid_t owner, bool follow);
void pod_names_deinit(struct pod_names *names);

/*
 * Processes the additions and removals since the last call. Returns 0, or -ENOMEM; in that case some names are not
 * known.
 */
int pod_names_take(struct pod_names *names, pod_names_found_t found, void *context);

/* Finds the name of @key in @place. Returns whether there is one. */
bool pod_names_find(const struct pod_names *names, enum pod_names_place place, const char *key, struct pod_name *name);
