/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relations of an object: processes that hold it open, pins in bpffs, programs that use a map. They are read on
 * request and not kept up to date, because this requires a pass over all open files or a walk of file systems.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "account/links.h"
#include "account/tree.h"
#include "base/relation.h"
#include "bpf/records.h"
#include "kernel/kernel.h"
#include "kernel/process.h"

/* A process that holds an object by a file descriptor. */
struct holder {
        struct holder_record record;
        const struct cgroup *cgroup; /* of the process; valid until the tree is pruned */
        char *path;                  /* of that cgroup, for later; NULL: not known */
        char *exe;                   /* NULL: not known */
        char build_id[BUILD_ID_MAX];
};

struct pin {
        uint32_t kind, id;      /* of the object, or of a link */
        char *path;             /* ends in " (link)" if it is the pin of a link that keeps the object */
        uint64_t device, inode; /* of the file: a bpffs may be mounted twice, and a file may have two names */
        bool by_link;
};

struct relations {
        uint32_t asked;          /* enum relation */
        struct holder *holders;  /* by object, then process; each process once */
        struct pin *pins;        /* by object, then path */
        struct use_record *uses; /* by program, then map */
        struct use_record *used; /* the same by map, then program */
        size_t holder_count, pin_count, use_count;
        bool pins_unseen;   /* there may be pins that were not read */
        struct link *links; /* those that are pinned, by id */
        size_t link_count;
        const struct cgroupfs *cgroupfs; /* to name cgroups that links are attached to; NULL: they are not */
};

/* The maximum depth and number of files that are searched in one bpffs. If there are more, a warning is logged. */
#define PINS_DEPTH_MAX 16
#define PINS_FILES_MAX 100000

/*
 * Reads the relations @asked for (enum relation); cgroups of holders are looked up in @tree. Returns 0; -EOPNOTSUPP:
 * this kernel does not report them; another negative errno. It has logged why. @relations is to be given to
 * relations_deinit() in any case.
 */
int relations_read(struct relations *relations, struct kernel *kernel, struct tree *tree, uint32_t asked);
/* The same, and the cgroups that links are attached to are named by @cgroupfs. */
int relations_read_named(struct relations *relations, struct kernel *kernel, struct tree *tree,
                const struct cgroupfs *cgroupfs, uint32_t asked);
void relations_deinit(struct relations *relations);
/* The bytes that they take. */
size_t relations_size(const struct relations *relations);

/* Sorts what was read, and removes duplicates. */
void relations_sort(struct relations *relations);

/* The enum object_kind of the descriptor @fd, which bpf_obj_get() returned, by the name of its inode; 0: not known. */
uint32_t relations_kind_of_fd(int fd);

/* Those of one object: the first, and in *@count how many. */
const struct holder *relations_holders(const struct relations *relations, uint32_t kind, uint32_t id, size_t *count);
const struct pin *relations_pins(const struct relations *relations, uint32_t kind, uint32_t id, size_t *count);
/* The link @id if one of the pins that were read is a pin of it, else NULL. */
const struct link *relations_link(const struct relations *relations, uint32_t id);
/* The maps of the program @id, and the programs of the map @id. */
const struct use_record *relations_maps(const struct relations *relations, uint32_t id, size_t *count);
const struct use_record *relations_programs(const struct relations *relations, uint32_t id, size_t *count);
