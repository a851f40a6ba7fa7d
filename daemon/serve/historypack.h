/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packs past hours: all rows of an hour become one blob of numbers, which takes a third of the space, and of the time
 * to read, of thousands of rows. A row that is written late remains a row.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/historydb.h"

/* What is kept of a series for an hour. */
struct history_row {
        uint64_t series, peak, last, steps, step;
};

struct packer {
        uint8_t *bytes;
        size_t size, room;
        uint64_t series; /* of the last row */
};

/* Adds @row; they come in the order of series. Returns 0 or -ENOMEM. packer->bytes is to be freed. */
int pack_row(struct packer *packer, const struct history_row *row);

/* Takes the next row, after *row, from *at up to @end; *row is zero at first. Returns 1; 0: none is left; -EBADMSG. */
int unpack_row(const uint8_t **at, const uint8_t *end, struct history_row *row);

/* Takes the row of @statement that has hour, series, peak, last, steps and step. */
void store_take_row(sqlite3_stmt *statement, struct history_row *row);

/* Receives @row of @hour. Rows come in the order of hours, and within each part of an hour in the order of series. */
typedef void (*row_sink_t)(void *context, uint64_t hour, const struct history_row *row);

/*
 * Passes the rows of workloads, or of @maps, up to the hour @until to @sink, oldest first: for each hour the packed
 * rows, then those that were written late, or whose hour is not over. Returns 0 or a negative errno.
 */
int store_read_rows(struct history_store *store, bool maps, uint64_t until, row_sink_t sink, void *context);

/*
 * Sets the initial usage of each series to its usage at the end of @hour, because hours up to @hour are about to be
 * deleted, and a series that does not change has no later row. Returns 0 or a negative errno.
 */
int store_carry(struct history_store *store, uint64_t hour);

/* Packs the hours before @now that are not packed yet. Returns 0 or a negative errno. */
int store_pack(struct history_store *store, uint64_t now);
