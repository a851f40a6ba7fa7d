/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.freeze of cgroup v2, and the record of what is frozen by it: written before a cgroup is frozen and taken back
 * after it is thawed, so that whoever comes after a daemon that died thaws what it has left.
 *
 * The kernel does not say who froze a cgroup. One that is frozen already, itself or by a cgroup above it, is left as it
 * is. When somebody else writes its cgroup.freeze while we have it frozen, or has the service manager freeze its unit,
 * it is theirs: our pause is over, and nothing is written to it any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enforce/unitstate.h"

/* The record. A line is a cgroup: its id, a space, and its directory. */
#define FREEZER_FILE "/run/bpfbudget/frozen"

struct frozen {
        uint64_t id;         /* of the cgroup */
        uint64_t payer;      /* the caller's: the cgroup whose budget it is frozen for */
        char *directory;     /* of the cgroup */
        int fd;              /* its cgroup.freeze */
        int watch;           /* of that file; negative: it is not watched */
        bool theirs;         /* somebody else has written it since */
        uint64_t since_usec; /* CLOCK_MONOTONIC */
        uint64_t until_usec;
        int error; /* the caller's: that the last thaw failed with, 0: none */
        struct frozen *next;
};

struct freezer {
        const char *file;     /* the record */
        struct frozen *first; /* what is frozen, the next to be thawed first */

        bool watching; /* there is the next, which tells of writes to cgroup.freeze: freezer_watch() */
        int inotify;
        struct unit_state units; /* private */
};

/* The answers of freezer_freeze() beside 0, which is success. */
enum freezer_answer {
        FREEZER_GONE = 1, /* there is no such cgroup any more */
        FREEZER_ALREADY,  /* somebody else has frozen it, or a cgroup above it */
        FREEZER_EMPTY,    /* no process is in it */
        FREEZER_INNER,    /* memory is counted by its children: what it has itself is of none of its processes */
};

/*
 * Freezes the cgroup @id at @directory, absolute and of any length, from @now for @usec; the caller thaws it in time,
 * and knows that nothing below it must not be frozen. Returns 0 with *frozen, an enum freezer_answer, -ENOMEM, or what
 * record or cgroup failed with; it is not frozen then.
 */
int freezer_freeze(struct freezer *freezer, uint64_t id, const char *directory, uint64_t now, uint64_t usec,
                struct frozen **frozen);

/*
 * Has writes of others to what is frozen noticed, once: freezer->inotify is readable then if freezer->watching. Where
 * that cannot be, they are not noticed.
 */
void freezer_watch(struct freezer *freezer);

/* Makes what others have written cgroup.freeze of due: freezer_thaw() gives it up to them. */
void freezer_take_writes(struct freezer *freezer);

/*
 * Thaws @frozen, unless it is somebody else's by now, and frees it. One that is gone counts as thawed. Returns 0, or a
 * negative errno: then it stays frozen and in the list.
 */
int freezer_thaw(struct freezer *freezer, struct frozen *frozen);

/* Moves the time that @frozen is to be thawed at. */
void freezer_set_until(struct freezer *freezer, struct frozen *frozen, uint64_t until_usec);

/* What is frozen of the cgroup @id itself, or NULL. */
struct frozen *freezer_find(const struct freezer *freezer, uint64_t id);

/* Frees what it has. What is in the list stays frozen, and in the record. */
void freezer_deinit(struct freezer *freezer);

/*
 * Thaws what the record @file says that a daemon has left, and removes it. A cgroup that took the place of one in the
 * record is left alone, and so is one whose unit the service manager was told to freeze. Damaged lines are logged.
 * Returns how many cgroups were thawed, or a negative errno, logged: then some may be frozen, and the record stays.
 */
int freezer_release(const char *file);

/* Takes a line of the record apart, without its newline. Returns 0; -EINVAL: it is damaged. */
int freezer_parse(const char *line, uint64_t *id, const char **directory);
