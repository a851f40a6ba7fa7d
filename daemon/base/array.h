/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow by one element at a time. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/*
 * Makes room for one more element of @size bytes in @array, which has @count elements (NULL: an empty array). The
 * capacity doubles, so the array is full whenever @count is a power of two. Each addition must therefore call this
 * function; removals need not be announced. Returns the array, which the caller frees, or NULL if there is no memory;
 * then @array is unchanged.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
        return count & (count - 1) ? array : reallocarray(array, count ? 2 * count : 1, size);
}
