/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page of bpfbudgetctl report: how its tiles lie, what is kept of long lists, and what is in it of names that
 * anybody has made. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ctl/largest.h"
#include "ctl/markup.h"
#include "ctl/picture.h"
#include "ctl/reportdata.h"
#include "ctl/reportpage.h"
#include "ctl/svg.h"
#include "ctl/treemap.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct slice slice_of(const char *text)
{
        return (struct slice){ text, strlen(text) };
}

/* --- Treemap ------------------------------------------------------------------------------------------------------ */

static const struct tile page = { 10, 20, 1000, 440 };

/* Whether @a and @b have more in common than an edge. */
static bool overlap(const struct tile *a, const struct tile *b)
{
        return fmin(a->x + a->width, b->x + b->width) - fmax(a->x, b->x) > 1e-6 &&
               fmin(a->y + a->height, b->y + b->height) - fmax(a->y, b->y) > 1e-6;
}

static void assert_layout(const uint64_t *values, size_t count)
{
        struct tile tiles[64];
        double sum = 0;

        for (size_t i = 0; i < count; i++)
                sum += values[i];
        treemap_layout(values, count, page, tiles);
        for (size_t i = 0; i < count; i++) {
                double area = page.width * page.height * values[i] / sum;

                assert_true(fabs(tiles[i].width * tiles[i].height - area) < 1e-6 * page.width * page.height);
                assert_true(tiles[i].x >= page.x - 1e-6 && tiles[i].x + tiles[i].width <= page.x + page.width + 1e-6);
                assert_true(tiles[i].y >= page.y - 1e-6 && tiles[i].y + tiles[i].height <= page.y + page.height + 1e-6);
                for (size_t k = 0; k < i; k++)
                        assert_false(overlap(&tiles[i], &tiles[k]));
        }
}

static void test_treemap_areas(void **state)
{
        static const uint64_t values[] = { 6000000, 2500000, 1000000, 300000, 100000, 1, 0, 0, 700000 };
        uint64_t many[64], random = 7;

        (void) state;
        assert_layout(values, LENGTH(values));
        assert_layout(values, 1);
        for (size_t round = 0; round < 200; round++) {
                for (size_t i = 0; i < LENGTH(many); i++) {
                        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                        many[i] = (random >> 40) >> (random >> 33) % 24;
                }
                assert_layout(many, 1 + round % LENGTH(many));
        }
}

/* Tiles that are strips cannot be read. */
static void test_treemap_squares(void **state)
{
        uint64_t values[12];
        struct tile tiles[12];

        (void) state;
        for (size_t i = 0; i < LENGTH(values); i++)
                values[i] = 1 << 20;
        treemap_layout(values, LENGTH(values), page, tiles);
        for (size_t i = 0; i < LENGTH(values); i++)
                assert_true(fmax(tiles[i].width / tiles[i].height, tiles[i].height / tiles[i].width) < 1.5);
}

static void test_treemap_of_nothing(void **state)
{
        static const uint64_t nothing[] = { 0, 0 }, something[] = { 5, 6 };
        struct tile tiles[2];

        (void) state;
        treemap_layout(nothing, 2, page, tiles);
        assert_true(tiles[0].width == 0 && tiles[1].height == 0);
        treemap_layout(something, 2, (struct tile){ 0, 0, -5, 10 }, tiles);
        assert_true(tiles[0].width == 0 && tiles[1].height == 0);
}

/* --- Long lists --------------------------------------------------------------------------------------------------- */

static void test_largest(void **state)
{
        struct largest largest;
        json_t *rows;
        char element[32], order[64] = "";

        (void) state;
        assert_int_equal(largest_init(&largest, 3), 0);
        for (int i = 0; i < 6; i++) {
                static const uint64_t scores[] = { 5, 1, 9, 5, 7, 2 };

                snprintf(element, sizeof(element), "{\"n\": %d} ", i);
                assert_int_equal(largest_take(&largest, scores[i], slice_of(element)), 0);
        }
        /* What is not kept is not parsed. */
        assert_int_equal(largest_take(&largest, 4, slice_of("{")), 0);
        assert_int_equal(largest_take(&largest, 6, slice_of("{")), -EBADMSG);
        rows = largest_rows(&largest);
        for (size_t i = 0; i < json_array_size(rows); i++)
                snprintf(order + strlen(order), sizeof(order) - strlen(order), "%d ",
                                (int) json_integer_value(json_object_get(json_array_get(rows, i), "n")));
        assert_string_equal(order, "2 4 0 ");
        json_decref(rows);
        largest_deinit(&largest);
}

static void test_slice_number(void **state)
{
        struct slice json = slice_of(
                        "{\"a\": {\"b\": 12, \"c\": -4}, \"d\": 18446744073709551615, \"s\": \"7\", \"n\": null}");

        (void) state;
        assert_int_equal(slice_number(json, "a.b"), 12);
        assert_int_equal(slice_number(json, "a.c"), 0);
        assert_true(slice_number(json, "d") == UINT64_MAX);
        assert_int_equal(slice_number(json, "s"), 0);
        assert_int_equal(slice_number(json, "n"), 0);
        assert_int_equal(slice_number(json, "a.x"), 0);
        assert_int_equal(slice_number(json, "d.x"), 0);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

static char *text;
static size_t size;

static FILE *begin_text(void)
{
        FILE *stream = open_memstream(&text, &size);

        assert_non_null(stream);
        return stream;
}

/* What was written since begin_text() is @expected. */
static void assert_text(FILE *stream, const char *expected)
{
        assert_int_equal(fclose(stream), 0);
        assert_string_equal(text, expected);
        free(text);
}

static void assert_markup(const char *name, size_t room, const char *expected)
{
        FILE *stream = begin_text();

        markup_text(stream, name, room);
        assert_text(stream, expected);
}

static void test_markup(void **state)
{
        (void) state;
        assert_markup("<script>\"a\" & 'b'</script>", 96,
                        "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;");
        /* A right-to-left override, a control character, and what is not UTF-8. */
        assert_markup("a\xe2\x80\xae"
                      "b\n\xff",
                        96, "a???b??");
        assert_markup("größe", 96, "größe");
        /* References are not cut. */
        assert_markup("<<<<<<<<<<<<<<<<<<<<<<<<", 16, "&lt;&lt;&lt;&lt;…&lt;&lt;&lt;&lt;&lt;&lt;&lt;&lt;");
}

static void test_svg_text(void **state)
{
        struct tile box = { 5, 6, 120, 20 };
        FILE *stream = begin_text();

        (void) state;
        assert_true(svg_text(stream, box, "head", "a<b", SVG_RIGHT));
        assert_text(stream, "<svg x=\"5.0\" y=\"6.0\" width=\"120.0\" height=\"16\"><text class=\"head\" x=\"100%\" "
                            "y=\"12\" "
                            "text-anchor=\"end\">a&lt;b</text></svg>");
        stream = begin_text();
        assert_true(svg_text(stream, box, "", "/system.slice/a-long-name.service", SVG_LEFT));
        assert_text(stream, "<svg x=\"5.0\" y=\"6.0\" width=\"120.0\" height=\"16\"><text class=\"\" x=\"0\" y=\"12\" "
                            "text-anchor=\"start\">/sys…me.service</text></svg>");
        /* Where little of it would be left, where a line is too high, and where there is no room at all. */
        stream = begin_text();
        box.width = 100;
        assert_false(svg_text(stream, box, "", "/system.slice/a-long-name.service", SVG_LEFT));
        box.height = 10;
        assert_false(svg_text(stream, box, "", "a", SVG_LEFT));
        box = (struct tile){ 0, 0, -3, 40 };
        assert_false(svg_text(stream, box, "", "a", SVG_LEFT));
        assert_text(stream, "");
}

static void test_svg_step(void **state)
{
        (void) state;
        assert_int_equal(svg_step(1), 1);
        assert_int_equal(svg_step(9), 2);
        assert_int_equal(svg_step(90 << 20), 20 << 20);
        assert_int_equal(svg_step(1000 << 10), 512 << 10);
        assert_true(svg_step(UINT64_MAX) >= 1ULL << 50);
}

/* --- The page ----------------------------------------------------------------------------------------------------- */

static struct options options;

/* The page of @report, whose members are dropped. */
static char *make_page(struct report *report)
{
        FILE *stream = begin_text();

        strcpy(report->host.nodename, "a<b>");
        assert_int_equal(reportpage_write(stream, report), 0);
        assert_int_equal(fclose(stream), 0);
        report_deinit(report);
        return text;
}

static json_t *root_of(uint64_t bytes)
{
        return json_pack("{ss s{sI sI}}", "path", "/", "bpf", "allocated", (json_int_t) bytes, "charged",
                        (json_int_t) bytes);
}

static void assert_has(const char *text_with, const char *part)
{
        if (!strstr(text_with, part))
                fail_msg("there is no '%s' in: %s", part, text_with);
}

static void test_page_of_nothing(void **state)
{
        struct report report = { .options = &options, .root = root_of(0), .no_history = strdup("History=no & so") };
        char *html = make_page(&report);

        (void) state;
        assert_has(html, "There are no maps and programs.");
        assert_has(html, "There is no history: History=no &amp; so");
        assert_has(html, "No cgroup has a budget");
        assert_has(html, "Each map and program has a holder");
        assert_has(html, "<h1>a&lt;b&gt;</h1>");
        assert_null(strstr(html, "<svg class=\"picture\""));
        free(html);
}

static void test_page_direct(void **state)
{
        struct options direct = { .direct = true };
        struct report report = { .options = &direct, .root = root_of(0) };
        char *html = make_page(&report);

        (void) state;
        assert_has(html, "Budgets are not available with <code>--direct</code>");
        assert_has(html, "Orphans are not available");
        assert_has(html, "Usage over time is not available");
        assert_null(strstr(html, "Over a limit"));
        free(html);
}

/* All there may be, with names that are as bad as names may be. */
static struct report *make_full_report(void)
{
        static struct report report;
        char name[600], path[700];

        memset(name, '"', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        memcpy(name, "<script>alert(1)</script><img src=x onerror='alert(1)'>", 55);
        report = (struct report){ .options = &options,
                .root = root_of(900 << 20),
                .cgroups = json_array(),
                .budgets = json_array(),
                .objects = json_array(),
                .orphans = json_array(),
                .workloads = json_array(),
                .events = json_array(),
                .until = 192 * 3600000000ULL,
                .points = REPORT_POINTS };
        for (int i = 0; i < REPORT_CGROUPS; i++) {
                snprintf(path, sizeof(path), "/%d%s", i, name);
                json_array_append_new(report.cgroups, json_pack("{ss si s{si}}", "path", path, "id", i, "self",
                                                                      "allocated", (REPORT_CGROUPS - i) << 20));
                report.cgroup_bytes += (REPORT_CGROUPS - i) << 20;
        }
        report.cgroup_count = 10000;
        for (int i = 0; i < REPORT_OBJECTS; i++)
                json_array_append_new(
                                report.objects, json_pack("{ss si ss ss ss si si}", "kind", "map", "id", i, "type",
                                                                "hash", "name", "\"><script>", "cgroup", path,
                                                                "cgroupId", i % REPORT_CGROUPS, "allocated", 1 << 16));
        for (int i = 0; i < REPORT_BUDGETS; i++)
                json_array_append_new(report.budgets,
                                json_pack("{ss s{ss ss si si si}}", "path", path, "budget", "name", name, "state", name,
                                                "usage", 90 << 20, "high", 10 << 20, "max", 20 << 20));
        for (int i = 0; i < REPORT_ORPHANS; i++)
                json_array_append_new(report.orphans,
                                json_pack("{ss si ss ss si ss sb s[{ss ss}]}", "kind", "map", "id", i, "type", name,
                                                "name", name, "since", i, "lastOwner", path, "certain", 1, "keepers",
                                                "kind", "pin", "path", name));
        report.orphan_count = REPORT_ORPHANS;
        for (int i = 0; i < REPORT_WORKLOADS; i++) {
                json_t *peaks = json_array();

                for (int k = 0; k < REPORT_POINTS; k++)
                        json_array_append_new(peaks, json_integer(k % 7 == 3 ? -1 : (k * 37 % 90) << 20));
                json_array_append_new(report.workloads,
                                json_pack("{ss ss ss si si so}", "kind", name, "name", name, "cgroup", path, "peak",
                                                90 << 20, "after", 20 << 20, "peaks", peaks));
        }
        report.workload_count = REPORT_WORKLOADS;
        for (int i = 0; i < REPORT_EVENTS; i++)
                json_array_append_new(report.events,
                                json_pack("{ss ss sI ss ss ss}", "kind", name, "workload", name, "usec", (json_int_t) i,
                                                "what", name, "comm", name, "objectName", name));
        report.event_count = 10000;
        for (size_t i = 0; i < REPORT_POINTS; i++)
                report.marks[i % REPORT_MARKS][i] = 1;
        return &report;
}

static void test_page_of_hostile_names(void **state)
{
        char *html = make_page(make_full_report());

        (void) state;
        assert_true(size < 1 << 20);
        assert_has(html, "&lt;script&gt;alert(1)&lt;/script&gt;");
        assert_null(strstr(html, "<script"));
        assert_null(strstr(html, "<img"));
        assert_null(strstr(html, "onerror='"));
        assert_null(strstr(html, "src=\""));
        assert_null(strstr(html, "href=\""));
        assert_has(html, "All others");
        assert_has(html, "9960 other cgroups: 80.0M</title>");
        free(html);
}

static void test_page_lines(void **state)
{
        char *html = make_page(make_full_report());
        const char *lines = strstr(html, "id=\"lines-title\""), *path, *end = NULL;
        int begins = 0;
        double x, y;

        (void) state;
        assert_non_null(lines);
        path = strstr(lines, "class=\"line\" d=\"M");
        assert_non_null(path);
        path += strlen("class=\"line\" d=\"");
        /* A new beginning behind each hour of which nothing is known: the fourth of seven. */
        for (const char *c = path; *c != '"'; c++) {
                begins += *c == 'M';
                if (*c == 'L')
                        end = c;
        }
        assert_int_equal(begins, 1 + REPORT_POINTS / 7);
        /* It ends at the right, with what there is now, and not with the last peak. */
        assert_non_null(end);
        assert_int_equal(sscanf(end, "L%lf %lf", &x, &y), 2);
        assert_true(fabs(x - (SVG_WIDTH - 8)) < 0.1);
        assert_true(fabs(y - (230 - 220.0 * 20 / (90 * 1.05))) < 0.2);
        assert_has(lines, ">80M</text>");
        assert_has(lines, "class=\"mark-refusal\"");
        free(html);
}

static void test_colors(void **state)
{
        struct report report = { .cgroups = json_pack("[{ss} {ss} {ss}]", "path", "/a", "path", "/b", "path", "/c"),
                .workloads = json_pack("[{ss} {ss} {ss} {}]", "cgroup", "/c", "cgroup", "/x", "cgroup", "/a") };

        (void) state;
        assert_int_equal(picture_cgroup_color(2), 2);
        assert_int_equal(picture_cgroup_color(30), MARKUP_COLORS);
        /* What is in both pictures has one color, and no two lines have the same. */
        assert_int_equal(picture_workload_color(&report, 0), 2);
        assert_int_equal(picture_workload_color(&report, 1), 1);
        assert_int_equal(picture_workload_color(&report, 2), 0);
        assert_int_equal(picture_workload_color(&report, 3), 3);
        report_deinit(&report);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_treemap_areas),
                cmocka_unit_test(test_treemap_squares),
                cmocka_unit_test(test_treemap_of_nothing),
                cmocka_unit_test(test_largest),
                cmocka_unit_test(test_slice_number),
                cmocka_unit_test(test_markup),
                cmocka_unit_test(test_svg_text),
                cmocka_unit_test(test_svg_step),
                cmocka_unit_test(test_page_of_nothing),
                cmocka_unit_test(test_page_direct),
                cmocka_unit_test(test_page_of_hostile_names),
                cmocka_unit_test(test_page_lines),
                cmocka_unit_test(test_colors),
        };

        setenv("TZ", "UTC", 1);
        return cmocka_run_group_tests_name("ctl-report", tests, NULL, NULL);
}
