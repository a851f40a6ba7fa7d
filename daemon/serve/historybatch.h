/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes batches of the collected data for writing, and handles their results. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "serve/historystate.h"

/* Adds @note, about a past hour of @entry, to the next batch; does nothing if too many wait. */
void history_keep_hour(struct history *history, struct history_entry *entry, const struct history_hour_note *note);

/* Adds an event of @entry to the next batch. NULL: too many wait, or no memory. */
struct history_pending_event *history_add_event(struct history *history, struct history_entry *entry);

/*
 * Makes the batch that is to be written now. NULL: no memory. The batch must be passed to history_batch_end(), and then
 * freed.
 */
struct history_batch *history_batch_make(struct history *history, bool last);

/* Must be called when @batch was written, or has failed; in the latter case, its data is written with the next one. */
void history_batch_end(struct history *history, const struct history_batch *batch, int error);

/*
 * Adds data that was not written yet to @result, if the queried time includes the present. @batches is the number of
 * batches at the time of the query.
 */
void history_overlay(const struct history *history, struct history_result *result, uint64_t batches);
