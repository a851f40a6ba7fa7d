/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that waits for the disk instead of the event loop. It owns the database of the history, and processes and
 * returns one job after the other. An error of the disk is logged once, until writing works again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "serve/historystore.h"

struct history_job {
        struct history_job *next;
        struct history_batch *batch; /* to be written; NULL: a question */
        struct history_query query;
        struct history_result *result;                        /* of the question */
        int error;                                            /* 0 or a negative errno */
        void (*done)(void *context, struct history_job *job); /* in the loop; frees it by history_job_free() */
        void *context;
};

/* Frees @job with what is in it. */
void history_job_free(struct history_job *job);

struct history_thread;

/* Creates the thread; @directory is that of the database. Returns 0 or a negative errno. */
int history_thread_new(const char *directory, struct history_thread **ret);

/*
 * Processes the remaining jobs for at most @usec, returns them, and ends the thread; jobs that are not done by then are
 * lost. NULL is none.
 */
void history_thread_free(struct history_thread *thread, uint64_t usec);

/* Hands over @job. Never waits. */
void history_thread_put(struct history_thread *thread, struct history_job *job);

/* Polls readable when history_thread_take() has something to do. */
int history_thread_fd(const struct history_thread *thread);
/* Calls done() of the jobs that are done. */
void history_thread_take(struct history_thread *thread);

/* The text of a job's error: why there is no history. */
const char *history_error(int error);
