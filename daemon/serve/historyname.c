/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historyname.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "policy/unit.h"

/* The characters of names that the API server generates, and of the digits of a hash after SafeEncodeString(). */
#define RANDOM_CHARACTERS "bcdfghjklmnpqrstvwxz2456789"
#define HASH_CHARACTERS   "456789bcdf"
#define RANDOM_LENGTH     5

/*
 * A hash of 32 bits rarely has less than eight digits. A CronJob appends minutes since 1970, and older versions append
 * seconds.
 */
#define HASH_LENGTH_MIN 6
#define HASH_LENGTH_MAX 10
#define TIME_LENGTH_MIN 8

static const char *const kind_names[] = {
        [HISTORY_UNIT] = "unit",
        [HISTORY_POD] = "pod",
        [HISTORY_CONTAINER] = "container",
        [HISTORY_MACHINE] = "machine",
        [HISTORY_CGROUP] = "cgroup",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == HISTORY_KINDS, "each kind has a name");

const char *history_kind_name(enum history_kind kind)
{
        return kind_names[kind];
}

/* The length of @name, @length bytes, without its last component, if that is @minimum to @maximum of @characters. */
static size_t strip(const char *name, size_t length, const char *characters, size_t minimum, size_t maximum)
{
        const char *dash = memrchr(name, '-', length);
        size_t n = dash ? (size_t) (name + length - dash - 1) : 0;

        if (!dash || dash == name || n < minimum || n > maximum)
                return length;
        for (size_t i = 0; i < n; i++)
                if (!strchr(characters, dash[1 + i]))
                        return length;
        return dash - name;
}

size_t history_pod_stem(const char *name, size_t length)
{
        size_t stem = strip(name, length, RANDOM_CHARACTERS, RANDOM_LENGTH, RANDOM_LENGTH), shorter;

        if (stem == length)
                return length;
        shorter = strip(name, stem, HASH_CHARACTERS, HASH_LENGTH_MIN, HASH_LENGTH_MAX);
        return shorter < stem ? shorter : strip(name, stem, "0123456789", TIME_LENGTH_MIN, HASH_LENGTH_MAX);
}

/* Shortens @name, which did not fit, so that it remains unique. */
static void mark_long(char name[HISTORY_NAME_SIZE], const char *whole)
{
        uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */

        for (; *whole; whole++)
                hash = (hash ^ (unsigned char) *whole) * 0x100000001b3ULL;
        snprintf(name + HISTORY_NAME_SIZE - 18, 18, "~%016llx", (unsigned long long) hash);
}

static void set_name(struct history_name *name, enum history_kind kind, const char *text, size_t length)
{
        name->kind = kind;
        if (length < HISTORY_NAME_SIZE) {
                memcpy(name->text, text, length);
                name->text[length] = '\0';
                return;
        }
        memcpy(name->text, text, HISTORY_NAME_SIZE - 1);
        mark_long(name->text, text);
}

/*
 * Sets @name to NAMESPACE/NAME of @pod without the suffix from its controller, followed by @container; NULL: the pod
 * itself.
 */
static void set_pod_name(struct history_name *name, const char *pod, const char *container)
{
        const char *slash = strchr(pod, '/');
        size_t start = slash ? slash + 1 - pod : 0;
        char text[2 * WORKLOAD_NAME_SIZE + WORKLOAD_NAME_SIZE + 2];
        int n = snprintf(text, sizeof(text), "%.*s%s%s",
                        (int) (start + history_pod_stem(pod + start, strlen(pod + start))), pod, container ? "/" : "",
                        container ?: "");

        if (n >= (int) sizeof(text))
                n = sizeof(text) - 1;
        set_name(name, container ? HISTORY_CONTAINER : HISTORY_POD, text, n);
}

/* Sets the name of @workload. Returns whether it has a name. */
static bool name_workload(const struct workload *workload, struct history_name *name)
{
        if (workload->pending || workload->nested)
                return false;
        if (workload->kind == WORKLOAD_MACHINE && workload->machine)
                set_name(name, HISTORY_MACHINE, workload->machine, strlen(workload->machine));
        else if (workload->kind == WORKLOAD_POD && workload->pod)
                set_pod_name(name, workload->pod, NULL);
        else if (workload->kind == WORKLOAD_CONTAINER && workload->container && workload->pod)
                set_pod_name(name, workload->pod, workload->container);
        else if (workload->kind == WORKLOAD_CONTAINER && workload->container)
                set_name(name, HISTORY_CONTAINER, workload->container, strlen(workload->container));
        else
                return false;
        return true;
}

bool history_name(const struct cgroup *cgroup, struct history_name *name)
{
        const struct cgroup *own = cgroup_of_workload(cgroup);
        const char *unit, *path = cgroup->path;
        size_t length;

        if (!path || cgroup->abbreviated)
                return false;
        name->outer = false;
        if (own && own != cgroup)
                return false;
        if (own && (own->workload->pending || own->workload->nested))
                return false;
        if (own && name_workload(own->workload, name))
                return true;
        unit = own ? NULL : path_unit(path, &length);
        if (unit) {
                bool slice = length > strlen(SLICE_SUFFIX) &&
                             memcmp(unit + length - strlen(SLICE_SUFFIX), SLICE_SUFFIX, strlen(SLICE_SUFFIX)) == 0;

                name->outer = slice;
                if (unit[length] == '\0') {
                        set_name(name, HISTORY_UNIT, unit, length);
                        return true;
                }
                if (!slice)
                        return false;
        }
        name->outer = !cgroup->parent || (!own && cgroup->self.allocated == 0);
        set_name(name, HISTORY_CGROUP, path, strlen(path));
        return true;
}
