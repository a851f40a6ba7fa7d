/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's loop, and what the service manager is told: daemon/daemon.c itself, with functions of the test for all
 * that it calls. Events happen when a test says so, and time stands still. As a process: tests/kernel/test-daemon.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int fake_mkdir(const char *path, mode_t mode);

#define mkdir(path, mode) fake_mkdir(path, mode)
#include "daemon/configlog.c"
#include "daemon/daemon.c"
#include "daemon/listen.c"
#include "daemon/names.c"
#include "daemon/runlog.c"
#undef mkdir

#include "fake-daemon.h"

struct event {
        int fd;
        short what;
        event_callback_fn callback;
        void *context;
        bool waits;
        struct timeval wait;
        unsigned int added;
};

static struct {
        struct event events[16];
        size_t event_count;
        bool looped, loop_ended;
        void (*loop)(struct daemon *daemon); /* what happens in it */
} fake_loop;

static struct event *find_event(event_callback_fn callback);

static int fake_mkdir(const char *path, mode_t mode)
{
        assert_string_equal(path, "/run/bpfbudget");
        assert_int_equal(mode, 0755);
        call('m');
        errno = EEXIST;
        return -1;
}

int manager_init(struct manager *manager, const struct manager_options *options, struct config *config)
{
        call('G');
        assert_int_equal(options->ram, 123456);
        assert_ptr_equal(options->sink, on_event);
        *manager = (struct manager){ .monitor = options->monitor, .config = *config };
        *config = (struct config){};
        fake.manager_has_state_file = options->state_file != NULL;
        fake.manager_has_frozen_file = options->frozen_file != NULL;
        fake.manager_dry_run = options->dry_run;
        return fake.manager_result;
}

int api_new(const struct api_options *options, struct api **ret)
{
        call('A');
        fake.api_directory = options->directory;
        assert_ptr_equal(options->hooks.reload, reload);
        assert_ptr_equal(options->flushed, find_event(on_flushed));
        assert_non_null(options->monitor);
        assert_non_null(options->manager);
        *ret = (struct api *) &fake;
        return 0;
}

/* --- libevent ----------------------------------------------------------------------------------------------------- */

struct event_base *event_base_new(void)
{
        return (struct event_base *) &fake;
}

void event_base_free(struct event_base *base)
{
        assert_ptr_equal(base, &fake);
        call('b');
}

struct event *event_new(
                struct event_base *base, evutil_socket_t fd, short what, event_callback_fn callback, void *context)
{
        struct event *event = &fake_loop.events[fake_loop.event_count++];

        assert_ptr_equal(base, &fake);
        *event = (struct event){ .fd = fd, .what = what, .callback = callback, .context = context };
        return event;
}

void event_free(struct event *event)
{
        event->callback = NULL;
        event->waits = false;
}

int event_add(struct event *event, const struct timeval *wait)
{
        event->waits = true;
        event->added++;
        event->wait = wait ? *wait : (struct timeval){};
        return 0;
}

int event_del(struct event *event)
{
        event->waits = false;
        return 0;
}

int event_pending(const struct event *event, short what, struct timeval *wait)
{
        assert_int_equal(what, EV_TIMEOUT);
        assert_null(wait);
        return event->waits;
}

int event_base_loopbreak(struct event_base *base)
{
        assert_ptr_equal(base, &fake);
        fake_loop.loop_ended = true;
        return 0;
}

static struct event *find_event(event_callback_fn callback)
{
        for (size_t i = 0; i < fake_loop.event_count; i++)
                if (fake_loop.events[i].callback == callback)
                        return &fake_loop.events[i];
        return NULL;
}

int event_base_dispatch(struct event_base *base)
{
        struct event *event = find_event(on_updates);

        assert_ptr_equal(base, &fake);
        call('L');
        fake_loop.looped = true;
        if (fake_loop.loop)
                fake_loop.loop(event->context);
        return 0;
}

/* --- Helpers ------------------------------------------------------------------------------------------------------ */

#define FLUSH 10000ULL /* between two flushes: ten milliseconds */

static int setup(void **state)
{
        (void) state;
        reset_fake();
        memset(&fake_loop, 0, sizeof(fake_loop));
        return 0;
}

/* Runs the daemon with these options. Returns the exit status. */
static int run(const char *directory, const char *socket)
{
        struct daemon_options options = { .directory = directory, .socket = socket };

        return run_daemon(&options);
}

/* Runs the daemon, in whose loop @loop happens. */
static void run_loop(void (*loop)(struct daemon *daemon))
{
        fake_loop.loop = loop;
        assert_int_equal(run("/conf", NULL), 0);
        assert_true(fake_loop.looped);
}

static void fire(event_callback_fn callback)
{
        struct event *event = find_event(callback);

        assert_non_null(event);
        if (event->fd < 0)
                event->waits = event->what & EV_PERSIST;
        event->callback(event->fd, event->what, event->context);
}

static uint64_t wait_of(event_callback_fn callback)
{
        const struct event *event = find_event(callback);

        assert_non_null(event);
        assert_true(event->waits);
        assert_in_range(event->wait.tv_usec, 0, 999999);
        return event->wait.tv_sec * SECOND + event->wait.tv_usec;
}

static bool waits(event_callback_fn callback)
{
        const struct event *event = find_event(callback);

        return event && event->waits;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

/* The system's daemon: pauses that another one has left are ended before all else. */
static void test_run(void **state)
{
        (void) state;
        fake.budgets = 2;
        assert_int_equal(run(NULL, NULL), 0);
        assert_string_equal(fake.calls, "FcMmGAaLBHbN");
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 1000B of BPF memory, 0 over High\n"
                                           "READY=1\nSTOPPING=1\n");
        assert_logged("<6>Watching 4 BPF objects in 3 cgroups, 2 budgets");
        assert_logged("<6>Wake-ups: 10, flushes: 11, updated cgroups: 16, full passes: 12 (the last took 13 us), "
                      "overflows: 14, drift: 15");
        assert_true(fake.kernel_options.sensors);
        assert_true(fake.kernel_options.relations);
        assert_false(fake.kernel_options.probe_only);
        assert_int_equal(fake.kernel_options.cgroups_max, 99);
        assert_null(fake.config_directory);
        assert_true(fake.manager_has_state_file);
        assert_true(fake.manager_has_frozen_file);
        assert_string_equal(fake.owners_file, "/run/bpfbudget/owners");
        assert_false(fake.manager_dry_run);
        assert_string_equal(fake.api_path, API_SOCKET);
        assert_string_equal(fake.api_directory, "/run/bpfbudget");
        assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
}

/* One with a configuration of its own leaves alone what is the system's. */
static void test_run_with_directory(void **state)
{
        (void) state;
        assert_int_equal(run("/conf", NULL), 0);
        assert_string_equal(fake.calls, "cMGAaLBHbN");
        assert_string_equal(fake.config_directory, "/conf");
        assert_false(fake.manager_has_state_file);
        assert_false(fake.manager_has_frozen_file);
        assert_null(fake.api_path);
        assert_string_equal(fake.api_directory, "/conf");
        setup(NULL);
        assert_int_equal(run("/conf", "/s"), 0);
        assert_string_equal(fake.api_path, "/s");
        setup(NULL);
        assert_int_equal(run(NULL, "/s"), 0);
        assert_string_equal(fake.api_path, "/s");
        assert_true(fake.manager_has_state_file);
}

static void test_dry_run(void **state)
{
        struct daemon_options options = { .dry_run = true };

        (void) state;
        assert_int_equal(run_daemon(&options), 0);
        assert_string_equal(fake.calls, "cMmGAaLBHbN");
        assert_null(fake.owners_file);
        assert_true(fake.manager_dry_run);
}

static void history_is_told(struct daemon *daemon)
{
        struct budget_event event = { .publish = true, .alert = true };
        unsigned int takes = fake.history_takes;

        assert_true(fake.history_wanted && !fake.history_system);
        fire(on_updates);
        assert_true(fake.history_takes > takes);
        fire(on_names);
        assert_int_equal(fake.history_names, 1);
        on_event(daemon, &event);
        assert_ptr_equal(fake.history_event, &event);
        fake.settings.history = false;
        fire(on_reload);
        assert_false(fake.history_wanted);
        fake.settings.history = true;
        fire(on_reload);
}

/* The history hears of all that it is about, follows History=, and ends with the daemon. */
static void test_history(void **state)
{
        (void) state;
        fake.settings.history = true;
        run_loop(history_is_told);
        assert_int_equal(fake.history_starts, 3);
        assert_int_equal(fake.history_ends, 1);
        /* A disk that hangs is no reason to leave somebody paused. */
        assert_non_null(strstr(fake.calls, "BHhbN"));
        setup(NULL);
        assert_int_equal(run(NULL, NULL), 0);
        assert_true(!fake.history_wanted && fake.history_system);
}

/* systemd does not start again what would end in the same way. */
static void test_exit_statuses(void **state)
{
        static const struct {
                int config, monitor, manager, api, status;
                unsigned int errors;
                const char *calls;
        } cases[] = {
                { .config = -EINVAL, .errors = 2, .status = EX_CONFIG, .calls = "cBHN" },
                { .config = -ENOMEM, .status = EXIT_FAILURE, .calls = "cBHN" },
                { .config = -EMFILE, .errors = 1, .status = EXIT_FAILURE, .calls = "cBHN" },
                { .monitor = -EPERM, .status = EX_UNAVAILABLE, .calls = "cMBHN" },
                { .monitor = -EOPNOTSUPP, .status = EX_UNAVAILABLE, .calls = "cMBHN" },
                { .monitor = -EIO, .status = EXIT_FAILURE, .calls = "cMBHN" },
                { .manager = -ENOMEM, .status = EXIT_FAILURE, .calls = "cMGBHN" },
                { .manager = -EOPNOTSUPP, .status = EX_UNAVAILABLE, .calls = "cMGBHN" },
                { .api = -EADDRINUSE, .status = EXIT_FAILURE, .calls = "cMGABHbN" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.config_result = cases[i].config;
                fake.config_errors = cases[i].errors;
                fake.monitor_result = cases[i].monitor;
                fake.manager_result = cases[i].manager;
                fake.api_result = cases[i].api;
                assert_int_equal(run("/conf", "/s"), cases[i].status);
                assert_string_equal(fake.calls, cases[i].calls);
                assert_string_equal(fake.notified, "");
                if (cases[i].status == EX_CONFIG)
                        assert_logged("<3>2 errors in the configuration;");
                else
                        assert_not_logged("errors in the configuration");
                if (cases[i].manager == -ENOMEM)
                        assert_logged("Out of memory");
        }
}

/* Who may ask, but not read the journal, is told why it does not start; not if somebody else answers. */
static void test_failure(void **state)
{
        (void) state;
        fake.config_result = -EINVAL;
        fake.config_errors = 2;
        assert_int_equal(run(NULL, NULL), EX_CONFIG);
        assert_non_null(strstr(fake.failure, API_SOCKET " "));
        assert_non_null(strstr(fake.failure, " (2 errors in the configuration)"));
        assert_null(fake.failure_removed);
        setup(NULL);
        fake.monitor_result = -EPERM;
        assert_int_equal(run("/conf", "/s"), EX_UNAVAILABLE);
        assert_string_equal(fake.failure, "/s the journal tells why: journalctl -u bpfbudgetd");
        setup(NULL);
        fake.api_result = -EADDRINUSE;
        assert_int_equal(run("/conf", "/s"), EXIT_FAILURE);
        assert_string_equal(fake.failure, "");
        assert_null(fake.failure_removed);
        /* Nobody looks for it where there is no socket. */
        setup(NULL);
        fake.monitor_result = -EPERM;
        assert_int_equal(run("/conf", NULL), EX_UNAVAILABLE);
        assert_string_equal(fake.failure, "");
        setup(NULL);
        assert_int_equal(run(NULL, NULL), 0);
        assert_string_equal(fake.failure, "");
        assert_string_equal(fake.failure_removed, API_SOCKET);
}

/* A socket that cannot be served ends it only if it was named. */
static void test_listen(void **state)
{
        (void) state;
        fake.api_result = -EADDRINUSE;
        assert_int_equal(run(NULL, NULL), 0);
        assert_logged("<3>" API_SOCKET ": another daemon listens there: this one does not serve varlink");
        setup(NULL);
        fake.api_result = -EACCES;
        assert_int_equal(run(NULL, NULL), 0);
        assert_logged("<3>" API_SOCKET " cannot be served: Permission denied");
        setup(NULL);
        fake.api_result = -EADDRINUSE;
        assert_int_equal(run(NULL, "/s"), EXIT_FAILURE);
        assert_logged("<3>/s: another daemon listens there\n");
        /* The service manager's come first. */
        setup(NULL);
        fake.api_passed = 2;
        assert_int_equal(run(NULL, "/s"), 0);
        assert_null(fake.api_path);
        setup(NULL);
        fake.api_passed = -EBADF;
        assert_int_equal(run(NULL, NULL), EXIT_FAILURE);
        assert_null(fake.api_path);
        assert_logged("<3>The sockets of the service manager cannot be served: Bad file descriptor");
}

static void test_log_capabilities(void **state)
{
        (void) state;
        run_loop(NULL);
        assert_logged("<6>2 of 3 capabilities are not available here");
        assert_logged("<7>kernel is not available: not in this kernel (this)");
        assert_logged("<5>service is not available: CAP_X is missing (that)");
        assert_not_logged("there is not available");
        assert_not_logged("No sensor reports");
        assert_not_logged("No hook reports");
        setup(NULL);
        fake.tells_objects = false;
        run_loop(NULL);
        assert_logged("<6>No hook reports new maps");
        assert_not_logged("No sensor reports");
        setup(NULL);
        fake.tells_growth = false;
        run_loop(NULL);
        assert_logged("<4>No sensor reports growth");
        assert_not_logged("No hook reports");
}

/* --- Flushes ------------------------------------------------------------------------------------------------------ */

static void updates_come(struct daemon *daemon)
{
        const struct event *timer = find_event(on_flush_timer);
        const struct event *updates = find_event(on_updates);

        /* Edge-triggered, at what the kernel side has. */
        assert_int_equal(updates->fd, 77);
        assert_int_equal(updates->what, EV_READ | EV_PERSIST | EV_ET);
        assert_true(updates->waits);
        assert_int_equal(timer->what, 0);
        assert_false(timer->waits);

        /* After a quiet time at once. */
        fire(on_updates);
        assert_int_equal(count_calls('f'), 1);
        assert_int_equal(daemon->last_flush_usec, fake.now_usec);
        assert_false(timer->waits);
        /* What follows closely waits for the rest of the interval, together. */
        fake.now_usec += 3000;
        fire(on_updates);
        fake.now_usec += 2000;
        fire(on_updates);
        fake.now_usec += FLUSH - 5000 - 1;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 1);
        assert_int_equal(timer->added, 1);
        assert_int_equal(wait_of(on_flush_timer), FLUSH - 3000);
        fire(on_flush_timer);
        assert_int_equal(count_calls('f'), 2);
        assert_int_equal(daemon->last_flush_usec, fake.now_usec);
        assert_false(timer->waits);
        /* From then on again. */
        fake.now_usec += 1;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 2);
        assert_int_equal(wait_of(on_flush_timer), FLUSH - 1);
        fire(on_flush_timer);
        fake.now_usec += FLUSH;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 4);
        assert_false(timer->waits);
}

static void test_coalescing(void **state)
{
        (void) state;
        run_loop(updates_come);
}

static void flushes_follow(struct daemon *daemon)
{
        (void) daemon;
        /* The monitor, or the manager, wants another one. */
        fake.wants_flush = true;
        fire(on_updates);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        fake.wants_flush = false;
        fake.manager_wants_flush = true;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        fake.manager_wants_flush = false;
        fire(on_flush_timer);
        assert_false(waits(on_flush_timer));
        assert_int_equal(count_calls('f'), 3);
        /* Each is followed by a look at the budgets; one took place at the start. */
        assert_int_equal(count_calls('a'), 4);
}

static void test_following(void **state)
{
        (void) state;
        run_loop(flushes_follow);
}

static void due_comes(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_due_timer));
        /* The earlier of the two, set anew after each flush. */
        fake.due_usec = fake.now_usec + 3 * SECOND + 7;
        fake.manager_due_usec = fake.now_usec + 4 * SECOND;
        fire(on_updates);
        assert_int_equal(wait_of(on_due_timer), 3 * SECOND + 7);
        fake.manager_due_usec = fake.now_usec + 2 * SECOND;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_due_timer), 2 * SECOND);
        fake.manager_due_usec = fake.now_usec - 1;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_due_timer), 0);
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.due_usec = fake.manager_due_usec = UINT64_MAX;
        fire(on_due_timer);
        assert_string_equal(fake.calls, "pfa");
        assert_false(waits(on_due_timer));
        fake.due_usec = fake.now_usec + 5;
        fire(on_flush_timer);
        assert_true(waits(on_due_timer));
        fake.due_usec = UINT64_MAX;
        fire(on_flush_timer);
        assert_false(waits(on_due_timer));
}

static void test_due(void **state)
{
        (void) state;
        run_loop(due_comes);
}

/* What is due already when it starts. */
static void due_at_start(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(wait_of(on_due_timer), SECOND);
}

static void test_due_at_start(void **state)
{
        (void) state;
        fake.manager_due_usec = fake.now_usec + SECOND;
        run_loop(due_at_start);
}

static void pauses_end(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_thaw_timer));
        fake.thaw_usec = fake.now_usec + 200000;
        fire(on_updates);
        assert_int_equal(wait_of(on_thaw_timer), 200000);
        fake.now_usec = fake.thaw_usec;
        fake.manager_due_usec = fake.now_usec + 9;
        /* Another pause ends later. */
        fake.next_thaw_usec = fake.now_usec + 300;
        fire(on_thaw_timer);
        assert_int_equal(count_calls('t'), 1);
        assert_int_equal(wait_of(on_thaw_timer), 300);
        fake.next_thaw_usec = UINT64_MAX;
        fire(on_thaw_timer);
        assert_false(waits(on_thaw_timer));
        assert_int_equal(wait_of(on_due_timer), 9);
}

static void test_thaw(void **state)
{
        (void) state;
        run_loop(pauses_end);
}

static void gate_tells(struct daemon *daemon)
{
        const struct event *event = find_event(on_gate);

        (void) daemon;
        assert_non_null(event);
        assert_int_equal(event->fd, 5);
        assert_int_equal(event->what, EV_READ | EV_PERSIST);
        assert_true(event->waits);
        fire(on_gate);
        assert_int_equal(count_calls('g'), 1);
        assert_int_equal(count_calls('f'), 0);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        /* A reload opens another one, or none. */
        fake.gate_fd = 6;
        fire(on_reload);
        assert_int_equal(find_event(on_gate)->fd, 6);
        assert_true(find_event(on_gate)->waits);
        fake.gate_fd = -1;
        fire(on_reload);
        assert_null(find_event(on_gate));
}

static void test_gate(void **state)
{
        (void) state;
        fake.gate_fd = 5;
        run_loop(gate_tells);
        /* The API changes budgets, which is a reload to the daemon, and refreshes. */
        setup(NULL);
        run_loop(NULL);
        assert_null(find_event(on_gate));
}

/* --- Who hears what happens --------------------------------------------------------------------------------------- */

static void events_come(struct daemon *daemon)
{
        struct cgroup cgroup = { .path = (char *) "/a" };
        struct budget_event event = { .cgroup = &cgroup };

        for (int i = 0; i < 4; i++) {
                memset(fake.calls, 0, sizeof(fake.calls));
                event.publish = i & 1;
                event.alert = i & 2;
                on_event(daemon, &event);
                assert_string_equal(fake.calls, i == 0 ? "" : i == 1 ? "v" : i == 2 ? "j" : "vj");
        }
        assert_ptr_equal(fake.published, &event);
        assert_ptr_equal(fake.alerted, &event);
        assert_ptr_equal(fake.alert_ledger, &daemon->monitor.ledger);
        assert_not_logged("alert");
        /* The one that was published, and held back. */
        assert_int_equal(fake.dropped[ALERT_DROP_RATE_LIMIT], 1);
        assert_int_equal(fake.dropped[ALERT_DROP_JOURNAL], 0);
        fake.alert_result = -EIO;
        on_event(daemon, &event);
        assert_logged("<4>/a: the journal did not accept the alert: Input/output error\n");
        cgroup.path = NULL;
        on_event(daemon, &event);
        assert_logged("<4>(unknown): the journal did not accept the alert: Input/output error\n");
        assert_int_equal(fake.dropped[ALERT_DROP_JOURNAL], 2);
}

static void test_events(void **state)
{
        (void) state;
        run_loop(events_come);
}

/* --- Polling ------------------------------------------------------------------------------------------------------ */

static void it_polls(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(find_event(on_poll_timer)->what, EV_PERSIST);
        assert_int_equal(find_event(on_poll_timer)->fd, -1);
        assert_int_equal(wait_of(on_poll_timer), 2 * SECOND + 500000);
        fire(on_poll_timer);
        assert_int_equal(count_calls(fake.needs_rss ? 'r' : 'Q'), 1);
        assert_int_equal(count_calls(fake.needs_rss ? 'Q' : 'r'), 0);
        assert_int_equal(count_calls('a'), 2);
}

static void it_does_not_poll(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_poll_timer));
}

/* Only what no sensor tells of is polled. */
static void test_poll(void **state)
{
        (void) state;
        fake.budgets = 1;
        run_loop(it_does_not_poll);
        setup(NULL);
        fake.needs_rss = true;
        run_loop(it_polls);
        setup(NULL);
        fake.needs_holders = true;
        run_loop(it_polls);
        setup(NULL);
        fake.tells_growth = false;
        run_loop(it_does_not_poll);
        setup(NULL);
        fake.tells_growth = false;
        fake.budgets = 1;
        run_loop(it_polls);
        setup(NULL);
        fake.needs_fills = true;
        run_loop(it_polls);
        setup(NULL);
        fake.needs_rss = true;
        fake.settings.poll_usec = 0;
        run_loop(it_does_not_poll);
}

/* --- Metrics ------------------------------------------------------------------------------------------------------ */

static void metrics_are_served(struct daemon *daemon)
{
        struct writer writer;

        assert_string_equal(fake.metrics_address, "/m");
        assert_int_equal(fake.metrics_listens, 1);
        assert_ptr_equal(fake.metrics_options.base, daemon->base);
        assert_int_equal(fake.metrics_options.write(fake.metrics_options.context, METRICS_OPENMETRICS, &writer), 0);
        assert_int_equal(fake.metrics_written, METRICS_OPENMETRICS);
        assert_ptr_equal(fake.metrics_writer, &writer);
        assert_not_logged("MetricsListen");
        /* Somewhere else from now on; that it cannot be there is logged, and no more. */
        assert_int_equal(listen_address_parse("127.0.0.1:1", &fake.settings.metrics_listen), 0);
        fake.metrics_listen_result = -EACCES;
        on_reload(SIGHUP, 0, daemon);
        assert_string_equal(fake.metrics_address, "127.0.0.1:1");
        assert_logged("<3>MetricsListen=127.0.0.1:1: metrics cannot be served there: Permission denied\n");
        /* Where they are still served is. */
        strcpy(fake.metrics_still, "/m");
        on_reload(SIGHUP, 0, daemon);
        assert_logged("<3>MetricsListen=127.0.0.1:1: metrics cannot be served there: Permission denied; they are still "
                      "served at /m\n");
        fake.metrics_still[0] = '\0';
        fake.metrics_listen_result = -EADDRNOTAVAIL;
        on_reload(SIGHUP, 0, daemon);
        assert_logged("<3>MetricsListen=127.0.0.1:1: metrics cannot be served there: Cannot assign requested address; "
                      "the service has a network only with a drop-in, see bpfbudgetd.conf(5)\n");
}

static void test_metrics(void **state)
{
        (void) state;
        assert_int_equal(listen_address_parse("/m", &fake.settings.metrics_listen), 0);
        run_loop(metrics_are_served);
}

static void polling_changes(struct daemon *daemon)
{
        (void) daemon;
        assert_true(waits(on_poll_timer));
        fake.settings.poll_usec = 7 * SECOND;
        fire(on_reload);
        assert_int_equal(wait_of(on_poll_timer), 7 * SECOND);
        fake.needs_rss = false;
        fire(on_reload);
        assert_false(waits(on_poll_timer));
}

static void test_poll_after_reload(void **state)
{
        (void) state;
        fake.needs_rss = true;
        run_loop(polling_changes);
}

/* --- Signals and the service manager ------------------------------------------------------------------------------ */

static void assert_signal(event_callback_fn callback, int signal)
{
        for (size_t i = 0; i < fake_loop.event_count; i++) {
                const struct event *event = &fake_loop.events[i];

                if (event->callback == callback && event->fd == signal) {
                        assert_int_equal(event->what, EV_SIGNAL | EV_PERSIST);
                        assert_true(event->waits);
                        return;
                }
        }
        fail_msg("nothing is done at signal %d", signal);
}

static void signals_come(struct daemon *daemon)
{
        assert_signal(on_terminate, SIGTERM);
        assert_signal(on_terminate, SIGINT);
        assert_signal(on_dump, SIGUSR1);
        assert_signal(on_reload, SIGHUP);
        assert_false(fake_loop.loop_ended);
        on_terminate(SIGINT, 0, daemon);
        assert_true(fake_loop.loop_ended);
        assert_logged("<6>Received SIGINT: stopping");

        memset(fake.calls, 0, sizeof(fake.calls));
        forget_log();
        fire(on_dump);
        assert_string_equal(fake.calls, "rawd");
        assert_int_equal(fake.pretty, false);
        assert_null(fake.reported);
        assert_string_equal(logged, "");
        /* Who reads stdout is not waited for. */
        fake.dump_result = -EBUSY;
        fire(on_dump);
        assert_logged("<4>The last report to stdout has not been read yet");
        assert_not_logged("cannot be written");
        fake.report_result = -ENOMEM;
        memset(fake.calls, 0, sizeof(fake.calls));
        fire(on_dump);
        assert_string_equal(fake.calls, "raw");
        assert_logged("<3>The report cannot be written: Cannot allocate memory");
        assert_int_equal(fake.dump_stops, 0);
}

static void test_signals(void **state)
{
        (void) state;
        run_loop(signals_come);
        assert_int_equal(fake.dump_stops, 1);
        assert_int_equal(fake.notify_stops, 1);
}

static void it_reloads(struct daemon *daemon)
{
        json_t *errors = json_array(), *warnings = json_array();

        *fake.notified = *logged = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.budgets = 8;
        fake.due_usec = fake.now_usec + 1;
        fake.thaw_usec = fake.now_usec + 2;
        assert_int_equal(reload(daemon, errors, warnings), 0);
        assert_string_equal(fake.calls, "cfRa");
        assert_string_equal(fake.config_directory, "/conf");
        assert_string_equal(fake.notified, "RELOADING=1\nMONOTONIC_USEC=1000000000\nREADY=1\n");
        assert_logged("<6>Configuration reloaded: 8 budgets");
        assert_int_equal(wait_of(on_due_timer), 1);
        assert_int_equal(wait_of(on_thaw_timer), 2);
        assert_int_equal(json_array_size(errors), 0);

        /* One with errors is not put in force. */
        *fake.notified = *logged = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.config_result = -EINVAL;
        fake.config_errors = 2;
        fake.config_warnings = 1;
        assert_int_equal(reload(daemon, errors, warnings), -EINVAL);
        assert_string_equal(fake.calls, "ca");
        assert_logged("<3>2 errors in the configuration: the configuration in force is kept");
        assert_not_logged("Configuration reloaded");
        assert_non_null(strstr(fake.notified, "READY=1"));
        assert_int_equal(json_array_size(errors), 2);
        assert_string_equal(json_string_value(json_array_get(errors, 0)), "x.budget:7: is wrong");
        assert_string_equal(json_string_value(json_array_get(errors, 1)), "x.budget: is wrong");
        assert_int_equal(json_array_size(warnings), 1);
        assert_string_equal(json_string_value(json_array_get(warnings, 0)), "y.budget:8: is odd");
        assert_int_equal(reload(daemon, NULL, NULL), -EINVAL);
        json_decref(errors);
        json_decref(warnings);

        fake.config_result = 0;
        fake.config_errors = 0;
        fake.manager_reload_result = -ENOMEM;
        assert_int_equal(reload(daemon, NULL, NULL), -ENOMEM);
        assert_logged("<3>Out of memory while the configuration was reloaded");
        /* SIGHUP does the same. */
        fake.manager_reload_result = 0;
        memset(fake.calls, 0, sizeof(fake.calls));
        *logged = '\0';
        fire(on_reload);
        assert_string_equal(fake.calls, "cfRa");
        assert_logged("<4>y.budget:8: is odd");
}

static void test_reload(void **state)
{
        (void) state;
        run_loop(it_reloads);
}

/* The service manager is told what changes, and not what stays. */
static void status_changes(struct daemon *daemon)
{
        *fake.notified = '\0';
        fire(on_updates);
        assert_string_equal(fake.notified, "");
        root.total.allocated = 2000;
        daemon->manager.over_high = 1;
        fire(on_flush_timer);
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 2000B of BPF memory, 1 over High\n");
        *fake.notified = '\0';
        daemon->manager.obstacle = "no trampolines";
        fire(on_poll_timer);
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 2000B of BPF memory, 1 over High; OnMax=deny "
                                           "is not in force on this kernel\n");
        /* The API has brought it up to date. */
        *fake.notified = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        daemon->manager.obstacle = NULL;
        fake.due_usec = fake.now_usec + 7;
        fake.thaw_usec = fake.now_usec + 8;
        fire(on_flushed);
        assert_int_equal(wait_of(on_due_timer), 7);
        assert_int_equal(wait_of(on_thaw_timer), 8);
        assert_non_null(strstr(fake.notified, "1 over High\n"));
        /* What it could not be told, it is told later. */
        *fake.notified = '\0';
        daemon->manager.over_high = 2;
        fake.notify_fails = true;
        fire(on_flushed);
        fake.notify_fails = false;
        fire(on_flushed);
        assert_non_null(strstr(fake.notified, "2 over High\n"));
}

static void test_status(void **state)
{
        (void) state;
        run_loop(status_changes);
}

static void watchdog_runs(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(find_event(on_watchdog)->what, EV_PERSIST);
        assert_int_equal(find_event(on_watchdog)->fd, -1);
        assert_int_equal(wait_of(on_watchdog), 15 * SECOND + SECOND / 4);
        *fake.notified = '\0';
        fire(on_watchdog);
        assert_string_equal(fake.notified, "WATCHDOG=1\n");
}

/* Twice in the time that the service manager gives. */
static void test_watchdog(void **state)
{
        (void) state;
        fake.watchdog_usec = 30 * SECOND + SECOND / 2;
        run_loop(watchdog_runs);
        setup(NULL);
        run_loop(NULL);
        assert_null(find_event(on_watchdog));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_run),
                TEST(test_run_with_directory),
                TEST(test_dry_run),
                TEST(test_history),
                TEST(test_exit_statuses),
                TEST(test_failure),
                TEST(test_listen),
                TEST(test_log_capabilities),
                TEST(test_coalescing),
                TEST(test_following),
                TEST(test_due),
                TEST(test_due_at_start),
                TEST(test_thaw),
                TEST(test_gate),
                TEST(test_events),
                TEST(test_poll),
                TEST(test_metrics),
                TEST(test_poll_after_reload),
                TEST(test_signals),
                TEST(test_reload),
                TEST(test_status),
                TEST(test_watchdog),
        };

        return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
