/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon as a process: what it tells the service manager, signals, its socket, exit statuses, and that it takes
 * growth by itself. Which event leads to what: tests/unit/test-daemon.c.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

#define MIB          (1024 * 1024)
#define TIMEOUT_MSEC 60000

/* --- The service manager ------------------------------------------------------------------------------------------ */

static char config[64];

/* A socket in the configuration's directory, to which the daemons that are started next send what they notify. */
static int listen_notify(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", config);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        return fd;
}

/* The next message; fails when there is none of those awaited, @text, in time: the watchdog goes on and on. */
static const char *next_message(int fd, const char *text, time_t end)
{
        static char message[512];
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (time(NULL) > end || poll(&ready, 1, TIMEOUT_MSEC) != 1)
                fail_msg("the daemon has not said %s", text);
        n = recv(fd, message, sizeof(message) - 1, 0);
        assert_true(n >= 0);
        message[n] = '\0';
        return message;
}

/* Waits for a message that has @text in it, and returns it; those before that have not are in *others. */
static const char *wait_notify(int fd, const char *text, unsigned int *others)
{
        time_t end = time(NULL) + TIMEOUT_MSEC / 1000;

        for (*others = 0;; (*others)++) {
                const char *message = next_message(fd, text, end);

                if (strstr(message, text))
                        return message;
        }
}

/* Waits until there was a message with @a and one with @b, in whatever order. */
static void wait_notify_both(int fd, const char *a, const char *b)
{
        time_t end = time(NULL) + TIMEOUT_MSEC / 1000;
        bool seen_a = false, seen_b = false;

        while (!seen_a || !seen_b) {
                const char *message = next_message(fd, seen_a ? b : a, end);

                seen_a |= strstr(message, a) != NULL;
                seen_b |= strstr(message, b) != NULL;
        }
}

static int teardown(void **state)
{
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        return harness_teardown(state);
}

static void make_map(void *argument)
{
        (void) argument;
        if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_daemon", 4, MIB, 1, NULL) < 0)
                _exit(1);
}

/* From the start to the end; what changes is told without a question, and growth is followed without one. */
static void test_notify(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        unsigned int others;
        unsigned long long usec;
        const char *message;
        int fd;

        (void) state;
        config_make(config);
        fd = listen_notify();
        /* Twice a second the watchdog is told. */
        setenv("WATCHDOG_USEC", "1000000", 1);
        live_start_with(&daemon, NULL, config);
        message = wait_notify(fd, "STATUS=", &others);
        assert_int_equal(others, 0);
        assert_non_null(strstr(message, " of BPF memory, 0 over High"));
        wait_notify(fd, "READY=1", &others);
        assert_int_equal(others, 0);
        wait_notify(fd, "WATCHDOG=1", &others);
        cgroup_make(&cgroup, NULL, "notify");
        worker_start(&worker, &cgroup, make_map, NULL);
        wait_notify(fd, "STATUS=", &others);

        config_write_budget(config, "test.budget", &cgroup, "High=100K");
        assert_int_equal(kill(daemon.pid, SIGHUP), 0);
        message = wait_notify(fd, "RELOADING=1", &others);
        assert_int_equal(sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
        /* The reload has ended, and the flush with the new budget, which comes before that or after it. */
        wait_notify_both(fd, "READY=1", "1 over High");
        free(live_wait_log(&daemon, "Configuration reloaded: 1 budgets"));
        worker_end(&worker);
        wait_notify(fd, " 0 over High", &others);
        assert_int_equal(kill(daemon.pid, SIGTERM), 0);
        wait_notify(fd, "STOPPING=1", &others);
        assert_int_equal(live_reap(&daemon), 0);
        close(fd);
        cgroup_remove(&cgroup);
}

/* --- Signals ------------------------------------------------------------------------------------------------------ */

/* SIGINT ends it as SIGTERM does, with what it did in a line; its socket goes with it. */
static void test_end(void **state)
{
        _cleanup_free_ char *log = NULL;
        unsigned long long wakeups, flushes;
        struct live_daemon daemon;
        struct stat st;

        (void) state;
        config_make(config);
        live_start_with(&daemon, NULL, config);
        assert_int_equal(stat(daemon.socket, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        json_decref(live_report(&daemon));
        json_decref(live_report(&daemon));
        assert_int_equal(kill(daemon.pid, SIGINT), 0);
        log = live_wait_log(&daemon, ", drift: ");
        assert_non_null(strstr(log, "Received SIGINT: stopping"));
        assert_int_equal(sscanf(strstr(log, "Wake-ups: "), "Wake-ups: %llu, flushes: %llu", &wakeups, &flushes), 2);
        /* The start and two reports are three. */
        assert_true(flushes >= 3);
        assert_int_equal(live_reap(&daemon), 0);
        assert_int_equal(stat(daemon.socket, &st), -1);
}

/* A reader that goes away is not the end of it. */
static void test_reader_gone(void **state)
{
        struct live_daemon daemon;

        (void) state;
        config_make(config);
        live_start_with(&daemon, NULL, config);
        close(daemon.out);
        assert_int_equal(kill(daemon.pid, SIGUSR1), 0);
        free(live_wait_log(&daemon, "The report cannot be written"));
        daemon.out = -1;
        assert_int_equal(live_end(&daemon), 0);
}

/* --- The socket --------------------------------------------------------------------------------------------------- */

/* Another daemon's socket is neither taken nor unlinked, and one that cannot be made ends the start. */
static void test_socket(void **state)
{
        _cleanup_free_ char *taken = NULL, *missing = NULL;
        struct live_daemon daemon;
        char option[96], path[128];
        struct stat before, after;
        int status;

        (void) state;
        config_make(config);
        live_start_with(&daemon, NULL, config);
        assert_int_equal(stat(daemon.socket, &before), 0);
        snprintf(option, sizeof(option), "--config=%s", config);
        taken = daemon_errors(&status, option, "--socket", daemon.socket, NULL);
        assert_int_equal(status, EXIT_FAILURE);
        assert_non_null(strstr(taken, "another daemon listens there"));
        assert_int_equal(stat(daemon.socket, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(live_end(&daemon), 0);
        snprintf(path, sizeof(path), "%s/none/socket", config);
        missing = daemon_errors(&status, option, "--socket", path, NULL);
        assert_int_equal(status, EXIT_FAILURE);
        assert_non_null(strstr(missing, "cannot be served: No such file or directory"));
}

/* --- Options ------------------------------------------------------------------------------------------------------ */

static char *output(int expected, const char *first, const char *second)
{
        int status;
        char *text = daemon_run(&status, first, second, NULL);

        assert_int_equal(status, expected);
        return text;
}

static void test_output(void **state)
{
        _cleanup_free_ char *help = output(0, "--help", NULL), *version = output(0, "--version", NULL);
        _cleanup_free_ char *line = output(0, "--once", NULL), *same = output(0, "--once", "--json");
        _cleanup_free_ char *pretty = output(0, "--once", "--json=pretty");
        json_t *report;

        (void) state;
        assert_non_null(strstr(help, "--once  "));
        assert_non_null(strstr(help, "Exit status: 0 success"));
        assert_memory_equal(version, "bpfbudgetd ", 11);
        assert_ptr_equal(strchr(version, '\n'), version + strlen(version) - 1);
        /* Elsewhere than on a terminal it is one line. */
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        assert_ptr_equal(strchr(same, '\n'), same + strlen(same) - 1);
        report = json_loads(line, 0, NULL);
        assert_non_null(report);
        json_decref(report);
        assert_memory_equal(pretty, "{\n  ", 4);
        report = json_loads(pretty, 0, NULL);
        assert_non_null(report);
        json_decref(report);
}

/* Tables are bpfbudgetctl's: what makes them is not loaded into the daemon. */
static void test_libraries(void **state)
{
        int fd = open(getenv("BPFBUDGETD") ?: "./bpfbudgetd", O_RDONLY | O_CLOEXEC);
        struct stat st;
        char *program;

        (void) state;
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        program = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(program != MAP_FAILED);
        assert_non_null(memmem(program, st.st_size, "libbpf.so", strlen("libbpf.so")));
        assert_null(memmem(program, st.st_size, "libsmartcols.so", strlen("libsmartcols.so")));
        munmap(program, st.st_size);
        close(fd);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_notify),
                TEST(test_end),
                TEST(test_reader_gone),
                TEST(test_socket),
                TEST(test_output),
                TEST(test_libraries),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
