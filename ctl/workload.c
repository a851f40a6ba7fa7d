/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "text.h"

/* The number of candidates that are listed. */
#define CANDIDATES_MAX 5

bool is_workload_name(const char *name)
{
        return *name != '/' && strchr(name, '/') && !strpbrk(name, "*?[");
}

/* Whether tables show @name for the cgroup at @path, which is the cgroup of @workload, at @own, or below it. */
static bool is_title(const json_t *workload, const char *path, const char *own, const char *name)
{
        const char *title = field_string(workload, "name");
        size_t length = strlen(title), below = strlen(own);

        return length > 0 && strncmp(path, own, below) == 0 && strncmp(name, title, length) == 0 &&
               strcmp(path + below, name + length) == 0;
}

/* Whether @name is the cgroup @row: as tables show it, or without a slash by a part of the name of its workload. */
static bool is_named(const json_t *row, const char *name)
{
        const json_t *workload = json_object_get(row, "workload");
        const char *path = field_string(row, "path"), *own = field_string(workload, "cgroup");

        if (!*own || !json_is_true(json_object_get(row, "exists")))
                return false;
        if (is_title(workload, path, own, name))
                return true;
        if (strcmp(own, path) != 0 || strchr(name, '/') || !*name)
                return false;
        return strcmp(field_string(workload, "container"), name) == 0 ||
               (strcmp(field_string(workload, "kind"), "pod") == 0 && strcmp(field_string(workload, "pod"), name) == 0);
}

/* Logs the rows of @rows that @name may refer to. Returns -ENOTUNIQ. */
static int tell_candidates(const json_t *rows, const char *name)
{
        _cleanup_free_ char *text = NULL;
        size_t size, count = json_array_size(rows);
        FILE *stream = open_memstream(&text, &size);

        for (size_t i = 0; stream && i < count && i < CANDIDATES_MAX; i++) {
                const json_t *row = json_array_get(rows, i);
                _cleanup_free_ char *title = text_shown(field_string(row, "workload.name")),
                                    *path = text_shown(field_string(row, "path"));

                fprintf(stream, "%s%s (%s)", i ? ", " : "", title ?: "", path ?: "");
        }
        if (stream && count > CANDIDATES_MAX)
                fprintf(stream, " and %zu more", count - CANDIDATES_MAX);
        if (stream && fclose(stream) == 0)
                log_error("%s: there are several: %s; give one of these paths", name, text);
        else
                log_error("%s: there are several; give a path", name);
        return -ENOTUNIQ;
}

int workload_find(const json_t *cgroups, const char *name, char **path)
{
        json_t *found = json_array();
        int r = found ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < json_array_size(cgroups); i++)
                if (is_named(json_array_get(cgroups, i), name))
                        r = json_array_append(found, json_array_get(cgroups, i)) < 0 ? -ENOMEM : 0;
        if (r == 0 && json_array_size(found) > 1)
                r = tell_candidates(found, name);
        else if (r == 0 && json_array_size(found) == 0)
                r = -ENOENT;
        else if (r == 0 && !(*path = strdup(field_string(json_array_get(found, 0), "path"))))
                r = -ENOMEM;
        json_decref(found);
        return r;
}
