/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks that require a complete budget, or all settings. */
#pragma once

#include "policy/budget.h"
#include "policy/source.h"

/* Reports limits of @budget that contradict each other. @source knows where each was given. */
void check_limits(struct source *source, const struct budget *budget);

/* The same of @settings. */
void check_settings(struct source *source, const struct settings *settings);
