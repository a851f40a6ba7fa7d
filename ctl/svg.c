/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "svg.h"

#include <string.h>

#include "markup.h"

/*
 * Sizes for the font of 12 pixels: the height of a line, its baseline, and the width of a character in the widest
 * common fonts without serifs.
 */
#define LINE_HEIGHT     16
#define BASELINE        12
#define CHARACTER_WIDTH 7.0

/* text_plain() cannot cut to less than this. */
#define CUT_MIN 16

void svg_open(FILE *stream, const char *id, unsigned int height, const char *title, const char *description)
{
        fprintf(stream,
                        "<svg class=\"picture\" role=\"img\" aria-labelledby=\"%s-title %s-text\" viewBox=\"0 0 %d "
                        "%u\">\n"
                        "<title id=\"%s-title\">%s</title><desc id=\"%s-text\">%s</desc>\n",
                        id, id, SVG_WIDTH, height, id, title, id, description);
}

void svg_close(FILE *stream)
{
        fputs("</svg>\n", stream);
}

double svg_text_width(const char *text)
{
        return strlen(text) * CHARACTER_WIDTH;
}

bool svg_text(FILE *stream, struct tile box, const char *class, const char *text, enum svg_align align)
{
        static const struct {
                const char *x, *anchor;
        } places[] = {
                [SVG_LEFT] = { "0", "start" },
                [SVG_MIDDLE] = { "50%", "middle" },
                [SVG_RIGHT] = { "100%", "end" },
        };
        size_t room = box.width > 0 ? (size_t) (box.width / CHARACTER_WIDTH) : 0, length = strlen(text);

        if (box.height < LINE_HEIGHT - 2 || (length > room && room < CUT_MIN))
                return false;
        fprintf(stream,
                        "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"><text class=\"%s\" x=\"%s\" y=\"%d\" "
                        "text-anchor=\"%s\">",
                        box.x, box.y, box.width, LINE_HEIGHT, class, places[align].x, BASELINE, places[align].anchor);
        markup_text(stream, text, length > room ? room + 1 : MARKUP_TEXT_MAX);
        fputs("</text></svg>", stream);
        return true;
}

uint64_t svg_step(uint64_t highest)
{
        static const uint64_t factors[] = { 1, 2, 5, 10, 20, 50, 100, 200, 512 };
        uint64_t unit = 1;

        for (;; unit *= 1024)
                for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++)
                        if (highest / (factors[i] * unit) < 5 || unit >= 1ULL << 50)
                                return factors[i] * unit;
}
