/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of files: lines.h. */
#include "config-fixture.h"

/* How messages end. */
#define NOT_ALLOWED   "at most 65536 are allowed:"
#define SEVERAL_TIMES "a list key may be given several times"

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

/* Letters that are not the same everywhere, so that one that is lost or comes twice is noticed. */
static void fill(char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                text[i] = (char) ('a' + i % 23);
}

/* Prints a line with @insert behind as many bytes as it takes that a piece of inih's ends before, in, or after it.
 * Returns its length in bytes. */
static size_t sprint_split(char *text, size_t before, const char *insert, const char *end)
{
        size_t n = sprintf(text, "Cgroup=/");

        fill(text + n, before);
        n += before;
        n += sprintf(text + n, "%s", insert);
        memset(text + n, 'z', 300);
        return n + 300 + sprintf(text + n + 300, "%s", end);
}

static void put_split(struct fixture *f, size_t before, const char *insert, const char *end)
{
        char text[2048];
        size_t n = sprintf(text, "[Match]\n");

        sprint_split(text + n, before, insert, end);
        put(f, ETC "x.budget", text);
}

static void test_crlf_is_a_warning(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\r\nCgroup=/a\r\n[Budget]\r\nHigh=1M\r\n");
        assert_loads(f, ETC "a.budget:1: warning: lines end in CR LF, taken as LF: save the file with LF only\n");
        assert_match(f, "/a", "a");
        assert_int_equal(f->config.budgets[0].high, MIB);
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

/* What is at the seam of two pieces is what it is in a short line. */
static void test_pieces(void **state)
{
        static const struct {
                const char *insert, *first,
                                *second; /* what of it the globs before and behind it have; NULL: no such one */
                bool exclude;
        } cases[] = {
                { " /", "", "/" },
                { "\t /", "", "/" },
                { " \t  \t   /", "", "/" },
                { " !/", "", "/", .exclude = true },
                { " /;", "", "/;" },
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
        static char text[256 * 1024];
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const struct patterns *globs;
                const struct pattern *glob;
                size_t n = sprintf(text, "[Match]\n");

                for (size_t before = 165; before < 390; before++)
                        n += sprint_split(text + n, before, cases[i].insert, "\n");
                strcpy(text + n, "[Budget]\nMax=1M\n");
                put(f, ETC "x.budget", text);
                assert_loads(f, "");
                assert_int_equal(f->config.budgets[0].max, MIB);
                globs = &f->config.budgets[0].cgroups;
                assert_int_equal(globs->count, (390 - 165) * (cases[i].second ? 2 : 1));
                glob = globs->list;
                for (size_t before = 165; before < 390; before++) {
                        char expected[1024];

                        n = sprintf(expected, "/");
                        fill(expected + n, before);
                        n += before;
                        n += sprintf(expected + n, "%s", cases[i].first);
                        memset(expected + n, 'z', 300);
                        expected[n + (cases[i].second ? 0 : 300)] = '\0';
                        assert_string_equal(glob->glob, expected);
                        assert_false(glob++->exclude);
                        if (!cases[i].second)
                                continue;
                        n = sprintf(expected, "%s", cases[i].second);
                        memset(expected + n, 'z', 300);
                        expected[n + 300] = '\0';
                        assert_string_equal(glob->glob, expected);
                        assert_int_equal(glob++->exclude, cases[i].exclude);
                }
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

/* A byte order mark may be all there is in a file. */
static void test_byte_order_mark(void **state)
{
        struct fixture *f = *state;

        put(f, ETC CONF, "\xef\xbb\xbf");
        assert_loads(f, "");
        assert_default_settings(&f->config.settings);
}

/* A comment behind a long value is no part of it, wherever it begins, and is reported once. */
static void test_comments_behind_long_values(void **state)
{
        static const char *const comments[] = { " ;", "\t;", "   ; ;", " #" };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(comments); i++)
                for (size_t before = 165; before < 390; before += 3) {
                        put_split(f, before, comments[i], "\n[Budget]\nMax=1X\n");
                        assert_int_equal(load_from(f, false), -EINVAL);
                        assert_int_equal(f->count, 2);
                        assert_non_null(strstr(f->told, "x.budget:2: Cgroup= has a comment behind its value (\""));
                        assert_non_null(strstr(f->told, "x.budget:4: Max=1X is not valid"));
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_crlf_is_a_warning),
                TEST(test_nul_bytes),
                TEST(test_long_lines),
                TEST(test_line_lengths),
                TEST(test_pieces),
                TEST(test_bad_long_lines),
                TEST(test_long_values_in_messages),
                TEST(test_large_file),
                TEST(test_byte_order_mark),
                TEST(test_comments_behind_long_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
