/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sums up the objects of workloads, at most once a minute. */
#pragma once

#include "serve/historystate.h"

/* Reads all objects, and updates the facts and largest maps of all workloads. */
void history_sample(struct history *history);
