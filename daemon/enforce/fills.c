/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/fills.h"

#include <stddef.h>

#include "account/fill.h"

bool fills_wanted(const struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                if (config->budgets[i].map_fill_high)
                        return true;
        return false;
}

/* The nearest of @cgroup and those above it whose budget has MapFillHigh=; NULL: none. */
static const struct cgroup *find_payer(const struct cgroup *cgroup)
{
        while (cgroup && !(cgroup->policy && cgroup->policy->budget->map_fill_high))
                cgroup = cgroup->parent;
        return cgroup;
}

/*
 * Whether an alert about a map of @policy may be sent now. The rate is that of the alerts of a level, but apart: who
 * fills many maps must not silence what is said of the cgroup itself.
 */
static bool may_alert(struct policy *policy, const struct settings *settings, uint64_t now, uint32_t *suppressed)
{
        if (policy->fills == 0 || now - policy->fills_start_usec >= settings->alert_interval_usec) {
                policy->fills_start_usec = now;
                policy->fills = 0;
        }
        if (policy->fills >= settings->alert_burst) {
                policy->fills_suppressed++;
                return false;
        }
        policy->fills++;
        *suppressed = policy->fills_suppressed;
        policy->fills_suppressed = 0;
        return true;
}

/* Whether @object, a map or not, has changed sides of MapFillHigh=, which *payer has; then it is on the other one. */
static bool update(struct object *object, const struct cgroup **payer)
{
        const struct budget *budget;
        uint32_t percent;
        bool over = false;

        *payer = NULL;
        if (fill_is_a_limit(&object->record) && fill_of(&object->record, &percent))
                *payer = find_payer(object->cgroup);
        if (*payer) {
                budget = (*payer)->policy->budget;
                over = fill_is_over(percent, budget->map_fill_high, budget->clear_percent, object->fill_high);
        }
        if (over == object->fill_high)
                return false;
        object->fill_high = over;
        return *payer;
}

void fills_flush(struct fills *fills, const struct monitor *monitor, const struct config *config, uint64_t now,
                bool dry_run, budget_sink_t sink, void *context)
{
        struct object *object, *next;

        if (!fills_wanted(config) || (fills->looked_usec && now - fills->looked_usec < FILLS_INTERVAL_USEC))
                return;
        fills->looked_usec = now;
        HASH_ITER (hh, monitor->ledger.by_key, object, next) {
                const struct cgroup *payer;
                struct budget_event event;

                if (!update(object, &payer))
                        continue;
                event = (struct budget_event){
                        .kind = EVENT_FILL,
                        .cgroup = object->cgroup,
                        .policy = payer->policy,
                        .payer = payer,
                        .usage = policy_usage(payer->policy, &payer->total),
                        .dry_run = dry_run,
                        .publish = true,
                        .from = object->fill_high ? LEVEL_OK : LEVEL_HIGH,
                        .to = object->fill_high ? LEVEL_HIGH : LEVEL_OK,
                        .limit = LIMIT_MAP_FILL,
                        .object = object->record,
                };
                event.quiet = !object->fill_high;
                event.alert = object->fill_high && may_alert(payer->policy, &config->settings, now, &event.suppressed);
                sink(context, &event);
        }
}
