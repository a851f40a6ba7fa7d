/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A long list as the answer of a method: written in pieces, as fast as the client reads them, in one reply or in
 * several.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/relations.h"
#include "serve/api-context.h"

/*
 * The elements to list, by key, because an object may be freed, and another may take its address, between two pieces.
 */
struct listing {
        struct api *api;
        const char *name; /* of the array */
        /* Adds the element @key; nothing if it is gone. */
        void (*write)(struct listing *listing, uint64_t key);
        uint64_t *keys;
        size_t count, at;
        struct relations relations;
        void *state;                     /* of the caller; NULL: none */
        void (*free_state)(void *state); /* frees it */
        size_t state_size;               /* bytes that it takes */
        bool many;     /* in several replies; else in one, for which the next member must be known in advance */
        bool fits;     /* it is no larger than a reply may be */
        bool first;    /* nothing is in the array yet */
        size_t length; /* of the reply so far, in bytes */
};

/* A listing with room for @room keys, NULL: no memory. */
struct listing *listing_new(
                struct api *api, const char *name, size_t room, void (*write)(struct listing *listing, uint64_t key));
void listing_free(void *listing);

/* Answers with @listing, which it takes over: in several replies, or in one. Returns 0. */
int listing_answer(struct listing *listing, struct varlink_call *call);
