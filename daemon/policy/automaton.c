/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/automaton.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rowpack.h"
#include "policy/subsets.h"

static int add_patterns(struct builder *builder, const struct patterns *patterns, uint32_t budget, enum mark_kind kind,
                enum mark_kind excluding)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < patterns->count; i++)
                r = globtree_add(&builder->tree, patterns->list[i].glob, budget,
                                patterns->list[i].exclude ? excluding : kind, goes_by_name(&builder->budgets[budget]));
        return r;
}

/* Eight digits of an id, as no name of a unit has them at the start or behind a "-" but by chance. */
#define DIGIT  "[0-9a-f]"
#define DIGITS DIGIT DIGIT DIGIT DIGIT DIGIT DIGIT DIGIT DIGIT

/*
 * Where a budget with Pod= or Container= alone is in question: what workload_from_path() takes for one is among the
 * cgroups that these match. All others have, from the start, the limits that their paths tell.
 */
static int add_names(struct builder *builder, const struct budget *budget, uint32_t number)
{
        static const char *const pods[] = { "/**/*pod*", NULL }, *const containers[] = { "/**/" DIGITS "*",
                "/**/*[-:]" DIGITS "*", NULL };
        int r = 0;

        for (const char *const *glob = budget->containers.count > 0 ? containers : pods; r == 0 && *glob; glob++)
                r = globtree_add(&builder->tree, *glob, number, MARK_CGROUP, false);
        return r;
}

static int add_budget(struct builder *builder, uint32_t number)
{
        const struct budget *budget = &builder->budgets[number];
        int r;

        if (budget_has_names(budget) && budget->cgroups.count == 0 && budget->units.count == 0)
                return add_names(builder, budget, number);
        r = add_patterns(builder, &budget->cgroups, number, MARK_CGROUP, MARK_NOT_CGROUP);

        if (r == 0)
                r = add_patterns(builder, &budget->units, number, MARK_UNIT, MARK_NOT_UNIT);
        if (only_excludes(&budget->cgroups) && only_excludes(&budget->units))
                builder->always[builder->always_count++] = number;
        return r;
}

/* Begins the set that has the nodes @a and @b, 0: none, as the next state. */
static int start_at(struct builder *builder, uint32_t a, uint32_t b)
{
        uint32_t number;
        int r;

        begin_set(builder);
        r = add_item(builder, a);
        if (r == 0 && b)
                r = add_item(builder, b);
        if (r == 0)
                r = close_set(builder);
        return r < 0 ? r : intern(builder, builder->closed.list, builder->closed.count, &number);
}

static int make_tree(struct builder *builder)
{
        int r = globtree_init(&builder->tree);

        builder->always = calloc(builder->budget_count + 1, sizeof(*builder->always));
        if (!builder->always)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < builder->budget_count; i++)
                if (!builder->late || !builder->late[i])
                        r = add_budget(builder, i);
        if (r < 0)
                return r;
        /* There would be about as many states. */
        if (builder->tree.count > AUTOMATON_STATES_MAX)
                return -E2BIG;
        globtree_finish(&builder->tree);
        return 0;
}

static int begin(struct builder *builder)
{
        struct globtree *tree = &builder->tree;
        uint32_t number;
        int r = make_tree(builder);

        if (r == 0)
                r = find_ranges(builder);
        if (r < 0)
                return r;
        r = subsets_begin(builder);
        if (r < 0)
                return r;
        r = intern(builder, NULL, 0, &number);
        if (r == 0)
                r = start_at(builder, tree->paths, tree->slices);
        return r < 0 ? r : start_at(builder, tree->names, 0);
}

/* Makes all states and their rows. Returns 0, -E2BIG or -ENOMEM. */
static int run(struct builder *builder, struct rowpack *pack)
{
        struct targets targets = { .ranges = calloc(builder->range_count, sizeof(*targets.ranges)) };
        int r = targets.ranges ? 0 : -ENOMEM;

        for (uint32_t number = 0; r == 0 && number < builder->count; number++) {
                uint32_t row[256];

                r = fill_row(builder, number, &targets, row);
                if (r == 0)
                        r = rowpack_add(pack, row);
        }
        free(targets.ranges);
        return r;
}

static int finish(struct builder *builder, struct rowpack *pack, struct automaton *automaton)
{
        int r = rowpack_finish(pack, AUTOMATON_ENTRIES_MAX, &automaton->entries, &automaton->count);

        automaton->states = builder->count;
        for (uint32_t number = 0; r == 0 && number < automaton->states; number++)
                r = label_state(builder, number, &automaton->entries[automaton->states + number]);
        automaton->lists = builder->lists.list;
        builder->lists = (struct items){};
        return r;
}

void automaton_free(struct automaton *automaton)
{
        if (!automaton)
                return;
        free(automaton->entries);
        free(automaton->lists);
        free(automaton);
}

int automaton_new(const struct budget *budgets, size_t count, const bool *late, struct automaton **automaton)
{
        struct builder builder = { .budgets = budgets, .late = late, .budget_count = count };
        struct automaton *new = calloc(1, sizeof(*new));
        struct rowpack pack = {};
        int r = new ? begin(&builder) : -ENOMEM;

        if (r == 0)
                r = run(&builder, &pack);
        if (r == 0)
                r = finish(&builder, &pack, new);
        rowpack_deinit(&pack);
        builder_deinit(&builder);
        if (r < 0) {
                automaton_free(new);
                return r;
        }
        *automaton = new;
        return 0;
}

/* Bytes of globs from which on a budget makes the automaton large on its own. */
#define GLOBS_LARGE 8192

/*
 * Whether a glob of @patterns makes the automaton large if many budgets have one like it: what stands between two "*"
 * of a component, or between two "**", may be found in any number and order; or whether they are very long.
 */
static bool are_heavy(const struct patterns *patterns)
{
        size_t length = 0;

        for (size_t i = 0; i < patterns->count; i++) {
                size_t stars, deep = 0, in_component = 0;

                length += strlen(patterns->list[i].glob);
                for (const char *p = patterns->list[i].glob; *p; p += stars ?: 1) {
                        stars = strspn(p, "*");
                        deep += stars > 1;
                        in_component = *p == '/' ? 0 : in_component + (stars == 1);
                        if (deep > 1 || in_component > 1)
                                return true;
                }
        }
        return length > GLOBS_LARGE;
}

int automaton_fit(const struct budget *budgets, size_t count, bool *late, struct automaton **automaton)
{
        int r = automaton_new(budgets, count, late, automaton);

        if (r == -E2BIG) {
                for (size_t i = 0; i < count; i++)
                        late[i] = are_heavy(&budgets[i].cgroups) || are_heavy(&budgets[i].units);
                r = automaton_new(budgets, count, late, automaton);
        }
        /* Of what is in order and still too much, the first ones have precedence. */
        for (size_t kept = count / 2; r == -E2BIG; kept /= 2) {
                for (size_t i = kept; i < count; i++)
                        late[i] = true;
                r = automaton_new(budgets, count, late, automaton);
        }
        return r;
}

uint32_t automaton_next(const struct automaton *automaton, uint32_t state, uint8_t byte)
{
        const struct automaton_entry *row = &automaton->entries[state];
        const struct automaton_entry *transition = &automaton->entries[(row->base & ~AUTOMATON_IDLE) + byte];

        return transition->owner == state ? transition->next : row->next;
}

const struct automaton_entry *automaton_label(const struct automaton *automaton, uint32_t state)
{
        return &automaton->entries[automaton->states + state];
}

static uint32_t run_over(const struct automaton *automaton, uint32_t state, const char *text)
{
        for (; *text && state; text++)
                state = automaton_next(automaton, state, *text);
        return state;
}

bool automaton_may_be_unit(const char *path)
{
        while (*path && automaton_is_unit_byte(*path))
                path++;
        return *path == '\0';
}

void automaton_match(const struct automaton *automaton, const char *path, const uint32_t *lists[2])
{
        static const uint32_t none[] = { AUTOMATON_LIST_END };
        const char *text = strcmp(path, "/") == 0 ? "" : path;
        uint32_t state = run_over(automaton, AUTOMATON_START, text);

        lists[0] = automaton->lists + automaton_label(automaton, state)->list;
        state = automaton_may_be_unit(text) ? run_over(automaton, AUTOMATON_UNITS, text) : 0;
        lists[1] = state ? automaton->lists + automaton_label(automaton, state)->list : none;
}
