/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t utf8_decode(const char *text, size_t left, uint32_t *character)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *byte = (const unsigned char *) text;
        size_t length = byte[0] < 0x80 ? 1 : byte[0] < 0xc0 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
        uint32_t c = length < 2 ? byte[0] : byte[0] & (0x7f >> length);

        if (length == 0 || length > left || byte[0] >= 0xf8)
                goto invalid;
        for (size_t i = 1; i < length; i++) {
                if ((byte[i] & 0xc0) != 0x80)
                        goto invalid;
                c = c << 6 | (byte[i] & 0x3f);
        }
        if (c < smallest[length] || c >= CHARACTER_INVALID || (c >= 0xd800 && c < 0xe000))
                goto invalid;
        *character = c;
        return length;
invalid:
        *character = CHARACTER_INVALID + byte[0];
        return 1;
}

/* Whether @character moves the cursor or ends a line: a message with it would not be one line. */
static bool is_control(uint32_t character)
{
        return (character < ' ' && character != '\t') || (character >= 0x7f && character < 0xa0) ||
               character == 0x2028 || character == 0x2029;
}

size_t utf8_find_bad(const char *text, size_t length, uint32_t *character)
{
        size_t i = 0;

        while (i < length) {
                size_t bytes = utf8_decode(text + i, length - i, character);

                if (*character >= CHARACTER_INVALID || is_control(*character))
                        break;
                i += bytes;
        }
        return i;
}

struct excerpt excerpt_of(const char *text, size_t length)
{
        size_t shown = length <= EXCERPT_LENGTH_MAX ? length : EXCERPT_LENGTH_MAX;
        struct excerpt excerpt;

        /* Not in the middle of a character. */
        while (shown < length && shown > 0 && (text[shown] & 0xc0) == 0x80)
                shown--;
        snprintf(excerpt.text, sizeof(excerpt.text), "%.*s%s", (int) shown, text, shown < length ? "…" : "");
        return excerpt;
}

struct excerpt excerpt(const char *text)
{
        return excerpt_of(text, strlen(text));
}
