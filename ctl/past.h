/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queries of the history: the workload and the time that the command line asks for. Errors are logged. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "options.h"
#include "table.h"

/* Sets *usec to the moment in @text, the argument of the option @option. Returns 0 or -EINVAL, logged. */
int past_moment(const char *option, const char *text, uint64_t *usec);

/*
 * Returns the parameters of GetHistory with --since= and --until=. @since is the default of --since=, NULL: none.
 * Returns NULL if an option is wrong, logged.
 */
json_t *past_span(const struct options *options, const char *since);

/*
 * Asks @method about the workload @name: a glob for names and paths, or the name of a service without its suffix; NULL:
 * all. @parameters, without the workload, are taken over. *reply has the array @key, which is not empty if @name is not
 * NULL. Returns 0 or a negative errno, logged.
 */
int past_ask(const struct options *options, const char *method, const char *name, json_t *parameters, const char *key,
                json_t **reply);

/* Sets the columns and rows of @table for @events, a list from GetHistory, and adds to each event its time as text. */
void past_events(struct table *table, json_t *events);
