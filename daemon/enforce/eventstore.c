/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/eventstore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <jansson.h>

#include "account/monitor.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernel/owner.h"

/* --- xattrs ------------------------------------------------------------------------------------------------------- */

/*
 * As systemd-oomd does, shows the events on the cgroup itself. Not all file systems allow it, and nothing depends on
 * it.
 */
static void write_events_xattr(const struct event_store *store, const struct cgroup *cgroup)
{
        const struct budget_events *events = &cgroup->policy->events;
        _cleanup_close_ int fd = -1;
        char text[160];
        int n;

        if (store->dry_run)
                return;
        fd = cgroupfs_open(store->cgroupfs, cgroup->id);
        if (fd < 0)
                return;
        n = snprintf(text, sizeof(text), "high %llu max %llu denied %llu throttled %llu throttledUSec %llu",
                        (unsigned long long) events->high, (unsigned long long) events->max,
                        (unsigned long long) events->denied, (unsigned long long) events->throttled,
                        (unsigned long long) events->throttled_usec);
        fsetxattr(fd, XATTR_EVENTS, text, n, 0);
}

/*
 * Brings @level and @events of @cgroup up to those of its xattr, which has what happened since the file was written
 * last, before a daemon died: a limit that it counts and the file does not was passed then.
 */
static void read_events_xattr(const struct event_store *store, const struct cgroup *cgroup, enum budget_level *level,
                struct budget_events *events)
{
        _cleanup_close_ int fd = cgroupfs_open(store->cgroupfs, cgroup->id);
        unsigned long long high, max, denied, throttled, usec;
        char text[160] = "";

        if (!store->file || fd < 0 || !is_roots_at(fd) || fgetxattr(fd, XATTR_EVENTS, text, sizeof(text) - 1) < 0 ||
                        sscanf(text, "high %llu max %llu denied %llu throttled %llu throttledUSec %llu", &high, &max,
                                        &denied, &throttled, &usec) != 5)
                return;
        if (max > events->max)
                *level = LEVEL_MAX;
        else if (high > events->high && *level == LEVEL_OK)
                *level = LEVEL_HIGH;
        events->high = MAX(events->high, high);
        events->max = MAX(events->max, max);
        events->denied = MAX(events->denied, denied);
        events->throttled = MAX(events->throttled, throttled);
        events->throttled_usec = MAX(events->throttled_usec, usec);
}

/* --- What is kept ------------------------------------------------------------------------------------------------- */

static struct kept_events *find(const struct event_store *store, uint64_t id)
{
        struct kept_events *kept;

        HASH_FIND(hh, store->kept, &id, sizeof(id), kept);
        return kept;
}

int event_store_keep(struct event_store *store, uint64_t id, const struct policy *policy)
{
        struct kept_events *kept;

        HASH_GET(store->kept, id, id, kept);
        if (!kept)
                return -ENOMEM;
        kept->taken = true;
        kept->level = policy->level;
        kept->events = policy->events;
        kept->lowered_high = policy->lowered_high;
        kept->lowered_max = policy->lowered_max;
        kept->held = policy->held;
        kept->suppressed = policy->suppressed;
        return 0;
}

/* The object in the file @path; NULL if there is none, which is logged if there should be one. */
static json_t *load_file(const char *path)
{
        json_error_t error = {};
        json_t *file = json_load_file(path, 0, &error);

        if (json_is_object(file))
                return file;
        if (file)
                log_warning("%s: it holds no JSON object: events are those of the cgroups' xattrs", path);
        else if (access(path, F_OK) == 0)
                log_warning("%s:%d: %s: events are those of the cgroups' xattrs", path, error.line, error.text);
        json_decref(file);
        return NULL;
}

/* Ids are not used again by the kernel, so an id in the file is the same cgroup, until the machine boots (/run is new
 * then). */
static int load_events(struct event_store *store)
{
        json_t *file = NULL, *entry;
        size_t damaged = 0;
        const char *key;
        int r = 0;

        if (store->file)
                file = load_file(store->file);

        json_object_foreach(file, key, entry)
        {
                json_int_t level = 0, high = 0, max = 0, denied = 0, throttled = 0, usec = 0;
                /* -1 is BUDGET_INFINITY */
                json_int_t lowered_high = -1, lowered_max = -1;
                struct policy policy = {};

                if (json_unpack(entry, "{sI sI sI sI sI sI s?I s?I}", "level", &level, "high", &high, "max", &max,
                                    "denied", &denied, "throttled", &throttled, "throttledUSec", &usec, "loweredHigh",
                                    &lowered_high, "loweredMax", &lowered_max) < 0 ||
                                level < LEVEL_OK || level > LEVEL_MAX) {
                        damaged++;
                        continue;
                }
                policy.level = level;
                policy.events = (struct budget_events){ high, max, denied, throttled, usec };
                policy.lowered_high = lowered_high;
                policy.lowered_max = lowered_max;
                r = event_store_keep(store, strtoull(key, NULL, 10), &policy);
                if (r < 0)
                        break;
                find(store, strtoull(key, NULL, 10))->taken = false;
        }
        if (damaged)
                log_warning("%s: %zu entries are damaged: events are those of the cgroups' xattrs", store->file,
                                damaged);
        json_decref(file);
        return r;
}

static json_t *events_to_json(const struct event_store *store)
{
        json_t *file = json_object();
        struct kept_events *kept, *next;

        HASH_ITER (hh, store->kept, kept, next) {
                const struct budget_events *events = &kept->events;
                char key[24];

                snprintf(key, sizeof(key), "%llu", (unsigned long long) kept->id);
                if (json_object_set_new(file, key,
                                    json_pack("{sI sI sI sI sI sI sI sI}", "level", (json_int_t) kept->level, "high",
                                                    (json_int_t) events->high, "max", (json_int_t) events->max,
                                                    "denied", (json_int_t) events->denied, "throttled",
                                                    (json_int_t) events->throttled, "throttledUSec",
                                                    (json_int_t) events->throttled_usec, "loweredHigh",
                                                    (json_int_t) kept->lowered_high, "loweredMax",
                                                    (json_int_t) kept->lowered_max)) < 0) {
                        json_decref(file);
                        return NULL;
                }
        }
        return file;
}

/* Drops entries from the file whose cgroup was removed before it had a policy here, because nothing reports that. */
static void prune(struct event_store *store)
{
        struct kept_events *kept, *next;

        if (now_usec() < store->pruned_usec + EVENT_STORE_PRUNE_USEC)
                return;
        store->pruned_usec = now_usec();
        HASH_ITER (hh, store->kept, kept, next)
                if (!kept->taken && cgroupfs_exists(store->cgroupfs, kept->id) == -ESTALE) {
                        HASH_DEL(store->kept, kept);
                        free(kept);
                }
}

/* Whole or not at all: written beside and renamed. Returns 0 or a negative errno. */
static int save(struct event_store *store)
{
        _cleanup_free_ char *new = NULL;
        json_t *file;
        int r = 0;

        if (!store->dirty || !store->file || store->dry_run)
                return 0;
        prune(store);
        store->saved_usec = now_usec();
        /* Also if it fails: it is tried again when there is something new. */
        store->dirty = false;
        if (asprintf(&new, "%s.new", store->file) < 0)
                return -ENOMEM;
        file = events_to_json(store);
        if (!file)
                return -ENOMEM;
        if (json_dump_file(file, new, JSON_COMPACT) < 0 || rename(new, store->file) < 0)
                r = errno ? -errno : -EIO;
        json_decref(file);
        if (r < 0) {
                unlink(new);
                return r;
        }
        return 0;
}

void event_store_save(struct event_store *store)
{
        int r = now_usec() < store->saved_usec + EVENT_STORE_INTERVAL_USEC ? 0 : save(store);

        if (r < 0)
                log_warning("%s cannot be written (%s): events are not kept over a restart", store->file, strerror(-r));
}

void event_store_note(struct event_store *store, const struct cgroup *cgroup)
{
        if (event_store_keep(store, cgroup->id, cgroup->policy) == 0)
                store->dirty = true;
        write_events_xattr(store, cgroup);
}

void event_store_save_later(struct event_store *store)
{
        store->dirty = true;
}

void event_store_restore(const struct event_store *store, const struct cgroup *cgroup)
{
        struct kept_events *kept = find(store, cgroup->id);
        struct policy *policy = cgroup->policy;
        enum budget_level level = LEVEL_OK;
        struct budget_events events = {};

        policy->lowered_high = policy->lowered_max = BUDGET_INFINITY;
        if (kept) {
                kept->taken = true;
                level = kept->level;
                events = kept->events;
                policy->lowered_high = kept->lowered_high;
                policy->lowered_max = kept->lowered_max;
                policy->held = kept->held;
                policy->suppressed = kept->suppressed;
        }
        read_events_xattr(store, cgroup, &level, &events);
        policy_resume(policy, level, &events);
}

void event_store_forget(struct event_store *store, uint64_t id)
{
        struct kept_events *kept = find(store, id);

        if (!kept)
                return;
        HASH_DEL(store->kept, kept);
        free(kept);
        store->dirty = true;
}

uint64_t event_store_due_usec(const struct event_store *store)
{
        return store->dirty && store->file && !store->dry_run ? store->saved_usec + EVENT_STORE_INTERVAL_USEC
                                                              : UINT64_MAX;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

int event_store_init(struct event_store *store, const struct cgroupfs *cgroupfs, const char *file, bool dry_run)
{
        *store = (struct event_store){ .cgroupfs = cgroupfs, .file = file, .dry_run = dry_run };
        store->pruned_usec = now_usec();
        return load_events(store);
}

void event_store_deinit(struct event_store *store)
{
        struct kept_events *kept, *next;

        save(store);
        HASH_ITER (hh, store->kept, kept, next) {
                HASH_DEL(store->kept, kept);
                free(kept);
        }
        *store = (struct event_store){};
}
