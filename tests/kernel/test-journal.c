/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A daemon whose journal is stuck, restarted, or sent names that anybody makes: the socket is the test's, in a mount
 * namespace of its own, where /run and bpffs are its own, too. Needs root and a memory controller.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/cgroupfs.h"
#include "tests/client.h"

#define MIB          (1024 * 1024)
#define SECOND       1000000ULL
#define TIMEOUT_MSEC 60000

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define RECORD         "/run/bpfbudget/frozen"
#define LOST           "/run/bpfbudget/lost-messages"
#define UNIFIED        "/sys/fs/cgroup/unified"

/* The bound of the flush at the end, and what a busy machine adds; the daemon's own promise is a second. */
#define END_USEC (3 * SECOND)

/* --- The journal -------------------------------------------------------------------------------------------------- */

static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };

static int open_journal(void)
{
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void close_journal(int fd)
{
        close(fd);
        assert_int_equal(unlink(JOURNAL_SOCKET), 0);
}

/* Sends until nothing more fits. */
static void fill_journal(void)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        while (sendto(fd, "MESSAGE=x\n", 10, 0, (const struct sockaddr *) &address, sizeof(address)) == 10)
                ;
        assert_int_equal(errno, EAGAIN);
}

/* The next entry that has @text in it, and is valid until the next call. Others are passed over. */
static const char *next_entry(int fd, const char *text)
{
        static char entry[65536];
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t n;

        do {
                if (poll(&ready, 1, TIMEOUT_MSEC) != 1)
                        fail_msg("no entry has \"%s\"", text);
                n = recv(fd, entry, sizeof(entry) - 1, 0);
                assert_true(n > 0);
                entry[n] = '\0';
                /* Lengths of fields with newlines have zeroes. */
                for (ssize_t i = 0; i < n; i++)
                        if (!entry[i])
                                entry[i] = '0';
        } while (!strstr(entry, text));
        return entry;
}

/* --- Processes ---------------------------------------------------------------------------------------------------- */

struct process {
        pid_t pid;
        int errors; /* its stderr: a file, which it takes for the journal's stream */
        char socket[96];
};

/* Runs the daemon with these arguments (NULL ends them). */
static void run(struct process *process, const char *first, ...)
{
        char *argv[8] = { getenv("BPFBUDGETD"), (char *) first }, stream[64];
        struct stat st;
        va_list ap;

        if (!argv[0])
                argv[0] = (char *) "/usr/sbin/bpfbudgetd";
        va_start(ap, first);
        for (size_t i = 2; i < 7 && (argv[i] = va_arg(ap, char *)); i++)
                ;
        va_end(ap);
        process->errors = memfd_create("stderr", MFD_CLOEXEC);
        assert_int_equal(fstat(process->errors, &st), 0);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
        process->pid = fork();
        assert_true(process->pid >= 0);
        if (process->pid > 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("JOURNAL_STREAM", stream, 1);
        unsetenv("NOTIFY_SOCKET");
        dup2(process->errors, STDERR_FILENO);
        execv(argv[0], argv);
        _exit(127);
}

/* Waits for its end, at most END_USEC. Returns its exit status. */
static int reap(struct process *process)
{
        uint64_t begin = now_usec();
        int status;

        while (waitpid(process->pid, &status, WNOHANG) == 0) {
                if (now_usec() - begin > END_USEC) {
                        kill(process->pid, SIGKILL);
                        waitpid(process->pid, &status, 0);
                        fail_msg("it does not end");
                }
                sleep_msec(5);
        }
        print_message("# ended in %llu ms\n", (unsigned long long) (now_usec() - begin) / 1000);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What it wrote to stderr. To be freed. */
static char *errors_of(struct process *process)
{
        char *text = calloc(1, 65536);

        assert_non_null(text);
        assert_true(pread(process->errors, text, 65535, 0) >= 0);
        close(process->errors);
        return text;
}

/* Asks the daemon for its version until it answers, at most for TIMEOUT_MSEC. */
static void wait_answer(const struct process *process)
{
        uint64_t end = now_usec() + TIMEOUT_MSEC * 1000ULL;
        struct client client;
        const char *reply;
        size_t length;

        while (client_connect(&client, process->socket) < 0) {
                if (now_usec() > end)
                        fail_msg("the daemon does not listen");
                sleep_msec(10);
        }
        assert_int_equal(client_send(&client, "{\"method\":\"org.varlink.service.GetInfo\"}"), 0);
        reply = client_receive(&client, TIMEOUT_MSEC, &length);
        assert_non_null(reply);
        assert_non_null(strstr(reply, "bpfbudgetd"));
        client_close(&client);
}

static void start(struct process *process, const char *config)
{
        snprintf(process->socket, sizeof(process->socket), "%s/socket", config);
        run(process, "--config", config, "--socket", process->socket, NULL);
        wait_answer(process);
}

/* --- Stuck -------------------------------------------------------------------------------------------------------- */

/* It starts, answers and ends while nobody reads the journal. */
static void test_stuck(void **state)
{
        _cleanup_free_ char *errors = NULL;
        struct process process;
        int journal = open_journal();
        char config[64];

        (void) state;
        config_make(config);
        fill_journal();
        start(&process, config);
        for (int i = 0; i < 20; i++)
                assert_int_equal(kill(process.pid, SIGHUP), 0);
        wait_answer(&process);
        assert_int_equal(kill(process.pid, SIGTERM), 0);
        assert_int_equal(reap(&process), 0);
        errors = errors_of(&process);
        assert_string_equal(errors, "");
        close_journal(journal);
}

/* Nobody reads for a while: all of it comes then, in order. */
static void test_flows_again(void **state)
{
        struct process process;
        int journal = open_journal();
        char config[64];

        (void) state;
        config_make(config);
        fill_journal();
        start(&process, config);
        next_entry(journal, "MESSAGE=Watching");
        assert_int_equal(kill(process.pid, SIGTERM), 0);
        next_entry(journal, "MESSAGE=Received SIGTERM");
        next_entry(journal, "MESSAGE=Wake-ups");
        assert_int_equal(reap(&process), 0);
        close(process.errors);
        close_journal(journal);
}

#define FLOOD_FILES   15
#define FLOOD_LINES   100 /* as many errors of a file are reported */
#define FLOOD_RELOADS 8

/* Has @process report FLOOD_FILES * FLOOD_LINES * FLOOD_RELOADS errors of files in @config. */
static void flood(const struct process *process, const char *config)
{
        char text[FLOOD_LINES * 192], *end = stpcpy(text, "[Match]\nCgroup=/nobody\n[Budget]\nHigh=1M\n");
        struct client client;
        size_t length;

        for (unsigned int i = 0; i < FLOOD_LINES; i++)
                end += sprintf(end, "Nonsense%0150u=1\n", i);
        for (unsigned int i = 0; i < FLOOD_FILES; i++) {
                char name[32];

                snprintf(name, sizeof(name), "%u.budget", i);
                config_write(config, name, text);
        }
        assert_int_equal(client_connect(&client, process->socket), 0);
        for (unsigned int i = 0; i < FLOOD_RELOADS; i++) {
                assert_int_equal(client_send(&client, "{\"method\":\"io.bpfbudget.Reload\"}"), 0);
                assert_non_null(client_receive(&client, TIMEOUT_MSEC, &length));
        }
        client_close(&client);
}

/* What does not fit into the queue is counted, the count comes first, and what is neither taken nor counted there is
 * none. */
static void test_overflow(void **state)
{
        struct process process;
        int journal = open_journal();
        unsigned long lost;
        unsigned int taken = 0;
        char config[64];

        (void) state;
        config_make(config);
        start(&process, config);
        next_entry(journal, "MESSAGE=Watching");
        fill_journal();
        flood(&process, config);
        lost = strtoul(strstr(next_entry(journal, "BPFBUDGET_LOST="), "LOST=") + strlen("LOST="), NULL, 10);
        assert_in_range(lost, 1000, FLOOD_FILES * FLOOD_LINES * FLOOD_RELOADS);
        /* One was on its way. */
        assert_int_equal(kill(process.pid, SIGTERM), 0);
        while (!strstr(next_entry(journal, "MESSAGE="), "MESSAGE=Wake-ups"))
                taken++;
        print_message("# %u messages after %lu that were lost\n", taken, lost);
        /* Those of each reload beside, and at the end. */
        assert_in_range(taken + lost, FLOOD_FILES * FLOOD_LINES * FLOOD_RELOADS - 1,
                        FLOOD_FILES * FLOOD_LINES * FLOOD_RELOADS + 2 * FLOOD_RELOADS + 2);
        assert_int_equal(reap(&process), 0);
        close(process.errors);
        close_journal(journal);
}

/* Makes cgroup @number of cgroup v2, frozen. Returns its line of the record, to be freed. */
static char *make_frozen(unsigned int number, char directory[128])
{
        _cleanup_close_ int fd = -1, state = -1;
        char *line, path[512];
        uint64_t id;

        snprintf(directory, 128, UNIFIED "/bpfbudget-journal-%d-%u", (int) getpid(), number);
        assert_int_equal(mkdir(directory, 0755), 0);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(cgroupfs_id_of(fd, &id), 0);
        snprintf(path, sizeof(path), "%s/cgroup.freeze", directory);
        state = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(state, "1", 1), 1);
        assert_true(asprintf(&line, "%llu %s\n", (unsigned long long) id, directory) > 0);
        return line;
}

static char freeze_of(const char *directory)
{
        _cleanup_close_ int fd = -1;
        char path[512], text = '?';

        snprintf(path, sizeof(path), "%s/cgroup.freeze", directory);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, &text, 1), 1);
        return text;
}

/* --release thaws all of them, and its words, which nobody took, are counted and told by the next process. */
static void test_release(void **state)
{
        _cleanup_free_ char *errors = NULL;
        char directories[3][128];
        struct process process;
        int journal;
        FILE *record;

        (void) state;
        if (access(UNIFIED "/cgroup.procs", F_OK) < 0)
                skip();
        journal = open_journal();
        record = fopen(RECORD, "we");
        assert_non_null(record);
        for (unsigned int i = 0; i < 3; i++) {
                _cleanup_free_ char *line = make_frozen(i, directories[i]);

                fputs(line, record);
        }
        fclose(record);
        fill_journal();
        run(&process, "--release", NULL);
        assert_int_equal(reap(&process), 0);
        errors = errors_of(&process);
        assert_string_equal(errors, "");
        for (unsigned int i = 0; i < 3; i++) {
                assert_int_equal(freeze_of(directories[i]), '0');
                assert_int_equal(rmdir(directories[i]), 0);
        }
        assert_int_equal(access(RECORD, F_OK), -1);
        assert_int_equal(access(LOST, F_OK), 0);
        close_journal(journal);
        journal = open_journal();
        run(&process, "--release", NULL);
        assert_non_null(strstr(next_entry(journal, "BPFBUDGET_LOST="), "BPFBUDGET_LOST=3\n"));
        assert_int_equal(reap(&process), 0);
        close(process.errors);
        assert_int_equal(access(LOST, F_OK), -1);
        close_journal(journal);
}

/* --- Alerts ------------------------------------------------------------------------------------------------------- */

static void rename_and_grow(void *argument)
{
        (void) argument;
        prctl(PR_SET_NAME, "a\nb\x1b[31m\xff");
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "large", 4, 2 * MIB, 1, NULL);
}

/*
 * A name is text in MESSAGE, and has its bytes in its field. While journald is restarted an alert waits for it, and it
 * has its fields.
 */
static void test_restart(void **state)
{
        _cleanup_free_ char *errors = NULL;
        struct test_cgroup cgroup;
        struct process process;
        struct worker worker;
        char config[64], field[300];
        const char *entry;
        int journal = open_journal();

        (void) state;
        cgroup_make(&cgroup, NULL, "journal");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=1M");
        start(&process, config);
        snprintf(field, sizeof(field), "\nCGROUP=%s\n", cgroup.path);
        worker_start(&worker, &cgroup, rename_and_grow, NULL);
        entry = next_entry(journal, ": BPF memory is ");
        assert_non_null(strstr(entry, field));
        assert_non_null(strstr(entry, "is over High of budget test: 2.0M"));
        /* Where a hook tells who it was. */
        if (!strstr(entry, "BPFBUDGET_COMM=unknown")) {
                assert_non_null(strstr(entry, "; growth by a?b?[31m?"));
                assert_non_null(strstr(entry, "a\nb\x1b[31m\xff\n"));
        }
        close_journal(journal);
        worker_end(&worker);
        sleep_msec(500);
        wait_answer(&process);
        journal = open_journal();
        entry = next_entry(journal, ": BPF memory is ");
        /* The journal went right after it had taken the first one: the daemon cannot know that, and sends it again. */
        if (strstr(entry, "is over High of budget test: 2.0M"))
                entry = next_entry(journal, ": BPF memory is ");
        assert_non_null(strstr(entry, field));
        assert_non_null(strstr(entry, "is within the limits of budget test"));
        assert_non_null(strstr(entry, "BPFBUDGET_STATE=ok\n"));
        assert_int_equal(kill(process.pid, SIGTERM), 0);
        assert_int_equal(reap(&process), 0);
        errors = errors_of(&process);
        assert_string_equal(errors, "");
        close_journal(journal);
        cgroup_remove(&cgroup);
}

/* --- Without a journal -------------------------------------------------------------------------------------------- */

/* A socket of the service manager that is full, and not read. */
static int open_notify(const char *config)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), from;

        snprintf(name.sun_path, sizeof(name.sun_path), "%s/notify", config);
        assert_int_equal(bind(fd, (struct sockaddr *) &name, sizeof(name)), 0);
        from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        while (sendto(from, "x", 1, 0, (struct sockaddr *) &name, sizeof(name)) == 1)
                ;
        close(from);
        setenv("NOTIFY_SOCKET", name.sun_path, 1);
        return fd;
}

/* Nobody reads what SIGUSR1 has it write, nor stderr, nor what the service manager is told. */
static void test_pipes(void **state)
{
        char config[64], socket[96];
        struct process process = { .errors = -1 };
        int out[2], manager;

        (void) state;
        config_make(config);
        manager = open_notify(config);
        snprintf(process.socket, sizeof(process.socket), "%s/socket", config);
        strcpy(socket, process.socket);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        process.pid = fork();
        assert_true(process.pid >= 0);
        if (process.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(out[1], STDOUT_FILENO);
                dup2(out[1], STDERR_FILENO);
                execl(getenv("BPFBUDGETD") ?: "/usr/sbin/bpfbudgetd", "bpfbudgetd", "--config", config, "--socket",
                                socket, NULL);
                _exit(127);
        }
        close(out[1]);
        wait_answer(&process);
        for (int i = 0; i < 200; i++) {
                kill(process.pid, i % 2 ? SIGUSR1 : SIGHUP);
                sleep_msec(2);
        }
        wait_answer(&process);
        assert_int_equal(kill(process.pid, SIGTERM), 0);
        assert_int_equal(reap(&process), 0);
        close(out[0]);
        close(manager);
        unsetenv("NOTIFY_SOCKET");
}

/* Mounts that nobody else sees. */
static int set_up_namespace(void)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                        mount("none", "/run", "tmpfs", 0, "mode=755") < 0 ||
                        mount("none", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
                return -errno;
        return mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0 ||
                                               mkdir("/run/bpfbudget", 0755) < 0
                               ? -errno
                               : 0;
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_stuck, harness_teardown),
                cmocka_unit_test_teardown(test_flows_again, harness_teardown),
                cmocka_unit_test_teardown(test_overflow, harness_teardown),
                cmocka_unit_test_teardown(test_release, harness_teardown),
                cmocka_unit_test_teardown(test_restart, harness_teardown),
                cmocka_unit_test_teardown(test_pipes, harness_teardown),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        r = set_up_namespace();
        if (r < 0) {
                printf("Bail out! no namespace: %s\n", strerror(-r));
                return 1;
        }
        return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
