/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/skeleton.h"

static void test_table_size(void **state)
{
        (void) state;
        assert_int_equal(skeleton_table_size(0, 1024, 65536), 1024);
        assert_int_equal(skeleton_table_size(1024, 1024, 65536), 1024);
        assert_int_equal(skeleton_table_size(1025, 1024, 65536), 2048);
        assert_int_equal(skeleton_table_size(5000, 1024, 65536), 8192);
        assert_int_equal(skeleton_table_size(65536, 1024, 65536), 65536);
        assert_int_equal(skeleton_table_size(65537, 1024, 65536), 65536);
        assert_int_equal(skeleton_table_size(SIZE_MAX, 1024, 65536), 65536);
        assert_int_equal(skeleton_table_size(SIZE_MAX, 1024, 1024), 1024);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_size),
        };

        return cmocka_run_group_tests_name("skeleton", tests, NULL, NULL);
}
