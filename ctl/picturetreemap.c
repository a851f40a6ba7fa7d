/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "field.h"
#include "markup.h"
#include "orphans.h"
#include "picture.h"
#include "svg.h"
#include "table.h"
#include "text.h"

#define HEIGHT 440

/*
 * For the tile of a cgroup: the height of the line with its name, the space around its objects, and the minimum size to
 * show them.
 */
#define HEAD            20
#define MARGIN          3
#define TILE_WIDTH_MIN  60
#define TILE_HEIGHT_MIN (HEAD + 24)

/* The maximum number of objects of a cgroup; all its other objects are one tile without a name. */
#define OBJECTS_MAX 64

static void put_rectangle(FILE *stream, const char *class, struct tile tile)
{
        fprintf(stream, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", class, tile.x,
                        tile.y, tile.width, tile.height);
}

static struct tile shrink(struct tile tile, double above, double margin)
{
        return (struct tile){ tile.x + margin, tile.y + above, tile.width - 2 * margin, tile.height - above - margin };
}

static void put_object(FILE *stream, const struct report *report, struct tile tile, const json_t *object)
{
        char id[ORPHAN_NAME_MAX], size[FORMAT_BYTES_MAX];
        const char *name = field_string(object, "name");

        format_bytes(size, field_integer(object, "allocated"), report->options->bytes);
        orphan_name(object, id);
        fprintf(stream, "<g><title>%s ", id);
        markup_text(stream, field_string(object, "type"), MARKUP_NAME_SIZE);
        fputc(' ', stream);
        markup_text(stream, name, MARKUP_NAME_SIZE);
        fprintf(stream, ": %s</title>", size);
        put_rectangle(stream, "object", tile);
        if (svg_text(stream, shrink(tile, 3, 5), "small", *name ? name : id, SVG_LEFT))
                svg_text(stream, shrink(tile, 17, 5), "small dim", size, SVG_LEFT);
        fputs("</g>\n", stream);
}

/* Finds the largest objects of @cgroup, and the size of all its other objects. Returns the number of objects found. */
static size_t find_objects(const struct report *report, const json_t *cgroup, const json_t *objects[OBJECTS_MAX],
                uint64_t values[OBJECTS_MAX + 1])
{
        uint64_t rest = field_integer(cgroup, "self.allocated"), id = field_integer(cgroup, "id");
        size_t count = 0;

        for (size_t i = 0; i < json_array_size(report->objects) && count < OBJECTS_MAX; i++) {
                const json_t *object = json_array_get(report->objects, i);
                uint64_t bytes = field_integer(object, "allocated");

                /* An object may have grown since the cgroups were listed. */
                if (field_integer(object, "cgroupId") != id || bytes > rest)
                        continue;
                values[count] = bytes;
                objects[count++] = object;
                rest -= bytes;
        }
        values[count] = rest;
        return count;
}

static void put_objects(FILE *stream, const struct report *report, struct tile area, const json_t *cgroup)
{
        const json_t *objects[OBJECTS_MAX];
        uint64_t values[OBJECTS_MAX + 1];
        struct tile tiles[OBJECTS_MAX + 1];
        size_t count = find_objects(report, cgroup, objects, values);

        treemap_layout(values, count + 1, area, tiles);
        for (size_t i = 0; i < count; i++)
                put_object(stream, report, tiles[i], objects[i]);
        if (values[count] > 0)
                put_rectangle(stream, "object", tiles[count]);
}

/* Writes the name of a tile and its size, if there is room. */
static void put_head(FILE *stream, struct tile tile, const char *label, const char *size)
{
        struct tile line = shrink(tile, 4, 6);
        double width = svg_text_width(size) + 8;
        const char *last = strrchr(label, '/');

        /* If the path does not fit, its last component says more than a cut path. */
        if (svg_text_width(label) > line.width && last && last[1])
                label = last + 1;
        if (line.width > width + svg_text_width("0123456789abcdef")) {
                svg_text(stream, line, "head dim", size, SVG_RIGHT);
                line.width -= width;
        }
        svg_text(stream, line, "head", label, SVG_LEFT);
}

static int put_cgroup(FILE *stream, const struct report *report, struct tile tile, size_t i)
{
        const json_t *cgroup = json_array_get(report->cgroups, i);
        const char *path = field_string(cgroup, "path");
        _cleanup_free_ char *label = cgroup_label(cgroup, *path ? path : "(unknown)");
        char size[FORMAT_BYTES_MAX];

        if (!label)
                return -ENOMEM;
        format_bytes(size, field_integer(cgroup, "self.allocated"), report->options->bytes);
        fprintf(stream, "<g class=\"c%u\"><title>", (unsigned int) picture_cgroup_color(i));
        markup_text(stream, label, MARKUP_TEXT_MAX);
        fprintf(stream, ": %s</title>", size);
        put_rectangle(stream, "tile", tile);
        put_head(stream, tile, label, size);
        if (tile.width >= TILE_WIDTH_MIN && tile.height >= TILE_HEIGHT_MIN)
                put_objects(stream, report, shrink(tile, HEAD, MARGIN), cgroup);
        fputs("</g>\n", stream);
        return 0;
}

static void put_rest(FILE *stream, const struct report *report, struct tile tile, uint64_t bytes)
{
        char size[FORMAT_BYTES_MAX], label[48] = "Others";
        size_t shown = json_array_size(report->cgroups);

        if (report->cgroup_count > shown)
                snprintf(label, sizeof(label), "%llu other cgroups", (unsigned long long) report->cgroup_count - shown);
        format_bytes(size, bytes, report->options->bytes);
        fprintf(stream, "<g class=\"c%d\"><title>%s: %s</title>", MARKUP_COLORS, label, size);
        put_rectangle(stream, "tile", tile);
        put_head(stream, tile, label, size);
        fputs("</g>\n", stream);
}

uint64_t picture_cgroup_color(size_t i)
{
        return i < MARKUP_COLORS ? i : MARKUP_COLORS;
}

/* The size of the @i-th cgroup without its subtree, in bytes. */
static uint64_t own_of(const struct report *report, size_t i)
{
        return field_integer(json_array_get(report->cgroups, i), "self.allocated");
}

int picture_treemap(FILE *stream, const struct report *report)
{
        uint64_t values[REPORT_CGROUPS + 1] = {}, whole = field_integer(report->root, "bpf.allocated");
        struct tile tiles[REPORT_CGROUPS + 1];
        size_t count = json_array_size(report->cgroups), rest = 0;
        int r = 0;

        /* Insert the rest at its place by size: tiles are closest to squares if the values are in descending order. */
        values[count] = whole > report->cgroup_bytes ? whole - report->cgroup_bytes : 0;
        while (rest < count && own_of(report, rest) >= values[count])
                rest++;
        values[rest] = values[count];
        for (size_t i = 0; i < count; i++)
                values[i + (i >= rest)] = own_of(report, i);
        treemap_layout(values, count + 1, (struct tile){ 0, 0, SVG_WIDTH, HEIGHT }, tiles);
        svg_open(stream, "treemap", HEIGHT, "BPF memory by cgroup",
                        "A treemap: the area of a tile is the memory of a cgroup without its subtree; the tiles in it "
                        "are "
                        "maps and programs. The table below has the figures.");
        for (size_t i = 0; r == 0 && i < count; i++)
                r = put_cgroup(stream, report, tiles[i + (i >= rest)], i);
        if (r == 0 && values[rest] > 0)
                put_rest(stream, report, tiles[rest], values[rest]);
        svg_close(stream);
        return r;
}
