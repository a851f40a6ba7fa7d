/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The struct page of a vmalloc() address, which has the memory cgroup that is charged. The kernel has no helper for
 * that, and the symbols of the two base addresses that it requires exist only with CONFIG_KALLSYMS_ALL. The bases are
 * determined once, from the address and the pages of the running task's stack. Only on x86-64; on other architectures
 * nothing is found.
 */
#pragma once

#include "cgroup.h"
#include "kerneltypes.h"

/* include/linux/mm_types.h, include/linux/vmalloc.h */
struct page {
        unsigned long memcg_data;
} CORE;

struct vm_struct {
        void *addr;
        struct page **pages;
} CORE;

struct task_struct___stack {
        struct vm_struct *stack_vm_area; /* with CONFIG_VMAP_STACK */
} CORE;

struct mm_struct___tables {
        u64 *pgd;
} CORE;

/* include/linux/memcontrol.h */
#define MEMCG_DATA_OBJEXTS    (1UL << 0) /* a slab page */
#define MEMCG_DATA_KMEM       (1UL << 1) /* the rest is a pointer to struct obj_cgroup */
#define MEMCG_DATA_FLAGS_MASK 7UL        /* two flags in 6.1, three in 6.12 and 7.2; aligned by 8 in all */

#if defined(__TARGET_ARCH_x86)

#define PAGE_SHIFT 12
#define ENTRY_BITS 9 /* of an address, in each level of the page tables */

/* arch/x86/include/asm/pgtable_types.h */
#define ENTRY_PRESENT (1UL << 0)
#define ENTRY_LARGE   (1UL << 7)
/* Of an entry. Linux has 46 bits of physical address with 4 levels; above are the encryption bits of SEV and TDX. */
#define ENTRY_ADDRESS 0x00003ffffffff000UL

/* page_offset_base and vmemmap_base are multiples of PUD_SIZE (arch/x86/mm/kaslr.c). */
#define BASE_ALIGNMENT (1UL << 30)
/* The maximum number of such steps from page_offset_base to the first page table, which may be anywhere in memory. */
#define BASE_STEPS_MAX (1 << 14) /* 16 TiB */

enum bases_state {
        BASES_UNKNOWN,
        BASES_FOUND,
        BASES_NOT_FOUND,
};

/* What KASLR changes. No struct: clang takes it apart, and its BTF is bad. */
static u64 direct_base;  /* page_offset_base: where physical memory is mapped */
static u64 vmemmap_base; /* where the array of struct page is */
static u32 bases_state;  /* enum bases_state */

/* How many levels of tables there are, by an address in the mapping of physical memory. */
static __always_inline u32 table_levels(u64 address)
{
        return address >> 47 == 0x1ffff ? 4 : 5;
}

/*
 * The physical address where the kernel address @address leads by the tables at @tables, of a kernel that has physical
 * memory mapped at @direct; 0 if it is mapped nowhere.
 */
__noinline u64 walk_tables(u64 tables, u64 direct, u64 address)
{
        u32 levels = table_levels(tables);
        u64 table = tables, entry = 0;

        for (u32 level = 5; level > 0; level--) {
                u32 shift = PAGE_SHIFT + ENTRY_BITS * (level - 1);
                u64 below = (1UL << shift) - 1;

                if (level > levels)
                        continue;
                if (bpf_probe_read_kernel(&entry, sizeof(entry),
                                    (void *) (table + ((address >> shift) & 0x1ff) * sizeof(entry))) < 0)
                        return 0;
                if (!(entry & ENTRY_PRESENT))
                        return 0;
                if (level == 1 || ((entry & ENTRY_LARGE) && level <= 3))
                        return (entry & ENTRY_ADDRESS & ~below) | (address & below);
                table = direct + (entry & ENTRY_ADDRESS);
        }
        return 0;
}

/* The top table of the running task; all have the same entries for the kernel. 0 in a kernel thread. */
static __always_inline u64 kernel_tables(void)
{
        struct task_struct *task = (void *) bpf_get_current_task();
        struct mm_struct___tables *mm = (void *) BPF_CORE_READ(task, mm);

        return mm ? (u64) BPF_CORE_READ(mm, pgd) : 0;
}

struct base_search {
        u64 tables;
        u64 stack;    /* address of the running task's */
        u64 pages[2]; /* struct page of its first pages */
        u64 direct;   /* out; 0 if not found */
        u64 vmemmap;  /* out */
};

/* Where the array of struct page begins, by page @i of the stack; 0 if that page is mapped nowhere. */
static __always_inline u64 vmemmap_by_stack(const struct base_search *search, u64 direct, u32 i)
{
        u64 physical = walk_tables(search->tables, direct, search->stack + ((u64) i << PAGE_SHIFT));

        return physical ? search->pages[i] - (physical >> PAGE_SHIFT) * bpf_core_type_size(struct page) : 0;
}

/*
 * The base is right if the page tables that are read through it map themselves at the place that follows from it. A
 * small number in place of a table can have this property, too. So the tables must also lead to two pages of the stack,
 * which are anywhere in memory, and both pages must yield the same aligned beginning of the array of struct page.
 */
static int try_base(u32 step, void *context)
{
        struct base_search *search = context;
        u64 direct = (search->tables & ~(BASE_ALIGNMENT - 1)) - step * BASE_ALIGNMENT, vmemmap;

        if (walk_tables(search->tables, direct, search->tables) != search->tables - direct)
                return 0;
        vmemmap = vmemmap_by_stack(search, direct, 0);
        if (!vmemmap || (vmemmap & (BASE_ALIGNMENT - 1)) || vmemmap != vmemmap_by_stack(search, direct, 1))
                return 0;
        search->direct = direct;
        search->vmemmap = vmemmap;
        return 1;
}

/* Fills the bases; two CPUs that do it at a time find the same. */
static __noinline int find_bases(u64 tables)
{
        struct base_search search = { .tables = tables };
        struct task_struct___stack *task = (void *) bpf_get_current_task();
        struct vm_struct *area;

        if (bpf_core_field_exists(task->stack_vm_area)) {
                area = BPF_CORE_READ(task, stack_vm_area);
                search.stack = (u64) BPF_CORE_READ(area, addr);
                bpf_probe_read_kernel(search.pages, sizeof(search.pages), BPF_CORE_READ(area, pages));
                if (search.stack && search.pages[1])
                        bpf_loop(BASE_STEPS_MAX, try_base, &search, 0);
        }
        direct_base = search.direct;
        vmemmap_base = search.vmemmap;
        bases_state = search.direct ? BASES_FOUND : BASES_NOT_FOUND;
        return 0;
}

/* Whether the bases are known. */
static __always_inline bool bases_known(u64 tables)
{
        if (tables && bases_state == BASES_UNKNOWN)
                find_bases(tables);
        return tables && bases_state == BASES_FOUND;
}

/* The struct page behind the vmalloc() address @address; NULL if that is not known. */
__noinline u64 vmalloc_page(u64 address)
{
        u64 tables = kernel_tables(), physical;

        if (!bases_known(tables))
                return 0;
        physical = walk_tables(tables, direct_base, address);
        return physical ? vmemmap_base + (physical >> PAGE_SHIFT) * bpf_core_type_size(struct page) : 0;
}

#else

static __always_inline u64 vmalloc_page(u64 address)
{
        return 0;
}

#endif

/*
 * Whom @page is charged to. Returns whether that is known; @objcg is NULL when it is uncharged. It mirrors
 * __memcg_kmem_charge_page() in mm/memcontrol.c.
 */
static __always_inline bool page_objcg(struct page *page, struct obj_cgroup **objcg)
{
        u64 data;

        *objcg = NULL;
        if (!page || !bpf_core_field_exists(page->memcg_data))
                return false;
        data = BPF_CORE_READ(page, memcg_data);
        if (!data)
                return true;
        if (!(data & MEMCG_DATA_KMEM) || (data & MEMCG_DATA_OBJEXTS))
                return false;
        *objcg = (void *) (data & ~MEMCG_DATA_FLAGS_MASK);
        return memcg_cgroup_id(BPF_CORE_READ(*objcg, memcg)) != 0;
}
