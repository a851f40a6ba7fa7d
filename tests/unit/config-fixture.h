/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A test's own directory of configuration files, and the messages when it is loaded. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/config.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)
#define RAM (8 * GIB)

#define ETC  "etc/bpfbudget/"
#define RUN  "run/bpfbudget/"
#define LIB  "usr/lib/bpfbudget/"
#define CONF "bpfbudgetd.conf"

#define MATCH_A "[Match]\nCgroup=/a\n[Budget]\n"

struct fixture {
        char root[64];
        struct config config;
        FILE *stream;
        char *told; /* "FILE:LINE: MESSAGE" a line, files below the root */
        size_t told_size;
        unsigned int count; /* of messages */
};

static inline int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        strcpy(f->root, "/tmp/test-config.XXXXXX");
        f->stream = open_memstream(&f->told, &f->told_size);
        *state = f;
        return f->stream && mkdtemp(f->root) && chmod(f->root, 0755) == 0 ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
        (void) status;
        (void) type;
        (void) ftw;
        return remove(path);
}

static inline int teardown(void **state)
{
        struct fixture *f = *state;

        config_deinit(&f->config);
        fclose(f->stream);
        free(f->told);
        nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

/* The path of @name in the test's directory; creates the directories above it. Valid until the next call. */
static inline const char *path_of(struct fixture *f, const char *name)
{
        static char path[512];

        assert_true((size_t) snprintf(path, sizeof(path), "%s/%s", f->root, name) < sizeof(path));
        for (char *slash = strchr(path + strlen(f->root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        return path;
}

static inline void put_bytes(struct fixture *f, const char *name, const char *bytes, size_t size)
{
        FILE *file = fopen(path_of(f, name), "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

static inline void put(struct fixture *f, const char *name, const char *text)
{
        put_bytes(f, name, text, strlen(text));
}

static inline void put_link(struct fixture *f, const char *name, const char *target)
{
        assert_int_equal(symlink(target, path_of(f, name)), 0);
}

static inline void record(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        struct fixture *f = context;
        size_t root = strlen(f->root);

        assert_null(strchr(message, '\n'));
        if (strncmp(file, f->root, root) == 0)
                file += root + (file[root] == '/');
        fprintf(f->stream, "%s:", file);
        if (line > 0)
                fprintf(f->stream, "%u:", line);
        fprintf(f->stream, " %s%s\n", fatal ? "" : "warning: ", message);
        f->count++;
}

/* Loads the three directories, or the test's directory as the only one. */
static inline int load_from(struct fixture *f, bool single)
{
        struct config_machine machine = { .ram = RAM };
        int r;

        config_deinit(&f->config);
        rewind(f->stream);
        f->count = 0;
        r = config_load(&f->config, f->root, single ? f->root : NULL, &machine, record, f);
        fputc('\0', f->stream);
        fflush(f->stream);
        return r;
}

static inline void assert_loads(struct fixture *f, const char *told)
{
        int r = load_from(f, false);

        assert_string_equal(f->told, told);
        assert_int_equal(r, 0);
}

static inline void assert_refused(struct fixture *f, const char *told)
{
        int r = load_from(f, false);

        assert_string_equal(f->told, told);
        assert_int_equal(r, -EINVAL);
        assert_null(f->config.budgets);
        assert_int_equal(f->config.count, 0);
}

static inline const struct budget *match(struct fixture *f, const char *path)
{
        struct match_subject subject = { .path = path, .uid = 0 };

        return config_match(&f->config, &subject);
}

static inline void assert_match(struct fixture *f, const char *path, const char *budget)
{
        const struct budget *found = match(f, path);

        if (!budget)
                assert_null(found);
        else {
                assert_non_null(found);
                assert_string_equal(found->name, budget);
        }
}

static inline void assert_default_settings(const struct settings *settings)
{
        assert_int_equal(settings->poll_usec, SETTINGS_POLL_USEC);
        assert_int_equal(settings->alert_interval_usec, SETTINGS_ALERT_INTERVAL_USEC);
        assert_int_equal(settings->alert_burst, SETTINGS_ALERT_BURST);
        assert_int_equal(settings->throttle_max_usec, SETTINGS_THROTTLE_MAX_USEC);
        assert_int_equal(settings->never_throttle.count, 0);
        assert_int_equal(settings->cgroups_max, SETTINGS_CGROUPS_MAX);
        assert_int_equal(settings->fail_closed, SETTINGS_FAIL_CLOSED);
        assert_int_equal(settings->strict, SETTINGS_STRICT);
        assert_string_equal(settings->metrics_listen.text, "");
        assert_int_equal(settings->metrics_cgroups_max, SETTINGS_METRICS_CGROUPS_MAX);
        assert_int_equal(settings->metrics_maps_max, SETTINGS_METRICS_MAPS_MAX);
}

/* The ends of messages. */
#define SIZE_EXPECTED "expected bytes with K, M, G or T (64M), a share of RAM up to 100% (25%), or infinity"
#define UNIT_EXPECTED "expected a name in .service, .scope, .slice, .socket, .mount or .swap, or a glob"
#define BUDGET_HAS    "which has [Match] and [Budget]"
#define BUDGET_KEYS                                                                                               \
        "High=, Max=, MapsMax=, ProgramsMax=, FootprintRatioHigh=, MapFillHigh=, OnHigh=, OnMax=, Attribution=, " \
        "Count=, "                                                                                                \
        "Unbounded=, ClearPercent="
#define COMMENT(text) "has a comment behind its value (\"" text "\"): put it in a line of its own"
#define NO_LINE       "is neither KEY=VALUE nor [SECTION]: a line cannot be continued in the next"
#define NO_MATCH      "[Match] has no Cgroup=, Unit=, User=, Pod= or Container=: say which cgroups the budget is for"
#define NO_PATH       "does not begin with \"/\": give the path below the cgroup mount"

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
