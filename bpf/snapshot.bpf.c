// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: iterators over all maps, all programs, all address spaces and all open files, and a program that measures
 * given objects again. They write binary records (records.h) and keep no state; nothing is opened and nothing is
 * formatted.
 */
#include "kerneltypes.h"

#include <bpf/bpf_tracing.h>

#include "cgroup.h"
#include "objsize.h"
#include "records.h"
#include "slab.h"
#include "tables.h"
#include "vmalloc.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * The flush that the task iterator reads for: only cgroups that it popped (struct cgroup_state) are visited, or all if
 * it is 0. Set by the daemon before each pass.
 */
__u32 rss_epoch = 0;

/* In: kind, id and address of the objects to measure. Out: their records, or OBJECT_GONE. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, REREAD_MAX);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, struct object_record);
} reread SEC(".maps");

/* No hierarchy is deeper: there are not so many memory cgroups (MEM_CGROUP_ID_MAX, include/linux/memcontrol.h). */
#define DEPTH_MAX (1 << 16)

/* Goes on to the parent of the state whose address is in @context, if that is of a cgroup that was removed. */
static int pass_dying(u32 index, void *context)
{
        u64 *address = context;
        struct cgroup_subsys_state *css = (void *) *address, *parent;

        if ((BPF_CORE_READ(css, flags) & (CSS_ONLINE | CSS_DYING)) == CSS_ONLINE)
                return 1;
        parent = BPF_CORE_READ(css, parent);
        if (!parent)
                return 1;
        *address = (u64) parent;
        return 0;
}

/*
 * Fills the cgroup of @record from @objcg; what the root or nobody is charged for is uncharged. A cgroup that
 * is being removed has no path any more, nor a parent that user space could find: the kernel hands on what it is
 * charged for to the next one above it that is not (memcg_reparent_objcgs()), which is told at once.
 */
static __always_inline void attribute(struct object_record *record, struct obj_cgroup *objcg, u32 attribution)
{
        struct mem_cgroup *memcg = objcg ? BPF_CORE_READ(objcg, memcg) : NULL;
        struct cgroup_subsys_state *css;
        u64 address;

        if (!memcg) {
                record->charged = 0;
                return;
        }
        address = (u64) &memcg->css;
        bpf_loop(DEPTH_MAX, pass_dying, &address, 0);
        css = (void *) address;
        if (css_is_uncharged(css)) {
                record->charged = 0;
                return;
        }
        record->cgroup_id = css_cgroup_id(css);
        record->attribution = attribution;
}

/* With cgroup.memory=nobpf a map has no objcg, but the pages of a ring buffer are charged. */
static __always_inline struct obj_cgroup *ringbuf_objcg(u64 address)
{
        struct bpf_ringbuf_map *ringbuf = (void *) address;
        struct page **pages = BPF_CORE_READ(ringbuf, rb, pages), *page = NULL;
        struct obj_cgroup *objcg;

        bpf_probe_read_kernel(&page, sizeof(page), pages);
        return page_objcg(page, &objcg) ? objcg : NULL;
}

/* What a record has of the head of every map: field of the record, field of struct bpf_map. */
#define MAP_HEAD(X)               \
        X(id, id)                 \
        X(type, map_type)         \
        X(flags, map_flags)       \
        X(key_size, key_size)     \
        X(value_size, value_size) \
        X(max_entries, max_entries)

/*
 * Fills the rest of @record, whose head is there. A global function, as measure_program(): the verifier looks at it
 * once, and not again for each way through the loop in measure_objects(), which made 650,000 instructions of it on 7.2.
 */
__noinline int measure_map(u64 address, struct object_record *record)
{
        struct bpf_map *map = (void *) address;
        struct obj_cgroup *objcg;

        if (!record)
                return 0;
        record->address = record->identity = address;
        record->kind = OBJECT_MAP;
        record->entries = ENTRIES_UNKNOWN;
        objsize_map(address, record);
        objcg = BPF_CORE_READ(map, objcg);
        if (!objcg && (record->type == BPF_MAP_TYPE_RINGBUF || record->type == BPF_MAP_TYPE_USER_RINGBUF))
                objcg = ringbuf_objcg(address);
        attribute(record, objcg, ATTRIBUTION_CHARGED);
        return 0;
}

/* The objcg of the first map that @prog uses: its loader made it, as a rule. */
static __always_inline struct obj_cgroup *first_map_objcg(struct bpf_prog *prog)
{
        struct bpf_map **used_maps = BPF_CORE_READ(prog, aux, used_maps);
        struct bpf_map *map = NULL;

        if (used_maps && BPF_CORE_READ(prog, aux, used_map_cnt) > 0)
                bpf_probe_read_kernel(&map, sizeof(map), used_maps);
        return map ? BPF_CORE_READ(map, objcg) : NULL;
}

__noinline int measure_program(u64 address, struct object_record *record)
{
        struct bpf_prog *prog = (void *) address;
        struct obj_cgroup *objcg;
        u64 charged;

        if (!record)
                return 0;
        record->address = address;
        record->identity = (u64) BPF_CORE_READ(prog, aux);
        record->kind = OBJECT_PROGRAM;
        record->id = BPF_CORE_READ(prog, aux, id);
        record->type = BPF_CORE_READ(prog, type);
        record->entries = ENTRIES_UNKNOWN;
        BPF_CORE_READ_INTO(&record->name, prog, aux, name);
        objsize_program(address, record);

        /* A program keeps no objcg, but the pages that it lies in do, and the slab of its prog->aux
         * (kernel/bpf/core.c, bpf_prog_alloc_no_stats()). */
        if (page_objcg((void *) vmalloc_page(address), &objcg) || slab_objcg(record->identity, &objcg)) {
                attribute(record, objcg, ATTRIBUTION_CHARGED);
                return 0;
        }
        /* The daemon may find the charged cgroup by other means; these are the bytes that it is charged for. */
        charged = record->charged;
        attribute(record, first_map_objcg(prog), ATTRIBUTION_MAPS);
        record->charged = charged;
        record->marks |= OBJECT_UNATTRIBUTED;
        return 0;
}

SEC("iter/bpf_map")
int snapshot_maps(struct bpf_iter__bpf_map *ctx)
{
        struct object_record record = {};
        struct bpf_map *map = ctx->map;

        if (!map)
                return 0;
                /* The verifier knows what the iterator gives: no call of a helper for each field of 10,000 maps. */
#define LOAD(to, from) record.to = map->from;
        MAP_HEAD(LOAD)
#undef LOAD
        __builtin_memcpy(record.name, map->name, sizeof(record.name));
        measure_map(address_of(map), &record);
        bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
        return 0;
}

SEC("iter/bpf_prog")
int snapshot_programs(struct bpf_iter__bpf_prog *ctx)
{
        struct object_record record = {};

        if (!ctx->prog)
                return 0;
        measure_program(address_of(ctx->prog), &record);
        bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
        return 0;
}

/* Until 6.1 rss_stat is an array of atomics in mm. */
static __noinline int read_rss_atomic(u64 mm_address, struct rss_record *record)
{
        struct mm_struct___before62 *mm = (void *) mm_address;

        for (int i = 0; i < RSS_MEMBERS; i++)
                bpf_probe_read_kernel(&record->pages[i], sizeof(s64), &mm->rss_stat.count[rss_member_index[i] & 3]);
        return 0;
}

/* Since 6.2 (f1a7941243c1) an array of per-CPU counters; the sum over the CPUs is what /proc/PID/status prints. */
static __noinline int read_rss_percpu(u64 mm_address, struct rss_record *record)
{
        struct mm_struct *mm = (void *) mm_address;

        for (int i = 0; i < RSS_MEMBERS; i++) {
                u64 offset = (rss_member_index[i] & 3) * bpf_core_type_size(struct percpu_counter);
                struct percpu_counter *counter = (void *) &mm->rss_stat + offset;

                record->pages[i] = BPF_CORE_READ(counter, count) +
                                   percpu_sum((u64) BPF_CORE_READ(counter, counters), sizeof(s32));
        }
        return 0;
}

SEC("iter/task")
int snapshot_rss(struct bpf_iter__task *ctx)
{
        struct task_struct *task = ctx->task;
        struct rss_record record = {};
        struct mm_struct *mm;
        u64 address;

        if (!task)
                return 0;
        /* Threads, and processes in vfork(), share an mm; it is counted once, with the task that owns it. */
        address = address_of(task);
        task = (void *) address;
        mm = BPF_CORE_READ(task, mm);
        if (!mm || (u64) BPF_CORE_READ(mm, owner) != address)
                return 0;
        record.cgroup_id = task_cgroup_id(task);
        if (rss_epoch) {
                struct cgroup_state *state = bpf_map_lookup_elem(&cgroups, &record.cgroup_id);

                if (!state || state->rss_epoch != rss_epoch)
                        return 0;
        }
        record.pid = BPF_CORE_READ(task, tgid);
        if (bpf_core_type_exists(struct mm_rss_stat___before62))
                read_rss_atomic((u64) mm, &record);
        else
                read_rss_percpu((u64) mm, &record);
        for (int i = 0; i < RSS_MEMBERS; i++)
                if (record.pages[i] < 0)
                        record.pages[i] = 0;
        bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
        return 0;
}

/* --- Who holds and who uses what --------------------------------------------------------------------------------- */

/* Set by the daemon before each pass. */
struct file_examples file_examples = {};

/* The open file @fd of the daemon, in whose context the iterator runs. */
static __always_inline struct file *example(u32 fd)
{
        struct task_struct *task = (void *) bpf_get_current_task();
        struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;

        bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
        return file;
}

static __always_inline u64 example_f_op(u32 fd)
{
        struct file *file = example(fd);

        return file ? (u64) BPF_CORE_READ(file, f_op) : 0;
}

/*
 * Whether @file is a link. Those have one of several f_op, depending on the kernel and on their type, but the name that
 * kernel/bpf/syscall.c gives anonymous inodes: "bpf_link", or "bpf-link" where it was opened by id or pin.
 */
static __always_inline bool is_link(struct file *file)
{
        struct file *map = example(file_examples.map_fd);
        char name[9] = "";

        if (!map || BPF_CORE_READ(file, f_inode) != BPF_CORE_READ(map, f_inode))
                return false;
        bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
        return name[0] == 'b' && name[1] == 'p' && name[2] == 'f' && name[4] == 'l' && name[5] == 'i' &&
               name[6] == 'n' && name[7] == 'k' && name[8] == '\0';
}

/*
 * What an open file is, follows from its f_op: bpf_map_fops or bpf_prog_fops. Both are data of the kernel, of which
 * kallsyms need not know (CONFIG_KALLSYMS_ALL), so it is compared with files that the daemon has open itself.
 */
static __always_inline u32 file_kind(struct file *file)
{
        u64 f_op = (u64) BPF_CORE_READ(file, f_op);

        if (f_op == example_f_op(file_examples.map_fd))
                return OBJECT_MAP;
        if (f_op == example_f_op(file_examples.program_fd))
                return OBJECT_PROGRAM;
        return is_link(file) ? OBJECT_LINK : 0;
}

static __always_inline void read_link(void *object, struct holder_record *record)
{
        struct bpf_struct_ops_link *struct_ops = object;
        struct bpf_link *link = object;
        struct bpf_prog *prog = BPF_CORE_READ(link, prog);
        struct bpf_map *map;

        record->id = BPF_CORE_READ(link, id);
        if (prog) {
                record->target = BPF_CORE_READ(prog, aux, id);
                return;
        }
        /* Since 6.4; before, there are no links without a program. */
        if (!bpf_core_field_exists(struct_ops->map))
                return;
        if (BPF_CORE_READ(link, type) != bpf_core_enum_value(enum bpf_link_type, BPF_LINK_TYPE_STRUCT_OPS))
                return;
        map = BPF_CORE_READ(struct_ops, map);
        record->kind = OBJECT_STRUCT_OPS_LINK;
        record->target = map ? BPF_CORE_READ(map, id) : 0;
}

SEC("iter/task_file")
int snapshot_files(struct bpf_iter__task_file *ctx)
{
        struct holder_record record = {};
        struct task_struct *task;
        struct file *file;
        void *object;

        if (!ctx->task || !ctx->file)
                return 0;
        task = (void *) address_of(ctx->task);
        file = (void *) address_of(ctx->file);
        record.kind = file_kind(file);
        if (!record.kind)
                return 0;
        object = BPF_CORE_READ(file, private_data);
        if (record.kind == OBJECT_MAP)
                record.id = BPF_CORE_READ((struct bpf_map *) object, id);
        else if (record.kind == OBJECT_LINK)
                read_link(object, &record);
        else
                record.id = BPF_CORE_READ((struct bpf_prog *) object, aux, id);
        record.pid = BPF_CORE_READ(task, tgid);
        record.cgroup_id = task_cgroup_id(task);
        BPF_CORE_READ_INTO(&record.comm, task, comm);
        bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
        return 0;
}

struct uses {
        struct seq_file *seq;
        struct bpf_map **maps;
        struct use_record record;
};

static int write_use(u32 index, void *context)
{
        struct uses *uses = context;
        struct bpf_map *map = NULL;

        bpf_probe_read_kernel(&map, sizeof(map), &uses->maps[index]);
        uses->record.map_id = map ? BPF_CORE_READ(map, id) : 0;
        if (uses->record.map_id)
                bpf_seq_write(uses->seq, &uses->record, sizeof(uses->record));
        return 0;
}

SEC("iter/bpf_prog")
int snapshot_uses(struct bpf_iter__bpf_prog *ctx)
{
        struct uses uses = { .seq = ctx->meta->seq };
        struct bpf_prog *prog;

        if (!ctx->prog)
                return 0;
        prog = (void *) address_of(ctx->prog);
        uses.record.program_id = BPF_CORE_READ(prog, aux, id);
        uses.maps = BPF_CORE_READ(prog, aux, used_maps);
        bpf_loop(BPF_CORE_READ(prog, aux, used_map_cnt), write_use, &uses, 0);
        return 0;
}

/* --- Measuring again ---------------------------------------------------------------------------------------------- */

/* The head of the map at @address, which may be no map any more. */
static __always_inline void read_map_head(u64 address, struct object_record *record)
{
        struct bpf_map *map = (void *) address;

#define READ(to, from) record->to = BPF_CORE_READ(map, from);
        MAP_HEAD(READ)
#undef READ
        BPF_CORE_READ_INTO(&record->name, map, name);
}

static int measure_again(u32 index, void *unused)
{
        struct object_record *slot = bpf_map_lookup_elem(&reread, &index);
        struct object_record record = {};
        u32 id, kind;
        u64 address;

        if (!slot)
                return 1;
        id = slot->id;
        kind = slot->kind;
        address = slot->address;
        if (kind == OBJECT_MAP) {
                struct bpf_map *map = (void *) address;

                read_map_head(address, &record);
                measure_map(address, &record);
                record.references = BPF_CORE_READ(map, refcnt.counter);
        } else {
                struct bpf_prog *prog = (void *) address;

                measure_program(address, &record);
                record.references = BPF_CORE_READ(prog, aux, refcnt.counter);
                record.uid = BPF_CORE_READ(prog, aux, user, uid.val);
        }
        /* bpf_map_free_id() and bpf_prog_free_id() clear the id, so a freed object or another one in its place shows.
         */
        if (record.id != id) {
                slot->marks = OBJECT_GONE;
                return 0;
        }
        *slot = record;
        return 0;
}

/* Measures the first count objects in reread again; run by the daemon, not attached. */
SEC("syscall")
int measure_objects(struct reread_request *ctx)
{
        bpf_loop(ctx->count, measure_again, NULL, 0);
        return 0;
}
