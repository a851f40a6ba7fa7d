/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/cleanup.h"
#include "field.h"
#include "graph.h"
#include "table.h"
#include "text.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum frame_cell {
        FRAME_TEXT,
        FRAME_SIZE,
        FRAME_NUMBER,
        FRAME_PERCENT,
        FRAME_PATH,    /* path of a cgroup; in a tree, the part that the parent does not show */
        FRAME_STATE,   /* of a budget */
        FRAME_BAR,     /* usage against the budget */
        FRAME_MINUTE,  /* the last minute */
        FRAME_RELATED, /* holders and pins */
};

/* Width 0: the rest of the line. If the screen is narrower than @from, the column is omitted. */
struct frame_column {
        const char *title, *field;
        enum frame_cell cell;
        size_t width, from;
        size_t wide, wide_from; /* the width if the screen has this number of columns */
};

static const struct frame_column cgroup_columns[] = {
        { "CGROUP", "path", FRAME_PATH },
        { "BPF", "bpf.allocated", FRAME_SIZE, 8 },
        { "CHARGED", "bpf.charged", FRAME_SIZE, 8, 100 },
        { "UNCHARGED", "bpf.uncharged", FRAME_SIZE, 9 },
        { "OBJ", "bpf.objects", FRAME_NUMBER, 6 },
        { "RSS", "rss.anon+rss.file+rss.shmem", FRAME_SIZE, 8, 110 },
        { "FOOTPRINT", "footprint", FRAME_SIZE, 9, 120 },
        { "STATE", "budget.state", FRAME_STATE, 5 },
        { "BUDGET", "budget.usage", FRAME_BAR, 12, 0, 24, 140 },
        { "HIGH", "budget.high", FRAME_SIZE, 8, 150 },
        { "MAX", "budget.max", FRAME_SIZE, 8, 150 },
        { "LAST MINUTE", "bpf.allocated", FRAME_MINUTE, 12, 0, 60, 190 },
};

static const struct frame_column object_columns[] = {
        { "KIND", "kind", FRAME_TEXT, 7, 100 },
        { "ID", "id", FRAME_NUMBER, 7 },
        { "TYPE", "type", FRAME_TEXT, 14, 0, 22, 120 },
        { "NAME", "name", FRAME_TEXT, 15 },
        { "BPF", "allocated", FRAME_SIZE, 8 },
        { "CHARGED", "charged", FRAME_SIZE, 8, 100 },
        { "UNCHARGED", "uncharged", FRAME_SIZE, 9 },
        { "ENTRIES", "entries", FRAME_NUMBER, 9, 120 },
        { "MAX", "maxEntries", FRAME_NUMBER, 9, 120 },
        { "FULL", "full", FRAME_PERCENT, 4, 130 },
        { "HOLDERS AND PINS", "holders", FRAME_RELATED },
};

static const struct {
        const struct frame_column *columns;
        size_t count;
} views[] = {
        [VIEW_CGROUPS] = { cgroup_columns, LENGTH(cgroup_columns) },
        [VIEW_OBJECTS] = { object_columns, LENGTH(object_columns) },
};

size_t frame_columns(enum frame_view view)
{
        size_t n = views[view].count;

        /* The graph of the last minute, which is the last column, cannot be sorted by. */
        return views[view].columns[n - 1].cell == FRAME_MINUTE ? n - 1 : n;
}

const char *frame_column_title(enum frame_view view, size_t column)
{
        return views[view].columns[column].title;
}

const char *frame_column_field(enum frame_view view, size_t column)
{
        return views[view].columns[column].field;
}

static bool to_the_right(const struct frame_column *column)
{
        return column->cell == FRAME_SIZE || column->cell == FRAME_NUMBER || column->cell == FRAME_PERCENT;
}

bool frame_column_descends(enum frame_view view, size_t column)
{
        enum frame_cell cell = views[view].columns[column].cell;

        return cell != FRAME_TEXT && cell != FRAME_PATH;
}

/* --- Cells -------------------------------------------------------------------------------------------------------- */

/* The depth of row @index in the tree. */
static size_t depth_of(const struct frame_input *input, size_t index)
{
        size_t depth = 0;

        while (input->parents && input->parents[index] >= 0) {
                index = input->parents[index];
                depth++;
        }
        return depth;
}

static char *format_path(const struct frame_input *input, const json_t *row, size_t index)
{
        ssize_t parent = input->parents ? input->parents[index] : -1;
        const char *path = input->parents ? tree_label(row, parent >= 0 ? json_array_get(input->rows, parent) : NULL)
                                          : field_string(row, "path");
        _cleanup_free_ char *label = cgroup_label(row, *path ? path : "(unknown)");
        bool gone = json_is_false(json_object_get(row, "exists"));
        char *text;

        return !label || asprintf(&text, "%*s%s%s", (int) (2 * depth_of(input, index)), "", label,
                                         gone ? " (gone)" : "") < 0
                               ? NULL
                               : text;
}

/* The bar is full at Max and has a mark at High; without Max, it is full at High. */
static char *format_bar(const struct frame_input *input, const json_t *row, size_t width)
{
        const json_t *budget = field_get(row, "budget");
        uint64_t usage = field_integer(budget, "usage"), high = field_integer(budget, "high");
        uint64_t max = field_integer(budget, "max");
        char bar[GRAPH_SIZE_MAX], *text;

        if (!high && !max)
                return strdup("");
        graph_bar(bar, width - 2, usage, max ?: high, high ?: GRAPH_NO_MARK, input->utf8);
        return asprintf(&text, "[%s]", bar) < 0 ? NULL : text;
}

static char *format_minute(const struct frame_input *input, const json_t *row, size_t width)
{
        uint64_t values[HISTORY_SECONDS];
        char line[GRAPH_SIZE_MAX];

        if (!input->history)
                return strdup("");
        history_get(input->history, field_integer(row, "id"), input->second, values);
        return strdup(graph_sparkline(line, width, values, HISTORY_SECONDS, input->utf8));
}

/* "comm[pid] comm[pid] /path /path" */
static char *format_related(const json_t *row)
{
        const json_t *holders = field_get(row, "holders"), *pins = field_get(row, "pins");
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; i < json_array_size(holders); i++)
                fprintf(stream, "%s%s[%llu]", i ? " " : "", field_string(json_array_get(holders, i), "comm"),
                                (unsigned long long) field_integer(json_array_get(holders, i), "pid"));
        for (size_t i = 0; i < json_array_size(pins); i++)
                fprintf(stream, "%s%s", i || json_array_size(holders) ? " " : "",
                                json_string_value(json_array_get(pins, i)) ?: "");
        if (fclose(stream) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* The text of a cell, to be freed; NULL: no memory. */
static char *format_cell(const struct frame_input *input, const struct frame_column *column, size_t index, size_t width)
{
        const json_t *row = json_array_get(input->rows, index), *value = field_get(row, column->field);
        char buffer[FORMAT_BYTES_MAX];

        switch (column->cell) {
        case FRAME_PERCENT:
                snprintf(buffer, sizeof(buffer), "%llu%%", (unsigned long long) field_integer(row, column->field));
                return strdup(value ? buffer : "-");
        case FRAME_PATH:
                return format_path(input, row, index);
        case FRAME_BAR:
                return format_bar(input, row, width);
        case FRAME_MINUTE:
                return format_minute(input, row, width);
        case FRAME_RELATED:
                return format_related(row);
        case FRAME_TEXT:
        case FRAME_STATE:
                return strdup(field_string(row, column->field));
        case FRAME_SIZE:
        case FRAME_NUMBER:
                break;
        }
        if (!value)
                return strdup("-");
        return strdup(format_bytes(
                        buffer, field_integer(row, column->field), column->cell == FRAME_NUMBER || input->exact));
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

/* One terabyte in bytes has 13 digits. */
#define EXACT_WIDTH 13

/* The width of each column on this screen, SIZE_MAX where it is omitted. */
struct widths {
        size_t of[LENGTH(cgroup_columns)];
};

_Static_assert(LENGTH(cgroup_columns) >= LENGTH(object_columns), "struct widths has room for both");

static size_t longest(const struct frame_input *input, const struct frame_column *column)
{
        size_t width = strlen(column->title);

        for (size_t i = 0; i < json_array_size(input->rows); i++) {
                _cleanup_free_ char *cell = format_cell(input, column, i, 0);
                size_t columns = cell ? text_width(cell) : 0;

                if (columns > width)
                        width = columns;
        }
        return width;
}

static void lay_out(const struct frame_input *input, struct widths *widths)
{
        const struct frame_column *columns = views[input->view].columns;
        size_t n = views[input->view].count, screen = input->width ?: SIZE_MAX / 2, used = 0, elastic = 0;
        size_t wider = 0;

        for (size_t c = 0; c < n; c++) {
                size_t more = input->exact && columns[c].cell == FRAME_SIZE ? EXACT_WIDTH - columns[c].width : 0;

                /* Wider columns leave less room for the columns that only wide screens have. */
                if (screen < columns[c].from + wider + more) {
                        widths->of[c] = SIZE_MAX;
                        continue;
                }
                wider += more;
                widths->of[c] = columns[c].wide_from && screen >= columns[c].wide_from + wider
                                                ? columns[c].wide
                                                : columns[c].width + more;
                /* A number must not be cut, because it would look like another number. */
                if (columns[c].cell == FRAME_NUMBER)
                        widths->of[c] = MAX(widths->of[c], longest(input, &columns[c]));
                if (columns[c].width)
                        used += widths->of[c] + 1;
                else
                        elastic = c;
        }
        if (!input->width)
                widths->of[elastic] = longest(input, &columns[elastic]);
        else
                widths->of[elastic] = input->width > used + 8 ? input->width - used : 8;
}

/* Appends @text in @width columns, and a space if there is something before it. */
static int put(FILE *stream, bool first, const char *text, size_t width, bool right)
{
        _cleanup_free_ char *cut = text_ellipsize(text, width);
        size_t columns;

        if (!cut)
                return -ENOMEM;
        columns = text_width(cut);
        fprintf(stream, "%s%*s%s%*s", first ? "" : " ", (int) (right ? width - columns : 0), "", cut,
                        (int) (right ? 0 : width - columns), "");
        return 0;
}

/* Appends @text, which it takes over, as a line, cut to the width of the screen and without spaces at the end. */
static int add_line(struct frame *frame, const struct frame_input *input, char *text, enum frame_look look)
{
        char *cut = text ? text_ellipsize(text, input->width ?: SIZE_MAX) : NULL;
        size_t n;

        free(text);
        if (!cut)
                return -ENOMEM;
        for (n = strlen(cut); n > 0 && cut[n - 1] == ' '; n--)
                cut[n - 1] = '\0';
        frame->lines[frame->count++] = (struct frame_line){ cut, look };
        return 0;
}

/* A line of all columns: those of row @index, or the titles if it is -1. */
static int add_columns(struct frame *frame, const struct frame_input *input, const struct widths *widths, ssize_t index,
                enum frame_look look)
{
        const struct frame_column *columns = views[input->view].columns;
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        int r = stream ? 0 : -ENOMEM;

        for (size_t c = 0, shown = 0; r == 0 && c < views[input->view].count; c++) {
                _cleanup_free_ char *cell = NULL;

                if (widths->of[c] == SIZE_MAX)
                        continue;
                cell = index < 0 ? strdup(columns[c].title) : format_cell(input, &columns[c], index, widths->of[c]);
                r = cell ? put(stream, shown++ == 0, cell, widths->of[c], to_the_right(&columns[c])) : -ENOMEM;
        }
        if (stream && fclose(stream) != 0)
                r = -ENOMEM;
        if (r < 0) {
                free(text);
                return r;
        }
        return add_line(frame, input, text, look);
}

static enum frame_look look_of(const struct frame_input *input, size_t index)
{
        const json_t *row = json_array_get(input->rows, index);
        const char *state = field_string(row, "budget.state");

        if ((ssize_t) index == input->selected)
                return LOOK_SELECTED;
        if (json_is_false(json_object_get(row, "exists")))
                return LOOK_DIM;
        return strcmp(state, "max") == 0 ? LOOK_MAX : strcmp(state, "high") == 0 ? LOOK_HIGH : LOOK_PLAIN;
}

static int add_text(struct frame *frame, const struct frame_input *input, const char *text, enum frame_look look)
{
        return add_line(frame, input, strdup(text ?: ""), look);
}

int frame_make(struct frame *frame, const struct frame_input *input)
{
        size_t rows = json_array_size(input->rows), room = rows;
        struct widths widths;
        int r;

        *frame = (struct frame){ .lines = calloc(rows + input->height + FRAME_EXTRA_LINES, sizeof(*frame->lines)) };
        if (!frame->lines)
                return -ENOMEM;
        if (input->height)
                room = input->height > FRAME_EXTRA_LINES ? input->height - FRAME_EXTRA_LINES : 0;
        lay_out(input, &widths);
        r = add_text(frame, input, input->title, LOOK_TITLE);
        if (r == 0)
                r = add_text(frame, input, input->summary, LOOK_PLAIN);
        if (r == 0)
                r = add_text(frame, input, input->message, LOOK_PLAIN);
        if (r == 0)
                r = add_columns(frame, input, &widths, -1, LOOK_HEADER);
        for (size_t i = input->first; r == 0 && i < rows && frame->rows_shown < room; i++, frame->rows_shown++)
                r = add_columns(frame, input, &widths, i, look_of(input, i));
        while (r == 0 && input->keys && frame->count + 1 < input->height)
                r = add_text(frame, input, "", LOOK_PLAIN);
        return r == 0 && input->keys ? add_text(frame, input, input->keys, LOOK_DIM) : r;
}

void frame_deinit(struct frame *frame)
{
        for (size_t i = 0; i < frame->count; i++)
                free(frame->lines[i].text);
        free(frame->lines);
        *frame = (struct frame){};
}
