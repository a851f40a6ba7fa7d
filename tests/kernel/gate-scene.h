/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the gate on a real kernel have in common: a cgroup with a budget that denies and a daemon that
 * holds it to that, processes in it that make maps and programs, and main(). Needs a kernel with trampolines.
 */
#pragma once

#include "harness.h"

#define KIB  1024
#define MIB  (1024 * 1024)
#define PINS "/sys/fs/bpf/bpfbudget"
#define KEPT "/sys/fs/bpf/bb_gate_kept" /* a map that outlives its maker */

/* What processes in cgroups tell the test; all of it is 0 when a test begins. */
extern struct shared {
        int admitted, refused, other_errors;
        int last_error;
        long elements;
        int delayed; /* writes that were refused at first */
        int step;    /* of a worker that waits in between */
} * shared;

/* One cgroup with a budget, and a daemon that holds it to that. */
struct scene {
        struct test_cgroup cgroup;
        struct live_daemon daemon;
        char config[64];
};

/* The cgroup has the lines @limits as its budget. */
void scene_begin(struct scene *scene, const char *limits);

/* The budget is one of 1 MiB for each child that the cgroup gets later. */
void scene_begin_parent(struct scene *scene);

void scene_end(struct scene *scene);

/* Writes the file @name with the budget @limits of @cgroup and OnMax=deny. */
void write_refusing(const char *config, const char *name, const struct test_cgroup *cgroup, const char *limits);

/* Counts an object that was made, or the error in errno. */
void note(int fd);

/* Each makes one object and counts it; the descriptor stays open. */
int make_array(uint32_t value_size);
int load_program(void);

/* For worker_start(): three arrays of 400 KiB and one of 4; one of 600 or 400 KiB. */
void make_three(void *argument);
void make_one_of_600(void *argument);
void make_one_of_400(void *argument);

/* Waits until so much is booked in the domain of @cgroup. */
void wait_booked(const struct test_cgroup *cgroup, uint64_t maps, uint64_t programs);

/* Around each test; what a failed one leaves is opened again. */
int gate_setup(void **state);
int gate_teardown(void **state);

#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, gate_setup, gate_teardown)

/* Runs them, or says why not: the status of the program. */
int gate_main(const char *name, const struct CMUnitTest *tests, size_t count);
