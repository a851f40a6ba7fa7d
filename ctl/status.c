/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon does, on one screen, as systemctl status shows a unit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "build.h"
#include "field.h"
#include "show.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"

/* Everything that is shown: {info, statistics, root, over, capabilities}, as the daemon answered it. */
static int collect(struct client *client, json_t *all)
{
        json_t *reply, *list;
        int r;

        r = ask(client, "org.varlink.service.GetInfo", NULL, &reply);
        if (r == 0) {
                json_object_set_new(all, "info", reply);
                r = ask(client, "GetStatistics", NULL, &reply);
        }
        if (r == 0) {
                json_object_update(all, reply);
                json_decref(reply);
                r = ask(client, "GetCgroup", json_pack("{ss}", "cgroup", "/"), &reply);
        }
        if (r == 0) {
                json_object_update(all, reply);
                json_decref(reply);
                r = ask_list(client, "ListBudgets", NULL, "budgets", &list);
        }
        if (r == 0) {
                json_object_set_new(all, "budgets", list);
                r = ask_list(client, "GetCapabilities", NULL, "capabilities", &list);
        }
        if (r == 0)
                json_object_set_new(all, "capabilities", list);
        return r;
}

static void print_usage(const struct options *options, const json_t *usage)
{
        char allocated[FORMAT_BYTES_MAX], charged[FORMAT_BYTES_MAX], uncharged[FORMAT_BYTES_MAX];

        printf("      Memory: %s of BPF: %s charged to cgroups, %s uncharged\n",
                        format_bytes(allocated, field_integer(usage, "allocated"), options->bytes),
                        format_bytes(charged, field_integer(usage, "charged"), options->bytes),
                        format_bytes(uncharged, field_integer(usage, "uncharged"), options->bytes));
        printf("     Objects: %llu maps, %llu programs\n", (unsigned long long) field_integer(usage, "mapCount"),
                        (unsigned long long) field_integer(usage, "programCount"));
}

static void print_statistics(const struct options *options, const json_t *statistics)
{
        char own[FORMAT_BYTES_MAX];

        printf("     Cgroups: %llu that hold something\n", (unsigned long long) field_integer(statistics, "cgroups"));
        printf("     Flushes: %llu and %llu full passes (the last took %llu us)\n",
                        (unsigned long long) field_integer(statistics, "flushes"),
                        (unsigned long long) field_integer(statistics, "fullPasses"),
                        (unsigned long long) field_integer(statistics, "fullPassUSec"));
        printf("    Wake-ups: %llu, overflows %llu, drift %llu\n",
                        (unsigned long long) field_integer(statistics, "wakeups"),
                        (unsigned long long) field_integer(statistics, "overflows"),
                        (unsigned long long) field_integer(statistics, "drift"));
        printf("     Clients: %llu\n", (unsigned long long) field_integer(statistics, "clients"));
        printf("         Own: %s of BPF; per-CPU memory for %llu possible CPUs, %llu are online\n",
                        format_bytes(own, field_integer(statistics, "ownAllocated"), options->bytes),
                        (unsigned long long) field_integer(statistics, "possibleCpus"),
                        (unsigned long long) field_integer(statistics, "onlineCpus"));
}

static void print_status(const struct options *options, const json_t *all)
{
        const json_t *statistics = field_get(all, "statistics"), *capabilities = field_get(all, "capabilities");
        uint64_t over = field_integer(statistics, "overHigh");
        const char *color = over ? "\033[1;33m" : "\033[1;32m";
        bool colors = terminal_colors();
        _cleanup_free_ char *product = text_shown(field_string(all, "info.product")),
                            *version = text_shown(field_string(all, "info.version")),
                            *socket = text_shown(options->socket);
        size_t available = 0;

        for (size_t i = 0; i < json_array_size(capabilities); i++)
                available += field_true(json_array_get(capabilities, i), "available");
        printf("%s%s%s %s %s\n", colors ? color : "", text_is_utf8() ? "●" : "*", colors ? "\033[0m" : "",
                        product ?: "", version ?: "");
        printf("      Socket: %s\n", socket ?: "");
        print_usage(options, field_get(all, "cgroup.bpf"));
        printf("     Budgets: %zu; cgroups over a limit: %s%llu%s; refusals %llu, throttles %llu\n",
                        json_array_size(field_get(all, "budgets")), colors && over ? color : "",
                        (unsigned long long) over, colors && over ? "\033[0m" : "",
                        (unsigned long long) field_integer(statistics, "refusals"),
                        (unsigned long long) field_integer(statistics, "throttles"));
        print_statistics(options, statistics);
        printf("       Hooks: %zu of %zu available on this kernel\n", available, json_array_size(capabilities));
}

int verb_status(const struct options *options, int argc, char *argv[])
{
        json_t *all = json_object();
        struct client client;
        int r;

        (void) argc;
        (void) argv;
        r = ask_connect(&client, options);
        if (r == 0)
                r = collect(&client, all);
        if (r == 0 && options->json != JSON_OFF)
                r = show_json(options, all);
        else if (r == 0)
                print_status(options, all);
        client_deinit(&client);
        json_decref(all);
        return r == ASK_NOT_RUNNING ? EXIT_NOT_RUNNING : r;
}

int verb_version(const struct options *options, int argc, char *argv[])
{
        struct client client;
        json_t *info = NULL, *json;
        int r;

        (void) argc;
        (void) argv;
        /* The version of this program is known without the daemon. */
        r = client_connect(&client, options->socket);
        if (r == 0)
                r = client_call(&client, "org.varlink.service.GetInfo", NULL, &info);
        client_deinit(&client);
        if (options->json != JSON_OFF) {
                json = json_pack("{ss so}", "bpfbudgetctl", PACKAGE_VERSION, "bpfbudgetd",
                                info ? json_string(field_string(info, "version")) : json_null());
                r = json ? show_json(options, json) : -ENOMEM;
                json_decref(json);
        } else {
                _cleanup_free_ char *version = text_shown(field_string(info, "version"));

                printf("bpfbudgetctl %s\n", PACKAGE_VERSION);
                printf("bpfbudgetd %s\n", info                                 ? version ?: ""
                                          : r == -ENOENT || r == -ECONNREFUSED ? "is not running"
                                                                               : "does not answer");
                r = 0;
        }
        json_decref(info);
        return r;
}
