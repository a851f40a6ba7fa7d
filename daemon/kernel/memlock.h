/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel itself says that a map takes (map_mem_usage(), kernel/bpf/syscall.c): an estimate. */
#pragma once

#include <stdint.h>

/* The bytes of the map @map_id by its line "memlock:" in /proc/self/fdinfo; 0: it is gone, or the kernel does not say.
 */
uint64_t map_memlock(uint32_t map_id);
