/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the methods of the API share: the sources of their answers, the maximum age of an answer, parameters and errors.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <jansson.h>

#include "account/monitor.h"
#include "enforce/manager.h"
#include "policy/event.h"
#include "serve/metrics.h"
#include "serve/refusallog.h"
#include "serve/varlink.h"
#include "serve/writer.h"

/* What the daemon does for the API. */
struct api_hooks {
        /*
         * Reads the configuration again. Returns 0; -EINVAL: it has errors, which are appended to the array @errors as
         * strings, and the one in force stays; -ENOMEM. Warnings are appended to @warnings.
         */
        int (*reload)(void *context, json_t *errors, json_t *warnings);
        void *context;
};

struct api_options {
        struct event_base *base;
        struct monitor *monitor;
        struct manager *manager;
        struct api_hooks hooks;
        struct event *flushed;          /* is activated after a flush or refresh, to set timers again; NULL: none */
        struct history *const *history; /* set or NULL depending on History= */
        const char *directory; /* of budgets that are set at run time; the configuration is read from there, too */
};

struct api {
        struct api_options options;
        struct varlink_server *server;
        struct subscriber *subscribers;
        struct writer writer;     /* of the current reply */
        uint64_t fresh_usec;      /* the time of the last refresh; CLOCK_MONOTONIC, as now_usec() */
        uint64_t cost_usec;       /* the duration of that refresh */
        uint64_t unreported_usec; /* the time of the last refresh of what no sensor reports */
        uint64_t events[EVENT_KINDS];
        uint64_t dropped[ALERT_DROPS]; /* alerts, by enum alert_drop */
        struct refusal_log refusals;
};

/* Applies budgets immediately after usage or limits changed, so that answers include the result. */
void api_apply(struct api *api);

/* Refreshes all figures; the other function does so only if an answer would otherwise be too old. */
void api_refresh(struct api *api);
void api_refresh_if_old(struct api *api);

/* The string parameter @name, NULL: it was not given. */
const char *parameter_string(const json_t *parameters, const char *name);
/*
 * The parameter "cgroup", a path or a glob, without the mount point if it was given with one; NULL: it was not given.
 */
const char *parameter_cgroup(const json_t *parameters);
/* The index of @word in @words, which must contain it. */
size_t word_index(const char *const *words, const char *word);

/* Each replies with an error of io.bpfbudget. Returns as varlink_error(). */
int api_not_permitted(struct varlink_call *call, const char *reason);
int api_not_supported(struct varlink_call *call, const char *reason);
int api_reply_too_large(struct varlink_call *call);
int api_invalid_name(struct varlink_call *call, const char *name, const char *reason);
/* The same with the error whose full name is @error and its parameter @key. */
int api_error(struct varlink_call *call, const char *error, const char *key, const char *value);

/* Reloads the configuration. Returns as the hook; *errors and *warnings are arrays, or NULL, to be freed. */
int api_reload(struct api *api, json_t **errors, json_t **warnings);

/* Replies with @parameters (taken over; NULL: no memory), or with ReplyTooLarge. Returns as varlink_error(). */
int api_reply_once(struct varlink_call *call, json_t *parameters);
