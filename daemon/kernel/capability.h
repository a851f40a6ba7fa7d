/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hooks and features of this kernel. Each has one entry, which says whether this process can use it, and if not,
 * why.
 */
#pragma once

#include <stdbool.h>

struct capability {
        const char *name;    /* "tracepoint:rss_stat": kind and target in the kernel */
        const char *purpose; /* what it provides, and so what is missing without it */
        bool available;
        bool essential;   /* without it nothing can be measured */
        bool refused;     /* it is not available though the kernel has it: no option of the kernel is missing */
        bool permission;  /* it is not available because this process lacks a capability(7) */
        char reason[160]; /* why it is not available; empty if it is */
};
