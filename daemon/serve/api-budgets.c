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
#include "serve/setbudget.h"

static int invalid_budget(struct varlink_call *call, const char *field, const char *reason)
{
        json_t *parameters = json_pack("{ss ss}", "field", field, "reason", reason);

        return parameters ? varlink_error(call, "io.bpfbudget.InvalidBudget", parameters) : -ENOMEM;
}

/*
 * Adds the @warnings about @file to @own, without its name and lines, which the user who set the budget does not know.
 */
static void take_warnings(json_t *own, const json_t *warnings, const char *file)
{
        size_t length = strlen(file), i;
        json_t *warning;

        json_array_foreach(warnings, i, warning)
        {
                const char *text = json_string_value(warning);

                if (strncmp(text, file, length) != 0 || text[length] != ':')
                        continue;
                text += length + 1;
                text += strspn(text, "0123456789");
                json_array_append_new(own, json_string(text + strspn(text, ": ")));
        }
}

/* Adds to @own the reasons why actions of @budget are not in force. */
static void add_obstacles(const struct api *api, json_t *own, const struct budget *budget)
{
        const char *throttle = manager_throttle_obstacle(api->options.manager), *deny = api->options.manager->obstacle;

        if (budget->on_high == ACTION_THROTTLE && throttle)
                json_array_append_new(own,
                                json_sprintf("OnHigh=throttle is not available (%s): growth over High is reported, "
                                             "but not throttled",
                                                throttle));
        if (budget->on_max == ACTION_DENY && deny)
                json_array_append_new(own,
                                json_sprintf("OnMax=deny is not available (%s): growth past Max is reported, but not "
                                             "refused",
                                                deny));
}

/* Replies that @budget of @path is in force, or, if it is NULL, that the budget was removed. */
static int reply_in_force(struct api *api, struct varlink_call *call, const char *path, const struct budget *budget,
                const json_t *warnings)
{
        _cleanup_free_ char *file = budget ? runtime_file(api->options.directory, path) : NULL;
        json_t *own = file ? json_array() : NULL;

        if (!budget)
                return varlink_reply(call, json_object(), false);
        if (!own)
                return -ENOMEM;
        take_warnings(own, warnings, file);
        add_obstacles(api, own, budget);
        return varlink_reply(call, json_pack("{so}", "warnings", own), false);
}

/*
 * Puts the changed files in force. If that fails, restores the previous content @before (taken over) of the file of
 * @path. @budget: the new content of the file, NULL: it was removed.
 */
static int put_in_force(
                struct api *api, struct varlink_call *call, const char *path, const struct budget *budget, char *before)
{
        json_t *errors, *warnings;
        int r = api_reload(api, &errors, &warnings), s;

        if (r == 0) {
                free(before);
                r = reply_in_force(api, call, path, budget, warnings);
        } else {
                s = runtime_restore(api->options.directory, path, before);
                if (s < 0)
                        log_error("%s: its runtime budget cannot be removed: %s", path, strerror(-s));
                if (r == -EINVAL)
                        r = varlink_error(
                                        call, "io.bpfbudget.InvalidConfiguration", json_pack("{sO}", "errors", errors));
        }
        json_decref(errors);
        json_decref(warnings);
        return r;
}

/* Replies to the client with a file system error. */
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
        _cleanup_free_ char *path = NULL;
        char *before;
        int r = cgroup_full_path(cgroup, &path);

        if (r < 0)
                path = NULL;
        if (r == -ENOENT)
                return api_not_supported(call, "paths of cgroups are not known: CAP_DAC_READ_SEARCH is missing");
        if (r == 0)
                r = runtime_write(api->options.directory, path, budget, &before);
        if (r == -EINVAL)
                return invalid_budget(call, "cgroup", "its name has blanks or control characters, or is not UTF-8");
        if (r < 0)
                return file_error(api, call, r);
        log_info("%s: user %u sets a budget", cgroup->path, (unsigned int) varlink_uid(call));
        return put_in_force(api, call, path, budget, before);
}

/* Whether the caller owns the directory of @cgroup. */
static bool is_owner(const struct api *api, const struct varlink_call *call, const struct cgroup *cgroup)
{
        _cleanup_close_ int fd = cgroupfs_open(&api->options.monitor->cgroupfs, cgroup->id);
        struct stat st;

        return fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == varlink_uid(call);
}

/* The owner's limits apply in addition to those of the budget, so an owner cannot raise a limit. */
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
        if (!policy)
                return api_not_permitted(call,
                                "the owner of a cgroup may only lower its budget, and it has none: root has to set one "
                                "first, in a budget file or by set-budget");
        if ((budget->high != BUDGET_INFINITY && budget->high > policy->budget->high) ||
                        (budget->max != BUDGET_INFINITY && budget->max > policy->budget->max))
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
        const char *path = parameter_cgroup(parameters);
        struct api *api = context;
        struct cgroup *cgroup;
        char *before;
        int r = api_check_path(call, path);

        if (r != 0)
                return error_only(r);
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
        log_info("%s: user %u unsets the budget", path, (unsigned int) varlink_uid(call));
        return put_in_force(api, call, path, NULL, before);
}
