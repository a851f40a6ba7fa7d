/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lower bound of a map's size, from the attributes of its creation, before the kernel has allocated anything. The
 * formulas are those of objsize.h, which measures the map once it exists. Parts that the attributes do not determine
 * are omitted, so that no map is refused that would have fitted.
 */
#pragma once

#include "objsize.h"

/* include/uapi/linux/bpf.h: the beginning of union bpf_attr of BPF_MAP_CREATE. */
struct create_attr {
        u32 type, key_size, value_size, max_entries, flags, inner_map_fd, numa_node;
        char name[16];
        u32 ifindex, btf_fd, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id;
        u64 map_extra;
};

/* The kernel creates no map with values of this size or larger (arraymap.c, mm/percpu.c). */
#define CREATE_VALUE_MAX  (1ULL << 31)
#define CREATE_PERCPU_MAX (1ULL << 15) /* PCPU_MIN_UNIT_SIZE */
#define CREATE_MAX        (1ULL << 62)

/* kernel/bpf/arraymap.c: array_map_alloc(); without the room for an index that the CPU speculates on. */
static __always_inline void create_array(const struct create_attr *attr, struct object_record *record)
{
        u64 size = bpf_core_type_size(struct bpf_array), page = machine.page_size;
        u64 elem_size = round_up_to(attr->value_size, 8), entries = attr->max_entries;

        if (attr->type == BPF_MAP_TYPE_PERCPU_ARRAY) {
                if (elem_size > CREATE_PERCPU_MAX)
                        return;
                add_area(record, size + entries * sizeof(u64));
                add_percpu(record, elem_size, entries, false);
        } else if (attr->flags & BPF_F_MMAPABLE) {
                add_bytes(record, round_up_to(size, page) + round_up_to(entries * elem_size, page), true);
        } else {
                add_area(record, size + entries * elem_size);
        }
        if (attr->type == BPF_MAP_TYPE_PROG_ARRAY)
                add_kmalloc(record, bpf_core_type_size(struct bpf_array_aux), 1, true);
}

/* kernel/bpf/hashtab.c: prealloc_init(), alloc_extra_elems() */
static __always_inline void create_htab_elements(const struct create_attr *attr, struct object_record *record)
{
        bool percpu = htab_is_percpu(attr->type), lru = htab_is_lru(attr->type);
        u64 elem_size = bpf_core_type_size(struct htab_elem) + round_up_to(attr->key_size, 8);
        u64 count = attr->max_entries;

        elem_size += percpu ? sizeof(u64) : round_up_to(attr->value_size, 8);
        if (attr->type == BPF_MAP_TYPE_HASH) {
                count += machine.possible_cpus;
                add_percpu(record, sizeof(u64), 1, false);
        }
        add_area(record, count * elem_size);
        if (percpu && attr->value_size <= CREATE_PERCPU_MAX)
                add_percpu(record, round_up_to(attr->value_size, 8), count, false);
        if (!lru)
                add_percpu(record, bpf_core_type_size(struct pcpu_freelist_head), 1, false);
        else if (attr->flags & BPF_F_NO_COMMON_LRU)
                add_percpu(record, bpf_core_type_size(struct bpf_lru_list), 1, false);
        else
                add_percpu(record, bpf_core_type_size(struct bpf_lru_locallist), 1, false);
}

/* kernel/bpf/hashtab.c: htab_map_alloc(); each map with more than 64 elements per CPU has a per-CPU counter. */
static __always_inline void create_htab(const struct create_attr *attr, struct object_record *record)
{
        add_area(record, bpf_core_type_size(struct bpf_htab));
        add_area(record, round_up_pow2(attr->max_entries) * bpf_core_type_size(struct bucket));
        if (bpf_core_field_exists(struct bpf_htab___map_locked, map_locked))
                add_percpu(record, sizeof(s32), 8, false);
        if (attr->max_entries / 2 > machine.possible_cpus * 32)
                add_percpu(record, sizeof(s32), 1, false);
        if (bpf_core_field_exists(struct bpf_map, elem_count))
                add_percpu(record, sizeof(s64), 1, false);
        if (!(attr->flags & BPF_F_NO_PREALLOC))
                create_htab_elements(attr, record);
}

/* kernel/bpf/stackmap.c: stack_map_alloc() */
static __always_inline void create_stack_trace(const struct create_attr *attr, struct object_record *record)
{
        u64 elem_size = bpf_core_type_size(struct stack_map_bucket) + attr->value_size;

        add_area(record, bpf_core_type_size(struct bpf_stack_map) + round_up_pow2(attr->max_entries) * sizeof(u64));
        add_area(record, elem_size * attr->max_entries);
        add_percpu(record, bpf_core_type_size(struct pcpu_freelist_head), 1, false);
}

/* kernel/bpf/bloom_filter.c: bloom_map_alloc(); bits = entries * functions * 7 / 5, up to 2^32 of them. */
static __always_inline void create_bloom(const struct create_attr *attr, struct object_record *record)
{
        u64 bits = (u64) attr->max_entries * ((attr->map_extra & 15) ?: 5) / 5 * 7;

        bits = bits > 1ULL << 31 ? 1ULL << 32 : round_up_pow2(bits > 64 ? bits : 64);
        add_area(record, bpf_core_type_size(struct bpf_bloom_filter) + bits / 8);
}

/* kernel/bpf/ringbuf.c: bpf_ringbuf_area_alloc(); the pages are charged with cgroup.memory=nobpf, too. */
static __always_inline void create_ringbuf(const struct create_attr *attr, struct object_record *record)
{
        u64 page = machine.page_size ?: 4096, data_pages = attr->max_entries / page;
        u64 pages = data_pages + bpf_core_type_size(struct bpf_ringbuf) / page;

        add_area(record, bpf_core_type_size(struct bpf_ringbuf_map));
        add_area(record, (pages + data_pages) * sizeof(u64));
        record->allocated += pages * page;
        record->charged += pages * page;
}

/* Adds a head of @head bytes, and a separate array of @slots of @size bytes. */
static __always_inline void create_slots(struct object_record *record, u64 head, u64 slots, u64 size)
{
        add_area(record, head);
        add_area(record, slots * size);
}

/* kernel/bpf/arena.c: populate_pgtable_except_pte(), as in objsize_arena(); the pages come later. */
static __always_inline void create_arena(struct object_record *record)
{
        if (!bpf_core_type_exists(struct bpf_arena))
                return;
        add_area(record, bpf_core_type_size(struct bpf_arena));
        if (!bpf_core_field_exists(struct bpf_arena___scratch_page, scratch_page))
                return;
        add_bytes(record, machine.page_size, true);
        add_bytes(record, (ARENA_BYTES / (ARENA_TABLE_BYTES ?: 1) + 1) * machine.page_size, false);
}

static __always_inline void create_by_type(const struct create_attr *attr, struct object_record *record)
{
        u64 entries = attr->max_entries;

        switch (attr->type) {
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_PROG_ARRAY:
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
                create_array(attr, record);
                break;
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
                create_htab(attr, record);
                break;
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK:
                add_area(record, bpf_core_type_size(struct bpf_queue_stack) + (entries + 1) * attr->value_size);
                break;
        case BPF_MAP_TYPE_STACK_TRACE:
                create_stack_trace(attr, record);
                break;
        case BPF_MAP_TYPE_BLOOM_FILTER:
                create_bloom(attr, record);
                break;
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF:
                create_ringbuf(attr, record);
                break;
        case BPF_MAP_TYPE_DEVMAP_HASH:
                create_slots(record, bpf_core_type_size(struct bpf_dtab), round_up_pow2(entries), sizeof(u64));
                break;
        case BPF_MAP_TYPE_DEVMAP:
                create_slots(record, bpf_core_type_size(struct bpf_dtab), entries, sizeof(u64));
                break;
        case BPF_MAP_TYPE_CPUMAP:
                create_slots(record, bpf_core_type_size(struct bpf_cpu_map), entries, sizeof(u64));
                break;
        case BPF_MAP_TYPE_SOCKMAP:
                create_slots(record, bpf_core_type_size(struct bpf_stab), entries, sizeof(u64));
                break;
        case BPF_MAP_TYPE_SOCKHASH:
                create_slots(record, bpf_core_type_size(struct bpf_shtab), round_up_pow2(entries),
                                bpf_core_type_size(struct bpf_shtab_bucket));
                break;
        case BPF_MAP_TYPE_XSKMAP:
                add_area(record, bpf_core_type_size(struct xsk_map) + entries * sizeof(u64));
                break;
        case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
                add_area(record, bpf_core_type_size(struct reuseport_array) + entries * sizeof(u64));
                break;
        case MAP_TYPE_ARENA:
                create_arena(record);
                break;
        case MAP_TYPE_INSN_ARRAY:
                if (bpf_core_type_exists(struct bpf_insn_array))
                        add_area(record, bpf_core_type_size(struct bpf_insn_array) +
                                                         entries * (bpf_core_type_size(struct bpf_insn_array_value) +
                                                                                   sizeof(u64)));
                break;
        }
}

/*
 * Smaller maps are not checked before they exist, because every creation passes here, and the memory that they occupy
 * until they are refused is at most this.
 */
#define CREATE_LARGE (64 * 1024)

/* Whether the map with the attributes at @address may be larger, by a cheap upper bound for all types. */
static __always_inline bool create_is_large(u64 address)
{
        struct {
                u32 type, key_size, value_size, max_entries;
        } attr = {};

        bpf_probe_read_kernel(&attr, sizeof(attr), (void *) address);
        /* A ring has no values, but a byte for each entry; no type has 128 bytes of its own for each. */
        return attr.type == MAP_TYPE_ARENA ||
               ((u64) attr.key_size + attr.value_size + 128) * attr.max_entries * machine.possible_cpus >= CREATE_LARGE;
}

/*
 * Adds to @record, which is empty, the minimum allocated and charged bytes of the map that BPF_MAP_CREATE makes from
 * the kernel's copy of the attributes at @address; nothing if they are not known, or if the kernel makes no such map.
 */
__noinline int create_bytes(u64 address, struct object_record *record)
{
        struct create_attr attr = {};

        if (!record)
                return 0;
        bpf_probe_read_kernel(&attr, sizeof(attr), (void *) address);
        record->type = attr.type;
        if (!attr.max_entries || attr.value_size > CREATE_VALUE_MAX || attr.key_size > CREATE_VALUE_MAX)
                return 0;
        create_by_type(&attr, record);
        if (record->allocated > CREATE_MAX)
                record->allocated = CREATE_MAX;
        if (record->charged > CREATE_MAX)
                record->charged = CREATE_MAX;
        return 0;
}
