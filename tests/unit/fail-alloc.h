/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one allocation fail, so that a test reaches the error paths. The program is linked with FAIL_ALLOC_LINK. A
 * test sets fail_at to 1, 2, ... until what it calls has succeeded with fail_at left: then no allocation was the last
 * one.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The number of the allocation from now on that fails; 0: none fails. */
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

int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The content of *text after a failure is undefined. */
int __wrap_asprintf(char **text, const char *format, ...)
{
        va_list ap;
        int n;

        if (allocation_fails()) {
                *text = (char *) (uintptr_t) 1;
                return -1;
        }
        va_start(ap, format);
        n = vasprintf(text, format, ap);
        va_end(ap);
        return n;
}
