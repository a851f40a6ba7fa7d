/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets of the daemon: that of its API, and the address of its metrics; and the reason that is left beside the
 * former if the daemon did not start.
 */
#pragma once

#include <stdbool.h>

#include "policy/address.h"
#include "serve/api.h"
#include "serve/metricsserver.h"

/*
 * Serves @api by the service manager's sockets, or else at @path (NULL: nowhere). Returns 0 or a negative errno; what
 * failed is logged. At a path that is not @named by anybody it need not be served: the accounting does not depend on
 * it.
 */
int listen_api(struct api *api, const char *path, bool named);

/* The daemon's work does not depend on whether anybody can read its metrics: what fails is logged. */
void listen_metrics(struct metrics_server *server, const struct listen_address *address);

/*
 * Tells clients at @path (NULL: nowhere) why nobody answers, if @r, with which the daemon started, is a negative errno,
 * or that somebody does. @reason may be NULL: the journal has it.
 */
void leave_reason(const char *path, const char *reason, int r);
