/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/enforce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/messages.h"
#include "policy/policy.h"

/* After a thaw that failed: what may be a matter of a moment, and what fails for long is not worth more. */
#define RETRY_USEC (200ULL * 1000)

/* --- Who is over High --------------------------------------------------------------------------------------------- */

/* How far @cgroup is over the High of its budget, if that is to throttle. */
static uint64_t overage_of(const struct cgroup *cgroup)
{
        const struct policy *policy = cgroup->policy;

        if (!policy || policy->budget->on_high != ACTION_THROTTLE || policy->high == BUDGET_INFINITY)
                return 0;
        return throttle_overage(policy_usage(policy, &cgroup->total), policy->high);
}

/* As mem_find_max_overage(), mm/memcontrol.c: of @cgroup and those above it the one that is furthest over. NULL: none.
 */
static struct cgroup *find_payer(struct cgroup *cgroup, uint64_t *overage)
{
        struct cgroup *payer = NULL;

        *overage = 0;
        for (; cgroup; cgroup = cgroup->parent) {
                uint64_t o = overage_of(cgroup);

                if (o > *overage) {
                        *overage = o;
                        payer = cgroup;
                }
        }
        return payer;
}

/* --- What is remembered ------------------------------------------------------------------------------------------- */

static struct throttled *find_throttled(const struct enforce *enforce, uint64_t id)
{
        struct throttled *throttled;

        HASH_FIND(hh, enforce->throttled, &id, sizeof(id), throttled);
        return throttled;
}

static struct throttled *get_throttled(struct enforce *enforce, uint64_t id)
{
        struct throttled *throttled;

        HASH_GET(enforce->throttled, id, id, throttled);
        return throttled;
}

void enforce_forget(struct enforce *enforce, uint64_t id)
{
        struct throttled *throttled = find_throttled(enforce, id);

        if (!throttled)
                return;
        HASH_DEL(enforce->throttled, throttled);
        free(throttled);
}

/* --- Pausing ------------------------------------------------------------------------------------------------------ */

static bool is_protected(const struct enforce *enforce, const struct cgroup *cgroup)
{
        return protection_covers(&enforce->protection, cgroup, &enforce->settings->never_throttle);
}

/* What is below it is frozen with it. */
static bool is_above_protected(struct enforce *enforce, const struct cgroup *cgroup, uint64_t now)
{
        protection_refresh(&enforce->protection, &enforce->settings->never_throttle, now);
        return protection_is_above(&enforce->protection, cgroup);
}

/* Said once, until it fails otherwise or works. */
static void log_failure(struct throttled *throttled, const struct cgroup *cgroup, int error)
{
        if (throttled->error == error)
                return;
        throttled->error = error;
        if (error == -EPERM)
                log_info("%s is not paused: a cgroup below it must not be", cgroup->path);
        else
                log_warning("%s cannot be paused: %s", cgroup->path, strerror(-error));
}

/* Returns whether @cgroup is frozen now, for @usec. */
static bool freeze(struct enforce *enforce, struct throttled *throttled, const struct cgroup *cgroup,
                const struct cgroup *payer, uint64_t now, uint64_t usec)
{
        _cleanup_free_ char *path = NULL, *directory = NULL;
        struct frozen *frozen;
        int r;

        if (cgroup_full_path(cgroup, &path) < 0) {
                path = NULL;
                return false;
        }
        if (asprintf(&directory, "%s%s", enforce->mount, path) < 0) {
                directory = NULL;
                return false;
        }
        r = is_above_protected(enforce, cgroup, now)
                            ? -EPERM
                            : freezer_freeze(&enforce->freezer, cgroup->id, directory, now, usec, &frozen);
        if (r < 0)
                log_failure(throttled, cgroup, r);
        else
                throttled->error = 0;
        if (r != 0)
                return false;
        frozen->payer = payer->id;
        return true;
}

bool enforce_grown(struct enforce *enforce, struct cgroup *cgroup, uint64_t grown, uint64_t now, struct pause *pause)
{
        struct throttled *throttled;
        struct cgroup *payer;
        uint64_t overage, usec;
        bool paused;

        if (enforce->obstacle || !cgroup->exists)
                return false;
        payer = find_payer(cgroup, &overage);
        if (!payer || is_protected(enforce, cgroup))
                return false;
        throttled = get_throttled(enforce, cgroup->id);
        if (!throttled)
                return false;
        paused = freezer_find(&enforce->freezer, cgroup->id);
        usec = throttle_grow(&throttled->throttle, overage, grown, now, enforce->settings->throttle_max_usec, paused);
        if (usec == 0)
                return false;
        if (enforce->dry_run)
                throttle_ended(&throttled->throttle, now, usec);
        else if (!freeze(enforce, throttled, cgroup, payer, now, usec))
                return false;
        else
                payer->policy->events.throttled++;
        *pause = (struct pause){ .cgroup = cgroup, .payer = payer, .grown = grown, .usec = usec };
        pause->tell = throttle_may_alert(
                        &throttled->throttle, now, enforce->settings->alert_interval_usec, &pause->suppressed);
        return true;
}

/* --- Thawing ------------------------------------------------------------------------------------------------------ */

/* Whether @frozen would still be paused for its growth. */
static bool is_wanted(const struct enforce *enforce, const struct frozen *frozen)
{
        struct cgroup *cgroup = tree_find(enforce->tree, frozen->id);
        uint64_t overage;

        return cgroup && cgroup->exists && find_payer(cgroup, &overage) && !is_protected(enforce, cgroup) &&
               !protection_is_above(&enforce->protection, cgroup) &&
               frozen->until_usec - frozen->since_usec <= enforce->settings->throttle_max_usec;
}

void enforce_review(struct enforce *enforce, uint64_t now)
{
        struct frozen *frozen, *next;

        for (frozen = enforce->freezer.first; frozen; frozen = next) {
                next = frozen->next;
                if (frozen->until_usec > now && !is_wanted(enforce, frozen))
                        freezer_set_until(&enforce->freezer, frozen, now);
        }
}

/* Takes @frozen, which is thawed at @now, out of its pause. Returns 0, or a negative errno: it stays frozen for now. */
static int end_pause(struct enforce *enforce, struct frozen *frozen, uint64_t now)
{
        int r = freezer_thaw(&enforce->freezer, frozen);

        if (r == 0)
                return 0;
        if (frozen->error != r)
                log_identified(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "%s cannot be thawed (%s): it is tried again",
                                frozen->directory, strerror(-r));
        frozen->error = r;
        freezer_set_until(&enforce->freezer, frozen, now + RETRY_USEC);
        return r;
}

bool enforce_thaw(struct enforce *enforce, uint64_t now, bool all, struct thawed *thawed)
{
        struct frozen *frozen, *next;

        freezer_take_writes(&enforce->freezer);
        for (frozen = enforce->freezer.first; frozen && (all || frozen->until_usec <= now); frozen = next) {
                struct throttled *throttled = find_throttled(enforce, frozen->id);

                next = frozen->next;
                *thawed = (struct thawed){ tree_find(enforce->tree, frozen->payer), now - frozen->since_usec };
                if (end_pause(enforce, frozen, now) < 0)
                        continue;
                if (throttled)
                        throttle_ended(&throttled->throttle, now, thawed->usec);
                if (thawed->payer && thawed->payer->policy)
                        thawed->payer->policy->events.throttled_usec += thawed->usec;
                else
                        thawed->payer = NULL;
                return true;
        }
        return false;
}

uint64_t enforce_next_usec(const struct enforce *enforce)
{
        return enforce->freezer.first ? enforce->freezer.first->until_usec : UINT64_MAX;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

void enforce_reload(struct enforce *enforce)
{
        protection_reload(&enforce->protection);
}

const char *enforce_obstacle(const struct enforce *enforce)
{
        return enforce->obstacle;
}

int enforce_init(struct enforce *enforce, const struct settings *settings, const struct tree *tree,
                const struct cgroupfs *cgroupfs, const struct capability *capability, const char *file, bool dry_run)
{
        int r;

        *enforce = (struct enforce){
                .settings = settings,
                .tree = tree,
                .mount = cgroupfs->mount,
                .dry_run = dry_run,
                .freezer.file = file,
        };
        if (!capability->available) {
                enforce->obstacle = capability->reason;
                return 0;
        }
        if (!file && !dry_run) {
                enforce->obstacle = "with --config nothing is kept that a successor could thaw by";
                return 0;
        }
        if (!dry_run)
                freezer_watch(&enforce->freezer);
        r = protection_init(&enforce->protection, cgroupfs);
        if (r < 0 && r != -ENOMEM) {
                enforce->obstacle = "the daemon's own cgroup is not known";
                return 0;
        }
        return r;
}

void enforce_deinit(struct enforce *enforce)
{
        struct throttled *throttled, *next;

        HASH_ITER (hh, enforce->throttled, throttled, next) {
                HASH_DEL(enforce->throttled, throttled);
                free(throttled);
        }
        freezer_deinit(&enforce->freezer);
        protection_deinit(&enforce->protection);
        *enforce = (struct enforce){};
}
