/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the budget of a cgroup: the first one whose Cgroup=, Unit=, User=, Pod= and Container= match it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/workload.h"
#include "policy/budget.h"

/* The properties by which a cgroup is matched. */
struct match_subject {
        const char *path;                /* below the memory hierarchy's mount, "/" for the root */
        uint32_t uid;                    /* owner of its directory */
        const struct workload *workload; /* whose own cgroup this is; NULL: of none */
};

/*
 * The first budget of @config for @subject, or NULL. Also NULL while the choice depends on the name of its workload,
 * which is still pending: the cgroup inherits until then.
 */
const struct budget *config_match(const struct config *config, const struct match_subject *subject);

/* Whether @config has a budget with Pod= or Container= that refuses. */
bool config_refuses_names(const struct config *config);
