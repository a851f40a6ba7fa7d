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

/* Answers of send() in addition to 0 (sent) and a negative errno (the parcel is lost). */
enum outbox_answer {
        OUTBOX_LATER = 1, /* there is no receiver now: this parcel is tried again first */
};

struct outbox {
        /* The caller's functions. The thread calls them; the first two may block. */
        int (*send)(const struct parcel *parcel);
        int (*tell_lost)(uint64_t count); /* NULL: the count is not reported. If it fails, the count is kept */
        void (*drop)(struct parcel *parcel);
        size_t bytes_max; /* of all waiting parcels; a single parcel may be larger */

        pthread_mutex_t mutex;
        pthread_cond_t changed;
        pthread_t thread;
        bool running, ended;         /* of the thread */
        bool stopping;               /* no more parcels are accepted */
        struct parcel *first, *last; /* the first may be being sent */
        size_t bytes, count;
        uint64_t lost, mute; /* not reported yet; of these, those that tell_lost() failed to report */
};

/*
 * Starts to accept parcels. The count of lost parcels begins with @lost, which others have lost before. @outbox must
 * live as long as the process, because a thread that is stuck cannot be ended. If the thread cannot be created now, the
 * next parcel tries again; until then parcels wait in the queue.
 */
void outbox_start(struct outbox *outbox, uint64_t lost);

/* Takes @parcel over. Never waits. Returns whether it was taken; if not, it was dropped and is counted. */
bool outbox_put(struct outbox *outbox, struct parcel *parcel);

/* Counts a parcel that could not be allocated. */
void outbox_count_lost(struct outbox *outbox);

/*
 * Sends the remaining parcels for at most @usec microseconds. Returns the number of lost parcels that was not reported,
 * including those that could not be sent now.
 */
uint64_t outbox_stop(struct outbox *outbox, uint64_t usec);
