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
#include "account/workloads.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/size.h"
#include "base/trim.h"
#include "configlog.h"
#include "dump.h"
#include "enforce/freezer.h"
#include "enforce/manager.h"
#include "listen.h"
#include "names.h"
#include "notify.h"
#include "policy/config.h"
#include "policy/unitbudgets.h"
#include "policy/unitwatch.h"
#include "record.h"
#include "runlog.h"
#include "serve/alert.h"
#include "serve/api.h"
#include "serve/metricsserver.h"
#include "serve/report.h"

/* Unit files are read this long after a change, because a package changes many. */
#define UNITS_SETTLE_USEC (500 * 1000)

/* The directory of files that exist until the next boot. */
#define RUN_DIRECTORY "/run/bpfbudget"

struct daemon {
        const struct daemon_options *options;
        struct monitor monitor;
        struct workloads workloads;
        struct unit_watch units;
        struct manager manager;
        struct api *api;
        struct metrics_server *metrics;
        struct history *history; /* NULL: none */
        struct event_base *base;
        struct event *updates, *flush_timer, *due_timer, *poll_timer, *thaw_timer, *terminate, *interrupt, *dump,
                        *reload, *flushed; /* the API makes the last one active */
        struct event *names;               /* names of workloads are to be looked for, or have been found */
        struct event *units_changed, *units_timer;
        struct event *gate, *freezer, *watchdog; /* NULL: there is none */
        uint64_t last_flush_usec;
        size_t most_cgroups; /* maximum in the tree since memory was last returned */
        bool misconfigured;  /* it does not start, and would not on another attempt */
        char *reason;        /* why, for clients; NULL: only the journal has it */
        char status[192];    /* what the service manager was told last */
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
        if (notify(status))
                strcpy(daemon->status, status);
}

static void flush_later(struct daemon *daemon, uint64_t usec)
{
        struct timeval wait = { .tv_usec = usec };

        if (!event_pending(daemon->flush_timer, EV_TIMEOUT, NULL))
                event_add(daemon->flush_timer, &wait);
}

/* Sets @timer to @usec (CLOCK_MONOTONIC); UINT64_MAX: never. */
static void set_timer(struct event *timer, uint64_t usec)
{
        uint64_t now = now_usec(), left = usec > now ? usec - now : 0;
        struct timeval wait = { .tv_sec = left / 1000000, .tv_usec = left % 1000000 };

        if (usec == UINT64_MAX)
                event_del(timer);
        else
                event_add(timer, &wait);
}

/* Sets the timer for work that is due even if nothing is updated until then. */
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

/* Missing names are looked for when the loop has nothing else to do, because that requires reading files. */
static void look_for_names(struct daemon *daemon)
{
        if (workloads_wants_resolve(&daemon->workloads))
                event_active(daemon->names, 0, 0);
}

/* Called after each flush and refresh: sets timers, and updates the status for the service manager. */
static void on_flushed(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        history_take(daemon->history);
        set_thaw_timer(daemon);
        trim_memory(&daemon->most_cgroups, daemon->monitor.tree.count);
        notify_status(daemon);
        if (monitor_wants_flush(&daemon->monitor) || manager_wants_flush(&daemon->manager))
                flush_later(daemon, MONITOR_FLUSH_INTERVAL_USEC);
        look_for_names(daemon);
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

/* Names of workloads are looked for apart from flushes. */
static void on_names(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        if (workloads_resolve(&daemon->workloads) < 0)
                log_error("Out of memory: some pods and containers may have no names, and no budgets by name");
        manager_take_names(&daemon->manager);
        history_take_names(daemon->history);
        after_flush(daemon);
}

static void on_poll_timer(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        monitor_poll(&daemon->monitor, manager_needs_rss(&daemon->manager));
        after_flush(daemon);
}

/* Only what no sensor wakes us for is polled: growth on a kernel without any, and RSS, holders and the entries of
 * preallocated maps for budgets that look at them. */
static int set_poll_timer(struct daemon *daemon)
{
        uint64_t usec = daemon->manager.config.settings.poll_usec;
        struct timeval interval = { .tv_sec = usec / 1000000, .tv_usec = usec % 1000000 };
        bool blind = !kernel_tells_growth(daemon->monitor.kernel);

        event_del(daemon->poll_timer);
        if (usec == 0 || !(manager_needs_rss(&daemon->manager) || manager_needs_holders(&daemon->manager) ||
                                         fills_wanted(&daemon->manager.config) ||
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
        /* Counts of refusals, and resyncs, come with the next flush. */
        flush_later(daemon, MONITOR_FLUSH_INTERVAL_USEC);
}

/* Watches the gate, which may have been loaded, removed or replaced since the last configuration. */
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

/* A cgroup that somebody else freezes or thaws during its pause is theirs from then on. */
static int set_freezer_event(struct daemon *daemon)
{
        int fd = enforce_fd(&daemon->manager.enforce);

        if (fd < 0)
                return 0;
        daemon->freezer = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_thaw_timer, daemon);
        return daemon->freezer && event_add(daemon->freezer, NULL) == 0 ? 0 : -ENOMEM;
}

static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
        (void) fd;
        (void) what;
        (void) context;
        notify("WATCHDOG=1");
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

static void notify_reloading(void)
{
        char text[64];

        snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) now_usec());
        notify(text);
}

/* At the start, and when the configuration was read again. */
static void start_history(struct daemon *daemon)
{
        record_start(&daemon->history, daemon->base, &daemon->monitor, !daemon->options->directory,
                        daemon->manager.config.settings.history);
}

/*
 * Reads the configuration again and puts it in force. Returns 0; -EINVAL: it has errors, which were logged, and added
 * to the array @errors if that is not NULL; -ENOMEM. Warnings are added to @warnings.
 */
static int reload(void *context, json_t *errors, json_t *warnings)
{
        struct config_log log = { .texts = errors, .warning_texts = warnings };
        struct daemon *daemon = context;
        struct config config = {};
        int r;

        notify_reloading();
        r = load_config(daemon->options->directory, &config, &log);
        /* New budgets, and a gate that is built anew for them, begin with what the ledger has. */
        if (r == 0) {
                monitor_flush(&daemon->monitor);
                workloads_name_all(&daemon->workloads);
        }
        if (r < 0)
                log_identified(BPFBUDGET_MESSAGE_CONFIGURATION_ID, LOG_ERR,
                                "%zu errors in the configuration: the configuration in force is kept", log.errors);
        else if (manager_reload(&daemon->manager, &config) < 0 || set_poll_timer(daemon) < 0 ||
                        set_gate_event(daemon) < 0) {
                r = -ENOMEM;
                log_error("Out of memory while the configuration was reloaded: some cgroups may be without their "
                          "budget");
        } else
                log_info("Configuration reloaded: %zu budgets", daemon->manager.config.count);
        config_deinit(&config);
        listen_metrics(daemon->metrics, &daemon->manager.config.settings.metrics_listen);
        start_history(daemon);
        manager_apply(&daemon->manager);
        look_for_names(daemon);
        set_due_timer(daemon);
        set_thaw_timer(daemon);
        notify_status(daemon);
        notify("READY=1");
        return r;
}

static void on_reload(evutil_socket_t signal, short what, void *context)
{
        (void) signal;
        (void) what;
        reload(context, NULL, NULL);
}

/* Reloads only if one of our sections has changed; most units have none. */
static void on_units_timer(evutil_socket_t fd, short what, void *context)
{
        struct daemon *daemon = context;
        uint64_t fingerprint;

        (void) fd;
        (void) what;
        if (unit_budgets_fingerprint("", &fingerprint) < 0 || fingerprint == daemon->manager.config.units_fingerprint)
                return;
        log_info("Budgets in unit files have changed");
        reload(daemon, NULL, NULL);
}

static void on_units_changed(evutil_socket_t fd, short what, void *context)
{
        struct timeval wait = { .tv_usec = UNITS_SETTLE_USEC };
        struct daemon *daemon = context;

        (void) fd;
        (void) what;
        unit_watch_take(&daemon->units);
        if (!event_pending(daemon->units_timer, EV_TIMEOUT, NULL))
                event_add(daemon->units_timer, &wait);
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

/* The report is made in memory, so that the loop does not wait for its reader. Returns 0 or a negative errno. */
static int dump(struct daemon *daemon)
{
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        int r;

        if (!stream)
                return -ENOMEM;
        r = report(&daemon->monitor, NULL, daemon->options->pretty, stream);
        if (fclose(stream) != 0)
                r = -ENOMEM;
        if (r == 0)
                return dump_write(text, size);
        free(text);
        return r;
}

static void on_dump(evutil_socket_t signal, short what, void *context)
{
        struct daemon *daemon = context;
        int r;

        (void) signal;
        (void) what;
        monitor_refresh(&daemon->monitor);
        after_flush(daemon);
        r = dump(daemon);
        if (r == -EBUSY)
                log_warning("The last report to stdout has not been read yet: this SIGUSR1 is ignored");
        else if (r < 0)
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

        log_libevent();
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
        daemon->names = event_new(
                        daemon->base, workloads_fd(&daemon->workloads), EV_READ | EV_PERSIST, on_names, daemon);
        if (!daemon->names || (workloads_fd(&daemon->workloads) >= 0 && event_add(daemon->names, NULL) < 0))
                return -ENOMEM;
        daemon->units_timer = evtimer_new(daemon->base, on_units_timer, daemon);
        daemon->units_changed = event_new(
                        daemon->base, daemon->units.fd, EV_READ | EV_PERSIST, on_units_changed, daemon);
        if (!daemon->units_timer || !daemon->units_changed ||
                        (daemon->units.fd >= 0 && event_add(daemon->units_changed, NULL) < 0))
                return -ENOMEM;
        r = set_watchdog(daemon);
        if (r == 0)
                r = set_gate_event(daemon);
        if (r == 0)
                r = set_freezer_event(daemon);
        return r < 0 ? r : set_poll_timer(daemon);
}

/* Where clients look for the API; NULL: nowhere. */
static const char *socket_path(const struct daemon_options *options)
{
        return options->socket ?: options->directory ? NULL : API_SOCKET;
}

static int start_api(struct daemon *daemon)
{
        struct api_options options = {
                .base = daemon->base,
                .monitor = &daemon->monitor,
                .manager = &daemon->manager,
                .hooks = { reload, daemon },
                .flushed = daemon->flushed,
                .history = &daemon->history,
                .directory = daemon->options->directory ?: RUN_DIRECTORY,
        };
        int r = api_new(&options, &daemon->api);

        if (r < 0) {
                log_error("Out of memory");
                return r;
        }
        return listen_api(daemon->api, socket_path(daemon->options), daemon->options->socket);
}

static int write_metrics(void *context, enum metrics_format format, struct writer *writer)
{
        return api_write_metrics(((struct daemon *) context)->api, format, writer);
}

static int start_metrics(struct daemon *daemon)
{
        struct metrics_server_options options = {
                .base = daemon->base,
                .write = write_metrics,
                .context = daemon,
                .group = API_GROUP,
        };
        int r = metrics_server_new(&options, &daemon->metrics);

        if (r < 0) {
                log_error("Out of memory");
                return r;
        }
        listen_metrics(daemon->metrics, &daemon->manager.config.settings.metrics_listen);
        return 0;
}

static void remove_events(struct daemon *daemon)
{
        struct event *events[] = { daemon->updates, daemon->flush_timer, daemon->terminate, daemon->interrupt,
                daemon->dump, daemon->reload, daemon->poll_timer, daemon->due_timer, daemon->thaw_timer,
                daemon->watchdog, daemon->gate, daemon->freezer, daemon->flushed, daemon->names, daemon->units_changed,
                daemon->units_timer };

        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
                if (events[i])
                        event_free(events[i]);
}

/* Passes an event to its receivers. The API exists from its start to its end. */
static void on_event(void *context, const struct budget_event *event)
{
        struct daemon *daemon = context;
        int r;

        history_note_event(daemon->history, event);
        if (event->publish)
                api_event(daemon->api, event);
        if (!event->alert) {
                if (event->publish && !event->quiet)
                        api_alert_dropped(daemon->api, ALERT_DROP_RATE_LIMIT);
                return;
        }
        r = alert_send(event, &daemon->monitor.ledger);
        if (r < 0)
                api_alert_dropped(daemon->api, ALERT_DROP_JOURNAL);
        if (r < 0)
                log_warning("%s: the journal did not accept the alert: %s", event->cgroup->path ?: "(unknown)",
                                strerror(-r));
}

static int start_manager(struct daemon *daemon, struct config *config)
{
        /* A daemon with a configuration directory of its own does not touch the system's files. */
        bool system = !daemon->options->directory;
        struct manager_options options = {
                .monitor = &daemon->monitor,
                .workloads = &daemon->workloads,
                .state_file = system ? EVENT_STORE_FILE : NULL,
                .frozen_file = system ? FREEZER_FILE : NULL,
                .ram = config_read_ram(),
                .dry_run = daemon->options->dry_run,
                .sink = on_event,
                .sink_context = daemon,
        };

        if (system && mkdir(RUN_DIRECTORY, 0755) < 0 && errno != EEXIST)
                log_warning(RUN_DIRECTORY " cannot be made (%s): events are not kept over a restart", strerror(errno));
        if (system && !daemon->options->dry_run)
                monitor_keep_owners(&daemon->monitor, OWNERS_FILE);
        return manager_init(&daemon->manager, &options, config);
}

/* Reads the configuration to start with. It has logged what is wrong with it. */
static int start_config(struct daemon *daemon, struct config *config)
{
        struct config_log log = { .texts = json_array() };
        int r = load_config(daemon->options->directory, config, &log);

        /* Other errors may be temporary, so that the service manager may try again. */
        if (r == -EINVAL && log.errors) {
                const char *first = json_string_value(json_array_get(log.texts, 0));

                log_identified(BPFBUDGET_MESSAGE_CONFIGURATION_ID, LOG_ERR,
                                "%zu errors in the configuration; bpfbudgetd --check-config lists them, too",
                                log.errors);
                daemon->misconfigured = true;
                if (asprintf(&daemon->reason, "%s (%zu errors in the configuration)", first ?: "", log.errors) < 0)
                        daemon->reason = NULL;
        }
        json_decref(log.texts);
        return r;
}

/* Everything that has to be there before the loop runs. It has logged what failed. */
static int start(struct daemon *daemon)
{
        struct kernel_options kernel_options = { .sensors = true, .relations = true };
        struct config config = {};
        int r;

        /* Before unit files are read, to miss no change. With a directory of its own, the daemon reads none. */
        if (!daemon->options->directory && unit_watch_init(&daemon->units, "") < 0)
                log_warning("inotify is not available: changes of unit files are noticed by a reload only");
        r = start_config(daemon, &config);
        if (r < 0)
                return r;
        kernel_options.cgroups_max = config.settings.cgroups_max;
        r = monitor_init(&daemon->monitor, &kernel_options);
        if (r < 0) {
                config_deinit(&config);
                return r;
        }
        r = start_workloads(&daemon->workloads, &daemon->monitor, !daemon->options->directory);
        if (r == 0)
                r = start_manager(daemon, &config);
        else
                config_deinit(&config);
        if (r == -ENOMEM)
                log_error("Out of memory");
        if (r < 0)
                return r;
        r = add_events(daemon);
        if (r < 0) {
                log_error("The event loop cannot be set up: %s", strerror(-r));
                return r;
        }
        r = start_api(daemon);
        return r < 0 ? r : start_metrics(daemon);
}

/* systemd does not restart the service (RestartPreventExitStatus=) if that would fail in the same way. */
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
        struct daemon daemon = { .options = options, .units = { .fd = -1 } };
        int r;

        /* Before all else: a pause must not outlast the daemon that made it. What failed is logged. */
        if (!options->directory && !options->dry_run)
                freezer_release(FREEZER_FILE);

        /* A client that disconnects must not end the daemon. */
        signal(SIGPIPE, SIG_IGN);
        r = start(&daemon);
        leave_reason(socket_path(options), daemon.reason, r);
        if (r == 0) {
                log_capabilities(daemon.monitor.kernel);
                /* The kernel's BTF took megabytes while the programs were loaded. */
                malloc_trim(0);
                start_history(&daemon);
                manager_apply(&daemon.manager);
                look_for_names(&daemon);
                set_due_timer(&daemon);
                log_info("Watching %zu BPF objects in %zu cgroups, %zu budgets", daemon.monitor.ledger.count,
                                daemon.monitor.tree.count, daemon.manager.config.count);
                notify_status(&daemon);
                notify("READY=1");
                event_base_dispatch(daemon.base);
                notify("STOPPING=1");
                log_statistics(&daemon.monitor);
        }
        metrics_server_free(daemon.metrics);
        api_free(daemon.api);
        daemon.api = NULL;
        remove_events(&daemon);
        manager_deinit(&daemon.manager);
        /* After the pauses have ended: it may wait for a disk. */
        history_free(daemon.history, HISTORY_STOP_USEC);
        if (daemon.base)
                event_base_free(daemon.base);
        workloads_deinit(&daemon.workloads);
        unit_watch_deinit(&daemon.units);
        monitor_deinit(&daemon.monitor);
        free(daemon.reason);
        dump_stop();
        notify_stop();
        return exit_status(&daemon, r);
}
