/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one allocation fail, so that a test reaches the error paths. The program is linked with FAIL_ALLOC_LINK. A
 * test sets fail_at to 1, 2, ... until what it calls has succeeded with fail_at left: then no allocation was the last
 * one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many allocations from now one fails; 0: none. */
static unsigned int fail_at;

static inline bool allocation_fails(void)
{
        return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
        return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
        return allocation_fails() ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strdup(const char *text)
{
        return allocation_fails() ? NULL : __real_strdup(text);
}
