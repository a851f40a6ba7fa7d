// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gate does at a hook, run by hand: the real functions, over and over, so that they can be timed on kernels
 * whose hooks it cannot be attached to. Only the way to the hook itself (a trampoline) is missing.
 */
#include "gate.bpf.c"

#include "gate-steps.h"

/* Of the map whose creation is timed. */
static struct create_attr attr = { .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

static int creation(u32 turn, struct gate_steps *steps)
{
        struct cgroup_subsys_state *css = charged_css();
        u64 domain = css ? find_domain((u64) css) : 0, address = steps->map;
        struct size size = {};

        if (!domain || decide_create(address_of(&attr)) != UNDECIDED)
                return 1;
        forget_object(address, 0);
        measure_map(address, &size);
        if (admit_map(address, domain, &size))
                return 1;
        forget_object(address, 0);
        steps->done++;
        return 0;
}

static int growth(u32 turn, struct gate_steps *steps)
{
        struct gate_settings *settings = get_settings();
        u64 address = settings ? map_of_fd(steps->map_fd, settings->map_fops) : 0;

        if (!address || (map_grows(address) && admit_growth(address, 1, 0)))
                return 1;
        steps->done++;
        return 0;
}

/* Runs steps->count times what BPF_MAP_CREATE and the release of the map run in the gate. */
SEC("syscall")
int run_creation(struct gate_steps *context)
{
        struct gate_settings *settings = get_settings();
        struct gate_steps steps = *context;
        u64 start;

        if (!settings)
                return 0;
        steps.map = map_of_fd(steps.map_fd, settings->map_fops);
        start = bpf_ktime_get_ns();
        bpf_loop(steps.count, creation, &steps, 0);
        context->nsec = bpf_ktime_get_ns() - start;
        context->done = steps.done;
        return 0;
}

/* Runs steps->count times what BPF_MAP_UPDATE_ELEM of the map runs in the gate. */
SEC("syscall")
int run_growth(struct gate_steps *context)
{
        struct gate_steps steps = *context;
        u64 start = bpf_ktime_get_ns();

        bpf_loop(steps.count, growth, &steps, 0);
        context->nsec = bpf_ktime_get_ns() - start;
        context->done = steps.done;
        return 0;
}

/* Enters the map steps->map_fd, as its creation would have. */
SEC("syscall")
int enter_map(struct gate_steps *context)
{
        struct cgroup_subsys_state *css = charged_css();
        struct gate_settings *settings = get_settings();
        struct size size = {};
        u64 address;

        if (!settings || !css)
                return 0;
        address = map_of_fd(context->map_fd, settings->map_fops);
        measure_map(address, &size);
        context->done = admit_map(address, find_domain((u64) css), &size) == 0;
        return 0;
}
