/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "past.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/wallclock.h"
#include "field.h"
#include "graph.h"
#include "policy/mount.h"
#include "serve/historyname.h"
#include "show.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"
#include "when.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define USEC          1000000ULL
#define HOUR_USEC     (3600 * USEC)

/* Columns of a sparkline, and hours of a week and a day. */
#define GRAPH_WIDTH 32
#define HOURS_MAX   (8 * 24)

int past_moment(const char *option, const char *text, uint64_t *usec)
{
        if (when_parse(text, wall_usec(), usec) == 0)
                return 0;
        log_error("%s=%s: not " WHEN_EXPECTED, option, text);
        return -EINVAL;
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

/* Appends the lists of @reply to those of the first reply. */
static int join_replies(void *context, json_t *reply)
{
        json_t **joined = context, *list, *part;
        const char *key;

        if (!*joined) {
                *joined = json_incref(reply);
                return 0;
        }
        json_object_foreach(reply, key, part)
        {
                list = json_object_get(*joined, key);
                if (json_is_array(part) && json_is_array(list) && json_array_extend(list, part) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Calls @method with the workload @glob, NULL: all. *reply joins all replies, and has the array @key. */
static int ask_for(struct client *client, const char *method, const char *glob, const json_t *parameters,
                const char *key, json_t **reply)
{
        json_t *all = json_copy((json_t *) parameters);
        _cleanup_free_ char *name = NULL;
        int r = -ENOMEM;

        *reply = NULL;
        if (all && glob)
                json_object_set_new(all, "workload", json_string(glob));
        if (asprintf(&name, "io.bpfbudget.%s", method) < 0) {
                name = NULL;
                json_decref(all);
        } else
                r = client_call_more(client, name, all, join_replies, reply);
        /* The error is not logged, because the caller may try another name. */
        if (r == CLIENT_ERROR && strcmp(client->error, "io.bpfbudget.NoSuchWorkload") == 0) {
                *reply = json_pack("{s[]}", key);
                r = *reply ? 0 : -ENOMEM;
        }
        if (r == 0 && !json_is_array(json_object_get(*reply, key)))
                r = -EBADMSG;
        if (r == 0)
                return 0;
        json_decref(*reply);
        return ask_tell(client, r);
}

/*
 * Another meaning of @name if the history does not have it: a service without its suffix, or all pods of the controller
 * that created this pod. To be freed; NULL: there is none, or no memory.
 */
static char *other_name(const char *name)
{
        const char *slash = strchr(name, '/'), *pod = slash ? slash + 1 : NULL;
        size_t length, stem;
        char *other;

        if (slash == name || strpbrk(name, "*?["))
                return NULL;
        if (!slash)
                return strchr(name, '.') || asprintf(&other, "%s.service", name) < 0 ? NULL : other;
        length = strcspn(pod, "/");
        stem = history_pod_stem(pod, length);
        if (stem == length || asprintf(&other, "%.*s%s", (int) (pod - name + stem), name, pod + length) < 0)
                return NULL;
        return other;
}

int past_ask(const struct options *options, const char *method, const char *name, json_t *parameters, const char *key,
                json_t **reply)
{
        _cleanup_free_ char *other = name ? other_name(name) : NULL;
        struct client client;
        int r = ask_connect(&client, options);

        if (r == 0)
                r = ask_for(&client, method, name ? strip_mount(name) : NULL, parameters, key, reply);
        if (r == 0 && other && json_array_size(json_object_get(*reply, key)) == 0) {
                json_decref(*reply);
                r = ask_for(&client, method, other, parameters, key, reply);
        }
        client_deinit(&client);
        json_decref(parameters);
        if (r == 0 && name && json_array_size(json_object_get(*reply, key)) == 0) {
                log_error("%s: there is no such workload in the history", name);
                json_decref(*reply);
                return -ENOENT;
        }
        return r;
}

json_t *past_span(const struct options *options, const char *since)
{
        json_t *parameters = json_object();
        uint64_t from, to;

        if (options->since || since) {
                if (past_moment("--since", options->since ?: since, &from) < 0)
                        goto fail;
                json_object_set_new(parameters, "sinceUSec", json_integer((json_int_t) from));
        }
        if (options->until) {
                if (past_moment("--until", options->until, &to) < 0)
                        goto fail;
                json_object_set_new(parameters, "untilUSec", json_integer((json_int_t) to));
        }
        if ((options->since || since) && options->until && from > to) {
                log_error("--until=%s: it is before --since=%s", options->until, options->since ?: since);
                goto fail;
        }
        return parameters;
fail:
        json_decref(parameters);
        return NULL;
}

/* --- history ------------------------------------------------------------------------------------------------------ */

static const struct column history_columns[] = {
        { "WORKLOAD", "name", CELL_TEXT, true },
        { "KIND", "kind", CELL_TEXT, .spare = true },
        { "NOW", "after", CELL_SIZE },
        { "PEAK", "peak", CELL_SIZE },
        { "CHANGES", "changes", CELL_NUMBER },
        { "LARGEST-STEP", "largestStep", CELL_SIZE },
        { "PEAKS", "graph", CELL_TEXT },
};

static const struct column event_columns[] = {
        { "TIME", "time", CELL_TEXT },
        { "WORKLOAD", "workload", CELL_TEXT, true },
        { "EVENT", "kind", CELL_TEXT },
        { "COUNT", "count", CELL_NUMBER },
        { "WHAT", "what", CELL_TEXT },
        { "USAGE", "usage", CELL_SIZE },
        { "BY", "comm", CELL_TEXT },
        { "OBJECT", "objectName", CELL_TEXT },
};

static void add_graph(json_t *row)
{
        const json_t *peaks = json_object_get(row, "peaks");
        uint64_t values[HOURS_MAX];
        char graph[GRAPH_SIZE_MAX];
        size_t count = json_array_size(peaks);

        if (count > HOURS_MAX)
                count = HOURS_MAX;
        for (size_t i = 0; i < count; i++) {
                json_int_t value = json_integer_value(json_array_get(peaks, i));

                values[i] = value >= 0 ? (uint64_t) value : GRAPH_UNKNOWN;
        }
        graph_sparkline(graph, count < GRAPH_WIDTH ? count : GRAPH_WIDTH, values, count, text_is_utf8());
        json_object_set_new(row, "graph", json_string(graph));
}

static void add_time(json_t *row)
{
        time_t seconds = field_integer(row, "usec") / USEC;
        struct tm tm;
        char text[32];

        localtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
        json_object_set_new(row, "time", json_string(text));
}

void past_events(struct table *table, json_t *events)
{
        json_t *row;
        size_t i;

        json_array_foreach(events, i, row)
        {
                add_time(row);
        }
        table->columns = event_columns;
        table->column_count = LENGTH(event_columns);
        table->rows = events;
}

/* Prints the tables of @reply: workloads and, if there is a @name, their events. */
static int show_history(const struct options *options, const char *name, json_t *reply)
{
        json_t *workloads = json_object_get(reply, "workloads"), *events = json_object_get(reply, "events"), *row;
        struct table table = {};
        size_t i;
        int r;

        json_array_foreach(workloads, i, row)
        {
                add_graph(row);
        }
        r = show_rows(options, history_columns, LENGTH(history_columns), workloads);
        if (r < 0 || !name || json_array_size(events) == 0)
                return r;
        past_events(&table, events);
        putchar('\n');
        return show_table(options, table.columns, table.column_count, events, NULL);
}

int verb_history(const struct options *options, int argc, char *argv[])
{
        json_t *parameters = past_span(options, NULL), *reply;
        const char *name = argc ? argv[0] : NULL;
        int r;

        if (!parameters)
                return -EINVAL;
        /* In JSON, every hour of a named workload; for all workloads, this would be too large for a reply. */
        json_object_set_new(parameters, "points", json_integer(name && options->json ? HOURS_MAX : GRAPH_WIDTH));
        json_object_set_new(parameters, "events", json_boolean(name != NULL));
        json_object_set_new(parameters, "maps", json_boolean(name && options->json));
        r = past_ask(options, "GetHistory", name, parameters, "workloads", &reply);
        if (r < 0)
                return r;
        field_sort(json_object_get(reply, "workloads"), "after", true);
        r = options->json ? show_json(options, reply) : show_history(options, name, reply);
        json_decref(reply);
        return r;
}

/* --- what-grew ---------------------------------------------------------------------------------------------------- */

/* The default of --since= for what-grew. */
#define GREW_SINCE "-1d"

static const struct column growth_columns[] = {
        { "GREW", "grew", CELL_SIZE },
        { "BEFORE", "before", CELL_SIZE },
        { "AFTER", "after", CELL_SIZE },
        { "WORKLOAD", "workload", CELL_TEXT, true },
        { "MAP", "map", CELL_TEXT },
        { "TYPE", "type", CELL_TEXT },
};

/* Adds a row for @element, a workload or one of its maps (@map), if it grew. Returns 0 or -ENOMEM. */
static int add_growth(json_t *rows, const json_t *workload, const json_t *map)
{
        const json_t *element = map ?: workload;
        uint64_t before = field_integer(element, "before"), after = field_integer(element, "after");

        if (after <= before)
                return 0;
        return json_array_append_new(rows,
                               json_pack("{sI ss ss sI sI ss* ss*}", "grew", (json_int_t) (after - before), "workload",
                                               field_string(workload, "name"), "kind", field_string(workload, "kind"),
                                               "before", (json_int_t) before, "after", (json_int_t) after, "map",
                                               map ? field_string(map, "name") : NULL, "type",
                                               map ? field_string(map, "type") : NULL)) < 0
                               ? -ENOMEM
                               : 0;
}

/* Adds a row for @workload if it grew, and then rows for its maps that grew, largest growth first. */
static int add_growths(json_t *rows, const json_t *workload)
{
        json_t *maps = json_array(), *map;
        size_t i;
        int r = maps ? add_growth(rows, workload, NULL) : -ENOMEM;

        json_array_foreach(json_object_get(workload, "maps"), i, map)
        {
                if (r == 0)
                        r = add_growth(maps, workload, map);
        }
        if (r == 0)
                r = field_sort(maps, "grew", true);
        if (r == 0 && json_array_extend(rows, maps) < 0)
                r = -ENOMEM;
        json_decref(maps);
        return r;
}

/* The rows of everything that grew, largest growth first; NULL: no memory. */
static json_t *find_growth(json_t *workloads)
{
        json_t *rows = json_array(), *workload;
        size_t i;
        int r = rows ? 0 : -ENOMEM;

        json_array_foreach(workloads, i, workload)
        {
                json_object_set_new(workload, "grew",
                                json_integer((json_int_t) field_integer(workload, "after") -
                                                (json_int_t) field_integer(workload, "before")));
        }
        if (r == 0)
                r = field_sort(workloads, "grew", true);
        json_array_foreach(workloads, i, workload)
        {
                /* A workload that only contains others grows by the growth of these. */
                if (r == 0 && !field_true(workload, "outer"))
                        r = add_growths(rows, workload);
        }
        if (r == 0)
                return rows;
        json_decref(rows);
        return NULL;
}

int verb_what_grew(const struct options *options, int argc, char *argv[])
{
        json_t *parameters = past_span(options, GREW_SINCE), *reply, *rows;
        int r;

        (void) argc;
        (void) argv;
        if (!parameters)
                return -EINVAL;
        json_object_set_new(parameters, "maps", json_true());
        r = past_ask(options, "GetHistory", NULL, parameters, "workloads", &reply);
        if (r < 0)
                return r;
        rows = find_growth(json_object_get(reply, "workloads"));
        json_decref(reply);
        if (!rows) {
                log_error("Out of memory");
                return -ENOMEM;
        }
        r = options->json ? show_json_list(options, "grown", rows)
                          : show_rows(options, growth_columns, LENGTH(growth_columns), rows);
        json_decref(rows);
        return r;
}
