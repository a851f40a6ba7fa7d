/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/freezer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/messages.h"
#include "kernel/cgroupfs.h"
#include "kernel/longpath.h"
#include "policy/mount.h"

/* --- One cgroup --------------------------------------------------------------------------------------------------- */

/* A directory that was removed since it was opened answers ENODEV. */
static bool is_gone(int error)
{
        return error == -ENOENT || error == -ENODEV || error == -ENOTDIR;
}

/* Opens the cgroup @id at @directory. Returns a file descriptor; -ENOENT if that is no cgroup, or another one. */
static int open_cgroup(uint64_t id, const char *directory)
{
        _cleanup_close_ int fd = open_long_path(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        struct statfs fs;
        uint64_t found;
        int r;

        if (fd < 0)
                return fd;
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

/* What the text of each file of a cgroup says against freezing it: 0 or an enum freezer_answer. */

static int check_subtree_control(const char *text)
{
        return has_word(text, "memory") ? FREEZER_INNER : 0;
}

static int check_freeze(const char *text)
{
        return text[0] != '0' ? FREEZER_ALREADY : 0;
}

static int check_events(const char *text)
{
        return strstr(text, "frozen 1") ? FREEZER_ALREADY : strstr(text, "populated 0") ? FREEZER_EMPTY : 0;
}

static const struct {
        const char *file;
        int (*check)(const char *text);
} checks[] = {
        { "cgroup.subtree_control", check_subtree_control },
        { "cgroup.freeze", check_freeze },
        { "cgroup.events", check_events },
};

/* Whether freezing the cgroup @fd makes sense: 0, an enum freezer_answer, or a negative errno. */
static int evaluate(int fd)
{
        char text[512];

        for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
                int r = read_file(fd, checks[i].file, text, sizeof(text));

                if (r < 0)
                        return is_gone(r) ? FREEZER_GONE : r;
                r = checks[i].check(text);
                if (r != 0)
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

/* --- Who else writes ---------------------------------------------------------------------------------------------- */

/* The kernel tells of each write(2) to a file, also if it changes nothing; kernfs keeps no time of it. */

void freezer_watch(struct freezer *freezer)
{
        if (freezer->watching)
                return;
        freezer->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        freezer->watching = freezer->inotify >= 0;
}

/* Has writes to the cgroup.freeze of @frozen noticed from now on. */
static void watch(const struct freezer *freezer, struct frozen *frozen)
{
        char path[40];

        if (!freezer->watching)
                return;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", frozen->fd);
        frozen->watch = inotify_add_watch(freezer->inotify, path, IN_MODIFY);
}

static void unwatch(const struct freezer *freezer, const struct frozen *frozen)
{
        if (frozen->watch >= 0)
                inotify_rm_watch(freezer->inotify, frozen->watch);
}

static void note_write(struct freezer *freezer, int watch)
{
        struct frozen *frozen = freezer->first;

        while (frozen && frozen->watch != watch)
                frozen = frozen->next;
        if (!frozen)
                return;
        frozen->theirs = true;
        freezer_set_until(freezer, frozen, 0);
}

/* Should the kernel have lost events, what they were about is thawed in its time: nothing stays frozen for ever. */
void freezer_take_writes(struct freezer *freezer)
{
        char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        const struct inotify_event *event;
        ssize_t n;

        while (freezer->watching && (n = read(freezer->inotify, buffer, sizeof(buffer))) > 0)
                for (const char *p = buffer; p < buffer + n; p += sizeof(*event) + event->len) {
                        event = (const void *) p;
                        if (event->mask & IN_MODIFY)
                                note_write(freezer, event->wd);
                }
}

/* Whether somebody else decides by now whether @frozen is frozen. */
static bool is_theirs(struct freezer *freezer, const struct frozen *frozen)
{
        freezer_take_writes(freezer);
        return frozen->theirs || unit_state_is_frozen(&freezer->units, strip_mount(frozen->directory));
}

/* --- Freezing and thawing ----------------------------------------------------------------------------------------- */

static struct frozen *frozen_new(uint64_t id, const char *directory, uint64_t now, uint64_t usec)
{
        struct frozen *frozen = calloc(1, sizeof(*frozen));

        if (!frozen)
                return NULL;
        *frozen = (struct frozen){ .id = id, .fd = -1, .watch = -1, .since_usec = now, .until_usec = now + usec };
        frozen->directory = strdup(directory);
        if (!frozen->directory) {
                free(frozen);
                return NULL;
        }
        return frozen;
}

/*
 * The record first: what is in it and not frozen does no harm. Who writes in the moment between the watch and the end
 * of our own write cannot be told from us.
 */
static int record_and_freeze(struct freezer *freezer, struct frozen *frozen)
{
        uint64_t until = frozen->until_usec;
        int r;

        put_in(freezer, frozen);
        r = write_record(freezer);
        if (r == 0) {
                watch(freezer, frozen);
                r = write_state(frozen->fd, true);
                freezer_take_writes(freezer);
                frozen->theirs = false;
                freezer_set_until(freezer, frozen, until);
                if (r == 0)
                        return 0;
                r = is_gone(r) ? FREEZER_GONE : r;
        }
        unwatch(freezer, frozen);
        take_off(freezer, frozen);
        write_record(freezer);
        return r;
}

int freezer_freeze(struct freezer *freezer, uint64_t id, const char *directory, uint64_t now, uint64_t usec,
                struct frozen **ret)
{
        _cleanup_(cleanup_frozen) struct frozen *frozen = frozen_new(id, directory, now, usec);
        _cleanup_close_ int fd = -1;
        int r;

        if (!frozen)
                return -ENOMEM;
        freezer_watch(freezer);
        /* The kernel makes no such cgroup; a line of the record would be two. */
        if (strchr(directory, '\n'))
                return -EINVAL;
        fd = open_cgroup(id, directory);
        if (fd < 0)
                return is_gone(fd) ? FREEZER_GONE : fd;
        r = evaluate(fd);
        if (r != 0)
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
        bool theirs = is_theirs(freezer, frozen);
        int r = theirs ? 0 : write_state(frozen->fd, false);

        if (r < 0 && !is_gone(r))
                return r;
        unwatch(freezer, frozen);
        take_off(freezer, frozen);
        /* What our own write and the end of the watch have left. */
        freezer_take_writes(freezer);
        if (theirs)
                log_info("%s was frozen or thawed by somebody else during its pause: it is left as it is",
                                frozen->directory);
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
        if (freezer->watching)
                close(freezer->inotify);
        freezer->watching = false;
}

/* --- What was left ------------------------------------------------------------------------------------------------ */

/* Thaws the cgroup of one line. Returns 1 if it was there and ours, 0 if not, or a negative errno. */
static int release_one(uint64_t id, const char *directory, struct unit_state *units)
{
        _cleanup_close_ int fd = open_cgroup(id, directory), state = -1;
        int r;

        if (fd < 0)
                return is_gone(fd) ? 0 : fd;
        if (unit_state_is_frozen(units, strip_mount(directory))) {
                log_info("%s was frozen by the service manager, too: it is left as it is", directory);
                return 0;
        }
        state = openat(fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
        r = state < 0 ? -errno : write_state(state, false);
        if (r < 0)
                return is_gone(r) ? 0 : r;
        log_info("%s was left frozen: thawed", directory);
        return 1;
}

static int release_line(const char *file, const char *line, struct unit_state *units)
{
        const char *directory;
        uint64_t id;
        int r = freezer_parse(line, &id, &directory);

        if (r < 0) {
                log_identified(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR,
                                "%s is damaged: \"%.200s\" names no cgroup; one may be left frozen (cgroup.freeze is "
                                "1)",
                                file, line);
                return 0;
        }
        r = release_one(id, directory, units);
        if (r < 0)
                log_identified(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR,
                                "%s cannot be thawed (%s); write 0 to its cgroup.freeze", directory, strerror(-r));
        return r;
}

int freezer_release(const char *file)
{
        _cleanup_fclose_ FILE *record = fopen(file, "re");
        _cleanup_free_ char *line = NULL;
        struct unit_state units = { .wait_usec = UNIT_STATE_RELEASE_WAIT_USEC };
        int count = 0, error = 0, r;
        size_t size = 0;
        ssize_t n;

        if (!record && errno == ENOENT)
                return 0;
        if (!record) {
                r = -errno;
                log_identified(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "%s cannot be read: %s", file, strerror(-r));
                return r;
        }
        while ((n = getline(&line, &size, record)) > 0) {
                line[strcspn(line, "\n")] = '\0';
                r = release_line(file, line, &units);
                if (r < 0)
                        error = r;
                else
                        count += r;
        }
        if (ferror(record)) {
                error = -errno;
                log_identified(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "%s cannot be read: %s", file, strerror(errno));
        }
        if (error == 0 && unlink(file) < 0 && errno != ENOENT)
                log_warning("%s cannot be removed: %s", file, strerror(errno));
        return error < 0 ? error : count;
}
