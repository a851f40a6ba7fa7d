/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One picture of top: its lines as text, and the parts of them that are highlighted. Nothing is drawn here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "history.h"

enum frame_view {
        VIEW_CGROUPS,
        VIEW_OBJECTS,
};

/* Highlighting. */
enum frame_look {
        LOOK_PLAIN,
        LOOK_TITLE,
        LOOK_HEADER,   /* of the columns */
        LOOK_SELECTED, /* the line on which Enter acts */
        LOOK_HIGH,
        LOOK_MAX,
        LOOK_DIM,
};

struct frame_line {
        char *text;
        enum frame_look look;
};

struct frame {
        struct frame_line *lines;
        size_t count;
        size_t rows_shown; /* of the rows */
};

struct frame_input {
        enum frame_view view;
        const json_t *rows;     /* array of cgroups or objects, in order */
        const ssize_t *parents; /* of cgroups in a tree, see table.h; NULL: flat */
        const struct history *history;
        uint64_t second;      /* now, for the history */
        size_t width, height; /* of the screen; 0: as many as needed */
        size_t first;         /* row that is shown first */
        ssize_t selected;     /* row; -1: none */
        bool utf8;
        bool exact;          /* sizes in bytes */
        const char *title;   /* first line */
        const char *summary; /* second line */
        const char *message; /* third line */
        const char *keys;    /* last line; NULL: none */
};

/* Builds the picture. Returns 0 or -ENOMEM. Call frame_deinit() for @frame in any case. */
int frame_make(struct frame *frame, const struct frame_input *input);
void frame_deinit(struct frame *frame);

/*
 * The columns by which rows can be sorted: their number, titles, fields (see field.h), and whether the largest value
 * comes first.
 */
size_t frame_columns(enum frame_view view);
const char *frame_column_title(enum frame_view view, size_t column);
const char *frame_column_field(enum frame_view view, size_t column);
bool frame_column_descends(enum frame_view view, size_t column);

/* The number of lines of a picture that are not rows, including the line of keys. */
#define FRAME_EXTRA_LINES 5
