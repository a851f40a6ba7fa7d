/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of keys: of each its section, name, type, bounds and words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/budget.h"

/* No kind of file has more. */
#define KEYS_MAX 32

enum key_type {
        KEY_SIZE,    /* uint64_t, bytes; BUDGET_INFINITY */
        KEY_COUNT,   /* uint64_t; BUDGET_INFINITY */
        KEY_NUMBER,  /* uint32_t */
        KEY_PERCENT, /* uint32_t; the sign may be left out */
        KEY_RATIO,   /* uint32_t, percent; 0: infinity, which is no ratio at all */
        KEY_TIME,    /* uint64_t, microseconds */
        KEY_WORD,    /* an enum */
        KEY_FLAG,    /* bool */
        KEY_PATHS,   /* struct patterns, as all below */
        KEY_UNITS,
        KEY_USERS, /* users and uids of struct budget */
};

struct word {
        const char *text;
        unsigned int value;
};

struct key {
        const char *section, *name;
        enum key_type type;
        size_t offset, size;       /* of the field; size 0: a list */
        uint64_t minimum, maximum; /* of numbers */
        const struct word *words;  /* of words, up to one without text */
        const char *expected;      /* in messages: what is right */
};

/* One kind of file. */
struct format {
        const char *what;
        const char *const *sections; /* up to NULL */
        const struct key *keys;
        size_t count;
        const void *defaults; /* of the fields: an empty value resets to them */
};

extern const struct format budget_format, settings_format;
extern const struct budget budget_defaults;
extern const struct settings settings_defaults;

bool is_section(const struct format *format, const char *name);

/* The section whose name is nearest to @name, and its edit_distance(). */
const char *nearest_section(const struct format *format, const char *name, unsigned int *distance);

/* The key @name of @section, NULL: there is none. */
const struct key *find_key(const struct format *format, const char *section, const char *name);

/* The key whose name is nearest to @name, in any section, and its edit_distance(). */
const struct key *nearest_key(const struct format *format, const char *name, unsigned int *distance);

/* Writes "[Match] and [Budget]" into @text, @size bytes. */
void name_sections(const struct format *format, char *text, size_t size);

/* Writes "Cgroup=, Unit=, User=" into @text, @size bytes. */
void name_keys(const struct format *format, const char *section, char *text, size_t size);
