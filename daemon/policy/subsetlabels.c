/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/subsets.h"

#include <stdlib.h>

#include "policy/utf8.h"

/* What the globs that match say of one budget. */
struct verdict {
        bool cgroup, not_cgroup, unit, not_unit;
};

static bool patterns_hold(const struct patterns *patterns, bool included, bool excluded)
{
        return patterns->count == 0 || (!excluded && (included || only_excludes(patterns)));
}

static bool budget_holds(const struct budget *budget, const struct verdict *verdict, bool is_unit)
{
        return patterns_hold(&budget->cgroups, verdict->cgroup, verdict->not_cgroup) &&
               (budget->units.count == 0 ||
                               (is_unit && patterns_hold(&budget->units, verdict->unit, verdict->not_unit)));
}

/* Adds to @verdict what the marks of @node say of @budget; to *is_unit whether the path is that of a unit. */
static void read_marks(const struct node *node, uint32_t budget, struct verdict *verdict, bool *is_unit)
{
        for (size_t i = 0; i < node->mark_count; i++) {
                const struct mark *mark = &node->marks[i];

                if (mark->kind == MARK_IS_UNIT)
                        *is_unit = true;
                else if (mark->budget != budget)
                        continue;
                verdict->cgroup |= mark->kind == MARK_CGROUP;
                verdict->not_cgroup |= mark->kind == MARK_NOT_CGROUP;
                verdict->unit |= mark->kind == MARK_UNIT;
                verdict->not_unit |= mark->kind == MARK_NOT_UNIT;
        }
}

/* The root is "/", and no other path is. */
static const struct node *root_node(const struct builder *builder)
{
        const struct node *paths = &builder->tree.nodes[builder->tree.paths];

        for (size_t i = 0; i < paths->edge_count; i++)
                if (paths->edges[i].kind == EDGE_CHARACTER && paths->edges[i].character == '/')
                        return &builder->tree.nodes[paths->edges[i].to];
        return NULL;
}

static int add_candidates(struct builder *builder, const struct node *node)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < node->mark_count; i++)
                if (node->marks[i].kind == MARK_CGROUP || node->marks[i].kind == MARK_UNIT)
                        r = items_add(&builder->candidates, node->marks[i].budget);
        return r;
}

/* Whether a state that @budget holds in does not yet say that it holds: see automaton_match(). */
static bool needs_more_than_state(const struct budget *budget)
{
        return budget_needs_more_than_path(budget) || goes_by_both(budget);
}

/* Appends to the lists that of the set @items; *first is where it is. Returns 0 or -ENOMEM. */
static int add_list(struct builder *builder, const uint32_t *items, size_t count, bool is_root, uint32_t *first)
{
        const struct node *nodes = builder->tree.nodes, *root = is_root ? root_node(builder) : NULL;
        uint32_t last = UINT32_MAX;
        int r = 0;

        *first = builder->lists.count;
        builder->candidates.count = 0;
        for (size_t i = 0; r == 0 && i < builder->always_count; i++)
                if (goes_by_name(&builder->budgets[builder->always[i]]) == (count > 0 && nodes[*items].of_name))
                        r = items_add(&builder->candidates, builder->always[i]);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = add_candidates(builder, &nodes[items[i]]);
        if (r == 0 && root)
                r = add_candidates(builder, root);
        if (r == 0 && builder->candidates.count > 1)
                qsort(builder->candidates.list, builder->candidates.count, sizeof(uint32_t), compare_numbers);
        for (size_t c = 0; r == 0 && c < builder->candidates.count; c++) {
                uint32_t number = builder->candidates.list[c];
                struct verdict verdict = {};
                bool is_unit = false;

                if (number == last)
                        continue;
                last = number;
                for (size_t i = 0; i < count; i++)
                        read_marks(&nodes[items[i]], number, &verdict, &is_unit);
                if (root)
                        read_marks(root, number, &verdict, &is_unit);
                if (!budget_holds(&builder->budgets[number], &verdict, is_unit))
                        continue;
                r = items_add(&builder->lists, number);
                if (!needs_more_than_state(&builder->budgets[number]))
                        break;
        }
        return r < 0 ? r : items_add(&builder->lists, AUTOMATON_LIST_END);
}

/* The label of the state @number. Bytes that begin a character and end the path are none. */
int label_state(struct builder *builder, uint32_t number, struct automaton_entry *label)
{
        const struct state *state = builder->states[number];
        size_t bytes = is_pending(state) ? item_pending(state->items[state->count - 1]).bytes : 0;
        uint32_t first = 0;
        int r = 0;

        if (bytes > 0)
                r = intern(builder, state->items, state->count - 1, &number);
        for (; r == 0 && bytes > 0; bytes--)
                r = step(builder, builder->states[number]->items, builder->states[number]->count, CHARACTER_INVALID,
                                &number);
        if (r == 0)
                r = add_list(builder, builder->states[number]->items, builder->states[number]->count,
                                number == AUTOMATON_START, &first);
        if (r < 0)
                return r;
        label->list = first;
        first = builder->lists.list[first];
        label->label = first + 1; /* 0 at the end of the list */
        if (first != AUTOMATON_LIST_END && budget_needs_more_than_path(&builder->budgets[first]))
                label->label |= AUTOMATON_USERS;
        if (first != AUTOMATON_LIST_END && goes_by_both(&builder->budgets[first]))
                label->label |= AUTOMATON_UNIT;
        return 0;
}
