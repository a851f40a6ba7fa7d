/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "markup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "field.h"

void markup_text(FILE *stream, const char *text, size_t size)
{
        char plain[MARKUP_TEXT_MAX];

        for (const char *c = text_plain(text, plain, MIN(size, sizeof(plain))); *c; c++)
                switch (*c) {
                case '<':
                        fputs("&lt;", stream);
                        break;
                case '>':
                        fputs("&gt;", stream);
                        break;
                case '&':
                        fputs("&amp;", stream);
                        break;
                case '"':
                        fputs("&quot;", stream);
                        break;
                case '\'':
                        fputs("&#39;", stream);
                        break;
                default:
                        fputc(*c, stream);
                }
}

/* The class of a cell in the style sheet. */
static const char *class_of(const struct column *column, const char *text)
{
        static const struct {
                const char *text, *class;
        } states[] = { { "ok", "state ok" }, { "high", "state high" }, { "max", "state max" } };

        if (column->cell == CELL_PERCENT)
                return strcmp(text, "-") == 0 ? "n" : "n share";
        if (column_descends(column))
                return "n";
        for (size_t i = 0; column->cell == CELL_STATE && i < sizeof(states) / sizeof(states[0]); i++)
                if (strcmp(states[i].text, text) == 0)
                        return states[i].class;
        return column->elastic ? "long" : "";
}

void markup_swatch(FILE *stream, uint64_t color)
{
        fprintf(stream,
                        "<svg class=\"swatch c%u\" width=\"26\" height=\"12\" aria-hidden=\"true\">"
                        "<rect class=\"tile\" width=\"26\" height=\"12\" rx=\"2\"/><path class=\"line\" d=\"M0 "
                        "6H26\"/></svg>",
                        color < MARKUP_COLORS ? (unsigned int) color : MARKUP_COLORS);
}

static int put_cell(FILE *stream, const struct table *table, const struct column *column, size_t index)
{
        _cleanup_free_ char *text = table_cell(table, column, index);

        if (!text)
                return -ENOMEM;
        if (column->cell == CELL_SWATCH) {
                fputs("<td>", stream);
                markup_swatch(stream, field_integer(json_array_get(table->rows, index), column->field));
                fputs("</td>", stream);
                return 0;
        }
        fprintf(stream, "<td class=\"%s\"", class_of(column, text));
        if (column->cell == CELL_PERCENT)
                fprintf(stream, " style=\"--share:%d\"", MIN(100, atoi(text)));
        fputc('>', stream);
        markup_text(stream, text, column->elastic ? MARKUP_LONG_SIZE : MARKUP_NAME_SIZE);
        fputs("</td>", stream);
        return 0;
}

/* "LAST-OWNER" as "Last owner". */
static void put_title(FILE *stream, const struct column *column)
{
        fprintf(stream, "<th scope=\"col\"%s>", column_descends(column) ? " class=\"n\"" : "");
        for (const char *c = column->title; *c; c++)
                fputc(*c == '-' ? ' ' : c > column->title ? tolower(*c) : *c, stream);
        fputs("</th>", stream);
}

int markup_table(FILE *stream, const struct table *table)
{
        int r = 0;

        fputs("<div class=\"wide\"><table><thead><tr>", stream);
        for (size_t c = 0; c < table->column_count; c++)
                put_title(stream, &table->columns[c]);
        fputs("</tr></thead>\n<tbody>\n", stream);
        for (size_t i = 0; r == 0 && i < json_array_size(table->rows); i++) {
                fputs("<tr>", stream);
                for (size_t c = 0; r == 0 && c < table->column_count; c++)
                        r = put_cell(stream, table, &table->columns[c], i);
                fputs("</tr>\n", stream);
        }
        fputs("</tbody></table></div>\n", stream);
        return r;
}
