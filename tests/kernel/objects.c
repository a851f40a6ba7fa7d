/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_xdp.h>
#include <linux/perf_event.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* How many sockets, files, ... there are for maps to refer to. */
#define REFERENTS_MAX 64

static struct {
        int fds[REFERENTS_MAX];
        uint32_t count;
        int inner; /* pattern and content of maps of maps */
        int btf;   /* of the keys and values of local storage */
        uint32_t btf_int, btf_value;
        uint32_t btf_value_size;
        uint32_t struct_ops; /* id of struct bpf_struct_ops_tcp_congestion_ops in the kernel's BTF */
        uint32_t struct_ops_size;
} referents = { .inner = -1, .btf = -1 };

static char value[65536];

/* --- What maps refer to ------------------------------------------------------------------------------------------- */

static int make_tcp_socket(void)
{
        static int listener = -1;
        static struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t size = sizeof(address);
        int fd;

        if (listener < 0) {
                address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (bind(listener, (void *) &address, size) < 0 || listen(listener, REFERENTS_MAX) < 0 ||
                                getsockname(listener, (void *) &address, &size) < 0)
                        return -errno;
        }
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (void *) &address, sizeof(address)) < 0)
                return -errno;
        return fd;
}

static int make_udp_socket(void)
{
        static struct sockaddr_in address = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
        socklen_t size = sizeof(address);

        if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
                        bind(fd, (void *) &address, sizeof(address)) < 0)
                return -errno;
        /* The first one gets a port, the others take the same. */
        return getsockname(fd, (void *) &address, &size) < 0 ? -errno : fd;
}

static int make_xdp_socket(void)
{
        int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), entries = 64;

        if (fd < 0 || setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)) < 0)
                return -errno;
        return fd;
}

static int make_process(void)
{
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        pause();
        }
        return syscall(SYS_pidfd_open, pid, 0);
}

static int make_file(void)
{
        return memfd_create("bb_test", MFD_CLOEXEC);
}

static int make_perf_event(void)
{
        struct perf_event_attr attr = {
                .type = PERF_TYPE_SOFTWARE,
                .size = sizeof(attr),
                .config = PERF_COUNT_SW_BPF_OUTPUT,
                .sample_type = PERF_SAMPLE_RAW,
        };

        return syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

static int make_program(void)
{
        return program_make(&(struct program_kind){ .instructions = 2 }, "bb_referent");
}

static const struct {
        uint32_t type;
        int (*make)(void);
        uint32_t count;
} makers[] = {
        { BPF_MAP_TYPE_SK_STORAGE, make_udp_socket, 64 },
        { BPF_MAP_TYPE_TASK_STORAGE, make_process, 8 },
        { BPF_MAP_TYPE_INODE_STORAGE, make_file, 64 },
        { BPF_MAP_TYPE_SOCKMAP, make_tcp_socket, 64 },
        { BPF_MAP_TYPE_SOCKHASH, make_tcp_socket, 64 },
        { BPF_MAP_TYPE_XSKMAP, make_xdp_socket, 16 },
        { BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, make_udp_socket, 64 },
        { BPF_MAP_TYPE_PERF_EVENT_ARRAY, make_perf_event, 1 },
        { BPF_MAP_TYPE_PROG_ARRAY, make_program, 1 },
};

static bool is_local_storage(uint32_t type)
{
        return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_TASK_STORAGE ||
               type == BPF_MAP_TYPE_INODE_STORAGE || type == MAP_TYPE_CGRP_STORAGE;
}

/* Local storage wants types for its keys and values: int, and an array of bytes. @locked: that begins with a lock. */
static int load_btf(uint32_t value_size, bool locked)
{
        static struct btf *btf; /* of the last one, which its maps keep */
        int byte, array, lock;

        btf__free(btf);
        btf = btf__new_empty();
        if (!btf)
                return -errno;
        referents.btf_int = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
        byte = btf__add_int(btf, "char", 1, BTF_INT_CHAR);
        array = btf__add_array(btf, referents.btf_int, byte, locked ? value_size - sizeof(uint32_t) : value_size);
        lock = btf__add_struct(btf, "bpf_spin_lock", sizeof(uint32_t));
        btf__add_field(btf, "val", referents.btf_int, 0, 0);
        referents.btf_value = btf__add_struct(btf, "bytes", value_size);
        if (locked)
                btf__add_field(btf, "lock", lock, 0, 0);
        btf__add_field(btf, "bytes", array, locked ? 32 : 0, 0);
        if (btf__load_into_kernel(btf) < 0)
                return -errno;
        referents.btf = btf__fd(btf);
        referents.btf_value_size = value_size;
        return 0;
}

int map_is_local_storage(const struct map_kind *kind)
{
        return is_local_storage(kind->type);
}

static int find_struct_ops(void)
{
        struct btf *btf = btf__load_vmlinux_btf();
        int id;

        if (!btf)
                return -errno;
        id = btf__find_by_name_kind(btf, "bpf_struct_ops_tcp_congestion_ops", BTF_KIND_STRUCT);
        if (id > 0) {
                referents.struct_ops = id;
                referents.struct_ops_size = btf__resolve_size(btf, id);
        }
        btf__free(btf);
        return id > 0 ? 0 : -EOPNOTSUPP;
}

int objects_prepare(const struct map_kind *kind, const char *cgroup)
{
        for (size_t i = 0; i < LENGTH(makers) && kind->percent; i++)
                while (makers[i].type == kind->type && referents.count < makers[i].count) {
                        int fd = makers[i].make();

                        if (fd < 0)
                                return fd;
                        referents.fds[referents.count++] = fd;
                }
        if (kind->type == MAP_TYPE_CGRP_STORAGE || kind->type == BPF_MAP_TYPE_CGROUP_ARRAY) {
                referents.fds[0] = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                referents.count = referents.fds[0] < 0 ? 0 : 1;
        }
        if (kind->inner_type) {
                referents.inner = bpf_map_create(kind->inner_type, "bb_inner", 4, 4, 1, NULL);
                if (referents.inner < 0)
                        return -errno;
        }
        if (kind->type == BPF_MAP_TYPE_STRUCT_OPS) {
                int r = find_struct_ops();

                if (r < 0)
                        return r;
        }
        if (kind->type == BPF_MAP_TYPE_STRUCT_OPS || is_local_storage(kind->type) || kind->locked)
                return load_btf(kind->value_size ?: 4, kind->locked);
        return 0;
}

int objects_referent(void)
{
        return referents.count ? referents.fds[0] : -1;
}

void objects_forget(void)
{
        for (size_t i = 0; i < referents.count; i++) {
                /* A process, which else would stay in the test's cgroup. */
                if (syscall(SYS_pidfd_send_signal, referents.fds[i], SIGKILL, NULL, 0) == 0)
                        waitid(P_PIDFD, referents.fds[i], &(siginfo_t){}, WEXITED);
                close(referents.fds[i]);
        }
        referents.count = 0;
}

/* --- Maps --------------------------------------------------------------------------------------------------------- */

static bool is_keyless(uint32_t type)
{
        return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK || type == BPF_MAP_TYPE_BLOOM_FILTER;
}

uint32_t map_entries(const struct map_kind *kind)
{
        uint32_t max_entries = kind->max_entries;

        if (is_local_storage(kind->type))
                max_entries = referents.count;
        else if (kind->type == BPF_MAP_TYPE_CPUMAP)
                max_entries = sysconf(_SC_NPROCESSORS_ONLN);
        return (uint64_t) max_entries * kind->percent / 100;
}

int map_is_preallocated_percpu(const struct map_kind *kind)
{
        return kind->type == BPF_MAP_TYPE_PERCPU_ARRAY || kind->type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
               (kind->type == BPF_MAP_TYPE_PERCPU_HASH && !(kind->flags & BPF_F_NO_PREALLOC));
}

/* The address that a program would see as its key: spread over all bits, and every one a different one. */
static void set_key(const struct map_kind *kind, void *key, uint32_t i)
{
        uint32_t spread = i * 2654435761U, prefix = 32;

        if (kind->nested)
                prefix = i, spread = 0;
        if (kind->type == BPF_MAP_TYPE_LPM_TRIE) {
                memcpy(key, &prefix, sizeof(prefix));
                memcpy((char *) key + sizeof(prefix), &spread, sizeof(spread));
        } else if (is_local_storage(kind->type)) {
                memcpy(key, &referents.fds[i % REFERENTS_MAX], sizeof(int));
        } else {
                memcpy(key, &i, sizeof(i));
        }
}

static void set_value(const struct map_kind *kind, uint32_t i)
{
        uint32_t number = i;

        if (kind->type == BPF_MAP_TYPE_DEVMAP || kind->type == BPF_MAP_TYPE_DEVMAP_HASH)
                number = 1; /* the loopback interface */
        else if (kind->type == BPF_MAP_TYPE_CPUMAP)
                number = 192; /* frames in its queue */
        else if (referents.count && !is_local_storage(kind->type))
                number = referents.fds[i % referents.count];
        memcpy(value, &number, sizeof(number));
}

/* Elements come from caches that the kernel refills in the background: a fast writer has to wait for it. */
static int update(int fd, const void *key, uint64_t flags)
{
        int r;

        for (int tries = 0; tries < 1000; tries++) {
                r = bpf_map_update_elem(fd, key, value, flags);
                if (r == 0 || errno != ENOMEM)
                        break;
                usleep(1000);
        }
        return r;
}

static int fill(const struct map_kind *kind, int fd, uint32_t entries)
{
        uint64_t flags = kind->type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY ? BPF_NOEXIST : BPF_ANY;
        char key[64] = {};
        int r = 0;

        for (uint32_t i = 0; i < entries && r == 0; i++) {
                set_key(kind, key, i);
                set_value(kind, i);
                r = update(fd, is_keyless(kind->type) ? NULL : key, flags);
        }
        memset(value, 0, sizeof(uint32_t));
        for (uint32_t i = 0; i < WRAP_OUT && kind->wrapped && r == 0; i++)
                r = bpf_map_lookup_and_delete_elem(fd, NULL, value);
        for (uint32_t i = 0; i < WRAP_IN && kind->wrapped && r == 0; i++)
                r = bpf_map_update_elem(fd, NULL, value, BPF_ANY);
        /* A socket can be in one of these arrays only. */
        if (r < 0 && errno == EBUSY && kind->type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY)
                r = 0;
        /* It holds cgroups of v2 only, and the memory controller is on v1. */
        if (r < 0 && errno == EBADF && kind->type == BPF_MAP_TYPE_CGROUP_ARRAY)
                return -EOPNOTSUPP;
        return r < 0 ? -errno : 0;
}

/* One update of a map of maps waits for all programs to leave it; a batch of them waits once. */
static int fill_maps(int fd, uint32_t entries)
{
        uint32_t *keys = calloc(entries + 1, 2 * sizeof(*keys)), *values = keys + entries + 1, count = entries;
        int r = 0;

        if (!keys)
                return -ENOMEM;
        for (uint32_t i = 0; i < entries; i++) {
                keys[i] = i;
                values[i] = referents.inner;
        }
        if (entries && bpf_map_update_batch(fd, keys, values, &count, NULL) < 0)
                r = -errno;
        free(keys);
        return r;
}

/* Arenas are filled by touching their pages. */
static int touch_pages(const struct map_kind *kind, int fd, uint32_t pages)
{
        size_t page = sysconf(_SC_PAGESIZE);
        volatile char *memory;

        if (pages == 0)
                return 0;
        memory = mmap(NULL, page * kind->max_entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        for (uint32_t i = 0; i < pages; i++)
                memory[i * page * (kind->scattered ? 2 : 1)] = 1;
        /* Not unmapped: that frees them. */
        return 0;
}

static void use_next_cpu(void)
{
        static unsigned int next;
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(next++ % sysconf(_SC_NPROCESSORS_ONLN), &set);
        sched_setaffinity(0, sizeof(set), &set);
}

static int create(const struct map_kind *kind)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = kind->flags);
        uint32_t value_size = kind->value_size;
        int fd;

        if (kind->inner_type)
                opts.inner_map_fd = referents.inner;
        if (is_local_storage(kind->type) || kind->locked) {
                opts.btf_fd = referents.btf;
                opts.btf_key_type_id = referents.btf_int;
                opts.btf_value_type_id = referents.btf_value;
        }
        if (kind->type == BPF_MAP_TYPE_STRUCT_OPS) {
                opts.btf_fd = referents.btf; /* any */
                opts.btf_vmlinux_value_type_id = referents.struct_ops;
                value_size = referents.struct_ops_size;
        }
        fd = bpf_map_create(kind->type, "bb_test", kind->key_size, value_size, kind->max_entries, &opts);
        if (fd < 0)
                return errno == EINVAL && kind->type > BPF_MAP_TYPE_USER_RINGBUF ? -EOPNOTSUPP : -errno;
        return fd;
}

/*
 * In 7.2 local storage and arenas take memory by kmalloc_nolock(), which needs a CPU with cmpxchg16b (mm/slub.c).
 * Virtual machines may have none.
 */
static bool cpu_lacks_cmpxchg16b(void)
{
        FILE *file = fopen("/proc/cpuinfo", "re");
        char line[8192];
        bool lacks = false;

        while (file && fgets(line, sizeof(line), file))
                if (strncmp(line, "flags", 5) == 0) {
                        lacks = !strstr(line, " cx16");
                        break;
                }
        if (file)
                fclose(file);
        return lacks;
}

/* Whether the thread may do what only CAP_BPF is not enough for. */
static int set_privileges(bool privileged)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        const uint32_t admin = 1U << CAP_SYS_ADMIN, perfmon = 1U << (CAP_PERFMON - 32);

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        data[0].effective = privileged ? data[0].permitted : data[0].effective & ~admin;
        data[1].effective = privileged ? data[1].permitted : data[1].effective & ~perfmon;
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int create_as_told(const struct map_kind *kind)
{
        int fd, r;

        if (!kind->unprivileged)
                return create(kind);
        r = set_privileges(false);
        fd = r < 0 ? r : create(kind);
        r = set_privileges(true);
        return r < 0 ? r : fd;
}

int map_make_filled(const struct map_kind *kind, uint32_t entries)
{
        int fd, r;

        use_next_cpu();
        fd = create_as_told(kind);
        if (fd == -ENOMEM && kind->type == MAP_TYPE_ARENA && cpu_lacks_cmpxchg16b())
                return -EOPNOTSUPP;
        if (fd < 0)
                return fd;
        if (kind->type == MAP_TYPE_ARENA)
                r = touch_pages(kind, fd, entries);
        else
                r = kind->inner_type ? fill_maps(fd, entries) : fill(kind, fd, entries);
        if (r < 0) {
                close(fd);
                return r == -ENOMEM && is_local_storage(kind->type) && cpu_lacks_cmpxchg16b() ? -EOPNOTSUPP : r;
        }
        return fd;
}

int map_make(const struct map_kind *kind)
{
        return map_make_filled(kind, map_entries(kind));
}

/* --- Programs ----------------------------------------------------------------------------------------------------- */

#define PROGRAM_MAPS_MAX 32

static int program_maps(uint32_t count, int *fds)
{
        static int maps[PROGRAM_MAPS_MAX];
        static uint32_t made;

        for (; made < count && made < PROGRAM_MAPS_MAX; made++) {
                maps[made] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_used", 4, 4, 1, NULL);
                if (maps[made] < 0)
                        return -errno;
        }
        memcpy(fds, maps, sizeof(maps));
        return 0;
}

/* One function: @length instructions, the first ones of which name @maps maps. */
static struct bpf_insn *add_function(struct bpf_insn *insn, uint32_t length, const int *fds, uint32_t maps)
{
        struct bpf_insn *end = insn + length;

        for (uint32_t i = 0; i < maps; i++) {
                *insn++ = (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
                        .dst_reg = BPF_REG_1,
                        .src_reg = BPF_PSEUDO_MAP_FD,
                        .imm = fds[i] };
                *insn++ = (struct bpf_insn){};
        }
        while (insn < end - 1)
                *insn++ = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = length };
        *insn++ = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
        return insn;
}

static struct btf *kernel_btf(void)
{
        static struct btf *btf;

        if (!btf)
                btf = btf__load_vmlinux_btf();
        return btf;
}

/* Where the kernel's struct @name has @member, in bytes; a negative errno if it has none. */
static int offset_of(const char *name, const char *member)
{
        const struct btf_type *type;
        int id = kernel_btf() ? btf__find_by_name_kind(kernel_btf(), name, BTF_KIND_STRUCT) : -ENOENT;

        if (id < 0)
                return id;
        type = btf__type_by_id(kernel_btf(), id);
        for (uint16_t i = 0; i < btf_vlen(type); i++)
                if (strcmp(btf__name_by_offset(kernel_btf(), btf_members(type)[i].name_off), member) == 0)
                        return btf_member_bit_offset(type, i) / 8;
        return -ENOENT;
}

static int kernel_id(const char *name, uint32_t kind)
{
        return kernel_btf() ? btf__find_by_name_kind(kernel_btf(), name, kind) : -ENOENT;
}

#define MOVE(to, number) ((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (number) })
#define LOAD(to, from, at) \
        ((struct bpf_insn){ BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = (to), .src_reg = (from), .off = (at) })
#define CALL(kind, number) ((struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .src_reg = (kind), .imm = (number) })
#define NAME(to, kind, number) \
        ((struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (to), .src_reg = (kind), .imm = (number) })
#define EXIT ((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })

/* From a task to the one that it woke last and so on: no pointer there is trusted, so each load may fault. */
static struct bpf_insn *add_exceptions(struct bpf_insn *insn, uint32_t loads)
{
        int offset = offset_of("task_struct", "last_wakee");

        *insn++ = LOAD(BPF_REG_2, BPF_REG_1, 8); /* the task that is switched from */
        for (uint32_t i = 0; i <= loads && offset >= 0; i++)
                *insn++ = LOAD(BPF_REG_2, BPF_REG_2, offset);
        return insn;
}

/* Instructions that have the kernel keep something; R0 is set and the program left after them. */
static struct bpf_insn *add_feature(struct bpf_insn *insn, const struct program_kind *kind)
{
        static int programs = -1;

        switch (kind->feature) {
        case PROGRAM_EXCEPTIONS:
                return add_exceptions(insn, kind->instructions);
        case PROGRAM_KFUNC:
                *insn++ = CALL(BPF_PSEUDO_KFUNC_CALL, kernel_id("bpf_rcu_read_lock", BTF_KIND_FUNC));
                *insn++ = CALL(BPF_PSEUDO_KFUNC_CALL, kernel_id("bpf_rcu_read_unlock", BTF_KIND_FUNC));
                return insn;
        case PROGRAM_SYMBOL:
                *insn++ = NAME(BPF_REG_2, BPF_PSEUDO_BTF_ID, kernel_id("bpf_rcu_read_lock", BTF_KIND_FUNC));
                *insn++ = (struct bpf_insn){};
                return insn;
        case PROGRAM_STACK:
                *insn++ = (struct bpf_insn){
                        .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -(int16_t) kind->instructions
                };
                return insn;
        case PROGRAM_TAIL_CALL:
                if (programs < 0)
                        programs = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "bb_programs", 4, 4, 1, NULL);
                *insn++ = NAME(BPF_REG_2, BPF_PSEUDO_MAP_FD, programs);
                *insn++ = (struct bpf_insn){};
                *insn++ = MOVE(BPF_REG_3, 0);
                *insn++ = CALL(0, BPF_FUNC_tail_call);
                return insn;
        case PROGRAM_DEBUG_INFO:
                for (uint32_t i = 0; i < kind->instructions; i++)
                        *insn++ = MOVE(BPF_REG_0, i);
                return insn;
        default:
                return insn;
        }
}

/* Types for a program of @length instructions, and where the lines are. */
static int add_debug_info(struct bpf_prog_load_opts *opts, uint32_t length)
{
        static struct bpf_func_info function;
        struct bpf_line_info *lines = calloc(length, sizeof(*lines));
        struct btf *btf = btf__new_empty();
        int number, prototype;

        if (!lines || !btf)
                return -ENOMEM;
        number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
        prototype = btf__add_func_proto(btf, number);
        btf__add_func_param(btf, "context", btf__add_ptr(btf, 0));
        function.type_id = btf__add_func(btf, "function", BTF_FUNC_GLOBAL, prototype);
        for (uint32_t i = 0; i < length; i++)
                lines[i] = (struct bpf_line_info){ .insn_off = i,
                        .file_name_off = btf__add_str(btf, "file.c"),
                        .line_off = btf__add_str(btf, "line"),
                        .line_col = (i + 1) << 10 };
        if (btf__load_into_kernel(btf) < 0)
                return -errno;
        opts->prog_btf_fd = btf__fd(btf);
        opts->func_info = &function;
        opts->func_info_cnt = 1;
        opts->func_info_rec_size = sizeof(function);
        opts->line_info = lines;
        opts->line_info_cnt = length;
        opts->line_info_rec_size = sizeof(*lines);
        return 0;
}

static enum bpf_prog_type type_with(enum program_feature feature)
{
        if (feature == PROGRAM_EXCEPTIONS || feature == PROGRAM_ITERATOR)
                return BPF_PROG_TYPE_TRACING;
        if (feature == PROGRAM_STACK)
                return BPF_PROG_TYPE_RAW_TRACEPOINT;
        return BPF_PROG_TYPE_SCHED_CLS;
}

/* A process makes programs with one feature only: what they share is made with the first one. */
static int make_with_feature(const struct program_kind *kind, const char *name)
{
        static struct bpf_insn insns[4096];
        static enum program_feature made;
        static uint32_t length;
        static struct bpf_prog_load_opts opts = { .sz = sizeof(opts) };
        int r = 0;

        if (made != kind->feature) {
                struct bpf_insn *insn = add_feature(insns, kind);

                *insn++ = MOVE(BPF_REG_0, 0);
                *insn++ = EXIT;
                length = insn - insns;
                if (kind->feature == PROGRAM_EXCEPTIONS) {
                        opts.expected_attach_type = BPF_TRACE_RAW_TP;
                        r = opts.attach_btf_id = kernel_id("btf_trace_sched_switch", BTF_KIND_TYPEDEF);
                } else if (kind->feature == PROGRAM_ITERATOR) {
                        opts.expected_attach_type = BPF_TRACE_ITER;
                        r = opts.attach_btf_id = kernel_id("bpf_iter_task", BTF_KIND_FUNC);
                } else if (kind->feature == PROGRAM_DEBUG_INFO) {
                        r = add_debug_info(&opts, length);
                }
                if (r < 0)
                        return r;
                made = kind->feature;
        }
        r = bpf_prog_load(type_with(kind->feature), name, "GPL", insns, length, &opts);
        return r < 0 ? -errno : r;
}

int program_make(const struct program_kind *kind, const char *name)
{
        uint32_t total = kind->instructions * (1 + kind->subprograms) + kind->subprograms;
        struct bpf_insn *insns = calloc(total, sizeof(*insns)), *insn = insns;
        int fds[PROGRAM_MAPS_MAX], fd, r;

        if (!insns)
                return -ENOMEM;
        if (kind->feature != PROGRAM_PLAIN) {
                free(insns);
                return make_with_feature(kind, name);
        }
        r = program_maps(kind->maps, fds);
        if (r < 0)
                return r;
        /* The calls come first, each to the function that many functions further on. */
        for (uint32_t i = 0; i < kind->subprograms; i++)
                *insn++ = (struct bpf_insn){ .code = BPF_JMP | BPF_CALL,
                        .src_reg = BPF_PSEUDO_CALL,
                        .imm = kind->subprograms - i - 1 + kind->instructions * (i + 1) };
        for (uint32_t i = 0; i <= kind->subprograms; i++)
                insn = add_function(insn, kind->instructions, fds, i == 0 ? kind->maps : 0);
        fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, name, "GPL", insns, total, NULL);
        r = fd < 0 ? -errno : fd;
        free(insns);
        return r;
}
