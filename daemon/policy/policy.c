/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/policy.h"

#include <stdlib.h>

const char *budget_level_name(enum budget_level level)
{
        static const char *const names[] = {
                [LEVEL_OK] = "ok",
                [LEVEL_HIGH] = "high",
                [LEVEL_MAX] = "max",
        };

        return names[level];
}

const char *budget_limit_name(enum budget_limit limit)
{
        static const char *const names[] = {
                [LIMIT_NONE] = "none",
                [LIMIT_HIGH] = "High",
                [LIMIT_MAX] = "Max",
                [LIMIT_FOOTPRINT_RATIO] = "FootprintRatioHigh",
                [LIMIT_MAPS] = "MapsMax",
                [LIMIT_PROGRAMS] = "ProgramsMax",
                [LIMIT_UNBOUNDED] = "Unbounded",
                [LIMIT_MAP_FILL] = "MapFillHigh",
                [LIMIT_ORPHANS] = "OrphansHigh",
        };

        return names[limit];
}

void policy_deinit(struct policy *policy)
{
        for (size_t i = 0; i < OWNER_LIMITS; i++)
                free(policy->ignored[i]);
}

static uint64_t min_bytes(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

void policy_set(struct policy *policy, const struct budget *budget, uint64_t own_high, uint64_t own_max)
{
        policy->budget = budget;
        policy->max = min_bytes(budget->max, own_max);
        policy->high = min_bytes(min_bytes(budget->high, own_high), policy->max);
        /* High at Max adds nothing: it stays unset if nobody set it. */
        if (budget->high == BUDGET_INFINITY && own_high == BUDGET_INFINITY)
                policy->high = BUDGET_INFINITY;
}

uint64_t policy_usage(const struct policy *policy, const struct usage *usage)
{
        switch (policy->budget->count) {
        case COUNT_CHARGED:
                return usage->charged;
        case COUNT_COMMITTED:
                return usage->committed;
        default:
                return usage->allocated;
        }
}

/* @percent of @limit without overflow. */
static uint64_t percent_of(uint64_t limit, uint32_t percent)
{
        return limit / 100 * percent + limit % 100 * percent / 100;
}

/* The level that each limit stands for. */
static const enum budget_level limit_levels[LIMITS] = {
        [LIMIT_NONE] = LEVEL_OK,
        [LIMIT_MAX] = LEVEL_MAX,
        [LIMIT_MAPS] = LEVEL_MAX,
        [LIMIT_PROGRAMS] = LEVEL_MAX,
        [LIMIT_HIGH] = LEVEL_HIGH,
        [LIMIT_FOOTPRINT_RATIO] = LEVEL_HIGH,
};

/* Whether @value is over @bound, or has been and has not fallen to @clear percent of it. */
static void evaluate_limit(
                struct policy *policy, enum budget_limit limit, uint64_t value, uint64_t bound, uint32_t clear)
{
        uint32_t bit = 1u << limit;
        bool was = policy->over & bit;

        if (bound != BUDGET_INFINITY && value > (was ? percent_of(bound, clear) : bound))
                policy->over |= bit;
        else
                policy->over &= ~bit;
}

static void evaluate_limits(struct policy *policy, const struct usage *usage)
{
        const struct budget *budget = policy->budget;
        uint64_t bytes = policy_usage(policy, usage);
        uint64_t rss = usage_rss(usage), ratio = BUDGET_INFINITY;

        /* What is left when the last process has ended is over any ratio. */
        if (budget->footprint_ratio_high && (rss > 0 || !policy->rss_unknown))
                ratio = percent_of(rss, budget->footprint_ratio_high);

        evaluate_limit(policy, LIMIT_MAX, bytes, policy->max, budget->clear_percent);
        evaluate_limit(policy, LIMIT_MAPS, usage->map_count, budget->maps_max, 100);
        evaluate_limit(policy, LIMIT_PROGRAMS, usage->program_count, budget->programs_max, 100);
        evaluate_limit(policy, LIMIT_HIGH, bytes, policy->high, budget->clear_percent);
        evaluate_limit(policy, LIMIT_FOOTPRINT_RATIO, bytes, ratio, budget->clear_percent);
}

/* The first passed limit of the highest level: they are in that order. */
static enum budget_limit passed_limit(const struct policy *policy)
{
        for (enum budget_limit limit = LIMIT_NONE + 1; limit < LIMITS; limit++)
                if (policy->over & 1u << limit)
                        return limit;
        return LIMIT_NONE;
}

void policy_resume(struct policy *policy, enum budget_level level, const struct budget_events *events)
{
        policy->level = level;
        policy->events = *events;
        /* Which limit it was is not kept; those in bytes are the ones with hysteresis. */
        if (level >= LEVEL_HIGH)
                policy->over |= 1u << LIMIT_HIGH;
        if (level == LEVEL_MAX)
                policy->over |= 1u << LIMIT_MAX;
        policy->limit = level == LEVEL_MAX ? LIMIT_MAX : level == LEVEL_HIGH ? LIMIT_HIGH : LIMIT_NONE;
}

bool policy_update(struct policy *policy, const struct usage *usage, struct policy_change *change)
{
        enum budget_limit before = policy->limit;
        enum budget_level level;

        evaluate_limits(policy, usage);
        policy->limit = passed_limit(policy);
        level = limit_levels[policy->limit];
        if (level == policy->level)
                return false;
        *change = (struct policy_change){
                .from = policy->level,
                .to = level,
                .limit = level == LEVEL_OK ? before : policy->limit,
        };
        /* Who jumps over both has passed both. */
        if (policy->level == LEVEL_OK && (level == LEVEL_HIGH || policy->over & 1u << LIMIT_HIGH))
                policy->events.high++;
        if (level == LEVEL_MAX)
                policy->events.max++;
        policy->level = level;
        return true;
}

bool policy_may_alert(struct policy *policy, enum budget_level level, uint64_t now_usec, uint64_t interval_usec,
                uint32_t burst, uint32_t *suppressed)
{
        if (policy->sent == 0 || now_usec - policy->window_start_usec >= interval_usec) {
                policy->window_start_usec = now_usec;
                policy->sent = 0;
                policy->reported = LEVEL_OK;
        }
        if (policy->sent >= burst && level <= policy->reported) {
                policy->suppressed++;
                return false;
        }
        if (level > policy->reported)
                policy->reported = level;
        policy->sent++;
        *suppressed = policy->suppressed;
        policy->suppressed = 0;
        return true;
}
