/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate on a real kernel: which objects it refuses, and that it lets nothing past Max under a race.
 */
#include "gate-scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"

/* Of three maps of 400 KiB two fit into 1 MiB; what fits beside them is let in. The journal's entry says what and why.
 */
static void test_map(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;

        (void) state;
        scene_begin(&scene, "Max=1M");
        worker_start(&worker, &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->admitted, 3);
        assert_int_equal(shared->other_errors, 0);
        log = live_wait_log(&scene.daemon, "was refused the creation of map bb_gate (array, 4");
        assert_non_null(strstr(log, "Max of budget test is 1.0M, "));
        assert_non_null(strstr(log, scene.cgroup.path));
        assert_true(cgroup_allocated(&scene.cgroup) <= MIB);
        worker_end(&worker);
        scene_end(&scene);
}

static void make_two_turns(void *argument)
{
        int fd = make_array(800 * KIB);

        (void) argument;
        make_array(800 * KIB);
        close(fd);
        /* It is freed by a worker, after a grace period. */
        for (int i = 0; i < 500; i++) {
                fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_gate", 4, 800 * KIB, 1, NULL);
                if (fd >= 0)
                        break;
                sleep_msec(10);
        }
        note(fd);
}

/* What is freed can be used again. */
static void test_freed(void **state)
{
        struct scene scene;
        struct worker worker;

        (void) state;
        scene_begin(&scene, "Max=1M");
        worker_start(&worker, &scene.cgroup, make_two_turns, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->admitted, 2);
        worker_end(&worker);
        scene_end(&scene);
}

/* Two children without limits of their own share the parent's; one has a lower one. */
static void test_hierarchy(void **state)
{
        struct test_cgroup parent, children[3];
        struct worker workers[3];
        struct live_daemon daemon;
        char config[64];

        (void) state;
        cgroup_make(&parent, NULL, "gate-parent");
        for (int i = 0; i < 3; i++) {
                char name[8];

                snprintf(name, sizeof(name), "c%d", i);
                cgroup_make(&children[i], &parent, name);
        }
        config_make(config);
        write_refusing(config, "parent.budget", &parent, "Max=1M");
        write_refusing(config, "child.budget", &children[0], "Max=100K");
        live_start_with(&daemon, NULL, config);
        worker_start(&workers[0], &children[0], make_one_of_400, NULL);
        assert_int_equal(shared->refused, 1);
        worker_start(&workers[1], &children[1], make_one_of_400, NULL);
        worker_start(&workers[2], &children[2], make_three, NULL);
        assert_int_equal(shared->refused, 3);
        assert_int_equal(shared->admitted, 3);
        assert_true(cgroup_allocated(&parent) <= MIB);
        for (int i = 0; i < 3; i++)
                worker_end(&workers[i]);
        assert_int_equal(live_end(&daemon), 0);
        for (int i = 0; i < 3; i++)
                cgroup_remove(&children[i]);
        cgroup_remove(&parent);
}

static void make_maps_and_programs(void *argument)
{
        (void) argument;
        for (int i = 0; i < 5; i++)
                make_array(4);
        /* libbpf has tried what the kernel can do with a program or two, which are freed after a grace period. */
        sleep_msec(1000);
        for (int i = 0; i < 5; i++)
                load_program();
}

static void test_counts(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;

        (void) state;
        scene_begin(&scene, "MapsMax=3\nProgramsMax=2");
        worker_start(&worker, &scene.cgroup, make_maps_and_programs, NULL);
        assert_int_equal(shared->admitted, 5);
        assert_int_equal(shared->refused, 5);
        log = live_wait_log(&scene.daemon, "was refused the load of ");
        /* 6.1 does not yet know of the program what it is. */
        assert_true(strstr(log, "the load of program bb_gate (socket_filter, 1)") ||
                        strstr(log, "the load of a program (1)"));
        assert_non_null(strstr(log, "ProgramsMax of budget test is 2, 2 in use"));
        worker_end(&worker);
        scene_end(&scene);
}

static void load_many(void *argument)
{
        (void) argument;
        for (int i = 0; i < 200; i++)
                load_program();
}

/* Programs by their bytes: the estimate before the verifier is replaced by what they take, so many fit. */
static void test_program_bytes(void **state)
{
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        scene_begin(&scene, "Max=400K");
        worker_start(&worker, &scene.cgroup, load_many, NULL);
        assert_int_equal(shared->other_errors, 0);
        assert_true(shared->refused > 0);
        bytes = cgroup_allocated(&scene.cgroup);
        assert_in_range(bytes, 200 * KIB, 400 * KIB);
        worker_end(&worker);
        scene_end(&scene);
}

static bool has_bpf_lsm(void)
{
        _cleanup_fclose_ FILE *file = fopen("/sys/kernel/security/lsm", "re");
        char list[256] = "";

        return file && fgets(list, sizeof(list), file) && strstr(list, "bpf");
}

/*
 * Has the kernel refuse with EPERM, beside the gate, what the process @pid is doing at the hook @name of the LSMs, or
 * the function that calls it; @old_name is what it had until 6.8. Returns a link.
 */
static int refuse_beside(pid_t pid, const char *name, const char *old_name)
{
        const struct bpf_insn program[] = {
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid },
                { .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .off = 1, .imm = pid },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -EPERM },
                { .code = BPF_JMP | BPF_EXIT },
        };
        bool lsm = strncmp(name, "security_", strlen("security_")) != 0;
        enum bpf_attach_type attach = lsm ? BPF_LSM_MAC : BPF_MODIFY_RETURN;
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
        int id = libbpf_find_vmlinux_btf_id(name, attach), fd, link;

        if (id < 0)
                id = libbpf_find_vmlinux_btf_id(old_name, attach);
        assert_true(id > 0);
        opts.attach_btf_id = id;
        fd = bpf_prog_load(lsm ? BPF_PROG_TYPE_LSM : BPF_PROG_TYPE_TRACING, "bb_refuses", "GPL", program,
                        sizeof(program) / sizeof(program[0]), &opts);
        assert_true(fd >= 0);
        link = bpf_link_create(fd, 0, attach, NULL);
        assert_true(link >= 0);
        close(fd);
        return link;
}

static void make_hundred(void *argument)
{
        (void) argument;
        for (int i = 0; i < 50; i++) {
                make_array((1 + i) * 10 * KIB);
                load_program();
        }
}

/* What the gate lets in and somebody else refuses is not booked. */
static void test_refused_by_another(void **state)
{
        struct worker workers[2];
        struct scene scene;
        int map, program;

        (void) state;
        cgroup_make(&scene.cgroup, NULL, "gate");
        worker_enter(&workers[0], &scene.cgroup, make_hundred, NULL);
        /* Before the gate: the kernel asks the newest program first. */
        if (has_bpf_lsm()) {
                map = refuse_beside(workers[0].pid, "bpf_map_create", "bpf_map_alloc_security");
                program = refuse_beside(workers[0].pid, "bpf_prog_load", "bpf_prog_alloc_security");
        } else {
                map = refuse_beside(workers[0].pid, "security_bpf_map_create", "security_bpf_map_alloc");
                program = refuse_beside(workers[0].pid, "security_bpf_prog_load", "security_bpf_prog_alloc");
        }
        config_make(scene.config);
        write_refusing(scene.config, "test.budget", &scene.cgroup, "Max=1M\nProgramsMax=10");
        live_start_with(&scene.daemon, NULL, scene.config);
        worker_go(&workers[0]);
        worker_wait(&workers[0]);
        assert_int_equal(shared->other_errors, 100);
        assert_int_equal(shared->last_error, EPERM);
        wait_booked(&scene.cgroup, 0, 0);
        close(map);
        close(program);
        worker_start(&workers[1], &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->admitted, 3);
        assert_int_equal(shared->refused, 1);
        for (int i = 0; i < 2; i++)
                worker_end(&workers[i]);
        scene_end(&scene);
}

/* --- Race --------------------------------------------------------------------------------------------------------- */

#define RACERS 64

static void race(void *argument)
{
        unsigned int seed = *(unsigned int *) argument;

        /* An end also where nothing refuses. */
        for (int refused = 0, made = 0; refused < 20 && made < 200; made++) {
                int before = shared->refused;

                make_array(1 + rand_r(&seed) % (64 * KIB));
                refused += shared->refused != before;
        }
}

/* 64 at once, random sizes: never past Max by a byte, also on a preemptible kernel, and 98 % of it can be used. */
static void test_race(void **state)
{
        struct worker workers[RACERS];
        unsigned int seeds[RACERS];
        struct scene scene;
        int64_t bytes;

        (void) state;
        scene_begin(&scene, "Max=64M");
        for (unsigned int i = 0; i < RACERS; i++) {
                seeds[i] = i;
                worker_enter(&workers[i], &scene.cgroup, race, &seeds[i]);
        }
        for (int i = 0; i < RACERS; i++)
                worker_go(&workers[i]);
        for (int i = 0; i < RACERS; i++)
                worker_wait(&workers[i]);
        bytes = cgroup_allocated(&scene.cgroup);
        print_message("# 64 racing creators: %d admitted, %d refused, %lld of %d bytes (%.2f %%)\n", shared->admitted,
                        shared->refused, (long long) bytes, 64 * MIB, 100.0 * bytes / (64 * MIB));
        assert_int_equal(shared->other_errors, 0);
        assert_true(bytes >= 64LL * MIB * 98 / 100);
        assert_true(bytes <= 64LL * MIB);
        for (int i = 0; i < RACERS; i++)
                worker_end(&workers[i]);
        scene_end(&scene);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                GATE_TEST(test_map),
                GATE_TEST(test_freed),
                GATE_TEST(test_hierarchy),
                GATE_TEST(test_counts),
                GATE_TEST(test_program_bytes),
                GATE_TEST(test_refused_by_another),
                GATE_TEST(test_race),
        };

        return gate_main("gate", tests, sizeof(tests) / sizeof(tests[0]));
}
