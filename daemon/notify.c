/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/outbox.h"

struct notification {
        struct parcel parcel;
        char state[];
};

/* Without a service manager sd_notify(3) does nothing. */
static int send_notification(const struct parcel *parcel)
{
        const struct notification *notification = (const struct notification *) parcel;

        sd_notify(0, notification->state);
        return 0;
}

static void drop(struct parcel *parcel)
{
        free(parcel);
}

static struct outbox outbox = { .send = send_notification, .drop = drop, .bytes_max = 256UL * 1024 };
static bool started;

bool notify(const char *state)
{
        struct notification *notification = calloc(1, sizeof(*notification) + strlen(state) + 1);

        if (!notification)
                return false;
        strcpy(notification->state, state);
        notification->parcel.size = sizeof(*notification) + strlen(state) + 1;
        if (!started)
                outbox_start(&outbox, 0);
        started = true;
        return outbox_put(&outbox, &notification->parcel);
}

void notify_stop(void)
{
        if (started)
                outbox_stop(&outbox, NOTIFY_STOP_USEC);
        started = false;
}
