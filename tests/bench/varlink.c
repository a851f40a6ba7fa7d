/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make bench: what the API costs. "varlink objects SOCKET PID" asks the daemon PID for all objects: end-to-end time and
 * CPU time (the daemon's and this client's) beside those of bpftool map show -j. "varlink calls SOCKET PID" asks for
 * one cgroup, over one connection as fast as it answers, and at a steady rate over 200; beside it, what this machine
 * takes for the same bytes to and from a server that does nothing else. Prints figures; judges nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/client.h"

#define CALLS       50000
#define PENDING     16
#define ROUNDS      5
#define STEADY_SEC  5
#define STEADY_RATE 4000 /* calls a second, all connections */
/* A user has 64 connections at most: so many users share them. */
#define USERS        4
#define USER_CLIENTS 50

static const char get_cgroup[] = "{\"method\":\"io.bpfbudget.GetCgroup\",\"parameters\":{\"cgroup\":\"/\"}}";
static const char list_objects[] = "{\"method\":\"io.bpfbudget.ListObjects\",\"more\":true}";

static void die(const char *what)
{
        fprintf(stderr, "varlink: %s: %s\n", what, strerror(errno));
        exit(1);
}

static uint64_t now_usec(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* CPU time of process @pid. */
static uint64_t cpu_usec(pid_t pid)
{
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0)
                die("the daemon's CPU clock");
        return now_usec(clock);
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

static void connect_to(struct client *client, const char *path)
{
        int r = client_connect(client, path);

        if (r < 0) {
                errno = -r;
                die(path);
        }
}

static void ask(struct client *client)
{
        size_t length;

        if (client_send(client, get_cgroup) < 0 || !client_receive(client, -1, &length))
                die("GetCgroup");
}

/* --- The bare server ---------------------------------------------------------------------------------------------- */

/* Answers whatever comes with @reply, until it is killed. */
static void serve_bare(int listener, const char *reply, size_t size)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
        char call[4096];

        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
                die("epoll");
        while (epoll_wait(epoll, &event, 1, -1) == 1 || errno == EINTR) {
                int fd = event.data.fd;

                if (fd == listener) {
                        event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                        if (event.data.fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
                                die("accept");
                } else if (read(fd, call, sizeof(call)) <= 0) {
                        close(fd);
                } else if (send(fd, reply, size, MSG_NOSIGNAL) < 0 && errno != EPIPE)
                        die("send");
        }
        die("epoll_wait");
}

/* Starts one at @path.bare, with replies of @size bytes. Returns its process; *address is where it listens. */
static pid_t start_bare(const char *path, size_t size, struct sockaddr_un *address)
{
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char *reply = malloc(size);
        pid_t pid;

        if (!reply || listener < 0)
                die("the bare server");
        address->sun_family = AF_UNIX;
        if (snprintf(address->sun_path, sizeof(address->sun_path), "%s.bare", path) >=
                        (int) sizeof(address->sun_path)) {
                errno = ENAMETOOLONG;
                die(path);
        }
        memset(reply, 'x', size - 1);
        reply[size - 1] = '\0';
        if (bind(listener, (struct sockaddr *) address, sizeof(*address)) < 0 || chmod(address->sun_path, 0666) < 0 ||
                        listen(listener, SOMAXCONN) < 0)
                die(address->sun_path);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve_bare(listener, reply, size);
        }
        if (pid < 0)
                die("fork");
        free(reply);
        close(listener);
        return pid;
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

struct rate {
        double calls_sec, cpu_usec;
        size_t size; /* of a reply */
};

/* Asks over one connection, with up to @pending calls that are not answered yet. */
static struct rate one_connection(const char *path, pid_t pid, int pending)
{
        uint64_t start, cpu, usec;
        struct client client;
        int sent = 0;
        size_t size;

        connect_to(&client, path);
        start = now_usec(CLOCK_MONOTONIC);
        cpu = cpu_usec(pid);
        for (int i = 0; i < CALLS; i++) {
                for (; sent < CALLS && sent - i < pending; sent++)
                        if (client_send(&client, get_cgroup) < 0)
                                die("GetCgroup");
                if (!client_receive(&client, -1, &size))
                        die("GetCgroup");
        }
        usec = now_usec(CLOCK_MONOTONIC) - start;
        cpu = cpu_usec(pid) - cpu;
        client_close(&client);
        return (struct rate){ .calls_sec = 1e6 * CALLS / usec, .cpu_usec = 1.0 * cpu / CALLS, .size = size };
}

/* One user's connections in turn, at their share of the rate. Writes the latencies in microseconds to @out. */
static void steady_user(const char *path, int user, int out)
{
        const uint64_t interval = 1000000ULL * USERS / STEADY_RATE, count = (uint64_t) STEADY_SEC * STEADY_RATE / USERS;
        struct client clients[USER_CLIENTS];
        uint64_t *latencies = calloc(count, sizeof(*latencies)), start;

        if (!latencies || setuid(50000 + user) < 0)
                die("setuid");
        for (int i = 0; i < USER_CLIENTS; i++)
                connect_to(&clients[i], path);
        /* All are there. */
        sleep(1);
        start = now_usec(CLOCK_MONOTONIC) + user * interval / USERS;
        for (uint64_t i = 0; i < count; i++) {
                uint64_t due = start + i * interval;
                struct timespec ts = { due / 1000000, due % 1000000 * 1000 };

                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
                due = now_usec(CLOCK_MONOTONIC);
                ask(&clients[i % USER_CLIENTS]);
                latencies[i] = now_usec(CLOCK_MONOTONIC) - due;
        }
        for (size_t done = 0; done < count * sizeof(*latencies);) {
                ssize_t n = write(out, (char *) latencies + done, count * sizeof(*latencies) - done);

                if (n < 0)
                        die("write");
                done += n;
        }
        _exit(0);
}

static void many_connections(const char *what, const char *path)
{
        const size_t count = (size_t) STEADY_SEC * STEADY_RATE;
        uint64_t *latencies = calloc(count, sizeof(*latencies));
        pid_t users[USERS];
        size_t got = 0;
        int out[2];
        ssize_t n;

        if (!latencies || pipe(out) < 0)
                die("pipe");
        for (int user = 0; user < USERS; user++)
                if ((users[user] = fork()) == 0)
                        steady_user(path, user, out[1]);
        close(out[1]);
        while ((n = read(out[0], (char *) latencies + got, count * sizeof(*latencies) - got)) > 0)
                got += n;
        for (int user = 0; user < USERS; user++)
                waitpid(users[user], NULL, 0);
        got /= sizeof(*latencies);
        if (got == 0)
                die("no latencies");
        qsort(latencies, got, sizeof(*latencies), compare);
        printf("%s on %d connections, %d calls/s: median %llu us, p99 %llu us, largest %llu us\n", what,
                        USERS * USER_CLIENTS, STEADY_RATE, (unsigned long long) latencies[got / 2],
                        (unsigned long long) latencies[got * 99 / 100], (unsigned long long) latencies[got - 1]);
        free(latencies);
}

static void calls(const char *path, pid_t pid)
{
        struct rate ours = one_connection(path, pid, 1), pipelined = one_connection(path, pid, PENDING), bare;
        struct sockaddr_un address;
        pid_t server = start_bare(path, ours.size + 1, &address);

        bare = one_connection(address.sun_path, server, 1);
        printf("GetCgroup on one connection, one at a time: %.0f calls/s, %.1f us of the daemon's CPU a call; "
               "a bare server: %.0f calls/s, %.1f us; %.0f %% of its calls\n",
                        ours.calls_sec, ours.cpu_usec, bare.calls_sec, bare.cpu_usec,
                        100 * ours.calls_sec / bare.calls_sec);
        printf("GetCgroup on one connection, %d at a time: %.0f calls/s, %.1f us of the daemon's CPU a call\n", PENDING,
                        pipelined.calls_sec, pipelined.cpu_usec);
        many_connections("GetCgroup", path);
        many_connections("a bare server", address.sun_path);
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        unlink(address.sun_path);
}

struct cost {
        uint64_t usec, cpu_usec;
};

static struct cost ask_objects(const char *path, pid_t pid, size_t *bytes)
{
        uint64_t start = now_usec(CLOCK_MONOTONIC), cpu = cpu_usec(pid) + now_usec(CLOCK_PROCESS_CPUTIME_ID);
        struct client client;
        const char *reply;
        size_t length;

        connect_to(&client, path);
        if (client_send(&client, list_objects) < 0)
                die("ListObjects");
        *bytes = 0;
        do {
                reply = client_receive(&client, -1, &length);
                if (!reply)
                        die("ListObjects");
                *bytes += length;
        } while (length > 17 && memcmp(reply + length - 17, "\"continues\":true}", 17) == 0);
        client_close(&client);
        return (struct cost){
                .usec = now_usec(CLOCK_MONOTONIC) - start,
                .cpu_usec = cpu_usec(pid) + now_usec(CLOCK_PROCESS_CPUTIME_ID) - cpu,
        };
}

static uint64_t usec_of(const struct rusage *usage)
{
        return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000ULL + usage->ru_utime.tv_usec +
               usage->ru_stime.tv_usec;
}

static struct cost run_bpftool(void)
{
        uint64_t start = now_usec(CLOCK_MONOTONIC);
        struct rusage usage;
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);

                dup2(null, STDOUT_FILENO);
                execlp("bpftool", "bpftool", "map", "show", "-j", NULL);
                _exit(127);
        }
        if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
                die("bpftool");
        return (struct cost){ .usec = now_usec(CLOCK_MONOTONIC) - start, .cpu_usec = usec_of(&usage) };
}

/* The one of the rounds with the median of CPU time. */
static int compare_costs(const void *a, const void *b)
{
        const struct cost *x = a, *y = b;

        return (x->cpu_usec > y->cpu_usec) - (x->cpu_usec < y->cpu_usec);
}

static void all_objects(const char *path, pid_t pid)
{
        struct cost ours[ROUNDS], theirs[ROUNDS];
        size_t bytes = 0;

        for (int i = 0; i < ROUNDS; i++) {
                ours[i] = ask_objects(path, pid, &bytes);
                theirs[i] = run_bpftool();
        }
        qsort(ours, ROUNDS, sizeof(*ours), compare_costs);
        qsort(theirs, ROUNDS, sizeof(*theirs), compare_costs);
        printf("ListObjects, %zu bytes: %.1f ms end to end, %.1f ms CPU; bpftool map show -j: %.1f ms, %.1f ms CPU; "
               "%.1f times less\n",
                        bytes, ours[ROUNDS / 2].usec / 1e3, ours[ROUNDS / 2].cpu_usec / 1e3,
                        theirs[ROUNDS / 2].usec / 1e3, theirs[ROUNDS / 2].cpu_usec / 1e3,
                        1.0 * theirs[ROUNDS / 2].cpu_usec / ours[ROUNDS / 2].cpu_usec);
}

int main(int argc, char *argv[])
{
        pid_t pid = argc == 4 ? atoi(argv[3]) : 0;

        if (pid <= 0) {
                fprintf(stderr, "usage: varlink objects|calls SOCKET PID\n");
                return 1;
        }
        setbuf(stdout, NULL);
        if (strcmp(argv[1], "objects") == 0) {
                all_objects(argv[2], pid);
                return 0;
        }
        calls(argv[2], pid);
        return 0;
}
