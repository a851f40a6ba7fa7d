/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Creates and fills BPF maps and programs of every kind, for tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/newtypes.h"

struct map_kind {
        const char *name;
        uint32_t type, key_size, value_size, max_entries, flags;
        uint32_t percent;    /* percentage of max_entries to insert */
        uint32_t inner_type; /* of a map of maps: the type of the maps in it */
        uint32_t unseen;     /* bytes that are neither charged nor in Percpu: */
        uint32_t stray;      /* bytes charged for filling a map that do not belong to the map */
        bool exact_only;     /* only for tests that compare a single object to the byte */
        bool nested;         /* prefixes of the same address, each one bit longer */
        bool wrapped;        /* the end of the queue is before its beginning: entries are taken out and put in */
        bool scattered;      /* every second page of twice as many is used */
        bool locked;         /* the value begins with a spin lock */
        bool unprivileged;   /* created with CAP_BPF only: with room for the speculation of CPUs */
};

/* The number of entries that are removed from a wrapped queue, and then added. */
#define WRAP_OUT 10
#define WRAP_IN  5

/* A feature of a program for which the kernel keeps more than the code. */
enum program_feature {
        PROGRAM_PLAIN,
        PROGRAM_EXCEPTIONS, /* loads that may fault, as many as instructions: an exception table in the JIT image */
        PROGRAM_ITERATOR,   /* iterator of tasks: the types of its arguments are copied */
        PROGRAM_KFUNC,      /* calls functions of the kernel */
        PROGRAM_SYMBOL,     /* refers to a symbol of the kernel: BTF that is used */
        PROGRAM_STACK,      /* uses so much stack that it gets a private stack on each CPU */
        PROGRAM_TAIL_CALL,  /* jumps to a constant index of a program array */
        PROGRAM_DEBUG_INFO, /* types of functions, and a line for each instruction */
};

struct program_kind {
        const char *name;
        uint32_t instructions; /* of the main program */
        uint32_t subprograms;  /* each as long as the main program */
        uint32_t maps;         /* used by it; from the caller's objects */
        enum program_feature feature;
};

/*
 * Creates what filled maps of @kind refer to (sockets, files, processes, ...). Call it before measuring, because these
 * are not part of a map's memory. @cgroup is the directory of the caller's cgroup. Returns 0 or a negative errno.
 */
int objects_prepare(const struct map_kind *kind, const char *cgroup);

/* The descriptor of the first object that objects_prepare() created, -1: there is none. */
int objects_referent(void);

/* Closes what objects_prepare() created, so that it can be called for another kind. */
void objects_forget(void);

/* Makes a map of @kind and fills it. Returns its file descriptor or a negative errno; -EOPNOTSUPP: the kernel has no
 * such maps. */
int map_make(const struct map_kind *kind);

/* The same, but inserts @entries instead of the percentage of @kind. */
int map_make_filled(const struct map_kind *kind, uint32_t entries);

/* How many entries a map of @kind gets. */
uint32_t map_entries(const struct map_kind *kind);

/* Whether the per-CPU memory of maps of @kind is allocated with the map, so that no cgroup is charged for it. */
int map_is_preallocated_percpu(const struct map_kind *kind);

/* Whether maps of @kind keep their values with sockets, files, processes or cgroups. */
int map_is_local_storage(const struct map_kind *kind);

/* Loads a program of @kind under @name. Returns its file descriptor or a negative errno. */
int program_make(const struct program_kind *kind, const char *name);
