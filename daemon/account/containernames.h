/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of containers of Docker and Podman, from their state files: Docker's containers/ID/config.v2.json, and
 * containers.json of the storage that root's Podman has (containers/storage, containers.go). The files of users' Podman
 * are not read: they are in home directories, where the user can write anything.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "account/statefile.h"

/*
 * The maximum size of Docker's file about one container, and of Podman's file about all containers of a storage, in
 * bytes.
 */
#define DOCKER_FILE_MAX (1024 * 1024)
#define PODMAN_FILE_MAX (8 * 1024 * 1024)

/* Files of Podman's storage: for each of two drivers, a persistent one and one that a reboot removes. */
#define PODMAN_FILES 4

/* Private to containernames.c. */
struct container_names {
        const char *root;
        uid_t owner;
        struct podman_file {
                struct state_version version;
                struct podman_name *names; /* uthash */
        } podman[PODMAN_FILES];
        bool warned;
};

/* @root, which must outlive it, is prepended to all paths; it is "" except in tests. Files must belong to @owner. */
void container_names_init(struct container_names *names, const char *root, uid_t owner);
void container_names_deinit(struct container_names *names);

/*
 * Looks for the name of the container @id of @runtime (as in workload.h; NULL: unknown). Returns 1 and *name, to be
 * freed; 0: there is none; or -ENOMEM.
 */
int container_names_find(struct container_names *names, const char *runtime, const char *id, char **name);
