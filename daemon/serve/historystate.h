/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data about workloads in memory; history.h has the functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "account/ledger.h"
#include "account/tree.h"
#include "base/uthash-nonfatal.h"
#include "bpf/records.h"
#include "serve/historystore.h"
#include "serve/historythread.h"

/* Between two writes. */
#define HISTORY_INTERVAL_USEC (60ULL * 1000 * 1000)

/*
 * The maximum number of workloads at a time. Only root and the service managers create units, pods and containers. The
 * owner of a delegated cgroup can create others, which are known by their path; these are at most half of all.
 */
#define HISTORY_WORKLOADS_MAX 4096
#define HISTORY_PATHS_MAX     (HISTORY_WORKLOADS_MAX / 2)

/* The number of largest maps of a workload, by name and type, that are recorded. */
#define HISTORY_MAPS 3

/* Kinds of events that wait to be written. */
#define HISTORY_PENDING_EVENTS_MAX 1024

/* Hours that wait while the disk is full. */
#define HISTORY_PENDING_HOURS_MAX 16384

struct history_options {
        struct event_base *base;
        struct tree *tree;
        const struct ledger *ledger;
        const char *directory; /* of the database */
        uint32_t cpus;         /* possible ones */
};

/* Maps of one name and type, in the workload's largest cgroup. */
struct history_map {
        uint32_t type;
        char name[OBJECT_NAME_SIZE + 1];
        uint64_t level, before; /* bytes now; as written last */
        uint64_t initial;
        bool present, dirty;
};

/* A cgroup of a workload. */
struct history_member {
        uint64_t id;
        struct history_entry *entry;
        uint64_t level; /* bytes */
        struct history_facts facts;
        struct history_member *next, *prev;
        UT_hash_handle hh;
};

/* A workload that has objects, or about which something is to be written. */
struct history_entry {
        char *cgroup; /* path of the latest; NULL: no memory */
        bool outer, dirty;
        uint64_t level, initial;   /* bytes: now, and when this daemon started */
        uint64_t hour, peak, step; /* of this hour */
        uint32_t steps, sent;      /* in this hour, not written yet; those in the batch that the thread has */
        struct history_facts facts;
        struct history_map maps[HISTORY_MAPS];
        size_t map_count;
        struct history_member *members;
        size_t references; /* by hours, events and a batch that have it */
        uint32_t place;    /* 1 + its index in the batch that is being made; 0: not in it */
        UT_hash_handle hh;
        char key[]; /* 'a' + its kind, and its name */
};

struct history_rolled {
        struct history_entry *entry;
        struct history_hour_note note;
};

struct history_pending_event {
        struct history_entry *entry;
        struct history_event_note note;
};

struct history {
        struct history_options options;
        struct history_thread *thread;
        struct event *timer, *done;
        struct history_entry *entries;  /* uthash */
        struct history_member *members; /* uthash */
        size_t entry_count, path_count; /* path_count: of those that are known by their path */
        struct history_rolled *rolled;  /* hours that were over before they were written */
        size_t rolled_count;
        struct history_pending_event *events;
        size_t event_count;
        uint64_t began_sec;
        uint64_t written_usec; /* CLOCK_MONOTONIC; 0: never */
        uint64_t batches;      /* that were made */
        bool beginning;        /* the initial usage is being read */
        bool complete;         /* everything was written once */
        bool sampled;          /* maps were read once */
        bool unwritten;        /* something changed since the last batch was made */
        bool in_flight;        /* a batch is with the thread */
        int off;               /* the error for which there will be no history */
        bool full;             /* there are too many workloads, and that was logged */
};

/* Whether @entry is known by its path. */
static inline bool history_entry_is_path(const struct history_entry *entry)
{
        return entry->key[0] == 'a' + HISTORY_CGROUP;
}

/* NULL: it is no workload's. */
struct history_member *history_member(const struct history *history, uint64_t id);

/* Frees @entry if nothing refers to it and nothing of it is to be written. */
void history_entry_drop(struct history *history, struct history_entry *entry);
