/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue whose thread sends: to somebody who is stuck, gone for a while, or back again. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/outbox.h"

#define SECOND 1000000ULL

/* Each test has a queue of its own: a thread that is stuck stays. */
struct letter {
        struct parcel parcel;
        char name;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char sent[256];                   /* names, and "(COUNT)" of what was lost */
static unsigned int tries, drops, later; /* how often it is to be tried again */
static int result;
static bool stuck;
static sem_t open_door; /* whoever is stuck goes on by one */
static int create_result;
static sigset_t mask_of_thread;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
        return create_result ?: __real_pthread_create(thread, attributes, run, context);
}

/* What the other side does with @text. */
static int receive(const char *text)
{
        int r;

        pthread_mutex_lock(&lock);
        tries++;
        pthread_sigmask(SIG_SETMASK, NULL, &mask_of_thread);
        if (later > 0) {
                later--;
                pthread_mutex_unlock(&lock);
                return OUTBOX_LATER;
        }
        pthread_mutex_unlock(&lock);
        if (stuck)
                sem_wait(&open_door);
        pthread_mutex_lock(&lock);
        r = result;
        if (r == 0)
                strcat(sent, text);
        pthread_mutex_unlock(&lock);
        return r;
}

static int send_letter(const struct parcel *parcel)
{
        char text[] = { ((const struct letter *) parcel)->name, '\0' };

        return receive(text);
}

static int tell(uint64_t count)
{
        char text[32];

        snprintf(text, sizeof(text), "(%llu)", (unsigned long long) count);
        return receive(text);
}

static void drop(struct parcel *parcel)
{
        drops++;
        free(parcel);
}

static struct outbox *new_outbox(uint64_t lost)
{
        static struct outbox all[16];
        static unsigned int count;
        struct outbox *outbox = &all[count++];

        assert_true(count <= 16);
        outbox->send = send_letter;
        outbox->tell_lost = tell;
        outbox->drop = drop;
        outbox->bytes_max = 40;
        outbox_start(outbox, lost);
        return outbox;
}

static bool put(struct outbox *outbox, char name, size_t size)
{
        struct letter *letter = calloc(1, sizeof(*letter));

        assert_non_null(letter);
        letter->name = name;
        letter->parcel.size = size;
        return outbox_put(outbox, &letter->parcel);
}

/* Waits until so many were tried to be sent. */
static void wait_tries(unsigned int count)
{
        uint64_t end = now_usec() + 10 * SECOND;
        unsigned int now;

        do {
                assert_true(now_usec() < end);
                usleep(1000);
                pthread_mutex_lock(&lock);
                now = tries;
                pthread_mutex_unlock(&lock);
        } while (now < count);
}

static int setup(void **state)
{
        (void) state;
        *sent = '\0';
        tries = drops = later = 0;
        result = create_result = 0;
        stuck = false;
        return sem_init(&open_door, 0, 0);
}

static void test_order(void **state)
{
        struct outbox *outbox = new_outbox(0);

        (void) state;
        for (char c = 'a'; c <= 'z'; c++) {
                assert_true(put(outbox, c, 1));
                if (c % 4 == 0)
                        wait_tries(c - 'a' + 1);
        }
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "abcdefghijklmnopqrstuvwxyz");
        assert_int_equal(drops, 26);
        for (int signal = 1; signal < 32; signal++)
                assert_true(sigismember(&mask_of_thread, signal) || signal == SIGKILL || signal == SIGSTOP);
}

/* Whoever puts does not wait. What does not fit is counted, and the count comes first. */
static void test_stuck(void **state)
{
        struct outbox *outbox;
        uint64_t begin = now_usec();

        (void) state;
        stuck = true;
        outbox = new_outbox(0);
        assert_true(put(outbox, 'a', 10));
        wait_tries(1);
        for (char c = 'b'; c <= 'd'; c++)
                assert_true(put(outbox, c, 10));
        for (char c = 'e'; c <= 'i'; c++)
                assert_false(put(outbox, c, 10));
        outbox_count_lost(outbox);
        assert_int_equal(drops, 5);
        assert_true(now_usec() - begin < 5 * SECOND);
        assert_int_equal(outbox->bytes, 40);
        stuck = false;
        sem_post(&open_door);
        wait_tries(5);
        assert_true(put(outbox, 'j', 10));
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "a(6)bcdj");
}

/* One that is larger than the queue goes alone. */
static void test_large(void **state)
{
        struct outbox *outbox;

        (void) state;
        stuck = true;
        outbox = new_outbox(0);
        assert_true(put(outbox, 'a', 1000));
        wait_tries(1);
        assert_false(put(outbox, 'b', 1));
        stuck = false;
        sem_post(&open_door);
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "a(1)");
}

/* At the end nobody is waited for longer than it was said; what is left is counted, and what nobody was told of. */
static void test_stop_is_bounded(void **state)
{
        struct outbox *outbox;
        uint64_t begin;

        (void) state;
        stuck = true;
        outbox = new_outbox(2);
        for (char c = 'a'; c <= 'd'; c++)
                assert_true(put(outbox, c, 10));
        assert_false(put(outbox, 'e', 10));
        wait_tries(1);
        begin = now_usec();
        assert_int_equal(outbox_stop(outbox, SECOND / 5), 2 + 4 + 1);
        assert_true(now_usec() - begin >= SECOND / 5);
        assert_true(now_usec() - begin < SECOND);
        /* Nothing more is taken. */
        assert_false(put(outbox, 'f', 1));
        /* The thread is stuck for good: it has the queue. */
}

/* What others have lost is told before all else, even if there is nothing else. */
static void test_lost_before(void **state)
{
        struct outbox *outbox = new_outbox(3);

        (void) state;
        wait_tries(1);
        assert_true(put(outbox, 'a', 1));
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "(3)a");
}

/* There is nobody for a while: nothing is lost, and the order stays. */
static void test_later(void **state)
{
        struct outbox *outbox;

        (void) state;
        later = 3;
        outbox = new_outbox(0);
        assert_true(put(outbox, 'a', 1));
        assert_true(put(outbox, 'b', 1));
        wait_tries(5);
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "ab");
        /* Nor is the end waited for longer. */
        later = UINT32_MAX;
        outbox = new_outbox(0);
        assert_true(put(outbox, 'c', 1));
        assert_int_equal(outbox_stop(outbox, SECOND / 5), 1);
        pthread_mutex_lock(&lock);
        tries = later = 0;
        pthread_mutex_unlock(&lock);
        wait_tries(1); /* the thread goes on and ends */
}

/* What cannot be sent counts as lost, and is told when something can. */
static void test_fails(void **state)
{
        struct outbox *outbox = new_outbox(0);

        (void) state;
        result = -EPIPE;
        assert_true(put(outbox, 'a', 1));
        wait_tries(2); /* and the count */
        assert_true(put(outbox, 'b', 1));
        wait_tries(4);
        pthread_mutex_lock(&lock);
        result = 0;
        pthread_mutex_unlock(&lock);
        outbox_count_lost(outbox);
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "(3)");
}

/* Without a thread everything waits for the next try, or for the end. */
static void test_no_thread(void **state)
{
        struct outbox *outbox;

        (void) state;
        create_result = EAGAIN;
        outbox = new_outbox(0);
        assert_true(put(outbox, 'a', 1));
        usleep(10000);
        assert_string_equal(sent, "");
        create_result = 0;
        assert_true(put(outbox, 'b', 1));
        wait_tries(2);
        assert_int_equal(outbox_stop(outbox, 10 * SECOND), 0);
        assert_string_equal(sent, "ab");
        create_result = EAGAIN;
        *sent = '\0';
        outbox = new_outbox(1);
        assert_true(put(outbox, 'c', 1));
        assert_true(put(outbox, 'd', 1));
        assert_int_equal(outbox_stop(outbox, 0), 0);
        assert_string_equal(sent, "(1)cd");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_order, setup), cmocka_unit_test_setup(test_stuck, setup),
                cmocka_unit_test_setup(test_large, setup), cmocka_unit_test_setup(test_lost_before, setup),
                cmocka_unit_test_setup(test_later, setup), cmocka_unit_test_setup(test_fails, setup),
                cmocka_unit_test_setup(test_no_thread, setup),
                cmocka_unit_test_setup(test_stop_is_bounded, setup), /* the last one: its thread stays */
        };

        return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
