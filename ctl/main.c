/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options and verbs of bpfbudgetctl. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/relation.h"
#include "build.h"
#include "group.h"
#include "options.h"
#include "terminal.h"
#include "verbs.h"

#define MANY INT8_MAX

/* A verb with how many arguments it takes, and what it can. */
static const struct verb {
        const char *name;
        int minimum, maximum; /* arguments */
        bool pager;           /* its output may be long */
        bool direct;          /* it can do without the daemon */
        int (*run)(const struct options *options, int argc, char *argv[]);
} verbs[] = {
        { "status", 0, 0, false, false, verb_status },
        { "cgroups", 0, 1, true, true, verb_cgroups },
        { "tree", 0, 1, true, true, verb_tree },
        { "objects", 0, 1, true, true, verb_objects },
        { "explain", 1, 1, true, false, verb_explain },
        { "top", 0, 1, false, false, verb_top },
        { "monitor", 0, 1, false, false, verb_monitor },
        { "budgets", 0, 0, true, false, verb_budgets },
        { "set-budget", 2, MANY, false, false, verb_set_budget },
        { "unset-budget", 1, 1, false, false, verb_unset_budget },
        { "capabilities", 0, 0, true, true, verb_capabilities },
        { "flush", 0, 0, false, false, verb_flush },
        { "reload", 0, 0, false, false, verb_reload },
        { "verify", 0, 1, false, true, verb_verify },
        { "version", 0, 0, false, false, verb_version },
};

static void print_help(void)
{
        printf("bpfbudgetctl [OPTIONS...] COMMAND ...\n\n"
               "Query and control bpfbudgetd, which accounts the kernel memory of BPF maps and\n"
               "programs to cgroups.\n\n"
               "Commands:\n"
               "  status                     Show what the daemon does (default)\n"
               "  cgroups [GLOB|UNIT]        List the cgroups that hold BPF memory\n"
               "  tree [GLOB|UNIT]           The same as a tree\n"
               "  objects [GLOB|UNIT]        List maps and programs, of these cgroups\n"
               "  explain CGROUP|UNIT        Explain where the memory of a cgroup goes\n"
               "  top [GLOB|UNIT]            Show cgroups as they change\n"
               "  monitor [GLOB|UNIT]        Print changes of state, refusals and throttles\n"
               "  budgets                    List the budgets in force\n"
               "  set-budget CGROUP|UNIT KEY=VALUE...\n"
               "                             Set a budget until the next boot\n"
               "  unset-budget CGROUP|UNIT   Take that back\n"
               "  capabilities               List the hooks of this kernel\n"
               "  flush                      Bring the daemon's figures up to date\n"
               "  reload                     Make the daemon read its configuration again\n"
               "  verify [DIR]               Check configuration files without the daemon\n"
               "  version                    Show the versions of this program and the daemon\n\n"
               "Options:\n"
               "  -h --help                  Show this help\n"
               "     --version               Show the version of this program\n"
               "     --json=pretty|short|off Write JSON; -j is pretty on a terminal, else short\n"
               "     --no-pager              Do not pipe output into a pager\n"
               "     --no-legend             Do not show headers\n"
               "  -l --full                  Do not cut what is too long for the terminal\n"
               "     --sort=FIELD            Order by a column; -FIELD the other way round\n"
               "     --bytes                 Show sizes in bytes\n"
               "     --socket=PATH           Ask the daemon that listens at PATH\n"
               "     --direct                Take a snapshot without a daemon\n"
               "     --holders --pins --uses With objects: who holds them open, where they are\n"
               "                             pinned, which programs use which maps\n"
               "     --group-by=WHAT         With objects: sum up by cgroup, type, name-prefix,\n"
               "                             pin-dir, holder or program\n"
               "  -d --delay=SEC             With top: time between two updates (default 1)\n"
               "  -n --iterations=N          With top: end after N updates\n"
               "  -b --batch                 With top: print instead of drawing\n\n"
               "See the bpfbudgetctl(1) man page for details.\n");
}

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

        /* Shorter ones cost more than an eye sees. */
        if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600)) {
                log_error("--delay=%s: not a number of seconds from 0.1 to 3600", text);
                return -EINVAL;
        }
        *usec = llround(seconds * 1e6);
        return 0;
}

static int parse_iterations(const char *text, uint32_t *iterations)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end || n == 0 || n > UINT32_MAX) {
                log_error("--iterations=%s: not a number above 0", text);
                return -EINVAL;
        }
        *iterations = n;
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
};

static const struct option option_table[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "json", required_argument, NULL, OPTION_JSON },
        { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
        { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
        { "full", no_argument, NULL, 'l' },
        { "sort", required_argument, NULL, OPTION_SORT },
        { "bytes", no_argument, NULL, OPTION_BYTES },
        { "socket", required_argument, NULL, OPTION_SOCKET },
        { "direct", no_argument, NULL, OPTION_DIRECT },
        { "holders", no_argument, NULL, OPTION_HOLDERS },
        { "pins", no_argument, NULL, OPTION_PINS },
        { "uses", no_argument, NULL, OPTION_USES },
        { "group-by", required_argument, NULL, OPTION_GROUP_BY },
        { "delay", required_argument, NULL, 'd' },
        { "iterations", required_argument, NULL, 'n' },
        { "batch", no_argument, NULL, 'b' },
        {},
};

/* Options without an argument that set a member of struct options. */
static const struct {
        int option;
        size_t member; /* its offset; a bool */
        bool value;
} switches[] = {
        { OPTION_NO_PAGER, offsetof(struct options, pager), false },
        { OPTION_NO_LEGEND, offsetof(struct options, legend), false },
        { 'l', offsetof(struct options, full), true },
        { OPTION_BYTES, offsetof(struct options, bytes), true },
        { OPTION_DIRECT, offsetof(struct options, direct), true },
        { 'b', offsetof(struct options, batch), true },
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

/* The command line asked for no more than what has been printed. */
enum { OPTIONS_DONE = 1 };

/* Takes over one option. Returns 0; OPTIONS_DONE; -EINVAL, logged. */
static int parse_option(struct options *options, int c)
{
        if (set_switch(options, c))
                return 0;
        switch (c) {
        case 'h':
                print_help();
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
        case OPTION_GROUP_BY:
                return parse_grouping(optarg, &options->grouping);
        case 'd':
                return parse_delay(optarg, &options->delay_usec);
        case 'n':
                return parse_iterations(optarg, &options->iterations);
        default:
                return -EINVAL; /* getopt has printed what is wrong */
        }
}

static int parse_options(int argc, char *argv[], struct options *options)
{
        int c, r;

        while ((c = getopt_long(argc, argv, "hjld:n:b", option_table, NULL)) >= 0) {
                r = parse_option(options, c);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* --- Verbs -------------------------------------------------------------------------------------------------------- */

/* The verb @name, or NULL, logged. */
static const struct verb *find_verb(const char *name)
{
        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        log_error("Unknown command verb '%s'; see bpfbudgetctl --help", name);
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
        else
                return 0;
        return -EINVAL;
}

static int run_verb(const struct options *options, int argc, char *argv[])
{
        const struct verb *verb = find_verb(argc ? argv[0] : "status");
        int r;

        if (!verb)
                return -EINVAL;
        argc -= argc > 0;
        argv++;
        r = check_verb(verb, options, argc);
        if (r < 0)
                return r;
        if (verb->pager && options->pager)
                pager_start();
        r = verb->run(options, argc, argv);
        pager_end();
        return r;
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

        setlocale(LC_ALL, "");
        /* What libbpf and the daemon's code have to say besides errors is for the daemon's log. */
        log_set_max_level(LOG_WARNING);
        r = parse_options(argc, argv, &options);
        if (r != 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        r = run_verb(&options, argc - optind, argv + optind);
        return r < 0 ? EXIT_FAILURE : r;
}
