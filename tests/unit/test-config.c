/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files, made in a directory of their own; what is told of them is compared word for word. */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
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

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        strcpy(f->root, "/tmp/test-config.XXXXXX");
        f->stream = open_memstream(&f->told, &f->told_size);
        *state = f;
        return f->stream && mkdtemp(f->root) && chmod(f->root, 0755) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
        (void) status;
        (void) type;
        (void) ftw;
        return remove(path);
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        config_deinit(&f->config);
        fclose(f->stream);
        free(f->told);
        nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

/* The path of @name in the test's directory, whose directories are made; valid until the next call. */
static const char *path_of(struct fixture *f, const char *name)
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

static void put_bytes(struct fixture *f, const char *name, const char *bytes, size_t size)
{
        FILE *file = fopen(path_of(f, name), "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

static void put(struct fixture *f, const char *name, const char *text)
{
        put_bytes(f, name, text, strlen(text));
}

static void put_link(struct fixture *f, const char *name, const char *target)
{
        assert_int_equal(symlink(target, path_of(f, name)), 0);
}

static void record(void *context, const char *file, unsigned int line, bool fatal, const char *message)
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
static int load_from(struct fixture *f, bool single)
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

static void assert_loads(struct fixture *f, const char *told)
{
        int r = load_from(f, false);

        assert_string_equal(f->told, told);
        assert_int_equal(r, 0);
}

static void assert_refused(struct fixture *f, const char *told)
{
        int r = load_from(f, false);

        assert_string_equal(f->told, told);
        assert_int_equal(r, -EINVAL);
        assert_null(f->config.budgets);
        assert_int_equal(f->config.count, 0);
}

static const struct budget *match(struct fixture *f, const char *path)
{
        struct match_subject subject = { .path = path, .uid = 0 };

        return config_match(&f->config, &subject);
}

static void assert_match(struct fixture *f, const char *path, const char *budget)
{
        const struct budget *found = match(f, path);

        if (!budget)
                assert_null(found);
        else {
                assert_non_null(found);
                assert_string_equal(found->name, budget);
        }
}

/* --- Pure functions -------------------------------------------------------------------------------------- */

static void test_parse_bytes(void **state)
{
        static const struct {
                const char *text;
                int error;
                uint64_t bytes;
        } cases[] = {
                { "0", 0, 0 },
                { "1", 0, 1 },
                { "4096", 0, 4096 },
                { "64K", 0, 64 * KIB },
                { "64M", 0, 64 * MIB },
                { "1.5G", 0, 3 * GIB / 2 },
                { "0.5K", 0, 512 },
                { "1.0009765625K", 0,
                                1024 }, /* past the sixth digit nothing is looked at, parts of bytes are cut off */
                { "2T", 0, 2 * TIB },
                { "007M", 0, 7 * MIB },
                { "infinity", 0, BUDGET_INFINITY },
                { "25%", 0, RAM / 4 },
                { "0%", 0, 0 },
                { "0.1%", 0, RAM / 1000 },
                { "100%", 0, RAM },
                { "100.000001%", -ERANGE },
                { "101%", -ERANGE },
                { "99999999999999999999999999999999999999999%", -ERANGE },
                { "9223372036854775807", 0, INT64_MAX },
                { "9223372036854775808", -ERANGE },
                { "18446744073709551615", -ERANGE },
                { "18446744073709551616", -ERANGE },
                { "36893488147419103232", -ERANGE },
                { "340282366920938463463374607431768211456", -ERANGE },
                { "340282366920938463463374607431768211457K", -ERANGE },
                { "9999999999999999999999999999999999999999999999999999999999999999999999999999999", -ERANGE },
                { "8388607T", 0, 8388607 * TIB },
                { "8388608T", -ERANGE },
                { "16777216T", -ERANGE },
                { "17179869184G", -ERANGE },
                { "-1", -EDOM },
                { "-64M", -EDOM },
                { "-0", -EDOM },
                { "-5%", -EDOM },
                { "", -EINVAL },
                { "-", -EINVAL },
                { "--1", -EINVAL },
                { "+1", -EINVAL },
                { " 1", -EINVAL },
                { "1 ", -EINVAL },
                { "64 M", -EINVAL },
                { "64X", -EINVAL },
                { "64m", -EINVAL },
                { "64MB", -EINVAL },
                { "64MiB", -EINVAL },
                { "M", -EINVAL },
                { "%", -EINVAL },
                { "5%%", -EINVAL },
                { "5%M", -EINVAL },
                { "5M%", -EINVAL },
                { ".5M", -EINVAL },
                { "5.M", -EINVAL },
                { "5,5M", -EINVAL },
                { "1.2.3M", -EINVAL },
                { "1.5", -EINVAL },
                { "0x10", -EINVAL },
                { "1e3", -EINVAL },
                { "Infinity", -EINVAL },
                { "infinityM", -EINVAL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t bytes = 0;
                int r = parse_bytes(cases[i].text, RAM, &bytes);

                if (r != cases[i].error || bytes != cases[i].bytes)
                        fail_msg("\"%s\": %d, %" PRIu64, cases[i].text, r, bytes);
        }
}

static void test_parse_bytes_of_machines(void **state)
{
        uint64_t bytes;

        (void) state;
        assert_int_equal(parse_bytes("25%", 0, &bytes), -ENODATA);
        assert_int_equal(parse_bytes("100%", UINT64_MAX / 2, &bytes), 0);
        assert_true(bytes == UINT64_MAX / 2);
        assert_int_equal(parse_bytes("33.333333%", 3, &bytes), 0);
        assert_int_equal(bytes, 0);
}

static void test_glob_match(void **state)
{
        static const struct {
                const char *glob, *path;
                bool matches;
        } cases[] = {
                { "/a", "/a", true },
                { "/a", "/ab", false },
                { "/a", "/a/b", false },
                { "/", "/", true },
                { "/", "/a", false },
                /* "*" stays in its component. */
                { "/*", "/a", true },
                { "/*", "/a/b", false },
                { "/*", "/", false },
                { "/*/b", "/a/b", true },
                { "/*/b", "/a/c/b", false },
                { "/a/*", "/a", false },
                { "/system.slice/*.service", "/system.slice/ssh.service", true },
                { "/system.slice/*.service", "/system.slice/ssh.service/sub", false },
                { "/system.slice/*.service", "/system.slice/x/ssh.service", false },
                { "/a*c", "/abbbc", true },
                { "/a*c", "/ac", true },
                { "/a*b*c", "/aXbYbZc", true },
                { "/a*b*c", "/aXbYbZ", false },
                { "/*a/*b", "/xa/yb", true },
                { "/*a/*b", "/xa/ya", false },
                /* "**" goes on. */
                { "/**", "/", true },
                { "/**", "/a", true },
                { "/**", "/a/b/c", true },
                { "/a/**", "/a", true },
                { "/a/**", "/a/b", true },
                { "/a/**", "/a/b/c/d", true },
                { "/a/**", "/ab", false },
                { "/a/**/b", "/a/b", true },
                { "/a/**/b", "/a/x/b", true },
                { "/a/**/b", "/a/x/y/b", true },
                { "/a/**/b", "/ab", false },
                { "/a/**/b", "/a/xb", false },
                { "/**/b", "/b", true },
                { "/**/b", "/a/b", true },
                { "/**/b", "/a/bb", false },
                { "/**/*.scope", "/user.slice/x.scope", true },
                { "/a**b", "/ab", true },
                { "/a**b", "/ax/yb", true },
                { "/a**", "/a/b", true },
                { "/a/***", "/a", true },
                { "/a/**b", "/a", false },
                { "/a/**b", "/a/x/b", true },
                { "/**/a*b/**/c", "/x/a1b/c", true },
                { "/**/a*b/**/c", "/x/a1/b/c", false },
                { "/**/a*b/c", "/a1/ab/c", true },
                { "/kubepods.slice/**/kubepods-*pod*.slice", "/kubepods.slice/kubepods-pod1.slice", true },
                /* One character. */
                { "/?", "/a", true },
                { "/?", "/ab", false },
                { "/?", "/", false },
                { "/a?b", "/a/b", false },
                { "/?", "/\xc3\xa9", true }, /* é */
                { "/??", "/\xc3\xa9", false },
                { "/[\xc3\xa0-\xc3\xbf]", "/\xc3\xa9", true }, /* à to ÿ */
                { "/?", "/\xff", true },                       /* not UTF-8: one byte is one character */
                { "/[abc]", "/b", true },
                { "/[abc]", "/d", false },
                { "/[a-c]x", "/bx", true },
                { "/[!a-c]", "/b", false },
                { "/[!a-c]", "/x", true },
                { "/[^a-c]", "/x", true },
                { "/[]]", "/]", true },
                { "/[!]]", "/]", false },
                { "/[a-]", "/-", true },
                { "/[c-a]", "/b", false },
                { "/a[/]b", "/a/b", false },
                { "/a[!x]b", "/a/b", false },
                { "/[*]", "/*", true },
                { "/[*]", "/a", false },
                { "/[a", "/a", false }, /* not closed: no character */
                { "/[a", "/[a", false },
                /* Backslashes are letters, as systemd's escapes have them. */
                { "/dev-disk\\x2dby.swap", "/dev-disk\\x2dby.swap", true },
                { "/dev-disk\\x2dby.swap", "/dev-disk-by.swap", false },
                { "/\\*", "/\\x", true },
                { "", "", true },
                { "", "/", true },
                { "", "/a", false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (glob_match(cases[i].glob, cases[i].path) != cases[i].matches)
                        fail_msg("\"%s\" on \"%s\": %d", cases[i].glob, cases[i].path, !cases[i].matches);
}

/* Backtracking would take longer than the test may. */
/* A glob that is made of a path matches that path only, whatever is in it. */
static void test_glob_escape(void **state)
{
        static const struct {
                const char *path, *glob;
                int error;
        } cases[] = {
                { "/", "/" },
                { "/a-b/c.service", "/a-b/c.service" },
                { "/a*", "/a[*]" },
                { "/**/?", "/[*][*]/[?]" },
                { "/[x]", "/[[]x]" },
                { "/!a", "/!a" },
                { "/a\\x2db", "/a\\x2db" },
                { "/\xc3\xa9", "/\xc3\xa9" },
                { "/a b", .error = -EINVAL },
                { "/a\tb", .error = -EINVAL },
                { "/a\nb", .error = -EINVAL },
                { "/\xff", .error = -EINVAL },
        };
        static const char *const others[] = { "/", "/a", "/ab", "/ax", "/x", "/a/b", "/xx/x", "/*" };
        static char path[65531];
        char *glob;

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(glob_escape(cases[i].path, &glob), cases[i].error);
                if (cases[i].error < 0)
                        continue;
                assert_string_equal(glob, cases[i].glob);
                assert_true(glob_match(glob, cases[i].path));
                for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++)
                        if (strcmp(others[k], cases[i].path) != 0)
                                assert_false(glob_match(glob, others[k]));
                free(glob);
        }
        /* "Cgroup=" and a path in a line of 65,536 bytes. */
        memset(path, 'a', sizeof(path));
        path[0] = '/';
        path[65529] = '\0';
        assert_int_equal(glob_escape(path, &glob), 0);
        free(glob);
        path[65528] = '?';
        assert_int_equal(glob_escape(path, &glob), -ENAMETOOLONG);
}

static void test_glob_match_is_linear(void **state)
{
        char path[4096], glob[300];

        (void) state;
        memset(path, 'a', sizeof(path));
        for (size_t i = 0; i < sizeof(path); i += 200)
                path[i] = '/';
        path[sizeof(path) - 1] = '\0';
        assert_false(glob_match("/**a*a**a*a**a*a**a*a**a*a**a*a**a*a**a*a**a*a**b", path));
        assert_false(glob_match("/**/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*[b]", path));
        assert_true(glob_match("/**a*a**a*a**a*a**a*a**a*a**a*a**a*a**a*a**a*a**", path));
        memset(glob, '*', sizeof(glob));
        glob[sizeof(glob) - 1] = '\0';
        assert_false(glob_match(glob, path)); /* too long */
        memset(path, 'b', sizeof(path));
        path[0] = '/';
        path[sizeof(path) - 1] = '\0';
        assert_true(glob_match(path, path)); /* without wildcards it may be */
        path[sizeof(path) - 2] = '?';
        assert_true(glob_match(path, path));
        path[sizeof(path) - 2 - 254] = '?';
        assert_true(glob_match(path, path));
        path[sizeof(path) - 2 - 255] = '?';
        assert_false(glob_match(path, path));
}

static void test_path_unit(void **state)
{
        static const struct {
                const char *path, *unit;
        } cases[] = {
                { "/", NULL },
                { "/a/b", NULL },
                { "/init.scope", "init.scope" },
                { "/system.slice", "system.slice" },
                { "/system.slice/ssh.service", "ssh.service" },
                { "/system.slice/ssh.service/payload", "ssh.service" },
                { "/system.slice/ssh.service/a/b/c", "ssh.service" },
                { "/system.slice/payload", "system.slice" },
                { "/user.slice/user-1000.slice/session-2.scope", "session-2.scope" },
                { "/user.slice/user-1000.slice/user@1000.service", "user@1000.service" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "x.service" },
                { "/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope" },
                { "/system.slice/dbus.socket", "dbus.socket" },
                { "/system.slice/-.mount", "-.mount" },
                { "/system.slice/home-a\\x2db.mount", "home-a\\x2db.mount" },
                { "/dev-sda1.swap", "dev-sda1.swap" },
                { "/system.slice/_cpu.service", "cpu.service" },
                { "/system.slice/.service", "system.slice" },
                { "/system.slice/_.service", "system.slice" },
                { "/x.timer", NULL },
                { "/x.servicex", NULL },
                { "x.service", "x.service" },
                { "", NULL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t length = 0;
                const char *unit = path_unit(cases[i].path, &length);
                const char *expected = cases[i].unit ?: "";

                if (!unit != !cases[i].unit || length != strlen(expected) || memcmp(unit ?: "", expected, length) != 0)
                        fail_msg("\"%s\": \"%.*s\"", cases[i].path, (int) length, unit ?: "");
        }
}

/* --- What is right --------------------------------------------------------------------------------------- */

static void assert_default_settings(const struct settings *settings)
{
        assert_int_equal(settings->poll_usec, SETTINGS_POLL_USEC);
        assert_int_equal(settings->alert_interval_usec, SETTINGS_ALERT_INTERVAL_USEC);
        assert_int_equal(settings->alert_burst, SETTINGS_ALERT_BURST);
        assert_int_equal(settings->throttle_max_usec, SETTINGS_THROTTLE_MAX_USEC);
        assert_int_equal(settings->never_throttle.count, 0);
        assert_int_equal(settings->cgroups_max, SETTINGS_CGROUPS_MAX);
        assert_int_equal(settings->fail_closed, SETTINGS_FAIL_CLOSED);
        assert_int_equal(settings->strict, SETTINGS_STRICT);
}

static void test_nothing_at_all(void **state)
{
        struct fixture *f = *state;

        assert_loads(f, "");
        assert_int_equal(f->config.count, 0);
        assert_default_settings(&f->config.settings);
        assert_null(match(f, "/a"));
}

static void test_budget_defaults(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        put(f, ETC "a.budget", "[Match]\nCgroup=/a\n");
        assert_loads(f, "");
        budget = match(f, "/a");
        assert_non_null(budget);
        assert_true(budget->high == BUDGET_INFINITY && budget->max == BUDGET_INFINITY);
        assert_true(budget->maps_max == BUDGET_INFINITY && budget->programs_max == BUDGET_INFINITY);
        assert_int_equal(budget->footprint_ratio_high, 0);
        assert_int_equal(budget->on_high, ACTION_ALERT);
        assert_int_equal(budget->on_max, ACTION_ALERT);
        assert_int_equal(budget->attribution, BUDGET_CHARGED);
        assert_int_equal(budget->count, COUNT_ALLOCATED);
        assert_int_equal(budget->clear_percent, BUDGET_CLEAR_PERCENT);
}

/* Every key, with blanks, comments, a byte order mark and no end of the last line. */
static void test_budget_keys(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        put(f, ETC "50-a.budget",
                        "\xef\xbb\xbf# comment\n; another\n\n  [Match]\n\tCgroup = /a  \nUser=0 !1\nUnit=*.service "
                        "!b*\n"
                        "[Budget] ; limits\nHigh=64M ; a remark\n  Max=128M\nFootprintRatioHigh=250%\nMapsMax=10\n"
                        "ProgramsMax=0\nOnHigh=throttle\nOnMax=deny\nAttribution=holder\nCount=charged\nClearPercent="
                        "80%");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 1);
        budget = &f->config.budgets[0];
        assert_string_equal(budget->name, "50-a");
        assert_string_equal(budget->file + strlen(f->root), "/" ETC "50-a.budget");
        assert_int_equal(budget->cgroups.count, 1);
        assert_string_equal(budget->cgroups.list[0].glob, "/a");
        assert_int_equal(budget->users.count, 2);
        assert_int_equal(budget->uids[1], 1);
        assert_true(budget->users.list[1].exclude);
        assert_int_equal(budget->units.count, 2);
        assert_int_equal(budget->high, 64 * MIB);
        assert_int_equal(budget->max, 128 * MIB);
        assert_int_equal(budget->footprint_ratio_high, 250);
        assert_int_equal(budget->maps_max, 10);
        assert_int_equal(budget->programs_max, 0);
        assert_int_equal(budget->on_high, ACTION_THROTTLE);
        assert_int_equal(budget->on_max, ACTION_DENY);
        assert_int_equal(budget->attribution, BUDGET_HOLDER);
        assert_int_equal(budget->count, COUNT_CHARGED);
        assert_int_equal(budget->clear_percent, 80);
}

static void test_settings_keys(void **state)
{
        struct fixture *f = *state;
        const struct settings *settings = &f->config.settings;

        put(f, ETC CONF,
                        "[Daemon]\nPollSec=200ms\nAlertIntervalSec=2min\nAlertBurst=3\nThrottleMaxSec=1.5s\n"
                        "NeverThrottle=/a /b\nNeverThrottle=!/c\nMaxCgroups=5000\nFailMode=closed\nStrict=Yes\n");
        assert_loads(f, "");
        assert_int_equal(settings->poll_usec, 200000);
        assert_int_equal(settings->alert_interval_usec, 120000000);
        assert_int_equal(settings->alert_burst, 3);
        assert_int_equal(settings->throttle_max_usec, 1500000);
        assert_int_equal(settings->never_throttle.count, 3);
        assert_int_equal(settings->cgroups_max, 5000);
        assert_true(settings->fail_closed);
        assert_true(settings->strict);
}

static void test_times(void **state)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } cases[] = {
                { "5", 5000000 },
                { "5s", 5000000 },
                { "5sec", 5000000 },
                { "200ms", 200000 },
                { "1h", 3600000000 },
                { "2m", 120000000 },
                { "0", 0 },
                { "100000us", 100000 },
                { "", 5000000 },
                { "0.5min", 30000000 },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[64];

                snprintf(text, sizeof(text), "[Daemon]\nPollSec=7\nPollSec=%s\n", cases[i].text);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_int_equal(f->config.settings.poll_usec, cases[i].usec);
        }
}

static void test_booleans(void **state)
{
        static const char *const words[] = { "no", "yes", "false", "true", "0", "1", "off", "on" };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                char text[64];

                snprintf(text, sizeof(text), "[Daemon]\nStrict=%s\n", words[i]);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_int_equal(f->config.settings.strict, i % 2);
        }
}

static void test_empty_value_resets(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget",
                        "[Match]\nCgroup=/x\nCgroup=\nCgroup=/a\nUnit=x.service\nUnit=\nUser=5\nUser=\n"
                        "[Budget]\nHigh=1M\nHigh=\nMax=5K\nClearPercent=5\nClearPercent=\n");
        assert_loads(f, "");
        assert_match(f, "/a", "a");
        assert_match(f, "/x", NULL);
        assert_true(f->config.budgets[0].high == BUDGET_INFINITY);
        assert_int_equal(f->config.budgets[0].clear_percent, BUDGET_CLEAR_PERCENT);
}

static void test_crlf_is_a_warning(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\r\nCgroup=/a\r\n[Budget]\r\nHigh=1M\r\n");
        assert_loads(f, ETC "a.budget:1: warning: lines end in CR LF, taken as LF: save the file with LF only\n");
        assert_match(f, "/a", "a");
        assert_int_equal(f->config.budgets[0].high, MIB);
}

static void test_warnings(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\nUser=no-such-user\n[Budget]\nHigh=64\n");
        /* clang-format off */
        assert_loads(f,
                ETC "a.budget:2: warning: User=no-such-user is no user here and matches nobody: "
                                        "make the user, then reload\n"
                ETC "a.budget:4: warning: High=64 has no unit and is taken as bytes: "
                                        "write High=64M if megabytes are meant\n");
        /* clang-format on */
        assert_match(f, "/a", NULL);
        assert_int_equal(f->config.budgets[0].high, 64);
}

/* --- Matching -------------------------------------------------------------------------------------------- */

static void test_first_file_wins(void **state)
{
        struct fixture *f = *state;

        put(f, LIB "90-default.budget", "[Match]\nCgroup=/**\n");
        put(f, ETC "50-all-services.budget", "[Match]\nCgroup=/system.slice/*.service\n");
        put(f, RUN "40-ssh.budget", "[Match]\nUnit=ssh.service\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 3);
        assert_string_equal(f->config.budgets[0].name, "40-ssh");
        assert_string_equal(f->config.budgets[2].name, "90-default");
        assert_match(f, "/system.slice/ssh.service", "40-ssh");
        assert_match(f, "/system.slice/ssh.service/sub", "90-default"); /* counts in its unit */
        assert_match(f, "/system.slice/cron.service", "50-all-services");
        assert_match(f, "/system.slice/cron.service/sub", "90-default");
        assert_match(f, "/", "90-default");
}

/* Parent and child have each their own; that both hold is for the policy. */
static void test_parent_and_child(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "10-slice.budget", "[Match]\nCgroup=/a.slice\n[Budget]\nMax=2M\n");
        put(f, ETC "20-services.budget", "[Match]\nCgroup=/a.slice/**/*.service\n[Budget]\nMax=1M\n");
        put(f, ETC "30-rest.budget", "[Match]\nCgroup=/a.slice/**\n[Budget]\nMax=5K\n");
        assert_loads(f, "");
        assert_match(f, "/a.slice", "10-slice");
        assert_match(f, "/a.slice/x.service", "20-services");
        assert_match(f, "/a.slice/a-b.slice/y.service", "20-services");
        assert_match(f, "/a.slice/x.service/sub", "30-rest");
        assert_match(f, "/b.slice", NULL);
}

static void test_excludes(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\nCgroup=/s/* !/s/x*\nCgroup=!/s/y /t\n");
        put(f, ETC "b.budget", "[Match]\nUnit=!ssh.service\n");
        assert_loads(f, "");
        assert_match(f, "/s/a", "a");
        assert_match(f, "/t", "a");
        assert_match(f, "/s/x1", NULL);
        assert_match(f, "/s/y", NULL);
        assert_match(f, "/s/x.service", "b"); /* only excludes: all other units, but not what is in no unit */
        assert_match(f, "/ssh.service", NULL);
        assert_match(f, "/z", NULL);
}

static void test_all_keys_must_match(void **state)
{
        struct fixture *f = *state;
        struct match_subject subject = { .path = "/s/a.service", .uid = 1000 };

        put(f, ETC "a.budget", "[Match]\nCgroup=/s/**\nUnit=a.service\nUser=1000 root\n");
        assert_loads(f, "");
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = 0; /* root, by name */
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = 1001;
        assert_null(config_match(&f->config, &subject));
        subject = (struct match_subject){ .path = "/s/b.service", .uid = 1000 };
        assert_null(config_match(&f->config, &subject));
        subject.path = "/t/a.service";
        assert_null(config_match(&f->config, &subject));
}

static void test_users(void **state)
{
        struct fixture *f = *state;
        struct match_subject subject = { .path = "/a", .uid = 0 };

        put(f, ETC "a.budget", "[Match]\nUser=!root !no-such-user\n");
        load_from(f, false);
        assert_null(config_match(&f->config, &subject));
        subject.uid = 5;
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = UINT32_MAX; /* not known: not the user that does not exist */
        assert_non_null(config_match(&f->config, &subject));
}

static void test_patterns_match(void **state)
{
        struct fixture *f = *state;
        const struct patterns none = { 0 };

        put(f, ETC CONF, "[Daemon]\nNeverThrottle=/a/** !/a/b\n");
        assert_loads(f, "");
        assert_true(patterns_match(&f->config.settings.never_throttle, "/a/c"));
        assert_false(patterns_match(&f->config.settings.never_throttle, "/a/b"));
        assert_false(patterns_match(&f->config.settings.never_throttle, "/c"));
        assert_false(patterns_match(&none, "/a"));
}

/* --- Which files ----------------------------------------------------------------------------------------- */

static void test_same_name_masks(void **state)
{
        struct fixture *f = *state;

        put(f, LIB "a.budget", "[Match]\nCgroup=/lib\n");
        put(f, LIB "b.budget", "[Match]\nCgroup=/lib-b\n");
        put(f, LIB "c.budget", "[Match]\nCgroup=/lib-c\n");
        put(f, RUN "a.budget", "[Match]\nCgroup=/run\n");
        put(f, RUN "b.budget", "[Match]\nCgroup=/run-b\n");
        put(f, ETC "a.budget", "[Match]\nCgroup=/etc\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 3);
        assert_match(f, "/etc", "a");
        assert_match(f, "/run", NULL);
        assert_match(f, "/lib", NULL);
        assert_match(f, "/run-b", "b");
        assert_match(f, "/lib-b", NULL);
        assert_match(f, "/lib-c", "c");
}

static void test_null_and_empty_mask(void **state)
{
        struct fixture *f = *state;

        put(f, LIB "a.budget", "[Match]\nCgroup=/a\n");
        put(f, LIB "b.budget", "[Match]\nCgroup=/b\n");
        put(f, RUN "b.budget", "[Match]\nCgroup=/b\n");
        put(f, LIB "broken.budget", "nonsense");
        put(f, LIB "c.budget", "[Match]\nCgroup=/c\n");
        put_link(f, ETC "a.budget", "/dev/null");
        put(f, ETC "b.budget", "");
        put_link(f, RUN "broken.budget", "/dev/null");
        put(f, LIB CONF, "[Daemon]\nPollSec=7\n");
        put_link(f, ETC CONF, "/dev/null");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 1);
        assert_match(f, "/c", "c");
        assert_default_settings(&f->config.settings);
}

static void test_dropins(void **state)
{
        struct fixture *f = *state;
        const struct settings *settings = &f->config.settings;

        put(f, LIB CONF, "[Daemon]\nPollSec=1\nAlertBurst=1\nStrict=yes\n");
        put(f, RUN CONF, "[Daemon]\nPollSec=2\nAlertBurst=2\nMaxCgroups=2\nNeverThrottle=/main\n");
        put(f, LIB CONF ".d/20-b.conf", "[Daemon]\nPollSec=20\nNeverThrottle=/b\n");
        put(f, ETC CONF ".d/10-a.conf", "[Daemon]\nPollSec=10\nAlertBurst=10\nNeverThrottle=\nNeverThrottle=/a\n");
        put(f, LIB CONF ".d/10-a.conf", "[Daemon]\nMaxCgroups=99\n"); /* masked */
        put(f, LIB CONF ".d/30-c.conf", "[Daemon]\nPollSec=30\n");
        put_link(f, RUN CONF ".d/30-c.conf", "/dev/null");
        put(f, ETC CONF ".d/40-d.conf~", "nonsense");
        put(f, ETC CONF ".d/README", "nonsense");
        assert_loads(f, "");
        assert_false(settings->strict); /* of the main file only the first */
        assert_int_equal(settings->poll_usec, 20000000);
        assert_int_equal(settings->alert_burst, 10);
        assert_int_equal(settings->cgroups_max, 2);
        assert_int_equal(settings->never_throttle.count, 2);
        assert_string_equal(settings->never_throttle.list[0].glob, "/a");
        assert_string_equal(settings->never_throttle.list[1].glob, "/b");
}

static void test_files_that_are_passed_over(void **state)
{
        static const char *const names[] = {
                ".a.budget",
                ".budget",
                ".#a.budget",
                "#a.budget#",
                "a.budget~",
                "a.budget.bak",
                "a.budget.swp",
                "a.budget.dpkg-old",
                "a.budget.rpmsave",
                "a.conf",
                "README",
                "abudget",
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char name[64];

                snprintf(name, sizeof(name), ETC "%s", names[i]);
                put(f, name, "nonsense");
        }
        assert_loads(f, "");
        assert_int_equal(f->config.count, 0);
}

static void test_one_directory(void **state)
{
        struct fixture *f = *state;

        put(f, "a.budget", "[Match]\nCgroup=/a\n");
        put(f, ETC "b.budget", "[Match]\nCgroup=/b\n");
        put(f, CONF ".d/x.conf", "[Daemon]\nPollSec=9\n");
        assert_int_equal(load_from(f, true), 0);
        assert_string_equal(f->told, "");
        assert_int_equal(f->config.count, 1);
        assert_int_equal(f->config.settings.poll_usec, 9000000);
}

/* --- What is wrong --------------------------------------------------------------------------------------- */

/* How messages end. */
#define SIZE_EXPECTED  "expected bytes with K, M, G or T (64M), a share of RAM up to 100% (25%), or infinity"
#define COUNT_EXPECTED "expected a whole number of 0 to 4294967295, or infinity"
#define RATIO_EXPECTED "expected a whole percentage of 1% to 1000000%, or infinity"
#define CLEAR_EXPECTED "expected a whole percentage of 1% to 100%"
#define POLL_EXPECTED  "expected a time of 100ms to 1h, or 0 for none"
#define ALERT_EXPECTED "expected a time of at most 24h such as 500ms, 5s or 2min, or 0 for no limit"
#define PAUSE_EXPECTED "expected a time of at most 1min such as 500ms or 2s, or 0 for no pauses"
#define SIZES_EXPECTED "expected a whole number of 1 to 1048576, or 0 for what the machine has"
#define UNIT_EXPECTED  "expected a name in .service, .scope, .slice, .socket, .mount or .swap, or a glob"
#define BUDGET_HAS     "which has [Match] and [Budget]"
#define BUDGET_KEYS                                                                                         \
        "High=, Max=, MapsMax=, ProgramsMax=, FootprintRatioHigh=, OnHigh=, OnMax=, Attribution=, Count=, " \
        "ClearPercent="
#define NO_LINE       "is neither KEY=VALUE nor [SECTION]: a line cannot be continued in the next"
#define NO_MATCH      "[Match] has no Cgroup=, Unit= or User=: say which cgroups the budget is for"
#define NO_PATH       "does not begin with \"/\": give the path below the cgroup mount"
#define NO_PLAIN_FILE "a plain file is expected: remove or rename it"
#define NOT_ALLOWED   "at most 65536 are allowed:"
#define SEVERAL_TIMES "a list key may be given several times"

/* clang-format off */
static const struct {
        const char *text, *told;
} bad_budgets[] = {
        /* Sections and keys */
        { "[Mach]\nCgroup=/a\n", "1: [Mach] is not a section of a budget: did you mean [Match]?" },
        { "[Budgets]\n" MATCH_A, "1: [Budgets] is not a section of a budget: did you mean [Budget]?" },
        { MATCH_A "[Daemon]\nPollSec=1\n", "4: [Daemon] is not a section of a budget, " BUDGET_HAS },
        { MATCH_A "[]\nHigh=1\n", "4: [] is not a section of a budget, " BUDGET_HAS },
        { "[Match\nCgroup=/a\n", "1: [Match has no \"]\": close it" },
        { MATCH_A "Heigh=64M\n", "4: Heigh= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "high=64M\n", "4: high= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "Hihg=64M\n", "4: Hihg= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "ProgramMax=1\n", "4: ProgramMax= is not a key of [Budget]: did you mean ProgramsMax=?" },
        { MATCH_A "Unknown=1\n", "4: Unknown= is not a key of [Budget], which has " BUDGET_KEYS },
        { MATCH_A "Cgroup=/b\n", "4: Cgroup= belongs in [Match], not in [Budget]: move it there" },
        { MATCH_A "Cgruop=/b\n", "4: Cgruop= is not a key of [Budget]: did you mean Cgroup= of [Match]?" },
        { "[Match]\nUint=a.service\n", "2: Uint= is not a key of [Match]: did you mean Unit=?" },
        { "[Match]\nSlice=a\n", "2: Slice= is not a key of [Match], which has Cgroup=, Unit=, User=" },
        { "High=1M\n" MATCH_A, "1: High= is above the first section: put High= below [Budget]" },
        { "Foo=1M\n" MATCH_A, "1: Foo= is above the first section, and no key of a budget, " BUDGET_HAS ": remove it" },
        /* Lines */
        { MATCH_A "nonsense\n", "4: \"nonsense\" " NO_LINE },
        { MATCH_A "High: 64M\n", "4: \"High: 64M\" " NO_LINE },
        { MATCH_A "=64M\n", "4: \"=64M\" " NO_LINE },
        { MATCH_A "High=\xff\n", "4: line is not UTF-8 (byte 0xff at 6): save the file as UTF-8" },
        { MATCH_A "High=\xc0\x80\n", "4: line is not UTF-8 (byte 0xc0 at 6): save the file as UTF-8" },
        { MATCH_A "High=\xed\xa0\x80\n", "4: line is not UTF-8 (byte 0xed at 6): save the file as UTF-8" },
        { MATCH_A "High=\xf4\x90\x80\x80\n", "4: line is not UTF-8 (byte 0xf4 at 6): save the file as UTF-8" },
        { MATCH_A "High=\xc3", "4: line is not UTF-8 (byte 0xc3 at 6): save the file as UTF-8" },
        { MATCH_A "High=\x1b[31m\n", "4: line has the control character U+001B: remove it" },
        { MATCH_A "High=1M\rMax=2M\n", "4: line has the control character U+000D: remove it" },
        { MATCH_A "High=1M\xe2\x80\xa8Max=2M\n", "4: line has the control character U+2028: remove it" },
        /* Bytes */
        { MATCH_A "High=64X\n", "4: High=64X is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64MB\n", "4: High=64MB is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64 M\n", "4: High=64 M is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64M # half\n", "4: High=64M # half is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=1.5\n", "4: High=1.5 is not valid: " SIZE_EXPECTED },
        { MATCH_A "Max=-64M\n", "4: Max=-64M is negative: " SIZE_EXPECTED },
        { MATCH_A "Max=99999999999999999999\n", "4: Max=99999999999999999999 is too large: " SIZE_EXPECTED },
        { MATCH_A "Max=8388608T\n", "4: Max=8388608T is too large: " SIZE_EXPECTED },
        { MATCH_A "Max=101%\n", "4: Max=101% is too large: " SIZE_EXPECTED },
        { MATCH_A "High=128M\nMax=64M\n",
          "5: High=128M (line 4) is more than Max=64M (line 5): lower High= or raise Max=" },
        { MATCH_A "Max=1G\nHigh=50%\n",
          "5: High=50% (line 5) is more than Max=1G (line 4): lower High= or raise Max=" },
        { MATCH_A "High=9K\nMax=8K\nMax=1M\nHigh=2M\n",
          "7: High=2M (line 7) is more than Max=1M (line 6): lower High= or raise Max=" },
        /* Other numbers */
        { MATCH_A "MapsMax=1K\n", "4: MapsMax=1K is not valid: " COUNT_EXPECTED },
        { MATCH_A "MapsMax=-1\n", "4: MapsMax=-1 is negative: " COUNT_EXPECTED },
        { MATCH_A "ProgramsMax=1.5\n", "4: ProgramsMax=1.5 is not valid: " COUNT_EXPECTED },
        { MATCH_A "ProgramsMax=4294967296\n", "4: ProgramsMax=4294967296 is too large: " COUNT_EXPECTED },
        { MATCH_A "FootprintRatioHigh=0%\n", "4: FootprintRatioHigh=0% is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=%\n", "4: FootprintRatioHigh=% is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=5M\n", "4: FootprintRatioHigh=5M is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=1000001%\n", "4: FootprintRatioHigh=1000001% is too large: " RATIO_EXPECTED },
        { MATCH_A "ClearPercent=0\n", "4: ClearPercent=0 is not valid: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=101\n", "4: ClearPercent=101 is too large: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=-5%\n", "4: ClearPercent=-5% is negative: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=x\n", "4: ClearPercent=x is not valid: " CLEAR_EXPECTED },
        /* Words */
        { MATCH_A "OnHigh=deny\n", "4: OnHigh=deny is not valid: expected alert or throttle" },
        { MATCH_A "OnMax=throttle\n", "4: OnMax=throttle is not valid: expected alert or deny" },
        { MATCH_A "Attribution=me\n", "4: Attribution=me is not valid: expected charged or holder" },
        { MATCH_A "Count=all\n", "4: Count=all is not valid: expected allocated or charged" },
        /* Patterns */
        { "[Budget]\nHigh=1M\n", " " NO_MATCH },
        { "# nothing\n", " " NO_MATCH },
        { "[Match]\nCgroup=/a\nCgroup=\n", " " NO_MATCH },
        { "[Match]\nCgroup=/a b\n", "2: Cgroup=b " NO_PATH },
        { "[Match]\nCgroup=!a.slice\n", "2: Cgroup=!a.slice " NO_PATH },
        { "[Match]\nCgroup=!\n", "2: Cgroup=! " NO_PATH },
        { "[Match]\nCgroup=/a[b\n", "2: Cgroup=/a[b has a \"[\" without \"]\": close it" },
        { "[Match]\nCgroup=/a/\n", "2: Cgroup=/a/ ends in \"/\", which no cgroup does: leave it out" },
        { "[Match]\nCgroup=/a//b\n", "2: Cgroup=/a//b has an empty component: write one \"/\" for \"//\"" },
        { "[Match]\nUnit=/a.service\n", "2: Unit=/a.service has a \"/\", which no unit has: use Cgroup= for paths" },
        { "[Match]\nUnit=[a.service\n", "2: Unit=[a.service has a \"[\" without \"]\": close it" },
        { "[Match]\nUnit=docker\n", "2: Unit=docker is no unit that has a cgroup: " UNIT_EXPECTED },
        { "[Match]\nUnit=!docker.timer\n", "2: Unit=!docker.timer is no unit that has a cgroup: " UNIT_EXPECTED },
        { "[Match]\nUser=root !\n", "2: User=! excludes nobody: expected names or numbers of users" },
};

/* clang-format on */

static void test_bad_budgets(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad_budgets); i++) {
                char told[512];

                snprintf(told, sizeof(told), ETC "x.budget:%s\n", bad_budgets[i].told);
                put(f, ETC "x.budget", bad_budgets[i].text);
                assert_refused(f, told);
        }
}

/* clang-format off */
static const struct {
        const char *text, *told;
} bad_settings[] = {
        { "[Deamon]\nPollSec=1\n", "1: [Deamon] is not a section of the settings: did you mean [Daemon]?" },
        { "[Match]\nCgroup=/a\n", "1: [Match] is not a section of the settings, which has [Daemon]" },
        { "[Daemon]\nPolSec=1\n", "2: PolSec= is not a key of [Daemon]: did you mean PollSec=?" },
        { "PollSec=1\n", "1: PollSec= is above the first section: put PollSec= below [Daemon]" },
        { "[Daemon]\nPollSec=5days\n", "2: PollSec=5days is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=1us\n", "2: PollSec=1us is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=2h\n", "2: PollSec=2h is too large: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=-5s\n", "2: PollSec=-5s is negative: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=99999999999999999999999h\n",
          "2: PollSec=99999999999999999999999h is too large: " POLL_EXPECTED },
        { "[Daemon]\nAlertIntervalSec=25h\n", "2: AlertIntervalSec=25h is too large: " ALERT_EXPECTED },
        { "[Daemon]\nAlertBurst=0\n", "2: AlertBurst=0 is not valid: expected a whole number of 1 to 4294967295" },
        { "[Daemon]\nAlertBurst=4294967296\n",
          "2: AlertBurst=4294967296 is too large: expected a whole number of 1 to 4294967295" },
        { "[Daemon]\nThrottleMaxSec=2min\n", "2: ThrottleMaxSec=2min is too large: " PAUSE_EXPECTED },
        { "[Daemon]\nNeverThrottle=dbus.service\n", "2: NeverThrottle=dbus.service " NO_PATH },
        { "[Daemon]\nMaxCgroups=2000000\n", "2: MaxCgroups=2000000 is too large: " SIZES_EXPECTED },
        { "[Daemon]\nFailMode=close\n", "2: FailMode=close is not valid: expected open or closed" },
        { "[Daemon]\nStrict=maybe\n", "2: Strict=maybe is not valid: expected yes or no" },
};

/* clang-format on */

static void test_bad_settings(void **state)
{
        static const char *const names[] = { LIB CONF, ETC CONF ".d/x.conf" };
        struct fixture *f = *state;

        for (size_t n = 0; n < ELEMENTSOF(names); n++) {
                for (size_t i = 0; i < ELEMENTSOF(bad_settings); i++) {
                        char told[512];

                        snprintf(told, sizeof(told), "%s:%s\n", names[n], bad_settings[i].told);
                        put(f, names[n], bad_settings[i].text);
                        assert_refused(f, told);
                }
                assert_int_equal(unlink(path_of(f, names[n])), 0);
        }
}

static void test_nul_bytes(void **state)
{
        static const char text[] = MATCH_A "High=1\0M\n#\0\nMax=1X\n";
        struct fixture *f = *state;

        put_bytes(f, ETC "x.budget", text, sizeof(text) - 1);
        /* clang-format off */
        assert_refused(f,
                ETC "x.budget:4: line has a NUL byte: save the file as plain text in UTF-8\n"
                ETC "x.budget:5: line has a NUL byte: save the file as plain text in UTF-8\n"
                ETC "x.budget:6: Max=1X is not valid: " SIZE_EXPECTED "\n");
        /* clang-format on */
}

/* @size bytes that begin with @start and go on with "a". */
static char *long_text(const char *start, size_t size)
{
        char *text = malloc(size + 1);

        assert_non_null(text);
        memset(text, 'a', size);
        memcpy(text, start, strlen(start));
        text[size] = '\0';
        return text;
}

static void test_long_lines(void **state)
{
        struct fixture *f = *state;
        _cleanup_free_ char *key = long_text(MATCH_A "Cgroup=/", strlen(MATCH_A) + 65537);
        _cleanup_free_ char *word = long_text(MATCH_A, strlen(MATCH_A) + 65537);
        _cleanup_free_ char *fits = long_text("[Match]\nCgroup=/", strlen("[Match]\n") + 65536);
        _cleanup_free_ char *comment = long_text(MATCH_A "#", 100000);
        _cleanup_free_ char *huge = long_text("[Match]\nUnit=", MIB);

        /* clang-format off */
        put(f, ETC "x.budget", key);
        assert_refused(f,
                ETC "x.budget:4: Cgroup= is in a line of 65537 bytes, " NOT_ALLOWED " " SEVERAL_TIMES "\n");
        put(f, ETC "x.budget", word);
        assert_refused(f,
                ETC "x.budget:4: line has 65537 bytes, " NOT_ALLOWED " shorten it, " SEVERAL_TIMES "\n");
        put(f, ETC "x.budget", huge);
        assert_refused(f,
                ETC "x.budget:2: Unit= is in a line of 1048568 bytes, " NOT_ALLOWED " " SEVERAL_TIMES "\n"
                ETC "x.budget: " NO_MATCH "\n");
        /* clang-format on */
        put(f, ETC "x.budget", fits);
        assert_loads(f, "");
        assert_int_equal(strlen(f->config.budgets[0].cgroups.list[0].glob), 65529);
        put(f, ETC "x.budget", comment);
        assert_loads(f, "");
}

/* Letters that are not the same everywhere, so that one that is lost or comes twice is noticed. */
static void fill(char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                text[i] = (char) ('a' + i % 23);
}

/* Lines of all lengths around what fits into one of inih's, 4 KiB, and the most; what is below keeps its number. */
static void test_line_lengths(void **state)
{
        static const size_t lengths[] = { 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 380,
                381, 382, 383, 384, 385, 386, 387, 388, 389, 3000, 4094, 4095, 4096, 4097, 65535, 65536 };
        static const char start[] = "[Match]\nCgroup=/", end[] = "\nUnit=x\n[Budget]\nHigh=64X\n";
        static char text[65536 + sizeof(start) + sizeof(end)];
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                size_t size = strlen("[Match]\n") + lengths[i];

                strcpy(text, start);
                fill(text + strlen(start), size - strlen(start));
                text[size] = '\0';
                put(f, ETC "x.budget", text);
                assert_loads(f, "");
                assert_int_equal(f->config.budgets[0].cgroups.count, 1);
                assert_string_equal(f->config.budgets[0].cgroups.list[0].glob, text + strlen("[Match]\nCgroup="));
                assert_match(f, text + strlen("[Match]\nCgroup="), "x");
                text[size - 1] ^= 1;
                assert_match(f, text + strlen("[Match]\nCgroup="), NULL);
                strcpy(text + size, end);
                put(f, ETC "x.budget", text);
                /* clang-format off */
                assert_refused(f,
                        ETC "x.budget:3: Unit=x is no unit that has a cgroup: " UNIT_EXPECTED "\n"
                        ETC "x.budget:5: High=64X is not valid: " SIZE_EXPECTED "\n");
                /* clang-format on */
        }
}

/* A file with @insert behind as many bytes as it takes that a piece of inih's ends before, in, or after it. */
static void put_split(struct fixture *f, size_t before, const char *insert, const char *end)
{
        char text[2048];
        size_t n = sprintf(text, "[Match]\nCgroup=/");

        fill(text + n, before);
        n += before;
        n += sprintf(text + n, "%s", insert);
        memset(text + n, 'z', 300);
        strcpy(text + n + 300, end);
        put(f, ETC "x.budget", text);
}

/* What is at the seam of two pieces is what it is in a short line. */
static void test_pieces(void **state)
{
        static const struct {
                const char *insert, *first,
                                *second; /* what of it the globs before and behind it have; NULL: no such one */
                bool exclude, cut;
        } cases[] = {
                { " /", "", "/" },
                { "\t /", "", "/" },
                { " \t  \t   /", "", "/" },
                { " !/", "", "/", .exclude = true },
                { " /;", "", "/;" },
                { " ;", "", .cut = true },
                { "\t;", "", .cut = true },
                { "   ; ;", "", .cut = true },
                { ";", ";" },
                { ";;", ";;" },
                { "#", "#" },
                { "=", "=" },
                { ":", ":" },
                { "[a]", "[a]" },
                { "[;]", "[;]" },
                { "\xc3\xa9", "\xc3\xa9" },
                { "\xe2\x82\xac", "\xe2\x82\xac" },
                { "\xf0\x9f\x90\x9d", "\xf0\x9f\x90\x9d" },
        };
        struct fixture *f = *state;
        char expected[1024];

        for (size_t before = 165; before < 390; before++)
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        const struct patterns *globs;
                        size_t n = sprintf(expected, "/");

                        put_split(f, before, cases[i].insert, "\n[Budget]\nMax=1M\n");
                        assert_loads(f, "");
                        assert_int_equal(f->config.budgets[0].max, MIB);
                        globs = &f->config.budgets[0].cgroups;
                        assert_int_equal(globs->count, cases[i].second ? 2 : 1);
                        fill(expected + n, before);
                        n += before;
                        n += sprintf(expected + n, "%s", cases[i].first);
                        memset(expected + n, 'z', 300);
                        expected[n + (cases[i].second || cases[i].cut ? 0 : 300)] = '\0';
                        assert_string_equal(globs->list[0].glob, expected);
                        assert_false(globs->list[0].exclude);
                        if (!cases[i].second)
                                continue;
                        n = sprintf(expected, "%s", cases[i].second);
                        memset(expected + n, 'z', 300);
                        expected[n + 300] = '\0';
                        assert_string_equal(globs->list[1].glob, expected);
                        assert_int_equal(globs->list[1].exclude, cases[i].exclude);
                }
}

/* What is wrong in a long line is reported with its number, and does not spoil the next. */
static void test_bad_long_lines(void **state)
{
        static const char nul[] = "Cgroup=/";
        struct fixture *f = *state;
        char text[6000];
        size_t n;

        put_split(f, 3, "", "\r\n[Budget]\r\nMax=1M\r\n");
        assert_loads(f, ETC "x.budget:2: warning: lines end in CR LF, taken as LF: save the file with LF only\n");
        put_split(f, 3, "\x01", "\nCgroup=/a\nCgroup=b\n");
        /* clang-format off */
        assert_refused(f,
                ETC "x.budget:2: line has the control character U+0001: remove it\n"
                ETC "x.budget:4: Cgroup=b " NO_PATH "\n");
        put_split(f, 3, "\xff", "\nCgroup=b\n");
        assert_refused(f,
                ETC "x.budget:2: line is not UTF-8 (byte 0xff at 12): save the file as UTF-8\n"
                ETC "x.budget:3: Cgroup=b " NO_PATH "\n");
        n = sprintf(text, "[Match]\n");
        memset(text + n, 'x', 3000);
        memcpy(text + n, nul, sizeof(nul));
        strcpy(text + n + 3000, "\nCgroup=b\n");
        put_bytes(f, ETC "x.budget", text, n + 3000 + strlen("\nCgroup=b\n"));
        assert_refused(f,
                ETC "x.budget:2: line has a NUL byte: save the file as plain text in UTF-8\n"
                ETC "x.budget:3: Cgroup=b " NO_PATH "\n");
        /* clang-format on */
        /* In a section that there is not; and blanks that go on and on are no part of it. */
        put_split(f, 3, "", "\n[Foo]\n");
        n = sprintf(text, "[Foo]\nHigh=");
        memset(text + n, '1', 1000);
        sprintf(text + n + 1000, "\n[Match]\nCgroup=/a%2000s\nUser%500s=%500s5\n", "", "", "");
        put(f, ETC "x.budget", text);
        assert_refused(f, ETC "x.budget:1: [Foo] is not a section of a budget, " BUDGET_HAS "\n");
        put(f, ETC "x.budget", strchr(text, '\n') + 1 + 1005 + 1);
        assert_loads(f, "");
        assert_match(f, "/a", NULL);
        assert_int_equal(f->config.budgets[0].uids[0], 5);
}

/* A message quotes as much of a long value as can be read, in whole characters. */
static void test_long_values_in_messages(void **state)
{
        struct fixture *f = *state;
        char text[8192], quoted[256] = "";
        size_t n = sprintf(text, "[Match]\nCgroup=/a\n[Budget]\nHigh=x");

        for (int i = 0; i < 99; i++)
                strcat(quoted, "\xc3\xa9");
        for (int i = 0; i < 1000; i++)
                n += sprintf(text + n, "\xc3\xa9");
        put(f, ETC "x.budget", text);
        assert_int_equal(load_from(f, false), -EINVAL);
        sprintf(text, ETC "x.budget:4: High=x%s\xe2\x80\xa6 is not valid: %s\n", quoted, SIZE_EXPECTED);
        assert_string_equal(f->told, text);
        n = sprintf(text, "[Match]\nCgroup=/a\n[Budget]\n");
        memset(text + n, 'x', 3000);
        strcpy(text + n + 3000, "\n");
        put(f, ETC "x.budget", text);
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_non_null(strstr(f->told, "xxx\xe2\x80\xa6\" " NO_LINE));
        strcpy(text + n + 3000, "=1\n[");
        put(f, ETC "x.budget", text);
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_non_null(strstr(f->told, "xxx= is not a key of [Budget], which has " BUDGET_KEYS "\n"));
        assert_non_null(strstr(f->told, "x.budget:5: [ has no \"]\": close it\n"));
        assert_int_equal(f->count, 2);
        text[n] = '[';
        put(f, ETC "x.budget", text);
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_non_null(strstr(f->told, "x.budget:4: [xxx"));
        assert_non_null(strstr(f->told, "xxx\xe2\x80\xa6 has no \"]\": close it\n"));
}

static void test_large_file(void **state)
{
        struct fixture *f = *state;
        _cleanup_free_ char *text = long_text("[Match]\nUnit=", MIB + 1);

        put(f, ETC "x.budget", text);
        assert_refused(f, ETC "x.budget: is larger than 1 MiB: split it into several files\n");
}

/* What is not text at all does not flood the journal. */
static void test_messages_are_bounded(void **state)
{
        struct fixture *f = *state;
        _cleanup_free_ char *text = malloc(10001);

        assert_non_null(text);
        for (size_t i = 0; i < 10000; i += 2)
                memcpy(text + i, "x\n", 3);
        put(f, ETC "x.budget", text);
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_int_equal(f->count, 101);
        assert_non_null(strstr(f->told, "x.budget:100: \"x\" is neither"));
        assert_null(strstr(f->told, "x.budget:101:"));
        assert_non_null(strstr(f->told, "x.budget: 4901 more messages are left out: correct those above first\n"));
}

static void test_all_is_told_at_once(void **state)
{
        struct fixture *f = *state;

        put(f, ETC CONF, "[Daemon]\nPolSec=1\n");
        put(f, ETC CONF ".d/a.conf", "[Daemon]\nStrict=5\n");
        put(f, ETC "a.budget", "[Mach]\nCgroup=a\n[Budgett]\nHigh=5X\nMax=-1\n");
        put(f, ETC "b.budget", "nonsense");
        /* clang-format off */
        assert_refused(f,
                ETC CONF ":2: PolSec= is not a key of [Daemon]: did you mean PollSec=?\n"
                ETC CONF ".d/a.conf:2: Strict=5 is not valid: expected yes or no\n"
                ETC "a.budget:1: [Mach] is not a section of a budget: did you mean [Match]?\n"
                ETC "a.budget:2: Cgroup=a " NO_PATH "\n"
                ETC "a.budget:3: [Budgett] is not a section of a budget: did you mean [Budget]?\n"
                ETC "a.budget:4: High=5X is not valid: " SIZE_EXPECTED "\n"
                ETC "a.budget:5: Max=-1 is negative: " SIZE_EXPECTED "\n"
                ETC "b.budget:1: \"nonsense\" " NO_LINE "\n"
                ETC "b.budget: " NO_MATCH "\n");
        /* clang-format on */
}

static void test_not_plain_files(void **state)
{
        struct fixture *f = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(mkdir(path_of(f, ETC "a.budget"), 0755), 0);
        assert_int_equal(mkfifo(path_of(f, ETC "b.budget"), 0644), 0);
        put_link(f, ETC "c.budget", "c.budget");
        put_link(f, ETC "d.budget", "e.budget");
        put_link(f, ETC "e.budget", "d.budget");
        put_link(f, ETC "f.budget", "nowhere");
        put_link(f, ETC "g.budget", "/dev/zero");
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of(f, ETC "h.budget"));
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(mkdir(path_of(f, ETC CONF), 0755), 0);
        put(f, ETC CONF ".d", "");
        /* clang-format off */
        assert_refused(f,
                ETC CONF ".d: is not a directory: remove it or make it one\n"
                ETC CONF ": is a directory, " NO_PLAIN_FILE "\n"
                ETC "a.budget: is a directory, " NO_PLAIN_FILE "\n"
                ETC "b.budget: is a FIFO, " NO_PLAIN_FILE "\n"
                ETC "c.budget: is a loop of links: correct or remove it\n"
                ETC "d.budget: is a loop of links: correct or remove it\n"
                ETC "e.budget: is a loop of links: correct or remove it\n"
                ETC "f.budget: is a link to a file that does not exist: correct or remove it\n"
                ETC "g.budget: is a device, " NO_PLAIN_FILE "\n"
                ETC "h.budget: is a socket, " NO_PLAIN_FILE "\n");
        /* clang-format on */
}

static void test_bad_directories(void **state)
{
        struct fixture *f = *state;

        put(f, "etc/bpfbudget", "a file");
        put(f, "run/x", "");
        put_link(f, "run/bpfbudget", "bpfbudget");
        assert_refused(f, "etc/bpfbudget: is not a directory: remove it or make it one\n"
                          "run/bpfbudget: is a loop of links: correct or remove it\n");
}

static void test_directory_that_is_missing(void **state)
{
        struct fixture *f = *state;

        strcat(f->root, "/no");
        assert_int_equal(load_from(f, true), -EINVAL);
        assert_string_equal(f->told, ": there is no such directory: check the path\n");
        *strrchr(f->root, '/') = '\0';
}

/* Root may read everything: for this test it is nobody. */
static void test_no_permission(void **state)
{
        struct fixture *f = *state;
        uid_t user = geteuid();

        put(f, ETC "a.budget", "[Match]\nCgroup=/a\n");
        put(f, RUN CONF, "[Daemon]\n");
        assert_int_equal(chmod(path_of(f, ETC "a.budget"), 0), 0);
        assert_int_equal(chmod(path_of(f, RUN), 0), 0);
        if (user == 0)
                assert_int_equal(seteuid(65534), 0);
        load_from(f, false);
        if (user == 0)
                assert_int_equal(seteuid(user), 0);
        assert_int_equal(chmod(path_of(f, RUN), 0755), 0);
        /* clang-format off */
        assert_string_equal(f->told,
                "run/bpfbudget: no permission to read: run as root or change its mode\n"
                ETC "a.budget: no permission to read: run as root or change its mode\n");
        /* clang-format on */
}

static void test_bad_file_names(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a\nb.budget", "[Match]\nCgroup=/a\n");
        assert_refused(f, "etc/bpfbudget: the name of the file \"a\\x0ab.budget\" is not plain UTF-8: rename it\n");
        assert_int_equal(unlink(path_of(f, ETC "a\nb.budget")), 0);
        put(f, ETC "\xff.budget", "[Match]\nCgroup=/a\n");
        assert_refused(f, "etc/bpfbudget: the name of the file \"\\xff.budget\" is not plain UTF-8: rename it\n");
        assert_int_equal(unlink(path_of(f, ETC "\xff.budget")), 0);
        put(f, ETC "\xc3\xa9 %s%n.budget", "[Match]\nCgroup=/a\n");
        assert_loads(f, "");
        assert_match(f, "/a", "\xc3\xa9 %s%n");
}

static void test_sixty_broken_files(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < 60; i++) {
                char name[64];

                snprintf(name, sizeof(name), ETC "%02zu.budget", i);
                put(f, name, bad_budgets[i].text);
        }
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_true(f->count >= 60);
        for (size_t i = 0; i < 60; i++) {
                char start[64];

                snprintf(start, sizeof(start), ETC "%02zu.budget:", i);
                assert_non_null(strstr(f->told, start));
        }
}

static void test_ram_is_not_known(void **state)
{
        struct fixture *f = *state;
        struct config_machine machine = { 0 };

        put(f, "x.budget", MATCH_A "High=5%\n");
        assert_int_equal(config_load(&f->config, "", f->root, &machine, record, f), -EINVAL);
        fflush(f->stream);
        assert_string_equal(f->told,
                        "x.budget:4: High=5% cannot be computed, as the size of RAM is not known: " SIZE_EXPECTED "\n");
}

/* --- What is installed ----------------------------------------------------------------------------------- */

/* make check tells where the source is; by hand, the test is run there. */
static void load_installed(struct fixture *f, const char *name)
{
        struct config_machine machine = { .ram = RAM };
        const char *source = getenv("srcdir");
        char directory[512];
        int r;

        snprintf(directory, sizeof(directory), "%s/%s", source ?: ".", name);
        r = config_load(&f->config, "", directory, &machine, record, f);
        fputc('\0', f->stream);
        fflush(f->stream);
        assert_string_equal(f->told, "");
        assert_int_equal(r, 0);
}

/* Sizes in percent are of this: what the kernel counts, in bytes. */
static void test_ram(void **state)
{
        struct sysinfo info;

        (void) state;
        assert_int_equal(sysinfo(&info), 0);
        assert_int_equal(config_read_ram(), (uint64_t) info.totalram * info.mem_unit);
}

/* The smallest and the largest value of each key, and what is next to them. */
static void test_bounds(void **state)
{
        static const struct {
                const char *key;
                const char *taken[4], *refused[4];
                bool budget;
        } cases[] = {
                { "FootprintRatioHigh", { "1%", "1000000%", "infinity" }, { "0%", "1000001%", "-1%" }, true },
                { "MapsMax", { "0", "4294967295", "infinity" }, { "4294967296", "-1", "1.5" }, true },
                { "ProgramsMax", { "0", "4294967295", "infinity" }, { "4294967296", "-1", "1.5" }, true },
                { "ClearPercent", { "1", "100%" }, { "0", "101", "101%" }, true },
                { "High", { "0", "100%", "9223372036854775807", "infinity" }, { "9223372036854775808", "101%", "-1" },
                                true },
                { "Max", { "0", "100%", "8388607T", "infinity" }, { "8388608T", "101%", "-1" }, true },
                { "PollSec", { "0", "100ms", "1h", "3600" }, { "99999us", "1us", "3600.001s", "-1" }, false },
                { "AlertIntervalSec", { "0", "1us", "24h", "86400" }, { "86400001ms", "25h", "-1" }, false },
                { "AlertBurst", { "1", "4294967295" }, { "0", "4294967296" }, false },
                { "ThrottleMaxSec", { "0", "1us", "60", "1min" }, { "60000001us", "2min" }, false },
                { "MaxCgroups", { "0", "1", "1048576" }, { "1048577", "-1" }, false },
        };
        struct fixture *f = *state;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t k = 0; k < 2 * ELEMENTSOF(cases[i].taken); k++) {
                        bool taken = k < ELEMENTSOF(cases[i].taken);
                        const char *value = taken ? cases[i].taken[k]
                                                  : cases[i].refused[k - ELEMENTSOF(cases[i].taken)];

                        if (!value)
                                continue;
                        snprintf(text, sizeof(text), "%s%s=%s\n", cases[i].budget ? MATCH_A : "[Daemon]\n",
                                        cases[i].key, value);
                        put(f, cases[i].budget ? ETC "a.budget" : ETC CONF, text);
                        if (load_from(f, false) != (taken ? 0 : -EINVAL))
                                fail_msg("%s=%s is %s", cases[i].key, value, taken ? "refused" : "taken");
                        unlink(path_of(f, cases[i].budget ? ETC "a.budget" : ETC CONF));
                }
}

/* Below 4096 a number without a unit is hardly meant. */
static void test_suspicious_sizes(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", MATCH_A "High=4096\n");
        assert_loads(f, "");
        put(f, ETC "a.budget", MATCH_A "High=0\n");
        assert_loads(f, "");
        put(f, ETC "a.budget", MATCH_A "High=4095\n");
        assert_loads(f, ETC "a.budget:4: warning: High=4095 has no unit and is taken as bytes: "
                            "write High=4095M if megabytes are meant\n");
        put(f, ETC "a.budget", MATCH_A "High=3K\n");
        assert_loads(f, "");
}

/* In numbers, as the manuals have them. */
static void test_default_numbers(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", MATCH_A);
        assert_loads(f, "");
        assert_int_equal(f->config.budgets[0].clear_percent, 90);
        assert_int_equal(f->config.settings.poll_usec, 5000000);
        assert_int_equal(f->config.settings.alert_interval_usec, 60000000);
        assert_int_equal(f->config.settings.alert_burst, 8);
        assert_int_equal(f->config.settings.throttle_max_usec, 2000000);
        assert_int_equal(f->config.settings.cgroups_max, 0);
        assert_false(f->config.settings.fail_closed);
        assert_false(f->config.settings.strict);
}

/* A byte order mark may be all there is in a file. */
static void test_byte_order_mark(void **state)
{
        struct fixture *f = *state;

        put(f, ETC CONF, "\xef\xbb\xbf");
        assert_loads(f, "");
        assert_default_settings(&f->config.settings);
}

static void test_default_budget(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        load_installed(f, "conf");
        assert_default_settings(&f->config.settings);
        assert_int_equal(f->config.count, 1);
        budget = match(f, "/system.slice/ssh.service");
        assert_non_null(budget);
        assert_int_equal(budget->high, RAM / 4);
        assert_true(budget->max == BUDGET_INFINITY);
        assert_int_equal(budget->on_high, ACTION_ALERT);
        assert_int_equal(budget->on_max, ACTION_ALERT);
        assert_match(f, "/init.scope", "90-default");
        assert_match(f, "/user.slice", "90-default");
        assert_match(f, "/", NULL);
        assert_match(f, "/system.slice", NULL);
        assert_match(f, "/system.slice/ssh.service/sub", NULL);
}

static void test_examples(void **state)
{
        struct fixture *f = *state;

        load_installed(f, "conf/examples");
        assert_int_equal(f->config.count, 3);
        assert_match(f, "/system.slice/datadog-agent-sysprobe.service", "agents");
        assert_match(f, "/kubepods.slice/kubepods-pod1234.slice", "kubernetes");
        assert_match(f, "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice", "kubernetes");
        assert_match(f, "/kubepods.slice/kubepods-burstable.slice", NULL);
        assert_match(f, "/kubepods/pod12", "kubernetes");
        assert_match(f, "/kubepods/besteffort/pod12", "kubernetes");
        assert_match(f, "/user.slice/user-1000.slice", "users");
        assert_match(f, "/user.slice/user-0.slice", NULL);
        assert_match(f, "/user.slice/user-1000.slice/session-1.scope", NULL);
}

/* The file says "the lines below are the defaults": they are all there, and they are. */
static void test_documented_defaults(void **state)
{
        static const char *const keys[] = { "PollSec", "AlertIntervalSec", "AlertBurst", "ThrottleMaxSec",
                "NeverThrottle", "MaxCgroups", "FailMode", "Strict" };
        struct fixture *f = *state;
        char path[512], text[8192] = "", *p = text;
        _cleanup_fclose_ FILE *file = NULL;

        snprintf(path, sizeof(path), "%s/conf/" CONF, getenv("srcdir") ?: ".");
        file = fopen(path, "r");
        assert_non_null(file);
        assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char line[64];

                snprintf(line, sizeof(line), "\n#%s=", keys[i]);
                p = strstr(text, line);
                assert_non_null(p);
                p[1] = ' ';
        }
        put(f, ETC CONF, text);
        assert_loads(f, "");
        assert_default_settings(&f->config.settings);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_parse_bytes),
                TEST(test_parse_bytes_of_machines),
                TEST(test_glob_match),
                TEST(test_glob_escape),
                TEST(test_glob_match_is_linear),
                TEST(test_path_unit),
                TEST(test_nothing_at_all),
                TEST(test_budget_defaults),
                TEST(test_budget_keys),
                TEST(test_settings_keys),
                TEST(test_times),
                TEST(test_booleans),
                TEST(test_empty_value_resets),
                TEST(test_crlf_is_a_warning),
                TEST(test_warnings),
                TEST(test_first_file_wins),
                TEST(test_parent_and_child),
                TEST(test_excludes),
                TEST(test_all_keys_must_match),
                TEST(test_users),
                TEST(test_patterns_match),
                TEST(test_same_name_masks),
                TEST(test_null_and_empty_mask),
                TEST(test_dropins),
                TEST(test_files_that_are_passed_over),
                TEST(test_one_directory),
                TEST(test_bad_budgets),
                TEST(test_bad_settings),
                TEST(test_nul_bytes),
                TEST(test_long_lines),
                TEST(test_line_lengths),
                TEST(test_pieces),
                TEST(test_bad_long_lines),
                TEST(test_long_values_in_messages),
                TEST(test_large_file),
                TEST(test_messages_are_bounded),
                TEST(test_all_is_told_at_once),
                TEST(test_not_plain_files),
                TEST(test_bad_directories),
                TEST(test_directory_that_is_missing),
                TEST(test_no_permission),
                TEST(test_bad_file_names),
                TEST(test_sixty_broken_files),
                TEST(test_ram_is_not_known),
                TEST(test_ram),
                TEST(test_byte_order_mark),
                TEST(test_bounds),
                TEST(test_suspicious_sizes),
                TEST(test_default_numbers),
                TEST(test_default_budget),
                TEST(test_examples),
                TEST(test_documented_defaults),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
