/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/values.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

__extension__ typedef unsigned __int128 u128;

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

#define BLANKS " \t"

/* What a number may be followed by. */
struct scale {
        const char *suffix;
        uint64_t factor;
};

/* As parse_size() of systemd has them, and what IEC 80000-13 calls them in full. */
static const struct scale size_scales[] = {
        { "", 1 },
        { "B", 1 },
        { "K", 1ULL << 10 },
        { "Ki", 1ULL << 10 },
        { "KiB", 1ULL << 10 },
        { "M", 1ULL << 20 },
        { "Mi", 1ULL << 20 },
        { "MiB", 1ULL << 20 },
        { "G", 1ULL << 30 },
        { "Gi", 1ULL << 30 },
        { "GiB", 1ULL << 30 },
        { "T", 1ULL << 40 },
        { "Ti", 1ULL << 40 },
        { "TiB", 1ULL << 40 },
        { "P", 1ULL << 50 },
        { "Pi", 1ULL << 50 },
        { "PiB", 1ULL << 50 },
        { "E", 1ULL << 60 },
        { "Ei", 1ULL << 60 },
        { "EiB", 1ULL << 60 },
        { NULL, 0 },
};

#define SEC    1000000ULL
#define MINUTE (60 * SEC)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* The words of systemd.time(7); a year has 365.25 days, and a month is a twelfth of it. */
static const struct scale time_scales[] = {
        { "", SEC },
        { "us", 1 },
        { "\xc2\xb5s", 1 }, /* U+00B5 */
        { "\xce\xbcs", 1 }, /* U+03BC */
        { "usec", 1 },
        { "ms", 1000 },
        { "msec", 1000 },
        { "s", SEC },
        { "sec", SEC },
        { "second", SEC },
        { "seconds", SEC },
        { "m", MINUTE },
        { "min", MINUTE },
        { "minute", MINUTE },
        { "minutes", MINUTE },
        { "h", HOUR },
        { "hr", HOUR },
        { "hour", HOUR },
        { "hours", HOUR },
        { "d", DAY },
        { "day", DAY },
        { "days", DAY },
        { "w", 7 * DAY },
        { "week", 7 * DAY },
        { "weeks", 7 * DAY },
        { "M", 2629800 * SEC },
        { "month", 2629800 * SEC },
        { "months", 2629800 * SEC },
        { "y", 31557600 * SEC },
        { "year", 31557600 * SEC },
        { "years", 31557600 * SEC },
        { NULL, 0 },
};

/* The scale whose suffix is @length bytes of @suffix, NULL: there is none. */
static const struct scale *find_scale(const struct scale *scales, const char *suffix, size_t length)
{
        while (scales->suffix && (strlen(scales->suffix) != length || memcmp(scales->suffix, suffix, length) != 0))
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

/* Adds the decimal @millionths, whose unit is @length bytes of @unit, to @value. */
static int add_scaled(const struct scale *scales, u128 millionths, const char *unit, size_t length, uint64_t *value)
{
        const struct scale *scale = find_scale(scales, unit, length);
        const u128 limit = (u128) INT64_MAX + 1;
        u128 sum = limit;

        if (!scale || (scale->factor == 1 && millionths % MILLION != 0))
                return -EINVAL;
        if (millionths <= limit * MILLION / scale->factor)
                sum = *value + millionths * scale->factor / MILLION;
        /* What is too large is reported as such only if what follows it is valid. */
        *value = MIN(sum, limit);
        return 0;
}

static int parse_size(const char *text, uint64_t *bytes)
{
        u128 millionths;
        int r = parse_decimal(&text, &millionths);

        *bytes = 0;
        if (r == 0)
                r = add_scaled(size_scales, millionths, text, strlen(text), bytes);
        return r ?: *bytes > INT64_MAX ? -ERANGE : 0;
}

/* One or several numbers with their units, blanks between them or not. */
static int parse_time(const char *text, uint64_t *usec)
{
        *usec = 0;
        do {
                u128 millionths;
                size_t unit;
                int r = parse_decimal(&text, &millionths);

                if (r < 0)
                        return r;
                text += strspn(text, BLANKS);
                unit = strcspn(text, BLANKS "0123456789.-");
                r = add_scaled(time_scales, millionths, text, unit, usec);
                if (r < 0)
                        return r;
                text += unit;
                text += strspn(text, BLANKS);
        } while (*text);
        return *usec > INT64_MAX ? -ERANGE : 0;
}

bool is_decimal_size(const char *text)
{
        u128 millionths;

        return parse_decimal(&text, &millionths) == 0 && *text && strchr("kKmMgGtTpPeE", *text) &&
               strcasecmp(text + 1, "B") == 0;
}

int parse_bytes(const char *text, uint64_t ram, uint64_t *bytes)
{
        const char *end = text;
        uint64_t value;
        u128 millionths;
        int r;

        if (strcmp(text, "infinity") == 0) {
                *bytes = BUDGET_INFINITY;
                return 0;
        }
        r = parse_decimal(&end, &millionths);
        if (r < 0)
                return r;
        if (strcmp(end, "%") != 0) {
                r = parse_size(text, &value);
                if (r == 0)
                        *bytes = value;
                return r;
        }
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
        int r = parse_time(text, &value);

        if (r < 0)
                return r;
        if (value > maximum)
                return -ERANGE;
        if (value > 0 && value < minimum)
                return -EINVAL;
        *usec = value;
        return 0;
}
