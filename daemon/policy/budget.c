/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/budget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void budget_deinit(struct budget *budget)
{
        free(budget->name);
        free(budget->file);
        for (size_t i = 0; i < budget->dropin_count; i++)
                free(budget->dropins[i]);
        free(budget->dropins);
        patterns_deinit(&budget->cgroups);
        patterns_deinit(&budget->units);
        patterns_deinit(&budget->users);
        patterns_deinit(&budget->pods);
        patterns_deinit(&budget->containers);
        free(budget->uids);
}

int budget_add_file(struct budget *budget, const char *file)
{
        char *copy = strdup(file), **list;

        if (!copy)
                return -ENOMEM;
        if (!budget->file) {
                budget->file = copy;
                return 0;
        }
        list = array_grow(budget->dropins, budget->dropin_count, sizeof(*list));
        if (!list) {
                free(copy);
                return -ENOMEM;
        }
        budget->dropins = list;
        list[budget->dropin_count++] = copy;
        return 0;
}
