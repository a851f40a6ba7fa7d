/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What other kernels and machines allow: daemon/kernel/probe.c itself, with the test's BTF, files, capabilities, and
 * answers of bpf(2). What this one allows: tests/kernel/test-start.c, and the tables in tests/vm/expected.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <linux/capability.h>

static int fake_prog_load(enum bpf_prog_type type, const struct bpf_insn *code, const struct bpf_prog_load_opts *opts);
static int fake_link_create(int program, enum bpf_attach_type attach, const struct bpf_link_create_opts *opts);
static int fake_test_run(struct bpf_test_run_opts *opts);
static int fake_capget(const struct __user_cap_header_struct *header, struct __user_cap_data_struct *data);
static int fake_uname(struct utsname *name);
static FILE *fake_open(const char *path);

#define bpf_prog_load(type, name, license, code, count, opts) fake_prog_load(type, code, opts)
#define bpf_link_create(program, target, attach, opts)        fake_link_create(program, attach, opts)
#define bpf_prog_test_run_opts(fd, opts)                      fake_test_run(opts)
#define syscall(number, header, data)                         fake_capget(header, data)
#define uname(name)                                           fake_uname(name)
#define fopen(path, mode)                                     fake_open(path)
#include "kernel/probe.c"
#include "kernel/security.c"
#undef fopen
#undef uname

/* --- The kernel --------------------------------------------------------------------------------------------------- */

static struct {
        struct btf *btf;
        int32_t function, structure; /* types that functions and typedefs are of */
        uint64_t capabilities;
        int refused[HOOK_KINDS]; /* errno of a load of such a program; 0: it is loaded */
        const char *log;         /* what the verifier says of what it refuses */
        unsigned int loads[HOOK_KINDS];
        int kprobe_error, link_error;
        const char *symbols, *cpus, *cgroups, *stat, *cmdline, *lsms, *lockdown,
                        *version; /* NULL: there is no such file */
        uint64_t read_address;
        int value; /* there */
        int freeze;
        int trampoline_error;
        unsigned int trampolines; /* that were tried */
} fake;

static struct capability table[CAPABILITIES];
static struct machine machine;

static int fake_prog_load(enum bpf_prog_type type, const struct bpf_insn *code, const struct bpf_prog_load_opts *opts)
{
        for (enum hook_kind kind = 0; kind < HOOK_KINDS; kind++) {
                if (kinds[kind].type != type || kinds[kind].attach != opts->expected_attach_type)
                        continue;
                /* The program that reads a number of the kernel's. */
                if (kind == HOOK_SYSCALL && code[0].code == (BPF_ALU64 | BPF_MOV | BPF_X))
                        fake.read_address = (uint32_t) code[3].imm | (uint64_t) code[4].imm << 32;
                fake.loads[kind]++;
                assert_int_equal(opts->prog_flags, kind == HOOK_SYSCALL ? BPF_F_SLEEPABLE : 0);
                assert_int_equal(opts->attach_btf_id > 0, kind != HOOK_SYSCALL);
                if (!fake.refused[kind])
                        return open("/dev/null", O_RDONLY | O_CLOEXEC);
                if (fake.log) {
                        assert_true(strlen(fake.log) < opts->log_size);
                        strcpy(opts->log_buf, fake.log);
                }
                return -fake.refused[kind];
        }
        assert_int_equal(type, BPF_PROG_TYPE_KPROBE);
        assert_int_equal(opts->expected_attach_type, BPF_TRACE_KPROBE_MULTI);
        return fake.kprobe_error ?: open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int fake_link_create(int program, enum bpf_attach_type attach, const struct bpf_link_create_opts *opts)
{
        assert_true(program >= 0);
        assert_int_equal(attach, BPF_TRACE_KPROBE_MULTI);
        assert_int_equal(opts->kprobe_multi.cnt, 1);
        assert_string_equal(opts->kprobe_multi.syms[0], "some_function");
        return fake.link_error ?: open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int fake_test_run(struct bpf_test_run_opts *opts)
{
        opts->retval = fake.value;
        return 0;
}

static int fake_capget(const struct __user_cap_header_struct *header, struct __user_cap_data_struct *data)
{
        assert_int_equal(header->version, _LINUX_CAPABILITY_VERSION_3);
        assert_int_equal(header->pid, 0);
        data[0].effective = fake.capabilities;
        data[1].effective = fake.capabilities >> 32;
        return 0;
}

static int fake_uname(struct utsname *name)
{
        strcpy(name->version, fake.version);
        return 0;
}

static FILE *fake_open(const char *path)
{
        const struct {
                const char *path, *text;
        } files[] = {
                { "/proc/kallsyms", fake.symbols },
                { "/sys/devices/system/cpu/possible", fake.cpus },
                { "/proc/cgroups", fake.cgroups },
                { "/mount/cgroup.stat", fake.stat },
                { "/proc/cmdline", fake.cmdline },
                { "/sys/kernel/security/lsm", fake.lsms },
                { "/sys/kernel/security/lockdown", fake.lockdown },
        };

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                FILE *file;

                if (strcmp(files[i].path, path) != 0)
                        continue;
                if (!files[i].text)
                        return NULL;
                file = tmpfile();
                assert_non_null(file);
                assert_true(fputs(files[i].text, file) >= 0);
                rewind(file);
                return file;
        }
        fail_msg("%s", path);
        return NULL;
}

int cgroupfs_may_freeze(const struct cgroupfs *fs)
{
        (void) fs;
        return fake.freeze;
}

int trampoline_try(int btf_id)
{
        assert_true(btf_is_func(btf__type_by_id(fake.btf, btf_id)));
        fake.trampolines++;
        return fake.trampoline_error;
}

uint32_t kmalloc_smallest(const char *directory)
{
        assert_string_equal(directory, "/sys/kernel/slab");
        return 128;
}

static void add_function(const char *name)
{
        assert_true(btf__add_func(fake.btf, name, BTF_FUNC_STATIC, fake.function) > 0);
}

static void add_tracepoint(const char *name)
{
        char full[64];

        snprintf(full, sizeof(full), "btf_trace_%s", name);
        assert_true(btf__add_typedef(fake.btf, full, fake.structure) > 0);
}

/* As the kernel has them: in an enum of its own, after one that begins alike. */
static void add_members(bool all)
{
        static const char *const names[] = { "MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS", "MM_SHMEMPAGES" };

        assert_true(btf__add_enum(fake.btf, "other", 4) > 0);
        for (int i = 0; i < 5; i++) {
                char name[32];

                snprintf(name, sizeof(name), "OTHER_%d", i);
                assert_int_equal(btf__add_enum_value(fake.btf, name, i), 0);
        }
        assert_true(btf__add_enum(fake.btf, NULL, 4) > 0);
        for (int i = 0; i < (all ? 4 : 3); i++)
                assert_int_equal(btf__add_enum_value(fake.btf, names[i], 10 + i), 0);
        if (all)
                assert_int_equal(btf__add_enum_value(fake.btf, "NR_MM_COUNTERS", 14), 0);
}

static int setup(void **state)
{
        int32_t integer;

        (void) state;
        memset(&fake, 0, sizeof(fake));
        memset(table, 0, sizeof(table));
        memset(&machine, 0x55, sizeof(machine));
        fake.btf = btf__new_empty();
        integer = btf__add_int(fake.btf, "int", 4, BTF_INT_SIGNED);
        fake.structure = btf__add_struct(fake.btf, "structure", 4);
        fake.function = btf__add_func_proto(fake.btf, integer);
        fake.capabilities = ~0ULL;
        fake.cpus = "0-3\n";
        fake.cmdline = "quiet\n";
        fake.version = "#1 SMP PREEMPT_DYNAMIC";
        add_function("bpf_iter_bpf_map");
        add_function("bpf_iter_bpf_prog");
        add_function("bpf_iter_task");
        add_members(true);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        btf__free(fake.btf);
        return 0;
}

static int run_on(const struct cgroupfs *cgroupfs)
{
        return probe(fake.btf, cgroupfs, table, &machine);
}

static const struct cgroupfs fs = { .mount_fd = 5, .mount = (char *) "/mount", .version = 2, .by_handle = true };

static int run(void)
{
        return run_on(&fs);
}

static void assert_available(size_t i)
{
        assert_true(table[i].available);
        assert_string_equal(table[i].reason, "");
}

static void assert_missing(size_t i, const char *reason)
{
        assert_false(table[i].available);
        assert_string_equal(table[i].reason, reason);
}

/* --- Hooks -------------------------------------------------------------------------------------------------------- */

/* The least: iterators, and programs that are run by system call. */
static void test_least(void **state)
{
        (void) state;
        assert_int_equal(run(), 0);
        for (size_t i = 0; i < HOOKS; i++) {
                bool there = hooks[i].kind == HOOK_SYSCALL || i == HOOK_MAPS || i == HOOK_PROGRAMS || i == HOOK_TASKS ||
                             i == HOOK_USES;

                assert_string_equal(table[i].name, hooks[i].name);
                assert_string_equal(table[i].purpose, hooks[i].purpose);
                assert_int_equal(table[i].essential, i == HOOK_MAPS);
                if (there)
                        assert_available(i);
                else
                        assert_missing(i, "this kernel does not have it");
        }
        for (size_t i = 0; i < GATE_HOOKS; i++)
                assert_missing(CAPABILITY_GATE + i, "this kernel does not have it");
        for (size_t i = CAPABILITY_BTF; i < CAPABILITIES; i++)
                assert_available(i);
        assert_true(table[CAPABILITY_BTF].essential);
        assert_int_equal(fake.loads[HOOK_TRACEPOINT], 0);
        assert_int_equal(fake.loads[HOOK_FUNCTION], 0);
}

/* A hook is what has its name and is of its kind. One trial is for all tracepoints. */
static void test_kinds(void **state)
{
        (void) state;
        add_tracepoint("rss_stat");
        add_tracepoint("sched_process_fork");
        add_function("btf_trace_sched_process_exit");
        add_tracepoint("cgroup_rmdir");
        add_function("bpf_map_area_alloc");
        add_function("bpf_map_kzalloc");
        assert_true(btf__add_typedef(fake.btf, "bpf_mem_refill", fake.structure) > 0);
        assert_int_equal(run(), 0);
        assert_available(HOOK_RSS_STAT);
        assert_available(HOOK_FORK);
        assert_available(HOOK_RMDIR);
        assert_missing(HOOK_EXIT, "this kernel does not have it");
        assert_available(HOOK_AREA_ALLOC);
        assert_available(HOOK_KZALLOC);
        assert_missing(HOOK_MEM_REFILL, "this kernel does not have it");
        assert_int_equal(fake.loads[HOOK_TRACEPOINT], 1);
        assert_int_equal(fake.loads[HOOK_FUNCTION], 2);
}

/* A kernel that loads programs for functions, but attaches none: one attempt speaks for all. */
static void test_attached(void **state)
{
        (void) state;
        add_function("bpf_map_area_alloc");
        add_function("bpf_mem_refill");
        add_function("security_bpf_map_alloc");
        add_tracepoint("rss_stat");
        assert_int_equal(run(), 0);
        assert_available(HOOK_AREA_ALLOC);
        assert_int_equal(fake.trampolines, 1);

        fake.trampoline_error = -524; /* ENOTSUPP */
        assert_int_equal(run(), 0);
        assert_int_equal(fake.trampolines, 2);
        assert_missing(HOOK_AREA_ALLOC,
                        "this kernel attaches nothing to functions (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)");
        assert_missing(HOOK_MEM_REFILL, table[HOOK_AREA_ALLOC].reason);
        assert_missing(CAPABILITY_GATE + GATE_HOOK_MAP, table[HOOK_AREA_ALLOC].reason);
        assert_missing(HOOK_KZALLOC, "this kernel does not have it");
        assert_null(machine.gate[GATE_HOOK_MAP].target);
        assert_available(HOOK_RSS_STAT);
        assert_available(HOOK_MAPS);

        assert_false(table[HOOK_AREA_ALLOC].refused);
        /* No option is missing where it is refused. */
        fake.trampoline_error = -EBUSY;
        assert_int_equal(run(), 0);
        assert_int_equal(fake.trampolines, 3);
        assert_missing(HOOK_AREA_ALLOC, "this kernel refuses trampolines (Device or resource busy)");
        assert_true(table[CAPABILITY_GATE + GATE_HOOK_MAP].refused);

        /* Where ftrace has direct calls there is no doubt, and no attempt, which takes a while. */
        add_function("register_ftrace_direct");
        assert_int_equal(run(), 0);
        assert_available(HOOK_AREA_ALLOC);
        assert_int_equal(fake.trampolines, 3);
}

static void test_refused(void **state)
{
        (void) state;
        add_tracepoint("rss_stat");
        add_tracepoint("cgroup_rmdir");
        add_function("bpf_map_area_alloc");
        add_function("security_bpf_prog_load");
        fake.refused[HOOK_TRACEPOINT] = EPERM;
        fake.refused[HOOK_FUNCTION] = EPERM;
        fake.refused[HOOK_REFUSAL] = EPERM;
        assert_int_equal(run(), 0);
        assert_missing(HOOK_RSS_STAT, "the kernel refuses the program: Operation not permitted");
        assert_missing(HOOK_RMDIR, "the kernel refuses the program: Operation not permitted");
        assert_missing(HOOK_AREA_ALLOC, "this kernel refuses trampolines (Operation not permitted)");
        assert_missing(CAPABILITY_GATE + GATE_HOOK_PROGRAM,
                        "this kernel refuses trampolines (Operation not permitted)");
        assert_null(machine.gate[GATE_HOOK_PROGRAM].target);
        assert_true(table[HOOK_AREA_ALLOC].refused);
        assert_false(table[HOOK_RSS_STAT].refused);
        fake.refused[HOOK_FUNCTION] = EINVAL;
        assert_int_equal(run(), 0);
        assert_false(table[HOOK_AREA_ALLOC].refused);
        assert_missing(HOOK_AREA_ALLOC, "the kernel refuses the program: Invalid argument");
        fake.refused[HOOK_FUNCTION] = 524; /* ENOTSUPP */
        assert_int_equal(run(), 0);
        assert_missing(HOOK_AREA_ALLOC, "the kernel refuses the program: this kernel does not support it");
        fake.refused[HOOK_FUNCTION] = EINVAL;
        /* Of all tracepoints one was tried. */
        fake.log = "func#0 @0\nattach_btf_id 7 is not a function\nprocessed 0 insns\n";
        assert_int_equal(run(), 0);
        assert_missing(HOOK_AREA_ALLOC,
                        "the kernel refuses the program: Invalid argument: attach_btf_id 7 is not a function");
        assert_missing(HOOK_RSS_STAT,
                        "the kernel refuses the program: Operation not permitted: attach_btf_id 7 is not a function");
        assert_missing(HOOK_RMDIR,
                        "the kernel refuses the program: Operation not permitted: attach_btf_id 7 is not a function");
}

/* Without the iterator over maps, or BTF, there is nothing to do. */
static void test_essential(void **state)
{
        (void) state;
        fake.refused[HOOK_ITERATOR] = EINVAL;
        assert_int_equal(run(), -EOPNOTSUPP);
        assert_missing(HOOK_MAPS, "the kernel refuses the program: Invalid argument");
        fake.refused[HOOK_ITERATOR] = 0;
        assert_int_equal(probe(NULL, &fs, table, &machine), -EOPNOTSUPP);
        assert_missing(CAPABILITY_BTF, "no kernel BTF in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
        assert_missing(HOOK_MAPS, "no kernel BTF");
        assert_missing(CAPABILITY_GATE, "no kernel BTF");
}

static void without(unsigned int cap)
{
        fake.capabilities &= ~(1ULL << cap);
}

static void test_permissions(void **state)
{
        (void) state;
        /* CAP_SYS_ADMIN stands for both. */
        without(CAP_BPF);
        without(CAP_PERFMON);
        assert_int_equal(run(), 0);
        without(CAP_SYS_ADMIN);
        assert_int_equal(run(), -EPERM);
        assert_missing(HOOK_MAPS, "no permission: CAP_BPF and CAP_PERFMON are missing");
        assert_missing(CAPABILITY_GATE, "no permission: CAP_BPF and CAP_PERFMON are missing");
        fake.capabilities |= 1ULL << CAP_BPF;
        assert_int_equal(run(), -EPERM);
        assert_missing(HOOK_MAPS, "no permission: CAP_PERFMON is missing");
        fake.capabilities |= 1ULL << CAP_PERFMON;
        assert_int_equal(run(), 0);
        without(CAP_BPF);
        assert_int_equal(run(), -EPERM);
        assert_missing(HOOK_MAPS, "no permission: CAP_BPF is missing");
        fake.capabilities |= 1ULL << CAP_BPF;
        fake.refused[HOOK_SYSCALL] = EPERM;
        assert_int_equal(run(), -EPERM);
        assert_missing(HOOK_MAPS, "no permission: bpf(2) is refused in spite of CAP_BPF");
        /* Another error is that program's. */
        fake.refused[HOOK_SYSCALL] = EINVAL;
        assert_int_equal(run(), 0);
        assert_missing(HOOK_MEASURE, "the kernel refuses the program: Invalid argument");
        assert_missing(CAPABILITY_MEMLOCK, "CAP_SYS_ADMIN is missing");
        assert_true(table[CAPABILITY_MEMLOCK].permission);
        assert_available(CAPABILITY_DELEGATED);
        assert_available(CAPABILITY_PROCESSES);
        assert_false(table[CAPABILITY_PROCESSES].permission);
        without(CAP_DAC_OVERRIDE);
        without(CAP_SYS_PTRACE);
        assert_int_equal(run(), 0);
        assert_missing(CAPABILITY_DELEGATED, "CAP_DAC_OVERRIDE is missing");
        assert_missing(CAPABILITY_PROCESSES, "CAP_SYS_PTRACE is missing");
}

/* --- The gate ----------------------------------------------------------------------------------------------------- */

static void assert_target(size_t i, enum hook_kind kind, const char *target)
{
        assert_available(CAPABILITY_GATE + i);
        assert_int_equal(machine.gate[i].kind, kind);
        assert_string_equal(machine.gate[i].target, target);
}

/* The newer name comes first; the older one has another argument. */
static void test_gate_names(void **state)
{
        (void) state;
        add_function("security_bpf_map_alloc");
        add_function("security_bpf_prog_alloc");
        add_function("security_bpf");
        assert_int_equal(run(), 0);
        assert_target(GATE_HOOK_MAP, HOOK_REFUSAL, "security_bpf_map_alloc");
        assert_target(GATE_HOOK_PROGRAM, HOOK_REFUSAL, "security_bpf_prog_alloc");
        assert_target(GATE_HOOK_UPDATE, HOOK_REFUSAL, "security_bpf");
        assert_target(GATE_HOOK_PROGRAM_DENIED, HOOK_FUNCTION, "security_bpf_prog_alloc");
        assert_true(machine.program_by_aux);
        assert_missing(CAPABILITY_GATE + GATE_HOOK_MAP_FREE, "this kernel does not have it");
        assert_null(machine.gate[GATE_HOOK_MAP_FREE].target);
        add_function("security_bpf_map_create");
        add_function("security_bpf_prog_load");
        add_tracepoint("cgroup_mkdir");
        assert_int_equal(run(), 0);
        assert_target(GATE_HOOK_MAP, HOOK_REFUSAL, "security_bpf_map_create");
        assert_target(GATE_HOOK_PROGRAM, HOOK_REFUSAL, "security_bpf_prog_load");
        assert_target(GATE_HOOK_MKDIR, HOOK_TRACEPOINT, "cgroup_mkdir");
        assert_false(machine.program_by_aux);
}

/* The LSM's hooks are called only if bpf is among those that run. */
static void test_gate_lsm(void **state)
{
        (void) state;
        add_function("bpf_lsm_bpf_map_create");
        add_function("bpf_lsm_bpf_prog_alloc_security");
        add_function("bpf_lsm_bpf");
        add_function("security_bpf");
        add_function("perf_event_bpf_event");
        fake.lsms = "lockdown,capability,bpf";
        assert_int_equal(run(), 0);
        assert_target(GATE_HOOK_MAP, HOOK_LSM, "bpf_map_create");
        assert_target(GATE_HOOK_PROGRAM, HOOK_LSM, "bpf_prog_alloc_security");
        assert_true(machine.program_by_aux);
        assert_target(GATE_HOOK_UPDATE, HOOK_LSM, "bpf");
        assert_target(GATE_HOOK_PROGRAM_LOADED, HOOK_FUNCTION, "perf_event_bpf_event");
        fake.lsms = "bpf,capability";
        assert_int_equal(run(), 0);
        assert_target(GATE_HOOK_UPDATE, HOOK_LSM, "bpf");
        fake.lsms = "lockdown,bpfx,capability\n";
        assert_int_equal(run(), 0);
        assert_target(GATE_HOOK_UPDATE, HOOK_REFUSAL, "security_bpf");
        assert_missing(CAPABILITY_GATE + GATE_HOOK_MAP, "this kernel does not have it");
        fake.lsms = "bpf";
        fake.refused[HOOK_LSM] = EPERM;
        assert_int_equal(run(), 0);
        assert_missing(CAPABILITY_GATE + GATE_HOOK_UPDATE, "this kernel refuses trampolines (Operation not permitted)");
}

/* The kernel takes empty programs where it refuses all that read its memory. */
static void test_lockdown(void **state)
{
        static const char *const others[] = { "none integrity confidentiality\n", "[none] integrity confidentiality\n",
                "none [integrity] confidentiality\n", "", "[confidentialityx]\n" };

        (void) state;
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                fake.lockdown = others[i];
                assert_int_equal(run(), 0);
                assert_true(table[HOOK_MAPS].available);
        }
        fake.lockdown = "none integrity [confidentiality]\n";
        assert_int_equal(run(), -EOPNOTSUPP);
        for (size_t i = 0; i < CAPABILITY_BTF; i++) {
                assert_false(table[i].available);
                assert_non_null(strstr(table[i].reason, "lockdown=confidentiality"));
        }
        assert_true(table[CAPABILITY_BTF].available);
        /* It is the permission that is missing first. */
        fake.capabilities = 0;
        assert_int_equal(run(), -EPERM);
        assert_null(strstr(table[HOOK_MAPS].reason, "lockdown"));
}

/* --- The machine -------------------------------------------------------------------------------------------------- */

static void test_cpus(void **state)
{
        static const struct {
                const char *text;
                uint32_t ids;
        } cases[] = { { "0\n", 1 }, { "0-3\n", 4 }, { "0-3,8-11\n", 12 }, { "0,2,5\n", 6 } };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                fake.cpus = cases[i].text;
                assert_int_equal(run(), 0);
                assert_int_equal(machine.settings.cpu_ids, cases[i].ids);
                assert_int_equal(machine.settings.possible_cpus, libbpf_num_possible_cpus());
                assert_int_equal(machine.settings.page_size, sysconf(_SC_PAGESIZE));
                assert_int_equal(machine.settings.kmalloc_min, 128);
        }
        fake.cpus = NULL;
        assert_int_equal(run(), 0);
        assert_int_equal(machine.settings.cpu_ids, machine.settings.possible_cpus);
}

static void test_memory_cgroups(void **state)
{
        const struct cgroupfs none = { .mount_fd = -1 };

        (void) state;
        fake.cgroups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t7\t1\nmemory\t3\t88\t1\n";
        fake.stat = "nr_subsys_memory 3\nnr_descendants 99\nnr_dying_descendants 5\n";
        assert_int_equal(run(), 0);
        assert_int_equal(machine.memory_cgroups, 88);
        fake.cgroups = "cpu\t1\t7\t1\n";
        assert_int_equal(run(), 0);
        assert_int_equal(machine.memory_cgroups, 99);
        fake.stat = NULL;
        assert_int_equal(run(), 0);
        assert_int_equal(machine.memory_cgroups, 0);
        assert_int_equal(run_on(&none), 0);
        assert_int_equal(machine.memory_cgroups, 0);
        assert_missing(CAPABILITY_CGROUP, "no mounted cgroup hierarchy has the memory controller");
        assert_missing(CAPABILITY_HANDLES, "no mounted cgroup hierarchy has the memory controller");
        assert_false(table[CAPABILITY_HANDLES].permission);
}

static void test_handles(void **state)
{
        const struct cgroupfs refused = { .mount_fd = 5, .mount = (char *) "/mount", .version = 2 };

        (void) state;
        assert_int_equal(run_on(&refused), 0);
        assert_available(CAPABILITY_CGROUP);
        assert_missing(CAPABILITY_HANDLES, "open_by_handle_at() is refused: CAP_DAC_READ_SEARCH is missing");
        assert_true(table[CAPABILITY_HANDLES].permission);
}

static void test_freezer(void **state)
{
        static const struct {
                int r;
                const char *reason;
        } cases[] = {
                { -ENOENT, "no mounted cgroup hierarchy has the memory controller" },
                { -EOPNOTSUPP, "the memory controller is on cgroup v1, and only v2 has cgroup.freeze" },
                { -EROFS, "the cgroup hierarchy is mounted read-only" },
                { -EACCES, "cgroup.freeze cannot be written: Permission denied" },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                fake.freeze = cases[i].r;
                assert_int_equal(run(), 0);
                assert_missing(CAPABILITY_FREEZE, cases[i].reason);
        }
}

static void test_nobpf(void **state)
{
        static const struct {
                const char *text;
                bool nobpf;
        } cases[] = {
                { "quiet cgroup.memory=nobpf ro\n", true },
                { "cgroup.memory=nokmem,nobpf\n", true },
                { "cgroup.memory=nokmem\n", false },
                { "cgroup.memory=nokmem nobpf\n", false },
                { "nobpf\n", false },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                fake.cmdline = cases[i].text;
                assert_int_equal(run(), 0);
                assert_int_equal(machine.settings.nobpf, cases[i].nobpf);
        }
        fake.cmdline = NULL;
        assert_int_equal(run(), 0);
        assert_int_equal(machine.settings.nobpf, 0);
}

/* The kernel's numbers of the members of rss_stat, in whatever order it has them. */
static void test_members(void **state)
{
        (void) state;
        assert_int_equal(run(), 0);
        assert_int_equal(machine.rss_member_index[RSS_FILE], 10);
        assert_int_equal(machine.rss_member_index[RSS_ANON], 11);
        assert_int_equal(machine.rss_member_index[RSS_SWAP], 12);
        assert_int_equal(machine.rss_member_index[RSS_SHMEM], 13);
        /* One that it does not name. */
        btf__free(fake.btf);
        fake.btf = btf__new_empty();
        fake.function = btf__add_func_proto(fake.btf, btf__add_int(fake.btf, "int", 4, BTF_INT_SIGNED));
        add_function("bpf_iter_bpf_map");
        add_function("bpf_iter_task");
        add_members(false);
        assert_int_equal(run(), 0);
        assert_missing(HOOK_TASKS, "this kernel does not name the members of rss_stat");
}

/* Looked for only where the tracepoint has to tell of releases. */
static void test_free_functions(void **state)
{
        (void) state;
        fake.symbols = "ffffffff81000000 T _stext\nffffffff81234560 t bpf_prog_free_deferred\n"
                       "ffffffff81234570 t bpf_map_free_deferred_not\nffffffff81234580 t bpf_map_free_deferred\n";
        assert_int_equal(run(), 0);
        assert_int_equal(machine.free_functions[0], 0);
        add_tracepoint("mod_memcg_state");
        assert_int_equal(run(), 0);
        assert_true(machine.free_functions[0] == 0xffffffff81234580);
        assert_true(machine.free_functions[1] == 0xffffffff81234560);
        add_function("bpf_mem_refill");
        assert_int_equal(run(), 0);
        assert_int_equal(machine.free_functions[0], 0);
        fake.symbols = NULL;
        fake.refused[HOOK_FUNCTION] = EPERM;
        assert_int_equal(run(), 0);
        assert_int_equal(machine.free_functions[0], 0);
        assert_int_equal(machine.free_functions[1], 0);
}

static void test_preemption(void **state)
{
        (void) state;
        fake.symbols = "ffffffff82345678 d preempt_dynamic_mode\n";
        for (fake.value = 0; fake.value < 4; fake.value++) {
                /* None, voluntary, full, lazy. */
                assert_int_equal(probe_preemption(), fake.value >= 2);
                assert_true(fake.read_address == 0xffffffff82345678);
        }
        fake.version = "#1 SMP";
        assert_false(probe_preemption());
        /* If it cannot be told, it is. */
        fake.version = "#1 SMP PREEMPT";
        fake.symbols = NULL;
        fake.value = 0;
        assert_true(probe_preemption());
        fake.symbols = "ffffffff82345678 d preempt_dynamic_mode\n";
        fake.refused[HOOK_SYSCALL] = EPERM;
        assert_true(probe_preemption());
}

static void test_entry(void **state)
{
        (void) state;
        assert_true(probe_entry("some_function"));
        fake.link_error = -EOPNOTSUPP;
        assert_false(probe_entry("some_function"));
        fake.kprobe_error = -EINVAL;
        assert_false(probe_entry("some_function"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_least),
                TEST(test_kinds),
                TEST(test_attached),
                TEST(test_refused),
                TEST(test_essential),
                TEST(test_permissions),
                TEST(test_gate_names),
                TEST(test_gate_lsm),
                TEST(test_lockdown),
                TEST(test_cpus),
                TEST(test_memory_cgroups),
                TEST(test_handles),
                TEST(test_freezer),
                TEST(test_nobpf),
                TEST(test_members),
                TEST(test_free_functions),
                TEST(test_preemption),
                TEST(test_entry),
        };

        return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
