/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetHistory and Suggest: a thread reads the disk, and the call waits for it. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/array.h"
#include "base/error.h"
#include "base/wallclock.h"
#include "kernel/probe.h"
#include "policy/glob.h"
#include "policy/mount.h"
#include "serve/api-methods.h"
#include "serve/history.h"
#include "serve/historythread.h"
#include "serve/report.h"
#include "serve/suggest.h"

#define MICROSECONDS 1000000ULL
#define HOUR_USEC    (3600 * MICROSECONDS)

/* The maximum of "cpus" in Suggest. */
#define CPUS_MAX 8192

/* A reply that is one of several ends with the element that reaches this number of bytes. */
#define REPLY_SIZE (256 * 1024)

/* A call that waits for the disk. */
struct waiting {
        struct api *api;
        struct varlink_call *call;
        struct history_question *question; /* NULL: the history has answered */
        void (*write)(struct waiting *waiting, const struct history_result *result);
        struct writer writer;      /* of the replies */
        size_t *ends;              /* the end of each reply in it */
        size_t reply_count, reply; /* number of replies, and the index of the next one */
        bool many;                 /* the client accepts several replies */
        uint32_t cpus;             /* of the machine that limits are suggested for */
        char *unknown;             /* the requested workload if the history does not have it; else NULL */
        int error;
};

static void member_integer(struct writer *writer, const char *key, uint64_t value)
{
        writer_key(writer, key);
        writer_integer(writer, (int64_t) MIN(value, (uint64_t) INT64_MAX));
}

static void member_string(struct writer *writer, const char *key, const char *text)
{
        writer_key(writer, key);
        writer_string(writer, text && *text ? text : NULL);
}

/* Ends a reply: everything that was written since the previous one. */
static void end_reply(struct waiting *waiting)
{
        size_t *ends = array_grow(waiting->ends, waiting->reply_count, sizeof(*ends));

        if (!ends) {
                waiting->error = -ENOMEM;
                return;
        }
        waiting->ends = ends;
        ends[waiting->reply_count++] = waiting->writer.size;
}

/* The offset at which reply @i begins. */
static size_t reply_start(const struct waiting *waiting, size_t i)
{
        return i ? waiting->ends[i - 1] : 0;
}

/* Whether the next element belongs in a new reply. */
static bool is_full(const struct waiting *waiting)
{
        return waiting->many && waiting->writer.size - reply_start(waiting, waiting->reply_count) >= REPLY_SIZE;
}

/* --- GetHistory --------------------------------------------------------------------------------------------------- */

static void write_points(struct writer *writer, const struct history_series *series, uint32_t points)
{
        writer_open_member(writer, "peaks", '[');
        for (uint32_t i = 0; series->points && i < points; i++) {
                writer_element(writer);
                /*
                 * -1 if the value is not known, because varlinkctl does not accept arrays with elements that may be
                 * null.
                 */
                writer_integer(writer, series->points[i] == HISTORY_UNKNOWN ? -1 : (int64_t) series->points[i]);
        }
        writer_close(writer, ']');
}

static void write_growth(struct writer *writer, const struct history_series *series)
{
        member_integer(writer, "before", series->before);
        member_integer(writer, "after", series->after);
        member_integer(writer, "peak", series->peak);
}

/* The series of an answer sorted by one of their numbers, because there can be many, and each is searched for. */
struct series_index {
        const struct history_series **sorted;
        size_t count, key; /* key: offset of the number, a uint64_t */
};

static uint64_t key_of(const struct history_series *series, size_t key)
{
        return *(const uint64_t *) ((const char *) series + key);
}

static int compare_series(const void *a, const void *b, void *context)
{
        const struct history_series *x = *(const struct history_series *const *) a,
                                    *y = *(const struct history_series *const *) b;
        uint64_t i = key_of(x, *(size_t *) context), k = key_of(y, *(size_t *) context);

        return i != k ? (i > k) - (i < k) : (x > y) - (x < y);
}

/* Indexes the series whose number at the offset @key is not 0. Returns 0 or -ENOMEM. */
static int index_make(struct series_index *index, const struct history_result *result, size_t key)
{
        *index = (struct series_index){ .key = key,
                .sorted = calloc(result->series_count + 1, sizeof(*index->sorted)) };
        if (!index->sorted)
                return -ENOMEM;
        for (size_t i = 0; i < result->series_count; i++)
                if (key_of(&result->series[i], key))
                        index->sorted[index->count++] = &result->series[i];
        qsort_r(index->sorted, index->count, sizeof(*index->sorted), compare_series, &key);
        return 0;
}

/* The index of the first series whose number is @number, or of the next larger one. */
static size_t index_find(const struct series_index *index, uint64_t number)
{
        size_t low = 0, high = index->count;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (key_of(index->sorted[middle], index->key) < number)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void write_maps(struct writer *writer, const struct series_index *maps, const struct history_series *series)
{
        writer_open_member(writer, "maps", '[');
        for (size_t i = series->id ? index_find(maps, series->id) : maps->count;
                        i < maps->count && maps->sorted[i]->parent == series->id; i++) {
                const struct history_series *map = maps->sorted[i];
                struct object_record record = { .kind = OBJECT_MAP, .type = map->kind - HISTORY_MAP };
                char type[TYPE_NAME_MAX];

                writer_element(writer);
                writer_open(writer, '{');
                member_string(writer, "name", map->name);
                member_string(writer, "type", object_type_name(&record, type));
                write_growth(writer, map);
                writer_close(writer, '}');
        }
        writer_close(writer, ']');
}

static void write_workload(struct writer *writer, const struct history_result *result, const struct series_index *maps,
                const struct history_series *series)
{
        writer_element(writer);
        writer_open(writer, '{');
        member_string(writer, "kind", history_kind_name(series->kind));
        member_string(writer, "name", series->name);
        member_string(writer, "cgroup", series->cgroup);
        writer_key(writer, "outer");
        writer_boolean(writer, series->outer);
        member_integer(writer, "firstUSec", series->first * HOUR_USEC);
        write_growth(writer, series);
        member_integer(writer, "changes", series->changes);
        member_integer(writer, "largestStep", series->step);
        if (result->query.points)
                write_points(writer, series, result->query.points);
        if (result->query.maps)
                write_maps(writer, maps, series);
        writer_close(writer, '}');
}

static const char *const event_kinds[] = {
        [HISTORY_STATE] = "state",
        [HISTORY_REFUSAL] = "refusal",
        [HISTORY_THROTTLE] = "throttle",
};

static void write_event(struct writer *writer, const struct series_index *ids, const struct history_event *event)
{
        size_t place = index_find(ids, event->series);
        const struct history_series *series = place < ids->count ? ids->sorted[place] : NULL;
        const struct history_event_note *note = &event->note;

        if (!series || series->id != event->series)
                return;
        writer_element(writer);
        writer_open(writer, '{');
        member_string(writer, "kind", event_kinds[note->kind]);
        member_string(writer, "workload", series->name);
        member_integer(writer, "usec", note->sec * MICROSECONDS);
        member_integer(writer, "count", note->count);
        member_string(writer, "what", note->what);
        member_integer(writer, "usage", note->usage);
        member_integer(writer, "size", note->size);
        member_integer(writer, "pauseUSec", note->usec);
        member_string(writer, "comm", note->comm);
        member_string(writer, "objectName", note->object);
        writer_close(writer, '}');
}

/* Begins a reply, up to the list of workloads. */
static void begin_history(struct writer *writer, const struct history_result *result)
{
        writer_open(writer, '{');
        member_integer(writer, "sinceUSec", result->query.since * HOUR_USEC);
        member_integer(writer, "untilUSec", (result->query.until + 1) * HOUR_USEC);
        member_integer(writer, "coveredUSec", result->covered * HOUR_USEC);
        if (result->begin != HISTORY_UNKNOWN)
                member_integer(writer, "beginUSec", result->begin * HOUR_USEC);
        writer_open_member(writer, "workloads", '[');
}

/* Ends the list of workloads, and begins the list of events. */
static void begin_events(struct writer *writer)
{
        writer_close(writer, ']');
        writer_open_member(writer, "events", '[');
}

static void end_history(struct writer *writer)
{
        writer_close(writer, ']');
        writer_close(writer, '}');
}

static void write_history(struct waiting *waiting, const struct history_result *result)
{
        struct series_index maps = {}, ids = {};
        struct writer *writer = &waiting->writer;

        if (index_make(&maps, result, offsetof(struct history_series, parent)) < 0 ||
                        index_make(&ids, result, offsetof(struct history_series, id)) < 0)
                waiting->error = -ENOMEM;
        begin_history(writer, result);
        for (size_t i = 0; i < result->series_count; i++) {
                if (is_full(waiting)) {
                        begin_events(writer);
                        end_history(writer);
                        end_reply(waiting);
                        begin_history(writer, result);
                }
                if (result->series[i].kind < HISTORY_KINDS)
                        write_workload(writer, result, &maps, &result->series[i]);
        }
        begin_events(writer);
        for (size_t i = 0; i < result->event_count; i++) {
                if (is_full(waiting)) {
                        end_history(writer);
                        end_reply(waiting);
                        begin_history(writer, result);
                        begin_events(writer);
                }
                write_event(writer, &ids, &result->events[i]);
        }
        end_history(writer);
        free(maps.sorted);
        free(ids.sorted);
}

/* --- Suggest ------------------------------------------------------------------------------------------------------ */

static uint32_t possible_cpus(const struct api *api)
{
        return kernel_machine(api->options.monitor->kernel)->settings.possible_cpus;
}

static void write_suggestion(struct waiting *waiting, const struct history_series *series, uint32_t points)
{
        struct suggestion made = suggest(series, points, possible_cpus(waiting->api), waiting->cpus);
        struct writer *writer = &waiting->writer;

        writer_element(writer);
        writer_open(writer, '{');
        member_string(writer, "kind", history_kind_name(series->kind));
        member_string(writer, "name", series->name);
        member_string(writer, "cgroup", series->cgroup);
        member_integer(writer, "high", made.high);
        member_integer(writer, "max", made.max);
        member_integer(writer, "hours", made.hours);
        member_integer(writer, "changes", series->changes);
        member_integer(writer, "peak", made.peak);
        member_integer(writer, "percentile95", made.p95);
        member_integer(writer, "largestStep", made.step);
        writer_key(writer, "ceiling");
        if (made.ceiling == HISTORY_UNKNOWN)
                writer_raw(writer, "null");
        else
                writer_integer(writer, (int64_t) made.ceiling);
        member_integer(writer, "perCpu", made.percpu);
        member_integer(writer, "pausedHours", made.paused);
        member_integer(writer, "refusedHours", made.refused);
        writer_key(writer, "enough");
        writer_boolean(writer, made.hours >= SUGGEST_HOURS_MIN);
        writer_close(writer, '}');
}

static void write_suggestions(struct waiting *waiting, const struct history_result *result)
{
        struct writer *writer = &waiting->writer;

        writer_open(writer, '{');
        member_integer(writer, "cpus", waiting->cpus);
        member_integer(writer, "possibleCpus", possible_cpus(waiting->api));
        writer_open_member(writer, "suggestions", '[');
        for (size_t i = 0; i < result->series_count; i++) {
                const struct history_series *series = &result->series[i];

                /* A workload that only contains others gets a limit only if the call names it. */
                if (series->kind < HISTORY_KINDS && series->points && series->peak > 0 &&
                                (result->query.glob || !series->outer))
                        write_suggestion(waiting, series, result->query.points);
        }
        writer_close(writer, ']');
        writer_close(writer, '}');
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static void waiting_free(void *state)
{
        struct waiting *waiting = state;

        if (waiting->question)
                history_take_back(waiting->question);
        writer_deinit(&waiting->writer);
        free(waiting->ends);
        free(waiting->unknown);
        free(waiting);
}

static int reply(void *state, struct varlink_call *call)
{
        struct waiting *waiting = state;
        int r = waiting->error ?: waiting->writer.error;
        size_t start, end;

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return api_not_supported(call, history_error(r));
        if (waiting->unknown)
                return api_error(call, "io.bpfbudget.NoSuchWorkload", "workload", waiting->unknown);
        start = reply_start(waiting, waiting->reply);
        end = waiting->ends[waiting->reply++];
        r = varlink_reply_text(call, waiting->writer.text + start, end - start, waiting->reply < waiting->reply_count);
        return r == -EMSGSIZE ? api_reply_too_large(call) : r;
}

static const struct varlink_stream stream = { .next = reply, .end = waiting_free };

/* Stores the requested name if it has no wildcards and nothing in the history has it. Returns 0 or -ENOMEM. */
static int note_unknown(struct waiting *waiting, const struct history_result *result)
{
        const char *glob = result->query.glob;

        if (!glob || result->series_count > 0 || strpbrk(glob, "*?["))
                return 0;
        waiting->unknown = strdup(glob);
        return waiting->unknown ? 0 : -ENOMEM;
}

static void on_answer(void *context, const struct history_result *result, int error)
{
        struct waiting *waiting = context;

        waiting->question = NULL;
        waiting->error = error;
        if (result) {
                waiting->error = note_unknown(waiting, result);
                waiting->write(waiting, result);
                end_reply(waiting);
        }
        varlink_stream_holds(waiting->call, sizeof(*waiting) + waiting->writer.room);
        varlink_resume(waiting->call);
}

/* Passes @query, taken over, to the thread, and lets @call wait for the answer. */
static int ask_history(struct api *api, struct varlink_call *call, struct history_query *query, struct waiting *made)
{
        struct history *history = api->options.history ? *api->options.history : NULL;
        struct waiting *waiting = malloc(sizeof(*waiting));
        int r;

        if (!waiting) {
                free(query->glob);
                return -ENOMEM;
        }
        *waiting = *made;
        waiting->api = api;
        waiting->call = call;
        waiting->many = varlink_wants_more(call);
        r = history_ask(history, query, on_answer, waiting, &waiting->question);
        if (r < 0) {
                free(waiting);
                return r == -ENOMEM ? r : api_not_supported(call, history_error(r));
        }
        varlink_make_stream(call, &stream, waiting);
        varlink_suspend(call);
        return 0;
}

/* The hour of the time in the parameter @name; @other if the parameter is missing. */
static uint64_t parameter_hour(const json_t *parameters, const char *name, uint64_t other)
{
        const json_t *value = json_object_get(parameters, name);

        return value ? (uint64_t) json_integer_value(value) / HOUR_USEC : other;
}

/* The glob in the parameter "workload", a name or a path, to be freed. Returns 0; API_ANSWERED; -ENOMEM. */
static int take_workload(struct varlink_call *call, const json_t *parameters, char **glob)
{
        const char *workload = parameter_string(parameters, "workload");
        const char *name = workload ? strip_mount(workload) : NULL, *wrong = NULL;

        if (name && *name == '/')
                wrong = check_asked_glob(name);
        else if (name && !glob_is_closed(name))
                wrong = "has a \"[\" without \"]\": close it";
        if (wrong)
                return api_invalid_name(call, workload, wrong) ?: API_ANSWERED;
        *glob = name ? strdup(name) : NULL;
        return name && !*glob ? -ENOMEM : 0;
}

int api_get_history(void *context, struct varlink_call *call, json_t *parameters)
{
        int r;
        uint64_t now = wall_usec() / HOUR_USEC;
        struct waiting waiting = { .write = write_history };
        struct history_query query = {
                .until = MIN(parameter_hour(parameters, "untilUSec", now), now),
                .points = MIN(json_integer_value(json_object_get(parameters, "points")), 2 * HISTORY_HOURS),
                .maps = json_is_true(json_object_get(parameters, "maps")),
                .events = json_is_true(json_object_get(parameters, "events")),
        };

        /* If only the end is given, it may be before the kept hours: the reply is then empty, and not an error. */
        query.since = parameter_hour(
                        parameters, "sinceUSec", MIN(now > HISTORY_HOURS ? now - HISTORY_HOURS + 1 : 0, query.until));
        if (query.since > query.until)
                return varlink_invalid_parameter(call, "sinceUSec");
        r = take_workload(call, parameters, &query.glob);
        return r == 0 ? ask_history(context, call, &query, &waiting) : error_only(r);
}

int api_suggest(void *context, struct varlink_call *call, json_t *parameters)
{
        int r;
        const json_t *cpus = json_object_get(parameters, "cpus");
        uint64_t now = wall_usec() / HOUR_USEC;
        struct waiting waiting = { .write = write_suggestions };
        struct history_query query = {
                .since = now > HISTORY_HOURS ? now - HISTORY_HOURS + 1 : 0,
                .until = now,
                .points = HISTORY_HOURS,
        };

        if (cpus && (json_integer_value(cpus) < 1 || json_integer_value(cpus) > CPUS_MAX))
                return varlink_invalid_parameter(call, "cpus");
        waiting.cpus = cpus ? (uint32_t) json_integer_value(cpus) : possible_cpus(context);
        r = take_workload(call, parameters, &query.glob);
        return r == 0 ? ask_history(context, call, &query, &waiting) : error_only(r);
}

const struct varlink_parameter get_history_parameters[] = {
        { "workload", VARLINK_STRING, .optional = true },
        { "sinceUSec", VARLINK_SIZE, .optional = true },
        { "untilUSec", VARLINK_SIZE, .optional = true },
        { "points", VARLINK_SIZE, .optional = true },
        { "maps", VARLINK_BOOLEAN, .optional = true },
        { "events", VARLINK_BOOLEAN, .optional = true },
        {},
};

const struct varlink_parameter suggest_parameters[] = {
        { "workload", VARLINK_STRING, .optional = true },
        { "cpus", VARLINK_SIZE, .optional = true },
        {},
};
