/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line a message: to the journal with its priority where stderr is the journal's, to stderr otherwise, with the
 * program's name before it.
 */
#pragma once

#include <syslog.h>

/* Messages above @priority (a syslog level, LOG_INFO at first) are dropped. */
void log_set_max_level(int priority);
int log_max_level(void);

/*
 * Logs one line without a newline at the end. Keeps errno. Never fails: what the journal does not take goes to stderr.
 */
void log_message(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_DEBUG, __VA_ARGS__)
