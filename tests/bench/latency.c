/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: from the growth that crosses High to the alert. A process in a cgroup of its own makes a map that crosses
 * it, at random times, and reads the daemon's stderr until the alert is there; then it lets the map go and waits for
 * the all-clear. Prints the distribution of the time from the return of bpf(2) to the alert; judges nothing. Needs
 * root.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kernel/cgroupfs.h"

#define MIB          (1024 * 1024)
#define TIMEOUT_MSEC 10000

static struct cgroupfs cgroupfs;
static char directory[512], config[] = "/tmp/bpfbudget-latency-XXXXXX", budget[64], settings[64];
static pid_t daemon_pid;

static void write_text(const char *path, const char *text);

static void clean_up(void)
{
        char procs[600];

        /* Out of the cgroup, so that it can be removed. */
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroupfs.mount);
        write_text(procs, "0");
        rmdir(directory);
        if (daemon_pid > 0) {
                kill(daemon_pid, SIGTERM);
                waitpid(daemon_pid, NULL, 0);
        }
        if (*budget)
                unlink(budget);
        if (*settings)
                unlink(settings);
        rmdir(config);
}

static void die(const char *what)
{
        fprintf(stderr, "latency: %s: %s\n", what, strerror(errno));
        exit(1);
}

static double now_msec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t) strlen(text)) {
                fprintf(stderr, "latency: %s: %s\n", path, strerror(errno));
                _exit(1);
        }
        close(fd);
}

/* Reads lines of @fd until one has @part in it; what follows in the same read is not needed: alerts come one by one. */
static void wait_for(int fd, const char *part)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        char text[8192];
        size_t size = 0;

        for (;;) {
                ssize_t n;

                if (poll(&ready, 1, TIMEOUT_MSEC) != 1) {
                        errno = ETIMEDOUT;
                        die(part);
                }
                n = read(fd, text + size, sizeof(text) - size - 1);
                if (n <= 0)
                        die("the daemon has ended");
                size += n;
                text[size] = '\0';
                if (strstr(text, part))
                        return;
                if (size > sizeof(text) / 2)
                        size = 0;
        }
}

/* The daemon with one budget: High=1M for our cgroup, and no limit to the alerts. Returns its stderr. */
static int start_daemon(const char *program)
{
        char text[512];
        int errors[2];

        if (!mkdtemp(config) || pipe2(errors, O_CLOEXEC) < 0)
                die(config);
        snprintf(budget, sizeof(budget), "%s/latency.budget", config);
        snprintf(text, sizeof(text), "[Match]\nCgroup=%s\n[Budget]\nHigh=1M\n", directory + strlen(cgroupfs.mount));
        write_text(budget, text);
        snprintf(settings, sizeof(settings), "%s/bpfbudgetd.conf", config);
        write_text(settings, "[Daemon]\nAlertBurst=1000000\n");
        daemon_pid = fork();
        if (daemon_pid == 0) {
                dup2(errors[1], STDERR_FILENO);
                snprintf(text, sizeof(text), "--config=%s", config);
                execl(program, program, text, NULL);
                _exit(127);
        }
        close(errors[1]);
        wait_for(errors[0], "Watching");
        return errors[0];
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static void cross(int errors, double *times, int count)
{
        srandom(getpid());
        for (int i = 0; i < count; i++) {
                double start;
                int fd;

                usleep(random() % 30000);
                fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "latency", 4, 2 * MIB, 1, NULL);
                if (fd < 0)
                        die("map");
                start = now_msec();
                wait_for(errors, "is over High");
                times[i] = now_msec() - start;
                close(fd);
                wait_for(errors, "is within the limits");
        }
        qsort(times, count, sizeof(*times), compare);
}

int main(int argc, char *argv[])
{
        int count = argc > 2 ? atoi(argv[2]) : 1000, errors;
        double *times = calloc(count, sizeof(*times));
        char procs[600];

        if (argc < 2 || count < 1 || !times) {
                fprintf(stderr, "usage: latency DAEMON [COUNT]\n");
                return 1;
        }
        if (cgroupfs_init(&cgroupfs) < 0)
                die("memory hierarchy");
        snprintf(directory, sizeof(directory), "%s/bpfbudget-latency-%d", cgroupfs.mount, getpid());
        if (mkdir(directory, 0755) < 0)
                die(directory);
        atexit(clean_up);
        errors = start_daemon(argv[1]);
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", directory);
        write_text(procs, "0");
        cross(errors, times, count);
        printf("growth over High to alert, %d crossings: median %.2f ms, p99 %.2f ms, max %.2f ms\n", count,
                        times[count / 2], times[count * 99 / 100], times[count - 1]);
        free(times);
        return 0;
}
