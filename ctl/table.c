/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libsmartcols.h>

#include "base/cleanup.h"
#include "field.h"
#include "text.h"

/* The minimum width of a column that is cut, however narrow the terminal is. */
#define ELASTIC_WIDTH_MIN 8

/* --- Trees -------------------------------------------------------------------------------------------------------- */

/* The part of the path of @row after the path of the workload's own cgroup, if the workload has a name; else NULL. */
static const char *below_workload(const json_t *row)
{
        const char *path = field_string(row, "path"), *own = field_string(row, "workload.cgroup");
        size_t length = strlen(own);

        return length > 0 && *field_string(row, "workload.name") && strncmp(path, own, length) == 0 ? path + length
                                                                                                    : NULL;
}

char *cgroup_label(const json_t *row, const char *text)
{
        const char *below = below_workload(row);
        char *label;

        /* In a tree, only the workload's own cgroup shows the name, and the cgroups below it do not repeat it. */
        if (!below || (*below && *text != '/'))
                return strdup(text);
        return asprintf(&label, "%s%s", field_string(row, "workload.name"), below) < 0 ? NULL : label;
}

const char *tree_label(const json_t *row, const json_t *parent)
{
        const char *path = field_string(row, "path"), *above = field_string(parent, "path");

        if (!*path)
                return "(unknown)";
        if (!parent)
                return path;
        return strcmp(above, "/") == 0 ? path + 1 : path + strlen(above) + 1;
}

struct node {
        json_t *row;
        ssize_t parent; /* index of a node */
        ssize_t first_child, last_child, next;
};

/* The index of the nearest ancestor of @path; -1: none. */
static ssize_t find_parent(const json_t *by_path, const char *path)
{
        _cleanup_free_ char *copy = strdup(path);
        const json_t *index = NULL;
        char *slash;

        /* The root keeps its slash, and has no parent. */
        while (copy && !index && (slash = strrchr(copy, '/')) && slash[1]) {
                slash[slash == copy] = '\0';
                index = json_object_get(by_path, copy);
        }
        return index ? json_integer_value(index) : -1;
}

static void append_child(struct node *nodes, ssize_t *first, ssize_t *last, ssize_t child)
{
        if (*last >= 0)
                nodes[*last].next = child;
        else
                *first = child;
        *last = child;
}

/* Index by path of the rows that exist. NULL: no memory. */
static json_t *index_paths(const json_t *rows)
{
        json_t *by_path = json_object();

        for (size_t i = 0; by_path && i < json_array_size(rows); i++) {
                const json_t *row = json_array_get(rows, i);
                const char *path = field_string(row, "path");

                if (*path && !json_is_false(json_object_get(row, "exists")) &&
                                json_object_set_new(by_path, path, json_integer(i)) < 0) {
                        json_decref(by_path);
                        return NULL;
                }
        }
        return by_path;
}

/* Walks the nodes depth first. @order[i] is the node that comes i-th. */
static void walk(const struct node *nodes, ssize_t first, size_t *order)
{
        size_t n = 0;

        for (ssize_t i = first; i >= 0;) {
                order[n++] = i;
                if (nodes[i].first_child >= 0) {
                        i = nodes[i].first_child;
                        continue;
                }
                while (i >= 0 && nodes[i].next < 0)
                        i = nodes[i].parent;
                if (i >= 0)
                        i = nodes[i].next;
        }
}

int table_make_tree(json_t *rows, ssize_t **parents)
{
        size_t n = json_array_size(rows);
        _cleanup_free_ struct node *nodes = calloc(n + 1, sizeof(*nodes));
        _cleanup_free_ size_t *order = calloc(n + 1, sizeof(*order)), *place = calloc(n + 1, sizeof(*place));
        ssize_t *result = calloc(n + 1, sizeof(*result)), first = -1, last = -1;
        json_t *by_path = index_paths(rows);

        if (!nodes || !order || !place || !result || !by_path) {
                free(result);
                json_decref(by_path);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++) {
                json_t *row = json_array_get(rows, i);

                nodes[i] = (struct node){ json_incref(row), find_parent(by_path, field_string(row, "path")), -1, -1,
                        -1 };
        }
        json_decref(by_path);
        for (size_t i = 0; i < n; i++) {
                struct node *parent = nodes[i].parent >= 0 ? &nodes[nodes[i].parent] : NULL;

                append_child(nodes, parent ? &parent->first_child : &first, parent ? &parent->last_child : &last, i);
        }
        walk(nodes, first, order);
        for (size_t i = 0; i < n; i++)
                place[order[i]] = i;
        for (size_t i = 0; i < n; i++) {
                const struct node *node = &nodes[order[i]];

                result[i] = node->parent >= 0 ? (ssize_t) place[node->parent] : -1;
                json_array_set_new(rows, i, node->row);
        }
        *parents = result;
        return 0;
}

/* --- Cells -------------------------------------------------------------------------------------------------------- */

bool column_descends(const struct column *column)
{
        return column->cell == CELL_SIZE || column->cell == CELL_NUMBER || column->cell == CELL_PERCENT ||
               column->cell == CELL_COMMITTED;
}

const struct column *column_find(const struct column *columns, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcasecmp(columns[i].title, name) == 0)
                        return &columns[i];
        return NULL;
}

/* The elements of a list, joined. */
static char *join(const json_t *list, enum cell cell)
{
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *element = json_array_get(list, i);

                fputs(i ? ", " : "", stream);
                if (cell == CELL_HOLDERS)
                        fprintf(stream, "%s[%llu]", field_string(element, "comm"),
                                        (unsigned long long) field_integer(element, "pid"));
                else if (json_is_string(element))
                        fputs(json_string_value(element), stream);
                else
                        fprintf(stream, "%lld", (long long) json_integer_value(element));
        }
        if (json_array_size(list) == 0)
                fputc('-', stream);
        if (fclose(stream) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static char *format_cgroup(const struct table *table, const json_t *row, const struct column *column, ssize_t parent)
{
        const char *path = field_string(row, column->field);
        bool gone = json_is_false(json_object_get(row, "exists"));
        _cleanup_free_ char *label = NULL;
        char *text;

        if (table->parents)
                path = tree_label(row, parent >= 0 ? json_array_get(table->rows, parent) : NULL);
        label = cgroup_label(row, *path ? path : "(unknown)");
        return !label || asprintf(&text, "%s%s", label, gone ? " (gone)" : "") < 0 ? NULL : text;
}

/* A state, and whether xattrs of the owner are ignored; explain shows the details. */
static char *format_state(const json_t *row, const char *state)
{
        bool ignored = json_array_size(field_get(row, "budget.ignored")) > 0;
        char *text;

        return asprintf(&text, "%s%s", state, ignored ? " (xattr ignored)" : "") < 0 ? NULL : text;
}

static char *format_committed(const struct table *table, const json_t *row, const struct column *column)
{
        char buffer[FORMAT_BYTES_MAX], *text;

        format_bytes(buffer, field_integer(row, column->field), table->bytes);
        return asprintf(&text, "%s%s", buffer, field_integer(row, "bpf.unboundedCount") ? "+" : "") < 0 ? NULL : text;
}

/* The file of a budget and its drop-ins. */
static char *format_files(const json_t *row, const char *file)
{
        const json_t *dropins = json_object_get(row, "dropIns");
        _cleanup_free_ char *list = json_array_size(dropins) > 0 ? join(dropins, CELL_LIST) : strdup("");
        char *text;

        return !list || asprintf(&text, "%s%s%s", file, *list ? ", " : "", list) < 0 ? NULL : text;
}

char *table_cell(const struct table *table, const struct column *column, size_t index)
{
        const json_t *row = json_array_get(table->rows, index), *value = field_get(row, column->field);
        char buffer[FORMAT_BYTES_MAX];
        char *text;

        if (column->cell == CELL_CGROUP)
                return format_cgroup(table, row, column, table->parents ? table->parents[index] : -1);
        if (!value)
                return strdup(column->cell == CELL_PINS ? "not seen" : "-");
        switch (column->cell) {
        case CELL_SIZE:
                return strdup(format_bytes(buffer, field_integer(row, column->field), table->bytes));
        case CELL_COMMITTED:
                return format_committed(table, row, column);
        case CELL_YES_NO:
                return strdup(json_is_true(value) ? "yes" : "no");
        case CELL_LIST:
        case CELL_PINS:
        case CELL_HOLDERS:
                return join(value, column->cell);
        case CELL_FILES:
                return format_files(row, json_string_value(value) ?: "");
        case CELL_STATE:
                return format_state(row, json_string_value(value) ?: "");
        default:
                break;
        }
        if (json_is_string(value))
                return strdup(json_string_value(value));
        return asprintf(&text, "%lld%s", (long long) json_integer_value(value),
                               column->cell == CELL_PERCENT ? "%" : "") < 0
                               ? NULL
                               : text;
}

/* The color of a state, or of a truth value that needs attention. */
static const char *color_of(const struct column *column, const char *text)
{
        static const struct {
                const char *text, *color;
        } colors[] = {
                { "max", "red" },
                { "high", "yellow" },
                { "ok", "green" },
                { "no", "yellow" },
        };

        if (column->cell != CELL_STATE && column->cell != CELL_YES_NO)
                return NULL;
        for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
                if (strcmp(colors[i].text, text) == 0)
                        return colors[i].color;
        return NULL;
}

/* --- Output ------------------------------------------------------------------------------------------------------- */

struct layout {
        size_t n;       /* columns */
        char **cells;   /* row by row */
        size_t *widths; /* of each column */
};

static void free_layout(struct layout *layout, size_t rows)
{
        for (size_t i = 0; layout->cells && i < rows * layout->n; i++)
                free(layout->cells[i]);
        free(layout->cells);
        free(layout->widths);
}

static int fill(const struct table *table, struct layout *layout)
{
        size_t rows = json_array_size(table->rows), n = table->column_count;

        *layout = (struct layout){ n, calloc(rows * n + 1, sizeof(char *)), calloc(n, sizeof(size_t)) };
        if (!layout->cells || !layout->widths)
                return -ENOMEM;
        for (size_t c = 0; c < n; c++)
                layout->widths[c] = table->legend ? strlen(table->columns[c].title) : 1;
        for (size_t i = 0; i < rows * n; i++) {
                size_t width;

                layout->cells[i] = table_cell(table, &table->columns[i % n], i / n);
                if (!layout->cells[i])
                        return -ENOMEM;
                width = text_width(layout->cells[i]);
                if (width > layout->widths[i % n])
                        layout->widths[i % n] = width;
        }
        return 0;
}

static size_t whole_width(const struct layout *layout)
{
        size_t whole = layout->n - 1;

        for (size_t c = 0; c < layout->n; c++)
                whole += layout->widths[c];
        return whole;
}

/* Makes the widest elastic columns narrower until the line fits. The first column of a tree is left to smartcols. */
static void squeeze(const struct table *table, struct layout *layout)
{
        size_t whole = whole_width(layout);

        while (table->width && whole > table->width) {
                size_t *widest = NULL;

                for (size_t c = table->parents ? 1 : 0; c < layout->n; c++)
                        if (table->columns[c].elastic && (!widest || layout->widths[c] > *widest))
                                widest = &layout->widths[c];
                if (!widest || *widest <= ELASTIC_WIDTH_MIN)
                        break;
                (*widest)--;
                whole--;
        }
}

static int set_cell(const struct table *table, struct libscols_line *line, size_t c, const char *text, size_t width)
{
        const char *color = color_of(&table->columns[c], text);
        bool squeezed = table->width && table->columns[c].elastic && !(table->parents && c == 0);
        char *cut;

        cut = text_ellipsize(text, squeezed ? width : SIZE_MAX);
        if (!cut)
                return -ENOMEM;
        if (scols_line_refer_data(line, c, cut) < 0) {
                free(cut);
                return -ENOMEM;
        }
        if (color && table->colors && scols_cell_set_color(scols_line_get_cell(line, c), color) < 0)
                return -ENOMEM;
        return 0;
}

static int add_lines(const struct table *table, const struct layout *layout, struct libscols_table *lines)
{
        size_t rows = json_array_size(table->rows);
        _cleanup_free_ struct libscols_line **added = calloc(rows + 1, sizeof(*added));
        int r = added ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < rows; i++) {
                ssize_t parent = table->parents ? table->parents[i] : -1;

                added[i] = scols_table_new_line(lines, parent >= 0 ? added[parent] : NULL);
                if (!added[i])
                        return -ENOMEM;
                if (table->colors && json_is_false(json_object_get(json_array_get(table->rows, i), "exists")))
                        r = scols_line_set_color(added[i], "darkgray");
                for (size_t c = 0; r == 0 && c < layout->n; c++)
                        r = set_cell(table, added[i], c, layout->cells[i * layout->n + c], layout->widths[c]);
        }
        return r < 0 ? -ENOMEM : 0;
}

static int add_columns(const struct table *table, struct libscols_table *lines)
{
        for (size_t c = 0; c < table->column_count; c++) {
                int flags = column_descends(&table->columns[c]) ? SCOLS_FL_RIGHT : 0;
                /* A title would widen its column even if titles are not shown. */
                const char *title = table->legend ? table->columns[c].title : "";

                if (table->parents && c == 0)
                        flags |= SCOLS_FL_TREE | SCOLS_FL_TRUNC;
                if (!scols_table_new_column(lines, title, 0, flags))
                        return -ENOMEM;
        }
        return 0;
}

static int print(const struct table *table, const struct layout *layout, FILE *file)
{
        struct libscols_table *lines = scols_new_table();
        int r = lines ? 0 : -ENOMEM;

        if (r == 0) {
                scols_table_set_stream(lines, file);
                scols_table_enable_colors(lines, table->colors);
                scols_table_enable_noheadings(lines, !table->legend);
                /*
                 * libsmartcols would escape the "\x2d" of unit names again; text_ellipsize() has already replaced
                 * everything unsafe.
                 */
                scols_table_enable_noencoding(lines, true);
                if (!text_is_utf8())
                        scols_table_enable_ascii(lines, true);
                /* The stream may lead to a pager on the same terminal. */
                scols_table_set_termforce(lines, table->width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
                if (table->width)
                        scols_table_set_termwidth(lines, table->width);
                r = add_columns(table, lines);
        }
        if (r == 0)
                r = add_lines(table, layout, lines);
        if (r == 0 && (scols_print_table(lines) < 0 || fflush(file) == EOF))
                r = -EIO;
        scols_unref_table(lines);
        return r;
}

static int print_columns(const struct table *table, FILE *file)
{
        struct layout layout;
        int r = fill(table, &layout);

        if (r == 0) {
                squeeze(table, &layout);
                r = print(table, &layout, file);
        }
        free_layout(&layout, json_array_size(table->rows));
        return r;
}

/* Whether all columns fit without being cut. Returns 1 or 0, or -ENOMEM. */
static int has_room(const struct table *table)
{
        struct layout layout;
        int r = fill(table, &layout);

        if (r == 0)
                r = !table->width || whole_width(&layout) <= table->width;
        free_layout(&layout, json_array_size(table->rows));
        return r;
}

int table_print(const struct table *table, FILE *file)
{
        _cleanup_free_ struct column *columns = calloc(table->column_count, sizeof(*columns));
        struct table narrow = *table;
        int r = !columns ? -ENOMEM : !table->width ? 1 : has_room(table);

        if (r < 0)
                return r;
        if (r > 0)
                return print_columns(table, file);
        narrow.columns = columns;
        narrow.column_count = 0;
        for (size_t c = 0; c < table->column_count; c++)
                if (!table->columns[c].spare)
                        columns[narrow.column_count++] = table->columns[c];
        return print_columns(&narrow, file);
}
