/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * A user keeps the daemon busy for at most a quarter of the time, and all users except root together for at most half
 * of it. Thus a client that sends calls as fast as it can neither uses a whole CPU nor makes others wait. A user who
 * was idle has the share of one second available at once, so that people and their scripts are not slowed down.
 */
#define USER_SHARE 4
#define ALL_SHARE  2
#define BURST_USEC (1000 * 1000)

/*
 * After a call of root, a user who has used half of its burst waits this long for root's next call, because root would
 * otherwise wait for that user each time. The second limits this: others are served at least this often.
 */
#define ROOT_PAUSE_USEC  (5 * 1000)
#define OTHERS_WAIT_USEC (100 * 1000)

/*
 * The maximum number of users without connections that are kept to remember their used time; others are freed
 * immediately.
 */
#define USERS_MAX 512

/* The time that is not measured, in microseconds: to wake up, receive and send; to accept and close; to push. */
#define TURN_USEC 20
#define JOIN_USEC 50
#define PUSH_USEC 10

bool user_is_root(const struct user *user)
{
        return user->uid == 0;
}

/*
 * Moves *due by @usec times @share. *due is in the past as long as the user has used no more than the share of the
 * time, and the burst.
 */
static void charge(uint64_t *due, uint64_t now, uint64_t usec, unsigned int share)
{
        uint64_t earliest = now > BURST_USEC ? now - BURST_USEC : 0;

        *due = MAX(*due, earliest) + usec * share;
}

/* Records that @user has used @usec at @now. Root has no limit. */
static void charge_user(struct varlink_server *server, struct user *user, uint64_t now, uint64_t usec)
{
        if (user_is_root(user))
                return;
        charge(&user->due_usec, now, usec, USER_SHARE);
        charge(&server->due_usec, now, usec, ALL_SHARE);
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

/* Frees users without connections whose whole share is available again. */
static void forget_users(struct varlink_server *server, uint64_t now)
{
        struct user *user, *next;

        DL_FOREACH_SAFE(server->users, user, next)
        {
                if (user->clients > 0 || (user->due_usec + BURST_USEC > now && server->user_count <= USERS_MAX))
                        continue;
                DL_DELETE(server->users, user);
                server->user_count--;
                free(user);
        }
}

static struct user *find_user(const struct varlink_server *server, uid_t uid)
{
        struct user *user;

        DL_FOREACH(server->users, user)
        if (user->uid == uid)
                return user;
        return NULL;
}

static struct user *get_user(struct varlink_server *server, uid_t uid)
{
        struct user *user = find_user(server, uid);

        if (user)
                return user;
        user = calloc(1, sizeof(*user));
        if (user) {
                user->uid = uid;
                DL_APPEND(server->users, user);
                server->user_count++;
        }
        return user;
}

int user_join(struct varlink_server *server, uid_t uid, struct user **ret)
{
        uint64_t now = now_usec();
        const struct user *root;
        struct user *user;

        forget_users(server, now);
        user = get_user(server, uid);
        if (!user)
                return -ENOMEM;
        charge_user(server, user, now, JOIN_USEC);
        root = find_user(server, 0);
        if (user->clients >= VARLINK_USER_CLIENTS_MAX ||
                        (user != root && server->client_count - (root ? root->clients : 0) >= VARLINK_CLIENTS_MAX))
                return -EUSERS;
        user->clients++;
        server->client_count++;
        *ret = user;
        return 0;
}

void user_leave(struct varlink_server *server, struct user *user)
{
        user->clients--;
        server->client_count--;
}

void users_free(struct varlink_server *server)
{
        struct user *user, *next;

        DL_FOREACH_SAFE(server->users, user, next)
        free(user);
        server->users = NULL;
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

void user_wait(struct client *client)
{
        if (client->waiting)
                return;
        client->waiting = true;
        DL_APPEND2(client->user->waiting, client, prev_waiting, next_waiting);
}

void user_wait_no_more(struct client *client)
{
        if (!client->waiting)
                return;
        client->waiting = false;
        DL_DELETE2(client->user->waiting, client, prev_waiting, next_waiting);
}

/* The time at which @user may be served. */
static uint64_t due_of(const struct varlink_server *server, const struct user *user)
{
        uint64_t pause_end = server->root_usec + ROOT_PAUSE_USEC, due = MAX(user->due_usec, server->due_usec);

        if (user_is_root(user))
                return 0;
        if (due + BURST_USEC / 2 < pause_end)
                return due;
        return MAX(due, MIN(pause_end, server->others_usec + OTHERS_WAIT_USEC));
}

struct user *user_next(struct varlink_server *server, bool root, uint64_t now)
{
        struct user *user;

        DL_FOREACH(server->users, user)
        if (user->waiting && user_is_root(user) == root && due_of(server, user) <= now) {
                /* Next time, the other users come first. */
                DL_DELETE(server->users, user);
                DL_APPEND(server->users, user);
                return user;
        }
        return NULL;
}

uint64_t users_due_usec(const struct varlink_server *server)
{
        const struct user *user;
        uint64_t due = UINT64_MAX;

        DL_FOREACH(server->users, user)
        if (user->waiting)
                due = MIN(due, due_of(server, user));
        return due;
}

void user_served(struct varlink_server *server, struct user *user, uint64_t now, uint64_t usec)
{
        if (user_is_root(user))
                server->root_usec = now;
        else
                server->others_usec = now;
        charge_user(server, user, now, usec + TURN_USEC);
}

bool user_takes_push(struct varlink_server *server, struct user *user)
{
        uint64_t now = now_usec();

        if (!user_is_root(user) && MAX(user->due_usec, server->due_usec) > now)
                return false;
        charge_user(server, user, now, PUSH_USEC);
        return true;
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

/* The counter of root's clients, or of all other clients. */
static size_t *pool_of(const struct client *client)
{
        return user_is_root(client->user) ? &client->user->held : &client->server->held;
}

static void set_held(struct client *client, size_t held)
{
        if (!user_is_root(client->user))
                client->server->held += held - client->held;
        client->user->held += held - client->held;
        client->held = held;
}

static size_t held_by(const struct client *client)
{
        return client->dead ? 0
                            : evbuffer_get_length(bufferevent_get_input(client->connection)) +
                                               evbuffer_get_length(client_output(client)) + client->call.state_size;
}

/*
 * Finds the user who holds most, root or one of the others, and returns the client of this user that holds most; NULL:
 * no client holds anything.
 */
static struct client *find_largest(struct varlink_server *server, bool root)
{
        struct client *client, *largest = NULL;

        DL_FOREACH(server->clients, client)
        if (user_is_root(client->user) == root && client->held > 0 &&
                        (!largest || client->user->held > largest->user->held ||
                                        (client->user == largest->user && client->held > largest->held)))
                largest = client;
        return largest;
}

void client_count_held(struct client *client)
{
        struct varlink_server *server = client->server;
        bool root = user_is_root(client->user);
        const size_t *pool = pool_of(client);
        struct client *other;

        set_held(client, held_by(client));
        if (*pool <= VARLINK_HELD_MAX)
                return;
        /* Some clients may have read a part meanwhile. */
        DL_FOREACH(server->clients, other)
        set_held(other, held_by(other));
        while (*pool > VARLINK_HELD_MAX) {
                other = find_largest(server, root);
                if (!other || other->held == *pool)
                        return;
                log_debug("A varlink client of user %u is disconnected: it holds %zu bytes of %zu",
                                (unsigned int) other->user->uid, other->held, *pool);
                client_drop(other);
                set_held(other, 0);
        }
}
