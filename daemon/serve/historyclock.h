/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hours that come once more, after the clock was set back: their rows are from before that. While the clock runs
 * through them again, what is written now takes the place of what was. If the clock jumps over them, to where it was,
 * they stay.
 */
#pragma once

#include <stdint.h>

#include "serve/historydb.h"

/*
 * The first of the hours that the clock has run through since the last batch of this daemon, if it is @hour now and
 * @usec by CLOCK_MONOTONIC; @hour + 1 if there are none. Rows of these hours are not of this time.
 */
uint64_t store_first_repeated(const struct history_store *store, uint64_t hour, uint64_t usec);

/* Forgets the rows of these hours. Returns 0 or a negative errno. */
int store_drop_repeated(struct history_store *store, uint64_t hour, uint64_t usec);
