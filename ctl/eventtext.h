/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An event of the daemon in words. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/* Also enough for the title of top, whose path is at most 4096 bytes. */
#define EVENT_TEXT_MAX 4608

/* One line without a newline; sizes in bytes if @exact. Returns @buffer. */
char *event_text(const json_t *event, bool exact, char buffer[EVENT_TEXT_MAX]);

/* The escape sequence for the color of @event; "" if the event is a return to normal. */
const char *event_color(const json_t *event);
