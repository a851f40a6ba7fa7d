/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orphans: maps and programs that no process holds, so that only a pin, or a pinned link, keeps them. An object is in
 * use if a process has it or a link to it open, if a program that is in use uses it, or if it is the daemon's own. For
 * other objects, the kernel's reference count shows whether everything that keeps them was seen. If there are more
 * references than pins, links and programs explain, something else holds them (a descriptor in transit between
 * processes, a socket, an attachment without a link, a program array, a pin in another mount namespace), and the object
 * is not reported as an orphan.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/monitor.h"
#include "account/relations.h"

struct orphan {
        uint32_t kind, id;
        uint32_t unseen; /* references of unknown holders, to it or to what keeps it */
        uint32_t uid;    /* who loaded a program; UINT32_MAX: not known */
        bool certain;    /* all that keeps it was seen */
};

struct orphans {
        struct relations relations; /* pins, links and uses of what is listed */
        struct orphan *list;        /* largest first; certain ones, and others */
        size_t count, certain_count;
        uint64_t bytes, unseen_bytes; /* of those that are certain, and of the others */
};

/*
 * Finds the orphans among the objects in the ledger of @monitor, which should be up to date. Returns 0; -EOPNOTSUPP:
 * this kernel does not report holders or uses; another negative errno. It has logged why. @orphans is to be given to
 * orphans_deinit() in any case.
 */
int orphans_find(struct orphans *orphans, struct monitor *monitor);
void orphans_deinit(struct orphans *orphans);

/* What keeps an orphan. */
enum keeper_kind {
        KEEPER_PIN,     /* a file in bpffs */
        KEEPER_LINK,    /* the pin of a link to it */
        KEEPER_PROGRAM, /* a program that uses the map */
};

struct keeper {
        enum keeper_kind kind;
        const char *path;        /* of the file; NULL for a program */
        const struct link *link; /* NULL: it is none */
        uint32_t program_id;     /* 0: it is none */
};

typedef void (*keeper_sink_t)(void *context, const struct keeper *keeper);

/* Calls @sink for each pin, link and program that keeps the object @kind, @id. */
void orphans_keepers(const struct relations *relations, uint32_t kind, uint32_t id, keeper_sink_t sink, void *context);

/*
 * Since when the object is an orphan (CLOCK_REALTIME). If *exact, its cgroup was removed at that time; else no process
 * held it then, and possibly none earlier.
 */
uint64_t orphan_since_usec(const struct object *object, bool *exact);

/* The path of the last owner of the object, and whether that cgroup is *gone; NULL: not known. */
const char *orphan_last_owner(const struct object *object, bool *gone);
