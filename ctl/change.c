/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that make the daemon do something. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ask.h"
#include "assignment.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "policy/config.h"
#include "verbs.h"

/* Logs the warnings in @reply (taken over). They are about @subject, or name their subject themselves if it is NULL. */
static void tell_warnings(json_t *reply, const char *subject)
{
        const json_t *warnings = field_get(reply, "warnings");

        for (size_t i = 0; i < json_array_size(warnings); i++)
                log_warning("%s%s%s", subject ?: "", subject ? ": " : "",
                                json_string_value(json_array_get(warnings, i)) ?: "");
        json_decref(reply);
}

/* Calls @method, whose reply has nothing but warnings, and logs these. */
static int order(const struct options *options, const char *method)
{
        struct client client;
        json_t *reply;
        int r = ask_connect(&client, options);

        if (r == 0)
                r = ask(&client, method, NULL, &reply);
        if (r == 0)
                tell_warnings(reply, NULL);
        client_deinit(&client);
        return r;
}

int verb_flush(const struct options *options, int argc, char *argv[])
{
        (void) argc;
        (void) argv;
        return order(options, "Flush");
}

int verb_reload(const struct options *options, int argc, char *argv[])
{
        (void) argc;
        (void) argv;
        return order(options, "Reload");
}

/* Parses all @assignments into the parameters of SetBudget. Returns 0 or a negative errno, logged. */
static int parse_assignments(json_t *parameters, int n, char *assignments[])
{
        char reason[ASSIGNMENT_REASON_MAX];

        for (int i = 0; i < n; i++) {
                int r = assignment_parse(assignments[i], config_read_ram(), parameters, reason);

                if (r < 0) {
                        log_error("%s: %s", assignments[i], reason);
                        return r;
                }
        }
        return 0;
}

int verb_set_budget(const struct options *options, int argc, char *argv[])
{
        json_t *parameters = json_object(), *reply;
        _cleanup_free_ char *cgroup = NULL;
        struct client client = { .fd = -1 };
        int r;

        /* Parse first, so that mistakes are reported even if the daemon does not run. */
        r = parse_assignments(parameters, argc - 1, argv + 1);
        if (r == 0)
                r = ask_connect(&client, options);
        if (r == 0)
                r = ask_cgroup(&client, argv[0], &cgroup);
        if (r == 0) {
                json_object_set_new(parameters, "cgroup", json_string(cgroup));
                r = ask(&client, "SetBudget", json_incref(parameters), &reply);
        }
        if (r == 0)
                tell_warnings(reply, cgroup);
        client_deinit(&client);
        json_decref(parameters);
        return r;
}

int verb_unset_budget(const struct options *options, int argc, char *argv[])
{
        _cleanup_free_ char *cgroup = NULL;
        struct client client;
        int r;

        (void) argc;
        r = ask_connect(&client, options);
        if (r == 0)
                r = ask_cgroup(&client, argv[0], &cgroup);
        if (r == 0)
                r = ask(&client, "UnsetBudget", json_pack("{ss}", "cgroup", cgroup), NULL);
        client_deinit(&client);
        return r;
}
