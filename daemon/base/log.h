/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line a message: to the journal with its priority where stderr is the journal's, to stderr otherwise, with the
 * program's name before it. It is text_plain(), whatever names are in it.
 *
 * From log_start() to log_stop() it waits for nobody: a thread writes it (base/outbox.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <syslog.h>

/* What a message has at most, in bytes, with the NUL: the middle of a longer one is cut. */
#define LOG_LINE_SIZE 4096

/* Messages above @priority (a syslog level, LOG_INFO at first) are dropped. */
void log_set_max_level(int priority);
int log_max_level(void);

/*
 * Logs one line without a newline at the end. Keeps errno. Never fails: what the journal does not take goes to stderr.
 */
void log_message(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Like log_message(), with MESSAGE_ID=@id where stderr is the journal's, by which journalctl -x finds what the catalog
 * explains (base/messages.h).
 */
void log_identified(const char *id, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Logs @text as an entry of the journal, also where stderr is not the journal's, that has these @fields beside MESSAGE=
 * and PRIORITY=: each NAME=VALUE with any bytes, allocated, and taken over. Without a journal it is log_message().
 */
void log_entry(int priority, const char *text, struct iovec *fields, size_t count);

/*
 * From now on a thread writes what is logged, and what does not fit into its queue is counted, and told as soon as
 * there is room. @lost: what others have lost, to be told with it.
 */
void log_start(uint64_t lost);

/*
 * Writes what is left, for at most LOG_STOP_USEC. Returns how many messages were lost that nobody was told of. Nothing
 * is logged after it.
 */
uint64_t log_stop(void);
#define LOG_STOP_USEC (400ULL * 1000)

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_DEBUG, __VA_ARGS__)
