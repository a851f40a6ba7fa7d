/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill -9 at random moments under load: KILLS times (10) the daemon is started and killed while processes create and
 * drop maps in a cgroup with a Max. Never is an admitted creation past it, whether the daemon is starting, running or
 * dead, refusals and pauses are counted on, and no pause of the throttle outlives a restart by 2 s. Only in a machine
 * of its own: it takes the place of the system's daemon, with its configuration, as only that one pauses.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/gaterecords.h"

#define KIB      1024
#define MAX      (4LL * 1024 * 1024)
#define PINS     "/sys/fs/bpf/bpfbudget"
#define CREATORS 4
#define HELD_MAX 64

static struct shared {
        long admitted, refused, other_errors;
        int stop;
        int hold;  /* make and drop nothing for now */
        int still; /* so many do */
} * shared;

static void hold_still(void)
{
        if (!__atomic_load_n(&shared->hold, __ATOMIC_SEQ_CST))
                return;
        __sync_fetch_and_add(&shared->still, 1);
        while (__atomic_load_n(&shared->hold, __ATOMIC_SEQ_CST) && getppid() != 1)
                sleep_msec(2);
        __sync_fetch_and_add(&shared->still, -1);
}

/* Creates maps of random sizes until refused, then drops some of them, for ever. */
static void create_and_drop(void *argument)
{
        unsigned int seed = *(unsigned int *) argument;
        int held[HELD_MAX], count = 0;
        pid_t pid = fork();

        /* The harness waits for the function to return: the work is done by a child, which goes with its parent. */
        if (pid != 0)
                return;
        while (!__atomic_load_n(&shared->stop, __ATOMIC_SEQ_CST) && getppid() != 1) {
                int fd;

                hold_still();
                fd = count < HELD_MAX ? bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_kill", 4,
                                                        1 + rand_r(&seed) % (256 * KIB), 1, NULL)
                                      : -ENOMEM;

                if (fd >= 0) {
                        held[count++] = fd;
                        __sync_fetch_and_add(&shared->admitted, 1);
                        continue;
                }
                if (count < HELD_MAX)
                        __sync_fetch_and_add(fd == -ENOMEM ? &shared->refused : &shared->other_errors, 1);
                for (int drop = count / 2; drop > 0; drop--)
                        close(held[--count]);
                sleep_msec(5);
        }
        _exit(0);
}

/* The domain as the kernel has it; the test reads the pinned table. */
static bool read_domain(uint64_t id, struct gate_domain *domain)
{
        _cleanup_close_ int fd = bpf_obj_get(PINS "/gate_domains");

        return fd >= 0 && bpf_map_lookup_elem(fd, &id, domain) == 0;
}

/* How often the cgroup was paused, as its xattr tells. */
static unsigned long long read_throttled(const struct test_cgroup *cgroup)
{
        unsigned long long throttled = 0;
        char text[256] = "", *found;

        if (getxattr(cgroup->directory, "user.bpfbudget.events", text, sizeof(text) - 1) < 0)
                return 0;
        found = strstr(text, "throttled ");
        assert_non_null(found);
        assert_int_equal(sscanf(found, "throttled %llu", &throttled), 1);
        return throttled;
}

static uint64_t now_msec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static bool is_frozen(const struct test_cgroup *cgroup)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char line[64];

        assert_true(asprintf(&path, "%s/cgroup.events", cgroup->directory) > 0);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (strcmp(line, "frozen 1\n") == 0)
                        return true;
        return false;
}

/*
 * Bytes of the objects in the cgroup while nothing comes or goes: a snapshot under load adds up what was never there at
 * one time. Who is frozen holds still anyway.
 */
static int64_t bytes_held_still(const struct test_cgroup *cgroup)
{
        int64_t bytes;

        __atomic_store_n(&shared->hold, 1, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 2000 && __atomic_load_n(&shared->still, __ATOMIC_SEQ_CST) < CREATORS && !is_frozen(cgroup);
                        i++)
                sleep_msec(5);
        bytes = cgroup_allocated(cgroup);
        __atomic_store_n(&shared->hold, 0, __ATOMIC_SEQ_CST);
        return bytes;
}

/* How long the cgroup stays frozen from now on, in ms. */
static uint64_t frozen_msec(const struct test_cgroup *cgroup)
{
        uint64_t start = now_msec();

        while (is_frozen(cgroup) && now_msec() - start < 10000)
                sleep_msec(10);
        return now_msec() - start;
}

static pid_t start_daemon(void)
{
        const char *path = getenv("BPFBUDGETD") ?: "bpfbudgetd";
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);

                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                execl(path, path, NULL);
                _exit(127);
        }
        return pid;
}

static void end_daemon(pid_t pid, int signal)
{
        int status;

        kill(pid, signal);
        assert_int_equal(waitpid(pid, &status, 0), pid);
}

static bool is_closed(const struct test_cgroup *cgroup)
{
        struct gate_domain domain;

        return access(PINS "/gate_map", F_OK) == 0 && read_domain(cgroup->id, &domain);
}

static void test_kill(void **state)
{
        int kills = atoi(getenv("KILLS"));
        struct worker workers[CREATORS];
        unsigned int seeds[CREATORS], seed = 1;
        struct gate_domain domain = {}, before = {};
        unsigned long long throttled = 0;
        uint64_t longest = 0, start;
        struct test_cgroup cgroup;
        char *text;
        int64_t worst = 0;
        pid_t pid;

        (void) state;
        cgroup_make(&cgroup, NULL, "kill");
        assert_true(mkdir("/etc/bpfbudget", 0755) == 0 || errno == EEXIST);
        assert_true(asprintf(&text, "[Match]\nCgroup=%s\n[Budget]\nHigh=3M\nMax=4M\nOnHigh=throttle\nOnMax=deny\n",
                                    cgroup.path) > 0);
        config_write("/etc/bpfbudget", "10-kill.budget", text);
        free(text);
        start = now_msec();
        pid = start_daemon();
        for (int i = 0; i < 3000 && !is_closed(&cgroup); i++)
                sleep_msec(20);
        assert_true(is_closed(&cgroup));
        start = now_msec() - start;
        for (int i = 0; i < CREATORS; i++) {
                seeds[i] = i;
                worker_start(&workers[i], &cgroup, create_and_drop, &seeds[i]);
        }
        for (int i = 0; i < kills; i++) {
                uint64_t frozen;
                int64_t bytes;

                /* From before it has opened its first file to, now and then, long after it watches. */
                sleep_msec(rand_r(&seed) % (i % 4 == 3 && start > 1250 ? 2 * start : 2500));
                end_daemon(pid, SIGKILL);
                bytes = bytes_held_still(&cgroup);
                worst = bytes > worst ? bytes : worst;
                pid = start_daemon();
                frozen = frozen_msec(&cgroup);
                longest = frozen > longest ? frozen : longest;
                assert_true(read_domain(cgroup.id, &domain));
                assert_true(domain.denied >= before.denied);
                before = domain;
                assert_true(read_throttled(&cgroup) >= throttled);
                throttled = read_throttled(&cgroup);
        }
        end_daemon(pid, SIGTERM);
        __atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
        sleep_msec(500); /* until the last refusals are counted on both sides */
        assert_true(read_domain(cgroup.id, &domain));
        print_message("# %d kills: %ld creations admitted, %ld refused (%llu counted), %llu pauses, worst overshoot "
                      "%lld bytes, longest freeze after a restart %llu ms\n",
                        kills, shared->admitted, shared->refused, (unsigned long long) domain.denied, throttled,
                        (long long) (worst > MAX ? worst - MAX : 0), (unsigned long long) longest);
        assert_true(worst > MAX / 2);
        assert_true(worst <= MAX);
        assert_true(longest <= 2000);
        assert_true(shared->admitted > 0 && shared->refused > 0);
        assert_int_equal(shared->other_errors, 0);
        for (int i = 0; i < CREATORS; i++)
                worker_end(&workers[i]);
        cgroup_remove(&cgroup);
}

static int teardown(void **state)
{
        int status;

        shared->stop = 1;
        unlink("/etc/bpfbudget/10-kill.budget");
        free(daemon_errors(&status, "--release", NULL));
        sleep_msec(100);
        return harness_teardown(state);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_kill, teardown) };
        int r = harness_main();

        if (r != 0)
                return r;
        if (!getenv("KILLS")) {
                printf("1..0 # SKIP KILLS= is not set: this is not a machine of its own\n");
                return 77;
        }
        alarm(3600);
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
