/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/orphanwatch.h"

#include <sys/param.h>

#include "account/orphans.h"
#include "base/clock.h"

bool orphan_watch_is_over(uint64_t bytes, uint64_t high, bool were)
{
        return were ? bytes > high / 100 * BUDGET_CLEAR_PERCENT : bytes > high;
}

static void look(struct orphan_watch *watch, struct monitor *monitor, uint64_t high, bool dry_run, budget_sink_t sink,
                void *context)
{
        struct orphans orphans;
        int r = orphans_find(&orphans, monitor);
        bool over = r == 0 && orphan_watch_is_over(orphans.bytes, high, watch->over);

        if (r == 0 && over != watch->over) {
                struct budget_event event = {
                        .kind = EVENT_ORPHANS,
                        .cgroup = monitor->tree.root,
                        .payer = monitor->tree.root,
                        .usage = orphans.bytes,
                        .dry_run = dry_run,
                        .publish = true,
                        .alert = over,
                        .quiet = !over,
                        .from = over ? LEVEL_OK : LEVEL_HIGH,
                        .to = over ? LEVEL_HIGH : LEVEL_OK,
                        .limit = LIMIT_ORPHANS,
                        .used = orphans.certain_count,
                        .max = high,
                };

                watch->over = over;
                sink(context, &event);
        }
        orphans_deinit(&orphans);
}

void orphan_watch_flush(struct orphan_watch *watch, struct monitor *monitor, const struct settings *settings,
                uint64_t now, bool dry_run, budget_sink_t sink, void *context)
{
        if (settings->orphans_high == BUDGET_INFINITY || now < watch->due_usec)
                return;
        look(watch, monitor, settings->orphans_high, dry_run, sink, context);
        watch->due_usec = now_usec() + MAX(ORPHAN_WATCH_SHARE * (now_usec() - now), ORPHAN_WATCH_INTERVAL_USEC);
}

uint64_t orphan_watch_due_usec(const struct orphan_watch *watch, const struct settings *settings)
{
        return settings->orphans_high == BUDGET_INFINITY ? UINT64_MAX : watch->due_usec;
}
