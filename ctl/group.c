/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/relation.h"
#include "field.h"

/* --- In which groups an object is --------------------------------------------------------------------------------- */

/* Adds a group's label to the set @labels. Returns 0 or -ENOMEM. */
static int add_label(json_t *labels, const char *label, size_t length)
{
        _cleanup_free_ char *copy = strndup(label, length);

        return !copy || json_object_set_new(labels, copy, json_true()) < 0 ? -ENOMEM : 0;
}

static int add_text(json_t *labels, const char *label)
{
        return add_label(labels, label, strlen(label));
}

static int label_cgroup(const json_t *object, const json_t *programs, json_t *labels)
{
        const char *cgroup = field_string(object, "cgroup");

        (void) programs;
        return add_text(labels, *cgroup ? cgroup : "(unknown)");
}

/* A map type and a program type can have the same name. */
static int label_type(const json_t *object, const json_t *programs, json_t *labels)
{
        _cleanup_free_ char *label = NULL;

        (void) programs;
        if (asprintf(&label, "%s %s", field_string(object, "kind"), field_string(object, "type")) < 0) {
                label = NULL;
                return -ENOMEM;
        }
        return add_text(labels, label);
}

/* Labels with the name up to the first separator; separators at the start belong to the name ("__data", ".rodata"). */
static int label_name_prefix(const json_t *object, const json_t *programs, json_t *labels)
{
        static const char separators[] = "_-.";
        const char *name = field_string(object, "name");
        size_t start = strspn(name, separators);

        (void) programs;
        return *name ? add_label(labels, name, start + strcspn(name + start, separators))
                     : add_text(labels, "(no name)");
}

static int label_pin_dirs(const json_t *object, const json_t *programs, json_t *labels)
{
        const json_t *pins = field_get(object, "pins");
        int r = 0;

        (void) programs;
        for (size_t i = 0; r == 0 && i < json_array_size(pins); i++) {
                const char *path = json_string_value(json_array_get(pins, i)) ?: "", *slash = strrchr(path, '/');

                r = add_label(labels, path, slash && slash > path ? (size_t) (slash - path) : strlen(path));
        }
        return r == 0 && json_object_size(labels) == 0 ? add_text(labels, "(no pin seen)") : r;
}

static int label_holders(const json_t *object, const json_t *programs, json_t *labels)
{
        const json_t *holders = field_get(object, "holders");
        int r = 0;

        (void) programs;
        for (size_t i = 0; r == 0 && i < json_array_size(holders); i++)
                r = add_text(labels, field_string(json_array_get(holders, i), "comm"));
        return r == 0 && json_object_size(labels) == 0 ? add_text(labels, "(no holder)") : r;
}

static int add_program(const json_t *programs, json_int_t id, json_t *labels)
{
        _cleanup_free_ char *label = NULL;
        const char *name;
        char key[24];

        snprintf(key, sizeof(key), "%lld", (long long) id);
        name = field_string(programs, key);
        if (asprintf(&label, "%s%s%s", key, *name ? " " : "", name) < 0) {
                label = NULL;
                return -ENOMEM;
        }
        return add_text(labels, label);
}

static int label_programs(const json_t *object, const json_t *programs, json_t *labels)
{
        const json_t *used_by = field_get(object, "usedBy");
        int r = 0;

        if (strcmp(field_string(object, "kind"), "program") == 0)
                return add_program(programs, field_integer(object, "id"), labels);
        for (size_t i = 0; r == 0 && i < json_array_size(used_by); i++)
                r = add_program(programs, json_integer_value(json_array_get(used_by, i)), labels);
        return r == 0 && json_object_size(labels) == 0 ? add_text(labels, "(no program)") : r;
}

static const struct {
        const char *name;
        uint32_t relations;
        int (*label)(const json_t *object, const json_t *programs, json_t *labels);
} groupings[] = {
        [GROUP_CGROUP] = { "cgroup", 0, label_cgroup },
        [GROUP_TYPE] = { "type", 0, label_type },
        [GROUP_NAME_PREFIX] = { "name-prefix", 0, label_name_prefix },
        [GROUP_PIN_DIR] = { "pin-dir", RELATION_PINS, label_pin_dirs },
        [GROUP_HOLDER] = { "holder", RELATION_HOLDERS, label_holders },
        [GROUP_PROGRAM] = { "program", RELATION_USES, label_programs },
};

int grouping_from_name(const char *name)
{
        for (int i = GROUP_NONE + 1; i < GROUPINGS; i++)
                if (strcmp(groupings[i].name, name) == 0)
                        return i;
        return -EINVAL;
}

uint32_t grouping_relations(enum grouping grouping)
{
        return groupings[grouping].relations;
}

/* --- Sums --------------------------------------------------------------------------------------------------------- */

static int add_to(json_t *group, const char *key, uint64_t value)
{
        return json_object_set_new(group, key, json_integer(field_integer(group, key) + value)) < 0 ? -ENOMEM : 0;
}

static json_t *new_group(const char *label)
{
        return json_pack("{ss sI sI sI sI sI sI sI}", "group", label, "objects", (json_int_t) 0, "maps", (json_int_t) 0,
                        "programs", (json_int_t) 0, "allocated", (json_int_t) 0, "charged", (json_int_t) 0, "uncharged",
                        (json_int_t) 0, "shared", (json_int_t) 0);
}

static int book(json_t *group, const json_t *object, bool shared)
{
        static const char *const sums[] = { "allocated", "charged", "uncharged" };
        int r = add_to(group, "objects", 1);

        if (r == 0)
                r = add_to(group, strcmp(field_string(object, "kind"), "map") == 0 ? "maps" : "programs", 1);
        for (size_t i = 0; r == 0 && i < sizeof(sums) / sizeof(sums[0]); i++)
                r = add_to(group, sums[i], field_integer(object, sums[i]));
        return r == 0 && shared ? add_to(group, "shared", field_integer(object, "allocated")) : r;
}

/* Adds @object to each of the groups @labels, and adds missing groups to @groups. */
static int book_in_groups(json_t *groups, json_t *labels, const json_t *object)
{
        bool shared = json_object_size(labels) > 1;
        const char *label;
        json_t *ignored;
        int r = 0;

        json_object_foreach(labels, label, ignored)
        {
                json_t *group = json_object_get(groups, label);

                if (!group) {
                        group = new_group(label);
                        if (json_object_set_new(groups, label, group) < 0)
                                return -ENOMEM;
                }
                r = book(group, object, shared);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The names of the programs among @objects, by id. NULL: no memory. */
static json_t *index_programs(const json_t *objects)
{
        json_t *programs = json_object();
        char key[24];

        for (size_t i = 0; programs && i < json_array_size(objects); i++) {
                const json_t *object = json_array_get(objects, i);

                if (strcmp(field_string(object, "kind"), "program") != 0)
                        continue;
                snprintf(key, sizeof(key), "%llu", (unsigned long long) field_integer(object, "id"));
                if (json_object_set_new(programs, key, json_string(field_string(object, "name"))) < 0) {
                        json_decref(programs);
                        return NULL;
                }
        }
        return programs;
}

json_t *group_objects(const json_t *objects, enum grouping grouping)
{
        json_t *groups = json_object(), *list = json_array(), *programs = index_programs(objects), *group;
        const char *label;
        int r = groups && list && programs ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < json_array_size(objects); i++) {
                json_t *labels = json_object(), *object = json_array_get(objects, i);

                r = labels ? groupings[grouping].label(object, programs, labels) : -ENOMEM;
                if (r == 0)
                        r = book_in_groups(groups, labels, object);
                json_decref(labels);
        }
        json_object_foreach(groups, label, group) if (r == 0 && json_array_append(list, group) < 0) r = -ENOMEM;
        if (r == 0)
                r = field_sort(list, "allocated", true);
        json_decref(groups);
        json_decref(programs);
        if (r < 0) {
                json_decref(list);
                return NULL;
        }
        return list;
}
