/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's options, and what it does instead of running: daemon/main.c itself, with functions of the test for all
 * that it calls. As a process: tests/kernel/test-daemon.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int fake_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int fake_isatty(int fd);

#define main        daemon_main
#define printf(...) fake_printf(__VA_ARGS__)
#define isatty(fd)  fake_isatty(fd)
int daemon_main(int argc, char *argv[]);
#include "daemon/configlog.c"
#include "daemon/main.c"
#undef main
#undef printf
#undef isatty

#include "fake-daemon.h"

static struct daemon_options run_options; /* that the daemon was run with */

static int fake_printf(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        append(fake.printed, sizeof(fake.printed), format, ap);
        va_end(ap);
        return 0;
}

static int fake_isatty(int fd)
{
        assert_int_equal(fd, STDOUT_FILENO);
        return fake.terminal;
}

int run_daemon(const struct daemon_options *options)
{
        call('D');
        run_options = *options;
        return 78;
}

static int setup(void **state)
{
        (void) state;
        reset_fake();
        run_options = (struct daemon_options){};
        return 0;
}

/* Runs main() with these arguments; NULL ends them. Returns the exit status. */
static int run_main(const char *first, ...)
{
        char *argv[8] = { (char *) "bpfbudgetd", (char *) first };
        int argc = first ? 2 : 1;
        va_list ap;

        va_start(ap, first);
        while (first && argc < 7 && (argv[argc] = va_arg(ap, char *)))
                argc++;
        va_end(ap);
        optind = 0; /* getopt begins again */
        opterr = 0;
        return daemon_main(argc, argv);
}

/* --- Options ------------------------------------------------------------------------------------------------------ */

static void test_help(void **state)
{
        (void) state;
        assert_int_equal(run_main("--help", NULL), 0);
        assert_non_null(strstr(fake.printed, "bpfbudgetd [OPTIONS...]"));
        assert_string_equal(fake.calls, "");
        setup(NULL);
        assert_int_equal(run_main("-h", "--once", NULL), 0);
        assert_non_null(strstr(fake.printed, "bpfbudgetd [OPTIONS...]"));
        assert_string_equal(fake.calls, "");
        setup(NULL);
        assert_int_equal(run_main("--version", NULL), 0);
        assert_string_equal(fake.printed, "bpfbudgetd " PACKAGE_VERSION "\n");
        assert_string_equal(fake.calls, "");
}

/* A reader that goes away ends a report, also where a service has it ignore the signal; the daemon lives on. */
static void test_readers(void **state)
{
        (void) state;
        signal(SIGPIPE, SIG_IGN);
        run_main("--once", NULL);
        assert_ptr_equal(signal(SIGPIPE, SIG_IGN), SIG_DFL);
        run_main(NULL);
        assert_ptr_equal(signal(SIGPIPE, SIG_IGN), SIG_IGN);
}

static void test_bad_options(void **state)
{
        static const char *const lines[][4] = {
                { "--nonsense" },
                { "--once", "argument" },
                { "--once", "--json=xml" },
                { "--once", "--json=off" },
                { "--holders" },
                { "--check-config", "--pins" },
                { "--json", "--uses" },
                { "--capabilities", "--json", "--holders" },
                { "--socket" },
        };
        static const char *const doctors[][3] = { { "--doctor", "--pins" }, { "--nonsense", "--doctor" },
                { "--doctor", "now" } };

        (void) state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                setup(NULL);
                assert_int_equal(run_main(lines[i][0], lines[i][1], lines[i][2], lines[i][3], NULL), EXIT_FAILURE);
                assert_string_equal(fake.calls, "");
        }
        for (size_t i = 0; i < sizeof(doctors) / sizeof(doctors[0]); i++) {
                setup(NULL);
                assert_int_equal(run_main(doctors[i][0], doctors[i][1], doctors[i][2], NULL), EXIT_NOT_EXAMINED);
                assert_string_equal(fake.calls, "");
        }
        setup(NULL);
        run_main("--once", "argument", NULL);
        assert_logged("<3>argument: no arguments");
        setup(NULL);
        run_main("--json=xml", NULL);
        assert_logged("<3>--json=xml: unknown mode; it is one of short, pretty");
        setup(NULL);
        run_main("--once", "--json=off", NULL);
        assert_logged("<3>--json=off: tables are shown by bpfbudgetctl only; use bpfbudgetctl --direct");
        setup(NULL);
        run_main("--capabilities", "--uses", NULL);
        assert_logged("<3>--holders, --pins and --uses require --once");
}

/* One line, or indented on a terminal, unless it is told. */
static void test_json_modes(void **state)
{
        static const struct {
                const char *option;
                bool terminal, pretty;
        } cases[] = {
                { NULL, false, false },
                { NULL, true, true },
                { "--json", false, false },
                { "--json", true, true },
                { "--json=short", true, false },
                { "--json=pretty", false, true },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.terminal = cases[i].terminal;
                fake.pretty = -1;
                assert_int_equal(run_main("--once", cases[i].option, NULL), 0);
                assert_int_equal(fake.pretty, cases[i].pretty);
                fake.pretty = -1;
                assert_int_equal(run_main("--capabilities", cases[i].option, NULL), 0);
                assert_int_equal(fake.pretty, cases[i].pretty);
        }
        /* The last one counts. */
        assert_int_equal(run_main("--once", "--json=short", "--json=pretty", NULL), 0);
        assert_int_equal(fake.pretty, true);
}

/* One snapshot: without sensors, and with what was asked for. */
static void test_once(void **state)
{
        (void) state;
        assert_int_equal(run_main("--once", NULL), 0);
        assert_string_equal(fake.calls, "MewdN");
        assert_false(fake.kernel_options.sensors);
        assert_false(fake.kernel_options.relations);
        assert_false(fake.kernel_options.probe_only);
        assert_int_equal(fake.relations, 0);
        assert_non_null(fake.reported);
        setup(NULL);
        assert_int_equal(run_main("--once", "--json", "--holders", NULL), 0);
        assert_int_equal(fake.relations, RELATION_HOLDERS);
        assert_true(fake.kernel_options.relations);
        assert_int_equal(run_main("--once", "--json", "--uses", NULL), 0);
        assert_int_equal(fake.relations, RELATION_USES);
        assert_true(fake.kernel_options.relations);
        /* Of pins the kernel side tells nothing. */
        assert_int_equal(run_main("--once", "--json", "--pins", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS);
        assert_false(fake.kernel_options.relations);
        assert_int_equal(run_main("--once", "--json", "--pins", "--uses", "--holders", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS | RELATION_USES | RELATION_HOLDERS);
        assert_int_equal(run_main("--once", "--json", "--holders", "--pins", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS | RELATION_HOLDERS);
        assert_int_equal(run_main("--holders", "--once", NULL), 0);
        assert_int_equal(fake.relations, RELATION_HOLDERS);
}

static void test_once_fails(void **state)
{
        (void) state;
        fake.monitor_result = -EPERM;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MN");
        setup(NULL);
        fake.relations_result = -EOPNOTSUPP;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MedN");
        setup(NULL);
        fake.report_result = -ENOSPC;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MewdN");
        assert_logged("<3>The report cannot be written: No space left on device");
}

static void test_capabilities(void **state)
{
        (void) state;
        assert_int_equal(run_main("--capabilities", NULL), 0);
        assert_string_equal(fake.calls, "MwN");
        assert_true(fake.kernel_options.probe_only);
        setup(NULL);
        fake.report_result = -ENOSPC;
        assert_int_equal(run_main("--capabilities", NULL), EXIT_FAILURE);
        assert_logged("<3>The report cannot be written");
        setup(NULL);
        fake.monitor_result = -ENOMEM;
        assert_int_equal(run_main("--capabilities", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MN");
}

/* The exit status is the level; it is another one where nothing was found out. */
static void test_doctor(void **state)
{
        (void) state;
        for (fake.readiness = 0; fake.readiness <= 2; fake.readiness++) {
                fake.pretty = -1;
                assert_int_equal(run_main("--doctor", "--json=pretty", NULL), fake.readiness);
                assert_int_equal(fake.pretty, true);
        }
        assert_string_equal(fake.calls, "DwDwDw");
        fake.readiness = -ENOMEM;
        assert_int_equal(run_main("--doctor", NULL), 3);
        setup(NULL);
        fake.report_result = -ENOSPC;
        assert_int_equal(run_main("--doctor", NULL), 3);
        assert_logged("<3>The report cannot be written");
}

static void test_check_config(void **state)
{
        (void) state;
        fake.budgets = 5;
        fake.config_warnings = 2;
        assert_int_equal(run_main("--check-config", NULL), 0);
        assert_null(fake.config_directory);
        assert_string_equal(fake.calls, "c");
        assert_logged("<6>5 budgets, 2 warnings: the configuration is valid");
        assert_logged("<4>y.budget:8: is odd");
        assert_logged("<4>y.budget: is odd");
        assert_int_equal(run_main("--check-config=/a", NULL), 0);
        assert_string_equal(fake.config_directory, "/a");
        assert_int_equal(run_main("--check-config", "/b", NULL), 0);
        assert_string_equal(fake.config_directory, "/b");
        assert_int_equal(run_main("--check-config", "--debug", NULL), 0);
        assert_null(fake.config_directory);
        assert_int_equal(fake.max_level, LOG_DEBUG);
        assert_int_equal(run_main("--check-config", "/b", "/c", NULL), EXIT_FAILURE);
        setup(NULL);
        fake.config_result = -EINVAL;
        fake.config_errors = 3;
        fake.config_warnings = 1;
        assert_int_equal(run_main("--check-config", NULL), EXIT_FAILURE);
        assert_logged("<3>x.budget:7: is wrong");
        assert_logged("<3>x.budget: is wrong");
        assert_logged("<3>3 errors, 1 warnings: the configuration would not be used");
        assert_not_logged("cannot be read");
        setup(NULL);
        fake.config_result = -ENOMEM;
        assert_int_equal(run_main("--check-config", NULL), EXIT_FAILURE);
        assert_logged("<3>The configuration cannot be read: Cannot allocate memory");
}

/* --- The daemon --------------------------------------------------------------------------------------------------- */

static void expect_daemon(const char *directory, const char *socket, bool dry_run, bool pretty)
{
        assert_string_equal(fake.calls, "D");
        if (directory)
                assert_string_equal(run_options.directory, directory);
        else
                assert_null(run_options.directory);
        if (socket)
                assert_string_equal(run_options.socket, socket);
        else
                assert_null(run_options.socket);
        assert_int_equal(run_options.dry_run, dry_run);
        assert_int_equal(run_options.pretty, pretty);
        setup(NULL);
}

/* It is run with what was asked for, and its exit status is the program's. */
static void test_run(void **state)
{
        (void) state;
        assert_int_equal(run_main(NULL, NULL), 78);
        expect_daemon(NULL, NULL, false, false);
        assert_int_equal(run_main("--config", "/conf", NULL), 78);
        expect_daemon("/conf", NULL, false, false);
        run_main("--config=/conf", "--socket=/s", NULL);
        expect_daemon("/conf", "/s", false, false);
        run_main("--socket", "/s", NULL);
        expect_daemon(NULL, "/s", false, false);
        run_main("--dry-run", "--json=pretty", NULL);
        expect_daemon(NULL, NULL, true, true);
}

/* --- After the end ------------------------------------------------------------------------------------------------ */

/* What is paused goes on, and the gate opens, unless the next daemon is to have it. */
static void test_release(void **state)
{
        static const struct {
                enum service_end end;
                int config;
                bool fail_closed;
                const char *calls;
        } cases[] = {
                { SERVICE_NONE, 0, true, "FO" },
                { SERVICE_FAILED, 0, false, "F" },
                { SERVICE_RESTARTING, 0, false, "F" },
                { SERVICE_STOPPED, 0, false, "FcO" },
                { SERVICE_STOPPED, 0, true, "Fc" },
                { SERVICE_STOPPED, -EINVAL, true, "FcO" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.end = cases[i].end;
                fake.config_result = cases[i].config;
                fake.settings.fail_closed = cases[i].fail_closed;
                fake.gate_release_result = 1;
                assert_int_equal(run_main("--release", NULL), 0);
                assert_string_equal(fake.calls, cases[i].calls);
                if (strchr(cases[i].calls, 'O'))
                        assert_logged("<6>The gate is open");
                else
                        assert_string_equal(logged, "");
        }
}

static void test_release_fails(void **state)
{
        (void) state;
        fake.gate_release_result = -EBUSY;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        assert_logged("<3>The gate stays closed");
        assert_not_logged("is open");
        setup(NULL);
        fake.gate_release_result = -EPERM;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        assert_string_equal(logged, "");
        setup(NULL);
        assert_int_equal(run_main("--release", NULL), 0);
        assert_string_equal(logged, "");
        fake.release_result = -EIO;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        setup(NULL);
        fake.end = SERVICE_FAILED;
        fake.release_result = -EIO;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
}

/* What must not wait for the journal has the thread of the log, and tells what processes before it have lost. */
static void test_lost_messages(void **state)
{
        (void) state;
        fake.lost_before = 5;
        log_thread.lost = 7;
        assert_int_equal(run_main("--release", NULL), 0);
        assert_int_equal(log_thread.lost_before, 5);
        assert_int_equal(log_thread.starts, 1);
        assert_int_equal(log_thread.stops, 1);
        assert_int_equal(fake.lost_left, 7);
        setup(NULL);
        fake.lost_before = 6;
        log_thread.lost = 8;
        assert_int_equal(run_main(NULL), 78);
        assert_int_equal(log_thread.lost_before, 6);
        assert_int_equal(log_thread.starts, 1);
        assert_int_equal(log_thread.stops, 1);
        assert_int_equal(fake.lost_left, 8);
        /* One that is not the system's. */
        setup(NULL);
        fake.lost_before = 6;
        log_thread.lost = 8;
        assert_int_equal(run_main("--config=/conf", NULL), 78);
        assert_int_equal(log_thread.lost_before, 0);
        assert_int_equal(log_thread.stops, 1);
        assert_int_equal(fake.lost_left, 0);
        /* Those that people wait for lose nothing. */
        setup(NULL);
        run_main("--once", NULL);
        run_main("--capabilities", NULL);
        run_main("--check-config", NULL);
        assert_int_equal(log_thread.starts, 0);
        assert_ptr_equal(fake.reported_to, stdout);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_help),
                TEST(test_readers),
                TEST(test_bad_options),
                TEST(test_json_modes),
                TEST(test_once),
                TEST(test_once_fails),
                TEST(test_capabilities),
                TEST(test_doctor),
                TEST(test_check_config),
                TEST(test_run),
                TEST(test_release),
                TEST(test_release_fails),
                TEST(test_lost_messages),
        };

        return cmocka_run_group_tests_name("main", tests, NULL, NULL);
}
