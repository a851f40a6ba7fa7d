/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages about a whole run: at the start, what is missing on this kernel; at the end, the statistics. */
#pragma once

#include "account/monitor.h"

/* One line of what this kernel does not give, so that nobody has to guess. */
void log_capabilities(const struct kernel *kernel);

void log_statistics(const struct monitor *monitor);

/* What libevent has to say goes to the log: it would wait for whoever reads stderr. */
void log_libevent(void);
