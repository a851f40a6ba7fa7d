/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The number of messages that a process lost at its exit because the journal did not accept them. The next process
 * logs it.
 */
#pragma once

#include <stdint.h>

#define LOST_FILE "/run/bpfbudget/lost-messages"

/*
 * Returns the number of messages that previous processes lost (0: none), and removes @file: this process reports them
 * from now on.
 */
uint64_t lost_take(const char *file);

/* Stores @count for the next process. If the directory of @file does not exist, the count is lost. */
void lost_leave(const char *file, uint64_t count);
