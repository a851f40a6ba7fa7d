/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: from exec to READY=1 of the daemon given by argv[1], as systemd sees it: a number of starts, each ended
 * by SIGTERM. Prints the distribution, and what the memory of the idle daemon is; judges nothing. Needs root.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STARTS       11
#define TIMEOUT_MSEC 30000

/* No configuration of this machine, and nothing of it is written. */
static char directory[] = "/tmp/bpfbudget-start-XXXXXX";
static char path[64];

static void die(const char *what)
{
        fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
        unlink(path);
        rmdir(directory);
        exit(1);
}

static double now_msec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static int listen_notify(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (!mkdtemp(directory))
                die(directory);
        snprintf(path, sizeof(path), "%s/notify", directory);
        strcpy(address.sun_path, path);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                die(path);
        return fd;
}

static pid_t spawn(const char *program)
{
        char option[64];
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;
        snprintf(option, sizeof(option), "--config=%s", directory);
        setenv("NOTIFY_SOCKET", path, 1);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
                _exit(1);
        execl(program, program, option, NULL);
        _exit(1);
}

static void wait_ready(int fd)
{
        double end = now_msec() + TIMEOUT_MSEC;
        char text[4096];

        for (;;) {
                struct pollfd wait = { .fd = fd, .events = POLLIN };
                ssize_t n;

                errno = ETIMEDOUT;
                if (now_msec() > end || poll(&wait, 1, TIMEOUT_MSEC) <= 0)
                        die("READY=1");
                n = recv(fd, text, sizeof(text) - 1, 0);
                text[n > 0 ? n : 0] = '\0';
                if (strstr(text, "READY=1"))
                        return;
        }
}

static void print_memory(pid_t pid)
{
        char status[64], line[256];
        FILE *file;

        snprintf(status, sizeof(status), "/proc/%d/status", pid);
        file = fopen(status, "re");
        while (file && fgets(line, sizeof(line), file))
                if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmHWM:", 6) == 0)
                        printf("after READY=1: %s", line);
        if (file)
                fclose(file);
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

int main(int argc, char *argv[])
{
        double taken[STARTS];
        int fd;

        if (argc != 2)
                return 1;
        fd = listen_notify();
        for (int i = 0; i < STARTS; i++) {
                double begin = now_msec();
                pid_t pid = spawn(argv[1]);

                wait_ready(fd);
                taken[i] = now_msec() - begin;
                if (i == STARTS - 1)
                        print_memory(pid);
                kill(pid, SIGTERM);
                waitpid(pid, NULL, 0);
        }
        unlink(path);
        rmdir(directory);
        qsort(taken, STARTS, sizeof(taken[0]), compare);
        printf("start to READY=1: median %.0f ms, best %.0f ms, worst %.0f ms\n", taken[STARTS / 2], taken[0],
                        taken[STARTS - 1]);
        return 0;
}
