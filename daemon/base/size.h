/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes for people. */
#pragma once

#include <stdint.h>

/* Enough for any size that format_size() writes. */
#define FORMAT_SIZE_MAX 16

/* @bytes for people, as systemd prints it: "0B", "1023B", "1.5K", "12.3M". Returns @buffer. */
char *format_size(char buffer[FORMAT_SIZE_MAX], uint64_t bytes);
