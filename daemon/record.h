/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's history: where it is kept, and whether there is one. */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "account/monitor.h"
#include "serve/history.h"

/*
 * Sees to it that *history is there if it is @wanted (History=), and gone if not: at the start, and when the
 * configuration was read again. It is in $STATE_DIRECTORY, as the service manager has it, or else in /var/lib/bpfbudget
 * if this is the @system's daemon; what has a configuration of its own has no history without that variable. What is
 * wrong was logged: the rest works without.
 */
void record_start(struct history **history, struct event_base *base, struct monitor *monitor, bool system, bool wanted);
