/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's kmalloc(), as far as it differs between machines. */
#pragma once

#include <stdint.h>

/*
 * Bytes of the smallest size class. @directory is where the kernel has a directory or link for each slab cache,
 * /sys/kernel/slab. Without it (no CONFIG_SLUB_DEBUG, or not visible from here) the architecture's: 128 on arm64 before
 * Linux 6.5, else 8.
 */
uint32_t kmalloc_smallest(const char *directory);
