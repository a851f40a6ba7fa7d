/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/param.h>
#include <time.h>

#include "field.h"
#include "graph.h"
#include "markup.h"
#include "picture.h"
#include "svg.h"
#include "text.h"

/* The position of the plot, and of the marks of events and the times below it. */
#define LEFT   64
#define RIGHT  (SVG_WIDTH - 8)
#define TOP    10
#define BOTTOM 230
#define MARKS  (BOTTOM + 10)
#define TIMES  (BOTTOM + 24)
#define HEIGHT (BOTTOM + 44)

#define USEC      1000000ULL
#define HOUR_USEC (3600 * USEC)
#define DAY_USEC  (24 * HOUR_USEC)

struct plot {
        const struct report *report;
        uint64_t begin, end; /* microseconds since 1970 */
        uint64_t top;        /* bytes */
};

static double x_of(const struct plot *plot, uint64_t usec)
{
        return LEFT + (double) (RIGHT - LEFT) * (double) (usec - plot->begin) / (double) (plot->end - plot->begin);
}

static double y_of(const struct plot *plot, uint64_t bytes)
{
        return BOTTOM - (double) (BOTTOM - TOP) * bytes / plot->top;
}

/* The middle of the part of the time that point @i of @count covers. */
static uint64_t time_of(const struct report *report, size_t i, size_t count)
{
        return report->since + (report->until - report->since) * (2 * i + 1) / (2 * count);
}

/* What the @i-th peak of @workload is, or GRAPH_UNKNOWN. */
static uint64_t peak_of(const json_t *workload, size_t i)
{
        json_int_t value = json_integer_value(json_array_get(field_get(workload, "peaks"), i));

        return i < json_array_size(field_get(workload, "peaks")) && value >= 0 ? (uint64_t) value : GRAPH_UNKNOWN;
}

static void put_line(FILE *stream, const struct plot *plot, size_t index)
{
        const json_t *workload = json_array_get(plot->report->workloads, index);
        bool drawn = false;

        fprintf(stream, "<g class=\"c%u\"><title>", (unsigned int) picture_workload_color(plot->report, index));
        markup_text(stream, field_string(workload, "name"), MARKUP_TEXT_MAX);
        fputs("</title><path class=\"line\" d=\"", stream);
        for (size_t i = 0; i < plot->report->points; i++) {
                uint64_t peak = peak_of(workload, i), usec = time_of(plot->report, i, plot->report->points);

                if (peak == GRAPH_UNKNOWN || usec < plot->begin || usec > plot->end) {
                        drawn = false;
                        continue;
                }
                fprintf(stream, "%c%.1f %.1f", drawn ? 'L' : 'M', x_of(plot, usec), y_of(plot, peak));
                /* A line of one point is drawn as a dot, because lines have round ends. */
                if (!drawn)
                        fputs("h.01", stream);
                drawn = true;
        }
        /* Each peak covers a part of the time, so the line ends at the usage at the end. */
        if (drawn)
                fprintf(stream, "L%.1f %.1f", x_of(plot, plot->end),
                                y_of(plot, MIN(field_integer(workload, "after"), plot->top)));
        fputs("\"/></g>\n", stream);
}

static void put_scale(FILE *stream, const struct plot *plot)
{
        uint64_t step = svg_step(plot->top);
        char size[FORMAT_BYTES_MAX];

        for (uint64_t bytes = 0; bytes <= plot->top; bytes += step) {
                double y = y_of(plot, bytes);

                fprintf(stream, "<path class=\"%s\" d=\"M%d %.1fH%d\"/>", bytes ? "grid" : "axis", LEFT, y, RIGHT);
                svg_text(stream, (struct tile){ 0, y - 8, LEFT - 8, 16 }, "dim",
                                format_bytes_to(size, bytes, plot->report->options->bytes, 0), SVG_RIGHT);
        }
}

/* The first midnight, or the first hour that is a multiple of @hours, after @usec in local time. */
static uint64_t next_time(uint64_t usec, unsigned int hours)
{
        time_t seconds = usec / USEC;
        struct tm tm;

        localtime_r(&seconds, &tm);
        tm.tm_min = tm.tm_sec = 0;
        tm.tm_hour += hours - tm.tm_hour % hours;
        tm.tm_isdst = -1;
        return mktime(&tm) * USEC;
}

static void put_times(FILE *stream, const struct plot *plot)
{
        uint64_t span = plot->end - plot->begin;
        unsigned int hours = span > 3 * DAY_USEC ? 24 : span > DAY_USEC ? 6 : span > 8 * HOUR_USEC ? 2 : 1;
        char text[16];

        for (uint64_t usec = next_time(plot->begin, hours); usec < plot->end; usec = next_time(usec, hours)) {
                double x = x_of(plot, usec);
                time_t seconds = usec / USEC;
                struct tm tm;

                localtime_r(&seconds, &tm);
                strftime(text, sizeof(text), tm.tm_hour ? "%H:%M" : "%m-%d", &tm);
                fprintf(stream, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x, TOP, BOTTOM);
                svg_text(stream, (struct tile){ x - 40, TIMES, 80, 16 }, "dim", text, SVG_MIDDLE);
        }
}

static void put_mark(FILE *stream, unsigned int kind, double x)
{
        static const char *const shapes[REPORT_MARKS] = {
                [MARK_STATE] = "<circle class=\"mark-state\" cx=\"%.1f\" cy=\"%d\" r=\"3.5\"/>",
                [MARK_REFUSAL] = "<path class=\"mark-refusal\" d=\"M%.1f %dm-4 -4h8l-4 8z\"/>",
                [MARK_THROTTLE] = "<path class=\"mark-throttle\" d=\"M%.1f %dm-2.5 -4v8m5 0v-8\"/>",
        };

        fprintf(stream, shapes[kind], x, MARKS);
}

static void put_marks(FILE *stream, const struct plot *plot)
{
        for (unsigned int kind = 0; kind < REPORT_MARKS; kind++)
                for (size_t i = 0; i < REPORT_POINTS; i++) {
                        uint64_t usec = time_of(plot->report, i, REPORT_POINTS);

                        if (plot->report->marks[kind][i] && usec >= plot->begin && usec <= plot->end)
                                put_mark(stream, kind, x_of(plot, usec));
                }
        fputc('\n', stream);
}

uint64_t picture_workload_color(const struct report *report, size_t i)
{
        uint64_t colors[REPORT_WORKLOADS] = {}, used = 0;

        /* A workload has the color of its cgroup, so that both pictures match; the others get the remaining colors. */
        for (size_t k = 0; k < json_array_size(report->workloads); k++) {
                const char *path = field_string(json_array_get(report->workloads, k), "cgroup");

                colors[k] = MARKUP_COLORS;
                for (size_t c = 0; *path && c < MIN(json_array_size(report->cgroups), (size_t) MARKUP_COLORS); c++)
                        if (strcmp(field_string(json_array_get(report->cgroups, c), "path"), path) == 0)
                                colors[k] = c;
                used |= 1ULL << colors[k];
        }
        for (size_t k = 0; k <= i; k++) {
                uint64_t next = 0;

                while (colors[k] == MARKUP_COLORS && used & 1ULL << next)
                        next++;
                if (colors[k] == MARKUP_COLORS)
                        used |= 1ULL << (colors[k] = next);
        }
        return colors[i];
}

void picture_lines(FILE *stream, const struct report *report)
{
        struct plot plot = { .report = report, .begin = MAX(report->since, report->begin), .end = report->until };
        size_t count = json_array_size(report->workloads);

        if (plot.begin >= plot.end)
                plot.begin = report->since;
        plot.end = MAX(plot.end, plot.begin + 1);
        plot.top = MAX(field_integer(json_array_get(report->workloads, 0), "peak"), 1ULL);
        plot.top += plot.top / 20;
        svg_open(stream, "lines", HEIGHT, "BPF memory of the largest workloads over time",
                        "A line for each workload: its highest usage in each hour, and its usage at the end. Marks "
                        "below the plot are events. "
                        "The "
                        "table below has the figures.");
        put_scale(stream, &plot);
        put_times(stream, &plot);
        for (size_t i = count; i > 0; i--)
                put_line(stream, &plot, i - 1);
        put_marks(stream, &plot);
        svg_close(stream);
}
