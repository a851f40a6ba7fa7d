/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/array.h"
#include "base/wallclock.h"

static uint64_t object_key(uint32_t kind, uint32_t id)
{
        return (uint64_t) kind << 32 | id;
}

static struct usage usage_of(const struct object_record *record)
{
        bool map = record->kind == OBJECT_MAP, unbounded = record->ceiling == CEILING_UNBOUNDED;

        return (struct usage){
                .allocated = record->allocated,
                .charged = record->charged,
                .maps = map ? record->allocated : 0,
                .programs = map ? 0 : record->allocated - record->jit,
                .jit = record->jit,
                .map_count = map,
                .program_count = !map,
                .committed = unbounded ? record->allocated : record->ceiling,
                .unbounded_count = unbounded,
                .maps_charged = map ? record->charged : 0,
        };
}

/* Adds @record to @cgroup, or subtracts it. */
static void book(struct ledger *ledger, struct cgroup *cgroup, const struct object_record *record, bool take_off)
{
        struct usage change = {}, usage = usage_of(record);

        if (take_off)
                usage_subtract(&change, &usage);
        else
                change = usage;
        tree_add(ledger->tree, cgroup, &change);
}

void ledger_init(struct ledger *ledger, struct tree *tree)
{
        *ledger = (struct ledger){ .tree = tree };
}

static void object_free(struct object *object)
{
        free(object->creator);
        free(object->last_cgroup);
        free(object);
}

struct object_change ledger_change_of(const struct object_record *record, bool gone)
{
        return (struct object_change){
                .identity = record->identity,
                .address = record->address,
                .allocated = record->allocated,
                .charged = record->charged,
                .ceiling = record->ceiling,
                .kind = record->kind,
                .id = record->id,
                .marks = record->marks,
                .gone = gone,
        };
}

static void note_change(struct ledger *ledger, const struct object *object, bool gone)
{
        struct object_change *changes;

        if (!ledger->keep_changes)
                return;
        changes = array_grow(ledger->changes, ledger->change_count, sizeof(*changes));
        if (!changes) {
                ledger->changes_lost = true;
                return;
        }
        ledger->changes = changes;
        changes[ledger->change_count++] = ledger_change_of(&object->record, gone);
}

void ledger_keep_changes(struct ledger *ledger, bool keep)
{
        ledger->keep_changes = keep;
        ledger->change_count = 0;
        ledger->changes_lost = false;
}

static void forget(struct ledger *ledger, struct object *object)
{
        note_change(ledger, object, true);
        book(ledger, object->cgroup, &object->record, true);
        object->charged->references -= object->cgroup != object->charged;
        if (object->record.marks & OBJECT_GROWS)
                DL_DELETE2(ledger->growing, object, previous, next);
        HASH_DEL(ledger->by_key, object);
        HASH_DELETE(hh_address, ledger->by_address, object);
        ledger->count--;
        object_free(object);
}

void ledger_deinit(struct ledger *ledger)
{
        struct object *object, *next;

        HASH_CLEAR(hh_address, ledger->by_address);
        HASH_ITER (hh, ledger->by_key, object, next) {
                HASH_DEL(ledger->by_key, object);
                object_free(object);
        }
        free(ledger->changes);
        *ledger = (struct ledger){};
}

struct object *ledger_find(const struct ledger *ledger, uint32_t kind, uint32_t id)
{
        uint64_t key = object_key(kind, id);
        struct object *object;

        HASH_FIND(hh, ledger->by_key, &key, sizeof(key), object);
        return object;
}

static int add_object(
                struct ledger *ledger, const struct object_record *record, struct cgroup *cgroup, uint64_t recorded)
{
        struct object *object = calloc(1, sizeof(*object));

        if (!object)
                return -ENOMEM;
        object->record = *record;
        object->cgroup = object->charged = cgroup;
        object->recorded = recorded;
        object->attribution = record->attribution;
        object->key = object_key(record->kind, record->id);
        object->pass = ledger->pass;
        HASH_ADD(hh, ledger->by_key, key, sizeof(object->key), object);
        if (!HASH_ADDED(object)) {
                free(object);
                return -ENOMEM;
        }
        /* An address may be used again before its release was taken from the queue: both are entered. */
        HASH_ADD(hh_address, ledger->by_address, record.address, sizeof(object->record.address), object);
        if (!object->hh_address.tbl) {
                HASH_DEL(ledger->by_key, object);
                free(object);
                return -ENOMEM;
        }
        if (record->marks & OBJECT_GROWS)
                DL_APPEND2(ledger->growing, object, previous, next);
        ledger->count++;
        book(ledger, cgroup, record, false);
        tree_note_growth(ledger->tree, cgroup, record->allocated);
        note_change(ledger, object, false);
        return LEDGER_NEW;
}

static bool same_usage(const struct object_record *a, const struct object_record *b)
{
        return a->allocated == b->allocated && a->charged == b->charged && a->jit == b->jit && a->ceiling == b->ceiling;
}

/*
 * Notes where @object was when its cgroup is gone: the kernel charges the parent from then on (mm/memcontrol.c,
 * memcg_reparent_objcgs()). The first path is kept, however many ancestors are removed later, because the object was
 * created there.
 */
static int note_reparented(struct ledger *ledger, struct object *object)
{
        if (object->last_cgroup)
                return 0;
        tree_check(ledger->tree, object->charged);
        if (object->charged->exists || !object->charged->path)
                return 0;
        object->last_cgroup = strdup(object->charged->path);
        object->gone_usec = wall_usec();
        return object->last_cgroup ? 0 : -ENOMEM;
}

int ledger_set_creator(struct object *object, const struct creator *creator)
{
        if (!object->creator)
                object->creator = malloc(sizeof(*creator));
        if (!object->creator)
                return -ENOMEM;
        *object->creator = *creator;
        return 0;
}

/* The cgroup @id or, if it is gone, what the kernel charges instead: the next one above it that is not. */
static int get_living(struct ledger *ledger, uint64_t id, struct cgroup **ret)
{
        int r = tree_get(ledger->tree, id, ret);

        while (r == 0 && !(*ret)->exists && (*ret)->parent)
                *ret = (*ret)->parent;
        return r;
}

/* Completes the attribution of @record with @recorded, and finds the cgroup that is charged for it. */
static int resolve(struct ledger *ledger, uint64_t *recorded, struct object_record *record, struct cgroup **charged)
{
        int r;

        if (record->marks & OBJECT_UNATTRIBUTED && *recorded) {
                r = get_living(ledger, *recorded, charged);
                if (r < 0)
                        return r;
                *recorded = (*charged)->id;
                record->attribution = (*charged)->parent ? ATTRIBUTION_RECORDED : ATTRIBUTION_NONE;
                record->cgroup_id = (*charged)->parent ? (*charged)->id : 0;
        } else {
                r = tree_get(ledger->tree, record->cgroup_id, charged);
                if (r < 0)
                        return r;
        }
        /* The root is charged for nothing. */
        if (record->marks & OBJECT_UNATTRIBUTED && record->cgroup_id == 0)
                record->charged = 0;
        return 0;
}

/*
 * Assigns @object, with @record, to its cgroups. The charged cgroup stays in the tree even if the object belongs to
 * another one.
 */
static int place(struct ledger *ledger, struct object *object, const struct object_record *record,
                struct cgroup *charged)
{
        struct cgroup *cgroup = object->holder ?: charged;
        bool same = object->cgroup == cgroup && same_usage(&object->record, record);

        if (object->cgroup == cgroup && record->allocated > object->record.allocated)
                tree_note_growth(ledger->tree, cgroup, record->allocated - object->record.allocated);
        if (!same) {
                book(ledger, object->cgroup, &object->record, true);
                book(ledger, cgroup, record, false);
        }
        if (object->cgroup != cgroup && !object->cgroup->exists && tree_is_below(object->cgroup, cgroup))
                object->cgroup->left += record->allocated;
        charged->references += cgroup != charged;
        object->charged->references -= object->cgroup != object->charged;
        object->charged = charged;
        object->cgroup = cgroup;
        object->record = *record;
        object->attribution = record->attribution;
        if (object->holder)
                object->record.attribution = ATTRIBUTION_HOLDER;
        if (!same)
                note_change(ledger, object, false);
        return same ? LEDGER_SAME : LEDGER_CHANGED;
}

int ledger_put(struct ledger *ledger, const struct object_record *record)
{
        return ledger_put_recorded(ledger, record, 0);
}

int ledger_put_recorded(struct ledger *ledger, const struct object_record *measured, uint64_t recorded)
{
        struct object *object = ledger_find(ledger, measured->kind, measured->id);
        struct object_record record = *measured;
        struct cgroup *charged;
        int r;

        if (object && !recorded)
                recorded = object->recorded;
        r = resolve(ledger, &recorded, &record, &charged);
        if (r < 0)
                return r;
        if (!object)
                return add_object(ledger, &record, charged, recorded);

        object->recorded = recorded;
        if (object->charged != charged && object->charged->parent) {
                r = note_reparented(ledger, object);
                if (r < 0)
                        return r;
        }
        if ((object->record.marks ^ record.marks) & OBJECT_GROWS) {
                if (record.marks & OBJECT_GROWS)
                        DL_APPEND2(ledger->growing, object, previous, next);
                else
                        DL_DELETE2(ledger->growing, object, previous, next);
        }
        if (object->holder && !object->holder->exists)
                object->holder = NULL;
        object->pass = ledger->pass;
        return place(ledger, object, &record, charged);
}

/* --- Holders ------------------------------------------------------------------------------------------------------ */

void ledger_begin_holders(struct ledger *ledger)
{
        ledger->holder_pass++;
}

/* Whether @cgroup is to have @object, rather than the one that was found before in this pass. */
static bool is_better(const struct object *object, const struct cgroup *cgroup)
{
        if (!object->candidate || cgroup == object->holder)
                return true;
        return object->candidate != object->holder && cgroup->id < object->candidate->id;
}

void ledger_add_holder(struct ledger *ledger, uint32_t kind, uint32_t id, struct cgroup *cgroup, bool by_holder)
{
        struct object *object = ledger_find(ledger, kind, id);

        if (!object)
                return;
        if (object->holder_pass != ledger->holder_pass) {
                object->holder_pass = ledger->holder_pass;
                object->held_by_charged = false;
                object->candidate = NULL;
        }
        /* The root has uncharged objects, but is not charged for them. */
        if (cgroup == object->charged && cgroup->parent)
                object->held_by_charged = true;
        else if (by_holder && is_better(object, cgroup))
                object->candidate = cgroup;
}

/* Makes @object @holder's, or the charged cgroup's if that is NULL. Returns whether that is a change. */
static bool set_holder(struct ledger *ledger, struct object *object, struct cgroup *holder)
{
        struct object_record record = object->record;

        if (object->holder == holder)
                return false;
        record.attribution = object->attribution;
        object->holder = holder;
        place(ledger, object, &record, object->charged);
        return true;
}

size_t ledger_end_holders(struct ledger *ledger)
{
        struct object *object, *next;
        size_t count = 0;

        HASH_ITER (hh, ledger->by_key, object, next) {
                bool seen = object->holder_pass == ledger->holder_pass && !object->held_by_charged;

                count += set_holder(ledger, object, seen ? object->candidate : NULL);
        }
        return count;
}

size_t ledger_forget_holders(struct ledger *ledger)
{
        ledger_begin_holders(ledger);
        return ledger_end_holders(ledger);
}

bool ledger_remove(struct ledger *ledger, uint32_t kind, uint32_t id)
{
        struct object *object = ledger_find(ledger, kind, id);

        if (!object)
                return false;
        forget(ledger, object);
        return true;
}

struct object *ledger_next_at(const struct ledger *ledger, uint64_t address, const struct object *after)
{
        struct object *object;

        if (!after) {
                HASH_FIND(hh_address, ledger->by_address, &address, sizeof(address), object);
                return object;
        }
        /* Those with the same key share a bucket. */
        for (UT_hash_handle *handle = after->hh_address.hh_next; handle; handle = handle->hh_next) {
                object = ELMT_FROM_HH(ledger->by_address->hh_address.tbl, handle);
                if (object->record.address == address)
                        return object;
        }
        return NULL;
}

void ledger_begin_pass(struct ledger *ledger)
{
        ledger->pass++;
}

size_t ledger_end_pass(struct ledger *ledger)
{
        struct object *object, *next;
        size_t count = 0;

        HASH_ITER (hh, ledger->by_key, object, next) {
                if (object->pass == ledger->pass)
                        continue;
                forget(ledger, object);
                count++;
        }
        return count;
}
