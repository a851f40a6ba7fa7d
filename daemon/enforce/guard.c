/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/owner.h"
#include "kernel/probe.h"
#include "policy/event.h"
#include "serve/alert.h"
#include "serve/api.h"

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* --- Files and xattrs --------------------------------------------------------------------------------------------- */

/* Where @cgroup is mounted; to be freed. NULL if it has no path, is gone, or there is no memory. */
static char *cgroup_directory(const struct guard *guard, const struct cgroup *cgroup)
{
        return cgroup->path && cgroup->exists ? cgroupfs_file(&guard->monitor->cgroupfs, cgroup->path) : NULL;
}

/*
 * Reads the size in the xattr @name of the cgroup directory @directory. BUDGET_INFINITY if it is not set, or is no
 * size, which is logged if @complain.
 */
static uint64_t read_xattr(const char *directory, const char *name, uint64_t ram, bool complain)
{
        char text[64] = "";
        uint64_t bytes;
        ssize_t n = getxattr(directory, name, text, sizeof(text) - 1);

        if (n < 0 && errno != ERANGE)
                return BUDGET_INFINITY;
        text[n < 0 ? 0 : n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (n >= 0 && parse_bytes(text, ram, &bytes) == 0)
                return bytes;
        if (complain)
                log_warning("%s: %s: \"%s\" is not a size such as 64M, 25%% or infinity; it is ignored", directory,
                                name, n < 0 ? "(too long)" : text);
        return BUDGET_INFINITY;
}

/* As oomd does: what happened can be seen on the cgroup itself. Not all file systems allow it, and nothing depends on
 * it. */
static void write_events_xattr(const struct guard *guard, const struct cgroup *cgroup)
{
        _cleanup_free_ char *directory = cgroup_directory(guard, cgroup);
        const struct budget_events *events = &cgroup->policy->events;
        char text[160];
        int n;

        if (!directory || guard->dry_run)
                return;
        n = snprintf(text, sizeof(text), "high %llu max %llu denied %llu throttled %llu throttledUSec %llu",
                        (unsigned long long) events->high, (unsigned long long) events->max,
                        (unsigned long long) events->denied, (unsigned long long) events->throttled,
                        (unsigned long long) events->throttled_usec);
        setxattr(directory, XATTR_EVENTS, text, n, 0);
}

/*
 * Brings @level and @events of @cgroup up to those of its xattr, which has what happened since the file was written
 * last, before a daemon died: a limit that it counts and the file does not was passed then.
 */
static void read_events_xattr(const struct guard *guard, const struct cgroup *cgroup, enum budget_level *level,
                struct budget_events *events)
{
        _cleanup_free_ char *directory = cgroup_directory(guard, cgroup);
        unsigned long long high, max, denied, throttled, usec;
        char text[160] = "";

        if (!guard->state_file || !directory || !is_roots(directory) ||
                        getxattr(directory, XATTR_EVENTS, text, sizeof(text) - 1) < 0 ||
                        sscanf(text, "high %llu max %llu denied %llu throttled %llu throttledUSec %llu", &high, &max,
                                        &denied, &throttled, &usec) != 5)
                return;
        if (max > events->max)
                *level = LEVEL_MAX;
        else if (high > events->high && *level == LEVEL_OK)
                *level = LEVEL_HIGH;
        events->high = most(events->high, high);
        events->max = most(events->max, max);
        events->denied = most(events->denied, denied);
        events->throttled = most(events->throttled, throttled);
        events->throttled_usec = most(events->throttled_usec, usec);
}

static int keep(struct guard *guard, uint64_t id, const struct policy *policy)
{
        struct kept_events *kept;

        HASH_FIND(hh, guard->kept, &id, sizeof(id), kept);
        if (!kept) {
                kept = calloc(1, sizeof(*kept));
                if (!kept)
                        return -ENOMEM;
                kept->id = id;
                HASH_ADD(hh, guard->kept, id, sizeof(kept->id), kept);
                if (!HASH_ADDED(kept)) {
                        free(kept);
                        return -ENOMEM;
                }
        }
        kept->level = policy->level;
        kept->events = policy->events;
        kept->lowered_high = policy->lowered_high;
        kept->lowered_max = policy->lowered_max;
        kept->held = policy->held;
        kept->suppressed = policy->suppressed;
        return 0;
}

/* The object in the file @path; NULL if there is none, which is said if there should be one. */
static json_t *load_file(const char *path)
{
        json_error_t error = {};
        json_t *file = json_load_file(path, 0, &error);

        if (json_is_object(file))
                return file;
        if (file)
                log_warning("%s: it holds no JSON object: events are those of the cgroups' xattrs", path);
        else if (access(path, F_OK) == 0)
                log_warning("%s:%d: %s: events are those of the cgroups' xattrs", path, error.line, error.text);
        json_decref(file);
        return NULL;
}

/* Ids are not used again by the kernel, so an id in the file is the same cgroup, until the machine boots (/run is new
 * then). */
static int load_events(struct guard *guard)
{
        json_t *file = NULL, *entry;
        size_t damaged = 0;
        const char *key;
        int r = 0;

        if (guard->state_file)
                file = load_file(guard->state_file);

        json_object_foreach(file, key, entry)
        {
                json_int_t level = 0, high = 0, max = 0, denied = 0, throttled = 0, usec = 0;
                /* -1 is BUDGET_INFINITY */
                json_int_t lowered_high = -1, lowered_max = -1;
                struct policy policy = {};

                if (json_unpack(entry, "{sI sI sI sI sI sI s?I s?I}", "level", &level, "high", &high, "max", &max,
                                    "denied", &denied, "throttled", &throttled, "throttledUSec", &usec, "loweredHigh",
                                    &lowered_high, "loweredMax", &lowered_max) < 0 ||
                                level < LEVEL_OK || level > LEVEL_MAX) {
                        damaged++;
                        continue;
                }
                policy.level = level;
                policy.events = (struct budget_events){ high, max, denied, throttled, usec };
                policy.lowered_high = lowered_high;
                policy.lowered_max = lowered_max;
                r = keep(guard, strtoull(key, NULL, 10), &policy);
                if (r < 0)
                        break;
        }
        if (damaged)
                log_warning("%s: %zu entries are damaged: events are those of the cgroups' xattrs", guard->state_file,
                                damaged);
        json_decref(file);
        return r;
}

static json_t *events_to_json(const struct guard *guard)
{
        json_t *file = json_object();
        struct kept_events *kept, *next;

        HASH_ITER (hh, guard->kept, kept, next) {
                const struct budget_events *events = &kept->events;
                char key[24];

                snprintf(key, sizeof(key), "%llu", (unsigned long long) kept->id);
                if (json_object_set_new(file, key,
                                    json_pack("{sI sI sI sI sI sI sI sI}", "level", (json_int_t) kept->level, "high",
                                                    (json_int_t) events->high, "max", (json_int_t) events->max,
                                                    "denied", (json_int_t) events->denied, "throttled",
                                                    (json_int_t) events->throttled, "throttledUSec",
                                                    (json_int_t) events->throttled_usec, "loweredHigh",
                                                    (json_int_t) kept->lowered_high, "loweredMax",
                                                    (json_int_t) kept->lowered_max)) < 0) {
                        json_decref(file);
                        return NULL;
                }
        }
        return file;
}

/* Whole or not at all: written beside and renamed. */
static int save_events(struct guard *guard)
{
        _cleanup_free_ char *new = NULL;
        json_t *file;
        int r = 0;

        if (!guard->dirty || !guard->state_file || guard->dry_run)
                return 0;
        guard->saved_usec = now_usec();
        /* Also if it fails: it is tried again when there is something new. */
        guard->dirty = false;
        if (asprintf(&new, "%s.new", guard->state_file) < 0)
                return -ENOMEM;
        file = events_to_json(guard);
        if (!file)
                return -ENOMEM;
        if (json_dump_file(file, new, JSON_COMPACT) < 0 || rename(new, guard->state_file) < 0)
                r = errno ? -errno : -EIO;
        json_decref(file);
        if (r < 0) {
                unlink(new);
                return r;
        }
        return 0;
}

/* --- Which budget ------------------------------------------------------------------------------------------------- */

static uint32_t owner_of(const char *directory)
{
        struct stat st;

        return directory && stat(directory, &st) == 0 ? st.st_uid : 0;
}

/*
 * Limits in force: the budget's, lowered by the cgroup's owner. xattrs change without notice, so they are read whenever
 * usage changed; nonsense in them is told once, when the cgroup gets its budget.
 */
static void set_limits(struct guard *guard, struct cgroup *cgroup, const struct budget *budget, bool complain)
{
        _cleanup_free_ char *directory = cgroup_directory(guard, cgroup);
        uint64_t high = cgroup->policy->lowered_high, max = cgroup->policy->lowered_max, before = cgroup->policy->max;

        if (directory) {
                high = least(high, read_xattr(directory, XATTR_HIGH, guard->ram, complain));
                max = least(max, read_xattr(directory, XATTR_MAX, guard->ram, complain));
        }
        policy_set(cgroup->policy, budget, high, max);
        if (complain || cgroup->policy->max != before)
                admission_set(&guard->admission, cgroup);
}

static const struct budget *find_budget(struct guard *guard, const char *path)
{
        _cleanup_free_ char *directory = path ? cgroupfs_file(&guard->monitor->cgroupfs, path) : NULL;
        struct match_subject subject = { .path = path, .uid = owner_of(directory) };

        if (!path)
                return NULL;
        return config_match(&guard->config, &subject);
}

static void count_level(struct guard *guard, enum budget_level from, enum budget_level to)
{
        guard->over_high += (to != LEVEL_OK) - (from != LEVEL_OK);
}

/* Gives @cgroup the policy of its budget, with the events that were kept of it. */
static int adopt(struct guard *guard, struct cgroup *cgroup)
{
        const struct budget *budget = find_budget(guard, cgroup->path);
        enum budget_level level = LEVEL_OK;
        struct budget_events events = {};
        struct kept_events *kept;

        if (!budget)
                return 0;
        cgroup->policy = calloc(1, sizeof(*cgroup->policy));
        if (!cgroup->policy)
                return -ENOMEM;
        cgroup->policy->lowered_high = cgroup->policy->lowered_max = BUDGET_INFINITY;
        HASH_FIND(hh, guard->kept, &cgroup->id, sizeof(cgroup->id), kept);
        if (kept) {
                level = kept->level;
                events = kept->events;
                cgroup->policy->lowered_high = kept->lowered_high;
                cgroup->policy->lowered_max = kept->lowered_max;
                cgroup->policy->held = kept->held;
                cgroup->policy->suppressed = kept->suppressed;
                if (kept->held.from != kept->held.to)
                        guard->held_due_usec = 0; /* the rate limit begins anew */
        }
        read_events_xattr(guard, cgroup, &level, &events);
        policy_resume(cgroup->policy, level, &events);
        count_level(guard, LEVEL_OK, cgroup->policy->level);
        set_limits(guard, cgroup, budget, true);
        tree_mark_changed(&guard->monitor->tree, cgroup);
        return 0;
}

static void abandon(struct guard *guard, struct cgroup *cgroup)
{
        if (!cgroup->policy)
                return;
        count_level(guard, cgroup->policy->level, LEVEL_OK);
        free(cgroup->policy);
        cgroup->policy = NULL;
}

static void on_added(void *context, struct cgroup *cgroup)
{
        if (adopt(context, cgroup) < 0)
                log_error("Out of memory: %s is without its budget", cgroup->path ?: "a cgroup");
}

/* A cgroup that was removed keeps no events: its id never comes back. */
static void on_freed(void *context, struct cgroup *cgroup)
{
        struct guard *guard = context;
        struct kept_events *kept;

        enforce_forget(&guard->enforce, cgroup->id);
        if (cgroup->policy)
                admission_remove(&guard->admission, cgroup);
        abandon(guard, cgroup);
        HASH_FIND(hh, guard->kept, &cgroup->id, sizeof(cgroup->id), kept);
        if (kept && !cgroup->exists) {
                HASH_DEL(guard->kept, kept);
                free(kept);
                guard->dirty = true;
        }
}

/* --- Decisions ---------------------------------------------------------------------------------------------------- */

/* Who caused the last growth in @cgroup's subtree, of those that this flush knows. */
static const struct growth_cause *find_cause(const struct monitor *monitor, const struct cgroup *cgroup)
{
        for (size_t i = monitor->cause_count; i > 0; i--) {
                const struct growth_cause *cause = &monitor->causes[i - 1];

                if (tree_is_below(tree_find(&monitor->tree, cause->cgroup_id), cgroup))
                        return cause;
        }
        return NULL;
}

static uint64_t window_end_usec(const struct guard *guard, const struct policy *policy)
{
        return policy->window_start_usec + guard->config.settings.alert_interval_usec;
}

/* Keeps @change, which may not be told now, until the rate limit allows it. */
static void hold(struct guard *guard, struct policy *policy, const struct policy_change *change)
{
        uint64_t due = window_end_usec(guard, policy);

        policy->held = *change;
        if (due < guard->held_due_usec)
                guard->held_due_usec = due;
}

static const struct growth_cause *find_change_cause(
                const struct guard *guard, const struct cgroup *cgroup, const struct policy_change *change)
{
        return change->to > change->from ? find_cause(guard->monitor, cgroup) : NULL;
}

static void say(struct guard *guard, struct cgroup *cgroup, const struct policy_change *change,
                const struct growth_cause *cause, uint64_t usage, uint64_t before)
{
        const struct settings *settings = &guard->config.settings;
        struct alert alert = {
                .cgroup = cgroup,
                .policy = cgroup->policy,
                .change = *change,
                .usage = usage,
                .delta = (int64_t) (usage - before),
                .cause = cause,
        };
        int r;

        if (!policy_may_alert(cgroup->policy, change->to, now_usec(), settings->alert_interval_usec,
                            settings->alert_burst, &alert.suppressed)) {
                hold(guard, cgroup->policy, change);
                return;
        }
        cgroup->policy->held = (struct policy_change){};
        r = alert_send(&alert, &guard->monitor->ledger, guard->dry_run);
        if (r < 0)
                log_warning("The alert for %s was not taken by the journal: %s", cgroup->path, strerror(-r));
}

/* @cgroup's events have changed. */
static void note_events(struct guard *guard, struct cgroup *cgroup)
{
        if (keep(guard, cgroup->id, cgroup->policy) == 0)
                guard->dirty = true;
        write_events_xattr(guard, cgroup);
}

/* The count is the gate's: it goes on without the daemon. */
static void take_denied(struct guard *guard, struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        struct gate_domain domain;

        if (!policy || !guard->admission.gate)
                return;
        policy->refused = false;
        if (gate_read_domain(guard->admission.gate, cgroup->id, &domain) < 0 || domain.denied <= policy->events.denied)
                return;
        policy->events.denied = domain.denied;
        note_events(guard, cgroup);
}

static void publish(struct guard *guard, const struct cgroup *cgroup, const struct policy_change *change,
                const struct growth_cause *cause, uint64_t usage)
{
        struct budget_event event = {
                .kind = EVENT_STATE,
                .cgroup = cgroup,
                .policy = cgroup->policy,
                .usage = usage,
                .from = change->from,
                .to = change->to,
                .limit = change->limit,
                .pid = cause ? cause->pid : 0,
                .comm = cause ? cause->comm : NULL,
        };

        api_event(guard->api, &event);
}

static void look_at(struct guard *guard, struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        const struct growth_cause *cause;
        struct policy_change change;
        uint64_t usage, before;

        set_limits(guard, cgroup, policy->budget, false);
        if (policy->refused)
                take_denied(guard, cgroup);
        usage = policy_usage(policy, &cgroup->total);
        before = policy->last_usage;
        policy->last_usage = usage;
        if (!policy_update(policy, &cgroup->total, &change))
                return;
        count_level(guard, change.from, change.to);
        note_events(guard, cgroup);
        cause = find_change_cause(guard, cgroup, &change);
        publish(guard, cgroup, &change, cause, usage);
        say(guard, cgroup, &change, cause, usage, before);
}

/* The rate limit must not leave the reader with a state that is not so any more. */
static void say_held(struct guard *guard)
{
        struct cgroup *cgroup, *next;
        uint64_t now = now_usec();

        if (now < guard->held_due_usec)
                return;
        guard->held_due_usec = UINT64_MAX;
        HASH_ITER (hh, guard->monitor->tree.by_id, cgroup, next) {
                struct policy *policy = cgroup->policy;
                struct policy_change change;

                if (!policy || policy->held.from == policy->held.to)
                        continue;
                change = policy->held;
                if (now >= window_end_usec(guard, policy))
                        say(guard, cgroup, &change, find_change_cause(guard, cgroup, &change), policy->last_usage,
                                        policy->last_usage);
                else
                        hold(guard, policy, &change);
        }
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void publish_pause(struct guard *guard, const struct pause *pause, const struct growth_cause *cause)
{
        struct budget_event event = {
                .kind = EVENT_THROTTLE,
                .cgroup = pause->cgroup,
                .policy = pause->payer->policy,
                .usage = policy_usage(pause->payer->policy, &pause->payer->total),
                .pid = cause ? cause->pid : 0,
                .comm = cause ? cause->comm : NULL,
                .pause_usec = pause->usec,
        };

        api_event(guard->api, &event);
}

static void say_pause(struct guard *guard, const struct pause *pause, const struct growth_cause *cause)
{
        struct throttle_alert alert = {
                .cgroup = pause->cgroup,
                .payer = pause->payer,
                .usage = policy_usage(pause->payer->policy, &pause->payer->total),
                .grown = pause->grown,
                .pause_usec = pause->usec,
                .cause = cause,
                .suppressed = pause->suppressed,
        };
        int r = alert_send_throttle(&alert, guard->dry_run);

        if (r < 0)
                log_warning("The alert for %s was not taken by the journal: %s", pause->cgroup->path, strerror(-r));
}

/* Thaws what is due; @all: everything. */
static void thaw(struct guard *guard, bool all)
{
        struct thawed thawed;

        while (enforce_thaw(&guard->enforce, now_usec(), all, &thawed))
                if (thawed.payer)
                        note_events(guard, thawed.payer);
}

/* Pauses what has grown over High. The levels are those of this flush already. */
static void throttle(struct guard *guard)
{
        const struct growth_cause *cause;
        struct cgroup *cgroup;
        struct pause pause;
        uint64_t grown;

        while ((cgroup = tree_take_grown(&guard->monitor->tree, &grown))) {
                if (!enforce_grown(&guard->enforce, cgroup, grown, now_usec(), &pause))
                        continue;
                cause = find_cause(guard->monitor, pause.cgroup);
                if (!guard->dry_run) {
                        note_events(guard, pause.payer);
                        publish_pause(guard, &pause, cause);
                }
                if (pause.tell)
                        say_pause(guard, &pause, cause);
        }
        enforce_review(&guard->enforce, now_usec());
        thaw(guard, false);
}

uint64_t guard_next_thaw_usec(const struct guard *guard)
{
        return enforce_next_usec(&guard->enforce);
}

static void say_throttle_obstacle(const struct guard *guard)
{
        const char *obstacle = enforce_obstacle(&guard->enforce);
        const struct config *config = &guard->config;

        for (size_t i = 0; obstacle && i < config->count; i++)
                if (config->budgets[i].on_high == ACTION_THROTTLE) {
                        log_warning("%s: OnHigh=throttle cannot be had (%s): growth over High is told, and not slowed "
                                    "down",
                                        config->budgets[i].file, obstacle);
                        return;
                }
}

/* Not with every flush: it is all events that are written. What is left over comes with guard_due_usec(). */
static void save(struct guard *guard)
{
        int r = now_usec() < guard->saved_usec + GUARD_SAVE_INTERVAL_USEC ? 0 : save_events(guard);

        if (r < 0)
                log_warning("%s cannot be written (%s): events are not kept over a restart", guard->state_file,
                                strerror(-r));
}

void guard_thaw(struct guard *guard)
{
        thaw(guard, false);
        save(guard);
}

uint64_t guard_due_usec(const struct guard *guard)
{
        uint64_t due = guard->held_due_usec;

        if (guard->over_high)
                due = least(due, guard->looked_usec + GUARD_LOOK_INTERVAL_USEC);
        if (guard->dirty && guard->state_file && !guard->dry_run)
                due = least(due, guard->saved_usec + GUARD_SAVE_INTERVAL_USEC);
        return due;
}

/* Whether @cgroup or one above it is over its High. */
static bool is_over(const struct cgroup *cgroup)
{
        for (; cgroup; cgroup = cgroup->parent)
                if (cgroup->policy && cgroup->policy->level != LEVEL_OK)
                        return true;
        return false;
}

void guard_prepare(struct guard *guard)
{
        uint64_t now = now_usec();

        if (guard->over_high == 0 || now < guard->looked_usec + GUARD_LOOK_INTERVAL_USEC)
                return;
        guard->looked_usec = now;
        for (struct object *object = guard->monitor->ledger.growing; object; object = object->next)
                if (is_over(object->cgroup) && monitor_look_again(guard->monitor, object->charged->id) < 0)
                        return;
}

bool guard_needs_holders(const struct guard *guard)
{
        for (size_t i = 0; i < guard->config.count; i++)
                if (guard->config.budgets[i].attribution == BUDGET_HOLDER)
                        return true;
        return false;
}

/* Whether @cgroup or one above it has a budget that goes by holders. */
static bool by_holder(void *context, const struct cgroup *cgroup)
{
        (void) context;
        for (; cgroup; cgroup = cgroup->parent)
                if (cgroup->policy && cgroup->policy->budget->attribution == BUDGET_HOLDER)
                        return true;
        return false;
}

int guard_lower(struct guard *guard, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        cgroup->policy->lowered_high = high;
        cgroup->policy->lowered_max = max;
        if (keep(guard, cgroup->id, cgroup->policy) < 0)
                return -ENOMEM;
        guard->dirty = true;
        tree_mark_changed(&guard->monitor->tree, cgroup);
        return 0;
}

bool guard_needs_rss(const struct guard *guard)
{
        for (size_t i = 0; i < guard->config.count; i++)
                if (guard->config.budgets[i].footprint_ratio_high)
                        return true;
        return false;
}

/* --- The gate ----------------------------------------------------------------------------------------------------- */

static void publish_refusal(struct guard *guard, const struct cgroup *cgroup, const struct gate_event *refused)
{
        static const enum budget_limit limits[GATE_RESOURCES] = {
                [GATE_ALLOCATED] = LIMIT_MAX,
                [GATE_CHARGED] = LIMIT_MAX,
                [GATE_MAPS] = LIMIT_MAPS,
                [GATE_PROGRAMS] = LIMIT_PROGRAMS,
        };
        struct budget_event event = {
                .kind = EVENT_REFUSAL,
                .cgroup = cgroup,
                .policy = cgroup->policy,
                /* As it was then, not at the last flush. */
                .usage = refused->resource <= GATE_CHARGED ? refused->usage
                                                           : policy_usage(cgroup->policy, &cgroup->total),
                .limit = limits[refused->resource],
                .pid = refused->pid,
                .comm = refused->comm,
                .object = {
                        .kind = refused->kind == GATE_REFUSED_PROGRAM ? OBJECT_PROGRAM : OBJECT_MAP,
                        .type = refused->type,
                },
                .size = refused->resource <= GATE_CHARGED ? refused->wanted : 0,
        };

        memcpy(event.object.name, refused->name, sizeof(event.object.name));
        api_event(guard->api, &event);
}

/* The cgroup of who was refused. It may have nothing yet, and so be new here; NULL: it is gone, or out of memory. */
static struct cgroup *find_grower(struct guard *guard, uint64_t id)
{
        struct cgroup *cgroup = tree_find(&guard->monitor->tree, id);
        _cleanup_free_ char *path = NULL;
        uint64_t parent;

        if (cgroup || cgroupfs_lookup(&guard->monitor->cgroupfs, id, &path, &parent) < 0)
                return cgroup;
        kernel_watch_cgroup(guard->monitor->kernel, id);
        return tree_get(&guard->monitor->tree, id, &cgroup) < 0 ? NULL : cgroup;
}

static void take_refusal(struct guard *guard, const struct gate_event *event)
{
        const struct settings *settings = &guard->config.settings;
        struct cgroup *cgroup = tree_find(&guard->monitor->tree, event->domain);
        struct refusal refusal = { .cgroup = cgroup, .event = event };
        int r;

        if (!cgroup || !cgroup->policy || event->resource >= GATE_RESOURCES)
                return;
        /* A loader that tries again and again is counted once a flush. */
        cgroup->policy->refused = true;
        tree_mark_changed(&guard->monitor->tree, cgroup);
        publish_refusal(guard, cgroup, event);
        if (!policy_may_alert(cgroup->policy, LEVEL_MAX, now_usec(), settings->alert_interval_usec,
                            settings->alert_burst, &refusal.suppressed))
                return;
        take_denied(guard, cgroup);
        refusal.grower = find_grower(guard, event->cgroup_id);
        r = alert_send_refusal(&refusal);
        if (r < 0)
                log_warning("The alert for %s was not taken by the journal: %s", cgroup->path, strerror(-r));
}

/* A cgroup whose first object may be refused already has to be known before it makes one. */
static int expect_cgroup(void *context, uint64_t id, const char *path)
{
        struct guard *guard = context;
        const struct budget *budget;
        struct cgroup *cgroup;

        if (tree_find(&guard->monitor->tree, id))
                return 0;
        budget = find_budget(guard, path);
        if (!budget || budget->on_max != ACTION_DENY)
                return 0;
        kernel_watch_cgroup(guard->monitor->kernel, id);
        return tree_get(&guard->monitor->tree, id, &cgroup);
}

/* How many flushes a new cgroup is looked for. */
#define LOOK_FOR_FLUSHES 20

/*
 * The kernel tells of a cgroup before kernfs_activate() (kernel/cgroup/cgroup.c, cgroup_mkdir()), until when its id
 * leads nowhere. So does for ever that of another hierarchy's, or of one that is gone again.
 */
struct unfound_cgroup {
        uint64_t id;
        unsigned int flushes; /* left */
};

/* Returns whether it was found. */
static bool expect_new_cgroup(struct guard *guard, uint64_t id)
{
        _cleanup_free_ char *path = NULL;
        uint64_t parent;

        if (cgroupfs_lookup(&guard->monitor->cgroupfs, id, &path, &parent) < 0)
                return false;
        if (expect_cgroup(guard, id, path) < 0)
                log_error("Out of memory: %s may pass its Max until it holds something", path);
        return true;
}

static void note_unfound(struct guard *guard, uint64_t id)
{
        if (guard->unfound_count == guard->unfound_size) {
                size_t size = guard->unfound_size ? 2 * guard->unfound_size : 16;
                struct unfound_cgroup *grown = reallocarray(guard->unfound, size, sizeof(*grown));

                if (!grown) {
                        log_error("Out of memory: a new cgroup may pass its Max until it holds something");
                        return;
                }
                guard->unfound = grown;
                guard->unfound_size = size;
        }
        guard->unfound[guard->unfound_count++] = (struct unfound_cgroup){ id, LOOK_FOR_FLUSHES };
}

static void look_for_unfound(struct guard *guard)
{
        size_t kept = 0;

        for (size_t i = 0; i < guard->unfound_count; i++) {
                struct unfound_cgroup cgroup = guard->unfound[i];

                if (!expect_new_cgroup(guard, cgroup.id) && --cgroup.flushes > 0)
                        guard->unfound[kept++] = cgroup;
        }
        guard->unfound_count = kept;
}

static void take_event(void *context, const struct gate_event *event)
{
        struct guard *guard = context;

        if (event->kind != GATE_CGROUP_NEW)
                take_refusal(guard, event);
        else if (!expect_new_cgroup(guard, event->cgroup_id))
                note_unfound(guard, event->cgroup_id);
}

void guard_take_gate(struct guard *guard)
{
        if (guard->admission.gate)
                gate_take_events(guard->admission.gate, take_event, guard);
}

static void expect_cgroups(struct guard *guard)
{
        int r = cgroupfs_walk(&guard->monitor->cgroupfs, expect_cgroup, guard);

        if (r < 0)
                log_warning("Not all cgroups could be visited (%s): new ones have their Max once they hold something",
                                strerror(-r));
}

static void look_for_untold(struct guard *guard)
{
        uint64_t untold = guard->admission.gate ? gate_untold(guard->admission.gate) : 0;

        if (untold > guard->untold)
                expect_cgroups(guard);
        guard->untold = untold;
}

void guard_apply(struct guard *guard)
{
        struct cgroup *cgroup;

        look_for_unfound(guard);
        look_for_untold(guard);
        admission_flush(&guard->admission);
        while ((cgroup = tree_take_changed(&guard->monitor->tree)))
                if (cgroup->policy)
                        look_at(guard, cgroup);
        say_held(guard);
        throttle(guard);
        save(guard);
}

int guard_gate_fd(const struct guard *guard)
{
        return guard->admission.gate ? gate_events_fd(guard->admission.gate) : -1;
}

bool guard_wants_flush(const struct guard *guard)
{
        return guard->unfound_count > 0 || admission_wants_flush(&guard->admission);
}

static const struct budget *first_that_refuses(const struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                if (config->budgets[i].on_max == ACTION_DENY)
                        return &config->budgets[i];
        return NULL;
}

/* Opens the gate, or closes it, as the configuration wants. Returns 0, or -EOPNOTSUPP with Strict=yes. */
static int set_gate(struct guard *guard)
{
        const struct budget *budget = first_that_refuses(&guard->config);
        struct cgroup *cgroup, *next;

        guard->obstacle = NULL;
        if (guard->dry_run)
                return 0;
        if (!budget) {
                admission_stop(&guard->admission);
                return 0;
        }
        guard->obstacle = admission_obstacle(&guard->admission);
        if (!guard->obstacle) {
                expect_cgroups(guard);
                if (admission_start(&guard->admission, &guard->config.settings) < 0)
                        guard->obstacle = admission_obstacle(&guard->admission) ?: "the gate cannot be loaded";
                else
                        expect_cgroups(guard); /* those that were made before it told of new ones */
        }
        if (guard->obstacle) {
                log_warning("%s: OnMax=deny cannot be had (%s): growth past Max is told, and not refused", budget->file,
                                guard->obstacle);
                return guard->config.settings.strict ? -EOPNOTSUPP : 0;
        }
        HASH_ITER (hh, guard->monitor->tree.by_id, cgroup, next)
                take_denied(guard, cgroup);
        return 0;
}

/* --- Start, reload and end ---------------------------------------------------------------------------------------- */

static int adopt_all(struct guard *guard)
{
        struct cgroup *cgroup, *next;
        int r = 0;

        monitor_set_by_holder(guard->monitor, guard_needs_holders(guard) ? by_holder : NULL, guard);

        HASH_ITER (hh, guard->monitor->tree.by_id, cgroup, next) {
                r = adopt(guard, cgroup);
                if (r < 0)
                        break;
        }
        return r;
}

/* What is there at the start has grown before: it costs no pause. */
static void forgive_growth(struct tree *tree)
{
        uint64_t grown;

        while (tree_take_grown(tree, &grown))
                ;
}

static int init_enforce(struct guard *guard, const char *frozen_file)
{
        struct monitor *monitor = guard->monitor;
        size_t count;

        forgive_growth(&monitor->tree);
        return enforce_init(&guard->enforce, &guard->config.settings, &monitor->tree, &monitor->cgroupfs,
                        &kernel_capabilities(monitor->kernel, &count)[CAPABILITY_FREEZE], frozen_file, guard->dry_run);
}

int guard_init(struct guard *guard, struct monitor *monitor, struct config *config, const char *state_file,
                const char *frozen_file, uint64_t ram, bool dry_run)
{
        int r;

        *guard = (struct guard){
                .monitor = monitor,
                .config = *config,
                .state_file = state_file,
                .dry_run = dry_run,
                .ram = ram,
                .held_due_usec = UINT64_MAX,
        };
        *config = (struct config){};
        r = init_enforce(guard, frozen_file);
        if (r == 0)
                r = load_events(guard);
        if (r < 0)
                return r;
        say_throttle_obstacle(guard);
        monitor->tree.added = on_added;
        monitor->tree.freed = on_freed;
        monitor->tree.notice_context = guard;
        admission_init(&guard->admission, monitor);
        r = adopt_all(guard);
        if (r < 0)
                return r;
        r = set_gate(guard);
        if (r < 0)
                log_error("Strict=yes: not without OnMax=deny");
        return r;
}

int guard_reload(struct guard *guard, struct config *config)
{
        struct cgroup *cgroup, *next;
        int r;

        HASH_ITER (hh, guard->monitor->tree.by_id, cgroup, next) {
                /* What it went through is kept if it has a budget again. */
                if (cgroup->policy && keep(guard, cgroup->id, cgroup->policy) < 0)
                        return -ENOMEM;
                abandon(guard, cgroup);
        }
        config_deinit(&guard->config);
        guard->config = *config;
        *config = (struct config){};
        say_throttle_obstacle(guard);
        r = adopt_all(guard);
        if (r < 0)
                return r;
        /* Strict=yes is about the start; a daemon that runs goes on with what it can do. */
        set_gate(guard);
        return 0;
}

void guard_deinit(struct guard *guard)
{
        struct kept_events *kept, *next;

        if (!guard->monitor)
                return;
        thaw(guard, true);
        save_events(guard);
        monitor_set_by_holder(guard->monitor, NULL, NULL);
        enforce_deinit(&guard->enforce);
        admission_deinit(&guard->admission);
        free(guard->unfound);
        guard->monitor->tree.added = guard->monitor->tree.freed = NULL;
        for (struct cgroup *cgroup = guard->monitor->tree.by_id; cgroup; cgroup = cgroup->hh.next)
                abandon(guard, cgroup);
        HASH_ITER (hh, guard->kept, kept, next) {
                HASH_DEL(guard->kept, kept);
                free(kept);
        }
        config_deinit(&guard->config);
        *guard = (struct guard){};
}
