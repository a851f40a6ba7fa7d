/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fallback programs of the gate, for preemptible kernels that have no BPF LSM. There the hooks are fmod_ret
 * programs, and a preemptible kernel skips one of those on a CPU where another task was preempted in it (a recursion
 * miss: kernel/bpf/trampoline.c, __bpf_prog_enter_recur()). So a probe of the function's entry decides before it, and
 * leaves the decision to several programs that may refuse. A probe cannot be preempted, and is missed only on a CPU
 * where a task was preempted in a bpf(2) that reads or changes elements; then the hook's own program decides.
 *
 * The daemon loads these only where they are needed (daemon/enforce/gate.c): they double what the gate costs.
 */
#pragma once

#include "gatedecisions.h"

/* --- Decisions of the probes -------------------------------------------------------------------------------------- */

/* Whether the probes are in use, and which of the gates with the same tables this is; set by the daemon. */
const volatile bool probed;
const volatile __u64 instance;

/*
 * What the probes have decided, by the lower bits of the thread's number: that number in the upper half, the decision
 * in the lower. Of two threads that share a slot at a time one loses its decision, and the hook's own program decides
 * (growth is booked twice then, until it is settled).
 */
#define DECISIONS      1024
#define DECIDED_ADMIT  1
#define DECIDED_REFUSE 2
__u64 decisions[DECISIONS] = {};

/* Refusals that nobody read: the kernel skipped all programs that could have. */
__u64 unread = 0;

/*
 * Whether this gate's decisions count. They do not count while a predecessor still has to refuse what it decided on,
 * nor when there is a successor: the programs of this gate are then detached one by one, and a decision might be read
 * long after old ones are no longer removed.
 */
static __always_inline bool is_in_force(void)
{
        struct gate_settings *settings = get_settings();

        return settings && settings->enforcing && settings->instance == instance;
}

static __always_inline void leave_decision(int decision)
{
        u64 thread = (u32) bpf_get_current_pid_tgid();

        if (decision != UNDECIDED)
                *(volatile u64 *) &decisions[thread % DECISIONS] = thread << 32 |
                                                                   (decision < 0 ? DECIDED_REFUSE : DECIDED_ADMIT);
}

/* Takes the decision on the running thread's call. @refusal: only if it is a refusal. */
static __always_inline int take_decision(bool refusal)
{
        u64 thread = (u32) bpf_get_current_pid_tgid();
        u64 *slot = &decisions[thread % DECISIONS], decision = *(volatile u64 *) slot;

        if (!probed || decision >> 32 != thread || (refusal && (u32) decision != DECIDED_REFUSE))
                return UNDECIDED;
        __sync_val_compare_and_swap(slot, decision, 0);
        if (!is_in_force())
                return UNDECIDED;
        return (u32) decision == DECIDED_REFUSE ? -ENOMEM : 0;
}

/* --- Programs ----------------------------------------------------------------------------------------------------- */

SEC("kprobe.multi")
int gate_map_entered(struct pt_regs *regs)
{
        if (is_in_force())
                leave_decision(decide_map(first_argument(regs)));
        return 0;
}

SEC("kprobe.multi")
int gate_program_entered(struct pt_regs *regs)
{
        if (is_in_force())
                leave_decision(decide_program(first_argument(regs)));
        return 0;
}

/* Runs at the start of each bpf(2), and removes a decision that was left by the previous one. */
SEC("kprobe.multi")
int gate_update_entered(struct pt_regs *regs)
{
        int cmd = first_argument(regs);

        if (take_decision(false) < 0)
                __sync_fetch_and_add(&unread, 1);
        if (is_growth(cmd) && is_in_force())
                leave_decision(decide_command(cmd, second_argument(regs)));
        return 0;
}

SEC("kprobe.multi")
int gate_map_freed(struct pt_regs *regs)
{
        forget_object(first_argument(regs), 0);
        return 0;
}

SEC("kprobe.multi")
int gate_program_freed(struct pt_regs *regs)
{
        forget_program(first_argument(regs));
        return 0;
}

/*
 * Programs that refuse what a probe refused. The kernel skips each of them only while a task is preempted within its
 * few instructions, so each additional program makes it less likely that a call passes all of them. Maps have the most,
 * because many processes may create maps at once.
 */
#define REFUSES(name, function)                               \
        SEC("fmod_ret/" function)                             \
        int name(void *context)                               \
        {                                                     \
                return take_decision(true) < 0 ? -ENOMEM : 0; \
        }

REFUSES(gate_map_again1, "security_bpf_map_create")
REFUSES(gate_map_again2, "security_bpf_map_create")
REFUSES(gate_map_again3, "security_bpf_map_create")
REFUSES(gate_map_again4, "security_bpf_map_create")
REFUSES(gate_program_again, "security_bpf_prog_load")
REFUSES(gate_update_again1, "security_bpf")
REFUSES(gate_update_again2, "security_bpf")
/* The next hooks in the same bpf(2), called when the map or the program is to get a file descriptor. */
REFUSES(gate_map_given, "security_bpf_map")
REFUSES(gate_program_given, "security_bpf_prog")
