/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How full a map is: its entries in percent of max_entries. Pure decisions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/records.h"

/*
 * Sets *percent, rounded down, at most 100. Returns false if the kernel does not report the entries, or where they say
 * nothing: arrays have all of theirs from the beginning, queues and rings are to run empty.
 */
bool fill_of(const struct object_record *record, uint32_t *percent);

/* Whether a full one refuses the next entry: not an LRU map, which drops an old one and is full by design. */
bool fill_is_a_limit(const struct object_record *record);

/*
 * Whether a map that is @percent full is over @high percent (0: no limit), where it @was before: it stays so until it
 * is at @clear percent of @high.
 */
bool fill_is_over(uint32_t percent, uint32_t high, uint32_t clear, bool was);
