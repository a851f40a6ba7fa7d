/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/trim.h"

#include <malloc.h>

void trim_memory(size_t *most, size_t count)
{
        if (count > *most)
                *most = count;
        if (*most - count < TRIM_COUNT || count > *most / 2)
                return;
        *most = count;
        malloc_trim(0);
}
