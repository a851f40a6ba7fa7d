/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What fits in the buffer of a libinih as distributions build it, 200 bytes, less CR, LF and NUL. */
#define LINE_LENGTH_MAX 197
_Static_assert(INI_MAX_LINE >= LINE_LENGTH_MAX + 3, "inih's lines are too short");

/* No budget file that people write is near it; it bounds what somebody else's file costs the daemon. */
#define FILE_SIZE_MAX (1024 * 1024)

/* Enough to correct a file by; a binary file that was taken for a budget must not flood the journal. */
#define FILE_MESSAGES_MAX 100

/* Twice a line, and the words around it. */
#define MESSAGE_SIZE 1024

/* No key, section or unit suffix is longer: names that are compared with them may be. */
#define NAME_MAX_COMPARED 31

/* A glob has one state a byte and one for its end. */
#define GLOB_WORDS      4
#define GLOB_LENGTH_MAX (GLOB_WORDS * 64 - 1)
_Static_assert(LINE_LENGTH_MAX <= GLOB_LENGTH_MAX, "a glob of a line has more states than there is room for");

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

__extension__ typedef unsigned __int128 u128;

/* --- Characters ------------------------------------------------------------------------------------------ */

/* Code points from here on are bytes that are not UTF-8: names of cgroups may be anything. */
#define CHARACTER_INVALID 0x110000

/* Decodes the character at @text, at most @left (> 0) bytes. Returns its length. */
static size_t decode(const char *text, size_t left, uint32_t *character)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *byte = (const unsigned char *) text;
        size_t length = byte[0] < 0x80 ? 1 : byte[0] < 0xc0 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
        uint32_t c = length < 2 ? byte[0] : byte[0] & (0x7f >> length);

        if (length == 0 || length > left || byte[0] >= 0xf8)
                goto invalid;
        for (size_t i = 1; i < length; i++) {
                if ((byte[i] & 0xc0) != 0x80)
                        goto invalid;
                c = c << 6 | (byte[i] & 0x3f);
        }
        if (c < smallest[length] || c >= CHARACTER_INVALID || (c >= 0xd800 && c < 0xe000))
                goto invalid;
        *character = c;
        return length;
invalid:
        *character = CHARACTER_INVALID + byte[0];
        return 1;
}

/* Whether @character moves the cursor or ends a line: a message with it would not be one line. */
static bool is_control(uint32_t character)
{
        return (character < ' ' && character != '\t') || (character >= 0x7f && character < 0xa0) ||
               character == 0x2028 || character == 0x2029;
}

/* The first character of @text that is not UTF-8 or is a control character; @length if there is none. */
static size_t find_bad_character(const char *text, size_t length, uint32_t *character)
{
        size_t i = 0;

        while (i < length) {
                size_t bytes = decode(text + i, length - i, character);

                if (*character >= CHARACTER_INVALID || is_control(*character))
                        break;
                i += bytes;
        }
        return i;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static unsigned int least(unsigned int a, unsigned int b)
{
        return a < b ? a : b;
}

/*
 * How many letters must be put in, left out, replaced or swapped with the next to make @a into @b (optimal string
 * alignment), in upper or lower case. @b is not longer than NAME_MAX_COMPARED.
 */
static unsigned int edit_distance(const char *a, const char *b)
{
        unsigned int rows[3][NAME_MAX_COMPARED + 1];
        size_t m = strlen(a), n = strlen(b);

        if (m > NAME_MAX_COMPARED)
                return m;
        for (size_t j = 0; j <= n; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= m; i++) {
                unsigned int *row = rows[i % 3], *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        bool same = lower(a[i - 1]) == lower(b[j - 1]);

                        row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
                        if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                                row[j] = least(row[j], second[j - 2] + 1);
                }
        }
        return rows[m % 3][n];
}

/* Whether a name at @distance from @valid can be a slip for it. */
static bool is_near(unsigned int distance, const char *valid)
{
        return distance <= 1 + strlen(valid) / 3;
}

/* --- Globs ----------------------------------------------------------------------------------------------- */

/*
 * A glob is run as the nondeterministic automaton that it is: the set of positions in it that what was read so far can
 * be at. Backtracking would be shorter and takes quadratic time where "*" and "**" meet.
 */
struct states {
        uint64_t words[GLOB_WORDS];
};

/* What at @glob can match nothing, in bytes: "*", "**", and the slash with the "**" of a component that may be none. */
static size_t glob_optional(const char *glob)
{
        size_t slash = *glob == '/', stars = strspn(glob + slash, "*");
        char after = glob[slash + stars];

        if (!slash)
                return stars;
        return stars >= 2 && (after == '/' || after == '\0') ? slash + stars : 0;
}

/* Adds position @i, and those that are reached from it without a character. */
static void states_add(struct states *states, const char *glob, size_t i)
{
        size_t optional;

        do {
                states->words[i / 64] |= 1ULL << i % 64;
                optional = glob_optional(glob + i);
                i += optional;
        } while (optional > 0);
}

/* The length of the brackets at @glob, 0 if they are not closed; @found says whether @character is in them. */
static size_t glob_brackets(const char *glob, uint32_t character, bool *found)
{
        bool negated = glob[1] == '!' || glob[1] == '^', in = false;
        const char *first = glob + 1 + negated, *p = first;
        uint32_t low, high;

        while (*p != ']' || p == first) {
                if (!*p)
                        return 0;
                p += decode(p, strlen(p), &low);
                high = low;
                if (p[0] == '-' && p[1] && p[1] != ']')
                        p += 1 + decode(p + 1, strlen(p + 1), &high);
                in |= character >= low && character <= high;
        }
        *found = in != negated && character != '/';
        return p + 1 - glob;
}

/* Adds to @next where position @i of @glob gets by @character. */
static void glob_step(const char *glob, size_t i, uint32_t character, struct states *next)
{
        size_t length = 1, stars = strspn(glob + i, "*");
        uint32_t literal;
        bool found = false;

        if (stars > 0) {
                if (stars > 1 || character != '/')
                        states_add(next, glob, i);
                return;
        }
        if (glob[i] == '?')
                found = character != '/';
        else if (glob[i] == '[')
                length = glob_brackets(glob + i, character, &found);
        else if (glob[i]) {
                length = decode(glob + i, strlen(glob + i), &literal);
                found = literal == character;
        }
        if (found)
                states_add(next, glob, i + length);
}

/* How many bytes at @glob stand for themselves before the first that may not. */
static size_t glob_literal(const char *glob)
{
        size_t length = strcspn(glob, "*?[");

        if (length > 0 && glob[length - 1] == '/' && glob_optional(glob + length - 1) > 0)
                length--;
        return length;
}

/* Finds what the matches of @pattern's glob begin and end with, and the longest that they have in between. */
static void pattern_compile(struct pattern *pattern)
{
        const char *glob = pattern->glob, *p;
        uint16_t length = pattern->prefix = glob_literal(glob);

        for (p = glob + length; *p; p += length) {
                bool found;

                length = *p == '[' ? glob_brackets(p, 0, &found) : 0;
                p += length ?: glob_optional(p) ?: 1;
                length = glob_literal(p);
                if (p[length] == '\0')
                        pattern->suffix = length;
                else if (length > pattern->needle_length) {
                        pattern->needle = p - glob;
                        pattern->needle_length = length;
                }
        }
}

static bool glob_run(const char *glob, size_t start, const char *text, size_t length)
{
        struct states now = { 0 };
        size_t end = strlen(glob), words = end / 64 + 1;

        if (end > GLOB_LENGTH_MAX)
                return false;
        states_add(&now, glob, start);
        while (length > 0) {
                struct states next = { 0 };
                uint32_t character;
                size_t bytes = decode(text, length, &character);
                uint64_t any = 0;

                for (size_t w = 0; w < words; w++)
                        for (uint64_t left = now.words[w]; left; left &= left - 1)
                                glob_step(glob, w * 64 + __builtin_ctzll(left), character, &next);
                for (size_t w = 0; w < words; w++)
                        any |= next.words[w];
                if (!any)
                        return false;
                now = next;
                text += bytes;
                length -= bytes;
        }
        return now.words[end / 64] >> end % 64 & 1;
}

/* Matches @length bytes of @text. What is literal in a glob tells most mismatches apart, at a tenth of the time. */
static bool pattern_match(const struct pattern *pattern, const char *text, size_t length)
{
        const char *glob = pattern->glob;
        size_t prefix = pattern->prefix, suffix = pattern->suffix;

        /* The root is a path of no components, but "/" is written for it. */
        if (length == 1 && text[0] == '/' && strcmp(glob, "/") != 0)
                length = 0;
        if (length < prefix + suffix || memcmp(glob, text, prefix) != 0)
                return false;
        if (glob[prefix] == '\0')
                return length == prefix;
        if (suffix > 0 && memcmp(strchr(glob + prefix, '\0') - suffix, text + length - suffix, suffix) != 0)
                return false;
        if (pattern->needle_length > 0 &&
                        !memmem(text + prefix, length - prefix, glob + pattern->needle, pattern->needle_length))
                return false;
        return glob_run(glob, prefix, text + prefix, length - prefix);
}

bool glob_match(const char *glob, const char *path)
{
        struct pattern pattern = { .glob = (char *) glob };

        if (strlen(glob) > GLOB_LENGTH_MAX)
                return false;
        pattern_compile(&pattern);
        return pattern_match(&pattern, path, strlen(path));
}

int glob_escape(const char *path, char **glob)
{
        size_t length = strlen(path);
        uint32_t character;
        char *p;

        if (find_bad_character(path, length, &character) < length || strpbrk(path, " \t"))
                return -EINVAL;
        *glob = p = malloc(3 * length + 1);
        if (!p)
                return -ENOMEM;
        for (; *path; path++)
                if (strchr("*?[", *path))
                        p += sprintf(p, "[%c]", *path);
                else
                        *p++ = *path;
        *p = '\0';
        if (p - *glob <= LINE_LENGTH_MAX - (ssize_t) strlen("Cgroup="))
                return 0;
        free(*glob);
        return -ENAMETOOLONG;
}

/* --- Patterns and units ---------------------------------------------------------------------------------- */

static void patterns_deinit(struct patterns *patterns)
{
        for (size_t i = 0; i < patterns->count; i++)
                free(patterns->list[i].glob);
        free(patterns->list);
        *patterns = (struct patterns){ 0 };
}

static int patterns_add(struct patterns *patterns, const char *glob, bool exclude)
{
        struct pattern *list = reallocarray(patterns->list, patterns->count + 1, sizeof(*list));
        char *copy;

        if (!list)
                return -ENOMEM;
        patterns->list = list;
        copy = strdup(glob);
        if (!copy)
                return -ENOMEM;
        list[patterns->count] = (struct pattern){ .glob = copy, .exclude = exclude };
        pattern_compile(&list[patterns->count++]);
        return 0;
}

static bool patterns_match_text(const struct patterns *patterns, const char *text, size_t length)
{
        bool included = false, only_excludes = true;

        for (size_t i = 0; i < patterns->count; i++) {
                const struct pattern *pattern = &patterns->list[i];

                only_excludes &= pattern->exclude;
                if (included && !pattern->exclude)
                        continue;
                if (!pattern_match(pattern, text, length))
                        continue;
                if (pattern->exclude)
                        return false;
                included = true;
        }
        return included || (only_excludes && patterns->count > 0);
}

bool patterns_match(const struct patterns *patterns, const char *path)
{
        return patterns_match_text(patterns, path, strlen(path));
}

/* Units that have a cgroup; systemd.unit(5) has five more that have none. */
static const char *const unit_suffixes[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };
#define UNIT_SUFFIXES ".service, .scope, .slice, .socket, .mount or .swap"

static bool is_unit(const char *name, size_t length)
{
        for (size_t i = 0; i < ELEMENTSOF(unit_suffixes); i++) {
                size_t n = strlen(unit_suffixes[i]);

                if (length > n && memcmp(name + length - n, unit_suffixes[i], n) == 0)
                        return true;
        }
        return false;
}

const char *path_unit(const char *path, size_t *length)
{
        const char *end = path + strlen(path);

        while (end > path) {
                const char *slash = memrchr(path, '/', end - path), *name = slash ? slash + 1 : path;

                /* cg_escape() of systemd: names such as "_cpu.service". */
                if (name < end && *name == '_')
                        name++;
                if (is_unit(name, end - name)) {
                        *length = end - name;
                        return name;
                }
                end = slash ?: path;
        }
        return NULL;
}

static bool users_match(const struct budget *budget, uint32_t uid)
{
        bool included = false, only_excludes = true;

        for (size_t i = 0; i < budget->users.count; i++) {
                bool exclude = budget->users.list[i].exclude, same = budget->uids[i] == uid && uid != UINT32_MAX;

                only_excludes &= exclude;
                if (same && exclude)
                        return false;
                included |= same;
        }
        return included || only_excludes;
}

const struct budget *config_match(const struct config *config, const struct match_subject *subject)
{
        size_t path_length = strlen(subject->path), unit_length = 0;
        const char *unit = path_unit(subject->path, &unit_length);

        /* Unit= is about the unit's own cgroup: what is below it counts there, and would be told twice. */
        if (unit && unit + unit_length != subject->path + path_length)
                unit = NULL;
        for (size_t i = 0; i < config->count; i++) {
                const struct budget *budget = &config->budgets[i];

                if (budget->cgroups.count > 0 && !patterns_match_text(&budget->cgroups, subject->path, path_length))
                        continue;
                if (budget->units.count > 0 && !(unit && patterns_match_text(&budget->units, unit, unit_length)))
                        continue;
                if (users_match(budget, subject->uid))
                        return budget;
        }
        return NULL;
}

/* --- Loading: what all parts below share ----------------------------------------------------------------- */

struct loader {
        const struct config_machine *machine;
        config_message_t message;
        void *context;
        char *buffer; /* FILE_SIZE_MAX + 1 bytes */
        bool failed;  /* something fatal was told */
        int error;    /* -ENOMEM */
};

/* A value as it was written, for messages that come when the file has been read. */
struct given {
        unsigned int line; /* 0: not given, or not valid */
        char text[LINE_LENGTH_MAX + 1];
};

/* A file that is being read. */
struct source {
        struct loader *loader;
        const struct format *format;
        const char *file;
        void *target; /* struct settings or struct budget */
        const char *next, *end;
        unsigned int line;
        unsigned int messages, errors;
        bool crlf;
        bool matched; /* anything was given in [Match], right or wrong */
        struct given high, max;
};

struct key {
        const char *section, *name;
        /*
         * Parses @value, which is not empty, into @field; a list's function adds to it, and gets an empty value too.
         * Wrong values are told; returns -ENOMEM only.
         */
        int (*parse)(struct source *source, const struct key *key, const char *value, void *field);
        size_t offset, size;       /* of the field; size 0: a list */
        uint64_t minimum, maximum; /* of numbers */
        const struct word *words;  /* of words */
        const char *expected;      /* in messages: what is right */
        struct given *(*given)(struct source *source);
};

/* One kind of file. */
struct format {
        const char *what;
        const char *const *sections; /* up to NULL */
        const struct key *keys;
        size_t count;
        const void *defaults; /* of the fields: an empty value resets to them */
};

__attribute__((format(printf, 5, 0))) static void tell_list(struct loader *loader, const char *file, unsigned int line,
                bool fatal, const char *format, va_list list)
{
        char message[MESSAGE_SIZE];

        vsnprintf(message, sizeof(message), format, list);
        loader->failed |= fatal;
        loader->message(loader->context, file, line, fatal, message);
}

/* Tells what is wrong with the file or directory @file as a whole. */
__attribute__((format(printf, 3, 4))) static void tell_file(
                struct loader *loader, const char *file, const char *format, ...)
{
        va_list list;

        va_start(list, format);
        tell_list(loader, file, 0, true, format, list);
        va_end(list);
}

/* Tells what is wrong in @line of @source, up to a number. */
__attribute__((format(printf, 4, 5))) static void tell(
                struct source *source, unsigned int line, bool fatal, const char *format, ...)
{
        va_list list;

        source->loader->failed |= fatal;
        source->errors += fatal;
        if (++source->messages > FILE_MESSAGES_MAX)
                return;
        va_start(list, format);
        tell_list(source->loader, source->file, line, fatal, format, list);
        va_end(list);
}

#define tell_error(source, ...)   tell(source, (source)->line, true, __VA_ARGS__)
#define tell_warning(source, ...) tell(source, (source)->line, false, __VA_ARGS__)

/* --- Values ---------------------------------------------------------------------------------------------- */

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

/* A number with one of @scales, up to INT64_MAX. */
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

/* Why a number is not taken. */
static const struct {
        int error;
        const char *text;
} number_errors[] = {
        { -EDOM, "is negative" },
        { -ERANGE, "is too large" },
        { -ENODATA, "cannot be computed, as the size of RAM is not known" },
        { -EINVAL, "is not valid" },
};

static void tell_number(struct source *source, const struct key *key, const char *value, int error)
{
        const char *text = "is not valid";

        for (size_t i = 0; i < ELEMENTSOF(number_errors); i++)
                if (number_errors[i].error == error)
                        text = number_errors[i].text;
        tell_error(source, "%s=%s %s: expected %s", key->name, value, text, key->expected);
}

/* A number below this and without a unit is hardly meant in bytes: no object of BPF is as small as that. */
#define BYTES_SUSPICIOUS 4096

static int parse_size(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t *bytes = field;
        int r = parse_bytes(value, source->loader->machine->ram, bytes);

        if (r < 0)
                tell_number(source, key, value, r);
        else if (*bytes > 0 && *bytes < BYTES_SUSPICIOUS && value[strspn(value, "0123456789")] == '\0')
                tell_warning(source, "%s=%s has no unit and is taken as bytes: write %s=%sM if megabytes are meant",
                                key->name, value, key->name, value);
        return 0;
}

/* A whole number of @value within the bounds of @key. */
static int parse_whole(const char *value, const struct key *key, uint64_t *number)
{
        u128 millionths;
        int r = parse_decimal(&value, &millionths);

        if (r < 0)
                return r;
        if (*value || millionths % MILLION != 0)
                return -EINVAL;
        if (millionths / MILLION > key->maximum)
                return -ERANGE;
        *number = millionths / MILLION;
        return *number < key->minimum ? -EINVAL : 0;
}

static int parse_count(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t *count = field;
        int r;

        if (strcmp(value, "infinity") == 0) {
                *count = BUDGET_INFINITY;
                return 0;
        }
        r = parse_whole(value, key, count);
        if (r < 0)
                tell_number(source, key, value, r);
        return 0;
}

static int parse_u32(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t number;
        int r = parse_whole(value, key, &number);

        if (r < 0)
                tell_number(source, key, value, r);
        else
                *(uint32_t *) field = number;
        return 0;
}

/* The sign may be left out. */
static int parse_percent(struct source *source, const struct key *key, const char *value, void *field)
{
        char number[LINE_LENGTH_MAX + 1];
        size_t length = strlen(value);
        uint64_t percent;
        int r;

        snprintf(number, sizeof(number), "%.*s", (int) (length - (value[length - 1] == '%')), value);
        r = parse_whole(number, key, &percent);
        if (r < 0)
                tell_number(source, key, value, r);
        else
                *(uint32_t *) field = percent;
        return 0;
}

/* "infinity" is no ratio at all. */
static int parse_ratio(struct source *source, const struct key *key, const char *value, void *field)
{
        if (strcmp(value, "infinity") != 0)
                return parse_percent(source, key, value, field);
        *(uint32_t *) field = 0;
        return 0;
}

static int parse_time(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t usec = 0;
        int r = parse_scaled(value, time_scales, &usec);

        if (r == 0 && usec > key->maximum)
                r = -ERANGE;
        /* 0 switches off; what is between that and the minimum is a slip of the unit. */
        if (r == 0 && usec > 0 && usec < key->minimum)
                r = -EINVAL;
        if (r < 0)
                tell_number(source, key, value, r);
        else
                *(uint64_t *) field = usec;
        return 0;
}

struct word {
        const char *text;
        unsigned int value;
};

static const struct word *find_word(struct source *source, const struct key *key, const char *value)
{
        for (const struct word *word = key->words; word->text; word++)
                if (strcasecmp(word->text, value) == 0)
                        return word;
        tell_error(source, "%s=%s is not valid: expected %s", key->name, value, key->expected);
        return NULL;
}

static int parse_word(struct source *source, const struct key *key, const char *value, void *field)
{
        const struct word *word = find_word(source, key, value);

        if (word)
                *(unsigned int *) field = word->value;
        return 0;
}
_Static_assert(sizeof(enum budget_action) == sizeof(unsigned int), "parse_word() writes enums");

static int parse_flag(struct source *source, const struct key *key, const char *value, void *field)
{
        const struct word *word = find_word(source, key, value);

        if (word)
                *(bool *) field = word->value;
        return 0;
}

/* --- Lists ----------------------------------------------------------------------------------------------- */

/*
 * Takes the next word off @rest, which is cut up, without its "!". Returns NULL where there is none.
 */
static char *next_pattern(char **rest, bool *exclude)
{
        char *word;

        do
                word = strsep(rest, " \t");
        while (word && !*word);
        *exclude = word && *word == '!';
        return word ? word + *exclude : NULL;
}

static bool brackets_are_closed(const char *glob)
{
        while ((glob = strchr(glob, '['))) {
                bool found;
                size_t length = glob_brackets(glob, 0, &found);

                if (length == 0)
                        return false;
                glob += length;
        }
        return true;
}

/* What is wrong with a glob for paths of cgroups, NULL if nothing is. */
static const char *check_path_glob(const char *glob)
{
        if (*glob != '/')
                return "does not begin with \"/\": give the path below the cgroup mount";
        if (!brackets_are_closed(glob))
                return "has a \"[\" without \"]\": close it";
        if (strstr(glob, "//"))
                return "has an empty component: write one \"/\" for \"//\"";
        if (glob[1] && glob[strlen(glob) - 1] == '/')
                return "ends in \"/\", which no cgroup does: leave it out";
        return NULL;
}

/* A glob may leave open which unit it is, but "docker" and "docker.timer" match none. */
static const char *check_unit_glob(const char *glob)
{
        const char *dot = strrchr(glob, '.');

        if (strchr(glob, '/'))
                return "has a \"/\", which no unit has: use Cgroup= for paths";
        if (!brackets_are_closed(glob))
                return "has a \"[\" without \"]\": close it";
        if (!strpbrk(dot ?: glob, "*?[]") && !is_unit(glob, strlen(glob)))
                return "is no unit that has a cgroup: expected a name in " UNIT_SUFFIXES ", or a glob";
        return NULL;
}

static int parse_globs(struct source *source, const struct key *key, const char *value, struct patterns *patterns,
                const char *(*check)(const char *glob))
{
        char words[LINE_LENGTH_MAX + 1], *rest = words, *glob;
        bool exclude;

        if (!*value)
                patterns_deinit(patterns);
        snprintf(words, sizeof(words), "%s", value);
        while ((glob = next_pattern(&rest, &exclude))) {
                const char *wrong = check(glob);
                int r;

                if (wrong) {
                        tell_error(source, "%s=%s%s %s", key->name, exclude ? "!" : "", glob, wrong);
                        continue;
                }
                r = patterns_add(patterns, glob, exclude);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_path_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_globs(source, key, value, field, check_path_glob);
}

static int parse_unit_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_globs(source, key, value, field, check_unit_glob);
}

/* The uid of @user, a name or a number. Returns false if there is none. */
static bool find_user(const char *user, uint32_t *uid)
{
        static const struct key bounds = { .maximum = UINT32_MAX - 1 }; /* (uid_t) -1 is nobody, of any kind */
        const struct passwd *entry;
        uint64_t number;

        *uid = UINT32_MAX;
        if (parse_whole(user, &bounds, &number) == 0) {
                *uid = number;
                return true;
        }
        entry = getpwnam(user);
        if (entry)
                *uid = entry->pw_uid;
        return entry;
}

static int add_user(struct budget *budget, const char *user, bool exclude, uint32_t uid)
{
        uint32_t *uids = reallocarray(budget->uids, budget->users.count + 1, sizeof(*uids));

        if (!uids)
                return -ENOMEM;
        budget->uids = uids;
        uids[budget->users.count] = uid;
        return patterns_add(&budget->users, user, exclude);
}

static int parse_users(struct source *source, const struct key *key, const char *value, void *field)
{
        struct budget *budget = source->target;
        char words[LINE_LENGTH_MAX + 1], *rest = words, *user;
        bool exclude;

        if (!*value)
                patterns_deinit(field);
        snprintf(words, sizeof(words), "%s", value);
        while ((user = next_pattern(&rest, &exclude))) {
                uint32_t uid;
                int r;

                if (!*user) {
                        tell_error(source, "%s=! excludes nobody: expected %s", key->name, key->expected);
                        continue;
                }
                if (!find_user(user, &uid))
                        tell_warning(source, "%s=%s is no user here and matches nobody: make the user, then reload",
                                        key->name, user);
                r = add_user(budget, user, exclude, uid);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Keys ------------------------------------------------------------------------------------------------ */

static struct given *given_high(struct source *source)
{
        return &source->high;
}

static struct given *given_max(struct source *source)
{
        return &source->max;
}

static const struct word on_high_words[] = { { "alert", ACTION_ALERT }, { "throttle", ACTION_THROTTLE }, { NULL } };
static const struct word on_max_words[] = { { "alert", ACTION_ALERT }, { "deny", ACTION_DENY }, { NULL } };
static const struct word attribution_words[] = { { "charged", BUDGET_CHARGED }, { "holder", BUDGET_HOLDER }, { NULL } };
static const struct word count_words[] = { { "allocated", COUNT_ALLOCATED }, { "charged", COUNT_CHARGED }, { NULL } };
static const struct word fail_words[] = { { "open", false }, { "closed", true }, { NULL } };
static const struct word boolean_words[] = {
        { "yes", true },
        { "no", false },
        { "true", true },
        { "false", false },
        { "1", true },
        { "0", false },
        { "on", true },
        { "off", false },
        { NULL },
};

#define EXPECTED_SIZE  "bytes with K, M, G or T (64M), a share of RAM up to 100% (25%), or infinity"
#define EXPECTED_COUNT "a whole number of 0 to 4294967295, or infinity"

/* An absurd ratio is a slip; BPF of many times its RSS is what a small loader of large maps looks like. */
#define RATIO_MAX 1000000

/* A shorter interval would keep a CPU busy, with a longer one nothing is noticed. */
#define POLL_USEC_MIN (100 * 1000ULL)
#define POLL_USEC_MAX (3600 * 1000000ULL)

#define ALERT_INTERVAL_USEC_MAX (24 * 3600 * 1000000ULL)

/* A service that stands still for longer is taken for dead by its clients and its watchdog. */
#define THROTTLE_USEC_MAX (60 * 1000000ULL)

/* The kernel numbers memory cgroups with 16 bits; some room for those that are gone and still hold maps. */
#define CGROUPS_LIMIT (1024 * 1024)

#define BUDGET_FIELD(field)   offsetof(struct budget, field), sizeof(((struct budget *) NULL)->field)
#define SETTINGS_FIELD(field) offsetof(struct settings, field), sizeof(((struct settings *) NULL)->field)

/* clang-format off */
static const struct key budget_keys[] = {
        { "Match", "Cgroup", parse_path_globs, offsetof(struct budget, cgroups) },
        { "Match", "Unit", parse_unit_globs, offsetof(struct budget, units) },
        { "Match", "User", parse_users, offsetof(struct budget, users), .expected = "names or numbers of users" },
        { "Budget", "High", parse_size, BUDGET_FIELD(high), .expected = EXPECTED_SIZE, .given = given_high },
        { "Budget", "Max", parse_size, BUDGET_FIELD(max), .expected = EXPECTED_SIZE, .given = given_max },
        { "Budget", "FootprintRatioHigh", parse_ratio, BUDGET_FIELD(footprint_ratio_high), 1, RATIO_MAX,
          .expected = "a whole percentage of 1% to 1000000%, or infinity" },
        { "Budget", "MapsMax", parse_count, BUDGET_FIELD(maps_max), 0, UINT32_MAX, .expected = EXPECTED_COUNT },
        { "Budget", "ProgramsMax", parse_count, BUDGET_FIELD(programs_max), 0, UINT32_MAX, .expected = EXPECTED_COUNT },
        { "Budget", "OnHigh", parse_word, BUDGET_FIELD(on_high), .words = on_high_words,
          .expected = "alert or throttle" },
        { "Budget", "OnMax", parse_word, BUDGET_FIELD(on_max), .words = on_max_words, .expected = "alert or deny" },
        { "Budget", "Attribution", parse_word, BUDGET_FIELD(attribution), .words = attribution_words,
          .expected = "charged or holder" },
        { "Budget", "Count", parse_word, BUDGET_FIELD(count), .words = count_words,
          .expected = "allocated or charged" },
        { "Budget", "ClearPercent", parse_percent, BUDGET_FIELD(clear_percent), 1, 100,
          .expected = "a whole percentage of 1% to 100%" },
};

static const struct key settings_keys[] = {
        { "Daemon", "PollSec", parse_time, SETTINGS_FIELD(poll_usec), POLL_USEC_MIN, POLL_USEC_MAX,
          .expected = "a time of 100ms to 1h, or 0 for none" },
        { "Daemon", "AlertIntervalSec", parse_time, SETTINGS_FIELD(alert_interval_usec), 0, ALERT_INTERVAL_USEC_MAX,
          .expected = "a time of at most 24h such as 500ms, 5s or 2min, or 0 for no limit" },
        { "Daemon", "AlertBurst", parse_u32, SETTINGS_FIELD(alert_burst), 1, UINT32_MAX,
          .expected = "a whole number of 1 to 4294967295" },
        { "Daemon", "ThrottleMaxSec", parse_time, SETTINGS_FIELD(throttle_max_usec), 0, THROTTLE_USEC_MAX,
          .expected = "a time of at most 1min such as 500ms or 2s, or 0 for no pauses" },
        { "Daemon", "NeverThrottle", parse_path_globs, offsetof(struct settings, never_throttle) },
        { "Daemon", "MaxCgroups", parse_u32, SETTINGS_FIELD(cgroups_max), 0, CGROUPS_LIMIT,
          .expected = "a whole number of 1 to 1048576, or 0 for what the machine has" },
        { "Daemon", "FailMode", parse_flag, SETTINGS_FIELD(fail_closed), .words = fail_words,
          .expected = "open or closed" },
        { "Daemon", "Strict", parse_flag, SETTINGS_FIELD(strict), .words = boolean_words, .expected = "yes or no" },
};
/* clang-format on */

static const struct budget budget_defaults = {
        .high = BUDGET_INFINITY,
        .max = BUDGET_INFINITY,
        .maps_max = BUDGET_INFINITY,
        .programs_max = BUDGET_INFINITY,
        .on_high = ACTION_ALERT,
        .on_max = ACTION_ALERT,
        .attribution = BUDGET_CHARGED,
        .count = COUNT_ALLOCATED,
        .clear_percent = BUDGET_CLEAR_PERCENT,
};

static const struct settings settings_defaults = {
        .poll_usec = SETTINGS_POLL_USEC,
        .alert_interval_usec = SETTINGS_ALERT_INTERVAL_USEC,
        .alert_burst = SETTINGS_ALERT_BURST,
        .throttle_max_usec = SETTINGS_THROTTLE_MAX_USEC,
        .cgroups_max = SETTINGS_CGROUPS_MAX,
        .fail_closed = SETTINGS_FAIL_CLOSED,
        .strict = SETTINGS_STRICT,
};

static const char *const budget_sections[] = { "Match", "Budget", NULL };
static const char *const settings_sections[] = { "Daemon", NULL };

static const struct format budget_format = {
        "a budget",
        budget_sections,
        budget_keys,
        ELEMENTSOF(budget_keys),
        &budget_defaults,
};
static const struct format settings_format = {
        "the settings",
        settings_sections,
        settings_keys,
        ELEMENTSOF(settings_keys),
        &settings_defaults,
};

static bool is_section(const struct format *format, const char *name)
{
        for (const char *const *section = format->sections; *section; section++)
                if (strcmp(*section, name) == 0)
                        return true;
        return false;
}

/* The section whose name is nearest to @name. */
static const char *nearest_section(const struct format *format, const char *name, unsigned int *distance)
{
        const char *nearest = NULL;

        *distance = UINT32_MAX;
        for (const char *const *section = format->sections; *section; section++) {
                unsigned int d = edit_distance(name, *section);

                if (d < *distance) {
                        *distance = d;
                        nearest = *section;
                }
        }
        return nearest;
}

/* The key whose name is nearest to @name, in any section. */
static const struct key *nearest_key(const struct format *format, const char *name, unsigned int *distance)
{
        const struct key *nearest = NULL;

        *distance = UINT32_MAX;
        for (size_t i = 0; i < format->count; i++) {
                unsigned int d = edit_distance(name, format->keys[i].name);

                if (d < *distance) {
                        *distance = d;
                        nearest = &format->keys[i];
                }
        }
        return nearest;
}

/* "[Match] and [Budget]". */
static void name_sections(const struct format *format, char *text, size_t size)
{
        size_t length = 0;

        for (const char *const *section = format->sections; *section && length < size; section++)
                length += snprintf(text + length, size - length, "%s[%s]", length ? " and " : "", *section);
}

/* "Cgroup=, Unit=, User=". */
static void name_keys(const struct format *format, const char *section, char *text, size_t size)
{
        size_t length = 0;

        for (size_t i = 0; i < format->count && length < size; i++)
                if (strcmp(format->keys[i].section, section) == 0)
                        length += snprintf(text + length, size - length, "%s%s=", length ? ", " : "",
                                        format->keys[i].name);
}

/* Tells where the key @name, which is not one of @section, should be; "" is the top of the file, above any section. */
static void tell_unknown_key(struct source *source, const char *section, const char *name)
{
        const struct format *format = source->format;
        unsigned int distance;
        const struct key *nearest = nearest_key(format, name, &distance);
        char names[MESSAGE_SIZE / 2];

        name_sections(format, names, sizeof(names));
        if (!*section && is_near(distance, nearest->name))
                tell_error(source, "%s= is above the first section: put %s= below [%s]", name, nearest->name,
                                nearest->section);
        else if (!*section)
                tell_error(source, "%s= is above the first section, and no key of %s, which has %s: remove it", name,
                                format->what, names);
        else if (strcmp(name, nearest->name) == 0)
                tell_error(source, "%s= belongs in [%s], not in [%s]: move it there", name, nearest->section, section);
        else if (!is_near(distance, nearest->name)) {
                name_keys(format, section, names, sizeof(names));
                tell_error(source, "%s= is not a key of [%s], which has %s", name, section, names);
        } else if (strcmp(section, nearest->section) == 0)
                tell_error(source, "%s= is not a key of [%s]: did you mean %s=?", name, section, nearest->name);
        else
                tell_error(source, "%s= is not a key of [%s]: did you mean %s= of [%s]?", name, section, nearest->name,
                                nearest->section);
}

static const struct key *find_key(const struct format *format, const char *section, const char *name)
{
        for (size_t i = 0; i < format->count; i++)
                if (strcmp(format->keys[i].section, section) == 0 && strcmp(format->keys[i].name, name) == 0)
                        return &format->keys[i];
        return NULL;
}

/* Remembers where a value was given; one that is not valid was told already and must not be compared. */
static void remember(struct given *given, struct source *source, const char *value, bool valid)
{
        given->line = valid ? source->line : 0;
        snprintf(given->text, sizeof(given->text), "%s", value);
}

static int set_key(struct source *source, const struct key *key, const char *value)
{
        void *field = (char *) source->target + key->offset;
        unsigned int errors = source->errors;
        int r = 0;

        if (key->size > 0 && !*value)
                memcpy(field, (const char *) source->format->defaults + key->offset, key->size);
        else
                r = key->parse(source, key, value, field);
        if (key->given)
                remember(key->given(source), source, value, source->errors == errors && *value);
        return r;
}

/* inih's handler. The reader has already told of lines and sections that are wrong. */
static int handle_key(void *user, const char *section, const char *name, const char *value)
{
        struct source *source = user;
        const struct key *key;
        int r;

        if (!name || !value || source->loader->error < 0 || (*section && !is_section(source->format, section)))
                return 1;
        if (strcmp(section, "Match") == 0)
                source->matched = true;
        key = find_key(source->format, section, name);
        if (!key) {
                tell_unknown_key(source, section, name);
                return 1;
        }
        r = set_key(source, key, value);
        if (r < 0)
                source->loader->error = r;
        return 1;
}

/* --- Lines ----------------------------------------------------------------------------------------------- */

/* A line of the file, without its end and the blanks around it. */
struct line {
        const char *text;
        size_t length;
};

static bool take_line(struct source *source, struct line *line)
{
        const char *start = source->next, *end;

        if (start == source->end)
                return false;
        end = memchr(start, '\n', source->end - start) ?: source->end;
        source->next = end < source->end ? end + 1 : end;
        source->line++;
        if (end > start && end[-1] == '\r') {
                if (!source->crlf)
                        tell_warning(source, "lines end in CR LF, taken as LF: save the file with LF only");
                source->crlf = true;
                end--;
        }
        while (start < end && (*start == ' ' || *start == '\t'))
                start++;
        while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        *line = (struct line){ start, end - start };
        return true;
}

/* How long the name before "=" is, 0 if @line does not begin with "KEY=". */
static size_t name_length(const struct line *line)
{
        size_t i = 0, length;

        while (i < line->length && (is_letter(line->text[i]) || is_digit(line->text[i])))
                i++;
        length = i;
        while (i < line->length && (line->text[i] == ' ' || line->text[i] == '\t'))
                i++;
        return i < line->length && line->text[i] == '=' ? length : 0;
}

static void tell_long(struct source *source, const struct line *line)
{
        size_t name = name_length(line);

        if (name > 0 && name <= NAME_MAX_COMPARED)
                tell_error(source,
                                "%.*s= is in a line of %zu bytes, at most %d are allowed: a list key may be given "
                                "several times",
                                (int) name, line->text, line->length, LINE_LENGTH_MAX);
        else
                tell_error(source,
                                "line has %zu bytes, at most %d are allowed: shorten it, a list key may be given "
                                "several times",
                                line->length, LINE_LENGTH_MAX);
}

/* Whether the characters of @line can be taken; tells if not. */
static bool check_characters(struct source *source, const struct line *line)
{
        uint32_t character = 0;
        size_t i;

        if (memchr(line->text, '\0', line->length)) {
                tell_error(source, "line has a NUL byte: save the file as plain text in UTF-8");
                return false;
        }
        if (line->length == 0 || *line->text == '#' || *line->text == ';')
                return true;
        if (line->length > LINE_LENGTH_MAX) {
                tell_long(source, line);
                return false;
        }
        i = find_bad_character(line->text, line->length, &character);
        if (i == line->length)
                return true;
        if (character >= CHARACTER_INVALID)
                tell_error(source, "line is not UTF-8 (byte 0x%02x at %zu): save the file as UTF-8",
                                character - CHARACTER_INVALID, i + 1);
        else
                tell_error(source, "line has the control character U+%04X: remove it", character);
        return false;
}

/*
 * Writes the section line that inih is to see: where the name is a slip, the section that was meant, so that the keys
 * below it are checked too; where it is none at all, "[?]", whose keys are passed over.
 */
static void write_section(struct source *source, const struct line *line, char *buffer, size_t size)
{
        const char *end = memchr(line->text, ']', line->length);
        char name[LINE_LENGTH_MAX + 1], names[MESSAGE_SIZE / 2];
        unsigned int distance;
        const char *nearest;

        snprintf(name, sizeof(name), "%.*s", (int) ((end ?: line->text + line->length) - line->text - 1),
                        line->text + 1);
        nearest = nearest_section(source->format, name, &distance);
        if (!end)
                tell_error(source, "[%s has no \"]\": close it", name);
        else if (!is_section(source->format, name) && is_near(distance, nearest))
                tell_error(source, "[%s] is not a section of %s: did you mean [%s]?", name, source->format->what,
                                nearest);
        else if (!is_section(source->format, name)) {
                name_sections(source->format, names, sizeof(names));
                tell_error(source, "[%s] is not a section of %s, which has %s", name, source->format->what, names);
        }
        snprintf(buffer, size, "[%s]\n", is_near(distance, nearest) ? nearest : "?");
}

/* inih's reader, as fgets(): hands over only lines that are right, and an empty one for each of the others. */
static char *read_line(char *buffer, int size, void *stream)
{
        struct source *source = stream;
        struct line line;

        if (!take_line(source, &line))
                return NULL;
        snprintf(buffer, size, "\n");
        if (!check_characters(source, &line) || line.length == 0 || *line.text == '#' || *line.text == ';')
                return buffer;
        if (*line.text == '[')
                write_section(source, &line, buffer, size);
        else if (name_length(&line) == 0)
                tell_error(source,
                                "\"%.*s\" is neither KEY=VALUE nor [SECTION]: a line cannot be continued in the next",
                                (int) line.length, line.text);
        else
                snprintf(buffer, size, "%.*s\n", (int) line.length, line.text);
        return buffer;
}

/* Parses @size bytes of the loader's buffer, the content of @source->file. */
static void parse_source(struct source *source, size_t size)
{
        static const char bom[] = { '\xef', '\xbb', '\xbf' };
        const char *text = source->loader->buffer;
        int r;

        source->next = text;
        source->end = text + size;
        if (size >= sizeof(bom) && memcmp(text, bom, sizeof(bom)) == 0)
                source->next += sizeof(bom);
        r = ini_parse_stream(read_line, source, handle_key, source);
        if (r == -2)
                source->loader->error = -ENOMEM;
        else if (r > 0)
                tell(source, r, true, "line is not understood by inih: expected KEY=VALUE or [SECTION]");
}

static void tell_rest(struct source *source)
{
        if (source->messages > FILE_MESSAGES_MAX)
                tell_file(source->loader, source->file, "%u more messages are left out: correct those above first",
                                source->messages - FILE_MESSAGES_MAX);
}

/* --- Files ----------------------------------------------------------------------------------------------- */

static const struct {
        mode_t type;
        const char *name;
} file_types[] = {
        { S_IFDIR, "a directory" },
        { S_IFIFO, "a FIFO" },
        { S_IFSOCK, "a socket" },
        { S_IFCHR, "a device" },
        { S_IFBLK, "a device" },
};

/* What usually goes wrong, and what to do. */
static const struct {
        int error;
        const char *text;
} file_errors[] = {
        { EACCES, "no permission to read: run as root or change its mode" },
        { ENOENT, "is a link to a file that does not exist: correct or remove it" },
        { ELOOP, "is a loop of links: correct or remove it" },
        { ENOTDIR, "is not a directory: remove it or make it one" },
};

static void tell_errno(struct loader *loader, const char *file, int error)
{
        for (size_t i = 0; i < ELEMENTSOF(file_errors); i++)
                if (file_errors[i].error == error) {
                        tell_file(loader, file, "%s", file_errors[i].text);
                        return;
                }
        tell_file(loader, file, "cannot be read: %s", strerror(error));
}

static bool check_type(struct loader *loader, const char *file, const struct stat *status)
{
        if (S_ISREG(status->st_mode))
                return true;
        for (size_t i = 0; i < ELEMENTSOF(file_types); i++)
                if (file_types[i].type == (status->st_mode & S_IFMT))
                        tell_file(loader, file, "is %s, a plain file is expected: remove or rename it",
                                        file_types[i].name);
        return false;
}

/*
 * Opens @file if it is a plain one. O_NONBLOCK: a FIFO that took its place after the check must not hang the daemon.
 * Returns a negative errno if there is none, after telling.
 */
static int open_file(struct loader *loader, const char *file)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat status;
        int ret;

        if (stat(file, &status) < 0) {
                tell_errno(loader, file, errno);
                return -errno;
        }
        if (!check_type(loader, file, &status))
                return -EINVAL;
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &status) < 0) {
                tell_errno(loader, file, errno);
                return -errno;
        }
        if (!check_type(loader, file, &status))
                return -EINVAL;
        ret = fd;
        fd = -EBADF;
        return ret;
}

/* Reads @file into the loader's buffer. Returns its size, or a negative errno after telling. */
static ssize_t read_file(struct loader *loader, const char *file)
{
        _cleanup_close_ int fd = open_file(loader, file);
        size_t size = 0;

        if (fd < 0)
                return fd;
        while (size <= FILE_SIZE_MAX) {
                ssize_t n = read(fd, loader->buffer + size, FILE_SIZE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        tell_errno(loader, file, errno);
                        return -errno;
                }
                if (n == 0)
                        return size;
                size += n;
        }
        tell_file(loader, file, "is larger than 1 MiB: split it into several files");
        return -EFBIG;
}

/* A link to /dev/null, or an empty file: it only hides those of the same name below it. */
static bool is_mask(const char *file)
{
        struct stat status;

        if (stat(file, &status) < 0)
                return false;
        if (S_ISCHR(status.st_mode))
                return status.st_rdev == makedev(1, 3);
        return S_ISREG(status.st_mode) && status.st_size == 0;
}

/* --- Directories ----------------------------------------------------------------------------------------- */

/* The first has precedence. */
static const char *const config_directories[] = { "/etc/bpfbudget", "/run/bpfbudget", "/usr/lib/bpfbudget" };

#define SETTINGS_FILE   "bpfbudgetd.conf"
#define SETTINGS_DROPIN "bpfbudgetd.conf.d"
#define DROPIN_SUFFIX   ".conf"
#define BUDGET_SUFFIX   ".budget"

struct entry {
        char *file;       /* path */
        const char *name; /* its last component */
        unsigned int rank;
};

struct listing {
        struct entry *list;
        size_t count, allocated;
};

static void listing_deinit(struct listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->list[i].file);
        free(listing->list);
}

#define _cleanup_listing_ _cleanup_(listing_deinit)

static int listing_add(struct listing *listing, const char *directory, const char *name, unsigned int rank)
{
        struct entry *entry;

        if (listing->count == listing->allocated) {
                size_t allocated = listing->allocated * 2 + 16;
                struct entry *list = reallocarray(listing->list, allocated, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                listing->list = list;
                listing->allocated = allocated;
        }
        entry = &listing->list[listing->count];
        if (asprintf(&entry->file, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        entry->name = entry->file + strlen(directory) + 1;
        entry->rank = rank;
        listing->count++;
        return 0;
}

static int compare_entries(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;

        return strcmp(x->name, y->name) ?: (int) x->rank - (int) y->rank;
}

/* Orders by name and leaves of each name the file that has precedence, if that is not a mask. */
static void listing_resolve(struct listing *listing)
{
        size_t kept = 0;

        if (listing->count > 0)
                qsort(listing->list, listing->count, sizeof(*listing->list), compare_entries);
        for (size_t i = 0, next; i < listing->count; i = next) {
                struct entry *first = &listing->list[i];

                for (next = i + 1; next < listing->count && strcmp(listing->list[next].name, first->name) == 0; next++)
                        free(listing->list[next].file);
                if (is_mask(first->file))
                        free(first->file);
                else
                        listing->list[kept++] = *first;
        }
        listing->count = kept;
}

static bool has_suffix(const char *name, const char *suffix)
{
        size_t n = strlen(name), s = strlen(suffix);

        return n > s && strcmp(name + n - s, suffix) == 0;
}

static bool is_dropin(const char *name)
{
        return has_suffix(name, DROPIN_SUFFIX);
}

static bool is_settings_or_budget(const char *name)
{
        return strcmp(name, SETTINGS_FILE) == 0 || has_suffix(name, BUDGET_SUFFIX);
}

/* A name that is not one line of text cannot be told as it is; it would go into messages and JSON. */
static bool check_name(struct loader *loader, const char *directory, const char *name)
{
        char escaped[4 * NAME_MAX + 1] = "";
        uint32_t character;
        size_t length = 0;

        if (find_bad_character(name, strlen(name), &character) == strlen(name) && !strchr(name, '\t'))
                return true;
        for (const char *p = name; *p; p++)
                length += snprintf(escaped + length, sizeof(escaped) - length, *p > ' ' && *p < 0x7f ? "%c" : "\\x%02x",
                                (unsigned char) *p);
        tell_file(loader, directory, "the name of the file \"%s\" is not plain UTF-8: rename it", escaped);
        return false;
}

static void cleanup_closedir(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}

/* Adds the files of @path that are @wanted; tells if it cannot be read, or is missing and not @optional. Returns
 * whether it could be opened.
 */
static bool list_directory(struct loader *loader, const char *path, unsigned int rank, bool optional,
                bool (*wanted)(const char *name), struct listing *listing)
{
        _cleanup_(cleanup_closedir) DIR *directory = opendir(path);
        const struct dirent *entry;

        if (!directory) {
                if (errno == ENOENT && optional)
                        return false;
                if (errno == ENOENT)
                        tell_file(loader, path, "there is no such directory: check the path");
                else
                        tell_errno(loader, path, errno);
                return false;
        }
        while (errno = 0, entry = readdir(directory)) {
                /* Hidden ones and, as their suffix is another, the backups of editors are not looked at. */
                if (*entry->d_name == '.' || !wanted(entry->d_name) || !check_name(loader, path, entry->d_name))
                        continue;
                if (listing_add(listing, path, entry->d_name, rank) < 0) {
                        loader->error = -ENOMEM;
                        return false;
                }
        }
        if (errno > 0)
                tell_errno(loader, path, errno);
        return true;
}

/* Lists one directory of settings and budgets, and the drop-ins in it. */
static void list_rank(struct loader *loader, const char *path, unsigned int rank, bool optional, struct listing *files,
                struct listing *dropins)
{
        _cleanup_free_ char *dropin = NULL;

        if (!list_directory(loader, path, rank, optional, is_settings_or_budget, files))
                return;
        if (asprintf(&dropin, "%s/%s", path, SETTINGS_DROPIN) < 0) {
                dropin = NULL;
                loader->error = -ENOMEM;
                return;
        }
        list_directory(loader, dropin, rank, true, is_dropin, dropins);
}

static void list_all(struct loader *loader, const char *root, const char *directory, struct listing *files,
                struct listing *dropins)
{
        if (directory) {
                list_rank(loader, directory, 0, false, files, dropins);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(config_directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s", root, config_directories[i]) < 0) {
                        path = NULL;
                        loader->error = -ENOMEM;
                        return;
                }
                list_rank(loader, path, i, true, files, dropins);
        }
}

/* --- Loading --------------------------------------------------------------------------------------------- */

static void budget_deinit(struct budget *budget)
{
        free(budget->name);
        free(budget->file);
        patterns_deinit(&budget->cgroups);
        patterns_deinit(&budget->units);
        patterns_deinit(&budget->users);
        free(budget->uids);
}

void config_deinit(struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                budget_deinit(&config->budgets[i]);
        free(config->budgets);
        patterns_deinit(&config->settings.never_throttle);
        *config = (struct config){ 0 };
}

/* What only shows when a whole budget has been read. */
static void check_budget(struct source *source, const struct budget *budget)
{
        const struct given *high = &source->high, *max = &source->max;

        if (!source->matched ||
                        (!budget->cgroups.count && !budget->units.count && !budget->users.count && !source->errors))
                tell(source, 0, true, "[Match] has no Cgroup=, Unit= or User=: say which cgroups the budget is for");
        if (high->line && max->line && budget->high > budget->max && budget->max != BUDGET_INFINITY &&
                        budget->high != BUDGET_INFINITY)
                tell(source, high->line > max->line ? high->line : max->line, true,
                                "High=%s (line %u) is more than Max=%s (line %u): lower High= or raise Max=",
                                high->text, high->line, max->text, max->line);
}

static void load_settings(struct loader *loader, const char *file, struct settings *settings)
{
        struct source source = { .loader = loader, .format = &settings_format, .file = file, .target = settings };
        ssize_t size = read_file(loader, file);

        if (size < 0)
                return;
        parse_source(&source, size);
        tell_rest(&source);
}

static void load_budget(struct loader *loader, const struct entry *entry, struct config *config)
{
        struct budget *budget = &config->budgets[config->count];
        struct source source = { .loader = loader, .format = &budget_format, .file = entry->file, .target = budget };
        ssize_t size = read_file(loader, entry->file);

        if (size < 0)
                return;
        *budget = budget_defaults;
        config->count++;
        budget->file = strdup(entry->file);
        budget->name = strndup(entry->name, strlen(entry->name) - strlen(BUDGET_SUFFIX));
        if (!budget->file || !budget->name) {
                loader->error = -ENOMEM;
                return;
        }
        parse_source(&source, size);
        check_budget(&source, budget);
        tell_rest(&source);
}

static void load_files(struct loader *loader, const struct listing *files, const struct listing *dropins,
                struct config *config)
{
        config->budgets = calloc(files->count + 1, sizeof(*config->budgets));
        if (!config->budgets) {
                loader->error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < files->count; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) == 0)
                        load_settings(loader, files->list[i].file, &config->settings);
        for (size_t i = 0; i < dropins->count && loader->error == 0; i++)
                load_settings(loader, dropins->list[i].file, &config->settings);
        for (size_t i = 0; i < files->count && loader->error == 0; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) != 0)
                        load_budget(loader, &files->list[i], config);
}

uint64_t config_read_ram(void)
{
        return (uint64_t) sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

int config_load(struct config *config, const char *root, const char *directory, const struct config_machine *machine,
                config_message_t message, void *context)
{
        _cleanup_free_ char *buffer = malloc(FILE_SIZE_MAX + 1);
        _cleanup_listing_ struct listing files = { 0 }, dropins = { 0 };
        struct loader loader = { .machine = machine, .message = message, .context = context, .buffer = buffer };

        *config = (struct config){ .settings = settings_defaults };
        if (!buffer)
                return -ENOMEM;
        list_all(&loader, root, directory, &files, &dropins);
        listing_resolve(&files);
        listing_resolve(&dropins);
        if (loader.error == 0)
                load_files(&loader, &files, &dropins, config);
        if (loader.error == 0 && !loader.failed)
                return 0;
        config_deinit(config);
        return loader.error ?: -EINVAL;
}
