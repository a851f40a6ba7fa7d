/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The common part of the tests of the gate on a real kernel: a cgroup with a budget with OnMax=deny, a daemon that
 * enforces it, processes in the cgroup that create maps and programs, and main(). Needs a kernel with trampolines.
 */
#pragma once

#include "harness.h"

#define KIB  1024
#define MIB  (1024 * 1024)
#define PINS "/sys/fs/bpf/bpfbudget"
#define KEPT "/sys/fs/bpf/bb_gate_kept" /* a map that outlives its maker */

/* Results that the processes in cgroups report to the test. All of them are 0 when a test begins. */
extern struct shared {
        int admitted, refused, other_errors;
        int last_error;
        long elements;
        int delayed; /* writes that succeeded after a refusal */
        int step;    /* of a worker that waits between steps */
} * shared;

/* One cgroup with a budget, and a daemon that enforces it. */
struct scene {
        struct test_cgroup cgroup;
        struct live_daemon daemon;
        char config[64];
};

/* Begins a test in which the cgroup has a budget with the lines @limits. */
void scene_begin(struct scene *scene, const char *limits);

/* The same with a budget of 1 MiB for each child that the cgroup gets later. */
void scene_begin_parent(struct scene *scene);

void scene_end(struct scene *scene);

/* Writes the file @name with the budget @limits of @cgroup and OnMax=deny. */
void write_refusing(const char *config, const char *name, const struct test_cgroup *cgroup, const char *limits);

/* Counts a created object, or the error in errno if @fd is negative. */
void note(int fd);

/* Each creates one object and counts it. The descriptor remains open. */
int make_array(uint32_t value_size);
int load_program(void);

/* For worker_start(). They create three arrays of 400 KiB and one of 4 KiB; one of 600 KiB; one of 400 KiB. */
void make_three(void *argument);
void make_one_of_600(void *argument);
void make_one_of_400(void *argument);

/* Waits until this number of @maps and @programs is booked in the domain of @cgroup. */
void wait_booked(const struct test_cgroup *cgroup, uint64_t maps, uint64_t programs);

/* For each test. The teardown opens the gate that a failed test has left. */
int gate_setup(void **state);
int gate_teardown(void **state);

#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, gate_setup, gate_teardown)

/* Runs the tests, or prints why they are skipped. Returns the exit status of the program. */
int gate_main(const char *name, const struct CMUnitTest *tests, size_t count);
