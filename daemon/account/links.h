/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BPF links: which program or struct_ops each attaches, and to what. Only links for which the daemon has a descriptor
 * are read, because iterating over all links requires CAP_SYS_ADMIN, which the daemon does not have.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/cgroupfs.h"

struct link {
        uint32_t id, type;   /* type: enum bpf_link_type */
        uint32_t program_id; /* 0: none */
        uint32_t map_id;     /* of a struct_ops since 6.4; 0: none */
        uint32_t references; /* how many references to the program, or to the map, the link holds */
        char *attached;      /* "cgroup /a", "interface 2", "tracepoint sched_switch"; NULL: nothing better than type */
};

/*
 * Reads the link @fd; @cgroupfs (NULL: none) provides the names of cgroups of its hierarchy. @link is to be given to
 * link_deinit(). Returns 0 or a negative errno: -EINVAL: it is not a link.
 */
int link_read(int fd, const struct cgroupfs *cgroupfs, struct link *link);
void link_deinit(struct link *link);

/* "xdp", "struct_ops", or "type-N" in @buffer. */
#define LINK_TYPE_NAME_MAX 20
const char *link_type_name(uint32_t type, char buffer[LINK_TYPE_NAME_MAX]);
