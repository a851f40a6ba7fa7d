/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/budgetcheck.h"

#include <stdio.h>
#include <string.h>

#include "policy/keys.h"

/* Where the key @name of the last section of the format was given. */
static const struct given *given(const struct source *source, const char *name)
{
        const char *section = source->format == &budget_format ? "Budget" : "Daemon";

        return &source->given[find_key(source->format, section, name) - source->format->keys];
}

/* Warns that the key @name does not what was probably meant. */
static void warn(struct source *source, const char *name, const char *message)
{
        const struct given *key = given(source, name);

        source->file = key->file;
        report_at(source, key->line, false, "%s", message);
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
        if (budget->on_high == ACTION_THROTTLE && budget->high == BUDGET_INFINITY)
                warn(source, "OnHigh", "OnHigh=throttle does nothing without High=: set the limit to throttle above");
        if (budget->on_max == ACTION_DENY && budget->max == BUDGET_INFINITY && budget->maps_max == BUDGET_INFINITY &&
                        budget->programs_max == BUDGET_INFINITY)
                warn(source, "OnMax",
                                "OnMax=deny does nothing without Max=, MapsMax= or ProgramsMax=: set the limit to "
                                "refuse past");
        if (budget->unbounded == UNBOUNDED_ALLOW && budget->count != COUNT_COMMITTED)
                warn(source, "Unbounded",
                                "Unbounded=allow does nothing without Count=committed: maps without a ceiling are "
                                "refused only with it");
}

/* Warns of what the settings have switched off. */
static void check_with_settings(struct source *source, const struct budget *budget, const struct settings *settings)
{
        if (budget->on_high == ACTION_THROTTLE && settings->throttle_max_usec == 0)
                warn(source, "OnHigh",
                                "OnHigh=throttle does nothing with ThrottleMaxSec=0 in bpfbudgetd.conf: set the "
                                "longest pause there");
        if (settings->poll_usec > 0)
                return;
        if (budget->footprint_ratio_high)
                warn(source, "FootprintRatioHigh",
                                "FootprintRatioHigh= misses changes of RSS with PollSec=0 in bpfbudgetd.conf: no "
                                "sensor reports RSS, set an interval there");
        if (budget->map_fill_high)
                warn(source, "MapFillHigh",
                                "MapFillHigh= misses maps that fill with PollSec=0 in bpfbudgetd.conf: no sensor "
                                "reports elements, set an interval there");
        if (budget->attribution == BUDGET_HOLDER)
                warn(source, "Attribution",
                                "Attribution=holder misses new holders with PollSec=0 in bpfbudgetd.conf: no sensor "
                                "reports holders, set an interval there");
}

void check_limits(struct source *source, const struct budget *budget)
{
        check_order(source, budget);
        if (!source->errors)
                check_actions(source, budget);
        if (!source->errors && source->loader->settings)
                check_with_settings(source, budget, source->loader->settings);
}

/* Whether @patterns match any cgroup there is or may be, but the root; excluding ones show that it was meant. */
static bool match_everything(const struct patterns *patterns)
{
        for (size_t i = 0; i < patterns->count; i++)
                if (patterns->list[i].exclude)
                        return false;
        /* No cgroup has such names. */
        return patterns_match(patterns, "/\1") && patterns_match(patterns, "/\1/\1/\1");
}

void check_settings(struct source *source, const struct settings *settings)
{
        if (source->errors || !match_everything(&settings->never_throttle))
                return;
        warn(source, "NeverThrottle",
                        "NeverThrottle= matches all cgroups, so that OnHigh=throttle does nothing: name those that "
                        "must not be paused");
}
