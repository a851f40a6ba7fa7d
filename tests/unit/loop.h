/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The libevent loop of a server, which the thread of the test runs: the monotonic clock stands still until the test
 * moves it, peers can belong to any user, and the loop turns until nothing is left to do. To be included by one file of
 * a program.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

/* No test needs more turns than this; a server that does is in an endless loop. */
#define LOOP_TURNS_MAX 100000

static uint64_t loop_clock_usec = 1000 * 1000 * 1000ULL;
static uid_t loop_peer = (uid_t) -1; /* user of the next peers that connect; -1: the actual one */
static struct event_base *loop_turning;
static unsigned int loop_turns;

/* libevent calls it in each turn. */
int clock_gettime(clockid_t id, struct timespec *time)
{
        if (loop_turning && loop_turns++ > LOOP_TURNS_MAX)
                event_base_loopbreak(loop_turning);
        if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
                return (int) syscall(SYS_clock_gettime, id, time);
        *time = (struct timespec){ .tv_sec = (time_t) (loop_clock_usec / 1000000),
                .tv_nsec = (long) (loop_clock_usec % 1000000) * 1000 };
        return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
        int r = (int) syscall(SYS_getsockopt, fd, level, name, value, size);

        if (r == 0 && level == SOL_SOCKET && name == SO_PEERCRED && loop_peer != (uid_t) -1)
                ((struct ucred *) value)->uid = loop_peer;
        return r;
}

/* Lets the loop turn until there is nothing to do without waiting. */
static inline void loop_turn(struct event_base *base)
{
        loop_turning = base;
        loop_turns = 0;
        event_base_loop(base, EVLOOP_NONBLOCK);
        loop_turning = NULL;
        if (event_base_got_break(base))
                fail_msg("the server does not come to rest");
}

/* The same, @usec later. */
static inline void loop_sleep(struct event_base *base, uint64_t usec)
{
        loop_clock_usec += usec;
        loop_turn(base);
}

/*
 * The next reply at @fd, which does not block, as text, to be freed; NULL: there is none. *closed says whether none
 * will come.
 */
static inline char *loop_receive(struct event_base *base, int fd, bool *closed)
{
        bool rested = false;
        char *text = NULL;
        size_t size = 0, room = 0;
        ssize_t n;

        *closed = false;
        for (;;) {
                char piece[65536], *end;

                n = recv(fd, piece, sizeof(piece), MSG_PEEK);
                if (n < 0 && size > 0 && errno == EAGAIN && !rested) {
                        loop_turn(base);
                        rested = true;
                        continue;
                }
                rested = false;
                if (n <= 0)
                        break;
                /* Read no more than this reply, so that the server sees the rest as unread. */
                end = memchr(piece, '\0', n);
                n = end ? end + 1 - piece : n;
                if (size + n > room) {
                        room = 2 * (size + n);
                        text = realloc(text, room);
                        assert_non_null(text);
                }
                assert_int_equal(recv(fd, text + size, n, 0), n);
                size += n;
                if (end)
                        return text;
        }
        *closed = n == 0 || errno != EAGAIN;
        /* A reply must not be incomplete. */
        assert_int_equal(size, 0);
        return NULL;
}
