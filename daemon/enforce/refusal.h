/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Converts refusals by the gate to events. */
#pragma once

#include <stdbool.h>

#include "enforce/gate.h"
#include "policy/event.h"

/* Whether @refused is a record that this version knows, whichever version wrote it. */
bool is_refusal(const struct gate_event *refused);

/*
 * The event for the gate's record @refused about @cgroup, which has a budget. @comm: buffer for the name of the
 * process, to which the event refers.
 */
struct budget_event refusal_event(
                const struct cgroup *cgroup, const struct gate_event *refused, char comm[OBJECT_NAME_SIZE + 1]);
