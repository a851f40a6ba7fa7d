/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Globs and patterns: glob.h. */
#include "config-fixture.h"

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

/* One for a path that no file can name matches it, and what has other characters in the same places. */
static void test_glob_approximate(void **state)
{
        static const struct {
                const char *path, *glob, *original;
        } cases[] = {
                { "/a-b/c.service", "/a-b/c.service", NULL },
                { "/a b\tc", "/a?b?c", NULL },
                { "/*[x]", "/[*][[]x]", NULL },
                { "/\xc3\xa9\nz", "/\xc3\xa9?z", NULL },
                { "/\xff\xfez", "/??z", NULL },
                /* What JSON has of the path behind it. */
                { "/z????"
                  "/?",
                                "/z?*/?*", "/z\xc3\xa9\xff\xff/?" },
        };
        char *glob;

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(glob_approximate(cases[i].path, &glob), 0);
                assert_string_equal(glob, cases[i].glob);
                assert_true(glob_match(glob, cases[i].path));
                assert_true(glob_match(glob, cases[i].original ?: cases[i].path));
                assert_false(glob_match(glob, "/a-b"));
                free(glob);
        }
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

static void test_patterns_match(void **state)
{
        struct fixture *f = *state;
        const struct patterns none = { 0 };
        char name[400], text[1024];

        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        snprintf(text, sizeof(text), "[Daemon]\nNeverThrottle=/a/** !/a/b /l/*%s\n", name);
        put(f, ETC CONF, text);
        assert_loads(f, "");
        assert_true(patterns_match(&f->config.settings.never_throttle, "/a/c"));
        assert_false(patterns_match(&f->config.settings.never_throttle, "/a/b"));
        assert_false(patterns_match(&f->config.settings.never_throttle, "/c"));
        /* One of a file may be as long as its line. */
        snprintf(text, sizeof(text), "/l/x%s", name);
        assert_true(patterns_match(&f->config.settings.never_throttle, text));
        assert_false(patterns_match(&none, "/a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_glob_match),
                TEST(test_glob_escape),
                TEST(test_glob_approximate),
                TEST(test_glob_match_is_linear),
                TEST(test_patterns_match),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
