/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "kernel/cgroupfs.h"

/* How long anything that the harness waits for may take. */
#define TIMEOUT_MSEC 60000

static struct cgroupfs cgroupfs;

/* What tests have made and not yet taken away: nothing of it may outlive a test that fails. */
static struct {
        pid_t pids[128];
        size_t pid_count;
        char directories[64][512];
        size_t directory_count;
        struct test_chain *chain;
        char config[64];
} left;

/* Removes the last cgroup of @chain; its processes take a moment to leave. Returns 0 or -1 with errno. */
static int remove_last(struct test_chain *chain)
{
        size_t i = --chain->depth;
        _cleanup_close_ int above = cgroupfs_open(&cgroupfs, i > 0 ? chain->ids[i - 1] : chain->top.id);
        int r = -1;

        if (chain->fd >= 0)
                close(chain->fd);
        chain->fd = -1;
        for (int tries = 0; above >= 0 && tries < 200; tries++) {
                r = unlinkat(above, chain->name, AT_REMOVEDIR);
                if (r == 0 || errno != EBUSY)
                        break;
                sleep_msec(10);
        }
        return r;
}

static void remove_links(struct test_chain *chain)
{
        left.chain = NULL;
        while (chain->depth > 0)
                if (remove_last(chain) < 0)
                        fprintf(stderr, "# level %zu of a chain stays: %s\n", chain->depth, strerror(errno));
        free(chain->path);
        chain->path = NULL;
}

static void remember_pid(pid_t pid)
{
        assert_true(left.pid_count < sizeof(left.pids) / sizeof(left.pids[0]));
        left.pids[left.pid_count++] = pid;
}

static void forget_pid(pid_t pid)
{
        for (size_t i = 0; i < left.pid_count; i++)
                if (left.pids[i] == pid)
                        left.pids[i] = left.pids[--left.pid_count];
}

static void remove_config(void)
{
        DIR *directory = opendir(left.config);
        struct dirent *entry;

        while (directory && (entry = readdir(directory)))
                unlinkat(dirfd(directory), entry->d_name, 0);
        if (directory)
                closedir(directory);
        rmdir(left.config);
        *left.config = '\0';
}

void config_make(char directory[64])
{
        strcpy(left.config, "/tmp/bpfbudget-test-XXXXXX");
        assert_non_null(mkdtemp(left.config));
        strcpy(directory, left.config);
}

void config_write(const char *directory, const char *name, const char *text)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
}

void config_write_budget(const char *directory, const char *name, const struct test_cgroup *cgroup, const char *limits)
{
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "[Match]\nCgroup=%s\n[Budget]\n%s\n", cgroup->path, limits) > 0);
        config_write(directory, name, text);
}

int harness_teardown(void **state)
{
        (void) state;
        for (size_t i = 0; i < left.pid_count; i++) {
                kill(left.pids[i], SIGKILL);
                waitpid(left.pids[i], NULL, 0);
        }
        left.pid_count = 0;
        if (*left.config)
                remove_config();
        if (left.chain)
                remove_links(left.chain);
        /* Children after their parents in the list; their processes take a moment to leave. */
        while (left.directory_count > 0) {
                const char *directory = left.directories[--left.directory_count];

                for (int tries = 0; rmdir(directory) < 0 && errno == EBUSY && tries < 200; tries++)
                        sleep_msec(10);
        }
        return 0;
}

static const char *daemon_path(void)
{
        return getenv("BPFBUDGETD") ?: "bpfbudgetd";
}

void sleep_msec(unsigned int msec)
{
        struct timespec ts = { msec / 1000, msec % 1000 * 1000000L };

        nanosleep(&ts, NULL);
}

bool harness_nobpf(void)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/cmdline", "re");
        char line[4096] = "";

        return file && fgets(line, sizeof(line), file) && strstr(line, "cgroup.memory=nobpf");
}

int harness_init(void)
{
        signal(SIGPIPE, SIG_IGN);
        return cgroupfs_init(&cgroupfs);
}

int harness_main(void)
{
        int r = geteuid() == 0 ? harness_init() : -EPERM;

        alarm(900);
        if (r == 0)
                return 0;
        printf("1..0 # SKIP %s\n", r == -EPERM ? "root is needed" : "no mounted hierarchy has the memory controller");
        return getenv("CI") ? 1 : 77;
}

/* --- cgroups ------------------------------------------------------------------------------------------------------ */

static void write_file(const char *directory, const char *name, const char *text)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                fail_msg("%s: %s", path, strerror(errno));
}

void cgroup_enter(const char *path)
{
        _cleanup_free_ char *directory = NULL;

        assert_true(asprintf(&directory, "%s%s", cgroupfs.mount, path) > 0);
        write_file(directory, "cgroup.procs", "0");
}

char *cgroup_own_path(void)
{
        char *path;

        assert_int_equal(cgroupfs_own_path(&cgroupfs, &path), 0);
        return path;
}

void cgroup_make(struct test_cgroup *cgroup, const struct test_cgroup *parent, const char *name)
{
        int n;

        if (parent)
                n = snprintf(cgroup->path, sizeof(cgroup->path), "%s/%s", parent->path, name);
        else
                n = snprintf(cgroup->path, sizeof(cgroup->path), "/bpfbudget-test-%d-%s", getpid(), name);
        assert_true(n < (int) sizeof(cgroup->path));
        /* On v2 a parent passes the memory controller on when it is told to. */
        if (cgroupfs.version == 2)
                write_file(parent ? parent->directory : cgroupfs.mount, "cgroup.subtree_control", "+memory");
        assert_true(snprintf(cgroup->directory, sizeof(cgroup->directory), "%s%s", cgroupfs.mount, cgroup->path) > 0);
        if (mkdir(cgroup->directory, 0755) < 0)
                fail_msg("%s: %s", cgroup->directory, strerror(errno));
        assert_true(left.directory_count < sizeof(left.directories) / sizeof(left.directories[0]));
        strcpy(left.directories[left.directory_count++], cgroup->directory);
        assert_int_equal(cgroupfs_id(&cgroupfs, cgroup->path, &cgroup->id), 0);
}

void cgroup_remove(struct test_cgroup *cgroup)
{
        for (int waited = 0; rmdir(cgroup->directory) < 0; waited += 10) {
                if (errno != EBUSY || waited > TIMEOUT_MSEC)
                        fail_msg("%s: %s", cgroup->directory, strerror(errno));
                sleep_msec(10);
        }
}

/* Makes the next cgroup of @chain. */
static void add_link(struct test_chain *chain)
{
        _cleanup_close_ int above = chain->fd;

        if (cgroupfs.version == 2) {
                _cleanup_close_ int control = openat(above, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

                assert_int_equal(write(control, "+memory", 7), 7);
        }
        if (mkdirat(above, chain->name, 0755) < 0)
                fail_msg("level %zu of %s: %s", chain->depth, chain->top.directory, strerror(errno));
        chain->fd = openat(above, chain->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(chain->fd >= 0);
        assert_int_equal(cgroupfs_id_of(chain->fd, &chain->ids[chain->depth]), 0);
        chain->depth++;
}

void chain_make(struct test_chain *chain, const char *name, size_t depth)
{
        size_t length;

        assert_true(depth > 0 && depth <= CHAIN_DEPTH_MAX);
        *chain = (struct test_chain){};
        cgroup_make(&chain->top, NULL, "chain");
        strcpy(chain->name, name);
        length = strlen(chain->top.path);
        chain->path = malloc(length + depth * (strlen(name) + 1) + 1);
        assert_non_null(chain->path);
        strcpy(chain->path, chain->top.path);
        chain->fd = open(chain->top.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        left.chain = chain;
        while (chain->depth < depth) {
                add_link(chain);
                length += sprintf(chain->path + length, "/%s", name);
        }
        snprintf(chain->last.directory, sizeof(chain->last.directory), "/proc/%d/fd/%d", (int) getpid(), chain->fd);
        chain->last.id = chain->ids[depth - 1];
}

void chain_shorten(struct test_chain *chain)
{
        assert_int_equal(remove_last(chain), 0);
}

void chain_remove(struct test_chain *chain)
{
        remove_links(chain);
        cgroup_remove(&chain->top);
}

/* memory.stat of v2 is flushed every two seconds (mm/memcontrol.c, FLUSH_TIME); v1's counter is always right. */
void settle(void)
{
        if (cgroupfs.version == 2)
                sleep_msec(2500);
}

uint64_t cgroup_kernel_bytes(const struct test_cgroup *cgroup)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        unsigned long long bytes;
        char line[128];

        assert_true(asprintf(&path, "%s/%s", cgroup->directory,
                                    cgroupfs.version == 1 ? "memory.kmem.usage_in_bytes" : "memory.stat") > 0);
        file = fopen(path, "re");
        if (!file)
                fail_msg("%s: %s", path, strerror(errno));
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, cgroupfs.version == 1 ? "%llu" : "kernel %llu", &bytes) == 1)
                        return bytes;
        fail_msg("%s does not say how much kernel memory there is", path);
        return 0;
}

/* --- Worker ------------------------------------------------------------------------------------------------------- */

static void read_byte(int fd)
{
        char byte;

        if (read(fd, &byte, 1) != 1)
                fail_msg("the process in the cgroup has failed");
}

static void join(const struct test_cgroup *cgroup)
{
        write_file(cgroup->directory, "cgroup.procs", "0");
}

/* Everything that the child of worker_start() does; it never returns. */
static void work(const struct test_cgroup *cgroup, int control, void (*create)(void *argument), void *argument)
{
        char byte = 0;

        join(cgroup);
        if (write(control, &byte, 1) != 1 || read(control, &byte, 1) != 1)
                _exit(1);
        create(argument);
        if (write(control, &byte, 1) != 1)
                _exit(1);
        /* Until the other end is closed. */
        while (read(control, &byte, 1) > 0)
                ;
        _exit(0);
}

void worker_enter(
                struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument), void *argument)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        worker->pid = fork();
        assert_true(worker->pid >= 0);
        if (worker->pid == 0) {
                close(pair[0]);
                work(cgroup, pair[1], create, argument);
        }
        close(pair[1]);
        remember_pid(worker->pid);
        worker->control = pair[0];
        read_byte(worker->control);
}

void worker_go(struct worker *worker)
{
        char byte = 0;

        assert_int_equal(write(worker->control, &byte, 1), 1);
}

void worker_wait(struct worker *worker)
{
        read_byte(worker->control);
}

void worker_start(
                struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument), void *argument)
{
        worker_enter(worker, cgroup, create, argument);
        worker_go(worker);
        worker_wait(worker);
}

void worker_end(struct worker *worker)
{
        int status;

        /* Not only closed: later workers have a copy. */
        shutdown(worker->control, SHUT_RDWR);
        close(worker->control);
        forget_pid(worker->pid);
        assert_int_equal(waitpid(worker->pid, &status, 0), worker->pid);
        assert_int_equal(status, 0);
}

/* --- Maps --------------------------------------------------------------------------------------------------------- */

static void raise_fd_limit(void)
{
        struct rlimit limit = { 20000, 20000 };

        setrlimit(RLIMIT_NOFILE, &limit);
}

static void fill_map(int fd, const struct map_case *map)
{
        char key[16] = {}, value[1024] = {};

        for (uint32_t i = 0; i < map->fill; i++) {
                if (map->type == BPF_MAP_TYPE_LPM_TRIE) {
                        uint32_t prefix = 32;

                        memcpy(key, &prefix, sizeof(prefix));
                        memcpy(key + 4, &i, sizeof(i));
                } else
                        memcpy(key, &i, sizeof(i));
                if (bpf_map_update_elem(fd, key, value, BPF_ANY) < 0)
                        _exit(2);
        }
}

void create_maps(void *argument)
{
        const struct map_case *map = argument;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = map->flags);

        raise_fd_limit();
        if (map->inner)
                opts.inner_map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 4, 1, NULL);
        for (uint32_t i = 0; i < map->count; i++) {
                int fd = bpf_map_create(map->type, "bb_test", map->key_size, map->value_size, map->max_entries, &opts);

                if (fd < 0)
                        _exit(1);
                fill_map(fd, map);
        }
}

/* --- The daemon --------------------------------------------------------------------------------------------------- */

/* All that comes from @fd until its end. */
static char *read_all(int fd)
{
        size_t size = 0, room = 65536;
        char *text = malloc(room);
        ssize_t n;

        assert_non_null(text);
        while ((n = read(fd, text + size, room - size - 1)) > 0) {
                size += n;
                if (room - size < 4096) {
                        room *= 2;
                        text = realloc(text, room);
                        assert_non_null(text);
                }
        }
        text[size] = '\0';
        return text;
}

static char *run_captured(int captured, int *status, const char *first, va_list ap)
{
        char *argv[16] = { (char *) daemon_path(), (char *) first }, *text;
        int pair[2];
        pid_t pid;

        for (size_t i = 2; first && i < 15; i++) {
                argv[i] = va_arg(ap, char *);
                if (!argv[i])
                        break;
        }
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);

                dup2(captured == STDERR_FILENO ? null : STDERR_FILENO,
                                captured == STDERR_FILENO ? STDOUT_FILENO : STDERR_FILENO);
                dup2(pair[1], captured);
                execv(argv[0], argv);
                _exit(127);
        }
        close(pair[1]);
        text = read_all(pair[0]);
        close(pair[0]);
        assert_int_equal(waitpid(pid, status, 0), pid);
        *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
        return text;
}

char *daemon_run(int *status, const char *first, ...)
{
        va_list ap;
        char *text;

        va_start(ap, first);
        text = run_captured(STDOUT_FILENO, status, first, ap);
        va_end(ap);
        return text;
}

char *daemon_errors(int *status, const char *first, ...)
{
        va_list ap;
        char *text;

        va_start(ap, first);
        text = run_captured(STDERR_FILENO, status, first, ap);
        va_end(ap);
        return text;
}

json_t *snapshot(void)
{
        return snapshot_with(NULL);
}

json_t *snapshot_with(const char *option)
{
        _cleanup_free_ char *text = NULL;
        json_error_t error;
        json_t *report;
        int status;

        text = daemon_run(&status, "--once", "--json=short", option, NULL);
        assert_int_equal(status, 0);
        report = json_loads(text, 0, &error);
        if (!report)
                fail_msg("not JSON at %d: %s", error.position, error.text);
        return report;
}

json_t *find_object(json_t *report, const char *kind, int64_t id)
{
        json_t *object;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (number(object, NULL, "id") == id &&
                                strcmp(json_string_value(json_object_get(object, "kind")), kind) == 0)
                        return object;
        }
        return NULL;
}

json_t *find_cgroup(json_t *report, const char *path)
{
        json_t *cgroup;
        size_t i;

        json_array_foreach(json_object_get(report, "cgroups"), i, cgroup)
        {
                const char *its_path = json_string_value(json_object_get(cgroup, "path"));

                if (its_path && strcmp(its_path, path) == 0)
                        return cgroup;
        }
        return NULL;
}

int64_t cgroup_allocated(const struct test_cgroup *cgroup)
{
        json_t *report = snapshot(), *entry = find_cgroup(report, cgroup->path);
        int64_t bytes = entry ? number(entry, "bpf", "allocated") : 0;

        json_decref(report);
        return bytes;
}

int64_t number(json_t *object, const char *section, const char *key)
{
        json_t *value;

        if (section)
                object = json_object_get(object, section);
        value = json_object_get(object, key);
        if (!json_is_integer(value))
                fail_msg("there is no number %s in %s", key, section ?: "the object");
        return json_integer_value(value);
}

int64_t sum_objects(json_t *report, const char *path)
{
        int64_t sum = 0;
        json_t *object;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *its_path = json_string_value(json_object_get(object, "cgroup"));

                if (!path || (its_path && strcmp(its_path, path) == 0))
                        sum += number(object, NULL, "allocated");
        }
        return sum;
}

/* --- The daemon that goes on running ------------------------------------------------------------------------------ */

/* The next line of @fd, read byte by byte up to the newline so that nothing of the next is taken; it may be long. */
static char *read_line(int fd)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        size_t size = 0, room = 65536;
        char *line = malloc(room);

        assert_non_null(line);
        for (;;) {
                ssize_t n;

                if (poll(&ready, 1, TIMEOUT_MSEC) != 1)
                        fail_msg("the daemon does not answer");
                n = read(fd, line + size, room - size - 1);
                if (n <= 0)
                        fail_msg("the daemon has ended");
                size += n;
                if (line[size - 1] == '\n')
                        break;
                if (room - size < 4096) {
                        room *= 2;
                        line = realloc(line, room);
                        assert_non_null(line);
                }
        }
        line[size - 1] = '\0';
        return line;
}

json_t *live_report(struct live_daemon *daemon)
{
        _cleanup_free_ char *line = NULL;
        json_error_t error;
        json_t *report;

        assert_int_equal(kill(daemon->pid, SIGUSR1), 0);
        line = read_line(daemon->out);
        report = json_loads(line, 0, &error);
        if (!report)
                fail_msg("not JSON at %d: %s", error.position, error.text);
        return report;
}

void live_start(struct live_daemon *daemon, const struct test_cgroup *cgroup)
{
        char config[64];

        /* Not the system's, which the tests must not depend on. */
        config_make(config);
        live_start_with(daemon, cgroup, config);
}

static bool live_quiet;

void live_be_quiet(void)
{
        live_quiet = true;
}

/* One more option of the daemon that is started next; NULL: none. */
static const char *live_option;

/* Takes the debug messages of libbpf, which are thousands, out of @text. Returns the new size. */
static size_t drop_libbpf(char *text, size_t size)
{
        char *line = text, *end;
        size_t kept = 0, n;

        text[size] = '\0';
        while ((end = strchr(line, '\n'))) {
                n = end + 1 - line;
                if (strncmp(line, "bpfbudgetd: libbpf", 18) != 0) {
                        memmove(text + kept, line, n);
                        kept += n;
                }
                line = end + 1;
        }
        n = text + size - line;
        memmove(text + kept, line, n + 1);
        return kept + n;
}

void live_start_with(struct live_daemon *daemon, const struct test_cgroup *cgroup, const char *config)
{
        int out[2], errors[2];
        char *text = daemon->greeting;
        size_t size = 0;

        *text = '\0';

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
        snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket", config);
        daemon->pid = fork();
        assert_true(daemon->pid >= 0);
        if (daemon->pid == 0) {
                char *argv[8] = { (char *) daemon_path(), "--config", (char *) config, "--socket", daemon->socket };
                size_t n = 5;

                if (cgroup)
                        join(cgroup);
                if (!live_quiet)
                        argv[n++] = "--debug";
                argv[n] = (char *) live_option;
                dup2(out[1], STDOUT_FILENO);
                dup2(errors[1], STDERR_FILENO);
                execv(argv[0], argv);
                _exit(127);
        }
        remember_pid(daemon->pid);
        close(out[1]);
        close(errors[1]);
        daemon->out = out[0];
        daemon->errors = errors[0];
        /* "Watching N BPF objects" is its last word before it waits. */
        while (!strstr(text, "Watching")) {
                ssize_t n = read(daemon->errors, text + size, sizeof(daemon->greeting) - size - 1);

                if (n <= 0)
                        fail_msg("the daemon did not start: %s", text);
                size = drop_libbpf(text, size + n);
        }
        fcntl(daemon->errors, F_SETFL, O_NONBLOCK);
}

void live_start_dry(struct live_daemon *daemon, const char *config)
{
        live_option = "--dry-run";
        live_start_with(daemon, NULL, config);
        live_option = NULL;
}

char *live_log(struct live_daemon *daemon)
{
        return read_all(daemon->errors);
}

char *live_wait_log(struct live_daemon *daemon, const char *text)
{
        char *all = strdup("");

        for (int waited = 0;; waited += 10) {
                _cleanup_free_ char *more = live_log(daemon), *joined = NULL;

                assert_non_null(all);
                assert_true(asprintf(&joined, "%s%s", all, more) >= 0);
                free(all);
                all = joined;
                joined = NULL;
                if (strstr(all, text))
                        return all;
                if (waited > TIMEOUT_MSEC)
                        fail_msg("the daemon has not logged \"%s\" but: %s", text, all);
                sleep_msec(10);
        }
}

static long status_number(pid_t pid, const char *format)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        char line[256];
        long value = -1;

        assert_true(asprintf(&path, "/proc/%d/status", pid) > 0);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, format, &value) == 1)
                        break;
        return value;
}

long live_switches(const struct live_daemon *daemon)
{
        return status_number(daemon->pid, "voluntary_ctxt_switches: %ld");
}

long live_rss(const struct live_daemon *daemon)
{
        return status_number(daemon->pid, "VmRSS: %ld");
}

int live_end(struct live_daemon *daemon)
{
        assert_int_equal(kill(daemon->pid, SIGTERM), 0);
        return live_reap(daemon);
}

int live_reap(struct live_daemon *daemon)
{
        int status;

        forget_pid(daemon->pid);
        assert_int_equal(waitpid(daemon->pid, &status, 0), daemon->pid);
        close(daemon->out);
        close(daemon->errors);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- Shared by tests ---------------------------------------------------------------------------------------------- */

uint32_t id_of(int fd)
{
        /* The heads of struct bpf_map_info and struct bpf_prog_info. */
        struct {
                uint32_t type, id;
        } info = {};
        uint32_t size = sizeof(info);

        assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
        return info.id;
}

void hold_map(void *argument)
{
        uint32_t id = *(const uint32_t *) argument;

        if (bpf_map_get_fd_by_id(id) < 0 || bpf_map_get_fd_by_id(id) < 0)
                _exit(1);
}

void touch_memory(void *argument)
{
        char *anon = mmap(NULL, TOUCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *shared = mmap(NULL, TOUCH_BYTES / 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        (void) argument;
        if (anon == MAP_FAILED || shared == MAP_FAILED)
                _exit(1);
        memset(anon, 1, TOUCH_BYTES);
        memset(shared, 1, TOUCH_BYTES / 4);
}

bool has_capability(json_t *report, const char *name)
{
        json_t *capability;
        size_t i;

        json_array_foreach(json_object_get(report, "capabilities"), i, capability)
        {
                if (strcmp(json_string_value(json_object_get(capability, "name")), name) == 0)
                        return json_is_true(json_object_get(capability, "available"));
        }
        return false;
}

void assert_one_line(const char *text, const char *part)
{
        const char *end = strchr(text, '\n');

        if (!strstr(text, part))
                fail_msg("\"%s\" is not in: %s", part, text);
        if (!end || end[1])
                fail_msg("not one line: %s", text);
}

json_t *live_wait_object(struct live_daemon *daemon, const char *kind, int64_t id, const char *key, const char *value)
{
        for (int i = 0; i < 200; i++) {
                json_t *report = live_report(daemon), *object = find_object(report, kind, id);

                assert_non_null(object);
                if (strcmp(json_string_value(json_object_get(object, key)), value) == 0)
                        return report;
                json_decref(report);
                sleep_msec(50);
        }
        fail_msg("%s %lld does not have %s %s", kind, (long long) id, key, value);
        return NULL;
}
