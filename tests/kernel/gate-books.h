/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* Definitions that gate-books.bpf.c and gate-books.c share. */
#pragma once

#include <linux/types.h>

#include "gaterecords.h"

/* Room for union bpf_attr. */
#define BOOKS_ATTR_SIZE 256

/* One call of a function of the gate: its arguments, and its result. */
struct books_call {
        __u64 id;    /* of a domain */
        __u64 above; /* of another domain */
        __u64 address;
        __s64 amount[GATE_RESOURCES];
        __u64 slack;
        __u32 enforce;
        __u32 levels; /* in and out */
        __u32 fd;
        __u32 unknown; /* the type of the map */
        /* out */
        __s64 result;
        __u64 refused_by, usage, max;
        __u32 resource;
        __u32 reserved;
        __s64 allocated, charged; /* as measured */
        __u64 ceiling;
        __u32 pages, insns, aux_size;
        /* the number of elements that the kernel allocates at a time for its free lists, and of their per-CPU parts */
        __u32 batch, percpu_batch;
        __u32 reserved2;
};
