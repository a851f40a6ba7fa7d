/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/spelling.h"

#include <string.h>
#include <sys/param.h>

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

unsigned int edit_distance(const char *a, const char *b)
{
        unsigned int rows[3][NAME_MAX_COMPARED + 1];
        size_t m = strlen(a), n = strlen(b);

        if (m > NAME_MAX_COMPARED)
                return m;
        for (size_t j = 0; j <= n; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= m; i++) {
                unsigned int *row = rows[i % 3], *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        bool same = lower(a[i - 1]) == lower(b[j - 1]);

                        row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + !same);
                        if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                                row[j] = MIN(row[j], second[j - 2] + 1);
                }
        }
        return rows[m % 3][n];
}

bool is_near(unsigned int distance, const char *valid)
{
        size_t length = strlen(valid);

        /* Of a short one half of the letters have to be right. */
        return distance <= MIN(1 + length / 3, length / 2);
}
