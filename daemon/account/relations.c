/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/relations.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "account/bpffs.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"

/* --- Order -------------------------------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

static uint64_t object_key(uint32_t kind, uint32_t id)
{
        return (uint64_t) kind << 32 | id;
}

static int compare_holders(const void *a, const void *b)
{
        const struct holder_record *x = &((const struct holder *) a)->record, *y = &((const struct holder *) b)->record;

        return compare_numbers(object_key(x->kind, x->id), object_key(y->kind, y->id))
                               ?: compare_numbers(x->pid, y->pid);
}

static int compare_pins(const void *a, const void *b)
{
        const struct pin *x = a, *y = b;

        return compare_numbers(object_key(x->kind, x->id), object_key(y->kind, y->id)) ?: strcmp(x->path, y->path);
}

static int compare_uses(const void *a, const void *b)
{
        const struct use_record *x = a, *y = b;

        return compare_numbers(x->program_id, y->program_id) ?: compare_numbers(x->map_id, y->map_id);
}

static int compare_used(const void *a, const void *b)
{
        const struct use_record *x = a, *y = b;

        return compare_numbers(x->map_id, y->map_id) ?: compare_numbers(x->program_id, y->program_id);
}

static void free_holder(void *element)
{
        struct holder *holder = element;

        free(holder->exe);
        free(holder->path);
}

static void free_pin(void *element)
{
        free(((struct pin *) element)->path);
}

static int compare_links(const void *a, const void *b)
{
        return compare_numbers(((const struct link *) a)->id, ((const struct link *) b)->id);
}

static void free_link(void *element)
{
        link_deinit(element);
}

static void free_nothing(void *element)
{
        (void) element;
}

/* Sorts the @count elements of @list and drops what is there twice. Returns how many are left. */
static size_t sort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *),
                void (*drop)(void *element))
{
        char *elements = list;
        size_t left = 0;

        if (count == 0)
                return 0;
        qsort(elements, count, size, compare);
        for (size_t i = 1; i < count; i++) {
                if (compare(elements + left * size, elements + i * size) == 0) {
                        drop(elements + i * size);
                        continue;
                }
                left++;
                if (left != i)
                        memcpy(elements + left * size, elements + i * size, size);
        }
        return left + 1;
}

void relations_sort(struct relations *relations)
{
        size_t uses = relations->use_count;

        relations->holder_count = sort(relations->holders, relations->holder_count, sizeof(*relations->holders),
                        compare_holders, free_holder);
        relations->pin_count = sort(
                        relations->pins, relations->pin_count, sizeof(*relations->pins), compare_pins, free_pin);
        relations->link_count = sort(
                        relations->links, relations->link_count, sizeof(*relations->links), compare_links, free_link);
        relations->use_count = sort(relations->uses, uses, sizeof(*relations->uses), compare_uses, free_nothing);
        sort(relations->used, uses, sizeof(*relations->used), compare_used, free_nothing);
}

/* --- Look-up ------------------------------------------------------------------------------------------------------ */

typedef uint64_t (*key_t_of)(const void *element);

static uint64_t key_of_holder(const void *element)
{
        const struct holder *holder = element;

        return object_key(holder->record.kind, holder->record.id);
}

static uint64_t key_of_pin(const void *element)
{
        const struct pin *pin = element;

        return object_key(pin->kind, pin->id);
}

static uint64_t key_of_program(const void *element)
{
        return ((const struct use_record *) element)->program_id;
}

static uint64_t key_of_map(const void *element)
{
        return ((const struct use_record *) element)->map_id;
}

/* The first of the @n sorted elements of @list whose key is not less than @key. */
static size_t lower_bound(const char *list, size_t n, size_t size, key_t_of key_of, uint64_t key)
{
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (key_of(list + middle * size) < key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static const void *find(const void *list, size_t n, size_t size, key_t_of key_of, uint64_t key, size_t *count)
{
        size_t first = lower_bound(list, n, size, key_of, key);

        *count = lower_bound(list, n, size, key_of, key + 1) - first;
        return *count ? (const char *) list + first * size : NULL;
}

const struct holder *relations_holders(const struct relations *relations, uint32_t kind, uint32_t id, size_t *count)
{
        return find(relations->holders, relations->holder_count, sizeof(*relations->holders), key_of_holder,
                        object_key(kind, id), count);
}

const struct pin *relations_pins(const struct relations *relations, uint32_t kind, uint32_t id, size_t *count)
{
        return find(relations->pins, relations->pin_count, sizeof(*relations->pins), key_of_pin, object_key(kind, id),
                        count);
}

static uint64_t key_of_link(const void *element)
{
        return ((const struct link *) element)->id;
}

const struct link *relations_link(const struct relations *relations, uint32_t id)
{
        size_t count;

        return find(relations->links, relations->link_count, sizeof(*relations->links), key_of_link, id, &count);
}

const struct use_record *relations_maps(const struct relations *relations, uint32_t id, size_t *count)
{
        return find(relations->uses, relations->use_count, sizeof(*relations->uses), key_of_program, id, count);
}

const struct use_record *relations_programs(const struct relations *relations, uint32_t id, size_t *count)
{
        return find(relations->used, relations->use_count, sizeof(*relations->used), key_of_map, id, count);
}

/* --- Holders ------------------------------------------------------------------------------------------------------ */

static int add_holder(void *context, const void *data)
{
        const struct holder_record *record = data;
        struct relations *relations = context;
        struct holder *holder = array_grow(relations->holders, relations->holder_count, sizeof(*holder));

        if (!holder)
                return -ENOMEM;
        relations->holders = holder;
        holder += relations->holder_count++;
        *holder = (struct holder){ .record = *record };
        holder->record.comm[sizeof(holder->record.comm) - 1] = '\0';
        return 0;
}

static int compare_processes(const void *a, const void *b)
{
        const struct holder *x = a, *y = b;

        return compare_numbers(x->record.pid, y->record.pid);
}

/* Asks /proc about each process once. One that has ended meanwhile keeps what the kernel told. */
static int identify_holders(struct relations *relations, struct tree *tree)
{
        /* qsort() takes no NULL, which the list is as long as there is nothing in it. */
        if (relations->holder_count > 0)
                qsort(relations->holders, relations->holder_count, sizeof(*relations->holders), compare_processes);
        for (size_t i = 0; i < relations->holder_count; i++) {
                struct holder *holder = &relations->holders[i];
                struct cgroup *cgroup;
                int r;

                r = tree_get(tree, holder->record.cgroup_id, &cgroup);
                if (r < 0)
                        return r;
                holder->cgroup = cgroup;
                if (cgroup->path && !(holder->path = strdup(cgroup->path)))
                        return -ENOMEM;
                if (i == 0 || holder[-1].record.pid != holder->record.pid) {
                        holder->exe = read_exe(holder->record.pid);
                        read_build_id(holder->record.pid, holder->build_id);
                        continue;
                }
                memcpy(holder->build_id, holder[-1].build_id, sizeof(holder->build_id));
                if (holder[-1].exe && !(holder->exe = strdup(holder[-1].exe)))
                        return -ENOMEM;
        }
        return 0;
}

/* --- Uses --------------------------------------------------------------------------------------------------------- */

static int add_use(void *context, const void *data)
{
        const struct use_record *record = data;
        struct relations *relations = context;
        struct use_record *uses, *used;

        uses = array_grow(relations->uses, relations->use_count, sizeof(*uses));
        if (!uses)
                return -ENOMEM;
        relations->uses = uses;
        used = array_grow(relations->used, relations->use_count, sizeof(*used));
        if (!used)
                return -ENOMEM;
        relations->used = used;
        uses[relations->use_count] = used[relations->use_count] = *record;
        relations->use_count++;
        return 0;
}

/* --- Pins --------------------------------------------------------------------------------------------------------- */

uint32_t relations_kind_of_fd(int fd)
{
        char path[64], target[64] = "";

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof(target) - 1) < 0)
                return 0;
        return strcmp(target, "anon_inode:bpf-map") == 0    ? OBJECT_MAP
               : strcmp(target, "anon_inode:bpf-prog") == 0 ? OBJECT_PROGRAM
                                                            : OBJECT_LINK;
}

/* A file that a walk has come to. */
struct place {
        const char *path;
        uint64_t device, inode;
};

#define LINK_SUFFIX " (link)"

/* Notes that the file at @place keeps the object: a link that is pinned there, if @by_link. */
static int note_pin(struct relations *relations, uint32_t kind, uint32_t id, const struct place *place, bool by_link)
{
        struct pin *pins = array_grow(relations->pins, relations->pin_count, sizeof(*pins));
        char *text;

        if (!pins)
                return -ENOMEM;
        relations->pins = pins;
        if (asprintf(&text, "%s%s", place->path, by_link ? LINK_SUFFIX : "") < 0)
                return -ENOMEM;
        pins[relations->pin_count++] = (struct pin){ kind, id, text, place->device, place->inode, by_link };
        return 0;
}

/* No program uses more (include/linux/bpf_verifier.h, MAX_USED_MAPS). */
#define USED_MAPS_MAX 64

/* The pinned link at @place keeps the program @id, and that its maps. */
static int note_program_of_link(struct relations *relations, uint32_t id, const struct place *place)
{
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
        uint32_t maps[USED_MAPS_MAX] = {}, size;
        struct bpf_prog_info info = { .nr_map_ids = USED_MAPS_MAX, .map_ids = (uintptr_t) maps };
        int r = note_pin(relations, OBJECT_PROGRAM, id, place, true);

        size = sizeof(info);
        if (r < 0 || fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return r;
        for (uint32_t i = 0; r == 0 && i < MIN(info.nr_map_ids, USED_MAPS_MAX); i++)
                r = note_pin(relations, OBJECT_MAP, maps[i], place, true);
        return r;
}

/* Keeps what the link @fd is. *@link is in the list, and valid until the next one comes. */
static int take_link(struct relations *relations, int fd, const struct link **link)
{
        struct link *links = array_grow(relations->links, relations->link_count, sizeof(*links));
        int r;

        *link = NULL;
        if (!links)
                return -ENOMEM;
        relations->links = links;
        r = link_read(fd, relations->cgroupfs, &links[relations->link_count]);
        if (r == 0)
                *link = &links[relations->link_count++];
        return 0;
}

/* Notes the link @fd, pinned at @place, and what it keeps. */
static int add_link(struct relations *relations, int fd, const struct place *place)
{
        const struct link *link;
        int r = take_link(relations, fd, &link);

        if (r < 0 || !link)
                return r;
        r = note_pin(relations, OBJECT_LINK, link->id, place, false);
        if (r < 0)
                return r;
        if (link->map_id)
                return note_pin(relations, OBJECT_MAP, link->map_id, place, true);
        return link->program_id ? note_program_of_link(relations, link->program_id, place) : 0;
}

/* Notes the file at @place if it is a pinned map, program or link. */
static int add_pin(struct relations *relations, const struct place *place)
{
        /* The heads of struct bpf_map_info and struct bpf_prog_info. */
        struct {
                uint32_t type, id;
        } info = {};
        _cleanup_close_ int fd = bpf_obj_get(place->path);
        uint32_t kind = fd < 0 ? 0 : relations_kind_of_fd(fd), size = sizeof(info);

        if (kind == OBJECT_LINK)
                return add_link(relations, fd, place);
        if (!kind || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return 0;
        return note_pin(relations, kind, info.id, place, false);
}

/* Where a walk is. */
struct walk {
        struct relations *relations;
        unsigned int files; /* seen so far */
        dev_t device;       /* of the file system: no other one that is mounted below is entered */
};

static int walk_directory(struct walk *walk, const char *path, unsigned int depth);

static int walk_entry(struct walk *walk, const char *directory, const struct dirent *entry, unsigned int depth)
{
        _cleanup_free_ char *path = NULL;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                return 0;
        if (entry->d_type != DT_DIR && entry->d_type != DT_REG)
                return 0;
        if (++walk->files > PINS_FILES_MAX) {
                if (walk->files == PINS_FILES_MAX + 1)
                        log_warning("%s: more than %u files: the rest is not searched for pins", directory,
                                        PINS_FILES_MAX);
                walk->relations->pins_unseen = true;
                return 0;
        }
        if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (entry->d_type == DT_DIR)
                return walk_directory(walk, path, depth + 1);
        return add_pin(walk->relations, &(struct place){ path, walk->device, entry->d_ino });
}

static int walk_directory(struct walk *walk, const char *path, unsigned int depth)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
        _cleanup_closedir_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;
        struct stat st;

        /* Removed meanwhile, or not for us to read. */
        if (!directory) {
                if (fd >= 0)
                        close(fd);
                walk->relations->pins_unseen |= errno == EACCES;
                return errno == ENOMEM ? -ENOMEM : 0;
        }
        if (depth > PINS_DEPTH_MAX) {
                log_warning("%s: deeper than %u directories: not searched for pins", path, PINS_DEPTH_MAX);
                walk->relations->pins_unseen = true;
                return 0;
        }
        if (fstat(fd, &st) < 0 || (depth > 0 && st.st_dev != walk->device))
                return 0;
        walk->device = st.st_dev;
        while (r == 0 && (entry = readdir(directory)))
                r = walk_entry(walk, path, entry, depth);
        return r;
}

/* Walks all bpffs mounts of this mount namespace. */
static int read_pins(struct relations *relations)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        struct mntent entry;
        char buffer[8192];
        int r = 0;

        if (!mounts)
                return -errno;
        while (r == 0 && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
                struct walk walk = { .relations = relations };

                if (strcmp(entry.mnt_type, "bpf") == 0)
                        r = walk_directory(&walk, entry.mnt_dir, 0);
        }
        endmntent(mounts);
        /* That looks at every process: only if it makes a difference. */
        relations->pins_unseen = relations->pins_unseen || bpffs_may_be_elsewhere();
        return r;
}

/* --- All together ------------------------------------------------------------------------------------------------- */

static int read_holders(struct relations *relations, struct kernel *kernel, struct tree *tree)
{
        int r = kernel_read_holders(kernel, add_holder, relations);

        return r < 0 ? r : identify_holders(relations, tree);
}

int relations_read(struct relations *relations, struct kernel *kernel, struct tree *tree, uint32_t asked)
{
        return relations_read_named(relations, kernel, tree, NULL, asked);
}

int relations_read_named(struct relations *relations, struct kernel *kernel, struct tree *tree,
                const struct cgroupfs *cgroupfs, uint32_t asked)
{
        int r = 0;

        *relations = (struct relations){ .asked = asked, .cgroupfs = cgroupfs };
        /* Before the pins: they are opened, and would be held by this process. */
        if (asked & RELATION_HOLDERS) {
                r = read_holders(relations, kernel, tree);
                if (r < 0)
                        log_error("The pass over all open files failed: %s", strerror(-r));
        }
        if (r == 0 && asked & RELATION_USES) {
                r = kernel_read_uses(kernel, add_use, relations);
                if (r < 0)
                        log_error("The pass over the maps of all programs failed: %s", strerror(-r));
        }
        if (r == 0 && asked & RELATION_PINS) {
                r = read_pins(relations);
                if (r < 0)
                        log_error("The bpffs mounts cannot be searched: %s", strerror(-r));
        }
        relations_sort(relations);
        return r;
}

size_t relations_size(const struct relations *relations)
{
        size_t size = malloc_usable_size(relations->holders) + malloc_usable_size(relations->pins) +
                      malloc_usable_size(relations->uses) + malloc_usable_size(relations->used) +
                      malloc_usable_size(relations->links);

        for (size_t i = 0; i < relations->holder_count; i++)
                size += malloc_usable_size(relations->holders[i].exe) + malloc_usable_size(relations->holders[i].path);
        for (size_t i = 0; i < relations->pin_count; i++)
                size += malloc_usable_size(relations->pins[i].path);
        return size;
}

void relations_deinit(struct relations *relations)
{
        for (size_t i = 0; i < relations->holder_count; i++)
                free_holder(&relations->holders[i]);
        for (size_t i = 0; i < relations->pin_count; i++)
                free_pin(&relations->pins[i]);
        free(relations->holders);
        free(relations->pins);
        free(relations->uses);
        free(relations->used);
        for (size_t i = 0; i < relations->link_count; i++)
                link_deinit(&relations->links[i]);
        free(relations->links);
        *relations = (struct relations){};
}
