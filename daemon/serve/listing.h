/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A long list as the answer of a method: made in pieces, as the client takes them, in one reply or in several. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/relations.h"
#include "serve/api-context.h"

/* What is to be listed, by key: between two pieces an object may go, and another may take its place. */
struct listing {
        struct api *api;
        const char *name; /* of the array */
        /* Adds the element @key; nothing if it is gone. */
        void (*write)(struct listing *listing, uint64_t key);
        uint64_t *keys;
        size_t count, at;
        struct relations relations;
        void *state;                     /* of who lists; NULL: none */
        void (*free_state)(void *state); /* frees it */
        size_t state_size;               /* bytes that it takes */
        bool many;                       /* in several replies, else in one, of which must be known before: */
        bool fits;                       /* it is no larger than a reply may be */
        bool first;                      /* nothing is in the array yet */
        size_t length;                   /* of the reply, until now, in bytes */
};

/* A listing with room for @room keys, NULL: no memory. */
struct listing *listing_new(
                struct api *api, const char *name, size_t room, void (*write)(struct listing *listing, uint64_t key));
void listing_free(void *listing);

/* Answers with @listing, which it takes over: in several replies, or in one. Returns 0. */
int listing_answer(struct listing *listing, struct varlink_call *call);
