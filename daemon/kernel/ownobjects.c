/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/ownobjects.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/array.h"
#include "bpf/records.h"

static uint64_t make_key(uint32_t kind, uint32_t id)
{
        return (uint64_t) kind << 32 | id;
}

static int compare_keys(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* Adds the map or program behind @fd, if it is loaded. */
static int add(struct own_objects *own, uint32_t kind, int fd)
{
        /* The heads of struct bpf_map_info and struct bpf_prog_info. */
        struct {
                uint32_t type, id;
        } info = {};
        uint32_t size = sizeof(info);
        uint64_t *keys;

        if (fd < 0)
                return 0;
        if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        keys = array_grow(own->keys, own->count, sizeof(*keys));
        if (!keys)
                return -ENOMEM;
        own->keys = keys;
        own->keys[own->count++] = make_key(kind, info.id);
        return 0;
}

int own_objects_add(struct own_objects *own, const struct bpf_object *object)
{
        struct bpf_program *program;
        struct bpf_map *map;
        int r = 0;

        bpf_object__for_each_map (map, object)
                if (r == 0)
                        r = add(own, OBJECT_MAP, bpf_map__fd(map));
        bpf_object__for_each_program (program, object)
                if (r == 0)
                        r = add(own, OBJECT_PROGRAM, bpf_program__fd(program));
        if (own->count > 0)
                qsort(own->keys, own->count, sizeof(*own->keys), compare_keys);
        return r;
}

bool own_objects_get(const struct own_objects *own, size_t i, uint32_t *kind, uint32_t *id)
{
        if (i >= own->count)
                return false;
        *kind = own->keys[i] >> 32;
        *id = own->keys[i];
        return true;
}

bool own_objects_has(const struct own_objects *own, uint32_t kind, uint32_t id)
{
        uint64_t key = make_key(kind, id);

        return own->count > 0 && bsearch(&key, own->keys, own->count, sizeof(key), compare_keys);
}

void own_objects_deinit(struct own_objects *own)
{
        free(own->keys);
        *own = (struct own_objects){};
}
