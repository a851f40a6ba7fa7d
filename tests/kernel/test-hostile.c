/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Four users with 64 connections each who want the daemon dead, or busy with nothing but them, while it watches 5,000
 * maps: its memory stays bounded, and root is always answered. How soon is printed, not judged.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "harness.h"
#include "tests/client.h"

#define TIMEOUT_MSEC 60000

#define FIRST_UID    4242
#define USERS        4
#define USER_CLIENTS 64

/* Of root's question, while they are at it. */
#define ROUNDS      100
#define RSS_MAX_KIB (32 * 1024)

/* What bpfbudgetctl status asks. */
static const char *const questions[] = {
        "{\"method\":\"org.varlink.service.GetInfo\"}",
        "{\"method\":\"io.bpfbudget.GetStatistics\"}",
        "{\"method\":\"io.bpfbudget.GetCgroup\",\"parameters\":{\"cgroup\":\"/\"}}",
        "{\"method\":\"io.bpfbudget.ListBudgets\",\"more\":true}",
        "{\"method\":\"io.bpfbudget.GetCapabilities\",\"more\":true}",
};

static const struct map_case maps = {
        .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1, .count = 5000
};

/* --- The hostile -------------------------------------------------------------------------------------------------- */

/* Sends the @size bytes as far as the daemon takes them. */
static void send_some(int fd, const char *bytes, size_t size)
{
        if (send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE)
                close(fd);
}

/* Each asks for all there is, with all that can be asked, and never reads it. */
static void leave_list(struct client *clients)
{
        static const char *const calls[] = {
                "{\"method\":\"io.bpfbudget.ListObjects\"}",
                "{\"method\":\"io.bpfbudget.ListObjects\",\"more\":true}",
                "{\"method\":\"io.bpfbudget.ListObjects\",\"parameters\":{\"holders\":true,\"uses\":true}}",
                "{\"method\":\"io.bpfbudget.ListObjects\",\"more\":true,\"parameters\":{\"holders\":true}}",
        };

        for (size_t i = 0; i < USER_CLIENTS; i++)
                send_some(clients[i].fd, calls[i % 4], strlen(calls[i % 4]) + 1);
}

/* Each asks a thousand times for ten kilobytes, and reads none of it. */
static void leave_replies(struct client *clients)
{
        static const char call[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                                   "{\"interface\":\"io.bpfbudget\"}}";

        for (size_t n = 0; n < 1000; n++)
                for (size_t i = 0; i < USER_CLIENTS; i++)
                        send_some(clients[i].fd, call, sizeof(call));
}

/* Each sends as much as a call may be long, and never ends it. */
static void begin_long_calls(struct client *clients)
{
        static const char start[] = "{\"method\":\"";
        static char text[4096];

        memset(text, 'x', sizeof(text));
        for (size_t i = 0; i < USER_CLIENTS; i++)
                send_some(clients[i].fd, start, strlen(start));
        for (size_t n = 0; n < 1000 * 1000 / sizeof(text); n++)
                for (size_t i = 0; i < USER_CLIENTS; i++)
                        send_some(clients[i].fd, text, sizeof(text));
}

/* Reads what has come of @fd. */
static void take_replies(int fd)
{
        static char text[1 << 16];

        while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
                ;
}

/* All ask what takes longest to answer, and as soon as it is answered again. */
static void ask_on_and_on(struct client *clients)
{
        static const char *const calls[] = {
                "{\"method\":\"io.bpfbudget.GetCgroup\",\"parameters\":{\"cgroup\":\"/\"}}",
                "{\"method\":\"io.bpfbudget.Flush\"}",
                "{\"method\":\"io.bpfbudget.Explain\",\"parameters\":{\"cgroup\":\"/\"}}",
                "{\"method\":\"io.bpfbudget.ListObjects\"}",
        };
        struct pollfd answered[USER_CLIENTS];

        for (size_t i = 0; i < USER_CLIENTS; i++) {
                answered[i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
                send_some(clients[i].fd, calls[i % 4], strlen(calls[i % 4]) + 1);
        }
        while (poll(answered, USER_CLIENTS, -1) > 0)
                for (size_t i = 0; i < USER_CLIENTS; i++) {
                        if (!answered[i].revents)
                                continue;
                        take_replies(clients[i].fd);
                        send_some(clients[i].fd, calls[i % 4], strlen(calls[i % 4]) + 1);
                }
}

/* All close, and connect again at once. */
static void reconnect(struct client *clients)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);

        if (getpeername(clients[0].fd, (struct sockaddr *) &address, &size) < 0)
                return;
        for (size_t i = 1; i < USER_CLIENTS; i++) {
                close(clients[i].fd);
                clients[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void) !connect(clients[i].fd, (struct sockaddr *) &address, size);
        }
}

static const struct attack {
        const char *name;
        void (*act)(struct client *clients);
        bool again; /* without end */
} attacks[] = {
        { "nobody", NULL, false },
        { "lists unread", leave_list, false },
        { "replies unread", leave_replies, false },
        { "half calls of 1 MB", begin_long_calls, false },
        { "calls without end", ask_on_and_on, true },
        { "connections without end", reconnect, true },
};

/* Is one of the users: tells @ready when all is done, or begins, and goes on until it is killed. */
static void attack_as(uid_t uid, const char *socket, const struct attack *attack, int ready)
{
        struct client clients[USER_CLIENTS];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
                _exit(1);
        signal(SIGPIPE, SIG_IGN);
        /* The figures are to tell what the daemon does with them, not what the scheduler does. */
        (void) !nice(10);
        for (size_t i = 0; i < USER_CLIENTS; i++)
                if (client_connect(&clients[i], socket) < 0)
                        _exit(1);
        if (!attack->again && attack->act)
                attack->act(clients);
        if (write(ready, "", 1) != 1)
                _exit(1);
        while (attack->again)
                attack->act(clients);
        for (;;)
                pause();
}

/* --- Root --------------------------------------------------------------------------------------------------------- */

/* Asks what bpfbudgetctl status does, by a connection of its own. Returns how long it took, in microseconds. */
static uint64_t ask_status(const char *socket)
{
        uint64_t start = now_usec();
        struct client client;

        assert_int_equal(client_connect(&client, socket), 0);
        for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
                size_t length;
                const char *reply;

                assert_int_equal(client_send(&client, questions[i]), 0);
                reply = client_receive(&client, TIMEOUT_MSEC, &length);
                if (!reply)
                        fail_msg("root is not answered: %s", questions[i]);
                assert_non_null(strstr(reply, "\"parameters\""));
                assert_null(strstr(reply, "\"error\""));
        }
        client_close(&client);
        return now_usec() - start;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

/* CPU time of the daemon. */
static uint64_t cpu_usec(const struct live_daemon *daemon)
{
        struct timespec time;
        clockid_t clock;

        assert_int_equal(clock_getcpuclockid(daemon->pid, &clock), 0);
        assert_int_equal(clock_gettime(clock, &time), 0);
        return (uint64_t) time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* What the attack does to root and to the daemon. */
static void stand(const struct live_daemon *daemon, const struct attack *attack)
{
        uint64_t took[ROUNDS], start = now_usec(), cpu = cpu_usec(daemon);
        long rss = 0;

        for (size_t i = 0; i < ROUNDS; i++) {
                long now;

                took[i] = ask_status(daemon->socket);
                now = live_rss(daemon);
                rss = now > rss ? now : rss;
                sleep_msec(10);
        }
        qsort(took, ROUNDS, sizeof(*took), compare);
        print_message("# %s: status of root p50 %.1f ms, p99 %.1f ms, all of %d answered; RSS at most %.1f MiB; the "
                      "daemon at %.0f %% of a CPU\n",
                        attack->name, took[ROUNDS / 2] / 1e3, took[ROUNDS * 99 / 100 - 1] / 1e3, ROUNDS, rss / 1024.0,
                        100.0 * (cpu_usec(daemon) - cpu) / (now_usec() - start));
#if !HARNESS_ASAN
        assert_in_range(rss, 1, RSS_MAX_KIB);
#endif
}

static void run_attack(const struct live_daemon *daemon, const struct attack *attack)
{
        pid_t users[USERS];
        int ready[2], status;
        char byte;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        for (size_t i = 0; i < USERS; i++) {
                users[i] = fork();
                assert_true(users[i] >= 0);
                if (users[i] == 0)
                        attack_as(FIRST_UID + i, daemon->socket, attack, ready[1]);
        }
        close(ready[1]);
        for (size_t i = 0; i < USERS; i++)
                assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        stand(daemon, attack);
        for (size_t i = 0; i < USERS; i++) {
                kill(users[i], SIGKILL);
                assert_int_equal(waitpid(users[i], &status, 0), users[i]);
        }
}

static void test_hostile(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64];

        (void) state;
        config_make(config);
        live_be_quiet();
        live_start_with(&daemon, NULL, config);
        assert_int_equal(chmod(daemon.socket, 0666), 0);
        assert_int_equal(chmod(config, 0711), 0);
        cgroup_make(&cgroup, NULL, "hostile");
        worker_start(&worker, &cgroup, create_maps, (void *) &maps);
        ask_status(daemon.socket);
        print_message("# 5,000 maps: RSS %.1f MiB\n", live_rss(&daemon) / 1024.0);
        for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
                run_attack(&daemon, &attacks[i]);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                { .name = "test_hostile", .test_func = test_hostile, .teardown_func = harness_teardown },
        };
        int r = harness_main();

        return r > 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
