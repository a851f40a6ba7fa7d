/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text on a terminal: how wide it is, how it is cut, and what of it may be shown. All in the locale's encoding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the locale can show what is not ASCII: block characters and "…". */
bool text_is_utf8(void);

/* The columns that @text takes. What cannot be shown counts as one. */
size_t text_width(const char *text);

/*
 * A copy of @text that takes at most @width columns: excess text before the last third is replaced by "…", because the
 * end of a path is its most significant part. Characters that are not plain (base/text.h), and broken multibyte
 * characters, become "?". To be freed; NULL: no memory.
 */
char *text_ellipsize(const char *text, size_t width);

/* The same with any width, for text that does not come from this program. */
char *text_shown(const char *text);

/* Enough for any number that format_bytes() writes. */
#define FORMAT_BYTES_MAX 24

/* @bytes for people, as format_size() writes it, or the bare number if @exact. Returns @buffer. */
char *format_bytes(char buffer[FORMAT_BYTES_MAX], uint64_t bytes, bool exact);

/* The same as format_size_to() writes it. */
char *format_bytes_to(char buffer[FORMAT_BYTES_MAX], uint64_t bytes, bool exact, unsigned int precision);
