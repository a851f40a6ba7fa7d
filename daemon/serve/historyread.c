/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers queries of the history (historystore.h). One pass over the rows, oldest first, fills all series at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "policy/glob.h"
#include "serve/historyclock.h"
#include "serve/historydb.h"
#include "serve/historypack.h"
#include "serve/historystore.h"

void history_result_free(struct history_result *result)
{
        if (!result)
                return;
        for (size_t i = 0; i < result->series_count; i++) {
                free(result->series[i].name);
                free(result->series[i].cgroup);
                free(result->series[i].points);
        }
        free(result->series);
        free(result->events);
        free(result->query.glob);
        free(result);
}

/* The state of one query. */
struct reading {
        struct history_store *store;
        struct history_result *result;
        const struct history_query *query;
        bool *covered;     /* by hour from query->since to query->until: whether a daemon ran */
        uint64_t repeated; /* rows of this hour and later are from before the clock was set back */
};

static struct history_series *find_series(struct history_result *result, uint64_t id)
{
        size_t low = 0, high = result->series_count;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (result->series[middle].id == id)
                        return &result->series[middle];
                if (result->series[middle].id < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

/* --- Sessions ----------------------------------------------------------------------------------------------------- */

static void cover(struct reading *reading, uint64_t began, uint64_t ended)
{
        const struct history_query *query = reading->query;
        uint64_t first = MAX(began / 3600, query->since), last = MIN(ended / 3600, query->until);

        if (reading->result->begin == HISTORY_UNKNOWN || began / 3600 < reading->result->begin)
                reading->result->begin = began / 3600;
        for (uint64_t hour = first; hour <= last; hour++) {
                reading->result->covered += !reading->covered[hour - query->since];
                reading->covered[hour - query->since] = true;
        }
}

static int read_sessions(struct reading *reading)
{
        sqlite3_stmt *list = reading->store->statements[LIST_SESSIONS];
        int r;

        while ((r = sqlite3_step(list)) == SQLITE_ROW)
                cover(reading, sqlite3_column_int64(list, 0), sqlite3_column_int64(list, 1));
        sqlite3_reset(list);
        /* The running daemon covers the time up to now, and not only up to its last write. */
        if (reading->store->began_sec)
                cover(reading, reading->store->began_sec, MAX(reading->store->began_sec, reading->query->sec));
        return store_error(r);
}

/* --- Series ------------------------------------------------------------------------------------------------------- */

static char *copy_text(sqlite3_stmt *statement, int column)
{
        return strdup((const char *) sqlite3_column_text(statement, column) ?: "");
}

static bool wants_series(const struct reading *reading, sqlite3_stmt *row)
{
        const char *glob = reading->query->glob;
        const char *name = (const char *) sqlite3_column_text(row, 3),
                   *path = (const char *) sqlite3_column_text(row, 4);

        if (sqlite3_column_int(row, 2) >= HISTORY_MAP)
                return reading->query->maps && find_series(reading->result, sqlite3_column_int64(row, 1));
        return !glob || (name && glob_match(glob, name)) || (path && glob_match(glob, path));
}

static int take_series(const struct reading *reading, sqlite3_stmt *row, struct history_series *series)
{
        const struct history_query *query = reading->query;

        *series = (struct history_series){
                .id = sqlite3_column_int64(row, 0),
                .parent = sqlite3_column_int64(row, 1),
                .kind = sqlite3_column_int(row, 2),
                .name = copy_text(row, 3),
                .cgroup = copy_text(row, 4),
                .outer = sqlite3_column_int(row, 5),
                .first = sqlite3_column_int64(row, 6),
                /* This is valid until a row has another value. */
                .before = sqlite3_column_int64(row, 7),
                .level = sqlite3_column_int64(row, 8),
                .facts = { sqlite3_column_int64(row, 9), sqlite3_column_int64(row, 10), sqlite3_column_int64(row, 11),
                                sqlite3_column_int64(row, 12), sqlite3_column_int64(row, 13) },
        };
        series->after = series->before;
        series->filled = MAX(query->since, series->first);
        if (query->points && series->kind < HISTORY_MAP)
                series->points = malloc(query->points * sizeof(*series->points));
        for (uint32_t i = 0; series->points && i < query->points; i++)
                series->points[i] = HISTORY_UNKNOWN;
        return series->name && series->cgroup && (series->points || !query->points || series->kind >= HISTORY_MAP)
                               ? 0
                               : -ENOMEM;
}

static int read_series(struct reading *reading)
{
        sqlite3_stmt *list = reading->store->statements[LIST_SERIES];
        struct history_result *result = reading->result;
        int r, error = 0;

        while (error == 0 && (r = sqlite3_step(list)) == SQLITE_ROW) {
                struct history_series *more;

                if (!wants_series(reading, list))
                        continue;
                more = array_grow(result->series, result->series_count, sizeof(*more));
                if (!more) {
                        error = -ENOMEM;
                        break;
                }
                result->series = more;
                error = take_series(reading, list, &more[result->series_count++]);
        }
        sqlite3_reset(list);
        return error ?: store_error(r);
}

/* --- Hours -------------------------------------------------------------------------------------------------------- */

static void note_point(const struct reading *reading, struct history_series *series, uint64_t hour, uint64_t bytes)
{
        const struct history_query *query = reading->query;
        uint64_t hours = query->until - query->since + 1;
        uint64_t *point = series->points ? &series->points[(hour - query->since) * query->points / hours] : NULL;

        series->peak = MAX(series->peak, bytes);
        if (point && (*point == HISTORY_UNKNOWN || bytes > *point))
                *point = bytes;
}

/* Fills the hours before @hour that have no row with the previous usage. */
static void fill(const struct reading *reading, struct history_series *series, uint64_t hour)
{
        for (; series->filled < hour; series->filled++)
                if (reading->covered[series->filled - reading->query->since])
                        note_point(reading, series, series->filled, series->after);
}

static void take_hour(const struct reading *reading, struct history_series *series, uint64_t hour,
                const struct history_row *row)
{
        if (hour < reading->query->since) {
                series->before = series->after = row->last;
                return;
        }
        fill(reading, series, hour);
        note_point(reading, series, hour, row->peak);
        series->filled = MAX(series->filled, hour + 1);
        series->after = row->last;
        series->changes += row->steps;
        series->step = MAX(series->step, row->step);
}

/* The position in the series of the result. The rows of an hour have the same order, but also include other series. */
struct cursor {
        const struct reading *reading;
        uint64_t hour, series; /* of the last row */
        size_t at;
};

static void take_row(void *context, uint64_t hour, const struct history_row *row)
{
        struct cursor *cursor = context;
        struct history_result *result = cursor->reading->result;

        if (hour >= cursor->reading->repeated)
                return;
        if (hour != cursor->hour || row->series < cursor->series)
                cursor->at = 0;
        cursor->hour = hour;
        cursor->series = row->series;
        while (cursor->at < result->series_count && result->series[cursor->at].id < row->series)
                cursor->at++;
        if (cursor->at < result->series_count && result->series[cursor->at].id == row->series)
                take_hour(cursor->reading, &result->series[cursor->at], hour, row);
}

static int read_kind(struct reading *reading, bool maps)
{
        struct cursor cursor = { .reading = reading };

        return store_read_rows(reading->store, maps, reading->query->until, take_row, &cursor);
}

static int read_hours(struct reading *reading)
{
        struct history_result *result = reading->result;
        int r = read_kind(reading, false);

        if (r == 0 && reading->query->maps)
                r = read_kind(reading, true);
        for (size_t i = 0; i < result->series_count; i++)
                fill(reading, &result->series[i], reading->query->until + 1);
        return r;
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static void copy_bytes(char *to, size_t size, sqlite3_stmt *row, int column)
{
        const char *text = (const char *) sqlite3_column_text(row, column) ?: "";
        size_t n = strnlen(text, size - 1);

        memcpy(to, text, n);
        to[n] = '\0';
}

static void take_event(sqlite3_stmt *row, struct history_event *event)
{
        event->series = sqlite3_column_int64(row, 1);
        event->note = (struct history_event_note){
                .sec = sqlite3_column_int64(row, 0),
                .kind = sqlite3_column_int(row, 2),
                .count = sqlite3_column_int64(row, 3),
                .usage = sqlite3_column_int64(row, 4),
                .size = sqlite3_column_int64(row, 5),
                .usec = sqlite3_column_int64(row, 6),
        };
        copy_bytes(event->note.what, sizeof(event->note.what), row, 7);
        copy_bytes(event->note.comm, sizeof(event->note.comm), row, 8);
        copy_bytes(event->note.object, sizeof(event->note.object), row, 9);
}

static int read_events(struct reading *reading)
{
        sqlite3_stmt *list = reading->store->statements[LIST_EVENTS];
        struct history_result *result = reading->result;
        int r;

        sqlite3_bind_int64(list, 1, reading->query->since * 3600);
        sqlite3_bind_int64(list, 2, (reading->query->until + 1) * 3600);
        while ((r = sqlite3_step(list)) == SQLITE_ROW) {
                struct history_event *more;

                if (!find_series(result, sqlite3_column_int64(list, 1)) ||
                                (uint32_t) sqlite3_column_int(list, 2) > HISTORY_THROTTLE)
                        continue;
                more = array_grow(result->events, result->event_count, sizeof(*more));
                if (!more) {
                        r = SQLITE_NOMEM;
                        break;
                }
                result->events = more;
                take_event(list, &more[result->event_count++]);
        }
        sqlite3_reset(list);
        return store_error(r);
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

static int answer(struct reading *reading)
{
        int r = read_sessions(reading);

        if (r == 0)
                r = read_series(reading);
        if (r == 0)
                r = read_hours(reading);
        return r == 0 && reading->query->events ? read_events(reading) : r;
}

int history_store_read(struct history_store *store, struct history_query *query, struct history_result **ret)
{
        struct history_result *result = calloc(1, sizeof(*result));
        _cleanup_free_ bool *covered = NULL;
        struct reading reading;
        int r;

        if (!result) {
                free(query->glob);
                return -ENOMEM;
        }
        result->query = *query;
        result->begin = HISTORY_UNKNOWN;
        query->glob = NULL;
        /* No spans that are negative, or longer than what is kept. */
        result->query.until = MAX(result->query.until, result->query.since);
        result->query.since = MAX(result->query.since, result->query.until - MIN(result->query.until, HISTORY_HOURS));
        result->query.points = MIN(result->query.points, result->query.until - result->query.since + 1);
        covered = calloc(result->query.until - result->query.since + 1, sizeof(*covered));
        reading = (struct reading){ store, result, &result->query, covered,
                store_first_repeated(store, query->sec / 3600, query->usec) };
        r = covered ? answer(&reading) : -ENOMEM;
        sqlite3_db_release_memory(store->db);
        if (r < 0)
                history_result_free(result);
        else
                *ret = result;
        return r;
}
