/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "assignment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/config.h"

enum value {
        VALUE_SIZE,
        VALUE_COUNT,
        VALUE_PERCENT,
        VALUE_WORD,
};

static const struct key {
        const char *name, *parameter;
        enum value value;
        const char *words[2]; /* of VALUE_WORD */
} keys[] = {
        { "High", "high", VALUE_SIZE },
        { "Max", "max", VALUE_SIZE },
        { "MapsMax", "mapsMax", VALUE_COUNT },
        { "ProgramsMax", "programsMax", VALUE_COUNT },
        { "FootprintRatioHigh", "footprintRatioHigh", VALUE_PERCENT },
        { "OnHigh", "onHigh", VALUE_WORD, { "alert", "throttle" } },
        { "OnMax", "onMax", VALUE_WORD, { "alert", "deny" } },
        { "Count", "count", VALUE_WORD, { "allocated", "charged" } },
        { "ClearPercent", "clearPercent", VALUE_PERCENT },
};

static const struct key *find_key(const char *name, size_t length)
{
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                if (strlen(keys[i].name) == length && strncasecmp(keys[i].name, name, length) == 0)
                        return &keys[i];
        return NULL;
}

/* Each of these returns a new reference, or NULL with the reason. */

static json_t *parse_size(const char *text, uint64_t ram, char *reason)
{
        uint64_t bytes;
        int r = parse_bytes(text, ram, &bytes);

        if (r < 0) {
                snprintf(reason, ASSIGNMENT_REASON_MAX, "%s",
                                r == -ERANGE    ? "too large"
                                : r == -EDOM    ? "a size cannot be negative"
                                : r == -ENODATA ? "the size of the RAM is not known"
                                                : "not a size; write 64M, 1.5G, 10% or infinity");
                return NULL;
        }
        return bytes == BUDGET_INFINITY ? json_null() : json_integer(bytes);
}

/* A whole number, with "%" behind it if @percent. The daemon checks the range. */
static json_t *parse_number(const char *text, bool percent, char *reason)
{
        unsigned long long number;
        char *end;

        if (!percent && strcmp(text, "infinity") == 0)
                return json_null();
        errno = 0;
        number = strtoull(text, &end, 10);
        if (percent && *end == '%')
                end++;
        if (*text < '0' || *text > '9' || *end || errno || number > INT64_MAX) {
                snprintf(reason, ASSIGNMENT_REASON_MAX, "not a %s", percent ? "percentage" : "number");
                return NULL;
        }
        return json_integer(number);
}

static json_t *parse_word(const struct key *key, const char *text, char *reason)
{
        for (size_t i = 0; i < 2; i++)
                if (strcmp(key->words[i], text) == 0)
                        return json_string(text);
        snprintf(reason, ASSIGNMENT_REASON_MAX, "it is %s or %s", key->words[0], key->words[1]);
        return NULL;
}

static json_t *parse_value(const struct key *key, const char *text, uint64_t ram, char *reason)
{
        if (!*text)
                return json_null();
        switch (key->value) {
        case VALUE_SIZE:
                return parse_size(text, ram, reason);
        case VALUE_COUNT:
                return parse_number(text, false, reason);
        case VALUE_PERCENT:
                return parse_number(text, true, reason);
        case VALUE_WORD:
                break;
        }
        return parse_word(key, text, reason);
}

int assignment_parse(const char *text, uint64_t ram, json_t *parameters, char reason[ASSIGNMENT_REASON_MAX])
{
        size_t length = strcspn(text, "=");
        const struct key *key = find_key(text, length);
        json_t *value;

        if (!text[length]) {
                snprintf(reason, ASSIGNMENT_REASON_MAX, "not KEY=VALUE");
                return -EINVAL;
        }
        if (!key) {
                snprintf(reason, ASSIGNMENT_REASON_MAX,
                                "unknown key; there are High, Max, MapsMax, ProgramsMax, FootprintRatioHigh, OnHigh, "
                                "OnMax, Count, ClearPercent");
                return -EINVAL;
        }
        value = parse_value(key, text + length + 1, ram, reason);
        if (!value)
                return -EINVAL;
        return json_object_set_new(parameters, key->parameter, value) < 0 ? -ENOMEM : 0;
}
