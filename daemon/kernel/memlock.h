/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's own estimate of the size of a map (map_mem_usage(), kernel/bpf/syscall.c). */
#pragma once

#include <stdint.h>

/* The bytes of the map @map_id by its line "memlock:" in /proc/self/fdinfo; 0: it is gone, or there is no such line. */
uint64_t map_memlock(uint32_t map_id);
