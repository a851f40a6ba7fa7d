/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "account/fill.h"
#include "base/cleanup.h"
#include "base/size.h"
#include "bpf/newtypes.h"
#include "policy/keys.h"
#include "policy/policy.h"
#include "serve/jsontext.h"
#include "serve/workload-json.h"
#include "serve/writer.h"

/* Types that the oldest supported libbpf does not know yet. include/uapi/linux/bpf.h */
static const struct {
        uint32_t kind, type;
        const char *name;
} young_types[] = {
        { OBJECT_MAP, MAP_TYPE_CGRP_STORAGE, "cgrp_storage" }, /* 6.2 */
        { OBJECT_MAP, MAP_TYPE_ARENA, "arena" },               /* 6.9 */
        { OBJECT_MAP, MAP_TYPE_INSN_ARRAY, "insn_array" },     /* in 7.2, not in 6.18 */
        { OBJECT_MAP, MAP_TYPE_RHASH, "rhash" },               /* in 7.2, not in 6.18 */
        { OBJECT_PROGRAM, 32, "netfilter" },                   /* 6.4 */
};

static const char *const kind_names[] = {
        [OBJECT_MAP] = "map",
        [OBJECT_PROGRAM] = "program",
};

static const char *const attribution_names[] = {
        [ATTRIBUTION_NONE] = "none",
        [ATTRIBUTION_CHARGED] = "charged",
        [ATTRIBUTION_MAPS] = "maps",
        [ATTRIBUTION_RECORDED] = "recorded",
        [ATTRIBUTION_HOLDER] = "holder",
};

const char *object_type_name(const struct object_record *record, char buffer[TYPE_NAME_MAX])
{
        const char *name = record->kind == OBJECT_MAP ? libbpf_bpf_map_type_str(record->type)
                                                      : libbpf_bpf_prog_type_str(record->type);

        if (name)
                return name;
        for (size_t i = 0; i < sizeof(young_types) / sizeof(young_types[0]); i++)
                if (young_types[i].kind == record->kind && young_types[i].type == record->type)
                        return young_types[i].name;
        snprintf(buffer, TYPE_NAME_MAX, "type-%u", record->type);
        return buffer;
}

/* The maximum number of types of a kind; no kernel has more. */
#define TYPES_MAX 256

bool is_object_type(uint32_t kind, const char *name)
{
        struct object_record record = {};
        char buffer[TYPE_NAME_MAX];

        for (record.kind = OBJECT_MAP; record.kind <= OBJECT_PROGRAM; record.kind++)
                for (record.type = 0; record.type < TYPES_MAX; record.type++)
                        if ((kind == 0 || kind == record.kind) && strcmp(object_type_name(&record, buffer), name) == 0)
                                return true;
        return false;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *usage_to_json(const struct usage *usage)
{
        return json_pack("{sI sI sI sI sI sI sI sI sI sI sI}", "allocated", (json_int_t) usage->allocated, "charged",
                        (json_int_t) usage->charged, "uncharged", (json_int_t) usage_uncharged(usage), "committed",
                        (json_int_t) usage->committed, "unboundedCount", (json_int_t) usage->unbounded_count, "maps",
                        (json_int_t) usage->maps, "programs", (json_int_t) usage->programs, "jit",
                        (json_int_t) usage->jit, "objects", (json_int_t) usage_objects(usage), "mapCount",
                        (json_int_t) usage->map_count, "programCount", (json_int_t) usage->program_count);
}

static json_t *rss_to_json(const struct usage *usage)
{
        return json_pack("{sI sI sI sI}", "anon", (json_int_t) usage->rss[RSS_ANON], "file",
                        (json_int_t) usage->rss[RSS_FILE], "shmem", (json_int_t) usage->rss[RSS_SHMEM], "swap",
                        (json_int_t) usage->rss[RSS_SWAP]);
}

json_t *limit_to_json(uint64_t limit)
{
        return limit == BUDGET_INFINITY ? json_null() : json_integer((json_int_t) limit);
}

static json_t *events_to_json(const struct budget_events *events)
{
        return json_pack("{sI sI sI sI sI}", "high", (json_int_t) events->high, "max", (json_int_t) events->max,
                        "denied", (json_int_t) events->denied, "throttled", (json_int_t) events->throttled,
                        "throttledUSec", (json_int_t) events->throttled_usec);
}

/* The value of @key in @budget; null is no limit. */
static json_t *key_to_json(const struct key *key, const struct budget *budget)
{
        uint64_t value = key_get(key, budget);

        return key->words ? json_string(key_word(key, value)) : limit_to_json(value);
}

/* The same for the key with the name @name. */
static json_t *budget_key(const struct budget *budget, const char *name)
{
        return key_to_json(find_key(&budget_format, "Budget", name), budget);
}

/* The errors in the xattrs of the cgroup of @policy; NULL: none. */
static json_t *ignored_to_json(const struct policy *policy)
{
        json_t *array = NULL;

        for (size_t i = 0; i < OWNER_LIMITS; i++) {
                if (!policy->ignored[i])
                        continue;
                array = array ?: json_array();
                if (!array || json_array_append_new(array, text_to_json(policy->ignored[i])) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static json_t *policy_to_json(const struct policy *policy, const struct usage *usage)
{
        const struct budget *budget = policy->budget;

        return json_pack("{ss ss so so so so so so so so so sI so* so}", "name", budget->name, "state",
                        budget_level_name(policy->level), "limit",
                        policy->limit == LIMIT_NONE ? json_null() : json_string(budget_limit_name(policy->limit)),
                        "high", limit_to_json(policy->high), "max", limit_to_json(policy->max), "mapsMax",
                        budget_key(budget, "MapsMax"), "programsMax", budget_key(budget, "ProgramsMax"),
                        "footprintRatioHigh", budget_key(budget, "FootprintRatioHigh"), "onHigh",
                        budget_key(budget, "OnHigh"), "onMax", budget_key(budget, "OnMax"), "count",
                        budget_key(budget, "Count"), "usage", (json_int_t) policy_usage(policy, usage), "ignored",
                        ignored_to_json(policy), "events", events_to_json(&policy->events));
}

/* The keys of [Budget], by the table. */
static json_t *keys_to_json(const struct budget *budget)
{
        json_t *object = json_object();

        for (size_t i = 0; object && i < budget_format.count; i++) {
                const struct key *key = &budget_format.keys[i];
                char name[KEY_NAME_SIZE];

                if (strcmp(key->section, "Budget") != 0)
                        continue;
                key_parameter(key, name);
                if (json_object_set_new(object, name, key_to_json(key, budget)) < 0) {
                        json_decref(object);
                        return NULL;
                }
        }
        return object;
}

/* Paths in their order. NULL: no memory. */
static json_t *dropins_to_json(const struct budget *budget)
{
        json_t *array = json_array();

        for (size_t i = 0; array && i < budget->dropin_count; i++)
                if (json_array_append_new(array, text_to_json(budget->dropins[i])) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

json_t *budget_to_json(const struct budget *budget, bool runtime, size_t cgroups)
{
        json_t *object = json_pack("{ss ss so sb}", "name", budget->name, "file", budget->file, "dropIns",
                        dropins_to_json(budget), "runtime", runtime);
        json_t *keys = keys_to_json(budget);
        int r = object && keys ? json_object_update(object, keys) : -1;

        json_decref(keys);
        if (r < 0 || json_object_set_new(object, "cgroups", json_integer((json_int_t) cgroups)) < 0) {
                json_decref(object);
                return NULL;
        }
        return object;
}

json_t *cgroup_to_json(const struct cgroup *cgroup)
{
        json_t *self = usage_to_json(&cgroup->self);

        if (self && json_object_set_new(self, "rss", rss_to_json(&cgroup->self)) < 0) {
                json_decref(self);
                self = NULL;
        }
        return json_pack("{so so* sI sb so so so sI so}", "path", text_to_json(cgroup->path), "workload",
                        workload_to_json(cgroup), "id", (json_int_t) cgroup->id, "exists", cgroup->exists, "bpf",
                        usage_to_json(&cgroup->total), "self", self, "rss", rss_to_json(&cgroup->total), "footprint",
                        (json_int_t) usage_footprint(&cgroup->total), "budget",
                        cgroup->policy ? policy_to_json(cgroup->policy, &cgroup->total) : json_null());
}

/* --- Objects: written as text, as there are thousands ------------------------------------------------------------- */

void object_write_creator(struct writer *writer, const struct creator *creator)
{
        writer_key(writer, "creator");
        if (!creator) {
                writer_raw(writer, "null");
                return;
        }
        writer_open(writer, '{');
        writer_member_integer(writer, "pid", creator->pid);
        writer_member_string(writer, "comm", creator->comm);
        writer_member_string(writer, "buildId", *creator->build_id ? creator->build_id : NULL);
        writer_close(writer, '}');
}

static void write_object(struct writer *writer, const struct object *object)
{
        /* The object was charged to a cgroup that has been removed, or is charged to an ancestor of it. */
        const char *last_cgroup = object->last_cgroup ?: (object->cgroup->exists ? NULL : object->cgroup->path);
        bool gone = object->last_cgroup || !object->cgroup->exists;

        const struct object_record *record = &object->record;
        char name[OBJECT_NAME_SIZE + 1] = "", type[TYPE_NAME_MAX];
        uint32_t full = 0;
        bool map = record->kind == OBJECT_MAP, fills = fill_of(record, &full);

        memcpy(name, record->name, OBJECT_NAME_SIZE);
        writer_member_string(writer, "kind", kind_names[record->kind]);
        writer_member_integer(writer, "id", record->id);
        writer_member_string(writer, "type", object_type_name(record, type));
        writer_member_string(writer, "name", name);
        writer_member_optional(writer, "flags", map, record->flags);
        writer_member_optional(writer, "keySize", map, record->key_size);
        writer_member_optional(writer, "valueSize", map, record->value_size);
        writer_member_optional(writer, "maxEntries", map, record->max_entries);
        writer_member_optional(writer, "entries", record->entries != ENTRIES_UNKNOWN, record->entries);
        writer_member_optional(writer, "full", fills, full);
        writer_member_integer(writer, "allocated", record->allocated);
        writer_member_integer(writer, "allocatedMin", record->allocated_min);
        writer_member_optional(writer, "ceiling", record->ceiling != CEILING_UNBOUNDED, record->ceiling);
        writer_member_integer(writer, "charged", record->charged);
        writer_member_integer(writer, "uncharged", record->allocated - record->charged);
        writer_member_integer(writer, "jit", record->jit);
        writer_member_boolean(writer, "exact", !(record->marks & (OBJECT_BOUNDED | OBJECT_MEMLOCK)));
        writer_member_string(writer, "source", record->marks & OBJECT_MEMLOCK ? "memlock" : "structures");
        writer_member_string(writer, "cgroup", object->cgroup->path);
        writer_member_integer(writer, "cgroupId", object->cgroup->id);
        writer_member_string(writer, "attribution", attribution_names[record->attribution]);
        writer_member_string(writer, "owner", record->marks & OBJECT_OWN ? "self" : "other");
        object_write_creator(writer, object->creator);
        writer_member_boolean(writer, "cgroupGone", gone);
        writer_member_string(writer, "lastCgroup", last_cgroup);
}

static void write_holder(struct writer *writer, const struct holder *holder)
{
        writer_open(writer, '{');
        writer_member_integer(writer, "pid", holder->record.pid);
        writer_member_string(writer, "comm", holder->record.comm);
        writer_member_string(writer, "exe", holder->exe);
        writer_member_string(writer, "buildId", *holder->build_id ? holder->build_id : NULL);
        writer_member_string(writer, "cgroup", holder->path);
        writer_close(writer, '}');
}

static void write_holders(struct writer *writer, const struct object_record *record, const struct relations *relations)
{
        const struct holder *holders;
        size_t count;

        holders = relations_holders(relations, record->kind, record->id, &count);
        writer_open_member(writer, "holders", '[');
        for (size_t i = 0; i < count; i++) {
                writer_element(writer);
                write_holder(writer, &holders[i]);
        }
        writer_close(writer, ']');
}

static void write_pins(struct writer *writer, const struct object_record *record, const struct relations *relations)
{
        const struct pin *pins;
        size_t count;

        pins = relations_pins(relations, record->kind, record->id, &count);
        if (count == 0 && relations->pins_unseen) {
                writer_member_string(writer, "pins", NULL);
                return;
        }
        writer_open_member(writer, "pins", '[');
        for (size_t i = 0; i < count; i++) {
                writer_element(writer);
                writer_string(writer, pins[i].path);
        }
        writer_close(writer, ']');
}

/* The programs that use a map, or the maps that a program uses. */
static void write_uses(struct writer *writer, const struct object_record *record, const struct relations *relations)
{
        bool map = record->kind == OBJECT_MAP;
        const struct use_record *uses;
        size_t count;

        uses = map ? relations_programs(relations, record->id, &count) : relations_maps(relations, record->id, &count);
        writer_open_member(writer, map ? "usedBy" : "maps", '[');
        for (size_t i = 0; i < count; i++) {
                writer_element(writer);
                writer_integer(writer, map ? uses[i].program_id : uses[i].map_id);
        }
        writer_close(writer, ']');
}

void object_write(struct writer *writer, const struct object *object, const struct relations *relations)
{
        uint32_t asked = relations ? relations->asked : 0;

        writer_open(writer, '{');
        write_object(writer, object);
        if (asked & RELATION_HOLDERS)
                write_holders(writer, &object->record, relations);
        if (asked & RELATION_PINS)
                write_pins(writer, &object->record, relations);
        if (asked & RELATION_USES)
                write_uses(writer, &object->record, relations);
        writer_close(writer, '}');
}

static void cleanup_writer(struct writer *writer)
{
        writer_deinit(writer);
}

json_t *object_to_json(const struct object *object, const struct relations *relations)
{
        _cleanup_(cleanup_writer) struct writer writer = {};

        object_write(&writer, object, relations);
        return writer.error ? NULL : json_loadb(writer.text, writer.size, 0, NULL);
}

json_t *capability_to_json(const struct capability *capability)
{
        return json_pack("{ss sb ss ss}", "name", capability->name, "available", capability->available, "purpose",
                        capability->purpose, "reason", capability->reason);
}

/* Writes @json, which it takes over, in one line or indented, and a newline. */
static int write_json(json_t *json, bool pretty, FILE *file)
{
        size_t flags = pretty ? JSON_INDENT(8) : JSON_COMPACT;
        int r;

        if (!json)
                return -ENOMEM;
        r = json_dumpf(json, file, flags);
        json_decref(json);
        if (r < 0 || fputc('\n', file) == EOF || fflush(file) == EOF)
                return -EIO;
        return 0;
}

static json_t *capabilities_to_json(const struct capability *capabilities, size_t count)
{
        json_t *array = json_array();

        for (size_t i = 0; array && i < count; i++)
                if (json_array_append_new(array, capability_to_json(&capabilities[i])) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

/* The findings of @readiness about @facility, as an array. */
static json_t *findings_to_json(const struct readiness *readiness, size_t facility)
{
        json_t *array = json_array();

        for (size_t i = 0; array && i < readiness->count; i++) {
                const struct finding *finding = &readiness->findings[i];
                enum readiness_level level = finding->levels[facility];

                if (level == READINESS_FULL)
                        continue;
                if (json_array_append_new(
                                    array, json_pack("{ss ss ss ss ss}", "name", finding->name, "level",
                                                           readiness_level_names[level], "reason", finding->reason,
                                                           "action", finding->action, "remedy", finding->remedy)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

json_t *readiness_to_json(const struct readiness *readiness)
{
        json_t *array = json_array();

        for (size_t i = 0; array && i < FACILITIES; i++)
                if (json_array_append_new(array, json_pack("{ss ss so}", "name", facility_names[i], "level",
                                                                 readiness_level_names[readiness->levels[i]],
                                                                 "findings", findings_to_json(readiness, i))) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return json_pack("{ss so}", "level", readiness_level_names[readiness->level], "facilities", array);
}

/* --- Order -------------------------------------------------------------------------------------------------------- */

/* Largest first; a parent, which is never smaller, comes before its children. */
static int compare_cgroups(const void *a, const void *b)
{
        const struct cgroup *x = *(struct cgroup *const *) a, *y = *(struct cgroup *const *) b;

        if (x->total.allocated != y->total.allocated)
                return x->total.allocated < y->total.allocated ? 1 : -1;
        if (x->depth != y->depth)
                return x->depth > y->depth ? 1 : -1;
        return strcmp(x->path ?: "", y->path ?: "");
}

struct cgroup **sort_cgroups(const struct tree *tree)
{
        struct cgroup **cgroups = calloc(tree->count, sizeof(*cgroups)), *cgroup, *next;
        size_t n = 0;

        if (!cgroups)
                return NULL;
        HASH_ITER (hh, tree->by_id, cgroup, next)
                cgroups[n++] = cgroup;
        qsort(cgroups, n, sizeof(*cgroups), compare_cgroups);
        return cgroups;
}

static int compare_objects(const void *a, const void *b)
{
        const struct object *x = *(struct object *const *) a, *y = *(struct object *const *) b;

        if (x->record.allocated != y->record.allocated)
                return x->record.allocated < y->record.allocated ? 1 : -1;
        return (x->key > y->key) - (x->key < y->key);
}

struct object **sort_objects(const struct ledger *ledger)
{
        struct object **objects = calloc(ledger->count + 1, sizeof(*objects)), *object, *next;
        size_t n = 0;

        if (!objects)
                return NULL;
        HASH_ITER (hh, ledger->by_key, object, next)
                objects[n++] = object;
        qsort(objects, n, sizeof(*objects), compare_objects);
        return objects;
}

/* Everything, as {"cgroups":[…],"objects":[…],"capabilities":[…]}. Returns 0 or -ENOMEM. */
static int write_monitor(struct writer *writer, const struct monitor *monitor, const struct relations *relations)
{
        _cleanup_free_ struct cgroup **cgroups = sort_cgroups(&monitor->tree);
        _cleanup_free_ struct object **objects = sort_objects(&monitor->ledger);
        const struct capability *capabilities;
        size_t count;

        if (!cgroups || !objects)
                return -ENOMEM;
        capabilities = kernel_capabilities(monitor->kernel, &count);
        writer_open(writer, '{');
        writer_open_member(writer, "cgroups", '[');
        for (size_t i = 0; i < monitor->tree.count; i++) {
                writer_element(writer);
                writer_json(writer, cgroup_to_json(cgroups[i]));
        }
        writer_close(writer, ']');
        writer_open_member(writer, "objects", '[');
        for (size_t i = 0; i < monitor->ledger.count; i++) {
                writer_element(writer);
                object_write(writer, objects[i], relations);
        }
        writer_close(writer, ']');
        writer_key(writer, "capabilities");
        writer_json(writer, capabilities_to_json(capabilities, count));
        writer_close(writer, '}');
        return writer->error;
}

int report(const struct monitor *monitor, const struct relations *relations, bool pretty, FILE *file)
{
        _cleanup_(cleanup_writer) struct writer writer = {};
        int r = write_monitor(&writer, monitor, relations);

        if (r < 0)
                return r;
        if (pretty)
                return write_json(json_loadb(writer.text, writer.size, 0, NULL), true, file);
        if (fwrite(writer.text, 1, writer.size, file) != writer.size || fputc('\n', file) == EOF || fflush(file) == EOF)
                return -EIO;
        return 0;
}

int report_capabilities(const struct capability *capabilities, size_t count, bool pretty, FILE *file)
{
        return write_json(json_pack("{so}", "capabilities", capabilities_to_json(capabilities, count)), pretty, file);
}

int report_readiness(const struct readiness *readiness, bool pretty, FILE *file)
{
        return write_json(readiness_to_json(readiness), pretty, file);
}
