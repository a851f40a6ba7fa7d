/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "policy/runtime.h"

/* Bounds of a budget's numbers, as of its file (config.c). */
#define COUNT_MAX UINT32_MAX
#define RATIO_MAX 1000000

static int invalid_budget(struct varlink_call *call, const char *field, const char *reason)
{
        json_t *parameters = json_pack("{ss ss}", "field", field, "reason", reason);

        return parameters ? varlink_error(call, "io.bpfbudget.InvalidBudget", parameters) : -ENOMEM;
}

static const char *const on_high_words[] = { "alert", "throttle", NULL };
static const enum budget_action on_high_values[] = { ACTION_ALERT, ACTION_THROTTLE };
static const char *const on_max_words[] = { "alert", "deny", NULL };
static const enum budget_action on_max_values[] = { ACTION_ALERT, ACTION_DENY };
static const char *const count_words[] = { "allocated", "charged", NULL };
static const enum budget_count count_values[] = { COUNT_ALLOCATED, COUNT_CHARGED };

/* Takes the number @name into *value if it is there. Returns what is wrong with it, NULL: nothing. */
static const char *take_number(
                const json_t *parameters, const char *name, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
        const json_t *number = json_object_get(parameters, name);

        if (!number)
                return NULL;
        if (json_integer_value(number) < 0)
                return "is negative";
        *value = json_integer_value(number);
        return *value < minimum ? "is too small" : *value > maximum ? "is too large" : NULL;
}

/* Fills @budget from @parameters. Returns what is wrong, and with which *field; NULL: nothing. */
static const char *take_budget(const json_t *parameters, struct budget *budget, const char **field)
{
        const char *on_high = parameter_string(parameters, "onHigh"), *on_max = parameter_string(parameters, "onMax");
        const char *count = parameter_string(parameters, "count"), *wrong = NULL;
        uint64_t ratio = 0, clear = 0;
        const struct {
                const char *name;
                uint64_t minimum, maximum, *value;
        } numbers[] = {
                { "high", 0, INT64_MAX, &budget->high },
                { "max", 0, INT64_MAX, &budget->max },
                { "mapsMax", 0, COUNT_MAX, &budget->maps_max },
                { "programsMax", 0, COUNT_MAX, &budget->programs_max },
                { "footprintRatioHigh", 1, RATIO_MAX, &ratio },
                { "clearPercent", 1, 100, &clear },
        };

        *budget = (struct budget){ .on_high = on_high ? on_high_values[word_index(on_high_words, on_high)]
                                                      : ACTION_ALERT,
                .on_max = on_max ? on_max_values[word_index(on_max_words, on_max)] : ACTION_ALERT,
                .count = count ? count_values[word_index(count_words, count)] : COUNT_ALLOCATED };
        budget->high = budget->max = budget->maps_max = budget->programs_max = BUDGET_INFINITY;
        for (size_t i = 0; !wrong && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                *field = numbers[i].name;
                wrong = take_number(
                                parameters, numbers[i].name, numbers[i].minimum, numbers[i].maximum, numbers[i].value);
        }
        budget->footprint_ratio_high = ratio;
        budget->clear_percent = clear;
        if (wrong || budget->high == BUDGET_INFINITY || budget->high <= budget->max)
                return wrong;
        *field = "high";
        return "is more than max";
}

/*
 * Puts the files that were just changed in force, or what was @before (taken over) back in the one of @path if they
 * cannot be.
 */
static int put_in_force(struct api *api, struct varlink_call *call, const char *path, char *before)
{
        json_t *errors = json_array();
        int r = errors ? api->options.hooks.reload(api->options.hooks.context, errors) : -ENOMEM, s;

        if (r == 0) {
                free(before);
                json_decref(errors);
                return varlink_reply(call, json_object(), false);
        }
        s = runtime_restore(api->options.directory, path, before);
        if (s < 0)
                log_error("The runtime budget of %s cannot be taken back: %s", path, strerror(-s));
        if (r == -EINVAL)
                return varlink_error(call, "io.bpfbudget.InvalidConfiguration", json_pack("{so}", "errors", errors));
        json_decref(errors);
        return r;
}

/* What a file system error is to the client. */
static int file_error(struct api *api, struct varlink_call *call, int error)
{
        _cleanup_free_ char *reason = NULL;

        if (error == -ENOMEM)
                return error;
        if (asprintf(&reason, "%s: %s", api->options.directory, strerror(-error)) < 0) {
                reason = NULL;
                return -ENOMEM;
        }
        return api_not_supported(call, reason);
}

static int set_root_budget(
                struct api *api, struct varlink_call *call, const struct cgroup *cgroup, const struct budget *budget)
{
        char *before;
        int r;

        if (!cgroup->path)
                return api_not_supported(call, "paths of cgroups are not known: CAP_DAC_READ_SEARCH is missing");
        r = runtime_write(api->options.directory, cgroup->path, budget, &before);
        if (r == -EINVAL)
                return invalid_budget(call, "cgroup", "its name has blanks or control characters, or is not UTF-8");
        if (r < 0)
                return file_error(api, call, r);
        log_info("User %u sets a budget for %s", (unsigned int) varlink_uid(call), cgroup->path);
        return put_in_force(api, call, cgroup->path, before);
}

/* Whether the caller is the user that @cgroup's directory belongs to. */
static bool is_owner(const struct api *api, const struct varlink_call *call, const struct cgroup *cgroup)
{
        _cleanup_free_ char *directory = NULL;
        struct stat st;

        if (!cgroup->path || !cgroup->exists)
                return false;
        directory = cgroupfs_file(&api->options.monitor->cgroupfs, cgroup->path);
        return directory && stat(directory, &st) == 0 && st.st_uid == varlink_uid(call);
}

/* The owner's limits hold beside the budget's, the lower ones: so nothing is raised. */
static int lower_budget(struct api *api, struct varlink_call *call, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        int r;

        if (!cgroup->policy)
                return api_error(call, "io.bpfbudget.NoSuchBudget", "cgroup", cgroup->path);
        r = manager_lower(api->options.manager, cgroup, high, max);
        if (r < 0)
                return r;
        api_apply(api);
        return varlink_reply(call, json_object(), false);
}

static int set_owner_budget(struct api *api, struct varlink_call *call, struct cgroup *cgroup, json_t *parameters,
                const struct budget *budget)
{
        const struct policy *policy = cgroup->policy;
        const char *name;
        json_t *value;

        json_object_foreach(parameters, name, value)
        {
                if (strcmp(name, "cgroup") != 0 && strcmp(name, "high") != 0 && strcmp(name, "max") != 0)
                        return api_not_permitted(call, "the owner of a cgroup may lower high and max, nothing else");
        }
        if (policy && ((budget->high != BUDGET_INFINITY && budget->high > policy->budget->high) ||
                                      (budget->max != BUDGET_INFINITY && budget->max > policy->budget->max)))
                return api_not_permitted(call, "the owner of a cgroup may lower its budget, not raise it");
        return lower_budget(api, call, cgroup, budget->high, budget->max);
}

int api_set_budget(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *wrong, *field;
        struct api *api = context;
        struct cgroup *cgroup;
        struct budget budget;
        int r = api_take_cgroup(api, call, parameters, &cgroup);

        if (r != 0)
                return error_only(r);
        if (varlink_uid(call) != 0 && !is_owner(api, call, cgroup))
                return api_not_permitted(call, "only root and the owner of the cgroup may set its budget");
        wrong = take_budget(parameters, &budget, &field);
        if (wrong)
                return invalid_budget(call, field, wrong);
        if (varlink_uid(call) != 0)
                return set_owner_budget(api, call, cgroup, parameters, &budget);
        return set_root_budget(api, call, cgroup, &budget);
}

int api_unset_budget(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *path = parameter_string(parameters, "cgroup");
        struct api *api = context;
        struct cgroup *cgroup;
        char *before;
        int r;

        if (!is_cgroup_path(path))
                return varlink_invalid_parameter(call, "cgroup");
        if (varlink_uid(call) != 0) {
                r = api_take_cgroup(api, call, parameters, &cgroup);
                if (r != 0)
                        return error_only(r);
                if (!is_owner(api, call, cgroup))
                        return api_not_permitted(call, "only root and the owner of the cgroup may unset its budget");
                return lower_budget(api, call, cgroup, BUDGET_INFINITY, BUDGET_INFINITY);
        }
        /* The cgroup may be gone. */
        r = runtime_remove(api->options.directory, path, &before);
        if (r == -ENOENT)
                return api_error(call, "io.bpfbudget.NoSuchBudget", "cgroup", path);
        if (r < 0)
                return file_error(api, call, r);
        log_info("User %u unsets the budget of %s", (unsigned int) varlink_uid(call), path);
        return put_in_force(api, call, path, before);
}

/* Numbers out of range are errors of the budget. */
const struct varlink_parameter set_budget_parameters[] = {
        { "cgroup", VARLINK_STRING },
        { "high", VARLINK_INTEGER, .optional = true },
        { "max", VARLINK_INTEGER, .optional = true },
        { "mapsMax", VARLINK_INTEGER, .optional = true },
        { "programsMax", VARLINK_INTEGER, .optional = true },
        { "footprintRatioHigh", VARLINK_INTEGER, .optional = true },
        { "onHigh", VARLINK_WORD, .optional = true, on_high_words },
        { "onMax", VARLINK_WORD, .optional = true, on_max_words },
        { "count", VARLINK_WORD, .optional = true, count_words },
        { "clearPercent", VARLINK_INTEGER, .optional = true },
        {},
};
