/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/glob.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "policy/utf8.h"
#include "policy/values.h"

/* A glob has one state a byte and one for its end; those of files are as long as a line. */
#define GLOB_WORDS      (LINE_LENGTH_MAX / 64 + 1)
#define GLOB_LENGTH_MAX (GLOB_WORDS * 64 - 1)

/* From its first wildcard on: clients ask for what they like, and what it costs is its length times the path's. */
#define GLOB_ASKED_MAX 255

/*
 * A glob is run as the nondeterministic automaton that it is: the set of positions in it that what was read so far can
 * be at. Backtracking would be shorter and takes quadratic time where "*" and "**" meet.
 */
struct states {
        uint64_t words[GLOB_WORDS]; /* as many are used as the glob needs */
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

size_t glob_brackets(const char *glob, uint32_t character, bool *found)
{
        bool negated = glob[1] == '!' || glob[1] == '^', in = false;
        const char *first = glob + 1 + negated, *p = first;
        uint32_t low, high;

        while (*p != ']' || p == first) {
                if (!*p)
                        return 0;
                p += utf8_decode(p, strnlen(p, UTF8_LENGTH_MAX), &low);
                high = low;
                if (p[0] == '-' && p[1] && p[1] != ']')
                        p += 1 + utf8_decode(p + 1, strnlen(p + 1, UTF8_LENGTH_MAX), &high);
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
                length = utf8_decode(glob + i, strnlen(glob + i, UTF8_LENGTH_MAX), &literal);
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

void pattern_compile(struct pattern *pattern)
{
        const char *glob = pattern->glob, *p;
        size_t length = pattern->prefix = glob_literal(glob);

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

/* Takes one step by @character from @now to *next. Returns whether any state is left; @words are used of them. */
static bool states_step(
                const struct states *now, const char *glob, size_t words, uint32_t character, struct states *next)
{
        uint64_t any = 0;

        memset(next->words, 0, words * sizeof(next->words[0]));
        for (size_t w = 0; w < words; w++)
                for (uint64_t left = now->words[w]; left; left &= left - 1)
                        glob_step(glob, w * 64 + __builtin_ctzll(left), character, next);
        for (size_t w = 0; w < words; w++)
                any |= next->words[w];
        return any;
}

static bool glob_run(const char *glob, const char *text, size_t length)
{
        struct states states[2], *now = &states[0], *next = &states[1], *last;
        size_t end = strlen(glob), words = end / 64 + 1;

        if (end > GLOB_LENGTH_MAX)
                return false;
        memset(now->words, 0, words * sizeof(now->words[0]));
        states_add(now, glob, 0);
        while (length > 0) {
                uint32_t character;
                size_t bytes = utf8_decode(text, length, &character);

                if (!states_step(now, glob, words, character, next))
                        return false;
                last = now;
                now = next;
                next = last;
                text += bytes;
                length -= bytes;
        }
        return now->words[end / 64] >> end % 64 & 1;
}

/* What is literal in a glob tells most mismatches apart, at a tenth of the time. */
bool pattern_match(const struct pattern *pattern, const char *text, size_t length)
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
        return glob_run(glob + prefix, text + prefix, length - prefix);
}

bool glob_match(const char *glob, const char *path)
{
        struct pattern pattern = { .glob = (char *) glob };

        if (strlen(glob + glob_literal(glob)) > GLOB_ASKED_MAX)
                return false;
        pattern_compile(&pattern);
        return pattern_match(&pattern, path, strlen(path));
}

bool glob_is_closed(const char *glob)
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

/* What is wrong with the components of @path, which may be a glob. */
static const char *check_components(const char *path)
{
        if (strstr(path, "//"))
                return "has an empty component: write one \"/\" for \"//\"";
        if (path[0] && path[1] && path[strlen(path) - 1] == '/')
                return "ends in \"/\", which no cgroup does: leave it out";
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                size_t length = strcspn(slash + 1, "/");

                if (length > 0 && length <= 2 && strncmp(slash + 1, "..", length) == 0)
                        return "has a component \".\" or \"..\", which no cgroup has: give the path without it";
        }
        return NULL;
}

const char *check_path(const char *path)
{
        if (*path != '/')
                return "does not begin with \"/\": give the path below the cgroup mount";
        return check_components(path);
}

const char *check_path_glob(const char *glob)
{
        if (*glob == '/' && !glob_is_closed(glob))
                return "has a \"[\" without \"]\": close it";
        return check_path(glob);
}

const char *check_asked_glob(const char *glob)
{
        const char *wrong = *glob == '*' ? check_components(glob) : check_path(glob);

        if (!wrong && !glob_is_closed(glob))
                wrong = "has a \"[\" without \"]\": close it";
        if (!wrong && strlen(glob + glob_literal(glob)) > GLOB_ASKED_MAX)
                wrong = "has more than 255 bytes from its first wildcard on: shorten it";
        return wrong;
}

/* Whether the @length bytes of @text, UTF-8 or not, can be in a pattern of a budget file. */
static bool fits_line(const char *text, size_t length)
{
        uint32_t character;

        return utf8_find_bad(text, length, &character) >= length && !memchr(text, ' ', length) &&
               !memchr(text, '\t', length);
}

/* Returns 0, or -ENAMETOOLONG and frees *@glob, which ends at @end. */
static int check_length(char **glob, const char *end)
{
        if (end - *glob <= LINE_LENGTH_MAX - (ssize_t) strlen("Cgroup="))
                return 0;
        free(*glob);
        return -ENAMETOOLONG;
}

int glob_escape(const char *path, char **glob)
{
        size_t length = strlen(path);
        char *p;

        if (!fits_line(path, length))
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
        return check_length(glob, p);
}

int glob_approximate(const char *path, char **glob)
{
        size_t left = strlen(path), length;
        uint32_t character;
        char *p = *glob = malloc(3 * left + 1);

        if (!p)
                return -ENOMEM;
        for (; left > 0; path += length, left -= length) {
                length = utf8_decode(path, left, &character);
                if (*path == '?') {
                        length = strspn(path, "?");
                        p = stpcpy(p, "?*");
                } else if (strchr("*[", *path))
                        p += sprintf(p, "[%c]", *path);
                else if (fits_line(path, length))
                        p = mempcpy(p, path, length);
                else
                        *p++ = '?';
        }
        *p = '\0';
        return check_length(glob, p);
}

void patterns_deinit(struct patterns *patterns)
{
        for (size_t i = 0; i < patterns->count; i++)
                free(patterns->list[i].glob);
        free(patterns->list);
        *patterns = (struct patterns){ 0 };
}

int patterns_add(struct patterns *patterns, const char *glob, bool exclude)
{
        struct pattern *list = array_grow(patterns->list, patterns->count, sizeof(*list));
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

bool patterns_match_text(const struct patterns *patterns, const char *text, size_t length)
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
