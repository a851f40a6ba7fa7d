/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where one entry of the log goes: the journal or stderr. Both may block for as long as nobody reads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/outbox.h"

struct log_item {
        struct parcel parcel;
        int priority;
        struct iovec *fields; /* beside MESSAGE= and PRIORITY=; none: a line */
        size_t field_count;
        size_t length; /* of "MESSAGE=TEXT" */
        char message[];
};

/* Whether stderr is the stream that systemd connected to the journal: $JOURNAL_STREAM is its device and inode. */
bool sink_is_journal(void);

/*
 * Sends @item to the journal if it belongs there; otherwise, or if the journal refuses it, to stderr. An item with
 * fields is written to stderr as a line of JSON (as in a container), unless stderr is a terminal or connected to the
 * journal. Returns 0, a negative errno, or OUTBOX_LATER: stderr is connected to the journal, but the journal is not
 * available at the moment.
 */
int sink_send(const struct log_item *item);

/* Writes the text of @item to stderr. Returns 0 or a negative errno. */
int sink_write(const struct log_item *item);
