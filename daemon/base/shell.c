/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/shell.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_printable(char c)
{
        return c >= ' ' && c <= '~';
}

static bool all_printable(const char *text)
{
        while (is_printable(*text))
                text++;
        return *text == '\0';
}

/* Between '...', where only the quote itself cannot stand. */
static void put_plain(FILE *stream, const char *text)
{
        fputc('\'', stream);
        for (; *text; text++)
                fputs(*text == '\'' ? "'\\''" : (char[]){ *text, '\0' }, stream);
        fputc('\'', stream);
}

/* Between $'...': always three digits, so that one that follows is no part of the number. */
static void put_escaped(FILE *stream, const char *text)
{
        fputs("$'", stream);
        for (; *text; text++)
                if (!is_printable(*text))
                        fprintf(stream, "\\%03o", (unsigned int) (unsigned char) *text);
                else if (*text == '\'' || *text == '\\')
                        fprintf(stream, "\\%c", *text);
                else
                        fputc(*text, stream);
        fputc('\'', stream);
}

char *shell_quote(const char *text)
{
        char *quoted = NULL;
        size_t size;
        FILE *stream = open_memstream(&quoted, &size);

        if (!stream)
                return NULL;
        (all_printable(text) ? put_plain : put_escaped)(stream, text);
        if (fclose(stream) == 0)
                return quoted;
        free(quoted);
        return NULL;
}
