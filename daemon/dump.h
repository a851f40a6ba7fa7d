/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report that SIGUSR1 requests. A thread writes it to stdout, because the reader may be slow or may not read at
 * all.
 */
#pragma once

#include <stddef.h>

/*
 * Writes the JSON @text of @size bytes, and takes it over. Returns 0; -EBUSY: the previous report is not written yet;
 * -ENOMEM.
 */
int dump_write(char *text, size_t size);

/* Waits at most DUMP_STOP_USEC for the report that is being written. */
void dump_stop(void);
#define DUMP_STOP_USEC (100ULL * 1000)
