/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is taken from a verifier's log. Logs of the kernel itself: tests/kernel/test-monitor.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/verifierlog.h"

static void test_reason(void **state)
{
        static const struct {
                const char *log, *reason;
        } cases[] = {
                { "", "" },
                { "\n\n", "" },
                { "R0 !read_ok", "R0 !read_ok" },
                { "0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n",
                                "R0 !read_ok" },
                { "func#0 @0\nBPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns\n",
                                "BPF program is too large. Processed 1000001 insn" },
                { "processed 0 insns (limit 1000000)\n", "" },
                { "last\n\n", "last" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char reason[VERIFIER_REASON_MAX] = "old";

                verifier_reason(cases[i].log, reason);
                assert_string_equal(reason, cases[i].reason);
        }
}

/* One that is too long is cut off. */
static void test_long_reason(void **state)
{
        char log[4 * VERIFIER_REASON_MAX], reason[VERIFIER_REASON_MAX];

        (void) state;
        memset(log, 'x', sizeof(log) - 1);
        log[sizeof(log) - 1] = '\0';
        verifier_reason(log, reason);
        assert_int_equal(strlen(reason), VERIFIER_REASON_MAX - 1);
        assert_memory_equal(reason, log, VERIFIER_REASON_MAX - 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reason),
                cmocka_unit_test(test_long_reason),
        };

        return cmocka_run_group_tests_name("verifierlog", tests, NULL, NULL);
}
