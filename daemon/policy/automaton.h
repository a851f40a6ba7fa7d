/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All Cgroup= and Unit= of a configuration as one deterministic automaton (bpf/automaton.h), which the daemon and the
 * gate share: a cgroup's state is its parent's state advanced by "/" and its name. The time that it takes does not
 * depend on how many budgets there are.
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

        /* Of each label, at entry.list: numbers of budgets in their order, ended by AUTOMATON_LIST_END. All but the
         * last have User=, Pod= or Container=, or Unit= and Cgroup=, which a state does not tell whether they hold. */
        uint32_t *lists;
};

/*
 * Makes the automaton of those of the @count @budgets whose @late is false. Returns 0 and *automaton, to be freed by
 * automaton_free(); -E2BIG: it would be larger than its bounds; -ENOMEM.
 */
int automaton_new(const struct budget *budgets, size_t count, const bool *late, struct automaton **automaton);

/*
 * The same of as many budgets as fit; @late (@count of them) is set for those that do not, which are matched one by one
 * (policy/match.h). Returns 0 or -ENOMEM.
 */
int automaton_fit(const struct budget *budgets, size_t count, bool *late, struct automaton **automaton);

void automaton_free(struct automaton *automaton);

/*
 * Sets @lists to the budgets that the cgroup @path, "/" for the root, matches by its path and as a unit, each ended
 * by AUTOMATON_LIST_END: the one of both that comes first in order, whose User=, Pod= and Container= match,
 * and which has not Unit= and Cgroup= unless automaton_may_be_unit(), is the cgroup's.
 */
void automaton_match(const struct automaton *automaton, const char *path, const uint32_t *lists[2]);

/* Whether @path has only bytes that units and slices have in their names. */
bool automaton_may_be_unit(const char *path);

/* The label of @state. */
const struct automaton_entry *automaton_label(const struct automaton *automaton, uint32_t state);

/* The state after @state and @byte. */
uint32_t automaton_next(const struct automaton *automaton, uint32_t state, uint8_t byte);
