/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of io.bpfbudget: what the daemon knows, over varlink. */
#pragma once

#include <event2/event.h>
#include <jansson.h>

#include "account/monitor.h"
#include "enforce/guard.h"
#include "policy/event.h"

/* Where it is served if the service manager passes no socket. */
#define API_SOCKET "/run/bpfbudget/io.bpfbudget"
#define API_GROUP  "bpfbudget"

/* What the daemon does for the API. */
struct api_hooks {
        /*
         * Reads the configuration again. Returns 0; -EINVAL: it has errors, which are appended to the array @errors as
         * strings, and the one in force stays; -ENOMEM.
         */
        int (*reload)(void *context, json_t *errors);
        /* To be called after a flush or refresh of the monitor. */
        void (*flushed)(void *context);
        void *context;
};

struct api_options {
        struct event_base *base;
        struct monitor *monitor;
        struct guard *guard;
        struct api_hooks hooks;
        const char *directory; /* of budgets that are set at run time; the configuration is read from there, too */
};

struct api;

/* Makes the API; nobody can reach it yet. Returns 0 or -ENOMEM. api_free() closes all connections, and takes NULL. */
int api_new(const struct api_options *options, struct api **ret);
void api_free(struct api *api);

/* Serves at the listening unix sockets that the service manager passed. Returns how many, or a negative errno. */
int api_listen_passed(struct api *api);
/* Serves at @path, for root and API_GROUP. Returns 0; -EADDRINUSE: another daemon does; another negative errno. */
int api_listen(struct api *api, const char *path);

/* Tells @event to all who subscribed to such; @api may be NULL. Costs nothing while nobody does. */
void api_event(struct api *api, const struct budget_event *event);
