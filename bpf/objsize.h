/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes of one BPF object, from the kernel's own structures: one function per map type, and one for programs. They
 * mirror what the kernel allocates (doc/ACCOUNTING.md says which function of it) with the rounding of its allocators,
 * and which part of it a memory cgroup is charged for. What is not there yet, but may come by insertion, counts towards
 * the ceiling only: the same formulas with max_entries in place of the entries. Every access is a
 * bpf_probe_read_kernel(), so an address that has become stale gives wrong figures and never a fault.
 *
 * Most are global functions that return 0: the verifier checks a global function only once per program, with arbitrary
 * arguments, and not for each call and each path to it. Functions whose types a kernel may lack are static, because a
 * global function is checked even if no call of it can be reached.
 */
#pragma once

#include "kerneltypes.h"
#include "maple.h"
#include "maptypes.h"
#include "percpu.h"
#include "records.h"
#include "tables.h"
#include "vmalloc.h"

static __always_inline u64 round_up_to(u64 size, u64 alignment)
{
        return (size + alignment - 1) & ~(alignment - 1);
}

static __always_inline u64 round_up_pow2(u64 size)
{
        size--;
        size |= size >> 1;
        size |= size >> 2;
        size |= size >> 4;
        size |= size >> 8;
        size |= size >> 16;
        size |= size >> 32;
        return size + 1;
}

/* Slab memory up to two pages, whole pages above (include/linux/slab.h, KMALLOC_MAX_CACHE_SIZE). */
static __always_inline bool kmalloc_is_slab(u64 size)
{
        return size <= 2 * (u64) machine.page_size;
}

/*
 * The size class that kmalloc() serves @size bytes from (mm/slab_common.c, kmalloc_info[]); above, a power of two
 * pages. All are multiples of the smallest one, as their alignment is that.
 */
static __always_inline u64 kmalloc_bytes(u64 size)
{
        u64 least = machine.kmalloc_min;

        if (size <= least)
                return least;
        if (size > 64 && size <= 96 && least <= 32)
                return 96;
        if (size > 128 && size <= 192 && least <= 64)
                return 192;
        return round_up_pow2(size);
}

/* Whether what the verifier leaves behind is charged: not in 6.12, in 6.18 (GFP_KERNEL_ACCOUNT in verifier.c, btf.c).
 */
static __always_inline bool verifier_memory_charged(void)
{
        return bpf_core_field_exists(struct bpf_prog_aux___stream, stream);
}

static __always_inline void add_bytes(struct object_record *record, u64 bytes, bool charged)
{
        record->allocated += bytes;
        record->ceiling += bytes;
        if (charged && !machine.nobpf)
                record->charged += bytes;
}

/* Adds bytes that are not allocated yet, but may be. */
static __always_inline void add_room(struct object_record *record, u64 bytes)
{
        record->ceiling += bytes;
}

/* How many entries more than @count the map may have. */
static __always_inline u64 entries_to_come(const struct object_record *record, u64 count)
{
        return count < record->max_entries ? record->max_entries - count : 0;
}

/* A charged slab object costs a pointer to its objcg besides (mm/memcontrol.c, obj_full_size()). */
static __always_inline u64 kmalloc_cost(u64 size, bool charged)
{
        return kmalloc_bytes(size) + (charged && !machine.nobpf && kmalloc_is_slab(size) ? sizeof(u64) : 0);
}

/* @count allocations by kmalloc() of @size bytes. */
__noinline int add_kmalloc(struct object_record *record, u64 size, u64 count, bool charged)
{
        if (!record)
                return 0;
        add_bytes(record, kmalloc_cost(size, charged) * count, charged);
        return 0;
}

/* The same for the @count entries that a map has, and room for those that may come. */
__noinline int add_entries(struct object_record *record, u64 size, u64 count)
{
        if (!record)
                return 0;
        add_kmalloc(record, size, count, true);
        add_room(record, kmalloc_cost(size, true) * entries_to_come(record, count));
        return 0;
}

/*
 * One bpf_map_area_alloc() of @size bytes (kernel/bpf/syscall.c): kmalloc() up to PAGE_SIZE << PAGE_ALLOC_COSTLY_ORDER,
 * above it vmalloc(). Always charged.
 */
__noinline int add_area(struct object_record *record, u64 size)
{
        if (!record)
                return 0;
        if (size <= (u64) machine.page_size << 3)
                add_kmalloc(record, size, 1, true);
        else
                add_bytes(record, round_up_to(size, machine.page_size), true);
        return 0;
}

/*
 * A charged per-CPU allocation costs a pointer to its objcg for every 4 bytes of one CPU's copy (mm/percpu-internal.h,
 * pcpu_obj_full_size()).
 */
static __always_inline u64 percpu_cost(u64 size, bool charged)
{
        size = round_up_to(size, 4);
        return size * machine.possible_cpus + (charged && !machine.nobpf ? size / 4 * sizeof(u64) : 0);
}

/* @count per-CPU allocations of @size bytes. */
__noinline int add_percpu(struct object_record *record, u64 size, u64 count, bool charged)
{
        if (!record)
                return 0;
        add_bytes(record, percpu_cost(size, charged) * count, charged);
        return 0;
}

/* Elements above which a CPU's free list of the struct bpf_mem_alloc gives some back (unit_free()). */
__noinline u64 mem_alloc_high_watermark(u64 cache_address)
{
        struct bpf_mem_cache *cache = (void *) cache_address;
        u64 offset = percpu_offset(bpf_get_smp_processor_id());
        u32 high = 0;

        bpf_probe_read_kernel(&high, sizeof(high), (void *) ((u64) &cache->high_watermark + offset));
        return high;
}

/*
 * A struct bpf_mem_alloc for elements of @size bytes (kernel/bpf/memalloc.c): @live elements and those that wait in the
 * CPUs' free lists. Elements on their way through an RCU grace period are in neither, and not counted.
 * A @percpu one's element is a pair of pointers and the per-CPU memory that they lead to.
 */
__noinline int add_mem_alloc(struct object_record *record, u64 cache_address, u64 size, s64 live, bool percpu)
{
        struct bpf_mem_cache *cache = (void *) cache_address;
        s64 count = live;
        u64 most, room;

        if (!record || !cache)
                return 0;
        add_percpu(record, bpf_core_type_size(struct bpf_mem_cache), 1, false);
        count += percpu_sum((u64) &cache->free_cnt, sizeof(cache->free_cnt));
        if (count < 0)
                count = 0;
        /* On each CPU there may be one above the watermark, and one that is about to replace another. */
        most = record->max_entries + (mem_alloc_high_watermark(cache_address) + 2) * machine.possible_cpus;
        room = (u64) count < most ? most - count : 0;
        if (percpu) {
                add_kmalloc(record, 2 * sizeof(u64), count, true);
                add_percpu(record, size, count, true);
                add_room(record, (kmalloc_cost(2 * sizeof(u64), true) + percpu_cost(size, true)) * room);
        } else {
                add_kmalloc(record, size + sizeof(u64), count, true); /* LLIST_NODE_SZ */
                add_room(record, kmalloc_cost(size + sizeof(u64), true) * room);
        }
        return 0;
}

struct pointer_count {
        u64 vector;
        u64 pointers; /* in the vector */
        u64 count;    /* of those that are not NULL */
};

#define POINTERS_AT_ONCE 16

/* Without branches, for the verifier's sake: a kernel address has the highest bit set. */
static int count_pointers_at(u32 index, void *context)
{
        struct pointer_count *search = context;
        u64 first = (u64) index * POINTERS_AT_ONCE;
        u64 left = search->pointers - first;
        u64 pointers[POINTERS_AT_ONCE] = {};
        u64 count = 0;

        if (left > POINTERS_AT_ONCE)
                left = POINTERS_AT_ONCE;
        bpf_probe_read_kernel(pointers, left * sizeof(u64), (void *) (search->vector + first * sizeof(u64)));
        for (u32 i = 0; i < POINTERS_AT_ONCE; i++)
                count += pointers[i] >> 63;
        search->count += count;
        return 0;
}

/* How many of the @pointers pointers at the address @vector are not NULL. */
static __noinline u64 count_pointers(u64 vector, u64 pointers)
{
        struct pointer_count search = { .vector = vector, .pointers = pointers };

        bpf_loop((pointers + POINTERS_AT_ONCE - 1) / POINTERS_AT_ONCE, count_pointers_at, &search, 0);
        return unknown(search.count);
}

/* kernel/bpf/arraymap.c: bpf_event_entry_gen(), one for each event; not charged. */
__noinline int add_perf_events(u64 address, struct object_record *record)
{
        struct bpf_array *array = (void *) address;

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        record->entries = count_pointers((u64) &array->pptrs, record->max_entries);
        add_kmalloc(record, bpf_core_type_size(struct bpf_event_entry), record->entries, false);
        add_room(record, kmalloc_cost(bpf_core_type_size(struct bpf_event_entry), false) *
                                         entries_to_come(record, record->entries));
        return 0;
}

/* kernel/bpf/arraymap.c: array_map_alloc(), prog_array_map_alloc() */
__noinline int objsize_array(u64 address, struct object_record *record)
{
        struct bpf_array *array = (void *) address;
        struct bpf_map___size *map = (void *) address;
        u64 size = bpf_core_type_size(struct bpf_array);
        u64 elem_size = BPF_CORE_READ(array, elem_size);
        bool percpu;
        u64 slots;

        if (!record)
                return 0;
        percpu = record->type == BPF_MAP_TYPE_PERCPU_ARRAY;
        slots = record->max_entries;
        /* Room for an index that the CPU speculates on. */
        if (!BPF_CORE_READ(map, bypass_spec_v1))
                slots = (u64) BPF_CORE_READ(array, index_mask) + 1;

        if (record->flags & BPF_F_MMAPABLE) {
                u64 page = machine.page_size;

                /* Always vmalloc()ed. */
                add_bytes(record, round_up_to(size, page) + round_up_to(slots * elem_size, page), true);
        } else {
                add_area(record, size + slots * (percpu ? sizeof(u64) : elem_size));
        }
        /* Allocated before the map has an objcg, hence uncharged. */
        if (percpu)
                add_percpu(record, elem_size, record->max_entries, false);
        if (record->type == BPF_MAP_TYPE_PROG_ARRAY)
                add_kmalloc(record, bpf_core_type_size(struct bpf_array_aux), 1, true);
        return 0;
}

/* Live elements of a hash without preallocation; the counter is per CPU in large maps. */
static __always_inline s64 htab_count(struct bpf_htab *htab)
{
        s64 count;

        if (!BPF_CORE_READ(htab, use_percpu_counter))
                return BPF_CORE_READ(htab, count.counter);
        count = BPF_CORE_READ(htab, pcount.count);
        return count + percpu_sum((u64) BPF_CORE_READ(htab, pcount.counters), sizeof(s32));
}

static __always_inline bool htab_is_lru(u32 type)
{
        return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static __always_inline bool htab_is_percpu(u32 type)
{
        return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Elements of a preallocated hash: prealloc_init(), alloc_extra_elems(), bpf_lru_init(). */
__noinline int objsize_htab_prealloc(u64 address, struct object_record *record)
{
        struct bpf_htab *htab = (void *) address;
        u64 elem_size = BPF_CORE_READ(htab, elem_size);
        bool percpu;
        u64 count;

        if (!record)
                return 0;
        percpu = htab_is_percpu(record->type);
        count = record->max_entries;
        /* One for each CPU; not in hashes of maps in 6.18, but in 6.12. */
        if (BPF_CORE_READ(htab, extra_elems)) {
                count += machine.possible_cpus;
                add_percpu(record, sizeof(u64), 1, false);
        }
        add_area(record, count * elem_size);
        if (percpu)
                add_percpu(record, round_up_to(record->value_size, 8), count, false);
        if (!htab_is_lru(record->type))
                add_percpu(record, bpf_core_type_size(struct pcpu_freelist_head), 1, false);
        else if (record->flags & BPF_F_NO_COMMON_LRU)
                add_percpu(record, bpf_core_type_size(struct bpf_lru_list), 1, false);
        else
                add_percpu(record, bpf_core_type_size(struct bpf_lru_locallist), 1, false);
        return 0;
}

/* Elements of a hash that allocates them as they are inserted (by bpf_mem_alloc in 6.1 and later). */
__noinline int objsize_htab_dynamic(u64 address, struct object_record *record)
{
        struct bpf_htab *htab = (void *) address;
        s64 count = htab_count(htab);

        if (!record)
                return 0;
        if (count < 0)
                count = 0;
        record->marks |= OBJECT_GROWS;
        record->entries = count;
        add_mem_alloc(record, (u64) BPF_CORE_READ(htab, ma.cache), BPF_CORE_READ(htab, elem_size), count, false);
        if (htab_is_percpu(record->type))
                add_mem_alloc(record, (u64) BPF_CORE_READ(htab, pcpu_ma.cache), round_up_to(record->value_size, 8),
                                count, true);
        return 0;
}

/* kernel/bpf/hashtab.c: htab_map_alloc() */
__noinline int objsize_htab(u64 address, struct object_record *record)
{
        struct bpf_htab *htab = (void *) address;
        struct bpf_map *map = (void *) address;
        s64 *elem_count = BPF_CORE_READ(map, elem_count);

        if (!record)
                return 0;
        add_area(record, bpf_core_type_size(struct bpf_htab));
        add_area(record, BPF_CORE_READ(htab, n_buckets) * bpf_core_type_size(struct bucket));
        if (bpf_core_field_exists(struct bpf_htab___map_locked, map_locked))
                add_percpu(record, sizeof(s32), 8, false);
        if (BPF_CORE_READ(htab, use_percpu_counter))
                add_percpu(record, sizeof(s32), 1, false);
        if (elem_count) { /* in 6.12, not in 6.1 */
                add_percpu(record, sizeof(s64), 1, false);
                record->entries = percpu_sum((u64) elem_count, sizeof(s64));
        }
        if (record->flags & BPF_F_NO_PREALLOC)
                objsize_htab_dynamic(address, record);
        else
                objsize_htab_prealloc(address, record);
        return 0;
}

/*
 * kernel/bpf/lpm_trie.c: trie_alloc(), lpm_trie_node_alloc(). The trie counts its entries, not the intermediate nodes
 * between them: with n entries there are 0 to n - 1 of those, and that is the room for them, too.
 */
__noinline int objsize_lpm_trie(u64 address, struct object_record *record)
{
        struct lpm_trie *trie = (void *) address;
        struct lpm_trie___ma *trie_ma = (void *) address;
        u64 node = bpf_core_type_size(struct lpm_trie_node) + BPF_CORE_READ(trie, data_size);
        u64 entries = BPF_CORE_READ(trie, n_entries);
        u64 between = entries ? entries - 1 : 0;
        u64 before, leaf;

        if (!record)
                return 0;
        leaf = node + record->value_size;
        record->marks |= OBJECT_GROWS;
        record->entries = entries;
        add_area(record, bpf_core_type_size(struct lpm_trie));
        if (bpf_core_field_exists(struct lpm_trie___ma, ma)) {
                add_mem_alloc(record, (u64) BPF_CORE_READ(trie_ma, ma.cache), leaf, entries, false);
                before = record->allocated;
                node = leaf + sizeof(u64);
        } else {
                add_entries(record, leaf, entries);
                before = record->allocated;
        }
        add_kmalloc(record, node, between, true);
        if (record->max_entries > between + 1)
                add_room(record, kmalloc_cost(node, true) * (record->max_entries - 1 - between));
        if (between) {
                record->marks |= OBJECT_BOUNDED;
                record->allocated_min = before;
        }
        return 0;
}

/* kernel/bpf/queue_stack_maps.c: queue_stack_map_alloc() */
static __always_inline void objsize_queue_stack(u64 address, struct object_record *record)
{
        struct bpf_queue_stack *queue = (void *) address;
        u64 size = BPF_CORE_READ(queue, size);
        u64 head = BPF_CORE_READ(queue, head);
        u64 tail = BPF_CORE_READ(queue, tail);

        add_area(record, bpf_core_type_size(struct bpf_queue_stack) + size * record->value_size);
        record->entries = head >= tail ? head - tail : head + size - tail;
}

/* kernel/bpf/stackmap.c: stack_map_alloc(), prealloc_elems_and_freelist() */
static __always_inline void objsize_stack_trace(u64 address, struct object_record *record)
{
        struct bpf_stack_map *stacks = (void *) address;
        u64 buckets = BPF_CORE_READ(stacks, n_buckets);
        u64 elem_size = bpf_core_type_size(struct stack_map_bucket) + record->value_size;

        add_area(record, bpf_core_type_size(struct bpf_stack_map) + buckets * sizeof(u64));
        add_area(record, elem_size * record->max_entries);
        add_percpu(record, bpf_core_type_size(struct pcpu_freelist_head), 1, false);
}

/* kernel/bpf/bloom_filter.c: bloom_map_alloc() */
static __always_inline void objsize_bloom(u64 address, struct object_record *record)
{
        struct bpf_bloom_filter *bloom = (void *) address;
        u64 bits = (u64) BPF_CORE_READ(bloom, bitset_mask) + 1;

        add_area(record, bpf_core_type_size(struct bpf_bloom_filter) + bits / 8);
}

/*
 * kernel/bpf/ringbuf.c: ringbuf_map_alloc(), bpf_ringbuf_area_alloc(); the data pages are mapped twice. The pages are
 * charged to the creator with cgroup.memory=nobpf too: their allocation flags are written out there.
 */
static __always_inline void objsize_ringbuf(u64 address, struct object_record *record)
{
        struct bpf_ringbuf_map *ringbuf = (void *) address;
        u64 pages = BPF_CORE_READ(ringbuf, rb, nr_pages);
        u64 data_pages = record->max_entries / (machine.page_size ?: 4096);

        add_area(record, bpf_core_type_size(struct bpf_ringbuf_map));
        add_area(record, (pages + data_pages) * sizeof(u64));
        add_bytes(record, pages * machine.page_size, false);
        record->charged += pages * machine.page_size;
}

/* kernel/bpf/devmap.c: dev_map_init_map(), __dev_map_alloc_node() */
__noinline int objsize_devmap(u64 address, struct object_record *record)
{
        struct bpf_dtab *devmap = (void *) address;

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        add_area(record, bpf_core_type_size(struct bpf_dtab));
        if (record->type == BPF_MAP_TYPE_DEVMAP_HASH) {
                add_area(record, BPF_CORE_READ(devmap, n_buckets) * sizeof(u64));
                record->entries = BPF_CORE_READ(devmap, items);
        } else {
                add_area(record, record->max_entries * sizeof(u64));
                record->entries = count_pointers((u64) BPF_CORE_READ(devmap, netdev_map), record->max_entries);
        }
        add_entries(record, bpf_core_type_size(struct bpf_dtab_netdev), record->entries);
        return 0;
}

struct cpumap_walk {
        struct bpf_cpu_map_entry **entries;
        u64 count;
        u64 rings; /* bytes */
};

static int add_cpumap_entry(u32 index, void *context)
{
        struct cpumap_walk *walk = context;
        struct bpf_cpu_map_entry *entry = NULL;

        bpf_probe_read_kernel(&entry, sizeof(entry), &walk->entries[index]);
        if (!entry)
                return 0;
        walk->count++;
        walk->rings += kmalloc_bytes((u64) BPF_CORE_READ(entry, queue, size) * sizeof(u64));
        return 0;
}

/* kernel/bpf/cpumap.c, cpu_map_update_elem(): the largest ring that it makes, in slots. */
#define CPUMAP_RING_MAX 16384

/* An entry for each CPU that may be one, and each with the largest ring. */
static __always_inline void add_cpumap_room(struct object_record *record, const struct cpumap_walk *walk)
{
        u64 entry = kmalloc_cost(bpf_core_type_size(struct bpf_cpu_map_entry), true) +
                    kmalloc_cost(bpf_core_type_size(struct ptr_ring), true) +
                    percpu_cost(bpf_core_type_size(struct xdp_bulk_queue), true);
        u64 most = record->max_entries < machine.possible_cpus ? record->max_entries : machine.possible_cpus;
        u64 rings = most * kmalloc_bytes(CPUMAP_RING_MAX * sizeof(u64));

        if (walk->count < most)
                add_room(record, entry * (most - walk->count));
        if (walk->rings < rings)
                add_room(record, rings - walk->rings);
}

/* kernel/bpf/cpumap.c: cpu_map_alloc(), __cpu_map_entry_alloc(). The ring's slots are not charged; the thread is not
 * counted. */
__noinline int objsize_cpumap(u64 address, struct object_record *record)
{
        struct bpf_cpu_map *cpumap = (void *) address;
        struct cpumap_walk walk = { .entries = BPF_CORE_READ(cpumap, cpu_map) };

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        add_area(record, bpf_core_type_size(struct bpf_cpu_map));
        add_area(record, record->max_entries * sizeof(u64));
        bpf_loop(record->max_entries, add_cpumap_entry, &walk, 0);
        walk.count = unknown(walk.count);
        record->entries = walk.count;
        add_kmalloc(record, bpf_core_type_size(struct bpf_cpu_map_entry), walk.count, true);
        add_kmalloc(record, bpf_core_type_size(struct ptr_ring), walk.count, true);
        add_percpu(record, bpf_core_type_size(struct xdp_bulk_queue), walk.count, true);
        add_bytes(record, walk.rings, false);
        add_cpumap_room(record, &walk);
        return 0;
}

/* net/core/sock_map.c: sock_hash_alloc(), sock_hash_alloc_elem(). What a socket keeps about its maps is the socket's.
 */
static __always_inline void objsize_sockhash(u64 address, struct object_record *record)
{
        struct bpf_shtab *sockhash = (void *) address;

        record->marks |= OBJECT_GROWS;
        record->entries = BPF_CORE_READ(sockhash, count.counter);
        add_area(record, bpf_core_type_size(struct bpf_shtab));
        add_area(record, BPF_CORE_READ(sockhash, buckets_num) * bpf_core_type_size(struct bpf_shtab_bucket));
        add_entries(record, BPF_CORE_READ(sockhash, elem_size), record->entries);
}

/* net/xdp/xskmap.c: xsk_map_alloc(), xsk_map_node_alloc() */
static __always_inline void objsize_xskmap(u64 address, struct object_record *record)
{
        struct xsk_map *xskmap = (void *) address;

        record->marks |= OBJECT_GROWS;
        record->entries = count_pointers((u64) &xskmap->xsk_map, record->max_entries);
        add_area(record, bpf_core_type_size(struct xsk_map) + record->max_entries * sizeof(u64));
        add_entries(record, bpf_core_type_size(struct xsk_map_node), record->entries);
}

/* A walk that meets a list being changed must end, and one step takes some 100 ns. */
#define LIST_WALK_MAX (1 << 20)

struct list_walk {
        u64 node;
        u64 head; /* of the list, or of the next bucket's */
        u64 end;  /* of the buckets */
        u64 count;
        u64 last; /* how many of them are the last in the list of their owner's storage */
};

/*
 * Sets the bounds after a walk that was given up after @done of @parts lists; its elements are what @record has in
 * addition to @before. The lower bound is what was seen. The upper bound assumes that each list that was not walked to
 * its end is as long as the others on average, and that a single list is twice as long as what was seen of it.
 */
static __always_inline void bound_walk(struct object_record *record, u64 before, u64 done, u64 parts)
{
        u64 seen = record->allocated - before;

        record->marks |= OBJECT_BOUNDED;
        record->allocated_min = record->allocated;
        add_bytes(record, seen * (parts - done) / (done ?: 1), true);
}

static int walk_list_node(u32 index, void *context)
{
        struct list_walk *walk = context;
        struct list_head *node = (void *) walk->node;

        if (!node || walk->node == walk->head)
                return 1;
        walk->count++;
        walk->node = (u64) BPF_CORE_READ(node, next);
        return 0;
}

/* kernel/bpf/local_storage.c: bpf_cgroup_storage_alloc(), one for each program and cgroup that it is attached to. */
__noinline int objsize_cgroup_storage(u64 address, struct object_record *record)
{
        struct bpf_cgroup_storage_map *map = (void *) address;
        struct list_walk walk = { .head = (u64) &map->list };
        u64 before;

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        walk.node = (u64) BPF_CORE_READ(map, list.next);
        bpf_loop(LIST_WALK_MAX, walk_list_node, &walk, 0);
        walk.count = unknown(walk.count);
        record->entries = walk.count;
        add_area(record, bpf_core_type_size(struct bpf_cgroup_storage_map));
        before = record->allocated;
        add_kmalloc(record, bpf_core_type_size(struct bpf_cgroup_storage), walk.count, true);
        if (record->type == BPF_MAP_TYPE_CGROUP_STORAGE)
                add_kmalloc(record, bpf_core_type_size(struct bpf_storage_buffer) + record->value_size, walk.count,
                                true);
        else
                add_percpu(record, record->value_size, walk.count, true);
        if (unknown(walk.node) && walk.node != walk.head)
                bound_walk(record, before, 1, 2);
        return 0;
}

/* One step: to the next element, or at the end of a bucket's list to the next bucket. */
static int walk_local_storage(u32 index, void *context)
{
        struct bpf_local_storage_map_bucket *bucket;
        struct bpf_local_storage_elem *elem;
        struct list_walk *walk = context;

        if (walk->node) {
                elem = (void *) walk->node - bpf_core_field_offset(struct bpf_local_storage_elem, map_node);
                walk->count++;
                if (!BPF_CORE_READ(elem, snode.next))
                        walk->last++;
                walk->node = (u64) BPF_CORE_READ(elem, map_node.next);
                return 0;
        }
        if (walk->head == walk->end)
                return 1;
        bucket = (void *) walk->head;
        walk->node = (u64) BPF_CORE_READ(bucket, list.first);
        walk->head += bpf_core_type_size(struct bpf_local_storage_map_bucket);
        return 0;
}

/* Elements by bpf_mem_alloc where the map has caches (task and cgroup storage in 6.12), else by kmalloc(). */
static __always_inline void add_storage_elements(
                struct object_record *record, struct bpf_local_storage_map *map, const struct list_walk *walk)
{
        struct bpf_local_storage_map___ma *ma = (void *) map;
        u64 storage_size = bpf_core_type_size(struct bpf_local_storage);
        struct bpf_mem_cache *cache = NULL;

        if (bpf_core_field_exists(struct bpf_local_storage_map___ma, selem_ma))
                cache = BPF_CORE_READ(ma, selem_ma.cache);
        if (cache) {
                add_mem_alloc(record, (u64) cache, BPF_CORE_READ(map, elem_size), walk->count, false);
                add_mem_alloc(record, (u64) BPF_CORE_READ(ma, storage_ma.cache), storage_size, walk->last, false);
        } else {
                add_kmalloc(record, BPF_CORE_READ(map, elem_size), walk->count, true);
                add_kmalloc(record, storage_size, walk->last, true);
        }
}

/*
 * kernel/bpf/bpf_local_storage.c: bpf_local_storage_map_alloc(), bpf_selem_alloc(), bpf_local_storage_alloc(). An owner
 * (task, socket, ...) has one struct bpf_local_storage for all maps; the map that came first allocated it. Its element
 * is the last in the owner's list, so counting those counts every storage once.
 */
__noinline int objsize_local_storage(u64 address, struct object_record *record)
{
        struct bpf_local_storage_map *map = (void *) address;
        u64 bucket_size = bpf_core_type_size(struct bpf_local_storage_map_bucket);
        u64 buckets = 1ULL << (BPF_CORE_READ(map, bucket_log) & 31), before, left;
        struct list_walk walk = { .head = (u64) BPF_CORE_READ(map, buckets) };

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        walk.node = unknown(0); /* 6.1 takes the callback's first turn for all of them, and drops the branch */
        walk.end = walk.head + buckets * bucket_size;
        bpf_loop(LIST_WALK_MAX, walk_local_storage, &walk, 0);
        walk.count = unknown(walk.count);
        walk.last = unknown(walk.last);
        record->entries = walk.count;
        add_area(record, bpf_core_type_size(struct bpf_local_storage_map));
        add_kmalloc(record, buckets * bucket_size, 1, false); /* before the map has an objcg */
        before = record->allocated;
        add_storage_elements(record, map, &walk);
        /* Lists that were not begun, and the one that was not ended. */
        left = unknown(walk.end - walk.head) / bucket_size + (unknown(walk.node) != 0);
        if (left && left <= buckets)
                bound_walk(record, before, buckets - left, buckets);
        return 0;
}

#define STRUCT_OPS_IMAGES_MAX 8 /* kernel/bpf/bpf_struct_ops.c, MAX_TRAMP_IMAGE_PAGES */

/* Each of @functions that is not among the @linked ones gets a link, a symbol and, at worst, a page for its image. */
static __always_inline void add_struct_ops_room(struct object_record *record, u64 functions, u64 linked, u64 pages)
{
        u64 most = functions < STRUCT_OPS_IMAGES_MAX ? functions : STRUCT_OPS_IMAGES_MAX;

        if (linked < functions)
                add_room(record, (kmalloc_cost(bpf_core_type_size(struct bpf_tramp_link), false) +
                                                 kmalloc_cost(bpf_core_type_size(struct bpf_ksym), false)) *
                                                 (functions - linked));
        if (pages < most)
                add_room(record, (most - pages) * machine.page_size);
}

/* kernel/bpf/bpf_struct_ops.c: bpf_struct_ops_map_alloc(); links, symbols and trampolines are not charged. */
__noinline int objsize_struct_ops(u64 address, struct object_record *record)
{
        struct bpf_struct_ops_map___before69 *old = (void *) address;
        struct bpf_struct_ops_map *map = (void *) address;
        u64 functions, linked, pages, size;

        if (!record)
                return 0;
        record->marks |= OBJECT_GROWS;
        size = bpf_core_type_size(struct bpf_struct_ops_map) + record->value_size;
        add_area(record, size - bpf_core_type_size(struct bpf_struct_ops_value));
        add_area(record, record->value_size); /* uvalue */
        if (!bpf_core_field_exists(map->image_pages_cnt)) {
                add_area(record, (BPF_CORE_READ(old, st_ops, type, info) & 0xffff) * sizeof(u64));
                add_bytes(record, machine.page_size, false);
                return 0;
        }
        functions = BPF_CORE_READ(map, funcs_cnt);
        linked = count_pointers((u64) BPF_CORE_READ(map, ksyms), functions);
        add_area(record, functions * sizeof(u64)); /* links */
        add_area(record, functions * sizeof(u64)); /* ksyms */
        add_kmalloc(record, bpf_core_type_size(struct bpf_tramp_link), linked, false);
        add_kmalloc(record, bpf_core_type_size(struct bpf_ksym), linked, false);
        pages = BPF_CORE_READ(map, image_pages_cnt);
        add_bytes(record, pages * machine.page_size, false);
        add_struct_ops_room(record, functions, linked, pages);
        return 0;
}

#define TREE_WALK_MAX (1 << 18)

struct tree_walk {
        u64 node;
        u64 from; /* the node before */
        u64 free; /* pages */
};

/* One step of a walk without a stack: down to the left, down to the right, up. A node counts when it is reached from
 * above. */
static int walk_range_node(u32 index, void *context)
{
        struct tree_walk *walk = context;
        struct rb_node *node = (void *) walk->node;
        struct range_node *range = (void *) node - bpf_core_field_offset(struct range_node, rn_rbnode);
        u64 left, right, up, next;

        if (!node)
                return 1;
        left = (u64) BPF_CORE_READ(node, rb_left);
        right = (u64) BPF_CORE_READ(node, rb_right);
        up = BPF_CORE_READ(node, __rb_parent_color) & ~3ULL;
        next = up;
        if (walk->from == up) {
                walk->free += (u64) BPF_CORE_READ(range, rn_last) - BPF_CORE_READ(range, rn_start) + 1;
                next = left ?: right ?: up;
        } else if (walk->from == left && right) {
                next = right;
        }
        walk->from = walk->node;
        walk->node = next;
        return 0;
}

/* kernel/bpf/arena.c: in the kernel an arena has 4 GiB of addresses. */
#define ARENA_BYTES (1ULL << 32)
/* What one page table covers. */
#define ARENA_TABLE_BYTES ((u64) machine.page_size * machine.page_size / sizeof(u64))

/* Pages in use by the tree of free ranges. Returns false if the walk was given up. */
static __noinline bool arena_pages_by_ranges(struct bpf_arena___range_tree *arena, u64 max_pages, u64 *pages)
{
        struct tree_walk walk = { .node = (u64) BPF_CORE_READ(arena, rt.it_root.rb_root.rb_node) };

        bpf_loop(TREE_WALK_MAX, walk_range_node, &walk, 0);
        walk.free = unknown(walk.free);
        *pages = walk.free < max_pages ? max_pages - walk.free : 0;
        return !unknown(walk.node);
}

/*
 * kernel/bpf/arena.c: arena_map_alloc(), arena_alloc_pages(). The pages in use are found by a tree of free ranges since
 * 6.13, and by a tree of used ranges before.
 */
static __noinline void objsize_arena(u64 address, struct object_record *record)
{
        struct bpf_arena___range_tree *ranges = (void *) address;
        struct bpf_arena *arena = (void *) address;
        u64 pages = 0;
        bool exact;

        record->marks |= OBJECT_GROWS;
        add_area(record, bpf_core_type_size(struct bpf_arena));
        if (bpf_core_field_exists(struct bpf_arena___scratch_page, scratch_page)) {
                add_bytes(record, machine.page_size, true);
                /* populate_pgtable_except_pte() came with it: the page tables of all addresses, and one page more. */
                add_bytes(record, (ARENA_BYTES / (ARENA_TABLE_BYTES ?: 1) + 1) * machine.page_size, false);
        }
        if (bpf_core_field_exists(ranges->rt))
                exact = arena_pages_by_ranges(ranges, record->max_entries, &pages);
        else
                exact = count_maple((u64) BPF_CORE_READ(arena, mt.ma_root), TREE_WALK_MAX, &pages);
        if (exact) {
                record->entries = pages;
        } else {
                record->marks |= OBJECT_BOUNDED;
                record->allocated_min = record->allocated;
                pages = record->max_entries;
        }
        add_bytes(record, pages * machine.page_size, true);
        add_room(record, entries_to_come(record, pages) * machine.page_size);
}

/* kernel/bpf/bpf_insn_array.c: insn_array_alloc_size() */
static __always_inline void objsize_insn_array(struct object_record *record)
{
        u64 entry = bpf_core_type_size(struct bpf_insn_array_value) + sizeof(u64);

        add_area(record, bpf_core_type_size(struct bpf_insn_array) + record->max_entries * entry);
}

/*
 * The table of @buckets doubles when it is full by more than 75 % (include/linux/rhashtable.h, rht_grow_above_75()),
 * and is there beside the old one until all elements are in the new one.
 */
static __always_inline void add_rhash_room(struct object_record *record, u64 head, u64 buckets)
{
        u64 most = round_up_pow2((u64) record->max_entries * 4 / 3 + 1);

        if (buckets < most)
                add_room(record, kmalloc_bytes(head + most * sizeof(u64)) +
                                                 kmalloc_bytes(head + most / 2 * sizeof(u64)) -
                                                 kmalloc_bytes(head + buckets * sizeof(u64)));
}

/* kernel/bpf/hashtab.c: rhtab_map_alloc(); lib/rhashtable.c: bucket_table_alloc(), not charged. */
static __noinline void objsize_rhash(u64 address, struct object_record *record)
{
        struct bpf_rhtab *rhtab = (void *) address;
        s64 count = BPF_CORE_READ(rhtab, ht.nelems.counter);
        u64 buckets = BPF_CORE_READ(rhtab, ht.tbl, size);
        u64 head = bpf_core_type_size(struct bucket_table);

        record->marks |= OBJECT_GROWS;
        record->entries = count;
        add_area(record, bpf_core_type_size(struct bpf_rhtab));
        add_kmalloc(record, head + buckets * sizeof(u64), 1, false);
        add_rhash_room(record, head, buckets);
        add_mem_alloc(record, (u64) BPF_CORE_READ(rhtab, ma.cache), BPF_CORE_READ(rhtab, elem_size), count, false);
}

/* kernel/bpf/map_in_map.c: bpf_map_meta_alloc(), a copy of the head of the inner map; not charged. */
static __always_inline void add_inner_map_meta(u64 address, struct object_record *record)
{
        struct bpf_map *map = (void *) address;
        struct bpf_map *inner = BPF_CORE_READ(map, inner_map_meta);
        u32 type = BPF_CORE_READ(inner, map_type);
        bool array = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;

        add_kmalloc(record, array ? bpf_core_type_size(struct bpf_array) : bpf_core_type_size(struct bpf_map), 1,
                        false);
}

/* kernel/bpf/btf.c: btf_parse_fields(), the special fields of the value. In 6.12, not in 6.1. */
static __always_inline void add_btf_record(u64 address, struct object_record *record)
{
        struct bpf_map___size *map = (void *) address;
        struct btf_record *fields;
        u64 size;

        if (!bpf_core_field_exists(map->record))
                return;
        fields = BPF_CORE_READ(map, record);
        if (!fields || (u64) fields >= -4095ULL) /* IS_ERR() */
                return;
        size = bpf_core_type_size(struct btf_record);
        add_kmalloc(record, size + BPF_CORE_READ(fields, cnt) * bpf_core_type_size(struct btf_field), 1,
                        verifier_memory_charged());
}

static __always_inline bool map_has_programs(u32 type)
{
        return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH ||
               type == BPF_MAP_TYPE_CPUMAP;
}

/*
 * kernel/bpf/core.c: __bpf_prog_map_compatible(), what the programs in the map have in common; it comes with the first
 * one and is not charged.
 */
static __always_inline void add_map_owner(u64 address, struct object_record *record)
{
        struct bpf_map___owner *map = (void *) address;

        if (!bpf_core_type_exists(struct bpf_map_owner))
                return;
        if (BPF_CORE_READ(map, owner))
                add_kmalloc(record, bpf_core_type_size(struct bpf_map_owner), 1, false);
        else if (map_has_programs(record->type))
                add_room(record, kmalloc_cost(bpf_core_type_size(struct bpf_map_owner), false));
}

/* Local storage: an element for each task, socket, inode or cgroup that comes. */
static __always_inline bool map_has_ceiling(u32 type)
{
        switch (type) {
        case BPF_MAP_TYPE_CGROUP_STORAGE:
        case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
        case BPF_MAP_TYPE_SK_STORAGE:
        case BPF_MAP_TYPE_INODE_STORAGE:
        case BPF_MAP_TYPE_TASK_STORAGE:
        case MAP_TYPE_CGRP_STORAGE:
                return false;
        }
        return true;
}

static __always_inline void limit_ceiling(struct object_record *record)
{
        if (!map_has_ceiling(record->type))
                record->ceiling = CEILING_UNBOUNDED;
        else if (record->ceiling > CEILING_MAX)
                record->ceiling = record->allocated > CEILING_MAX ? record->allocated : CEILING_MAX;
}

/*
 * Measures the map at the kernel address @address. In: type, flags, value_size and max_entries of @record. Out:
 * allocated, allocated_min, charged and ceiling in bytes, entries, and more marks. charged is what a memory cgroup
 * other than the root is charged; the caller knows whether there is one.
 */
static __noinline __attribute__((unused)) void objsize_map(u64 address, struct object_record *record)
{
        record->allocated = 0;
        record->ceiling = 0;
        record->allocated_min = 0;
        record->charged = 0;
        record->jit = 0;
        record->entries = ENTRIES_UNKNOWN;

        switch (record->type) {
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
                add_inner_map_meta(address, record);
                objsize_array(address, record);
                break;
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_PROG_ARRAY:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
                objsize_array(address, record);
                break;
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
                objsize_array(address, record);
                add_perf_events(address, record);
                break;
        case BPF_MAP_TYPE_HASH_OF_MAPS:
                add_inner_map_meta(address, record);
                objsize_htab(address, record);
                break;
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
                objsize_htab(address, record);
                break;
        case BPF_MAP_TYPE_LPM_TRIE:
                objsize_lpm_trie(address, record);
                break;
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK:
                objsize_queue_stack(address, record);
                break;
        case BPF_MAP_TYPE_STACK_TRACE:
                objsize_stack_trace(address, record);
                break;
        case BPF_MAP_TYPE_BLOOM_FILTER:
                objsize_bloom(address, record);
                break;
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF:
                objsize_ringbuf(address, record);
                break;
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
                objsize_devmap(address, record);
                break;
        case BPF_MAP_TYPE_CPUMAP:
                objsize_cpumap(address, record);
                break;
        case BPF_MAP_TYPE_SOCKMAP:
                add_area(record, bpf_core_type_size(struct bpf_stab));
                add_area(record, record->max_entries * sizeof(u64));
                break;
        case BPF_MAP_TYPE_SOCKHASH:
                objsize_sockhash(address, record);
                break;
        case BPF_MAP_TYPE_XSKMAP:
                objsize_xskmap(address, record);
                break;
        case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
                add_area(record, bpf_core_type_size(struct reuseport_array) + record->max_entries * sizeof(u64));
                break;
        case BPF_MAP_TYPE_CGROUP_STORAGE:
        case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
                objsize_cgroup_storage(address, record);
                break;
        case BPF_MAP_TYPE_SK_STORAGE:
        case BPF_MAP_TYPE_INODE_STORAGE:
        case BPF_MAP_TYPE_TASK_STORAGE:
        case MAP_TYPE_CGRP_STORAGE:
                objsize_local_storage(address, record);
                break;
        case BPF_MAP_TYPE_STRUCT_OPS:
                objsize_struct_ops(address, record);
                break;
        case MAP_TYPE_ARENA:
                if (bpf_core_type_exists(struct bpf_arena))
                        objsize_arena(address, record);
                break;
        case MAP_TYPE_INSN_ARRAY:
                objsize_insn_array(record);
                break;
        case MAP_TYPE_RHASH:
                if (bpf_core_type_exists(struct bpf_rhtab))
                        objsize_rhash(address, record);
                break;
        default:
                record->marks |= OBJECT_UNKNOWN_TYPE;
                record->ceiling = CEILING_UNBOUNDED;
                return;
        }
        add_btf_record(address, record);
        add_map_owner(address, record);
        limit_ceiling(record);
        if (!(record->marks & OBJECT_BOUNDED))
                record->allocated_min = record->allocated;
}

#define PROG_CHUNK_SIZE 64 /* BPF_PROG_CHUNK_SIZE, the unit of bpf_prog_pack */

/*
 * Bytes of a program's JIT image (kernel/bpf/core.c, bpf_jit_binary_pack_alloc()): the code, its exception table, a
 * header and 16 bytes of random illegal instructions, in chunks. The header is in the chunk that the code starts in, or
 * in the one before it where the kernel puts a CFI prefix (up to 16 bytes) before the entry point; its size must agree.
 */
__noinline u64 jit_image_bytes(u64 address)
{
        struct bpf_prog___size *prog = (void *) address;
        u64 header = (u64) BPF_CORE_READ(prog, bpf_func) & ~(PROG_CHUNK_SIZE - 1ULL);
        u64 code = BPF_CORE_READ(prog, jited_len);
        u64 low, high;
        u32 size = 0;

        if (!code)
                return 0; /* interpreted */
        code = round_up_to(code, 4) + 12 * (u64) BPF_CORE_READ(prog, aux, num_exentries) + 8 + 16;
        low = round_up_to(code, PROG_CHUNK_SIZE);
        high = round_up_to(code + 16, PROG_CHUNK_SIZE);
        bpf_probe_read_kernel(&size, sizeof(size), (void *) header);
        if (size == low || size == high)
                return size;
        size = 0;
        bpf_probe_read_kernel(&size, sizeof(size), (void *) (header - PROG_CHUNK_SIZE));
        if (size == low || size == high)
                return size;
        return low;
}

/* bpf_prog_alloc_no_stats() in kernel/bpf/core.c and, in 6.18, the private stack; of a program or subprogram. */
static __always_inline void add_prog_body(struct object_record *record, struct bpf_prog___size *prog)
{
        struct bpf_prog_aux___priv_stack *aux;

        add_bytes(record, (u64) BPF_CORE_READ(prog, pages) * machine.page_size, true);
        add_kmalloc(record, bpf_core_type_size(struct bpf_prog_aux), 1, true);
        add_percpu(record, sizeof(s32), 1, true); /* active */
        if (!bpf_core_field_exists(struct bpf_prog_aux___priv_stack, priv_stack_ptr))
                return;
        aux = (void *) BPF_CORE_READ(prog, aux);
        if (BPF_CORE_READ(aux, priv_stack_ptr))
                add_percpu(record, round_up_to(BPF_CORE_READ(prog, aux, stack_depth), 8) + 16, 1, false);
}

static __always_inline void add_jit_image(struct object_record *record, struct bpf_prog___size *prog)
{
        u64 bytes = jit_image_bytes((u64) prog);

        record->jit += bytes;
        add_bytes(record, bytes, false);
}

struct subprogs {
        struct object_record *record;
        struct bpf_prog___size **func;
};

static int add_subprog(u32 index, void *context)
{
        struct subprogs *subprogs = context;
        struct bpf_prog___size *prog = NULL;

        bpf_probe_read_kernel(&prog, sizeof(prog), &subprogs->func[index]);
        if (!prog)
                return 0;
        add_prog_body(subprogs->record, prog);
        add_jit_image(subprogs->record, prog);
        return 0;
}

/* Each of @count subprograms is a struct bpf_prog with a JIT image of its own; the first is the program's own code. */
__noinline int add_subprogs(struct object_record *record, u64 func, u32 count)
{
        struct subprogs subprogs = { .record = record, .func = (void *) func };

        if (!record)
                return 0;
        bpf_loop(count, add_subprog, &subprogs, 0);
        return 0;
}

/*
 * The vectors that the verifier leaves with the program (kernel/bpf/verifier.c, core.c). jited_linfo is charged on
 * every kernel.
 */
__noinline int add_prog_vectors(struct object_record *record, u64 address)
{
        struct bpf_prog_aux___size *aux = (void *) address;
        bool charged = verifier_memory_charged();
        u64 count;

        if (!record)
                return 0;
        count = BPF_CORE_READ(aux, used_map_cnt);
        if (count)
                add_kmalloc(record, count * sizeof(u64), 1, charged);
        count = BPF_CORE_READ(aux, used_btf_cnt);
        if (count)
                add_kmalloc(record, count * bpf_core_type_size(struct btf_mod_pair), 1, charged);
        count = BPF_CORE_READ(aux, func_info_cnt);
        if (count) {
                add_kmalloc(record, count * sizeof(struct bpf_func_info), 1, charged);
                add_kmalloc(record, count * bpf_core_type_size(struct bpf_func_info_aux), 1, charged);
        }
        count = BPF_CORE_READ(aux, nr_linfo);
        if (count)
                add_kmalloc(record, count * sizeof(struct bpf_line_info), 1, charged);
        if (count && BPF_CORE_READ(aux, jited_linfo))
                add_kmalloc(record, count * sizeof(u64), 1, true);
        count = BPF_CORE_READ(aux, size_poke_tab);
        if (count)
                add_kmalloc(record, count * bpf_core_type_size(struct bpf_jit_poke_descriptor), 1, false);
        /* Kernels in which arguments may be counted references copy the table; older ones use that of the type. */
        count = BPF_CORE_READ(aux, ctx_arg_info_size);
        if (count && bpf_core_field_exists(struct bpf_ctx_arg_aux, refcounted))
                add_kmalloc(record, count * bpf_core_type_size(struct bpf_ctx_arg_aux), 1, charged);
        if (BPF_CORE_READ(aux, kfunc_btf_tab))
                add_kmalloc(record, bpf_core_type_size(struct bpf_kfunc_btf_tab), 1, charged);
        return 0;
}

/*
 * Measures the program at the kernel address @address. Out: allocated, allocated_min, charged, jit and ceiling of
 * @record in bytes; charged as in objsize_map(). A program does not grow.
 */
static __noinline __attribute__((unused)) void objsize_program(u64 address, struct object_record *record)
{
        struct bpf_prog___size *prog = (void *) address;
        struct bpf_prog_aux___size *aux = BPF_CORE_READ(prog, aux);
        struct bpf_prog_aux___real_func_cnt *aux_real = (void *) aux;
        u32 count = BPF_CORE_READ(aux, func_cnt);

        record->allocated = 0;
        record->ceiling = 0;
        record->charged = 0;
        record->jit = 0;
        record->entries = ENTRIES_UNKNOWN;

        add_prog_body(record, prog);
        if (BPF_CORE_READ(prog, stats))
                add_percpu(record, bpf_core_type_size(struct bpf_prog_stats), 1, true);
        add_prog_vectors(record, (u64) aux);

        if (bpf_core_field_exists(struct bpf_prog_aux___real_func_cnt, real_func_cnt) && count)
                count = BPF_CORE_READ(aux_real, real_func_cnt);
        if (count) {
                add_kmalloc(record, count * sizeof(u64), 1, false);
                add_subprogs(record, (u64) BPF_CORE_READ(aux, func), count);
        } else {
                add_jit_image(record, prog);
        }
        record->allocated_min = record->allocated;
}
