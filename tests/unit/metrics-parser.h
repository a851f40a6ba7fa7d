/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A strict parser of OpenMetrics 1.0 and of Prometheus' text format 0.0.4: any error fails the test. To be included by
 * one file of a program.
 */
#pragma once

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/utf8.h"

#define PARSED_SAMPLES_MAX 8192
#define PARSED_LABELS_MAX  12

struct parsed_label {
        char *name, *value; /* value: unescaped */
};

struct parsed_sample {
        char *name;
        struct parsed_label labels[PARSED_LABELS_MAX];
        size_t label_count;
        char *identity; /* name and labels as in the text */
        double value;
};

struct parsed {
        bool openmetrics;
        struct parsed_sample samples[PARSED_SAMPLES_MAX];
        size_t count;
        char family[128], type[32]; /* the family that the following samples belong to */
        char *families[64];         /* all families so far: none may occur twice */
        size_t family_count;
};

static inline size_t parse_name(const char *p, bool colons)
{
        size_t n = 0;

        assert_true(isalpha((unsigned char) p[0]) || p[0] == '_');
        while (isalnum((unsigned char) p[n]) || p[n] == '_' || (colons && p[n] == ':'))
                n++;
        return n;
}

/* Parses the value of a label; @p is after the first quote. Returns the length, including the last quote. */
static inline size_t parse_value(const char *p, char **value)
{
        char *out = *value = malloc(strlen(p) + 1);
        size_t n = 0;

        while (p[n] != '"') {
                assert_true(p[n] != '\0' && p[n] != '\n');
                if (p[n] == '\\') {
                        n++;
                        assert_true(p[n] == '\\' || p[n] == '"' || p[n] == 'n');
                        *out++ = p[n] == 'n' ? '\n' : p[n];
                } else
                        *out++ = p[n];
                n++;
        }
        *out = '\0';
        return n + 1;
}

static inline const char *parse_labels(struct parsed_sample *sample, const char *p)
{
        do {
                size_t n = parse_name(++p, false);
                struct parsed_label *label;

                assert_true(sample->label_count < PARSED_LABELS_MAX);
                label = &sample->labels[sample->label_count++];
                label->name = strndup(p, n);
                for (size_t i = 0; i + 1 < sample->label_count; i++)
                        assert_string_not_equal(sample->labels[i].name, label->name);
                p += n;
                assert_memory_equal(p, "=\"", 2);
                p += 2;
                p += parse_value(p, &label->value);
        } while (*p == ',');
        assert_int_equal(*p, '}');
        return p + 1;
}

/* Asserts that @name may be the name of a sample of the present family. */
static inline void check_family(const struct parsed *parsed, const char *name)
{
        char expected[160];
        const char *suffix = "";

        if (parsed->openmetrics)
                suffix = strcmp(parsed->type, "counter") == 0 ? "_total"
                         : strcmp(parsed->type, "info") == 0  ? "_info"
                                                              : "";
        snprintf(expected, sizeof(expected), "%s%s", parsed->family, suffix);
        assert_string_equal(name, expected);
        assert_int_equal(strcmp(parsed->type, "counter") == 0,
                        strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
}

static inline void parse_sample(struct parsed *parsed, const char *line)
{
        struct parsed_sample *sample = &parsed->samples[parsed->count];
        const char *p = line;
        size_t n = parse_name(p, true);
        char *end;

        assert_true(parsed->count < PARSED_SAMPLES_MAX);
        sample->name = strndup(p, n);
        p += n;
        if (*p == '{')
                p = parse_labels(sample, p);
        sample->identity = strndup(line, p - line);
        for (size_t i = 0; i < parsed->count; i++)
                assert_string_not_equal(parsed->samples[i].identity, sample->identity);
        assert_int_equal(*p++, ' ');
        assert_true(isdigit((unsigned char) *p));
        sample->value = strtod(p, &end);
        assert_int_equal(*end, '\0');
        check_family(parsed, sample->name);
        parsed->count++;
}

static inline void parse_description(struct parsed *parsed, char *line)
{
        char *what = line + 2, *name = strchr(what, ' '), *value;

        assert_non_null(name);
        *name++ = '\0';
        value = strchr(name, ' ');
        assert_non_null(value);
        *value++ = '\0';
        assert_int_equal(parse_name(name, true), strlen(name));
        if (strcmp(name, parsed->family) != 0) {
                for (size_t i = 0; i < parsed->family_count; i++)
                        assert_string_not_equal(parsed->families[i], name);
                parsed->families[parsed->family_count++] = strdup(name);
                snprintf(parsed->family, sizeof(parsed->family), "%s", name);
                *parsed->type = '\0';
        }
        if (strcmp(what, "TYPE") == 0) {
                assert_int_equal(*parsed->type, '\0');
                snprintf(parsed->type, sizeof(parsed->type), "%s", value);
                assert_true(strcmp(value, "gauge") == 0 || strcmp(value, "counter") == 0 ||
                                (strcmp(value, "info") == 0 && parsed->openmetrics));
        } else if (strcmp(what, "UNIT") == 0) {
                assert_true(parsed->openmetrics);
                assert_true(strlen(name) > strlen(value) + 1);
                assert_int_equal(name[strlen(name) - strlen(value) - 1], '_');
                assert_string_equal(name + strlen(name) - strlen(value), value);
        } else {
                assert_string_equal(what, "HELP");
                assert_true(*value != '\0' && !strpbrk(value, "\\\"\n"));
        }
}

/* Parses the @size bytes of @text; call parsed_free() for the result. */
static inline struct parsed *parse_metrics(const char *text, size_t size, bool openmetrics)
{
        struct parsed *parsed = calloc(1, sizeof(*parsed));
        char *copy = strndup(text, size), *rest = copy, *line;
        bool end = false;

        assert_int_equal(strlen(copy), size);
        for (size_t i = 0; i < size;) {
                uint32_t character;

                i += utf8_decode(text + i, size - i, &character);
                assert_true(character < CHARACTER_INVALID);
        }
        assert_int_equal(text[size - 1], '\n');
        copy[size - 1] = '\0';
        parsed->openmetrics = openmetrics;
        while ((line = strsep(&rest, "\n"))) {
                assert_false(end);
                if (openmetrics && strcmp(line, "# EOF") == 0)
                        end = true;
                else if (*line == '#')
                        parse_description(parsed, line);
                else
                        parse_sample(parsed, line);
        }
        assert_int_equal(end, openmetrics);
        free(copy);
        return parsed;
}

static inline void parsed_free(struct parsed *parsed)
{
        for (size_t i = 0; i < parsed->count; i++) {
                struct parsed_sample *sample = &parsed->samples[i];

                for (size_t n = 0; n < sample->label_count; n++) {
                        free(sample->labels[n].name);
                        free(sample->labels[n].value);
                }
                free(sample->name);
                free(sample->identity);
        }
        for (size_t i = 0; i < parsed->family_count; i++)
                free(parsed->families[i]);
        free(parsed);
}

/* The sample whose text is @identity, "name{label=\"value\"}"; NULL: there is none. */
static inline const struct parsed_sample *parsed_find(const struct parsed *parsed, const char *identity)
{
        for (size_t i = 0; i < parsed->count; i++)
                if (strcmp(parsed->samples[i].identity, identity) == 0)
                        return &parsed->samples[i];
        return NULL;
}

static inline double parsed_value(const struct parsed *parsed, const char *identity)
{
        const struct parsed_sample *sample = parsed_find(parsed, identity);

        if (!sample)
                fail_msg("there is no %s", identity);
        return sample->value;
}

/* The value of its label @name; NULL: it has none. */
static inline const char *parsed_label(const struct parsed_sample *sample, const char *name)
{
        for (size_t i = 0; i < sample->label_count; i++)
                if (strcmp(sample->labels[i].name, name) == 0)
                        return sample->labels[i].value;
        return NULL;
}

/* The sum of all samples @name. */
static inline double parsed_sum(const struct parsed *parsed, const char *name)
{
        double sum = 0;

        for (size_t i = 0; i < parsed->count; i++)
                if (strcmp(parsed->samples[i].name, name) == 0)
                        sum += parsed->samples[i].value;
        return sum;
}
