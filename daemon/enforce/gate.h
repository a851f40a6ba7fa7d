/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate in the kernel (bpf/gate.bpf.c): its tables of limits and of what is booked, its programs, and their pins, by
 * which it goes on when the daemon does not. What the limits are and whose an object is, is admission.c's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/gaterecords.h"
#include "kernel/probe.h"
#include "policy/automaton.h"

struct gate;

struct bpf_object;

struct gate_options {
        const struct machine *machine;
        uint64_t own_cgroup; /* the daemon's, which is never refused; 0: none */
        uint32_t domains_max;
        uint32_t objects_max;
        uint32_t automaton_max;      /* entries of an automaton that gate_set_budgets() may be given, at least */
        uint32_t budgets_max;        /* and budgets */
        bool fresh;                  /* tables of a predecessor are not taken over, but replaced by gate_start() */
        const struct gate *previous; /* of this process, whose hashes of paths a fresh one shares; NULL: none */
};

/*
 * Loads the gate and attaches it. Tables that a predecessor has pinned are taken over with all they hold, if they are
 * root's and of this version's layout; its programs stay attached until gate_start(), so that there is no moment
 * without a gate. On a fresh one everything is admitted until then. Only one process at a time has the gate, until it
 * ends or calls gate_release(). Returns 0 or a negative errno (-EBUSY: another one has it); it has logged why, with the
 * program that the kernel refused.
 */
int gate_open(const struct gate_options *options, struct gate **gate);

/* Its maps and programs. */
const struct bpf_object *gate_object(const struct gate *gate);

/* Ends the daemon's side; the pins, and so the gate, stay. */
void gate_close(struct gate *gate);

/*
 * Removes the pins and so opens the gate. Returns how many there were, or a negative errno, logged but for -EBUSY: it
 * is another process that has the gate, and nothing was done.
 */
int gate_release(void);

/*
 * Enforces from now on, and pins programs and tables in place of a predecessor's. Returns 0 or a negative errno,
 * logged: then it enforces as long as the daemon runs.
 */
int gate_start(struct gate *gate);

/*
 * Puts the automaton and the limits of all @count budgets in force for cgroups that are made from now on: with one
 * step, so that each has those of before or of now. Returns 0; -E2BIG: the gate was opened with less room.
 */
int gate_set_budgets(
                struct gate *gate, const struct automaton *automaton, const struct gate_limits *limits, size_t count);

/*
 * Sets the limits of the cgroup @id, below the domain @parent (0: none). @path is its path, NULL if that is not known:
 * what it leaves behind does not count against its next one then. @denied is what a new domain's count begins with.
 * Returns 0; -EEXIST: it is there below another parent, a fresh gate has to be made; -E2BIG: the table is full;
 * another negative errno.
 */
int gate_set_domain(struct gate *gate, uint64_t id, uint64_t parent, const char *path,
                const uint64_t max[GATE_RESOURCES], uint64_t denied);
/*
 * Removes the domain @id. Returns 0, or -EBUSY: something is booked in it still, which has to come off those above too.
 * Then it has no limits any more, and is to be removed later. @lives: its cgroup is there, only its budget is gone;
 * what is booked in it may be settled in a domain above.
 */
int gate_remove_domain(struct gate *gate, uint64_t id, bool lives);

/* Reads the domain @id. Returns 0 or -ENOENT. */
int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain);

/* The domain after *@id in the table (0: the first). Returns 0 with *id, or -ENOENT at the end. */
int gate_next_domain(const struct gate *gate, uint64_t *id);

/* Reads the entry @key of an object. Returns 0 or -ENOENT. */
int gate_read_object(const struct gate *gate, uint64_t key, struct gate_object *object);

/*
 * Makes the domain @id as another gate has it, of a cgroup that was removed: below @domain->parent, with nothing booked
 * and no limits. @left: it counts against the next cgroup of its path. Returns 0 or a negative errno.
 */
int gate_carry_domain(struct gate *gate, uint64_t id, const struct gate_domain *domain, bool left);

/* Whether the domain @id counts against the next cgroup whose path has the hash @path. */
bool gate_is_left(const struct gate *gate, uint64_t id, const struct path_hash *path);

/* Settles @n objects; their again is set. Returns 0 or a negative errno. */
int gate_settle(struct gate *gate, struct gate_settlement *settlements, size_t n);

typedef void (*gate_event_t)(void *context, const struct gate_event *event);

/* A file descriptor that polls readable when there are events, and taking them. Returns their number. */
int gate_events_fd(const struct gate *gate);
int gate_take_events(struct gate *gate, gate_event_t callback, void *context);

/* How full the tables of domains and of objects are, and how many cgroups have no domain as there was no room. */
struct gate_fill {
        uint64_t domains, domains_max;
        uint64_t objects, objects_max;
        uint64_t domains_missing;
};
void gate_read_fill(const struct gate *gate, struct gate_fill *fill);

/* All domains are there: none is missing any more. */
void gate_completed(struct gate *gate);

/* Growths that could not be booked so far: tables full, or a type that is not known. */
uint64_t gate_unbooked(const struct gate *gate);

/* How many new cgroups it could not tell of since it was opened, because nobody took its events in time. */
uint64_t gate_untold(const struct gate *gate);

/*
 * About so many calls the kernel let by without asking the programs that refuse, since those were loaded: it does not
 * run a program on a CPU where another task was preempted in it (__bpf_prog_enter_recur() in
 * kernel/bpf/trampoline.c). Programs of the BPF LSM are exempt since 6.2 (bpf_prog_check_recur() in
 * include/linux/bpf_verifier.h), and probes of function entries (CONFIG_FPROBE) cannot be preempted; what those miss is
 * counted since 6.7. Without kernel preemption there are none.
 */
uint64_t gate_missed(const struct gate *gate);
