/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-context.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "policy/mount.h"
#include "serve/varlink.h"

/*
 * The maximum age of an answer if the sensors report nothing new, also as a multiple of the time that a refresh takes,
 * so that many small calls do not each cause a pass, and do not keep the daemon busy.
 */
#define FRESH_USEC  (10 * 1000)
#define FRESH_SHARE 4

/* The maximum age of what no sensor reports; without trampolines, an update requires a pass over all objects. */
#define FRESH_UNREPORTED_USEC (1000 * 1000)

void api_apply(struct api *api)
{
        manager_apply(api->options.manager);
        if (api->options.flushed)
                event_active(api->options.flushed, 0, 0);
}

/* Call this after an update of everything, or of RSS only, that began at @start. */
static void note_fresh(struct api *api, uint64_t start)
{
        api_apply(api);
        api->fresh_usec = now_usec();
        api->cost_usec = api->fresh_usec - start;
}

void api_refresh(struct api *api)
{
        uint64_t start = now_usec();

        monitor_refresh(api->options.monitor);
        note_fresh(api, start);
        api->unreported_usec = api->fresh_usec;
}

static void refresh_rss(struct api *api)
{
        uint64_t start = now_usec();

        monitor_refresh_rss(api->options.monitor);
        note_fresh(api, start);
}

void api_refresh_if_old(struct api *api)
{
        struct monitor *monitor = api->options.monitor;
        uint64_t now = now_usec(), age = now - api->fresh_usec;
        bool dirty = monitor_wants_flush(monitor);

        if (age < FRESH_SHARE * api->cost_usec || (age < FRESH_USEC && !dirty))
                return;
        if (dirty || !kernel_tells_growth(monitor->kernel) || now - api->unreported_usec >= FRESH_UNREPORTED_USEC)
                api_refresh(api);
        else
                refresh_rss(api);
}

int api_error(struct varlink_call *call, const char *error, const char *key, const char *value)
{
        json_t *parameters = json_pack("{ss}", key, value);

        return parameters ? varlink_error(call, error, parameters) : -ENOMEM;
}

int api_not_permitted(struct varlink_call *call, const char *reason)
{
        return api_error(call, "io.bpfbudget.NotPermitted", "reason", reason);
}

int api_not_supported(struct varlink_call *call, const char *reason)
{
        return api_error(call, "io.bpfbudget.NotSupported", "reason", reason);
}

int api_invalid_name(struct varlink_call *call, const char *name, const char *reason)
{
        json_t *parameters = json_pack("{ss ss}", "name", name, "reason", reason);

        return parameters ? varlink_error(call, "io.bpfbudget.InvalidName", parameters) : -ENOMEM;
}

int api_reply_too_large(struct varlink_call *call)
{
        return varlink_error(call, "io.bpfbudget.ReplyTooLarge", NULL);
}

int api_reply_once(struct varlink_call *call, json_t *parameters)
{
        int r = varlink_reply(call, parameters, false);

        return r == -EMSGSIZE ? api_reply_too_large(call) : r;
}

int api_reload(struct api *api, json_t **errors, json_t **warnings)
{
        const struct api_hooks *daemon = &api->options.hooks;

        *errors = json_array();
        *warnings = json_array();
        return *errors && *warnings ? daemon->reload(daemon->context, *errors, *warnings) : -ENOMEM;
}

const char *parameter_string(const json_t *parameters, const char *name)
{
        return json_string_value(json_object_get(parameters, name));
}

const char *parameter_cgroup(const json_t *parameters)
{
        const char *path = parameter_string(parameters, "cgroup");

        return path ? strip_mount(path) : NULL;
}

size_t word_index(const char *const *words, const char *word)
{
        size_t i = 0;

        while (strcmp(words[i], word) != 0)
                i++;
        return i;
}
