/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who holds, pins and uses objects. Needs root and a memory controller. */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"

/* The entry of @pid in the holders of @object; it must be there once. */
static json_t *find_holder(json_t *object, pid_t pid)
{
        json_t *holder, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(object, "holders"), i, holder)
        {
                if (number(holder, NULL, "pid") != pid)
                        continue;
                assert_null(found);
                found = holder;
        }
        assert_non_null(found);
        return found;
}

static void test_holders(void **state)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_held", 4, 4, 1, NULL);
        struct test_cgroup cgroups[2];
        struct worker workers[2];
        json_t *report, *object;
        uint32_t id = id_of(fd);

        (void) state;
        cgroup_make(&cgroups[0], NULL, "holder-a");
        cgroup_make(&cgroups[1], NULL, "holder-b");
        worker_start(&workers[0], &cgroups[0], hold_map, &id);
        worker_start(&workers[1], &cgroups[1], hold_map, &id);
        close(fd);
        report = snapshot_with("--holders");
        object = find_object(report, "map", id);
        assert_non_null(object);
        for (size_t i = 0; i < 2; i++) {
                json_t *holder = find_holder(object, workers[i].pid);

                assert_string_equal(json_string_value(json_object_get(holder, "cgroup")), cgroups[i].path);
                assert_true(json_is_string(json_object_get(holder, "exe")));
                assert_true(strlen(json_string_value(json_object_get(holder, "comm"))) > 0);
        }
        assert_null(json_object_get(object, "pins"));
        json_decref(report);
        worker_end(&workers[0]);
        worker_end(&workers[1]);
        cgroup_remove(&cgroups[0]);
        cgroup_remove(&cgroups[1]);
}

/* A program and a map look different among open files; who ends holds nothing. */
static void test_holders_of_programs(void **state)
{
        static const struct bpf_insn code[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_held", "GPL", code, 2, NULL);
        json_t *report;

        (void) state;
        assert_true(fd >= 0);
        report = snapshot_with("--holders");
        find_holder(find_object(report, "program", id_of(fd)), getpid());
        json_decref(report);
        close(fd);
}

/* In a bpffs of its own: not every machine has one mounted. */
static void test_pins(void **state)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_pinned", 4, 4, 1, NULL), mounted, pinned = -1;
        char directory[] = "/tmp/bpfbudget-test-XXXXXX", path[80];
        uint32_t id = id_of(fd);
        json_t *report, *pins;

        (void) state;
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/map", directory);
        mounted = mount("bpf", directory, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        if (mounted == 0)
                pinned = bpf_obj_pin(fd, path);
        close(fd);
        report = pinned == 0 ? snapshot_with("--pins") : NULL;
        if (mounted == 0)
                umount(directory);
        rmdir(directory);
        assert_int_equal(mounted, 0);
        assert_int_equal(pinned, 0);
        assert_non_null(report);
        pins = json_object_get(find_object(report, "map", id), "pins");
        assert_int_equal(json_array_size(pins), 1);
        assert_string_equal(json_string_value(json_array_get(pins, 0)), path);
        json_decref(report);
}

/* A map that is pinned where only another mount namespace sees it: nobody denies that it is. */
static void test_pin_of_other_namespace(void **state)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_elsewhere", 4, 4, 1, NULL), pinned[2], end[2], status;
        uint32_t id = id_of(fd);
        json_t *report;
        char byte;
        pid_t pid;

        (void) state;
        assert_int_equal(pipe2(pinned, O_CLOEXEC) | pipe2(end, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(end[1]);
                if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                mount("bpf", "/tmp", "bpf", 0, NULL) < 0 || bpf_obj_pin(fd, "/tmp/map") < 0)
                        _exit(1);
                close(fd);
                _exit(write(pinned[1], "", 1) != 1 || read(end[0], &byte, 1) != 0);
        }
        close(fd);
        close(pinned[1]);
        close(end[0]);
        assert_int_equal(read(pinned[0], &byte, 1), 1);
        report = snapshot_with("--pins");
        close(end[1]);
        close(pinned[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_non_null(report);
        assert_true(json_is_null(json_object_get(find_object(report, "map", id), "pins")));
        json_decref(report);
}

/* A pinned link keeps its program, and that its maps, though neither is pinned itself. */
static void test_pinned_link(void **state)
{
        int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_linked", 4, 4, 1, NULL), mounted, pinned = -1, program, link;
        const struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        char directory[] = "/tmp/bpfbudget-test-XXXXXX", path[80], expected[96];
        uint32_t map_id = id_of(map), program_id;
        json_t *report;

        (void) state;
        program = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "bb_linked", "GPL", code, 4, NULL);
        assert_true(program >= 0);
        program_id = id_of(program);
        link = bpf_raw_tracepoint_open("task_rename", program);
        assert_true(link >= 0);
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/x", directory);
        snprintf(expected, sizeof(expected), "%s (link)", path);
        mounted = mount("bpf", directory, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        if (mounted == 0)
                pinned = bpf_obj_pin(link, path);
        close(link);
        close(program);
        close(map);
        report = pinned == 0 ? snapshot_with("--pins") : NULL;
        if (mounted == 0)
                umount(directory);
        rmdir(directory);
        assert_int_equal(pinned, 0);
        assert_non_null(report);
        for (int i = 0; i < 2; i++) {
                json_t *pins = json_object_get(
                                find_object(report, i ? "map" : "program", i ? map_id : program_id), "pins");

                assert_int_equal(json_array_size(pins), 1);
                assert_string_equal(json_string_value(json_array_get(pins, 0)), expected);
        }
        json_decref(report);
}

static void assert_ids(json_t *object, const char *key, const uint32_t *ids, size_t n)
{
        json_t *array = json_object_get(object, key);

        assert_int_equal(json_array_size(array), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(json_integer_value(json_array_get(array, i)), ids[i]);
}

static void test_uses(void **state)
{
        int maps[2] = { bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_used", 4, 4, 1, NULL),
                bpf_map_create(BPF_MAP_TYPE_HASH, "bb_used", 4, 4, 1, NULL) };
        const struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = maps[0] },
                {},
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = maps[1] },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_uses", "GPL", code, 6, NULL);
        uint32_t map_ids[2], program;
        json_t *report;

        (void) state;
        assert_true(fd >= 0);
        program = id_of(fd);
        for (size_t i = 0; i < 2; i++)
                map_ids[i] = id_of(maps[i]);
        report = snapshot_with("--uses");
        assert_ids(find_object(report, "program", program), "maps", map_ids, 2);
        for (size_t i = 0; i < 2; i++)
                assert_ids(find_object(report, "map", map_ids[i]), "usedBy", &program, 1);
        json_decref(report);
        close(fd);
        close(maps[0]);
        close(maps[1]);
}

static void test_relations_need_once(void **state)
{
        _cleanup_free_ char *errors = NULL;
        int status;

        (void) state;
        errors = daemon_errors(&status, "--capabilities", "--holders", NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(errors, "--holders, --pins and --uses require --once"));
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_holders),
                TEST(test_holders_of_programs),
                TEST(test_pins),
                TEST(test_pin_of_other_namespace),
                TEST(test_pinned_link),
                TEST(test_uses),
                TEST(test_relations_need_once),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("relations", tests, NULL, NULL);
}
