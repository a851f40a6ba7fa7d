/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/budget.h"

#include <stdlib.h>

void budget_deinit(struct budget *budget)
{
        free(budget->name);
        free(budget->file);
        patterns_deinit(&budget->cgroups);
        patterns_deinit(&budget->units);
        patterns_deinit(&budget->users);
        patterns_deinit(&budget->pods);
        patterns_deinit(&budget->containers);
        free(budget->uids);
}
