/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's options, its loop, and what the service manager is told: daemon/main.c itself, with functions of the
 * test for all that it calls. Events happen when a test says so, and time stands still. As a process:
 * tests/kernel/test-daemon.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int fake_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int fake_mkdir(const char *path, mode_t mode);
static int fake_isatty(int fd);

#define main              daemon_main
#define printf(...)       fake_printf(__VA_ARGS__)
#define mkdir(path, mode) fake_mkdir(path, mode)
#define isatty(fd)        fake_isatty(fd)
int daemon_main(int argc, char *argv[]);
#include "daemon/configlog.c"
#include "daemon/daemon.c"
#include "daemon/main.c"
#undef main
#undef printf
#undef mkdir
#undef isatty

/* --- What main.c calls -------------------------------------------------------------------------------------------- */

struct event {
        int fd;
        short what;
        event_callback_fn callback;
        void *context;
        bool waits;
        struct timeval wait;
        unsigned int added;
};

static struct {
        char calls[512]; /* the first letters of what was called, in order */
        char logged[4096], notified[1024], printed[8192];
        uint64_t now_usec;
        bool terminal;
        int max_level;

        int config_result;
        struct settings settings;
        size_t budgets;
        unsigned int config_errors, config_warnings;
        const char *config_directory;

        int monitor_result, manager_result, manager_reload_result, api_passed, api_result, report_result,
                        relations_result;
        bool tells_objects, tells_growth, wants_flush, manager_wants_flush, needs_rss, needs_holders;
        uint64_t due_usec, manager_due_usec, thaw_usec, next_thaw_usec, watchdog_usec;
        int gate_fd, release_result, gate_release_result;
        enum service_end end;

        struct kernel_options kernel_options;
        bool manager_has_state_file, manager_has_frozen_file, manager_dry_run;
        const char *api_path, *api_directory;
        uint32_t relations;
        enum json_mode json;
        const struct relations *reported;

        int alert_result;
        const struct budget_event *published, *alerted;
        const struct ledger *alert_ledger;

        struct event events[16];
        size_t event_count;
        bool looped, loop_ended;
        void (*loop)(struct daemon *daemon); /* what happens in it */
} fake;

static struct cgroup root;

static struct event *find_event(event_callback_fn callback);

static void call(char letter)
{
        size_t n = strlen(fake.calls);

        assert_true(n + 1 < sizeof(fake.calls));
        fake.calls[n] = letter;
}

static void append(char *to, size_t size, const char *format, va_list ap)
{
        size_t n = strlen(to);

        assert_true(vsnprintf(to + n, size - n, format, ap) < (int) (size - n));
}

static int fake_printf(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        append(fake.printed, sizeof(fake.printed), format, ap);
        va_end(ap);
        return 0;
}

static int fake_mkdir(const char *path, mode_t mode)
{
        assert_string_equal(path, "/run/bpfbudget");
        assert_int_equal(mode, 0755);
        call('m');
        errno = EEXIST;
        return -1;
}

static int fake_isatty(int fd)
{
        assert_int_equal(fd, STDOUT_FILENO);
        return fake.terminal;
}

uint64_t now_usec(void)
{
        return fake.now_usec;
}

void log_set_max_level(int priority)
{
        fake.max_level = priority;
}

/* Each line begins with its level. */
void log_message(int priority, const char *format, ...)
{
        char line[512];
        va_list ap;

        snprintf(line, sizeof(line), "<%d>%s\n", priority, format);
        va_start(ap, format);
        append(fake.logged, sizeof(fake.logged), line, ap);
        va_end(ap);
}

int sd_notify(int unset, const char *state)
{
        assert_int_equal(unset, 0);
        strcat(strcat(fake.notified, state), "\n");
        return 0;
}

int sd_notifyf(int unset, const char *format, ...)
{
        va_list ap;

        assert_int_equal(unset, 0);
        va_start(ap, format);
        append(fake.notified, sizeof(fake.notified), format, ap);
        va_end(ap);
        strcat(fake.notified, "\n");
        return 0;
}

int sd_watchdog_enabled(int unset, uint64_t *usec)
{
        assert_int_equal(unset, 0);
        *usec = fake.watchdog_usec;
        return fake.watchdog_usec > 0;
}

uint64_t config_read_ram(void)
{
        return 123456;
}

int config_load(struct config *config, const char *root_path, const char *directory,
                const struct config_machine *machine, config_message_t message, void *context)
{
        assert_string_equal(root_path, "");
        assert_int_equal(machine->ram, 123456);
        call('c');
        fake.config_directory = directory;
        for (unsigned int i = 0; i < fake.config_errors; i++)
                message(context, "x.budget", i == 0 ? 7 : 0, true, "is wrong");
        for (unsigned int i = 0; i < fake.config_warnings; i++)
                message(context, "y.budget", i == 0 ? 8 : 0, false, "is odd");
        *config = (struct config){ .settings = fake.settings, .count = fake.budgets };
        return fake.config_result;
}

void config_deinit(struct config *config)
{
        *config = (struct config){};
}

char *format_size(char buffer[FORMAT_SIZE_MAX], uint64_t bytes)
{
        snprintf(buffer, FORMAT_SIZE_MAX, "%lluB", (unsigned long long) bytes);
        return buffer;
}

int monitor_init(struct monitor *monitor, const struct kernel_options *options)
{
        call('M');
        *monitor = (struct monitor){};
        fake.kernel_options = *options;
        monitor->tree.root = &root;
        monitor->tree.count = 3;
        monitor->ledger.count = 4;
        monitor->statistics = (struct monitor_statistics){ .flushes = 11,
                .full_passes = 12,
                .full_pass_usec = 13,
                .overflows = 14,
                .drift = 15,
                .updated_cgroups = 16 };
        return fake.monitor_result;
}

void monitor_deinit(struct monitor *monitor)
{
        (void) monitor;
        call('N');
}

int monitor_flush(struct monitor *monitor)
{
        (void) monitor;
        call('f');
        return 0;
}

int monitor_refresh(struct monitor *monitor)
{
        (void) monitor;
        call('r');
        return 0;
}

bool monitor_wants_flush(const struct monitor *monitor)
{
        (void) monitor;
        return fake.wants_flush;
}

uint64_t monitor_due_usec(const struct monitor *monitor)
{
        (void) monitor;
        return fake.due_usec;
}

int manager_init(struct manager *manager, const struct manager_options *options, struct config *config)
{
        call('G');
        assert_int_equal(options->ram, 123456);
        assert_ptr_equal(options->sink, on_event);
        *manager = (struct manager){ .monitor = options->monitor, .config = *config };
        *config = (struct config){};
        fake.manager_has_state_file = options->state_file != NULL;
        fake.manager_has_frozen_file = options->frozen_file != NULL;
        fake.manager_dry_run = options->dry_run;
        return fake.manager_result;
}

void manager_deinit(struct manager *manager)
{
        (void) manager;
        call('H');
}

int manager_reload(struct manager *manager, struct config *config)
{
        call('R');
        manager->config = *config;
        *config = (struct config){};
        return fake.manager_reload_result;
}

void manager_apply(struct manager *manager)
{
        (void) manager;
        call('a');
}

uint64_t manager_due_usec(const struct manager *manager)
{
        (void) manager;
        return fake.manager_due_usec;
}

void manager_prepare(struct manager *manager)
{
        (void) manager;
        call('p');
}

bool manager_needs_holders(const struct manager *manager)
{
        (void) manager;
        return fake.needs_holders;
}

bool manager_needs_rss(const struct manager *manager)
{
        (void) manager;
        return fake.needs_rss;
}

uint64_t manager_next_thaw_usec(const struct manager *manager)
{
        (void) manager;
        return fake.thaw_usec;
}

void manager_thaw(struct manager *manager)
{
        (void) manager;
        call('t');
        fake.thaw_usec = fake.next_thaw_usec;
}

bool manager_wants_flush(const struct manager *manager)
{
        (void) manager;
        return fake.manager_wants_flush;
}

int manager_gate_fd(const struct manager *manager)
{
        (void) manager;
        return fake.gate_fd;
}

void manager_take_gate(struct manager *manager)
{
        (void) manager;
        call('g');
}

int api_new(const struct api_options *options, struct api **ret)
{
        call('A');
        fake.api_directory = options->directory;
        assert_ptr_equal(options->hooks.reload, reload);
        assert_ptr_equal(options->flushed, find_event(on_flushed));
        assert_non_null(options->monitor);
        assert_non_null(options->manager);
        *ret = (struct api *) &fake;
        return 0;
}

void api_event(struct api *api, const struct budget_event *event)
{
        assert_true(!api || api == (struct api *) &fake);
        call(api ? 'v' : 'V');
        fake.published = event;
}

int alert_send(const struct budget_event *event, const struct ledger *ledger)
{
        call('j');
        fake.alerted = event;
        fake.alert_ledger = ledger;
        return fake.alert_result;
}

void api_free(struct api *api)
{
        (void) api;
        call('B');
}

int api_listen_passed(struct api *api)
{
        (void) api;
        return fake.api_passed;
}

int api_listen(struct api *api, const char *path)
{
        (void) api;
        fake.api_path = path;
        return fake.api_result;
}

int freezer_release(const char *file)
{
        assert_string_equal(file, FREEZER_FILE);
        call('F');
        return fake.release_result;
}

int gate_release(void)
{
        call('O');
        return fake.gate_release_result;
}

enum service_end service_end(void)
{
        return fake.end;
}

int relations_read(struct relations *relations, struct kernel *kernel, struct tree *tree, uint32_t asked)
{
        (void) kernel;
        (void) tree;
        relations->asked = fake.relations = asked;
        call('e');
        return fake.relations_result;
}

void relations_deinit(struct relations *relations)
{
        (void) relations;
        call('d');
}

int report(const struct monitor *monitor, const struct relations *relations, enum json_mode mode, FILE *file)
{
        (void) monitor;
        assert_ptr_equal(file, stdout);
        call('w');
        fake.json = mode;
        fake.reported = relations;
        return fake.report_result;
}

static const struct capability capabilities[] = {
        { .name = "there", .available = true },
        { .name = "kernel", .purpose = "this", .reason = "not in this kernel" },
        { .name = "service", .purpose = "that", .reason = "CAP_X is missing", .permission = true },
};

int report_capabilities(const struct capability *table, size_t count, enum json_mode mode, FILE *file)
{
        assert_ptr_equal(table, capabilities);
        assert_int_equal(count, 3);
        assert_ptr_equal(file, stdout);
        call('w');
        fake.json = mode;
        return fake.report_result;
}

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        (void) kernel;
        *count = 3;
        return capabilities;
}

bool kernel_tells_objects(const struct kernel *kernel)
{
        (void) kernel;
        return fake.tells_objects;
}

bool kernel_tells_growth(const struct kernel *kernel)
{
        (void) kernel;
        return fake.tells_growth;
}

int kernel_updates_fd(const struct kernel *kernel)
{
        (void) kernel;
        return 77;
}

struct sensor_counters kernel_counters(const struct kernel *kernel)
{
        (void) kernel;
        return (struct sensor_counters){ .wakeups = 10 };
}

/* --- libevent ----------------------------------------------------------------------------------------------------- */

struct event_base *event_base_new(void)
{
        return (struct event_base *) &fake;
}

void event_base_free(struct event_base *base)
{
        assert_ptr_equal(base, &fake);
        call('b');
}

struct event *event_new(
                struct event_base *base, evutil_socket_t fd, short what, event_callback_fn callback, void *context)
{
        struct event *event = &fake.events[fake.event_count++];

        assert_ptr_equal(base, &fake);
        *event = (struct event){ .fd = fd, .what = what, .callback = callback, .context = context };
        return event;
}

void event_free(struct event *event)
{
        event->callback = NULL;
        event->waits = false;
}

int event_add(struct event *event, const struct timeval *wait)
{
        event->waits = true;
        event->added++;
        event->wait = wait ? *wait : (struct timeval){};
        return 0;
}

int event_del(struct event *event)
{
        event->waits = false;
        return 0;
}

int event_pending(const struct event *event, short what, struct timeval *wait)
{
        assert_int_equal(what, EV_TIMEOUT);
        assert_null(wait);
        return event->waits;
}

int event_base_loopbreak(struct event_base *base)
{
        assert_ptr_equal(base, &fake);
        fake.loop_ended = true;
        return 0;
}

static struct event *find_event(event_callback_fn callback)
{
        for (size_t i = 0; i < fake.event_count; i++)
                if (fake.events[i].callback == callback)
                        return &fake.events[i];
        return NULL;
}

int event_base_dispatch(struct event_base *base)
{
        struct event *event = find_event(on_updates);

        assert_ptr_equal(base, &fake);
        call('L');
        fake.looped = true;
        if (fake.loop)
                fake.loop(event->context);
        return 0;
}

/* --- Helpers ------------------------------------------------------------------------------------------------------ */

#define SECOND 1000000ULL
#define FLUSH  10000ULL /* between two flushes: ten milliseconds */

static int setup(void **state)
{
        (void) state;
        memset(&fake, 0, sizeof(fake));
        fake.now_usec = 1000 * SECOND;
        fake.tells_objects = fake.tells_growth = true;
        fake.due_usec = fake.manager_due_usec = fake.thaw_usec = UINT64_MAX;
        fake.gate_fd = -1;
        fake.max_level = LOG_INFO;
        fake.settings = (struct settings){ .poll_usec = 2 * SECOND + 500000, .cgroups_max = 99 };
        root.total.allocated = 1000;
        return 0;
}

/* Runs main() with these arguments; NULL ends them. Returns the exit status. */
static int run_main(const char *first, ...)
{
        char *argv[8] = { (char *) "bpfbudgetd", (char *) first };
        int argc = first ? 2 : 1;
        va_list ap;

        va_start(ap, first);
        while (first && argc < 7 && (argv[argc] = va_arg(ap, char *)))
                argc++;
        va_end(ap);
        optind = 0; /* getopt begins again */
        opterr = 0;
        return daemon_main(argc, argv);
}

/* Runs the daemon, in whose loop @loop happens. */
static void run_loop(void (*loop)(struct daemon *daemon))
{
        fake.loop = loop;
        assert_int_equal(run_main("--config", "/conf", NULL), 0);
        assert_true(fake.looped);
}

static void fire(event_callback_fn callback)
{
        struct event *event = find_event(callback);

        assert_non_null(event);
        if (event->fd < 0)
                event->waits = event->what & EV_PERSIST;
        event->callback(event->fd, event->what, event->context);
}

static uint64_t wait_of(event_callback_fn callback)
{
        const struct event *event = find_event(callback);

        assert_non_null(event);
        assert_true(event->waits);
        assert_in_range(event->wait.tv_usec, 0, 999999);
        return event->wait.tv_sec * SECOND + event->wait.tv_usec;
}

static bool waits(event_callback_fn callback)
{
        const struct event *event = find_event(callback);

        return event && event->waits;
}

static size_t count_calls(char letter)
{
        size_t n = 0;

        for (const char *c = fake.calls; *c; c++)
                n += *c == letter;
        return n;
}

static void assert_logged(const char *text)
{
        if (!strstr(fake.logged, text))
                fail_msg("\"%s\" is not in: %s", text, fake.logged);
}

static void assert_not_logged(const char *text)
{
        if (strstr(fake.logged, text))
                fail_msg("\"%s\" is in: %s", text, fake.logged);
}

/* --- Options ------------------------------------------------------------------------------------------------------ */

static void test_help(void **state)
{
        (void) state;
        assert_int_equal(run_main("--help", NULL), 0);
        assert_non_null(strstr(fake.printed, "bpfbudgetd [OPTIONS...]"));
        assert_string_equal(fake.calls, "");
        setup(NULL);
        assert_int_equal(run_main("-h", "--once", NULL), 0);
        assert_non_null(strstr(fake.printed, "bpfbudgetd [OPTIONS...]"));
        assert_string_equal(fake.calls, "");
        setup(NULL);
        assert_int_equal(run_main("--version", NULL), 0);
        assert_string_equal(fake.printed, "bpfbudgetd " PACKAGE_VERSION "\n");
        assert_string_equal(fake.calls, "");
}

static void test_bad_options(void **state)
{
        static const char *const lines[][4] = {
                { "--nonsense" },
                { "--once", "argument" },
                { "--once", "--json=xml" },
                { "--once", "--holders" },
                { "--once", "--pins", "--json=off" },
                { "--json", "--uses" },
                { "--capabilities", "--json", "--holders" },
                { "--socket" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                setup(NULL);
                assert_int_equal(run_main(lines[i][0], lines[i][1], lines[i][2], lines[i][3], NULL), EXIT_FAILURE);
                assert_string_equal(fake.calls, "");
        }
        setup(NULL);
        run_main("--once", "argument", NULL);
        assert_logged("<3>argument: no arguments");
        setup(NULL);
        run_main("--json=xml", NULL);
        assert_logged("<3>--json=xml: unknown mode; it is one of short, pretty, off");
        setup(NULL);
        run_main("--once", "--uses", NULL);
        assert_logged("<3>--holders, --pins and --uses go with --once --json");
}

static void test_json_modes(void **state)
{
        static const struct {
                const char *option;
                bool terminal;
                enum json_mode mode;
        } cases[] = {
                { NULL, true, JSON_OFF },
                { "--json", false, JSON_SHORT },
                { "--json", true, JSON_PRETTY },
                { "--json=short", true, JSON_SHORT },
                { "--json=pretty", false, JSON_PRETTY },
                { "--json=off", true, JSON_OFF },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.terminal = cases[i].terminal;
                fake.json = -1;
                assert_int_equal(run_main("--once", cases[i].option, NULL), 0);
                assert_int_equal(fake.json, cases[i].mode);
                fake.json = -1;
                assert_int_equal(run_main("--capabilities", cases[i].option, NULL), 0);
                assert_int_equal(fake.json, cases[i].mode);
        }
        /* The last one counts. */
        assert_int_equal(run_main("--once", "--json=pretty", "--json=off", NULL), 0);
        assert_int_equal(fake.json, JSON_OFF);
}

/* One snapshot: without sensors, and with what was asked for. */
static void test_once(void **state)
{
        (void) state;
        assert_int_equal(run_main("--once", NULL), 0);
        assert_string_equal(fake.calls, "MewdN");
        assert_false(fake.kernel_options.sensors);
        assert_false(fake.kernel_options.relations);
        assert_false(fake.kernel_options.probe_only);
        assert_int_equal(fake.relations, 0);
        assert_non_null(fake.reported);
        setup(NULL);
        assert_int_equal(run_main("--once", "--json", "--holders", NULL), 0);
        assert_int_equal(fake.relations, RELATION_HOLDERS);
        assert_true(fake.kernel_options.relations);
        assert_int_equal(run_main("--once", "--json", "--uses", NULL), 0);
        assert_int_equal(fake.relations, RELATION_USES);
        assert_true(fake.kernel_options.relations);
        /* Of pins the kernel side tells nothing. */
        assert_int_equal(run_main("--once", "--json", "--pins", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS);
        assert_false(fake.kernel_options.relations);
        assert_int_equal(run_main("--once", "--json", "--pins", "--uses", "--holders", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS | RELATION_USES | RELATION_HOLDERS);
        assert_int_equal(run_main("--once", "--json", "--holders", "--pins", NULL), 0);
        assert_int_equal(fake.relations, RELATION_PINS | RELATION_HOLDERS);
}

static void test_once_fails(void **state)
{
        (void) state;
        fake.monitor_result = -EPERM;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MN");
        setup(NULL);
        fake.relations_result = -EOPNOTSUPP;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MedN");
        setup(NULL);
        fake.report_result = -ENOSPC;
        assert_int_equal(run_main("--once", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MewdN");
        assert_logged("<3>The report cannot be written: No space left on device");
}

static void test_capabilities(void **state)
{
        (void) state;
        assert_int_equal(run_main("--capabilities", NULL), 0);
        assert_string_equal(fake.calls, "MwN");
        assert_true(fake.kernel_options.probe_only);
        setup(NULL);
        fake.report_result = -ENOSPC;
        assert_int_equal(run_main("--capabilities", NULL), EXIT_FAILURE);
        assert_logged("<3>The report cannot be written");
        setup(NULL);
        fake.monitor_result = -ENOMEM;
        assert_int_equal(run_main("--capabilities", NULL), EXIT_FAILURE);
        assert_string_equal(fake.calls, "MN");
}

static void test_check_config(void **state)
{
        (void) state;
        fake.budgets = 5;
        fake.config_warnings = 2;
        assert_int_equal(run_main("--check-config", NULL), 0);
        assert_null(fake.config_directory);
        assert_string_equal(fake.calls, "c");
        assert_logged("<6>5 budgets, 2 warnings: the configuration is valid");
        assert_logged("<4>y.budget:8: is odd");
        assert_logged("<4>y.budget: is odd");
        assert_int_equal(run_main("--check-config=/a", NULL), 0);
        assert_string_equal(fake.config_directory, "/a");
        assert_int_equal(run_main("--check-config", "/b", NULL), 0);
        assert_string_equal(fake.config_directory, "/b");
        assert_int_equal(run_main("--check-config", "--debug", NULL), 0);
        assert_null(fake.config_directory);
        assert_int_equal(fake.max_level, LOG_DEBUG);
        assert_int_equal(run_main("--check-config", "/b", "/c", NULL), EXIT_FAILURE);
        setup(NULL);
        fake.config_result = -EINVAL;
        fake.config_errors = 3;
        fake.config_warnings = 1;
        assert_int_equal(run_main("--check-config", NULL), EXIT_FAILURE);
        assert_logged("<3>x.budget:7: is wrong");
        assert_logged("<3>x.budget: is wrong");
        assert_logged("<3>3 errors, 1 warnings: the configuration would not be used");
        assert_not_logged("cannot be read");
        setup(NULL);
        fake.config_result = -ENOMEM;
        assert_int_equal(run_main("--check-config", NULL), EXIT_FAILURE);
        assert_logged("<3>The configuration cannot be read: Cannot allocate memory");
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

/* The system's daemon: pauses that another one has left are ended before all else. */
static void test_run(void **state)
{
        (void) state;
        fake.budgets = 2;
        assert_int_equal(run_main(NULL, NULL), 0);
        assert_string_equal(fake.calls, "FcMmGAaLBbHN");
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 1000B of BPF memory, 0 over High\n"
                                           "READY=1\nSTOPPING=1\n");
        assert_logged("<6>Watching 4 BPF objects in 3 cgroups, 2 budgets");
        assert_logged("<6>Wake-ups: 10, flushes: 11, updated cgroups: 16, full passes: 12 (the last took 13 us), "
                      "overflows: 14, drift: 15");
        assert_true(fake.kernel_options.sensors);
        assert_true(fake.kernel_options.relations);
        assert_false(fake.kernel_options.probe_only);
        assert_int_equal(fake.kernel_options.cgroups_max, 99);
        assert_null(fake.config_directory);
        assert_true(fake.manager_has_state_file);
        assert_true(fake.manager_has_frozen_file);
        assert_false(fake.manager_dry_run);
        assert_string_equal(fake.api_path, API_SOCKET);
        assert_string_equal(fake.api_directory, "/run/bpfbudget");
        assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
}

/* One with a configuration of its own leaves alone what is the system's. */
static void test_run_with_directory(void **state)
{
        (void) state;
        assert_int_equal(run_main("--config", "/conf", NULL), 0);
        assert_string_equal(fake.calls, "cMGAaLBbHN");
        assert_string_equal(fake.config_directory, "/conf");
        assert_false(fake.manager_has_state_file);
        assert_false(fake.manager_has_frozen_file);
        assert_null(fake.api_path);
        assert_string_equal(fake.api_directory, "/conf");
        setup(NULL);
        assert_int_equal(run_main("--config=/conf", "--socket=/s", NULL), 0);
        assert_string_equal(fake.api_path, "/s");
        setup(NULL);
        assert_int_equal(run_main("--socket", "/s", NULL), 0);
        assert_string_equal(fake.api_path, "/s");
        assert_true(fake.manager_has_state_file);
}

static void test_dry_run(void **state)
{
        (void) state;
        assert_int_equal(run_main("--dry-run", NULL), 0);
        assert_string_equal(fake.calls, "cMmGAaLBbHN");
        assert_true(fake.manager_dry_run);
}

/* systemd does not start again what would end in the same way. */
static void test_exit_statuses(void **state)
{
        static const struct {
                int config, monitor, manager, api, status;
                unsigned int errors;
                const char *calls;
        } cases[] = {
                { .config = -EINVAL, .errors = 2, .status = EX_CONFIG, .calls = "cBHN" },
                { .config = -ENOMEM, .status = EXIT_FAILURE, .calls = "cBHN" },
                { .monitor = -EPERM, .status = EX_UNAVAILABLE, .calls = "cMBHN" },
                { .monitor = -EOPNOTSUPP, .status = EX_UNAVAILABLE, .calls = "cMBHN" },
                { .monitor = -EIO, .status = EXIT_FAILURE, .calls = "cMBHN" },
                { .manager = -ENOMEM, .status = EXIT_FAILURE, .calls = "cMGBHN" },
                { .manager = -EOPNOTSUPP, .status = EX_UNAVAILABLE, .calls = "cMGBHN" },
                { .api = -EADDRINUSE, .status = EXIT_FAILURE, .calls = "cMGABbHN" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.config_result = cases[i].config;
                fake.config_errors = cases[i].errors;
                fake.monitor_result = cases[i].monitor;
                fake.manager_result = cases[i].manager;
                fake.api_result = cases[i].api;
                assert_int_equal(run_main("--config=/conf", "--socket=/s", NULL), cases[i].status);
                assert_string_equal(fake.calls, cases[i].calls);
                assert_string_equal(fake.notified, "");
                if (cases[i].errors)
                        assert_logged("<3>2 errors in the configuration;");
                else
                        assert_not_logged("errors in the configuration");
                if (cases[i].manager == -ENOMEM)
                        assert_logged("Out of memory");
        }
}

/* A socket that cannot be served ends it only if it was named. */
static void test_listen(void **state)
{
        (void) state;
        fake.api_result = -EADDRINUSE;
        assert_int_equal(run_main(NULL, NULL), 0);
        assert_logged("<3>" API_SOCKET ": another daemon listens there: this one cannot be asked");
        setup(NULL);
        fake.api_result = -EACCES;
        assert_int_equal(run_main(NULL, NULL), 0);
        assert_logged("<3>" API_SOCKET " cannot be served: Permission denied");
        setup(NULL);
        fake.api_result = -EADDRINUSE;
        assert_int_equal(run_main("--socket=/s", NULL), EXIT_FAILURE);
        assert_logged("<3>/s: another daemon listens there\n");
        /* The service manager's come first. */
        setup(NULL);
        fake.api_passed = 2;
        assert_int_equal(run_main("--socket=/s", NULL), 0);
        assert_null(fake.api_path);
        setup(NULL);
        fake.api_passed = -EBADF;
        assert_int_equal(run_main(NULL, NULL), EXIT_FAILURE);
        assert_null(fake.api_path);
        assert_logged("<3>The sockets of the service manager cannot be served: Bad file descriptor");
}

static void test_log_capabilities(void **state)
{
        (void) state;
        run_loop(NULL);
        assert_logged("<6>2 of 3 capabilities are not available here");
        assert_logged("<7>kernel is not available: not in this kernel (this)");
        assert_logged("<5>service is not available: CAP_X is missing (that)");
        assert_not_logged("there is not available");
        assert_not_logged("No sensor tells");
        assert_not_logged("No hook tells");
        setup(NULL);
        fake.tells_objects = false;
        run_loop(NULL);
        assert_logged("<6>No hook tells of new maps");
        assert_not_logged("No sensor tells");
        setup(NULL);
        fake.tells_growth = false;
        run_loop(NULL);
        assert_logged("<4>No sensor tells of growth");
        assert_not_logged("No hook tells");
}

/* --- Flushes ------------------------------------------------------------------------------------------------------ */

static void updates_come(struct daemon *daemon)
{
        const struct event *timer = find_event(on_flush_timer);
        const struct event *updates = find_event(on_updates);

        /* Edge-triggered, at what the kernel side has. */
        assert_int_equal(updates->fd, 77);
        assert_int_equal(updates->what, EV_READ | EV_PERSIST | EV_ET);
        assert_true(updates->waits);
        assert_int_equal(timer->what, 0);
        assert_false(timer->waits);

        /* After a quiet time at once. */
        fire(on_updates);
        assert_int_equal(count_calls('f'), 1);
        assert_int_equal(daemon->last_flush_usec, fake.now_usec);
        assert_false(timer->waits);
        /* What follows closely waits for the rest of the interval, together. */
        fake.now_usec += 3000;
        fire(on_updates);
        fake.now_usec += 2000;
        fire(on_updates);
        fake.now_usec += FLUSH - 5000 - 1;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 1);
        assert_int_equal(timer->added, 1);
        assert_int_equal(wait_of(on_flush_timer), FLUSH - 3000);
        fire(on_flush_timer);
        assert_int_equal(count_calls('f'), 2);
        assert_int_equal(daemon->last_flush_usec, fake.now_usec);
        assert_false(timer->waits);
        /* From then on again. */
        fake.now_usec += 1;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 2);
        assert_int_equal(wait_of(on_flush_timer), FLUSH - 1);
        fire(on_flush_timer);
        fake.now_usec += FLUSH;
        fire(on_updates);
        assert_int_equal(count_calls('f'), 4);
        assert_false(timer->waits);
}

static void test_coalescing(void **state)
{
        (void) state;
        run_loop(updates_come);
}

static void flushes_follow(struct daemon *daemon)
{
        (void) daemon;
        /* The monitor, or the manager, wants another one. */
        fake.wants_flush = true;
        fire(on_updates);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        fake.wants_flush = false;
        fake.manager_wants_flush = true;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        fake.manager_wants_flush = false;
        fire(on_flush_timer);
        assert_false(waits(on_flush_timer));
        assert_int_equal(count_calls('f'), 3);
        /* Each is followed by a look at the budgets; one took place at the start. */
        assert_int_equal(count_calls('a'), 4);
}

static void test_following(void **state)
{
        (void) state;
        run_loop(flushes_follow);
}

static void due_comes(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_due_timer));
        /* The earlier of the two, set anew after each flush. */
        fake.due_usec = fake.now_usec + 3 * SECOND + 7;
        fake.manager_due_usec = fake.now_usec + 4 * SECOND;
        fire(on_updates);
        assert_int_equal(wait_of(on_due_timer), 3 * SECOND + 7);
        fake.manager_due_usec = fake.now_usec + 2 * SECOND;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_due_timer), 2 * SECOND);
        fake.manager_due_usec = fake.now_usec - 1;
        fire(on_flush_timer);
        assert_int_equal(wait_of(on_due_timer), 0);
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.due_usec = fake.manager_due_usec = UINT64_MAX;
        fire(on_due_timer);
        assert_string_equal(fake.calls, "pfa");
        assert_false(waits(on_due_timer));
        fake.due_usec = fake.now_usec + 5;
        fire(on_flush_timer);
        assert_true(waits(on_due_timer));
        fake.due_usec = UINT64_MAX;
        fire(on_flush_timer);
        assert_false(waits(on_due_timer));
}

static void test_due(void **state)
{
        (void) state;
        run_loop(due_comes);
}

/* What is due already when it starts. */
static void due_at_start(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(wait_of(on_due_timer), SECOND);
}

static void test_due_at_start(void **state)
{
        (void) state;
        fake.manager_due_usec = fake.now_usec + SECOND;
        run_loop(due_at_start);
}

static void pauses_end(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_thaw_timer));
        fake.thaw_usec = fake.now_usec + 200000;
        fire(on_updates);
        assert_int_equal(wait_of(on_thaw_timer), 200000);
        fake.now_usec = fake.thaw_usec;
        fake.manager_due_usec = fake.now_usec + 9;
        /* Another pause ends later. */
        fake.next_thaw_usec = fake.now_usec + 300;
        fire(on_thaw_timer);
        assert_int_equal(count_calls('t'), 1);
        assert_int_equal(wait_of(on_thaw_timer), 300);
        fake.next_thaw_usec = UINT64_MAX;
        fire(on_thaw_timer);
        assert_false(waits(on_thaw_timer));
        assert_int_equal(wait_of(on_due_timer), 9);
}

static void test_thaw(void **state)
{
        (void) state;
        run_loop(pauses_end);
}

static void gate_tells(struct daemon *daemon)
{
        const struct event *event = find_event(on_gate);

        (void) daemon;
        assert_non_null(event);
        assert_int_equal(event->fd, 5);
        assert_int_equal(event->what, EV_READ | EV_PERSIST);
        assert_true(event->waits);
        fire(on_gate);
        assert_int_equal(count_calls('g'), 1);
        assert_int_equal(count_calls('f'), 0);
        assert_int_equal(wait_of(on_flush_timer), FLUSH);
        /* A reload opens another one, or none. */
        fake.gate_fd = 6;
        fire(on_reload);
        assert_int_equal(find_event(on_gate)->fd, 6);
        assert_true(find_event(on_gate)->waits);
        fake.gate_fd = -1;
        fire(on_reload);
        assert_null(find_event(on_gate));
}

static void test_gate(void **state)
{
        (void) state;
        fake.gate_fd = 5;
        run_loop(gate_tells);
        /* The API changes budgets, which is a reload to the daemon, and refreshes. */
        setup(NULL);
        run_loop(NULL);
        assert_null(find_event(on_gate));
}

/* --- Who hears what happens --------------------------------------------------------------------------------------- */

static void events_come(struct daemon *daemon)
{
        struct cgroup cgroup = { .path = (char *) "/a" };
        struct budget_event event = { .cgroup = &cgroup };

        for (int i = 0; i < 4; i++) {
                memset(fake.calls, 0, sizeof(fake.calls));
                event.publish = i & 1;
                event.alert = i & 2;
                on_event(daemon, &event);
                assert_string_equal(fake.calls, i == 0 ? "" : i == 1 ? "v" : i == 2 ? "j" : "vj");
        }
        assert_ptr_equal(fake.published, &event);
        assert_ptr_equal(fake.alerted, &event);
        assert_ptr_equal(fake.alert_ledger, &daemon->monitor.ledger);
        assert_not_logged("alert");
        fake.alert_result = -EIO;
        on_event(daemon, &event);
        assert_logged("<4>The alert for /a was not taken by the journal: Input/output error\n");
        cgroup.path = NULL;
        on_event(daemon, &event);
        assert_logged("<4>The alert for (unknown) was not taken by the journal: Input/output error\n");
}

static void test_events(void **state)
{
        (void) state;
        run_loop(events_come);
}

/* --- Polling ------------------------------------------------------------------------------------------------------ */

static void it_polls(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(find_event(on_poll_timer)->what, EV_PERSIST);
        assert_int_equal(find_event(on_poll_timer)->fd, -1);
        assert_int_equal(wait_of(on_poll_timer), 2 * SECOND + 500000);
        fire(on_poll_timer);
        assert_int_equal(count_calls('r'), 1);
        assert_int_equal(count_calls('a'), 2);
}

static void it_does_not_poll(struct daemon *daemon)
{
        (void) daemon;
        assert_false(waits(on_poll_timer));
}

/* Only what no sensor tells of is polled. */
static void test_poll(void **state)
{
        (void) state;
        fake.budgets = 1;
        run_loop(it_does_not_poll);
        setup(NULL);
        fake.needs_rss = true;
        run_loop(it_polls);
        setup(NULL);
        fake.needs_holders = true;
        run_loop(it_polls);
        setup(NULL);
        fake.tells_growth = false;
        run_loop(it_does_not_poll);
        setup(NULL);
        fake.tells_growth = false;
        fake.budgets = 1;
        run_loop(it_polls);
        setup(NULL);
        fake.needs_rss = true;
        fake.settings.poll_usec = 0;
        run_loop(it_does_not_poll);
}

static void polling_changes(struct daemon *daemon)
{
        (void) daemon;
        assert_true(waits(on_poll_timer));
        fake.settings.poll_usec = 7 * SECOND;
        fire(on_reload);
        assert_int_equal(wait_of(on_poll_timer), 7 * SECOND);
        fake.needs_rss = false;
        fire(on_reload);
        assert_false(waits(on_poll_timer));
}

static void test_poll_after_reload(void **state)
{
        (void) state;
        fake.needs_rss = true;
        run_loop(polling_changes);
}

/* --- Signals and the service manager ------------------------------------------------------------------------------ */

static void assert_signal(event_callback_fn callback, int signal)
{
        for (size_t i = 0; i < fake.event_count; i++) {
                const struct event *event = &fake.events[i];

                if (event->callback == callback && event->fd == signal) {
                        assert_int_equal(event->what, EV_SIGNAL | EV_PERSIST);
                        assert_true(event->waits);
                        return;
                }
        }
        fail_msg("nothing is done at signal %d", signal);
}

static void signals_come(struct daemon *daemon)
{
        assert_signal(on_terminate, SIGTERM);
        assert_signal(on_terminate, SIGINT);
        assert_signal(on_dump, SIGUSR1);
        assert_signal(on_reload, SIGHUP);
        assert_false(fake.loop_ended);
        on_terminate(SIGINT, 0, daemon);
        assert_true(fake.loop_ended);
        assert_logged("<6>Received SIGINT: stopping");

        memset(fake.calls, 0, sizeof(fake.calls));
        fire(on_dump);
        assert_string_equal(fake.calls, "raw");
        assert_int_equal(fake.json, JSON_OFF);
        assert_null(fake.reported);
        fake.report_result = -EPIPE;
        fire(on_dump);
        assert_logged("<3>The report cannot be written: Broken pipe");
}

static void test_signals(void **state)
{
        (void) state;
        run_loop(signals_come);
}

static void it_reloads(struct daemon *daemon)
{
        json_t *errors = json_array();

        *fake.notified = *fake.logged = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.budgets = 8;
        fake.due_usec = fake.now_usec + 1;
        fake.thaw_usec = fake.now_usec + 2;
        assert_int_equal(reload(daemon, errors), 0);
        assert_string_equal(fake.calls, "cfRa");
        assert_string_equal(fake.config_directory, "/conf");
        assert_string_equal(fake.notified, "RELOADING=1\nMONOTONIC_USEC=1000000000\nREADY=1\n");
        assert_logged("<6>Configuration reloaded: 8 budgets");
        assert_int_equal(wait_of(on_due_timer), 1);
        assert_int_equal(wait_of(on_thaw_timer), 2);
        assert_int_equal(json_array_size(errors), 0);

        /* One with errors is not put in force. */
        *fake.notified = *fake.logged = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        fake.config_result = -EINVAL;
        fake.config_errors = 2;
        fake.config_warnings = 1;
        assert_int_equal(reload(daemon, errors), -EINVAL);
        assert_string_equal(fake.calls, "ca");
        assert_logged("<3>2 errors in the configuration: the one in force stays");
        assert_not_logged("Configuration reloaded");
        assert_non_null(strstr(fake.notified, "READY=1"));
        assert_int_equal(json_array_size(errors), 2);
        assert_string_equal(json_string_value(json_array_get(errors, 0)), "x.budget:7: is wrong");
        assert_string_equal(json_string_value(json_array_get(errors, 1)), "x.budget: is wrong");
        assert_int_equal(reload(daemon, NULL), -EINVAL);
        json_decref(errors);

        fake.config_result = 0;
        fake.config_errors = 0;
        fake.manager_reload_result = -ENOMEM;
        assert_int_equal(reload(daemon, NULL), -ENOMEM);
        assert_logged("<3>Out of memory while the configuration was reloaded");
        /* SIGHUP does the same. */
        fake.manager_reload_result = 0;
        memset(fake.calls, 0, sizeof(fake.calls));
        fire(on_reload);
        assert_string_equal(fake.calls, "cfRa");
}

static void test_reload(void **state)
{
        (void) state;
        run_loop(it_reloads);
}

/* The service manager is told what changes, and not what stays. */
static void status_changes(struct daemon *daemon)
{
        *fake.notified = '\0';
        fire(on_updates);
        assert_string_equal(fake.notified, "");
        root.total.allocated = 2000;
        daemon->manager.over_high = 1;
        fire(on_flush_timer);
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 2000B of BPF memory, 1 over High\n");
        *fake.notified = '\0';
        daemon->manager.obstacle = "no trampolines";
        fire(on_poll_timer);
        assert_string_equal(fake.notified, "STATUS=3 cgroups, 4 objects, 2000B of BPF memory, 1 over High; OnMax=deny "
                                           "is not in force on this kernel\n");
        /* The API has brought it up to date. */
        *fake.notified = '\0';
        memset(fake.calls, 0, sizeof(fake.calls));
        daemon->manager.obstacle = NULL;
        fake.due_usec = fake.now_usec + 7;
        fake.thaw_usec = fake.now_usec + 8;
        fire(on_flushed);
        assert_int_equal(wait_of(on_due_timer), 7);
        assert_int_equal(wait_of(on_thaw_timer), 8);
        assert_non_null(strstr(fake.notified, "1 over High\n"));
}

static void test_status(void **state)
{
        (void) state;
        run_loop(status_changes);
}

static void watchdog_runs(struct daemon *daemon)
{
        (void) daemon;
        assert_int_equal(find_event(on_watchdog)->what, EV_PERSIST);
        assert_int_equal(find_event(on_watchdog)->fd, -1);
        assert_int_equal(wait_of(on_watchdog), 15 * SECOND + SECOND / 4);
        *fake.notified = '\0';
        fire(on_watchdog);
        assert_string_equal(fake.notified, "WATCHDOG=1\n");
}

/* Twice in the time that the service manager gives. */
static void test_watchdog(void **state)
{
        (void) state;
        fake.watchdog_usec = 30 * SECOND + SECOND / 2;
        run_loop(watchdog_runs);
        setup(NULL);
        run_loop(NULL);
        assert_null(find_event(on_watchdog));
}

/* --- After the end ------------------------------------------------------------------------------------------------ */

/* What is paused goes on, and the gate opens, unless the next daemon is to have it. */
static void test_release(void **state)
{
        static const struct {
                enum service_end end;
                int config;
                bool fail_closed;
                const char *calls;
        } cases[] = {
                { SERVICE_NONE, 0, true, "FO" },
                { SERVICE_FAILED, 0, false, "F" },
                { SERVICE_RESTARTING, 0, false, "F" },
                { SERVICE_STOPPED, 0, false, "FcO" },
                { SERVICE_STOPPED, 0, true, "Fc" },
                { SERVICE_STOPPED, -EINVAL, true, "FcO" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                setup(NULL);
                fake.end = cases[i].end;
                fake.config_result = cases[i].config;
                fake.settings.fail_closed = cases[i].fail_closed;
                fake.gate_release_result = 1;
                assert_int_equal(run_main("--release", NULL), 0);
                assert_string_equal(fake.calls, cases[i].calls);
                if (strchr(cases[i].calls, 'O'))
                        assert_logged("<6>The gate is open");
                else
                        assert_string_equal(fake.logged, "");
        }
}

static void test_release_fails(void **state)
{
        (void) state;
        fake.gate_release_result = -EBUSY;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        assert_logged("<3>The gate stays closed");
        assert_not_logged("is open");
        setup(NULL);
        fake.gate_release_result = -EPERM;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        assert_string_equal(fake.logged, "");
        setup(NULL);
        assert_int_equal(run_main("--release", NULL), 0);
        assert_string_equal(fake.logged, "");
        fake.release_result = -EIO;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
        setup(NULL);
        fake.end = SERVICE_FAILED;
        fake.release_result = -EIO;
        assert_int_equal(run_main("--release", NULL), EXIT_FAILURE);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_help),
                TEST(test_bad_options),
                TEST(test_json_modes),
                TEST(test_once),
                TEST(test_once_fails),
                TEST(test_capabilities),
                TEST(test_check_config),
                TEST(test_run),
                TEST(test_run_with_directory),
                TEST(test_dry_run),
                TEST(test_exit_statuses),
                TEST(test_listen),
                TEST(test_log_capabilities),
                TEST(test_coalescing),
                TEST(test_following),
                TEST(test_due),
                TEST(test_due_at_start),
                TEST(test_thaw),
                TEST(test_gate),
                TEST(test_events),
                TEST(test_poll),
                TEST(test_poll_after_reload),
                TEST(test_signals),
                TEST(test_reload),
                TEST(test_status),
                TEST(test_watchdog),
                TEST(test_release),
                TEST(test_release_fails),
        };

        return cmocka_run_group_tests_name("main", tests, NULL, NULL);
}
