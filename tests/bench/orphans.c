/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: how long bpfbudgetctl orphans takes. "orphans CTL SOCKET" makes 20,000 maps, of which every second one is
 * only pinned (in a bpffs of its own) and the others are open here, and asks the daemon at SOCKET. Prints figures;
 * judges nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define MAPS   20000
#define ROUNDS 5

static unsigned int held;
static char directory[] = "/tmp/bpfbudget-bench-XXXXXX";

static void clean_up(void)
{
        umount2(directory, MNT_DETACH);
        rmdir(directory);
}

static void die(const char *what)
{
        fprintf(stderr, "orphans: %s: %s\n", what, strerror(errno));
        exit(1);
}

static double now_msec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void make_maps(void)
{
        struct rlimit files;
        char path[128];

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                die("RLIMIT_NOFILE");
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        for (int i = 0; i < MAPS; i++) {
                int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench", 4, 4, 1, NULL);

                if (fd < 0)
                        die("a map");
                /* As many as may be open. */
                if (i % 2 && held + 100 < files.rlim_cur) {
                        held++;
                        continue;
                }
                snprintf(path, sizeof(path), "%s/map-%d", directory, i);
                if (bpf_obj_pin(fd, path) < 0)
                        die(path);
                close(fd);
        }
}

/* Runs bpfbudgetctl; its output goes nowhere. */
static double ask(const char *ctl, const char *socket, const char *json)
{
        double start = now_msec();
        char option[256];
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);

                snprintf(option, sizeof(option), "--socket=%s", socket);
                dup2(null, STDOUT_FILENO);
                execl(ctl, ctl, option, json, "--no-pager", "orphans", NULL);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
                die(ctl);
        return now_msec() - start;
}

static int compare(const void *a, const void *b)
{
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static void measure(const char *ctl, const char *socket, const char *json, const char *what)
{
        double times[ROUNDS];

        for (int i = 0; i < ROUNDS; i++)
                times[i] = ask(ctl, socket, json);
        qsort(times, ROUNDS, sizeof(*times), compare);
        printf("orphans, %s: %.0f ms (median of %d; %.0f to %.0f) with %d maps, %u of them orphans\n", what,
                        times[ROUNDS / 2], ROUNDS, times[0], times[ROUNDS - 1], MAPS, MAPS - held);
}

int main(int argc, char *argv[])
{
        if (argc != 3) {
                fprintf(stderr, "orphans CTL SOCKET\n");
                return 1;
        }
        if (!mkdtemp(directory))
                die(directory);
        atexit(clean_up);
        if (mount("bpf", directory, "bpf", 0, NULL) < 0)
                die("bpffs");
        make_maps();
        measure(argv[1], argv[2], "--json=off", "as a table");
        measure(argv[1], argv[2], "--json=short", "as JSON");
        return 0;
}
