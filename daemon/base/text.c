/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <string.h>

#include "base/utf8.h"

/* In the place of what is cut from a long text. */
static const char ellipsis[] = "…";

/*
 * Control characters, and those that Unicode 16 calls Default_Ignorable_Code_Point, format characters (Cf) or
 * noncharacters: directions, joiners, fillers, selectors of variants, tags. In order.
 */
static const struct {
        uint32_t first, last;
} hidden[] = {
        { 0x0000, 0x001f },
        { 0x007f, 0x009f },
        { 0x00ad, 0x00ad },
        { 0x034f, 0x034f },
        { 0x0600, 0x0605 },
        { 0x061c, 0x061c },
        { 0x06dd, 0x06dd },
        { 0x070f, 0x070f },
        { 0x0890, 0x0891 },
        { 0x08e2, 0x08e2 },
        { 0x115f, 0x1160 },
        { 0x17b4, 0x17b5 },
        { 0x180b, 0x180f },
        { 0x200b, 0x200f },
        { 0x2028, 0x202e },
        { 0x2060, 0x206f },
        { 0x3164, 0x3164 },
        { 0xd800, 0xdfff },
        { 0xfdd0, 0xfdef },
        { 0xfe00, 0xfe0f },
        { 0xfeff, 0xfeff },
        { 0xffa0, 0xffa0 },
        { 0xfff0, 0xfffb },
        { 0xfffe, 0xffff },
        { 0x110bd, 0x110bd },
        { 0x110cd, 0x110cd },
        { 0x13430, 0x1343f },
        { 0x1bca0, 0x1bca3 },
        { 0x1d173, 0x1d17a },
        { 0xe0000, 0xe0fff },
};

bool character_is_plain(uint32_t character)
{
        size_t low = 0, high = sizeof(hidden) / sizeof(hidden[0]);

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (character < hidden[middle].first)
                        high = middle;
                else if (character > hidden[middle].last)
                        low = middle + 1;
                else
                        return false;
        }
        /* The last two of each plane are noncharacters. */
        return character < CHARACTER_INVALID && (character & 0xfffe) != 0xfffe;
}

/* What is shown of the character at @text, @left bytes: as many bytes as it has, whose number is in *length. */
static const char *show_character(const char *text, size_t left, size_t *length)
{
        uint32_t character;

        *length = utf8_decode(text, left, &character);
        return character_is_plain(character) ? text : "????";
}

char *text_plain(const char *text, char *buffer, size_t size)
{
        size_t whole = strlen(text), head = whole, tail = 0, length;
        char *end = buffer;

        if (whole >= size) {
                size_t room = size - sizeof(ellipsis);

                tail = room - room / 3;
                head = room - tail;
        }
        for (size_t at = 0; at < whole; at += length) {
                const char *shown = show_character(text + at, whole - at, &length);

                if (at + length <= head || at >= whole - tail) {
                        end = mempcpy(end, shown, length);
                        continue;
                }
                if (head > 0)
                        end = stpcpy(end, ellipsis);
                head = 0;
        }
        *end = '\0';
        return buffer;
}
