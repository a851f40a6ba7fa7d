/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Characters of UTF-8, whole or broken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code points from here on are bytes that are not UTF-8: names of cgroups may be anything. */
#define CHARACTER_INVALID 0x110000

/* No character has more bytes. */
#define UTF8_LENGTH_MAX 4

/* Decodes the character at @text, at most @left (> 0) bytes. Returns its length in bytes. */
size_t utf8_decode(const char *text, size_t left, uint32_t *character);

/* Whether all of @text is UTF-8. */
bool utf8_is_valid(const char *text);
