/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories of plain files that replace cgroups in tests of the decisions of freezer.c. Changes take effect
 * immediately, and writes fail when the test requests it. The behavior of the kernel is tested in
 * tests/kernel/test-freezer.c. The program is linked with FAKE_FREEZER_LINK, and without cgroupfs.c and log.c.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "enforce/unitstate.h"
#include "kernel/cgroupfs.h"

/* The errno with which the calls below fail; 0: they succeed. */
static int fail_pwrite, fail_fsync, fail_rename, fail_id;

/* The calls, in order: 's' for fsync(), 'r' for rename(), 'w' for pwrite(). */
static char calls[64];

static inline void note_call(char call)
{
        size_t n = strlen(calls);

        if (n < sizeof(calls) - 1)
                strcpy(calls + n, (char[]){ call, '\0' });
}

/* The file system of all directories. */
static long fake_magic = CGROUP2_SUPER_MAGIC;

/* The last message, and the number of messages. */
static char logged[4096];
static unsigned int logged_count;

/* The path of the unit that the service manager was requested to freeze; NULL: none. */
static const char *fake_frozen_unit;

bool unit_state_is_frozen(struct unit_state *state, const char *path)
{
        (void) state;
        return fake_frozen_unit && strcmp(path, fake_frozen_unit) == 0;
}

int __real_fstatfs(int fd, struct statfs *fs);
ssize_t __real_pwrite(int fd, const void *buffer, size_t size, off_t offset);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
ssize_t __wrap_pwrite(int fd, const void *buffer, size_t size, off_t offset);

int __wrap_fstatfs(int fd, struct statfs *fs)
{
        int r = __real_fstatfs(fd, fs);

        fs->f_type = fake_magic;
        return r;
}

int __wrap_fsync(int fd)
{
        note_call('s');
        if (fail_fsync) {
                errno = fail_fsync;
                return -1;
        }
        return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
        note_call('r');
        if (fail_rename) {
                errno = fail_rename;
                return -1;
        }
        return __real_rename(from, to);
}

ssize_t __wrap_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
        note_call('w');
        if (fail_pwrite) {
                errno = fail_pwrite;
                return -1;
        }
        return __real_pwrite(fd, buffer, size, offset);
}

int cgroupfs_id_of(int fd, uint64_t *id)
{
        struct stat st;

        if (fail_id)
                return -fail_id;
        if (fstat(fd, &st) < 0)
                return -errno;
        *id = st.st_ino;
        return 0;
}

static inline void keep_logged(const char *format, va_list ap)
{
        vsnprintf(logged, sizeof(logged), format, ap);
        logged_count++;
}

void log_message(int priority, const char *format, ...)
{
        va_list ap;

        (void) priority;
        va_start(ap, format);
        keep_logged(format, ap);
        va_end(ap);
}

void log_identified(const char *id, int priority, const char *format, ...)
{
        va_list ap;

        (void) priority;
        (void) id;
        va_start(ap, format);
        keep_logged(format, ap);
        va_end(ap);
}

/* The test's own directory; to be removed with fake_remove(). */
static inline int fake_make(char directory[64])
{
        strcpy(directory, "/tmp/bpfbudget-fake-XXXXXX");
        fake_magic = CGROUP2_SUPER_MAGIC;
        fail_pwrite = fail_fsync = fail_rename = fail_id = 0;
        *calls = '\0';
        *logged = '\0';
        logged_count = 0;
        fake_frozen_unit = NULL;
        return mkdtemp(directory) ? 0 : -1;
}

static inline int fake_remove(const char *directory)
{
        char command[128];

        snprintf(command, sizeof(command), "exec rm -rf '%s'", directory);
        return system(command);
}

/* Writes @text to the file @name of the cgroup @directory. */
static inline void fake_put(const char *directory, const char *name, const char *text)
{
        char path[PATH_MAX];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* Makes the cgroup @directory, with a process in it, and not frozen. Returns its id. */
static inline uint64_t fake_cgroup(const char *directory)
{
        struct stat st;

        assert_int_equal(mkdir(directory, 0755), 0);
        fake_put(directory, "cgroup.subtree_control", "");
        fake_put(directory, "cgroup.freeze", "0\n");
        fake_put(directory, "cgroup.events", "populated 1\nfrozen 0\n");
        assert_int_equal(stat(directory, &st), 0);
        return st.st_ino;
}

/* Whether cgroup.freeze of the cgroup @directory was set. */
static inline bool fake_is_set(const char *directory)
{
        char path[PATH_MAX], text[16] = "";
        FILE *file;

        snprintf(path, sizeof(path), "%s/cgroup.freeze", directory);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof(text), file));
        fclose(file);
        assert_true(strcmp(text, "0\n") == 0 || strcmp(text, "1\n") == 0);
        return *text == '1';
}
