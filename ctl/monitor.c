/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as they happen, one a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "eventtext.h"
#include "field.h"
#include "show.h"
#include "terminal.h"
#include "verbs.h"

static int print_event(const struct options *options, const json_t *event, bool colors)
{
        char text[EVENT_TEXT_MAX], clock[16];
        time_t now = time(NULL);
        struct tm tm;

        if (options->json != JSON_OFF)
                return show_json(options, event);
        strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
        printf("%s %s%s%s\n", clock, colors ? event_color(event) : "", event_text(event, options->bytes, text),
                        colors ? "\033[0m" : "");
        return fflush(stdout) == EOF ? -EIO : 0;
}

static int print_reply(const struct options *options, const json_t *reply, bool colors)
{
        const json_t *event = field_get(reply, "event");
        uint64_t lost = field_integer(reply, "lost");

        if (lost)
                log_warning("%llu events were lost: this program was too slow for them", (unsigned long long) lost);
        return event ? print_event(options, event, colors) : 0;
}

int verb_monitor(const struct options *options, int argc, char *argv[])
{
        bool colors = terminal_colors(), continues = true;
        _cleanup_free_ char *glob = NULL;
        struct client client = { .fd = -1 };
        int r;

        r = ask_glob(options, argc ? argv[0] : NULL, &glob);
        if (r == 0)
                r = ask_connect(&client, options);
        if (r == 0)
                r = ask_check_unit(&client, argc ? argv[0] : NULL);
        if (r == 0)
                r = ask_tell(&client,
                                client_send(&client, "io.bpfbudget.Subscribe", ask_cgroups_parameters(glob), true));
        while (r == 0 && continues) {
                json_t *reply;

                r = ask_tell(&client, client_receive(&client, -1, &reply, &continues));
                if (r == 0) {
                        r = print_reply(options, reply, colors);
                        json_decref(reply);
                }
        }
        client_deinit(&client);
        return r;
}
