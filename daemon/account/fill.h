/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How full a map is: its entries in percent of max_entries. Pure decisions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/records.h"

/*
 * Sets *percent, rounded down, at most 100. Returns false if the kernel does not report the entries, or if the number
 * is not meaningful: arrays always have all their entries, and queues and rings are normally empty.
 */
bool fill_of(const struct object_record *record, uint32_t *percent);

/* Whether a full map refuses the next entry. An LRU map does not: it drops an old entry, and is full by design. */
bool fill_is_a_limit(const struct object_record *record);

/*
 * Whether a map that is @percent full is over @high percent (0: no limit). If it @was over before, it remains so until
 * it has fallen to @clear percent of @high.
 */
bool fill_is_over(uint32_t percent, uint32_t high, uint32_t clear, bool was);
