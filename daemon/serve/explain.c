/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fileio.h"
#include "base/size.h"
#include "serve/report.h"

/* --- What the kernel says ----------------------------------------------------------------------------------------- */

/* The value of v1's limit files that means no limit: PAGE_COUNTER_MAX in bytes, less the rounding to pages. */
#define V1_NO_LIMIT (INT64_MAX - 0xffffff)

struct stat_line {
        const char *name;
        size_t offset; /* in struct memory */
};

/* mm/memcontrol.c, memory_stats[]; the sum "kernel" exists since 5.18. */
static const struct stat_line v2_lines[] = {
        { "anon", offsetof(struct memory, anon) },
        { "file", offsetof(struct memory, file) },
        { "shmem", offsetof(struct memory, shmem) },
        { "sock", offsetof(struct memory, sockets) },
        { "kernel", offsetof(struct memory, kernel) },
        { "pagetables", offsetof(struct memory, page_tables) },
        { "kernel_stack", offsetof(struct memory, kernel_stack) },
        { "slab", offsetof(struct memory, slab) },
        { "percpu", offsetof(struct memory, percpu) },
        { "vmalloc", offsetof(struct memory, vmalloc) },
        {},
};

/* mm/memcontrol-v1.c, memcg1_stat_names[]; those of kernel memory are not among them. */
static const struct stat_line v1_lines[] = {
        { "total_rss", offsetof(struct memory, anon) },
        { "total_cache", offsetof(struct memory, file) },
        { "total_shmem", offsetof(struct memory, shmem) },
        {},
};

void memory_parse_stat(FILE *file, int version, struct memory *memory)
{
        unsigned long long value;
        char name[64];

        while (fscanf(file, "%63s %llu", name, &value) == 2)
                for (const struct stat_line *line = version == 1 ? v1_lines : v2_lines; line->name; line++)
                        if (strcmp(line->name, name) == 0)
                                *(uint64_t *) ((char *) memory + line->offset) = value;
}

/* The number in the file @name; BUDGET_INFINITY if it is "max", or there is no such file. */
static uint64_t read_number(int directory, const char *name)
{
        return read_number_at(directory, name, BUDGET_INFINITY);
}

int memory_read(const struct cgroupfs *cgroupfs, uint64_t id, struct memory *memory)
{
        _cleanup_close_ int directory = cgroupfs_open(cgroupfs, id);
        _cleanup_fclose_ FILE *stat = NULL;

        *memory = (struct memory){ .current = BUDGET_INFINITY, .max = BUDGET_INFINITY };
        if (directory < 0)
                return directory;
        stat = open_file_at(directory, "memory.stat");
        if (!stat)
                return -errno;
        memory_parse_stat(stat, cgroupfs->version, memory);
        if (cgroupfs->version != 1) {
                memory->current = read_number(directory, "memory.current");
                memory->max = read_number(directory, "memory.max");
                return 0;
        }
        memory->current = read_number(directory, "memory.usage_in_bytes");
        memory->max = read_number(directory, "memory.limit_in_bytes");
        if (memory->max >= V1_NO_LIMIT)
                memory->max = BUDGET_INFINITY;
        memory->kernel = read_number_at(directory, "memory.kmem.usage_in_bytes", 0);
        return 0;
}

/* --- The answer --------------------------------------------------------------------------------------------------- */

/* The kernel does not read its counters at one moment, so a negative difference counts as 0. */
static uint64_t without(uint64_t bytes, uint64_t part)
{
        return bytes > part ? bytes - part : 0;
}

size_t memory_split(const struct memory *memory, struct share shares[SHARES_MAX])
{
        uint64_t known = memory->anon + memory->file + memory->sockets + memory->kernel;
        uint64_t other = memory->current == BUDGET_INFINITY ? 0 : without(memory->current, known);
        uint64_t named = memory->page_tables + memory->kernel_stack + memory->bpf;
        const struct share all[] = {
                { "anon", memory->anon },
                { "file", without(memory->file, memory->shmem) },
                { "shmem", memory->shmem },
                { "sockets", memory->sockets },
                { "pageTables", memory->page_tables },
                { "kernelStack", memory->kernel_stack },
                { "bpf", memory->bpf },
                { "kernel", without(memory->kernel, named) },
                { "other", other },
                { "slab", memory->slab, true },
                { "percpu", memory->percpu, true },
                { "vmalloc", memory->vmalloc, true },
        };
        _Static_assert(sizeof(all) / sizeof(all[0]) <= SHARES_MAX, "there is no room for all shares");

        memcpy(shares, all, sizeof(all));
        return sizeof(all) / sizeof(all[0]);
}

/* "50% of the 80.0M that it is charged for" */
static void describe_part(const struct memory *memory, char *text, size_t size)
{
        char bytes[FORMAT_SIZE_MAX];

        if (memory->current == BUDGET_INFINITY || memory->current == 0) {
                *text = '\0';
                return;
        }
        snprintf(text, size, ", %.0f%% of the %s that the cgroup is charged for", 100.0 * memory->bpf / memory->current,
                        format_size(bytes, memory->current));
}

char *explain_summary(const struct cgroup *cgroup, const struct memory *memory, const struct object *largest)
{
        uint64_t uncharged = usage_uncharged(&cgroup->total), objects = usage_objects(&cgroup->total);
        char allocated[FORMAT_SIZE_MAX], charged[FORMAT_SIZE_MAX], free_bytes[FORMAT_SIZE_MAX];
        char size[FORMAT_SIZE_MAX], type[TYPE_NAME_MAX], part[128];
        char *text;
        int n;

        if (objects == 0)
                return strdup("No BPF map or program belongs to it.");
        format_size(allocated, cgroup->total.allocated);
        format_size(charged, cgroup->total.charged);
        format_size(free_bytes, uncharged);
        describe_part(memory, part, sizeof(part));
        if (uncharged == 0 || !largest)
                n = asprintf(&text, "BPF takes %s, all of it charged to the cgroup%s.", allocated, part);
        else
                n = asprintf(&text,
                                "BPF takes %s: %s is charged to the cgroup%s, and %s is uncharged, so that no memory "
                                "limit bounds it; the largest part of that, %s, is %s %.*s (%s).",
                                allocated, charged, part, free_bytes,
                                format_size(size, largest->record.allocated - largest->record.charged),
                                largest->record.kind == OBJECT_MAP ? "map" : "program", OBJECT_NAME_SIZE,
                                largest->record.name, object_type_name(&largest->record, type));
        return n < 0 ? NULL : text;
}
