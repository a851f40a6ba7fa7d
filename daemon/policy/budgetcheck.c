/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/budgetcheck.h"

#include <stdio.h>
#include <string.h>

#include "policy/keys.h"

/* Where the key @name of [Budget] was given. */
static const struct given *given(const struct source *source, const char *name)
{
        return &source->given[find_key(source->format, "Budget", name) - source->format->keys];
}

/* Where @given is, for a message about @file. */
static void name_place(const struct given *given, const char *file, char *text, size_t size)
{
        if (strcmp(given->file, file) == 0)
                snprintf(text, size, "line %u", given->line);
        else
                snprintf(text, size, "%s:%u", excerpt(given->file).text, given->line);
}

static void check_order(struct source *source, const struct budget *budget)
{
        const struct given *high = given(source, "High"), *max = given(source, "Max"), *last;
        char high_place[MESSAGE_SIZE / 4], max_place[MESSAGE_SIZE / 4];

        if (!high->line || !max->line || budget->high <= budget->max || budget->high == BUDGET_INFINITY)
                return;
        last = high->order > max->order ? high : max;
        source->file = last->file;
        name_place(high, last->file, high_place, sizeof(high_place));
        name_place(max, last->file, max_place, sizeof(max_place));
        report_at(source, last->line, true,
                        "High=%s (%s) is more than Max=%s (%s): lower High= or raise Max=", high->text.text, high_place,
                        max->text.text, max_place);
}

/* Warns of an action that no limit leads to. */
static void check_actions(struct source *source, const struct budget *budget)
{
        const struct given *on_high = given(source, "OnHigh"), *on_max = given(source, "OnMax");

        if (budget->on_high == ACTION_THROTTLE && budget->high == BUDGET_INFINITY) {
                source->file = on_high->file;
                report_at(source, on_high->line, false,
                                "OnHigh=throttle does nothing without High=: set the limit to throttle above");
        }
        if (budget->on_max == ACTION_DENY && budget->max == BUDGET_INFINITY && budget->maps_max == BUDGET_INFINITY &&
                        budget->programs_max == BUDGET_INFINITY) {
                source->file = on_max->file;
                report_at(source, on_max->line, false,
                                "OnMax=deny does nothing without Max=, MapsMax= or ProgramsMax=: set the limit to "
                                "refuse past");
        }
}

void check_limits(struct source *source, const struct budget *budget)
{
        check_order(source, budget);
        if (!source->errors)
                check_actions(source, budget);
}
