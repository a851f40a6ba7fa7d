/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids and paths of real cgroups, as daemon/kernel/cgroupfs.c finds them. Needs root and the memory controller. */
#include "harness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/cgroupfs.h"

static struct cgroupfs fs;

/* The path of @id, or NULL with errno; its parent must be @parent_id, and its name the end of the path. */
static char *lookup(uint64_t id, uint64_t parent_id)
{
        _cleanup_free_ char *name = NULL;
        uint64_t its_parent = 0;
        char *path = NULL;
        int r = cgroupfs_lookup(&fs, id, &name, &its_parent);

        assert_int_equal(cgroupfs_exists(&fs, id), r);
        if (r < 0) {
                assert_null(name);
                assert_int_equal(cgroupfs_path(&fs, id, &path), r);
                errno = -r;
                return NULL;
        }
        assert_int_equal(its_parent, parent_id);
        assert_int_equal(cgroupfs_path(&fs, id, &path), 0);
        assert_string_equal(strrchr(path, '/') + 1, name);
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
        fd = cgroupfs_open(&fs, leaf.id);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
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

/* --- Any name, any depth ------------------------------------------------------------------------------------------ */

/* Each is found with its parent and its name, by its path, and not any more as soon as it is removed. */
static void check_chain(const char *name, size_t depth)
{
        static struct test_chain chain;
        uint64_t id;
        char *path;

        chain_make(&chain, name, depth);
        for (size_t i = 0; i < depth; i++) {
                _cleanup_free_ char *its_name = NULL;
                uint64_t parent_id;

                assert_int_equal(cgroupfs_lookup(&fs, chain.ids[i], &its_name, &parent_id), 0);
                assert_string_equal(its_name, name);
                assert_int_equal(parent_id, i > 0 ? chain.ids[i - 1] : chain.top.id);
        }
        assert_int_equal(cgroupfs_path(&fs, chain.ids[depth - 1], &path), 0);
        assert_string_equal(path, chain.path);
        free(path);
        assert_int_equal(cgroupfs_id(&fs, chain.path, &id), 0);
        assert_int_equal(id, chain.ids[depth - 1]);
        chain_shorten(&chain);
        assert_int_equal(cgroupfs_id(&fs, chain.path, &id), -ENOENT);
        assert_int_equal(cgroupfs_exists(&fs, chain.ids[depth - 1]), -ESTALE);
        chain_remove(&chain);
}

static void test_any_name(void **state)
{
        static const char *const names[] = { "x (deleted)", " (deleted)", "..deleted", "...", "deleted", "\\x2f", " ",
                "\xff\xfe\x01", "(unreachable)" };
        char longest[256];

        (void) state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                check_chain(names[i], 3);
        memset(longest, 'x', 255);
        longest[255] = '\0';
        check_chain(longest, 2);
        memcpy(longest + 245, " (deleted)", 10);
        check_chain(longest, 20);
}

static void test_any_depth(void **state)
{
        (void) state;
        check_chain("d", 2048);
        check_chain("a name that makes a path of over 4,095 bytes", 600);
}

/* Entries of directories that were read: cgroupfs.c calls this one. */
static size_t entries_read;

struct dirent *readdir(DIR *directory)
{
        static struct dirent *(*next)(DIR *);

        if (!next)
                *(void **) &next = dlsym(RTLD_NEXT, "readdir");
        entries_read++;
        return next(directory);
}

/* Two directories so deep that names are read from them, with many in each: both are read a few times, not each time.
 */
static void test_many_in_the_deep(void **state)
{
        enum { COUNT = 1000 };
        static struct test_chain chain;
        static uint64_t ids[2][COUNT];
        char longest[256], name[16];
        bool good = true, few;
        int fds[2];

        (void) state;
        memset(longest, 'x', 255);
        longest[255] = '\0';
        chain_make(&chain, longest, 17);
        for (int k = 0; k < 2; k++) {
                fds[k] = cgroupfs_open(&fs, chain.ids[15 + k]);
                assert_true(fds[k] >= 0);
                for (int i = 0; i < COUNT; i++) {
                        _cleanup_close_ int fd = -1;

                        sprintf(name, "%d", i);
                        assert_int_equal(mkdirat(fds[k], name, 0755), 0);
                        fd = openat(fds[k], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                        assert_int_equal(cgroupfs_id_of(fd, &ids[k][i]), 0);
                }
        }
        entries_read = 0;
        for (int i = 0; i < COUNT; i++)
                for (int k = 0; k < 2; k++) {
                        _cleanup_free_ char *found = NULL;
                        uint64_t parent;

                        good &= cgroupfs_lookup(&fs, ids[k][i], &found, &parent) == 0;
                        sprintf(name, "%d", i);
                        good &= found && strcmp(found, name) == 0 && parent == chain.ids[15 + k];
                }
        print_message("# %d names: %zu entries of directories were read\n", 2 * COUNT, entries_read);
        few = entries_read < 20 * COUNT;
        for (int k = 0; k < 2; k++) {
                for (int i = 0; i < COUNT; i++) {
                        sprintf(name, "%d", i);
                        assert_int_equal(unlinkat(fds[k], name, AT_REMOVEDIR), 0);
                        good &= cgroupfs_exists(&fs, ids[k][i]) == -ESTALE;
                }
                close(fds[k]);
        }
        chain_remove(&chain);
        assert_true(good);
        /* Each name read anew would be COUNT entries. */
        assert_true(few);
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

/* How deep it is, and how many descriptors a process may have, is nothing to a walk; nor is a name. */
static int visit_chain(void *context, uint64_t id, const char *path)
{
        struct test_chain *chain = context;
        size_t length = strlen(path), top = strlen(chain->top.path);

        if (strncmp(path, chain->path, length) != 0 || length <= top)
                return 0;
        assert_int_equal(id, chain->ids[(length - top) / (strlen(chain->name) + 1) - 1]);
        chain->depth++;
        return 0;
}

static void test_walk_deep(void **state)
{
        struct rlimit limit, few;
        static struct test_chain chain;
        int fd = dup(fs.mount_fd);

        (void) state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        few = limit;
        few.rlim_cur = fd + 8;
        close(fd);
        chain_make(&chain, "d (deleted)", 2048);
        chain.depth = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(cgroupfs_walk(&fs, visit_chain, &chain), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(chain.depth, 2048);
        chain_remove(&chain);
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

/* The same in a cgroup namespace, as in a container that has the host's mount. */
static void find_own_in_namespace(void *argument)
{
        struct own *own = argument;

        if (unshare(CLONE_NEWCGROUP) < 0)
                own->r = -errno;
        else
                find_own(own);
}

static void test_own_namespace(void **state)
{
        struct own *own = mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct test_cgroup cgroup, leaf;
        struct worker worker;

        (void) state;
        assert_ptr_not_equal(own, MAP_FAILED);
        cgroup_make(&cgroup, NULL, "own");
        cgroup_make(&leaf, &cgroup, "leaf");
        worker_start(&worker, &leaf, find_own_in_namespace, own);
        assert_int_equal(own->r, 0);
        assert_string_equal(own->path, "/");
        assert_int_equal(own->id, leaf.id);
        assert_true(own->alone);
        worker_end(&worker);
        cgroup_remove(&leaf);
        cgroup_remove(&cgroup);
        munmap(own, sizeof(*own));
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
/*
 * In a mount namespace of its own: @part, a directory of the hierarchy, is mounted before the whole one, or instead of
 * it. Returns 0, or the number of what is wrong.
 */
static int look_at_part(const struct test_cgroup *top, const struct test_cgroup *leaf, bool whole)
{
        static const char outside[] = "/tmp/bpfbudget-whole", inside[] = "/tmp/bpfbudget-part";
        _cleanup_free_ char *mount_point = strdup(fs.mount), *path = NULL, *top_path = NULL, *name = NULL;
        uint64_t parent_id = 0, none;
        struct cgroupfs own;
        int r;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return 77;
        if (mount("none", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir(inside, 0755) < 0 || mkdir(outside, 0755) < 0)
                return 2;
        if (mount(top->directory, inside, NULL, MS_BIND, NULL) < 0)
                return 3;
        if (whole && mount(mount_point, outside, NULL, MS_BIND, NULL) < 0)
                return 4;
        if (umount2(mount_point, MNT_DETACH) < 0)
                return 5;
        if (cgroupfs_init(&own) < 0 || own.part != !whole || strcmp(own.mount, whole ? outside : inside) != 0)
                return 6;
        if (cgroupfs_parent(&own, leaf->id, &parent_id) < 0 || parent_id != top->id)
                return 7;
        if (cgroupfs_path(&own, leaf->id, &path) < 0 ||
                        strcmp(path, whole ? leaf->path : leaf->path + strlen(top->path)) != 0)
                return 8;
        /* The root of the part is its "/"; what is above is there, and is not gone. */
        r = cgroupfs_path(&own, top->id, &top_path);
        if (r < 0 || strcmp(top_path, whole ? top->path : "/") != 0)
                return 9;
        r = cgroupfs_lookup(&own, fs.root_id, &name, &none);
        if (r != (whole ? 0 : -EXDEV))
                return 10;
        cgroupfs_deinit(&own);
        return 0;
}

static void test_part(void **state)
{
        struct test_cgroup top, leaf;

        (void) state;
        cgroup_make(&top, NULL, "part");
        cgroup_make(&leaf, &top, "leaf");
        for (int whole = 0; whole <= 1; whole++) {
                int status;
                pid_t pid;

                fflush(NULL);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0)
                        _exit(look_at_part(&top, &leaf, whole));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status));
                assert_int_equal(WEXITSTATUS(status), 0);
        }
        cgroup_remove(&leaf);
        cgroup_remove(&top);
}

static void test_no_mount(void **state)
{
        const struct cgroupfs none = { .mount_fd = -1 };
        struct visits visits = {};
        uint64_t id, parent;
        char *path = NULL;

        (void) state;
        assert_int_equal(cgroupfs_lookup(&none, 1, &path, &parent), -ENOENT);
        assert_int_equal(cgroupfs_path(&none, 1, &path), -ENOENT);
        assert_int_equal(cgroupfs_open(&none, 1), -ENOENT);
        assert_int_equal(cgroupfs_exists(&none, 1), -ENOENT);
        assert_int_equal(cgroupfs_id(&none, "/", &id), -ENOENT);
        assert_int_equal(cgroupfs_walk(&none, visit, &visits), -ENOENT);
        assert_int_equal(cgroupfs_may_freeze(&none), -ENOENT);
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
                TEST(test_any_name),
                TEST(test_any_depth),
                TEST(test_many_in_the_deep),
                TEST(test_walk),
                TEST(test_walk_deep),
                TEST(test_own),
                TEST(test_own_namespace),
                TEST(test_part),
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
