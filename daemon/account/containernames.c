/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/containernames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/workload.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/uthash-nonfatal.h"

struct podman_name {
        char id[CONTAINER_ID_LENGTH + 1];
        char *name;
        UT_hash_handle hh;
};

static const char *const podman_files[PODMAN_FILES] = {
        "/var/lib/containers/storage/overlay-containers/containers.json",
        "/var/lib/containers/storage/overlay-containers/volatile-containers.json",
        "/var/lib/containers/storage/vfs-containers/containers.json",
        "/var/lib/containers/storage/vfs-containers/volatile-containers.json",
};

void container_names_init(struct container_names *names, const char *root, uid_t owner)
{
        *names = (struct container_names){ .root = root, .owner = owner };
}

static void forget_names(struct podman_file *file)
{
        struct podman_name *name, *next;

        HASH_ITER (hh, file->names, name, next) {
                HASH_DEL(file->names, name);
                free(name->name);
                free(name);
        }
}

void container_names_deinit(struct container_names *names)
{
        for (size_t i = 0; i < PODMAN_FILES; i++)
                forget_names(&names->podman[i]);
}

static void cleanup_json(json_t **json)
{
        json_decref(*json);
}

/* Reads @path as state_file_read(); says once what is wrong with such a file. */
static int read_file(struct container_names *names, const char *path, size_t max, struct state_version *version,
                json_t **json)
{
        int r = state_file_read(path, names->owner, max, version, json);

        if (r >= 0 || r == -ENOENT || r == -ENOTDIR || r == -ENOMEM)
                return r;
        if (!names->warned)
                log_warning("%s: %s; it is ignored, as are others like it: containers have no names", path,
                                r == -EPERM     ? "is not a plain file of root's"
                                : r == -EFBIG   ? "is too large"
                                : r == -EBADMSG ? "is not JSON"
                                                : strerror(-r));
        names->warned = true;
        return r;
}

static bool is_name(const char *text)
{
        return text && is_container_name(text, strlen(text));
}

/* --- Docker --------------------------------------------------------------------------------------------------------
 */

static int find_docker(struct container_names *names, const char *id, char **name)
{
        _cleanup_(cleanup_json) json_t *json = NULL;
        _cleanup_free_ char *path = NULL;
        struct state_version version = {};
        const char *text;

        if (asprintf(&path, "%s/var/lib/docker/containers/%s/config.v2.json", names->root, id) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (read_file(names, path, DOCKER_FILE_MAX, &version, &json) <= 0)
                return 0;
        text = json_string_value(json_object_get(json, "Name"));
        if (text && *text == '/')
                text++;
        if (!is_name(text))
                return 0;
        *name = strdup(text);
        return *name ? 1 : -ENOMEM;
}

/* --- Podman --------------------------------------------------------------------------------------------------------
 */

/* Adds the container that @json describes, if it has a name. Returns 0 or -ENOMEM. */
static int add_podman(struct podman_file *file, const json_t *json)
{
        const char *id = json_string_value(json_object_get(json, "id"));
        const char *text = json_string_value(json_array_get(json_object_get(json, "names"), 0));
        struct podman_name *name;

        if (!id || !is_container_id(id, strlen(id)) || !is_name(text))
                return 0;
        HASH_FIND_STR(file->names, id, name);
        if (name)
                return 0;
        name = calloc(1, sizeof(*name));
        if (!name)
                return -ENOMEM;
        strcpy(name->id, id);
        name->name = strdup(text);
        if (name->name)
                HASH_ADD_STR(file->names, id, name);
        if (name->name && HASH_ADDED(name))
                return 0;
        free(name->name);
        free(name);
        return -ENOMEM;
}

/* Reads one of the files again if it has changed. Returns 0 or -ENOMEM. */
static int refresh_podman(struct container_names *names, size_t number)
{
        struct podman_file *file = &names->podman[number];
        _cleanup_(cleanup_json) json_t *json = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s%s", names->root, podman_files[number]) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = read_file(names, path, PODMAN_FILE_MAX, &file->version, &json);
        if (r == 0)
                return 0;
        forget_names(file);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = 0;
        for (size_t i = 0; r == 0 && i < json_array_size(json); i++)
                r = add_podman(file, json_array_get(json, i));
        return r;
}

static int find_podman(struct container_names *names, const char *id, char **name)
{
        for (size_t i = 0; i < PODMAN_FILES; i++) {
                struct podman_name *found;
                int r = refresh_podman(names, i);

                if (r < 0)
                        return r;
                HASH_FIND_STR(names->podman[i].names, id, found);
                if (!found)
                        continue;
                *name = strdup(found->name);
                return *name ? 1 : -ENOMEM;
        }
        return 0;
}

int container_names_find(struct container_names *names, const char *runtime, const char *id, char **name)
{
        int r = 0;

        if (!runtime || strcmp(runtime, "docker") == 0)
                r = find_docker(names, id, name);
        if (r == 0 && (!runtime || strcmp(runtime, "podman") == 0))
                r = find_podman(names, id, name);
        return r;
}
