/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historythread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* SQLite needs some ten KiB. */
#define STACK_SIZE (256 * 1024)

struct history_thread {
        char *directory;
        int fd; /* eventfd */
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        struct history_job *first, *last; /* pending jobs */
        struct history_job *done, *done_last;
        bool stopping, ended;

        /* The thread's own. */
        struct history_store *store; /* NULL: it is not open */
        int off;                     /* -EPROTONOSUPPORT: it will not be opened */
        bool failing;                /* the last job failed, which was logged */
};

void history_job_free(struct history_job *job)
{
        if (job->batch)
                history_batch_free(job->batch);
        free(job->query.glob);
        history_result_free(job->result);
        free(job);
}

const char *history_error(int error)
{
        switch (error) {
        case -EBUSY:
                return "another process has the history's database open";
        case -EPROTONOSUPPORT:
                return "the history's database was written by a later version of bpfbudgetd";
        case -EBADMSG:
                return "the history's database was damaged, and begins anew";
        case -ESHUTDOWN:
                return "History=no is set";
        default:
                return strerror(-error);
        }
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

/* Logs the result @r of a job if it differs from the previous one. */
static void tell(struct history_thread *thread, int r)
{
        if (r == 0 && thread->failing)
                log_info("%s/" HISTORY_FILE ": the history is kept again", thread->directory);
        else if (r < 0 && thread->off)
                log_error("%s/" HISTORY_FILE ": there is no history: %s", thread->directory, history_error(r));
        else if (r < 0 && !thread->failing && r != -EBADMSG)
                log_warning("%s/" HISTORY_FILE ": the history is not kept (%s); it is tried again", thread->directory,
                                history_error(r));
        thread->failing = r < 0;
}

/* Returns 0 or a negative errno, logged. */
static int open_store(struct history_thread *thread)
{
        int r;

        if (thread->store || thread->off)
                return thread->off;
        r = history_store_open(thread->directory, &thread->store);
        /* Another process that has the database open will end, so this is tried again, as with a full disk. */
        if (r == -EPROTONOSUPPORT)
                thread->off = r;
        if (r < 0)
                tell(thread, r);
        return r;
}

static void do_job(struct history_thread *thread, struct history_job *job)
{
        int r = open_store(thread);

        job->error = r;
        if (r < 0)
                return;
        r = job->batch ? history_store_write(thread->store, job->batch)
                       : history_store_read(thread->store, &job->query, &job->result);
        job->error = r;
        tell(thread, r);
        if (r == -EBADMSG) {
                history_store_close(thread->store);
                thread->store = NULL;
                history_store_set_aside(thread->directory);
        }
}

static void wake_loop(struct history_thread *thread)
{
        uint64_t one = 1;

        /* If the counter is full, the reader is woken anyway. */
        if (write(thread->fd, &one, sizeof(one)) < 0)
                return;
}

static void *run(void *context)
{
        struct history_thread *thread = context;

        pthread_mutex_lock(&thread->mutex);
        for (;;) {
                struct history_job *job = thread->first;

                if (!job && thread->stopping)
                        break;
                if (!job) {
                        pthread_cond_wait(&thread->changed, &thread->mutex);
                        continue;
                }
                thread->first = job->next;
                job->next = NULL;
                pthread_mutex_unlock(&thread->mutex);
                do_job(thread, job);
                pthread_mutex_lock(&thread->mutex);
                if (thread->done)
                        thread->done_last->next = job;
                else
                        thread->done = job;
                thread->done_last = job;
                wake_loop(thread);
        }
        pthread_mutex_unlock(&thread->mutex);
        history_store_close(thread->store);
        pthread_mutex_lock(&thread->mutex);
        thread->ended = true;
        pthread_cond_broadcast(&thread->changed);
        pthread_mutex_unlock(&thread->mutex);
        return NULL;
}

/* --- Its owner ---------------------------------------------------------------------------------------------------- */

static void free_jobs(struct history_job *job)
{
        while (job) {
                struct history_job *next = job->next;

                history_job_free(job);
                job = next;
        }
}

/* Frees a thread that has ended or was not started. */
static void free_thread(struct history_thread *thread)
{
        free_jobs(thread->first);
        free_jobs(thread->done);
        if (thread->fd >= 0)
                close(thread->fd);
        pthread_cond_destroy(&thread->changed);
        pthread_mutex_destroy(&thread->mutex);
        free(thread->directory);
        free(thread);
}

/* Signals are blocked in the thread, because the event loop handles them. Returns 0 or a negative errno. */
static int start_thread(struct history_thread *thread)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        int r = pthread_attr_init(&attributes);

        if (r != 0)
                return -r;
        sigfillset(&all);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread->thread, &attributes, run, thread);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return -r;
}

int history_thread_new(const char *directory, struct history_thread **ret)
{
        struct history_thread *thread = calloc(1, sizeof(*thread));
        pthread_condattr_t attributes;
        int r;

        if (!thread)
                return -ENOMEM;
        pthread_mutex_init(&thread->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&thread->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        thread->directory = strdup(directory);
        thread->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = !thread->directory ? -ENOMEM : thread->fd < 0 ? -errno : start_thread(thread);
        if (r < 0) {
                free_thread(thread);
                return r;
        }
        *ret = thread;
        return 0;
}

/* Passes finished jobs back. */
static void take_done(struct history_thread *thread)
{
        struct history_job *job;

        pthread_mutex_lock(&thread->mutex);
        job = thread->done;
        thread->done = NULL;
        pthread_mutex_unlock(&thread->mutex);
        while (job) {
                struct history_job *next = job->next;

                job->done(job->context, job);
                job = next;
        }
}

void history_thread_free(struct history_thread *thread, uint64_t usec)
{
        struct timespec until;
        bool ended;

        if (!thread)
                return;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (until.tv_nsec / 1000 + usec) / 1000000;
        until.tv_nsec = (until.tv_nsec / 1000 + usec) % 1000000 * 1000;
        pthread_mutex_lock(&thread->mutex);
        thread->stopping = true;
        pthread_cond_broadcast(&thread->changed);
        while (!thread->ended && pthread_cond_timedwait(&thread->changed, &thread->mutex, &until) != ETIMEDOUT)
                ;
        ended = thread->ended;
        pthread_mutex_unlock(&thread->mutex);
        if (ended) {
                pthread_join(thread->thread, NULL);
                take_done(thread);
                free_thread(thread);
        } else {
                /*
                 * The thread hangs in a disk operation and uses the database, so both remain until the process exits.
                 */
                log_warning("%s/" HISTORY_FILE ": the disk does not answer, the last minute is lost",
                                thread->directory);
                pthread_detach(thread->thread);
        }
}

void history_thread_put(struct history_thread *thread, struct history_job *job)
{
        job->next = NULL;
        pthread_mutex_lock(&thread->mutex);
        if (thread->first)
                thread->last->next = job;
        else
                thread->first = job;
        thread->last = job;
        pthread_cond_broadcast(&thread->changed);
        pthread_mutex_unlock(&thread->mutex);
}

int history_thread_fd(const struct history_thread *thread)
{
        return thread->fd;
}

void history_thread_take(struct history_thread *thread)
{
        uint64_t count;

        if (read(thread->fd, &count, sizeof(count)) > 0)
                take_done(thread);
}
