/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "allocations.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/mount.h>
#include <linux/perf_event.h>

#include "base/cleanup.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Of the buffer of events, in pages; 50,000 updates are 20 MiB of them. */
#define BUFFER_PAGES 8192

/* Functions that called the allocator. */
#define CALLERS_MAX 24

/* That are there or were. A power of two, and more than ever are. */
#define ALLOCATIONS_MAX (1 << 16)

/* Where a field of an event is; 0 bytes if the event has none of that name. */
struct field {
        uint32_t offset, size;
};

static struct event {
        const char *name;
        enum allocation_kind kind;
        bool frees;
        const char *field_names[3]; /* address, bytes, flags */
        uint32_t id;
        struct field address, bytes, flags;
        int fd;
} events[] = {
        { "kmem/kmalloc", ALLOCATION_SLAB, false, { "ptr", "bytes_alloc", "gfp_flags" }, .fd = -1 },
        { "kmem/kfree", ALLOCATION_SLAB, true, { "ptr" }, .fd = -1 },
        { "percpu/percpu_alloc_percpu", ALLOCATION_PERCPU, false, { "ptr", "size", "gfp_flags" }, .fd = -1 },
        { "percpu/percpu_free_percpu", ALLOCATION_PERCPU, true, { "ptr" }, .fd = -1 },
        { "vmalloc/alloc_vmap_area", ALLOCATION_AREA, false, { "addr", "size" }, .fd = -1 },
        { "vmalloc/free_vmap_area_noflush", ALLOCATION_AREA, true, { "va_start" }, .fd = -1 },
        { "kmem/mm_page_alloc", ALLOCATION_PAGE, false, { "pfn", "order", "gfp_flags" }, .fd = -1 },
        { "kmem/mm_page_free", ALLOCATION_PAGE, true, { "pfn" }, .fd = -1 },
};

/* What the kernel's functions that called the allocator say about an allocation. The nearer ones come first. */
enum caller_mark {
        CALLER_OURS = 1 << 0,      /* it is for BPF */
        CALLER_NOT_OURS = 1 << 1,  /* but comes along with any object, or is the allocator's own */
        CALLER_AREA = 1 << 2,      /* takes a range of addresses, with or without memory behind it */
        CALLER_VMALLOC = 1 << 3,   /* with memory */
        CALLER_PAGES = 1 << 4,     /* takes single pages that belong to the object */
        CALLER_CREATE = 1 << 5,    /* makes a map, which has no objcg as yet */
        CALLER_MAP_OBJCG = 1 << 6, /* has the map's objcg charged, and nobody if there is none */
        CALLER_EXEC = 1 << 7,      /* memory for code */
        CALLER_SOCKET = 1 << 8,    /* what it takes by itself is the socket's (struct sk_psock_link) */
};

static struct caller {
        const char *name;
        uint32_t marks; /* enum caller_mark */
        uint64_t begin, end;
} callers[] = {
        { "__sys_bpf", .marks = CALLER_OURS },
        { "alloc_bulk", .marks = CALLER_OURS }, /* in an interrupt, soon after an element was taken */
        { "arena_vm_fault", .marks = CALLER_OURS },
        /* The file and its number, the object's number. */
        { "anon_inode_getfd", .marks = CALLER_NOT_OURS },
        { "anon_inode_getfile", .marks = CALLER_NOT_OURS },
        { "alloc_fd", .marks = CALLER_NOT_OURS },
        { "idr_alloc_cyclic", .marks = CALLER_NOT_OURS },
        /* Vectors of objcgs of a slab's objects; chunks of per-CPU memory; the packs that JIT images lie in. */
        { "alloc_slab_obj_exts", .marks = CALLER_NOT_OURS },
        { "pcpu_create_chunk", .marks = CALLER_NOT_OURS },
        { "bpf_prog_pack_alloc", .marks = CALLER_NOT_OURS },
        /* Documented as not counted: what sockets and jumps into arrays keep, and a cpumap's threads. */
        { "prog_array_map_poke_track", .marks = CALLER_NOT_OURS },
        { "sk_psock_init", .marks = CALLER_NOT_OURS },
        { "__kthread_create_on_node", .marks = CALLER_NOT_OURS },
        { "sock_map_update_common", .marks = CALLER_SOCKET },
        { "sock_hash_update_common", .marks = CALLER_SOCKET },
        { "__get_vm_area_node", .marks = CALLER_AREA },
        { "__vmalloc_node_range_noprof", .marks = CALLER_VMALLOC },
        { "execmem_alloc", .marks = CALLER_EXEC },
        { "bpf_map_alloc_pages", .marks = CALLER_PAGES },
        { "ringbuf_map_alloc", .marks = CALLER_PAGES },
        { "map_create", .marks = CALLER_CREATE },
        { "bpf_map_alloc_percpu", .marks = CALLER_MAP_OBJCG },
        { "bpf_map_kmalloc_node", .marks = CALLER_MAP_OBJCG },
        { "bpf_map_kzalloc", .marks = CALLER_MAP_OBJCG },
        { "bpf_map_kvcalloc", .marks = CALLER_MAP_OBJCG },
};

/* Without which nothing can be told. */
#define CALLERS_NEEDED (CALLER_OURS | CALLER_AREA | CALLER_VMALLOC | CALLER_CREATE | CALLER_MAP_OBJCG)

/* An allocation that is there, or with 0 bytes one that was. */
struct allocation {
        enum allocation_kind kind;
        uint64_t address;
        int64_t allocated, charged;
        uint64_t callers[ALLOCATION_CALLERS];
};

/* One event as the kernel writes it. */
struct sample {
        struct perf_event_header header;
        uint64_t depth;
        uint64_t callers[];
        /* uint32_t size, and that many bytes */
};

static struct perf_event_mmap_page *buffer;
static struct allocation *table;
static size_t used; /* of the table */
static long page_size;
static uint32_t possible_cpus;
static uint64_t gfp_account; /* __GFP_ACCOUNT; which bit it is depends on the kernel */

/* --- What the events look like ------------------------------------------------------------------------------------ */

/* The directory of tracefs, which need not be mounted: one of our own that has no place in the tree. */
static int open_tracefs(void)
{
        _cleanup_close_ int context = syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);

        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        return syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
}

static bool read_field(const char *format, const char *name, struct field *field)
{
        char pattern[64];
        const char *at;

        if (!name)
                return true;
        snprintf(pattern, sizeof(pattern), " %s;\toffset:", name);
        at = strstr(format, pattern);
        if (!at) { /* a pointer */
                snprintf(pattern, sizeof(pattern), "*%s;\toffset:", name);
                at = strstr(format, pattern);
        }
        return at && sscanf(strstr(at, "offset:"), "offset:%u; size:%u;", &field->offset, &field->size) == 2;
}

/* From the text of an event, which has ... << (22))), "__GFP_ACCOUNT"}. */
static void read_gfp_account(const char *format)
{
        const char *name = strstr(format, "\"__GFP_ACCOUNT\""), *shift = NULL;
        unsigned int bit;

        for (const char *at = strstr(format, "<< ("); at && at < name; at = strstr(at + 1, "<< ("))
                shift = at;
        if (shift && sscanf(shift, "<< (%u)", &bit) == 1)
                gfp_account = 1UL << bit;
}

static int read_event(int tracefs, struct event *event)
{
        _cleanup_close_ int fd = -1;
        char path[128], format[16384];
        size_t size = 0;
        ssize_t n;

        snprintf(path, sizeof(path), "events/%s/format", event->name);
        fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -EOPNOTSUPP;
        /* A page at a time. */
        while ((n = read(fd, format + size, sizeof(format) - 1 - size)) > 0)
                size += n;
        format[size] = '\0';
        if (sscanf(strstr(format, "ID:") ?: "", "ID: %u", &event->id) != 1 ||
                        !read_field(format, event->field_names[0], &event->address) ||
                        !read_field(format, event->field_names[1], &event->bytes) ||
                        !read_field(format, event->field_names[2], &event->flags))
                return -EOPNOTSUPP;
        read_gfp_account(format);
        return 0;
}

/* Where each symbol of the kernel begins is told; they are in the order of their addresses. Returns what was found. */
static uint32_t read_callers(void)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
        struct caller *open_end = NULL;
        unsigned long long address;
        char line[512], name[256];
        uint32_t found = 0;

        while (file && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%llx %*c %255s", &address, name) != 2)
                        continue;
                if (open_end && address > open_end->begin) {
                        open_end->end = address;
                        found |= open_end->marks;
                        open_end = NULL;
                }
                for (size_t i = 0; i < LENGTH(callers); i++)
                        if (strcmp(name, callers[i].name) == 0) {
                                callers[i].begin = address;
                                open_end = &callers[i];
                        }
        }
        return found;
}

/* Opens @event, of this process; nothing is recorded yet. Returns a descriptor or a negative errno. */
static int open_disabled(const struct event *event)
{
        struct perf_event_attr attr = {
                .type = PERF_TYPE_TRACEPOINT,
                .size = sizeof(attr),
                .config = event->id,
                .sample_period = 1,
                .sample_type = PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW,
                .read_format = PERF_FORMAT_LOST,
                .sample_max_stack = CALLERS_MAX,
                .exclude_callchain_user = 1,
                .disabled = 1,
        };
        int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/*
 * Keeps the tracepoints in use until this process ends: the last event of one that is closed waits for two grace
 * periods, and each row has one of every kind.
 */
static int keep_tracepoints(void)
{
        for (size_t i = 0; i < LENGTH(events); i++) {
                int fd = open_disabled(&events[i]);

                if (fd < 0)
                        return fd;
        }
        return 0;
}

int allocations_init(void)
{
        _cleanup_close_ int tracefs = open_tracefs();
        uint32_t found;

        if (tracefs < 0)
                return -EOPNOTSUPP;
        for (size_t i = 0; i < LENGTH(events); i++) {
                int r = read_event(tracefs, &events[i]);

                if (r < 0)
                        return r;
        }
        found = read_callers();
        if ((found & CALLERS_NEEDED) != CALLERS_NEEDED)
                return -EOPNOTSUPP;
        if (!gfp_account)
                return -EOPNOTSUPP;
        page_size = sysconf(_SC_PAGESIZE);
        possible_cpus = libbpf_num_possible_cpus();
        return keep_tracepoints();
}

/* --- Watching ----------------------------------------------------------------------------------------------------- */

static void close_events(void)
{
        for (size_t i = 0; i < LENGTH(events); i++) {
                if (events[i].fd >= 0)
                        close(events[i].fd);
                events[i].fd = -1;
        }
        if (buffer)
                munmap(buffer, (BUFFER_PAGES + 1) * page_size);
        buffer = NULL;
}

static int open_event(struct event *event)
{
        event->fd = open_disabled(event);
        if (event->fd < 0)
                return event->fd;
        if (buffer)
                return ioctl(event->fd, PERF_EVENT_IOC_SET_OUTPUT, events[0].fd) < 0 ? -errno : 0;
        buffer = mmap(NULL, (BUFFER_PAGES + 1) * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, event->fd, 0);
        if (buffer == MAP_FAILED) {
                buffer = NULL;
                return -errno;
        }
        return 0;
}

int allocations_begin(void)
{
        int r = 0;

        for (size_t i = 0; i < LENGTH(events) && r == 0; i++)
                r = open_event(&events[i]);
        for (size_t i = 0; i < LENGTH(events) && r == 0; i++)
                if (ioctl(events[i].fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
                        r = -errno;
        if (r < 0)
                close_events();
        return r;
}

/* --- What is left ------------------------------------------------------------------------------------------------- */

static uint64_t load(const unsigned char *raw, const struct field *field)
{
        uint64_t number = 0;

        memcpy(&number, raw + field->offset, field->size < sizeof(number) ? field->size : sizeof(number));
        return number;
}

/* The table is sparse, and nothing is taken out of it: what is freed has 0 bytes. */
static struct allocation *find_allocation(enum allocation_kind kind, uint64_t address)
{
        size_t at = (address * 0x9e3779b97f4a7c15ULL + kind) >> (64 - __builtin_ctz(ALLOCATIONS_MAX));

        while (table[at].address && (table[at].address != address || table[at].kind != kind))
                at = (at + 1) % ALLOCATIONS_MAX;
        return &table[at];
}

static uint32_t who_called(const struct sample *sample)
{
        uint32_t marks = 0;

        for (uint64_t i = 0; i < sample->depth; i++)
                for (size_t k = 0; k < LENGTH(callers); k++)
                        if (sample->callers[i] >= callers[k].begin && sample->callers[i] < callers[k].end)
                                marks |= callers[k].marks;
        return marks;
}

static void add_slab(struct allocation *allocation, uint64_t bytes, bool charged)
{
        allocation->allocated = bytes;
        /* mm/memcontrol.c, obj_full_size(); pages have room for the pointer. */
        if (charged && bytes <= 2 * (uint64_t) page_size)
                allocation->allocated += sizeof(uint64_t);
        if (charged)
                allocation->charged = allocation->allocated;
}

/* mm/percpu-internal.h, pcpu_obj_full_size() */
static void add_percpu(struct allocation *allocation, uint64_t bytes, bool charged)
{
        allocation->allocated = bytes * possible_cpus;
        if (charged)
                allocation->allocated += bytes / 4 * sizeof(uint64_t);
        if (charged)
                allocation->charged = allocation->allocated;
}

static void add_bytes(struct allocation *allocation, uint64_t bytes)
{
        allocation->allocated = allocation->charged = bytes;
}

static void keep_callers(struct allocation *allocation, const struct sample *sample)
{
        uint32_t n = 0;

        /* Between them are marks of where the kernel begins. */
        for (uint64_t i = 0; i < sample->depth && n < ALLOCATION_CALLERS; i++)
                if (sample->callers[i] < PERF_CONTEXT_MAX)
                        allocation->callers[n++] = sample->callers[i];
}

static void add_event(const struct event *event, const struct sample *sample, const unsigned char *raw)
{
        uint64_t address = load(raw, &event->address), bytes = load(raw, &event->bytes);
        bool charged = load(raw, &event->flags) & gfp_account;
        struct allocation *allocation = find_allocation(event->kind, address);
        uint32_t marks = event->frees ? 0 : who_called(sample);

        if (allocation->address)
                *allocation = (struct allocation){ .kind = event->kind, .address = address };
        if (!(marks & CALLER_OURS) || (marks & CALLER_NOT_OURS) || !address)
                return;
        if ((marks & CALLER_SOCKET) && !(marks & CALLER_MAP_OBJCG))
                return;
        if (!allocation->address && ++used >= ALLOCATIONS_MAX)
                return;
        if ((marks & CALLER_CREATE) && (marks & CALLER_MAP_OBJCG))
                charged = false;
        allocation->kind = event->kind;
        allocation->address = address;
        if (event->kind == ALLOCATION_SLAB && !(marks & (CALLER_AREA | CALLER_VMALLOC)))
                add_slab(allocation, bytes, charged);
        else if (event->kind == ALLOCATION_PERCPU)
                add_percpu(allocation, bytes, charged);
        else if (event->kind == ALLOCATION_AREA && (marks & CALLER_VMALLOC))
                /* With a page behind it that is never mapped. */
                add_bytes(allocation, bytes - page_size);
        else if (event->kind == ALLOCATION_PAGE && (marks & CALLER_PAGES) && charged)
                /* Of ring buffers and arenas, without the page tables that lead to them. */
                add_bytes(allocation, page_size << bytes);
        if (marks & CALLER_EXEC)
                allocation->charged = 0;
        keep_callers(allocation, sample);
}

/* The next record of the buffer, which is not written any more; NULL at the end. It may wrap around. */
static void *next_record(uint64_t *tail)
{
        static _Alignas(8) unsigned char copy[65536];
        unsigned char *data = (unsigned char *) buffer + page_size;
        uint64_t size = (uint64_t) BUFFER_PAGES * page_size,
                 head = __atomic_load_n(&buffer->data_head, __ATOMIC_ACQUIRE);
        struct perf_event_header header;

        if (*tail >= head)
                return NULL;
        memcpy(&header, data + *tail % size, sizeof(header)); /* aligned by 8, and so whole */
        for (uint32_t i = 0; i < header.size; i += 8)
                memcpy(copy + i, data + (*tail + i) % size, 8);
        *tail += header.size;
        return copy;
}

static const struct event *event_of(const unsigned char *raw)
{
        uint16_t type;

        memcpy(&type, raw, sizeof(type)); /* common_type */
        for (size_t i = 0; i < LENGTH(events); i++)
                if (events[i].id == type)
                        return &events[i];
        return NULL;
}

static void add_to_group(struct allocations *allocations, const struct allocation *allocation)
{
        struct allocation_group *group = allocations->groups;

        allocations->allocated += allocation->allocated;
        allocations->charged += allocation->charged;
        for (uint32_t i = 0; i < allocations->group_count; i++, group++)
                if (group->kind == allocation->kind && group->allocated == allocation->allocated &&
                                group->charged == allocation->charged &&
                                memcmp(group->callers, allocation->callers, sizeof(group->callers)) == 0) {
                        group->count++;
                        return;
                }
        if (allocations->group_count == ALLOCATION_GROUPS_MAX)
                return;
        allocations->group_count++;
        *group = (struct allocation_group){
                .kind = allocation->kind, .allocated = allocation->allocated, .charged = allocation->charged, .count = 1
        };
        memcpy(group->callers, allocation->callers, sizeof(group->callers));
}

/* Makes the table from the events. Returns how many of them were lost. */
static uint64_t read_events(void)
{
        uint64_t tail = 0, lost = 0;
        const struct sample *sample;

        /* No record tells of those that a full buffer had no room for. */
        for (size_t i = 0; i < LENGTH(events); i++) {
                uint64_t figures[2] = {}; /* events and, of these, lost */

                if (read(events[i].fd, figures, sizeof(figures)) != sizeof(figures))
                        lost++;
                lost += figures[1];
        }

        while ((sample = next_record(&tail)) != NULL) {
                const unsigned char *raw;
                const struct event *event;

                if (sample->header.type != PERF_RECORD_SAMPLE)
                        continue;
                raw = (const unsigned char *) &sample->callers[sample->depth] + sizeof(uint32_t);
                event = event_of(raw);
                if (event)
                        add_event(event, sample, raw);
        }
        return lost + (used >= ALLOCATIONS_MAX);
}

void allocations_end(struct allocations *allocations)
{
        *allocations = (struct allocations){};
        for (size_t i = 0; i < LENGTH(events); i++)
                ioctl(events[i].fd, PERF_EVENT_IOC_DISABLE, 0);
        used = 0;
        table = calloc(ALLOCATIONS_MAX, sizeof(*table));
        allocations->lost = table ? read_events() : 1;
        for (size_t i = 0; table && i < ALLOCATIONS_MAX; i++)
                if (table[i].allocated)
                        add_to_group(allocations, &table[i]);
        free(table);
        close_events();
}

/* Writes the name of the function that each address of @group is in, which is the last symbol before it. */
static void print_callers(const struct allocation_group *group)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
        char line[512], name[256], names[ALLOCATION_CALLERS][256] = {};
        unsigned long long address;

        while (file && fgets(line, sizeof(line), file))
                for (uint32_t i = 0; i < ALLOCATION_CALLERS; i++)
                        if (sscanf(line, "%llx %*c %255s", &address, name) == 2 && address < group->callers[i])
                                memcpy(names[i], name, sizeof(name));
        for (uint32_t i = 0; i < ALLOCATION_CALLERS; i++)
                printf(" %s", names[i]);
        printf("\n");
}

void allocations_print(const struct allocations *allocations)
{
        static const char *const names[] = { "kmalloc", "percpu", "vmalloc", "page" };

        for (uint32_t i = 0; i < allocations->group_count; i++) {
                const struct allocation_group *group = &allocations->groups[i];

                printf("# %6llu x %-8s %9lld bytes, charged %9lld:", (unsigned long long) group->count,
                                names[group->kind], (long long) group->allocated, (long long) group->charged);
                print_callers(group);
        }
}
