/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether and how long a cgroup that grows over High= is paused. Pure decisions: nothing is read, frozen or timed here.
 * The delay follows the curve of memory.high, in microseconds instead of ticks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A cgroup is paused at most half of any ten seconds: it gets slow, not stuck, and can be diagnosed and stopped. */
#define THROTTLE_WINDOW_USEC (10ULL * 1000 * 1000)
#define THROTTLE_DUTY_USEC   (THROTTLE_WINDOW_USEC / 2)

/* Pauses are remembered in slots of this length; a slot that is only partly in the window counts completely. */
#define THROTTLE_SLOT_USEC (500ULL * 1000)
#define THROTTLE_SLOTS     (THROTTLE_WINDOW_USEC / THROTTLE_SLOT_USEC + 1)

/*
 * A shorter delay does not cause a pause: HZ / 100 in mem_cgroup_handle_over_high(), mm/memcontrol.c. It is added to
 * that of the next growth.
 */
#define THROTTLE_MIN_USEC (10ULL * 1000)

/*
 * The growth in bytes to which the curve refers: MEMCG_CHARGE_BATCH pages of 4 KiB (include/linux/memcontrol.h, 6.1).
 */
#define THROTTLE_BATCH (64 * 4096ULL)

/* 100 % over High in the unit of throttle_overage(): MEMCG_DELAY_PRECISION_SHIFT, mm/memcontrol.c. */
#define THROTTLE_OVERAGE_ONE (1ULL << 20)

/* The pauses of one cgroup. Zeroed: none yet. */
struct throttle {
        uint64_t slot;                        /* the latest one in paused_usec */
        uint32_t paused_usec[THROTTLE_SLOTS]; /* by slot, as a ring */
        uint64_t owed_usec;                   /* delay of growth that has not caused a pause yet */

        /* Rate limit of the alerts. */
        bool reported;
        uint64_t reported_usec;
        uint32_t suppressed;
};

/* How far @usage is over @high (bytes) in parts of THROTTLE_OVERAGE_ONE; 0 if it is not. As calculate_overage(). */
uint64_t throttle_overage(uint64_t usage, uint64_t high);

/*
 * The pause in microseconds for a growth by @grown bytes at @overage: 64 s × overage² for each THROTTLE_BATCH, as
 * calculate_high_delay() has it. It saturates.
 */
uint64_t throttle_delay(uint64_t overage, uint64_t grown);

/*
 * A growth by @grown bytes at @overage, at @now (CLOCK_MONOTONIC in microseconds): returns for how long the cgroup is
 * to be paused from now on, at most @max; 0: not at all. If it is still @paused for an earlier growth, the delay is
 * added to that of the next one.
 */
uint64_t throttle_grow(
                struct throttle *throttle, uint64_t overage, uint64_t grown, uint64_t now, uint64_t max, bool paused);

/* Notes that a pause of @usec ended at @now. */
void throttle_ended(struct throttle *throttle, uint64_t now, uint64_t usec);

/*
 * Whether a pause at @now may be reported: at most one in @interval. If so, *suppressed is the number of pauses that
 * were not reported since the last one.
 */
bool throttle_may_alert(struct throttle *throttle, uint64_t now, uint64_t interval, uint32_t *suppressed);
