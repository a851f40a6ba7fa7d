/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* make bench: how long it takes to find the names of 10,000 pods with a container each, and what a new pod costs. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "account/podnames.h"

#define PODS 10000
#define NEW  500

static double usec(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
        (void) status;
        (void) type;
        (void) ftw;
        return remove(path);
}

/* As the kubelet does it. Returns 0 or -1. */
static int make_pod(const char *root, unsigned int i)
{
        char path[512];

        snprintf(path, sizeof(path), "%s/var/log/pods/default_pod-%u_%032x", root, i, i);
        if (mkdir(path, 0755) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/var/log/containers/pod-%u_default_main-%064x.log", root, i, i);
        return symlink("/nowhere", path);
}

static int make_tree(const char *root)
{
        static const char *const directories[] = { "var", "var/log", "var/log/pods", "var/log/containers" };
        char path[512];
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++) {
                snprintf(path, sizeof(path), "%s/%s", root, directories[i]);
                r = mkdir(path, 0755);
        }
        for (unsigned int i = 0; r == 0 && i < PODS; i++)
                r = make_pod(root, i);
        return r;
}

static void count_found(void *context, const char *key)
{
        (void) key;
        ++*(unsigned int *) context;
}

static int measure(const char *root)
{
        struct pod_names names;
        double start = usec(CLOCK_MONOTONIC), found = 0;
        unsigned int count = 0;
        int r = pod_names_init(&names, root, geteuid(), true);

        printf("names of %d pods and containers: %.1f ms\n", PODS, (usec(CLOCK_MONOTONIC) - start) / 1e3);
        for (unsigned int i = 0; r == 0 && i < NEW; i++) {
                r = make_pod(root, PODS + i);
                start = usec(CLOCK_PROCESS_CPUTIME_ID);
                if (r == 0)
                        r = pod_names_take(&names, count_found, &count);
                found += usec(CLOCK_PROCESS_CPUTIME_ID) - start;
        }
        printf("a new one of %d more: %.1f us of CPU\n", NEW, found / NEW);
        pod_names_deinit(&names);
        return r < 0 || count != 2 * NEW;
}

int main(void)
{
        char root[] = "/tmp/bench-workloads.XXXXXX";
        int r;

        if (!mkdtemp(root))
                return EXIT_FAILURE;
        r = make_tree(root) < 0 || measure(root);
        nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (r)
                fprintf(stderr, "workloads: not all names were found\n");
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
