/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the gate costs: the same calls of bpf(2) in a cgroup below eight budgets that only alert, and below the same
 * that refuse, in turns in one run. Prints medians and their ratio; judges nothing.
 */
#include "tests/kernel/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "tests/bench/median.h"

#define LEVELS 8
#define ROUNDS 5

enum call { CALL_CREATE, CALL_INFO, CALL_UPDATE, CALL_GROW, CALLS };

static const struct {
        const char *name;
        int count;
} calls[CALLS] = {
        [CALL_CREATE] = { "BPF_MAP_CREATE and close()", 2000 },
        [CALL_INFO] = { "BPF_OBJ_GET_INFO_BY_FD", 20000 },
        [CALL_UPDATE] = { "BPF_MAP_UPDATE_ELEM of an array", 20000 },
        [CALL_GROW] = { "BPF_MAP_UPDATE_ELEM of a hash without preallocation", 20000 },
};

static double *nsec; /* shared: of one call, by enum call */

static double now_nsec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void call(enum call which, int array, int hash, uint32_t i)
{
        struct bpf_map_info info = {};
        uint32_t zero = 0, length = sizeof(info), key = i % 5000;

        switch (which) {
        case CALL_CREATE:
                close(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_cost", 4, 4, 1, NULL));
                break;
        case CALL_INFO:
                bpf_obj_get_info_by_fd(array, &info, &length);
                break;
        case CALL_UPDATE:
                bpf_map_update_elem(array, &zero, &i, BPF_ANY);
                break;
        case CALL_GROW:
                bpf_map_update_elem(hash, &key, &i, BPF_ANY);
                break;
        case CALLS:
                break;
        }
}

static void measure(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_cost", 4, 4, 1, NULL);
        int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_cost", 4, 4, 10000, &opts);

        (void) argument;
        for (enum call which = 0; which < CALLS; which++) {
                double start;

                for (int i = 0; i < calls[which].count / 10; i++)
                        call(which, array, hash, i);
                start = now_nsec();
                for (int i = 0; i < calls[which].count; i++)
                        call(which, array, hash, i);
                nsec[which] = (now_nsec() - start) / calls[which].count;
        }
        close(array);
        close(hash);
}

static void write_budgets(const char *config, const struct test_cgroup *cgroups, const char *action)
{
        for (int i = 0; i < LEVELS; i++) {
                _cleanup_free_ char *text = NULL;
                char name[32];

                snprintf(name, sizeof(name), "%d.budget", i);
                assert_true(asprintf(&text, "[Match]\nCgroup=%s\n[Budget]\nMax=1G\nOnMax=%s\n", cgroups[i].path,
                                            action) > 0);
                config_write(config, name, text);
        }
}

static void bench(void **state)
{
        double without[CALLS][ROUNDS], with[CALLS][ROUNDS];
        struct test_cgroup cgroups[LEVELS];
        struct live_daemon daemon;
        struct worker worker;
        char config[64];
        int status;

        (void) state;
        for (int i = 0; i < LEVELS; i++)
                cgroup_make(&cgroups[i], i ? &cgroups[i - 1] : NULL, "cost");
        config_make(config);
        for (int round = 0; round < ROUNDS; round++)
                for (int refuse = 0; refuse < 2; refuse++) {
                        write_budgets(config, cgroups, refuse ? "deny" : "alert");
                        live_start_with(&daemon, NULL, config);
                        worker_start(&worker, &cgroups[LEVELS - 1], measure, NULL);
                        worker_end(&worker);
                        live_end(&daemon);
                        free(daemon_errors(&status, "--release", NULL));
                        for (enum call which = 0; which < CALLS; which++)
                                (refuse ? with : without)[which][round] = nsec[which];
                }
        for (enum call which = 0; which < CALLS; which++) {
                double a = median(without[which], ROUNDS), b = median(with[which], ROUNDS);

                printf("# %-52s %8.0f ns without, %8.0f ns with the gate: %+.0f ns, ratio %.3f\n", calls[which].name, a,
                                b, b - a, b / a);
        }
        for (int i = LEVELS; i > 0; i--)
                cgroup_remove(&cgroups[i - 1]);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(bench, harness_teardown) };
        int r = harness_main();

        if (r != 0)
                return r;
        live_be_quiet();
        alarm(1800);
        nsec = mmap(NULL, CALLS * sizeof(*nsec), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (nsec == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("gate-cost", tests, NULL, NULL);
}
