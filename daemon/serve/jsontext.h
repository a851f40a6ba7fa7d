/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings of the kernel's as JSON: names of cgroups are any bytes. */
#pragma once

#include <jansson.h>

/* @text, in which "?" is in place of what is not ASCII if it is not UTF-8; null for NULL. NULL: no memory. */
json_t *text_to_json(const char *text);
