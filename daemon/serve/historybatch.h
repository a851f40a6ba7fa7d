/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How what is gathered becomes a batch to be written, and what becomes of that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "serve/historystate.h"

/* Has @note, of an hour of @entry that is over, written with the next batch; without effect if too many wait. */
void history_keep_hour(struct history *history, struct history_entry *entry, const struct history_hour_note *note);

/* Adds an event of @entry to what is written with the next batch. NULL: too many wait, or no memory. */
struct history_pending_event *history_add_event(struct history *history, struct history_entry *entry);

/* What is to be written now. NULL: no memory. To be given to history_batch_end(), then freed. */
struct history_batch *history_batch_make(struct history *history, bool last);

/* @batch was written, or has failed: then it is to be written with the next one. */
void history_batch_end(struct history *history, const struct history_batch *batch, int error);

/*
 * Adds what was not written yet to @result, if that goes on until now: it was asked for when so many @batches had been
 * made.
 */
void history_overlay(const struct history *history, struct history_result *result, uint64_t batches);
