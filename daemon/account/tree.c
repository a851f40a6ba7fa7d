/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/cleanup.h"

/* struct usage is nothing but counters: sums and differences go over them all. */
#define USAGE_COUNTERS (sizeof(struct usage) / sizeof(uint64_t))

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

uint64_t usage_rss(const struct usage *usage)
{
        return usage->rss[RSS_ANON] + usage->rss[RSS_FILE] + usage->rss[RSS_SHMEM];
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
        free(cgroup->name);
        free(cgroup->path);
        workload_free(cgroup->workload);
        free(cgroup);
}

static void cleanup_cgroup(struct cgroup **cgroup)
{
        if (*cgroup)
                cgroup_free(*cgroup);
}

/* --- Paths -------------------------------------------------------------------------------------------------------- */

int cgroup_full_path(const struct cgroup *cgroup, char **path)
{
        const struct cgroup *up;
        size_t length = 0, before;
        char *p;

        if (!cgroup->path)
                return -ENOENT;
        for (up = cgroup; up->abbreviated; up = up->parent)
                length += strlen(up->name) + 1;
        before = strlen(up->path);
        p = malloc(before + length + 1);
        if (!p)
                return -ENOMEM;
        *path = p;
        memcpy(p, up->path, before + 1);
        p += before + length;
        *p = '\0';
        for (; cgroup != up; cgroup = cgroup->parent) {
                size_t n = strlen(cgroup->name);

                p -= n + 1;
                *p = '/';
                memcpy(p + 1, cgroup->name, n);
        }
        return 0;
}

/* How many bytes of @path, which is too long, an abbreviation begins with: whole names. */
static size_t beginning_of(const char *path)
{
        return (const char *) memrchr(path, '/', CGROUP_PATH_BEGIN_MAX) - path;
}

/* Makes the path of @cgroup, whose parent has one. */
static int make_path(struct cgroup *cgroup)
{
        const struct cgroup *parent = cgroup->parent;
        const char *above = parent->parent ? parent->path : "";
        int n;

        cgroup->abbreviated = parent->abbreviated;
        if (!cgroup->abbreviated && strlen(above) + 1 + strlen(cgroup->name) >= PATH_MAX)
                cgroup->abbreviated = beginning_of(above);
        if (cgroup->abbreviated)
                n = asprintf(&cgroup->path, "%.*s/…(%llu)/%s", (int) cgroup->abbreviated, above,
                                (unsigned long long) cgroup->id, cgroup->name);
        else
                n = asprintf(&cgroup->path, "%s/%s", above, cgroup->name);
        if (n < 0) {
                cgroup->path = NULL;
                return -ENOMEM;
        }
        return cgroup->abbreviated ? 0 : workload_from_path(cgroup->path, &cgroup->workload);
}

const struct cgroup *cgroup_of_workload(const struct cgroup *cgroup)
{
        while (cgroup && !cgroup->workload)
                cgroup = cgroup->parent;
        return cgroup;
}

/* --- Adding ------------------------------------------------------------------------------------------------------- */

/* A cgroup that is in the hash, but not below its parent yet. */
static int add_unlinked(struct tree *tree, uint64_t id, struct cgroup **ret)
{
        _cleanup_(cleanup_cgroup) struct cgroup *cgroup = calloc(1, sizeof(*cgroup));

        if (!cgroup)
                return -ENOMEM;
        cgroup->id = id;
        HASH_ADD(hh, tree->by_id, id, sizeof(cgroup->id), cgroup);
        if (!HASH_ADDED(cgroup))
                return -ENOMEM;
        *ret = cgroup;
        cgroup = NULL;
        return 0;
}

static void link_cgroup(struct tree *tree, struct cgroup *cgroup)
{
        if (cgroup->parent) {
                cgroup->depth = cgroup->parent->depth + 1;
                cgroup->parent->children++;
        }
        tree->count++;
        if (!cgroup->exists)
                DL_APPEND2(tree->gone, cgroup, previous_gone, next_gone);
        DL_APPEND2(tree->added, cgroup, previous_added, next_added);
}

/* Takes @top, which has no place yet, and what was added below it out of the tree again. */
static void remove_unlinked(struct tree *tree, struct cgroup *top)
{
        while (top) {
                struct cgroup *below = top->below;

                HASH_DEL(tree->by_id, top);
                cgroup_free(top);
                top = below;
        }
}

/*
 * Finds what there is to know of the new @cgroup. Returns 0 with its parent's id, which stays as it is if that is not
 * known; or -ENOMEM.
 */
static int look_up(struct tree *tree, struct cgroup *cgroup, uint64_t *parent_id)
{
        uint64_t found = 0;
        int r = tree->lookup(tree->lookup_context, cgroup->id, &cgroup->name, &found);

        if (r < 0)
                cgroup->name = NULL;
        if (found != 0)
                *parent_id = found;
        /* Without the permission to open handles a cgroup is there all the same; it has no name then. */
        cgroup->exists = r != -ESTALE;
        return r == -ENOMEM ? r : 0;
}

/*
 * Adds the cgroup @id and those above it that are new, without a place yet: *top is the uppermost new one, *above its
 * parent; @parent_id is the parent of @id unless the lookup finds another. A cgroup that would be its own ancestor is
 * put below the root.
 */
static int climb(struct tree *tree, uint64_t id, uint64_t parent_id, struct cgroup **top, struct cgroup **above)
{
        *top = NULL;
        *above = tree_find(tree, id);
        while (!*above) {
                struct cgroup *cgroup;
                int r = add_unlinked(tree, id, &cgroup);

                if (r < 0)
                        return r;
                cgroup->below = *top;
                *top = cgroup;
                id = parent_id;
                parent_id = 0;
                r = look_up(tree, cgroup, &id);
                if (r < 0)
                        return r;
                *above = tree_find(tree, id);
                if (*above && !(*above)->parent)
                        *above = tree->root;
        }
        return 0;
}

static int add_missing(struct tree *tree, uint64_t id, uint64_t parent_id, struct cgroup **ret)
{
        struct cgroup *top, *above;
        int r = climb(tree, id, parent_id, &top, &above);

        /* Paths first, so that a failure leaves nothing behind. */
        for (struct cgroup *cgroup = top; r == 0 && cgroup; above = cgroup, cgroup = cgroup->below) {
                cgroup->parent = above;
                if (cgroup->name && above->path)
                        r = make_path(cgroup);
        }
        if (r < 0) {
                remove_unlinked(tree, top);
                return r;
        }
        *ret = above;
        for (struct cgroup *below; top; top = below) {
                below = top->below;
                top->below = NULL;
                link_cgroup(tree, top);
        }
        return 0;
}

int tree_get(struct tree *tree, uint64_t id, struct cgroup **cgroup)
{
        return add_missing(tree, id, 0, cgroup);
}

int tree_get_below(struct tree *tree, uint64_t id, uint64_t parent_id)
{
        struct cgroup *cgroup;

        return add_missing(tree, id, parent_id, &cgroup);
}

int tree_init(struct tree *tree, uint64_t root_id, tree_lookup_t lookup, void *context)
{
        int r;

        *tree = (struct tree){ .lookup = lookup, .lookup_context = context };
        r = add_unlinked(tree, root_id, &tree->root);
        if (r < 0)
                return r;
        tree->root->exists = true;
        link_cgroup(tree, tree->root);
        tree->root->name = strdup("");
        tree->root->path = strdup("/");
        return tree->root->name && tree->root->path ? 0 : -ENOMEM;
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

static void note(struct tree *tree, struct cgroup *cgroup)
{
        if (cgroup->noted)
                return;
        cgroup->noted = true;
        cgroup->next_noted = tree->noted;
        tree->noted = cgroup;
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
                        if (tree->notes)
                                note(tree, up);
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

struct cgroup *tree_take_noted(struct tree *tree)
{
        struct cgroup *cgroup = tree->noted;

        if (!cgroup)
                return NULL;
        tree->noted = cgroup->next_noted;
        cgroup->next_noted = NULL;
        cgroup->noted = false;
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
        uint64_t parent_id;

        if (!cgroup->exists || tree->lookup(tree->lookup_context, cgroup->id, NULL, &parent_id) != -ESTALE)
                return;
        cgroup->exists = false;
        DL_APPEND2(tree->gone, cgroup, previous_gone, next_gone);
}

static bool is_needed(const struct cgroup *cgroup)
{
        return cgroup->children > 0 || cgroup->references > 0 || cgroup->updated || cgroup->changed || cgroup->noted ||
               !usage_is_zero(&cgroup->self);
}

/* Moves what is empty from the list of gone cgroups to that of forgotten ones. Returns whether that was any. */
static bool prune_once(struct tree *tree)
{
        struct cgroup *cgroup, *next;
        bool any = false;

        DL_FOREACH_SAFE2(tree->gone, cgroup, next, next_gone)
        {
                if (is_needed(cgroup))
                        continue;
                DL_DELETE2(tree->gone, cgroup, previous_gone, next_gone);
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
