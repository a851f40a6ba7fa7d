/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the table of keys, a line each: SECTION NAME PARAMETER DEFAULT UNIT WORDS HELP; "-" where there is none. */
#include <stdio.h>

#include "policy/keys.h"

/* Words separated by commas. */
static void print_words(const struct key *key)
{
        for (const struct word *word = key->words; word && word->text; word++)
                printf("%s%s", word == key->words ? "" : ",", word->text);
        if (!key->words)
                putchar('-');
}

static void print_keys(const struct format *format)
{
        for (size_t i = 0; i < format->count; i++) {
                const struct key *key = &format->keys[i];
                char name[KEY_NAME_SIZE], text[KEY_TEXT_SIZE];

                key_parameter(key, name);
                printf("%s %s %s %s %s ", key->section, key->name, key->runtime ? name : "-",
                                key_format(key, key->initial, text) ? text : "-", key->unit);
                print_words(key);
                printf(" %s\n", key->help);
        }
}

int main(void)
{
        print_keys(&budget_format);
        print_keys(&settings_format);
        return 0;
}
