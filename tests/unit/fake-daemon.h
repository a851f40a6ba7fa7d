/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Doubles of the modules that daemon/main.c and daemon/daemon.c call, for their tests. They record their calls, and
 * return what a test has set. For one file of a program.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "account/monitor.h"
#include "account/relations.h"
#include "base/clock.h"
#include "base/size.h"
#include "daemon/configlog.h"
#include "daemon/dump.h"
#include "daemon/lost.h"
#include "daemon/notify.h"
#include "daemon/record.h"
#include "enforce/doctor.h"
#include "enforce/freezer.h"
#include "enforce/manager.h"
#include "policy/config.h"
#include "serve/alert.h"
#include "serve/api.h"
#include "serve/failure.h"
#include "serve/metricsserver.h"
#include "serve/report.h"
#include "serve/service.h"
#include "tests/unit/fake-log.h"

#define SECOND 1000000ULL

static struct {
        char calls[512]; /* the first letters of the called functions, in order */
        char notified[1024], printed[8192];
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
        bool tells_objects, tells_growth, wants_flush, manager_wants_flush, needs_rss, needs_holders, needs_fills;
        uint64_t due_usec, manager_due_usec, thaw_usec, next_thaw_usec, watchdog_usec;
        int gate_fd, release_result, gate_release_result;
        enum service_end end;

        struct kernel_options kernel_options;
        bool manager_has_state_file, manager_has_frozen_file, manager_dry_run;
        const char *api_path, *api_directory, *owners_file;
        uint32_t relations;
        int pretty; /* whether the report was indented; -1: there was none */
        const struct relations *reported;
        const FILE *reported_to;
        int dump_result;
        unsigned int dump_stops, notify_stops;
        bool notify_fails;
        uint64_t lost_before, lost_left; /* messages that previous daemons lost, and the number left for the next one */

        char failure[512]; /* the reason that was left for clients: "SOCKET REASON" */
        const char *failure_removed;
        struct metrics_server_options metrics_options;
        int metrics_new_result, metrics_listen_result, metrics_written;
        unsigned int metrics_listens;
        const struct writer *metrics_writer;
        char metrics_address[128], metrics_still[128];
        uint64_t dropped[ALERT_DROPS];

        /*
         * History=: whether it was requested, and for the system's daemon; the number of its calls, and their
         * arguments.
         */
        bool history_wanted, history_system;
        unsigned int history_starts, history_takes, history_names, history_ends;
        const struct budget_event *history_event;

        int alert_result, readiness;
        const struct budget_event *published, *alerted;
        const struct ledger *alert_ledger;

} fake;

static struct cgroup root;

static inline void call(char letter)
{
        size_t n = strlen(fake.calls);

        assert_true(n + 1 < sizeof(fake.calls));
        fake.calls[n] = letter;
}

static inline void append(char *to, size_t size, const char *format, va_list ap)
{
        size_t n = strlen(to);

        assert_true(vsnprintf(to + n, size - n, format, ap) < (int) (size - n));
}

static inline void reset_fake(void)
{
        memset(&fake, 0, sizeof(fake));
        forget_log();
        memset(&log_thread, 0, sizeof(log_thread));
        fake.now_usec = 1000 * SECOND;
        fake.tells_objects = fake.tells_growth = true;
        fake.due_usec = fake.manager_due_usec = fake.thaw_usec = UINT64_MAX;
        fake.gate_fd = -1;
        fake.max_level = LOG_INFO;
        fake.settings = (struct settings){ .poll_usec = 2 * SECOND + 500000, .cgroups_max = 99 };
        root.total.allocated = 1000;
}

static inline size_t count_calls(char letter)
{
        size_t n = 0;

        for (const char *c = fake.calls; *c; c++)
                n += *c == letter;
        return n;
}

/* --- History ------------------------------------------------------------------------------------------------------ */

static inline struct history *fake_history(void)
{
        return (struct history *) &fake;
}

void record_start(struct history **history, struct event_base *base, struct monitor *monitor, bool system, bool wanted)
{
        assert_non_null(base);
        assert_non_null(monitor);
        fake.history_starts++;
        fake.history_system = system;
        fake.history_wanted = wanted;
        *history = wanted ? fake_history() : NULL;
}

void history_take(struct history *history)
{
        fake.history_takes += history != NULL;
}

void history_take_names(struct history *history)
{
        fake.history_names += history != NULL;
}

void history_note_event(struct history *history, const struct budget_event *event)
{
        if (history)
                fake.history_event = event;
}

void history_free(struct history *history, uint64_t usec)
{
        assert_true(usec > 0);
        fake.history_ends += history != NULL;
        if (history)
                call('h');
}

/* --- What is called ----------------------------------------------------------------------------------------------- */

uint64_t now_usec(void)
{
        return fake.now_usec;
}

void log_set_max_level(int priority)
{
        fake.max_level = priority;
}

bool notify(const char *state)
{
        if (fake.notify_fails)
                return false;
        strcat(strcat(fake.notified, state), "\n");
        return true;
}

void notify_stop(void)
{
        fake.notify_stops++;
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

void monitor_keep_owners(struct monitor *monitor, const char *file)
{
        (void) monitor;
        fake.owners_file = file;
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

int monitor_poll(struct monitor *monitor, bool rss)
{
        (void) monitor;
        call(rss ? 'r' : 'Q');
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

void manager_take_names(struct manager *manager)
{
        (void) manager;
        call('n');
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

bool fills_wanted(const struct config *config)
{
        (void) config;
        return fake.needs_fills;
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

void api_event(struct api *api, const struct budget_event *event)
{
        assert_true(!api || api == (struct api *) &fake);
        call(api ? 'v' : 'V');
        fake.published = event;
}

int api_write_metrics(struct api *api, enum metrics_format format, struct writer *writer)
{
        assert_ptr_equal(api, &fake);
        fake.metrics_written = format;
        fake.metrics_writer = writer;
        return 0;
}

void api_alert_dropped(struct api *api, enum alert_drop reason)
{
        assert_true(!api || api == (struct api *) &fake);
        fake.dropped[reason]++;
}

int metrics_server_new(const struct metrics_server_options *options, struct metrics_server **ret)
{
        fake.metrics_options = *options;
        *ret = (struct metrics_server *) &fake;
        return fake.metrics_new_result;
}

int metrics_server_listen(struct metrics_server *server, const struct listen_address *address)
{
        assert_ptr_equal(server, &fake);
        fake.metrics_listens++;
        strcpy(fake.metrics_address, address->text);
        return fake.metrics_listen_result;
}

const char *metrics_server_address(const struct metrics_server *server)
{
        assert_ptr_equal(server, &fake);
        return fake.metrics_still;
}

void metrics_server_free(struct metrics_server *server)
{
        assert_true(!server || server == (struct metrics_server *) &fake);
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

void failure_leave(const char *socket, const char *reason)
{
        snprintf(fake.failure, sizeof(fake.failure), "%s %s", socket, reason);
}

void failure_remove(const char *socket)
{
        fake.failure_removed = socket;
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

int report(const struct monitor *monitor, const struct relations *relations, bool pretty, FILE *file)
{
        (void) monitor;
        call('w');
        if (file != stdout)
                fputs("the report", file);
        fake.reported_to = file;
        fake.pretty = pretty;
        fake.reported = relations;
        return fake.report_result;
}

int dump_write(char *text, size_t size)
{
        call('d');
        assert_string_equal(text, "the report");
        assert_int_equal(size, strlen(text));
        free(text);
        return fake.dump_result;
}

void dump_stop(void)
{
        fake.dump_stops++;
}

uint64_t lost_take(const char *file)
{
        assert_string_equal(file, "/run/bpfbudget/lost-messages");
        return fake.lost_before;
}

void lost_leave(const char *file, uint64_t count)
{
        assert_string_equal(file, "/run/bpfbudget/lost-messages");
        fake.lost_left = count;
}

static const struct capability capabilities[] = {
        { .name = "there", .available = true },
        { .name = "kernel", .purpose = "this", .reason = "not in this kernel" },
        { .name = "service", .purpose = "that", .reason = "CAP_X is missing", .permission = true },
};

int report_capabilities(const struct capability *table, size_t count, bool pretty, FILE *file)
{
        assert_ptr_equal(table, capabilities);
        assert_int_equal(count, 3);
        assert_ptr_equal(file, stdout);
        call('w');
        fake.pretty = pretty;
        return fake.report_result;
}

/* Levels are 0 to 2; a negative level makes the call fail. */
int doctor_examine_host(struct readiness *readiness)
{
        call('D');
        if (fake.readiness < 0)
                return fake.readiness;
        readiness->level = fake.readiness;
        return 0;
}

int report_readiness(const struct readiness *readiness, bool pretty, FILE *file)
{
        assert_int_equal(readiness->level, fake.readiness);
        assert_ptr_equal(file, stdout);
        call('w');
        fake.pretty = pretty;
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
