/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A log in memory: each message is a line "<PRIORITY>TEXT" in the variable logged, until forget_log(). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static char logged[16 * 1024];

static inline void forget_log(void)
{
        *logged = '\0';
}

static inline void add_logged(int priority, const char *format, va_list ap)
{
        size_t used = strlen(logged);

        used += snprintf(logged + used, sizeof(logged) - used, "<%d>", priority);
        used += vsnprintf(logged + used, sizeof(logged) - used, format, ap);
        if (used + 2 > sizeof(logged))
                abort();
        strcpy(logged + used, "\n");
}

void log_message(int priority, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        add_logged(priority, format, ap);
        va_end(ap);
}

void log_identified(const char *id, int priority, const char *format, ...)
{
        va_list ap;

        if (strlen(id) != 32)
                abort();
        va_start(ap, format);
        add_logged(priority, format, ap);
        va_end(ap);
}

/*
 * For log_start() and log_stop(): the arguments of the former, the result of the latter, and the numbers of their
 * calls.
 */
static struct {
        uint64_t lost_before, lost;
        unsigned int starts, stops;
} log_thread;

void log_start(uint64_t lost)
{
        log_thread.starts++;
        log_thread.lost_before = lost;
}

uint64_t log_stop(void)
{
        log_thread.stops++;
        return log_thread.lost;
}

/* The number of times that @text was logged. */
static inline unsigned int count_logged(const char *text)
{
        unsigned int count = 0;

        for (const char *at = logged; (at = strstr(at, text)); at++)
                count++;
        return count;
}

static inline void assert_logged(const char *text)
{
        if (count_logged(text) == 0)
                fail_msg("\"%s\" is not in: %s", text, logged);
}

static inline void assert_not_logged(const char *text)
{
        if (count_logged(text) > 0)
                fail_msg("\"%s\" is in: %s", text, logged);
}
