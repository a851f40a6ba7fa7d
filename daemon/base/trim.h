/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Returns free memory to the system. The allocator by itself keeps free memory that lies between used blocks. */
#pragma once

#include <stddef.h>

/* How many have to have gone since there were most: to give memory back takes milliseconds. */
#define TRIM_COUNT 1024

/* Of what there are @count now, and were *@most, which the caller keeps: gives memory back if most of them are gone. */
void trim_memory(size_t *most, size_t count);
