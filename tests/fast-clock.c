/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In place of daemon/base/wallclock.c, in a daemon for tests of the history: an hour of it takes
 * $BPFBUDGET_TEST_HOUR_MSEC milliseconds, counted from $BPFBUDGET_TEST_BEGIN, seconds since 1970, so that it goes on
 * over a restart, and which is $BPFBUDGET_TEST_BACK hours earlier than it is. What is installed has none of this.
 */
#include <stdlib.h>
#include <time.h>

#include "base/wallclock.h"

#define HOUR_MSEC (3600.0 * 1000)

static double speed(void)
{
        const char *text = getenv("BPFBUDGET_TEST_HOUR_MSEC");

        return text ? HOUR_MSEC / atof(text) : 1;
}

uint64_t wall_usec(void)
{
        const char *text = getenv("BPFBUDGET_TEST_BEGIN"), *back = getenv("BPFBUDGET_TEST_BACK");
        struct timespec ts;
        double now, begin;

        clock_gettime(CLOCK_REALTIME, &ts);
        now = ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
        begin = text ? atof(text) * 1e6 : now;
        return (uint64_t) (begin + (now - begin) * speed() - (back ? atof(back) * HOUR_MSEC * 1e3 : 0));
}

uint64_t wall_wait_usec(uint64_t usec)
{
        return (uint64_t) (usec / speed());
}
