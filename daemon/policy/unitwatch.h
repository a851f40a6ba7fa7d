/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notices that something has changed in the directories of unit files, and of their drop-ins. */
#pragma once

/* All zeroes but fd = -1: nothing is watched. */
struct unit_watch {
        int fd; /* polls readable when unit_watch_take() is to be called; -1: never */
        const char *root;
};

/* Begins below @root, which must outlive it. Returns 0 or a negative errno; then nothing is noticed. */
int unit_watch_init(struct unit_watch *watch, const char *root);
void unit_watch_deinit(struct unit_watch *watch);

/* Takes what was noticed, and watches the directories that are new. */
void unit_watch_take(struct unit_watch *watch);
