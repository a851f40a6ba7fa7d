/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's history: where it is kept, and whether there is one. */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "account/monitor.h"
#include "serve/history.h"

/*
 * Opens *history if it is @wanted (History=) and closes it if not. Called at the start and after each reload of the
 * configuration. The history is in $STATE_DIRECTORY, which the service manager sets, or else in /var/lib/bpfbudget if
 * this is the @system's daemon. A daemon with a configuration of its own has no history without that variable. Errors
 * are logged; the daemon works without a history.
 */
void record_start(struct history **history, struct event_base *base, struct monitor *monitor, bool system, bool wanted);
