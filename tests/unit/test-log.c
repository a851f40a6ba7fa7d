/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a message goes: each case in a process of its own, as what stderr is is asked once. */
#include <errno.h>
#include <fcntl.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/log.h"

static int journal_result;
static bool no_socket;                     /* of the journal */
static unsigned int refusals;              /* that come first: the journal is restarted */
static volatile unsigned int calls, asked; /* of sd_journal_sendv(), and for the socket after it */

int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
        assert_string_equal(path, "/run/systemd/journal/socket");
        assert_int_equal(mode, F_OK);
        errno = ENOENT;
        if (no_socket) {
                asked++;
                return -1;
        }
        asked++;
        return 0;
}

/* Writes to stderr, too, so that one file has it all: "journal <4> it", and fields beside. As libsystemd does, it takes
 * what there is no socket for. */
int sd_journal_sendv(const struct iovec *fields, int count)
{
        const char *message = fields[0].iov_base, *priority = fields[1].iov_base;

        calls++;
        if (refusals > 0) {
                refusals--;
                return -ECONNREFUSED;
        }
        if (journal_result < 0 || no_socket)
                return journal_result;
        if (count < 2 || strncmp(message, "MESSAGE=", 8) != 0 || strncmp(priority, "PRIORITY=", 9) != 0)
                _exit(9);
        dprintf(STDERR_FILENO, "journal <%.*s> %.*s", (int) fields[1].iov_len - 9, priority + 9,
                        (int) fields[0].iov_len - 8, message + 8);
        for (int i = 2; i < count; i++)
                dprintf(STDERR_FILENO, " %.*s", (int) fields[i].iov_len, (const char *) fields[i].iov_base);
        dprintf(STDERR_FILENO, "\n");
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
        char text[LOG_LINE_SIZE + 512] = "";
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

/* What the journal does not take goes to stderr: journald knows whose stream it is, and takes the priority off. */
static void test_journal_fails(void **state)
{
        (void) state;
        journal_result = -EIO;
        assert_written(JOURNAL_STREAM, write_one, "<4>it costs 5\n");
        journal_result = 0;
        /* There has never been one: only the stream leads to it. */
        no_socket = true;
        assert_written(JOURNAL_STREAM, write_one, "<4>it costs 5\n");
        no_socket = false;
        /* Nobody waits for it without a thread. */
        refusals = 1;
        assert_written(JOURNAL_STREAM, write_one, "<4>it costs 5\n");
        refusals = 0;
}

static void write_entry(void)
{
        struct iovec *fields = calloc(2, sizeof(*fields));

        if (!fields)
                _exit(3);
        fields[0].iov_base = strdup("CGROUP=/a\xff");
        fields[1].iov_base = strdup("BPFBUDGET_COMM=a\nb");
        for (int i = 0; i < 2; i++)
                fields[i].iov_len = strlen(fields[i].iov_base);
        log_entry(LOG_ERR, "a\nb", fields, 2);
}

/* An entry goes to the journal whatever stderr is; the fields have their exact bytes. */
static void test_entry(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_entry, "journal <3> a?b CGROUP=/a\xff BPFBUDGET_COMM=a\nb\n");
        assert_written(NO_STREAM, write_entry, "journal <3> a?b CGROUP=/a\xff BPFBUDGET_COMM=a\nb\n");
}

#define ENTRY_JSON                                                                                     \
        "{\"SYSLOG_IDENTIFIER\":\"me\",\"PRIORITY\":\"3\",\"MESSAGE\":\"a?b\",\"CGROUP\":[47,97,255]," \
        "\"BPFBUDGET_COMM\":\"a\\nb\"}\n"

/* Without a journal, as in a container, the fields are on stderr, for who collects it. */
static void test_entry_json(void **state)
{
        (void) state;
        no_socket = true;
        assert_written(NO_STREAM, write_entry, ENTRY_JSON);
        assert_written(OTHER_INODE, write_entry, ENTRY_JSON);
        /* journald would show the braces to people. */
        assert_written(JOURNAL_STREAM, write_entry, "<3>a?b\n");
        no_socket = false;
        refusals = 1;
        assert_written(NO_STREAM, write_entry, ENTRY_JSON);
        refusals = 0;
}

/* Of the pseudoterminal that stderr becomes. */
static int terminal = -1;

static void write_entry_to_terminal(void)
{
        char text[256] = "";
        int slave;

        terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
                _exit(5);
        slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0 || dup2(slave, STDERR_FILENO) < 0)
                _exit(6);
        write_entry();
        if (read(terminal, text, sizeof(text) - 1) <= 0 || strcmp(text, "me: a?b\r\n") != 0)
                _exit(7);
}

static void test_entry_terminal(void **state)
{
        (void) state;
        no_socket = true;
        assert_written(NO_STREAM, write_entry_to_terminal, "");
        no_socket = false;
}

static void write_names(void)
{
        char path[6000];

        log_warning("%s in \xe2\x80\xae%s", "a\nb\x1b[31m\xff", "x");
        memset(path, 'x', sizeof(path));
        path[sizeof(path) - 1] = '\0';
        log_warning("%.40s cannot be read", path);
}

/* Nobody makes a second line, or controls a terminal. */
static void test_names(void **state)
{
        (void) state;
        assert_written(NO_STREAM, write_names,
                        "me: a?b?[31m? in ???x\nme: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx cannot be read\n");
        assert_written(JOURNAL_STREAM, write_names,
                        "journal <4> a?b?[31m? in ???x\njournal <4> xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx cannot be "
                        "read\n");
}

static void write_long(void)
{
        char path[6000], line[64];

        memset(path, 'x', sizeof(path));
        path[sizeof(path) - 1] = '\0';
        log_warning("%s: it costs 5", path);
        snprintf(line, sizeof(line), "and %d", LOG_LINE_SIZE);
        log_warning("%s", line);
}

static void test_long(void **state)
{
        char expected[LOG_LINE_SIZE + 64] = "me: ", *end = expected + 4;
        size_t room = LOG_LINE_SIZE - sizeof("…"), tail = room - room / 3;

        (void) state;
        memset(end, 'x', room - tail);
        end = stpcpy(end + room - tail, "…");
        memset(end, 'x', tail);
        strcpy(end + tail - strlen(": it costs 5"), ": it costs 5\nme: and 4096\n");
        assert_written(NO_STREAM, write_long, expected);
}

/* --- With a thread ------------------------------------------------------------------------------------------------ */

static void write_by_thread(void)
{
        log_start(7);
        errno = ENOTDIR;
        log_warning("one");
        if (errno != ENOTDIR)
                _exit(2);
        log_error("two");
        log_identified("5eb", LOG_WARNING, "three %d", 3);
        write_entry();
        if (log_stop() != 0)
                _exit(4);
}

static void write_identified(void)
{
        log_identified("5eb", LOG_WARNING, "three %d", 3);
}

/* The ID does not take a message from whoever reads stderr. */
static void test_identified(void **state)
{
        (void) state;
        assert_written(NO_STREAM, write_identified, "me: three 3\n");
        assert_written(JOURNAL_STREAM, write_identified, "journal <4> three 3 MESSAGE_ID=5eb\n");
}

#define LOST    "messages were lost: the journal, or whoever reads stderr, did not take them"
#define LOST_ID " MESSAGE_ID=6b52e7d5de6147bb913f10a82de508e8 "

static void test_thread(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_by_thread,
                        "journal <4> 7 " LOST LOST_ID "BPFBUDGET_LOST=7\njournal <4> one\njournal <3> two\njournal <4> "
                        "three 3 MESSAGE_ID=5eb\njournal <3> a?b "
                        "CGROUP=/a\xff BPFBUDGET_COMM=a\nb\n");
        no_socket = true;
        assert_written(NO_STREAM, write_by_thread,
                        "{\"SYSLOG_IDENTIFIER\":\"me\",\"PRIORITY\":\"4\",\"MESSAGE\":\"7 " LOST
                        "\",\"MESSAGE_ID\":\"6b52e7d5de6147bb913f10a82de508e8\",\"BPFBUDGET_LOST\":\"7\"}\nme: "
                        "one\nme: two\nme: three 3\n" ENTRY_JSON);
        no_socket = false;
}

/* While journald is restarted, alerts wait, and keep their fields. */
static void write_at_restart(void)
{
        log_start(0);
        log_info("zero");
        while (asked == 0)
                usleep(1000);
        refusals = 2;
        log_warning("one");
        write_entry();
        if (log_stop() != 0)
                _exit(4);
}

static void test_restart(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_at_restart,
                        "journal <6> zero\njournal <4> one\njournal <3> a?b CGROUP=/a\xff BPFBUDGET_COMM=a\nb\n");
}

static void write_one_by_thread(void)
{
        refusals = UINT32_MAX;
        log_start(0);
        log_warning("one");
        if (log_stop() != 0)
                _exit(4);
}

/* Nobody has ever listened there, as with InaccessiblePaths=: that is not waited for. */
static void test_never_there(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_one_by_thread, "<4>one\n");
}

/* It was there, and its socket is not. */
static void write_without_socket(void)
{
        log_start(0);
        log_warning("one");
        while (asked == 0)
                usleep(1000);
        no_socket = true;
        write_entry();
        while (calls < 3)
                usleep(1000);
        no_socket = false;
        if (log_stop() != 0)
                _exit(4);
}

static void test_socket_is_gone(void **state)
{
        (void) state;
        assert_written(JOURNAL_STREAM, write_without_socket,
                        "journal <4> one\njournal <3> a?b CGROUP=/a\xff BPFBUDGET_COMM=a\nb\n");
}

/* stderr is a pipe that nobody reads. */
static void write_to_nobody(void)
{
        struct timespec begin, end;
        uint64_t lost;
        int pipes[2];

        if (pipe(pipes) < 0 || dup2(pipes[1], STDERR_FILENO) < 0)
                _exit(1);
        log_start(0);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned int i = 0; i < 50000; i++)
                log_warning("%08u %064d", i, 0);
        lost = log_stop();
        clock_gettime(CLOCK_MONOTONIC, &end);
        /* Some are in the pipe, the others are all counted. */
        if (lost < 49000 || lost >= 50000)
                _exit(5);
        if (end.tv_sec - begin.tv_sec > 10)
                _exit(6);
}

static void test_nobody_reads(void **state)
{
        (void) state;
        assert_written(NO_STREAM, write_to_nobody, "");
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
                cmocka_unit_test(test_entry),
                cmocka_unit_test(test_entry_json),
                cmocka_unit_test(test_entry_terminal),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_long),
                cmocka_unit_test(test_identified),
                cmocka_unit_test(test_thread),
                cmocka_unit_test(test_restart),
                cmocka_unit_test(test_never_there),
                cmocka_unit_test(test_socket_is_gone),
                cmocka_unit_test(test_nobody_reads),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
