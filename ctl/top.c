/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/relation.h"
#include "field.h"
#include "table.h"
#include "text.h"

enum frame_view top_view(const struct top *top)
{
        return top->object_cgroup ? VIEW_OBJECTS : VIEW_CGROUPS;
}

json_t *top_rows(const struct top *top)
{
        return top->object_cgroup ? top->objects : top->cgroups;
}

/* --- Data --------------------------------------------------------------------------------------------------------- */

/* Whether @a and @b are the same cgroup or object. */
static bool same(const json_t *a, const json_t *b)
{
        return field_integer(a, "id") == field_integer(b, "id") &&
               strcmp(field_string(a, "kind"), field_string(b, "kind")) == 0;
}

/* Keeps the selection on the row that it was on in @before, or near it. */
static void keep_selected(struct top *top, enum frame_view view, const json_t *before, const json_t *rows)
{
        const json_t *row = json_array_get(before, top->selected[view]);
        size_t n = json_array_size(rows);

        /* A selection of the first row stays on the first row, because users look for the largest. */
        for (size_t i = 0; row && top->selected[view] > 0 && i < n; i++)
                if (same(row, json_array_get(rows, i))) {
                        top->selected[view] = i;
                        return;
                }
        if (top->selected[view] >= n)
                top->selected[view] = n ? n - 1 : 0;
}

static int sort_rows(const struct top *top, enum frame_view view, json_t *rows)
{
        size_t column = top->sort[view];

        return field_sort(rows, frame_column_field(view, column),
                        frame_column_descends(view, column) != top->reverse[view]);
}

static int set_cgroups(struct top *top, json_t *cgroups)
{
        ssize_t *parents = NULL;
        int r = sort_rows(top, VIEW_CGROUPS, cgroups);

        if (r == 0 && top->tree)
                r = table_make_tree(cgroups, &parents);
        if (r < 0)
                return r;
        free(top->parents);
        top->parents = parents;
        keep_selected(top, VIEW_CGROUPS, top->cgroups, cgroups);
        json_decref(top->cgroups);
        top->cgroups = json_incref(cgroups);
        return 0;
}

static int set_objects(struct top *top, json_t *objects)
{
        int r = sort_rows(top, VIEW_OBJECTS, objects);

        if (r < 0)
                return r;
        keep_selected(top, VIEW_OBJECTS, top->objects, objects);
        json_decref(top->objects);
        top->objects = json_incref(objects);
        return 0;
}

static int note_history(struct top *top, uint64_t second)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < json_array_size(top->cgroups); i++) {
                const json_t *row = json_array_get(top->cgroups, i);

                r = history_put(&top->history, field_integer(row, "id"), second, field_integer(row, "bpf.allocated"));
        }
        history_prune(&top->history, second);
        return r;
}

/* A glob that matches @path and the cgroups below it, with the special characters of globs in brackets. To be freed. */
static char *subtree_glob(const char *path)
{
        char *glob = malloc(3 * strlen(path) + sizeof("/**")), *end = glob;

        if (!glob)
                return NULL;
        for (const char *c = strcmp(path, "/") == 0 ? "" : path; *c; c++) {
                if (strchr("*?[", *c)) {
                        *end++ = '[';
                        *end++ = *c;
                        *end++ = ']';
                } else
                        *end++ = *c;
        }
        strcpy(end, end == glob ? "**" : "/**");
        return glob;
}

static int refresh_objects(struct top *top)
{
        _cleanup_free_ char *glob = subtree_glob(top->object_cgroup);
        json_t *objects;
        int r;

        if (!glob)
                return ask_tell(&top->calls, -ENOMEM);
        r = ask_list(&top->calls, "ListObjects", ask_objects_parameters(glob, RELATION_HOLDERS | RELATION_PINS),
                        "objects", &objects);
        if (r < 0)
                return r;
        r = ask_tell(&top->calls, set_objects(top, objects));
        json_decref(objects);
        return r;
}

int top_refresh(struct top *top)
{
        json_t *cgroups, *root;
        int r;

        r = ask(&top->calls, "GetCgroup", json_pack("{ss}", "cgroup", "/"), &root);
        if (r < 0)
                return r;
        json_decref(top->root);
        top->root = root;
        r = ask_list(&top->calls, "ListCgroups", ask_cgroups_parameters(top->glob), "cgroups", &cgroups);
        if (r < 0)
                return r;
        if (json_array_size(cgroups) == 0)
                r = ask_check_unit(&top->calls, top->argument);
        top->argument = NULL;
        if (r < 0) {
                json_decref(cgroups);
                return r;
        }
        top->shown_usec = now_usec();
        r = ask_tell(&top->calls, set_cgroups(top, cgroups) ?: note_history(top, top->shown_usec / 1000000));
        json_decref(cgroups);
        return r == 0 && top->object_cgroup ? refresh_objects(top) : r;
}

int top_take_events(struct top *top, bool *changed)
{
        do {
                bool continues;
                json_t *reply, *event;
                int r = client_receive(&top->events, CLIENT_TIMEOUT_MSEC, &reply, &continues);

                if (r != 0)
                        return ask_tell(&top->events, r);
                event = field_get(reply, "event");
                if (event) {
                        event_text(event, top->options->bytes, top->message);
                        *changed = true;
                }
                json_decref(reply);
        } while (client_pending(&top->events));
        return 0;
}

/* --- Pictures ----------------------------------------------------------------------------------------------------- */

static size_t count_over(const json_t *cgroups)
{
        size_t over = 0;

        for (size_t i = 0; i < json_array_size(cgroups); i++) {
                const char *state = field_string(json_array_get(cgroups, i), "budget.state");

                over += strcmp(state, "high") == 0 || strcmp(state, "max") == 0;
        }
        return over;
}

static void make_summary(const struct top *top, char *buffer, size_t size)
{
        char allocated[FORMAT_BYTES_MAX], charged[FORMAT_BYTES_MAX], uncharged[FORMAT_BYTES_MAX];
        bool exact = top->options->bytes;

        snprintf(buffer, size, "BPF %s, charged %s, uncharged %s; %zu over a limit",
                        format_bytes(allocated, field_integer(top->root, "cgroup.bpf.allocated"), exact),
                        format_bytes(charged, field_integer(top->root, "cgroup.bpf.charged"), exact),
                        format_bytes(uncharged, field_integer(top->root, "cgroup.bpf.uncharged"), exact),
                        count_over(top->cgroups));
}

static void make_title(const struct top *top, char *buffer, size_t size)
{
        enum frame_view view = top_view(top);
        time_t now = time(NULL);
        char clock[16];
        struct tm tm;

        strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
        if (view == VIEW_OBJECTS)
                snprintf(buffer, size, "%s  %zu objects of %s, by %s%s", clock, json_array_size(top->objects),
                                top->object_cgroup, frame_column_title(view, top->sort[view]),
                                top->reverse[view] ? " upwards" : "");
        else
                snprintf(buffer, size, "%s  %zu cgroups, %s by %s%s, every %.1f s", clock,
                                json_array_size(top->cgroups), top->tree ? "tree" : "list",
                                frame_column_title(view, top->sort[view]), top->reverse[view] ? " upwards" : "",
                                top->delay_usec / 1e6);
}

int top_frame(struct top *top, size_t width, size_t height, struct frame *frame)
{
        enum frame_view view = top_view(top);
        char title[EVENT_TEXT_MAX], summary[256];
        struct frame_input input = {
                .view = view,
                .rows = top_rows(top),
                .parents = view == VIEW_CGROUPS ? top->parents : NULL,
                .history = &top->history,
                .second = top->shown_usec / 1000000,
                .width = width,
                .height = height,
                .first = top->first[view],
                .selected = height ? (ssize_t) top->selected[view] : -1,
                .utf8 = text_is_utf8(),
                .exact = top->options->bytes,
                .title = title,
                .summary = summary,
                .message = top->message,
        };

        make_title(top, title, sizeof(title));
        make_summary(top, summary, sizeof(summary));
        if (height)
                input.keys = view == VIEW_OBJECTS
                                             ? "q quit  Esc cgroups  <> order  i invert  h help"
                                             : "q quit  Enter objects  t tree  <> order  i invert  +- delay  h help";
        return frame_make(frame, &input);
}

/* --- Objects of one cgroup ---------------------------------------------------------------------------------------- */

void top_leave_objects(struct top *top)
{
        free(top->object_cgroup);
        top->object_cgroup = NULL;
        json_decref(top->objects);
        top->objects = NULL;
}

int top_enter_objects(struct top *top)
{
        const char *path = field_string(json_array_get(top->cgroups, top->selected[VIEW_CGROUPS]), "path");

        if (top_view(top) == VIEW_OBJECTS || !*path)
                return 0;
        top->object_cgroup = strdup(path);
        top->selected[VIEW_OBJECTS] = top->first[VIEW_OBJECTS] = 0;
        return top->object_cgroup ? 0 : -ENOMEM;
}
