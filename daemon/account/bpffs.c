/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/bpffs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "kernel/namespace.h"
#include "kernel/security.h"

/* Numbers: devices of file systems, or mount namespaces. */
struct set {
        uint64_t *items;
        size_t count;
};

static bool has(const struct set *set, uint64_t item)
{
        /* The last one first: it is most often the same.
         * NULL is with @shown only: see read_mounts(). */
        /* cppcheck-suppress ctunullpointer */
        for (size_t i = set->count; i > 0; i--)
                if (set->items[i - 1] == item)
                        return true;
        return false;
}

/* Returns false without memory. */
static bool add(struct set *set, uint64_t item)
{
        uint64_t *items = array_grow(set->items, set->count, sizeof(*items));

        if (!items)
                return false;
        items[set->count++] = item;
        set->items = items;
        return true;
}

/* Of a line of mountinfo (proc(5)) that is about bpffs: its device, root and mount point. */
struct instance {
        dev_t device;
        char *root, *point;
};

/* Whether @line, which is changed, is about bpffs. */
static bool parse(char *line, struct instance *instance)
{
        unsigned int major, minor;
        char *type = strstr(line, " - "), *rest;
        int n = 0;

        if (!type || strncmp(type, " - bpf ", strlen(" - bpf ")) != 0)
                return false;
        if (sscanf(line, "%*u %*u %u:%u %n", &major, &minor, &n) != 2 || n == 0)
                return false;
        instance->device = makedev(major, minor);
        rest = line + n;
        instance->root = strsep(&rest, " ");
        instance->point = rest ? strsep(&rest, " ") : NULL;
        return instance->point;
}

/* Whether the root of the file system is what one sees at the mount point. One with a space in its name does not count.
 */
static bool is_shown(const struct instance *instance)
{
        struct stat st;

        return strcmp(instance->root, "/") == 0 && stat(instance->point, &st) == 0 && st.st_dev == instance->device;
}

/* Adds the instances that are shown to @shown, NULL: returns whether all in @path are in @known. */
static bool read_mounts(const char *path, struct set *shown, const struct set *known)
{
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        _cleanup_free_ char *line = NULL;
        struct instance instance;
        size_t size = 0;
        bool all = true;

        /* A process that has ended has no mounts. */
        if (!file && error_is_passing(errno))
                return false;
        while (file && getline(&line, &size, file) > 0) {
                if (!parse(line, &instance))
                        continue;
                if (!shown)
                        all = all && has(known, instance.device);
                else if (is_shown(&instance))
                        all = add(shown, instance.device) && all;
        }
        return all;
}

/* Whether all instances in the mount namespace of the process @pid are in @known; each in @namespaces is done. */
static bool shows_all(unsigned long pid, const struct set *known, struct set *namespaces)
{
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%lu/ns/mnt", pid);
        if (stat(path, &st) < 0 || has(namespaces, st.st_ino))
                return true;
        snprintf(path, sizeof(path), "/proc/%lu/mountinfo", pid);
        return add(namespaces, st.st_ino) && read_mounts(path, NULL, known);
}

static bool processes_show_all(const struct set *known)
{
        struct set namespaces = {};
        _cleanup_closedir_ DIR *directory = opendir("/proc");
        const struct dirent *entry;
        bool all = directory;

        while (all && (entry = readdir(directory)))
                if (isdigit(*entry->d_name))
                        all = shows_all(strtoul(entry->d_name, NULL, 10), known, &namespaces);
        free(namespaces.items);
        return all;
}

bool bpffs_may_be_elsewhere(void)
{
        struct set shown = {};
        bool all;

        if (!(security_own_capabilities() >> CAP_SYS_PTRACE & 1) || in_other_namespace(NAMESPACE_PID))
                return true;
        all = read_mounts("/proc/self/mountinfo", &shown, NULL) && processes_show_all(&shown);
        free(shown.items);
        return !all;
}
