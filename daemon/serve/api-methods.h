/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of io.bpfbudget that have a source of their own, by noun; @context is the struct api. A table next to
 * each method describes its parameters. The table in api.c lists all methods.
 */
#pragma once

#include "serve/api-context.h"

/* api-cgroup.c: the cgroup that a caller names */
extern const struct varlink_parameter cgroup_parameter[];
int api_get_cgroup(void *context, struct varlink_call *call, json_t *parameters);

/* What was looked for is not there, and the call has been answered with an error that says so: nothing is left to do.
 */
enum { API_ANSWERED = 1 };

/* Finds the cgroup that the parameter "cgroup" names. Returns 0; API_ANSWERED; a negative errno. */
int api_take_cgroup(struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup);

/* Whether there can be a cgroup at @path. Returns 0 if so; API_ANSWERED; a negative errno. */
int api_check_path(struct varlink_call *call, const char *path);

/* Whether @glob (NULL: all) can match anything, now or later. Returns likewise. */
int api_check_form(struct api *api, struct varlink_call *call, const char *glob);

/*
 * Checks whether the glob in the parameter "cgroup" can match anything: it begins like a path, and a glob without
 * wildcards must name a cgroup that exists, or that was removed and is still charged. Returns 0 if so, or if none was
 * given; API_ANSWERED; a negative errno.
 */
int api_check_glob(struct api *api, struct varlink_call *call, const json_t *parameters);

/* api-lists.c */
extern const struct varlink_parameter list_cgroups_parameters[], list_objects_parameters[];
int api_list_cgroups(void *context, struct varlink_call *call, json_t *parameters);
int api_list_objects(void *context, struct varlink_call *call, json_t *parameters);
int api_list_budgets(void *context, struct varlink_call *call, json_t *parameters);

/* api-orphans.c */
extern const struct varlink_parameter list_orphans_parameters[];
int api_list_orphans(void *context, struct varlink_call *call, json_t *parameters);

/* Maps, programs; ended by NULL. */
extern const char *const object_kinds[];

/* api-explain.c */
extern const struct varlink_parameter explain_parameters[];
int api_explain(void *context, struct varlink_call *call, json_t *parameters);

/* api-budgets.c: root sets them, the owner of a cgroup lowers them */
int api_set_budget(void *context, struct varlink_call *call, json_t *parameters);
int api_unset_budget(void *context, struct varlink_call *call, json_t *parameters);

/* api-subscriptions.c */
extern const struct varlink_parameter subscribe_parameters[];
int api_subscribe(void *context, struct varlink_call *call, json_t *parameters);

/* api-history.c */
extern const struct varlink_parameter get_history_parameters[], suggest_parameters[];
int api_get_history(void *context, struct varlink_call *call, json_t *parameters);
int api_suggest(void *context, struct varlink_call *call, json_t *parameters);

/* api-metrics.c */
extern const struct varlink_parameter get_metrics_parameters[];
int api_get_metrics(void *context, struct varlink_call *call, json_t *parameters);

/* Sends @event to the clients that subscribed to such events. */
void subscribers_send(struct api *api, const struct budget_event *event);
