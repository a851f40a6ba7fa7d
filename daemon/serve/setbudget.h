/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parameters of SetBudget, by the table of keys. */
#pragma once

#include <jansson.h>

#include "policy/budget.h"
#include "serve/varlink.h"

/* The cgroup, and all keys that can be set at run time, ended by a parameter without a name. Not to be freed. */
const struct varlink_parameter *set_budget_parameters(void);

/*
 * Fills @budget from @parameters, which were checked against set_budget_parameters(); missing ones get their defaults.
 * Returns an error text, with the *field that it is about; NULL: no error.
 */
const char *take_budget(const json_t *parameters, struct budget *budget, const char **field);
