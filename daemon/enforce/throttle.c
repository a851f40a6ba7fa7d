/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/throttle.h"

#include <string.h>

/* MEMCG_DELAY_PRECISION_SHIFT + MEMCG_DELAY_SCALING_SHIFT, mm/memcontrol.c: overage² comes down to time by it. */
#define DELAY_SHIFT 34

/* The kernel's threshold of one page, which stands for High=0. */
#define HIGH_MIN 4096

/* 1024 times High: no growth of a page is below the longest pause then, and nothing overflows. */
#define OVERAGE_MAX (THROTTLE_OVERAGE_ONE << 10)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

uint64_t throttle_overage(uint64_t usage, uint64_t high)
{
        unsigned __int128 overage;

        if (usage <= high)
                return 0;
        overage = (unsigned __int128) (usage - high) * THROTTLE_OVERAGE_ONE / (high < HIGH_MIN ? HIGH_MIN : high);
        return overage < OVERAGE_MAX ? (uint64_t) overage : OVERAGE_MAX;
}

uint64_t throttle_delay(uint64_t overage, uint64_t grown)
{
        unsigned __int128 delay = min_u64(overage, OVERAGE_MAX);

        delay = delay * delay * 1000000 >> DELAY_SHIFT;
        delay = delay * grown / THROTTLE_BATCH;
        return delay < UINT64_MAX ? (uint64_t) delay : UINT64_MAX;
}

/* Empties the slots that came since the latest one. */
static void advance(struct throttle *throttle, uint64_t now)
{
        uint64_t slot = now / THROTTLE_SLOT_USEC;

        if (slot - throttle->slot >= THROTTLE_SLOTS)
                memset(throttle->paused_usec, 0, sizeof(throttle->paused_usec));
        else
                for (uint64_t i = throttle->slot + 1; i <= slot; i++)
                        throttle->paused_usec[i % THROTTLE_SLOTS] = 0;
        throttle->slot = slot;
}

/* What is left of the duty at @now. */
static uint64_t duty_left(struct throttle *throttle, uint64_t now)
{
        uint64_t sum = 0;

        advance(throttle, now);
        for (size_t i = 0; i < THROTTLE_SLOTS; i++)
                sum += throttle->paused_usec[i];
        return sum < THROTTLE_DUTY_USEC ? THROTTLE_DUTY_USEC - sum : 0;
}

uint64_t throttle_grow(
                struct throttle *throttle, uint64_t overage, uint64_t grown, uint64_t now, uint64_t max, bool paused)
{
        uint64_t price = min_u64(throttle_delay(overage, grown), max);

        price = min_u64(price + throttle->owed_usec, max);
        if (paused || price < THROTTLE_MIN_USEC) {
                throttle->owed_usec = price;
                return 0;
        }
        /* What the duty cuts off is let go: a pause later, without growth, would be nobody's fault. */
        throttle->owed_usec = 0;
        price = min_u64(price, duty_left(throttle, now));
        return price < THROTTLE_MIN_USEC ? 0 : price;
}

void throttle_ended(struct throttle *throttle, uint64_t now, uint64_t usec)
{
        advance(throttle, now);
        /* From its end back to its begin, or to where the window begins. */
        for (size_t i = 0; i < THROTTLE_SLOTS && usec > 0; i++) {
                uint64_t part = min_u64(usec, i == 0 ? now % THROTTLE_SLOT_USEC : THROTTLE_SLOT_USEC);

                throttle->paused_usec[(throttle->slot - i) % THROTTLE_SLOTS] += (uint32_t) part;
                usec -= part;
        }
}

bool throttle_may_alert(struct throttle *throttle, uint64_t now, uint64_t interval, uint32_t *suppressed)
{
        if (throttle->reported && now - throttle->reported_usec < interval) {
                throttle->suppressed++;
                return false;
        }
        throttle->reported = true;
        throttle->reported_usec = now;
        *suppressed = throttle->suppressed;
        throttle->suppressed = 0;
        return true;
}
