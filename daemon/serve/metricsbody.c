/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/metricsbody.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

/* The text is repetitive, so a higher level makes it hardly smaller. */
#define GZIP_LEVEL 1

/* The largest window, and 16 for the header of gzip (zlib.h). */
#define GZIP_WINDOW_BITS (MAX_WBITS + 16)

static size_t bodies_size;

size_t metrics_bodies_size(void)
{
        return bodies_size;
}

struct metrics_body *metrics_body_new(struct writer *writer)
{
        struct metrics_body *body = calloc(1, sizeof(*body));

        if (!body)
                return NULL;
        *body = (struct metrics_body){
                .references = 1, .text = writer->text, .size = writer->size, .room = writer->room
        };
        bodies_size += body->size;
        *writer = (struct writer){};
        return body;
}

struct metrics_body *metrics_body_ref(struct metrics_body *body)
{
        body->references++;
        return body;
}

void metrics_body_unref(struct metrics_body *body)
{
        if (!body || --body->references > 0)
                return;
        bodies_size -= body->size + body->gzip_size;
        free(body->text);
        free(body->gzip);
        free(body);
}

void metrics_body_reuse(struct metrics_body *body, struct writer *writer)
{
        if (body && body->references == 1) {
                *writer = (struct writer){ .text = body->text, .room = body->room };
                body->text = NULL;
        }
        metrics_body_unref(body);
}

bool metrics_body_is(const struct metrics_body *body, const struct writer *writer)
{
        return body->size == writer->size && memcmp(body->text, writer->text, body->size) == 0;
}

/* Returns 0 or -ENOMEM. */
static int compress_text(struct metrics_body *body)
{
        z_stream stream = { .next_in = (Bytef *) body->text, .avail_in = body->size };
        size_t bound;
        void *shorter;
        int r;

        if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        bound = deflateBound(&stream, body->size);
        body->gzip = malloc(bound);
        stream.next_out = body->gzip;
        stream.avail_out = bound;
        r = body->gzip ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
        body->gzip_size = stream.total_out;
        deflateEnd(&stream);
        if (r != Z_STREAM_END) {
                free(body->gzip);
                body->gzip = NULL;
                body->gzip_size = 0;
                return -ENOMEM;
        }
        shorter = realloc(body->gzip, body->gzip_size);
        body->gzip = shorter ?: body->gzip;
        bodies_size += body->gzip_size;
        return 0;
}

static void on_sent(const void *data, size_t size, void *body)
{
        (void) data;
        (void) size;
        metrics_body_unref(body);
}

int metrics_body_add(struct metrics_body *body, bool gzip, struct evbuffer *buffer)
{
        int r = gzip && !body->gzip ? compress_text(body) : 0;

        if (r < 0)
                return r;
        if (evbuffer_add_reference(buffer, gzip ? body->gzip : body->text, gzip ? body->gzip_size : body->size, on_sent,
                            metrics_body_ref(body)) == 0)
                return 0;
        metrics_body_unref(body);
        return -ENOMEM;
}
