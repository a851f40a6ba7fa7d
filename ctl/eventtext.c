/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventtext.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/size.h"
#include "base/text.h"
#include "field.h"
#include "text.h"

/* " by comm[pid]", or "" if the process is not known. */
static const char *by(const json_t *event, char buffer[64])
{
        buffer[0] = '\0';
        if (field_get(event, "pid"))
                snprintf(buffer, 64, " by %s[%llu]", field_string(event, "comm"),
                                (unsigned long long) field_integer(event, "pid"));
        return buffer;
}

/* A limit, or "no limit". */
static const char *limit(const json_t *event, const char *field, bool exact, unsigned int precision,
                char buffer[FORMAT_BYTES_MAX])
{
        return field_get(event, field) ? format_bytes_to(buffer, field_integer(event, field), exact, precision)
                                       : "none";
}

/* The precision that the sizes of @event need so that a size over a limit is also printed as larger than the limit. */
static unsigned int precision_of(const json_t *event)
{
        const char *kind = field_string(event, "kind"), *to = field_string(event, "to");
        bool refusal = strcmp(kind, "refusal") == 0;
        const char *field = refusal || strcmp(to, "max") == 0                          ? "max"
                            : strcmp(kind, "throttle") == 0 || strcmp(to, "high") == 0 ? "high"
                                                                                       : NULL;

        if (!field || !field_get(event, field))
                return SIZE_PRECISION;
        return size_precision(field_integer(event, "usage"), refusal ? field_integer(event, "size") : 0,
                        field_integer(event, field));
}

/* The limit of @event, after @before, if it is not a limit in bytes; "" if it is High or Max. */
static const char *other_limit(const json_t *event, const char *before, char buffer[64])
{
        const char *limit = field_string(event, "limit");

        buffer[0] = '\0';
        if (*limit && strcmp(limit, "High") != 0 && strcmp(limit, "Max") != 0)
                snprintf(buffer, 64, "%s%s", before, limit);
        return buffer;
}

/* The creator of an object chooses its name, so a name must not control the terminal, whatever the locale is. */
static void show(char text[EVENT_TEXT_MAX])
{
        char plain[EVENT_TEXT_MAX];
        _cleanup_free_ char *shown = text_shown(text_plain(text, plain, sizeof(plain)));

        snprintf(text, EVENT_TEXT_MAX, "%s", shown ?: "");
}

char *event_text(const json_t *event, bool exact, char buffer[EVENT_TEXT_MAX])
{
        const char *kind = field_string(event, "kind"), *cgroup = field_string(event, "cgroup");
        char usage[FORMAT_BYTES_MAX], high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX], who[64], other[64];
        char path[TEXT_PATH_SIZE];
        unsigned int precision = precision_of(event);

        /* The figures come after it. */
        cgroup = *cgroup ? text_plain(cgroup, path, sizeof(path)) : "(unknown)";
        format_bytes_to(usage, field_integer(event, "usage"), exact, precision);
        by(event, who);
        if (strcmp(kind, "state") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: %s -> %s (%s%s), High %s, Max %s%s", cgroup,
                                field_string(event, "from"), field_string(event, "to"), usage,
                                other_limit(event, ", ", other), limit(event, "high", exact, precision, high),
                                limit(event, "max", exact, precision, max), who);
        else if (strcmp(kind, "refusal") == 0 && *other_limit(event, ", ", other))
                snprintf(buffer, EVENT_TEXT_MAX, "%s: refused %s %s %s at %s%s%s", cgroup,
                                field_string(event, "objectKind"), field_string(event, "objectType"),
                                field_string(event, "objectName"), usage, other, who);
        else if (strcmp(kind, "refusal") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: refused %s %s %s of %s at %s, Max %s%s", cgroup,
                                field_string(event, "objectKind"), field_string(event, "objectType"),
                                field_string(event, "objectName"),
                                format_bytes_to(high, field_integer(event, "size"), exact, precision), usage,
                                limit(event, "max", exact, precision, max), who);
        else if (strcmp(kind, "throttle") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: throttled for %.1f ms at %s, High %s%s", cgroup,
                                field_integer(event, "pauseUSec") / 1000.0, usage,
                                limit(event, "high", exact, precision, high), who);
        else if (strcmp(kind, "fill") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: map %s %s is %s: %llu of %llu entries", cgroup,
                                field_string(event, "objectType"), field_string(event, "objectName"),
                                strcmp(field_string(event, "to"), "ok") == 0 ? "no longer nearly full" : "nearly full",
                                (unsigned long long) field_integer(event, "entries"),
                                (unsigned long long) field_integer(event, "maxEntries"));
        else if (strcmp(kind, "orphans") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "orphans: %s of BPF memory, OrphansHigh is %s", usage,
                                limit(event, "high", exact, precision, high));
        else
                snprintf(buffer, EVENT_TEXT_MAX, "%s: %s at %s", cgroup, kind, usage);
        show(buffer);
        return buffer;
}

const char *event_color(const json_t *event)
{
        const char *kind = field_string(event, "kind"), *to = field_string(event, "to");

        if (strcmp(kind, "refusal") == 0 || strcmp(to, "max") == 0)
                return "\033[1;31m";
        if (strcmp(kind, "throttle") == 0 || strcmp(to, "high") == 0)
                return "\033[1;33m";
        return "";
}
