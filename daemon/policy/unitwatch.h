/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watches the directories of unit files, and of their drop-ins, for changes. */
#pragma once

/* All zeroes but fd = -1: nothing is watched. */
struct unit_watch {
        int fd; /* polls readable when unit_watch_take() is to be called; -1: never */
        const char *root;
};

/* Starts to watch below @root, which must outlive @watch. Returns 0, or a negative errno; then nothing is watched. */
int unit_watch_init(struct unit_watch *watch, const char *root);
void unit_watch_deinit(struct unit_watch *watch);

/* Reads the pending notifications, and watches new directories. */
void unit_watch_take(struct unit_watch *watch);
