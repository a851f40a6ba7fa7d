/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BPF links: which program or struct_ops each attaches, and to what. Only links are read of which the daemon has a
 * descriptor: iterating over all links requires CAP_SYS_ADMIN, which the daemon does not have.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/cgroupfs.h"

struct link {
        uint32_t id, type;   /* type: enum bpf_link_type */
        uint32_t program_id; /* 0: none */
        uint32_t map_id;     /* of a struct_ops since 6.4; 0: none */
        uint32_t references; /* how many of those to the program, or the map, are the link's */
        char *attached;      /* "cgroup /a", "interface 2", "tracepoint sched_switch"; NULL: nothing better than type */
};

/*
 * Reads the link @fd; cgroups are named by @cgroupfs (NULL: none is) where the kernel means that hierarchy. @link is to
 * be given to link_deinit(). Returns 0 or a negative errno: -EINVAL, it is no link.
 */
int link_read(int fd, const struct cgroupfs *cgroupfs, struct link *link);
void link_deinit(struct link *link);

/* "xdp", "struct_ops", or "type-N" in @buffer. */
#define LINK_TYPE_NAME_MAX 20
const char *link_type_name(uint32_t type, char buffer[LINK_TYPE_NAME_MAX]);
