/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options and verbs of bpfbudgetctl. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/relation.h"
#include "base/utf8.h"
#include "build.h"
#include "group.h"
#include "options.h"
#include "terminal.h"
#include "verbs.h"

#define MANY INT_MAX

/* A verb, the number of its arguments, and what it supports. */
static const struct verb {
        const char *name;
        int minimum, maximum; /* arguments */
        bool pager;           /* its output may be long */
        bool direct;          /* it works without the daemon */
        int (*run)(const struct options *options, int argc, char *argv[]);
        int failure; /* exit status; 0: EXIT_FAILURE */
} verbs[] = {
        { "status", 0, 0, false, false, verb_status },
        { "cgroups", 0, 1, true, true, verb_cgroups },
        { "tree", 0, 1, true, true, verb_tree },
        { "objects", 0, 1, true, true, verb_objects },
        { "explain", 1, 1, true, false, verb_explain },
        { "why", 1, 1, false, false, verb_why },
        { "orphans", 0, 1, true, false, verb_orphans },
        { "reclaim", 1, MANY, false, false, verb_reclaim },
        { "top", 0, 1, false, false, verb_top },
        { "monitor", 0, 1, false, false, verb_monitor },
        { "budgets", 0, 0, true, false, verb_budgets },
        { "set-budget", 2, MANY, false, false, verb_set_budget },
        { "unset-budget", 1, 1, false, false, verb_unset_budget },
        { "capabilities", 0, 0, true, true, verb_capabilities },
        { "doctor", 0, 0, false, true, verb_doctor, EXIT_NOT_EXAMINED },
        { "history", 0, 1, true, false, verb_history },
        { "what-grew", 0, 0, true, false, verb_what_grew },
        { "report", 0, 0, false, true, verb_report },
        { "suggest", 0, 1, true, false, verb_suggest },
        { "metrics", 0, 0, false, false, verb_metrics },
        { "flush", 0, 0, false, false, verb_flush },
        { "reload", 0, 0, false, false, verb_reload },
        { "verify", 0, 1, false, true, verb_verify },
        { "version", 0, 0, false, false, verb_version },
};

static const char help[] = "bpfbudgetctl [OPTIONS...] COMMAND ...\n\n"
                           "Query and control bpfbudgetd, the accounting of BPF kernel memory.\n\n"
                           "Memory Commands:\n"
                           "  status                     Show a summary of the daemon (default)\n"
                           "  cgroups [GLOB|UNIT]        List cgroups with BPF memory or a budget\n"
                           "  tree [GLOB|UNIT]           Show these cgroups as a tree\n"
                           "  objects [GLOB|UNIT]        List maps and programs\n"
                           "  explain CGROUP|UNIT        Explain the memory of a cgroup\n"
                           "  why UNIT|PID|CGROUP        Show why bpf(2) failed with ENOMEM\n"
                           "  orphans [GLOB|UNIT]        List objects without a holder, and their pins\n"
                           "  reclaim OBJECT...          Free orphans by removing their pins\n"
                           "  top [GLOB|UNIT]            Show cgroups continuously\n"
                           "  monitor [GLOB|UNIT]        Print events as they happen\n"
                           "  history [WORKLOAD]         Show the usage of workloads, for eight days\n"
                           "  what-grew                  Show the workloads and maps that grew most\n"
                           "  report                     Write an HTML page about all of this\n"
                           "  metrics                    Print metrics for Prometheus\n\n"
                           "Budget Commands:\n"
                           "  budgets                    List the budgets in force\n"
                           "  set-budget CGROUP|UNIT KEY=VALUE...\n"
                           "                             Set a budget until the next boot\n"
                           "  unset-budget CGROUP|UNIT   Remove a budget set by set-budget\n"
                           "  suggest [GLOB|UNIT|POD]    Write budget files from the history\n\n"
                           "Daemon Commands:\n"
                           "  doctor                     Report what works on this host, with remedies\n"
                           "  capabilities               List the hooks of this kernel\n"
                           "  verify [DIR]               Check configuration files, without the daemon\n"
                           "  reload                     Reload the configuration\n"
                           "  flush                      Bring all figures up to date\n"
                           "  version                    Show the versions of this program and the daemon\n\n"
                           "Options:\n"
                           "  -h --help                  Show this help\n"
                           "     --version               Show the version of this program\n"
                           "     --json=pretty|short|off Write JSON (-j: pretty on a terminal, else short)\n"
                           "     --no-pager              Do not pipe the output into a pager\n"
                           "     --no-legend             Do not show headers\n"
                           "  -a --all                   With cgroups, tree: show all cgroups;\n"
                           "                             with orphans: also objects possibly in use\n"
                           "  -y --yes                   With reclaim: do not ask for confirmation\n"
                           "  -l --full                  Do not truncate columns\n"
                           "     --sort=FIELD            Sort by a column; -FIELD reverses the order\n"
                           "     --bytes                 Show sizes in bytes\n"
                           "     --socket=PATH           Query the daemon at PATH\n"
                           "     --direct                Take a snapshot without a daemon\n"
                           "\nCommand Options:\n"
                           "     --holders --pins --uses With objects: show holders, pins, uses of maps\n"
                           "     --group-by=WHAT         With objects: show sums by cgroup, type,\n"
                           "                             name-prefix, pin-dir, holder or program\n"
                           "     --waste                 With objects: list memory that can be saved\n"
                           "     --openmetrics           With metrics: print OpenMetrics 1.0\n"
                           "     --textfile=PATH         With metrics: replace the file PATH\n"
                           "     --since=TIME            With history, what-grew, report: beginning\n"
                           "     --until=TIME            With history, what-grew, report: end\n"
                           "     --cpus=N                With suggest: limits for N possible CPUs\n"
                           "     --force                 With suggest: accept less than a day of history\n"
                           "     --apply                 With suggest: apply limits until the next boot\n"
                           "     --dry-run               With suggest: show how often limits were exceeded\n"
                           "  -d --delay=SEC             With top: time between updates (default 1)\n"
                           "  -n --iterations=N          With top: exit after N updates\n"
                           "  -b --batch                 With top: print updates instead of redrawing\n\n"
                           "Exit status: 0 success, 1 failure; status: 3 not running;\n"
                           "doctor: 0 full, 1 partial, 2 none, 3 unknown.\n"
                           "See the bpfbudgetctl(1) man page for details.\n";

/* --- Options ------------------------------------------------------------------------------------------------------ */

static int parse_json(const char *mode, enum json_mode *json)
{
        static const struct {
                const char *name;
                enum json_mode mode;
        } modes[] = { { "pretty", JSON_PRETTY }, { "short", JSON_SHORT }, { "off", JSON_OFF } };

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                if (strcmp(mode, modes[i].name) == 0) {
                        *json = modes[i].mode;
                        return 0;
                }
        log_error("--json=%s: unknown mode; it is one of pretty, short, off", mode);
        return -EINVAL;
}

static int parse_delay(const char *text, uint64_t *usec)
{
        char *end;
        double seconds = strtod(text, &end);

        /* Shorter intervals need CPU time, but nobody would see a difference. */
        if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600)) {
                log_error("--delay=%s: not a number of seconds from 0.1 to 3600", text);
                return -EINVAL;
        }
        *usec = llround(seconds * 1e6);
        return 0;
}

/* A number above 0, of the option @name. */
static int parse_number(const char *name, const char *text, uint32_t *number)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end || n == 0 || n > UINT32_MAX) {
                log_error("--%s=%s: not a number above 0", name, text);
                return -EINVAL;
        }
        *number = n;
        return 0;
}

static int parse_grouping(const char *name, enum grouping *grouping)
{
        int r = grouping_from_name(name);

        if (r < 0) {
                log_error("--group-by=%s: it is one of %s", name, GROUPING_NAMES);
                return r;
        }
        *grouping = r;
        return 0;
}

enum {
        OPTION_VERSION = 0x100,
        OPTION_JSON,
        OPTION_NO_PAGER,
        OPTION_NO_LEGEND,
        OPTION_SORT,
        OPTION_BYTES,
        OPTION_SOCKET,
        OPTION_DIRECT,
        OPTION_HOLDERS,
        OPTION_PINS,
        OPTION_USES,
        OPTION_GROUP_BY,
        OPTION_WASTE,
        OPTION_OPENMETRICS,
        OPTION_TEXTFILE,
        OPTION_SINCE,
        OPTION_UNTIL,
        OPTION_CPUS,
        OPTION_FORCE,
        OPTION_APPLY,
        OPTION_DRY_RUN,
};

static const struct option option_table[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "json", required_argument, NULL, OPTION_JSON },
        { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
        { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
        { "all", no_argument, NULL, 'a' },
        { "full", no_argument, NULL, 'l' },
        { "yes", no_argument, NULL, 'y' },
        { "sort", required_argument, NULL, OPTION_SORT },
        { "bytes", no_argument, NULL, OPTION_BYTES },
        { "socket", required_argument, NULL, OPTION_SOCKET },
        { "direct", no_argument, NULL, OPTION_DIRECT },
        { "holders", no_argument, NULL, OPTION_HOLDERS },
        { "pins", no_argument, NULL, OPTION_PINS },
        { "uses", no_argument, NULL, OPTION_USES },
        { "group-by", required_argument, NULL, OPTION_GROUP_BY },
        { "waste", no_argument, NULL, OPTION_WASTE },
        { "openmetrics", no_argument, NULL, OPTION_OPENMETRICS },
        { "textfile", required_argument, NULL, OPTION_TEXTFILE },
        { "since", required_argument, NULL, OPTION_SINCE },
        { "until", required_argument, NULL, OPTION_UNTIL },
        { "cpus", required_argument, NULL, OPTION_CPUS },
        { "force", no_argument, NULL, OPTION_FORCE },
        { "apply", no_argument, NULL, OPTION_APPLY },
        { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
        { "delay", required_argument, NULL, 'd' },
        { "iterations", required_argument, NULL, 'n' },
        { "batch", no_argument, NULL, 'b' },
        {},
};

#define SHORT_OPTIONS "hjald:n:by"

/* Options without an argument that set a member of struct options. */
static const struct {
        int option;
        size_t member; /* its offset; a bool */
        bool value;
} switches[] = {
        { OPTION_NO_PAGER, offsetof(struct options, pager), false },
        { OPTION_NO_LEGEND, offsetof(struct options, legend), false },
        { 'a', offsetof(struct options, all), true },
        { 'l', offsetof(struct options, full), true },
        { OPTION_BYTES, offsetof(struct options, bytes), true },
        { OPTION_DIRECT, offsetof(struct options, direct), true },
        { OPTION_OPENMETRICS, offsetof(struct options, openmetrics), true },
        { OPTION_FORCE, offsetof(struct options, force), true },
        { OPTION_APPLY, offsetof(struct options, apply), true },
        { OPTION_DRY_RUN, offsetof(struct options, dry_run), true },
        { 'b', offsetof(struct options, batch), true },
        { 'y', offsetof(struct options, yes), true },
        { OPTION_WASTE, offsetof(struct options, waste), true },
};

static const struct {
        int option;
        enum relation relation;
} relation_options[] = {
        { OPTION_HOLDERS, RELATION_HOLDERS },
        { OPTION_PINS, RELATION_PINS },
        { OPTION_USES, RELATION_USES },
};

/* Whether @c is an option without an argument that it has set. */
static bool set_switch(struct options *options, int c)
{
        for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
                if (switches[i].option == c) {
                        *(bool *) ((char *) options + switches[i].member) = switches[i].value;
                        return true;
                }
        for (size_t i = 0; i < sizeof(relation_options) / sizeof(relation_options[0]); i++)
                if (relation_options[i].option == c) {
                        options->relations |= relation_options[i].relation;
                        return true;
                }
        return false;
}

/* The option, such as --help, has printed everything that was requested. */
enum { OPTIONS_DONE = 1 };

/* Takes over one option. Returns 0; OPTIONS_DONE; -EINVAL, logged. */
static int parse_option(struct options *options, int c)
{
        if (set_switch(options, c))
                return 0;
        switch (c) {
        case 'h':
                fputs(help, stdout);
                return OPTIONS_DONE;
        case OPTION_VERSION:
                printf("bpfbudgetctl %s\n", PACKAGE_VERSION);
                return OPTIONS_DONE;
        case 'j':
                options->json = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
                return 0;
        case OPTION_JSON:
                return parse_json(optarg, &options->json);
        case OPTION_SORT:
                options->sort = optarg;
                return 0;
        case OPTION_SOCKET:
                options->socket = optarg;
                return 0;
        case OPTION_TEXTFILE:
                options->textfile = optarg;
                return 0;
        case OPTION_GROUP_BY:
                return parse_grouping(optarg, &options->grouping);
        case 'd':
                return parse_delay(optarg, &options->delay_usec);
        case 'n':
                return parse_number("iterations", optarg, &options->iterations);
        case OPTION_CPUS:
                return parse_number("cpus", optarg, &options->cpus);
        case OPTION_SINCE:
                options->since = optarg;
                return 0;
        case OPTION_UNTIL:
                options->until = optarg;
                return 0;
        default:
                return -EINVAL; /* getopt has printed what is wrong */
        }
}

static int parse_options(int argc, char *argv[], struct options *options)
{
        int c, r;

        while ((c = getopt_long(argc, argv, SHORT_OPTIONS, option_table, NULL)) >= 0) {
                r = parse_option(options, c);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* --- Verbs -------------------------------------------------------------------------------------------------------- */

/* The verb @name; NULL: there is none. */
static const struct verb *find_verb(const char *name)
{
        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

static int check_verb(const struct verb *verb, const struct options *options, int argc)
{
        if (argc < verb->minimum)
                log_error("%s: too few arguments; see bpfbudgetctl --help", verb->name);
        else if (argc > verb->maximum)
                log_error("%s: too many arguments; see bpfbudgetctl --help", verb->name);
        else if (options->direct && !verb->direct)
                log_error("%s: it needs the daemon, there is no --direct", verb->name);
        else if ((options->grouping || options->relations) && verb->run != verb_objects)
                log_error("%s: --group-by=, --holders, --pins and --uses go with objects only", verb->name);
        else if (options->all && verb->run != verb_cgroups && verb->run != verb_tree && verb->run != verb_orphans)
                log_error("%s: --all goes with cgroups, tree and orphans only", verb->name);
        else if (options->waste && (verb->run != verb_objects || options->grouping || options->relations))
                log_error("%s: --waste goes with objects only, and alone", verb->name);
        else if (options->yes && verb->run != verb_reclaim)
                log_error("%s: --yes goes with reclaim only", verb->name);
        else if ((options->textfile || options->openmetrics) && verb->run != verb_metrics)
                log_error("%s: --textfile= and --openmetrics go with metrics only", verb->name);
        else if (options->textfile && options->openmetrics)
                log_error("%s: --textfile= is for the node_exporter, which cannot read --openmetrics: leave one out",
                                verb->name);
        else if ((options->since || options->until) && verb->run != verb_history && verb->run != verb_what_grew &&
                        verb->run != verb_report)
                log_error("%s: --since= and --until= go with history, what-grew and report only", verb->name);
        else if (options->json && verb->run == verb_report)
                log_error("%s: it is HTML, there is no --json", verb->name);
        else if ((options->cpus || options->force || options->apply || options->dry_run) && verb->run != verb_suggest)
                log_error("%s: --cpus=, --force, --apply and --dry-run go with suggest only", verb->name);
        else
                return 0;
        return -EINVAL;
}

/*
 * Arguments that are not UTF-8, or empty by mistake, must not be treated as missing, because a missing one means
 * everything.
 */
static int check_arguments(const struct verb *verb, int argc, char *argv[])
{
        for (int i = 0; i < argc; i++) {
                if (*argv[i] && utf8_is_valid(argv[i]))
                        continue;
                if (*argv[i])
                        log_error("%s: %s: it is not UTF-8; use a pattern with ? for each such byte", verb->name,
                                        argv[i]);
                else
                        log_error("%s: an argument is empty; for all cgroups there is none", verb->name);
                return -EINVAL;
        }
        return 0;
}

static int run_verb(const struct options *options, int argc, char *argv[])
{
        const char *name = argc ? argv[0] : "status";
        const struct verb *verb = find_verb(name);
        int r;

        if (!verb) {
                log_error("Unknown command verb '%s'; see bpfbudgetctl --help", name);
                return -EINVAL;
        }
        argc -= argc > 0;
        argv++;
        r = check_verb(verb, options, argc);
        if (r == 0)
                r = check_arguments(verb, argc, argv);
        if (r < 0)
                return r;
        if (verb->pager && options->pager)
                pager_start();
        r = verb->run(options, argc, argv);
        pager_end();
        return r;
}

/* Writes the buffered rest of the output. Returns @r, or a negative errno, logged. */
static int end_output(int r)
{
        if (r < 0 || (fflush(stdout) == 0 && !ferror(stdout)))
                return r;
        log_error("The output cannot be written: %s", strerror(EIO));
        return -EIO;
}

/* The exit status of a failure: that of the verb if one was given, even if the options before it were wrong. */
static int failure_status(int argc, char *argv[])
{
        const struct verb *verb;

        opterr = 0;
        while (getopt_long(argc, argv, SHORT_OPTIONS, option_table, NULL) >= 0)
                ;
        verb = optind < argc ? find_verb(argv[optind]) : NULL;
        return verb && verb->failure ? verb->failure : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
        struct options options = {
                .pager = true,
                .legend = true,
                .socket = SOCKET_PATH,
                .delay_usec = TOP_DELAY_USEC,
        };
        int r;

        /*
         * When a reader such as head exits, this program ends silently, even in a service, which ignores the signal by
         * default.
         */
        signal(SIGPIPE, SIG_DFL);
        setlocale(LC_ALL, "");
        /* Messages of libbpf and of the daemon's code below warnings are only useful in the daemon's log. */
        log_set_max_level(LOG_WARNING);
        r = parse_options(argc, argv, &options);
        if (r == 0)
                r = run_verb(&options, argc - optind, argv + optind);
        else if (r == OPTIONS_DONE)
                r = 0;
        r = end_output(r);
        return r < 0 ? failure_status(argc, argv) : r;
}
