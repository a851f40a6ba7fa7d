/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A value in the daemon's JSON by its dotted path, "bpf.allocated". A value that is missing or null is NULL, 0 or "".
 * Numbers may be sums: "rss.anon+rss.file".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Returns a borrowed reference; NULL if any part of @path is missing or null. Of a sum, it is the first number. */
json_t *field_get(const json_t *json, const char *path);

uint64_t field_integer(const json_t *json, const char *path);
const char *field_string(const json_t *json, const char *path);
bool field_true(const json_t *json, const char *path);

/*
 * Compares as strcmp() does. Missing values come before numbers, numbers before texts; numbers are compared by value,
 * texts byte by byte, arrays by length.
 */
int field_compare(const json_t *a, const json_t *b, const char *path);

/*
 * Orders the array @rows by @path, stable; descending if @reverse. Returns 0 or -ENOMEM.
 */
int field_sort(json_t *rows, const char *path, bool reverse);
