/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metrics of the daemon, for Prometheus and similar collectors. They are the figures of the last flush; the kernel
 * is not queried.
 */
#pragma once

#include <stdint.h>

#include "account/monitor.h"
#include "enforce/manager.h"
#include "serve/metrictext.h"
#include "serve/writer.h"

/* Why an alert did not reach the journal. */
enum alert_drop {
        ALERT_DROP_RATE_LIMIT,
        ALERT_DROP_JOURNAL, /* the journal did not accept it */
        ALERT_DROPS,
};

struct metrics_source {
        const struct monitor *monitor;
        const struct manager *manager;
        const uint64_t *dropped; /* alerts, by enum alert_drop */
};

/* Writes all metrics of @source to @writer. Returns 0 or -ENOMEM. */
int metrics_write(struct writer *writer, const struct metrics_source *source, enum metrics_format format);
