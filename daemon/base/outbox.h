/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue, and a thread that sends what is in it: adding to the queue never waits for the receiver. Entries
 * that do not fit are counted, and the count is sent first when the receiver accepts entries again. The order is kept.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head of whatever is sent. */
struct parcel {
        struct parcel *next;
        size_t size; /* bytes of memory that it takes */
};

/* What sending answers beside 0, which is success, and a negative errno: then it is lost. */
enum outbox_answer {
        OUTBOX_LATER = 1, /* there is nobody for now: it is tried again, before all else */
};

struct outbox {
        /* The caller's. They are called in the thread; the first two may block. */
        int (*send)(const struct parcel *parcel);
        int (*tell_lost)(uint64_t count); /* NULL: nobody is told. What fails counts again */
        void (*drop)(struct parcel *parcel);
        size_t bytes_max; /* of what waits; a single parcel may be larger */

        pthread_mutex_t mutex;
        pthread_cond_t changed;
        pthread_t thread;
        bool running, ended;         /* of the thread */
        bool stopping;               /* nothing more is taken */
        struct parcel *first, *last; /* the first may be on its way */
        size_t bytes, count;
        uint64_t lost, mute; /* not told yet; of these those that could not be */
};

/*
 * Begins to take parcels, with @lost that somebody else has lost before. @outbox lives as long as the process: a thread
 * that is stuck cannot be ended. If there can be no thread now, the next parcel tries again; what is in the queue
 * waits.
 */
void outbox_start(struct outbox *outbox, uint64_t lost);

/* Takes @parcel over. Never waits. Returns whether it was taken; if not, it was dropped and is counted. */
bool outbox_put(struct outbox *outbox, struct parcel *parcel);

/* Counts what there was no memory for. */
void outbox_count_lost(struct outbox *outbox);

/* Sends what is left for at most @usec. Returns how many were lost that nobody was told of, those with them. */
uint64_t outbox_stop(struct outbox *outbox, uint64_t usec);
