/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate without its daemon, with a successor, with cgroups that come and go, and in bad surroundings.
 */
#include "gate-scene.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/gaterecords.h"

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
        scene_begin(&scene, "Max=1M");
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

        scene_begin(&scene, "Max=1M");
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
        scene_end(&scene);
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
        scene_begin(&scene, "Max=10M");
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
        scene_end(&scene);
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
        scene_begin_parent(&scene);
        cgroup_make(&child, &scene.cgroup, "child");
        worker_start(&worker, &child, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        worker_end(&worker);
        cgroup_remove(&child);
        scene_end(&scene);
}

/* Makes @count cgroups below @cgroup, and in each, entered at once, a map that is larger than its Max. */
static void make_in_new_cgroups(const struct test_cgroup *cgroup, int count)
{
        char *origin = cgroup_own_path(), path[1024], directory[1024];

        shared->refused = 0;
        for (int i = 0; i < count; i++) {
                snprintf(path, sizeof(path), "%s/%d", cgroup->path, i);
                snprintf(directory, sizeof(directory), "%s/%d", cgroup->directory, i);
                assert_int_equal(mkdir(directory, 0755), 0);
                cgroup_enter(path);
                close(make_array(2 * MIB));
                cgroup_enter(origin);
                assert_int_equal(rmdir(directory), 0);
        }
        free(origin);
        printf("# %d new cgroups, %d over their own Max\n", count, count - shared->refused);
        assert_int_equal(shared->refused, count);
}

/* Each new cgroup has its own limit before it can be entered, whether the daemon runs, is stopped, or is dead. */
static void test_new_cgroups(void **state)
{
        struct test_cgroup first;
        struct scene scene;

        (void) state;
        scene_begin_parent(&scene);
        cgroup_make(&first, &scene.cgroup, "first"); /* passes the controller on */
        make_in_new_cgroups(&scene.cgroup, 200);
        assert_int_equal(kill(scene.daemon.pid, SIGSTOP), 0);
        make_in_new_cgroups(&scene.cgroup, 400);
        assert_int_equal(kill(scene.daemon.pid, SIGCONT), 0);
        live_kill(&scene.daemon);
        make_in_new_cgroups(&scene.cgroup, 400);
        live_start_with(&scene.daemon, NULL, scene.config);
        cgroup_remove(&first);
        scene_end(&scene);
}

static void pin_600(void *argument)
{
        int fd = make_array(600 * KIB);

        (void) argument;
        unlink(KEPT);
        if (fd >= 0)
                bpf_obj_pin(fd, KEPT);
}

/* What a service has pinned counts against it when it comes back, also while the daemon is dead. */
static void test_recreated_cgroup(void **state)
{
        struct test_cgroup child;
        struct scene scene;
        struct worker worker;

        (void) state;
        scene_begin_parent(&scene);
        cgroup_make(&child, &scene.cgroup, "child");
        worker_start(&worker, &child, pin_600, NULL);
        worker_end(&worker);
        assert_int_equal(shared->admitted, 1);
        for (int i = 0; i < 4; i++) {
                if (i == 2)
                        live_kill(&scene.daemon);
                cgroup_remove(&child);
                cgroup_make(&child, &scene.cgroup, "child");
                worker_start(&worker, &child, make_one_of_600, NULL);
                worker_end(&worker);
                assert_int_equal(shared->refused, i + 1);
                sleep_msec(200);
        }
        assert_int_equal(shared->admitted, 1);
        live_start_with(&scene.daemon, NULL, scene.config);
        worker_start(&worker, &child, make_one_of_600, NULL);
        worker_end(&worker);
        assert_int_equal(shared->refused, 5);
        /* It is free again once that is. */
        assert_int_equal(unlink(KEPT), 0);
        wait_booked(&child, 0, 0);
        worker_start(&worker, &child, make_one_of_600, NULL);
        worker_end(&worker);
        assert_int_equal(shared->admitted, 2);
        cgroup_remove(&child);
        scene_end(&scene);
}

/* --- Bad surroundings --------------------------------------------------------------------------------------------- */

/* Pins that another user could have made are not taken over, and said. */
static void test_tampered(void **state)
{
        struct scene scene;
        struct worker worker;
        struct stat st;

        (void) state;
        scene_begin(&scene, "Max=1M");
        live_kill(&scene.daemon);
        assert_int_equal(chown(PINS "/gate_domains", 65534, 65534), 0);
        live_start_with(&scene.daemon, NULL, scene.config);
        assert_non_null(strstr(scene.daemon.greeting, "cannot take over (another layout, or not root's)"));
        worker_start(&worker, &scene.cgroup, make_three, NULL);
        assert_int_equal(shared->refused, 1);
        assert_int_equal(stat(PINS "/gate_domains", &st), 0);
        assert_int_equal(st.st_uid, 0);
        worker_end(&worker);
        scene_end(&scene);
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

/* More budgeted cgroups than MaxCgroups=: the table grows, and all hold. */
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
        for (int i = 0; i < 3; i++) {
                worker_start(&worker, &cgroups[i], make_three, NULL);
                worker_end(&worker);
        }
        assert_int_equal(shared->refused, 3);
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
        scene_begin(&scene, "Max=1M");
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
        scene_end(&scene);
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

int main(void)
{
        static const struct CMUnitTest tests[] = {
                GATE_TEST(test_takeover),
                GATE_TEST(test_late_predecessor),
                GATE_TEST(test_late_other_tables),
                GATE_TEST(test_reload),
                GATE_TEST(test_new_level),
                GATE_TEST(test_new_cgroup),
                GATE_TEST(test_new_cgroups),
                GATE_TEST(test_recreated_cgroup),
                GATE_TEST(test_tampered),
                GATE_TEST(test_other_layout),
                GATE_TEST(test_no_bpffs),
                GATE_TEST(test_table_full),
                GATE_TEST(test_one_daemon_has_it),
                GATE_TEST(test_cgroup_that_goes),
        };

        return gate_main("gate-life", tests, sizeof(tests) / sizeof(tests[0]));
}
