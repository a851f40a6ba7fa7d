/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which hierarchy the memory controller is on, and where in it this process is, by what the kernel might say: mounts
 * and /proc/self/cgroup are the test's. On real cgroups: tests/kernel/test-cgroupfs.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/cgroupfs.h"

static char directory[64]; /* with what of a hierarchy is asked for */
static char mounts[1024], own_cgroup[512];
static unsigned long mount_flags;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_setmntent(const char *path, const char *mode);
int __wrap_fstatvfs(int fd, struct statvfs *st);

/* A file with @text. */
static FILE *open_text(const char *text)
{
        FILE *file = tmpfile();

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        rewind(file);
        return file;
}

static int open_error; /* of cgroup.controllers; 0: none */

FILE *__wrap_fopen(const char *path, const char *mode)
{
        if (open_error && strstr(path, "/cgroup.controllers")) {
                errno = open_error;
                return NULL;
        }
        return strcmp(path, "/proc/self/cgroup") == 0 ? open_text(own_cgroup) : __real_fopen(path, mode);
}

FILE *__wrap_setmntent(const char *path, const char *mode)
{
        assert_string_equal(path, "/proc/self/mounts");
        assert_string_equal(mode, "re");
        return open_text(mounts);
}

int __wrap_fstatvfs(int fd, struct statvfs *st)
{
        assert_true(fd >= 0);
        *st = (struct statvfs){ .f_flag = mount_flags };
        return 0;
}

static void write_file(const char *name, const char *text)
{
        char path[128];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = __real_fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        fclose(file);
}

static int setup(void **state)
{
        (void) state;
        strcpy(directory, "/tmp/bpfbudget-test-XXXXXX");
        mount_flags = 0;
        return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
        static const char *const names[] = { "cgroup.controllers", "a/cgroup.freeze", "a" };
        char path[128];

        (void) state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
                remove(path);
        }
        return rmdir(directory);
}

/* The version that is found in @mounts; its mount must be the directory. */
static int find_version(void)
{
        struct cgroupfs fs;
        int r = cgroupfs_init(&fs), version = fs.version;

        /* It is no real one: it has no ids. */
        assert_true(r < 0);
        if (version) {
                assert_string_equal(fs.mount, directory);
                assert_true(fs.part);
        } else
                assert_int_equal(r, -ENOENT);
        cgroupfs_deinit(&fs);
        return version;
}

static void set_mounts(const char *format)
{
        assert_true(snprintf(mounts, sizeof(mounts), format, directory) < (int) sizeof(mounts));
}

/* In these mounts, with the directory as a part, it is /proc that is taken. */
static void find_whole(const char *format)
{
        struct cgroupfs fs;

        set_mounts(format);
        cgroupfs_init(&fs);
        assert_string_equal(fs.mount, "/proc");
        assert_int_equal(fs.version, 1);
        assert_false(fs.part);
        cgroupfs_deinit(&fs);
}

static void test_version(void **state)
{
        (void) state;
        set_mounts("proc /proc proc rw 0 0\n");
        assert_int_equal(find_version(), 0);
        /* v2 without the controller is not it. */
        write_file("cgroup.controllers", "cpuset cpu io pids\n");
        set_mounts("cgroup2 %s cgroup2 rw 0 0\n");
        assert_int_equal(find_version(), 0);
        write_file("cgroup.controllers", "cpuset cpu memory pids\n");
        assert_int_equal(find_version(), 2);
        write_file("cgroup.controllers", "memory\n");
        assert_int_equal(find_version(), 2);
        write_file("cgroup.controllers", "memory2 xmemory\n");
        assert_int_equal(find_version(), 0);
        /* v1, among others. */
        set_mounts("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup %s cgroup rw,relatime,memory 0 0\n"
                   "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n");
        assert_int_equal(find_version(), 1);
        set_mounts("cgroup %s cgroup rw,memoryless 0 0\n");
        assert_int_equal(find_version(), 0);
        /* Of several the one that begins at the root, whose inode number is 1 as that of /proc is, wherever it stands.
         */
        find_whole("cgroup %s cgroup rw,memory 0 0\ncgroup /proc cgroup rw,memory 0 0\ncgroup /sys cgroup rw,memory 0 "
                   "0\n");
        find_whole("cgroup /proc cgroup rw,memory 0 0\ncgroup %s cgroup rw,memory 0 0\n");
        find_whole("cgroup /no/such/place cgroup rw,memory 0 0\ncgroup %s cgroup rw,memory 0 0\ncgroup /proc cgroup "
                   "rw,memory 0 0\n");
        /* Other file systems may have such an option. */
        set_mounts("memory %s tmpfs rw,memory 0 0\n");
        assert_int_equal(find_version(), 0);
        /* The first that has it. */
        set_mounts("cgroup %s cgroup rw,memory 0 0\ncgroup /other cgroup rw,memory 0 0\n");
        assert_int_equal(find_version(), 1);
}

static void assert_own_path(int version, const char *text, const char *path)
{
        struct cgroupfs fs = { .mount_fd = -1, .version = version };
        char *own = NULL;

        strcpy(own_cgroup, text);
        if (!path) {
                assert_int_equal(cgroupfs_own_path(&fs, &own), -ENOENT);
                return;
        }
        assert_int_equal(cgroupfs_own_path(&fs, &own), 0);
        assert_string_equal(own, path);
        free(own);
}

static void test_own_path(void **state)
{
        static const char hybrid[] = "12:cpu,cpuacct:/c\n7:hugetlb,memory:/m/n\n1:name=systemd:/s\n0::/u/v\n";

        (void) state;
        assert_own_path(1, hybrid, "/m/n");
        assert_own_path(2, hybrid, "/u/v");
        assert_own_path(2, "0::/\n", "/");
        assert_own_path(2, "0::/with:colons::\n", "/with:colons::");
        assert_own_path(1, "0::/u\n", NULL);
        assert_own_path(2, "1:memory:/m\n", NULL);
        assert_own_path(1, "nonsense\n3:memory:/m\n", "/m");
        assert_own_path(1, "", NULL);
}

static void test_may_freeze(void **state)
{
        struct cgroupfs fs = {
                .mount_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .mount = directory, .version = 2
        };
        char path[128];

        (void) state;
        assert_true(fs.mount_fd >= 0);
        /* The root, and what is outside of the namespace, have no such file. */
        strcpy(own_cgroup, "0::/\n");
        assert_int_equal(cgroupfs_may_freeze(&fs), 0);
        strcpy(own_cgroup, "0::/../a\n");
        assert_int_equal(cgroupfs_may_freeze(&fs), 0);
        strcpy(own_cgroup, "0::/a\n");
        assert_int_equal(cgroupfs_may_freeze(&fs), -ENOENT);
        snprintf(path, sizeof(path), "%s/a", directory);
        assert_int_equal(mkdir(path, 0755), 0);
        write_file("a/cgroup.freeze", "0\n");
        assert_int_equal(cgroupfs_may_freeze(&fs), 0);
        mount_flags = ST_RDONLY;
        assert_int_equal(cgroupfs_may_freeze(&fs), -EROFS);
        mount_flags = ST_NOSUID;
        assert_int_equal(cgroupfs_may_freeze(&fs), 0);
        fs.version = 1;
        assert_int_equal(cgroupfs_may_freeze(&fs), -EOPNOTSUPP);
        fs.version = 2;
        strcpy(own_cgroup, "");
        assert_int_equal(cgroupfs_may_freeze(&fs), -ENOENT);
        close(fs.mount_fd);
        fs.mount_fd = -1;
        assert_int_equal(cgroupfs_may_freeze(&fs), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* That there is no descriptor for it does not say that the hierarchy is without the controller. */
static void test_no_descriptor(void **state)
{
        struct cgroupfs fs;

        (void) state;
        write_file("cgroup.controllers", "cpu memory\n");
        set_mounts("cgroup2 %s cgroup2 rw 0 0\n");
        open_error = EMFILE;
        assert_int_equal(cgroupfs_init(&fs), -EMFILE);
        cgroupfs_deinit(&fs);
        open_error = ENOENT;
        assert_int_equal(cgroupfs_init(&fs), -ENOENT);
        cgroupfs_deinit(&fs);
        open_error = 0;
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_version),
                TEST(test_no_descriptor),
                TEST(test_own_path),
                TEST(test_may_freeze),
        };

        return cmocka_run_group_tests_name("cgroupfs", tests, NULL, NULL);
}
