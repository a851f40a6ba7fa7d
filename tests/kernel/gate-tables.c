/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's side of the gate: its pins, the tables of a predecessor, domains, settlements and events, on the running
 * kernel. Attaching programs takes trampolines: that alone is replaced, by links of programs that do nothing. What the
 * programs do is tested in gate-books.c, the whole in gate.c. Works in a mount namespace with a bpffs of its own.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* --- In place of trampolines -------------------------------------------------------------------------------------- */

/* What was attached, in this order; with the kernel's function, if the daemon named one. */
static struct attached {
        char name[32];
        char target[32];
        enum bpf_prog_type type; /* that the daemon has set, or 0 */
        bool by_lsm, by_entry;
} attached[64];
static size_t attached_count;

static bool fake_preemption = true, fake_entry = true;
static const char *unattachable, *refused; /* a program */

static struct attached *find_attached(const struct bpf_program *program)
{
        struct attached *a;

        for (size_t i = 0; i < attached_count; i++)
                if (strcmp(attached[i].name, bpf_program__name(program)) == 0)
                        return &attached[i];
        a = &attached[attached_count++];
        assert_true(attached_count < sizeof(attached) / sizeof(attached[0]));
        snprintf(a->name, sizeof(a->name), "%s", bpf_program__name(program));
        return a;
}

/* The program that the verifier is to refuse becomes one that may not sleep. */
static int fake_load_skeleton(struct bpf_object_skeleton *skeleton)
{
        if (refused)
                bpf_program__set_type(
                                bpf_object__find_program_by_name(*skeleton->obj, refused), BPF_PROG_TYPE_SOCKET_FILTER);
        return bpf_object__load_skeleton(skeleton);
}

static int fake_set_target(struct bpf_program *program, int fd, const char *target)
{
        assert_int_equal(fd, 0);
        snprintf(find_attached(program)->target, sizeof(attached[0].target), "%s", target);
        return 0;
}

static int fake_set_type(struct bpf_program *program, enum bpf_prog_type type)
{
        find_attached(program)->type = type;
        return 0;
}

static int fake_set_attach_type(struct bpf_program *program, enum bpf_attach_type type)
{
        (void) program;
        assert_int_equal(type, BPF_LSM_MAC);
        return 0;
}

/* A link of a program with the name of @program: of an iterator, as that is there and gone without waiting. */
static struct bpf_link *fake_link(const struct bpf_program *program)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        static int iterator;
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER);
        const char *name = bpf_program__name(program), *path = "/sys/fs/bpf/attached";
        struct bpf_link *made;
        int fd, link;

        find_attached(program);
        if (unattachable && strcmp(unattachable, name) == 0) {
                errno = ENOTSUP;
                return NULL;
        }
        if (iterator == 0)
                iterator = libbpf_find_vmlinux_btf_id("bpf_map", BPF_TRACE_ITER);
        assert_true(iterator > 0);
        opts.attach_btf_id = iterator;
        fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, name, "GPL", return_0, 2, &opts);
        assert_true(fd >= 0);
        link = bpf_link_create(fd, 0, BPF_TRACE_ITER, NULL);
        assert_true(link >= 0);
        assert_int_equal(bpf_obj_pin(link, path), 0);
        made = bpf_link__open(path);
        assert_non_null(made);
        unlink(path);
        close(link);
        close(fd);
        return made;
}

static struct bpf_link *fake_attach_lsm(const struct bpf_program *program)
{
        find_attached(program)->by_lsm = true;
        return fake_link(program);
}

static struct bpf_link *fake_attach_entry(
                const struct bpf_program *program, const char *pattern, const struct bpf_kprobe_multi_opts *opts)
{
        struct attached *a = find_attached(program);

        assert_null(pattern);
        assert_int_equal(opts->cnt, 1);
        a->by_entry = true;
        snprintf(a->target, sizeof(a->target), "%s", opts->syms[0]);
        return fake_link(program);
}

static struct bpf_link *fake_attach(const struct bpf_program *program)
{
        return bpf_program__type(program) == BPF_PROG_TYPE_TRACING ? bpf_program__attach(program) : fake_link(program);
}

/* How often the kernel left a program out. */
static struct {
        const char *name;
        uint64_t count;
} missed_hooks[8];

static uint64_t fake_missed(const struct bpf_program *program)
{
        for (size_t i = 0; i < sizeof(missed_hooks) / sizeof(missed_hooks[0]); i++)
                if (missed_hooks[i].name && strcmp(missed_hooks[i].name, bpf_program__name(program)) == 0)
                        return missed_hooks[i].count;
        return 0;
}

static bool fake_probe_entry(const char *function)
{
        assert_string_equal(function, "security_bpf_map_create");
        return fake_entry;
}

static bool fake_probe_preemption(void)
{
        return fake_preemption;
}

/* The kernel's, read once: it is 5 MB. */
static struct btf *load_btf_again(void)
{
        static struct btf *kernel;
        const void *data;
        uint32_t size;

        if (!kernel)
                kernel = btf__load_vmlinux_btf();
        assert_non_null(kernel);
        data = btf__raw_data(kernel, &size);
        return btf__new(data, size);
}

#include "kernel/probe.h"
#include "kernel/skeleton.h"

#define bpf_object__load_skeleton             fake_load_skeleton
#define bpf_program__set_attach_target        fake_set_target
#define bpf_program__set_type                 fake_set_type
#define bpf_program__set_expected_attach_type fake_set_attach_type
#define bpf_program__attach_lsm               fake_attach_lsm
#define bpf_program__attach_kprobe_multi_opts fake_attach_entry
#define bpf_program__attach                   fake_attach
#define btf__load_vmlinux_btf                 load_btf_again
#define skeleton_missed                       fake_missed
#define probe_entry                           fake_probe_entry
#define probe_preemption                      fake_probe_preemption

#include "enforce/gate.c"
#include "enforce/gatepins.c"
#include "enforce/leftovers.c"
#include "enforce/pathhash.c"

static bool with_settlements;

/* The programs of hooks are never run here; nor, in most tests, that of settlements, which takes the verifier long. */
static int prepare_program(struct bpf_program *program, long is_of_hook)
{
        bool is_needed = !is_of_hook && (with_settlements || strcmp(bpf_program__name(program), "settle_objects") != 0);

        bpf_program__set_autoload(program, is_needed);
        bpf_program__set_flags(program, BPF_F_SLEEPABLE);
        return 0;
}

static void register_sections(void)
{
        static const char *const sections[] = { "syscall", "fmod_ret+", "fentry+", "fexit+", "kprobe.multi+" };

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
                LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_setup_fn = prepare_program, .cookie = i > 0);

                assert_true(libbpf_register_prog_handler(sections[i], BPF_PROG_TYPE_SYSCALL, 0, &opts) > 0);
        }
}

/* --- Scene -------------------------------------------------------------------------------------------------------- */

#define DOMAINS 8
#define OBJECTS 512

static struct machine fake_machine;
static struct gate_options fake_options;

/* What was logged since the last take_log(). Not linked: daemon/base/log.c. */
static char logged[65536];

void log_message(int priority, const char *format, ...)
{
        size_t length = strlen(logged);
        int saved = errno;
        va_list arguments;

        va_start(arguments, format);
        /* That a predecessor is taken over is news, all else is a warning or worse. */
        if (priority <= LOG_INFO)
                vsnprintf(logged + length, sizeof(logged) - length, format, arguments);
        va_end(arguments);
        errno = saved;
}

int log_max_level(void)
{
        return LOG_INFO;
}

static const struct gate_target targets[GATE_HOOKS] = {
        [GATE_HOOK_MAP] = { HOOK_REFUSAL, "security_bpf_map_create" },
        [GATE_HOOK_PROGRAM] = { HOOK_REFUSAL, "security_bpf_prog_load" },
        [GATE_HOOK_UPDATE] = { HOOK_REFUSAL, "security_bpf" },
        [GATE_HOOK_MAP_FREE] = { HOOK_FUNCTION, "security_bpf_map_free" },
        [GATE_HOOK_PROGRAM_FREE] = { HOOK_FUNCTION, "security_bpf_prog_free" },
        [GATE_HOOK_MKDIR] = { HOOK_TRACEPOINT, "cgroup_mkdir" },
        [GATE_HOOK_RMDIR] = { HOOK_TRACEPOINT, "cgroup_rmdir" },
};

static int setup(void **state)
{
        (void) state;
        memset(&fake_machine, 0, sizeof(fake_machine));
        fake_machine.settings.page_size = sysconf(_SC_PAGESIZE);
        fake_machine.settings.kmalloc_min = 8;
        fake_machine.settings.possible_cpus = fake_machine.settings.cpu_ids = libbpf_num_possible_cpus();
        fake_options = (struct gate_options){ .machine = &fake_machine,
                .domains_max = DOMAINS,
                .objects_max = OBJECTS,
                .automaton_max = 1024,
                .budgets_max = 4 };
        memset(attached, 0, sizeof(attached));
        attached_count = 0;
        memset(missed_hooks, 0, sizeof(missed_hooks));
        fake_preemption = fake_entry = true;
        with_settlements = false;
        unattachable = refused = NULL;
        *logged = '\0';
        return 0;
}

static int teardown(void **state)
{
        gate_release();
        return harness_teardown(state);
}

static const char *take_log(void)
{
        static char text[sizeof(logged)];

        strcpy(text, logged);
        *logged = '\0';
        return text;
}

static void check_logged(const char *wanted)
{
        const char *text = take_log();

        if (!strstr(text, wanted))
                fail_msg("\"%s\" is not in the log: %s", wanted, text);
}

static struct gate *open_gate(void)
{
        struct gate *gate = NULL;
        int r = gate_open(&fake_options, &gate);

        if (r < 0)
                fail_msg("gate_open(): %s: %s", strerror(-r), take_log());
        return gate;
}

static struct gate *start_gate(void)
{
        struct gate *gate = open_gate();

        assert_int_equal(gate_start(gate), 0);
        return gate;
}

/* Hooks have something to attach to, but for the one that is a tracepoint and so could be had. */
static void have_hooks(void)
{
        memcpy(fake_machine.gate, targets, sizeof(targets));
        fake_machine.gate[GATE_HOOK_MKDIR].target = NULL;
        fake_machine.gate[GATE_HOOK_RMDIR].target = NULL;
}

static bool is_pinned(const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", GATE_DIRECTORY, name);
        return access(path, F_OK) == 0;
}

static size_t count_pins(void)
{
        DIR *directory = opendir(GATE_DIRECTORY);
        struct dirent *entry;
        size_t n = 0;

        while (directory && (entry = readdir(directory)))
                n += entry->d_name[0] != '.';
        if (directory)
                closedir(directory);
        return n;
}

static struct gate_settings read_settings(int fd)
{
        struct gate_settings settings;
        uint32_t key = 0;

        assert_int_equal(bpf_map_lookup_elem(fd, &key, &settings), 0);
        return settings;
}

static struct gate_settings pinned_settings(void)
{
        _cleanup_close_ int fd = bpf_obj_get(GATE_DIRECTORY "/gate_settings");

        assert_true(fd >= 0);
        return read_settings(fd);
}

static const uint64_t some_max[GATE_RESOURCES] = { 10, 20, 30, 40, 50, 60 };

/* --- Start -------------------------------------------------------------------------------------------------------- */

/* Nothing is pinned and nothing refused before the start; after it the tables are there, and the settings say all. */
static void test_start(void **state)
{
        struct gate_settings settings;
        struct gate *gate;
        struct stat st;

        (void) state;
        gate = open_gate();
        assert_int_equal(access(GATE_DIRECTORY, F_OK), -1);
        settings = read_settings(bpf_map__fd(gate->skeleton->maps.gate_settings));
        assert_int_equal(settings.layout, GATE_LAYOUT);
        assert_int_equal(settings.enforcing, 0);
        assert_int_equal(settings.instance, 0);
        assert_int_equal(gate_start(gate), 0);
        assert_int_equal(count_pins(), 5);
        assert_true(is_pinned("gate_domains") && is_pinned("gate_objects") && is_pinned("gate_settings") &&
                        is_pinned("gate_events"));
        assert_int_equal(stat(GATE_DIRECTORY, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        settings = pinned_settings();
        assert_int_equal(settings.layout, GATE_LAYOUT);
        assert_int_equal(settings.enforcing, 1);
        assert_int_equal(settings.own_cgroup, 0);
        assert_int_equal(settings.daemon_tgid, getpid());
        assert_true(settings.map_fops != 0);
        assert_true(settings.instance != 0);
        assert_int_equal(settings.instance, gate->skeleton->rodata->instance);
        gate_close(gate);
        /* It goes on. */
        assert_int_equal(count_pins(), 5);
        assert_string_equal(take_log(), "");
}

/* A cgroup tells as much as a number that another process may have later. */
static void test_own_cgroup(void **state)
{
        struct gate *gate;

        (void) state;
        fake_options.own_cgroup = 4711;
        gate = start_gate();
        assert_int_equal(pinned_settings().own_cgroup, 4711);
        assert_int_equal(pinned_settings().daemon_tgid, 0);
        gate_close(gate);
}

/* The name of the program that the pin's link is of. */
static void check_link(const char *name)
{
        struct bpf_link_info link = {};
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(link);
        _cleanup_close_ int fd = -1, program = -1;
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", GATE_DIRECTORY, name);
        fd = bpf_obj_get(path);
        if (fd < 0)
                fail_msg("%s is not pinned", name);
        assert_int_equal(bpf_obj_get_info_by_fd(fd, &link, &size), 0);
        program = bpf_prog_get_fd_by_id(link.prog_id);
        assert_true(program >= 0);
        size = sizeof(info);
        assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
        assert_int_equal(strncmp(info.name, name, sizeof(info.name) - 1), 0);
}

static void check_attached(const char *name, const char *target, bool by_lsm, bool by_entry)
{
        for (size_t i = 0; i < attached_count; i++)
                if (strcmp(attached[i].name, name) == 0) {
                        assert_string_equal(attached[i].target, target);
                        assert_int_equal(attached[i].by_lsm, by_lsm);
                        assert_int_equal(attached[i].by_entry, by_entry);
                        assert_int_equal(attached[i].type, by_lsm ? BPF_PROG_TYPE_LSM : 0);
                        check_link(name);
                        return;
                }
        fail_msg("%s was not attached", name);
}

/* Where the kernel is preemptible, probes decide and others refuse besides; all are pinned but the one of new cgroups.
 */
static void test_hooks(void **state)
{
        struct gate *gate;

        (void) state;
        have_hooks();
        fake_machine.gate[GATE_HOOK_MKDIR] = targets[GATE_HOOK_MKDIR];
        fake_machine.gate[GATE_HOOK_RMDIR] = targets[GATE_HOOK_RMDIR];
        gate = start_gate();
        check_attached("gate_map", "security_bpf_map_create", false, false);
        check_attached("gate_program", "security_bpf_prog_load", false, false);
        check_attached("gate_update", "security_bpf", false, false);
        check_attached("gate_map_free", "security_bpf_map_free", false, false);
        check_attached("gate_program_free", "security_bpf_prog_free", false, false);
        check_attached("gate_map_entered", "security_bpf_map_create", false, true);
        check_attached("gate_program_entered", "security_bpf_prog_load", false, true);
        check_attached("gate_update_entered", "security_bpf", false, true);
        check_attached("gate_map_freed", "security_bpf_map_free", false, true);
        check_attached("gate_program_freed", "security_bpf_prog_free", false, true);
        check_attached("gate_map_again1", "security_bpf_map_create", false, false);
        check_attached("gate_map_again2", "security_bpf_map_create", false, false);
        check_attached("gate_map_again3", "security_bpf_map_create", false, false);
        check_attached("gate_map_again4", "security_bpf_map_create", false, false);
        check_attached("gate_program_again", "security_bpf_prog_load", false, false);
        check_attached("gate_update_again1", "security_bpf", false, false);
        check_attached("gate_update_again2", "security_bpf", false, false);
        check_attached("gate_map_given", "security_bpf_map", false, false);
        check_attached("gate_program_given", "security_bpf_prog", false, false);
        assert_true(gate->skeleton->rodata->probed);
        assert_false(gate->skeleton->rodata->program_by_aux);
        assert_int_equal(attached_count, 19);
        assert_int_equal(count_pins(), 5 + 21);
        gate_close(gate);
        assert_string_equal(take_log(), "");
}

/* Other kernels are spared those: without preemption, without probes of entries, and where bpf is an LSM. */
static void test_no_fallbacks(void **state)
{
        (void) state;
        for (int i = 0; i < 3; i++) {
                struct gate *gate;

                setup(NULL);
                have_hooks();
                fake_preemption = i != 0;
                fake_entry = i != 1;
                if (i == 2) {
                        fake_machine.gate[GATE_HOOK_MAP] = (struct gate_target){ HOOK_LSM, "bpf_map_create" };
                        fake_machine.program_by_aux = true;
                }
                gate = start_gate();
                assert_false(gate->skeleton->rodata->probed);
                assert_int_equal(gate->skeleton->rodata->program_by_aux, i == 2);
                assert_int_equal(attached_count, 5);
                assert_int_equal(count_pins(), 5 + 5);
                check_attached("gate_map", i == 2 ? "bpf_map_create" : "security_bpf_map_create", i == 2, false);
                check_attached("gate_update", "security_bpf", false, false);
                gate_close(gate);
                /* So had those of a predecessor that had them. */
                assert_true(gate_release() > 0);
        }
}

/* A hook that cannot be attached to ends it; a fallback program that cannot makes the gate less exact. */
static void test_unattachable(void **state)
{
        struct gate *gate;

        (void) state;
        have_hooks();
        unattachable = "gate_update";
        assert_int_equal(gate_open(&fake_options, &gate), -ENOTSUP);
        check_logged("gate_update cannot be attached to security_bpf: ");
        unattachable = "gate_map_again2";
        gate = start_gate();
        check_logged("gate_map_again2 cannot be attached to security_bpf_map_create: ");
        assert_false(is_pinned("gate_map_again2"));
        assert_int_equal(count_pins(), 5 + 18);
        gate_close(gate);
}

/* A program that the verifier refuses ends it, and the log says which, and why. */
static void test_refused(void **state)
{
        struct gate *gate;

        (void) state;
        have_hooks();
        refused = "introduce_gate";
        assert_true(gate_open(&fake_options, &gate) < 0);
        /* kernel/bpf/verifier.c, check_attach_btf_id() */
        check_logged("The kernel refuses the gate's program introduce_gate: Only ");
}

/* Missed calls are those that the probe and the hook's own program missed both. */
static void test_missed(void **state)
{
        struct gate *gate;

        (void) state;
        have_hooks();
        gate = start_gate();
        missed_hooks[0].name = "gate_map", missed_hooks[0].count = 100;
        missed_hooks[1].name = "gate_map_entered", missed_hooks[1].count = 7;
        missed_hooks[2].name = "gate_program", missed_hooks[2].count = 2000;
        missed_hooks[3].name = "gate_program_entered", missed_hooks[3].count = 3000;
        missed_hooks[4].name = "gate_update", missed_hooks[4].count = 10000;
        missed_hooks[5].name = "gate_map_again1", missed_hooks[5].count = 1;
        missed_hooks[6].name = "gate_map_freed", missed_hooks[6].count = 1;
        assert_int_equal(gate_missed(gate), 7 + 2000);
        missed_hooks[7].name = "gate_update_entered", missed_hooks[7].count = 30000;
        assert_int_equal(gate_missed(gate), 7 + 2000 + 10000);
        gate->skeleton->bss->unread = 500000;
        assert_int_equal(gate_missed(gate), 7 + 2000 + 10000 + 500000);
        gate_close(gate);
        gate_release();
        fake_preemption = false;
        gate = start_gate();
        assert_int_equal(gate_missed(gate), 100 + 2000 + 10000);
        assert_int_equal(gate_unbooked(gate), 0);
        gate->settings->unbooked = 9;
        assert_int_equal(gate_unbooked(gate), 9);
        gate_close(gate);
}

/* --- Predecessors ------------------------------------------------------------------------------------------------- */

/* A successor has the tables with all they hold, and its programs in place of the old ones. */
static void test_take_over(void **state)
{
        struct gate *gate;
        struct gate_domain domain;
        uint64_t instance;

        (void) state;
        have_hooks();
        gate = start_gate();
        instance = pinned_settings().instance;
        assert_int_equal(gate_set_domain(gate, 5, 0, NULL, some_max, 3), 0);
        gate_close(gate);
        fake_preemption = false;
        gate = open_gate();
        check_logged("The gate of a predecessor is taken over from " GATE_DIRECTORY);
        assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
        assert_int_equal(domain.denied, 3);
        /* There is no moment without a gate. */
        assert_int_equal(pinned_settings().enforcing, 1);
        assert_int_equal(pinned_settings().instance, instance);
        assert_int_equal(count_pins(), 5 + 19);
        assert_int_equal(gate_start(gate), 0);
        assert_int_equal(pinned_settings().enforcing, 1);
        assert_int_not_equal(pinned_settings().instance, instance);
        assert_int_equal(pinned_settings().instance, gate->skeleton->rodata->instance);
        assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
        check_link("gate_map");
        gate_close(gate);
}

/* Pins of a predecessor that this one has no use for go. */
static void test_others_pins(void **state)
{
        _cleanup_close_ int fd = -EBADF;
        struct gate *gate;

        (void) state;
        have_hooks();
        gate_close(start_gate());
        fd = bpf_obj_get(GATE_DIRECTORY "/gate_events");
        assert_int_equal(bpf_obj_pin(fd, GATE_DIRECTORY "/gate_events_new"), 0); /* half a start */
        assert_int_equal(bpf_obj_pin(fd, GATE_DIRECTORY "/gate_of_tomorrow"), 0);
        gate = open_gate();
        assert_true(is_pinned("gate_of_tomorrow"));
        assert_int_equal(gate_start(gate), 0);
        assert_false(is_pinned("gate_of_tomorrow"));
        assert_false(is_pinned("gate_events_new"));
        assert_int_equal(count_pins(), 5 + 19);
        gate_close(gate);
}

/* A predecessor with the domain 5. */
static void leave_gate(void)
{
        struct gate *gate = start_gate();

        assert_int_equal(gate_set_domain(gate, 5, 0, NULL, some_max, 0), 0);
        gate_close(gate);
}

/* Whether a gate that is started now finds the domain of a predecessor; it leaves one itself. */
static bool is_taken_over(void)
{
        struct gate *gate = open_gate();
        struct gate_domain domain;
        bool found = gate_read_domain(gate, 5, &domain) == 0;

        assert_int_equal(gate->started, found);
        assert_int_equal(gate_start(gate), 0);
        assert_int_equal(count_pins(), 5);
        assert_int_equal(gate_set_domain(gate, 5, 0, NULL, some_max, 0), 0);
        gate_close(gate);
        return found;
}

static void repin(enum bpf_map_type type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t entries)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int fd = bpf_map_create(type, "other", key_size, value_size, entries, &opts);
        char path[128];

        assert_true(fd >= 0);
        snprintf(path, sizeof(path), "%s/%s", GATE_DIRECTORY, name);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(bpf_obj_pin(fd, path), 0);
        close(fd);
}

/* What others can have made or changed is not used, nor what is of another layout or too small; it is replaced. */
static void test_unusable(void **state)
{
        (void) state;
        leave_gate();
        for (int i = 0; i < 11; i++) {
                const char *why = "(another layout, or not root's)";
                struct gate_settings settings;
                char wanted[128];
                uint32_t key = 0;
                int fd;

                setup(NULL);
                fd = bpf_obj_get(GATE_DIRECTORY "/gate_settings");
                settings = read_settings(fd);
                switch (i) {
                case 0:
                        settings.layout = GATE_LAYOUT - 1;
                        bpf_map_update_elem(fd, &key, &settings, 0);
                        break;
                case 1:
                        assert_int_equal(chown(GATE_DIRECTORY "/gate_domains", 65534, 0), 0);
                        break;
                case 2:
                        assert_int_equal(chmod(GATE_DIRECTORY "/gate_events", 0602), 0);
                        break;
                case 3:
                        assert_int_equal(chmod(GATE_DIRECTORY, 0720), 0);
                        break;
                case 4:
                        assert_int_equal(unlink(GATE_DIRECTORY "/gate_events"), 0);
                        why = "(No such file or directory)";
                        break;
                case 5:
                        fake_options.domains_max = DOMAINS + 1;
                        why = "(too small)";
                        break;
                case 6:
                        fake_options.objects_max = OBJECTS + 1;
                        why = "(too small)";
                        break;
                case 7:
                        repin(BPF_MAP_TYPE_HASH, "gate_domains", 8, sizeof(struct gate_domain) + 8, DOMAINS);
                        break;
                case 8:
                        repin(BPF_MAP_TYPE_HASH, "gate_objects", 4, sizeof(struct gate_object), OBJECTS);
                        break;
                case 9:
                        repin(BPF_MAP_TYPE_PERCPU_HASH, "gate_objects", 8, sizeof(struct gate_object), OBJECTS);
                        break;
                case 10:
                        assert_int_equal(chown(GATE_DIRECTORY, 65534, 0), 0);
                        break;
                }
                assert_false(is_taken_over());
                snprintf(wanted, sizeof(wanted), "%s holds tables that this version cannot take over %s",
                                GATE_DIRECTORY, why);
                check_logged(wanted);
                /* The old programs refuse nothing on their way out. */
                assert_int_equal(read_settings(fd).enforcing, 0);
                close(fd);
                /* What took their place can be used. */
                assert_int_equal(pinned_settings().enforcing, 1);
        }
}

/* Larger tables than are wanted are taken over, and those of somebody who wants to begin anew are not. */
static void test_usable(void **state)
{
        struct gate_domain domain;
        struct gate *gate;
        int old;

        (void) state;
        leave_gate();
        fake_options.domains_max = DOMAINS - 1;
        fake_options.objects_max = OBJECTS - 1;
        assert_true(is_taken_over());
        take_log();
        old = bpf_obj_get(GATE_DIRECTORY "/gate_settings");
        fake_options.fresh = true;
        gate = open_gate();
        assert_string_equal(take_log(), "");
        assert_int_equal(gate_read_domain(gate, 5, &domain), -ENOENT);
        assert_int_equal(read_settings(old).enforcing, 1);
        assert_int_equal(gate_start(gate), 0);
        assert_int_equal(read_settings(old).enforcing, 0);
        assert_int_equal(pinned_settings().enforcing, 1);
        close(old);
        gate_close(gate);
}

/* The settings of another version are enough to have it refuse nothing, unless they are not root's or no settings. */
static void test_stop_enforcing(void **state)
{
        static const struct {
                uint32_t type, value_size;
                bool roots, stopped;
        } cases[] = {
                { BPF_MAP_TYPE_ARRAY, 8, true, true },
                { BPF_MAP_TYPE_ARRAY, 200, true, true },
                { BPF_MAP_TYPE_ARRAY, 8, false, false },
                { BPF_MAP_TYPE_ARRAY, 4, true, false },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int fd = bpf_map_create(cases[i].type, "settings", 4, cases[i].value_size, 1, NULL);
                uint32_t value[50] = { 1, 1, 1 }, key = 0;

                assert_true(fd >= 0);
                assert_int_equal(bpf_map_update_elem(fd, &key, value, 0), 0);
                assert_int_equal(mkdir(GATE_DIRECTORY, 0700), 0);
                assert_int_equal(bpf_obj_pin(fd, GATE_DIRECTORY "/gate_settings"), 0);
                if (!cases[i].roots)
                        assert_int_equal(chown(GATE_DIRECTORY "/gate_settings", 65534, 0), 0);
                assert_int_equal(gate_release(), 1);
                assert_int_equal(bpf_map_lookup_elem(fd, &key, value), 0);
                assert_int_equal(value[0], 1);
                if (cases[i].value_size >= 8)
                        assert_int_equal(value[1], !cases[i].stopped);
                if (cases[i].value_size > 8)
                        assert_int_equal(value[2], 1);
                close(fd);
        }
}

/* --- Release ------------------------------------------------------------------------------------------------------ */

/* The pins go, and what they were of refuses nothing from then on. */
static void test_release(void **state)
{
        struct gate *gate;
        int fd;

        (void) state;
        assert_int_equal(gate_release(), 0);
        have_hooks();
        gate = start_gate();
        fd = bpf_obj_get(GATE_DIRECTORY "/gate_settings");
        gate_close(gate);
        assert_int_equal(read_settings(fd).enforcing, 1);
        assert_int_equal(gate_release(), 5 + 19);
        assert_int_equal(read_settings(fd).enforcing, 0);
        assert_int_equal(access(GATE_DIRECTORY, F_OK), -1);
        close(fd);
        /* A directory in it was not ours. */
        assert_int_equal(mkdir(GATE_DIRECTORY, 0700), 0);
        assert_int_equal(mkdir(GATE_DIRECTORY "/other", 0700), 0);
        assert_true(gate_release() < 0);
        check_logged(GATE_DIRECTORY "/other cannot be removed: ");
        assert_int_equal(rmdir(GATE_DIRECTORY "/other"), 0);
        assert_int_equal(gate_release(), 0);
}

/* Asks in another process: 0: it would have the gate. */
static int ask_other_process(int (*function)(void))
{
        int status, pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                /* As one that was started by itself: the lock is that of the file that was opened. */
                lock_fd = -1;
                _exit(-function());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return -WEXITSTATUS(status);
}

static int try_open(void)
{
        struct gate *gate;

        return gate_open(&fake_options, &gate);
}

/* One process at a time has the gate, until it releases it or ends, also after gate_close(). Nobody else can keep it.
 */
static void test_one_process(void **state)
{
        int bpffs = open(BPFFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct gate *gate;
        struct stat st;

        (void) state;
        /* Anybody may open, and so lock, what is mounted for all. */
        assert_int_equal(flock(bpffs, LOCK_EX | LOCK_NB), 0);
        gate = start_gate();
        close(bpffs);
        assert_int_equal(stat(GATE_LOCK_FILE, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_uid, 0);
        assert_int_equal(gate_pins_holder(), getpid());
        assert_int_equal(ask_other_process(try_open), -EBUSY);
        assert_int_equal(ask_other_process(gate_release), -EBUSY);
        assert_int_equal(count_pins(), 5);
        assert_int_equal(pinned_settings().enforcing, 1);
        gate_close(gate);
        assert_int_equal(ask_other_process(gate_release), -EBUSY);
        /* It can have it again by itself. */
        gate_close(open_gate());
        assert_int_equal(gate_release(), 5);
        assert_int_equal(ask_other_process(try_open), 0);
        gate_close(start_gate());
        assert_int_equal(gate_release(), 5);
}

/* Without bpffs there is nothing to pin to, nor to lock. */
static void test_no_bpffs(void **state)
{
        struct gate *gate;

        (void) state;
        gate_release();
        assert_int_equal(mount("none", BPFFS, "tmpfs", 0, NULL), 0);
        gate = open_gate();
        assert_int_equal(gate_start(gate), -ENODEV);
        assert_int_equal(gate->settings->enforcing, 1);
        assert_int_equal(gate->settings->instance, gate->skeleton->rodata->instance);
        assert_int_equal(access(GATE_DIRECTORY, F_OK), -1);
        gate_close(gate);
        assert_int_equal(gate_release(), 0);
        assert_int_equal(umount(BPFFS), 0);
        check_logged("No bpffs is mounted at " BPFFS);
}

/* What cannot be pinned is told, and it enforces all the same. */
static void test_not_pinned(void **state)
{
        struct gate *gate;

        (void) state;
        gate = open_gate();
        assert_int_equal(mkdir(GATE_DIRECTORY, 0700), 0);
        assert_int_equal(mkdir(GATE_DIRECTORY "/gate_objects_new", 0700), 0);
        assert_int_equal(gate_start(gate), -EEXIST);
        check_logged("The gate cannot be pinned below " GATE_DIRECTORY);
        assert_int_equal(gate->settings->enforcing, 1);
        gate_close(gate);
        assert_int_equal(rmdir(GATE_DIRECTORY "/gate_objects_new"), 0);
        gate_release();
        gate = open_gate();
        assert_int_equal(mkdir(GATE_DIRECTORY, 0700), 0);
        assert_int_equal(mkdir(GATE_DIRECTORY "/gate_objects", 0700), 0);
        assert_int_equal(gate_start(gate), -EISDIR);
        check_logged("What is pinned below " GATE_DIRECTORY " cannot be replaced: ");
        assert_int_equal(gate->settings->enforcing, 1);
        gate_close(gate);
        assert_int_equal(rmdir(GATE_DIRECTORY "/gate_objects"), 0);
}

/* --- Domains and objects ------------------------------------------------------------------------------------------ */

static void test_domains(void **state)
{
        static const uint64_t other_max[GATE_RESOURCES] = { 1, 2, 3, 4, 5, 6 };
        struct gate_domain domain;
        uint64_t id = 0, seen = 0;
        struct gate *gate;
        int fd;

        (void) state;
        gate = open_gate();
        fd = bpf_map__fd(gate->skeleton->maps.gate_domains);
        assert_int_equal(gate_next_domain(gate, &id), -ENOENT);
        assert_int_equal(gate_read_domain(gate, 5, &domain), -ENOENT);
        assert_int_equal(gate_set_domain(gate, 1, 0, NULL, some_max, 0), 0);
        assert_int_equal(gate_set_domain(gate, 5, 1, NULL, some_max, 7), 0);
        assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
        assert_int_equal(domain.parent, 1);
        assert_int_equal(domain.denied, 7);
        assert_memory_equal(domain.max, some_max, sizeof(some_max));
        for (int i = 0; i < GATE_RESOURCES; i++)
                assert_int_equal(domain.usage[i], 0);
        assert_int_equal(gate_set_domain(gate, 5, 2, NULL, other_max, 0), -EEXIST);
        assert_int_equal(gate_set_domain(gate, 5, 1, NULL, other_max, 0), 0);
        assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
        assert_int_equal(domain.denied, 7);
        assert_memory_equal(domain.max, other_max, sizeof(other_max));
        for (int i = 0; gate_next_domain(gate, &id) == 0; i++) {
                assert_true(i < 2);
                seen |= 1 << id;
        }
        assert_int_equal(seen, 1 << 1 | 1 << 5);

        /* One that is used has its limits off first, whatever it is that is used. */
        for (int i = 0; i < GATE_RESOURCES; i++) {
                memset(domain.usage, 0, sizeof(domain.usage));
                memcpy(domain.max, some_max, sizeof(some_max));
                domain.usage[i] = 1;
                id = 5;
                assert_int_equal(bpf_map_update_elem(fd, &id, &domain, 0), 0);
                assert_int_equal(gate_remove_domain(gate, 5, i % 2), -EBUSY);
                assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
                assert_int_equal(domain.retired, i % 2);
                for (int k = 0; k < GATE_RESOURCES; k++)
                        assert_true(domain.max[k] == GATE_UNLIMITED);
                assert_int_equal(domain.parent, 1);
                assert_int_equal(domain.denied, 7);
                assert_int_equal(domain.usage[i], 1);
        }
        /* Its budget comes back. */
        assert_int_equal(gate_set_domain(gate, 5, 1, NULL, other_max, 0), 0);
        assert_int_equal(gate_read_domain(gate, 5, &domain), 0);
        assert_int_equal(domain.retired, 0);
        assert_memory_equal(domain.max, other_max, sizeof(other_max));
        memset(domain.usage, 0, sizeof(domain.usage));
        assert_int_equal(bpf_map_update_elem(fd, &id, &domain, 0), 0);
        assert_int_equal(gate_remove_domain(gate, 5, true), 0);
        assert_int_equal(gate_read_domain(gate, 5, &domain), -ENOENT);
        assert_int_equal(gate_remove_domain(gate, 5, true), 0);
        assert_int_equal(gate_read_domain(gate, 1, &domain), 0);
        for (id = 10; id < 10 + DOMAINS - 1; id++)
                assert_int_equal(gate_set_domain(gate, id, 0, NULL, some_max, 0), 0);
        assert_int_equal(gate_set_domain(gate, id, 0, NULL, some_max, 0), -E2BIG);
        gate_close(gate);
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), 0);
}

/* What removed cgroups left behind is in a fresh gate too, below the next level that there still is. */
static void test_leftovers(void **state)
{
        struct gate_domain one = { .path = { { 1, 2 } }, .gone = 1, .parent = 7, .usage = { 5 }, .max = { 1 } };
        struct gate_domain two = { .path = { { 3, 4 } }, .gone = 1, .parent = 5, .usage = { 6 } }, domain;
        struct gate_object object = { .domain = 6 };
        struct gate *old = start_gate(), *new;
        uint64_t id, key = 4711;

        (void) state;
        assert_int_equal(gate_set_domain(old, 1, 0, NULL, some_max, 0), 0);
        assert_int_equal(gate_set_domain(old, 7, 1, NULL, some_max, 0), 0);
        put(old->skeleton->maps.gate_domains, (id = 5, &id), &one);
        put(old->skeleton->maps.gate_domains, (id = 6, &id), &two);
        put(old->skeleton->maps.gate_left, &one.path, (id = 5, &id));
        put(old->skeleton->maps.gate_objects, &key, &object);
        fake_options.fresh = true;
        fake_options.previous = old;
        new = open_gate();
        assert_memory_equal(new->settings->path_seed, old->settings->path_seed, sizeof(old->settings->path_seed));
        /* The level 7 is not in the new configuration. */
        assert_int_equal(gate_set_domain(new, 1, 0, NULL, some_max, 0), 0);
        assert_int_equal(leftovers_carry(old, new), 0);
        assert_int_equal(gate_read_domain(new, 5, &domain), 0);
        assert_int_equal(domain.parent, 1);
        assert_int_equal(domain.gone, 1);
        assert_int_equal(domain.usage[0], 0);
        assert_int_equal(domain.max[0], GATE_UNLIMITED);
        assert_true(gate_is_left(new, 5, &one.path));
        assert_int_equal(gate_read_domain(new, 6, &domain), 0);
        assert_int_equal(domain.parent, 5);
        assert_false(gate_is_left(new, 6, &two.path));
        assert_int_equal(gate_read_domain(new, 7, &domain), -ENOENT);
        assert_int_equal(leftovers_domain(old, 4711), 6);
        assert_int_equal(leftovers_domain(old, 4712), 0);
        gate_close(new);
        gate_close(old);
}

/* More objects than one run of the program takes; each is told whether it is to be settled again. */
static void test_settle(void **state)
{
        enum { COUNT = 2 * GATE_SETTLE_MAX + 10 };
        static struct gate_settlement settlements[COUNT];
        static const uint64_t unlimited[GATE_RESOURCES] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL };
        struct gate_domain domain;
        struct gate *gate;

        (void) state;
        with_settlements = true;
        gate = open_gate();
        assert_int_equal(gate_set_domain(gate, 1, 0, NULL, unlimited, 0), 0);
        for (uint64_t i = 0; i < COUNT; i++)
                settlements[i] = (struct gate_settlement){ .key = 1000 + i,
                        .domain = 1,
                        .allocated = i,
                        .charged = 1,
                        .kind = OBJECT_MAP,
                        .measure = GATE_AS_TOLD,
                        .again = 3 };
        assert_int_equal(gate_settle(gate, settlements, COUNT), 0);
        assert_int_equal(gate_read_domain(gate, 1, &domain), 0);
        assert_int_equal(domain.usage[GATE_MAPS], COUNT);
        assert_int_equal(domain.usage[GATE_CHARGED], COUNT);
        assert_int_equal(domain.usage[GATE_ALLOCATED], COUNT * (COUNT - 1) / 2);
        for (int i = 0; i < COUNT; i++)
                assert_int_equal(settlements[i].again, 0);
        /* Something was just let into some of them. */
        for (uint64_t i = 100; i < COUNT; i += 100) {
                int fd = bpf_map__fd(gate->skeleton->maps.gate_objects);
                uint64_t key = 1000 + i;
                struct gate_object object;

                assert_int_equal(bpf_map_lookup_elem(fd, &key, &object), 0);
                object.recent = 5;
                object.window = object.mixed = 1ULL << 60;
                assert_int_equal(bpf_map_update_elem(fd, &key, &object, 0), 0);
        }
        assert_int_equal(gate_settle(gate, settlements, COUNT), 0);
        for (int i = 0; i < COUNT; i++)
                assert_int_equal(settlements[i].again, i > 0 && i % 100 == 0);
        assert_int_equal(gate_read_domain(gate, 1, &domain), 0);
        assert_int_equal(domain.usage[GATE_MAPS], COUNT);
        assert_int_equal(domain.usage[GATE_ALLOCATED], COUNT * (COUNT - 1) / 2 + 2 * 5);
        assert_int_equal(gate_settle(gate, settlements, 0), 0);
        gate_close(gate);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static struct {
        uint64_t wanted;
        size_t found, all;
} seen;

static void see(void *context, const struct gate_event *event)
{
        assert_ptr_equal(context, &seen);
        seen.all++;
        if (event->kind != GATE_CGROUP_NEW)
                fail_msg("an event of kind %u", event->kind);
        seen.found += event->cgroup_id == seen.wanted;
}

/* New cgroups are told of; those that are not, as nobody takes the events, are counted. */
static void test_events(void **state)
{
        struct test_cgroup parent;
        size_t made = 0;
        char path[600];
        struct gate *gate;

        (void) state;
        memset(&seen, 0, sizeof(seen));
        fake_machine.gate[GATE_HOOK_MKDIR] = targets[GATE_HOOK_MKDIR];
        fake_machine.gate[GATE_HOOK_RMDIR] = targets[GATE_HOOK_RMDIR];
        gate = open_gate();
        gate_take_events(gate, see, &seen);
        cgroup_make(&parent, NULL, "gate-tables");
        seen.wanted = parent.id;
        assert_true(gate_events_fd(gate) >= 0);
        assert_true(gate_take_events(gate, see, &seen) > 0);
        assert_int_equal(seen.found, 1);
        assert_int_equal(gate_untold(gate), 0);
        seen.all = 0;
        for (; made < 1000 && gate_untold(gate) < 3; made++) {
                snprintf(path, sizeof(path), "%s/child", parent.directory);
                assert_int_equal(mkdir(path, 0755), 0);
                assert_int_equal(rmdir(path), 0);
        }
        assert_true(gate_untold(gate) >= 3);
        assert_true(gate_take_events(gate, see, &seen) > 0);
        /* Others may make some too. */
        assert_true(seen.all + gate_untold(gate) >= made);
        assert_true(seen.all >= 16 * 1024 / (sizeof(struct gate_event) + 16));
        gate_close(gate);
        cgroup_remove(&parent);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_start),
                TEST(test_own_cgroup),
                TEST(test_hooks),
                TEST(test_no_fallbacks),
                TEST(test_unattachable),
                TEST(test_refused),
                TEST(test_missed),
                TEST(test_take_over),
                TEST(test_others_pins),
                TEST(test_unusable),
                TEST(test_usable),
                TEST(test_stop_enforcing),
                TEST(test_release),
                TEST(test_one_process),
                TEST(test_no_bpffs),
                TEST(test_not_pinned),
                TEST(test_domains),
                TEST(test_leftovers),
                TEST(test_settle),
                TEST(test_events),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                        mount("bpf", BPFFS, "bpf", 0, "mode=0700") < 0) {
                printf("1..0 # SKIP no bpffs can be mounted at " BPFFS ": %s\n", strerror(errno));
                return getenv("CI") ? 1 : 77;
        }
        libbpf_set_print(NULL);
        register_sections();
        return cmocka_run_group_tests_name("gate-tables", tests, NULL, NULL);
}
