/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hours that are over, packed: all rows of an hour are one text of numbers, which takes a third of the room and of the
 * time to read that thousands of rows do. A row that comes late stays one, beside what is packed.
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

/* @row of @hour; what it is of comes in the order of hours, and each of their parts in the order of series. */
typedef void (*row_sink_t)(void *context, uint64_t hour, const struct history_row *row);

/*
 * Passes the rows of workloads, or of @maps, up to the hour @until to @sink, oldest first: of each hour what is packed,
 * then what came late or is not over yet. Returns 0 or a negative errno.
 */
int store_read_rows(struct history_store *store, bool maps, uint64_t until, row_sink_t sink, void *context);

/*
 * Each series begins with what it had at the end of the hours up to @hour, which are about to be forgotten: what does
 * not change has no row after them. Returns 0 or a negative errno.
 */
int store_carry(struct history_store *store, uint64_t hour);

/* Packs the hours before @now that are not packed yet. Returns 0 or a negative errno. */
int store_pack(struct history_store *store, uint64_t now);
