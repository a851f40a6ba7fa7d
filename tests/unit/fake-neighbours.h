/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Doubles of the modules that manager.c calls, for its tests. They record their calls, and return what a test has set.
 * Directories of cgroups have owners and xattrs by a table, so that the tests need neither root nor a hierarchy. For
 * one program only: it is linked with --wrap for what is called __wrap_ here.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "enforce/manager.h"

#include "account/orphans.h"
#include "base/clock.h"
#include "enforce/limits.h"
#include "kernel/probe.h"

#include "fake-cgroups.h"
#include "fake-log.h"

#define FAKE_MOUNT "/fake/cgroup"

#define FAKE_CALLS_MAX 64

/* Values that a test sets, and records that it checks; zeroed before each test. */
static struct fakes {
        uint64_t now;         /* microseconds */
        unsigned int callocs; /* counts down to the call that fails; 0: none */
        bool reallocarray_fails;

        struct fake_hierarchy hierarchy;
        int walk_error;
        unsigned int walks, flushes;

        struct fake_xattr {
                char path[64], name[32], value[192];
        } xattrs[16];
        unsigned int xattr_count, xattr_writes;
        struct fake_directory {
                const char *path;
                uint32_t uid, mode;
        } directories[4];

        struct budget_event alerts[FAKE_CALLS_MAX]; /* those for the journal, by kind */
        unsigned int alert_count;
        struct budget_event throttles[FAKE_CALLS_MAX];
        unsigned int throttle_count;
        struct budget_event refusals[FAKE_CALLS_MAX];
        unsigned int refusal_count;
        struct budget_event events[FAKE_CALLS_MAX]; /* those to be published */
        unsigned int event_count;
        unsigned int emitted;                             /* all */
        char comms[FAKE_CALLS_MAX][OBJECT_NAME_SIZE + 1]; /* names of the processes that caused the events */
        const void *sink_context;

        uint64_t watched[FAKE_CALLS_MAX];
        unsigned int watch_count;
        uint64_t looked_again[FAKE_CALLS_MAX];
        unsigned int look_again_count;
        int look_again_error;
        monitor_by_holder_t by_holder;
        unsigned int rss_reads;
        int rss_error;
        void (*rss_read)(struct monitor *monitor); /* what monitor_refresh_rss() does to the tree; NULL: nothing */
        void *by_holder_context;

        struct capability capabilities[CAPABILITIES];
        const struct capability *enforce_capability;
        const char *enforce_obstacle;
        int enforce_init_error;
        bool grown_before;
        const char *frozen_file;
        const struct settings *enforce_settings;
        bool enforce_dry_run, enforce_ended;
        unsigned int enforce_reloads;
        struct grown_call {
                uint64_t id, grown, now;
                enum budget_level level; /* level of the cgroup at the time of the call */
        } grown[FAKE_CALLS_MAX];
        unsigned int grown_count;
        struct pause pauses[4]; /* by cgroup: the pause for its growth */
        uint64_t reviewed;      /* time of the review */
        bool reviewed_before_thaw;
        struct thawed thaws[4]; /* cgroups to be thawed */
        unsigned int thaw_count;
        bool thawed_all;
        uint64_t thawed_usec; /* time of the call */
        uint64_t next_thaw_usec;
        uint64_t forgotten[FAKE_CALLS_MAX];
        unsigned int forget_count;

        const char *obstacle, *obstacle_after; /* obstacles of admission, before and after it failed to start */
        int start_error;
        unsigned int start_count, stop_count, flush_count, end_count;
        bool flushed_before_changes, admission_wants_flush;
        struct set_call {
                uint64_t id, max;
        } set[FAKE_CALLS_MAX];
        unsigned int set_count;
        uint64_t removed[FAKE_CALLS_MAX];
        unsigned int remove_count;

        struct gate_event gate_events[4];
        unsigned int gate_event_count;
        uint64_t untold;
        struct {
                uint64_t id, denied;
        } domains[4];
        unsigned int domain_reads;
} fake;

/* The file position that marks a file as a double of a directory of the hierarchy; no other file has it. */
#define OPENED_MARK 4711

/* Counts a call, and returns its place in the list. */
static unsigned int fake_call(unsigned int *count)
{
        if (*count == FAKE_CALLS_MAX)
                abort();
        return (*count)++;
}

/* --- libc --------------------------------------------------------------------------------------------------------- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t size);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);

void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
        if (fake.callocs > 0 && --fake.callocs == 0)
                return NULL;
        return __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return fake.reallocarray_fails ? NULL : __real_reallocarray(p, n, size);
}

/* The path of the cgroup that cgroupfs_open() has opened as @fd; NULL: @fd is another file. */
static const char *opened_path(int fd)
{
        char number[16] = "";

        if (fcntl(fd, F_GETFL) < 0 || lseek(fd, 0, SEEK_CUR) != OPENED_MARK ||
                        pread(fd, number, sizeof(number) - 1, 0) < 1)
                return NULL;
        return fake.hierarchy.cgroups[atoi(number)].path;
}

int __wrap_fstat(int fd, struct stat *st)
{
        const char *path = opened_path(fd);

        if (!path)
                return __real_fstat(fd, st);
        *st = (struct stat){ .st_mode = S_IFDIR | 0755 };
        for (size_t i = 0; i < sizeof(fake.directories) / sizeof(fake.directories[0]); i++)
                if (fake.directories[i].path && strcmp(path, fake.directories[i].path) == 0) {
                        st->st_uid = fake.directories[i].uid;
                        st->st_mode = S_IFDIR | fake.directories[i].mode;
                }
        return 0;
}

static struct fake_xattr *find_xattr(const char *path, const char *name)
{
        for (unsigned int i = 0; i < fake.xattr_count; i++)
                if (strcmp(fake.xattrs[i].path, path) == 0 && strcmp(fake.xattrs[i].name, name) == 0)
                        return &fake.xattrs[i];
        return NULL;
}

ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t size)
{
        const struct fake_xattr *xattr = find_xattr(opened_path(fd), name);

        if (!xattr) {
                errno = ENODATA;
                return -1;
        }
        if (strlen(xattr->value) > size) {
                errno = ERANGE;
                return -1;
        }
        memcpy(value, xattr->value, strlen(xattr->value));
        return strlen(xattr->value);
}

/* Sets the xattr @name of the cgroup at @path to @value; NULL removes it. */
static void set_xattr(const char *path, const char *name, const char *value)
{
        struct fake_xattr *xattr = find_xattr(path, name);

        if (!xattr) {
                if (fake.xattr_count == sizeof(fake.xattrs) / sizeof(fake.xattrs[0]))
                        abort();
                xattr = &fake.xattrs[fake.xattr_count++];
        }
        if (!value) {
                *xattr = (struct fake_xattr){};
                return;
        }
        strcpy(xattr->path, path);
        strcpy(xattr->name, name);
        strcpy(xattr->value, value);
}

int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
        char text[192] = "";

        if (flags != 0 || size >= sizeof(text) || !opened_path(fd))
                abort();
        memcpy(text, value, size);
        set_xattr(opened_path(fd), name, text);
        fake.xattr_writes++;
        return 0;
}

/* Returns "" if there is no such xattr. */
static const char *get_xattr(const char *path, const char *name)
{
        const struct fake_xattr *xattr = find_xattr(path, name);

        return xattr ? xattr->value : "";
}

/* --- monitor.h, kernel.h, cgroupfs.h ----------------------------------------------------------------------- */

uint64_t now_usec(void)
{
        return fake.now;
}

int monitor_flush(struct monitor *monitor)
{
        fake.flushes++;
        tree_flush(&monitor->tree);
        return 0;
}

int monitor_look_again(struct monitor *monitor, uint64_t cgroup_id)
{
        (void) monitor;
        fake.looked_again[fake_call(&fake.look_again_count)] = cgroup_id;
        return fake.look_again_error;
}

int monitor_refresh_rss(struct monitor *monitor)
{
        fake.rss_reads++;
        if (fake.rss_read)
                fake.rss_read(monitor);
        return fake.rss_error;
}

void monitor_set_by_holder(struct monitor *monitor, monitor_by_holder_t by_holder, void *context)
{
        (void) monitor;
        fake.by_holder = by_holder;
        fake.by_holder_context = context;
}

/* There are no orphans. */
int orphans_find(struct orphans *orphans, struct monitor *of)
{
        (void) of;
        *orphans = (struct orphans){};
        return 0;
}

void orphans_deinit(struct orphans *orphans)
{
        (void) orphans;
}

void kernel_watch_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        fake.watched[fake_call(&fake.watch_count)] = id;
}

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        (void) kernel;
        *count = CAPABILITIES;
        return fake.capabilities;
}

/* Opens a file whose content identifies the cgroup in the hierarchy. */
int cgroupfs_open(const struct cgroupfs *fs, uint64_t id)
{
        const struct fake_cgroup *cgroup = fake_find(&fake.hierarchy, id);
        int fd;

        (void) fs;
        if (!cgroup)
                return -ESTALE;
        fd = memfd_create("cgroup", MFD_CLOEXEC);
        if (fd < 0 || dprintf(fd, "%td", cgroup - fake.hierarchy.cgroups) < 0 ||
                        lseek(fd, OPENED_MARK, SEEK_SET) != OPENED_MARK)
                abort();
        return fd;
}

int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id)
{
        (void) fs;
        return fake_find(&fake.hierarchy, id) ? 0 : -ESTALE;
}

int cgroupfs_path(const struct cgroupfs *fs, uint64_t id, char **path)
{
        const struct fake_cgroup *cgroup = fake_find(&fake.hierarchy, id);

        (void) fs;
        *path = cgroup ? strdup(cgroup->path) : NULL;
        return *path ? 0 : cgroup ? -ENOMEM : -ESTALE;
}

int cgroupfs_walk(const struct cgroupfs *fs, cgroupfs_walk_t callback, void *context)
{
        int r = fake.walk_error;

        (void) fs;
        fake.walks++;
        for (size_t i = 0; i < fake.hierarchy.count && r == 0; i++)
                if (!fake.hierarchy.cgroups[i].gone)
                        r = callback(context, fake.hierarchy.cgroups[i].id, fake.hierarchy.cgroups[i].path);
        return r;
}

/* --- The sink ----------------------------------------------------------------------------------------------------- */

static void fake_sink(void *context, const struct budget_event *event)
{
        unsigned int n = fake_call(&fake.emitted);
        struct budget_event copy = *event;

        fake.sink_context = context;
        if (event->comm) {
                snprintf(fake.comms[n], sizeof(fake.comms[n]), "%s", event->comm);
                copy.comm = fake.comms[n];
        }
        if (event->publish)
                fake.events[fake_call(&fake.event_count)] = copy;
        if (!event->alert)
                return;
        if (event->kind == EVENT_STATE)
                fake.alerts[fake_call(&fake.alert_count)] = copy;
        else if (event->kind == EVENT_THROTTLE)
                fake.throttles[fake_call(&fake.throttle_count)] = copy;
        else
                fake.refusals[fake_call(&fake.refusal_count)] = copy;
}

/* --- enforce.h ---------------------------------------------------------------------------------------------------- */

int enforce_init(struct enforce *enforce, const struct settings *settings, const struct tree *tree,
                const struct cgroupfs *cgroupfs, const struct capability *capability, const char *file, bool dry_run)
{
        (void) cgroupfs;
        fake.grown_before = tree->grown;
        fake.enforce_capability = capability;
        *enforce = (struct enforce){ .settings = settings, .tree = tree };
        fake.enforce_settings = settings;
        fake.frozen_file = file;
        fake.enforce_dry_run = dry_run;
        return fake.enforce_init_error;
}

void enforce_deinit(struct enforce *enforce)
{
        (void) enforce;
        fake.enforce_ended = true;
}

void enforce_reload(struct enforce *enforce)
{
        (void) enforce;
        fake.enforce_reloads++;
}

const char *enforce_obstacle(const struct enforce *enforce)
{
        (void) enforce;
        return fake.enforce_obstacle;
}

bool enforce_grown(struct enforce *enforce, struct cgroup *cgroup, uint64_t grown, uint64_t now, struct pause *pause)
{
        struct cgroup *up = cgroup;

        (void) enforce;
        while (up && !up->policy)
                up = up->parent;
        fake.grown[fake_call(&fake.grown_count)] = (struct grown_call){ cgroup->id, grown, now,
                up ? up->policy->level : LEVEL_OK };
        for (size_t i = 0; i < sizeof(fake.pauses) / sizeof(fake.pauses[0]); i++)
                if (fake.pauses[i].cgroup == cgroup) {
                        *pause = fake.pauses[i];
                        pause->payer->policy->events.throttled++;
                        return true;
                }
        return false;
}

void enforce_review(struct enforce *enforce, uint64_t now)
{
        (void) enforce;
        fake.reviewed = now;
}

bool enforce_thaw(struct enforce *enforce, uint64_t now, bool all, struct thawed *thawed)
{
        (void) enforce;
        fake.thawed_all = all;
        fake.thawed_usec = now;
        fake.reviewed_before_thaw = fake.reviewed == now;
        if (fake.thaw_count == 0)
                return false;
        *thawed = fake.thaws[--fake.thaw_count];
        if (thawed->payer)
                thawed->payer->policy->events.throttled_usec += thawed->usec;
        return true;
}

uint64_t enforce_next_usec(const struct enforce *enforce)
{
        (void) enforce;
        return fake.next_thaw_usec;
}

void enforce_forget(struct enforce *enforce, uint64_t id)
{
        (void) enforce;
        fake.forgotten[fake_call(&fake.forget_count)] = id;
}

/* --- admission.h, gate.h ------------------------------------------------------------------------------------------ */

static char fake_gate;

void admission_init(struct admission *admission, struct monitor *monitor, admission_catch_up_t catch_up,
                gate_event_t take_event, void *context)
{
        *admission = (struct admission){
                .monitor = monitor, .events_fd = -1, .catch_up = catch_up, .take_event = take_event, .context = context
        };
}

void admission_deinit(struct admission *admission)
{
        *admission = (struct admission){};
        fake.end_count++;
}

const char *admission_obstacle(const struct admission *admission)
{
        (void) admission;
        return fake.start_count ? fake.obstacle_after : fake.obstacle;
}

int admission_start(struct admission *admission, const struct config *config)
{
        (void) config;
        fake.start_count++;
        if (fake.start_error == 0 && !admission->gate)
                admission->catch_up(admission->context);
        if (fake.start_error == 0)
                admission->gate = (struct gate *) &fake_gate;
        admission->events_fd = 77;
        return fake.start_error;
}

void admission_stop(struct admission *admission)
{
        admission->gate = NULL;
        fake.stop_count++;
}

void admission_set(struct admission *admission, const struct cgroup *cgroup)
{
        (void) admission;
        fake.set[fake_call(&fake.set_count)] = (struct set_call){ cgroup->id, cgroup->policy->max };
}

void admission_remove(struct admission *admission, const struct cgroup *cgroup)
{
        (void) admission;
        fake.removed[fake_call(&fake.remove_count)] = cgroup->id;
}

void admission_flush(struct admission *admission)
{
        fake.flush_count++;
        fake.flushed_before_changes = admission->monitor->tree.changed;
}

bool admission_wants_flush(const struct admission *admission)
{
        (void) admission;
        return fake.admission_wants_flush;
}

int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain)
{
        if ((const char *) gate != &fake_gate)
                abort();
        fake.domain_reads++;
        for (size_t i = 0; i < sizeof(fake.domains) / sizeof(fake.domains[0]); i++)
                if (fake.domains[i].id == id) {
                        *domain = (struct gate_domain){ .denied = fake.domains[i].denied };
                        return 0;
                }
        return -ENOENT;
}

int gate_take_events(struct gate *gate, gate_event_t callback, void *context)
{
        unsigned int count = fake.gate_event_count;

        if ((const char *) gate != &fake_gate)
                abort();
        for (unsigned int i = 0; i < count; i++)
                callback(context, &fake.gate_events[i]);
        fake.gate_event_count = 0;
        return count;
}

uint64_t gate_untold(const struct gate *gate)
{
        (void) gate;
        return fake.untold;
}
