/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of io.bpfbudget: what the daemon knows, over varlink. */
#pragma once

#include "serve/api-context.h"

/* Where it is served if the service manager passes no socket. */
#define API_SOCKET "/run/bpfbudget/io.bpfbudget"
#define API_GROUP  "bpfbudget"

/* Makes the API; nobody can reach it yet. Returns 0 or -ENOMEM. api_free() closes all connections, and takes NULL. */
int api_new(const struct api_options *options, struct api **ret);
void api_free(struct api *api);

/* Serves at the listening unix sockets that the service manager passed. Returns how many, or a negative errno. */
int api_listen_passed(struct api *api);
/* Serves at @path, for root and API_GROUP. Returns 0; -EADDRINUSE: another daemon does; another negative errno. */
int api_listen(struct api *api, const char *path);

/* Writes what metrics_write() does, of what the last flush has. Returns 0 or -ENOMEM. */
int api_write_metrics(struct api *api, enum metrics_format format, struct writer *writer);

/* Counts an alert that did not reach the journal; @api may be NULL. */
void api_alert_dropped(struct api *api, enum alert_drop reason);

/* Counts @event, and sends it to all who subscribed to such; @api may be NULL. Costs nothing while nobody does. */
void api_event(struct api *api, const struct budget_event *event);
