/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

static int max_level = LOG_INFO;

void log_set_max_level(int priority)
{
        max_level = priority;
}

int log_max_level(void)
{
        return max_level;
}

/* Whether stderr is the stream that systemd connected to the journal: $JOURNAL_STREAM is its device and inode. */
static bool stderr_is_journal(void)
{
        static int cached = -1;

        if (cached < 0) {
                unsigned long long device, inode;
                const char *stream = getenv("JOURNAL_STREAM");
                struct stat st;

                cached = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                         fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
        }
        return cached > 0;
}

void log_message(int priority, const char *format, ...)
{
        int saved_errno = errno;
        va_list ap;

        if (priority > max_level)
                return;
        va_start(ap, format);
        if (stderr_is_journal()) {
                va_list copy;
                int r;

                va_copy(copy, ap);
                r = sd_journal_printv(priority, format, copy);
                va_end(copy);
                if (r >= 0)
                        goto end;
        }
        flockfile(stderr);
        fprintf(stderr, "%s: ", program_invocation_short_name);
        vfprintf(stderr, format, ap);
        fputc('\n', stderr);
        funlockfile(stderr);
end:
        va_end(ap);
        errno = saved_errno;
}
