/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <event2/event.h>
#include <systemd/sd-daemon.h>

#include "account/monitor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "configlog.h"
#include "enforce/freezer.h"
#include "enforce/manager.h"
#include "policy/config.h"
#include "serve/alert.h"
#include "serve/api.h"
#include "serve/report.h"

/* Of what lives until the machine boots. */
#define RUN_DIRECTORY "/run/bpfbudget"

struct daemon {
        const struct daemon_options *options;
        struct monitor monitor;
        struct manager manager;
        struct api *api;
        struct event_base *base;
        struct event *updates, *flush_timer, *due_timer, *poll_timer, *thaw_timer, *terminate, *interrupt, *dump,
                        *reload;
        struct event *flushed;         /* the API makes it active */
        struct event *gate, *watchdog; /* NULL: there is none */
        uint64_t last_flush_usec;
        bool misconfigured; /* it does not start, and would not if it was tried again */
        char status[192];   /* what the service manager was told last */
};

/* --- What is done when -------------------------------------------------------------------------------------------- */

/* systemctl status shows it. Queries make many flushes that change nothing: they do not wake the service manager. */
static void notify_status(struct daemon *daemon)
{
        char bytes[FORMAT_SIZE_MAX], status[sizeof(daemon->status)];

        snprintf(status, sizeof(status), "STATUS=%zu cgroups, %zu objects, %s of BPF memory, %zu over High%s",
                        daemon->monitor.tree.count, daemon->monitor.ledger.count,
                        format_size(bytes, daemon->monitor.tree.root->total.allocated), daemon->manager.over_high,
                        daemon->manager.obstacle ? "; OnMax=deny is not in force on this kernel" : "");
        if (strcmp(status, daemon->status) == 0)
                return;
        strcpy(daemon->status, status);
        sd_notify(0, status);
}

static void flush_later(struct daemon *daemon, uint64_t usec)
{
        struct timeval wait = { .tv_usec = usec };

        if (!event_pending(daemon->flush_timer, EV_TIMEOUT, NULL))
                event_add(daemon->flush_timer, &wait);
}

/* Has @timer run at @usec (CLOCK_MONOTONIC); UINT64_MAX: never. */
static void set_timer(struct event *timer, uint64_t usec)
{
        uint64_t now = now_usec(), left = usec > now ? usec - now : 0;
        struct timeval wait = { .tv_sec = left / 1000000, .tv_usec = left % 1000000 };

        if (usec == UINT64_MAX)
                event_del(timer);
        else
                event_add(timer, &wait);
}

/* What has to be done later though nothing is updated until then. */
static void set_due_timer(struct daemon *daemon)
{
        uint64_t due = monitor_due_usec(&daemon->monitor), manager_due = manager_due_usec(&daemon->manager);

        set_timer(daemon->due_timer, manager_due < due ? manager_due : due);
}

/* The timer runs only while something is paused. */
static void set_thaw_timer(struct daemon *daemon)
{
        set_timer(daemon->thaw_timer, manager_next_thaw_usec(&daemon->manager));
}

static void on_thaw_timer(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        manager_thaw(&daemon->manager);
        set_thaw_timer(daemon);
        set_due_timer(daemon);
}

/* What is due after each flush and refresh: timers, and what the service manager is to know. */
static void on_flushed(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        set_thaw_timer(daemon);
        notify_status(daemon);
        if (monitor_wants_flush(&daemon->monitor) || manager_wants_flush(&daemon->manager))
                flush_later(daemon, MONITOR_FLUSH_INTERVAL_USEC);
        set_due_timer(daemon);
}

static void after_flush(struct daemon *daemon)
{
        manager_apply(&daemon->manager);
        on_flushed(-1, 0, daemon);
}

static void flush_now(struct daemon *daemon)
{
        daemon->last_flush_usec = now_usec();
        monitor_flush(&daemon->monitor);
        after_flush(daemon);
}

static void on_poll_timer(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        monitor_refresh(&daemon->monitor);
        after_flush(daemon);
}

/* Only what no sensor wakes us for is polled: growth on a kernel without any, and budgets that look at RSS or holders.
 */
static int set_poll_timer(struct daemon *daemon)
{
        uint64_t usec = daemon->manager.config.settings.poll_usec;
        struct timeval interval = { .tv_sec = usec / 1000000, .tv_usec = usec % 1000000 };
        bool blind = !kernel_tells_growth(daemon->monitor.kernel);

        event_del(daemon->poll_timer);
        if (usec == 0 || !(manager_needs_rss(&daemon->manager) || manager_needs_holders(&daemon->manager) ||
                                         (blind && daemon->manager.config.count > 0)))
                return 0;
        return event_add(daemon->poll_timer, &interval) < 0 ? -ENOMEM : 0;
}

static void on_gate(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        manager_take_gate(&daemon->manager);
        /* Counts of refusals, and settlements, with the next flush. */
        flush_later(daemon, MONITOR_FLUSH_INTERVAL_USEC);
}

/* There is a gate, none, or another one since the last configuration. */
static int set_gate_event(struct daemon *daemon)
{
        int fd = manager_gate_fd(&daemon->manager);

        if (daemon->gate)
                event_free(daemon->gate);
        daemon->gate = NULL;
        if (fd < 0)
                return 0;
        daemon->gate = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_gate, daemon);
        return daemon->gate && event_add(daemon->gate, NULL) == 0 ? 0 : -ENOMEM;
}

static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
        (void) fd;
        (void) what;
        (void) context;
        sd_notify(0, "WATCHDOG=1");
}

/* WatchdogSec= of the service: the loop turns as long as this timer does. Without it there is no timer. */
static int set_watchdog(struct daemon *daemon)
{
        struct timeval interval;
        uint64_t usec;

        if (sd_watchdog_enabled(0, &usec) <= 0)
                return 0;
        interval = (struct timeval){ .tv_sec = usec / 2 / 1000000, .tv_usec = usec / 2 % 1000000 };
        daemon->watchdog = event_new(daemon->base, -1, EV_PERSIST, on_watchdog, daemon);
        return daemon->watchdog && event_add(daemon->watchdog, &interval) == 0 ? 0 : -ENOMEM;
}

/*
 * Reads the configuration again and puts it in force. Returns 0; -EINVAL: it has errors, which were logged, and added
 * to the array @errors if that is not NULL; -ENOMEM.
 */
static int reload(void *context, json_t *errors)
{
        struct config_log log = { .texts = errors };
        struct daemon *daemon = context;
        struct config config = {};
        int r;

        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) now_usec());
        r = load_config(daemon->options->directory, &config, &log);
        /* New budgets, and a gate that is built anew for them, begin with what the ledger has. */
        if (r == 0)
                monitor_flush(&daemon->monitor);
        if (r < 0)
                log_error("%zu errors in the configuration: the one in force stays", log.errors);
        else if (manager_reload(&daemon->manager, &config) < 0 || set_poll_timer(daemon) < 0 ||
                        set_gate_event(daemon) < 0) {
                r = -ENOMEM;
                log_error("Out of memory while the configuration was reloaded: some cgroups may be without their "
                          "budget");
        } else
                log_info("Configuration reloaded: %zu budgets", daemon->manager.config.count);
        config_deinit(&config);
        manager_apply(&daemon->manager);
        set_due_timer(daemon);
        set_thaw_timer(daemon);
        notify_status(daemon);
        sd_notify(0, "READY=1");
        return r;
}

static void on_reload(evutil_socket_t signal, short what, void *context)
{
        (void) signal;
        (void) what;
        reload(context, NULL);
}

static void on_due_timer(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        manager_prepare(&daemon->manager);
        flush_now(daemon);
}

static void on_flush_timer(evutil_socket_t fd, short what, void *context)
{
        (void) fd;
        (void) what;
        flush_now(context);
}

/*
 * The sensors woke us. The first change after a quiet time is taken at once; what follows closely waits for the timer,
 * which runs only then.
 */
static void on_updates(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;
        uint64_t since = now_usec() - daemon->last_flush_usec;

        (void) fd;
        (void) what;
        if (since >= MONITOR_FLUSH_INTERVAL_USEC)
                flush_now(daemon);
        else
                flush_later(daemon, MONITOR_FLUSH_INTERVAL_USEC - since);
}

static void on_terminate(evutil_socket_t signal, short what, void *context)
{
        struct daemon *daemon = context;

        (void) what;
        log_info("Received SIG%s: stopping", sigabbrev_np(signal));
        event_base_loopbreak(daemon->base);
}

static void on_dump(evutil_socket_t signal, short what, void *context)
{
        struct daemon *daemon = context;
        int r;

        (void) signal;
        (void) what;
        monitor_refresh(&daemon->monitor);
        after_flush(daemon);
        r = report(&daemon->monitor, NULL, daemon->options->pretty, stdout);
        if (r < 0)
                log_error("The report cannot be written: %s", strerror(-r));
}

static int add_signal(struct daemon *daemon, struct event **event, int signal, event_callback_fn callback)
{
        *event = evsignal_new(daemon->base, signal, callback, daemon);
        return *event && event_add(*event, NULL) == 0 ? 0 : -ENOMEM;
}

static int add_events(struct daemon *daemon)
{
        int fd = kernel_updates_fd(daemon->monitor.kernel), r;

        daemon->base = event_base_new();
        if (!daemon->base)
                return -ENOMEM;
        r = add_signal(daemon, &daemon->terminate, SIGTERM, on_terminate);
        if (r == 0)
                r = add_signal(daemon, &daemon->interrupt, SIGINT, on_terminate);
        if (r == 0)
                r = add_signal(daemon, &daemon->dump, SIGUSR1, on_dump);
        if (r == 0)
                r = add_signal(daemon, &daemon->reload, SIGHUP, on_reload);
        if (r < 0)
                return r;
        daemon->flush_timer = evtimer_new(daemon->base, on_flush_timer, daemon);
        daemon->due_timer = evtimer_new(daemon->base, on_due_timer, daemon);
        daemon->thaw_timer = evtimer_new(daemon->base, on_thaw_timer, daemon);
        daemon->flushed = event_new(daemon->base, -1, 0, on_flushed, daemon);
        daemon->poll_timer = event_new(daemon->base, -1, EV_PERSIST, on_poll_timer, daemon);
        /* Edge-triggered: what waits for the timer is left in the queue and must not wake again. */
        daemon->updates = event_new(daemon->base, fd, EV_READ | EV_PERSIST | EV_ET, on_updates, daemon);
        if (!daemon->flush_timer || !daemon->due_timer || !daemon->thaw_timer || !daemon->poll_timer ||
                        !daemon->flushed || !daemon->updates || event_add(daemon->updates, NULL) < 0)
                return -ENOMEM;
        r = set_watchdog(daemon);
        if (r == 0)
                r = set_gate_event(daemon);
        return r < 0 ? r : set_poll_timer(daemon);
}

/* Where the API is served: by the service manager's sockets, or at our own. It has logged what failed. */
static int listen_api(struct daemon *daemon)
{
        const char *path = daemon->options->socket ?: daemon->options->directory ? NULL : API_SOCKET;
        int r = api_listen_passed(daemon->api);

        if (r != 0 || !path) {
                if (r < 0)
                        log_error("The sockets of the service manager cannot be served: %s", strerror(-r));
                return r < 0 ? r : 0;
        }
        r = api_listen(daemon->api, path);
        if (r == 0)
                return 0;
        if (r == -EADDRINUSE)
                log_error("%s: another daemon listens there%s", path,
                                daemon->options->socket ? "" : ": this one cannot be asked");
        else
                log_error("%s cannot be served: %s", path, strerror(-r));
        /* Whoever named a socket wants it; the accounting does not depend on it. */
        return daemon->options->socket ? r : 0;
}

static int start_api(struct daemon *daemon)
{
        struct api_options options = {
                .base = daemon->base,
                .monitor = &daemon->monitor,
                .manager = &daemon->manager,
                .hooks = { reload, daemon },
                .flushed = daemon->flushed,
                .directory = daemon->options->directory ?: RUN_DIRECTORY,
        };
        int r = api_new(&options, &daemon->api);

        if (r < 0) {
                log_error("Out of memory");
                return r;
        }
        return listen_api(daemon);
}

static void remove_events(struct daemon *daemon)
{
        struct event *events[] = { daemon->updates, daemon->flush_timer, daemon->terminate, daemon->interrupt,
                daemon->dump, daemon->reload, daemon->poll_timer, daemon->due_timer, daemon->thaw_timer,
                daemon->watchdog, daemon->gate, daemon->flushed };

        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
                if (events[i])
                        event_free(events[i]);
        if (daemon->base)
                event_base_free(daemon->base);
}

/* Who hears what happens. The API is there from its start to its end. */
static void on_event(void *context, const struct budget_event *event)
{
        struct daemon *daemon = context;
        int r;

        if (event->publish)
                api_event(daemon->api, event);
        if (!event->alert)
                return;
        r = alert_send(event, &daemon->monitor.ledger);
        if (r < 0)
                log_warning("The alert for %s was not taken by the journal: %s", event->cgroup->path ?: "(unknown)",
                                strerror(-r));
}

/* One line of what this kernel does not give, so that nobody has to guess. */
static void log_capabilities(const struct kernel *kernel)
{
        size_t count, missing = 0;
        const struct capability *capabilities = kernel_capabilities(kernel, &count);

        for (size_t i = 0; i < count; i++)
                if (!capabilities[i].available) {
                        missing++;
                        /* The service could be given what the kernel would not refuse. */
                        log_message(capabilities[i].permission ? LOG_NOTICE : LOG_DEBUG, "%s is not available: %s (%s)",
                                        capabilities[i].name, capabilities[i].reason, capabilities[i].purpose);
                }
        if (missing)
                log_info("%zu of %zu capabilities are not available here; bpfbudgetd --capabilities lists them",
                                missing, count);
        if (!kernel_tells_growth(kernel))
                log_warning("No sensor tells of growth on this kernel: it is polled (PollSec=) if there are budgets");
        else if (!kernel_tells_objects(kernel))
                log_info("No hook tells of new maps and programs on this kernel: each flush is a pass over all "
                         "objects");
}

static void log_statistics(const struct monitor *monitor)
{
        const struct monitor_statistics *s = &monitor->statistics;

        log_info("Wake-ups: %llu, flushes: %llu, updated cgroups: %llu, full passes: %llu (the last took %llu us), "
                 "overflows: %llu, drift: %llu",
                        (unsigned long long) kernel_counters(monitor->kernel).wakeups, (unsigned long long) s->flushes,
                        (unsigned long long) s->updated_cgroups, (unsigned long long) s->full_passes,
                        (unsigned long long) s->full_pass_usec, (unsigned long long) s->overflows,
                        (unsigned long long) s->drift);
}

static int start_manager(struct daemon *daemon, struct config *config)
{
        /* With a directory of its own it leaves alone what is the system's. */
        bool system = !daemon->options->directory;
        struct manager_options options = {
                .monitor = &daemon->monitor,
                .state_file = system ? EVENT_STORE_FILE : NULL,
                .frozen_file = system ? FREEZER_FILE : NULL,
                .ram = config_read_ram(),
                .dry_run = daemon->options->dry_run,
                .sink = on_event,
                .sink_context = daemon,
        };

        if (system && mkdir(RUN_DIRECTORY, 0755) < 0 && errno != EEXIST)
                log_warning(RUN_DIRECTORY " cannot be made (%s): events are not kept over a restart", strerror(errno));
        return manager_init(&daemon->manager, &options, config);
}

/* Everything that has to be there before the loop runs. It has logged what failed. */
static int start(struct daemon *daemon)
{
        struct kernel_options kernel_options = { .sensors = true, .relations = true };
        struct config_log log = {};
        struct config config = {};
        int r;

        r = load_config(daemon->options->directory, &config, &log);
        if (r < 0) {
                if (log.errors)
                        log_error("%zu errors in the configuration; bpfbudgetd --check-config lists them, too",
                                        log.errors);
                daemon->misconfigured = log.errors > 0;
                return r;
        }
        kernel_options.cgroups_max = config.settings.cgroups_max;
        r = monitor_init(&daemon->monitor, &kernel_options);
        if (r < 0) {
                config_deinit(&config);
                return r;
        }
        r = start_manager(daemon, &config);
        if (r == -ENOMEM)
                log_error("Out of memory");
        if (r < 0)
                return r;
        r = add_events(daemon);
        if (r < 0) {
                log_error("The event loop cannot be set up: %s", strerror(-r));
                return r;
        }
        return start_api(daemon);
}

/* systemd does not try again (RestartPreventExitStatus=) what would end in the same way. */
static int exit_status(const struct daemon *daemon, int r)
{
        if (r >= 0)
                return EXIT_SUCCESS;
        if (daemon->misconfigured)
                return EX_CONFIG;
        return r == -EPERM || r == -EOPNOTSUPP ? EX_UNAVAILABLE : EXIT_FAILURE;
}

int run_daemon(const struct daemon_options *options)
{
        struct daemon daemon = { .options = options };
        int r;

        /* Before all else: a pause must not outlast the daemon that made it. What failed is logged. */
        if (!options->directory && !options->dry_run)
                freezer_release(FREEZER_FILE);

        /* A client that goes away is not the end of the daemon. */
        signal(SIGPIPE, SIG_IGN);
        r = start(&daemon);
        if (r == 0) {
                log_capabilities(daemon.monitor.kernel);
                /* The kernel's BTF took megabytes while the programs were loaded. */
                malloc_trim(0);
                manager_apply(&daemon.manager);
                set_due_timer(&daemon);
                log_info("Watching %zu BPF objects in %zu cgroups, %zu budgets", daemon.monitor.ledger.count,
                                daemon.monitor.tree.count, daemon.manager.config.count);
                notify_status(&daemon);
                sd_notify(0, "READY=1");
                event_base_dispatch(daemon.base);
                sd_notify(0, "STOPPING=1");
                log_statistics(&daemon.monitor);
        }
        api_free(daemon.api);
        daemon.api = NULL;
        remove_events(&daemon);
        manager_deinit(&daemon.manager);
        monitor_deinit(&daemon.monitor);
        return exit_status(&daemon, r);
}
