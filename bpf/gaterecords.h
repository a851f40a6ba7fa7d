/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the gate (gate.bpf.c) and the daemon share. These are the layouts of pinned tables, which a later version of the
 * daemon takes over: whoever changes one raises GATE_LAYOUT. Sizes are in bytes.
 */
#pragma once

#include <linux/types.h>

#include "pathhash.h"
#include "records.h"

#define GATE_LAYOUT 4

/* A domain's limit that is not set. */
#define GATE_UNLIMITED (~0ULL)

/* What a domain has limits for. */
enum gate_resource {
        GATE_ALLOCATED, /* bytes */
        GATE_CHARGED,   /* bytes */
        GATE_MAPS,      /* how many */
        GATE_PROGRAMS,  /* how many */
        GATE_COMMITTED, /* bytes: ceilings, and what objects without one have */
        GATE_UNBOUNDED, /* how many objects that have no ceiling */
        GATE_RESOURCES,
};

/* A cgroup with a budget that refuses, by kernfs id. Usage is that of its whole subtree. */
struct gate_domain {
        __u64 parent; /* the next domain above; 0: none */
        __u64 max[GATE_RESOURCES];
        __u64 usage[GATE_RESOURCES];
        __u64 denied;          /* growths that its limits refused; only grows */
        struct path_hash path; /* of the cgroup's path; zeroes: not known */
        __u32 gone;            /* 1: the cgroup was removed, and what it left behind is booked here still */
        __u32 retired;         /* 1: the cgroup has no budget any more; what is booked here moves to a domain above */
};

/* The limits of a cgroup with a budget. */
struct gate_limits {
        __u64 max[GATE_RESOURCES];
        __u32 refuses; /* 0: the budget only reports */
        __u32 reserved;
};

/*
 * What is booked for one object, in a domain and those above it, by the address of the map or of prog->aux: allocated
 * + admitted (or charged + admitted), and as committed the ceiling, which growth does not change, or allocated +
 * admitted if there is no ceiling. admitted are the bytes of elements that were admitted since the last measurement.
 * The newest of these elements may not be in the map yet, so a resync keeps them booked in addition to the measured
 * size.
 */
struct gate_object {
        __u64 key;    /* its own key, because the kernel reuses the memory of a deleted entry immediately */
        __u64 domain; /* 0: it is being freed */
        __s64 allocated;
        __s64 charged;
        __s64 admitted;
        __u64 ceiling;  /* CEILING_UNBOUNDED: none */
        __s64 recent;   /* of admitted, in the latest window of time */
        __s64 previous; /* the same in the window before */
        __s64 last;     /* the same, by the latest admission */
        __u64 window;   /* number of the last window with an admission, in jiffies */
        __u64 mixed;    /* number of the last window in which more than one thread had one */
        __u64 grower;   /* pid_tgid of the thread that had the last one */
        __u32 id;       /* 0: not yet settled */
        __u16 kind;     /* enum object_kind */
        __u16 held;     /* 1: it counts for who holds it, not for who is charged */
        __u32 lock;
        __u32 uncharged; /* 1: nobody is charged for what is admitted */
};

/* The only entry of the table of settings. The first two are the same in all layouts. */
struct gate_settings {
        __u32 layout;    /* GATE_LAYOUT */
        __u32 enforcing; /* 0: everything is admitted, and booked */
        __u32 reserved;
        __u32 daemon_tgid; /* never refused; 0: own_cgroup decides */
        __u64 own_cgroup;  /* the daemon's, never refused; 0: none */
        __u64 map_fops;    /* f_op of files that are maps */
        __u64 unbooked;    /* growths that could not be booked: tables full, or the type is not known */
        __u64 instance;    /* of the programs that are in force; others with these tables come or go */
        __u64 domains;     /* entries of the tables */
        __u64 objects;
        __u64 domains_missing; /* cgroups whose domain could not be entered */
        __u64 path_seed[2];    /* key of the hashes of paths */
};

/* The kind of an event that the gate reports to the daemon. */
enum gate_event_kind {
        GATE_REFUSED_MAP = 1,
        GATE_REFUSED_PROGRAM,
        GATE_REFUSED_GROWTH, /* elements of a map */
        GATE_CGROUP_NEW,     /* cgroup_id only */
        GATE_KILLED_BATCH,   /* elements of a map that came in by another one's descriptor; the process was killed */
};

struct gate_event {
        __u64 domain;    /* whose limit it was */
        __u64 cgroup_id; /* of the process */
        __u64 wanted;    /* bytes, or 1 map or program */
        __u64 usage;     /* of the domain, of the same resource, without what was wanted */
        __u64 max;
        __u32 kind;     /* enum gate_event_kind */
        __u32 resource; /* enum gate_resource */
        __u32 type;     /* of the map or program */
        __u32 pid;      /* thread group */
        char name[OBJECT_NAME_SIZE];
        char comm[OBJECT_NAME_SIZE];
};

/* How much of an object counts, for settle_objects. */
enum gate_measure {
        GATE_MEASURE,         /* measure it; a memory cgroup is charged for its part */
        GATE_MEASURE_NOBODYS, /* measure it; nobody is charged */
        GATE_AS_TOLD,         /* allocated, charged and ceiling are set: objsize.h does not know the type */
        GATE_FORGET,          /* it is gone */
};

/* The values of an entry before the measurement of its object, during which they can change. */
struct gate_entry_before {
        __s64 allocated;
        __s64 admitted;
        __s64 coming; /* of that, what the measurement may not have */
};

/* One object for settle_objects. */
struct gate_settlement {
        __u64 key;     /* of the entry: the address of a map, or of prog->aux */
        __u64 address; /* of the map or the program */
        __u64 domain;  /* to which it belongs; 0: to none with limits */
        __s64 allocated;
        __s64 charged;
        __u64 ceiling; /* CEILING_UNBOUNDED: none */
        __u32 id;
        __u16 kind;
        __u16 held;    /* as in struct gate_object */
        __u32 measure; /* enum gate_measure */
        __u32 again;   /* out: 1: something that was admitted is kept on top, settle it once more later */
        struct gate_entry_before before; /* the kernel side's own */
};

/* Context of set_domain: limits of a domain, which is made if it is not there. */
struct gate_domain_request {
        __u64 id;
        struct gate_domain domain; /* of an existing domain, only max, path and retired are set */
        __s32 error;               /* out: 0; -EEXIST: it is there with another parent; -E2BIG and others: no room */
        __u32 reserved;
};

/* Objects that one run of settle_objects takes. */
#define GATE_SETTLE_MAX 128

struct gate_settle_request {
        __u32 count;
};

/* Context of introduce_gate: a file of the caller that is a map. */
struct gate_introduction {
        __u32 map_fd;
};
