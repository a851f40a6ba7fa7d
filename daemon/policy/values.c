/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/values.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* What a number may be followed by. */
struct scale {
        const char *suffix;
        uint64_t factor;
};

static const struct scale size_scales[] = {
        { "", 1 },
        { "K", 1ULL << 10 },
        { "M", 1ULL << 20 },
        { "G", 1ULL << 30 },
        { "T", 1ULL << 40 },
        { NULL, 0 },
};

static const struct scale time_scales[] = {
        { "", 1000000 },
        { "us", 1 },
        { "ms", 1000 },
        { "s", 1000000 },
        { "sec", 1000000 },
        { "min", 60 * 1000000ULL },
        { "m", 60 * 1000000ULL },
        { "h", 3600 * 1000000ULL },
        { NULL, 0 },
};

static const struct scale *find_scale(const struct scale *scales, const char *suffix)
{
        while (scales->suffix && strcmp(scales->suffix, suffix) != 0)
                scales++;
        return scales->suffix ? scales : NULL;
}

/* Numbers are kept in millionths, so that "1.5" is exact; larger ones than this are all the same: too large. */
#define MILLION       1000000
#define DECIMAL_LIMIT (((u128) 1 << 64) * MILLION)

/* Reads digits, and digits after a point, from @text; digits past the sixth are not looked at. */
static int parse_decimal(const char **text, u128 *millionths)
{
        const char *p = *text;
        u128 value = 0, place = MILLION;

        if (p[0] == '-' && is_digit(p[1]))
                return -EDOM;
        if (!is_digit(*p))
                return -EINVAL;
        for (; is_digit(*p); p++)
                if (value < DECIMAL_LIMIT)
                        value = value * 10 + (u128) (*p - '0') * MILLION;
        if (*p == '.') {
                if (!is_digit(*++p))
                        return -EINVAL;
                for (; is_digit(*p); p++) {
                        place /= 10;
                        value += (*p - '0') * place;
                }
        }
        *millionths = value < DECIMAL_LIMIT ? value : DECIMAL_LIMIT;
        *text = p;
        return 0;
}

static int parse_scaled(const char *text, const struct scale *scales, uint64_t *value)
{
        const struct scale *scale;
        u128 millionths, scaled;
        int r = parse_decimal(&text, &millionths);

        if (r < 0)
                return r;
        scale = find_scale(scales, text);
        if (!scale || (scale->factor == 1 && millionths % MILLION != 0))
                return -EINVAL;
        scaled = millionths * scale->factor / MILLION;
        if (scaled > INT64_MAX)
                return -ERANGE;
        *value = scaled;
        return 0;
}

int parse_bytes(const char *text, uint64_t ram, uint64_t *bytes)
{
        const char *end = text;
        u128 millionths;
        int r;

        if (strcmp(text, "infinity") == 0) {
                *bytes = BUDGET_INFINITY;
                return 0;
        }
        r = parse_decimal(&end, &millionths);
        if (r < 0)
                return r;
        if (strcmp(end, "%") != 0)
                return parse_scaled(text, size_scales, bytes);
        if (millionths > (u128) 100 * MILLION)
                return -ERANGE;
        if (ram == 0)
                return -ENODATA;
        *bytes = millionths * ram / 100 / MILLION;
        return 0;
}

int parse_whole(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number)
{
        u128 millionths;
        int r = parse_decimal(&text, &millionths);

        if (r < 0)
                return r;
        if (*text || millionths % MILLION != 0)
                return -EINVAL;
        if (millionths / MILLION > maximum)
                return -ERANGE;
        *number = millionths / MILLION;
        return *number < minimum ? -EINVAL : 0;
}

int parse_usec(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *usec)
{
        uint64_t value;
        int r = parse_scaled(text, time_scales, &value);

        if (r < 0)
                return r;
        if (value > maximum)
                return -ERANGE;
        if (value > 0 && value < minimum)
                return -EINVAL;
        *usec = value;
        return 0;
}
