/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb top: on a terminal, or printed one picture after another. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "ask.h"
#include "base/log.h"
#include "screen.h"
#include "show.h"
#include "terminal.h"
#include "top.h"
#include "verbs.h"

/* --- Without a screen --------------------------------------------------------------------------------------------- */

static int print_frame(struct top *top)
{
        struct frame frame;
        int r = top_frame(top, terminal_width(), 0, &frame);

        for (size_t i = top->options->legend ? 0 : 4; r == 0 && i < frame.count; i++)
                if (puts(frame.lines[i].text) == EOF)
                        r = -EIO;
        if (r == 0 && fflush(stdout) == EOF)
                r = -EIO;
        frame_deinit(&frame);
        return ask_tell(&top->calls, r);
}

/* Prints one picture after another, as other tops do with -b. */
static int run_batch(struct top *top)
{
        uint32_t left = top->options->iterations ?: isatty(STDOUT_FILENO) ? UINT32_MAX : 1;
        int r;

        for (;;) {
                r = top_refresh(top);
                if (r == 0)
                        r = top->options->json != JSON_OFF ? show_json_list(top->options, "cgroups", top->cgroups)
                                                           : print_frame(top);
                if (r < 0 || --left == 0)
                        return r;
                if (top->options->json == JSON_OFF)
                        putchar('\n');
                poll(NULL, 0, top->delay_usec / 1000);
        }
}

/* Sets the order from --sort=. */
static int find_order(struct top *top, const char *name)
{
        bool reverse = *name == '-';
        size_t n = frame_columns(VIEW_CGROUPS);

        for (size_t i = 0; i < n; i++)
                if (strcasecmp(frame_column_title(VIEW_CGROUPS, i), name + reverse) == 0) {
                        top->sort[VIEW_CGROUPS] = i;
                        top->reverse[VIEW_CGROUPS] = reverse;
                        return 0;
                }
        log_error("--sort=%s: there is no such column here; there are cgroup, bpf, charged, uncharged, obj, rss, "
                  "footprint, state, budget, high, max",
                        name + reverse);
        return -EINVAL;
}

static int run(struct top *top)
{
        bool batch = top->options->batch || top->options->json != JSON_OFF || !isatty(STDOUT_FILENO) ||
                     !isatty(STDIN_FILENO);
        int r;

        if (batch)
                return run_batch(top);
        r = ask_connect(&top->events, top->options);
        if (r == 0)
                r = ask_tell(&top->events, client_send(&top->events, "io.bpfbudget.Subscribe",
                                                           ask_cgroups_parameters(top->glob), true));
        return r < 0 ? r : screen_run(top);
}

int verb_top(const struct options *options, int argc, char *argv[])
{
        struct top top = {
                .options = options,
                .argument = argc ? argv[0] : NULL,
                .calls.fd = -1,
                .events.fd = -1,
                .delay_usec = options->delay_usec,
                .sort = { [VIEW_CGROUPS] = 1, [VIEW_OBJECTS] = 4 }, /* BPF */
        };
        int r = ask_glob(options, argc ? argv[0] : NULL, &top.glob);

        if (r == 0 && options->sort)
                r = find_order(&top, options->sort);
        if (r == 0)
                r = ask_connect(&top.calls, options);
        if (r == 0)
                r = run(&top);
        top_leave_objects(&top);
        json_decref(top.cgroups);
        json_decref(top.root);
        free(top.glob);
        free(top.parents);
        history_deinit(&top.history);
        client_deinit(&top.events);
        client_deinit(&top.calls);
        return r;
}
