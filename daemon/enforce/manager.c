/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/owner.h"
#include "kernel/probe.h"

/* --- Files and xattrs --------------------------------------------------------------------------------------------- */

/* Where @cgroup is mounted; to be freed. NULL if it has no path, is gone, or there is no memory. */
static char *cgroup_directory(const struct manager *manager, const struct cgroup *cgroup)
{
        return cgroup->path && cgroup->exists ? cgroupfs_file(&manager->monitor->cgroupfs, cgroup->path) : NULL;
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
static void write_events_xattr(const struct manager *manager, const struct cgroup *cgroup)
{
        _cleanup_free_ char *directory = cgroup_directory(manager, cgroup);
        const struct budget_events *events = &cgroup->policy->events;
        char text[160];
        int n;

        if (!directory || manager->dry_run)
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
static void read_events_xattr(const struct manager *manager, const struct cgroup *cgroup, enum budget_level *level,
                struct budget_events *events)
{
        _cleanup_free_ char *directory = cgroup_directory(manager, cgroup);
        unsigned long long high, max, denied, throttled, usec;
        char text[160] = "";

        if (!manager->state_file || !directory || !is_roots(directory) ||
                        getxattr(directory, XATTR_EVENTS, text, sizeof(text) - 1) < 0 ||
                        sscanf(text, "high %llu max %llu denied %llu throttled %llu throttledUSec %llu", &high, &max,
                                        &denied, &throttled, &usec) != 5)
                return;
        if (max > events->max)
                *level = LEVEL_MAX;
        else if (high > events->high && *level == LEVEL_OK)
                *level = LEVEL_HIGH;
        events->high = MAX(events->high, high);
        events->max = MAX(events->max, max);
        events->denied = MAX(events->denied, denied);
        events->throttled = MAX(events->throttled, throttled);
        events->throttled_usec = MAX(events->throttled_usec, usec);
}

static int keep(struct manager *manager, uint64_t id, const struct policy *policy)
{
        struct kept_events *kept;

        HASH_FIND(hh, manager->kept, &id, sizeof(id), kept);
        if (!kept) {
                kept = calloc(1, sizeof(*kept));
                if (!kept)
                        return -ENOMEM;
                kept->id = id;
                HASH_ADD(hh, manager->kept, id, sizeof(kept->id), kept);
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
static int load_events(struct manager *manager)
{
        json_t *file = NULL, *entry;
        size_t damaged = 0;
        const char *key;
        int r = 0;

        if (manager->state_file)
                file = load_file(manager->state_file);

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
                r = keep(manager, strtoull(key, NULL, 10), &policy);
                if (r < 0)
                        break;
        }
        if (damaged)
                log_warning("%s: %zu entries are damaged: events are those of the cgroups' xattrs", manager->state_file,
                                damaged);
        json_decref(file);
        return r;
}

static json_t *events_to_json(const struct manager *manager)
{
        json_t *file = json_object();
        struct kept_events *kept, *next;

        HASH_ITER (hh, manager->kept, kept, next) {
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
static int save_events(struct manager *manager)
{
        _cleanup_free_ char *new = NULL;
        json_t *file;
        int r = 0;

        if (!manager->dirty || !manager->state_file || manager->dry_run)
                return 0;
        manager->saved_usec = now_usec();
        /* Also if it fails: it is tried again when there is something new. */
        manager->dirty = false;
        if (asprintf(&new, "%s.new", manager->state_file) < 0)
                return -ENOMEM;
        file = events_to_json(manager);
        if (!file)
                return -ENOMEM;
        if (json_dump_file(file, new, JSON_COMPACT) < 0 || rename(new, manager->state_file) < 0)
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
static void set_limits(struct manager *manager, struct cgroup *cgroup, const struct budget *budget, bool complain)
{
        _cleanup_free_ char *directory = cgroup_directory(manager, cgroup);
        uint64_t high = cgroup->policy->lowered_high, max = cgroup->policy->lowered_max, before = cgroup->policy->max;

        if (directory) {
                uint64_t own_high = read_xattr(directory, XATTR_HIGH, manager->ram, complain);
                uint64_t own_max = read_xattr(directory, XATTR_MAX, manager->ram, complain);

                high = MIN(high, own_high);
                max = MIN(max, own_max);
        }
        policy_set(cgroup->policy, budget, high, max);
        if (complain || cgroup->policy->max != before)
                admission_set(&manager->admission, cgroup);
}

static const struct budget *find_budget(struct manager *manager, const char *path)
{
        _cleanup_free_ char *directory = path ? cgroupfs_file(&manager->monitor->cgroupfs, path) : NULL;
        struct match_subject subject = { .path = path, .uid = owner_of(directory) };

        if (!path)
                return NULL;
        return config_match(&manager->config, &subject);
}

static void count_level(struct manager *manager, enum budget_level from, enum budget_level to)
{
        manager->over_high += (to != LEVEL_OK) - (from != LEVEL_OK);
}

/* Gives @cgroup the policy of its budget, with the events that were kept of it. */
static int adopt(struct manager *manager, struct cgroup *cgroup)
{
        const struct budget *budget = find_budget(manager, cgroup->path);
        enum budget_level level = LEVEL_OK;
        struct budget_events events = {};
        struct kept_events *kept;

        if (!budget)
                return 0;
        cgroup->policy = calloc(1, sizeof(*cgroup->policy));
        if (!cgroup->policy)
                return -ENOMEM;
        cgroup->policy->lowered_high = cgroup->policy->lowered_max = BUDGET_INFINITY;
        HASH_FIND(hh, manager->kept, &cgroup->id, sizeof(cgroup->id), kept);
        if (kept) {
                level = kept->level;
                events = kept->events;
                cgroup->policy->lowered_high = kept->lowered_high;
                cgroup->policy->lowered_max = kept->lowered_max;
                cgroup->policy->held = kept->held;
                cgroup->policy->suppressed = kept->suppressed;
                if (kept->held.from != kept->held.to)
                        manager->held_due_usec = 0; /* the rate limit begins anew */
        }
        read_events_xattr(manager, cgroup, &level, &events);
        policy_resume(cgroup->policy, level, &events);
        count_level(manager, LEVEL_OK, cgroup->policy->level);
        set_limits(manager, cgroup, budget, true);
        tree_mark_changed(&manager->monitor->tree, cgroup);
        return 0;
}

static void abandon(struct manager *manager, struct cgroup *cgroup)
{
        if (!cgroup->policy)
                return;
        count_level(manager, cgroup->policy->level, LEVEL_OK);
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
        struct manager *manager = context;
        struct kept_events *kept;

        enforce_forget(&manager->enforce, cgroup->id);
        if (cgroup->policy)
                admission_remove(&manager->admission, cgroup);
        abandon(manager, cgroup);
        HASH_FIND(hh, manager->kept, &cgroup->id, sizeof(cgroup->id), kept);
        if (kept && !cgroup->exists) {
                HASH_DEL(manager->kept, kept);
                free(kept);
                manager->dirty = true;
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

static uint64_t window_end_usec(const struct manager *manager, const struct policy *policy)
{
        return policy->window_start_usec + manager->config.settings.alert_interval_usec;
}

/* Keeps @change, which may not be told now, until the rate limit allows it. */
static void hold(struct manager *manager, struct policy *policy, const struct policy_change *change)
{
        uint64_t due = window_end_usec(manager, policy);

        policy->held = *change;
        if (due < manager->held_due_usec)
                manager->held_due_usec = due;
}

static const struct growth_cause *find_change_cause(
                const struct manager *manager, const struct cgroup *cgroup, const struct policy_change *change)
{
        return change->to > change->from ? find_cause(manager->monitor, cgroup) : NULL;
}

static void emit(const struct manager *manager, const struct budget_event *event)
{
        manager->sink(manager->sink_context, event);
}

/* Whether the rate limit lets an alert about @cgroup be sent now; then *@suppressed is how many were not before it. */
static bool may_alert(
                const struct manager *manager, struct cgroup *cgroup, enum budget_level level, uint32_t *suppressed)
{
        const struct settings *settings = &manager->config.settings;

        return policy_may_alert(cgroup->policy, level, now_usec(), settings->alert_interval_usec, settings->alert_burst,
                        suppressed);
}

/*
 * Emits that @cgroup's level has changed, from @before to @usage (bytes). @publish: it is new; else only its alert was
 * held back.
 */
static void emit_change(struct manager *manager, struct cgroup *cgroup, const struct policy_change *change,
                uint64_t usage, uint64_t before, bool publish)
{
        const struct growth_cause *cause = find_change_cause(manager, cgroup, change);
        struct policy *policy = cgroup->policy;
        struct budget_event event = {
                .kind = EVENT_STATE,
                .cgroup = cgroup,
                .policy = policy,
                .payer = cgroup,
                .usage = usage,
                .dry_run = manager->dry_run,
                .publish = publish,
                .pid = cause ? cause->pid : 0,
                .comm = cause ? cause->comm : NULL,
                .from = change->from,
                .to = change->to,
                .limit = change->limit,
                .delta = (int64_t) (usage - before),
        };

        event.alert = may_alert(manager, cgroup, change->to, &event.suppressed);
        if (event.alert)
                policy->held = (struct policy_change){};
        else
                hold(manager, policy, change);
        if (event.alert || event.publish)
                emit(manager, &event);
}

/* @cgroup's events have changed. */
static void note_events(struct manager *manager, struct cgroup *cgroup)
{
        if (keep(manager, cgroup->id, cgroup->policy) == 0)
                manager->dirty = true;
        write_events_xattr(manager, cgroup);
}

/* The count is the gate's: it goes on without the daemon. */
static void take_denied(struct manager *manager, struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        struct gate_domain domain;

        if (!policy || !manager->admission.gate)
                return;
        policy->refused = false;
        if (gate_read_domain(manager->admission.gate, cgroup->id, &domain) < 0 ||
                        domain.denied <= policy->events.denied)
                return;
        policy->events.denied = domain.denied;
        note_events(manager, cgroup);
}

static void evaluate(struct manager *manager, struct cgroup *cgroup)
{
        struct policy *policy = cgroup->policy;
        struct policy_change change;
        uint64_t usage, before;

        set_limits(manager, cgroup, policy->budget, false);
        if (policy->refused)
                take_denied(manager, cgroup);
        usage = policy_usage(policy, &cgroup->total);
        before = policy->last_usage;
        policy->last_usage = usage;
        if (!policy_update(policy, &cgroup->total, &change))
                return;
        count_level(manager, change.from, change.to);
        note_events(manager, cgroup);
        emit_change(manager, cgroup, &change, usage, before, true);
}

/* The rate limit must not leave the reader with a state that is not so any more. */
static void emit_held(struct manager *manager)
{
        struct cgroup *cgroup, *next;
        uint64_t now = now_usec();

        if (now < manager->held_due_usec)
                return;
        manager->held_due_usec = UINT64_MAX;
        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next) {
                struct policy *policy = cgroup->policy;
                struct policy_change change;

                if (!policy || policy->held.from == policy->held.to)
                        continue;
                change = policy->held;
                if (now >= window_end_usec(manager, policy))
                        emit_change(manager, cgroup, &change, policy->last_usage, policy->last_usage, false);
                else
                        hold(manager, policy, &change);
        }
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void emit_pause(struct manager *manager, const struct pause *pause)
{
        const struct growth_cause *cause = find_cause(manager->monitor, pause->cgroup);
        struct budget_event event = {
                .kind = EVENT_THROTTLE,
                .cgroup = pause->cgroup,
                .policy = pause->payer->policy,
                .payer = pause->payer,
                .usage = policy_usage(pause->payer->policy, &pause->payer->total),
                .dry_run = manager->dry_run,
                .publish = !manager->dry_run,
                .alert = pause->tell,
                .suppressed = pause->suppressed,
                .pid = cause ? cause->pid : 0,
                .comm = cause ? cause->comm : NULL,
                .delta = (int64_t) pause->grown,
                .pause_usec = pause->usec,
        };

        if (event.alert || event.publish)
                emit(manager, &event);
}

/* Thaws what is due; @all: everything. */
static void thaw(struct manager *manager, bool all)
{
        struct thawed thawed;

        while (enforce_thaw(&manager->enforce, now_usec(), all, &thawed))
                if (thawed.payer)
                        note_events(manager, thawed.payer);
}

/* Pauses what has grown over High. The levels are those of this flush already. */
static void throttle(struct manager *manager)
{
        struct cgroup *cgroup;
        struct pause pause;
        uint64_t grown;

        while ((cgroup = tree_take_grown(&manager->monitor->tree, &grown))) {
                if (!enforce_grown(&manager->enforce, cgroup, grown, now_usec(), &pause))
                        continue;
                if (!manager->dry_run)
                        note_events(manager, pause.payer);
                emit_pause(manager, &pause);
        }
        enforce_review(&manager->enforce, now_usec());
        thaw(manager, false);
}

uint64_t manager_next_thaw_usec(const struct manager *manager)
{
        return enforce_next_usec(&manager->enforce);
}

static void say_throttle_obstacle(const struct manager *manager)
{
        const char *obstacle = enforce_obstacle(&manager->enforce);
        const struct config *config = &manager->config;

        for (size_t i = 0; obstacle && i < config->count; i++)
                if (config->budgets[i].on_high == ACTION_THROTTLE) {
                        log_warning("%s: OnHigh=throttle cannot be had (%s): growth over High is told, and not slowed "
                                    "down",
                                        config->budgets[i].file, obstacle);
                        return;
                }
}

/* Not with every flush: it is all events that are written. What is left over comes with manager_due_usec(). */
static void save(struct manager *manager)
{
        int r = now_usec() < manager->saved_usec + MANAGER_SAVE_INTERVAL_USEC ? 0 : save_events(manager);

        if (r < 0)
                log_warning("%s cannot be written (%s): events are not kept over a restart", manager->state_file,
                                strerror(-r));
}

void manager_thaw(struct manager *manager)
{
        thaw(manager, false);
        save(manager);
}

uint64_t manager_due_usec(const struct manager *manager)
{
        uint64_t due = manager->held_due_usec;

        if (manager->over_high)
                due = MIN(due, manager->looked_usec + MANAGER_LOOK_INTERVAL_USEC);
        if (manager->dirty && manager->state_file && !manager->dry_run)
                due = MIN(due, manager->saved_usec + MANAGER_SAVE_INTERVAL_USEC);
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

void manager_prepare(struct manager *manager)
{
        uint64_t now = now_usec();

        if (manager->over_high == 0 || now < manager->looked_usec + MANAGER_LOOK_INTERVAL_USEC)
                return;
        manager->looked_usec = now;
        for (struct object *object = manager->monitor->ledger.growing; object; object = object->next)
                if (is_over(object->cgroup) && monitor_look_again(manager->monitor, object->charged->id) < 0)
                        return;
}

bool manager_needs_holders(const struct manager *manager)
{
        for (size_t i = 0; i < manager->config.count; i++)
                if (manager->config.budgets[i].attribution == BUDGET_HOLDER)
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

int manager_lower(struct manager *manager, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        cgroup->policy->lowered_high = high;
        cgroup->policy->lowered_max = max;
        if (keep(manager, cgroup->id, cgroup->policy) < 0)
                return -ENOMEM;
        manager->dirty = true;
        tree_mark_changed(&manager->monitor->tree, cgroup);
        return 0;
}

bool manager_needs_rss(const struct manager *manager)
{
        for (size_t i = 0; i < manager->config.count; i++)
                if (manager->config.budgets[i].footprint_ratio_high)
                        return true;
        return false;
}

/* --- The gate ----------------------------------------------------------------------------------------------------- */

/* The cgroup of who was refused. It may have nothing yet, and so be new here; NULL: it is gone, or out of memory. */
static struct cgroup *find_grower(struct manager *manager, uint64_t id)
{
        struct cgroup *cgroup = tree_find(&manager->monitor->tree, id);
        _cleanup_free_ char *path = NULL;
        uint64_t parent;

        if (cgroup || cgroupfs_lookup(&manager->monitor->cgroupfs, id, &path, &parent) < 0)
                return cgroup;
        kernel_watch_cgroup(manager->monitor->kernel, id);
        return tree_get(&manager->monitor->tree, id, &cgroup) < 0 ? NULL : cgroup;
}

/* What the gate's record @refused about @cgroup says as an event. @comm: room for the name of the process. */
static struct budget_event refusal_event(
                const struct cgroup *cgroup, const struct gate_event *refused, char comm[OBJECT_NAME_SIZE + 1])
{
        static const enum budget_limit limits[GATE_RESOURCES] = {
                [GATE_ALLOCATED] = LIMIT_MAX,
                [GATE_CHARGED] = LIMIT_MAX,
                [GATE_MAPS] = LIMIT_MAPS,
                [GATE_PROGRAMS] = LIMIT_PROGRAMS,
        };
        bool bytes = limits[refused->resource] == LIMIT_MAX;
        struct budget_event event = {
                .kind = EVENT_REFUSAL,
                .cgroup = cgroup,
                .policy = cgroup->policy,
                .payer = cgroup,
                /* As it was then, not at the last flush. */
                .usage = bytes ? refused->usage : policy_usage(cgroup->policy, &cgroup->total),
                .publish = true,
                .limit = limits[refused->resource],
                .pid = refused->pid,
                .comm = comm,
                .object = {
                        .kind = refused->kind == GATE_REFUSED_PROGRAM ? OBJECT_PROGRAM : OBJECT_MAP,
                        .type = refused->type,
                },
                .growth = refused->kind == GATE_REFUSED_GROWTH,
                .size = bytes ? refused->wanted : 0,
                .used = refused->usage,
                .max = refused->max,
        };

        memcpy(event.object.name, refused->name, sizeof(event.object.name));
        memcpy(comm, refused->comm, OBJECT_NAME_SIZE);
        comm[OBJECT_NAME_SIZE] = '\0';
        return event;
}

/* Whether @refused is a record that this version knows, whatever wrote it. */
static bool is_refusal(const struct gate_event *refused)
{
        return refused->kind >= GATE_REFUSED_MAP && refused->kind <= GATE_REFUSED_GROWTH &&
               refused->resource < GATE_RESOURCES;
}

static void take_refusal(struct manager *manager, const struct gate_event *refused)
{
        struct cgroup *cgroup = tree_find(&manager->monitor->tree, refused->domain);
        char comm[OBJECT_NAME_SIZE + 1];
        struct budget_event event;

        if (!cgroup || !cgroup->policy || !is_refusal(refused))
                return;
        /* A loader that tries again and again is counted once a flush. */
        cgroup->policy->refused = true;
        tree_mark_changed(&manager->monitor->tree, cgroup);
        event = refusal_event(cgroup, refused, comm);
        event.alert = may_alert(manager, cgroup, LEVEL_MAX, &event.suppressed);
        if (event.alert) {
                take_denied(manager, cgroup);
                event.grower = find_grower(manager, refused->cgroup_id);
        }
        emit(manager, &event);
}

/* A cgroup whose first object may be refused already has to be known before it makes one. */
static int expect_cgroup(void *context, uint64_t id, const char *path)
{
        struct manager *manager = context;
        const struct budget *budget;
        struct cgroup *cgroup;

        if (tree_find(&manager->monitor->tree, id))
                return 0;
        budget = find_budget(manager, path);
        if (!budget || budget->on_max != ACTION_DENY)
                return 0;
        kernel_watch_cgroup(manager->monitor->kernel, id);
        return tree_get(&manager->monitor->tree, id, &cgroup);
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
static bool expect_new_cgroup(struct manager *manager, uint64_t id)
{
        _cleanup_free_ char *path = NULL;
        uint64_t parent;

        if (cgroupfs_lookup(&manager->monitor->cgroupfs, id, &path, &parent) < 0)
                return false;
        if (expect_cgroup(manager, id, path) < 0)
                log_error("Out of memory: %s may pass its Max until it holds something", path);
        return true;
}

static void note_unfound(struct manager *manager, uint64_t id)
{
        if (manager->unfound_count == manager->unfound_size) {
                size_t size = manager->unfound_size ? 2 * manager->unfound_size : 16;
                struct unfound_cgroup *grown = reallocarray(manager->unfound, size, sizeof(*grown));

                if (!grown) {
                        log_error("Out of memory: a new cgroup may pass its Max until it holds something");
                        return;
                }
                manager->unfound = grown;
                manager->unfound_size = size;
        }
        manager->unfound[manager->unfound_count++] = (struct unfound_cgroup){ id, LOOK_FOR_FLUSHES };
}

static void look_for_unfound(struct manager *manager)
{
        size_t kept = 0;

        for (size_t i = 0; i < manager->unfound_count; i++) {
                struct unfound_cgroup cgroup = manager->unfound[i];

                if (!expect_new_cgroup(manager, cgroup.id) && --cgroup.flushes > 0)
                        manager->unfound[kept++] = cgroup;
        }
        manager->unfound_count = kept;
}

static void take_event(void *context, const struct gate_event *event)
{
        struct manager *manager = context;

        if (event->kind != GATE_CGROUP_NEW)
                take_refusal(manager, event);
        else if (!expect_new_cgroup(manager, event->cgroup_id))
                note_unfound(manager, event->cgroup_id);
}

void manager_take_gate(struct manager *manager)
{
        if (manager->admission.gate)
                gate_take_events(manager->admission.gate, take_event, manager);
}

static void expect_cgroups(struct manager *manager)
{
        int r = cgroupfs_walk(&manager->monitor->cgroupfs, expect_cgroup, manager);

        if (r < 0)
                log_warning("Not all cgroups could be visited (%s): new ones have their Max once they hold something",
                                strerror(-r));
}

static void look_for_untold(struct manager *manager)
{
        uint64_t untold = manager->admission.gate ? gate_untold(manager->admission.gate) : 0;

        if (untold > manager->untold)
                expect_cgroups(manager);
        manager->untold = untold;
}

void manager_apply(struct manager *manager)
{
        struct cgroup *cgroup;

        look_for_unfound(manager);
        look_for_untold(manager);
        admission_flush(&manager->admission);
        while ((cgroup = tree_take_changed(&manager->monitor->tree)))
                if (cgroup->policy)
                        evaluate(manager, cgroup);
        emit_held(manager);
        throttle(manager);
        save(manager);
}

int manager_gate_fd(const struct manager *manager)
{
        return manager->admission.gate ? gate_events_fd(manager->admission.gate) : -1;
}

bool manager_wants_flush(const struct manager *manager)
{
        return manager->unfound_count > 0 || admission_wants_flush(&manager->admission);
}

static const struct budget *first_that_refuses(const struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                if (config->budgets[i].on_max == ACTION_DENY)
                        return &config->budgets[i];
        return NULL;
}

/* Opens the gate, or closes it, as the configuration wants. Returns 0, or -EOPNOTSUPP with Strict=yes. */
static int set_gate(struct manager *manager)
{
        const struct budget *budget = first_that_refuses(&manager->config);
        struct cgroup *cgroup, *next;

        manager->obstacle = NULL;
        if (manager->dry_run)
                return 0;
        if (!budget) {
                admission_stop(&manager->admission);
                return 0;
        }
        manager->obstacle = admission_obstacle(&manager->admission);
        if (!manager->obstacle) {
                expect_cgroups(manager);
                if (admission_start(&manager->admission, &manager->config.settings) < 0)
                        manager->obstacle = admission_obstacle(&manager->admission) ?: "the gate cannot be loaded";
                else
                        expect_cgroups(manager); /* those that were made before it told of new ones */
        }
        if (manager->obstacle) {
                log_warning("%s: OnMax=deny cannot be had (%s): growth past Max is told, and not refused", budget->file,
                                manager->obstacle);
                return manager->config.settings.strict ? -EOPNOTSUPP : 0;
        }
        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next)
                take_denied(manager, cgroup);
        return 0;
}

/* --- Start, reload and end ---------------------------------------------------------------------------------------- */

static int adopt_all(struct manager *manager)
{
        struct cgroup *cgroup, *next;
        int r = 0;

        monitor_set_by_holder(manager->monitor, manager_needs_holders(manager) ? by_holder : NULL, manager);

        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next) {
                r = adopt(manager, cgroup);
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

static int init_enforce(struct manager *manager, const char *frozen_file)
{
        struct monitor *monitor = manager->monitor;
        size_t count;

        forgive_growth(&monitor->tree);
        return enforce_init(&manager->enforce, &manager->config.settings, &monitor->tree, &monitor->cgroupfs,
                        &kernel_capabilities(monitor->kernel, &count)[CAPABILITY_FREEZE], frozen_file,
                        manager->dry_run);
}

int manager_init(struct manager *manager, const struct manager_options *options, struct config *config)
{
        struct monitor *monitor = options->monitor;
        int r;

        *manager = (struct manager){
                .monitor = monitor,
                .config = *config,
                .state_file = options->state_file,
                .dry_run = options->dry_run,
                .ram = options->ram,
                .held_due_usec = UINT64_MAX,
                .sink = options->sink,
                .sink_context = options->sink_context,
        };
        *config = (struct config){};
        r = init_enforce(manager, options->frozen_file);
        if (r == 0)
                r = load_events(manager);
        if (r < 0)
                return r;
        say_throttle_obstacle(manager);
        monitor->tree.added = on_added;
        monitor->tree.freed = on_freed;
        monitor->tree.notice_context = manager;
        admission_init(&manager->admission, monitor);
        r = adopt_all(manager);
        if (r < 0)
                return r;
        r = set_gate(manager);
        if (r < 0)
                log_error("Strict=yes: not without OnMax=deny");
        return r;
}

int manager_reload(struct manager *manager, struct config *config)
{
        struct cgroup *cgroup, *next;
        int r;

        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next) {
                /* What it went through is kept if it has a budget again. */
                if (cgroup->policy && keep(manager, cgroup->id, cgroup->policy) < 0)
                        return -ENOMEM;
                abandon(manager, cgroup);
        }
        config_deinit(&manager->config);
        manager->config = *config;
        *config = (struct config){};
        say_throttle_obstacle(manager);
        r = adopt_all(manager);
        if (r < 0)
                return r;
        /* Strict=yes is about the start; a daemon that runs goes on with what it can do. */
        set_gate(manager);
        return 0;
}

void manager_deinit(struct manager *manager)
{
        struct kept_events *kept, *next;

        if (!manager->monitor)
                return;
        thaw(manager, true);
        save_events(manager);
        monitor_set_by_holder(manager->monitor, NULL, NULL);
        enforce_deinit(&manager->enforce);
        admission_deinit(&manager->admission);
        free(manager->unfound);
        manager->monitor->tree.added = manager->monitor->tree.freed = NULL;
        for (struct cgroup *cgroup = manager->monitor->tree.by_id; cgroup; cgroup = cgroup->hh.next)
                abandon(manager, cgroup);
        HASH_ITER (hh, manager->kept, kept, next) {
                HASH_DEL(manager->kept, kept);
                free(kept);
        }
        config_deinit(&manager->config);
        *manager = (struct manager){};
}
