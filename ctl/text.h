/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text on a terminal: its width, how to cut it, and which characters may be shown. All text is in the locale's
 * encoding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the locale can show characters beyond ASCII: block characters and "…". */
bool text_is_utf8(void);

/* The number of columns that @text takes. A character that cannot be shown counts as one. */
size_t text_width(const char *text);

/*
 * A copy of @text that takes at most @width columns: excess text before the last third is replaced by "…", because the
 * end of a path is its most significant part. Characters that are not plain (base/text.h), and broken multibyte
 * characters, become "?". To be freed; NULL: no memory.
 */
char *text_ellipsize(const char *text, size_t width);

/* The same without a limit of the width, for text that does not come from this program. */
char *text_shown(const char *text);

/* Enough for any number that format_bytes() writes. */
#define FORMAT_BYTES_MAX 24

/* @bytes as format_size() writes it for people, or the bare number if @exact. Returns @buffer. */
char *format_bytes(char buffer[FORMAT_BYTES_MAX], uint64_t bytes, bool exact);

/* The same with the precision of format_size_to(). */
char *format_bytes_to(char buffer[FORMAT_BYTES_MAX], uint64_t bytes, bool exact, unsigned int precision);
