/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/size.h"
#include "serve/api-methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "account/relations.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "policy/runtime.h"
#include "serve/listing.h"
#include "serve/report.h"
#include "serve/writer.h"

static uint64_t parameter_size(const json_t *parameters, const char *name)
{
        return json_integer_value(json_object_get(parameters, name));
}

static const char *const states[] = { "ok", "high", "max", NULL };

static void write_cgroup(struct listing *listing, uint64_t key)
{
        const struct cgroup *cgroup = tree_find(&listing->api->options.monitor->tree, key);

        if (!cgroup)
                return;
        writer_element(&listing->api->writer);
        writer_json(&listing->api->writer, cgroup_to_json(cgroup));
}

static bool wants_cgroup(const json_t *parameters, const struct cgroup *cgroup)
{
        const char *glob = parameter_cgroup(parameters), *state = parameter_string(parameters, "state");

        if (cgroup->total.allocated < parameter_size(parameters, "minimum") ||
                        (usage_footprint(&cgroup->total) == 0 && !cgroup->policy && cgroup->parent))
                return false;
        if (glob && !(cgroup->path && glob_match(glob, cgroup->path)))
                return false;
        return !state || (cgroup->policy && cgroup->policy->level == (enum budget_level) word_index(states, state));
}

int api_list_cgroups(void *context, struct varlink_call *call, json_t *parameters)
{
        _cleanup_free_ struct cgroup **cgroups = NULL;
        struct api *api = context;
        const struct tree *tree = &api->options.monitor->tree;
        struct listing *listing;
        int r;

        api_refresh_if_old(api);
        r = api_check_glob(api, call, parameters);
        if (r != 0)
                return error_only(r);
        cgroups = sort_cgroups(tree);
        listing = cgroups ? listing_new(api, "cgroups", tree->count, write_cgroup) : NULL;
        if (!listing)
                return -ENOMEM;
        for (size_t i = 0; i < tree->count; i++)
                if (wants_cgroup(parameters, cgroups[i]))
                        listing->keys[listing->count++] = cgroups[i]->id;
        return listing_answer(listing, call);
}

const char *const object_kinds[] = { "map", "program", NULL };
static const uint32_t kind_values[] = { OBJECT_MAP, OBJECT_PROGRAM };

static uint64_t key_of(const struct object *object)
{
        return (uint64_t) object->record.kind << 32 | object->record.id;
}

static void write_listed_object(struct listing *listing, uint64_t key)
{
        const struct object *object = ledger_find(&listing->api->options.monitor->ledger, key >> 32, (uint32_t) key);

        if (!object)
                return;
        writer_element(&listing->api->writer);
        object_write(&listing->api->writer, object, &listing->relations);
}

/* The filter of ListObjects. */
struct object_filter {
        const char *cgroup, *name, *type; /* NULL: any */
        uint32_t kind;                    /* 0: any */
        uint64_t minimum;
};

static struct object_filter get_filter(const json_t *parameters)
{
        const char *kind = parameter_string(parameters, "kind");

        return (struct object_filter){
                .cgroup = parameter_cgroup(parameters),
                .name = parameter_string(parameters, "name"),
                .type = parameter_string(parameters, "type"),
                .kind = kind ? kind_values[word_index(object_kinds, kind)] : 0,
                .minimum = parameter_size(parameters, "minimum"),
        };
}

/* Replies with an error if the filter names something that does not exist. Returns as api_check_glob(). */
static int check_filter(struct api *api, struct varlink_call *call, const json_t *parameters,
                const struct object_filter *filter)
{
        if (filter->type && !is_object_type(filter->kind, filter->type))
                return api_error(call, "io.bpfbudget.NoSuchType", "type", filter->type) ?: API_ANSWERED;
        return api_check_glob(api, call, parameters);
}

static bool wants_object(const struct object_filter *filter, const struct object *object)
{
        const struct object_record *record = &object->record;
        char name[OBJECT_NAME_SIZE + 1] = "", type[TYPE_NAME_MAX];

        if (record->allocated < filter->minimum || (filter->kind && filter->kind != record->kind))
                return false;
        if (filter->type && strcmp(filter->type, object_type_name(record, type)) != 0)
                return false;
        memcpy(name, record->name, OBJECT_NAME_SIZE);
        if (filter->name && !glob_match(filter->name, name))
                return false;
        return !filter->cgroup || (object->cgroup->path && glob_match(filter->cgroup, object->cgroup->path));
}

static uint32_t get_relations(const json_t *parameters)
{
        static const struct {
                const char *name;
                enum relation relation;
        } names[] = { { "holders", RELATION_HOLDERS }, { "pins", RELATION_PINS }, { "uses", RELATION_USES } };
        uint32_t asked = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (json_is_true(json_object_get(parameters, names[i].name)))
                        asked |= names[i].relation;
        return asked;
}

int api_list_objects(void *context, struct varlink_call *call, json_t *parameters)
{
        struct object_filter filter = get_filter(parameters);
        _cleanup_free_ struct object **objects = NULL;
        struct api *api = context;
        struct monitor *monitor = api->options.monitor;
        struct listing *listing;
        int r;

        api_refresh_if_old(api);
        r = check_filter(api, call, parameters, &filter);
        if (r != 0)
                return error_only(r);
        objects = sort_objects(&monitor->ledger);
        listing = objects ? listing_new(api, "objects", monitor->ledger.count, write_listed_object) : NULL;
        if (!listing)
                return -ENOMEM;
        for (size_t i = 0; i < monitor->ledger.count; i++)
                if (wants_object(&filter, objects[i]))
                        listing->keys[listing->count++] = key_of(objects[i]);
        r = relations_read(&listing->relations, monitor->kernel, &monitor->tree, get_relations(parameters));
        if (r < 0) {
                listing_free(listing);
                return r == -ENOMEM ? r : api_not_supported(call, "this kernel does not report holders or uses");
        }
        return listing_answer(listing, call);
}

static size_t count_cgroups(const struct tree *tree, const struct budget *budget)
{
        struct cgroup *cgroup, *next;
        size_t count = 0;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                count += cgroup->policy && cgroup->policy->budget == budget;
        return count;
}

int api_list_budgets(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        const struct config *config = &api->options.manager->config;
        json_t *array = json_array();

        (void) parameters;
        for (size_t i = 0; array && i < config->count; i++) {
                const struct budget *budget = &config->budgets[i];
                size_t cgroups = count_cgroups(&api->options.monitor->tree, budget);
                bool runtime = runtime_is(api->options.directory, budget);

                if (json_array_append_new(array, budget_to_json(budget, runtime, cgroups)) < 0) {
                        json_decref(array);
                        return -ENOMEM;
                }
        }
        return api_reply_once(call, json_pack("{so}", "budgets", array));
}

const struct varlink_parameter list_cgroups_parameters[] = {
        { "cgroup", VARLINK_STRING, .optional = true },
        { "state", VARLINK_WORD, .optional = true, states },
        { "minimum", VARLINK_SIZE, .optional = true },
        {},
};

const struct varlink_parameter list_objects_parameters[] = {
        { "cgroup", VARLINK_STRING, .optional = true },
        { "kind", VARLINK_WORD, .optional = true, object_kinds },
        { "type", VARLINK_STRING, .optional = true },
        { "name", VARLINK_STRING, .optional = true },
        { "minimum", VARLINK_SIZE, .optional = true },
        { "holders", VARLINK_BOOLEAN, .optional = true },
        { "pins", VARLINK_BOOLEAN, .optional = true },
        { "uses", VARLINK_BOOLEAN, .optional = true },
        {},
};
