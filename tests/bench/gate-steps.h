/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* Definitions that gate-steps.bpf.c and gate-steps.c share. */
#pragma once

#include <linux/types.h>

struct gate_steps {
        __u32 map_fd; /* of the caller */
        __u32 count;
        __u32 done; /* out; if it is less than count, a step failed */
        __u32 reserved;
        __u64 map;  /* address of the map */
        __u64 nsec; /* out; of all steps together */
};
