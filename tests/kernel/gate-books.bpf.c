// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate's own functions and tables, to be run by hand: kernels without trampolines cannot attach its programs, but
 * run them with the arguments that a hook would give them. The time, the thread, and what a hook returned are what the
 * test says.
 */
#include "kerneltypes.h"

#include <bpf/bpf_tracing.h>

#include "gate-books.h"

__u64 fake_jiffies = 0;  /* 0: the kernel's */
__u64 fake_pid_tgid = 0; /* 0: that of the test */
__s64 fake_result = 0;   /* of the hook that a fexit program is at */

/* What bpf(2) was given. */
__u8 attr[BOOKS_ATTR_SIZE] = {};

static __always_inline u64 tested_jiffies(void)
{
        return fake_jiffies ?: bpf_jiffies64();
}

static __always_inline u64 tested_pid_tgid(void)
{
        return fake_pid_tgid ?: bpf_get_current_pid_tgid();
}

static __always_inline long tested_result(u64 *result)
{
        *result = fake_result;
        return 0;
}

#define bpf_jiffies64              tested_jiffies
#define bpf_get_current_pid_tgid   tested_pid_tgid
#define bpf_get_func_ret(ctx, ret) tested_result(ret)

#include "gate.bpf.c"

/* kernel/bpf/memalloc.c */
struct bpf_mem_cache___batch {
        int batch;
} CORE;

static __always_inline void from_call(struct booking *booking, const struct books_call *call)
{
        for (int i = 0; i < GATE_RESOURCES; i++)
                booking->amount[i] = call->amount[i];
        booking->slack = call->slack;
        booking->enforce = call->enforce;
}

SEC("syscall")
int call_book(struct books_call *call)
{
        struct booking booking = {};

        from_call(&booking, call);
        call->result = book(call->id, &booking);
        call->refused_by = booking.refused_by;
        call->usage = booking.usage;
        call->max = booking.max;
        call->resource = booking.resource;
        call->levels = booking.levels;
        return 0;
}

SEC("syscall")
int call_unbook(struct books_call *call)
{
        struct booking booking = {};

        from_call(&booking, call);
        unbook(call->id, &booking, call->levels);
        return 0;
}

SEC("syscall")
int call_levels_below(struct books_call *call)
{
        call->result = levels_below(call->id, call->above);
        return 0;
}

/* The domain of the running task. */
SEC("syscall")
int call_find_domain(struct books_call *call)
{
        call->result = find_domain((u64) charged_css());
        return 0;
}

/* The map or program behind the file descriptor @call->fd, and where attr is. */
SEC("syscall")
int find_address(struct books_call *call)
{
        struct task_struct *task = (void *) bpf_get_current_task();
        struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;

        bpf_probe_read_kernel(&file, sizeof(file), &files[call->fd]);
        call->address = (u64) BPF_CORE_READ(file, private_data);
        call->result = address_of(attr);
        return 0;
}

SEC("syscall")
int call_map_of_fd(struct books_call *call)
{
        struct gate_settings *settings = get_settings();

        if (settings)
                call->result = map_of_fd(call->fd, settings->map_fops);
        return 0;
}

SEC("syscall")
int call_measure_map(struct books_call *call)
{
        struct size size = {};

        measure_map(call->address, &size);
        call->allocated = size.allocated;
        call->charged = size.charged;
        return 0;
}

SEC("syscall")
int call_measure_program(struct books_call *call)
{
        struct bpf_prog *prog = (void *) call->address;
        struct size size = {};

        measure_program(call->address, &size);
        call->allocated = size.allocated;
        call->charged = size.charged;
        call->pages = BPF_CORE_READ(prog, pages);
        call->insns = BPF_CORE_READ(prog, len);
        call->aux_size = bpf_core_type_size(struct bpf_prog_aux);
        call->result = (u64) BPF_CORE_READ(prog, aux);
        return 0;
}

SEC("syscall")
int call_admit_map(struct books_call *call)
{
        struct size size = { .allocated = call->allocated, .charged = call->charged, .unknown = call->unknown };

        call->result = admit_map(call->address, call->id, &size);
        return 0;
}

static __always_inline u32 batch_of(u64 cache)
{
        s32 batch = 0;

        bpf_probe_read_kernel(&batch, sizeof(batch),
                        (void *) (cache + percpu_offset(0) +
                                        bpf_core_field_offset(struct bpf_mem_cache___batch, batch)));
        return batch;
}

/* What one more element of the map takes, and for a hash how many the kernel allocates at once. */
SEC("syscall")
int call_element_bytes(struct books_call *call)
{
        struct bpf_htab *htab = (void *) call->address;
        u64 slack = 0;

        call->result = element_bytes(call->address, &slack);
        call->slack = slack;
        call->batch = batch_of((u64) BPF_CORE_READ(htab, ma.cache));
        call->percpu_batch = batch_of((u64) BPF_CORE_READ(htab, pcpu_ma.cache));
        return 0;
}

SEC("syscall")
int call_lock(struct books_call *call)
{
        u64 key = call->address;
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);

        call->result = lock(object);
        return 0;
}

SEC("syscall")
int call_unlock(struct books_call *call)
{
        u64 key = call->address;
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);
        struct booking booking = {};

        if (object)
                unlock(object, &booking);
        return 0;
}
