/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon: its event loop, how it handles each event, what it reports to systemd, and who receives the events of
 * budgets.
 */
#pragma once

#include <stdbool.h>

struct daemon_options {
        bool pretty;           /* what SIGUSR1 writes is indented */
        const char *directory; /* of the configuration; NULL: the system's */
        const char *socket;    /* of the varlink API; NULL: the system's, or none if there is a directory */
        bool dry_run;
};

/* Runs until a signal ends it. Returns the exit status; what failed is logged. */
int run_daemon(const struct daemon_options *options);
