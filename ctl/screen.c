/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ask.h"
#include "base/clock.h"
#include "base/log.h"
#include "terminal.h"

/* The minimum time between two updates of the picture by events. */
#define EVENT_INTERVAL_USEC (100ULL * 1000)

#define DELAY_MIN_USEC (100ULL * 1000)
#define DELAY_MAX_USEC (60ULL * 1000 * 1000)

#define KEY_ESCAPE 27

/* --- The terminal ------------------------------------------------------------------------------------------------- */

static const char *const help_lines[] = {
        "q            quit",
        "Up, Down     select a cgroup; also PgUp, PgDn, Home, End",
        "Enter        show the objects in it and below",
        "Esc          back to the cgroups",
        "t            switch between tree and list",
        "< >          sort by the previous or next column",
        "i            reverse the order",
        "+ -          increase or decrease the time between updates",
        "Space        update now",
        "",
        "BPF        memory of maps and programs, with the subtree",
        "UNCHARGED  the part of it that no cgroup is charged for",
        "BUDGET     usage against Max, with | at High; against High without Max",
        "",
        "Any key goes back.",
        NULL,
};

static attr_t attributes_of(const struct top *top, enum frame_look look)
{
        switch (look) {
        case LOOK_TITLE:
                return A_BOLD;
        case LOOK_HEADER:
                return A_REVERSE;
        case LOOK_SELECTED:
                return A_REVERSE | A_BOLD;
        case LOOK_HIGH:
                return A_BOLD | (top->colors ? COLOR_PAIR(COLOR_YELLOW) : 0);
        case LOOK_MAX:
                return A_BOLD | (top->colors ? COLOR_PAIR(COLOR_RED) : A_UNDERLINE);
        case LOOK_DIM:
                return A_DIM;
        case LOOK_PLAIN:
                break;
        }
        return A_NORMAL;
}

static void draw_help(void)
{
        erase();
        for (int y = 0; y < LINES && help_lines[y]; y++)
                mvaddnstr(y, 2, help_lines[y], COLS - 2);
        refresh();
}

/* Keeps the selected row on the screen. */
static void scroll_to_selected(struct top *top)
{
        enum frame_view view = top_view(top);
        size_t room = LINES > FRAME_EXTRA_LINES ? LINES - FRAME_EXTRA_LINES : 1;

        if (top->selected[view] < top->first[view])
                top->first[view] = top->selected[view];
        if (top->selected[view] >= top->first[view] + room)
                top->first[view] = top->selected[view] - room + 1;
}

static int draw(struct top *top)
{
        struct frame frame;
        int r;

        if (top->help) {
                draw_help();
                return 0;
        }
        scroll_to_selected(top);
        r = top_frame(top, COLS, LINES, &frame);
        erase();
        for (size_t i = 0; r == 0 && i < frame.count && i < (size_t) LINES; i++) {
                attr_t attributes = attributes_of(top, frame.lines[i].look);
                bool whole = frame.lines[i].look == LOOK_HEADER || frame.lines[i].look == LOOK_SELECTED;

                attrset(attributes);
                /* Reversed lines are reversed up to the right edge. */
                if (whole)
                        mvhline(i, 0, ' ' | attributes, COLS);
                mvaddstr(i, 0, frame.lines[i].text);
                attrset(A_NORMAL);
        }
        frame_deinit(&frame);
        refresh();
        return r;
}

static void start_colors(struct top *top)
{
        static const short colors[] = { COLOR_YELLOW, COLOR_RED };

        top->colors = terminal_colors() && has_colors() && start_color() == OK;
        if (!top->colors)
                return;
        use_default_colors();
        for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
                init_pair(colors[i], colors[i], -1);
}

/*
 * The terminal while this program draws on it. Messages that are logged meanwhile are kept, and written when the screen
 * is closed.
 */
struct screen {
        SCREEN *curses;
        FILE *messages, *saved_stderr;
        char *text;
        size_t size;
};

/* Returns 0, or a negative errno, logged. */
static int open_screen(struct top *top, struct screen *screen)
{
        screen->messages = open_memstream(&screen->text, &screen->size);
        screen->curses = newterm(NULL, stdout, stdin);
        if (!screen->messages || !screen->curses) {
                log_error("The terminal \"%s\" cannot be used; --batch prints instead", getenv("TERM") ?: "");
                return -ENOTTY;
        }
        screen->saved_stderr = stderr;
        stderr = screen->messages;
        cbreak();
        noecho();
        keypad(stdscr, TRUE);
        nodelay(stdscr, TRUE);
        set_escdelay(25);
        curs_set(0);
        start_colors(top);
        return 0;
}

static void close_screen(struct screen *screen)
{
        if (screen->saved_stderr)
                stderr = screen->saved_stderr;
        if (screen->curses) {
                endwin();
                delscreen(screen->curses);
        }
        if (screen->messages && fclose(screen->messages) == 0)
                fputs(screen->text, stderr);
        free(screen->text);
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static void move_selected(struct top *top, ssize_t by)
{
        enum frame_view view = top_view(top);
        ssize_t last = (ssize_t) json_array_size(top_rows(top)) - 1, to = (ssize_t) top->selected[view] + by;

        top->selected[view] = to < 0 || last < 0 ? 0 : to > last ? last : to;
}

static void next_column(struct top *top, int by)
{
        enum frame_view view = top_view(top);
        size_t n = frame_columns(view);

        top->sort[view] = (top->sort[view] + n + by) % n;
}

/* Handles keys that only move the selection. Returns whether @key is one of them. */
static bool move_by_key(struct top *top, int key)
{
        ssize_t page = LINES > FRAME_EXTRA_LINES ? LINES - FRAME_EXTRA_LINES : 1;

        switch (key) {
        case KEY_UP:
        case 'k':
                move_selected(top, -1);
                return true;
        case KEY_DOWN:
        case 'j':
                move_selected(top, 1);
                return true;
        case KEY_PPAGE:
                move_selected(top, -page);
                return true;
        case KEY_NPAGE:
                move_selected(top, page);
                return true;
        case KEY_HOME:
        case 'g':
                move_selected(top, -(ssize_t) json_array_size(top_rows(top)));
                return true;
        case KEY_END:
        case 'G':
                move_selected(top, json_array_size(top_rows(top)));
                return true;
        case KEY_RESIZE:
                return true;
        default:
                return false;
        }
}

/* Handles one key. *again: the data must be queried again. */
static int handle_key(struct top *top, int key, bool *again)
{
        if (top->help && key != KEY_RESIZE) {
                top->help = false;
                return 0;
        }
        if (move_by_key(top, key))
                return 0;
        *again = true;
        switch (key) {
        case 'q':
        case 'Q':
                top->quit = true;
                break;
        case '\n':
        case '\r':
        case KEY_ENTER:
                return top_enter_objects(top);
        case KEY_ESCAPE:
        case KEY_BACKSPACE:
        case 127:
                top_leave_objects(top);
                break;
        case 't':
                top->tree = !top->tree;
                break;
        case '<':
        case KEY_LEFT:
                next_column(top, -1);
                break;
        case '>':
        case KEY_RIGHT:
                next_column(top, 1);
                break;
        case 'i':
                top->reverse[top_view(top)] = !top->reverse[top_view(top)];
                break;
        case '+':
                top->delay_usec = top->delay_usec * 2 < DELAY_MAX_USEC ? top->delay_usec * 2 : DELAY_MAX_USEC;
                break;
        case '-':
                top->delay_usec = top->delay_usec / 2 > DELAY_MIN_USEC ? top->delay_usec / 2 : DELAY_MIN_USEC;
                break;
        case 'h':
        case '?':
                top->help = true;
                break;
        case ' ':
                break;
        default:
                *again = false;
        }
        return 0;
}

static int take_keys(struct top *top, bool *again)
{
        int key, r = 0;

        while (r == 0 && !top->quit && (key = getch()) != ERR)
                r = handle_key(top, key, again);
        return r;
}

/* --- The loop ----------------------------------------------------------------------------------------------------- */

/* Waits for a key, an event or the end of the interval. Returns 0 or a negative errno, logged. */
static int wait_for_change(struct top *top, bool *again)
{
        uint64_t since = now_usec() - top->shown_usec;
        int timeout = since < top->delay_usec ? (top->delay_usec - since + 999) / 1000 : 0, r = 0;
        struct pollfd fds[] = {
                { .fd = STDIN_FILENO, .events = POLLIN },
                { .fd = top->events.fd, .events = POLLIN },
        };

        if (poll(fds, 2, timeout) < 0 && errno != EINTR)
                return ask_tell(&top->events, -errno);
        if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
                top->quit = true;
                return 0;
        }
        if (fds[1].revents)
                r = top_take_events(top, again);
        if (*again && now_usec() - top->shown_usec < EVENT_INTERVAL_USEC)
                *again = false; /* the interval is short, or the next event will do */
        if (r == 0)
                r = take_keys(top, again);
        if (now_usec() - top->shown_usec >= top->delay_usec)
                *again = true;
        return r;
}

static int run(struct top *top)
{
        uint32_t left = top->options->iterations;
        bool again = true;
        int r = 0;

        while (r == 0 && !top->quit) {
                if (again) {
                        if (top->options->iterations && left-- == 0)
                                break;
                        r = top_refresh(top);
                }
                again = false;
                if (r == 0)
                        r = draw(top);
                if (r == 0)
                        r = wait_for_change(top, &again);
        }
        return r;
}

int screen_run(struct top *top)
{
        struct screen screen = {};
        int r;

        r = open_screen(top, &screen);
        if (r == 0)
                r = run(top);
        close_screen(&screen);
        return r;
}
