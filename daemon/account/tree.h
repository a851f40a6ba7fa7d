/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroups that hold something, by id, and what each and its subtree take. Counters are kept as the kernel's rstat
 * keeps them: a change is added to the cgroup's own counters and the cgroup is queued as updated; tree_flush() carries
 * the changes of the queued ones to the root. Cgroups in which nothing has changed are not visited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/workload.h"
#include "base/uthash-nonfatal.h"
#include "bpf/records.h"

/* Bytes, unless said otherwise. The members are sums, so changes may be added modulo 2^64. */
struct usage {
        uint64_t allocated;        /* maps + programs + jit */
        uint64_t charged;          /* the part of it that a memory cgroup is charged for */
        uint64_t maps;             /* of maps */
        uint64_t programs;         /* of programs, without their JIT images */
        uint64_t jit;              /* of JIT images */
        uint64_t map_count;        /* maps */
        uint64_t program_count;    /* programs */
        uint64_t rss[RSS_MEMBERS]; /* of the processes, by enum rss_member */
        uint64_t committed;        /* the sum of ceilings; for objects without one, allocated */
        uint64_t unbounded_count;  /* objects without a ceiling */
        uint64_t maps_charged;     /* the part of maps that is charged; the rest of charged is that of programs; jit is
                                      never charged */
};

struct policy;

struct cgroup {
        uint64_t id;
        char *name; /* in its parent, "" for the root; NULL: unknown */
        char *path; /* for people: below the memory hierarchy's mount, "/" for the root; NULL: unknown. See below */
        size_t abbreviated;        /* if path is abbreviated: the length of its beginning in bytes; 0: it is complete */
        struct workload *workload; /* whose own cgroup this is; NULL: of none */
        bool exists;               /* false once it was removed */
        struct cgroup *parent;     /* NULL for the root */
        size_t depth;              /* how many are above it */
        struct usage self;         /* its own */
        struct usage total;        /* of the subtree, as of the last tree_flush() */

        uint64_t left; /* bytes of objects that outlived it, and now belong to a cgroup above it */

        struct policy *policy; /* of its budget, NULL: none; not owned by the tree */
        size_t references;     /* while there are any, it is not forgotten even if it holds nothing */

        /* Private to tree.c. */
        struct usage folded; /* the part of self that total, here and above, includes already */
        bool updated;
        size_t children;
        bool changed;
        uint64_t grown; /* bytes: tree_take_grown() */
        bool noted;
        struct cgroup *next_updated, *next_gone, *previous_gone, *next_changed, *next_grown, *next_noted;
        struct cgroup *next_added, *previous_added; /* the latter is NULL if it is not in the list */
        struct cgroup *below;                       /* while it is being added: its child that is being added, too */
        UT_hash_handle hh;
};

/*
 * A path of PATH_MAX bytes or more fits into no system call, and takes too much memory to store in each cgroup at that
 * depth. It is abbreviated to the names at its beginning (at most this many bytes), the cgroup's id, and its name:
 * "/a/b/…(4711)/name".
 */
#define CGROUP_PATH_BEGIN_MAX 512

/*
 * Finds @id's name and its parent's id; the same contract as cgroupfs_lookup(). *@parent_id is 0 if it is not known. If
 * @name is NULL, only checks whether the cgroup exists.
 */
typedef int (*tree_lookup_t)(void *context, uint64_t id, char **name, uint64_t *parent_id);

struct tree {
        struct cgroup *by_id; /* uthash */
        struct cgroup *root;
        struct cgroup *updated; /* list */
        struct cgroup *gone;    /* list of those that do not exist any more, as they went: children first */
        size_t count;
        tree_lookup_t lookup;
        void *lookup_context;
        struct cgroup *added;     /* list of new ones: tree_take_added() */
        struct cgroup *forgotten; /* list of those that are not in the tree any more: tree_take_forgotten() */
        struct cgroup *changed;   /* list of those with a policy whose total changed: tree_take_changed() */
        struct cgroup *grown;     /* list of those whose own objects grew: tree_take_grown() */
        struct cgroup *noted;     /* list of those whose total changed: tree_take_noted() */
        bool notes;               /* somebody takes the noted ones */
};

/*
 * Initializes a tree that contains its root, @root_id. Returns 0 or -ENOMEM. @tree is to be given to tree_deinit() in
 * any case.
 */
int tree_init(struct tree *tree, uint64_t root_id, tree_lookup_t lookup, void *context);
void tree_deinit(struct tree *tree);

/*
 * The cgroup @id with its ancestors, however many, looked up if it is new; 0 stands for the root, which has what no
 * other cgroup has. A cgroup that cannot be found (it is gone already) is put below the root with exists = false.
 * Returns 0 or -ENOMEM.
 */
int tree_get(struct tree *tree, uint64_t id, struct cgroup **cgroup);

/*
 * Makes sure that the tree has the cgroup @id, which was reported to be below @parent_id. If it is gone, it is put
 * there. Returns 0 or -ENOMEM.
 */
int tree_get_below(struct tree *tree, uint64_t id, uint64_t parent_id);

/* The cgroup @id if the tree has it, else NULL; 0 is the root. */
struct cgroup *tree_find(const struct tree *tree, uint64_t id);

/* The complete path of @cgroup, of any length, to be freed. Returns 0, -ENOENT: it is not known; or -ENOMEM. */
int cgroup_full_path(const struct cgroup *cgroup, char **path);

/* The nearest cgroup, from @cgroup upwards, that is a workload's own; NULL: there is none. */
const struct cgroup *cgroup_of_workload(const struct cgroup *cgroup);

/* Whether @cgroup, which may be NULL, is @ancestor or in its subtree. */
bool tree_is_below(const struct cgroup *cgroup, const struct cgroup *ancestor);

/* Adds @change, whose counters may be negative modulo 2^64, to @cgroup's own usage and queues the cgroup. */
void tree_add(struct tree *tree, struct cgroup *cgroup, const struct usage *change);

/* Sets the RSS of @cgroup's own processes, in bytes by enum rss_member, and queues it if that is a change. */
void tree_set_rss(struct tree *tree, struct cgroup *cgroup, const uint64_t rss[RSS_MEMBERS]);

/* Carries all changes up to the root. Returns the number of cgroups that were updated. */
size_t tree_flush(struct tree *tree);

/*
 * The next cgroup with a policy whose total changed since it was last taken, NULL if there is none. Each is given once,
 * however many changes there were below it.
 */
struct cgroup *tree_take_changed(struct tree *tree);

/* Adds @cgroup, which has a policy, to the changed cgroups, because its limits have changed. */
void tree_mark_changed(struct tree *tree, struct cgroup *cgroup);

/*
 * The same for all cgroups, with or without a policy, while @tree->notes is set. When it is reset, take all that
 * remain.
 */
struct cgroup *tree_take_noted(struct tree *tree);

/*
 * Notes that objects of @cgroup itself were created, or grew, by @bytes. Its usage may rise by more, because it also
 * gets the objects of removed cgroups, which is not growth.
 */
void tree_note_growth(struct tree *tree, struct cgroup *cgroup, uint64_t bytes);

/* The next cgroup that has grown since it was last taken, and by how many bytes; NULL if there is none. */
struct cgroup *tree_take_grown(struct tree *tree, uint64_t *bytes);

/* The next cgroup that was added since it was last taken, ancestors first; NULL if there is none. */
struct cgroup *tree_take_added(struct tree *tree);

/*
 * The next cgroup that tree_prune() has taken out of the tree, NULL if there is none: to be freed by cgroup_free(). Its
 * parent is no longer set. A caller that gives policies to cgroups must take the forgotten ones.
 */
struct cgroup *tree_take_forgotten(struct tree *tree);
void cgroup_free(struct cgroup *cgroup);

/* Checks again whether @cgroup exists. If not, it keeps its path and its parent. */
void tree_check(struct tree *tree, struct cgroup *cgroup);

/* Forgets the cgroups that are gone, hold nothing, and have neither children nor references. After tree_flush(). */
void tree_prune(struct tree *tree);

void usage_add(struct usage *sum, const struct usage *change);
void usage_subtract(struct usage *sum, const struct usage *change);
uint64_t usage_uncharged(const struct usage *usage);
uint64_t usage_objects(const struct usage *usage);
/* Resident memory, in bytes. */
uint64_t usage_rss(const struct usage *usage);
/* The footprint of a workload: BPF memory, resident memory and swap, in bytes. */
uint64_t usage_footprint(const struct usage *usage);
