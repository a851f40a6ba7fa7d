/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parts of JSON text, found without parsing values, because jansson takes ten times as long for a list of 10,000
 * objects (4 MB). Only the ends of brackets and strings are examined; text that is not JSON is rejected, or passed on
 * unchanged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of a text; not NUL-terminated. */
struct slice {
        const char *start;
        size_t length;
};

/* The value of @key in the object @json. Returns false if there is none, or @json is no object. */
bool slice_member(struct slice json, const char *key, struct slice *value);

/*
 * Sets *elements to the text between the brackets of the array @json, without space around it. Returns false if @json
 * is not an array.
 */
bool slice_elements(struct slice json, struct slice *elements);

/* Removes the first of @elements, and the comma after it. Returns false if there is none. */
bool slice_take(struct slice *elements, struct slice *element);

/* Returns whether the text of @json equals @text. */
bool slice_is(struct slice json, const char *text);

/* The number at @path, as in field.h, but @path cannot be a sum; 0 if there is no number, or it is negative. */
uint64_t slice_number(struct slice json, const char *path);
