/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings from the kernel as JSON. Names of cgroups can contain any bytes. */
#pragma once

#include <jansson.h>

/*
 * @text as a JSON string, or null if it is NULL. If it is not UTF-8, "?" replaces each byte that is not ASCII. NULL: no
 * memory.
 */
json_t *text_to_json(const char *text);
