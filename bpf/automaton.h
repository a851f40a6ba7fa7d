/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The automaton that finds the budget of a cgroup by its path, as the daemon makes it (daemon/policy/automaton.c) and
 * the gate uses it at cgroup_mkdir. It is deterministic, over bytes: a state and a byte have one next state.
 *
 * It is one array of entries of 8 bytes. First there is a row for each state, then the labels of all states, then the
 * transitions that differ from the default of their state. The transitions of several states are interleaved: the entry
 * at row.base + byte names its owner, which is that state or another one.
 */
#pragma once

#include <linux/types.h>

struct automaton_entry {
        union {
                __u32 base;  /* of a row: where its transitions begin; AUTOMATON_IDLE may be set */
                __u32 owner; /* of a transition: whose it is */
                __u32 list;  /* of a label: see daemon/policy/automaton.h */
        };
        union {
                __u32 next;  /* of a row: the default; of a transition */
                __u32 label; /* of a label: 1 + the number of the first budget; flags below may be set; 0: none */
        };
};

/* In base: no byte but "/" leaves the state. */
#define AUTOMATON_IDLE (1U << 31)

/* In label: that budget also has User=, Pod= or Container=, which the path does not determine. */
#define AUTOMATON_USERS (1U << 31)

/* In label: that budget has Unit= and Cgroup=, and holds only if all bytes are automaton_is_unit_byte(). */
#define AUTOMATON_UNIT (1U << 30)

#define AUTOMATON_FLAGS (AUTOMATON_USERS | AUTOMATON_UNIT)

/*
 * The states before the first byte of a path. The second one finds budgets that match by Unit= alone: all components
 * but the last are slices, and the last is the unit. Of the two budgets found, the first in order is that of the
 * cgroup. State 0 matches nothing, whatever follows; as the state of a unit, it has no label.
 */
#define AUTOMATON_START 1
#define AUTOMATON_UNITS 2

/*
 * Whether a path of slices and the unit below them may have @byte. The rows do not encode this, because each would be
 * as long as the alphabet.
 */
static inline int automaton_is_unit_byte(__u8 byte)
{
        /* "-./", digits, ":"; "@", letters, "\", "_" */
        const __u64 low = 0x07ffe00000000000ULL, high = 0x07fffffe97ffffffULL;

        return (byte < 128 ? (byte < 64 ? low : high) >> (byte & 63) : 0) & 1;
}

/* Ends a list of budgets that a label has. */
#define AUTOMATON_LIST_END (~0U)

/* Bounds of one automaton. */
#define AUTOMATON_STATES_MAX  65535
#define AUTOMATON_ENTRIES_MAX (1U << 20)
