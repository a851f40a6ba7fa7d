/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The automaton of all patterns says what matching them one by one says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/automaton.h"
#include "policy/config.h"
#include "policy/unit.h"

#define BUDGETS_MAX 2048

struct fixture {
        struct config config;
        struct automaton *automaton; /* of config, which has none for the reference */
};

/* Begins with no budgets. */
static void begin_config(struct fixture *f)
{
        config_deinit(&f->config);
        f->config.budgets = calloc(BUDGETS_MAX, sizeof(*f->config.budgets));
        f->config.late = calloc(BUDGETS_MAX, sizeof(*f->config.late));
        assert_non_null(f->config.budgets);
        assert_non_null(f->config.late);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        begin_config(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        automaton_free(f->automaton);
        config_deinit(&f->config);
        free(f);
        return 0;
}

/* Adds the patterns in @text, separated by blanks. */
static void add_patterns(struct patterns *patterns, const char *text)
{
        char copy[4096], *save, *word;

        snprintf(copy, sizeof(copy), "%s", text);
        for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
                assert_int_equal(patterns_add(patterns, word + (*word == '!'), *word == '!'), 0);
}

static void add_budget(struct fixture *f, const char *cgroups, const char *units, uint32_t uid)
{
        struct budget *budget = &f->config.budgets[f->config.count++];

        assert_true(f->config.count <= BUDGETS_MAX);
        add_patterns(&budget->cgroups, cgroups);
        add_patterns(&budget->units, units);
        if (uid) {
                add_patterns(&budget->users, "user");
                budget->uids = calloc(1, sizeof(*budget->uids));
                assert_non_null(budget->uids);
                budget->uids[0] = uid;
        }
}

static void build(struct fixture *f)
{
        automaton_free(f->automaton);
        f->automaton = NULL;
        assert_int_equal(automaton_new(f->config.budgets, f->config.count, NULL, &f->automaton), 0);
}

static const struct budget *match(struct fixture *f, const char *path, uint32_t uid, bool automaton)
{
        struct match_subject subject = { .path = path, .uid = uid };
        const struct budget *budget;

        f->config.automaton = automaton ? f->automaton : NULL;
        budget = config_match(&f->config, &subject);
        f->config.automaton = NULL;
        return budget;
}

static void assert_same(struct fixture *f, const char *path)
{
        for (uint32_t uid = 0; uid < 3; uid++) {
                const struct budget *one = match(f, path, uid, false), *all = match(f, path, uid, true);

                if (one != all)
                        fail_msg("%s of %u: budget %td, the automaton says %td", path, uid,
                                        one ? one - f->config.budgets : -1, all ? all - f->config.budgets : -1);
        }
}

static uint32_t next_random(uint32_t *seed)
{
        *seed = *seed * 1103515245 + 12345;
        return *seed >> 16;
}

/* Paths of pieces of @pieces, among which the globs of a test are. */
static void compare_random(struct fixture *f, const char *const *pieces, size_t count, unsigned int paths)
{
        uint32_t seed = 1;

        for (unsigned int i = 0; i < paths; i++) {
                unsigned int length = next_random(&seed) % 9;
                char path[512] = "";

                for (unsigned int k = 0; k < length; k++)
                        strcat(path, pieces[next_random(&seed) % count]);
                memmove(path + 1, path, strlen(path) + 1);
                *path = '/';
                assert_same(f, path);
        }
}

static void test_root(void **state)
{
        struct fixture *f = *state;

        add_budget(f, "/a", "", 0);
        add_budget(f, "/", "", 0);
        add_budget(f, "/**", "", 0);
        build(f);
        assert_ptr_equal(match(f, "/", 0, true), &f->config.budgets[1]);
        assert_ptr_equal(match(f, "/a", 0, true), &f->config.budgets[0]);
        assert_ptr_equal(match(f, "/b", 0, true), &f->config.budgets[2]);
        assert_ptr_equal(match(f, "/a/b", 0, true), &f->config.budgets[2]);
}

static void test_globs(void **state)
{
        static const char *const pieces[] = { "a", "b", "/", "/", "x", "-", "y.service", ".service", "_", "c", "ab",
                "/b/", "z" };
        static const char *const globs[] = { "/a/b", "/a/*", "/*/b", "/a/**", "/**/b", "/a/**/b", "/*", "/**/x*y*",
                "/a?b", "/?", "/[ab]/*", "/[!ab]", "/a*b*c", "/*-*", "/**a", "/a**b/c", "/***/c", "/", "/x/***",
                "/[a-c]/[x-z]*", "/a/", "/**/**/b", "*", "**", "a", "/[", "/[a", "/]" };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
                begin_config(f);
                add_budget(f, globs[i], "", 0);
                build(f);
                assert_same(f, "/");
                compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 400);
        }
        for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
                add_budget(f, globs[i], "", i % 3);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 2000);
}

static void test_units(void **state)
{
        static const char *const pieces[] = { "a", "/", "/", "x", "_", ".service", ".slice", "y.service", "b.scope",
                ".swap", "/a.service" };
        struct fixture *f = *state;

        add_budget(f, "", "a.service", 0);
        add_budget(f, "", "_x.service", 0);
        add_budget(f, "/a.slice/**", "x*", 0);
        add_budget(f, "!/x/** /a.slice/**", "!b.scope", 0);
        add_budget(f, "", "*.slice !a.slice", 2);
        add_budget(f, "", "[xy]?.s* **y.service", 0);
        add_budget(f, "", "!a* !x*", 0);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 6000);
        assert_same(f, "/.service");
        assert_same(f, "/_.service");
        assert_same(f, "/__x.service");
        assert_same(f, "/_x.service");
        assert_same(f, "/x");
        assert_same(f, "/");
}

/* What Unit= means is what path_unit() says, on whatever path: of units alone, and together with Cgroup=. */
static void test_units_in_slices(void **state)
{
        static const char *const pieces[] = { "/", "/", "/a.slice", "/_b.slice", "/c.service", "/d@.service", "d@", "@",
                ".slice", "_", "a", "+", "\xc3\xa9", "/x", "/c.scope", "-", "/user.slice/user@1.service", ".service",
                "/d@1.service", "/d@1.slice", ":", "\\x2d", " " };
        struct fixture *f = *state;
        uint32_t seed = 7;

        add_budget(f, "", "*", 0);
        build(f);
        for (unsigned int i = 0; i < 50000; i++) {
                char path[512] = "";
                const char *unit;
                size_t length;

                for (unsigned int k = next_random(&seed) % 7; k > 0; k--)
                        strcat(path, pieces[next_random(&seed) % (sizeof(pieces) / sizeof(pieces[0]))]);
                memmove(path + 1, path, strlen(path) + 1);
                *path = '/';
                if (path[1] == '/')
                        memmove(path, path + 1, strlen(path));
                unit = path_unit(path, &length);
                if (match(f, path, 0, true) != (unit && !unit[length] ? &f->config.budgets[0] : NULL))
                        fail_msg("%s: its unit is %s", path, unit ?: "none");
        }

        begin_config(f);
        add_budget(f, "/a.slice/**", "c* d*", 0);
        add_budget(f, "/**/c.service", "!c.scope", 1);
        add_budget(f, "", "d@1.service *.slice", 0);
        add_budget(f, "/**", "", 2);
        add_budget(f, "!/x/**", "_* a*", 0);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 20000);

        begin_config(f);
        add_budget(f, "/a.slice/**", "c* d*", 0);
        add_budget(f, "/**", "", 0);
        add_budget(f, "", "c*", 0);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 20000);
}

static void test_users_and_excludes(void **state)
{
        static const char *const pieces[] = { "a", "b", "/", "c" };
        struct fixture *f = *state;

        add_budget(f, "/a", "", 1);
        add_budget(f, "/a /b !/b", "", 0);
        add_budget(f, "!/c !/a", "", 2);
        add_budget(f, "", "", 1);
        add_budget(f, "/c/* !/c/b", "", 0);
        add_budget(f, "!/c/**", "", 0);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 2000);
        /* The first in order for whatever it is, but only its owner's. */
        assert_int_equal(automaton_label(f->automaton, 0)->label, 3 | AUTOMATON_USERS);
        assert_same(f, "/");
}

/* Characters of several bytes, and bytes that are none: wherever they begin, break off or end. */
static void test_utf8(void **state)
{
        static const char *const pieces[] = { "a", "b", "/", "\xc3", "\xa9", "\xc3\xa9", "\xe0", "\xe0\x80", "\xe0\xa0",
                "\xed\xa0\x80", "\xed\x9f\xbf", "\xe2\x82\xac", "\xe2\x82", "\xf0\x9f\x90\x9d", "\xf0\x9f\x90",
                "\xf0\x8f", "\xf4\x90", "\xf4\x8f\xbf\xbf", "\xf5", "\xff", "\x80", "\xc0", "\xc1\xbf", "\xe1\x80\x80",
                "\xee\x80\x80" };
        static const char *const globs[] = { "/?", "/??", "/a?b", "/\xc3\xa9", "/[\xc3\xa9]", "/[!\xc3\xa9]*",
                "/*\xe2\x82\xac", "/[a-\xe2\x82\xac]b", "/\xf0\x9f\x90\x9d?", "/[\xf0\x9f\x90\x90-\xf0\x9f\x90\x9e]",
                "/?/?", "/*?", "/**?\xc3\xa9", "/[!a]?[!b]", "/[\xed\x80\x80-\xee\x80\x80]" };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
                begin_config(f);
                add_budget(f, globs[i], "", 0);
                build(f);
                compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 1500);
        }
        for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
                add_budget(f, globs[i], "", 0);
        build(f);
        compare_random(f, pieces, sizeof(pieces) / sizeof(pieces[0]), 5000);
}

/* The state of a cgroup is that of its parent, advanced by "/" and its name. */
static void test_advance(void **state)
{
        static const char path[] = "/kubepods.slice/pod7/cri-1.scope";
        struct fixture *f = *state;
        uint32_t at = AUTOMATON_START;

        add_budget(f, "/kubepods.slice/pod*/cri-*.scope", "", 0);
        build(f);
        for (const char *p = path; *p; p++) {
                assert_int_equal(automaton_label(f->automaton, at)->label, 0);
                at = automaton_next(f->automaton, at, *p);
        }
        assert_int_equal(automaton_label(f->automaton, at)->label, 1);
        assert_int_equal(automaton_next(f->automaton, at, '/'), 0);
}

static size_t count_late(struct fixture *f)
{
        size_t count = 0;

        for (size_t i = 0; i < f->config.count; i++)
                count += f->config.late[i];
        return count;
}

/* 1,000 patterns of each kind that people write fit, all of them together. */
static void test_thousand(void **state)
{
        struct fixture *f = *state;
        char text[256], unit[64];

        for (int i = 0; i < 1000; i++) {
                static const char *const forms[] = { "/system.slice/agent-%d.service", "/kubepods.slice/**/pod%d",
                        "/system.slice/worker%d-*.service", "/kubepods.slice/*/*/cri-containerd-%d*.scope",
                        "/machine.slice/*.%d/**", "/user.slice/user-%d.slice/**" };

                snprintf(text, sizeof(text), forms[i % 6], i);
                add_budget(f, text, "", 0);
        }
        for (int i = 0; i < 500; i++) {
                snprintf(unit, sizeof(unit), "service%d@*.service", i);
                add_budget(f, "", unit, 0);
        }
        add_budget(f, "/**", "", 0);
        assert_int_equal(automaton_fit(f->config.budgets, f->config.count, f->config.late, &f->automaton), 0);
        assert_int_equal(count_late(f), 0);
        assert_true(f->automaton->count * sizeof(struct automaton_entry) < 1024 * 1024);
        for (int i = 0; i < 1000; i += 7) {
                static const char *const paths[] = { "/system.slice/agent-%d.service", "/kubepods.slice/x/y/pod%d",
                        "/system.slice/worker%d-a.service", "/kubepods.slice/b/p/cri-containerd-%dab.scope",
                        "/machine.slice/m.%d/a/b", "/user.slice/user-%d.slice/s/service12@x.service" };

                snprintf(text, sizeof(text), paths[i % 6], i);
                assert_same(f, text);
                assert_non_null(match(f, text, 0, true));
        }
        /* What has both Unit= and Cgroup= is looked for in each path. */
        f->config.count--;
        add_budget(f, "/kubepods.slice/**", "docker-*.scope", 0);
        automaton_free(f->automaton);
        f->automaton = NULL;
        assert_int_equal(automaton_fit(f->config.budgets, f->config.count, f->config.late, &f->automaton), 0);
        assert_int_equal(count_late(f), 0);
}

/* Patterns that would make it too large are late, and matched all the same; the others stay in. */
static void test_too_large(void **state)
{
        struct fixture *f = *state;
        char text[64];

        for (int i = 0; i < 200; i++) {
                snprintf(text, sizeof(text), "/a/*-%d-*.service /b%d", i, i);
                add_budget(f, text, "", 0);
                snprintf(text, sizeof(text), "/a/only%d", i);
                add_budget(f, text, "", 0);
        }
        assert_int_equal(automaton_fit(f->config.budgets, f->config.count, f->config.late, &f->automaton), 0);
        assert_int_equal(count_late(f), 200);
        f->config.any_late = true;
        for (int i = 0; i < 200; i++) {
                assert_int_equal(f->config.late[2 * i + 1], false);
                snprintf(text, sizeof(text), "/a/x-%d-y.service", i);
                assert_ptr_equal(match(f, text, 0, true), &f->config.budgets[2 * i]);
                snprintf(text, sizeof(text), "/a/only%d", i);
                assert_ptr_equal(match(f, text, 0, true), &f->config.budgets[2 * i + 1]);
        }
        assert_null(match(f, "/a/x", 0, true));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        static const struct CMUnitTest tests[] = {
                TEST(test_root),
                TEST(test_globs),
                TEST(test_units),
                TEST(test_units_in_slices),
                TEST(test_users_and_excludes),
                TEST(test_utf8),
                TEST(test_advance),
                TEST(test_thousand),
                TEST(test_too_large),
        };

        return cmocka_run_group_tests_name("automaton", tests, NULL, NULL);
}
