/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options, the event loop, and what systemd is told. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <event2/event.h>
#include <systemd/sd-daemon.h>

#include "account/monitor.h"
#include "account/relations.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "build.h"
#include "enforce/freezer.h"
#include "enforce/manager.h"
#include "policy/config.h"
#include "serve/alert.h"
#include "serve/api.h"
#include "serve/report.h"
#include "serve/service.h"

/* Of what lives until the machine boots. */
#define RUN_DIRECTORY "/run/bpfbudget"

enum action {
        ACTION_RUN,
        ACTION_ONCE,
        ACTION_CAPABILITIES,
        ACTION_CHECK_CONFIG,
        ACTION_RELEASE,
        ACTION_DONE, /* --help and --version: nothing is left to do */
};

struct options {
        enum action action;
        enum json_mode json;
        const char *directory; /* of the configuration; NULL: the system's */
        const char *socket;    /* of the varlink API; NULL: the system's, or none if there is a directory */
        bool dry_run;
        uint32_t relations; /* enum relation */
};

static void print_help(void)
{
        printf("bpfbudgetd [OPTIONS...]\n\n"
               "Account the kernel memory of BPF maps and programs to cgroups.\n\n"
               "  -h --help                  Show this help\n"
               "     --version               Show the version\n"
               "     --once                  Take one snapshot, write it, and exit\n"
               "     --capabilities          Show which hooks this kernel allows, and exit\n"
               "     --json[=short|pretty|off]\n"
               "                             Write JSON instead of a table; without a mode\n"
               "                             pretty on a terminal and short elsewhere\n"
               "     --holders               With --once and --json: which processes hold an object\n"
               "     --pins                  With --once and --json: where in bpffs it is pinned\n"
               "     --uses                  With --once and --json: which maps a program uses, and\n"
               "                             which programs use a map\n"
               "     --check-config[=DIR]    Check the configuration of the system, or the files\n"
               "                             in DIR, and exit: 1 if anything is wrong\n"
               "     --config=DIR            Take the configuration from DIR instead of the system's,\n"
               "                             keep no events over a restart, and pause nothing\n"
               "     --socket=PATH           Serve varlink there instead of /run/bpfbudget/io.bpfbudget\n"
               "                             (with --config there is none without it)\n"
               "     --release               Thaw what is paused, open the gate that OnMax=deny has\n"
               "                             closed, and exit\n"
               "     --dry-run               Say what would be done about budgets, do nothing\n"
               "     --debug                 Log debug messages\n\n"
               "Without --once it stays in the foreground and follows all changes; SIGUSR1\n"
               "makes it write what it knows, SIGHUP makes it read its configuration again,\n"
               "SIGTERM and SIGINT end it.\n");
}

/* Returns 0 or -EINVAL, logged. */
static int parse_json(const char *mode, enum json_mode *json)
{
        if (!mode)
                *json = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
        else if (strcmp(mode, "short") == 0)
                *json = JSON_SHORT;
        else if (strcmp(mode, "pretty") == 0)
                *json = JSON_PRETTY;
        else if (strcmp(mode, "off") == 0)
                *json = JSON_OFF;
        else {
                log_error("--json=%s: unknown mode; it is one of short, pretty, off", mode);
                return -EINVAL;
        }
        return 0;
}

static int parse_options(int argc, char *argv[], struct options *options)
{
        enum {
                OPTION_VERSION = 0x100,
                OPTION_ONCE,
                OPTION_CAPABILITIES,
                OPTION_JSON,
                OPTION_HOLDERS,
                OPTION_PINS,
                OPTION_USES,
                OPTION_CHECK_CONFIG,
                OPTION_CONFIG,
                OPTION_RELEASE,
                OPTION_SOCKET,
                OPTION_DRY_RUN,
                OPTION_DEBUG
        };
        static const struct option table[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "once", no_argument, NULL, OPTION_ONCE },
                { "capabilities", no_argument, NULL, OPTION_CAPABILITIES },
                { "json", optional_argument, NULL, OPTION_JSON },
                { "holders", no_argument, NULL, OPTION_HOLDERS },
                { "pins", no_argument, NULL, OPTION_PINS },
                { "uses", no_argument, NULL, OPTION_USES },
                { "check-config", optional_argument, NULL, OPTION_CHECK_CONFIG },
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "release", no_argument, NULL, OPTION_RELEASE },
                { "socket", required_argument, NULL, OPTION_SOCKET },
                { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                {},
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "h", table, NULL)) >= 0)
                switch (c) {
                case 'h':
                        print_help();
                        options->action = ACTION_DONE;
                        return 0;
                case OPTION_VERSION:
                        printf("bpfbudgetd %s\n", PACKAGE_VERSION);
                        options->action = ACTION_DONE;
                        return 0;
                case OPTION_ONCE:
                        options->action = ACTION_ONCE;
                        break;
                case OPTION_CAPABILITIES:
                        options->action = ACTION_CAPABILITIES;
                        break;
                case OPTION_JSON:
                        r = parse_json(optarg, &options->json);
                        if (r < 0)
                                return r;
                        break;
                case OPTION_HOLDERS:
                        options->relations |= RELATION_HOLDERS;
                        break;
                case OPTION_PINS:
                        options->relations |= RELATION_PINS;
                        break;
                case OPTION_USES:
                        options->relations |= RELATION_USES;
                        break;
                case OPTION_CHECK_CONFIG:
                        options->action = ACTION_CHECK_CONFIG;
                        options->directory = optarg;
                        /* "--check-config DIR", as getopt does not take it for an optional argument. */
                        if (!optarg && optind < argc && argv[optind][0] != '-')
                                options->directory = argv[optind++];
                        break;
                case OPTION_CONFIG:
                        options->directory = optarg;
                        break;
                case OPTION_RELEASE:
                        options->action = ACTION_RELEASE;
                        break;
                case OPTION_SOCKET:
                        options->socket = optarg;
                        break;
                case OPTION_DRY_RUN:
                        options->dry_run = true;
                        break;
                case OPTION_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                default:
                        return -EINVAL; /* getopt has said what is wrong */
                }
        if (optind < argc) {
                log_error("%s: no arguments are expected; see bpfbudgetd --help", argv[optind]);
                return -EINVAL;
        }
        if (options->relations && (options->action != ACTION_ONCE || options->json == JSON_OFF)) {
                log_error("--holders, --pins and --uses go with --once --json; see bpfbudgetd --help");
                return -EINVAL;
        }
        return 0;
}

/* --- Configuration ------------------------------------------------------------------------------------------------ */

struct config_log {
        size_t errors, warnings;
        json_t *texts; /* array that errors are added to; NULL: they are only logged */
};

static void collect_error(json_t *texts, const char *file, unsigned int line, const char *message)
{
        _cleanup_free_ char *text = NULL;
        int n = line ? asprintf(&text, "%s:%u: %s", file, line, message) : asprintf(&text, "%s: %s", file, message);

        if (n < 0)
                text = NULL;
        else
                json_array_append_new(texts, json_string(text));
}

static void log_config(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        struct config_log *log = context;

        if (fatal)
                log->errors++;
        else
                log->warnings++;
        if (fatal && log->texts)
                collect_error(log->texts, file, line, message);
        if (line)
                log_message(fatal ? LOG_ERR : LOG_WARNING, "%s:%u: %s", file, line, message);
        else
                log_message(fatal ? LOG_ERR : LOG_WARNING, "%s: %s", file, message);
}

/* Reads the configuration, from @directory or the system's. Returns 0 or a negative errno; all that is wrong is logged.
 */
static int load_config(const char *directory, struct config *config, struct config_log *log)
{
        struct config_machine machine = { .ram = config_read_ram() };
        int r = config_load(config, "", directory, &machine, log_config, log);

        if (r < 0 && r != -EINVAL)
                log_error("The configuration cannot be read: %s", strerror(-r));
        return r;
}

static int check_config(const struct options *options)
{
        struct config_log log = {};
        struct config config = {};
        int r = load_config(options->directory, &config, &log);

        if (r == 0)
                log_info("%zu budgets, %zu warnings: the configuration is valid", config.count, log.warnings);
        else
                log_error("%zu errors, %zu warnings: the configuration would not be used", log.errors, log.warnings);
        config_deinit(&config);
        return r;
}

/* --- The daemon --------------------------------------------------------------------------------------------------- */

struct daemon {
        const struct options *options;
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
        r = report(&daemon->monitor, NULL, daemon->options->json, stdout);
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

/* Returns the exit status. */
static int run_daemon(const struct options *options)
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

/* Whether the gate is left to the next daemon: this is the ExecStopPost= of a service that was not stopped for good. */
static bool keep_gate(void)
{
        struct config_log log = {};
        struct config config = {};
        bool keep;

        switch (service_end()) {
        case SERVICE_FAILED:
        case SERVICE_RESTARTING:
                return true;
        case SERVICE_STOPPED:
                keep = load_config(NULL, &config, &log) == 0 && config.settings.fail_closed;
                config_deinit(&config);
                return keep;
        case SERVICE_NONE:
                break;
        }
        return false;
}

static int release(void)
{
        int r = freezer_release(FREEZER_FILE), n;

        if (keep_gate())
                return r;
        n = gate_release();
        if (n == -EBUSY)
                log_error("The gate stays closed: a bpfbudgetd that runs has it");
        if (n > 0)
                log_info("The gate is open: nothing is refused any more");
        return n < 0 ? n : r;
}

static int report_once(struct monitor *monitor, const struct options *options)
{
        struct relations relations = {};
        int r;

        r = relations_read(&relations, monitor->kernel, &monitor->tree, options->relations);
        if (r == 0) {
                r = report(monitor, &relations, options->json, stdout);
                if (r < 0)
                        log_error("The report cannot be written: %s", strerror(-r));
        }
        relations_deinit(&relations);
        return r;
}

static int run_once(const struct options *options)
{
        struct kernel_options kernel_options = { .relations = options->relations & (RELATION_HOLDERS | RELATION_USES) };
        struct monitor monitor;
        int r;

        r = monitor_init(&monitor, &kernel_options);
        if (r == 0)
                r = report_once(&monitor, options);
        monitor_deinit(&monitor);
        return r;
}

static int run_capabilities(const struct options *options)
{
        struct kernel_options kernel_options = { .probe_only = true };
        const struct capability *capabilities;
        struct monitor monitor;
        size_t count;
        int r;

        r = monitor_init(&monitor, &kernel_options);
        if (r == 0) {
                capabilities = kernel_capabilities(monitor.kernel, &count);
                r = report_capabilities(capabilities, count, options->json, stdout);
                if (r < 0)
                        log_error("The report cannot be written: %s", strerror(-r));
        }
        monitor_deinit(&monitor);
        return r;
}

int main(int argc, char *argv[])
{
        struct options options = {};
        int r;

        r = parse_options(argc, argv, &options);
        if (r < 0)
                return EXIT_FAILURE;
        switch (options.action) {
        case ACTION_RUN:
                return run_daemon(&options);
        case ACTION_ONCE:
                r = run_once(&options);
                break;
        case ACTION_CAPABILITIES:
                r = run_capabilities(&options);
                break;
        case ACTION_CHECK_CONFIG:
                r = check_config(&options);
                break;
        case ACTION_RELEASE:
                r = release();
                break;
        case ACTION_DONE:
                break;
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
