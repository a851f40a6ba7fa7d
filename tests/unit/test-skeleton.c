/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* printf 'object object object\n' | gzip -9nc */
static const unsigned char packed[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x4f, 0xca,
        0x4a, 0x4d, 0x2e, 0x51, 0xc8, 0x47, 0xa6, 0xb8, 0x00, 0x58, 0x3e, 0xf1, 0x02, 0x15, 0x00, 0x00, 0x00 };

static void test_unpack(void **state)
{
        static const char text[] = "object object object\n";
        unsigned char broken[sizeof(packed)];
        const void *object;

        (void) state;
        object = skeleton_unpack(packed, sizeof(packed), strlen(text));
        assert_non_null(object);
        assert_memory_equal(object, text, strlen(text));
        /* Another size, a part of it, and not what was packed. */
        assert_null(skeleton_unpack(packed, sizeof(packed), strlen(text) + 1));
        assert_null(skeleton_unpack(packed, sizeof(packed), strlen(text) - 1));
        assert_null(skeleton_unpack(packed, sizeof(packed) - 1, strlen(text)));
        memcpy(broken, packed, sizeof(packed));
        broken[sizeof(broken) - 5] ^= 1;
        assert_null(skeleton_unpack(broken, sizeof(broken), strlen(text)));
        assert_null(skeleton_unpack(packed, 0, strlen(text)));
        errno = EPERM;
        skeleton_free_unpacked();
        skeleton_free_unpacked();
        assert_int_equal(errno, EPERM);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_size),
                cmocka_unit_test(test_unpack),
        };

        return cmocka_run_group_tests_name("skeleton", tests, NULL, NULL);
}
