/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket of the API, the address of the metrics, and the file beside the socket that tells clients why the daemon
 * did not start.
 */
#pragma once

#include <stdbool.h>

#include "policy/address.h"
#include "serve/api.h"
#include "serve/metricsserver.h"

/*
 * Serves @api on the sockets that the service manager passed, or else at @path (NULL: nowhere). Returns 0 or a negative
 * errno; a failure is logged. If nobody @named the path, a failure there is not an error, because the accounting does
 * not depend on the API.
 */
int listen_api(struct api *api, const char *path, bool named);

/* A failure is logged and not returned, because the daemon works without metrics. */
void listen_metrics(struct metrics_server *server, const struct listen_address *address);

/*
 * @r is the result of the daemon's start. If it is a negative errno, tells clients at @path (NULL: nowhere) why nobody
 * answers; else removes such a notice. @reason may be NULL if only the journal has the reason.
 */
void leave_reason(const char *path, const char *reason, int r);
