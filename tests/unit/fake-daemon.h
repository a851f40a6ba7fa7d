/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The neighbours of daemon/main.c and daemon/daemon.c for their tests: they note that they are called, and answer what
 * a test has put here before. For one file of a program.
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
#include "base/log.h"
#include "base/size.h"
#include "daemon/configlog.h"
#include "enforce/freezer.h"
#include "enforce/manager.h"
#include "policy/config.h"
#include "serve/alert.h"
#include "serve/api.h"
#include "serve/report.h"
#include "serve/service.h"

#define SECOND 1000000ULL

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
        int pretty; /* what was reported was indented; -1: nothing was */
        const struct relations *reported;

        int alert_result;
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

static inline void assert_logged(const char *text)
{
        if (!strstr(fake.logged, text))
                fail_msg("\"%s\" is not in: %s", text, fake.logged);
}

static inline void assert_not_logged(const char *text)
{
        if (strstr(fake.logged, text))
                fail_msg("\"%s\" is in: %s", text, fake.logged);
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

int report(const struct monitor *monitor, const struct relations *relations, bool pretty, FILE *file)
{
        (void) monitor;
        assert_ptr_equal(file, stdout);
        call('w');
        fake.pretty = pretty;
        fake.reported = relations;
        return fake.report_result;
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
