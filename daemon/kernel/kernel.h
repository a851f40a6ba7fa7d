/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel side: probes what this kernel allows, loads and attaches the BPF programs, reads snapshots, and takes
 * updates from the queue of the sensors. The only file that talks to BPF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/records.h"
#include "kernel/capability.h"
#include "kernel/cgroupfs.h"

struct kernel;
struct machine;

struct kernel_options {
        bool probe_only;      /* only fill the capability table, whatever is missing */
        bool sensors;         /* load and attach the sensors; else only what a snapshot needs */
        bool relations;       /* load what kernel_read_holders() and kernel_read_uses() need */
        uint32_t cgroups_max; /* size of the tables by cgroup; 0: from the machine */
};

/*
 * Probes, loads and attaches. Programs that the kernel refuses are noted in the capability table, and the daemon works
 * without them. Returns 0; -EOPNOTSUPP: no BTF, or no iterator, so nothing can be measured; -EPERM: CAP_BPF and
 * CAP_PERFMON are missing; another negative errno. It has logged why.
 */
int kernel_open(const struct kernel_options *options, const struct cgroupfs *cgroupfs, struct kernel **kernel);
void kernel_close(struct kernel *kernel);

/* The table of capabilities, *count entries. */
const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count);

/* What this machine is like. */
const struct machine *kernel_machine(const struct kernel *kernel);

/* Notes that capability @index (probe.h) cannot be used after all, and why. */
void kernel_capability_lost(struct kernel *kernel, size_t index, const char *reason);

struct bpf_object;

/* Notes that the maps and programs of @object, which is loaded, are the daemon's own. Returns 0 or a negative errno. */
int kernel_note_own(struct kernel *kernel, const struct bpf_object *object);
/* The @i-th of them. Returns false if there are not so many. */
bool kernel_own(const struct kernel *kernel, size_t i, uint32_t *kind, uint32_t *id);
/* Whether the object of @record is one of these. */
bool kernel_is_own(const struct kernel *kernel, const struct object_record *record);

/* Whether creation and release of maps and programs are reported by hooks; else only a full pass finds them. */
bool kernel_tells_objects(const struct kernel *kernel);
/* Whether any sensor reports growth. */
bool kernel_tells_growth(const struct kernel *kernel);
/* Whether sensors currently report RSS changes. */
bool kernel_tells_rss(const struct kernel *kernel);
/*
 * Attaches the sensors of RSS, as kernel_open() does, or detaches them, because they slow down each page fault. If one
 * of them cannot be attached again, kernel_tells_rss() returns false.
 */
void kernel_watch_rss(struct kernel *kernel, bool watch);

typedef int (*kernel_object_t)(void *context, const struct object_record *record);
/* A negative return ends the pass and is returned. */
typedef int (*kernel_record_t)(void *context, const void *record);

/*
 * One pass over all maps and programs: @callback for each; a negative return ends it and is returned. The record of a
 * map whose type objsize.h does not know has the kernel's memlock figure and OBJECT_MEMLOCK; that of an object of the
 * daemon has OBJECT_OWN.
 */
int kernel_read_objects(struct kernel *kernel, kernel_object_t callback, void *context);

/*
 * Measures @n objects again. The caller sets kind, id and address; those of objects that are gone get OBJECT_GONE.
 * Returns 0 or a negative errno.
 */
int kernel_measure(struct kernel *kernel, struct object_record *records, size_t n);

/*
 * The RSS of all address spaces, or only those of the cgroups popped with @epoch (0: all): @callback for each, with a
 * struct rss_record. As kernel_read_objects(); -EOPNOTSUPP: this kernel does not report it.
 */
int kernel_read_rss(struct kernel *kernel, uint32_t epoch, kernel_record_t callback, void *context);

/*
 * All open files that are maps or programs, with a struct holder_record each, and all maps that programs use, with a
 * struct use_record; only if opened with relations. -EOPNOTSUPP: this kernel does not report them.
 */
int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context);
int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context);

typedef int (*kernel_update_t)(void *context, const struct update *update);
typedef void (*kernel_popped_t)(void *context, uint64_t cgroup_id);

/* A file descriptor that becomes readable when a sensor wakes the daemon; -1 without sensors. */
int kernel_updates_fd(const struct kernel *kernel);
/*
 * Marks the kernel side clean and takes all queued updates. Returns their number or a negative errno. Under a constant
 * stream of updates it stops after a while; then kernel_is_dirty() is true.
 */
int kernel_take_updates(struct kernel *kernel, kernel_update_t callback, void *context);
/*
 * Whether there may be updates for which no sensor will wake the daemon, so that it has to take them by itself a little
 * later.
 */
bool kernel_is_dirty(const struct kernel *kernel);
/* Marks the @n cgroups @ids clean: what changes in them from now on is reported again. Returns 0 or a negative errno.
 */
int kernel_clean_cgroups(struct kernel *kernel, const uint64_t *ids, size_t n);
/*
 * Takes the cgroups whose RSS changed and marks them with @epoch: @callback for each. Returns their number,
 * -EAGAIN if all tasks must be read because some changes could not be attributed to a cgroup, or another negative
 * errno.
 */
int kernel_pop_rss(struct kernel *kernel, uint32_t epoch, kernel_popped_t callback, void *context);
/* Requests a report when the cgroup @id, which has no objects yet, is removed. */
void kernel_watch_cgroup(struct kernel *kernel, uint64_t id);

/* Whether, since the last call, the table was full, so that the removal of some cgroup may not be reported. */
bool kernel_lost_cgroups(struct kernel *kernel);

/* Has the sensors forget the cgroups that are @gone. Returns 0 or -ENOMEM. */
int kernel_forget_cgroups(struct kernel *kernel, bool (*gone)(void *context, uint64_t id), void *context);
/* Forgets the removed cgroup @id. */
void kernel_forget_cgroup(struct kernel *kernel, uint64_t id);
/* How often the kernel missed a program that would have reported objects and their growth (skeleton_missed()). */
uint64_t kernel_missed(const struct kernel *kernel);
/* The sensors' counters; all 0 without sensors. */
struct sensor_counters kernel_counters(const struct kernel *kernel);
