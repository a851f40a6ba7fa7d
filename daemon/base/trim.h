/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that is given back to the system: the allocator keeps what lies between things that are still there. */
#pragma once

#include <stddef.h>

/* How many have to have gone since there were most: to give memory back takes milliseconds. */
#define TRIM_COUNT 1024

/* Of what there are @count now, and were *@most, which the caller keeps: gives memory back if most of them are gone. */
void trim_memory(size_t *most, size_t count);
