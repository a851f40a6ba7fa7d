/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The formats that a client of HTTP accepts, by its headers Accept and Accept-Encoding (RFC 9110, 12.5). NULL: it sent
 * none.
 */
#pragma once

#include <stdbool.h>

#include "serve/metrictext.h"

/* Returns OpenMetrics if the client names it and does not prefer plain text. */
enum metrics_format accept_format(const char *accept);

/* Whether a reply may be compressed. */
bool accept_gzip(const char *accept_encoding);
