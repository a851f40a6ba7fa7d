/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options, and the actions other than running the daemon. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "account/monitor.h"
#include "account/relations.h"
#include "account/workloads.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "build.h"
#include "configlog.h"
#include "daemon.h"
#include "enforce/doctor.h"
#include "enforce/freezer.h"
#include "enforce/gate.h"
#include "enforce/gatepins.h"
#include "lost.h"
#include "policy/config.h"
#include "serve/report.h"
#include "serve/service.h"

enum action {
        ACTION_RUN,
        ACTION_ONCE,
        ACTION_CAPABILITIES,
        ACTION_DOCTOR,
        ACTION_CHECK_CONFIG,
        ACTION_RELEASE,
        ACTION_DONE, /* --help and --version: nothing else to do */
};

struct options {
        enum action action;
        bool pretty;           /* JSON is indented */
        const char *directory; /* of the configuration; NULL: the system's */
        const char *socket;    /* of the varlink API; NULL: the system's, or none if there is a directory */
        bool dry_run;
        uint32_t relations; /* enum relation */
};

static void print_help(void)
{
        printf("bpfbudgetd [OPTIONS...]\n\n"
               "Account the kernel memory of BPF maps and programs to cgroups, enforce budgets.\n\n"
               "  -h --help                Show this help\n"
               "     --version             Show the version\n"
               "     --once                Write a snapshot as JSON\n"
               "     --holders --pins --uses\n"
               "                           With --once: include holders, pins, uses of maps\n"
               "     --capabilities        Write the hooks of this kernel as JSON\n"
               "     --doctor              Write what works on this host as JSON\n"
               "     --json[=short|pretty] Format of JSON\n"
               "     --check-config[=DIR]  Check the configuration of the system, or in DIR\n"
               "     --release             Thaw paused cgroups, open the gate, and exit\n"
               "     --config=DIR          Read the configuration from DIR\n"
               "     --socket=PATH         Serve varlink at PATH\n"
               "     --dry-run             Log what budgets would do, but do nothing\n"
               "     --debug               Log debug messages\n\n"
               "Exit status: 0 success, 1 failure, 69 not available on this host, 78 invalid\n"
               "configuration; with --doctor 0 full, 1 partial, 2 none, 3 unknown.\n"
               "See the bpfbudgetd(8) man page for details, bpfbudgetctl(1) for tables.\n");
}

/* Returns 0 or -EINVAL, logged. */
static int parse_json(const char *mode, bool *pretty)
{
        if (!mode)
                *pretty = isatty(STDOUT_FILENO);
        else if (strcmp(mode, "short") == 0)
                *pretty = false;
        else if (strcmp(mode, "pretty") == 0)
                *pretty = true;
        else if (strcmp(mode, "off") == 0) {
                log_error("--json=off: tables are shown by bpfbudgetctl only; use bpfbudgetctl --direct");
                return -EINVAL;
        } else {
                log_error("--json=%s: unknown mode; it is one of short, pretty", mode);
                return -EINVAL;
        }
        return 0;
}

static void print_version(void)
{
        printf("bpfbudgetd %s\n", PACKAGE_VERSION);
}

/* What an option does. */
enum effect {
        EFFECT_PRINT,    /* print(), and nothing more is done */
        EFFECT_ACTION,   /* sets the action */
        EFFECT_RELATION, /* adds a relation */
        EFFECT_TEXT,     /* sets the text at offset to its argument */
        EFFECT_CHECK_CONFIG,
        EFFECT_JSON,
        EFFECT_DRY_RUN,
        EFFECT_DEBUG,
};

static const struct known_option {
        const char *name;
        int argument; /* as in getopt.h */
        enum effect effect;
        uint32_t value; /* enum action, enum relation */
        size_t offset;  /* in struct options */
        void (*print)(void);
} known_options[] = {
        { "help", no_argument, EFFECT_PRINT, .print = print_help }, /* the first one: it is -h, too */
        { "version", no_argument, EFFECT_PRINT, .print = print_version },
        { "once", no_argument, EFFECT_ACTION, ACTION_ONCE },
        { "capabilities", no_argument, EFFECT_ACTION, ACTION_CAPABILITIES },
        { "doctor", no_argument, EFFECT_ACTION, ACTION_DOCTOR },
        { "json", optional_argument, EFFECT_JSON },
        { "holders", no_argument, EFFECT_RELATION, RELATION_HOLDERS },
        { "pins", no_argument, EFFECT_RELATION, RELATION_PINS },
        { "uses", no_argument, EFFECT_RELATION, RELATION_USES },
        { "check-config", optional_argument, EFFECT_CHECK_CONFIG },
        { "config", required_argument, EFFECT_TEXT, .offset = offsetof(struct options, directory) },
        { "release", no_argument, EFFECT_ACTION, ACTION_RELEASE },
        { "socket", required_argument, EFFECT_TEXT, .offset = offsetof(struct options, socket) },
        { "dry-run", no_argument, EFFECT_DRY_RUN },
        { "debug", no_argument, EFFECT_DEBUG },
};

#define KNOWN_OPTIONS (sizeof(known_options) / sizeof(known_options[0]))

/* Does what @known says, with its @argument (NULL: none). Returns 0 or -EINVAL, logged. */
static int take_option(struct options *options, const struct known_option *known, const char *argument)
{
        switch (known->effect) {
        case EFFECT_PRINT:
                known->print();
                options->action = ACTION_DONE;
                break;
        case EFFECT_ACTION:
                options->action = known->value;
                break;
        case EFFECT_RELATION:
                options->relations |= known->value;
                break;
        case EFFECT_TEXT:
                *(const char **) ((char *) options + known->offset) = argument;
                break;
        case EFFECT_CHECK_CONFIG:
                options->action = ACTION_CHECK_CONFIG;
                options->directory = argument;
                break;
        case EFFECT_JSON:
                return parse_json(argument, &options->pretty);
        case EFFECT_DRY_RUN:
                options->dry_run = true;
                break;
        case EFFECT_DEBUG:
                log_set_max_level(LOG_DEBUG);
                break;
        }
        return 0;
}

/* Checks whether the options and the remaining arguments are compatible. Returns 0 or -EINVAL, logged. */
static int check_options(const struct options *options, const char *argument)
{
        if (argument) {
                log_error("%s: no arguments are expected; see bpfbudgetd --help", argument);
                return -EINVAL;
        }
        if (options->relations && options->action != ACTION_ONCE) {
                log_error("--holders, --pins and --uses require --once; see bpfbudgetd --help");
                return -EINVAL;
        }
        return 0;
}

/* Returns 0 or -EINVAL, logged. */
static int parse_options(int argc, char *argv[], struct options *options)
{
        struct option table[KNOWN_OPTIONS + 1] = {};
        int c, r;

        for (size_t i = 0; i < KNOWN_OPTIONS; i++)
                table[i] = (struct option){ known_options[i].name, known_options[i].argument, NULL, 0x100 + i };
        parse_json(NULL, &options->pretty);
        while ((c = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
                const struct known_option *known;
                const char *argument = optarg;

                if (c == '?')
                        return -EINVAL; /* getopt has logged what is wrong */
                known = &known_options[c == 'h' ? 0 : c - 0x100];
                /* "--check-config DIR", as getopt does not take it for an optional argument. */
                if (known->effect == EFFECT_CHECK_CONFIG && !argument && optind < argc && argv[optind][0] != '-')
                        argument = argv[optind++];
                r = take_option(options, known, argument);
                if (r < 0 || options->action == ACTION_DONE)
                        return r;
        }
        return check_options(options, optind < argc ? argv[optind] : NULL);
}

/* --- Configuration ------------------------------------------------------------------------------------------------ */

static int check_config(const struct options *options)
{
        struct config_log log = {};
        struct config config = {};
        int r = load_config(options->directory, &config, &log);

        if (r == 0 && log.errors == 0)
                log_info("%zu budgets, %zu warnings: the configuration is valid", config.count, log.warnings);
        else if (r == 0) {
                log_error("%zu errors in unit files, %zu warnings: their budgets would not be used", log.errors,
                                log.warnings);
                r = -EINVAL;
        } else
                log_error("%zu errors, %zu warnings: the configuration would not be used", log.errors, log.warnings);
        config_deinit(&config);
        return r;
}

/* --- After the end ------------------------------------------------------------------------------------------------ */

/*
 * Whether the gate is kept for the next daemon, because this is the ExecStopPost= of a service that will be started
 * again.
 */
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

/* Returns the exit status. */
static int release(const struct options *options)
{
        int r = freezer_release(FREEZER_FILE), n;

        (void) options;
        if (keep_gate())
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        n = gate_release();
        if (n == -EBUSY)
                log_error("The gate stays closed: a bpfbudgetd that runs has it (PID %d)", gate_pins_holder());
        if (n > 0)
                log_info("The gate is open: nothing is refused any more");
        return n < 0 || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Logs @r of a report that could not be written, and returns it. */
static int check_written(int r)
{
        if (r < 0)
                log_error("The report cannot be written: %s", strerror(-r));
        return r;
}

static int report_once(struct monitor *monitor, const struct options *options)
{
        _cleanup_(relations_deinit) struct relations relations = {};
        int r = relations_read(&relations, monitor->kernel, &monitor->tree, options->relations);

        return r < 0 ? r : check_written(report(monitor, &relations, options->pretty, stdout));
}

static int run_once(const struct options *options)
{
        struct kernel_options kernel_options = { .relations = options->relations & (RELATION_HOLDERS | RELATION_USES) };
        _cleanup_(monitor_deinit) struct monitor monitor;
        int r = monitor_init(&monitor, &kernel_options);

        if (r == 0)
                r = workloads_name_tree(&monitor.tree, &monitor.cgroupfs);
        return r < 0 ? r : report_once(&monitor, options);
}

static int run_capabilities(const struct options *options)
{
        struct kernel_options kernel_options = { .probe_only = true };
        _cleanup_(monitor_deinit) struct monitor monitor;
        const struct capability *capabilities;
        size_t count;
        int r = monitor_init(&monitor, &kernel_options);

        if (r < 0)
                return r;
        capabilities = kernel_capabilities(monitor.kernel, &count);
        return check_written(report_capabilities(capabilities, count, options->pretty, stdout));
}

/* The exit status if the examination failed; 0 to 2 are levels. */
#define EXIT_NOT_EXAMINED 3

/* Returns the exit status. */
static int run_doctor(const struct options *options)
{
        struct readiness readiness;
        int r = doctor_examine_host(&readiness);

        if (r == 0)
                r = check_written(report_readiness(&readiness, options->pretty, stdout));
        return r < 0 ? EXIT_NOT_EXAMINED : (int) readiness.level;
}

/* Returns the exit status. */
static int run(const struct options *options)
{
        struct daemon_options daemon_options = {
                .pretty = options->pretty,
                .directory = options->directory,
                .socket = options->socket,
                .dry_run = options->dry_run,
        };

        return run_daemon(&daemon_options);
}

/* Runs @action, which must not wait for the journal or for whoever reads stderr. Returns the exit status. */
static int do_without_waiting(int (*action)(const struct options *options), const struct options *options)
{
        /* A daemon other than the system's does not touch /run. */
        bool system = !options->directory;
        uint64_t lost;
        int status;

        /* Who reads stderr may go away. */
        signal(SIGPIPE, SIG_IGN);
        log_start(system ? lost_take(LOST_FILE) : 0);
        status = action(options);
        lost = log_stop();
        if (system)
                lost_leave(LOST_FILE, lost);
        return status;
}

/* The exit status where the command line is wrong: with --doctor 1 is a level. */
static int usage_status(int argc, char *argv[])
{
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--doctor") == 0)
                        return EXIT_NOT_EXAMINED;
        return EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
        struct options options = {};
        int r;

        /* A reader that has enough ends a report in silence, also where a service ignores the signal. */
        signal(SIGPIPE, SIG_DFL);
        r = parse_options(argc, argv, &options);
        if (r < 0)
                return usage_status(argc, argv);
        switch (options.action) {
        case ACTION_RUN:
                return do_without_waiting(run, &options);
        case ACTION_ONCE:
                r = run_once(&options);
                break;
        case ACTION_CAPABILITIES:
                r = run_capabilities(&options);
                break;
        case ACTION_DOCTOR:
                return run_doctor(&options);
        case ACTION_CHECK_CONFIG:
                r = check_config(&options);
                break;
        case ACTION_RELEASE:
                return do_without_waiting(release, &options);
        case ACTION_DONE:
                r = check_written(fflush(stdout) == EOF || ferror(stdout) ? -EIO : 0);
                break;
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
