/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON written as text, piece by piece: for lists of thousands of elements, for which creating jansson objects first
 * takes ten times as long.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct writer {
        char *text; /* without a NUL */
        size_t size, room;
        int error;  /* -ENOMEM: something is missing */
        bool first; /* nothing is yet in the innermost object or array */
};

/* Frees what was written. */
void writer_deinit(struct writer *writer);
/* Forgets what was written, and keeps the memory for more. */
void writer_reset(struct writer *writer);

/* Each function appends to the text; errors are in writer->error. */
/* Makes room for @size bytes more and returns where they go; they are part of the text when writer->size has them.
 * NULL: no memory, which writer->error says, too. */
char *writer_room(struct writer *writer, size_t size);
void writer_bytes(struct writer *writer, const char *text, size_t size);
void writer_raw(struct writer *writer, const char *text);
void writer_integer(struct writer *writer, int64_t value);
void writer_boolean(struct writer *writer, bool value);
/* A string; NULL: null. One that is not UTF-8 (names of cgroups are any bytes) has "?" for what is not ASCII. */
void writer_string(struct writer *writer, const char *text);
/* Any value, taken over; NULL: no memory. */
void writer_json(struct writer *writer, json_t *json);
/* Begins and ends an object ("{" and "}") or an array. */
void writer_open(struct writer *writer, char bracket);
void writer_close(struct writer *writer, char bracket);
/* Must be called before the value of a member, and before each element. @key must not require escaping. */
void writer_key(struct writer *writer, const char *key);
void writer_element(struct writer *writer);
/* A member and its value; null for an optional one that is missing. */
void writer_member_integer(struct writer *writer, const char *key, uint64_t value);
void writer_member_string(struct writer *writer, const char *key, const char *text);
void writer_member_boolean(struct writer *writer, const char *key, bool value);
void writer_member_optional(struct writer *writer, const char *key, bool has, uint64_t value);
/* Begins an object or an array that is a member. */
void writer_open_member(struct writer *writer, const char *key, char bracket);
