/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* top on a terminal: draws its pictures with ncurses, and takes keys. */
#pragma once

#include "top.h"

/* Draws until the user leaves, or --iterations= are over. Returns 0 or a negative errno, logged. */
int screen_run(struct top *top);
