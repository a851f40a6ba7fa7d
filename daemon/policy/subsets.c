/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/subsets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

int items_add(struct items *items, uint32_t item)
{
        if (items->count == items->allocated) {
                size_t size = items->allocated ? 2 * items->allocated : 64;
                uint32_t *grown = reallocarray(items->list, size, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                items->list = grown;
                items->allocated = size;
        }
        items->list[items->count++] = item;
        return 0;
}

int compare_numbers(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

static bool has_excludes(const struct patterns *patterns)
{
        for (size_t i = 0; i < patterns->count; i++)
                if (patterns->list[i].exclude)
                        return true;
        return false;
}

bool only_excludes(const struct patterns *patterns)
{
        for (size_t i = 0; i < patterns->count; i++)
                if (!patterns->list[i].exclude)
                        return false;
        return true;
}

bool goes_by_name(const struct budget *budget)
{
        return budget->units.count > 0 && budget->cgroups.count == 0;
}

bool goes_by_both(const struct budget *budget)
{
        return budget->units.count > 0 && budget->cgroups.count > 0;
}

/* --- Sets of nodes ------------------------------------------------------------------------------------------------ */

void begin_set(struct builder *builder)
{
        builder->stamp++;
        builder->closed.count = 0;
}

/* Adds @node to the set that is being made. */
int add_item(struct builder *builder, uint32_t node)
{
        if (builder->stamps[node] == builder->stamp)
                return 0;
        builder->stamps[node] = builder->stamp;
        return items_add(&builder->closed, node);
}

/*
 * The first budget that everything from the node @number on matches, which loops: at its own end, or without another
 * character. UINT32_MAX: none, or something else decides about it too.
 */
static uint32_t decided_by(const struct builder *builder, uint32_t number)
{
        const struct node *node = &builder->tree.nodes[number];
        uint32_t first = UINT32_MAX, behind;

        for (size_t i = 0; i < node->mark_count; i++) {
                const struct mark *mark = &node->marks[i];
                const struct budget *budget = &builder->budgets[mark->budget];

                if (mark->kind == MARK_CGROUP && mark->budget < first && budget->units.count == 0 &&
                                !budget_needs_more_than_path(budget) && !has_excludes(&budget->cgroups))
                        first = mark->budget;
        }
        for (size_t i = 0; i < node->edge_count; i++) {
                behind = node->edges[i].kind == EDGE_NOTHING ? decided_by(builder, node->edges[i].to) : UINT32_MAX;
                first = behind < first ? behind : first;
        }
        return first;
}

int subsets_begin(struct builder *builder)
{
        const struct globtree *tree = &builder->tree;

        builder->stamps = calloc(tree->count, sizeof(*builder->stamps));
        builder->decided = calloc(tree->count, sizeof(*builder->decided));
        if (!builder->stamps || !builder->decided)
                return -ENOMEM;
        for (size_t i = 0; i < tree->count; i++)
                builder->decided[i] = tree->nodes[i].loop == LOOP_ALL ? decided_by(builder, i) : UINT32_MAX;
        return 0;
}

/* Takes out what could only match budgets that come behind one that matches whatever follows. */
static void prune_set(struct builder *builder)
{
        struct items *set = &builder->closed;
        const struct node *nodes = builder->tree.nodes;
        uint32_t decided = UINT32_MAX, first;
        size_t kept = 0;

        for (size_t i = 0; i < set->count; i++) {
                first = builder->decided[set->list[i]];
                if (first < decided)
                        decided = first;
        }
        if (decided == UINT32_MAX)
                return;
        for (size_t i = 0; i < set->count; i++)
                if (nodes[set->list[i]].first_budget <= decided)
                        set->list[kept++] = set->list[i];
        set->count = kept;
}

/* Adds what is reached without a character, and orders the set. */
int close_set(struct builder *builder)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < builder->closed.count; i++) {
                const struct node *node = &builder->tree.nodes[builder->closed.list[i]];

                for (size_t e = 0; r == 0 && e < node->edge_count; e++)
                        if (node->edges[e].kind == EDGE_NOTHING)
                                r = add_item(builder, node->edges[e].to);
        }
        prune_set(builder);
        if (builder->closed.count > 1)
                qsort(builder->closed.list, builder->closed.count, sizeof(uint32_t), compare_numbers);
        return r;
}

/* Adds where @character leads from the node @number; from what is reached from there without one only if @closed. */
static int step_node(struct builder *builder, uint32_t number, uint32_t character, bool closed)
{
        const struct node *node = &builder->tree.nodes[number];
        int r = 0;

        if (node->loop == LOOP_ESCAPE && character != '_')
                return step_node(builder, node->edges[0].to, character, true);
        if (node->loop == LOOP_ALL || (node->loop == LOOP_COMPONENT && character != '/') ||
                        (node->loop == LOOP_STEM && character != '/' && character != '@'))
                r = add_item(builder, number);
        for (size_t i = 0; r == 0 && i < node->edge_count; i++)
                if (node->edges[i].kind == EDGE_NOTHING)
                        r = closed ? step_node(builder, node->edges[i].to, character, true) : 0;
                else if (edge_takes(&node->edges[i], character))
                        r = add_item(builder, node->edges[i].to);
        return r;
}

/* The number of the state that the set is, which is made if there is none. Returns 0, -E2BIG or -ENOMEM. */
int intern(struct builder *builder, const uint32_t *items, size_t count, uint32_t *number)
{
        struct state *state, **states;

        HASH_FIND(hh, builder->by_items, items, count * sizeof(*items), state);
        if (state) {
                *number = state->number;
                return 0;
        }
        builder->item_count += count;
        if (builder->count == AUTOMATON_STATES_MAX || builder->item_count > ITEMS_MAX)
                return -E2BIG;
        states = array_grow(builder->states, builder->count, sizeof(*states));
        if (!states)
                return -ENOMEM;
        builder->states = states;
        state = calloc(1, sizeof(*state) + count * sizeof(*items));
        if (!state)
                return -ENOMEM;
        state->items = (uint32_t *) (state + 1);
        if (count > 0)
                memcpy(state->items, items, count * sizeof(*items));
        state->count = count;
        state->number = builder->count;
        HASH_ADD_KEYPTR(hh, builder->by_items, state->items, count * sizeof(*items), state);
        if (!HASH_ADDED(state)) {
                free(state);
                return -ENOMEM;
        }
        builder->states[builder->count++] = state;
        *number = state->number;
        return 0;
}

/* The state after the @count nodes @items, without one that is pending, and @character. */
int step(struct builder *builder, const uint32_t *items, size_t count, uint32_t character, uint32_t *number)
{
        int r = 0;

        begin_set(builder);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = step_node(builder, items[i], character, false);
        if (r == 0)
                r = close_set(builder);
        return r < 0 ? r : intern(builder, builder->closed.list, builder->closed.count, number);
}

void builder_deinit(struct builder *builder)
{
        struct state *state, *next;

        HASH_ITER (hh, builder->by_items, state, next) {
                HASH_DEL(builder->by_items, state);
                free(state);
        }
        globtree_deinit(&builder->tree);
        free(builder->ranges);
        free(builder->states);
        free(builder->stamps);
        free(builder->decided);
        free(builder->always);
        free(builder->closed.list);
        free(builder->candidates.list);
        free(builder->lists.list);
}
