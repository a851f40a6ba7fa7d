/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include <systemd/sd-daemon.h>

#include "base/wallclock.h"
#include "build.h"
#include "daemon/serve/interface.h"
#include "enforce/doctor.h"
#include "kernel/probe.h"
#include "serve/api-methods.h"
#include "serve/report.h"
#include "serve/setbudget.h"
#include "serve/varlink.h"

static int flush(void *context, struct varlink_call *call, json_t *parameters)
{
        (void) parameters;
        api_refresh(context);
        return varlink_reply(call, json_object(), false);
}

static int reload(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        json_t *errors, *warnings;
        int r;

        (void) parameters;
        if (varlink_uid(call) != 0)
                return api_not_permitted(call, "only root may reload the configuration");
        r = api_reload(api, &errors, &warnings);
        if (r == -EINVAL)
                r = varlink_error(call, "io.bpfbudget.InvalidConfiguration", json_pack("{sO}", "errors", errors));
        else if (r == 0)
                r = api_reply_once(call, json_pack("{sO}", "warnings", warnings));
        json_decref(errors);
        json_decref(warnings);
        return r;
}

static int get_capabilities(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        json_t *array = json_array();
        size_t count;
        const struct capability *capabilities = kernel_capabilities(api->options.monitor->kernel, &count);

        (void) parameters;
        for (size_t i = 0; array && i < count; i++)
                if (json_array_append_new(array, capability_to_json(&capabilities[i])) < 0) {
                        json_decref(array);
                        return -ENOMEM;
                }
        return varlink_reply(call, json_pack("{so}", "capabilities", array), false);
}

static int get_readiness(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        const struct manager *manager = api->options.manager;
        struct readiness readiness;

        (void) parameters;
        doctor_examine(api->options.monitor, manager_throttle_obstacle(manager), manager->obstacle, &readiness);
        return varlink_reply(call, readiness_to_json(&readiness), false);
}

/* Bytes of the daemon's own maps and programs, those of the gate too. */
static uint64_t own_allocated(const struct monitor *monitor)
{
        uint64_t sum = 0;
        uint32_t kind, id;

        for (size_t i = 0; kernel_own(monitor->kernel, i, &kind, &id); i++) {
                const struct object *object = ledger_find(&monitor->ledger, kind, id);

                sum += object ? object->record.allocated : 0;
        }
        return sum;
}

static int get_statistics(void *context, struct varlink_call *call, json_t *parameters)
{
        struct api *api = context;
        const struct monitor *monitor = api->options.monitor;
        const struct monitor_statistics *s = &monitor->statistics;

        (void) parameters;
        return varlink_reply(call,
                        json_pack("{s{sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI si si}}", "statistics", "flushes",
                                        (json_int_t) s->flushes, "fullPasses", (json_int_t) s->full_passes,
                                        "fullPassUSec", (json_int_t) s->full_pass_usec, "updates",
                                        (json_int_t) s->updates, "overflows", (json_int_t) s->overflows, "drift",
                                        (json_int_t) s->drift, "updatedCgroups", (json_int_t) s->updated_cgroups,
                                        "rssPasses", (json_int_t) s->rss_passes, "wakeups",
                                        (json_int_t) kernel_counters(monitor->kernel).wakeups, "cgroups",
                                        (json_int_t) monitor->tree.count, "objects", (json_int_t) monitor->ledger.count,
                                        "overHigh", (json_int_t) api->options.manager->over_high, "clients",
                                        (json_int_t) varlink_clients(api->server), "refusals",
                                        (json_int_t) api->events[EVENT_REFUSAL], "throttles",
                                        (json_int_t) api->events[EVENT_THROTTLE], "ownAllocated",
                                        (json_int_t) own_allocated(monitor), "possibleCpus",
                                        (int) kernel_machine(monitor->kernel)->settings.possible_cpus, "onlineCpus",
                                        get_nprocs()),
                        false);
}

/* SetBudget's parameters come from the table of keys. */
static struct varlink_method methods[] = {
        { "ListCgroups", api_list_cgroups, list_cgroups_parameters },
        { "GetCgroup", api_get_cgroup, cgroup_parameter },
        { "ListObjects", api_list_objects, list_objects_parameters },
        { "ListOrphans", api_list_orphans, list_orphans_parameters },
        { "Explain", api_explain, explain_parameters },
        { "ListBudgets", api_list_budgets },
        { "SetBudget", api_set_budget },
        { "UnsetBudget", api_unset_budget, cgroup_parameter },
        { "Subscribe", api_subscribe, subscribe_parameters, .needs_more = true },
        { "Flush", flush },
        { "Reload", reload },
        { "GetCapabilities", get_capabilities },
        { "GetReadiness", get_readiness },
        { "GetStatistics", get_statistics },
        { "GetHistory", api_get_history, get_history_parameters },
        { "Suggest", api_suggest, suggest_parameters },
        { "GetMetrics", api_get_metrics, get_metrics_parameters },
        {},
};

static const struct varlink_interface interfaces[] = {
        { "io.bpfbudget", interface_description, methods },
};

static const struct varlink_info info = {
        .vendor = "bpfbudget",
        .product = "bpfbudgetd",
        .version = PACKAGE_VERSION,
        .url = "",
};

/* Gives SetBudget its parameters. */
static void complete_methods(void)
{
        for (struct varlink_method *method = methods; method->name; method++)
                if (method->handle == api_set_budget)
                        method->parameters = set_budget_parameters();
}

int api_new(const struct api_options *options, struct api **ret)
{
        struct api *api = calloc(1, sizeof(*api));
        int r;

        if (!api)
                return -ENOMEM;
        complete_methods();
        api->options = *options;
        api->refusals.begin_usec = wall_usec();
        r = varlink_server_new(options->base, &info, interfaces, sizeof(interfaces) / sizeof(interfaces[0]), api,
                        &api->server);
        if (r < 0) {
                free(api);
                return r;
        }
        *ret = api;
        return 0;
}

void api_free(struct api *api)
{
        if (!api)
                return;
        varlink_server_free(api->server);
        writer_deinit(&api->writer);
        free(api);
}

int api_listen_passed(struct api *api)
{
        int count = sd_listen_fds(true), used = 0, r;

        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++) {
                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
                        continue;
                r = varlink_listen_fd(api->server, fd);
                if (r < 0)
                        return r;
                used++;
        }
        return count < 0 ? count : used;
}

int api_listen(struct api *api, const char *path)
{
        return varlink_listen(api->server, path, 0660, API_GROUP);
}

int api_write_metrics(struct api *api, enum metrics_format format, struct writer *writer)
{
        struct metrics_source source = {
                .monitor = api->options.monitor,
                .manager = api->options.manager,
                .dropped = api->dropped,
        };

        return metrics_write(writer, &source, format);
}

void api_alert_dropped(struct api *api, enum alert_drop reason)
{
        if (api)
                api->dropped[reason]++;
}

void api_event(struct api *api, const struct budget_event *event)
{
        if (!api)
                return;
        api->events[event->kind]++;
        if (event->kind == EVENT_REFUSAL)
                refusal_log_add(&api->refusals, event);
        subscribers_send(api, event);
}
