/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids and paths of real cgroups, as daemon/kernel/cgroupfs.c finds them. Needs root and the memory controller. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/cgroupfs.h"

static struct cgroupfs fs;

/* The path of @id, or NULL with errno; its parent must be @parent_id. */
static char *lookup(uint64_t id, uint64_t parent_id)
{
        uint64_t its_parent = 0;
        char *path = NULL;
        int r = cgroupfs_lookup(&fs, id, &path, &its_parent);

        if (r < 0) {
                assert_null(path);
                errno = -r;
                return NULL;
        }
        assert_int_equal(its_parent, parent_id);
        return path;
}

static void test_root(void **state)
{
        _cleanup_free_ char *path = lookup(fs.root_id, 0);
        struct stat st;
        uint64_t id;

        (void) state;
        assert_string_equal(path, "/");
        assert_int_equal(fstat(fs.mount_fd, &st), 0);
        assert_int_equal(fs.root_id, st.st_ino);
        assert_int_equal(cgroupfs_id(&fs, "/", &id), 0);
        assert_int_equal(id, fs.root_id);
        assert_int_equal(fcntl(fs.mount_fd, F_GETFD), FD_CLOEXEC);
        assert_true(fs.by_handle);
}

static void test_id_and_path(void **state)
{
        struct test_cgroup top, leaf;
        char *path, file[600];
        struct stat st;
        uint64_t id;
        int fd;

        (void) state;
        cgroup_make(&top, NULL, "ids");
        cgroup_make(&leaf, &top, "leaf");
        assert_int_equal(stat(leaf.directory, &st), 0);
        assert_int_equal(leaf.id, st.st_ino);
        path = lookup(leaf.id, top.id);
        assert_string_equal(path, leaf.path);
        free(path);
        path = lookup(top.id, fs.root_id);
        assert_string_equal(path, top.path);
        free(path);
        path = cgroupfs_file(&fs, leaf.path);
        assert_string_equal(path, leaf.directory);
        free(path);

        fd = open(leaf.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(cgroupfs_id_of(fd, &id), 0);
        assert_int_equal(id, leaf.id);
        close(fd);
        snprintf(file, sizeof(file), "%s/no-such", leaf.path);
        assert_int_equal(cgroupfs_id(&fs, file, &id), -ENOENT);
        cgroup_remove(&leaf);
        cgroup_remove(&top);
}

/* What is no cgroup has no id: not that of another file system, which may be the number of a cgroup. */
static void test_other_file_system(void **state)
{
        int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t id;

        (void) state;
        assert_true(fd >= 0);
        assert_true(cgroupfs_id_of(fd, &id) < 0);
        close(fd);
}

/* As soon as it is removed, whoever has it open. */
static void test_removed(void **state)
{
        struct test_cgroup cgroup;
        int fd;

        (void) state;
        cgroup_make(&cgroup, NULL, "removed");
        fd = open(cgroup.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        cgroup_remove(&cgroup);
        assert_null(lookup(cgroup.id, 0));
        assert_int_equal(errno, ESTALE);
        close(fd);
        assert_null(lookup(cgroup.id, 0));
        assert_int_equal(errno, ESTALE);
}

/*
 * The kernel appends " (deleted)" to the path of what is gone, and anybody may name a cgroup so: one that exists is not
 * taken for removed, and one that was removed not for the other.
 */
static void test_named_deleted(void **state)
{
        struct test_cgroup plain, named, inner;
        char *path;
        int fd;

        (void) state;
        cgroup_make(&plain, NULL, "x");
        cgroup_make(&named, NULL, "x (deleted)");
        cgroup_make(&inner, &named, "leaf");
        path = lookup(named.id, fs.root_id);
        assert_non_null(path);
        assert_string_equal(path, named.path);
        free(path);
        path = lookup(inner.id, named.id);
        assert_string_equal(path, inner.path);
        free(path);

        fd = open(plain.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        cgroup_remove(&plain);
        assert_null(lookup(plain.id, 0));
        assert_int_equal(errno, ESTALE);
        close(fd);

        fd = open(named.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        cgroup_remove(&inner);
        cgroup_remove(&named);
        assert_null(lookup(named.id, 0));
        assert_int_equal(errno, ESTALE);
        close(fd);
}

struct visits {
        const struct test_cgroup *cgroups;
        size_t count, seen[4], order, total;
        bool root;
        int stop; /* what the first visit returns */
};

static int visit(void *context, uint64_t id, const char *path)
{
        struct visits *visits = context;

        visits->total++;
        visits->order++;
        visits->root |= id == fs.root_id || strcmp(path, "/") == 0;
        for (size_t i = 0; i < visits->count; i++) {
                if (visits->cgroups[i].id != id)
                        continue;
                assert_string_equal(path, visits->cgroups[i].path);
                assert_int_equal(visits->seen[i], 0);
                visits->seen[i] = visits->order;
        }
        return visits->stop;
}

/* All of them, once, parents first; the first error ends it. */
static void test_walk(void **state)
{
        struct test_cgroup cgroups[4];
        struct visits visits = { cgroups, 4 }, stopped = { .stop = -EXDEV };

        (void) state;
        cgroup_make(&cgroups[0], NULL, "walk");
        cgroup_make(&cgroups[1], &cgroups[0], "a");
        cgroup_make(&cgroups[2], &cgroups[1], "b");
        cgroup_make(&cgroups[3], &cgroups[0], "c");
        assert_int_equal(cgroupfs_walk(&fs, visit, &visits), 0);
        for (size_t i = 0; i < 4; i++)
                assert_true(visits.seen[i] > 0);
        assert_true(visits.seen[0] < visits.seen[1] && visits.seen[1] < visits.seen[2]);
        assert_true(visits.seen[0] < visits.seen[3]);
        assert_false(visits.root);
        assert_int_equal(cgroupfs_walk(&fs, visit, &stopped), -EXDEV);
        assert_int_equal(stopped.total, 1);
        /* Twice is the same as once: the mount's own descriptor is not read to its end. */
        memset(visits.seen, 0, sizeof(visits.seen));
        assert_int_equal(cgroupfs_walk(&fs, visit, &visits), 0);
        for (size_t i = 0; i < 4; i++)
                assert_true(visits.seen[i] > 0);
        for (size_t i = 4; i > 0; i--)
                cgroup_remove(&cgroups[i - 1]);
}

struct own {
        int r;
        uint64_t id;
        bool alone;
        char path[256];
};

/* For a worker: writes what it finds of its own cgroup to the struct own that it shares with the test. */
static void find_own(void *argument)
{
        _cleanup_free_ char *path = NULL;
        struct own *own = argument;

        own->r = cgroupfs_own(&fs, &own->id, &own->alone);
        if (own->r == 0)
                own->r = cgroupfs_own_path(&fs, &path);
        if (own->r == 0)
                snprintf(own->path, sizeof(own->path), "%s", path);
}

static void test_own(void **state)
{
        struct own *own = mmap(NULL, 2 * sizeof(*own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct test_cgroup cgroup;
        struct worker alone, second;

        (void) state;
        assert_ptr_not_equal(own, MAP_FAILED);
        cgroup_make(&cgroup, NULL, "own");
        worker_start(&alone, &cgroup, find_own, &own[0]);
        worker_start(&second, &cgroup, find_own, &own[1]);
        assert_true(own[0].alone);
        assert_false(own[1].alone);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(own[i].r, 0);
                assert_int_equal(own[i].id, cgroup.id);
                assert_string_equal(own[i].path, cgroup.path);
        }
        worker_end(&second);
        worker_end(&alone);
        cgroup_remove(&cgroup);
        munmap(own, 2 * sizeof(*own));
}

/* Without a mount all of them say so; nothing is opened. */
static void test_no_mount(void **state)
{
        const struct cgroupfs none = { .mount_fd = -1 };
        struct visits visits = {};
        uint64_t id, parent;
        char *path = NULL;

        (void) state;
        assert_int_equal(cgroupfs_lookup(&none, 1, &path, &parent), -ENOENT);
        assert_int_equal(cgroupfs_id(&none, "/", &id), -ENOENT);
        assert_int_equal(cgroupfs_walk(&none, visit, &visits), -ENOENT);
        assert_int_equal(cgroupfs_may_freeze(&none), -ENOENT);
        assert_null(cgroupfs_file(&none, "/"));
        assert_int_equal(visits.total, 0);
}

static void test_deinit(void **state)
{
        struct cgroupfs other;
        int fd;

        (void) state;
        assert_int_equal(cgroupfs_init(&other), 0);
        fd = other.mount_fd;
        assert_string_equal(other.mount, fs.mount);
        assert_int_equal(other.version, fs.version);
        cgroupfs_deinit(&other);
        assert_int_equal(other.mount_fd, -1);
        assert_null(other.mount);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        cgroupfs_deinit(&other);
}

#define TEST(name) cmocka_unit_test_teardown(name, harness_teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_root),
                TEST(test_id_and_path),
                TEST(test_other_file_system),
                TEST(test_removed),
                TEST(test_named_deleted),
                TEST(test_walk),
                TEST(test_own),
                TEST(test_no_mount),
                TEST(test_deinit),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        if (cgroupfs_init(&fs) < 0)
                return 1;
        r = cmocka_run_group_tests_name("cgroupfs", tests, NULL, NULL);
        cgroupfs_deinit(&fs);
        return r;
}
