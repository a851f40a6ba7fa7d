/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventtext.h"

#include <stdio.h>
#include <string.h>

#include "field.h"
#include "text.h"

/* " by comm[pid]", or nothing where it is not known. */
static const char *by(const json_t *event, char buffer[64])
{
        buffer[0] = '\0';
        if (field_get(event, "pid"))
                snprintf(buffer, 64, " by %s[%llu]", field_string(event, "comm"),
                                (unsigned long long) field_integer(event, "pid"));
        return buffer;
}

/* A limit, or "no limit". */
static const char *limit(const json_t *event, const char *field, bool exact, char buffer[FORMAT_BYTES_MAX])
{
        return field_get(event, field) ? format_bytes(buffer, field_integer(event, field), exact) : "none";
}

/* Which limit it was, with @before, where that is none of bytes: "" if it is High or Max. */
static const char *other_limit(const json_t *event, const char *before, char buffer[64])
{
        const char *limit = field_string(event, "limit");

        buffer[0] = '\0';
        if (*limit && strcmp(limit, "High") != 0 && strcmp(limit, "Max") != 0)
                snprintf(buffer, 64, "%s%s", before, limit);
        return buffer;
}

/* Names come from whoever made the object: nothing in them may control the terminal, not even as a C1 control in UTF-8.
 */
static void disarm(char *text)
{
        for (unsigned char *c = (unsigned char *) text; *c; c++)
                if (*c < 0x20 || *c == 0x7f)
                        *c = '?';
                else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
                        c[0] = c[1] = '?';
}

char *event_text(const json_t *event, bool exact, char buffer[EVENT_TEXT_MAX])
{
        const char *kind = field_string(event, "kind"), *cgroup = field_string(event, "cgroup");
        char usage[FORMAT_BYTES_MAX], high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX], who[64], other[64];

        if (!*cgroup)
                cgroup = "(unknown)";
        format_bytes(usage, field_integer(event, "usage"), exact);
        by(event, who);
        if (strcmp(kind, "state") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: %s -> %s (%s%s), High %s, Max %s%s", cgroup,
                                field_string(event, "from"), field_string(event, "to"), usage,
                                other_limit(event, ", ", other), limit(event, "high", exact, high),
                                limit(event, "max", exact, max), who);
        else if (strcmp(kind, "refusal") == 0 && *other_limit(event, ", ", other))
                snprintf(buffer, EVENT_TEXT_MAX, "%s: refused %s %s %s at %s%s%s", cgroup,
                                field_string(event, "objectKind"), field_string(event, "objectType"),
                                field_string(event, "objectName"), usage, other, who);
        else if (strcmp(kind, "refusal") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: refused %s %s %s of %s at %s, Max %s%s", cgroup,
                                field_string(event, "objectKind"), field_string(event, "objectType"),
                                field_string(event, "objectName"),
                                format_bytes(high, field_integer(event, "size"), exact), usage,
                                limit(event, "max", exact, max), who);
        else if (strcmp(kind, "throttle") == 0)
                snprintf(buffer, EVENT_TEXT_MAX, "%s: throttled for %.1f ms at %s, High %s%s", cgroup,
                                field_integer(event, "pauseUSec") / 1000.0, usage, limit(event, "high", exact, high),
                                who);
        else
                snprintf(buffer, EVENT_TEXT_MAX, "%s: %s at %s", cgroup, kind, usage);
        disarm(buffer);
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
