/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics as they are sent, to any number of clients at a time: the text, and the same compressed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <event2/buffer.h>

#include "serve/writer.h"

struct metrics_body {
        size_t references;
        char *text;
        size_t size, room; /* bytes of the text, and that there is memory for */
        void *gzip;        /* NULL: nobody has wanted it yet */
        size_t gzip_size;
};

/* Makes a body of what @writer has, which is empty then. NULL: no memory. */
struct metrics_body *metrics_body_new(struct writer *writer);
struct metrics_body *metrics_body_ref(struct metrics_body *body);
/* Frees it with the last reference; takes NULL. */
void metrics_body_unref(struct metrics_body *body);
/* The same, but the memory of its text goes to @writer, which is empty, for the next one: new memory costs more than to
 * write to it. */
void metrics_body_reuse(struct metrics_body *body, struct writer *writer);

/* Bytes of all bodies that there are: libevent frees the last references of a server after it has gone. */
size_t metrics_bodies_size(void);

/* Whether it is what @writer has. */
bool metrics_body_is(const struct metrics_body *body, const struct writer *writer);

/* Adds it to @buffer without a copy. Returns 0 or -ENOMEM. */
int metrics_body_add(struct metrics_body *body, bool gzip, struct evbuffer *buffer);
