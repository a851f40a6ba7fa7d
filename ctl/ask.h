/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls of the daemon by the commands. Errors are logged here: the functions return 0 or a negative errno, logged. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "client.h"
#include "options.h"

/* The daemon does not run: nobody listens at the socket. */
#define ASK_NOT_RUNNING (-ECONNREFUSED)

/* Call client_deinit() for @client in any case. */
int ask_connect(struct client *client, const struct options *options);

/* Logs the error @r of client_connect(), if it is not 0. Returns as ask_connect(). */
int ask_tell_connect(const struct options *options, int r);

/* @method without the name of the interface; @parameters are taken over. reply: NULL if it is not wanted. */
int ask(struct client *client, const char *method, json_t *parameters, json_t **reply);

/* Calls the method with "more", and joins the arrays @key of all replies. *list is a new reference. */
int ask_list(struct client *client, const char *method, json_t *parameters, const char *key, json_t **list);

/*
 * Connects, calls @method, closes the connection, and writes the list as JSON in one line, as the daemon sent it:
 * {"KEY":[...]}. Nothing is written if the reply of the daemon is not complete. @argument: the argument of the user,
 * NULL: none; if it names a unit that does not run, an empty list is an error. @wants selects the elements to write,
 * NULL: all.
 */
int ask_and_write(const struct options *options, const char *method, json_t *parameters, const char *key,
                const char *argument, bool (*wants)(struct slice element), FILE *file);

/* Connects, asks for one list, and closes; @argument as above. */
int ask_once(const struct options *options, const char *method, json_t *parameters, const char *key,
                const char *argument, json_t **list);

/*
 * Call this if the list for the argument @name (NULL: none) is empty. Returns -ENOENT, logged, if @name is a unit that
 * does not run, else 0.
 */
int ask_check_unit(struct client *client, const char *name);

/* Logs the error @r of client_call() or a similar function, if it is not 0. Returns 0 or a negative errno. */
int ask_tell(const struct client *client, int r);

/*
 * The cgroup that @name means: a path, also one below the mount of cgroups in /sys/fs/cgroup; a unit of systemd, a
 * service where it has no suffix; or else a workload (workload.h). *cgroup is to be freed.
 */
int ask_cgroup(struct client *client, const char *name, char **cgroup);

/* Explains the cgroup that @name means, as above. */
int ask_explain(struct client *client, const char *name, json_t **reply);

/*
 * The glob that the argument @name of a list means: itself if it begins with a slash or an asterisk, a pod or
 * container, or else the unit of that name; the last two with the cgroups below them. NULL is NULL. *glob is to be
 * freed.
 */
int ask_glob(const struct options *options, const char *name, char **glob);

/* Whether the argument @name of a list has no wildcards. */
bool ask_is_exact(const char *name);

/* Logs that there is no cgroup, unit or workload @name. Returns -ENOENT. */
int ask_tell_missing(const char *name);

/*
 * Return the parameters of ListCgroups and ListObjects; @glob: NULL for all, @relations: enum relation. NULL: no
 * memory.
 */
json_t *ask_cgroups_parameters(const char *glob);
json_t *ask_objects_parameters(const char *glob, uint32_t relations);
