/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
