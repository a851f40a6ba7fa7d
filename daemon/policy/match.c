/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/match.h"

#include <string.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Units that have a cgroup; systemd.unit(5) has five more that have none. */
static const char *const unit_suffixes[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };

bool is_unit(const char *name, size_t length)
{
        for (size_t i = 0; i < ELEMENTSOF(unit_suffixes); i++) {
                size_t n = strlen(unit_suffixes[i]);

                if (length > n && memcmp(name + length - n, unit_suffixes[i], n) == 0)
                        return true;
        }
        return false;
}

const char *path_unit(const char *path, size_t *length)
{
        const char *end = path + strlen(path);

        while (end > path) {
                const char *slash = memrchr(path, '/', end - path), *name = slash ? slash + 1 : path;

                /* cg_escape() of systemd: names such as "_cpu.service". */
                if (name < end && *name == '_')
                        name++;
                if (is_unit(name, end - name)) {
                        *length = end - name;
                        return name;
                }
                end = slash ?: path;
        }
        return NULL;
}

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

const struct budget *config_match(const struct config *config, const struct match_subject *subject)
{
        size_t path_length = strlen(subject->path), unit_length = 0;
        const char *unit = path_unit(subject->path, &unit_length);

        /* Unit= is about the unit's own cgroup: what is below it counts there, and would be reported twice. */
        if (unit && unit + unit_length != subject->path + path_length)
                unit = NULL;
        for (size_t i = 0; i < config->count; i++) {
                const struct budget *budget = &config->budgets[i];

                if (budget->cgroups.count > 0 && !patterns_match_text(&budget->cgroups, subject->path, path_length))
                        continue;
                if (budget->units.count > 0 && !(unit && patterns_match_text(&budget->units, unit, unit_length)))
                        continue;
                if (users_match(budget, subject->uid))
                        return budget;
        }
        return NULL;
}
