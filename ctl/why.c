/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "why.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/size.h"
#include "field.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

/* The number of refusals that are shown individually. */
#define SHOWN_MAX 5

/* The size of a date and time as text. */
#define SINCE_SIZE 32

/* --- Of whom ------------------------------------------------------------------------------------------------------ */

const char *why_memory_cgroup(char *text)
{
        const char *unified = NULL;

        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
                char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

                if (!path)
                        continue;
                *path++ = '\0';
                controllers++;
                if (!*controllers)
                        unified = path;
                for (char *name = controllers; *name; name += strcspn(name, ",") + (strchr(name, ',') != NULL))
                        if (strncmp(name, "memory", 6) == 0 && (name[6] == ',' || !name[6]))
                                return path;
        }
        return unified;
}

static bool is_number(const char *text)
{
        return *text && text[strspn(text, "0123456789")] == '\0';
}

/* The cgroup of the process @pid, to be freed; NULL, logged: there is none. */
static char *cgroup_of_process(const char *pid)
{
        char path[64], text[8192];
        _cleanup_fclose_ FILE *file = NULL;
        const char *cgroup;
        size_t n;

        snprintf(path, sizeof(path), "/proc/%.20s/cgroup", pid);
        file = fopen(path, "re");
        n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
        text[n] = '\0';
        cgroup = why_memory_cgroup(text);
        if (!cgroup)
                log_error("%s: there is no such process", pid);
        return cgroup ? strdup(cgroup) : NULL;
}

/* --- Who ---------------------------------------------------------------------------------------------------------- */

static void print_refusal(const struct options *options, const json_t *refusal)
{
        const char *cgroup = field_string(refusal, "budgetCgroup");
        time_t seconds = field_integer(refusal, "time") / 1000000;
        uint64_t size = field_integer(refusal, "size"), usage = field_integer(refusal, "usage"),
                 limit = field_integer(refusal, "max");
        /* Enough digits that the figures add up. */
        unsigned int precision = size_precision(usage, size, limit);
        char clock[32], used[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX], wanted[FORMAT_BYTES_MAX], text[512];
        _cleanup_free_ char *shown = NULL;
        struct tm tm;
        bool exact = options->bytes || size == 0;

        strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
        snprintf(text, sizeof(text), "%s[%llu] wanted %s %s %s%s%s: %s of budget %s%s%s, %s of %s in use",
                        field_string(refusal, "comm"), (unsigned long long) field_integer(refusal, "pid"),
                        field_string(refusal, "objectKind"), field_string(refusal, "objectType"),
                        field_string(refusal, "objectName"), size ? " of " : "",
                        size ? format_bytes_to(wanted, size, options->bytes, precision) : "",
                        field_string(refusal, "limit"), field_string(refusal, "budget"), *cgroup ? " at " : "", cgroup,
                        format_bytes_to(used, usage, exact, precision), format_bytes_to(max, limit, exact, precision));
        shown = text_shown(text);
        printf("              %s %s\n", clock, shown ?: "");
}

/*
 * The time since which the daemon remembers refusals: it loses them when it exits, and has room only for the last ones.
 */
static const char *format_since(const json_t *answer, char buffer[SINCE_SIZE])
{
        time_t seconds = field_integer(answer, "refusalsSince") / 1000000;
        struct tm tm;

        if (seconds == 0 || strftime(buffer, SINCE_SIZE, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm)) == 0)
                return "the start of the daemon";
        return buffer;
}

static void print_refusals(const struct options *options, const json_t *answer)
{
        const json_t *refusals = field_get(answer, "refusals");
        size_t count = json_array_size(refusals);
        char since[SINCE_SIZE];

        if (count == 0) {
                printf("    Refusals: none by bpfbudgetd since %s\n", format_since(answer, since));
                return;
        }
        printf("    Refusals: %zu by bpfbudgetd since %s, latest first\n", count, format_since(answer, since));
        for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
                print_refusal(options, json_array_get(refusals, i));
}

static void print_memory(const json_t *answer)
{
        const json_t *levels = field_get(answer, "memoryEvents");
        bool any = false;

        for (size_t i = 0; i < json_array_size(levels); i++) {
                const json_t *level = json_array_get(levels, i);
                _cleanup_free_ char *shown = text_shown(field_string(level, "cgroup"));

                if (field_integer(level, "max") + field_integer(level, "oom") == 0)
                        continue;
                printf("%s %s: reached %llu times since the cgroup was created, out of memory %llu times\n",
                                any ? "             " : "  memory.max:", shown ?: "",
                                (unsigned long long) field_integer(level, "max"),
                                (unsigned long long) field_integer(level, "oom"));
                any = true;
        }
        if (!any)
                printf("  memory.max: never reached, here or above\n");
}

/* The nearest cgroup whose memory limit was reached; NULL: there is none. */
static const json_t *reached(const json_t *answer)
{
        const json_t *levels = field_get(answer, "memoryEvents");

        for (size_t i = 0; i < json_array_size(levels); i++)
                if (field_integer(json_array_get(levels, i), "max") > 0 ||
                                field_integer(json_array_get(levels, i), "oom") > 0)
                        return json_array_get(levels, i);
        return NULL;
}

char *why_conclusion(const json_t *answer)
{
        const json_t *refusal = json_array_get(field_get(answer, "refusals"), 0), *level = reached(answer);
        char buffer[SINCE_SIZE], *text;
        const char *since = format_since(answer, buffer);
        int n;

        if (refusal && level)
                n = asprintf(&text,
                                "%s of budget %s refused (ENOMEM) at the times above; an ENOMEM at another time since "
                                "%s may be from memory.max of %s or from the kernel's allocators.",
                                field_string(refusal, "limit"), field_string(refusal, "budget"), since,
                                field_string(level, "cgroup"));
        else if (refusal)
                n = asprintf(&text,
                                "%s of budget %s refused (ENOMEM) at the times above; an ENOMEM at another time since "
                                "%s was from the kernel's allocators, because memory.max was never reached.",
                                field_string(refusal, "limit"), field_string(refusal, "budget"), since);
        else if (level)
                n = asprintf(&text,
                                "No budget refused anything since %s. An ENOMEM after that is most likely from "
                                "memory.max of %s, or from the kernel's allocators if that limit was reached at "
                                "another time.",
                                since, field_string(level, "cgroup"));
        else
                n = asprintf(&text,
                                "Neither a budget nor memory.max refused anything since %s: an ENOMEM after that was "
                                "from the kernel's allocators (per-CPU memory, vmalloc, or no free memory, which dmesg "
                                "reports).",
                                since);
        return n < 0 ? NULL : text;
}

void why_print(const struct options *options, const json_t *answer)
{
        _cleanup_free_ char *conclusion = why_conclusion(answer), *shown = conclusion ? text_shown(conclusion) : NULL;
        char since[SINCE_SIZE];

        print_refusals(options, answer);
        print_memory(answer);
        printf("  Allocators: not observed, because a hook on failed calls of bpf(2) would slow down every successful "
               "call, "
               "too\n");
        printf("  Conclusion: %s\n", shown ?: "");
        printf("              The daemon does not remember refusals from before %s; the journal has them.\n",
                        format_since(answer, since));
        printf("              A budget never causes EPERM, EACCES, E2BIG or EINVAL. They come from missing "
               "capabilities, an "
               "LSM,\n              the verifier, or arguments that this kernel does not support.\n");
}

int verb_why(const struct options *options, int argc, char *argv[])
{
        _cleanup_free_ char *cgroup = is_number(argv[0]) ? cgroup_of_process(argv[0]) : NULL;
        struct client client;
        json_t *answer;
        int r;

        (void) argc;
        if (is_number(argv[0]) && !cgroup)
                return -ESRCH;
        r = ask_connect(&client, options);
        if (r == 0)
                r = ask_explain(&client, cgroup ?: argv[0], &answer);
        if (r == 0) {
                json_t *why = json_pack("{sO sO sI sO}", "cgroup",
                                json_object_get(json_object_get(answer, "cgroup"), "path"), "refusals",
                                json_object_get(answer, "refusals"), "refusalsSince",
                                (json_int_t) field_integer(answer, "refusalsSince"), "memoryEvents",
                                json_object_get(answer, "memoryEvents"));

                if (options->json != JSON_OFF)
                        r = show_json(options, why);
                else
                        why_print(options, answer);
                json_decref(why);
                json_decref(answer);
        }
        client_deinit(&client);
        return r;
}
