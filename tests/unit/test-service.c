/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why the service has ended: with doubles of sd-bus and sd-login, which answer as a service manager would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "base/log.h"
#include "serve/service.h"

/* --- The manager -------------------------------------------------------------------------------------------------- */

enum step {
        STEP_UNIT,
        STEP_NEW,
        STEP_ADDRESS,
        STEP_START,
        STEP_PATH,
        STEP_JOB,
        STEP_READ,
        STEP_TYPE,
        STEPS, /* none fails */
};

static struct {
        enum step fails;
        uint32_t job;
        const char *type;
        unsigned int buses, messages; /* that are open */
        unsigned int asked;           /* times for the type of a job */
} manager;

static int bus, message;

static int result(enum step step)
{
        return manager.fails == step ? -EIO : 1;
}

int sd_pid_get_unit(pid_t pid, char **unit)
{
        assert_int_equal(pid, 0);
        if (result(STEP_UNIT) < 0)
                return -EIO;
        *unit = strdup("a.service");
        return 0;
}

int sd_bus_new(sd_bus **ret)
{
        if (result(STEP_NEW) < 0)
                return -EIO;
        manager.buses++;
        *ret = (sd_bus *) &bus;
        return 0;
}

int sd_bus_set_address(sd_bus *b, const char *address)
{
        assert_ptr_equal(b, &bus);
        assert_string_equal(address, "unix:path=/run/systemd/private");
        return result(STEP_ADDRESS);
}

int sd_bus_start(sd_bus *b)
{
        assert_ptr_equal(b, &bus);
        return result(STEP_START);
}

int sd_bus_path_encode(const char *prefix, const char *external_id, char **ret_path)
{
        assert_string_equal(prefix, "/org/freedesktop/systemd1/unit");
        assert_string_equal(external_id, "a.service");
        if (result(STEP_PATH) < 0)
                return -EIO;
        *ret_path = strdup("/unit/a");
        return 1;
}

int sd_bus_get_property(sd_bus *b, const char *destination, const char *path, const char *interface, const char *member,
                sd_bus_error *error, sd_bus_message **reply, const char *type)
{
        assert_ptr_equal(b, &bus);
        assert_null(destination);
        assert_null(error);
        assert_string_equal(path, "/unit/a");
        assert_string_equal(interface, "org.freedesktop.systemd1.Unit");
        assert_string_equal(member, "Job");
        assert_string_equal(type, "(uo)");
        if (result(STEP_JOB) < 0)
                return -EIO;
        manager.messages++;
        *reply = (sd_bus_message *) &message;
        return 1;
}

int sd_bus_message_read(sd_bus_message *m, const char *types, ...)
{
        va_list ap;

        assert_ptr_equal(m, &message);
        assert_string_equal(types, "(uo)");
        if (result(STEP_READ) < 0)
                return -EIO;
        va_start(ap, types);
        *va_arg(ap, uint32_t *) = manager.job;
        *va_arg(ap, const char **) = manager.job ? "/job/7" : "/";
        va_end(ap);
        return 1;
}

int sd_bus_get_property_string(sd_bus *b, const char *destination, const char *path, const char *interface,
                const char *member, sd_bus_error *error, char **ret)
{
        assert_ptr_equal(b, &bus);
        assert_null(destination);
        assert_null(error);
        assert_string_equal(path, "/job/7");
        assert_string_equal(interface, "org.freedesktop.systemd1.Job");
        assert_string_equal(member, "JobType");
        manager.asked++;
        if (result(STEP_TYPE) < 0)
                return -EIO;
        *ret = strdup(manager.type);
        return 1;
}

sd_bus_message *sd_bus_message_unref(sd_bus_message *m)
{
        manager.messages -= m != NULL;
        return NULL;
}

sd_bus *sd_bus_flush_close_unref(sd_bus *b)
{
        manager.buses -= b != NULL;
        return NULL;
}

/* The end as ExecStopPost= sees it, with $SERVICE_RESULT and a job of @type (NULL: none); one step may fail. */
static enum service_end end_with(const char *service_result, const char *type, enum step fails)
{
        enum service_end end;

        if (service_result)
                setenv("SERVICE_RESULT", service_result, 1);
        else
                unsetenv("SERVICE_RESULT");
        manager = (typeof(manager)){ .fails = fails, .job = type ? 7 : 0, .type = type };
        end = service_end();
        assert_int_equal(manager.buses, 0);
        assert_int_equal(manager.messages, 0);
        return end;
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static void test_result(void **state)
{
        static const char *const failures[] = { "core-dump", "watchdog", "signal", "exit-code", "timeout", "oom-kill",
                "start-limit-hit", "resources", "protocol", "succes", "" };

        (void) state;
        assert_int_equal(end_with(NULL, "restart", STEPS), SERVICE_NONE);
        for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
                assert_int_equal(end_with(failures[i], "stop", STEPS), SERVICE_FAILED);
        assert_int_equal(end_with("success", "stop", STEPS), SERVICE_STOPPED);
}

/* A restart is a job of its own kind until the service has stopped; without a job it ended by itself. */
static void test_job(void **state)
{
        (void) state;
        assert_int_equal(end_with("success", "restart", STEPS), SERVICE_RESTARTING);
        assert_int_equal(end_with("success", "try-restart", STEPS), SERVICE_RESTARTING);
        assert_int_equal(end_with("success", "start", STEPS), SERVICE_STOPPED);
        assert_int_equal(end_with("success", NULL, STEPS), SERVICE_STOPPED);
        assert_int_equal(manager.asked, 0);
}

/* Where the manager does not answer it was stopped. */
static void test_no_answer(void **state)
{
        (void) state;
        for (enum step step = STEP_UNIT; step < STEPS; step++)
                assert_int_equal(end_with("success", "restart", step), SERVICE_STOPPED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_result),
                cmocka_unit_test(test_job),
                cmocka_unit_test(test_no_answer),
        };

        log_set_max_level(LOG_CRIT);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
