/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of a table of transitions, packed into one array (bpf/automaton.h): most rows have one or two transitions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bpf/automaton.h"

struct rowpack {
        struct packed_row *rows;
        size_t count;
        struct transition *transitions;
        size_t transition_count;
};

/* Adds the row of the next state: where each byte leads. Returns 0 or -ENOMEM. */
int rowpack_add(struct rowpack *pack, const uint32_t row[256]);

/*
 * Packs the rows, with room for the labels. Returns 0 and *entries, to be freed, *count of them; -E2BIG: more than @max
 * entries are necessary; -ENOMEM.
 */
int rowpack_finish(struct rowpack *pack, size_t max, struct automaton_entry **entries, size_t *count);

void rowpack_deinit(struct rowpack *pack);
