/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* KEY=VALUE on the command line, with the keys and values of [Budget] in configuration files. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/* Bytes; the names of all keys have room. */
#define ASSIGNMENT_REASON_MAX 512

/*
 * Parses "High=64M" into @parameters of SetBudget; keys in any case, sizes in percent are of @ram bytes, an empty value
 * and "infinity" are no limit. Returns 0; -EINVAL: it is wrong, and @reason says why; -ENOMEM.
 */
int assignment_parse(const char *text, uint64_t ram, json_t *parameters, char reason[ASSIGNMENT_REASON_MAX]);
