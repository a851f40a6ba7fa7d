/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory cgroup that a kmalloc() object is charged to, from the slab that contains it. Only on arm64: there the
 * address of an object determines its struct page, except for two constants of the kernel's configuration. No helper
 * or symbol has them; the right ones are those that lead from the running task to a slab of tasks. On other
 * architectures nothing is found.
 */
#pragma once

#include "cgroup.h"
#include "kerneltypes.h"
#include "tables.h"
#include "vmalloc.h"

#if defined(__TARGET_ARCH_arm64)

/* mm/slab.h */
struct kmem_cache {
        unsigned int size; /* of an object with what is around it */
        unsigned int object_size;
} CORE;

struct slab {
        struct kmem_cache *slab_cache;
} CORE;

struct slab___objcgs {
        unsigned long memcg_data; /* until 6.9: with flags, a vector of pointers to objcgs */
} CORE;

struct slab___obj_exts {
        unsigned long obj_exts; /* since 6.10: a vector of struct slabobj_ext */
} CORE;

struct slab___stride {
        unsigned short stride; /* in 7.x: how far apart they are, which is not looked at here */
} CORE;

struct slabobj_ext {
        struct obj_cgroup *objcg;
} CORE;

struct page___compound {
        unsigned long compound_head; /* with bit 0 set in all but the first page */
} CORE;

/* CONFIG_ARM64_VA_BITS, the most frequent first. */
#define VA_BITS(i)      ((0x2a272f3430ULL >> (8 * (i))) & 0xff)
#define VA_BITS_CHOICES 5

#define STRUCT_PAGE_MAX_SHIFT 6 /* include/linux/mm_types.h */

enum linear_state {
        LINEAR_UNKNOWN,
        LINEAR_FOUND,
        LINEAR_NOT_FOUND,
};

/* arch/arm64/include/asm/memory.h */
static u64 linear_start; /* PAGE_OFFSET: where physical memory is mapped */
static u64 linear_pages; /* VMEMMAP_START: the struct page of that address */
static u32 linear_state; /* enum linear_state */

/* Whether this kernel's structures are known. */
static __always_inline bool slab_is_known(void)
{
        return bpf_core_field_exists(struct page___compound, compound_head) &&
               bpf_core_field_exists(struct slab, slab_cache) &&
               bpf_core_field_exists(struct kmem_cache, object_size) &&
               !bpf_core_field_exists(struct slab___stride, stride) &&
               (bpf_core_field_exists(struct slab___obj_exts, obj_exts) ||
                               bpf_core_field_exists(struct slab___objcgs, memcg_data));
}

static __always_inline u32 page_shift(void)
{
        return machine.page_size == 65536 ? 16 : machine.page_size == 16384 ? 14 : 12;
}

struct linear {
        u64 start;
        u64 pages;
};

/* The first struct page of the slab that has the object at @address. */
static __always_inline u64 slab_of(struct linear linear, u64 address)
{
        u64 number = (address - linear.start) >> page_shift();
        struct page___compound *page = (void *) (linear.pages + number * bpf_core_type_size(struct page));
        u64 head = BPF_CORE_READ(page, compound_head);

        return head & 1 ? head - 1 : (u64) page;
}

/* Which object of the slab @slab is at @address; -1 if that is no object's address. */
static __always_inline s64 slab_index(struct linear linear, u64 slab, u64 address)
{
        u64 number = (slab - linear.pages) / bpf_core_type_size(struct page);
        u64 offset = address - (linear.start + (number << page_shift()));
        u64 size = BPF_CORE_READ((struct slab *) slab, slab_cache, size);

        return size && offset % size == 0 ? (s64) (offset / size) : -1;
}

/* Whether the two bases lead from the running task to a slab that tasks are in. */
__noinline int leads_to_tasks(u64 start, u64 pages)
{
        struct linear linear = { start, pages };
        u64 task = bpf_get_current_task(), slab;

        if (!slab_is_known())
                return 0;
        slab = slab_of(linear, task);
        return BPF_CORE_READ((struct slab *) slab, slab_cache, object_size) == bpf_core_type_size(struct task_struct) &&
               slab_index(linear, slab, task) >= 0;
}

/*
 * What it is with addresses of @bits bits. VMEMMAP_START moved in 6.9 (32697ff38287): it was a power of two below the
 * end of all addresses, and is as far below the last GiB as the array is long.
 */
static __always_inline struct linear linear_of(u64 bits, bool moved)
{
        u64 half = 1ULL << ((bits > 48 ? 48 : bits) - 1); /* VA_BITS_MIN */
        u64 length = ((1ULL << bits) - half) >> page_shift();

        return (struct linear){ -(1ULL << bits), moved ? -(1ULL << 30) - length * bpf_core_type_size(struct page)
                                                       : -(1ULL << (bits - page_shift() + STRUCT_PAGE_MAX_SHIFT)) };
}

/* Two CPUs that do it at a time find the same. */
static __noinline bool linear_known(void)
{
        if (linear_state != LINEAR_UNKNOWN)
                return linear_state == LINEAR_FOUND;
        for (u32 i = 0; i < 2 * VA_BITS_CHOICES; i++) {
                struct linear linear = linear_of(VA_BITS(i / 2), i % 2);

                if (!leads_to_tasks(linear.start, linear.pages))
                        continue;
                linear_start = linear.start;
                linear_pages = linear.pages;
                linear_state = LINEAR_FOUND;
                return true;
        }
        linear_state = LINEAR_NOT_FOUND;
        return false;
}

/* The vector of the objcgs of the slab, an entry for each object, and the size of an entry; 0 if nothing is charged. */
static __always_inline u64 slab_objcgs(u64 slab, u64 *entry_size)
{
        struct slab___obj_exts *exts = (void *) slab;
        struct slab___objcgs *objcgs = (void *) slab;
        u64 vector;

        if (bpf_core_field_exists(exts->obj_exts)) {
                *entry_size = bpf_core_type_size(struct slabobj_ext);
                vector = BPF_CORE_READ(exts, obj_exts);
        } else {
                *entry_size = sizeof(u64);
                vector = BPF_CORE_READ(objcgs, memcg_data);
        }
        return vector & ~MEMCG_DATA_FLAGS_MASK;
}

/* Returns whether it is known whom the object at @address is charged to; @objcg is NULL when it is uncharged. */
static __always_inline bool slab_objcg(u64 address, struct obj_cgroup **objcg)
{
        u64 slab, vector, size = 0;
        struct linear linear;
        s64 index;

        *objcg = NULL;
        if (!slab_is_known() || !linear_known())
                return false;
        linear = (struct linear){ linear_start, linear_pages };
        slab = slab_of(linear, address);
        index = slab_index(linear, slab, address);
        if (index < 0)
                return false;
        vector = slab_objcgs(slab, &size);
        if (!vector)
                return true;
        if (bpf_probe_read_kernel(objcg, sizeof(*objcg), (void *) (vector + index * size)) < 0)
                return false;
        return !*objcg || memcg_cgroup_id(BPF_CORE_READ(*objcg, memcg)) != 0;
}

#else

static __always_inline bool slab_objcg(u64 address, struct obj_cgroup **objcg)
{
        return false;
}

#endif
