/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options on the command line of bpfbudgetctl, for all verbs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "group.h"

#define SOCKET_PATH "/run/bpfbudget/io.bpfbudget"

/*
 * Default of --delay=: short enough to show changes as they happen, and a hundred times the duration of a pass of the
 * daemon.
 */
#define TOP_DELAY_USEC (1000ULL * 1000)

/* --json= */
enum json_mode {
        JSON_OFF,    /* tables and text */
        JSON_SHORT,  /* in one line */
        JSON_PRETTY, /* indented */
};

struct options {
        enum json_mode json;
        bool pager, legend, all, full, bytes, direct, batch, openmetrics, yes, waste;
        bool force, apply, dry_run; /* of suggest */
        const char *since, *until;  /* of history and what-grew: moments; NULL: not given */
        uint32_t cpus;              /* of suggest: number of possible CPUs of another machine; 0: this machine */
        const char *sort;           /* title of a column, "-" before it reverses; NULL: the verb's own order */
        const char *socket;         /* path */
        const char *textfile;       /* of metrics: path; NULL: stdout */
        enum grouping grouping;
        uint32_t relations;  /* enum relation: relations of objects to ask for */
        uint64_t delay_usec; /* of top */
        uint32_t iterations; /* of top; 0: no end on a terminal, else one */
};
