/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/listing.h"

#include <malloc.h>
#include <stdlib.h>

#include "serve/writer.h"

/* A reply of a stream ends at this length, in bytes. */
#define BATCH_SIZE (64 * 1024)

/* The number of bytes of a list that are generated at a time, however slowly the client reads. */
#define PIECE_SIZE (16 * 1024)

void listing_free(void *state)
{
        struct listing *listing = state;

        relations_deinit(&listing->relations);
        if (listing->free_state)
                listing->free_state(listing->state);
        free(listing->keys);
        free(listing);
}

struct listing *listing_new(
                struct api *api, const char *name, size_t room, void (*write)(struct listing *listing, uint64_t key))
{
        struct listing *listing = calloc(1, sizeof(*listing));

        if (!listing)
                return NULL;
        listing->api = api;
        listing->name = name;
        listing->write = write;
        listing->keys = calloc(room + 1, sizeof(*listing->keys));
        if (listing->keys)
                return listing;
        free(listing);
        return NULL;
}

/* Generates the next piece of a reply. Returns whether it is the last one. */
static bool write_piece(struct listing *listing)
{
        struct writer *writer = &listing->api->writer;
        bool last;

        writer_reset(writer);
        if (listing->length == 0) {
                writer_open(writer, '{');
                writer_open_member(writer, listing->name, '[');
        } else
                writer->first = listing->first;
        while (listing->at < listing->count && writer->size < PIECE_SIZE &&
                        !(listing->many && listing->length + writer->size >= BATCH_SIZE))
                listing->write(listing, listing->keys[listing->at++]);
        listing->first = writer->first;
        listing->length += writer->size;
        last = listing->at == listing->count || (listing->many && listing->length >= BATCH_SIZE);
        if (last) {
                writer_close(writer, ']');
                writer_close(writer, '}');
        }
        return last;
}

/*
 * Sends the generated piece; @first and @last: whether it is the first and the last one of a reply. This may free the
 * listing.
 */
static int send_piece(struct listing *listing, struct varlink_call *call, bool first, bool last)
{
        struct writer *writer = &listing->api->writer;
        unsigned int which = (first ? VARLINK_FIRST : 0) | (last ? VARLINK_LAST : 0);

        if (last && listing->at < listing->count)
                which |= VARLINK_CONTINUES;
        if (last)
                listing->length = 0;
        return writer->error ?: varlink_reply_piece(call, writer->text, writer->size, which);
}

/*
 * A client that accepts only one reply gets nothing before its length is known. A first pass, also in pieces, finds the
 * length.
 */
static int measure(struct listing *listing, struct varlink_call *call, bool last)
{
        if (listing->length > VARLINK_OUTPUT_MAX)
                return api_reply_too_large(call);
        if (last) {
                listing->fits = true;
                listing->at = listing->length = 0;
        }
        return listing->api->writer.error;
}

static int listing_next(void *state, struct varlink_call *call)
{
        struct listing *listing = state;
        struct writer *writer = &listing->api->writer;
        bool first = listing->length == 0, last = write_piece(listing);
        int r;

        /* A short list is not generated twice. */
        if (listing->many || listing->fits || (first && last && writer->size <= VARLINK_OUTPUT_MAX))
                r = send_piece(listing, call, first, last);
        else
                r = measure(listing, call, last);
        /* The memory for a long element is not kept. */
        if (writer->room > 4 * BATCH_SIZE) {
                writer_deinit(writer);
                malloc_trim(0);
        }
        return r;
}

static const struct varlink_stream listing_stream = { .next = listing_next, .end = listing_free };

int listing_answer(struct listing *listing, struct varlink_call *call)
{
        uint64_t *keys = realloc(listing->keys, (listing->count + 1) * sizeof(*keys));

        if (keys)
                listing->keys = keys;
        listing->many = varlink_wants_more(call);
        varlink_make_stream(call, &listing_stream, listing);
        varlink_stream_holds(call, sizeof(*listing) + (listing->count + 1) * sizeof(*keys) +
                                                   relations_size(&listing->relations) + listing->state_size);
        return 0;
}
