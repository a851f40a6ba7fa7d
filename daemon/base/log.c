/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/logsink.h"
#include "base/messages.h"
#include "base/text.h"

/* The maximum size of messages that wait for the journal, in bytes: some thousand alerts. */
#define QUEUE_BYTES_MAX (2UL * 1024 * 1024)

#define MESSAGE_FIELD    "MESSAGE="
#define MESSAGE_ID_FIELD "MESSAGE_ID="

static int max_level = LOG_INFO;
static bool started; /* a thread writes */

void log_set_max_level(int priority)
{
        max_level = priority;
}

int log_max_level(void)
{
        return max_level;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static void free_fields(struct iovec *fields, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(fields[i].iov_base);
        free(fields);
}

static void drop(struct parcel *parcel)
{
        struct log_item *item = (struct log_item *) parcel;

        free_fields(item->fields, item->field_count);
        free(item);
}

/* One with @text. NULL: no memory. */
static struct log_item *item_new(int priority, const char *text)
{
        char plain[LOG_LINE_SIZE];
        struct log_item *item;
        size_t length;

        length = strlen(MESSAGE_FIELD) + strlen(text_plain(text, plain, sizeof(plain)));
        item = calloc(1, sizeof(*item) + length + 1);
        if (!item)
                return NULL;
        item->parcel.size = sizeof(*item) + length + 1;
        item->priority = priority;
        item->length = length;
        strcpy(stpcpy(item->message, MESSAGE_FIELD), plain);
        return item;
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

static int send_item(const struct parcel *parcel)
{
        return sink_send((const struct log_item *) parcel);
}

static int tell_lost(uint64_t count)
{
        _cleanup_free_ struct log_item *item = NULL;
        char text[128], field[64], id[] = MESSAGE_ID_FIELD BPFBUDGET_MESSAGE_LOST_ID;
        struct iovec fields[] = { { .iov_base = id, .iov_len = strlen(id) }, { .iov_base = field } };

        snprintf(text, sizeof(text), "%llu messages were lost: the journal, or whoever reads stderr, did not take them",
                        (unsigned long long) count);
        fields[1].iov_len = snprintf(field, sizeof(field), "BPFBUDGET_LOST=%llu", (unsigned long long) count);
        item = item_new(LOG_WARNING, text);
        if (!item)
                return -ENOMEM;
        item->fields = fields;
        item->field_count = 2;
        return sink_send(item);
}

static struct outbox outbox = {
        .send = send_item,
        .tell_lost = tell_lost,
        .drop = drop,
        .bytes_max = QUEUE_BYTES_MAX,
};

void log_start(uint64_t lost)
{
        outbox_start(&outbox, lost);
        started = true;
}

uint64_t log_stop(void)
{
        return outbox_stop(&outbox, LOG_STOP_USEC);
}

/* --- Messages ----------------------------------------------------------------------------------------------------- */

/* For programs that a user waits for. Uses stdio, because bpfbudgetctl top keeps the output to stderr for later. */
static void write_now(const struct log_item *item)
{
        if (item->field_count == 0 && !sink_is_journal())
                fprintf(stderr, "%s: %s\n", program_invocation_short_name, item->message + strlen(MESSAGE_FIELD));
        else if (sink_send(item) == OUTBOX_LATER)
                sink_write(item);
}

/* Takes @fields over. */
static void deliver(int priority, const char *text, struct iovec *fields, size_t count)
{
        struct log_item *item = item_new(priority, text);

        if (!item) {
                free_fields(fields, count);
                if (started)
                        outbox_count_lost(&outbox);
                return;
        }
        item->fields = fields;
        item->field_count = count;
        for (size_t i = 0; i < count; i++)
                item->parcel.size += sizeof(fields[i]) + fields[i].iov_len;
        if (started) {
                outbox_put(&outbox, &item->parcel);
                return;
        }
        write_now(item);
        drop(&item->parcel);
}

/* The field for @id, to be freed. NULL: no memory, and the message goes without it. */
static struct iovec *id_field(const char *id)
{
        struct iovec *field = calloc(1, sizeof(*field));
        char *text = NULL;

        if (field && asprintf(&text, MESSAGE_ID_FIELD "%s", id) >= 0) {
                *field = (struct iovec){ text, strlen(text) };
                return field;
        }
        free(field);
        return NULL;
}

static void log_text(const char *id, int priority, const char *format, va_list ap)
                __attribute__((format(printf, 3, 0)));

/* @id: NULL if there is none. */
static void log_text(const char *id, int priority, const char *format, va_list ap)
{
        int saved_errno = errno;
        char *text = NULL;

        if (priority > max_level)
                return;
        if (vasprintf(&text, format, ap) >= 0) {
                /* An entry with fields goes to the journal, wherever stderr leads. */
                struct iovec *field = id && sink_is_journal() ? id_field(id) : NULL;

                deliver(priority, text, field, field ? 1 : 0);
                free(text);
        } else if (started)
                outbox_count_lost(&outbox);
        errno = saved_errno;
}

void log_message(int priority, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        log_text(NULL, priority, format, ap);
        va_end(ap);
}

void log_identified(const char *id, int priority, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        log_text(id, priority, format, ap);
        va_end(ap);
}

void log_entry(int priority, const char *text, struct iovec *fields, size_t count)
{
        int saved_errno = errno;

        deliver(priority, text, fields, count);
        errno = saved_errno;
}
