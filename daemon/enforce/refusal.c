/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/refusal.h"

#include <string.h>

struct budget_event refusal_event(
                const struct cgroup *cgroup, const struct gate_event *refused, char comm[OBJECT_NAME_SIZE + 1])
{
        static const enum budget_limit limits[GATE_RESOURCES] = {
                [GATE_ALLOCATED] = LIMIT_MAX,
                [GATE_CHARGED] = LIMIT_MAX,
                [GATE_MAPS] = LIMIT_MAPS,
                [GATE_PROGRAMS] = LIMIT_PROGRAMS,
                [GATE_COMMITTED] = LIMIT_MAX,
                [GATE_UNBOUNDED] = LIMIT_UNBOUNDED,
        };
        bool bytes = limits[refused->resource] == LIMIT_MAX;
        struct budget_event event = {
                .kind = EVENT_REFUSAL,
                .cgroup = cgroup,
                .policy = cgroup->policy,
                .payer = cgroup,
                /* As it was then, not at the last flush. */
                .usage = bytes ? refused->usage : policy_usage(cgroup->policy, &cgroup->total),
                .publish = true,
                .limit = limits[refused->resource],
                .pid = refused->pid,
                .comm = comm,
                .object = {
                        .kind = refused->kind == GATE_REFUSED_PROGRAM ? OBJECT_PROGRAM : OBJECT_MAP,
                        .type = refused->type,
                },
                .growth = refused->kind == GATE_REFUSED_GROWTH || refused->kind == GATE_KILLED_BATCH,
                .killed = refused->kind == GATE_KILLED_BATCH,
                .size = bytes ? refused->wanted : 0,
                .used = refused->usage,
                .max = refused->max,
        };

        memcpy(event.object.name, refused->name, sizeof(event.object.name));
        memcpy(comm, refused->comm, OBJECT_NAME_SIZE);
        comm[OBJECT_NAME_SIZE] = '\0';
        return event;
}

bool is_refusal(const struct gate_event *refused)
{
        bool known = (refused->kind >= GATE_REFUSED_MAP && refused->kind <= GATE_REFUSED_GROWTH) ||
                     refused->kind == GATE_KILLED_BATCH;

        return known && refused->resource < GATE_RESOURCES;
}
