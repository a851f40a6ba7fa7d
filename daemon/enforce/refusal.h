/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the gate refused, as an event. */
#pragma once

#include <stdbool.h>

#include "enforce/gate.h"
#include "policy/event.h"

/* Whether @refused is a record that this version knows, whatever wrote it. */
bool is_refusal(const struct gate_event *refused);

/*
 * What the gate's record @refused about @cgroup, which has a budget, says as an event. @comm: room for the name of the
 * process, which the event has.
 */
struct budget_event refusal_event(
                const struct cgroup *cgroup, const struct gate_event *refused, char comm[OBJECT_NAME_SIZE + 1]);
