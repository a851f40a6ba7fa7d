/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Weights in thousandths. */
#define WEIGHT_MAX  1000
#define WEIGHT_NONE (-1) /* it is not named */

#define BLANKS " \t"

/* The weight in the parameters of one element, which end at @end: ";q=0.5". */
static int read_weight(const char *parameters, const char *end)
{
        const char *p = parameters;

        while (p < end && (p = memchr(p, ';', end - p))) {
                p++;
                p += strspn(p, BLANKS);
                if (p + 1 < end && (*p == 'q' || *p == 'Q') && p[1] == '=') {
                        double weight = strtod(p + 2, NULL);

                        return weight >= 1 ? WEIGHT_MAX : weight > 0 ? (int) (weight * WEIGHT_MAX + 0.5) : 0;
                }
        }
        return WEIGHT_MAX;
}

/* The largest weight that @header gives to @name; WEIGHT_NONE if @header does not contain @name. */
static int weight_of(const char *header, const char *name)
{
        size_t length = strlen(name);
        int largest = WEIGHT_NONE;

        while (*header) {
                const char *word = header + strspn(header, BLANKS ","), *end = word + strcspn(word, ",");
                size_t n = strcspn(word, BLANKS ",;");

                if (n == length && strncasecmp(word, name, n) == 0) {
                        int weight = read_weight(word + n, end);

                        largest = weight > largest ? weight : largest;
                }
                header = end;
        }
        return largest;
}

/* The weight of the first of @names that @header contains; 0: it contains none. */
static int first_weight(const char *header, const char *const *names)
{
        for (; *names; names++) {
                int weight = weight_of(header, *names);

                if (weight != WEIGHT_NONE)
                        return weight;
        }
        return 0;
}

enum metrics_format accept_format(const char *accept)
{
        static const char *const text[] = { "text/plain", "text/*", "*/*", NULL };
        int openmetrics = accept ? weight_of(accept, "application/openmetrics-text") : WEIGHT_NONE;

        return openmetrics > 0 && openmetrics >= first_weight(accept, text) ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

bool accept_gzip(const char *accept_encoding)
{
        static const char *const gzip[] = { "gzip", "x-gzip", "*", NULL };

        return accept_encoding && first_weight(accept_encoding, gzip) > 0;
}
