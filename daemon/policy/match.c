/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/match.h"

#include <errno.h>
#include <string.h>

#include "policy/automaton.h"
#include "policy/unit.h"

static bool users_match(const struct budget *budget, uint32_t uid)
{
        bool included = false, only_excludes = true;

        for (size_t i = 0; i < budget->users.count; i++) {
                bool exclude = budget->users.list[i].exclude, same = budget->uids[i] == uid && uid != UINT32_MAX;

                only_excludes &= exclude;
                if (same && exclude)
                        return false;
                included |= same;
        }
        return included || only_excludes;
}

/* Whether the names of @subject's workload match. Returns -EAGAIN if they are not known yet. */
static int names_match(const struct budget *budget, const struct match_subject *subject)
{
        const struct workload *workload = subject->workload;
        const char *text;

        if (!budget_has_names(budget))
                return true;
        if (!workload || !(budget->containers.count > 0 ? workload->kind == WORKLOAD_CONTAINER : workload->is_pod))
                return false;
        if (workload->pending)
                return -EAGAIN;
        text = workload->container;
        if (budget->containers.count > 0 && !(text && patterns_match(&budget->containers, text)))
                return false;
        text = workload->pod;
        return budget->pods.count == 0 || (text && patterns_match(&budget->pods, text));
}

/* The same of all that the path does not tell. */
static int rest_matches(const struct budget *budget, const struct match_subject *subject)
{
        return users_match(budget, subject->uid) ? names_match(budget, subject) : false;
}

static bool path_matches(
                const struct budget *budget, const char *path, size_t length, const char *unit, size_t unit_length)
{
        if (budget->cgroups.count > 0 && !patterns_match_text(&budget->cgroups, path, length))
                return false;
        return budget->units.count == 0 || (unit && patterns_match_text(&budget->units, unit, unit_length));
}

/* The same of all that a state of the automaton does not tell of @budget, which is in its list. */
static int list_entry_matches(const struct budget *budget, const struct match_subject *subject)
{
        if (budget->cgroups.count > 0 && budget->units.count > 0 && !automaton_may_be_unit(subject->path))
                return false;
        return rest_matches(budget, subject);
}

/*
 * The number of the first budget of the automaton that matches @subject, or may match it, which is *@unknown then;
 * config->count: none does.
 */
static size_t match_early(const struct config *config, const struct match_subject *subject, bool *unknown)
{
        const uint32_t *lists[2], **first;
        int r;

        automaton_match(config->automaton, subject->path, lists);
        for (;;) {
                first = *lists[0] <= *lists[1] ? &lists[0] : &lists[1];
                if (**first == AUTOMATON_LIST_END)
                        return config->count;
                r = list_entry_matches(&config->budgets[**first], subject);
                *unknown = r < 0;
                if (r != 0)
                        return **first;
                (*first)++;
        }
}

const struct budget *config_match(const struct config *config, const struct match_subject *subject)
{
        bool unknown = false;
        size_t end = config->automaton ? match_early(config, subject, &unknown) : config->count, length,
               unit_length = 0;
        const struct budget *early = end < config->count && !unknown ? &config->budgets[end] : NULL;
        const char *unit;

        if (!config->any_late && config->automaton)
                return early;
        length = strlen(subject->path);
        unit = path_unit(subject->path, &unit_length);
        /* Unit= is about the unit's own cgroup: what is below it counts there, and would be reported twice. */
        if (unit && unit + unit_length != subject->path + length)
                unit = NULL;
        for (size_t i = 0; i < end; i++) {
                const struct budget *budget = &config->budgets[i];

                if (config->automaton && !config->late[i])
                        continue;
                if (path_matches(budget, subject->path, length, unit, unit_length)) {
                        int r = rest_matches(budget, subject);

                        if (r != 0)
                                return r > 0 ? budget : NULL;
                }
        }
        return early;
}

bool config_refuses_names(const struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                if (budget_has_names(&config->budgets[i]) && config->budgets[i].on_max == ACTION_DENY)
                        return true;
        return false;
}
