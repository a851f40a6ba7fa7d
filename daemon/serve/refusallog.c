/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/refusallog.h"

#include <stdio.h>
#include <string.h>

#include "base/wallclock.h"
#include "serve/jsontext.h"
#include "serve/report.h"

void refusal_log_add(struct refusal_log *log, const struct budget_event *event)
{
        struct kept_refusal *kept = &log->list[log->count++ % REFUSALS_KEPT];

        *kept = (struct kept_refusal){
                .usec = wall_usec(),
                .grower_id = event->grower ? event->grower->id : 0,
                .payer_id = event->cgroup->id,
                .limit = event->limit,
                .object = event->object,
                .pid = event->pid,
                .size = event->size,
                .used = event->used,
                .max = event->max,
        };
        if (event->policy)
                snprintf(kept->budget, sizeof(kept->budget), "%s", event->policy->budget->name);
        if (event->comm)
                snprintf(kept->comm, sizeof(kept->comm), "%s", event->comm);
}

uint64_t refusal_log_since_usec(const struct refusal_log *log)
{
        return log->count > REFUSALS_KEPT ? log->list[log->count % REFUSALS_KEPT].usec : log->begin_usec;
}

static bool is_about(const struct kept_refusal *kept, const struct tree *tree, const struct cgroup *cgroup)
{
        return tree_is_below(tree_find(tree, kept->grower_id ?: kept->payer_id), cgroup);
}

static json_t *path_of(const struct tree *tree, uint64_t id)
{
        const struct cgroup *cgroup = id ? tree_find(tree, id) : NULL;

        return cgroup ? text_to_json(cgroup->path) : json_null();
}

static json_t *to_json(const struct kept_refusal *kept, const struct tree *tree)
{
        bool map = kept->object.kind == OBJECT_MAP;
        char name[OBJECT_NAME_SIZE + 1] = "", type[TYPE_NAME_MAX];

        memcpy(name, kept->object.name, OBJECT_NAME_SIZE);
        return json_pack("{sI so so so ss sI so ss so so sI sI sI}", "time", (json_int_t) kept->usec, "cgroup",
                        path_of(tree, kept->grower_id), "budgetCgroup", path_of(tree, kept->payer_id), "budget",
                        text_to_json(kept->budget), "limit", budget_limit_name(kept->limit), "pid",
                        (json_int_t) kept->pid, "comm", text_to_json(kept->comm), "objectKind", map ? "map" : "program",
                        "objectType", text_to_json(object_type_name(&kept->object, type)), "objectName",
                        text_to_json(name), "size", (json_int_t) kept->size, "usage", (json_int_t) kept->used, "max",
                        (json_int_t) kept->max);
}

json_t *refusal_log_to_json(const struct refusal_log *log, const struct tree *tree, const struct cgroup *cgroup)
{
        size_t kept = log->count < REFUSALS_KEPT ? log->count : REFUSALS_KEPT;
        json_t *array = json_array();

        for (size_t i = 1; array && i <= kept; i++) {
                const struct kept_refusal *refusal = &log->list[(log->count - i) % REFUSALS_KEPT];

                if (!is_about(refusal, tree, cgroup))
                        continue;
                if (json_array_append_new(array, to_json(refusal, tree)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}
