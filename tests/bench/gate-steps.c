/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: what the gate costs a call of bpf(2) below eight budgets, on this kernel, whether it has trampolines or
 * not: the call without the gate, and what the gate adds to it (gate-steps.bpf.c), in turns in one run.
 */
#include "tests/kernel/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/gaterecords.h"
#include "tests/bench/gate-steps.h"
#include "tests/bench/gate-steps.skel.h"
#include "tests/bench/median.h"

#define LEVELS 8
#define ROUNDS 9
#define CALLS  2000

static struct test_cgroup cgroups[LEVELS];
static struct gate_steps_bpf *skeleton;

static double now_nsec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void run(const struct bpf_program *program, void *context, size_t size)
{
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);
        int r = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

        if (r < 0)
                fail_msg("%s: %s", bpf_program__name(program), strerror(-r));
}

/* Nanoseconds that the gate takes for one call. */
static double steps(const struct bpf_program *program, int map)
{
        struct gate_steps steps = { .map_fd = map, .count = CALLS };

        run(program, &steps, sizeof(steps));
        assert_int_equal(steps.done, CALLS);
        return (double) steps.nsec / CALLS;
}

static double creations(void)
{
        double start = now_nsec();

        for (int i = 0; i < CALLS; i++)
                close(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_cost", 4, 4, 1, NULL));
        return (now_nsec() - start) / CALLS;
}

static double updates(int map, uint32_t keys)
{
        double start = now_nsec();

        for (uint32_t i = 0; i < CALLS; i++) {
                uint32_t key = i % keys;

                bpf_map_update_elem(map, &key, &i, BPF_ANY);
        }
        return (now_nsec() - start) / CALLS;
}

static void print(const char *name, double *without, double *gate)
{
        double call = median(without, ROUNDS), cost = median(gate, ROUNDS);

        printf("%-52s %7.0f ns without, the gate's part %6.0f ns, ratio %.3f\n", name, call, cost, 1 + cost / call);
}

/* In a process inside the lowest cgroup. */
static void measure(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_cost", 4, 4, 1, NULL);
        int preallocated = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_cost", 4, 4, 10000, NULL);
        int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_cost", 4, 4, 10000, &opts);
        struct gate_steps entered = { .map_fd = hash }, also = { .map_fd = preallocated };
        double values[3][2][ROUNDS];

        (void) argument;
        assert_true(array >= 0 && preallocated >= 0 && hash >= 0);
        run(skeleton->progs.enter_map, &entered, sizeof(entered));
        run(skeleton->progs.enter_map, &also, sizeof(also));
        assert_true(entered.done && also.done);
        for (int round = 0; round < ROUNDS; round++) {
                values[0][0][round] = creations();
                values[0][1][round] = steps(skeleton->progs.run_creation, array);
                values[1][0][round] = updates(preallocated, 5000);
                values[1][1][round] = steps(skeleton->progs.run_growth, preallocated);
                values[2][0][round] = updates(hash, 5000);
                values[2][1][round] = steps(skeleton->progs.run_growth, hash);
        }
        print("BPF_MAP_CREATE and close(), 8 budgets above", values[0][0], values[0][1]);
        print("BPF_MAP_UPDATE_ELEM of a hash", values[1][0], values[1][1]);
        print("BPF_MAP_UPDATE_ELEM of a hash without preallocation", values[2][0], values[2][1]);
        fflush(stdout);
        close(array);
        close(preallocated);
        close(hash);
}

static void load(void)
{
        struct bpf_program *program;
        int r;

        skeleton = gate_steps_bpf__open();
        assert_non_null(skeleton);
        skeleton->rodata->machine.page_size = sysconf(_SC_PAGESIZE);
        skeleton->rodata->machine.possible_cpus = libbpf_num_possible_cpus();
        skeleton->rodata->objects_max = bpf_map__max_entries(skeleton->maps.gate_objects);
        /* The hooks stay away: this kernel may not be able to load them. */
        bpf_object__for_each_program (program, skeleton->obj)
                if (bpf_program__type(program) != BPF_PROG_TYPE_SYSCALL)
                        bpf_program__set_autoload(program, false);
        r = gate_steps_bpf__load(skeleton);
        if (r < 0)
                fail_msg("load: %s", strerror(-r));
}

static void bench(void **state)
{
        struct gate_settings settings = { .layout = GATE_LAYOUT, .enforcing = 1, .own_cgroup = 1 };
        struct gate_introduction introduction;
        struct worker worker;
        uint32_t zero = 0;

        (void) state;
        load();
        introduction.map_fd = bpf_map__fd(skeleton->maps.gate_settings);
        assert_int_equal(bpf_map__update_elem(skeleton->maps.gate_settings, &zero, sizeof(zero), &settings,
                                         sizeof(settings), 0),
                        0);
        run(skeleton->progs.introduce_gate, &introduction, sizeof(introduction));
        for (int i = 0; i < LEVELS; i++) {
                struct gate_domain_request request = { .domain.max = { 1 << 30, 1 << 30, 100000, 100000, GATE_UNLIMITED,
                                                                       GATE_UNLIMITED } };

                cgroup_make(&cgroups[i], i ? &cgroups[i - 1] : NULL, "cost");
                request.id = cgroups[i].id;
                request.domain.parent = i ? cgroups[i - 1].id : 0;
                run(skeleton->progs.set_domain, &request, sizeof(request));
                assert_int_equal(request.error, 0);
        }
        worker_start(&worker, &cgroups[LEVELS - 1], measure, NULL);
        worker_end(&worker);
        gate_steps_bpf__destroy(skeleton);
        for (int i = LEVELS; i > 0; i--)
                cgroup_remove(&cgroups[i - 1]);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(bench, harness_teardown) };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("gate-steps", tests, NULL, NULL);
}
