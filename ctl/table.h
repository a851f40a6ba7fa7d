/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables and trees of the daemon's JSON, by libsmartcols. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

enum cell {
        CELL_TEXT,
        CELL_SIZE,   /* bytes */
        CELL_NUMBER, /* aligned to the right */
        CELL_YES_NO, /* a truth value */
        CELL_STATE,  /* of a budget, coloured */
        CELL_LIST,   /* texts or numbers, separated by commas */
        CELL_PINS,   /* the same; null: none was found, but not everything could be searched */
        CELL_CGROUP, /* a path; with " (gone)" if the row has a removed cgroup. In a tree, only the part that the parent
                        does not show */
        CELL_HOLDERS, /* processes, as "comm[pid]" */
        CELL_PERCENT,
        CELL_SWATCH,    /* the number of a color; only in HTML */
        CELL_FILES,     /* a path, and those of its drop-ins, separated by commas */
        CELL_COMMITTED, /* bytes, with "+" where the sum counts objects that have no limit */
};

struct column {
        const char *title; /* in lower case a name for --sort= */
        const char *field; /* path in a row; see field.h */
        enum cell cell;
        bool elastic; /* cut if the terminal is too narrow */
        bool spare;   /* omitted in this case, before anything is cut */
};

struct table {
        const struct column *columns;
        size_t column_count;
        const json_t *rows;     /* array */
        const ssize_t *parents; /* of each row, an index before its own or -1; NULL: no tree */
        bool legend, colors, bytes;
        size_t width; /* columns of the terminal; 0: nothing is cut */
};

/* Writes @table. Returns 0, -ENOMEM or -EIO. */
int table_print(const struct table *table, FILE *file);

/* The text of the cell of @column in row @index, to be freed; NULL: no memory. */
char *table_cell(const struct table *table, const struct column *column, size_t index);

/* Whether a column is sorted with the largest value first, as sizes and numbers are. */
bool column_descends(const struct column *column);

/* The column named @name (its title in any case), or NULL. */
const struct column *column_find(const struct column *columns, size_t n, const char *name);

/*
 * Sorts the array @rows of cgroups so that each comes after its parent and siblings keep their order, and finds the
 * nearest ancestor of each row in the array by the paths. *parents is to be freed. Returns 0 or -ENOMEM.
 */
int table_make_tree(json_t *rows, ssize_t **parents);

/*
 * The label of the cgroup @row: the name of its workload, or else @text, the part of its path that is to be shown. To
 * be freed; NULL: no memory.
 */
char *cgroup_label(const json_t *row, const char *text);

/* The part of the path of the cgroup @row that is not in the path of @parent, an ancestor or NULL. */
const char *tree_label(const json_t *row, const json_t *parent);
