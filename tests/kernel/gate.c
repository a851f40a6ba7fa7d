/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate on a real kernel: what it refuses, that it lets nothing past Max under a race, that it goes on without the
 * daemon, and that a successor takes it over. Needs a kernel with trampolines.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "base/cleanup.h"
#include "bpf/gaterecords.h"

#define KIB  1024
#define MIB  (1024 * 1024)
#define PINS "/sys/fs/bpf/bpfbudget"
#define KEPT "/sys/fs/bpf/bb_gate_kept" /* a map that outlives its maker */

/* What processes in cgroups tell the test. */
static struct shared {
        int admitted, refused, other_errors;
        int last_error;
        long elements;
        int delayed; /* writes that were refused at first */
        int step;    /* of a worker that waits in between */
} * shared;

/* The daemon that a test has; what a failed one leaves is opened again. */
static int setup(void **state)
{
        (void) state;
        memset(shared, 0, sizeof(*shared));
        return 0;
}

static int teardown(void **state)
{
        int status;

        harness_teardown(state);
        unlink(KEPT);
        free(daemon_errors(&status, "--release", NULL));
        return 0;
}

static void write_refusing(const char *config, const char *name, const struct test_cgroup *cgroup, const char *limits)
{
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "%s\nOnMax=deny", limits) > 0);
        config_write_budget(config, name, cgroup, text);
}

/* One cgroup with a budget, and a daemon that holds it to that. */
struct scene {
        struct test_cgroup cgroup;
        struct live_daemon daemon;
        char config[64];
};

static void begin(struct scene *scene, const char *limits)
{
        cgroup_make(&scene->cgroup, NULL, "gate");
        config_make(scene->config);
        write_refusing(scene->config, "test.budget", &scene->cgroup, limits);
        live_start_with(&scene->daemon, NULL, scene->config);
}

/* The budget is one of 1 MiB for each child that the cgroup gets later. */
static void begin_parent(struct scene *scene)
{
        _cleanup_free_ char *text = NULL;

        cgroup_make(&scene->cgroup, NULL, "gate");
        config_make(scene->config);
        assert_true(asprintf(&text, "[Match]\nCgroup=%s/*\n[Budget]\nMax=1M\nOnMax=deny\n", scene->cgroup.path) > 0);
        config_write(scene->config, "test.budget", text);
        live_start_with(&scene->daemon, NULL, scene->config);
}

static void end(struct scene *scene)
{
        assert_int_equal(live_end(&scene->daemon), 0);
        cgroup_remove(&scene->cgroup);
}

static void note(int fd)
{
        if (fd >= 0) {
                __sync_fetch_and_add(&shared->admitted, 1);
                return;
        }
        shared->last_error = errno;
        __sync_fetch_and_add(errno == ENOMEM ? &shared->refused : &shared->other_errors, 1);
}

static int make_array(uint32_t value_size)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_gate", 4, value_size, 1, NULL);

        note(fd);
        return fd;
}

static int load_program(void)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_gate", "GPL", return_0, 2, NULL);

        note(fd);
        return fd;
}

/* Waits until so much is booked in the domain of @cgroup. */
static void wait_booked(const struct test_cgroup *cgroup, uint64_t maps, uint64_t programs)
{
        _cleanup_close_ int fd = bpf_obj_get(PINS "/gate_domains");
        struct gate_domain domain = {};

        for (int i = 0; i < 600; i++) {
                assert_int_equal(bpf_map_lookup_elem(fd, &cgroup->id, &domain), 0);
                if (domain.usage[GATE_MAPS] == maps && domain.usage[GATE_PROGRAMS] == programs)
                        return;
                sleep_msec(50);
        }
        fail_msg("%llu maps and %llu programs are booked", (unsigned long long) domain.usage[GATE_MAPS],
                        (unsigned long long) domain.usage[GATE_PROGRAMS]);
}

/* Waits until @cgroup has a domain. */
static void wait_domain(const struct test_cgroup *cgroup)
{
        _cleanup_close_ int fd = bpf_obj_get(PINS "/gate_domains");
        struct gate_domain domain;

        for (int i = 0; i < 600; i++) {
                if (bpf_map_lookup_elem(fd, &cgroup->id, &domain) == 0)
                        return;
                sleep_msec(50);
        }
        fail_msg("%s has no domain", cgroup->path);
}

/* --- What is refused ---------------------------------------------------------------------------------------------- */

static void make_three(void *argument)
{
        (void) argument;
        make_array(400 * KIB);
        make_array(400 * KIB);
        make_array(400 * KIB);
        make_array(4 * KIB);
}

/* Of three maps of 400 KiB two fit into 1 MiB; what fits beside them is let in. The journal's entry says what and why.
 */
static void test_map(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;

        (void) state;
        begin(&scene, "Max=1M");
        worker_start(&worker, &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->admitted, 3);
        assert_int_equal(shared->other_errors, 0);
        log = live_wait_log(&scene.daemon, "was refused the creation of map bb_gate (array, 4");
        assert_non_null(strstr(log, "of Max of budget test are in use, Max is 1.0M"));
        assert_non_null(strstr(log, scene.cgroup.path));
        assert_true(cgroup_allocated(&scene.cgroup) <= MIB);
        worker_end(&worker);
        end(&scene);
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
        begin(&scene, "Max=1M");
        worker_start(&worker, &scene.cgroup, make_two_turns, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->admitted, 2);
        worker_end(&worker);
        end(&scene);
}

static void make_one_of_400(void *argument)
{
        (void) argument;
        make_array(400 * KIB);
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
        begin(&scene, "MapsMax=3\nProgramsMax=2");
        worker_start(&worker, &scene.cgroup, make_maps_and_programs, NULL);
        assert_int_equal(shared->admitted, 5);
        assert_int_equal(shared->refused, 5);
        log = live_wait_log(&scene.daemon, "was refused the load of ");
        /* 6.1 does not yet know of the program what it is. */
        assert_true(strstr(log, "the load of program bb_gate (socket_filter, 1)") ||
                        strstr(log, "the load of a program (1)"));
        assert_non_null(strstr(log, "2 of ProgramsMax of budget test are in use, ProgramsMax is 2"));
        worker_end(&worker);
        end(&scene);
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
        begin(&scene, "Max=400K");
        worker_start(&worker, &scene.cgroup, load_many, NULL);
        assert_int_equal(shared->other_errors, 0);
        assert_true(shared->refused > 0);
        bytes = cgroup_allocated(&scene.cgroup);
        assert_in_range(bytes, 200 * KIB, 400 * KIB);
        worker_end(&worker);
        end(&scene);
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
        end(&scene);
}

/* --- Growth ------------------------------------------------------------------------------------------------------- */

static void fill_hash(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        char value[1024] = {};
        uint32_t key;
        int fd;

        (void) argument;
        fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_grows", 4, sizeof(value), 100000, &opts);
        note(fd);
        for (key = 0; key < 100000; key++)
                if (bpf_map_update_elem(fd, &key, value, BPF_ANY) < 0)
                        break;
        shared->last_error = errno;
        shared->elements = key;
        /* To write what is there goes on near the limit, though each is a new element for a moment. */
        for (uint32_t last = shared->elements - 1; last > shared->elements - 200; last--)
                bpf_map_delete_elem(fd, &last);
        for (key = 0; key < 20000; key++) {
                uint32_t old = key % 100;
                int tries = 0;

                /* The daemon, too, brings the books up to date; while that is on, they say what they said before. */
                for (; bpf_map_update_elem(fd, &old, value, BPF_ANY) < 0 && tries < 100; tries++)
                        sleep_msec(5);
                shared->delayed += tries > 0;
                shared->other_errors += tries == 100;
        }
}

/* A map that grows by bpf(2) stops at Max with ENOMEM; what was in it can be written again. */
static void test_growth(void **state)
{
        _cleanup_free_ char *log = NULL;
        struct scene scene;
        struct worker worker;
        int64_t bytes;

        (void) state;
        /* The buckets of the hash alone are 2 MiB. */
        begin(&scene, "Max=8M");
        worker_start(&worker, &scene.cgroup, fill_hash, NULL);
        assert_int_equal(shared->last_error, ENOMEM);
        /* One is 2 KiB: the next size class of kmalloc() after 1 KiB and the head of an element. */
        assert_in_range(shared->elements, 2900, 3100);
        log = live_wait_log(&scene.daemon, "was refused the growth of map bb_grows (hash, ");
        bytes = cgroup_allocated(&scene.cgroup);
        assert_in_range(bytes, 7 * MIB, 8 * MIB);
        assert_int_equal(shared->other_errors, 0);
        assert_in_range(shared->delayed, 0, 20);
        worker_end(&worker);
        end(&scene);
}

static void fill_batch(void *argument)
{
        enum { COUNT = 4096 };
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        static uint32_t keys[COUNT];
        static char values[COUNT][1024];
        uint32_t count = COUNT;
        int fd;

        (void) argument;
        fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bb_grows", 4, sizeof(values[0]), COUNT, &opts);
        note(fd);
        for (uint32_t i = 0; i < COUNT; i++)
                keys[i] = i;
        if (bpf_map_update_batch(fd, keys, values, &count, NULL) < 0)
                shared->last_error = errno;
        /* Nothing of what was refused is there. */
        shared->other_errors += bpf_map_get_next_key(fd, NULL, &keys[0]) == 0;
        count = 100;
        if (bpf_map_update_batch(fd, keys, values, &count, NULL) == 0)
                shared->elements = count;
}

/* A batch is let in as a whole or not at all. */
static void test_batch(void **state)
{
        struct scene scene;
        struct worker worker;

        (void) state;
        begin(&scene, "Max=2M");
        worker_start(&worker, &scene.cgroup, fill_batch, NULL);
        assert_int_equal(shared->last_error, ENOMEM);
        assert_int_equal(shared->elements, 100);
        assert_int_equal(shared->other_errors, 0);
        worker_end(&worker);
        end(&scene);
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
        begin(&scene, "Max=64M");
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
        end(&scene);
}

/* --- Life and death of the daemon --------------------------------------------------------------------------------- */

static void live_kill(struct live_daemon *daemon)
{
        kill(daemon->pid, SIGKILL);
        live_reap(daemon);
}

/* Killed, it leaves the gate closed; a successor takes tables and counts over; --release opens it. */
static void test_takeover(void **state)
{
        _cleanup_free_ char *released = NULL;
        struct worker workers[4];
        struct scene scene;
        int status;

        (void) state;
        begin(&scene, "Max=1M");
        worker_start(&workers[0], &scene.cgroup, make_three, NULL);
        live_kill(&scene.daemon);
        worker_start(&workers[1], &scene.cgroup, make_one_of_400, NULL);
        assert_int_equal(shared->refused, 2);

        live_start_with(&scene.daemon, NULL, scene.config);
        assert_non_null(strstr(scene.daemon.greeting, "The gate of a predecessor is taken over"));
        worker_start(&workers[2], &scene.cgroup, make_one_of_400, NULL);
        assert_int_equal(shared->refused, 3);
        assert_int_equal(shared->admitted, 3);
        assert_int_equal(live_end(&scene.daemon), 0);

        released = daemon_errors(&status, "--release", NULL);
        assert_int_equal(status, 0);
        assert_non_null(strstr(released, "The gate is open"));
        assert_int_equal(access(PINS, F_OK), -1);
        worker_start(&workers[3], &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 3);
        assert_int_equal(shared->admitted, 7);
        for (int i = 0; i < 4; i++)
                worker_end(&workers[i]);
        cgroup_remove(&scene.cgroup);
}

static void wait_step(int step)
{
        for (int i = 0; i < 6000 && __atomic_load_n(&shared->step, __ATOMIC_ACQUIRE) < step; i++)
                sleep_msec(10);
}

static void set_step(int step)
{
        __atomic_store_n(&shared->step, step, __ATOMIC_RELEASE);
}

static void be_refused_and_go_on(void *argument)
{
        (void) argument;
        make_array(800 * KIB);
        make_array(800 * KIB);
        set_step(1);
        wait_step(2);
        make_array(4 * KIB);
}

/*
 * The kernel detaches a predecessor's programs one by one. One that refuses, and goes last, does not take the verdict
 * on an earlier map for that on the next one.
 */
static void refuse_beside_predecessor(bool same_tables)
{
        int judges, refuser;
        struct scene scene;
        struct worker worker;

        begin(&scene, "Max=1M");
        worker_enter(&worker, &scene.cgroup, be_refused_and_go_on, NULL); /* without copies of the links */
        /* The LSM's program does both. */
        judges = bpf_obj_get(PINS "/gate_map_entered");
        refuser = bpf_obj_get(judges < 0 ? PINS "/gate_map" : PINS "/gate_map_again1");
        assert_true(refuser >= 0);
        live_kill(&scene.daemon);
        if (!same_tables)
                assert_int_equal(chown(PINS "/gate_domains", 65534, 65534), 0);
        live_start_with(&scene.daemon, NULL, scene.config);
        sleep_msec(1000);
        worker_go(&worker);
        wait_step(1);
        assert_int_equal(shared->refused, 1);
        if (judges >= 0)
                close(judges);
        sleep_msec(1000);
        set_step(2);
        worker_wait(&worker);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(shared->admitted, 2);
        assert_int_equal(shared->other_errors, 0);
        worker_end(&worker);
        close(refuser);
        end(&scene);
}

static void test_late_predecessor(void **state)
{
        (void) state;
        refuse_beside_predecessor(true);
}

static void test_late_other_tables(void **state)
{
        (void) state;
        refuse_beside_predecessor(false);
}

/* A budget below usage takes nothing away and refuses growth; without it the gate is gone. */
static void test_reload(void **state)
{
        struct worker workers[3];
        struct scene scene;

        (void) state;
        begin(&scene, "Max=10M");
        worker_start(&workers[0], &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->admitted, 4);
        write_refusing(scene.config, "test.budget", &scene.cgroup, "Max=1M");
        assert_int_equal(kill(scene.daemon.pid, SIGHUP), 0);
        free(live_wait_log(&scene.daemon, "Configuration reloaded"));
        worker_start(&workers[1], &scene.cgroup, make_one_of_400, NULL);
        assert_int_equal(shared->refused, 1);
        assert_true(cgroup_allocated(&scene.cgroup) > MIB);
        config_write(scene.config, "test.budget", "[Match]\nCgroup=/none\n[Budget]\nHigh=1M\n");
        assert_int_equal(kill(scene.daemon.pid, SIGHUP), 0);
        free(live_wait_log(&scene.daemon, "Configuration reloaded"));
        assert_int_equal(access(PINS, F_OK), -1);
        worker_start(&workers[2], &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        for (int i = 0; i < 3; i++)
                worker_end(&workers[i]);
        end(&scene);
}

/* A budget for a cgroup between two that have one: the gate is built anew, and holds all three. */
static void test_new_level(void **state)
{
        struct test_cgroup top, middle, leaf;
        struct worker workers[2];
        struct live_daemon daemon;
        char config[64];

        (void) state;
        cgroup_make(&top, NULL, "gate-top");
        cgroup_make(&middle, &top, "middle");
        cgroup_make(&leaf, &middle, "leaf");
        config_make(config);
        write_refusing(config, "top.budget", &top, "Max=20M");
        write_refusing(config, "leaf.budget", &leaf, "Max=10M");
        live_start_with(&daemon, NULL, config);
        worker_start(&workers[0], &leaf, make_three, NULL);
        assert_int_equal(shared->admitted, 4);
        write_refusing(config, "middle.budget", &middle, "Max=1500K");
        assert_int_equal(kill(daemon.pid, SIGHUP), 0);
        free(live_wait_log(&daemon, "Configuration reloaded"));
        worker_start(&workers[1], &leaf, make_one_of_400, NULL);
        assert_int_equal(shared->refused, 1);
        for (int i = 0; i < 2; i++)
                worker_end(&workers[i]);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&leaf);
        cgroup_remove(&middle);
        cgroup_remove(&top);
}

/* A cgroup that did not exist when the daemon started has its limit without a map. */
static void test_new_cgroup(void **state)
{
        struct test_cgroup child;
        struct scene scene;
        struct worker worker;

        (void) state;
        begin_parent(&scene);
        cgroup_make(&child, &scene.cgroup, "child");
        wait_domain(&child);
        worker_start(&worker, &child, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        worker_end(&worker);
        cgroup_remove(&child);
        end(&scene);
}

#define NEW_CGROUPS 400

/*
 * The kernel tells of a new cgroup a moment before it can be found; however that turns out, each has its limit soon
 * after.
 */
static void test_new_cgroups(void **state)
{
        _cleanup_close_ int domains = -EBADF;
        size_t with_limit = 0, waited = 0;
        struct scene scene;
        char path[1024];
        struct stat st;

        (void) state;
        begin_parent(&scene);
        domains = bpf_obj_get(PINS "/gate_domains");
        for (int i = 0; i < NEW_CGROUPS; i++) {
                snprintf(path, sizeof(path), "%s/%d", scene.cgroup.directory, i);
                assert_int_equal(mkdir(path, 0755), 0);
        }
        for (int i = 0; i < NEW_CGROUPS; i++) {
                struct gate_domain domain;
                uint64_t id;

                snprintf(path, sizeof(path), "%s/%d", scene.cgroup.directory, i);
                assert_int_equal(stat(path, &st), 0);
                id = st.st_ino;
                for (; waited < 600 && bpf_map_lookup_elem(domains, &id, &domain) < 0; waited++)
                        sleep_msec(50);
                with_limit += bpf_map_lookup_elem(domains, &id, &domain) == 0;
                rmdir(path);
        }
        assert_int_equal(with_limit, NEW_CGROUPS);
        end(&scene);
}

/* --- Bad surroundings --------------------------------------------------------------------------------------------- */

/* Pins that another user could have made are not taken over, and said. */
static void test_tampered(void **state)
{
        struct scene scene;
        struct worker worker;
        struct stat st;

        (void) state;
        begin(&scene, "Max=1M");
        live_kill(&scene.daemon);
        assert_int_equal(chown(PINS "/gate_domains", 65534, 65534), 0);
        live_start_with(&scene.daemon, NULL, scene.config);
        assert_non_null(strstr(scene.daemon.greeting, "cannot take over (another layout, or not root's)"));
        worker_start(&worker, &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(stat(PINS "/gate_domains", &st), 0);
        assert_int_equal(st.st_uid, 0);
        worker_end(&worker);
        end(&scene);
}

/* Tables of another version: one that the daemon does not know. */
static void test_other_layout(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64];
        int fd;

        (void) state;
        cgroup_make(&cgroup, NULL, "gate");
        config_make(config);
        write_refusing(config, "test.budget", &cgroup, "Max=1M");
        assert_true(mkdir(PINS, 0700) == 0 || errno == EEXIST);
        fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "gate_domains", 4, 8, 1, NULL);
        assert_int_equal(bpf_obj_pin(fd, PINS "/gate_domains"), 0);
        close(fd);
        live_start_with(&daemon, NULL, config);
        assert_non_null(strstr(daemon.greeting, "cannot take over (another layout, or not root's)"));
        worker_start(&worker, &cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        worker_end(&worker);
        live_kill(&daemon);
        wait_booked(&cgroup, 0, 0);
        worker_start(&worker, &cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 2);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

/* Without bpffs the gate holds as long as the daemon lives, and it says so. */
static void test_no_bpffs(void **state)
{
        int status, pid = fork();

        (void) state;
        assert_true(pid >= 0);
        if (pid == 0) {
                struct live_daemon daemon;
                struct test_cgroup cgroup;
                struct worker worker;
                char config[64];

                /* In a mount namespace of its own. */
                if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                umount2("/sys/fs/bpf", MNT_DETACH) < 0)
                        _exit(10);
                cgroup_make(&cgroup, NULL, "gate");
                config_make(config);
                write_refusing(config, "test.budget", &cgroup, "Max=1M");
                live_start_with(&daemon, NULL, config);
                if (!strstr(daemon.greeting, "No bpffs is mounted at /sys/fs/bpf"))
                        _exit(11);
                worker_start(&worker, &cgroup, make_three, NULL);
                if (shared->refused != 1)
                        _exit(12);
                if (live_end(&daemon) != 0)
                        _exit(13);
                make_array(4);
                worker_end(&worker);
                worker_start(&worker, &cgroup, make_three, NULL);
                if (shared->refused != 1)
                        _exit(14);
                worker_end(&worker);
                harness_teardown(NULL);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* More budgeted cgroups than MaxCgroups=: named, and the others hold. */
static void test_table_full(void **state)
{
        struct test_cgroup cgroups[3];
        struct live_daemon daemon;
        struct worker worker;
        char config[64];

        (void) state;
        config_make(config);
        for (int i = 0; i < 3; i++) {
                char name[16], file[32];

                snprintf(name, sizeof(name), "gate-%d", i);
                cgroup_make(&cgroups[i], NULL, name);
                snprintf(file, sizeof(file), "%d.budget", i);
                write_refusing(config, file, &cgroups[i], "Max=1M");
        }
        config_write(config, "bpfbudgetd.conf", "[Daemon]\nMaxCgroups=2\n");
        live_start_with(&daemon, NULL, config);
        assert_non_null(strstr(daemon.greeting, "its Max cannot be enforced: the table of budgeted cgroups is full; "
                                                "raise MaxCgroups="));
        for (int i = 0; i < 3; i++) {
                worker_start(&worker, &cgroups[i], make_three, NULL);
                worker_end(&worker);
        }
        assert_int_equal(shared->refused, 2);
        assert_int_equal(live_end(&daemon), 0);
        for (int i = 0; i < 3; i++)
                cgroup_remove(&cgroups[i]);
}

/* Another daemon, with budgets that refuse or without, takes nothing from the one that has the gate, nor does
 * --release. */
static void test_one_daemon_has_it(void **state)
{
        _cleanup_free_ char *released = NULL;
        struct live_daemon other;
        struct worker worker;
        struct scene scene;
        char config[64];
        int status;

        (void) state;
        begin(&scene, "Max=1M");
        config_make(config);
        write_refusing(config, "other.budget", &scene.cgroup, "Max=100M");
        live_start_with(&other, NULL, config);
        assert_non_null(strstr(other.greeting, "Another bpfbudgetd has the gate"));
        assert_int_equal(live_end(&other), 0);
        config_write(config, "other.budget", "[Match]\nCgroup=/none\n[Budget]\nHigh=1M\n");
        live_start_with(&other, NULL, config);
        assert_int_equal(live_end(&other), 0);
        released = daemon_errors(&status, "--release", NULL);
        assert_int_not_equal(status, 0);
        assert_non_null(strstr(released, "The gate stays closed"));
        assert_int_equal(access(PINS "/gate_map", F_OK), 0);
        worker_start(&worker, &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        worker_end(&worker);
        end(&scene);
}

static void make_and_keep(void *argument)
{
        int fd = make_array(400 * KIB);

        (void) argument;
        assert_int_equal(bpf_obj_pin(fd, KEPT), 0);
        load_program();
}

/* What outlives its cgroup is its parent's, once, and what goes with it is nobody's: nothing stays booked. */
static void test_cgroup_that_goes(void **state)
{
        struct test_cgroup parent, child, sibling;
        struct live_daemon daemon;
        struct worker worker;
        char config[64];

        (void) state;
        cgroup_make(&parent, NULL, "gate-parent");
        cgroup_make(&child, &parent, "child");
        cgroup_make(&sibling, &parent, "sibling");
        config_make(config);
        write_refusing(config, "parent.budget", &parent, "Max=1M");
        write_refusing(config, "child.budget", &child, "Max=1M");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &child, make_and_keep, NULL);
        worker_end(&worker);
        cgroup_remove(&child);
        wait_booked(&parent, 1, 0);
        worker_start(&worker, &sibling, make_three, NULL);
        assert_int_equal(shared->refused, 2);
        worker_end(&worker);
        unlink(KEPT);
        wait_booked(&parent, 0, 0);
        worker_start(&worker, &sibling, make_three, NULL);
        assert_int_equal(shared->refused, 3);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&sibling);
        cgroup_remove(&parent);
}

/* Whether the kernel lets the gate refuse; if not, why is in *reason. */
static bool has_gate(char reason[256])
{
        _cleanup_free_ char *text = NULL;
        json_t *table, *entry;
        bool available = false;
        int status;
        size_t i;

        text = daemon_run(&status, "--capabilities", "--json=short", NULL);
        table = json_loads(text, 0, NULL);
        strcpy(reason, "the daemon tells no capabilities");
        json_array_foreach(json_is_array(table) ? table : json_object_get(table, "capabilities"), i, entry)
        {
                if (strcmp(json_string_value(json_object_get(entry, "name")), "gate:map") != 0)
                        continue;
                available = json_is_true(json_object_get(entry, "available"));
                snprintf(reason, 256, "gate:map: %s", json_string_value(json_object_get(entry, "reason")));
        }
        json_decref(table);
        return available;
}

/* Whether the kernel attaches a program to a function; asked of the kernel, not of the daemon. */
static bool has_trampolines(void)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int id = libbpf_find_vmlinux_btf_id("security_bpf_map", BPF_TRACE_FENTRY);
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY, .attach_btf_id = id);
        _cleanup_close_ int program = -EBADF, link = -EBADF;

        if (id <= 0)
                return false;
        program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "bb_entry", "GPL", return_0, 2, &opts);
        link = program < 0 ? -EBADF : bpf_link_create(program, 0, BPF_TRACE_FENTRY, NULL);
        return link >= 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_map),
                TEST(test_freed),
                TEST(test_hierarchy),
                TEST(test_counts),
                TEST(test_program_bytes),
                TEST(test_refused_by_another),
                TEST(test_growth),
                TEST(test_batch),
                TEST(test_race),
                TEST(test_takeover),
                TEST(test_late_predecessor),
                TEST(test_late_other_tables),
                TEST(test_reload),
                TEST(test_new_level),
                TEST(test_new_cgroup),
                TEST(test_new_cgroups),
                TEST(test_tampered),
                TEST(test_other_layout),
                TEST(test_no_bpffs),
                TEST(test_table_full),
                TEST(test_one_daemon_has_it),
                TEST(test_cgroup_that_goes),
        };
        struct rlimit limit = { 20000, 20000 };
        char reason[256];
        int r = harness_main();

        if (r != 0)
                return r;
        live_be_quiet();
        if (!has_gate(reason)) {
                if (has_trampolines()) {
                        printf("1..1\nnot ok 1 - the kernel has trampolines, and the daemon no gate: %s\n", reason);
                        return 1;
                }
                /* The plan says it; 77 beside it would be an error of its own. */
                printf("1..0 # SKIP %s\n", reason);
                return 0;
        }
        setrlimit(RLIMIT_NOFILE, &limit);
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
