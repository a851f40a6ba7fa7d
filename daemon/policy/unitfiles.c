/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unitfiles.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "policy/files.h"
#include "policy/unit.h"
#include "policy/utf8.h"

static void unit_file_free(struct unit_file *file)
{
        free(file->unit);
        free(file->file);
        free(file->target);
}

void unit_files_deinit(struct unit_files *files)
{
        for (size_t i = 0; i < files->count; i++)
                unit_file_free(&files->list[i]);
        free(files->list);
        free(files->aliases);
        *files = (struct unit_files){};
}

/* Whether @name, @length bytes, can be the name of a unit that has a cgroup; others would be globs, or not text. */
static bool is_unit_name(const char *name, size_t length)
{
        for (size_t i = 0; i < length; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@", name[i]))
                        return false;
        return is_unit(name, length);
}

/* One whose name is no text could not be named in a message. */
static bool is_dropin(const char *name)
{
        uint32_t character;

        return *name != '.' && has_suffix(name, DROPIN_SUFFIX) &&
               utf8_find_bad(name, strlen(name), &character) == strlen(name);
}

/* Whether @name, @length bytes, is the type of units that have a cgroup: their drop-ins are those of all of them. */
static bool is_type(const char *name, size_t length)
{
        const char *suffix;

        for (size_t i = 0; (suffix = unit_suffix(i)); i++)
                if (strlen(suffix + 1) == length && strncmp(suffix + 1, name, length) == 0)
                        return true;
        return false;
}

/* Finds out whether @name is a link to a unit of another name, whose cgroup has that one's. Returns 0 or -ENOMEM. */
static int check_alias(int fd, const char *name, struct unit_file *file)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(fd, name, target, sizeof(target) - 1);
        const char *slash;

        if (n < 0)
                return 0;
        target[n] = '\0';
        slash = strrchr(target, '/');
        file->target = strdup(slash ? slash + 1 : target);
        file->alias = file->target && strcmp(file->target, name) != 0;
        return file->target ? 0 : -ENOMEM;
}

bool unit_is_linked_instance(const struct unit_file *file)
{
        const char *at = strchr(file->unit, '@'), *dot = strrchr(file->unit, '.');
        size_t n = at ? at + 1 - file->unit : 0;

        return file->alias && at && strncmp(file->unit, file->target, n) == 0 && strcmp(file->target + n, dot) == 0;
}

/* Adds the file @entry of the directory @path, which @fd is, of the unit @unit, @length bytes. Returns 0 or -ENOMEM. */
static int add(struct unit_files *files, int fd, const char *path, const struct dirent *entry, const char *unit,
                size_t length, bool dropin, unsigned int rank)
{
        const char *name = entry->d_name;
        struct unit_file *list = array_grow(files->list, files->count, sizeof(*list)), *file;

        if (!list)
                return -ENOMEM;
        files->list = list;
        file = &list[files->count];
        *file = (struct unit_file){ .unit = strndup(unit, length), .rank = rank, .mask = is_mask(fd, name) };
        if (!file->unit || asprintf(&file->file, "%s/%s", path, name) < 0) {
                free(file->unit);
                return -ENOMEM;
        }
        file->name = dropin ? file->file + strlen(path) + 1 : NULL;
        /* Most of hundreds are no links: not worth a system call. */
        files->count++;
        return dropin || entry->d_type == DT_REG || file->mask ? 0 : check_alias(fd, name, file);
}

/* Adds the drop-ins in the directory @name, "UNIT.d", of @path. Returns 0 or -ENOMEM. */
static int list_dropins(struct unit_files *files, const char *path, const char *name, unsigned int rank)
{
        size_t length = strlen(name) - strlen(DROPIN_DIRECTORY_SUFFIX);
        _cleanup_closedir_ DIR *directory = NULL;
        _cleanup_free_ char *below = NULL;
        const struct dirent *entry;
        int r = 0;

        if (asprintf(&below, "%s/%s", path, name) < 0) {
                below = NULL;
                return -ENOMEM;
        }
        directory = opendir(below);
        while (directory && r == 0 && (entry = readdir(directory)))
                if (is_dropin(entry->d_name))
                        r = add(files, dirfd(directory), below, entry, name, length, true, rank);
        return r;
}

static int list_directory(struct unit_files *files, const char *path, unsigned int rank)
{
        _cleanup_closedir_ DIR *directory = opendir(path);
        const struct dirent *entry;
        int r = 0;

        while (directory && r == 0 && (entry = readdir(directory))) {
                const char *name = entry->d_name;
                size_t length = strlen(name);

                if (is_unit_name(name, length))
                        r = add(files, dirfd(directory), path, entry, name, length, false, rank);
                else if (has_suffix(name, DROPIN_DIRECTORY_SUFFIX) &&
                                (is_unit_name(name, length - strlen(DROPIN_DIRECTORY_SUFFIX)) ||
                                                is_type(name, length - strlen(DROPIN_DIRECTORY_SUFFIX))))
                        r = list_dropins(files, path, name, rank);
        }
        return r;
}

static int compare_names(const struct unit_file *x, const struct unit_file *y)
{
        return strcmp(x->unit, y->unit) ?: strcmp(x->name ?: "", y->name ?: "");
}

static int compare(const void *a, const void *b)
{
        const struct unit_file *x = a, *y = b;

        return compare_names(x, y) ?: (int) x->rank - (int) y->rank;
}

/* Leaves of each name the first. */
static void resolve(struct unit_files *files)
{
        size_t kept = 0;

        if (files->count > 0)
                qsort(files->list, files->count, sizeof(*files->list), compare);
        for (size_t i = 0, next; i < files->count; i = next) {
                struct unit_file first = files->list[i];

                for (next = i + 1; next < files->count && compare_names(&files->list[next], &first) == 0; next++)
                        unit_file_free(&files->list[next]);
                files->list[kept++] = first;
        }
        files->count = kept;
}

/* Notes which are aliases. Returns 0 or -ENOMEM. */
static int find_aliases(struct unit_files *files)
{
        for (size_t i = 0; i < files->count; i++) {
                size_t *aliases;

                if (!files->list[i].alias || unit_is_linked_instance(&files->list[i]))
                        continue;
                aliases = array_grow(files->aliases, files->alias_count, sizeof(*aliases));
                if (!aliases)
                        return -ENOMEM;
                files->aliases = aliases;
                aliases[files->alias_count++] = i;
        }
        return 0;
}

size_t unit_files_find(const struct unit_files *files, const char *unit)
{
        size_t low = 0, high = files->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(files->list[middle].unit, unit) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < files->count && strcmp(files->list[low].unit, unit) == 0 ? low : files->count;
}

int unit_files_list(struct unit_files *files, const char *root, const char *const *directories)
{
        int r = 0;

        *files = (struct unit_files){};
        for (unsigned int rank = 0; r == 0 && directories[rank]; rank++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s", root, directories[rank]) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = list_directory(files, path, rank);
        }
        resolve(files);
        return r < 0 ? r : find_aliases(files);
}
