/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/outbox.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* Of the thread: what it calls needs a few KiB. */
#define STACK_SIZE (256 * 1024)

/* If there is no receiver, sending is tried again after this time. */
#define RETRY_USEC (100ULL * 1000)

static struct timespec time_after(uint64_t usec)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        time.tv_sec += usec / 1000000;
        time.tv_nsec += usec % 1000000 * 1000;
        if (time.tv_nsec >= 1000000000) {
                time.tv_sec++;
                time.tv_nsec -= 1000000000;
        }
        return time;
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

/* Tells what was lost. With the mutex, which is free meanwhile. Returns an enum outbox_answer, or 0. */
static int tell_lost(struct outbox *outbox)
{
        uint64_t lost = outbox->lost;
        int r;

        if (!outbox->tell_lost || lost <= outbox->mute)
                return 0;
        pthread_mutex_unlock(&outbox->mutex);
        r = outbox->tell_lost(lost);
        pthread_mutex_lock(&outbox->mutex);
        if (r == OUTBOX_LATER)
                return r;
        /* A count that cannot be reported is not retried forever, but reported with the next loss. */
        if (r < 0)
                outbox->mute = lost;
        else {
                outbox->lost -= lost;
                outbox->mute = 0;
        }
        return 0;
}

static void take_off_first(struct outbox *outbox)
{
        struct parcel *parcel = outbox->first;

        outbox->first = parcel->next;
        outbox->count--;
        outbox->bytes -= parcel->size;
        outbox->drop(parcel);
}

/* Sends the first parcel, after the count of what was lost. As tell_lost(). */
static int send_first(struct outbox *outbox)
{
        int r = tell_lost(outbox);

        if (r != 0 || !outbox->first)
                return r;
        pthread_mutex_unlock(&outbox->mutex);
        r = outbox->send(outbox->first);
        pthread_mutex_lock(&outbox->mutex);
        if (r == OUTBOX_LATER)
                return r;
        take_off_first(outbox);
        if (r < 0)
                outbox->lost++;
        return 0;
}

static bool has_work(const struct outbox *outbox)
{
        return outbox->first || (outbox->tell_lost && outbox->lost > outbox->mute);
}

static void *run(void *context)
{
        struct outbox *outbox = context;

        pthread_mutex_lock(&outbox->mutex);
        while (has_work(outbox) || !outbox->stopping) {
                if (!has_work(outbox)) {
                        pthread_cond_wait(&outbox->changed, &outbox->mutex);
                } else if (send_first(outbox) == OUTBOX_LATER) {
                        struct timespec until = time_after(RETRY_USEC);

                        while (pthread_cond_timedwait(&outbox->changed, &outbox->mutex, &until) == 0)
                                ;
                }
        }
        outbox->ended = true;
        pthread_cond_broadcast(&outbox->changed);
        pthread_mutex_unlock(&outbox->mutex);
        return NULL;
}

/* Signals are the loop's. With the mutex. */
static void start_thread(struct outbox *outbox)
{
        pthread_attr_t attributes;
        sigset_t all, before;

        if (outbox->running || pthread_attr_init(&attributes) != 0)
                return;
        sigfillset(&all);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        outbox->running = pthread_create(&outbox->thread, &attributes, run, outbox) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
}

/* --- Its owner ---------------------------------------------------------------------------------------------------- */

void outbox_start(struct outbox *outbox, uint64_t lost)
{
        pthread_condattr_t attributes;

        pthread_mutex_init(&outbox->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&outbox->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        outbox->running = outbox->ended = outbox->stopping = false;
        outbox->first = outbox->last = NULL;
        outbox->bytes = outbox->count = 0;
        outbox->lost = lost;
        outbox->mute = 0;
        pthread_mutex_lock(&outbox->mutex);
        start_thread(outbox);
        pthread_mutex_unlock(&outbox->mutex);
}

bool outbox_put(struct outbox *outbox, struct parcel *parcel)
{
        bool fits;

        parcel->next = NULL;
        pthread_mutex_lock(&outbox->mutex);
        fits = !outbox->stopping && (!outbox->first || outbox->bytes + parcel->size <= outbox->bytes_max);
        if (fits) {
                if (outbox->first)
                        outbox->last->next = parcel;
                else
                        outbox->first = parcel;
                outbox->last = parcel;
                outbox->count++;
                outbox->bytes += parcel->size;
                start_thread(outbox);
        } else
                outbox->lost++;
        pthread_cond_broadcast(&outbox->changed);
        pthread_mutex_unlock(&outbox->mutex);
        if (!fits)
                outbox->drop(parcel);
        return fits;
}

void outbox_count_lost(struct outbox *outbox)
{
        pthread_mutex_lock(&outbox->mutex);
        outbox->lost++;
        pthread_cond_broadcast(&outbox->changed);
        pthread_mutex_unlock(&outbox->mutex);
}

uint64_t outbox_stop(struct outbox *outbox, uint64_t usec)
{
        struct timespec until = time_after(usec);
        bool ended, running;
        uint64_t lost;

        pthread_mutex_lock(&outbox->mutex);
        outbox->stopping = true;
        pthread_cond_broadcast(&outbox->changed);
        while (outbox->running && !outbox->ended &&
                        pthread_cond_timedwait(&outbox->changed, &outbox->mutex, &until) != ETIMEDOUT)
                ;
        /* The thread could not be created; at the end, the caller can wait. */
        while (!outbox->running && outbox->first && send_first(outbox) == 0)
                ;
        ended = outbox->ended;
        running = outbox->running;
        lost = outbox->lost + outbox->count;
        pthread_mutex_unlock(&outbox->mutex);
        if (running && ended)
                pthread_join(outbox->thread, NULL);
        else if (running)
                pthread_detach(outbox->thread);
        return lost;
}
