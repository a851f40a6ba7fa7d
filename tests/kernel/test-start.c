/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts that fail or lack something, the options, and the exit status. Needs root and a memory controller. */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/cleanup.h"

/* Runs the daemon in a child that @prepare has worsened. Returns the exit status; what it wrote is in @text. */
static int run_in(void (*prepare)(void), bool errors, char **text, const char *option)
{
        int status, out[2];
        pid_t pid;
        ssize_t n;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        *text = calloc(1, 1 << 20);
        assert_non_null(*text);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char *captured;

                prepare();
                captured = errors ? daemon_errors(&status, option, "--json=short", NULL)
                                  : daemon_run(&status, option, "--json=short", NULL);
                n = write(out[1], captured, strlen(captured));
                _exit(n < 0 ? 99 : status);
        }
        close(out[1]);
        for (size_t size = 0; (n = read(out[0], *text + size, (1 << 20) - 1 - size)) > 0; size += n)
                ;
        close(out[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void private_mounts(void)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(98);
}

static void without_btf(void)
{
        private_mounts();
        if (mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) < 0)
                _exit(98);
}

static void without_cgroups(void)
{
        private_mounts();
        if (mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
                _exit(98);
        /* Lines of the mounts that are covered stay in the list: take them off for good. */
        if (umount2("/sys/fs/cgroup", MNT_DETACH) < 0 || umount2("/sys/fs/cgroup", MNT_DETACH) < 0)
                return;
}

static void without_privileges(void)
{
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                _exit(98);
}

static void as_it_is(void)
{
}

static void test_no_btf(void **state)
{
        _cleanup_free_ char *text = NULL;

        (void) state;
        assert_int_equal(run_in(without_btf, true, &text, "--once"), 1);
        assert_one_line(text, "/sys/kernel/btf/vmlinux");
}

static void test_no_privileges(void **state)
{
        _cleanup_free_ char *text = NULL;

        (void) state;
        assert_int_equal(run_in(without_privileges, true, &text, "--once"), 1);
        assert_one_line(text, "CAP_BPF");
}

/* Without a hierarchy there are no paths, but the objects are there. */
static void test_no_cgroup_mount(void **state)
{
        _cleanup_free_ char *text = NULL, *errors = NULL;
        json_t *report;

        (void) state;
        assert_int_equal(run_in(without_cgroups, true, &errors, "--once"), 0);
        assert_one_line(errors, "No mounted cgroup hierarchy has the memory controller");
        assert_int_equal(run_in(without_cgroups, false, &text, "--once"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        assert_true(json_array_size(json_object_get(report, "objects")) > 0);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "allocated"), sum_objects(report, NULL));
        json_decref(report);
}

static void test_unknown_option(void **state)
{
        _cleanup_free_ char *text = NULL;
        int status;

        (void) state;
        text = daemon_errors(&status, "--no-such-option", NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(text, "--no-such-option"));
}

static void test_bad_json_mode(void **state)
{
        _cleanup_free_ char *text = NULL;
        int status;

        (void) state;
        text = daemon_errors(&status, "--json=xml", NULL);
        assert_int_equal(status, 1);
        assert_one_line(text, "it is one of short, pretty");
}

static void test_capabilities(void **state)
{
        _cleanup_free_ char *text = NULL;
        json_t *report, *capability;
        bool iterator = false;
        size_t i;

        (void) state;
        assert_int_equal(run_in(as_it_is, false, &text, "--capabilities"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        json_array_foreach(json_object_get(report, "capabilities"), i, capability)
        {
                bool available = json_is_true(json_object_get(capability, "available"));

                /* What is missing is said. */
                assert_int_equal(available, strlen(json_string_value(json_object_get(capability, "reason"))) == 0);
                if (strcmp(json_string_value(json_object_get(capability, "name")), "iterator:bpf_map") == 0)
                        iterator = available;
        }
        assert_true(iterator);
        json_decref(report);
}

/* What child processes are to be without; -1: nothing. */
static int dropped_cap = -1;

static void drop_cap(void)
{
        if (prctl(PR_CAPBSET_DROP, dropped_cap) < 0)
                _exit(98);
}

static json_t *capabilities_without(int cap)
{
        _cleanup_free_ char *text = NULL;
        json_t *report;

        dropped_cap = cap;
        assert_int_equal(run_in(drop_cap, false, &text, "--capabilities"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        return report;
}

/* The reason why the capability @name is not available; "" if it is. */
static const char *reason_of(const json_t *report, const char *name)
{
        json_t *capability;
        size_t i;

        json_array_foreach(json_object_get(report, "capabilities"), i,
                        capability) if (strcmp(json_string_value(json_object_get(capability, "name")), name) ==
                                        0) return json_string_value(json_object_get(capability, "reason"));
        fail_msg("there is no capability %s", name);
        return NULL;
}

/* Each capability is missed by its feature, by name, and by no other. */
static void test_without_capabilities(void **state)
{
        static const struct {
                int cap;
                const char *feature, *reason;
        } table[] = {
                { CAP_DAC_READ_SEARCH, "cgroup:handles", "CAP_DAC_READ_SEARCH is missing" },
                { CAP_DAC_OVERRIDE, "cgroup:delegated", "CAP_DAC_OVERRIDE is missing" },
                { CAP_SYS_PTRACE, "process:exe", "CAP_SYS_PTRACE is missing" },
                { CAP_SYS_ADMIN, "map:memlock", "CAP_SYS_ADMIN is missing" },
        };
        size_t n = sizeof(table) / sizeof(table[0]);

        (void) state;
        for (size_t i = 0; i < n; i++) {
                json_t *report = capabilities_without(table[i].cap);

                for (size_t k = 0; k < n; k++)
                        if (k == i)
                                assert_non_null(strstr(reason_of(report, table[k].feature), table[k].reason));
                        else
                                assert_string_equal(reason_of(report, table[k].feature), "");
                json_decref(report);
        }
}

static void drop_bpf(void)
{
        if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN) < 0 || prctl(PR_CAPBSET_DROP, dropped_cap) < 0)
                _exit(98);
}

/* Without these two there is nothing to do: which one it is gets told. */
static void test_without_cap_bpf(void **state)
{
        _cleanup_free_ char *bpf = NULL, *perfmon = NULL;

        (void) state;
        dropped_cap = CAP_BPF;
        assert_int_equal(run_in(drop_bpf, true, &bpf, "--once"), 1);
        assert_one_line(bpf, "no permission: CAP_BPF is missing");
        dropped_cap = CAP_PERFMON;
        assert_int_equal(run_in(drop_bpf, true, &perfmon, "--once"), 1);
        assert_one_line(perfmon, "no permission: CAP_PERFMON is missing");
}

/* Exit statuses that systemd does not restart after: a configuration, a process, that will not do. */
static void test_exit_statuses(void **state)
{
        _cleanup_free_ char *refused = NULL, *wrong = NULL;
        char config[64], option[96];
        int status;

        (void) state;
        config_make(config);
        snprintf(option, sizeof(option), "--config=%s", config);
        dropped_cap = CAP_BPF;
        assert_int_equal(run_in(drop_bpf, true, &refused, option), EX_UNAVAILABLE);
        config_write(config, "a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=much\n");
        wrong = daemon_errors(&status, option, NULL);
        assert_int_equal(status, EX_CONFIG);
        assert_non_null(strstr(wrong, "a.budget:4:"));
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_no_btf),
                TEST(test_no_privileges),
                TEST(test_without_capabilities),
                TEST(test_without_cap_bpf),
                TEST(test_exit_statuses),
                TEST(test_no_cgroup_mount),
                TEST(test_unknown_option),
                TEST(test_bad_json_mode),
                TEST(test_capabilities),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
