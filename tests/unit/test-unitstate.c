/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the service manager says of a unit, by a process that answers as it does, or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "enforce/unitstate.h"

#define UNIT_PATH "/org/freedesktop/systemd1/unit/a_2eservice"

/* --- The manager -------------------------------------------------------------------------------------------------- */

struct fixture {
        char directory[64], address[128];
        int listening;
        pid_t pid; /* 0: nobody answers */
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (!f)
                return -1;
        strcpy(f->directory, "/tmp/bpfbudget-unit-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/private", f->directory);
        snprintf(f->address, sizeof(f->address), "unix:path=%s", address.sun_path);
        f->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(f->listening, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(f->listening, 8) < 0)
                return -1;
        *state = f;
        return 0;
}

static void end_manager(struct fixture *f)
{
        if (f->pid) {
                kill(f->pid, SIGKILL);
                waitpid(f->pid, NULL, 0);
        }
        f->pid = 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        end_manager(f);
        close(f->listening);
        unlink(strchr(f->address, '/'));
        rmdir(f->directory);
        free(f);
        return 0;
}

static int on_call(sd_bus_message *message, void *context, sd_bus_error *error)
{
        const char *interface, *property, *state = context;

        (void) error;
        if (sd_bus_message_read(message, "ss", &interface, &property) < 0 ||
                        strcmp(interface, "org.freedesktop.systemd1.Unit") != 0 ||
                        strcmp(property, "FreezerState") != 0)
                return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_UNKNOWN_PROPERTY, "%s", property);
        return sd_bus_reply_method_return(message, "v", "s", state);
}

static void serve(int fd, const char *state)
{
        sd_bus *bus = NULL;
        sd_id128_t id = {};

        if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, true, id) < 0 ||
                        sd_bus_add_object(bus, NULL, UNIT_PATH, on_call, (void *) state) < 0 || sd_bus_start(bus) < 0)
                _exit(1);
        for (;;) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        break;
        }
        sd_bus_unref(bus);
}

/* The unit a.service has the FreezerState @state; others are not there. */
static void answer(struct fixture *f, const char *state)
{
        end_manager(f);
        f->pid = fork();
        assert_true(f->pid >= 0);
        if (f->pid == 0) {
                for (;;)
                        serve(accept4(f->listening, NULL, NULL, SOCK_CLOEXEC), state);
        }
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static bool ask(struct fixture *f, struct unit_state *state, const char *path)
{
        return unit_state_is_frozen_at(state, path, f->address);
}

/* The same of a manager that answers, however long it takes to begin with it. */
static bool ask_until_answered(struct fixture *f, const char *path)
{
        struct unit_state units = {};
        bool frozen;

        for (int tries = 0; tries < 100; tries++) {
                units.quiet_until_usec = 0;
                frozen = ask(f, &units, path);
                if (units.quiet_until_usec == 0)
                        return frozen;
        }
        fail_msg("%s: there is no answer", path);
        return false;
}

static void test_states(void **state)
{
        static const struct {
                const char *state;
                bool frozen;
        } states[] = {
                { "running", false },
                { "freezing", true },
                { "frozen", true },
                { "thawing", false },
                { "freezing-by-parent", true },
                { "frozen-by-parent", true },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
                answer(f, states[i].state);
                assert_int_equal(ask_until_answered(f, "/system.slice/a.service"), states[i].frozen);
        }
}

/* It is asked for the unit's own cgroup alone, and about what it does not know it says nothing. */
static void test_other_cgroups(void **state)
{
        static const char *const paths[] = { "/system.slice/a.service/inner", "/x/a.service", "/",
                "/system.slice/b.service" };
        struct fixture *f = *state;

        answer(f, "frozen");
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
                assert_false(ask_until_answered(f, paths[i]));
        assert_true(ask_until_answered(f, "/a.slice/_a.service"));
}

/* One that does not answer is waited for once, and not asked again for a while. */
static void test_silence(void **state)
{
        struct fixture *f = *state;
        struct unit_state units = {};
        uint64_t start = now_usec(), end;

        assert_false(ask(f, &units, "/system.slice/a.service"));
        end = now_usec();
        assert_true(end - start >= UNIT_STATE_WAIT_USEC);
        assert_true(units.quiet_until_usec > end);
        /* Who has the time waits for longer. */
        units = (struct unit_state){ .wait_usec = 2 * UNIT_STATE_WAIT_USEC };
        start = now_usec();
        assert_false(ask(f, &units, "/system.slice/a.service"));
        assert_true(now_usec() - start >= 2 * UNIT_STATE_WAIT_USEC);
        answer(f, "frozen");
        units.quiet_until_usec = UINT64_MAX;
        assert_false(ask(f, &units, "/system.slice/a.service"));
        assert_true(ask_until_answered(f, "/system.slice/a.service"));
}

static void test_nobody(void **state)
{
        struct fixture *f = *state;
        struct unit_state units = {};

        assert_false(unit_state_is_frozen_at(&units, "/system.slice/a.service", "unix:path=/nonexistent/private"));
        assert_true(units.quiet_until_usec > 0);
        units = (struct unit_state){};
        assert_false(unit_state_is_frozen_at(&units, "/system.slice/a.service", "no address"));
        (void) f;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_states),
                TEST(test_other_cgroups),
                TEST(test_silence),
                TEST(test_nobody),
        };

        return cmocka_run_group_tests_name("unitstate", tests, NULL, NULL);
}
