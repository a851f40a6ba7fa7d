/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historysample.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include <linux/bpf.h>

/* Maps of one name and type in one cgroup of a workload. */
struct sample {
        const struct history_member *member;
        uint32_t type;
        char name[OBJECT_NAME_SIZE];
        uint64_t bytes;
};

static bool is_percpu(const struct object_record *record)
{
        return record->kind == OBJECT_MAP &&
               (record->type == BPF_MAP_TYPE_PERCPU_ARRAY || record->type == BPF_MAP_TYPE_PERCPU_HASH ||
                               record->type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
                               record->type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
}

/* The bytes of a map that exist once for each possible CPU: its values (kernel/bpf/arraymap.c, hashtab.c). */
static uint64_t percpu_bytes(const struct object_record *record, uint32_t cpus)
{
        uint64_t value = (record->value_size + 7ULL) / 8 * 8, entries = record->max_entries;

        if (!is_percpu(record))
                return 0;
        if (record->type != BPF_MAP_TYPE_PERCPU_ARRAY && record->flags & BPF_F_NO_PREALLOC)
                entries = MIN(entries, record->entries);
        return MIN(record->allocated, value * entries * cpus);
}

/* Adds @object to the workloads that contain it. Returns the innermost one; NULL: there is none. */
static const struct history_member *add_object(const struct history *history, const struct object *object)
{
        const struct object_record *record = &object->record;
        uint64_t percpu = percpu_bytes(record, history->options.cpus);
        const struct history_member *innermost = NULL;

        for (const struct cgroup *cgroup = object->cgroup; cgroup; cgroup = cgroup->parent) {
                struct history_member *member = history_member(history, cgroup->id);

                if (!member)
                        continue;
                member->facts.percpu += percpu;
                member->facts.largest = MAX(member->facts.largest, record->allocated);
                if (!innermost)
                        innermost = member;
        }
        return innermost;
}

static int compare_samples(const void *a, const void *b)
{
        const struct sample *x = a, *y = b;

        if (x->member != y->member)
                return x->member < y->member ? -1 : 1;
        if (x->type != y->type)
                return x->type < y->type ? -1 : 1;
        return memcmp(x->name, y->name, sizeof(x->name));
}

/* The largest cgroup of @entry, which represents it. */
static const struct history_member *largest_member(const struct history_entry *entry)
{
        const struct history_member *largest = entry->members;

        for (const struct history_member *member = entry->members; member; member = member->next)
                if (member->level > largest->level)
                        largest = member;
        return largest;
}

/*
 * The map of @entry for @sample: an existing one, or one that replaces a smaller one; NULL: it is not among the
 * largest.
 */
static struct history_map *find_map(
                const struct history *history, struct history_entry *entry, const struct sample *sample)
{
        struct history_map *smallest = &entry->maps[0];

        for (size_t i = 0; i < entry->map_count; i++) {
                struct history_map *map = &entry->maps[i];

                if (map->type == sample->type && strncmp(map->name, sample->name, OBJECT_NAME_SIZE) == 0)
                        return map;
                if (map->level < smallest->level)
                        smallest = map;
        }
        if (entry->map_count < HISTORY_MAPS)
                smallest = &entry->maps[entry->map_count++];
        else if (sample->bytes <= smallest->level)
                return NULL;
        *smallest = (struct history_map){ .type = sample->type };
        memcpy(smallest->name, sample->name, OBJECT_NAME_SIZE);
        if (!history->sampled)
                smallest->initial = smallest->before = sample->bytes;
        /* Write it even if its size has not changed, because the database does not have it yet. */
        smallest->dirty = true;
        return smallest;
}

static void take_sample(const struct history *history, const struct sample *sample)
{
        struct history_entry *entry = sample->member->entry;
        struct history_map *map;

        if (sample->member != largest_member(entry))
                return;
        map = find_map(history, entry, sample);
        if (!map)
                return;
        map->present = true;
        map->dirty |= map->level != sample->bytes;
        map->level = sample->bytes;
}

/* Sorts @samples, sums up those with the same name, and takes the sums. */
static void take_samples(const struct history *history, struct sample *samples, size_t count)
{
        qsort(samples, count, sizeof(*samples), compare_samples);
        for (size_t i = 0, next; i < count; i = next) {
                for (next = i + 1; next < count && compare_samples(&samples[i], &samples[next]) == 0; next++)
                        samples[i].bytes += samples[next].bytes;
                take_sample(history, &samples[i]);
        }
}

static void begin(struct history *history)
{
        struct history_member *member, *next_member;
        struct history_entry *entry, *next_entry;

        HASH_ITER (hh, history->members, member, next_member) {
                const struct cgroup *cgroup = tree_find(history->options.tree, member->id);

                member->facts = (struct history_facts){
                        .allocated = member->level,
                        .ceiling = cgroup ? cgroup->total.committed : 0,
                        .unbounded = cgroup ? cgroup->total.unbounded_count : 0,
                };
        }
        HASH_ITER (hh, history->entries, entry, next_entry)
                for (size_t i = 0; i < entry->map_count; i++)
                        entry->maps[i].present = false;
}

static void end(struct history *history)
{
        struct history_entry *entry, *next;

        HASH_ITER (hh, history->entries, entry, next) {
                const struct history_member *largest = largest_member(entry);

                if (largest) {
                        uint64_t before = entry->facts.largest;

                        entry->facts = largest->facts;
                        entry->facts.largest = MAX(before, entry->facts.largest);
                }
                for (size_t i = 0; i < entry->map_count; i++) {
                        struct history_map *map = &entry->maps[i];

                        map->dirty |= !map->present && map->level > 0;
                        if (!map->present)
                                map->level = 0;
                }
        }
        history->sampled = true;
}

void history_sample(struct history *history)
{
        struct sample *samples = calloc(history->options.ledger->count + 1, sizeof(*samples));
        const struct object *object, *next;
        size_t count = 0;

        begin(history);
        HASH_ITER (hh, history->options.ledger->by_key, object, next) {
                const struct history_member *member = add_object(history, object);

                if (!member || !samples || object->record.kind != OBJECT_MAP)
                        continue;
                samples[count] = (struct sample){ member, object->record.type, "", object->record.allocated };
                memcpy(samples[count++].name, object->record.name, OBJECT_NAME_SIZE);
        }
        if (samples)
                take_samples(history, samples, count);
        end(history);
        free(samples);
}
