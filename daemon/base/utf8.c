/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf8.h"

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

bool utf8_is_valid(const char *text)
{
        size_t left = strlen(text), length;
        uint32_t character;

        for (; left > 0; text += length, left -= length) {
                length = utf8_decode(text, left, &character);
                if (character >= CHARACTER_INVALID)
                        return false;
        }
        return true;
}
