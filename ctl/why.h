/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why memory for BPF was refused in a cgroup, from the reply of Explain. */
#pragma once

#include <jansson.h>

#include "options.h"

/* Prints the reason as text: a Max of bpfbudgetd, memory.max, or neither. */
void why_print(const struct options *options, const json_t *answer);

/* The conclusion, in a sentence, to be freed; NULL: no memory. */
char *why_conclusion(const json_t *answer);

/* The path of the memory cgroup in @text, which is a /proc/PID/cgroup (it is changed); NULL: there is none. */
const char *why_memory_cgroup(char *text);
