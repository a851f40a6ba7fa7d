/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/setbudget.h"

#include <string.h>

#include "policy/keys.h"

/* No key has more words. */
#define WORDS_MAX 8

/* A key in the interface's terms. */
struct parameter {
        char name[KEY_NAME_SIZE];
        const char *words[WORDS_MAX + 1]; /* ends with NULL */
};

/* The index is that of the key in the table. */
static struct parameter parameters[KEYS_MAX];
/* The cgroup comes first, and one without a name last. */
static struct varlink_parameter table[1 + KEYS_MAX + 1];

/* A number out of range is an error in the budget (InvalidBudget), not in the call. */
static struct varlink_parameter make_parameter(const struct key *key, struct parameter *parameter)
{
        key_parameter(key, parameter->name);
        for (size_t i = 0; key->words && i < WORDS_MAX && key->words[i].text; i++)
                parameter->words[i] = key->words[i].text;
        return (struct varlink_parameter){
                .name = parameter->name,
                .type = key->words ? VARLINK_WORD : VARLINK_INTEGER,
                .optional = true,
                .words = key->words ? parameter->words : NULL,
        };
}

const struct varlink_parameter *set_budget_parameters(void)
{
        size_t count = 1;

        if (table[0].name)
                return table;
        for (size_t i = 0; i < budget_format.count; i++)
                if (budget_format.keys[i].runtime)
                        table[count++] = make_parameter(&budget_format.keys[i], &parameters[i]);
        table[0] = (struct varlink_parameter){ .name = "cgroup", .type = VARLINK_STRING };
        return table;
}

/* Sets the field of @key, whose values are words, in @budget to @value. */
static void take_word(const struct key *key, const char *value, struct budget *budget)
{
        for (const struct word *word = key->words; word->text; word++)
                if (strcmp(word->text, value) == 0)
                        key_set(key, budget, word->value);
}

/* Sets the field of @key in @budget to @value. Returns what is wrong with @value, NULL: nothing. */
static const char *take_number(const struct key *key, json_int_t value, struct budget *budget)
{
        if (value < 0)
                return "is negative";
        if ((uint64_t) value < key->minimum)
                return "is too small";
        if ((uint64_t) value > key->maximum)
                return "is too large";
        key_set(key, budget, value);
        return NULL;
}

const char *take_budget(const json_t *values, struct budget *budget, const char **field)
{
        const char *wrong = NULL;

        set_budget_parameters();
        *budget = (struct budget){};
        keys_reset(&budget_format, budget);
        for (size_t i = 0; !wrong && i < budget_format.count; i++) {
                const struct key *key = &budget_format.keys[i];
                const json_t *value = key->runtime ? json_object_get(values, parameters[i].name) : NULL;

                *field = parameters[i].name;
                if (json_is_string(value))
                        take_word(key, json_string_value(value), budget);
                else if (value)
                        wrong = take_number(key, json_integer_value(value), budget);
        }
        if (wrong || budget->high == BUDGET_INFINITY || budget->high <= budget->max)
                return wrong;
        *field = "high";
        return "is more than max";
}
