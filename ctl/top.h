/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data of top: cgroups are queried at an interval while they are shown, and immediately after an event. frame.c
 * builds a picture, and screen.c draws it; without a terminal, the picture is printed.
 */
#pragma once

#include "client.h"
#include "eventtext.h"
#include "frame.h"
#include "history.h"
#include "options.h"

struct top {
        const struct options *options;
        char *glob;                   /* NULL: all cgroups */
        const char *argument;         /* the argument that @glob was made from, until the first reply */
        struct client calls, events;  /* for calls, and for the subscription */
        json_t *root;                 /* of the whole machine, as GetCgroup answers */
        json_t *cgroups, *objects;    /* objects: NULL if cgroups are shown */
        ssize_t *parents;             /* of cgroups in a tree; NULL: flat */
        struct history history;       /* allocated bytes of each cgroup */
        char *object_cgroup;          /* path of the cgroup whose objects are shown */
        char message[EVENT_TEXT_MAX]; /* the latest event */

        uint64_t delay_usec, shown_usec; /* CLOCK_MONOTONIC */
        size_t sort[2];                  /* column, by enum frame_view */
        bool reverse[2];
        bool tree, help, quit, colors;
        size_t first[2];    /* row that is shown first */
        size_t selected[2]; /* row */
};

/* The view that is shown now, and its rows. */
enum frame_view top_view(const struct top *top);
json_t *top_rows(const struct top *top);

/* Asks for everything that is shown. Returns 0 or a negative errno, logged. */
int top_refresh(struct top *top);

/* Takes the events of the subscription. *changed: there was one. Returns 0 or a negative errno, logged. */
int top_take_events(struct top *top, bool *changed);

/* Builds the picture for a screen of this size; 0 lines: to print it. Returns as frame_make(). */
int top_frame(struct top *top, size_t width, size_t height, struct frame *frame);

/*
 * From the next top_refresh() on, shows the objects of the selected cgroup, or the cgroups again. Returns 0 or -ENOMEM.
 */
int top_enter_objects(struct top *top);
void top_leave_objects(struct top *top);
