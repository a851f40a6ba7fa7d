/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All of bpfbudgetctl, from its command line to what it prints and the status it ends with, against a daemon that
 * expects certain calls and answers what stands in the test.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

int ctl_main(int argc, char *argv[]);
#define main ctl_main
#include "base/cleanup.h"
#include "ctl/main.c"
#include "serve/failure.h"
#undef main

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Whatever hangs; an emulated machine takes seconds for a program with sanitizers. */
#define PATIENCE_MSEC (120 * 1000)

/* One call, as JSON with single quotes, and the messages that answer it, each with a "|" behind it. Without answers the
 * daemon closes the connection. */
struct exchange {
        const char *call, *answers;
};

#define CALL(method, parameters) "{'method': '" method "', 'parameters': " parameters "}"
#define MORE(method, parameters) "{'method': '" method "', 'parameters': " parameters ", 'more': true}"

static char directory[64], socket_path[96];

/* What the program under test wrote, and its exit status; -1: a signal ended it. */
static char *out, *err;
static int status;

/* The width of the terminal that it runs on; 0: it runs on none. */
static unsigned short terminal;

/* Where its output goes instead; NULL: to @out. */
static const char *output;

/* Whether what is not freed fails it as well: that takes three times as long. */
static bool leaks;

/* Asked by LeakSanitizer at the end of a process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
        return !leaks;
}

/* --- The program under test --------------------------------------------------------------------------------------- */

static int open_terminal(int *slave)
{
        struct winsize size = { .ws_row = 40, .ws_col = terminal };
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

        assert_true(master >= 0);
        assert_int_equal(grantpt(master), 0);
        assert_int_equal(unlockpt(master), 0);
        *slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(*slave >= 0);
        assert_int_equal(ioctl(*slave, TIOCSWINSZ, &size), 0);
        return master;
}

static int open_file(const char *name)
{
        char path[128];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        return fd;
}

/* Calls ctl_main() with the words of @command. */
static int call_main(const char *command)
{
        char words[512], socket_option[128], *argv[32] = { (char *) "bpfbudgetctl", socket_option }, *saved;
        int argc = 2;

        snprintf(words, sizeof(words), "%s", command);
        snprintf(socket_option, sizeof(socket_option), "--socket=%s", socket_path);
        for (char *word = strtok_r(words, " ", &saved); word; word = strtok_r(NULL, " ", &saved))
                argv[argc++] = word;
        program_invocation_short_name = argv[0];
        optind = 0;
        opterr = 1;
        return ctl_main(argc, argv);
}

static bool ignore_pipe; /* as a service does (IgnoreSIGPIPE= in systemd.exec(5)) */

/* Runs @command in a process of its own, whose end is the end of @alive. */
static pid_t start(const char *command, int stdout_fd, int stderr_fd, int alive)
{
        pid_t pid;

        fflush(NULL);
        pid = fork();
        if (pid != 0)
                return pid;
        signal(SIGPIPE, ignore_pipe ? SIG_IGN : SIG_DFL);
        if (dup2(stdout_fd, STDOUT_FILENO) < 0 || dup2(stderr_fd, STDERR_FILENO) < 0 || fcntl(alive, F_SETFD, 0) < 0)
                _exit(99);
        if (terminal && dup2(stdout_fd, STDIN_FILENO) < 0)
                _exit(99);
        exit(call_main(command));
}

static char *read_all(int fd)
{
        struct stat st;
        char *text;

        assert_int_equal(fstat(fd, &st), 0);
        text = calloc(1, st.st_size + 1);
        assert_non_null(text);
        assert_int_equal(pread(fd, text, st.st_size, 0), st.st_size);
        close(fd);
        return text;
}

/* --- The daemon --------------------------------------------------------------------------------------------------- */

static char *with_quotes(const char *text)
{
        char *copy = strdup(text);

        assert_non_null(copy);
        for (char *c = copy; *c; c++)
                if (*c == '\'')
                        *c = '"';
        return copy;
}

static json_t *parse(const char *text)
{
        char *copy = with_quotes(text);
        json_error_t error;
        json_t *json = json_loads(copy, 0, &error);

        if (!json)
                fail_msg("%s in: %s", error.text, copy);
        free(copy);
        return json;
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 5), 0);
        return fd;
}

/* Writes the messages of @answers. What the client does not read any more is lost. */
static void send_answers(int fd, const char *answers)
{
        char *text = with_quotes(answers);
        size_t n = strlen(text);

        for (size_t i = 0; i < n; i++)
                if (text[i] == '|')
                        text[i] = '\0';
        for (size_t i = 0; i < n;) {
                ssize_t sent = send(fd, text + i, n - i, MSG_NOSIGNAL);

                if (sent <= 0)
                        break;
                i += sent;
        }
        free(text);
}

/* A client has one connection, top two. */
struct connection {
        int fd; /* -1: none */
        char request[8192];
        size_t size;
};

struct daemon {
        const struct exchange *script;
        size_t count, done;
        int listener;
        struct connection connections[2];
        char wrong[9000]; /* what did not go as it is written */
};

static void answer_request(struct daemon *daemon, struct connection *connection)
{
        const struct exchange *exchange = &daemon->script[daemon->done];
        json_t *call, *expected;

        if (daemon->done == daemon->count) {
                snprintf(daemon->wrong, sizeof(daemon->wrong), "one call too many: %s", connection->request);
                return;
        }
        call = json_loads(connection->request, 0, NULL);
        expected = parse(exchange->call);
        if (!json_equal(call, expected))
                snprintf(daemon->wrong, sizeof(daemon->wrong), "call %zu: %s", daemon->done, connection->request);
        daemon->done++;
        json_decref(call);
        json_decref(expected);
        if (exchange->answers)
                send_answers(connection->fd, exchange->answers);
        else
                shutdown(connection->fd, SHUT_RDWR);
}

static void take_request(struct daemon *daemon, struct connection *connection)
{
        ssize_t n = recv(connection->fd, connection->request + connection->size,
                        sizeof(connection->request) - connection->size, 0);
        char *end;

        if (n <= 0) {
                close(connection->fd);
                connection->fd = -1;
                return;
        }
        connection->size += n;
        while ((end = memchr(connection->request, '\0', connection->size)) && !*daemon->wrong) {
                size_t length = end - connection->request + 1;

                answer_request(daemon, connection);
                memmove(connection->request, connection->request + length, connection->size - length);
                connection->size -= length;
        }
}

static void take_client(struct daemon *daemon)
{
        struct connection *connection = &daemon->connections[daemon->connections[0].fd >= 0];

        assert_int_equal(connection->fd, -1);
        connection->fd = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC);
        connection->size = 0;
}

/* Serves until the program ends. @alive is readable then; @master: what it writes to its terminal goes to @screen. */
static void serve(struct daemon *daemon, int alive, int master, FILE *screen)
{
        struct timespec start_time, now;
        char buffer[4096];
        bool ended = false;
        ssize_t n;

        clock_gettime(CLOCK_MONOTONIC, &start_time);
        while (!*daemon->wrong) {
                struct pollfd fds[] = {
                        { alive, POLLIN, 0 },
                        { daemon->listener, POLLIN, 0 },
                        { master, POLLIN, 0 },
                        { daemon->connections[0].fd, POLLIN, 0 },
                        { daemon->connections[1].fd, POLLIN, 0 },
                };

                /* What the program has sent before it ended is answered still. */
                if (poll(fds, LENGTH(fds), ended ? 0 : 1000) == 0 && ended)
                        break;
                clock_gettime(CLOCK_MONOTONIC, &now);
                if ((now.tv_sec - start_time.tv_sec) * 1000 > PATIENCE_MSEC)
                        strcpy(daemon->wrong, "it does not end");
                if (fds[2].revents & POLLIN && (n = read(master, buffer, sizeof(buffer))) > 0)
                        fwrite(buffer, 1, n, screen);
                if (fds[0].revents) {
                        ended = true;
                        alive = -1;
                }
                /* Both connections of top at once: it subscribes on the second one before it asks on the first. */
                if (fds[1].revents)
                        take_client(daemon);
                else if (fds[4].revents)
                        take_request(daemon, &daemon->connections[1]);
                else if (fds[3].revents)
                        take_request(daemon, &daemon->connections[0]);
                else if (ended && !(fds[2].revents & POLLIN))
                        break;
        }
}

/* What is still on the way when the program has ended. */
static void drain(int master, FILE *screen)
{
        char buffer[4096];
        ssize_t n;

        while ((n = read(master, buffer, sizeof(buffer))) > 0)
                fwrite(buffer, 1, n, screen);
}

/* --- Together ----------------------------------------------------------------------------------------------------- */

static void forget_results(void)
{
        free(out);
        free(err);
        out = err = NULL;
}

/* A terminal ends a line with two characters, and how many blanks are before that is libsmartcols' affair. */
static void trim_lines(char *text)
{
        char *to = text;

        for (const char *from = text; *from; from++) {
                if (*from == '\r')
                        continue;
                while (*from == '\n' && to > text && to[-1] == ' ')
                        to--;
                *to++ = *from;
        }
        *to = '\0';
}

static void run_script(const struct exchange *script, size_t count, const char *command)
{
        struct daemon daemon = { .script = script, .count = count, .connections = { { .fd = -1 }, { .fd = -1 } } };
        int fds[2], master = -1, slave = -1, err_fd = open_file("err"), out_fd, wait_status;
        size_t size = 0;
        FILE *screen = NULL;
        pid_t pid;

        forget_results();
        out_fd = output ? open(output, O_WRONLY | O_CLOEXEC) : open_file("out");
        assert_true(out_fd >= 0);
        if (terminal) {
                master = open_terminal(&slave);
                screen = open_memstream(&out, &size);
                assert_non_null(screen);
        }
        daemon.listener = listen_at(socket_path);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = start(command, terminal ? slave : out_fd, err_fd, fds[1]);
        assert_true(pid > 0);
        close(fds[1]);
        if (terminal)
                close(slave);
        serve(&daemon, fds[0], master, screen);
        if (*daemon.wrong)
                kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &wait_status, 0), pid);
        status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
        close(fds[0]);
        for (size_t i = 0; i < 2; i++)
                if (daemon.connections[i].fd >= 0)
                        close(daemon.connections[i].fd);
        close(daemon.listener);
        unlink(socket_path);
        if (terminal) {
                drain(master, screen);
                fclose(screen);
                close(master);
        }
        if (terminal || output)
                close(out_fd);
        else
                out = read_all(out_fd);
        if (out)
                trim_lines(out);
        err = read_all(err_fd);
        if (*daemon.wrong)
                fail_msg("%s: %s", command, daemon.wrong);
        if (daemon.done < count)
                fail_msg("%s: only %zu calls came; stderr: %s", command, daemon.done, err);
}

/* Runs the words of @command; what follows are exchanges with the daemon. */
#define run_ctl(command, ...)                                \
        run_script((const struct exchange[]){ __VA_ARGS__ }, \
                        sizeof((const struct exchange[]){ __VA_ARGS__ }) / sizeof(struct exchange), command)

/* Runs @command in this process, which is ten times as fast: only where no daemon is. */
static void run_here(const char *command)
{
        int saved_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10),
            saved_err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        int out_fd = open_file("out"), err_fd = open_file("err");

        assert_true(saved_out >= 0 && saved_err >= 0);
        forget_results();
        fflush(stdout);
        assert_int_equal(dup2(out_fd, STDOUT_FILENO), STDOUT_FILENO);
        assert_int_equal(dup2(err_fd, STDERR_FILENO), STDERR_FILENO);
        status = call_main(command);
        fflush(stdout);
        assert_int_equal(dup2(saved_out, STDOUT_FILENO), STDOUT_FILENO);
        assert_int_equal(dup2(saved_err, STDERR_FILENO), STDERR_FILENO);
        close(saved_out);
        close(saved_err);
        out = read_all(out_fd);
        err = read_all(err_fd);
}

static void assert_printed(const char *expected)
{
        assert_string_equal(err, "");
        assert_string_equal(out, expected);
        assert_int_equal(status, 0);
}

/* It ended with @expected_status and said @message, and nothing on stdout. */
static void assert_failed(int expected_status, const char *message)
{
        char *expected;

        assert_true(asprintf(&expected, "bpfbudgetctl: %s\n", message) > 0);
        assert_string_equal(err, expected);
        free(expected);
        if (out)
                assert_string_equal(out, "");
        assert_int_equal(status, expected_status);
}

static void assert_has(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("there is no \"%s\" in: %s", part, text);
}

/* Line @n of @text without its newline, valid until the next call. */
static const char *line_of(const char *text, size_t n)
{
        static char line[1024];

        for (; n > 0; n--) {
                text = strchr(text, '\n');
                assert_non_null(text);
                text++;
        }
        snprintf(line, sizeof(line), "%.*s", (int) strcspn(text, "\n"), text);
        return line;
}

static size_t count_lines(const char *text)
{
        size_t n = 0;

        while ((text = strchr(text, '\n'))) {
                text++;
                n++;
        }
        return n;
}

static int setup(void **state)
{
        (void) state;
        strcpy(directory, "/tmp/test-ctl-verbs-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
        terminal = 0;
        output = NULL;
        leaks = false;
        setenv("LC_ALL", "C.UTF-8", 1);
        setenv("TERM", "xterm", 1);
        unsetenv("SYSTEMD_COLORS");
        unsetenv("NO_COLOR");
        unsetenv("COLUMNS");
        unsetenv("JOURNAL_STREAM");
        setenv("SYSTEMD_PAGER", "cat", 1);
        return 0;
}

static int teardown(void **state)
{
        static const char *const names[] = { "out", "err", "socket", "a.budget", "b.budget", "less" };
        char path[128];

        (void) state;
        forget_results();
        for (size_t i = 0; i < LENGTH(names); i++) {
                snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
                unlink(path);
        }
        return rmdir(directory);
}

/* --- status, version ---------------------------------------------------------------------------------------------- */

#define INFO              CALL_NONE("org.varlink.service.GetInfo")
#define CALL_NONE(method) "{'method': '" method "'}"
#define MORE_NONE(method) "{'method': '" method "', 'more': true}"

#define STATISTICS(over)                                                                                      \
        "{'parameters': {'statistics': {'cgroups': 11, 'flushes': 12, 'fullPasses': 13, 'fullPassUSec': 14, " \
        "'wakeups': 15, 'overflows': 16, 'drift': 17, 'clients': 18, 'overHigh': " over                       \
        ", 'refusals': 19, 'throttles': 20, 'ownAllocated': 2048, 'possibleCpus': 64, 'onlineCpus': 2}}}|"
#define ROOT                                                                                                           \
        "{'parameters': {'cgroup': {'path': '/', 'id': 1, 'exists': true, 'bpf': {'allocated': 3072, 'charged': 2048," \
        " 'uncharged': 1024, 'mapCount': 3, 'programCount': 4}}}}|"

/* What status asks, in this order; three budgets, two of three hooks. */
#define STATUS(over)                                                                                              \
        { CALL_NONE("org.varlink.service.GetInfo"),                                                               \
                "{'parameters': {'vendor': 'v', 'product': 'bpfbudgetd', 'version': '9.8'}}|" },                  \
                        { CALL_NONE("io.bpfbudget.GetStatistics"), STATISTICS(over) },                            \
                        { CALL("io.bpfbudget.GetCgroup", "{'cgroup': '/'}"), ROOT },                              \
                        { MORE_NONE("io.bpfbudget.ListBudgets"),                                                  \
                                "{'parameters': {'budgets': [{'name': 'a'}, {'name': 'b'}]}, 'continues': true}|" \
                                "{'parameters': {'budgets': [{'name': 'c'}]}}|" },                                \
        {                                                                                                         \
                MORE_NONE("io.bpfbudget.GetCapabilities"),                                                        \
                                "{'parameters': {'capabilities': [{'name': 'x', 'available': true}, "             \
                                "{'name': 'y', 'available': false}, {'name': 'z', 'available': true}]}}|"         \
        }

/* With the daemon's own memory in place of the %s. */
#define STATUS_LINES                                                                   \
        "     Budgets: 3; cgroups over a limit: 0; refusals 19, throttles 20\n"        \
        "     Cgroups: 11 that hold something\n"                                       \
        "     Flushes: 12 and 13 full passes (the last took 14 us)\n"                  \
        "    Wake-ups: 15, overflows 16, drift 17\n"                                   \
        "     Clients: 18\n"                                                           \
        "         Own: %s of BPF; per-CPU memory for 64 possible CPUs, 2 are online\n" \
        "       Hooks: 2 of 3 available on this kernel\n"

static void assert_status(const char *head, const char *memory)
{
        char expected[2048];

        snprintf(expected, sizeof(expected), "%s\n      Socket: %s\n%s     Objects: 3 maps, 4 programs\n" STATUS_LINES,
                        head, socket_path, memory, strstr(memory, "3072") ? "2048" : "2.0K");
        assert_printed(expected);
}

static void test_status(void **state)
{
        (void) state;
        run_ctl("", STATUS("0"));
        assert_status("● bpfbudgetd 9.8", "      Memory: 3.0K of BPF: 2.0K charged to cgroups, 1.0K uncharged\n");
        run_ctl("status --bytes", STATUS("0"));
        assert_status("● bpfbudgetd 9.8", "      Memory: 3072 of BPF: 2048 charged to cgroups, 1024 uncharged\n");
        setenv("LC_ALL", "C", 1);
        run_ctl("--bytes status", STATUS("0"));
        assert_status("* bpfbudgetd 9.8", "      Memory: 3072 of BPF: 2048 charged to cgroups, 1024 uncharged\n");
}

static void test_status_colors(void **state)
{
        (void) state;
        setenv("SYSTEMD_COLORS", "1", 1);
        run_ctl("status", STATUS("0"));
        assert_string_equal(line_of(out, 0), "\033[1;32m●\033[0m bpfbudgetd 9.8");
        assert_has(out, "over a limit: 0;");
        run_ctl("status", STATUS("5"));
        assert_string_equal(line_of(out, 0), "\033[1;33m●\033[0m bpfbudgetd 9.8");
        assert_has(out, "over a limit: \033[1;33m5\033[0m;");
        /* As systemd understands it; an own word of systemd's counts before NO_COLOR. */
        setenv("NO_COLOR", "1", 1);
        setenv("SYSTEMD_COLORS", "256", 1);
        run_ctl("status", STATUS("0"));
        assert_has(out, "\033[1;32m");
        setenv("SYSTEMD_COLORS", "no", 1);
        run_ctl("status", STATUS("0"));
        assert_null(strchr(out, '\033'));
        unsetenv("SYSTEMD_COLORS");
        run_ctl("status", STATUS("0"));
        assert_null(strchr(out, '\033'));
}

static void test_status_json(void **state)
{
        json_t *json;

        (void) state;
        run_ctl("--json=short status", STATUS("0"));
        json = parse("{'info': {'vendor': 'v', 'product': 'bpfbudgetd', 'version': '9.8'}, 'statistics': {'cgroups': "
                     "11, 'flushes': 12, 'fullPasses': 13, 'fullPassUSec': 14, 'wakeups': 15, 'overflows': 16, "
                     "'drift': 17, 'clients': 18, 'overHigh': 0, 'refusals': 19, 'throttles': 20, 'ownAllocated': "
                     "2048, "
                     "'possibleCpus': 64, 'onlineCpus': 2}, 'cgroup': {'path': "
                     "'/', 'id': 1, 'exists': true, 'bpf': {'allocated': 3072, 'charged': 2048, 'uncharged': 1024, "
                     "'mapCount': 3, 'programCount': 4}}, 'budgets': [{'name': 'a'}, {'name': 'b'}, {'name': 'c'}], "
                     "'capabilities': [{'name': 'x', 'available': true}, {'name': 'y', 'available': false}, "
                     "{'name': 'z', 'available': true}]}");
        {
                json_t *printed = json_loads(out, 0, NULL);

                assert_true(json_equal(printed, json));
                json_decref(printed);
        }
        json_decref(json);
        assert_int_equal(count_lines(out), 1);
        assert_int_equal(status, 0);
        run_ctl("--json=pretty status", STATUS("0"));
        assert_string_equal(line_of(out, 0), "{");
        assert_string_equal(line_of(out, 1), "        \"info\": {");
        assert_string_equal(line_of(out, 2), "                \"vendor\": \"v\",");
        assert_true(count_lines(out) > 40);
}

static void test_not_running(void **state)
{
        static const char how[] = "Start it by \"systemctl start bpfbudgetd\", or use --direct for cgroups, tree, "
                                  "objects, report, capabilities and doctor";
        static const char *const verbs_that_ask[] = { "cgroups", "tree", "objects", "explain /a", "top", "monitor",
                "budgets", "set-budget /a High=1", "unset-budget /a", "capabilities", "flush", "reload", "metrics",
                "cgroups -j" };
        char message[512];
        int fd;

        (void) state;
        snprintf(message, sizeof(message), "bpfbudgetd is not running: nobody listens at %s. %s", socket_path, how);
        run_here("status");
        assert_failed(3, message);
        run_here("status --json=pretty");
        assert_failed(3, message);
        for (size_t i = 0; i < LENGTH(verbs_that_ask); i++) {
                run_here(verbs_that_ask[i]);
                assert_failed(1, message);
        }
        /* A socket that was left over is the same. */
        fd = listen_at(socket_path);
        close(fd);
        run_here("status");
        assert_failed(3, message);
        unlink(socket_path);
}

/* A daemon that did not start has left the reason: to be told if it is root's, or one's own, and of a bounded length.
 */
static void test_did_not_start(void **state)
{
        _cleanup_free_ char *path = NULL, *text = calloc(1, 100000);
        char expected[600];

        (void) state;
        assert_true(asprintf(&path, "%s.failure", socket_path) > 0);
        failure_leave(socket_path, "/etc/bpfbudget/x.budget:2: Hihg=: unknown key");
        run_here("status");
        assert_int_equal(status, 3);
        snprintf(expected, sizeof(expected), "nobody listens at %s", socket_path);
        assert_has(err, expected);
        assert_has(err, "bpfbudgetd did not start: /etc/bpfbudget/x.budget:2: Hihg=: unknown key\n");
        /* Whoever waited for it is let go. */
        run_ctl("flush", { CALL_NONE("io.bpfbudget.Flush"), NULL });
        assert_has(err, "closed the connection");
        assert_has(err, "bpfbudgetd did not start: /etc/bpfbudget/x.budget:2: Hihg=: unknown key\n");
        memset(text, 'x', 99999);
        text[3] = '\n';
        failure_leave(socket_path, text);
        run_here("status");
        assert_has(err, "did not start: xxx\n");
        memset(text, 'x', 99999);
        failure_leave(socket_path, text);
        run_here("status");
        text[FAILURE_MAX] = '\0';
        assert_null(strstr(err, text));
        text[FAILURE_MAX - 1] = '\0';
        assert_has(err, text);
        /* One that is no file, or that somebody else has put there. */
        unlink(path);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        run_here("status");
        assert_null(strstr(err, "did not start"));
        unlink(path);
        failure_leave(socket_path, "forged");
        if (getuid() == 0) {
                assert_int_equal(chown(path, 4242, 4242), 0);
                run_here("status");
                assert_null(strstr(err, "did not start"));
        }
        failure_remove(socket_path);
        assert_int_equal(access(path, F_OK), -1);
}

#define FINDING(name, level, reason, action, remedy)                                            \
        "{'name': '" name "', 'level': '" level "', 'reason': '" reason "', 'action': '" action \
        "', 'remedy': '" remedy "'}"
#define NOBODY FINDING("nobody", "partial", "Nobody is there.", "Run", "come here")
#define READINESS(level, refusal)                                                                    \
        {                                                                                            \
                CALL_NONE("io.bpfbudget.GetReadiness"),                                              \
                                "{'parameters': {'level': '" level "', 'facilities': ["              \
                                "{'name': 'accounting', 'level': 'full', 'findings': []}, "          \
                                "{'name': 'alerts', 'level': 'partial', 'findings': [" NOBODY "]}, " \
                                "{'name': 'refusal', 'level': '" refusal "', 'findings': [" NOBODY   \
                                ", " FINDING("gate", "none", "It is stuck.", "", "") "]}]}}|"        \
        }

/* The levels first, then each finding once; the exit status is the level. */
static void test_doctor(void **state)
{
        static const char findings[] = "\nalerts, refusal: Nobody is there.\n    Run:\n        come here\n"
                                       "\nrefusal: It is stuck.\n";
        char expected[512];

        (void) state;
        run_ctl("doctor", READINESS("none", "none"));
        assert_int_equal(status, 2);
        snprintf(expected, sizeof(expected), "accounting  full\nalerts      partial\nrefusal     none\n%s", findings);
        assert_string_equal(out, expected);
        run_ctl("doctor", READINESS("partial", "partial"));
        assert_int_equal(status, 1);
        run_ctl("doctor", READINESS("full", "full"));
        assert_int_equal(status, 0);
        /* What a later daemon says that is not known here is not taken for good. */
        run_ctl("doctor", READINESS("hopeless", "full"));
        assert_int_equal(status, 2);
        run_ctl("-j doctor", READINESS("partial", "partial"));
        assert_int_equal(status, 1);
        assert_true(strncmp(out, "{\"level\":\"partial\",\"facilities\":[{", 34) == 0);
        run_ctl("doctor", { CALL_NONE("io.bpfbudget.GetReadiness"), "{'error': 'a.b.C'}|" });
        assert_int_equal(status, 3);
        assert_string_equal(out, "");
        setenv("SYSTEMD_COLORS", "yes", 1);
        run_ctl("doctor", READINESS("none", "none"));
        assert_has(out, "32mfull");
        assert_has(out, "33mpartial");
        assert_has(out, "31mnone");
}

static void test_version(void **state)
{
        char expected[256];

        (void) state;
        run_ctl("version", { CALL_NONE("org.varlink.service.GetInfo"), "{'parameters': {'version': '9.8'}}|" });
        snprintf(expected, sizeof(expected), "bpfbudgetctl %s\nbpfbudgetd 9.8\n", PACKAGE_VERSION);
        assert_printed(expected);
        run_ctl("version", { CALL_NONE("org.varlink.service.GetInfo"), "{'error': 'a.b.C'}|" });
        snprintf(expected, sizeof(expected), "bpfbudgetctl %s\nbpfbudgetd does not answer\n", PACKAGE_VERSION);
        assert_printed(expected);
        run_ctl("version --json=short",
                        { CALL_NONE("org.varlink.service.GetInfo"), "{'parameters': {'version': '9.8'}}|" });
        snprintf(expected, sizeof(expected), "{\"bpfbudgetctl\":\"%s\",\"bpfbudgetd\":\"9.8\"}\n", PACKAGE_VERSION);
        assert_printed(expected);
        run_here("version");
        snprintf(expected, sizeof(expected), "bpfbudgetctl %s\nbpfbudgetd is not running\n", PACKAGE_VERSION);
        assert_printed(expected);
        run_here("version --json=pretty");
        snprintf(expected, sizeof(expected), "{\n        \"bpfbudgetctl\": \"%s\",\n        \"bpfbudgetd\": null\n}\n",
                        PACKAGE_VERSION);
        assert_printed(expected);
        run_here("--version cgroups");
        snprintf(expected, sizeof(expected), "bpfbudgetctl %s\n", PACKAGE_VERSION);
        assert_printed(expected);
}

/* --- cgroups, tree ------------------------------------------------------------------------------------------------ */

#define CGROUP_A                                                                                                     \
        "{'path': '/a', 'id': 2, 'exists': true, 'bpf': {'allocated': 3072, 'charged': 1024, 'uncharged': 2048, "    \
        "'committed': 6144, 'unboundedCount': 2, 'mapCount': 7, 'programCount': 8, 'objects': 15}, 'rss': {'anon': " \
        "1, 'file': 2, 'shmem': 4, 'swap': 512}, "                                                                   \
        "'footprint': 5120, 'budget': {'name': 'x', 'usage': 3072, 'high': 2560, 'max': 4096, 'state': 'high'}}"
#define CGROUP_B                                                                                                       \
        "{'path': '/a/b', 'id': 3, 'exists': false, 'bpf': {'allocated': 2048, 'charged': 2048, 'uncharged': 0, "      \
        "'committed': 2048, 'unboundedCount': 0, 'mapCount': 0, 'programCount': 1, 'objects': 1}, 'rss': {'anon': 0, " \
        "'file': 0, 'shmem': 0}, 'footprint': 0, "                                                                     \
        "'budget': null}"
#define CGROUP_C                                                                                                       \
        "{'path': null, 'id': 4, 'exists': false, 'bpf': {'allocated': 1048576, 'charged': 0, 'uncharged': 1048576, "  \
        "'mapCount': 1, 'programCount': 0, 'objects': 1}, 'rss': {'anon': 0, 'file': 0, 'shmem': 0}, 'footprint': 9, " \
        "'budget': {'name': 'y', 'usage': 1, 'high': null, 'max': 2, 'state': 'ok'}}"
#define CGROUPS_OF(parameters)                                                                                  \
        {                                                                                                       \
                MORE("io.bpfbudget.ListCgroups", parameters),                                                   \
                                "{'parameters': {'cgroups': [" CGROUP_A "]}, 'continues': true}|"               \
                                "{'parameters': {'cgroups': []}, 'continues': true}|"                           \
                                "{'parameters': {'cgroups': [" CGROUP_B "," CGROUP_C "]}, 'continues': false}|" \
        }
#define CGROUPS CGROUPS_OF("{}")

static void test_cgroups(void **state)
{
        (void) state;
        run_ctl("cgroups", CGROUPS);
        assert_printed("CGROUP           ALLOCATED CHARGED UNCHARGED COMMITTED MAPS PROGRAMS RSS FOOTPRINT HIGH  MAX "
                       "STATE\n"
                       "/a                    3.0K    1.0K      2.0K     6.0K+    7        8  7B      5.0K 2.5K 4.0K "
                       "high\n"
                       "/a/b (gone)           2.0K    2.0K        0B      2.0K    0        1  0B        0B    -    - "
                       "-\n"
                       "(unknown) (gone)      1.0M      0B      1.0M         -    1        0  0B        9B    -   2B "
                       "ok\n");
        run_ctl("cgroups --no-legend",
                        { MORE("io.bpfbudget.ListCgroups", "{}"),
                                        "{'parameters': {'cgroups': [{'path': '/a', 'budget': {'state': 'ok', "
                                        "'ignored': ['x']}}]}}|" });
        assert_has(out, " ok (xattr ignored)\n");
        run_ctl("cgroups --bytes --sort=state", CGROUPS);
        assert_printed("CGROUP           ALLOCATED CHARGED UNCHARGED COMMITTED MAPS PROGRAMS RSS FOOTPRINT HIGH  MAX "
                       "STATE\n"
                       "/a/b (gone)           2048    2048         0      2048    0        1   0         0    -    - "
                       "-\n"
                       "/a                    3072    1024      2048     6144+    7        8   7      5120 2560 4096 "
                       "high\n"
                       "(unknown) (gone)   1048576       0   1048576         -    1        0   0         9    -    2 "
                       "ok\n");
        /* Without titles no column is wider for them. */
        run_ctl("cgroups --no-legend --sort=-CGROUP", CGROUPS);
        assert_printed("/a/b (gone)      2.0K 2.0K   0B  2.0K 0 1 0B   0B    -    - -\n"
                       "/a               3.0K 1.0K 2.0K 6.0K+ 7 8 7B 5.0K 2.5K 4.0K high\n"
                       "(unknown) (gone) 1.0M   0B 1.0M     - 1 0 0B   9B    -   2B ok\n");
}

/* Sizes and numbers begin with the largest, texts with the first; "-" is the other way round; what is missing is less
 * than anything. */
static void test_sort(void **state)
{
        static const struct {
                const char *command, *order; /* of the first letters behind the slash or bracket */
        } cases[] = {
                { "cgroups --no-legend --sort=allocated", "(unknown) /a /a/b" },
                { "cgroups --no-legend --sort=-allocated", "/a/b /a (unknown)" },
                { "cgroups --no-legend --sort=charged", "/a/b /a (unknown)" },
                { "cgroups --no-legend --sort=UnCharged", "(unknown) /a /a/b" },
                { "cgroups --no-legend --sort=-uncharged", "/a/b /a (unknown)" },
                { "cgroups --no-legend --sort=maps", "/a (unknown) /a/b" },
                { "cgroups --no-legend --sort=programs", "/a /a/b (unknown)" },
                { "cgroups --no-legend --sort=rss", "/a /a/b (unknown)" },
                { "cgroups --no-legend --sort=-rss", "/a/b (unknown) /a" },
                { "cgroups --no-legend --sort=footprint", "/a (unknown) /a/b" },
                { "cgroups --no-legend --sort=high", "/a /a/b (unknown)" },
                { "cgroups --no-legend --sort=max", "/a (unknown) /a/b" },
                { "cgroups --no-legend --sort=state", "/a/b /a (unknown)" },
                { "cgroups --no-legend --sort=cgroup", "(unknown) /a /a/b" },
                { "cgroups --no-legend --sort=-cgroup", "/a/b /a (unknown)" },
        };

        (void) state;
        for (size_t i = 0; i < LENGTH(cases); i++) {
                char order[256] = "";

                run_ctl(cases[i].command, CGROUPS);
                assert_int_equal(status, 0);
                assert_int_equal(count_lines(out), 3);
                for (size_t k = 0; k < 3; k++) {
                        const char *line = line_of(out, k);

                        strcat(order, k ? " " : "");
                        strncat(order, line, strcspn(line, " "));
                }
                if (strcmp(order, cases[i].order) != 0)
                        fail_msg("%s: %s, not %s", cases[i].command, order, cases[i].order);
        }
        run_ctl("cgroups --sort=-colour", CGROUPS);
        assert_failed(1, "--sort=colour: there is no such field here; there are cgroup, allocated, charged, uncharged, "
                         "committed, maps, programs, rss, footprint, high, max, state");
        run_ctl("tree --sort=x", CGROUPS);
        assert_failed(1, "--sort=x: there is no such field here; there are cgroup, allocated, charged, uncharged, "
                         "committed, maps, programs, rss, footprint, high, max, state");
}

/* What an argument means. */
static void test_globs(void **state)
{
        (void) state;
        run_ctl("cgroups /a*", CGROUPS_OF("{'cgroup': '/a*'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups /sys/fs/cgroup/memory/kube.slice/*", CGROUPS_OF("{'cgroup': '/kube.slice/*'}"));
        assert_int_equal(status, 0);
        run_ctl("tree /sys/fs/cgroup/unified/a/", CGROUPS_OF("{'cgroup': '/a'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups **/x", CGROUPS_OF("{'cgroup': '**/x'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups --json=short cron", CGROUPS_OF("{'cgroup': '**/cron.service/**'}"));
        assert_int_equal(status, 0);
        run_ctl("tree user.slice", CGROUPS_OF("{'cgroup': '**/user.slice/**'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups a.scope", CGROUPS_OF("{'cgroup': '**/a.scope/**'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups .service", CGROUPS_OF("{'cgroup': '**/.service.service/**'}"));
        assert_int_equal(status, 0);
}

#define NO_UNIT(unit) "{'error': 'io.bpfbudget.NoSuchUnit', 'parameters': {'unit': '" unit "'}}|"

/* What is no unit may be a workload: here are none. */
#define NO_WORKLOADS                                                                      \
        {                                                                                 \
                MORE_NONE("io.bpfbudget.ListCgroups"), "{'parameters': {'cgroups': []}}|" \
        }

/* An empty list is one only if what was asked for is there. */
static void test_lists_of_nothing(void **state)
{
        static const char *const commands[] = { "cgroups no", "tree no", "cgroups --json=short no" };

        (void) state;
        for (size_t i = 0; i < LENGTH(commands); i++) {
                run_ctl(commands[i],
                                { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '**/no.service/**'}"),
                                                "{'parameters': {'cgroups': []}}|" },
                                { CALL("io.bpfbudget.Explain", "{'unit': 'no.service'}"), NO_UNIT("no.service") },
                                NO_WORKLOADS);
                assert_failed(1, "no.service: there is no such unit, or it does not run");
                assert_string_equal(out, "");
        }
        run_ctl("objects no.scope",
                        { MORE("io.bpfbudget.ListObjects", "{'cgroup': '**/no.scope/**', 'holders': false, 'pins': "
                                                           "false, 'uses': false}"),
                                        "{'parameters': {'objects': []}}|" },
                        { CALL("io.bpfbudget.Explain", "{'unit': 'no.scope'}"), NO_UNIT("no.scope") }, NO_WORKLOADS);
        assert_failed(1, "no.scope: there is no such unit, or it does not run");
        /* It runs, and has nothing. */
        run_ctl("cgroups --json=short cron",
                        { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '**/cron.service/**'}"),
                                        "{'parameters': {'cgroups': []}}|" },
                        { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"),
                                        "{'parameters': {'cgroup': {'path': '/x/cron.service'}}}|" });
        assert_printed("{\"cgroups\":[]}\n");
        /* What has wildcards may match nothing. */
        run_ctl("cgroups --json=short no*", { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '**/no*.service/**'}"),
                                                            "{'parameters': {'cgroups': []}}|" });
        assert_printed("{\"cgroups\":[]}\n");
        run_ctl("cgroups /x",
                        { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '/x'}"),
                                        "{'error': 'io.bpfbudget.NoSuchCgroup', 'parameters': {'cgroup': '/x'}}|" });
        assert_failed(1, "/x: there is no such cgroup");
}

/* A long list in one line goes through as it came, whatever the pieces. */
static void test_cgroups_json(void **state)
{
        json_t *json = parse("{'cgroups': [" CGROUP_A "," CGROUP_B "," CGROUP_C "]}"), *printed;
        char *text, *passed;

        (void) state;
        run_ctl("cgroups --json=short", CGROUPS);
        passed = with_quotes("{'cgroups':[" CGROUP_A "," CGROUP_B "," CGROUP_C "]}\n");
        assert_printed(passed);
        run_ctl("cgroups --json=short --all", CGROUPS);
        assert_printed(passed);
        free(passed);
        run_ctl("cgroups -j", { MORE("io.bpfbudget.ListCgroups", "{}"), "{'parameters': {'cgroups': []}}|" });
        assert_printed("{\"cgroups\":[]}\n");
        run_ctl("cgroups --json=pretty", CGROUPS);
        text = json_dumps(json, JSON_INDENT(8));
        strcpy(passed = malloc(strlen(text) + 2), text);
        strcat(passed, "\n");
        assert_printed(passed);
        free(passed);
        free(text);
        /* In an order of ours it is not what came. */
        run_ctl("cgroups --json=short --sort=allocated", CGROUPS);
        printed = json_loads(out, 0, NULL);
        json_decref(json);
        json = parse("{'cgroups': [" CGROUP_C "," CGROUP_A "," CGROUP_B "]}");
        assert_true(json_equal(printed, json));
        assert_int_equal(count_lines(out), 1);
        json_decref(printed);
        json_decref(json);
        run_ctl("cgroups --json=pretty --json=off --no-legend", CGROUPS);
        assert_int_equal(count_lines(out), 3);
}

/* Half a list is none. */
static void test_lists_that_break_off(void **state)
{
        static const char *const commands[] = { "cgroups", "cgroups -j", "tree" };
        char message[256];

        (void) state;
        for (size_t i = 0; i < LENGTH(commands); i++) {
                run_ctl(commands[i], { MORE("io.bpfbudget.ListCgroups", "{}"),
                                                     "{'parameters': {'cgroups': [" CGROUP_A "]}, 'continues': true}|"
                                                     "{'error': 'io.bpfbudget.ReplyTooLarge'}|" });
                assert_failed(1, "It is too much for one answer");
                snprintf(message, sizeof(message), "What listens at %s does not speak varlink", socket_path);
                run_ctl(commands[i], { MORE("io.bpfbudget.ListCgroups", "{}"), "{'parameters': {'groups': []}}|" });
                assert_failed(1, message);
                run_ctl(commands[i], { MORE("io.bpfbudget.ListCgroups", "{}"), "{'parameters': {'cgroups': {}}}|" });
                assert_failed(1, message);
                run_ctl(commands[i], { MORE("io.bpfbudget.ListCgroups", "{}"), "hello|" });
                assert_failed(1, message);
                run_ctl(commands[i], { MORE("io.bpfbudget.ListCgroups", "{}"), NULL });
                snprintf(message, sizeof(message), "The daemon at %s closed the connection", socket_path);
                assert_failed(1, message);
        }
}

static void test_output_that_cannot_be_written(void **state)
{
        (void) state;
        output = "/dev/full";
        run_ctl("cgroups", CGROUPS);
        assert_failed(1, "The output cannot be written: Input/output error");
        run_ctl("cgroups --json=pretty", CGROUPS);
        assert_failed(1, "The output cannot be written: Input/output error");
        run_ctl("cgroups --json=short", CGROUPS);
        assert_failed(1, "The output cannot be written: No space left on device");
        run_script(NULL, 0, "--help");
        assert_failed(1, "The output cannot be written: Input/output error");
        run_script(NULL, 0, "--version");
        assert_failed(1, "The output cannot be written: Input/output error");
        run_ctl("doctor", { CALL_NONE("io.bpfbudget.GetReadiness"),
                                          "{'parameters': {'level': 'full', 'facilities': [{'name': 'alerts', 'level': "
                                          "'full', 'findings': []}]}}|" });
        assert_failed(3, "The output cannot be written: Input/output error");
}

/* 1 is a level: what is mistyped has the status of what was not examined. */
static void test_doctor_mistyped(void **state)
{
        static const char *const commands[] = { "doctor now", "doctor --nonsense", "--nonsense doctor",
                "--sort x doctor --json=x", "doctor --cpus=2" };

        (void) state;
        for (size_t i = 0; i < LENGTH(commands); i++) {
                run_here(commands[i]);
                assert_int_equal(status, 3);
                assert_true(*err != '\0');
        }
        run_here("explain --nonsense doctor");
        assert_int_equal(status, 1);
}

/* A reader that has enough, as head has, ends it in silence, also where a service has made it ignore the signal. */
static void test_output_that_is_not_read(void **state)
{
        static const char *const commands[] = { "--help", "--version" };
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void) state;
        for (size_t i = 0; i < LENGTH(commands); i++) {
                int out_pipe[2], err_pipe[2], wstatus;
                char byte;
                pid_t pid;

                assert_int_equal(pipe2(out_pipe, O_CLOEXEC), 0);
                assert_int_equal(pipe2(err_pipe, O_CLOEXEC), 0);
                close(out_pipe[0]);
                ignore_pipe = true;
                pid = start(commands[i], out_pipe[1], err_pipe[1], null);
                ignore_pipe = false;
                close(out_pipe[1]);
                close(err_pipe[1]);
                assert_int_equal(read(err_pipe[0], &byte, 1), 0);
                close(err_pipe[0]);
                assert_int_equal(waitpid(pid, &wstatus, 0), pid);
                assert_true(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGPIPE);
        }
        close(null);
}

#define IDLE(path, budget)                                                                                        \
        "{'path': '" path "', 'bpf': {'allocated': 0, 'objects': 0}, 'rss': {'anon': 5, 'file': 0, 'shmem': 0}, " \
        "'footprint': 5, 'budget': " budget "}"
#define IDLE_CGROUPS                                                                                               \
        {                                                                                                          \
                MORE("io.bpfbudget.ListCgroups", "{}"),                                                            \
                                "{'parameters': {'cgroups': [" CGROUP_A "," IDLE("/idle", "null") "," IDLE(        \
                                                "/", "null") "]}, 'continues': true}|"                             \
                                                             "{'parameters': {'cgroups': [" IDLE("/own",           \
                                                                             "{'name': "                           \
                                                                             "'x', "                               \
                                                                             "'state': "                           \
                                                                             "'ok'}") "," IDLE("/plain",           \
                                                                             "{'name': '90-default', "             \
                                                                             "'state': 'ok'}") "," IDLE("/over",   \
                                                                             "{'name': '90-default', 'state': "    \
                                                                             "'high'}") "]}, 'continues': false}|" \
        }

/* Cgroups that have neither BPF memory nor a budget of their own are left out, whatever the output. */
static void test_idle_cgroups(void **state)
{
        static const char *const commands[] = { "cgroups --no-legend", "tree --no-legend", "cgroups --json=short",
                "cgroups --json=pretty", "tree --json=short", "cgroups --json=short --sort=cgroup" };
        char command[128];

        (void) state;
        for (size_t i = 0; i < LENGTH(commands); i++) {
                run_ctl(commands[i], IDLE_CGROUPS);
                assert_int_equal(status, 0);
                assert_has(out, "own");
                assert_has(out, "over");
                assert_null(strstr(out, "idle"));
                assert_null(strstr(out, "plain"));
                snprintf(command, sizeof(command), "--all %s", commands[i]);
                run_ctl(command, IDLE_CGROUPS);
                assert_int_equal(status, 0);
                assert_has(out, "idle");
                assert_has(out, "plain");
                assert_has(out, "own");
        }
        run_ctl("cgroups --no-legend --bytes", IDLE_CGROUPS);
        assert_int_equal(count_lines(out), 4);
        run_ctl("cgroups --json=short", { MORE("io.bpfbudget.ListCgroups", "{}"),
                                                        "{'parameters': {'cgroups': [" IDLE("/x", "null") "]}}|" });
        assert_printed("{\"cgroups\":[]}\n");
        run_ctl("-a budgets");
        assert_failed(1, "budgets: --all goes with cgroups, tree and orphans only");
}

static void test_tree(void **state)
{
        (void) state;
        run_ctl("tree", CGROUPS);
        assert_printed("CGROUP           ALLOCATED CHARGED UNCHARGED COMMITTED MAPS PROGRAMS RSS FOOTPRINT HIGH  MAX "
                       "STATE\n"
                       "/a                    3.0K    1.0K      2.0K     6.0K+    7        8  7B      5.0K 2.5K 4.0K "
                       "high\n"
                       "└─b (gone)            2.0K    2.0K        0B      2.0K    0        1  0B        0B    -    - "
                       "-\n"
                       "(unknown) (gone)      1.0M      0B      1.0M         -    1        0  0B        9B    -   2B "
                       "ok\n");
        setenv("LC_ALL", "C", 1);
        run_ctl("tree --no-legend --bytes --sort=allocated", CGROUPS);
        assert_printed("(unknown) (gone) 1048576    0 1048576     - 1 0 0    9    -    2 ok\n"
                       "/a                  3072 1024    2048 6144+ 7 8 7 5120 2560 4096 high\n"
                       "`-b (gone)          2048 2048       0  2048 0 1 0    0    -    - -\n");
        run_ctl("tree --json=short --sort=allocated", CGROUPS);
        assert_int_equal(status, 0);
        assert_int_equal(count_lines(out), 1);
        assert_has(out, "{\"cgroups\":[{\"path\":null,");
}

/* Names come from whoever makes a cgroup. */
static void test_names_that_control(void **state)
{
        (void) state;
        run_ctl("cgroups --no-legend",
                        { MORE("io.bpfbudget.ListCgroups", "{}"),
                                        "{'parameters': {'cgroups': [{'path': '/\\u001b[2J\\u009bx\\u007f"
                                        "\\n\\\\x2d'}]}}|" });
        assert_string_equal(err, "");
        assert_int_equal(count_lines(out), 1);
        assert_int_equal(strncmp(out, "/?[2J?x??\\x2d ", strlen("/?[2J?x??\\x2d ")), 0);
        run_ctl("explain /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                              "{'parameters': {'cgroup': {'path': '/\\u001b[2J\\u202ex', 'budget': "
                                              "{'name': 'b\\u001b', 'state': 's\\u2066', 'ignored': ['i\\u001b']}}, "
                                              "'verdict': 'v\\u001b w\\u202e'}}|" });
        assert_string_equal(err, "");
        assert_has(out, "/?[2J?x\n");
        assert_has(out, "Budget: b?: s?; ");
        assert_has(out, "Ignored: i?\n");
        assert_has(out, "v? w?\n");
        assert_null(strchr(out, '\033'));
        run_ctl("explain /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                              "{'error': 'io.bpfbudget.NotPermitted', 'parameters': {'reason': "
                                              "'x\\u001b\\ny\\u202e'}}|" });
        assert_has(err, "Not permitted: x??y???\n");
}

/* --- A terminal --------------------------------------------------------------------------------------------------- */

#define LONG_CGROUPS                                                                                                   \
        {                                                                                                              \
                MORE("io.bpfbudget.ListCgroups", "{}"), "{'parameters': {'cgroups': [{'path': "                        \
                                                        "'/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee', "      \
                                                        "'exists': true, 'budget': {'state': 'max'}}, {'path': '/z', " \
                                                        "'exists': false, 'budget': {'state': 'ok'}}]}}|"              \
        }

#define HEADER_80 "CGROUP    ALLOCATED CHARGED UNCHARGED MAPS PROGRAMS RSS FOOTPRINT HIGH MAX STATE\n"

/* What does not fit is cut in the middle, in a tree at the end. */
static void test_width(void **state)
{
        (void) state;
        terminal = 80;
        setenv("NO_COLOR", "1", 1);
        run_ctl("cgroups", LONG_CGROUPS);
        assert_printed(HEADER_80 "/aaaaa…ee         -       -         -    -        -   -         -    -   - max\n"
                                 "/z (gone)         -       -         -    -        -   -         -    -   - ok\n");
        run_ctl("tree", LONG_CGROUPS);
        assert_int_equal(count_lines(out), 3);
        for (size_t i = 0; i < 3; i++)
                assert_true(strlen(line_of(out, i)) <= 80);
        run_ctl("cgroups -l --no-legend", LONG_CGROUPS);
        assert_printed("/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee - - - - - - - - - - max\n"
                       "/z (gone)                                           - - - - - - - - - - ok\n");
        terminal = 60;
        run_ctl("cgroups --no-legend", LONG_CGROUPS);
        assert_printed("/aaaaaaaaaabbbbbbbbbbcccc…ddeeeeeeeeee - - - - - - - - - max\n"
                       "/z (gone)                              - - - - - - - - - ok\n");
        /* $COLUMNS is what a user wants. */
        setenv("COLUMNS", "100", 1);
        run_ctl("cgroups", LONG_CGROUPS);
        assert_printed("CGROUP                        ALLOCATED CHARGED UNCHARGED MAPS PROGRAMS RSS FOOTPRINT HIGH MAX "
                       "STATE\n"
                       "/aaaaaaaaaabbbbbbbb…eeeeeeeee         -       -         -    -        -   -         -    -   - "
                       "max\n"
                       "/z (gone)                             -       -         -    -        -   -         -    -   - "
                       "ok\n");
        setenv("COLUMNS", "-1", 1);
        terminal = 80;
        run_ctl("cgroups", LONG_CGROUPS);
        assert_string_equal(line_of(out, 0), "CGROUP    ALLOCATED CHARGED UNCHARGED MAPS PROGRAMS RSS FOOTPRINT HIGH "
                                             "MAX STATE");
        /* COMMITTED is there where nothing is cut for it. */
        terminal = 131;
        unsetenv("COLUMNS");
        run_ctl("cgroups", LONG_CGROUPS);
        assert_null(strstr(line_of(out, 0), "COMMITTED"));
        terminal = 132;
        run_ctl("cgroups", LONG_CGROUPS);
        assert_has(line_of(out, 0), "UNCHARGED COMMITTED MAPS");
        assert_has(out, "/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee ");
        /* No column is cut to nothing. */
        terminal = 20;
        run_ctl("cgroups --no-legend", LONG_CGROUPS);
        assert_has(out, "/aaaa…ee ");
}

/* libsmartcols writes some colours in two ways. */
static void test_colors(void **state)
{
        (void) state;
        terminal = 80;
        run_ctl("cgroups", LONG_CGROUPS);
        assert_has(out, "31mmax");
        assert_has(out, "32mok");
        assert_has(out, "m/z (gone)");
        assert_null(strstr(out, "m/aaaa"));
        setenv("TERM", "dumb", 1);
        run_ctl("cgroups", LONG_CGROUPS);
        assert_null(strchr(out, '\033'));
        terminal = 0;
        setenv("TERM", "xterm", 1);
        setenv("SYSTEMD_COLORS", "yes", 1);
        run_ctl("cgroups", CGROUPS);
        assert_has(out, "33mhigh");
        run_ctl("capabilities", { MORE_NONE("io.bpfbudget.GetCapabilities"),
                                                "{'parameters': {'capabilities': [{'name': 'a', 'available': true, "
                                                "'purpose': 'no', 'reason': null}, {'name': 'no', 'available': false, "
                                                "'purpose': 'max', 'reason': 'ok'}]}}|" });
        assert_has(out, "33mno");
        assert_null(strstr(strstr(out, "33mno") + 5, "mno"));
        assert_null(strstr(out, "mok"));
        assert_null(strstr(out, "mmax"));
}

static void test_json_on_a_terminal(void **state)
{
        (void) state;
        terminal = 80;
        run_ctl("-j flush", { CALL_NONE("io.bpfbudget.Flush"), "{}|" });
        assert_printed("");
        run_ctl("-j budgets", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("{\n        \"budgets\": []\n}\n");
        terminal = 0;
        run_ctl("-j budgets", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("{\"budgets\":[]}\n");
}

/* A pager gets what lists write to a terminal, and only that. */
static void test_pager(void **state)
{
        (void) state;
        setenv("SYSTEMD_PAGER", "sed s/^/:/", 1);
        setenv("SYSTEMD_PAGERSECURE", "no", 1);
        terminal = 80;
        run_ctl("budgets --json=short", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed(":{\"budgets\":[]}\n");
        run_ctl("flush", { CALL_NONE("io.bpfbudget.Flush"), "{}|" });
        assert_printed("");
        run_ctl("budgets --no-pager --json=short",
                        { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("{\"budgets\":[]}\n");
        run_ctl("status", STATUS("0"));
        assert_int_not_equal(out[0], ':');
        setenv("TERM", "dumb", 1);
        run_ctl("budgets --json=short", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("{\"budgets\":[]}\n");
        terminal = 0;
        setenv("TERM", "xterm", 1);
        run_ctl("budgets --json=short", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("{\"budgets\":[]}\n");
}

/* A pager that may run commands is no way to more rights; which lesser ones there are is systemd's. */
static void test_secure_pager(void **state)
{
        (void) state;
        terminal = 80;
        setenv("SYSTEMD_PAGER", "sed s/^/:/", 1);
        setenv("SYSTEMD_PAGERSECURE", "yes", 1);
        run_ctl("budgets --json=short", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_int_equal(status, 0);
        assert_has(out, "{\"budgets\":[]}");
        assert_null(strstr(out, ":{"));
}

/* The pager of secure mode is told so, and all of them what systemctl's are. */
static void test_pager_environment(void **state)
{
        static const char script[] =
                        "#!/bin/sh\necho \"$LESS $LESSCHARSET${LESSSECURE:+ $LESSSECURE}.\"\ncat >/dev/null\n";
        char path[512];
        int fd = open_file("less");

        (void) state;
        assert_int_equal(write(fd, script, strlen(script)), strlen(script));
        assert_int_equal(fchmod(fd, 0700), 0);
        close(fd);
        snprintf(path, sizeof(path), "%s:/usr/bin:/bin", directory);
        setenv("PATH", path, 1);
        unsetenv("SYSTEMD_PAGER");
        unsetenv("PAGER");
        unsetenv("SYSTEMD_LESS");
        unsetenv("SYSTEMD_LESSCHARSET");
        unsetenv("LESSSECURE");
        setenv("SYSTEMD_PAGERSECURE", "yes", 1);
        terminal = 80;
        run_ctl("budgets", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("FRSXMK utf-8 1.\n");
        setenv("SYSTEMD_PAGERSECURE", "no", 1);
        setenv("SYSTEMD_LESS", "X", 1);
        run_ctl("budgets", { MORE_NONE("io.bpfbudget.ListBudgets"), "{'parameters': {'budgets': []}}|" });
        assert_printed("X utf-8.\n");
        unsetenv("SYSTEMD_LESS");
        unsetenv("SYSTEMD_PAGERSECURE");
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

#define OBJECT_MAP_5                                                                                         \
        "{'kind': 'map', 'id': 5, 'type': 'hash', 'name': 'x_table', 'allocated': 3072, 'charged': 2048, "   \
        "'uncharged': 1024, 'ceiling': 8192, 'entries': 17, 'maxEntries': 100, 'full': 17, 'cgroup': '/a', " \
        "'holders': [{'comm': "                                                                              \
        "'sh', 'pid': 7}, "                                                                                  \
        "{'comm': 'agent', 'pid': 8}], 'pins': ['/p/q', '/p/r'], 'usedBy': [6, 9]}"
#define OBJECT_PROGRAM_6                                                                                        \
        "{'kind': 'program', 'id': 6, 'type': 'xdp', 'name': 'x_prog', 'allocated': 4096, 'charged': 4096, "    \
        "'uncharged': 0, 'ceiling': null, 'entries': null, 'maxEntries': null, 'cgroup': null, 'holders': [], " \
        "'pins': [], 'maps': [5]}"
#define OBJECTS_OF(parameters)                                                                        \
        {                                                                                             \
                MORE("io.bpfbudget.ListObjects", parameters),                                         \
                                "{'parameters': {'objects': [" OBJECT_MAP_5 "]}, 'continues': true}|" \
                                "{'parameters': {'objects': [" OBJECT_PROGRAM_6 "]}}|"                \
        }
#define NO_RELATIONS "{'holders': false, 'pins': false, 'uses': false}"

static void test_objects(void **state)
{
        char *passed;

        (void) state;
        run_ctl("objects", OBJECTS_OF(NO_RELATIONS));
        assert_printed("KIND    ID TYPE NAME    ALLOCATED CHARGED UNCHARGED CEILING ENTRIES MAX FULL CGROUP\n"
                       "map      5 hash x_table      3.0K    2.0K      1.0K    8.0K      17 100  17% /a\n"
                       "program  6 xdp  x_prog       4.0K    4.0K        0B       -       -   -    - (unknown)\n");
        run_ctl("objects --bytes --sort=allocated /a",
                        OBJECTS_OF("{'cgroup': '/a', 'holders': false, 'pins': false, 'uses': false}"));
        assert_printed("KIND    ID TYPE NAME    ALLOCATED CHARGED UNCHARGED CEILING ENTRIES MAX FULL CGROUP\n"
                       "program  6 xdp  x_prog       4096    4096         0       -       -   -    - (unknown)\n"
                       "map      5 hash x_table      3072    2048      1024    8192      17 100  17% /a\n");
        run_ctl("objects --json=short x",
                        OBJECTS_OF("{'cgroup': '**/x.service/**', 'holders': false, 'pins': false, 'uses': false}"));
        passed = with_quotes("{'objects':[" OBJECT_MAP_5 "," OBJECT_PROGRAM_6 "]}\n");
        assert_printed(passed);
        free(passed);
        run_ctl("objects --sort=x", OBJECTS_OF(NO_RELATIONS));
        assert_failed(1, "--sort=x: there is no such field here; there are kind, id, type, name, allocated, charged, "
                         "uncharged, ceiling, entries, max, full, cgroup");
}

static void test_object_relations(void **state)
{
        (void) state;
        run_ctl("objects --no-legend --holders", OBJECTS_OF("{'holders': true, 'pins': false, 'uses': false}"));
        assert_printed("map     5 hash x_table 3.0K 2.0K 1.0K 8.0K 17 100 17% /a        sh[7], agent[8]\n"
                       "program 6 xdp  x_prog  4.0K 4.0K   0B    -  -   -   - (unknown) -\n");
        run_ctl("objects --no-legend --pins", OBJECTS_OF("{'holders': false, 'pins': true, 'uses': false}"));
        assert_printed("map     5 hash x_table 3.0K 2.0K 1.0K 8.0K 17 100 17% /a        /p/q, /p/r\n"
                       "program 6 xdp  x_prog  4.0K 4.0K   0B    -  -   -   - (unknown) -\n");
        run_ctl("objects --no-legend --pins",
                        { MORE("io.bpfbudget.ListObjects", "{'holders': false, 'pins': true, 'uses': false}"),
                                        "{'parameters': {'objects': [{'kind': 'map', 'id': 1, 'type': 'hash', 'name': "
                                        "'x', "
                                        "'allocated': 1, 'charged': 1, 'uncharged': 0, 'cgroup': '/a', 'pins': "
                                        "null}]}}|" });
        assert_has(out, " not seen\n");
        run_ctl("objects --no-legend --uses", OBJECTS_OF("{'holders': false, 'pins': false, 'uses': true}"));
        assert_printed("map     5 hash x_table 3.0K 2.0K 1.0K 8.0K 17 100 17% /a        6, 9 -\n"
                       "program 6 xdp  x_prog  4.0K 4.0K   0B    -  -   -   - (unknown) -    5\n");
        run_ctl("objects --sort=holders --holders --pins --uses",
                        OBJECTS_OF("{'holders': true, 'pins': true, 'uses': true}"));
        assert_string_equal(line_of(out, 0),
                        "KIND    ID TYPE NAME    ALLOCATED CHARGED UNCHARGED CEILING ENTRIES MAX FULL CGROUP    "
                        "HOLDERS         PINS       USED-BY USES");
        assert_int_equal(strncmp(line_of(out, 1), "program", 7), 0);
        run_ctl("objects --sort=-used-by --uses", OBJECTS_OF("{'holders': false, 'pins': false, 'uses': true}"));
        assert_int_equal(strncmp(line_of(out, 1), "map", 3), 0);
}

static void test_object_groups(void **state)
{
        (void) state;
        run_ctl("objects --group-by=type", OBJECTS_OF(NO_RELATIONS));
        assert_printed("GROUP       ALLOCATED CHARGED UNCHARGED SHARED MAPS PROGRAMS\n"
                       "program xdp      4.0K    4.0K        0B     0B    0        1\n"
                       "map hash         3.0K    2.0K      1.0K     0B    1        0\n");
        run_ctl("objects --group-by=name-prefix --no-legend --bytes", OBJECTS_OF(NO_RELATIONS));
        assert_printed("x 7168 6144 1024 0 1 1\n");
        run_ctl("objects --group-by=cgroup --no-legend --sort=group", OBJECTS_OF(NO_RELATIONS));
        assert_printed("(unknown) 4.0K 4.0K   0B 0B 0 1\n"
                       "/a        3.0K 2.0K 1.0K 0B 1 0\n");
        run_ctl("objects --group-by=pin-dir --no-legend",
                        { MORE("io.bpfbudget.ListObjects", "{'holders': false, 'pins': true, 'uses': false}"),
                                        "{'parameters': {'objects': [{'kind': 'map', 'id': 1, 'type': 'hash', 'name': "
                                        "'x', "
                                        "'allocated': 1, 'charged': 1, 'uncharged': 0, 'pins': null}]}}|" });
        assert_printed("(no pin seen) 1B 1B 0B 0B 1 0\n");
        run_ctl("objects --group-by=pin-dir --no-legend",
                        OBJECTS_OF("{'holders': false, 'pins': true, 'uses': false}"));
        assert_printed("(no pin seen) 4.0K 4.0K   0B 0B 0 1\n"
                       "/p            3.0K 2.0K 1.0K 0B 1 0\n");
        run_ctl("objects --group-by=holder --no-legend --sort=-allocated",
                        OBJECTS_OF("{'holders': true, 'pins': false, 'uses': false}"));
        assert_int_equal(count_lines(out), 3);
        assert_string_equal(line_of(out, 2), "(no holder) 4.0K 4.0K   0B   0B 0 1");
        assert_has(out, "agent       3.0K 2.0K 1.0K 3.0K 1 0\n");
        run_ctl("objects --group-by=program --json=short /a",
                        OBJECTS_OF("{'cgroup': '/a', 'holders': false, 'pins': false, 'uses': true}"));
        assert_printed("{\"groups\":[{\"group\":\"6 "
                       "x_prog\",\"objects\":2,\"maps\":1,\"programs\":1,\"allocated\":7168,"
                       "\"charged\":6144,\"uncharged\":1024,\"shared\":3072},{\"group\":\"9\",\"objects\":1,\"maps\":1,"
                       "\"programs\":0,\"allocated\":3072,\"charged\":2048,\"uncharged\":1024,\"shared\":3072}]}\n");
        run_ctl("objects --group-by=type --sort=name", OBJECTS_OF(NO_RELATIONS));
        assert_failed(1, "--sort=name: there is no such field here; there are group, allocated, charged, uncharged, "
                         "shared, maps, programs");
}

/* --- explain ------------------------------------------------------------------------------------------------------ */

#define EXPLAINED                                                                                                   \
        "{'parameters': {'cgroup': {'path': '/a', 'bpf': {'allocated': 3072, 'committed': 9216, 'unboundedCount': " \
        "1}, 'budget': {'name': 'x', 'state': "                                                                     \
        "'high', 'usage': 3000, 'high': 2048, 'max': null}}, 'memoryCurrent': 1048576, 'memoryMax': 2097152, "      \
        "'bpfCharged': 2048, 'bpfUncharged': 1024, 'shares': [{'name': 'anon', 'bytes': 524288}, {'name': 'bpf', "  \
        "'bytes': 262144}, {'name': 'sun', 'bytes': 3000}, {'name': 'slab', 'bytes': 1000, 'detail': true}], "      \
        "'objects': [" OBJECT_MAP_5                                                                                 \
        "], 'verdict': 'The quick brown fox jumps over the lazy dog and then it sits down "                         \
        "to eat a \\u001b[2J carrot.'}}|"

static void test_explain(void **state)
{
        (void) state;
        run_ctl("explain /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"), EXPLAINED });
        assert_printed("/a\n"
                       "      Memory: 1.0M in use, at most 2.0M\n"
                       "         BPF: 3.0K: 2.0K charged, 1.0K uncharged\n"
                       "   Committed: 9.0K; 1 object has no ceiling\n"
                       "      Budget: x: high; 2.9K, High 2.0K, Max none\n"
                       "\n"
                       "MEMORY                  SIZE SHARE\n"
                       "anonymous             512.0K   50% ██████████\n"
                       "BPF maps and programs 256.0K   25% █████\n"
                       "sun                     2.9K    0% ▏\n"
                       "  in slab              1000B     -\n"
                       "uncharged BPF           1.0K     -\n"
                       "\n"
                       "OBJECT ID TYPE NAME    CHARGED UNCHARGED FULL HOLDERS         PINS\n"
                       "map     5 hash x_table    2.0K      1.0K  17% sh[7], agent[8] /p/q, /p/r\n"
                       "\n"
                       "The quick brown fox jumps over the lazy dog and then it sits down to eat a ?[2J\n"
                       "carrot.\n");
        run_ctl("explain /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                              "{'parameters': {'cgroup': {'path': '/a', 'bpf': {'committed': 9216, "
                                              "'unboundedCount': 0}}, 'shares': [], 'objects': [], 'verdict': ''}}|" });
        assert_has(out, "   Committed: 9.0K\n");
        run_ctl("explain /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                              "{'parameters': {'cgroup': {'path': '/a', 'bpf': {'committed': 9216, "
                                              "'unboundedCount': 2}}, 'shares': [], 'objects': [], 'verdict': ''}}|" });
        assert_has(out, "   Committed: 9.0K; 2 objects have no ceiling\n");
        /* What there is not, is not said. */
        run_ctl("explain --bytes /sys/fs/cgroup/memory/a/b//",
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/a/b'}"),
                                        "{'parameters': {'cgroup': {'path': null, 'bpf': {'allocated': 3072}, "
                                        "'budget': "
                                        "null}, 'memoryCurrent': null, 'bpfCharged': 2048, 'bpfUncharged': 1024, "
                                        "'shares': [], 'objects': [], 'verdict': 'Nothing.'}}|" });
        assert_printed("(unknown)\n"
                       "         BPF: 3072: 2048 charged, 1024 uncharged\n"
                       "      Budget: none\n"
                       "\n"
                       "MEMORY        SIZE SHARE\n"
                       "uncharged BPF 1024     -\n"
                       "\n"
                       "Nothing.\n");
        run_ctl("explain /a",
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                        "{'parameters': {'cgroup': {'path': '/a', 'bpf': {'allocated': 0}, 'budget': "
                                        "{'name': 'x', 'state': 'ok', 'usage': 1, 'high': null, 'max': 2}}, "
                                        "'memoryCurrent': 0, 'memoryMax': null, 'bpfCharged': 0, 'bpfUncharged': 0, "
                                        "'shares': [{'name': 'percpu', 'bytes': 4, 'detail': true}, {'name': 'kernel', "
                                        "'bytes': 0}], 'objects': [], 'verdict': ''}}|" });
        assert_printed("/a\n"
                       "      Memory: 0B in use\n"
                       "         BPF: 0B: 0B charged, 0B uncharged\n"
                       "      Budget: x: ok; 1B, High none, Max 2B\n"
                       "\n"
                       "MEMORY              SIZE SHARE\n"
                       "  in per-CPU memory   4B     -\n"
                       "other kernel memory   0B     -\n"
                       "uncharged BPF         0B     -\n"
                       "\n"
                       "\n");
        run_ctl("explain /a",
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                        "{'parameters': {'cgroup': {'path': '/a', 'bpf': {'allocated': 0}, 'budget': "
                                        "{'name': 'x', 'state': 'ok', 'usage': 1, 'high': null, 'max': 2, 'ignored': "
                                        "['user.bpfbudget.high: 5x', 'b']}}, 'memoryCurrent': 0, 'memoryMax': null, "
                                        "'bpfCharged': 0, 'bpfUncharged': 0, 'shares': [], 'objects': [], 'verdict': "
                                        "''}}|" });
        assert_has(out, "      Budget: x: ok; 1B, High none, Max 2B\n"
                        "     Ignored: user.bpfbudget.high: 5x\n"
                        "     Ignored: b\n");
        run_ctl("explain /a --json=short", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                                           "{'parameters': {'cgroup': {'path': '/a'}}}|" });
        assert_printed("{\"cgroup\":{\"path\":\"/a\"}}\n");
}

/* The names that it can have, and what the daemon is asked by them. */
static void test_subjects(void **state)
{
        static const struct {
                const char *name, *parameters;
        } cases[] = {
                { "/", "{'cgroup': '/'}" },
                { "/a/", "{'cgroup': '/a'}" },
                { "/sys/fs/cgroup/memory/a", "{'cgroup': '/a'}" },
                { "/sys/fs/cgroup/unified/a", "{'cgroup': '/a'}" },
                { "/sys/fs/cgroup/a", "{'cgroup': '/a'}" },
                { "/sys/fs/cgroup/memory", "{'cgroup': '/'}" },
                { "/sys/fs/cgroup", "{'cgroup': '/'}" },
                { "/sys/fs/cgroup/", "{'cgroup': '/'}" },
                { "/sys/fs/cgroups/a", "{'cgroup': '/sys/fs/cgroups/a'}" },
                { "cron", "{'unit': 'cron.service'}" },
                { "cron.service", "{'unit': 'cron.service'}" },
                { "a.scope", "{'unit': 'a.scope'}" },
                { "a.slice", "{'unit': 'a.slice'}" },
                { "a.socket", "{'unit': 'a.socket'}" },
                { "a.mount", "{'unit': 'a.mount'}" },
                { "a.swap", "{'unit': 'a.swap'}" },
                { "a.timer", "{'unit': 'a.timer.service'}" },
                { "dbus-org.freedesktop.login1", "{'unit': 'dbus-org.freedesktop.login1.service'}" },
        };

        (void) state;
        for (size_t i = 0; i < LENGTH(cases); i++) {
                char command[128], call[256];

                snprintf(command, sizeof(command), "explain --json=short %s", cases[i].name);
                snprintf(call, sizeof(call), "{'method': 'io.bpfbudget.Explain', 'parameters': %s}",
                                cases[i].parameters);
                run_script(&(struct exchange){ call, "{'parameters': {}}|" }, 1, command);
                assert_printed("{}\n");
        }
}

#define PATH_OF(path, own, name, more) \
        "{'path': '" path "', 'exists': true, 'workload': {'cgroup': '" own "', 'name': '" name "', " more "}}"
#define WORKLOADS                                                                                                                                               \
        {                                                                                                                                                       \
                MORE_NONE("io.bpfbudget.ListCgroups"),                                                                                                          \
                                "{'parameters': {'cgroups': [" PATH_OF("/k/podu", "/k/podu", "prod/db",                                                         \
                                                "'kind': 'pod', 'pod': 'db'") ", " PATH_OF("/k/podu/c[1]",                                                      \
                                                "/k/podu/c[1]", "prod/db/main",                                                                                 \
                                                "'kind': 'container', 'pod': 'db', 'container': 'main'") ", " PATH_OF("/k/podu/c[1]/below",                     \
                                                "/k/podu/c[1]", "prod/db/main",                                                                                 \
                                                "'kind': 'container', 'container': 'main'") ", {'path': '/k/podold', "                                          \
                                                                                            "'exists': false, "                                                 \
                                                                                            "'workload': {'cgroup': "                                           \
                                                                                            "'/k/podold', 'name': "                                             \
                                                                                            "'prod/db'}}, " PATH_OF(                                            \
                                                                                                            "/k/podt",                                          \
                                                                                                            "/k/podt",                                          \
                                                                                                            "test/db",                                          \
                                                                                                            "'kind': "                                          \
                                                                                                            "'pod', "                                           \
                                                                                                            "'pod': "                                           \
                                                                                                            "'db'") ", " PATH_OF("/d/web",                      \
                                                                                                            "/d/web",                                           \
                                                                                                            "web",                                              \
                                                                                                            "'kind': "                                          \
                                                                                                            "'contain"                                          \
                                                                                                            "er', "                                             \
                                                                                                            "'contain"                                          \
                                                                                                            "er': "                                             \
                                                                                                            "'web'") ", {'path': '/plain', 'exists': true}]}}|" \
        }

/* Where a cgroup may be named, a workload may be, too. */
static void test_workload_names(void **state)
{
        static const char answer[] = "{'parameters': {}}|";

        (void) state;
        run_ctl("explain --json=short prod/db", WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/k/podu'}"), answer });
        assert_printed("{}\n");
        run_ctl("explain --json=short prod/db/main", WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/k/podu/c[1]'}"), answer });
        assert_printed("{}\n");
        run_ctl("why --json=short test/db", WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/k/podt'}"),
                                        "{'parameters': {'cgroup': {'path': '/k/podt'}, 'refusals': [], "
                                        "'memoryEvents': []}}|" });
        assert_int_equal(status, 0);
        run_ctl("set-budget prod/db High=1", WORKLOADS,
                        { CALL("io.bpfbudget.SetBudget", "{'high': 1, 'cgroup': '/k/podu'}"), "{'parameters': {}}|" });
        assert_printed("");
        /* Whatever a table shows is one. */
        run_ctl("explain --json=short prod/db/main/below", WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/k/podu/c[1]/below'}"), answer });
        assert_printed("{}\n");
        /* A unit comes first. */
        run_ctl("explain --json=short web",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'web.service'}"), NO_UNIT("web.service") }, WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/d/web'}"), answer });
        assert_printed("{}\n");
        /* Lists have what is below as well. */
        run_ctl("cgroups --json=short prod/db/main", WORKLOADS,
                        { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '/k/podu/c[[]1]/**'}"),
                                        "{'parameters': {'cgroups': []}}|" });
        assert_printed("{\"cgroups\":[]}\n");
}

static void test_wrong_workload_names(void **state)
{
        (void) state;
        run_ctl("explain db", { CALL("io.bpfbudget.Explain", "{'unit': 'db.service'}"), NO_UNIT("db.service") },
                        WORKLOADS);
        assert_failed(1, "db: there are several: prod/db (/k/podu), test/db (/k/podt); give one of these paths");
        run_ctl("explain prod/none", WORKLOADS);
        assert_failed(1, "prod/none: there is no such pod or container, or its name is not known");
        run_ctl("objects prod/", WORKLOADS);
        assert_failed(1, "prod/: there is no such pod or container, or its name is not known");
        run_ctl("cgroups web",
                        { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '**/web.service/**'}"),
                                        "{'parameters': {'cgroups': []}}|" },
                        { CALL("io.bpfbudget.Explain", "{'unit': 'web.service'}"), NO_UNIT("web.service") }, WORKLOADS,
                        { CALL("io.bpfbudget.Explain", "{'cgroup': '/d/web'}"),
                                        "{'parameters': {'cgroup': {'path': '/d/web'}}}|" });
        assert_failed(1, "web: there is no such unit, but the workload at /d/web: give this path");
        run_here("cgroups --direct prod/db");
        assert_failed(1, "prod/db: names of pods and containers need the daemon, there is no --direct");
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

static void test_budgets(void **state)
{
        (void) state;
        run_ctl("budgets", { MORE_NONE("io.bpfbudget.ListBudgets"),
                                           "{'parameters': {'budgets': [{'name': 'x', 'high': 1024, 'max': 2048, "
                                           "'mapsMax': 3, 'programsMax': 4, 'footprintRatioHigh': 50, 'mapFillHigh': "
                                           "90, 'onHigh': "
                                           "'throttle', 'onMax': 'deny', 'count': 'charged', 'clearPercent': 90, "
                                           "'cgroups': 6, 'file': '/etc/x.budget', 'dropIns': ['/a.conf', '/b.conf']}, "
                                           "{'name': 'y', 'high': null, 'max': "
                                           "null, 'mapsMax': null, 'programsMax': null, 'footprintRatioHigh': null, "
                                           "'onHigh': 'alert', 'onMax': 'alert', 'count': 'allocated', 'clearPercent': "
                                           "80, 'cgroups': 0, 'file': '/y', 'dropIns': []}]}}|" });
        assert_printed("BUDGET HIGH  MAX MAPS-MAX PROGRAMS-MAX RATIO-HIGH FILL-HIGH ON-HIGH  ON-MAX COUNT     CLEAR "
                       "CGROUPS "
                       "FILE\n"
                       "x      1.0K 2.0K        3            4        50%       90% throttle deny   charged     90%    "
                       "   6 "
                       "/etc/x.budget, /a.conf, /b.conf\n"
                       "y         -    -        -            -          -         - alert    alert  allocated   80%    "
                       "   0 "
                       "/y\n");
}

static void test_capabilities(void **state)
{
        (void) state;
        run_ctl("capabilities --sort=-available",
                        { MORE_NONE("io.bpfbudget.GetCapabilities"),
                                        "{'parameters': {'capabilities': [{'name': 'a', 'available': false, 'purpose': "
                                        "'p', 'reason': 'too old'}, {'name': 'b', 'available': true, 'purpose': 'q', "
                                        "'reason': ''}]}}|" });
        assert_printed("CAPABILITY AVAILABLE PURPOSE REASON\n"
                       "b          yes       q\n"
                       "a          no        p       too old\n");
}

static void test_set_budget(void **state)
{
        (void) state;
        run_ctl("set-budget /a/ High=1K max=infinity OnMax=deny MapsMax=",
                        { CALL("io.bpfbudget.SetBudget", "{'high': 1024, 'max': null, 'onMax': 'deny', 'mapsMax': "
                                                         "null, 'cgroup': '/a'}"),
                                        "{}|" });
        assert_printed("");
        /* Which cgroup a unit has is asked first. */
        run_ctl("set-budget cron ClearPercent=70%",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"),
                                        "{'parameters': {'cgroup': {'path': '/system.slice/cron.service'}}}|" },
                        { CALL("io.bpfbudget.SetBudget",
                                          "{'clearPercent': 70, 'cgroup': '/system.slice/cron.service'}"),
                                        "{'parameters': {}}|" });
        assert_printed("");
        run_ctl("set-budget cron High=1",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"), NO_UNIT("cron.service") },
                        NO_WORKLOADS);
        assert_failed(1, "cron.service: there is no such unit, or it does not run");
        run_ctl("set-budget /a High=2 Max=1", { CALL("io.bpfbudget.SetBudget", "{'high': 2, 'max': 1, 'cgroup': '/a'}"),
                                                              "{'error': 'io.bpfbudget.InvalidBudget', 'parameters': "
                                                              "{'field': 'high', 'reason': 'above max'}}|" });
        assert_failed(1, "high: above max");
        run_ctl("set-budget /a MapFillHigh=infinity FootprintRatioHigh=infinity MapsMax=infinity",
                        { CALL("io.bpfbudget.SetBudget", "{'mapFillHigh': null, 'footprintRatioHigh': null, 'mapsMax': "
                                                         "null, 'cgroup': '/a'}"),
                                        "{'parameters': {}}|" });
        assert_printed("");
        run_ctl("set-budget /a OnMax=deny", { CALL("io.bpfbudget.SetBudget", "{'onMax': 'deny', 'cgroup': '/a'}"),
                                                            "{'parameters': {'warnings': ['OnMax=deny is odd']}}|" });
        assert_string_equal(err, "bpfbudgetctl: /a: OnMax=deny is odd\n");
        assert_string_equal(out, "");
        assert_int_equal(status, 0);
        /* Nobody is asked. */
        run_here("set-budget /a ClearPercent=infinity");
        assert_failed(1, "ClearPercent=infinity: not a percentage");
        run_here("set-budget /a High=1K Hihg=1");
        assert_failed(1, "Hihg=1: unknown key; there are High, Max, MapsMax, ProgramsMax, FootprintRatioHigh, "
                         "MapFillHigh, OnHigh, "
                         "OnMax, "
                         "Count, Unbounded, ClearPercent");
        run_here("set-budget /a OnHigh=deny");
        assert_failed(1, "OnHigh=deny: it is alert or throttle");
}

static void test_unset_budget(void **state)
{
        (void) state;
        run_ctl("unset-budget /a", { CALL("io.bpfbudget.UnsetBudget", "{'cgroup': '/a'}"), "{}|" });
        assert_printed("");
        run_ctl("unset-budget a.scope",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'a.scope'}"),
                                        "{'parameters': {'cgroup': {'path': '/x'}}}|" },
                        { CALL("io.bpfbudget.UnsetBudget", "{'cgroup': '/x'}"), "{}|" });
        assert_printed("");
        run_ctl("unset-budget /a",
                        { CALL("io.bpfbudget.UnsetBudget", "{'cgroup': '/a'}"),
                                        "{'error': 'io.bpfbudget.NoSuchBudget', 'parameters': {'cgroup': '/a'}}|" });
        assert_failed(1, "/a: no budget was set for it at run time");
        run_ctl("unset-budget x", { CALL("io.bpfbudget.Explain", "{'unit': 'x.service'}"), NULL });
        assert_int_equal(status, 1);
}

/* --- metrics ------------------------------------------------------------------------------------------------------ */

#define METRICS(format) MORE("io.bpfbudget.GetMetrics", "{'format': '" format "'}")

static const char metrics_pieces[] = "{'parameters': {'text': '# TYPE a gauge\\n'}, 'continues': true}|"
                                     "{'parameters': {'text': 'a 1\\n'}}|";

static void test_metrics(void **state)
{
        (void) state;
        run_ctl("metrics", { METRICS("prometheus"), metrics_pieces });
        assert_printed("# TYPE a gauge\na 1\n");
        run_ctl("metrics --openmetrics", { METRICS("openmetrics"), metrics_pieces });
        assert_printed("# TYPE a gauge\na 1\n");
        run_here("--textfile=x flush");
        assert_failed(1, "flush: --textfile= and --openmetrics go with metrics only");
        run_here("--textfile=x --openmetrics metrics");
        assert_failed(1, "metrics: --textfile= is for the node_exporter, which cannot read --openmetrics: leave one "
                         "out");
}

/* Anybody chooses the names in labels: a terminal gets none of their control characters, a program gets all. */
static void test_metrics_on_terminal(void **state)
{
        static const char pieces[] = "{'parameters': {'text': 'a{x=\\'\\u001b[31m\\u009b\\'} 1\\nb'}, "
                                     "'continues': true}|{'parameters': {'text': ' 2\\n'}}|";

        (void) state;
        run_ctl("metrics", { METRICS("prometheus"), pieces });
        assert_printed("a{x=\"\x1b[31m\xc2\x9b\"} 1\nb 2\n");
        terminal = 80;
        run_ctl("metrics", { METRICS("prometheus"), pieces });
        terminal = 0;
        assert_printed("a{x=\"?[31m?\"} 1\nb 2\n");
}

/* What is wrong with the file is not blamed on the daemon. */
static void test_textfile_full(void **state)
{
        struct rlimit before, limit;
        char command[256], pieces[8400];

        (void) state;
        snprintf(pieces, sizeof(pieces), "{'parameters': {'text': '%08192d'}, 'continues': true}|", 0);
        snprintf(command, sizeof(command), "metrics --textfile=%s/full.prom", directory);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = (struct rlimit){ .rlim_cur = 4096, .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        run_ctl(command, { METRICS("prometheus"), pieces });
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, 1);
        assert_has(err, "/full.prom cannot be written: File too large\n");
        assert_null(strstr(err, "sock"));
}

/* What is in the directory with the file that metrics are written to. */
static void assert_textfile(const char *expected)
{
        char path[128], command[160], *text;
        int fd;

        snprintf(command, sizeof(command), "test \"$(ls -A %s/text)\" = a.prom", directory);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/text/a.prom", directory);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        text = read_all(fd);
        assert_string_equal(text, expected);
        free(text);
}

/* The file is replaced at once and in whole, or not at all, and nothing is left beside it. */
static void test_textfile(void **state)
{
        char path[128], command[256];
        struct stat st;

        (void) state;
        snprintf(path, sizeof(path), "%s/text", directory);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(command, sizeof(command), "metrics --textfile=%s/a.prom", path);
        run_ctl(command, { METRICS("prometheus"), metrics_pieces });
        assert_printed("");
        assert_textfile("# TYPE a gauge\na 1\n");
        snprintf(path, sizeof(path), "%s/text/a.prom", directory);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0644);
        /* The daemon dies in the middle. */
        run_ctl(command, { METRICS("prometheus"), "{'parameters': {'text': 'b 1\\n'}, 'continues': true}|" });
        assert_int_equal(status, 1);
        assert_textfile("# TYPE a gauge\na 1\n");
        run_ctl(command, { METRICS("prometheus"), "{'parameters': {'text': 'c 1\\n'}}|" });
        assert_textfile("c 1\n");
        snprintf(command, sizeof(command), "rm -r %s/text", directory);
        assert_int_equal(system(command), 0);
        /* What is no file stays what it is. */
        snprintf(path, sizeof(path), "%s/fifo", directory);
        assert_int_equal(mkfifo(path, 0600), 0);
        snprintf(command, sizeof(command), "metrics --textfile=%s", path);
        run_here(command);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(status, 1);
        assert_has(err, "/fifo: it is not a regular file\n");
        run_here("metrics --textfile=/nonexistent/a.prom");
        assert_failed(1, "/nonexistent/a.prom cannot be written: no file can be made beside it: No such file or "
                         "directory");
}

static void test_orders(void **state)
{
        (void) state;
        run_ctl("flush", { CALL_NONE("io.bpfbudget.Flush"), "{'parameters': {}}|" });
        assert_printed("");
        run_ctl("reload", { CALL_NONE("io.bpfbudget.Reload"), "{}|" });
        assert_printed("");
        run_ctl("reload", { CALL_NONE("io.bpfbudget.Reload"), "{'parameters': {'warnings': ['x:2: odd']}}|" });
        assert_string_equal(err, "bpfbudgetctl: x:2: odd\n");
        assert_int_equal(status, 0);
        run_ctl("reload", { CALL_NONE("io.bpfbudget.Reload"), "{'error': 'io.bpfbudget.InvalidConfiguration', "
                                                              "'parameters': {'errors': ['a:1: x', 'b:2: y']}}|" });
        assert_string_equal(err, "bpfbudgetctl: a:1: x\nbpfbudgetctl: b:2: y\n"
                                 "bpfbudgetctl: The configuration has errors: the configuration in force is kept\n");
        assert_int_equal(status, 1);
        assert_string_equal(out, "");
}

/* What the daemon refuses, in words. */
static void test_errors(void **state)
{
        static const struct {
                const char *answer, *message;
        } cases[] = {
                { "'io.bpfbudget.NoSuchCgroup', 'parameters': {'cgroup': '/x'}", "/x: there is no such cgroup" },
                { "'io.bpfbudget.NotPermitted', 'parameters': {'reason': 'no'}", "Not permitted: no" },
                { "'io.bpfbudget.NotSupported', 'parameters': {'reason': 'old'}", "Not supported: old" },
                { "'io.bpfbudget.ReplyTooLarge'", "It is too much for one answer" },
                { "'org.varlink.service.MethodNotFound', 'parameters': {'method': 'Flush'}",
                                "The daemon does not know the method Flush: it is older than this program" },
                { "'org.varlink.service.MethodNotImplemented', 'parameters': {'method': 'Flush'}",
                                "The daemon does not implement the method Flush" },
                { "'org.varlink.service.InterfaceNotFound', 'parameters': {'interface': 'io.x'}",
                                "What listens there is not bpfbudgetd: it does not know io.x" },
                { "'org.varlink.service.InvalidParameter', 'parameters': {'parameter': 'z'}",
                                "The daemon does not accept the parameter z" },
                { "'org.varlink.service.InvalidParameter', 'parameters': {'parameter': 'sinceUSec'}",
                                "--since=: the time is in the future; use a time that has passed" },
                { "'io.x.New', 'parameters': {'a': 1}", "The daemon answered io.x.New {\"a\":1}" },
                { "'io.x.New'", "The daemon answered io.x.New " },
        };

        (void) state;
        for (size_t i = 0; i < LENGTH(cases); i++) {
                char answer[256];

                snprintf(answer, sizeof(answer), "{'error': %s}|", cases[i].answer);
                run_ctl("flush", { CALL_NONE("io.bpfbudget.Flush"), answer });
                assert_failed(1, cases[i].message);
        }
}

/* --- monitor ------------------------------------------------------------------------------------------------------ */

#define EVENT                                                                                                       \
        "'event': {'kind': 'state', 'cgroup': '/a', 'usage': 2048, 'high': 1024, 'max': null, 'from': 'ok', 'to': " \
        "'high', 'pid': 7, 'comm': 'x'}"
#define REFUSAL                                                                                                        \
        "'event': {'kind': 'refusal', 'cgroup': '/b', 'usage': 2048, 'max': 3000, 'objectKind': 'map', 'objectType': " \
        "'hash', 'objectName': 'm', 'size': 1024}"

static void assert_event(size_t line, const char *expected)
{
        const char *text = line_of(out, line);

        for (int i = 0; i < 8; i++)
                assert_true(i % 3 == 2 ? text[i] == ':' : text[i] >= '0' && text[i] <= '9');
        assert_string_equal(text + 8, expected);
}

static void test_monitor(void **state)
{
        (void) state;
        /* The first answer only says that the subscription is there. */
        run_ctl("monitor /a",
                        { MORE("io.bpfbudget.Subscribe", "{'cgroup': '/a'}"),
                                        "{'parameters': {'event': null}, 'continues': true}|{'parameters': {" EVENT
                                        "}, 'continues': true}|{'parameters': {" REFUSAL ", 'lost': 0}}|" });
        assert_string_equal(err, "");
        assert_int_equal(status, 0);
        assert_int_equal(count_lines(out), 2);
        assert_event(0, " /a: ok -> high (2.0K), High 1.0K, Max none by x[7]");
        assert_event(1, " /b: refused map hash m of 1.0K at 2.0K, Max 2.9K");
        run_ctl("monitor --bytes cron",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"),
                                        "{'parameters': {'cgroup': {'path': '/system.slice/cron.service'}}}|" },
                        { MORE("io.bpfbudget.Subscribe", "{'cgroup': '**/cron.service/**'}"),
                                        "{'parameters': {'lost': 5}, 'continues': true}|{'parameters': {" EVENT
                                        "}}|" });
        assert_string_equal(err, "bpfbudgetctl: 5 events were lost: this program was too slow for them\n");
        assert_int_equal(count_lines(out), 1);
        assert_event(0, " /a: ok -> high (2048), High 1024, Max none by x[7]");
        run_ctl("monitor nosuch",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'nosuch.service'}"), NO_UNIT("nosuch.service") },
                        NO_WORKLOADS);
        assert_failed(1, "nosuch.service: there is no such unit, or it does not run");
        run_ctl("monitor /[a",
                        { MORE("io.bpfbudget.Subscribe", "{'cgroup': '/[a'}"),
                                        "{'error': 'io.bpfbudget.InvalidName', 'parameters': {'name': '/[a', 'reason': "
                                        "'is odd: close it'}}|" });
        assert_failed(1, "/[a is odd: close it");
        run_ctl("monitor --json=short", { MORE("io.bpfbudget.Subscribe", "{}"), "{'parameters': {" REFUSAL "}}|" });
        assert_printed("{\"kind\":\"refusal\",\"cgroup\":\"/b\",\"usage\":2048,\"max\":3000,\"objectKind\":\"map\","
                       "\"objectType\":\"hash\",\"objectName\":\"m\",\"size\":1024}\n");
        run_ctl("monitor --json=pretty",
                        { MORE("io.bpfbudget.Subscribe", "{}"), "{'parameters': {'event': {'kind': 'x'}}}|" });
        assert_printed("{\n        \"kind\": \"x\"\n}\n");
        setenv("SYSTEMD_COLORS", "1", 1);
        run_ctl("monitor", { MORE("io.bpfbudget.Subscribe", "{}"),
                                           "{'parameters': {" EVENT "}, 'continues': true}|{'parameters': {" REFUSAL
                                           "}}|" });
        assert_event(0, " \033[1;33m/a: ok -> high (2.0K), High 1.0K, Max none by x[7]\033[0m");
        assert_event(1, " \033[1;31m/b: refused map hash m of 1.0K at 2.0K, Max 2.9K\033[0m");
        run_ctl("monitor", { MORE("io.bpfbudget.Subscribe", "{}"),
                                           "{'error': 'io.bpfbudget.NotPermitted', 'parameters': {'reason': 'x'}}|" });
        assert_failed(1, "Not permitted: x");
        run_ctl("monitor", { MORE("io.bpfbudget.Subscribe", "{}"), NULL });
        assert_int_equal(status, 1);
        assert_has(err, "closed the connection");
}

/* A unit that does not run may have left something. */
static void test_orphans_of_nobody(void **state)
{
        (void) state;
        run_ctl("orphans nosuch",
                        { MORE("io.bpfbudget.ListOrphans", "{'cgroup': '**/nosuch.service/**', 'all': true}"),
                                        "{'parameters': {'orphans': []}}|" },
                        { CALL("io.bpfbudget.Explain", "{'unit': 'nosuch.service'}"), NO_UNIT("nosuch.service") },
                        NO_WORKLOADS);
        assert_failed(1, "nosuch.service: there is no such unit, or it does not run");
}

/* A name that the history does not know may be a service's. */
static void test_history_of_nobody(void **state)
{
#define UNKNOWN_WORKLOAD(name)                                                                                      \
        { MORE("io.bpfbudget.GetHistory", "{'points': 32, 'events': true, 'maps': false, 'workload': '" name "'}"), \
                "{'error': 'io.bpfbudget.NoSuchWorkload', 'parameters': {'workload': '" name "'}}|" }
        (void) state;
        run_ctl("history nosuch", UNKNOWN_WORKLOAD("nosuch"), UNKNOWN_WORKLOAD("nosuch.service"));
        assert_failed(1, "nosuch: there is no such workload in the history");
}

/* --- top, printed ------------------------------------------------------------------------------------------------- */

#define TOP_ROOT                                                        \
        {                                                               \
                CALL("io.bpfbudget.GetCgroup", "{'cgroup': '/'}"), ROOT \
        }
#define TOP(parameters) TOP_ROOT, CGROUPS_OF(parameters)

/* The blank part of a minute of which only the last second is known. */
#define BLANK "                                                           "

#define TOP_C                                                                                                                                \
        "(unknown) (gone)     1.0M       0B      1.0M      1       0B        9B ok    [███████████           ]       " \
        " "                                                                                                                                  \
        "-       2B " BLANK "█\n"
#define TOP_A                                                                                                                                          \
        "/a                   3.0K     1.0K      2.0K     15       7B      5.0K high  [████████████████▌     ]     " \
        "2.5K     4.0K " BLANK "█\n"
#define TOP_B                                                                                                          \
        "/a/b (gone)          2.0K     2.0K        0B      1       0B        0B                                      " \
        " "                                                                                                            \
        "-        - " BLANK "█\n"

static void test_top(void **state)
{
        (void) state;
        run_ctl("top nosuch -b", TOP_ROOT,
                        { MORE("io.bpfbudget.ListCgroups", "{'cgroup': '**/nosuch.service/**'}"),
                                        "{'parameters': {'cgroups': []}}|" },
                        { CALL("io.bpfbudget.Explain", "{'unit': 'nosuch.service'}"), NO_UNIT("nosuch.service") },
                        NO_WORKLOADS);
        assert_failed(1, "nosuch.service: there is no such unit, or it does not run");
        run_ctl("top /a*", TOP("{'cgroup': '/a*'}"));
        assert_int_equal(strlen(line_of(out, 0)), strlen("08:26:08  3 cgroups, list by BPF, every 1.0 s"));
        assert_string_equal(line_of(out, 0) + 8, "  3 cgroups, list by BPF, every 1.0 s");
        memmove(out, strchr(out, '\n'), strlen(strchr(out, '\n')) + 1);
        assert_printed("\nBPF 3.0K, charged 2.0K, uncharged 1.0K; 1 over a limit\n\n"
                       "CGROUP                BPF  CHARGED UNCHARGED    OBJ      RSS FOOTPRINT STATE BUDGET            "
                       " "
                       "  "
                       "        HIGH      MAX LAST MINUTE\n" TOP_C TOP_A TOP_B);
        /* Without titles there is nothing above the rows. */
        run_ctl("top --no-legend --sort=UNCHARGED -b", TOP("{}"));
        assert_printed(TOP_C TOP_A TOP_B);
        run_ctl("top --no-legend --sort=-state -n 1", TOP("{}"));
        assert_printed(TOP_B TOP_A TOP_C);
        run_ctl("top --no-legend --sort=cgroup", TOP("{}"));
        assert_printed(TOP_C TOP_A TOP_B);
        run_ctl("top --no-legend --sort=budget", TOP("{}"));
        assert_printed(TOP_A TOP_C TOP_B);
        run_ctl("top --bytes --no-legend", TOP("{}"));
        assert_int_equal(count_lines(out), 3);
        assert_string_equal(line_of(out, 1),
                        "/a                        3072          1024          2048     15             "
                        "7          5120 high  [████████████████▌     ]          2560          4096 " BLANK "█");
        run_ctl("top --json=short -n 2 -d 0.1", TOP("{}"), TOP("{}"));
        assert_string_equal(err, "");
        assert_int_equal(count_lines(out), 2);
        assert_has(line_of(out, 1), "{\"cgroups\":[{\"path\":null,\"id\":4,");
        run_ctl("top -n 2 -d 0.1", TOP("{}"), TOP("{}"));
        assert_int_equal(count_lines(out), 7 + 1 + 7);
        assert_string_equal(line_of(out, 0) + 8, "  3 cgroups, list by BPF, every 0.1 s");
        assert_string_equal(line_of(out, 7), "");
        run_ctl("top", TOP_ROOT, { MORE("io.bpfbudget.ListCgroups", "{}"), NULL });
        assert_int_equal(status, 1);
        assert_has(err, "closed the connection");
        run_here("top --sort=-last");
        assert_failed(1, "--sort=last: there is no such column here; there are cgroup, bpf, charged, uncharged, obj, "
                         "rss, "
                         "footprint, state, budget, high, max");
}

#define SUBSCRIBED                                                                                          \
        {                                                                                                   \
                MORE("io.bpfbudget.Subscribe", "{}"), "{'parameters': {'event': null}, 'continues': true}|" \
        }

/* On a terminal it draws, as often as it is told, and leaves the terminal as it was. */
static void test_top_on_a_terminal(void **state)
{
        (void) state;
        terminal = 100;
        run_ctl("top -n 2 -d 0.1", SUBSCRIBED, TOP("{}"), TOP("{}"));
        assert_string_equal(err, "");
        assert_int_equal(status, 0);
        assert_has(out, "3 cgroups, list by BPF");
        assert_has(out, "LAST MINUTE");
        assert_has(out, "(unknown) (gone)");
        assert_has(out, "q quit");
        /* What is told meanwhile comes behind the picture. */
        run_ctl("top -d 0.1", SUBSCRIBED, TOP("{}"), TOP_ROOT, { MORE("io.bpfbudget.ListCgroups", "{}"), NULL });
        assert_has(err, "closed the connection\n");
        assert_int_equal(status, 1);
        /* Printed, if that is what is asked for. */
        run_ctl("top -b -n 1 --no-legend", TOP("{}"));
        assert_int_equal(status, 0);
        assert_int_equal(count_lines(out), 3);
        assert_null(strchr(out, '\033'));
        run_ctl("top --json=short -n 1", TOP("{}"));
        assert_int_equal(status, 0);
        assert_int_equal(out[0], '{');
        setenv("TERM", "nonsense", 1);
        run_ctl("top", SUBSCRIBED);
        assert_failed(1, "The terminal \"nonsense\" cannot be used; --batch prints instead");
}

/* --- verify ------------------------------------------------------------------------------------------------------- */

static void write_budget(const char *name, const char *text)
{
        int fd = open_file(name);

        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static void verify(const char *options)
{
        char command[256];

        snprintf(command, sizeof(command), "verify %s %s", directory, options);
        run_here(command);
}

static void test_verify(void **state)
{
        char expected[1024];

        (void) state;
        write_budget("a.budget", "[Match]\nCgroup=/a\n[Budget]\nMax=1M\n");
        verify("");
        assert_printed("1 budgets, 0 errors, 0 warnings: the configuration is valid\n");
        verify("--no-legend");
        assert_printed("");
        verify("--json=short");
        assert_printed("{\"findings\":[]}\n");
        write_budget("b.budget", "[Match]\nCgroup=/a\n[Budget]\nMax=1M\nHigh=2M\n");
        verify("");
        assert_string_equal(err, "");
        assert_int_equal(status, 1);
        snprintf(expected, sizeof(expected), "%s/b.budget:", directory);
        assert_int_equal(strncmp(out, expected, strlen(expected)), 0);
        assert_has(out, ": error: ");
        assert_has(out, "\n0 budgets, 1 errors, 0 warnings: the configuration would not be used\n");
        verify("--json=pretty");
        assert_int_equal(status, 1);
        assert_has(out, "{\n        \"findings\": [\n                {\n                        \"file\": \"");
        assert_has(out, "\"fatal\": true,\n");
        /* What is only a warning, a line each; in JSON no line of the end. */
        write_budget("b.budget", "[Match]\nCgroup=/b\n[Budget]\nMax=5\n");
        verify("");
        assert_string_equal(err, "");
        assert_int_equal(status, 0);
        snprintf(expected, sizeof(expected), "%s/b.budget:4: warning: ", directory);
        assert_int_equal(strncmp(out, expected, strlen(expected)), 0);
        assert_int_equal(count_lines(out), 2);
        assert_string_equal(line_of(out, 1), "2 budgets, 0 errors, 1 warnings: the configuration is valid");
        verify("--json=short");
        assert_int_equal(status, 0);
        assert_int_equal(count_lines(out), 1);
        snprintf(expected, sizeof(expected), "{\"findings\":[{\"file\":\"%s/b.budget\",\"line\":4,\"fatal\":false,",
                        directory);
        assert_int_equal(strncmp(out, expected, strlen(expected)), 0);
}

/* --- Suggestions and history -------------------------------------------------------------------------------------- */

#define SUGGESTION(kind, name, cgroup)                                \
        "{'kind': '" kind "', 'name': '" name "', 'cgroup': '" cgroup \
        "', 'high': 262144, 'max': 524288, 'enough': true}"
#define SUGGESTIONS(list) "{'parameters': {'cpus': 2, 'possibleCpus': 2, 'suggestions': [" list "]}}|"

/* What a line of a file cannot have is a wildcard in it, and that is said. */
static void test_suggest_odd_names(void **state)
{
        (void) state;
        run_ctl("suggest",
                        { MORE("io.bpfbudget.Suggest", "{}"),
                                        SUGGESTIONS(SUGGESTION("cgroup", "/a b", "/a b") ", " SUGGESTION("cgroup",
                                                        "/x??", "/x??") ", " SUGGESTION("cgroup", "/[y]", "/[y]")) });
        assert_int_equal(status, 0);
        assert_has(out, "# their place. Check that it matches no other cgroup.\nCgroup=/a?b\n");
        assert_has(out, "# their place. Check that it matches no other cgroup.\nCgroup=/x?*\n");
        assert_has(out, "[Match]\nCgroup=/[[]y]\n");
}

#define DONE        "{'parameters': {}}|"
#define SET(cgroup) CALL("io.bpfbudget.SetBudget", "{'cgroup': '" cgroup "', 'high': 262144, 'max': 524288}")

/* What JSON cannot carry is not taken for no argument, which would be all there is. */
static void test_arguments(void **state)
{
        static const char *const verbs_with_one[] = { "cgroups", "tree", "objects", "explain", "orphans", "history",
                "suggest --apply", "top" };
        char command[64];

        (void) state;
        for (size_t i = 0; i < sizeof(verbs_with_one) / sizeof(verbs_with_one[0]); i++) {
                snprintf(command, sizeof(command), "%s caf\xe9.service", verbs_with_one[i]);
                run_here(command);
                assert_int_equal(status, 1);
                assert_string_equal(out, "");
                assert_has(err, ": caf?.service: it is not UTF-8; use a pattern with ? for each such byte\n");
        }
        run_ctl("cgroups caf\xc3\xa9", CGROUPS_OF("{'cgroup': '**/caf\xc3\xa9.service/**'}"));
        assert_int_equal(status, 0);
}

/* The figures of a refusal have the digits that it takes to see why. */
static void test_why_figures(void **state)
{
        (void) state;
        run_ctl("why /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                          "{'parameters': {'cgroup': {'path': '/a'}, 'memoryEvents': [], 'refusals': [{"
                                          "'time': 1000000, 'pid': 7, 'comm': 'x', 'objectKind': 'map', 'objectType': "
                                          "'percpu_array', 'objectName': 'm', 'size': 16781312, 'limit': 'Max', "
                                          "'budget': 'b', 'usage': 0, 'max': 16777216}]}}|" });
        assert_int_equal(status, 0);
        assert_has(out, "x[7] wanted map percpu_array m of 16.004M: Max of budget b, 0B of 16.000M in use\n");
}

/* What a daemon that was restarted has forgotten is no "never". */
static void test_why_since(void **state)
{
        (void) state;
        setenv("TZ", "UTC", 1);
        tzset();
        run_ctl("why /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                          "{'parameters': {'cgroup': {'path': '/a'}, 'memoryEvents': [], "
                                          "'refusals': [], 'refusalsSince': 1796083200000000}}|" });
        assert_int_equal(status, 0);
        assert_has(out, "    Refusals: none by bpfbudgetd since 2026-12-01 00:00:00\n");
        assert_has(out, "remember refusals from before 2026-12-01 00:00:00; the journal has them.\n");
        run_ctl("why --json=short /a", { CALL("io.bpfbudget.Explain", "{'cgroup': '/a'}"),
                                                       "{'parameters': {'cgroup': {'path': '/a'}, 'memoryEvents': [], "
                                                       "'refusals': [], 'refusalsSince': 1796083200000000}}|" });
        assert_has(out, "\"refusalsSince\":1796083200000000");
}

/* One that cannot be limited does not keep the others from it. */
static void test_suggest_apply(void **state)
{
        (void) state;
        run_ctl("suggest --apply",
                        { MORE("io.bpfbudget.Suggest", "{}"),
                                        SUGGESTIONS(SUGGESTION("cgroup", "/a", "/a") ", " SUGGESTION(
                                                        "cgroup", "/b", "/b") ", " SUGGESTION("cgroup", "/c", "/c")) },
                        { SET("/a"), DONE },
                        { SET("/b"), "{'error': 'io.bpfbudget.NoSuchCgroup', 'parameters': {'cgroup': '/b'}}|" },
                        { SET("/c"), DONE });
        assert_int_equal(status, 1);
        assert_string_equal(err, "bpfbudgetctl: /b: there is no such cgroup\n"
                                 "bpfbudgetctl: suggest: /b: its budget could not be set\n");
        assert_string_equal(out,
                        "/a: High=256K Max=512K until the next boot\n/c: High=256K Max=512K until the next boot\n");
        /* So it is as JSON, which has what was set, and nothing else is on standard output. */
        run_ctl("suggest --apply --json=short",
                        { MORE("io.bpfbudget.Suggest", "{}"),
                                        SUGGESTIONS(SUGGESTION("cgroup", "/a", "/a") ", " SUGGESTION(
                                                        "cgroup", "/b", "/b")) },
                        { SET("/a"), DONE },
                        { SET("/b"), "{'error': 'io.bpfbudget.NoSuchCgroup', 'parameters': {'cgroup': '/b'}}|" });
        assert_int_equal(status, 1);
        assert_string_equal(out, "{\"applied\":[{\"cgroup\":\"/a\",\"high\":262144,\"max\":524288}]}\n");
        /* One that goes away does. */
        run_ctl("suggest --apply",
                        { MORE("io.bpfbudget.Suggest", "{}"),
                                        SUGGESTIONS(SUGGESTION("cgroup", "/a", "/a") ", " SUGGESTION(
                                                        "cgroup", "/b", "/b")) },
                        { SET("/a"), NULL });
        assert_int_equal(status, 1);
        assert_has(err, "closed the connection\n");
        assert_string_equal(out, "");
}

/* A long history comes in several replies. */
static void test_history_in_parts(void **state)
{
        (void) state;
        run_ctl("history -j /x", { MORE("io.bpfbudget.GetHistory",
                                                   "{'workload': '/x', 'points': 192, 'events': true, 'maps': true}"),
                                                 "{'parameters': {'sinceUSec': 5, 'workloads': [{'name': 'a', 'after': "
                                                 "9}], 'events': []}, 'continues': true}|"
                                                 "{'parameters': {'sinceUSec': 5, 'workloads': [{'name': 'b', 'after': "
                                                 "8}], 'events': [{'usec': 1}]}}|" });
        assert_int_equal(status, 0);
        assert_printed("{\"sinceUSec\":5,\"workloads\":[{\"name\":\"a\",\"after\":9},{\"name\":\"b\",\"after\":8}],"
                       "\"events\":[{\"usec\":1}]}\n");
}

#define HISTORY_OF(name) \
        MORE("io.bpfbudget.GetHistory", "{'workload': '" name "', 'points': 192, 'events': true, 'maps': true}")

/* The pods of one controller have one history. */
static void test_history_of_a_pod(void **state)
{
        static const char nothing[] = "{'parameters': {'workloads': []}}|";

        (void) state;
        run_ctl("history -j kube-system/cilium-x7k2p/agent", { HISTORY_OF("kube-system/cilium-x7k2p/agent"), nothing },
                        { HISTORY_OF("kube-system/cilium/agent"),
                                        "{'parameters': {'workloads': [{'name': 'a', 'after': 9}]}}|" });
        assert_printed("{\"workloads\":[{\"name\":\"a\",\"after\":9}]}\n");
        run_ctl("history -j prod/db", { HISTORY_OF("prod/db"), nothing });
        assert_failed(1, "prod/db: there is no such workload in the history");
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

/* Whatever they ask, they free. */
static void test_nothing_is_lost(void **state)
{
        (void) state;
        leaks = true;
        run_ctl("status", STATUS("0"));
        assert_int_equal(status, 0);
        run_ctl("status --json=pretty", STATUS("0"));
        assert_int_equal(status, 0);
        run_ctl("version -j", { CALL_NONE("org.varlink.service.GetInfo"), "{'parameters': {'version': '9.8'}}|" });
        assert_int_equal(status, 0);
        run_ctl("cgroups x --sort=max", CGROUPS_OF("{'cgroup': '**/x.service/**'}"));
        assert_int_equal(status, 0);
        run_ctl("cgroups -j", CGROUPS);
        assert_int_equal(status, 0);
        run_ctl("tree", CGROUPS);
        assert_int_equal(status, 0);
        run_ctl("objects --group-by=holder", OBJECTS_OF("{'holders': true, 'pins': false, 'uses': false}"));
        assert_int_equal(status, 0);
        run_ctl("objects --holders --pins --uses", OBJECTS_OF("{'holders': true, 'pins': true, 'uses': true}"));
        assert_int_equal(status, 0);
        run_ctl("explain cron", { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"), EXPLAINED });
        assert_int_equal(status, 0);
        run_ctl("set-budget cron High=1",
                        { CALL("io.bpfbudget.Explain", "{'unit': 'cron.service'}"),
                                        "{'parameters': {'cgroup': {'path': '/a'}}}|" },
                        { CALL("io.bpfbudget.SetBudget", "{'high': 1, 'cgroup': '/a'}"), "{}|" });
        assert_int_equal(status, 0);
        run_ctl("explain db", { CALL("io.bpfbudget.Explain", "{'unit': 'db.service'}"), NO_UNIT("db.service") },
                        WORKLOADS);
        assert_int_equal(status, 1);
        run_ctl("monitor", { MORE("io.bpfbudget.Subscribe", "{}"), "{'parameters': {" EVENT "}}|" });
        assert_int_equal(status, 0);
        run_ctl("top -n 2 -d 0.1", TOP("{}"), TOP("{}"));
        assert_int_equal(status, 0);
        run_ctl("reload", { CALL_NONE("io.bpfbudget.Reload"), "{'error': 'io.x.New', 'parameters': {'a': 1}}|" });
        assert_int_equal(status, 1);
        assert_string_equal(err, "bpfbudgetctl: The daemon answered io.x.New {\"a\":1}\n");
}

/* --- The command line --------------------------------------------------------------------------------------------- */

static void test_command_line(void **state)
{
        static const struct {
                const char *command, *message;
        } cases[] = {
                { "nonsense", "Unknown command verb 'nonsense'; see bpfbudgetctl --help" },
                { "statu", "Unknown command verb 'statu'; see bpfbudgetctl --help" },
                { "status x", "status: too many arguments; see bpfbudgetctl --help" },
                { "cgroups a b", "cgroups: too many arguments; see bpfbudgetctl --help" },
                { "tree a b", "tree: too many arguments; see bpfbudgetctl --help" },
                { "objects a b", "objects: too many arguments; see bpfbudgetctl --help" },
                { "explain", "explain: too few arguments; see bpfbudgetctl --help" },
                { "explain a b", "explain: too many arguments; see bpfbudgetctl --help" },
                { "top a b", "top: too many arguments; see bpfbudgetctl --help" },
                { "monitor a b", "monitor: too many arguments; see bpfbudgetctl --help" },
                { "budgets a", "budgets: too many arguments; see bpfbudgetctl --help" },
                { "set-budget a", "set-budget: too few arguments; see bpfbudgetctl --help" },
                { "unset-budget", "unset-budget: too few arguments; see bpfbudgetctl --help" },
                { "unset-budget a b", "unset-budget: too many arguments; see bpfbudgetctl --help" },
                { "capabilities a", "capabilities: too many arguments; see bpfbudgetctl --help" },
                { "flush a", "flush: too many arguments; see bpfbudgetctl --help" },
                { "reload a", "reload: too many arguments; see bpfbudgetctl --help" },
                { "verify a b", "verify: too many arguments; see bpfbudgetctl --help" },
                { "version a", "version: too many arguments; see bpfbudgetctl --help" },
                { "status --direct", "status: it needs the daemon, there is no --direct" },
                { "explain --direct /a", "explain: it needs the daemon, there is no --direct" },
                { "top --direct", "top: it needs the daemon, there is no --direct" },
                { "monitor --direct", "monitor: it needs the daemon, there is no --direct" },
                { "budgets --direct", "budgets: it needs the daemon, there is no --direct" },
                { "set-budget --direct /a High=1", "set-budget: it needs the daemon, there is no --direct" },
                { "unset-budget --direct /a", "unset-budget: it needs the daemon, there is no --direct" },
                { "flush --direct", "flush: it needs the daemon, there is no --direct" },
                { "reload --direct", "reload: it needs the daemon, there is no --direct" },
                { "version --direct", "version: it needs the daemon, there is no --direct" },
                { "cgroups --group-by=type",
                                "cgroups: --group-by=, --holders, --pins and --uses go with objects only" },
                { "tree --holders", "tree: --group-by=, --holders, --pins and --uses go with objects only" },
                { "cgroups --pins", "cgroups: --group-by=, --holders, --pins and --uses go with objects only" },
                { "top --uses", "top: --group-by=, --holders, --pins and --uses go with objects only" },
                { "--json=long status", "--json=long: unknown mode; it is one of pretty, short, off" },
                { "--json= status", "--json=: unknown mode; it is one of pretty, short, off" },
                { "objects --group-by=colour",
                                "--group-by=colour: it is one of cgroup, type, name-prefix, pin-dir, holder, program" },
                { "top -d 0.09", "--delay=0.09: not a number of seconds from 0.1 to 3600" },
                { "top -d 3600.1", "--delay=3600.1: not a number of seconds from 0.1 to 3600" },
                { "top --delay=1s", "--delay=1s: not a number of seconds from 0.1 to 3600" },
                { "top --delay=", "--delay=: not a number of seconds from 0.1 to 3600" },
                { "top --delay=nan", "--delay=nan: not a number of seconds from 0.1 to 3600" },
                { "top -n 0", "--iterations=0: not a number above 0" },
                { "top -n -1", "--iterations=-1: not a number above 0" },
                { "top -n 4294967296", "--iterations=4294967296: not a number above 0" },
                { "top --iterations=2x", "--iterations=2x: not a number above 0" },
                { "top --iterations=", "--iterations=: not a number above 0" },
        };

        (void) state;
        for (size_t i = 0; i < LENGTH(cases); i++) {
                run_here(cases[i].command);
                assert_failed(1, cases[i].message);
        }
        run_here("--nonsense status");
        assert_int_equal(status, 1);
        assert_string_equal(out, "");
        /* The ends of what is allowed. */
        run_ctl("top --json=short -d 3600 -n 1", TOP("{}"));
        assert_int_equal(status, 0);
        run_ctl("top --json=short --delay=0.1 --iterations=1", TOP("{}"));
        assert_int_equal(status, 0);
        run_ctl("top --no-legend -b -d 2.5", TOP("{}"));
        assert_int_equal(status, 0);
}

static void test_help(void **state)
{
        (void) state;
        run_here("--help nonsense");
        assert_string_equal(err, "");
        assert_int_equal(status, 0);
        assert_string_equal(line_of(out, 0), "bpfbudgetctl [OPTIONS...] COMMAND ...");
        for (size_t i = 0; i < LENGTH(verbs); i++) {
                char line[64];

                snprintf(line, sizeof(line), "\n  %s ", verbs[i].name);
                assert_has(out, line);
        }
        run_here("-h");
        assert_int_equal(status, 0);
        assert_string_equal(line_of(out, 0), "bpfbudgetctl [OPTIONS...] COMMAND ...");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_status, setup, teardown),
                cmocka_unit_test_setup_teardown(test_status_colors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_status_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_running, setup, teardown),
                cmocka_unit_test_setup_teardown(test_did_not_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
                cmocka_unit_test_setup_teardown(test_doctor, setup, teardown),
                cmocka_unit_test_setup_teardown(test_version, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cgroups, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sort, setup, teardown),
                cmocka_unit_test_setup_teardown(test_globs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cgroups_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_lists_that_break_off, setup, teardown),
                cmocka_unit_test_setup_teardown(test_output_that_cannot_be_written, setup, teardown),
                cmocka_unit_test_setup_teardown(test_output_that_is_not_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_idle_cgroups, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
                cmocka_unit_test_setup_teardown(test_names_that_control, setup, teardown),
                cmocka_unit_test_setup_teardown(test_width, setup, teardown),
                cmocka_unit_test_setup_teardown(test_colors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_json_on_a_terminal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pager, setup, teardown),
                cmocka_unit_test_setup_teardown(test_secure_pager, setup, teardown),
                cmocka_unit_test_setup_teardown(test_pager_environment, setup, teardown),
                cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_object_relations, setup, teardown),
                cmocka_unit_test_setup_teardown(test_object_groups, setup, teardown),
                cmocka_unit_test_setup_teardown(test_explain, setup, teardown),
                cmocka_unit_test_setup_teardown(test_lists_of_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_subjects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_workload_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wrong_workload_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_budgets, setup, teardown),
                cmocka_unit_test_setup_teardown(test_capabilities, setup, teardown),
                cmocka_unit_test_setup_teardown(test_set_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unset_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
                cmocka_unit_test_setup_teardown(test_metrics_on_terminal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_textfile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_textfile_full, setup, teardown),
                cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_monitor, setup, teardown),
                cmocka_unit_test_setup_teardown(test_doctor_mistyped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_orphans_of_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_history_of_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_top, setup, teardown),
                cmocka_unit_test_setup_teardown(test_top_on_a_terminal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
                cmocka_unit_test_setup_teardown(test_suggest_odd_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_why_figures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_why_since, setup, teardown),
                cmocka_unit_test_setup_teardown(test_suggest_apply, setup, teardown),
                cmocka_unit_test_setup_teardown(test_history_in_parts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_history_of_a_pod, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nothing_is_lost, setup, teardown),
                cmocka_unit_test_setup_teardown(test_command_line, setup, teardown),
                cmocka_unit_test_setup_teardown(test_help, setup, teardown),
        };

        return cmocka_run_group_tests_name("ctl-verbs", tests, NULL, NULL);
}
