/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historybatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/wallclock.h"
#include "policy/glob.h"
#include "serve/historysample.h"

#define MICROSECONDS 1000000ULL
#define HOUR_SEC     3600

/* --- Making ------------------------------------------------------------------------------------------------------- */

static struct history_series_note *add_series(struct history_batch *batch)
{
        struct history_series_note *more = array_grow(batch->series, batch->series_count, sizeof(*more));

        if (!more)
                return NULL;
        batch->series = more;
        more += batch->series_count++;
        *more = (struct history_series_note){};
        return more;
}

static bool add_hour(struct history_batch *batch, uint32_t series, const struct history_hour_note *note)
{
        struct history_hour_note *more = array_grow(batch->hours, batch->hour_count, sizeof(*more));

        if (!more)
                return false;
        batch->hours = more;
        more += batch->hour_count++;
        *more = *note;
        more->series = series;
        return true;
}

/* Adds @entry to the batch, if it is not in it yet. Returns its index, or -ENOMEM. */
static int place_entry(struct history_batch *batch, struct history_entry *entry)
{
        struct history_series_note *note;

        if (entry->place)
                return entry->place - 1;
        note = add_series(batch);
        if (!note)
                return -ENOMEM;
        note->kind = entry->key[0] - 'a';
        note->name = strdup(entry->key + 1);
        note->cgroup = entry->cgroup ? strdup(entry->cgroup) : NULL;
        note->outer = entry->outer;
        note->initial = entry->initial;
        note->level = entry->level;
        note->facts = entry->facts;
        note->cookie = entry;
        entry->references++;
        entry->place = batch->series_count;
        return note->name ? (int) entry->place - 1 : -ENOMEM;
}

static int add_map(struct history_batch *batch, uint32_t parent, struct history_map *map)
{
        struct history_hour_note hour = {
                .hour = batch->hour, .peak = MAX(map->before, map->level), .last = map->level
        };
        struct history_series_note *note = add_series(batch);

        if (!note)
                return -ENOMEM;
        note->kind = HISTORY_MAP + map->type;
        note->parent = parent + 1;
        note->name = strdup(map->name);
        note->initial = map->initial;
        note->level = map->level;
        if (!note->name || !add_hour(batch, batch->series_count - 1, &hour))
                return -ENOMEM;
        map->dirty = false;
        map->before = map->level;
        return 0;
}

static int add_maps(struct history *history, struct history_batch *batch, struct history_entry *entry)
{
        size_t kept = 0;

        for (size_t i = 0; i < entry->map_count; i++) {
                struct history_map *map = &entry->maps[i];

                if (map->dirty || !history->complete) {
                        int place = place_entry(batch, entry);

                        if (place < 0 || add_map(batch, place, map) < 0)
                                return -ENOMEM;
                }
                /* A map that was freed is not needed any more. */
                if (map->level > 0)
                        entry->maps[kept++] = *map;
        }
        entry->map_count = kept;
        return 0;
}

static int add_entry(struct history *history, struct history_batch *batch, struct history_entry *entry)
{
        struct history_hour_note hour;
        int place;

        /* The batch contains everything, so everything counts as written. */
        if (!history->complete && !entry->dirty) {
                entry->hour = batch->hour;
                entry->peak = entry->level;
                entry->step = entry->steps = 0;
        }
        if (entry->dirty || !history->complete) {
                hour = (struct history_hour_note){ .hour = entry->hour,
                        .peak = entry->peak,
                        .last = entry->level,
                        .step = entry->step,
                        .steps = entry->steps };
                place = place_entry(batch, entry);
                if (place < 0 || !add_hour(batch, place, &hour))
                        return -ENOMEM;
                entry->sent = entry->steps;
                entry->steps = 0;
                entry->dirty = false;
        }
        return add_maps(history, batch, entry);
}

static int add_rolled(struct history *history, struct history_batch *batch)
{
        for (size_t i = 0; i < history->rolled_count; i++) {
                struct history_rolled *rolled = &history->rolled[i];
                int place = place_entry(batch, rolled->entry);

                if (place < 0 || !add_hour(batch, place, &rolled->note))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < history->rolled_count; i++)
                history->rolled[i].entry->references--;
        free(history->rolled);
        history->rolled = NULL;
        history->rolled_count = 0;
        return 0;
}

static int add_events(struct history *history, struct history_batch *batch)
{
        if (history->event_count == 0)
                return 0;
        batch->events = calloc(history->event_count, sizeof(*batch->events));
        if (!batch->events)
                return -ENOMEM;
        for (size_t i = 0; i < history->event_count; i++) {
                struct history_pending_event *event = &history->events[i];
                int place = place_entry(batch, event->entry);

                if (place < 0)
                        return -ENOMEM;
                batch->events[batch->event_count] = event->note;
                batch->events[batch->event_count++].series = place;
        }
        for (size_t i = 0; i < history->event_count; i++)
                history->events[i].entry->references--;
        free(history->events);
        history->events = NULL;
        history->event_count = 0;
        return 0;
}

struct history_batch *history_batch_make(struct history *history, bool last)
{
        struct history_batch *batch = calloc(1, sizeof(*batch));
        struct history_entry *entry, *next;
        int r;

        if (!batch)
                return NULL;
        batch->sec = wall_usec() / MICROSECONDS;
        batch->hour = batch->sec / HOUR_SEC;
        batch->usec = now_usec();
        /*
         * The clock was set back to a time before the daemon started, so the daemon has been running in those hours,
         * too.
         */
        history->began_sec = MIN(history->began_sec, batch->sec);
        batch->began_sec = history->began_sec;
        batch->first = !history->complete;
        batch->last = last;
        history_sample(history);
        /* Oldest first: hours that have ended come before the present one. */
        r = add_rolled(history, batch);
        if (r == 0)
                r = add_events(history, batch);
        HASH_ITER (hh, history->entries, entry, next) {
                if (r == 0)
                        r = add_entry(history, batch, entry);
                entry->place = 0;
        }
        history->unwritten = r < 0;
        history->batches++;
        if (r == 0)
                return batch;
        history_batch_end(history, batch, r);
        history_batch_free(batch);
        return NULL;
}

/* --- What came of it ---------------------------------------------------------------------------------------------- */

void history_keep_hour(struct history *history, struct history_entry *entry, const struct history_hour_note *note)
{
        struct history_rolled *rolled;

        if (history->rolled_count >= HISTORY_PENDING_HOURS_MAX)
                return;
        rolled = array_grow(history->rolled, history->rolled_count, sizeof(*rolled));
        if (!rolled)
                return;
        history->rolled = rolled;
        rolled[history->rolled_count++] = (struct history_rolled){ entry, *note };
        entry->references++;
}

struct history_pending_event *history_add_event(struct history *history, struct history_entry *entry)
{
        struct history_pending_event *event;

        if (history->event_count >= HISTORY_PENDING_EVENTS_MAX)
                return NULL;
        event = array_grow(history->events, history->event_count, sizeof(*event));
        if (!event)
                return NULL;
        history->events = event;
        event += history->event_count++;
        *event = (struct history_pending_event){ .entry = entry };
        entry->references++;
        return event;
}

/* @note of @entry was not written. */
static void put_back_hour(struct history *history, struct history_entry *entry, const struct history_hour_note *note)
{
        if (entry->hour == note->hour) {
                entry->peak = MAX(entry->peak, note->peak);
                entry->step = MAX(entry->step, note->step);
                entry->steps += note->steps;
                entry->dirty = true;
                return;
        }
        history_keep_hour(history, entry, note);
}

static void put_back_event(struct history *history, struct history_entry *entry, const struct history_event_note *note)
{
        struct history_pending_event *event = history_add_event(history, entry);

        if (event)
                event->note = *note;
}

static void put_back(struct history *history, const struct history_batch *batch)
{
        struct history_entry *entry;

        for (size_t i = 0; i < batch->hour_count; i++) {
                entry = batch->series[batch->hours[i].series].cookie;
                if (entry)
                        put_back_hour(history, entry, &batch->hours[i]);
        }
        for (size_t i = 0; i < batch->event_count; i++) {
                entry = batch->series[batch->events[i].series].cookie;
                put_back_event(history, entry, &batch->events[i]);
        }
        for (size_t i = 0; i < batch->series_count; i++) {
                entry = batch->series[i].cookie;
                for (size_t m = 0; entry && m < entry->map_count; m++)
                        entry->maps[m].dirty = true;
        }
        history->unwritten = true;
}

void history_batch_end(struct history *history, const struct history_batch *batch, int error)
{
        if (error < 0)
                put_back(history, batch);
        for (size_t i = 0; i < batch->series_count; i++) {
                struct history_entry *entry = batch->series[i].cookie;

                if (!entry)
                        continue;
                entry->references--;
                entry->sent = 0;
                history_entry_drop(history, entry);
        }
}

/* --- What is not written yet -------------------------------------------------------------------------------------- */

/* Raises the peak of the point of @query that contains @hour to at least @bytes. */
static void overlay_point(
                struct history_series *series, const struct history_query *query, uint64_t hour, uint64_t bytes)
{
        uint64_t *point;

        series->peak = MAX(series->peak, bytes);
        if (!series->points)
                return;
        point = &series->points[(hour - query->since) * query->points / (query->until - query->since + 1)];
        *point = *point == HISTORY_UNKNOWN ? bytes : MAX(*point, bytes);
}

/* @unsent: the batch that the thread is writing also came after the question. */
static void overlay_entry(const struct history_entry *entry, bool unsent, struct history_series *series,
                const struct history_query *query)
{
        bool asked = entry->hour >= query->since && entry->hour <= query->until;

        series->outer = entry->outer;
        series->level = series->after = entry->level;
        if (entry->level > 0 && entry->facts.allocated > 0) {
                uint64_t largest = series->facts.largest;

                series->facts = entry->facts;
                series->facts.largest = MAX(largest, series->facts.largest);
        }
        /* The peak belongs to the hour of the last change, which may be in the future if the clock was set back. */
        if (asked) {
                series->changes += entry->steps + (unsent ? entry->sent : 0);
                series->step = MAX(series->step, entry->step);
                overlay_point(series, query, entry->hour, entry->peak);
        }
        overlay_point(series, query, query->until, entry->level);
}

/* Adds @entry, which is not on disk yet. */
static bool add_entry_of(struct history_result *result, const struct history_entry *entry)
{
        struct history_series *more = array_grow(result->series, result->series_count, sizeof(*more));
        uint32_t points = result->query.points;

        if (!more)
                return false;
        result->series = more;
        more += result->series_count;
        *more = (struct history_series){
                .kind = entry->key[0] - 'a',
                .outer = entry->outer,
                .name = strdup(entry->key + 1),
                .cgroup = strdup(entry->cgroup ?: ""),
                .first = entry->hour,
                .before = entry->initial,
                .points = points ? malloc(points * sizeof(*more->points)) : NULL,
        };
        for (uint32_t i = 0; more->points && i < points; i++)
                more->points[i] = HISTORY_UNKNOWN;
        result->series_count++;
        return more->name && more->cgroup && (more->points || !points);
}

static const struct history_entry *entry_of_series(const struct history *history, const struct history_series *series)
{
        char key[1 + HISTORY_NAME_SIZE];
        struct history_entry *entry;

        if (series->kind >= HISTORY_KINDS || strlen(series->name) >= HISTORY_NAME_SIZE)
                return NULL;
        key[0] = 'a' + series->kind;
        strcpy(key + 1, series->name);
        HASH_FIND(hh, history->entries, key, strlen(key), entry);
        return entry;
}

static bool matches(const struct history_entry *entry, const char *glob)
{
        return !glob || glob_match(glob, entry->key + 1) || (entry->cgroup && glob_match(glob, entry->cgroup));
}

void history_overlay(const struct history *history, struct history_result *result, uint64_t batches)
{
        const struct history_query *query = &result->query;
        bool unsent = history->batches > batches;
        uint64_t now = wall_usec() / MICROSECONDS / HOUR_SEC;
        size_t count = result->series_count;
        struct history_entry *entry, *next;

        if (query->until < now)
                return;
        HASH_ITER (hh, history->entries, entry, next)
                entry->place = 0;
        for (size_t i = 0; i < count; i++) {
                struct history_entry *known = (struct history_entry *) entry_of_series(history, &result->series[i]);

                if (!known)
                        continue;
                known->place = 1;
                overlay_entry(known, unsent, &result->series[i], query);
        }
        HASH_ITER (hh, history->entries, entry, next) {
                bool add = !entry->place && matches(entry, query->glob);

                entry->place = 0;
                if (add && add_entry_of(result, entry))
                        overlay_entry(entry, unsent, &result->series[result->series_count - 1], query);
        }
}
