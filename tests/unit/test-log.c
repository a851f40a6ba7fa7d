/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a message goes: each case in a process of its own, as what stderr is is asked once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/log.h"

static int journal_result;

/* Writes to stderr, too, so that one file has it all. */
int sd_journal_printv(int priority, const char *format, va_list ap)
{
        if (journal_result < 0)
                return journal_result;
        fprintf(stderr, "journal <%d> ", priority);
        vfprintf(stderr, format, ap);
        fputc('\n', stderr);
        errno = EBADF;
        return journal_result;
}

enum stream {
        NO_STREAM,
        OTHER_DEVICE,
        OTHER_INODE,
        DAMAGED_STREAM,
        JOURNAL_STREAM,
};

static void set_stream(enum stream stream)
{
        char text[64];
        struct stat st;

        if (stream == NO_STREAM) {
                unsetenv("JOURNAL_STREAM");
                return;
        }
        if (fstat(STDERR_FILENO, &st) < 0)
                _exit(1);
        snprintf(text, sizeof(text), stream == DAMAGED_STREAM ? "%llu-%llu" : "%llu:%llu",
                        (unsigned long long) st.st_dev + (stream == OTHER_DEVICE),
                        (unsigned long long) st.st_ino + (stream == OTHER_INODE));
        setenv("JOURNAL_STREAM", text, 1);
}

/* What is written by @write in a process whose stderr is a file, with $JOURNAL_STREAM by @stream. */
static void assert_written(enum stream stream, void (*write_messages)(void), const char *expected)
{
        FILE *file = tmpfile();
        char text[512] = "";
        int status;
        pid_t pid;

        assert_non_null(file);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (dup2(fileno(file), STDERR_FILENO) < 0)
                        _exit(1);
                set_stream(stream);
                strcpy(program_invocation_short_name, "me");
                write_messages();
                fflush(stderr);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        rewind(file);
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
        assert_string_equal(text, expected);
        assert_int_equal(status, 0);
}

static void write_one(void)
{
        errno = ENOTDIR;
        log_warning("%s costs %d", "it", 5);
        if (errno != ENOTDIR)
                _exit(2);
}

static void test_stderr(void **state)
{
        (void) state;
        assert_written(NO_STREAM, write_one, "me: it costs 5\n");
        assert_written(OTHER_DEVICE, write_one, "me: it costs 5\n");
        assert_written(OTHER_INODE, write_one, "me: it costs 5\n");
        assert_written(DAMAGED_STREAM, write_one, "me: it costs 5\n");
}

static void test_journal(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_one, "journal <4> it costs 5\n");
}

/* What the journal does not take goes to stderr. */
static void test_journal_fails(void **state)
{
        (void) state;
        journal_result = -EIO;
        assert_written(JOURNAL_STREAM, write_one, "me: it costs 5\n");
        journal_result = 0;
}

static void write_all_levels(void)
{
        if (log_max_level() != LOG_INFO)
                _exit(3);
        log_error("error");
        log_warning("warning");
        log_info("info");
        log_debug("debug");
        log_set_max_level(LOG_DEBUG);
        if (log_max_level() != LOG_DEBUG)
                _exit(4);
        log_debug("debug");
        log_set_max_level(LOG_WARNING);
        log_info("info");
        log_warning("warning");
        log_error("error");
}

static void test_levels(void **state)
{
        (void) state;
        assert_written(NO_STREAM, write_all_levels,
                        "me: error\nme: warning\nme: info\nme: debug\nme: warning\nme: error\n");
        assert_written(JOURNAL_STREAM, write_all_levels,
                        "journal <3> error\njournal <4> warning\njournal <6> info\njournal <7> debug\njournal <4> "
                        "warning\njournal <3> error\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stderr),
                cmocka_unit_test(test_journal),
                cmocka_unit_test(test_journal_fails),
                cmocka_unit_test(test_levels),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
