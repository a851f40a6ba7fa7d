/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "when.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define USEC     1000000ULL
#define DAY_USEC (24 * 3600 * USEC)

/* The end of the last year that has four digits. */
#define SECONDS_MAX 253402300799ULL

#define TEXT_SIZE 64

/* Parses all of @text, such as "3d 2h". */
static int parse_span(const char *text, uint64_t *usec)
{
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "s", 1 }, { "sec", 1 }, { "second", 1 }, { "seconds", 1 }, { "m", 60 }, { "min", 60 },
                { "minute", 60 }, { "minutes", 60 }, { "h", 3600 }, { "hr", 3600 }, { "hour", 3600 }, { "hours", 3600 },
                { "d", 86400 }, { "day", 86400 }, { "days", 86400 }, { "w", 604800 }, { "week", 604800 },
                { "weeks", 604800 } };
        uint64_t sum = 0;

        do {
                unsigned long long number;
                size_t length, i;
                char *end;

                if (!isdigit((unsigned char) *text))
                        return -EINVAL;
                number = strtoull(text, &end, 10);
                end += strspn(end, " ");
                for (length = 0; isalpha((unsigned char) end[length]); length++)
                        ;
                for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                        if (strlen(units[i].name) == length && strncasecmp(units[i].name, end, length) == 0)
                                break;
                if (i == sizeof(units) / sizeof(units[0]) || number > SECONDS_MAX / units[i].seconds)
                        return -EINVAL;
                sum += number * units[i].seconds;
                text = end + length;
                text += strspn(text, " ");
        } while (*text);
        *usec = sum > SECONDS_MAX ? SECONDS_MAX * USEC : sum * USEC;
        return 0;
}

static int take_moment(struct tm *tm, bool utc, uint64_t *usec)
{
        time_t seconds;
        int day = tm->tm_mday;

        tm->tm_isdst = -1;
        seconds = utc ? timegm(tm) : mktime(tm);
        /* The date does not exist, such as 31 February. */
        if (seconds < 0 || tm->tm_mday != day)
                return -EINVAL;
        *usec = (uint64_t) seconds * USEC;
        return 0;
}

/* The beginning of the day so many @days before @now. */
static int begin_of_day(uint64_t now, int days, uint64_t *usec)
{
        time_t seconds = now / USEC;
        struct tm tm;

        localtime_r(&seconds, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mday -= days;
        tm.tm_isdst = -1;
        seconds = mktime(&tm);
        if (seconds < 0)
                return -EINVAL;
        *usec = (uint64_t) seconds * USEC;
        return 0;
}

/* The number of days since the last day with the name @text; -EINVAL: no day has this name. */
static int days_since(const char *text, uint64_t now)
{
        static const char *const names[] = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday",
                "saturday" };
        size_t n = strlen(text);
        time_t seconds = now / USEC;
        struct tm tm;

        localtime_r(&seconds, &tm);
        for (int i = 0; i < 7; i++)
                if (strcasecmp(text, names[i]) == 0 || (n == 3 && strncasecmp(text, names[i], 3) == 0))
                        return (tm.tm_wday - i + 7) % 7;
        return -EINVAL;
}

/* Parses a date, a time of today, or both. */
static int parse_date(const char *text, uint64_t now, uint64_t *usec)
{
        static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
                "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M" };

        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
                time_t seconds = now / USEC;
                const char *end;
                struct tm tm;

                localtime_r(&seconds, &tm);
                tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
                end = strptime(text, formats[i], &tm);
                if (!end)
                        continue;
                if (*end == '\0')
                        return take_moment(&tm, false, usec);
                if (strcmp(end, "Z") == 0 || strcmp(end, " UTC") == 0)
                        return take_moment(&tm, true, usec);
        }
        return -EINVAL;
}

int when_parse(const char *text, uint64_t now, uint64_t *usec)
{
        static const char ago[] = " ago";
        size_t n = strlen(text);
        char copy[TEXT_SIZE];
        uint64_t span;
        int days;

        if (n == 0 || n >= sizeof(copy))
                return -EINVAL;
        strcpy(copy, text);
        if (strcasecmp(text, "now") == 0) {
                *usec = now;
                return 0;
        }
        if (*text == '@') {
                char *end;
                unsigned long long seconds = strtoull(text + 1, &end, 10);

                if (!isdigit((unsigned char) text[1]) || *end || seconds > SECONDS_MAX)
                        return -EINVAL;
                *usec = seconds * USEC;
                return 0;
        }
        if (*text == '-' || (n > strlen(ago) && strcasecmp(text + n - strlen(ago), ago) == 0)) {
                if (*text != '-')
                        copy[n - strlen(ago)] = '\0';
                if (parse_span(copy + (*text == '-'), &span) < 0)
                        return -EINVAL;
                *usec = span > now ? 0 : now - span;
                return 0;
        }
        days = strcasecmp(text, "today") == 0 ? 0 : strcasecmp(text, "yesterday") == 0 ? 1 : days_since(text, now);
        return days >= 0 ? begin_of_day(now, days, usec) : parse_date(text, now, usec);
}
