/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of files and arguments: which characters are not allowed, and how a message quotes it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

/*
 * The offset of the first character of @text, @length bytes, that is not UTF-8, or is a control character other than
 * tab; @length if there is none. *character is the last one that was decoded.
 */
size_t utf8_find_bad(const char *text, size_t length, uint32_t *character);

/* What a message quotes of a text, in bytes. */
#define EXCERPT_LENGTH_MAX 200

struct excerpt {
        char text[EXCERPT_LENGTH_MAX + sizeof("…")];
};

/* An excerpt of @text, @length bytes of UTF-8: all of it, or as many whole characters as fit, followed by "…". */
struct excerpt excerpt_of(const char *text, size_t length);

/* The same of @text, which ends in NUL. */
struct excerpt excerpt(const char *text);
