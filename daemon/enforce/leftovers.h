/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The objects that removed cgroups have left behind. Only the tables of the gate have them. When the gate is replaced,
 * by one with larger tables for example, they are carried over, so that they still count against the next cgroups of
 * the same paths.
 */
#pragma once

#include <stdint.h>

#include "enforce/gate.h"

/*
 * Creates in @new the domains of removed cgroups that @old has, with nothing booked in them. Returns 0 or a negative
 * errno.
 */
int leftovers_carry(const struct gate *old, struct gate *new);

/* The domain of a removed cgroup in which @old has booked the object with the entry @key; 0: in none. */
uint64_t leftovers_domain(const struct gate *old, uint64_t key);
