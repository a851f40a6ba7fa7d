/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: what a scrape costs: 2,000 cgroups with a map each, and the daemon that serves their metrics at a unix
 * socket, with the default of MetricsCgroupsMax=. Wall time from the connection to the last byte, and the daemon's CPU
 * time; medians. "again": nothing has changed since the last one, so that what was compressed is sent again; "anew": a
 * map was filled in between.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "tests/kernel/harness.h"

#define CGROUPS 2000
#define SCRAPES 15

static struct test_cgroup top;
static int maps[CGROUPS];

static uint64_t usec_of(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* This process makes a map in each. */
static void make_cgroups(void)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        char *own = cgroup_own_path(), path[600], directory[600];

        cgroup_make(&top, NULL, "bench");
        for (int i = 0; i < CGROUPS; i++) {
                snprintf(directory, sizeof(directory), "%s/service-%04d.service", top.directory, i);
                assert_int_equal(mkdir(directory, 0700), 0);
                snprintf(path, sizeof(path), "%s/service-%04d.service", top.path, i);
                cgroup_enter(path);
                maps[i] = bpf_map_create(BPF_MAP_TYPE_HASH, "bench", 4, 64, 1024, &opts);
                assert_true(maps[i] >= 0);
        }
        cgroup_enter(own);
        free(own);
}

static void remove_cgroups(void)
{
        struct test_cgroup cgroup;

        for (int i = 0; i < CGROUPS; i++)
                close(maps[i]);
        for (int i = 0; i < CGROUPS; i++) {
                snprintf(cgroup.directory, sizeof(cgroup.directory), "%.400s/service-%04d.service", top.directory, i);
                cgroup_remove(&cgroup);
        }
        cgroup_remove(&top);
}

/* Returns how many bytes came. */
static size_t scrape(const char *path, const char *headers)
{
        static char reply[256 * 1024];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char request[512];
        size_t size = 0;
        ssize_t n;

        strcpy(address.sun_path, path);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        snprintf(request, sizeof(request), "GET /metrics HTTP/1.1\r\nHost: bench\r\n%s\r\n", headers);
        assert_int_equal(write(fd, request, strlen(request)), strlen(request));
        while ((n = read(fd, reply, sizeof(reply))) > 0)
                size += n;
        close(fd);
        return size;
}

static void measure(const char *what, const char *path, pid_t pid, const char *headers, bool change)
{
        uint64_t wall[SCRAPES], cpu[SCRAPES];
        static uint32_t key;
        size_t size = 0;
        clockid_t clock;

        assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
        scrape(path, headers);
        for (int i = 0; i < SCRAPES; i++) {
                char value[64] = "";

                if (change)
                        for (int n = 0; n < 100; n++, key++)
                                bpf_map_update_elem(maps[key % CGROUPS], &key, value, BPF_ANY);
                sleep_msec(300);
                cpu[i] = usec_of(clock);
                wall[i] = usec_of(CLOCK_MONOTONIC);
                size = scrape(path, headers);
                wall[i] = usec_of(CLOCK_MONOTONIC) - wall[i];
                cpu[i] = usec_of(clock) - cpu[i];
        }
        qsort(wall, SCRAPES, sizeof(*wall), compare);
        qsort(cpu, SCRAPES, sizeof(*cpu), compare);
        print_message("a scrape of %d cgroups, %s: %zu KiB, %.1f ms, %.1f ms of the daemon's CPU\n", CGROUPS, what,
                        size / 1024, wall[SCRAPES / 2] / 1000.0, cpu[SCRAPES / 2] / 1000.0);
}

static void bench(void **state)
{
        static struct live_daemon daemon;
        char config[64], path[100], text[300];

        (void) state;
        make_cgroups();
        config_make(config);
        snprintf(path, sizeof(path), "%s/metrics", config);
        snprintf(text, sizeof(text), "[Daemon]\nMetricsListen=%s\nPollSec=0\n", path);
        config_write(config, "bpfbudgetd.conf", text);
        live_start_with(&daemon, NULL, config);
        measure("again", path, daemon.pid, "", false);
        measure("again, gzip", path, daemon.pid, "Accept-Encoding: gzip\r\n", false);
        measure("anew", path, daemon.pid, "", true);
        measure("anew, gzip", path, daemon.pid, "Accept-Encoding: gzip\r\n", true);
        live_end(&daemon);
        remove_cgroups();
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(bench, harness_teardown) };
        struct rlimit limit = { CGROUPS + 100, CGROUPS + 100 };
        int r = harness_main();

        if (r != 0)
                return r;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1;
        live_be_quiet();
        alarm(120);
        return cmocka_run_group_tests_name("scrapes", tests, NULL, NULL);
}
