/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/coretypes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fileio.h"
#include "base/uthash-nonfatal.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* A type of the object by its name without flavour, which is part of the object's BTF. */
struct name {
        UT_hash_handle hh;
};

/* What is taken over, in the order of the new ids. */
struct subset {
        const struct btf *kernel;
        struct btf *taken;
        uint32_t *ids;   /* by the kernel's id: the new one, or 0 */
        uint32_t *queue; /* the kernel's ids */
        size_t count;
};

int core_types_open(char path[static CORE_TYPES_PATH_MAX])
{
        int fd = memfd_create("core-types", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

        /* Before 6.3 there is no such flag; since then vm.memfd_noexec may demand it. */
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create("core-types", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        snprintf(path, CORE_TYPES_PATH_MAX, "/proc/self/fd/%d", fd);
        return fd;
}

/* Whether a relocation can refer to a type such as @type directly, not only to a type that contains it. */
static bool can_be_named(const struct btf_type *type)
{
        return btf_is_composite(type) || btf_is_any_enum(type) || btf_is_typedef(type) || btf_is_int(type);
}

/* The new id of the type @id of the kernel's BTF, which is copied if necessary. void stays void. */
static uint32_t take(struct subset *subset, uint32_t id)
{
        if (id != 0 && subset->ids[id] == 0) {
                subset->queue[subset->count++] = id;
                subset->ids[id] = subset->count;
        }
        return subset->ids[id];
}

/* Replaces the kernel's ids in @type, a copy, by new ones, and copies the types that they refer to. */
static void redirect(struct subset *subset, struct btf_type *type)
{
        struct btf_member *members = btf_members(type);

        if (btf_is_ptr(type)) {
                type->type = 0;
        } else if (btf_is_mod(type) || btf_is_typedef(type)) {
                type->type = take(subset, type->type);
        } else if (btf_is_array(type)) {
                btf_array(type)->type = take(subset, btf_array(type)->type);
                btf_array(type)->index_type = take(subset, btf_array(type)->index_type);
        } else if (btf_is_composite(type)) {
                for (size_t i = 0; i < btf_vlen(type); i++)
                        members[i].type = take(subset, members[i].type);
        }
}

/* Takes over all types that have a name which is in @names. */
static int take_named(struct subset *subset, struct name *names)
{
        uint32_t count = btf__type_cnt(subset->kernel);

        for (uint32_t id = 1; id < count; id++) {
                const struct btf_type *type = btf__type_by_id(subset->kernel, id);
                const char *text = btf__name_by_offset(subset->kernel, type->name_off);
                struct name *name;

                if (!can_be_named(type) || !text)
                        continue;
                HASH_FIND(hh, names, text, strlen(text), name);
                if (name)
                        take(subset, id);
        }
        /* Copying a type may add more types to copy. */
        for (size_t i = 0; i < subset->count; i++) {
                int id = btf__add_type(
                                subset->taken, subset->kernel, btf__type_by_id(subset->kernel, subset->queue[i]));

                if (id < 0)
                        return id;
                redirect(subset, (struct btf_type *) btf__type_by_id(subset->taken, id));
        }
        return 0;
}

/* Adds the names of @object to *@names, with an element of @room for each. */
static int add_names(const struct btf *object, struct name *room, struct name **names)
{
        uint32_t count = btf__type_cnt(object);

        for (uint32_t id = 1; id < count; id++) {
                const struct btf_type *type = btf__type_by_id(object, id);
                const char *text = btf__name_by_offset(object, type->name_off), *flavour;
                struct name *name;
                size_t length;

                if (!can_be_named(type) || !text || !*text)
                        continue;
                flavour = strstr(text, "___");
                length = flavour ? (size_t) (flavour - text) : strlen(text);
                HASH_FIND(hh, *names, text, length, name);
                if (name)
                        continue;
                name = &room[id];
                HASH_ADD_KEYPTR(hh, *names, text, length, name);
                if (!HASH_ADDED(name))
                        return -ENOMEM;
        }
        return 0;
}

int core_types_write(int fd, const struct btf *kernel, const struct btf *object)
{
        uint32_t count = btf__type_cnt(kernel), size;
        _cleanup_free_ uint32_t *ids = calloc(count, sizeof(*ids)), *queue = calloc(count, sizeof(*queue));
        _cleanup_free_ struct name *room = calloc(btf__type_cnt(object), sizeof(*room));
        struct subset subset = { .kernel = kernel, .ids = ids, .queue = queue };
        struct name *names = NULL;
        const void *data;
        int r;

        if (!ids || !queue || !room)
                return -ENOMEM;
        subset.taken = btf__new_empty();
        if (!subset.taken)
                return -errno;
        r = add_names(object, room, &names);
        if (r == 0)
                r = take_named(&subset, names);
        if (r == 0) {
                data = btf__raw_data(subset.taken, &size);
                r = data ? write_all(fd, data, size) : -ENOMEM;
        }
        HASH_CLEAR(hh, names);
        btf__free(subset.taken);
        return r;
}
