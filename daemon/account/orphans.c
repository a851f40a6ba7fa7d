/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/orphans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/relation.h"
#include "base/wallclock.h"

/* What a pass finds out about an object. Each goes on to what the object keeps: from a program to the maps it uses. */
enum trait {
        TRAIT_HELD = 1 << 0,  /* somebody living has it */
        TRAIT_KEPT = 1 << 1,  /* a pin was seen */
        TRAIT_DOUBT = 1 << 2, /* it has references that nobody was seen to have */
};

/* --- Traits ------------------------------------------------------------------------------------------------------- */

/* Gives the object @kind, @id the @trait, and what it keeps. */
static void mark(const struct ledger *ledger, const struct relations *relations, uint32_t kind, uint32_t id,
                enum trait trait)
{
        struct object *object = ledger_find(ledger, kind, id);
        const struct use_record *uses;
        size_t count;

        if (!object || object->traits & trait)
                return;
        object->traits |= trait;
        if (kind != OBJECT_PROGRAM)
                return;
        uses = relations_maps(relations, id, &count);
        for (size_t i = 0; i < count; i++) {
                struct object *map = ledger_find(ledger, OBJECT_MAP, uses[i].map_id);

                if (map)
                        map->traits |= trait;
        }
}

static void mark_held(const struct ledger *ledger, const struct relations *relations)
{
        struct object *object, *next;

        HASH_ITER (hh, ledger->by_key, object, next)
                if (object->record.marks & OBJECT_OWN)
                        mark(ledger, relations, object->record.kind, object->record.id, TRAIT_HELD);
        for (size_t i = 0; i < relations->holder_count; i++) {
                const struct holder_record *holder = &relations->holders[i].record;

                if (holder->kind == OBJECT_LINK)
                        mark(ledger, relations, OBJECT_PROGRAM, holder->target, TRAIT_HELD);
                else if (holder->kind == OBJECT_STRUCT_OPS_LINK)
                        mark(ledger, relations, OBJECT_MAP, holder->target, TRAIT_HELD);
                else
                        mark(ledger, relations, holder->kind, holder->id, TRAIT_HELD);
        }
}

static void explain(const struct ledger *ledger, uint32_t kind, uint32_t id, uint32_t references)
{
        struct object *object = ledger_find(ledger, kind, id);

        if (object)
                object->explained += references;
}

static int compare_files(const void *a, const void *b)
{
        const struct pin *x = *(const struct pin *const *) a, *y = *(const struct pin *const *) b;

        return x->device != y->device ? (x->device > y->device ? 1 : -1)
                                      : (x->inode > y->inode) - (x->inode < y->inode);
}

/* Each file that is a pin has one reference, whatever names it has, and in however many places its bpffs is mounted. */
static int mark_pinned(const struct ledger *ledger, const struct relations *relations)
{
        _cleanup_free_ const struct pin **files = calloc(relations->pin_count + 1, sizeof(*files));
        size_t count = 0;

        if (!files)
                return -ENOMEM;
        for (size_t i = 0; i < relations->pin_count; i++)
                if (!relations->pins[i].by_link)
                        files[count++] = &relations->pins[i];
        qsort(files, count, sizeof(*files), compare_files);
        for (size_t i = 0; i < count; i++) {
                if (i > 0 && compare_files(&files[i - 1], &files[i]) == 0)
                        continue;
                if (files[i]->kind == OBJECT_LINK)
                        continue;
                mark(ledger, relations, files[i]->kind, files[i]->id, TRAIT_KEPT);
                explain(ledger, files[i]->kind, files[i]->id, 1);
        }
        return 0;
}

static void mark_linked(const struct ledger *ledger, const struct relations *relations)
{
        for (size_t i = 0; i < relations->link_count; i++) {
                const struct link *link = &relations->links[i];
                uint32_t kind = link->map_id ? OBJECT_MAP : OBJECT_PROGRAM, id = link->map_id ?: link->program_id;

                mark(ledger, relations, kind, id, TRAIT_KEPT);
                explain(ledger, kind, id, link->references);
        }
        for (size_t i = 0; i < relations->use_count; i++)
                explain(ledger, OBJECT_MAP, relations->uses[i].map_id, 1);
}

/* --- Candidates --------------------------------------------------------------------------------------------------- */

/* Those that nobody holds, as records to be measured again, to be freed; NULL: no memory. */
static struct object_record *collect(const struct ledger *ledger, size_t *count)
{
        struct object_record *records = calloc(ledger->count + 1, sizeof(*records));
        struct object *object, *next;

        *count = 0;
        if (!records)
                return NULL;
        HASH_ITER (hh, ledger->by_key, object, next) {
                if (object->traits & TRAIT_HELD)
                        object->unheld_usec = 0;
                else
                        records[(*count)++] = object->record;
        }
        return records;
}

static uint32_t unseen_of(const struct object *object, const struct object_record *record)
{
        return record->references > object->explained ? record->references - object->explained : 0;
}

/* Doubt about a program is doubt about its maps. */
static void mark_doubts(const struct ledger *ledger, const struct relations *relations,
                const struct object_record *records, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const struct object *object = ledger_find(ledger, records[i].kind, records[i].id);

                if (object && !(records[i].marks & OBJECT_GONE) && unseen_of(object, &records[i]) > 0)
                        mark(ledger, relations, records[i].kind, records[i].id, TRAIT_DOUBT);
        }
}

static void add(struct orphans *orphans, struct object *object, const struct object_record *record, uint64_t now)
{
        struct orphan *orphan = &orphans->list[orphans->count++];

        *orphan = (struct orphan){
                .kind = record->kind,
                .id = record->id,
                .unseen = unseen_of(object, record),
                .uid = record->kind == OBJECT_PROGRAM ? record->uid : UINT32_MAX,
                .certain = (object->traits & (TRAIT_KEPT | TRAIT_DOUBT)) == TRAIT_KEPT,
        };
        if (object->unheld_usec == 0)
                object->unheld_usec = now;
        orphans->certain_count += orphan->certain;
        if (orphan->certain)
                orphans->bytes += object->record.allocated;
        else
                orphans->unseen_bytes += object->record.allocated;
}

/* Measures the candidates: the counts of references are those of one moment, when nothing of them is open here. */
static int list(struct orphans *orphans, struct monitor *monitor)
{
        struct ledger *ledger = &monitor->ledger;
        _cleanup_free_ struct object_record *records = NULL;
        uint64_t now = wall_usec();
        size_t count;
        int r;

        records = collect(ledger, &count);
        orphans->list = calloc(count + 1, sizeof(*orphans->list));
        if (!records || !orphans->list)
                return -ENOMEM;
        r = kernel_measure(monitor->kernel, records, count);
        if (r < 0)
                return r;
        mark_doubts(ledger, &orphans->relations, records, count);
        for (size_t i = 0; i < count; i++) {
                struct object *object = ledger_find(ledger, records[i].kind, records[i].id);

                if (object && !(records[i].marks & OBJECT_GONE))
                        add(orphans, object, &records[i], now);
        }
        return 0;
}

/* --- All together ------------------------------------------------------------------------------------------------- */

static int compare_sizes(const void *a, const void *b, void *context)
{
        const struct orphan *x = a, *y = b;
        const struct object *p = ledger_find(context, x->kind, x->id), *q = ledger_find(context, y->kind, y->id);

        if (p->record.allocated != q->record.allocated)
                return p->record.allocated < q->record.allocated ? 1 : -1;
        return x->kind != y->kind ? (x->kind > y->kind ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

int orphans_find(struct orphans *orphans, struct monitor *monitor)
{
        struct relations *relations = &orphans->relations;
        struct ledger *ledger = &monitor->ledger;
        struct object *object, *next;
        int r;

        *orphans = (struct orphans){};
        r = relations_read_named(relations, monitor->kernel, &monitor->tree, &monitor->cgroupfs,
                        RELATION_HOLDERS | RELATION_USES | RELATION_PINS);
        if (r < 0)
                return r;
        HASH_ITER (hh, ledger->by_key, object, next)
                object->traits = object->explained = 0;
        mark_held(ledger, relations);
        mark_linked(ledger, relations);
        r = mark_pinned(ledger, relations);
        if (r == 0)
                r = list(orphans, monitor);
        if (r < 0) {
                log_error("Orphans cannot be found: %s", strerror(-r));
                return r;
        }
        if (orphans->count > 0)
                qsort_r(orphans->list, orphans->count, sizeof(*orphans->list), compare_sizes, ledger);
        return 0;
}

void orphans_deinit(struct orphans *orphans)
{
        relations_deinit(&orphans->relations);
        free(orphans->list);
        *orphans = (struct orphans){};
}

static void give_links(const struct relations *relations, const struct link *link, keeper_sink_t sink, void *context)
{
        const struct pin *pins;
        size_t count;

        pins = relations_pins(relations, OBJECT_LINK, link->id, &count);
        for (size_t i = 0; i < count; i++)
                sink(context, &(struct keeper){ KEEPER_LINK, pins[i].path, link, 0 });
}

void orphans_keepers(const struct relations *relations, uint32_t kind, uint32_t id, keeper_sink_t sink, void *context)
{
        const struct use_record *uses;
        const struct pin *pins;
        size_t count;

        pins = relations_pins(relations, kind, id, &count);
        for (size_t i = 0; i < count; i++)
                if (!pins[i].by_link)
                        sink(context, &(struct keeper){ KEEPER_PIN, pins[i].path, NULL, 0 });
        for (size_t i = 0; i < relations->link_count; i++) {
                const struct link *link = &relations->links[i];

                if (kind == OBJECT_MAP ? link->map_id == id : link->program_id == id && !link->map_id)
                        give_links(relations, link, sink, context);
        }
        if (kind != OBJECT_MAP)
                return;
        uses = relations_programs(relations, id, &count);
        for (size_t i = 0; i < count; i++)
                sink(context, &(struct keeper){ KEEPER_PROGRAM, NULL, NULL, uses[i].program_id });
}

uint64_t orphan_since_usec(const struct object *object, bool *exact)
{
        *exact = object->gone_usec > 0;
        return object->gone_usec ?: object->unheld_usec;
}

const char *orphan_last_owner(const struct object *object, bool *gone)
{
        *gone = object->last_cgroup || !object->cgroup->exists;
        if (object->last_cgroup)
                return object->last_cgroup;
        /* The root stands for what is uncharged, and for what the kernel handed on before the daemon ran. */
        return object->cgroup->parent ? object->cgroup->path : NULL;
}
