/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/globtree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "policy/glob.h"
#include "policy/unit.h"
#include "policy/utf8.h"

static int add_node(struct globtree *tree, enum loop_kind loop, bool of_name, uint32_t *ret)
{
        struct node *nodes = array_grow(tree->nodes, tree->count, sizeof(*nodes));

        if (!nodes)
                return -ENOMEM;
        tree->nodes = nodes;
        nodes[tree->count] = (struct node){ .loop = loop, .of_name = of_name, .first_budget = UINT32_MAX };
        *ret = tree->count++;
        return 0;
}

static int add_edge(struct globtree *tree, uint32_t from, const struct edge *edge)
{
        struct node *node = &tree->nodes[from];
        struct edge *edges = array_grow(node->edges, node->edge_count, sizeof(*edges));

        if (!edges)
                return -ENOMEM;
        node->edges = edges;
        edges[node->edge_count++] = *edge;
        return 0;
}

static bool same_edge(const struct edge *a, const struct edge *b)
{
        return a->kind == b->kind && a->character == b->character && a->length == b->length &&
               (a->length == 0 || memcmp(a->brackets, b->brackets, a->length) == 0);
}

/* The node that @edge leads to from *@node, which is made if there is none, with @loop. Returns 0 or -ENOMEM. */
static int go(struct globtree *tree, uint32_t *node, struct edge edge, enum loop_kind loop)
{
        struct node *from = &tree->nodes[*node];
        int r;

        for (size_t i = 0; i < from->edge_count; i++)
                if (same_edge(&from->edges[i], &edge) && tree->nodes[from->edges[i].to].loop == loop) {
                        *node = from->edges[i].to;
                        return 0;
                }
        r = add_node(tree, loop, from->of_name, &edge.to);
        if (r < 0)
                return r;
        r = add_edge(tree, *node, &edge);
        *node = edge.to;
        return r;
}

static int connect(struct globtree *tree, uint32_t from, uint32_t to)
{
        const struct node *node = &tree->nodes[from];

        for (size_t i = 0; i < node->edge_count; i++)
                if (node->edges[i].kind == EDGE_NOTHING && node->edges[i].to == to)
                        return 0;
        return add_edge(tree, from, &(struct edge){ .kind = EDGE_NOTHING, .to = to });
}

/* The component "**" and the slash before it: from *@node to one behind them, or without them. */
static int go_deep(struct globtree *tree, uint32_t *node)
{
        uint32_t deep = *node;
        int r = go(tree, &deep, (struct edge){ .kind = EDGE_DEEP }, LOOP_ALL);

        if (r == 0)
                r = go(tree, node, (struct edge){ .kind = EDGE_NOTHING }, LOOP_NONE);
        return r < 0 ? r : connect(tree, deep, *node);
}

/*
 * Goes on from *@node by what @glob begins with. Returns its length in bytes, 0 if nothing matches it, or -ENOMEM.
 * What "*" stands for depends on @unit: names of units have no slash.
 */
static ssize_t go_on(struct globtree *tree, uint32_t *node, const char *glob, bool unit)
{
        struct edge edge = { .kind = EDGE_CHARACTER };
        enum loop_kind loop = LOOP_NONE;
        size_t slash = *glob == '/', stars = strspn(glob + slash, "*"), length = 1;
        bool found;
        int r;

        if (!unit && slash && stars >= 2 && (glob[slash + stars] == '/' || glob[slash + stars] == '\0')) {
                r = go_deep(tree, node);
                return r < 0 ? r : (ssize_t) (slash + stars);
        }
        if (!slash && stars > 0) {
                edge.kind = EDGE_NOTHING;
                loop = stars > 1 && !unit ? LOOP_ALL : LOOP_COMPONENT;
                length = stars;
        } else if (unit && slash) {
                return 0;
        } else if (*glob == '?') {
                edge.kind = EDGE_ANY;
        } else if (*glob == '[') {
                length = glob_brackets(glob, 0, &found);
                edge = (struct edge){ .kind = EDGE_BRACKETS, .brackets = glob, .length = length };
        } else {
                length = utf8_decode(glob, strnlen(glob, UTF8_LENGTH_MAX), &edge.character);
        }
        r = length > 0 ? go(tree, node, edge, loop) : 0;
        return r < 0 ? r : (ssize_t) length;
}

static int add_mark(struct globtree *tree, uint32_t node, uint32_t budget, enum mark_kind kind)
{
        struct node *end = &tree->nodes[node];
        struct mark *marks = array_grow(end->marks, end->mark_count, sizeof(*marks));

        if (!marks)
                return -ENOMEM;
        end->marks = marks;
        marks[end->mark_count++] = (struct mark){ .budget = budget, .kind = kind };
        return 0;
}

static int add_from(struct globtree *tree, uint32_t node, const char *glob, uint32_t budget, enum mark_kind kind)
{
        bool unit = kind != MARK_CGROUP && kind != MARK_NOT_CGROUP;

        while (*glob) {
                ssize_t length = go_on(tree, &node, glob, unit);

                if (length <= 0)
                        return length;
                glob += length;
        }
        return add_mark(tree, node, budget, kind);
}

/* The suffixes of units behind the node @stem; of slices, which are followed by @names, only if it is @plain. */
static int add_suffixes(struct globtree *tree, uint32_t stem, bool plain, uint32_t names, uint32_t budget)
{
        const struct edge slash = { .kind = EDGE_CHARACTER, .character = '/', .to = names };
        const char *suffix;
        int r = 0;

        for (size_t i = 0; r == 0 && (suffix = unit_suffix(i)); i++) {
                bool slice = strcmp(suffix, SLICE_SUFFIX) == 0;
                uint32_t node = stem;

                if (slice && !plain)
                        continue;
                for (const char *p = suffix; r == 0 && *p; p++)
                        r = go(tree, &node, (struct edge){ .character = *p }, LOOP_NONE);
                if (r == 0)
                        r = add_mark(tree, node, budget, MARK_IS_UNIT);
                if (r == 0 && slice)
                        r = add_edge(tree, node, &slash);
        }
        return r;
}

/*
 * Slices, and the unit below them, as path_unit() has it: from *@start on each slash leads to where a name begins.
 * *@units is the node behind the "_" that was taken off, where globs of units begin; @budget the first that has some.
 */
static int add_slices(struct globtree *tree, bool of_name, uint32_t budget, uint32_t *start, uint32_t *units)
{
        uint32_t names, stem;
        int r = add_node(tree, LOOP_NONE, of_name, start);

        names = *start;
        if (r == 0)
                r = go(tree, &names, (struct edge){ .character = '/' }, LOOP_ESCAPE);
        *units = names;
        if (r == 0)
                r = go(tree, units, (struct edge){ .character = '_' }, LOOP_NONE);
        stem = *units;
        if (r == 0)
                r = go(tree, &stem, (struct edge){ .kind = EDGE_STEM }, LOOP_STEM);
        if (r == 0)
                r = add_suffixes(tree, stem, true, names, budget);
        if (r == 0)
                r = go(tree, &stem, (struct edge){ .character = '@' }, LOOP_NONE);
        if (r == 0)
                r = go(tree, &stem, (struct edge){ .kind = EDGE_ANY }, LOOP_COMPONENT);
        return r < 0 ? r : add_suffixes(tree, stem, false, names, budget);
}

int globtree_add(struct globtree *tree, const char *glob, uint32_t budget, enum mark_kind kind, bool of_name)
{
        uint32_t slices;
        int r = 0;

        if (kind == MARK_CGROUP || kind == MARK_NOT_CGROUP)
                return add_from(tree, tree->paths, glob, budget, kind);
        if (of_name)
                return add_from(tree, tree->name_units, glob, budget, kind);
        if (!tree->slices) {
                r = add_slices(tree, false, budget, &slices, &tree->units);
                if (r == 0)
                        tree->slices = slices;
        }
        return r < 0 ? r : add_from(tree, tree->units, glob, budget, kind);
}

int globtree_init(struct globtree *tree)
{
        int r;

        *tree = (struct globtree){};
        r = add_node(tree, LOOP_NONE, false, &tree->paths);
        return r < 0 ? r : add_slices(tree, true, 0, &tree->names, &tree->name_units);
}

void globtree_finish(struct globtree *tree)
{
        /* Most edges lead to later nodes. */
        for (bool changed = true; changed;) {
                changed = false;
                for (size_t n = tree->count; n-- > 0;) {
                        struct node *node = &tree->nodes[n];
                        uint32_t first = node->first_budget;

                        for (size_t i = 0; i < node->mark_count; i++)
                                if (node->marks[i].budget < first)
                                        first = node->marks[i].budget;
                        for (size_t i = 0; i < node->edge_count; i++)
                                if (tree->nodes[node->edges[i].to].first_budget < first)
                                        first = tree->nodes[node->edges[i].to].first_budget;
                        changed |= first < node->first_budget;
                        node->first_budget = first;
                }
        }
}

void globtree_deinit(struct globtree *tree)
{
        for (size_t i = 0; i < tree->count; i++) {
                free(tree->nodes[i].edges);
                free(tree->nodes[i].marks);
        }
        free(tree->nodes);
        *tree = (struct globtree){};
}

bool edge_takes(const struct edge *edge, uint32_t character)
{
        bool found = false;

        switch (edge->kind) {
        case EDGE_CHARACTER:
                return character == edge->character;
        case EDGE_ANY:
                return character != '/';
        case EDGE_STEM:
                return character != '/' && character != '@';
        case EDGE_BRACKETS:
                glob_brackets(edge->brackets, character, &found);
                return found;
        case EDGE_DEEP:
                return character == '/';
        case EDGE_NOTHING:
                break;
        }
        return false;
}
