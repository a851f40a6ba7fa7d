/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/freezer.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/cgroupfs.h"

static void cleanup_closedir(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}

/* --- One cgroup --------------------------------------------------------------------------------------------------- */

/* A directory that was removed since it was opened answers ENODEV. */
static bool is_gone(int error)
{
        return error == -ENOENT || error == -ENODEV || error == -ENOTDIR;
}

/* Opens the cgroup @id at @directory. Returns a file descriptor; -ENOENT if that is no cgroup, or another one. */
static int open_cgroup(uint64_t id, const char *directory)
{
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct statfs fs;
        uint64_t found;
        int r;

        if (fd < 0)
                return -errno;
        if (fstatfs(fd, &fs) < 0)
                return -errno;
        if (fs.f_type != CGROUP2_SUPER_MAGIC)
                return -ENOENT;
        r = cgroupfs_id_of(fd, &found);
        if (r < 0)
                return r;
        if (found != id)
                return -ENOENT;
        r = fd;
        fd = -1;
        return r;
}

/* Reads the small file @name of the cgroup @fd. Returns 0 or a negative errno. */
static int read_file(int fd, const char *name, char *text, size_t size)
{
        _cleanup_close_ int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (file < 0)
                return -errno;
        n = read(file, text, size - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return 0;
}

static int write_state(int fd, bool freeze)
{
        if (pwrite(fd, freeze ? "1" : "0", 1, 0) < 0)
                return -errno;
        return 0;
}

/* Whether @word is among those of @text, which are apart by single spaces. */
static bool has_word(const char *text, const char *word)
{
        size_t length = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += length)
                if ((p == text || p[-1] == ' ' || p[-1] == '\n') && strchr(" \n", p[length]))
                        return true;
        return false;
}

/* Whether freezing the cgroup @fd makes sense: 0, an enum freezer_answer, or a negative errno. */
static int look_at(int fd)
{
        char text[512];
        int r;

        r = read_file(fd, "cgroup.subtree_control", text, sizeof(text));
        if (r < 0)
                return is_gone(r) ? FREEZER_GONE : r;
        if (has_word(text, "memory"))
                return FREEZER_INNER;
        r = read_file(fd, "cgroup.freeze", text, sizeof(text));
        if (r < 0)
                return is_gone(r) ? FREEZER_GONE : r;
        if (text[0] != '0')
                return FREEZER_ALREADY;
        r = read_file(fd, "cgroup.events", text, sizeof(text));
        if (r < 0)
                return is_gone(r) ? FREEZER_GONE : r;
        if (strstr(text, "frozen 1"))
                return FREEZER_ALREADY;
        return strstr(text, "populated 0") ? FREEZER_EMPTY : 0;
}

/* Asks @may for every cgroup below the one at @path, which is a buffer of PATH_MAX. Returns 0 or -EPERM; as well if one
 * cannot be read. */
static int ask_below(char *path, freezer_may_t may, void *context)
{
        _cleanup_(cleanup_closedir) DIR *directory = opendir(path);
        size_t length = strlen(path);
        struct dirent *entry;
        int r;

        if (!directory)
                return errno == ENOENT ? 0 : -EPERM;
        while ((entry = readdir(directory))) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                if (length + 1 + strlen(entry->d_name) >= PATH_MAX)
                        return -EPERM;
                path[length] = '/';
                strcpy(path + length + 1, entry->d_name);
                r = may(context, path) ? ask_below(path, may, context) : -EPERM;
                path[length] = '\0';
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- The record --------------------------------------------------------------------------------------------------- */

static int sync_directory(const char *file)
{
        _cleanup_free_ char *copy = strdup(file);
        _cleanup_close_ int fd = -1;

        if (!copy)
                return -ENOMEM;
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_lines(const struct freezer *freezer, const char *path)
{
        _cleanup_fclose_ FILE *file = NULL;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        file = fdopen(fd, "w");
        if (!file) {
                close(fd);
                return -ENOMEM;
        }
        for (const struct frozen *frozen = freezer->first; frozen; frozen = frozen->next)
                if (fprintf(file, "%llu %s\n", (unsigned long long) frozen->id, frozen->directory) < 0)
                        return -EIO;
        return fflush(file) != 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Whole or not at all: written beside, synced and renamed. With nothing in it there is no record. */
static int write_record(const struct freezer *freezer)
{
        _cleanup_free_ char *new = NULL;
        int r;

        if (!freezer->first)
                return unlink(freezer->file) < 0 && errno != ENOENT ? -errno : 0;
        if (asprintf(&new, "%s.new", freezer->file) < 0) {
                new = NULL;
                return -ENOMEM;
        }
        r = write_lines(freezer, new);
        if (r == 0 && rename(new, freezer->file) < 0)
                r = -errno;
        if (r < 0) {
                unlink(new);
                return r;
        }
        return sync_directory(freezer->file);
}

int freezer_parse(const char *line, uint64_t *id, const char **directory)
{
        char *end;

        if (!isdigit((unsigned char) line[0]))
                return -EINVAL;
        errno = 0;
        *id = strtoull(line, &end, 10);
        if (errno || *id == 0 || end[0] != ' ' || end[1] != '/' || strstr(end, "/../"))
                return -EINVAL;
        *directory = end + 1;
        return 0;
}

/* --- The list ----------------------------------------------------------------------------------------------------- */

static void frozen_free(struct frozen *frozen)
{
        if (frozen->fd >= 0)
                close(frozen->fd);
        free(frozen->directory);
        free(frozen);
}

static void cleanup_frozen(struct frozen **frozen)
{
        if (*frozen)
                frozen_free(*frozen);
}

static void take_off(struct freezer *freezer, struct frozen *frozen)
{
        struct frozen **link = &freezer->first;

        while (*link != frozen)
                link = &(*link)->next;
        *link = frozen->next;
}

static void put_in(struct freezer *freezer, struct frozen *frozen)
{
        struct frozen **link = &freezer->first;

        while (*link && (*link)->until_usec <= frozen->until_usec)
                link = &(*link)->next;
        frozen->next = *link;
        *link = frozen;
}

void freezer_set_until(struct freezer *freezer, struct frozen *frozen, uint64_t until_usec)
{
        take_off(freezer, frozen);
        frozen->until_usec = until_usec;
        put_in(freezer, frozen);
}

struct frozen *freezer_find(const struct freezer *freezer, uint64_t id)
{
        struct frozen *frozen = freezer->first;

        while (frozen && frozen->id != id)
                frozen = frozen->next;
        return frozen;
}

/* --- Freezing and thawing ----------------------------------------------------------------------------------------- */

static struct frozen *frozen_new(uint64_t id, const char *directory, uint64_t now, uint64_t usec)
{
        struct frozen *frozen = calloc(1, sizeof(*frozen));

        if (!frozen)
                return NULL;
        *frozen = (struct frozen){ .id = id, .fd = -1, .since_usec = now, .until_usec = now + usec };
        frozen->directory = strdup(directory);
        if (!frozen->directory) {
                free(frozen);
                return NULL;
        }
        return frozen;
}

/* The record first: what is in it and not frozen does no harm. */
static int record_and_freeze(struct freezer *freezer, struct frozen *frozen)
{
        int r;

        put_in(freezer, frozen);
        r = write_record(freezer);
        if (r == 0) {
                r = write_state(frozen->fd, true);
                if (r == 0)
                        return 0;
                r = is_gone(r) ? FREEZER_GONE : r;
        }
        take_off(freezer, frozen);
        write_record(freezer);
        return r;
}

int freezer_freeze(struct freezer *freezer, uint64_t id, const char *directory, uint64_t now, uint64_t usec,
                freezer_may_t may, void *context, struct frozen **ret)
{
        _cleanup_(cleanup_frozen) struct frozen *frozen = frozen_new(id, directory, now, usec);
        _cleanup_close_ int fd = -1;
        char path[PATH_MAX];
        int r;

        if (!frozen)
                return -ENOMEM;
        /* The kernel makes no such cgroup; a line of the record would be two. */
        if (strchr(directory, '\n') || strlen(directory) >= sizeof(path))
                return -EINVAL;
        fd = open_cgroup(id, directory);
        if (fd < 0)
                return is_gone(fd) ? FREEZER_GONE : fd;
        r = look_at(fd);
        if (r != 0)
                return r;
        strcpy(path, directory);
        r = ask_below(path, may, context);
        if (r < 0)
                return r;
        frozen->fd = openat(fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
        if (frozen->fd < 0)
                return is_gone(-errno) ? FREEZER_GONE : -errno;
        r = record_and_freeze(freezer, frozen);
        if (r != 0)
                return r;
        *ret = frozen;
        frozen = NULL;
        return 0;
}

int freezer_thaw(struct freezer *freezer, struct frozen *frozen)
{
        int r = write_state(frozen->fd, false);

        if (r < 0 && !is_gone(r))
                return r;
        take_off(freezer, frozen);
        frozen_free(frozen);
        /* A line too many in the record has somebody thaw what is not frozen. */
        r = write_record(freezer);
        if (r < 0)
                log_warning("%s cannot be written: %s", freezer->file, strerror(-r));
        return 0;
}

void freezer_deinit(struct freezer *freezer)
{
        for (struct frozen *frozen = freezer->first, *next; frozen; frozen = next) {
                next = frozen->next;
                frozen_free(frozen);
        }
        freezer->first = NULL;
}

/* --- What was left ------------------------------------------------------------------------------------------------ */

/* Thaws the cgroup of one line. Returns 1 if it was there, 0 if not, or a negative errno. */
static int release_one(uint64_t id, const char *directory)
{
        _cleanup_close_ int fd = open_cgroup(id, directory), state = -1;
        int r;

        if (fd < 0)
                return is_gone(fd) ? 0 : fd;
        state = openat(fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
        r = state < 0 ? -errno : write_state(state, false);
        if (r < 0)
                return is_gone(r) ? 0 : r;
        log_info("%s was left frozen: thawed", directory);
        return 1;
}

static int release_line(const char *file, const char *line)
{
        const char *directory;
        uint64_t id;
        int r = freezer_parse(line, &id, &directory);

        if (r < 0) {
                log_error("%s is damaged: \"%.200s\" names no cgroup; one may be left frozen (cgroup.freeze is 1)",
                                file, line);
                return 0;
        }
        r = release_one(id, directory);
        if (r < 0)
                log_error("%s cannot be thawed (%s); write 0 to its cgroup.freeze", directory, strerror(-r));
        return r;
}

int freezer_release(const char *file)
{
        _cleanup_fclose_ FILE *record = fopen(file, "re");
        _cleanup_free_ char *line = NULL;
        int count = 0, error = 0, r;
        size_t size = 0;
        ssize_t n;

        if (!record && errno == ENOENT)
                return 0;
        if (!record) {
                r = -errno;
                log_error("%s cannot be read: %s", file, strerror(-r));
                return r;
        }
        while ((n = getline(&line, &size, record)) > 0) {
                line[strcspn(line, "\n")] = '\0';
                r = release_line(file, line);
                if (r < 0)
                        error = r;
                else
                        count += r;
        }
        if (ferror(record)) {
                error = -errno;
                log_error("%s cannot be read: %s", file, strerror(errno));
        }
        if (error == 0 && unlink(file) < 0 && errno != ENOENT)
                log_warning("%s cannot be removed: %s", file, strerror(errno));
        return error < 0 ? error : count;
}
