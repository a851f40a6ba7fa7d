/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/size.h"

#include <stddef.h>
#include <stdio.h>

char *format_size(char buffer[FORMAT_SIZE_MAX], uint64_t bytes)
{
        static const char units[] = "BKMGTPE";
        double value = bytes;
        size_t unit = 0;

        /* 1023.95 would be printed as 1024.0. */
        while (value >= (unit ? 1023.95 : 1024) && unit < sizeof(units) - 2) {
                value /= 1024;
                unit++;
        }
        snprintf(buffer, FORMAT_SIZE_MAX, unit ? "%.1f%c" : "%.0f%c", value, units[unit]);
        return buffer;
}
