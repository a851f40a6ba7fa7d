/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/fields.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "policy/match.h"
#include "policy/values.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

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

static void report_number(struct source *source, const struct key *key, const char *value, int error)
{
        const char *text = "is not valid";

        for (size_t i = 0; i < ELEMENTSOF(number_errors); i++)
                if (number_errors[i].error == error)
                        text = number_errors[i].text;
        report_error(source, "%s=%s %s: expected %s", key->name, excerpt(value).text, text, key->expected);
}

/* A number below this and without a unit is hardly meant in bytes: no object of BPF is as small as that. */
#define BYTES_SUSPICIOUS 4096

static int parse_size(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t *bytes = field;
        int r = parse_bytes(value, source->loader->machine->ram, bytes);

        if (r < 0)
                report_number(source, key, value, r);
        else if (*bytes > 0 && *bytes < BYTES_SUSPICIOUS && value[strspn(value, "0123456789")] == '\0')
                report_warning(source, "%s=%s has no unit and is taken as bytes: write %s=%sM if megabytes are meant",
                                key->name, excerpt(value).text, key->name, excerpt(value).text);
        return 0;
}

static int parse_count(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t *count = field;
        int r;

        if (strcmp(value, "infinity") == 0) {
                *count = BUDGET_INFINITY;
                return 0;
        }
        r = parse_whole(value, key->minimum, key->maximum, count);
        if (r < 0)
                report_number(source, key, value, r);
        return 0;
}

static int parse_u32(struct source *source, const struct key *key, const char *value, void *field)
{
        uint64_t number;
        int r = parse_whole(value, key->minimum, key->maximum, &number);

        if (r < 0)
                report_number(source, key, value, r);
        else
                *(uint32_t *) field = number;
        return 0;
}

/* The sign is optional. */
static int parse_percent(struct source *source, const struct key *key, const char *value, void *field)
{
        size_t length = strlen(value);
        _cleanup_free_ char *number = strndup(value, length - (value[length - 1] == '%'));
        uint64_t percent;
        int r;

        if (!number)
                return -ENOMEM;
        r = parse_whole(number, key->minimum, key->maximum, &percent);
        if (r < 0)
                report_number(source, key, value, r);
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
        int r = parse_usec(value, key->minimum, key->maximum, field);

        if (r < 0)
                report_number(source, key, value, r);
        return 0;
}

static const struct word *find_word(struct source *source, const struct key *key, const char *value)
{
        for (const struct word *word = key->words; word->text; word++)
                if (strcasecmp(word->text, value) == 0)
                        return word;
        report_error(source, "%s=%s is not valid: expected %s", key->name, excerpt(value).text, key->expected);
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
        _cleanup_free_ char *words = strdup(value);
        char *rest = words, *glob;
        bool exclude;

        if (!words)
                return -ENOMEM;
        if (!*value)
                patterns_deinit(patterns);
        while ((glob = next_pattern(&rest, &exclude))) {
                const char *wrong = check(glob);
                int r;

                if (wrong) {
                        report_error(source, "%s=%s%s %s", key->name, exclude ? "!" : "", excerpt(glob).text, wrong);
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
        const struct passwd *entry;
        uint64_t number;

        *uid = UINT32_MAX;
        /* (uid_t) -1 is nobody, of any kind. */
        if (parse_whole(user, 0, UINT32_MAX - 1, &number) == 0) {
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
        _cleanup_free_ char *words = strdup(value);
        char *rest = words, *user;
        bool exclude;

        if (!words)
                return -ENOMEM;
        if (!*value)
                patterns_deinit(field);
        while ((user = next_pattern(&rest, &exclude))) {
                uint32_t uid;
                int r;

                if (!*user) {
                        report_error(source, "%s=! excludes nobody: expected %s", key->name, key->expected);
                        continue;
                }
                if (!find_user(user, &uid))
                        report_warning(source, "%s=%s is no user here and matches nobody: make the user, then reload",
                                        key->name, excerpt(user).text);
                r = add_user(budget, user, exclude, uid);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A list's function adds to it, and gets an empty value too. Wrong values are reported; returns -ENOMEM only. */
static int (*const parsers[])(struct source *source, const struct key *key, const char *value, void *field) = {
        [KEY_SIZE] = parse_size,
        [KEY_COUNT] = parse_count,
        [KEY_NUMBER] = parse_u32,
        [KEY_PERCENT] = parse_percent,
        [KEY_RATIO] = parse_ratio,
        [KEY_TIME] = parse_time,
        [KEY_WORD] = parse_word,
        [KEY_FLAG] = parse_flag,
        [KEY_PATHS] = parse_path_globs,
        [KEY_UNITS] = parse_unit_globs,
        [KEY_USERS] = parse_users,
};

/* Remembers where a value was given; one that is not valid was reported already and must not be compared. */
static void remember(struct given *given, struct source *source, const char *value, bool valid)
{
        given->line = valid ? source->line : 0;
        given->text = excerpt(value);
}

int set_key(struct source *source, const struct key *key, const char *value)
{
        void *field = (char *) source->target + key->offset;
        unsigned int errors = source->errors;
        int r = 0;

        if (key->size > 0 && !*value)
                key_set(key, source->target, key->initial);
        else
                r = parsers[key->type](source, key, value, field);
        remember(&source->given[key - source->format->keys], source, value, source->errors == errors && *value);
        return r;
}
