/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The number of messages that a process lost at its exit because the journal did not accept them. The next process
 * logs it.
 */
#pragma once

#include <stdint.h>

#define LOST_FILE "/run/bpfbudget/lost-messages"

/* How many those before this process have lost. They are this process's from now on: @file is removed. 0: none. */
uint64_t lost_take(const char *file);

/* Leaves @count to the next process. Without a directory for @file nobody is told. */
void lost_leave(const char *file, uint64_t count);
