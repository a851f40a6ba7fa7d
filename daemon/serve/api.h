/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of io.bpfbudget: what the daemon knows, over varlink. */
#pragma once

#include "serve/api-context.h"

/* The path of the socket if the service manager passes none. */
#define API_SOCKET "/run/bpfbudget/io.bpfbudget"
#define API_GROUP  "bpfbudget"

/*
 * Creates the API, which does not listen yet. Returns 0 or -ENOMEM. api_free() closes all connections, and takes NULL.
 */
int api_new(const struct api_options *options, struct api **ret);
void api_free(struct api *api);

/* Serves on the listening unix sockets that the service manager passed. Returns their number, or a negative errno. */
int api_listen_passed(struct api *api);
/*
 * Serves at @path, for root and API_GROUP. Returns 0; -EADDRINUSE: another daemon serves there; another negative errno.
 */
int api_listen(struct api *api, const char *path);

/* Writes the metrics as of the last flush; see metrics_write(). Returns 0 or -ENOMEM. */
int api_write_metrics(struct api *api, enum metrics_format format, struct writer *writer);

/* Counts an alert that did not reach the journal; @api may be NULL. */
void api_alert_dropped(struct api *api, enum alert_drop reason);

/*
 * Counts @event, and sends it to all clients that subscribed to such events; @api may be NULL. Without subscribers it
 * does almost nothing.
 */
void api_event(struct api *api, const struct budget_event *event);
