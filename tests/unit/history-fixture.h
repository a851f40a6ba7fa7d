/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory for a history, and batches made by hand. To be included by one file of a program. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "serve/historystore.h"

#define MIB (1024 * 1024ULL)

/* An hour in 2026. */
#define NOON 490000ULL

static char directory[64];

static inline int make_directory(void **state)
{
        (void) state;
        strcpy(directory, "/tmp/bpfbudget-history-XXXXXX");
        log_set_max_level(LOG_CRIT);
        return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
        char command[128];

        (void) state;
        snprintf(command, sizeof(command), "rm -r %s", directory);
        return system(command);
}

static inline const char *file_in(const char *name)
{
        static char path[2][128];
        static int which;

        which = !which;
        snprintf(path[which], sizeof(path[which]), "%s/%s", directory, name);
        return path[which];
}

/* An empty batch at @hour, of a daemon that began in the hour @began. */
static inline struct history_batch *batch_at(uint64_t began, uint64_t hour)
{
        struct history_batch *batch = calloc(1, sizeof(*batch));

        batch->series = calloc(32, sizeof(*batch->series));
        batch->hours = calloc(256, sizeof(*batch->hours));
        batch->events = calloc(8, sizeof(*batch->events));
        batch->hour = hour;
        batch->sec = hour * 3600 + 60;
        batch->began_sec = began * 3600;
        return batch;
}

/* Adds the workload @name, whose last usage is @level. Returns its index. */
static inline uint32_t add_workload(struct history_batch *batch, const char *name, uint64_t level)
{
        struct history_series_note *note = &batch->series[batch->series_count];

        assert_true(batch->series_count < 32);
        note->kind = HISTORY_UNIT;
        note->name = strdup(name);
        note->cgroup = strdup("/system.slice/x");
        note->level = level;
        note->facts.allocated = level;
        return batch->series_count++;
}

static inline uint32_t add_map_of(struct history_batch *batch, uint32_t workload, const char *name, uint64_t level)
{
        struct history_series_note *note = &batch->series[batch->series_count];

        note->kind = HISTORY_MAP + 1;
        note->parent = workload + 1;
        note->name = strdup(name);
        note->level = level;
        return batch->series_count++;
}

static inline void add_hour_of(
                struct history_batch *batch, uint32_t series, uint64_t hour, uint64_t peak, uint64_t last)
{
        assert_true(batch->hour_count < 256);
        batch->hours[batch->hour_count++] = (struct history_hour_note){
                .series = series, .hour = hour, .peak = peak, .last = last, .steps = 1, .step = peak
        };
}

static inline struct history_store *open_store_in(void)
{
        struct history_store *store;

        assert_int_equal(history_store_open(directory, &store), 0);
        return store;
}

static inline void write_and_free(struct history_store *store, struct history_batch *batch)
{
        assert_int_equal(history_store_write(store, batch), 0);
        history_batch_free(batch);
}

/* Writes a workload with one row, in a batch of its own. */
static inline void write_one(struct history_store *store, const char *name, uint64_t hour, uint64_t peak, uint64_t last)
{
        struct history_batch *batch = batch_at(NOON, hour);

        add_hour_of(batch, add_workload(batch, name, last), hour, peak, last);
        write_and_free(store, batch);
}

/* Reads everything from @since to @until, with one point for each hour. */
static inline struct history_result *read_hours_of(
                struct history_store *store, const char *glob, uint64_t since, uint64_t until)
{
        struct history_query query = { .glob = glob ? strdup(glob) : NULL,
                .since = since,
                .until = until,
                .points = until - since + 1,
                .maps = true,
                .events = true,
                .sec = until * 3600 + 1800 };
        struct history_result *result;

        assert_int_equal(history_store_read(store, &query, &result), 0);
        return result;
}

static inline const struct history_series *series_named(const struct history_result *result, const char *name)
{
        for (size_t i = 0; i < result->series_count; i++)
                if (strcmp(result->series[i].name, name) == 0)
                        return &result->series[i];
        fail_msg("there is no %s", name);
        return NULL;
}
