/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reportdata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/wallclock.h"
#include "direct.h"
#include "field.h"
#include "largest.h"
#include "past.h"
#include "show.h"

/* The result of a callback that wants no more elements. */
#define STOP 2

/* A long list, as it is read. */
struct list {
        struct report *report;
        const char *key; /* of the array in a reply */
        int (*take)(struct list *list, struct slice element);
        struct largest largest, others; /* two selections of the elements */
        uint64_t position;              /* for events: the beginning of the first mark, in microseconds since 1970 */
        uint64_t length;                /* for events: the length of all marks */
};

static int take_part(void *context, struct slice parameters)
{
        struct list *list = context;
        struct slice array, elements, element;
        int r = 0;

        if (!slice_member(parameters, list->key, &array) || !slice_elements(array, &elements))
                return -EBADMSG;
        while (r == 0 && elements.length > 0)
                r = slice_take(&elements, &element) ? list->take(list, element) : -EBADMSG;
        return r;
}

/* Moves the elements that @largest has kept to *@rows. Returns @r, or -ENOMEM if @r is 0 and there is no memory. */
static int finish(int r, struct largest *largest, json_t **rows)
{
        *rows = largest_rows(largest);
        largest_deinit(largest);
        return r != 0 ? r : *rows ? 0 : -ENOMEM;
}

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

/*
 * Usage in thousandths of its limit, and higher for budgets over a limit, so that these come first. 0: the cgroup has
 * no budget of its own.
 */
static uint64_t budget_score(struct slice budget)
{
        uint64_t limit = slice_number(budget, "max") ?: slice_number(budget, "high");
        uint64_t score = 1 + (limit ? (uint64_t) (1000.0 * slice_number(budget, "usage") / limit) : 0);
        struct slice name, state;

        if (!slice_member(budget, "name", &name) || !slice_member(budget, "state", &state))
                return 0;
        if (!slice_is(state, "\"ok\""))
                return score + (slice_is(state, "\"max\"") ? 2ULL << 60 : 1ULL << 60);
        return slice_is(name, "\"" DEFAULT_BUDGET "\"") ? 0 : score;
}

static int take_cgroup(struct list *list, struct slice element)
{
        struct report *report = list->report;
        uint64_t own = slice_number(element, "self.allocated"), score = 0;
        struct slice budget, path;
        json_error_t error;
        int r = 0;

        if (!report->root && slice_member(element, "path", &path) && slice_is(path, "\"/\"")) {
                report->root = json_loadb(element.start, element.length, 0, &error);
                if (!report->root)
                        return -EBADMSG;
        }
        if (own > 0) {
                report->cgroup_count++;
                r = largest_take(&list->largest, own, element);
        }
        if (slice_member(element, "budget", &budget))
                score = budget_score(budget);
        if (r < 0 || score == 0)
                return r;
        report->budget_count++;
        report->over_count += score >= 1ULL << 60;
        return largest_take(&list->others, score, element);
}

/* Passes the array @json of a snapshot, taken over, to @list as if it were a reply. Returns as its callback. */
static int read_snapshot(struct list *list, json_t *json)
{
        json_t *reply = json_pack("{so}", list->key, json);
        _cleanup_free_ char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
        int r = text ? take_part(list, (struct slice){ text, strlen(text) }) : -ENOMEM;

        json_decref(reply);
        return r;
}

/* Logs what went wrong with a snapshot. Returns @r. */
static int tell_snapshot(int r)
{
        if (r < 0)
                log_error("The snapshot cannot be reported: %s", strerror(-r));
        return r;
}

/* Reads the cgroups from the daemon by @client, or from a snapshot if it is NULL. */
static int collect_cgroups(struct report *report, struct client *client)
{
        struct list list = { .report = report, .key = "cgroups", .take = take_cgroup };
        json_t *snapshot = NULL;
        int r = client ? 0 : direct_cgroups(NULL, NULL, &snapshot), budgets;

        if (r < 0)
                return r;
        r = largest_init(&list.largest, REPORT_CGROUPS);
        budgets = largest_init(&list.others, REPORT_BUDGETS);
        r = r ?: budgets;
        if (r == 0 && client)
                r = client_call_text(client, "io.bpfbudget.ListCgroups", NULL, take_part, &list);
        else if (r == 0)
                r = read_snapshot(&list, json_incref(snapshot));
        json_decref(snapshot);
        r = finish(r, &list.largest, &report->cgroups);
        r = finish(r, &list.others, &report->budgets);
        for (size_t i = 0; i < json_array_size(report->cgroups); i++)
                report->cgroup_bytes += field_integer(json_array_get(report->cgroups, i), "self.allocated");
        if (r == 0 && !report->root)
                r = -EBADMSG;
        return client ? ask_tell(client, r) : tell_snapshot(r);
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static int take_object(struct list *list, struct slice element)
{
        /* The list begins with the largest. */
        if (list->largest.count == list->largest.max)
                return STOP;
        return largest_take(&list->largest, slice_number(element, "allocated"), element);
}

/*
 * Reads the largest objects. After this, @client cannot be used for another call, because the rest of the reply is not
 * read.
 */
static int collect_objects(struct report *report, struct client *client)
{
        struct list list = { .report = report, .key = "objects", .take = take_object };
        json_t *snapshot = NULL;
        int r = client ? 0 : direct_objects(NULL, NULL, 0, &snapshot);

        if (r < 0)
                return r;
        r = largest_init(&list.largest, REPORT_OBJECTS);
        if (r == 0 && client)
                r = client_call_text(client, "io.bpfbudget.ListObjects", NULL, take_part, &list);
        else if (r == 0)
                r = read_snapshot(&list, json_incref(snapshot));
        json_decref(snapshot);
        if (r == STOP)
                r = 0;
        r = finish(r, &list.largest, &report->objects);
        return client ? ask_tell(client, r) : tell_snapshot(r);
}

static int take_orphan(struct list *list, struct slice element)
{
        struct report *report = list->report;
        uint64_t bytes = slice_number(element, "allocated");
        struct slice certain;

        if (!slice_member(element, "certain", &certain) || !slice_is(certain, "true")) {
                report->uncertain_count++;
                report->uncertain_bytes += bytes;
                return 0;
        }
        report->orphan_count++;
        report->orphan_bytes += bytes;
        return largest_take(&list->largest, bytes, element);
}

static int collect_orphans(struct report *report, struct client *client)
{
        struct list list = { .report = report, .key = "orphans", .take = take_orphan };
        int r = largest_init(&list.largest, REPORT_ORPHANS);

        if (r == 0)
                r = client_call_text(
                                client, "io.bpfbudget.ListOrphans", json_pack("{sb}", "all", true), take_part, &list);
        r = finish(r, &list.largest, &report->orphans);
        return ask_tell(client, r);
}

/* --- History ------------------------------------------------------------------------------------------------------ */

static int take_workload(struct list *list, struct slice element)
{
        struct slice outer;

        /* A workload that only contains others has the usage of these. */
        if (slice_member(element, "outer", &outer) && slice_is(outer, "true"))
                return 0;
        list->report->workload_count++;
        return largest_take(&list->largest, slice_number(element, "peak"), element);
}

static void mark(struct list *list, struct slice element, uint64_t usec)
{
        static const char *const names[REPORT_MARKS] = { "\"state\"", "\"refusal\"", "\"throttle\"" };
        struct slice kind;

        if (usec < list->position || usec - list->position >= list->length || !slice_member(element, "kind", &kind))
                return;
        for (size_t i = 0; i < REPORT_MARKS; i++)
                if (slice_is(kind, names[i]))
                        list->report->marks[i][(usec - list->position) * REPORT_POINTS / list->length]++;
}

static int take_event(struct list *list, struct slice element)
{
        uint64_t usec = slice_number(element, "usec");

        list->report->event_count++;
        mark(list, element, usec);
        return largest_take(&list->largest, usec, element);
}

struct history_lists {
        struct list workloads, events;
};

static int take_history(void *context, struct slice parameters)
{
        struct history_lists *lists = context;
        struct report *report = lists->workloads.report;
        int r;

        report->since = slice_number(parameters, "sinceUSec");
        report->until = slice_number(parameters, "untilUSec");
        report->begin = slice_number(parameters, "beginUSec");
        report->covered = slice_number(parameters, "coveredUSec");
        lists->events.position = report->since;
        lists->events.length = MAX(report->until, report->since + 1) - report->since;
        r = take_part(&lists->workloads, parameters);
        return r ?: take_part(&lists->events, parameters);
}

/* If the daemon replied that it has no history, stores the reason and returns 0; else returns @r. */
static int note_no_history(struct report *report, const struct client *client, int r)
{
        if (r != CLIENT_ERROR || strcmp(client->error, "io.bpfbudget.NotSupported") != 0)
                return r;
        report->no_history = strdup(field_string(client->error_parameters, "reason"));
        return report->no_history ? 0 : -ENOMEM;
}

static int collect_history(struct report *report, struct client *client)
{
        struct history_lists lists = {
                .workloads = { .report = report, .key = "workloads", .take = take_workload },
                .events = { .report = report, .key = "events", .take = take_event },
        };
        json_t *parameters = past_span(report->options, NULL);
        int r, s;

        if (!parameters)
                return -EINVAL;
        json_object_set_new(parameters, "points", json_integer(REPORT_POINTS));
        json_object_set_new(parameters, "events", json_true());
        r = largest_init(&lists.workloads.largest, REPORT_WORKLOADS);
        s = largest_init(&lists.events.largest, REPORT_EVENTS);
        r = r ?: s;
        if (r == 0)
                r = client_call_text(client, "io.bpfbudget.GetHistory", parameters, take_history, &lists);
        else
                json_decref(parameters);
        r = note_no_history(report, client, r);
        r = finish(r, &lists.workloads.largest, &report->workloads);
        r = finish(r, &lists.events.largest, &report->events);
        report->points = json_array_size(field_get(json_array_get(report->workloads, 0), "peaks"));
        return ask_tell(client, r);
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

static int ask_member(struct client *client, const char *method, const char *key, json_t **member)
{
        json_t *reply = NULL;
        int r = ask(client, method, NULL, &reply);

        if (r < 0)
                return r;
        *member = key ? json_incref(json_object_get(reply, key)) : json_incref(reply);
        json_decref(reply);
        return 0;
}

static int collect_from_daemon(struct report *report)
{
        struct client client;
        int r = ask_connect(&client, report->options);

        if (r == 0)
                r = ask_member(&client, "org.varlink.service.GetInfo", NULL, &report->daemon);
        if (r == 0)
                r = ask_member(&client, "GetStatistics", "statistics", &report->statistics);
        if (r == 0)
                r = ask_member(&client, "GetReadiness", "facilities", &report->facilities);
        if (r == 0)
                r = collect_cgroups(report, &client);
        if (r == 0)
                r = collect_orphans(report, &client);
        if (r == 0)
                r = collect_history(report, &client);
        if (r == 0)
                r = collect_objects(report, &client);
        client_deinit(&client);
        return r;
}

static int collect_snapshot(struct report *report)
{
        json_t *readiness = NULL;
        int r = collect_cgroups(report, NULL);

        if (r == 0)
                r = collect_objects(report, NULL);
        if (r == 0)
                r = direct_readiness(&readiness);
        if (r == 0)
                report->facilities = json_incref(json_object_get(readiness, "facilities"));
        json_decref(readiness);
        return r;
}

int report_collect(struct report *report, const struct options *options)
{
        *report = (struct report){ .options = options, .usec = wall_usec() };
        uname(&report->host);
        return options->direct ? collect_snapshot(report) : collect_from_daemon(report);
}

void report_deinit(struct report *report)
{
        json_decref(report->daemon);
        json_decref(report->statistics);
        json_decref(report->facilities);
        json_decref(report->root);
        json_decref(report->cgroups);
        json_decref(report->objects);
        json_decref(report->budgets);
        json_decref(report->orphans);
        json_decref(report->workloads);
        json_decref(report->events);
        free(report->no_history);
        *report = (struct report){};
}
