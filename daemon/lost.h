/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages that a process had to lose at its end, as nobody read the journal: the next one tells how many. */
#pragma once

#include <stdint.h>

#define LOST_FILE "/run/bpfbudget/lost-messages"

/* How many those before this process have lost. They are this process's from now on: @file is removed. 0: none. */
uint64_t lost_take(const char *file);

/* Leaves @count to the next process. Without a directory for @file nobody is told. */
void lost_leave(const char *file, uint64_t count);
