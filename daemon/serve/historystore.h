/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history on disk: one SQLite database, history.db, of one process at a time. All functions may block on the disk.
 * They do not read a clock: the caller passes times, in hours and seconds since 1970, which may go backwards.
 *
 * A workload is a series of hours, and so is each of its largest maps. An hour in which something changed has a row. In
 * an hour without a row, the usage is that at the end of the previous row, if a daemon was running.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/historyname.h"

#define HISTORY_FILE "history.db"

/* The version of the database format. A file of a later version is not touched. */
#define HISTORY_VERSION 1

/* What is kept. */
#define HISTORY_HOURS      (8 * 24)
#define HISTORY_BYTES_MAX  (16ULL << 20)
#define HISTORY_EVENTS_MAX 10000

/* The kind of a series of maps of one name and type is HISTORY_MAP + its type; those of workloads are below. */
#define HISTORY_MAP 1000

/* Facts about a workload, in bytes, as of the last write before it was gone. */
struct history_facts {
        uint64_t allocated;
        uint64_t ceiling;   /* the sum of ceilings; objects without one count with their size */
        uint64_t unbounded; /* objects without a ceiling */
        uint64_t percpu;    /* the part of allocated that exists once for each possible CPU */
        uint64_t largest;   /* the largest map or program that it ever had */
};

/* A series to be written. */
struct history_series_note {
        uint32_t kind;
        uint32_t parent; /* of a map: 1 + the place of its workload in the batch, which comes before it; 0: a workload
                          */
        bool outer;
        char *name, *cgroup; /* freed with the batch; cgroup: the path of the last one, NULL: of a map */
        uint64_t initial;    /* bytes when this daemon started */
        uint64_t level;      /* bytes now */
        struct history_facts facts;
        void *cookie; /* the caller's */
};

struct history_hour_note {
        uint32_t series;                 /* place in the batch */
        uint32_t steps;                  /* changes */
        uint64_t hour, peak, last, step; /* step: the largest rise, in bytes */
};

enum history_event_kind {
        HISTORY_STATE,
        HISTORY_REFUSAL,
        HISTORY_THROTTLE,
};

/* Events of one kind of a workload in a minute. */
struct history_event_note {
        uint32_t series;            /* place in the batch */
        uint32_t kind;              /* enum history_event_kind */
        uint64_t sec, count;        /* when the last one was */
        uint64_t usage, size, usec; /* of the last one: bytes; how long all pauses were */
        char what[48];              /* levels "ok high", or the limit */
        char comm[16], object[16];
};

struct history_batch {
        struct history_series_note *series;
        struct history_hour_note *hours;
        struct history_event_note *events;
        size_t series_count, hour_count, event_count;
        uint64_t sec, hour; /* now */
        uint64_t usec;      /* now, CLOCK_MONOTONIC */
        uint64_t began_sec; /* when the daemon began */
        bool first, last;   /* it has all workloads that there are; the daemon ends */
};

/* Frees what is in @batch, and @batch. */
void history_batch_free(struct history_batch *batch);

struct history_query {
        char *glob;            /* of names and paths; NULL: all */
        uint64_t since, until; /* hours; both are in it */
        uint32_t points;       /* of each workload; 0: none */
        bool maps, events;
        uint64_t sec, usec; /* now; and by CLOCK_MONOTONIC */
};

/* The value for a time about which nothing is known. */
#define HISTORY_UNKNOWN UINT64_MAX

struct history_series {
        uint64_t id, parent; /* parent: id of the workload of a map; 0: a workload */
        uint32_t kind;
        bool outer;
        char *name, *cgroup;
        uint64_t first; /* the first hour */
        uint64_t level; /* bytes, as written last */
        struct history_facts facts;
        uint64_t before, after; /* bytes at the start of since and at the end of until */
        uint64_t peak, step;    /* bytes, from since to until */
        uint64_t changes;       /* in that time */
        uint64_t *points;       /* peaks, oldest first; HISTORY_UNKNOWN: no daemon ran, or it was not known yet */
        uint64_t filled;        /* private */
};

struct history_event {
        uint64_t series; /* id */
        struct history_event_note note;
};

struct history_result {
        struct history_query query;
        struct history_series *series; /* workloads that match, and their maps, by id */
        struct history_event *events;  /* of those workloads, oldest first */
        size_t series_count, event_count;
        uint64_t covered; /* hours from since to until in which a daemon ran */
        uint64_t begin;   /* the first hour of all; HISTORY_UNKNOWN: there is none */
};

/* NULL is none. */
void history_result_free(struct history_result *result);

struct history_store;

/*
 * Opens the database in @directory, which is made if it is not there, or begins one. One that is damaged is renamed to
 * history.db.damaged, which is logged. Returns 0; -EPROTONOSUPPORT: it is of a later version, and was not
 * touched; another negative errno (-EBUSY: another process has it; -EROFS, -ENOSPC, -EACCES, ...), after which it may
 * be tried again.
 */
int history_store_open(const char *directory, struct history_store **ret);
/* Renames the damaged, closed database in @directory, as history_store_open() does. Returns 0 or a negative errno. */
int history_store_set_aside(const char *directory);

/* NULL is none. */
void history_store_close(struct history_store *store);

/*
 * Writes @batch, all or nothing, and forgets what is too old. Returns 0; -EBADMSG: the database is damaged, and is to
 * be closed and opened again; another negative errno: it may be tried again.
 */
int history_store_write(struct history_store *store, const struct history_batch *batch);

/* Answers @query, which it takes over. Returns as history_store_write(); *result is to be freed. */
int history_store_read(struct history_store *store, struct history_query *query, struct history_result **result);

/* Bytes of the database and its log. */
uint64_t history_store_size(const struct history_store *store);
