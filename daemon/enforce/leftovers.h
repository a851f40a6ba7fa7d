/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What removed cgroups have left behind, which only the gate's tables know: when the gate is made anew, with larger
 * tables or other levels, it goes on counting against the next cgroups of the same paths.
 */
#pragma once

#include <stdint.h>

#include "enforce/gate.h"

/* Makes the domains of removed cgroups that @old has in @new too, with nothing booked in them. Returns 0 or a negative
 * errno. */
int leftovers_carry(const struct gate *old, struct gate *new);

/* The domain of a removed cgroup in which @old has booked the object with the entry @key; 0: in none. */
uint64_t leftovers_domain(const struct gate *old, uint64_t key);
