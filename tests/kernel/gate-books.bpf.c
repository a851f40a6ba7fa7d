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
__u64 fake_pages = 0;    /* that an arena gets */
__u32 killed = 0;        /* signals that were sent to the test, had it been another */
__u32 last_signal = 0;

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

static __always_inline long tested_argument(u32 argument, u64 *value)
{
        *value = argument == 2 ? fake_pages : ~0ULL;
        return 0;
}

static __always_inline long tested_signal(u32 signal)
{
        killed++;
        last_signal = signal;
        return 0;
}

#define bpf_jiffies64                   tested_jiffies
#define bpf_get_current_pid_tgid        tested_pid_tgid
#define bpf_get_func_ret(ctx, ret)      tested_result(ret)
#define bpf_get_func_arg(ctx, n, value) tested_argument(n, value)
#define bpf_send_signal                 tested_signal

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
        call->ceiling = size.ceiling;
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
        call->ceiling = size.ceiling;
        call->pages = BPF_CORE_READ(prog, pages);
        call->insns = BPF_CORE_READ(prog, len);
        call->aux_size = bpf_core_type_size(struct bpf_prog_aux);
        call->result = (u64) BPF_CORE_READ(prog, aux);
        return 0;
}

SEC("syscall")
int call_admit_map(struct books_call *call)
{
        struct size size = { .allocated = call->allocated,
                .charged = call->charged,
                .ceiling = call->ceiling,
                .unknown = call->unknown };

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

/* What a map with the attributes at @call->address takes at least. */
SEC("syscall")
int call_create_bytes(struct books_call *call)
{
        struct object_record record = {};

        create_bytes(call->address, &record);
        call->allocated = record.allocated;
        call->charged = record.charged;
        return 0;
}

/* What @call->levels more elements of the map take, and whether an update of it is looked at. */
SEC("syscall")
int call_growth_bytes(struct books_call *call)
{
        u64 slack = 0;

        call->result = growth_bytes(call->address, call->levels, &slack);
        call->slack = slack;
        call->enforce = map_grows(call->address);
        return 0;
}

/* The buckets and the bytes of a resizable hash's table, that has call->id of them, with call->above elements. */
SEC("syscall")
int call_rhash_buckets(struct books_call *call)
{
        call->result = rhash_buckets(call->id, call->above);
        call->allocated = rhash_table_bytes(call->result);
        return 0;
}

/* Settles the entry call->address to call->allocated, by what it said before: amount[0..2]. */
SEC("syscall")
int call_settle_entry(struct books_call *call)
{
        struct gate_settlement to = { .key = call->address, .allocated = call->allocated, .charged = call->allocated };
        u64 key = call->address;
        struct gate_object *object = bpf_map_lookup_elem(&gate_objects, &key);

        to.before.allocated = call->amount[0];
        to.before.admitted = call->amount[1];
        to.before.coming = call->amount[2];
        call->result = settle_entry(object, &to);
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

/* Whether something in the way of the running task's cgroup up is missing in the tables. */
SEC("syscall")
int call_is_incomplete(struct books_call *call)
{
        call->result = is_incomplete((u64) charged_css());
        return 0;
}
