/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All Cgroup= and Unit= of a configuration as one deterministic automaton (bpf/automaton.h), which the daemon and the
 * gate share: a cgroup's state is its parent's state advanced by "/" and its name. The time for this does not depend on
 * the number of budgets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/automaton.h"
#include "policy/budget.h"

struct automaton {
        struct automaton_entry *entries;
        size_t count;
        size_t states;

        /*
         * The lists of all labels; that of a label begins at entry.list: numbers of budgets in their order, ended by
         * AUTOMATON_LIST_END. All but the last of a list have conditions that a state cannot decide: User=, Pod= or
         * Container=, or Unit= together with Cgroup=.
         */
        uint32_t *lists;
};

/*
 * Creates the automaton of those @count @budgets whose entry in @late is false. Returns 0 and *automaton, to be freed
 * by automaton_free(); -E2BIG: it would be larger than its bounds; -ENOMEM.
 */
int automaton_new(const struct budget *budgets, size_t count, const bool *late, struct automaton **automaton);

/*
 * The same for as many budgets as fit. Sets the entries of @late (@count of them) for the other budgets, which are
 * matched one by one (policy/match.h). Returns 0 or -ENOMEM.
 */
int automaton_fit(const struct budget *budgets, size_t count, bool *late, struct automaton **automaton);

void automaton_free(struct automaton *automaton);

/*
 * Sets the two @lists to the budgets that match the cgroup @path ("/" for the root) by its path, and as a unit;
 * AUTOMATON_LIST_END ends each. The budget of the cgroup is the first in order, from both lists, whose User=, Pod= and
 * Container= match. Budgets with both Unit= and Cgroup= count only if automaton_may_be_unit().
 */
void automaton_match(const struct automaton *automaton, const char *path, const uint32_t *lists[2]);

/* Whether @path has only bytes that can occur in the names of units and slices. */
bool automaton_may_be_unit(const char *path);

/* The label of @state. */
const struct automaton_entry *automaton_label(const struct automaton *automaton, uint32_t state);

/* The state after @state and @byte. */
uint32_t automaton_next(const struct automaton *automaton, uint32_t state, uint8_t byte);
