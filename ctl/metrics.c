/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics as text, as the daemon serves them over HTTP: to stdout, or to a file that is read while it is replaced. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "text.h"
#include "verbs.h"

/* Where metrics are written. */
struct output {
        FILE *file;
        const char *name; /* for messages */
        bool terminal;    /* control characters are replaced for a terminal; programs get the exact bytes */
        int error;        /* a negative errno of the file, and not of the daemon's socket */
};

/*
 * Writes @text of @size bytes line by line, so that it cannot control a terminal. Returns false on error, with errno
 * set.
 */
static bool show_text(FILE *file, const char *text, size_t size)
{
        for (const char *line = text, *end; line < text + size; line = end + 1) {
                _cleanup_free_ char *copy = NULL, *shown = NULL;

                end = memchr(line, '\n', text + size - line) ?: text + size;
                copy = strndup(line, end - line);
                shown = copy ? text_shown(copy) : NULL;
                if (!shown) {
                        errno = ENOMEM;
                        return false;
                }
                if (fputs(shown, file) == EOF || (end < text + size && fputc('\n', file) == EOF))
                        return false;
        }
        return true;
}

static int write_piece(void *context, json_t *reply)
{
        const json_t *text = json_object_get(reply, "text");
        size_t size = json_string_length(text);
        struct output *output = context;
        bool written;

        if (!json_is_string(text))
                return -EBADMSG;
        written = output->terminal ? show_text(output->file, json_string_value(text), size)
                                   : fwrite(json_string_value(text), 1, size, output->file) == size;
        if (!written)
                output->error = -errno;
        return output->error;
}

/* Writes the daemon's reply. Returns 0 or a negative errno, logged. */
static int write_metrics(const struct options *options, struct output *output)
{
        const char *format = options->openmetrics ? "openmetrics" : "prometheus";
        struct client client = { .fd = -1 };
        int r = ask_connect(&client, options);

        if (r == 0) {
                r = client_call_more(&client, "io.bpfbudget.GetMetrics", json_pack("{ss}", "format", format),
                                write_piece, output);
                if (output->error == 0)
                        r = ask_tell(&client, r);
        }
        client_deinit(&client);
        if (r == 0 && fflush(output->file) == EOF)
                r = output->error = -errno;
        if (output->error < 0)
                log_error("%s cannot be written: %s", output->name, strerror(-output->error));
        return r;
}

/*
 * Creates a file beside @path that everybody may read, because node_exporter runs as another user. Returns a negative
 * errno, logged.
 */
static int make_temporary(const char *path, char **temporary, FILE **file)
{
        int fd, r;

        /* The name does not end in .prom, so node_exporter ignores the file. */
        if (asprintf(temporary, "%s.XXXXXX", path) < 0) {
                *temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(*temporary, O_CLOEXEC);
        if (fd < 0) {
                r = -errno;
                log_error("%s cannot be written: no file can be made beside it: %s", path, strerror(-r));
                free(*temporary);
                *temporary = NULL;
                return r;
        }
        *file = fchmod(fd, 0644) == 0 ? fdopen(fd, "we") : NULL;
        if (*file)
                return 0;
        r = -errno;
        log_error("%s cannot be written: %s", path, strerror(-r));
        close(fd);
        return r;
}

/* rename() would also replace a device, a FIFO or a link, and break everything that uses it. */
static int check_replaceable(const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0 || S_ISREG(st.st_mode))
                return 0; /* a missing file is created; other errors are logged then */
        log_error("--textfile=%s: it is not a regular file", path);
        return -EINVAL;
}

/* A reader of @path sees the old text or the new one, and never a part of either. */
static int replace_file(const struct options *options, const char *path)
{
        _cleanup_free_ char *temporary = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        struct output output = { .name = path };
        int r = check_replaceable(path);

        if (r == 0)
                r = make_temporary(path, &temporary, &file);
        output.file = file;
        if (r == 0)
                r = write_metrics(options, &output);
        if (r == 0 && rename(temporary, path) < 0) {
                r = -errno;
                log_error("%s cannot be replaced: %s", path, strerror(-r));
        }
        if (r < 0 && temporary)
                unlink(temporary);
        return r;
}

int verb_metrics(const struct options *options, int argc, char *argv[])
{
        struct output output = { .file = stdout, .name = "stdout", .terminal = isatty(STDOUT_FILENO) };

        (void) argc;
        (void) argv;
        return options->textfile ? replace_file(options, options->textfile) : write_metrics(options, &output);
}
