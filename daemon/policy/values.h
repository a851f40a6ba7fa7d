/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values as they are written in files and on the command line: sizes, times, whole numbers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The longest line of a file, in bytes, without the newline and the blanks around it. Comments may be longer. */
#define LINE_LENGTH_MAX (64 * 1024)

/* Values that are not set, and "infinity". */
#define BUDGET_INFINITY UINT64_MAX

/* What parsing a value requires to know about the machine. */
struct config_machine {
        uint64_t ram; /* bytes, for values in percent; 0: not known, such values are errors */
};

/*
 * Parses "64M", "1.5Gi", "2GiB", "25%" (of @ram bytes), "infinity" into bytes; K, M, G, T, P, E, with "i" or "iB" or
 * without, are powers of 1024. Returns 0, -EINVAL (not a size), -ERANGE (more than 100% or than INT64_MAX, the most
 * that a page counter of the kernel holds), -EDOM (negative), or -ENODATA (a percentage, and @ram is 0).
 */
int parse_bytes(const char *text, uint64_t ram, uint64_t *bytes);

/* Whether @text is a size in "MB" or the like, which can mean a power of 1000 or of 1024. */
bool is_decimal_size(const char *text);

/*
 * Parses a whole number of @minimum to @maximum. Returns 0, -EINVAL (not one, or below @minimum), -ERANGE (above
 * @maximum) or -EDOM (negative).
 */
int parse_whole(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number);

/*
 * Parses a time as systemd.time(7) has it ("500ms", "1min 30s", "1d"; seconds without a unit) of at most @maximum
 * microseconds, which is 0 or at least @minimum: a value between 0 and @minimum is probably a wrong unit. Returns as
 * parse_whole().
 */
int parse_usec(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *usec);
