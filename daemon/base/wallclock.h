/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time of day, for data that outlives a reboot. A test program has a wallclock.c of its own in which days pass in
 * seconds.
 */
#pragma once

#include <stdint.h>

/* CLOCK_REALTIME in microseconds. It may be set back, or far ahead. */
uint64_t wall_usec(void);

/* How much of CLOCK_MONOTONIC passes in @usec of the time of day, both in microseconds. */
uint64_t wall_wait_usec(uint64_t usec);
