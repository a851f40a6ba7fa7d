/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which budget a cgroup has: the first one whose Cgroup=, Unit=, User=, Pod= and Container= match it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/workload.h"
#include "policy/budget.h"

/* What a cgroup is matched by. */
struct match_subject {
        const char *path;                /* below the memory hierarchy's mount, "/" for the root */
        uint32_t uid;                    /* owner of its directory */
        const struct workload *workload; /* whose own cgroup it is; NULL: none's */
};

/*
 * The first budget of @config for @subject, or NULL. It is NULL, too, while only the name of its workload, which is
 * pending, tells whether it is that one: the cgroup inherits until then.
 */
const struct budget *config_match(const struct config *config, const struct match_subject *subject);

/* Whether a budget of @config with Pod= or Container= refuses. */
bool config_refuses_names(const struct config *config);
