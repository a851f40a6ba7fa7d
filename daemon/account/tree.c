/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/cleanup.h"

/* struct usage is nothing but counters: sums and differences go over them all. */
#define USAGE_COUNTERS (sizeof(struct usage) / sizeof(uint64_t))

/* Deeper than any hierarchy the kernel makes by default; stops a lookup that would run in a circle. */
#define DEPTH_MAX 512

void usage_add(struct usage *sum, const struct usage *change)
{
        uint64_t *a = (uint64_t *) sum;
        const uint64_t *b = (const uint64_t *) change;

        for (size_t i = 0; i < USAGE_COUNTERS; i++)
                a[i] += b[i];
}

void usage_subtract(struct usage *sum, const struct usage *change)
{
        uint64_t *a = (uint64_t *) sum;
        const uint64_t *b = (const uint64_t *) change;

        for (size_t i = 0; i < USAGE_COUNTERS; i++)
                a[i] -= b[i];
}

static bool usage_is_zero(const struct usage *usage)
{
        static const struct usage zero;

        return memcmp(usage, &zero, sizeof(zero)) == 0;
}

uint64_t usage_uncharged(const struct usage *usage)
{
        return usage->allocated - usage->charged;
}

uint64_t usage_objects(const struct usage *usage)
{
        return usage->map_count + usage->program_count;
}

uint64_t usage_footprint(const struct usage *usage)
{
        uint64_t sum = usage->allocated;

        for (int i = 0; i < RSS_MEMBERS; i++)
                sum += usage->rss[i];
        return sum;
}

void cgroup_free(struct cgroup *cgroup)
{
        free(cgroup->path);
        free(cgroup);
}

static void cleanup_cgroup(struct cgroup **cgroup)
{
        if (*cgroup)
                cgroup_free(*cgroup);
}

static void mark_gone(struct tree *tree, struct cgroup *cgroup)
{
        if (!cgroup->exists)
                return;
        cgroup->exists = false;
        cgroup->next_gone = tree->gone;
        tree->gone = cgroup;
}

/* Adds a cgroup to the tree; takes @path over. */
static int add_cgroup(
                struct tree *tree, uint64_t id, char *path, bool exists, struct cgroup *parent, struct cgroup **ret)
{
        _cleanup_(cleanup_cgroup) struct cgroup *cgroup = calloc(1, sizeof(*cgroup));

        if (!cgroup) {
                free(path);
                return -ENOMEM;
        }
        cgroup->id = id;
        cgroup->path = path;
        cgroup->exists = true;
        cgroup->parent = parent;
        cgroup->depth = parent ? parent->depth + 1 : 0;
        HASH_ADD(hh, tree->by_id, id, sizeof(cgroup->id), cgroup);
        if (!HASH_ADDED(cgroup))
                return -ENOMEM;
        if (parent)
                parent->children++;
        tree->count++;
        if (!exists)
                mark_gone(tree, cgroup);
        DL_APPEND2(tree->added, cgroup, previous_added, next_added);
        *ret = cgroup;
        cgroup = NULL;
        return 0;
}

int tree_init(struct tree *tree, uint64_t root_id, tree_lookup_t lookup, void *context)
{
        char *path = strdup("/");

        *tree = (struct tree){ .lookup = lookup, .lookup_context = context };
        return path ? add_cgroup(tree, root_id, path, true, NULL, &tree->root) : -ENOMEM;
}

void tree_deinit(struct tree *tree)
{
        struct cgroup *cgroup, *next;

        HASH_ITER (hh, tree->by_id, cgroup, next) {
                HASH_DEL(tree->by_id, cgroup);
                cgroup_free(cgroup);
        }
        while ((cgroup = tree_take_forgotten(tree)))
                cgroup_free(cgroup);
        *tree = (struct tree){};
}

struct cgroup *tree_find(const struct tree *tree, uint64_t id)
{
        struct cgroup *cgroup;

        if (id == 0)
                return tree->root;
        HASH_FIND(hh, tree->by_id, &id, sizeof(id), cgroup);
        return cgroup;
}

bool tree_is_below(const struct cgroup *cgroup, const struct cgroup *ancestor)
{
        for (; cgroup; cgroup = cgroup->parent)
                if (cgroup == ancestor)
                        return true;
        return false;
}

static int get_at_depth(struct tree *tree, uint64_t id, int depth, struct cgroup **ret)
{
        _cleanup_free_ char *path = NULL;
        struct cgroup *parent = tree->root;
        uint64_t parent_id = 0;
        bool exists;
        char *taken;
        int r;

        *ret = tree_find(tree, id);
        if (*ret)
                return 0;
        r = tree->lookup(tree->lookup_context, id, &path, &parent_id);
        if (r == -ENOMEM)
                return r;
        /* Without the permission to open handles a cgroup is there all the same; it has no name then. */
        exists = r != -ESTALE;
        /* One whose path is too long to be told is in its parent's budget like any other. */
        if (exists && parent_id != 0 && depth < DEPTH_MAX) {
                r = get_at_depth(tree, parent_id, depth + 1, &parent);
                if (r < 0)
                        return r;
        }
        taken = path;
        path = NULL;
        return add_cgroup(tree, id, taken, exists, parent, ret);
}

int tree_get(struct tree *tree, uint64_t id, struct cgroup **cgroup)
{
        return get_at_depth(tree, id, 0, cgroup);
}

static void queue(struct tree *tree, struct cgroup *cgroup)
{
        if (cgroup->updated)
                return;
        cgroup->updated = true;
        cgroup->next_updated = tree->updated;
        tree->updated = cgroup;
}

void tree_add(struct tree *tree, struct cgroup *cgroup, const struct usage *change)
{
        usage_add(&cgroup->self, change);
        queue(tree, cgroup);
}

void tree_set_rss(struct tree *tree, struct cgroup *cgroup, const uint64_t rss[RSS_MEMBERS])
{
        if (memcmp(cgroup->self.rss, rss, sizeof(cgroup->self.rss)) == 0)
                return;
        memcpy(cgroup->self.rss, rss, sizeof(cgroup->self.rss));
        queue(tree, cgroup);
}

size_t tree_flush(struct tree *tree)
{
        size_t count = 0;

        for (struct cgroup *cgroup = tree->updated, *next; cgroup; cgroup = next) {
                struct usage change = cgroup->self;

                next = cgroup->next_updated;
                usage_subtract(&change, &cgroup->folded);
                cgroup->folded = cgroup->self;
                cgroup->updated = false;
                cgroup->next_updated = NULL;
                for (struct cgroup *up = usage_is_zero(&change) ? NULL : cgroup; up; up = up->parent) {
                        usage_add(&up->total, &change);
                        if (up->policy)
                                tree_mark_changed(tree, up);
                }
                count++;
        }
        tree->updated = NULL;
        return count;
}

struct cgroup *tree_take_changed(struct tree *tree)
{
        struct cgroup *cgroup = tree->changed;

        if (!cgroup)
                return NULL;
        tree->changed = cgroup->next_changed;
        cgroup->next_changed = NULL;
        cgroup->changed = false;
        return cgroup;
}

void tree_mark_changed(struct tree *tree, struct cgroup *cgroup)
{
        if (cgroup->changed)
                return;
        cgroup->changed = true;
        cgroup->next_changed = tree->changed;
        tree->changed = cgroup;
}

void tree_note_growth(struct tree *tree, struct cgroup *cgroup, uint64_t bytes)
{
        if (bytes == 0)
                return;
        if (cgroup->grown == 0) {
                cgroup->next_grown = tree->grown;
                tree->grown = cgroup;
        }
        cgroup->grown += bytes;
}

struct cgroup *tree_take_grown(struct tree *tree, uint64_t *bytes)
{
        struct cgroup *cgroup = tree->grown;

        if (!cgroup)
                return NULL;
        tree->grown = cgroup->next_grown;
        cgroup->next_grown = NULL;
        *bytes = cgroup->grown;
        cgroup->grown = 0;
        return cgroup;
}

/* Takes @cgroup, which is about to be forgotten, off the list: it is short, if anybody takes from it. */
static void forget_growth(struct tree *tree, struct cgroup *cgroup)
{
        struct cgroup **link = &tree->grown;

        if (cgroup->grown == 0)
                return;
        while (*link != cgroup)
                link = &(*link)->next_grown;
        *link = cgroup->next_grown;
}

static void remove_added(struct tree *tree, struct cgroup *cgroup)
{
        if (!cgroup->previous_added)
                return;
        DL_DELETE2(tree->added, cgroup, previous_added, next_added);
        cgroup->previous_added = cgroup->next_added = NULL;
}

struct cgroup *tree_take_added(struct tree *tree)
{
        struct cgroup *cgroup = tree->added;

        if (cgroup)
                remove_added(tree, cgroup);
        return cgroup;
}

struct cgroup *tree_take_forgotten(struct tree *tree)
{
        struct cgroup *cgroup = tree->forgotten;

        if (!cgroup)
                return NULL;
        tree->forgotten = cgroup->next_gone;
        cgroup->next_gone = NULL;
        return cgroup;
}

void tree_check(struct tree *tree, struct cgroup *cgroup)
{
        _cleanup_free_ char *path = NULL;
        uint64_t parent_id;

        if (tree->lookup(tree->lookup_context, cgroup->id, &path, &parent_id) == -ESTALE)
                mark_gone(tree, cgroup);
}

/* Moves what is empty from the list of gone cgroups to that of forgotten ones. Returns whether that was any. */
static bool prune_once(struct tree *tree)
{
        bool any = false;

        for (struct cgroup **link = &tree->gone, *cgroup; (cgroup = *link);) {
                if (cgroup->children > 0 || cgroup->references > 0 || cgroup->updated || cgroup->changed ||
                                !usage_is_zero(&cgroup->self)) {
                        link = &cgroup->next_gone;
                        continue;
                }
                *link = cgroup->next_gone;
                cgroup->parent->children--;
                cgroup->parent = NULL;
                remove_added(tree, cgroup);
                forget_growth(tree, cgroup);
                HASH_DEL(tree->by_id, cgroup);
                tree->count--;
                cgroup->next_gone = tree->forgotten;
                tree->forgotten = cgroup;
                any = true;
        }
        return any;
}

void tree_prune(struct tree *tree)
{
        /* A parent may stand before its child in the list. */
        while (prune_once(tree))
                ;
}
