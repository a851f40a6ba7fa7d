/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subset construction that makes the glob tree deterministic; private to policy/automaton.c and its parts. Unless
 * stated otherwise, functions return 0, -E2BIG (the automaton would be larger than its bounds) or -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uthash-nonfatal.h"
#include "bpf/automaton.h"
#include "policy/budget.h"
#include "policy/globtree.h"

/*
 * States are sets of nodes of the glob tree. If the last item of a set is at least PENDING, the path is in the middle
 * of a character; the item encodes how many bytes of it were read, and which ones if that matters.
 */
#define PENDING 0x80000000U

/* Items of all states together: bounds the memory for the construction of an automaton. */
#define ITEMS_MAX (1U << 20)

struct items {
        uint32_t *list;
        size_t count, allocated;
};

struct state {
        uint32_t *items;
        size_t count;
        uint32_t number;
        UT_hash_handle hh;
};

/* Characters beyond ASCII, from @first up to the first of the next range, that all globs treat alike. */
struct range {
        uint32_t first;
};

struct builder {
        const struct budget *budgets;
        const bool *late;
        size_t budget_count;
        struct globtree tree;
        struct range *ranges;
        size_t range_count;
        struct state *by_items; /* uthash */
        struct state **states;  /* by number */
        size_t count, item_count;
        uint32_t *stamps; /* by node: the last run of close() that saw it */
        uint32_t stamp;
        struct items closed; /* what close() makes */
        uint32_t *decided;   /* by node: the first budget that matches all paths that continue from there */
        uint32_t *always;    /* budgets that match although none of their globs does */
        size_t always_count;
        struct items candidates;
        struct items lists; /* of all labels */
};

/* Frees what @builder has; the budgets are not its own. */
void builder_deinit(struct builder *builder);

/* --- Sets (subsets.c) --------------------------------------------------------------------------------------------- */

int items_add(struct items *items, uint32_t item);
/* For qsort() of numbers. */
int compare_numbers(const void *a, const void *b);

/* Prepares @builder; called after globtree_finish() and before the first set. */
int subsets_begin(struct builder *builder);

/* Begins a set in builder->closed; adds @node; adds what is reached without a character, and orders it. */
void begin_set(struct builder *builder);
int add_item(struct builder *builder, uint32_t node);
int close_set(struct builder *builder);

/* The number of the state for this set, which is created if it does not exist. */
int intern(struct builder *builder, const uint32_t *items, size_t count, uint32_t *number);

/* The state to which @character leads from the @count nodes @items, none of which is pending. */
int step(struct builder *builder, const uint32_t *items, size_t count, uint32_t character, uint32_t *number);

bool only_excludes(const struct patterns *patterns);
/* Whether @budget matches by the names of units alone. */
bool goes_by_name(const struct budget *budget);
/* Whether @budget matches by these and by paths. */
bool goes_by_both(const struct budget *budget);

/* --- Characters of several bytes (subsetcharacters.c) ------------------------------------------------------------- */

/* Bytes of a character that has begun. */
struct pending {
        unsigned int bytes;   /* so many there were */
        unsigned int missing; /* and so many are to come */
        uint32_t low, high;   /* characters that it can be */
};

/* Finds the ranges beyond ASCII that all globs treat alike. */
int find_ranges(struct builder *builder);
/* The range that @character, beyond ASCII, is in. */
size_t range_index(const struct builder *builder, uint32_t character);

/* Sets *pending to the character that @byte begins; false: it begins none. */
bool begin_character(uint8_t byte, struct pending *pending);
/* Advances *pending by @byte; false: it cannot follow. */
bool continue_character(struct pending *pending, uint8_t byte);

/* @pending as an item of a set, and back. */
uint32_t pending_item(const struct builder *builder, const struct pending *pending);
struct pending item_pending(uint32_t item);

/* --- Rows (subsetrows.c) ------------------------------------------------------------------------------------------ */

/* The states that follow a state that is not in the middle of a character, by whole characters beyond ASCII. */
struct targets {
        uint32_t invalid;
        uint32_t *ranges; /* as those of the builder */
};

/* Where each byte leads from the state @number; @targets is room for as many ranges as the builder has. */
int fill_row(struct builder *builder, uint32_t number, struct targets *targets, uint32_t row[256]);

/* Whether @state is in the middle of a character. */
bool is_pending(const struct state *state);

/* --- Labels (subsetlabels.c) -------------------------------------------------------------------------------------- */

/* The label of the state @number, whose list is appended to the builder's. */
int label_state(struct builder *builder, uint32_t number, struct automaton_entry *label);
