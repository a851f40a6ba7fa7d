/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes: values.h. */
#include "config-fixture.h"

static void test_parse_bytes(void **state)
{
        static const struct {
                const char *text;
                int error;
                uint64_t bytes;
        } cases[] = {
                { "0", 0, 0 },
                { "1", 0, 1 },
                { "4096", 0, 4096 },
                { "64K", 0, 64 * KIB },
                { "64M", 0, 64 * MIB },
                { "1.5G", 0, 3 * GIB / 2 },
                { "0.5K", 0, 512 },
                { "1.0009765625K", 0,
                                1024 }, /* past the sixth digit nothing is looked at, parts of bytes are cut off */
                { "2T", 0, 2 * TIB },
                { "007M", 0, 7 * MIB },
                { "infinity", 0, BUDGET_INFINITY },
                { "25%", 0, RAM / 4 },
                { "0%", 0, 0 },
                { "0.1%", 0, RAM / 1000 },
                { "100%", 0, RAM },
                { "100.000001%", -ERANGE },
                { "101%", -ERANGE },
                { "99999999999999999999999999999999999999999%", -ERANGE },
                { "9223372036854775807", 0, INT64_MAX },
                { "9223372036854775808", -ERANGE },
                { "18446744073709551615", -ERANGE },
                { "18446744073709551616", -ERANGE },
                { "36893488147419103232", -ERANGE },
                { "340282366920938463463374607431768211456", -ERANGE },
                { "340282366920938463463374607431768211457K", -ERANGE },
                { "9999999999999999999999999999999999999999999999999999999999999999999999999999999", -ERANGE },
                { "8388607T", 0, 8388607 * TIB },
                { "8388608T", -ERANGE },
                { "16777216T", -ERANGE },
                { "17179869184G", -ERANGE },
                { "-1", -EDOM },
                { "-64M", -EDOM },
                { "-0", -EDOM },
                { "-5%", -EDOM },
                { "", -EINVAL },
                { "-", -EINVAL },
                { "--1", -EINVAL },
                { "+1", -EINVAL },
                { " 1", -EINVAL },
                { "1 ", -EINVAL },
                { "64 M", -EINVAL },
                { "64X", -EINVAL },
                { "64m", -EINVAL },
                { "64MB", -EINVAL },
                { "64kB", -EINVAL },
                { "64MiB", 0, 64 * MIB },
                { "64Mi", 0, 64 * MIB },
                { "1.5Ki", 0, 1536 },
                { "64KiB", 0, 64 * KIB },
                { "1GiB", 0, GIB },
                { "1Gi", 0, GIB },
                { "2TiB", 0, 2 * TIB },
                { "2Ti", 0, 2 * TIB },
                { "512B", 0, 512 },
                { "3P", 0, 3 * 1024 * TIB },
                { "7EiB", 0, 7 * 1024 * 1024 * TIB },
                { "8E", -ERANGE },
                { "8796093022208T", -ERANGE },
                { "99999999999999999999Ei", -ERANGE },
                { "64mi", -EINVAL },
                { "64Mib", -EINVAL },
                { "64iB", -EINVAL },
                { "64MiBM", -EINVAL },
                { "64M 1K", -EINVAL },
                { "1.5B", -EINVAL },
                { "M", -EINVAL },
                { "%", -EINVAL },
                { "5%%", -EINVAL },
                { "5%M", -EINVAL },
                { "5M%", -EINVAL },
                { ".5M", -EINVAL },
                { "5.M", -EINVAL },
                { "5,5M", -EINVAL },
                { "1.2.3M", -EINVAL },
                { "1.5", -EINVAL },
                { "0x10", -EINVAL },
                { "1e3", -EINVAL },
                { "Infinity", -EINVAL },
                { "infinityM", -EINVAL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t bytes = 0;
                int r = parse_bytes(cases[i].text, RAM, &bytes);

                if (r != cases[i].error || bytes != cases[i].bytes)
                        fail_msg("\"%s\": %d, %" PRIu64, cases[i].text, r, bytes);
        }
}

static void test_parse_bytes_of_machines(void **state)
{
        uint64_t bytes;

        (void) state;
        assert_int_equal(parse_bytes("25%", 0, &bytes), -ENODATA);
        assert_int_equal(parse_bytes("100%", UINT64_MAX / 2, &bytes), 0);
        assert_true(bytes == UINT64_MAX / 2);
        assert_int_equal(parse_bytes("33.333333%", 3, &bytes), 0);
        assert_int_equal(bytes, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_parse_bytes),
                TEST(test_parse_bytes_of_machines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
