/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects that are odd, refused, or gone while they are read. Needs root and a memory controller. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

/* The map @id in @report, which must be there once. */
static json_t *find_once(json_t *report, uint32_t id)
{
        json_t *object, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (number(object, NULL, "id") != id ||
                                strcmp(json_string_value(json_object_get(object, "kind")), "map") != 0)
                        continue;
                assert_null(found);
                found = object;
        }
        if (!found)
                fail_msg("map %u is missing", id);
        return found;
}

static int make_odd(enum bpf_map_type type, uint32_t value_size, uint32_t max_entries, uint32_t inner)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner);

        return bpf_map_create(type, "bb_odd", 4, value_size, max_entries, &opts);
}

/* Frozen, the smallest, large values, and inner maps that only their outer map holds. */
static void test_odd_maps(void **state)
{
        uint32_t zero = 0, ids[7], inner_ids[2];
        int fds[7], inner[2];
        json_t *report;

        (void) state;
        for (size_t i = 0; i < 2; i++)
                inner[i] = make_odd(BPF_MAP_TYPE_ARRAY, 4096, 16, 0);
        fds[0] = make_odd(BPF_MAP_TYPE_ARRAY, 100, 100, 0);
        fds[1] = make_odd(BPF_MAP_TYPE_HASH, 65536, 8, 0);
        fds[2] = make_odd(BPF_MAP_TYPE_ARRAY, 65536, 8, 0);
        fds[3] = make_odd(BPF_MAP_TYPE_HASH, 4, 1, 0);
        fds[4] = make_odd(BPF_MAP_TYPE_LRU_HASH, 4, 1, 0);
        fds[5] = make_odd(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 1, inner[0]);
        fds[6] = make_odd(BPF_MAP_TYPE_HASH_OF_MAPS, 4, 1, inner[1]);
        for (size_t i = 0; i < 7; i++) {
                assert_true(fds[i] >= 0);
                ids[i] = id_of(fds[i]);
        }
        assert_int_equal(bpf_map_freeze(fds[0]), 0);
        for (size_t i = 0; i < 2; i++) {
                inner_ids[i] = id_of(inner[i]);
                assert_int_equal(bpf_map_update_elem(fds[5 + i], &zero, &inner[i], 0), 0);
                close(inner[i]);
        }
        report = snapshot();
        for (size_t i = 0; i < 7; i++)
                assert_true(number(find_once(report, ids[i]), NULL, "allocated") > 0);
        for (size_t i = 0; i < 2; i++)
                assert_in_range(number(find_once(report, inner_ids[i]), NULL, "allocated"), 65536, 65536 + 8192);
        for (size_t i = 1; i < 3; i++)
                assert_in_range(number(find_once(report, ids[i]), NULL, "allocated"), 8 * 65536, 11 * 65536);
        for (size_t i = 3; i < 5; i++)
                assert_in_range(number(find_once(report, ids[i]), NULL, "allocated"), 256, 65536);
        json_decref(report);
        for (size_t i = 0; i < 7; i++)
                close(fds[i]);
}

/*
 * What the kernel refuses leaves nothing behind that would be counted. Only types that it refuses by arithmetic, or as
 * more than there is of memory and of addresses: a per-CPU array of 2^31 begins to be made, and takes all memory.
 */
static void test_refused_maps(void **state)
{
        static const enum bpf_map_type types[] = { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH };
        json_t *report, *object;
        size_t i;

        (void) state;
        for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                assert_true(bpf_map_create(types[i], "bb_refused", 4, 65536, 1U << 31, NULL) < 0);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                assert_string_not_equal(json_string_value(json_object_get(object, "name")), "bb_refused");
        }
        json_decref(report);
}

/* Makes and drops maps as fast as it can. */
static void churn(void *argument)
{
        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                int fds[50];

                for (size_t i = 0; i < 50; i++)
                        fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_churn", 4, 64, 1, NULL);
                for (size_t i = 0; i < 50; i++)
                        close(fds[i]);
        }
}

/* While maps come and go, those that stay are seen by every pass, and once. */
static void test_maps_that_vanish(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        uint32_t ids[300];
        int fds[300];

        (void) state;
        cgroup_make(&cgroup, NULL, "churn");
        worker_start(&worker, &cgroup, churn, NULL);
        for (size_t i = 0; i < 300; i++) {
                fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_stays", 4, 64, 1, NULL);
                ids[i] = id_of(fds[i]);
        }
        for (size_t n = 0; n < 3; n++) {
                json_t *report = snapshot();

                for (size_t i = 0; i < 300; i++)
                        find_once(report, ids[i]);
                json_decref(report);
        }
        for (size_t i = 0; i < 300; i++)
                close(fds[i]);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

/* include/uapi/linux/bpf.h since 6.9, which the headers here may not have. */
#define BPF_TOKEN_CREATE_COMMAND 36

#define BPF_F_TOKEN_FD_FLAG (1U << 16)

struct token_attributes {
        uint32_t flags, bpffs_fd;
};

struct map_attributes {
        uint32_t type, key_size, value_size, max_entries, flags, inner_fd, numa_node;
        char name[16];
        uint32_t ifindex, btf_fd, btf_key, btf_value, vmlinux_value;
        uint64_t extra;
        int32_t value_btf_fd, token_fd;
};

/* What both sides of test_token() share beside their file descriptors. */
struct token_exchange {
        int filesystem; /* made by the user namespace */
        int mount;      /* its mount, made by the host */
        int map;
        const char *failed; /* what, with errno */
        int error;
};

/* Without privileges outside its user namespace: makes a map by a token of a bpffs that the host has delegated to it.
 */
static void make_by_token(struct token_exchange *exchange, int turn)
{
        struct token_attributes token = {};
        struct map_attributes map = { .type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4096,
                .max_entries = 16,
                .flags = BPF_F_TOKEN_FD_FLAG,
                .name = "bb_token" };
        uint64_t go = 0;

        exchange->failed = "unshare";
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return;
        exchange->failed = "fsopen";
        exchange->filesystem = syscall(SYS_fsopen, "bpf", 0);
        if (exchange->filesystem < 0 || kill(getpid(), SIGSTOP) < 0 || read(turn, &go, sizeof(go)) != sizeof(go))
                return;
        exchange->failed = "opening the mount";
        token.bpffs_fd = openat(exchange->mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if ((int) token.bpffs_fd < 0)
                return;
        exchange->failed = "the token";
        map.token_fd = syscall(SYS_bpf, BPF_TOKEN_CREATE_COMMAND, &token, sizeof(token));
        if (map.token_fd < 0)
                return;
        exchange->failed = "the map";
        exchange->map = syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map));
        if (exchange->map >= 0)
                exchange->failed = NULL;
}

/* The host's part: FSCONFIG_SET_STRING and FSCONFIG_CMD_CREATE of linux/mount.h, which clashes with sys/mount.h. */
static int delegate(int filesystem)
{
        static const char *const options[] = { "delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs" };

        for (size_t i = 0; i < 4; i++)
                if (syscall(SYS_fsconfig, filesystem, 1, options[i], "any", 0) < 0)
                        return -errno;
        if (syscall(SYS_fsconfig, filesystem, 6, NULL, NULL, 0) < 0)
                return -errno;
        return syscall(SYS_fsmount, filesystem, 1, 0);
}

static void test_token(void **state)
{
        struct token_exchange *exchange = mmap(
                        NULL, sizeof(*exchange), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int turn = eventfd(0, EFD_CLOEXEC), status;
        uint64_t go = 1;
        json_t *report;
        pid_t pid;

        (void) state;
        assert_ptr_not_equal(exchange, MAP_FAILED);
        /* A process of its own, but with these file descriptors. */
        pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        assert_true(pid >= 0);
        if (pid == 0) {
                make_by_token(exchange, turn);
                exchange->error = errno;
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (!WIFSTOPPED(status))
                fail_msg("%s: %s", exchange->failed, strerror(exchange->error));
        exchange->mount = delegate(exchange->filesystem);
        assert_true(exchange->mount >= 0);
        assert_int_equal(write(turn, &go, sizeof(go)), sizeof(go));
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (exchange->failed)
                fail_msg("%s: %s", exchange->failed, strerror(exchange->error));
        report = snapshot();
        assert_in_range(number(find_once(report, id_of(exchange->map)), NULL, "allocated"), 65536, 65536 + 8192);
        json_decref(report);
        close(exchange->map);
        close(exchange->mount);
        close(exchange->filesystem);
        close(turn);
        munmap(exchange, sizeof(*exchange));
}

/* BPF tokens are there since 6.9. */
static bool kernel_has_tokens(void)
{
        unsigned int major = 0, minor = 0;
        struct utsname name;

        return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
               (major > 6 || (major == 6 && minor >= 9));
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[4] = {};
        size_t n = 0;
        int r = harness_main();

        if (r != 0)
                return r;
        tests[n++] = TEST(test_odd_maps);
        tests[n++] = TEST(test_refused_maps);
        tests[n++] = TEST(test_maps_that_vanish);
        if (kernel_has_tokens())
                tests[n++] = TEST(test_token);
        return _cmocka_run_group_tests("objects", tests, n, NULL, NULL);
}
