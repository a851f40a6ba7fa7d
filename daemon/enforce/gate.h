/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate in the kernel (bpf/gate.bpf.c): its tables of limits and of what is booked, its programs, and their pins,
 * which keep it in force when the daemon does not run. admission.c decides what the limits are, and to which cgroup an
 * object belongs.
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
        uint32_t automaton_max;      /* the minimum room for the automaton of gate_set_budgets(), in entries */
        uint32_t budgets_max;        /* and budgets */
        bool fresh;                  /* do not take over the tables of a predecessor; gate_start() replaces them */
        const struct gate *previous; /* of this process, whose hashes of paths a fresh one shares; NULL: none */
};

/*
 * Loads the gate and attaches it. Tables that a predecessor has pinned are taken over with all they hold, if they are
 * root's and of this version's layout; its programs stay attached until gate_start(), so that there is no moment
 * without a gate. A fresh gate admits everything until then. Only one process at a time has the gate, until it ends or
 * calls gate_release(). Returns 0 or a negative errno (-EBUSY: another one has it); it has logged why, with the program
 * that the kernel refused.
 */
int gate_open(const struct gate_options *options, struct gate **gate);

/* Its maps and programs. */
const struct bpf_object *gate_object(const struct gate *gate);

/* Ends the daemon's side; the pins, and so the gate, stay. */
void gate_close(struct gate *gate);

/*
 * Removes the pins and so opens the gate. Returns how many there were, or a negative errno, logged but for -EBUSY:
 * another process has the gate, and nothing was done.
 */
int gate_release(void);

/*
 * Enforces from now on, and pins programs and tables in place of a predecessor's. Returns 0 or a negative errno,
 * logged; in that case the gate enforces only as long as the daemon runs.
 */
int gate_start(struct gate *gate);

/*
 * Puts the automaton and the limits of all @count budgets in force for cgroups that are created from now on. The switch
 * is atomic: each cgroup gets the old limits or the new ones. Returns 0; -E2BIG: the gate was opened with less room.
 */
int gate_set_budgets(
                struct gate *gate, const struct automaton *automaton, const struct gate_limits *limits, size_t count);

/*
 * Sets the limits of the cgroup @id, below the domain @parent (0: none). @path is its path; if it is NULL (not known),
 * objects that the cgroup leaves behind will not count against the next cgroup of that path. @denied is the initial
 * count of refusals of a new domain. Returns 0; -EEXIST: the domain exists below another parent, so a fresh gate is
 * necessary; -E2BIG: the table is full; another negative errno.
 */
int gate_set_domain(struct gate *gate, uint64_t id, uint64_t parent, const char *path,
                const uint64_t max[GATE_RESOURCES], uint64_t denied);
/*
 * Removes the domain @id. Returns 0, or -EBUSY: something is still booked in it, and must also be unbooked in the
 * domains above later. In this case it has no limits any more, and is to be removed later. @lives: its cgroup still
 * exists, and only has no budget any more; a resync may move what is booked in it to a domain above.
 */
int gate_remove_domain(struct gate *gate, uint64_t id, bool lives);

/* Reads the domain @id. Returns 0 or -ENOENT. */
int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain);

/* The domain after *@id in the table (0: the first). Returns 0 with *id, or -ENOENT at the end. */
int gate_next_domain(const struct gate *gate, uint64_t *id);

/* Reads the entry @key of an object. Returns 0 or -ENOENT. */
int gate_read_object(const struct gate *gate, uint64_t key, struct gate_object *object);

/*
 * Creates the domain @id of a removed cgroup as it is in another gate: below @domain->parent, with nothing booked, and
 * no limits. @left: it counts against the next cgroup of its path. Returns 0 or a negative errno.
 */
int gate_carry_domain(struct gate *gate, uint64_t id, const struct gate_domain *domain, bool left);

/* Whether the domain @id counts against the next cgroup whose path has the hash @path. */
bool gate_is_left(const struct gate *gate, uint64_t id, const struct path_hash *path);

/* Resyncs @n objects, and sets the member "again" of each. Returns 0 or a negative errno. */
int gate_settle(struct gate *gate, struct gate_settlement *settlements, size_t n);

typedef void (*gate_event_t)(void *context, const struct gate_event *event);

/*
 * A file descriptor that becomes readable when there are events; and a function that takes them and returns their
 * number.
 */
int gate_events_fd(const struct gate *gate);
int gate_take_events(struct gate *gate, gate_event_t callback, void *context);

/* How full the tables of domains and of objects are, and how many cgroups have no domain because there was no room. */
struct gate_fill {
        uint64_t domains, domains_max;
        uint64_t objects, objects_max;
        uint64_t domains_missing;
};
void gate_read_fill(const struct gate *gate, struct gate_fill *fill);

/* Notes that all domains have been entered, and none is missing. */
void gate_completed(struct gate *gate);

/* The number of growths that could not be booked so far, because tables were full or the type is not known. */
uint64_t gate_unbooked(const struct gate *gate);

/* The number of new cgroups that it could not report since it was opened, because its events were not taken in time. */
uint64_t gate_untold(const struct gate *gate);

/*
 * The approximate number of calls for which the kernel skipped the programs that refuse, since these were loaded: it
 * does not run a program on a CPU where another task was preempted in it (__bpf_prog_enter_recur() in
 * kernel/bpf/trampoline.c). Programs of the BPF LSM are exempt since 6.2 (bpf_prog_check_recur() in
 * include/linux/bpf_verifier.h), and probes of function entries (CONFIG_FPROBE) cannot be preempted; what those miss is
 * counted since 6.7. Without kernel preemption there are none.
 */
uint64_t gate_missed(const struct gate *gate);
