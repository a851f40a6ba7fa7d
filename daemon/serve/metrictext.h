/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics as text: OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), or the older format of
 * Prometheus, 0.0.4. The differences between the two are only in this file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "serve/writer.h"

enum metrics_format {
        METRICS_PROMETHEUS,
        METRICS_OPENMETRICS,
        METRICS_FORMATS,
};

enum metric_type {
        METRIC_GAUGE,
        METRIC_COUNTER, /* its samples end in _total */
        METRIC_INFO,    /* its samples end in _info, and are 1 */
};

/* A family of samples. */
struct metric {
        const char *name; /* without a suffix of the type */
        enum metric_type type;
        const char *unit; /* with which the name ends; NULL: none */
        const char *help; /* nothing in it has to be escaped */
};

struct metric_text {
        struct writer *writer;
        enum metrics_format format;
        const struct metric *metric; /* to which samples belong */
        char name[128];              /* of its samples */
        size_t name_size;
};

/* Labels as text, without braces. */
struct label_text {
        const char *text;
        size_t size;
};

/* Begins the samples of @metric: type, unit and help. */
void metric_begin(struct metric_text *text, const struct metric *metric);

/* A sample with @labels (size 0: none) and those in @more, without braces, too (NULL: none). */
void metric_sample(struct metric_text *text, struct label_text labels, const char *more, uint64_t value);
/* The same in microseconds; the sample is in seconds. */
void metric_sample_usec(struct metric_text *text, struct label_text labels, const char *more, uint64_t usec);

/* Ends the text; nothing may follow. */
void metrics_end(struct metric_text *text);
