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

#include "base/cleanup.h"
#include "policy/utf8.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
        mode_t type;
        const char *name;
} file_types[] = {
        { S_IFDIR, "a directory" },
        { S_IFIFO, "a FIFO" },
        { S_IFSOCK, "a socket" },
        { S_IFCHR, "a device" },
        { S_IFBLK, "a device" },
};

/* What usually goes wrong, and what to do. */
static const struct {
        int error;
        const char *text;
} file_errors[] = {
        { EACCES, "no permission to read: run as root or change its mode" },
        { ENOENT, "is a link to a file that does not exist: correct or remove it" },
        { ELOOP, "is a loop of links: correct or remove it" },
        { ENOTDIR, "is not a directory: remove it or make it one" },
};

static void report_errno(struct loader *loader, const char *file, int error)
{
        for (size_t i = 0; i < ELEMENTSOF(file_errors); i++)
                if (file_errors[i].error == error) {
                        report_file(loader, file, "%s", file_errors[i].text);
                        return;
                }
        report_file(loader, file, "cannot be read: %s", strerror(error));
}

static bool check_type(struct loader *loader, const char *file, const struct stat *status)
{
        if (S_ISREG(status->st_mode))
                return true;
        for (size_t i = 0; i < ELEMENTSOF(file_types); i++)
                if (file_types[i].type == (status->st_mode & S_IFMT))
                        report_file(loader, file, "is %s, a plain file is expected: remove or rename it",
                                        file_types[i].name);
        return false;
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

        if (stat(file, &status) < 0) {
                report_errno(loader, file, errno);
                return -errno;
        }
        if (!check_type(loader, file, &status))
                return -EINVAL;
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &status) < 0) {
                report_errno(loader, file, errno);
                return -errno;
        }
        if (!check_type(loader, file, &status))
                return -EINVAL;
        ret = fd;
        fd = -EBADF;
        return ret;
}

ssize_t read_file(struct loader *loader, const char *file)
{
        _cleanup_close_ int fd = open_file(loader, file);
        size_t size = 0;

        if (fd < 0)
                return fd;
        while (size <= FILE_SIZE_MAX) {
                ssize_t n = read(fd, loader->buffer + size, FILE_SIZE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        report_errno(loader, file, errno);
                        return -errno;
                }
                if (n == 0)
                        return size;
                size += n;
        }
        report_file(loader, file, "is larger than 1 MiB: split it into several files");
        return -EFBIG;
}

/* A link to /dev/null, or an empty file: it only hides those of the same name below it. */
static bool is_mask(const char *file)
{
        struct stat status;

        if (stat(file, &status) < 0)
                return false;
        if (S_ISCHR(status.st_mode))
                return status.st_rdev == makedev(1, 3);
        return S_ISREG(status.st_mode) && status.st_size == 0;
}

/* --- Directories ------------------------------------------------------------------------------------------------- */

/* The first has precedence. */
static const char *const config_directories[] = { "/etc/bpfbudget", "/run/bpfbudget", "/usr/lib/bpfbudget" };

#define SETTINGS_DROPIN "bpfbudgetd.conf.d"
#define DROPIN_SUFFIX   ".conf"

void listing_deinit(struct listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->list[i].file);
        free(listing->list);
}

static int listing_add(struct listing *listing, const char *directory, const char *name, unsigned int rank)
{
        struct entry *entry;

        if (listing->count == listing->allocated) {
                size_t allocated = listing->allocated * 2 + 16;
                struct entry *list = reallocarray(listing->list, allocated, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                listing->list = list;
                listing->allocated = allocated;
        }
        entry = &listing->list[listing->count];
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

void listing_resolve(struct listing *listing)
{
        size_t kept = 0;

        if (listing->count > 0)
                qsort(listing->list, listing->count, sizeof(*listing->list), compare_entries);
        for (size_t i = 0, next; i < listing->count; i = next) {
                struct entry *first = &listing->list[i];

                for (next = i + 1; next < listing->count && strcmp(listing->list[next].name, first->name) == 0; next++)
                        free(listing->list[next].file);
                if (is_mask(first->file))
                        free(first->file);
                else
                        listing->list[kept++] = *first;
        }
        listing->count = kept;
}

static bool has_suffix(const char *name, const char *suffix)
{
        size_t n = strlen(name), s = strlen(suffix);

        return n > s && strcmp(name + n - s, suffix) == 0;
}

static bool is_dropin(const char *name)
{
        return has_suffix(name, DROPIN_SUFFIX);
}

static bool is_settings_or_budget(const char *name)
{
        return strcmp(name, SETTINGS_FILE) == 0 || has_suffix(name, BUDGET_SUFFIX);
}

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

static void cleanup_closedir(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}

/* Adds the files of @path that are @wanted; reports if it cannot be read, or is missing and not @optional. Returns
 * whether it could be opened.
 */
static bool list_directory(struct loader *loader, const char *path, unsigned int rank, bool optional,
                bool (*wanted)(const char *name), struct listing *listing)
{
        _cleanup_(cleanup_closedir) DIR *directory = opendir(path);
        const struct dirent *entry;

        if (!directory) {
                if (errno == ENOENT && optional)
                        return false;
                if (errno == ENOENT)
                        report_file(loader, path, "there is no such directory: check the path");
                else
                        report_errno(loader, path, errno);
                return false;
        }
        while (errno = 0, entry = readdir(directory)) {
                /* Hidden ones and, as their suffix is another, the backups of editors are not looked at. */
                if (*entry->d_name == '.' || !wanted(entry->d_name) || !check_name(loader, path, entry->d_name))
                        continue;
                if (listing_add(listing, path, entry->d_name, rank) < 0) {
                        loader->error = -ENOMEM;
                        return false;
                }
        }
        if (errno > 0)
                report_errno(loader, path, errno);
        return true;
}

/* Lists one directory of settings and budgets, and the drop-ins in it. */
static void list_rank(struct loader *loader, const char *path, unsigned int rank, bool optional, struct listing *files,
                struct listing *dropins)
{
        _cleanup_free_ char *dropin = NULL;

        if (!list_directory(loader, path, rank, optional, is_settings_or_budget, files))
                return;
        if (asprintf(&dropin, "%s/%s", path, SETTINGS_DROPIN) < 0) {
                dropin = NULL;
                loader->error = -ENOMEM;
                return;
        }
        list_directory(loader, dropin, rank, true, is_dropin, dropins);
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
