/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unit.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/automaton.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Of units that have a cgroup; systemd.unit(5) has five more that have none. */
static const char *const suffixes[] = { ".service", ".scope", SLICE_SUFFIX, ".socket", ".mount", ".swap" };

const char *unit_suffix(size_t i)
{
        return i < ELEMENTSOF(suffixes) ? suffixes[i] : NULL;
}

/* The suffix of @name, @length bytes, that has something before it; NULL: it is that of no unit. */
static const char *find_suffix(const char *name, size_t length)
{
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t n = strlen(suffixes[i]);

                if (length > n && memcmp(name + length - n, suffixes[i], n) == 0)
                        return suffixes[i];
        }
        return NULL;
}

bool is_unit(const char *name, size_t length)
{
        return find_suffix(name, length);
}

/* unit_name_is_valid() of systemd, src/basic/unit-name.c, for @length bytes before the suffix. */
static bool is_valid_stem(const char *stem, size_t length, bool instances)
{
        const char *at = memchr(stem, '@', length);

        if (at && (!instances || at == stem || at + 1 == stem + length))
                return false;
        for (size_t i = 0; i < length; i++)
                if (!automaton_is_unit_byte(stem[i]))
                        return false;
        return true;
}

enum kind {
        KIND_NONE,
        KIND_SLICE,
        KIND_OTHER,
};

/* What @name, @length bytes, is the name of. */
static enum kind kind_of(const char *name, size_t length)
{
        const char *suffix = find_suffix(name, length);
        bool slice = suffix && strcmp(suffix, SLICE_SUFFIX) == 0;

        if (!suffix || !is_valid_stem(name, length - strlen(suffix), !slice))
                return KIND_NONE;
        return slice ? KIND_SLICE : KIND_OTHER;
}

/* As path_unit(); **end is behind its component. */
static const char *first_unit(const char *path, size_t *length, const char **end)
{
        const char *found = NULL;

        for (;;) {
                const char *name = path + (*path == '/');
                size_t n = strcspn(name, "/");
                /* cg_escape() of systemd: names such as "_cpu.service". */
                size_t escaped = *name == '_';
                enum kind kind = kind_of(name + escaped, n - escaped);

                if (kind == KIND_NONE)
                        return found;
                found = name + escaped;
                *length = n - escaped;
                *end = path = name + n;
                if (kind == KIND_OTHER)
                        return found;
        }
}

const char *path_unit(const char *path, size_t *length)
{
        const char *end;

        return first_unit(path, length, &end);
}

/* skip_user_manager() of systemd: the service manager of a user is the instance of this template by uid. */
static bool is_user_manager(const char *name, size_t length)
{
        static const char prefix[] = "user@";
        size_t digits = strlen(prefix);

        if (strncmp(name, prefix, digits) != 0)
                return false;
        while (isascii(name[digits]) && isdigit((unsigned char) name[digits]))
                digits++;
        return digits > strlen(prefix) && digits + strlen(".service") == length;
}

const char *path_user_unit(const char *path, size_t *length)
{
        size_t manager_length;
        const char *end, *manager = first_unit(path, &manager_length, &end);

        return manager && is_user_manager(manager, manager_length) ? first_unit(end, length, &end) : NULL;
}
