/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unit.h"
#include "serve/api-methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "account/relations.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "serve/explain.h"
#include "serve/memoryevents.h"
#include "serve/report.h"

/* Objects in the answer of Explain. */
#define EXPLAIN_TOP 10

/* The cgroup of @unit itself, not one below it; NULL: no such cgroup holds anything. */
static struct cgroup *find_unit(const struct tree *tree, const char *unit)
{
        struct cgroup *cgroup, *next;
        size_t length, wanted = strlen(unit);

        HASH_ITER (hh, tree->by_id, cgroup, next) {
                const char *name = cgroup->path ? path_unit(cgroup->path, &length) : NULL;

                if (name && cgroup->exists && length == wanted && strcmp(name, unit) == 0)
                        return cgroup;
        }
        return NULL;
}

/* As api_take_cgroup(), but by unit if that is given. */
static int take_cgroup_or_unit(
                struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup)
{
        const char *unit = parameter_string(parameters, "unit");
        _cleanup_free_ char *service = NULL;

        if (!unit == !parameter_cgroup(parameters))
                return varlink_invalid_parameter(call, unit ? "unit" : "cgroup") ?: API_ANSWERED;
        if (!unit)
                return api_take_cgroup(api, call, parameters, cgroup);
        /* "foo" is short for a service, as for systemctl. */
        if (asprintf(&service, "%s.service", unit) < 0) {
                service = NULL;
                return -ENOMEM;
        }
        *cgroup = find_unit(&api->options.monitor->tree, unit) ?: find_unit(&api->options.monitor->tree, service);
        return *cgroup ? 0 : api_error(call, "io.bpfbudget.NoSuchUnit", "unit", unit) ?: API_ANSWERED;
}

static json_t *shares_to_json(const struct memory *memory)
{
        struct share shares[SHARES_MAX];
        size_t count = memory_split(memory, shares);
        json_t *array = json_array();

        for (size_t i = 0; array && i < count; i++)
                if (json_array_append_new(array,
                                    json_pack("{ss sI sb}", "name", shares[i].name, "bytes",
                                                    (json_int_t) shares[i].bytes, "detail", shares[i].detail)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static uint64_t uncharged_of(const struct object *object)
{
        return object->record.allocated - object->record.charged;
}

/* The largest objects in @cgroup's subtree, as an array; *uncharged is the object with the most uncharged bytes. */
static json_t *top_objects(struct api *api, const struct cgroup *cgroup, const struct relations *relations,
                const struct object **uncharged)
{
        const struct ledger *ledger = &api->options.monitor->ledger;
        _cleanup_free_ struct object **objects = sort_objects(ledger);
        json_t *array = json_array();

        *uncharged = NULL;
        for (size_t i = 0; objects && array && i < ledger->count; i++) {
                if (!tree_is_below(objects[i]->cgroup, cgroup))
                        continue;
                if (uncharged_of(objects[i]) > (*uncharged ? uncharged_of(*uncharged) : 0))
                        *uncharged = objects[i];
                if (json_array_size(array) < EXPLAIN_TOP &&
                                json_array_append_new(array, object_to_json(objects[i], relations)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        if (!objects) {
                json_decref(array);
                return NULL;
        }
        return array;
}

/*
 * The bytes that @cgroup and the cgroups below are charged for, including objects that count in another cgroup, because
 * its processes hold them.
 */
static uint64_t charged_bytes(const struct api *api, const struct cgroup *cgroup)
{
        struct object *object, *next;
        uint64_t bytes = 0;

        HASH_ITER (hh, api->options.monitor->ledger.by_key, object, next)
                if (tree_is_below(object->charged, cgroup))
                        bytes += object->record.charged;
        return bytes;
}

static json_t *explanation(struct api *api, const struct cgroup *cgroup, const struct relations *relations)
{
        _cleanup_free_ char *summary = NULL;
        struct memory memory;
        const struct object *largest;
        json_t *objects = top_objects(api, cgroup, relations, &largest);

        if (!cgroup->exists || memory_read(&api->options.monitor->cgroupfs, cgroup->id, &memory) < 0)
                memory = (struct memory){ .current = BUDGET_INFINITY, .max = BUDGET_INFINITY };
        memory.bpf = charged_bytes(api, cgroup);
        summary = explain_summary(cgroup, &memory, largest);
        if (!objects || !summary) {
                json_decref(objects);
                return NULL;
        }
        return json_pack("{so so so so sI sI so so sI so ss}", "cgroup", cgroup_to_json(cgroup), "memoryCurrent",
                        limit_to_json(memory.current), "memoryMax", limit_to_json(memory.max), "shares",
                        shares_to_json(&memory), "bpfCharged", (json_int_t) cgroup->total.charged, "bpfUncharged",
                        (json_int_t) usage_uncharged(&cgroup->total), "objects", objects, "refusals",
                        refusal_log_to_json(&api->refusals, &api->options.monitor->tree, cgroup), "refusalsSince",
                        (json_int_t) refusal_log_since_usec(&api->refusals), "memoryEvents",
                        memory_events_to_json(&api->options.monitor->cgroupfs, cgroup), "verdict", summary);
}

int api_explain(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        struct monitor *monitor = api->options.monitor;
        struct relations relations;
        struct cgroup *cgroup;
        int r;

        api_refresh_if_old(api);
        r = take_cgroup_or_unit(api, call, parameters, &cgroup);
        if (r != 0)
                return error_only(r);
        manager_evaluate(api->options.manager, cgroup);
        r = relations_read(&relations, monitor->kernel, &monitor->tree, RELATION_HOLDERS | RELATION_PINS);
        /* If the kernel does not report holders, reply without them. */
        if (r < 0 && r != -ENOMEM) {
                relations_deinit(&relations);
                r = relations_read(&relations, monitor->kernel, &monitor->tree, RELATION_PINS);
                if (r < 0)
                        relations.asked = 0;
        }
        r = r == -ENOMEM ? r : api_reply_once(call, explanation(api, cgroup, &relations));
        relations_deinit(&relations);
        return r;
}

const struct varlink_parameter explain_parameters[] = {
        { "cgroup", VARLINK_STRING, .optional = true },
        { "unit", VARLINK_STRING, .optional = true },
        {},
};
