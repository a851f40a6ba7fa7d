/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BPF maps and programs of every kind, for tests: how to make one and how to fill it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/newtypes.h"

struct map_kind {
        const char *name;
        uint32_t type, key_size, value_size, max_entries, flags;
        uint32_t percent;    /* of max_entries, to insert */
        uint32_t inner_type; /* a map of maps: of which type they are */
        uint32_t unseen;     /* bytes that are neither charged nor in Percpu: */
        uint32_t stray;      /* bytes charged for filling one that are not the map's */
        bool exact_only;     /* only where one object is looked at to the byte */
        bool nested;         /* prefixes of the same address, each one bit longer */
        bool wrapped;        /* the end of the queue is before its beginning: entries are taken out and put in */
        bool scattered;      /* every second page is used, of twice as many */
        bool locked;         /* the value begins with a spin lock */
        bool unprivileged;   /* by somebody who has CAP_BPF only: with room for what CPUs speculate on */
};

/* What is taken out of a wrapped queue and put in after that. */
#define WRAP_OUT 10
#define WRAP_IN  5

/* What a program has that makes the kernel keep more of it than its code. */
enum program_feature {
        PROGRAM_PLAIN,
        PROGRAM_EXCEPTIONS, /* loads that may fault, as many as instructions: an exception table in the JIT image */
        PROGRAM_ITERATOR,   /* of tasks: what its arguments are is copied */
        PROGRAM_KFUNC,      /* calls functions of the kernel */
        PROGRAM_SYMBOL,     /* names one: BTF that is used */
        PROGRAM_STACK,      /* so much stack that it gets one of its own, on each CPU */
        PROGRAM_TAIL_CALL,  /* jumps to an entry of an array of programs that is known beforehand */
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
 * Makes what filled maps of @kind refer to (sockets, files, processes, ...), before anything is measured: it is not
 * part of a map's memory. @cgroup is the directory of the caller's cgroup. Returns 0 or a negative errno.
 */
int objects_prepare(const struct map_kind *kind, const char *cgroup);

/* The descriptor of the first of them, -1: there is none. */
int objects_referent(void);

/* Closes that, so that a map of another kind can be prepared for. */
void objects_forget(void);

/* Makes a map of @kind and fills it. Returns its file descriptor or a negative errno; -EOPNOTSUPP: the kernel has no
 * such maps. */
int map_make(const struct map_kind *kind);

/* The same with other figures than @kind's; @entries are inserted. */
int map_make_filled(const struct map_kind *kind, uint32_t entries);

/* How many entries a map of @kind gets. */
uint32_t map_entries(const struct map_kind *kind);

/* Whether the per-CPU memory of maps of @kind is allocated with the map, when nobody is charged for it yet. */
int map_is_preallocated_percpu(const struct map_kind *kind);

/* Whether maps of @kind keep their values with sockets, files, processes or cgroups. */
int map_is_local_storage(const struct map_kind *kind);

/* Loads a program of @kind under @name. Returns its file descriptor or a negative errno. */
int program_make(const struct program_kind *kind, const char *name);
