/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The data that the kernel side (bpf/) passes to the daemon: binary records of the iterators, and entries of the queue
 * of updates. Both sides include this file; sizes are in bytes.
 */
#pragma once

#include <linux/types.h>

#define OBJECT_NAME_SIZE 16 /* BPF_OBJ_NAME_LEN */
#define ENTRIES_UNKNOWN  (~0ULL)

/* The ceiling of an object that may grow without a limit: local storage, and types that objsize.h does not know. */
#define CEILING_UNBOUNDED (~0ULL)
/*
 * The maximum of all other ceilings, unless the object itself is larger. An LPM trie that occupies a kilobyte may
 * declare 2^32 entries of 4 MiB; the sum of 512 of these would overflow to 0. The sum of 2 million objects of 2^42
 * bytes fits into 63 bits.
 */
#define CEILING_MAX (1ULL << 42)

/* What the BPF side has to know of the machine; set by the daemon before load. */
struct machine_settings {
        __u32 page_size;     /* bytes */
        __u32 possible_cpus; /* how many CPUs are possible; per-CPU memory exists for each of them */
        __u32 cpu_ids;       /* highest possible CPU number + 1 */
        __u32 nobpf;         /* 1: booted with cgroup.memory=nobpf (since 6.3), nothing is charged */
        __u32 kmalloc_min;   /* bytes of kmalloc()'s smallest size class */
};

enum object_kind {
        OBJECT_MAP = 1,
        OBJECT_PROGRAM = 2,
        /* Kinds whose memory is not counted: they occur among open files and pins only. */
        OBJECT_LINK = 3,
        OBJECT_STRUCT_OPS_LINK = 4, /* among open files: a link that is to a map */
};

/* Marks of an object record: how its figures were obtained. */
enum object_mark {
        OBJECT_UNKNOWN_TYPE = 1 << 0, /* objsize.h has no formula: the daemon asks the kernel for memlock */
        OBJECT_GROWS = 1 << 1,        /* takes memory as entries are inserted: its charge paths are watched */
        OBJECT_BOUNDED = 1 << 2,      /* allocated is an upper bound, allocated_min a lower one */
        OBJECT_GONE = 1 << 3,         /* answer to a re-read: the address no longer holds this object */
        OBJECT_OFFLOADED = 1 << 4,    /* lives on a device: only the host's part is counted */
        OBJECT_MEMLOCK = 1 << 5,      /* set by the daemon: allocated is the kernel's own memlock figure */
        OBJECT_OWN = 1 << 6,          /* set by the daemon: it is one of its own */
        OBJECT_UNATTRIBUTED = 1 << 7, /* a program whose pages do not say who is charged: see attribution */
};

/* Where the cgroup of a record comes from. */
enum object_attribution {
        ATTRIBUTION_NONE = 0,    /* not charged to any memory cgroup */
        ATTRIBUTION_CHARGED = 1, /* objcg of the map itself, or of the pages that a program lies in */
        ATTRIBUTION_MAPS = 2,    /* a program whose pages do not tell: the cgroup of the first map that it uses */
        /* Set by the daemon. */
        ATTRIBUTION_RECORDED = 3, /* the same, by its loader's cgroup, which a hook reported when it was loaded */
        ATTRIBUTION_HOLDER = 4,   /* not whom it is charged to, but who holds it: a budget says Attribution=holder */
};

/* One map or program, as the iterators and the re-read write it. */
struct object_record {
        __u64 address;       /* kernel address of struct bpf_map or struct bpf_prog */
        __u64 identity;      /* the same; for a program that of prog->aux, which stays when the program moves */
        __u64 cgroup_id;     /* kernfs id of the charged memory cgroup; 0: none */
        __u64 allocated;     /* bytes of kernel memory that the object occupies */
        __u64 allocated_min; /* lower bound where OBJECT_BOUNDED, else equal to allocated */
        __u64 charged;       /* the part of allocated that the memory cgroup is charged for */
        __u64 jit;           /* the part of allocated that is a JIT image (programs) */
        __u64 entries;       /* live entries; ENTRIES_UNKNOWN where the map keeps no count */
        __u64 ceiling;       /* bytes that it can grow to while nobody creates another object; at least allocated */
        __u32 kind;          /* enum object_kind */
        __u32 id;
        __u32 type; /* enum bpf_map_type or enum bpf_prog_type */
        __u32 flags;
        union {
                __u32 key_size; /* of a map */
                __u32 uid;      /* of a re-read program: who loaded it; UINT32_MAX: not known */
        };
        __u32 value_size;
        __u32 max_entries;
        __u32 marks; /* enum object_mark */
        __u32 attribution;
        __u32 references; /* of a re-read: how many the kernel counts to it; 0 in a snapshot, which holds one itself */
        char name[OBJECT_NAME_SIZE];
};

/* Descriptors of the daemon's own: what a map and a program look like among open files. */
struct file_examples {
        __u32 map_fd;
        __u32 program_fd;
};

/* One open file that is a map, a program or a link, as the iterator over open files writes it. */
struct holder_record {
        __u64 cgroup_id; /* kernfs id of the memory cgroup of the process */
        __u32 kind;      /* enum object_kind */
        __u32 id;
        __u32 pid;    /* thread group id */
        __u32 target; /* of a link: id of its program, or of its struct_ops map; 0: none */
        char comm[OBJECT_NAME_SIZE];
};

/* One map that a program uses. */
struct use_record {
        __u32 program_id;
        __u32 map_id;
};

/* Member types of rss_stat in the order of the arrays below. Not the kernel's numbers: those are looked up by name. */
enum rss_member {
        RSS_ANON,
        RSS_FILE,
        RSS_SHMEM,
        RSS_SWAP,
        RSS_MEMBERS,
};

/* One address space, as the task iterator writes it: once per mm, by the task that owns it. */
struct rss_record {
        __u64 cgroup_id;          /* kernfs id of the owner's memory cgroup */
        __s64 pages[RSS_MEMBERS]; /* absolute, in pages of the page size; swap in entries */
        __u32 pid;                /* thread group id of the owner */
        __u32 reserved;
};

/* Flags of struct cgroup_state. */
enum cgroup_updated {
        CGROUP_UPDATED_RSS = 1 << 0,    /* queued in rss_updated */
        CGROUP_UPDATED_CHARGE = 1 << 1, /* queued in updates */
};

/* Whether a cgroup is queued, so that it is queued once. */
struct cgroup_state {
        __u32 updated;   /* enum cgroup_updated */
        __u32 rss_epoch; /* the flush that last popped it: what the task iterator reads again */
};

/* Context of clean_cgroups. */
struct flush_request {
        __u32 count; /* entries filled in flushed */
        __u32 taken; /* enum cgroup_updated: the queue that they were taken from */
        __u32 epoch; /* number of this flush, never 0; for CGROUP_UPDATED_RSS */
};

#define FLUSH_MAX 256

/* Entry of the queue of updates. */
enum update_kind {
        UPDATE_CGROUP_CHARGE = 1, /* id: cgroup in which BPF's memory grew or shrank */
        UPDATE_CGROUP_GONE = 2,   /* id: cgroup that was removed */
        UPDATE_MAP_NEW = 3,       /* id: map, address: where it is */
        UPDATE_MAP_FREED = 4,     /* address only */
        UPDATE_PROGRAM_NEW = 5,
        UPDATE_PROGRAM_FREED = 6,
        UPDATE_KIND_MAX,
};

struct update {
        __u64 address;
        __u64 id;
        __u64 cgroup_id; /* UPDATE_PROGRAM_NEW: kernfs id of its loader's memory cgroup; 0: none, or not known */
        __u64 parent_id; /* and of the one above that: it may be gone when the daemon asks; 0: none, or not known */
        __u32 kind;      /* enum update_kind */
        __u32 pid;       /* thread group of the process that did it; 0: not known, as in interrupts */
        char comm[OBJECT_NAME_SIZE];
};

/* Counters of the sensors, in .bss: written by the kernel side, read by the daemon. */
struct sensor_counters {
        __u64 wakeups;  /* times the daemon was woken */
        __u64 overflow; /* updates that found their queue or table full: each asks for a full pass */
};

/* Objects that one run of measure_objects takes. */
#define REREAD_MAX 128

struct reread_request {
        __u32 count; /* entries filled in reread */
};
