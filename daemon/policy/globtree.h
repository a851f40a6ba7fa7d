/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The globs of all budgets as one tree: a nondeterministic automaton over characters, in which globs that begin alike
 * share nodes. policy/automaton.c makes it deterministic.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What it means for a budget that one of its globs ends at a node. */
enum mark_kind {
        MARK_CGROUP,
        MARK_NOT_CGROUP,
        MARK_UNIT,
        MARK_NOT_UNIT,
        MARK_IS_UNIT, /* of no budget: the path is that of a unit */
};

struct mark {
        uint32_t budget;
        enum mark_kind kind;
};

enum edge_kind {
        EDGE_CHARACTER, /* itself */
        EDGE_ANY,       /* any but "/" */
        EDGE_STEM,      /* any but "/" and "@": what the name of a unit begins with */
        EDGE_BRACKETS,  /* those in brackets */
        EDGE_DEEP,      /* "/" to a node that loops: a "**" that is a whole component, and may match none */
        EDGE_NOTHING,   /* without a character */
};

struct edge {
        enum edge_kind kind;
        uint32_t character;
        const char *brackets; /* points into the glob */
        size_t length;        /* of brackets, in bytes */
        uint32_t to;
};

enum loop_kind {
        LOOP_NONE,
        LOOP_COMPONENT, /* any character but "/" leads back */
        LOOP_ALL,       /* any character does */
        LOOP_ESCAPE,    /* none does; one "_" is removed from the name of a unit (cg_escape() of systemd) */
        LOOP_STEM,      /* any character but "/" and "@" does */
};

struct node {
        enum loop_kind loop;
        bool of_name; /* all budgets here and in the nodes behind match by Unit= alone */
        struct edge *edges;
        size_t edge_count;
        struct mark *marks;
        size_t mark_count;
        uint32_t first_budget; /* of all marks here and in the nodes behind: globtree_finish() */
};

struct globtree {
        struct node *nodes;
        size_t count;
        uint32_t paths; /* node where globs of paths begin */

        /*
         * For budgets that match by Unit= alone: the node where the slices of a path begin, and that where globs of
         * units begin.
         */
        uint32_t names, name_units;

        /* The same for budgets that match by Cgroup=, too. 0: there are none. */
        uint32_t slices, units;
};

/* Returns 0 or -ENOMEM. @tree is to be given to globtree_deinit() in any case. */
int globtree_init(struct globtree *tree);
void globtree_deinit(struct globtree *tree);

/*
 * Adds @glob, which must outlive the tree, of a path (MARK_CGROUP, MARK_NOT_CGROUP) or of a unit; @of_name: the budget
 * matches by Unit= alone. Returns 0 or -ENOMEM.
 */
int globtree_add(struct globtree *tree, const char *glob, uint32_t budget, enum mark_kind kind, bool of_name);

/* Completes the tree after the last glob was added. */
void globtree_finish(struct globtree *tree);

/* Whether @edge, which takes a character, takes @character. */
bool edge_takes(const struct edge *edge, uint32_t character);
