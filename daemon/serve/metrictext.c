/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/metrictext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * The suffix of a sample's name after the name of its metric. In the older format, the metric has the same name as its
 * samples, and there is no type info.
 */
static const struct {
        const char *suffix, *openmetrics, *prometheus;
} types[] = {
        [METRIC_GAUGE] = { "", "gauge", "gauge" },
        [METRIC_COUNTER] = { "_total", "counter", "counter" },
        [METRIC_INFO] = { "_info", "info", "gauge" },
};

/* Writes one line of the description of the metric. */
static void describe(const struct metric_text *text, const char *what, const char *value)
{
        writer_raw(text->writer, "# ");
        writer_raw(text->writer, what);
        writer_raw(text->writer, " ");
        writer_raw(text->writer, text->metric->name);
        if (text->format == METRICS_PROMETHEUS)
                writer_raw(text->writer, types[text->metric->type].suffix);
        writer_raw(text->writer, " ");
        writer_raw(text->writer, value);
        writer_raw(text->writer, "\n");
}

void metric_begin(struct metric_text *text, const struct metric *metric)
{
        bool openmetrics = text->format == METRICS_OPENMETRICS;

        text->metric = metric;
        text->name_size = snprintf(text->name, sizeof(text->name), "%s%s", metric->name, types[metric->type].suffix);
        describe(text, "HELP", metric->help);
        describe(text, "TYPE", openmetrics ? types[metric->type].openmetrics : types[metric->type].prometheus);
        if (openmetrics && metric->unit)
                describe(text, "UNIT", metric->unit);
}

/* The maximum size of a number and the end of its line. */
#define VALUE_SIZE 48

/* Copies @size bytes to @p. Returns the end of the copy. */
static char *put(char *p, const char *text, size_t size)
{
        return size > 0 ? (char *) mempcpy(p, text, size) : p;
}

/*
 * Makes room for a sample, and writes its name and labels. Returns where its value goes, VALUE_SIZE bytes at most;
 * NULL: no memory. There are tens of thousands of samples: each is written in one piece.
 */
static char *begin_sample(const struct metric_text *text, struct label_text labels, const char *more)
{
        size_t more_size = more ? strlen(more) : 0;
        char *p = writer_room(text->writer, text->name_size + labels.size + more_size + 4 + VALUE_SIZE);

        if (!p)
                return NULL;
        p = put(p, text->name, text->name_size);
        if (labels.size + more_size > 0) {
                *p++ = '{';
                p = put(p, labels.text, labels.size);
                if (labels.size > 0 && more)
                        *p++ = ',';
                p = put(p, more, more_size);
                *p++ = '}';
        }
        *p++ = ' ';
        return p;
}

/* Ends the sample, whose last byte is before @end. */
static void end_sample(const struct metric_text *text, const char *end)
{
        text->writer->size = end - text->writer->text;
}

/* Writes @value to @p. Returns the end of the number. */
static char *put_number(char *p, uint64_t value)
{
        char digits[24], *first = digits + sizeof(digits);

        do
                *--first = '0' + value % 10;
        while (value /= 10);
        return put(p, first, digits + sizeof(digits) - first);
}

void metric_sample(struct metric_text *text, struct label_text labels, const char *more, uint64_t value)
{
        char *p = begin_sample(text, labels, more);

        if (!p)
                return;
        p = put_number(p, value);
        *p++ = '\n';
        end_sample(text, p);
}

void metric_sample_usec(struct metric_text *text, struct label_text labels, const char *more, uint64_t usec)
{
        char *p = begin_sample(text, labels, more);

        if (!p)
                return;
        p = put_number(p, usec / 1000000);
        p += sprintf(p, ".%06" PRIu64 "\n", usec % 1000000);
        end_sample(text, p);
}

void metrics_end(struct metric_text *text)
{
        if (text->format == METRICS_OPENMETRICS)
                writer_raw(text->writer, "# EOF\n");
}
