/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of historystore.h: the open database, for the part that writes (historystore.c) and that reads
 * (historyread.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

enum statement {
        FIND_SERIES,
        COUNT_NAMES,
        ADD_SERIES,
        SET_SERIES,
        SET_LEVEL,
        SET_INITIAL,
        ADD_HOUR,
        ADD_MAP_HOUR,
        ADD_EVENT,
        SET_SESSION,
        LIST_LEFT,
        LIST_SERIES,
        LIST_HOURS,
        LIST_MAP_HOURS,
        LIST_PACKED,
        LIST_HOUR,
        LIST_MAP_HOUR,
        NEXT_HOUR,
        NEXT_MAP_HOUR,
        DROP_HOUR,
        DROP_MAP_HOUR,
        ADD_PACKED,
        LIST_EVENTS,
        LIST_SESSIONS,
        STATEMENTS,
};

struct history_store {
        sqlite3 *db;
        char *path;
        sqlite3_stmt *statements[STATEMENTS];
        bool told_share;       /* that somebody has used up a share, historyshare.h */
        uint64_t pruned_hour;  /* that of the last batch */
        uint64_t written_usec; /* when that was made, CLOCK_MONOTONIC */
        uint64_t began_sec;    /* of this daemon, which still runs; 0: nothing of it was written yet */
};

/* The negative errno for the result @code of SQLite; 0: no error. */
int store_error(int code);

/* Runs @statement, which has no rows, and resets it. Returns 0 or a negative errno. */
int store_run(sqlite3_stmt *statement);
