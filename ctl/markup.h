/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text in HTML and SVG. Anybody can choose names, so all text that does not come from this program must be written by
 * these functions.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "table.h"

/*
 * The maximum size of a name, and of one where there is more room, in bytes with the NUL; not more than
 * MARKUP_TEXT_MAX.
 */
#define MARKUP_NAME_SIZE 96
#define MARKUP_LONG_SIZE 256
#define MARKUP_TEXT_MAX  512

/*
 * Writes @text as text of an element, or as the value of a quoted attribute: cut to @size (>= 16) bytes by text_plain()
 * (base/text.h), with character references instead of the characters that begin and end markup.
 */
void markup_text(FILE *stream, const char *text, size_t size);

/*
 * The number of distinct colors; MARKUP_COLORS and higher numbers are the color of everything that has no color of its
 * own.
 */
#define MARKUP_COLORS 8

/* Writes a small picture that has the @color of tiles and lines, for legends. */
void markup_swatch(FILE *stream, uint64_t color);

/* Writes the table, with its cells as table_print() has them. Returns 0 or -ENOMEM. */
int markup_table(FILE *stream, const struct table *table);
