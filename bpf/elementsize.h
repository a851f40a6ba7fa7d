/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An upper bound of the bytes by which a map grows when bpf(2) inserts an element. It is derived from the same kernel
 * code as objsize.h, with the same rounding; objsize.h measures the actual size afterwards. Types that are not listed
 * here allocate everything when they are created.
 */
#pragma once

#include "objsize.h"

#define TYPE(type) (1ULL << (type))

/* Types whose elements are allocated when they are inserted; those of hashes only with BPF_F_NO_PREALLOC. */
#define TYPES_THAT_GROW                                                                                       \
        (TYPE(BPF_MAP_TYPE_LPM_TRIE) | TYPE(BPF_MAP_TYPE_DEVMAP) | TYPE(BPF_MAP_TYPE_DEVMAP_HASH) |           \
                        TYPE(BPF_MAP_TYPE_CPUMAP) | TYPE(BPF_MAP_TYPE_SOCKHASH) | TYPE(BPF_MAP_TYPE_XSKMAP) | \
                        TYPE(BPF_MAP_TYPE_PERF_EVENT_ARRAY) | TYPE(BPF_MAP_TYPE_STRUCT_OPS) |                 \
                        TYPE(BPF_MAP_TYPE_SK_STORAGE) | TYPE(BPF_MAP_TYPE_INODE_STORAGE) |                    \
                        TYPE(BPF_MAP_TYPE_TASK_STORAGE) | TYPE(MAP_TYPE_CGRP_STORAGE) | TYPE(MAP_TYPE_RHASH))
#define TYPES_THAT_MAY_GROW (TYPE(BPF_MAP_TYPE_HASH) | TYPE(BPF_MAP_TYPE_PERCPU_HASH) | TYPE(BPF_MAP_TYPE_HASH_OF_MAPS))

/* Whether bpf(2) allocates the elements of the map at @address when it inserts them. Called for each update. */
static __always_inline bool map_grows(u64 address)
{
        struct bpf_map *map = (void *) address;
        u64 type = TYPE(BPF_CORE_READ(map, map_type) & 63);

        if (type & TYPES_THAT_GROW)
                return true;
        return (type & TYPES_THAT_MAY_GROW) && (BPF_CORE_READ(map, map_flags) & BPF_F_NO_PREALLOC);
}

/*
 * How many elements of @size bytes BPF's allocator takes at once for the free list of a CPU, at most: 3/4 of what is
 * between its watermarks. Those are 32 and 96 elements, of more than 256 bytes 8 KiB and 24 KiB (kernel/bpf/memalloc.c,
 * init_refill_work()).
 */
static __always_inline u64 refill_count(u64 size)
{
        return size <= 256 ? 48 : (48 * 256 + size - 1) / size;
}

/* An element of @size bytes by BPF's allocator, with its pointer in the free list (LLIST_NODE_SZ), and one refill. */
static __always_inline void add_cached(struct object_record *record, u64 size, u64 *slack)
{
        u64 before = record->allocated;

        size += sizeof(u64);
        add_kmalloc(record, size, 1, true);
        *slack += refill_count(size) * (record->allocated - before);
}

/* kernel/bpf/cpumap.c: __cpu_map_entry_alloc(). The queue has as many slots as the value says, at most these. */
#define CPUMAP_QUEUE_MAX 16384

static __always_inline void add_cpumap_element(struct object_record *record)
{
        add_kmalloc(record, bpf_core_type_size(struct bpf_cpu_map_entry), 1, true);
        add_kmalloc(record, bpf_core_type_size(struct ptr_ring), 1, true);
        add_percpu(record, bpf_core_type_size(struct xdp_bulk_queue), 1, true);
        add_bytes(record, CPUMAP_QUEUE_MAX * sizeof(u64), false);
}

/* kernel/bpf/bpf_struct_ops.c: bpf_struct_ops_map_update_elem(). Until 6.8 there is one image page from the beginning.
 */
#define STRUCT_OPS_PAGES_MAX 8 /* MAX_TRAMP_IMAGE_PAGES */

static __always_inline void add_struct_ops_element(u64 address, struct object_record *record)
{
        struct bpf_struct_ops_map *map = (void *) address;
        u64 functions;

        if (!bpf_core_field_exists(map->image_pages_cnt))
                return;
        functions = BPF_CORE_READ(map, funcs_cnt);
        add_kmalloc(record, bpf_core_type_size(struct bpf_tramp_link), functions, false);
        add_kmalloc(record, bpf_core_type_size(struct bpf_ksym), functions, false);
        add_bytes(record, STRUCT_OPS_PAGES_MAX * (u64) machine.page_size, false);
}

/*
 * The maximum number of bytes of one more element of a map that grows; 0 if it is negligible. @slack: bytes that the
 * free lists may take in addition.
 */
__noinline u64 element_bytes(u64 address, u64 *slack)
{
        struct bpf_map *map = (void *) address;
        struct object_record record = {};
        struct bpf_htab *htab = (void *) address;
        struct lpm_trie *trie = (void *) address;
        struct bpf_shtab *sockhash = (void *) address;
        struct bpf_local_storage_map *storage = (void *) address;
        struct bpf_rhtab *rhtab = (void *) address;
        u64 size, before;

        if (!slack)
                return 0;
        *slack = 0;
        record.type = BPF_CORE_READ(map, map_type);
        record.value_size = BPF_CORE_READ(map, value_size);
        switch (record.type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
                add_cached(&record, BPF_CORE_READ(htab, elem_size), slack);
                break;
        case BPF_MAP_TYPE_PERCPU_HASH:
                add_cached(&record, BPF_CORE_READ(htab, elem_size), slack);
                before = record.allocated;
                size = round_up_to(record.value_size, 8);
                add_kmalloc(&record, 2 * sizeof(u64), 1, true);
                add_percpu(&record, size, 1, true);
                *slack += refill_count(size) * (record.allocated - before);
                break;
        case BPF_MAP_TYPE_LPM_TRIE:
                size = bpf_core_type_size(struct lpm_trie_node) + BPF_CORE_READ(trie, data_size) + record.value_size;
                add_cached(&record, size, slack);
                record.allocated *= 2; /* a leaf and an intermediate node */
                break;
        case MAP_TYPE_RHASH:
                if (bpf_core_type_exists(struct bpf_rhtab))
                        add_cached(&record, BPF_CORE_READ(rhtab, elem_size), slack);
                break;
        case BPF_MAP_TYPE_SK_STORAGE:
        case BPF_MAP_TYPE_INODE_STORAGE:
        case BPF_MAP_TYPE_TASK_STORAGE:
        case MAP_TYPE_CGRP_STORAGE:
                add_cached(&record, BPF_CORE_READ(storage, elem_size), slack);
                add_cached(&record, bpf_core_type_size(struct bpf_local_storage), slack);
                break;
        /* kernel/bpf/devmap.c: __dev_map_alloc_node() */
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
                add_kmalloc(&record, bpf_core_type_size(struct bpf_dtab_netdev), 1, true);
                break;
        case BPF_MAP_TYPE_CPUMAP:
                add_cpumap_element(&record);
                break;
        /* net/core/sock_map.c: sock_hash_alloc_elem() */
        case BPF_MAP_TYPE_SOCKHASH:
                add_kmalloc(&record, BPF_CORE_READ(sockhash, elem_size), 1, true);
                break;
        /* net/xdp/xskmap.c: xsk_map_node_alloc() */
        case BPF_MAP_TYPE_XSKMAP:
                add_kmalloc(&record, bpf_core_type_size(struct xsk_map_node), 1, true);
                break;
        /* kernel/bpf/arraymap.c: bpf_event_entry_gen() */
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
                add_kmalloc(&record, bpf_core_type_size(struct bpf_event_entry), 1, false);
                break;
        case BPF_MAP_TYPE_STRUCT_OPS:
                add_struct_ops_element(address, &record);
                break;
        /* Not by an update, but when a program that uses the map is attached to a cgroup. */
        case BPF_MAP_TYPE_CGROUP_STORAGE:
                add_kmalloc(&record, bpf_core_type_size(struct bpf_cgroup_storage), 1, true);
                size = bpf_core_type_size(struct bpf_storage_buffer) + record.value_size;
                add_kmalloc(&record, size, 1, true);
                break;
        case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
                add_kmalloc(&record, bpf_core_type_size(struct bpf_cgroup_storage), 1, true);
                add_percpu(&record, round_up_to(record.value_size, 8), 1, true);
                break;
        }
        return record.allocated;
}

/*
 * How many buckets lib/rhashtable.c gives a table of @buckets in the end when it has @elements: it doubles them while
 * more than three quarters are used (rht_grow_above_75()).
 */
static __always_inline u64 rhash_buckets(u64 buckets, u64 elements)
{
        u64 wanted = round_up_pow2(elements + elements / 3 + 1);

        return wanted > buckets ? wanted : buckets;
}

static __always_inline u64 rhash_table_bytes(u64 buckets)
{
        return kmalloc_bytes(bpf_core_type_size(struct bucket_table) + buckets * sizeof(u64));
}

/*
 * The bytes of the new table of the resizable hash at @address, which exists next to the old one when @count more
 * elements make it grow.
 */
static __always_inline u64 rhash_growth(u64 address, u32 count)
{
        struct bpf_rhtab *rhtab = (void *) address;
        u64 buckets = BPF_CORE_READ(rhtab, ht.tbl, size);
        u64 after = rhash_buckets(buckets, (u64) BPF_CORE_READ(rhtab, ht.nelems.counter) + count);

        return after > buckets ? rhash_table_bytes(after) : 0;
}

/* The maximum number of bytes of @count more elements of the map at @address. @slack: as in element_bytes(). */
static __noinline u64 growth_bytes(u64 address, u32 count, u64 *slack)
{
        struct bpf_map *map = (void *) address;
        u64 bytes = element_bytes(address, slack) * count;

        if (bpf_core_type_exists(struct bpf_rhtab) && BPF_CORE_READ(map, map_type) == MAP_TYPE_RHASH)
                bytes += rhash_growth(address, count);
        return bytes;
}
