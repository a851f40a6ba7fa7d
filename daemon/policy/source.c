/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/source.h"

#include <stdarg.h>
#include <stdio.h>

/* Enough to correct a file by; a binary file that was taken for a budget must not flood the journal. */
#define FILE_MESSAGES_MAX 100

__attribute__((format(printf, 5, 0))) static void report_list(struct loader *loader, const char *file,
                unsigned int line, bool fatal, const char *format, va_list list)
{
        char message[MESSAGE_SIZE];

        vsnprintf(message, sizeof(message), format, list);
        loader->failed |= fatal;
        loader->message(loader->context, file, line, fatal, message);
}

void report_file(struct loader *loader, const char *file, const char *format, ...)
{
        va_list list;

        va_start(list, format);
        report_list(loader, file, 0, true, format, list);
        va_end(list);
}

void warn_file(struct loader *loader, const char *file, const char *format, ...)
{
        va_list list;

        va_start(list, format);
        report_list(loader, file, 0, false, format, list);
        va_end(list);
}

void report_at(struct source *source, unsigned int line, bool fatal, const char *format, ...)
{
        va_list list;

        source->loader->failed |= fatal;
        source->errors += fatal;
        if (++source->messages > FILE_MESSAGES_MAX)
                return;
        va_start(list, format);
        report_list(source->loader, source->file, line, fatal, format, list);
        va_end(list);
}

void report_comment(struct source *source, const char *name, const char *comment)
{
        report_error(source, "%s= has a comment behind its value (\"%s\"): put it in a line of its own", name, comment);
}

void report_rest(struct source *source)
{
        if (source->messages > FILE_MESSAGES_MAX)
                report_file(source->loader, source->file, "%u more messages were suppressed: correct those above first",
                                source->messages - FILE_MESSAGES_MAX);
}
