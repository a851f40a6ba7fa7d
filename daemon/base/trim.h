/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Returns free memory to the system. The allocator by itself keeps free memory that lies between used blocks. */
#pragma once

#include <stddef.h>

/* How many elements must have gone since the maximum before memory is returned, which takes milliseconds. */
#define TRIM_COUNT 1024

/*
 * Returns memory to the system if most elements are gone: there are @count now, and were *@most at the maximum, which
 * the caller stores.
 */
void trim_memory(size_t *most, size_t count);
