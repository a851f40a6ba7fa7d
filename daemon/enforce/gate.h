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

struct gate;

struct gate_options {
        const struct machine *machine;
        uint64_t own_cgroup; /* the daemon's, which is never refused; 0: none */
        uint32_t domains_max;
        uint32_t objects_max;
        bool fail_closed;
        bool fresh; /* tables of a predecessor are not taken over, but replaced by gate_start() */
};

/*
 * Loads the gate and attaches it. Tables that a predecessor has pinned are taken over with all they hold, if they are
 * root's and of this version's layout; its programs stay attached until gate_start(), so that there is no moment
 * without a gate. On a fresh one everything is admitted until then. Only one process at a time has the gate, until it
 * ends or calls gate_release(). Returns 0 or a negative errno (-EBUSY: another one has it); it has logged why, with the
 * program that the kernel refused.
 */
int gate_open(const struct gate_options *options, struct gate **gate);

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
 * Sets the limits of the cgroup @id, below the domain @parent (0: none). @denied is what a new domain's count begins
 * with. Returns 0; -EEXIST: it is there below another parent, a fresh gate has to be made; -E2BIG: the table is full;
 * another negative errno.
 */
int gate_set_domain(
                struct gate *gate, uint64_t id, uint64_t parent, const uint64_t max[GATE_RESOURCES], uint64_t denied);
/*
 * Removes the domain @id. Returns 0, or -EBUSY: something is booked in it still, which has to come off those above too.
 * Then it has no limits any more, and is to be removed later.
 */
int gate_remove_domain(struct gate *gate, uint64_t id);

/* Reads the domain @id. Returns 0 or -ENOENT. */
int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain);

/* The domain after *@id in the table (0: the first). Returns 0 with *id, or -ENOENT at the end. */
int gate_next_domain(const struct gate *gate, uint64_t *id);

/* Settles @n objects; their again is set. Returns 0 or a negative errno. */
int gate_settle(struct gate *gate, struct gate_settlement *settlements, size_t n);

typedef void (*gate_event_t)(void *context, const struct gate_event *event);

/* A file descriptor that polls readable when there are events, and taking them. Returns their number. */
int gate_events_fd(const struct gate *gate);
int gate_take_events(struct gate *gate, gate_event_t callback, void *context);

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
