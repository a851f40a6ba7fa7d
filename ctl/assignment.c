/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "assignment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/keys.h"
#include "policy/values.h"

/* The key with this name, in upper or lower case, that can be set at run time; NULL: there is none. */
static const struct key *find_runtime_key(const char *name, size_t length)
{
        for (size_t i = 0; i < budget_format.count; i++) {
                const struct key *key = &budget_format.keys[i];

                if (key->runtime && strlen(key->name) == length && strncasecmp(key->name, name, length) == 0)
                        return key;
        }
        return NULL;
}

/* Writes "unknown key; there are High, Max". */
static void list_keys(char *reason)
{
        size_t length = snprintf(reason, ASSIGNMENT_REASON_MAX, "unknown key; there are ");
        const char *separator = "";

        for (size_t i = 0; i < budget_format.count && length < ASSIGNMENT_REASON_MAX; i++)
                if (budget_format.keys[i].runtime) {
                        length += snprintf(reason + length, ASSIGNMENT_REASON_MAX - length, "%s%s", separator,
                                        budget_format.keys[i].name);
                        separator = ", ";
                }
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
                                : is_decimal_size(text)
                                                ? "its unit may be a power of 1000 or of 1024; write 64M or 64MiB"
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
        for (const struct word *word = key->words; word->text; word++)
                if (strcmp(word->text, text) == 0)
                        return json_string(text);
        snprintf(reason, ASSIGNMENT_REASON_MAX, "it is %s", key->expected);
        return NULL;
}

static json_t *parse_value(const struct key *key, const char *text, uint64_t ram, char *reason)
{
        if (!*text)
                return json_null();
        if (key->words)
                return parse_word(key, text, reason);
        if (key->type == KEY_SIZE)
                return parse_size(text, ram, reason);
        if (key->type == KEY_RATIO && strcmp(text, "infinity") == 0)
                return json_null();
        return parse_number(text, key->type == KEY_PERCENT || key->type == KEY_RATIO, reason);
}

int assignment_parse(const char *text, uint64_t ram, json_t *parameters, char reason[ASSIGNMENT_REASON_MAX])
{
        size_t length = strcspn(text, "=");
        const struct key *key = find_runtime_key(text, length);
        char parameter[KEY_NAME_SIZE];
        json_t *value;

        if (!text[length]) {
                snprintf(reason, ASSIGNMENT_REASON_MAX, "not KEY=VALUE");
                return -EINVAL;
        }
        if (!key) {
                list_keys(reason);
                return -EINVAL;
        }
        value = parse_value(key, text + length + 1, ram, reason);
        if (!value)
                return -EINVAL;
        key_parameter(key, parameter);
        return json_object_set_new(parameters, parameter, value) < 0 ? -ENOMEM : 0;
}
