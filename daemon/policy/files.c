/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/fileio.h"
#include "policy/spelling.h"
#include "policy/utf8.h"

/* A suffix with so many slips is another one. */
#define SUFFIX_DISTANCE_MAX 2

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* What a number of the system's means to whoever wrote the file. */
struct meaning {
        unsigned int number;
        const char *text;
};

static const struct meaning file_types[] = {
        { S_IFDIR, "a directory" },
        { S_IFIFO, "a FIFO" },
        { S_IFSOCK, "a socket" },
        { S_IFCHR, "a device" },
        { S_IFBLK, "a device" },
};

/* What usually goes wrong, and what to do. */
static const struct meaning file_errors[] = {
        { EACCES, "no permission to read: run as root or change its mode" },
        { ENOENT, "is a link to a file that does not exist: correct or remove it" },
        { ELOOP, "is a loop of links: correct or remove it" },
        { ENOTDIR, "is not a directory: remove it or make it one" },
};

/* The text of @number among the @n @meanings; NULL: it has none. */
static const char *meaning_of(const struct meaning *meanings, size_t n, unsigned int number)
{
        for (size_t i = 0; i < n; i++)
                if (meanings[i].number == number)
                        return meanings[i].text;
        return NULL;
}

/* Returns -@error. */
static int report_errno(struct loader *loader, const char *file, int error)
{
        const char *text = meaning_of(file_errors, ELEMENTSOF(file_errors), error);

        if (text)
                report_file(loader, file, "%s", text);
        else
                report_file(loader, file, "cannot be read: %s", strerror(error));
        if (error_is_passing(error) && loader->error == 0)
                loader->error = -error;
        return -error;
}

static bool check_type(struct loader *loader, const char *file, const struct stat *status)
{
        const char *type = meaning_of(file_types, ELEMENTSOF(file_types), status->st_mode & S_IFMT);

        if (type)
                report_file(loader, file, "is %s, a plain file is expected: remove or rename it", type);
        return S_ISREG(status->st_mode);
}

/*
 * Opens @file if it is a plain one. O_NONBLOCK: a FIFO that took its place after the check must not hang the daemon.
 * Returns a negative errno if there is none, after reporting.
 */
static int open_file(struct loader *loader, const char *file)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat status;
        int ret;

        if (stat(file, &status) < 0)
                return report_errno(loader, file, errno);
        if (!check_type(loader, file, &status))
                return -EINVAL;
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &status) < 0)
                return report_errno(loader, file, errno);
        if (!check_type(loader, file, &status))
                return -EINVAL;
        ret = fd;
        fd = -EBADF;
        return ret;
}

ssize_t read_file(struct loader *loader, const char *file)
{
        _cleanup_close_ int fd = open_file(loader, file);
        ssize_t size;

        if (fd < 0)
                return fd;
        size = read_all(fd, loader->buffer, FILE_SIZE_MAX + 1);
        if (size < 0)
                report_errno(loader, file, -size);
        if (size <= FILE_SIZE_MAX)
                return size;
        report_file(loader, file, "is larger than 1 MiB: split it into several files");
        return -EFBIG;
}

bool is_mask(int directory, const char *name)
{
        struct stat status;

        if (fstatat(directory, name, &status, 0) < 0)
                return false;
        if (S_ISCHR(status.st_mode))
                return status.st_rdev == makedev(1, 3);
        return S_ISREG(status.st_mode) && status.st_size == 0;
}

/* --- Directories ------------------------------------------------------------------------------------------------- */

/* The first has precedence. */
static const char *const config_directories[] = { "/etc/bpfbudget", "/run/bpfbudget", "/usr/lib/bpfbudget" };

#define VENDOR_RANK 2

bool is_vendors(const struct entry *entry)
{
        return entry->rank == VENDOR_RANK;
}

void listing_deinit(struct listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->list[i].file);
        free(listing->list);
}

static int listing_add(struct listing *listing, const char *directory, const char *name, unsigned int rank)
{
        struct entry *list = array_grow(listing->list, listing->count, sizeof(*list)), *entry;

        if (!list)
                return -ENOMEM;
        listing->list = list;
        entry = &list[listing->count];
        if (asprintf(&entry->file, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        entry->name = entry->file + strlen(directory) + 1;
        entry->rank = rank;
        listing->count++;
        return 0;
}

static int compare_entries(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;

        return strcmp(x->name, y->name) ?: (int) x->rank - (int) y->rank;
}

static void listing_sort(struct listing *listing)
{
        if (listing->count > 0)
                qsort(listing->list, listing->count, sizeof(*listing->list), compare_entries);
}

void listing_resolve(struct listing *listing)
{
        size_t kept = 0;

        listing_sort(listing);
        for (size_t i = 0, next; i < listing->count; i = next) {
                struct entry *first = &listing->list[i];

                for (next = i + 1; next < listing->count && strcmp(listing->list[next].name, first->name) == 0; next++)
                        free(listing->list[next].file);
                if (is_mask(AT_FDCWD, first->file))
                        free(first->file);
                else
                        listing->list[kept++] = *first;
        }
        listing->count = kept;
}

bool is_dropin_of(const struct entry *entry, const char *name)
{
        size_t length = strlen(name);

        return strncmp(entry->name, name, length) == 0 &&
               strncmp(entry->name + length, DROPIN_DIRECTORY_SUFFIX "/", strlen(DROPIN_DIRECTORY_SUFFIX "/")) == 0;
}

void warn_of_strays(struct loader *loader, const struct listing *files, const struct listing *dropins)
{
        for (size_t i = 0; i < dropins->count; i++) {
                const struct entry *dropin = &dropins->list[i];
                bool stray = !is_dropin_of(dropin, SETTINGS_FILE);

                for (size_t k = 0; stray && k < files->count; k++)
                        stray = !is_dropin_of(dropin, files->list[k].name);
                if (stray)
                        warn_file(loader, dropin->file, "is not read: there is no %.*s that it is a drop-in of",
                                        (int) (strchr(dropin->name, '/') - dropin->name -
                                                        strlen(DROPIN_DIRECTORY_SUFFIX)),
                                        dropin->name);
        }
}

bool has_suffix(const char *name, const char *suffix)
{
        size_t n = strlen(name), s = strlen(suffix);

        return n > s && strcmp(name + n - s, suffix) == 0;
}

/* Whether the suffix of @name differs from @suffix by case or a slip; those of backups do not. */
static bool is_nearly(const char *name, const char *suffix)
{
        const char *dot = strrchr(name, '.');

        return dot && dot > name && !strchr("~#", name[strlen(name) - 1]) &&
               edit_distance(dot, suffix) <= SUFFIX_DISTANCE_MAX;
}

/* What is in a directory. */
struct kind {
        bool (*is_wanted)(const char *name);
        /* Why a file is passed over that somebody may take for one that is not; NULL: it is another. */
        const char *(*doubt)(const char *name);
};

static bool is_dropin(const char *name)
{
        return has_suffix(name, DROPIN_SUFFIX);
}

static const char *doubt_dropin(const char *name)
{
        if (is_nearly(name, DROPIN_SUFFIX) || is_nearly(name, BUDGET_SUFFIX))
                return "is not read: rename it, the name of a drop-in ends in " DROPIN_SUFFIX;
        return NULL;
}

static bool is_settings_or_budget(const char *name)
{
        return strcmp(name, SETTINGS_FILE) == 0 || has_suffix(name, BUDGET_SUFFIX);
}

static bool is_dropin_directory(const char *name)
{
        return strcmp(name, SETTINGS_FILE DROPIN_DIRECTORY_SUFFIX) == 0 ||
               has_suffix(name, BUDGET_SUFFIX DROPIN_DIRECTORY_SUFFIX);
}

static const char *doubt_settings_or_budget(const char *name)
{
        if (is_dropin_directory(name))
                return NULL;
        if (has_suffix(name, DROPIN_SUFFIX DROPIN_DIRECTORY_SUFFIX))
                return "is not read: the drop-ins of NAME" BUDGET_SUFFIX
                       " are in NAME" BUDGET_SUFFIX DROPIN_DIRECTORY_SUFFIX
                       ", those of the settings in " SETTINGS_FILE DROPIN_DIRECTORY_SUFFIX;
        if (is_nearly(name, DROPIN_SUFFIX) || is_nearly(name, BUDGET_SUFFIX))
                return "is not read: rename it, the name of a budget ends in " BUDGET_SUFFIX
                       ", and settings are in " SETTINGS_FILE " and " SETTINGS_FILE DROPIN_DIRECTORY_SUFFIX;
        return NULL;
}

static const struct kind settings_and_budgets = { is_settings_or_budget, doubt_settings_or_budget },
                         dropin_directories = { is_dropin_directory, NULL }, dropin_files = { is_dropin, doubt_dropin };

/* A name that is not one line of text cannot be reported as it is; it would go into messages and JSON. */
static bool check_name(struct loader *loader, const char *directory, const char *name)
{
        char escaped[4 * NAME_MAX + 1] = "";
        uint32_t character;
        size_t length = 0;

        if (utf8_find_bad(name, strlen(name), &character) == strlen(name) && !strchr(name, '\t'))
                return true;
        for (const char *p = name; *p; p++)
                length += snprintf(escaped + length, sizeof(escaped) - length, *p > ' ' && *p < 0x7f ? "%c" : "\\x%02x",
                                (unsigned char) *p);
        report_file(loader, directory, "the name of the file \"%s\" is not plain UTF-8: rename it", escaped);
        return false;
}

/* "@base/@name", or @base if @name is NULL; to be freed. NULL: no memory. */
static char *join(struct loader *loader, const char *base, const char *name)
{
        char *path;

        if (asprintf(&path, "%s%s%s", base, name ? "/" : "", name ?: "") >= 0)
                return path;
        loader->error = -ENOMEM;
        return NULL;
}

/* A directory of one rank: @name in @base, or @base itself. */
struct place {
        const char *base, *name;
        unsigned int rank;
};

/* Adds what @kind wants of the @entry of @path, at @place; warns of what it may have been meant to want. */
static void list_entry(struct loader *loader, const struct place *place, const char *path, const char *entry,
                const struct kind *kind, struct listing *listing)
{
        _cleanup_free_ char *name = NULL;
        const char *doubt;

        if (kind->is_wanted(entry)) {
                if (!check_name(loader, path, entry))
                        return;
                name = place->name ? join(loader, place->name, entry) : strdup(entry);
                if (!name || listing_add(listing, place->base, name, place->rank) < 0)
                        loader->error = -ENOMEM;
        } else if (kind->doubt && (doubt = kind->doubt(entry)) && check_name(loader, path, entry)) {
                name = join(loader, path, entry);
                if (name)
                        warn_file(loader, name, "%s", doubt);
        }
}

/* Adds what @kind wants of @place; reports if it cannot be read, or is missing and not @optional. Returns whether it
 * could be opened.
 */
static bool list_directory(struct loader *loader, const struct place *place, bool optional, const struct kind *kind,
                struct listing *listing)
{
        _cleanup_free_ char *path = join(loader, place->base, place->name);
        _cleanup_closedir_ DIR *directory = path ? opendir(path) : NULL;
        const struct dirent *entry;

        if (!path)
                return false;
        if (!directory) {
                if (errno == ENOENT && optional)
                        return false;
                if (errno == ENOENT)
                        report_file(loader, path, "there is no such directory: check the path");
                else
                        report_errno(loader, path, errno);
                return false;
        }
        while (loader->error == 0 && (errno = 0, entry = readdir(directory)))
                /* Hidden ones are not looked at. */
                if (*entry->d_name != '.')
                        list_entry(loader, place, path, entry->d_name, kind, listing);
        if (loader->error == 0 && errno > 0)
                report_errno(loader, path, errno);
        return true;
}

/* Lists the settings and budgets in @base, and the drop-ins in its directories of them. */
static void list_rank(struct loader *loader, const char *base, unsigned int rank, bool optional, struct listing *files,
                struct listing *dropins)
{
        _cleanup_listing_ struct listing directories = { 0 };
        struct place place = { base, NULL, rank };

        if (!list_directory(loader, &place, optional, &settings_and_budgets, files))
                return;
        list_directory(loader, &place, true, &dropin_directories, &directories);
        listing_sort(&directories);
        for (size_t i = 0; i < directories.count; i++) {
                place.name = directories.list[i].name;
                list_directory(loader, &place, true, &dropin_files, dropins);
        }
}

void list_all(struct loader *loader, const char *root, const char *directory, struct listing *files,
                struct listing *dropins)
{
        if (directory) {
                list_rank(loader, directory, 0, false, files, dropins);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(config_directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s", root, config_directories[i]) < 0) {
                        path = NULL;
                        loader->error = -ENOMEM;
                        return;
                }
                list_rank(loader, path, i, true, files, dropins);
        }
}
