/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "bpf/bpfbudget.skel.h"
#include "kernel/coretypes.h"
#include "kernel/memlock.h"
#include "kernel/ownobjects.h"
#include "kernel/probe.h"
#include "kernel/skeleton.h"
#include "kernel/verifierlog.h"

/* Read buffer of an iterator: the kernel fills up to 8 pages a call (kernel/bpf/bpf_iter.c). */
#define ITERATOR_BUFFER_SIZE (64 * 1024)

/*
 * Tables by cgroup have room for twice the cgroups that exist at the start, and at least for some hundreds per online
 * CPU, because a daemon that starts at boot sees few, and larger machines run more. These are the bounds.
 */
#define CGROUPS_PER_CPU 512
#define CGROUPS_MIN     1024
#define CGROUPS_MAX     65536

/* The maximum number of attempts if the kernel refuses one program after the other. */
#define LOAD_ATTEMPTS_MAX HOOKS

struct kernel {
        struct capability capabilities[CAPABILITIES];
        struct machine machine;
        struct bpfbudget *skeleton;
        struct bpf_link *links[HOOKS];
        struct ring_buffer *ring;
        struct skeleton_array reread;  /* of measure_objects: struct object_record */
        struct skeleton_array flushed; /* of clean_cgroups: ids, uint64_t */
        struct own_objects own;
        bool sensors, relations;
        uint32_t cgroups_max;
        _Alignas(8) char buffer[ITERATOR_BUFFER_SIZE]; /* records, from its start on */

        /* While kernel_take_updates() runs. */
        kernel_update_t update;
        void *update_context;
};

/* libbpf's messages are for debugging only; the code that handles an error logs what matters. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list ap)
{
        _cleanup_free_ char *text = NULL;

        /* Most are debug messages, and many: format only what is looked at. */
        if (level == LIBBPF_DEBUG && log_max_level() < LOG_DEBUG)
                return 0;
        if (vasprintf(&text, format, ap) < 0)
                return 0;
        /* Some are one message of many lines. */
        for (char *line = text, *next; *line; line = next) {
                size_t n = strcspn(line, "\n");

                next = line + n + (line[n] != '\0');
                log_debug("%.*s", (int) n, line);
        }
        return 0;
}

static uint32_t cgroup_table_size(const struct machine *machine)
{
        uint32_t wanted = 2 * machine->memory_cgroups;

        if (wanted < CGROUPS_PER_CPU * (uint32_t) get_nprocs())
                wanted = CGROUPS_PER_CPU * (uint32_t) get_nprocs();
        return skeleton_table_size(wanted, CGROUPS_MIN, CGROUPS_MAX);
}

/*
 * Whether the program of hook @i is to be loaded. mod_memcg_state is hit by every kernel allocation of every cgroup: it
 * is not used if hooks in BPF's own allocator report the same.
 */
static bool wanted(const struct kernel *kernel, size_t i)
{
        if (i == HOOK_MOD_MEMCG_STATE && kernel->capabilities[HOOK_MEM_REFILL].available &&
                        kernel->capabilities[HOOK_MAP_NEW].available)
                return false;
        return kernel->capabilities[i].available && (kernel->sensors || !hooks[i].sensor) &&
               (kernel->relations || !hooks[i].relation);
}

/* Opens the skeleton and tells it about this machine, which programs to load, and where the kernel's types will be. */
static int open_skeleton(struct kernel *kernel, const struct cgroupfs *cgroupfs, const char *types_path)
{
        const struct machine *machine = &kernel->machine;
        LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = types_path);
        struct bpfbudget *skeleton = bpfbudget__open_opts(&opts);
        uint32_t cgroups = kernel->cgroups_max ?: cgroup_table_size(machine);
        uint64_t own_id;
        bool alone;

        skeleton_free_unpacked();
        if (!skeleton)
                return -errno;
        kernel->skeleton = skeleton;
        skeleton->rodata->machine = machine->settings;
        memcpy((void *) skeleton->rodata->free_functions, machine->free_functions, sizeof(machine->free_functions));
        memcpy((void *) skeleton->rodata->rss_member_index, machine->rss_member_index,
                        sizeof(machine->rss_member_index));
        if (cgroupfs_own(cgroupfs, &own_id, &alone) == 0 && alone && own_id != cgroupfs->root_id)
                skeleton->rodata->quiet_cgroup_id = own_id;
        skeleton->rodata->root_cgroup_id = cgroupfs->root_id;

        if (!kernel->sensors) {
                /* A snapshot uses neither; the smallest that the kernel takes. */
                cgroups = 1;
                bpf_map__set_max_entries(skeleton->maps.updates, machine->settings.page_size);
        }
        bpf_map__set_max_entries(skeleton->maps.cgroups, cgroups);
        bpf_map__set_max_entries(skeleton->maps.rss_updated, cgroups);

        for (size_t i = 0; i < HOOKS; i++) {
                struct bpf_program *program = bpf_object__find_program_by_name(skeleton->obj, hooks[i].program);

                if (!program)
                        return -ENOENT;
                bpf_program__set_autoload(program, wanted(kernel, i));
        }
        return 0;
}

/* Notes which program the verifier refused with @error, by its @log. Returns whether there was one. */
static bool note_refused(struct kernel *kernel, const struct verifier_log *log, int error)
{
        char reason[VERIFIER_REASON_MAX];
        const struct bpf_program *program = verifier_log_refused(log, reason);

        for (size_t i = 0; program && i < HOOKS; i++)
                if (strcmp(hooks[i].program, bpf_program__name(program)) == 0) {
                        capability_refused(&kernel->capabilities[i], error, reason);
                        return true;
                }
        return false;
}

/*
 * Loads the selected programs. All are in one object, and a single one that the kernel refuses, although the trial
 * succeeded, fails the whole load: the object is then loaded again without that program.
 */
static int load(struct kernel *kernel, const struct cgroupfs *cgroupfs, const struct btf *btf)
{
        int r = 0;

        for (size_t attempt = 0; attempt < LOAD_ATTEMPTS_MAX; attempt++) {
                _cleanup_(verifier_log_deinit) struct verifier_log log = {};
                char path[CORE_TYPES_PATH_MAX];
                _cleanup_close_ int types = core_types_open(path);

                if (types < 0)
                        return types;
                r = open_skeleton(kernel, cgroupfs, path);
                if (r == 0)
                        r = core_types_write(types, btf, bpf_object__btf(kernel->skeleton->obj));
                if (r == 0)
                        r = verifier_log_init(&log, kernel->skeleton->obj);
                if (r < 0)
                        return r;
                r = bpfbudget__load(kernel->skeleton);
                /* A probe in libbpf failed temporarily, so that it assumes a kernel without mmap() of arrays. */
                if (r == 0 && !kernel->skeleton->bss)
                        return -ENOMEM;
                if (r == 0 || !note_refused(kernel, &log, r))
                        return r;
                bpfbudget__destroy(kernel->skeleton);
                kernel->skeleton = NULL;
        }
        return r;
}

/* Returns 0 or a negative errno. */
static int attach_hook(struct kernel *kernel, size_t i)
{
        struct bpf_program *program = bpf_object__find_program_by_name(kernel->skeleton->obj, hooks[i].program);

        kernel->links[i] = bpf_program__attach(program);
        return kernel->links[i] ? 0 : -errno;
}

static void attach(struct kernel *kernel)
{
        for (size_t i = 0; i < HOOKS; i++) {
                int r = wanted(kernel, i) && hooks[i].kind != HOOK_SYSCALL ? attach_hook(kernel, i) : 0;

                if (r < 0)
                        capability_lost(&kernel->capabilities[i], "it cannot be attached: %s", kernel_error(-r));
        }
}

/* The hooks that nothing but RSS needs. */
static const size_t rss_hooks[] = { HOOK_RSS_STAT, HOOK_FORK, HOOK_EXEC, HOOK_EXIT, HOOK_ATTACH_TASK };
#define RSS_HOOKS (sizeof(rss_hooks) / sizeof(rss_hooks[0]))

void kernel_watch_rss(struct kernel *kernel, bool watch)
{
        for (size_t i = 0; i < RSS_HOOKS; i++) {
                size_t hook = rss_hooks[i];
                int r = 0;

                if (!watch) {
                        bpf_link__destroy(kernel->links[hook]);
                        kernel->links[hook] = NULL;
                } else if (!kernel->links[hook] && wanted(kernel, hook))
                        r = attach_hook(kernel, hook);
                if (r < 0)
                        log_debug("%s cannot be attached: %s", hooks[hook].program, strerror(-r));
        }
}

static int handle_update(void *context, void *data, size_t size)
{
        struct kernel *kernel = context;

        if (size < sizeof(struct update))
                return 0;
        return kernel->update(kernel->update_context, data);
}

/* --- What is our own ---------------------------------------------------------------------------------------------- */

int kernel_note_own(struct kernel *kernel, const struct bpf_object *object)
{
        return own_objects_add(&kernel->own, object);
}

bool kernel_own(const struct kernel *kernel, size_t i, uint32_t *kind, uint32_t *id)
{
        return own_objects_get(&kernel->own, i, kind, id);
}

bool kernel_is_own(const struct kernel *kernel, const struct object_record *record)
{
        return own_objects_has(&kernel->own, record->kind, record->id);
}

static int open_sensors(struct kernel *kernel)
{
        int r;

        kernel->ring = ring_buffer__new(bpf_map__fd(kernel->skeleton->maps.updates), handle_update, kernel, NULL);
        if (!kernel->ring)
                return -errno;
        if (kernel->capabilities[HOOK_INTRODUCE].available)
                skeleton_run(kernel->skeleton->progs.introduce_daemon, NULL, 0);
        r = skeleton_array_init(
                        &kernel->reread, kernel->skeleton->maps.reread, kernel->skeleton->progs.measure_objects);
        if (r < 0)
                return r;
        return skeleton_array_init(
                        &kernel->flushed, kernel->skeleton->maps.flushed, kernel->skeleton->progs.clean_cgroups);
}

/* Logs in one line why nothing can be measured. BTF, which is after the hooks in the table, is the root cause. */
static void log_missing(const struct kernel *kernel)
{
        for (size_t i = CAPABILITIES; i > 0; i--) {
                const struct capability *capability = &kernel->capabilities[i - 1];

                if (capability->essential && !capability->available) {
                        log_error("Nothing can be measured without %s: %s", capability->name, capability->reason);
                        return;
                }
        }
}

/* Loads and attaches what was found available. Returns 0 or a negative errno, logged. */
static int start(struct kernel *kernel, const struct cgroupfs *cgroupfs, const struct btf *btf)
{
        int r = load(kernel, cgroupfs, btf);

        if (r < 0) {
                log_error("The BPF programs cannot be loaded: %s", kernel_error(-r));
                return r;
        }
        r = kernel_note_own(kernel, kernel->skeleton->obj);
        if (r < 0) {
                log_error("The daemon's own BPF objects cannot be listed: %s", strerror(-r));
                return r;
        }
        attach(kernel);
        if (!kernel->links[HOOK_MAPS]) {
                log_missing(kernel);
                return -EOPNOTSUPP;
        }
        r = kernel->sensors ? open_sensors(kernel) : 0;
        if (r < 0)
                log_error("The queue of updates cannot be opened: %s", strerror(-r));
        return r;
}

static void cleanup_kernel(struct kernel **kernel)
{
        kernel_close(*kernel);
}

int kernel_open(const struct kernel_options *options, const struct cgroupfs *cgroupfs, struct kernel **ret)
{
        _cleanup_(cleanup_kernel) struct kernel *kernel = calloc(1, sizeof(*kernel));
        _cleanup_(cleanup_btf) struct btf *btf = NULL;
        int r;

        if (!kernel) {
                log_error("Out of memory");
                return -ENOMEM;
        }
        kernel->sensors = options->sensors;
        kernel->cgroups_max = options->cgroups_max;
        kernel->relations = options->relations;
        libbpf_set_print(print_libbpf);
        btf = btf__load_vmlinux_btf();
        r = probe(btf, cgroupfs, kernel->capabilities, &kernel->machine);
        if (r == -ENOMEM)
                log_error("Out of memory");
        else if (options->probe_only)
                r = 0;
        else if (r < 0)
                log_missing(kernel);
        else
                r = start(kernel, cgroupfs, btf);
        if (r < 0)
                return r;
        *ret = kernel;
        kernel = NULL;
        return 0;
}

void kernel_close(struct kernel *kernel)
{
        if (!kernel)
                return;
        for (size_t i = 0; i < HOOKS; i++)
                bpf_link__destroy(kernel->links[i]);
        ring_buffer__free(kernel->ring);
        skeleton_array_deinit(&kernel->reread);
        skeleton_array_deinit(&kernel->flushed);
        bpfbudget__destroy(kernel->skeleton);
        own_objects_deinit(&kernel->own);
        free(kernel);
}

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        *count = CAPABILITIES;
        return kernel->capabilities;
}

const struct machine *kernel_machine(const struct kernel *kernel)
{
        return &kernel->machine;
}

void kernel_capability_lost(struct kernel *kernel, size_t index, const char *reason)
{
        capability_lost(&kernel->capabilities[index], "%s", reason);
}

bool kernel_tells_objects(const struct kernel *kernel)
{
        return kernel->links[HOOK_MAP_NEW] && kernel->links[HOOK_MAP_FREE] && kernel->links[HOOK_PROGRAM_EVENT] &&
               kernel->capabilities[HOOK_MEASURE].available;
}

bool kernel_tells_growth(const struct kernel *kernel)
{
        /* percpu_alloc_percpu alone reports the growth of only few maps. */
        return (kernel->links[HOOK_MEM_REFILL] && kernel_tells_objects(kernel)) || kernel->links[HOOK_MOD_MEMCG_STATE];
}

bool kernel_tells_rss(const struct kernel *kernel)
{
        for (size_t i = 0; i < RSS_HOOKS; i++)
                if (!kernel->links[rss_hooks[i]])
                        return false;
        return kernel->capabilities[HOOK_CLEAN].available;
}

/* --- Iterators ---------------------------------------------------------------------------------------------------- */

/* Reads all records of @size bytes that the iterator @link gives. A read may end in the middle of a record. */
static int read_records(
                struct kernel *kernel, struct bpf_link *link, size_t size, kernel_record_t callback, void *context)
{
        _cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(link));
        size_t filled = 0;

        if (fd < 0)
                return fd;
        for (;;) {
                ssize_t n = read(fd, kernel->buffer + filled, sizeof(kernel->buffer) - filled);
                size_t used = 0;

                if (n == 0)
                        return filled == 0 ? 0 : -EIO;
                if (n < 0) {
                        /* EAGAIN: the kernel paused in a long stretch without records. */
                        if (errno == EINTR || errno == EAGAIN)
                                continue;
                        return -errno;
                }
                filled += n;
                for (; filled - used >= size; used += size) {
                        int r = callback(context, kernel->buffer + used);

                        if (r < 0)
                                return r;
                }
                filled -= used;
                memmove(kernel->buffer, kernel->buffer + used, filled);
        }
}

/* Uses the kernel's own figure for a type that objsize.h does not know. */
static void take_memlock(struct object_record *record)
{
        uint64_t bytes = map_memlock(record->id);

        record->allocated = record->allocated_min = bytes;
        record->charged = record->cgroup_id ? bytes : 0;
        record->marks |= OBJECT_MEMLOCK;
}

/* What only the daemon knows of an object. */
static void complete(const struct kernel *kernel, struct object_record *record)
{
        if (record->marks & OBJECT_UNKNOWN_TYPE)
                take_memlock(record);
        if (kernel_is_own(kernel, record))
                record->marks |= OBJECT_OWN;
}

struct object_reader {
        const struct kernel *kernel;
        kernel_object_t callback;
        void *context;
};

static int read_object(void *context, const void *data)
{
        const struct object_reader *reader = context;
        struct object_record record = *(const struct object_record *) data;

        complete(reader->kernel, &record);
        return reader->callback(reader->context, &record);
}

int kernel_read_objects(struct kernel *kernel, kernel_object_t callback, void *context)
{
        struct object_reader reader = { kernel, callback, context };
        int r;

        r = read_records(kernel, kernel->links[HOOK_MAPS], sizeof(struct object_record), read_object, &reader);
        if (r < 0 || !kernel->links[HOOK_PROGRAMS])
                return r;
        return read_records(kernel, kernel->links[HOOK_PROGRAMS], sizeof(struct object_record), read_object, &reader);
}

int kernel_read_rss(struct kernel *kernel, uint32_t epoch, kernel_record_t callback, void *context)
{
        if (!kernel->links[HOOK_TASKS])
                return -EOPNOTSUPP;
        kernel->skeleton->bss->rss_epoch = epoch;
        return read_records(kernel, kernel->links[HOOK_TASKS], sizeof(struct rss_record), callback, context);
}

int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
{
        if (!kernel->links[HOOK_FILES])
                return -EOPNOTSUPP;
        kernel->skeleton->bss->file_examples = (struct file_examples){
                .map_fd = bpf_map__fd(kernel->skeleton->maps.cgroups),
                .program_fd = bpf_program__fd(kernel->skeleton->progs.snapshot_files),
        };
        return read_records(kernel, kernel->links[HOOK_FILES], sizeof(struct holder_record), callback, context);
}

int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context)
{
        if (!kernel->links[HOOK_USES])
                return -EOPNOTSUPP;
        return read_records(kernel, kernel->links[HOOK_USES], sizeof(struct use_record), callback, context);
}

/* --- Updates ------------------------------------------------------------------------------------------------------ */

int kernel_measure(struct kernel *kernel, struct object_record *records, size_t n)
{
        struct reread_request request = {};
        int r;

        r = skeleton_array_run(&kernel->reread, &request, sizeof(request), records, records, n);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (!(records[i].marks & OBJECT_GONE))
                        complete(kernel, &records[i]);
        return r;
}

int kernel_updates_fd(const struct kernel *kernel)
{
        return kernel->ring ? ring_buffer__epoll_fd(kernel->ring) : -1;
}

/* The maximum number of repetitions if updates arrive while others are taken. */
#define TAKE_MAX 8

int kernel_take_updates(struct kernel *kernel, kernel_update_t callback, void *context)
{
        int count = 0;

        if (!kernel->ring)
                return 0;
        kernel->update = callback;
        kernel->update_context = context;
        /*
         * Mark the kernel side clean first, so that later updates wake the daemon again. But if such an update is taken
         * right away, the kernel side would stay dirty, and never wake the daemon again. It must therefore be clean
         * when the queue is empty.
         */
        for (int i = 0; i < TAKE_MAX; i++) {
                int n;

                __atomic_store_n(&kernel->skeleton->bss->dirty, 0, __ATOMIC_SEQ_CST);
                n = ring_buffer__consume(kernel->ring);
                if (n < 0)
                        return n;
                count += n;
                if (!kernel_is_dirty(kernel))
                        break;
        }
        return count;
}

bool kernel_is_dirty(const struct kernel *kernel)
{
        return kernel->ring && __atomic_load_n(&kernel->skeleton->bss->dirty, __ATOMIC_SEQ_CST);
}

/* Marks @n cgroups clean that were taken from the queue @taken. */
static int clean(struct kernel *kernel, const uint64_t *ids, size_t n, uint32_t taken, uint32_t epoch)
{
        struct flush_request request = { .taken = taken, .epoch = epoch };

        return skeleton_array_run(&kernel->flushed, &request, sizeof(request), ids, NULL, n);
}

int kernel_clean_cgroups(struct kernel *kernel, const uint64_t *ids, size_t n)
{
        if (!kernel->ring)
                return 0;
        if (!kernel->capabilities[HOOK_CLEAN].available) {
                /* Nevertheless clean: a cgroup without an entry is queued again. */
                for (size_t i = 0; i < n; i++)
                        bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.cgroups), &ids[i]);
                return 0;
        }
        return clean(kernel, ids, n, CGROUP_UPDATED_CHARGE, 0);
}

int kernel_pop_rss(struct kernel *kernel, uint32_t epoch, kernel_popped_t callback, void *context)
{
        int queue = bpf_map__fd(kernel->skeleton->maps.rss_updated), count = 0, r;
        uint64_t ids[FLUSH_MAX];
        bool all;
        size_t n;

        if (!kernel->ring || !kernel_tells_rss(kernel))
                return -EAGAIN;
        /*
         * This comes first: a task that moves to another cgroup after this point is found by the next pass, which reads
         * all tasks.
         */
        all = __atomic_exchange_n(&kernel->skeleton->bss->rss_full, 0, __ATOMIC_SEQ_CST);
        do {
                for (n = 0; n < FLUSH_MAX; n++)
                        if (bpf_map_lookup_and_delete_elem(queue, NULL, &ids[n]) < 0)
                                break;
                r = clean(kernel, ids, n, CGROUP_UPDATED_RSS, epoch);
                if (r < 0) {
                        kernel->skeleton->bss->rss_full = 1;
                        return r;
                }
                for (size_t i = 0; i < n; i++)
                        callback(context, ids[i]);
                count += n;
        } while (n == FLUSH_MAX);
        return all ? -EAGAIN : count;
}

void kernel_watch_cgroup(struct kernel *kernel, uint64_t id)
{
        struct cgroup_state clean = {};
        int r;

        if (!kernel->ring)
                return;
        r = bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.cgroups), &id, &clean, BPF_NOEXIST);
        if (r < 0 && r != -EEXIST)
                kernel->skeleton->bss->cgroups_full = 1;
}

bool kernel_lost_cgroups(struct kernel *kernel)
{
        return kernel->ring && __atomic_exchange_n(&kernel->skeleton->bss->cgroups_full, 0, __ATOMIC_SEQ_CST);
}

int kernel_forget_cgroups(struct kernel *kernel, bool (*gone)(void *context, uint64_t id), void *context)
{
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t id, *previous = NULL;
        size_t count = 0;
        int fd;

        if (!kernel->ring)
                return 0;
        fd = bpf_map__fd(kernel->skeleton->maps.cgroups);
        ids = calloc(bpf_map__max_entries(kernel->skeleton->maps.cgroups), sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        /*
         * The key that was deleted last has no next one. If a key disappears meanwhile, the iteration starts again,
         * within the bound.
         */
        while (count < bpf_map__max_entries(kernel->skeleton->maps.cgroups) &&
                        bpf_map_get_next_key(fd, previous, &id) == 0) {
                ids[count] = id;
                previous = &ids[count++];
        }
        for (size_t i = 0; i < count; i++)
                if (gone(context, ids[i]))
                        bpf_map_delete_elem(fd, &ids[i]);
        return 0;
}

void kernel_forget_cgroup(struct kernel *kernel, uint64_t id)
{
        if (kernel->ring)
                bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.cgroups), &id);
}

uint64_t kernel_missed(const struct kernel *kernel)
{
        uint64_t count = 0;

        for (size_t i = 0; i < HOOKS; i++)
                if (hooks[i].kind == HOOK_FUNCTION && kernel->links[i])
                        count += skeleton_missed(
                                        bpf_object__find_program_by_name(kernel->skeleton->obj, hooks[i].program));
        return count;
}

struct sensor_counters kernel_counters(const struct kernel *kernel)
{
        return kernel->ring ? kernel->skeleton->bss->sensor_counters : (struct sensor_counters){};
}
