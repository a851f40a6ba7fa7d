/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runtime budgets are written, taken back, and read as what they were. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "policy/runtime.h"

static char directory[64];

static int setup(void **state)
{
        (void) state;
        umask(022);
        strcpy(directory, "/tmp/test-runtime-XXXXXX");
        return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
        DIR *d = opendir(directory);
        struct dirent *entry;

        (void) state;
        while (d && (entry = readdir(d)))
                unlinkat(dirfd(d), entry->d_name, 0);
        closedir(d);
        return rmdir(directory);
}

static void no_message(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        (void) context;
        if (fatal)
                fail_msg("%s:%u: %s", file, line, message);
}

static void load(struct config *config)
{
        struct config_machine machine = { .ram = 1 << 30 };

        assert_int_equal(config_load(config, "", directory, &machine, no_message, NULL), 0);
}

static void write_budget(const char *path, uint64_t max)
{
        struct budget budget = {
                .high = BUDGET_INFINITY, .max = max, .maps_max = BUDGET_INFINITY, .programs_max = BUDGET_INFINITY
        };
        char *before;

        assert_int_equal(runtime_write(directory, path, &budget, &before), 0);
        free(before);
}

/* The budget of @path by the files that are there; NULL: none. */
static uint64_t max_of(const char *path)
{
        struct match_subject subject = { .path = path };
        const struct budget *budget;
        struct config config;
        uint64_t max = 0;

        load(&config);
        budget = config_match(&config, &subject);
        if (budget) {
                assert_true(runtime_is(directory, budget));
                max = budget->max;
        }
        config_deinit(&config);
        return max;
}

static void test_all_fields(void **state)
{
        struct budget budget = { .high = 5,
                .max = INT64_MAX,
                .maps_max = 0,
                .programs_max = UINT32_MAX,
                .footprint_ratio_high = 1000000,
                .on_high = ACTION_THROTTLE,
                .on_max = ACTION_DENY,
                .count = COUNT_COMMITTED,
                .unbounded = UNBOUNDED_ALLOW,
                .clear_percent = 1 };
        struct config config;
        char *before;

        (void) state;
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), 0);
        assert_null(before);
        load(&config);
        assert_int_equal(config.count, 1);
        assert_string_equal(config.budgets[0].name, "+runtime-a");
        assert_int_equal(config.budgets[0].high, 5);
        assert_int_equal(config.budgets[0].max, INT64_MAX);
        assert_int_equal(config.budgets[0].maps_max, 0);
        assert_int_equal(config.budgets[0].programs_max, UINT32_MAX);
        assert_int_equal(config.budgets[0].footprint_ratio_high, 1000000);
        assert_int_equal(config.budgets[0].on_high, ACTION_THROTTLE);
        assert_int_equal(config.budgets[0].on_max, ACTION_DENY);
        assert_int_equal(config.budgets[0].count, COUNT_COMMITTED);
        assert_int_equal(config.budgets[0].unbounded, UNBOUNDED_ALLOW);
        assert_int_equal(config.budgets[0].clear_percent, 1);
        config_deinit(&config);
}

/* Names with anything in them: each has its own file, and its budget is for it alone. */
static void test_names(void **state)
{
        static const char *const paths[] = { "/", "/a", "/a/b", "/a-b", "/a*", "/a?", "/[a]", "/a\\x2db", "/\xc3\xa9",
                "/+runtime", "/..a", "/system.slice/a@b:c_d.service", "/**" };
        size_t count = sizeof(paths) / sizeof(paths[0]);
        char *before;

        (void) state;
        for (size_t i = 0; i < count; i++)
                write_budget(paths[i], 1000 + i);
        for (size_t i = 0; i < count; i++)
                assert_int_equal(max_of(paths[i]), 1000 + i);
        assert_int_equal(max_of("/ab"), 0);
        for (size_t i = 0; i < count; i++) {
                assert_int_equal(runtime_remove(directory, paths[i], &before), 0);
                assert_non_null(before);
                free(before);
                assert_int_equal(runtime_remove(directory, paths[i], &before), -ENOENT);
                assert_int_equal(max_of(paths[i]), 0);
        }
}

/* Paths as long as there are: each byte of them may take three in a line. What was there before is all restored. */
static void test_long_paths(void **state)
{
        static const size_t lengths[] = { 190, 191, 300, 4095 };
        char path[4096], *before;

        (void) state;
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
                for (size_t k = 0; k < 2; k++) {
                        struct budget budget = { .high = BUDGET_INFINITY, .max = 3000 + k };

                        memset(path, k ? '*' : 'a', sizeof(path));
                        path[0] = '/';
                        path[lengths[i]] = '\0';
                        write_budget(path, 2000 + i);
                        assert_int_equal(max_of(path), 2000 + i);
                        assert_int_equal(runtime_write(directory, path, &budget, &before), 0);
                        assert_int_equal(max_of(path), 3000 + k);
                        assert_int_equal(runtime_restore(directory, path, before), 0);
                        assert_int_equal(max_of(path), 2000 + i);
                        path[lengths[i] - 1] = 'b';
                        assert_int_equal(max_of(path), 0);
                }
}

/* Two paths that begin alike and are too long for a name, but not for a line. */
static void test_long_names(void **state)
{
        char first[200], second[200];

        (void) state;
        memset(first, '-', sizeof(first));
        first[0] = '/';
        first[190] = '\0';
        strcpy(second, first);
        second[189] = 'x';
        write_budget(first, 1001);
        write_budget(second, 1002);
        assert_int_equal(max_of(first), 1001);
        assert_int_equal(max_of(second), 1002);
}

/* It comes before the budgets of files, whatever they are named. */
static void test_first(void **state)
{
        static const char text[] = "[Match]\nCgroup=/**\n[Budget]\nMax=7\n";
        static const char *const names[] = { "00-a.budget", "-a.budget", "0.budget", "A.budget", "_.budget" };

        (void) state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                _cleanup_free_ char *file = NULL;
                _cleanup_fclose_ FILE *stream = NULL;

                assert_true(asprintf(&file, "%s/%s", directory, names[i]) > 0);
                stream = fopen(file, "we");
                assert_non_null(stream);
                fputs(text, stream);
        }
        write_budget("/a", 1000);
        assert_int_equal(max_of("/a"), 1000);
}

static void test_restore(void **state)
{
        struct budget budget = { .high = BUDGET_INFINITY, .max = 3000, .maps_max = 1, .programs_max = 1 };
        char *before;

        (void) state;
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), 0);
        assert_int_equal(runtime_restore(directory, "/a", before), 0);
        assert_int_equal(max_of("/a"), 0);
        write_budget("/a", 2000);
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), 0);
        assert_int_equal(max_of("/a"), 3000);
        assert_int_equal(runtime_restore(directory, "/a", before), 0);
        assert_int_equal(max_of("/a"), 2000);
        assert_int_equal(runtime_remove(directory, "/a", &before), 0);
        assert_int_equal(runtime_restore(directory, "/a", before), 0);
        assert_int_equal(max_of("/a"), 2000);
}

static void test_refused(void **state)
{
        struct budget budget = { .high = BUDGET_INFINITY, .max = 3000 };
        static char path[65536];
        char *before;

        (void) state;
        assert_int_equal(runtime_write(directory, "/a b", &budget, &before), -EINVAL);
        assert_null(before);
        memset(path, 'a', sizeof(path));
        path[0] = '/';
        path[sizeof(path) - 1] = '\0';
        assert_int_equal(runtime_write(directory, path, &budget, &before), -ENAMETOOLONG);
        assert_int_equal(runtime_write("/nonexistent", "/a", &budget, &before), -ENOENT);
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static char *read_file(const char *name)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char *text = calloc(1, 4096);

        assert_non_null(text);
        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        file = fopen(path, "re");
        if (!file)
                fail_msg("there is no %s", name);
        assert_true(fread(text, 1, 4095, file) > 0);
        return text;
}

/* What people see in the directory: names as systemd-escape makes them, and all that is not the default. */
static void test_files(void **state)
{
        static const struct {
                const char *path, *name;
        } names[] = {
                { "/", "+runtime--.budget" },
                { "/a/b.service", "+runtime-a-b.service.budget" },
                { "/azAZ09:_.", "+runtime-azAZ09:_..budget" },
                { "/`{@[;", "+runtime-\\x60\\x7b\\x40\\x5b\\x3b.budget" },
                { "/a-b", "+runtime-a\\x2db.budget" },
        };
        struct budget budget = { .high = 1,
                .max = 2,
                .maps_max = 3,
                .programs_max = 4,
                .footprint_ratio_high = 5,
                .on_high = ACTION_THROTTLE,
                .on_max = ACTION_DENY,
                .count = COUNT_CHARGED,
                .clear_percent = 6 };
        char *before, *text;

        (void) state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                write_budget(names[i].path, 5);
                free(read_file(names[i].name));
        }
        text = read_file("+runtime-a-b.service.budget");
        assert_string_equal(text, "# Set at run time. It is gone when the machine boots.\n[Match]\n"
                                  "Cgroup=/a/b.service\n[Budget]\nMax=5\n");
        free(text);
        assert_int_equal(runtime_write(directory, "/a*", &budget, &before), 0);
        text = read_file("+runtime-a\\x2a.budget");
        assert_string_equal(text, "# Set at run time. It is gone when the machine boots.\n[Match]\nCgroup=/a[*]\n"
                                  "[Budget]\nHigh=1\nMax=2\nMapsMax=3\nProgramsMax=4\nFootprintRatioHigh=5%\n"
                                  "OnHigh=throttle\nOnMax=deny\nCount=charged\nClearPercent=6%\n");
        free(text);
}

/* The longest path whose name is its own, and one that is longer: a dash is four characters of a name. */
static void test_longest_name(void **state)
{
        char path[128] = "/", name[300] = "+runtime-", *end;
        struct dirent *entry;
        size_t found = 0;
        DIR *d;

        (void) state;
        for (int i = 0; i < 40; i++) {
                strcat(path, "-");
                strcat(name, "\\x2d");
        }
        for (int i = 0; i < 59; i++) {
                strcat(path, "a");
                strcat(name, "a");
        }
        end = name + strlen(name);
        strcpy(end, ".budget");
        write_budget(path, 5);
        free(read_file(name));
        strcat(path, "a");
        write_budget(path, 6);
        strcpy(end, "-");
        d = opendir(directory);
        assert_non_null(d);
        while ((entry = readdir(d)))
                found += strncmp(entry->d_name, name, strlen(name)) == 0 &&
                         strspn(entry->d_name + strlen(name), "0123456789abcdef") == 16 &&
                         strcmp(entry->d_name + strlen(name) + 16, ".budget") == 0;
        closedir(d);
        assert_int_equal(found, 1);
        assert_int_equal(max_of(path), 6);
}

static void test_is_runtime(void **state)
{
        static const struct {
                const char *file;
                bool runtime;
        } cases[] = {
                { "/run/b/+runtime-a.budget", true },
                { "/run/b/50-a.budget", false },
                { "/run/b/+runtime.budget", false },
                { "/run/bb/+runtime-a.budget", false },
                { "/run/b", false },
                { "/etc/b/+runtime-a.budget", false },
                { "/run/b/x/+runtime-a.budget", false },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct budget budget = { .file = (char *) cases[i].file };

                assert_int_equal(runtime_is("/run/b", &budget), cases[i].runtime);
        }
}

/* What cannot be read or written is told, and leaves everything as it was. */
static void test_errors(void **state)
{
        _cleanup_free_ char *file = NULL, *new = NULL;
        struct budget budget = { .high = 1, .max = 3000, .maps_max = 1, .programs_max = 1 };
        char *before;

        (void) state;
        assert_true(asprintf(&file, "%s/+runtime-a.budget", directory) > 0);
        assert_true(asprintf(&new, "%s/.runtime.new", directory) > 0);
        /* A link is nothing that was made here. */
        assert_int_equal(symlink("/dev/null", file), 0);
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), -ELOOP);
        assert_null(before);
        assert_int_equal(runtime_remove(directory, "/a", &before), -ELOOP);
        assert_null(before);
        unlink(file);
        assert_int_equal(mkdir(file, 0700), 0);
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), -EISDIR);
        assert_null(before);
        assert_int_equal(runtime_remove(directory, "/a", &before), -EISDIR);
        assert_null(before);
        assert_true(runtime_restore(directory, "/a", NULL) < 0);
        rmdir(file);
        /* There is nothing to take back. */
        assert_int_equal(runtime_restore(directory, "/a", NULL), 0);
        write_budget("/a", 2000);
        assert_int_not_equal(access(new, F_OK), 0);
        assert_int_equal(mkdir(new, 0700), 0);
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), -EISDIR);
        assert_null(before);
        assert_int_equal(runtime_restore(directory, "/a", strdup("x")), -EISDIR);
        assert_int_equal(max_of("/a"), 2000);
        rmdir(new);
        assert_int_equal(symlink(file, new), 0);
        assert_int_equal(runtime_write(directory, "/a", &budget, &before), -ELOOP);
        assert_null(before);
        unlink(new);
        /* All may read it. */
        write_budget("/a", 2000);
        {
                struct stat st;

                assert_int_equal(stat(file, &st), 0);
                assert_int_equal(st.st_mode & 0777, 0644);
        }
        assert_int_equal(runtime_restore("/nonexistent", "/a", strdup("x")), -ENOENT);
        assert_int_equal(runtime_remove("/nonexistent", "/a", &before), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_paths, setup, teardown),
                cmocka_unit_test_setup_teardown(test_first, setup, teardown),
                cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_files, setup, teardown),
                cmocka_unit_test_setup_teardown(test_longest_name, setup, teardown),
                cmocka_unit_test(test_is_runtime),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        };

        return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
