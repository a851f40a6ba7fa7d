/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The body of a reply with metrics, shared by any number of clients: the text, and its compressed form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <event2/buffer.h>

#include "serve/writer.h"

struct metrics_body {
        size_t references;
        char *text;
        size_t size, room; /* bytes of the text, and allocated bytes */
        void *gzip;        /* NULL: no client has requested it yet */
        size_t gzip_size;
};

/* Makes a body of the text in @writer, which is empty afterwards. NULL: no memory. */
struct metrics_body *metrics_body_new(struct writer *writer);
struct metrics_body *metrics_body_ref(struct metrics_body *body);
/* Frees it with the last reference; takes NULL. */
void metrics_body_unref(struct metrics_body *body);
/*
 * The same, but returns the memory of the text to @writer, which must be empty, because allocating it again takes
 * longer than writing to it.
 */
void metrics_body_reuse(struct metrics_body *body, struct writer *writer);

/* Bytes of all bodies that there are: libevent frees the last references of a server after it has gone. */
size_t metrics_bodies_size(void);

/* Whether @body has the same text as @writer. */
bool metrics_body_is(const struct metrics_body *body, const struct writer *writer);

/* Adds it to @buffer without a copy. Returns 0 or -ENOMEM. */
int metrics_body_add(struct metrics_body *body, bool gzip, struct evbuffer *buffer);
