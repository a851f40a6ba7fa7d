/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that anybody makes, as text for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/shell.h"
#include "base/text.h"
#include "base/utf8.h"

static void assert_plain(const char *text, const char *expected)
{
        char buffer[256];

        assert_ptr_equal(text_plain(text, buffer, sizeof(buffer)), buffer);
        assert_string_equal(buffer, expected);
}

static void test_controls(void **state)
{
        (void) state;
        assert_plain("", "");
        assert_plain("/a/b c~.service", "/a/b c~.service");
        assert_plain("a\nb\x1b[31m\xff", "a?b?[31m?");
        assert_plain("\x01\t\r\x1f\x7f ", "????? ");
        /* C1, as UTF-8 and as bytes. */
        assert_plain("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "??????\xc2\xa0");
        assert_plain("\x9b"
                     "31m",
                        "?31m");
}

static void test_directions_and_invisible(void **state)
{
        static const uint32_t ranges[][2] = { { 0x202a, 0x202e }, { 0x2066, 0x2069 }, { 0x200b, 0x200f },
                { 0x2028, 0x2029 }, { 0x2060, 0x2064 }, { 0x61c, 0x61c }, { 0xfeff, 0xfeff }, { 0xad, 0xad },
                { 0xe0000, 0xe007f }, { 0, 0x1f }, { 0x7f, 0x9f }, { 0xd800, 0xdfff }, { 0xfffe, 0xffff },
                { 0x1fffe, 0x1ffff }, { 0x10fffe, CHARACTER_INVALID + 255 } };

        (void) state;
        assert_plain("x\xe2\x80\xae"
                     "y\xe2\x81\xa6"
                     "z\xe2\x80\xa8",
                        "x???y???z???");
        assert_plain("a\xe2\x80\x8b\xe2\x81\xa0\xef\xbb\xbf\xd8\x9c", "a???????????");
        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
                for (uint32_t c = ranges[i][0]; c <= ranges[i][1]; c++)
                        if (character_is_plain(c))
                                fail_msg("U+%04X", c);
        }
        for (uint32_t c = ' '; c < 0x7f; c++)
                assert_true(character_is_plain(c));
        /* Those beside, and others. */
        assert_true(character_is_plain(0xa0) && character_is_plain(0x200a) && character_is_plain(0x2010));
        assert_true(character_is_plain(0x2027) && character_is_plain(0x202f) && character_is_plain(0x2070));
        assert_true(character_is_plain(0xe9) && character_is_plain(0x6f22) && character_is_plain(0x1f600));
        assert_plain("\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80");
}

static void test_broken(void **state)
{
        (void) state;
        assert_plain("\xe6\xbc", "??");
        assert_plain("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", "?????????");
        assert_plain("\xc3("
                     "\xc3",
                        "?(?");
}

/* The middle goes, no character is cut, and two thirds of what is left are the end. */
static void test_long(void **state)
{
        char text[5000], buffer[64], small[16];

        (void) state;
        memset(text, 'x', sizeof(text));
        memcpy(text, "/first", 6);
        strcpy(text + sizeof(text) - 6, "/last");
        text_plain(text, buffer, sizeof(buffer));
        assert_int_equal(strlen(buffer), sizeof(buffer) - 1);
        assert_memory_equal(buffer, "/firstxxxxxxxxxxxxxx…xxx", 26);
        assert_string_equal(buffer + strlen(buffer) - 8, "xxx/last");
        assert_string_equal(text_plain("123456789012345", small, sizeof(small)), "123456789012345");
        assert_string_equal(text_plain("1234567890123456", small, sizeof(small)), "1234…90123456");
        assert_string_equal(text_plain("\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae\xe2\x80\xae",
                                            small, sizeof(small)),
                        "???…??????");
        assert_string_equal(text_plain("漢漢漢漢漢漢漢漢", small, sizeof(small)), "漢…漢漢");
}

/* Whatever the bytes are, what comes out fits, and is plain. */
static void test_any_bytes(void **state)
{
        unsigned int seed = 1;

        (void) state;
        for (unsigned int round = 0; round < 20000; round++) {
                char text[64], buffer[48];
                size_t size = 16 + rand_r(&seed) % 32, length;

                for (size_t i = 0; i < sizeof(text); i++)
                        text[i] = rand_r(&seed);
                text[rand_r(&seed) % sizeof(text)] = '\0';
                text[sizeof(text) - 1] = '\0';
                length = strlen(text_plain(text, buffer, size));
                assert_true(length < size);
                for (size_t i = 0; i < length;) {
                        uint32_t character;

                        i += utf8_decode(buffer + i, length - i, &character);
                        assert_true(character_is_plain(character));
                }
        }
}

/* What a shell makes of it is the text again; no newline or escape sequence comes to a terminal. */
static void test_shell_quote(void **state)
{
        static const struct {
                const char *text, *quoted;
        } cases[] = {
                { "/sys/fs/bpf/x", "'/sys/fs/bpf/x'" },
                { "a b", "'a b'" },
                { "", "''" },
                { "it's; rm *", "'it'\\''s; rm *'" },
                { "$HOME\\n`id`", "'$HOME\\n`id`'" },
                { "a\nb", "$'a\\012b'" },
                { "a\n1'\\", "$'a\\0121\\'\\\\'" },
                { "caf\xc3\xa9 \xff", "$'caf\\303\\251 \\377'" },
                { "\x1b[31m\x7f", "$'\\033[31m\\177'" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *quoted = shell_quote(cases[i].text);

                assert_non_null(quoted);
                assert_string_equal(quoted, cases[i].quoted);
                free(quoted);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shell_quote),
                cmocka_unit_test(test_controls),
                cmocka_unit_test(test_directions_and_invisible),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_long),
                cmocka_unit_test(test_any_bytes),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
