/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/outbox.h"

struct dump {
        struct parcel parcel;
        char *text;
};

static int send_dump(const struct parcel *parcel)
{
        const struct dump *dump = (const struct dump *) parcel;
        int r = write_all(STDOUT_FILENO, dump->text, parcel->size);

        if (r < 0)
                log_error("The report cannot be written: %s", strerror(-r));
        return r;
}

static void drop(struct parcel *parcel)
{
        free(((struct dump *) parcel)->text);
        free(parcel);
}

/* Room for a report that is being written and one that waits; their size depends on the number of objects. */
static struct outbox outbox = { .send = send_dump, .drop = drop };
static bool started;

int dump_write(char *text, size_t size)
{
        struct dump *dump = calloc(1, sizeof(*dump));

        if (!dump) {
                free(text);
                return -ENOMEM;
        }
        *dump = (struct dump){ .parcel.size = size, .text = text };
        if (!started)
                outbox_start(&outbox, 0);
        started = true;
        outbox.bytes_max = 2 * size;
        return outbox_put(&outbox, &dump->parcel) ? 0 : -EBUSY;
}

void dump_stop(void)
{
        if (started)
                outbox_stop(&outbox, DUMP_STOP_USEC);
        started = false;
}
