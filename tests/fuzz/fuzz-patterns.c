/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: each line of the input but the last is a Cgroup= ("/...") or a Unit= of a budget of its own, the
 * last is the path of a cgroup. What the automaton says is what the patterns say one by one; and each line is read as a
 * value.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/automaton.h"
#include "policy/config.h"
#include "policy/unit.h"
#include "policy/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUDGETS_MAX 8
/* Of patterns: what is longer, the parser of files refuses or the automaton leaves to others. */
#define PATTERN_MAX 64

static void read_value(const char *text)
{
        uint64_t number;

        if (parse_bytes(text, 1ULL << 33, &number) == 0 && is_decimal_size(text) && number == 0)
                abort();
        if (parse_whole(text, 3, 1000, &number) == 0 && number != BUDGET_INFINITY && (number < 3 || number > 1000))
                abort();
        if (parse_usec(text, 5, 5000000, &number) == 0 && number != BUDGET_INFINITY && (number < 5 || number > 5000000))
                abort();
}

/* Whether all is as in a cgroup's path. */
static bool is_path(const char *path)
{
        if (*path != '/' || strstr(path, "//") || strlen(path) > 4096)
                return false;
        return !path[1] || path[strlen(path) - 1] != '/';
}

static void compare(struct budget *budgets, size_t count, const char *path)
{
        bool late[BUDGETS_MAX] = {};
        struct config config = { .budgets = budgets, .count = count, .late = late };
        struct match_subject subject = { .path = path };
        const struct budget *plain, *by_automaton;

        plain = config_match(&config, &subject);
        if (automaton_fit(budgets, count, late, &config.automaton) < 0)
                abort();
        for (size_t i = 0; i < count; i++)
                config.any_late |= late[i];
        by_automaton = config_match(&config, &subject);
        if (plain != by_automaton)
                abort();
        automaton_free(config.automaton);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *) data, size);
        struct budget budgets[BUDGETS_MAX] = {};
        char *line = text, *next;
        size_t count = 0;

        if (!text)
                abort();
        for (; (next = strchr(line, '\n')); line = next + 1) {
                *next = '\0';
                read_value(line);
                if (count == BUDGETS_MAX || !*line || strlen(line) > PATTERN_MAX)
                        continue;
                budgets[count].name = (char *) "fuzz";
                if (patterns_add(*line == '/' ? &budgets[count].cgroups : &budgets[count].units, line, false) < 0)
                        abort();
                count++;
        }
        read_value(line);
        if (is_path(line))
                compare(budgets, count, line);
        for (size_t i = 0; i < count; i++) {
                patterns_deinit(&budgets[i].cgroups);
                patterns_deinit(&budgets[i].units);
        }
        return 0;
}
