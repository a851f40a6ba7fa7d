/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>

static inline int compare_doubles(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

/* Sorts the @n @values, and returns their median; if @n is even, the upper one of the two. */
static inline double median(double *values, size_t n)
{
        qsort(values, n, sizeof(*values), compare_doubles);
        return values[n / 2];
}
