/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses values of files into the fields of struct budget and struct settings, by the types of keys. */
#pragma once

#include "policy/source.h"

/*
 * Sets the field of @key in @source's target to @value; an empty one resets it. Wrong values are reported. Returns 0 or
 * -ENOMEM.
 */
int set_key(struct source *source, const struct key *key, const char *value);
