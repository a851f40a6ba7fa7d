/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/size.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "BKMGTPE";

char *format_size_to(char buffer[FORMAT_SIZE_MAX], uint64_t bytes, unsigned int precision)
{
        double value = bytes, half = 0.5;
        size_t unit = 0;

        if (precision >= SIZE_EXACT) {
                snprintf(buffer, FORMAT_SIZE_MAX, "%lluB", (unsigned long long) bytes);
                return buffer;
        }
        for (unsigned int i = 0; i < precision; i++)
                half /= 10;
        /* 1023.95 would be printed as 1024.0. */
        while (value >= (unit ? 1024 - half : 1024) && unit < sizeof(units) - 2) {
                value /= 1024;
                unit++;
        }
        snprintf(buffer, FORMAT_SIZE_MAX, "%.*f%c", unit ? (int) precision : 0, value, units[unit]);
        return buffer;
}

char *format_size(char buffer[FORMAT_SIZE_MAX], uint64_t bytes)
{
        return format_size_to(buffer, bytes, SIZE_PRECISION);
}

/* What a reader takes @bytes for. */
static double read_back(uint64_t bytes, unsigned int precision)
{
        char buffer[FORMAT_SIZE_MAX], *unit;
        double value = strtod(format_size_to(buffer, bytes, precision), &unit);

        return value * (double) (1ULL << 10 * (strchr(units, *unit) - units));
}

unsigned int size_precision(uint64_t used, uint64_t wanted, uint64_t limit)
{
        /* Decimal fractions are not exact in binary. */
        const double tolerance = 1 + 1e-12;
        unsigned int precision = SIZE_PRECISION;

        if (used <= limit && wanted <= limit - used)
                return precision;
        while (precision < SIZE_EXACT && read_back(used, precision) + read_back(wanted, precision) <=
                                                         read_back(limit, precision) * tolerance)
                precision++;
        return precision;
}
