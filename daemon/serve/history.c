/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/history.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include <utlist.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wallclock.h"
#include "serve/historybatch.h"

#define MICROSECONDS 1000000ULL
#define HOUR_USEC    (3600 * MICROSECONDS)

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static struct history_entry *find_entry(const struct history *history, const char *key)
{
        struct history_entry *entry;

        HASH_FIND(hh, history->entries, key, strlen(key), entry);
        return entry;
}

static void set_cgroup(struct history_entry *entry, const struct cgroup *cgroup, bool outer)
{
        char *path;

        entry->outer = outer;
        if (entry->cgroup && strcmp(entry->cgroup, cgroup->path) == 0)
                return;
        path = strdup(cgroup->path);
        if (!path)
                return;
        free(entry->cgroup);
        entry->cgroup = path;
}

/* The workload of @name, a new one if need be; NULL: there are too many, or no memory. */
static struct history_entry *get_entry(struct history *history, const struct history_name *name)
{
        char key[1 + HISTORY_NAME_SIZE];
        struct history_entry *entry;

        key[0] = 'a' + name->kind;
        strcpy(key + 1, name->text);
        entry = find_entry(history, key);
        if (entry)
                return entry;
        if (history->entry_count == HISTORY_WORKLOADS_MAX ||
                        (name->kind == HISTORY_CGROUP && history->path_count == HISTORY_PATHS_MAX)) {
                if (!history->full)
                        log_warning("The history has %zu workloads, %zu of them without a name: more are not in it",
                                        history->entry_count, history->path_count);
                history->full = true;
                return NULL;
        }
        entry = calloc(1, sizeof(*entry) + strlen(key) + 1);
        if (!entry)
                return NULL;
        strcpy(entry->key, key);
        HASH_ADD(hh, history->entries, key, strlen(entry->key), entry);
        if (!HASH_ADDED(entry)) {
                free(entry);
                return NULL;
        }
        history->entry_count++;
        history->path_count += history_entry_is_path(entry);
        return entry;
}

/* Starts the timer, because there is something to write. */
static void set_due(struct history *history)
{
        uint64_t now, due, left;
        struct timeval wait;

        if (history->unwritten || history->off)
                return;
        history->unwritten = true;
        if (history->in_flight)
                return;
        now = now_usec();
        due = history->written_usec + wall_wait_usec(HISTORY_INTERVAL_USEC);
        left = history->written_usec && due > now ? due - now : 0;
        wait = (struct timeval){ .tv_sec = left / MICROSECONDS, .tv_usec = left % MICROSECONDS };
        event_add(history->timer, &wait);
}

/* Keeps an hour of @entry that has ended before it was written. */
static void set_hour_aside(struct history *history, struct history_entry *entry)
{
        const struct history_hour_note note = {
                .hour = entry->hour,
                .peak = entry->peak,
                .last = entry->level,
                .steps = entry->steps,
                .step = entry->step,
        };

        history_keep_hour(history, entry, &note);
}

/* @entry has @level bytes from now on. */
static void set_level(struct history *history, struct history_entry *entry, uint64_t level)
{
        uint64_t hour = wall_usec() / HOUR_USEC;

        if (entry->hour != hour) {
                if (entry->dirty)
                        set_hour_aside(history, entry);
                entry->hour = hour;
                entry->peak = entry->level;
                entry->step = entry->steps = 0;
        }
        /* What existed before this daemon is not a change now. */
        if (history->beginning)
                entry->initial = level;
        else
                entry->steps += level != entry->level;
        if (!history->beginning && level > entry->level)
                entry->step = MAX(entry->step, level - entry->level);
        entry->level = level;
        entry->peak = MAX(entry->peak, level);
        entry->dirty = true;
        set_due(history);
}

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

static void update_level(struct history *history, struct history_entry *entry)
{
        uint64_t level = 0;

        for (const struct history_member *member = entry->members; member; member = member->next)
                level = MAX(level, member->level);
        if (level != entry->level || history->beginning)
                set_level(history, entry, level);
}

static void remove_member(struct history *history, struct history_member *member)
{
        struct history_entry *entry = member->entry;

        HASH_DEL(history->members, member);
        DL_DELETE(entry->members, member);
        free(member);
        update_level(history, entry);
        history_entry_drop(history, entry);
}

/* Adds @cgroup, which has objects, if it is a workload. */
static void add_member(struct history *history, const struct cgroup *cgroup)
{
        struct history_name name;
        struct history_entry *entry = history_name(cgroup, &name) ? get_entry(history, &name) : NULL;
        struct history_member *member = entry ? calloc(1, sizeof(*member)) : NULL;

        if (!member)
                return;
        member->id = cgroup->id;
        member->entry = entry;
        member->level = cgroup->total.allocated;
        HASH_ADD(hh, history->members, id, sizeof(member->id), member);
        if (!HASH_ADDED(member)) {
                free(member);
                return;
        }
        DL_APPEND(entry->members, member);
        set_cgroup(entry, cgroup, name.outer);
        update_level(history, entry);
}

static void note_cgroup(struct history *history, const struct cgroup *cgroup)
{
        struct history_member *member = history_member(history, cgroup->id);
        uint64_t level = cgroup->total.allocated;

        if (!member) {
                if (level > 0)
                        add_member(history, cgroup);
                return;
        }
        if (member->level == level)
                return;
        member->level = level;
        if (level == 0) {
                remove_member(history, member);
                return;
        }
        /* A cgroup that is known by its path may have objects of its own now. */
        if (history_entry_is_path(member->entry))
                member->entry->outer = !cgroup->parent || cgroup->self.allocated == 0;
        update_level(history, member->entry);
}

void history_take(struct history *history)
{
        const struct cgroup *cgroup;

        if (!history)
                return;
        while ((cgroup = tree_take_noted(history->options.tree)))
                if (!history->off)
                        note_cgroup(history, cgroup);
}

/* Whether @member has another name than @cgroup has now. */
static bool is_renamed(const struct history_member *member, const struct cgroup *cgroup)
{
        struct history_name name;

        return history_name(cgroup, &name) &&
               (member->entry->key[0] != (char) ('a' + name.kind) || strcmp(member->entry->key + 1, name.text) != 0);
}

void history_take_names(struct history *history)
{
        const struct cgroup *cgroup, *next;

        if (!history || history->off)
                return;
        HASH_ITER (hh, history->options.tree->by_id, cgroup, next) {
                struct history_member *member = history_member(history, cgroup->id);

                if (member && is_renamed(member, cgroup)) {
                        remove_member(history, member);
                        member = NULL;
                }
                if (!member)
                        note_cgroup(history, cgroup);
        }
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

/* The workload that @cgroup is, or is in, though it may have nothing yet. */
static struct history_entry *entry_of(struct history *history, const struct cgroup *cgroup)
{
        for (; cgroup; cgroup = cgroup->parent) {
                const struct history_member *member = history_member(history, cgroup->id);
                struct history_name name;
                struct history_entry *entry;

                if (member)
                        return member->entry;
                if (!history_name(cgroup, &name))
                        continue;
                entry = get_entry(history, &name);
                if (entry)
                        set_cgroup(entry, cgroup, name.outer);
                return entry;
        }
        return NULL;
}

static void describe_event(const struct budget_event *event, struct history_event_note *note)
{
        note->kind = event->kind == EVENT_STATE     ? HISTORY_STATE
                     : event->kind == EVENT_REFUSAL ? HISTORY_REFUSAL
                                                    : HISTORY_THROTTLE;
        note->usage = event->kind == EVENT_REFUSAL ? event->used : event->usage;
        note->size = event->kind == EVENT_THROTTLE ? (uint64_t) MAX(event->delta, 0) : event->size;
        if (event->kind == EVENT_STATE)
                snprintf(note->what, sizeof(note->what), "%s %s", budget_level_name(event->from),
                                budget_level_name(event->to));
        else if (event->limit != LIMIT_NONE)
                snprintf(note->what, sizeof(note->what), "%s", budget_limit_name(event->limit));
        snprintf(note->comm, sizeof(note->comm), "%s", event->comm ?: "");
        if (event->kind == EVENT_REFUSAL)
                snprintf(note->object, sizeof(note->object), "%.*s", OBJECT_NAME_SIZE, event->object.name);
}

/* The pending event of the same kind as @note, or a new one; NULL: there is no room. */
static struct history_pending_event *get_pending(
                struct history *history, struct history_entry *entry, const struct history_event_note *note)
{
        struct history_pending_event *event;

        for (size_t i = 0; i < history->event_count; i++) {
                event = &history->events[i];
                if (event->entry == entry && event->note.kind == note->kind &&
                                strcmp(event->note.what, note->what) == 0)
                        return event;
        }
        return history_add_event(history, entry);
}

/* Events about fill levels and orphans are not kept, because they are not about the limits of a workload. */
static bool is_kept(const struct budget_event *event)
{
        return event->publish && !event->dry_run &&
               (event->kind == EVENT_STATE || event->kind == EVENT_REFUSAL || event->kind == EVENT_THROTTLE);
}

void history_note_event(struct history *history, const struct budget_event *event)
{
        struct history_event_note note = {};
        struct history_pending_event *pending;
        struct history_entry *entry;

        if (!history || history->off || !is_kept(event))
                return;
        entry = entry_of(history, event->cgroup);
        if (!entry)
                return;
        describe_event(event, &note);
        pending = get_pending(history, entry, &note);
        if (!pending)
                return;
        note.count = pending->note.count + 1;
        note.usec = pending->note.usec + event->pause_usec;
        note.sec = wall_usec() / MICROSECONDS;
        pending->note = note;
        set_due(history);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* If the history is freed first, the job no longer belongs to it, because nobody takes the job then. */
static void on_written(void *context, struct history_job *job)
{
        struct history *history = context;

        history->in_flight = false;
        history->written_usec = now_usec();
        if (job->error == 0)
                history->complete = true;
        else if (job->error == -EBADMSG)
                history->complete = false; /* a new one begins, with all that there is */
        if (job->error == -EPROTONOSUPPORT)
                history->off = job->error;
        history_batch_end(history, job->batch, job->error);
        history_job_free(job);
        /* Return the memory of a large batch to the kernel. */
        malloc_trim(0);
        if (history->unwritten) {
                history->unwritten = false;
                set_due(history);
        }
}

static void write_batch(struct history *history, bool last)
{
        struct history_job *job = calloc(1, sizeof(*job));

        if (job)
                job->batch = history_batch_make(history, last);
        if (!job || !job->batch) {
                log_warning("Out of memory: the history is not kept");
                free(job);
                history->unwritten = false;
                return;
        }
        job->done = on_written;
        job->context = history;
        history->in_flight = true;
        history_thread_put(history->thread, job);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        struct history *history = context;

        (void) fd;
        (void) what;
        if (!history->in_flight)
                write_batch(history, false);
}

static void on_done(evutil_socket_t fd, short what, void *context)
{
        struct history *history = context;

        (void) fd;
        (void) what;
        history_thread_take(history->thread);
}

/* --- Questions ---------------------------------------------------------------------------------------------------- */

struct history_question {
        struct history *history;
        uint64_t batches;        /* number of batches before the question */
        history_answer_t answer; /* NULL: the question was withdrawn */
        void *context;
};

static void on_answered(void *context, struct history_job *job)
{
        struct history_question *question = context;

        if (job->result)
                history_overlay(question->history, job->result, question->batches);
        if (question->answer)
                question->answer(question->context, job->result, job->error);
        free(question);
        history_job_free(job);
}

int history_ask(struct history *history, struct history_query *query, history_answer_t answer, void *context,
                struct history_question **ret)
{
        struct history_question *question = history ? calloc(1, sizeof(*question)) : NULL;
        struct history_job *job = question ? calloc(1, sizeof(*job)) : NULL;

        if (!job) {
                free(question);
                free(query->glob);
                return history ? -ENOMEM : -ESHUTDOWN;
        }
        *question = (struct history_question){ history, history->batches, answer, context };
        query->sec = wall_usec() / MICROSECONDS;
        query->usec = now_usec();
        job->query = *query;
        query->glob = NULL;
        job->done = on_answered;
        job->context = question;
        *ret = question;
        history_thread_put(history->thread, job);
        return 0;
}

void history_take_back(struct history_question *question)
{
        question->answer = NULL;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

/* Adds everything that exists at the beginning. */
static void take_all(struct history *history)
{
        const struct cgroup *cgroup, *next;

        history->options.tree->notes = true;
        history->beginning = true;
        HASH_ITER (hh, history->options.tree->by_id, cgroup, next)
                note_cgroup(history, cgroup);
        history->beginning = false;
        set_due(history);
}

int history_new(const struct history_options *options, struct history **ret)
{
        struct history *history = calloc(1, sizeof(*history));
        int r;

        if (!history)
                return -ENOMEM;
        history->options = *options;
        history->began_sec = wall_usec() / MICROSECONDS;
        history->timer = evtimer_new(options->base, on_timer, history);
        r = history->timer ? history_thread_new(options->directory, &history->thread) : -ENOMEM;
        if (r == 0) {
                history->done = event_new(options->base, history_thread_fd(history->thread), EV_READ | EV_PERSIST,
                                on_done, history);
                r = history->done && event_add(history->done, NULL) == 0 ? 0 : -ENOMEM;
        }
        if (r < 0) {
                history_free(history, HISTORY_STOP_USEC);
                return r;
        }
        take_all(history);
        *ret = history;
        return 0;
}

static void free_all(struct history *history)
{
        struct history_member *member, *next_member;
        struct history_entry *entry, *next_entry;

        HASH_ITER (hh, history->members, member, next_member) {
                HASH_DEL(history->members, member);
                free(member);
        }
        HASH_ITER (hh, history->entries, entry, next_entry) {
                HASH_DEL(history->entries, entry);
                free(entry->cgroup);
                free(entry);
        }
        free(history->rolled);
        free(history->events);
        free(history);
}

/* Waits for the batch that the thread is writing: if it fails, the last batch must contain its data. */
static void wait_for_batch(const struct history *history, uint64_t usec)
{
        struct pollfd done = { .fd = history_thread_fd(history->thread), .events = POLLIN };

        while (history->in_flight && poll(&done, 1, usec / 1000) > 0)
                history_thread_take(history->thread);
}

void history_free(struct history *history, uint64_t usec)
{
        if (!history)
                return;
        if (history->thread && history->done)
                wait_for_batch(history, usec / 2);
        if (history->thread && history->done && !history->off)
                write_batch(history, true);
        history_thread_free(history->thread, usec / 2);
        history->options.tree->notes = false;
        while (tree_take_noted(history->options.tree))
                ;
        if (history->timer)
                event_free(history->timer);
        if (history->done)
                event_free(history->done);
        free_all(history);
}
