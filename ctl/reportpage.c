/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reportpage.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "build.h"
#include "ctl/reportstyle.h"
#include "field.h"
#include "markup.h"
#include "orphans.h"
#include "past.h"
#include "picture.h"
#include "text.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define USEC          1000000ULL
#define HOUR_USEC     (3600 * USEC)

/* Rows of the tables of cgroups and objects: pictures have more. */
#define CGROUP_ROWS 12
#define OBJECT_ROWS 20

static const struct column cgroup_columns[] = {
        { "", "swatch", CELL_SWATCH },
        { "CGROUP", "path", CELL_CGROUP, true },
        { "ALLOCATED", "self.allocated", CELL_SIZE },
        { "CHARGED", "self.charged", CELL_SIZE },
        { "UNCHARGED", "self.uncharged", CELL_SIZE },
        { "SHARE", "share", CELL_PERCENT },
        { "MAPS", "self.mapCount", CELL_NUMBER },
        { "PROGRAMS", "self.programCount", CELL_NUMBER },
};

static const struct column workload_columns[] = {
        { "", "swatch", CELL_SWATCH },
        { "WORKLOAD", "name", CELL_TEXT, true },
        { "KIND", "kind", CELL_TEXT },
        { "FIRST", "before", CELL_SIZE },
        { "LAST", "after", CELL_SIZE },
        { "PEAK", "peak", CELL_SIZE },
        { "CHANGES", "changes", CELL_NUMBER },
        { "LARGEST-STEP", "largestStep", CELL_SIZE },
};

static const struct column budget_columns[] = {
        { "CGROUP", "path", CELL_CGROUP, true },
        { "BUDGET", "budget.name", CELL_TEXT },
        { "USAGE", "budget.usage", CELL_SIZE },
        { "HIGH", "budget.high", CELL_SIZE },
        { "MAX", "budget.max", CELL_SIZE },
        { "MAPS-MAX", "budget.mapsMax", CELL_NUMBER },
        { "REFUSALS", "budget.events.denied", CELL_NUMBER },
        { "PAUSES", "budget.events.throttled", CELL_NUMBER },
        { "STATE", "budget.state", CELL_STATE },
};

static const struct column object_columns[] = {
        { "OBJECT", "object", CELL_TEXT },
        { "TYPE", "type", CELL_TEXT },
        { "NAME", "name", CELL_TEXT },
        { "CGROUP", "cgroup", CELL_CGROUP, true },
        { "ALLOCATED", "allocated", CELL_SIZE },
        { "CHARGED", "charged", CELL_SIZE },
        { "UNCHARGED", "uncharged", CELL_SIZE },
        { "FULL", "full", CELL_PERCENT },
};

/* --- Parts -------------------------------------------------------------------------------------------------------- */

static void begin_section(FILE *stream, const char *id, const char *title)
{
        fprintf(stream, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">%s</h2>\n", id, id, id, title);
}

static void end_section(FILE *stream)
{
        fputs("</section>\n", stream);
}

/* A sentence below a title; this program's own words. */
static void note(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(FILE *stream, const char *format, ...)
{
        va_list arguments;

        fputs("<p class=\"note\">", stream);
        va_start(arguments, format);
        vfprintf(stream, format, arguments);
        va_end(arguments);
        fputs("</p>\n", stream);
}

static int put_table(
                FILE *stream, const struct report *report, const struct column *columns, size_t n, const json_t *rows)
{
        struct table table = {
                .columns = columns,
                .column_count = n,
                .rows = rows,
                .bytes = report->options->bytes,
        };

        return markup_table(stream, &table);
}

static void format_time(uint64_t usec, char buffer[32])
{
        time_t seconds = usec / USEC;
        struct tm tm;

        strftime(buffer, 32, "%Y-%m-%d %H:%M", localtime_r(&seconds, &tm));
}

/* @part as a percentage of @whole. */
static json_t *share(uint64_t part, uint64_t whole)
{
        return whole ? json_integer(lround(100.0 * part / whole)) : json_null();
}

/* --- Head --------------------------------------------------------------------------------------------------------- */

static void put_facilities(FILE *stream, const struct report *report)
{
        fputs("<ul class=\"facilities\">", stream);
        for (size_t i = 0; i < json_array_size(report->facilities); i++) {
                const json_t *facility = json_array_get(report->facilities, i);
                const char *level = field_string(facility, "level");

                fprintf(stream, "<li class=\"%s\">",
                                strcmp(level, "full") == 0   ? "ok"
                                : strcmp(level, "none") == 0 ? "max"
                                                             : "high");
                markup_text(stream, field_string(facility, "name"), MARKUP_NAME_SIZE);
                fputs(" <b>", stream);
                markup_text(stream, level, MARKUP_NAME_SIZE);
                fputs("</b></li>", stream);
        }
        fputs("</ul>\n", stream);
}

static void put_head(FILE *stream, const struct report *report)
{
        time_t seconds = report->usec / USEC;
        char text[64];
        struct tm tm;

        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", localtime_r(&seconds, &tm));
        fputs("<header>\n<p class=\"kind\">BPF memory report</p>\n<h1>", stream);
        markup_text(stream, report->host.nodename, MARKUP_NAME_SIZE);
        fputs("</h1>\n<dl class=\"facts\"><div><dt>Time</dt><dd>", stream);
        markup_text(stream, text, sizeof(text));
        fputs("</dd></div><div><dt>Kernel</dt><dd>", stream);
        markup_text(stream, report->host.release, MARKUP_NAME_SIZE);
        fputc(' ', stream);
        markup_text(stream, report->host.machine, MARKUP_NAME_SIZE);
        fputs("</dd></div><div><dt>bpfbudgetd</dt><dd>", stream);
        if (report->daemon)
                markup_text(stream, field_string(report->daemon, "version"), MARKUP_NAME_SIZE);
        else
                fputs("not asked (--direct)", stream);
        fputs("</dd></div></dl>\n", stream);
        put_facilities(stream, report);
        fputs("</header>\n", stream);
}

/* Writes one of the figures at the top of the page. */
static void figure(FILE *stream, const char *class, const char *title, const char *value, const char *format, ...)
                __attribute__((format(printf, 5, 6)));
static void figure(FILE *stream, const char *class, const char *title, const char *value, const char *format, ...)
{
        va_list arguments;

        fprintf(stream, "<div class=\"%s\"><dt>%s</dt><dd>%s</dd><dd class=\"detail\">", class, title, value);
        va_start(arguments, format);
        vfprintf(stream, format, arguments);
        va_end(arguments);
        fputs("</dd></div>\n", stream);
}

static void put_figures(FILE *stream, const struct report *report)
{
        const json_t *usage = field_get(report->root, "bpf");
        uint64_t allocated = field_integer(usage, "allocated"), unbounded = field_integer(usage, "unboundedCount");
        char text[FORMAT_BYTES_MAX];
        bool bytes = report->options->bytes;

        fputs("<dl class=\"figures\">\n", stream);
        figure(stream, "", "Allocated", format_bytes(text, allocated, bytes), "%llu objects",
                        (unsigned long long) field_integer(usage, "objects"));
        figure(stream, "", "Charged", format_bytes(text, field_integer(usage, "charged"), bytes), "to memory cgroups");
        figure(stream, "", "Uncharged", format_bytes(text, field_integer(usage, "uncharged"), bytes),
                        "in no memory.max");
        figure(stream, "", "Committed", format_bytes(text, field_integer(usage, "committed"), bytes),
                        unbounded ? "and %llu without a ceiling" : "the sum of ceilings",
                        (unsigned long long) unbounded);
        if (!report->options->direct) {
                snprintf(text, sizeof(text), "%llu", (unsigned long long) report->over_count);
                figure(stream, report->over_count ? "high" : "", "Over a limit", text, "of %llu with a budget",
                                (unsigned long long) report->budget_count);
                figure(stream, "", "Orphans", format_bytes(text, report->orphan_bytes, bytes), "%llu objects",
                                (unsigned long long) report->orphan_count);
        }
        fputs("</dl>\n", stream);
}

/* --- Sections ----------------------------------------------------------------------------------------------------- */

/* The row with the sum of everything that the table does not list. NULL: no memory. */
static json_t *rest_row(const struct report *report, const json_t *rows)
{
        static const char *const fields[] = { "allocated", "charged", "uncharged", "mapCount", "programCount" };
        uint64_t whole = field_integer(report->root, "bpf.allocated"), rest[LENGTH(fields)];
        char path[32], own[32];

        for (size_t i = 0; i < LENGTH(fields); i++) {
                uint64_t shown = 0;

                snprintf(path, sizeof(path), "bpf.%s", fields[i]);
                snprintf(own, sizeof(own), "self.%s", fields[i]);
                for (size_t k = 0; k < json_array_size(rows); k++)
                        shown += field_integer(json_array_get(rows, k), own);
                rest[i] = field_integer(report->root, path);
                rest[i] -= shown < rest[i] ? shown : rest[i];
        }
        return json_pack("{si ss so s{sI sI sI sI sI}}", "swatch", MARKUP_COLORS, "path", "All others", "share",
                        share(rest[0], whole), "self", fields[0], (json_int_t) rest[0], fields[1], (json_int_t) rest[1],
                        fields[2], (json_int_t) rest[2], fields[3], (json_int_t) rest[3], fields[4],
                        (json_int_t) rest[4]);
}

static int put_cgroups(FILE *stream, struct report *report)
{
        uint64_t whole = field_integer(report->root, "bpf.allocated");
        json_t *rows = json_array();
        int r = rows ? picture_treemap(stream, report) : -ENOMEM;

        for (size_t i = 0; r == 0 && i < json_array_size(report->cgroups) && i < CGROUP_ROWS; i++) {
                json_t *row = json_array_get(report->cgroups, i);

                json_object_set_new(row, "swatch", json_integer(picture_cgroup_color(i)));
                json_object_set_new(row, "share", share(field_integer(row, "self.allocated"), whole));
                r = json_array_append(rows, row) < 0 ? -ENOMEM : 0;
        }
        if (r == 0 && report->cgroup_count > json_array_size(rows) &&
                        json_array_append_new(rows, rest_row(report, rows)) < 0)
                r = -ENOMEM;
        if (r == 0)
                r = put_table(stream, report, cgroup_columns, LENGTH(cgroup_columns), rows);
        json_decref(rows);
        return r;
}

static int put_who(FILE *stream, struct report *report)
{
        int r = 0;

        begin_section(stream, "cgroups", "Who has what");
        if (field_integer(report->root, "bpf.allocated") == 0)
                note(stream, "There are no maps and programs.");
        else {
                note(stream, "Memory of %llu %s, each without its subtree; the tiles in them are maps and programs.",
                                (unsigned long long) report->cgroup_count,
                                report->cgroup_count == 1 ? "cgroup" : "cgroups");
                r = put_cgroups(stream, report);
        }
        end_section(stream);
        return r;
}

/* Whether a section is empty because only a daemon has its data; then writes this. */
static bool is_missing(FILE *stream, const struct report *report, const char *what)
{
        if (report->options->direct)
                note(stream, "%s not available with <code>--direct</code>: the daemon has them.", what);
        return report->options->direct;
}

static void put_legend(FILE *stream)
{
        fputs("<p class=\"legend\"><span><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><circle "
              "class=\"mark-state\" cx=\"6\" "
              "cy=\"6\" r=\"3.5\"/></svg>change of state</span><span><svg width=\"12\" height=\"12\" "
              "aria-hidden=\"true\"><path "
              "class=\"mark-refusal\" d=\"M6 6m-4 -4h8l-4 8z\"/></svg>refusal</span><span><svg width=\"12\" "
              "height=\"12\" "
              "aria-hidden=\"true\"><path class=\"mark-throttle\" d=\"M6 6m-2.5 -4v8m5 "
              "0v-8\"/></svg>pause</span></p>\n",
                        stream);
}

static int put_workloads(FILE *stream, struct report *report)
{
        char begin[32], end[32];

        for (size_t i = 0; i < json_array_size(report->workloads); i++)
                json_object_set_new(json_array_get(report->workloads, i), "swatch",
                                json_integer(picture_workload_color(report, i)));
        format_time(report->since > report->begin ? report->since : report->begin, begin);
        format_time(report->until, end);
        note(stream,
                        "Highest usage of the %zu largest of %llu workloads by the hour, from %s to %s; %llu hours of "
                        "it were recorded.",
                        json_array_size(report->workloads), (unsigned long long) report->workload_count, begin, end,
                        (unsigned long long) (report->covered / HOUR_USEC));
        picture_lines(stream, report);
        put_legend(stream);
        return put_table(stream, report, workload_columns, LENGTH(workload_columns), report->workloads);
}

static int put_history(FILE *stream, struct report *report)
{
        int r = 0;

        begin_section(stream, "history", "The last days");
        if (is_missing(stream, report, "Usage over time is"))
                ;
        else if (report->no_history) {
                fputs("<p class=\"note\">There is no history: ", stream);
                markup_text(stream, report->no_history, MARKUP_TEXT_MAX);
                fputs("</p>\n", stream);
        } else if (report->workload_count == 0)
                note(stream, "The history has no workloads in this time.");
        else
                r = put_workloads(stream, report);
        end_section(stream);
        return r;
}

static int put_budgets(FILE *stream, struct report *report)
{
        size_t shown = json_array_size(report->budgets);
        int r = 0;

        begin_section(stream, "budgets", "Budgets");
        if (is_missing(stream, report, "Budgets are"))
                ;
        else if (shown == 0)
                note(stream, "No cgroup has a budget of its own or is over a limit.");
        else {
                note(stream, "Usage of the %zu cgroups nearest to their limits, of %llu with a budget.", shown,
                                (unsigned long long) report->budget_count);
                r = picture_bars(stream, report);
                fputs("<p class=\"legend\"><span><i class=\"bar ok\"></i>within the limits</span><span><i class=\"bar "
                      "high\"></i>over "
                      "High</span><span><i class=\"bar max\"></i>at Max</span><span><i class=\"limit\"></i>High; the "
                      "end of the bar is "
                      "Max</span></p>\n",
                                stream);
        }
        if (r == 0 && shown > 0)
                r = put_table(stream, report, budget_columns, LENGTH(budget_columns), report->budgets);
        end_section(stream);
        return r;
}

static int put_objects(FILE *stream, struct report *report)
{
        json_t *rows = json_array();
        int r = rows ? 0 : -ENOMEM;

        begin_section(stream, "objects", "Largest maps and programs");
        for (size_t i = 0; r == 0 && i < json_array_size(report->objects) && i < OBJECT_ROWS; i++) {
                json_t *row = json_array_get(report->objects, i);
                char name[ORPHAN_NAME_MAX];

                json_object_set_new(row, "object", json_string(orphan_name(row, name)));
                r = json_array_append(rows, row) < 0 ? -ENOMEM : 0;
        }
        if (json_array_size(rows) == 0)
                note(stream, "There are none.");
        else if (r == 0)
                r = put_table(stream, report, object_columns, LENGTH(object_columns), rows);
        json_decref(rows);
        end_section(stream);
        return r;
}

static int put_orphans(FILE *stream, struct report *report)
{
        struct table table = { .bytes = report->options->bytes };
        char size[FORMAT_BYTES_MAX];
        json_t *rows = NULL;
        int r = 0;

        begin_section(stream, "orphans", "Orphans");
        if (is_missing(stream, report, "Orphans are"))
                ;
        else if (report->orphan_count == 0)
                note(stream, "Each map and program has a holder, or may have one.");
        else {
                note(stream, "No process holds %llu %s, %s in all. <code>bpfbudgetctl reclaim</code> frees them.",
                                (unsigned long long) report->orphan_count,
                                report->orphan_count == 1 ? "object" : "objects",
                                format_bytes(size, report->orphan_bytes, table.bytes));
                orphans_columns(&table);
                table.rows = rows = orphans_rows(report->orphans);
                r = rows ? markup_table(stream, &table) : -ENOMEM;
        }
        if (r == 0 && report->uncertain_count > 0)
                note(stream, "%llu more (%s in all) without a holder have references that the daemon has not seen.",
                                (unsigned long long) report->uncertain_count,
                                format_bytes(size, report->uncertain_bytes, table.bytes));
        json_decref(rows);
        end_section(stream);
        return r;
}

static int put_events(FILE *stream, struct report *report)
{
        struct table table = { .bytes = report->options->bytes };
        int r = 0;

        begin_section(stream, "events", "Events");
        if (is_missing(stream, report, "Events are"))
                ;
        else if (report->no_history)
                note(stream, "There is no history of events.");
        else if (report->event_count == 0)
                note(stream, "No budget was crossed, nothing was refused, and no cgroup was paused.");
        else {
                note(stream, "The latest %zu of %llu changes of state, refusals and pauses.",
                                json_array_size(report->events), (unsigned long long) report->event_count);
                past_events(&table, report->events);
                r = markup_table(stream, &table);
        }
        end_section(stream);
        return r;
}

/* Writes what restricts each facility. */
static int put_restrictions(FILE *stream, const struct report *report)
{
        static const struct column columns[] = {
                { "FACILITY", "facility", CELL_TEXT },
                { "LEFT", "level", CELL_TEXT },
                { "REASON", "reason", CELL_TEXT, true },
        };
        json_t *rows = json_array(), *facility, *finding;
        size_t i, k;
        int r = rows ? 0 : -ENOMEM;

        json_array_foreach(report->facilities, i, facility)
        {
                json_array_foreach(field_get(facility, "findings"), k, finding)
                {
                        json_object_set(finding, "facility", json_object_get(facility, "name"));
                        if (r == 0 && json_array_append(rows, finding) < 0)
                                r = -ENOMEM;
                }
        }
        if (r == 0 && json_array_size(rows) > 0) {
                begin_section(stream, "restrictions", "Restrictions of this host");
                note(stream, "<code>bpfbudgetctl doctor</code> has the remedies.");
                r = put_table(stream, report, columns, LENGTH(columns), rows);
                end_section(stream);
        }
        json_decref(rows);
        return r;
}

int reportpage_write(FILE *stream, struct report *report)
{
        static int (*const sections[])(FILE * stream, struct report * report) = { put_who, put_history, put_budgets,
                put_objects, put_orphans, put_events };
        int r = 0;

        fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
              "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
              "'unsafe-inline'\"/>\n"
              "<meta name=\"viewport\" content=\"width=device-width\"/>\n<meta name=\"color-scheme\" content=\"light "
              "dark\"/>\n"
              "<title>BPF memory of ",
                        stream);
        markup_text(stream, report->host.nodename, MARKUP_NAME_SIZE);
        fprintf(stream, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
        put_head(stream, report);
        fputs("<main>\n", stream);
        put_figures(stream, report);
        for (size_t i = 0; r == 0 && i < LENGTH(sections); i++)
                r = sections[i](stream, report);
        if (r == 0)
                r = put_restrictions(stream, report);
        fputs("</main>\n<footer>Made by bpfbudgetctl " PACKAGE_VERSION
              ". Sizes are of kernel memory; K, M and G are powers of 1024.</footer>\n</body>\n</html>\n",
                        stream);
        return r;
}
