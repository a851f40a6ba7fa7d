/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/service.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "enforce/unitstate.h"

static int connect_manager(sd_bus **bus)
{
        int r = sd_bus_new(bus);

        if (r < 0)
                return r;
        r = sd_bus_set_address(*bus, MANAGER_ADDRESS);
        return r < 0 ? r : sd_bus_start(*bus);
}

/* The type of the job that @unit has, to be freed; "" if it has none. Returns 0 or a negative errno. */
static int read_job_type(sd_bus *bus, const char *unit, char **type)
{
        _cleanup_free_ char *path = NULL;
        sd_bus_message *reply = NULL;
        const char *job;
        uint32_t id;
        int r;

        r = sd_bus_path_encode(MANAGER_UNITS, unit, &path);
        if (r >= 0)
                r = sd_bus_get_property(bus, NULL, path, MANAGER_INTERFACE ".Unit", "Job", NULL, &reply, "(uo)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(uo)", &id, &job);
        if (r >= 0 && id > 0)
                r = sd_bus_get_property_string(bus, NULL, job, MANAGER_INTERFACE ".Job", "JobType", NULL, type);
        else if (r >= 0)
                r = (*type = strdup("")) ? 0 : -ENOMEM;
        sd_bus_message_unref(reply);
        return error_only(r);
}

/* The job of a restart has the type "restart" until the unit has stopped, and then the type "start". */
static bool is_restarting(void)
{
        _cleanup_free_ char *unit = NULL, *type = NULL;
        sd_bus *bus = NULL;
        int r;

        r = sd_pid_get_unit(0, &unit);
        if (r >= 0)
                r = connect_manager(&bus);
        if (r >= 0)
                r = read_job_type(bus, unit, &type);
        sd_bus_flush_close_unref(bus);
        if (r < 0)
                log_debug("The job of the service cannot be read: %s", strerror(-r));
        return r >= 0 && strstr(type, "restart");
}

enum service_end service_end(void)
{
        const char *result = getenv("SERVICE_RESULT");

        if (!result)
                return SERVICE_NONE;
        if (strcmp(result, "success") != 0)
                return SERVICE_FAILED;
        return is_restarting() ? SERVICE_RESTARTING : SERVICE_STOPPED;
}
