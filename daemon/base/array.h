/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow by one element at a time. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/*
 * Makes room for one more element of @size bytes in @array, which has @count; NULL is one without any. It doubles, so
 * it is full whenever the count is a power of two: all that is added comes this way, what is removed need not be
 * announced. Returns the array, to be freed, or NULL: no memory, and @array is as it was.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
        return count & (count - 1) ? array : reallocarray(array, count ? 2 * count : 1, size);
}
