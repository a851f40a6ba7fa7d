/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All maps and programs of this kernel, by kind and id, each with its cgroup. Every change is added to the tree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "bpf/records.h"
#include "kernel/process.h"

/* The process that made an object. */
struct creator {
        uint32_t pid;
        char comm[OBJECT_NAME_SIZE];
        char build_id[BUILD_ID_MAX]; /* "": not known */
};

struct object {
        struct object_record record;
        struct cgroup *cgroup;   /* that it belongs to; the root if uncharged. Never NULL */
        struct cgroup *charged;  /* that is charged for it: the same, unless it belongs to its holder. Never NULL */
        struct creator *creator; /* NULL: no hook reported it */
        char *last_cgroup; /* path of the cgroup that it was charged to and that is gone; NULL: none, or unknown */

        uint64_t new_in_flush; /* monitor's: the flush that measured it as a new one; 0: none */
        bool fill_high;        /* of fills.h: it is over MapFillHigh= */
        uint64_t gone_usec;    /* when last_cgroup was found to be gone: CLOCK_REALTIME; 0: not known */
        uint64_t unheld_usec;  /* of orphans.h: since when no holder was seen, CLOCK_REALTIME; 0: one was seen */
        uint32_t traits;       /* of orphans.h, during a pass */
        uint32_t explained;    /* the same: references of which the owner is known */

        /* Private to ledger.c. */
        uint64_t key;
        uint64_t recorded;              /* kernfs id of its loader's cgroup; 0: not known */
        uint32_t attribution;           /* enum object_attribution, if no holder had it */
        uint32_t pass;                  /* the last full pass that saw it */
        uint32_t holder_pass;           /* the last pass over holders that saw it */
        bool held_by_charged;           /* in that pass: by a process of the cgroup that is charged for it */
        struct cgroup *holder;          /* that it belongs to instead of the charged one; NULL: none */
        struct cgroup *candidate;       /* in that pass: that it would belong to */
        struct object *next, *previous; /* among those that grow */
        UT_hash_handle hh, hh_address;
};

/*
 * A change of an object: it is new, its size or owner changed, or it was removed (gone). The figures are those of its
 * record at that time.
 */
struct object_change {
        uint64_t identity, address;
        uint64_t allocated, charged, ceiling; /* bytes */
        uint32_t kind, id;
        uint32_t marks; /* enum object_mark */
        bool gone;
};

struct ledger {
        struct tree *tree;
        struct object *by_key;     /* uthash */
        struct object *by_address; /* uthash: the same, by kernel address */
        struct object *growing;    /* list of the objects with OBJECT_GROWS */
        size_t count;
        uint32_t pass, holder_pass;

        struct object_change *changes; /* since ledger_keep_changes(), in order */
        size_t change_count;
        bool keep_changes;
        bool changes_lost; /* there was no memory for some */
};

/* What ledger_put() found. */
enum ledger_change {
        LEDGER_SAME,
        LEDGER_NEW,
        LEDGER_CHANGED, /* size or owner */
};

/* The change that @record of an object describes; the object is @gone or not. */
struct object_change ledger_change_of(const struct object_record *record, bool gone);

/* Initializes a ledger that adds its objects to @tree, which must outlive it. */
void ledger_init(struct ledger *ledger, struct tree *tree);
void ledger_deinit(struct ledger *ledger);

/*
 * Starts (@keep) or stops recording changes, and drops those recorded before. The caller reads the list after each
 * flush, and calls this function again.
 */
void ledger_keep_changes(struct ledger *ledger, bool keep);

/* Enters @record or brings the entry up to date. Returns an enum ledger_change or -ENOMEM. */
int ledger_put(struct ledger *ledger, const struct object_record *record);

/*
 * The same for a program whose load a hook reported: @recorded is its loader's cgroup, 0 if that is not known. It is
 * used, now and later, if the record is not attributed (OBJECT_UNATTRIBUTED). If that cgroup is gone, the nearest
 * existing one above it is used.
 */
int ledger_put_recorded(struct ledger *ledger, const struct object_record *record, uint64_t recorded);

/*
 * A pass over holders, for budgets with Attribution=holder: ledger_begin_holders(), ledger_add_holder() for each open
 * file (@by_holder: whether @cgroup has such a budget, or one above it), ledger_end_holders(). An object then belongs
 * to the cgroup of a holder with such a budget, unless processes of the charged cgroup hold it, too. Of several such
 * cgroups it stays with its current one, else it goes to the oldest. ledger_end_holders() returns how many changed.
 */
void ledger_begin_holders(struct ledger *ledger);
void ledger_add_holder(struct ledger *ledger, uint32_t kind, uint32_t id, struct cgroup *cgroup, bool by_holder);
size_t ledger_end_holders(struct ledger *ledger);
/*
 * No budget has Attribution=holder any more: each object belongs to its charged cgroup again. Returns as
 * ledger_end_holders().
 */
size_t ledger_forget_holders(struct ledger *ledger);

/* Remembers who made @object. Returns 0 or -ENOMEM. */
int ledger_set_creator(struct object *object, const struct creator *creator);

/* The object, or NULL. */
struct object *ledger_find(const struct ledger *ledger, uint32_t kind, uint32_t id);

/* Removes the object from the ledger, and subtracts its bytes from its cgroup. Returns whether it was there. */
bool ledger_remove(struct ledger *ledger, uint32_t kind, uint32_t id);

/*
 * The object at the kernel address after @after (NULL: the first), or NULL. There can be more than one: an object that
 * a full pass has seen may reuse memory whose release has not been taken from the queue yet.
 */
struct object *ledger_next_at(const struct ledger *ledger, uint64_t address, const struct object *after);

/*
 * A full pass: ledger_begin_pass(), ledger_put() for all there is, ledger_end_pass(), which removes the objects that
 * were not put, and returns their number.
 */
void ledger_begin_pass(struct ledger *ledger);
size_t ledger_end_pass(struct ledger *ledger);
