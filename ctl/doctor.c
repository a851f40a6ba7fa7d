/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows which facilities of the daemon are available on this host, what restricts the others, and the remedies. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/log.h"
#include "direct.h"
#include "field.h"
#include "show.h"
#include "terminal.h"
#include "verbs.h"

static const struct {
        const char *name, *color;
        int status;
} levels[] = {
        { "full", "\033[32m", 0 },
        { "partial", "\033[33m", 1 },
        { "none", "\033[31m", 2 },
};

#define LEVELS (sizeof(levels) / sizeof(levels[0]))

/* For a level that this version does not know, the last one. */
static size_t find_level(const char *name)
{
        size_t i = 0;

        while (i < LEVELS - 1 && strcmp(levels[i].name, name) != 0)
                i++;
        return i;
}

static void print_level(const json_t *facility)
{
        const char *level = field_string(facility, "level");
        bool colors = terminal_colors();

        printf("%-10s  %s%s%s\n", field_string(facility, "name"), colors ? levels[find_level(level)].color : "", level,
                        colors ? "\033[0m" : "");
}

/* The finding @name in @facility; NULL: it is not about this facility. */
static const json_t *find_finding(const json_t *facility, const char *name)
{
        const json_t *findings = field_get(facility, "findings");

        for (size_t i = 0; i < json_array_size(findings); i++)
                if (strcmp(field_string(json_array_get(findings, i), "name"), name) == 0)
                        return json_array_get(findings, i);
        return NULL;
}

/*
 * Prints @finding of the facility @first, with all facilities that it is about. Prints nothing if an earlier facility
 * has it, too.
 */
static void print_finding(const json_t *facilities, size_t first, const json_t *finding)
{
        const char *name = field_string(finding, "name"), *action = field_string(finding, "action");
        const char *separator = "";

        for (size_t i = 0; i < first; i++)
                if (find_finding(json_array_get(facilities, i), name))
                        return;
        putchar('\n');
        for (size_t i = first; i < json_array_size(facilities); i++)
                if (find_finding(json_array_get(facilities, i), name)) {
                        printf("%s%s", separator, field_string(json_array_get(facilities, i), "name"));
                        separator = ", ";
                }
        printf(": %s\n", field_string(finding, "reason"));
        if (*action)
                printf("    %s:\n        %s\n", action, field_string(finding, "remedy"));
}

static void print_readiness(const json_t *readiness)
{
        const json_t *facilities = field_get(readiness, "facilities");

        for (size_t i = 0; i < json_array_size(facilities); i++)
                print_level(json_array_get(facilities, i));
        for (size_t i = 0; i < json_array_size(facilities); i++) {
                const json_t *findings = field_get(json_array_get(facilities, i), "findings");

                for (size_t k = 0; k < json_array_size(findings); k++)
                        print_finding(facilities, i, json_array_get(findings, k));
        }
}

/* Explains that the report is about this process, because no daemon runs. */
static void print_not_running(void)
{
        printf("\nbpfbudgetd is not running: this is what it could do with the privileges of this process.\n"
               "    Run:\n        systemctl start bpfbudgetd\n");
}

/*
 * Gets the readiness of the daemon, or of this process if no daemon runs. *running and, in JSON, the member
 * daemonRunning are set accordingly. With --direct, *running is true, and the member is missing, because it is not
 * checked.
 */
static int get_readiness(const struct options *options, json_t **readiness, bool *running)
{
        struct client client;
        int r;

        *running = true;
        if (options->direct)
                return direct_readiness(readiness);
        r = client_connect(&client, options->socket);
        *running = r != -ENOENT && r != -ECONNREFUSED;
        if (!*running)
                r = direct_readiness(readiness);
        else if (r < 0)
                r = ask_tell_connect(options, r);
        else
                r = ask(&client, "GetReadiness", NULL, readiness);
        client_deinit(&client);
        if (r == 0)
                json_object_set_new(*readiness, "daemonRunning", json_boolean(*running));
        return r;
}

int verb_doctor(const struct options *options, int argc, char *argv[])
{
        json_t *readiness;
        bool running;
        int r = get_readiness(options, &readiness, &running);

        (void) argc;
        (void) argv;
        if (r < 0)
                return r;
        if (options->json != JSON_OFF)
                r = show_json(options, readiness);
        else
                print_readiness(readiness);
        if (!running && options->json == JSON_OFF)
                print_not_running();
        if (r == 0)
                r = levels[find_level(field_string(readiness, "level"))].status;
        json_decref(readiness);
        return r;
}
