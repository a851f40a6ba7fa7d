/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notifications to the service manager. A thread sends them, because the manager may be busy or hang. */
#pragma once

#include <stdbool.h>

/* sd_notify(3) of @state, sent later and in order. Returns false if too many (some thousand) wait already. */
bool notify(const char *state);

/* Waits at most NOTIFY_STOP_USEC until all notifications are sent. */
void notify_stop(void);
#define NOTIFY_STOP_USEC (100ULL * 1000)
