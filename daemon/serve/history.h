/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hourly usage and the events of each workload. They are collected here, in memory, and passed to a thread that
 * writes them (historythread.h), after changes and at most once a minute. This file never accesses a disk.
 *
 * Several cgroups may share a name: the pods of one controller. The workload has what the largest of them has, as a
 * budget would be about each of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "policy/event.h"
#include "serve/historystate.h"
#include "serve/historystore.h"

/* Begins with what the tree has. Returns 0 or a negative errno. */
int history_new(const struct history_options *options, struct history **ret);
/* Writes what is left, for at most @usec: longer at the end than in the loop. NULL is none, here and below. */
void history_free(struct history *history, uint64_t usec);
#define HISTORY_STOP_USEC (3ULL * 1000 * 1000)
#define HISTORY_OFF_USEC  (200ULL * 1000)

/* After each flush: takes the cgroups whose usage changed. */
void history_take(struct history *history);

/* Some workloads have got names. */
void history_take_names(struct history *history);

void history_note_event(struct history *history, const struct budget_event *event);

/* What history_ask() answers: @result is valid during the call; NULL: @error, a negative errno (history_error()). */
typedef void (*history_answer_t)(void *context, const struct history_result *result, int error);

struct history_question;

/*
 * Asks @query, whose glob it takes over; it has the usage of this moment, too. @answer is called from the loop, unless
 * the question is taken back before. Returns 0, -ESHUTDOWN: @history is NULL; or -ENOMEM.
 */
int history_ask(struct history *history, struct history_query *query, history_answer_t answer, void *context,
                struct history_question **ret);
void history_take_back(struct history_question *question);
