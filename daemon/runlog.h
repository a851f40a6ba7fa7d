/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages about a whole run: at the start, what is missing on this kernel; at the end, the statistics. */
#pragma once

#include "account/monitor.h"

/*
 * Logs what is missing on this kernel: those capabilities that a permission would add, and the number of all that are
 * missing.
 */
void log_capabilities(const struct kernel *kernel);

void log_statistics(const struct monitor *monitor);

/* Sends libevent's messages to the log: libevent itself would write to stderr, and block if nobody reads it. */
void log_libevent(void);
