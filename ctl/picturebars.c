/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "field.h"
#include "markup.h"
#include "picture.h"
#include "svg.h"
#include "table.h"
#include "text.h"

/* Columns: the cgroup, its bar, its figures. */
#define BAR        330
#define BAR_WIDTH  470
#define FIGURES    (BAR + BAR_WIDTH + 10)
#define ROW_HEIGHT 24
#define BAR_HEIGHT 14

static int put_label(FILE *stream, const json_t *cgroup, double y)
{
        const char *path = field_string(cgroup, "path");
        _cleanup_free_ char *label = cgroup_label(cgroup, *path ? path : "(unknown)");

        if (!label)
                return -ENOMEM;
        svg_text(stream, (struct tile){ 0, y, BAR - 10, ROW_HEIGHT }, "", label, SVG_LEFT);
        return 0;
}

static void put_figures(FILE *stream, const struct report *report, const json_t *budget, uint64_t full, double y)
{
        bool bytes = report->options->bytes;
        char usage[FORMAT_BYTES_MAX], limit[FORMAT_BYTES_MAX], text[3 * FORMAT_BYTES_MAX];

        snprintf(text, sizeof(text), "%s of %s", format_bytes(usage, field_integer(budget, "usage"), bytes),
                        format_bytes(limit, full, bytes));
        svg_text(stream, (struct tile){ FIGURES, y, SVG_WIDTH - FIGURES, ROW_HEIGHT }, "", text, SVG_RIGHT);
}

/* The state, if it is one that the style sheet has. */
static const char *state_class(const json_t *budget)
{
        const char *state = field_string(budget, "state");

        return strcmp(state, "high") == 0 || strcmp(state, "max") == 0 ? state : "ok";
}

static int put_bar(FILE *stream, const struct report *report, const json_t *cgroup, double y)
{
        const json_t *budget = field_get(cgroup, "budget");
        uint64_t high = field_integer(budget, "high"), full = field_integer(budget, "max") ?: high;
        double part = fmin(1, (double) field_integer(budget, "usage") / full);
        int r = put_label(stream, cgroup, y + 3);

        if (r < 0)
                return r;
        fprintf(stream, "<rect class=\"room\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" rx=\"2\"/>", BAR, y + 5,
                        BAR_WIDTH, BAR_HEIGHT);
        fprintf(stream, "<rect class=\"bar %s\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>",
                        state_class(budget), BAR, y + 5, part * BAR_WIDTH, BAR_HEIGHT);
        if (high > 0 && high < full)
                fprintf(stream, "<path class=\"limit\" d=\"M%.1f %.1fv%d\"/>", BAR + BAR_WIDTH * (double) high / full,
                                y + 2, BAR_HEIGHT + 6);
        put_figures(stream, report, budget, full, y + 3);
        fputc('\n', stream);
        return 0;
}

/* Limits of numbers of objects have no bar. */
static bool has_bar(const json_t *cgroup)
{
        return field_integer(cgroup, "budget.high+budget.max") > 0;
}

int picture_bars(FILE *stream, const struct report *report)
{
        size_t rows = 0, at = 0;
        int r = 0;

        for (size_t i = 0; i < json_array_size(report->budgets); i++)
                rows += has_bar(json_array_get(report->budgets, i));
        if (rows == 0)
                return 0;
        svg_open(stream, "bars", rows * ROW_HEIGHT, "Usage of budgets",
                        "A bar for each cgroup with a budget: its usage in proportion to Max, or to High if there is "
                        "no Max. "
                        "The table below has the figures.");
        for (size_t i = 0; r == 0 && i < json_array_size(report->budgets); i++)
                if (has_bar(json_array_get(report->budgets, i)))
                        r = put_bar(stream, report, json_array_get(report->budgets, i), at++ * ROW_HEIGHT);
        svg_close(stream);
        return r;
}
