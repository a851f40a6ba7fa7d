/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the objects of workloads add up to, once a minute at most. */
#pragma once

#include "serve/historystate.h"

/* Looks at the objects: facts and largest maps of all workloads. */
void history_sample(struct history *history);
