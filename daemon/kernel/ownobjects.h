/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The maps and programs that are the daemon's own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_object;

/* Private to ownobjects.c. */
struct own_objects {
        uint64_t *keys; /* kind and id, sorted */
        size_t count;
};

/* Adds the maps and programs of @object that are loaded. Returns 0 or a negative errno. */
int own_objects_add(struct own_objects *own, const struct bpf_object *object);
/* The @i-th: its kind, enum object_kind, and its id. Returns false if there are not so many. */
bool own_objects_get(const struct own_objects *own, size_t i, uint32_t *kind, uint32_t *id);
bool own_objects_has(const struct own_objects *own, uint32_t kind, uint32_t id);
void own_objects_deinit(struct own_objects *own);
