/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock that all times are read from, unless a comment names another. */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_usec(void);
