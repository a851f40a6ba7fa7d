/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The number of messages that a process leaves to the next one. */
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

#include "daemon/lost.c"

static char directory[] = "/tmp/bpfbudget-lost-XXXXXX", file[64];

static int setup(void **state)
{
        (void) state;
        if (!mkdtemp(directory))
                return -1;
        snprintf(file, sizeof(file), "%s/lost-messages", directory);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        unlink(file);
        return rmdir(directory);
}

static void test_counts(void **state)
{
        (void) state;
        assert_int_equal(lost_take(file), 0);
        lost_leave(file, 0);
        assert_int_equal(access(file, F_OK), -1);
        lost_leave(file, 7);
        lost_leave(file, 0);
        /* One that has taken nothing adds to it. */
        lost_leave(file, 3);
        assert_int_equal(lost_take(file), 10);
        assert_int_equal(access(file, F_OK), -1);
        assert_int_equal(lost_take(file), 0);
}

static void test_damaged(void **state)
{
        static const char *const texts[] = { "", "-1\n", "x\n", " 5" };

        (void) state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                FILE *stream = fopen(file, "w");

                assert_non_null(stream);
                fputs(texts[i], stream);
                fclose(stream);
                assert_int_equal(lost_take(file), 0);
                assert_int_equal(access(file, F_OK), -1);
        }
        lost_leave("/no/such/directory/file", 3);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_damaged),
        };

        return cmocka_run_group_tests_name("lost", tests, setup, teardown);
}
