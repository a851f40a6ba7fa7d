/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of keys. A new key of [Budget] requires a row there, a field in struct budget, and a paragraph in the
 * manual. Files, SetBudget, ListBudgets, bpfbudgetctl set-budget and the tests of manuals and completion use the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/budget.h"

/* The maximum number of keys of one kind of file. */
#define KEYS_MAX 32

/* Sizes in bytes, with the NUL: of a key's name, and of the text of a value that is not a list. */
#define KEY_NAME_SIZE 32
#define KEY_TEXT_SIZE 32

enum key_type {
        KEY_SIZE,    /* uint64_t, bytes; BUDGET_INFINITY */
        KEY_COUNT,   /* uint64_t; BUDGET_INFINITY */
        KEY_NUMBER,  /* uint32_t */
        KEY_PERCENT, /* uint32_t; the sign is optional */
        KEY_RATIO,   /* uint32_t, percent; 0: infinity, that is, no limit */
        KEY_TIME,    /* uint64_t, microseconds */
        KEY_WORD,    /* an enum */
        KEY_FLAG,    /* bool */
        KEY_PATHS,   /* struct patterns, as all below */
        KEY_UNITS,
        KEY_USERS, /* users and uids of struct budget */
        KEY_PODS,
        KEY_CONTAINERS,
        KEY_ADDRESS, /* struct listen_address */
};

struct word {
        const char *text;
        unsigned int value;
};

struct key {
        const char *section, *name;
        enum key_type type;
        size_t offset, size;       /* of the field; size 0: a list or an address */
        uint64_t minimum, maximum; /* of numbers */
        uint64_t initial;          /* the default, as key_get() returns it */
        const struct word *words;  /* of words, ended by one without text */
        bool runtime;              /* SetBudget accepts it */
        const char *unit, *help;   /* a word for the value; some words on what the key is for */
        const char *expected;      /* in messages: what is valid */
};

/* One kind of file. */
struct format {
        const char *what;
        const char *const *sections; /* ended by NULL */
        const struct key *keys;
        size_t count;
};

extern const struct format budget_format, settings_format;

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

/* Gets or sets the field of @key in @target, a struct of its format; BUDGET_INFINITY is no limit. Lists are skipped. */
uint64_t key_get(const struct key *key, const void *target);
void key_set(const struct key *key, void *target, uint64_t value);

/* Sets all fields of @target except lists to their defaults. */
void keys_reset(const struct format *format, void *target);

/* The word for @value of @key; NULL: there is none. */
const char *key_word(const struct key *key, uint64_t value);

/*
 * Writes @value in the syntax of files. Returns whether a file can contain it: it is not a list, and not below the
 * minimum.
 */
bool key_format(const struct key *key, uint64_t value, char text[static KEY_TEXT_SIZE]);

/* Writes the name that @key has in the varlink interface: "mapsMax" for "MapsMax". */
void key_parameter(const struct key *key, char name[static KEY_NAME_SIZE]);
