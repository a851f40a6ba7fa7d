/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets that suit workloads, by their history: as files, and put in force. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "past.h"
#include "policy/glob.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

/* A size for a budget file, in the largest unit in which it is exact. */
static const char *exact_size(char buffer[FORMAT_BYTES_MAX], uint64_t bytes)
{
        static const char units[] = "KMG";
        int unit = -1;

        while (unit < 2 && bytes > 0 && bytes % 1024 == 0) {
                bytes /= 1024;
                unit++;
        }
        if (unit < 0)
                snprintf(buffer, FORMAT_BYTES_MAX, "%llu", (unsigned long long) bytes);
        else
                snprintf(buffer, FORMAT_BYTES_MAX, "%llu%c", (unsigned long long) bytes, units[unit]);
        return buffer;
}

/* --- A file ------------------------------------------------------------------------------------------------------- */

/* Anybody can choose names: a name in a comment must not end the line. */
static void print_name(FILE *file, const char *name)
{
        _cleanup_free_ char *shown = text_shown(name);

        fputs(shown ?: "?", file);
}

static void print_evidence(const json_t *suggestion, const json_t *reply, FILE *file)
{
        char peak[FORMAT_BYTES_MAX], p95[FORMAT_BYTES_MAX], step[FORMAT_BYTES_MAX], ceiling[FORMAT_BYTES_MAX];
        uint64_t hours = field_integer(suggestion, "hours"), cpus = field_integer(reply, "cpus");
        uint64_t here = field_integer(reply, "possibleCpus");

        fprintf(file, "# For the %s ", field_string(suggestion, "kind"));
        print_name(file, field_string(suggestion, "name"));
        fprintf(file, ", which had BPF memory in %llu hours (%llu.%llu days) of the last eight days.\n",
                        (unsigned long long) hours, (unsigned long long) hours / 24,
                        (unsigned long long) hours * 10 / 24 % 10);
        if (!field_true(suggestion, "enough"))
                fprintf(file, "# That is less than a day of history: the limits may be too low.\n");
        fprintf(file, "# Peak %s, 95th percentile of the hourly peaks %s, %llu changes; largest step %s, ceiling %s.\n",
                        format_bytes(peak, field_integer(suggestion, "peak"), false),
                        format_bytes(p95, field_integer(suggestion, "percentile95"), false),
                        (unsigned long long) field_integer(suggestion, "changes"),
                        format_bytes(step, field_integer(suggestion, "largestStep"), false),
                        field_get(suggestion, "ceiling")
                                        ? format_bytes(ceiling, field_integer(suggestion, "ceiling"), false)
                                        : "none");
        if (cpus != here)
                fprintf(file,
                                "# %s of the peak is per-CPU memory for %llu possible CPUs. Step, ceiling and limits "
                                "are "
                                "scaled to %llu.\n",
                                format_bytes(peak, field_integer(suggestion, "perCpu"), false),
                                (unsigned long long) here, (unsigned long long) cpus);
        fprintf(file, "# High= is above the peak. Max= is at least one step above High=, and at least the ceiling, if "
                      "there is one.\n");
}

/* The line for a cgroup. Returns whether there is one. */
static bool print_cgroup(const char *path, FILE *file)
{
        _cleanup_free_ char *glob = NULL;

        /* A question mark may replace a byte of a path that is not UTF-8. */
        if (strchr(path, '?') || glob_escape(path, &glob) < 0) {
                glob = NULL;
                if (glob_approximate(path, &glob) < 0) {
                        glob = NULL;
                        return false;
                }
                fprintf(file, "# The path has characters that a file cannot have, or question marks: the pattern has "
                              "wildcards in\n"
                              "# their place. Check that it matches no other cgroup.\n");
        }
        fprintf(file, "Cgroup=%s\n", glob);
        return true;
}

/* The lines of [Match]. Returns whether a file can name the workload. */
static bool print_match(const json_t *suggestion, FILE *file)
{
        const char *kind = field_string(suggestion, "kind"), *name = field_string(suggestion, "name");
        const char *container = strcmp(kind, "container") == 0 ? strrchr(name, '/') : NULL;
        int pod = container ? (int) (container - name) : (int) strlen(name);

        if (strcmp(kind, "unit") == 0)
                fprintf(file, "Unit=%s\n", name);
        else if (strcmp(kind, "pod") == 0 || container)
                fprintf(file, "Pod=%.*s %.*s-*\n", pod, name, pod, name);
        if (strcmp(kind, "container") == 0)
                fprintf(file, "Container=%s\n", container ? container + 1 : name);
        if (strcmp(kind, "cgroup") != 0 && strcmp(kind, "machine") != 0)
                return true;
        return print_cgroup(field_string(suggestion, "cgroup"), file);
}

static void print_file(const json_t *suggestion, const json_t *reply, FILE *file)
{
        char high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX];

        print_evidence(suggestion, reply, file);
        fputs("[Match]\n", file);
        if (!print_match(suggestion, file))
                fputs("# The path of the cgroup is too long for a line.\n", file);
        fprintf(file, "\n[Budget]\nHigh=%s\nMax=%s\n", exact_size(high, field_integer(suggestion, "high")),
                        exact_size(max, field_integer(suggestion, "max")));
}

/* --- What would have been ----------------------------------------------------------------------------------------- */

/* --dry-run: prints what these limits would have done in the recorded time. */
static void print_outcome(const json_t *suggestion, FILE *file)
{
        char high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX];
        unsigned long long hours = field_integer(suggestion, "hours");

        print_name(file, field_string(suggestion, "name"));
        fprintf(file,
                        ": over High=%s in %llu of %llu hours (OnHigh=throttle would have paused it), "
                        "over Max=%s in %llu (OnMax=deny would have refused growth)\n",
                        exact_size(high, field_integer(suggestion, "high")),
                        (unsigned long long) field_integer(suggestion, "pausedHours"), hours,
                        exact_size(max, field_integer(suggestion, "max")),
                        (unsigned long long) field_integer(suggestion, "refusedHours"));
}

/* --- Putting in force --------------------------------------------------------------------------------------------- */

/* Sets the budget of the cgroup that the workload has now, until the next boot, and adds it to @applied, if that is not
 * NULL, or prints it. */
static int apply(struct client *client, const json_t *suggestion, json_t *applied)
{
        const char *cgroup = field_string(suggestion, "cgroup");
        char high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX];
        int r = ask(client, "SetBudget",
                        json_pack("{ss sI sI}", "cgroup", cgroup, "high",
                                        (json_int_t) field_integer(suggestion, "high"), "max",
                                        (json_int_t) field_integer(suggestion, "max")),
                        NULL);

        if (r < 0) {
                log_error("suggest: %s: its budget could not be set", cgroup);
                return r;
        }
        if (applied)
                return json_array_append_new(
                                       applied, json_pack("{ss sI sI}", "cgroup", cgroup, "high",
                                                                (json_int_t) field_integer(suggestion, "high"), "max",
                                                                (json_int_t) field_integer(suggestion, "max"))) < 0
                                       ? -ENOMEM
                                       : 0;
        print_name(stdout, cgroup);
        printf(": High=%s Max=%s until the next boot\n", exact_size(high, field_integer(suggestion, "high")),
                        exact_size(max, field_integer(suggestion, "max")));
        return 0;
}

/* Whether a connection cannot be used any more after the error @r. */
static bool is_cut_off(int r)
{
        return r == -ECONNRESET || r == -ETIMEDOUT || r == -EBADMSG;
}

/* Continues if one fails, because the others are about other workloads. Returns the first error. */
static int apply_all(const struct options *options, const json_t *suggestions)
{
        json_t *applied = options->json != JSON_OFF ? json_array() : NULL, *suggestion;
        struct client client;
        int r = ask_connect(&client, options), error = r;
        size_t i;

        json_array_foreach(suggestions, i, suggestion)
        {
                if (is_cut_off(error) || (i == 0 && r < 0))
                        break;
                error = apply(&client, suggestion, applied);
                r = r ?: error;
        }
        client_deinit(&client);
        if (applied)
                error = show_json_list(options, "applied", applied);
        json_decref(applied);
        return r ?: error;
}

/* --- The verb ----------------------------------------------------------------------------------------------------- */

/* Removes suggestions that are based on less than a day. Returns the number of those removed. */
static size_t leave_out_young(json_t *suggestions)
{
        size_t count = 0;

        for (size_t i = json_array_size(suggestions); i > 0; i--) {
                const json_t *suggestion = json_array_get(suggestions, i - 1);

                if (field_true(suggestion, "enough"))
                        continue;
                log_warning("%s: there is less than a day of history (%llu hours); use --force to include it",
                                field_string(suggestion, "name"),
                                (unsigned long long) field_integer(suggestion, "hours"));
                json_array_remove(suggestions, i - 1);
                count++;
        }
        return count;
}

/* Shows @reply, or does what the options say. */
static int take_suggestions(const struct options *options, json_t *reply)
{
        json_t *suggestions = json_object_get(reply, "suggestions"), *suggestion;
        size_t i;

        if (options->apply && !options->dry_run)
                return apply_all(options, suggestions);
        if (options->json)
                return show_json(options, reply);
        json_array_foreach(suggestions, i, suggestion)
        {
                if (options->dry_run) {
                        print_outcome(suggestion, stdout);
                        continue;
                }
                /*
                 * This line is no comment: the daemon reports it if somebody puts all of them into one file, which
                 * would have a single budget.
                 */
                if (i > 0)
                        fputs("\n------ another file ------\n", stdout);
                print_file(suggestion, reply, stdout);
        }
        return 0;
}

int verb_suggest(const struct options *options, int argc, char *argv[])
{
        json_t *parameters = json_object(), *reply;
        size_t young = 0;
        int r;

        if (options->apply && options->cpus) {
                log_error("suggest: --apply and --cpus= cannot be combined: --apply sets limits for this machine");
                json_decref(parameters);
                return -EINVAL;
        }
        if (options->cpus)
                json_object_set_new(parameters, "cpus", json_integer(options->cpus));
        r = past_ask(options, "Suggest", argc ? argv[0] : NULL, parameters, "suggestions", &reply);
        if (r < 0)
                return r;
        if (!options->force)
                young = leave_out_young(json_object_get(reply, "suggestions"));
        r = take_suggestions(options, reply);
        if (r == 0 && young > 0 && json_array_size(json_object_get(reply, "suggestions")) == 0)
                r = -ENODATA;
        json_decref(reply);
        return r;
}
