/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files are read, and what is wrong with them: files.h. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config-fixture.h"

/* How messages end. */
#define NO_PLAIN_FILE "a plain file is expected: remove or rename it"

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
                "a.budget.rpmnew",
                "a.conf~",
                "#a.conf#",
                ".a.conf",
                ".a.budget.swp",
                "README",
                "README.md",
                "abudget",
                "notes.txt",
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
        assert_non_null(strstr(f->told, "x.budget: 4901 more messages were suppressed: correct those above first\n"));
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
        assert_true(strlen(f->root) + strlen("/" ETC "h.budget") < sizeof(address.sun_path));
        strcpy(stpcpy(address.sun_path, f->root), "/" ETC "h.budget");
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

/* Drop-ins of a budget: all directories', ordered by name; of those of one name the first directory's. */
static void test_dropins_of_budgets(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        put(f, LIB "50-a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\nMax=2M\nMapsMax=5\nCount=charged\n");
        put(f, LIB "50-a.budget.d/20-b.conf", "[Budget]\nHigh=20K\nOnMax=deny\n");
        put(f, ETC "50-a.budget.d/10-a.conf", "[Match]\nCgroup=/b\n[Budget]\nHigh=10K\nMapsMax=10\nCount=\n");
        put(f, RUN "50-a.budget.d/10-a.conf", "[Budget]\nMax=9M\n"); /* masked */
        put(f, RUN "50-a.budget.d/15-c.conf", "[Match]\nCgroup=\nCgroup=/c\n[Budget]\nMax=15M\n");
        put(f, LIB "50-a.budget.d/30-d.conf", "[Budget]\nHigh=30K\n");
        put_link(f, ETC "50-a.budget.d/30-d.conf", "/dev/null");
        put(f, LIB "50-a.budget.d/40-e.conf", "[Budget]\nHigh=40K\n");
        put(f, RUN "50-a.budget.d/40-e.conf", "");
        put(f, ETC "50-a.budget.d/50-f.conf~", "nonsense");
        put(f, ETC "50-a.budget.d/.hidden.conf", "nonsense");
        put(f, ETC "50-a.budget.d/README", "nonsense");
        put(f, ETC "50-ab.budget", "[Match]\nCgroup=/ab\n");
        put(f, LIB "60-masked.budget", "[Match]\nCgroup=/m\n");
        put_link(f, ETC "60-masked.budget", "/dev/null");
        put(f, ETC "60-masked.budget.d/a.conf", "nonsense");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 2);
        assert_match(f, "/a", NULL);
        assert_match(f, "/b", NULL);
        assert_match(f, "/m", NULL);
        budget = match(f, "/c");
        assert_non_null(budget);
        assert_string_equal(budget->name, "50-a");
        assert_string_equal(budget->file + strlen(f->root), "/" LIB "50-a.budget");
        assert_int_equal(budget->dropin_count, 3);
        assert_string_equal(budget->dropins[0] + strlen(f->root), "/" ETC "50-a.budget.d/10-a.conf");
        assert_string_equal(budget->dropins[2] + strlen(f->root), "/" LIB "50-a.budget.d/20-b.conf");
        assert_int_equal(budget->high, 20 * KIB);
        assert_int_equal(budget->max, 15 * MIB);
        assert_int_equal(budget->maps_max, 10);
        assert_int_equal(budget->count, COUNT_ALLOCATED);
        assert_int_equal(budget->on_max, ACTION_DENY);
        budget = match(f, "/ab");
        assert_non_null(budget);
        assert_true(budget->high == BUDGET_INFINITY);
}

/* A file and its drop-ins are one budget; what is wrong is reported where it is. */
static void test_bad_dropins_of_budgets(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", MATCH_A "High=2M\n");
        put(f, ETC "a.budget.d/1.conf", "[Budget]\nHihg=1M\n");
        put(f, ETC "b.budget", "# [Match] is in the drop-in\n[Budget]\nHigh=1M\nOnHigh=throttle\n");
        put(f, ETC "b.budget.d/1.conf", "[Match]\nCgroup=/b\n[Budget]\n\nHigh=infinity\n");
        put(f, ETC "c.budget", "[Budget]\n");
        put(f, ETC "c.budget.d/1.conf", "[Budget]\nOnMax=deny\n");
        put(f, ETC "d.budget.d/1.conf", "[Budget]\n");
        put(f, ETC "e.budget", MATCH_A "High=2M\n");
        put(f, ETC "e.budget.d", "a file");
        assert_int_equal(mkdir(path_of(f, ETC "f.budget.d/1.conf"), 0755), 0);
        put(f, ETC "f.budget", MATCH_A);
        /* clang-format off */
        assert_refused(f,
                ETC "e.budget.d: is not a directory: remove it or make it one\n"
                ETC "d.budget.d/1.conf: warning: is not read: there is no d.budget that it is a drop-in of\n"
                ETC "a.budget.d/1.conf:2: Hihg= is not a key of [Budget]: did you mean High=?\n"
                ETC "b.budget:4: warning: OnHigh=throttle does nothing without High=: set the limit to throttle above\n"
                ETC "c.budget: " NO_MATCH "\n"
                ETC "f.budget.d/1.conf: is a directory, " NO_PLAIN_FILE "\n");
        /* clang-format on */
}

/* Of two limits that do not fit, the message is where the later one is, and names where the other is. */
static void test_limits_of_two_files(void **state)
{
        struct fixture *f = *state;
        char told[512];

        put(f, ETC "a.budget", MATCH_A "High=2M\nMax=4M\n");
        put(f, RUN "a.budget.d/1.conf", "[Budget]\nMax=1M\n");
        snprintf(told, sizeof(told),
                        RUN "a.budget.d/1.conf:2: High=2M (%s/" ETC "a.budget:4) is more than Max=1M (line 2): "
                            "lower High= or raise Max=\n",
                        f->root);
        assert_refused(f, told);
        put(f, RUN "a.budget.d/2.conf", "[Budget]\n\nHigh=1M\n");
        assert_loads(f, "");
        put(f, RUN "a.budget.d/3.conf", "[Budget]\n\n\nHigh=3M\n");
        snprintf(told, sizeof(told),
                        RUN "a.budget.d/3.conf:4: High=3M (line 4) is more than Max=1M (%s/" RUN
                            "a.budget.d/1.conf:2): lower High= or raise Max=\n",
                        f->root);
        assert_refused(f, told);
}

/* Names that somebody may take for those of budgets or drop-ins. */
static void test_names_that_are_nearly_right(void **state)
{
#define NO_BUDGET                                                                                          \
        "warning: is not read: rename it, the name of a budget ends in .budget, and settings are in " CONF \
        " and " CONF ".d\n"
        static const char *const names[] = { "50-x.conf", "50.Budget", "x.budgets", "x.bugdet", "x.CONF",
                "bpfbudget.conf", "x.budget.conf", "Bpfbudgetd.Conf" };
        struct fixture *f = *state;
        char told[512];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char name[64];

                snprintf(name, sizeof(name), ETC "%s", names[i]);
                put(f, name, "nonsense");
                snprintf(told, sizeof(told), "%s: %s", name, NO_BUDGET);
                assert_loads(f, told);
                unlink(path_of(f, name));
        }
        put(f, ETC CONF ".d/1.budget", "nonsense");
        assert_loads(f, ETC CONF ".d/1.budget: warning: is not read: rename it, the name of a drop-in ends in .conf\n");
        unlink(path_of(f, ETC CONF ".d/1.budget"));
        put(f, ETC "x.budget.d/1.Conf", "nonsense");
        assert_loads(f, ETC
                        "x.budget.d/1.Conf: warning: is not read: rename it, the name of a drop-in ends in .conf\n");
        unlink(path_of(f, ETC "x.budget.d/1.Conf"));
        put(f, ETC "x.conf.d/1.conf", "nonsense");
        assert_loads(f, ETC
                        "x.conf.d: warning: is not read: the drop-ins of NAME.budget are in NAME.budget.d, those of "
                        "the settings in " CONF ".d\n");
}

/* What the machine lacks for a moment is no error of the configuration. */
static void test_no_descriptors(void **state)
{
        struct fixture *f = *state;
        struct rlimit limit, none;
        int r;

        put(f, "a.budget", "[Match]\nCgroup=/a\n");
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ 0, limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        r = load_from(f, true);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(r, -EMFILE);
        assert_string_equal(f->told, ": cannot be read: Too many open files\n");
        assert_int_equal(load_from(f, true), 0);
        assert_int_equal(f->config.count, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_same_name_masks),
                TEST(test_null_and_empty_mask),
                TEST(test_dropins),
                TEST(test_files_that_are_passed_over),
                TEST(test_one_directory),
                TEST(test_messages_are_bounded),
                TEST(test_all_is_told_at_once),
                TEST(test_not_plain_files),
                TEST(test_bad_directories),
                TEST(test_directory_that_is_missing),
                TEST(test_no_permission),
                TEST(test_no_descriptors),
                TEST(test_bad_file_names),
                TEST(test_dropins_of_budgets),
                TEST(test_bad_dropins_of_budgets),
                TEST(test_limits_of_two_files),
                TEST(test_names_that_are_nearly_right),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
