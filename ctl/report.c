/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A page for a ticket, which shows the data of the other verbs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "reportdata.h"
#include "reportpage.h"
#include "verbs.h"

/* Writes the page to stdout, all of it or nothing. */
static int write_page(struct report *report)
{
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        int r = stream ? reportpage_write(stream, report) : -ENOMEM;

        if (stream && fclose(stream) != 0)
                r = -ENOMEM;
        if (r == 0 && (fwrite(text, 1, size, stdout) < size || fflush(stdout) == EOF))
                r = -EIO;
        if (r < 0)
                log_error("The report cannot be written: %s", strerror(-r));
        return r;
}

int verb_report(const struct options *options, int argc, char *argv[])
{
        struct report report;
        int r;

        (void) argc;
        (void) argv;
        if (isatty(STDOUT_FILENO)) {
                log_error("A report is HTML; redirect it to a file: bpfbudgetctl report > report.html");
                return -EINVAL;
        }
        r = report_collect(&report, options);
        if (r == 0)
                r = write_page(&report);
        report_deinit(&report);
        return r;
}
