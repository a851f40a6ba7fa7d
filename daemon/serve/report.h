/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon knows, as JSON. All sizes are bytes. ctl/ makes tables of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "account/ledger.h"
#include "account/monitor.h"
#include "account/relations.h"
#include "account/tree.h"
#include "enforce/readiness.h"
#include "kernel/capability.h"
#include "policy/config.h"
#include "serve/writer.h"

/* New references, or NULL if there is no memory. io.bpfbudget(7) describes their fields. */
json_t *cgroup_to_json(const struct cgroup *cgroup);
/* @runtime: it was set at run time; @cgroups: the number of cgroups to which it applies. */
json_t *budget_to_json(const struct budget *budget, bool runtime, size_t cgroups);
/* Null for BUDGET_INFINITY. */
json_t *limit_to_json(uint64_t limit);
/* With the @relations that were asked for; NULL: none. */
json_t *object_to_json(const struct object *object, const struct relations *relations);
json_t *capability_to_json(const struct capability *capability);
json_t *readiness_to_json(const struct readiness *readiness);

/* The same as object_to_json() as text. */
void object_write(struct writer *writer, const struct object *object, const struct relations *relations);

/* Its member "creator", null if that is NULL. */
void object_write_creator(struct writer *writer, const struct creator *creator);

/* All of @tree or @ledger, largest first, a parent before its children; to be freed. NULL: no memory. */
struct cgroup **sort_cgroups(const struct tree *tree);
struct object **sort_objects(const struct ledger *ledger);

/*
 * Writes one document with cgroups, objects with @relations (NULL: none) and capabilities, largest first: in one line,
 * or indented if @pretty. Returns 0 or a negative errno.
 */
int report(const struct monitor *monitor, const struct relations *relations, bool pretty, FILE *file);

/* Writes the capabilities the same way. Returns 0 or a negative errno. */
int report_capabilities(const struct capability *capabilities, size_t count, bool pretty, FILE *file);

/* Writes @readiness the same way. Returns 0 or a negative errno. */
int report_readiness(const struct readiness *readiness, bool pretty, FILE *file);

/* The size of a buffer for the name of an unknown type. */
#define TYPE_NAME_MAX 16

/* The name of a map or program type, "type-N" if it has none yet. Returns @buffer or a constant. */
const char *object_type_name(const struct object_record *record, char buffer[TYPE_NAME_MAX]);

/* Whether an object of @kind (0: any) can have the type @name, as object_type_name() has it. */
bool is_object_type(uint32_t kind, const char *name);
