/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/fields.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "policy/match.h"
#include "policy/mount.h"
#include "policy/unit.h"
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
        if (key->type == KEY_SIZE && is_decimal_size(value))
                text = "is not valid, as its unit may be a power of 1000 or of 1024";
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

/* A glob may leave open which unit it is, but "docker" and "docker.timer" match none. */
static const char *check_unit_glob(const char *glob)
{
        const char *dot = strrchr(glob, '.');

        if (strchr(glob, '/'))
                return "has a \"/\", which no unit has: use Cgroup= for paths";
        if (!glob_is_closed(glob))
                return "has a \"[\" without \"]\": close it";
        if (!strpbrk(dot ?: glob, "*?[]") && !is_unit(glob, strlen(glob)))
                return "is no unit that has a cgroup: expected a name in " UNIT_SUFFIXES ", or a glob";
        return NULL;
}

/* What separates words elsewhere; a name may have it, but hardly where the next begins. */
#define SEPARATORS ",;|"

/* What the path glob @glob was probably meant to be; NULL: there is no doubt. */
static const char *doubt_path_glob(const char *glob)
{
        const char *brace = strchr(glob, '{');

        for (const char *p = glob; (p = strpbrk(p, SEPARATORS)); p++)
                if (p[1] == '/' || p[1] == '!' || p[1] == '\0')
                        return "separate globs by blanks (/a /b)";
        if (brace && strchr(brace, ',') && strchr(brace, '}'))
                return "braces stand for themselves, write two globs with a blank between them (/a /b)";
        return NULL;
}

/* No unit has any of these in its name. */
static const char *doubt_unit_glob(const char *glob)
{
        if (strpbrk(glob, "{}"))
                return "braces stand for themselves, write two globs with a blank between them (a.service b.service)";
        if (strpbrk(glob, SEPARATORS))
                return "separate globs by blanks (a.service b.service)";
        if (strpbrk(glob, "\"'"))
                return "leave the quotes out";
        return NULL;
}

/* Adds the word @text of @key to @patterns, or reports what is wrong with it. Returns 0 or -ENOMEM. */
typedef int (*add_pattern_t)(struct source *source, const struct key *key, struct patterns *patterns, const char *text,
                bool exclude);

/* Adds the words of @value to @patterns with @add; an empty value drops what they were. */
static int parse_patterns(struct source *source, const struct key *key, const char *value, struct patterns *patterns,
                add_pattern_t add)
{
        _cleanup_free_ char *words = strdup(value);
        char *rest = words, *text;
        bool exclude;
        int r = 0;

        if (!words)
                return -ENOMEM;
        if (!*value)
                patterns_deinit(patterns);
        while (r == 0 && (text = next_pattern(&rest, &exclude)))
                r = add(source, key, patterns, text, exclude);
        return r;
}

/* @wrong: what is wrong with @glob, which was given as @text; NULL: nothing. @doubt: what it was probably meant to be.
 */
static int add_glob(struct source *source, const struct key *key, struct patterns *patterns, const char *glob,
                const char *text, bool exclude, const char *wrong, const char *doubt)
{
        if (wrong) {
                report_error(source, "%s=%s%s %s", key->name, exclude ? "!" : "", excerpt(text).text, wrong);
                return 0;
        }
        if (doubt)
                report_warning(source, "%s=%s%s is one glob: %s", key->name, exclude ? "!" : "", excerpt(text).text,
                                doubt);
        return patterns_add(patterns, glob, exclude);
}

static int add_path_glob(
                struct source *source, const struct key *key, struct patterns *patterns, const char *text, bool exclude)
{
        const char *glob = strip_mount(text);

        return add_glob(source, key, patterns, glob, text, exclude, check_path_glob(glob), doubt_path_glob(glob));
}

static int parse_path_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_patterns(source, key, value, field, add_path_glob);
}

static int add_unit_glob(
                struct source *source, const struct key *key, struct patterns *patterns, const char *glob, bool exclude)
{
        return add_glob(source, key, patterns, glob, glob, exclude, check_unit_glob(glob), doubt_unit_glob(glob));
}

static int parse_unit_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_patterns(source, key, value, field, add_unit_glob);
}

/* What is wrong with a glob for NAMESPACE/NAME of pods. */
static const char *check_pod_glob(const char *glob)
{
        const char *slash = strchr(glob, '/');

        if (!glob_is_closed(glob))
                return "has a \"[\" without \"]\": close it";
        if (!slash)
                return "has no namespace: write NAMESPACE/NAME, or */NAME for any namespace";
        if (slash == glob || !slash[1] || strchr(slash + 1, '/'))
                return "is not NAMESPACE/NAME: write both, with one \"/\" between them";
        return NULL;
}

/* And with one for names of containers. */
static const char *check_container_glob(const char *glob)
{
        if (!glob_is_closed(glob))
                return "has a \"[\" without \"]\": close it";
        if (!*glob)
                return "is empty: give the name of a container";
        if (strchr(glob, '/'))
                return "has a \"/\", which no container has: use Pod= for NAMESPACE/NAME of its pod";
        return NULL;
}

/* No pod and no container has any of these in its name. */
static const char *doubt_name_glob(const char *glob)
{
        if (strpbrk(glob, "{}"))
                return "braces stand for themselves, write two globs with a blank between them";
        if (strpbrk(glob, SEPARATORS))
                return "separate globs by blanks";
        if (strpbrk(glob, "\"'"))
                return "leave the quotes out";
        return NULL;
}

static int add_pod_glob(
                struct source *source, const struct key *key, struct patterns *patterns, const char *glob, bool exclude)
{
        return add_glob(source, key, patterns, glob, glob, exclude, check_pod_glob(glob), doubt_name_glob(glob));
}

static int parse_pod_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_patterns(source, key, value, field, add_pod_glob);
}

static int add_container_glob(
                struct source *source, const struct key *key, struct patterns *patterns, const char *glob, bool exclude)
{
        return add_glob(source, key, patterns, glob, glob, exclude, check_container_glob(glob), doubt_name_glob(glob));
}

static int parse_container_globs(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_patterns(source, key, value, field, add_container_glob);
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

static int add_user(
                struct source *source, const struct key *key, struct patterns *users, const char *user, bool exclude)
{
        struct budget *budget = source->target;
        uint32_t *uids, uid;

        if (!*user) {
                report_error(source, "%s=! excludes nobody: expected %s", key->name, key->expected);
                return 0;
        }
        if (!find_user(user, &uid))
                report_warning(source, "%s=%s is no user here and matches nobody: %s", key->name, excerpt(user).text,
                                strpbrk(user, SEPARATORS) ? "separate users by blanks" : "make the user, then reload");
        uids = array_grow(budget->uids, users->count, sizeof(*uids));
        if (!uids)
                return -ENOMEM;
        budget->uids = uids;
        uids[users->count] = uid;
        return patterns_add(users, user, exclude);
}

static int parse_users(struct source *source, const struct key *key, const char *value, void *field)
{
        return parse_patterns(source, key, value, field, add_user);
}

/* What is wrong with @value, which is no address. */
static const char *explain_address(const char *value, int error)
{
        if (error == -ENAMETOOLONG)
                return "is longer than the path of a socket may be";
        return (*value == ':' && value[1] != ':') || *value == '*' || value[strspn(value, "0123456789")] == '\0'
                               ? "does not say at which address"
                               : "is not valid";
}

/* An empty value is no address. */
static int parse_address(struct source *source, const struct key *key, const char *value, void *field)
{
        struct listen_address address = {};
        int r = *value ? listen_address_parse(value, &address) : 0;

        if (r < 0) {
                report_error(source, "%s=%s %s: expected %s", key->name, excerpt(value).text, explain_address(value, r),
                                key->expected);
                return 0;
        }
        if (*value && !listen_address_is_local(&address))
                report_warning(source,
                                "%s=%s can be reached from other hosts, without a password or encryption: use "
                                "127.0.0.1 or [::1] and a proxy, or see to a firewall",
                                key->name, excerpt(value).text);
        *(struct listen_address *) field = address;
        return 0;
}

/* A list's function, or an address's, gets an empty value too; the former adds to the list. Wrong values are reported;
 * returns -ENOMEM only. */
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
        [KEY_ADDRESS] = parse_address,
        [KEY_PODS] = parse_pod_globs,
        [KEY_CONTAINERS] = parse_container_globs,
};

/* The first word of @value that begins with "#", as no path, unit or user does; NULL: there is none. */
static const char *find_comment(const char *value)
{
        for (const char *p = value; (p = strchr(p, '#')); p++)
                if (p == value || p[-1] == ' ' || p[-1] == '\t')
                        return p;
        return NULL;
}

/* Whether @key, if it is no list, has another value in this file already. */
static bool is_again(const struct source *source, const struct key *key, const struct given *given)
{
        return (key->size > 0 || key->type == KEY_ADDRESS) && given->line > 0 && given->file == source->file;
}

/* Remembers where a value was given; one that is not valid was reported already and must not be compared. */
static void remember(struct given *given, struct source *source, const char *value, bool valid)
{
        *given = (struct given){
                .file = source->file,
                .line = valid ? source->line : 0,
                .order = source->given_count++,
                .text = excerpt(value),
        };
}

int set_key(struct source *source, const struct key *key, const char *value)
{
        struct given *given = &source->given[key - source->format->keys];
        void *field = (char *) source->target + key->offset;
        const char *comment = key->size == 0 ? find_comment(value) : NULL;
        unsigned int errors = source->errors;
        int r = 0;

        if (*value && is_again(source, key, given))
                report_warning(source, "%s=%s overrides %s=%s in line %u: remove one of the two", key->name,
                                excerpt(value).text, key->name, given->text.text, given->line);
        if (key->size > 0 && !*value)
                key_set(key, source->target, key->initial);
        else if (comment)
                report_comment(source, key->name, excerpt(comment).text);
        else
                r = parsers[key->type](source, key, value, field);
        remember(given, source, value, source->errors == errors && *value);
        return r;
}
