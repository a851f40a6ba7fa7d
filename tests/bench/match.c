/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* make bench: how long 1,000 budget files take to load, and to find the budget of a cgroup that matches none of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"

#define BUDGETS 1000
#define CGROUPS 10000

static double now_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void print_message(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        (void) context;
        (void) fatal;
        fprintf(stderr, "match: %s:%u: %s\n", file, line, message);
}

static void file_name(char path[128], const char *directory, int i)
{
        snprintf(path, 128, "%s/%04d.budget", directory, i);
}

/* @form: the patterns of the budget i, which has i twice. */
static int write_budgets(const char *directory, const char *form)
{
        for (int i = 0; i < BUDGETS; i++) {
                char path[128];
                FILE *file;

                file_name(path, directory, i);
                file = fopen(path, "we");
                if (!file)
                        return -1;
                fprintf(file, "[Match]\nCgroup=");
                fprintf(file, form, i, i);
                fprintf(file, "\n[Budget]\nHigh=64M\nMax=128M\n");
                if (fclose(file) != 0)
                        return -1;
        }
        return 0;
}

static void remove_budgets(const char *directory)
{
        for (int i = 0; i < BUDGETS; i++) {
                char path[128];

                file_name(path, directory, i);
                unlink(path);
        }
}

/* Returns 0 if no cgroup had a budget, as none matches. */
static int measure(const char *directory, const char *what, const char *form)
{
        struct config_machine machine = { .ram = 1ULL << 34 };
        struct config config = {};
        double start, loaded, matched;
        int r, found = 0;

        if (write_budgets(directory, form) < 0) {
                perror(directory);
                return 1;
        }
        start = now_usec();
        r = config_load(&config, "", directory, &machine, print_message, NULL);
        loaded = now_usec();
        for (int i = 0; r == 0 && i < CGROUPS; i++) {
                char path[128];
                struct match_subject subject = { .path = path };

                snprintf(path, sizeof(path), "/system.slice/agent-%d-x.scope", i);
                found += config_match(&config, &subject) != NULL;
        }
        matched = now_usec();
        if (r == 0 && found == 0)
                printf("%zu budget files with %s loaded in %.1f ms; the budget of a new cgroup found in %.2f us\n",
                                config.count, what, (loaded - start) / 1e3, (matched - loaded) / CGROUPS);
        config_deinit(&config);
        remove_budgets(directory);
        return r == 0 && found == 0 ? 0 : 1;
}

int main(void)
{
        char directory[] = "/tmp/bpfbudget-match-XXXXXX";
        int r;

        if (!mkdtemp(directory)) {
                perror(directory);
                return 1;
        }
        r = measure(directory, "ordinary patterns", "/system.slice/agent-%d-*.service /kubepods.slice/**/pod%d") ||
            measure(directory, "patterns too large for the automaton",
                            "/system.slice/*-%d-*.service /kubepods.slice/**/pod%d");
        rmdir(directory);
        return r;
}
