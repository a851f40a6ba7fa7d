/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats sizes for people. */
#pragma once

#include <stdint.h>

/* Enough for any size that is written here. */
#define FORMAT_SIZE_MAX 24

/* How exact a size is: digits behind the point, or all bytes. */
#define SIZE_PRECISION 1
#define SIZE_EXACT     4

/* @bytes for people, as systemd prints it: "0B", "1023B", "1.5K", "12.3M". Returns @buffer. */
char *format_size(char buffer[FORMAT_SIZE_MAX], uint64_t bytes);

/* The same with @precision digits; SIZE_EXACT: "16777217B". */
char *format_size_to(char buffer[FORMAT_SIZE_MAX], uint64_t bytes, unsigned int precision);

/*
 * @used and @wanted (bytes) together exceed @limit. Returns the least precision at which this is still visible in the
 * formatted sizes; SIZE_PRECISION if they do not exceed it.
 */
unsigned int size_precision(uint64_t used, uint64_t wanted, uint64_t limit);
