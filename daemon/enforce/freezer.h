/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.freeze of cgroup v2, and the record of what is frozen by it: written before a cgroup is frozen and removed
 * after it is thawed, so that the successor of a daemon that died can thaw what was left frozen.
 *
 * The kernel does not report who froze a cgroup. A cgroup that is frozen already, itself or by a cgroup above it, is
 * left alone. If somebody else writes its cgroup.freeze during our pause, or has the service manager freeze its unit,
 * the cgroup is theirs: our pause is over, and we do not write to its cgroup.freeze again.
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
        uint64_t payer;      /* the caller's: the cgroup whose budget caused the pause */
        char *directory;     /* of the cgroup */
        int fd;              /* its cgroup.freeze */
        int watch;           /* of that file; negative: it is not watched */
        bool theirs;         /* somebody else has written it since */
        uint64_t since_usec; /* CLOCK_MONOTONIC */
        uint64_t until_usec;
        int error; /* the caller's: of the last failure to thaw it; 0: none */
        struct frozen *next;
};

struct freezer {
        const char *file;     /* the record */
        struct frozen *first; /* what is frozen, the next to be thawed first */

        bool watching; /* the next member is valid; it reports writes to cgroup.freeze: freezer_watch() */
        int inotify;
        struct unit_state units; /* private */
};

/* The answers of freezer_freeze() beside 0, which is success. */
enum freezer_answer {
        FREEZER_GONE = 1, /* there is no such cgroup any more */
        FREEZER_ALREADY,  /* somebody else has frozen it, or a cgroup above it */
        FREEZER_EMPTY,    /* no process is in it */
        FREEZER_INNER,    /* its memory is accounted to its children, so none of its own processes caused the growth */
};

/*
 * Freezes the cgroup @id at @directory, absolute and of any length, from @now for @usec; the caller thaws it in time,
 * and has made sure that nothing below it is protected. Returns 0 with *frozen, an enum freezer_answer, or a negative
 * errno of the record or the cgroup; unless it returns 0, the cgroup is not frozen.
 */
int freezer_freeze(struct freezer *freezer, uint64_t id, const char *directory, uint64_t now, uint64_t usec,
                struct frozen **frozen);

/*
 * Starts to watch for writes of others to cgroup.freeze of frozen cgroups; called once. If freezer->watching is set
 * afterwards, freezer->inotify becomes readable on such a write; otherwise they are not noticed.
 */
void freezer_watch(struct freezer *freezer);

/*
 * Makes the pauses of those cgroups due whose cgroup.freeze others have written; freezer_thaw() then leaves these
 * cgroups to them.
 */
void freezer_take_writes(struct freezer *freezer);

/*
 * Thaws @frozen, unless it is somebody else's by now, and frees it. One that is gone counts as thawed. Returns 0, or a
 * negative errno: then it stays frozen and in the list.
 */
int freezer_thaw(struct freezer *freezer, struct frozen *frozen);

/* Changes the time at which @frozen is to be thawed. */
void freezer_set_until(struct freezer *freezer, struct frozen *frozen, uint64_t until_usec);

/* The entry of the cgroup @id if it is frozen itself, else NULL. */
struct frozen *freezer_find(const struct freezer *freezer, uint64_t id);

/* Frees @freezer. Cgroups in the list remain frozen, and in the record. */
void freezer_deinit(struct freezer *freezer);

/*
 * Thaws the cgroups in the record @file that a previous daemon left, and removes the file. A cgroup that took the place
 * of one in the record is left alone, and so is one whose unit the service manager was told to freeze. Damaged lines
 * are logged. Returns how many cgroups were thawed, or a negative errno, logged: then some may be frozen, and the
 * record stays.
 */
int freezer_release(const char *file);

/* Parses a line of the record, without its newline. Returns 0; -EINVAL: it is damaged. */
int freezer_parse(const char *line, uint64_t *id, const char **directory);
