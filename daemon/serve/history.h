/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hourly usage and the events of each workload. They are collected here, in memory, and passed to a thread that
 * writes them (historythread.h), after changes and at most once a minute. This file never accesses a disk.
 *
 * Several cgroups may share a name: the pods of one controller. The workload has the usage of the largest of them,
 * because a budget would apply to each separately.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "policy/event.h"
#include "serve/historystate.h"
#include "serve/historystore.h"

/* Starts the history with the current usage in the tree. Returns 0 or a negative errno. */
int history_new(const struct history_options *options, struct history **ret);
/*
 * Writes the remaining data for at most @usec; callers allow more time at the exit than in the loop. @history may be
 * NULL, here and below.
 */
void history_free(struct history *history, uint64_t usec);
#define HISTORY_STOP_USEC (3ULL * 1000 * 1000)
#define HISTORY_OFF_USEC  (200ULL * 1000)

/* After each flush: takes the cgroups whose usage changed. */
void history_take(struct history *history);

/* To be called when workloads have got names. */
void history_take_names(struct history *history);

void history_note_event(struct history *history, const struct budget_event *event);

/*
 * Receives the answer of history_ask(). @result is valid during the call; if it is NULL, @error is a negative errno
 * (history_error()).
 */
typedef void (*history_answer_t)(void *context, const struct history_result *result, int error);

struct history_question;

/*
 * Submits @query, and takes over its glob. The result includes the current usage. @answer is called from the loop,
 * unless the query is cancelled before. Returns 0, -ESHUTDOWN: @history is NULL; or -ENOMEM.
 */
int history_ask(struct history *history, struct history_query *query, history_answer_t answer, void *context,
                struct history_question **ret);
void history_take_back(struct history_question *question);
