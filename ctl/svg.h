/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of pictures in HTML: titles, text that stays in its box, and scales. Lengths are in pixels. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "treemap.h"

/* All pictures are as wide as the page. */
#define SVG_WIDTH 1000

/* Begins a picture, @height high, named @title, and described by @description; both are this program's own words. */
void svg_open(FILE *stream, const char *id, unsigned int height, const char *title, const char *description);
void svg_close(FILE *stream);

enum svg_align {
        SVG_LEFT,
        SVG_MIDDLE,
        SVG_RIGHT,
};

/*
 * Writes @text on the first line of @box in the @class of the style sheet. If @text does not fit, it is cut, or not
 * written if less than 16 characters fit. Nothing is drawn outside of @box, whatever the font is. Returns whether @text
 * was written.
 */
bool svg_text(FILE *stream, struct tile box, const char *class, const char *text, enum svg_align align);

/* The width of @text as svg_text() estimates it. */
double svg_text_width(const char *text);

/* The distance of the lines of a scale from 0 to @highest (bytes): 1, 2, 5, 10, ... 512 of a power of 1024, so that
 * there are at most five. */
uint64_t svg_step(uint64_t highest);
