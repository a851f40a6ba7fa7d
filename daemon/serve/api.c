/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <utlist.h>

#include "account/relations.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "build.h"
#include "daemon/serve/interface.h"
#include "policy/runtime.h"
#include "serve/explain.h"
#include "serve/report.h"
#include "serve/varlink.h"
#include "serve/writer.h"

/*
 * An answer may be so old, or so many times as old as it takes to bring it up to date, if the sensors tell of nothing
 * new: many small calls must not each pay for a pass, nor keep the daemon busy with nothing else.
 */
#define FRESH_USEC  (10 * 1000)
#define FRESH_SHARE 4

/* What no sensor has told of may be so old; without trampolines that is a pass over all objects. */
#define FRESH_UNTOLD_USEC (1000 * 1000)

/* A reply of a stream ends when it is so long, in bytes. */
#define BATCH_SIZE (64 * 1024)

/* Objects in the answer of Explain. */
#define EXPLAIN_TOP 10

/* Bounds of a budget's numbers, as of its file (config.c). */
#define COUNT_MAX UINT32_MAX
#define RATIO_MAX 1000000

struct subscriber {
        struct api *api;
        struct varlink_call *call;
        char *glob;     /* NULL: all cgroups */
        uint32_t kinds; /* bit n: those of enum event_kind n */
        uint64_t lost;  /* events since the last reply */
        struct subscriber *next, *prev;
};

struct api {
        struct api_options options;
        struct varlink_server *server;
        struct subscriber *subscribers;
        struct writer writer; /* of the reply that is being made */
        uint64_t fresh_usec;  /* when it was brought up to date last; CLOCK_MONOTONIC, as now_usec() */
        uint64_t cost_usec;   /* how long that took */
        uint64_t untold_usec; /* when the objects were, too */
        uint64_t events[EVENT_KINDS];
};

/* --- Up to date --------------------------------------------------------------------------------------------------- */

/* What follows when all, or only RSS, has been brought up to date, which began at @start. */
static void note_fresh(struct api *api, uint64_t start)
{
        api->options.hooks.flushed(api->options.hooks.context);
        api->fresh_usec = now_usec();
        api->cost_usec = api->fresh_usec - start;
}

static void refresh(struct api *api)
{
        uint64_t start = now_usec();

        monitor_refresh(api->options.monitor);
        note_fresh(api, start);
        api->untold_usec = api->fresh_usec;
}

static void refresh_rss(struct api *api)
{
        uint64_t start = now_usec();

        monitor_refresh_rss(api->options.monitor);
        note_fresh(api, start);
}

static void refresh_if_old(struct api *api)
{
        struct monitor *monitor = api->options.monitor;
        uint64_t now = now_usec(), age = now - api->fresh_usec;
        bool dirty = monitor_wants_flush(monitor);

        if (age < FRESH_SHARE * api->cost_usec || (age < FRESH_USEC && !dirty))
                return;
        if (dirty || !kernel_tells_growth(monitor->kernel) || now - api->untold_usec >= FRESH_UNTOLD_USEC)
                refresh(api);
        else
                refresh_rss(api);
}

/* --- Errors ------------------------------------------------------------------------------------------------------- */

static int error_with(struct varlink_call *call, const char *error, const char *key, const char *value)
{
        json_t *parameters = json_pack("{ss}", key, value);

        return parameters ? varlink_error(call, error, parameters) : -ENOMEM;
}

static int no_such_cgroup(struct varlink_call *call, const char *path)
{
        return error_with(call, "io.bpfbudget.NoSuchCgroup", "cgroup", path);
}

static int not_permitted(struct varlink_call *call, const char *reason)
{
        return error_with(call, "io.bpfbudget.NotPermitted", "reason", reason);
}

static int not_supported(struct varlink_call *call, const char *reason)
{
        return error_with(call, "io.bpfbudget.NotSupported", "reason", reason);
}

static int invalid_budget(struct varlink_call *call, const char *field, const char *reason)
{
        json_t *parameters = json_pack("{ss ss}", "field", field, "reason", reason);

        return parameters ? varlink_error(call, "io.bpfbudget.InvalidBudget", parameters) : -ENOMEM;
}

static int reply_too_large(struct varlink_call *call)
{
        return varlink_error(call, "io.bpfbudget.ReplyTooLarge", NULL);
}

/* Replies with @parameters once, which may be too large for that. */
static int reply_once(struct varlink_call *call, json_t *parameters)
{
        int r = varlink_reply(call, parameters, false);

        return r == -EMSGSIZE ? reply_too_large(call) : r;
}

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

static const char *get_string(const json_t *parameters, const char *name)
{
        return json_string_value(json_object_get(parameters, name));
}

static uint64_t get_size(const json_t *parameters, const char *name)
{
        return json_integer_value(json_object_get(parameters, name));
}

/* Whether @path can be one of a cgroup: "/", or components that are neither empty nor lead anywhere else. */
static bool is_cgroup_path(const char *path)
{
        if (*path != '/' || strlen(path) >= PATH_MAX)
                return false;
        if (path[1] == '\0')
                return true;
        while (*path) {
                size_t length = strcspn(++path, "/");

                if (length == 0 || (length <= 2 && strncmp(path, "..", length) == 0))
                        return false;
                path += length;
        }
        return true;
}

/* One that is gone, but still charged, has no id that could be looked up. */
static struct cgroup *find_gone(const struct tree *tree, const char *path)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                if (!cgroup->exists && cgroup->path && strcmp(cgroup->path, path) == 0)
                        return cgroup;
        return NULL;
}

/* The cgroup at @path, whether it holds anything or not. Returns 0, -ENOENT or -ENOMEM. */
static int find_cgroup(struct api *api, const char *path, struct cgroup **ret)
{
        struct monitor *monitor = api->options.monitor;
        _cleanup_free_ char *found = NULL;
        uint64_t id, parent_id;

        if (cgroupfs_id(&monitor->cgroupfs, path, &id) < 0) {
                *ret = find_gone(&monitor->tree, path);
                return *ret ? 0 : -ENOENT;
        }
        *ret = tree_find(&monitor->tree, id);
        if (*ret)
                return 0;
        /* A file such as /memory.stat has an id, too. */
        if (cgroupfs_lookup(&monitor->cgroupfs, id, &found, &parent_id) < 0) {
                found = NULL;
                return -ENOENT;
        }
        /* It has nothing that would tell of its removal. */
        kernel_watch_cgroup(monitor->kernel, id);
        return tree_get(&monitor->tree, id, ret);
}

/*
 * Finds the cgroup that the parameter "cgroup" names. Returns 0, or 1 if that was answered with an error already, or a
 * negative errno.
 */
static int take_cgroup(struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup)
{
        const char *path = get_string(parameters, "cgroup");
        int r;

        if (!is_cgroup_path(path))
                return varlink_invalid_parameter(call, "cgroup") ?: 1;
        r = find_cgroup(api, path, cgroup);
        return r == -ENOENT ? no_such_cgroup(call, path) ?: 1 : r;
}

static int get_cgroup(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        struct cgroup *cgroup;
        int r;

        refresh_if_old(api);
        r = take_cgroup(api, call, parameters, &cgroup);
        if (r != 0)
                return r < 0 ? r : 0;
        return varlink_reply(call, json_pack("{so}", "cgroup", cgroup_to_json(cgroup)), false);
}

/* --- Lists -------------------------------------------------------------------------------------------------------- */

/* What is to be listed, by key: between two replies of a stream an object may go, and another may take its place. */
struct listing {
        struct api *api;
        const char *name; /* of the array */
        /* Adds the element @key; nothing if it is gone. */
        void (*write)(struct listing *listing, uint64_t key);
        uint64_t *keys;
        size_t count, at;
        struct relations relations;
};

static void listing_free(void *state)
{
        struct listing *listing = state;

        relations_deinit(&listing->relations);
        free(listing->keys);
        free(listing);
}

/* A listing with room for @room keys, NULL: no memory. */
static struct listing *listing_new(
                struct api *api, const char *name, size_t room, void (*write)(struct listing *listing, uint64_t key))
{
        struct listing *listing = calloc(1, sizeof(*listing));

        if (!listing)
                return NULL;
        listing->api = api;
        listing->name = name;
        listing->write = write;
        listing->keys = calloc(room + 1, sizeof(*listing->keys));
        if (listing->keys)
                return listing;
        free(listing);
        return NULL;
}

/* Writes a reply of about @size bytes. What a long one took is not kept. */
static int listing_reply(struct listing *listing, struct varlink_call *call, size_t size)
{
        struct writer *writer = &listing->api->writer;
        int r;

        writer_reset(writer);
        writer_open(writer, '{');
        writer_key(writer, listing->name);
        writer_open(writer, '[');
        while (listing->at < listing->count && writer->size < size)
                listing->write(listing, listing->keys[listing->at++]);
        writer_close(writer, ']');
        writer_close(writer, '}');
        r = writer->error
                            ?: varlink_reply_text(call, writer->text, writer->size,
                                               size == BATCH_SIZE && listing->at < listing->count);
        if (writer->room > 4 * BATCH_SIZE) {
                writer_deinit(writer);
                malloc_trim(0);
        }
        return r;
}

static int listing_next(void *state, struct varlink_call *call)
{
        return listing_reply(state, call, BATCH_SIZE);
}

static const struct varlink_stream listing_stream = { .next = listing_next, .end = listing_free };

/* Answers with @listing, which it takes over: in several replies, or in one. */
static int listing_answer(struct listing *listing, struct varlink_call *call)
{
        int r;

        if (varlink_wants_more(call)) {
                varlink_make_stream(call, &listing_stream, listing);
                return 0;
        }
        r = listing_reply(listing, call, VARLINK_OUTPUT_MAX);
        if (r == 0 && listing->at < listing->count)
                r = -EMSGSIZE;
        listing_free(listing);
        return r == -EMSGSIZE ? reply_too_large(call) : r;
}

static const char *const states[] = { "ok", "high", "max", NULL };

/* The index of @word in @words, which it is one of. */
static size_t index_of(const char *const *words, const char *word)
{
        size_t i = 0;

        while (strcmp(words[i], word) != 0)
                i++;
        return i;
}

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
        const char *glob = get_string(parameters, "cgroup"), *state = get_string(parameters, "state");

        if (cgroup->total.allocated < get_size(parameters, "minimum") ||
                        (usage_footprint(&cgroup->total) == 0 && cgroup->parent))
                return false;
        if (glob && !(cgroup->path && glob_match(glob, cgroup->path)))
                return false;
        return !state || (cgroup->policy && cgroup->policy->level == (enum budget_level) index_of(states, state));
}

static int list_cgroups(void *context, struct varlink_call *call, json_t *parameters)
{
        _cleanup_free_ struct cgroup **cgroups = NULL;
        struct api *api = context;
        const struct tree *tree = &api->options.monitor->tree;
        struct listing *listing;

        refresh_if_old(api);
        cgroups = sort_cgroups(tree);
        listing = cgroups ? listing_new(api, "cgroups", tree->count, write_cgroup) : NULL;
        if (!listing)
                return -ENOMEM;
        for (size_t i = 0; i < tree->count; i++)
                if (wants_cgroup(parameters, cgroups[i]))
                        listing->keys[listing->count++] = cgroups[i]->id;
        return listing_answer(listing, call);
}

static const char *const kinds[] = { "map", "program", NULL };
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

/* What ListObjects is asked for. */
struct object_filter {
        const char *cgroup, *name, *type; /* NULL: any */
        uint32_t kind;                    /* 0: any */
        uint64_t minimum;
};

static struct object_filter get_filter(const json_t *parameters)
{
        const char *kind = get_string(parameters, "kind");

        return (struct object_filter){
                .cgroup = get_string(parameters, "cgroup"),
                .name = get_string(parameters, "name"),
                .type = get_string(parameters, "type"),
                .kind = kind ? kind_values[index_of(kinds, kind)] : 0,
                .minimum = get_size(parameters, "minimum"),
        };
}

static bool wants_object(const struct object_filter *filter, const struct object *object)
{
        const struct object_record *record = &object->record;
        char name[OBJECT_NAME_SIZE + 1] = "", type[FORMAT_SIZE_MAX];

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

static int list_objects(void *context, struct varlink_call *call, json_t *parameters)
{
        struct object_filter filter = get_filter(parameters);
        _cleanup_free_ struct object **objects = NULL;
        struct api *api = context;
        struct monitor *monitor = api->options.monitor;
        struct listing *listing;
        int r;

        refresh_if_old(api);
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
                return r == -ENOMEM ? r : not_supported(call, "this kernel does not tell holders or uses");
        }
        return listing_answer(listing, call);
}

/* --- Explain ------------------------------------------------------------------------------------------------------ */

/* The cgroup of @unit itself, not one below it; NULL: there is none that holds anything. */
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

/* As take_cgroup(), but by unit if that is given. */
static int take_cgroup_or_unit(
                struct api *api, struct varlink_call *call, const json_t *parameters, struct cgroup **cgroup)
{
        const char *unit = get_string(parameters, "unit");
        _cleanup_free_ char *service = NULL;

        if (!unit == !get_string(parameters, "cgroup"))
                return varlink_invalid_parameter(call, unit ? "unit" : "cgroup") ?: 1;
        if (!unit)
                return take_cgroup(api, call, parameters, cgroup);
        /* "foo" is short for a service, as for systemctl. */
        if (asprintf(&service, "%s.service", unit) < 0) {
                service = NULL;
                return -ENOMEM;
        }
        *cgroup = find_unit(&api->options.monitor->tree, unit) ?: find_unit(&api->options.monitor->tree, service);
        return *cgroup ? 0 : error_with(call, "io.bpfbudget.NoSuchUnit", "unit", unit) ?: 1;
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

/* The largest objects in @cgroup's subtree, as an array; *uncharged is the one with most that nobody is charged for. */
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

/* What @cgroup and those below are charged for: also objects that another one's budget counts, as their holder's. */
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
        _cleanup_free_ char *verdict = NULL;
        struct memory memory;
        const struct object *largest;
        json_t *objects = top_objects(api, cgroup, relations, &largest);

        if (!cgroup->path || !cgroup->exists || memory_read(&api->options.monitor->cgroupfs, cgroup->path, &memory) < 0)
                memory = (struct memory){ .current = BUDGET_INFINITY, .max = BUDGET_INFINITY };
        memory.bpf = charged_bytes(api, cgroup);
        verdict = explain_verdict(cgroup, &memory, largest);
        if (!objects || !verdict) {
                json_decref(objects);
                return NULL;
        }
        return json_pack("{so so so so sI sI so ss}", "cgroup", cgroup_to_json(cgroup), "memoryCurrent",
                        limit_to_json(memory.current), "memoryMax", limit_to_json(memory.max), "shares",
                        shares_to_json(&memory), "bpfCharged", (json_int_t) cgroup->total.charged, "bpfUncharged",
                        (json_int_t) usage_uncharged(&cgroup->total), "objects", objects, "verdict", verdict);
}

static int explain(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        struct monitor *monitor = api->options.monitor;
        struct relations relations;
        struct cgroup *cgroup;
        int r;

        refresh_if_old(api);
        r = take_cgroup_or_unit(api, call, parameters, &cgroup);
        if (r != 0)
                return r < 0 ? r : 0;
        r = relations_read(&relations, monitor->kernel, &monitor->tree, RELATION_HOLDERS | RELATION_PINS);
        /* Without holders, if the kernel does not tell them: the rest is worth an answer. */
        if (r < 0 && r != -ENOMEM) {
                relations_deinit(&relations);
                r = relations_read(&relations, monitor->kernel, &monitor->tree, RELATION_PINS);
                if (r < 0)
                        relations.asked = 0;
        }
        r = r == -ENOMEM ? r : reply_once(call, explanation(api, cgroup, &relations));
        relations_deinit(&relations);
        return r;
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

static size_t count_cgroups(const struct tree *tree, const struct budget *budget)
{
        struct cgroup *cgroup, *next;
        size_t count = 0;

        HASH_ITER (hh, tree->by_id, cgroup, next)
                count += cgroup->policy && cgroup->policy->budget == budget;
        return count;
}

static int list_budgets(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        const struct config *config = &api->options.guard->config;
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
        return reply_once(call, json_pack("{so}", "budgets", array));
}

static const char *const on_high_words[] = { "alert", "throttle", NULL };
static const enum budget_action on_high_values[] = { ACTION_ALERT, ACTION_THROTTLE };
static const char *const on_max_words[] = { "alert", "deny", NULL };
static const enum budget_action on_max_values[] = { ACTION_ALERT, ACTION_DENY };
static const char *const count_words[] = { "allocated", "charged", NULL };
static const enum budget_count count_values[] = { COUNT_ALLOCATED, COUNT_CHARGED };

/* Takes the number @name into *value if it is there. Returns what is wrong with it, NULL: nothing. */
static const char *take_number(
                const json_t *parameters, const char *name, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
        const json_t *number = json_object_get(parameters, name);

        if (!number)
                return NULL;
        if (json_integer_value(number) < 0)
                return "is negative";
        *value = json_integer_value(number);
        return *value < minimum ? "is too small" : *value > maximum ? "is too large" : NULL;
}

/* Fills @budget from @parameters. Returns what is wrong, and with which *field; NULL: nothing. */
static const char *take_budget(const json_t *parameters, struct budget *budget, const char **field)
{
        const char *on_high = get_string(parameters, "onHigh"), *on_max = get_string(parameters, "onMax");
        const char *count = get_string(parameters, "count"), *wrong = NULL;
        uint64_t ratio = 0, clear = 0;
        const struct {
                const char *name;
                uint64_t minimum, maximum, *value;
        } numbers[] = {
                { "high", 0, INT64_MAX, &budget->high },
                { "max", 0, INT64_MAX, &budget->max },
                { "mapsMax", 0, COUNT_MAX, &budget->maps_max },
                { "programsMax", 0, COUNT_MAX, &budget->programs_max },
                { "footprintRatioHigh", 1, RATIO_MAX, &ratio },
                { "clearPercent", 1, 100, &clear },
        };

        *budget = (struct budget){ .on_high = on_high ? on_high_values[index_of(on_high_words, on_high)] : ACTION_ALERT,
                .on_max = on_max ? on_max_values[index_of(on_max_words, on_max)] : ACTION_ALERT,
                .count = count ? count_values[index_of(count_words, count)] : COUNT_ALLOCATED };
        budget->high = budget->max = budget->maps_max = budget->programs_max = BUDGET_INFINITY;
        for (size_t i = 0; !wrong && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                *field = numbers[i].name;
                wrong = take_number(
                                parameters, numbers[i].name, numbers[i].minimum, numbers[i].maximum, numbers[i].value);
        }
        budget->footprint_ratio_high = ratio;
        budget->clear_percent = clear;
        if (wrong || budget->high == BUDGET_INFINITY || budget->high <= budget->max)
                return wrong;
        *field = "high";
        return "is more than max";
}

/*
 * Puts the files that were just changed in force, or what was @before (taken over) back in the one of @path if they
 * cannot be.
 */
static int put_in_force(struct api *api, struct varlink_call *call, const char *path, char *before)
{
        json_t *errors = json_array();
        int r = errors ? api->options.hooks.reload(api->options.hooks.context, errors) : -ENOMEM, s;

        if (r == 0) {
                free(before);
                json_decref(errors);
                return varlink_reply(call, json_object(), false);
        }
        s = runtime_restore(api->options.directory, path, before);
        if (s < 0)
                log_error("The runtime budget of %s cannot be taken back: %s", path, strerror(-s));
        if (r == -EINVAL)
                return varlink_error(call, "io.bpfbudget.InvalidConfiguration", json_pack("{so}", "errors", errors));
        json_decref(errors);
        return r;
}

/* What a file system error is to the client. */
static int file_error(struct api *api, struct varlink_call *call, int error)
{
        _cleanup_free_ char *reason = NULL;

        if (error == -ENOMEM)
                return error;
        if (asprintf(&reason, "%s: %s", api->options.directory, strerror(-error)) < 0) {
                reason = NULL;
                return -ENOMEM;
        }
        return not_supported(call, reason);
}

static int set_root_budget(
                struct api *api, struct varlink_call *call, const struct cgroup *cgroup, const struct budget *budget)
{
        char *before;
        int r;

        if (!cgroup->path)
                return not_supported(call, "paths of cgroups are not known: CAP_DAC_READ_SEARCH is missing");
        r = runtime_write(api->options.directory, cgroup->path, budget, &before);
        if (r == -EINVAL)
                return invalid_budget(call, "cgroup", "its name has blanks or control characters, or is not UTF-8");
        if (r == -ENAMETOOLONG)
                return invalid_budget(call, "cgroup", "its path is too long for a line of a budget file");
        if (r < 0)
                return file_error(api, call, r);
        log_info("User %u sets a budget for %s", (unsigned int) varlink_uid(call), cgroup->path);
        return put_in_force(api, call, cgroup->path, before);
}

/* Whether the caller is the user that @cgroup's directory belongs to. */
static bool is_owner(const struct api *api, const struct varlink_call *call, const struct cgroup *cgroup)
{
        _cleanup_free_ char *directory = NULL;
        struct stat st;

        if (!cgroup->path || !cgroup->exists)
                return false;
        directory = cgroupfs_file(&api->options.monitor->cgroupfs, cgroup->path);
        return directory && stat(directory, &st) == 0 && st.st_uid == varlink_uid(call);
}

/* The owner's limits hold beside the budget's, the lower ones: so nothing is raised. */
static int lower_budget(struct api *api, struct varlink_call *call, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        int r;

        if (!cgroup->policy)
                return error_with(call, "io.bpfbudget.NoSuchBudget", "cgroup", cgroup->path);
        r = guard_lower(api->options.guard, cgroup, high, max);
        if (r < 0)
                return r;
        api->options.hooks.flushed(api->options.hooks.context);
        return varlink_reply(call, json_object(), false);
}

static int set_owner_budget(struct api *api, struct varlink_call *call, struct cgroup *cgroup, json_t *parameters,
                const struct budget *budget)
{
        const struct policy *policy = cgroup->policy;
        const char *name;
        json_t *value;

        json_object_foreach(parameters, name, value)
        {
                if (strcmp(name, "cgroup") != 0 && strcmp(name, "high") != 0 && strcmp(name, "max") != 0)
                        return not_permitted(call, "the owner of a cgroup may lower high and max, nothing else");
        }
        if (policy && ((budget->high != BUDGET_INFINITY && budget->high > policy->budget->high) ||
                                      (budget->max != BUDGET_INFINITY && budget->max > policy->budget->max)))
                return not_permitted(call, "the owner of a cgroup may lower its budget, not raise it");
        return lower_budget(api, call, cgroup, budget->high, budget->max);
}

static int set_budget(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *wrong, *field;
        struct api *api = context;
        struct cgroup *cgroup;
        struct budget budget;
        int r = take_cgroup(api, call, parameters, &cgroup);

        if (r != 0)
                return r < 0 ? r : 0;
        if (varlink_uid(call) != 0 && !is_owner(api, call, cgroup))
                return not_permitted(call, "only root and the owner of the cgroup may set its budget");
        wrong = take_budget(parameters, &budget, &field);
        if (wrong)
                return invalid_budget(call, field, wrong);
        if (varlink_uid(call) != 0)
                return set_owner_budget(api, call, cgroup, parameters, &budget);
        return set_root_budget(api, call, cgroup, &budget);
}

static int unset_budget(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *path = get_string(parameters, "cgroup");
        struct api *api = context;
        struct cgroup *cgroup;
        char *before;
        int r;

        if (!is_cgroup_path(path))
                return varlink_invalid_parameter(call, "cgroup");
        if (varlink_uid(call) != 0) {
                r = take_cgroup(api, call, parameters, &cgroup);
                if (r != 0)
                        return r < 0 ? r : 0;
                if (!is_owner(api, call, cgroup))
                        return not_permitted(call, "only root and the owner of the cgroup may unset its budget");
                return lower_budget(api, call, cgroup, BUDGET_INFINITY, BUDGET_INFINITY);
        }
        /* The cgroup may be gone. */
        r = runtime_remove(api->options.directory, path, &before);
        if (r == -ENOENT)
                return error_with(call, "io.bpfbudget.NoSuchBudget", "cgroup", path);
        if (r < 0)
                return file_error(api, call, r);
        log_info("User %u unsets the budget of %s", (unsigned int) varlink_uid(call), path);
        return put_in_force(api, call, path, before);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static const char *const event_kinds[] = {
        [EVENT_STATE] = "state",
        [EVENT_REFUSAL] = "refusal",
        [EVENT_THROTTLE] = "throttle",
        [EVENT_KINDS] = NULL,
};

static json_t *text_or_null(const char *text)
{
        json_t *json = text ? json_string(text) : NULL;

        return json ?: json_null();
}

static json_t *event_to_json(const struct budget_event *event)
{
        const struct object_record *object = event->object.kind ? &event->object : NULL;
        const struct policy *policy = event->policy;
        bool state = event->kind == EVENT_STATE;
        char name[OBJECT_NAME_SIZE + 1] = "", type[FORMAT_SIZE_MAX];

        memcpy(name, event->object.name, OBJECT_NAME_SIZE);
        return json_pack("{ss so sI sI so so so so so so so so so so so so}", "kind", event_kinds[event->kind],
                        "cgroup", text_or_null(event->cgroup->path), "cgroupId", (json_int_t) event->cgroup->id,
                        "usage", (json_int_t) event->usage, "high",
                        limit_to_json(policy ? policy->high : BUDGET_INFINITY), "max",
                        limit_to_json(policy ? policy->max : BUDGET_INFINITY), "from",
                        text_or_null(state ? budget_level_name(event->from) : NULL), "to",
                        text_or_null(state ? budget_level_name(event->to) : NULL), "limit",
                        text_or_null(event->limit == LIMIT_NONE ? NULL : budget_limit_name(event->limit)), "pid",
                        event->pid ? json_integer(event->pid) : json_null(), "comm", text_or_null(event->comm),
                        "objectKind", text_or_null(object ? kinds[object->kind == OBJECT_MAP ? 0 : 1] : NULL),
                        "objectType", text_or_null(object ? object_type_name(object, type) : NULL), "objectName",
                        text_or_null(object ? name : NULL), "size",
                        event->size ? json_integer((json_int_t) event->size) : json_null(), "pauseUSec",
                        event->kind == EVENT_THROTTLE ? json_integer((json_int_t) event->pause_usec) : json_null());
}

static void subscriber_free(void *state)
{
        struct subscriber *subscriber = state;

        DL_DELETE(subscriber->api->subscribers, subscriber);
        free(subscriber->glob);
        free(subscriber);
}

/* Sends @event, taken over, if there is room for it. */
static void send_event(struct subscriber *subscriber, json_t *event)
{
        int r = varlink_push(
                        subscriber->call, json_pack("{so sI}", "event", event, "lost", (json_int_t) subscriber->lost));

        if (r == 0)
                subscriber->lost = 0;
        else if (!json_is_null(event))
                subscriber->lost++;
}

/* The client has taken everything: now it is told what it has missed. */
static void on_drained(void *state)
{
        struct subscriber *subscriber = state;

        if (subscriber->lost > 0)
                send_event(subscriber, json_null());
}

static const struct varlink_stream subscription = { .drained = on_drained, .end = subscriber_free };

static uint32_t get_kinds(const json_t *parameters)
{
        const json_t *words = json_object_get(parameters, "kinds");
        uint32_t mask = 0;

        if (!words)
                return UINT32_MAX;
        for (size_t i = 0; i < json_array_size(words); i++)
                mask |= 1u << index_of(event_kinds, json_string_value(json_array_get(words, i)));
        return mask;
}

static int subscribe(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *glob = get_string(parameters, "cgroup");
        struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
        struct api *api = context;

        if (!subscriber)
                return -ENOMEM;
        subscriber->api = api;
        subscriber->call = call;
        subscriber->kinds = get_kinds(parameters);
        subscriber->glob = glob ? strdup(glob) : NULL;
        DL_APPEND(api->subscribers, subscriber);
        varlink_make_stream(call, &subscription, subscriber);
        if (glob && !subscriber->glob)
                return -ENOMEM;
        return varlink_push(call, json_pack("{sn sI}", "event", "lost", (json_int_t) 0));
}

static bool wants_event(const struct subscriber *subscriber, const struct budget_event *event)
{
        const char *path = event->cgroup->path;

        return subscriber->kinds & 1u << event->kind &&
               (!subscriber->glob || (path && glob_match(subscriber->glob, path)));
}

void api_event(struct api *api, const struct budget_event *event)
{
        struct subscriber *subscriber;
        json_t *json;

        if (!api)
                return;
        api->events[event->kind]++;
        if (!api->subscribers)
                return;
        json = event_to_json(event);
        if (!json)
                log_warning("Out of memory: an event is not told");
        DL_FOREACH(api->subscribers, subscriber)
        if (json && wants_event(subscriber, event))
                send_event(subscriber, json_incref(json));
        json_decref(json);
}

/* --- The daemon itself -------------------------------------------------------------------------------------------- */

static int flush(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) parameters;
        refresh(context);
        return varlink_reply(call, json_object(), false);
}

static int reload(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        json_t *errors;
        int r;

        (void) parameters;
        if (varlink_uid(call) != 0)
                return not_permitted(call, "only root may reload the configuration");
        errors = json_array();
        if (!errors)
                return -ENOMEM;
        r = api->options.hooks.reload(api->options.hooks.context, errors);
        if (r == -EINVAL)
                return varlink_error(call, "io.bpfbudget.InvalidConfiguration", json_pack("{so}", "errors", errors));
        json_decref(errors);
        return r < 0 ? r : varlink_reply(call, json_object(), false);
}

static int get_capabilities(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        json_t *array = json_array();
        size_t count;
        const struct capability *capabilities = kernel_capabilities(api->options.monitor->kernel, &count);

        (void) parameters;
        for (size_t i = 0; array && i < count; i++)
                if (json_array_append_new(array, capability_to_json(&capabilities[i])) < 0) {
                        json_decref(array);
                        return -ENOMEM;
                }
        return varlink_reply(call, json_pack("{so}", "capabilities", array), false);
}

static int get_statistics(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        const struct monitor *monitor = api->options.monitor;
        const struct monitor_statistics *s = &monitor->statistics;

        (void) parameters;
        return varlink_reply(call,
                        json_pack("{s{sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI}}", "statistics", "flushes",
                                        (json_int_t) s->flushes, "fullPasses", (json_int_t) s->full_passes,
                                        "fullPassUSec", (json_int_t) s->full_pass_usec, "updates",
                                        (json_int_t) s->updates, "overflows", (json_int_t) s->overflows, "drift",
                                        (json_int_t) s->drift, "updatedCgroups", (json_int_t) s->updated_cgroups,
                                        "rssPasses", (json_int_t) s->rss_passes, "wakeups",
                                        (json_int_t) kernel_counters(monitor->kernel).wakeups, "cgroups",
                                        (json_int_t) monitor->tree.count, "objects", (json_int_t) monitor->ledger.count,
                                        "overHigh", (json_int_t) api->options.guard->over_high, "clients",
                                        (json_int_t) varlink_clients(api->server), "refusals",
                                        (json_int_t) api->events[EVENT_REFUSAL], "throttles",
                                        (json_int_t) api->events[EVENT_THROTTLE]),
                        false);
}

/* --- The interface ------------------------------------------------------------------------------------------------ */

#define OPTIONAL .optional = true

static const struct varlink_parameter list_cgroups_parameters[] = {
        { "cgroup", VARLINK_STRING, OPTIONAL },
        { "state", VARLINK_WORD, OPTIONAL, states },
        { "minimum", VARLINK_SIZE, OPTIONAL },
        {},
};

static const struct varlink_parameter cgroup_parameter[] = { { "cgroup", VARLINK_STRING }, {} };

static const struct varlink_parameter list_objects_parameters[] = {
        { "cgroup", VARLINK_STRING, OPTIONAL },
        { "kind", VARLINK_WORD, OPTIONAL, kinds },
        { "type", VARLINK_STRING, OPTIONAL },
        { "name", VARLINK_STRING, OPTIONAL },
        { "minimum", VARLINK_SIZE, OPTIONAL },
        { "holders", VARLINK_BOOLEAN, OPTIONAL },
        { "pins", VARLINK_BOOLEAN, OPTIONAL },
        { "uses", VARLINK_BOOLEAN, OPTIONAL },
        {},
};

static const struct varlink_parameter explain_parameters[] = {
        { "cgroup", VARLINK_STRING, OPTIONAL },
        { "unit", VARLINK_STRING, OPTIONAL },
        {},
};

/* Numbers out of range are errors of the budget. */
static const struct varlink_parameter set_budget_parameters[] = {
        { "cgroup", VARLINK_STRING },
        { "high", VARLINK_INTEGER, OPTIONAL },
        { "max", VARLINK_INTEGER, OPTIONAL },
        { "mapsMax", VARLINK_INTEGER, OPTIONAL },
        { "programsMax", VARLINK_INTEGER, OPTIONAL },
        { "footprintRatioHigh", VARLINK_INTEGER, OPTIONAL },
        { "onHigh", VARLINK_WORD, OPTIONAL, on_high_words },
        { "onMax", VARLINK_WORD, OPTIONAL, on_max_words },
        { "count", VARLINK_WORD, OPTIONAL, count_words },
        { "clearPercent", VARLINK_INTEGER, OPTIONAL },
        {},
};

static const struct varlink_parameter subscribe_parameters[] = {
        { "cgroup", VARLINK_STRING, OPTIONAL },
        { "kinds", VARLINK_WORDS, OPTIONAL, event_kinds },
        {},
};

static const struct varlink_method methods[] = {
        { "ListCgroups", list_cgroups, list_cgroups_parameters },
        { "GetCgroup", get_cgroup, cgroup_parameter },
        { "ListObjects", list_objects, list_objects_parameters },
        { "Explain", explain, explain_parameters },
        { "ListBudgets", list_budgets },
        { "SetBudget", set_budget, set_budget_parameters },
        { "UnsetBudget", unset_budget, cgroup_parameter },
        { "Subscribe", subscribe, subscribe_parameters, .needs_more = true },
        { "Flush", flush },
        { "Reload", reload },
        { "GetCapabilities", get_capabilities },
        { "GetStatistics", get_statistics },
        {},
};

static const struct varlink_interface interfaces[] = {
        { "io.bpfbudget", interface_description, methods },
};

static const struct varlink_info info = {
        .vendor = "bpfbudget",
        .product = "bpfbudgetd",
        .version = PACKAGE_VERSION,
        .url = "",
};

/* --- Start and end ------------------------------------------------------------------------------------------------ */

int api_new(const struct api_options *options, struct api **ret)
{
        struct api *api = calloc(1, sizeof(*api));
        int r;

        if (!api)
                return -ENOMEM;
        api->options = *options;
        r = varlink_server_new(options->base, &info, interfaces, sizeof(interfaces) / sizeof(interfaces[0]), api,
                        &api->server);
        if (r < 0) {
                free(api);
                return r;
        }
        *ret = api;
        return 0;
}

void api_free(struct api *api)
{
        if (!api)
                return;
        varlink_server_free(api->server);
        writer_deinit(&api->writer);
        free(api);
}

int api_listen_passed(struct api *api)
{
        int count = sd_listen_fds(true), used = 0, r;

        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++) {
                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
                        continue;
                r = varlink_listen_fd(api->server, fd);
                if (r < 0)
                        return r;
                used++;
        }
        return count < 0 ? count : used;
}

int api_listen(struct api *api, const char *path)
{
        return varlink_listen(api->server, path, 0660, API_GROUP);
}
