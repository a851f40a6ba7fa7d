/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line a message: to the journal with its priority if stderr is connected to the journal, otherwise to stderr with
 * the program's name before it. The text passes through text_plain(), so names in it are harmless.
 *
 * Between log_start() and log_stop(), logging never blocks: a thread writes the messages (base/outbox.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <syslog.h>

/* The maximum length of a message in bytes, with the NUL. The middle of a longer message is cut out. */
#define LOG_LINE_SIZE 4096

/* Messages above @priority (a syslog level, LOG_INFO at first) are dropped. */
void log_set_max_level(int priority);
int log_max_level(void);

/*
 * Logs one line without a newline at the end. Keeps errno. Never fails: a message that the journal does not accept goes
 * to stderr.
 */
void log_message(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Like log_message(), with MESSAGE_ID=@id if stderr is connected to the journal. journalctl -x uses the ID to find the
 * explanation in the catalog (base/messages.h).
 */
void log_identified(const char *id, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Logs @text as an entry of the journal, even if stderr is not connected to the journal, with @fields in addition to
 * MESSAGE= and PRIORITY=. Each field is an allocated NAME=VALUE of any bytes, and is taken over. Without a journal this
 * is log_message().
 */
void log_entry(int priority, const char *text, struct iovec *fields, size_t count);

/*
 * From now on a thread writes the messages. Messages that do not fit into its queue are counted, and the count is
 * logged as soon as there is room. @lost: the number that previous processes lost, which is added.
 */
void log_start(uint64_t lost);

/*
 * Writes the remaining messages for at most LOG_STOP_USEC. Returns the number of lost messages that was not logged.
 * Nothing may be logged afterwards.
 */
uint64_t log_stop(void);
#define LOG_STOP_USEC (400ULL * 1000)

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_DEBUG, __VA_ARGS__)
