/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's kmalloc(), as far as it differs between machines. */
#pragma once

#include <stdint.h>

/*
 * The smallest size class of kmalloc(), in bytes. @directory is /sys/kernel/slab, where the kernel has a directory or
 * link for each slab cache. If it is not available (no CONFIG_SLUB_DEBUG, or not visible from here), returns the
 * default of the architecture: 128 on arm64 before Linux 6.5, else 8.
 */
uint32_t kmalloc_smallest(const char *directory);
