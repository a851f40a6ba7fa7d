/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notifications to the service manager. A thread sends them, because the manager may be busy or hang. */
#pragma once

#include <stdbool.h>

/* sd_notify(3) of @state, later and in order. Returns whether it will be: some thousand may wait. */
bool notify(const char *state);

/* Waits until all of it is told, at most NOTIFY_STOP_USEC. */
void notify_stop(void);
#define NOTIFY_STOP_USEC (100ULL * 1000)
