/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "splice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The position in a text. */
struct cursor {
        const char *at, *end;
};

static void skip_space(struct cursor *cursor)
{
        while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) && *cursor->at)
                cursor->at++;
}

/* Skips @c if it is the next character. */
static bool take(struct cursor *cursor, char c)
{
        skip_space(cursor);
        if (cursor->at == cursor->end || *cursor->at != c)
                return false;
        cursor->at++;
        return true;
}

/* Skips a string with its quotes. */
static bool take_string(struct cursor *cursor)
{
        if (!take(cursor, '"'))
                return false;
        while (cursor->at < cursor->end) {
                char c = *cursor->at++;

                if (c == '"')
                        return true;
                if (c == '\\' && cursor->at < cursor->end)
                        cursor->at++;
        }
        return false;
}

/* Skips everything from the bracket at the position to the one that closes it. */
static bool take_brackets(struct cursor *cursor)
{
        size_t depth = 0;

        while (cursor->at < cursor->end) {
                switch (*cursor->at) {
                case '"':
                        if (!take_string(cursor))
                                return false;
                        continue;
                case '{':
                case '[':
                        depth++;
                        break;
                case '}':
                case ']':
                        if (--depth == 0) {
                                cursor->at++;
                                return true;
                        }
                        break;
                default:
                        break;
                }
                cursor->at++;
        }
        return false;
}

static bool take_value(struct cursor *cursor, struct slice *value)
{
        bool whole = true;

        skip_space(cursor);
        if (cursor->at == cursor->end)
                return false;
        value->start = cursor->at;
        if (*cursor->at == '"')
                whole = take_string(cursor);
        else if (*cursor->at == '{' || *cursor->at == '[')
                whole = take_brackets(cursor);
        else
                while (cursor->at < cursor->end && !strchr(",]} \t\r\n", *cursor->at))
                        cursor->at++;
        value->length = cursor->at - value->start;
        return whole && value->length > 0;
}

bool slice_member(struct slice json, const char *key, struct slice *value)
{
        struct cursor cursor = { json.start, json.start + json.length };
        size_t length = strlen(key);

        if (!take(&cursor, '{'))
                return false;
        do {
                struct slice name;

                if (!take_value(&cursor, &name) || !take(&cursor, ':') || !take_value(&cursor, value))
                        return false;
                if (name.length == length + 2 && *name.start == '"' && memcmp(name.start + 1, key, length) == 0)
                        return true;
        } while (take(&cursor, ','));
        return false;
}

bool slice_elements(struct slice json, struct slice *elements)
{
        struct cursor cursor = { json.start, json.start + json.length };

        if (json.length < 2 || !take(&cursor, '[') || cursor.end[-1] != ']')
                return false;
        skip_space(&cursor);
        cursor.end--;
        while (cursor.end > cursor.at && strchr(" \t\r\n", cursor.end[-1]))
                cursor.end--;
        *elements = (struct slice){ cursor.at, cursor.end - cursor.at };
        return true;
}

bool slice_take(struct slice *elements, struct slice *element)
{
        struct cursor cursor = { elements->start, elements->start + elements->length };

        if (!take_value(&cursor, element))
                return false;
        take(&cursor, ',');
        skip_space(&cursor);
        *elements = (struct slice){ cursor.at, cursor.end - cursor.at };
        return true;
}

bool slice_is(struct slice json, const char *text)
{
        return json.length == strlen(text) && memcmp(json.start, text, json.length) == 0;
}

uint64_t slice_number(struct slice json, const char *path)
{
        char digits[24] = "", key[32];

        for (size_t length; *path; path += length + (path[length] == '.')) {
                length = strcspn(path, ".");
                snprintf(key, sizeof(key), "%.*s", (int) length, path);
                if (!slice_member(json, key, &json))
                        return 0;
        }
        if (json.length < sizeof(digits) && json.length > 0 && *json.start >= '0' && *json.start <= '9')
                memcpy(digits, json.start, json.length);
        return strtoull(digits, NULL, 10);
}
