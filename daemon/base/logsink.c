/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/logsink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/fileio.h"

/* journald listens here; sd_journal_sendv() silently drops entries that nobody accepts. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* --- stderr ------------------------------------------------------------------------------------------------------- */

bool sink_is_journal(void)
{
        static int cached = -1;

        if (cached < 0) {
                unsigned long long device, inode;
                const char *stream = getenv("JOURNAL_STREAM");
                struct stat st;

                cached = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                         fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
        }
        return cached > 0;
}

/* Does not use stdio, because a thread that is stuck would hold the lock of the stream when the process ends. */
int sink_write(const struct log_item *item)
{
        const char *text = item->message + strlen("MESSAGE=");
        _cleanup_free_ char *line = NULL;
        /* journald strips the priority, and knows which program the stream belongs to. */
        int n = sink_is_journal() ? asprintf(&line, "<%d>%s\n", item->priority, text)
                                  : asprintf(&line, "%s: %s\n", program_invocation_short_name, text);

        if (n < 0) {
                line = NULL;
                return -ENOMEM;
        }
        return write_all(STDERR_FILENO, line, n);
}

static void cleanup_json(json_t **json)
{
        json_decref(*json);
}

/* @length bytes of @text; a list of them if they are not UTF-8, as by journalctl -o json. NULL: no memory. */
static json_t *bytes_to_json(const char *text, size_t length)
{
        json_t *json = json_stringn(text, length);

        if (json)
                return json;
        json = json_array();
        for (size_t i = 0; json && i < length; i++)
                if (json_array_append_new(json, json_integer((unsigned char) text[i])) < 0) {
                        json_decref(json);
                        return NULL;
                }
        return json;
}

/* Adds @field, NAME=VALUE. Returns 0, -EINVAL or -ENOMEM. */
static int add_field(json_t *entry, const char *field, size_t length)
{
        const char *equals = memchr(field, '=', length);
        _cleanup_free_ char *name = NULL;

        if (!equals)
                return -EINVAL;
        name = strndup(field, equals - field);
        if (!name || json_object_set_new(entry, name, bytes_to_json(equals + 1, field + length - equals - 1)) < 0)
                return -ENOMEM;
        return 0;
}

/* Whether only programs read stderr. */
static bool is_collected(void)
{
        return !sink_is_journal() && !isatty(STDERR_FILENO);
}

/* Writes @item with its fields as a line of JSON, as by journalctl -o json. */
static int write_json(const struct log_item *item)
{
        _cleanup_(cleanup_json) json_t *entry = json_pack("{ss}", "SYSLOG_IDENTIFIER", program_invocation_short_name);
        _cleanup_free_ char *text = NULL, *line = NULL;
        char priority[32];
        int n, r;

        n = snprintf(priority, sizeof(priority), "PRIORITY=%d", item->priority);
        r = entry ? add_field(entry, priority, n) : -ENOMEM;
        if (r == 0)
                r = add_field(entry, item->message, item->length);
        for (size_t i = 0; r == 0 && i < item->field_count; i++)
                r = add_field(entry, item->fields[i].iov_base, item->fields[i].iov_len);
        if (r < 0)
                return r;
        text = json_dumps(entry, JSON_COMPACT);
        n = text ? asprintf(&line, "%s\n", text) : -1;
        if (n < 0) {
                line = NULL;
                return -ENOMEM;
        }
        return write_all(STDERR_FILENO, line, n);
}

/* --- The journal -------------------------------------------------------------------------------------------------- */

/* Returns 0; -ENOENT, -ECONNREFUSED: there is no journal now; another negative errno. */
static int send_to_journal(const struct log_item *item)
{
        _cleanup_free_ struct iovec *fields = calloc(item->field_count + 2, sizeof(*fields));
        char priority[32];
        int r;

        if (!fields)
                return -ENOMEM;
        fields[0] = (struct iovec){ (void *) item->message, item->length };
        fields[1].iov_base = priority;
        fields[1].iov_len = snprintf(priority, sizeof(priority), "PRIORITY=%d", item->priority);
        if (item->field_count > 0)
                memcpy(fields + 2, item->fields, item->field_count * sizeof(*fields));
        r = sd_journal_sendv(fields, item->field_count + 2);
        if (r < 0)
                return r;
        /* sd_journal_sendv() also succeeds if there is no socket. */
        return access(JOURNAL_SOCKET, F_OK) < 0 ? -ENOENT : 0;
}

int sink_send(const struct log_item *item)
{
        static bool seen;
        int r = -ENOENT;

        if (sink_is_journal() || item->field_count > 0)
                r = send_to_journal(item);
        if (r == 0) {
                seen = true;
                return 0;
        }
        /* journald is restarted. Where it has never been seen, there is no way to it but the stream. */
        if (sink_is_journal() && seen && (r == -ECONNREFUSED || r == -ENOENT))
                return OUTBOX_LATER;
        return item->field_count > 0 && is_collected() ? write_json(item) : sink_write(item);
}
