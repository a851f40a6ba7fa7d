/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hours that are repeated because the clock was set back: the database has rows for them already. While the clock runs
 * through these hours again, new rows replace the old ones. If the clock jumps over them, back to where it was, the old
 * rows remain.
 */
#pragma once

#include <stdint.h>

#include "serve/historydb.h"

/*
 * The first of the hours that the clock has run through since the last batch of this daemon; @hour + 1 if there are
 * none. The present hour is @hour, and CLOCK_MONOTONIC is @usec. Rows that exist for these hours are from before the
 * clock was set back.
 */
uint64_t store_first_repeated(const struct history_store *store, uint64_t hour, uint64_t usec);

/* Forgets the rows of these hours. Returns 0 or a negative errno. */
int store_drop_repeated(struct history_store *store, uint64_t hour, uint64_t usec);
