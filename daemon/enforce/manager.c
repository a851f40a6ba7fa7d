/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "enforce/limits.h"
#include "enforce/refusal.h"
#include "kernel/probe.h"

/* --- Which budget ------------------------------------------------------------------------------------------------- */

static void count_level(struct manager *manager, enum budget_level from, enum budget_level to)
{
        manager->over_high += (to != LEVEL_OK) - (from != LEVEL_OK);
}

static void set_limits(struct manager *manager, struct cgroup *cgroup, const struct budget *budget, bool first)
{
        bool changed = limits_set(cgroup, budget, &manager->monitor->cgroupfs, manager->ram);

        if (first || changed)
                admission_set(&manager->admission, cgroup);
}

/* Sets *@budget to that of @cgroup, NULL: it has none. Returns 0 or -ENOMEM. */
static int find_budget(struct manager *manager, struct cgroup *cgroup, const struct budget **budget)
{
        _cleanup_free_ char *path = NULL;
        int r = cgroup_full_path(cgroup, &path);

        *budget = NULL;
        if (r < 0)
                path = NULL;
        if (r == 0 && manager->workloads)
                r = workloads_name(manager->workloads, cgroup);
        if (r == 0)
                *budget = limits_find_budget(
                                &manager->config, &manager->monitor->cgroupfs, cgroup->id, path, cgroup->workload);
        return r == -ENOENT ? 0 : r;
}

/* Gives @cgroup the policy of its budget, with the events that were kept of it. Returns 0 or -ENOMEM. */
static int adopt(struct manager *manager, struct cgroup *cgroup)
{
        const struct budget *budget;
        int r = find_budget(manager, cgroup, &budget);

        if (r == 0 && !budget)
                limits_warn_of_unused(&manager->unused_warnings, cgroup, &manager->monitor->cgroupfs);
        if (r < 0 || !budget)
                return r;
        cgroup->policy = calloc(1, sizeof(*cgroup->policy));
        if (!cgroup->policy)
                return -ENOMEM;
        event_store_restore(&manager->events, cgroup);
        if (cgroup->policy->held.from != cgroup->policy->held.to)
                manager->held_due_usec = 0; /* the rate limit begins anew */
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
        policy_deinit(cgroup->policy);
        free(cgroup->policy);
        cgroup->policy = NULL;
}

/* The name of @cgroup's workload is known now, or known to be none: another budget may be its. Returns 0 or -ENOMEM. */
static int match_again(struct manager *manager, struct cgroup *cgroup)
{
        const struct budget *budget;
        int r = find_budget(manager, cgroup, &budget);

        if (r < 0 || budget == (cgroup->policy ? cgroup->policy->budget : NULL))
                return r;
        if (cgroup->policy) {
                r = event_store_keep(&manager->events, cgroup->id, cgroup->policy);
                if (r < 0)
                        return r;
                if (!budget || budget->on_max != ACTION_DENY)
                        admission_remove(&manager->admission, cgroup);
        }
        abandon(manager, cgroup);
        return adopt(manager, cgroup);
}

void manager_take_names(struct manager *manager)
{
        struct cgroup *cgroup;

        while ((cgroup = workloads_take_resolved(manager->workloads)))
                if (match_again(manager, cgroup) < 0)
                        log_error("%s may be without its budget: out of memory", cgroup->path ?: "a cgroup");
}

void manager_adopt_added(struct manager *manager)
{
        struct cgroup *cgroup;

        while ((cgroup = tree_take_added(&manager->monitor->tree)))
                if (!cgroup->policy && adopt(manager, cgroup) < 0)
                        log_error("%s is without its budget: out of memory", cgroup->path ?: "a cgroup");
}

/* Events of a removed cgroup are dropped, because its ID is never reused. */
static void forget(struct manager *manager, struct cgroup *cgroup)
{
        enforce_forget(&manager->enforce, cgroup->id);
        if (manager->workloads)
                workloads_forget(manager->workloads, cgroup);
        if (cgroup->policy)
                admission_remove(&manager->admission, cgroup);
        abandon(manager, cgroup);
        if (!cgroup->exists)
                event_store_forget(&manager->events, cgroup->id);
        cgroup_free(cgroup);
}

static void forget_all(struct manager *manager)
{
        struct cgroup *cgroup;

        while ((cgroup = tree_take_forgotten(&manager->monitor->tree)))
                forget(manager, cgroup);
}

/* Takes what the tree has learned since the last time: of the same id, what is gone comes before what is new. */
static void follow_tree(struct manager *manager)
{
        forget_all(manager);
        manager_adopt_added(manager);
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

/* Keeps @change, whose alert may not be sent now, until the rate limit allows it. */
static void hold(struct manager *manager, struct policy *policy, const struct policy_change *change)
{
        uint64_t due = window_end_usec(manager, policy);

        policy->held = *change;
        if (due < manager->held_due_usec)
                manager->held_due_usec = due;
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
        const struct growth_cause *cause = change->to > change->from ? find_cause(manager->monitor, cgroup) : NULL;
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
        event_store_note(&manager->events, cgroup);
}

/* Whether @cgroup's RSS is 0 only because it has processes since it was read; reads it, once in manager_apply(). */
static bool is_rss_unknown(struct manager *manager, const struct cgroup *cgroup)
{
        if (!cgroup->policy->budget->footprint_ratio_high || usage_rss(&cgroup->total) > 0 ||
                        cgroup->total.allocated == 0)
                return false;
        if (!manager->rss_asked)
                manager->rss_unknown = monitor_refresh_rss(manager->monitor) < 0;
        manager->rss_asked = true;
        return manager->rss_unknown;
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
        policy->rss_unknown = is_rss_unknown(manager, cgroup);
        if (!policy_update(policy, &cgroup->total, &change))
                return;
        count_level(manager, change.from, change.to);
        event_store_note(&manager->events, cgroup);
        emit_change(manager, cgroup, &change, usage, before, true);
}

void manager_evaluate(struct manager *manager, struct cgroup *cgroup)
{
        if (cgroup->policy)
                evaluate(manager, cgroup);
}

/* The last alert that a reader sees must not show an outdated state because of the rate limit. */
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
                        event_store_note(&manager->events, thawed.payer);
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
                        event_store_note(&manager->events, pause.payer);
                emit_pause(manager, &pause);
        }
        enforce_review(&manager->enforce, now_usec());
        thaw(manager, false);
}

uint64_t manager_next_thaw_usec(const struct manager *manager)
{
        return enforce_next_usec(&manager->enforce);
}

static void log_throttle_obstacle(const struct manager *manager)
{
        const char *obstacle = enforce_obstacle(&manager->enforce);
        const struct config *config = &manager->config;

        for (size_t i = 0; obstacle && i < config->count; i++)
                if (config->budgets[i].on_high == ACTION_THROTTLE) {
                        log_warning("%s: OnHigh=throttle is not available (%s): growth over High is reported, but not "
                                    "throttled",
                                        config->budgets[i].file, obstacle);
                        return;
                }
}

void manager_thaw(struct manager *manager)
{
        thaw(manager, false);
        event_store_save(&manager->events);
}

uint64_t manager_due_usec(const struct manager *manager)
{
        uint64_t due = MIN(manager->held_due_usec,
                        orphan_watch_due_usec(&manager->orphan_watch, &manager->config.settings));

        if (manager->over_high)
                due = MIN(due, manager->remeasured_usec + MANAGER_REMEASURE_INTERVAL_USEC);
        return MIN(due, event_store_due_usec(&manager->events));
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

        if (manager->over_high == 0 || now < manager->remeasured_usec + MANAGER_REMEASURE_INTERVAL_USEC)
                return;
        manager->remeasured_usec = now;
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

/* Whether @cgroup, which may be new, or one above it has a budget that goes by holders. */
static bool by_holder(void *context, const struct cgroup *cgroup)
{
        follow_tree(context);
        for (; cgroup; cgroup = cgroup->parent)
                if (cgroup->policy && cgroup->policy->budget->attribution == BUDGET_HOLDER)
                        return true;
        return false;
}

int manager_lower(struct manager *manager, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        cgroup->policy->lowered_high = high;
        cgroup->policy->lowered_max = max;
        if (event_store_keep(&manager->events, cgroup->id, cgroup->policy) < 0)
                return -ENOMEM;
        event_store_save_later(&manager->events);
        tree_mark_changed(&manager->monitor->tree, cgroup);
        return 0;
}

bool manager_needs_rss(const struct manager *manager)
{
        if (*manager->config.settings.metrics_listen.text)
                return true;
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

        if (cgroup || cgroupfs_exists(&manager->monitor->cgroupfs, id) < 0)
                return cgroup;
        kernel_watch_cgroup(manager->monitor->kernel, id);
        return tree_get(&manager->monitor->tree, id, &cgroup) < 0 ? NULL : cgroup;
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
        event.grower = tree_find(&manager->monitor->tree, refused->cgroup_id);
        /* The kill of a process is always logged. */
        event.alert = may_alert(manager, cgroup, LEVEL_MAX, &event.suppressed) || event.killed;
        if (event.alert) {
                take_denied(manager, cgroup);
                event.grower = find_grower(manager, refused->cgroup_id);
        }
        emit(manager, &event);
}

static void take_event(void *context, const struct gate_event *event)
{
        struct manager *manager = context;

        if (event->kind == GATE_CGROUP_NEW)
                new_cgroups_take(&manager->new_cgroups, event->cgroup_id);
        else
                take_refusal(manager, event);
        manager_adopt_added(manager);
}

void manager_take_gate(struct manager *manager)
{
        follow_tree(manager);
        if (manager->admission.gate)
                gate_take_events(manager->admission.gate, take_event, manager);
}

/* For the gate: see admission_init(). */
static void catch_up(void *context)
{
        struct manager *manager = context;

        monitor_flush(manager->monitor);
        follow_tree(manager);
        new_cgroups_find_all(&manager->new_cgroups);
        manager_adopt_added(manager);
}

void manager_apply(struct manager *manager)
{
        struct gate *gate = manager->admission.gate;
        struct cgroup *cgroup;

        follow_tree(manager);
        new_cgroups_flush(&manager->new_cgroups, gate ? gate_untold(gate) : 0);
        manager_adopt_added(manager);
        admission_flush(&manager->admission);
        manager->rss_asked = false;
        while ((cgroup = tree_take_changed(&manager->monitor->tree)))
                if (cgroup->policy)
                        evaluate(manager, cgroup);
        emit_held(manager);
        fills_flush(&manager->fills, manager->monitor, &manager->config, now_usec(), manager->dry_run, manager->sink,
                        manager->sink_context);
        orphan_watch_flush(&manager->orphan_watch, manager->monitor, &manager->config.settings, now_usec(),
                        manager->dry_run, manager->sink, manager->sink_context);
        throttle(manager);
        event_store_save(&manager->events);
}

int manager_gate_fd(const struct manager *manager)
{
        return manager->admission.gate ? manager->admission.events_fd : -1;
}

bool manager_wants_flush(const struct manager *manager)
{
        return new_cgroups_wants_flush(&manager->new_cgroups) || admission_wants_flush(&manager->admission);
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
                catch_up(manager);
                if (admission_start(&manager->admission, &manager->config) < 0)
                        manager->obstacle = admission_obstacle(&manager->admission) ?: "the gate cannot be loaded";
        }
        if (manager->obstacle) {
                log_identified(BPFBUDGET_MESSAGE_DENY_ID, LOG_WARNING,
                                "%s: OnMax=deny is not available (%s): growth past Max is reported, but not refused",
                                budget->file, manager->obstacle);
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
        while (tree_take_added(&manager->monitor->tree))
                ;
        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next) {
                r = adopt(manager, cgroup);
                if (r < 0)
                        break;
        }
        return r;
}

/* Objects that exist at the start do not count as growth, and cause no pause. */
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
                .workloads = options->workloads,
                .config = *config,
                .dry_run = options->dry_run,
                .ram = options->ram,
                .held_due_usec = UINT64_MAX,
                .sink = options->sink,
                .sink_context = options->sink_context,
        };
        *config = (struct config){};
        r = init_enforce(manager, options->frozen_file);
        if (r == 0)
                r = event_store_init(&manager->events, &monitor->cgroupfs, options->state_file, options->dry_run);
        if (r < 0)
                return r;
        log_throttle_obstacle(manager);
        admission_init(&manager->admission, monitor, catch_up, take_event, manager);
        new_cgroups_init(&manager->new_cgroups, monitor, &manager->config);
        r = adopt_all(manager);
        if (r < 0)
                return r;
        r = set_gate(manager);
        if (r < 0)
                log_error("Strict=yes: the daemon does not run, because OnMax=deny is not available");
        return r;
}

int manager_reload(struct manager *manager, struct config *config)
{
        struct cgroup *cgroup, *next;
        int r;

        follow_tree(manager);
        HASH_ITER (hh, manager->monitor->tree.by_id, cgroup, next) {
                /* What it went through is kept if it has a budget again. */
                if (cgroup->policy && event_store_keep(&manager->events, cgroup->id, cgroup->policy) < 0)
                        return -ENOMEM;
                abandon(manager, cgroup);
        }
        config_deinit(&manager->config);
        manager->config = *config;
        *config = (struct config){};
        enforce_reload(&manager->enforce);
        log_throttle_obstacle(manager);
        r = adopt_all(manager);
        if (r < 0)
                return r;
        /* Strict=yes applies only at the start; a running daemon continues with what it can do. */
        set_gate(manager);
        return 0;
}

void manager_deinit(struct manager *manager)
{
        if (!manager->monitor)
                return;
        thaw(manager, true);
        forget_all(manager);
        event_store_deinit(&manager->events);
        monitor_set_by_holder(manager->monitor, NULL, NULL);
        enforce_deinit(&manager->enforce);
        admission_deinit(&manager->admission);
        new_cgroups_deinit(&manager->new_cgroups);
        for (struct cgroup *cgroup = manager->monitor->tree.by_id; cgroup; cgroup = cgroup->hh.next)
                abandon(manager, cgroup);
        config_deinit(&manager->config);
        *manager = (struct manager){};
}
