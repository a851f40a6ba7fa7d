/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/wallclock.h"

#include <time.h>

uint64_t wall_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return ts.tv_sec < 0 ? 0 : (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t wall_wait_usec(uint64_t usec)
{
        return usec;
}
