/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/unitstate.h"

#include <errno.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "policy/unit.h"

struct answer {
        bool is_there, frozen;
};

static void cleanup_bus(sd_bus **bus)
{
        sd_bus_close(*bus);
        sd_bus_unref(*bus);
}

static void cleanup_message(sd_bus_message **message)
{
        sd_bus_message_unref(*message);
}

static void cleanup_slot(sd_bus_slot **slot)
{
        sd_bus_slot_unref(*slot);
}

/* "freezing", "frozen", and both with "-by-parent"; otherwise it is "running" or "thawing". */
static int on_answer(sd_bus_message *message, void *context, sd_bus_error *error)
{
        struct answer *answer = context;
        const char *state;

        (void) error;
        answer->is_there = true;
        answer->frozen = !sd_bus_message_is_method_error(message, NULL) &&
                         sd_bus_message_read(message, "v", "s", &state) >= 0 && strncmp(state, "fr", 2) == 0;
        return 0;
}

/* Returns when *@answer is there, at the latest at @deadline. */
static int wait_for_answer(sd_bus *bus, const struct answer *answer, uint64_t deadline)
{
        while (!answer->is_there) {
                int r = sd_bus_process(bus, NULL);
                uint64_t now = now_usec();

                if (r == 0)
                        r = now < deadline ? sd_bus_wait(bus, deadline - now) : -ETIMEDOUT;
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return 0;
}

/* Asks for the FreezerState of @unit at @address, for @wait_usec at most. Returns 0 or a negative errno. */
static int ask(const char *address, const char *unit, uint64_t wait_usec, struct answer *answer)
{
        uint64_t deadline = now_usec() + wait_usec;
        _cleanup_(cleanup_bus) sd_bus *bus = NULL;
        _cleanup_(cleanup_message) sd_bus_message *call = NULL;
        _cleanup_(cleanup_slot) sd_bus_slot *slot = NULL;
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_path_encode(MANAGER_UNITS, unit, &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &call, NULL, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", MANAGER_INTERFACE ".Unit", "FreezerState");
        if (r >= 0)
                r = sd_bus_call_async(bus, &slot, call, on_answer, answer, wait_usec);
        return r < 0 ? r : wait_for_answer(bus, answer, deadline);
}

bool unit_state_is_frozen_at(struct unit_state *state, const char *path, const char *address)
{
        struct answer answer = {};
        size_t length;
        const char *unit = path_unit(path, &length);

        /* The manager writes to the unit's own cgroup, and to none below it. */
        if (!unit || unit[length] || now_usec() < state->quiet_until_usec)
                return false;
        if (ask(address, unit, state->wait_usec ?: UNIT_STATE_WAIT_USEC, &answer) < 0)
                state->quiet_until_usec = now_usec() + UNIT_STATE_QUIET_USEC;
        return answer.frozen;
}

bool unit_state_is_frozen(struct unit_state *state, const char *path)
{
        return unit_state_is_frozen_at(state, path, MANAGER_ADDRESS);
}
